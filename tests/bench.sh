#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Tests of scripts/bench-report: what it takes for worse.

set -eu
. "$(dirname "$0")/lib.sh"

# [UNIT=] point KERNEL VALUE...: what the benchmark "fork" measured there
point() {
	local kernel=$1 v i=0
	shift
	mkdir -p "$T/points"
	for v; do i=$((i + 1)); echo "x86,$kernel,8,fork,8,$v,${UNIT:-ns},$i"; done >"$T/points/x86-$kernel-8-fork.csv"
}

report() { "$top/scripts/bench-report" "$T" >"$T/out" 2>&1; }

test_same_is_not_worse() {
	point base 1000 1000 1000
	point patched 1009 1009 1009
	report || fail "0.9 % more was not accepted"
	[ ! -s "$T/slower.txt" ] || fail "slower.txt is not empty"
	tail -n1 "$T/out" | grep -qx '1 benchmarks, 0 values worse, 0 of them for no known reason' || fail "$(tail -n1 "$T/out")"
}

test_two_percent_are_worse() {
	point base 1000 1000 1000
	point patched 1020 1020 1020
	if report; then fail "2 % more was accepted"; fi
	grep -q 'x86 fork 8 ns +2.0% unexplained' "$T/out" || fail "it does not say what is worse"
}

test_scatter_is_not_worse() {
	point base 1000 1000 1000 1200 1200
	point patched 1000 1000 1200 1200 1200
	report || fail "the same least value was not accepted"
}

test_better_median_is_not_worse() {
	point base 1000 1100 1100 1100 1200
	point patched 1050 1050 1050 1060 1200
	report || fail "a least value 5 % higher was not accepted, though the median is lower"
}

test_least_value_alone_is_not_worse() {
	point base 1000 1200 1200 1200 1200
	point patched 1195 1195 1202 1202 1202
	report || fail "a median 0.2 % higher was not accepted, though the quartiles overlap"
}

test_scatter_hides_nothing() {
	point base 1000 1000 1000 1200 1200
	point patched 1050 1050 1050 1200 1200
	if report; then fail "a least value 5 % higher was accepted"; fi
}

test_shootdown_left_out_is_not_worse() {
	UNIT=shootdown point base 62 63 62
	UNIT=shootdown point patched 63 63 63
	report || fail "not more shootdowns than base has had were not accepted"
}

test_more_shootdowns_are_worse() {
	UNIT=shootdown point base 7 7 7
	UNIT=shootdown point patched 7 7 8
	if report; then fail "a shootdown more was accepted"; fi
}

test_names_are_plotted() {
	local k x
	mkdir -p "$T/points"
	for k in base patched; do
		for x in 64-odd zap_table; do echo "x86,$k,2,giving_back,$x,1000,ns,1"; done >"$T/points/x86-$k-2-giving_back.csv"
	done
	report || fail "it stopped: $(tail -n1 "$T/out")"
	[ -s "$T/giving_back.svg" ] || fail "there is no plot"
	for x in 64-odd zap_table; do
		grep -q "$x" "$T/giving_back.svg" || fail "the plot has no name $x"
	done
}

# stub NAME LINE...: that instead of a script
stub() { printf '%s\n' '#!/bin/sh' "${@:2}" >"$T/top/scripts/$1"; }

test_a_new_kernel_is_measured_again() {
	local built=$T/b/v6.12/kernel/x86_64-base-bench/.ptwalk-built
	other_top tests/exceptions/bench '# none'
	for s in deps module initrd; do stub $s; done
	# shellcheck disable=SC2016
	stub build 'd=$BUILD/v6.12/kernel/$ARCH-$FLAVOR-$VARIANT; mkdir -p $BUILD/v6.12/log $d; [ -f $d/.ptwalk-built ] || touch $d/.ptwalk-built'
	# shellcheck disable=SC2016
	stub boot 'mkdir -p $RUN_DIR; printf "%s\n" bench,futex,8,1000,ns,1 "end: ok" >$RUN_DIR/verdict.log; echo $FLAVOR >>'"$T/booted"
	export BUILD=$T/b ARCH=x86_64 VARIANT=bench BENCH=futex
	"$T/top/scripts/bench"
	[ "$(sort "$T/booted" | paste -sd,)" = base,patched ] || fail "booted: $(paste -sd, "$T/booted")"
	"$T/top/scripts/bench"
	[ "$(wc -l <"$T/booted")" -eq 2 ] || fail 'measured twice'
	touch -d '+1 minute' "$built"
	"$T/top/scripts/bench"
	[ "$(sed 1,2d "$T/booted")" = base ] || fail "not measured again: $(paste -sd, "$T/booted")"
}

test_measurement_on_a_kernel_that_complains() {
	other_top tests/exceptions/bench '# none'
	for s in deps module initrd; do stub $s; done
	# shellcheck disable=SC2016
	stub build 'd=$BUILD/v6.12/kernel/$ARCH-$FLAVOR-$VARIANT; mkdir -p $BUILD/v6.12/log $d; touch $d/.ptwalk-built'
	# shellcheck disable=SC2016
	stub boot 'mkdir -p $RUN_DIR; printf "%s\n" bench,futex,8,1000,ns,1 "complaint: WARNING: x" "end: fail" >$RUN_DIR/verdict.log'
	if BUILD=$T/b ARCH=x86_64 VARIANT=bench BENCH=futex "$T/top/scripts/bench" >"$T/out" 2>&1; then fail 'it was accepted'; fi
	cat "$T/out"
	grep -q '^FAIL x86 base, 8 CPUs: complaint: WARNING: x ' "$T/out"
	! grep -r futex "$T/b/v6.12/bench/points"
}

test_no_measurements() {
	if report; then fail "no measurements were accepted"; fi
	grep -q 'no measurements' "$T/out" || fail "it does not say that there are none"
}

# with_reason REASON...: the report, with these in tests/exceptions/bench
with_reason() {
	other_top tests/exceptions/bench "$@"
	"$T/top/scripts/bench-report" "$T" >"$T/out" 2>&1
}

test_reason_is_printed() {
	point base 1000 1000 1000
	point patched 1020 1020 1020
	with_reason 'x86 fork 8 * -- forks cost more' || fail "a reason was not accepted"
	grep -q '^(1) forks cost more' "$T/out" || fail "the reason is not below the table"
}

test_reason_for_other_sizes_does_not_count() {
	point base 1000 1000 1000
	point patched 1020 1020 1020
	if with_reason 'x86 fork 16 ns -- forks cost more'; then fail "a reason for 16 was taken for 8"; fi
}

run_tests
