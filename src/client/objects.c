/*
 * List, show and act, for any kind: the kinds differ in names and fields.
 */
#include "client/objects.h"

#include <string.h>

#include "client/text.h"

int
objects_ask(struct client *client, const struct kind *kind, const char *verb,
    const char *name, struct api_reply *reply)
{
	struct buf request _cleanup_buf_ = API_REQUEST;
	char op[32];

	(void)format(op, sizeof(op), "%s.%s", kind->key, verb);
	api_request(&request, op, name != NULL ? kind->key : NULL, name);
	return client_call(client, &request, -1, 0, reply);
}

int
objects_list(struct client *client, const struct args *args,
    const struct kind *kind)
{
	struct api_reply reply _cleanup_reply_ = { 0 };

	if (client_connect(client) < 0 ||
	    objects_ask(client, kind, "list", NULL, &reply) < 0)
		return EXIT_FAILED;
	return client_result(client, show_list(stdout,
	    cJSON_GetObjectItemCaseSensitive(reply.result, kind->list_key),
	    kind->fields, args_has(args, FLAG_JSON), time(NULL)));
}

int
objects_show(struct client *client, const struct args *args,
    const struct kind *kind)
{
	struct api_reply reply _cleanup_reply_ = { 0 };

	if (client_connect(client) < 0 ||
	    objects_ask(client, kind, "show", args->words[0], &reply) < 0)
		return EXIT_FAILED;
	return client_result(client, show_object(stdout,
	    cJSON_GetObjectItemCaseSensitive(reply.result, kind->key),
	    kind->fields, args_has(args, FLAG_JSON), time(NULL)));
}

static bool
is_false(const cJSON *object, const char *member)
{
	return cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(object, member));
}

/* What OBJECT, if it is a kernel, cannot be used for. */
static void
warn_of_limits(const struct client *client, const char *name,
    const cJSON *object)
{
	const cJSON *vmlinuz = cJSON_GetObjectItemCaseSensitive(object,
	    "vmlinuz_bytes");

	if (is_false(object, "vsock"))
		complain("%s: %s: has no vmw_vsock_virtio_transport: it boots "
		    "under QEMU, not under Firecracker",
		    client->command->name, name);
	if (is_false(object, "acpi"))
		complain("%s: %s: has no CONFIG_ACPI: it boots under "
		    "Firecracker, not under QEMU", client->command->name, name);
	if (is_false(object, "pvh") && cJSON_IsNumber(vmlinuz) &&
	    vmlinuz->valuedouble <= 0)
		complain("%s: %s: has no CONFIG_PVH: it boots under "
		    "Firecracker, not under QEMU", client->command->name, name);
}

int
objects_done(struct client *client, const cJSON *result,
    const struct kind *kind, const char *done)
{
	const cJSON *object = cJSON_GetObjectItemCaseSensitive(result,
	    kind->key);
	const char *name = field_text(object, "name");
	const char *state = field_text(object, "state");
	const char *ip = field_text(object, "ip");
	char clean_name[NAME_BYTES], clean_ip[NAME_BYTES];
	bool running = state != NULL && strcmp(state, "running") == 0 &&
	    ip != NULL;

	if (name == NULL)
		return client_result(client, -EPROTO);
	(void)text_clean(name, clean_name, NAME_BYTES);
	warn_of_limits(client, clean_name, object);
	printf("%s: %s%s%s\n", clean_name, done,
	    running ? ", " : "",
	    running ? text_clean(ip, clean_ip, NAME_BYTES) : "");
	return client_result(client, fflush(stdout) != 0 ? -EIO : 0);
}

/* Deleted objects are not in the reply: their names are the user's words. */
static int
batch_one(struct client *client, const struct batch *batch, const char *name)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	api_request(&request, batch->op, batch->kind->key, name);
	if (batch->force)
		json_bool(&request, "force", true);
	if (batch->timeout_ms != NULL)
		json_number(&request, "timeout_ms", *batch->timeout_ms);
	if (client_call_progress(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	if (cJSON_HasObjectItem(reply.result, batch->kind->key))
		return objects_done(client, reply.result, batch->kind,
		    batch->done);
	printf("%s: %s\n", name, batch->done);
	return client_result(client, fflush(stdout) != 0 ? -EIO : 0);
}

int
objects_each(struct client *client, const struct args *args,
    const struct batch *batch)
{
	int code = EXIT_OK;
	size_t i;

	if (client_connect(client) < 0)
		return EXIT_FAILED;
	for (i = 0; i < args->word_count && client->api.fd >= 0; i++)
		if (batch_one(client, batch, args->words[i]) != EXIT_OK)
			code = EXIT_FAILED;
	return code;
}
