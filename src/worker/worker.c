/*
 * Start, end, and what the loop watches. In this order: greet the monitor, open
 * the store it names, close the door behind (sandbox.c), only then read what
 * lies in the store and listen to anybody.
 */
#include "worker/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "privsep/log.h"
#include "version.h"
#include "worker/catalog.h"
#include "worker/fetcher.h"
#include "worker/machine.h"
#include "worker/peer.h"
#include "worker/sandbox.h"

enum {
	LONELY_MS = 10 * 1000,		/* embedded: for the first client */
	ENDING_MS = 5 * 1000,		/* for VMs that are to be deleted */
	FDS_MAX = 65536,
};

const char *
worker_version(void)
{
	return BANGER_VERSION;
}

uint64_t
worker_now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec > 0 ? (uint64_t)now.tv_sec : 0;
}

/* ---- the end ---- */

static bool
anything_under_way(struct worker *w)
{
	struct list *node, *following;

	if (w->jobs.count > 0)
		return true;
	list_each(node, following, &w->machines)
		if (machine_busy(list_entry(node, struct machine, node)))
			return true;
	return false;
}

/*
 * An embedded worker lives as long as its clients; one that connected a moment
 * ago must not be left standing, so the listener is looked at last.
 */
static bool
may_leave(struct worker *w)
{
	if (anything_under_way(w))
		return false;
	if (w->ending)
		return true;
	if (!w->config.embedded || !w->had_peer || !list_empty(&w->peers))
		return false;
	peer_accept(w);
	return list_empty(&w->peers);
}

static void
settle(void *arg)
{
	struct worker *w = arg;
	struct mon_event event;

	while (mon_next_event(&w->mon, &event)) {
		struct machine *m = machine_by_id(w, event.vm);

		if (m != NULL)
			machine_exited(m, &event.exit);
		else
			log_warn("exit of VM %012llx, which is not known",
			    (unsigned long long)event.vm);
	}
	if (w->mon.broken || may_leave(w))
		events_stop(&w->events);
}

void
worker_settle(struct worker *w)
{
	event_task_post(&w->events, &w->settle, settle, w);
}

static void
leave(void *arg)
{
	struct worker *w = arg;

	log_warn("leaving with work under way");
	events_stop(&w->events);
}

static void
nobody_came(void *arg)
{
	struct worker *w = arg;

	w->had_peer = true;
	worker_settle(w);
}

/*
 * SIGTERM: clients are sent away, and with them go their VMs; starts that are
 * under way end; everything else keeps running.
 */
static void
on_signal(void *arg, uint32_t ready UNUSED)
{
	struct worker *w = arg;
	struct signalfd_siginfo info;
	struct list *node, *following;

	if (read(w->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info) ||
	    w->ending)
		return;
	w->ending = true;
	event_io_stop(&w->listener_io);
	while (!list_empty(&w->peers))
		peer_free(list_entry(w->peers.next, struct peer, node));
	list_each(node, following, &w->machines) {
		struct machine *m = list_entry(node, struct machine, node);

		if (m->row.state == MACHINE_STARTING ||
		    (m->row.rm && m->row.state == MACHINE_RUNNING))
			machine_end(m, m->row.rm, NULL);
	}
	event_timer_set(&w->events, &w->lonely, ENDING_MS, leave, w);
	worker_settle(w);
}

/* ---- what is watched ---- */

static void
on_wire(void *arg, uint32_t ready UNUSED)
{
	struct worker *w = arg;

	(void)mon_receive(&w->mon);
	worker_settle(w);
}

static void
on_connection(void *arg, uint32_t ready UNUSED)
{
	peer_accept(arg);
}

static void
settle_later(void *arg)
{
	worker_settle(arg);
}

/* Signals come as data; a client that is gone must not end us. */
static int
open_signals(struct worker *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	sigdelset(&set, SIGPIPE);
	w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return w->signal_fd < 0 ? -errno : 0;
}

static int
watch(struct worker *w)
{
	struct events *events = &w->events;
	int r = event_io_start(events, &w->wire_io, w->mon.sock, EPOLLIN,
	    on_wire, w);

	if (r == 0)
		r = event_io_start(events, &w->listener_io, w->listener,
		    EPOLLIN, on_connection, w);
	if (r == 0)
		r = event_io_start(events, &w->signal_io, w->signal_fd,
		    EPOLLIN, on_signal, w);
	if (r == 0 && w->config.embedded)
		event_timer_set(events, &w->lonely, LONELY_MS, nobody_came, w);
	return r;
}

/* ---- the start ---- */

static bool
terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static int
greet_monitor(struct worker *w)
{
	struct hello_reply *config = &w->config;
	int r = mon_hello(&w->mon, config);

	if (r < 0)
		return r;
	if (!terminated(config->store, sizeof(config->store)) ||
	    !terminated(config->default_image,
	    sizeof(config->default_image)) ||
	    !terminated(config->default_kernel,
	    sizeof(config->default_kernel)) ||
	    config->log_level > LOG_DEBUG)
		return -EBADMSG;
	return 0;
}

/* What tells executables apart; some packagers give all the same mtime. */
static int
identify_executable(struct worker *w)
{
	struct stat st;

	if (fstat(w->exe, &st) < 0)
		return -errno;
	return format(w->build_id, sizeof(w->build_id),
	    "%llx-%llx.%09lx", (unsigned long long)st.st_size,
	    (unsigned long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

/* Asked for here: behind the door this system call is refused. */
static uint64_t
host_memory_mib(void)
{
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return UINT64_MAX;
	return (uint64_t)info.totalram * info.mem_unit >> 20;
}

static void
init(struct worker *w, int wire, int listener, int exe)
{
	memset(w, 0, sizeof(*w));
	w->listener = listener;
	w->exe = exe;
	w->tsc = tsc_sample();
	w->host_mem_mib = host_memory_mib();
	w->signal_fd = w->fetcher = -1;
	w->store.root = w->store.tmp = w->store.blobs = -1;
	mon_init(&w->mon, wire);
	list_init(&w->machines);
	list_init(&w->images);
	list_init(&w->kernels);
	list_init(&w->makings);
	list_init(&w->peers);
}

/* Without it, images come from files alone. */
static void
open_fetcher(struct worker *w, int sock)
{
	int r = sock < 0 ? sock : fetcher_open(sock, w->store.blobs);

	if (r < 0) {
		log_warn("images cannot be pulled: %s", strerror(-r));
		close_fdp(&sock);
	}
	w->fetcher = sock;
}

static int
open_store(struct worker *w)
{
	int root = open(w->config.store,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = root < 0 ? -errno : store_open(&w->store, root);

	if (r < 0)
		log_error("store %s: %s", w->config.store, strerror(-r));
	return r;
}

int
worker_open(struct worker *w, int wire, int listener, int exe, bool confine)
{
	int r;

	init(w, wire, listener, exe);
	r = events_init(&w->events);
	if (r == 0)
		r = open_signals(w);
	jobs_init(&w->jobs, &w->events);
	w->jobs.ended = w->mon.queued = settle_later;
	w->jobs.arg = w->mon.arg = w;
	if (r == 0)
		r = greet_monitor(w);
	if (r == 0)
		r = open_store(w);
	if (r == 0 && confine)
		r = worker_confine(w->store.root);
	if (r == 0)
		r = identify_executable(w);
	if (r == 0)
		r = watch(w);
	if (r == 0)
		r = catalog_load(w);
	if (r == 0)
		r = machines_adopt(w);
	worker_settle(w);
	return r;
}

void
worker_close(struct worker *w)
{
	while (!list_empty(&w->peers))
		peer_free(list_entry(w->peers.next, struct peer, node));
	machines_free(w);
	catalog_free(w);
	event_io_stop(&w->wire_io);
	event_io_stop(&w->listener_io);
	event_io_stop(&w->signal_io);
	dns_stop(&w->dns);
	close_fdp(&w->signal_fd);
	close_fdp(&w->fetcher);
	store_close(&w->store);
	mon_close(&w->mon);
	events_close(&w->events);
}

/* Four fds for each VM that runs, and one for each client. */
static void
raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max < FDS_MAX ? limit.rlim_max :
		    FDS_MAX;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* What the daemon passed must not reach a job, which is not executed anew. */
static int
mark_fds(void)
{
	static const int fds[] = { WORKER_WIRE, WORKER_LISTENER, WORKER_EXE,
		WORKER_DNS };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
			return -errno;
	return fcntl(WORKER_LISTENER, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/*
 * By the process behind FD, and for VMs that run already. Without one, that is
 * as if there were no socket.
 */
static void
serve_names(struct worker *w, int fd)
{
	struct list *node, *following;
	int r;

	if (w->config.dns_port == 0)
		return;
	r = fd < 0 ? fd : dns_start(&w->dns, w, fd);
	if (r < 0) {
		log_warn("names: %s", strerror(-r));
		w->config.dns_port = 0;
		return;
	}
	list_each(node, following, &w->machines)
		if (list_entry(node, struct machine, node)->row.state ==
		    MACHINE_RUNNING) {
			dns_route(w);
			break;
		}
}

int
worker_main(void)
{
	static struct worker w;
	int names, fetcher, r;

	log_init("worker", LOG_INFO);
	/* Kernel and initrd are read by VMMs, from below a directory of mode 0700. */
	umask(022);
	raise_fd_limit();
	r = mark_fds();
	names = dns_spawn(WORKER_DNS);
	close(WORKER_DNS);
	fetcher = fetcher_spawn();
	if (r == 0)
		r = worker_open(&w, WORKER_WIRE, WORKER_LISTENER, WORKER_EXE,
		    true);
	if (r < 0)
		fatal("cannot start: %s", strerror(-r));
	log_init("worker", (enum log_level)w.config.log_level);
	serve_names(&w, names);
	open_fetcher(&w, fetcher);
	/* Clients that connected meanwhile are served next. */
	r = mon_ready(&w.mon);
	if (r == 0)
		r = events_run(&w.events);
	if (r < 0)
		log_error("event loop: %s", strerror(-r));
	dns_unroute(&w);
	if (w.mon.broken)
		r = -EPIPE;
	worker_close(&w);
	return r < 0;
}
