/*
 * The way down, the same for all reasons. What is held is released in the
 * order of its use: agent and VMM, jail, tap; the row goes last, so that a
 * crash in between leaves a row that can be ended, or deleted, once more.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "privsep/log.h"
#include "vmm/driver.h"
#include "worker/machine_disk.h"

enum {
	KILL_PATIENCE_MS = 10 * 1000,
	/* Of a stop's time, kept for the VMM to end after its guest. */
	STOP_RESERVE_MS = 1000,
	STOP_GREETING_MS = 2000,
	SAID_MAX = 512,
	SAID_READS = 8,			/* at the end; it may not stop talking */
};

/* ---- what the VMM says ---- */

/* The line that has come together, without what could steer a terminal. */
static void
end_line(struct machine *m)
{
	size_t i;

	m->saying[m->saying_len] = '\0';
	m->saying_len = 0;
	if (m->saying[0] == '\0' || vmm_line_is_noise(m->saying))
		return;
	for (i = 0; m->saying[i] != '\0'; i++)
		if ((unsigned char)m->saying[i] < 0x20 ||
		    (unsigned char)m->saying[i] >= 0x7f)
			m->saying[i] = '?';
	memcpy(m->said, m->saying, sizeof(m->said));
	console_note(&m->console, m->said);
}

/*
 * Takes what is there of the VMM's standard error; QEMU writes a line in
 * pieces. False at its end.
 */
static bool
hear(struct machine *m)
{
	char text[SAID_MAX];
	ssize_t n = read(m->said_fd, text, sizeof(text)), i;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	for (i = 0; i < n; i++)
		if (text[i] == '\n')
			end_line(m);
		else if (m->saying_len < sizeof(m->saying) - 1)
			m->saying[m->saying_len++] = text[i];
	return true;
}

static void
on_said(void *arg, uint32_t ready UNUSED)
{
	struct machine *m = arg;

	if (hear(m))
		return;
	end_line(m);
	event_io_stop(&m->said_io);
	close_fdp(&m->said_fd);
}

void
machine_listen(struct machine *m, int fd)
{
	machine_hear_out(m);
	m->said_fd = fd;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    event_io_start(&m->w->events, &m->said_io, fd, EPOLLIN, on_said,
	    m) < 0) {
		log_warn("VM %s: its VMM's errors are not heard",
		    m->row.name);
		close_fdp(&m->said_fd);
	}
}

void
machine_hear_out(struct machine *m)
{
	int reads;

	if (m->said_fd < 0)
		return;
	for (reads = 0; reads < SAID_READS && hear(m); reads++)
		;
	end_line(m);
	event_io_stop(&m->said_io);
	close_fdp(&m->said_fd);
}

/* ---- the end ---- */

void
machine_release_net(struct machine *m)
{
	struct mon *mon = &m->w->mon;
	int r = mon_tap_delete(mon, m->row.id);

	/* Without a tap yet it is the bridge that may be the last's. */
	if (r < 0 && r != -ENOENT)
		log_error("VM %s: %s", m->row.name, mon_error(mon, r));
	m->held &= ~(unsigned int)HELD_NET;
}

static void
release(struct machine *m)
{
	struct mon *mon = &m->w->mon;
	int r;

	if (m->held & HELD_VMM) {
		r = mon_jail_cleanup(mon, m->row.id);
		if (r < 0 && r != -ENOENT)
			log_error("VM %s: %s", m->row.name,
			    mon_error(mon, r));
	}
	if (m->held & HELD_NET) {
		machine_disk_look(m);
		machine_release_net(m);
	}
	m->held = 0;
	m->pid = 0;
}

void
machine_give_back(struct machine *m)
{
	console_close(&m->console);
	metrics_close(&m->metrics);
	machine_hear_out(m);
	release(m);
}

/* Files first, row last. 0 or -errno: the row is still there. */
static int
remove_stored(const struct machine *m)
{
	static const char *const suffixes[] = { "disk", "cow", "console", "json",
		"volatile" };
	struct store *store = &m->w->store;
	char id[VM_ID_HEX + 1];
	size_t i;
	int r;

	if (!m->stored)
		return 0;
	machine_id_text(m->row.id, id);
	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		r = store_remove(store, STORE_VMS, id, suffixes[i]);
		if (r < 0)
			return r;
	}
	return m->row.rm ? 0 : store_sync(store, STORE_VMS);
}

static void
finish(void *arg)
{
	struct machine *m = arg;
	struct worker *w = m->w;
	struct machine_told told = { .news = NEWS_ENDED };
	int r;

	event_timer_clear(&m->deadline);
	machine_give_back(m);
	m->row.state = MACHINE_STOPPED;
	m->row.restart_needed = false;
	m->step = STEP_NONE;
	told.gone = m->doomed || m->row.rm || (m->failed && m->fresh);
	if (m->failed) {
		told.f = &m->failure;
		log_warn("%s", m->failure.text);
	}
	if (told.gone && (r = remove_stored(m)) < 0) {
		log_error("VM %s: cannot be deleted: %s", m->row.name,
		    strerror(-r));
		told.gone = m->doomed = false;
	}
	if (!told.gone)
		(void)machine_save(m);
	log_info("VM %s: %s", m->row.name, told.gone ? "deleted" : "stopped");
	machine_tell(m, &told);
	if (told.gone) {
		while (!list_empty(&m->waiters))
			machine_wait_end(list_entry(m->waiters.next,
			    struct machine_waiter, node));
		machine_free(m);
	}
	worker_settle(w);
}

static void
still_there(void *arg)
{
	struct machine *m = arg;

	log_error("VM %s: its VMM has not ended %d s after SIGKILL",
	    m->row.name, KILL_PATIENCE_MS / 1000);
}

bool
machine_kill_vmm(struct machine *m)
{
	int r;

	if ((m->held & HELD_VMM) == 0 || m->ended)
		return false;
	if (m->killing)
		return true;
	r = mon_vmm_kill(&m->w->mon, m->row.id);
	if (r < 0 && r != -ESRCH) {
		log_error("VM %s: %s", m->row.name, mon_error(&m->w->mon, r));
		return false;
	}
	m->killing = true;
	event_timer_set(&m->w->events, &m->deadline, KILL_PATIENCE_MS,
	    still_there, m);
	return true;
}

/* Keeps why M is being ended, the first reason only. */
static void
keep_reason(struct machine *m, const struct failure *f)
{
	if (m->failure.code != FAIL_NONE)
		return;
	if (f == NULL) {
		failure_set(&m->failure, FAIL_STATE, "VM %s: was ended before it "
		    "was running", m->row.name);
		return;
	}
	m->failure = *f;
	m->failure.console = f->console != NULL ? strdup(f->console) : NULL;
}

void
machine_end(struct machine *m, bool delete, const struct failure *f)
{
	m->doomed = m->doomed || delete;
	if (m->row.state == MACHINE_STARTING) {
		m->failed = true;
		keep_reason(m, f);
		(void)format(m->row.last_error, sizeof(m->row.last_error),
		    "%.*s", (int)sizeof(m->row.last_error) - 1,
		    m->failure.text);
	}
	if (m->row.state != MACHINE_STOPPED)
		m->row.state = MACHINE_STOPPING;
	m->step = STEP_NONE;
	event_task_clear(&m->begin);
	event_timer_clear(&m->retry);
	event_timer_clear(&m->deadline);
	machine_alive(m);
	machine_api_close(m);
	machine_drop_jobs(m);
	agent_link_stop(&m->link);
	if (!machine_kill_vmm(m))
		event_task_post(&m->w->events, &m->finish, finish, m);
}

static void
stop_too_late(void *arg)
{
	struct machine *m = arg;

	log_info("VM %s: does not stop, killing it", m->row.name);
	machine_end(m, false, NULL);
}

/* No agent to ask: Ctrl-Alt-Del, and time to answer it, if there are keys. */
static void
stop_without_agent(struct machine *m)
{
	int r = machine_ctrl_alt_del(m);

	if (r == 0) {
		log_info("VM %s: has no agent to ask, pressed Ctrl-Alt-Del",
		    m->row.name);
		return;
	}
	log_info("VM %s: has no agent to ask, killing it", m->row.name);
	machine_end(m, false, NULL);
}

static void
not_greeted(void *arg)
{
	stop_without_agent(arg);
}

int
machine_ask(struct machine *m)
{
	int64_t left_ms = m->stop_by_ms - monotonic_ms() - STOP_RESERVE_MS;
	int r = agent_link_shutdown(&m->link,
	    left_ms > 0 ? (uint32_t)left_ms : 0);

	if (r == 0)
		event_timer_clear(&m->retry);
	return r;
}

void
machine_stop(struct machine *m, uint32_t timeout_ms)
{
	m->row.state = MACHINE_STOPPING;
	m->asked = true;
	m->stop_by_ms = monotonic_ms() + timeout_ms;
	/* A short time is halved between the guest and its VMM. */
	if (timeout_ms <= 2 * STOP_RESERVE_MS)
		m->stop_by_ms += STOP_RESERVE_MS - timeout_ms / 2;
	event_timer_set(&m->w->events, &m->deadline, timeout_ms,
	    stop_too_late, m);
	if (machine_ask(m) == 0)
		return;
	/* A daemon that has just started may not have greeted it yet. */
	if (agent_link_active(&m->link))
		event_timer_set(&m->w->events, &m->retry, STOP_GREETING_MS,
		    not_greeted, m);
	else
		stop_without_agent(m);
}

/* The words for an exit that nobody here caused. */
static void
describe_status(const struct machine *m, const struct vmm_exit_event *event,
    char *out, size_t size)
{
	bool firecracker = m->row.vmm == VMM_FIRECRACKER;
	const char *vmm = firecracker ? "Firecracker or its jailer" : "VMM";
	const char *text = firecracker ?
	    firecracker_exit_text(event->exit_code) : NULL;

	if (!event->status_known)
		(void)format(out, size, "ended");
	else if (event->exit_code == 0)
		(void)format(out, size, "ended by the guest");
	else if (event->exit_code < 0)
		(void)format(out, size, "%s killed by signal %d", vmm,
		    -event->exit_code);
	else
		(void)format(out, size, "%s failed with status %d%s%s", vmm,
		    event->exit_code, text != NULL ? ": " : "",
		    text != NULL ? text : "");
}

static void
describe_exit(struct machine *m, const struct vmm_exit_event *event)
{
	char *out = m->row.exit;
	size_t size = sizeof(m->row.exit);

	if (m->halted && !m->asked)
		(void)format(out, size, "ended by the guest");
	else if (m->killing && !m->halted)
		(void)format(out, size, "killed");
	else if (m->asked)
		(void)format(out, size, "stopped");
	else
		describe_status(m, event, out, size);
}

void
machine_exited(struct machine *m, const struct vmm_exit_event *event)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	char id[VM_ID_HEX + 1];

	m->ended = true;
	if (m->row.state == MACHINE_STARTING && m->killing) {
		machine_start_again(m);
		return;
	}
	describe_exit(m, event);
	if (m->row.state == MACHINE_STARTING) {
		machine_hear_out(m);
		console_close(&m->console);
		machine_id_text(m->row.id, id);
		failure_set(&f, FAIL_UNAVAILABLE, "VM %s: %s before its agent "
		    "answered%s%s", m->row.name, m->row.exit,
		    m->said[0] != '\0' ? "; the VMM said: " : "", m->said);
		f.console = console_tail(&m->w->store, id,
		    CONSOLE_LINES);
	}
	machine_end(m, false, &f);
}
