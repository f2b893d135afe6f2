# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154	# variables of those that source this, and of common.sh
# KDIR, a Linux tree of the user: code that apply and unapply share.  Sourcing this file
# sets kind (git or plain), the topics of the tree's base, carried (those that are in the
# tree), and tmp, a folder that is removed at the end.

given=${PATCHES-}${BASE-}	# for choose_base
. "${BASH_SOURCE[0]%/*}/common.sh"
. "${BASH_SOURCE[0]%/*}/patches.sh"
usage "$@"
need git
example="make ${0##*/} KDIR=/path/to/linux"
export GIT_OPTIONAL_LOCKS=0

kgit() { git -C "$KDIR" "$@"; }

# A tree that merely lies inside some other repository is a plain one.
kind_of_tree() {
	local root
	[ -e "$KDIR/.git" ] || { echo plain; return; }
	root=$(kgit rev-parse --show-toplevel) || die "git cannot use $KDIR" "see git's message above"
	[ "$root" = "$KDIR" ] || die "$KDIR is not the top of its git tree" "KDIR=$root"
	echo git
}

check_clean() {
	local d changed
	for d in rebase-apply rebase-merge MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD; do
		[ ! -e "$(kgit rev-parse --path-format=absolute --git-path "$d")" ] ||
			die "$KDIR is in the middle of a git am, rebase or merge" "finish or abort it first"
	done
	changed=$(kgit status --porcelain --untracked-files=no | head -n5)
	[ -z "$changed" ] || {
		printf '%s\n' "$changed" >&2
		die "$KDIR has changes that are not committed" "git -C $KDIR stash (or commit them), then again"
	}
}

identity() {
	kgit var GIT_COMMITTER_IDENT >/dev/null 2>&1 && return
	warn "git knows no name for you (git config user.name); committing as ptwalk"
	export GIT_{COMMITTER,AUTHOR}_NAME=ptwalk GIT_{COMMITTER,AUTHOR}_EMAIL=ptwalk@localhost
}

# patch_tree OPTION...: applies the patches on stdin, all of them or none
patch_tree() { ( cd "$KDIR" && GIT_CEILING_DIRECTORIES=${KDIR%/*} git apply --whitespace=nowarn "$@" ); }

# fits [-R] PATCH...: whether they can be applied in this order, or all removed (-R).
# A git tree is clean, so its index is enough.
fits() {
	local option=(--check)
	[ "$kind" = plain ] || option+=(--cached)
	[ "$1" != -R ] || { option+=(-R); shift; }
	cat "$@" | patch_tree "${option[@]}" 2>"$tmp/err"
}

is_carried() { case " ${carried[*]} " in *" $1 "*) ;; *) return 1 ;; esac; }

# Sets carried: the topics that can be removed, searched from the last one backwards
find_carried() {
	local i later=() own
	carried=()
	for ((i = ${#TOPIC[@]} - 1; i >= 0; i--)); do
		mapfile -t own < <(topic_files "${TOPIC[i]}")
		fits -R "${own[@]}" "${later[@]}" || continue
		later=("${own[@]}" "${later[@]}")
		carried=("${TOPIC[i]}" "${carried[@]}")
	done
}

refuse_if_in_part() {
	local t n own
	for t in "${TOPIC[@]}"; do
		mapfile -t own < <(topic_files "$t")
		for ((n = ${#own[@]} - 1; n > 0; n--)); do
			if ! is_carried "$t" && fits -R "${own[@]:0:n}"; then
				die "$KDIR already carries the first $n of ${#own[@]} patches of topic $t" \
					"git am the rest of them, from ${own[n]##*/} on; or take those $n out first"
			fi
		done
	done
}

# patch_each -R|--apply WHERE PATCH...: one by one, because git would leave a file that
# one patch changes and the next one removes.
patch_each() {
	local how=$1 where=$2 f
	shift 2
	printf '%s\n' "$@" | if [ "$how" = -R ]; then tac; else cat; fi |
		while read -r f; do patch_tree "$how" "$where" <"$f"; done
}

# change_files -R|--apply PATCH...: changes a plain tree
change_files() {
	local f
	touched "${@:2}" >"$tmp/touched"
	while read -r f; do [ ! -e "$KDIR/$f" ] || echo "$f"; done <"$tmp/touched" |
		tar -C "$KDIR" --format=posix -cf "$tmp/orig.tar" -T -
	changing=yes
	patch_each "$1" --apply "${@:2}"
	changing=
}

undo_files() {
	local f
	while read -r f; do
		rm -f "$KDIR/$f"
		rmdir -p --ignore-fail-on-non-empty "$KDIR/${f%/*}" 2>/dev/null || :
	done <"$tmp/touched"
	tar -C "$KDIR" -xpf "$tmp/orig.tar"
}

# The only step that changes a git tree must not be interrupted.
move() { trap '' INT TERM HUP; kgit "$@"; }

cleanup() {
	local rc=$?
	trap '' INT TERM HUP
	[ -z "$changing" ] || undo_files ||
		die "$KDIR cannot be restored" "its files are in $tmp/orig.tar: tar -C $KDIR -xpf $tmp/orig.tar"
	[ ! -e "$tmp/tree" ] || kgit worktree remove --force "$tmp/tree"
	if [ $rc -ne 0 ] && [ -n "$begun" ]; then warn "interrupted or failed: $KDIR is as it was"; fi
	rm -rf "$tmp"
	exit $rc
}

[ -n "${KDIR-}" ] || die "no KDIR given" "$example"
[ -d "$KDIR" ] || die "KDIR=$KDIR is not a folder" "$example"
KDIR=$(cd "$KDIR" && pwd -P)
choose_base
load_topics
check_words TOPICS "${TOPICS-}" "${TOPIC[*]}"
kind=$(kind_of_tree)
[ "$kind" = plain ] || check_clean
changing='' begun='' topics=()
tmp=$(mktemp -d)
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
find_carried
