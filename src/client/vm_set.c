/*
 * `vm set` and `vm prune`: changes to VMs that exist.
 */
#include <stdio.h>
#include <string.h>

#include "client/objects.h"
#include "client/spec.h"
#include "client/text.h"

/* The VM as it is now, and when what was asked for applies. */
static int
print_set(const cJSON *vm, const struct vm_change *change)
{
	const char *name = field_text(vm, "name");
	char clean[NAME_BYTES];
	bool waits = (change->vcpu != 0 || change->memory_mib != 0 ||
	    change->disk_size_bytes != 0) &&
	    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(vm,
	    "restart_needed"));

	if (name == NULL)
		return -EPROTO;
	text_clean(name, clean, sizeof(clean));
	if (waits)
		printf("%s: set, applies at the next start; `banger vm restart "
		    "%s` does it now\n", clean, clean);
	else
		printf("%s: set\n", clean);
	return fflush(stdout) != 0 ? -EIO : 0;
}

int
cmd_vm_set(struct client *client, const struct args *args)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	struct vm_change change;
	char err[ARGS_ERROR];
	const cJSON *vm;

	if (change_read(args, &change, err) < 0)
		return usage_error(client, "%s", err);
	if (client_connect(client) < 0)
		return EXIT_FAILED;
	api_request(&request, "vm.set", "vm", args->words[0]);
	change_write(&change, &request);
	if (client_call(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	vm = cJSON_GetObjectItemCaseSensitive(reply.result, "vm");
	return client_result(client, args_has(args, FLAG_JSON) ?
	    show_json(stdout, vm) : print_set(vm, &change));
}

/* ---- prune ---- */

/* The stopped ones among the VMS of a reply, taken out of it. NULL: no memory. */
static cJSON *
stopped_vms(cJSON *vms)
{
	cJSON *stopped = cJSON_CreateArray();
	cJSON *vm = vms != NULL ? vms->child : NULL, *next;

	for (; stopped != NULL && vm != NULL; vm = next) {
		const char *state = field_text(vm, "state");

		next = vm->next;
		if (state != NULL && strcmp(state, "stopped") == 0)
			(void)cJSON_AddItemToArray(stopped,
			    cJSON_DetachItemViaPointer(vms, vm));
	}
	return stopped;
}

/* What is to be deleted, and whether the user wants that. 1, 0, or -errno. */
static int
ask_first(const cJSON *vms)
{
	char line[16] = "";
	int r = show_list(stderr, vms, vm_kind.fields, false, time(NULL));

	if (r < 0)
		return r;
	fprintf(stderr, "Delete %s with what is on %s? [y/N] ",
	    cJSON_GetArraySize(vms) == 1 ? "this VM" : "these VMs",
	    cJSON_GetArraySize(vms) == 1 ? "its disk" : "their disks");
	if (fgets(line, sizeof(line), stdin) == NULL)
		fputc('\n', stderr);
	return line[0] == 'y' || line[0] == 'Y';
}

/*
 * Deletes VM, by its id: a VM of the same name is another one. 1; 0 when it is
 * not stopped any more, or gone already; -1 and complained about.
 */
static int
prune_one(struct client *client, const cJSON *vm)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	const char *id = field_text(vm, "id");
	int r;

	if (id == NULL)
		return client_result(client, -EPROTO) == EXIT_OK ? 0 : -1;
	api_request(&request, "vm.delete", "vm", id);
	r = api_call(&client->api, &request, -1, 0, NULL, NULL, &reply);
	if (r == 0 && reply.result == NULL &&
	    (strcmp(reply.code, "state") == 0 ||
	    strcmp(reply.code, "not-found") == 0))
		return 0;
	return client_outcome(r, &reply) < 0 ? -1 : 1;
}

/* Deletes VMS; those that were not are taken out. The exit code. */
static int
prune_all(struct client *client, cJSON *vms, bool json)
{
	cJSON *vm = vms->child, *next;
	char name[NAME_BYTES];
	int code = EXIT_OK;

	for (; vm != NULL; vm = next) {
		const char *given = field_text(vm, "name");
		int r = client->api.fd < 0 ? -1 : prune_one(client, vm);

		next = vm->next;
		text_clean(given != NULL ? given : "?", name, sizeof(name));
		if (r < 0)
			code = EXIT_FAILED;
		if (r <= 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(vms, vm));
		else if (!json)
			printf("%s: deleted\n", name);
	}
	return code;
}

static int
print_dry_run(const struct client *client, const cJSON *vms)
{
	const cJSON *vm;
	char name[NAME_BYTES];

	cJSON_ArrayForEach(vm, vms) {
		const char *given = field_text(vm, "name");

		printf("%s: would be deleted\n", text_clean(given != NULL ?
		    given : "?", name, sizeof(name)));
	}
	return client_result(client, fflush(stdout) != 0 ? -EIO : 0);
}

/* VMS is not empty. The exit code. */
static int
prune(struct client *client, const struct args *args, cJSON *vms)
{
	bool json = args_has(args, FLAG_JSON);
	int code = EXIT_OK, r = 1;

	if (args_has(args, FLAG_DRY_RUN))
		return json ? client_result(client, show_json(stdout, vms)) :
		    print_dry_run(client, vms);
	if (!args_has(args, FLAG_FORCE))
		r = ask_first(vms);
	if (r < 0)
		return client_result(client, r);
	if (r == 0)
		return EXIT_FAILED;
	code = prune_all(client, vms, json);
	if (json)
		r = show_json(stdout, vms);
	else
		r = fflush(stdout) != 0 ? -EIO : 0;
	return r < 0 ? client_result(client, r) : code;
}

int
cmd_vm_prune(struct client *client, const struct args *args)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	_cleanup_json_ cJSON *vms = NULL;

	if (!args_has(args, FLAG_FORCE) && !args_has(args, FLAG_DRY_RUN) &&
	    isatty(STDIN_FILENO) != 1) {
		complain("vm prune: there is no terminal to ask on; --force "
		    "deletes without asking, --dry-run tells what");
		return EXIT_FAILED;
	}
	if (client_connect(client) < 0)
		return EXIT_FAILED;
	api_request(&request, "vm.list", NULL, NULL);
	if (client_call(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	vms = stopped_vms(cJSON_GetObjectItemCaseSensitive(reply.result,
	    "vms"));
	if (vms == NULL)
		return client_result(client, -ENOMEM);
	if (vms->child != NULL)
		return prune(client, args, vms);
	if (args_has(args, FLAG_JSON))
		return client_result(client, show_json(stdout, vms));
	printf("no VM is stopped\n");
	return client_result(client, fflush(stdout) != 0 ? -EIO : 0);
}
