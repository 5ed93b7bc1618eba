/*
 * First a list of what is in the tar and where, since a manifest may come after
 * the layers that it names; then the JSON, and the layers in their order.
 */
#include "image/oci_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "base/json.h"
#include "image/errmsg.h"
#include "image/oci.h"
#include "image/room.h"
#include "image/tree.h"
#include "privsep/util.h"

enum {
	TAR_BLOCK = 512,
	TAR_SIZE_AT = 124, TAR_SIZE_LEN = 12, TAR_TYPE_AT = 156, TAR_NAME_LEN = 100,
	ITEMS_MAX = 8192,
	NAME_MAX_LEN = 255,
	INDEX_DEPTH = 3,
};

/* One entry of the tar: a file, or a link to another one (TARGET not ""). */
struct item {
	char name[NAME_MAX_LEN + 1], target[NAME_MAX_LEN + 1];
	struct source_piece piece;
};

struct oci_archive {
	struct source *source;
	struct archive *tar;
	int fd, spool;
	int64_t start;			/* of the tar in FD, or negative */
	uint64_t spooled, spool_max;
	struct room room;
	struct item *items;
	size_t count;
	int source_error;
	char *err;
	size_t err_size;
};

/* ---- is it one ---- */

/* NAME, not terminated, without the "./" in front; its length to *LEN. */
static const char *
bare_name(const char *name, size_t *len)
{
	*len = strnlen(name, TAR_NAME_LEN);
	if (*len >= 2 && name[0] == '.' && name[1] == '/') {
		name += 2;
		*len -= 2;
	}
	return name;
}

static bool
is_name_of_one(const char *name, size_t len)
{
	static const char *const names[] = { "blobs", "blobs/", "oci-layout",
		"index.json", "manifest.json", "repositories" };
	size_t i, digits = strspn(name, "0123456789abcdef");

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (len == strlen(names[i]) && memcmp(name, names[i], len) == 0)
			return true;
	if (len > 6 && memcmp(name, "blobs/", 6) == 0)
		return true;
	/* ID/layer.tar, DIGEST.tar, DIGEST.json */
	return len >= DIGEST_HEX && digits == DIGEST_HEX &&
	    (len == DIGEST_HEX || name[DIGEST_HEX] == '/' ||
	    name[DIGEST_HEX] == '.');
}

/* What comes behind HEADER until the next one, in bytes. */
static uint64_t
entry_bytes(const char *header)
{
	char text[TAR_SIZE_LEN + 1];

	memcpy(text, header + TAR_SIZE_AT, TAR_SIZE_LEN);
	text[TAR_SIZE_LEN] = '\0';
	return (strtoull(text, NULL, 8) + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

bool
oci_archive_is(const void *tar, size_t len)
{
	const char *bytes = tar;
	size_t at = 0;

	while (len - at >= TAR_BLOCK) {
		const char *header = bytes + at;
		size_t name_len;
		const char *name = bare_name(header, &name_len);
		uint64_t skip = entry_bytes(header);

		/* Extended headers, and the directory around it all. */
		if (strchr("xgLK", header[TAR_TYPE_AT]) == NULL &&
		    name_len > 0 && !(name_len == 1 && name[0] == '.'))
			return is_name_of_one(name, name_len);
		at += TAR_BLOCK;
		if (header[0] == '\0' || skip > len - at)
			return false;
		at += skip;
	}
	return false;
}

/* ---- what is in it ---- */

static la_ssize_t
read_source(struct archive *tar UNUSED, void *arg, const void **buf)
{
	struct oci_archive *a = arg;
	size_t len;

	a->source_error = source_read(a->source, buf, &len, a->err,
	    a->err_size);
	return a->source_error == 0 ? (la_ssize_t)len : ARCHIVE_FATAL;
}

static int
fail_tar(const struct oci_archive *a)
{
	const char *why = archive_error_string(a->tar);

	if (a->source_error < 0)
		return a->source_error;
	return errmsg(a->err, a->err_size, -EBADMSG,
	    "the archive is damaged or cut off: %s", why == NULL ? "?" : why);
}

/* Copies the data of the entry that was read last to the spool. */
static int
spool(struct oci_archive *a)
{
	const void *buf;
	la_int64_t offset;
	size_t len;
	int r;

	while ((r = archive_read_data_block(a->tar, &buf, &len, &offset)) ==
	    ARCHIVE_OK || r == ARCHIVE_WARN) {
		if (len > a->spool_max - a->spooled)
			return errmsg(a->err, a->err_size, -EDQUOT, "it holds "
			    "more than %llu MiB, the largest that "
			    "image_max_size allows",
			    (unsigned long long)(a->spool_max >> 20));
		r = room_take(&a->room, a->spool, len);
		if (r == 0)
			r = write_full(a->spool, buf, len);
		if (r < 0)
			return errmsg(a->err, a->err_size, r,
			    "unpacking the archive: %s", strerror(-r));
		a->spooled += len;
	}
	return r == ARCHIVE_EOF ? 0 : fail_tar(a);
}

/* Where the data of the entry that was read last are, after this. */
static int
place(struct oci_archive *a, struct archive_entry *entry,
    struct source_piece *piece)
{
	uint64_t at = a->spooled;
	int r;

	if (a->start >= 0) {
		*piece = (struct source_piece){ a->fd,
			(uint64_t)(a->start + archive_filter_bytes(a->tar, 0)),
			(uint64_t)archive_entry_size(entry) };
		return 0;
	}
	r = spool(a);
	*piece = (struct source_piece){ a->spool, at, a->spooled - at };
	return r;
}

static int
add_item(struct oci_archive *a, struct archive_entry *entry, const char *name)
{
	const char *target = archive_entry_symlink(entry);
	struct item *item = &a->items[a->count];
	bool file = archive_entry_filetype(entry) == AE_IFREG &&
	    archive_entry_hardlink(entry) == NULL;

	if (!file && (target == NULL || target[0] == '\0' ||
	    strlen(target) > NAME_MAX_LEN))
		return 0;
	if (a->count == ITEMS_MAX)
		return errmsg(a->err, a->err_size, -ENOTSUP,
		    "the archive has more than %d files", ITEMS_MAX);
	(void)format(item->name, sizeof(item->name), "%s", name);
	(void)format(item->target, sizeof(item->target), "%s",
	    target != NULL ? target : "");
	a->count++;
	return file ? place(a, entry, &item->piece) : 0;
}

static int
read_entries(struct oci_archive *a)
{
	struct archive_entry *entry;
	char name[TREE_PATH_MAX];
	int r;

	if (archive_read_support_format_tar(a->tar) != ARCHIVE_OK ||
	    archive_read_open2(a->tar, a, NULL, read_source, NULL, NULL) !=
	    ARCHIVE_OK)
		return fail_tar(a);
	while ((r = archive_read_next_header(a->tar, &entry)) == ARCHIVE_OK ||
	    r == ARCHIVE_WARN) {
		const char *raw = archive_entry_pathname(entry);

		if (raw == NULL || tree_clean(raw, name) < 0 ||
		    strlen(name) > NAME_MAX_LEN)
			continue;
		if ((r = add_item(a, entry, name)) < 0)
			return r;
	}
	return r == ARCHIVE_EOF ? 0 : fail_tar(a);
}

/* The last entry of that name, links followed within their directory. */
static const struct item *
find_item(const struct oci_archive *a, const char *name)
{
	char path[TREE_PATH_MAX];
	int links;

	if (strlen(name) > NAME_MAX_LEN)
		return NULL;
	(void)format(path, sizeof(path), "%s", name);
	for (links = 0; links < 2; links++) {
		const struct item *item = NULL;
		const char *target;
		size_t i;

		for (i = a->count; i > 0 && item == NULL; i--)
			if (strcmp(a->items[i - 1].name, path) == 0)
				item = &a->items[i - 1];
		if (item == NULL || item->target[0] == '\0')
			return item;
		/* As `docker save` made them: ../ID/layer.tar in ID/. */
		target = item->target;
		if (strncmp(target, "../", 3) == 0)
			target += 3;
		if (tree_clean(target, path) < 0)
			return NULL;
	}
	return NULL;
}

/* All of PIECE as text. 0 or -errno with a line. */
static int
read_text(const struct oci_archive *a, const struct source_piece *piece,
    const char *what, struct buf *out)
{
	char *to;
	size_t len = piece->size;
	ssize_t n;

	if (piece->size > OCI_JSON_MAX)
		return errmsg(a->err, a->err_size, -EBADMSG,
		    "its %s is too large", what);
	buf_clear(out);
	to = buf_reserve(out, len + 1);
	if (to == NULL)
		return errmsg(a->err, a->err_size, -ENOMEM, "out of memory");
	n = pread(piece->fd, to, len, (off_t)piece->offset);
	if (n < 0 || (size_t)n != len)
		return errmsg(a->err, a->err_size, n < 0 ? -errno : -EBADMSG,
		    "its %s cannot be read", what);
	out->len = len;
	return 0;
}

/* ---- an OCI layout ---- */

static int
find_blob(const struct oci_archive *a, const struct oci_blob *blob,
    const char *what, struct source_piece *piece)
{
	char name[sizeof("blobs/sha256/") + DIGEST_HEX];
	const struct item *item;
	char digest[DIGEST_TEXT];

	digest_text(blob->sha256, digest);
	(void)format(name, sizeof(name), "blobs/sha256/%s", digest + 7);
	item = find_item(a, name);
	if (item == NULL)
		return errmsg(a->err, a->err_size, -EBADMSG,
		    "its %s %.19s is not in the archive", what, digest);
	if (item->piece.size != blob->size)
		return errmsg(a->err, a->err_size, -EBADMSG,
		    "its %s %.19s is not as large as it should be", what,
		    digest);
	*piece = item->piece;
	return 0;
}

static int
read_blob(const struct oci_archive *a, const struct oci_blob *blob,
    const char *what, struct buf *out)
{
	uint8_t sha256[DIGEST_BYTES];
	struct source_piece piece = { .fd = -1 };
	int r = find_blob(a, blob, what, &piece);

	if (r == 0)
		r = read_text(a, &piece, what, out);
	if (r < 0)
		return r;
	digest_of(out->data, out->len, sha256);
	if (memcmp(sha256, blob->sha256, sizeof(sha256)) != 0)
		return errmsg(a->err, a->err_size, -EBADMSG,
		    "its %s does not have the digest that it should have", what);
	return 0;
}

/* Follows indexes down to the manifest, whose text is then in TEXT. */
static int
find_manifest(const struct oci_archive *a, const struct item *index,
    struct oci_blob *manifest, struct buf *text)
{
	enum oci_kind kind = OCI_INDEX;
	int depth, r = read_text(a, &index->piece, "index.json", text);

	for (depth = 0; r == 0 && kind == OCI_INDEX; depth++) {
		if (depth == INDEX_DEPTH)
			return errmsg(a->err, a->err_size, -ENOTSUP,
			    "its indexes are nested too deeply");
		r = oci_index_pick(text->data, text->len, manifest, a->err,
		    a->err_size);
		if (r == 0)
			r = read_blob(a, manifest, "manifest", text);
		if (r == 0)
			r = oci_kind(text->data, text->len, &kind, a->err,
			    a->err_size);
	}
	return r;
}

static int
read_layout(const struct oci_archive *a, const struct item *index,
    struct oci_manifest *manifest, struct image_layer *layers, size_t *count,
    struct buf *config, uint8_t digest[DIGEST_BYTES])
{
	_cleanup_buf_ struct buf text = BUF_INIT(OCI_JSON_MAX + 1);
	struct oci_blob blob = { .size = 0 };
	uint32_t i;
	int r = find_manifest(a, index, &blob, &text);

	memcpy(digest, blob.sha256, sizeof(blob.sha256));
	if (r == 0)
		r = oci_manifest_read(text.data, text.len, manifest, a->err,
		    a->err_size);
	if (r == 0)
		r = read_blob(a, &manifest->config, "configuration", &text);
	if (r == 0)
		r = oci_config_read(text.data, text.len, NULL, config, a->err,
		    a->err_size);
	for (i = 0; r == 0 && i < manifest->layer_count; i++) {
		layers[i].digest_of = LAYER_OF_FILE;
		memcpy(layers[i].sha256, manifest->layers[i].sha256,
		    DIGEST_BYTES);
		r = find_blob(a, &manifest->layers[i], "layer",
		    &layers[i].piece);
	}
	*count = i;
	return r;
}

/* ---- a `docker save` ---- */

static int
fail_manifest(const struct oci_archive *a)
{
	return errmsg(a->err, a->err_size, -EBADMSG,
	    "its manifest.json is malformed");
}

/* The file that member NAME of manifest.json names. */
static int
find_named(const struct oci_archive *a, const cJSON *name,
    struct source_piece *piece)
{
	char path[TREE_PATH_MAX];
	const struct item *item;

	if (!cJSON_IsString(name) || tree_clean(name->valuestring, path) < 0)
		return fail_manifest(a);
	item = find_item(a, path);
	if (item == NULL)
		return errmsg(a->err, a->err_size, -EBADMSG,
		    "its file %.100s is not in the archive", path);
	*piece = item->piece;
	return 0;
}

static int
read_saved_config(const struct oci_archive *a, const cJSON *image,
    struct oci_diff_ids *ids, struct buf *config,
    uint8_t digest[DIGEST_BYTES])
{
	_cleanup_buf_ struct buf text = BUF_INIT(OCI_JSON_MAX + 1);
	struct source_piece piece = { .fd = -1 };
	int r = find_named(a, cJSON_GetObjectItemCaseSensitive(image,
	    "Config"), &piece);

	if (r == 0)
		r = read_text(a, &piece, "configuration", &text);
	if (r < 0)
		return r;
	/* The image's id, and the only digest there is of all of it. */
	digest_of(text.data, text.len, digest);
	return oci_config_read(text.data, text.len, ids, config, a->err,
	    a->err_size);
}

static int
read_saved_layers(const struct oci_archive *a, const cJSON *image,
    const struct oci_diff_ids *ids, struct image_layer *layers, size_t *count)
{
	const cJSON *names = cJSON_GetObjectItemCaseSensitive(image, "Layers");
	const cJSON *name;
	int r;

	*count = 0;
	if (!cJSON_IsArray(names) ||
	    cJSON_GetArraySize(names) != (int)ids->count)
		return errmsg(a->err, a->err_size, -EBADMSG, "its layers are "
		    "not those of its configuration");
	cJSON_ArrayForEach(name, names) {
		struct image_layer *layer = &layers[*count];

		layer->digest_of = LAYER_OF_TAR;
		memcpy(layer->sha256, ids->sha256[(*count)++], DIGEST_BYTES);
		if ((r = find_named(a, name, &layer->piece)) < 0)
			return r;
	}
	return *count > 0 ? 0 : errmsg(a->err, a->err_size, -EBADMSG,
	    "it has no layers");
}

static int
read_saved(const struct oci_archive *a, const struct item *manifest,
    struct oci_diff_ids *ids, struct image_layer *layers, size_t *count,
    struct buf *config, uint8_t digest[DIGEST_BYTES])
{
	_cleanup_buf_ struct buf text = BUF_INIT(OCI_JSON_MAX + 1);
	cJSON *tree _cleanup_json_ = NULL;
	const cJSON *image;
	int r = read_text(a, &manifest->piece, "manifest.json", &text);

	if (r < 0)
		return r;
	tree = json_parse_array(text.data, text.len);
	if (tree == NULL || cJSON_GetArraySize(tree) == 0)
		return fail_manifest(a);
	if (cJSON_GetArraySize(tree) > 1)
		return errmsg(a->err, a->err_size, -ENOTSUP, "it holds %d "
		    "images; save one alone", cJSON_GetArraySize(tree));
	image = cJSON_GetArrayItem(tree, 0);
	r = read_saved_config(a, image, ids, config, digest);
	if (r == 0)
		r = read_saved_layers(a, image, ids, layers, count);
	return r;
}

/* ---- both ---- */

/* What both kinds need room for; too large for a stack. */
struct parts {
	struct oci_manifest manifest;
	struct oci_diff_ids ids;
	struct image_layer layers[OCI_LAYERS_MAX];
	uint8_t digest[DIGEST_BYTES];
};

static int
import_parts(struct oci_archive *a, struct parts *parts,
    const struct image_out *out, source_progress *progress, void *arg,
    struct buf *config, struct image_import_result *result)
{
	const struct item *index = find_item(a, "index.json");
	const struct item *saved = find_item(a, "manifest.json");
	size_t count = 0;
	int r;

	if (find_item(a, "oci-layout") != NULL && index != NULL)
		r = read_layout(a, index, &parts->manifest, parts->layers,
		    &count, config, parts->digest);
	else if (saved != NULL)
		r = read_saved(a, saved, &parts->ids, parts->layers, &count,
		    config, parts->digest);
	else
		r = errmsg(a->err, a->err_size, -EBADMSG, "neither a root file "
		    "system nor an image: it has no oci-layout with index.json, "
		    "and no manifest.json");
	if (r == 0)
		r = image_import_layers(parts->layers, count, out, progress,
		    arg, result, a->err, a->err_size);
	if (r < 0)
		return r;
	result->layers = (uint32_t)count;
	memcpy(result->digest, parts->digest, sizeof(parts->digest));
	return 0;
}

int
oci_archive_import(struct source *s, int fd, int64_t start, int spool_fd,
    const struct image_out *out, source_progress *progress, void *arg,
    struct buf *config, struct image_import_result *result, char *err,
    size_t err_size)
{
	struct oci_archive a = { .source = s, .fd = fd, .start = start,
		.spool = spool_fd, .spool_max = out->max_bytes, .err = err,
		.err_size = err_size };
	_cleanup_free_ struct parts *parts = calloc(1, sizeof(*parts));
	int r;

	a.items = calloc(ITEMS_MAX, sizeof(*a.items));
	a.tar = archive_read_new();
	if (parts == NULL || a.items == NULL || a.tar == NULL)
		r = errmsg(err, err_size, -ENOMEM, "out of memory");
	else
		r = read_entries(&a);
	if (r == 0)
		r = import_parts(&a, parts, out, progress, arg, config,
		    result);
	free(a.items);
	if (a.tar != NULL)
		archive_read_free(a.tar);
	return r;
}
