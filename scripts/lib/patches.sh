# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154	# variables of common.sh
# The series as files, and as commits made without touching a work tree.
# To be sourced after common.sh.

# series_files: the patches in order, without the cover letter
series_files() {
	local f
	for f in "$PATCHES"/[0-9]*.patch; do
		case ${f##*/} in 0000-*|'[0-9]*') ;; *) printf '%s\n' "$f" ;; esac
	done
}

# load_base: sets the variables of $PATCHES/BASE, and LINUX, the version without its sublevel
load_base() {
	[ -f "$PATCHES/BASE" ] ||
		die "no $PATCHES/BASE" "BASE= one of: $(cd "$top/patches" && echo *)"
	# shellcheck source=/dev/null
	. "$PATCHES/BASE"
	LINUX=${UPSTREAM#v} LINUX=${LINUX%.*}
}

# version_part NAME: of the version in the Makefile of KDIR
version_part() { sed -n "s/^$1 = *//p" "$KDIR/Makefile" | head -n1; }

# choose_base: chooses PATCHES by the version of KDIR, unless PATCHES or BASE was given (the
# variable given is set), and loads its BASE
choose_base() {
	local v f bases=("$top"/patches/*/BASE) series='' known=''
	if [ ! -f "$KDIR/Makefile" ] || [ ! -f "$KDIR/Kbuild" ] || [ ! -f "$KDIR/mm/gup.c" ] ||
	   [ -z "$(version_part PATCHLEVEL)" ]; then
		die "$KDIR is not a kernel source tree" "KDIR= must be the top of a Linux source tree (headers are not enough)"
	fi
	[ -z "$given" ] || bases=("$PATCHES/BASE")
	v=$(version_part VERSION).$(version_part PATCHLEVEL)
	for f in "${bases[@]}"; do
		PATCHES=${f%/BASE}
		load_base
		series+="${series:+ or }$LINUX.y" known+="${known:+ or }$UPSTREAM"
		[ "$v" = "$LINUX" ] || continue
		v=$v.$(version_part SUBLEVEL)
		[ "v$v" = "$UPSTREAM" ] || warn "$KDIR is Linux $v, and the series was made for ${UPSTREAM#v}; trying"
		return
	done
	die "$KDIR is Linux $v, the series is for $series" "check out such a release, best $known"
}

# load_topics: reads $PATCHES/TOPICS: the names into TOPIC; RANGE ("first last") and NEEDS
# by name; all patches into FILES
load_topics() {
	local name range needs t n=0
	declare -ga TOPIC=() FILES=()
	declare -gA RANGE=() NEEDS=()
	[ -f "$PATCHES/TOPICS" ] || die "no $PATCHES/TOPICS" "a line for each topic, like those of $top/patches/*/TOPICS"
	mapfile -t FILES < <(series_files)
	while read -r name range needs _; do
		case $name in ''|'#'*) continue ;; esac
		needs=${needs//[()]/} needs=${needs#-}
		for t in ${needs//,/ }; do
			[ -n "${RANGE[$t]-}" ] || die "$PATCHES/TOPICS: $name needs $t, which is not before it" "reorder the series"
		done
		[ "${range%-*}" = $((n + 1)) ] || die "$PATCHES/TOPICS: $name does not begin with patch $((n + 1))" "correct the ranges"
		n=${range#*-}
		TOPIC+=("$name") RANGE[$name]=${range/-/ } NEEDS[$name]=${needs//,/ }
	done <"$PATCHES/TOPICS"
	[ "$n" = "${#FILES[@]}" ] || die "$PATCHES/TOPICS ends with patch $n, the series with ${#FILES[@]}" "correct the ranges"
}

# closure TOPIC...: these topics and all that they need, in the order of the series
closure() {
	local i t n
	local -A in=()
	for t; do in[$t]=1; done
	for ((i = ${#TOPIC[@]} - 1; i >= 0; i--)); do
		t=${TOPIC[i]}
		[ -z "${in[$t]-}" ] || for n in ${NEEDS[$t]}; do in[$n]=1; done
	done
	for t in "${TOPIC[@]}"; do [ -z "${in[$t]-}" ] || echo "$t"; done
}

# topic_files TOPIC...: the patches of these topics
topic_files() {
	local t first last
	for t; do
		read -r first last <<<"${RANGE[$t]}"
		printf '%s\n' "${FILES[@]:first - 1:last - first + 1}"
	done
}

# The body of the message of the source commit in build/<base>/tree; its title names the source
source_note() { echo "For $UPSTREAM, $PACKAGE $DEBIAN"; }

# check_source REPO: dies unless its source is that of this base, or the user's SOURCE if
# one is given
check_source() {
	local name note own=${SOURCE-}
	name=$(own_git -C "$1" log -1 --format=%s source)
	note=$(own_git -C "$1" log -1 --format=%b source)
	own=${own%/}
	case $name:$note in
	"${own##*/}:$(source_note)"|"${PACKAGE}_$DEBIAN.tar.xz:Based on upstream $UPSTREAM") return 0 ;;
	*":$(source_note)") [ -n "$own" ] || return 0 ;;
	esac
	die "$OUT/tree is of $name, and ${own:-$PATCHES/BASE} names another source, ${own:-${PACKAGE}_$DEBIAN}" \
		"take work of yours out of $OUT/tree, remove it, and try again"
}

# lacking TREE: the fixes of later sublevels that fit TREE, which it lacks, therefore
lacking() {
	local f
	for f in "$PATCHES"/before/*.patch; do
		if [ -f "$f" ] && patch -d "$1" -p1 -s -f -F0 --dry-run <"$f" >/dev/null; then
			printf '%s\n' "$f"
		fi
	done
}

# touched PATCH...: the files that these patches change or create
touched() { sed -n 's/^diff --git a\/\(.*\) b\/.*/\1/p' "$@" | sort -u; }

# commit_patch GIT INDEX PARENT PATCH: commits PATCH on PARENT as "git am" would, and prints
# the commit.  INDEX has the tree of PARENT.  The committer is the author, and the dates are
# those of the mail, so the same patches give the same commits.
# GIT: the function that runs git (own_git, or git in the user's own tree)
commit_patch() {
	local git=$1 index=$2 parent=$3 file=$4 tmp rc=0
	tmp=$(mktemp -d)
	(	# "set -e" has no effect in a condition, so chain the commands
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

# commit_series GIT BASE PATCH...: makes one commit per patch on BASE, and prints the last
# one.  If a patch does not fit, says which.
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
