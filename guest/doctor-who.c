// SPDX-License-Identifier: GPL-2.0-only
/* ptwalk-doctor who: who interrupts CPUs to wait for page-table walkers, and whom. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

/**
 * struct cause - what waits for walkers
 * @frame: how the name of a function begins that shows it
 * @what: what it is
 * @topic: of the series, which ends it
 */
static const struct cause {
	const char *frame, *what, *topic;
} causes[] = {
	{ "hash__pmdp_collapse", "collapse", "hash" },
	{ "huge_pmd_unshare", "hugetlb unshare", "unshare" },
	{ "hugetlb_unshare", "hugetlb unshare", "unshare" },
	{ "collapse_huge_page", "collapse", "collapse" },
	{ "hpage_collapse", "collapse", "collapse" },
	{ "khugepaged", "collapse", "collapse" },
	{ "madvise_collapse", "collapse", "collapse" },
	{ "tlb_remove_table", "table freed", "tables" },
	{ "free_pg", "table freed", "tables" },
	{ "unmap_region", "table freed", "tables" },
};

/**
 * struct process - one that interrupts CPUs
 * @waits: CPUs interrupted to wait for walkers, and @isolated of them
 * @ops: how often it did that
 * @flushes: CPUs interrupted to flush TLBs, and @flushed_isolated of them
 * @sampled: stacks by cause
 * @next: index plus 1 of the next one in the same bucket; 0: none
 */
struct process {
	int pid;
	char name[32];
	long waits, isolated, ops, flushes, flushed_isolated;
	long sampled[ARRAY_SIZE(causes)];
	size_t next;
};

/**
 * struct thread - of a process
 * @comm: its name when @process was found
 * @last_cpu: the one of its last wait: a lower one begins another wait
 * @process: its index
 * @next: index plus 1 of the next one in the same bucket; 0: none
 */
struct thread {
	int tid, last_cpu;
	char comm[32];
	size_t process, next;
};

#define BUCKETS	4096

static struct stream walkers, tlb;
static struct process *processes, total;
static struct thread *threads;
static size_t nr_processes, nr_threads;
static size_t first_process[BUCKETS], first_thread[BUCKETS];	/* plus 1; 0: none */
static bool isolated_cpus[MAX_CPUS];
static char isolated_list[3 * MAX_CPUS];

/* "1-3,5" */
static void read_isolated(const char *path)
{
	char *list = NULL, *p, *end;
	FILE *f = fopen(path, "re");
	size_t size = 0;
	long from, to;

	p = f && getline(&list, &size, f) > 0 ? list : (char *)"";
	if (f)
		fclose(f);
	while (*p) {
		from = to = strtol(p, &end, 10);
		if (end == p)
			break;
		if (*end == '-')
			to = strtol(end + 1, &end, 10);
		for (; from <= to && from < MAX_CPUS; from++)
			isolated_cpus[from] = true;
		p = *end ? end + 1 : end;
	}
	free(list);
}

static void list_isolated(void)
{
	size_t len = 0;
	int to;

	read_isolated("/sys/devices/system/cpu/isolated");
	read_isolated("/sys/devices/system/cpu/nohz_full");
	read_isolated("/sys/fs/cgroup/cpuset.cpus.isolated");
	for (int cpu = 0; cpu < MAX_CPUS && len < sizeof(isolated_list) - 16; cpu = to + 1) {
		for (to = cpu; to + 1 < MAX_CPUS && isolated_cpus[cpu] && isolated_cpus[to + 1];)
			to++;
		if (isolated_cpus[cpu])
			len += sprintf(isolated_list + len, to > cpu ? "%s%d-%d" : "%s%d",
				       len ? "," : "", cpu, to);
	}
}

/* The thread group, and its name; those of the thread if it is gone. */
static int group_of(const struct call *c, char *name, size_t size)
{
	char path[64], line[128];
	int tgid = c->pid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", c->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Tgid: %d", &tgid);
	if (f)
		fclose(f);
	snprintf(name, size, "%s", c->comm);
	snprintf(path, sizeof(path), "/proc/%d/comm", tgid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(name, size, "%.31s", line);
	}
	if (f)
		fclose(f);
	return tgid;
}

static void *grow(void *array, size_t n, size_t size)
{
	void *p = array;

	if (!(n & (n - 1)))
		p = realloc(array, (n ? 2 * n : 1) * size);
	if (!p) {
		stream_close(&walkers);
		stream_close(&tlb);
		exit(missing("free some memory, or give fewer SECONDS", "no memory"));
	}
	return p;
}

/* A name tells one process from another that had the same pid before. */
static size_t find_process(int pid, const char *name)
{
	size_t *first = &first_process[pid % BUCKETS], i;

	for (i = *first; i; i = processes[i - 1].next)
		if (processes[i - 1].pid == pid && !strcmp(processes[i - 1].name, name))
			return i - 1;
	processes = grow(processes, nr_processes, sizeof(*processes));
	memset(&processes[nr_processes], 0, sizeof(*processes));
	processes[nr_processes].pid = pid;
	strcpy(processes[nr_processes].name, name);
	processes[nr_processes].next = *first;
	*first = ++nr_processes;
	return nr_processes - 1;
}

static struct thread *find_thread(const struct call *c)
{
	size_t *first = &first_thread[c->pid % BUCKETS], i;
	char name[32];
	struct thread *t;

	for (i = *first; i && threads[i - 1].tid != c->pid; i = threads[i - 1].next)
		;
	/* Tracing prints "<...>" if it does not know the name. */
	if (i && (c->comm[0] == '<' || !strcmp(threads[i - 1].comm, c->comm)))
		return &threads[i - 1];
	if (!i) {
		threads = grow(threads, nr_threads, sizeof(*threads));
		threads[nr_threads] = (struct thread){
			.tid = c->pid, .last_cpu = MAX_CPUS, .next = *first,
		};
		i = *first = ++nr_threads;
	}
	t = &threads[i - 1];
	strcpy(t->comm, c->comm);
	t->process = find_process(group_of(c, name, sizeof(name)), name);
	return t;
}

static void wait_seen(const struct call *c)
{
	struct thread *t = find_thread(c);	/* may move processes */
	struct process *p = &processes[t->process];
	bool isolated = c->cpu < MAX_CPUS && isolated_cpus[c->cpu];
	bool another = c->cpu <= t->last_cpu;

	t->last_cpu = c->cpu;
	p->waits++;
	total.waits++;
	p->ops += another;
	total.ops += another;
	p->isolated += isolated;
	total.isolated += isolated;
}

static void flush_seen(const struct call *c)
{
	struct thread *t = find_thread(c);	/* may move processes */
	struct process *p = &processes[t->process];
	bool isolated = c->cpu < MAX_CPUS && isolated_cpus[c->cpu];

	p->flushes++;
	total.flushes++;
	p->flushed_isolated += isolated;
	total.flushed_isolated += isolated;
}

/* The innermost frame that shows a cause decides; then the rest says nothing. */
static void frame_seen(const struct call *c, const char *function, bool first)
{
	static bool known;
	struct thread *t;

	known = known && !first;
	for (size_t i = 0; i < ARRAY_SIZE(causes) && !known; i++) {
		if (strncmp(function, causes[i].frame, strlen(causes[i].frame)))
			continue;
		/* This is the wait itself: its caller is the cause. */
		if (!strncmp(function, "tlb_remove_table_s", 18))
			continue;
		t = find_thread(c);	/* may move processes */
		processes[t->process].sampled[i]++;
		known = true;
	}
}

/* cause_of() - the index of the cause that most stacks show, -1 if there is none */
static int cause_of(const struct process *p)
{
	int best = -1;

	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (p->sampled[i] && (best < 0 || p->sampled[i] > p->sampled[best]))
			best = i;
	return best;
}

static int by_waits(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	if (x->waits != y->waits)
		return x->waits < y->waits ? 1 : -1;
	return x->flushes < y->flushes ? 1 : x->flushes > y->flushes ? -1 : x->pid - y->pid;
}

static void print_json(double took)
{
	printf("{\n  \"tool\": \"who\",\n");
	print_machine();
	printf("  \"seconds\": %.3f,\n  \"isolated\": \"%s\",\n  \"complete\": %s,\n", took, isolated_list,
	       walkers.unread || walkers.failed || tlb.unread || tlb.failed ? "false" : "true");
	printf("  \"walkers\": { \"cpus\": %ld, \"operations\": %ld, \"isolated\": %ld, \"lost\": %ld },\n",
	       total.waits, total.ops, total.isolated, walkers.lost);
	printf("  \"tlb\": { \"cpus\": %ld, \"isolated\": %ld, \"lost\": %ld },\n",
	       total.flushes, total.flushed_isolated, tlb.lost);
	printf("  \"processes\": [");
	for (size_t i = 0; i < nr_processes; i++) {
		const struct process *p = &processes[i];
		int cause = cause_of(p);

		printf("%s\n    { \"pid\": %d, \"name\": %s, \"walkers\": %ld, \"operations\": %ld, ",
		       i ? "," : "", p->pid, quoted(p->name), p->waits, p->ops);
		printf("\"isolated\": %ld, \"tlb\": %ld, \"cause\": %s }",
		       p->isolated, p->flushes,
		       cause < 0 ? "null" : quoted(causes[cause].what));
	}
	printf("\n  ]\n}\n");
}

static void print_lost(const struct stream *s, const char *what)
{
	if (s->lost)
		printf("At most %ld more were lost because the buffer was full: %s\n", s->lost, what);
	if (s->unread)
		printf("The rest of the buffer was not read, so there may be more: %s\n", what);
}

#define SHOWN	20

static void print_processes(void)
{
	size_t i, more;

	printf("\n%8s  %-16s %10s %12s %9s  %s\n", "PID", "process", "walkers:",
	       "CPUs", "isolated", "cause");
	printf("%8s  %-16s %10s %12s %9s  %s\n", "", "", "operations", "interrupted", "", "");
	for (i = 0; i < nr_processes && i < SHOWN && processes[i].waits; i++) {
		const struct process *p = &processes[i];
		int cause = cause_of(p);

		printf("%8d  %-16.16s %10ld %12ld %9ld  %s\n", p->pid, printable(p->name),
		       p->ops, p->waits, p->isolated, cause < 0 ? "-" : causes[cause].what);
	}
	for (more = 0; i < nr_processes && processes[i].waits; i++)
		more++;
	if (more)
		printf("%8s  %zu more\n", "...", more);
}

static void print_cures(void)
{
	long sampled[ARRAY_SIZE(causes)] = { 0 };
	bool said = false;

	for (size_t i = 0; i < nr_processes; i++)
		for (size_t k = 0; k < ARRAY_SIZE(causes); k++)
			sampled[k] += processes[i].sampled[k];
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
		bool before = false;

		for (size_t k = 0; k < i; k++)
			before |= sampled[k] && !strcmp(causes[k].topic, causes[i].topic);
		if (!sampled[i] || before)
			continue;
		printf("%s %s", said ? "," : "\nTopics of the series (6.12.y, 7.3.y) that end this:",
		       causes[i].topic);
		said = true;
	}
	if (said)
		printf("\n");
}

static void print_text(double took)
{
	const char *emulator = emulated();
	struct utsname u;

	uname(&u);
	printf("Linux %.36s, %ld CPUs, %.1f s%s\n", u.release,
	       sysconf(_SC_NPROCESSORS_ONLN), took, interrupted ? " (interrupted)" : "");
	if (isolated_list[0])
		printf("Isolated CPUs: %.60s%s\n", isolated_list,
		       strlen(isolated_list) > 60 ? "..." : "");
	if (emulator)
		printf("Emulated by %s.\nCounts are right, rates are not.\n", emulator);
	printf("\n%-46s %12s %9s\n", "CPUs interrupted", "all", "isolated");
	printf("%-46s %12ld %9ld\n", "  to wait for page-table walkers", total.waits,
	       total.isolated);
	printf("%-46s %12ld %9ld\n", "  to flush a TLB", total.flushes,
	       total.flushed_isolated);
	print_lost(&walkers, "walkers");
	print_lost(&tlb, "TLB flushes");
	if (!total.flushes && !tlb.lost)
		printf("Flushes by INVLPGB, TLBI, tlbie or a hypervisor are not counted.\n");
	if (!total.waits && (walkers.lost || walkers.unread || walkers.failed))
		return;
	if (!total.waits) {
		printf("\nNobody was interrupted to wait for page-table walkers.\n");
		return;
	}
	print_processes();
	print_cures();
}

int who(int argc, char **argv)
{
	double seconds = 10, start, t = 0;
	bool more = false;
	char *end = NULL;

	if (argc)
		seconds = strtod(argv[0], &end);
	if (argc > 1 || (end && *end) || !(seconds > 0) || seconds > 1e7) {
		fprintf(stderr, "ptwalk-doctor: who [SECONDS]\n");
		return 2;
	}
	if (!stream_open(&walkers, "walkers", walker_functions, true))
		return 1;
	if (!stream_open(&tlb, "tlb", tlb_functions, false)) {
		stream_close(&walkers);
		return 1;
	}
	list_isolated();
	if (!stream_record(&tlb, true) || !stream_record(&walkers, true)) {
		stream_close(&walkers);
		stream_close(&tlb);
		return missing("look for the reason in dmesg", "tracing cannot be switched on");
	}
	start = seconds_now();
	while (!interrupted && (t = seconds_now() - start) < seconds) {
		progress("%3.0f of %.0f s: %ld CPUs interrupted for walkers, %ld for TLBs",
			 t, seconds, total.waits, total.flushes);
		more = stream_read(&walkers, more ? 0 : 100, wait_seen, frame_seen);
		more |= stream_read(&tlb, 0, flush_seen, NULL);
	}
	stream_record(&walkers, false);
	stream_record(&tlb, false);
	t = seconds_now() - start;
	progress("reading what is left");
	stream_read(&walkers, 0, wait_seen, frame_seen);
	stream_read(&tlb, 0, flush_seen, NULL);
	stream_close(&walkers);
	stream_close(&tlb);
	progress("%s", "");
	if (nr_processes)
		qsort(processes, nr_processes, sizeof(*processes), by_waits);
	if (json)
		print_json(t);
	else
		print_text(t);
	return stream_result(walkers.failed || tlb.failed);
}
