// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts the CPUs that function calls interrupt, by function.
 *
 * The csd_queue_cpu tracepoint fires once for each CPU that is called.  The ipi
 * tracepoints show a generic callback for a call to one CPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kallsyms.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "../kernel.h"
#include "ptwalk.h"

#define MAX_FUNCS	32

static const struct {
	const char *name;
	enum ptwalk_ipi_class class;
} known[] = {
	{ "tlb_remove_table_smp_sync",	PTWALK_IPI_BROADCAST },
	{ PTWALK_SERIALIZE_FUNC,	PTWALK_IPI_SERIALIZE },
	{ "flush_tlb_func",		PTWALK_IPI_TLB },
	{ "sched_ttwu_pending",		PTWALK_IPI_WAKEUP },
};

/* Calls made by @counted_task, one row of @hits for each function seen. */
static smp_call_func_t funcs[MAX_FUNCS];
static atomic_t *hits;
static bool overflow;
static struct task_struct *counted_task;

static atomic_t *hit(int func, int cpu)
{
	return &hits[func * nr_cpu_ids + cpu];
}

/* Functions that do not fit share the last row, see row_class(). */
static int func_row(smp_call_func_t func)
{
	smp_call_func_t old;
	int i;

	for (i = 0; i < MAX_FUNCS - 1; i++) {
		old = READ_ONCE(funcs[i]);
		if (!old)
			old = cmpxchg(&funcs[i], NULL, func) ?: func;
		if (old == func)
			return i;
	}
	WRITE_ONCE(overflow, true);
	return i;
}

/* Any context, interrupts may be off. */
static void csd_queue_cpu(void *data, const unsigned int cpu,
			  unsigned long callsite, smp_call_func_t func,
			  call_single_data_t *csd)
{
	if (current == READ_ONCE(counted_task) && in_task())
		atomic_inc(hit(func_row(func), cpu));
}

/**
 * ptwalk_ipi_classify() - what a function is called on other CPUs for
 * @func: the function, or NULL
 *
 * Context: any.
 * Return: the class.
 */
enum ptwalk_ipi_class ptwalk_ipi_classify(smp_call_func_t func)
{
	char name[KSYM_SYMBOL_LEN];
	size_t len;
	int i;

	if (!func)
		return PTWALK_IPI_OTHER;
	sprint_symbol(name, (unsigned long)func);
	/* The compiler may have appended .isra.0 and the like. */
	len = strcspn(name, "+.");
	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].name) == len &&
		    !strncmp(name, known[i].name, len))
			return known[i].class;
	return PTWALK_IPI_OTHER;
}

/*
 * Functions that did not fit may be anything: of the class that no case allows.
 */
static enum ptwalk_ipi_class row_class(int row)
{
	return row == MAX_FUNCS - 1 ? PTWALK_IPI_BROADCAST :
				      ptwalk_ipi_classify(funcs[row]);
}

/**
 * ptwalk_ipi_start() - count from zero the CPUs that current interrupts
 */
void ptwalk_ipi_start(void)
{
	WRITE_ONCE(counted_task, NULL);
	overflow = false;
	memset(funcs, 0, sizeof(funcs));
	memset(hits, 0, MAX_FUNCS * nr_cpu_ids * sizeof(*hits));
	WRITE_ONCE(counted_task, current);
}

/**
 * ptwalk_ipi_stop() - stop counting, keep the counts
 */
void ptwalk_ipi_stop(void)
{
	if (xchg(&counted_task, NULL) && overflow)
		pr_err("more than %d functions were called: the others count as broadcasts\n",
		       MAX_FUNCS - 1);
}

/**
 * ptwalk_ipi_on() - how often one CPU was interrupted
 * @cpu: the CPU
 * @class: for what
 *
 * Return: number of calls to @cpu since ptwalk_ipi_start().
 */
unsigned int ptwalk_ipi_on(int cpu, enum ptwalk_ipi_class class)
{
	unsigned int n = 0;
	int i;

	for (i = 0; i < MAX_FUNCS; i++)
		if (atomic_read(hit(i, cpu)) &&
		    row_class(i) == class)
			n += atomic_read(hit(i, cpu));
	return n;
}

/**
 * ptwalk_ipi_cpus() - how many CPUs were interrupted, summed over calls
 * @class: for what
 *
 * Return: a broadcast on N CPUs counts N - 1.
 */
unsigned int ptwalk_ipi_cpus(enum ptwalk_ipi_class class)
{
	unsigned int n = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		n += ptwalk_ipi_on(cpu, class);
	return n;
}

/*
 * For programs, after the module's own suites, which use the same counts.  Not for the
 * module's command line, which is read before ptwalk_ipi_init() allocates the counts.
 */
static int ipi_count_set(const char *val, const struct kernel_param *kp)
{
	bool on;
	int ret = kstrtobool(val, &on);

	if (ret)
		return ret;
	if (!hits)
		return -ENODEV;
	if (on)
		ptwalk_ipi_start();
	else
		ptwalk_ipi_stop();
	return 0;
}

static int ipi_count_get(char *buffer, const struct kernel_param *kp)
{
	if (!hits)
		return -ENODEV;
	return sysfs_emit(buffer, "walkers: %u\ntlb: %u\n",
			  ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST) +
			  ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE),
			  ptwalk_ipi_cpus(PTWALK_IPI_TLB));
}

static const struct kernel_param_ops ipi_count_ops = {
	.set = ipi_count_set, .get = ipi_count_get,
};
module_param_cb(ipi_count, &ipi_count_ops, NULL, 0600);
MODULE_PARM_DESC(ipi_count, "write 1 to count the CPUs that the writing thread interrupts, 0 to stop; read the counts");

/**
 * ptwalk_measure() - report the counts in the form the result table is made of
 * @test: the case whose log takes the line
 * @op: name of the operation
 * @ops: how many operations were counted
 */
void ptwalk_measure(struct kunit *test, const char *op, unsigned int ops)
{
	unsigned int bcast = ptwalk_ipi_cpus(PTWALK_IPI_BROADCAST);
	unsigned int serialize = ptwalk_ipi_cpus(PTWALK_IPI_SERIALIZE);
	unsigned int tlb = ptwalk_ipi_cpus(PTWALK_IPI_TLB);
	unsigned int other = ptwalk_ipi_cpus(PTWALK_IPI_OTHER);

	kunit_info(test, "measure: %s cpus=%u ops=%u sync=%u tlb=%u total=%u broadcast=%u serialize=%u\n",
		   op, num_online_cpus(), ops, bcast + serialize, tlb,
		   bcast + serialize + tlb + other, bcast, serialize);
}

static struct ptwalk_probe probe = {
	.name = "csd_queue_cpu", .fn = csd_queue_cpu,
};

/**
 * ptwalk_ipi_init() - attach to the tracepoint
 *
 * Return: 0, -ENOENT if the kernel has no such tracepoint, or -ENOMEM.
 */
int ptwalk_ipi_init(void)
{
	int ret;

	hits = kcalloc(MAX_FUNCS * nr_cpu_ids, sizeof(*hits), GFP_KERNEL);
	if (!hits)
		return -ENOMEM;
	ret = ptwalk_attach(&probe, 1);
	if (ret)
		kfree(hits);
	return ret;
}

/**
 * ptwalk_ipi_exit() - detach from the tracepoint
 */
void ptwalk_ipi_exit(void)
{
	ptwalk_detach(&probe, 1);
	kfree(hits);
}
