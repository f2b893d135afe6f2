# SPDX-License-Identifier: GPL-2.0-only
# Prints the table of one benchmark.  Input files: tests/exceptions/bench, then
# summary.csv.  Variables: bench; title; label, what x is; slower, a file that gets
# a line "mmu bench x unit change explained|unexplained" for each value that is worse by
# more than 1 %.
BEGIN {
	nunits = split("ns kB RSS calls walkers shootdown tlbie interrupts", units, " ")
	split("base patched tracking legacy", known, " ")
	limit = 1.01
}

FNR == NR {
	if (!/^#/ && NF > 5) {
		nrules++
		r_mmu[nrules] = $1; r_bench[nrules] = $2; r_x[nrules] = $3; r_unit[nrules] = $4
		sub(/^.* -- /, "")
		why[nrules] = $0
	}
	next
}

FNR == 1 { FS = ","; $0 = $0 }
$1 != bench { next }
{
	row = $2 "," $3 "," $4
	if (!(row in seen)) {
		seen[row] = 1
		order[++rows] = row
	}
	median[row, $5] = $7
	low[row, $5] = $8
	high[row, $5] = $9
	# Noise only adds instructions, so the minimum is free of it.  Noise only removes
	# shootdowns, of CPUs that happen to be idle, so their maximum is compared.
	counted[row, $5] = $2 == "shootdown" ? $11 : $7
	clean[row, $5] = $2 == "shootdown" ? $11 : $10
	has[$5] = 1
	# of the counts only those that another kernel than base changes
	if ($2 ~ /^(ns|kB|calls|interrupts)$/ || ((row, "base") in median && counted[row, $5] != counted[row, "base"]))
		interesting[$2, $3] = 1
}

function spread(row, k,	m) {
	m = median[row, k]
	return m ? (high[row, k] - low[row, k]) / m * 100 : 0
}

function is(rule, what) { return rule == "*" || rule == what }

function explained(mmu, x, unit,	i) {
	for (i = 1; i <= nrules; i++)
		if (r_bench[i] == bench && is(r_mmu[i], mmu) && is(r_x[i], x) && is(r_unit[i], unit))
			return i
	return 0
}

function number(x) { return x >= 100 || x == int(x) ? sprintf("%.0f", x) : sprintf("%.3g", x) }

function change(row, k,	b) {
	if (k == "base" || !((row, "base") in median) || !((row, k) in median))
		return ""
	b = median[row, "base"]
	if (b == 0)
		return median[row, k] == 0 ? "=" : "new"
	return sprintf("%+.1f%%", (median[row, k] / b - 1) * 100)
}

# If the quartiles overlap, the values without noise must differ, too.
function worse(row) {
	return counted[row, "patched"] > counted[row, "base"] * limit &&
		(low[row, "patched"] > high[row, "base"] ||
		 clean[row, "patched"] > clean[row, "base"] * limit)
}

function judge(row, mmu, unit, x,	i) {
	if (unit == "calls" || !((row, "base") in median) || !((row, "patched") in median))
		return ""
	if (!worse(row))
		return ""
	i = explained(mmu, x, unit)
	print mmu, bench, x, unit, change(row, "patched"), i ? "explained" : "unexplained" >>slower
	if (i)
		used[i] = 1
	return i ? "  (" i ")" : "  (!)"
}

END {
	if (!rows)
		exit
	printf "%s: %s\n\n", bench, title
	line = sprintf("%-6s %-10s %10s", "", "unit", label)
	for (k = 1; k <= 4; k++)
		if (known[k] in has)
			line = line sprintf(" %12s %6s", known[k], "+-") (known[k] == "base" ? "" : sprintf(" %8s", "change"))
	print line
	for (u = 1; u <= nunits; u++)
		for (i = 1; i <= rows; i++) {
			split(order[i], part, ",")
			if (part[1] != units[u] || !((part[1], part[2]) in interesting))
				continue
			line = sprintf("%-6s %-10s %10s", part[2], part[1], part[3])
			for (k = 1; k <= 4; k++) {
				if (!(known[k] in has))
					continue
				there = (order[i], known[k]) in median
				line = line sprintf(" %12s %6s", there ? number(median[order[i], known[k]]) : "-",
					there && part[1] == "ns" ? sprintf("%.1f%%", spread(order[i], known[k])) : "")
				if (known[k] != "base")
					line = line sprintf(" %8s", change(order[i], known[k]))
			}
			line = line judge(order[i], part[2], part[1], part[3])
			sub(/ +$/, "", line)
			print line
		}
	for (i = 1; i <= nrules; i++)
		if (i in used)
			printf "(%d) %s\n", i, why[i]
	print ""
}
