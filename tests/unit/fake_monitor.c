/*
 * See fake_monitor.h.
 */
#include "unit.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/agent_proto.h"
#include "fake_monitor.h"
#include "privsep/wire.h"

#define GATEWAY 0xac100001u

/* What the process has of each VM: its ends of the sockets. */
struct ends {
	int console, agent, said;
	uint32_t missed;
};

static struct ends ends[FAKE_VMS];
static struct fake *fake;
static int wire = -1;

struct fake *
fake_new(const char *store)
{
	struct fake *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(f, MAP_FAILED);
	f->fail_op = -1;
	f->vm_max = 4;
	f->start_timeout_ms = 20 * 1000;
	f->prefix = 24;
	assert_int_equal(format(f->store, sizeof(f->store), "%s", store), 0);
	return f;
}

unsigned int
fake_count(const struct fake *f, enum vm_state state)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < FAKE_VMS; i++)
		if (f->vms[i].id != 0 && (state == VM_STATES ||
		    f->vms[i].state == (uint32_t)state))
			count++;
	return count;
}

static void
close_ends(size_t i)
{
	close_fdp(&ends[i].console);
	close_fdp(&ends[i].agent);
	close_fdp(&ends[i].said);
	ends[i] = (struct ends){ -1, -1, -1, 0 };
}

static struct fake_vm *
find(uint64_t id)
{
	size_t i;

	for (i = 0; i < FAKE_VMS; i++)
		if (fake->vms[i].id == id && id != 0)
			return &fake->vms[i];
	return NULL;
}

static void
exit_vmm(struct fake_vm *vm, int32_t code)
{
	struct wire_reply header = { .op = EVENT_VMM_EXIT,
		.len = sizeof(struct vmm_exit_event), .vm = vm->id };
	struct vmm_exit_event event = { .status_known = 1,
		.exit_code = code };

	if (vm->state != VM_RUNNING)
		return;
	vm->state = VM_EXITED;
	close_ends((size_t)(vm - fake->vms));
	(void)wire_send(wire, &header, sizeof(header), &event, sizeof(event),
	    NULL, 0);
}

/* ---- the agent ---- */

static void
say(int fd, struct agent_msg *msg)
{
	uint8_t bytes[AGENT_MSG_SIZE];

	msg->reply = true;
	agent_msg_encode(bytes, msg);
	(void)write_full(fd, bytes, sizeof(bytes));
}

/* Listeners: sshd on all addresses, one on loopback, one of IPv6. */
static void
say_ports(int fd, struct agent_msg *msg)
{
	static const struct agent_listener listeners[] = {
		{ AGENT_TCP, 7, 0, 3, 22, false, { 0 }, "sshd" },
		{ AGENT_UDP, 0, 1, 3, 53, false, { 127, 0, 0, 1 }, "" },
		{ AGENT_TCP6, 8, 2, 3, 8080, false, { [15] = 1 }, "a b?" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(listeners); i++) {
		msg->listener = listeners[i];
		if (i != 1 || fake->agent != FAKE_AGENT_LIES)
			say(fd, msg);
	}
}

static void
say_stats(int fd, struct agent_msg *msg)
{
	msg->stats = (struct agent_stats){ 1000, 600, 5000, UINT64_MAX,
		{ 7, 123, 100 }, 42 };
	say(fd, msg);
}

static void
answer_agent(struct fake_vm *vm, int fd, struct agent_msg *msg)
{
	uint8_t rubbish[512];

	if (fake->agent == FAKE_AGENT_SILENT ||
	    (fake->agent == FAKE_AGENT_SECOND && fake->launches % 2 == 1))
		return;
	switch (msg->type) {
	case AGENT_HELLO:
		if (fake->agent == FAKE_AGENT_EXITS) {
			exit_vmm(vm, 0);
			return;
		}
		msg->hello.version = fake->agent == FAKE_AGENT_OLD ? 1 :
		    AGENT_VERSION;
		say(fd, msg);
		if (fake->agent != FAKE_AGENT_GARBAGE)
			return;
		assert_int_equal(getrandom(rubbish, sizeof(rubbish), 0),
		    sizeof(rubbish));
		(void)write_full(fd, rubbish, sizeof(rubbish));
		break;
	case AGENT_OPEN:
		msg->status = fake->agent == FAKE_AGENT_BUSY ? EBUSY :
		    fake->agent == FAKE_AGENT_YOUNG ? ENOENT : 0;
		fake->opens++;
		msg->open.port = 3;
		say(fd, msg);
		break;
	case AGENT_SHUTDOWN:
		say(fd, msg);
		if (fake->agent != FAKE_AGENT_STUBBORN)
			exit_vmm(vm, 0);
		break;
	case AGENT_PORTS:
		if (fake->agent != FAKE_AGENT_DEAF)
			say_ports(fd, msg);
		break;
	case AGENT_STATS:
		if (fake->agent != FAKE_AGENT_DEAF)
			say_stats(fd, msg);
		break;
	case AGENT_PING:
	case AGENT_READY:
		break;
	}
}

static void
serve_agent(size_t i)
{
	uint8_t bytes[AGENT_MSG_SIZE];
	struct agent_msg msg;
	int r = read_full(ends[i].agent, bytes, sizeof(bytes));

	if (r < 0) {
		close_fdp(&ends[i].agent);
	} else if (agent_msg_decode(bytes, STREAM_CLIENT, &msg) == 0) {
		answer_agent(&fake->vms[i], ends[i].agent, &msg);
	}
}

/* ---- ops ---- */

struct answer {
	int status;
	uint32_t len;
	int fd;
	union {
		struct hello_reply hello;
		struct bridge_ensure_reply bridge;
		struct tap_create_reply tap;
		struct vmm_list_reply list;
		struct vmm_find_reply find;
		struct snapshot_status_reply snapshot;
		struct vmm_stats_reply stats;
	};
};

static void
hello(struct answer *a)
{
	a->len = sizeof(a->hello);
	a->hello.owner_uid = fake->owner_uid;
	a->hello.owner_gid = UINT32_MAX;
	a->hello.embedded = fake->embedded;
	a->hello.default_vcpus = 1;
	a->hello.default_mem_mib = 64;
	a->hello.vmm = VMM_QEMU;
	a->hello.vm_max = fake->vm_max;
	a->hello.snapshots = fake->snapshots;
	a->hello.dns_ipv4 = 0x7f000001;
	a->hello.dns_port = fake->dns_port;
	a->hello.start_timeout_ms = fake->start_timeout_ms;
	a->hello.default_disk_bytes = 1 << 20;
	a->hello.image_max_bytes = UINT64_C(1) << 30;
	memcpy(a->hello.store, fake->store, sizeof(a->hello.store));
	strcpy(a->hello.default_image, "img");
	strcpy(a->hello.default_kernel, "krn");
}

static void
tap_create(struct answer *a, uint64_t id, const struct wire_record *record)
{
	struct tap_create_request request;
	size_t i;

	memcpy(&request, record->bytes + sizeof(record->request),
	    sizeof(request));
	for (i = 0; i < FAKE_VMS && fake->vms[i].id != 0; i++)
		continue;
	if (find(id) != NULL || i == FAKE_VMS) {
		a->status = -EBUSY;
		return;
	}
	fake->vms[i] = (struct fake_vm){ id, VM_STAGED, request.ipv4, 0, 0 };
	ends[i] = (struct ends){ -1, -1, -1, 0 };
	a->len = sizeof(a->tap);
	memcpy(a->tap.mac, "\2\374\1\2\3\4", 6);
	strcpy(a->tap.tap, "fc-tap");
}

static void
make_disk(struct answer *a, struct fake_vm *vm,
    const struct wire_record *record)
{
	bool snapshot = record->request.op == OP_SNAPSHOT_CREATE;

	if (vm == NULL || vm->state != VM_STAGED || vm->disk != 0)
		a->status = -EBUSY;
	else if (record->nfds != (snapshot ? SNAPSHOT_FDS : 1))
		a->status = -EBADMSG;
	else
		vm->disk = record->request.op;
}

static void
snapshot_status(struct answer *a, const struct fake_vm *vm)
{
	if (vm == NULL || vm->disk != OP_SNAPSHOT_CREATE) {
		a->status = -ENODEV;
		return;
	}
	a->len = sizeof(a->snapshot);
	a->snapshot.invalid = fake->disk_full;
}

/* The VMM of E says PIECE, no more than a part of a line. */
static void
vmm_says(const struct ends *e, const char *piece)
{
	if (fake->talks)
		(void)write_full(e->said, piece, strlen(piece));
}

static void
launch(struct answer *a, struct fake_vm *vm)
{
	int pipefd[2];

	if (vm == NULL || vm->state != VM_STAGED || vm->disk == 0) {
		a->status = vm != NULL && vm->disk == 0 ? -ENODEV : -EBUSY;
		return;
	}
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	a->fd = pipefd[0];
	ends[vm - fake->vms].said = pipefd[1];
	vmm_says(&ends[vm - fake->vms], "vmm: info: QEMU waiting for connection on: "
	    "x\nvmm:");
	vm->state = VM_RUNNING;
	fake->launches++;
}

static void
socket_open(struct answer *a, struct fake_vm *vm,
    const struct wire_record *record)
{
	static const char text[] = "fake console, line 1\r\nline 2\r\n";
	struct socket_open_request request;
	struct ends *e;
	int sockets[2];

	memcpy(&request, record->bytes + sizeof(record->request),
	    sizeof(request));
	if (vm == NULL || vm->state != VM_RUNNING) {
		a->status = -ESRCH;
		return;
	}
	e = &ends[vm - fake->vms];
	if (e->missed++ < fake->misses) {
		a->status = -ENOENT;
		return;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    sockets), 0);
	a->fd = sockets[1];
	if (request.socket == SOCKET_CONSOLE) {
		e->console = sockets[0];
		(void)write_full(sockets[0], text, strlen(text));
	} else if (request.socket == SOCKET_CONTROL) {
		e->agent = sockets[0];
		vmm_says(e, " no \033[1m memory");
	} else {
		(void)write_full(sockets[0], "stream", 6);
		close(sockets[0]);
	}
}

static void
list_or_find(struct answer *a, const struct wire_record *record,
    const struct fake_vm *vm)
{
	struct vmm_list_request request;
	size_t i;

	if (record->request.op == OP_VMM_FIND) {
		a->len = sizeof(a->find);
		if (vm != NULL) {
			a->find.state = vm->state;
			a->find.pid = vm->state == VM_RUNNING ? 4711 : 0;
		}
		return;
	}
	memcpy(&request, record->bytes + sizeof(record->request),
	    sizeof(request));
	a->len = sizeof(a->list);
	for (i = request.slot; i < FAKE_VMS; i++)
		if (fake->vms[i].id != 0) {
			a->list.id = fake->vms[i].id;
			a->list.state = fake->vms[i].state;
			a->list.next = (uint32_t)i + 1;
			return;
		}
}

static void
nat_set(struct answer *a, struct fake_vm *vm, const struct wire_record *record)
{
	struct nat_set_request request;

	memcpy(&request, record->bytes + sizeof(record->request),
	    sizeof(request));
	if (vm == NULL)
		a->status = -ENOENT;
	else
		vm->nat = request.enabled;
}

static void
vmm_stats(struct answer *a, const struct fake_vm *vm)
{
	if (vm == NULL || vm->state != VM_RUNNING) {
		a->status = -ESRCH;
		return;
	}
	a->len = sizeof(a->stats);
	a->stats = (struct vmm_stats_reply){ .valid = STATS_CPU | STATS_TAP,
		.cpu_user_us = 30, .cpu_system_us = 12, .tap_rx_bytes = 1,
		.tap_tx_bytes = 2 };
}

static void
tap_delete(struct answer *a, struct fake_vm *vm)
{
	if (vm == NULL || vm->state == VM_RUNNING)
		a->status = vm == NULL ? -ENOENT : -EBUSY;
	else
		memset(vm, 0, sizeof(*vm));
}

static void
act(struct answer *a, const struct wire_record *record)
{
	struct fake_vm *vm = find(record->request.vm);

	switch ((enum op)record->request.op) {
	case OP_HELLO:
		hello(a);
		break;
	case OP_READY:
		break;
	case OP_BRIDGE_ENSURE:
		a->len = sizeof(a->bridge);
		a->bridge.gateway = GATEWAY;
		a->bridge.prefix = fake->prefix;
		break;
	case OP_TAP_CREATE:
		tap_create(a, record->request.vm, record);
		break;
	case OP_TAP_DELETE:
		tap_delete(a, vm);
		break;
	case OP_NAT_SET:
		nat_set(a, vm, record);
		break;
	case OP_DISK_ATTACH:
	case OP_SNAPSHOT_CREATE:
		make_disk(a, vm, record);
		break;
	case OP_SNAPSHOT_STATUS:
		snapshot_status(a, vm);
		break;
	case OP_SNAPSHOT_REMOVE:
		if (vm == NULL || vm->state == VM_RUNNING)
			a->status = vm == NULL ? -ENOENT : -EBUSY;
		else
			vm->disk = 0;
		break;
	case OP_VMM_LAUNCH:
		launch(a, vm);
		break;
	case OP_SOCKET_OPEN:
		socket_open(a, vm, record);
		break;
	case OP_VMM_LIST:
	case OP_VMM_FIND:
		list_or_find(a, record, vm);
		break;
	case OP_VMM_KILL:
		if (vm == NULL || vm->state != VM_RUNNING)
			a->status = -ESRCH;
		else
			exit_vmm(vm, -9);
		break;
	case OP_JAIL_CLEANUP:
		a->status = vm == NULL ? -ENOENT :
		    vm->state == VM_RUNNING ? -EBUSY : 0;
		break;
	case OP_VMM_STATS:
		vmm_stats(a, vm);
		break;
	case OP_RESOLVER_SET:
		fake->resolver_sets++;
		break;
	case OP_RESOLVER_CLEAR:
		break;
	case OP_VMM_ALIVE:
	case OP_VMM_SIGNAL:
	case OP_COUNT:
	case EVENT_VMM_EXIT:
		a->status = -ENOSYS;
		break;
	}
}

static void
serve_worker(void)
{
	struct answer a = { .fd = -1 };
	struct wire_reply reply = { 0 };
	struct wire_record record;

	if (wire_recv(wire, &record, 0) <= 0) {
		close(wire);
		wire = -1;
		return;
	}
	if ((int)record.request.op == fake->fail_op)
		a.status = fake->fail_error;
	else
		act(&a, &record);
	reply.op = record.request.op;
	reply.seq = record.request.seq;
	reply.vm = record.request.vm;
	reply.status = a.status;
	if (a.status < 0) {
		strcpy(reply.error, "it was made to fail");
	} else {
		reply.len = a.len;
		reply.nfds = a.fd >= 0;
	}
	(void)wire_send(wire, &reply, sizeof(reply), &a.hello, reply.len,
	    &a.fd, reply.nfds);
	close_fdp(&a.fd);
	wire_close_fds(&record);
}

static void
take_wire(int wires)
{
	struct wire_record record;

	if (wire_recv(wires, &record, 0) <= 0)
		_exit(0);
	close_fdp(&wire);
	wire = wire_take_fd(&record, 0);
	wire_close_fds(&record);
}

void
fake_monitor(struct fake *shared, int wires)
{
	struct pollfd fds[2 + FAKE_VMS];
	size_t i;

	fake = shared;
	for (i = 0; i < FAKE_VMS; i++)
		ends[i] = (struct ends){ -1, -1, -1, 0 };
	for (;;) {
		fds[0] = (struct pollfd){ wires, POLLIN, 0 };
		fds[1] = (struct pollfd){ wire, POLLIN, 0 };
		for (i = 0; i < FAKE_VMS; i++)
			fds[2 + i] = (struct pollfd){ ends[i].agent, POLLIN,
				0 };
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			_exit(1);
		/* One thing at a time: each may change what is polled. */
		if (fds[0].revents != 0)
			take_wire(wires);
		else if (fds[1].revents != 0)
			serve_worker();
		else
			for (i = 0; i < FAKE_VMS; i++)
				if (fds[2 + i].revents != 0) {
					serve_agent(i);
					break;
				}
	}
}
