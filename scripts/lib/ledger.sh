# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154	# variables of common.sh
# The ledger has a line for each result.  Tabs separate its fields:
#	CHECK  WHERE  BASE  KEY  DATE  RESULT
# "make proof" copies it to tests/ledger, which is committed; "make report" renders it.
# To be sourced after common.sh and patches.sh.

LEDGER=$OUT/ledger
COMMITTED=$top/tests/ledger

# ledger_key: a key of all that results depend on: the patches without their messages, line
# numbers and documents, the modules, the programs, the machines and configurations; all
# without lines that are only comment
ledger_key() {
	[ -n "${LEDGER_KEY-}" ] || LEDGER_KEY=$(
		{
			series_files | xargs sed -s -n '/^diff --git /,$ { /^index /d; s/^@@ .*//; p }' |
				awk '/^diff --git / { skip = $3 ~ "^a/(Documentation/|MAINTAINERS$)" } !skip'
			cd "$top" && find Kconfig.fragment guest module scripts/arch scripts/configs -type f \
				\( -name '*.[chS]' -o -name Kbuild -o -name Makefile -o -name '*.conf' -o -name '*.config' \
				-o -name Kconfig.fragment \) ! -name '*.mod.c' | sort | xargs cat
		} | sed -E '\,^[+ -]?[[:space:]]*(/[*].*[*]/|/[*]([^/]|[^*]/)*|[*]|[*]/|[*] .*)$,d' | sha256sum | cut -c1-10)
	export LEDGER_KEY
}

# mutant_keys FILE...: the key of the results of each of these mutants, a line each: that of
# the ledger and the mutant
mutant_keys() {
	local dir
	ledger_key
	dir=$(mktemp -d)
	awk -v key="$LEDGER_KEY" -v dir="$dir" '
		FNR == 1 { close(out); out = dir "/" sprintf("%04d", ++n); print key >out }
		{ print >out }' "$@"
	sha256sum "$dir"/* | cut -c1-10
	rm -r "$dir"
}

# record CHECK WHERE: stores the lines of stdin as its result, in place of an earlier one
record() {
	ledger_key
	(
		mkdir -p "$OUT"
		lock "$LEDGER.lock" 'the ledger'
		[ ! -f "$LEDGER" ] || awk -F '\t' -v check="$1" -v where="$2" -v base="$BASE" \
			'$1 != check || $2 != where || $3 != base' "$LEDGER" >"$LEDGER.new"
		sed "s|^|$(printf '%s\t' "$1" "$2" "$BASE" "$LEDGER_KEY" "$(date -u +%Y-%m-%d)")|" >>"$LEDGER.new"
		mv "$LEDGER.new" "$LEDGER"
	)
}

# record_torture WHERE SECONDS RESULT: a run that passed does not replace a longer one of this tree
record_torture() {
	local said
	if [ "$3" = SUCCESS ] && [ -f "$LEDGER" ] && said=$(recorded "$LEDGER" torture "$1"); then
		case $said in SUCCESS*) said=${said//[!0-9]/}; [ "$said" -le "$2" ] || return 0 ;; esac
	fi
	echo "$3, $2 s" | record torture "$1"
}

# recorded FILE CHECK WHERE: prints its result; status 1 unless it is of this tree
recorded() {
	ledger_key
	awk -F '\t' -v check="$2" -v where="$3" -v base="$BASE" -v key="$LEDGER_KEY" '
		$1 == check && $2 == where && $3 == base {
			stale += $4 != key
			found = 1
			print $6
		}
		END { exit stale || !found }' "$1"
}

# mutant_cells: "NAME PLACE<TAB>BASE" of each mutant in each of its cells
mutant_cells() {
	find "$top/tests/mutants" -name '*.patch' -exec awk '
		FNR == 1 { n = split(FILENAME, part, "/"); name = part[n]; sub(/[.]patch$/, "", name) }
		/^---/ { nextfile }
		sub(/^On: /, "") { for (i = 1; i <= NF; i++) print name " " $i "\t" part[n - 1] }' {} +
}

# ledger_commit: copies new results to tests/ledger, sorted, without those of mutants that are
# no longer there, or no longer run there
ledger_commit() {
	touch "$COMMITTED"
	awk -F '\t' '
		FNR == NR { cell[$1, $2] = 1; next }
		/^#/ { if (FILENAME == ARGV[3]) print; next }
		$1 == "mutant" && !(($2, $3) in cell) { next }
		{ id = $1 FS $2 FS $3 }
		FILENAME == ARGV[2] { new[id] = 1; line[++n] = $0; next }
		!(id in new)
		END { for (i = 1; i <= n; i++) print line[i] }' - "$LEDGER" "$COMMITTED" < <(mutant_cells) |
		sort -s -t "$(printf '\t')" -k3,3 -k1,1 -k2,2 >"$COMMITTED.new"
	mv "$COMMITTED.new" "$COMMITTED"
}
