/*
 * From a line to its handler. Everything a client sends is bounded, parsed and
 * compared with a table before any of it is believed; what it is called or who
 * it is never comes from the line.
 */
#include "worker/api.h"

#include <string.h>

#include "privsep/log.h"

static void api_version(struct peer *peer, const cJSON *line);

static const struct api_op ops[] = {
	{ "version", 0, api_version },
	{ "vm.run", 0, api_vm_run },
	{ "vm.start", 0, api_vm_start },
	{ "vm.stop", 0, api_vm_stop },
	{ "vm.restart", 0, api_vm_restart },
	{ "vm.kill", 0, api_vm_kill },
	{ "vm.delete", 0, api_vm_delete },
	{ "vm.list", 0, api_vm_list },
	{ "vm.show", 0, api_vm_show },
	{ "vm.exec", 0, api_vm_exec },
	{ "vm.logs", 0, api_vm_logs },
	{ "vm.set", 0, api_vm_set },
	{ "vm.ports", 0, api_vm_ports },
	{ "vm.stats", 0, api_vm_stats },
	{ "image.import", 1, api_image_import },
	{ "image.promote", 0, api_image_promote },
	{ "image.tag", 0, api_image_tag },
	{ "image.open", 0, api_image_open },
	{ "image.verify", 0, api_image_verify },
	{ "image.pull", 1, api_image_pull },
	{ "image.prune_cache", 0, api_image_prune_cache },
	{ "image.list", 0, api_image_list },
	{ "image.show", 0, api_image_show },
	{ "image.delete", 0, api_image_delete },
	{ "kernel.import", 1, api_kernel_import },
	{ "kernel.pull", 1, api_kernel_pull },
	{ "kernel.list", 0, api_kernel_list },
	{ "kernel.show", 0, api_kernel_show },
	{ "kernel.delete", 0, api_kernel_delete },
	{ "catalog.fetch", 1, api_catalog_fetch },
};

int
api_read(struct peer *peer, const cJSON *line, const struct json_field *fields,
    size_t count)
{
	char err[128];
	struct failure f = { .code = FAIL_INVALID };

	if (json_read(line, fields, count, err, sizeof(err)) == 0)
		return 0;
	(void)format(f.text, sizeof(f.text), "request %s: %s",
	    peer->request.op->name, err);
	peer_refuse(peer, &f);
	return -1;
}

static void
api_version(struct peer *peer, const cJSON *line)
{
	struct buf result = BUF_INIT(PEER_LINE_MAX);
	const struct worker *w = peer->w;
	const char *op;
	const struct json_field fields[] = {
		API_COMMON_FIELDS(&peer->request, &op),
	};

	if (api_read(peer, line, fields, ARRAY_SIZE(fields)) < 0)
		return;
	json_text(&result, "version", worker_version());
	json_bool(&result, "embedded", w->config.embedded != 0);
	json_bool(&result, "kvm", w->config.kvm != 0);
	json_text(&result, "vmm", "qemu");
	if (w->config.dns_port != 0) {
		char ip[16], names[32];

		ipv4_text(w->config.dns_ipv4, ip);
		(void)format(names, sizeof(names), "%s:%u", ip,
		    w->config.dns_port);
		json_text(&result, "names", names);
	}
	peer_answer(peer, &result, -1);
}

static const struct api_op *
find_op(const cJSON *line)
{
	const char *name = cJSON_GetStringValue(
	    cJSON_GetObjectItemCaseSensitive(line, "op"));
	size_t i;

	for (i = 0; name != NULL && i < ARRAY_SIZE(ops); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

static void
dispatch(struct peer *peer, const cJSON *line)
{
	const struct api_op *op = line == NULL ? NULL : find_op(line);

	if (line == NULL) {
		peer_expel(peer, FAIL_INVALID, "the request is not one line "
		    "of JSON as the API has it");
	} else if (op == NULL) {
		peer_expel(peer, FAIL_INVALID, "unknown op; are client and "
		    "daemon of the same version?");
	} else if (op->fds != peer->nfds) {
		peer_expel(peer, FAIL_INVALID, peer->nfds > op->fds ?
		    "fds where none belong" : "an fd is missing");
	} else {
		peer->request = (struct request){ .op = op, .active = true };
		op->handle(peer, line);
	}
	peer_flush(peer);
}

void
api_next(void *arg)
{
	_cleanup_json_ cJSON *line = NULL;
	struct peer *peer = arg;
	const char *end;

	if (peer->request.active || peer->last || peer->in.len == 0)
		return;
	end = memchr(peer->in.data, '\n', peer->in.len);
	if (end == NULL)
		return;
	line = json_parse(peer->in.data, (size_t)(end - peer->in.data));
	buf_drop(&peer->in, (size_t)(end - peer->in.data) + 1);
	if (peer->in.len == 0)
		buf_free(&peer->in);
	dispatch(peer, line);
}

/* A vm.run that ends early takes its VM along: nobody knows of it yet. */
static void
end_run(struct peer *peer)
{
	struct machine *m = machine_by_id(peer->w, peer->request.vm);

	if (m != NULL && m->fresh)
		machine_end(m, true, NULL);
}

void
api_abandon(struct peer *peer)
{
	struct request *request = &peer->request;

	event_task_clear(&request->again);
	machine_wait_end(&request->waiter);
	stream_request_cancel(&request->stream);
	vsock_dial_cancel(&request->dial);
	agent_query_cancel(&request->query);
	buf_free(&request->partial);
	if (request->import.making != NULL)
		import_cancel(&request->import);
	if (request->job != NULL)
		job_cancel(request->job);
	request->job = NULL;
	api_fetch_cancel(peer);
	if (request->active && request->op->handle == api_vm_run)
		end_run(peer);
	request->active = false;
}
