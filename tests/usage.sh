#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Wrong variables and missing programs: named, with the cure.

set -eu
. "$(dirname "$0")/lib.sh"

m() { BUILD=$T/b make -s -C "$top" "$@"; }

# make itself turns every failure into status 2.
test_unknown_arch() {
	local t
	for t in kernel module boot torture run print-image check; do
		refused 2 "unknown ARCH 'mips'" 'one of: .*x86_64' m "$t" ARCH=mips
	done
	refused 2 'unknown ARCH' 'one of' m kernel ARCH=../x
	[ ! -e "$T/b/v6.12/kernel" ]
}

test_doctor_and_demo() {
	refused 2 "unknown ARCH 'mips'" 'some of: x86_64 ppc64le arm64' m doctor ARCH=mips
	refused 2 "unknown ARCH 'mips'" 'some of: .*x86_64' m demo ARCH=mips
	refused 2 "unknown ARCH 'mips'" 'some of: .*x86_64' m deps ARCH='x86_64 mips'
	refused 2 "unknown MACHINE 'pc'" 'some of: x86 ' m lava MACHINE=pc
	PATH=$(without aarch64-linux-gnu-gcc) refused 2 'no aarch64-linux-gnu-gcc' 'apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross' \
		m doctor ARCH=arm64
}

test_unknown_machine() {
	refused 2 "unknown MACHINE 'radix' for ARCH=x86_64" 'one of: x86' m boot ARCH=x86_64 MMU=radix
	refused 2 "unknown MACHINE 'nohash'" 'one of: radix hash powernv' m boot ARCH=ppc64le MACHINE=nohash
	refused 2 "unknown MACHINE 'nohash'" 'some of: x86 ' m run MACHINE=nohash
}

test_unknown_flavor() {
	local t
	for t in kernel module boot tree print-image check; do
		refused 2 "unknown FLAVOR 'new'" 'FLAVOR=base .*FLAVOR=patched' m "$t" FLAVOR=new
	done
}

test_unknown_variant() {
	refused 2 "DEBUG= is not a variable" 'VARIANT=kasan' m kernel DEBUG=kasan
	refused 2 "DEBUG= is not a variable" 'VARIANT=kasan' m variants DEBUG=kasan
	refused 2 "unknown VARIANT 'x'" 'one of: .*4k .*kasan .*tracking' m kernel VARIANT=x
	refused 2 'KCONFIG_EXTRA without VARIANT' 'VARIANT=name' m kernel KCONFIG_EXTRA=/dev/null
	refused 2 'no kernel in' 'make kernel ARCH=x86_64 FLAVOR=base VARIANT=kasan BASE=v7.3$' \
		m module ARCH=x86_64 FLAVOR=base VARIANT=kasan BASE=v7.3
	refused 2 'cannot read KCONFIG_EXTRA' 'CONFIG_X=y' m kernel KCONFIG_EXTRA=/nowhere VARIANT=a
}

test_unknown_names() {
	refused 2 "no mutant is called 'x y'" 'tests/mutants/v6.12' m mutants MUTANTS='x y'
	refused 2 'BASE=v9 has no mutants' 'tests/mutants/v9/.* v6.12 v7.3' m mutants BASE=v9
	refused 2 "unknown VARIANT 'x'" 'some of: .*kasan .*4k' m variants VARIANT='rt x'
	refused 2 "nothing in list 'variants'" 'matrix.list' m variants ARCH=x86_64 VARIANT=4k
}

test_jobs_and_suites() {
	refused 2 "JOBS='0' is not a number" 'JOBS=[1-9]' m models JOBS=0
	refused 2 "unknown SUITES 'kunits'" 'SUITES= some of: lint .*kunit' m check SUITES='lint kunits'
	[ ! -e "$T/b/v6.12/log" ]
}

test_torture_duration_and_seed() {
	refused 2 "DURATION='1h' is not a number" 'DURATION=seconds' m torture DURATION=1h
	refused 2 'DURATION=0 would never end' 'DURATION=60' m torture DURATION=0
	refused 2 "SEED='x' is not a number" 'SEED=what a run printed' m torture SEED=x
	refused 2 "TORTURE='1m' is not a number" 'TORTURE=30' m mutants TORTURE=1m
	refused 2 'REPLAY=1 repeats a torture test' 'SEED=7' m mutants REPLAY=1
	refused 2 'REPLAY=1 repeats a torture test' 'SEED=7' m mutants REPLAY=1 TORTURE=15
	[ ! -e "$T/b/v6.12/kernel" ]
}

test_print_image_prints_only_the_path() {
	[ "$(m print-image ARCH=x86_64 FLAVOR=base)" = "$T/b/v6.12/kernel/x86_64-base/vmlinux" ]
	[ "$(m print-image ARCH=ppc64le FLAVOR=patched VARIANT=kasan)" = "$T/b/v6.12/kernel/ppc64le-patched-kasan/vmlinux" ]
}

test_missing_compiler() {
	PATH=$(without gcc powerpc64le-linux-gnu-gcc)
	refused 2 "'gcc' is not installed" 'scripts/deps' m kernel ARCH=x86_64
	refused 2 "'powerpc64le-linux-gnu-gcc' is not installed" 'scripts/deps' m kernel ARCH=ppc64le
}

test_missing_qemu() {
	PATH=$(without qemu-system-x86_64)
	touch "$T/kernel" "$T/initrd"
	refused 6 'qemu-system-x86_64 is not installed' 'scripts/deps' \
		env BUILD="$T/b" KERNEL="$T/kernel" INITRD="$T/initrd" ARCH=x86_64 FLAVOR=base "$top/scripts/boot"
}

test_qemu_that_is_killed_is_no_hang() {
	mkdir "$T/bin"
	# shellcheck disable=SC2016	# of that script
	printf '#!/bin/sh\n[ "$1" != --version ] || exit 0\nkill -9 $$\n' >"$T/bin/qemu-system-x86_64"
	chmod +x "$T/bin/qemu-system-x86_64"
	PATH=$T/bin:$PATH
	touch "$T/kernel" "$T/initrd"
	refused 6 'QEMU stopped with status 137' 'by hand' env BUILD="$T/b" KERNEL="$T/kernel" INITRD="$T/initrd" \
		ARCH=x86_64 FLAVOR=base ACCEL=tcg TIMEOUT=100 "$top/scripts/boot"
}

# A dpkg that knows nothing, and somebody who is not root
test_missing_packages_as_user() {
	mkdir "$T/bin"
	printf '#!/bin/sh\nexit 1\n' >"$T/bin/dpkg-query"
	printf '#!/bin/sh\necho 1000\n' >"$T/bin/id"
	chmod +x "$T"/bin/*
	PATH=$T/bin:$PATH
	refused 2 'packages are missing: .*qemu-system-ppc' 'apt-get update && apt-get install .*qemu-system-x86' m run
	refused 2 'packages are missing: .*shellcheck' 'run as root' m check
}

test_clean_only_in_a_build_folder() {
	mkdir -p "$T"/mine/module "$T"/b/{,mutant/}v6.12/{kernel,tree} "$T/b/download/x"
	refused 2 'nothing removed' 'BUILD= must name a build folder' make -s -C "$top" clean BUILD="$T/mine"
	refused 2 'nothing removed' 'BUILD= must name a build folder' make -s -C "$top" clean BUILD=.
	[ -d "$T/mine/module" ] && [ -d "$top/module" ] && [ -d "$top/guest" ]
	( BUILD=$T/b; . "$top/scripts/lib/common.sh"; make_build )
	touch "$T/b/v6.12/ledger"
	CDPATH=$T m clean
	[ -f "$T/b/v6.12/ledger" ]
	( cd "$T/b" && find . -type d | sort ) | diff - <(printf '%s\n' . ./download ./download/x ./mutant ./mutant/v6.12 ./mutant/v6.12/tree ./v6.12 ./v6.12/tree)
	m clean BUILD="$T/nowhere"
}

test_unknown_options() {
	refused 2 "unknown option '--bild'" '--help' "$top/scripts/boot" --bild
	refused 2 "unknown option '--image'" '--help' "$top/scripts/build" --image
	refused 2 'no list given' 'matrix.list' "$top/scripts/matrix"
	refused 2 'cannot read' 'make boot' "$top/scripts/junit" --ktap
	refused 2 'cannot read the ledger' 'tests/ledger' "$top/scripts/table" --ledger
	refused 2 "no folder ''" 'bench' "$top/scripts/bench-report"
}

test_help_names_every_target() {
	local t
	m help >"$T/help"
	for t in $(sed -n '/^TARGETS :=/,/[^\\]$/p' "$top/Makefile" | sed 's/^TARGETS :=//; s/\\$//') print-image; do
		grep -qw -- "$t" "$T/help" || fail "$t is not in make help"
	done
}

run_tests
