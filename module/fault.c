// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes page allocations of the case fail, through fail_page_alloc.
 *
 * Its settings are files in debugfs that take user memory only, so a page of
 * the case's address space carries the text.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "ptwalk.h"

#define FAULT_DIR	"/sys/kernel/debug/fail_page_alloc/"
#define FAULT_TEXT	16
/* Below PTWALK_BASE, and in no page table that a case looks at. */
#define FAULT_BUFFER	(PTWALK_BASE / 2)

/* First the filter: from then on only a task that is armed is affected. */
static struct {
	const char *name;
	const char *value[PTWALK_FAIL_ALL + 1];
	char saved[FAULT_TEXT];
} setting[] = {
	{ "task-filter",	{ "Y", "Y", "Y" } },
	{ "verbose",		{ "0", "0", "0" } },
	{ "interval",		{ "1", "1", "1" } },
	{ "space",		{ "0", "0", "0" } },
	{ "times",		{ "-1", "-1", "-1" } },
	{ "min-order",		{ "0", "0", "0" } },
	{ "ignore-gfp-wait",	{ "Y", "N", "N" } },
	{ "ignore-gfp-highmem",	{ "Y", "Y", "N" } },
	{ "probability",	{ "100", "100", "100" } },
};

static struct file *open_setting(int i)
{
	char path[64];

	snprintf(path, sizeof(path), FAULT_DIR "%s", setting[i].name);
	return filp_open(path, O_RDWR, 0);
}

static int read_setting(int i)
{
	char __user *buf = (char __user *)FAULT_BUFFER;
	struct file *file = open_setting(i);
	loff_t pos = 0;
	ssize_t len;

	if (IS_ERR(file))
		return PTR_ERR(file);
	len = file->f_op->read(file, buf, FAULT_TEXT - 1, &pos);
	filp_close(file, NULL);
	if (len < 0)
		return len;
	if (copy_from_user(setting[i].saved, buf, len))
		return -EFAULT;
	setting[i].saved[len] = '\0';
	strim(setting[i].saved);
	return 0;
}

static int write_setting(int i, const char *text)
{
	char __user *buf = (char __user *)FAULT_BUFFER;
	struct file *file = open_setting(i);
	size_t len = strlen(text);
	loff_t pos = 0;
	ssize_t ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = copy_to_user(buf, text, len) ? -EFAULT :
		file->f_op->write(file, buf, len, &pos);
	filp_close(file, NULL);
	return ret < 0 ? ret : 0;
}

/**
 * ptwalk_fail_prepare() - choose which page allocations fail once armed
 * @test: the case; skipped when the kernel cannot inject failures
 * @what: which allocations
 *
 * Needs the address space of ptwalk_mm_enter().  No allocation fails before
 * ptwalk_fail_arm().  ptwalk_fail_restore() brings the old settings back; a
 * case that ends before leaves settings that affect no task.
 */
void ptwalk_fail_prepare(struct kunit *test, enum ptwalk_fail what)
{
	int i, ret = 0;

	if (!IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC) ||
	    !IS_ENABLED(CONFIG_FAULT_INJECTION_DEBUG_FS))
		kunit_skip(test, "needs CONFIG_FAIL_PAGE_ALLOC and its debugfs files");
	ptwalk_map(test, FAULT_BUFFER, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(setting) && !ret; i++)
		ret = read_setting(i);
	if (ret)
		kunit_skip(test, "cannot read %s (%d): is debugfs mounted?",
			   FAULT_DIR, ret);
	for (i = 0; i < ARRAY_SIZE(setting) && !ret; i++)
		ret = write_setting(i, setting[i].value[what]);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "cannot write below %s", FAULT_DIR);
}

/**
 * ptwalk_fail_restore() - bring back the settings that were there before
 * @test: the case
 *
 * The filter is written last.
 */
void ptwalk_fail_restore(struct kunit *test)
{
	int i, ret = 0;

	for (i = ARRAY_SIZE(setting) - 1; i >= 0; i--)
		ret = ret ?: write_setting(i, setting[i].saved);
	KUNIT_EXPECT_EQ(test, ret, 0);
}

/**
 * ptwalk_fail_arm() - from here on, page allocations of current fail
 */
void ptwalk_fail_arm(void)
{
#ifdef CONFIG_FAULT_INJECTION
	current->make_it_fail = 1;
#endif
}

/**
 * ptwalk_fail_disarm() - from here on, page allocations of current succeed
 */
void ptwalk_fail_disarm(void)
{
#ifdef CONFIG_FAULT_INJECTION
	current->make_it_fail = 0;
#endif
}
