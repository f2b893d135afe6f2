// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workload of ptwalk_torture.ko: changes its own page tables in every way
 * there is, while the module walks them, and threads, and a guest of KVM, count in
 * memory that is never to lose a store.
 *
 *   insmod ptwalk_torture.ko [duration=SECONDS] [seed=N] ...
 *   torture
 *
 * Exit status: 0 SUCCESS, 1 FAILURE, 2 it could not run.  Statistics and the
 * verdict are in the kernel log.  Needs root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../module/torture/torture.h"
#include "file.h"
#include "mm.h"
#include "vmm.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define BASE		(1UL << 42)	/* far from the heap, on powerpc at 1UL << 40 and more */
#define GIGABYTE	(1UL << 30)
#define COUNTED		3		/* huge pages of memory that is counted in */
#define SHARED		1		/* last of these: forked, made read-only */
#define SPARSE		16		/* pages of a region that is not filled */
#define NR_HUGETLB	2
#define NR_TABLES	3		/* that are emptied while others fill them */
#define NR_STORERS	2
#define NR_SPINNING	2		/* threads that pause without sleeping */
#define KVM_STEP	8		/* pages from one that a guest counts in to the next */

enum {
	R_COUNTED, R_SHMEM, R_SHMEM2, R_FILE, R_DONTNEED, R_FREE, R_MUNMAP, R_MREMAP,
	R_MREMAP2, R_SWAP, R_RECLAIM, R_HUGETLB, NR_REGIONS
};

static struct torture_ctl *ctl;
static int device;
static long page_size, huge_size;
static unsigned int nr_threads, first_page;

/*
 * What the threads tell each other.  Shared memory, which fork() does not make
 * read-only for a while: where a flush does not wait, a store of one thread would
 * be lost when another one copies the page.
 */
static struct {
	pthread_mutex_t pausing;
	unsigned int paused;		/* threads */
	unsigned int storing;		/* threads, in R_RECLAIM */
	uint32_t given_back;		/* odd: memory in R_RECLAIM may vanish */
} *told;

/* ------------------------------------------------------------------- helpers */

/* @error: an errno, or 0 */
static __attribute__((noreturn)) void die(int error, const char *what, const char *cure)
{
	fprintf(stderr, "torture: %s%s%s\ntorture: cure: %s\n", what,
		error ? ": " : "", error ? strerror(error) : "", cure);
	exit(2);
}

static void fail(unsigned int what, const char *text, unsigned long detail)
{
	if (__atomic_add_fetch(&ctl->fails[what], 1, __ATOMIC_RELAXED) <= 5)
		fprintf(stderr, "torture: !!! %s (%#lx, errno %d)\n", text,
			detail, errno);
}

static void count(unsigned int op, unsigned long n)
{
	__atomic_add_fetch(&ctl->ops[op], n, __ATOMIC_RELAXED);
}

static bool stopped(void)
{
	return __atomic_load_n(&ctl->stop, __ATOMIC_RELAXED);
}

static int tell(const char *command)
{
	return write(device, command, strlen(command)) < 0 ? -1 : 0;
}

static void settle(void)
{
	if (ctl->settle)
		tell(TORTURE_SETTLE);
}

static bool wanted(unsigned int op)
{
	return ctl->modifiers & 1u << op;
}

static uint32_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 16;
}

/* ------------------------------------------------------------------- regions */

static struct torture_region *region(int r)
{
	return &ctl->regions[r];
}

static char *start_of(int r)
{
	return (char *)region(r)->addr;
}

static size_t size_of(int r)
{
	size_t size = (size_t)region(r)->nr_pages * page_size;

	return (size + huge_size - 1) / huge_size * huge_size;
}

static volatile uint64_t *word_of(int r, unsigned int page, unsigned int word)
{
	return (uint64_t *)(start_of(r) + page * page_size) + word;
}

static bool is_hole(const struct torture_region *r, unsigned int page)
{
	return r->hole && page % r->hole == r->hole - 1;
}

static void map(int r, int fd, bool huge)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	if (mmap(start_of(r), size_of(r), PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED)
		fail(TORTURE_FAIL_REFUSED, "mmap", r);
	madvise(start_of(r), size_of(r), huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static void fill(int r)
{
	struct torture_region *reg = region(r);

	for (unsigned int i = 0; i < reg->nr_pages; i++)
		*word_of(r, i, 0) = torture_tag(reg, i, reg->gen);
}

/* What was there is unmapped; what comes next is of the next generation. */
static void set_generation(int r, uint32_t gen)
{
	/* Pairs with smp_load_acquire() and smp_rmb() in the module. */
	__atomic_store_n(&region(r)->gen, gen, __ATOMIC_SEQ_CST);
}

static void add_region(int r, unsigned int pages, unsigned int id,
		       unsigned int flags)
{
	*region(r) = (struct torture_region){
		.addr = BASE + 4ul * r * huge_size, .nr_pages = pages, .id = id,
		.flags = flags, .gen = 1,
	};
}

static void check_tags(int r, bool may_be_empty)
{
	struct torture_region *reg = region(r);

	for (unsigned int i = 0; i < reg->nr_pages; i++) {
		uint64_t word = *word_of(r, i, 0);

		if (word != torture_tag(reg, i, reg->gen) &&
		    (word || !may_be_empty))
			fail(word ? TORTURE_FAIL_WRONG : TORTURE_FAIL_ZEROED,
			     "contents", (unsigned long)word_of(r, i, 0));
	}
}

/* --------------------------------------------------------- threads that count */

static void pause_if_told(unsigned int id)
{
	char c;

	if (!__atomic_load_n(&ctl->pause, __ATOMIC_RELAXED))
		return;
	__atomic_add_fetch(&told->paused, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&ctl->pause, __ATOMIC_RELAXED) && !stopped()) {
		if (id < NR_SPINNING)
			sched_yield();
		else if (read(device, &c, 1) < 0 && errno != EINTR)
			sched_yield();
	}
	__atomic_sub_fetch(&told->paused, 1, __ATOMIC_SEQ_CST);
}

/* Memory is made read-only for a while: try again until it is not. */
static void on_segv(int sig, siginfo_t *info, void *context)
{
	struct torture_region *r = region(R_COUNTED);
	unsigned long addr = (unsigned long)info->si_addr;

	(void)sig, (void)context;
	if (addr - r->addr >= (unsigned long)r->nr_pages * page_size) {
		signal(SIGSEGV, SIG_DFL);
		return;
	}
	sched_yield();
}

static void check_word(uint64_t *expected, unsigned int id, unsigned int page)
{
	uint64_t word = *word_of(R_COUNTED, page, TORTURE_THREAD_WORD + id);

	if (word == *expected)
		return;
	fail(TORTURE_FAIL_LOST, "a store was lost",
	     (unsigned long)word_of(R_COUNTED, page, TORTURE_THREAD_WORD + id));
	*expected = word;
}

/* Takes turns with the others: seldom two fault on one page at a time. */
static void *counter_fn(void *arg)
{
	struct torture_region *r = region(R_COUNTED);
	unsigned int id = (uintptr_t)arg, turn = id, i, page;
	uint64_t *words = calloc(r->nr_pages, sizeof(*words));

	if (!words)
		die(errno, "calloc", "free some memory");
	for (; !stopped(); turn++) {
		for (i = turn % nr_threads; i < r->nr_pages && !ctl->pause &&
		     !stopped(); i += nr_threads) {
			page = (first_page + i) % r->nr_pages;
			if (is_hole(r, page))
				continue;
			check_word(&words[page], id, page);
			*word_of(R_COUNTED, page, TORTURE_THREAD_WORD + id) = ++words[page];
			count(TORTURE_STORE, 1);
		}
		pause_if_told(id);
	}
	for (i = 0; i < r->nr_pages; i++)
		if (!is_hole(r, i))
			check_word(&words[i], id, i);
	free(words);
	return NULL;
}

static unsigned int first_shared(void)
{
	return (COUNTED - SHARED) * (huge_size / page_size);
}

static int protect_shared(int prot)
{
	return mprotect(start_of(R_COUNTED) + (COUNTED - SHARED) * huge_size,
			SHARED * huge_size, prot);
}

static uint64_t sum_of_words(void)
{
	struct torture_region *r = region(R_COUNTED);
	uint64_t sum = 0;

	for (unsigned int i = first_shared(); i < r->nr_pages; i++) {
		if (is_hole(r, i))
			continue;
		for (unsigned int id = 0; id < nr_threads; id++)
			sum += *word_of(R_COUNTED, i, TORTURE_THREAD_WORD + id);
		sum += *word_of(R_COUNTED, i, TORTURE_VCPU_WORD);
	}
	return sum;
}

/* ------------------------------------------------------------ a guest of KVM */

static struct vcpu vcpu;
static cpu_set_t vcpu_cpus;

/*
 * Its memory is what is counted in, so KVM has to follow all that happens there.  It
 * leaves out the holes, which are no multiple of KVM_STEP.
 */
static bool create_guest(int kvm)
{
	struct torture_region *r = region(R_COUNTED);
	struct guest_loop loop = {
		.first = MEMORY_GPA + TORTURE_VCPU_WORD * sizeof(uint64_t),
		.stride = KVM_STEP * page_size, .pages = r->nr_pages / KVM_STEP,
	};
	int vm = ioctl(kvm, KVM_CREATE_VM, arch_vm_type());
	char *code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (vm < 0 || code == MAP_FAILED || arch_init_vm(vm))
		return false;
	memcpy(code + CODE_ENTRY, guest_code, guest_code_end - guest_code);
	for (unsigned int i = 0; i < loop.pages; i++)
		*word_of(R_COUNTED, i * KVM_STEP, TORTURE_VCPU_WORD) = guest_tag(i, 0);
	vcpu.fd = ioctl(vm, KVM_CREATE_VCPU, 0);
	vcpu.run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
			MAP_SHARED, vcpu.fd, 0);
	return vcpu.run != MAP_FAILED &&
	       !guest_set_slot(vm, 0, 0, CODE_GPA, code, CODE_SIZE) &&
	       !guest_set_slot(vm, 1, 0, MEMORY_GPA, start_of(R_COUNTED), size_of(R_COUNTED)) &&
	       !arch_init_vcpu(&vcpu, &loop);
}

/*
 * Not where the emulator does not wait for a flush, nor where it bears a guest on one
 * CPU alone: QEMU's pseries knows no flush of what another CPU's guest has translated.
 */
static bool has_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (ctl->settle || kvm < 0 || arch_lacks(kvm) ||
	    sched_getaffinity(0, sizeof(vcpu_cpus), &vcpu_cpus))
		return false;
	arch_choose_cpus(&vcpu_cpus);
	return CPU_COUNT(&vcpu_cpus) > 1 && create_guest(kvm);
}

/* What the guest stored in @pass, or in as many more, has to be what the host reads. */
static void check_vcpu_words(unsigned int pass, unsigned int more)
{
	for (unsigned int i = 0; i < region(R_COUNTED)->nr_pages / KVM_STEP; i++) {
		uint32_t word = *word_of(R_COUNTED, i * KVM_STEP, TORTURE_VCPU_WORD);

		if (word - guest_tag(i, pass) > more)
			fail(TORTURE_FAIL_LOST, "a guest's store was lost", i * KVM_STEP);
	}
}

static void *vcpu_fn(void *arg)
{
	struct guest_mismatch m;
	unsigned int pass = 0;

	(void)arg;
	sched_setaffinity(0, sizeof(vcpu_cpus), &vcpu_cpus);
	while (!stopped()) {
		if (ioctl(vcpu.fd, KVM_RUN, 0)) {
			/* EFAULT: its memory is read-only for a while. */
			if ((errno != EFAULT || !wanted(TORTURE_MPROTECT)) &&
			    errno != EINTR && errno != EAGAIN) {
				fail(TORTURE_FAIL_REFUSED, "KVM_RUN", 0);
				return NULL;
			}
			usleep(200);
			continue;
		}
		switch (arch_guest_exit(&vcpu, &m)) {
		case GUEST_PASS:
			pass++;
			check_vcpu_words(pass, 0);
			count(TORTURE_KVM, 1);
			break;
		case GUEST_MISMATCH:
			fail(TORTURE_FAIL_LOST, "a guest does not read what it stored", m.address);
			break;
		default:
			fail(TORTURE_FAIL_REFUSED, "the guest is lost", vcpu.run->exit_reason);
			return NULL;
		}
	}
	check_vcpu_words(pass, 1);
	return NULL;
}

/* ----------------------------------------------------------------- modifiers */

static void pause_threads(bool pause)
{
	pthread_mutex_lock(&told->pausing);
	__atomic_store_n(&ctl->pause, pause, __ATOMIC_SEQ_CST);
	while (pause && __atomic_load_n(&told->paused, __ATOMIC_SEQ_CST) < nr_threads &&
	       !stopped())
		sched_yield();
}

static void go_on(void)
{
	__atomic_store_n(&ctl->pause, 0, __ATOMIC_SEQ_CST);
	tell(TORTURE_GO);
	pthread_mutex_unlock(&told->pausing);
}

/*
 * A collapse right after a split, which leaves no translation: all threads are
 * in page faults when it takes the table away.
 */
static bool split_and_collapse(unsigned int page, bool huge, bool pause)
{
	char *addr = (char *)word_of(R_COUNTED, page, 0);
	uint32_t before;
	bool done;

	__atomic_store_n(&first_page, page, __ATOMIC_RELAXED);
	pause_threads(pause);
	if (wanted(TORTURE_SPLIT) &&
	    !madvise(addr + huge_size - page_size, page_size, MADV_DONTNEED))
		count(TORTURE_SPLIT, huge);
	/* After fork() no page is writable; one has to be. */
	if (page >= first_shared())
		*word_of(R_COUNTED, page, 0) += 0;
	before = ctl->allocated;
	__atomic_store_n(&ctl->collapsing, (uintptr_t)addr, __ATOMIC_SEQ_CST);
	/* Collapse of what is huge already succeeds, too, and does nothing. */
	done = !madvise(addr, huge_size, MADV_COLLAPSE) && ctl->allocated != before;
	__atomic_store_n(&ctl->collapsing, 0, __ATOMIC_SEQ_CST);
	go_on();
	return done;
}

/* Fails if a walker, or migration, holds a reference just then. */
static void collapse(uint64_t *random)
{
	static bool huge[COUNTED];
	unsigned int n = rnd(random) % COUNTED, tries = 5;
	bool pause = rnd(random) % 4;

	ctl->collapser = gettid();
	do {
		huge[n] = split_and_collapse(n * (huge_size / page_size), huge[n], pause);
	} while (!huge[n] && --tries && !stopped());
	count(TORTURE_COLLAPSE, huge[n]);
	usleep(rnd(random) % 4000);
}

static void protect(uint64_t *random)
{
	uint64_t sum;

	if (protect_shared(PROT_READ))
		fail(TORTURE_FAIL_REFUSED, "mprotect", 0);
	settle();
	sum = sum_of_words();
	usleep(rnd(random) % 1000);
	if (sum != sum_of_words())
		fail(TORTURE_FAIL_LEAKED, "read-only memory changed", sum);
	if (protect_shared(PROT_READ | PROT_WRITE))
		fail(TORTURE_FAIL_REFUSED, "mprotect", 1);
	count(TORTURE_MPROTECT, 1);
	usleep(20000);
}

static void child(int ready)
{
	struct torture_region *r = region(R_COUNTED);
	uint64_t sum;
	char c;

	if (read(ready, &c, 1) != 1)
		_exit(2);
	protect_shared(PROT_READ | PROT_WRITE);
	sum = sum_of_words();
	for (unsigned int i = first_shared(); i < r->nr_pages; i++)
		if (!is_hole(r, i))
			*word_of(R_COUNTED, i, 0) += 0;
	_exit(sum != sum_of_words());
}

/*
 * The child sees nothing of what is counted after it was made.  Where a flush
 * does not wait, a thread might store in a page that another one just copies.
 */
static void copy_on_write(uint64_t *random)
{
	int ready[2], status = 0;
	pid_t pid;

	if (pipe(ready))
		return;
	if (ctl->settle)
		pause_threads(true);
	pid = fork();
	if (!pid)
		child(ready[0]);
	settle();
	if (ctl->settle)
		go_on();
	if (write(ready[1], "", 1) != 1 || pid < 0 ||
	    waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) > 1 ||
	    WIFSIGNALED(status))
		fail(TORTURE_FAIL_REFUSED, "fork", status);
	else if (WEXITSTATUS(status))
		fail(TORTURE_FAIL_LEAKED, "a child sees its parent's stores", 0);
	else
		count(TORTURE_FORK, 1);
	close(ready[0]);
	close(ready[1]);
	usleep(rnd(random) % 50000);
}

static int shmem_fd;

static void shmem(uint64_t *random)
{
	uint32_t gen = region(R_SHMEM)->gen + 1;

	if (fallocate(shmem_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      huge_size))
		return fail(TORTURE_FAIL_REFUSED, "fallocate", 0);
	set_generation(R_SHMEM, gen);
	set_generation(R_SHMEM2, gen);
	fill(rnd(random) % 2 ? R_SHMEM : R_SHMEM2);
	check_tags(R_SHMEM, false);
	check_tags(R_SHMEM2, false);
	if (!madvise(start_of(R_SHMEM), huge_size, MADV_COLLAPSE))
		count(TORTURE_SHMEM, 1);
	check_tags(R_SHMEM2, false);
	check_tags(R_SHMEM, false);
}

static int ramfs;

/*
 * Who opens a file for writing takes its huge pages away.  Its pages are empty: were
 * they written, they would stay dirty there, and the kernel collapses none that is.
 */
static int open_file(void)
{
	int file = openat(ramfs, "file", O_CREAT | O_WRONLY, 0600);
	bool done = file >= 0 && !ftruncate(file, huge_size);

	close(file);
	return done ? openat(ramfs, "file", O_RDONLY) : -1;
}

static void map_file(int file)
{
	if (mmap(start_of(R_FILE), huge_size, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0) ==
	    MAP_FAILED)
		fail(TORTURE_FAIL_REFUSED, "mmap of a file", 0);
	close(file);
}

static bool collapse_file(void)
{
	bool done;

	check_tags(R_FILE, true);
	done = !madvise(start_of(R_FILE), huge_size, MADV_COLLAPSE);
	check_tags(R_FILE, true);
	return done;
}

static void file(uint64_t *random)
{
	(void)random;
	map_file(open_file());
	if (collapse_file())
		count(TORTURE_FILE, 1);
}

static void dontneed(uint64_t *random)
{
	int r = R_DONTNEED;

	madvise(start_of(r), size_of(r), rnd(random) % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	fill(r);
	if (madvise(start_of(r), size_of(r), MADV_DONTNEED))
		fail(TORTURE_FAIL_REFUSED, "MADV_DONTNEED", 0);
	set_generation(r, region(r)->gen + 1);
	count(TORTURE_DONTNEED, 1);
}

/*
 * Where a flush does not wait, a thread might store in a page that was freed: then
 * nobody stores meanwhile.
 */
static bool may_store(void)
{
	__atomic_add_fetch(&told->storing, 1, __ATOMIC_SEQ_CST);
	if (!ctl->settle || !(__atomic_load_n(&told->given_back, __ATOMIC_SEQ_CST) & 1))
		return true;
	__atomic_sub_fetch(&told->storing, 1, __ATOMIC_SEQ_CST);
	return false;
}

/*
 * Refills tables while they are emptied.  A store must still be there at the next
 * visit, if nothing was given back in between.  What got into a table that was
 * detached is accounted for ever: the kernel says so when the process ends.
 */
static void *storer_fn(void *arg)
{
	struct torture_region *r = region(R_RECLAIM);
	unsigned int id = (uintptr_t)arg, page;
	uint64_t random = ctl->seed + 0x10000 + id, value = 0;
	struct { uint64_t value; uint32_t when; } *stores = calloc(r->nr_pages, sizeof(*stores)), *s;
	volatile uint64_t *word;

	if (!stores)
		die(errno, "calloc", "free some memory");
	while (!stopped()) {
		if (!(ctl->focus & 1u << TORTURE_RECLAIM) || !may_store()) {
			usleep(1000);
			continue;
		}
		page = rnd(&random) % r->nr_pages;
		s = &stores[page];
		word = word_of(R_RECLAIM, page, TORTURE_THREAD_WORD + id);
		/* The load of the word comes before the second one of when. */
		if (s->value && !(s->when & 1) && *word != s->value &&
		    __atomic_load_n(&told->given_back, __ATOMIC_SEQ_CST) == s->when)
			fail(TORTURE_FAIL_LOST, "a store was lost", (unsigned long)word);
		s->when = __atomic_load_n(&told->given_back, __ATOMIC_SEQ_CST);
		s->value = *word = ++value;
		__atomic_sub_fetch(&told->storing, 1, __ATOMIC_SEQ_CST);
	}
	free(stores);
	return NULL;
}

static void reclaim(uint64_t *random)
{
	unsigned int first = rnd(random) % NR_TABLES;
	char *addr = start_of(R_RECLAIM) + first * huge_size;
	size_t size = (1 + rnd(random) % (NR_TABLES - first)) * huge_size;

	__atomic_add_fetch(&told->given_back, 1, __ATOMIC_SEQ_CST);
	while (ctl->settle && __atomic_load_n(&told->storing, __ATOMIC_SEQ_CST) && !stopped())
		sched_yield();
	madvise(addr, size, rnd(random) % 4 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	if (madvise(addr, size, MADV_DONTNEED))
		fail(TORTURE_FAIL_REFUSED, "MADV_DONTNEED", 0);
	settle();
	__atomic_add_fetch(&told->given_back, 1, __ATOMIC_SEQ_CST);
	count(TORTURE_RECLAIM, 1);
	usleep(rnd(random) % 4000);
}

static void lazy_free(uint64_t *random)
{
	if (madvise(start_of(R_FREE), size_of(R_FREE), MADV_FREE))
		fail(TORTURE_FAIL_REFUSED, "MADV_FREE", 0);
	if (rnd(random) % 2)
		madvise(start_of(R_FREE), size_of(R_FREE), MADV_PAGEOUT);
	check_tags(R_FREE, true);
	fill(R_FREE);
	if (rnd(random) % 2)
		madvise(start_of(R_FREE), size_of(R_FREE), MADV_PAGEOUT);
	check_tags(R_FREE, false);
	count(TORTURE_FREE, 1);
}

static void unmap(uint64_t *random)
{
	int r = R_MUNMAP;

	map(r, -1, rnd(random) % 2);
	fill(r);
	if (munmap(start_of(r), size_of(r)))
		fail(TORTURE_FAIL_REFUSED, "munmap", 0);
	set_generation(r, region(r)->gen + 1);
	count(TORTURE_MUNMAP, 1);
}

static void move(uint64_t *random)
{
	uint32_t gen = region(R_MREMAP)->gen;

	map(R_MREMAP, -1, rnd(random) % 2);
	fill(R_MREMAP);
	set_generation(R_MREMAP2, gen);
	if (mremap(start_of(R_MREMAP), size_of(R_MREMAP), size_of(R_MREMAP),
		   MREMAP_MAYMOVE | MREMAP_FIXED, start_of(R_MREMAP2)) == MAP_FAILED)
		fail(TORTURE_FAIL_REFUSED, "mremap", 0);
	set_generation(R_MREMAP, gen + 1);
	check_tags(R_MREMAP2, false);
	munmap(start_of(R_MREMAP2), size_of(R_MREMAP2));
	set_generation(R_MREMAP2, gen + 1);
	count(TORTURE_MREMAP, 1);
}

/* Compaction moves pages of everybody, these among them. */
static void migrate(uint64_t *random)
{
	long before = number_in("/proc/vmstat", "pgmigrate_success");

	write_file("/proc/sys/vm/compact_memory", "1");
	count(TORTURE_MIGRATE, number_in("/proc/vmstat", "pgmigrate_success") - before);
	usleep(50000 + rnd(random) % 50000);
}

static void swap(uint64_t *random)
{
	long before = number_in("/proc/vmstat", "pswpout");

	fill(R_SWAP);
	madvise(start_of(R_SWAP), size_of(R_SWAP), MADV_PAGEOUT);
	check_tags(R_SWAP, false);
	count(TORTURE_SWAP, number_in("/proc/vmstat", "pswpout") - before);
	/* No tracepoint tells when to settle there. */
	if (!ctl->settle && rnd(random) % 8 == 0)
		madvise(start_of(R_COUNTED) + rnd(random) % COUNTED * huge_size,
			huge_size, MADV_PAGEOUT);
	usleep(rnd(random) % 20000);
}

/* ------------------------------------- what kernels with more options do to memory */

#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define BALANCING	"/sys/kernel/debug/sched/numa_balancing/"
#define CGROUPS		"/tmp/ptwalk-cgroups"
#define CGROUP		CGROUPS "/ptwalk"

static bool has_age(void)
{
	return !access(LRU_GEN, W_OK);
}

/* A new generation of a node of a cgroup: its page tables are walked for young pages. */
static void add_generation(long memcg, long node, long gen)
{
	char text[64];

	snprintf(text, sizeof(text), "+ %ld %ld %ld 1 1", memcg, node, gen);
	if (write_file(LRU_GEN, text))
		count(TORTURE_AGE, 1);
}

/* Of each node the youngest generation is the last line. */
static void age(uint64_t *random)
{
	long memcg = -1, node = -1, gen = -1, n;
	char line[256];
	FILE *f = fopen(LRU_GEN, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %ld", &n) == 1) {
			gen = n;
			continue;
		}
		if (gen >= 0)
			add_generation(memcg, node, gen);
		gen = -1;
		sscanf(line, " memcg %ld", &memcg);
		sscanf(line, " node %ld", &node);
	}
	if (gen >= 0)
		add_generation(memcg, node, gen);
	if (f)
		fclose(f);
	usleep(rnd(random) % 20000);
}

static bool has_balance(void)
{
	return number_in("/proc/sys/kernel/numa_balancing", "") > 0 &&
	       !access("/sys/devices/system/node/node1", F_OK) &&
	       write_file(BALANCING "scan_delay_ms", "1") &&
	       write_file(BALANCING "scan_period_min_ms", "10") &&
	       write_file(BALANCING "scan_period_max_ms", "50");
}

/* How long this thread has run */
static double seconds_run(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/*
 * The kernel makes entries inaccessible and moves pages to the threads that use them.  It
 * does that each time that a thread has run for some 100 ms, and no other thread runs so long.
 */
static void balance(uint64_t *random)
{
	long before = number_in("/proc/vmstat", "numa_pte_updates");
	double end = seconds_run() + .02 + rnd(random) % 20000 * 1e-6;

	while (seconds_run() < end)
		;
	usleep(rnd(random) % 20000);
	count(TORTURE_BALANCE, number_in("/proc/vmstat", "numa_pte_updates") - before);
}

static void leave_cgroup(void)
{
	write_file(CGROUPS "/cgroup.procs", "0");
	rmdir(CGROUP);
	umount2(CGROUPS, MNT_DETACH);
	rmdir(CGROUPS);
}

static bool in_cgroup;

/* Before the memory is there: what is charged to another one cannot be pressed out. */
static void enter_cgroup(void)
{
	mkdir(CGROUPS, 0700);
	if (mount("ptwalk", CGROUPS, "cgroup2", 0, NULL))
		return;
	atexit(leave_cgroup);
	write_file(CGROUPS "/cgroup.subtree_control", "+memory");
	mkdir(CGROUP, 0700);
	in_cgroup = !access(CGROUP "/memory.reclaim", W_OK) &&
		    write_file(CGROUP "/cgroup.procs", "0");
}

/* Where a flush does not wait, what is counted must not be swapped out. */
static bool has_press(void)
{
	return in_cgroup && !ctl->settle;
}

static void press(uint64_t *random)
{
	/* EAGAIN: less than that was left to be had. */
	if (write_file(CGROUP "/memory.reclaim", "1M") || errno == EAGAIN)
		count(TORTURE_PRESS, 1);
	usleep(rnd(random) % 50000);
}

static int hugetlb_fd, ask[2], answer[2];
static pid_t partner_pid;

static void *map_hugetlb(void)
{
	return mmap(start_of(R_HUGETLB), GIGABYTE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED | MAP_NORESERVE, hugetlb_fd, 0);
}

static volatile uint64_t *hugetlb_word(unsigned int i)
{
	return (uint64_t *)(start_of(R_HUGETLB) + i * huge_size);
}

/* The process that shares the PMD table, and fills it when it owns it alone. */
static void partner(void)
{
	struct torture_region *r = region(R_HUGETLB);
	uint32_t gen;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(ask[1]);
	if (map_hugetlb() == MAP_FAILED)
		_exit(1);
	while (read(ask[0], &gen, sizeof(gen)) == sizeof(gen)) {
		fallocate(hugetlb_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  NR_HUGETLB * huge_size);
		for (unsigned int i = 0; i < NR_HUGETLB; i++)
			*hugetlb_word(i) = torture_tag(r, i * (huge_size / page_size), gen);
		if (write(answer[1], &gen, sizeof(gen)) != sizeof(gen))
			break;
	}
	_exit(0);
}

static void unshare_table(uint64_t *random)
{
	uint32_t gen = region(R_HUGETLB)->gen + 1;

	(void)random;
	if (map_hugetlb() == MAP_FAILED)
		return fail(TORTURE_FAIL_REFUSED, "mmap of hugetlb", 0);
	for (unsigned int i = 0; i < NR_HUGETLB; i++)
		if (gen > 2 && (uint32_t)(*hugetlb_word(i) >> 32) != gen - 1)
			fail(TORTURE_FAIL_WRONG, "hugetlb page", i);
	munmap(start_of(R_HUGETLB), GIGABYTE);
	if (write(ask[1], &gen, sizeof(gen)) != sizeof(gen) ||
	    read(answer[0], &gen, sizeof(gen)) != sizeof(gen))
		return fail(TORTURE_FAIL_REFUSED, "the partner died", 0);
	set_generation(R_HUGETLB, gen);
	count(TORTURE_UNSHARE, 1);
}

static bool has_shmem(void)
{
	shmem_fd = memfd_create("ptwalk", MFD_CLOEXEC);
	return shmem_fd >= 0 && !ftruncate(shmem_fd, huge_size);
}

/* CONFIG_READ_ONLY_THP_FOR_FS; that it never happens is another thing. */
static bool has_file(void)
{
	int fs = fsopen("ramfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return false;
	ramfs = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	if (ramfs < 0)
		return false;
	map_file(open_file());
	return collapse_file() || errno != EINVAL;
}

static bool has_swap(void)
{
	return number_in("/proc/meminfo", "SwapTotal") > 0;
}

#ifdef SHARES_PMD_TABLES
#define POOL "/proc/sys/vm/nr_hugepages"
static long pool;

static bool set_pool(long pages)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", pages);
	return write_file(POOL, text);
}

static void restore_pool(void)
{
	set_pool(pool);
}
#endif

static bool has_hugetlb(void)
{
#ifdef SHARES_PMD_TABLES
	pool = number_in(POOL, "");
	if (pool < 0 || atexit(restore_pool) ||
	    !set_pool(pool + 4 * NR_HUGETLB))
		return false;
	hugetlb_fd = memfd_create("ptwalk", MFD_CLOEXEC | MFD_HUGETLB);
	if (hugetlb_fd < 0 || ftruncate(hugetlb_fd, GIGABYTE) || pipe(ask) ||
	    pipe(answer))
		return false;
	return number_in(POOL, "") == pool + 4 * NR_HUGETLB;
#else
	return false;
#endif
}

static const struct modifier {
	unsigned int op;
	void (*run)(uint64_t *random);
	bool (*has)(void);
} modifiers[] = {
	{ TORTURE_COLLAPSE, collapse, NULL },
	{ TORTURE_SHMEM, shmem, has_shmem },
	{ TORTURE_FILE, file, has_file },
	{ TORTURE_DONTNEED, dontneed, NULL },
	{ TORTURE_FREE, lazy_free, NULL },
	{ TORTURE_MUNMAP, unmap, NULL },
	{ TORTURE_MREMAP, move, NULL },
	{ TORTURE_MPROTECT, protect, NULL },
	{ TORTURE_FORK, copy_on_write, NULL },
	{ TORTURE_MIGRATE, migrate, NULL },
	{ TORTURE_SWAP, swap, has_swap },
	{ TORTURE_UNSHARE, unshare_table, has_hugetlb },
	{ TORTURE_RECLAIM, reclaim, NULL },
	{ TORTURE_AGE, age, has_age },
	{ TORTURE_BALANCE, balance, has_balance },
	{ TORTURE_PRESS, press, has_press },
};

#define NR_MODIFIERS (sizeof(modifiers) / sizeof(modifiers[0]))

static void *modifier_fn(void *arg)
{
	const struct modifier *m = arg;
	uint64_t random = ctl->seed + 1 + m->op;

	for (int i = 0; i < 16; i++)
		rnd(&random);
	while (!stopped()) {
		if (ctl->focus & 1u << m->op)
			m->run(&random);
		else
			usleep(1000);
		sched_yield();
	}
	return NULL;
}

/* ---------------------------------------------------------------- the program */

static void make_regions(void)
{
	unsigned int huge = huge_size / page_size;

	told = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		die(errno, "mmap", "free some memory");
	pthread_mutex_init(&told->pausing, NULL);

	/* What is there already would be replaced. */
	if (mmap((void *)BASE, 8 * GIGABYTE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != (void *)BASE)
		die(errno, "the addresses of the regions are in use", "change BASE");
	munmap((void *)BASE, 8 * GIGABYTE);

	add_region(R_COUNTED, COUNTED * huge, 0,
		   TORTURE_WALKED | TORTURE_COUNTED | TORTURE_KEPT);
	region(R_COUNTED)->hole = huge;
	add_region(R_SHMEM, huge, 1, TORTURE_WALKED);
	add_region(R_SHMEM2, huge, 1, TORTURE_WALKED);
	add_region(R_FILE, huge, 9, TORTURE_WALKED);
	add_region(R_DONTNEED, SPARSE, 2, TORTURE_WALKED);
	add_region(R_FREE, SPARSE, 3, TORTURE_WALKED);
	add_region(R_MUNMAP, SPARSE, 4, TORTURE_WALKED);
	add_region(R_MREMAP, SPARSE, 5, TORTURE_WALKED);
	add_region(R_MREMAP2, SPARSE, 5, TORTURE_WALKED);
	add_region(R_SWAP, SPARSE, 6, TORTURE_WALKED | TORTURE_KEPT);
	add_region(R_RECLAIM, NR_TABLES * huge, 8, TORTURE_WALKED);
	ctl->nr_regions = R_HUGETLB;
	map(R_COUNTED, -1, false);
	fill(R_COUNTED);
	madvise(start_of(R_COUNTED), size_of(R_COUNTED), MADV_HUGEPAGE);
	madvise(start_of(R_COUNTED), first_shared() * page_size, MADV_DONTFORK);
	map(R_DONTNEED, -1, false);
	map(R_FREE, -1, false);
	fill(R_FREE);
	map(R_SWAP, -1, false);
	fill(R_SWAP);
	map(R_RECLAIM, -1, false);
	madvise(start_of(R_RECLAIM), size_of(R_RECLAIM), MADV_DONTFORK);
}

static void enable_modifiers(void)
{
	for (unsigned int i = 0; i < NR_MODIFIERS; i++) {
		const struct modifier *m = &modifiers[i];

		if (wanted(m->op) && (!m->has || m->has()))
			ctl->enabled |= 1u << m->op;
	}
	if (ctl->enabled & 1u << TORTURE_COLLAPSE && wanted(TORTURE_SPLIT))
		ctl->enabled |= 1u << TORTURE_SPLIT;
	if (wanted(TORTURE_KVM) && has_kvm())
		ctl->enabled |= 1u << TORTURE_KVM;
	ctl->enabled |= 1u << TORTURE_STORE;
	if (ctl->enabled & 1u << TORTURE_SHMEM) {
		/* Page faults make no huge pages there; collapse may. */
		map(R_SHMEM, shmem_fd, true);
		map(R_SHMEM2, shmem_fd, true);
	}
	if (!(ctl->enabled & 1u << TORTURE_UNSHARE))
		return;
	/* GUP-fast only: who walks from outside is not in the flush. */
	add_region(R_HUGETLB, NR_HUGETLB, 7, 0);
	region(R_HUGETLB)->addr = BASE + 4 * GIGABYTE;
	ctl->nr_regions = NR_REGIONS;
	partner_pid = fork();
	if (!partner_pid)
		partner();
}

static void on_stop(int sig)
{
	(void)sig;
	ctl->stop = 1;
	ctl->pause = 0;
}

static pthread_t started[TORTURE_MAX_THREADS + NR_MODIFIERS + NR_STORERS + 1];
static unsigned int nr_started;

static void start(void *(*fn)(void *), void *arg)
{
	int error = pthread_create(&started[nr_started++], NULL, fn, arg);

	if (error)
		die(error, "pthread_create", "free some memory");
}

static void run(void)
{
	for (uintptr_t i = 0; i < nr_threads; i++)
		start(counter_fn, (void *)i);
	for (unsigned int i = 0; i < NR_MODIFIERS; i++)
		if (ctl->enabled & 1u << modifiers[i].op)
			start(modifier_fn, (void *)&modifiers[i]);
	if (ctl->enabled & 1u << TORTURE_RECLAIM)
		for (uintptr_t i = 0; i < NR_STORERS; i++)
			start(storer_fn, (void *)i);
	if (ctl->enabled & 1u << TORTURE_KVM)
		start(vcpu_fn, NULL);
	while (nr_started--)
		pthread_join(started[nr_started], NULL);
}

int main(void)
{
	struct sigaction segv = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_NODEFER };
	int ret;

	device = open("/dev/" TORTURE_DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0)
		die(errno, "/dev/" TORTURE_DEVICE, "insmod ptwalk_torture.ko, and be root");
	page_size = sysconf(_SC_PAGESIZE);
	huge_size = thp_size();
	if (huge_size <= 0)
		die(0, "no transparent huge pages", "CONFIG_TRANSPARENT_HUGEPAGE, and a CPU that has them");
	ctl = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
	if (ctl == MAP_FAILED)
		die(errno, "mmap", "see the kernel log");
	nr_threads = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	nr_threads = nr_threads < 1 ? 1 : nr_threads > TORTURE_MAX_THREADS ?
		     TORTURE_MAX_THREADS : nr_threads;
	sigaction(SIGSEGV, &segv, NULL);
	signal(SIGINT, on_stop);
	signal(SIGTERM, on_stop);
	if (wanted(TORTURE_PRESS))
		enter_cgroup();
	make_regions();
	enable_modifiers();
	if (tell(TORTURE_START))
		die(errno, "the module refuses the regions", "see the kernel log");
	run();
	ret = tell(TORTURE_END);
	/* It has the device open, too. */
	if (partner_pid > 0) {
		close(ask[1]);
		waitpid(partner_pid, NULL, 0);
	}
	return ret ? 1 : 0;
}
