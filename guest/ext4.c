// SPDX-License-Identifier: GPL-2.0-only
/*
 * See ext4.h.  Documentation/filesystems/ext4 describes the format.  One block group, which
 * has all that the file system needs, with the numbers of the inodes that are fixed.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "ext4.h"

#define BLOCK		4096
#define NR_BLOCKS	(EXT4_SIZE / BLOCK)
#define NR_INODES	16	/* a block of them */
#define USED_INODES	10	/* those that are reserved */
#define INODE_SIZE	(BLOCK / NR_INODES)
#define JOURNAL_BLOCKS	1024

enum { SUPER, GROUP, BLOCK_BITMAP, INODE_BITMAP, INODES, ROOT, JOURNAL };

#define USED_BLOCKS	(JOURNAL + JOURNAL_BLOCKS)

#define SUPERBLOCK(at)	SUPER, 1024 + (at)
#define ROOT_INODE(at)	INODES, 1 * INODE_SIZE + (at)
#define LOG_INODE(at)	INODES, 7 * INODE_SIZE + (at)

/* All that is not 0, but the bitmaps */
static const struct {
	unsigned int block, at, bytes;
	uint32_t value;
} format[] = {
	{ SUPERBLOCK(0), 4, NR_INODES },
	{ SUPERBLOCK(4), 4, NR_BLOCKS },
	{ SUPERBLOCK(12), 4, NR_BLOCKS - USED_BLOCKS },
	{ SUPERBLOCK(16), 4, NR_INODES - USED_INODES },
	{ SUPERBLOCK(24), 4, 2 },		/* size of a block: 1024 << 2 */
	{ SUPERBLOCK(28), 4, 2 },
	{ SUPERBLOCK(32), 4, 8 * BLOCK },	/* in a group */
	{ SUPERBLOCK(36), 4, 8 * BLOCK },
	{ SUPERBLOCK(40), 4, NR_INODES },
	{ SUPERBLOCK(56), 2, 0xef53 },
	{ SUPERBLOCK(58), 2, 1 },		/* clean */
	{ SUPERBLOCK(76), 4, 1 },		/* has features */
	{ SUPERBLOCK(84), 4, USED_INODES + 1 },
	{ SUPERBLOCK(88), 2, INODE_SIZE },
	{ SUPERBLOCK(92), 4, 0x4 },		/* a journal */
	{ SUPERBLOCK(96), 4, 0x42 },		/* extents; types in directories */
	{ SUPERBLOCK(224), 4, 8 },		/* the journal's inode */

	{ GROUP, 0, 4, BLOCK_BITMAP },
	{ GROUP, 4, 4, INODE_BITMAP },
	{ GROUP, 8, 4, INODES },
	{ GROUP, 12, 2, NR_BLOCKS - USED_BLOCKS },
	{ GROUP, 14, 2, NR_INODES - USED_INODES },
	{ GROUP, 16, 2, 1 },			/* directories */

	{ ROOT_INODE(0), 2, 040755 },
	{ ROOT_INODE(4), 4, BLOCK },
	{ ROOT_INODE(26), 2, 2 },		/* links */
	{ ROOT_INODE(28), 4, BLOCK / 512 },
	{ ROOT_INODE(32), 4, 0x80000 },		/* extents: */
	{ ROOT_INODE(40), 2, 0xf30a },
	{ ROOT_INODE(42), 2, 1 },
	{ ROOT_INODE(44), 2, 4 },
	{ ROOT_INODE(56), 2, 1 },
	{ ROOT_INODE(60), 4, ROOT },

	{ LOG_INODE(0), 2, 0100600 },
	{ LOG_INODE(4), 4, JOURNAL_BLOCKS * BLOCK },
	{ LOG_INODE(26), 2, 1 },
	{ LOG_INODE(28), 4, JOURNAL_BLOCKS * (BLOCK / 512) },
	{ LOG_INODE(32), 4, 0x80000 },
	{ LOG_INODE(40), 2, 0xf30a },
	{ LOG_INODE(42), 2, 1 },
	{ LOG_INODE(44), 2, 4 },
	{ LOG_INODE(56), 2, JOURNAL_BLOCKS },
	{ LOG_INODE(60), 4, JOURNAL },

	{ ROOT, 0, 4, 2 },			/* "." */
	{ ROOT, 4, 2, 12 },
	{ ROOT, 6, 2, 0x201 },
	{ ROOT, 8, 1, '.' },
	{ ROOT, 12, 4, 2 },			/* ".." */
	{ ROOT, 16, 2, BLOCK - 12 },
	{ ROOT, 18, 2, 0x202 },
	{ ROOT, 20, 2, '.' << 8 | '.' },

	/* The journal is big-endian. */
	{ JOURNAL, 0, 4, 0x98393bc0 },
	{ JOURNAL, 7, 1, 4 },
	{ JOURNAL, 14, 1, BLOCK >> 8 },
	{ JOURNAL, 18, 1, JOURNAL_BLOCKS >> 8 },
	{ JOURNAL, 23, 1, 1 },			/* its first block */
	{ JOURNAL, 27, 1, 1 },			/* number of the next commit */
	{ JOURNAL, 67, 1, 1 },			/* users */
};

/* The first @used of @there bits are set, and those behind the last one. */
static void fill_bitmap(uint8_t *bits, unsigned int used, unsigned int there)
{
	for (unsigned int i = 0; i < 8 * BLOCK; i++)
		if (i < used || i >= there)
			bits[i / 8] |= 1 << i % 8;
}

bool make_ext4(const char *device)
{
	static uint8_t image[JOURNAL + 1][BLOCK];
	int fd = open(device, O_RDWR | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	bool done = false;

	memset(image, 0, sizeof(image));
	for (unsigned int i = 0; i < sizeof(format) / sizeof(*format); i++) {
		uint32_t value = htole32(format[i].value);

		memcpy(&image[format[i].block][format[i].at], &value, format[i].bytes);
	}
	fill_bitmap(image[BLOCK_BITMAP], USED_BLOCKS, NR_BLOCKS);
	fill_bitmap(image[INODE_BITMAP], USED_INODES, NR_INODES);
	if (size >= (off_t)EXT4_SIZE)
		done = pwrite(fd, image, sizeof(image), 0) == sizeof(image) && !fsync(fd);
	else if (fd >= 0)
		errno = ENOSPC;
	if (fd >= 0)
		close(fd);
	return done;
}
