// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptwalk-doctor: is this machine hurt by kernels that wait for lockless page-table
 * walkers, or that keep empty page tables?  Needs nothing but a kernel from 6.5 on,
 * patched or not.  "ptwalk-doctor --help" has the rest.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "doctor.h"
#include "file.h"

bool json;
volatile sig_atomic_t interrupted;

static const char help[] =
"usage: ptwalk-doctor who [SECONDS]        which processes interrupt CPUs (default: 10 s)\n"
"       ptwalk-doctor waste [PID...]       how much memory empty page tables take\n"
"       ptwalk-doctor bench [REPEATS]      what calls cost the caller and other CPUs\n"
"       ptwalk-doctor compare BEFORE AFTER compares two files of \"bench --json\"\n"
"       --json                             JSON instead of text (not for compare)\n"
"\n"
"who    counts the CPUs that the kernel interrupts to wait until no CPU walks\n"
"       page tables without a lock (GUP-fast, for instance), by process and\n"
"       cause, and those that it interrupts to flush their TLBs.  It shows isolated\n"
"       CPUs (isolcpus=, nohz_full=, cpuset partitions) separately.  Needs root.\n"
"waste  compares VmPTE of each process, or of those given, with the tables that\n"
"       its pages need.  Needs root for processes of other users.  Leaves out\n"
"       those with more than 64 MB of page tables, unless they are given, because\n"
"       reading smaps holds their mmap_lock.\n"
"bench  times collapse, munmap, MADV_DONTNEED and unsharing of hugetlb tables,\n"
"       and how long they delay a spinning CPU.  Run it on both kernels.  As root\n"
"       it also counts interrupts.  On an emulated machine (QEMU's TCG)\n"
"       it only counts.  The kernel interrupts all CPUs some hundred times.\n"
"\n"
"Ctrl-C ends a command early and prints the results so far.  who and\n"
"bench trace in instances of their own, which they remove at the end.\n"
"Exit status: 0, 1 if something is missing, 2 for wrong usage.\n";

int missing(const char *cure, const char *fmt, ...)
{
	va_list ap;

	progress("%s", "");
	fputs("ptwalk-doctor: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (cure)
		fprintf(stderr, "ptwalk-doctor: cure: %s\n", cure);
	return 1;
}

void progress(const char *fmt, ...)
{
	static double shown;
	va_list ap;

	if (!isatty(STDERR_FILENO) || (strcmp(fmt, "%s") && seconds_now() - shown < 0.2))
		return;
	shown = seconds_now();
	fputs("\r\033[K", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
}

const char *quoted(const char *s)
{
	static char buf[512];
	size_t n = 0;

	buf[n++] = '"';
	for (; *s && n < sizeof(buf) - 8; s++)
		if (*s == '"' || *s == '\\' || (unsigned char)*s < ' ' || *s & 0x80)
			n += sprintf(buf + n, "\\u%04x", (unsigned char)*s);
		else
			buf[n++] = *s;
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}

const char *printable(const char *s)
{
	static char buf[64];
	size_t n = 0;

	for (; *s && n < sizeof(buf) - 1; s++)
		buf[n++] = isprint((unsigned char)*s) ? *s : '?';
	buf[n] = '\0';
	return buf;
}

double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

#ifndef __x86_64__
static bool file_says(const char *path, const char *text)
{
	char buf[512];
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(buf, 1, sizeof(buf), f) : 0;

	if (f)
		fclose(f);
	return n && memmem(buf, n, text, strlen(text));
}
#endif

const char *emulated(void)
{
#ifdef __x86_64__
	uint32_t a, b, c, d, id[3];

	__cpuid(1, a, b, c, d);
	if (!(c & (1U << 31)))
		return NULL;
	__cpuid(0x40000000, a, id[0], id[1], id[2]);
	return memcmp(id, "TCGTCGTCGTCG", 12) ? NULL : "QEMU's TCG";
#elif defined(__powerpc64__)
	/* KVM puts itself into the device tree of a guest. */
	if (file_says("/proc/device-tree/hypervisor/compatible", "kvm"))
		return NULL;
	if (file_says("/proc/device-tree/model", "qemu") ||
	    file_says("/proc/device-tree/compatible", "qemu"))
		return "QEMU's TCG";
	return NULL;
#else
	char path[64];

	if (!file_says("/proc/device-tree/compatible", "dummy-virt") &&
	    !file_says("/sys/class/dmi/id/sys_vendor", "QEMU"))
		return NULL;
	/* Only KVM has this clock; nothing else tells it from TCG. */
	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/sys/class/ptp/ptp%d/clock_name", i);
		if (file_says(path, "KVM"))
			return NULL;
	}
	return "QEMU, unless this is KVM: modprobe ptp_kvm, then run this again";
#endif
}

void print_machine(void)
{
	const char *emulator = emulated();
	struct utsname u;

	uname(&u);
	printf("  \"kernel\": %s,\n", quoted(u.release));
	printf("  \"machine\": %s,\n", quoted(u.machine));
	printf("  \"cpus\": %ld,\n  \"emulated\": %s,\n  \"interrupted\": %s,\n",
	       sysconf(_SC_NPROCESSORS_ONLN), emulator ? "true" : "false",
	       interrupted ? "true" : "false");
}

static void on_signal(int sig)
{
	(void)sig;
	interrupted++;	/* Twice: do not even read what was recorded. */
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "who", who }, { "waste", waste }, { "bench", bench },
		{ "compare", compare },
	};
	/* No SA_RESTART: what waits shall end. */
	struct sigaction sa = { .sa_handler = on_signal };
	int n = 1, rc;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			json = true;
		} else if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			fputs(help, stdout);
			return 0;
		} else {
			argv[n++] = argv[i];
		}
	}
	argv[n] = NULL;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGQUIT, &sa, NULL);
	for (size_t i = 0; n > 1 && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name)) {
			rc = commands[i].run(n - 2, argv + 2);
			return fflush(stdout) || ferror(stdout) ?
			       missing("free space where the output goes", "cannot write: %s",
				       strerror(errno)) : rc;
		}
	fputs(help, stderr);
	return 2;
}
