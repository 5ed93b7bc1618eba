#include "image/oci_write.h"

#define MEDIA "application/vnd.oci.image."

const char oci_layout_file[] = "{\"imageLayoutVersion\":\"1.0.0\"}\n";

/* A descriptor's members; it stays open. */
static void
put_descriptor(struct buf *out, const char *key, const char *type,
    const struct oci_blob *blob)
{
	char digest[DIGEST_TEXT];

	digest_text(blob->sha256, digest);
	json_open(out, key, '{');
	json_text(out, "mediaType", type);
	json_text(out, "digest", digest);
	json_number(out, "size", blob->size);
}

/* CONFIG's member FROM as TO. */
static void
put_member(struct buf *out, const cJSON *config, const char *from,
    const char *to)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(config, from);
	char *text;

	if (member == NULL || (cJSON_IsArray(member) &&
	    cJSON_GetArraySize(member) == 0) || (cJSON_IsString(member) &&
	    member->valuestring[0] == '\0'))
		return;
	text = cJSON_PrintUnformatted(member);
	if (text == NULL)
		out->failed = true;
	else
		json_raw(out, to, text);
	cJSON_free(text);
}

void
oci_write_config(struct buf *out, const struct oci_layer *layer,
    const cJSON *config)
{
	char digest[DIGEST_TEXT];

	digest_text(layer->diff_id, digest);
	json_open(out, NULL, '{');
	json_text(out, "architecture", "amd64");
	json_text(out, "os", "linux");
	json_open(out, "config", '{');
	put_member(out, config, "user", "User");
	put_member(out, config, "workdir", "WorkingDir");
	put_member(out, config, "env", "Env");
	put_member(out, config, "entrypoint", "Entrypoint");
	put_member(out, config, "cmd", "Cmd");
	json_close(out, '}');
	json_open(out, "rootfs", '{');
	json_text(out, "type", "layers");
	json_open(out, "diff_ids", '[');
	json_text(out, NULL, digest);
	json_close(out, ']');
	json_close(out, '}');
	json_close(out, '}');
}

void
oci_write_manifest(struct buf *out, const struct oci_blob *config,
    const struct oci_layer *layer)
{
	json_open(out, NULL, '{');
	json_number(out, "schemaVersion", 2);
	json_text(out, "mediaType", MEDIA "manifest.v1+json");
	put_descriptor(out, "config", MEDIA "config.v1+json", config);
	json_close(out, '}');
	json_open(out, "layers", '[');
	put_descriptor(out, NULL, MEDIA "layer.v1.tar+gzip", &layer->blob);
	json_close(out, '}');
	json_close(out, ']');
	json_close(out, '}');
}

void
oci_write_index(struct buf *out, const struct oci_blob *manifest,
    const char *name)
{
	json_open(out, NULL, '{');
	json_number(out, "schemaVersion", 2);
	json_text(out, "mediaType", MEDIA "index.v1+json");
	json_open(out, "manifests", '[');
	put_descriptor(out, NULL, MEDIA "manifest.v1+json", manifest);
	json_open(out, "annotations", '{');
	json_text(out, "org.opencontainers.image.ref.name", name);
	json_close(out, '}');
	json_close(out, '}');
	json_close(out, ']');
	json_close(out, '}');
}
