/*
 * Changes to a VM that exists. The row is what the next start goes by, so that it
 * is all that is written; a guest is not told, nor its VMM, but for NAT, which
 * neither knows of.
 */
#include <string.h>

#include "privsep/check.h"
#include "worker/machine.h"

enum { DISK_GRANULE = 1 << 20 };

static int
change_size(const struct machine_change *change, struct machine_row *row,
    struct failure *f)
{
	if (change->vcpus != 0)
		row->vcpus = change->vcpus;
	if (change->mem_mib != 0)
		row->mem_mib = change->mem_mib;
	if (check_vm_size(row->vcpus, row->mem_mib) < 0)
		return failure_set(f, FAIL_INVALID, "VM %s: %u vCPUs with %u "
		    "MiB: 1 or an even number up to %d, and %d MiB or more",
		    row->name, row->vcpus, row->mem_mib, VCPU_MAX,
		    MEM_MIB_MIN);
	return 0;
}

/* What a file system has once used cannot be taken away from under it. */
static int
change_disk(const struct machine_change *change, struct machine_row *row,
    struct failure *f)
{
	if (change->disk_bytes == 0)
		return 0;
	if (change->disk_bytes < row->disk_bytes)
		return failure_set(f, FAIL_INVALID, "VM %s: its disk has %llu "
		    "MiB and cannot shrink to %llu MiB; a disk can only grow",
		    row->name, (unsigned long long)(row->disk_bytes >> 20),
		    (unsigned long long)(change->disk_bytes >> 20));
	row->disk_bytes = (change->disk_bytes + DISK_GRANULE - 1) /
	    DISK_GRANULE * DISK_GRANULE;
	return 0;
}

static bool
needs_restart(const struct machine_row *a, const struct machine_row *b)
{
	return a->vcpus != b->vcpus || a->mem_mib != b->mem_mib ||
	    a->disk_bytes != b->disk_bytes;
}

/* What the row will be. 0, or -1 with *F. */
static int
changed_row(const struct machine *m, const struct machine_change *change,
    struct machine_row *row, struct failure *f)
{
	*row = m->row;
	if (m->doomed || machine_busy(m))
		return failure_set(f, FAIL_BUSY, "VM %s: is just being started "
		    "or stopped; try again", row->name);
	if (change_size(change, row, f) < 0 || change_disk(change, row, f) < 0)
		return -1;
	if (needs_restart(row, &m->row)) {
		if (row->rm)
			return failure_set(f, FAIL_STATE, "VM %s: is deleted "
			    "when it stops; only NAT can be changed",
			    row->name);
		row->restart_needed = row->state == MACHINE_RUNNING;
	}
	if (change->has_nat)
		row->nat = change->nat;
	return 0;
}

static int
apply_nat(struct machine *m, bool nat, struct failure *f)
{
	struct mon *mon = &m->w->mon;
	int r = mon_nat_set(mon, m->row.id, nat);

	if (r < 0)
		return failure_set(f, failure_of(r), "VM %s: NAT: %s",
		    m->row.name, mon_error(mon, r));
	return 0;
}

int
machine_set(struct machine *m, const struct machine_change *change,
    struct failure *f)
{
	struct machine_row before = m->row, row;
	bool nat_now;
	int r;

	if (changed_row(m, change, &row, f) < 0)
		return -1;
	nat_now = row.nat != before.nat && row.state == MACHINE_RUNNING;
	if (nat_now && apply_nat(m, row.nat, f) < 0)
		return -1;
	m->row = row;
	r = machine_save(m);
	if (r == 0)
		return 0;
	m->row = before;
	failure_set(f, failure_of(r), "VM %s: cannot be stored: %s",
	    row.name, strerror(-r));
	if (nat_now) {
		_cleanup_failure_ struct failure second = { .code = FAIL_NONE };

		(void)apply_nat(m, before.nat, &second);
	}
	return -1;
}
