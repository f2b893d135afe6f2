#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# From the judge's lines to those of make check: none is lost on the way.

set -eu
. "$(dirname "$0")/lib.sh"

matrix() {
	. "$top/scripts/lib/common.sh"
	. "$top/scripts/lib/matrix.sh"
}
CELL='x86_64 x86 patched - kunit'

test_results_keep_every_line() {
	matrix
	printf '%s\n' 'PASS s.a' 'FAIL s.b (why, with / and |)' 'SKIP s.c (no)' 'FAIL boot (hang: x)' \
		'XFAIL s.d (needs the series: (really))' 'FAIL kernel-log (WARNING: x)' >"$T/in"
	label hash/base <"$T/in" >"$T/out"
	cat "$T/out"
	diff - "$T/out" <<-'END'
	PASS hash/base/s.a
	FAIL hash/base/s.b (why, with / and |)
	SKIP hash/base/s.c (no)
	FAIL hash/base/boot (hang: x)
	XFAIL hash/base/s.d (needs the series: (really))
	FAIL hash/base/kernel-log (WARNING: x)
	END
}

test_no_results_are_a_failure() {
	BUILD=$T/b
	mkdir -p "$T/b/v6.12/run/x86_64-patched"
	matrix
	judged "$CELL" >"$T/out"
	cat "$T/out"
	grep -q '^FAIL x86/patched/' "$T/out"
	rm -r "$T/b/v6.12/run"
	judged "$CELL" | grep -q '^FAIL x86/patched/'
}

# A boot that is refused, with the logs of one that went well in its folder
test_old_results_are_not_judged() {
	local run=$T/b/v6.12/run/x86_64-patched
	mkdir -p "$run"
	printf '%s\n' 'ptwalk-verdict 1' 'plan: suites=1' 'KTAP version 1' '1..1' '    KTAP version 1' \
		'    # Subtest: ptwalk_x' '    1..1' '    ok 1 a' 'ok 1 ptwalk_x' \
		'end: ok tests=1 failed=0 skipped=0 complaints=0' >"$run/verdict.log"
	echo '0 ok: well' >"$run/result.txt"
	touch "$run/console.log"
	other_top scripts/boot '#!/bin/sh' 'exit 2'
	BUILD=$T/b
	matrix
	judged "$CELL" | diff - <(echo 'PASS x86/patched/ptwalk_x.a')
	top=$T/top
	mkdir -p "$T/b/v6.12/log"
	boot_cell "$CELL" || :
	judged "$CELL" >"$T/out"
	cat "$T/out"
	grep -q '^FAIL x86/patched/' "$T/out"
}

# A boot with other settings, between an interruption of make run and the next make run
test_foreign_boot_is_not_taken_for_that_of_make_run() {
	local run=$T/b/v6.12/run/x86_64-patched
	mkdir -p "$run" "$T/b/v6.12/log"
	other_top scripts/boot '#!/bin/sh' "echo '0 ok: well' >'$run/result.txt'" "echo >>'$T/booted'"
	BUILD=$T/b SINCE=$T/since
	matrix
	top=$T/top
	touch -d '-1 minute' "$SINCE"
	echo '0 ok: well' >"$run/result.txt"
	boot_cell "$CELL"
	[ -s "$T/booted" ] || fail 'a boot of somebody else was taken'
	boot_cell "$CELL"
	[ "$(wc -l <"$T/booted")" -eq 1 ] || fail 'its own boot was not taken'
	APPEND=ptwalk.filter=ptwalk_x.a boot_cell "$CELL"
	[ "$(wc -l <"$T/booted")" -eq 2 ] || fail 'a boot with other settings was taken'
}

# Two runs at once: the second boots when the first has been judged.
test_runs_in_one_folder_wait_for_each_other() {
	local run=$T/b/v6.12/run/x86_64-patched i
	mkdir -p "$run" "$T/b/v6.12/log"
	other_top scripts/boot '#!/bin/sh' "echo boot >>'$T/said'" 'sleep 1' "echo '0 ok: well' >'$run/result.txt'"
	BUILD=$T/b
	matrix
	top=$T/top
	judged() { [ -f "$run/result.txt" ] && echo judged >>"$T/said"; }
	for i in 1 2; do suite_kunit "$CELL" & done
	wait
	paste -sd ' ' "$T/said" | diff - <(echo boot judged boot judged)
}

test_ledger_takes_only_usual_runs() {
	BUILD=$T/b
	matrix
	record() { cat >/dev/null; echo "$*" >>"$T/recorded"; }
	: >"$T/recorded"
	SMP=1 judged "$CELL"
	PROVOKE=no judged "$CELL"
	APPEND=ptwalk_kunit.duration_ms=1 judged "$CELL"
	APPEND="$SHORT_RACES ptwalk.filter=*" judged "$CELL"
	[ ! -s "$T/recorded" ] || fail 'an unusual run was recorded'
	APPEND=$SHORT_RACES judged "$CELL"
	diff "$T/recorded" <(printf '%s x86/patched\n' kunit measure)
}

# KUnit prints "ok # SKIP" for a case that skips itself after something has failed.
test_failed_and_skipped_is_failed() {
	mkdir -p "$T/run"
	printf '%s\n' 'ptwalk-verdict 1' 'plan: suites=1' 'KTAP version 1' '1..1' '    KTAP version 1' \
		'    # Subtest: ptwalk_x' '    1..2' '    # a: EXPECTATION FAILED at x.c:1' \
		'    Expected lost == 0' '    ok 1 a # SKIP too short' '    ok 2 b # SKIP too short' 'ok 1 ptwalk_x' \
		'end: ok tests=2 failed=0 skipped=2 complaints=0' >"$T/run/verdict.log"
	echo '0 ok: well' >"$T/run/result.txt"
	touch "$T/run/console.log"
	other_top tests/expected '# a comment' 'ptwalk_x.b x86 skip -- why'
	"$T/top/scripts/judge" "$T/run" --machine x86 >"$T/out" || :
	cat "$T/out"
	diff - "$T/out" <<-'END'
	FAIL ptwalk_x.a (at x.c:1 Expected lost == 0)
	SKIP ptwalk_x.b (too short)
	END
}

# boot MACHINE VARIANT TOPICS RULE...: case a passes, b fails, c is skipped; what the
# judge says with these rules
boot() {
	local machine=$1 variant=$2 topics=$3
	shift 3
	mkdir -p "$T/run"
	printf '%s\n' 'ptwalk-verdict 1' 'run: kunit filter: *' 'plan: suites=1' 'KTAP version 1' '1..1' \
		'    KTAP version 1' '    # Subtest: ptwalk_x' '    1..3' '    ok 1 a' \
		'    not ok 2 b # too bad' '    ok 3 c # SKIP no time' 'not ok 1 ptwalk_x' \
		'end: fail tests=3 failed=1 skipped=1 complaints=0' >"$T/run/verdict.log"
	echo '1 fail: end: fail' >"$T/run/result.txt"
	touch "$T/run/console.log"
	other_top tests/expected 'lenient: x86/pae' "$@"
	"$T/top/scripts/judge" "$T/run" --machine "$machine" --variant "$variant" --topics "$topics" >"$T/out" || :
	cat "$T/out"
}

test_unlisted_failure_and_skip_fail() {
	boot x86 - '*' '# nothing'
	diff - "$T/out" <<-'END'
	PASS ptwalk_x.a
	FAIL ptwalk_x.b (too bad)
	FAIL ptwalk_x.c (is skipped, and tests/expected has no reason why: no time)
	END
}

test_race_may_fail_without_its_topic() {
	boot x86 - tests 'ptwalk_x.a x86 sometimes/reclaim -- a race' \
		'ptwalk_x.b x86 sometimes/reclaim -- a race' 'ptwalk_x.c x86 skip -- no time'
	diff - "$T/out" <<-'END'
	PASS ptwalk_x.a
	XFAIL ptwalk_x.b (a race)
	SKIP ptwalk_x.c (no time)
	END
	boot x86 - '*' 'ptwalk_x.b x86 sometimes/reclaim -- a race' 'ptwalk_x.c x86 skip -- no time' || :
	grep -qx 'FAIL ptwalk_x.b (too bad)' "$T/out"
}

test_skip_in_some_runs() {
	boot x86 - '*' 'ptwalk_x.a x86 sometimes/skip -- late' \
		'ptwalk_x.b x86 none -- broken' 'ptwalk_x.c x86 sometimes/skip -- late'
	diff - "$T/out" <<-'END'
	PASS ptwalk_x.a
	XFAIL ptwalk_x.b (broken)
	SKIP ptwalk_x.c (no time)
	END
	boot x86 - '*' 'ptwalk_x.b x86 sometimes/skip -- late' 'ptwalk_x.c x86 sometimes/skip -- late' || :
	grep -qx 'FAIL ptwalk_x.b (too bad)' "$T/out"
}

test_skips_of_a_lenient_variant_need_no_reason() {
	boot x86 pae '*' '# nothing'
	diff - "$T/out" <<-'END'
	PASS ptwalk_x.a
	FAIL ptwalk_x.b (too bad)
	SKIP ptwalk_x.c (no time)
	END
}

# lost_store VERSION [APPEND]: what the judge says of a store that KVM's dirty log lost under
# this QEMU, and of another failure
lost_store() {
	printf '#!/bin/sh\necho "QEMU emulator version %s"\n' "$1" >"$T/qemu-system-ppc64"
	chmod +x "$T/qemu-system-ppc64"
	mkdir -p "$T/run"
	printf '%s\n' 'ptwalk-verdict 1' 'run: kunit filter: *' 'plan: suites=1' 'KTAP version 1' '1..1' \
		'    KTAP version 1' '    # Subtest: ptwalk_x' '    1..2' \
		'    not ok 1 a # the copy by the dirty log: page 3 lost a store' '    not ok 2 b # too bad' \
		'not ok 1 ptwalk_x' 'end: fail tests=2 failed=2 skipped=0 complaints=0' >"$T/run/verdict.log"
	echo '1 fail: end: fail' >"$T/run/result.txt"
	echo "$T/qemu-system-ppc64 -accel tcg,thread=multi -append ${2-quiet}" >"$T/run/qemu.cmd"
	touch "$T/run/console.log"
	other_top tests/expected '# nothing'
	"$T/top/scripts/judge" "$T/run" --machine radix >"$T/out" || :
	cat "$T/out"
}

test_store_lost_by_qemu_is_skipped() {
	lost_store 8.2.0
	diff - "$T/out" <<-'END'
	SKIP ptwalk_x.a (QEMU lost a store: the copy by the dirty log: page 3 lost a store)
	FAIL ptwalk_x.b (too bad)
	END
}

test_store_lost_under_a_good_qemu_is_a_failure() {
	lost_store 8.1.5
	grep -qx 'FAIL ptwalk_x.a (the copy by the dirty log: page 3 lost a store)' "$T/out"
	lost_store 10.0.2 disable_radix
	grep -qx 'FAIL ptwalk_x.a (the copy by the dirty log: page 3 lost a store)' "$T/out"
}

test_listed_failure_and_skip() {
	boot x86 kasan 'tests tables' 'ptwalk_x.b x86,hash collapse -- it broadcasts' 'ptwalk_x.* */kasan skip/hash -- slow' \
		'ptwalk_x.a x86,!*/kasan skip -- not here'
	diff - "$T/out" <<-'END'
	FAIL ptwalk_x.a (runs, though tests/expected says that it is skipped here: slow)
	FAIL ptwalk_x.b (too bad)
	SKIP ptwalk_x.c (no time)
	END
	boot x86 - 'tests tables' 'ptwalk_x.b x86,hash collapse -- it broadcasts' 'ptwalk_x.c *,!hash skip -- short'
	diff - "$T/out" <<-'END'
	PASS ptwalk_x.a
	XFAIL ptwalk_x.b (it broadcasts)
	SKIP ptwalk_x.c (no time)
	END
}

test_topic_that_is_there_makes_it_pass() {
	boot x86 - '*' 'ptwalk_x.b x86 collapse -- it broadcasts' 'ptwalk_x.c x86 skip/hash -- short'
	grep -qx 'FAIL ptwalk_x.b (too bad)' "$T/out"
	grep -q '^FAIL ptwalk_x.c (is skipped, ' "$T/out"
	boot x86 - '*' 'ptwalk_x.b x86 none -- not mended yet' 'ptwalk_x.c * skip -- short'
	grep -qx 'XFAIL ptwalk_x.b (not mended yet)' "$T/out"
}

test_case_that_should_fail_and_passes_fails() {
	boot x86 - tests 'ptwalk_x.a x86 collapse -- it broadcasts' 'ptwalk_x.c x86 collapse -- it waits'
	grep -qx 'FAIL ptwalk_x.a (passes, though it should fail here: it broadcasts)' "$T/out"
	grep -qx 'FAIL ptwalk_x.c (is skipped, though it should fail here: it waits)' "$T/out"
}

test_listed_case_that_never_ran_fails() {
	boot x86 - tests 'ptwalk_x.[bc] x86 skip -- no glob of this kind' 'ptwalk_y.z x86 collapse -- gone' 'ptwalk_y.w hash collapse -- elsewhere'
	grep -q '^FAIL ptwalk_y.z (in tests/expected for this machine, but never ran)' "$T/out"
	! grep 'ptwalk_y.w' "$T/out"
}

test_torture_runs_no_listed_case() {
	mkdir -p "$T/run"
	printf '%s\n' 'ptwalk-verdict 1' 'run: torture filter: *' 'plan: suites=0' \
		'end: ok tests=0 failed=0 skipped=0 complaints=0' >"$T/run/verdict.log"
	echo '0 ok: well' >"$T/run/result.txt"
	"$top/scripts/judge" "$T/run" --machine x86
}

test_section_of_a_base_replaces() {
	local rules=('ptwalk_x.a x86 collapse -- it broadcasts' 'ptwalk_x.b x86 none -- not mended'
		'ptwalk_x.c * skip -- short' 'ptwalk_y.z x86 collapse -- not there' 'base: v7.3'
		'ptwalk_x.a x86 pass -- mended' 'ptwalk_y.* x86 pass -- gone' 'base: v8.0' 'ptwalk_x.c x86 pass -- new')
	BASE=v7.3 boot x86 - tests "${rules[@]}"
	diff - "$T/out" <<-'END'
	PASS ptwalk_x.a
	XFAIL ptwalk_x.b (not mended)
	SKIP ptwalk_x.c (no time)
	END
	boot x86 - tests "${rules[@]}"
	grep -q '^FAIL ptwalk_x.a (passes, though' "$T/out"
	grep -q '^FAIL ptwalk_y.z (in tests/expected for this machine, but never ran)' "$T/out"
}

test_malformed_expectation_is_named() {
	boot x86 - '*' '# head' 'ptwalk_x.b x86 it broadcasts'
	grep -q '^FAIL tests/expected (line 3 is not ' "$T/out"
}

test_program_says_why() {
	mkdir -p "$T/run"
	printf '%s\n' 'ptwalk-verdict 1' 'plan: suites=1' 'KTAP version 1' '1..1' '    KTAP version 1' \
		'    # Subtest: ptwalk_x' '    1..2' '    # a: 3 moves' '    ok 1 a' \
		'    # b: 4 moves' '    not ok 2 b # word 15 is 7' 'not ok 1 ptwalk_x' \
		'end: fail tests=2 failed=1 skipped=0 complaints=0' >"$T/run/verdict.log"
	echo '1 fail: end: fail' >"$T/run/result.txt"
	touch "$T/run/console.log"
	"$top/scripts/judge" "$T/run" --machine x86 >"$T/out" || :
	cat "$T/out"
	diff - "$T/out" <<-'END'
	PASS ptwalk_x.a
	FAIL ptwalk_x.b (word 15 is 7)
	END
}

# panics_once WHY [VERSION]: boots under that QEMU that end with a panic, which the console says
# was for WHY, and then well
panics_once() {
	BUILD=$T/b
	local run=$T/b/v6.12/run/x86_64-patched
	mkdir -p "$run" "$T/b/v6.12/log"
	printf '#!/bin/sh\necho "QEMU emulator version %s"\n' "${2-7.2.22}" >"$T/qemu"
	chmod +x "$T/qemu"
	other_top scripts/boot '#!/bin/sh' "echo 'Oops: $1' >'$run/console.log'" \
		"echo '$T/qemu -accel tcg,thread=multi' >'$run/qemu.cmd'" \
		"[ ! -e '$run/twice' ] || exit 0" "touch '$run/twice'" 'exit 4'
	(
		matrix
		top=$T/top boot_logged "$run"
	)
}

test_stale_breakpoint_boots_again() { panics_once 'int3: 0000 [#1] SMP'; }

test_breakpoint_of_a_newer_qemu_does_not_boot_again() {
	if panics_once 'int3: 0000 [#1] SMP' 8.1.0; then fail 'it booted again'; fi
}

test_panic_does_not_boot_again() {
	if panics_once '0000 [#1] SMP'; then fail 'it booted again'; fi
	[ -e "$T/b/v6.12/run/x86_64-patched/twice" ]
}

# lists FIELDS: a matrix.list of that one line
lists() {
	other_top scripts/matrix.list "$@"
	BUILD=$T/b
	matrix
	LIST=$T/top/scripts/matrix.list
}

test_cells_of_a_list() {
	lists '# comment' 'a,b x86_64 x86 base,patched - kunit,torture=5' 'b ppc64le radix,hash patched kasan kunit=x_*'
	cells a | diff - <(printf 'x86_64 x86 %s\n' 'base - kunit' 'base - torture=5' 'patched - kunit' 'patched - torture=5')
	cells b | tail -n2 | diff - <(printf 'ppc64le %s patched kasan kunit=x_*\n' radix hash)
	only_machine=hash only_variant='kasan -'
	cells b | diff - <(echo 'ppc64le hash patched kasan kunit=x_*')
	cell_name 'ppc64le hash patched kasan kunit=x_*' | diff - <(echo hash/patched/kasan)
}

test_lines_on_request() {
	lists 'a x86_64 x86 base - kunit' 'a?,b? arm64 virt base - kunit'
	cells a | diff - <(echo 'x86_64 x86 base - kunit')
	[ -z "$(cells b)" ]
	only_arch=arm64
	cells a | diff - <(echo 'arm64 virt base - kunit')
	only_arch='' only_machine=virt
	cells b | diff - <(echo 'arm64 virt base - kunit')
	only_machine=x86
	cells a | diff - <(echo 'x86_64 x86 base - kunit')
}

test_every_cell_of_the_lists_exists() {
	local arch machine flavor variant suite list
	matrix
	for list in $(sed '/^#/d; s/ .*//' "$LIST" | tr ',' '\n' | sort -u); do
		cells "$list" >"$T/cells"
		while read -r arch machine flavor variant suite; do
			(
				load_arch "$arch"
				VARIANT=${variant#-} MACHINE=${machine#-}
				[ "$variant" = legacy ] || check_variant
				check_machine
				check_flavor "$flavor"
				case $suite in
				-|kunit|kunit=?*|torture|torture=[1-9]*|selftests|bench|bench=?*|code|boots) ;;
				*) fail "no suite '$suite'" ;;
				esac
			) || fail "$list: $arch $machine $flavor $variant $suite"
		done <"$T/cells"
	done
}

run_tests
