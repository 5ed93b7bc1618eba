/*
 * Requests about images and kernels.
 */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "privsep/check.h"
#include "worker/api.h"
#include "worker/work.h"

enum { PROGRESS_STEP_BYTES = 8 << 20 };

/* Whether NAME can be an object's; PEER has been refused if not. */
static bool
check_name(struct peer *peer, const char *name)
{
	struct failure f = { .code = FAIL_NONE };

	if (check_object_name(name) == 0)
		return true;
	failure_set(&f, FAIL_INVALID, "name %.70s: not a name for an image or "
	    "kernel: 1 to 63 of a-z, 0-9, and . _ - after the first", name);
	peer_refuse(peer, &f);
	return false;
}

/*
 * Reads a request whose own members are KEY, an object's name, and EXTRA, a text,
 * unless that is NULL. The name, or NULL and PEER has been refused.
 */
static const char *
target(struct peer *peer, const cJSON *line, const char *key,
    const struct json_field *extra)
{
	const char *op, *name;
	struct reference ref;
	struct json_field fields[] = {
		API_COMMON_FIELDS(&peer->request, &op),
		{ key, JSON_TEXT, true, 0, 0, &name },
		{ .name = NULL },
	};
	size_t count = ARRAY_SIZE(fields) - 1;

	if (extra != NULL)
		fields[count++] = *extra;
	if (api_read(peer, line, fields, count) < 0)
		return NULL;
	if (strcmp(key, "image") == 0 && reference_parse(name, &ref) == 0)
		return name;
	return check_name(peer, name) ? name : NULL;
}

/* Likewise, for an image that has to be there. */
static struct image *
image_target(struct peer *peer, const cJSON *line,
    const struct json_field *extra)
{
	const char *name = target(peer, line, "image", extra);
	struct failure f = { .code = FAIL_NONE };
	struct image *image = name == NULL ? NULL : image_find(peer->w, name);

	if (name == NULL || image != NULL)
		return image;
	(void)catalog_missing(peer->w, STORE_IMAGES, name,
	    "see `banger image list`", &f);
	peer_refuse(peer, &f);
	return NULL;
}

static void
answer_image(struct peer *peer, const char *name)
{
	const struct image *image = image_find(peer->w, name);
	struct buf result = BUF_INIT(PEER_LINE_MAX);
	struct failure f = { .code = FAIL_NONE };

	if (image == NULL) {
		(void)catalog_missing(peer->w, STORE_IMAGES, name,
		    "see `banger image list`", &f);
		peer_refuse(peer, &f);
		return;
	}
	image_row_show(&result, "image", &image->row, true);
	peer_answer(peer, &result, -1);
}

static void
answer_kernel(struct peer *peer, const char *name)
{
	const struct kernel *kernel = kernel_find(peer->w, name);
	struct buf result = BUF_INIT(PEER_LINE_MAX);
	struct failure f = { .code = FAIL_NONE };

	if (kernel == NULL) {
		(void)catalog_missing(peer->w, STORE_KERNELS, name,
		    "see `banger kernel list`", &f);
		peer_refuse(peer, &f);
		return;
	}
	kernel_row_show(&result, "kernel", &kernel->row);
	peer_answer(peer, &result, -1);
}

static void
on_import_progress(void *arg, uint64_t bytes)
{
	struct peer *peer = arg;
	char message[64];

	if (bytes < peer->request.told_bytes + PROGRESS_STEP_BYTES)
		return;
	peer->request.told_bytes = bytes;
	snprintf(message, sizeof(message), "%llu MiB read",
	    (unsigned long long)(bytes >> 20));
	peer_progress(peer, "import", message);
}

static void
on_import_done(void *arg, const struct failure *f)
{
	struct peer *peer = arg;
	char name[NAME_BYTES];

	memcpy(name, peer->request.name, sizeof(name));
	if (f != NULL)
		peer_refuse(peer, f);
	else if (peer->request.op->handle == api_kernel_import ||
	    peer->request.op->handle == api_kernel_pull)
		answer_kernel(peer, name);
	else
		answer_image(peer, name);
}

/* A stage for each layer, so that each has its own line. */
static void
on_pulling(void *arg, const struct pull_record *record)
{
	struct peer *peer = arg;
	char stage[32] = "download";

	if (record->index > 0)
		(void)format(stage, sizeof(stage), "layer %u of %u",
		    record->index, record->count);
	peer_progress_of(peer, stage, record->bytes, record->total);
}

/* The request under way as one that waits for NAME. */
static struct import *
import_of(struct peer *peer, const char *name)
{
	struct import *import = &peer->request.import;

	(void)format(peer->request.name, sizeof(peer->request.name), "%s",
	    name);
	import->progress = on_import_progress;
	import->pulling = on_pulling;
	import->done = on_import_done;
	import->arg = peer;
	return import;
}

/* Whether there is a kernel NAME; PEER has been refused if not. */
static bool
check_kernel(struct peer *peer, const char *name)
{
	struct failure f = { .code = FAIL_NONE };

	if (!check_name(peer, name))
		return false;
	if (kernel_find(peer->w, name) != NULL)
		return true;
	(void)catalog_missing(peer->w, STORE_KERNELS, name,
	    "see `banger kernel list`", &f);
	peer_refuse(peer, &f);
	return false;
}

static void
import(struct peer *peer, const cJSON *line, enum store_kind kind)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	const char *booted_by = "";
	const struct json_field kernel = { "kernel", JSON_TEXT, false, 1, 0,
		&booted_by };
	const char *name = target(peer, line, "name",
	    kind == STORE_IMAGES ? &kernel : NULL);
	int fd;

	if (peer->nfds == 0)
		return;
	fd = peer->fds[--peer->nfds];
	if (name == NULL || (booted_by[0] != '\0' &&
	    !check_kernel(peer, booted_by))) {
		close(fd);
		return;
	}
	if (import_start(import_of(peer, name), peer->w, kind, name, booted_by,
	    fd, &f) < 0)
		peer_refuse(peer, &f);
	else
		peer_progress(peer, "import", "reading");
}

void
api_image_import(struct peer *peer, const cJSON *line)
{
	import(peer, line, STORE_IMAGES);
}

void
api_kernel_import(struct peer *peer, const cJSON *line)
{
	import(peer, line, STORE_KERNELS);
}

/* Reads a request without members of its own. */
static int
read_plain(struct peer *peer, const cJSON *line)
{
	const char *op;
	const struct json_field fields[] = {
		API_COMMON_FIELDS(&peer->request, &op),
	};

	return api_read(peer, line, fields, ARRAY_SIZE(fields));
}

/* What a pull needs to know, out of LINE: all but the authorities. */
static int
read_pull(struct peer *peer, const cJSON *line, struct pull_request *request,
    const char **name)
{
	const char *op;
	const struct json_field fields[] = {
		API_COMMON_FIELDS(&peer->request, &op),
		{ "reference", JSON_TEXT, false, 1, REFERENCE_BYTES - 1,
		    &request->reference },
		{ "url", JSON_TEXT, false, 1, 0, &request->url },
		{ "size", JSON_U64, false, 1, PULL_FILE_MAX, &request->size },
		{ "sha256", JSON_TEXT, false, 1, 0, &request->sha256 },
		{ "name", JSON_TEXT, false, 0, 0, name },
		{ "user", JSON_TEXT, false, 0, 0, &request->user },
		{ "secret", JSON_TEXT, false, 0, 0, &request->secret },
		{ "identity", JSON_BOOL, false, 0, 0, &request->identity },
		{ "plain", JSON_BOOL, false, 0, 0, &request->plain },
		{ "proxy", JSON_TEXT, false, 0, 0, &request->proxy },
		{ "no_proxy", JSON_TEXT, false, 0, 0, &request->no_proxy },
	};

	return api_read(peer, line, fields, ARRAY_SIZE(fields));
}

/* An image's reference in its one form, and a name made of it. */
static int
check_reference(struct pull_request *request, char reference[REFERENCE_BYTES],
    char derived[NAME_BYTES], struct failure *f)
{
	struct reference ref;

	if (reference_parse(request->reference, &ref) < 0)
		return failure_set(f, FAIL_INVALID, "%.70s: not the name of an "
		    "image in a registry", request->reference);
	reference_text(&ref, reference);
	reference_name(&ref, derived, NAME_BYTES);
	request->reference = reference;
	return 0;
}

/* A file has a digest, and a name that was given. */
static int
check_file(const struct pull_request *request, const char *name,
    struct failure *f)
{
	uint8_t sha256[DIGEST_BYTES];
	struct url url;

	if (request->reference[0] != '\0' || request->size == 0 ||
	    name == NULL || url_parse(request->url, &url) < 0 ||
	    hex_parse(request->sha256, sha256, sizeof(sha256)) < 0)
		return failure_set(f, FAIL_INVALID, "%.70s: not a file with "
		    "address, size, digest and name", request->url);
	return 0;
}

static void
start_pull(struct peer *peer, const cJSON *line, enum store_kind kind)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	_cleanup_close_ int ca = peer->fds[--peer->nfds];
	struct pull_request request = PULL_NOTHING;
	char reference[REFERENCE_BYTES], derived[NAME_BYTES] = "";
	const char *name = NULL;
	bool file;
	int r;

	if (read_pull(peer, line, &request, &name) < 0)
		return;
	file = kind != STORE_IMAGES || request.url[0] != '\0';
	r = file ? check_file(&request, name, &f) :
	    check_reference(&request, reference, derived, &f);
	if (name == NULL)
		name = derived;
	if (r == 0 && check_object_name(name) < 0)
		r = failure_set(&f, FAIL_INVALID, "name %.70s: not a name for "
		    "an image or kernel", name);
	if (r == 0)
		r = import_pull(import_of(peer, name), peer->w, kind, name,
		    &request, steal_fd(&ca), &f);
	if (r < 0)
		peer_refuse(peer, &f);
	else
		peer_progress(peer, "pull", file ? request.url :
		    request.reference);
}

void
api_image_pull(struct peer *peer, const cJSON *line)
{
	start_pull(peer, line, STORE_IMAGES);
}

void
api_kernel_pull(struct peer *peer, const cJSON *line)
{
	start_pull(peer, line, STORE_KERNELS);
}

void
api_image_prune_cache(struct peer *peer, const cJSON *line)
{
	struct buf result = BUF_INIT(PEER_LINE_MAX);
	struct failure f = { .code = FAIL_NONE };
	uint64_t bytes = 0;
	int r;

	if (read_plain(peer, line) < 0)
		return;
	if (import_pulls(peer->w)) {
		failure_set(&f, FAIL_BUSY, "the cache is in use: an image is "
		    "being pulled");
		peer_refuse(peer, &f);
		return;
	}
	r = store_blobs_prune(&peer->w->store, &bytes);
	if (r < 0) {
		failure_set(&f, failure_of(r), "the cache: %s", strerror(-r));
		peer_refuse(peer, &f);
		return;
	}
	json_number(&result, "freed_bytes", bytes);
	peer_answer(peer, &result, -1);
}

void
api_image_show(struct peer *peer, const cJSON *line)
{
	const char *name = target(peer, line, "image", NULL);

	if (name != NULL)
		answer_image(peer, name);
}

void
api_kernel_show(struct peer *peer, const cJSON *line)
{
	const char *name = target(peer, line, "kernel", NULL);

	if (name != NULL)
		answer_kernel(peer, name);
}

void
api_image_list(struct peer *peer, const cJSON *line)
{
	struct buf result = BUF_INIT(1 << 20);
	struct list *node, *following;

	if (read_plain(peer, line) < 0)
		return;
	json_open(&result, "images", '[');
	list_each(node, following, &peer->w->images)
		image_row_show(&result, NULL,
		    &list_entry(node, struct image, node)->row, false);
	json_close(&result, ']');
	peer_answer(peer, &result, -1);
}

void
api_kernel_list(struct peer *peer, const cJSON *line)
{
	struct buf result = BUF_INIT(1 << 20);
	struct list *node, *following;

	if (read_plain(peer, line) < 0)
		return;
	json_open(&result, "kernels", '[');
	list_each(node, following, &peer->w->kernels)
		kernel_row_show(&result, NULL,
		    &list_entry(node, struct kernel, node)->row);
	json_close(&result, ']');
	peer_answer(peer, &result, -1);
}

/* ---- of an image that is there ---- */

void
api_image_promote(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	const char *name;
	const struct json_field field = { "name", JSON_TEXT, true, 1, 0,
		&name };
	struct machine *m = api_target_with(peer, line, &field);

	if (m == NULL || !check_name(peer, name))
		return;
	if (m->row.state != MACHINE_STOPPED)
		failure_set(&f, FAIL_STATE, "VM %s: is not stopped; stop it "
		    "first", m->row.name);
	else if (import_promote(import_of(peer, name), m, name, &f) == 0)
		peer_progress(peer, "import", "copying the VM's disk");
	if (f.code != FAIL_NONE)
		peer_refuse(peer, &f);
}

void
api_image_tag(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	const char *name;
	const struct json_field field = { "name", JSON_TEXT, true, 1, 0,
		&name };
	const struct image *image = image_target(peer, line, &field);

	if (image == NULL || !check_name(peer, name))
		return;
	if (image_tag(peer->w, image, name, &f) < 0)
		peer_refuse(peer, &f);
	else
		answer_image(peer, name);
}

/* The image's file, for reading, goes with the answer. */
void
api_image_open(struct peer *peer, const cJSON *line)
{
	struct buf result = BUF_INIT(PEER_LINE_MAX);
	struct failure f = { .code = FAIL_NONE };
	const struct image *image = image_target(peer, line, NULL);
	int fd;

	if (image == NULL)
		return;
	fd = image_open(peer->w, image->row.name);
	if (fd < 0) {
		failure_set(&f, failure_of(fd), "image %s: %s",
		    image->row.name, strerror(-fd));
		peer_refuse(peer, &f);
		return;
	}
	image_row_show(&result, "image", &image->row, true);
	peer_answer(peer, &result, fd);
}

static void
on_verified(void *arg, const struct job_report *report)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	struct peer *peer = arg;

	peer->request.job = NULL;
	if (report->kind != JOB_DONE)
		failure_set(&f, failure_of(report->error), "image %s: cannot "
		    "be read: %s", peer->request.name, report->text);
	else if (peer->request.checksum != report->image.checksum)
		failure_set(&f, FAIL_INVALID, "image %s: is damaged: its "
		    "checksum is %016llx, and was %016llx when it was stored",
		    peer->request.name,
		    (unsigned long long)report->image.checksum,
		    (unsigned long long)peer->request.checksum);
	if (f.code != FAIL_NONE)
		peer_refuse(peer, &f);
	else
		answer_image(peer, peer->request.name);
}

void
api_image_verify(struct peer *peer, const cJSON *line)
{
	struct failure f = { .code = FAIL_NONE };
	struct job_spec spec = { .name = "image verify",
		.body = work_checksum, .nfds = 1, .done = on_verified,
		.progress = on_import_progress, .arg = peer };
	const struct image *image = image_target(peer, line, NULL);
	int r;

	if (image == NULL)
		return;
	if (!image->row.has_checksum) {
		failure_set(&f, FAIL_STATE, "image %s: no checksum was kept "
		    "when it was stored, by an older banger; import it again",
		    image->row.name);
		peer_refuse(peer, &f);
		return;
	}
	(void)format(peer->request.name, sizeof(peer->request.name), "%s",
	    image->row.name);
	peer->request.checksum = image->row.checksum;
	r = spec.fds[0] = image_open(peer->w, image->row.name);
	if (r >= 0)
		r = job_start(&peer->w->jobs, &spec, &peer->request.job);
	close_fdp(&spec.fds[0]);
	if (r < 0) {
		failure_set(&f, failure_of(r), "image %s: %s",
		    image->row.name, strerror(-r));
		peer_refuse(peer, &f);
	}
}

/* The outcome of a deletion. */
static void
answer_deletion(struct peer *peer, int r, const struct failure *f)
{
	struct buf result = BUF_INIT(PEER_LINE_MAX);

	if (r < 0)
		peer_refuse(peer, f);
	else
		peer_answer(peer, &result, -1);
}

/* Neither VMs, nor an image whose VMs would no longer boot. 0, or -1 with *F. */
static int
check_unused(struct worker *w, enum store_kind kind, const char *name,
    struct failure *f)
{
	const struct image *booted = kind == STORE_KERNELS ?
	    image_booted_by(w, name) : NULL;
	char users[CATALOG_USERS];
	size_t count = catalog_users(w, kind, name, users);

	if (count == 0 && booted != NULL)
		return failure_set(f, FAIL_BUSY, "kernel %s: image %s is booted "
		    "by it; delete the image first", name, booted->row.name);
	return count == 0 ? 0 : failure_set(f, FAIL_BUSY, "%s %s: %s it; "
	    "delete the VM%s first", catalog_kind(kind), name, users,
	    count > 1 ? "s" : "");
}

void
api_image_delete(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	const char *name = target(peer, line, "image", NULL);
	const struct image *image;
	int r;

	if (name == NULL)
		return;
	image = image_find(peer->w, name);
	if (image != NULL)
		name = image->row.name;
	r = check_unused(peer->w, STORE_IMAGES, name, &f);
	if (r == 0)
		r = image_delete(peer->w, name, &f);
	answer_deletion(peer, r, &f);
}

void
api_kernel_delete(struct peer *peer, const cJSON *line)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	const char *name = target(peer, line, "kernel", NULL);
	int r;

	if (name == NULL)
		return;
	r = check_unused(peer->w, STORE_KERNELS, name, &f);
	if (r == 0)
		r = kernel_delete(peer->w, name, &f);
	answer_deletion(peer, r, &f);
}
