/*
 * Theory of operation. After boot_root() the agent is either PID 1, for good, or
 * a child that the image's init finds running and leaves alone. One event loop
 * serves the control channel and at most one session per stream port; it never
 * blocks, and all work for a command happens in the command's own process.
 *
 * A stream port is lent to one session at a time, on the worker's OPEN, and is
 * free again when both ends are closed (guest/ports.h says why). On vsock a port
 * is but a number: it is lent to the connection that brings the OPEN's nonce,
 * and given back when none has come in time.
 */
#include "guest/agent.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "guest/boot.h"
#include "guest/control.h"
#include "guest/exec.h"
#include "guest/inspect.h"
#include "guest/ports.h"
#include "guest/shutdown.h"
#include "guest/vsock.h"
#include "privsep/log.h"

/* Sessions whose port is free again, but whose command is still being ended. */
#define SESSIONS_MAX ((size_t)4 * AGENT_STREAM_PORTS)
/* An image's init may have been too young for the first request. */
#define SHUTDOWN_RETRY_MS 2000
#define SHUTDOWN_DEFAULT_MS 10000
/* Control connections that wait: there is one worker. */
#define CONTROL_BACKLOG 4

struct session_slot {
	struct exec_session *session;	/* NULL: free, or awaited */
	uint32_t port;
	int64_t awaited_until;		/* on vsock, until it connects; or 0 */
	uint8_t nonce[STREAM_NONCE_SIZE];	/* of the awaited one */
};

struct agent {
	struct loop loop;
	struct watch signals, events;
	struct control control;
	bool over_vsock;		/* and not over ports */
	int sys;			/* sysfs, for the ports */
	struct vsock vsock;
	struct session_slot slots[SESSIONS_MAX];
	bool pid1;
	uint32_t state;			/* AGENT_STATE_* */
	uint8_t boot_id[AGENT_BOOT_ID_SIZE];
	enum agent_shutdown_how how;
	int64_t retry, force;		/* of a shutdown, in monotonic_ms() time */
};

static uint64_t
uptime_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static unsigned int
hex_digit(char c)
{
	return (unsigned int)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The kernel's own id of this boot, a UUID as text (random(4)). */
static void
read_boot_id(uint8_t *out)
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id",
	    O_RDONLY | O_CLOEXEC);
	char text[37] = "";
	size_t digits = 0, i;

	if (fd < 0 || read_full(fd, text, 36) < 0)
		return;
	for (i = 0; text[i] != '\0'; i++) {
		if (strchr("0123456789abcdef", text[i]) == NULL)
			continue;
		out[digits / 2] = (uint8_t)((unsigned int)out[digits / 2] << 4 |
		    hex_digit(text[i]));
		digits++;
	}
}

static void
fill_hello(const struct agent *agent, struct agent_hello *hello)
{
	memcpy(hello->boot_id, agent->boot_id, sizeof(hello->boot_id));
	hello->uptime_ms = uptime_ms();
	hello->version = AGENT_VERSION;
	hello->state = agent->state;
}

/* A free slot, or NULL; USED tells which ports are lent. */
static struct session_slot *
find_slot(struct agent *agent, bool *used)
{
	struct session_slot *free_slot = NULL;
	size_t i;

	for (i = 0; i < SESSIONS_MAX; i++) {
		const struct exec_session *s = agent->slots[i].session;

		if (s == NULL && agent->slots[i].awaited_until == 0)
			free_slot = &agent->slots[i];
		else if (s == NULL || !exec_session_released(s))
			used[agent->slots[i].port] = true;
	}
	return free_slot;
}

/*
 * Opens the first port that nobody has, at either end. An fd or -errno: -ENOENT
 * while one is to come.
 */
static int
open_port(const struct agent *agent, const bool *used, uint32_t *port)
{
	uint32_t i, missing = AGENT_STREAM_PORTS;
	int r = -EBUSY;

	for (i = 0; i < AGENT_STREAM_PORTS; i++) {
		if (used[i])
			continue;
		r = ports_open_idle(agent->sys, AGENT_STREAM_PORT + i);
		*port = i;
		if (r >= 0)
			return r;
		if (r == -ENOENT && i < missing)
			missing = i;
	}
	if (missing == AGENT_STREAM_PORTS)
		return r;
	r = missing < AGENT_EARLY_STREAMS ? 0 : ports_probe_next(agent->sys);
	return r < 0 ? r : -ENOENT;
}

/* SLOT gets a session on the connection FD, which it takes. 0 or -errno. */
static int
begin_session(struct agent *agent, struct session_slot *slot, int fd,
    bool awaits_host, const uint8_t *nonce)
{
	slot->session = exec_session_new(&agent->loop, fd, awaits_host, nonce);
	if (slot->session == NULL) {
		int r = -errno;

		close(fd);
		return r;
	}
	return 0;
}

/* SLOT waits for the connection that will bring NONCE. 0 or -EBUSY. */
static int
await_session(struct session_slot *slot, const bool *used,
    const uint8_t *nonce)
{
	uint32_t i;

	for (i = 0; i < AGENT_STREAM_PORTS && used[i]; i++)
		;
	if (i == AGENT_STREAM_PORTS)
		return -EBUSY;
	slot->port = i;
	slot->awaited_until = monotonic_ms() + STREAM_HELLO_TIMEOUT_MS;
	memcpy(slot->nonce, nonce, sizeof(slot->nonce));
	return 0;
}

/* Lends a port to a new session. 0 or -errno. */
static int
open_stream(struct agent *agent, const uint8_t *nonce, uint32_t *port)
{
	bool used[AGENT_STREAM_PORTS] = { false };
	struct session_slot *slot = find_slot(agent, used);
	int r;

	if ((agent->state & AGENT_STATE_STOPPING) != 0)
		return -ESHUTDOWN;
	if (slot == NULL)
		return -EBUSY;
	if (agent->over_vsock) {
		r = await_session(slot, used, nonce);
	} else {
		r = open_port(agent, used, &slot->port);
		if (r >= 0)
			r = begin_session(agent, slot, r, true, nonce);
	}
	*port = slot->port;
	return r;
}

/* Gives the connections that have come to the slots that await them. */
static void
take_callers(struct agent *agent)
{
	uint8_t nonce[STREAM_NONCE_SIZE];
	size_t i;
	int fd;

	while ((fd = vsock_take_caller(&agent->vsock, nonce)) >= 0) {
		for (i = 0; i < SESSIONS_MAX; i++)
			if (agent->slots[i].awaited_until != 0 &&
			    memcmp(agent->slots[i].nonce, nonce,
			    sizeof(nonce)) == 0)
				break;
		if (i == SESSIONS_MAX) {
			close(fd);	/* too late, or not from an OPEN */
			continue;
		}
		agent->slots[i].awaited_until = 0;
		(void)begin_session(agent, &agent->slots[i], fd, false, nonce);
	}
}

static void
start_shutdown(struct agent *agent, enum agent_shutdown_how how,
    uint32_t timeout_ms)
{
	if ((agent->state & AGENT_STATE_STOPPING) == 0)
		log_info("the host ends this machine");
	agent->state |= AGENT_STATE_STOPPING;
	agent->how = how;
	agent->force = monotonic_ms() + timeout_ms;
	agent->retry = monotonic_ms() + SHUTDOWN_RETRY_MS;
	if (timeout_ms > 0)
		shutdown_ask(how, agent->pid1);
}

/* All replies to a PORTS, or one that says why not. */
static void
answer_ports(struct agent *agent, const struct agent_msg *request)
{
	_cleanup_close_ int proc = open("/proc",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct agent_listener found[AGENT_LISTENERS_MAX];
	struct agent_msg reply = { .type = AGENT_PORTS, .reply = true,
		.seq = request->seq };
	size_t count, i;

	/* Room for all of them, or the host would wait for the lost ones. */
	if (control_room(&agent->control) < AGENT_LISTENERS_MAX)
		reply.status = EBUSY;
	else if (proc < 0)
		reply.status = errno;
	count = reply.status == 0 ? inspect_listeners(proc, found) : 0;
	if (count == 0)
		control_send(&agent->control, &reply);
	for (i = 0; i < count; i++) {
		reply.listener = found[i];
		control_send(&agent->control, &reply);
	}
}

static void
answer_stats(struct agent *agent, const struct agent_msg *request)
{
	_cleanup_close_ int proc = open("/proc",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int root = open("/",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct agent_msg reply = { .type = AGENT_STATS, .reply = true,
		.seq = request->seq };

	inspect_stats(proc, root, &reply.stats);
	control_send(&agent->control, &reply);
}

static void
answer(struct agent *agent, const struct agent_msg *request)
{
	struct agent_msg reply = *request;

	reply.reply = true;
	switch (request->type) {
	case AGENT_HELLO:
		fill_hello(agent, &reply.hello);
		break;
	case AGENT_OPEN:
		reply.status = -open_stream(agent, request->open.nonce,
		    &reply.open.port);
		break;
	case AGENT_SHUTDOWN:
		start_shutdown(agent, request->shutdown.how,
		    request->shutdown.timeout_ms);
		break;
	case AGENT_PING:
		reply.uptime_ms = uptime_ms();
		break;
	case AGENT_PORTS:
		answer_ports(agent, request);
		return;
	case AGENT_STATS:
		answer_stats(agent, request);
		return;
	case AGENT_READY:
		return;		/* no request; the decoder lets none through */
	}
	control_send(&agent->control, &reply);
}

static void
send_ready(struct agent *agent)
{
	struct agent_msg ready = { .type = AGENT_READY };

	fill_hello(agent, &ready.hello);
	control_send(&agent->control, &ready);
}

/* A new connection is a worker's that knows of no other: it replaces any. */
static void
accept_control(struct agent *agent)
{
	int fd = vsock_accept_control(&agent->vsock);

	if (fd < 0)
		return;
	control_close(&agent->control, &agent->loop);
	if (loop_watch(&agent->loop, &agent->control.link, fd) < 0) {
		close(fd);
		return;
	}
	agent->control.connection = true;
	send_ready(agent);
}

/*
 * Opens the control channel as soon as its port is there. One that is still being
 * made is tried again when the next port comes: streams come after it.
 */
static void
open_control(struct agent *agent)
{
	int fd;

	if (agent->control.link.fd >= 0)
		return;
	if (agent->events.fd >= 0) {
		ports_events_drain(agent->events.fd);
		agent->events.ready = 0;
	}
	fd = ports_open(agent->sys, AGENT_CTL_PORT);
	if (fd < 0)
		return;
	if (loop_watch(&agent->loop, &agent->control.link, fd) < 0) {
		close(fd);
		return;
	}
	loop_unwatch(&agent->loop, &agent->events);
	/* The first answer of epoll tells whether a host is connected. */
	loop_wait(&agent->loop, 0);
	if ((agent->control.link.ready & EPOLLHUP) == 0)
		send_ready(agent);
}

static void
serve_control(struct agent *agent)
{
	struct agent_msg request;

	if (agent->over_vsock)
		accept_control(agent);
	else
		open_control(agent);
	while (control_receive(&agent->control, &request))
		answer(agent, &request);
	control_flush(&agent->control);
	if (agent->control.over)
		control_close(&agent->control, &agent->loop);
}

static struct exec_session *
session_of(struct agent *agent, pid_t pid)
{
	size_t i;

	for (i = 0; i < SESSIONS_MAX; i++)
		if (agent->slots[i].session != NULL &&
		    exec_session_pid(agent->slots[i].session) == pid)
			return agent->slots[i].session;
	return NULL;
}

/*
 * Collects every ended child: as PID 1 these are the machine's orphans as well.
 * True when there is no child left at all.
 */
static bool
reap(struct agent *agent)
{
	struct exec_session *s;
	int status;

	for (;;) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			return errno == ECHILD;
		if (info.si_pid == 0)
			return false;
		s = session_of(agent, info.si_pid);
		if (s != NULL)
			exec_session_ending(s);
		if (waitpid(info.si_pid, &status, WNOHANG) > 0 && s != NULL)
			exec_session_ended(s, status);
	}
}

static void
take_signals(struct agent *agent)
{
	struct signalfd_siginfo info;

	while (read(agent->signals.fd, &info, sizeof(info)) ==
	    (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD && agent->pid1)
			start_shutdown(agent, AGENT_REBOOT,
			    SHUTDOWN_DEFAULT_MS);
	agent->signals.ready = 0;
}

/* Gives the port back that SLOT has kept for nobody. */
static void
check_awaited(struct session_slot *slot, int64_t *deadline)
{
	if (slot->awaited_until == 0)
		return;
	if (monotonic_ms() >= slot->awaited_until)
		slot->awaited_until = 0;
	else if (slot->awaited_until < *deadline)
		*deadline = slot->awaited_until;
}

/* True when a session wants to go on without waiting. */
static bool
pump_sessions(struct agent *agent, int64_t *deadline)
{
	bool busy = false;
	size_t i;

	for (i = 0; i < SESSIONS_MAX; i++) {
		struct session_slot *slot = &agent->slots[i];

		check_awaited(slot, deadline);
		if (slot->session == NULL)
			continue;
		busy |= exec_session_pump(slot->session);
		if (exec_session_done(slot->session)) {
			exec_session_free(slot->session);
			slot->session = NULL;
		} else if (exec_session_deadline(slot->session) < *deadline) {
			*deadline = exec_session_deadline(slot->session);
		}
	}
	return busy;
}

/* As pump_sessions(), for the connections that will be sessions. */
static bool
pump_callers(struct agent *agent, int64_t *deadline)
{
	int64_t own;

	if (!agent->over_vsock)
		return false;
	take_callers(agent);
	own = vsock_deadline(&agent->vsock);
	if (own < *deadline)
		*deadline = own;
	return vsock_busy(&agent->vsock);
}

static bool
all_flushed(const struct agent *agent)
{
	size_t i;

	for (i = 0; i < SESSIONS_MAX; i++)
		if (agent->slots[i].session != NULL &&
		    !exec_session_flushed(agent->slots[i].session))
			return false;
	return true;
}

static void
check_shutdown(struct agent *agent, bool no_children, int64_t *deadline)
{
	int64_t now;

	if ((agent->state & AGENT_STATE_STOPPING) == 0)
		return;
	now = monotonic_ms();
	if (now >= agent->force ||
	    (agent->pid1 && no_children && all_flushed(agent)))
		shutdown_force(agent->how);
	if (now >= agent->retry) {
		agent->retry = now + SHUTDOWN_RETRY_MS;
		shutdown_ask(agent->how, agent->pid1);
	}
	if (agent->retry < *deadline)
		*deadline = agent->retry;
	if (agent->force < *deadline)
		*deadline = agent->force;
}

static int
timeout_until(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = deadline - monotonic_ms();
	if (left < 0)
		return 0;
	return left > 60000 ? 60000 : (int)left;
}

static _Noreturn void
serve(struct agent *agent)
{
	bool busy = false, no_children;
	int64_t deadline = INT64_MAX;

	for (;;) {
		loop_wait(&agent->loop, busy ? 0 : timeout_until(deadline));
		deadline = INT64_MAX;
		if (agent->signals.ready != 0)
			take_signals(agent);
		no_children = reap(agent);
		serve_control(agent);
		busy = pump_callers(agent, &deadline);
		busy |= pump_sessions(agent, &deadline);
		check_shutdown(agent, no_children, &deadline);
	}
}

/* Signals become readable; SIGPIPE is just blocked, so exec passes nothing on. */
static int
watch_signals(struct agent *agent)
{
	static const int wanted[] = { SIGCHLD, SIGINT, SIGTERM, SIGPWR };
	sigset_t set;
	size_t i;
	int fd;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		sigaddset(&set, wanted[i]);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return loop_watch(&agent->loop, &agent->signals, fd);
}

/*
 * What ps(1) shows. The '@' keeps the agent alive when systemd kills what is
 * left at the end (systemd.io, ROOT_STORAGE_DAEMONS); nor is it for the kernel
 * to pick when memory runs out.
 */
static void
mark_process(void)
{
	_cleanup_close_ int fd = -1;

	(void)prctl(PR_SET_NAME, "banger-agent");
	if (program_invocation_name[0] != '\0')
		program_invocation_name[0] = '@';
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)write_full(fd, "-1000", 5);
}

/*
 * Leaves PID 1 to the image's init: the child returns and is the agent. Without
 * a usable init the parent stays the agent.
 */
static bool
hand_over(void)
{
	pid_t pid;

	if (!boot_has_init()) {
		log_warn("no init in this image: the agent stays PID 1");
		return false;
	}
	pid = fork();
	if (pid < 0)
		boot_fail("cannot fork: %s", strerror(errno));
	if (pid == 0) {
		(void)setsid();
		return true;
	}
	boot_exec_init();
	boot_fail("no init of this image can be executed");
}

/*
 * The listeners of a guest with vsock: before its transport is loaded, so that the
 * host never knocks in vain, and before the image's init, or a process of the
 * image's could take their ports.
 */
static void
listen_early(int *control, int *streams)
{
	*control = vsock_listen(AGENT_VSOCK_CTL, CONTROL_BACKLOG);
	*streams = vsock_listen(AGENT_VSOCK_STREAM, (int)AGENT_STREAM_PORTS);
	if (*control < 0 || *streams < 0)
		boot_fail("cannot listen on vsock: %s; has this kernel vsock?",
		    strerror(*control < 0 ? -*control : -*streams));
}

/* What the loop waits for: signals, and the host. 0 or -errno. */
static int
watch_all(struct agent *agent, int events, int control, int streams)
{
	int r = loop_init(&agent->loop);

	if (r == 0)
		r = watch_signals(agent);
	if (r == 0 && agent->over_vsock)
		return vsock_start(&agent->vsock, &agent->loop, control,
		    streams, vsock_is_host);
	if (r == 0 && events >= 0)
		r = loop_watch(&agent->loop, &agent->events, events);
	return r;
}

int
agent_main(void)
{
	static struct agent agent;
	struct boot boot = { .grower = 0 };
	int r, events, control = -1, streams = -1;

	log_init("banger", LOG_INFO);
	if (getpid() != 1) {
		log_error("the agent is the first process of a guest");
		return 125;
	}
	/* Before the drivers are loaded, so that no port is missed. */
	events = ports_events();
	boot_drivers(&boot);
	agent.over_vsock = boot.config.vsock;
	if (agent.over_vsock) {
		close_fdp(&events);
		listen_early(&control, &streams);
	}
	boot_root(&boot);
	agent.state = boot.state;
	agent.pid1 = boot.config.init_none || !hand_over();
	if (agent.pid1)
		agent.state |= AGENT_STATE_PID1;
	agent.signals = agent.events = (struct watch)WATCH_NONE;
	agent.sys = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	control_init(&agent.control);
	mark_process();
	read_boot_id(agent.boot_id);
	r = watch_all(&agent, events, control, streams);
	if (r < 0)
		boot_fail("cannot start the agent: %s", strerror(-r));
	serve(&agent);
}
