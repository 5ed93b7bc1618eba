#include "image/oci.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "image/errmsg.h"

#ifdef __x86_64__
#define ARCHITECTURE "amd64"
#else
#define ARCHITECTURE "arm64"
#endif

#define OCI_TYPE "application/vnd.oci.image."
#define DOCKER_TYPE "application/vnd.docker.distribution.manifest."
#define DOCKER_LAYER "application/vnd.docker.image.rootfs."

enum { TYPE_SHOWN = 80, PLATFORMS_SHOWN = 200 };

/* Media types of what is an index, and of what is a manifest. */
static const char *const index_types[] = {
	OCI_TYPE "index.v1+json", DOCKER_TYPE "list.v2+json", NULL,
};
static const char *const manifest_types[] = {
	OCI_TYPE "manifest.v1+json", DOCKER_TYPE "v2+json", NULL,
};

static bool
is_one_of(const char *text, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(text, *list) == 0)
			return true;
	return false;
}

/* Text member KEY of OBJECT, or NULL. */
static const char *
text_of(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object,
	    key));
}

static const cJSON *
array_of(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsArray(item) ? item : NULL;
}

static cJSON *
parse(const char *text, size_t len, const char *what, char *err,
    size_t err_size)
{
	cJSON *tree = json_parse(text, len);

	if (tree == NULL)
		errmsg(err, err_size, -EBADMSG, "its %s is no JSON object",
		    what);
	return tree;
}

static int
fail_type(const char *type, char *err, size_t err_size)
{
	return errmsg(err, err_size, -ENOTSUP, "it is no image of a root file "
	    "system (media type %.*s)", TYPE_SHOWN, type);
}

int
oci_kind(const char *text, size_t len, enum oci_kind *kind, char *err,
    size_t err_size)
{
	cJSON *tree _cleanup_json_ = parse(text, len, "manifest", err,
	    err_size);
	const char *type;

	if (tree == NULL)
		return -EBADMSG;
	type = text_of(tree, "mediaType");
	if (type == NULL ? array_of(tree, "manifests") != NULL :
	    is_one_of(type, index_types))
		*kind = OCI_INDEX;
	else if (type == NULL ? array_of(tree, "layers") != NULL :
	    is_one_of(type, manifest_types))
		*kind = OCI_MANIFEST;
	else if (array_of(tree, "fsLayers") != NULL)
		return errmsg(err, err_size, -ENOTSUP, "its manifest is of "
		    "Docker's old schema 1, which has no digests to rely on");
	else
		return fail_type(type != NULL ? type : "none", err, err_size);
	return 0;
}

/* 0 or -EBADMSG. */
static int
read_blob(const cJSON *descriptor, struct oci_blob *out)
{
	const char *digest = text_of(descriptor, "digest");
	const cJSON *size = cJSON_GetObjectItemCaseSensitive(descriptor,
	    "size");
	double bytes = cJSON_IsNumber(size) ? size->valuedouble : -1;

	if (digest == NULL || digest_parse(digest, out->sha256) < 0 ||
	    !(bytes >= 0 && bytes <= (double)JSON_NUMBER_MAX) ||
	    trunc(bytes) < bytes)
		return -EBADMSG;
	out->size = (uint64_t)bytes;
	return 0;
}

/* Whether a descriptor of an index is for here; without a platform it is. */
static bool
is_for_here(const cJSON *descriptor)
{
	const cJSON *platform = cJSON_GetObjectItemCaseSensitive(descriptor,
	    "platform");
	const char *os = text_of(platform, "os");
	const char *architecture = text_of(platform, "architecture");

	if (platform == NULL)
		return true;
	return os != NULL && strcmp(os, "linux") == 0 &&
	    architecture != NULL && strcmp(architecture, ARCHITECTURE) == 0;
}

/* Attestations and the like stand in indexes beside the images. */
static bool
is_image(const cJSON *descriptor)
{
	const char *type = text_of(descriptor, "mediaType");

	return type != NULL && (is_one_of(type, index_types) ||
	    is_one_of(type, manifest_types));
}

static int
fail_platform(const cJSON *manifests, char *err, size_t err_size)
{
	char seen[PLATFORMS_SHOWN] = "";
	const cJSON *item;

	cJSON_ArrayForEach(item, manifests) {
		const cJSON *platform = cJSON_GetObjectItemCaseSensitive(item,
		    "platform");
		const char *os = text_of(platform, "os");
		const char *architecture = text_of(platform, "architecture");
		size_t len = strlen(seen);

		if (os == NULL || architecture == NULL ||
		    strcmp(os, "unknown") == 0)
			continue;
		if (format(seen + len, sizeof(seen) - len, "%s%s/%s",
		    len > 0 ? ", " : "", os, architecture) < 0)
			break;
	}
	return errmsg(err, err_size, -ENOTSUP, "there is none for "
	    "linux/" ARCHITECTURE "%s%s", seen[0] != '\0' ? ", but for " : "",
	    seen);
}

int
oci_index_pick(const char *text, size_t len, struct oci_blob *out, char *err,
    size_t err_size)
{
	cJSON *tree _cleanup_json_ = parse(text, len, "index", err, err_size);
	const cJSON *manifests = array_of(tree, "manifests"), *item;
	const cJSON *found = NULL;

	if (tree == NULL)
		return -EBADMSG;
	if (manifests == NULL)
		return errmsg(err, err_size, -EBADMSG,
		    "its index has no manifests");
	cJSON_ArrayForEach(item, manifests) {
		if (!is_image(item) || !is_for_here(item))
			continue;
		if (found != NULL)
			return errmsg(err, err_size, -ENOTSUP, "it holds more "
			    "than one image; take one out of it, as with "
			    "`skopeo copy`");
		found = item;
	}
	if (found == NULL)
		return fail_platform(manifests, err, err_size);
	return read_blob(found, out) == 0 ? 0 : errmsg(err, err_size,
	    -EBADMSG, "its index has a malformed descriptor");
}

static int
read_layers(const cJSON *layers, struct oci_manifest *out, char *err,
    size_t err_size)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, layers) {
		const char *type = text_of(item, "mediaType");

		if (type == NULL ||
		    (strncmp(type, OCI_TYPE "layer.", sizeof(OCI_TYPE "layer.") -
		    1) != 0 && strncmp(type, DOCKER_LAYER,
		    sizeof(DOCKER_LAYER) - 1) != 0))
			return fail_type(type != NULL ? type : "none", err,
			    err_size);
		if (out->layer_count == OCI_LAYERS_MAX)
			return errmsg(err, err_size, -ENOTSUP,
			    "it has more than %d layers", OCI_LAYERS_MAX);
		if (read_blob(item, &out->layers[out->layer_count++]) < 0)
			return errmsg(err, err_size, -EBADMSG,
			    "its manifest has a malformed layer");
	}
	if (out->layer_count == 0)
		return errmsg(err, err_size, -EBADMSG, "it has no layers");
	return 0;
}

int
oci_manifest_read(const char *text, size_t len, struct oci_manifest *out,
    char *err, size_t err_size)
{
	cJSON *tree _cleanup_json_ = parse(text, len, "manifest", err,
	    err_size);

	if (tree == NULL)
		return -EBADMSG;
	out->layer_count = 0;
	if (read_blob(cJSON_GetObjectItemCaseSensitive(tree, "config"),
	    &out->config) < 0)
		return errmsg(err, err_size, -EBADMSG,
		    "its manifest has no configuration");
	if (out->config.size > OCI_JSON_MAX)
		return errmsg(err, err_size, -EBADMSG,
		    "its configuration is too large");
	return read_layers(array_of(tree, "layers"), out, err, err_size);
}

static int
read_diff_ids(const cJSON *tree, struct oci_diff_ids *out)
{
	const cJSON *rootfs = cJSON_GetObjectItemCaseSensitive(tree, "rootfs");
	const cJSON *ids = array_of(rootfs, "diff_ids"), *item;

	out->count = 0;
	cJSON_ArrayForEach(item, ids) {
		const char *text = cJSON_GetStringValue(item);

		if (text == NULL || out->count == OCI_LAYERS_MAX ||
		    digest_parse(text, out->sha256[out->count++]) < 0)
			return -EBADMSG;
	}
	return 0;
}

/* 0 or -EBADMSG: each element has to be a text. */
static int
copy_texts(const cJSON *from, const char *key, struct buf *to,
    const char *to_key)
{
	const cJSON *list = array_of(from, key), *item;

	json_open(to, to_key, '[');
	cJSON_ArrayForEach(item, list) {
		if (!cJSON_IsString(item))
			return -EBADMSG;
		json_text(to, NULL, item->valuestring);
	}
	json_close(to, ']');
	return 0;
}

static int
copy_config(const cJSON *from, struct buf *to)
{
	const char *user = text_of(from, "User");
	const char *workdir = text_of(from, "WorkingDir");
	int r;

	json_open(to, NULL, '{');
	json_text(to, "user", user != NULL ? user : "");
	json_text(to, "workdir", workdir != NULL ? workdir : "");
	r = copy_texts(from, "Env", to, "env");
	if (r == 0)
		r = copy_texts(from, "Entrypoint", to, "entrypoint");
	if (r == 0)
		r = copy_texts(from, "Cmd", to, "cmd");
	json_close(to, '}');
	return r;
}

int
oci_config_read(const char *text, size_t len, struct oci_diff_ids *diff_ids,
    struct buf *config, char *err, size_t err_size)
{
	cJSON *tree _cleanup_json_ = parse(text, len, "configuration", err,
	    err_size);
	const char *os = text_of(tree, "os");
	const char *architecture = text_of(tree, "architecture");

	if (tree == NULL)
		return -EBADMSG;
	if (os == NULL || strcmp(os, "linux") != 0 || architecture == NULL ||
	    strcmp(architecture, ARCHITECTURE) != 0)
		return errmsg(err, err_size, -ENOTSUP, "it is for %.40s/%.40s, "
		    "not for linux/" ARCHITECTURE, os != NULL ? os : "?",
		    architecture != NULL ? architecture : "?");
	if (diff_ids != NULL && read_diff_ids(tree, diff_ids) < 0)
		return errmsg(err, err_size, -EBADMSG,
		    "its configuration has malformed layer digests");
	if (copy_config(cJSON_GetObjectItemCaseSensitive(tree, "config"),
	    config) < 0)
		return errmsg(err, err_size, -EBADMSG,
		    "its configuration has a member of the wrong type");
	if (config->failed)
		return errmsg(err, err_size, -E2BIG,
		    "its configuration is too large");
	return 0;
}
