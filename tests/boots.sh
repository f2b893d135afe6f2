#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Machines that misbehave on purpose (ptwalk.misbehave=): each is told apart, in
# the stated time, with logs and a cure.  Needs the x86_64 kernel and initrd of BASE.

set -eu
base=${BASE:-v6.12}	# lib.sh unsets it
. "$(dirname "$0")/lib.sh"
BUILD=${BUILD:-$top/build} BASE=$base
export BUILD BASE ARCH=x86_64 FLAVOR=patched SMP=2

needs_kernel() {
	[ -f "$BUILD/$BASE/initrd/x86_64-patched.cpio" ] || skip "nothing built yet: make boot ARCH=x86_64 BASE=$BASE"
}

# boots STATUS TEXT HOW TIMEOUT: boot it; one small case of the module
boots() {
	needs_kernel
	refused "$1" "$2" '.' env RUN_DIR="$T/run" TIMEOUT="$4" \
		APPEND="ptwalk.misbehave=$3 ptwalk.filter=ptwalk_free.batch_broadcasts_nothing" "$top/scripts/boot"
	[ -s "$T/run/qemu.cmd" ] || fail 'no qemu.cmd'
	[ -f "$T/run/console.log" ] || fail 'no console.log'
	read -r status _ <"$T/run/result.txt"
	[ "$status" -eq "$1" ] || fail "result.txt says $status"
}

# judged TEXT: the judge fails it too, with a line that says TEXT
judged() {
	local rc=0
	"$top/scripts/judge" "$T/run" >"$T/judged" || rc=$?
	cat "$T/judged"
	[ $rc -eq 1 ] || fail "judge ended with $rc"
	grep '^FAIL ' "$T/judged" | grep -Eq -- "$1" || fail "no FAIL line like '$1'"
}

test_boot_hangs() {
	local t0=$SECONDS
	boots 3 '^ptwalk: hang: ' hang 20
	[ $((SECONDS - t0)) -lt 30 ] || fail "took $((SECONDS - t0)) s with TIMEOUT=20"
	judged hang
}

test_boot_says_what_hangs() {
	boots 3 '^ptwalk: hang: tests still running' stuck 45
	grep -aq '^hang+: .*init' "$T/run/verdict.log" || fail 'no word of the thread that hangs'
	judged hang
}

test_boot_panics() { boots 4 '^ptwalk: panic: Kernel panic' panic 120; judged panic; }

test_boot_prints_nothing() { boots 5 '^ptwalk: silent: ' silent 120; judged silent; }

test_boot_module_does_not_load() { boots 1 '^ptwalk: fail: ' badmodule 120; judged 'load'; }

# refuses TEXT APPEND: a module that does not load, and says TEXT
refuses() {
	needs_kernel
	refused 1 '^ptwalk: fail: ' '.' env RUN_DIR="$T/run" TIMEOUT=120 APPEND="$2" "$top/scripts/boot"
	grep -aF "$1" "$T/run/console.log" || fail "no word of '$1'"
}

test_boot_bad_module_parameter() {
	refuses 'hold_ms=50 is out of range: 100 to 5000' 'ptwalk.filter=ptwalk_free.* ptwalk_kunit.hold_ms=50'
	refuses 'modifiers=-all leaves nothing to do' 'ptwalk.run=torture ptwalk_torture.modifiers=-all'
}

test_boot_warns() { boots 1 '^ptwalk: fail: ' warn 120; judged 'WARNING: asked for'; }

test_boot_reports_too_few_results() {
	local rc=0
	needs_kernel
	RUN_DIR=$T/run TIMEOUT=120 APPEND='ptwalk.misbehave=short ptwalk.filter=ptwalk_free.*' "$top/scripts/boot" || rc=$?
	[ $rc -le 1 ]
	judged 'plan|results|promised|of [0-9]+'
}

test_boot_interrupted_leaves_no_qemu() {
	local pid i rc=0
	needs_kernel
	RUN_DIR=$T/run TIMEOUT=60 APPEND=ptwalk.misbehave=hang setsid env --default-signal=INT "$top/scripts/boot" >"$T/out" 2>&1 &
	pid=$!
	for ((i = 0; i < 300; i++)); do
		! grep -aqs '^run: ' "$T/run/verdict.log" || break
		sleep 0.1
	done
	pgrep -r R,S,D -g "$pid" -f qemu-system || fail 'QEMU never ran'
	kill -INT -- "-$pid"
	wait "$pid" || rc=$?
	[ $rc -eq 130 ] || fail "status $rc"
	sleep 0.5
	! pgrep -r R,S,D -g "$pid" -a || fail 'processes are left over'
}

run_tests
