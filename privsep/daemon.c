/*
 * See daemon.h; the stages are described in drop.c. Start-up problems are
 * said once, in one line, where the user can see it: on standard error, or by
 * the client that started an embedded daemon.
 */
#include "privsep/daemon.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#include "privsep/cgroup.h"
#include "privsep/check.h"
#include "privsep/drop.h"
#include "privsep/kvm.h"
#include "privsep/launcher.h"
#include "privsep/log.h"
#include "privsep/monitor.h"
#include "privsep/path.h"
#include "privsep/udev.h"
#include "privsep/resolver.h"

enum { LISTEN_BACKLOG = 128, WIRE_SEND_TIMEOUT_S = 10, LOCK_WAIT_MS = 200 };

/* All of it that is larger than a few words is static: one daemon, one set. */
static struct {
	struct config cfg;
	struct monitor monitor;
	bool embedded;
	int runtime;			/* directory of the API socket */
	int private;			/* root-only directory in it */
	int listener;
	int dns;			/* UDP socket of the names, or -1 */
	int exe;			/* our own executable */
	char store[PATH_BYTES];		/* the files of all disks */
	int lock;
} daemon_state;

/* Says why the daemon does not start, to whoever asked for it. */
static _Noreturn void PRINTF_LIKE(1, 2)
refuse(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (daemon_state.embedded) {
		size_t len = strlen(line);

		line[len] = '\n';
		(void)write_full(DAEMON_READY_FD, line, len + 1);
	} else {
		log_error("%s", line);
	}
	_exit(1);
}

static int
must(int fd_or_error, const char *what)
{
	if (fd_or_error < 0)
		refuse("%s: %s", what, strerror(-fd_or_error));
	return fd_or_error;
}

/*
 * Whether we have FD's lock now. A daemon that was killed as it started may have
 * a child that has not closed its copy yet: that one is waited for.
 */
static bool
take_lock(int fd)
{
	int64_t deadline = monotonic_ms() + LOCK_WAIT_MS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (monotonic_ms() > deadline)
			return false;
		sleep_ms(10);
	}
	return true;
}

/*
 * One daemon for a state directory, and one for a runtime directory, whose
 * records and socket are its own; the kernel drops the locks with us.
 */
static void
take_locks(int state)
{
	const struct config *cfg = &daemon_state.cfg;

	daemon_state.lock = must(path_open(state, "lock", O_RDWR | O_CREAT,
	    0600), "lock");
	if (!take_lock(daemon_state.lock))
		refuse("already running: another daemon holds %s/lock",
		    cfg->state_dir);
	if (!take_lock(daemon_state.private))
		refuse("already running: another daemon holds %s/private",
		    cfg->runtime_dir);
}

/* The directory that KEY of the configuration names, which must be root's. */
static int
open_trusted(const char *key, const char *path)
{
	int fd = path_open_trusted_dir(path);

	if (fd == -EPERM)
		refuse("%s %s: it and every directory above it must be root's "
		    "and writable by nobody else", key, path);
	if (fd == -ELOOP)
		refuse("%s %s: a part of it is a symbolic link; name the place "
		    "itself", key, path);
	if (fd < 0)
		refuse("%s %s: %s", key, path, strerror(-fd));
	return fd;
}

static void
open_directories(void)
{
	const struct config *cfg = &daemon_state.cfg;
	struct monitor *monitor = &daemon_state.monitor;
	uid_t worker = cfg->uid_base;
	int state, store;

	must(format(daemon_state.store, sizeof(daemon_state.store), "%s/store",
	    cfg->state_dir), "state_dir");
	state = open_trusted("state_dir", cfg->state_dir);
	daemon_state.runtime = open_trusted("runtime_dir", cfg->runtime_dir);
	daemon_state.private = must(path_make_dir(daemon_state.runtime,
	    "private", 0, 0, 0700), "private runtime directory");
	store = must(path_make_dir(state, "store", worker, worker, 0700),
	    "store (was uid_base changed?)");
	monitor->jails = must(path_make_dir(state, "jail", 0, 0, 0711),
	    "jail directory");
	take_locks(state);
	close(store);
	close(state);
}

/*
 * Bound under umask 077, so that nobody else can connect before its owner and
 * mode are set; the worker asks SO_PEERCRED all the same.
 */
static void
bind_socket(void)
{
	const struct config *cfg = &daemon_state.cfg;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	bool group = cfg->owner_gid != UINT32_MAX;

	if (sock < 0 || fchdir(daemon_state.runtime) < 0)
		refuse("socket: %s", strerror(errno));
	(void)unlinkat(daemon_state.runtime, "banger.sock", 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "banger.sock");
	if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    fchownat(daemon_state.runtime, "banger.sock", cfg->owner_uid,
	    group ? cfg->owner_gid : 0, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(daemon_state.runtime, "banger.sock",
	    group ? 0660 : 0600, 0) < 0 ||
	    listen(sock, LISTEN_BACKLOG) < 0 || chdir("/") < 0)
		refuse("%s/banger.sock: %s", cfg->runtime_dir,
		    strerror(errno));
	daemon_state.listener = sock;
}

/* Kept for this boot: a host on which KVM hangs costs its deadline once. */
static bool
kvm_works(void)
{
	_cleanup_close_ int fd = path_open(daemon_state.private, "kvm",
	    O_RDONLY, 0);
	char answer;

	if (fd >= 0 && read(fd, &answer, 1) == 1)
		return answer == '1';
	answer = kvm_probe() == 1 ? '1' : '0';
	if (path_replace_file(daemon_state.private, "kvm", &answer, 1) < 0)
		log_warn("answer of the KVM probe not kept");
	return answer == '1';
}

/* Calls REMOVE for each name in DIR that is not a VM's of the table. */
static void
remove_strays(struct monitor *monitor, int dir,
    int (*remove)(int dir, const char *name))
{
	DIR *stream = fdopendir(must(path_open(dir, ".",
	    O_RDONLY | O_DIRECTORY, 0), "directory of VMs"));
	struct dirent *entry;

	if (stream == NULL)
		refuse("directory of VMs: %s", strerror(errno));
	while ((entry = readdir(stream)) != NULL) {
		uint64_t id = strtoull(entry->d_name, NULL, 16);

		/* A cgroup also holds its own files. */
		if (strspn(entry->d_name, "0123456789abcdef") == VM_ID_HEX &&
		    strlen(entry->d_name) == VM_ID_HEX &&
		    vm_find(&monitor->table, id) == NULL &&
		    remove(dir, entry->d_name) < 0)
			log_warn("leftover of VM %s cannot be removed",
			    entry->d_name);
	}
	closedir(stream);
}

/* disk_sweep: whether the VM of ID runs. */
static bool
vm_runs(void *arg, uint64_t id)
{
	const struct vm *vm = vm_find(arg, id);

	return vm != NULL && vm->state == VM_RUNNING;
}

/*
 * Adopts VMs that are alive; what is left of the others and of a daemon that
 * was killed goes away.
 */
static void
adopt(struct monitor *monitor)
{
	struct vm_table *table = &monitor->table;
	uint32_t i;
	int r;

	must(vm_load_all(table, monitor->proc), "records");
	for (i = 0; i < table->max; i++)
		if (table->vms[i].id != 0 && table->vms[i].state == VM_RUNNING)
			must(monitor_watch(monitor, &table->vms[i]), "epoll");
	/* What a killed daemon was about to stage. */
	remove_strays(monitor, monitor->jails, jail_remove);
	if (monitor->cgroups >= 0)
		remove_strays(monitor, monitor->cgroups, cgroup_remove);
	disk_sweep(&monitor->disks, vm_runs, table);
	if (vm_table_empty(table)) {
		network_close(&monitor->net);
		return;
	}
	r = network_ensure(&monitor->net, table);
	if (r < 0)
		log_error("network: %s", strerror(-r));
}

static void
open_monitor(void)
{
	struct monitor *monitor = &daemon_state.monitor;
	const struct config *cfg = &daemon_state.cfg;
	sigset_t set;

	monitor->cfg = cfg;
	monitor->embedded = daemon_state.embedded;
	monitor->kvm = kvm_works();
	vmm_choose(monitor);
	must(jail_host_open(&monitor->host), "host directories");
	disk_host_open(&monitor->disks, daemon_state.store);
	must(network_open(&monitor->net, cfg, daemon_state.private),
	    "netlink");
	must(vm_table_init(&monitor->table, cfg->uid_count - 1,
	    cfg->uid_base + 1, must(path_make_dir(daemon_state.private, "vm",
	    0, 0, 0700), "records")), "table of VMs");
	monitor->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	monitor->epoll = epoll_create1(EPOLL_CLOEXEC);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		refuse("signals: %s", strerror(errno));
	monitor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (monitor->proc < 0 || monitor->epoll < 0 || monitor->signals < 0)
		refuse("start: %s", strerror(errno));
	adopt(monitor);
}

static void
pair(int sockets[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    sockets) < 0)
		refuse("socketpair: %s", strerror(errno));
}

static void
start_launcher(struct monitor *monitor)
{
	char jail_dir[PATH_BYTES + 8];
	int sockets[2];
	pid_t pid;

	(void)format(jail_dir, sizeof(jail_dir), "%s/jail",
	    daemon_state.cfg.state_dir);
	pair(sockets);
	pid = fork();
	if (pid < 0)
		refuse("fork: %s", strerror(errno));
	if (pid == 0) {
		/*
		 * Standard error and its socket: nothing else of ours, and no
		 * terminal whose keys could stop or end it.
		 */
		if (setsid() < 0 || dup2(sockets[1], 3) < 0 ||
		    syscall(SYS_close_range, 4U, ~0U, 0U) < 0 ||
		    fcntl(3, F_SETFD, FD_CLOEXEC) < 0)
			_exit(1);
		launcher_main(3, jail_dir);
	}
	close(sockets[1]);
	monitor->launcher = sockets[0];
}

/* Names are a convenience: without them everything else goes on. */
static void
start_names(struct monitor *monitor)
{
	const struct config *cfg = &daemon_state.cfg;

	daemon_state.dns = resolver_bind(cfg);
	monitor->names = daemon_state.dns >= 0;
	monitor->resolver = monitor->names ?
	    resolver_start(cfg, daemon_state.private) : -1;
}

/* The child of start_worker: the same executable, another address space. */
static _Noreturn void
become_worker(int wire)
{
	static char name[] = "banger", role[] = "worker";
	char *argv[] = { name, role, NULL }, *envp[] = { NULL, NULL };
	static char journal[] = "JOURNAL_STREAM=1";
	int from[] = { wire, daemon_state.listener, daemon_state.exe,
		daemon_state.dns >= 0 ? daemon_state.dns : STDIN_FILENO };
	int i, exe;
	sigset_t held;

	/* Away from the terminal, into which it could type (TIOCSTI). */
	if (setsid() < 0)
		fatal("worker: %s", strerror(errno));
	/*
	 * The first process of a pid namespace never sees a signal that comes
	 * before it is ready for it (pid_namespaces(7)); one held back it does.
	 */
	sigemptyset(&held);
	sigaddset(&held, SIGTERM);
	sigprocmask(SIG_SETMASK, &held, NULL);
	if (getenv("JOURNAL_STREAM") != NULL)
		envp[0] = journal;
	for (i = 0; i < (int)ARRAY_SIZE(from); i++)
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 64);
	for (i = 0; i < (int)ARRAY_SIZE(from); i++)
		if (from[i] < 0 || dup2(from[i], WORKER_WIRE_FD + i) < 0)
			fatal("worker: %s", strerror(errno));
	exe = fcntl(from[2], F_DUPFD_CLOEXEC, 64);
	if (exe < 0 || drop_to_uid(daemon_state.cfg.uid_base) < 0)
		fatal("worker: cannot drop privileges: %s", strerror(errno));
	/*
	 * However the monitor ends: the next one's worker must not meet this
	 * one at the store. After the change of uid, which would undo it.
	 */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		fatal("worker: %s", strerror(errno));
	if (syscall(SYS_close_range, (unsigned int)WORKER_FDS_END,
	    (unsigned int)exe - 1, 0) < 0)
		fatal("worker: %s", strerror(errno));
	syscall(SYS_execveat, exe, "", argv, envp, AT_EMPTY_PATH);
	fatal("worker: execute: %s", strerror(errno));
}

/*
 * The worker is the first process of a pid namespace: what it forked ends with
 * it, so that nothing of a worker that was taken over meets the next one. A
 * worker that does not read what it asked for must not stall the monitor.
 */
static void
start_worker(struct monitor *monitor)
{
	const struct timeval timeout = { .tv_sec = WIRE_SEND_TIMEOUT_S };
	int sockets[2];
	pid_t pid;

	pair(sockets);
	if (setsockopt(sockets[0], SOL_SOCKET, SO_SNDTIMEO, &timeout,
	    sizeof(timeout)) < 0 || unshare(CLONE_NEWPID) < 0)
		refuse("worker: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		refuse("fork: %s", strerror(errno));
	if (pid == 0)
		become_worker(sockets[1]);
	close(sockets[1]);
	monitor->wire = sockets[0];
	monitor->worker = (int)syscall(SYS_pidfd_open, pid, 0);
	if (monitor->worker < 0)
		refuse("worker: %s", strerror(errno));
}

/* The manager of a service is nothing to a client's own daemon. */
static void
open_notify(struct monitor *monitor)
{
	int r;

	if (daemon_state.embedded) {
		unsetenv("NOTIFY_SOCKET");
		return;
	}
	r = notify_open(&monitor->notify);
	if (r < 0)
		refuse("NOTIFY_SOCKET: %s", strerror(-r));
}

/* For an embedded daemon's client; a service manager is told in ops.c. */
static void
report_ready(void)
{
	if (!daemon_state.embedded)
		return;
	if (write_full(DAEMON_READY_FD, "+", 1) < 0)
		log_warn("the client that started this daemon has gone");
	close(DAEMON_READY_FD);
}

/*
 * An embedded daemon has its client's terminal as standard error: from now on
 * its lines go to a file that root can read, and those of the launcher and the
 * worker, which inherit it.
 */
static void
redirect_log(void)
{
	_cleanup_close_ int log = -1;

	if (!daemon_state.embedded)
		return;
	log = must(path_open(daemon_state.private, "daemon.log",
	    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600), "log");
	if (dup2(log, STDERR_FILENO) < 0)
		refuse("log: %s", strerror(errno));
}

int
daemon_main(const char *config_path, bool embedded)
{
	struct monitor *monitor = &daemon_state.monitor;
	char err[256];
	int r;

	daemon_state.embedded = embedded;
	log_init("banger", LOG_INFO);
	if (geteuid() != 0)
		refuse("daemon: must be started by root");
	drop_initial(embedded ? DAEMON_READY_FD : STDERR_FILENO);
	if (embedded && fcntl(DAEMON_READY_FD, F_SETFD, FD_CLOEXEC) < 0)
		return 1;
	if (config_load(config_path, true, &daemon_state.cfg, err,
	    sizeof(err)) < 0)
		refuse("%s", err);
	log_init("banger", (enum log_level)daemon_state.cfg.log_level);
	open_notify(monitor);
	daemon_state.exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (daemon_state.exe < 0)
		refuse("/proc/self/exe: %s", strerror(errno));
	drop_mounts();
	open_directories();
	redirect_log();
	start_launcher(monitor);
	start_names(monitor);
	open_monitor();
	bind_socket();
	start_worker(monitor);
	close(daemon_state.listener);
	close(daemon_state.exe);
	close_fdp(&daemon_state.dns);
	report_ready();
	drop_monitor();
	r = monitor_loop(monitor);
	(void)unlinkat(daemon_state.runtime, "banger.sock", 0);
	/* Also after a worker that did not take away what it asked for. */
	if (vm_table_empty(&monitor->table)) {
		if (monitor->net.ready)
			network_close(&monitor->net);
		udev_forget(daemon_state.store);
	}
	return r;
}
