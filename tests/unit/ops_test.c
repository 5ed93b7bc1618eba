/*
 * The boundary, from the worker's side: requests made from the op table itself
 * (ops_info), right ones and every way of being wrong, in every state of a VM.
 * What the ops are made of is replaced at link time (--wrap): each fake counts
 * its calls, and a request that was refused must have reached none.
 */
#include "unit.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "privsep/check.h"
#include "privsep/log.h"
#include "privsep/monitor.h"
#include "privsep/stats.h"

enum {
	SLOTS = 6,
	WORKER = 700000,
	GATEWAY = 0xac100001,
	GUEST = 0xac100002,
	RANDOM_RECORDS = 300000,
	IMAGE_BYTES = 64 * 512,
	DISK_BYTES = 1 << 20,
};

#define VM_ID UINT64_C(0x7f3a00000001)
#define OTHER_ID UINT64_C(0x7f3a00000002)

static struct temp temp;
static struct config cfg;
static struct monitor monitor;
static int worker;			/* the other end of the wire */
static int resolver;			/* the other end of the resolver's */
static unsigned int calls;		/* of any fake */
static int fail_with;			/* what the fakes return */
static uint64_t acted_on;		/* the VM of the last call, or 0 */
static unsigned long inputs, log_lines;

/* --- fakes --- */

/* The linker's names for what takes the place of X. */
int	 __wrap_network_ensure(struct network *network,
	    const struct vm_table *table);
int	 __wrap_network_add(struct network *network,
	    const struct vm_table *table, struct vm *vm);
int	 __wrap_network_remove(struct network *network, struct vm *vm);
int	 __wrap_network_nat(struct network *network, struct vm *vm,
	    bool enabled);
int	 __wrap_network_stats(struct network *network, const struct vm *vm,
	    struct link_stats *out);
int	 __wrap_stats_of_vmm(int proc_fd, int cgroups, const struct vm *vm,
	    struct vmm_stats_reply *reply);
void	 __wrap_network_close(struct network *network);
int	 __wrap_disk_attach(const struct disk_host *host, struct disk *disk,
	    int fd, bool loop, const char **what);
int	 __wrap_disk_snapshot(const struct disk_host *host, struct disk *disk,
	    uint64_t id, const int *fds,
	    const struct snapshot_create_request *request, const char **what);
int	 __wrap_disk_status(const struct disk_host *host, uint64_t id,
	    struct mapper_snapshot *status);
int	 __wrap_disk_release(const struct disk_host *host, struct disk *disk,
	    uint64_t id);
int	 __wrap_stage_launch(struct monitor *m, struct vm *vm,
	    const struct vmm_launch_request *request, const int *fds,
	    int *stderr_fd);
int	 __wrap_jail_connect(int run, uid_t uid, const char *name);
int	 __wrap_jail_remove(int base, const char *name);
int	 __wrap_proc_signal(int pidfd, int signal);
void	 __wrap_log_msg(enum log_level level, const char *fmt, ...);

/* Each refusal is a line in the log: too many for here. */
void
__wrap_log_msg(enum log_level level, const char *fmt, ...)
{
	(void)level;
	assert_non_null(fmt);
	log_lines++;
}

static int
called(const struct vm *vm)
{
	calls++;
	acted_on = vm != NULL ? vm->id : 0;
	return fail_with;
}

int
__wrap_network_ensure(struct network *network, const struct vm_table *table)
{
	assert_ptr_equal(table, &monitor.table);
	network->ready = true;
	network->net = (struct ipv4_net){ GATEWAY, 24 };
	return called(NULL);
}

int
__wrap_network_add(struct network *network, const struct vm_table *table,
    struct vm *vm)
{
	assert_true(network->ready);
	assert_ptr_equal(vm_find(table, vm->id), vm);
	assert_int_equal(check_guest_ipv4(vm->ipv4, GATEWAY, 24), 0);
	if (called(vm) == 0)
		vm->tap_fd = eventfd(0, EFD_CLOEXEC);
	return fail_with;
}

static unsigned int taps_removed;
static int last_signal;

int
__wrap_network_remove(struct network *network, struct vm *vm)
{
	(void)network;
	assert_true(vm->state != VM_RUNNING || last_signal == SIGKILL);
	taps_removed++;
	close_fdp(&vm->tap_fd);
	return called(vm);
}

int
__wrap_network_nat(struct network *network, struct vm *vm, bool enabled)
{
	(void)network;
	if (called(vm) == 0)
		vm->nat = enabled;
	return fail_with;
}

int
__wrap_network_stats(struct network *network, const struct vm *vm,
    struct link_stats *out)
{
	(void)network;
	assert_int_equal(vm->state, VM_RUNNING);
	*out = (struct link_stats){ 1, 2, 3, 4 };
	return called(vm);
}

int
__wrap_stats_of_vmm(int proc_fd, int cgroups, const struct vm *vm,
    struct vmm_stats_reply *reply)
{
	(void)cgroups;
	assert_int_equal(proc_fd, monitor.proc);
	assert_int_equal(vm->state, VM_RUNNING);
	reply->valid = STATS_CPU;
	reply->cpu_user_us = 5;
	return called(vm);
}

void
__wrap_network_close(struct network *network)
{
	network->ready = false;
	called(NULL);
}

/* As the last one asked for. */
static bool with_loop;

/* The VM that DISK is a part of, which has none yet. */
static struct vm *
without_disk(struct disk *disk)
{
	struct vm *vm = (struct vm *)(void *)((char *)disk -
	    offsetof(struct vm, disk));

	assert_int_equal(vm->state, VM_STAGED);
	assert_true(disk->fd < 0);
	return vm;
}

int
__wrap_disk_attach(const struct disk_host *host, struct disk *disk, int fd,
    bool loop, const char **what)
{
	assert_ptr_equal(host, &monitor.disks);
	with_loop = loop;
	assert_int_equal(check_file_fd(fd, WORKER, O_RDWR, 1, INT64_MAX), 0);
	*what = "loop device";
	if (called(without_disk(disk)) == 0)
		disk->fd = eventfd(0, EFD_CLOEXEC);
	return fail_with;
}

int
__wrap_disk_snapshot(const struct disk_host *host, struct disk *disk,
    uint64_t id, const int *fds, const struct snapshot_create_request *request,
    const char **what)
{
	assert_ptr_equal(host, &monitor.disks);
	assert_true(without_disk(disk)->id == id);
	assert_int_equal(check_file_fd(fds[SNAPSHOT_IMAGE], WORKER, O_RDONLY,
	    1, (off_t)request->disk_bytes), 0);
	assert_int_equal(check_file_fd(fds[SNAPSHOT_COW], WORKER, O_RDWR,
	    SNAPSHOT_COW_MIN, INT64_MAX), 0);
	*what = "snapshot";
	if (called(without_disk(disk)) == 0)
		disk->fd = eventfd(0, EFD_CLOEXEC);
	return fail_with;
}

int
__wrap_disk_status(const struct disk_host *host, uint64_t id,
    struct mapper_snapshot *status)
{
	assert_ptr_equal(host, &monitor.disks);
	*status = (struct mapper_snapshot){ 16, 4096, 8, true, false };
	return called(vm_find(&monitor.table, id));
}

int
__wrap_disk_release(const struct disk_host *host, struct disk *disk,
    uint64_t id)
{
	struct vm *vm = vm_find(&monitor.table, id);

	assert_ptr_equal(host, &monitor.disks);
	assert_ptr_equal(disk, &vm->disk);
	assert_true(vm->state != VM_RUNNING);
	disk_close(disk);
	return called(vm);
}

int
__wrap_stage_launch(struct monitor *m, struct vm *vm,
    const struct vmm_launch_request *request, const int *fds, int *stderr_fd)
{
	assert_ptr_equal(m, &monitor);
	assert_int_equal(vm->state, VM_STAGED);
	assert_true(vm->tap_fd >= 0);
	assert_int_equal(check_vm_size(request->vcpus, request->mem_mib), 0);
	assert_int_equal(check_file_fd(fds[LAUNCH_INITRD], WORKER, O_RDONLY, 1,
	    INT64_MAX), 0);
	assert_true(vm->disk.fd >= 0);
	if (called(vm) < 0)
		return op_error(m, fail_with, "jail: cannot be made");
	close_fdp(&vm->tap_fd);
	vm->vmm = request->vmm;
	vm->state = VM_RUNNING;
	vm->pid = 4711;
	vm->pidfd = eventfd(0, EFD_CLOEXEC);
	vm->run_fd = eventfd(0, EFD_CLOEXEC);
	*stderr_fd = eventfd(0, EFD_CLOEXEC);
	return 0;
}

int
__wrap_jail_connect(int run, uid_t uid, const char *name)
{
	struct vm *vm = &monitor.table.vms[uid - monitor.table.uid_base];

	assert_true(uid >= monitor.table.uid_base &&
	    uid < monitor.table.uid_base + SLOTS);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(run, vm->run_fd);
	assert_non_null(strstr(name, ".sock"));
	assert_null(strchr(name, '/'));
	return called(vm) < 0 ? fail_with : eventfd(0, EFD_CLOEXEC);
}

int
__wrap_jail_remove(int base, const char *name)
{
	const struct vm *vm;

	assert_int_equal(base, monitor.jails);
	assert_int_equal(strlen(name), VM_ID_HEX);
	vm = vm_find(&monitor.table, strtoull(name, NULL, 16));
	assert_non_null(vm);
	assert_true(vm->state != VM_RUNNING);
	return called(vm);
}

int
__wrap_proc_signal(int pidfd, int signal)
{
	uint32_t i;

	assert_true(signal == 0 || signal == SIGTERM || signal == SIGKILL);
	last_signal = signal;
	for (i = 0; i < SLOTS; i++)
		if (monitor.table.vms[i].state == VM_RUNNING &&
		    monitor.table.vms[i].pidfd == pidfd)
			return called(&monitor.table.vms[i]);
	fail_msg("signal %d to a pidfd of no VM", signal);
	return 0;
}

/* --- a monitor --- */

static int kernel_fd, initrd_fd, disk_fd, config_fd, image_fd, cow_fd;

static int
worker_file(const char *name, int flags)
{
	int fd;

	put_file(temp.fd, name, "contents", 8);
	assert_int_equal(fchownat(temp.fd, name, WORKER, WORKER, 0), 0);
	fd = openat(temp.fd, name, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int
set_size(const char *name, off_t size)
{
	_cleanup_close_ int fd = openat(temp.fd, name, O_WRONLY | O_CLOEXEC);

	return ftruncate(fd, size);
}

static int
set_up(void **state)
{
	int wire[2], orders[2];

	(void)state;
	begin_temp(&temp);
	kernel_fd = worker_file("kernel", O_RDONLY);
	initrd_fd = worker_file("initrd", O_RDONLY);
	disk_fd = worker_file("disk", O_RDWR);
	config_fd = worker_file("config", O_RDONLY);
	image_fd = worker_file("image", O_RDONLY);
	cow_fd = worker_file("cow", O_RDWR);
	assert_int_equal(set_size("image", IMAGE_BYTES), 0);
	assert_int_equal(ftruncate(cow_fd, SNAPSHOT_COW_MIN), 0);
	assert_int_equal(mkdirat(temp.fd, "records", 0700), 0);
	cfg = (struct config){ .state_dir = "/var/lib/banger",
		.bridge_name = "br-fc", .uid_base = WORKER, .uid_count = 7,
		.gateway = GATEWAY, .prefix = 24, .owner_gid = UINT32_MAX };
	monitor = (struct monitor){ .cfg = &cfg, .kvm = true, .cgroups = -1, .vmm = VMM_QEMU,
		.jails = temp.fd };
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    wire), 0);
	monitor.wire = wire[0];
	worker = wire[1];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, orders), 0);
	monitor.resolver = orders[0];
	resolver = orders[1];
	assert_int_equal(vm_table_init(&monitor.table, SLOTS, WORKER + 1,
	    openat(temp.fd, "records", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
	    0);
	monitor.net.ready = true;
	monitor.net.net = (struct ipv4_net){ GATEWAY, 24 };
	calls = 0;
	fail_with = 0;
	return 0;
}

static void
clear_table(void)
{
	uint32_t i;

	for (i = 0; i < SLOTS; i++) {
		struct vm *vm = &monitor.table.vms[i];

		if (vm->id != 0)
			vm_free(&monitor.table, vm);
	}
}

static int
tear_down(void **state)
{
	(void)state;
	clear_table();
	free(monitor.table.vms);
	close(monitor.table.records);
	close(monitor.wire);
	close(worker);
	close_fdp(&monitor.resolver);
	close(resolver);
	close(kernel_fd);
	close(initrd_fd);
	close(disk_fd);
	close(config_fd);
	close(image_fd);
	close(cow_fd);
	end_temp(&temp);
	return 0;
}

/* Whether VMs that are staged get one. */
static bool with_disk = true;

static void
add_vm(uint64_t id, uint32_t ipv4, enum vm_state state)
{
	struct vm *vm = vm_allocate(&monitor.table, id);

	assert_non_null(vm);
	vm->ipv4 = ipv4;
	vm->state = state;
	vm->vmm = VMM_QEMU;
	if (state == VM_STAGED) {
		vm->tap_fd = eventfd(0, EFD_CLOEXEC);
		if (with_disk)
			vm->disk.fd = eventfd(0, EFD_CLOEXEC);
	}
	if (state == VM_RUNNING) {
		vm->pid = 4711;
		vm->pidfd = eventfd(0, EFD_CLOEXEC);
		vm->run_fd = eventfd(0, EFD_CLOEXEC);
	}
}

/* The table with one VM in STATE and another that is of no concern. */
static void
put_state(enum vm_state state)
{
	clear_table();
	if (state != VM_ABSENT)
		add_vm(VM_ID, GUEST, state);
	add_vm(OTHER_ID, GUEST + 1, VM_RUNNING);
	monitor.net.ready = true;
	calls = 0;
	acted_on = 0;
	fail_with = 0;
}

/* The same, and the VM is as far as OP wants it: with a disk, or without. */
static void
put_state_for(uint32_t op, enum vm_state state)
{
	with_disk = op != OP_DISK_ATTACH && op != OP_SNAPSHOT_CREATE;
	put_state(state);
	with_disk = true;
}

/* --- requests --- */

static struct op_info
info_of(uint32_t op)
{
	struct op_info info;

	assert_int_equal(ops_info(op, &info), 0);
	return info;
}

/* A request as our worker would send it; its fds are copies. */
static void
good_request(uint32_t op, struct wire_record *record)
{
	const struct op_info info = info_of(op);
	const int launch[] = { kernel_fd, initrd_fd, config_fd };
	const int snapshot[] = { image_fd, cow_fd };
	const int *fds = op == OP_DISK_ATTACH ? &disk_fd :
	    op == OP_SNAPSHOT_CREATE ? snapshot : launch;
	void *body = record->bytes + sizeof(record->request);
	uint32_t i;

	memset(record, 0, sizeof(*record));
	record->len = sizeof(record->request) + info.request_len;
	record->request = (struct wire_request){ .op = op, .seq = 77,
		.len = info.request_len, .nfds = info.fds,
		.vm = info.states != 0 ? VM_ID : 0 };
	record->nfds = info.fds;
	assert_true(info.fds <= LAUNCH_FDS);
	for (i = 0; i < info.fds; i++)
		record->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
	switch ((enum op)op) {
	case OP_HELLO:
		((struct hello_request *)body)->version = WIRE_VERSION;
		break;
	case OP_TAP_CREATE:
		((struct tap_create_request *)body)->ipv4 = GUEST;
		break;
	case OP_NAT_SET:
		((struct nat_set_request *)body)->enabled = 1;
		break;
	case OP_DISK_ATTACH:
		((struct disk_attach_request *)body)->loop = 1;
		break;
	case OP_SNAPSHOT_CREATE:
		((struct snapshot_create_request *)body)->disk_bytes =
		    DISK_BYTES;
		break;
	case OP_VMM_LAUNCH:
		*(struct vmm_launch_request *)body =
		    (struct vmm_launch_request){ .vmm = VMM_QEMU, .vcpus = 2,
			.mem_mib = 512 };
		break;
	case OP_SOCKET_OPEN:
		*(struct socket_open_request *)body =
		    (struct socket_open_request){ SOCKET_STREAM,
			STREAM_PORTS - 1 };
		break;
	case OP_VMM_SIGNAL:
		((struct vmm_signal_request *)body)->signal = SIGTERM;
		break;
	case OP_SNAPSHOT_STATUS:
	case OP_SNAPSHOT_REMOVE:
	case OP_READY:
	case OP_VMM_LIST:
	case OP_BRIDGE_ENSURE:
	case OP_TAP_DELETE:
	case OP_VMM_FIND:
	case OP_VMM_ALIVE:
	case OP_VMM_KILL:
	case OP_JAIL_CLEANUP:
	case OP_VMM_STATS:
	case OP_RESOLVER_SET:
	case OP_RESOLVER_CLEAR:
		break;
	case OP_COUNT:
	case EVENT_VMM_EXIT:
		fail();
	}
}

/* Nothing reaches the resolver but the one op it was asked for, and no fd. */
static void
hear_resolver(uint32_t op)
{
	struct wire_record order;

	while (wire_recv(resolver, &order, MSG_DONTWAIT) > 0) {
		const struct wire_request only = { .op = op };

		called(NULL);
		assert_true(op == OP_RESOLVER_SET || op == OP_RESOLVER_CLEAR);
		assert_int_equal(order.nfds, 0);
		assert_int_equal(order.len, sizeof(only));
		assert_memory_equal(order.bytes, &only, sizeof(only));
	}
}

/* The result of dispatching RECORD; its reply, if any, in *REPLY (len 0). */
static int
dispatch(struct wire_record *record, struct wire_record *reply)
{
	int r, got;

	inputs++;
	r = ops_dispatch(&monitor, record);
	hear_resolver(record->request.op);
	wire_close_fds(record);
	got = wire_recv(worker, reply, MSG_DONTWAIT);
	if (got == -EAGAIN)
		reply->len = 0;
	else
		assert_int_equal(got, 1);
	return r;
}

/* Refused as no worker's: nothing said to it, nothing done. */
static void
expect_fatal(struct wire_record *record, const char *what)
{
	const uint32_t op = record->request.op;
	struct wire_record reply;
	unsigned int calls_before = calls;
	unsigned long lines_before = log_lines;

	if (dispatch(record, &reply) != -EBADMSG || reply.len != 0 ||
	    calls != calls_before)
		fail_msg("op %u: %s: not fatal", op, what);
	assert_true(log_lines > lines_before);
}

static void
expect_reply(struct wire_record *record, int status)
{
	const struct wire_request request = record->request;
	const struct op_info info = info_of(request.op);
	struct wire_record reply;
	int r = dispatch(record, &reply);

	if (r != 0 || reply.len < sizeof(reply.reply) ||
	    reply.reply.status != status)
		fail_msg("%s: result %d, status %d (%s), not %d", info.name, r,
		    reply.reply.status, reply.reply.error, status);
	assert_int_equal(reply.reply.op, request.op);
	assert_int_equal(reply.reply.seq, request.seq);
	assert_true(reply.reply.vm == request.vm);
	assert_int_equal(reply.reply.pad, 0);
	assert_int_equal(reply.reply.len, status < 0 ? 0 : info.reply_len);
	assert_int_equal(reply.len, sizeof(reply.reply) + reply.reply.len);
	assert_int_equal(reply.nfds, reply.reply.nfds);
	assert_int_equal(reply.nfds, status == 0 &&
	    (request.op == OP_VMM_LAUNCH || request.op == OP_SOCKET_OPEN));
	assert_true(memchr(reply.reply.error, '\0',
	    sizeof(reply.reply.error)) != NULL);
	/* An error that the user is told says what failed. */
	if (status < 0)
		assert_true(reply.reply.error[0] != '\0');
	wire_close_fds(&reply);
}

static int
expected_status(const struct op_info *info, enum vm_state state)
{
	if (info->states == 0 || (info->states & 1U << state) != 0)
		return 0;
	return state == VM_ABSENT ? -ENOENT :
	    state == VM_EXITED ? -ESRCH : -EBUSY;
}

/* --- tests --- */

static void
table_is_complete(void **state)
{
	struct op_info info;
	uint32_t op;

	(void)state;
	for (op = 0; op < OP_COUNT; op++) {
		assert_int_equal(ops_info(op, &info), 0);
		assert_non_null(info.name);
		assert_true(info.request_len + sizeof(struct wire_request) <=
		    WIRE_RECORD_MAX);
		assert_true(info.fds <= WIRE_FDS_MAX);
		assert_true(info.states < 1U << VM_STATES);
	}
	assert_int_equal(ops_info(OP_COUNT, &info), -ENOENT);
	assert_int_equal(ops_info(EVENT_VMM_EXIT, &info), -ENOENT);
	assert_int_equal(ops_info(UINT32_MAX, &info), -ENOENT);
}

static void
right_requests(void **state)
{
	uint32_t op, s;

	(void)state;
	for (op = 0; op < OP_COUNT; op++)
		for (s = VM_ABSENT; s < VM_STATES; s++) {
			const struct op_info info = info_of(op);
			struct wire_record record;
			int status = expected_status(&info, s);
			unsigned int fds;

			put_state_for(op, s);
			fds = count_fds();
			good_request(op, &record);
			expect_reply(&record, status);
			/* Refused in this state: nothing was done. */
			if (status < 0) {
				assert_int_equal(calls, 0);
				assert_int_equal(count_fds(), fds);
			}
			/* And never to another VM. */
			assert_true(acted_on != OTHER_ID);
		}
}

static void
wrong_sizes(void **state)
{
	static const int off_by[] = { -9, -8, -4, -1, 1, 4, 8, 64, 1024 };
	uint32_t op, s;
	size_t i;

	(void)state;
	for (op = 0; op < OP_COUNT; op++)
		for (s = VM_ABSENT; s < VM_STATES; s++) {
			const struct op_info info = info_of(op);
			struct wire_record record;
			size_t len;

			put_state(s);
			for (i = 0; i < ARRAY_SIZE(off_by); i++) {
				int to = (int)info.request_len + off_by[i];

				if (to < 0)
					continue;
				good_request(op, &record);
				record.request.len = (uint32_t)to;
				expect_fatal(&record, "len lies");
				good_request(op, &record);
				record.len = sizeof(record.request) +
				    (size_t)to;
				expect_fatal(&record, "record is longer or "
				    "shorter than len");
				good_request(op, &record);
				record.request.len = (uint32_t)to;
				record.len = sizeof(record.request) +
				    (size_t)to;
				expect_fatal(&record, "both");
			}
			for (len = 0; len < sizeof(record.request); len++) {
				good_request(op, &record);
				record.len = len;
				expect_fatal(&record, "less than a header");
			}
			good_request(op, &record);
			record.request.len = UINT32_MAX;
			expect_fatal(&record, "len 2^32-1");
			/* That wraps around to the right sum. */
			good_request(op, &record);
			record.request.len = info.request_len -
			    (uint32_t)sizeof(record.request);
			expect_fatal(&record, "len without the header");
			good_request(op, &record);
			record.len = WIRE_RECORD_MAX;
			expect_fatal(&record, "largest record");
		}
}

static void
wrong_numbers_of_fds(void **state)
{
	uint32_t op, s, count;

	(void)state;
	for (op = 0; op < OP_COUNT; op++)
		for (s = VM_ABSENT; s < VM_STATES; s++) {
			const struct op_info info = info_of(op);
			struct wire_record record;

			put_state(s);
			for (count = 0; count <= WIRE_FDS_MAX; count++) {
				if (count == info.fds)
					continue;
				good_request(op, &record);
				record.request.nfds = count;
				expect_fatal(&record, "nfds lies");
				good_request(op, &record);
				wire_close_fds(&record);
				while (record.nfds < count)
					record.fds[record.nfds++] =
					    fcntl(kernel_fd, F_DUPFD_CLOEXEC, 0);
				expect_fatal(&record, "fds beside nfds");
				good_request(op, &record);
				wire_close_fds(&record);
				record.request.nfds = count;
				while (record.nfds < count)
					record.fds[record.nfds++] =
					    fcntl(kernel_fd, F_DUPFD_CLOEXEC, 0);
				expect_fatal(&record, "both");
			}
			good_request(op, &record);
			record.request.nfds = UINT32_MAX;
			expect_fatal(&record, "nfds 2^32-1");
		}
}

static void
wrong_ids(void **state)
{
	static const uint64_t bad[] = { 0, VM_ID_MAX + 1, VM_ID | 1ULL << 48,
		VM_ID | 1ULL << 63, INT64_MAX, UINT64_MAX };
	uint32_t op, s;
	size_t i;

	(void)state;
	for (op = 0; op < OP_COUNT; op++)
		for (s = VM_ABSENT; s < VM_STATES; s++) {
			const struct op_info info = info_of(op);
			struct wire_record record;

			if (info.states == 0) {
				put_state(s);
				good_request(op, &record);
				record.request.vm = VM_ID;
				expect_fatal(&record, "VM of an op without");
				good_request(op, &record);
				record.request.vm = UINT64_MAX;
				expect_fatal(&record, "VM of an op without");
				continue;
			}
			put_state(s);
			for (i = 0; i < ARRAY_SIZE(bad); i++) {
				good_request(op, &record);
				record.request.vm = bad[i];
				expect_fatal(&record, "no VM id");
			}
			/* One that does not exist (but tap_create's address). */
			put_state(s);
			good_request(op, &record);
			record.request.vm = 0x123;
			if (op == OP_TAP_CREATE && s != VM_ABSENT)
				expect_reply(&record, -EADDRINUSE);
			else
				expect_reply(&record, expected_status(&info,
				    VM_ABSENT));
		}
}

/* The members that are padding, by op. */
static void
padding(void **state)
{
	static const struct {
		enum op op;
		size_t offset;
	} pads[] = {
		{ OP_HELLO, offsetof(struct hello_request, pad) },
		{ OP_TAP_CREATE, offsetof(struct tap_create_request, pad) },
		{ OP_NAT_SET, offsetof(struct nat_set_request, pad) },
		{ OP_DISK_ATTACH, offsetof(struct disk_attach_request, pad) },
		{ OP_SNAPSHOT_CREATE,
		    offsetof(struct snapshot_create_request, pad) },
		{ OP_VMM_LIST, offsetof(struct vmm_list_request, pad) },
		{ OP_VMM_SIGNAL, offsetof(struct vmm_signal_request, pad) },
	};
	uint32_t s, byte;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(pads); i++)
		for (s = VM_ABSENT; s < VM_STATES; s++) {
			put_state(s);
			for (byte = 0; byte < sizeof(uint32_t); byte++) {
				struct wire_record record;

				good_request(pads[i].op, &record);
				record.bytes[sizeof(record.request) +
				    pads[i].offset + byte] = 0x80;
				expect_fatal(&record, "padding");
			}
		}
}

/* Values that no worker of ours sends, whatever the state. */
static void
bad_values(void **state)
{
	static const struct {
		enum op op;
		size_t member;
		uint32_t value;
	} cases[] = {
		{ OP_HELLO, 0, 0 },
		{ OP_HELLO, 0, WIRE_VERSION + 1 },
		{ OP_HELLO, 0, UINT32_MAX },
		{ OP_TAP_CREATE, 0, 0 },
		{ OP_TAP_CREATE, 0, GATEWAY },
		{ OP_TAP_CREATE, 0, 0xac100000 },
		{ OP_TAP_CREATE, 0, 0xac1000ff },
		{ OP_TAP_CREATE, 0, 0xac100102 },
		{ OP_TAP_CREATE, 0, 0x7f000001 },
		{ OP_TAP_CREATE, 0, 0x020010ac },
		{ OP_TAP_CREATE, 0, UINT32_MAX },
		{ OP_NAT_SET, 0, 2 },
		{ OP_NAT_SET, 0, UINT32_MAX },
		{ OP_DISK_ATTACH, 0, 2 },
		{ OP_DISK_ATTACH, 0, UINT32_MAX },
		{ OP_SNAPSHOT_CREATE, 0, 0 },
		{ OP_SNAPSHOT_CREATE, 0, 4096 },	/* below the image */
		{ OP_SNAPSHOT_CREATE, 0, DISK_BYTES + 512 },
		{ OP_SNAPSHOT_CREATE, 0, DISK_BYTES - 1 },
		{ OP_SNAPSHOT_CREATE, 1, 1 << 14 },	/* 2^46 and 2^20 */
		{ OP_SNAPSHOT_CREATE, 1, UINT32_MAX },
		{ OP_VMM_LAUNCH, 0, 0 },
		{ OP_VMM_LAUNCH, 0, VMM_FIRECRACKER },
		{ OP_VMM_LAUNCH, 0, 3 },
		{ OP_VMM_LAUNCH, 1, 0 },
		{ OP_VMM_LAUNCH, 1, 3 },
		{ OP_VMM_LAUNCH, 1, VCPU_MAX + 2 },
		{ OP_VMM_LAUNCH, 1, UINT32_MAX },
		{ OP_VMM_LAUNCH, 2, MEM_MIB_MIN - 1 },
		{ OP_VMM_LAUNCH, 2, MEM_MIB_MAX + 1 },
		{ OP_VMM_LAUNCH, 2, UINT32_MAX },
		{ OP_VMM_LAUNCH, 3, 2 },
		{ OP_VMM_LAUNCH, 3, UINT32_MAX },
		{ OP_SNAPSHOT_CREATE, 2, 2 },
		{ OP_SNAPSHOT_CREATE, 2, UINT32_MAX },
		{ OP_SOCKET_OPEN, 0, SOCKET_KINDS },
		{ OP_SOCKET_OPEN, 0, UINT32_MAX },
		{ OP_SOCKET_OPEN, 0, SOCKET_CONSOLE },	/* with an index */
		{ OP_SOCKET_OPEN, 0, SOCKET_CONTROL },
		{ OP_SOCKET_OPEN, 0, SOCKET_VSOCK },
		{ OP_SOCKET_OPEN, 1, STREAM_PORTS },
		{ OP_SOCKET_OPEN, 1, UINT32_MAX },
		{ OP_VMM_LIST, 0, SLOTS + 1 },
		{ OP_VMM_LIST, 0, UINT32_MAX },
		{ OP_VMM_SIGNAL, 0, 0 },
		{ OP_VMM_SIGNAL, 0, SIGKILL },
		{ OP_VMM_SIGNAL, 0, SIGSTOP },
		{ OP_VMM_SIGNAL, 0, SIGHUP },
		{ OP_VMM_SIGNAL, 0, 64 },
		{ OP_VMM_SIGNAL, 0, UINT32_MAX },
	};
	uint32_t s;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		for (s = VM_ABSENT; s < VM_STATES; s++) {
			struct wire_record record;

			put_state(s);
			good_request(cases[i].op, &record);
			memcpy(record.bytes + sizeof(record.request) +
			    cases[i].member * sizeof(uint32_t),
			    &cases[i].value, sizeof(uint32_t));
			expect_fatal(&record, "value");
		}
}

static int
bad_fd(unsigned int kind)
{
	int fds[2];

	switch (kind) {
	case 0:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 1:
		return openat(temp.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 2:
		return openat(temp.fd, "kernel", O_PATH | O_CLOEXEC);
	case 3:
		return openat(temp.fd, "kernel", O_WRONLY | O_CLOEXEC);
	case 4:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case 5:
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		close(fds[1]);
		return fds[0];
	case 6:
		return eventfd(0, EFD_CLOEXEC);
	case 7:
		return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	case 8:
		return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	case 9:
		return memfd_create("empty", MFD_CLOEXEC);
	case 10:
		return openat(temp.fd, "disk", O_RDWR | O_APPEND | O_CLOEXEC);
	case 11:
		/* Half a sector: a loop device would lose it. */
		put_file(temp.fd, "odd", "contents", 8);
		assert_int_equal(fchownat(temp.fd, "odd", WORKER, WORKER, 0),
		    0);
		assert_int_equal(set_size("odd",
		    SNAPSHOT_COW_MIN + 100), 0);
		return openat(temp.fd, "odd", O_RDWR | O_CLOEXEC);
	case 12:
		return -1;			/* taken, or closed */
	default:
		return -2;
	}
}

static void
try_bad_fd(enum op op, enum vm_state state, unsigned int place,
    unsigned int kind)
{
	struct wire_record record;
	unsigned int fds;
	int fd;

	put_state(state);
	fds = count_fds();
	good_request(op, &record);
	fd = bad_fd(kind);
	close(record.fds[place]);
	record.fds[place] = fd;
	/* Sizes matter to loop devices only. */
	if (kind == 11 && op == OP_DISK_ATTACH)
		wire_close_fds(&record);
	else
		expect_fatal(&record, "fd");
	assert_int_equal(count_fds(), fds);
}

static void
bad_fds(void **state)
{
	static const enum op ops[] = { OP_DISK_ATTACH, OP_SNAPSHOT_CREATE,
		OP_VMM_LAUNCH };
	unsigned int kind, place;
	uint32_t s;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		for (s = VM_ABSENT; s < VM_STATES; s++)
			for (place = 0; place < info_of(ops[i]).fds; place++)
				for (kind = 0; kind <= 12; kind++)
					try_bad_fd(ops[i], s, place, kind);
}

/* A file open for reading where one is written, and the reverse. */
static void
exchanged_fds(void **state)
{
	struct wire_record record;
	unsigned int place;
	int fd;

	(void)state;
	put_state(VM_STAGED);
	for (place = 0; place < LAUNCH_FDS; place++) {
		good_request(OP_VMM_LAUNCH, &record);
		close(record.fds[place]);
		record.fds[place] = fcntl(disk_fd, F_DUPFD_CLOEXEC, 0);
		expect_fatal(&record, "a disk in a launch");
	}
	good_request(OP_DISK_ATTACH, &record);
	close(record.fds[0]);
	record.fds[0] = fcntl(kernel_fd, F_DUPFD_CLOEXEC, 0);
	expect_fatal(&record, "a kernel as a disk");
	good_request(OP_SNAPSHOT_CREATE, &record);
	fd = record.fds[SNAPSHOT_IMAGE];
	record.fds[SNAPSHOT_IMAGE] = record.fds[SNAPSHOT_COW];
	record.fds[SNAPSHOT_COW] = fd;
	expect_fatal(&record, "image and COW file exchanged");
}

static void
unknown_ops(void **state)
{
	static const uint32_t ops[] = { OP_COUNT, OP_COUNT + 1, 0xff,
		EVENT_VMM_EXIT, EVENT_VMM_EXIT + 1, 0xffff, 1U << 31,
		UINT32_MAX };
	uint32_t s;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		for (s = VM_ABSENT; s < VM_STATES; s++) {
			struct wire_record record;

			put_state(s);
			good_request(OP_VMM_KILL, &record);
			record.request.op = ops[i];
			expect_fatal(&record, "unknown op");
		}
}

/* What the ops are made of fails: an error reply, and no half VM. */
static void
failing_actions(void **state)
{
	static const enum op ops[] = { OP_BRIDGE_ENSURE, OP_TAP_CREATE,
		OP_TAP_DELETE, OP_NAT_SET, OP_DISK_ATTACH, OP_SNAPSHOT_CREATE,
		OP_SNAPSHOT_STATUS, OP_SNAPSHOT_REMOVE, OP_VMM_LAUNCH,
		OP_SOCKET_OPEN, OP_VMM_SIGNAL, OP_VMM_KILL, OP_JAIL_CLEANUP };
	static const int errors[] = { -EPERM, -ENOMEM, -ENOSPC, -EEXIST,
		-EADDRINUSE, -EMFILE };
	uint32_t s;
	size_t i, e;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		for (e = 0; e < ARRAY_SIZE(errors); e++)
			for (s = VM_ABSENT; s < VM_STATES; s++) {
				const struct op_info info = info_of(ops[i]);
				struct wire_record record;
				unsigned int fds;

				if (expected_status(&info, s) != 0)
					continue;
				put_state_for(ops[i], s);
				fds = count_fds();
				fail_with = errors[e];
				good_request(ops[i], &record);
				expect_reply(&record, errors[e]);
				assert_int_equal(
				    vm_find(&monitor.table, VM_ID) != NULL,
				    s != VM_ABSENT);
				if (s != VM_STAGED)
					assert_int_equal(count_fds(), fds);
			}
}

/* A resolver that does not read: the monitor does not wait for it. */
static void
resolver_busy(void)
{
	struct wire_record record, reply;
	unsigned int sent = 0;

	while (send(monitor.resolver, "", 1, MSG_DONTWAIT) == 1)
		sent++;
	good_request(OP_RESOLVER_SET, &record);
	assert_int_equal(ops_dispatch(&monitor, &record), 0);
	assert_int_equal(wire_recv(worker, &reply, MSG_DONTWAIT), 1);
	assert_int_equal(reply.reply.status, -EAGAIN);
	assert_non_null(strstr(reply.reply.error, "resolver: "));
	while (wire_recv(resolver, &record, MSG_DONTWAIT) == 1)
		sent--;
	assert_int_equal(sent, 0);
}

static void
special_cases(void **state)
{
	struct wire_record record;
	uint32_t i;

	(void)state;
	/* No network yet: too early, not malformed. */
	put_state(VM_ABSENT);
	monitor.net.ready = false;
	good_request(OP_TAP_CREATE, &record);
	expect_reply(&record, -ENETDOWN);
	assert_int_equal(calls, 0);
	/* Another VM's address. */
	put_state(VM_ABSENT);
	good_request(OP_TAP_CREATE, &record);
	((struct tap_create_request *)(void *)(record.bytes +
	    sizeof(record.request)))->ipv4 = GUEST + 1;
	expect_reply(&record, -EADDRINUSE);
	/* Every slot in use. */
	put_state(VM_ABSENT);
	for (i = 1; i < SLOTS; i++)
		add_vm(1000 + i, GUEST + 10 + i, VM_EXITED);
	good_request(OP_TAP_CREATE, &record);
	expect_reply(&record, -EUSERS);
	assert_int_equal(calls, 0);
	/* No VMM on this host. */
	put_state(VM_STAGED);
	strcpy(monitor.vmm_problem, "qemu: not found");
	good_request(OP_VMM_LAUNCH, &record);
	expect_reply(&record, -ENOENT);
	monitor.vmm_problem[0] = '\0';
	/* Its tap went with the last daemon. */
	put_state(VM_STAGED);
	close_fdp(&vm_find(&monitor.table, VM_ID)->tap_fd);
	good_request(OP_VMM_LAUNCH, &record);
	expect_reply(&record, -ESTALE);
	assert_int_equal(calls, 0);
	/* No disk, one already, one that goes twice. */
	with_disk = false;
	put_state(VM_STAGED);
	good_request(OP_VMM_LAUNCH, &record);
	expect_reply(&record, -ENODEV);
	assert_int_equal(calls, 0);
	with_loop = false;
	good_request(OP_DISK_ATTACH, &record);
	expect_reply(&record, 0);
	assert_true(with_loop);
	good_request(OP_DISK_ATTACH, &record);
	expect_reply(&record, -EEXIST);
	good_request(OP_SNAPSHOT_CREATE, &record);
	expect_reply(&record, -EEXIST);
	assert_int_equal(calls, 1);
	for (i = 0; i < 2; i++) {
		good_request(OP_SNAPSHOT_REMOVE, &record);
		expect_reply(&record, 0);
	}
	good_request(OP_SNAPSHOT_CREATE, &record);
	expect_reply(&record, 0);
	with_disk = true;
	/* Nobody to tell; one that is busy; one that has gone. */
	put_state(VM_ABSENT);
	i = (uint32_t)monitor.resolver;
	monitor.resolver = -1;
	good_request(OP_RESOLVER_SET, &record);
	expect_reply(&record, -ENOENT);
	monitor.resolver = (int)i;
	resolver_busy();
	shutdown(resolver, SHUT_RDWR);
	good_request(OP_RESOLVER_CLEAR, &record);
	expect_reply(&record, -EPIPE);
	/* The record cannot be written: no VM, and no tap. */
	put_state(VM_ABSENT);
	i = (uint32_t)monitor.table.records;
	monitor.table.records = -1;
	good_request(OP_TAP_CREATE, &record);
	expect_reply(&record, -EBADF);
	monitor.table.records = (int)i;
	assert_null(vm_find(&monitor.table, VM_ID));
}

/* The ids that a worker names are never mixed up, whatever the order. */
static void
two_vms(void **state)
{
	struct wire_record record;
	uint32_t op, s;

	(void)state;
	for (op = 0; op < OP_COUNT; op++)
		for (s = VM_ABSENT; s < VM_STATES; s++) {
			const struct op_info info = info_of(op);

			if (info.states == 0)
				continue;
			put_state(s);
			good_request(op, &record);
			record.request.vm = OTHER_ID;
			if (op == OP_TAP_CREATE)
				expect_reply(&record, -EBUSY);
			else
				expect_reply(&record, expected_status(&info,
				    VM_RUNNING));
			assert_true(acted_on == 0 || acted_on == OTHER_ID);
			/* The other one is as it was. */
			assert_int_equal(vm_find(&monitor.table, VM_ID) != NULL ?
			    vm_find(&monitor.table, VM_ID)->state : VM_ABSENT,
			    s);
		}
}

/* A whole life, with every op refused that is out of order. */
static void
life(void **state)
{
	struct wire_record record;
	unsigned int fds;

	(void)state;
	clear_table();
	monitor.net.ready = false;
	fds = count_fds();
	good_request(OP_HELLO, &record);
	expect_reply(&record, 0);
	good_request(OP_BRIDGE_ENSURE, &record);
	expect_reply(&record, 0);
	good_request(OP_VMM_LAUNCH, &record);
	expect_reply(&record, -ENOENT);
	good_request(OP_TAP_CREATE, &record);
	expect_reply(&record, 0);
	good_request(OP_TAP_CREATE, &record);
	expect_reply(&record, -EBUSY);
	good_request(OP_SOCKET_OPEN, &record);
	expect_reply(&record, -EBUSY);
	good_request(OP_VMM_LAUNCH, &record);
	expect_reply(&record, -ENODEV);
	good_request(OP_SNAPSHOT_CREATE, &record);
	expect_reply(&record, 0);
	good_request(OP_VMM_LAUNCH, &record);
	expect_reply(&record, 0);
	good_request(OP_VMM_LAUNCH, &record);
	expect_reply(&record, -EBUSY);
	good_request(OP_SNAPSHOT_REMOVE, &record);
	expect_reply(&record, -EBUSY);
	good_request(OP_SNAPSHOT_STATUS, &record);
	expect_reply(&record, 0);
	good_request(OP_TAP_DELETE, &record);
	expect_reply(&record, -EBUSY);
	good_request(OP_JAIL_CLEANUP, &record);
	expect_reply(&record, -EBUSY);
	taps_removed = 0;
	last_signal = 0;
	good_request(OP_VMM_KILL, &record);
	expect_reply(&record, 0);
	assert_int_equal(taps_removed, 1);
	{
		const struct vmm_exit_event event = { 1, -9 };
		struct wire_record reply;

		monitor_vmm_gone(&monitor, vm_find(&monitor.table, VM_ID),
		    &event);
		assert_int_equal(wire_recv(worker, &reply, 0), 1);
		assert_int_equal(reply.reply.op, EVENT_VMM_EXIT);
	}
	good_request(OP_VMM_KILL, &record);
	expect_reply(&record, -ESRCH);
	assert_int_equal(taps_removed, 1);
	good_request(OP_VMM_LAUNCH, &record);
	expect_reply(&record, -ESRCH);
	good_request(OP_JAIL_CLEANUP, &record);
	expect_reply(&record, 0);
	good_request(OP_TAP_DELETE, &record);
	expect_reply(&record, 0);
	/* The last one took the network away. */
	assert_false(monitor.net.ready);
	good_request(OP_TAP_DELETE, &record);
	expect_reply(&record, -ENOENT);
	assert_int_equal(count_fds(), fds);
}

/* --- random sequences --- */

static uint64_t seed;

static uint32_t
random_below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

static void
check_table(void)
{
	uint32_t i, j;

	for (i = 0; i < SLOTS; i++) {
		const struct vm *vm = &monitor.table.vms[i];

		if (vm->id == 0)
			continue;
		assert_int_equal(check_vm_id(vm->id), 0);
		assert_int_equal(check_guest_ipv4(vm->ipv4, GATEWAY, 24), 0);
		assert_true(vm->state > VM_ABSENT && vm->state < VM_STATES);
		assert_int_equal(vm->state == VM_RUNNING, vm->pidfd >= 0);
		for (j = 0; j < i; j++)
			assert_true(monitor.table.vms[j].id == 0 ||
			    (monitor.table.vms[j].id != vm->id &&
			    monitor.table.vms[j].ipv4 != vm->ipv4));
	}
}

/* Mostly right, of few ids, so that states change; one thing spoilt at times. */
static void
random_request(struct wire_record *record)
{
	uint32_t op = random_below(OP_COUNT);

	good_request(op, record);
	if (record->request.vm != 0)
		record->request.vm = VM_ID + random_below(SLOTS + 2);
	if (op == OP_TAP_CREATE)
		record->bytes[sizeof(record->request)] =
		    (uint8_t)(2 + random_below(8));
	switch (random_below(12)) {
	case 0:
		record->bytes[random_below((uint32_t)record->len)] ^=
		    (uint8_t)(1U << random_below(8));
		break;
	case 1:
		record->len = random_below(WIRE_RECORD_MAX + 1);
		break;
	case 2:
		wire_close_fds(record);
		break;
	default:
		break;
	}
	if (random_below(20) == 0)
		fail_with = -(int)(1 + random_below(100));
}

static void
random_sequences(void **state)
{
	unsigned int fds, done = 0, refused = 0, fatals = 0, i;

	(void)state;
	seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
	print_message("seed %llu\n", (unsigned long long)seed);
	clear_table();
	fds = count_fds();
	for (i = 0; i < RANDOM_RECORDS; i++) {
		struct wire_record record, reply;
		struct vm *vm = &monitor.table.vms[random_below(SLOTS)];
		int r;

		fail_with = 0;
		random_request(&record);
		r = dispatch(&record, &reply);
		assert_true(r == 0 || (r == -EBADMSG && reply.len == 0));
		fatals += r < 0;
		refused += r == 0 && reply.reply.status < 0;
		done += r == 0 && reply.reply.status == 0;
		wire_close_fds(&reply);
		if (random_below(8) == 0 && vm->state == VM_RUNNING) {
			const struct vmm_exit_event event = { 0, 0 };

			monitor_vmm_gone(&monitor, vm, &event);
			assert_int_equal(wire_recv(worker, &reply, 0), 1);
		}
		if (i % 64 == 0)
			check_table();
	}
	clear_table();
	assert_int_equal(count_fds(), fds);
	print_message("%u records: %u done, %u refused, %u fatal\n", i, done,
	    refused, fatals);
	assert_true(done > 1000 && refused > 1000 && fatals > 1000);
}

static int
summary(void **state)
{
	(void)state;
	print_message("%d ops x %d states: %lu inputs\n", OP_COUNT, VM_STATES,
	    inputs);
	return 0;
}

#define ops_unit_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_complete),
		ops_unit_test(right_requests),
		ops_unit_test(wrong_sizes),
		ops_unit_test(wrong_numbers_of_fds),
		ops_unit_test(wrong_ids),
		ops_unit_test(padding),
		ops_unit_test(bad_values),
		ops_unit_test(bad_fds),
		ops_unit_test(exchanged_fds),
		ops_unit_test(unknown_ops),
		ops_unit_test(failing_actions),
		ops_unit_test(special_cases),
		ops_unit_test(two_vms),
		ops_unit_test(life),
		ops_unit_test(random_sequences),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "needs root: files of another owner\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, summary);
}
