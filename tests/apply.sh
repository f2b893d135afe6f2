#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make apply: every refusal leaves the tree as it was.

set -eu
. "$(dirname "$0")/lib.sh"

apply() { PATCHES=$T/series KDIR=$1 "$top/scripts/apply"; }

# unchanged ERROR CURE DIR: apply refuses, and DIR is byte for byte the same
unchanged() {
	state "$3" >"$T/before"
	refused 2 "$1" "$2" apply "$3"
	state "$3" | diff "$T/before" - || fail 'the tree was changed'
}

test_apply_git() {
	fake_series "$T/series"; fake_kernel "$T/k"
	apply "$T/k"
	[ "$(git -C "$T/k" rev-parse 'HEAD^{tree}')" = "$(git -C "$T/series.work" rev-parse 'HEAD^{tree}')" ]
	[ "$(git -C "$T/k" log --oneline source.. | wc -l)" -eq 3 ]
	[ -z "$(git -C "$T/k" status --porcelain)" ]
}

test_apply_plain() {
	fake_series "$T/series"; fake_kernel "$T/k"; rm -rf "$T/k/.git"
	apply "$T/k"
	diff -r -x .git "$T/k" "$T/series.work"
}

test_apply_plain_inside_other_repository() {
	fake_series "$T/series"; git init -q "$T/outer"; fake_kernel "$T/outer/k"; rm -rf "$T/outer/k/.git"
	apply "$T/outer/k"
	diff -r -x .git "$T/outer/k" "$T/series.work"
}

test_apply_no_kdir() {
	fake_series "$T/series"
	refused 2 'no KDIR' 'make apply KDIR=' apply ''
	refused 2 'no folder' 'make apply KDIR=' apply "$T/nowhere"
}

test_apply_no_kernel_tree() {
	fake_series "$T/series"; mkdir "$T/k"; echo 'all:' >"$T/k/Makefile"
	unchanged 'no kernel source tree' 'top of a Linux source tree' "$T/k"
}

test_apply_other_version() {
	fake_series "$T/series"; fake_kernel "$T/k"
	sed -i 's/^PATCHLEVEL.*/PATCHLEVEL = 6/' "$T/k/Makefile"; git -C "$T/k" commit -q -a -m 6.6
	unchanged 'is Linux 6\.6, the series is for 6\.12\.y' 'v6\.12\.117' "$T/k"
}

test_apply_other_sublevel_only_notice() {
	fake_series "$T/series"; fake_kernel "$T/k"
	sed -i 's/^SUBLEVEL.*/SUBLEVEL = 99/' "$T/k/Makefile"; git -C "$T/k" commit -q -a -m 6.12.99
	apply "$T/k" 2>&1 | grep 'notice: .* is Linux 6.12.99'
	[ "$(git -C "$T/k" log --oneline source.. | wc -l)" -eq 4 ]
}

test_apply_dirty() {
	fake_series "$T/series"; fake_kernel "$T/k"
	echo mine >>"$T/k/mm/memory.c"
	unchanged 'not committed' 'git .* stash' "$T/k"
}

test_apply_in_the_middle_of_am() {
	fake_series "$T/series"; fake_kernel "$T/k"
	mkdir "$T/k/.git/rebase-apply"
	unchanged 'in the middle of' 'finish or abort' "$T/k"
}

test_apply_already_whole() {
	fake_series "$T/series"; fake_kernel "$T/k"
	apply "$T/k"
	unchanged 'already carries the whole series \(3 patches\)' 'nothing to do' "$T/k"
	rm -rf "$T/k/.git"
	unchanged 'already carries the whole series \(3 patches\)' 'nothing to do' "$T/k"
}

test_apply_already_in_part() {
	fake_series "$T/series"; fake_kernel "$T/k"
	git -C "$T/k" am -q "$T"/series/0001-* "$T"/series/0002-*
	unchanged 'already carries the first 2 of 3' 'from 0003-mm-gup-count-further.patch on' "$T/k"
}

misfit() {
	sed -i 's/^line 49 .*/something else/' "$1/mm/gup.c"
	git -C "$1" commit -q -a -m 'local change'
}

test_apply_names_patch_and_hunk() {
	fake_series "$T/series"; fake_kernel "$T/k"; misfit "$T/k"
	unchanged 'does not fit' 'port 0003-mm-gup-count-further.patch by hand' "$T/k"
	grep -q 'does not fit: 0003-mm-gup-count-further.patch' "$T/refused"
	grep -q 'file mm/gup.c, hunk at line 47' "$T/refused"
	grep -q '+line fifty of gup' "$T/refused"
	[ -z "$(git -C "$T/k" fsck --dangling --no-progress)" ]	# no objects either
}

test_apply_names_patch_and_hunk_plain() {
	fake_series "$T/series"; fake_kernel "$T/k"; misfit "$T/k"; rm -rf "$T/k/.git"
	unchanged 'does not fit' 'port 0003-mm-gup-count-further.patch by hand' "$T/k"
	grep -q '+line fifty of gup' "$T/refused"
}

test_apply_file_in_the_way() {
	fake_series "$T/series"; fake_kernel "$T/k"
	echo untracked >"$T/k/mm/new.c"
	unchanged 'mm/new.c' 'move' "$T/k"
}

test_apply_without_identity() {
	fake_series "$T/series"; fake_kernel "$T/k"
	unset GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL
	git -C "$T/k" config user.useConfigOnly true
	apply "$T/k"
	[ "$(git -C "$T/k" log --oneline source.. | wc -l)" -eq 3 ]
}

# The series itself on the pinned source, as a user would
test_apply_real_series() {
	local build=${BUILD:-$top/build}
	[ -e "$build/tree/patched/.git" ] || skip 'no build/tree/patched yet'
	git -c safe.directory='*' -C "$build/tree/base" diff --quiet HEAD || skip 'build/tree has local changes'
	git -c safe.directory='*' clone -q -s -n "$build/tree/base" "$T/k"
	cd "$T/k"
	sed -n 's/^diff --git a\/\(.*\) b\/.*/\/\1/p' "$top"/patches/v6.12/*.patch |
		cat - <(printf '/%s\n' Makefile Kbuild mm/gup.c) | git sparse-checkout set --no-cone --stdin
	git checkout -q -B mine "$(git -C "$build/tree/base" rev-list HEAD | tail -n1)"
	KDIR=$T/k "$top/scripts/apply"
	[ "$(git rev-parse 'HEAD^{tree}')" = "$(git -C "$build/tree/patched" rev-parse 'HEAD^{tree}')" ] ||
		fail 'not what make tree makes'
}

run_tests
