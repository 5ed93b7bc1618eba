/*
 * Which process is it? Names that look like other fields, pids that are gone
 * or somebody else's by now, uids that differ.
 */
#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "privsep/proc.h"

static int proc_fd;

static int
set_up(void **state)
{
	(void)state;
	proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return proc_fd < 0 ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return close(proc_fd);
}

/* A child that called itself NAME, with saved uid SAVED, and waits. */
static pid_t
child(const char *name, uid_t saved)
{
	int fds[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		if (saved != 0 && setresuid((uid_t)-1, (uid_t)-1, saved) < 0)
			_exit(1);
		(void)!write(fds[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	close(fds[1]);
	return pid;
}

static void
end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* As awk counts, from a process whose name has nothing to confuse it. */
static uint64_t
start_time_by_hand(pid_t pid)
{
	char path[32], text[1024] = "";
	unsigned long long time = 0;
	const char *p;
	int fd, i;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	for (p = strrchr(text, ')'), i = 2; i < 22; i++)
		p = strchr(p + 1, ' ');
	assert_int_equal(sscanf(p, " %llu", &time), 1);
	return time;
}

static void
forged_names(void **state)
{
	static const char *const names[] = { "plain", ") R 1", "a) R 1 1 1 1",
		"(", ")", "))))))))", ") S 0 0 0 0", "a b c d e f", "\n",
		"\nUid:\t0\t0\t0\t0", "", "x\nUid: 0 0 0 0" };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		pid_t pid = child(names[i], 0);
		struct proc_identity identity = { 0 };
		uint64_t time = 0;

		assert_case(proc_start_time(proc_fd, pid, &time) == 0, i,
		    names[i]);
		assert_case(time != 0 && time == start_time_by_hand(pid), i,
		    names[i]);
		assert_case(proc_identify(proc_fd, pid, &identity) == 0, i,
		    names[i]);
		assert_case(identity.uid == getuid(), i, names[i]);
		end(pid);
	}
}

static void
identity(void **state)
{
	pid_t pid = child("identity", 0), other = child("other", 0);
	struct proc_identity good = { 0 }, bad;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(proc_identify(proc_fd, pid, &good), 0);
	assert_int_equal(stat("/proc/self/exe", &st), 0);
	assert_int_equal(good.exe_dev, st.st_dev);
	assert_int_equal(good.exe_ino, st.st_ino);
	assert_int_equal(good.pad, 0);

	fd = proc_open(proc_fd, pid, &good);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(proc_signal(fd, 0), 0);
	close(fd);

	bad = good;
	bad.start_time++;
	assert_int_equal(proc_open(proc_fd, pid, &bad), -ESRCH);
	bad = good;
	bad.uid++;
	assert_int_equal(proc_open(proc_fd, pid, &bad), -ESRCH);
	bad = good;
	bad.exe_ino++;
	assert_int_equal(proc_open(proc_fd, pid, &bad), -ESRCH);
	bad = good;
	bad.exe_dev++;
	assert_int_equal(proc_open(proc_fd, pid, &bad), -ESRCH);
	bad = good;
	bad.start_time = 0;
	assert_int_equal(proc_open(proc_fd, pid, &bad), -ESRCH);
	/* Another process of the same program. */
	assert_int_equal(proc_open(proc_fd, other == pid ? -1 : 1, &good),
	    -ESRCH);
	end(other);
	end(pid);
}

static void
gone(void **state)
{
	pid_t pid = child("gone", 0);
	struct proc_identity before = { 0 }, after;
	uint64_t time = 5;
	int fd;

	(void)state;
	assert_int_equal(proc_identify(proc_fd, pid, &before), 0);
	fd = proc_open(proc_fd, pid, &before);
	assert_true(fd >= 0);
	end(pid);
	after = before;
	assert_int_equal(proc_signal(fd, SIGKILL), -ESRCH);
	close(fd);
	assert_int_equal(proc_open(proc_fd, pid, &before), -ESRCH);
	assert_int_equal(proc_identify(proc_fd, pid, &after), -ENOENT);
	assert_memory_equal(&after, &before, sizeof(after));
	assert_int_equal(proc_start_time(proc_fd, pid, &time), -ENOENT);
	assert_int_equal(time, 5);
	assert_true(proc_open(proc_fd, 0, &before) < 0);
	assert_true(proc_open(proc_fd, -1, &before) < 0);
}

/* Set-uid programs have uids that differ; a VMM never has. */
static void
uids_that_differ(void **state)
{
	struct proc_identity found;
	pid_t pid;

	(void)state;
	need_root();
	pid = child("setuid", 700001);
	assert_int_equal(proc_identify(proc_fd, pid, &found), -EPERM);
	end(pid);
}

#define STAT "7 (a) R 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 "
#define STATUS "Name:\ta\nUid:\t"

/* Text that is not quite what the kernel writes. */
static void
odd_text(void **state)
{
	static const struct {
		const char *stat, *status;
		int expected;
	} cases[] = {
		{ STAT "99 1\n", STATUS "5\t5\t5\t5\n", 0 },
		{ STAT "99", STATUS "5\t5\t5\t5\n", 0 },
		{ "", STATUS "5\t5\t5\t5\n", -EBADMSG },
		{ "7 a R 1", STATUS "5\t5\t5\t5\n", -EBADMSG },
		{ "7 (a) R 1 1 1", STATUS "5\t5\t5\t5\n", -EBADMSG },
		{ STAT "x 1", STATUS "5\t5\t5\t5\n", -EINVAL },
		{ STAT "099 1", STATUS "5\t5\t5\t5\n", -EINVAL },
		{ STAT "99999999999999999999 1", STATUS "5\t5\t5\t5\n",
		    -ERANGE },
		{ STAT "99 1", "", -EBADMSG },
		{ STAT "99 1", "Uid:\t5\t5\t5\t5\n", -EBADMSG },
		{ STAT "99 1", STATUS "5\t5\t5", -EBADMSG },
		{ STAT "99 1", STATUS "5\t5\t5\n\t", -EBADMSG },
		{ STAT "99 1", STATUS "x\t5\t5\t5\n", -EBADMSG },
		{ STAT "99 1", STATUS "4294967296\t5\t5\t5\n", -EBADMSG },
		{ STAT "99 1", STATUS "0\t5\t5\t5\n", -EPERM },
		{ STAT "99 1", STATUS "5\t0\t5\t5\n", -EPERM },
		{ STAT "99 1", STATUS "5\t5\t0\t5\n", -EPERM },
		{ STAT "99 1", STATUS "5\t5\t5\t0\n", -EPERM },
	};
	struct temp temp;
	size_t i;

	(void)state;
	begin_temp(&temp);
	assert_int_equal(mkdirat(temp.fd, "7", 0755), 0);
	put_file(temp.fd, "7/exe", "", 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_identity found = { .uid = 1 };

		put_file(temp.fd, "7/stat", cases[i].stat,
		    strlen(cases[i].stat));
		put_file(temp.fd, "7/status", cases[i].status,
		    strlen(cases[i].status));
		assert_case(proc_identify(temp.fd, 7, &found) ==
		    cases[i].expected, i, cases[i].status);
		if (cases[i].expected == 0)
			assert_true(found.start_time == 99 && found.uid == 5);
		else
			assert_true(found.start_time == 0 && found.uid == 1);
	}
	end_temp(&temp);
}

/* Its process is a zombie: no executable any more. */
static void
zombie(void **state)
{
	struct proc_identity before = { 0 };
	siginfo_t info;
	pid_t pid = child("zombie", 0);

	(void)state;
	assert_int_equal(proc_identify(proc_fd, pid, &before), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(proc_open(proc_fd, pid, &before), -ESRCH);
	waitpid(pid, NULL, 0);
}

/*
 * The same pid again: the same program, the same uid, but another start.
 */
static int
reuse_pid(void)
{
	struct proc_identity first;
	siginfo_t info;
	pid_t one, two;
	int number, fd;

	one = child("reused", 0);
	if (proc_identify(proc_fd, one, &first) < 0)
		return 1;
	end(one);
	usleep(30000);			/* start times are in ticks of 10 ms */
	number = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	if (number < 0 || dprintf(number, "%d", (int)one - 1) < 0)
		return 77;
	two = fork();
	if (two == 0)
		for (;;)
			pause();
	fd = two != one ? 77 : proc_open(proc_fd, one, &first);
	kill(two, SIGKILL);
	waitid(P_PID, (id_t)two, &info, WEXITED);
	close(number);
	return fd == -ESRCH ? 0 : fd == 77 ? 77 : 2;
}

static void
reused_pid(void **state)
{
	int r = 77, tries;

	(void)state;
	need_root();
	/* Somebody else may be faster at times. */
	for (tries = 0; r == 77 && tries < 20; tries++)
		r = reuse_pid();
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forged_names),
		cmocka_unit_test(identity),
		cmocka_unit_test(gone),
		cmocka_unit_test(uids_that_differ),
		cmocka_unit_test(odd_text),
		cmocka_unit_test(zombie),
		cmocka_unit_test(reused_pid),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
