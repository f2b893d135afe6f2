/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs of the test VM read from /proc and /sys, and write there. */
#ifndef GUEST_FILE_H
#define GUEST_FILE_H

#include <stdbool.h>

/**
 * write_file() - write a text to a file that exists
 * @path: the file, emptied first where that means something
 * @text: what to write, in one write()
 *
 * Return: true if all of it was written; otherwise errno says why.
 */
bool write_file(const char *path, const char *text);

/**
 * number_in() - the number in a file that has a line for each
 * @path: the file
 * @key: what stands before the number, without a colon; "" for a file that is
 *	but a number
 *
 * Return: the number of the first such line, -1 if there is none.
 */
long number_in(const char *path, const char *key);

/**
 * counts_kernel_tables() - whether nr_page_table_pages has tables of the kernel, too
 *
 * These come with vmalloc(), and stay.
 *
 * Return: true on v7.3.
 */
bool counts_kernel_tables(void);

/**
 * cpuinfo_says() - what the kernel tells of the CPU
 * @key: how a line of /proc/cpuinfo begins
 * @value: what it contains, in upper or lower case
 *
 * Return: true if there is such a line.
 */
bool cpuinfo_says(const char *key, const char *value);

#endif /* GUEST_FILE_H */
