/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A suite that is a program: runs its cases, and writes KTAP.
 *
 *   ptwalk_SUITE [CASE-GLOB [seconds=N]]	N for each case that takes time
 */
#ifndef GUEST_SUITE_H
#define GUEST_SUITE_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct suite_case - a case that is a function
 * @name: its name
 * @run: calls fail() or skip(), or neither
 */
struct suite_case {
	const char *name;
	void (*run)(void);
};

#define CASE(f)	{ #f, f }

/**
 * struct suite - its name, and its cases
 * @name: as the program is called
 * @seconds: how long a case runs, unless "seconds=" is given
 * @cases: the cases, up to one without a name; NULL if the next two say what they are
 * @case_name: name of case number @i, NULL behind the last one
 * @run: runs it; calls fail() or skip(), or neither
 */
struct suite {
	const char *name;
	double seconds;
	const struct suite_case *cases;
	const char *(*case_name)(unsigned int i);
	void (*run)(unsigned int i);
};

/**
 * run_suite() - what main() does
 * @suite: the suite
 * @argc: of main()
 * @argv: of main()
 *
 * Return: what main() returns: 0, the results tell the rest.
 */
int run_suite(const struct suite *suite, int argc, char **argv);

/**
 * fail() - the case fails
 * @fmt: why, for printf(); only the first reason is reported
 *
 * Context: any thread.
 */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * skip() - the case cannot run here
 * @fmt: why, for printf(); means nothing if the case fails
 */
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * over() - whether it is known how the case ends
 *
 * Return: true after fail() or skip().
 */
bool over(void);

/**
 * now() - read a clock that is never set
 *
 * Return: seconds.
 */
double now(void);

/**
 * case_seconds() - how long a case shall run
 *
 * Return: seconds.
 */
double case_seconds(void);

/**
 * child_status() - wait for a child
 * @pid: the child
 * @seconds: how long; nothing can end a process that hangs in the kernel
 *
 * Return: what it returns, or 128 and the signal that killed it; -1 if it has not ended in
 *	time.
 */
int child_status(pid_t pid, double seconds);

#endif /* GUEST_SUITE_H */
