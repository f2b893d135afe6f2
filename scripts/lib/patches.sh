# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The series as files, and as commits made without touching a work tree.
# To be sourced after lib.sh.

# series_files [N]: the patches (the first N) in order; never the cover letter
series_files() {
	local f n=0
	for f in "$PATCHES"/[0-9]*.patch; do
		case ${f##*/} in 0000-*) continue ;; esac
		[ -f "$f" ] || continue
		n=$((n + 1))
		[ "$n" -le "${1-100000}" ] || break
		printf '%s\n' "$f"
	done
}

# load_base: UPSTREAM DEBIAN SHA256 BASE_PATCHES
load_base() {
	[ -f "$PATCHES/BASE" ] || die "no $PATCHES/BASE" "PATCHES= must name a folder like patches/v6.12"
	# shellcheck source=/dev/null
	. "$PATCHES/BASE"
}

# commit_patch GIT INDEX PARENT PATCH: what "git am" would make of PATCH on
# PARENT, whose tree INDEX holds; prints the commit.  Committer is author and
# dates are the mail's, so that the same patches give the same commits.
# GIT: the function that runs git (own_git, or git in the user's own tree)
commit_patch() {
	local git=$1 index=$2 parent=$3 file=$4 tmp rc=0
	tmp=$(mktemp -d)
	(	# "set -e" does not reach into a condition, hence the chains
		export GIT_INDEX_FILE=$index
		$git mailinfo -u "$tmp/msg" "$tmp/diff" <"$file" >"$tmp/info" &&
			$git apply --cached --whitespace=nowarn "$tmp/diff" || exit 1
		{
			sed -n 's/^Subject: //p' "$tmp/info"
			echo
			cat "$tmp/msg"
		} | $git stripspace >"$tmp/log"
		GIT_AUTHOR_NAME=$(sed -n 's/^Author: //p' "$tmp/info")
		GIT_AUTHOR_EMAIL=$(sed -n 's/^Email: //p' "$tmp/info")
		GIT_AUTHOR_DATE=$(sed -n 's/^Date: //p' "$tmp/info")
		GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME
		GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
		GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
		export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE
		export GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_COMMITTER_DATE
		$git commit-tree "$($git write-tree)" -p "$parent" -F "$tmp/log"
	) || rc=$?
	rm -rf "$tmp"
	return $rc
}

# commit_series GIT BASE PATCH...: one commit per patch on BASE; prints the
# last one.  On failure FAILED_PATCH is the file that does not fit.
commit_series() {
	local git=$1 head=$2 index p
	shift 2
	index=$(mktemp)
	GIT_INDEX_FILE=$index.idx $git read-tree "$head" || return
	for p; do
		head=$(commit_patch "$git" "$index.idx" "$head" "$p") || {
			rm -f "$index" "$index.idx"
			printf 'does not fit: %s\n' "${p##*/}" >&2
			return 1
		}
	done
	rm -f "$index" "$index.idx"
	printf '%s\n' "$head"
}
