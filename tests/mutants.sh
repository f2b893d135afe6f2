#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Tests of scripts/mutants: no mutant is lost on the way.

set -eu
. "$(dirname "$0")/lib.sh"
unset APPEND SUITE TORTURE REPLAY MUTANTS

# mutants ON BOOT: one mutant, killed by ptwalk_x.a, of a fake kernel; scripts/boot does BOOT
mutants() {
	local tree=$T/b/v6.12/tree/base s
	other_top scripts/boot '#!/bin/sh' "$2"
	for s in tree build module initrd torture; do echo '#!/bin/sh' >"$T/top/scripts/$s"; done
	mkdir "$T/top/tests/mutants"
	cp "$top/tests/expected" "$T/top/tests/"
	fake_kernel "$tree"
	git -C "$tree" branch patched
	echo bug >>"$tree/mm/gup.c"
	{
		printf '%s\n' 'Mutant: a bug' "On: $1" 'Killed-by: ptwalk_x.a' ---
		git -C "$tree" diff
	} >"$T/top/tests/mutants/01-bug.patch"
	git -C "$tree" checkout -q .
	BUILD=$T/b "$T/top/scripts/mutants" >"$T/out" 2>&1 || echo "status $?" >>"$T/out"
	cat "$T/out"
}

test_mutant_is_killed_in_its_own_folder() {
	# shellcheck disable=SC2016
	mutants ppc64le/hash 'd=$BUILD/$BASE/run/$ARCH-$FLAVOR-$MACHINE; mkdir -p $d; : >$d/console.log
		echo "4 panic: Kernel panic - $APPEND" >$d/result.txt; exit 4'
	grep -qx 'PASS mutant 01-bug on ppc64le/hash (killed by boot (panic: Kernel panic - ptwalk.filter=ptwalk_x.a))' "$T/out"
	[ -f "$T/b/mutant/v6.12/run/ppc64le-patched-hash/result.txt" ]
}

test_unknown_arch_is_a_failure() {
	mutants arm64 :
	grep -qx 'FAIL mutant 01-bug on arm64 (no such ARCH)' "$T/out"
	grep -qx 'status 1' "$T/out"
}

# A torture test that is refused, with the logs of another mutant in its folder
test_torture_of_another_mutant_is_not_judged() {
	local run=$T/b/mutant/v6.12/run/torture
	mkdir -p "$run"
	echo '[ 1.0] ptwalk-torture: !!! lost a page' >"$run/console.log"
	TORTURE=5 mutants x86_64 :
	grep -qx 'FAIL mutant 01-bug on x86_64 (survived: nothing noticed in torture)' "$T/out"
}

run_tests
