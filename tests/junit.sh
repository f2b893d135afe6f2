#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make junit, make lava: what other systems read.

set -eu
. "$(dirname "$0")/lib.sh"

test_junit_is_xml_and_counts() {
	printf '%s\n' 'PASS x86/base/ptwalk_a.b' 'FAIL x86/patched/ptwalk_a.c (is 3 < 4 & "x")' \
		'SKIP lint (no)' '	not a result' 'XFAIL x86/base/ptwalk_a.d (as it)' >"$T/lines"
	! "$top/scripts/junit" "$T/lines" >"$T/xml" || fail 'a failure has status 0'
	python3 - "$T/xml" <<'END'
import sys, xml.etree.ElementTree as e
s = e.parse(sys.argv[1]).getroot()
assert (s.get("tests"), s.get("failures"), s.get("skipped")) == ("4", "1", "2"), s.attrib
c = [(t.get("classname"), t.get("name"), [x.tag for x in t]) for t in s]
assert c[0] == ("x86.base.ptwalk_a", "b", []) and c[1][2] == ["failure"] and c[3][2] == ["skipped"], c
assert s[1][0].get("message") == 'is 3 < 4 & "x"'
END
}

test_junit_refuses() {
	BUILD=$T refused 2 'nothing was run' 'make check' "$top/scripts/junit"
	refused 2 'cannot read' 'PASS' "$top/scripts/junit" "$T/nothing"
}

test_ktap_is_one() {
	printf '%s\n' 'ptwalk-verdict 1' 'KTAP version 1' '1..1' '    KTAP version 1' '    # Subtest: a' '    1..1' \
		'    ok 1 x' 'ok 1 a' 'KTAP version 1' '1..1' '    KTAP version 1' '    # Subtest: b' '    1..1' \
		'    not ok 1 y' 'not ok 1 b' 'end: failed' >"$T/verdict.log"
	"$top/scripts/junit" --ktap "$T" | diff - <(printf '%s\n' 'KTAP version 1' '1..2' '    KTAP version 1' \
		'    # Subtest: a' '    1..1' '    ok 1 x' 'ok 1 a' '    KTAP version 1' '    # Subtest: b' '    1..1' \
		'    not ok 1 y' 'not ok 2 b')
}

# The pattern of the jobs, on what init prints
test_lava_pattern_tells_results_apart() {
	BUILD=$T MACHINE=x86 "$top/scripts/lava"
	[ "$(echo "$T"/*/lava/x86-patched.yaml)" != "$T/*/lava/x86-patched.yaml" ]
	python3 - "$T"/*/lava/x86-patched.yaml <<'END'
import re, sys
p = re.search(r"pattern: '(.*)'", open(sys.argv[1]).read()).group(1)
t = ("\n    ok 1 works\r\n    not ok 2 does_not # why\r\n    ok 3 cannot # SKIP no\r\n"
     "        ok 1 inner\r\n    # x: not ok\r\n[ 1.0]     ok 4 kernel\r\n    ok 5 last")
got = [(m["result"], m["test_case_id"]) for m in re.finditer(p, t)]
assert got == [("ok", "works"), ("not ok", "does_not"), ("# SKIP", "cannot")], got
END
}

run_tests
