/* SPDX-License-Identifier: GPL-2.0-only */
/* What the subcommands of ptwalk-doctor share. */
#ifndef GUEST_DOCTOR_H
#define GUEST_DOCTOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_CPUS	8192

extern bool json;		/* --json */
extern volatile sig_atomic_t interrupted;	/* Ctrl-C was pressed: print what there is */

int who(int argc, char **argv);
int waste(int argc, char **argv);
int bench(int argc, char **argv);
int compare(int argc, char **argv);

/**
 * missing() - say what is missing, and how to get it
 * @cure: what to do; NULL if nothing helps
 * @fmt: what is missing, for printf()
 *
 * Return: 1, the exit status for that.
 */
__attribute__((format(printf, 2, 3)))
int missing(const char *cure, const char *fmt, ...);

/**
 * progress() - replace the progress line, on a terminal only
 * @fmt: the line, for printf(); an empty one removes it
 */
__attribute__((format(printf, 1, 2)))
void progress(const char *fmt, ...);

/**
 * quoted() - a string as JSON has it
 * @s: the string
 *
 * Return: with quotes, in a buffer that the next call overwrites.
 */
const char *quoted(const char *s);

/**
 * printable() - a string for a terminal
 * @s: the string
 *
 * Return: with '?' for bytes that are not printable, in a buffer that the next
 *	call overwrites.
 */
const char *printable(const char *s);

/**
 * print_machine() - the members "kernel", "machine", "cpus", "emulated" of JSON
 */
void print_machine(void);

/**
 * emulated() - whether this machine is emulated, so that its clock is not real
 *
 * Return: the emulator; NULL if it is none that is known.
 */
const char *emulated(void);

double seconds_now(void);

/* ------------------------------------------------ tracing, in doctor-trace.c */

/**
 * struct call - a CPU that was told to run a function, from csd_queue_cpu
 * @pid: of the thread that told it
 * @comm: of that thread
 * @cpu: the CPU
 */
struct call {
	int pid, cpu;
	char comm[32];
};

/**
 * struct stream - calls of some functions, through an instance of tracing of its own
 * @functions: those that count
 * @lost: calls that are not counted because the buffer was full
 * @unread: the rest of the buffer was not read
 * @failed: tracing did not give what it has to
 */
struct stream {
	char dir[256], line[1024], filter[2048], sampled[2048];
	const char * const *functions;
	size_t used;
	int fd;
	long lost;
	bool failed, recording, sampling, in_stack, stack_begins, unread;
	double rearmed;
	struct call stack_of;
};

/* To wait for page-table walkers, and to flush TLBs */
extern const char * const walker_functions[], * const tlb_functions[];

/**
 * stream_open() - prepare to record calls
 * @s: the stream
 * @name: of it
 * @functions: those that count, NULL behind the last one
 * @stacks: sample where they are called, too
 *
 * A kernel that has none of the functions is not traced: it calls none.
 *
 * Return: true if stream_record() may follow; otherwise missing() was called.
 */
bool stream_open(struct stream *s, const char *name, const char * const *functions,
		 bool stacks);

/**
 * stream_record() - record from now on, or stop
 * @s: the stream
 * @on: record
 *
 * Return: true if done; otherwise errno says why.
 */
bool stream_record(struct stream *s, bool on);

/**
 * stream_read() - hand on what was recorded since the last time
 * @s: the stream; for 0.1 s or until Ctrl-C if it still records, else for 10 s at most
 * @ms: wait so long if there is nothing; 0: do not wait
 * @call: called for each call
 * @frame: called for each line of a stack that was sampled, innermost first, and
 *	told whether the stack begins with it; may be NULL
 *
 * Return: whether there may be more.
 */
bool stream_read(struct stream *s, int ms, void (*call)(const struct call *c),
		 void (*frame)(const struct call *c, const char *function, bool first));

/**
 * stream_close() - end it: all of tracing is as it was
 * @s: the stream
 */
void stream_close(struct stream *s);

/**
 * stream_result() - the exit status of what streams counted
 * @failed: one of them failed
 *
 * Return: 0, or 1 if missing() was called.
 */
int stream_result(bool failed);

#endif /* GUEST_DOCTOR_H */
