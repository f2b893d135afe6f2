// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptwalk-doctor waste: page tables without an entry.  /proc/PID/pagemap shows the
 * entries, so which tables must exist; VmPTE shows how many do.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "file.h"

/* Of linux/fs.h, from 6.7 on */
struct region {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, returned;
};

#define SCAN		_IOWR('f', 16, struct scan)
#define PIECE		(4ULL << 30)	/* bytes that one call looks at: about 10 ms */
#define LIMIT_KB	(64L << 10)	/* of tables: smaps holds mmap_lock for about 0.6 s */
#define SCAN_MAPPED	((1 << 3) | (1 << 4))		/* present, or swapped */
/* Present, swap, guard, write-protected by userfaultfd */
#define PM_ENTRY	(1ULL << 63 | 1ULL << 62 | 1ULL << 58 | 1ULL << 57)

enum { PTE, PMD, PUD, LEVELS };

/* Address bits below a table of that level's entries; bytes of a table; 0: folded */
static struct {
	int shift[LEVELS + 1];
	long bytes[LEVELS];
	bool deposits_for_files;
} geometry;

/**
 * struct usage - of a process
 * @tables: that its entries need, by level
 * @last: the last such table, as address >> shift
 * @vmpte: kB
 * @needed: kB
 */
struct usage {
	int pid;
	char name[32];
	long tables[LEVELS];
	uint64_t last[LEVELS];
	long vmpte, needed;
};

static bool set_geometry(void)
{
	int page = __builtin_ctzl(sysconf(_SC_PAGESIZE)), bits[LEVELS] = { 9, 9, 9 };

#if defined(__powerpc64__)
	if (cpuinfo_says("MMU", "hash")) {
		bits[PTE] = page == 16 ? 8 : 9;
		bits[PMD] = page == 16 ? 10 : 7;
		bits[PUD] = page == 16 ? 10 : 9;
		geometry.deposits_for_files = true;
	} else if (page == 16) {
		bits[PTE] = 5;
	}
#elif defined(__aarch64__)
	int va = 64 - __builtin_clzl((uintptr_t)&page), below;

	bits[PTE] = bits[PMD] = bits[PUD] = page - 3;
	below = (va - page + bits[PTE] - 1) / bits[PTE] - 1;
	for (int i = below; i < LEVELS; i++)
		bits[i] = 0;
#elif !defined(__x86_64__)
	return false;
#endif
	geometry.shift[PTE] = page;
	for (int i = 0; i < LEVELS; i++) {
		geometry.shift[i + 1] = geometry.shift[i] + bits[i];
		geometry.bytes[i] = bits[i] ? 8L << bits[i] : 0;
	}
	return true;
}

/* Entries of level @level are used from @start to @end, in order of address. */
static void use(struct usage *u, uint64_t start, uint64_t end, int level)
{
	for (; level < LEVELS; level++) {
		uint64_t from = start >> geometry.shift[level + 1];
		uint64_t to = (end - 1) >> geometry.shift[level + 1];

		if (!geometry.bytes[level])
			continue;
		if (u->tables[level] && from <= u->last[level])
			from = u->last[level] + 1;
		if (to < from)
			continue;
		u->tables[level] += to - from + 1;
		u->last[level] = to;
	}
}

static bool scan(struct usage *u, int fd, uint64_t start, uint64_t end, int level)
{
	struct region regions[512];
	struct scan arg = {
		.size = sizeof(arg), .start = start, .end = end,
		.vec = (uintptr_t)regions, .vec_len = ARRAY_SIZE(regions),
		.anyof = SCAN_MAPPED, .returned = SCAN_MAPPED,
	};
	int n;

	while (arg.start < end && !interrupted) {
		/* The kernel holds mmap_lock until it returns. */
		arg.end = end - arg.start > PIECE ? arg.start + PIECE : end;
		n = ioctl(fd, SCAN, &arg);
		if (n < 0)
			return false;
		for (int i = 0; i < n; i++)
			use(u, regions[i].start, regions[i].end, level);
		arg.start = arg.walk_end;
	}
	return true;
}

static void read_entries(struct usage *u, int fd, uint64_t start, uint64_t end, int level)
{
	static uint64_t entries[8192];
	int page = geometry.shift[PTE];
	ssize_t n;

	while (start < end && !interrupted) {
		size_t want = (end - start) >> page;

		if (want > ARRAY_SIZE(entries))
			want = ARRAY_SIZE(entries);
		n = pread(fd, entries, want * 8, (start >> page) * 8);
		if (n <= 0)
			return;
		for (ssize_t i = 0; i < n / 8; i++)
			if (entries[i] & PM_ENTRY)
				use(u, start + ((uint64_t)i << page),
				    start + ((uint64_t)(i + 1) << page), level);
		start += (uint64_t)(n / 8) << page;
	}
}

/**
 * struct area - a mapping, as smaps has it
 * @page_kb: size of its pages
 * @pmd_kb: of files, mapped by huge pages
 * @device: of device memory, whose entries pagemap does not show
 */
struct area {
	uint64_t start, end;
	long page_kb, pmd_kb;
	bool device;
};

static void look_at(struct usage *u, int pagemap, const struct area *a)
{
	static bool no_scan;
	uint64_t size = a->page_kb * 1024;
	int level = PTE;

	while (level < PUD && geometry.bytes[level + 1] && size >= 1ULL << geometry.shift[level + 1])
		level++;
	if (a->device) {
		use(u, a->start, a->end, level);	/* as far as is known */
		return;
	}
	if (no_scan || !scan(u, pagemap, a->start, a->end, level)) {
		no_scan = no_scan || errno == ENOTTY;
		read_entries(u, pagemap, a->start, a->end, level);
	}
	if (!geometry.deposits_for_files)
		u->tables[PTE] -= a->pmd_kb * 1024 >> geometry.shift[PMD];
}

static FILE *open_proc(int pid, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return fopen(path, "re");
}

/* Returns 0 or errno */
static int look_at_all(struct usage *u)
{
	FILE *smaps = open_proc(u->pid, "smaps"), *f = open_proc(u->pid, "pagemap");
	struct area a = { 0 }, next;
	char line[4096];
	long kb;

	if (!smaps || !f) {
		int err = errno;

		if (smaps)
			fclose(smaps);
		if (f)
			fclose(f);
		return err;
	}
	errno = 0;
	while (!interrupted && fgets(line, sizeof(line), smaps)) {
		if (isxdigit((unsigned char)line[0]) && !isupper((unsigned char)line[0]) &&
		    sscanf(line, "%lx-%lx ", &next.start, &next.end) == 2) {
			a = (struct area){ .start = next.start, .end = next.end };
		} else if (sscanf(line, "KernelPageSize: %ld", &kb) == 1) {
			a.page_kb = kb;
		} else if (sscanf(line, "ShmemPmdMapped: %ld", &kb) == 1 ||
			   sscanf(line, "FilePmdMapped: %ld", &kb) == 1) {
			a.pmd_kb += kb;
		} else if (!strncmp(line, "VmFlags:", 8)) {
			a.device = strstr(line, " pf");
			if (a.start < 1ULL << 63)	/* not vsyscall */
				look_at(u, fileno(f), &a);
		}
	}
	fclose(smaps);
	fclose(f);
	return 0;
}

static long vmpte(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return number_in(path, "VmPTE");
}

static void read_name(struct usage *u)
{
	FILE *f = open_proc(u->pid, "comm");

	if (f && fgets(u->name, sizeof(u->name), f))
		u->name[strcspn(u->name, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* Returns 0 or errno; ESRCH for what has no memory */
static int examine(struct usage *u)
{
	long bytes = 0, before = vmpte(u->pid);
	int err;

	if (before <= 0)
		return ESRCH;
	read_name(u);
	err = look_at_all(u);
	if (err || interrupted)
		return err ?: EINTR;
	u->vmpte = vmpte(u->pid);
	if (u->vmpte > before)	/* What came meanwhile may not have been seen. */
		u->vmpte = before;
	for (int i = 0; i < LEVELS; i++)
		bytes += u->tables[i] * geometry.bytes[i];
	u->needed = bytes / 1024;
	return u->vmpte < 0 ? ESRCH : 0;
}

static long wasted(const struct usage *u)
{
	return u->vmpte > u->needed ? u->vmpte - u->needed : 0;
}

static int by_waste(const void *a, const void *b)
{
	const struct usage *x = a, *y = b;

	if (wasted(x) != wasted(y))
		return wasted(x) < wasted(y) ? 1 : -1;
	return x->pid - y->pid;
}

static struct usage *usages;
static size_t nr_usages, refused, large;

static int add(int pid)
{
	struct usage u = { .pid = pid };
	int err = examine(&u);

	if (err)
		return err;
	usages = realloc(usages, (nr_usages + 1) * sizeof(*usages));
	if (!usages)
		exit(missing("free some memory", "no memory"));
	usages[nr_usages++] = u;
	return 0;
}

static void add_all(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while (proc && !interrupted && (d = readdir(proc))) {
		int pid = atoi(d->d_name), err;

		if (pid <= 0)
			continue;
		progress("process %d, %zu done", pid, nr_usages);
		if (vmpte(pid) > LIMIT_KB) {
			large++;
			continue;
		}
		err = add(pid);
		refused += err == EACCES || err == EPERM;
	}
	if (proc)
		closedir(proc);
}

#define SHOWN	20
#define CURE	(geteuid() ? "run it as root" : "it needs CAP_SYS_PTRACE, and SELinux may refuse")

static void print_text(void)
{
	long all = 0, empty = 0;
	struct utsname u;

	uname(&u);
	printf("Linux %.40s, page tables in kB%s\n\n", u.release,
	       interrupted ? " (interrupted)" : "");
	printf("%8s  %-16s %12s %12s %14s\n", "PID", "process", "VmPTE", "needed", "without entry");
	for (size_t i = 0; i < nr_usages; i++) {
		const struct usage *p = &usages[i];

		all += p->vmpte;
		empty += wasted(p);
		if (i < SHOWN)
			printf("%8d  %-16.16s %12ld %12ld %14ld\n", p->pid,
			       printable(p->name), p->vmpte, p->needed, wasted(p));
	}
	if (nr_usages > SHOWN)
		printf("%8s  %zu more\n", "...", nr_usages - SHOWN);
	printf("%8s  %-16s %12ld %12ld %14ld\n", "", "all", all, all - empty, empty);
	if (refused)
		printf("\n%zu processes of others were left out:\n%s.\n", refused, CURE);
	if (large)
		printf("\n%zu processes with more than %ld MB of page tables were left out, because\n"
		       "reading smaps holds their mmap_lock, maybe for seconds.  Give their PIDs if you\n"
		       "accept that.\n", large, LIMIT_KB >> 10);
}

static void print_json(void)
{
	long all = 0, empty = 0;

	printf("{\n  \"tool\": \"waste\",\n");
	print_machine();
	printf("  \"processes\": [");
	for (size_t i = 0; i < nr_usages; i++) {
		const struct usage *p = &usages[i];

		all += p->vmpte;
		empty += wasted(p);
		printf("%s\n    { \"pid\": %d, \"name\": %s, \"vmpte_kb\": %ld, \"needed_kb\": %ld, \"empty_kb\": %ld }",
		       i ? "," : "", p->pid, quoted(p->name), p->vmpte, p->needed, wasted(p));
	}
	printf("\n  ],\n  \"vmpte_kb\": %ld,\n  \"empty_kb\": %ld,\n  \"refused\": %zu,\n  \"large\": %zu\n}\n",
	       all, empty, refused, large);
}

/* Returns -1 if @text is not a PID */
static int pid_of(const char *text)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	return errno || *end || pid <= 0 || pid > INT_MAX ? -1 : pid;
}

int waste(int argc, char **argv)
{
	int pid, err, rc = 0;

	for (int i = 0; i < argc; i++) {
		if (pid_of(argv[i]) <= 0) {
			fprintf(stderr, "ptwalk-doctor: waste [PID...]\n");
			return 2;
		}
	}
	if (!set_geometry())
		return missing(NULL, "the page tables of this architecture are not known");
	if (access("/proc/self/smaps", R_OK) || access("/proc/self/pagemap", R_OK))
		return missing("mount -t proc proc /proc, and a kernel with CONFIG_PROC_PAGE_MONITOR",
			       "/proc/PID/smaps and pagemap: %s", strerror(errno));
	for (int i = 0; i < argc && !interrupted; i++) {
		pid = pid_of(argv[i]);
		err = add(pid);
		if (err == ESRCH && !kill(pid, 0))
			rc = missing(NULL, "process %s: it has no memory of its own", argv[i]);
		else if (err && err != EINTR)
			rc = missing(err == EACCES || err == EPERM ? CURE : NULL,
				     "process %s: %s", argv[i], strerror(err));
	}
	if (!argc)
		add_all();
	progress("%s", "");
	if (nr_usages)
		qsort(usages, nr_usages, sizeof(*usages), by_waste);
	if (json)
		print_json();
	else
		print_text();
	return rc;
}
