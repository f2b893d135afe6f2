// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the kernel's own selftests/mm, as run_vmtests.sh would if there were a
 * shell: /lib/ptwalk/selftests.list says which (see scripts/selftests.list), their
 * programs are beside it.  Writes, for scripts/lib/selftests.awk:
 *
 *	selftest: NAME run COMMAND
 *	selftest: NAME | a line that it printed
 *	selftest: NAME end exit 0, signal 11, or limit 60 (s)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "suite.h"

#define FOLDER		"/lib/ptwalk"
#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"

enum {
	MAX_ARGS	= 16,
	MAX_SYSCTLS	= 4,
	HUGE_KB		= 256 * 1024,	/* what the tests of hugetlb ask for */
};

struct sysctl {
	char path[128];
	char old[64];
};

/* ---------------------------------------------------------- preparations */

/* A test that left huge pages behind, or took some away, must not fail the next. */
static void prepare_memory(const char *name)
{
	long size = number_in("/proc/meminfo", "Hugepagesize");
	long want = size > 0 ? HUGE_KB / size : 0, free_pages;
	char text[32];

	write_file("/proc/sys/vm/drop_caches", "3");
	write_file("/proc/sys/vm/compact_memory", "1");
	snprintf(text, sizeof(text), "%ld", want);
	write_file(NR_HUGEPAGES, text);
	free_pages = number_in("/proc/meminfo", "HugePages_Free");
	if (free_pages != want)
		printf("selftest: %s | # free huge pages: %ld of %ld\n", name, free_pages, want);
}

/* "vm.x=1,vm.y=2": sets them.  Returns how many, with what they were in @saved. */
static int set_sysctls(char *list, struct sysctl *saved)
{
	char *one, *value;
	int n = 0;

	for (one = strtok(list, ","); one && n < MAX_SYSCTLS; one = strtok(NULL, ",")) {
		FILE *f;

		value = strchr(one, '=');
		if (!value)
			continue;
		*value++ = '\0';
		for (char *p = one; *p; p++)
			*p = *p == '.' ? '/' : *p;
		snprintf(saved[n].path, sizeof(saved[n].path), "/proc/sys/%s", one);
		saved[n].old[0] = '\0';
		f = fopen(saved[n].path, "re");
		if (!f || !fgets(saved[n].old, sizeof(saved[n].old), f) ||
		    !write_file(saved[n].path, value))
			printf("error: selftests: cannot set %s: %m\n", saved[n].path);
		if (f)
			fclose(f);
		n++;
	}
	return n;
}

/* -------------------------------------------------------------- one test */

static void start(char **argv, int output)
{
	int null = open("/dev/null", O_RDONLY);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execv(argv[0], argv);
	printf("cannot run %s: %m\n", argv[0]);
	fflush(stdout);
	_exit(127);
}

/* Whole lines; of one that is written again and again ("\r") the last. */
static void copy_output(const char *name, int fd)
{
	static char line[512];
	static size_t len;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n; p++) {
			if (*p == '\n') {
				printf("selftest: %s | %.*s\n", name, (int)len, line);
				len = 0;
			} else if (*p == '\r') {
				len = 0;
			} else if (len < sizeof(line)) {
				line[len++] = *p;
			}
		}
	}
	if (n == 0 && len) {
		printf("selftest: %s | %.*s\n", name, (int)len, line);
		len = 0;
	}
}

/*
 * Ends all that the test has started, also what left its session: orphans become
 * our children.  Without writers the pipe then comes to its end.
 */
static void end_group(pid_t group)
{
	char path[64];
	long pid;

	kill(-group, SIGKILL);
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	for (;;) {
		FILE *f = fopen(path, "re");

		if (f && fscanf(f, "%ld", &pid) == 1)
			kill(pid, SIGKILL);
		if (f)
			fclose(f);
		if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
			return;
	}
}

/* Where a test that ran out of time is, of each of its threads. */
static void print_stacks(const char *name, pid_t pid)
{
	char path[300], line[256];
	struct dirent *d;
	DIR *tasks;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (d = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stack", pid, d->d_name);
		f = *d->d_name == '.' ? NULL : fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			printf("selftest: %s | # %s %s", name, d->d_name, line);
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
}

static void run(const char *name, int limit, char **argv)
{
	double until = now() + limit;
	int status = 0, fds[2];
	struct pollfd pfd;
	pid_t pid, ended;

	if (pipe2(fds, O_CLOEXEC)) {
		printf("error: selftests: %s: pipe: %m\n", name);
		return;
	}
	pid = fork();
	if (!pid)
		start(argv, fds[1]);
	close(fds[1]);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	pfd = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	do {
		poll(&pfd, 1, 100);
		copy_output(name, fds[0]);
		ended = waitpid(pid, &status, WNOHANG);
	} while (!ended && now() < until);
	if (!ended)
		print_stacks(name, pid);
	end_group(pid);
	copy_output(name, fds[0]);
	close(fds[0]);
	if (!ended)
		printf("selftest: %s end limit %d\n", name, limit);
	else if (WIFSIGNALED(status))
		printf("selftest: %s end signal %d\n", name, WTERMSIG(status));
	else
		printf("selftest: %s end exit %d\n", name, WEXITSTATUS(status));
	printf("# %s took %.0f s\n", name, now() - until + limit);
}

/* "NAME SECONDS SYSCTLS COMMAND..." */
static void run_line(char *line)
{
	struct sysctl saved[MAX_SYSCTLS];
	char *argv[MAX_ARGS + 1], *name, *limit, *sysctls;
	int n = 0;

	name = strtok(line, " \t\n");
	if (!name || *name == '#')
		return;
	limit = strtok(NULL, " \t\n");
	sysctls = strtok(NULL, " \t\n");
	while (n < MAX_ARGS && (argv[n] = strtok(NULL, " \t\n")))
		n++;
	argv[n] = NULL;
	if (!n) {
		printf("error: selftests: no command for %s\n", name);
		return;
	}
	printf("selftest: %s run", name);
	for (int i = 0; i < n; i++)
		printf(" %s", argv[i]);
	printf("\n");
	prepare_memory(name);
	n = set_sysctls(sysctls, saved);
	run(name, atoi(limit), argv);
	while (n--)
		write_file(saved[n].path, saved[n].old);
}

int main(void)
{
	char line[512];
	FILE *list;

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Some look for themselves in the current folder. */
	list = chdir(FOLDER) ? NULL : fopen("selftests.list", "re");
	if (!list) {
		printf("error: selftests: " FOLDER "/selftests.list: %m\n");
		return 1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_file("/proc/sys/vm/unprivileged_userfaultfd", "1");
	/* khugepaged wants a tmpfs that has huge pages for who asks for them. */
	mkdir("/tmp/thp", 0755);
	if (mount("thp", "/tmp/thp", "tmpfs", 0, "huge=advise"))
		printf("error: selftests: no tmpfs with huge pages: %m\n");
	while (fgets(line, sizeof(line), list))
		run_line(line);
	write_file(NR_HUGEPAGES, "0");
	return 0;
}
