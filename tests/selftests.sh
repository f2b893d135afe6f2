#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Tests of scripts/selftests-compare: what it takes for the same.

set -eu
. "$(dirname "$0")/lib.sh"

# say KERNEL TEST END LINE...: what TEST printed there, and how it ended ("-": the
# machine went down)
say() {
	local kernel=$1 t=$2 end=$3 l
	shift 3
	echo "selftest: $t run $t" >>"$T/$kernel"
	for l; do printf 'selftest: %s | %b\r\n' "$t" "$l" >>"$T/$kernel"; done
	[ "$end" = - ] || echo "selftest: $t end $end" >>"$T/$kernel"
}

both() { say base "$@"; say patched "$@"; }

compare() { "$top/scripts/selftests-compare" x86 "$T/base" "$T/patched" "$@" >"$T/out" 2>&1; }

# prints LINE: compare said that; the rest is not looked at
prints() { grep -qxF -- "$1" "$T/out" || { cat "$T/out"; fail "it does not say: $1"; }; }

test_same_results_pass() {
	both cow 'exit 0' 'TAP version 13' 'ok 1 fork' 'ok 2 # SKIP no swap'
	compare cow || fail "the same was not accepted"
	prints 'PASS x86/cow (3 results)'
}

test_result_that_differs_fails() {
	say base cow 'exit 0' 'ok 1 fork' 'ok 2 pin'
	say patched cow 'exit 1' 'ok 1 fork' 'not ok 2 pin'
	if compare cow; then fail "a difference was accepted"; fi
	prints 'FAIL x86/cow (result 2: ok pin on base, fail pin on patched; end: ok exit 0 on base, fail exit 1 on patched)'
}

test_result_that_is_missing_fails() {
	say base cow 'exit 0' 'ok 1 fork' 'ok 2 pin'
	say patched cow 'exit 0' 'ok 1 fork'
	if compare cow; then fail "a missing result was accepted"; fi
	prints 'FAIL x86/cow (result 2: ok pin on base, nothing on patched)'
}

test_result_that_is_new_fails() {
	say base cow 'exit 0' 'ok 1 fork'
	say patched cow 'exit 0' 'ok 1 fork' 'ok 2 pin'
	if compare cow; then fail "a result more was accepted"; fi
	prints 'FAIL x86/cow (result 2: nothing on base, ok pin on patched)'
}

test_skip_in_place_of_a_result_fails() {
	say base cow 'exit 0' 'ok 1 fork'
	say patched cow 'exit 0' 'ok 1 # SKIP fork'
	if compare cow; then fail "a skip was accepted for a result"; fi
}

test_crash_fails() {
	say base cow 'exit 0' 'ok 1 fork'
	say patched cow 'signal 11' 'ok 1 fork'
	if compare cow; then fail "a crash was accepted"; fi
	prints 'FAIL x86/cow (end: ok exit 0 on base, fail signal 11 on patched)'
}

test_machine_that_went_down_fails() {
	both cow 'exit 0' 'ok 1 fork'
	say base mkdirty 'exit 0' 'ok 1 thp'
	say patched mkdirty - 'ok 1 thp'
	if compare cow mkdirty soft-dirty; then fail "a test without an end was accepted"; fi
	prints 'PASS x86/cow (2 results)'
	grep -q '^FAIL x86/mkdirty (it did not end on patched' "$T/out" || fail "mkdirty is not named"
	grep -q '^FAIL x86/soft-dirty (it did not end on base' "$T/out" || fail "soft-dirty is not named"
}

test_limit_on_one_fails() {
	say base cow 'exit 0'
	say patched cow 'limit 60'
	if compare cow; then fail "a test that hangs was accepted"; fi
}

test_numbers_in_names_may_differ() {
	say base mrelease_test 'exit 0' 'ok 1 Success reaping a child with 1MB at 0x7f10'
	say patched mrelease_test 'exit 0' 'ok 1 Success reaping a child with 16MB at 0x7fa0'
	compare mrelease_test || fail "a size was taken for a result"
}

test_what_fails_on_both_is_counted() {
	both cow 'exit 1' 'ok 1 fork' 'not ok 2 pin'
	compare cow || fail "the same was not accepted"
	prints 'PASS x86/cow (3 results, 2 fail on both)'
}

test_what_cannot_run_is_skipped() {
	both soft-dirty 'exit 4' 'TAP version 13' '1..0 # SKIP soft-dirty is not support'
	compare soft-dirty || fail "a skip is no failure"
	prints 'SKIP x86/soft-dirty (on both: skip exit 4: 1..0 # SKIP soft-dirty is not support)'
}

test_khugepaged_is_read() {
	say base khugepaged 'exit 0' 'Run test: collapse_full (khugepaged:anon)' 'Collapse table.....\t \e[32mOK\e[0m' \
		'Run test: collapse_empty (madvise:anon)' 'Do not collapse.... \e[32mOK\e[0m'
	say patched khugepaged 'exit 1' 'Run test: collapse_full (khugepaged:anon)' 'Collapse table...... \e[31mTimeout\e[0m' \
		'Run test: collapse_empty (madvise:anon)' 'Do not collapse. \e[32mOK\e[0m'
	if compare khugepaged; then fail "a timeout was accepted"; fi
	grep -qF 'collapse_full (khugepaged:anon): Collapse table: ok OK on base, fail Timeout on patched; end' "$T/out" ||
		fail "the step is not named: $(cat "$T/out")"
}

test_uffd_is_read() {
	say base uffd-unit-tests 'exit 0' 'Testing move on anon... done' 'Testing poison on anon... skipped [reason: none]'
	say patched uffd-unit-tests 'exit 0' 'Testing move on anon... failed [reason: lost 3]' 'Testing poison on anon... skipped [reason: none]'
	if compare uffd-unit-tests; then fail "a failure was accepted"; fi
	prints 'FAIL x86/uffd-unit-tests (move on anon: ok on base, fail [reason: lost N] on patched)'
}

# with_exception LINE TEST...: compare, with that in tests/exceptions/selftests
with_exception() {
	other_top tests/exceptions/selftests "$1"
	shift
	"$T/top/scripts/selftests-compare" x86 "$T/base" "$T/patched" "$@" >"$T/out" 2>&1
}

test_exception_has_its_reason() {
	say base cow 'exit 0' 'ok 1 fork' 'ok 2 pin'
	say patched cow 'exit 0' 'ok 1 fork' 'not ok 2 pin'
	with_exception 'x86 cow result 2 -- it is a race' cow || fail "an exception was not accepted"
	prints 'PASS x86/cow (3 results; not compared: result 2: it is a race)'
	if with_exception 'hash cow result 2 -- it is a race' cow; then fail "an exception for hash was taken for x86"; fi
	if with_exception 'x86 cow result -- it is a race' cow; then fail "an exception for something else was taken"; fi
}

# The kernels say nothing that is wrong; their selftests cannot be built here.
test_boot_without_complaints_is_no_failure() {
	local s
	# shellcheck disable=SC2016
	other_top scripts/boot '#!/bin/sh' 'd=$BUILD/$BASE/run/$ARCH-$FLAVOR-$VARIANT; mkdir -p $d; : >$d/console.log' \
		'printf "%s\n" "ptwalk-verdict 1" "run: selftests filter: *" "selftest: cow end exit 0" \
		"end: ok tests=0 failed=0 skipped=0 complaints=0" >$d/verdict.log; echo 0 ok: well >$d/result.txt'
	for s in tree build module initrd; do echo '#!/bin/sh' >"$T/top/scripts/$s"; done
	cp "$top/tests/expected" "$T/top/tests/"
	mkdir -p "$T/b/v6.12/tree/patched"
	BUILD=$T/b ARCH=x86_64 SELFTESTS=cow "$T/top/scripts/selftests" >"$T/out" 2>/dev/null || :
	grep -E '^(PASS|FAIL|SKIP) ' "$T/out" | diff - <(printf '%s\n' \
		'FAIL selftests x86_64 (not built, see the log above)' 'PASS x86/cow (1 results)')
}

test_unknown_name() {
	refused 2 "unknown SELFTESTS 'cows'" 'some of: khugepaged .* cow ' env SELFTESTS='mkdirty cows' "$top/scripts/selftests"
}

run_tests
