/*
 * The monitor is trusted with everything, and still held to the letter of the
 * protocol: a mismatch means that the two of us disagree about the state of
 * the world, and going on would only hide it.
 */
#include "worker/mon.h"

#include <string.h>
#include <sys/socket.h>

#include "privsep/log.h"
#include "privsep/util.h"

/* A call: what goes out, and exactly what must come back. */
struct mon_call {
	enum op op;
	uint64_t vm;
	const void *body;
	uint32_t body_len;
	const int *fds;
	uint32_t nfds;
	void *reply;
	uint32_t reply_len;
	int *reply_fd;			/* NULL: the reply brings none */
};

void
mon_init(struct mon *mon, int sock)
{
	memset(mon, 0, sizeof(*mon));
	mon->sock = sock;
	mon->last = &mon->first;
}

void
mon_close(struct mon *mon)
{
	struct mon_event event;

	while (mon_next_event(mon, &event))
		continue;
}

const char *
mon_error(const struct mon *mon, int error)
{
	return mon->error[0] != '\0' ? mon->error : strerror(-error);
}

static int
broke(struct mon *mon, const char *why)
{
	if (!mon->broken)
		log_error("monitor: %s", why);
	mon->broken = true;
	return -EPIPE;
}

static int
queue_event(struct mon *mon, const struct wire_record *record)
{
	struct mon_event *event;

	if (record->len != sizeof(record->reply) + sizeof(event->exit) ||
	    record->reply.op != EVENT_VMM_EXIT || record->reply.seq != 0 ||
	    record->reply.len != sizeof(event->exit) ||
	    record->reply.nfds != 0 || record->nfds != 0)
		return broke(mon, "malformed event");
	event = calloc(1, sizeof(*event));
	if (event == NULL)
		return broke(mon, "out of memory");
	event->vm = record->reply.vm;
	memcpy(&event->exit, record->bytes + sizeof(record->reply),
	    sizeof(event->exit));
	*mon->last = event;
	mon->last = &event->next;
	if (mon->queued != NULL)
		mon->queued(mon->arg);
	return 0;
}

/* Whether RECORD is the reply to CALL with SEQ, as the protocol has it. */
static bool
is_reply(const struct wire_record *record, const struct mon_call *call,
    uint32_t seq)
{
	const struct wire_reply *reply = &record->reply;
	bool ok = reply->status == 0;

	return reply->op == call->op && reply->seq == seq &&
	    reply->vm == call->vm && reply->pad == 0 && reply->status <= 0 &&
	    reply->len == (ok ? call->reply_len : 0) &&
	    record->len == sizeof(*reply) + reply->len &&
	    reply->nfds == (ok && call->reply_fd != NULL ? 1U : 0U) &&
	    record->nfds == reply->nfds &&
	    memchr(reply->error, '\0', sizeof(reply->error)) != NULL;
}

static int
take_reply(struct mon *mon, const struct mon_call *call,
    struct wire_record *record)
{
	if (record->reply.status < 0) {
		memcpy(mon->error, record->reply.error, sizeof(mon->error));
		return record->reply.status;
	}
	if (call->reply_len > 0)
		memcpy(call->reply, record->bytes + sizeof(record->reply),
		    call->reply_len);
	if (call->reply_fd != NULL)
		*call->reply_fd = wire_take_fd(record, 0);
	return 0;
}

static int
mon_call(struct mon *mon, const struct mon_call *call)
{
	struct wire_request header = { .op = call->op, .seq = ++mon->seq,
		.len = call->body_len, .nfds = call->nfds, .vm = call->vm };
	struct wire_record record;
	int r;

	mon->error[0] = '\0';
	if (mon->broken)
		return -EPIPE;
	/* Events have seq 0. */
	if (mon->seq == 0)
		header.seq = ++mon->seq;
	r = wire_send(mon->sock, &header, sizeof(header), call->body,
	    call->body_len, call->fds, call->nfds);
	if (r < 0)
		return broke(mon, strerror(-r));
	for (;;) {
		r = wire_recv(mon->sock, &record, 0);
		if (r <= 0)
			return broke(mon, r == 0 ? "gone" : strerror(-r));
		if (record.len < sizeof(record.reply) ||
		    record.reply.op != EVENT_VMM_EXIT)
			break;
		r = queue_event(mon, &record);
		wire_close_fds(&record);
		if (r < 0)
			return r;
	}
	if (record.len < sizeof(record.reply) ||
	    !is_reply(&record, call, header.seq))
		r = broke(mon, "malformed reply");
	else
		r = take_reply(mon, call, &record);
	wire_close_fds(&record);
	return r;
}

int
mon_receive(struct mon *mon)
{
	struct wire_record record;
	int r = 0;

	while (!mon->broken && r == 0) {
		r = wire_recv(mon->sock, &record, MSG_DONTWAIT);
		if (r == -EAGAIN)
			return 0;
		if (r == 0)
			return broke(mon, "gone");
		if (r < 0)
			return broke(mon, strerror(-r));
		r = record.len < sizeof(record.reply) ?
		    broke(mon, "malformed event") : queue_event(mon, &record);
		wire_close_fds(&record);
	}
	return mon->broken ? -EPIPE : r;
}

bool
mon_next_event(struct mon *mon, struct mon_event *event)
{
	struct mon_event *first = mon->first;

	if (first == NULL)
		return false;
	mon->first = first->next;
	if (mon->first == NULL)
		mon->last = &mon->first;
	*event = *first;
	event->next = NULL;
	free(first);
	return true;
}

int
mon_hello(struct mon *mon, struct hello_reply *reply)
{
	struct hello_request request = { .version = WIRE_VERSION };

	return mon_call(mon, &(struct mon_call){ .op = OP_HELLO,
	    .body = &request, .body_len = sizeof(request), .reply = reply,
	    .reply_len = sizeof(*reply) });
}

int
mon_ready(struct mon *mon)
{
	return mon_call(mon, &(struct mon_call){ .op = OP_READY });
}

int
mon_bridge_ensure(struct mon *mon, struct bridge_ensure_reply *reply)
{
	return mon_call(mon, &(struct mon_call){ .op = OP_BRIDGE_ENSURE,
	    .reply = reply, .reply_len = sizeof(*reply) });
}

int
mon_tap_create(struct mon *mon, uint64_t vm, uint32_t ipv4,
    struct tap_create_reply *reply)
{
	struct tap_create_request request = { .ipv4 = ipv4 };
	struct tap_create_reply tap = { .mac = { 0 } };
	int r = mon_call(mon, &(struct mon_call){ .op = OP_TAP_CREATE,
	    .vm = vm, .body = &request, .body_len = sizeof(request),
	    .reply = &tap, .reply_len = sizeof(tap) });

	if (r < 0)
		return r;
	*reply = tap;
	reply->tap[sizeof(reply->tap) - 1] = '\0';
	return 0;
}

/* For ops that say a VM, or not even that. */
static int
plain_call(struct mon *mon, enum op op, uint64_t vm)
{
	return mon_call(mon, &(struct mon_call){ .op = op, .vm = vm });
}

int
mon_tap_delete(struct mon *mon, uint64_t vm)
{
	return plain_call(mon, OP_TAP_DELETE, vm);
}

int
mon_nat_set(struct mon *mon, uint64_t vm, bool enabled)
{
	struct nat_set_request request = { .enabled = enabled };

	return mon_call(mon, &(struct mon_call){ .op = OP_NAT_SET, .vm = vm,
	    .body = &request, .body_len = sizeof(request) });
}

int
mon_disk_attach(struct mon *mon, uint64_t vm, int fd, bool loop)
{
	struct disk_attach_request request = { .loop = loop };

	return mon_call(mon, &(struct mon_call){ .op = OP_DISK_ATTACH,
	    .vm = vm, .body = &request, .body_len = sizeof(request),
	    .fds = &fd, .nfds = 1 });
}

int
mon_snapshot_create(struct mon *mon, uint64_t vm, const int *fds,
    uint64_t disk_bytes, bool transient)
{
	struct snapshot_create_request request = { .disk_bytes = disk_bytes,
		.transient = transient };

	return mon_call(mon, &(struct mon_call){ .op = OP_SNAPSHOT_CREATE,
	    .vm = vm, .body = &request, .body_len = sizeof(request),
	    .fds = fds, .nfds = SNAPSHOT_FDS });
}

int
mon_snapshot_status(struct mon *mon, uint64_t vm,
    struct snapshot_status_reply *reply)
{
	return mon_call(mon, &(struct mon_call){ .op = OP_SNAPSHOT_STATUS,
	    .vm = vm, .reply = reply, .reply_len = sizeof(*reply) });
}

int
mon_snapshot_remove(struct mon *mon, uint64_t vm)
{
	return plain_call(mon, OP_SNAPSHOT_REMOVE, vm);
}

int
mon_vmm_launch(struct mon *mon, uint64_t vm,
    const struct vmm_launch_request *request, const int *fds, int *stderr_fd)
{
	return mon_call(mon, &(struct mon_call){ .op = OP_VMM_LAUNCH, .vm = vm,
	    .body = request, .body_len = sizeof(*request), .fds = fds,
	    .nfds = LAUNCH_FDS, .reply_fd = stderr_fd });
}

int
mon_socket_open(struct mon *mon, uint64_t vm, enum vmm_socket socket,
    uint32_t index, int *fd)
{
	struct socket_open_request request = { .socket = socket,
		.index = index };

	return mon_call(mon, &(struct mon_call){ .op = OP_SOCKET_OPEN,
	    .vm = vm, .body = &request, .body_len = sizeof(request),
	    .reply_fd = fd });
}

int
mon_vmm_list(struct mon *mon, uint32_t slot, struct vmm_list_reply *reply)
{
	struct vmm_list_request request = { .slot = slot };

	return mon_call(mon, &(struct mon_call){ .op = OP_VMM_LIST,
	    .body = &request, .body_len = sizeof(request), .reply = reply,
	    .reply_len = sizeof(*reply) });
}

int
mon_vmm_find(struct mon *mon, uint64_t vm, struct vmm_find_reply *reply)
{
	return mon_call(mon, &(struct mon_call){ .op = OP_VMM_FIND, .vm = vm,
	    .reply = reply, .reply_len = sizeof(*reply) });
}

int
mon_vmm_kill(struct mon *mon, uint64_t vm)
{
	return plain_call(mon, OP_VMM_KILL, vm);
}

int
mon_jail_cleanup(struct mon *mon, uint64_t vm)
{
	return plain_call(mon, OP_JAIL_CLEANUP, vm);
}

int
mon_vmm_stats(struct mon *mon, uint64_t vm, struct vmm_stats_reply *reply)
{
	return mon_call(mon, &(struct mon_call){ .op = OP_VMM_STATS, .vm = vm,
	    .reply = reply, .reply_len = sizeof(*reply) });
}

int
mon_resolver_set(struct mon *mon)
{
	return plain_call(mon, OP_RESOLVER_SET, 0);
}

int
mon_resolver_clear(struct mon *mon)
{
	return plain_call(mon, OP_RESOLVER_CLEAR, 0);
}
