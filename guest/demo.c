// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of "make demo": lets ptwalk-doctor watch a kernel of somebody else's while a
 * child does what large processes do, prints that as lines that begin with
 * "demo: ", and restarts the machine, which ends QEMU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "mm.h"

#define DOCTOR	"/bin/ptwalk-doctor"
#define AREA	((char *)(1UL << 42))

enum {
	COLLAPSES = 8,
	TABLES = 4096,		/* of 2 MB each, or what has so many bytes: 8 GB */
};

#define SPAN	(2UL << 20)
#define TRACING	"/sys/kernel/tracing"
#define THP	"/sys/kernel/mm/transparent_hugepage/"

static char output[65536];

static pid_t start(const char *a, const char *b, const char *c)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	fd = open("/tmp/out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	dup2(fd, 1);
	dup2(fd, 2);
	execl(DOCTOR, "ptwalk-doctor", a, b, c, NULL);
	_exit(127);
}

static void finish(pid_t pid)
{
	ssize_t n;
	int fd;

	waitpid(pid, NULL, 0);
	fd = open("/tmp/out", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, output, sizeof(output) - 1);
	output[n > 0 ? n : 0] = '\0';
	close(fd);
}

static long number(const char *after, const char *key)
{
	char text[64];
	const char *p = strstr(output, after);

	snprintf(text, sizeof(text), "\"%s\": ", key);
	p = p ? strstr(p, text) : NULL;
	return p ? atol(p + strlen(text)) : -1;
}

static bool map(size_t len, int advice)
{
	if (mmap(AREA, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_NORESERVE | MAP_FIXED, -1, 0) != AREA)
		return false;
	madvise(AREA, len, advice);
	return true;
}

static int collapse(void)
{
	size_t huge = thp_size(), page = sysconf(_SC_PAGESIZE);
	int done = 0;

	for (int i = 0; huge && i < COLLAPSES; i++) {
		if (!map(huge, MADV_NOHUGEPAGE))
			break;
		for (size_t at = 0; at < huge; at += page)
			AREA[at] = 1;
		madvise(AREA, huge, MADV_HUGEPAGE);
		done += !madvise(AREA, huge, MADV_COLLAPSE);
		munmap(AREA, huge);
	}
	return done;
}

static bool is_watching(pid_t pid)
{
	char path[160];

	snprintf(path, sizeof(path), TRACING "/instances/ptwalk-doctor-%d-tlb/events/csd/csd_queue_cpu/enable", pid);
	return number_in(path, "") == 1;
}

static void demo_collapse(void)
{
	int done;
	pid_t pid;

	pid = start("who", "60", "--json");
	while (!waitpid(pid, NULL, WNOHANG) && !is_watching(pid))
		usleep(10000);
	done = collapse();
	usleep(500000);
	kill(pid, SIGINT);
	finish(pid);
	if (!strstr(output, "\"tool\"")) {
		printf("demo: %s", output);
		return;
	}
	/* By whomever: khugepaged may be faster. */
	printf("demo: collapse %d %ld\n", done, number("\"walkers\": {", "cpus"));
}

/* Touches and gives back memory, @step bytes a call, then waits to be looked at. */
static void demo_waste(const char *what, size_t step)
{
	int fds[2];
	char c, pid[16];
	pid_t child;

	if (pipe(fds))
		return;
	child = fork();
	if (!child) {
		if (!map(TABLES * SPAN, MADV_NOHUGEPAGE))
			_exit(1);
		for (size_t at = 0; at < TABLES * SPAN; at += SPAN)
			AREA[at] = 1;
		for (size_t at = 0; at < TABLES * SPAN; at += step)
			madvise(AREA + at, step, MADV_DONTNEED);
		if (write(fds[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	if (read(fds[0], &c, 1) == 1) {
		snprintf(pid, sizeof(pid), "%d", child);
		finish(start("waste", pid, "--json"));
		printf("demo: %s %ld %ld\n", what, number("", "vmpte_kb"), number("", "empty_kb"));
	}
	close(fds[0]);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(void)
{
	struct utsname u;
	int fd;

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("tmp", "/tmp", "tmpfs", 0, NULL);
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	fd = open("/dev/console", O_RDWR);	/* the ram disk has none */
	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	setvbuf(stdout, NULL, _IOLBF, 0);
	write_file(THP "khugepaged/scan_sleep_millisecs", "4000000000");
	uname(&u);
	printf("\ndemo: kernel %s %s %ld %s\n", u.release, u.machine,
	       sysconf(_SC_NPROCESSORS_ONLN), cpuinfo_says("MMU", "hash") ? "hash" :
	       cpuinfo_says("MMU", "radix") ? "radix" : "-");
	demo_collapse();
	demo_waste("whole", SPAN);
	demo_waste("pieces", SPAN / 4);
	printf("demo: end\n");
	fflush(stdout);
	sleep(1);
	reboot(RB_AUTOBOOT);
	return 0;
}
