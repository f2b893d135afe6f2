/* SPDX-License-Identifier: GPL-2.0-only */
/* A file system for a case: the test VM has no mkfs. */
#ifndef EXT4_H
#define EXT4_H

#include <stdbool.h>

#define EXT4_SIZE	(128UL << 20)	/* of the file system; 4 MB are its journal */

/**
 * make_ext4() - what mkfs.ext4 does, in the simplest form
 * @device: path of a block device of EXT4_SIZE or more
 *
 * Return: true if done; otherwise errno says why.
 */
bool make_ext4(const char *device);

#endif
