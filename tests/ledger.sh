#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The ledger of results, and the documents that are rendered from it.

set -eu
. "$(dirname "$0")/lib.sh"

ledger() {
	BUILD=$T/b
	fake_series "$T/p"
	PATCHES=$T/p
	unset LEDGER_KEY
	. "$top/scripts/lib/common.sh"
	. "$top/scripts/lib/matrix.sh"
	COMMITTED=$T/committed
}

test_a_result_replaces_the_one_before() {
	ledger
	printf '%s\n' 'one' 'two' | record kunit x86/base
	echo other | record kunit hash/base
	echo three | record kunit x86/base
	recorded "$LEDGER" kunit x86/base | diff - <(echo three)
	recorded "$LEDGER" kunit hash/base | diff - <(echo other)
	[ "$(wc -l <"$LEDGER")" -eq 2 ]
}

# make variants calls record where "set -e" has no effect.
test_full_disk_keeps_the_ledger() {
	ledger
	ledger_key
	echo one | record kunit x86/base
	mkdir "$T/bin"
	printf '#!/bin/sh\nexit 2\n' >"$T/bin/awk"
	chmod +x "$T/bin/awk"
	if echo two | PATH=$T/bin:$PATH record kunit hash/base; then fail 'status 0'; fi
	recorded "$LEDGER" kunit x86/base | diff - <(echo one)
}

test_a_changed_patch_makes_results_stale_texts_do_not() {
	ledger
	sed -i '/^-- $/,$d' "$T"/p/*.patch	# "make series" writes no signatures
	echo well | record kunit x86/base
	sed -i 's/^So that people can read it/So that they can/' "$T"/p/0001-*
	sed -i 's/^Subject: .*/&, in other words/' "$T"/p/000[2-9]-*
	sed -i 's/^@@ -7,7 +7,7 @@/@@ -8,7 +8,7 @@/' "$T"/p/0001-*
	printf '%s\n' 'diff --git a/Documentation/mm/x.rst b/Documentation/mm/x.rst' '+a word' >>"$(echo "$T"/p/0002-*)"
	unset LEDGER_KEY
	[ "$(recorded "$LEDGER" kunit x86/base || echo stale)" = well ] || fail 'a reworded message makes it stale'
	sed -i 's/^+line ten of gup/+line eleven of gup/' "$T"/p/0001-*
	unset LEDGER_KEY
	if recorded "$LEDGER" kunit x86/base; then fail 'a result of another patch was taken'; fi
	if recorded "$LEDGER" kunit radix/base; then fail 'what was never run was taken'; fi
}

test_a_result_depends_on_what_is_built_there() {
	local where
	ledger
	of_this_tree() { recorded "$LEDGER" "$@" >"$T/out"; }
	for where in x86/base radix/base; do echo well | record kunit $where; done
	echo well | record proof check
	echo well | record topic 'a x86'
	sed -i 's,\([ab]\)/mm/,\1/arch/powerpc/mm/,; s/^+line ten of gup/+line eleven of gup/' "$T"/p/0001-*
	unset LEDGER_KEY
	! of_this_tree kunit x86/base || fail 'the patch was for x86, too'
	echo well | record kunit x86/base
	echo well | record topic 'a x86'
	sed -i 's/^+line eleven of gup/+line twelve of gup/' "$T"/p/0001-*
	unset LEDGER_KEY
	of_this_tree kunit x86/base || fail 'x86 has nothing of powerpc'
	of_this_tree topic 'a x86' || fail 'x86 has nothing of powerpc'
	! of_this_tree kunit radix/base || fail 'radix has it'
	! of_this_tree proof check || fail 'all has it'
	echo well | record proof check
	! PROOF_KEY=other of_this_tree proof check || fail 'a script has changed'
}

# sources: a copy of all that keys depend on, in $T
sources() {
	local dir
	for dir in Kconfig.fragment guest module patches scripts tests; do cp -a "$top/$dir" "$T/"; done
}

# key_in_copy CHECK WHERE: the key of that result with the sources in $T
key_in_copy() (
	# shellcheck disable=SC2030	# of this one
	export BASE=v6.12
	unset LEDGER_KEY
	. "$T/scripts/lib/common.sh"
	. "$T/scripts/lib/matrix.sh"
	ledger_key
	key_of "$@"
)

test_a_variant_depends_on_its_configuration() {
	local x86 distro numa
	sources
	x86=$(key_in_copy kunit x86/patched) distro=$(key_in_copy kunit x86/patched/distro)
	numa=$(key_in_copy torture radix/patched/numa)
	[ "$x86" != "$distro" ] && [ -n "$numa" ]
	echo CONFIG_X=y >>"$T/scripts/configs/variants/memcg.config"	# which distro includes
	[ "$(key_in_copy kunit x86/patched)" = "$x86" ] || fail 'the usual configuration includes no variant'
	[ "$(key_in_copy kunit x86/patched/distro)" != "$distro" ] || fail 'distro includes memcg'
	[ "$(key_in_copy torture radix/patched/numa)" = "$numa" ] || fail 'numa does not include memcg'
}

test_torture_depends_on_no_suite() {
	local kunit torture
	sources
	kunit=$(key_in_copy kunit x86/patched) torture=$(key_in_copy torture x86/patched)
	echo 'int x;' | tee -a "$T/module/suites/gup.c" "$T/guest/process.c" "$T/guest/doctor.c" >/dev/null
	[ "$(key_in_copy kunit x86/patched)" != "$kunit" ] || fail 'it runs the suites'
	[ "$(key_in_copy torture x86/patched)" = "$torture" ] || fail 'it runs no suite'
	echo 'int x;' >>"$T/guest/torture.c"
	[ "$(key_in_copy torture x86/patched)" != "$torture" ] || fail 'it runs guest/torture.c'
}

test_a_mutant_depends_on_the_suites_that_it_names() {
	local gup hash
	sources
	key() { key_in_copy mutant "$1"; }
	gup=$(key '05-gup-does-not-recheck-pmd ppc64le/radix') hash=$(key '18-hash-no-recheck ppc64le/hash')
	[ -n "$gup" ] && [ -n "$hash" ]
	echo 'int x;' >>"$T/module/suites/hash.c"
	echo 'int x;' >>"$T/guest/doctor.c"
	[ "$(key '05-gup-does-not-recheck-pmd ppc64le/radix')" = "$gup" ] || fail 'it names no case of hash and doctor'
	[ "$(key '18-hash-no-recheck ppc64le/hash')" != "$hash" ] || fail 'it names a case of hash'
	sed -i 's/^Killed-by: .*/&_2/' "$T"/tests/mutants/v6.12/05-*.patch
	[ "$(key '05-gup-does-not-recheck-pmd ppc64le/radix')" != "$gup" ] || fail 'it names another case'
	sed -i 's/^\(Killed-by: .*\)_2/\1/' "$T"/tests/mutants/v6.12/05-*.patch
	echo 'int x;' >>"$T/module/suites/main.c"
	[ "$(key '05-gup-does-not-recheck-pmd ppc64le/radix')" != "$gup" ] || fail 'all suites have it'
}

test_what_is_committed_keeps_what_was_not_run_again() {
	ledger
	printf '# head\nkunit\tradix/base\tv6.12\t-\t2026-01-01\told\nkunit\tx86/base\tv6.12\t-\t2026-01-01\told\n' >"$COMMITTED"
	echo new | record kunit x86/base
	ledger_commit
	head -n1 "$COMMITTED" | grep -qx '# head'
	cut -f1,2,6 "$COMMITTED" | sed 1d | diff - <(printf 'kunit\tradix/base\told\nkunit\tx86/base\tnew\n')
}

test_results_of_mutants_that_are_gone_are_dropped() {
	local cell
	ledger
	cell=$(mutant_cells | sed -n 's/\tv6.12$//p' | head -n1)
	{
		printf '# head\n'
		printf 'mutant\t%s\tv6.12\t-\t2026-01-01\tkilled\n' "$cell" "${cell% *} nowhere" '01-gone x86_64'
		printf 'mutant\t%s\tv6.13\t-\t2026-01-01\tkilled\n' "$cell"
	} >"$COMMITTED"
	mkdir -p "$(dirname "$LEDGER")"
	printf 'mutant\t%s\tv6.12\t-\t2026-01-01\tkilled\n' '02-gone x86_64' >"$LEDGER"
	echo new | record kunit x86/base
	ledger_commit
	cut -f1-3 "$COMMITTED" | diff - <(printf '# head\nkunit\tx86/base\tv6.12\nmutant\t%s\tv6.12\n' "$cell")
}

test_table_of_the_ledger() {
	ledger
	printf 'cpus 8\nmeasure collapse_anon 8 56\ntlbie munmap_thp 64 199\nvmpte 50 2 204\n' | record measure x86/base
	echo '80 passed, 0 failed, 13 skipped' | record kunit x86/base
	"$top/scripts/table" --ledger "$LEDGER" >"$T/out"
	cat "$T/out"
	grep -q '^anonymous THP collapse  *7  ' "$T/out"
	grep -q '^munmap of a THP x 64  *199  ' "$T/out"
	grep -q '^x86    base     80 passed, 0 failed, 13 skipped' "$T/out"
	grep -q '^hash   patched  not run' "$T/out"
}

test_edited_table_is_named() {
	mkdir "$T/copy"
	tar -C "$top" -c --exclude=./build --exclude=./.git . | tar -C "$T/copy" -x
	cd "$T/copy"
	scripts/report --check
	sed -i '/report: suites/,/report end/s/ptwalk_gup  /ptwalk_gap  /' Documentation/cases.rst
	if scripts/report --check >"$T/out"; then fail 'it was not noticed'; fi
	grep -q '^Documentation/cases.rst: a generated part' "$T/out"
	scripts/report
	scripts/report --check
}

test_report_keeps_a_document_without_an_end() {
	only_parts suites
	refused 2 "unknown option '--chek'" '--help' scripts/report --chek
	sed -i 's/^.. report end//' Documentation/parts.rst
	echo 'more text' >>Documentation/parts.rst
	refused 2 'parts.rst: no "report end" after "report: suites"' 'below' scripts/report
	grep -qx 'more text' Documentation/parts.rst
}

# only_parts NAME...: a copy of all, in which the one document has these generated parts
only_parts() {
	local name
	mkdir "$T/copy"
	tar -C "$top" -c --exclude=./build --exclude=./.git . | tar -C "$T/copy" -x
	cd "$T/copy"
	rm Documentation/*.rst
	: >README.md
	for name; do printf '.. report: %s\n\n.. report end\n' "$name" >>Documentation/parts.rst; done
	: >tests/ledger
}

# copy_key BASE CHECK WHERE: in that copy
copy_key() {
	(
		export BASE=$1
		. scripts/lib/common.sh
		. scripts/lib/matrix.sh
		ledger_key
		key_of "$2" "$3"
	)
}

# part: what was rendered, with single blanks
part() { sed '/^$/d; /report/d; /^===/d; s/  */ /g' Documentation/parts.rst; }

test_results_of_each_base() {
	local new old
	only_parts configurations crossbuild bench
	printf '%s\n' 'run x86_64 x86 patched - kunit' 'variants x86_64 x86 patched rt kunit,torture' \
		'variants ppc64le radix base 4k kunit' >scripts/matrix.list
	new=$(copy_key v7.3 proof check) old=$(copy_key v6.12 proof check)
	{
		printf '%s\t%s\tv6.12\t%s\t2026-01-01\t%s\n' bench fork "$old" 'fork: 12' \
			crossbuild arm64 "$new" '104 objects' \
			kunit x86/patched/rt "$old" '80 passed' torture x86/patched/rt older 'SUCCESS, 60 s' \
			kunit virt/base "$old" '70 passed' kunit x86_64/patched-pae "$old" built \
			cases radix/base/4k "$old" '3 passed' cases x86/patched/rt "$old" '2 passed'
		printf '%s\t%s\tv7.3\t%s\t2026-02-01\t%s\n' bench fork "$new" 'fork: 73' \
			crossbuild arm64 "$new" '105 objects' \
			kunit x86/patched/rt "$new" '90 passed'
	} >tests/ledger
	sed -i '/^arm64 /!d' scripts/crossbuild.list
	scripts/report
	part | sed '/^ A nanosecond /,$d' >"$T/out"
	cat "$T/out"
	diff - "$T/out" <<-'END'
	base machine/flavor/variant suites torture date
	v6.12 x86/patched not run \- \-
	v6.12 x86/patched/rt 80 passed SUCCESS, 60 s, older 2026-01-01
	v6.12 radix/base/4k 3 passed, only some cases \- 2026-01-01
	v7.3 x86/patched not run \- \-
	v7.3 x86/patched/rt 90 passed not run 2026-02-01
	v7.3 radix/base/4k not run \- \-
	v6.12 virt/base 70 passed \- 2026-01-01
	base name compiled date tree
	v6.12 arm64 104 objects 2026-01-01 older
	v7.3 arm64 105 objects 2026-02-01 this
	::
	 fork: 12 [2026-01-01]
	END
}

test_sublevels_and_times_of_a_new_debian() {
	local new old
	only_parts sublevels bare
	new=$(copy_key v7.3 proof check) old=$(copy_key v6.12 proof check)
	{
		printf '%s\t%s\tv6.12\t%s\t2026-01-01\t%s\n' sublevel 6.12.107 "$old" 'clean     9 hunks' \
			sublevel 6.12.74 another 'conflict  8 hunks' bare 'bookworm make run' "$old" 15:26 \
			bare 'trixie make run' another 'failed after 0:10' bare 'trixie make doctor' "$old" 0:20
		printf 'sublevel\t7.3.4\tv7.3\t%s\t2026-02-01\tclean  7 hunks\n' "$new"
	} >tests/ledger
	scripts/report
	part >"$T/out"
	cat "$T/out"
	diff - "$T/out" <<-'END'
	version result date tree
	6.12.74 conflict: 8 hunks 2026-01-01 older
	6.12.107 clean: 9 hunks 2026-01-01 this
	7.3.4 clean: 7 hunks 2026-02-01 this
	command Debian 12 Debian 13 date tree
	make run 15:26 failed 2026-01-01 older
	 after 0:10
	make doctor \- 0:20 2026-01-01 this
	END
}

# change FILE LINE...: these lines more in the copy's FILE change the key
change() {
	local file=$1 before=$key
	shift
	printf '%s\n' "$@" >>"$file"
	key=$(copy_key v6.12 proof check)
	[ "$key" != "$before" ]
}

test_key_ignores_comments() {
	local key line patch
	only_parts
	patch=$(ls patches/v6.12/0002-*)
	key=$(copy_key v6.12 proof check)
	! change guest/bench.c '/* One line */' '/* First line' ' * Middle' ' *' ' */' '	/* In code */' ||
		fail 'the key changes with a comment'
	! change "$patch" '+ * Middle' || fail 'the key changes with a comment of a patch'
	printf '%s\n' 'diff --git a/mm/x.c b/mm/x.c' '--- a/mm/x.c' '+++ b/mm/x.c' '@@ -1,2 +1,2 @@' ' int x;' \
		'-/* one */' '+/* other */' >patches/v6.12/9999-comments.patch
	[ "$(copy_key v6.12 proof check)" = "$key" ] || fail 'the key changes with a patch that changes only comments'
	rm patches/v6.12/9999-comments.patch
	for line in 'int i; /* behind code */' '*p = 1;' '#define X'; do
		change guest/bench.c "$line" || fail "the key does not change with $line"
	done
	change "$patch" '+	i++;' || fail 'the key does not change with a patch'
}

test_longest_torture_test_stays() {
	ledger
	record_torture radix/patched 20 SUCCESS
	record_torture radix/patched 1800 SUCCESS
	record_torture radix/patched 60 SUCCESS
	recorded "$LEDGER" torture radix/patched | diff - <(echo 'SUCCESS, 1800 s')
	( BASE=v7.3; record_torture radix/patched 30 SUCCESS )
	recorded "$LEDGER" torture radix/patched | diff - <(echo 'SUCCESS, 1800 s')
	( LEDGER_KEY=ppc64le=another; record_torture radix/patched 40 SUCCESS )
	if recorded "$LEDGER" torture radix/patched >"$T/out"; then fail 'that of another tree stayed'; fi
	diff "$T/out" <(echo 'SUCCESS, 40 s')
	record_torture radix/patched 60 SUCCESS
	record_torture radix/patched 20 FAILURE
	recorded "$LEDGER" torture radix/patched | diff - <(echo 'FAILURE, 20 s')
	record_torture radix/patched 10 SUCCESS
	recorded "$LEDGER" torture radix/patched | diff - <(echo 'SUCCESS, 10 s')
}

# make torture, with a boot that says RESULT
# shellcheck disable=SC2016	# the boot is code in quotes
test_torture_is_recorded() {
	local s
	fake_series "$T/p"
	other_top scripts/boot '#!/bin/bash' 'mkdir -p "$RUN_DIR"' \
		'echo "[ 1.0] ptwalk-torture: End of test: $RESULT" >"$RUN_DIR/console.log"'
	for s in build module initrd judge; do echo '#!/bin/sh' >"$T/top/scripts/$s"; done
	export BUILD=$T/b PATCHES=$T/p ARCH=ppc64le MACHINE=radix RESULT=SUCCESS
	mkdir -p "$T/b/v6.12/log"
	DURATION=1800 "$T/top/scripts/torture"
	cut -f1-3,6 "$T/b/v6.12/ledger" | diff - <(printf 'torture\tradix/patched\tv6.12\tSUCCESS, 1800 s\n')
	RESULT=FAILURE APPEND=ptwalk_torture.modifiers=swap "$T/top/scripts/torture" || :
	grep -q 'SUCCESS, 1800 s' "$T/b/v6.12/ledger"
	RESULT=FAILURE SMP=1 "$T/top/scripts/torture" || :
	grep -q 'SUCCESS, 1800 s' "$T/b/v6.12/ledger"
	if RESULT=FAILURE VARIANT=lockdep "$T/top/scripts/torture"; then fail 'status 0'; fi
	cut -f2,6 "$T/b/v6.12/ledger" | sed -n 2p | diff - <(printf 'radix/patched/lockdep\tFAILURE, 60 s\n')
}

test_what_make_proof_ran() {
	only_parts proof
	sed -i "s/^ALL='.*/ALL='check static lava'/" scripts/proof
	printf 'proof\t%s\tv6.12\t%s\t2026-01-01\t%s\n' check "$(copy_key v6.12 proof check)+scripts" '5 passed' \
		lava older '4 passed' models older '1 passed' >tests/ledger
	scripts/report
	part | diff - <(printf '%s\n' 'base what last line date' 'v6.12 check 5 passed 2026-01-01' \
		'v6.12 static not run \-' 'v6.12 lava 4 passed, older 2026-01-01' \
		'v7.3 check not run \-' 'v7.3 static not run \-' 'v7.3 lava not run \-')
}

test_topics_that_stand_alone() {
	only_parts topics
	printf '%s\n' 'a 1-1 - A.' 'b 2-2 a B.' >patches/v6.12/TOPICS
	printf '%s\n' 'a 1-1 - A.' >patches/v7.3/TOPICS
	printf 'topic\t%s\t%s\t%s\t2026-01-01\t%s\n' 'a x86' v6.12 "$(copy_key v6.12 proof check)" '80 passed, 0 failed, 1 skipped' \
		'b hash' v6.12 older '80 passed, 2 failed, 1 skipped' 'a radix' v7.3 older '9 passed, 0 failed, 1 skipped' >tests/ledger
	scripts/report
	part | diff - <(printf '%s\n' 'base topic x86 radix hash' 'v6.12 a passes not run not run' \
		'v6.12 b not run not run 2 failed, older' 'v7.3 a not run passes, older not run')
}

test_matrix_of_the_mutants() {
	local key
	mkdir "$T/copy"
	tar -C "$top" -c --exclude=./build --exclude=./.git . | tar -C "$T/copy" -x
	cd "$T/copy"
	key=$(
		. scripts/lib/common.sh
		. scripts/lib/patches.sh
		. scripts/lib/ledger.sh
		ledger_key
		echo "$(key_of mutant '04-collapse-broadcasts x86_64'),$(key_of mutant '04-collapse-broadcasts ppc64le/radix')"
	)
	sed -i '/^mutant\t04-/d' tests/ledger
	printf 'mutant\t04-collapse-broadcasts %s\tv6.12\t%s\t2026-01-01\t%s\n' x86_64 "${key%,*}" 'killed by ptwalk_x.a (why)' \
		ppc64le/radix "${key#*,}" 'FAILED: survived' ppc64le/hash older 'killed by ptwalk_x.a (why)' >>tests/ledger
	scripts/report
	sed '/report: mutants v7.3/,$d' Documentation/cases.rst | grep -A1 '^04 ' | sed 's/  */ /g' >"$T/out"
	cat "$T/out"
	diff - "$T/out" <<-'END'
	04 collapse interrupts every CPU x86_64 FAILED: ppc64le/radix; not
	 run: ppc64le/hash
	END
}

test_mutants_of_another_base_come_after_its_name() {
	mkdir v6.12 v7.3
	printf '%s\n' 'Killed-by: ptwalk_x.a ptwalk_x.b' --- | tee v6.12/01-bug.patch >v7.3/01-bug.patch
	printf '%s\n' 'Killed-by: ptwalk_x.a' --- | tee v6.12/02-bug.patch v7.3/200-bug.patch >v7.3/201-bug.patch
	printf '%s\n' 'Killed-by: ptwalk_x.c' --- >v7.3/202-bug.patch
	printf '\tKUNIT_CASE(%s),\n' a b c >x.c
	awk -v suite=ptwalk_x -f "$top/scripts/lib/cases.awk" v6.12/*.patch v7.3/*.patch x.c >out
	diff - out <<-'END'
	a	01, 02; v7.3: 01, 200, 201	
	b	01; v7.3: 01	
	c	v7.3: 202	
	END
}

# One case that fails kills such a mutant, whichever it is.
test_mutant_that_names_a_glob_is_no_evidence_for_a_case() {
	mkdir v6.12 v7.3
	printf '%s\n' 'Killed-by: ptwalk_x.a* ptwalk_x.b' --- >v6.12/01-bug.patch
	printf '%s\n' 'Killed-by: ptwalk_x.a* ptwalk_y.*' --- >v7.3/02-bug.patch
	printf '%s\n' 'ptwalk_x.b* x86 topic -- why' >expected
	printf '\tKUNIT_CASE(%s),\n' a1 a2 b >x.c
	awk -v suite=ptwalk_x -f "$top/scripts/lib/cases.awk" expected v6.12/*.patch v7.3/*.patch x.c >out
	diff - out <<-'END'
	a1		
	a2		
	b	topic, 01	
	a*	01; v7.3: 02	
	END
}

test_case_without_evidence_is_named() {
	mkdir "$T/copy"
	tar -C "$top" -c --exclude=./build --exclude=./.git . | tar -C "$T/copy" -x
	cd "$T/copy"
	scripts/report --evidence
	sed -i 's/^Killed-by: .*/Killed-by: ptwalk_collapse.*/' tests/mutants/*/48-*
	echo 'ptwalk_gup.gup_versus_zap -- why' >>tests/exceptions/evidence
	echo 'ptwalk_gup.gone -- why' >>tests/exceptions/evidence
	if scripts/report --evidence >"$T/out"; then fail 'it was not noticed'; fi
	sort "$T/out" | diff - <(printf '%s\n' 'an exception for no case: ptwalk_gup.gone' \
		'has evidence, and an exception: ptwalk_gup.gup_versus_zap' \
		'no evidence: ptwalk_collapse.collapse_keeps_contents')
}

run_tests
