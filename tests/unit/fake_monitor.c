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

static void
answer_agent(struct fake_vm *vm, int fd, struct agent_msg *msg)
{
	uint8_t rubbish[512];

	if (fake->agent == FAKE_AGENT_SILENT)
		return;
	switch (msg->type) {
	case AGENT_HELLO:
		if (fake->agent == FAKE_AGENT_EXITS) {
			exit_vmm(vm, 0);
			return;
		}
		msg->hello.version = AGENT_VERSION;
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
		ends[i].agent = -1;
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
	a->hello.vm_max = fake->vm_max;
	a->hello.default_disk_bytes = 1 << 20;
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
	fake->vms[i] = (struct fake_vm){ id, VM_STAGED, request.ipv4, 0 };
	ends[i] = (struct ends){ -1, -1, -1, 0 };
	a->len = sizeof(a->tap);
	memcpy(a->tap.mac, "\2\374\1\2\3\4", 6);
}

static void
launch(struct answer *a, struct fake_vm *vm)
{
	int pipefd[2];

	if (vm == NULL || vm->state != VM_STAGED) {
		a->status = -EBUSY;
		return;
	}
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	a->fd = pipefd[0];
	ends[vm - fake->vms].said = pipefd[1];
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
		a->status = vm == NULL ? -ENOENT : 0;
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
