/*
 * What changes while root looks: a VMM that was taken over swaps the names in its
 * /run, a worker rewrites the file that it has passed, a pid is another process's
 * the next moment. path_test.c has the same for directories and links.
 */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "privsep/check.h"
#include "privsep/jail.h"
#include "privsep/jail_int.h"
#include "privsep/proc.h"
#include "privsep/proto.h"

enum { ROUNDS = 10000, PIDS = 300, VMM = 700001, EXCHANGE = 2 };

static struct temp temp, outside;
static atomic_bool stop;
static pthread_t attacker;

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	begin_temp(&outside);
	atomic_store(&stop, false);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	end_temp(&temp);
	end_temp(&outside);
	return 0;
}

static void
attack(void *(*how)(void *))
{
	assert_int_equal(pthread_create(&attacker, NULL, how, NULL), 0);
}

static void
end_attack(void)
{
	atomic_store(&stop, true);
	pthread_join(attacker, NULL);
}

/* ---- sockets and FIFOs of a jail ---- */

/* Listens at NAME in DIR, for OWNER. */
static int
listen_at(const struct temp *dir, const char *name, uid_t owner)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir->path, name);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4096), 0);
	assert_int_equal(fchownat(dir->fd, name, owner, owner, 0), 0);
	return fd;
}

/* What takes the place of `sock` and `fifo`, one after the other. */
static const char *const others[] = { "link", "root", "dir", "file",
	"fifo.root", "device", "fifo.own", "sock.own" };

static void *
swap_names(void *arg)
{
	size_t i = 0;

	(void)arg;
	while (!atomic_load(&stop)) {
		const char *other = others[i++ % ARRAY_SIZE(others)];

		(void)syscall(SYS_renameat2, temp.fd, "sock", temp.fd, other,
		    EXCHANGE);
		(void)syscall(SYS_renameat2, temp.fd, "fifo", temp.fd, other,
		    EXCHANGE);
	}
	return NULL;
}

/* How many connections LISTENER has got. */
static unsigned int
connections(int listener)
{
	unsigned int count = 0;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		close(fd);
		count++;
	}
	return count;
}

static void
node(const char *name, mode_t mode, uid_t owner)
{
	assert_int_equal(mknodat(temp.fd, name, mode | 0600, makedev(1, 3)), 0);
	assert_int_equal(fchownat(temp.fd, name, owner, owner,
	    AT_SYMLINK_NOFOLLOW), 0);
}

static void
names_of_a_jail(void **state)
{
	unsigned int i, connected = 0, opened = 0, refused = 0;
	int own, roots, canary;
	char path[128];

	(void)state;
	need_root();
	own = listen_at(&temp, "sock", VMM);
	roots = listen_at(&temp, "root", 0);
	canary = listen_at(&outside, "canary", VMM);
	snprintf(path, sizeof(path), "%s/canary", outside.path);
	assert_int_equal(symlinkat(path, temp.fd, "link"), 0);
	assert_int_equal(mkdirat(temp.fd, "dir", 0700), 0);
	put_file(temp.fd, "file", "x", 1);
	node("fifo", S_IFIFO, VMM);
	node("fifo.own", S_IFIFO, VMM);
	node("fifo.root", S_IFIFO, 0);
	node("device", S_IFCHR, VMM);
	node("sock.own", S_IFSOCK, VMM);
	attack(swap_names);
	for (i = 0; i < ROUNDS; i++) {
		struct stat st;
		int fd = jail_connect(temp.fd, VMM, "sock");

		connected += fd >= 0;
		refused += fd < 0;
		close_fdp(&fd);
		fd = jail_open_fifo(temp.fd, VMM, "fifo");
		if (fd >= 0) {
			assert_int_equal(fstat(fd, &st), 0);
			assert_true(S_ISFIFO(st.st_mode) && st.st_uid == VMM);
			opened++;
			close(fd);
		}
		if (i % 256 == 0)
			(void)connections(own);
	}
	end_attack();
	/* Nobody but the VM's own has heard of it. */
	assert_int_equal(connections(canary), 0);
	assert_int_equal(connections(roots), 0);
	print_message("%u rounds: %u connected, %u refused, %u FIFOs opened\n",
	    i, connected, refused, opened);
	assert_true(connected > 0 && refused > 0 && opened > 0);
	close(own);
	close(roots);
	close(canary);
}

/* ---- a file that changes ---- */

static int config_fd;

/* The worker's own file: longer, shorter, with a second name, and back. */
static void *
change_file(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		(void)!ftruncate(config_fd, 8 * LAUNCH_CONFIG_MAX);
		(void)!linkat(temp.fd, "config", temp.fd, "config.too", 0);
		(void)!ftruncate(config_fd, 0);
		(void)unlinkat(temp.fd, "config.too", 0);
		(void)!ftruncate(config_fd, 100);
	}
	return NULL;
}

/* A copy is never longer than it may be, and never of another file. */
static void
file_that_changes(void **state)
{
	unsigned int i, copied = 0, refused = 0;
	struct stat st;
	int fd;

	(void)state;
	need_root();
	put_file(temp.fd, "config", "{}", 2);
	assert_int_equal(fchownat(temp.fd, "config", VMM, VMM, 0), 0);
	config_fd = openat(temp.fd, "config", O_WRONLY | O_CLOEXEC);
	fd = openat(temp.fd, "config", O_RDONLY | O_CLOEXEC);
	assert_true(config_fd >= 0 && fd >= 0);
	attack(change_file);
	for (i = 0; i < ROUNDS; i++) {
		if (check_file_fd(fd, VMM, O_RDONLY, 1, LAUNCH_CONFIG_MAX) < 0) {
			refused++;
			continue;
		}
		(void)unlinkat(outside.fd, "vmm.conf", 0);
		if (jail_make_file(outside.fd, "vmm.conf", fd) == 0)
			copied++;
		if (fstatat(outside.fd, "vmm.conf", &st, 0) == 0)
			assert_true(st.st_size <= LAUNCH_CONFIG_MAX);
	}
	end_attack();
	print_message("%u rounds: %u refused, %u copied\n", i, refused, copied);
	assert_true(refused > 0 && copied > 0);
	close(fd);
	close(config_fd);
}

/* ---- a pid that is another's ---- */

/* Runs in its own pid namespace, where the next pid can be chosen. */
static int
reuse_pids(void)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	unsigned int i;

	if (proc < 0 || last < 0)
		return 2;
	for (i = 0; i < PIDS; i++) {
		const struct timespec tick = { .tv_nsec = 11 * 1000 * 1000 };
		struct proc_identity first;
		pid_t pid = fork(), again;
		char text[16];
		int status;

		if (pid == 0)
			for (;;)
				pause();
		if (pid < 0 || proc_identify(proc, pid, &first) < 0)
			return 3;
		kill(pid, SIGKILL);
		/* A zombie is still it, and none that could be hurt. */
		waitpid(pid, NULL, 0);
		/* The clock of /proc has ticks of 10 ms. */
		nanosleep(&tick, NULL);
		snprintf(text, sizeof(text), "%d", pid - 1);
		if (pwrite(last, text, strlen(text), 0) < 0)
			return 4;
		again = fork();
		if (again == 0)
			for (;;)
				pause();
		if (again != pid)
			return 5;
		if (proc_open(proc, pid, &first) != -ESRCH)
			return 6;
		proc_end(proc, pid, first.start_time);
		if (waitpid(again, &status, WNOHANG) != 0)
			return 7;
		kill(again, SIGKILL);
		waitpid(again, NULL, 0);
	}
	return 0;
}

static void
pids_again(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	need_root();
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
			_exit(10);
		pid = fork();
		if (pid == 0) {
			if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			    mount("proc", "/proc", "proc", 0, NULL) < 0)
				_exit(11);
			_exit(reuse_pids());
		}
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 12);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	print_message("%d pids given to another process\n", PIDS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_of_a_jail),
		TEST(file_that_changes),
		TEST(pids_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
