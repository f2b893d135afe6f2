#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What a long step shows, and what it says when it fails.

set -eu
. "$(dirname "$0")/lib.sh"

test_step_shows_name_and_time() {
	bash -c '. "$0/scripts/lib/common.sh"; step "first thing" "$1/log" sleep 0.1' "$top" "$T" >"$T/out"
	grep -qx 'first thing' "$T/out"
	grep -Eq 'done 0:0[0-9]' "$T/out"
}

test_step_failure_names_step_log_and_last_lines() {
	local rc=0
	bash -c '. "$0/scripts/lib/common.sh"; step "bad thing" "$1/log" bash -c "seq 100; exit 7"' "$top" "$T" >"$T/out" 2>&1 || rc=$?
	[ $rc -eq 7 ]
	grep 'step failed: bad thing (status 7' "$T/out"
	grep -F "log: $T/log" "$T/out"
	[ "$(grep -c '^    [0-9]*$' "$T/out")" -eq 20 ]
}

# On a terminal it ticks, with a percentage of a kernel build.
test_step_progress_on_a_terminal() {
	cat >"$T/s" <<-END
	. "$top/scripts/lib/common.sh"
	STEP_EXPECT=10 step "build" "$T/log" bash -c 'printf "  CC      mm/gup.o\n%.0s" 1 2 3 4 5; sleep 2.5'
	END
	script -qec "bash $T/s" /dev/null >"$T/out"
	grep -F ' 50% mm/gup.o' "$T/out"
}

test_step_leaves_no_process_behind() {
	local t0=$SECONDS
	bash -c '. "$0/scripts/lib/common.sh"; step quick "$1/log" true' "$top" "$T" | cat >/dev/null
	[ $((SECONDS - t0)) -lt 5 ] || fail 'the ticker kept the pipe open'
}

# What make crossbuild does where a compiler is missing
test_a_list_that_stops_early_is_a_failure() {
	(
		. "$top/scripts/lib/common.sh"
		some() { echo 'PASS a'; need no-such-program; echo 'PASS b'; }
		whole list some | tee "$T/results"
		if totals "$T/results"; then fail 'it passes'; fi
		: >"$T/results"
		if totals "$T/results"; then fail 'nothing passes'; fi
	)
	diff "$T/results" - </dev/null
}

run_tests
