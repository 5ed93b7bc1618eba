/*
 * Path resolution inside an image, component by component, with the links'
 * targets put in front of what is left of the path.
 */
#include "image/tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/util.h"

#define NAME_BYTES_MAX 255
#define LINKS_MAX 40	/* as the kernel's MAXSYMLINKS */

/* What is left of a path, and the directory it is relative to. */
struct walk {
	char rest[2 * TREE_PATH_MAX];
	uint32_t dir;
	unsigned int links;
	bool create;
	bool follow;
};

int
tree_clean(const char *name, char out[TREE_PATH_MAX])
{
	size_t n = 0;

	while (*name != '\0') {
		size_t len = strcspn(name, "/");

		if (len == 2 && memcmp(name, "..", 2) == 0)
			return -EINVAL;
		if (len > NAME_BYTES_MAX || n + len + 2 > TREE_PATH_MAX)
			return -ENAMETOOLONG;
		if (len > 0 && !(len == 1 && *name == '.')) {
			if (n > 0)
				out[n++] = '/';
			memcpy(out + n, name, len);
			n += len;
		}
		name += len;
		name += strspn(name, "/");
	}
	out[n] = '\0';
	return 0;
}

/* Replaces link INO, met in front of REST ("" or "/…"), by where it leads. */
static int
walk_link(struct tree *t, struct walk *k, uint32_t ino, const char *rest)
{
	char target[EXT4_WRITER_TARGET_MAX + 1], tail[sizeof(k->rest)];
	int r;

	if (++k->links > LINKS_MAX)
		return -ELOOP;
	r = ext4_writer_readlink(t->w, ino, target, sizeof(target));
	if (r < 0)
		return r;
	memcpy(tail, rest, strlen(rest) + 1);
	if ((r = format(k->rest, sizeof(k->rest), "%s%s", target, tail)) < 0)
		return r;
	if (target[0] == '/')
		k->dir = EXT4_WRITER_ROOT;
	return 0;
}

static int
walk_component(struct tree *t, struct walk *k, const char *name, uint32_t *ino)
{
	int r = ext4_writer_lookup(t->w, k->dir, name, ino);

	if (r == -ENOENT && k->create)
		return ext4_writer_mkdir(t->w, k->dir, name, &t->implied, ino);
	return r;
}

/* Resolves K->rest; *INO may be anything when it was the last component. */
static int
walk(struct tree *t, struct walk *k, uint32_t *ino)
{
	const char *at = k->rest;

	for (;;) {
		char name[NAME_BYTES_MAX + 1];
		struct ext4_stat st;
		size_t len;
		int r;

		at += strspn(at, "/");
		len = strcspn(at, "/");
		if (len == 0) {
			*ino = k->dir;
			return 0;
		}
		if (len > NAME_BYTES_MAX)
			return -ENAMETOOLONG;
		memcpy(name, at, len);
		name[len] = '\0';
		at += len;
		if ((r = walk_component(t, k, name, ino)) < 0 ||
		    (r = ext4_writer_stat(t->w, *ino, &st)) < 0)
			return r;
		if (S_ISDIR(st.mode)) {
			if (k->create &&
			    (r = ext4_writer_touch(t->w, *ino)) < 0)
				return r;
			k->dir = *ino;
			continue;
		}
		if (S_ISLNK(st.mode) && (k->follow || *at != '\0')) {
			if ((r = walk_link(t, k, *ino, at)) < 0)
				return r;
			at = k->rest;
			continue;
		}
		return *at == '\0' ? 0 : -ENOTDIR;
	}
}

static int
walk_from_root(struct tree *t, const char *path, bool create, bool follow,
    uint32_t *ino)
{
	struct walk k;
	int r;

	k.dir = EXT4_WRITER_ROOT;
	k.links = 0;
	k.create = create;
	k.follow = follow;
	if ((r = format(k.rest, sizeof(k.rest), "%s", path)) < 0)
		return r;
	return walk(t, &k, ino);
}

int
tree_parent(struct tree *t, const char *path, uint32_t *dir,
    const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	struct ext4_stat st;
	char parent[TREE_PATH_MAX];
	uint32_t ino;
	int r;

	*name = slash == NULL ? path : slash + 1;
	if (t->parent_ino != 0 && strlen(t->parent) == len &&
	    memcmp(t->parent, path, len) == 0) {
		*dir = t->parent_ino;
		return 0;
	}
	memcpy(parent, path, len);
	parent[len] = '\0';
	if ((r = walk_from_root(t, parent, true, true, &ino)) < 0 ||
	    (r = ext4_writer_stat(t->w, ino, &st)) < 0)
		return r;
	if (!S_ISDIR(st.mode))
		return -ENOTDIR;
	memcpy(t->parent, parent, len + 1);
	t->parent_ino = ino;
	*dir = ino;
	return 0;
}

int
tree_lookup(struct tree *t, const char *path, bool follow, uint32_t *ino)
{
	return walk_from_root(t, path, false, follow, ino);
}

void
tree_forget(struct tree *t)
{
	t->parent_ino = 0;
}

int
tree_remove(struct tree *t, uint32_t dir, const char *name)
{
	tree_forget(t);
	return ext4_writer_remove(t->w, dir, name);
}
