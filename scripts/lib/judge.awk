# SPDX-License-Identifier: GPL-2.0-only
# Reads a verdict log, prints "PASS|FAIL|SKIP|XFAIL suite.case (reason)", and "BENCH" of a
# benchmark (*_cost), which measures and asserts nothing.
# Input files: tests/expected, then verdict.log.
# Variables: machine (default: what init says); base; variant ("-": the usual one); topics,
# those of the series that the kernel has ("*": all); cut_short: the boot is known to have
# ended early, so missing results are not reported.

function report(what, name, reason) {
	print what, name (reason == "" ? "" : " (" reason ")")
	if (what == "FAIL")
		failures++
}

# --- tests/expected: CASE WHERE WHAT -- why
FILENAME == ARGV[1] {
	if (/^#/ || !NF)
		next
	if (sub(/^lenient: /, "")) {
		lenient = $0
		next
	}
	if (sub(/^base: /, "")) {
		section = $0
		next
	}
	if (section != "" && section != base)
		next
	at = index($0, " -- ")
	if (!at || split(substr($0, 1, at - 1), field) != 3) {
		report("FAIL", "tests/expected", "line " FNR " is not \"CASE WHERE WHAT -- why\"")
		next
	}
	rules++
	rule_base[rules] = section
	rule_case[rules] = field[1]
	rule_where[rules] = field[2]
	rule_what[rules] = field[3]
	rule_why[rules] = substr($0, at + 4)
	next
}

# glob(TEXT, PATTERN): "*" is any text
function glob(text, pattern) {
	gsub(/[.+?^$(){}|\[\]\\]/, "\\\\&", pattern)
	gsub(/[*]/, ".*", pattern)
	return text ~ ("^" pattern "$")
}

# here(WHERE): does WHERE include this machine and variant?
function here(where,	i, n, item, found) {
	n = split(where, item, ",")
	for (i = 1; i <= n; i++) {
		if (item[i] !~ /\//)
			item[i] = item[i] "/*"
		if (item[i] ~ /^!/) {
			if (glob(machine "/" variant, substr(item[i], 2)))
				return 0
		} else if (glob(machine "/" variant, item[i])) {
			found = 1
		}
	}
	return found
}

function has_topic(topic) { return topics == "*" && topic != "none" || index(" " topics " ", " " topic " ") }

# own(NAME): does the section of this base have a rule for this case, here?
function own(name,	i) {
	for (i = 1; i <= rules; i++)
		if (rule_base[i] != "" && glob(name, rule_case[i]) && here(rule_where[i]))
			return 1
	return 0
}

# expected(NAME): "fail", "race" (fails in some runs), "skip", "sometimes/skip" or "pass"; sets
# expected_why
function expected(name,	i, what, result, only) {
	result = "pass"
	only = own(name)
	for (i = 1; i <= rules; i++) {
		if (!glob(name, rule_case[i]) || !here(rule_where[i]))
			continue
		if (only && rule_base[i] == "") {
			used[i] = 1
			continue
		}
		what = outcome(rule_what[i])
		if (what == "pass")
			continue
		used[i] = 1
		# A skipped case cannot fail.
		if (result != "skip") {
			result = what
			expected_why = rule_why[i]
		}
	}
	return result
}

# outcome(WHAT): what that field means for a kernel with these topics
function outcome(what) {
	if (what == "pass")
		return "pass"
	if (what == "skip" || what == "sometimes/skip")
		return what
	if (sub(/^skip\//, "", what))
		return has_topic(what) ? "pass" : "skip"
	if (sub(/^sometimes\//, "", what))
		return has_topic(what) ? "pass" : "race"
	return has_topic(what) ? "pass" : "fail"
}

{ sub(/\r$/, "") }

# --- the frame
/^ptwalk-verdict 1$/	{ canary = 1; next }
/^uname: /		{ if (machine == "") machine = $NF; next }
/^run: /		{ kunit = ($2 == "kunit"); filter = $4; next }
/^load: /		{ if ($3 != "ok") bad_load($2); next }
/^unload: .* ok$/	{ next }
/^unload: /		{ report("FAIL", "unload", substr($0, 9)); next }
/^error: /		{ report("FAIL", "init", substr($0, 8)); next }
/^program: /		{ if ($3 != "status=0") report("FAIL", $2, $3); next }
/^plan: suites=/	{ sub(/.*=/, ""); plan_suites = $0 + 0; next }
/^hang: /		{ report("FAIL", "hang", substr($0, 7)); next }
/^hang\+: /		{ print "\t" substr($0, 8); next }
/^complaint: /		{ report("FAIL", "kernel-log", substr($0, 12)); next }
/^complaint\+: /	{ print "\t" substr($0, 13); next }
/^vmstat: /		{ next }
/^end: /		{ end_line = $0; next }

function bad_load(module) {
	sub(/^load: [^ ]* /, "")
	if (/^No such file/)
		$0 = $0 ": it is not in the initrd, so was it built?"
	else
		$0 = $0 ": the console says why; was it built against this kernel?"
	report("FAIL", module, "cannot be loaded: " $0)
	not_loaded = 1
}

# --- KTAP: a block for each suite, as KUnit's debugfs gives it
/^KTAP version 1$/	{ end_suite(); in_block = 1; next }
/^    # Subtest: /	{ suite = $3; suites++; n = 0; plan = -1; next }
/^    1\.\.[0-9]+$/	{ sub(/^    1\.\./, ""); plan = $0 + 0; next }
/^    (not )?ok [0-9]+ / { result(); next }
# A case with parameters is skipped for the reason of its parameters.
/^        ok [0-9]+ .*# SKIP /	{ inner = substr($0, index($0, "# SKIP") + 7); next }
/^(not )?ok 1 /		{ suite_line = $0; end_suite(); next }

# The reason for a failure: what KUnit prints between the results
/^ +# .*: (EXPECTATION|ASSERTION) FAILED at / {
	sub(/.* FAILED at /, "")
	sub(/.*\//, "")
	add_reason("at " $0)
	broken = collecting = 1
	next
}
/^ +# .*: (try |failed to |internal error)/ {
	sub(/^ +# /, "")
	add_reason($0)
	next
}
/^ *#/			{ collecting = 0; next }
collecting		{ add_reason($0) }

function add_reason(text) {
	gsub(/^[ \t]+|[ \t]+$/, "", text)
	if (text != "" && length(reason) < 300)
		reason = reason (reason == "" ? "" : " ") text
}

function result(	bad, name, skip, at) {
	bad = ($1 == "not")
	name = suite "." $(bad ? 4 : 3)
	if ($(bad ? 3 : 2) != ++n)
		report("FAIL", suite, "result " n " is missing before: " $0)
	n = $(bad ? 3 : 2)
	at = index($0, "# SKIP")
	skip = at ? substr($0, at + 7) : ""
	if (skip == "")
		skip = inner
	inner = ""
	if (bad && reason == "" && index($0, " # "))
		reason = substr($0, index($0, " # ") + 3)
	# KUnit forgets failures of a case that skips itself afterwards.
	judge_case(name, bad || broken, at, skip)
	cases++
	bad_cases += bad
	seen[name] = 1
	reason = ""
	broken = collecting = 0
}

function judge_case(name, bad, skipped, skip,	want) {
	want = expected(name)
	if (name ~ /_cost$/ && !bad && !skipped)
		report("BENCH", name, "")
	else if (bad && (want == "fail" || want == "race"))
		report("XFAIL", name, expected_why)
	else if (bad && qemu_loses_stores && reason ~ /^the copy by the dirty log: /)
		report("SKIP", name, "QEMU lost a store: " reason)
	else if (bad)
		report("FAIL", name, reason == "" ? "no reason given" : reason)
	else if (want == "fail")
		report("FAIL", name, (skipped ? "is skipped" : "passes") \
			", though it should fail here: " expected_why)
	else if (skipped && (want ~ /skip$/ || lenient != "" && here(lenient)))
		report("SKIP", name, skip == "" ? expected_why : skip)
	else if (skipped)
		report("FAIL", name, "is skipped, and tests/expected has no reason why: " skip)
	else if (want == "skip")
		report("FAIL", name, "runs, though tests/expected says that it is skipped here: " expected_why)
	else
		report("PASS", name, "")
}

function end_suite() {
	if (in_block && suite == "")
		report("FAIL", "results", "a KTAP header without a suite")
	else if (suite != "" && plan < 0)
		report("FAIL", suite, "no plan (\"1..N\")")
	else if (suite != "" && n != plan)
		report("FAIL", suite, "plan of " plan " cases, " n " reported")
	else if (suite != "" && suite_line == "")
		report("FAIL", suite, "its results end in the middle")
	suite = ""
	suite_line = ""
	in_block = 0
}

END {
	end_suite()
	if (cut_short)
		exit 1
	if (!canary) {
		report("FAIL", "verdict", "there is no \"ptwalk-verdict 1\" line")
		exit 1
	}
	if (kunit && !not_loaded && suites != plan_suites)
		report("FAIL", "suites", "KUnit planned " plan_suites + 0 " suites, " suites + 0 " reported")
	if (kunit && !not_loaded && !cases)
		report("FAIL", "suites", "no test case reported" \
			(filter == "*" ? "" : "; does the filter " filter " match any?"))
	if (end_line == "")
		report("FAIL", "verdict", "no \"end:\" line: the machine did not get that far")
	else if (end_line !~ (" tests=" cases + 0 " failed=" bad_cases + 0 " "))
		report("FAIL", "verdict", "lines lost: " cases + 0 " results here, but " end_line)
	if (kunit && filter == "*" && !not_loaded)
		for (i = 1; i <= rules; i++)
			if (!(i in used) && here(rule_where[i]) && outcome(rule_what[i]) != "pass" &&
			    !(rule_base[i] == "" && own(rule_case[i])))
				report("FAIL", rule_case[i], "in tests/expected for this machine, but never ran")
	exit failures > 0
}
