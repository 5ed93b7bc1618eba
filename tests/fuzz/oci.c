/*
 * What a container image says of itself: index, manifest and configuration, and a
 * whole archive of them. What is taken must be within its bounds, and a
 * configuration comes out as the worker takes it.
 */
#include "fuzz.h"

#include "image/image_file.h"
#include "image/oci.h"
#include "image/oci_archive.h"
#include "privsep/log.h"
#include "worker/rows.h"

static void
documents(const char *text, size_t len)
{
	static struct oci_manifest manifest;
	static struct oci_diff_ids ids;
	struct buf config = BUF_INIT(OCI_CONFIG_MAX);
	struct oci_blob blob;
	enum oci_kind kind;
	char err[256] = "", *copy = NULL;
	cJSON *tree;

	if (oci_kind(text, len, &kind, err, sizeof(err)) == 0)
		must(kind == OCI_INDEX || kind == OCI_MANIFEST);
	else
		must(err[0] != '\0');
	(void)oci_index_pick(text, len, &blob, err, sizeof(err));
	if (oci_manifest_read(text, len, &manifest, err, sizeof(err)) == 0)
		must(manifest.layer_count > 0 &&
		    manifest.layer_count <= OCI_LAYERS_MAX &&
		    manifest.config.size <= OCI_JSON_MAX);
	if (oci_config_read(text, len, &ids, &config, err, sizeof(err)) == 0) {
		must(ids.count <= OCI_LAYERS_MAX);
		tree = json_parse(config.data, config.len);
		must(tree != NULL);
		if (image_config_copy(tree, &copy) == 0)
			must(strlen(copy) <= 2 * OCI_CONFIG_MAX);
		free(copy);
		cJSON_Delete(tree);
	}
	buf_free(&config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	log_init("fuzz", LOG_ERROR);
	documents((const char *)data, len);
	(void)oci_archive_is(data, len);
	return 0;
}
