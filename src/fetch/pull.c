#include "fetch/pull.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/hex.h"
#include "fetch/registry.h"
#include "image/errmsg.h"
#include "image/room.h"

enum {
	AT_ONCE = 4,			/* blobs */
	LOCK_WAIT_MS = 200,
	TELL_MS = 250,
	INDEX_DEPTH = 3,
	HASH_BYTES = 256 << 10,
	MUCH_BYTES = 4 << 20,
	STALL_MS = HTTP_STALL_S * 1000,
};

_Static_assert(sizeof(struct pull_record) <= PIPE_BUF, "records are atomic");

#define ACCEPT_MANIFESTS \
	"application/vnd.oci.image.index.v1+json, " \
	"application/vnd.oci.image.manifest.v1+json, " \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.docker.distribution.manifest.v2+json"

enum blob_state { BLOB_WAITS, BLOB_RUNS, BLOB_DONE };

/* A blob on its way. */
struct fetch {
	struct oci_blob want;
	const char *url;		/* NULL: it is the registry's */
	enum blob_state state;
	int fd;				/* of HEX.part, locked */
	uint64_t have;
	uint64_t before;		/* of HAVE, when this try began */
	uint64_t told;			/* of HAVE */
	struct room *room;
	int64_t moved_ms;		/* when the last of it came */
	struct digest digest;		/* of what is there */
	unsigned int tries;
	bool asked;			/* for credentials, in this try */
	int64_t not_before_ms;
	bool too_large, no_room;
	struct transfer transfer;
};

struct puller {
	struct registry registry;
	struct oci_manifest manifest;
	/* Configuration and layers, or a file. */
	struct fetch fetches[1 + OCI_LAYERS_MAX];
	uint32_t count;
	int blobs, pipe;
	struct room room;
	int64_t told_ms;
};

/* ---- what is told ---- */

static int
tell(const struct puller *p, struct pull_record *record)
{
	record->count = p->manifest.layer_count;
	return write_full(p->pipe, record, sizeof(*record));
}

static int
tell_blob(const struct puller *p, uint32_t index, const struct oci_blob *blob)
{
	struct pull_record record = { .kind = PULL_BLOB, .index = index,
		.blob = *blob };

	return tell(p, &record);
}

/* Of layers, or of the file, those that have got on; at the end each. */
static void
tell_progress(struct puller *p, bool last)
{
	int64_t now = monotonic_ms();
	/* The first blob of an image is the configuration. */
	uint32_t i = p->manifest.layer_count > 0;

	if (!last && now < p->told_ms + TELL_MS)
		return;
	p->told_ms = now;
	for (; i < p->count; i++) {
		struct fetch *f = &p->fetches[i];
		struct pull_record record = { .kind = PULL_PROGRESS,
			.index = p->manifest.layer_count > 0 ? i : 0,
			.bytes = f->state == BLOB_DONE ? f->want.size :
			    f->have, .total = f->want.size };

		if (record.bytes != f->told)
			(void)tell(p, &record);
		f->told = record.bytes;
	}
}

static int
fail_blob(struct puller *p, const struct fetch *f, int error, const char *why)
{
	char digest[DIGEST_TEXT];

	if (f->url != NULL)
		return registry_fail(&p->registry, error, "%s: %s",
		    p->registry.ref.host, why);
	digest_text(f->want.sha256, digest);
	return registry_fail(&p->registry, error, "blob %.19s: %s", digest, why);
}

static int
fail_no_room(struct puller *p)
{
	return registry_fail(&p->registry, -ENOSPC, "no space left for its "
	    "layers; free some in the state directory (a twentieth of its "
	    "disk, or 1 GiB, stays free)");
}

/* ---- blobs in the directory ---- */

static void
blob_name(const uint8_t sha256[DIGEST_BYTES], const char *suffix,
    char out[DIGEST_HEX + 8])
{
	hex_write(sha256, DIGEST_BYTES, out);
	(void)format(out + DIGEST_HEX, 8, "%s", suffix);
}

/* Whether the blob is there, whole. */
static bool
is_there(const struct puller *p, const struct oci_blob *blob)
{
	char name[DIGEST_HEX + 8];
	struct stat st;

	blob_name(blob->sha256, "", name);
	return fstatat(p->blobs, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && (uint64_t)st.st_size == blob->size;
}

/* Bytes of BLOB that are still to come. */
static uint64_t
missing(const struct puller *p, const struct oci_blob *blob)
{
	char name[DIGEST_HEX + 8];
	struct stat st;

	if (is_there(p, blob))
		return 0;
	blob_name(blob->sha256, ".part", name);
	if (fstatat(p->blobs, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (uint64_t)st.st_size > blob->size)
		return blob->size;
	return blob->size - (uint64_t)st.st_size;
}

/* Adds the bytes that are there already to the digest. 0 or -errno. */
static int
hash_part(struct fetch *f)
{
	_cleanup_free_ char *buf = malloc(HASH_BYTES);
	uint64_t at = 0;

	if (buf == NULL)
		return -ENOMEM;
	digest_init(&f->digest);
	while (at < f->have) {
		ssize_t n = pread(f->fd, buf, HASH_BYTES, (off_t)at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		digest_add(&f->digest, buf, (size_t)n);
		at += (uint64_t)n;
	}
	f->have = at;
	return 0;
}

static int
start_over(struct fetch *f)
{
	f->have = 0;
	digest_init(&f->digest);
	return ftruncate(f->fd, 0) < 0 ? -errno : 0;
}

/*
 * Opens and locks HEX.part. 0 with f->fd, or -1 when somebody else has it; or
 * -errno.
 */
static int
open_part(const struct puller *p, struct fetch *f)
{
	char name[DIGEST_HEX + 8];
	struct stat st, named;
	int fd;

	blob_name(f->want.sha256, ".part", name);
	fd = openat(p->blobs, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (fd < 0)
		return -errno;
	/* The one that had it may have renamed it meanwhile. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 ||
	    fstatat(p->blobs, name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ino != named.st_ino) {
		close(fd);
		return -EAGAIN;
	}
	f->fd = fd;
	f->have = (uint64_t)st.st_size;
	return f->have > f->want.size ? start_over(f) : hash_part(f);
}

/* The blob is whole and right: gives it its name. */
static int
finish_blob(struct puller *p, struct fetch *f)
{
	char part[DIGEST_HEX + 8], name[DIGEST_HEX + 8];
	uint8_t sha256[DIGEST_BYTES];
	bool resumed = f->before > 0;

	digest_end(&f->digest, sha256);
	if (memcmp(sha256, f->want.sha256, sizeof(sha256)) != 0) {
		int error = start_over(f);

		/* What was there before may have been what is wrong. */
		if (error == 0 && resumed) {
			f->before = 0;
			f->state = BLOB_WAITS;
			return 0;
		}
		return fail_blob(p, f, -EBADMSG,
		    "its digest is not what it should be");
	}
	blob_name(f->want.sha256, ".part", part);
	blob_name(f->want.sha256, "", name);
	if (fdatasync(f->fd) < 0 ||
	    renameat(p->blobs, part, p->blobs, name) < 0)
		return fail_blob(p, f, -errno, strerror(errno));
	close_fdp(&f->fd);
	f->state = BLOB_DONE;
	return 0;
}

/* ---- blobs under way ---- */

static bool
take_blob(void *arg, const char *bytes, size_t len)
{
	struct fetch *f = arg;
	ssize_t n;

	f->too_large = len > f->want.size - f->have;
	if (f->too_large)
		return false;
	n = room_take(f->room, f->fd, len) < 0 ? -1 :
	    pwrite(f->fd, bytes, len, (off_t)f->have);
	if (n != (ssize_t)len) {
		f->no_room = true;
		return false;
	}
	digest_add(&f->digest, bytes, len);
	f->have += len;
	f->moved_ms = monotonic_ms();
	return true;
}

/* 0: it runs, is done, or waits; or -errno with a line. */
static int
start_blob(struct puller *p, struct fetch *f)
{
	char url[REGISTRY_URL], digest[DIGEST_TEXT];
	const char *from = f->url != NULL ? f->url : url;
	struct http_auth auth;
	int error = 0;

	if (is_there(p, &f->want)) {
		f->state = BLOB_DONE;
		close_fdp(&f->fd);
		return 0;
	}
	if (f->fd < 0)
		error = open_part(p, f);
	if (error == -EAGAIN) {
		f->not_before_ms = monotonic_ms() + LOCK_WAIT_MS;
		return 0;
	}
	if (error < 0)
		return fail_blob(p, f, error, strerror(-error));
	f->before = f->have;
	f->moved_ms = monotonic_ms();
	if (f->have == f->want.size)
		return finish_blob(p, f);
	digest_text(f->want.sha256, digest);
	f->transfer.sink = take_blob;
	f->transfer.arg = f;
	f->state = BLOB_RUNS;
	if (registry_url(&p->registry, "blobs", digest, url) < 0 ||
	    transfer_start(&p->registry.http, &f->transfer, from, NULL,
	    registry_auth(&p->registry, &auth), NULL, f->have, 0) < 0)
		return registry_fail(&p->registry, -ENOMEM, "out of memory");
	return 0;
}

/* Its transfer has ended without all of it. 0 when it is to be tried again. */
static int
retry_blob(struct puller *p, struct fetch *f)
{
	const struct transfer *t = &f->transfer;
	char why[REGISTRY_ERR];
	int error = 0;

	f->state = BLOB_WAITS;
	if (f->too_large)
		return fail_blob(p, f, -EBADMSG,
		    "it is larger than it should be");
	/* What is there already would only be in the way of others. */
	if (f->no_room) {
		(void)start_over(f);
		return fail_no_room(p);
	}
	if (t->code == CURLE_OK && t->status == 401 && !f->asked) {
		f->asked = true;
		return registry_answer(&p->registry, t);
	}
	/* One that cannot go on in the middle has to begin again. */
	if (t->code == CURLE_RANGE_ERROR ||
	    (t->code == CURLE_OK && t->status == 416))
		error = start_over(f);
	else if (!transfer_is_transient(t) &&
	    !(t->code == CURLE_OK && t->status / 100 == 2))
		return fail_blob(p, f, -EIO, transfer_why(t, why, sizeof(why)));
	if (error < 0)
		return fail_blob(p, f, error, strerror(-error));
	/* Whoever comes further may go on; but not by a little at a time. */
	if (f->have >= f->before + MUCH_BYTES)
		f->tries = 0;
	if (++f->tries == REGISTRY_TRIES)
		return fail_blob(p, f, -EIO, t->code == CURLE_OK &&
		    t->status / 100 == 2 ? "it is shorter than it should be" :
		    transfer_why(t, why, sizeof(why)));
	f->not_before_ms = monotonic_ms() + registry_backoff(t, f->tries);
	return 0;
}

static int
end_blob(struct puller *p, struct fetch *f)
{
	transfer_end(&p->registry.http, &f->transfer);
	if (f->have == f->want.size && !f->too_large)
		return finish_blob(p, f);
	return retry_blob(p, f);
}

/* Headers, too, can come for ever: libcurl would take these for progress. */
static void
stall_blob(struct fetch *f)
{
	f->transfer.ended = true;
	f->transfer.code = CURLE_OPERATION_TIMEDOUT;
}

static void
want_layers(struct puller *p)
{
	uint32_t i;

	p->count = 1 + p->manifest.layer_count;
	for (i = 0; i < p->count; i++)
		p->fetches[i].want = i == 0 ? p->manifest.config :
		    p->manifest.layers[i - 1];
}

/* Starts what may start, and sees to what has ended. 0 or -errno. */
static int
look_after(struct puller *p, bool *all_done)
{
	uint32_t i, running = 0;
	int64_t now = monotonic_ms();
	int error = 0;

	*all_done = true;
	for (i = 0; error == 0 && i < p->count; i++) {
		struct fetch *f = &p->fetches[i];

		if (f->state == BLOB_RUNS && now > f->moved_ms +
		    STALL_MS)
			stall_blob(f);
		if (f->state == BLOB_RUNS && f->transfer.ended)
			error = end_blob(p, f);
		else if (f->state == BLOB_WAITS && running < AT_ONCE &&
		    now >= f->not_before_ms)
			error = start_blob(p, f);
		running += f->state == BLOB_RUNS;
		*all_done = *all_done && f->state == BLOB_DONE;
	}
	return error;
}

/* Says at once that there is no room for what is wanted. */
static int
check_room(struct puller *p)
{
	struct room room = { 0 };
	uint64_t total = 0;
	uint32_t i;

	for (i = 0; i < p->count; i++)
		total += missing(p, &p->fetches[i].want);
	return room_take(&room, p->blobs, total) == -ENOSPC ?
	    fail_no_room(p) : 0;
}

/* Fetches all that are wanted, and tells them. */
static int
fetch_blobs(struct puller *p, uint32_t first)
{
	bool all_done = false;
	uint32_t i;
	int error = check_room(p);

	for (i = 0; i < p->count; i++) {
		p->fetches[i].fd = -1;
		p->fetches[i].room = &p->room;
	}
	if (error < 0)
		return error;
	while ((error = look_after(p, &all_done)) == 0 && !all_done) {
		tell_progress(p, false);
		error = http_turn(&p->registry.http, LOCK_WAIT_MS);
		if (error < 0)
			break;
	}
	if (error == 0)
		tell_progress(p, true);
	for (i = 0; i < p->count; i++) {
		transfer_end(&p->registry.http, &p->fetches[i].transfer);
		close_fdp(&p->fetches[i].fd);
	}
	for (i = 0; error == 0 && i < p->count; i++)
		error = tell_blob(p, first + i, &p->fetches[i].want);
	return error;
}

/* ---- the manifest ---- */

/* Keeps what came whole as a blob, too; WHAT it is. */
static int
store_text(struct puller *p, const char *what, const struct oci_blob *blob,
    const struct buf *text)
{
	char part[DIGEST_HEX + 8], name[DIGEST_HEX + 8];
	_cleanup_close_ int fd = -1;
	int error;

	if (is_there(p, blob))
		return 0;
	blob_name(blob->sha256, ".text", part);
	blob_name(blob->sha256, "", name);
	fd = openat(p->blobs, part, O_WRONLY | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	/* Another may be at the same text, and was faster. */
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return registry_fail(&p->registry, -errno, "%s: %s", what,
		    strerror(errno));
	if (is_there(p, blob))
		return 0;
	error = ftruncate(fd, 0) < 0 ? -errno :
	    room_take(&p->room, p->blobs, text->len);
	if (error == 0)
		error = write_full(fd, text->data, text->len);
	if (error == 0 && renameat(p->blobs, part, p->blobs, name) < 0)
		error = -errno;
	return error < 0 ? registry_fail(&p->registry, error, "%s: %s", what,
	    strerror(-error)) : 0;
}

/* Gets manifest WHAT (a tag or a digest); BLOB is what came. */
static int
get_manifest(struct puller *p, const char *what, struct oci_blob *blob,
    struct buf *text)
{
	char url[REGISTRY_URL];
	uint8_t wanted[DIGEST_BYTES];
	int error = registry_url(&p->registry, "manifests", what, url);

	if (error < 0)
		return registry_fail(&p->registry, error, "its name is too long");
	error = registry_get(&p->registry, url, ACCEPT_MANIFESTS, text,
	    OCI_JSON_MAX);
	if (error < 0)
		return error;
	if (text->len == 0)
		return registry_fail(&p->registry, -EBADMSG, "its manifest is empty");
	blob->size = text->len;
	digest_of(text->data, text->len, blob->sha256);
	if (digest_parse(what, wanted) == 0 &&
	    memcmp(wanted, blob->sha256, sizeof(wanted)) != 0)
		return registry_fail(&p->registry, -EBADMSG, "its manifest does not have the "
		    "digest that it should have");
	return 0;
}

static int
find_manifest(struct puller *p, struct oci_blob *blob, struct buf *text)
{
	const struct reference *ref = &p->registry.ref;
	char digest[DIGEST_TEXT];
	enum oci_kind kind;
	char *err = p->registry.err;
	int depth, error;

	error = get_manifest(p, ref->digest[0] != '\0' ? ref->digest :
	    ref->tag, blob, text);
	for (depth = 0; error == 0; depth++) {
		error = oci_kind(text->data, text->len, &kind, err,
		    REGISTRY_ERR);
		if (error < 0 || kind == OCI_MANIFEST)
			break;
		if (depth == INDEX_DEPTH)
			return registry_fail(&p->registry, -ENOTSUP,
			    "its indexes are nested too deeply");
		error = oci_index_pick(text->data, text->len, blob, err,
		    REGISTRY_ERR);
		if (error < 0)
			break;
		digest_text(blob->sha256, digest);
		error = get_manifest(p, digest, blob, text);
	}
	return error;
}

static int
pull_image(struct puller *p, const struct pull_request *request)
{
	_cleanup_buf_ struct buf text = BUF_INIT(OCI_JSON_MAX);
	struct oci_blob blob = { .size = 0 };
	char digest[DIGEST_TEXT];
	int error = find_manifest(p, &blob, &text);

	if (error < 0)
		return error;
	digest_text(blob.sha256, digest);
	if (strcmp(digest, request->known) == 0)
		return tell_blob(p, 0, &blob);
	error = oci_manifest_read(text.data, text.len, &p->manifest,
	    p->registry.err, REGISTRY_ERR);
	if (error == 0)
		error = store_text(p, "manifest", &blob, &text);
	if (error < 0)
		return error;
	want_layers(p);
	error = tell_blob(p, 0, &blob);
	return error < 0 ? error : fetch_blobs(p, 1);
}

/* ---- a file ---- */

/* One of which nobody knows what it should be, if only it is small. */
static int
pull_text(struct puller *p, const struct pull_request *request)
{
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)request->size);
	struct oci_blob blob;
	int error = registry_get(&p->registry, request->url, NULL, &text,
	    (size_t)request->size);

	if (error < 0)
		return error;
	blob.size = text.len;
	digest_of(text.data, text.len, blob.sha256);
	error = store_text(p, p->registry.ref.host, &blob, &text);
	return error < 0 ? error : tell_blob(p, 0, &blob);
}

static int
pull_file(struct puller *p, const struct pull_request *request)
{
	struct fetch *f = &p->fetches[0];

	if (request->sha256[0] == '\0')
		return pull_text(p, request);
	if (hex_parse(request->sha256, f->want.sha256, DIGEST_BYTES) < 0)
		return registry_fail(&p->registry, -EINVAL, "not a digest");
	f->want.size = request->size;
	f->url = request->url;
	p->count = 1;
	return fetch_blobs(p, 0);
}

/* ---- all of it ---- */

static int
read_ca(struct puller *p, int fd, struct buf *ca)
{
	int error = buf_read_all(ca, fd);

	if (error < 0)
		return registry_fail(&p->registry, error, "certificates of the authorities: %s",
		    strerror(-error));
	/* mbedTLS wants PEM with its NUL. */
	if (buf_append(ca, "", 1) < 0)
		return registry_fail(&p->registry, -ENOMEM, "out of memory");
	p->registry.http.ca = ca->data;
	p->registry.http.ca_len = ca->len;
	return 0;
}

/* Whom it is got from; a file's host is a registry without a path. */
static int
read_source(struct registry *r, const struct pull_request *request)
{
	struct url url;

	r->user = request->user;
	r->secret = request->secret;
	r->identity = request->identity;
	r->http.plain = request->plain;
	if (request->url[0] == '\0')
		return reference_parse(request->reference, &r->ref) == 0 ? 0 :
		    registry_fail(r, -EINVAL, "not a name of an image");
	if (url_parse(request->url, &url) < 0)
		return registry_fail(r, -EINVAL, "not an address of a file");
	r->user = r->secret = "";
	r->http.plain = url.plain;
	return format(r->ref.host, sizeof(r->ref.host), "%s", url.host);
}

static int
pull_all(struct puller *p, const struct pull_request *request, int ca_fd)
{
	_cleanup_buf_ struct buf ca = BUF_INIT(PULL_CA_MAX + 1);
	struct registry *r = &p->registry;
	int error = read_source(r, request);

	if (error < 0)
		return error;
	r->http.proxy = request->proxy;
	r->http.no_proxy = request->no_proxy;
	r->http.leash = p->pipe;
	error = read_ca(p, ca_fd, &ca);
	if (error == 0 && http_open(&r->http) < 0)
		error = registry_fail(&p->registry, -ENOMEM, "out of memory");
	if (error == 0)
		error = request->url[0] != '\0' ? pull_file(p, request) :
		    pull_image(p, request);
	registry_free(r);
	http_close(&r->http);
	return error;
}

int
pull(const struct pull_request *request, int ca, int blobs, int pipe)
{
	_cleanup_free_ struct puller *p = calloc(1, sizeof(*p));
	struct pull_record last = { .kind = PULL_DONE };
	int error = -ENOMEM;

	if (p != NULL) {
		p->blobs = blobs;
		p->pipe = pipe;
		error = pull_all(p, request, ca);
		last.count = p->manifest.layer_count;
	}
	if (error < 0) {
		last.kind = PULL_FAILED;
		last.error = error;
		snprintf(last.text, sizeof(last.text), "%s",
		    p != NULL && p->registry.err[0] != '\0' ?
		    p->registry.err : strerror(-error));
	}
	return write_full(pipe, &last, sizeof(last));
}

void
pull_request_write(const struct pull_request *request, struct buf *out)
{
	json_open(out, NULL, '{');
	json_text(out, "reference", request->reference);
	json_text(out, "url", request->url);
	json_number(out, "size", request->size);
	json_text(out, "sha256", request->sha256);
	json_text(out, "user", request->user);
	json_text(out, "secret", request->secret);
	json_bool(out, "identity", request->identity);
	json_bool(out, "plain", request->plain);
	json_text(out, "proxy", request->proxy);
	json_text(out, "no_proxy", request->no_proxy);
	json_text(out, "known", request->known);
	json_close(out, '}');
}

int
pull_request_read(const cJSON *tree, struct pull_request *out)
{
	const struct json_field fields[] = {
		{ "reference", JSON_TEXT, true, 0, 0, &out->reference },
		{ "url", JSON_TEXT, true, 0, 0, &out->url },
		{ "size", JSON_U64, true, 0, PULL_FILE_MAX, &out->size },
		{ "sha256", JSON_TEXT, true, 0, 0, &out->sha256 },
		{ "user", JSON_TEXT, true, 0, 0, &out->user },
		{ "secret", JSON_TEXT, true, 0, 0, &out->secret },
		{ "identity", JSON_BOOL, true, 0, 0, &out->identity },
		{ "plain", JSON_BOOL, true, 0, 0, &out->plain },
		{ "proxy", JSON_TEXT, true, 0, 0, &out->proxy },
		{ "no_proxy", JSON_TEXT, true, 0, 0, &out->no_proxy },
		{ "known", JSON_TEXT, true, 0, 0, &out->known },
	};
	char err[128];

	return json_read(tree, fields, ARRAY_SIZE(fields), err, sizeof(err));
}
