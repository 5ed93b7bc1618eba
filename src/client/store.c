/*
 * Images and kernels: what VMs are made of. The user's file is opened here,
 * with the user's rights, and goes to the worker as an fd.
 */
#include <string.h>

#include "client/image_source.h"
#include "client/kernel_source.h"
#include "client/objects.h"
#include "client/text.h"
#include "privsep/check.h"

static const struct field image_fields[] = {
	{ "name", "NAME", FIELD_TEXT },
	{ "size_bytes", "SIZE", FIELD_BYTES },
	{ "content_bytes", "CONTENT", FIELD_BYTES },
	{ "entries", "ENTRIES", FIELD_NUMBER },
	{ "has_init", "INIT", FIELD_BOOL },
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

static bool
is_false(const cJSON *object, const char *member)
{
	return cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(object, member));
}

/* What a kernel, if RESULT is about one, cannot be used for. */
static void
warn_of_limits(const struct client *client, const char *name,
    const cJSON *result)
{
	const cJSON *kernel = cJSON_GetObjectItemCaseSensitive(result,
	    "kernel");
	const cJSON *vmlinuz = cJSON_GetObjectItemCaseSensitive(kernel,
	    "vmlinuz_bytes");

	if (is_false(kernel, "vsock"))
		complain("%s: %s: has no vmw_vsock_virtio_transport: it boots "
		    "under QEMU, not under Firecracker",
		    client->command->name, name);
	if (is_false(kernel, "acpi"))
		complain("%s: %s: has no CONFIG_ACPI: it boots under "
		    "Firecracker, not under QEMU", client->command->name, name);
	if (is_false(kernel, "pvh") && cJSON_IsNumber(vmlinuz) &&
	    vmlinuz->valuedouble <= 0)
		complain("%s: %s: has no CONFIG_PVH: it boots under "
		    "Firecracker, not under QEMU", client->command->name, name);
}

/* Sends FD to be imported as NAME and tells what became of it. */
static int
import(struct client *client, const struct kind *kind, const char *op,
    const char *name, int fd)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	api_request(&request, op, "name", name);
	if (client_call_progress(client, &request, fd, 0, &reply) < 0)
		return EXIT_FAILED;
	warn_of_limits(client, name, reply.result);
	return objects_done(client, reply.result, kind, "imported");
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
	return import(client, &image_kind, "image.import", name, source.fd);
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
	return import(client, &kernel_kind, "kernel.import", name, source.fd);
}
