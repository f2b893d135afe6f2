// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture test of lockless page-table walks: kthreads walk the page tables of a
 * process, the workload (guest/torture.c), which keeps changing them.
 *
 * A page names its address and generation in its first word, so one that is
 * wrong, was unmapped before or was freed is recognised at once.  Walkers are
 * of three kinds.  The first use the address space and call GUP-fast, with and
 * without a pin.  The second walk it from outside, on CPUs where it is not
 * active: no TLB flush waits for these, as none waits for a preempted virtual
 * CPU, so that a table which is freed too early is freed under them.  The
 * visitors, one on each CPU, use the address space for one walk and leave it.
 *
 * Works on any kernel; nothing of the patches under test is needed.
 */
#define pr_fmt(fmt) "ptwalk-torture: " fmt

#include <linux/cpu.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/seq_buf.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "../lib/common.h"
#include "internal.h"

static int nwalkers = -1;
module_param(nwalkers, int, 0444);
MODULE_PARM_DESC(nwalkers, "kthreads that walk, 128 at most, -1 for one to two CPUs");

static int nvisitors = -1;
module_param(nvisitors, int, 0444);
MODULE_PARM_DESC(nvisitors, "kthreads that use and leave the address space a quarter of the time, 1024 at most, -1 for one on each CPU");

static char *modifiers = "all";
module_param(modifiers, charp, 0444);
MODULE_PARM_DESC(modifiers, "what the workload does: comma-separated names, -name to leave one out");

static unsigned int duration = 60;
module_param(duration, uint, 0444);
MODULE_PARM_DESC(duration, "length of the test (s), 0 until the workload is interrupted");

static unsigned int stat_interval = 15;
module_param(stat_interval, uint, 0444);
MODULE_PARM_DESC(stat_interval, "time between statistics (s), 0 for none but the last");

static unsigned int shuffle_interval = 3;
module_param(shuffle_interval, uint, 0444);
MODULE_PARM_DESC(shuffle_interval, "time between moves of the walkers to other CPUs (s), 0 to leave that to the scheduler");

static unsigned int focus_interval = 1;
module_param(focus_interval, uint, 0444);
MODULE_PARM_DESC(focus_interval, "time between changes of which modifiers run (s), 0 for always all");

static unsigned int onoff_interval;
module_param(onoff_interval, uint, 0444);
MODULE_PARM_DESC(onoff_interval, "time between taking a CPU offline and back (s), 0 for never");

unsigned int torture_hold_us = 200;
module_param_named(hold_us, torture_hold_us, uint, 0444);
MODULE_PARM_DESC(hold_us, "how long a walker stays in a walk now and then, interrupts off (us, at most 1 s)");

unsigned int torture_stay_us = 20000;
module_param_named(stay_us, torture_stay_us, uint, 0444);
MODULE_PARM_DESC(stay_us, "how long a walker may stay in a table that is collapsed, interrupts off (us, at most 1 s)");

static unsigned int seed;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "seed of random choices, 0 for a fresh one");

static bool settle;
module_param(settle, bool, 0444);
MODULE_PARM_DESC(settle, "wait for TLB flushes by an IPI, where an emulator (QEMU's multi-threaded TCG of powerpc) does not");

static const char * const op_names[] = {
	"collapse", "split", "shmem", "file", "dontneed", "free", "munmap",
	"mremap", "mprotect", "fork", "migrate", "swap", "unshare", "reclaim",
	"age", "balance", "press", "onoff",
	"kvm", "store"
};

static_assert(ARRAY_SIZE(op_names) == TORTURE_NR_OPS);

/* One test at a time. */
static DEFINE_MUTEX(torture_lock);
static struct torture *torture;
static u32 modifier_mask, named_mask;

/* ------------------------------------------------------------- tracepoints */

static void nothing(void *unused)
{
}

/* Walkers from outside have no translations to lose. */
static bool may_translate(int cpu, void *unused)
{
	return !cpumask_test_cpu(cpu, &torture_staying);
}

static void settle_now(void)
{
	if (settle)
		on_each_cpu_cond(may_translate, nothing, NULL, true);
}

/*
 * A collapse, or a migration, has flushed the TLB and copies next.  The
 * arguments of these tracepoints, which depend on the kernel's version, are
 * ignored.
 */
static void flushed(void *unused)
{
	settle_now();
}

/*
 * The collapse has its huge page, and clears the PMD next: all threads go on.
 */
static void mm_page_alloc(void *data, struct page *page, unsigned int order,
			  gfp_t gfp_flags, int migratetype)
{
	struct torture *t = data;

	if (order < HPAGE_PMD_ORDER ||
	    current->pid != READ_ONCE(t->ctl->collapser))
		return;
	WRITE_ONCE(t->ctl->allocated, t->ctl->allocated + 1);
	if (!READ_ONCE(t->ctl->pause))
		return;
	WRITE_ONCE(t->ctl->pause, 0);
	wake_up_all(&t->go_on);
}

enum {
	PROBE_ALLOC,
	PROBE_HASH_FAULT,
	PROBE_DETACHED,
	PROBE_FLUSHED,
	NR_PROBES = PROBE_FLUSHED + 3
};

static struct ptwalk_probe probes[NR_PROBES] = {
	[PROBE_ALLOC] = { .name = "mm_page_alloc", .fn = mm_page_alloc },
	[PROBE_HASH_FAULT] = { .name = "hash_fault", .fn = complete },
	[PROBE_DETACHED] = { .name = "hash_fault_detached", .fn = complete },
	[PROBE_FLUSHED] = { .name = "mm_collapse_huge_page_isolate", .fn = flushed },
	[PROBE_FLUSHED + 1] = { .name = "set_migration_pte", .fn = flushed },
	[PROBE_FLUSHED + 2] = { .name = "set_migration_pmd", .fn = flushed },
};

static void probes_start(struct torture *t)
{
	init_completion(&t->faults);
	init_completion(&t->detached);
	probes[PROBE_ALLOC].data = t;
	probes[PROBE_HASH_FAULT].data = &t->faults;
	probes[PROBE_DETACHED].data = &t->detached;
	ptwalk_attach(probes, settle ? NR_PROBES : PROBE_FLUSHED);
}

/* -------------------------------------------------------------- statistics */

static unsigned long failures(struct torture *t, unsigned int what)
{
	return atomic_long_read(&t->nr_fails[what]) +
	       READ_ONCE(t->ctl->fails[what]);
}

static unsigned long happened(struct torture *t, unsigned int op)
{
	return op == TORTURE_ONOFF ? READ_ONCE(t->nr_onoff) :
				     READ_ONCE(t->ctl->ops[op]);
}

static unsigned long walked(struct torture *t, enum walk_kind kind)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < t->nr_walkers + t->nr_visitors; i++)
		sum += READ_ONCE(t->walkers[i].walks[kind]);
	return sum;
}

static void print_stats(struct torture *t)
{
	unsigned int s = (jiffies - t->began) / HZ, i;
	unsigned long n, sum = 0;
	char text[512];
	struct seq_buf buf;

	seq_buf_init(&buf, text, sizeof(text));
	for (i = 0; i < NR_WALKS; i++)
		seq_buf_printf(&buf, " %s: %lu", torture_walk_names[i], walked(t, i));
	if (probes[PROBE_HASH_FAULT].tp)
		seq_buf_printf(&buf, " hash-faults: %u", READ_ONCE(t->faults.done));
	if (probes[PROBE_DETACHED].tp)
		seq_buf_printf(&buf, " re-checked: %u", READ_ONCE(t->detached.done));
	pr_info("%u s walks:%s\n", s, seq_buf_str(&buf));

	seq_buf_init(&buf, text, sizeof(text));
	for (i = 0; i < TORTURE_NR_OPS; i++)
		seq_buf_printf(&buf, " %s: %lu", op_names[i], happened(t, i));
	pr_info("%u s modifiers:%s\n", s, seq_buf_str(&buf));

	seq_buf_init(&buf, text, sizeof(text));
	for (i = 0; i < TORTURE_NR_FAILS; i++) {
		n = failures(t, i);
		sum += n;
		if (n)
			seq_buf_printf(&buf, " %s: %lu", torture_fail_names[i], n);
	}
	pr_info("%u s failures:%s\n", s, sum ? seq_buf_str(&buf) : " none");
}

/* A modifier that was asked for must have run, or nothing was tested. */
static bool was_idle(struct torture *t)
{
	u32 enabled = READ_ONCE(t->ctl->enabled);
	bool idle = false;
	unsigned int i;

	for (i = 0; i < TORTURE_NR_OPS; i++) {
		if (!((enabled | named_mask) & BIT(i)) || happened(t, i))
			continue;
		pr_alert("!!! %s %s\n", op_names[i],
			 enabled & BIT(i) ? "never happened" : "not available here");
		idle = true;
	}
	for (i = 0; i < WALK_MISSED; i++) {
		if (walked(t, i) || (i == WALK_FOREIGN && t->nr_walkers < 2) ||
		    (i == WALK_VISIT && !(t->nr_visitors && enabled & TORTURE_VISITED)))
			continue;
		pr_alert("!!! no walk of the kind %s\n", torture_walk_names[i]);
		idle = true;
	}
	return idle;
}

static bool has_failed(struct torture *t)
{
	unsigned int i;

	for (i = 0; i < TORTURE_NR_FAILS; i++)
		if (failures(t, i))
			return true;
	return false;
}

static void print_parameters(struct torture *t, const char *title)
{
	pr_info("%s nwalkers=%u nvisitors=%u modifiers=%s duration=%u stat_interval=%u shuffle_interval=%u focus_interval=%u onoff_interval=%u hold_us=%u stay_us=%u settle=%d seed=%u\n",
		title, t->nr_walkers, t->nr_visitors, modifiers, duration, stat_interval,
		shuffle_interval, focus_interval, onoff_interval,
		torture_hold_us, torture_stay_us, settle, t->seed);
}

static void print_missing(struct torture *t)
{
	u32 missing = modifier_mask & ~t->ctl->enabled & ~BIT(TORTURE_ONOFF);
	char text[256];
	struct seq_buf buf;
	int i;

	seq_buf_init(&buf, text, sizeof(text));
	for (i = 0; i < TORTURE_NR_OPS; i++)
		if (missing & BIT(i))
			seq_buf_printf(&buf, " %s", op_names[i]);
	if (missing)
		pr_info("not available here:%s\n", seq_buf_str(&buf));
}

/* --------------------------------------------------- what goes on meanwhile */

/* @nth: any number */
static void move_to(struct walker *w, u32 nth)
{
	int cpu;

	cpus_read_lock();
	cpu = cpumask_nth(nth % num_online_cpus(), cpu_online_mask);
	set_cpus_allowed_ptr(w->task, cpumask_of(cpu));
	cpus_read_unlock();
}

static void shuffle(struct torture *t)
{
	unsigned int i;

	for (i = 0; i < t->nr_walkers; i++)
		move_to(&t->walkers[i], prandom_u32_state(&t->rnd));
}

/*
 * Modifiers wait for each other, above all for mmap_lock.  Half of the time,
 * only some of them run.  A quarter of the time, all of them run with visitors.
 */
static void focus(struct torture *t)
{
	u32 random = prandom_u32_state(&t->rnd);
	u32 mask = t->ctl->enabled;

	if (random % 4 == 0)
		mask &= BIT(TORTURE_COLLAPSE);
	else if (random % 4 == 1)
		mask &= BIT(random / 4 % TORTURE_NR_OPS);
	/* They take the time of all CPUs. */
	WRITE_ONCE(t->visiting, random % 4 == 3);
	WRITE_ONCE(t->ctl->focus, mask ?: t->ctl->enabled);
}

static bool is_time(unsigned int interval, unsigned int s)
{
	return interval && s && s % interval == 0;
}

static int keeper_fn(void *arg)
{
	struct torture *t = arg;
	unsigned int s = 0;

	while (!kthread_should_stop()) {
		schedule_timeout_interruptible(HZ);
		if (s == (jiffies - t->began) / HZ)
			continue;
		s = (jiffies - t->began) / HZ;
		if (is_time(stat_interval, s))
			print_stats(t);
		if (is_time(shuffle_interval, s))
			shuffle(t);
		if (is_time(focus_interval, s))
			focus(t);
		if (duration && s >= duration) {
			WRITE_ONCE(t->ctl->stop, 1);
			WRITE_ONCE(t->ctl->pause, 0);
			wake_up_all(&t->go_on);
		}
	}
	return 0;
}

#ifdef CONFIG_HOTPLUG_CPU
static int onoff_fn(void *arg)
{
	struct torture *t = arg;
	struct rnd_state rnd;
	int cpu;

	prandom_seed_state(&rnd, t->seed + TORTURE_MAX_WALKERS + 1);
	while (!kthread_should_stop()) {
		schedule_timeout_interruptible(onoff_interval * HZ);
		cpu = cpumask_nth(prandom_u32_state(&rnd) % num_online_cpus(),
				  cpu_online_mask);
		if (kthread_should_stop() || !cpu || !cpu_is_hotpluggable(cpu))
			continue;
		if (remove_cpu(cpu))
			continue;
		schedule_timeout_interruptible(HZ / 2);
		if (add_cpu(cpu))
			pr_alert("CPU %d does not come back\n", cpu);
		WRITE_ONCE(t->nr_onoff, t->nr_onoff + 1);
	}
	return 0;
}
#else
static int onoff_fn(void *arg)
{
	return 0;
}
#endif

/* -------------------------------------------------------------- the device */

static void stop_kthread(struct task_struct **task)
{
	if (*task)
		kthread_stop_put(*task);
	*task = NULL;
}

static struct task_struct *start_kthread(int (*fn)(void *), void *arg,
					 const char *name)
{
	struct task_struct *task = kthread_create(fn, arg, "ptwalk_%s", name);

	if (IS_ERR(task))
		return NULL;
	get_task_struct(task);
	wake_up_process(task);
	return task;
}

static void stop(struct torture *t)
{
	unsigned int i;

	stop_kthread(&t->onoff);
	stop_kthread(&t->keeper);
	for (i = 0; i < t->nr_walkers + t->nr_visitors; i++)
		stop_kthread(&t->walkers[i].task);
	ptwalk_detach(probes, NR_PROBES);
}

static bool good_region(const struct torture_region *r)
{
	return IS_ALIGNED(r->addr, PAGE_SIZE) && r->nr_pages && r->hole != 1 &&
	       r->addr < TASK_SIZE &&
	       r->nr_pages <= (TASK_SIZE - r->addr) >> PAGE_SHIFT;
}

static int start(struct torture *t)
{
	unsigned int i;
	bool visits;

	if (t->mm || t->ended)
		return -EBUSY;
	memcpy(t->regions, t->ctl->regions, sizeof(t->regions));
	t->nr_regions = READ_ONCE(t->ctl->nr_regions);
	if (!t->nr_regions || t->nr_regions > TORTURE_MAX_REGIONS)
		return -EINVAL;
	for (i = 0; i < t->nr_regions; i++)
		if (!good_region(&t->regions[i]))
			return -EINVAL;
	t->mm = current->mm;
	mmget(t->mm);
	t->owner = current->files;
	t->began = jiffies;
	WRITE_ONCE(t->ctl->focus, t->ctl->enabled);
	t->visiting = true;
	print_parameters(t, "Start of test:");
	print_missing(t);
	probes_start(t);
	for (i = 0; i < t->nr_walkers + t->nr_visitors; i++) {
		visits = i >= t->nr_walkers;
		t->walkers[i].torture = t;
		t->walkers[i].id = i;
		prandom_seed_state(&t->walkers[i].rnd, t->seed + i);
		t->walkers[i].task = start_kthread(visits ? torture_visitor : torture_walker,
						   &t->walkers[i], visits ? "visitor" : "walker");
		if (!t->walkers[i].task)
			return -ENOMEM;
		if (visits)
			move_to(&t->walkers[i], i - t->nr_walkers);
	}
	t->keeper = start_kthread(keeper_fn, t, "keeper");
	if (!t->keeper)
		return -ENOMEM;
	if (onoff_interval && modifier_mask & BIT(TORTURE_ONOFF) &&
	    IS_ENABLED(CONFIG_HOTPLUG_CPU)) {
		t->ctl->enabled |= BIT(TORTURE_ONOFF);
		t->onoff = start_kthread(onoff_fn, t, "onoff");
	}
	return 0;
}

/* The workload is @done, or has died. */
static int end(struct torture *t, bool done)
{
	bool good;

	if (!t->mm || t->ended)
		return -EINVAL;
	t->ended = true;
	stop(t);
	/*
	 * The workload maps a page of ours, which would keep this module
	 * loaded.
	 */
	mmput(t->mm);
	t->mm = NULL;
	print_stats(t);
	if (!done)
		pr_alert("!!! the workload ended early\n");
	good = !was_idle(t) && !has_failed(t) && done;
	print_parameters(t, good ? "End of test: SUCCESS:" :
				   "End of test: FAILURE:");
	return good ? 0 : -EIO;
}

static unsigned int how_many_walkers(void)
{
	return nwalkers < 0 ? clamp(num_online_cpus() / 2, 2, TORTURE_MAX_WALKERS) :
			      nwalkers;
}

static struct torture *new_torture(void)
{
	struct torture *t = kzalloc(sizeof(*t), GFP_KERNEL);

	BUILD_BUG_ON(sizeof(*t->ctl) > PAGE_SIZE);
	if (!t)
		return NULL;
	t->nr_walkers = how_many_walkers();
	t->nr_visitors = nvisitors < 0 ? num_online_cpus() : nvisitors;
	t->walkers = kcalloc(t->nr_walkers + t->nr_visitors, sizeof(*t->walkers), GFP_KERNEL);
	t->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!t->walkers || !t->page) {
		if (t->page)
			__free_page(t->page);
		kfree(t->walkers);
		kfree(t);
		return NULL;
	}
	init_waitqueue_head(&t->go_on);
	t->seed = seed ?: get_random_u32();
	prandom_seed_state(&t->rnd, t->seed + TORTURE_MAX_WALKERS);
	t->ctl = page_address(t->page);
	t->ctl->seed = t->seed;
	t->ctl->modifiers = modifier_mask;
	t->ctl->settle = settle;
	return t;
}

static int torture_open(struct inode *inode, struct file *file)
{
	int ret = -EBUSY;

	mutex_lock(&torture_lock);
	if (!torture) {
		torture = new_torture();
		ret = torture ? 0 : -ENOMEM;
	}
	mutex_unlock(&torture_lock);
	return ret;
}

/* Children of the workload have the device open, too. */
static int torture_flush(struct file *file, fl_owner_t id)
{
	mutex_lock(&torture_lock);
	if (id == torture->owner)
		end(torture, false);
	mutex_unlock(&torture_lock);
	return 0;
}

static int torture_release(struct inode *inode, struct file *file)
{
	mutex_lock(&torture_lock);
	__free_page(torture->page);
	kfree(torture->walkers);
	kfree(torture);
	torture = NULL;
	mutex_unlock(&torture_lock);
	return 0;
}

static int torture_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_end - vma->vm_start != PAGE_SIZE || vma->vm_pgoff ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	return vm_insert_page(vma, vma->vm_start, torture->page);
}

static ssize_t torture_read(struct file *file, char __user *buf, size_t len,
			    loff_t *pos)
{
	return wait_event_interruptible(torture->go_on,
					!READ_ONCE(torture->ctl->pause));
}

static ssize_t torture_write(struct file *file, const char __user *buf,
			     size_t len, loff_t *pos)
{
	char command[16] = {};
	int ret = 0;

	if (len >= sizeof(command))
		return -EINVAL;
	if (copy_from_user(command, buf, len))
		return -EFAULT;
	if (!strcmp(command, TORTURE_SETTLE)) {
		settle_now();
		return len;
	}
	if (!strcmp(command, TORTURE_GO)) {
		wake_up_all(&torture->go_on);
		return len;
	}
	mutex_lock(&torture_lock);
	if (!strcmp(command, TORTURE_START))
		ret = start(torture);
	else if (!strcmp(command, TORTURE_END))
		ret = end(torture, true);
	else
		ret = -EINVAL;
	mutex_unlock(&torture_lock);
	return ret ?: len;
}

static const struct file_operations torture_fops = {
	.owner = THIS_MODULE,
	.open = torture_open,
	.flush = torture_flush,
	.release = torture_release,
	.mmap = torture_mmap,
	.read = torture_read,
	.write = torture_write,
};

static struct miscdevice torture_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = TORTURE_DEVICE,
	.fops = &torture_fops,
	.mode = 0600,
};

static int __init parse_modifier(const char *name)
{
	bool without = *name == '-';
	u32 mask = 0;
	int op;

	name += without;
	if (!strcmp(name, "all"))
		mask = GENMASK(TORTURE_NR_OPS - 1, 0);
	op = match_string(op_names, TORTURE_NR_OPS, name);
	if (op >= 0)
		mask = BIT(op);
	if (op >= 0 && !without)
		named_mask |= mask;
	if (op == TORTURE_ONOFF && !without && !onoff_interval) {
		pr_err("modifier \"onoff\" needs onoff_interval=SECONDS\n");
		return -EINVAL;
	}
	if (!mask) {
		pr_err("unknown modifier \"%s\"\n", name);
		return -EINVAL;
	}
	/* "-name" alone means all but that. */
	if (without && !modifier_mask)
		modifier_mask = GENMASK(TORTURE_NR_OPS - 1, 0);
	if (without)
		modifier_mask &= ~mask;
	else
		modifier_mask |= mask;
	return 0;
}

static int __init parse_modifiers(void)
{
	char *copy = kstrdup(modifiers, GFP_KERNEL), *rest = copy, *name;
	int ret = 0;

	if (!copy)
		return -ENOMEM;
	while (!ret && (name = strsep(&rest, ",")))
		ret = parse_modifier(name);
	kfree(copy);
	if (!ret && !modifier_mask) {
		pr_err("modifiers=%s leaves nothing to do\n", modifiers);
		return -EINVAL;
	}
	return ret;
}

static int __init check_walkers(void)
{
	if (nvisitors < -1 || nvisitors > TORTURE_MAX_VISITORS) {
		pr_err("nvisitors=%d is out of range: 0 to %d, or -1\n", nvisitors,
		       TORTURE_MAX_VISITORS);
		return -EINVAL;
	}
	if (nwalkers == -1 || (nwalkers >= 1 && nwalkers <= TORTURE_MAX_WALKERS))
		return 0;
	pr_err("nwalkers=%d is out of range: 1 to %d, or -1\n", nwalkers,
	       TORTURE_MAX_WALKERS);
	return -EINVAL;
}

static int __init torture_init(void)
{
	/* Interrupts are off that long. */
	return ptwalk_check_range("hold_us", torture_hold_us, 0, USEC_PER_SEC) ?:
	       ptwalk_check_range("stay_us", torture_stay_us, 0, USEC_PER_SEC) ?:
	       check_walkers() ?:
	       parse_modifiers() ?: misc_register(&torture_device);
}
module_init(torture_init);

static void __exit torture_exit(void)
{
	misc_deregister(&torture_device);
}
module_exit(torture_exit);

MODULE_DESCRIPTION("Torture test of lockless page-table walks");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
