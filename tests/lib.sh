# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The tests of the scripts.  A test file sources this, defines functions
# test_*, each one property, and ends with "run_tests".  Every test runs in a
# shell and a folder of its own ($T); whatever it says is shown if it fails.
# An exit status of 77 is a skip, its reason the last line.

# shellcheck disable=SC2034
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
unset MAKEFLAGS MFLAGS MAKELEVEL ARCH MACHINE MMU FLAVOR DEBUG VARIANT KCONFIG_EXTRA KDIR TOPICS BASE PATCHES SOURCE FORCE INITRD STEP_PREFIX LEDGER_KEY
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=tester GIT_AUTHOR_EMAIL=tester@localhost
export GIT_COMMITTER_NAME=tester GIT_COMMITTER_EMAIL=tester@localhost

fail() { echo "$*"; exit 1; }
skip() { echo "$*"; exit 77; }

# refused STATUS ERROR CURE CMD...: CMD ends with STATUS and a message with
# both texts (regular expressions)
refused() {
	local want=$1 error=$2 cure=$3 rc=0
	shift 3
	"$@" >"$T/refused" 2>&1 </dev/null || rc=$?
	cat "$T/refused"
	[ $rc -eq "$want" ] || fail "status $rc instead of $want from: $*"
	grep -Eq -- "$error" "$T/refused" || fail "no message like '$error' from: $*"
	grep -E '^ptwalk: cure: ' "$T/refused" | grep -Eq -- "$cure" || fail "no cure like '$cure' from: $*"
}

# other_top FILE LINE...: a copy of what the scripts need in $T/top, with these lines in FILE
other_top() {
	mkdir -p "$T/top/tests"
	cp -r "$top/scripts" "$T/top/"
	cp -r "$top/tests/exceptions" "$T/top/tests/"
	printf '%s\n' "${@:2}" >"$T/top/$1"
}

run_tests() {
	local t log='' rc bad=0 T KEPT
	KEPT=$(mktemp -d)
	for t in $(declare -F | sed -n 's/^declare -f test_//p'); do
		# shellcheck disable=SC2254	# a pattern: ONLY='apply_*' tests/apply.sh
		case $t in ${ONLY:-*}) ;; *) continue ;; esac
		T=$(mktemp -d)
		log=$T.log rc=0
		( set -eu; cd "$T"; "test_$t" ) >"$log" 2>&1 </dev/null &
		wait $! || rc=$?
		case $rc in
		0) echo "PASS $t" ;;
		77) echo "SKIP $t ($(tail -n1 "$log"))" ;;
		*)	echo "FAIL $t ($(tail -n1 "$log"))"
			sed 's/^/    /' "$log" >&2
			bad=1 ;;
		esac
		rm -rf "$T" "$log"
	done
	rm -rf "$KEPT"
	[ -n "${log-}" ] || { echo "FAIL ${0##*/} (no test is called '${ONLY-}')"; bad=1; }
	return $bad
}

# like_before NAME DIR: a copy in DIR of what NAME made the first time, which is kept
like_before() {
	[ -d "$KEPT/$1" ] || "$1" "$KEPT/$1"
	mkdir -p "$2"
	cp -a "$KEPT/$1/." "$2"
}

# fake_kernel DIR: a git tree with just what the scripts look at
fake_kernel() { like_before new_kernel "$1"; }
new_kernel() {
	mkdir -p "$1/mm"
	printf 'VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\n' >"$1/Makefile"
	echo '# kbuild' >"$1/Kbuild"
	seq -f 'line %g of gup' 60 >"$1/mm/gup.c"
	seq -f 'line %g of memory' 60 >"$1/mm/memory.c"
	git init -q -b main "$1"
	git -C "$1" add .
	git -C "$1" commit -q -m source
	git -C "$1" tag source
}

# fake_series DIR [SHA256]: three patches for fake_kernel, a topic each, with BASE, in DIR;
# the tree with them in DIR.work
fake_series() {
	like_before new_series "$1"
	mv "$1/work" "$1.work"
	sed -i "s/^SHA256=.*/SHA256=${2-none}/" "$1/BASE"
}
new_series() {
	fake_kernel "$1/work"
	( cd "$1/work"
	sed -i 's/^line 10 of gup/line ten of gup/' mm/gup.c
	git commit -q -a -m 'mm/gup: count in words' -m 'So that people can read it.'
	sed -i 's/^line 40 of memory/line forty of memory/' mm/memory.c
	echo new >mm/new.c
	git add mm/new.c
	git commit -q -a -m 'mm/memory: count in words too, with a subject that is longer than one line' -m Body.
	sed -i 's/^line 50 of gup/line fifty of gup/' mm/gup.c
	echo "# at the top" >>Kbuild
	git commit -q -a -m 'mm/gup: count further'
	git format-patch -q -o "$1" --zero-commit --no-signature --stat=75 --numbered \
		--diff-algorithm=histogram --abbrev=12 source..HEAD )
	echo 'cover' >"$1/0000-cover-letter.patch"
	printf '%s\n' UPSTREAM=v6.12.117 PACKAGE=linux-source-6.12 DEBIAN=6.12.117-0test SHA256=none \
		SUITES=debian/stable >"$1/BASE"
	printf '%s\n' '# topics' 'tests 1-1 - Count.' 'memory 2-2 - Count too.' 'further 3-3 (tests) Count on.' >"$1/TOPICS"
}

# fake_fix: the series stands on a fix, which $T/k lacks
fake_fix() {
	fake_kernel "$T/k"; fake_series "$T/series"; mkdir "$T/series/before"
	rm "$T"/series/000[1-9]*
	echo 'words 1-1 - Count.' >"$T/series/TOPICS"
	( cd "$T/series.work"
	git checkout -q -b fixed source
	sed -i 's/^line 49 .*/line forty-nine/' mm/gup.c
	git commit -q -a -m 'mm/gup: a fix'
	git format-patch -q -o "$T/series/before" -1
	sed -i 's/^line 50 .*/line fifty/' mm/gup.c
	git commit -q -a -m 'mm/gup: count'
	git format-patch -q -o "$T/series" --zero-commit --no-signature -1 )
}

# fake_source BUILD PATCHES: the same as a tarball where "make fetch" puts it
fake_source() {
	local tar=$1/download/linux-source-6.12_6.12.117-0test.tar.xz
	fake_kernel "$1.source/linux-source-6.12"
	rm -rf "$1.source/linux-source-6.12/.git"
	mkdir -p "$1/download"
	tar -C "$1.source" -cJf "$tar" linux-source-6.12
	fake_series "$2" "$(sha256sum <"$tar" | cut -d' ' -f1)"
}

# state DIR: all there is to know about a tree: files, times, commits
state() {
	( cd "$1"
	find . -path ./.git -prune -o -type f -printf '%p %m %T@ ' -exec sha256sum {} \;
	find . -path ./.git -prune -o -type d -print
	[ ! -e .git ] || { git rev-parse HEAD; git status --porcelain; git stash list; ls .git; } ) | sort
}

# without PROGRAM...: a PATH that lacks them
without() {
	local d=$T/path p
	mkdir -p "$d"
	find -L /usr/local/bin /usr/bin /bin /usr/sbin /sbin -maxdepth 1 -type f -perm -u+x \
		-exec ln -sf -t "$d" {} + 2>/dev/null || :
	for p; do rm -f "$d/$p"; done
	echo "$d"
}
