#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make litmus, with a herd7 that says what a test wants, and an apt that has it.

set -eu
. "$(dirname "$0")/lib.sh"

DOC=Documentation/mm/lockless_page_table_walks.rst

# fake TABLE-LINE...: a series, its tree with a table of barriers, and a litmus test "one"
# with a twin; herd7 says what is expected
fake() {
	rm -rf "$T"/{b,p,top}*
	fake_source "$T/b" "$T/p"
	other_top nothing ''
	mkdir -p "$T/top/tests/litmus" "$T/top/patches"
	cp -r "$T/p" "$T/top/patches/v6.12"
	BUILD=$T/b PATCHES=$T/p FLAVOR=patched "$T/top/scripts/tree"
	mkdir -p "$T/b/v6.12/tree/patched/tools/memory-model" "$T/b/v6.12/tree/patched/${DOC%/*}"
	echo 'Version 7.52 or higher of the "herd7" tools' >"$T/b/v6.12/tree/patched/tools/memory-model/README"
	printf '%s\n' "$@" >"$T/b/v6.12/tree/patched/$DOC"
	echo 'void f(void) { }' >"$T/b/v6.12/tree/patched/mm/f.c"
	printf '%s\n' 'C one' '(*' ' * Result: Never' ' * Patch:	mm/memory: count in words too, with a subject that is' \
		' *		longer than one line' ' * P0:	f()' ' * If it happened: a crash' ' *)' '{ }' 'P0()' '{' \
		'	// twin weak: barrier();' '	smp_mb();' '}' >"$T/top/tests/litmus/one.litmus"
	says 'one Never' 'one+weak Sometimes'
}

# says LINE...: what herd7 finds
# shellcheck disable=SC2016	# its own variable
says() {
	printf '%s\n' '#!/bin/sh' '[ "$1" != -version ] || { echo "7.58, Rev: x"; exit; }' >"$T/herd7"
	for line; do
		printf 'printf "%%s\\n" "Test %s Allowed" "States 2" %s "Observation %s 1 1"\n' "${line%% *}" "${flag-}" "$line"
	done >>"$T/herd7"
	chmod +x "$T/herd7"
}

litmus() { BUILD=$T/b PATCHES=$T/p HERD7=$T/herd7 "$T/top/scripts/litmus" "$@"; }

# fails_by REGEX ARGUMENT...
fails_by() {
	local want=$1
	shift
	if litmus "$@" >"$T/out" 2>&1; then cat "$T/out"; fail 'it did not fail'; fi
	cat "$T/out"
	grep -qE "^FAIL litmus $want" "$T/out" || fail "no line like 'FAIL litmus $want'"
}

# shellcheck disable=SC2016	# literals of reStructuredText
TABLE=('===== ==== =====' 'what  who  test' '===== ==== =====' 'first x    ``one``' '      y' '===== ==== =====')

test_litmus_and_its_twin_pass() {
	fake "${TABLE[@]}"
	litmus | tee "$T/out"
	grep -qx 'PASS litmus one (Never, 2 states)' "$T/out"
	grep -qx 'PASS litmus one weak (Sometimes, 2 states)' "$T/out"
	grep -qx 'PASS litmus table (1 rows)' "$T/out"
	tail -n1 "$T/out" | grep -qx '3 passed, 0 failed, 0 skipped'
	grep -q '^litmus	herd7	v6.12	.*	3 passed' "$T/b/v6.12/ledger"
}

test_litmus_twin_is_the_line_below() {
	fake
	litmus --twin one weak | tee "$T/out"
	grep -q '^	barrier();' "$T/out"
	! grep -qE 'smp_mb|twin' "$T/out" || fail 'the line is still there'
	refused 2 "no twin 'strong' of one" 'one of: weak' litmus --twin one strong
	refused 2 "no litmus test 'two'" 'one of: one' litmus two
}

test_litmus_fails_by_what_herd7_says() {
	fake "${TABLE[@]}"
	says 'one Sometimes' 'one+weak Sometimes'; fails_by 'one \(Sometimes instead of Never'
	says 'one Never' 'one+weak Never'; fails_by 'one weak \(Never instead of Sometimes'
	says 'one Never'; fails_by 'one weak \(no verdict'
	flag='"Flag data-race"' says 'one Never' 'one+weak Sometimes'; fails_by 'one \(herd7 says data-race'
}

test_litmus_head() {
	local f=$T/top/tests/litmus/one.litmus
	fake "${TABLE[@]}"; cp "$f" "$T/good"
	sed -i 's/in words too/in letters/' "$f"; fails_by "one \(no patch is called 'mm/memory: count in letters, with"; cp "$T/good" "$f"
	sed -i '/If it happened/d' "$f"; fails_by 'one \(it does not say what a user'; cp "$T/good" "$f"
	sed -i '/^ \* P0/d' "$f"; fails_by 'one \(it does not say which functions P0 is'; cp "$T/good" "$f"
	sed -i '/twin/d' "$f"; fails_by 'one \(it has no twin'; cp "$T/good" "$f"
	sed -i 's/f()/f(), then ff()/' "$f"; fails_by 'one \(the tree has no ff\(\)\)'; cp "$T/good" "$f"
	sed -i 's/f()/f() (v6.12: ff())/' "$f"; fails_by 'one \(the tree has no ff\(\)\)'; cp "$T/good" "$f"
	sed -i 's/f()/f() (v9.9: ff())/' "$f"; litmus; cp "$T/good" "$f"
	sed -i 's/f()/ff() (v6.12:\n *\t\tf())/' "$f"; litmus; cp "$T/good" "$f"
	sed -i 's/^C one/C two/' "$f"; fails_by 'one \(the name in the first line'
}

test_litmus_table_and_tests_match() {
	fake 'no table'; litmus | grep -q '^SKIP litmus table (.* has no column'
	fake '=== ====' 'who test' '=== ====' 'x   one' 'y' '=== ===='; fails_by "table: - \(there is no such test, for the row 'y'"
	fake '==== ===' 'test who' '==== ===' 'two  x' '==== ==='; fails_by "table: two \(there is no such test"
	grep -q '^FAIL litmus table: one (is in no row)' "$T/out"
	sed -i 's/^ \* Patch:/ * Bases: v9.9\n&/' "$T/top/tests/litmus/one.litmus"
	fails_by 'table: two'
	! grep -q 'is in no row' "$T/out" || fail 'a test of another base'
}

herd() { BUILD=$T/b PATH=$T/bin:$PATH "$top/scripts/herd" "$@"; }

# fake_archive VERSION: an apt that has a herd7 of this version
fake_archive() {
	local d=$T/deb p
	for p in herdtools7 libc6 libgmp10; do
		mkdir -p "$d/$p/DEBIAN" "$d/$p/usr/lib/x-linux-gnu"
		printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n' $p >"$d/$p/DEBIAN/control"
	done
	mkdir -p "$d"/herdtools7/usr/{bin,share/herdtools7/herd} "$d/libc6/usr/lib64" "$T/bin"
	# the loader that comes with it runs it
	printf '#!/bin/sh\nshift 2\nexec /bin/sh "$@"\n' >"$d/libc6/usr/lib64/ld-linux-x.so.2"
	printf 'echo "%s, Rev: x"\n' "$1" >"$d/herdtools7/usr/bin/herd7"
	chmod +x "$d/libc6/usr/lib64/ld-linux-x.so.2" "$d/herdtools7/usr/bin/herd7"
	for p in herdtools7 libc6 libgmp10; do dpkg-deb -b "$d/$p" "$T/${p}_1_all.deb"; done
	printf '#!/bin/sh\necho "$@" >>%s/apt\ncase "$*" in *" download "*) cp %s/*.deb . ;; esac\n' "$T" "$T" >"$T/bin/apt-get"
	printf '#!/bin/sh\n' >"$T/bin/apt-cache"
	printf '#!/bin/sh\necho 1.0\n' >"$T/bin/herd7"	# what is installed is too old
	chmod +x "$T"/bin/*
	[ -r /usr/share/keyrings/debian-archive-keyring.gpg ] || skip 'no keyring of Debian'
}

test_herd7_is_fetched_once_by_lists_of_our_own() {
	fake_archive 7.58
	herd 7.52 | tail -n1 >"$T/path"
	grep -qx "$T/b/download/herd/herd7" "$T/path"
	"$(cat "$T/path")" -version | grep -q '^7.58'
	[ "$(grep -c . "$T/apt")" -eq 2 ]
	! grep -v -- "-o Dir::State::Lists=$T/b/download/herd/" "$T/apt" || fail "the user's lists"
	rm "$T/bin/apt-get"; herd 7.52
	[ "$(ls "$T/b/download/herd")" = "$(printf 'herd7\nroot')" ]
}

test_herd7_that_is_installed_will_do() {
	mkdir "$T/bin"; printf '#!/bin/sh\necho "7.58, Rev: x"\n' >"$T/bin/herd7"; chmod +x "$T/bin/herd7"
	herd 7.52 | grep -qx "$T/bin/herd7"
	[ ! -e "$T/b" ]
	refused 2 "HERD7=$T/bin/herd7 is not herd7 of version 7.60 or later" 'leave HERD7= out' env HERD7="$T/bin/herd7" "$top/scripts/herd" 7.60
}

test_herd7_not_in_the_archive() {
	fake_archive 7.40
	refused 2 'herd7 7.52 is not available from' 'HERD7=/path/to/herd7; or MIRROR=' herd 7.52
	[ -z "$(ls "$T/b/download/herd")" ]
}

test_litmus_without_herd7_is_a_skip_with_the_reason() {
	fake "${TABLE[@]}"
	PATH=$(without herd7 apt-get) BUILD=$T/b PATCHES=$T/p "$T/top/scripts/litmus" 2>"$T/err" | tee "$T/out"
	grep -qx 'SKIP litmus (no herd7, and no apt-get to fetch it)' "$T/out"
	tail -n1 "$T/out" | grep -qx '0 passed, 0 failed, 1 skipped'
	grep -q 'cure: HERD7=' "$T/err"
}

run_tests
