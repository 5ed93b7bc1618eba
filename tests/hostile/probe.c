/*
 * probe STORE UID: what each role can still do once it is confined, tried: every
 * line of the table below, by a process that confines itself as that role does.
 * A filter that allows little ends it (SIGSYS); what else may refuse is an error.
 * STORE is a directory of UID's; beside it there must be a socket of root's that
 * anybody may connect to, called STORE.sock. A probe that succeeds where the table
 * does not say so is a failure, and so is one that does not where it must, or the
 * table would say nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/confine.h"
#include "privsep/drop.h"
#include "privsep/util.h"
#include "worker/sandbox.h"

enum { NOBODY = 65534 };

static const char *store_path;
static uid_t uid;
static int store, target_pidfd;
static pid_t target;			/* nobody's, as user and group */

/* ---- roles ---- */

static int
as_monitor(void)
{
	drop_monitor();
	return 0;
}

static int
as_launcher(void)
{
	drop_launcher();
	return 0;
}

static int
as_resolver(void)
{
	drop_resolver();
	return 0;
}

static int
as_worker(void)
{
	int r = drop_to_uid(uid);

	return r < 0 ? r : worker_confine(store);
}

static int
as_job(void)
{
	int r = as_worker();

	return r < 0 ? r : job_confine(0);
}

static int
as_names(void)
{
	int r = drop_to_uid(uid);

	return r < 0 ? r : names_confine();
}

static int
as_fetcher(void)
{
	int r = drop_to_uid(uid);

	return r < 0 ? r : fetcher_confine(store);
}

static int
as_pull(void)
{
	int r = as_fetcher();

	return r < 0 ? r : pull_confine();
}

static int
as_vmm(void)
{
	int r = drop_vmm_syscalls();

	return r < 0 ? r : drop_to_uid(uid);
}

enum role { MONITOR = 1, LAUNCHER = 2, RESOLVER = 4, WORKER = 8, JOB = 16,
	NAMES = 32, VMM = 64, CLIENT = 128, FETCHER = 256, PULL = 512 };

static const struct {
	const char *name;
	enum role role;
	int (*confine)(void);
} roles[] = {
	{ "monitor", MONITOR, as_monitor }, { "launcher", LAUNCHER, as_launcher },
	{ "resolver", RESOLVER, as_resolver }, { "worker", WORKER, as_worker },
	{ "job", JOB, as_job }, { "names", NAMES, as_names },
	{ "fetcher", FETCHER, as_fetcher }, { "pull", PULL, as_pull },
	/* The last as root's, which is the worst. */
	{ "VMM", VMM, as_vmm }, { "client", CLIENT, client_confine },
};

/* ---- probes: 0 when it could be done ---- */

static int
trace(void)
{
	return ptrace(PTRACE_SEIZE, target, NULL, NULL) < 0;
}

static int
read_memory(void)
{
	char byte;
	const struct iovec iov = { &byte, 1 }, from = { &store_path, 1 };

	return syscall(SYS_process_vm_readv, target, &iov, 1, &from, 1, 0) < 0;
}

static int
steal_descriptor(void)
{
	return syscall(SYS_pidfd_getfd, target_pidfd, 0, 0) < 0;
}

static int
signal_other(void)
{
	return kill(target, 0) < 0;
}

static int
mount_tmpfs(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL) < 0;
}

static int
new_mount_api(void)
{
	return syscall(SYS_fsopen, "tmpfs", 0) < 0;
}

static int
new_root(void)
{
	return chroot("/tmp") < 0;
}

static int
new_user_namespace(void)
{
	return unshare(CLONE_NEWUSER) < 0;
}

static int
internet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static int
packets(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) < 0;
}

static int
netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0) < 0;
}

static int
vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0) < 0;
}

static int
others_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)format(addr.sun_path, sizeof(addr.sun_path), "%s.sock", store_path);
	return fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0;
}

static int
load_bpf(void)
{
	uint64_t attr[16] = { 2 | (uint64_t)4 << 32, 4 | (uint64_t)1 << 32 };

	/* BPF_MAP_CREATE of an array */
	return syscall(SYS_bpf, 0, attr, sizeof(attr)) < 0;
}

static int
keyring(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0;
}

static int
fault_handler(void)
{
	/* UFFD_USER_MODE_ONLY: needs no privilege anywhere (Linux 5.11). */
	return syscall(SYS_userfaultfd, O_CLOEXEC | 1) < 0;
}

static int
io_ring(void)
{
	uint64_t params[16] = { 0 };

	return syscall(SYS_io_uring_setup, 1, params) < 0;
}

static int
count_cycles(void)
{
	uint64_t attr[16] = { (uint64_t)128 << 32, 0 };

	return syscall(SYS_perf_event_open, attr, target, -1, -1, 0) < 0;
}

static int
shadow(void)
{
	return open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0;
}

static int
write_etc(void)
{
	return open("/etc/passwd", O_WRONLY | O_CLOEXEC) < 0;
}

static int
new_file(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) < 0;
}

static int
device_node(void)
{
	char path[256];

	(void)format(path, sizeof(path), "%s.node", store_path);
	(void)unlink(path);
	return mknod(path, S_IFBLK | 0600, makedev(7, 0)) < 0;
}

static int
become_root(void)
{
	return geteuid() == 0 || setuid(0) < 0;
}

static int
execute(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static int
insert_module(void)
{
	/* EINVAL or ENOEXEC: it looked at the file. */
	return syscall(SYS_finit_module, store, "", 0) < 0 &&
	    errno != EINVAL && errno != ENOEXEC && errno != EISDIR;
}

static int
host_name(void)
{
	char name[65] = "";

	return gethostname(name, sizeof(name)) < 0 ||
	    sethostname(name, strlen(name)) < 0;
}

static int
regain_privileges(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0) < 0;
}

/* Who may: what the role is there for, or what any process can. */
static const struct {
	const char *name;
	int (*try)(void);
	unsigned int may;
} probes[] = {
	{ "trace a process", trace, 0 },
	{ "read a process's memory", read_memory, 0 },
	{ "take a process's descriptor", steal_descriptor, 0 },
	{ "signal a process of another's", signal_other, 0 },
	{ "mount", mount_tmpfs, LAUNCHER },
	{ "prepare a mount", new_mount_api, LAUNCHER | MONITOR },
	{ "chroot", new_root, 0 },
	{ "be root of a user namespace", new_user_namespace, LAUNCHER },
	{ "an internet socket", internet,
	    LAUNCHER | RESOLVER | VMM | FETCHER | PULL },
	{ "a packet socket", packets, 0 },
	{ "a netlink socket", netlink, LAUNCHER | RESOLVER | VMM },
	{ "a vsock socket", vsock, LAUNCHER | RESOLVER | VMM },
	{ "connect to another's socket", others_socket,
	    LAUNCHER | RESOLVER | MONITOR | VMM },
	{ "bpf", load_bpf, LAUNCHER },
	{ "keyctl", keyring, LAUNCHER },
	{ "userfaultfd", fault_handler, LAUNCHER },
	{ "io_uring", io_ring, LAUNCHER },
	{ "perf_event_open", count_cycles, 0 },
	{ "read /etc/shadow", shadow, LAUNCHER | RESOLVER | MONITOR },
	{ "write /etc/passwd", write_etc, LAUNCHER | MONITOR },
	{ "a new file in /tmp", new_file, LAUNCHER | MONITOR | VMM },
	{ "a device node", device_node, LAUNCHER },
	{ "become root", become_root, 0 },
	{ "execute", execute, LAUNCHER | RESOLVER | VMM },
	{ "load a module", insert_module, 0 },
	{ "change the host's name", host_name, LAUNCHER },
	{ "raise a capability", regain_privileges, 0 },
};

/* Confines a child and has it try: 1 done, 0 refused; *STATUS is how it ended. */
static int
try(size_t role, size_t probe, int *status)
{
	pid_t pid = fork();

	if (pid == 0) {
		int r = roles[role].confine();

		if (r < 0)
			_exit(3);
		r = probes[probe].try();
		_exit(r != 0);
	}
	if (pid < 0 || waitpid(pid, status, 0) != pid)
		exit(2);
	return WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
}

static bool
as_expected(size_t role, size_t probe, unsigned int *ended)
{
	bool may = (probes[probe].may & roles[role].role) != 0;
	int status, done = try(role, probe, &status);

	*ended += WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
	if (done == may && (!WIFEXITED(status) || WEXITSTATUS(status) < 2))
		return true;
	printf("%s: %s: %s (status %x)\n", roles[role].name, probes[probe].name,
	    done ? "can be done" : "is refused, and must not be", (unsigned int)status);
	return false;
}

static _Noreturn void
be_nobody(void)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(2);
	for (;;)
		pause();
}

int
main(int argc, char **argv)
{
	unsigned int ended = 0, bad = 0;
	size_t role, probe;

	if (argc != 3 || geteuid() != 0) {
		fprintf(stderr, "usage: probe STORE UID, as root\n");
		return 2;
	}
	store_path = argv[1];
	uid = (uid_t)strtoul(argv[2], NULL, 10);
	store = open(store_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	target = fork();
	if (target == 0)
		be_nobody();
	target_pidfd = (int)syscall(SYS_pidfd_open, target, 0);
	setvbuf(stdout, NULL, _IONBF, 0);
	if (store < 0 || target < 0 || target_pidfd < 0)
		return 2;
	for (role = 0; role < ARRAY_SIZE(roles); role++)
		for (probe = 0; probe < ARRAY_SIZE(probes); probe++)
			bad += !as_expected(role, probe, &ended);
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	printf("%zu roles x %zu probes: %u ended by a filter, %u not as expected\n",
	    ARRAY_SIZE(roles), ARRAY_SIZE(probes), ended, bad);
	return bad > 0;
}
