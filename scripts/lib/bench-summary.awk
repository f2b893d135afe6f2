# SPDX-License-Identifier: GPL-2.0-only
# Reads lines "bench,unit,mmu,x,kernel,value", sorted by all of these, and
# prints "bench,unit,mmu,x,kernel,repeats,median,quartile,quartile,least,most".
BEGIN { FS = OFS = "," }

# the q-th quantile of v[1..n], between the two nearest
function quantile(q,	at, i) {
	at = 1 + q * (n - 1)
	i = int(at)
	return i >= n ? v[n] : v[i] + (at - i) * (v[i + 1] - v[i])
}

function flush() {
	if (n)
		print key, n, quantile(.5), quantile(.25), quantile(.75), v[1], v[n]
	n = 0
}

{
	now = $1 OFS $2 OFS $3 OFS $4 OFS $5
	if (now != key)
		flush()
	key = now
	v[++n] = $6
}
END { flush() }
