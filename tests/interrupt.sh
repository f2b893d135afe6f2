#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Ctrl-C in the middle: nothing is broken, nobody is left over, and the same
# command then works.

set -eu
. "$(dirname "$0")/lib.sh"

# slow PROGRAM [CONDITION]: a PROGRAM that hangs instead of working, once
slow() {
	mkdir -p "$T/bin"
	cat >"$T/bin/$1" <<-END
	#!/bin/bash
	if [ ! -e "$T/reached" ] ${2:+&& $2}; then
		touch "$T/reached"
		sleep 1000.25
	fi
	exec "$(command -v "$1")" "\$@"
	END
	chmod +x "$T/bin/$1"
}

# interrupt CMD...: SIGINT, as from a terminal, when the slow program runs
interrupt() {
	local pid i rc=0
	# A background job of a script ignores SIGINT; setsid gives it a group.
	PATH=$T/bin:$PATH setsid env --default-signal=INT "$@" >"$T/out" 2>&1 </dev/null &
	pid=$!
	for ((i = 0; i < 200; i++)); do
		[ ! -e "$T/reached" ] || break
		sleep 0.1
	done
	[ -e "$T/reached" ] || { cat "$T/out"; fail 'never came to the slow step'; }
	sleep 0.2
	kill -INT -- "-$pid"
	wait "$pid" || rc=$?
	cat "$T/out"
	[ $rc -ne 0 ] || fail 'status 0 although interrupted'
	! pgrep -r R,S,D -g "$pid" -a || fail 'processes are left over'
}

m() { make -s -C "$top" BUILD="$T/b" PATCHES="$T/p" "$@"; }

test_interrupt_unpacking() {
	fake_source "$T/b" "$T/p"; slow tar
	interrupt make -s -C "$top" BUILD="$T/b" PATCHES="$T/p" tree FLAVOR=patched
	m tree FLAVOR=patched
	[ "$(git -C "$T/b/v6.12/tree/patched" log --oneline source.. | wc -l)" -eq 3 ]
}

test_interrupt_checkout() {
	fake_source "$T/b" "$T/p"
	slow git 'case "$*" in *" checkout "*) ;; *) false ;; esac'
	interrupt make -s -C "$top" BUILD="$T/b" PATCHES="$T/p" tree FLAVOR=patched
	m tree FLAVOR=patched
	[ "$(git -C "$T/b/v6.12/tree/patched" log --oneline source.. | wc -l)" -eq 3 ]
	[ -z "$(git -C "$T/b/v6.12/tree/patched" status --porcelain)" ]
}

# At the last of the three patches
test_interrupt_apply() {
	fake_series "$T/p"; fake_kernel "$T/k"; state "$T/k" >"$T/before"
	mkdir -p "$T/k/.git/hooks"
	printf '#!/bin/sh\n[ -e %s ] && exit 0\n[ -e mm/new.c ] || exit 0\ntouch %s\nsleep 1000.25\n' "$T/reached" "$T/reached" >"$T/k/.git/hooks/pre-applypatch"
	chmod +x "$T/k/.git/hooks/pre-applypatch"
	mkdir "$T/bin"
	interrupt make -s -C "$top" PATCHES="$T/p" apply KDIR="$T/k"
	grep -q 'is as it was' "$T/out"
	state "$T/k" | grep -v hooks | diff <(grep -v hooks "$T/before") -
	make -s -C "$top" PATCHES="$T/p" apply KDIR="$T/k"
}

test_interrupt_apply_plain() {
	fake_series "$T/p"; fake_kernel "$T/k"; rm -rf "$T/k/.git"; state "$T/k" >"$T/before"
	slow git 'case "$*" in *" --apply"*) echo half >mm/new.c; rm mm/gup.c; rm Kbuild ;; *) false ;; esac'
	interrupt make -s -C "$top" PATCHES="$T/p" apply KDIR="$T/k"
	grep -q 'is as it was' "$T/out"
	state "$T/k" | diff "$T/before" -
	make -s -C "$top" PATCHES="$T/p" apply KDIR="$T/k"
	diff -r -x .git "$T/k" "$T/p.work"
}

test_interrupt_unapply_plain() {
	fake_series "$T/p"; fake_kernel "$T/k"; rm -rf "$T/k/.git"; cp -r "$T/k" "$T/source"
	make -s -C "$top" PATCHES="$T/p" apply KDIR="$T/k"; state "$T/k" >"$T/before"
	slow git 'case "$*" in *" -R --apply"*) rm mm/new.c Kbuild ;; *) false ;; esac'
	interrupt make -s -C "$top" PATCHES="$T/p" unapply KDIR="$T/k"
	grep -q 'is as it was' "$T/out"
	state "$T/k" | diff "$T/before" -
	make -s -C "$top" PATCHES="$T/p" unapply KDIR="$T/k"
	diff -r "$T/k" "$T/source"
}

test_interrupt_unapply() {
	fake_series "$T/p"; fake_kernel "$T/k"
	make -s -C "$top" PATCHES="$T/p" apply KDIR="$T/k"; state "$T/k" >"$T/before"
	slow git 'case "$*" in *" write-tree"*) ;; *) false ;; esac'
	interrupt make -s -C "$top" PATCHES="$T/p" unapply KDIR="$T/k"
	grep -q 'is as it was' "$T/out"
	state "$T/k" | diff "$T/before" -
	make -s -C "$top" PATCHES="$T/p" unapply KDIR="$T/k"
	[ "$(git -C "$T/k" rev-parse HEAD)" = "$(git -C "$T/k" rev-parse source)" ]
}

# two_cells BOOT: scripts with a matrix of two kernels; the build of the second hangs, and
# scripts/boot does BOOT
two_cells() {
	mkdir -p "$T/top/tests"
	cp -r "$top/scripts" "$T/top/"
	echo 'run x86_64 x86 base,patched - kunit' >"$T/top/scripts/matrix.list"
	# shellcheck disable=SC2016	# for that script
	printf '#!/bin/sh\n[ "$FLAVOR" = %s ] || { touch %s; exec sleep 1000.5; }\n' base "$T/ahead" >"$T/top/scripts/build"
	printf '#!/bin/sh\n' | tee "$T/top/scripts/module" >"$T/top/scripts/initrd"
	printf '#!/bin/sh\n%s\n' "$1" >"$T/top/scripts/boot"
	fake_series "$T/p"
}

# In the middle of a boot, while the next kernel is built
test_interrupt_leaves_no_build_ahead() {
	two_cells "while [ ! -e $T/ahead ]; do sleep 0.1; done; touch $T/reached; sleep 1000.25"
	interrupt env BUILD="$T/b" PATCHES="$T/p" "$T/top/scripts/matrix" run
	if pgrep -f 'sleep 1000\.5$' -a; then pkill -f 'sleep 1000\.5$'; fail 'a build is left over'; fi
}

test_build_ahead_that_has_ended_is_no_failure() {
	two_cells :
	BUILD="$T/b" PATCHES="$T/p" FLAVOR=base "$T/top/scripts/matrix" run >"$T/out" 2>&1 || :
	cat "$T/out"
	! grep -q 'stopped early' "$T/out"
}

run_tests
