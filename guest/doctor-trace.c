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
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"
#include "file.h"

#define PREFIX		"ptwalk-doctor-"
#define REPORT_IT	"send this message and \"uname -r\" to the authors"
#define SAMPLES		"32"	/* stacks a second, at most */
#define DRAIN_SECONDS	10	/* to read what is left when nothing is recorded any more */

const char * const walker_functions[] = {
	"tlb_remove_table_smp_sync",	/* mm/mmu_gather.c: all CPUs */
	"do_serialize", "do_nothing",	/* the hash MMU of powerpc: those of the mm */
	NULL
};

const char * const tlb_functions[] = {
	"flush_tlb_func", "do_flush_tlb_all", "do_kernel_range_flush",	/* x86 */
	"do_tlbiel_pid", "do_tlbiel_va", "do_tlbiel_va_range",		/* radix */
	"do_tlbiel_kernel", "do_exit_flush_lazy_tlb",
	NULL
};

/*
 * The only ones that call do_nothing() to wait for walkers.  The kernel has other
 * functions of that name.  Who is named depends on inlining.
 */
static const char * const nothing_callers[] = {
	"hash__pmdp_collapse_flush", "serialize_against_pte_lookup",
	"smp_call_function_many", NULL
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

static const char *cure_of(int err)
{
	switch (err) {
	case EPERM:
	case EACCES:
		return "run it on the host, outside a container and without lockdown; SELinux may refuse, too";
	case EROFS:
		return "run it on the host, or mount tracefs so that it can be written";
	case ENOMEM:
		return "free some memory, then run it again";
	case EEXIST:
	case EBUSY:
		return "end the program that uses this directory, then rmdir it";
	}
	return "look for the reason in dmesg";
}

/* Instances of earlier runs that were killed */
static void remove_stale(const char *top)
{
	static bool done;
	char path[512];
	struct dirent *d;
	DIR *dir;

	if (done)
		return;
	done = true;
	snprintf(path, sizeof(path), "%s/instances", top);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, PREFIX, strlen(PREFIX)))
			continue;
		if (!kill(atoi(d->d_name + strlen(PREFIX)), 0) || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), "%s/instances/%s", top, d->d_name);
		if (rmdir(path) && errno != ENOENT)
			missing(cure_of(errno), "%s, of a doctor that was killed: %s", path,
				strerror(errno));
	}
	if (dir)
		closedir(dir);
}

/* is_listed() - whether @name, up to a dot, a space or an offset, is one of @list */
static bool is_listed(const char *name, const char * const *list)
{
	size_t len = strcspn(name, " .+\t\n");

	for (; *list; list++)
		if (strlen(*list) == len && !strncmp(name, *list, len))
			return true;
	return false;
}

/* The number behind that of the second CPU: below it are two CPUs. */
static int behind_two_cpus(void)
{
	int first = 0, second = 1;
	char sign = '\0';
	FILE *f = fopen("/sys/devices/system/cpu/online", "re");

	/* "0-7", or "0,8" */
	if (f && fscanf(f, "%d%c%d", &first, &sign, &second) == 3 && sign == '-')
		second = first + 1;
	if (f)
		fclose(f);
	return second + 1;
}

__attribute__((format(printf, 3, 4)))
static void append(char *text, size_t size, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, size - len, fmt, ap);
	va_end(ap);
}

/*
 * "func.function == NAME || ...", of those that this kernel has: the others would
 * make the filter an error.  A name stands for the first function that has it;
 * do_nothing() is in several files, so its addresses are used.
 *
 * Of a broadcast only the first CPUs are sampled, else one would take all stacks.
 */
static bool make_filter(struct stream *s)
{
	char line[512], name[256], nothing[512] = "";
	bool serialize = false, hidden = false;
	int names = 0, cpus = behind_two_cpus();
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long addr;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx %*c %255s", &addr, name) != 2)
			continue;
		names++;
		if (!is_listed(name, s->functions))
			continue;
		if (!strncmp(name, "do_nothing", 10)) {
			append(nothing, sizeof(nothing), "%sfunc.function == %#lx",
			       nothing[0] ? " || " : "", addr);
			hidden |= !addr;
			continue;
		}
		serialize |= !strncmp(name, "do_serialize", 12);
		append(s->filter, sizeof(s->filter), "%sfunc.function == %s",
		       s->filter[0] ? " || " : "", name);
		append(s->sampled, sizeof(s->sampled),
		       strncmp(name, "tlb_remove_table_smp_sync", 25) ?
		       "%sfunc.function == %s" : "%s(func.function == %s && cpu < %d)",
		       s->sampled[0] ? " || " : "", name, cpus);
	}
	if (f)
		fclose(f);
	if (!names)
		return missing("use a kernel with CONFIG_KALLSYMS; in a container, run it on the host",
			       "/proc/kallsyms names no functions, so calls cannot be told apart"), false;
	/* Linux with do_serialize() calls do_nothing() for other things only. */
	if (!nothing[0] || serialize || !cpuinfo_says("MMU", "hash"))
		return true;
	if (hidden)
		return missing("sysctl kernel.kptr_restrict=1",
			       "/proc/kallsyms hides addresses, so calls cannot be told apart"), false;
	append(s->filter, sizeof(s->filter), "%s%s", s->filter[0] ? " || " : "", nothing);
	append(s->sampled, sizeof(s->sampled), "%s%s", s->sampled[0] ? " || " : "", nothing);
	return true;
}

/*
 * How the lines must look.  record-tgid is left alone: it is the same for all instances.
 */
static const char * const options[] = {
	"context-info", "irq-info", "overwrite", "noraw", "nohex", "nobin", "nofields",
	"noverbose", "nolatency-format", "noblock", "nostacktrace", "nouserstacktrace",
};

#define EVENT	"events/csd/csd_queue_cpu/"

static void sample_stacks(struct stream *s)
{
	char text[sizeof(s->sampled) + 64];

	s->rearmed = seconds_now();
	s->sampling = false;
	set(s, EVENT "trigger", "!stacktrace");
	snprintf(text, sizeof(text), "stacktrace:" SAMPLES " if %s", s->sampled);
	set(s, EVENT "trigger", text);
}

/* Other ones count pids in another way than tracing does. */
static bool in_first_pid_namespace(void)
{
	char link[64] = "";

	return readlink("/proc/self/ns/pid", link, sizeof(link) - 1) < 0 ||
	       !strcmp(link, "pid:[4026531836]");
}

bool stream_open(struct stream *s, const char *name, const char * const *functions,
		 bool stacks)
{
	const char *top;
	char path[512];
	int err;

	memset(s, 0, sizeof(*s));
	s->fd = -1;
	s->rearmed = -1;
	s->functions = functions;
	if (geteuid())
		return missing("run it as root", "tracing needs root"), false;
	if (!in_first_pid_namespace())
		return missing("run it in the host's pid namespace, for instance with --pid=host",
			       "tracing has the host's pids, which differ from those here"), false;
	top = tracefs();
	if (!top)
		return missing("use a kernel with CONFIG_FTRACE; in a container, run it on the host",
			       "there is no tracefs"), false;
	snprintf(path, sizeof(path), "%s/" EVENT, top);
	if (access(path, F_OK))
		return missing("use Linux 6.5 or newer, with CONFIG_FTRACE",
			       "this kernel has no tracepoint csd:csd_queue_cpu"), false;
	remove_stale(top);
	if (!make_filter(s))
		return false;
	if (!s->filter[0])	/* This kernel has none of them: nothing to record. */
		return true;
	snprintf(s->dir, sizeof(s->dir), "%s/instances/" PREFIX "%d-%s", top, getpid(), name);
	rmdir(s->dir);		/* of an earlier process with this pid */
	if (mkdir(s->dir, 0700)) {
		missing(cure_of(errno), "%s: %s", s->dir, strerror(errno));
		s->dir[0] = '\0';
		return false;
	}
	set(s, "trace_clock", "mono");
	/* An instance begins with the options of the top one; some kernels lack some. */
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		set(s, "trace_options", options[i]);
	if (!set(s, EVENT "filter", s->filter)) {
		err = errno;
		stream_close(s);	/* before anything is written to a pipe */
		missing(err == EINVAL ? REPORT_IT : cure_of(err),
			"the kernel refuses \"%s\": %s", s->filter, strerror(err));
		return false;
	}
	snprintf(path, sizeof(path), "%s/trace_pipe", s->dir);
	s->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (s->fd < 0 || !stream_record(s, false) || !set(s, EVENT "enable", "1")) {
		err = errno;
		*strrchr(path, '/') = '\0';
		stream_close(s);
		missing(cure_of(err), "%s: %s", path, strerror(err));
		return false;
	}
	if (stacks)
		s->rearmed = 0;
	return true;
}

bool stream_record(struct stream *s, bool on)
{
	if (s->dir[0] && !set(s, "tracing_on", on ? "1" : "0"))
		return false;
	s->recording = on;
	/* Not before: the trigger counts down while nothing is recorded, too. */
	if (on && s->dir[0] && s->rearmed >= 0)
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
		missing(cure_of(errno), "%s: %s", s->dir, strerror(errno));
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
	/* "(TGID)" or "(-------)", with options/record-tgid */
	p = cpu > line && cpu[-1] == ')' ? strrchr(line, '(') : NULL;
	if (p)
		*p = '\0';
	dash = strrchr(line, '-');
	if (!dash)
		return false;
	*dash = '\0';
	c->pid = atoi(dash + 1);
	snprintf(c->comm, sizeof(c->comm), "%.31s", line + strspn(line, " "));
	return true;
}

/* Whether the call is one of those that count */
static bool counts(const struct stream *s, const char *event)
{
	const char *func = strstr(event, " func="), *site = strstr(event, " callsite=");

	if (!func || !site || !is_listed(func + 6, s->functions))
		return false;
	return strncmp(func + 6, "do_nothing", 10) || is_listed(site + 10, nothing_callers);
}

static void take_line(struct stream *s, void (*call)(const struct call *c),
		      void (*frame)(const struct call *c, const char *function, bool first))
{
	char *line = s->line, *event = strstr(line, ": csd_queue_cpu: cpu="), *p;
	struct call c;

	if (!event && !strncmp(line, " => ", 4)) {
		if (s->in_stack && frame)
			frame(&s->stack_of, line + 4, s->stack_begins);
		s->stack_begins = false;
		return;
	}
	s->in_stack = false;
	/* "CPU:3 [LOST 12 EVENTS]", or without a number */
	p = strstr(line, " [LOST ");
	if (!event && p && !strncmp(line, "CPU:", 4)) {
		s->lost += atol(p + 7) > 0 ? atol(p + 7) : 1;
		return;
	}
	if (!event && strstr(line, ": <stack trace>")) {
		s->sampling = true;
		s->in_stack = s->stack_begins = parse_task(line, &s->stack_of);
		return;
	}
	if (!event || !counts(s, event))
		return;
	c.cpu = atoi(event + strlen(": csd_queue_cpu: cpu="));
	*event = '\0';
	if (parse_task(line, &c))
		call(&c);
	else
		s->failed = true;
}

bool stream_read(struct stream *s, int ms, void (*call)(const struct call *c),
		 void (*frame)(const struct call *c, const char *function, bool first))
{
	struct pollfd fd = { .fd = s->fd, .events = POLLIN };
	double end;
	char buf[65536];
	ssize_t n = s->fd >= 0;	/* There may be something. */

	if (ms)
		poll(&fd, 1, ms);
	end = seconds_now() + (s->recording ? 0.1 : DRAIN_SECONDS);
	/* No stack is sampled while it is renewed: renew it only if some were used. */
	if (s->recording && s->rearmed >= 0 && (s->sampling || s->lost) &&
	    seconds_now() - s->rearmed > 1)
		sample_stacks(s);
	while (seconds_now() < end && (s->recording ? !interrupted : interrupted < 2) &&
	       (n = read(s->fd, buf, sizeof(buf))) > 0) {
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
	s->unread = !s->recording && n > 0;
	return n > 0;
}

int stream_result(bool failed)
{
	return failed ? missing(REPORT_IT, "tracing printed lines of another form") : 0;
}
