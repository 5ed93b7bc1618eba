/*
 * A worker that starts finds rows in its store and VMs in the monitor, which
 * adopted what still runs. Where both agree the VM goes on; everything else is
 * the rest of something that was interrupted, and is cleared away: VMs to be
 * deleted when they end, starts that nobody waits for, VMs without a row.
 */
#include <string.h>

#include "privsep/log.h"
#include "worker/machine.h"

/* For VMs of the monitor that no row knows: the least that can be ended. */
#define STRAY_NAME "stray"

static int
load(void *arg, const char *name, const cJSON *tree)
{
	struct worker *w = arg;
	struct machine_row row;
	struct machine *m;

	if (machine_row_read(name, tree, &row) < 0)
		return -EINVAL;
	m = machine_new(w, &row);
	if (m == NULL)
		return -ENOMEM;
	m->stored = true;
	return 0;
}

static bool
known(void *arg, const char *name)
{
	struct list *node, *following;
	struct worker *w = arg;

	list_each(node, following, &w->machines) {
		char id[VM_ID_HEX + 1];

		machine_id_text(list_entry(node, struct machine, node)->row.id,
		    id);
		if (strcmp(id, name) == 0)
			return true;
	}
	return false;
}

static void
go_on(struct machine *m)
{
	int r = console_open(&m->console, false);

	if (r == 0)
		r = machine_watch(m);
	if (r < 0)
		log_warn("VM %s: console: %s", m->row.name,
		    mon_error(&m->w->mon, r));
	r = machine_link(m);
	if (r < 0)
		log_warn("VM %s: agent: %s", m->row.name,
		    mon_error(&m->w->mon, r));
	m->row.state = MACHINE_RUNNING;
	log_info("VM %s: still running, adopted", m->row.name);
}

/* Compares a row with what the monitor says. 0 or -errno. */
static int
settle_row(struct machine *m)
{
	bool unfinished = m->row.started_s == 0 &&
	    m->row.state == MACHINE_STARTING;
	bool was_stopped = m->row.state == MACHINE_STOPPED;
	bool delete = m->row.rm || unfinished;
	struct vmm_find_reply found;
	int r = mon_vmm_find(&m->w->mon, m->row.id, &found);

	if (r < 0)
		return r;
	m->held = found.state == VM_ABSENT ? 0 : HELD_NET | HELD_VMM;
	m->ended = found.state != VM_RUNNING;
	m->pid = found.pid;
	if (found.vmm != 0)
		m->row.vmm = found.vmm;
	if (found.state == VM_RUNNING && !delete && !was_stopped &&
	    m->row.state != MACHINE_STARTING) {
		go_on(m);
		return 0;
	}
	m->row.state = MACHINE_STOPPED;
	if (found.state == VM_ABSENT && was_stopped && !delete)
		return 0;
	if (!was_stopped && !delete)
		(void)format(m->row.exit, sizeof(m->row.exit),
		    "ended while no daemon was there");
	/* Not MACHINE_STARTING: nobody waits for this start any more. */
	m->row.state = MACHINE_STOPPING;
	machine_end(m, delete, NULL);
	return 0;
}

/* Ends the VMs that the monitor has and no row. 0 or -errno. */
static int
end_strays(struct worker *w)
{
	struct vmm_list_reply reply = { .next = 0 };
	struct machine_row row = { .name = STRAY_NAME, .rm = true,
		.state = MACHINE_STOPPING };
	struct machine *m;
	int r;

	for (;;) {
		r = mon_vmm_list(&w->mon, reply.next, &reply);
		if (r < 0 || reply.id == 0)
			return r;
		if (machine_by_id(w, reply.id) != NULL)
			continue;
		log_warn("VM %012llx: has no row, ending it",
		    (unsigned long long)reply.id);
		row.id = reply.id;
		m = machine_new(w, &row);
		if (m == NULL)
			return -ENOMEM;
		m->held = HELD_NET | HELD_VMM;
		m->ended = reply.state != VM_RUNNING;
		machine_end(m, true, NULL);
	}
}

int
machines_adopt(struct worker *w)
{
	int r = store_each(&w->store, STORE_VMS, load, w);
	struct list *node, *following;

	if (r == 0)
		r = store_sweep(&w->store, STORE_VMS, known, w);
	list_each(node, following, &w->machines) {
		if (r < 0)
			return r;
		r = settle_row(list_entry(node, struct machine, node));
	}
	return r < 0 ? r : end_strays(w);
}
