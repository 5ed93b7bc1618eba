/*
 * The smallest guest that shows what matters: 64-bit code, running at an
 * address that only its page tables make, computes a number and writes it to
 * an I/O port. Everything happens in a child, which is killed at the deadline;
 * a processor that hangs in KVM_RUN does not take us with it.
 *
 * The computation is long because KVM falls back on emulating instructions
 * where the hardware cannot run them: seen on a para-virtualised host, where
 * short guests work, at a million instructions per second, and a kernel seems
 * to hang while it unpacks itself. Three million instructions take a real
 * processor 1 ms, an emulated one some 40 ms, and KVM's emulation 3 s.
 *
 * Documentation/virt/kvm/api.rst; Intel SDM vol. 3, 3.4.5 (segments), 4.5
 * (paging), 9.8.5 (the state of a processor in IA-32e mode); AMD APM vol. 2,
 * ch. 14.
 */
#include "privsep/kvm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "privsep/log.h"
#include "privsep/util.h"

/* musl's ioctl takes an int, glibc's an unsigned long: the same bits. */
#ifdef __GLIBC__
#define REQUEST(r) (r)
#else
#define REQUEST(r) ((int)(r))
#endif

#ifdef __x86_64__

/* Guest-physical layout; 2 MiB of it are mapped at VIRTUAL_BASE. */
enum {
	PML4_AT = 0x1000,
	PDPT_AT = 0x2000,
	PD_AT = 0x3000,
	CODE_AT = 0x4000,
	MEM_BYTES = 0x8000,
	STACK_TOP = MEM_BYTES,
	VIRTUAL_BASE = 0x40000000,	/* entry 1 of the PDPT */
	TSS_AT = 0x7ffd000,		/* three pages that Intel's KVM needs */
	CPUID_MAX = 256,
	EXITS_MAX = 16,
};

enum { PAGE_PRESENT = 1, PAGE_WRITABLE = 2, PAGE_LARGE = 0x80 };

#define CR0_PE UINT64_C(0x1)
#define CR0_ET UINT64_C(0x10)
#define CR0_PG UINT64_C(0x80000000)
#define CR4_PAE UINT64_C(0x20)
#define EFER_LME UINT64_C(0x100)
#define EFER_LMA UINT64_C(0x400)

/* The sum of 1 to ROUNDS by way of the stack, times 11; its low 32 bits. */
static const uint8_t code[] = {
	0x31, 0xc0,			/* xor  eax, eax */
	0xb9, 0x00, 0x00, 0x10, 0x00,	/* mov  ecx, ROUNDS */
	0x48, 0x01, 0xc8,		/* add  rax, rcx */
	0x48, 0xff, 0xc9,		/* dec  rcx */
	0x75, 0xf8,			/* jnz  back to add */
	0x50,				/* push rax */
	0x58,				/* pop  rax */
	0x48, 0x6b, 0xc0, 0x0b,		/* imul rax, rax, 11 */
	0xe7, 0x80,			/* out  0x80, eax */
	0xf4,				/* hlt */
};

#define ROUNDS UINT64_C(0x100000)
#define RESULT ((uint32_t)(ROUNDS * (ROUNDS + 1) / 2 * 11))

enum { PORT = 0x80 };

static void
put_entry(uint8_t *mem, uint32_t table, uint32_t index, uint64_t value)
{
	memcpy(mem + table + index * sizeof(value), &value, sizeof(value));
}

static uint8_t *
make_memory(int vm)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = MEM_BYTES,
	};
	uint8_t *mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	put_entry(mem, PML4_AT, 0, PDPT_AT | PAGE_PRESENT | PAGE_WRITABLE);
	put_entry(mem, PDPT_AT, 1, PD_AT | PAGE_PRESENT | PAGE_WRITABLE);
	put_entry(mem, PD_AT, 0, PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE);
	memcpy(mem + CODE_AT, code, sizeof(code));
	region.userspace_addr = (uintptr_t)mem;
	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? NULL : mem;
}

/* The guest may use what the host's KVM offers; without it no long mode. */
static bool
set_cpuid(int kvm, int vcpu)
{
	static union {
		struct kvm_cpuid2 head;
		uint8_t room[sizeof(struct kvm_cpuid2) +
		    CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
	} cpuid;

	cpuid.head.nent = CPUID_MAX;
	return ioctl(kvm, REQUEST(KVM_GET_SUPPORTED_CPUID), &cpuid) == 0 &&
	    ioctl(vcpu, KVM_SET_CPUID2, &cpuid) == 0;
}

/* Segments are given as the processor caches them; there is no GDT to read. */
static bool
set_long_mode(int vcpu)
{
	const struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1,
		.db = 1, .s = 1, .g = 1,
	};
	struct kvm_segment text = data;
	struct kvm_sregs sregs;

	if (ioctl(vcpu, REQUEST(KVM_GET_SREGS), &sregs) < 0)
		return false;
	text.selector = 0x08;
	text.type = 11;
	text.db = 0;
	text.l = 1;
	sregs.cs = text;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = PML4_AT;
	sregs.cr4 = CR4_PAE;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs.efer = EFER_LME | EFER_LMA;
	return ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0;
}

static bool
set_start(int vcpu)
{
	const struct kvm_regs regs = {
		.rip = VIRTUAL_BASE + CODE_AT,
		.rsp = VIRTUAL_BASE + STACK_TOP,
		.rflags = 2,		/* the bit that is always set */
	};

	return ioctl(vcpu, KVM_SET_REGS, &regs) == 0;
}

/* Until the halt; true when the result came out of the port before. */
static bool
run(int vcpu, const struct kvm_run *state)
{
	bool right = false;
	uint32_t value;
	int exits;

	for (exits = 0; exits < EXITS_MAX; exits++) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0)
			return false;
		if (state->exit_reason == KVM_EXIT_HLT)
			return right;
		if (state->exit_reason != KVM_EXIT_IO ||
		    state->io.direction != KVM_EXIT_IO_OUT ||
		    state->io.port != PORT ||
		    state->io.size != sizeof(value))
			return false;
		memcpy(&value, (const uint8_t *)state + state->io.data_offset,
		    sizeof(value));
		right = value == RESULT;
	}
	return false;
}

/* Tells the parent that the guest's time starts now. */
static void
say_ready(int ready)
{
	const uint64_t one = 1;

	(void)write_full(ready, &one, sizeof(one));
}

/* In the child, whose end frees everything. */
static bool
guest_works(int kvm, int ready)
{
	void *state;
	int size, vm, vcpu;

	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return false;
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (size < (int)sizeof(struct kvm_run) || vm < 0 ||
	    make_memory(vm) == NULL)
		return false;
	/* Fails on AMD processors, which do without. */
	(void)ioctl(vm, KVM_SET_TSS_ADDR, (unsigned long)TSS_AT);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return false;
	state = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
	    vcpu, 0);
	if (state == MAP_FAILED || !set_cpuid(kvm, vcpu) ||
	    !set_long_mode(vcpu) || !set_start(vcpu))
		return false;
	say_ready(ready);
	return run(vcpu, state);
}

#else

/* No guests on other machines yet. */
static bool
guest_works(int kvm, int ready)
{
	(void)kvm;
	(void)ready;
	return false;
}

#endif

/* Waits for the child's end, or for READY; false after TIMEOUT_MS. */
static bool
wait_for(int pidfd, int ready, int timeout_ms)
{
	struct pollfd p[] = {
		{ .fd = pidfd, .events = POLLIN },
		{ .fd = ready, .events = POLLIN },
	};
	int r;

	/* Interrupted by a signal: from the beginning, at worst a few times. */
	do
		r = poll(p, ARRAY_SIZE(p), timeout_ms);
	while (r < 0 && errno == EINTR);
	return r > 0;
}

/* Reaps the child, killed at the deadline; was it content? */
static int
judge(pid_t pid, int pidfd, int ready)
{
	int status;

	(void)wait_for(pidfd, ready, KVM_SETUP_MS);
	if (!wait_for(pidfd, -1, KVM_RUN_MS)) {
		(void)kill(pid, SIGKILL);
		if (!wait_for(pidfd, -1, KVM_SETUP_MS)) {
			log_warn("kvm: the probe cannot be killed");
			return 0;
		}
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int
kvm_probe(void)
{
	_cleanup_close_ int ready = eventfd(0, EFD_CLOEXEC);
	_cleanup_close_ int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int pidfd = -1;
	pid_t pid;

	if (kvm < 0 || ready < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(guest_works(kvm, ready) ? 0 : 1);
	}
	/* Ours and not yet reaped: the number cannot mean another process. */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		int saved = -errno;

		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return saved;
	}
	return judge(pid, pidfd, ready);
}
