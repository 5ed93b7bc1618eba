/*
 * See resolver.h. The threats: a program that hangs (each gets its time, and
 * is killed), a resolved that is not the one of our network (its bridge would
 * be another one's link), and a daemon that dies: while nobody serves names,
 * any user could take the port and answer, so that the end of the monitor's
 * socket undoes what was set.
 */
#include "privsep/resolver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "privsep/check.h"
#include "privsep/drop.h"
#include "privsep/log.h"
#include "privsep/path.h"
#include "privsep/proc.h"
#include "privsep/util.h"
#include "privsep/wire.h"

/* Where systemd-resolved listens, whatever else it does. */
#define RESOLVED_SOCKET "/run/systemd/resolve/io.systemd.Resolve"

enum { COMMAND_TIMEOUT_MS = 5000, FLAG_LISTENS = 1 << 16 };

/* Its fds, beside standard error. */
enum { RESOLVER_SOCK = 3, RESOLVER_EXE, RESOLVER_LOCK, RESOLVER_FDS_END };

struct resolver {
	const char *bridge;
	char address[32];		/* of the name server, with its port */
	unsigned int index;		/* of the bridge that was set, or 0 */
	uint64_t listener;		/* inode of resolved's socket then */
	bool set;			/* it worked */
};

/* One command: `resolvectl VERB BRIDGE VALUE`. */
struct command {
	const char *verb;
	const char *value;		/* NULL: the name server's address */
	bool needed;			/* without it there are no names */
};

/*
 * The domain comes first: a link with a server and no routing domain would be
 * asked for every name there is. Nobody signs our zone, or encrypts on
 * loopback; and guests shall neither hear nor answer what the host looks up.
 */
static const struct command commands[] = {
	{ "dnssec", "no", false },
	{ "dnsovertls", "no", false },
	{ "llmnr", "no", false },
	{ "mdns", "no", false },
	{ "domain", "~vm", true },
	{ "default-route", "no", true },
	{ "dns", NULL, true },
};

static _Noreturn void
execute(const char *const *argv)
{
	char *const envp[] = { NULL };
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		syscall(SYS_execveat, RESOLVER_EXE, "", argv, envp,
		    AT_EMPTY_PATH);
	_exit(127);
}

/* Waits for PID, but not for ever. Its wait status, or -errno. */
static int
await(pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int status, r;

	do
		r = pidfd < 0 ? 0 : poll(&pfd, 1, COMMAND_TIMEOUT_MS);
	while (r < 0 && errno == EINTR);
	/* Our own child, not yet waited for: the pid is still its. */
	if (r <= 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return r <= 0 ? -ETIMEDOUT : status;
}

/* Runs resolvectl; its own complaint goes to the log as it is. 0 or -errno. */
static int
run(const struct resolver *resolver, const char *verb, const char *value)
{
	const char *const argv[] = { "resolvectl", verb, resolver->bridge,
		value, NULL };
	pid_t pid = fork();
	int r;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		execute(argv);
	r = await(pid);
	log_debug("resolvectl %s %s %s: %d", verb, resolver->bridge,
	    value != NULL ? value : "", r);
	return r > 0 ? -EIO : r;
}

/*
 * Whether somebody listens on resolved's socket: a file that an ended one left
 * behind refuses.
 */
static bool
accepts(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
		.sun_path = RESOLVED_SOCKET };
	_cleanup_close_ int sock = socket(AF_UNIX,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* EAGAIN: it listens, and is busy. */
	return sock >= 0 && (connect(sock, (struct sockaddr *)&addr,
	    sizeof(addr)) == 0 || errno == EAGAIN);
}

/*
 * The inode in LINE of /proc/net/unix ("Num: RefCount Protocol Flags Type St
 * Inode Path") if that is resolved's socket, listening; else 0.
 */
static uint64_t
listener_of(char *line)
{
	enum { FLAGS = 3, INODE = 6, PATH, FIELDS };
	char *fields[FIELDS], *rest = line;
	size_t i;

	for (i = 0; i < FIELDS; i++)
		if ((fields[i] = strtok_r(NULL, " \n", &rest)) == NULL)
			return 0;
	if ((strtoul(fields[FLAGS], NULL, 16) & FLAG_LISTENS) == 0 ||
	    strcmp(fields[PATH], RESOLVED_SOCKET) != 0)
		return 0;
	return strtoull(fields[INODE], NULL, 10);
}

/*
 * The inode of resolved's socket, or 0 when it does not listen in this network
 * namespace, whose sockets /proc/net/unix (proc(5)) lists. The text is not
 * believed beyond that: a user can write lines into it.
 */
static uint64_t
find_listener(void)
{
	FILE *file = fopen("/proc/self/net/unix", "re");
	uint64_t inode = 0;
	char line[256];

	if (file == NULL)
		return 0;
	while (inode == 0 && fgets(line, sizeof(line), file) != NULL)
		inode = listener_of(line);
	fclose(file);
	return inode;
}

static void
revert(struct resolver *resolver)
{
	/* With the bridge went what was set on it. */
	if (resolver->set &&
	    if_nametoindex(resolver->bridge) == resolver->index &&
	    run(resolver, "revert", NULL) < 0 &&
	    if_nametoindex(resolver->bridge) == resolver->index)
		log_warn("names: `resolvectl revert %s` failed",
		    resolver->bridge);
	resolver->set = false;
	resolver->index = 0;
}

/* Sets all of it, or nothing. */
static void
set_all(struct resolver *resolver)
{
	size_t i;

	resolver->set = true;
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *command = &commands[i];
		const char *value = command->value != NULL ? command->value :
		    resolver->address;
		int r = run(resolver, command->verb, value);

		if (r == 0 || !command->needed)
			continue;
		if (if_nametoindex(resolver->bridge) == resolver->index)
			log_warn("names: `resolvectl %s %s %s` failed%s: "
			    "systemd-resolved does not ask for *.vm; see "
			    "NAMES in banger(1)",
			    command->verb, resolver->bridge, value,
			    r == -ETIMEDOUT ? " to end within 5 s" : "");
		(void)run(resolver, "revert", NULL);
		resolver->set = false;
		return;
	}
	log_info("names: systemd-resolved asks %s for *.vm",
	    resolver->address);
}

/* Once for each bridge and each resolved, whether it works or not. */
static void
serve_set(struct resolver *resolver)
{
	unsigned int index = if_nametoindex(resolver->bridge);
	uint64_t listener = index != 0 && accepts() ? find_listener() : 0;

	if (listener == 0) {
		log_debug("names: systemd-resolved does not run here");
		return;
	}
	if (index == resolver->index && listener == resolver->listener)
		return;
	resolver->index = index;
	resolver->listener = listener;
	set_all(resolver);
}

/*
 * The one of the daemon before may still be taking back what it set, which must
 * not happen after we have set it.
 */
static void
await_predecessor(void)
{
	while (flock(RESOLVER_LOCK, LOCK_EX) < 0)
		if (errno != EINTR)
			fatal("lock: %s", strerror(errno));
}

static _Noreturn void
serve(const struct config *cfg)
{
	const struct in_addr in = { .s_addr = htonl(cfg->dns_ipv4) };
	struct resolver resolver = { .bridge = cfg->bridge_name };
	char ip[INET_ADDRSTRLEN] = "";
	struct wire_record record;

	(void)inet_ntop(AF_INET, &in, ip, sizeof(ip));
	(void)format(resolver.address, sizeof(resolver.address), "%s:%u", ip,
	    cfg->dns_port);
	await_predecessor();
	while (wire_recv(RESOLVER_SOCK, &record, 0) > 0) {
		wire_close_fds(&record);
		if (record.len != sizeof(record.request))
			break;
		if (record.request.op == OP_RESOLVER_SET)
			serve_set(&resolver);
		else if (record.request.op == OP_RESOLVER_CLEAR)
			revert(&resolver);
	}
	revert(&resolver);
	_exit(0);
}

/* Puts the fds into their places and closes all others. 0 or -errno. */
static int
arrange_fds(int sock, int exe, int lock)
{
	int from[] = { sock, exe, lock }, i;

	for (i = 0; i < (int)ARRAY_SIZE(from); i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 64);
		if (from[i] < 0)
			return -errno;
	}
	for (i = 0; i < (int)ARRAY_SIZE(from); i++)
		if (dup3(from[i], RESOLVER_SOCK + i, O_CLOEXEC) < 0)
			return -errno;
	return syscall(SYS_close_range, (unsigned int)RESOLVER_FDS_END, ~0U,
	    0U) < 0 ? -errno : 0;
}

/* It outlives a terminal's keys and a service manager's SIGTERM. */
static _Noreturn void
become_resolver(const struct config *cfg, int sock, int exe, int lock)
{
	sigset_t set;
	int r = arrange_fds(sock, exe, lock);

	log_init("resolver", (enum log_level)cfg->log_level);
	(void)prctl(PR_SET_NAME, "banger-resolve");
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (r == 0 && (setsid() < 0 ||
	    sigprocmask(SIG_SETMASK, &set, NULL) < 0))
		r = -errno;
	if (r < 0)
		fatal("start: %s", strerror(-r));
	drop_resolver();
	serve(cfg);
}

/* resolvectl: from the configuration, or where distributions put it. */
static int
find_resolvectl(const char *configured)
{
	const char *path = configured[0] != '\0' ? configured :
	    "/usr/bin/resolvectl";
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && check_exec_fd(fd) == 0)
		return steal_fd(&fd);
	if (fd >= 0 || configured[0] != '\0')
		log_warn("%s: not found, or not root's own: names are not "
		    "announced to systemd-resolved", path);
	return -1;
}

int
resolver_bind(const struct config *cfg)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)cfg->dns_port),
		.sin_addr = { htonl(cfg->dns_ipv4) } };
	_cleanup_close_ int sock = -1;
	char ip[INET_ADDRSTRLEN] = "";

	if (cfg->dns_port == 0)
		return -1;
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock >= 0 && bind(sock, (struct sockaddr *)&addr,
	    sizeof(addr)) == 0)
		return steal_fd(&sock);
	(void)inet_ntop(AF_INET, &addr.sin_addr, ip, sizeof(ip));
	log_warn("names: %s:%u: %s: VMs have none; set dns_listen to another "
	    "address, or \"off\"", ip, cfg->dns_port, strerror(errno));
	return -1;
}

int
resolver_start(const struct config *cfg, int private)
{
	_cleanup_close_ int exe = find_resolvectl(cfg->resolvectl_bin);
	_cleanup_close_ int lock = -1;
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int theirs = -1;
	int sockets[2];
	pid_t pid;

	if (exe < 0)
		return -1;
	lock = path_open(private, "lock", O_RDWR | O_CREAT, 0600);
	if (lock < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    sockets) < 0) {
		log_warn("names: %s", strerror(lock < 0 ? -lock : errno));
		return -1;
	}
	ours = sockets[0];
	theirs = sockets[1];
	pid = fcntl(ours, F_SETFL, O_NONBLOCK) < 0 ? -1 : fork();
	if (pid < 0) {
		log_warn("names: %s", strerror(errno));
		return -1;
	}
	if (pid == 0)
		become_resolver(cfg, theirs, exe, lock);
	return steal_fd(&ours);
}
