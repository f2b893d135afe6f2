# SPDX-License-Identifier: GPL-2.0-only
# Prints "CASE<TAB>EVIDENCE<TAB>WHAT A USER WOULD NOTICE" for each case of a suite, in the
# order in which they run, and then a line for each glob of the mutants: that a case fails which
# matches it is evidence for none.  Input files: tests/expected, the mutants, the source of the
# suite.  Variable: suite, its name.  Benchmarks (*_cost) are not cases.
FNR == 1 { file++; kind = FILENAME ~ /expected$/ ? "expected" : FILENAME ~ /\.patch$/ ? "mutant" : "source" }

function glob(text, pattern) {
	gsub(/[.+?^$(){}|\[\]\\]/, "\\\\&", pattern)
	gsub(/[*]/, ".*", pattern)
	return text ~ ("^" pattern "$")
}

# the topics without which a case fails
kind == "expected" {
	if (/^base: /)
		nextfile
	if (!/^#/ && / -- / && $3 !~ /^(skip|sometimes)/) {
		needs++
		need_case[needs] = $1
		need_topic[needs] = $3
	}
	next
}

# the mutants that a case kills, in a folder for each base; one that survives proves nothing
kind == "mutant" {
	if (FNR == 1)
		killers = survives = ""
	if (sub(/^Killed-by: /, ""))
		killers = $0
	if (/^Survives: /)
		survives = 1
	if (/^---/) {
		n = survives ? 0 : split(killers, glob_of, " ")
		for (i = 1; i <= n; i++) {
			kills++
			kill_case[kills] = glob_of[i]
			depth = split(FILENAME, path, "/")
			kill_base[kills] = path[depth - 1]
			kill_mutant[kills] = path[depth]
			sub(/-.*/, "", kill_mutant[kills])
		}
		nextfile
	}
	next
}

# the comment above a function, from "Broken:" to its end
/Broken: / {
	text = $0
	sub(/.*Broken: /, "", text)
	reading = 1
}
reading {
	if (!/Broken: /) {
		line = $0
		sub(/^[ \t]*\*?[ \t]*/, "", line)
		sub(/^\/$/, "*/", line)
		text = text " " line
	}
	if (/\*\//) {
		sub(/[ \t]*\*\/.*/, "", text)
		reading = 0
	}
}
/^static void [a-z0-9_]+\(/ {
	name = $3
	sub(/\(.*/, "", name)
	broken[name] = text
	text = ""
}
/^\t(KUNIT_)?CASE[A-Z_]*\(/ {
	name = $1
	sub(/^(KUNIT_)?CASE[A-Z_]*\(/, "", name)
	sub(/[,)].*/, "", name)
	add_case(name)
}
# a line of a table of cases, below its comment
/^\t\{ "[a-z0-9_]+",/ && text != "" {
	name = $2
	gsub(/[",]/, "", name)
	broken[name] = text
	text = ""
	add_case(name)
}

function add_case(name) {
	if (name in listed || name ~ /_cost$/)
		return
	listed[name] = 1
	order[++cases] = name
}

function evidence(name,	i, list, seen, base) {
	for (i = 1; i <= needs; i++)
		if (name !~ /[*]/ && glob(suite "." name, need_case[i]) && !seen[need_topic[i]]++)
			list = list (list == "" ? "" : ", ") need_topic[i]
	base = "v6.12"
	for (i = 1; i <= kills; i++) {
		if (suite "." name != kill_case[i] || seen[kill_base[i], kill_mutant[i]]++)
			continue
		if (kill_base[i] != base)
			list = list (list == "" ? "" : "; ") kill_base[i] ": " kill_mutant[i]
		else
			list = list (list == "" ? "" : ", ") kill_mutant[i]
		base = kill_base[i]
	}
	return list
}

END {
	for (i = 1; i <= cases; i++)
		printf "%s\t%s\t%s\n", order[i], evidence(order[i]), broken[order[i]]
	for (i = 1; i <= kills; i++) {
		name = kill_case[i]
		if (name ~ /[*]/ && index(name, suite ".") == 1 && !printed[name]++) {
			name = substr(name, length(suite) + 2)
			printf "%s\t%s\t\n", name, evidence(name)
		}
	}
}
