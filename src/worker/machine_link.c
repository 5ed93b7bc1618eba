/*
 * The one place that knows what a VMM connects us by. What it writes of itself is
 * watched: a console, and Firecracker's metrics. The link to its guest's agent is
 * asked for: QEMU has a socket for every channel, named by what it is for;
 * Firecracker has one socket, and a connection to it says where it goes.
 */
#include "privsep/log.h"
#include "worker/machine.h"

/* An agent that lent a stream listens: this is for a VMM that hangs. */
enum { STREAM_DIAL_TIMEOUT_MS = 5000 };

static bool
over_vsock(const struct machine *m)
{
	return m->row.vmm == VMM_FIRECRACKER;
}

/* A VMM that an older daemon started has none: without a word. */
static void
watch_metrics(struct machine *m)
{
	int fd, r = mon_socket_open(&m->w->mon, m->row.id, SOCKET_METRICS, 0,
	    &fd);

	if (r == 0)
		r = metrics_attach(&m->metrics, &m->w->events, fd);
	if (r < 0 && r != -ENOENT)
		log_warn("VM %s: metrics: %s", m->row.name,
		    mon_error(&m->w->mon, r));
}

int
machine_watch(struct machine *m)
{
	int fd, r;

	if (m->console.sock >= 0)
		return 0;
	r = mon_socket_open(&m->w->mon, m->row.id, SOCKET_CONSOLE, 0, &fd);
	if (r == 0)
		r = console_attach(&m->console, &m->w->events, fd);
	if (r == 0 && m->row.vmm == VMM_FIRECRACKER)
		watch_metrics(m);
	return r;
}

int
machine_link(struct machine *m)
{
	bool vsock = over_vsock(m);
	int fd, r;

	if (agent_link_active(&m->link))
		return 0;
	r = mon_socket_open(&m->w->mon, m->row.id, vsock ? SOCKET_VSOCK :
	    SOCKET_CONTROL, 0, &fd);
	if (r < 0)
		return r;
	return vsock ? agent_link_dial(&m->link, fd) :
	    agent_link_start(&m->link, fd);
}

void
machine_stream(struct machine *m, uint32_t port, struct vsock_dial *dial,
    void (*fn)(void *arg, int fd), void *arg)
{
	bool vsock = over_vsock(m);
	int fd, r;

	r = mon_socket_open(&m->w->mon, m->row.id, vsock ? SOCKET_VSOCK :
	    SOCKET_STREAM, vsock ? 0 : port, &fd);
	if (r == 0 && vsock)
		r = vsock_dial_start(dial, &m->w->events, fd,
		    AGENT_VSOCK_STREAM, STREAM_DIAL_TIMEOUT_MS, fn, arg);
	else if (r == 0)
		r = fd;
	/* Success of the former is told by the event loop. */
	if (r < 0 || !vsock)
		fn(arg, r);
}

/* What KERNEL lacks for VMM, or NULL. */
static const char *
lacks(uint32_t vmm, const struct kernel_row *kernel)
{
	if (vmm == VMM_FIRECRACKER)
		return kernel->vsock ? NULL : "vsock, by which a guest of "
		    "Firecracker is reached";
	if (!kernel->acpi)
		return "ACPI, by which a guest of QEMU finds its devices";
	return kernel->pvh || kernel->vmlinuz_bytes > 0 ? NULL :
	    "PVH entry point, at which QEMU starts a vmlinux";
}

int
machine_check_kernel(const char *machine, uint32_t vmm,
    const struct kernel_row *kernel, struct failure *f)
{
	const char *what = lacks(vmm, kernel);

	if (what == NULL)
		return 0;
	return failure_set(f, FAIL_INVALID, "VM %s: kernel %s: has no %s; "
	    "import another, or set vmm to %s", machine, kernel->name, what,
	    vmm == VMM_FIRECRACKER ? "qemu" : "firecracker");
}
