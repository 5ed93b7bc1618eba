#include "client/catalog.h"

#include <errno.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/reference.h"
#include "base/url.h"
#include "client/api.h"
#include "fetch/pull.h"
#include "image/errmsg.h"
#include "privsep/check.h"

enum { VERSION = 1 };

static int
read_entry(const cJSON *item, struct catalog_entry *out, char *err,
    size_t err_size)
{
	const struct json_field fields[] = {
		{ "name", JSON_TEXT, true, 0, 0, &out->name },
		{ "reference", JSON_TEXT, false, 0, REFERENCE_BYTES - 1,
		    &out->reference },
		{ "url", JSON_TEXT, false, 0, 0, &out->url },
		{ "size", JSON_U64, false, 1, PULL_FILE_MAX,
		    &out->size_bytes },
		{ "sha256", JSON_TEXT, false, 0, 0, &out->sha256 },
		{ "default", JSON_BOOL, false, 0, 0, &out->is_default },
	};

	*out = (struct catalog_entry){ .name = NULL };
	return json_read(item, fields, ARRAY_SIZE(fields), err, err_size);
}

void
catalog_entry(const cJSON *item, struct catalog_entry *out)
{
	char err[128];

	(void)read_entry(item, out, err, sizeof(err));
}

int
catalog_find(const cJSON *list, const char *name, struct catalog_entry *out)
{
	bool any_default = strcmp(name, "default") == 0;
	const cJSON *item;

	cJSON_ArrayForEach(item, list) {
		struct catalog_entry entry;

		catalog_entry(item, &entry);
		if (strcmp(entry.name, name) != 0 &&
		    !(any_default && entry.is_default))
			continue;
		*out = entry;
		return 0;
	}
	return -ENOENT;
}

/* What is wrong with it, or NULL. */
static const char *
check_source(const struct catalog_entry *entry, bool image)
{
	uint8_t sha256[DIGEST_BYTES];
	struct reference ref;
	struct url url;

	if (entry->reference != NULL) {
		if (!image)
			return "a kernel has no reference but a url";
		if (entry->url != NULL || entry->size_bytes > 0 ||
		    entry->sha256 != NULL)
			return "has a reference, and what a file has";
		return reference_parse(entry->reference, &ref) < 0 ?
		    "its reference is none" : NULL;
	}
	if (entry->url == NULL || entry->size_bytes == 0 ||
	    entry->sha256 == NULL)
		return image ? "has neither a reference nor url, size and sha256" :
		    "url, size or sha256 is missing";
	if (url_parse(entry->url, &url) < 0)
		return "its url is none of http:// or https://";
	return hex_parse(entry->sha256, sha256, sizeof(sha256)) < 0 ?
	    "its sha256 is not 64 digits of 0-9a-f" : NULL;
}

/* What is wrong with its name beside those before it; HAS_DEFAULT: one is. */
static const char *
check_name(const cJSON *list, const cJSON *last,
    const struct catalog_entry *entry, bool *has_default)
{
	const cJSON *item;

	if (check_object_name(entry->name) < 0)
		return "its name is none (1 to 63 of a-z, 0-9, ._-)";
	/* What is found as `default` must be one thing. */
	if (strcmp(entry->name, "default") == 0 && !entry->is_default)
		return "is called default, and is not the default";
	if (*has_default && entry->is_default)
		return "is a second default";
	*has_default = *has_default || entry->is_default;
	for (item = list->child; item != last; item = item->next)
		if (strcmp(field_text(item, "name"), entry->name) == 0)
			return "its name is there twice";
	return NULL;
}

static int
check_list(const cJSON *list, bool image, char *err, size_t err_size)
{
	const char *kind = image ? "image" : "kernel", *why = NULL;
	struct catalog_entry entry;
	const cJSON *item;
	bool has_default = false;
	char text[128];
	int count = 0;

	cJSON_ArrayForEach(item, list) {
		if (++count > CATALOG_ENTRIES_MAX)
			return errmsg(err, err_size, -EBADMSG, "more than %d "
			    "%ss", CATALOG_ENTRIES_MAX, kind);
		if (read_entry(item, &entry, text, sizeof(text)) < 0)
			why = text;
		else if ((why = check_source(&entry, image)) == NULL)
			why = check_name(list, item, &entry, &has_default);
		if (why != NULL)
			return errmsg(err, err_size, -EBADMSG, "%s %d: %s",
			    kind, count, why);
	}
	return 0;
}

int
catalog_parse(const char *text, size_t len, struct catalog *out, char *err,
    size_t err_size)
{
	_cleanup_json_ cJSON *tree = json_parse(text, len);
	const cJSON *images = NULL, *kernels = NULL;
	uint32_t version;
	const struct json_field fields[] = {
		{ "version", JSON_U32, true, 0, 0, &version },
		{ "images", JSON_OBJECTS, true, 0, 0, &images },
		{ "kernels", JSON_OBJECTS, true, 0, 0, &kernels },
	};
	char why[128];

	if (tree == NULL)
		return errmsg(err, err_size, -EBADMSG, "not an object in JSON");
	/* First, for another version may have other members. */
	if (field_number(tree, "version") != VERSION)
		return errmsg(err, err_size, -EBADMSG, "its version is not %d, "
		    "which is what this banger reads", VERSION);
	if (json_read(tree, fields, ARRAY_SIZE(fields), why, sizeof(why)) < 0)
		return errmsg(err, err_size, -EBADMSG, "%s", why);
	if (check_list(images, true, err, err_size) < 0 ||
	    check_list(kernels, false, err, err_size) < 0)
		return -EBADMSG;
	*out = (struct catalog){ tree, images, kernels };
	tree = NULL;
	return 0;
}

void
catalog_close(struct catalog *catalog)
{
	cJSON_Delete(catalog->tree);
	*catalog = (struct catalog){ .tree = NULL };
}
