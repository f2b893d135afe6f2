/* SPDX-License-Identifier: GPL-2.0-only */
/* A memory cgroup for a case */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdbool.h>

#define CGROUP	"/tmp/cgroup"
#define GROUP	CGROUP "/ptwalk"

/**
 * make_group() - make GROUP, a memory cgroup (v2) without a limit
 *
 * Calls skip() where the kernel has none, and fail() on an error.
 *
 * Return: whether it is there.
 */
bool make_group(void);

/**
 * make_group_v1() - the same with cgroup v1, whose files have other names
 *
 * Until GROUP is removed, make_group() skips.
 *
 * Return: whether it is there.
 */
bool make_group_v1(void);

/**
 * join_group() - move this process into GROUP
 *
 * What it has allocated before stays charged to where it was.
 */
bool join_group(void);

/**
 * leave_group() - move this process out of GROUP
 */
bool leave_group(void);

/**
 * remove_group() - remove GROUP
 *
 * Context: its processes have ended or left it; a killed one may take a moment.
 */
void remove_group(void);

#endif
