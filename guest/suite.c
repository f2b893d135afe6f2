// SPDX-License-Identifier: GPL-2.0-only
/* See suite.h. */
#define _GNU_SOURCE
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool failed, skipped;
static char why[256];
static double seconds;

/* The first failure of a case is the one that is reported. */
static void end_case(atomic_bool *how, const char *fmt, va_list ap)
{
	pthread_mutex_lock(&lock);
	if (!failed) {
		vsnprintf(why, sizeof(why), fmt, ap);
		*how = true;
	}
	pthread_mutex_unlock(&lock);
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	end_case(&failed, fmt, ap);
	va_end(ap);
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	end_case(&skipped, fmt, ap);
	va_end(ap);
}

bool over(void)
{
	return failed || skipped;
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

double case_seconds(void)
{
	return seconds;
}

int child_status(pid_t pid, double seconds)
{
	double end = now() + seconds;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now() > end)
			return -1;
		usleep(1000);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static const char *case_name(const struct suite *suite, unsigned int i)
{
	return suite->cases ? suite->cases[i].name : suite->case_name(i);
}

static void run_case(const struct suite *suite, unsigned int i)
{
	if (suite->cases)
		suite->cases[i].run();
	else
		suite->run(i);
}

int run_suite(const struct suite *suite, int argc, char **argv)
{
	const char *glob = argc > 1 ? argv[1] : "*", *name, *param = argc > 2 ? argv[2] : "";
	unsigned int n = 0, bad = 0, i;

	seconds = suite->seconds;
	/* The last one counts. */
	for (; (param = strstr(param, "seconds=")); param++)
		sscanf(param, "seconds=%lf", &seconds);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; (name = case_name(suite, i)); i++)
		n += !fnmatch(glob, name, 0);
	printf("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: %s\n    1..%u\n",
	       suite->name, n);
	n = 0;
	for (i = 0; (name = case_name(suite, i)); i++) {
		if (fnmatch(glob, name, 0))
			continue;
		failed = false;
		skipped = false;
		run_case(suite, i);
		printf("    %sok %u %s%s%s\n", failed ? "not " : "", ++n, name,
		       failed ? " # " : skipped ? " # SKIP " : "", over() ? why : "");
		bad += failed;
	}
	printf("%sok 1 %s\n", bad ? "not " : "", suite->name);
	return 0;
}
