# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154	# variables of lib.sh
# The test machines, for run and check.  To be sourced after lib.sh.

# guests [ARCH...]: "ARCH MMU" of each kind of test machine
guests() {
	local a m
	for a; do
		( load_arch "$a" && for m in $MMUS; do echo "$a $m"; done )
	done
}

# more_guests [ARCH...]: those that run a part of the tests, with the series
more_guests() {
	local a m
	for a; do
		( load_arch "$a" && for m in ${MORE_MMUS-}; do echo "$a $m"; done )
	done
}

run_dir() { ( load_arch "$1"; MMU=$2 FLAVOR=$3; printf '%s/run/%s\n' "$BUILD" "$(run_key)" ); }

# The emulator's, not the kernel's: a CPU runs into a breakpoint of text_poke_bp()
# that has been taken away, see "Configurations" in Documentation/testing.rst.
stale_breakpoint() {
	grep -aq 'Oops: int3' "$1/console.log" && grep -q 'tcg,thread=multi' "$1/qemu.cmd"
}

# The tests decide; a boot only fails if there is nothing to decide on.
boot_logged() {
	local rc=0 dir
	dir=$(run_dir "$ARCH" "$MMU" "$FLAVOR")
	# A boot that is refused must not be judged by the logs of an earlier one.
	rm -f "$dir"/{result.txt,verdict.log,console.log}
	"$top/scripts/boot" || rc=$?
	if [ $rc -eq 4 ] && stale_breakpoint "$dir"; then
		warn "QEMU ran into a breakpoint that is not there any more; booting again"
		rc=0
		"$top/scripts/boot" || rc=$?
	fi
	[ $rc -le 1 ]
}

# boot_guest ARCH MMU FLAVOR: boot what scripts/prepare built, with progress.
# An earlier boot of the same things, no older than file SINCE, will do.
boot_guest() {
	local dir key=$1-$3
	dir=$(run_dir "$@")
	if [ -n "${SINCE-}" ] && [ "$dir/result.txt" -nt "$SINCE" ] &&
	   [ "$dir/result.txt" -nt "$BUILD/initrd/$key.cpio" ] &&
	   [ "$dir/result.txt" -nt "$BUILD/kernel/$key/.ptwalk-built" ]; then
		say "${STEP_PREFIX-}boot $2 $3: done before the interruption"
		return 0
	fi
	# Without the series races need not be run for long: they prove nothing there.
	local short='ptwalk_kunit.duration_ms=1000 ptwalk_kvm.seconds=1 ptwalk_reclaim_user.seconds=1'
	[ "$3" != base ] || local -x APPEND="$short${APPEND:+ $APPEND}"
	ARCH=$1 MMU=$2 FLAVOR=$3 step "boot $2 $3" "$BUILD/log/boot-$2-$3.log" boot_logged
}

# judge_guest ARCH MMU FLAVOR: the judge's lines
judge_guest() {
	local base=
	[ "$3" != base ] || base=--base
	# shellcheck disable=SC2086	# none or one word
	"$top/scripts/judge" "$(run_dir "$@")" --mmu "$2" $base 2>/dev/null
}

# label NAME: the judge's lines, each case named NAME/suite.case.  A failure
# that is expected without the series is a pass, with its reason.
label() {
	sed -E -e 's,^XFAIL ([^ ]+) \((.*)\)$,PASS \1 (fails as it must: \2),' \
		-e 's,^XFAIL ,PASS ,' -e "s,^(PASS|FAIL|SKIP) ,&$1/,"
}

# kunit_lines ARCH MMU FLAVOR NAME: the judge's lines, labelled; none is a failure
kunit_lines() {
	local lines
	lines=$(judge_guest "$1" "$2" "$3") || :
	[ -n "$lines" ] || lines='FAIL results (there are none)'
	label "$4" <<<"$lines"
}

# torture_line ARCH MMU NAME: the torture test for TORTURE seconds, a line
torture_line() {
	local log=$BUILD/log/torture-${3//\//-}.log
	if ARCH=$1 MMU=$2 DURATION=$TORTURE step "torture $3" "$log" "$top/scripts/torture" >&2 </dev/null; then
		echo "PASS torture-$3"
	else
		echo "FAIL torture-$3 ($(tail -n1 "$log"))"
	fi
}
