# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154	# variables of common.sh and patches.sh
# Debian's archive by lists of our own, of the suites that BASE names: the user's apt
# configuration and lists are neither needed nor touched.  To be sourced after
# common.sh and patches.sh.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
MIRROR=${MIRROR:-http://deb.debian.org}

# own_apt FOLDER TOOL ...: TOOL with the lists in FOLDER
own_apt() {
	local dir=$1 tool=$2
	shift 2
	"$tool" -q -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" \
		-o APT::Sandbox::User=root "$@"
}

# own_lists FOLDER deb|deb-src: fetches them
own_lists() {
	local s
	mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
	for s in $SUITES; do
		echo "$2 [signed-by=$KEYRING] $MIRROR/${s%/*} ${s#*/} main"
	done >"$1/sources.list"
	own_apt "$1" apt-get update
}
