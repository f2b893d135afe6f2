// SPDX-License-Identifier: GPL-2.0-only
/* See calls.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "file.h"

#define TRACING	"/sys/kernel/debug/tracing/"

bool calls_can_be_counted(void)
{
	static int works = -1;

	if (works < 0)
		works = write_file(TRACING "tracing_on", "0") &&
			write_file(TRACING "options/record-cmd", "0") &&
			write_file(TRACING "buffer_size_kb", "1024");
	return works;
}

bool calls_have_tlbie(void)
{
	return !access(TRACING "events/powerpc/tlbie", F_OK);
}

static bool set_events(const char *on)
{
	return write_file(TRACING "events/csd/csd_queue_cpu/enable", on) &&
	       (!calls_have_tlbie() || write_file(TRACING "events/powerpc/tlbie/enable", on));
}

/*
 * Without set_event_pid and record-cmd, which switch probes of the scheduler on: QEMU may
 * run into a breakpoint there that the kernel has removed again.
 */
static bool set_filters(const char *text)
{
	return write_file(TRACING "events/csd/csd_queue_cpu/filter", text) &&
	       (!calls_have_tlbie() || write_file(TRACING "events/powerpc/tlbie/filter", text));
}

bool calls_start(bool children)
{
	char own[32] = "0";

	if (!children)
		snprintf(own, sizeof(own), "common_pid == %d", getpid());
	write_file(TRACING "trace", "");
	return set_filters(own) && set_events("1") && write_file(TRACING "tracing_on", "1");
}

/* The hash MMU of v7.3 waits by a do_nothing(); its caller tells it from others. */
static bool is_hash_wait(const char *event)
{
	return strstr(event, " func=do_nothing ") &&
	       (strstr(event, " callsite=hash__pmdp_collapse_flush+") ||
		strstr(event, " callsite=serialize_against_pte_lookup+"));
}

static void count_call(struct calls *c, const char *event, bool the_one)
{
	static const char * const waits[] = {
		"tlb_remove_table_smp_sync", "do_serialize",
	};
	const char *func = strstr(event, " func=");
	size_t len;
	bool counted = is_hash_wait(event);

	if (!func)
		return;
	func += 6;
	len = strcspn(func, " .");
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		if (strlen(waits[i]) == len && !strncmp(func, waits[i], len))
			counted = true;
	c->walkers += counted;
	if (len == strlen("flush_tlb_func") && !strncmp(func, "flush_tlb_func", len)) {
		c->tlb++;
		counted = true;
	}
	c->one_cpu += counted && the_one;
}

static bool count_line(struct calls *c, const char *line, int cpu)
{
	const char *event = strstr(line, " csd_queue_cpu: cpu=");

	if (event) {
		count_call(c, event, atoi(strchr(event, '=') + 1) == cpu);
	} else if (strstr(line, " tlbie: ") && strstr(line, "local=0,")) {
		c->tlbie++;
	}
	return !strstr(line, " LOST ") && !strstr(line, "EVENTS LOST");
}

bool calls_stop(struct calls *calls, int cpu)
{
	bool complete = true;
	char line[512];
	FILE *f;

	write_file(TRACING "tracing_on", "0");
	memset(calls, 0, sizeof(*calls));
	f = set_events("0") ? fopen(TRACING "trace", "re") : NULL;
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		complete &= count_line(calls, line, cpu);
	fclose(f);
	set_filters("0");
	if (!complete)
		errno = ENOBUFS;
	return complete;
}
