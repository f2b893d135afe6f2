// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of the test VM: loads the test modules, runs the suites that are
 * programs (/bin/ptwalk_*), reports on a serial line of its own (the verdict
 * channel), and restarts the machine, which ends QEMU, whatever happens.
 *
 * Options, from /proc/cmdline (scripts/boot gives the first two):
 *   ptwalk.verdict=TTY	where to report; the console if there is none
 *   ptwalk.timeout=N	give up on tests that still run after N seconds
 *   ptwalk.run=NAME	loads /lib/ptwalk/ptwalk_NAME.ko (default: kunit, and pfn
 *			after it), or runs /bin/NAME, or both, in this order;
 *			"none" only boots
 *   ptwalk.swap=DEVICE	formats it, and swaps to it
 *   ptwalk.filter=GLOB	only these cases: suite glob, or suite.case
 *   ptwalk.misbehave=X	to test the harness: hang, stuck, panic,
 *			silent, short, badmodule, warn
 *   MODULE.PARAM=VALUE	is handed to the module, as modprobe does
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <regex.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"

#define KUNIT_DIR	"/sys/kernel/debug/kunit"
#define THP_DIR		"/sys/kernel/mm/transparent_hugepage"
#define PROGRAM_RESULTS	"/tmp"	/* KTAP of the suites that are programs */

enum {
	COMPLAINT_LINES	= 25,	/* shown after the line that complains */
	SETTLE_SECONDS	= 10,	/* for what ends by itself, such as grace periods */
	LEAK_SLACK	= 4,	/* table pages: PID 1 itself may use some more */
	KERNEL_SLACK	= 64,	/* ... and vmalloc(), where its tables are counted */
};

static int verdict_fd = 1, kmsg_fd = -1;
static char cmdline[4096];
static int tests, failed, skipped, complaints, suites_planned;
static bool broken, hung;	/* something besides a test result went wrong */
static long tables_before;

/* ------------------------------------------------------------- reporting */

/* One write per line: parent and child both report. */
__attribute__((format(printf, 1, 2)))
static void verdict(const char *fmt, ...)
{
	char line[2048];
	va_list ap;
	int len, done = 0, n;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (len >= (int)sizeof(line)) {
		len = sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	for (; done < len; done += n) {
		n = write(verdict_fd, line + done, len - done);
		if (n <= 0)
			return;
	}
}

/*
 * x86 without ACPI cannot switch itself off.  scripts/boot gives QEMU -no-reboot,
 * so that a restart ends it.
 */
static __attribute__((noreturn)) void restart(void)
{
	tcdrain(verdict_fd);
	tcdrain(1);
	usleep(100000);		/* the last byte is still in the UART */
	/*
	 * reboot() moves to CPU 0, and perf's reboot notifier calls every CPU: both wait
	 * forever for a CPU that hangs in the kernel.  A panic does not wait.  At log
	 * level 0 it prints nothing, so scripts/boot still reports the hang, not a panic.
	 */
	if (!hung || !write_file("/proc/sys/kernel/printk", "0"))
		reboot(RB_AUTOBOOT);
	exit(1);		/* panics, and the kernel reboots after a panic */
}

/* ------------------------------------------------------------------ files */

static char *read_line(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

/* The last one counts, as for the kernel's own options. */
static const char *option(const char *name, const char *otherwise)
{
	static char values[8][256];
	static int next;
	const char *p, *found = NULL;
	size_t len = strlen(name);

	for (p = cmdline; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (!strncmp(p, name, len) && p[len] == '=')
			found = p + len + 1;
	if (!found)
		return otherwise;
	next = (next + 1) % 8;
	snprintf(values[next], sizeof(values[next]), "%.*s",
		 (int)strcspn(found, " "), found);
	return values[next];
}

static bool misbehave(const char *how)
{
	return !strcmp(option("ptwalk.misbehave", ""), how);
}

static long seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* ------------------------------------------------------------------ setup */

static void mount_filesystems(void)
{
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("debug", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("tmp", "/tmp", "tmpfs", 0, NULL);
	mount("huge", "/huge", "hugetlbfs", 0, NULL);	/* if there is one */
	read_line("/proc/cmdline", cmdline, sizeof(cmdline));
}

static void open_verdict(void)
{
	char path[300];
	struct termios raw;
	int fd;

	if (misbehave("silent"))
		restart();
	snprintf(path, sizeof(path), "/dev/%s", option("ptwalk.verdict", "console"));
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		printf("init: cannot open %s: %m\n", path);
		return;
	}
	if (!tcgetattr(fd, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	verdict_fd = fd;
}

/* "x86", "virt" (arm64), or what powerpc says of itself: "radix", "hash" */
static const char *mmu(void)
{
	if (cpuinfo_says("CPU implementer", ""))
		return "virt";
	if (!cpuinfo_says("MMU", ""))
		return "x86";
	return cpuinfo_says("MMU", "radix") ? "radix" : "hash";
}

static void print_canary(void)
{
	struct utsname u;

	uname(&u);
	verdict("ptwalk-verdict 1\n");
	verdict("uname: %s %s  cpus: %ld  mmu: %s\n", u.release, u.machine,
		sysconf(_SC_NPROCESSORS_ONLN), mmu());
	verdict("run: %s filter: %s\n", option("ptwalk.run", "kunit"),
		option("ptwalk.filter", "*"));
	if (misbehave("hang"))
		for (;;)
			pause();
	if (misbehave("panic"))
		exit(1);
}

/* khugepaged would collapse what a test is about to. */
static void quiet_khugepaged(void)
{
	write_file(THP_DIR "/enabled", "madvise");
	write_file(THP_DIR "/khugepaged/scan_sleep_millisecs", "4000000000");
	write_file(THP_DIR "/khugepaged/alloc_sleep_millisecs", "4000000000");
	write_file(THP_DIR "/khugepaged/pages_to_scan", "1");
}

/* x86 changes its clock, by stopping the whole machine, seconds after boot. */
static void settle_clock(void)
{
	const char *path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
	long until = seconds() + SETTLE_SECONDS;
	char name[64];

	while (strstr(read_line(path, name, sizeof(name)), "early") && seconds() < until)
		usleep(50000);
}

/* ------------------------------------------------------ kernel complaints */

/* A file of "ERE -- reason" lines, shared with scripts/judge. */
struct rules {
	int n;
	regex_t re[64];
};

static struct rules complaint_rules, exception_rules;

static void read_rules(struct rules *rules, const char *path)
{
	char line[512], *end;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		end = strstr(line, " -- ");
		if (line[0] == '#' || !end)
			continue;
		*end = '\0';
		if (rules->n == 64 || regcomp(&rules->re[rules->n], line,
					      REG_EXTENDED | REG_NOSUB)) {
			verdict("error: %s: cannot use rule: %s\n", path, line);
			broken = true;
			continue;
		}
		rules->n++;
	}
	if (f)
		fclose(f);
}

static bool matches(const struct rules *rules, const char *text)
{
	for (int i = 0; i < rules->n; i++)
		if (!regexec(&rules->re[i], text, 0, NULL, 0))
			return true;
	return false;
}

/* KUnit's own report goes on between and after the lines of a complaint. */
static bool is_ktap(const char *text)
{
	text += strspn(text, " ");
	return !strncmp(text, "ok ", 3) || !strncmp(text, "not ok ", 7) ||
	       !strncmp(text, "# ", 2) || !strncmp(text, "1..", 3) ||
	       !strncmp(text, "KTAP ", 5);
}

static void judge_kmsg_line(const char *text)
{
	static int following;

	if (matches(&complaint_rules, text) && !matches(&exception_rules, text)) {
		verdict("complaint: %s\n", text);
		complaints++;
		following = COMPLAINT_LINES;
	} else if (following && !is_ktap(text)) {
		verdict("complaint+: %s\n", text);
		following = strstr(text, "[ end trace") ? 0 : following - 1;
	}
}

static void open_kmsg(void)
{
	read_rules(&complaint_rules, "/etc/complaints.list");
	read_rules(&exception_rules, "/etc/complaints.except");
	if (!complaint_rules.n)
		verdict("error: no /etc/complaints.list in the initrd\n"), broken = true;
	kmsg_fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (kmsg_fd < 0)
		verdict("error: /dev/kmsg: %m\n"), broken = true;
}

static void read_kmsg(void)
{
	char record[8192], *text;
	ssize_t n;
	int suites;

	while (kmsg_fd >= 0) {
		n = read(kmsg_fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE) {
			verdict("complaint: kernel log was overwritten before it was read\n");
			complaints++;
			continue;
		}
		if (n <= 0)
			return;
		record[n] = '\0';
		text = strchr(record, ';');
		if (!text)
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (sscanf(text, ";1..%d", &suites) == 1)	/* KUnit's plan of a module */
			suites_planned += suites;
		judge_kmsg_line(text + 1);
	}
}

/* ------------------------------------------------------------------ tests */

static void swap_on(const char *device)
{
	if (swap_to(device))
		return;
	verdict("error: cannot swap to %s: %m\n", device);
	broken = true;
}

/* "MODULE.PARAM=VALUE ..." of the command line, without the "MODULE." */
static const char *module_params(const char *module)
{
	static char params[sizeof(cmdline)];
	size_t len = strlen(module);
	const char *p = cmdline;

	params[0] = '\0';
	for (; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (!strncmp(p, module, len) && p[len] == '.')
			strncat(params, p + len + 1, strcspn(p + len + 1, " ") + 1);
	return params;
}

static char *module_path(const char *module)
{
	static char path[300];

	snprintf(path, sizeof(path), "/lib/ptwalk/%s.ko", module);
	return path;
}

static bool load_module(const char *module)
{
	const char *path = misbehave("badmodule") ? "/init" : module_path(module);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, module_params(module), 0)) {
		verdict("load: %s %m\n", module);
		return false;
	}
	verdict("load: %s ok\n", module);
	close(fd);
	return true;
}

static bool run_program(const char *name, const char *path)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		dup2(verdict_fd, STDOUT_FILENO);
		execl(path, name, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	verdict("program: %s status=%d\n", name, WIFEXITED(status) ?
		WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return status == 0;
}

static int is_ours(const struct dirent *d)
{
	return !strncmp(d->d_name, "ptwalk_", 7);
}

/*
 * Suites that need a process of their own: each gets the glob of its cases and
 * writes KTAP.  PID 1 finds those that ran by their results.
 */
static void run_suites(void)
{
	char path[300], suite[256], *cases;
	struct dirent **programs;
	int n = scandir("/bin", &programs, is_ours, alphasort);

	snprintf(suite, sizeof(suite), "%s", option("ptwalk.filter", "*"));
	cases = strchr(suite, '.');
	if (cases)
		*cases++ = '\0';
	for (int i = 0; i < n; i++) {
		const char *name = programs[i]->d_name;

		if (fnmatch(suite, name, 0))
			continue;
		if (!fork()) {
			snprintf(path, sizeof(path), PROGRAM_RESULTS "/%s", name);
			if (!freopen(path, "w", stdout))
				_exit(127);
			snprintf(path, sizeof(path), "/bin/%s", name);
			execl(path, name, cases ?: "*", module_params(name), NULL);
			_exit(127);
		}
		wait(NULL);	/* what is missing in the results is seen there */
	}
}

/* The child: may get stuck in the kernel, so PID 1 stays out of here. */
static bool run_tests_here(void)
{
	const char *run = option("ptwalk.run", "kunit");
	bool has_program, has_suites = !strcmp(run, "kunit");
	char module[280], program[280];

	snprintf(module, sizeof(module), "ptwalk_%s", run);
	snprintf(program, sizeof(program), "/bin/%s", run);
	has_program = !access(program, X_OK);
	if (misbehave("stuck"))
		for (;;)
			pause();
	if (!strcmp(run, "none"))
		return true;
	if ((!has_program || !access(module_path(module), R_OK)) && !load_module(module))
		return false;
	if (has_suites && !load_module("ptwalk_pfn"))
		return false;
	if (has_suites)
		run_suites();
	return !has_program || run_program(run, program);
}

static bool may_hang(const char *name, char state)
{
	return strchr("DR", state) || strstr(name, "kunit") || strstr(name, "(init") ||
	       strstr(name, "(ptwalk_") || strstr(name, "(torture");
}

static void report_threads(const char *pid)
{
	char path[600], text[512], *state;
	struct dirent *d;
	FILE *stack;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	tasks = opendir(path);
	while (tasks && (d = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/%s/task/%s/stat", pid, d->d_name);
		state = strrchr(read_line(path, text, sizeof(text)), ')');
		if (!state || !may_hang(text, state[2]))
			continue;
		verdict("hang+: %.40s\n", text);
		snprintf(path, sizeof(path), "/proc/%s/task/%s/stack", pid, d->d_name);
		stack = fopen(path, "re");
		while (stack && fgets(text, sizeof(text), stack))
			verdict("hang+:   %s", text);
		if (stack)
			fclose(stack);
	}
	if (tasks)
		closedir(tasks);
}

/* Says what the tests, and all that runs or cannot be woken, are doing. */
static void report_hang(long timeout)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	verdict("hang: tests still running after %ld s (ptwalk.timeout)\n", timeout);
	broken = true;
	hung = true;
	while (proc && (d = readdir(proc)))
		if (atoi(d->d_name) > 1)
			report_threads(d->d_name);
}

static void run_tests(void)
{
	const char *filter = option("ptwalk.filter", NULL);
	long timeout = atol(option("ptwalk.timeout", "600"));
	int status = 0;
	pid_t pid;

	if (filter && !write_file("/sys/module/kunit/parameters/filter_glob", filter))
		verdict("error: cannot set kunit.filter_glob: %m\n"), broken = true;
	if (!strcmp(option("ptwalk.run", "kunit"), "kunit") && access(KUNIT_DIR, F_OK))
		verdict("error: no " KUNIT_DIR ": the kernel has no debugfs, or no CONFIG_KUNIT_DEBUGFS\n"), broken = true;
	if (option("ptwalk.swap", NULL))
		swap_on(option("ptwalk.swap", NULL));
	if (misbehave("warn"))
		write_file("/dev/kmsg", "WARNING: asked for by ptwalk.misbehave=warn\n");

	if (!access(module_path("tcg_int3"), R_OK))
		load_module("tcg_int3");
	pid = fork();
	if (!pid)
		_exit(!run_tests_here());
	while (pid > 0 && !waitpid(pid, &status, WNOHANG)) {
		read_kmsg();
		if (seconds() >= timeout)
			return report_hang(timeout);
		usleep(200000);	/* seldom: the tests count interrupts */
	}
	if (pid < 0 || status)
		broken = true;
}

static void count_result(const char *line)
{
	bool bad = !strncmp(line, "    not ok ", 11);

	if (!bad && strncmp(line, "    ok ", 7))
		return;
	tests++;
	failed += bad;
	skipped += !bad && strstr(line, " # SKIP");
}

static void copy_suite(const char *path)
{
	char line[1024];
	FILE *f;

	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (misbehave("short") && strstr(line, "ok 1 "))
			break;
		verdict("%s", line);
		count_result(line);
	}
	if (f)
		fclose(f);
}

static void copy_results(void)
{
	struct dirent **suites, **programs;
	int n = scandir(KUNIT_DIR, &suites, is_ours, alphasort);
	int m = scandir(PROGRAM_RESULTS, &programs, is_ours, alphasort);
	char path[600];

	read_kmsg();
	verdict("plan: suites=%d\n", suites_planned + (m > 0 ? m : 0));
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), KUNIT_DIR "/%s/results", suites[i]->d_name);
		copy_suite(path);
	}
	for (int i = 0; i < m; i++) {
		snprintf(path, sizeof(path), PROGRAM_RESULTS "/%s", programs[i]->d_name);
		copy_suite(path);
	}
}

/* ---------------------------------------------------------------- the end */

/* What a module left behind (a late callback, say) would now hit. */
static void unload_modules(void)
{
	struct dirent **modules;
	char path[600];
	int n = scandir("/sys/module", &modules, is_ours, alphasort);

	for (int i = 0; i < n; i++) {
		const char *name = modules[i]->d_name;

		snprintf(path, sizeof(path), "/sys/module/%s/initstate", name);
		if (strcmp(read_line(path, path, sizeof(path)), "live"))
			continue;
		if (!syscall(SYS_delete_module, name, O_NONBLOCK)) {
			verdict("unload: %s ok\n", name);
			continue;
		}
		verdict("unload: %s %m\n", name);
		broken = true;
	}
}

/*
 * The kernel looks at the counters of an address space ("Bad rss-counter state")
 * when nobody keeps it any more.  khugepaged keeps the one that it scanned last;
 * an idle CPU the one that it used last, until something else runs there.
 */
static void wake_khugepaged(void)
{
	const char *path = THP_DIR "/khugepaged/full_scans";
	char before[32], now[32];
	int tries = 10;

	read_line(path, before, sizeof(before));
	write_file(THP_DIR "/khugepaged/pages_to_scan", "100000");
	write_file(THP_DIR "/khugepaged/scan_sleep_millisecs", "10");
	while (tries-- && !strcmp(read_line(path, now, sizeof(now)), before))
		usleep(100000);
}

static void visit_cpus(void)
{
	cpu_set_t all, one;

	CPU_ZERO(&all);
	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CPU_SET(cpu, &all);
		sched_setaffinity(0, sizeof(one), &one);	/* not if it is offline */
	}
	sched_setaffinity(0, sizeof(all), &all);
}

/*
 * Page tables but those that the kernel took to split its direct mapping; it gives
 * them back when it collapses the mapping again.
 */
static long page_tables(void)
{
	long n = -1, splits = 0, value;
	char line[128], name[100];
	FILE *f;

	write_file("/proc/sys/vm/stat_refresh", "1");
	f = fopen("/proc/vmstat", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%99s %ld", name, &value) != 2)
			continue;
		if (!strcmp(name, "nr_page_table_pages"))
			n = value;
		if (fnmatch("direct_map_level?_splits", name, 0) == 0)
			splits += value;
		if (fnmatch("direct_map_level?_collapses", name, 0) == 0)
			splits -= value;
	}
	if (f)
		fclose(f);
	return counts_kernel_tables() ? n - splits : n;
}

/* Of processes that cannot be killed: the case that made them has failed. */
static long page_tables_in_use(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	char path[300];
	long kb = 0, n;

	while (proc && (d = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/status", d->d_name);
		n = atoi(d->d_name) > 1 ? number_in(path, "VmPTE") : 0;
		kb += n > 0 ? n : 0;
	}
	if (proc)
		closedir(proc);
	return kb * 1024 / sysconf(_SC_PAGESIZE);
}

static void check_leaks(void)
{
	long slack = counts_kernel_tables() ? KERNEL_SLACK : LEAK_SLACK;
	long until = seconds() + SETTLE_SECONDS;
	long after = page_tables() - page_tables_in_use();

	while (after > tables_before + slack && seconds() < until) {
		usleep(200000);
		after = page_tables() - page_tables_in_use();
	}
	verdict("vmstat: nr_page_table_pages before=%ld after=%ld\n",
		tables_before, after);
	if (after > tables_before + slack) {
		verdict("complaint: %ld pages of page tables leaked\n",
			after - tables_before);
		complaints++;
	}
}

/*
 * Where the kernel has kmemleak.  It leaves memory alone that is a few seconds
 * old, hence twice.  What fails the run is its line in the kernel log.
 */
static void scan_for_leaks(void)
{
	const char *path = "/sys/kernel/debug/kmemleak";
	char line[256];
	FILE *f;

	for (int i = 0; i < 2; i++) {
		if (!write_file(path, "scan"))
			return;
		sleep(SETTLE_SECONDS);
	}
	read_kmsg();
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		verdict("kmemleak: %s", line);
	if (f)
		fclose(f);
	verdict("kmemleak: scanned\n");
}

static void print_end(void)
{
	bool must_test = !strcmp(option("ptwalk.run", "kunit"), "kunit");
	bool ok = !broken && !failed && !complaints && (tests || !must_test);

	verdict("end: %s tests=%d failed=%d skipped=%d complaints=%d\n",
		ok ? "ok" : "fail", tests, failed, skipped, complaints);
}

/* Hash is booted with maxcpus=1 under -icount: scripts/arch/ppc64le.conf says why. */
static void start_cpus(void)
{
	char path[64];

	for (int cpu = 1; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
		write_file(path, "1");
	}
}

int main(void)
{
	mount_filesystems();
	open_verdict();
	start_cpus();
	print_canary();
	open_kmsg();
	quiet_khugepaged();
	settle_clock();
	tables_before = page_tables();
	run_tests();
	copy_results();
	if (!hung) {
		wake_khugepaged();
		visit_cpus();
		unload_modules();
		check_leaks();
		scan_for_leaks();
	}
	read_kmsg();
	print_end();
	restart();
}
