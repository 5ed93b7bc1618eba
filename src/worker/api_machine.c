/*
 * Requests about VMs. A handler says what shall happen and waits for the news;
 * the state machine in machine_*.c does it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "privsep/log.h"
#include "worker/api.h"
#include "worker/machine_disk.h"

enum {
	STOP_TIMEOUT_MS = 30 * 1000,
	STOP_TIMEOUT_MAX_MS = 3600 * 1000,
	EXEC_TIMEOUT_MS = 10 * 1000,
	EXTRA_FIELDS_MAX = 4,
};

/* What a client may ask for. */
#define DISK_BYTES_MAX (UINT64_C(1) << 46)

static void PRINTF_LIKE(3, 4)
refuse(struct peer *peer, enum failure_code code, const char *fmt, ...)
{
	struct failure f = { .code = code };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	peer_refuse(peer, &f);
}

static void
answer_machine(struct peer *peer, const struct machine *m)
{
	struct buf result = BUF_INIT(PEER_LINE_MAX);

	machine_row_show(&result, "vm", &m->row, m->pid);
	peer_answer(peer, &result, -1);
}

static void
answer_empty(struct peer *peer)
{
	struct buf result = BUF_INIT(PEER_LINE_MAX);

	peer_answer(peer, &result, -1);
}

/*
 * Reads a request about one VM, with EXTRA members, and finds the VM. NULL: has
 * been refused.
 */
static struct machine *
target(struct peer *peer, const cJSON *line, const struct json_field *extra,
    size_t count)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	const char *op, *key = "";
	struct json_field fields[3 + EXTRA_FIELDS_MAX] = {
		API_COMMON_FIELDS(&peer->request, &op),
		{ "vm", JSON_TEXT, true, 1, 0, &key },
	};
	struct machine *m;

	if (count > 0)
		memcpy(fields + 3, extra, count * sizeof(*extra));
	if (api_read(peer, line, fields, 3 + count) < 0)
		return NULL;
	m = machine_find(peer->w, key, &f);
	if (m == NULL)
		peer_refuse(peer, &f);
	return m;
}

struct machine *
api_target(struct peer *peer, const cJSON *line)
{
	return target(peer, line, NULL, 0);
}

struct machine *
api_target_with(struct peer *peer, const cJSON *line,
    const struct json_field *extra)
{
	return target(peer, line, extra, 1);
}

/* ---- running and starting ---- */

/* The answer to vm.run, vm.start, and the second half of vm.restart. */
static void
on_start_news(void *arg, struct machine *m, const struct machine_told *told)
{
	struct peer *peer = arg;

	switch (told->news) {
	case NEWS_PROGRESS:
		peer_progress(peer, told->stage, told->message);
		break;
	case NEWS_RUNNING:
		if (m->row.rm && peer->request.op->handle == api_vm_run)
			m->owner = peer;
		answer_machine(peer, m);
		break;
	case NEWS_ENDED:
		if (told->f != NULL)
			peer_refuse(peer, told->f);
		else
			refuse(peer, FAIL_STATE, "VM %s: ended before it was "
			    "running", m->row.name);
		break;
	}
}

/* Starts M for PEER, or refuses; a fresh M is deleted then. */
static void
start_for(struct peer *peer, struct machine *m)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };

	peer->request.vm = m->row.id;
	if (machine_start(m, &f) < 0) {
		if (m->fresh)
			machine_end(m, true, &f);
		peer_refuse(peer, &f);
		return;
	}
	machine_wait(m, &peer->request.waiter, on_start_news, peer);
}

static int
take_init(struct peer *peer, const char *init, bool *none)
{
	if (strcmp(init, "none") != 0 && strcmp(init, "image") != 0) {
		refuse(peer, FAIL_INVALID, "init \"%.20s\": is neither "
		    "\"image\" nor \"none\"", init);
		return -1;
	}
	*none = strcmp(init, "none") == 0;
	return 0;
}

void
api_vm_run(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	struct machine_wish wish = { .name = NULL };
	const char *op, *init = "image";
	const cJSON *spec;
	const struct json_field fields[] = {
		API_COMMON_FIELDS(&peer->request, &op),
		{ "spec", JSON_OBJECT, true, 0, 0, &spec },
		{ "rm", JSON_BOOL, true, 0, 0, &wish.rm },
	};
	const struct json_field spec_fields[] = {
		{ "name", JSON_TEXT, false, 1, 0, &wish.name },
		{ "image", JSON_TEXT, false, 1, 0, &wish.image },
		{ "kernel", JSON_TEXT, false, 1, 0, &wish.kernel },
		{ "vcpu", JSON_U32, false, 1, VCPU_MAX, &wish.vcpus },
		{ "memory_mib", JSON_U32, false, MEM_MIB_MIN, MEM_MIB_MAX,
		    &wish.mem_mib },
		{ "disk_size_bytes", JSON_U64, false, 1,
		    DISK_BYTES_MAX, &wish.disk_bytes },
		{ "nat", JSON_BOOL, false, 0, 0, &wish.nat },
		{ "init", JSON_TEXT, false, 0, 0, &init },
	};
	struct machine *m;

	if (api_read(peer, line, fields, ARRAY_SIZE(fields)) < 0 ||
	    api_read(peer, spec, spec_fields, ARRAY_SIZE(spec_fields)) < 0 ||
	    take_init(peer, init, &wish.init_none) < 0)
		return;
	m = machine_create(peer->w, &wish, &f);
	if (m == NULL)
		peer_refuse(peer, &f);
	else
		start_for(peer, m);
}

void
api_vm_start(struct peer *peer, const cJSON *line)
{
	struct machine *m = target(peer, line, NULL, 0);

	if (m == NULL)
		return;
	if (m->row.state == MACHINE_STOPPED)
		start_for(peer, m);
	else if (m->row.state == MACHINE_RUNNING)
		refuse(peer, FAIL_STATE, "VM %s: is running already",
		    m->row.name);
	else
		refuse(peer, FAIL_BUSY, "VM %s: is just being started or "
		    "stopped; try again", m->row.name);
}

/* ---- ending ---- */

static void
start_again(void *arg)
{
	struct peer *peer = arg;
	struct machine *m = machine_by_id(peer->w, peer->request.vm);

	if (m == NULL)
		refuse(peer, FAIL_NOT_FOUND, "VM was deleted meanwhile");
	else
		start_for(peer, m);
}

/* The answer to vm.stop, vm.kill, vm.delete; vm.restart goes on from here. */
static void
on_end_news(void *arg, struct machine *m, const struct machine_told *told)
{
	struct peer *peer = arg;
	struct request *request = &peer->request;

	if (told->news != NEWS_ENDED)
		return;
	if (request->restarting) {
		machine_wait_end(&request->waiter);
		event_task_post(&peer->w->events, &request->again,
		    start_again, peer);
	} else if (request->op->handle != api_vm_delete) {
		answer_machine(peer, m);
	} else if (told->gone) {
		answer_empty(peer);
	} else {
		refuse(peer, FAIL_INTERNAL, "VM %s: cannot be deleted; see "
		    "the daemon's log", m->row.name);
	}
}

static void
wait_for_end(struct peer *peer, struct machine *m)
{
	peer->request.vm = m->row.id;
	machine_wait(m, &peer->request.waiter, on_end_news, peer);
}

/* Stops M for PEER; 0, or -1 and refused. For states but MACHINE_STOPPED. */
static int
stop_for(struct peer *peer, struct machine *m, uint32_t timeout_ms)
{
	if (m->row.state == MACHINE_STARTING) {
		refuse(peer, FAIL_BUSY, "VM %s: is being started; wait, or "
		    "end it with `banger vm kill %s`", m->row.name,
		    m->row.name);
		return -1;
	}
	wait_for_end(peer, m);
	if (m->row.state == MACHINE_RUNNING)
		machine_stop(m, timeout_ms);
	return 0;
}

/* The VM of a request that may say how long its guest gets; or refused. */
static struct machine *
stop_target(struct peer *peer, const cJSON *line, uint32_t *timeout_ms)
{
	const struct json_field extra[] = {
		{ "timeout_ms", JSON_U32, false, 0, STOP_TIMEOUT_MAX_MS,
		    timeout_ms },
	};

	*timeout_ms = STOP_TIMEOUT_MS;
	return target(peer, line, extra, ARRAY_SIZE(extra));
}

void
api_vm_stop(struct peer *peer, const cJSON *line)
{
	uint32_t timeout_ms;
	struct machine *m = stop_target(peer, line, &timeout_ms);

	if (m == NULL)
		return;
	if (m->row.state == MACHINE_STOPPED)
		answer_machine(peer, m);
	else
		(void)stop_for(peer, m, timeout_ms);
}

void
api_vm_restart(struct peer *peer, const cJSON *line)
{
	uint32_t timeout_ms;
	struct machine *m = stop_target(peer, line, &timeout_ms);

	if (m == NULL)
		return;
	if (m->row.rm) {
		refuse(peer, FAIL_STATE, "VM %s: is deleted when it stops",
		    m->row.name);
	} else if (m->row.state == MACHINE_STOPPED) {
		start_for(peer, m);
	} else {
		peer->request.restarting = true;
		(void)stop_for(peer, m, timeout_ms);
	}
}

void
api_vm_kill(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	struct machine *m = target(peer, line, NULL, 0);

	if (m == NULL)
		return;
	if (m->row.state == MACHINE_STOPPED) {
		answer_machine(peer, m);
		return;
	}
	failure_set(&f, FAIL_STATE, "VM %s: was killed by another client",
	    m->row.name);
	wait_for_end(peer, m);
	machine_end(m, false, &f);
}

void
api_vm_delete(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	bool force = false;
	const struct json_field extra[] = {
		{ "force", JSON_BOOL, false, 0, 0, &force },
	};
	struct machine *m = target(peer, line, extra, ARRAY_SIZE(extra));

	if (m == NULL)
		return;
	if (m->row.state != MACHINE_STOPPED && !force) {
		refuse(peer, FAIL_STATE, "VM %s: is running; stop it first, "
		    "or delete it with --force", m->row.name);
		return;
	}
	failure_set(&f, FAIL_STATE, "VM %s: was deleted by another client",
	    m->row.name);
	wait_for_end(peer, m);
	machine_end(m, true, &f);
}

/* ---- changing ---- */

void
api_vm_set(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	struct machine_change change = {
		.has_nat = cJSON_GetObjectItemCaseSensitive(line, "nat") !=
		    NULL,
	};
	const struct json_field extra[] = {
		{ "vcpu", JSON_U32, false, 1, VCPU_MAX, &change.vcpus },
		{ "memory_mib", JSON_U32, false, MEM_MIB_MIN, MEM_MIB_MAX,
		    &change.mem_mib },
		{ "disk_size_bytes", JSON_U64, false, 1, DISK_BYTES_MAX,
		    &change.disk_bytes },
		{ "nat", JSON_BOOL, false, 0, 0, &change.nat },
	};
	struct machine *m = target(peer, line, extra, ARRAY_SIZE(extra));

	if (m == NULL)
		return;
	if (machine_set(m, &change, &f) < 0)
		peer_refuse(peer, &f);
	else
		answer_machine(peer, m);
}

/* ---- looking ---- */

void
api_vm_list(struct peer *peer, const cJSON *line)
{
	struct buf result = BUF_INIT(1 << 20);
	struct list *node, *following;
	const char *op;
	const struct json_field fields[] = {
		API_COMMON_FIELDS(&peer->request, &op),
	};

	if (api_read(peer, line, fields, ARRAY_SIZE(fields)) < 0)
		return;
	json_open(&result, "vms", '[');
	list_each(node, following, &peer->w->machines) {
		const struct machine *m = list_entry(node, struct machine,
		    node);

		machine_row_show(&result, NULL, &m->row, m->pid);
	}
	json_close(&result, ']');
	peer_answer(peer, &result, -1);
}

void
api_vm_show(struct peer *peer, const cJSON *line)
{
	struct machine *m = target(peer, line, NULL, 0);

	if (m == NULL)
		return;
	machine_disk_look(m);
	answer_machine(peer, m);
}

void
api_vm_logs(struct peer *peer, const cJSON *line)
{
	struct machine *m = target(peer, line, NULL, 0);
	struct buf result = BUF_INIT(PEER_LINE_MAX);
	char id[VM_ID_HEX + 1];
	int fd;

	if (m == NULL)
		return;
	machine_id_text(m->row.id, id);
	fd = store_file(&peer->w->store, STORE_VMS, id, "console", O_RDONLY);
	if (fd < 0)
		refuse(peer, FAIL_NOT_FOUND, "VM %s: has no console log yet",
		    m->row.name);
	else
		peer_answer(peer, &result, fd);
}

/* ---- exec ---- */

static void
refuse_stream(struct peer *peer, const struct machine *m, int error)
{
	const char *name = m->row.name;

	if (error == -EBUSY)
		refuse(peer, FAIL_BUSY, "VM %s: all of its %d streams are in "
		    "use; end a command first", name,
		    (int)AGENT_STREAM_PORTS);
	else if (error == -ETIMEDOUT)
		refuse(peer, FAIL_TIMEOUT, "VM %s: its agent does not answer; "
		    "see `banger vm logs %s`", name, name);
	else
		refuse(peer, FAIL_UNAVAILABLE, "VM %s: its agent cannot be "
		    "reached (%s); see `banger vm logs %s`", name,
		    strerror(-error), name);
}

/* The stream's connection is there, or not; so may the VM have gone. */
static void
on_connected(void *arg, int fd)
{
	struct buf result = BUF_INIT(PEER_LINE_MAX);
	struct peer *peer = arg;
	const struct machine *m = machine_by_id(peer->w, peer->request.vm);
	char nonce[2 * STREAM_NONCE_SIZE + 1];
	const struct image *image;

	if (m == NULL) {
		close_fdp(&fd);
		refuse(peer, FAIL_NOT_FOUND, "the VM was deleted meanwhile");
		return;
	}
	if (fd < 0) {
		refuse_stream(peer, m, fd);
		return;
	}
	hex_write(peer->request.stream.nonce, STREAM_NONCE_SIZE, nonce);
	json_text(&result, "nonce", nonce);
	json_text(&result, "init", m->row.init_none ? "none" : "image");
	image = image_find(peer->w, m->row.image);
	if (image != NULL && image->row.config != NULL)
		json_raw(&result, "config", image->row.config);
	peer_answer(peer, &result, fd);
}

/* The agent has set a port aside, or not. */
static void
on_stream(void *arg, int error, uint32_t port)
{
	struct peer *peer = arg;
	struct machine *m = machine_by_id(peer->w, peer->request.vm);

	if (error < 0)
		refuse_stream(peer, m, error);
	else
		machine_stream(m, port, &peer->request.dial, on_connected,
		    peer);
}

void
api_vm_exec(struct peer *peer, const cJSON *line)
{
	struct machine *m = target(peer, line, NULL, 0);
	int r;

	if (m == NULL)
		return;
	if (m->row.state != MACHINE_RUNNING) {
		refuse(peer, FAIL_STATE, "VM %s: is not running; start it "
		    "with `banger vm start %s`", m->row.name, m->row.name);
		return;
	}
	peer->request.vm = m->row.id;
	r = machine_link(m);
	if (r == 0)
		r = agent_link_open(&m->link, &peer->request.stream,
		    EXEC_TIMEOUT_MS, on_stream, peer);
	if (r < 0)
		refuse_stream(peer, m, r);
}
