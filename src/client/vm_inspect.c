/*
 * `vm ports` and `vm stats`: one question for each VM, one table for all.
 */
#include <stdio.h>
#include <string.h>

#include "client/objects.h"
#include "client/text.h"

static const struct field port_fields[] = {
	{ "vm", "VM", FIELD_TEXT },
	{ "address", "ADDRESS", FIELD_TEXT },
	{ "port", "PORT", FIELD_NUMBER },
	{ "proto", "PROTO", FIELD_TEXT },
	{ "pid", "PID", FIELD_NUMBER },
	{ "process", "PROCESS", FIELD_TEXT },
	{ "reach", "FROM HOST", FIELD_TEXT },
	{ NULL, NULL, FIELD_TEXT },
};

static const struct field stats_fields[] = {
	{ "name", "NAME", FIELD_TEXT },
	{ "id", NULL, FIELD_TEXT },
	{ "state", NULL, FIELD_TEXT },
	{ "uptime_s", "UPTIME", FIELD_SECONDS },
	{ "source", NULL, FIELD_TEXT },
	{ "cpu_us", "CPU", FIELD_MICROSECONDS },
	{ "cpu_user_us", NULL, FIELD_MICROSECONDS },
	{ "cpu_system_us", NULL, FIELD_MICROSECONDS },
	{ "memory_bytes", "MEMORY", FIELD_BYTES },
	{ "memory_peak_bytes", NULL, FIELD_BYTES },
	{ "threads", NULL, FIELD_NUMBER },
	{ "io_read_bytes", NULL, FIELD_BYTES },
	{ "io_write_bytes", NULL, FIELD_BYTES },
	{ "disk_size_bytes", NULL, FIELD_BYTES },
	{ "disk_allocated_bytes", "DISK", FIELD_BYTES },
	{ "net_rx_bytes", "RECEIVED", FIELD_BYTES },
	{ "net_rx_packets", NULL, FIELD_NUMBER },
	{ "net_tx_bytes", "SENT", FIELD_BYTES },
	{ "net_tx_packets", NULL, FIELD_NUMBER },
	{ "vmm_counted_s", NULL, FIELD_SECONDS },
	{ "vmm_disk_read_bytes", NULL, FIELD_BYTES },
	{ "vmm_disk_write_bytes", NULL, FIELD_BYTES },
	{ "vmm_disk_flushes", NULL, FIELD_NUMBER },
	{ "vmm_net_spoofed", NULL, FIELD_NUMBER },
	{ "guest_memory_bytes", NULL, FIELD_BYTES },
	{ "guest_memory_available_bytes", "AVAILABLE", FIELD_BYTES },
	{ "guest_disk_bytes", NULL, FIELD_BYTES },
	{ "guest_disk_free_bytes", NULL, FIELD_BYTES },
	{ "guest_load_1", "LOAD", FIELD_DECIMAL },
	{ "guest_load_5", NULL, FIELD_DECIMAL },
	{ "guest_load_15", NULL, FIELD_DECIMAL },
	{ "guest_processes", NULL, FIELD_NUMBER },
	{ NULL, NULL, FIELD_TEXT },
};

/* A question about VMs, the answers to which become rows. */
struct question {
	const char *op;			/* "vm.ports" */
	const char *key;		/* of the answer in the reply */
	cJSON *rows;
	bool all;			/* VMs that have ended are no error */
};

/* Moves the answer in RESULT to the rows: an object, or those of an array. */
static int
take_rows(const struct question *question, cJSON *result)
{
	cJSON *answer = cJSON_DetachItemFromObjectCaseSensitive(result,
	    question->key);
	int r = 0;

	if (cJSON_IsObject(answer))
		return cJSON_AddItemToArray(question->rows, answer) ? 0 :
		    -ENOMEM;
	if (!cJSON_IsArray(answer))
		r = -EPROTO;
	while (r == 0 && answer->child != NULL)
		if (!cJSON_AddItemToArray(question->rows,
		    cJSON_DetachItemFromArray(answer, 0)))
			r = -ENOMEM;
	cJSON_Delete(answer);
	return r;
}

/* Asks about the VM called NAME. The exit code. */
static int
ask_one(struct client *client, const struct question *question,
    const char *name)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	int r;

	api_request(&request, question->op, "vm", name);
	r = api_call(&client->api, &request, -1, 0, NULL, NULL, &reply);
	if (r == 0 && reply.result == NULL && question->all &&
	    (strcmp(reply.code, "state") == 0 ||
	    strcmp(reply.code, "not-found") == 0))
		return EXIT_OK;
	if (client_outcome(r, &reply) < 0)
		return EXIT_FAILED;
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply.result,
	    "more")))
		complain("VM %s: has more listening sockets than are shown",
		    name);
	return client_result(client, take_rows(question, reply.result));
}

/* Asks about the VM that ARGS name, or all that run. The exit code. */
static int
ask(struct client *client, const struct args *args, struct question *question)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	const cJSON *vm;
	int code = EXIT_OK;

	if (client_connect(client) < 0)
		return EXIT_FAILED;
	if (args->word_count > 0)
		return ask_one(client, question, args->words[0]);
	question->all = true;
	api_request(&request, "vm.list", NULL, NULL);
	if (client_call(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	cJSON_ArrayForEach(vm, cJSON_GetObjectItemCaseSensitive(reply.result,
	    "vms")) {
		const char *id = field_text(vm, "id");
		const char *state = field_text(vm, "state");

		if (id == NULL || state == NULL ||
		    strcmp(state, "running") != 0)
			continue;
		if (client->api.fd < 0)
			return EXIT_FAILED;
		if (ask_one(client, question, id) != EXIT_OK)
			code = EXIT_FAILED;
	}
	return code;
}

int
cmd_vm_ports(struct client *client, const struct args *args)
{
	_cleanup_json_ cJSON *rows = cJSON_CreateArray();
	struct question question = { .op = "vm.ports", .key = "ports",
		.rows = rows };
	int code = ask(client, args, &question), r;

	/* One VM was asked for and there is no answer: no empty table. */
	if (code != EXIT_OK && !question.all)
		return code;
	r = show_list(stdout, rows, port_fields, args_has(args, FLAG_JSON),
	    time(NULL));
	return r < 0 ? client_result(client, r) : code;
}

int
cmd_vm_stats(struct client *client, const struct args *args)
{
	_cleanup_json_ cJSON *rows = cJSON_CreateArray();
	struct question question = { .op = "vm.stats", .key = "stats",
		.rows = rows };
	bool json = args_has(args, FLAG_JSON);
	int code = ask(client, args, &question), r;

	if (code != EXIT_OK && !question.all)
		return code;
	if (question.all)
		r = show_list(stdout, rows, stats_fields, json, time(NULL));
	else
		r = show_object(stdout, cJSON_GetArrayItem(rows, 0),
		    stats_fields, json, time(NULL));
	return r < 0 ? client_result(client, r) : code;
}
