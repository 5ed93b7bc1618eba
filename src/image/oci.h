/*
 * What container images say of themselves, in JSON: indexes, manifests and
 * configurations, of the OCI image-spec 1.1 and of Docker's image manifest
 * version 2, schema 2, which differ in their media types alone.
 *
 * All of it is a stranger's: members are looked for, checked one by one and
 * bounded, and what is not asked for is ignored, as both specifications want.
 */
#ifndef BANGER_IMAGE_OCI_H
#define BANGER_IMAGE_OCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"

enum {
	OCI_JSON_MAX = 4 << 20,		/* bytes of one document, as registries' */
	OCI_LAYERS_MAX = 512,
	OCI_CONFIG_MAX = 32 << 10,	/* bytes that are kept of a configuration */
};

/* A blob as a descriptor names it. */
struct oci_blob {
	uint8_t sha256[DIGEST_BYTES];
	uint64_t size;
};

enum oci_kind { OCI_INDEX, OCI_MANIFEST };

struct oci_manifest {
	struct oci_blob config;
	struct oci_blob layers[OCI_LAYERS_MAX];	/* the lowest first */
	uint32_t layer_count;
};

/* The uncompressed layers' digests, as a configuration lists them. */
struct oci_diff_ids {
	uint8_t sha256[OCI_LAYERS_MAX][DIGEST_BYTES];
	uint32_t count;
};

/*
 * All of these: 0, or -errno with a line in ERR: -EBADMSG when TEXT is not what
 * it should be, -ENOTSUP when it is something else than an image for Linux on
 * this processor.
 */

/* What TEXT is, by its media type or by its members. */
int	 oci_kind(const char *text, size_t len, enum oci_kind *kind, char *err,
	    size_t err_size);

/* The only manifest (or index) in index TEXT that is for this processor. */
int	 oci_index_pick(const char *text, size_t len, struct oci_blob *out,
	    char *err, size_t err_size);

/* What a manifest is of: its configuration and its layers. */
int	 oci_manifest_read(const char *text, size_t len,
	    struct oci_manifest *out, char *err, size_t err_size);

/*
 * Takes from a configuration the layers' digests (DIFF_IDS may be NULL), and
 * appends to CONFIG what a container is to run: one JSON object with "user",
 * "workdir", "env", "entrypoint" and "cmd", all of them, in this order.
 */
int	 oci_config_read(const char *text, size_t len,
	    struct oci_diff_ids *diff_ids, struct buf *config, char *err,
	    size_t err_size);

#endif
