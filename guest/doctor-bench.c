// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptwalk-doctor bench: what calls that free or collapse page tables take, and for
 * how long they keep a CPU that has nothing to do with them.  "compare" shows two
 * results beside each other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "doctor.h"
#include "file.h"
#include "mm.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB	4U
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB	(21U << 26)
#endif

enum {
	COUNTED		= 5,	/* calls whose interrupts are counted */
	EMULATED	= 2,	/* calls that are timed on an emulated machine: warm up */
	REPEATS		= 200,
};

#define AREA		((char *)(1UL << 37))	/* arm64 may have 39 bits only */
#define HUGE_PAGES	(128UL << 20)	/* bytes of all huge pages of a call, or one page */
#ifdef __powerpc__
#define UNSHARED	"this architecture shares no hugetlb tables"
#else
#define UNSHARED	"needs 2 MB hugetlb pages (vm.nr_hugepages=8)"
#endif
#define SHARED_SPAN	(1UL << 30)	/* what a hugetlb PMD table maps */

/**
 * struct workload - what is measured
 * @name: of it
 * @prepare: before each call; false if it cannot be measured here
 * @op: the call
 * @finish: after each call
 * @why: what it lacks where it cannot be measured
 */
struct workload {
	const char *name, *why;
	bool (*prepare)(void);
	bool (*op)(void);
	void (*finish)(void);
};

static size_t huge, page, hugetlb_size;
static int hugetlb_fd = -1;
static long repeats = REPEATS, tables;
static const char *lacking;	/* why it cannot be measured here, if not as usual */

/* ------------------------------------------------------------- workloads */

static bool map_area(size_t len, size_t step, int advice)
{
	size_t need = advice == MADV_HUGEPAGE ? len : len / step * page;
	long kb = number_in("/proc/meminfo", "MemAvailable");

	if (kb >= 0 && kb < (long)(2 * need >> 10)) {
		lacking = "too little memory is free";
		return false;
	}
	if (mmap(AREA, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != AREA)
		return false;
	madvise(AREA, len, advice);
	for (size_t i = 0; i < len; i += step)
		((volatile char *)AREA)[i] = 1;
	return true;
}

static void unmap_area(void)
{
	munmap(AREA, tables * huge);
}

static bool map_small(void)
{
	return thp_size() && map_area(huge, page, MADV_NOHUGEPAGE);
}

static bool collapse(void)
{
	madvise(AREA, huge, MADV_HUGEPAGE);
	return !madvise(AREA, huge, MADV_COLLAPSE);
}

static bool map_sparse(void)
{
	return map_area(tables * huge, huge, MADV_NOHUGEPAGE);
}

static size_t huge_pages_of_area(void)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start, end, kb = 0;
	bool is_area = false;
	char line[4096];

	while (f && !kb && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_area = start == (unsigned long)AREA;
		else if (is_area)
			sscanf(line, "AnonHugePages: %lu", &kb);
	}
	if (f)
		fclose(f);
	return kb << 10;
}

static bool map_huge(void)
{
	if (!thp_size() || !map_area(tables * huge, huge, MADV_HUGEPAGE))
		return false;
	if (huge_pages_of_area() == tables * huge)
		return true;
	lacking = "huge pages are off, or none is free";
	unmap_area();
	return false;
}

static bool unmap_all(void)
{
	return !munmap(AREA, tables * huge);
}

static bool give_back(void)
{
	return !madvise(AREA, tables * huge, MADV_DONTNEED);
}

/* A second process shares the table, then leaves it: that is measured. */
static bool map_shared(void)
{
	char *p;

	if (hugetlb_fd < 0) {
		hugetlb_fd = memfd_create("ptwalk-doctor", MFD_HUGETLB | MFD_HUGE_2MB |
					  MFD_CLOEXEC);
		hugetlb_size = 2UL << 20;
		if (hugetlb_fd < 0 || ftruncate(hugetlb_fd, SHARED_SPAN))
			return false;
	}
	p = mmap(AREA, SHARED_SPAN, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, hugetlb_fd, 0);
	return p == AREA;
}

static pid_t sharer;
static int sharer_pipe[2] = { -1, -1 };

/* A page fault with no huge page free would be SIGBUS: ask first. */
static bool populate(void)
{
#ifdef MADV_POPULATE_WRITE
	return !madvise(AREA, hugetlb_size, MADV_POPULATE_WRITE);
#else
	return !madvise(AREA, hugetlb_size, 23);
#endif
}

static void unshare_done(void)
{
	munmap(AREA, SHARED_SPAN);
	if (sharer > 0) {
		close(sharer_pipe[1]);
		waitpid(sharer, NULL, 0);
	}
	sharer = 0;
}

static bool share(void)
{
	int ready[2];
	char c;

#ifdef __powerpc__
	return false;	/* does not share them */
#endif
	if (page != 4096) {
		lacking = "needs base pages of 4 kB";
		return false;
	}
	if (!map_shared() || !populate()) {
		munmap(AREA, SHARED_SPAN);
		return false;
	}
	if (pipe2(sharer_pipe, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		return false;
	sharer = fork();
	if (!sharer) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(sharer_pipe[1]);
		munmap(AREA, SHARED_SPAN);
		c = map_shared() && populate() ? 'y' : 'n';
		if (write(ready[1], &c, 1) != 1)
			_exit(1);
		while (read(sharer_pipe[0], &c, 1) > 0)
			;
		_exit(0);
	}
	close(sharer_pipe[0]);
	close(ready[1]);
	if (sharer < 0 || read(ready[0], &c, 1) != 1)
		c = 'n';
	close(ready[0]);
	if (c != 'y')
		unshare_done();
	return c == 'y';
}

static bool leave(void)
{
	return !munmap(AREA, SHARED_SPAN);
}

static bool nothing(void)
{
	return true;
}

static bool doze(void)
{
	usleep(200);
	return true;
}

static void no_finish(void)
{
}

static const struct workload workloads[] = {
	{ "nothing", "", nothing, doze, no_finish },
	{ "collapse", "no transparent huge pages, or none free", map_small, collapse, unmap_area },
	{ "munmap_tables", "no memory", map_sparse, unmap_all, no_finish },
	{ "munmap_huge", "no transparent huge pages", map_huge, unmap_all, no_finish },
	{ "dontneed_tables", "no memory", map_sparse, give_back, unmap_area },
	{ "dontneed_huge", "no transparent huge pages", map_huge, give_back, unmap_area },
	{ "unshare", UNSHARED, share, leave, unshare_done },
};

/* ----------------------------------------------------- a CPU that spins */

/**
 * struct spinner - a process that reads the clock all the time
 * @worst: the longest time it did not, since this was set to 0
 * @ready: it runs
 */
static struct spinner {
	atomic_long worst;
	atomic_bool ready;
} *spinner;

static pid_t spinner_pid;

static long nanoseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

static void run_on(int cpu)
{
	size_t size = CPU_ALLOC_SIZE(MAX_CPUS);
	cpu_set_t *set = CPU_ALLOC(MAX_CPUS);

	if (!set)
		return;
	CPU_ZERO_S(size, set);
	CPU_SET_S(cpu, size, set);
	sched_setaffinity(0, size, set);
	CPU_FREE(set);
}

static void spin(int cpu)
{
	long last, now;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run_on(cpu);
	last = nanoseconds();
	for (;;) {
		now = nanoseconds();
		if (now - last > atomic_load_explicit(&spinner->worst, memory_order_relaxed))
			atomic_store_explicit(&spinner->worst, now - last, memory_order_relaxed);
		last = now;
		atomic_store_explicit(&spinner->ready, true, memory_order_relaxed);
	}
}

/* The last CPU that this process may use spins, the first one works. */
static bool start_spinner(void)
{
	size_t size = CPU_ALLOC_SIZE(MAX_CPUS);
	cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
	int first = -1, last = -1;

	if (!set || sched_getaffinity(0, size, set))
		return false;
	for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
		if (!CPU_ISSET_S(cpu, size, set))
			continue;
		first = first < 0 ? cpu : first;
		last = cpu;
	}
	CPU_FREE(set);
	if (first == last)
		return false;
	spinner = mmap(NULL, sizeof(*spinner), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (spinner == MAP_FAILED)
		return false;
	spinner_pid = fork();
	if (!spinner_pid)
		spin(last);
	run_on(first);
	while (spinner_pid > 0 && !atomic_load(&spinner->ready)) {
		if (interrupted) {
			kill(spinner_pid, SIGKILL);
			exit(1);
		}
		sched_yield();
	}
	return spinner_pid > 0;
}

static void stop_spinner(void)
{
	if (spinner_pid <= 0)
		return;
	kill(spinner_pid, SIGKILL);
	waitpid(spinner_pid, NULL, 0);
}

/* ------------------------------------------------------------- measuring */

/**
 * struct result - of a workload
 * @took: by call, in ns, sorted
 * @kept: the longest time that the spinning CPU was kept, by call, sorted
 * @n: calls
 * @counted: calls whose interrupts were counted, 0 if that is not possible
 * @walkers: CPUs interrupted to wait for walkers, in all of these
 * @tlb: the same, to flush TLBs
 * @why: what it lacks where it could not be measured
 */
struct result {
	long *took, *kept, n, counted, walkers, tlb;
	const char *why;
};

static struct result *current;
static struct stream walkers, tlb;

static void count_wait(const struct call *c)
{
	current->walkers += c->pid == getpid();
}

static void count_flush(const struct call *c)
{
	current->tlb += c->pid == getpid();
}

static bool repeat(const struct workload *w, struct result *r)
{
	long start;
	bool ok;

	lacking = w->why;
	ok = w->prepare();
	r->why = lacking;
	if (!ok)
		return false;
	atomic_store(&spinner->worst, 0);
	start = nanoseconds();
	ok = w->op();
	if (ok) {
		r->took[r->n] = nanoseconds() - start;
		r->kept[r->n] = atomic_load(&spinner->worst);
		r->n++;
	}
	w->finish();
	return ok;
}

/* All in one go: where code is patched to trace, emulators have bugs. */
static void count_all(struct result *results)
{
	if (geteuid() || !stream_open(&walkers, "walkers", walker_functions, false))
		return;
	if (!stream_open(&tlb, "tlb", tlb_functions, false)) {
		stream_close(&walkers);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++) {
		const struct workload *w = &workloads[i];
		struct result *r = &results[i], before;
		bool ok = true;

		current = r;
		progress("%s: interrupts", w->name);
		while (r->n && r->counted < COUNTED && !interrupted && ok && w->prepare()) {
			before = *r;
			/* What it takes to prepare and to finish does not count. */
			stream_record(&walkers, true);
			stream_record(&tlb, true);
			ok = w->op();
			stream_record(&walkers, false);
			stream_record(&tlb, false);
			stream_read(&walkers, 0, count_wait, NULL);
			stream_read(&tlb, 0, count_flush, NULL);
			w->finish();
			if (ok)
				r->counted++;
			else
				*r = before;
		}
	}
	stream_close(&walkers);
	stream_close(&tlb);
}

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return x < y ? -1 : x > y;
}

/* In microseconds */
static double percentile(const long *sorted, long n, double p)
{
	long i = n * p / 100;

	return n ? sorted[i < n ? i : n - 1] / 1e3 : 0;
}

static double each(const struct result *r, long all)
{
	return r->counted ? (double)all / r->counted : 0;
}

/* A line for each workload: "compare" reads them one by one. */
static void print_json_line(const struct workload *w, const struct result *r, bool last)
{
	printf("    { \"workload\": %s, \"calls\": %ld, \"tables\": %ld", quoted(w->name),
	       r->n, tables);
	if (!r->n && !r->counted)
		printf(", \"skipped\": %s", quoted(r->why ?: interrupted ? "interrupted" : w->why));
	if (r->n && !emulated())
		printf(", \"us_p50\": %.1f, \"us_p99\": %.1f, \"us_max\": %.1f, \"kept_us_p50\": %.1f, \"kept_us_p99\": %.1f, \"kept_us_max\": %.1f",
		       percentile(r->took, r->n, 50), percentile(r->took, r->n, 99),
		       percentile(r->took, r->n, 100), percentile(r->kept, r->n, 50),
		       percentile(r->kept, r->n, 99), percentile(r->kept, r->n, 100));
	if (r->counted)
		printf(", \"walkers\": %.1f, \"tlb\": %.1f", each(r, r->walkers), each(r, r->tlb));
	printf(" }%s\n", last ? "" : ",");
}

static void print_text_line(const struct workload *w, const struct result *r)
{
	printf("%-16s", w->name);
	if (!r->n && !r->counted) {
		printf(" %s: %s\n", interrupted ? "interrupted, or" : "skipped",
		       r->why ?: w->why);
		return;
	}
	if (r->counted)
		printf(" %7.1f %7.1f", each(r, r->walkers), each(r, r->tlb));
	else
		printf(" %7s %7s", "-", "-");
	if (r->n && !emulated())
		printf(" %7.0f %7.0f %7.0f %7.0f %7.0f", percentile(r->took, r->n, 50),
		       percentile(r->took, r->n, 99), percentile(r->took, r->n, 100),
		       percentile(r->kept, r->n, 99), percentile(r->kept, r->n, 100));
	printf("\n");
}

static void print_head(void)
{
	const char *emulator = emulated();
	struct utsname u;

	if (json) {
		printf("{\n  \"tool\": \"bench\",\n");
		print_machine();
		printf("  \"workloads\": [\n");
		return;
	}
	uname(&u);
	printf("Linux %.40s, %ld CPUs, %ld huge pages or tables a call\n", u.release,
	       sysconf(_SC_NPROCESSORS_ONLN), tables);
	if (geteuid())
		printf("Not root: interrupts are not counted.\n");
	if (emulator)
		printf("Emulated by %s.\nIts clock is not real, so there are no times.\n"
		       "\n%-16s %15s\n%-16s %7s %7s\n", emulator,
		       "", "CPUs/call for", "", "walkers", "TLB");
	else
		printf("\n%-16s %15s %23s %15s\n%-16s %7s %7s %7s %7s %7s %7s %7s\n",
		       "", "CPUs/call for", "a call takes, us", "CPU kept, us",
		       "", "walkers", "TLB", "p50", "p99", "max", "p99", "max");
}

static void time_one(const struct workload *w, struct result *r)
{
	r->took = calloc(repeats, sizeof(long));
	r->kept = calloc(repeats, sizeof(long));
	if (!r->took || !r->kept)
		exit(missing("fewer REPEATS", "no memory"));
	for (long i = 0; i < repeats && !interrupted; i++) {
		progress("%s: %ld of %ld", w->name, i, repeats);
		if (!repeat(w, r))
			break;
	}
	qsort(r->took, r->n, sizeof(long), by_size);
	qsort(r->kept, r->n, sizeof(long), by_size);
}

int bench(int argc, char **argv)
{
	static struct result results[ARRAY_SIZE(workloads)];
	char *end = NULL;

	if (argc)
		repeats = strtol(argv[0], &end, 10);
	if (argc > 1 || (end && *end) || repeats < 1 || repeats > 10000000) {
		fprintf(stderr, "ptwalk-doctor: bench [REPEATS]\n");
		return 2;
	}
	if (emulated())
		repeats = EMULATED;
	page = sysconf(_SC_PAGESIZE);
	huge = thp_size() ?: 2UL << 20;
	tables = HUGE_PAGES / huge ?: 1;
	if (!start_spinner())
		return missing("taskset with more than one CPU", "it needs two CPUs");
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++)
		time_one(&workloads[i], &results[i]);
	count_all(results);
	stop_spinner();
	progress("%s", "");
	print_head();
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++) {
		if (json)
			print_json_line(&workloads[i], &results[i], i == ARRAY_SIZE(workloads) - 1);
		else
			print_text_line(&workloads[i], &results[i]);
	}
	if (json)
		printf("  ],\n  \"lost\": %ld,\n  \"complete\": %s\n}\n",
		       walkers.lost + tlb.lost, interrupted ? "false" : "true");
	else if (walkers.lost + tlb.lost)
		printf("%ld calls were lost because the buffer was full: the counts may be too low\n",
		       walkers.lost + tlb.lost);
	return stream_result(walkers.failed || tlb.failed);
}

/* --------------------------------------------------------------- compare */

static const char *member(const char *line, const char *name)
{
	char key[64];
	const char *p;

	snprintf(key, sizeof(key), "\"%s\": ", name);
	p = line ? strstr(line, key) : NULL;
	return p ? p + strlen(key) : NULL;
}

/* The text of a file; NULL if missing() was called */
static char *read_all(const char *path)
{
	static char texts[2][65536];
	static int n;
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(texts[n], 1, sizeof(texts[n]) - 1, f) : 0;

	if (!f || ferror(f)) {
		missing("name a file of \"ptwalk-doctor bench --json >FILE\"", "%s: %s", path,
			strerror(errno));
		return NULL;
	}
	fclose(f);
	texts[n][len] = '\0';
	if (len && member(texts[n], "workloads"))
		return texts[n++];
	missing("ptwalk-doctor bench --json >FILE", "%s is no result of bench", path);
	return NULL;
}

/* The line of a workload, NULL if there is none; up to its end only */
static const char *line_of(const char *text, const char *workload)
{
	static char lines[2][1024];
	static int n;
	char key[64];
	const char *p;

	snprintf(key, sizeof(key), "{ \"workload\": \"%s\"", workload);
	p = strstr(text, key);
	if (!p)
		return NULL;
	n = !n;
	snprintf(lines[n], sizeof(lines[n]), "%.*s", (int)strcspn(p, "\n"), p);
	return lines[n];
}

static void print_value(const char *line, const char *name)
{
	const char *value = member(line, name);

	if (value)
		printf(" %8.1f", atof(value));
	else
		printf(" %8s", "-");
}

static void print_pair(const char *before, const char *after, const char *name)
{
	print_value(before, name);
	print_value(after, name);
}

/* The value of a member as a text, printable, without quotes */
static const char *text_of(const char *text, const char *name)
{
	static char values[2][64];
	static int n;
	const char *p = member(text, name);

	n = !n;
	if (!p)
		return "-";
	p += *p == '"';
	snprintf(values[n], sizeof(values[n]), "%.*s", (int)strcspn(p, "\",\n }"), p);
	snprintf(values[n], sizeof(values[n]), "%s", printable(values[n]));
	return values[n];
}

static void print_heads(const char *before, const char *after)
{
	static const char * const same[][2] = {
		{ "machine", "Machines" }, { "cpus", "CPUs" }, { "tables", "Tables a call" },
	};

	printf("before: Linux %s\nafter:  Linux %s\n", text_of(before, "kernel"),
	       text_of(after, "kernel"));
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		const char *b = text_of(before, same[i][0]), *a = text_of(after, same[i][0]);

		if (strcmp(b, a))
			printf("%s differ: %s before, %s after.  Do not compare the numbers.\n",
			       same[i][1], b, a);
	}
	if (!strcmp(text_of(before, "complete"), "false"))
		printf("The first result is not complete: bench was interrupted.\n");
	if (!strcmp(text_of(after, "complete"), "false"))
		printf("The second result is not complete: bench was interrupted.\n");
	if (atol(text_of(before, "lost")) || atol(text_of(after, "lost")))
		printf("Calls were lost, so numbers of CPUs may be too low.\n");
	printf("\n");
}

int compare(int argc, char **argv)
{
	const char *before, *after, *b, *a;

	if (argc != 2 || json) {
		fprintf(stderr, "ptwalk-doctor: compare BEFORE AFTER (prints text only)\n");
		return 2;
	}
	before = read_all(argv[0]);
	after = before ? read_all(argv[1]) : NULL;
	if (!after)
		return 1;
	print_heads(before, after);
	printf("%-16s %17s %17s %17s\n", "before, after", "walkers, CPUs/call",
	       "a call, us (p50)", "CPU kept, us (p99)");
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++) {
		b = line_of(before, workloads[i].name);
		a = line_of(after, workloads[i].name);
		printf("%-16s", workloads[i].name);
		print_pair(b, a, "walkers");
		print_pair(b, a, "us_p50");
		print_pair(b, a, "kept_us_p99");
		printf("\n");
	}
	return 0;
}
