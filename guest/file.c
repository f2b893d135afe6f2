// SPDX-License-Identifier: GPL-2.0-only
/* See file.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "file.h"

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

long number_in(const char *path, const char *key)
{
	size_t len = strlen(key);
	char line[256];
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, key, len) && (!len || strchr(": \t", line[len]));
	if (f)
		fclose(f);
	return found ? atol(line + len + strspn(line + len, ": \t")) : -1;
}

bool counts_kernel_tables(void)
{
	struct utsname name;

	return !uname(&name) && atoi(name.release) >= 7;
}

bool cpuinfo_says(const char *key, const char *value)
{
	char line[256];
	bool found = false;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, key, strlen(key)) && strcasestr(line, value);
	if (f)
		fclose(f);
	return found;
}
