#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Tests of scripts/mutants: no mutant is lost on the way.
# shellcheck disable=SC2016	# boots are code in quotes

set -eu
. "$(dirname "$0")/lib.sh"
unset APPEND SUITE TORTURE REPLAY MUTANTS RESUME

# mutants ON BOOT [HEAD...]: one mutant, to be killed by ptwalk_x.a, of a fake kernel,
# with more lines in its head.  scripts/boot does BOOT; is_mutant says whether the bug is
# in, and result PASS|FAIL|PANIC... writes what the boot leaves.
mutants() {
	local tree=$T/b/v6.12/tree/base s
	other_top scripts/boot '#!/bin/bash' 'set -eu' \
		'd=$RUNS/$ARCH-$FLAVOR' '[ "$ARCH" = x86_64 ] || d+=-$MACHINE' 'mkdir -p "$d"' \
		'is_mutant() { grep -q bug "$SOURCE_TREE/mm/gup.c"; }' "$(declare -f result)" "$2"
	for s in tree build module initrd torture; do echo '#!/bin/sh' >"$T/top/scripts/$s"; done
	mkdir -p "$T/top/tests/mutants/v6.12"
	: >"$T/top/tests/expected"
	fake_kernel "$tree"
	git -C "$tree" branch patched
	echo bug >>"$tree/mm/gup.c"
	{
		printf '%s\n' 'Mutant: a bug' "On: $1" 'Killed-by: ptwalk_x.a' "${@:3}" ---
		git -C "$tree" diff
	} >"$T/top/tests/mutants/v6.12/01-bug.patch"
	git -C "$tree" checkout -q .
	BUILD=$T/b "$T/top/scripts/mutants" >"$T/out" 2>&1 || echo "status $?" >>"$T/out"
	cat "$T/out"
}

# result WORD [TEXT]: of case a; of a machine that panics
result() {
	: >"$d/console.log"
	case $1 in
	panic)
		echo 'ptwalk-verdict 1' >"$d/verdict.log"
		printf '[    1.0] %s\n' "$2" >"$d/console.log"
		echo "4 panic: $2" >"$d/result.txt"
		exit 4 ;;
	hang)	echo 'ptwalk-verdict 1' >"$d/verdict.log"
		echo '3 hang: no end' >"$d/result.txt"
		exit 3 ;;
	esac
	{
		printf '%s\n' 'ptwalk-verdict 1' 'run: kunit filter: ptwalk_x.a' 'plan: suites=1' 'KTAP version 1' \
			'1..1' '    KTAP version 1' '    # Subtest: ptwalk_x' '    1..1'
		case $1 in
		pass) echo '    ok 1 a' ;;
		skip) echo '    ok 1 a # SKIP no time' ;;
		fail) printf '%s\n' '    # a: EXPECTATION FAILED at x.c:7' '    Expected lost == 0' '    not ok 1 a' ;;
		esac
		echo 'ok 1 ptwalk_x'
		[ -z "${2-}" ] || echo "complaint: $2"
		echo "end: x tests=1 failed=$([ "$1" = fail ] && echo 1 || echo 0) skipped=0"
	} >"$d/verdict.log"
	echo '0 ok: well' >"$d/result.txt"
}

KILLED='PASS mutant 01-bug on x86_64 (killed by'
test_mutant_is_killed_by_its_case() {
	mutants x86_64 'is_mutant && result fail || result pass'
	grep -qxF "$KILLED ptwalk_x.a (at x.c:7 Expected lost == 0))" "$T/out"
	grep -q '^01-bug  *killed *$' "$T/out"
	[ -f "$T/b/mutant/v6.12/run/01-bug/ptwalk_x.a/x86_64-patched/result.txt" ]
	[ -f "$T/b/mutant/v6.12/run/control/ptwalk_x.a/x86_64-patched/result.txt" ]
	awk -F '\t' '$1 == "mutant" && $2 == "01-bug x86_64" && $6 ~ /^killed by ptwalk_x.a / { found = 1 } END { exit !found }' \
		"$T/b/v6.12/ledger"
}

test_key_of_a_mutant_is_that_of_the_tree_and_its_patch() {
	mutants x86_64 'is_mutant && result fail || result pass'
	cp "$T/top/tests/mutants/v6.12/01-bug.patch" "$T/top/tests/mutants/v6.12/02-bug.patch"
	BUILD=$T/b "$T/top/scripts/mutants" >"$T/out" 2>&1 || cat "$T/out"
	awk -F '\t' '$1 == "mutant" { rows++; keys += !seen[$4]++ } END { exit rows != 2 || keys != 1 }' "$T/b/v6.12/ledger"
}

test_resumed_run_takes_what_was_killed() {
	mutants x86_64 'is_mutant && result fail || result pass'
	sed 's/^Mutant: .*/& too/' "$T/top/tests/mutants/v6.12/01-bug.patch" >"$T/top/tests/mutants/v6.12/02-bug.patch"
	touch "$T/top/scripts/boot"
	RESUME=1 BUILD=$T/b "$T/top/scripts/mutants" >"$T/out" 2>&1 || cat "$T/out"
	cat "$T/out"
	grep -qx '2 passed, 0 failed, 0 skipped' "$T/out"
	find "$T/b/mutant/v6.12/run/01-bug" -name result.txt -newer "$T/top/scripts/boot" >"$T/boots"
	[ ! -s "$T/boots" ] || fail 'the first was booted again'
	[ -f "$T/b/mutant/v6.12/run/02-bug/ptwalk_x.a/x86_64-patched/result.txt" ]
	echo other >>"$T/top/tests/mutants/v6.12/01-bug.patch"
	RESUME=1 BUILD=$T/b "$T/top/scripts/mutants" >"$T/out" 2>&1 || cat "$T/out"
	find "$T/b/mutant/v6.12/run/01-bug" -name result.txt -newer "$T/top/scripts/boot" >"$T/boots"
	[ -s "$T/boots" ] || fail 'what was never run was taken'
}

test_control_that_fails_kills_nothing() {
	mutants x86_64 'result fail'
	grep -q '^FAIL mutant 01-bug on x86_64 (the control: ptwalk_x.a: FAIL ptwalk_x.a ' "$T/out"
	grep -qx 'status 1' "$T/out"
}

test_panic_kills_only_if_it_is_named() {
	mutants ppc64le/hash 'is_mutant && result panic "BUG: Bad page state" || result pass'
	grep -q '^FAIL mutant 01-bug on ppc64le/hash (survived: ptwalk_x.a (boot (panic: ' "$T/out"
	rm -r "$T/top" "$T/b"
	mutants x86_64 'is_mutant && result panic "Oops: int3" || result pass' 'Complains: Bad page'
	grep -q '^FAIL mutant 01-bug on x86_64 (survived: ' "$T/out"
	rm -r "$T/top" "$T/b"
	mutants x86_64 'is_mutant && result panic "BUG: Bad page state" || result pass' 'Complains: Bad page'
	grep -qF "$KILLED boot (panic: BUG: Bad page state))" "$T/out"
}

test_complaint_kills_only_if_it_is_named() {
	mutants x86_64 'is_mutant && result pass "WARNING: x" || result pass'
	grep -q '^FAIL mutant 01-bug on x86_64 (survived: ' "$T/out"
	rm -r "$T/top" "$T/b"
	mutants x86_64 'is_mutant && result pass "WARNING: x" || result pass' 'Complains: ^kernel-log .WARNING: x'
	grep -qF "$KILLED kernel-log (WARNING: x))" "$T/out"
}

test_skip_kills_nothing() {
	mutants x86_64 'is_mutant && result skip || result pass'
	grep -q '^FAIL mutant 01-bug on x86_64 (survived: ' "$T/out"
}

test_hang_kills_only_if_it_is_named() {
	mutants x86_64 'is_mutant && result hang || result pass'
	grep -q '^FAIL mutant 01-bug on x86_64 (survived: ' "$T/out"
	rm -r "$T/top" "$T/b"
	mutants x86_64 'is_mutant && result hang || result pass' 'Hangs: it waits'
	grep -qF "$KILLED boot (hang: no end))" "$T/out"
}

test_case_is_named_on_the_command_line() {
	mutants x86_64 'is_mutant && case $APPEND in *" mutant=a "*) result fail ;; *) result pass ;; esac || result pass' 'Append: mutant=%c'
	grep -qF "$KILLED ptwalk_x.a " "$T/out"
}

test_base_without_mutants() {
	mutants x86_64 'is_mutant && result fail || result pass'
	mv "$T/top/tests/mutants/v6.12" "$T/top/tests/mutants/v9"
	refused 2 'BASE=v6.12 has no mutants' 'tests/mutants/v6.12/.* one of: v9$' env BUILD="$T/b" "$T/top/scripts/mutants"
}

# The cure for a tree of another source is to remove build/<base>/tree.
test_trees_that_are_made_again() {
	local tree=$T/b/v6.12/tree/base
	mutants x86_64 'is_mutant && result fail || result pass'
	rm -rf "$tree"
	fake_kernel "$tree"
	git -C "$tree" branch patched
	BUILD=$T/b "$T/top/scripts/mutants" >"$T/out" 2>&1 || cat "$T/out"
	grep -qF "$KILLED" "$T/out"
}

test_no_mutant_for_that_arch() {
	mutants ppc64le/hash 'is_mutant && result fail || result pass'
	ARCH=x86_64 refused 2 "no mutant '\\*' is for ARCH=x86_64" 'leave out ARCH=' env BUILD="$T/b" "$T/top/scripts/mutants"
}

test_unknown_arch_is_a_failure() {
	mutants mips :
	grep -qx 'FAIL mutant 01-bug on mips (no such ARCH)' "$T/out"
	grep -qx 'status 1' "$T/out"
}

# A torture test that is refused, with the logs of another mutant in its folder
test_torture_of_another_mutant_is_not_judged() {
	local run=$T/b/mutant/v6.12/run/01-bug/torture
	mkdir -p "$run"
	echo '[ 1.0] ptwalk-torture: !!! lost a page' >"$run/console.log"
	TORTURE=5 mutants x86_64 :
	grep -q '^FAIL mutant 01-bug on x86_64 (' "$T/out"
	! grep -q 'lost a page' "$T/out"
}

run_tests
