#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make tree and make series, on a source of a few files.

set -eu
. "$(dirname "$0")/lib.sh"

tree() { BUILD=$T/b PATCHES=$T/p FLAVOR=${1-patched} FORCE=${2-} "$top/scripts/tree"; }
series() { BUILD=$T/b PATCHES=$T/p "$top/scripts/series"; }

test_tree_same_commits_every_time() {
	fake_source "$T/b" "$T/p"; tree; tree base
	git -C "$T/b/v6.12/tree/patched" rev-parse HEAD >"$T/first"
	[ "$(git -C "$T/b/v6.12/tree/patched" log --oneline source.. | wc -l)" -eq 3 ]
	[ "$(git -C "$T/b/v6.12/tree/base" log --oneline source.. | wc -l)" -eq 1 ]
	rm -rf "$T/b/v6.12/tree"; tree
	git -C "$T/b/v6.12/tree/patched" rev-parse HEAD | diff "$T/first" -
}

test_tree_then_series_gives_the_same_patches() {
	fake_source "$T/b" "$T/p"; cp -r "$T/p" "$T/before"
	tree; series; diff -r "$T/before" "$T/p"
	series; diff -r "$T/before" "$T/p"
}

test_tree_rewrites_only_what_a_patch_changes() {
	fake_source "$T/b" "$T/p"; tree
	find "$T/b/v6.12/tree/patched" -name '*.c' -exec touch -d 2001-01-01 {} +
	git -C "$T/b/v6.12/tree/patched" update-index -q --refresh || :
	sed -i 's/^+line fifty/+line FIFTY/' "$T"/p/0003-*; tree
	grep -q 'line FIFTY' "$T/b/v6.12/tree/patched/mm/gup.c"
	[ "$(find "$T/b/v6.12/tree/patched" -name '*.c' -newermt 2002-01-01 -printf '%P\n')" = mm/gup.c ]
}

test_tree_does_not_lose_edits() {
	fake_source "$T/b" "$T/p"; tree
	echo edit >>"$T/b/v6.12/tree/patched/mm/gup.c"
	tree	# the patches are the same: a notice, and the edit stays
	sed -i 's/^+line fifty/+line FIFTY/' "$T"/p/0003-*
	refused 2 'changes of yours' 'make series; .* FORCE=1' tree
	grep -q '^edit' "$T/b/v6.12/tree/patched/mm/gup.c"
	tree patched 1
	[ "$(grep -c '^edit' "$T/b/v6.12/tree/patched/mm/gup.c")" -eq 0 ]
	git -C "$T/b/v6.12/tree/patched" grep -q '^edit' "$(git -C "$T/b/v6.12/tree/patched" branch --format='%(refname:short)' --list 'kept/*')" -- mm/gup.c
}

test_series_takes_commits_and_drops_stale_files() {
	fake_source "$T/b" "$T/p"; tree
	cd "$T/b/v6.12/tree/patched"
	git reset -q --hard HEAD~1
	echo more >>mm/memory.c; git commit -q -a -m 'mm: more'
	series
	[ ! -e "$T"/p/0003-mm-gup-count-further.patch ]
	grep -q '^+more' "$T"/p/0003-mm-more.patch
	[ "$(cat "$T"/p/0000-*)" = cover ]
	tree	# and the tree is what the patches say
	git log -1 --format=%s | grep -qx 'mm: more'
}

test_series_refuses_uncommitted_edits() {
	fake_source "$T/b" "$T/p"; tree
	echo edit >>"$T/b/v6.12/tree/patched/mm/gup.c"
	refused 2 'not committed' 'commit --amend' series
}

test_tree_names_a_patch_that_does_not_apply() {
	fake_source "$T/b" "$T/p"
	sed -i 's/^-line 50/-line 51/' "$T"/p/0003-*
	refused 2 'does not apply' 'named above' tree
	grep -q 'does not fit: 0003-mm-gup-count-further.patch' "$T/refused"
}

# Another source under the old tree would be a series that "does not apply".
test_tree_notices_another_base() {
	local dir=$T/b/download name=linux-source-6.12_6.12
	fake_source "$T/b" "$T/p"
	tree
	cp "$dir/$name.117-0test.tar.xz" "$dir/$name.118-0test.tar.xz"
	sed -i 's/^DEBIAN=.*/DEBIAN=6.12.118-0test/' "$T/p/BASE"
	refused 2 "is of $name.117-0test.*names another source, $name.118-0test" 'take work of yours out' tree
}

test_tree_ignores_the_users_git_configuration() {
	fake_source "$T/b" "$T/p"; tree
	git -C "$T/b/v6.12/tree/patched" rev-parse HEAD >"$T/first"
	rm -rf "$T/b/v6.12/tree"
	unset GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
	mkdir "$T/home"
	printf '[commit]\n\tgpgsign = true\n[core]\n\tautocrlf = true\n\thooksPath = /nowhere\n[diff]\n\tnoprefix = true\n[format]\n\tsignature = me\n' >"$T/home/.gitconfig"
	export HOME=$T/home
	tree
	git -C "$T/b/v6.12/tree/patched" rev-parse HEAD | diff "$T/first" -
	cp -r "$T/p" "$T/before"; series; diff -r "$T/before" "$T/p"
}

test_bytes_of_the_real_series() {
	local build=${BUILD:-$top/build}
	[ -e "$build/v6.12/tree/patched/.git" ] || skip 'no build/tree/patched yet'
	cp -r "$top/patches/v6.12" "$T/p"
	unset PATCHES
	FLAVOR=patched "$top/scripts/tree"
	# As if regenerated, without touching the real ones
	cp "$build/v6.12/tree/patched.stamp" "$T/stamp"
	PATCHES=$T/p "$top/scripts/series"
	cp "$T/stamp" "$build/v6.12/tree/patched.stamp"
	diff -r "$top/patches/v6.12" "$T/p"
}

# TOPICS says where each patch belongs
test_tree_refuses_topics_that_do_not_fit_the_series() {
	fake_source "$T/b" "$T/p"
	sed -i 's/^further 3-3/further 3-4/' "$T/p/TOPICS"
	refused 2 'ends with patch 4, the series with 3' 'correct the ranges' tree
	sed -i 's/^further 3-4/further 2-3/' "$T/p/TOPICS"
	refused 2 'further does not begin with patch 3' 'correct the ranges' tree
	sed -i 's/^further.*/further 3-3 later Count./' "$T/p/TOPICS"
	refused 2 'further needs later, which is not before it' 'reorder the series' tree
}

test_tree_names_the_bases() {
	refused 2 'no .*/patches/v6.13/BASE' 'BASE= one of: .*v6\.12' env BASE=v6.13 BUILD="$T/b" FLAVOR=patched "$top/scripts/tree"
}

test_bisect_leaves_no_topic_out() {
	fake_source "$T/b" "$T/p"; tree
	git -C "$T/b/v6.12/tree/patched" reset -q --hard HEAD~1
	refused 2 'has 2 commits, the series 3' 'make series' env BUILD="$T/b" PATCHES="$T/p" "$top/scripts/bisect"
}

# shellcheck disable=SC2016	# the scripts are code in quotes
test_bisect_boots_each_topic_with_what_it_needs() {
	local s
	fake_source "$T/b" "$T/p"; tree; tree base
	other_top scripts/boot '#!/bin/sh' 'mkdir -p "$RUN_DIR"; echo "$RUN_DIR" >>"$BUILD/booted"'
	echo 'echo "topics: $5" >>"$BUILD/booted"; case $5 in *memory*) echo "FAIL ptwalk_x.a (why)" ;; *) echo "PASS ptwalk_x.a" ;; esac' >"$T/top/scripts/judge"
	for s in build module initrd; do echo '#!/bin/sh' >"$T/top/scripts/$s"; done
	mkdir "$T/top/guest" "$T/top/module"
	: >"$T/top/Kconfig.fragment"
	if BUILD=$T/b PATCHES=$T/p BOOT=1 MACHINE=x86 "$T/top/scripts/bisect" >"$T/out" 2>"$T/err"; then fail 'status 0'; fi
	cat "$T/err" "$T/out" "$T/b/booted"
	grep -E '^(PASS|FAIL|[0-9])' "$T/out" | diff - <(cat <<-'END'
	PASS boot tests x86 (1 passed, 0 failed, 0 skipped)
	FAIL memory/x86/ptwalk_x.a (why)
	FAIL boot memory x86 (0 passed, 1 failed, 0 skipped)
	PASS boot further x86 (1 passed, 0 failed, 0 skipped)
	2 of 3 boots passed
	END
	)
	sed -n 's/^topics: //p' "$T/b/booted" | diff - <(printf '%s\n' tests 'tests memory' 'tests further')
	cut -f1,2,6 "$T/b/v6.12/ledger" | grep -P '^topic\tmemory x86\t0 passed, 1 failed'
	rm "$T/b/booted"
	BUILD=$T/b PATCHES=$T/p BOOT=1 MACHINE=x86 TOPICS=further "$T/top/scripts/bisect" 2>"$T/err" |
		diff - <(printf '%s\n' 'PASS boot further x86 (1 passed, 0 failed, 0 skipped, before)' '1 of 1 boots passed')
	[ ! -e "$T/b/booted" ]
	refused 2 'BOOT=1 needs a whole kernel' 'leave out ALL= and QUICK=' \
		env BUILD="$T/b" PATCHES="$T/p" BOOT=1 QUICK=1 "$T/top/scripts/bisect"
}

run_tests
