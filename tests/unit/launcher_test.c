/*
 * The launcher, with Firecracker's kind of launch, which has true(1) in the place
 * of the jailer: one that is well formed, such as the monitor never sends, and each
 * step of its start failing. QEMU's kind is the script machine/jail's.
 */
#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "inject.h"
#include "privsep/jail.h"
#include "privsep/launcher.h"
#include "privsep/log.h"
#include "privsep/proto.h"
#include "privsep/wire.h"

#define JAIL "00000000002a"

enum { UID = 720000, ID = 0x2a, FDS = LAUNCHER_FDS + 2 };

static struct temp temp;
static char jail_dir[96];
static int file = -1;			/* an executable, kernel, configuration */
static int null = -1;
static int sock = -1;			/* the monitor's end */
static pid_t launcher;

static int
set_up(void **state)
{
	int pair[2];

	(void)state;
	if (geteuid() != 0)
		return 0;
	log_init("test", LOG_ERROR);
	begin_temp(&temp);
	/* Detached mounts come from this namespace. */
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mkdirat(temp.fd, "jail", 0711) < 0)
		return -1;
	snprintf(jail_dir, sizeof(jail_dir), "%s/jail", temp.path);
	file = open("/bin/true", O_RDONLY | O_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (file < 0 || null < 0 || socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	launcher = fork();
	if (launcher == 0) {
		(void)dup2(pair[1], 3);
		(void)syscall(SYS_close_range, 4U, ~0U, 0U);
		launcher_main(3, jail_dir);
	}
	close(pair[1]);
	sock = pair[0];
	return launcher < 0 ? -1 : 0;
}

/* It ends with the monitor. */
static int
tear_down(void **state)
{
	int status;

	(void)state;
	if (geteuid() != 0)
		return 0;
	close(sock);
	close(file);
	close(null);
	end_temp(&temp);
	return waitpid(launcher, &status, 0) == launcher &&
	    WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* A launch that is as it should be, and its fds. */
struct order {
	struct launch launch;
	size_t cut;			/* bytes that are missing */
	int fds[FDS];
	uint32_t nfds;
	int go[2];
	struct chroot chroot;
};

static void
order_init(struct order *o)
{
	const struct chroot_spec spec = { .name = JAIL, .uid = UID,
		.disk = makedev(7, 0), .exec_fd = file, .kernel_fd = file,
		.initrd_fd = file, .config_fd = null };
	size_t i;

	memset(o, 0, sizeof(*o));
	o->launch = (struct launch){ .vmm = VMM_FIRECRACKER, .uid = UID,
		.nmounts = 2, .targets = { MOUNT_KERNEL, MOUNT_INITRD } };
	assert_int_equal(chroot_create(&spec, &o->chroot), 0);
	assert_int_equal(pipe2(o->go, O_CLOEXEC), 0);
	for (i = 0; i < FDS; i++)
		o->fds[i] = null;
	o->fds[LAUNCHER_EXEC] = file;
	o->fds[LAUNCHER_ROOT] = o->chroot.tmpfs;
	o->fds[LAUNCHER_OUT] = o->chroot.console;
	o->fds[LAUNCHER_GO] = o->go[0];
	o->fds[LAUNCHER_VMM] = o->chroot.exec;
	o->fds[LAUNCHER_FDS] = o->chroot.kernel;
	o->fds[LAUNCHER_FDS + 1] = o->chroot.initrd;
	o->nfds = FDS;
}

static void
order_close(struct order *o)
{
	chroot_close(&o->chroot);
	close_fdp(&o->go[0]);
	close_fdp(&o->go[1]);
}

/* The next record. */
static void
hear(struct wire_record *record)
{
	assert_int_equal(wire_recv(sock, record, 0), 1);
	assert_true(record->len >= sizeof(record->reply));
}

/* Sends O; the last reply is in RECORD. Whether a process was started. */
static bool
launch(struct order *o, struct wire_record *record)
{
	const struct wire_request request = { .op = OP_VMM_LAUNCH, .seq = 5,
		.vm = ID };
	bool started;

	assert_int_equal(wire_send(sock, &request, sizeof(request), &o->launch,
	    sizeof(o->launch) - o->cut, o->fds, o->nfds), 0);
	hear(record);
	assert_int_equal(record->reply.seq, 5);
	assert_int_equal(record->reply.vm, ID);
	started = record->nfds == 1;
	if (started) {
		assert_int_equal(record->reply.len, sizeof(struct launched));
		wire_close_fds(record);
		if (o->go[1] >= 0)
			assert_int_equal(write(o->go[1], "", 1), 1);
		close_fdp(&o->go[1]);
		hear(record);
		assert_int_equal(record->nfds, 0);
	}
	return started;
}

/* ---- the tests ---- */

static void
runs(void **state)
{
	struct vmm_exit_event event;
	struct wire_record record;
	struct order o;
	uint32_t api;

	(void)state;
	need_root();
	for (api = 0; api < 2; api++) {
		order_init(&o);
		o.launch.api = api;
		assert_true(launch(&o, &record));
		assert_string_equal(record.reply.error, "");
		assert_int_equal(record.reply.status, 0);
		hear(&record);
		assert_int_equal(record.reply.op, EVENT_VMM_EXIT);
		assert_int_equal(record.reply.vm, ID);
		memcpy(&event, record.bytes + sizeof(record.reply),
		    sizeof(event));
		assert_int_equal(event.status_known, 1);
		assert_int_equal(event.exit_code, 0);
		order_close(&o);
	}
}

/* Refused as a whole: no process, the reason, and the next one is served. */
static void
malformed(void **state)
{
	static const struct {
		const char *name;
		struct launch launch;
		size_t cut;
		uint32_t nfds;
	} cases[] = {
		{ "short", { VMM_FIRECRACKER, UID, 0, 0, 2,
		    { MOUNT_KERNEL, MOUNT_INITRD } }, 4, FDS },
		{ "mounts", { VMM_FIRECRACKER, UID, 0, 0, JAIL_MOUNTS + 1,
		    { MOUNT_KERNEL, MOUNT_INITRD } }, 0, FDS },
		{ "2^32 - 1 mounts", { VMM_FIRECRACKER, UID, 0, 0, UINT32_MAX,
		    { MOUNT_KERNEL, MOUNT_INITRD } }, 0, FDS },
		{ "root", { VMM_FIRECRACKER, 0, 0, 0, 2,
		    { MOUNT_KERNEL, MOUNT_INITRD } }, 0, FDS },
		{ "no VMM", { 0, UID, 0, 0, 2,
		    { MOUNT_KERNEL, MOUNT_INITRD } }, 0, FDS },
		{ "another VMM", { 99, UID, 0, 0, 2,
		    { MOUNT_KERNEL, MOUNT_INITRD } }, 0, FDS },
		{ "a mount is missing", { VMM_FIRECRACKER, UID, 0, 0, 2,
		    { MOUNT_KERNEL, MOUNT_INITRD } }, 0, FDS - 1 },
		{ "a mount too many", { VMM_FIRECRACKER, UID, 0, 0, 1,
		    { MOUNT_KERNEL, MOUNT_INITRD } }, 0, FDS },
		{ "no target", { VMM_FIRECRACKER, UID, 0, 0, 2,
		    { MOUNT_KERNEL, JAIL_MOUNTS } }, 0, FDS },
		{ "QEMU, no target", { VMM_QEMU, UID, 0, 0, 2,
		    { UINT32_MAX, MOUNT_KERNEL } }, 0, FDS },
	};
	struct wire_record record;
	struct order o;
	size_t i;

	(void)state;
	need_root();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		order_init(&o);
		o.launch = cases[i].launch;
		o.cut = cases[i].cut;
		o.nfds = cases[i].nfds;
		assert_case(!launch(&o, &record), i, cases[i].name);
		assert_case(record.reply.status == -EBADMSG, i, cases[i].name);
		assert_case(strncmp(record.reply.error, "read the launch: ",
		    17) == 0, i, cases[i].name);
		order_close(&o);
	}
	/* No request at all: not answered. */
	assert_int_equal(wire_send(sock, "x", 1, NULL, 0, NULL, 0), 0);
	assert_int_equal(wire_recv(sock, &record, MSG_DONTWAIT), -EAGAIN);
}

/* What a step needs is not what it should be. */
static void
steps(void **state)
{
	static const struct {
		const char *error;
		int fd;			/* becomes a directory, or nothing */
		bool started, cgroup, no_word;
	} cases[] = {
		{ "fork: ", LAUNCHER_CGROUP, false, true, false },
		{ "wait for the record: ", -1, true, false, true },
		{ "enter the jail: ", LAUNCHER_ROOT, true, false, false },
		{ "mount: ", LAUNCHER_VMM, true, false, false },
		{ "mount: ", LAUNCHER_FDS, true, false, false },
		{ "mount: ", LAUNCHER_FDS + 1, true, false, false },
		{ "execute the VMM: ", LAUNCHER_EXEC, true, false, false },
	};
	struct wire_record record;
	struct order o;
	size_t i;

	(void)state;
	need_root();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		order_init(&o);
		if (cases[i].fd >= 0)
			o.fds[cases[i].fd] = temp.fd;
		o.launch.cgroup = cases[i].cgroup;
		if (cases[i].no_word)
			close_fdp(&o.go[1]);
		assert_case(launch(&o, &record) == cases[i].started, i,
		    cases[i].error);
		assert_case(record.reply.status < 0, i, cases[i].error);
		assert_case(strncmp(record.reply.error, cases[i].error,
		    strlen(cases[i].error)) == 0, i, record.reply.error);
		order_close(&o);
	}
	/* No child is left that nobody knows of. */
	assert_int_equal(wire_recv(sock, &record, MSG_DONTWAIT), -EAGAIN);
}

/* ---- its start ---- */

static int
live(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	close(pair[1]);
	launcher_main(pair[0], jail_dir);
}

static void
start_fails(void **state)
{
	const struct act act = { "launcher", NULL, live, NULL,
		INJECT_MENDS | INJECT_ENDS, NULL };

	(void)state;
	need_root();
	assert_true(inject_all(&act) > 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs),
		cmocka_unit_test(malformed),
		cmocka_unit_test(steps),
		cmocka_unit_test(start_fails),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
