# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034	# the variables are for the scripts that source this
# Functions and variables of all scripts.  To be sourced, under "set -eu".

top=$(unset CDPATH; cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$top/build}
BASE=${BASE:-v6.12}
PATCHES=${PATCHES:-$top/patches/$BASE}
case $PATCHES in /*) ;; *) PATCHES=$PWD/$PATCHES ;; esac
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
OUT=$BUILD/$BASE	# files of this base; BUILD/download is for all bases
# make_build: makes the build folder, with a mark for backups, which skip it, and "make clean"
BUILD_TAG='# build folder of ptwalk'
make_build() {
	mkdir -p "$OUT/log"
	[ -f "$BUILD/CACHEDIR.TAG" ] || printf '%s\n' 'Signature: 8a477f597d28d172789f06886806bc55' "$BUILD_TAG" >"$BUILD/CACHEDIR.TAG"
}

# The choice of the user.  A script that runs a list of cells (lib/matrix.sh) runs
# only the chosen cells of its list.
only_arch=${ARCH-} only_machine=${MACHINE:-${MMU-}} only_flavor=${FLAVOR-} only_variant=${VARIANT-}
ARCH=${ARCH:-x86_64}
FLAVOR=${FLAVOR:-patched}
MACHINE=${MACHINE:-${MMU-}}
VARIANT=${VARIANT-}
JOBS=${JOBS:-$(nproc)}
VARIANTS_DIR=$top/scripts/configs/variants

LC_ALL=C
export LC_ALL BUILD BASE PATCHES
# Variables of a make that called this script must not affect the kernel's make.
unset MAKEFLAGS MFLAGS MAKELEVEL KBUILD_OUTPUT KCONFIG_CONFIG KCONFIG_ALLCONFIG
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE CDPATH

# own_git ...: git for the trees made here: the user's settings (signing,
# hooks, autocrlf) must not change the result, and no identity is needed.
own_git() {
	GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git \
		-c user.name=ptwalk -c user.email=ptwalk@localhost -c gc.auto=0 \
		-c core.hooksPath=/dev/null -c commit.gpgsign=false -c core.autocrlf=false \
		-c safe.directory='*' -c advice.detachedHead=false "$@"
}

# worktree DIR REV WHAT: makes a separate worktree in DIR, unless a usable one is there (not one
# whose repository is gone)
worktree() {
	[ ! -e "$1/.git" ] || ! own_git -C "$1" rev-parse -q --verify HEAD >/dev/null 2>&1 || return 0
	rm -rf "$1"
	own_git -C "$OUT/tree/base" worktree prune
	step "tree for $3" "$OUT/log/tree-$3.log" \
		own_git -C "$OUT/tree/base" worktree add -q --detach "$1" "$2"
}

say()  { printf '==> %s\n' "$*"; }
warn() { printf 'ptwalk: notice: %s\n' "$*" >&2; }

# die WHAT [CURE]: usage and environment errors, status 2
die() {
	printf 'ptwalk: error: %s\n' "$1" >&2
	[ -z "${2-}" ] || printf 'ptwalk: cure: %s\n' "$2" >&2
	exit 2
}

case $JOBS in
''|*[!0-9]*|0*) die "JOBS='$JOBS' is not a number of jobs" "JOBS=$(nproc)" ;;
esac

# usage "$@": prints the leading comment of the script if an argument asks for help
usage() {
	case ${1-} in
	-h|--help)
		sed -n '3,/^$/s/^# \{0,1\}//p' "$0"
		exit 0 ;;
	esac
}

arches() {
	local f
	for f in "$top"/scripts/arch/*.conf; do basename "$f" .conf; done | paste -sd ' '
}

# on_request ARCH: whether it is left out unless ARCH= names it
on_request() { grep -qs '^ON_REQUEST=' "$top/scripts/arch/$1.conf"; }

# usual_arches: all other architectures
usual_arches() {
	local a
	for a in $(arches); do on_request "$a" || echo "$a"; done | paste -sd ' '
}

# debian_arch ARCH: Debian's name
debian_arch() {
	case $1 in
	x86_64) echo amd64 ;;
	ppc64le) echo ppc64el ;;
	*) echo "$1" ;;
	esac
}

# load_arch NAME: the record of one architecture; ARCH becomes NAME
load_arch() {
	case $1 in
	''|*[!A-Za-z0-9_]*) ;;
	*)	if [ -f "$top/scripts/arch/$1.conf" ]; then
			ARCH=$1
			# shellcheck source=/dev/null
			. "$top/scripts/arch/$1.conf"
			return 0
		fi ;;
	esac
	die "unknown ARCH '$1'" "use ARCH= one of: $(arches)"
}

# check_flavor [NAME]: default is $FLAVOR
check_flavor() {
	FLAVOR=${1-$FLAVOR}
	case $FLAVOR in
	base|patched) ;;
	*) die "unknown FLAVOR '$FLAVOR'" "use FLAVOR=base (test exports only) or FLAVOR=patched" ;;
	esac
}

# check_machine: after load_arch; an empty MACHINE becomes the architecture's first
check_machine() {
	: "${MACHINE:=${MACHINES%% *}}"
	case " $MACHINES " in
	*" $MACHINE "*) ;;
	*) die "unknown MACHINE '$MACHINE' for ARCH=$ARCH" "use MACHINE= one of: $MACHINES" ;;
	esac
}

variants() {
	local f
	for f in "$VARIANTS_DIR"/*.config; do
		f=${f##*/}
		printf '%s\n' "${f%%[-.]*}"
	done | sort -u | paste -sd ' '
}

# variant_files: the fragments for ARCH and BASE, of VARIANT and of the variants that it
# combines ("# with: NAME...").  A line "# base: NAME..." limits a fragment to these bases.
variant_files() {
	local f v
	for f in "$VARIANTS_DIR/$VARIANT".config "$VARIANTS_DIR/$VARIANT"-{"$ARCH","$BASE","$ARCH-$BASE"}.config; do
		[ -f "$f" ] || continue
		awk -v base="$BASE" '/^# base: / { no = 1; for (i = 3; i <= NF; i++) if ($i == base) no = 0 } END { exit no }' "$f" ||
			continue
		sed -n 's/^# with: //p' "$f" | tr ' ' '\n' | while read -r v; do VARIANT=$v variant_files; done
		printf '%s\n' "$f"
	done
}

# check_variant: die unless VARIANT is empty or has a fragment, or KCONFIG_EXTRA defines it
check_variant() {
	[ -z "${DEBUG-}" ] || die "DEBUG= is not a variable" "debug kernels are variants: VARIANT=$DEBUG"
	case $VARIANT in *[!A-Za-z0-9_.]*) die "bad VARIANT '$VARIANT'" "letters, digits, _ and . only" ;; esac
	if [ -n "${KCONFIG_EXTRA-}" ]; then
		[ -r "$KCONFIG_EXTRA" ] || die "cannot read KCONFIG_EXTRA=$KCONFIG_EXTRA" "name a file with lines like CONFIG_X=y"
		[ -n "$VARIANT" ] || die "KCONFIG_EXTRA without VARIANT" "add VARIANT=name, so that this build does not replace the usual one"
	elif [ -n "$VARIANT" ] && [ -z "$(variant_files)" ]; then
		die "unknown VARIANT '$VARIANT' for ARCH=$ARCH BASE=$BASE" "use VARIANT= one of: $(variants), or KCONFIG_EXTRA=file VARIANT=name"
	fi
}

# choice: the variables that name this kernel, for a cure
choice() { echo "ARCH=$ARCH FLAVOR=$FLAVOR${VARIANT:+ VARIANT=$VARIANT}${KCONFIG_EXTRA:+ KCONFIG_EXTRA=$KCONFIG_EXTRA}$([ "$BASE" = v6.12 ] || echo " BASE=$BASE")"; }

# kernel_key: <arch>-<flavor>[-<variant>]
kernel_key() { printf '%s-%s%s\n' "$ARCH" "$FLAVOR" "${VARIANT:+-$VARIANT}"; }

# run_key: the key of a boot; it has the machine if the architecture has several
run_key() {
	local key
	key=$(kernel_key)
	[ "$MACHINES" = "${MACHINES%% *}" ] || key=$key-$MACHINE
	printf '%s\n' "$key"
}

# check_words VARIABLE WORDS ALL: die unless each of WORDS is one of ALL
check_words() {
	local word
	for word in $2; do
		case " $3 " in *" $word "*) ;; *) die "unknown $1 '$word'" "$1= some of: $3" ;; esac
	done
}

# need PROGRAM...: die, naming the cure, if one is missing
need() {
	local p
	for p; do
		command -v "$p" >/dev/null ||
			die "'$p' is not installed" "scripts/deps (installs as root, otherwise prints the command)"
	done
}

# kernel_args: fills the array KARGS with the arguments of every "make" in a kernel
# tree.  Identity and time are fixed: the same source must give the same object in
# every clone, or ccache would not find it.
kernel_args() {
	local cc=${CROSS}gcc
	need "$cc" make bc flex bison
	if command -v ccache >/dev/null; then
		cc="ccache $cc"
		export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$OUT
		export CCACHE_SLOPPINESS=time_macros
	fi
	KARGS=(ARCH="$KARCH" CROSS_COMPILE="$CROSS" CC="$cc" HOSTCC="${cc/$CROSS/}"
		KBUILD_BUILD_USER=ptwalk KBUILD_BUILD_HOST=ptwalk
		KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 UTC'
		KBUILD_BUILD_VERSION=1)
}

# lock FILE WHAT [-s|-x [LOG]]: waits for a lock, which is held until this process ends, and
# shows the progress in LOG meanwhile
LOCKS=()
lock() {
	local fd tick
	exec {fd}>"$1"
	LOCKS+=("$fd")
	! flock -n "${3:--x}" "$fd" || return 0
	say "waiting for $2"
	unlocked ticker "$2" "${4:-$1}" 0 $$ &
	tick=$!
	flock "${3:--x}" "$fd"
	kill "$tick" 2>/dev/null || :
	wait "$tick" 2>/dev/null || :
	[ ! -t 1 ] || printf '\r\033[K'
}

# unlock: gives up the last lock
unlock() {
	local fd=${LOCKS[-1]}
	unset 'LOCKS[-1]'
	exec {fd}>&-
}

# unlocked CMD...: runs CMD without the locks, which it could keep longer than this process
unlocked() {
	local fd
	for fd in "${LOCKS[@]}"; do exec {fd}>&-; done
	"$@"
}

# warnings TREE LOG: the compiler warnings, without paths and numbers that depend on the tree
warnings() {
	sed -nE "s,^($1/|(\.\./)+tree/[a-z]+/),,
		s/:[0-9]+(:[0-9]+)?:/:/
		/(warning|error): /p" "$2" | sort
}

# patterns FILE: the regular expressions of a list with lines "PATTERN -- why"
patterns() { sed -n '/^#/d; s/ -- .*//p' "$1"; }

# whole NAME CMD...: runs CMD in a shell of its own, and prints a FAIL if that stops early, which
# must not look like success
whole() (
	# shellcheck disable=SC2064	# $1 is another one, or none, when the trap runs
	trap "[ \$? -eq 0 ] || echo 'FAIL $1 (stopped early)'" EXIT
	"${@:2}"
)

# totals FILE: the closing line for a file of PASS, FAIL, SKIP and XFAIL lines; status
# 1 if there is a FAIL, or no line at all
totals() {
	local pass fail skip xfail
	pass=$(grep -c '^PASS ' "$1") || :
	fail=$(grep -c '^FAIL ' "$1") || :
	skip=$(grep -c '^SKIP ' "$1") || :
	xfail=$(grep -c '^XFAIL ' "$1") || :
	[ "$xfail" -eq 0 ] || say "$xfail more fail where a part of the series is missing, as they must (tests/expected)"
	echo "$pass passed, $fail failed, $skip skipped"
	[ "$fail" -eq 0 ] && [ $((pass + skip + xfail)) -gt 0 ]
}

# qemu_since PROGRAM VERSION: whether this QEMU is of that version ("8.1") or a later one
qemu_since() {
	local version
	version=$("$1" --version 2>/dev/null | sed -nE '1s/.* version ([0-9]+\.[0-9]+).*/\1/p') || :
	[ -n "$version" ] && printf '%s\n' "$2" "$version" | sort -VC
}

# Faults of QEMU that a version has repaired, or brought, see "Faults of QEMU" in
# Documentation/testing.rst; TLBIE_WAITS_SINCE is another one.
BREAKPOINTS_WORK_SINCE=8.1
CLEAN_PAGE_LOSES_STORES_SINCE=8.2

# stale_breakpoint DIR: whether a boot met a bug of QEMU, not of the kernel: a CPU hits a
# breakpoint that text_poke_bp() has already removed.
stale_breakpoint() {
	grep -aqs 'Oops: int3' "$1/console.log" && grep -q 'tcg,thread=multi' "$1/qemu.cmd" &&
		! qemu_since "$(cut -d ' ' -f 1 "$1/qemu.cmd")" $BREAKPOINTS_WORK_SINCE
}

# boots_again DIR CMD...: runs CMD, which boots with its logs in DIR, a second time if that was
# all that went wrong
boots_again() {
	local rc=0
	"${@:2}" || rc=$?
	if [ $rc -ne 0 ] && stale_breakpoint "$1"; then
		warn "QEMU ran into a breakpoint that the kernel has removed; booting again"
		echo "$1" >>"$OUT/log/booted-again.txt"
		rc=0
		"${@:2}" || rc=$?
	fi
	return $rc
}

# loses_stores DIR: whether the QEMU of a boot loses what a radix kernel stores to clean pages
loses_stores() {
	[ -f "$1/qemu.cmd" ] && grep -q ' tcg' "$1/qemu.cmd" && ! grep -q disable_radix "$1/qemu.cmd" &&
		grep -q '^[^ ]*qemu-system-ppc64 ' "$1/qemu.cmd" &&
		qemu_since "$(cut -d ' ' -f 1 "$1/qemu.cmd")" $CLEAN_PAGE_LOSES_STORES_SINCE
}

# ---------------------------------------------------------------- progress

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# progress LOG EXPECT: how far a build is: lines like "  CC  mm/gup.o"
progress() {
	local n last
	n=$(grep -ac '^  [A-Z]' "$1" 2>/dev/null) || :
	last=$(tail -n1 "$1" | tr -cd '[:print:]' | cut -c1-60)
	case $last in '  '[A-Z]*) last=${last##* } last=${last#"$OUT"/} ;; esac
	[ "$2" -eq 0 ] || printf '%3d%% ' $((n * 100 / $2 < 99 ? n * 100 / $2 : 99))
	printf '%s' "$last"
}

# ticker TITLE LOG EXPECT PID: shows elapsed time and progress until it is killed
# or PID ends
ticker() {
	local t0=$SECONDS every=30
	[ ! -t 1 ] || every=1
	trap 'kill $! 2>/dev/null; exit' TERM INT
	while sleep $every & wait $! && kill -0 "$4" 2>/dev/null; do
		if [ -t 1 ]; then
			printf '\r\033[K%s  %s  %s' "$1" "$(clock $((SECONDS - t0)))" "$(progress "$2" "$3")"
		else
			printf '    ... %s  %s\n' "$(clock $((SECONDS - t0)))" "$(progress "$2" "$3")"
		fi
	done
}

# step TITLE LOG CMD...: runs CMD with its output in LOG, and shows progress.
# STEP_EXPECT=n: build lines expected, for the percentage.
# Returns CMD's status.  If CMD failed, first shows the end of the log.
# If CMD is a function it must chain its commands with &&: no "set -e" in it.
step() {
	local title=${STEP_PREFIX-}$1 log=$2 rc t0=$SECONDS tick
	shift 2
	mkdir -p "$(dirname "$log")"
	: >"$log"
	if [ -t 1 ]; then printf '%s' "$title"; else printf '%s\n' "$title"; fi
	unlocked ticker "$title" "$log" "${STEP_EXPECT:-0}" $$ &
	tick=$!
	# The command stays in the foreground, so that Ctrl-C reaches it.
	# shellcheck disable=SC2064	# this step's ticker, now
	trap "kill $tick 2>/dev/null || :; wait $tick || :; exit 130" INT TERM
	rc=0
	"$@" >>"$log" 2>&1 </dev/null || rc=$?
	trap - INT TERM
	kill "$tick" 2>/dev/null || :
	wait "$tick" 2>/dev/null || :
	step_end "$title" "$log" $rc $((SECONDS - t0))
	return $rc
}

step_end() {
	local title=$1 log=$2 rc=$3 took
	took=$(clock "$4")
	[ ! -t 1 ] || printf '\r\033[K'
	if [ "$rc" -eq 0 ]; then
		if [ -t 1 ]; then printf '%s  %s\n' "$title" "$took"; else printf '    done %s\n' "$took"; fi
		return 0
	fi
	[ ! -t 1 ] || printf '%s  FAILED\n' "$title"
	{
		printf 'ptwalk: error: step failed: %s (status %d, after %s)\n' "$title" "$rc" "$took"
		printf 'ptwalk: log: %s, its last lines:\n' "$log"
		tail -n 20 "$log" | sed 's/^/    /'
	} >&2
}
