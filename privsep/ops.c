/*
 * The boundary. A worker that was taken over can send anything; this is all
 * that it gets: the rows of one table. Dispatch compares sizes, fds, padding
 * and the VM's state with the row, then runs the row's check, which changes
 * nothing, then its action, which gets only what was checked. A request that
 * no worker of ours would send ends the worker; one that is merely too late
 * (the VM died meanwhile) is an error reply.
 *
 * Identity is the connection: there is one worker, and the fd it has. No path,
 * name, uid, pid or interface ever comes from it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "privsep/cgroup.h"
#include "privsep/check.h"
#include "privsep/log.h"
#include "privsep/monitor.h"
#include "privsep/stats.h"
#include "privsep/util.h"

/* A request on its way through the table. */
struct call {
	struct monitor *monitor;
	struct vm *vm;			/* NULL for VM_ABSENT and ops without VM */
	uint64_t id;
	const void *body;
	struct wire_record *record;
	void *reply;			/* zeroed, the row's reply size */
	int reply_fd;			/* -1, or an fd to pass; taken */
};

#define IN(state) (1U << (state))
#define ANY_STATE (IN(VM_STATES) - 1)

struct op_row {
	const char *name;
	uint32_t request_len;
	uint32_t reply_len;
	uint32_t fds;			/* exactly that many come with it */
	uint32_t states;		/* legal ones; 0: concerns no VM */
	int (*check)(const struct call *call);
	int (*act)(struct call *call);
};

int
op_error(struct monitor *monitor, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(monitor->error, sizeof(monitor->error), fmt, ap);
	va_end(ap);
	return error;
}

static int
check_hello(const struct call *call)
{
	const struct hello_request *request = call->body;

	return request->version == WIRE_VERSION && request->pad == 0 ? 0 :
	    -EINVAL;
}

static int
act_hello(struct call *call)
{
	const struct config *cfg = call->monitor->cfg;
	struct hello_reply *reply = call->reply;

	reply->worker_uid = cfg->uid_base;
	reply->owner_uid = cfg->owner_uid;
	reply->owner_gid = cfg->owner_gid;
	reply->embedded = call->monitor->embedded;
	reply->kvm = call->monitor->kvm;
	reply->vmm = (uint32_t)call->monitor->vmm;
	reply->default_vcpus = cfg->default_vcpus;
	reply->default_mem_mib = cfg->default_mem_mib;
	reply->default_dns = cfg->default_dns;
	reply->vm_max = call->monitor->table.max;
	reply->log_level = cfg->log_level;
	reply->snapshots = disk_snapshots(&call->monitor->disks);
	reply->dns_ipv4 = call->monitor->names ? cfg->dns_ipv4 : 0;
	reply->dns_port = call->monitor->names ? cfg->dns_port : 0;
	reply->start_timeout_ms = cfg->start_timeout_s * 1000;
	reply->default_disk_bytes = cfg->default_disk_bytes;
	reply->image_max_bytes = cfg->image_max_bytes;
	if (format(reply->store, sizeof(reply->store), "%s/store",
	    cfg->state_dir) < 0)
		return -ENAMETOOLONG;
	memcpy(reply->default_image, cfg->default_image,
	    sizeof(reply->default_image));
	memcpy(reply->default_kernel, cfg->default_kernel,
	    sizeof(reply->default_kernel));
	return 0;
}

static int
check_nothing(const struct call *call)
{
	(void)call;
	return 0;
}

static int
act_bridge_ensure(struct call *call)
{
	struct monitor *monitor = call->monitor;
	const struct config *cfg = monitor->cfg;
	struct bridge_ensure_reply *reply = call->reply;
	int r = network_ensure(&monitor->net, &monitor->table);

	if (r == -EEXIST)
		return op_error(monitor, r, "bridge %s: a link of that name "
		    "exists and is not banger's: remove it or set bridge_name",
		    cfg->bridge_name);
	if (r == -EADDRINUSE)
		return op_error(monitor, r, "bridge %s: the host uses its "
		    "subnet already: set another cidr", cfg->bridge_name);
	if (r < 0)
		return op_error(monitor, r, "bridge %s: %s", cfg->bridge_name,
		    strerror(-r));
	reply->gateway = monitor->net.net.addr;
	reply->prefix = monitor->net.net.prefix;
	reply->moved = reply->gateway != cfg->gateway;
	return 0;
}

static int
check_tap_create(const struct call *call)
{
	const struct tap_create_request *request = call->body;
	const struct network *net = &call->monitor->net;

	if (request->pad != 0)
		return -EINVAL;
	return !net->ready ? 0 :
	    check_guest_ipv4(request->ipv4, net->net.addr, net->net.prefix);
}

static bool
address_in_use(const struct vm_table *table, uint32_t ipv4)
{
	uint32_t i;

	for (i = 0; i < table->max; i++)
		if (table->vms[i].id != 0 && table->vms[i].ipv4 == ipv4)
			return true;
	return false;
}

static int
act_tap_create(struct call *call)
{
	const struct tap_create_request *request = call->body;
	struct tap_create_reply *reply = call->reply;
	struct monitor *monitor = call->monitor;
	char tap[LINK_NAME_BYTES];
	struct vm *vm;
	int r;

	vm_tap_name(call->id, tap);
	if (!monitor->net.ready)
		return op_error(monitor, -ENETDOWN, "tap %s: no bridge yet",
		    tap);
	if (address_in_use(&monitor->table, request->ipv4))
		return op_error(monitor, -EADDRINUSE, "tap %s: address in use",
		    tap);
	vm = vm_allocate(&monitor->table, call->id);
	if (vm == NULL)
		return op_error(monitor, -EUSERS, "tap %s: all %u user ids "
		    "are in use", tap, monitor->table.max);
	vm->ipv4 = request->ipv4;
	r = vm_save(&monitor->table, vm);
	if (r == 0)
		r = network_add(&monitor->net, &monitor->table, vm);
	if (r < 0) {
		(void)network_remove(&monitor->net, vm);
		vm_free(&monitor->table, vm);
		return op_error(monitor, r, "tap %s: %s", tap, strerror(-r));
	}
	vm_mac(vm->ipv4, reply->mac);
	vm_tap_name(vm->id, reply->tap);
	return 0;
}

static int
act_jail_cleanup(struct call *call)
{
	char name[VM_ID_HEX + 1];
	int r;

	vm_name(call->id, name);
	r = jail_remove(call->monitor->jails, name);
	if (r < 0)
		return op_error(call->monitor, r, "jail %s: %s", name,
		    strerror(-r));
	r = call->monitor->cgroups < 0 ? 0 :
	    cgroup_remove(call->monitor->cgroups, name);
	if (r < 0)
		return op_error(call->monitor, r, "cgroup %s: %s", name,
		    strerror(-r));
	return 0;
}

/* Result of a step with the VM's disk; WHAT is named when R is an error. */
static int
disk_result(struct call *call, int r, const char *what)
{
	char name[VM_ID_HEX + 1];

	vm_name(call->id, name);
	return r < 0 ? op_error(call->monitor, r, "%s of VM %s: %s", what, name,
	    strerror(-r)) : 0;
}

static int
act_snapshot_remove(struct call *call)
{
	return disk_result(call, disk_release(&call->monitor->disks,
	    &call->vm->disk, call->id), "disk");
}

static int
act_tap_delete(struct call *call)
{
	struct monitor *monitor = call->monitor;
	char tap[LINK_NAME_BYTES];
	int r;

	/* With the VM goes its uid: nothing of it may stay. */
	r = act_jail_cleanup(call);
	if (r == 0)
		r = act_snapshot_remove(call);
	if (r < 0)
		return r;
	vm_tap_name(call->id, tap);
	r = network_remove(&monitor->net, call->vm);
	if (r < 0)
		return op_error(monitor, r, "tap %s: %s", tap, strerror(-r));
	vm_free(&monitor->table, call->vm);
	return 0;
}

static int
check_nat_set(const struct call *call)
{
	const struct nat_set_request *request = call->body;

	return request->enabled <= 1 && request->pad == 0 ? 0 : -EINVAL;
}

static int
act_nat_set(struct call *call)
{
	const struct nat_set_request *request = call->body;
	bool before = call->vm->nat;
	int r = network_nat(&call->monitor->net, call->vm, request->enabled);

	if (r == 0 && before != call->vm->nat)
		r = vm_save(&call->monitor->table, call->vm);
	if (r < 0)
		return op_error(call->monitor, r, "NAT: %s", strerror(-r));
	return 0;
}

static int
check_disk_attach(const struct call *call)
{
	const struct disk_attach_request *request = call->body;

	if (request->loop > 1 || request->pad != 0)
		return -EINVAL;
	return check_file_fd(call->record->fds[0],
	    call->monitor->cfg->uid_base, O_RDWR, 1, INT64_MAX);
}

/* A VM has one disk, made once. */
static int
no_disk_yet(struct call *call)
{
	char name[VM_ID_HEX + 1];

	vm_name(call->id, name);
	return call->vm->disk.fd >= 0 ? op_error(call->monitor, -EEXIST,
	    "disk of VM %s: it has one already", name) : 0;
}

static int
act_disk_attach(struct call *call)
{
	const struct disk_attach_request *request = call->body;
	const char *what;
	int r = no_disk_yet(call);

	if (r < 0)
		return r;
	r = disk_attach(&call->monitor->disks, &call->vm->disk,
	    call->record->fds[0], request->loop != 0, &what);
	return disk_result(call, r, what);
}

static int
check_snapshot_create(const struct call *call)
{
	const struct snapshot_create_request *request = call->body;
	uid_t worker = call->monitor->cfg->uid_base;
	const int *fds = call->record->fds;

	if (request->transient > 1 || request->pad != 0 ||
	    check_disk_size(request->disk_bytes) < 0 ||
	    check_file_fd(fds[SNAPSHOT_IMAGE], worker, O_RDONLY, 1,
	    (off_t)request->disk_bytes) < 0 ||
	    check_file_fd(fds[SNAPSHOT_COW], worker, O_RDWR, SNAPSHOT_COW_MIN,
	    INT64_MAX) < 0 || check_sectors_fd(fds[SNAPSHOT_IMAGE]) < 0 ||
	    check_sectors_fd(fds[SNAPSHOT_COW]) < 0)
		return -EINVAL;
	return 0;
}

static int
act_snapshot_create(struct call *call)
{
	const struct snapshot_create_request *request = call->body;
	struct monitor *monitor = call->monitor;
	char name[VM_ID_HEX + 1];
	const char *what;
	int r = no_disk_yet(call);

	if (r < 0)
		return r;
	r = disk_snapshot(&monitor->disks, &call->vm->disk, call->id,
	    call->record->fds, request, &what);
	if (r != -EEXIST)
		return disk_result(call, r, what);
	vm_name(call->id, name);
	return op_error(monitor, r, "fc-rootfs-%s: a device of that name "
	    "exists and is not banger's: remove it", name);
}

static int
act_snapshot_status(struct call *call)
{
	struct snapshot_status_reply *reply = call->reply;
	struct mapper_snapshot status;
	char name[VM_ID_HEX + 1];
	int r = disk_status(&call->monitor->disks, call->id, &status);

	vm_name(call->id, name);
	if (r < 0)
		return op_error(call->monitor, r, "snapshot of VM %s: %s",
		    name, strerror(-r));
	reply->used_sectors = status.used_sectors;
	reply->total_sectors = status.total_sectors;
	reply->metadata_sectors = status.metadata_sectors;
	reply->invalid = status.invalid;
	reply->overflow = status.overflow;
	return 0;
}

static int
check_vmm_launch(const struct call *call)
{
	const struct vmm_launch_request *request = call->body;
	uid_t worker = call->monitor->cfg->uid_base;
	const int *fds = call->record->fds;

	if (request->api > 1 || request->vmm != call->monitor->vmm ||
	    check_vm_size(request->vcpus, request->mem_mib) < 0)
		return -EINVAL;
	if (check_file_fd(fds[LAUNCH_KERNEL], worker, O_RDONLY, 1,
	    1 << 30) < 0 ||
	    check_file_fd(fds[LAUNCH_INITRD], worker, O_RDONLY, 1,
	    1 << 30) < 0 ||
	    check_file_fd(fds[LAUNCH_CONFIG], worker, O_RDONLY, 1,
	    LAUNCH_CONFIG_MAX) < 0)
		return -EINVAL;
	return 0;
}

static int
act_vmm_launch(struct call *call)
{
	struct monitor *monitor = call->monitor;

	if (monitor->vmm_problem[0] != '\0')
		return op_error(monitor, -ENOENT, "%s", monitor->vmm_problem);
	/* Adopted VMs have no tap fd; neither has one launched before. */
	if (call->vm->tap_fd < 0)
		return op_error(monitor, -ESTALE, "tap: is gone");
	if (call->vm->disk.fd < 0)
		return op_error(monitor, -ENODEV, "disk: the VM has none yet");
	return stage_launch(monitor, call->vm, call->body, call->record->fds,
	    &call->reply_fd);
}

static int
check_socket_open(const struct call *call)
{
	const struct socket_open_request *request = call->body;

	if (request->socket >= SOCKET_KINDS)
		return -EINVAL;
	return request->index < (request->socket == SOCKET_STREAM ?
	    STREAM_PORTS : 1) ? 0 : -EINVAL;
}

static int
act_socket_open(struct call *call)
{
	static const char *const names[SOCKET_KINDS] = {
		[SOCKET_CONSOLE] = "console.sock",
		[SOCKET_CONTROL] = "ctl.sock",
		[SOCKET_API] = "api.sock",
		[SOCKET_VSOCK] = "vsock.sock",
		[SOCKET_METRICS] = "metrics",
	};
	const struct socket_open_request *request = call->body;
	uid_t uid = vm_uid(&call->monitor->table, call->vm);
	bool console = request->socket == SOCKET_CONSOLE &&
	    call->vm->vmm == VMM_FIRECRACKER;
	bool fifo = console || request->socket == SOCKET_METRICS;
	char vm[VM_ID_HEX + 1], name[32];
	int fd;

	if (request->socket == SOCKET_STREAM)
		snprintf(name, sizeof(name), "%u.sock", request->index);
	else
		snprintf(name, sizeof(name), "%s", console ? "console" :
		    names[request->socket]);
	vm_name(call->id, vm);
	fd = fifo ? jail_open_fifo(call->vm->run_fd, uid, name) :
	    jail_connect(call->vm->run_fd, uid, name);
	if (fd < 0)
		return op_error(call->monitor, fd, "socket %s of VM %s: %s",
		    name, vm, strerror(-fd));
	call->reply_fd = fd;
	return 0;
}

static int
check_vmm_list(const struct call *call)
{
	const struct vmm_list_request *request = call->body;

	return request->pad == 0 &&
	    request->slot <= call->monitor->table.max ? 0 : -EINVAL;
}

static int
act_vmm_list(struct call *call)
{
	const struct vmm_list_request *request = call->body;
	const struct vm_table *vms = &call->monitor->table;
	struct vmm_list_reply *reply = call->reply;
	uint32_t i;

	for (i = request->slot; i < vms->max; i++)
		if (vms->vms[i].id != 0) {
			reply->id = vms->vms[i].id;
			reply->state = (uint32_t)vms->vms[i].state;
			reply->next = i + 1;
			break;
		}
	return 0;
}

static int
act_vmm_find(struct call *call)
{
	struct vmm_find_reply *reply = call->reply;
	const struct vm *vm = call->vm;

	if (vm == NULL)
		return 0;
	reply->state = (uint32_t)vm->state;
	reply->vmm = vm->vmm;
	reply->ipv4 = vm->ipv4;
	reply->nat = vm->nat;
	reply->pid = vm->state == VM_RUNNING ? vm->pid : 0;
	reply->uid = vm_uid(&call->monitor->table, vm);
	return 0;
}

static int
act_vmm_alive(struct call *call)
{
	struct vmm_alive_reply *reply = call->reply;

	reply->alive = call->vm != NULL && call->vm->state == VM_RUNNING &&
	    proc_signal(call->vm->pidfd, 0) == 0;
	return 0;
}

static int
check_vmm_signal(const struct call *call)
{
	const struct vmm_signal_request *request = call->body;

	return request->signal == SIGTERM && request->pad == 0 ? 0 : -EINVAL;
}

static int
send_signal(struct call *call, int signal)
{
	int r = proc_signal(call->vm->pidfd, signal);

	return r < 0 ? op_error(call->monitor, r, "signal %d to the VMM: %s",
	    signal, strerror(-r)) : 0;
}

static int
act_vmm_signal(struct call *call)
{
	return send_signal(call, SIGTERM);
}

static int
act_vmm_kill(struct call *call)
{
	return send_signal(call, SIGKILL);
}

static int
act_vmm_stats(struct call *call)
{
	struct monitor *monitor = call->monitor;
	struct vmm_stats_reply *reply = call->reply;
	struct link_stats tap;
	int r = stats_of_vmm(monitor->proc, monitor->cgroups,
	    call->vm, reply);

	if (r < 0)
		return op_error(monitor, r, "numbers of the VMM: %s",
		    strerror(-r));
	if (network_stats(&monitor->net, call->vm, &tap) == 0) {
		reply->tap_rx_packets = tap.rx_packets;
		reply->tap_rx_bytes = tap.rx_bytes;
		reply->tap_tx_packets = tap.tx_packets;
		reply->tap_tx_bytes = tap.tx_bytes;
		reply->valid |= STATS_TAP;
	}
	return 0;
}

/* From the worker, once it serves: what a service manager waits for. */
static int
act_ready(struct call *call)
{
	monitor_status(call->monitor);
	return 0;
}

/*
 * The worker only says that now is the time: what is set comes from the
 * configuration. Passed on without waiting for anything; the resolver logs what
 * became of it.
 */
static int
act_resolver(struct call *call)
{
	struct monitor *monitor = call->monitor;
	const struct wire_request order = { .op = call->record->request.op };
	int r;

	if (monitor->resolver < 0)
		return op_error(monitor, -ENOENT, "resolvectl: not found, or "
		    "not root's own: install it, or set resolvectl_bin");
	r = wire_send(monitor->resolver, &order, sizeof(order), NULL, 0, NULL,
	    0);
	if (r < 0)
		return op_error(monitor, r, "resolver: %s", strerror(-r));
	return 0;
}

#define SIZES(request, reply) sizeof(struct request), sizeof(struct reply)

static const struct op_row table[OP_COUNT] = {
	[OP_HELLO] = { "hello", SIZES(hello_request, hello_reply), 0, 0,
	    check_hello, act_hello },
	[OP_READY] = { "ready", SIZES(wire_empty, wire_empty), 0, 0,
	    check_nothing, act_ready },
	[OP_BRIDGE_ENSURE] = { "bridge_ensure",
	    SIZES(wire_empty, bridge_ensure_reply), 0, 0, check_nothing,
	    act_bridge_ensure },
	[OP_TAP_CREATE] = { "tap_create",
	    SIZES(tap_create_request, tap_create_reply), 0, IN(VM_ABSENT),
	    check_tap_create, act_tap_create },
	[OP_TAP_DELETE] = { "tap_delete", SIZES(wire_empty, wire_empty), 0,
	    IN(VM_STAGED) | IN(VM_EXITED), check_nothing, act_tap_delete },
	[OP_NAT_SET] = { "nat_set", SIZES(nat_set_request, wire_empty), 0,
	    IN(VM_STAGED) | IN(VM_RUNNING), check_nat_set, act_nat_set },
	[OP_DISK_ATTACH] = { "disk_attach",
	    SIZES(disk_attach_request, wire_empty), 1, IN(VM_STAGED),
	    check_disk_attach, act_disk_attach },
	[OP_SNAPSHOT_CREATE] = { "snapshot_create",
	    SIZES(snapshot_create_request, wire_empty), SNAPSHOT_FDS,
	    IN(VM_STAGED), check_snapshot_create, act_snapshot_create },
	[OP_SNAPSHOT_STATUS] = { "snapshot_status",
	    SIZES(wire_empty, snapshot_status_reply), 0,
	    IN(VM_STAGED) | IN(VM_RUNNING) | IN(VM_EXITED), check_nothing,
	    act_snapshot_status },
	[OP_SNAPSHOT_REMOVE] = { "snapshot_remove",
	    SIZES(wire_empty, wire_empty), 0, IN(VM_STAGED) | IN(VM_EXITED),
	    check_nothing, act_snapshot_remove },
	[OP_VMM_LAUNCH] = { "vmm_launch",
	    SIZES(vmm_launch_request, wire_empty), LAUNCH_FDS, IN(VM_STAGED),
	    check_vmm_launch, act_vmm_launch },
	[OP_SOCKET_OPEN] = { "socket_open",
	    SIZES(socket_open_request, wire_empty), 0, IN(VM_RUNNING),
	    check_socket_open, act_socket_open },
	[OP_VMM_LIST] = { "vmm_list",
	    SIZES(vmm_list_request, vmm_list_reply), 0, 0, check_vmm_list,
	    act_vmm_list },
	[OP_VMM_FIND] = { "vmm_find", SIZES(wire_empty, vmm_find_reply), 0,
	    ANY_STATE, check_nothing, act_vmm_find },
	[OP_VMM_ALIVE] = { "vmm_alive", SIZES(wire_empty, vmm_alive_reply), 0,
	    ANY_STATE, check_nothing, act_vmm_alive },
	[OP_VMM_SIGNAL] = { "vmm_signal",
	    SIZES(vmm_signal_request, wire_empty), 0, IN(VM_RUNNING),
	    check_vmm_signal, act_vmm_signal },
	[OP_VMM_KILL] = { "vmm_kill", SIZES(wire_empty, wire_empty), 0,
	    IN(VM_RUNNING), check_nothing, act_vmm_kill },
	[OP_JAIL_CLEANUP] = { "jail_cleanup", SIZES(wire_empty, wire_empty), 0,
	    IN(VM_STAGED) | IN(VM_EXITED), check_nothing, act_jail_cleanup },
	[OP_VMM_STATS] = { "vmm_stats", SIZES(wire_empty, vmm_stats_reply), 0,
	    IN(VM_RUNNING), check_nothing, act_vmm_stats },
	[OP_RESOLVER_SET] = { "resolver_set", SIZES(wire_empty, wire_empty), 0,
	    0, check_nothing, act_resolver },
	[OP_RESOLVER_CLEAR] = { "resolver_clear",
	    SIZES(wire_empty, wire_empty), 0, 0, check_nothing, act_resolver },
};

int
ops_info(uint32_t op, struct op_info *info)
{
	if (op >= OP_COUNT)
		return -ENOENT;
	*info = (struct op_info){ .name = table[op].name,
		.request_len = table[op].request_len,
		.reply_len = table[op].reply_len, .fds = table[op].fds,
		.states = table[op].states };
	return 0;
}

static int
malformed(const struct wire_record *record, const char *why)
{
	log_error("worker sent a malformed request: %s (op %u, %zu bytes, "
	    "%u fds)", why, record->len >= sizeof(record->request) ?
	    record->request.op : 0, record->len, record->nfds);
	return -EBADMSG;
}

/* Compares the record with its row. The row, or NULL and said why. */
static const struct op_row *
match(const struct wire_record *record)
{
	const struct wire_request *request = &record->request;
	const struct op_row *row;

	if (record->len < sizeof(*request) || request->op >= OP_COUNT) {
		malformed(record, "unknown op");
		return NULL;
	}
	row = &table[request->op];
	if (request->len != row->request_len ||
	    record->len != sizeof(*request) + row->request_len) {
		malformed(record, "wrong size");
		return NULL;
	}
	if (request->nfds != row->fds || record->nfds != row->fds) {
		malformed(record, "wrong number of fds");
		return NULL;
	}
	if (row->states == 0 ? request->vm != 0 :
	    check_vm_id(request->vm) < 0) {
		malformed(record, "bad VM id");
		return NULL;
	}
	return row;
}

static int
send_reply(struct call *call, const struct op_row *row, int status)
{
	const struct wire_request *request = &call->record->request;
	struct wire_reply reply = { .op = request->op, .seq = request->seq,
		.vm = request->vm, .status = status };

	/* The worker decides whether anybody needs to hear of it. */
	if (status < 0) {
		memcpy(reply.error, call->monitor->error, sizeof(reply.error));
	} else {
		reply.len = row->reply_len;
		reply.nfds = call->reply_fd >= 0;
	}
	return wire_send(call->monitor->wire, &reply, sizeof(reply),
	    call->reply, reply.len, &call->reply_fd, reply.nfds);
}

/*
 * After the reply with STATUS, because the kernel takes its time: a VMM that is
 * killed takes as long to die as its tap to go; the bridge goes with the last VM,
 * also with one that never had a tap.
 */
static void
afterwards(struct call *call, int status)
{
	struct monitor *monitor = call->monitor;
	int r;

	switch (call->record->request.op) {
	case OP_VMM_KILL:
		r = status < 0 ? 0 : network_remove(&monitor->net, call->vm);
		if (r < 0)
			log_warn("tap of a VM that was killed: %s",
			    strerror(-r));
		break;
	case OP_TAP_DELETE:
		if (monitor->net.ready && vm_table_empty(&monitor->table))
			network_close(&monitor->net);
		break;
	}
}

int
ops_dispatch(struct monitor *monitor, struct wire_record *record)
{
	union {
		struct hello_reply hello;
		struct tap_create_reply tap;
		struct vmm_find_reply find;
		struct bridge_ensure_reply bridge;
		struct vmm_stats_reply stats;
	} reply = { 0 };
	struct call call = { .monitor = monitor, .record = record,
		.body = record->bytes + sizeof(struct wire_request),
		.reply = &reply, .reply_fd = -1 };
	const struct op_row *row = match(record);
	enum vm_state state;
	int r, sent;

	if (row == NULL)
		return -EBADMSG;
	call.id = record->request.vm;
	call.vm = vm_find(&monitor->table, call.id);
	state = call.vm != NULL ? call.vm->state : VM_ABSENT;
	if (row->check(&call) < 0)
		return malformed(record, "bad request");
	memset(monitor->error, 0, sizeof(monitor->error));
	if (row->states != 0 && (row->states & IN(state)) == 0)
		r = op_error(monitor, state == VM_ABSENT ? -ENOENT :
		    state == VM_EXITED ? -ESRCH : -EBUSY,
		    "%s: not possible in this state of the VM", row->name);
	else
		r = row->act(&call);
	sent = send_reply(&call, row, r);
	close_fdp(&call.reply_fd);
	afterwards(&call, r);
	return sent;
}

int
ops_send_exit(struct monitor *monitor, uint64_t vm,
    const struct vmm_exit_event *event)
{
	struct wire_reply header = { .op = EVENT_VMM_EXIT,
		.len = sizeof(*event), .vm = vm };

	return wire_send(monitor->wire, &header, sizeof(header), event,
	    sizeof(*event), NULL, 0);
}
