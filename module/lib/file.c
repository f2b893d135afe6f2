// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files: reads and writes settings of the kernel, and keeps the files that a
 * case maps.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kstrtox.h>
#include <linux/kthread.h>
#include <linux/mount.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../kernel.h"
#include "ptwalk.h"

/* Below PTWALK_BASE, in no page table that a case looks at */
#define BOUNCE		(PTWALK_BASE / 4)
#define VMSTAT_SIZE	SZ_16K
#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"

/* For files that take only user memory, such as those of debugfs. */
static ssize_t transfer_user(struct file *file, char *buf, size_t len,
			     bool write)
{
	char __user *user = (char __user *)BOUNCE;
	loff_t pos = 0;
	ssize_t ret;

	if (vm_mmap(NULL, BOUNCE, PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, 0) != BOUNCE)
		return -ENOMEM;
	len = min(len, PAGE_SIZE);
	if (!write)
		ret = file->f_op->read(file, user, len, &pos);
	else if (copy_to_user(user, buf, len))
		ret = -EFAULT;
	else
		ret = file->f_op->write(file, user, len, &pos);
	if (!write && ret > 0 && copy_from_user(buf, user, ret))
		ret = -EFAULT;
	vm_munmap(BOUNCE, PAGE_SIZE);
	return ret;
}

/* The end of a case runs in a kthread that has no user memory. */
static ssize_t transfer_bounced(struct file *file, char *buf, size_t len,
				bool write)
{
	struct mm_struct *mm;
	ssize_t ret;

	if (!(write ? (void *)file->f_op->write : (void *)file->f_op->read))
		return -EINVAL;
	if (current->mm)
		return transfer_user(file, buf, len, write);
	mm = ptwalk_mm_alloc();
	if (!mm)
		return -ENOMEM;
	kthread_use_mm(mm);
	ret = transfer_user(file, buf, len, write);
	kthread_unuse_mm(mm);
	mmput(mm);
	return ret;
}

static ssize_t read_some(struct file *file, char *buf, size_t len, loff_t *pos)
{
	if (file->f_op->read_iter)
		return kernel_read(file, buf, len, pos);
	return *pos ? 0 : transfer_bounced(file, buf, len, false);
}

/**
 * ptwalk_file_read() - read a small file
 * @path: its name
 * @buf: takes the text, ended by NUL, without white space at its end
 * @size: size of @buf
 *
 * Return: 0 or an error.
 */
int ptwalk_file_read(const char *path, char *buf, size_t size)
{
	struct file *file = ptwalk_open(path, O_RDONLY);
	size_t done = 0;
	loff_t pos = 0;
	ssize_t n;

	if (IS_ERR(file))
		return PTR_ERR(file);
	do {
		n = read_some(file, buf + done, size - 1 - done, &pos);
		done += max(n, 0);
	} while (n > 0 && file->f_op->read_iter);
	filp_close(file, NULL);
	buf[done] = '\0';
	strim(buf);
	return min(n, 0);
}

/**
 * ptwalk_file_write() - write a small file
 * @path: its name
 * @text: what to write
 *
 * Return: 0 or an error.
 */
int ptwalk_file_write(const char *path, const char *text)
{
	struct file *file = ptwalk_open(path, O_WRONLY);
	loff_t pos = 0;
	ssize_t ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	if (file->f_op->write_iter)
		ret = kernel_write(file, text, strlen(text), &pos);
	else
		ret = transfer_bounced(file, (char *)text, strlen(text), true);
	filp_close(file, NULL);
	return min(ret, 0);
}

static long number(const char *text)
{
	long value;

	return kstrtol(text, 10, &value) ? -1 : value;
}

/**
 * ptwalk_vm_event() - a counter of /proc/vmstat
 * @name: its name there
 *
 * Return: its value, or -1 if this kernel does not have it or show it.
 */
long ptwalk_vm_event(const char *name)
{
	char *text = kmalloc(VMSTAT_SIZE, GFP_KERNEL), *line, *next = text;
	size_t len = strlen(name);
	long value = -1;

	if (!text || ptwalk_file_read("/proc/vmstat", text, VMSTAT_SIZE))
		next = NULL;
	while ((line = strsep(&next, "\n")))
		if (!strncmp(line, name, len) && line[len] == ' ')
			value = number(line + len + 1);
	kfree(text);
	return value;
}

static char saved_pool[24];

/**
 * ptwalk_pool_grow() - add hugetlb pages to the pool
 * @pages: number of pages to add
 *
 * The pool stays as it is if the kernel has none, or no memory for it.
 */
void ptwalk_pool_grow(unsigned int pages)
{
	char pool[24];
	long before;

	if (ptwalk_file_read(NR_HUGEPAGES, saved_pool, sizeof(saved_pool)))
		saved_pool[0] = '\0';
	before = number(saved_pool);
	if (before < 0)
		return;
	snprintf(pool, sizeof(pool), "%ld", before + pages);
	ptwalk_file_write(NR_HUGEPAGES, pool);
}

/**
 * ptwalk_pool_restore() - undo the last ptwalk_pool_grow()
 * @unused: of a function that the end of a case calls
 */
void ptwalk_pool_restore(void *unused)
{
	if (saved_pool[0])
		ptwalk_file_write(NR_HUGEPAGES, saved_pool);
	saved_pool[0] = '\0';
}

static void fput_action(void *file)
{
	fput(file);
}

/**
 * ptwalk_own_file() - give a file back when the case is over
 * @test: the case, which fails if @file is an error
 * @file: the file
 *
 * Return: @file.
 */
struct file *ptwalk_own_file(struct kunit *test, struct file *file)
{
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	ptwalk_at_end(test, fput_action, file);
	return file;
}

static void unmount_action(void *mnt)
{
	kern_unmount(mnt);
}

/**
 * ptwalk_mount() - mount a new file system that nothing else sees
 * @test: the case, which skips if the kernel does not have @type
 * @type: a type of file system that needs no device
 *
 * Return: the mount, which is gone when the case is over.
 */
struct vfsmount *ptwalk_mount(struct kunit *test, const char *type)
{
	struct file_system_type *fs = get_fs_type(type);
	struct vfsmount *mnt;

	if (!fs)
		kunit_skip(test, "needs %s", type);
	mnt = kern_mount(fs);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mnt);
	ptwalk_at_end(test, unmount_action, mnt);
	return mnt;
}

/**
 * ptwalk_huge_file() - a new file in a hugetlbfs
 * @test: the case
 * @mnt: the hugetlbfs
 *
 * Return: the file, which is gone when the case is over.
 */
struct file *ptwalk_huge_file(struct kunit *test, struct vfsmount *mnt)
{
	struct path root = { .mnt = mnt, .dentry = mnt->mnt_root };

	return ptwalk_own_file(test, file_open_root(&root, ".",
						    O_TMPFILE | O_RDWR, 0600));
}
