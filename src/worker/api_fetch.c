/*
 * A catalogue, or its signature, on its way to a client, who checks the one by the
 * other: here it is bytes. Anybody who may ask may read it, and it is a file that
 * this host gets of whoever it is asked for: so by HTTPS only, and a small one.
 */
#include <string.h>

#include "worker/api.h"

enum { FETCH_BYTES_MAX = 1 << 20 };

void
api_fetch_cancel(struct peer *peer)
{
	if (peer->request.fetch == NULL)
		return;
	download_stop(peer->request.fetch);
	free(peer->request.fetch);
	peer->request.fetch = NULL;
}

static void
on_progress(void *arg UNUSED, const struct pull_record *record UNUSED)
{
}

static void
on_done(void *arg, int error, const char *why)
{
	struct peer *peer = arg;
	struct download *d = peer->request.fetch;
	struct buf result = BUF_INIT(PEER_LINE_MAX);
	struct failure f = { .code = FAIL_NONE };
	int fd = error;

	if (fd == 0) {
		fd = store_blob(&peer->w->store, d->blobs[0].sha256);
		why = strerror(-fd);
	}
	if (fd < 0)
		failure_set(&f, failure_of(fd), "%s", why);
	api_fetch_cancel(peer);
	if (fd < 0) {
		peer_refuse(peer, &f);
		return;
	}
	peer_answer(peer, &result, fd);
}

static int
start(struct peer *peer, const struct pull_request *request, int ca)
{
	struct download *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->pipe = -1;
	d->progress = on_progress;
	d->done = on_done;
	d->arg = peer;
	peer->request.fetch = d;
	return download_start(d, peer->w, request, ca);
}

void
api_catalog_fetch(struct peer *peer, const cJSON *line)
{
	struct pull_request request = PULL_NOTHING;
	_cleanup_close_ int ca = peer->fds[--peer->nfds];
	struct failure f = { .code = FAIL_NONE };
	const char *op;
	const struct json_field fields[] = {
		API_COMMON_FIELDS(&peer->request, &op),
		{ "url", JSON_TEXT, true, 1, 0, &request.url },
		{ "proxy", JSON_TEXT, false, 0, 0, &request.proxy },
		{ "no_proxy", JSON_TEXT, false, 0, 0, &request.no_proxy },
	};
	struct url url;
	int r;

	if (api_read(peer, line, fields, ARRAY_SIZE(fields)) < 0)
		return;
	request.size = FETCH_BYTES_MAX;
	if (url_parse(request.url, &url) < 0 || url.plain) {
		failure_set(&f, FAIL_INVALID, "%.70s: not an address of HTTPS",
		    request.url);
		peer_refuse(peer, &f);
		return;
	}
	r = start(peer, &request, ca);
	if (r < 0) {
		failure_set(&f, failure_of(r), "%s: %s", url.host,
		    strerror(-r));
		api_fetch_cancel(peer);
		peer_refuse(peer, &f);
	}
}
