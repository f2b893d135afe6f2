# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154	# variables of common.sh
# The ledger has a line for each result.  Tabs separate its fields:
#	CHECK  WHERE  BASE  KEY  DATE  RESULT
# "make proof" copies it to tests/ledger, which is committed; "make report" renders it.
# To be sourced after common.sh and patches.sh.

LEDGER=$OUT/ledger
COMMITTED=$top/tests/ledger

# Lines that are only comment
ONLY_COMMENT='^[+ -]?[[:space:]]*(/[*].*[*]/|/[*]([^/]|[^*]/)*|[*]|[*]/|[*] .*)$'

# ledger_key: LEDGER_KEY becomes the keys of all that results depend on: the patches without
# their messages, line numbers and documents, the modules, the programs, the machines and
# configurations; all without patches and lines that are only comment.  A word NAME=KEY for each of:
#	all		everything
#	ARCH		what is booted there in the usual configuration
#	ARCH-core	likewise, without the suites
#	SUITE		one of these
#	+VARIANT	the configuration of that variant, and of those that it includes;
#			a result of a variant has both keys, with a "+" between
ledger_key() {
	[ -n "${LEDGER_KEY-}" ] || LEDGER_KEY=$(
		dir=$(mktemp -d)
		{
			# shellcheck disable=SC2016	# $0 is of awk
			series_files | ONLY_COMMENT=$ONLY_COMMENT xargs awk '
				function finish() { if (code) printf "%s", text; text = ""; code = begun = 0 }
				FNR == 1 { finish() }
				/^diff --git / { begun = 1 }
				!begun || /^index / { next }
				/^@@ / { $0 = "" }
				{ text = text $0 "\n" }
				/^[+-]/ && !/^(---|[+][+][+]) / && $0 !~ ENVIRON["ONLY_COMMENT"] { code = 1 }
				END { finish() }'
			cd "$top" || exit
			find Kconfig.fragment guest module scripts/arch scripts/configs -type f \
				\( -name '*.[chS]' -o -name Kbuild -o -name Makefile -o -name '*.conf' -o -name '*.config' \
				-o -name Kconfig.fragment \) ! -name '*.mod.c' | sort |
				while read -r file; do
					echo "diff --git $file"
					cat "$file"
				done
		} | sed -E "\,$ONLY_COMMENT,d" | awk -v dir="$dir" -v arches="$(arches)" -v karches="$(karches)" '
			BEGIN {
				n = split(arches, arch, " ")
				split(karches, karch, " ")
				n_programs = split("failnth mthp process reclaim:reclaim_user reports unshare:unshare_user", word, " ")
				for (i = 1; i <= n_programs; i++) {
					split(word[i] ":" word[i], part, ":")
					program[part[1]] = part[2]
				}
			}
			/^diff --git / {
				skip = $3 ~ "^a/(Documentation/|MAINTAINERS$)"
				file = $3
				gsub(/.*\/|[.][ch]$/, "", file)
				suite = ""
				if ($3 ~ "^module/suites/" && file != "main")	# which all have
					suite = file
				else if ($3 ~ "^guest/doctor")
					suite = "doctor"
				else if ($3 ~ "^guest/" && file in program)
					suite = program[file]
				variant = $3 ~ "^scripts/configs/variants/" ? file : ""
				sub(/[-.].*/, "", variant)
				not_booted = variant != "" || $3 ~ "^guest/(bench|demo|jemalloc|selftests)[.]"
				for (i = 1; i <= n; i++) {
					other[i] = not_booted || $3 ~ "^a/arch/" && index($3, "a/arch/" karch[i] "/") != 1 ||
						suite ~ /^(hash|radix)$/ && arch[i] != "ppc64le"
					for (j = 1; j <= n; j++)
						if (j != i && $3 !~ "^a/" && index($3, arch[j]))
							other[i] = 1
				}
			}
			skip { next }
			{ print >(dir "/all") }
			suite != "" { print >(dir "/" suite) }
			variant != "" {
				text[variant] = text[variant] $0 "\n"
				if (sub(/^# with: /, ""))
					with[variant] = with[variant] " " $0
				next
			}
			{
				for (i = 1; i <= n; i++)
					if (!other[i]) {
						print >(dir "/" arch[i])
						if (suite == "")
							print >(dir "/" arch[i] "-core")
					}
			}
			function all_of(variant,	i, n, word) {
				n = split(with[variant], word, " ")
				for (i = 1; i <= n; i++)
					all_of(word[i])
				printf "%s", text[variant] >out
			}
			END {
				for (variant in text) {
					out = dir "/+" variant
					all_of(variant)
					close(out)
				}
			}'
		cd "$dir" || exit
		sha256sum -- * | sed -E 's/^(.{10}).{54}  (.*)$/\2=\1/' | paste -sd ' '
		rm -r "$dir"
	)
	export LEDGER_KEY
}

# karches: the names that Linux has for the architectures, in the order of arches
karches() (
	for arch in $(arches); do
		load_arch "$arch"
		echo "$KARCH"
	done | paste -sd ' '
)

# key_of CHECK WHERE: the key of this result; after ledger_key
key_of() {
	local name=all variant
	case $1,$2 in
	mutant,*)
		mutant_keys "$top/tests/mutants/$BASE/${2%% *}.patch" | awk -F '\t' -v cell="$2" '$1 == cell { print $2 }'
		return ;;
	*,x86|*,x86/*|*,x86_64/*|topic,*' x86')	name=x86_64 ;;
	*,radix|*,radix/*|topic,*' radix'|*,hash|*,hash/*|topic,*' hash'|*,powernv/*) name=ppc64le ;;
	*,virt/*)	name=arm64 ;;
	esac
	[ "$1" != torture ] || name=$name-core
	case $1,$2 in
	kunit,*/*/*|cases,*/*/*|measure,*/*/*|torture,*/*/*) variant=$(word_of_key "+${2##*/}") ;;
	proof,check|proof,static) variant=${PROOF_KEY-} ;;
	esac
	echo "$(word_of_key "$name")${variant:++$variant}"
}

# word_of_key NAME: the key of that name, if there is one
word_of_key() { sed -nE "s/(.* |^)${1/+/[+]}=([^ ]*).*/\2/p" <<<"$LEDGER_KEY"; }

# mutant_keys FILE...: "NAME PLACE<TAB>KEY" of each of these mutants in each of its cells.  The
# key is that of the mutant, of what is built there without the suites, and of the suites
# that it names.  After ledger_key.
mutant_keys() {
	local dir
	dir=$(mktemp -d)
	awk -v keys="$LEDGER_KEY" -v dir="$dir" '
		BEGIN {
			n = split(keys, word, " ")
			for (i = 1; i <= n; i++) {
				split(word[i], part, "=")
				key[part[1]] = part[2]
			}
		}
		function finish(	i, arch, variant, out) {
			for (i = 1; i <= places; i++) {
				arch = variant = out = place[i]
				sub(/[/].*/, "", arch)
				sub(/^[^/]*[/]?/, "+", variant)
				sub(/[/]/, ":", out)
				out = dir "/" name " " out
				printf "%s\n%s\n%s%s", key[arch "-core"], key[variant], suites, text >out
				close(out)
			}
			text = suites = ""
			places = 0
		}
		FNR == 1 {
			finish()
			name = FILENAME
			gsub(/^.*\/|[.]patch$/, "", name)
			head = 1
		}
		/^---/ { head = 0 }
		head && /^On: / { places = split(substr($0, 5), place, " ") }
		head && /^Killed-by: / {
			for (i = 2; i <= NF; i++) {
				suite = $i
				sub(/[.].*/, "", suite)
				sub(/^ptwalk_/, "", suite)
				if (suite in key)
					suites = suites key[suite] "\n"
				else if (suite ~ /[*?[]/)
					suites = suites keys "\n"
			}
		}
		{ text = text $0 "\n" }
		END { finish() }' "$@"
	(
		cd "$dir" || exit
		sha256sum -- * | sed -E 's/^(.{10}).{54}  ([^:]*):?(.*)$/\2:\3\t\1/; s/:\t/\t/; s,:,/,'
	)
	rm -r "$dir"
}

# record CHECK WHERE: stores the lines of stdin as its result, in place of an earlier one
record() {
	local key
	ledger_key
	key=$(key_of "$1" "$2")
	(
		mkdir -p "$OUT"
		lock "$LEDGER.lock" 'the ledger'
		# If the disk is full, the ledger stays as it was.
		{
			{ [ ! -f "$LEDGER" ] || awk -F '\t' -v check="$1" -v where="$2" -v base="$BASE" \
				'$1 != check || $2 != where || $3 != base' "$LEDGER"; } &&
			sed "s|^|$(printf '%s\t' "$1" "$2" "$BASE" "$key" "$(date -u +%Y-%m-%d)")|"
		} >"$LEDGER.new" && mv "$LEDGER.new" "$LEDGER"
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
	awk -F '\t' -v check="$2" -v where="$3" -v base="$BASE" -v key="$(key_of "$2" "$3")" '
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
