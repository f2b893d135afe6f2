// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "file.h"
#include "mm.h"
#include "suite.h"

static bool make_directory(void)
{
	if (!mkdir(GROUP, 0700))
		return true;
	fail("mkdir " GROUP ": %m");
	return false;
}

bool make_group(void)
{
	mkdir(CGROUP, 0700);
	if (mount("cgroup2", CGROUP, "cgroup2", 0, NULL) ||
	    !write_file(CGROUP "/cgroup.subtree_control", "+memory")) {
		skip("needs CONFIG_MEMCG");
		umount(CGROUP);
		return false;
	}
	return make_directory();
}

/*
 * A group of v2 that was removed keeps the controller until its last page is free.  With
 * neither CONFIG_MEMCG nor CONFIG_MEMCG_V1 there is no limit to set.
 */
bool make_group_v1(void)
{
	double end = now() + 10;
	int err;

	mkdir(CGROUP, 0700);
	do
		err = mount("cgroup", CGROUP, "cgroup", 0, "memory") ? errno : 0;
	while (err == EBUSY && now() < end && !usleep(10000));
	if (err == EBUSY) {
		skip("cgroup v2 keeps the memory controller: needs a boot of its own");
		return false;
	}
	if (err || access(CGROUP "/memory.usage_in_bytes", F_OK)) {
		skip("needs CONFIG_MEMCG_V1");
		umount(CGROUP);
		return false;
	}
	return make_directory();
}

bool join_group(void)
{
	return write_file(GROUP "/cgroup.procs", "0");
}

bool leave_group(void)
{
	return write_file(CGROUP "/cgroup.procs", "0");
}

void remove_group(void)
{
	double end = now() + 10;

	while (rmdir(GROUP) && errno == EBUSY && now() < end)
		usleep(10000);
	umount(CGROUP);
}
