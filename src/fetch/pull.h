/*
 * Pulls a container image's parts from a registry into a directory of blobs, each
 * named by its digest, and tells which it is made of. Runs in a process of its
 * own, which may open nothing outside that directory; what it tells is not
 * believed: whoever reads the blobs compares their digests once more.
 *
 * A blob under way is HEX.part, locked (flock(2)) by whoever gets it: others wait
 * until it is there. What is left of an interrupted one is gone on with.
 */
#ifndef BANGER_FETCH_PULL_H
#define BANGER_FETCH_PULL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/json.h"
#include "image/oci.h"

enum {
	/* Manifest, configuration, layers: in this order. */
	PULL_BLOBS_MAX = 2 + OCI_LAYERS_MAX,
	PULL_TEXT = 384,
	PULL_CA_MAX = 4 << 20,
};

enum pull_kind { PULL_PROGRESS = 1, PULL_BLOB, PULL_DONE, PULL_FAILED };

/* One record on the pipe, at most PIPE_BUF bytes, hence written whole. */
struct pull_record {
	uint32_t kind;			/* enum pull_kind */
	int32_t error;			/* PULL_FAILED: -errno */
	uint32_t index;			/* PULL_BLOB: which, counted up from 0 */
	uint32_t count;			/* layers of the image, once known */
	uint32_t done;			/* PULL_PROGRESS: of them */
	uint32_t zero;
	uint64_t bytes, total;		/* PULL_PROGRESS */
	struct oci_blob blob;		/* PULL_BLOB */
	char text[PULL_TEXT];		/* PULL_FAILED: one line */
};

/* What is asked for; texts are "" when there is nothing to say. */
struct pull_request {
	const char *reference;		/* reference_parse takes it */
	const char *user, *secret;
	bool identity;			/* SECRET is an identity token */
	bool plain;			/* HTTP, to the reference's registry */
	const char *proxy, *no_proxy;
	const char *known;		/* digest of a manifest that is there already */
};

/*
 * Does it: certificates are read from CA, blobs go to directory BLOBS, records to
 * PIPE, which ends this when its reader is gone. When the manifest is the one
 * that is KNOWN only its record comes, and nothing else is fetched. All fds stay
 * the caller's. 0 when the last record was written.
 */
int	 pull(const struct pull_request *request, int ca, int blobs, int pipe);

/* A request as JSON, for the process that pulls; and back, 0 or -EINVAL. */
void	 pull_request_write(const struct pull_request *request,
	    struct buf *out);
int	 pull_request_read(const cJSON *tree, struct pull_request *out);

#endif
