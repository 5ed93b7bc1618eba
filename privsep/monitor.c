/*
 * The monitor's loop: the worker's requests, the launcher's reports, the ends
 * of adopted VMMs, and the signals that end the daemon.
 */
#include "privsep/monitor.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "privsep/log.h"
#include "privsep/util.h"

enum { WORKER_END_MS = 10000 };

/* What an epoll event is about: a VM's slot, or one of these. */
enum source { FROM_WIRE = -4, FROM_LAUNCHER, FROM_WORKER, FROM_SIGNALS };

static int
watch(const struct monitor *monitor, int fd, int64_t source)
{
	struct epoll_event event = { .events = EPOLLIN,
		.data = { .u64 = (uint64_t)source } };

	return epoll_ctl(monitor->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ?
	    -errno : 0;
}

int
monitor_watch(struct monitor *monitor, struct vm *vm)
{
	return watch(monitor, vm->pidfd, vm - monitor->table.vms);
}

void
monitor_vmm_gone(struct monitor *monitor, struct vm *vm,
    const struct vmm_exit_event *event)
{
	char name[VM_ID_HEX + 1];
	int r;

	vm_name(vm->id, name);
	log_debug("VMM of VM %s has ended", name);
	close_fdp(&vm->pidfd);
	close_fdp(&vm->run_fd);
	vm->pidfd = vm->run_fd = -1;
	disk_close_fd(&vm->disk);
	vm->pid = 0;
	vm->state = VM_EXITED;
	r = vm_save(&monitor->table, vm);
	if (r < 0)
		log_error("record of VM %s: %s", name, strerror(-r));
	/* One that missed it asks vmm_find when it is back. */
	if (ops_send_exit(monitor, vm->id, event) < 0)
		(void)proc_signal(monitor->worker, SIGKILL);
}

void
monitor_launcher_event(struct monitor *monitor,
    const struct wire_record *record)
{
	struct vmm_exit_event event;
	struct vm *vm;

	if (record->len != sizeof(record->reply) + sizeof(event) ||
	    record->reply.op != EVENT_VMM_EXIT)
		fatal("launcher sent an unknown message");
	memcpy(&event, record->bytes + sizeof(record->reply), sizeof(event));
	vm = vm_find(&monitor->table, record->reply.vm);
	if (vm != NULL && vm->state == VM_RUNNING)
		monitor_vmm_gone(monitor, vm, &event);
}

static void
serve_launcher(struct monitor *monitor)
{
	struct wire_record record;

	if (wire_recv(monitor->launcher, &record, 0) <= 0 ||
	    record.len < sizeof(record.reply))
		fatal("launcher is gone");
	monitor_launcher_event(monitor, &record);
	wire_close_fds(&record);
}

/*
 * Ends a worker that broke the rules, or that does not want to be served any
 * more (harmless when it is exiting); its exit is then seen by the loop.
 */
static void
serve_worker(struct monitor *monitor)
{
	struct wire_record record;
	int r = wire_recv(monitor->wire, &record, 0);

	if (r > 0) {
		r = ops_dispatch(monitor, &record);
		wire_close_fds(&record);
		if (r == 0)
			return;
	}
	if (r < 0)
		log_error("worker ended: %s", strerror(-r));
	(void)proc_signal(monitor->worker, SIGKILL);
	(void)epoll_ctl(monitor->epoll, EPOLL_CTL_DEL, monitor->wire, NULL);
}

/* The worker's exit status, as the daemon's. */
static int
worker_status(const struct monitor *monitor)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid((idtype_t)P_PIDFD, (id_t)monitor->worker, &info,
	    WEXITED) < 0)
		return 1;
	if (info.si_code == CLD_EXITED && info.si_status == 0)
		return 0;
	log_error("worker ended unexpectedly (%s %d)",
	    info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	return 1;
}

static void
serve_signal(struct monitor *monitor)
{
	struct signalfd_siginfo info;

	if (read(monitor->signals, &info, sizeof(info)) !=
	    (ssize_t)sizeof(info))
		return;
	log_info("ending, VMs go on");
	(void)notify_send(&monitor->notify, "STOPPING=1");
	(void)proc_signal(monitor->worker, SIGTERM);
	monitor->end_ms = monotonic_ms() + WORKER_END_MS;
}

/* The disks' locks against udev go as soon as its rule is in force. */
static void
unlock_disks(struct monitor *monitor)
{
	uint32_t i;

	for (i = 0; i < monitor->table.max; i++)
		if (monitor->table.vms[i].id != 0)
			disk_unlock(&monitor->table.vms[i].disk);
	monitor->disks.udev_ms = 0;
}

/* Does what is due; the time until there is more to do, or -1. */
static int
do_due(struct monitor *monitor)
{
	const int64_t now = monotonic_ms();
	int64_t next = INT64_MAX;

	if (monitor->disks.udev_ms != 0 && monitor->disks.udev_ms <= now)
		unlock_disks(monitor);
	if (monitor->disks.udev_ms != 0)
		next = monitor->disks.udev_ms;
	/* A worker that does not end when told to is ended. */
	if (monitor->end_ms != 0 && monitor->end_ms <= now)
		(void)proc_signal(monitor->worker, SIGKILL);
	else if (monitor->end_ms != 0 && monitor->end_ms < next)
		next = monitor->end_ms;
	return next == INT64_MAX ? -1 : (int)(next - now);
}

static uint32_t
count_running(const struct vm_table *table)
{
	uint32_t i, count = 0;

	for (i = 0; i < table->max; i++)
		count += table->vms[i].id != 0 &&
		    table->vms[i].state == VM_RUNNING;
	return count;
}

void
monitor_status(struct monitor *monitor)
{
	bool first = !monitor->ready;
	uint32_t count;
	int r;

	monitor->ready = true;
	if (monitor->notify.len == 0)
		return;
	count = count_running(&monitor->table);
	if (!first && count == monitor->told)
		return;
	monitor->told = count;
	r = notify_send(&monitor->notify, "%sSTATUS=%u VM%s running",
	    first ? "READY=1\n" : "", count, count == 1 ? "" : "s");
	if (r < 0)
		log_warn("service manager: cannot be told: %s", strerror(-r));
}

static void
serve_vmm(struct monitor *monitor, struct vm *vm)
{
	static const struct vmm_exit_event unknown;

	if (vm->state == VM_RUNNING && vm->adopted)
		monitor_vmm_gone(monitor, vm, &unknown);
}

int
monitor_loop(struct monitor *monitor)
{
	int r = watch(monitor, monitor->wire, FROM_WIRE);

	if (r == 0)
		r = watch(monitor, monitor->launcher, FROM_LAUNCHER);
	if (r == 0)
		r = watch(monitor, monitor->worker, FROM_WORKER);
	if (r == 0)
		r = watch(monitor, monitor->signals, FROM_SIGNALS);
	if (r < 0)
		fatal("event loop: %s", strerror(-r));
	for (;;) {
		struct epoll_event event;
		int64_t source;

		if (epoll_wait(monitor->epoll, &event, 1,
		    do_due(monitor)) <= 0)
			continue;
		source = (int64_t)event.data.u64;
		if (source == FROM_WIRE)
			serve_worker(monitor);
		else if (source == FROM_LAUNCHER)
			serve_launcher(monitor);
		else if (source == FROM_SIGNALS)
			serve_signal(monitor);
		else if (source == FROM_WORKER)
			return worker_status(monitor);
		else
			serve_vmm(monitor, &monitor->table.vms[source]);
		if (monitor->ready)
			monitor_status(monitor);
	}
}
