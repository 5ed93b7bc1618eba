/*
 * Layers (OCI image-spec, layer.md): a whiteout hides what lower layers have at
 * its place and nothing of its own layer, whichever of the two comes first in
 * the tar. So it must be known of each name whether this layer has made it:
 * its inode's bit says so, since an inode is as old as its first name; but for
 * hard links to a file of a lower layer, which are listed one by one.
 */
#include "image/ext4_internal.h"

#include <string.h>
#include <sys/stat.h>

int
ext4_writer_layer(struct ext4_writer *w)
{
	struct layer *l = &w->layer;

	l->open = true;
	l->link_count = 0;
	if (l->marks != NULL)
		memset(l->marks, 0, l->marks_bytes);
	/* Ours, whatever a whiteout says. */
	return layer_mark(w, LOST_FOUND_INO);
}

void
layer_free(struct layer *l)
{
	free(l->marks);
	l->marks = NULL;
}

int
layer_mark(struct ext4_writer *w, uint32_t ino)
{
	struct layer *l = &w->layer;
	size_t need = (size_t)w->inodes.chunks * (CHUNK_INODES / 8);

	if (!l->open)
		return 0;
	if (l->marks == NULL || need > l->marks_bytes) {
		uint8_t *marks = realloc(l->marks, need);

		if (marks == NULL)
			return -ENOMEM;
		memset(marks + l->marks_bytes, 0, need - l->marks_bytes);
		l->marks = marks;
		l->marks_bytes = need;
	}
	l->marks[(ino - 1) / 8] |= (uint8_t)(1u << ((ino - 1) % 8));
	return 0;
}

int
ext4_writer_touch(struct ext4_writer *w, uint32_t ino)
{
	return layer_mark(w, ino);
}

static bool
is_marked(const struct layer *l, uint32_t ino)
{
	size_t at = (ino - 1) / 8;

	return at < l->marks_bytes &&
	    (l->marks[at] & 1u << ((ino - 1) % 8)) != 0;
}

/* FNV-1a. */
static uint64_t
hash_name(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
	return hash;
}

int
layer_link(struct ext4_writer *w, uint32_t dir, const char *name, uint32_t ino)
{
	struct layer *l = &w->layer;

	if (!l->open || is_marked(l, ino))
		return 0;
	if (l->link_count == LAYER_LINKS)
		return -EMLINK;
	l->links[l->link_count++] = (struct layer_link){ dir, hash_name(name) };
	return 0;
}

static bool
is_of_layer(const struct layer *l, uint32_t dir, const char *name,
    uint32_t ino)
{
	uint64_t hash;
	uint32_t i;

	if (is_marked(l, ino))
		return true;
	hash = l->link_count > 0 ? hash_name(name) : 0;
	for (i = 0; i < l->link_count; i++)
		if (l->links[i].dir == dir && l->links[i].name == hash)
			return true;
	return false;
}

/* The first of those that are still to be looked through. */
static int
list_pop(struct ext4_writer *w, uint32_t *list, uint32_t *ino,
    struct disk_inode *d)
{
	int r;

	*ino = *list;
	if ((r = inode_read(w, *ino, d)) < 0)
		return r;
	*list = d->in.i_dtime;
	d->in.i_dtime = 0;
	return inode_write(w, *ino, d);
}

/* What whiteouts do to one name. */
static int
hide(struct ext4_writer *w, uint32_t dir, const char *name, uint32_t ino,
    bool is_dir, uint32_t *list)
{
	if (!is_of_layer(&w->layer, dir, name, ino))
		return ext4_writer_remove(w, dir, name);
	return is_dir ? dir_list_push(w, ino, list) : 0;
}

/* Looks at a copy, for a removal changes the block. */
static int
hide_block(struct ext4_writer *w, uint32_t dir, uint32_t block, uint32_t *list)
{
	uint8_t copy[BLOCK_BYTES];
	struct cbuf *b;
	uint32_t at;
	int r;

	if ((r = cache_get(w, block, &b)) < 0)
		return r;
	memcpy(copy, b->data, sizeof(copy));
	for (at = 0; at < LEAF_BYTES;) {
		const struct ext2_dir_entry_2 *e = (const void *)(copy + at);
		char name[EXT2_NAME_LEN + 1];

		at += e->rec_len;
		if (e->inode == 0)
			continue;
		memcpy(name, e->name, e->name_len);
		name[e->name_len] = '\0';
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		r = hide(w, dir, name, e->inode, e->file_type == EXT2_FT_DIR,
		    list);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
hide_lower(struct ext4_writer *w, uint32_t *list)
{
	struct disk_inode d;
	uint32_t dir, block, i;
	int r;

	while (*list != 0) {
		if ((r = list_pop(w, list, &dir, &d)) < 0)
			return r;
		for (i = 0; i < (uint32_t)(inode_size(&d) >> BLOCK_SHIFT); i++)
			if ((r = dir_map(w, &d, i, &block)) < 0 ||
			    (r = hide_block(w, dir, block, list)) < 0)
				return r;
	}
	return 0;
}

int
ext4_writer_opaque(struct ext4_writer *w, uint32_t dir)
{
	uint32_t list = 0;
	int r = dir_list_push(w, dir, &list);

	return r < 0 ? r : hide_lower(w, &list);
}

int
ext4_writer_whiteout(struct ext4_writer *w, uint32_t dir, const char *name)
{
	struct ext4_stat st;
	uint32_t list = 0, ino;
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	r = ext4_writer_lookup(w, dir, name, &ino);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = ext4_writer_stat(w, ino, &st)) < 0 ||
	    (r = hide(w, dir, name, ino, S_ISDIR(st.mode), &list)) < 0)
		return r;
	return hide_lower(w, &list);
}
