// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes page allocations of the case fail through fail_page_alloc, which has
 * its settings in debugfs.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/stringify.h>

#include "ptwalk.h"

#define FAULT_DIR	"/sys/kernel/debug/fail_page_alloc/"
#define FAULT_TEXT	16
/* Counts down with each allocation that fails; never gets to zero. */
#define FAULT_TIMES	1000000000
#define TIMES		__stringify(FAULT_TIMES)

/* The filter is first: from then on only a task that is armed is affected. */
static struct {
	const char *name;
	const char *value[PTWALK_FAIL_ALL + 1];
	char saved[FAULT_TEXT];
} setting[] = {
	{ "task-filter",	{ "Y", "Y", "Y" } },
	{ "verbose",		{ "0", "0", "0" } },
	{ "interval",		{ "1", "1", "1" } },
	{ "space",		{ "0", "0", "0" } },
	{ "times",		{ TIMES, TIMES, TIMES } },
	{ "min-order",		{ "0", "0", "0" } },
	{ "ignore-gfp-wait",	{ "Y", "N", "N" } },
	{ "ignore-gfp-highmem",	{ "Y", "Y", "N" } },
	{ "probability",	{ "100", "100", "100" } },
};

static const char *setting_path(int i, char *path, size_t size)
{
	snprintf(path, size, FAULT_DIR "%s", setting[i].name);
	return path;
}

static int read_setting(int i)
{
	char path[64];

	return ptwalk_file_read(setting_path(i, path, sizeof(path)),
				setting[i].saved, FAULT_TEXT);
}

static int write_setting(int i, const char *text)
{
	char path[64];

	return ptwalk_file_write(setting_path(i, path, sizeof(path)), text);
}

static int restore_error;

/* All settings, even if one fails; the filter is last. */
static void restore_settings(void *unused)
{
	int i, ret;

	restore_error = 0;
	for (i = ARRAY_SIZE(setting) - 1; i >= 0; i--) {
		ret = write_setting(i, setting[i].saved);
		restore_error = restore_error ?: ret;
	}
}

/**
 * ptwalk_fail_prepare() - choose which page allocations fail once armed
 * @test: the case; skipped when the kernel cannot inject failures
 * @what: which allocations
 *
 * Needs the address space of ptwalk_mm_enter().  No allocation fails before
 * ptwalk_fail_arm().  ptwalk_fail_restore() brings the old settings back, or
 * the end of the case.
 */
void ptwalk_fail_prepare(struct kunit *test, enum ptwalk_fail what)
{
	int i, ret = 0;

	if (!IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC) ||
	    !IS_ENABLED(CONFIG_FAULT_INJECTION_DEBUG_FS))
		kunit_skip(test, "needs CONFIG_FAIL_PAGE_ALLOC and its debugfs files");
	for (i = 0; i < ARRAY_SIZE(setting) && !ret; i++)
		ret = read_setting(i);
	if (ret)
		kunit_skip(test, "cannot read %s (%d): is debugfs mounted?",
			   FAULT_DIR, ret);
	ptwalk_at_end(test, restore_settings, NULL);
	for (i = 0; i < ARRAY_SIZE(setting) && !ret; i++)
		ret = write_setting(i, setting[i].value[what]);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "cannot write below %s", FAULT_DIR);
}

/**
 * ptwalk_fail_restore() - bring back the settings that were there before
 * @test: the case
 */
void ptwalk_fail_restore(struct kunit *test)
{
	kunit_release_action(test, restore_settings, NULL);
	KUNIT_EXPECT_EQ(test, restore_error, 0);
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

/**
 * ptwalk_failed() - how many allocations were made to fail
 *
 * Context: between ptwalk_fail_disarm() and ptwalk_fail_restore().
 * Return: since ptwalk_fail_prepare(); 0 if that cannot be read.
 */
long ptwalk_failed(void)
{
	char text[FAULT_TEXT];
	long left;

	if (ptwalk_file_read(FAULT_DIR "times", text, sizeof(text)) || kstrtol(text, 10, &left))
		return 0;
	return FAULT_TIMES - left;
}

/**
 * ptwalk_singles() - how many tables were freed without a batch
 *
 * Return: since boot; negative if this kernel does not count them.
 */
long ptwalk_singles(void)
{
	return ptwalk_vm_event("pgtable_free_single");
}

/**
 * ptwalk_expect_singles() - expect that tables were freed without a batch
 * @test: the case
 * @before: what ptwalk_singles() said before
 * @nr: how many tables at least
 */
void ptwalk_expect_singles(struct kunit *test, long before, long nr)
{
	if (before >= 0)
		KUNIT_EXPECT_GE_MSG(test, ptwalk_singles() - before, nr,
				    "a batch page was allocated");
}
