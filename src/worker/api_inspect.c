/*
 * Requests that look into a guest: what listens there, what it uses. The host's
 * own numbers come first; the agent's are added when it answers.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/log.h"
#include "worker/api.h"
#include "worker/machine_disk.h"

enum {
	PORTS_TIMEOUT_MS = 5 * 1000,
	STATS_TIMEOUT_MS = 2 * 1000,	/* the host's numbers should not wait */
	STAT_BLOCK = 512,		/* of st_blocks, inode(7) */
};

/* Why the agent of M did not say, for the user. */
static void
refuse_question(struct peer *peer, const struct machine *m, int error)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	const char *name = m->row.name;

	if (error == -EOPNOTSUPP)
		failure_set(&f, FAIL_UNAVAILABLE, "VM %s: its agent is of an "
		    "older banger; restart it with `banger vm restart %s`",
		    name, name);
	else if (error == -EBUSY)
		failure_set(&f, FAIL_BUSY, "VM %s: its agent is busy; try "
		    "again", name);
	else if (error == -ETIMEDOUT)
		failure_set(&f, FAIL_TIMEOUT, "VM %s: its agent does not "
		    "answer; see `banger vm logs %s`", name, name);
	else
		failure_set(&f, FAIL_UNAVAILABLE, "VM %s: its agent cannot be "
		    "reached (%s); see `banger vm logs %s`", name,
		    strerror(-error), name);
	peer_refuse(peer, &f);
}

/* ---- ports ---- */

static const char *
proto_name(enum agent_socket proto)
{
	switch (proto) {
	case AGENT_TCP:
		return "tcp";
	case AGENT_TCP6:
		return "tcp6";
	case AGENT_UDP:
		return "udp";
	case AGENT_UDP6:
		break;
	}
	return "udp6";
}

static uint32_t
ipv4_of(const uint8_t addr[4])
{
	return (uint32_t)addr[0] << 24 | (uint32_t)addr[1] << 16 |
	    (uint32_t)addr[2] << 8 | addr[3];
}

/* Whether it can be reached from the host, which is by IPv4, at HOST. */
static bool
reachable(const struct agent_listener *listener, uint32_t host)
{
	static const uint8_t any[16];
	uint32_t ipv4 = ipv4_of(listener->addr);

	if (host == 0)
		return false;
	/* A socket on :: takes IPv4 as well, unless it was told not to. */
	if (listener->proto == AGENT_TCP6 || listener->proto == AGENT_UDP6)
		return memcmp(listener->addr, any, sizeof(any)) == 0;
	return ipv4 == 0 || ipv4 == host;
}

static void
address_text(const struct agent_listener *listener, char out[INET6_ADDRSTRLEN])
{
	if (listener->proto == AGENT_TCP || listener->proto == AGENT_UDP)
		ipv4_text(ipv4_of(listener->addr), out);
	else if (inet_ntop(AF_INET6, listener->addr, out, INET6_ADDRSTRLEN) == NULL)
		out[0] = '\0';
}

static void
put_listener(struct buf *out, const struct machine *m,
    const struct agent_listener *listener)
{
	char text[INET6_ADDRSTRLEN], reach[INET6_ADDRSTRLEN + 8];

	json_open(out, NULL, '{');
	json_text(out, "vm", m->row.name);
	address_text(listener, text);
	json_text(out, "address", text);
	json_number(out, "port", listener->port);
	json_text(out, "proto", proto_name(listener->proto));
	if (listener->pid != 0)
		json_number(out, "pid", listener->pid);
	if (listener->comm[0] != '\0')
		json_text(out, "process", listener->comm);
	if (reachable(listener, m->row.ipv4)) {
		ipv4_text(m->row.ipv4, text);
		(void)format(reach, sizeof(reach), "%s:%u", text,
		    listener->port);
		json_text(out, "reach", reach);
	}
	json_close(out, '}');
}

static void
on_listener(void *arg, int error, const struct agent_msg *msg, bool last)
{
	struct peer *peer = arg;
	struct buf *out = &peer->request.partial;
	const struct machine *m = machine_by_id(peer->w, peer->request.vm);

	if (error < 0) {
		refuse_question(peer, m, error);
		return;
	}
	if (msg->listener.total > 0)
		put_listener(out, m, &msg->listener);
	if (!last)
		return;
	json_close(out, ']');
	json_bool(out, "more", msg->listener.more);
	peer_answer(peer, out, -1);
}

void
api_vm_ports(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	struct machine *m = api_target(peer, line);
	struct request *request = &peer->request;
	int r;

	if (m == NULL)
		return;
	if (m->row.state != MACHINE_RUNNING) {
		failure_set(&f, FAIL_STATE, "VM %s: is not running; start it "
		    "with `banger vm start %s`", m->row.name, m->row.name);
		peer_refuse(peer, &f);
		return;
	}
	request->vm = m->row.id;
	request->partial = (struct buf)BUF_INIT(PEER_LINE_MAX);
	json_open(&request->partial, "ports", '[');
	r = machine_link(m);
	if (r == 0)
		r = agent_link_ask(&m->link, &request->query, AGENT_PORTS,
		    PORTS_TIMEOUT_MS, on_listener, peer);
	if (r < 0)
		refuse_question(peer, m, r);
}

/* ---- numbers ---- */

/* The file that holds what the guest wrote: how long, and how much of it. */
static void
put_disk(struct buf *out, const struct machine *m)
{
	_cleanup_close_ int fd = machine_disk_open(m, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	json_number(out, "disk_size_bytes", m->row.disk_bytes);
	json_number(out, "disk_allocated_bytes",
	    (uint64_t)st.st_blocks * STAT_BLOCK);
}

/* The tap's directions are the host's; a user thinks of the guest's. */
static void
put_network(struct buf *out, const struct vmm_stats_reply *stats)
{
	json_number(out, "net_rx_bytes", stats->tap_tx_bytes);
	json_number(out, "net_rx_packets", stats->tap_tx_packets);
	json_number(out, "net_tx_bytes", stats->tap_rx_bytes);
	json_number(out, "net_tx_packets", stats->tap_rx_packets);
}

static void
put_vmm(struct buf *out, const struct vmm_stats_reply *stats)
{
	json_text(out, "source", stats->valid & STATS_CGROUP ? "cgroup" :
	    "process");
	if (stats->valid & STATS_CPU) {
		json_number(out, "cpu_us", stats->cpu_user_us +
		    stats->cpu_system_us);
		json_number(out, "cpu_user_us", stats->cpu_user_us);
		json_number(out, "cpu_system_us", stats->cpu_system_us);
	}
	if (stats->valid & STATS_MEMORY)
		json_number(out, "memory_bytes", stats->memory_bytes);
	if (stats->valid & STATS_MEMORY_PEAK)
		json_number(out, "memory_peak_bytes",
		    stats->memory_peak_bytes);
	if (stats->valid & STATS_PIDS)
		json_number(out, "threads", stats->pids);
	if (stats->valid & STATS_IO) {
		json_number(out, "io_read_bytes", stats->io_read_bytes);
		json_number(out, "io_write_bytes", stats->io_write_bytes);
	}
	if (stats->valid & STATS_TAP)
		put_network(out, stats);
}

/*
 * What Firecracker counted, which is what the guest did with its devices. It has
 * been asked to tell before the agent was, but is not waited for.
 */
static void
put_metrics(struct buf *out, struct metrics *metrics)
{
	const struct vmm_metrics *sum = &metrics->sum;

	if (metrics->fd < 0)
		return;
	metrics_read(metrics);
	json_number(out, "vmm_counted_s", (uint64_t)(monotonic_ms() -
	    metrics->since_ms) / 1000);
	json_number(out, "vmm_disk_read_bytes", sum->disk_read_bytes);
	json_number(out, "vmm_disk_write_bytes", sum->disk_write_bytes);
	json_number(out, "vmm_disk_flushes", sum->disk_flushes);
	json_number(out, "vmm_net_spoofed", sum->net_spoofed);
}

/* Numbers of the guest's own: bounded, so that none breaks the JSON. */
static uint64_t
bounded(uint64_t number)
{
	return number < JSON_NUMBER_MAX ? number : JSON_NUMBER_MAX;
}

static void
put_guest(struct buf *out, const struct agent_stats *stats)
{
	json_number(out, "guest_memory_bytes", bounded(stats->mem_total_bytes));
	json_number(out, "guest_memory_available_bytes",
	    bounded(stats->mem_available_bytes));
	json_number(out, "guest_disk_bytes", bounded(stats->fs_total_bytes));
	json_number(out, "guest_disk_free_bytes",
	    bounded(stats->fs_free_bytes));
	json_hundredths(out, "guest_load_1", stats->load[0]);
	json_hundredths(out, "guest_load_5", stats->load[1]);
	json_hundredths(out, "guest_load_15", stats->load[2]);
	json_number(out, "guest_processes", stats->processes);
}

static void
answer_stats(struct peer *peer)
{
	struct machine *m = machine_by_id(peer->w, peer->request.vm);
	struct buf *out = &peer->request.partial;

	if (m != NULL)
		put_metrics(out, &m->metrics);
	json_close(out, '}');
	peer_answer(peer, out, -1);
}

/* Without the agent's part when there is no answer: it tells of itself. */
static void
on_guest_stats(void *arg, int error, const struct agent_msg *msg,
    bool last UNUSED)
{
	struct peer *peer = arg;

	if (error == 0)
		put_guest(&peer->request.partial, &msg->stats);
	answer_stats(peer);
}

static void
put_row(struct buf *out, const struct machine *m)
{
	uint64_t now = worker_now_s();

	machine_row_name(out, &m->row);
	if (m->row.state == MACHINE_RUNNING)
		json_number(out, "uptime_s", now > m->row.started_s ?
		    now - m->row.started_s : 0);
}

void
api_vm_stats(struct peer *peer, const cJSON *line)
{
	struct machine *m = api_target(peer, line);
	struct request *request = &peer->request;
	struct vmm_stats_reply stats;
	int r;

	if (m == NULL)
		return;
	request->vm = m->row.id;
	request->partial = (struct buf)BUF_INIT(PEER_LINE_MAX);
	json_open(&request->partial, "stats", '{');
	put_row(&request->partial, m);
	put_disk(&request->partial, m);
	if (m->row.state != MACHINE_RUNNING) {
		answer_stats(peer);
		return;
	}
	r = mon_vmm_stats(&m->w->mon, m->row.id, &stats);
	if (r == 0)
		put_vmm(&request->partial, &stats);
	else
		log_warn("VM %s: %s", m->row.name, mon_error(&m->w->mon, r));
	machine_flush_metrics(m);
	r = machine_link(m);
	if (r == 0)
		r = agent_link_ask(&m->link, &request->query, AGENT_STATS,
		    STATS_TIMEOUT_MS, on_guest_stats, peer);
	if (r < 0)
		answer_stats(peer);
}
