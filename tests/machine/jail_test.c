/*
 * The jail, with a hostile VMM (jail_vmm.c) in QEMU's place: jail.c, stage.c
 * and a launcher as the daemon runs them, in namespaces of the test's own.
 * Run as `jail_test JAIL_VMM` by the script `jail`.
 */
#include "../unit/unit.h"

#include <ctype.h>
#include <linux/if_tun.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "privsep/check.h"
#include "privsep/drop.h"
#include "privsep/launcher.h"
#include "privsep/log.h"
#include "privsep/monitor.h"
#include "privsep/path.h"

enum { UID_BASE = 720000, SLOTS = 4 };

static const char *vmm_path;
static struct temp temp;
static struct config cfg;
static struct monitor monitor;
static int worker;			/* the other end of monitor.wire */
static pid_t launcher;
static char mounts_before[65536];
static char report[65536];

/* --- helpers --- */

static void
read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(fd, buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = '\0';
	close(fd);
}

static void
start_launcher(void (*filter)(const void *), const void *arg)
{
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    sockets), 0);
	launcher = fork();
	assert_true(launcher >= 0);
	if (launcher == 0) {
		/* As daemon.c does it. */
		if (dup2(sockets[1], 3) < 0 ||
		    syscall(SYS_close_range, 4U, ~0U, 0U) < 0)
			_exit(1);
		if (filter != NULL)
			filter(arg);
		launcher_main(3, "/nonexistent");
	}
	close(sockets[1]);
	monitor.launcher = sockets[0];
}

static void
stop_launcher(void)
{
	int status;

	close(monitor.launcher);
	assert_int_equal(waitpid(launcher, &status, 0), launcher);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A file of the worker's with TEXT, opened with FLAGS. */
static int
worker_file(const char *text, int flags)
{
	static unsigned int count;
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "file%u", count++);
	put_file(temp.fd, name, text, strlen(text));
	assert_int_equal(fchownat(temp.fd, name, UID_BASE, UID_BASE, 0), 0);
	assert_int_equal(fchmodat(temp.fd, name, 0644, 0), 0);
	fd = openat(temp.fd, name, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static struct vm *
new_vm(uint64_t id)
{
	struct vm *vm = vm_allocate(&monitor.table, id);

	assert_non_null(vm);
	vm->ipv4 = 0xac100002;
	vm->tap_fd = eventfd(0, EFD_CLOEXEC);
	vm->disk.fd = worker_file("disk", O_RDWR);
	assert_int_equal(vm_save(&monitor.table, vm), 0);
	return vm;
}

static const struct vmm_launch_request request = { .vmm = VMM_QEMU,
	.vcpus = 1, .mem_mib = 128 };

/* The fds of a launch with CONFIG. */
static void
prepare(const char *config, int fds[LAUNCH_FDS])
{
	fds[LAUNCH_KERNEL] = worker_file("kernel", O_RDONLY);
	fds[LAUNCH_INITRD] = worker_file("initrd", O_RDONLY);
	fds[LAUNCH_CONFIG] = worker_file(config, O_RDONLY);
	memset(monitor.error, 0, sizeof(monitor.error));
}

/* Launches VM with CONFIG; STDERR_FD may be NULL. */
static int
launch(struct vm *vm, const char *config, int *stderr_fd)
{
	int fds[LAUNCH_FDS], i, r, reading = -1;

	prepare(config, fds);
	r = stage_launch(&monitor, vm, &request, fds, &reading);
	for (i = 0; i < LAUNCH_FDS; i++)
		close(fds[i]);
	if (stderr_fd != NULL)
		*stderr_fd = reading;
	else
		close_fdp(&reading);
	return r;
}

/* Waits for the VMM's exit as the monitor's loop does; the event's code. */
static int
await_exit(struct vm *vm)
{
	struct wire_record record;
	struct vmm_exit_event event;

	while (vm->state == VM_RUNNING) {
		struct pollfd pfd = { .fd = monitor.launcher,
			.events = POLLIN };

		assert_int_equal(poll(&pfd, 1, 10000), 1);
		assert_int_equal(wire_recv(monitor.launcher, &record, 0), 1);
		monitor_launcher_event(&monitor, &record);
	}
	assert_int_equal(vm->state, VM_EXITED);
	assert_int_equal(wire_recv(worker, &record, 0), 1);
	assert_int_equal(record.reply.op, EVENT_VMM_EXIT);
	assert_int_equal(record.reply.vm, vm->id);
	memcpy(&event, record.bytes + sizeof(record.reply), sizeof(event));
	assert_int_equal(event.status_known, 1);
	return event.exit_code;
}

static int
end_vmm(struct vm *vm)
{
	if (vm->state == VM_RUNNING)
		assert_int_equal(proc_signal(vm->pidfd, SIGKILL), 0);
	return await_exit(vm);
}

/* Waits until the VMM has written its report, and reads it. */
static void
read_report(struct vm *vm)
{
	int tries, fd = -ENOENT;
	ssize_t n;

	for (tries = 0; fd < 0 && tries < 1000; tries++) {
		usleep(5000);
		fd = path_open(vm->run_fd, "report", O_RDONLY, 0);
	}
	assert_true(fd >= 0);
	n = read(fd, report, sizeof(report) - 1);
	assert_true(n >= 0);
	report[n] = '\0';
	close(fd);
}

/* A line of the report. */
static void
assert_report(const char *line)
{
	size_t len = strlen(line);
	const char *p;

	for (p = report; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, line, len) == 0 && p[len] == '\n')
			return;
		if (*p == '\0')
			break;
	}
	fail_msg("no line `%s` in:\n%s", line, report);
}

static unsigned int
entries(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fdopendir(fd);
	unsigned int count = 0;

	assert_non_null(stream);
	while (readdir(stream) != NULL)
		count++;
	closedir(stream);
	return count - 2;
}

/* Processes whose uid is one of the range's. */
static unsigned int
processes_of_range(void)
{
	DIR *stream = opendir("/proc");
	struct dirent *entry;
	unsigned int count = 0;

	assert_non_null(stream);
	while ((entry = readdir(stream)) != NULL) {
		struct stat st;

		if (isdigit((unsigned char)entry->d_name[0]) &&
		    fstatat(dirfd(stream), entry->d_name, &st, 0) == 0 &&
		    st.st_uid >= UID_BASE && st.st_uid <= UID_BASE + SLOTS)
			count++;
	}
	closedir(stream);
	return count;
}

static void
assert_no_mount_seen(void)
{
	static char now[sizeof(mounts_before)];

	read_text("/proc/self/mountinfo", now, sizeof(now));
	assert_string_equal(now, mounts_before);
}

/* What must be true between any two tests. */
static void
assert_nothing_left(void)
{
	assert_int_equal(entries(temp.fd, "jail"), 0);
	assert_int_equal(processes_of_range(), 0);
	assert_no_mount_seen();
}

static void
remove_vm(struct vm *vm)
{
	char name[VM_ID_HEX + 1];

	vm_name(vm->id, name);
	assert_int_equal(jail_remove(monitor.jails, name), 0);
	vm_free(&monitor.table, vm);
	assert_nothing_left();
}

/* --- tests --- */

static void
what_a_vmm_is(void **state)
{
	struct vm *vm = new_vm(0xabc);
	char line[128];
	const char *p;

	(void)state;
	assert_int_equal(launch(vm, "look wait", NULL), 0);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm->tap_fd, -1);
	read_report(vm);
	snprintf(line, sizeof(line), "uid %u %u %u", UID_BASE + 1,
	    UID_BASE + 1, UID_BASE + 1);
	assert_report(line);
	memcpy(line, "gid", 3);
	assert_report(line);
	assert_report("groups 0");
	assert_report("session 1");
	assert_report("umask 077");
	assert_report("pid 1");
	assert_report("no_new_privs 1");
	assert_report("effective 0");
	assert_report("permitted 0");
	assert_report("inheritable 0");
	assert_report("bounding 0");
	assert_report("ambient 0");
	assert_report("fds 0 1 2 3 4");
	assert_report("fd0 20000 2");
	assert_report("fd1 20000 2");
	assert_report("fd2 10000 1");
	assert_report("fd3 0 2");		/* the eventfd */
	assert_report("fd4 100000 2");
	assert_report("cwd /");
	assert_report("env 0");
	assert_report("links lo");
	assert_report("lo_up 0");
	assert_report("limit core 0 0");
	assert_report("limit nofile 1024 1024");
	assert_report("limit nproc 256 256");
	assert_report("limit msgqueue 0 0");
	assert_report("ignored 0");
	assert_report("blocked 0");
	p = strstr(report, "argv ");
	assert_non_null(p);
	assert_ptr_equal(strstr(p, "argv qemu-system-x86_64 -nodefaults "
	    "-no-user-config"), p);
	end_vmm(vm);
	remove_vm(vm);
}

static void
what_a_vmm_sees(void **state)
{
	struct vm *vm = new_vm(1);
	char line[128];

	(void)state;
	monitor.kvm = true;
	assert_int_equal(launch(vm, "look wait", NULL), 0);
	monitor.kvm = false;
	read_report(vm);
	/* lib64 is where the host has one; nothing beside these. */
	if (strstr(report, " lib64 ") != NULL)
		assert_report("ls / dev etc initrd kernel lib lib64 run usr "
		    "vmm.conf");
	else
		assert_report("ls / dev etc initrd kernel lib run usr "
		    "vmm.conf");
	assert_report("ls /dev kvm null urandom");
	assert_report("ls /etc ld.so.cache");
	snprintf(line, sizeof(line), "node /dev/null 20600 %u 1:3",
	    UID_BASE + 1);
	assert_report(line);
	snprintf(line, sizeof(line), "node /dev/urandom 20600 %u 1:9",
	    UID_BASE + 1);
	assert_report(line);
	snprintf(line, sizeof(line), "node /dev/kvm 20600 %u 10:232",
	    UID_BASE + 1);
	assert_report(line);
	snprintf(line, sizeof(line), "node /run 40700 %u 0:0", UID_BASE + 1);
	assert_report(line);
	assert_report("node / 40755 0 0:0");
	assert_report("node /dev 40755 0 0:0");
	assert_report("node /etc 40755 0 0:0");
	assert_report("node /usr 40755 0 0:0");
	assert_report("node /vmm.conf 100444 0 0:0");
	end_vmm(vm);
	remove_vm(vm);
}

/* A real tap for VM, in the test's network namespace. */
static void
use_tap(struct vm *vm)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	close(vm->tap_fd);
	vm->tap_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(vm->tap_fd >= 0);
	strcpy(ifr.ifr_name, "fc-test");
	assert_int_equal(ioctl(vm->tap_fd, TUNSETIFF, &ifr), 0);
}

static void
what_a_vmm_cannot(void **state)
{
	struct vm *vm = new_vm(2);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	static const char name[] = "\0banger-jail-test";
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *line, *save = NULL;
	unsigned int tries = 0;

	(void)state;
	memcpy(addr.sun_path, name, sizeof(name) - 1);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr,
	    (socklen_t)(sizeof(sa_family_t) + sizeof(name) - 1)), 0);
	assert_int_equal(listen(sock, 1), 0);
	use_tap(vm);
	assert_int_equal(launch(vm, "try wait", NULL), 0);
	read_report(vm);
	/* A VMM's own business with its tap is allowed. */
	assert_report("tap features 0");
	for (line = strtok_r(report, "\n", &save); line != NULL;
	    line = strtok_r(NULL, "\n", &save)) {
		tries += strncmp(line, "try ", 4) == 0;
		if (strstr(line, "SUCCESS") != NULL)
			fail_msg("a VMM can: %s", line);
	}
	assert_true(tries >= 30);
	close(sock);
	end_vmm(vm);
	remove_vm(vm);
}

/* Flags of a mount, from its line in mountinfo. */
static bool
mounted(const char *table, const char *where, const char *options)
{
	char want[128];

	snprintf(want, sizeof(want), " %s %s", where, options);
	return strstr(table, want) != NULL;
}

static void
mount_table(void **state)
{
	static char table[65536];
	struct vm *vm = new_vm(3);
	char path[64], *p;
	unsigned int lines = 0, i, expected = 4;	/* /, kernel, initrd, run */

	(void)state;
	assert_int_equal(launch(vm, "look wait", NULL), 0);
	read_report(vm);
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)vm->pid);
	read_text(path, table, sizeof(table));
	for (p = table; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	for (i = 0; i < MOUNT_HOST_DIRS; i++)
		expected += monitor.host.dirs[i] >= 0;
	if (lines != expected)
		fail_msg("%u mounts, not %u:\n%s", lines, expected, table);
	assert_true(mounted(table, "/", "rw,nosuid,noexec"));
	assert_true(mounted(table, "/run", "rw,nosuid,nodev,noexec"));
	assert_true(mounted(table, "/kernel", "ro,nosuid,nodev,noexec"));
	assert_true(mounted(table, "/initrd", "ro,nosuid,nodev,noexec"));
	assert_true(mounted(table, "/usr/lib", "ro,nosuid,nodev"));
	assert_true(mounted(table, "/etc/ld.so.cache", "ro,nosuid,nodev"));
	/* Nothing of the host's reaches it later. */
	assert_null(strstr(table, "master:"));
	assert_null(strstr(table, "shared:"));
	assert_no_mount_seen();
	end_vmm(vm);
	remove_vm(vm);
}

static void
namespaces(void **state)
{
	static const char *const kinds[] = { "mnt", "net", "ipc", "pid" };
	struct vm *vm = new_vm(4);
	size_t i;

	(void)state;
	assert_int_equal(launch(vm, "look wait", NULL), 0);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		char path[64], ours[64] = "", theirs[64] = "";

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		assert_true(readlink(path, ours, sizeof(ours) - 1) > 0);
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)vm->pid,
		    kinds[i]);
		assert_true(readlink(path, theirs, sizeof(theirs) - 1) > 0);
		assert_string_not_equal(ours, theirs);
	}
	end_vmm(vm);
	remove_vm(vm);
}

static void
exits(void **state)
{
	static const struct {
		const char *config;
		int code;
	} cases[] = { { "exit=0", 0 }, { "exit=1", 1 }, { "exit=255", 255 },
		{ "look exit=42", 42 } };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm *vm = new_vm(100 + i);

		assert_int_equal(launch(vm, cases[i].config, NULL), 0);
		assert_int_equal(await_exit(vm), cases[i].code);
		assert_int_equal(vm->pidfd, -1);
		assert_int_equal(vm->run_fd, -1);
		remove_vm(vm);
	}
}

static void
deaths(void **state)
{
	struct vm *vm = new_vm(5);

	(void)state;
	assert_int_equal(launch(vm, "wait", NULL), 0);
	assert_int_equal(end_vmm(vm), -SIGKILL);
	remove_vm(vm);
	vm = new_vm(6);
	assert_int_equal(launch(vm, "abort", NULL), 0);
	assert_true(await_exit(vm) < 0);
	remove_vm(vm);
}

static void
standard_error(void **state)
{
	struct vm *vm = new_vm(7);
	char text[64] = "";
	int fd = -1;

	(void)state;
	assert_int_equal(launch(vm, "stderr exit=0", &fd), 0);
	assert_int_equal(await_exit(vm), 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "on standard error\n");
	assert_int_equal(read(fd, text, sizeof(text)), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	remove_vm(vm);
}

/*
 * What a VMM leaves running ends with it: else it would have the uid of the
 * VM that gets the slot next.
 */
static void
no_process_survives(void **state)
{
	struct vm *vm = new_vm(8);

	(void)state;
	assert_int_equal(launch(vm, "linger linger linger exit=3", NULL), 0);
	assert_int_equal(await_exit(vm), 3);
	assert_int_equal(processes_of_range(), 0);
	remove_vm(vm);
}

/* Somebody else's socket on the host; nobody must ever connect to it. */
static int
listen_outside(char path[96])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);

	snprintf(path, 96, "%s/outside.sock", temp.path);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	(void)unlink(path);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(chown(path, UID_BASE + 1, UID_BASE + 1), 0);
	assert_int_equal(listen(sock, 128), 0);
	return sock;
}

static int
connect_to(const struct vm *vm, const char *name)
{
	return jail_connect(vm->run_fd, vm_uid(&monitor.table, vm), name);
}

static void
planted_sockets(void **state)
{
	struct vm *vm = new_vm(9);
	char path[96], config[160];
	int outside = listen_outside(path), fd;

	(void)state;
	snprintf(config, sizeof(config), "outside=%s plant wait", path);
	assert_int_equal(launch(vm, config, NULL), 0);
	read_report(vm);
	fd = connect_to(vm, "0.sock");
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	assert_int_equal(connect_to(vm, "1.sock"), -ECONNREFUSED);
	while ((fd = connect_to(vm, "2.sock")) >= 0)
		continue;		/* left open: its queue fills */
	assert_int_equal(fd, -EAGAIN);
	assert_int_equal(connect_to(vm, "3.sock"), -ENOTSOCK);
	assert_int_equal(connect_to(vm, "4.sock"), -ENOTSOCK);
	assert_int_equal(connect_to(vm, "5.sock"), -ENOTSOCK);
	assert_int_equal(connect_to(vm, "6.sock"), -ENOTSOCK);
	assert_int_equal(connect_to(vm, "7.sock"), -ENOTSOCK);
	assert_int_equal(connect_to(vm, "8.sock"), -ENOTSOCK);
	fd = connect_to(vm, "9.sock");
	assert_true(fd >= 0);		/* its own, by another name */
	close(fd);
	assert_int_equal(connect_to(vm, "absent"), -ENOENT);
	/* Somebody else's uid. */
	assert_int_equal(jail_connect(vm->run_fd, UID_BASE + 2, "0.sock"),
	    -EPERM);
	assert_int_equal(accept(outside, NULL, NULL), -1);
	end_vmm(vm);
	assert_int_equal(connect_to(vm, "0.sock"), -EBADF);
	remove_vm(vm);
	assert_int_equal(access(path, F_OK), 0);
	close(outside);
	syscall(SYS_close_range, 100U, ~0U, 0U);
}

static void
swapped_sockets(void **state)
{
	struct vm *vm = new_vm(10);
	char path[96], config[160];
	int outside = listen_outside(path), i, own = 0, links = 0;

	(void)state;
	snprintf(config, sizeof(config), "outside=%s swap wait", path);
	assert_int_equal(launch(vm, config, NULL), 0);
	read_report(vm);
	for (i = 0; i < 20000; i++) {
		int fd = connect_to(vm, "10.sock");

		own += fd >= 0 || fd == -EAGAIN;
		links += fd == -ENOTSOCK;
		close_fdp(&fd);
	}
	print_message("%d own, %d links\n", own, links);
	assert_true(own > 0 && links > 0);
	assert_int_equal(accept(outside, NULL, NULL), -1);
	end_vmm(vm);
	remove_vm(vm);
	close(outside);
}

/* VM once more, after its VMM's end. */
static void
again(struct vm *vm)
{
	char name[VM_ID_HEX + 1];

	vm_name(vm->id, name);
	assert_int_equal(jail_remove(monitor.jails, name), 0);
	close_fdp(&vm->run_fd);
	close_fdp(&vm->pidfd);
	vm->state = VM_STAGED;
	vm->disk.fd = worker_file("disk", O_RDWR);
	vm->tap_fd = eventfd(0, EFD_CLOEXEC);
}

/* The cache of another ldconfig(8) than that of the daemon's start. */
static void
new_ld_cache(void **state)
{
	struct jail_host host = monitor.host;
	char etc[96], path[64], text[16] = "";
	struct vm *vm = new_vm(13);
	int i, fd;

	(void)state;
	snprintf(etc, sizeof(etc), "%s/etc", temp.path);
	assert_int_equal(mkdir(etc, 0755), 0);
	put_file(temp.fd, "etc/ld.so.cache", "old", 3);
	assert_int_equal(mount(etc, "/etc", NULL, MS_BIND, NULL), 0);
	assert_int_equal(jail_host_open(&monitor.host), 0);
	for (i = 0; i < 2; i++) {
		put_file(temp.fd, "etc/ld.so.cache~", "new", 3);
		assert_int_equal(renameat(temp.fd, "etc/ld.so.cache~", temp.fd,
		    "etc/ld.so.cache"), 0);
		assert_int_equal(launch(vm, "look wait", NULL), 0);
		snprintf(path, sizeof(path), "/proc/%d/root/etc/ld.so.cache",
		    (int)vm->pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(read(fd, text, sizeof(text) - 1), 3);
		assert_string_equal(text, "new");
		close(fd);
		end_vmm(vm);
		again(vm);
	}
	/* A host that has none. */
	assert_int_equal(unlinkat(temp.fd, "etc/ld.so.cache", 0), 0);
	assert_int_equal(launch(vm, "look wait", NULL), 0);
	end_vmm(vm);
	for (i = 0; i < MOUNT_HOST_DIRS; i++)
		close_fdp(&monitor.host.dirs[i]);
	monitor.host = host;
	assert_int_equal(umount("/etc"), 0);
	remove_vm(vm);
}

/* An upgrade: the daemon's executable of the VMM is deleted, another one there. */
static void
upgraded(void **state)
{
	int old = monitor.programs[PROGRAM_QEMU];
	struct vm *vm = new_vm(14);
	char exe[64], command[1200];
	struct stat st, now;

	(void)state;
	snprintf(cfg.qemu_bin, sizeof(cfg.qemu_bin), "%s/qemu", temp.path);
	snprintf(command, sizeof(command),
	    "install -m 755 %s %s.new && mv %s.new %s", vmm_path,
	    cfg.qemu_bin, cfg.qemu_bin, cfg.qemu_bin);
	assert_int_equal(system(command), 0);
	monitor.programs[PROGRAM_QEMU] = open(cfg.qemu_bin,
	    O_RDONLY | O_CLOEXEC);
	assert_int_equal(system(command), 0);
	assert_int_equal(stat(cfg.qemu_bin, &st), 0);
	assert_int_equal(launch(vm, "look wait", NULL), 0);
	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)vm->pid);
	assert_int_equal(stat(exe, &now), 0);
	assert_true(now.st_ino == st.st_ino);
	end_vmm(vm);
	/* Another one that is not root's alone, or none: said, as at the start. */
	again(vm);
	assert_int_equal(system(command), 0);
	assert_int_equal(chmod(cfg.qemu_bin, 0777), 0);
	assert_int_equal(launch(vm, "look wait", NULL), -EPERM);
	assert_non_null(strstr(monitor.error, "is not root's alone"));
	assert_int_equal(unlink(cfg.qemu_bin), 0);
	assert_int_equal(launch(vm, "look wait", NULL), -ENOENT);
	assert_non_null(strstr(monitor.error, "/qemu: No such file"));
	close(monitor.programs[PROGRAM_QEMU]);
	monitor.programs[PROGRAM_QEMU] = old;
	cfg.qemu_bin[0] = '\0';
	remove_vm(vm);
}

/* What it can pile up is a few pages. */
static void
full_run(void **state)
{
	struct vm *vm = new_vm(11);
	unsigned long long bytes;
	const char *p;
	int files;

	(void)state;
	assert_int_equal(launch(vm, "fill wait", NULL), 0);
	read_report(vm);
	p = strstr(report, "filled ");
	assert_non_null(p);
	assert_int_equal(sscanf(p, "filled %d %llu", &files, &bytes), 2);
	assert_true(files < 64 && bytes <= 65536);
	end_vmm(vm);
	remove_vm(vm);
}

/* After a restart of the daemon: /run by way of the process. */
static void
adopted_run(void **state)
{
	struct vm *vm = new_vm(12);
	struct vm_table again;
	struct vm *adopted;
	int fd;

	(void)state;
	assert_int_equal(launch(vm, "plant wait", NULL), 0);
	read_report(vm);
	assert_int_equal(vm_table_init(&again, SLOTS, UID_BASE + 1,
	    monitor.table.records), 0);
	assert_int_equal(vm_load_all(&again, monitor.proc), 0);
	adopted = vm_find(&again, 12);
	assert_non_null(adopted);
	assert_int_equal(adopted->state, VM_RUNNING);
	assert_true(adopted->adopted);
	fd = jail_connect(adopted->run_fd, vm_uid(&again, adopted), "0.sock");
	assert_true(fd >= 0);
	close(fd);
	end_vmm(vm);
	/* Its process is gone: neither pid nor /run are anybody else's. */
	assert_int_equal(proc_signal(adopted->pidfd, SIGKILL), -ESRCH);
	assert_true(jail_connect(adopted->run_fd, vm_uid(&again, adopted),
	    "0.sock") < 0);
	close(adopted->pidfd);
	close(adopted->run_fd);
	free(again.vms);
	remove_vm(vm);
}

/* Two at once, each with its own uid; one's end does not touch the other. */
static void
two_vms(void **state)
{
	struct vm *a = new_vm(20), *b = new_vm(21);
	char line[64];

	(void)state;
	assert_int_equal(launch(a, "look wait", NULL), 0);
	assert_int_equal(launch(b, "look wait", NULL), 0);
	read_report(b);
	snprintf(line, sizeof(line), "uid %u %u %u", UID_BASE + 2,
	    UID_BASE + 2, UID_BASE + 2);
	assert_report(line);
	end_vmm(a);
	assert_int_equal(b->state, VM_RUNNING);
	assert_int_equal(proc_signal(b->pidfd, 0), 0);
	end_vmm(b);
	vm_free(&monitor.table, a);
	assert_int_equal(jail_remove(monitor.jails, "000000000014"), 0);
	remove_vm(b);
}

/* Which step failed, or 0. */
static int
confined_life(struct vm *vm, const int *fds)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int fd = -1, i, reading;

	drop_monitor();
	if (stage_launch(&monitor, vm, &request, fds, &reading) < 0)
		return 1;
	for (i = 0; fd < 0 && i < 5000; i++) {
		(void)ppoll(NULL, 0, &moment, NULL);
		fd = connect_to(vm, "9.sock");
	}
	if (fd < 0)
		return 2;
	end_vmm(vm);
	return jail_remove(monitor.jails, "00000000001e") < 0 ? 3 : 0;
}

/* A life of a VM with the monitor's own capabilities and system calls. */
static void
as_the_monitor(void **state)
{
	struct vm *vm = new_vm(30);
	int fds[LAUNCH_FDS], i, status;
	pid_t pid;

	(void)state;
	prepare("plant wait", fds);
	pid = fork();
	assert_true(pid >= 0);
	/* Past ASan, whose _exit makes calls that no monitor makes. */
	if (pid == 0)
		syscall(SYS_exit_group, confined_life(vm, fds));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (i = 0; i < LAUNCH_FDS; i++)
		close(fds[i]);
	remove_vm(vm);
}

/* --- failures --- */

/* A system call that fails, as the first of its kind in each launch. */
struct fault {
	int nr;
	const char *what;		/* the reply's text has this */
	int arg;			/* -1: whatever its arguments */
	uint64_t value;
};

static void
install_fault(const void *arg)
{
	const struct fault *fault = arg;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp cmp = { .arg = (unsigned int)fault->arg,
		.op = SCMP_CMP_EQ, .datum_a = fault->value };

	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EUCLEAN), fault->nr,
	    fault->arg >= 0, &cmp) < 0 || seccomp_load(ctx) < 0)
		_exit(99);
	seccomp_release(ctx);
}

static void
launcher_faults(void **state)
{
	static const struct fault faults[] = {
		{ SYS_pipe2, "fork: ", -1, 0 },
		{ SYS_clone3, "fork: ", -1, 0 },
		{ SYS_setsid, "setsid: ", -1, 0 },
		{ SYS_fchdir, "enter the jail: ", -1, 0 },
		{ SYS_unshare, "enter the jail: ", 0, CLONE_NEWNS },
		{ SYS_open_tree, "enter the jail: ", -1, 0 },
		{ SYS_mount_setattr, "enter the jail: ", -1, 0 },
		{ SYS_move_mount, "enter the jail: ", -1, 0 },
		{ SYS_pivot_root, "pivot_root: ", -1, 0 },
		{ SYS_umount2, "pivot_root: ", -1, 0 },
		{ SYS_chdir, "pivot_root: ", -1, 0 },
		{ SYS_fcntl, "pass fds: ", 1, F_DUPFD_CLOEXEC },
		{ SYS_dup3, "pass fds: ", -1, 0 },
		{ SYS_close_range, "pass fds: ", -1, 0 },
		{ SYS_prlimit64, "set limits: ", -1, 0 },
		{ SYS_setgroups, "drop privileges: ", -1, 0 },
		{ SYS_setresgid, "drop privileges: ", -1, 0 },
		{ SYS_setresuid, "drop privileges: ", -1, 0 },
		{ SYS_prctl, "drop privileges: ", 0, PR_SET_NO_NEW_PRIVS },
		{ SYS_execveat, "execute the VMM: ", -1, 0 },
	};
	size_t i;

	(void)state;
	stop_launcher();
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		struct vm *vm = new_vm(200 + i);
		unsigned int fds;
		int r;

		start_launcher(install_fault, &faults[i]);
		fds = count_fds();
		r = launch(vm, "wait", NULL);
		if (r != -EUCLEAN)
			fail_msg("case %zu (%s): %d: %s", i, faults[i].what, r,
			    monitor.error);
		assert_case(strstr(monitor.error, faults[i].what) ==
		    monitor.error, i, monitor.error);
		assert_case(vm->state == VM_STAGED && vm->pid == 0 &&
		    vm->pidfd == -1 && vm->tap_fd >= 0, i, faults[i].what);
		assert_case(count_fds() == fds, i, faults[i].what);
		assert_nothing_left();
		vm_free(&monitor.table, vm);
		stop_launcher();
	}
	start_launcher(NULL, NULL);
	print_message("%zu steps of the launcher failed\n", i);
}

/* 0 when a launch fails as FAULT says and all is as it was, or another. */
static int
launch_with_fault(struct vm *vm, const int *fds, const struct fault *fault)
{
	unsigned int before = count_fds();
	int reading = -1;

	install_fault(fault);
	if (stage_launch(&monitor, vm, &request, fds, &reading) != -EUCLEAN)
		return 1;
	if (strstr(monitor.error, fault->what) != monitor.error) {
		fprintf(stderr, "%s\n", monitor.error);
		return 2;
	}
	if (reading != -1 || vm->state == VM_RUNNING || vm->pidfd != -1 ||
	    vm->run_fd != -1)
		return 3;
	return count_fds() == before ? 0 : 4;
}

/* The same on the monitor's side, in a child of its own for each. */
static void
monitor_faults(void **state)
{
	static const struct fault faults[] = {
		{ SYS_pipe2, "pipe", -1, 0 },
		{ SYS_mkdirat, "jail ", -1, 0 },
		{ SYS_openat2, "jail ", -1, 0 },
		{ SYS_fchown, "jail ", -1, 0 },
		{ SYS_fchmod, "jail ", -1, 0 },
		{ SYS_fchmodat, "jail ", -1, 0 },
		{ SYS_mknodat, "jail ", -1, 0 },
		{ SYS_fchownat, "jail ", -1, 0 },
		{ SYS_symlinkat, "jail ", -1, 0 },
		{ SYS_pread64, "jail ", -1, 0 },
		{ SYS_open_tree, "mounts of jail ", -1, 0 },
		{ SYS_mount_setattr, "mounts of jail ", -1, 0 },
		{ SYS_fsopen, "mounts of jail ", -1, 0 },
		{ SYS_fsconfig, "mounts of jail ", -1, 0 },
		{ SYS_fsmount, "mounts of jail ", -1, 0 },
		{ SYS_renameat, "record of VM ", -1, 0 },
	};
	struct wire_record record;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		struct vm *vm = new_vm(300 + i);
		int fds[LAUNCH_FDS], status, j;
		pid_t pid;

		prepare("wait", fds);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(launch_with_fault(vm, fds, &faults[i]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("case %zu (%s): status %x", i, faults[i].what,
			    status);
		for (j = 0; j < LAUNCH_FDS; j++)
			close(fds[j]);
		assert_nothing_left();
		vm_free(&monitor.table, vm);
	}
	/* None got as far as a VMM whose end the worker would hear of. */
	assert_int_equal(wire_recv(worker, &record, MSG_DONTWAIT), -EAGAIN);
	print_message("%zu steps of the monitor failed\n", i);
}

/* After a failure: the next test starts with nothing. */
static int
end_test(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < SLOTS; i++) {
		struct vm *vm = &monitor.table.vms[i];
		char name[VM_ID_HEX + 1];

		if (vm->id == 0)
			continue;
		if (vm->state == VM_RUNNING)
			end_vmm(vm);
		vm_name(vm->id, name);
		(void)jail_remove(monitor.jails, name);
		vm_free(&monitor.table, vm);
	}
	return 0;
}

static int
set_up(void **state)
{
	int wire[2], fd;

	(void)state;
	umask(077);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	close(fd);
	drop_mounts();
	begin_temp(&temp);
	/* A key of root's session, which no VMM may find. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "banger-jail-test");
	syscall(SYS_add_key, "user", "banger-jail-test", "secret", 6,
	    KEY_SPEC_SESSION_KEYRING);
	cfg.uid_base = UID_BASE;
	monitor.cfg = &cfg;
	monitor.epoll = -1;
	monitor.jails = path_make_dir(temp.fd, "jail", 0, 0, 0711);
	monitor.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	monitor.cgroups = -1;
	monitor.vmm = VMM_QEMU;
	monitor.programs[PROGRAM_QEMU] = open(vmm_path,
	    O_PATH | O_NOFOLLOW | O_CLOEXEC);
	assert_true(monitor.jails >= 0 && monitor.proc >= 0);
	assert_int_equal(check_exec_fd(monitor.programs[PROGRAM_QEMU]), 0);
	fd = path_make_dir(temp.fd, "records", 0, 0, 0700);
	assert_int_equal(vm_table_init(&monitor.table, SLOTS, UID_BASE + 1,
	    fd), 0);
	assert_int_equal(jail_host_open(&monitor.host), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    wire), 0);
	monitor.wire = wire[0];
	worker = wire[1];
	start_launcher(NULL, NULL);
	read_text("/proc/self/mountinfo", mounts_before, sizeof(mounts_before));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	stop_launcher();
	free(monitor.table.vms);
	end_temp(&temp);
	return 0;
}

#define jail_unit_test(f) cmocka_unit_test_teardown(f, end_test)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		jail_unit_test(what_a_vmm_is),
		jail_unit_test(what_a_vmm_sees),
		jail_unit_test(what_a_vmm_cannot),
		jail_unit_test(mount_table),
		jail_unit_test(namespaces),
		jail_unit_test(exits),
		jail_unit_test(deaths),
		jail_unit_test(standard_error),
		jail_unit_test(no_process_survives),
		jail_unit_test(planted_sockets),
		jail_unit_test(swapped_sockets),
		jail_unit_test(full_run),
		jail_unit_test(new_ld_cache),
		jail_unit_test(upgraded),
		jail_unit_test(adopted_run),
		jail_unit_test(two_vms),
		jail_unit_test(as_the_monitor),
		jail_unit_test(launcher_faults),
		jail_unit_test(monitor_faults),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: jail_test JAIL_VMM\n");
		return 2;
	}
	vmm_path = argv[1];
	log_init("jail_test", LOG_WARN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
