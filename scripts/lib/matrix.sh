# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154	# variables of common.sh
# The matrix of scripts/matrix.list.  A cell is a kernel, a machine, and a suite that
# runs there: ARCH MACHINE FLAVOR VARIANT SUITE.  To be sourced after common.sh.

. "$top/scripts/lib/patches.sh"
. "$top/scripts/lib/ledger.sh"
LIST=$top/scripts/matrix.list

# An awk function: whether a line of the file belongs to a list.  A line with "LIST?"
# belongs to it only if ARCH= or MACHINE= is given, which then selects lines.
IN_LIST='function in_list(names, list) {
	return index("," names ",", "," list ",") || (asked && index("," names ",", "," list "?,"))
}'

# column LIST FIELD: the words of a list in one field, in order, each once
column() {
	awk -v list="$1" -v field="$2" -v asked="$only_arch$only_machine" "$IN_LIST"'
		!/^#/ && in_list($1, list) {
			n = split($field, word, ",")
			for (i = 1; i <= n; i++)
				if (!seen[word[i]]++)
					print word[i]
		}' "$LIST" | paste -sd ' '
}

# narrow LIST: checks ARCH=, MACHINE= and so on.  From then on they only narrow the list,
# and the scripts that run a cell do not get them.
narrow() {
	[ -z "${DEBUG-}" ] || check_variant
	if [ -n "$only_arch" ]; then load_arch "$only_arch"; fi
	[ -z "$only_flavor" ] || check_flavor "$only_flavor"
	check_words MACHINE "$only_machine" "$(column "$1" 3)"
	check_words VARIANT "$only_variant" "$(column "$1" 5)"
	unset ARCH MACHINE MMU FLAVOR VARIANT KCONFIG_EXTRA INITRD KERNEL RUN_DIR
	[ -n "$(cells "$1")" ] || die "nothing in list '$1' is left by ARCH='$only_arch' MACHINE='$only_machine' FLAVOR='$only_flavor' VARIANT='$only_variant'" \
		"scripts/matrix.list has the cells; leave a variable out"
}

# cells LIST: the chosen cells that BASE has, a line each
cells() {
	local arch rest variant
	all_cells "$1" | while read -r arch rest; do
		read -r _ _ variant _ <<<"$rest"
		[ "$variant" = - ] || [ -n "$(ARCH=$arch VARIANT=$variant variant_files)" ] || continue
		echo "$arch $rest"
	done
}

all_cells() {
	awk -v list="$1" -v a="$only_arch" -v m="$only_machine" -v f="$only_flavor" -v v="$only_variant" \
		-v asked="$only_arch$only_machine" "$IN_LIST"'
		function wanted(only, word) { return only == "" || index(" " only " ", " " word " ") }
		!/^#/ && in_list($1, list) && wanted(a, $2) && wanted(v, $5) {
			nf = split($4, flavor, ",")
			nm = split($3, machine, ",")
			ns = split($6, suite, ",")
			for (j = 1; j <= nm; j++)
				for (i = 1; i <= nf; i++)
					for (k = 1; k <= ns; k++)
						if (wanted(f, flavor[i]) && wanted(m, machine[j]))
							print $2, machine[j], flavor[i], $5, suite[k]
		}' "$LIST"
}

# words_of FIELD: the words of that field in the cells on stdin, each once
words_of() { awk -v field="$1" '!seen[$field]++ { print $field }' | paste -sd ' '; }

# debs LIST: the packages of the architectures of its cells: scripts/deps does not include
# those of an architecture that is only built on request
debs() {
	local a
	for a in $(cells "$1" | words_of 1); do ( load_arch "$a" && echo "$DEBS" ); done
}

# in_cell CELL CMD...: runs CMD with the variables of that cell
in_cell() {
	local -x ARCH MACHINE FLAVOR VARIANT
	read -r ARCH MACHINE FLAVOR VARIANT _ <<<"$1"
	VARIANT=${VARIANT#-}
	[ "$MACHINE" != - ] || MACHINE=''
	shift
	"$@"
}

# cell_name CELL: MACHINE/FLAVOR[/VARIANT]
cell_name() {
	local machine flavor variant
	read -r _ machine flavor variant _ <<<"$1"
	[ "$variant" != - ] || variant=
	printf '%s/%s%s\n' "$machine" "$flavor" "${variant:+/$variant}"
}

cell_key() { in_cell "$1" kernel_key; }
loaded_run_key() { load_arch "$ARCH" && check_machine && run_key; }
# run_dir CELL: the folder, below RUNS, for the logs of its boots
run_dir() { printf '%s/%s\n' "${RUNS:-$OUT/run}" "$( in_cell "$1" loaded_run_key )"; }

# prepare: makes the kernel, modules and ram disk that a boot of the current cell needs
prepare() {
	"$top/scripts/build" || return
	[ -z "${INITRD-}" ] || return 0
	"$top/scripts/module" && "$top/scripts/initrd" >"$OUT/log/initrd-$(kernel_key).log"
}

# boot_logged DIR: boots; fails only if there are no results, because the judge reports tests
boot_logged() {
	local rc=0
	# A boot that is refused must not be judged by the logs of an earlier one.
	rm -f "$1"/{result.txt,verdict.log,console.log,.cell}
	boots_again "$1" "$top/scripts/boot" || rc=$?
	[ $rc -le 1 ]
}

# in_run_dir DIR CMD...: runs CMD, which boots in DIR and judges; other boots there wait
in_run_dir() {
	local -x LOCKED=$1	# for scripts/boot
	mkdir -p "$1"
	lock "$1/.lock" "another boot in $1" >&2
	"${@:2}"
	unlock
}

SHORT_RACES='ptwalk_kunit.duration_ms=1000 ptwalk_pfn.duration_ms=1000 ptwalk_kvm.seconds=1 ptwalk_process.seconds=1 ptwalk_reclaim_user.seconds=1 ptwalk_unshare_user.seconds=1'

# settings: variables of the user that change a boot, but for APPEND
settings() {
	printf '%s' "${SMP-}${MEM-}${ACCEL-}${ICOUNT-}${REPLAY-}${PROVOKE-}${QEMU_ARGS-}${KERNEL-}${INITRD-}${RUN_DIR-}${KCONFIG_EXTRA-}"
}

# usual: whether the ledger may take the result of a boot
usual() {
	local append=${APPEND-}
	[ -z "${append#"$SHORT_RACES"}$(settings)" ]
}

# boot_cell CELL: boots with APPEND on the command line, and shows progress.  An earlier boot
# of it counts if it is newer than the file SINCE, and had the same kernel, ram disk and
# settings, which .cell has.
boot_cell() {
	local dir key name how rc=0
	how="${APPEND-} $(settings)"
	dir=$(run_dir "$1") key=$(cell_key "$1") name=$(cell_name "$1")
	if [ -n "${SINCE-}" ] && [ "$dir/.cell" -nt "$SINCE" ] && [ "$(cat "$dir/.cell")" = "$how" ] &&
	   [ "$dir/result.txt" -nt "$OUT/initrd/$key.cpio" ] &&
	   [ "$dir/result.txt" -nt "$OUT/kernel/$key/.ptwalk-built" ]; then
		say "${STEP_PREFIX-}boot $name: done before the interruption"
		return 0
	fi
	in_cell "$1" step "boot $name" "$OUT/log/boot-${name//\//-}.log" boot_logged "$dir" || rc=$?
	[ ! -f "$dir/result.txt" ] || printf '%s\n' "$how" >"$dir/.cell"
	return $rc
}

# judge_cell CELL: prints the judge's lines
judge_cell() {
	local machine flavor variant topics='*'
	read -r _ machine flavor variant _ <<<"$1"
	[ "$flavor" != base ] || topics=tests
	"$top/scripts/judge" "$(run_dir "$1")" --machine "$machine" --variant "$variant" --topics "$topics" 2>/dev/null
}

# label NAME: puts NAME/ before the case in each of the judge's lines
label() { sed -E "s,^(PASS|FAIL|SKIP|XFAIL|BENCH) ,&$1/,"; }

# measured CELL: the measurements of its boot, a line each: "cpus N"; "measure OPERATION OPS
# SYNC" (CPUs interrupted to wait for walkers); "tlbie OPERATION OPS TLBIE"; "vmpte GB STEP_MB
# KB" (page tables left); "vmparts GB STEP_KB KB" (the same, given back by parts of a table)
measured() {
	local log
	log=$(run_dir "$1")/verdict.log
	[ ! -f "$log" ] || tr -d '\r' <"$log" | sed -n \
		's/^uname: .* cpus: \([0-9]*\) .*/cpus \1/p
		 s/.*# [^ ]*: measure: vmpte gb=\([0-9]*\) step_mb=\([0-9]*\) kb=\([0-9]*\).*/vmpte \1 \2 \3/p
		 s/.*# [^ ]*: measure: vmparts gb=\([0-9]*\) step_kb=\([0-9]*\) kb=\([0-9]*\).*/vmparts \1 \2 \3/p
		 s/.*# [^ ]*: measure: \([^ ]*\) .*ops=\([0-9]*\) .*tlbie=\([0-9]*\).*/tlbie \1 \2 \3/p
		 s/.*# [^ ]*: measure: \([^ ]*\) .*ops=\([0-9]*\) .*sync=\([0-9]*\).*/measure \1 \2 \3/p'
}

# counted: counts the judge's lines on stdin by result
counted() {
	awk '{ n[$1]++ }
		END {
			printf "%d passed, %d failed, %d skipped%s\n", n["PASS"], n["FAIL"], n["SKIP"],
				n["XFAIL"] ? ", " n["XFAIL"] " fail without the series" : ""
		}'
}

# judged CELL [GLOB]: prints the judge's lines, labelled; no line at all is a failure.  A usual
# run is recorded in the ledger, one of only some cases, GLOB, as "cases".
judged() {
	local lines name
	name=$(cell_name "$1")
	lines=$(judge_cell "$1") || :
	[ -n "$lines" ] || lines='FAIL results (there are none)'
	if usual; then
		counted <<<"$lines" | record kunit "$name"
		measured "$1" | record measure "$name"
	elif [ -n "${2-}" ] && APPEND=${APPEND%"ptwalk.filter=$2"} && APPEND=${APPEND% } && usual; then
		counted <<<"$lines" | record cases "$name"
	fi
	label "$name" <<<"$lines"
}

# ------------------------------------------------------------ what runs there

# suite_kunit CELL [GLOB]: SHORT=1 shortens the races
suite_kunit() {
	local -x APPEND=${APPEND-}
	[ -z "${2-}" ] || APPEND="ptwalk.filter=$2${APPEND:+ $APPEND}"
	# Without the series races prove nothing, so they need not run for long.
	case ${SHORT-}$1 in 1*|*' base '*) APPEND="$SHORT_RACES${APPEND:+ $APPEND}" ;; esac
	in_run_dir "$(run_dir "$1")" boot_and_judge "$@"
}
boot_and_judge() {
	boot_cell "$1" >&2 </dev/null || :
	judged "$@"
}

# suite_torture CELL [SECONDS]: TORTURE= is the default for SECONDS; without either, does nothing
suite_torture() {
	local -x DURATION=${2:-${TORTURE-}}
	local name log
	[ -n "$DURATION" ] || return 0
	name=torture-$(cell_name "$1")
	log=$OUT/log/${name//\//-}.log
	if ! grep -q '^CONFIG_TRANSPARENT_HUGEPAGE=y' "$OUT/kernel/$(cell_key "$1")/.config"; then
		echo "SKIP $name (this kernel has no transparent huge pages)"
	elif in_cell "$1" step "$name" "$log" "$top/scripts/torture" >&2 </dev/null; then
		echo "PASS $name"
	else
		echo "FAIL $name ($(tail -n1 "$log"))"
	fi
}

# run_cell CELL: prints lines PASS|FAIL|SKIP.  A kernel is built only once.
declare -A PREPARED=()
run_cell() {
	local key suite=${1##* } what=prepare
	key=$(cell_key "$1")
	if [ -z "${PREPARED[$key]-}" ]; then
		PREPARED[$key]=yes
		[ "$(words_of 2 <<<"$1")" != - ] || what=$top/scripts/build
		in_cell "$1" "$what" >&2 </dev/null || PREPARED[$key]=no
		case ${PREPARED[$key]},$suite in
		no,*) echo "FAIL build-$key (see the log above)" ;;
		*,-|*,kunit) echo "PASS build-$key" ;;
		esac
		[ "${PREPARED[$key]},$suite" != yes,- ] || echo built | record kunit "${1%% *}/${key#*-}"
	fi
	case ${PREPARED[$key]},$suite in
	no,*|*,-) ;;
	*=*) "suite_${suite%%=*}" "$1" "${suite#*=}" ;;
	*) "suite_$suite" "$1" ;;
	esac
}

# build_cells LIST...: builds the kernels of these lists, but not the first, at the lowest
# priority
build_cells() {
	local cell key list
	local -A seen=()
	renice -n 19 $BASHPID
	while read -r cell <&3; do
		key=$(cell_key "$cell")
		[ ${#seen[@]} -eq 0 ] || [ -n "${seen[$key]-}" ] || in_cell "$cell" "$top/scripts/build" || :
		seen[$key]=yes
	done 3< <(for list; do cells "$list"; done)
}

# build_ahead LIST...: starts build_cells, because boots leave CPU time.  A step that needs such
# a kernel waits for its build, which ends with this shell.
build_ahead() {
	set -m	# a process group of its own
	unlocked build_cells "$@" >"$OUT/log/build-ahead.log" 2>&1 </dev/null &
	# shellcheck disable=SC2064	# this job
	trap "kill -- -$! 2>/dev/null || :" EXIT
	set +m
}

# run_cells LIST [LATER...]: also builds ahead for the lists LATER
run_cells() (
	ledger_key	# now, because files may change while the cells run
	cells "$1" >"$OUT/log/cells-$1.txt"
	build_ahead "$@"
	while read -r cell <&3; do run_cell "$cell"; done 3<"$OUT/log/cells-$1.txt"
)
