#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make apply and make unapply: every refusal leaves the tree as it was.

set -eu
. "$(dirname "$0")/lib.sh"

# apply DIR [TOPICS]; likewise unapply
apply() { PATCHES=$T/series KDIR=$1 TOPICS=${2-} "$top/scripts/apply"; }
unapply() { PATCHES=$T/series KDIR=$1 TOPICS=${2-} "$top/scripts/unapply"; }

# unchanged ERROR CURE DIR [COMMAND [TOPICS]]: apply, or COMMAND, refuses, and DIR
# is byte for byte the same
unchanged() {
	state "$3" >"$T/before"
	refused 2 "$1" "$2" "${4-apply}" "$3" "${5-}"
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

# stub PROGRAM PATTERN: that program fails if its arguments match
stub() {
	mkdir -p "$T/bin"
	# shellcheck disable=SC2016	# of that script
	printf '#!/bin/bash\ncase " $* " in %s) exit 2 ;; esac\nexec %s "$@"\n' "$2" "$(command -v "$1")" >"$T/bin/$1"
	chmod +x "$T/bin/$1"
}

test_plain_tree_that_cannot_be_restored() {
	local tar
	fake_series "$T/series"; fake_kernel "$T/k"; rm -rf "$T/k/.git"; cp -r "$T/k" "$T/source"
	stub git '*" --apply "*'
	stub tar '*" -xpf "*'
	PATH=$T/bin:$PATH TMPDIR=$T refused 2 "$T/k cannot be restored" 'orig.tar' apply "$T/k"
	tar=$(echo "$T"/tmp.*/orig.tar)
	tar -C "$T/k" -xpf "$tar"
	diff -r "$T/k" "$T/source"
}

test_apply_plain_inside_other_repository() {
	fake_series "$T/series"; git init -q "$T/outer"; fake_kernel "$T/outer/k"; rm -rf "$T/outer/k/.git"
	apply "$T/outer/k"
	diff -r -x .git "$T/outer/k" "$T/series.work"
}

test_apply_no_kdir() {
	fake_series "$T/series"
	refused 2 'no KDIR' 'make apply KDIR=' apply ''
	refused 2 'is not a folder' 'make apply KDIR=' apply "$T/nowhere"
}

test_apply_no_kernel_tree() {
	fake_series "$T/series"; mkdir "$T/k"; echo 'all:' >"$T/k/Makefile"
	unchanged 'is not a kernel source tree' 'top of a Linux source tree' "$T/k"
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
	printf '%s\n' 'tests 1-1 - Count.' 'words 2-3 - Count on.' >"$T/series/TOPICS"
	git -C "$T/k" am -q "$T"/series/0001-* "$T"/series/0002-*
	unchanged 'already carries the first 1 of 2 patches of topic words' 'from 0003-mm-gup-count-further.patch on' "$T/k"
}

test_apply_takes_fixes_of_later_sublevels_first() {
	fake_fix
	apply "$T/k" | grep 'later sublevels first: 0001-mm-gup-a-fix.patch'
	[ "$(git -C "$T/k" log --oneline source.. | wc -l)" -eq 2 ]
	[ "$(git -C "$T/k" rev-parse 'HEAD^{tree}')" = "$(git -C "$T/series.work" rev-parse 'fixed^{tree}')" ]
	unapply "$T/k"
	git -C "$T/k" log -1 --format=%s | grep -x 'mm/gup: a fix'
}

test_apply_leaves_out_fixes_that_are_there() {
	fake_fix
	git -C "$T/k" am -q "$T"/series/before/0001-*
	apply "$T/k"
	[ "$(git -C "$T/k" log --oneline source.. | wc -l)" -eq 2 ]
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

# both DIR: a git tree and a plain one, of the same files
both() { fake_kernel "$T/git"; cp -r "$T/git" "$T/plain"; rm -rf "$T/plain/.git"; }

same() { diff -r -x .git "$1" "$2" || fail "$1 and $2 differ"; }

test_apply_topic_with_what_it_needs() {
	fake_series "$T/series"; both
	for k in "$T/git" "$T/plain"; do
		apply "$k" further
		grep -q 'line ten' "$k/mm/gup.c"
		grep -q 'line fifty' "$k/mm/gup.c"
		[ ! -e "$k/mm/new.c" ]
		apply "$k"
		same "$k" "$T/series.work"
	done
	[ "$(git -C "$T/git" log --format=%s -n1)" = 'mm/memory: count in words too, with a subject that is longer than one line' ]
}

test_apply_topic_that_is_there() {
	fake_series "$T/series"; fake_kernel "$T/k"
	apply "$T/k" tests
	unchanged 'already carries tests' 'make unapply' "$T/k" apply tests
}

test_apply_unknown_topic() {
	fake_series "$T/series"; fake_kernel "$T/k"
	unchanged "unknown TOPICS 'collapse'" 'TOPICS= some of: tests memory further' "$T/k" apply 'tests collapse'
}

test_apply_chooses_the_base_by_version() {
	mkdir "$T/top"; cp -r "$top/scripts" "$T/top/"
	fake_series "$T/top/patches/v6.12"
	cp -r "$T/top/patches/v6.12" "$T/top/patches/v7.3"
	rm -rf "$T/top/patches/v6.12.work"
	sed -i 's/^UPSTREAM=.*/UPSTREAM=v7.3.4/' "$T/top/patches/v7.3/BASE"
	sed -i 's/line ten/line 0xa/' "$T/top/patches/v7.3"/*.patch
	fake_kernel "$T/k"
	sed -i 's/^VERSION.*/VERSION = 7/; s/^PATCHLEVEL.*/PATCHLEVEL = 3/; s/^SUBLEVEL.*/SUBLEVEL = 4/' "$T/k/Makefile"
	git -C "$T/k" commit -q -a -m 7.3.4
	KDIR=$T/k "$T/top/scripts/apply"
	grep 'line 0xa of gup' "$T/k/mm/gup.c"
	fake_kernel "$T/other"; sed -i 's/^PATCHLEVEL.*/PATCHLEVEL = 6/' "$T/other/Makefile"; git -C "$T/other" commit -q -a -m 6.6
	refused 2 'is Linux 6\.6, the series is for 6\.12\.y or 7\.3\.y' 'best v6\.12\.117 or v7\.3\.4' \
		env KDIR="$T/other" "$T/top/scripts/apply"
}

test_apply_leaves_no_worktree_and_no_configuration() {
	fake_series "$T/series"; fake_kernel "$T/k"
	cp "$T/k/.git/config" "$T/config"
	apply "$T/k"
	diff "$T/config" "$T/k/.git/config"
	[ ! -e "$T/k/.git/worktrees" ]
	[ "$(git -C "$T/k" for-each-ref --format='%(refname)')" = "$(printf '%s\n' refs/heads/main refs/tags/source)" ]
}

test_unapply_moves_the_branch_back() {
	fake_series "$T/series"; fake_kernel "$T/k"
	apply "$T/k"; unapply "$T/k"
	[ "$(git -C "$T/k" rev-parse HEAD)" = "$(git -C "$T/k" rev-parse source)" ]
	[ -z "$(git -C "$T/k" status --porcelain)" ]
}

test_unapply_adds_a_commit_if_others_have_them() {
	fake_series "$T/series"; fake_kernel "$T/k"
	apply "$T/k"; git -C "$T/k" tag mine; unapply "$T/k"
	[ "$(git -C "$T/k" rev-parse HEAD~1)" = "$(git -C "$T/k" rev-parse mine)" ]
	[ "$(git -C "$T/k" rev-parse 'HEAD^{tree}')" = "$(git -C "$T/k" rev-parse 'source^{tree}')" ]
	[ -z "$(git -C "$T/k" status --porcelain)" ]
}

test_unapply_keeps_what_came_after() {
	fake_series "$T/series"; fake_kernel "$T/k"
	apply "$T/k"; echo mine >"$T/k/mine"; git -C "$T/k" add mine; git -C "$T/k" commit -q -m mine
	unapply "$T/k"
	[ "$(git -C "$T/k" log --format=%s -n1 HEAD~1)" = mine ]
	[ "$(git -C "$T/k" diff --name-only source)" = mine ]
}

test_unapply_one_topic_then_all() {
	fake_series "$T/series"; both; cp -r "$T/plain" "$T/source"
	for k in "$T/git" "$T/plain"; do
		apply "$k"
		unapply "$k" memory
		[ ! -e "$k/mm/new.c" ]
		grep -q 'line fifty' "$k/mm/gup.c"
		unapply "$k"
		same "$k" "$T/source"
	done
}

test_unapply_refuses_what_is_needed() {
	fake_series "$T/series"; both
	for k in "$T/git" "$T/plain"; do
		apply "$k"
		unchanged 'tests memory: still needed by further' "TOPICS='tests memory further'" "$k" unapply 'tests memory'
	done
}

test_unapply_refuses_what_is_not_there() {
	fake_series "$T/series"; both
	for k in "$T/git" "$T/plain"; do
		unchanged 'carries no topic' 'nothing to do' "$k" unapply
		apply "$k" memory
		unchanged 'does not carry topic tests' 'it carries: memory' "$k" unapply tests
	done
}

test_unapply_refuses_changed_and_dirty() {
	fake_series "$T/series"; fake_kernel "$T/k"
	apply "$T/k"
	sed -i 's/line fifty/line 0x32/' "$T/k/mm/gup.c"
	unchanged 'not committed' 'git .* stash' "$T/k" unapply
	git -C "$T/k" commit -q -a -m mine
	unchanged 'does not carry topic further, or was changed on top' 'it carries: tests memory' "$T/k" unapply further
}

# real DIR [BASE]: the pinned source, only the files that the series changes
real() {
	local build=${BUILD:-$top/build}/${2-v6.12} g=(git -c safe.directory='*')
	unset PATCHES
	series=$top/patches/${2-v6.12} k=$1
	[ -e "$build/tree/patched/.git" ] || skip 'no build/tree/patched yet'
	sed -n 's/^diff --git a\/\(.*\) b\/.*/\1/p' "$series"/*.patch | cat - <(printf '%s\n' Makefile Kbuild mm/gup.c) | sort -u >"$T/files"
	mkdir "$k" "$k.patched"
	( cd "$build/tree/base"; "${g[@]}" ls-tree -r --name-only source | grep -xFf "$T/files" | xargs "${g[@]}" archive source ) | tar -xf - -C "$k"
	( cd "$build/tree/patched"; xargs "${g[@]}" archive HEAD ) <"$T/files" | tar -xf - -C "$k.patched"
	git init -q "$k"; git -C "$k" add -f .; git -C "$k" commit -q -m source; git -C "$k" tag source
	export KDIR=$k
}

# The series itself on the pinned source, as a user would: whole, less a topic,
# and not at all
test_apply_real_series() {
	real "$T/k"
	"$top/scripts/apply"
	same "$k" "$k.patched"
	env TOPICS=kvm-hv "$top/scripts/unapply"
	refused 2 'collapse: still needed by hash unshare docs' 'collapse hash unshare docs' env TOPICS=collapse "$top/scripts/unapply"
	"$top/scripts/unapply"
	git -C "$k" diff --exit-code source
}

test_apply_real_series_to_files() {
	real "$T/k"
	rm -rf "$k/.git"; cp -r "$k" "$k.source"
	"$top/scripts/apply"
	same "$k" "$k.patched"
	"$top/scripts/unapply"
	same "$k" "$k.source"
}

# each_topic BASE: each topic fits with what it needs, alone; then the rest on top of it.  In
# the index, where it takes seconds.
each_topic() {
	local t patched names rest files
	real "$T/k" "$1"
	git -C "$k" --work-tree="$k.patched" add -f .
	patched=$(git -C "$k" write-tree)
	export BASE=$1
	. "$top/scripts/lib/common.sh"
	. "$top/scripts/lib/patches.sh"
	export GIT_INDEX_FILE=$T/index
	load_topics
	cd "$k"
	for t in "${TOPIC[@]}"; do
		mapfile -t names < <(closure "$t")
		mapfile -t rest < <(printf '%s\n' "${TOPIC[@]}" | grep -vxFf <(printf '%s\n' "${names[@]}"))
		git read-tree source
		mapfile -t files < <(topic_files "${names[@]}")
		git apply --cached --whitespace=nowarn "${files[@]}" || fail "topic $t does not apply with what it needs"
		mapfile -t files < <(topic_files "${rest[@]}")
		git apply --cached --whitespace=nowarn "${files[@]}" || fail "the rest does not apply after topic $t"
		[ "$(git write-tree)" = "$patched" ] || fail "not the whole series after topic $t and the rest"
	done
}

test_apply_each_real_topic() { each_topic v6.12; }
test_apply_each_real_topic_of_v7_3() { each_topic v7.3; }

# Without moving a single file of the whole source that no patch touches
test_apply_real_series_to_the_whole_source() {
	local build=${BUILD:-$top/build}
	real "$T/small"
	git -c safe.directory='*' clone -q -s -n "$build/v6.12/tree/base" "$T/k"
	sed 's|^|/|' "$T/files" | git -C "$T/k" sparse-checkout set --no-cone --stdin
	git -C "$T/k" checkout -q -B mine source
	KDIR=$T/k "$top/scripts/apply"
	[ "$(git -C "$T/k" rev-parse 'HEAD^{tree}')" = "$(git -C "$build/v6.12/tree/patched" rev-parse 'HEAD^{tree}')" ] ||
		fail 'not what make tree makes'
}

run_tests
