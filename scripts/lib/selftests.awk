# SPDX-License-Identifier: GPL-2.0-only
# Reads a verdict log of guest/selftests.c.  Prints "TEST<tab>RESULT<tab>VALUE" for each
# result that a test reported, in the format of that test, and for RESULT "end", how the
# test ended.  VALUE begins with ok, fail or skip.  RESULT "#" has the last line of output.

BEGIN { OFS = "\t" }

!/^selftest: / { next }
{
	sub(/\r$/, "")
	test = $2
	what = $3
	$0 = substr($0, length("selftest: " test " " what " ") + 1)
}
what == "run" { context = last = ""; delete seen; next }
what == "end" {
	if (last != "")
		print test, "#", last
	print test, "end", ($0 == "exit 0" ? "ok" : $0 == "exit 4" ? "skip" : "fail") " " $0
}
what != "|" { next }

# Numbers in the name of a result are sizes, addresses or times.
function result(name, how, text) {
	gsub(/0x[0-9a-f]+|[0-9]+/, "N", text)
	# Child processes repeat the number of a result.
	while (name in seen)
		name = name "'"
	seen[name] = 1
	print test, name, text == "" ? how : how " " text
}

# khugepaged: "Run test: NAME (WHERE)", then "STEP....OK", the last word in a colour
# that says how it went
sub(/^Run test: /, "") { context = $0 ": "; next }
match($0, /\033\[3[123]m/) {
	split("fail ok skip", colour, " ")
	name = substr($0, 1, RSTART - 1)
	text = substr($0, RSTART + 5)
	sub(/[. \t]+$/, "", name)
	sub(/\033.*/, "", text)
	result(context name, colour[substr($0, RSTART + 3, 1)], text)
	next
}

# uffd-unit-tests: "Testing NAME... done"
match($0, /^Testing .*\.\.\. /) {
	name = substr($0, 9, RLENGTH - 12)
	$0 = substr($0, RLENGTH + 1)
	how = /^done/ ? "ok" : /^skipped/ ? "skip" : "fail"
	sub(/^[a-z]* */, "")
	result(name, how, $0)
	next
}

# KTAP: "ok 1 NAME", "not ok 1 NAME", "ok 1 # SKIP NAME"
match($0, /^ *(not )?ok [0-9]+/) {
	how = /^ *not/ ? "fail" : /# SKIP/ ? "skip" : "ok"
	text = substr($0, RLENGTH + 1)
	$0 = substr($0, 1, RLENGTH)
	sub(/^ *(# SKIP)? */, "", text)
	result("result " $NF, how, text)
	next
}

/[a-z]/ && !/^# / { last = $0 }
