/*
 * One tar into a tree: a root file system, or a layer of one. Only for
 * image_import.c, which begins and completes the tree.
 */
#ifndef BANGER_IMAGE_TAR_IMPORT_H
#define BANGER_IMAGE_TAR_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/source.h"
#include "image/tree.h"

struct tar_import {
	struct tree *tree;
	uint64_t max_bytes;	/* that the image may have, for who reads */
	bool layer;		/* names that begin with .wh. are whiteouts */
	bool root_seen;		/* an entry described the root */
	uint64_t entries;	/* so far, of all tars */
	uint64_t named;		/* those that are not the root */
	char *err;
	size_t err_size;
};

/*
 * Takes in all of S, to its very end. What earlier tars have put into the tree
 * stays but for what this one replaces, or hides. 0, or -errno with a line in
 * IM->err.
 */
int	 tar_import(struct tar_import *im, struct source *s);

/* In words, what -errno R of the writer or of the tree means. */
const char *tar_import_reason(int r);

/* Whether R says that there is no room, which no entry is to blame for: says so. */
bool	 tar_import_no_room(const struct tar_import *im, int r);

#endif
