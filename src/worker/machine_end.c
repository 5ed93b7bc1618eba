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
#include "worker/machine.h"

enum {
	KILL_PATIENCE_MS = 10 * 1000,
	/* Of a stop's time, kept for the VMM to end after its guest. */
	STOP_RESERVE_MS = 1000,
	SAID_MAX = 512,
};

/* ---- what the VMM says ---- */

/* Takes what is there of the VMM's standard error. False at its end. */
static bool
hear(struct machine *m)
{
	char text[SAID_MAX], *line, *rest;
	ssize_t n = read(m->said_fd, text, sizeof(text) - 1);

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	text[n] = '\0';
	rest = text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (*line == '\0' || qemu_is_waiting(line))
			continue;
		(void)snprintf(m->said, sizeof(m->said), "%.*s",
		    (int)sizeof(m->said) - 1, line);
		console_note(&m->console, m->said);
	}
	return true;
}

static void
on_said(void *arg, uint32_t ready UNUSED)
{
	struct machine *m = arg;

	if (hear(m))
		return;
	event_io_stop(&m->said_io);
	close_fdp(&m->said_fd);
	m->said_fd = -1;
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
		m->said_fd = -1;
	}
}

void
machine_hear_out(struct machine *m)
{
	size_t i;

	if (m->said_fd < 0)
		return;
	(void)hear(m);
	event_io_stop(&m->said_io);
	close_fdp(&m->said_fd);
	m->said_fd = -1;
	for (i = 0; m->said[i] != '\0'; i++)
		if ((unsigned char)m->said[i] < 0x20 ||
		    (unsigned char)m->said[i] >= 0x7f)
			m->said[i] = '?';
}

/* ---- the end ---- */

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
	if (m->held & HELD_TAP) {
		r = mon_tap_delete(mon, m->row.id);
		if (r < 0 && r != -ENOENT)
			log_error("VM %s: %s", m->row.name,
			    mon_error(mon, r));
	}
	m->held = 0;
	m->pid = 0;
}

/* Files first, row last. 0 or -errno: the row is still there. */
static int
remove_stored(const struct machine *m)
{
	static const char *const suffixes[] = { "disk", "console", "json" };
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
	console_close(&m->console);
	machine_hear_out(m);
	release(m);
	m->row.state = MACHINE_STOPPED;
	m->step = STEP_NONE;
	told.gone = m->doomed || m->row.rm || (m->failed && m->fresh);
	if (m->failed)
		told.f = &m->failure;
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

/* Kills the VMM; false when there is none whose exit will be told. */
static bool
kill_vmm(struct machine *m)
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
	machine_drop_jobs(m);
	agent_link_stop(&m->link);
	if (!kill_vmm(m))
		event_task_post(&m->w->events, &m->finish, finish, m);
}

static void
stop_too_late(void *arg)
{
	struct machine *m = arg;

	log_info("VM %s: does not stop, killing it", m->row.name);
	machine_end(m, false, NULL);
}

void
machine_stop(struct machine *m, uint32_t timeout_ms)
{
	uint32_t agent_ms = timeout_ms > 2 * STOP_RESERVE_MS ?
	    timeout_ms - STOP_RESERVE_MS : timeout_ms / 2;

	m->row.state = MACHINE_STOPPING;
	m->asked = true;
	if (agent_link_shutdown(&m->link, agent_ms) < 0) {
		log_info("VM %s: has no agent to ask, killing it",
		    m->row.name);
		machine_end(m, false, NULL);
		return;
	}
	event_timer_set(&m->w->events, &m->deadline, timeout_ms,
	    stop_too_late, m);
}

static void
describe_exit(struct machine *m, const struct vmm_exit_event *event)
{
	char *out = m->row.exit;
	size_t size = sizeof(m->row.exit);

	if (m->killing)
		(void)format(out, size, "killed");
	else if (m->asked)
		(void)format(out, size, "stopped");
	else if (!event->status_known)
		(void)format(out, size, "ended");
	else if (event->exit_code == 0)
		(void)format(out, size, "ended by the guest");
	else if (event->exit_code < 0)
		(void)format(out, size, "VMM killed by signal %d",
		    -event->exit_code);
	else
		(void)format(out, size, "VMM failed with status %d",
		    event->exit_code);
}

void
machine_exited(struct machine *m, const struct vmm_exit_event *event)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	char id[VM_ID_HEX + 1];

	m->ended = true;
	describe_exit(m, event);
	if (m->row.state == MACHINE_STARTING) {
		console_close(&m->console);
		machine_hear_out(m);
		machine_id_text(m->row.id, id);
		failure_set(&f, FAIL_UNAVAILABLE, "VM %s: %s before its agent "
		    "answered%s%s", m->row.name, m->row.exit,
		    m->said[0] != '\0' ? "; the VMM said: " : "", m->said);
		f.console = console_tail(&m->w->store, id,
		    CONSOLE_LINES);
	}
	machine_end(m, false, &f);
}
