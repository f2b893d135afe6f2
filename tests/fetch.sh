#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make fetch, with an apt that offers what a test wants.

set -eu
. "$(dirname "$0")/lib.sh"

fetch() { BUILD=$T/b PATCHES=$T/p PATH=$T/bin:$PATH "$top/scripts/fetch"; }

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
	BUILD=$T/b PATCHES=$T/p FLAVOR=patched PATH=$T/bin:$PATH "$top/scripts/tree"
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
	refused 2 'could not get linux-source-6.12' 'apt-get update' fetch
	[ -z "$(ls "$T"/b/download/)" ]
}

run_tests
