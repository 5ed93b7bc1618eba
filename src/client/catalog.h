/*
 * A catalogue: names of images and kernels, and where they are. One is built in
 * (catalog.json); another is a file with a signature beside it, FILE.sig
 * (base/signature.h), which is checked before a byte of the file is looked at.
 *
 *	{"version": 1,
 *	 "images": [{"name", "reference"} or {"name", "url", "size", "sha256"}, …],
 *	 "kernels": [{"name", "url", "size", "sha256"}, …]}
 *
 * A reference is a registry's, with a tag, or with a digest that pins it. What is
 * at a url (HTTPS, or HTTP, since a digest pins it) has to be of that size and that
 * digest: an archive as `image import` and `kernel import` take it. One of each
 * kind may have "default": true, and is found as `default` as well.
 */
#ifndef BANGER_CLIENT_CATALOG_H
#define BANGER_CLIENT_CATALOG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CATALOG_BYTES_MAX = 1 << 20,
	CATALOG_ENTRIES_MAX = 1024,	/* of a kind */
};

/* Strings point into the catalogue. */
struct catalog_entry {
	const char *name;
	const char *reference;		/* NULL: it is a file, with its */
	const char *url;
	uint64_t size_bytes;
	const char *sha256;		/* 64 hexadecimal digits */
	bool is_default;
};

struct catalog {
	cJSON *tree;
	const cJSON *images, *kernels;
};

/*
 * Reads TEXT, a stranger's: each entry is checked. 0 and *OUT, or -EBADMSG with a
 * line in ERR. Free *OUT with catalog_close.
 */
int	 catalog_parse(const char *text, size_t len, struct catalog *out,
	    char *err, size_t err_size);
void	 catalog_close(struct catalog *catalog);

#define _cleanup_catalog_ __attribute__((cleanup(catalog_close)))

/* Fills *OUT from ITEM of a list of a catalogue that was parsed. */
void	 catalog_entry(const cJSON *item, struct catalog_entry *out);

/* Finds NAME in LIST. 0 and *OUT, or -ENOENT. */
int	 catalog_find(const cJSON *list, const char *name,
	    struct catalog_entry *out);

#endif
