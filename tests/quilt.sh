#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make quilt: what it writes is what make apply applies.

set -eu
. "$(dirname "$0")/lib.sh"

quilt() { PATCHES=$T/series DIR=$1 TOPICS=${2-} REMOVE=${3-} "$top/scripts/quilt"; }

# as_listed TREE DIR: the patches of DIR/series
as_listed() {
	local f
	while read -r f; do patch -d "$1" -p1 -s -F0 <"$2/$f"; done <"$2/series"
}

test_quilt_is_what_apply_applies() {
	fake_series "$T/series"; fake_kernel "$T/k"; mkdir "$T/p"
	quilt "$T/p"
	as_listed "$T/k" "$T/p"
	diff -r -x .git "$T/k" "$T/series.work"
}

# The tree lacks the fix at first.
test_quilt_puts_fixes_of_later_sublevels_first() {
	fake_fix; mkdir -p "$T/k/debian/patches"
	quilt "$T/k/debian/patches"
	as_listed "$T/k" "$T/k/debian/patches"
	[ "$(wc -l <"$T/k/debian/patches/series")" -eq 2 ]
	diff "$T/k/mm/gup.c" "$T/series.work/mm/gup.c"
	quilt "$T/k/debian/patches"
	[ "$(wc -l <"$T/k/debian/patches/series")" -eq 1 ]
}

test_quilt_comes_after_what_is_there() {
	fake_series "$T/series"; mkdir "$T/p"; printf 'own.patch' >"$T/p/series"
	quilt "$T/p" further
	quilt "$T/p" further
	diff <(printf '%s\n' own.patch ptwalk/0001-mm-gup-count-in-words.patch ptwalk/0003-mm-gup-count-further.patch) "$T/p/series"
}

test_quilt_takes_out_what_it_has_put_in() {
	fake_series "$T/series"; mkdir "$T/p"; echo own.patch >"$T/p/series"
	quilt "$T/p"
	quilt "$T/p" '' 1
	[ "$(cat "$T/p/series")" = own.patch ] && [ ! -e "$T/p/ptwalk" ]
}

# The version of the package's tree chooses the base.
test_quilt_takes_the_base_of_the_tree() {
	local v
	for v in 6.12 7.3; do
		mkdir -p "$T/$v/debian/patches" "$T/$v/mm"
		touch "$T/$v/Kbuild" "$T/$v/mm/gup.c"
		printf 'VERSION = %s\nPATCHLEVEL = %s\nSUBLEVEL = 9\n' "${v%.*}" "${v#*.}" >"$T/$v/Makefile"
		( unset BASE PATCHES; DIR=$T/$v/debian/patches "$top/scripts/quilt" ) >"$T/out" 2>&1
		cat "$T/out"
		grep -q "patches for $v.y" "$T/out"
		diff <(cd "$top/patches/v$v" && printf '%s\n' 0*.patch | sed 1d) \
			<(sed -n 's|^ptwalk/\(0\)|\1|p' "$T/$v/debian/patches/series")
	done
}

test_quilt_refuses() {
	fake_series "$T/series"; mkdir "$T/p"
	refused 2 'no DIR' 'make quilt DIR=' quilt ''
	refused 2 'is not a folder' 'file series' quilt "$T/nowhere"
	refused 2 "unknown TOPICS 'more'" 'some of: tests' quilt "$T/p" more
	refused 2 'removes the whole series' 'leave out TOPICS=' quilt "$T/p" memory 1
	refused 2 'has no file series' 'nothing to remove' quilt "$T/p" '' 1
	[ -z "$(ls "$T/p")" ]
	fake_kernel "$T/k"; mkdir -p "$T/k/debian/patches"
	sed -i 's/^PATCHLEVEL.*/PATCHLEVEL = 99/' "$T/k/Makefile"
	refused 2 'the series is for' 'check out such a release' quilt "$T/k/debian/patches"
}

test_quilt_that_fails_changes_nothing() {
	fake_fix; mkdir -p "$T/k/debian/patches"; quilt "$T/k/debian/patches"
	state "$T/k/debian" >"$T/before"
	PATH=$(without patch) refused 2 "'patch' is not installed" 'scripts/deps' quilt "$T/k/debian/patches"
	mkdir "$T/bin"
	printf '#!/bin/sh\nexit 1\n' >"$T/bin/cp"
	chmod +x "$T/bin/cp"
	if PATH=$T/bin:$PATH quilt "$T/k/debian/patches"; then fail 'status 0'; fi
	state "$T/k/debian" | diff "$T/before" -
}

run_tests
