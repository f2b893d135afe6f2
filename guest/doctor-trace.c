// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of functions on other CPUs, by the tracepoint csd_queue_cpu, in an
 * instance of tracing: nobody else's settings or buffers change.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"
#include "file.h"

#define PREFIX		"ptwalk-doctor-"
#define SAMPLES		"32"	/* stacks a second, at most */

const char * const walker_functions[] = {
	"tlb_remove_table_smp_sync",	/* mm/mmu_gather.c: all CPUs */
	"do_serialize",			/* powerpc: those of the mm */
	NULL
};

const char * const tlb_functions[] = {
	"flush_tlb_func", "do_flush_tlb_all", "do_kernel_range_flush",	/* x86 */
	"do_tlbiel_pid", "do_tlbiel_va", "do_tlbiel_va_range",		/* radix */
	"do_tlbiel_kernel", "do_exit_flush_lazy_tlb",
	NULL
};

static const char *tracefs(void)
{
	static const char * const places[] = {
		"/sys/kernel/tracing", "/sys/kernel/debug/tracing",
	};
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s/instances", places[i]);
		if (!access(path, F_OK))
			return places[i];
	}
	/* Mounted for this process only. */
	if (!unshare(CLONE_NEWNS) && !mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		mount("tracefs", places[0], "tracefs", 0, NULL);
	snprintf(path, sizeof(path), "%s/instances", places[0]);
	return access(path, F_OK) ? NULL : places[0];
}

static bool set(struct stream *s, const char *file, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", s->dir, file);
	return write_file(path, text);
}

/* Instances of earlier runs that were killed */
static void remove_stale(const char *top)
{
	char path[512];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/instances", top);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, PREFIX, strlen(PREFIX)))
			continue;
		if (!kill(atoi(d->d_name + strlen(PREFIX)), 0) || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), "%s/instances/%s", top, d->d_name);
		rmdir(path);
	}
	if (dir)
		closedir(dir);
}

/* is_listed() - whether @name, up to a dot or a space, is one of @list */
static bool is_listed(const char *name, const char * const *list)
{
	size_t len = strcspn(name, " .\t\n");

	for (; *list; list++)
		if (strlen(*list) == len && !strncmp(name, *list, len))
			return true;
	return false;
}

/*
 * "func.function == NAME || ...", of those that this kernel has: the others would
 * make the filter an error.
 */
static void make_filter(struct stream *s)
{
	const char *seen[32] = { NULL };
	char line[256], name[128];
	size_t n = 0, len = 0;
	FILE *f = fopen("/proc/kallsyms", "re");

	s->filter[0] = '\0';
	while (f && n < ARRAY_SIZE(seen) - 1 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*c %127s", name) != 1 ||
		    !is_listed(name, s->functions) || is_listed(name, seen))
			continue;
		seen[n++] = strdup(name);
		len += snprintf(s->filter + len, sizeof(s->filter) - len,
				"%sfunc.function == %s", len ? " || " : "", name);
	}
	if (f)
		fclose(f);
}

#define EVENT	"events/csd/csd_queue_cpu/"

static void sample_stacks(struct stream *s)
{
	char text[sizeof(s->filter) + 64];

	s->rearmed = seconds_now();
	set(s, EVENT "trigger", "!stacktrace");
	snprintf(text, sizeof(text), "stacktrace:" SAMPLES " if %s", s->filter);
	set(s, EVENT "trigger", text);
}

bool stream_open(struct stream *s, const char *name, const char * const *functions,
		 bool stacks)
{
	const char *top;
	char path[512];

	memset(s, 0, sizeof(*s));
	s->fd = -1;
	s->functions = functions;
	if (geteuid())
		return missing("run it as root", "tracing needs root"), false;
	top = tracefs();
	if (!top)
		return missing("use a kernel with CONFIG_TRACING; in a container, run it on the host",
			       "there is no tracefs"), false;
	snprintf(path, sizeof(path), "%s/" EVENT, top);
	if (access(path, F_OK))
		return missing("use Linux 6.5 or newer, with CONFIG_TRACING",
			       "this kernel has no tracepoint csd:csd_queue_cpu"), false;
	remove_stale(top);
	make_filter(s);
	snprintf(s->dir, sizeof(s->dir), "%s/instances/" PREFIX "%d-%s", top, getpid(), name);
	if (mkdir(s->dir, 0700)) {
		missing(errno == EPERM || errno == EACCES ?
			"run it on the host, outside a container and without lockdown" : NULL,
			"%s: %s", s->dir, strerror(errno));
		return false;
	}
	set(s, "trace_clock", "mono");
	/*
	 * Names of processes that are gone need probes in the scheduler, where QEMU
	 * may run into a breakpoint that the kernel has removed again.
	 */
	if (emulated())
		set(s, "options/record-cmd", "0");
	if (s->filter[0])	/* else this kernel has none of them, or no kallsyms */
		set(s, EVENT "filter", s->filter);
	snprintf(path, sizeof(path), "%s/trace_pipe", s->dir);
	s->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (s->fd < 0 || !set(s, EVENT "enable", "1") || !set(s, "tracing_on", "1")) {
		missing(NULL, "%s: %s", s->dir, strerror(errno));
		stream_close(s);
		return false;
	}
	s->rearmed = -1;
	if (stacks && s->filter[0])
		sample_stacks(s);
	return true;
}

void stream_close(struct stream *s)
{
	if (!s->dir[0])
		return;
	set(s, EVENT "enable", "0");
	if (s->rearmed >= 0)
		set(s, EVENT "trigger", "!stacktrace");
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	if (rmdir(s->dir))
		missing("rmdir it", "%s: %s", s->dir, strerror(errno));
	s->dir[0] = '\0';
}

/* "   COMM-PID   [CPU] FLAGS TIME: event": a COMM may have spaces and dashes. */
static bool parse_task(char *line, struct call *c)
{
	char *cpu = NULL, *dash, *p;

	for (p = line; (p = strstr(p, " [")); p++)
		if (isdigit((unsigned char)p[2]) && strspn(p + 2, "0123456789") == strcspn(p + 2, "]"))
			cpu = p;
	if (!cpu)
		return false;
	*cpu = '\0';
	dash = strrchr(line, '-');
	if (!dash)
		return false;
	*dash = '\0';
	c->pid = atoi(dash + 1);
	snprintf(c->comm, sizeof(c->comm), "%.31s", line + strspn(line, " "));
	return true;
}

static void take_line(struct stream *s, void (*call)(const struct call *c),
		      void (*frame)(const struct call *c, const char *function))
{
	char *line = s->line, *event = strstr(line, ": csd_queue_cpu: cpu="), *p;
	struct call c;

	if (!strncmp(line, " => ", 4)) {
		if (s->in_stack && frame)
			frame(&s->stack_of, line + 4);
		return;
	}
	s->in_stack = false;
	p = strstr(line, " [LOST ");
	if (!event && p) {
		s->lost += atol(p + 7);
		return;
	}
	if (strstr(line, ": <stack trace>")) {
		s->in_stack = parse_task(line, &s->stack_of);
		return;
	}
	p = event ? strstr(event, " func=") : NULL;
	if (!p || !is_listed(p + 6, s->functions))
		return;
	c.cpu = atoi(event + strlen(": csd_queue_cpu: cpu="));
	*event = '\0';
	if (parse_task(line, &c))
		call(&c);
	else
		s->failed = true;
}

void stream_read(struct stream *s, int ms, void (*call)(const struct call *c),
		 void (*frame)(const struct call *c, const char *function))
{
	struct pollfd fd = { .fd = s->fd, .events = POLLIN };
	char buf[65536];
	ssize_t n;

	if (ms)
		poll(&fd, 1, ms);
	if (s->rearmed >= 0 && seconds_now() - s->rearmed > 1)
		sample_stacks(s);
	while ((n = read(s->fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] != '\n') {
				if (s->used < sizeof(s->line) - 1)
					s->line[s->used++] = buf[i];
				continue;
			}
			s->line[s->used] = '\0';
			s->used = 0;
			take_line(s, call, frame);
		}
	}
}
