/*
 * kvm_probe: what it answers depends on the machine, what it leaves behind does
 * not. And what it makes of each answer that a KVM can give: open(2), ioctl(2) and
 * mmap(2) are replaced at link time (--wrap).
 */
#include "unit.h"

#include <linux/kvm.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "inject.h"
#include "privsep/kvm.h"

enum { MEM_BYTES = 0x8000, RUN_BYTES = 0x2000, DATA_AT = 0x1000, EXITS = 3 };

/* 11 times the sum of 1 to 2^20, of which the port takes 32 bits. */
#define RIGHT ((uint32_t)(UINT64_C(0x100000) * UINT64_C(0x100001) / 2 * 11))
#define WORKS \
	{ KVM_EXIT_IO, KVM_EXIT_IO_OUT, 0x80, 4, RIGHT }, \
	{ KVM_EXIT_HLT, 0, 0, 0, 0 }
/* It never comes back. */
#define HANGS UINT32_MAX

struct exit {
	uint32_t reason;
	uint8_t direction;
	uint16_t port;
	uint8_t size;
	uint32_t value;
};

struct host {
	const char *name;
	int expected;			/* what the probe says */
	unsigned long fails;		/* this request; 0: none */
	size_t no_mmap;			/* a mapping of so many bytes fails */
	int version;			/* 0: as it should be */
	int run_bytes;			/* 0: RUN_BYTES */
	struct exit exits[EXITS];	/* the last one again and again */
};

static const struct host *host;		/* NULL: the real one */
static uint8_t *run_page;
static size_t runs;

int	 __real_open64(const char *path, int flags, ...);
int	 __wrap_open64(const char *path, int flags, ...);
void	*__real_mmap64(void *at, size_t len, int prot, int flags, int fd,
	    off_t offset);
void	*__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd,
	    off_t offset);
int	 __real_ioctl(int fd, unsigned long request, ...);
int	 __wrap_ioctl(int fd, unsigned long request, ...);

int
__wrap_open64(const char *path, int flags, ...)
{
	if (host != NULL && strcmp(path, "/dev/kvm") == 0)
		path = "/dev/null";
	return __real_open64(path, flags);
}

void *
__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (host != NULL && len == host->no_mmap) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap64(at, len, prot, flags, fd, offset);
}

/* A vCPU is a file of the size of its struct kvm_run. */
static int
make_vcpu(void)
{
	int fd = (int)syscall(SYS_memfd_create, "vcpu", 0);

	if (fd < 0 || ftruncate(fd, RUN_BYTES) < 0)
		return -1;
	run_page = __real_mmap64(NULL, RUN_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	return run_page == MAP_FAILED ? -1 : fd;
}

static int
run_guest(void)
{
	const struct exit *exit = &host->exits[runs];
	struct kvm_run run = { .exit_reason = exit->reason };

	if (runs + 1 < EXITS && host->exits[runs + 1].reason != 0)
		runs++;
	while (exit->reason == HANGS)
		pause();
	run.io.direction = exit->direction;
	run.io.port = exit->port;
	run.io.size = exit->size;
	run.io.data_offset = DATA_AT;
	memcpy(run_page, &run, sizeof(run));
	memcpy(run_page + DATA_AT, &exit->value, sizeof(exit->value));
	return 0;
}

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (host == NULL)
		return __real_ioctl(fd, request, arg);
	if (request == host->fails) {
		errno = EIO;
		return -1;
	}
	switch (request) {
	case KVM_GET_API_VERSION:
		return host->version != 0 ? host->version : KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return host->run_bytes != 0 ? host->run_bytes : RUN_BYTES;
	case KVM_CREATE_VM:
		return dup(fd);
	case KVM_CREATE_VCPU:
		return make_vcpu();
	case KVM_RUN:
		return run_guest();
	default:
		return 0;
	}
}

/* ---- the tests ---- */

/* What the probe says; no child and no fd is left. */
static int
probe(void)
{
	const unsigned int fds = count_fds();
	const time_t start = time(NULL);
	int r = kvm_probe();

	assert_true(time(NULL) - start <=
	    (KVM_SETUP_MS + KVM_RUN_MS) / 1000 + 2);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return r;
}

static void
this_machine(void **state)
{
	int r = probe();

	(void)state;
	assert_true(r <= 1);
	if (access("/dev/kvm", F_OK) < 0)
		assert_int_equal(r, -ENOENT);
}

static void
other_machines(void **state)
{
	static const struct host hosts[] = {
		{ "works", 1, .exits = { WORKS } },
		/* AMD processors do without. */
		{ "no TSS", 1, KVM_SET_TSS_ADDR, .exits = { WORKS } },
		{ "no version", 0, KVM_GET_API_VERSION, .exits = { WORKS } },
		{ "old version", 0, .version = 11, .exits = { WORKS } },
		{ "no size", 0, KVM_GET_VCPU_MMAP_SIZE, .exits = { WORKS } },
		{ "small", 0, .run_bytes = 64, .exits = { WORKS } },
		{ "no VM", 0, KVM_CREATE_VM, .exits = { WORKS } },
		{ "no memory", 0, .no_mmap = MEM_BYTES, .exits = { WORKS } },
		{ "no slot", 0, KVM_SET_USER_MEMORY_REGION,
		    .exits = { WORKS } },
		{ "no vCPU", 0, KVM_CREATE_VCPU, .exits = { WORKS } },
		{ "no run page", 0, .no_mmap = RUN_BYTES, .exits = { WORKS } },
		{ "no CPUID", 0, KVM_GET_SUPPORTED_CPUID, .exits = { WORKS } },
		{ "CPUID", 0, KVM_SET_CPUID2, .exits = { WORKS } },
		{ "no segments", 0, KVM_GET_SREGS, .exits = { WORKS } },
		{ "segments", 0, KVM_SET_SREGS, .exits = { WORKS } },
		{ "registers", 0, KVM_SET_REGS, .exits = { WORKS } },
		{ "run", 0, KVM_RUN, .exits = { WORKS } },
		{ "says nothing", 0, .exits = { { KVM_EXIT_HLT, 0, 0, 0, 0 } } },
		{ "never halts", 0, .exits = {
		    { KVM_EXIT_IO, KVM_EXIT_IO_OUT, 0x80, 4, RIGHT } } },
		{ "wrong sum", 0, .exits = {
		    { KVM_EXIT_IO, KVM_EXIT_IO_OUT, 0x80, 4, RIGHT + 1 },
		    { KVM_EXIT_HLT, 0, 0, 0, 0 } } },
		{ "reads", 0, .exits = {
		    { KVM_EXIT_IO, KVM_EXIT_IO_IN, 0x80, 4, RIGHT } } },
		{ "another port", 0, .exits = {
		    { KVM_EXIT_IO, KVM_EXIT_IO_OUT, 0x81, 4, RIGHT } } },
		{ "one byte", 0, .exits = {
		    { KVM_EXIT_IO, KVM_EXIT_IO_OUT, 0x80, 1, RIGHT } } },
		{ "no state to run in", 0, .exits = {
		    { KVM_EXIT_FAIL_ENTRY, 0, 0, 0, 0 } } },
		{ "hangs", 0, .exits = { { HANGS, 0, 0, 0, 0 } } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(hosts); i++) {
		host = &hosts[i];
		assert_case(probe() == hosts[i].expected, i, hosts[i].name);
	}
	host = NULL;
}

/* ---- failures of its own ---- */

static const char *
no_child(int r)
{
	(void)r;
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? NULL :
	    "a child is left";
}

static void
own_failures(void **state)
{
	static const struct host good = { "works", 1, .exits = { WORKS } };
	static const long harmless[] = { SYS_wait4, -1 };
	const struct act act = { "probe", NULL, kvm_probe, no_child,
		INJECT_MENDS, harmless };

	(void)state;
	host = &good;
	/* eventfd, open, fork, pidfd_open */
	assert_true(inject_all(&act) >= 12);
	host = NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_machine),
		cmocka_unit_test(other_machines),
		cmocka_unit_test(own_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
