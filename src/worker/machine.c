/*
 * The table of VMs: who has which id, name and address. There is one worker
 * and it does one thing at a time, so that what is free here is free.
 */
#include "worker/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "privsep/check.h"
#include "privsep/log.h"
#include "worker/catalog.h"
#include "worker/names.h"

enum { PREFIX_DIGITS_MIN = 4, DISK_GRANULE = 1 << 20 };

/* When neither the client nor the configuration names a size. */
#define DISK_DEFAULT_BYTES (UINT64_C(8) << 30)

static int
random_bytes(void *out, size_t len)
{
	return getrandom(out, len, 0) == (ssize_t)len ? 0 : -EIO;
}

struct machine *
machine_by_id(struct worker *w, uint64_t id)
{
	struct list *node, *following;

	list_each(node, following, &w->machines) {
		struct machine *m = list_entry(node, struct machine, node);

		if (m->row.id == id)
			return m;
	}
	return NULL;
}

static struct machine *
by_name(struct worker *w, const char *name)
{
	struct list *node, *following;

	list_each(node, following, &w->machines) {
		struct machine *m = list_entry(node, struct machine, node);

		if (strcmp(m->row.name, name) == 0)
			return m;
	}
	return NULL;
}

/* How many ids begin with KEY; *FOUND is one of them. */
static unsigned int
by_prefix(struct worker *w, const char *key, struct machine **found)
{
	struct list *node, *following;
	size_t len = strlen(key);
	unsigned int count = 0;

	if (len < PREFIX_DIGITS_MIN || len > VM_ID_HEX)
		return 0;
	list_each(node, following, &w->machines) {
		struct machine *m = list_entry(node, struct machine, node);
		char id[VM_ID_HEX + 1];

		machine_id_text(m->row.id, id);
		if (strncmp(id, key, len) == 0) {
			*found = m;
			count++;
		}
	}
	return count;
}

struct machine *
machine_find(struct worker *w, const char *key, struct failure *f)
{
	struct machine *m = by_name(w, key);
	unsigned int count;

	if (m != NULL)
		return m;
	count = by_prefix(w, key, &m);
	if (count == 1)
		return m;
	if (count > 1)
		failure_set(f, FAIL_INVALID, "VM %s: %u ids begin so; give more "
		    "digits, or its name", key, count);
	else
		failure_set(f, FAIL_NOT_FOUND, "VM %.70s: not found; see `banger vm "
		    "list`", key);
	return NULL;
}

/* The oldest comes first, whatever order the directory had. */
static void
link_in(struct worker *w, struct machine *m)
{
	struct list *node, *following;

	list_each(node, following, &w->machines)
		if (list_entry(node, struct machine, node)->row.created_s >
		    m->row.created_s)
			break;
	list_insert(node, &m->node);
}

struct machine *
machine_new(struct worker *w, const struct machine_row *row)
{
	struct machine *m = calloc(1, sizeof(*m));
	char id[VM_ID_HEX + 1];

	if (m == NULL)
		return NULL;
	m->w = w;
	m->row = *row;
	m->said_fd = m->disk_fd = m->api_fd = -1;
	m->metrics = (struct metrics)METRICS_INIT;
	list_init(&m->waiters);
	machine_id_text(row->id, id);
	console_init(&m->console, &w->store, id, machine_halting, m);
	machine_connect_init(m);
	link_in(w, m);
	return m;
}

void
machine_free(struct machine *m)
{
	event_timer_clear(&m->deadline);
	event_timer_clear(&m->retry);
	machine_api_close(m);
	event_task_clear(&m->begin);
	event_task_clear(&m->finish);
	failure_clear(&m->failure);
	list_remove(&m->node);
	free(m);
}

int
machine_save(const struct machine *m)
{
	_cleanup_buf_ struct buf row = BUF_INIT(STORE_ROW_MAX);
	char id[VM_ID_HEX + 1];
	int r;

	if (!m->stored)
		return 0;
	machine_id_text(m->row.id, id);
	machine_row_write(&row, &m->row);
	/* After a crash of the host a VM that was to be deleted is welcome to
	 * be lost: what is left of it is known by its mark, and goes. */
	r = store_save(&m->w->store, STORE_VMS, id, &row, !m->row.rm);
	if (r < 0)
		log_error("VM %s: row not saved: %s", m->row.name,
		    strerror(-r));
	return r;
}

void
machine_wait(struct machine *m, struct machine_waiter *waiter,
    void (*fn)(void *arg, struct machine *m, const struct machine_told *t),
    void *arg)
{
	waiter->fn = fn;
	waiter->arg = arg;
	waiter->waiting = true;
	list_insert(&m->waiters, &waiter->node);
}

void
machine_wait_end(struct machine_waiter *waiter)
{
	if (waiter->waiting)
		list_remove(&waiter->node);
	waiter->waiting = false;
}

void
machine_tell(struct machine *m, const struct machine_told *told)
{
	struct list *node, *following;

	list_each(node, following, &m->waiters) {
		struct machine_waiter *waiter = list_entry(node,
		    struct machine_waiter, node);

		waiter->fn(waiter->arg, m, told);
	}
}

bool
machine_busy(const struct machine *m)
{
	return m->row.state == MACHINE_STARTING ||
	    m->row.state == MACHINE_STOPPING;
}

static bool
address_taken(struct worker *w, uint32_t ipv4)
{
	struct list *node, *following;

	list_each(node, following, &w->machines)
		if (list_entry(node, struct machine, node)->row.ipv4 == ipv4)
			return true;
	return false;
}

int
machine_address(struct machine *m, struct failure *f)
{
	struct worker *w = m->w;
	struct bridge_ensure_reply net;
	uint32_t first, host, size;
	char quad[16];
	int r = mon_bridge_ensure(&w->mon, &net);

	if (r < 0)
		return failure_set(f, failure_of(r), "VM %s: network: %s",
		    m->row.name, mon_error(&w->mon, r));
	if (net.moved && !w->net_moved) {
		ipv4_text(net.gateway, quad);
		log_warn("the host uses the configured subnet already; VMs "
		    "are in %s/%u", quad, net.prefix);
	}
	m->held |= HELD_NET;
	w->net_moved = net.moved != 0;
	m->row.gateway = net.gateway;
	m->row.prefix = net.prefix;
	if (m->row.ipv4 != 0 && check_guest_ipv4(m->row.ipv4, net.gateway,
	    net.prefix) == 0)
		return 0;
	size = net.prefix >= 32 ? 1 : UINT32_C(1) << (32 - net.prefix);
	first = net.gateway & ~(size - 1);
	for (host = 1; host < size; host++)
		if (check_guest_ipv4(first + host, net.gateway,
		    net.prefix) == 0 && !address_taken(w, first + host))
			break;
	ipv4_text(first, quad);
	if (host >= size) {
		machine_release_net(m);
		return failure_set(f, FAIL_NO_ADDRESS, "VM %s: no free address in "
		    "%s/%u; delete a VM or configure a larger network",
		    m->row.name, quad, net.prefix);
	}
	m->row.ipv4 = first + host;
	return 0;
}

static uint64_t
new_id(struct worker *w)
{
	uint64_t id = 0;

	do {
		if (random_bytes(&id, sizeof(id)) < 0)
			return 0;
		id &= VM_ID_MAX;
	} while (id == 0 || machine_by_id(w, id) != NULL);
	return id;
}

static int
choose_name(struct worker *w, const char *wanted, char out[NAME_BYTES],
    struct failure *f)
{
	unsigned int tries;

	if (wanted != NULL) {
		if (check_host_label(wanted) < 0)
			return failure_set(f, FAIL_INVALID, "VM name %.70s: not a "
			    "host name: 1 to 63 of a-z, 0-9 and -, no - at "
			    "either end", wanted);
		if (by_name(w, wanted) != NULL)
			return failure_set(f, FAIL_EXISTS, "VM %s: exists; delete it "
			    "first or take another name", wanted);
		return format(out, NAME_BYTES, "%s", wanted);
	}
	for (tries = 0; tries < 64; tries++) {
		uint32_t bits;

		if (random_bytes(&bits, sizeof(bits)) < 0)
			break;
		generate_name(bits, out);
		if (by_name(w, out) == NULL)
			return 0;
	}
	return failure_set(f, FAIL_EXISTS, "VM name: none of those tried is free; "
	    "give one with --name");
}

static int
choose_disk(const struct worker *w, const struct image *image, uint64_t wanted,
    uint64_t *bytes, struct failure *f)
{
	uint64_t least = image->row.size_bytes;
	uint64_t size = wanted;

	if (wanted != 0 && wanted < least)
		return failure_set(f, FAIL_INVALID, "disk size %llu MiB: image %s "
		    "needs at least %llu MiB",
		    (unsigned long long)(wanted >> 20), image->row.name,
		    (unsigned long long)((least + (1 << 20) - 1) >> 20));
	if (size == 0) {
		size = w->config.default_disk_bytes;
		if (size == 0)
			size = DISK_DEFAULT_BYTES;
		if (size < least)
			size = least;
	}
	*bytes = (size + DISK_GRANULE - 1) / DISK_GRANULE * DISK_GRANULE;
	return 0;
}

/* The row of WISH, but for id and address. 0, or -1 with *F. */
static int
fill_row(struct worker *w, const struct machine_wish *wish,
    struct machine_row *row, struct failure *f)
{
	const char *image_name = wish->image != NULL ? wish->image :
	    w->config.default_image;
	const struct image *image = image_find(w, image_name);
	const char *kernel_name = wish->kernel != NULL ? wish->kernel :
	    image != NULL && image->row.kernel[0] != '\0' ?
	    image->row.kernel : w->config.default_kernel;
	const struct kernel *kernel = kernel_find(w, kernel_name);

	row->vcpus = wish->vcpus != 0 ? wish->vcpus :
	    w->config.default_vcpus;
	row->mem_mib = wish->mem_mib != 0 ? wish->mem_mib :
	    w->config.default_mem_mib;
	if (choose_name(w, wish->name, row->name, f) < 0)
		return -1;
	if (check_vm_size(row->vcpus, row->mem_mib) < 0)
		return failure_set(f, FAIL_INVALID, "VM %s: %u vCPUs with %u MiB: "
		    "1 or an even number up to %d, and %d MiB or more",
		    row->name, row->vcpus, row->mem_mib, VCPU_MAX,
		    MEM_MIB_MIN);
	if (image == NULL)
		return catalog_missing(w, STORE_IMAGES, image_name, "get "
		    "one: banger image pull NAME, or image import; see banger "
		    "image catalog", f);
	if (kernel == NULL)
		return catalog_missing(w, STORE_KERNELS, kernel_name, "get "
		    "one: banger kernel pull, or kernel import PATH; see banger "
		    "kernel catalog", f);
	if (choose_disk(w, image, wish->disk_bytes, &row->disk_bytes, f) < 0)
		return -1;
	memcpy(row->image, image->row.name, sizeof(row->image));
	memcpy(row->kernel, kernel->row.name, sizeof(row->kernel));
	row->nat = wish->nat;
	row->init_none = wish->init_none;
	row->rm = wish->rm;
	row->vmm = w->config.vmm;
	row->state = MACHINE_STOPPED;
	row->created_s = worker_now_s();
	return 0;
}

struct machine *
machine_create(struct worker *w, const struct machine_wish *wish,
    struct failure *f)
{
	struct machine_row row = { .id = 0 };
	char id[VM_ID_HEX + 1];
	struct machine *m;
	int r;

	if (fill_row(w, wish, &row, f) < 0)
		return NULL;
	row.id = new_id(w);
	m = row.id == 0 ? NULL : machine_new(w, &row);
	if (m == NULL) {
		failure_set(f, FAIL_INTERNAL, "VM %s: out of memory", row.name);
		return NULL;
	}
	m->fresh = true;
	/* First what leaves no trace: there is no bridge without a VM. */
	if (machine_startable(m, f) < 0 || machine_address(m, f) < 0) {
		machine_free(m);
		return NULL;
	}
	m->stored = true;
	m->row.state = MACHINE_STARTING;
	machine_id_text(row.id, id);
	r = row.rm ? store_mark_volatile(&w->store, STORE_VMS, id) : 0;
	if (r == 0)
		r = machine_save(m);
	m->row.state = MACHINE_STOPPED;
	if (r < 0) {
		machine_release_net(m);
		(void)store_remove(&w->store, STORE_VMS, id, "volatile");
		failure_set(f, failure_of(r), "VM %s: cannot be stored: %s",
		    row.name, strerror(-r));
		machine_free(m);
		return NULL;
	}
	return m;
}

void
machines_free(struct worker *w)
{
	struct list *node, *following;

	list_each(node, following, &w->machines) {
		struct machine *m = list_entry(node, struct machine, node);

		machine_drop_jobs(m);
		agent_link_stop(&m->link);
		console_close(&m->console);
		metrics_close(&m->metrics);
		machine_hear_out(m);
		machine_free(m);
	}
}
