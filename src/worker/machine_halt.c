/*
 * What Firecracker needs beside its agent: requests to its API, such as a key to
 * press when the agent is not there to be asked, and an eye on the console,
 * because a guest that powers itself off leaves it running with stopped
 * processors.
 */
#include <string.h>
#include <sys/socket.h>

#include "privsep/log.h"
#include "vmm/driver.h"
#include "worker/machine.h"

enum { HALT_PING_MS = 400 };

void
machine_api_close(struct machine *m)
{
	event_io_stop(&m->api_io);
	close_fdp(&m->api_fd);
}

/* The answer, of which there is nothing to be learnt: the guest decides. */
static void
on_answer(void *arg, uint32_t ready UNUSED)
{
	machine_api_close(arg);
}

/*
 * A VM that is deleted at its end has nothing to save, and is better off without
 * the API: the stack of its thread moves the guest's memory away from a huge
 * page's border, and kernels before 6.7 then map it in pages of 4 KiB.
 */
bool
machine_has_keys(const struct machine *m)
{
	return m->row.vmm == VMM_FIRECRACKER && !m->row.rm;
}

/* Sends REQUEST to the API of M's VMM, in place of one under way. 0 or -errno. */
static int
api_send(struct machine *m, const char *request)
{
	size_t len = strlen(request);
	int r;

	if (!machine_has_keys(m))
		return -ENOTSUP;
	machine_api_close(m);
	r = mon_socket_open(&m->w->mon, m->row.id, SOCKET_API, 0, &m->api_fd);
	if (r == 0 && send(m->api_fd, request, len,
	    MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		r = -EIO;
	/* A connection that is closed at once takes its request with it. */
	if (r == 0)
		r = event_io_start(&m->w->events, &m->api_io, m->api_fd,
		    EPOLLIN, on_answer, m);
	if (r < 0)
		machine_api_close(m);
	return r;
}

int
machine_ctrl_alt_del(struct machine *m)
{
	return api_send(m, firecracker_ctrl_alt_del());
}

void
machine_flush_metrics(struct machine *m)
{
	if (m->api_fd < 0 && m->metrics.fd >= 0)
		(void)api_send(m, firecracker_flush_metrics());
}

static void
halted(void *arg)
{
	struct machine *m = arg;

	m->halting = false;
	if (m->ended || (m->row.state != MACHINE_RUNNING &&
	    m->row.state != MACHINE_STOPPING))
		return;
	log_info("VM %s: its guest has halted", m->row.name);
	m->halted = true;
	machine_end(m, false, NULL);
}

void
machine_halting(void *arg)
{
	struct machine *m = arg;

	if (m->row.vmm != VMM_FIRECRACKER || m->halting || m->killing)
		return;
	m->halting = true;
	(void)agent_link_ping(&m->link);
	event_timer_set(&m->w->events, &m->halt, HALT_PING_MS, halted, m);
}

void
machine_alive(struct machine *m)
{
	m->halting = false;
	event_timer_clear(&m->halt);
}
