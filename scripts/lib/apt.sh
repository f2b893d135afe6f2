# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154	# variables of common.sh
# Gets packages from suites that the user's apt need not know.  Lists and cache are in
# APT_DIR, so the user's configuration and lists do not change.  APT_ARCH may name an
# architecture other than this machine's.  To be sourced after common.sh.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
MIRROR=${MIRROR:-http://deb.debian.org}

need_archive() {
	need apt-get apt-cache
	[ -r $KEYRING ] || die "no $KEYRING" "apt-get install debian-archive-keyring"
}

# own_apt TOOL ARGUMENT...
own_apt() {
	local tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$APT_DIR/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::Lists="$APT_DIR/lists" -o Dir::Cache="$APT_DIR/cache" \
		-o Acquire::Languages=none ${APT_ARCH:+-o APT::Architecture="$APT_ARCH" -o APT::Architectures="$APT_ARCH"} \
		-o APT::Sandbox::User=root "$@"
}

# own_lists: updates the lists that the lines on stdin name: TYPE ARCHES|- SUITE...
own_lists() {
	local type arches suites s
	mkdir -p "$APT_DIR/lists/partial" "$APT_DIR/cache/archives/partial"
	while read -r type arches suites; do
		[ "$arches" != - ] || arches=''
		for s in $suites; do
			echo "$type [${arches:+arch=$arches }signed-by=$KEYRING] $MIRROR/${s%/*} ${s#*/} main"
		done
	done >"$APT_DIR/sources.list"
	own_apt apt-get update
}

# new_debian SUITE FOLDER OPTION...: installs a Debian in FOLDER, with mmdebstrap
new_debian() {
	local suite=$1 root=$2
	shift 2
	mmdebstrap --keyring="$KEYRING" --aptopt='APT::Sandbox::User "root"' "$@" "$suite" "$root" \
		"$MIRROR/debian"
}
