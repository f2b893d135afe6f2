// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of lockless page-table walks: what interrupts CPUs, when page
 * tables are freed, and what GUP-fast returns meanwhile.
 *
 * The module builds and loads with and without the patches it tests; cases
 * that measure what the patches change fail without them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/random.h>

#include "../kernel.h"
#include "../lib/ptwalk.h"

unsigned int ptwalk_duration_ms = 3000;
module_param_named(duration_ms, ptwalk_duration_ms, uint, 0444);
MODULE_PARM_DESC(duration_ms, "how long each race runs (ms), at most 200 s, but for those of ptwalk_hash, which run in parts");

/* With KASAN a collapse takes a second on an emulator. */
unsigned int ptwalk_hold_ms = IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_KCSAN) ?
			      5000 : 2000;
module_param_named(hold_ms, ptwalk_hold_ms, uint, 0444);
MODULE_PARM_DESC(hold_ms, "how long a walker stays in its window at most (ms)");

static unsigned int seed;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "seed of random choices, 0 for a fresh one");

/**
 * ptwalk_seed() - seed of the random choices of a case
 * @test: the case, whose log shows the seed
 *
 * Return: the module parameter, or a fresh value when it is 0.
 */
u32 ptwalk_seed(struct kunit *test)
{
	u32 value = seed ?: get_random_u32();

	kunit_info(test, "seed: %u\n", value);
	return value;
}

/**
 * ptwalk_case_init() - start every case from the same state
 * @test: the case
 *
 * Return: 0.
 */
int ptwalk_case_init(struct kunit *test)
{
	ptwalk_ipi_stop();
	ptwalk_trap_clear();
	ptwalk_watch_reset();
	return 0;
}

/**
 * ptwalk_case_exit() - stop whatever a case that ended early left running
 * @test: the case
 */
void ptwalk_case_exit(struct kunit *test)
{
	ptwalk_case_init(test);
}

static int __init ptwalk_init(void)
{
	int ret;

	ret = ptwalk_check_range("hold_ms", ptwalk_hold_ms, 100, 5000) ?:
	      ptwalk_check_range("duration_ms", ptwalk_duration_ms, 1, 3600000) ?:
	      ptwalk_ipi_init();
	if (ret)
		return ret;
	ret = ptwalk_watch_init();
	if (ret)
		ptwalk_ipi_exit();
	return ret;
}
module_init(ptwalk_init);

static void __exit ptwalk_exit(void)
{
	ptwalk_watch_exit();
	ptwalk_ipi_exit();
}
module_exit(ptwalk_exit);

MODULE_DESCRIPTION("KUnit tests of lockless page-table walks");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
PTWALK_IMPORT_KUNIT_EXPORTS();
