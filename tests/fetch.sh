#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make fetch, with an apt that offers what a test wants.

set -eu
. "$(dirname "$0")/lib.sh"

fetch() { BUILD=$T/b PATCHES=$T/p PATH=$T/bin:$PATH "$top/scripts/fetch"; }
fetch_from() { SOURCE=$1 fetch; }
tree() { BUILD=$T/b PATCHES=$T/p PATH=$T/bin:$PATH FLAVOR=${1-patched} SOURCE=${2-} "$top/scripts/tree"; }

# fake_apt VERSION: an archive that has only VERSION, of the fake source
fake_apt() {
	local pkg=$T/pkg
	mkdir -p "$T/bin" "$pkg/DEBIAN" "$pkg/usr/src"
	cp "$T"/b/download/*.tar.xz "$pkg/usr/src/linux-source-6.12.tar.xz"
	printf 'Package: linux-source-6.12\nVersion: %s\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n' "$1" >"$pkg/DEBIAN/control"
	dpkg-deb -b "$pkg" "$T/linux-source-6.12_$1_all.deb"
	rm -rf "$T/b"
	printf '#!/bin/sh\necho " linux-source-6.12 | %s | http://x y"\n' "$1" >"$T/bin/apt-cache"
	# shellcheck disable=SC2016	# the script's own variable
	printf '#!/bin/sh\nfor p; do :; done\n[ "$p" = linux-source-6.12=%s ] || exit 100\ncp %s/*.deb .\n' "$1" "$T" >"$T/bin/apt-get"
	chmod +x "$T"/bin/*
}

test_fetch_pinned_version() {
	fake_source "$T/b" "$T/p"; fake_apt 6.12.117-0test
	fetch | grep -x "$T/b/download/linux-source-6.12_6.12.117-0test.tar.xz"
	rm "$T"/bin/*; fetch	# no second download
}

test_fetch_newer_version_with_notice() {
	fake_source "$T/b" "$T/p"; fake_apt 6.12.200-1
	fetch >"$T/out" 2>&1
	grep 'no longer has linux-source-6.12 6.12.117-0test; taking 6.12.200-1' "$T/out"
	grep 'not pinned' "$T/out"
	tree
	{ fetch; tree base; tree; } 2>&1 | tee "$T/again"
	! grep -q notice "$T/again" || fail 'the notice comes a second time'
}

# The user's apt knows nothing of that package, as Debian 12 of one in the backports of 13.
test_fetch_by_lists_of_its_own() {
	fake_source "$T/b" "$T/p"; fake_apt 6.12.117-0test
	local tool
	for tool in apt-cache apt-get; do
		mv "$T/bin/$tool" "$T/bin/real-$tool"
		# shellcheck disable=SC2016	# the script's own variables
		printf '#!/bin/sh\nfor l; do :; done\n[ "$l" != update ] || exit 0\ncase "$*" in *sourcelist=*) exec %s "$@" ;; esac\nexit 100\n' \
			"$T/bin/real-$tool" >"$T/bin/$tool"
		chmod +x "$T/bin/$tool"
	done
	fetch | grep -x "$T/b/download/linux-source-6.12_6.12.117-0test.tar.xz"
	grep -x 'deb .* http://deb.debian.org/debian stable main' "$T/b/v6.12/apt/deb/sources.list"
}

test_fetch_refuses_corrupt_archive() {
	fake_source "$T/b" "$T/p"
	local tar=$T/b/download/linux-source-6.12_6.12.117-0test.tar.xz
	cp "$tar" "$T/good"
	truncate -s -100 "$tar"
	mkdir "$T/bin"
	refused 2 'corrupt' "rm '$tar' && make fetch" fetch
	refused 2 'corrupt' "rm '$tar' && make fetch" env BUILD="$T/b" PATCHES="$T/p" FLAVOR=patched "$top/scripts/tree"
	cp "$T/good" "$tar"; fetch
}

test_fetch_refuses_corrupt_download() {
	fake_source "$T/b" "$T/p"
	echo rubbish >>"$T"/b/download/linux-source-6.12_6.12.117-0test.tar.xz
	fake_apt 6.12.117-0test
	refused 2 'corrupt' 'rm .* && make fetch' fetch
}

test_fetch_nothing_offered() {
	fake_source "$T/b" "$T/p"; fake_apt 6.12.117-0test
	printf '#!/bin/sh\nexit 0\n' >"$T/bin/apt-cache"; printf '#!/bin/sh\nexit 100\n' >"$T/bin/apt-get"
	refused 2 'could not get linux-source-6.12' 'add one of these suites to the apt sources: debian/stable.* SOURCE=' fetch
	[ -z "$(ls "$T"/b/download/)" ]
}

# own VERSION: a tree of the user's, in git, built
own() {
	fake_kernel "$T/own"
	echo '*.o' >"$T/own/.gitignore"; echo object >"$T/own/mm/gup.o"
	sed -i "s/^SUBLEVEL.*/SUBLEVEL = $1/" "$T/own/Makefile"
	git -C "$T/own" add -A; git -C "$T/own" commit -q -m own
}

# used NOTICE SOURCE: build/tree is made of it, with a notice, once
used() {
	{ fetch_from "$2"; tree patched "$2"; } 2>&1 | tee "$T/out"	# as "make run" does
	[ "$(grep -c "notice: $1" "$T/out")" -eq 1 ] || fail "not one notice '$1'"
	[ "$(git -C "$T/b/v6.12/tree/patched" log --oneline source.. | wc -l)" -eq 3 ]
	grep -q 'SUBLEVEL = 99' "$T/b/v6.12/tree/base/Makefile"
	{ tree base "$2"; tree; } 2>&1 | tee "$T/out"	# the latter goes by what is there
	! grep -q notice "$T/out" || fail 'the notice comes a second time'
}

test_fetch_source_tree() {
	fake_source "$T/b" "$T/p"; own 99
	used 'SOURCE=.*is Linux 6.12.99, but not the source' "$T/own/"
	[ ! -e "$T/b/v6.12/tree/base/mm/gup.o" ] || fail 'what was built came along'
}

test_fetch_source_tarball() {
	fake_source "$T/b" "$T/p"; own 99
	tar -C "$T" -czf "$T/linux-6.12.99.tar.gz" --exclude=.git own
	used 'SOURCE=.*is Linux 6.12.99, but not the source' "$T/linux-6.12.99.tar.gz"
}

test_fetch_source_that_is_pinned() {
	fake_source "$T/b" "$T/p"; mv "$T"/b/download/*.xz "$T/mine.tar.xz"
	tree patched "$T/mine.tar.xz" 2>&1 | tee "$T/out"
	! grep -q notice "$T/out" || fail 'a notice for the pinned source'
}

test_fetch_refuses_source() {
	fake_source "$T/b" "$T/p"; own 99
	refused 2 'there is no SOURCE=/nowhere' 'SOURCE= a tarball or tree of Linux 6\.12\.y, best v6\.12\.117' fetch_from /nowhere
	mkdir "$T/empty"; tar -C "$T" -cJf "$T/empty.tar.xz" empty
	refused 2 'is not a kernel source' 'SOURCE= a tarball or tree' fetch_from "$T/empty"
	refused 2 'is not a kernel source' 'SOURCE= a tarball or tree' fetch_from "$T/empty.tar.xz"
	sed -i 's/^PATCHLEVEL.*/PATCHLEVEL = 6/' "$T/own/Makefile"
	refused 2 'is Linux 6\.6\.99, the series is for 6\.12\.y' 'best v6\.12\.117' fetch_from "$T/own"
	[ ! -e "$T/b/v6.12/tree" ]
}

test_fetch_source_is_not_that_of_the_tree() {
	fake_source "$T/b" "$T/p"; own 99
	tree
	refused 2 'is of linux-source-6.12_6.12.117-0test.tar.xz, and .*/own names another' 'remove it' tree patched "$T/own"
}

run_tests
