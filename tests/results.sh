#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# From the judge's lines to those of make check: none is lost on the way.

set -eu
. "$(dirname "$0")/lib.sh"
. "$top/scripts/guests.sh"

test_results_keep_every_line() {
	printf '%s\n' 'PASS s.a' 'FAIL s.b (why, with / and |)' 'SKIP s.c (no)' 'FAIL boot (hang: x)' \
		'XFAIL s.d (needs the series: (really))' 'FAIL kernel-log (WARNING: x)' >"$T/in"
	label hash/base <"$T/in" >"$T/out"
	cat "$T/out"
	diff - "$T/out" <<-'END'
	PASS hash/base/s.a
	FAIL hash/base/s.b (why, with / and |)
	SKIP hash/base/s.c (no)
	FAIL hash/base/boot (hang: x)
	PASS hash/base/s.d (fails as it must: needs the series: (really))
	FAIL hash/base/kernel-log (WARNING: x)
	END
}

test_no_results_are_a_failure() {
	BUILD=$T/b
	mkdir -p "$T/b/run/x86_64-patched"
	. "$top/scripts/lib.sh"
	kunit_lines x86_64 x86 patched x86/patched >"$T/out"
	cat "$T/out"
	grep -q '^FAIL x86/patched/' "$T/out"
	rm -r "$T/b/run"
	kunit_lines x86_64 x86 patched x86/patched | grep -q '^FAIL x86/patched/'
}

run_tests
