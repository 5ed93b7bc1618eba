/*
 * Requests to the monitor, from a worker that was taken over. The ops are the
 * real ones, on a host of which nothing is there: no programs, no sockets to the
 * kernel, no directories. One VM is in each state.
 */
#include "fuzz.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include "privsep/log.h"
#include "privsep/monitor.h"

enum { FIRST_ID = 0x7f3a0001, BODY_MAX = 512, FDS_MAX = 4 };

static struct config cfg;
static struct monitor monitor;
static int worker;			/* the other end of the wire */
static int records = -1;

static void
set_up(void)
{
	enum program program;
	int wire[2];

	log_init("fuzz", LOG_ERROR);
	records = make_temp();
	must(config_parse("", "config.toml", &cfg, monitor.error,
	    sizeof(monitor.error)) == 0);
	/* So that files of this process are the worker's. */
	cfg.uid_base = geteuid();
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) == 0);
	monitor = (struct monitor){ .cfg = &cfg, .wire = wire[0], .launcher = -1,
		.worker = -1, .signals = -1, .epoll = -1, .proc = -1,
		.jails = -1, .cgroups = -1, .vmm = VMM_QEMU, .resolver = -1 };
	worker = wire[1];
	for (program = 0; program < PROGRAMS; program++)
		monitor.programs[program] = -1;
	monitor.notify.fd = -1;
	monitor.net.cfg = &cfg;
	monitor.net.state_dir = monitor.net.route.fd = monitor.net.filter.fd = -1;
	monitor.disks.nodes = monitor.disks.mapper = -1;
}

/* The VMs of a new input; those of the last one are forgotten. */
static void
set_vms(void)
{
	static const enum vm_state states[] = { VM_STAGED, VM_RUNNING, VM_EXITED };
	size_t i;

	must(vm_table_init(&monitor.table, ARRAY_SIZE(states) + 1,
	    cfg.uid_base + 1, records) == 0);
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		struct vm *vm = vm_allocate(&monitor.table, FIRST_ID + i);

		must(vm != NULL);
		vm->state = states[i];
		vm->vmm = VMM_FIRECRACKER;
		vm->ipv4 = 0xac100002 + (uint32_t)i;
	}
	monitor.net.ready = true;
	monitor.net.net = (struct ipv4_net){ 0xac100001, 24 };
}

/* The file that fd I of OP should be. */
static int
right_file(uint32_t op, uint32_t i)
{
	int fd = memory_file((struct input){ NULL, 0 }), again;
	char path[32];

	(void)format(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(ftruncate(fd, SNAPSHOT_COW_MIN) == 0);
	if (op == OP_DISK_ATTACH || (op == OP_SNAPSHOT_CREATE && i == SNAPSHOT_COW))
		return fd;
	again = open(path, O_RDONLY | O_CLOEXEC);
	must(again >= 0);
	close(fd);
	return again;
}

/*
 * Sends one request of the input: the op's own size and number of fds, or what
 * the input says. False when the monitor would end the worker.
 */
static bool
request(struct input *in)
{
	struct wire_request header = { .op = take_u8(in) % (OP_COUNT + 1),
		.vm = FIRST_ID + take_u8(in) % 5 };
	uint8_t how = take_u8(in), body[BODY_MAX] = { 0 };
	struct op_info info = { .request_len = 0 };
	int fds[FDS_MAX], r;
	struct wire_record record;
	struct input piece;
	uint32_t i;

	(void)ops_info(header.op, &info);
	piece = take_bytes(in, how & 1 ? take_u8(in) : info.request_len);
	must(piece.len <= BODY_MAX);
	memcpy(body, piece.data, piece.len);
	header.len = how & 1 ? (uint32_t)piece.len : info.request_len;
	header.nfds = how & 2 ? (how >> 4) % (FDS_MAX + 1) : info.fds;
	if (info.states == 0 && (how & 4) == 0)
		header.vm = 0;
	must(header.nfds <= FDS_MAX);
	for (i = 0; i < header.nfds; i++)
		fds[i] = how & 8 ? memory_file(take_bytes(in, 16)) :
		    right_file(header.op, i);
	must(wire_send(worker, &header, sizeof(header), body, header.len, fds,
	    header.nfds) == 0);
	for (i = 0; i < header.nfds; i++)
		close(fds[i]);
	must(wire_recv(monitor.wire, &record, MSG_DONTWAIT) == 1);
	r = ops_dispatch(&monitor, &record);
	wire_close_fds(&record);
	must(r == 0 || r == -EBADMSG);
	while (wire_recv(worker, &record, MSG_DONTWAIT) == 1) {
		must(r == 0 && record.reply.op == header.op &&
		    record.reply.vm == header.vm);
		wire_close_fds(&record);
	}
	return r == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	uint32_t i;
	int fd;

	if (records < 0)
		set_up();
	fd = lowest_fd();
	set_vms();
	while (in.len > 0 && request(&in))
		;
	for (i = 0; i < monitor.table.max; i++)
		if (monitor.table.vms[i].id != 0)
			vm_free(&monitor.table, &monitor.table.vms[i]);
	free(monitor.table.vms);
	must(lowest_fd() == fd);
	return 0;
}
