/*
 * What a VMM has used: cgroup files of every kernel's age and odd contents, a
 * process that works, one that is gone, and one that took over a pid.
 */
#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "privsep/stats.h"

static struct temp temp;
static int proc_fd;

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return proc_fd < 0 ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close(proc_fd);
	end_temp(&temp);
	return 0;
}

static void
put_text(const char *name, const char *text)
{
	put_file(temp.fd, name, text, strlen(text));
}

static void
cgroup(void **state)
{
	struct vmm_stats_reply r = { 0 };

	(void)state;
	put_text("cpu.stat", "usage_usec 30\nuser_usec 10\nsystem_usec 20\n"
	    "nr_periods 0\n");
	put_text("memory.current", "4096\n");
	put_text("memory.peak", "8192\n");
	put_text("pids.current", "7\n");
	put_text("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 "
	    "dios=6\n253:1 \n254:0 rbytes=100 wbytes=200 rios=1 wios=1 "
	    "dbytes=0 dios=0\n");
	assert_int_equal(stats_of_cgroup(temp.fd, &r), 0);
	assert_int_equal(r.valid, STATS_CGROUP | STATS_CPU | STATS_MEMORY |
	    STATS_MEMORY_PEAK | STATS_PIDS | STATS_IO);
	assert_int_equal(r.cpu_user_us, 10);
	assert_int_equal(r.cpu_system_us, 20);
	assert_int_equal(r.memory_bytes, 4096);
	assert_int_equal(r.memory_peak_bytes, 8192);
	assert_int_equal(r.pids, 7);
	assert_int_equal(r.io_read_bytes, 101);
	assert_int_equal(r.io_write_bytes, 202);
}

/* Controllers that are off, older kernels: the rest counts. */
static void
cgroup_in_part(void **state)
{
	static const char *const bad[] = {
		"", "user_usec\nsystem_usec 1\n", "xuser_usec 1\n",
		"user_usec -1\nsystem_usec 1\n", "user_usec 1",
		"user_usec 99999999999999999999999999\nsystem_usec 1\n",
		"user_usec 99999999999999999999\nsystem_usec 1\n",
	};
	struct vmm_stats_reply r = { 0 };
	size_t i;

	(void)state;
	assert_int_equal(stats_of_cgroup(temp.fd, &r), -ENOENT);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		put_text("cpu.stat", bad[i]);
		assert_case(stats_of_cgroup(temp.fd, &r) < 0, i, bad[i]);
		assert_int_equal(r.valid, 0);
	}
	put_text("cpu.stat", "user_usec 1\nsystem_usec 2\n");
	put_text("memory.current", "max\n");
	assert_int_equal(symlinkat("cpu.stat", temp.fd, "pids.current"), 0);
	memset(&r, 0, sizeof(r));
	assert_int_equal(stats_of_cgroup(temp.fd, &r), 0);
	assert_int_equal(r.valid, STATS_CGROUP | STATS_CPU);
	assert_int_equal(r.memory_bytes, 0);
	assert_int_equal(r.pids, 0);
	/* Numbers that are none are left out of a sum. */
	put_text("io.stat", "8:0 rbytes=x wbytes= rios=3\n"
	    "8:16 rbytes=5 wbytes=6\n");
	assert_int_equal(stats_of_cgroup(temp.fd, &r), 0);
	assert_int_equal(r.io_read_bytes, 5);
	assert_int_equal(r.io_write_bytes, 6);
}

/* A stat file that is not quite what the kernel writes. */
static void
odd_process(void **state)
{
	static const char *const texts[] = { "", "7 a", "7 (a) R 1 1",
		"7 (a) R 1 1 1 1 1 1 1 1 1 1 x 1 1 1 1 1 1\n",
		"7 (a) R 1 1 1 1 1 1 1 1 1 1 1 x 1 1 1 1 1\n",
		"7 (a) R 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 \n" };
	struct vmm_stats_reply r = { 0 };
	size_t i;

	(void)state;
	assert_int_equal(mkdirat(temp.fd, "7", 0755), 0);
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		put_text("7/stat", texts[i]);
		assert_case(stats_of_process(temp.fd, 7, -1, &r) == -EBADMSG,
		    i, texts[i]);
		assert_int_equal(r.valid, 0);
	}
}

/* A child whose name would shift the fields, which works until it has time. */
static pid_t
child(void)
{
	volatile unsigned int work = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, ") 1 2 3 4");
		for (;;)
			work++;
	}
	return pid;
}

static void
process(void **state)
{
	struct vmm_stats_reply r = { 0 }, before;
	pid_t pid = child();
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	(void)state;
	/* It works without end: its time comes, whatever the machine does. */
	while (r.cpu_user_us + r.cpu_system_us == 0)
		assert_int_equal(stats_of_process(proc_fd, pid, pidfd, &r), 0);
	assert_int_equal(r.valid, STATS_CPU | STATS_MEMORY |
	    STATS_MEMORY_PEAK | STATS_PIDS);
	assert_int_equal(r.pids, 1);
	assert_true(r.memory_bytes > 4096);
	assert_true(r.memory_peak_bytes >= r.memory_bytes);
	before = r;
	/* The pid is alive, but it is not that of the pidfd any more. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(stats_of_process(proc_fd, getpid(), pidfd, &r),
	    -ESRCH);
	assert_int_equal(stats_of_process(proc_fd, pid, pidfd, &r), -ESRCH);
	assert_memory_equal(&r, &before, sizeof(r));
	close(pidfd);
}

/* The cgroup counts when the VM has one, else its process. */
static void
which(void **state)
{
	struct vm vm = { .id = 0x7f3a00000001, .pid = getpid() };
	struct vmm_stats_reply r = { 0 };
	unsigned int fds;

	(void)state;
	vm.pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	fds = count_fds();
	assert_int_equal(stats_of_vmm(proc_fd, -1, &vm, &r), 0);
	assert_int_equal(r.valid & STATS_CGROUP, 0);
	assert_int_equal(stats_of_vmm(proc_fd, temp.fd, &vm, &r), 0);
	assert_int_equal(r.valid & STATS_CGROUP, 0);
	assert_int_equal(mkdirat(temp.fd, "7f3a00000001", 0755), 0);
	put_text("7f3a00000001/cpu.stat", "user_usec 1\nsystem_usec 2\n");
	memset(&r, 0, sizeof(r));
	assert_int_equal(stats_of_vmm(proc_fd, temp.fd, &vm, &r), 0);
	assert_int_equal(r.valid, STATS_CGROUP | STATS_CPU);
	assert_int_equal(r.cpu_system_us, 2);
	assert_int_equal(count_fds(), fds);
	close(vm.pidfd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cgroup),
		TEST(cgroup_in_part),
		TEST(odd_process),
		TEST(process),
		TEST(which),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
