/*
 * The JSON of a container image with one layer, as the OCI image-spec 1.1 wants
 * it: what oci.h reads, the other way round.
 */
#ifndef BANGER_IMAGE_OCI_WRITE_H
#define BANGER_IMAGE_OCI_WRITE_H

#include "base/buf.h"
#include "base/json.h"
#include "image/oci_layer.h"

/*
 * All of these append a document to OUT, whose `failed` tells that it did not
 * fit. CONFIG is what an image is to run, as oci_config_read writes it, or NULL.
 */
void	 oci_write_config(struct buf *out, const struct oci_layer *layer,
	    const cJSON *config);
void	 oci_write_manifest(struct buf *out, const struct oci_blob *config,
	    const struct oci_layer *layer);

/* NAME is what tools that read the layout call the image. */
void	 oci_write_index(struct buf *out, const struct oci_blob *manifest,
	    const char *name);

/* The file oci-layout, which tells that a directory is one. */
extern const char oci_layout_file[];

#endif
