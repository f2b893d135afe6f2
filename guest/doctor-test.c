// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compares what ptwalk-doctor prints with other sources: the count of the module
 * ptwalk_kunit, VmPTE, and arithmetic.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <pthread.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"
#include "suite.h"

#define DOCTOR		"/bin/ptwalk-doctor"
#define TRACEFS		"/sys/kernel/tracing/"
#define MODULE_COUNT	"/sys/module/ptwalk_kunit/parameters/ipi_count"
#define OUTPUT		"/tmp/doctor.out"
#define NUMA_BALANCING	"/proc/sys/kernel/numa_balancing"
#define AREA		((char *)(1UL << 42))

enum {
	COLLAPSES	= 20,
	FLUSHES		= 50,
	TABLES		= 512,	/* that are emptied, and as many that are not */
	WIDTH		= 80,	/* of a terminal */
	START_SECONDS	= 60,	/* with KCSAN on a busy host */
	NOBODY		= 65534,
};

#define SPAN		(16UL << 20)	/* what a table of any MMU maps, or more */

/* ------------------------------------------------------ running the doctor */

static char output[65536];

static void read_output(void)
{
	int fd = open(OUTPUT, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, output, sizeof(output) - 1);

	output[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* @prepare runs in the child, so its changes end with the child. */
static pid_t start(bool (*prepare)(void), char *const *argv)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	fd = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		_exit(126);
	dup2(fd, 1);
	dup2(fd, 2);
	if (prepare && !prepare()) {
		perror("cannot prepare");
		_exit(126);
	}
	execv(DOCTOR, argv);
	_exit(127);
}

static int finish(pid_t pid)
{
	int status = 0;

	waitpid(pid, &status, 0);
	read_output();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define doctor(prepare, ...) \
	finish(start(prepare, (char *[]){ (char *)"ptwalk-doctor", __VA_ARGS__, NULL }))

/* A number of the output, behind @after */
static long number(const char *after, const char *key)
{
	char text[64];
	const char *p = strstr(output, after);

	snprintf(text, sizeof(text), "\"%s\": ", key);
	p = p ? strstr(p, text) : NULL;
	return p ? atol(p + strlen(text)) : -1;
}

static void expect_text(const char *text)
{
	if (!strstr(output, text))
		fail("\"%s\" is not in: %.150s", text, output);
}

static void expect_width(void)
{
	for (char *p = output; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strcspn(p, "\n") > WIDTH)
			fail("wider than %d columns: %.*s", WIDTH, (int)strcspn(p, "\n"), p);
}

/* Within 1 % */
static bool same(long a, long b)
{
	return labs(a - b) * 100 <= (a > b ? a : b);
}

/* ------------------------------------- "who", beside the count of the module */

struct counts {
	long walkers, tlb;
};

static struct counts doctors, modules;

/* Whether instances of the doctor's are there, which it removes */
static bool has_instance(pid_t pid, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), TRACEFS "instances/ptwalk-doctor-%d-%s", pid, name);
	return !access(path, F_OK);
}

static bool has_instances(pid_t pid)
{
	return has_instance(pid, "walkers") || has_instance(pid, "tlb");
}

static bool records(pid_t pid, const char *name, const char *file)
{
	char path[160];

	snprintf(path, sizeof(path), TRACEFS "instances/ptwalk-doctor-%d-%s/%s", pid, name,
		 file);
	return number_in(path, "") == 1;
}

/* Whether stacks are sampled, or need not be */
static bool samples(pid_t pid, const char *name)
{
	char path[160], line[16] = "";
	FILE *f;

	snprintf(path, sizeof(path),
		 TRACEFS "instances/ptwalk-doctor-%d-%s/events/csd/csd_queue_cpu/trigger", pid, name);
	f = fopen(path, "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	return !strcmp(name, "tlb") || !strncmp(line, "stacktrace:", 11);
}

/* The last instance that it switches on; some kernels have only one of them. */
static bool is_watching(pid_t pid)
{
	const char *name = has_instance(pid, "walkers") ? "walkers" : "tlb";

	return records(pid, name, "events/csd/csd_queue_cpu/enable") &&
	       records(pid, name, "tracing_on") && samples(pid, name);
}

static void watched(void (*work)(void))
{
	double end = now() + START_SECONDS;
	char name[64];
	pid_t pid;

	doctors = modules = (struct counts){ 0 };
	pid = start(NULL, (char *[]){ (char *)"ptwalk-doctor", (char *)"who", (char *)"300",
				   (char *)"--json", NULL });
	while (!is_watching(pid) && now() < end)
		usleep(10000);
	if (!is_watching(pid))
		fail("the doctor does not watch after %d s", START_SECONDS);
	/* The module counts what the thread that writes here interrupts. */
	if (!write_file(MODULE_COUNT, "1"))
		fail(MODULE_COUNT ": %m");
	work();
	usleep(300000);
	kill(pid, SIGINT);
	/* finish() flushes TLBs, and only one of the two might count these flushes. */
	while (has_instances(pid) && now() < end + START_SECONDS)
		usleep(10000);
	write_file(MODULE_COUNT, "0");
	modules.walkers = number_in(MODULE_COUNT, "walkers");
	modules.tlb = number_in(MODULE_COUNT, "tlb");
	if (finish(pid))
		fail("ended by Ctrl-C it has no status 0: %.150s", output);
	if (has_instances(pid))
		fail("its instance of tracing is still there");
	expect_text("\"interrupted\": true");
	snprintf(name, sizeof(name), "\"pid\": %d,", getpid());
	if (strstr(output, name)) {
		doctors.walkers = number(name, "walkers");
		doctors.tlb = number(name, "tlb");
	}
	printf("    # %ld and %ld CPUs by the doctor, %ld and %ld by the module\n",
	       doctors.walkers, doctors.tlb, modules.walkers, modules.tlb);
}

static char *map(char *addr, size_t len)
{
	char *p = mmap(addr, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		       MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED) {
		fail("mmap: %m");
		return NULL;
	}
	madvise(p, len, MADV_NOHUGEPAGE);
	return p;
}

static void collapse(void)
{
	size_t huge = thp_size(), page = sysconf(_SC_PAGESIZE);
	char *mem;

	for (int i = 0; i < COLLAPSES && !over(); i++) {
		mem = map(AREA, huge);
		for (size_t at = 0; mem && at < huge; at += page)
			mem[at] = 1;
		madvise(mem, huge, MADV_HUGEPAGE);
		if (mem && madvise(mem, huge, MADV_COLLAPSE))
			fail("MADV_COLLAPSE: %m");
		munmap(AREA, huge);
	}
}

/* Broken: the doctor reports a wrong number of interrupted CPUs. */
static void who_counts_what_is_interrupted(void)
{
	if (!thp_size()) {
		skip("no transparent huge pages");
		return;
	}
	watched(collapse);
	if (!same(doctors.walkers, modules.walkers))
		fail("%ld CPUs interrupted, the doctor says %ld", modules.walkers, doctors.walkers);
}

/*
 * Broken: ptwalk-doctor shows CPUs that the kernel interrupts to wait for
 * walkers.
 */
static void who_finds_nobody_interrupted(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!thp_size()) {
		skip("no transparent huge pages");
		return;
	}
	watched(collapse);
	if (doctors.walkers)
		fail("%ld CPUs in %d collapses, on %ld CPUs", doctors.walkers, COLLAPSES, cpus);
	if (doctors.walkers)
		expect_text("\"cause\": \"collapse\"");
}

static volatile bool stop;

static void *use_mm(void *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((intptr_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!stop)
		;
	return NULL;
}

static void flush(void)
{
	long page = sysconf(_SC_PAGESIZE);

	for (int i = 0; i < FLUSHES; i++) {
		char *mem = map(AREA, page);

		if (!mem)
			break;
		*mem = 1;
		munmap(mem, page);
	}
}

/*
 * Broken: the doctor does not count TLB flushes, or counts them as waits for
 * walkers.
 */
static void who_tells_tlb_flushes_apart(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[3];
	int n = 0;

	/* They flush as they begin and end, so not while that is counted. */
	stop = false;
	while (n < 3 && n + 1 < cpus &&
	       !pthread_create(&threads[n], NULL, use_mm, (void *)(intptr_t)(n + 1)))
		n++;
	usleep(100000);
	watched(flush);
	stop = true;
	while (n)
		pthread_join(threads[--n], NULL);
#ifdef __x86_64__	/* The module counts no other architecture's flushes. */
	if (!modules.tlb)
		fail("no TLB was flushed: this shows nothing");
	if (!same(doctors.tlb, modules.tlb))
		fail("%ld CPUs flushed, the doctor says %ld", modules.tlb, doctors.tlb);
#endif
	if (doctors.walkers != modules.walkers)
		fail("%ld CPUs waited for, not %ld", doctors.walkers, modules.walkers);
}

static void set_options(const char *text)
{
	static const char * const options[] = { "context-info", "irq-info", "overwrite" };
	char path[64];

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		snprintf(path, sizeof(path), TRACEFS "options/%s", options[i]);
		if (!write_file(path, text))
			fail("%s: %m", path);
	}
}

/* Broken: where somebody else has set options of tracing, the doctor counts nothing. */
static void who_counts_with_options_of_others(void)
{
	if (!thp_size()) {
		skip("no transparent huge pages");
		return;
	}
	set_options("0");
	who_counts_what_is_interrupted();
	who_tells_tlb_flushes_apart();
	set_options("1");
}

static bool become_nobody(void)
{
	return !setresuid(NOBODY, NOBODY, NOBODY);
}

static bool own_mounts(void)
{
	return !unshare(CLONE_NEWNS) && !mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static bool hide(const char *dir)
{
	return access(dir, F_OK) ? errno == ENOENT : !mount("empty", dir, "tmpfs", 0, NULL);
}

/* Its /sys/kernel/debug is empty, and root in it cannot mount. */
static bool enter_container(void)
{
	return own_mounts() && hide(TRACEFS) && hide("/sys/kernel/debug") &&
	       !prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0);
}

/* Linux 6.4 and older have no csd:csd_queue_cpu. */
static bool enter_old_kernel(void)
{
	return own_mounts() && hide(TRACEFS "events/csd");
}

/* In a pid namespace of its own: the child goes on, and its status is returned. */
static bool enter_pid_namespace(void)
{
	int status = 0;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		return false;
	pid = fork();
	if (pid <= 0)
		return !pid;
	waitpid(pid, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 125);
}

/* Broken: the doctor fails without saying what to do. */
static void doctor_says_what_is_missing(void)
{
	int rc = doctor(become_nobody, (char *)"who", (char *)"1");

	if (rc != 1)
		fail("status %d without root", rc);
	expect_text("cure: run it as root");
	rc = doctor(become_nobody, (char *)"waste", (char *)"1");
	if (rc != 1)
		fail("status %d for a process of another", rc);
	expect_text("cure: run it as root");
	rc = doctor(enter_container, (char *)"who", (char *)"1");
	if (rc != 1)
		fail("status %d without tracefs: %.150s", rc, output);
	expect_text("there is no tracefs");
	expect_text("cure: use a kernel with CONFIG_FTRACE; in a container, run it on the host");
	rc = doctor(enter_old_kernel, (char *)"who", (char *)"1");
	if (rc != 1)
		fail("status %d without csd:csd_queue_cpu: %.150s", rc, output);
	expect_text("no tracepoint csd:csd_queue_cpu");
	expect_text("cure: use Linux 6.5 or newer");
	if (!access("/proc/self/ns/pid_for_children", F_OK)) {
		rc = doctor(enter_pid_namespace, (char *)"who", (char *)"1");
		if (rc != 1)
			fail("status %d in a pid namespace: %.150s", rc, output);
		expect_text("cure: run it in the host's pid namespace");
	}
	rc = doctor(NULL, (char *)"compare", (char *)"/none", (char *)"/none");
	if (rc != 1)
		fail("status %d for a file that does not exist", rc);
	expect_text("/none: No such file or directory");
	rc = doctor(NULL, (char *)"who", (char *)"soon");
	if (rc != 2)
		fail("status %d for wrong usage", rc);
	rc = doctor(NULL, (char *)"waste", (char *)"1x");
	if (rc != 2)
		fail("status %d for an argument that is not a PID", rc);
}

/* Broken: a table is wider than the terminal. */
static void text_fits_a_terminal(void)
{
	if (doctor(NULL, (char *)"who", (char *)"1"))
		fail("who: %.150s", output);
	expect_width();
	if (doctor(NULL, (char *)"waste"))
		fail("waste: %.150s", output);
	expect_width();
	if (doctor(NULL, (char *)"bench", (char *)"2"))
		fail("bench: %.150s", output);
	expect_width();
}

/* Broken: the name of a process controls the terminal of root. */
static void names_are_printable(void)
{
	char pid[16], name[16];

	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, "a\033[2Jb");
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (doctor(NULL, (char *)"waste", pid))
		fail("waste: %.150s", output);
	prctl(PR_SET_NAME, name);
	expect_text("a?[2Jb");
	if (strchr(output, '\033'))
		fail("an escape character is in the output");
}

/* Broken: a full disk has exit status 0. */
static void full_disk_is_an_error(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		if (!freopen("/dev/full", "w", stdout) || !freopen("/dev/null", "w", stderr))
			_exit(126);
		execl(DOCTOR, "ptwalk-doctor", "waste", (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
		fail("status %#x on a full disk", status);
}

/* Broken: the doctor reports times of an emulated clock. */
static void bench_gives_times_of_hardware_only(void)
{
	bool emulated;

	if (doctor(NULL, (char *)"bench", (char *)"2", (char *)"--json"))
		fail("bench: %.150s", output);
	emulated = strstr(output, "\"emulated\": true");
	if (emulated != !strstr(output, "us_"))
		fail("emulated: %d, and yet: %.400s", emulated, output);
	if (number("\"workload\": \"nothing\"", "walkers"))
		fail("it counts interrupts where there are none: %.400s", output);
}

/* ----------------------------------------------------------------- "waste" */

static long vmpte(void)
{
	return number_in("/proc/self/status", "VmPTE");
}

static long doctors_waste(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (doctor(NULL, (char *)"waste", (char *)"--json", pid))
		fail("waste: %.150s", output);
	return number("\"processes\"", "empty_kb");
}

/* One page in each table; then all of it is given back, in one call or in pieces */
static void touch(char *mem)
{
	for (int i = 0; i < TABLES; i++)
		mem[i * SPAN] = 1;
}

static void give_back_in_pieces(char *mem)
{
	long page = sysconf(_SC_PAGESIZE);

	for (int i = 0; i < TABLES; i++)
		if (madvise(mem + i * SPAN, page, MADV_DONTNEED))
			fail("MADV_DONTNEED: %m");
}

/* What is in use, and must not count: huge pages, a file, tables with one page */
static void in_use(char *mem)
{
	size_t huge = thp_size();
	int fd = memfd_create("doctor", 0);

	touch(mem);
	mem += TABLES * SPAN;
	if (huge && !munmap(mem, 4 * huge) && map(mem, 4 * huge)) {
		madvise(mem, 4 * huge, MADV_HUGEPAGE);
		for (int i = 0; i < 4; i++)
			mem[i * huge] = 1;
	}
	mem += 8 * SPAN;
	if (ftruncate(fd, 4 * SPAN) || mmap(mem, 4 * SPAN, PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_FIXED, fd, 0) != mem)
		fail("memfd: %m");
	else
		for (int i = 0; i < 4; i++)
			mem[i * SPAN] = 1;
	close(fd);
}

/* Broken: the doctor reports a wrong size of the empty tables. */
static void waste_is_what_unmapping_frees(void)
{
	char *mem = AREA, *used = AREA + 4 * TABLES * SPAN;
	long start, before, said, all;

	before = doctors_waste();
	start = vmpte();
	if (!map(mem, TABLES * SPAN) || !map(used, 2 * TABLES * SPAN))
		return;
	in_use(used);
	touch(mem);
	give_back_in_pieces(mem);
	said = doctors_waste() - before;
	all = vmpte();
	munmap(mem, TABLES * SPAN);
	printf("    # %ld kB of %ld, the doctor says %ld of them are empty\n",
	       all - vmpte(), all - start, said);
	if (!same(all - vmpte(), said))
		fail("%ld kB were without an entry, the doctor says %ld", all - vmpte(), said);
	said = doctors_waste() - before;
	if (labs(said) > 8)
		fail("of tables in use the doctor says %ld kB are empty", said);
	munmap(used, 2 * TABLES * SPAN);
}

#define LARGE_KB	(64L << 10)

/* Broken: the doctor stalls a large process without being asked to look at it. */
static void waste_leaves_out_large_processes(void)
{
	size_t len = (LARGE_KB / 4 + 64) * SPAN / 8;
	volatile char *mem;
	char pid[16];

	if (sysconf(_SC_PAGESIZE) != 4096) {
		skip("a table is smaller than a page");
		return;
	}
	mem = map(AREA, len);
	/* Reading maps the zero page. */
	for (size_t at = 0; mem && at < len; at += SPAN / 8)
		mem[at];
	if (vmpte() <= LARGE_KB)
		fail("%ld kB of page tables are not enough", vmpte());
	if (doctor(NULL, (char *)"waste"))
		fail("waste: %.150s", output);
	expect_text("processes with more than 64 MB of page tables were left out");
	expect_width();
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (strstr(output, program_invocation_short_name))
		fail("it was not left out: %.150s", output);
	if (doctor(NULL, (char *)"waste", (char *)"--json", pid))
		fail("waste %s: %.150s", pid, output);
	if (number("\"processes\"", "vmpte_kb") <= LARGE_KB)
		fail("it is not shown if it is named: %.150s", output);
	munmap((char *)mem, len);
}

/* Broken: ptwalk-doctor shows empty tables that the kernel keeps. */
static void waste_finds_nothing(void)
{
	long before, said;

	if (number_in("/sys/module/ptwalk_kunit/parameters/keeps_tables", "") > 0) {
		skip("needs CONFIG_PT_RECLAIM");
		return;
	}
	before = doctors_waste();
	if (!map(AREA, TABLES * SPAN))
		return;
	touch(AREA);
	if (madvise(AREA, TABLES * SPAN, MADV_DONTNEED))
		fail("MADV_DONTNEED: %m");
	said = doctors_waste() - before;
	/* Upper levels stay: 8 tables of the next one, or fewer. */
	if (said > 64)
		fail("%ld kB of tables without an entry", said);
	munmap(AREA, TABLES * SPAN);
}

static const struct suite_case cases[] = {
	CASE(who_counts_what_is_interrupted),
	CASE(who_finds_nobody_interrupted),
	CASE(who_tells_tlb_flushes_apart),
	CASE(who_counts_with_options_of_others),
	CASE(waste_is_what_unmapping_frees),
	CASE(waste_leaves_out_large_processes),
	CASE(waste_finds_nothing),
	CASE(bench_gives_times_of_hardware_only),
	CASE(text_fits_a_terminal),
	CASE(names_are_printable),
	CASE(full_disk_is_an_error),
	CASE(doctor_says_what_is_missing),
	{ NULL, NULL }
};

int main(int argc, char **argv)
{
	static const struct suite suite = {
		.name = "ptwalk_doctor", .seconds = 3, .cases = cases,
	};
	long balancing = number_in(NUMA_BALANCING, "");
	int ret;

	mount("tracefs", TRACEFS, "tracefs", 0, NULL);	/* unless it is there */
	/* It flushes TLBs when it likes. */
	write_file(NUMA_BALANCING, "0");
	ret = run_suite(&suite, argc, argv);
	if (balancing > 0)
		write_file(NUMA_BALANCING, "1");
	return ret;
}
