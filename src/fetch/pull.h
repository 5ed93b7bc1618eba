/*
 * Pulls a container image's parts from a registry, or one file from anywhere, into
 * a directory of blobs, each named by its digest, and tells which these are. Runs
 * in a process of its own, which may open nothing outside that directory; what it
 * tells is not believed: whoever reads the blobs compares their digests once more.
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
#include "base/url.h"
#include "image/oci.h"

enum {
	/* Manifest, configuration, layers: in this order. */
	PULL_BLOBS_MAX = 2 + OCI_LAYERS_MAX,
	PULL_TEXT = 384,
	PULL_CA_MAX = 4 << 20,
};

#define PULL_FILE_MAX (UINT64_C(64) << 30)	/* bytes of a file by its address */

enum pull_kind { PULL_PROGRESS = 1, PULL_BLOB, PULL_DONE, PULL_FAILED };

/* One record on the pipe, at most PIPE_BUF bytes, hence written whole. */
struct pull_record {
	uint32_t kind;			/* enum pull_kind */
	int32_t error;			/* PULL_FAILED: -errno */
	uint32_t index;			/* which: PULL_BLOB, counted up from 0;
					 * PULL_PROGRESS, layers from 1, a file 0 */
	uint32_t count;			/* layers of an image, once known, or 0 */
	uint32_t zero;
	uint64_t bytes, total;		/* PULL_PROGRESS: of that */
	struct oci_blob blob;		/* PULL_BLOB */
	char text[PULL_TEXT];		/* PULL_FAILED: one line */
};

/*
 * What is asked for: an image, or else a file; texts are "" when there is nothing
 * to say.
 */
struct pull_request {
	const char *reference;		/* reference_parse takes it */
	const char *url;		/* url_parse takes it */
	uint64_t size;			/* of that file; without a digest at most */
	const char *sha256;		/* of it, in hexadecimal; or "" */
	const char *user, *secret;
	bool identity;			/* SECRET is an identity token */
	bool plain;			/* HTTP, to the reference's registry */
	const char *proxy, *no_proxy;
	const char *known;		/* digest of a manifest that is there already */
};

#define PULL_NOTHING { .reference = "", .url = "", .sha256 = "", .user = "", \
	.secret = "", .proxy = "", .no_proxy = "", .known = "" }

/*
 * Does it: certificates are read from CA, blobs go to directory BLOBS, records to
 * PIPE, which ends this when its reader is gone. A file is told as the one blob
 * that it is. When the manifest is the one that is KNOWN only its record comes, and
 * nothing else is fetched. All fds stay the caller's. 0 when the last record was
 * written.
 *
 * Nobody is told credentials for a file. It may be fetched by HTTP, since what is
 * fetched so has a digest, but a redirect leads to HTTPS only, as an image's do.
 */
int	 pull(const struct pull_request *request, int ca, int blobs, int pipe);

/* A request as JSON, for the process that pulls; and back, 0 or -EINVAL. */
void	 pull_request_write(const struct pull_request *request,
	    struct buf *out);
int	 pull_request_read(const cJSON *tree, struct pull_request *out);

#endif
