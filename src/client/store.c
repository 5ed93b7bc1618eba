/*
 * Images and kernels: what VMs are made of. The user's file is opened here,
 * with the user's rights, and goes to the worker as an fd.
 */
#include <string.h>

#include "client/catalog_open.h"
#include "client/image_source.h"
#include "client/kernel_ext4.h"
#include "client/kernel_source.h"
#include "client/objects.h"
#include "client/store.h"
#include "client/text.h"
#include "privsep/check.h"

static const struct field image_fields[] = {
	{ "name", "NAME", FIELD_TEXT },
	{ "size_bytes", "SIZE", FIELD_BYTES },
	{ "content_bytes", "CONTENT", FIELD_BYTES },
	{ "entries", "ENTRIES", FIELD_NUMBER },
	{ "has_init", "INIT", FIELD_BOOL },
	{ "kernel", NULL, FIELD_TEXT },
	{ "layers", NULL, FIELD_NUMBER },
	{ "digest", NULL, FIELD_TEXT },
	{ "reference", NULL, FIELD_TEXT },
	{ "created", "AGE", FIELD_AGE },
	{ NULL, NULL, FIELD_TEXT },
};

static const struct field kernel_fields[] = {
	{ "name", "NAME", FIELD_TEXT },
	{ "version", "VERSION", FIELD_TEXT },
	{ "modules", "MODULES", FIELD_NUMBER },
	{ "vmlinuz_bytes", NULL, FIELD_BYTES },
	{ "vmlinux_bytes", "VMLINUX", FIELD_BYTES },
	{ "initrd_bytes", "INITRD", FIELD_BYTES },
	{ "pvh", NULL, FIELD_BOOL },
	{ "vsock", NULL, FIELD_BOOL },
	{ "acpi", NULL, FIELD_BOOL },
	{ "created", "AGE", FIELD_AGE },
	{ NULL, NULL, FIELD_TEXT },
};

const struct kind image_kind = { "image", "images", image_fields };
const struct kind kernel_kind = { "kernel", "kernels", kernel_fields };

static const struct field catalog_fields[] = {
	{ "name", "NAME", FIELD_TEXT },
	{ "default", "DEFAULT", FIELD_BOOL },
	{ "here", "HERE", FIELD_BOOL },
	{ "size_bytes", "SIZE", FIELD_BYTES },
	{ "from", "FROM", FIELD_TEXT },
	{ NULL, NULL, FIELD_TEXT },
};

/* Whether LIST, the daemon's, has NAME. */
static bool
has_name(const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) {
		const char *text = field_text(item, "name");

		if (text != NULL && strcmp(text, name) == 0)
			return true;
	}
	return false;
}

static void
put_entry(struct buf *buf, const struct catalog_entry *entry, bool here)
{
	json_open(buf, NULL, '{');
	json_text(buf, "name", entry->name);
	json_bool(buf, "default", entry->is_default);
	json_bool(buf, "here", here);
	json_text(buf, "from", entry->reference != NULL ? entry->reference :
	    entry->url);
	if (entry->url != NULL) {
		json_number(buf, "size_bytes", entry->size_bytes);
		json_text(buf, "sha256", entry->sha256);
	}
	json_close(buf, '}');
}

/* `KIND catalog`: LIST is of the catalogue. */
static int
show_catalog(struct client *client, const struct args *args,
    const struct kind *kind, const cJSON *list)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	_cleanup_buf_ struct buf text = BUF_INIT(4 << 20);
	_cleanup_json_ cJSON *shown = NULL;
	const cJSON *item;

	if (objects_ask(client, kind, "list", NULL, &reply) < 0)
		return EXIT_FAILED;
	json_open(&text, NULL, '[');
	cJSON_ArrayForEach(item, list) {
		struct catalog_entry entry;

		catalog_entry(item, &entry);
		put_entry(&text, &entry, has_name(
		    cJSON_GetObjectItemCaseSensitive(reply.result,
		    kind->list_key), entry.name));
	}
	json_close(&text, ']');
	shown = text.failed ? NULL : json_parse_array(text.data, text.len);
	return client_result(client, shown == NULL ? -ENOMEM :
	    show_list(stdout, shown, catalog_fields, args_has(args, FLAG_JSON),
	    time(NULL)));
}

int
cmd_image_catalog(struct client *client, const struct args *args)
{
	struct catalog catalog _cleanup_catalog_ = { 0 };

	if (client_connect(client) < 0 ||
	    catalog_open(client, args, &catalog) < 0)
		return EXIT_FAILED;
	return show_catalog(client, args, &image_kind, catalog.images);
}

int
cmd_kernel_catalog(struct client *client, const struct args *args)
{
	struct catalog catalog _cleanup_catalog_ = { 0 };

	if (client_connect(client) < 0 ||
	    catalog_open(client, args, &catalog) < 0)
		return EXIT_FAILED;
	return show_catalog(client, args, &kernel_kind, catalog.kernels);
}

int
cmd_image_list(struct client *client, const struct args *args)
{
	return objects_list(client, args, &image_kind);
}

int
cmd_image_show(struct client *client, const struct args *args)
{
	return objects_show(client, args, &image_kind);
}

/* Takes the kernel away again that was imported for an image. */
static void
delete_kernel(struct client *client, const char *name)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	if (client->api.fd < 0)
		return;
	api_request(&request, "kernel.delete", "kernel", name);
	(void)client_call(client, &request, -1, 0, &reply);
}

/*
 * Imports the kernel that is in the file system IMAGE_FD as NAME. 1, or 0 and there
 * is none, or -1 after a complaint.
 */
static int
import_own_kernel(struct client *client, int image_fd, const char *name)
{
	struct source_fd source _cleanup_source_ = SOURCE_FD_NONE;
	char err[API_TEXT_MAX] = "";

	if (kernel_ext4_open(&source, image_fd, err) < 0) {
		complain("image register: %s: the default kernel boots it, "
		    "unless told otherwise", err);
		return 0;
	}
	return store_import(client, &kernel_kind, name, NULL, source.fd,
	    "kernel imported") == EXIT_OK ? 1 : -1;
}

int
cmd_image_register(struct client *client, const struct args *args)
{
	const char *name = args_value(args, FLAG_NAME);
	const char *kernel = args_value(args, FLAG_KERNEL);
	struct source_fd source _cleanup_source_ = SOURCE_FD_NONE;
	char err[API_TEXT_MAX] = "";
	int own = 0, code;

	if (name == NULL)
		return usage_error(client, "--name is missing: `banger image "
		    "register --name N %s`", args->words[0]);
	if (image_source_open(&source, args->words[0], err) < 0) {
		complain("image register: %s", err);
		return EXIT_FAILED;
	}
	if (source.packer != 0 || !kernel_ext4_is(source.fd)) {
		complain("image register: %s: not an ext4 file system; `banger "
		    "image import` takes others", args->words[0]);
		return EXIT_FAILED;
	}
	/* Neither an image nor a kernel of that name is to be half there. */
	if (store_new_image(client, name) < 0)
		return EXIT_FAILED;
	if (kernel == NULL)
		own = import_own_kernel(client, source.fd, name);
	if (own < 0)
		return EXIT_FAILED;
	code = store_import(client, &image_kind, name, own == 1 ? name :
	    kernel, source.fd, "registered");
	if (code != EXIT_OK && own == 1)
		delete_kernel(client, name);
	return code;
}

int
cmd_image_promote(struct client *client, const struct args *args)
{
	const char *name = args_value(args, FLAG_NAME);
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	if (name == NULL)
		return usage_error(client, "--name is missing: `banger image "
		    "promote --name N %s`", args->words[0]);
	if (client_connect(client) < 0)
		return EXIT_FAILED;
	api_request(&request, "image.promote", "vm", args->words[0]);
	json_text(&request, "name", name);
	if (client_call_progress(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	return objects_done(client, reply.result, &image_kind, "promoted");
}

int
cmd_image_tag(struct client *client, const struct args *args)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	if (client_connect(client) < 0)
		return EXIT_FAILED;
	api_request(&request, "image.tag", "image", args->words[0]);
	json_text(&request, "name", args->words[1]);
	if (client_call(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	return objects_done(client, reply.result, &image_kind, "tagged");
}

static int
verify(struct client *client, const char *name)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	api_request(&request, "image.verify", "image", name);
	if (client_call_progress(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	return objects_done(client, reply.result, &image_kind, "verified");
}

int
cmd_image_verify(struct client *client, const struct args *args)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	const cJSON *image;
	int code = EXIT_OK;
	size_t i;

	if (client_connect(client) < 0)
		return EXIT_FAILED;
	for (i = 0; i < args->word_count && client->api.fd >= 0; i++)
		if (verify(client, args->words[i]) != EXIT_OK)
			code = EXIT_FAILED;
	if (args->word_count > 0)
		return code;
	api_request(&request, "image.list", NULL, NULL);
	if (client_call(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	cJSON_ArrayForEach(image, cJSON_GetObjectItemCaseSensitive(
	    reply.result, "images")) {
		const char *name = field_text(image, "name");

		if (client->api.fd >= 0 && (name == NULL ||
		    verify(client, name) != EXIT_OK))
			code = EXIT_FAILED;
	}
	return code;
}

int
cmd_image_delete(struct client *client, const struct args *args)
{
	return objects_each(client, args, &(struct batch){ .kind = &image_kind,
	    .op = "image.delete", .done = "deleted" });
}

int
cmd_kernel_list(struct client *client, const struct args *args)
{
	return objects_list(client, args, &kernel_kind);
}

int
cmd_kernel_show(struct client *client, const struct args *args)
{
	return objects_show(client, args, &kernel_kind);
}

int
cmd_kernel_delete(struct client *client, const struct args *args)
{
	return objects_each(client, args, &(struct batch){ .kind = &kernel_kind,
	    .op = "kernel.delete", .done = "deleted" });
}

/* Whether NAME may become an image's or a kernel's; complained about. */
static bool
good_name(const struct client *client, const char *name)
{
	if (check_object_name(name) == 0)
		return true;
	complain("%s: --name %s: not a name (1 to 63 of a-z, 0-9, '.', '_' and "
	    "'-', beginning with a letter or digit)", client->command->name,
	    name);
	return false;
}

int
store_import(struct client *client, const struct kind *kind, const char *name,
    const char *kernel, int fd, const char *done)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	api_request(&request, kind == &image_kind ? "image.import" :
	    "kernel.import", "name", name);
	if (kernel != NULL)
		json_text(&request, "kernel", kernel);
	if (client_call_progress(client, &request, fd, 0, &reply) < 0)
		return EXIT_FAILED;
	return objects_done(client, reply.result, kind, done);
}

int
store_new_image(struct client *client, const char *name)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	int r;

	if (!good_name(client, name))
		return -EINVAL;
	r = client_connect(client);
	if (r < 0)
		return r;
	api_request(&request, "image.show", "image", name);
	r = api_call(&client->api, &request, -1, 0, NULL, NULL, &reply);
	if (r < 0)
		return client_outcome(r, &reply);
	if (reply.result == NULL && strcmp(reply.code, "not-found") == 0)
		return 0;
	if (reply.result == NULL)
		return client_outcome(r, &reply);
	complain("%s: image %s: exists; delete it first or take another name",
	    client->command->name, name);
	return -EEXIST;
}

int
cmd_image_import(struct client *client, const struct args *args)
{
	const char *name = args_value(args, FLAG_NAME);
	struct source_fd source _cleanup_source_ = SOURCE_FD_NONE;
	char err[API_TEXT_MAX] = "";

	if (name == NULL)
		return usage_error(client, "--name is missing: `banger image "
		    "import --name N %s`", args->words[0]);
	if (!good_name(client, name))
		return EXIT_FAILED;
	if (image_source_open(&source, args->words[0], err) < 0) {
		complain("image import: %s", err);
		return EXIT_FAILED;
	}
	if (client_connect(client) < 0)
		return EXIT_FAILED;
	return store_import(client, &image_kind, name,
	    args_value(args, FLAG_KERNEL), source.fd, "imported");
}

int
cmd_kernel_import(struct client *client, const struct args *args)
{
	const char *name = args_value(args, FLAG_NAME);
	struct source_fd source _cleanup_source_ = SOURCE_FD_NONE;
	char err[API_TEXT_MAX];

	if (name == NULL)
		name = "default";
	if (!good_name(client, name))
		return EXIT_FAILED;
	if (kernel_source_open(&source, args->words,
	    args_value(args, FLAG_MODULES), err) < 0) {
		complain("kernel import: %s", err);
		return EXIT_FAILED;
	}
	if (client_connect(client) < 0)
		return EXIT_FAILED;
	return store_import(client, &kernel_kind, name, NULL, source.fd,
	    "imported");
}
