/*
 * The row files are written and read by the same tables of names; a file of
 * another version is set aside by the store, since its meaning is unknown.
 */
#include "worker/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "base/le.h"
#include "base/stream.h"
#include "privsep/check.h"
#include "privsep/log.h"

static const char *const state_names[MACHINE_STATES] = {
	[MACHINE_STOPPED] = "stopped",
	[MACHINE_STARTING] = "starting",
	[MACHINE_RUNNING] = "running",
	[MACHINE_STOPPING] = "stopping",
};

static const char *const disk_names[DISK_BACKENDS] = {
	[DISK_COPY] = "copy",
	[DISK_REFLINK] = "reflink",
	[DISK_SNAPSHOT] = "snapshot",
};

void
machine_id_text(uint64_t id, char out[VM_ID_HEX + 1])
{
	snprintf(out, VM_ID_HEX + 1, "%012" PRIx64, id & VM_ID_MAX);
}

void
ipv4_text(uint32_t ipv4, char out[16])
{
	snprintf(out, 16, "%u.%u.%u.%u", ipv4 >> 24, ipv4 >> 16 & 255,
	    ipv4 >> 8 & 255, ipv4 & 255);
}

static void
mac_text(const uint8_t mac[6], char out[18])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
	    mac[2], mac[3], mac[4], mac[5]);
}

/* RFC 3339, UTC. */
static void
put_time(struct buf *buf, const char *key, uint64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char text[32];

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return;
	json_text(buf, key, text);
}

static int
copy_text(char *out, size_t size, const char *text)
{
	return format(out, size, "%s", text) < 0 ? -EINVAL : 0;
}

/* json_read, with the reason in the log. */
static int
read_fields(const char *name, const cJSON *tree,
    const struct json_field *fields, size_t count)
{
	char err[128];
	int r = json_read(tree, fields, count, err, sizeof(err));

	if (r < 0)
		log_error("store: row of %s: %s", name, err);
	return r;
}

static int
parse_id(const char *text, uint64_t *id)
{
	char again[VM_ID_HEX + 1];
	uint64_t value = strtoull(text, NULL, 16);

	machine_id_text(value, again);
	if (strcmp(text, again) != 0 || check_vm_id(value) < 0)
		return -EINVAL;
	*id = value;
	return 0;
}

/* The place of TEXT among COUNT names, or -EINVAL. */
static int
find_name(const char *text, const char *const *names, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -EINVAL;
}

/* The texts of a machine row between the tree and the row. */
struct machine_texts {
	const char *id, *name, *image, *kernel, *state, *disk, *exit;
	const char *last_error;
};

static int
take_machine_texts(const struct machine_texts *text, struct machine_row *row)
{
	int state = find_name(text->state, state_names, MACHINE_STATES);
	int disk = find_name(text->disk, disk_names, DISK_BACKENDS);

	if (state < 0 || disk < 0 || parse_id(text->id, &row->id) < 0 ||
	    check_host_label(text->name) < 0 ||
	    check_object_name(text->image) < 0 ||
	    check_object_name(text->kernel) < 0 ||
	    copy_text(row->name, sizeof(row->name), text->name) < 0 ||
	    copy_text(row->image, sizeof(row->image), text->image) < 0 ||
	    copy_text(row->kernel, sizeof(row->kernel), text->kernel) < 0 ||
	    copy_text(row->exit, sizeof(row->exit), text->exit) < 0 ||
	    copy_text(row->last_error, sizeof(row->last_error),
	    text->last_error) < 0)
		return -EINVAL;
	row->state = (enum machine_state)state;
	row->disk = (enum disk_backend)disk;
	return 0;
}

int
machine_row_read(const char *name, const cJSON *tree, struct machine_row *out)
{
	struct machine_texts text = { .exit = "", .last_error = "" };
	struct machine_row row = { .id = 0 };
	uint32_t version = 0;
	uint64_t mac = 0;
	const struct json_field fields[] = {
		{ "version", JSON_U32, true, ROW_VERSION, ROW_VERSION,
		    &version },
		{ "id", JSON_TEXT, true, 0, 0, &text.id },
		{ "name", JSON_TEXT, true, 0, 0, &text.name },
		{ "image", JSON_TEXT, true, 0, 0, &text.image },
		{ "kernel", JSON_TEXT, true, 0, 0, &text.kernel },
		{ "state", JSON_TEXT, true, 0, 0, &text.state },
		{ "vcpus", JSON_U32, true, 1, VCPU_MAX, &row.vcpus },
		{ "mem_mib", JSON_U32, true, MEM_MIB_MIN, MEM_MIB_MAX,
		    &row.mem_mib },
		{ "disk_bytes", JSON_U64, true, 1, 0, &row.disk_bytes },
		{ "ipv4", JSON_U32, true, 0, 0, &row.ipv4 },
		{ "gateway", JSON_U32, true, 0, 0, &row.gateway },
		{ "prefix", JSON_U32, true, 0, 32, &row.prefix },
		{ "mac", JSON_U64, true, 0, VM_ID_MAX, &mac },
		{ "nat", JSON_BOOL, true, 0, 0, &row.nat },
		{ "init_none", JSON_BOOL, true, 0, 0, &row.init_none },
		{ "rm", JSON_BOOL, true, 0, 0, &row.rm },
		{ "kvm", JSON_BOOL, true, 0, 0, &row.kvm },
		{ "vmm", JSON_U32, true, VMM_QEMU, VMM_FIRECRACKER,
		    &row.vmm },
		{ "disk", JSON_TEXT, true, 0, 0, &text.disk },
		{ "restart_needed", JSON_BOOL, false, 0, 0,
		    &row.restart_needed },
		{ "created_s", JSON_U64, true, 0, 0, &row.created_s },
		{ "started_s", JSON_U64, true, 0, 0, &row.started_s },
		{ "exit", JSON_TEXT, false, 0, 0, &text.exit },
		{ "last_error", JSON_TEXT, false, 0, 0, &text.last_error },
	};
	char id[VM_ID_HEX + 1];
	size_t i;

	if (read_fields(name, tree, fields, ARRAY_SIZE(fields)) < 0 ||
	    take_machine_texts(&text, &row) < 0)
		return -EINVAL;
	machine_id_text(row.id, id);
	if (strcmp(id, name) != 0)
		return -EINVAL;
	for (i = 0; i < sizeof(row.mac); i++)
		row.mac[i] = (uint8_t)(mac >> (40 - 8 * i));
	*out = row;
	return 0;
}

void
machine_row_write(struct buf *buf, const struct machine_row *row)
{
	char id[VM_ID_HEX + 1];
	uint64_t mac = 0;
	size_t i;

	for (i = 0; i < sizeof(row->mac); i++)
		mac = mac << 8 | row->mac[i];
	machine_id_text(row->id, id);
	json_open(buf, NULL, '{');
	json_number(buf, "version", ROW_VERSION);
	json_text(buf, "id", id);
	json_text(buf, "name", row->name);
	json_text(buf, "image", row->image);
	json_text(buf, "kernel", row->kernel);
	json_text(buf, "state", state_names[row->state]);
	json_number(buf, "vcpus", row->vcpus);
	json_number(buf, "mem_mib", row->mem_mib);
	json_number(buf, "disk_bytes", row->disk_bytes);
	json_number(buf, "ipv4", row->ipv4);
	json_number(buf, "gateway", row->gateway);
	json_number(buf, "prefix", row->prefix);
	json_number(buf, "mac", mac);
	json_bool(buf, "nat", row->nat);
	json_bool(buf, "init_none", row->init_none);
	json_bool(buf, "rm", row->rm);
	json_bool(buf, "kvm", row->kvm);
	json_number(buf, "vmm", row->vmm);
	json_text(buf, "disk", disk_names[row->disk]);
	json_bool(buf, "restart_needed", row->restart_needed);
	json_number(buf, "created_s", row->created_s);
	json_number(buf, "started_s", row->started_s);
	json_text(buf, "exit", row->exit);
	json_text(buf, "last_error", row->last_error);
	json_close(buf, '}');
	buf_puts(buf, "\n");
}

static void
show_network(struct buf *buf, const struct machine_row *row)
{
	static const uint8_t no_mac[6];
	char text[18];

	if (row->ipv4 != 0) {
		ipv4_text(row->ipv4, text);
		json_text(buf, "ip", text);
	}
	if (row->gateway != 0) {
		ipv4_text(row->gateway, text);
		json_text(buf, "gateway", text);
	}
	if (memcmp(row->mac, no_mac, sizeof(no_mac)) != 0) {
		mac_text(row->mac, text);
		json_text(buf, "mac", text);
	}
}

void
machine_row_name(struct buf *buf, const struct machine_row *row)
{
	char id[VM_ID_HEX + 1];

	machine_id_text(row->id, id);
	json_text(buf, "id", id);
	json_text(buf, "name", row->name);
	json_text(buf, "state", state_names[row->state]);
}

void
machine_row_show(struct buf *buf, const char *key,
    const struct machine_row *row, int32_t pid)
{
	json_open(buf, key, '{');
	machine_row_name(buf, row);
	json_text(buf, "image", row->image);
	json_text(buf, "kernel", row->kernel);
	json_number(buf, "vcpu", row->vcpus);
	json_number(buf, "memory_mib", row->mem_mib);
	json_number(buf, "disk_size_bytes", row->disk_bytes);
	json_bool(buf, "nat", row->nat);
	json_text(buf, "init", row->init_none ? "none" : "image");
	json_bool(buf, "rm", row->rm);
	if (row->restart_needed)
		json_bool(buf, "restart_needed", true);
	show_network(buf, row);
	json_text(buf, "vmm", row->vmm == VMM_FIRECRACKER ? "firecracker" :
	    "qemu");
	json_text(buf, "accel", row->kvm ? "kvm" : "tcg");
	json_text(buf, "disk_backend", disk_names[row->disk]);
	if (row->disk_error[0] != '\0')
		json_text(buf, "disk_error", row->disk_error);
	put_time(buf, "created", row->created_s);
	if (row->started_s != 0)
		put_time(buf, "started", row->started_s);
	if (pid > 0)
		json_number(buf, "pid", (uint64_t)pid);
	if (row->exit[0] != '\0')
		json_text(buf, "exit", row->exit);
	if (row->last_error[0] != '\0')
		json_text(buf, "last_error", row->last_error);
	json_close(buf, '}');
}

int
image_config_copy(const cJSON *config, char **out)
{
	const char *user, *workdir;
	const cJSON *env, *entrypoint, *cmd;
	const struct json_field fields[] = {
		{ "user", JSON_TEXT, true, 0, EXEC_USER_MAX, &user },
		{ "workdir", JSON_TEXT, true, 0, EXEC_CWD_MAX, &workdir },
		{ "env", JSON_TEXTS, true, 0, 0, &env },
		{ "entrypoint", JSON_TEXTS, true, 0, 0, &entrypoint },
		{ "cmd", JSON_TEXTS, true, 0, 0, &cmd },
	};

	if (read_fields("an image's configuration", config, fields,
	    ARRAY_SIZE(fields)) < 0)
		return -EINVAL;
	*out = cJSON_PrintUnformatted(config);
	return *out != NULL ? 0 : -ENOMEM;
}

int
image_row_read(const char *name, const cJSON *tree, struct image_row *out)
{
	struct image_row row = { .size_bytes = 0 };
	const char *own_name, *digest = "", *reference = "", *kernel = "";
	const char *file = name, *checksum = NULL;
	const cJSON *config = NULL;
	uint8_t sha256[DIGEST_BYTES], crc[8];
	uint32_t version = 0;
	const struct json_field fields[] = {
		{ "version", JSON_U32, true, ROW_VERSION, ROW_VERSION,
		    &version },
		{ "name", JSON_TEXT, true, 0, 0, &own_name },
		{ "file", JSON_TEXT, false, 0, 0, &file },
		{ "kernel", JSON_TEXT, false, 0, 0, &kernel },
		{ "checksum", JSON_TEXT, false, 0, 0, &checksum },
		{ "size_bytes", JSON_U64, true, 1, 0, &row.size_bytes },
		{ "content_bytes", JSON_U64, true, 0, 0, &row.content_bytes },
		{ "entries", JSON_U64, true, 0, 0, &row.entries },
		{ "has_init", JSON_BOOL, true, 0, 0, &row.has_init },
		{ "layers", JSON_U32, false, 0, 0, &row.layers },
		{ "digest", JSON_TEXT, false, 0, 0, &digest },
		{ "reference", JSON_TEXT, false, 0, 0, &reference },
		{ "config", JSON_OBJECT, false, 0, 0, &config },
		{ "created_s", JSON_U64, true, 0, 0, &row.created_s },
	};

	if (read_fields(name, tree, fields, ARRAY_SIZE(fields)) < 0 ||
	    check_object_name(own_name) < 0 || strcmp(name, own_name) != 0 ||
	    copy_text(row.name, sizeof(row.name), own_name) < 0 ||
	    check_object_name(file) < 0 ||
	    copy_text(row.file, sizeof(row.file), file) < 0 ||
	    (kernel[0] != '\0' && check_object_name(kernel) < 0) ||
	    copy_text(row.kernel, sizeof(row.kernel), kernel) < 0 ||
	    (checksum != NULL && hex_parse(checksum, crc, sizeof(crc)) < 0) ||
	    (digest[0] != '\0' && digest_parse(digest, sha256) < 0) ||
	    copy_text(row.digest, sizeof(row.digest), digest) < 0 ||
	    copy_text(row.reference, sizeof(row.reference), reference) < 0 ||
	    (config != NULL && image_config_copy(config, &row.config) < 0))
		return -EINVAL;
	row.has_checksum = checksum != NULL;
	if (row.has_checksum)
		row.checksum = get_le64(crc);
	*out = row;
	return 0;
}

/* What both the file and the API have of where it is from and belongs to. */
static void
put_origin(struct buf *buf, const struct image_row *row)
{
	if (row->kernel[0] != '\0')
		json_text(buf, "kernel", row->kernel);
	if (row->layers != 0)
		json_number(buf, "layers", row->layers);
	if (row->digest[0] != '\0')
		json_text(buf, "digest", row->digest);
	if (row->reference[0] != '\0')
		json_text(buf, "reference", row->reference);
}

static void
put_config(struct buf *buf, const struct image_row *row)
{
	if (row->config != NULL)
		json_raw(buf, "config", row->config);
}

void
image_row_write(struct buf *buf, const struct image_row *row)
{
	char checksum[2 * 8 + 1];
	uint8_t crc[8];

	json_open(buf, NULL, '{');
	json_number(buf, "version", ROW_VERSION);
	json_text(buf, "name", row->name);
	json_text(buf, "file", row->file);
	json_number(buf, "size_bytes", row->size_bytes);
	json_number(buf, "content_bytes", row->content_bytes);
	json_number(buf, "entries", row->entries);
	json_bool(buf, "has_init", row->has_init);
	if (row->has_checksum) {
		put_le64(crc, row->checksum);
		hex_write(crc, sizeof(crc), checksum);
		json_text(buf, "checksum", checksum);
	}
	put_origin(buf, row);
	put_config(buf, row);
	json_number(buf, "created_s", row->created_s);
	json_close(buf, '}');
	buf_puts(buf, "\n");
}

void
image_row_show(struct buf *buf, const char *key, const struct image_row *row,
    bool config)
{
	json_open(buf, key, '{');
	json_text(buf, "name", row->name);
	json_number(buf, "size_bytes", row->size_bytes);
	json_number(buf, "content_bytes", row->content_bytes);
	json_number(buf, "entries", row->entries);
	json_bool(buf, "has_init", row->has_init);
	put_origin(buf, row);
	if (config)
		put_config(buf, row);
	put_time(buf, "created", row->created_s);
	json_close(buf, '}');
}

int
kernel_row_read(const char *name, const cJSON *tree, struct kernel_row *out)
{
	/* Rows without the members are older: they were required, or not known. */
	struct kernel_row row = { .vsock = true, .acpi = true };
	const char *own_name, *kernel_version, *agent;
	uint32_t version = 0;
	const struct json_field fields[] = {
		{ "version", JSON_U32, true, ROW_VERSION, ROW_VERSION,
		    &version },
		{ "name", JSON_TEXT, true, 0, 0, &own_name },
		{ "kernel_version", JSON_TEXT, true, 0, 0, &kernel_version },
		{ "modules", JSON_U64, true, 0, 0, &row.modules },
		{ "vmlinuz_bytes", JSON_U64, true, 0, 0, &row.vmlinuz_bytes },
		{ "vmlinux_bytes", JSON_U64, true, 0, 0, &row.vmlinux_bytes },
		{ "initrd_bytes", JSON_U64, true, 1, 0, &row.initrd_bytes },
		{ "initrd_modules_bytes", JSON_U64, true, 0, 0,
		    &row.initrd_modules_bytes },
		{ "pvh", JSON_BOOL, true, 0, 0, &row.pvh },
		{ "vsock", JSON_BOOL, false, 0, 0, &row.vsock },
		{ "acpi", JSON_BOOL, false, 0, 0, &row.acpi },
		{ "agent", JSON_TEXT, true, 0, 0, &agent },
		{ "created_s", JSON_U64, true, 0, 0, &row.created_s },
	};

	if (read_fields(name, tree, fields, ARRAY_SIZE(fields)) < 0 ||
	    check_object_name(own_name) < 0 || strcmp(name, own_name) != 0 ||
	    copy_text(row.name, sizeof(row.name), own_name) < 0 ||
	    copy_text(row.version, sizeof(row.version), kernel_version) < 0 ||
	    copy_text(row.agent, sizeof(row.agent), agent) < 0)
		return -EINVAL;
	*out = row;
	return 0;
}

void
kernel_row_write(struct buf *buf, const struct kernel_row *row)
{
	json_open(buf, NULL, '{');
	json_number(buf, "version", ROW_VERSION);
	json_text(buf, "name", row->name);
	json_text(buf, "kernel_version", row->version);
	json_number(buf, "modules", row->modules);
	json_number(buf, "vmlinuz_bytes", row->vmlinuz_bytes);
	json_number(buf, "vmlinux_bytes", row->vmlinux_bytes);
	json_number(buf, "initrd_bytes", row->initrd_bytes);
	json_number(buf, "initrd_modules_bytes", row->initrd_modules_bytes);
	json_bool(buf, "pvh", row->pvh);
	json_bool(buf, "vsock", row->vsock);
	json_bool(buf, "acpi", row->acpi);
	json_text(buf, "agent", row->agent);
	json_number(buf, "created_s", row->created_s);
	json_close(buf, '}');
	buf_puts(buf, "\n");
}

void
kernel_row_show(struct buf *buf, const char *key, const struct kernel_row *row)
{
	json_open(buf, key, '{');
	json_text(buf, "name", row->name);
	json_text(buf, "version", row->version);
	json_number(buf, "modules", row->modules);
	json_number(buf, "vmlinuz_bytes", row->vmlinuz_bytes);
	json_number(buf, "vmlinux_bytes", row->vmlinux_bytes);
	json_number(buf, "initrd_bytes", row->initrd_bytes);
	json_bool(buf, "pvh", row->pvh);
	json_bool(buf, "vsock", row->vsock);
	json_bool(buf, "acpi", row->acpi);
	put_time(buf, "created", row->created_s);
	json_close(buf, '}');
}
