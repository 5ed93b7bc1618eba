/*
 * Modules lie in lib/modules/RELEASE everywhere, and a distribution has its
 * kernel there, too, or in boot/, under a name that ends in the release or in
 * something else: then it has to be the only one.
 */
#include "client/kernel_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/errmsg.h"
#include "privsep/util.h"

const char *
kernel_file_release(const char *path)
{
	static const char *const prefixes[] = { "vmlinuz-", "vmlinux-" };
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], len) == 0 && name[len] != '\0')
			return name + len;
	}
	return NULL;
}

/* The entry of a directory that is looked for, and how many of them there are. */
struct only {
	char	name[NAME_MAX + 1];
	char	other[NAME_MAX + 1];	/* the second, if any */
	int	count;
};

/* Finds the entries of DIR of TYPE (S_IFMT) whose name begins with PREFIX. */
static void
find_only(const char *dir, const char *prefix, mode_t type, struct only *out)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;

	*out = (struct only){ .count = 0 };
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' ||
		    strncmp(e->d_name, prefix, strlen(prefix)) != 0 ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (st.st_mode & S_IFMT) != type)
			continue;
		(void)format(out->count == 0 ? out->name : out->other,
		    sizeof(out->name), "%s", e->d_name);
		out->count++;
	}
	if (d != NULL)
		closedir(d);
}

/* Whether ROOT is a directory of modules that has its kernel in it. */
static bool
is_modules_dir(const char *root, struct kernel_tree *out)
{
	char path[PATH_MAX];

	return format(path, sizeof(path), "%s/modules.builtin", root) == 0 &&
	    access(path, F_OK) == 0 &&
	    format(out->modules, sizeof(out->modules), "%s", root) == 0 &&
	    ((format(out->kernel, sizeof(out->kernel), "%s/vmlinuz", root) == 0 &&
	    access(out->kernel, F_OK) == 0) ||
	    (format(out->kernel, sizeof(out->kernel), "%s/vmlinux", root) == 0 &&
	    access(out->kernel, F_OK) == 0));
}

/* The modules of RELEASE, or the only ones, whose release goes into FOUND. */
static int
find_modules(const char *root, const char *release, struct kernel_tree *out,
    char found[NAME_MAX + 1], char *err, size_t err_size)
{
	static const char *const dirs[] = { "lib/modules", "usr/lib/modules" };
	struct only only = { .count = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		char dir[PATH_MAX];

		if (format(dir, sizeof(dir), "%s/%s", root, dirs[i]) < 0)
			return errmsg(err, err_size, -ENAMETOOLONG,
			    "%s: too long a name", root);
		if (release == NULL)
			find_only(dir, "", S_IFDIR, &only);
		else
			(void)format(only.name, sizeof(only.name), "%s",
			    release);
		if (only.count > 1)
			return errmsg(err, err_size, -EEXIST,
			    "%s has the modules of more than one kernel, %s and %s: give the vmlinuz of one, and its --modules",
			    dir, only.name, only.other);
		if (only.count == 1 && format(out->modules,
		    sizeof(out->modules), "%s/%s", dir, only.name) == 0 &&
		    access(out->modules, F_OK) == 0) {
			memcpy(found, only.name, sizeof(only.name));
			return 0;
		}
	}
	return errmsg(err, err_size, -ENOENT, "%s/lib/modules%s%s: not there: give a package of the kernel instead",
	    root, release == NULL ? "" : "/", release == NULL ? "" : release);
}

int
kernel_tree_find(const char *root, const char *release,
    struct kernel_tree *out, char *err, size_t err_size)
{
	static const char *const names[] = { "vmlinuz", "vmlinux" };
	char found[NAME_MAX + 1], boot[PATH_MAX];
	struct only only;
	int rc;

	if (release == NULL && is_modules_dir(root, out))
		return 0;
	rc = find_modules(root, release, out, found, err, err_size);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if ((format(out->kernel, sizeof(out->kernel), "%s/boot/%s-%s",
		    root, names[i], found) == 0 &&
		    access(out->kernel, F_OK) == 0) ||
		    (format(out->kernel, sizeof(out->kernel), "%s/%s",
		    out->modules, names[i]) == 0 &&
		    access(out->kernel, F_OK) == 0))
			return 0;
	if (format(boot, sizeof(boot), "%s/boot", root) == 0) {
		find_only(boot, "vmlinuz", S_IFREG, &only);
		if (only.count == 1 && format(out->kernel,
		    sizeof(out->kernel), "%s/%s", boot, only.name) == 0)
			return 0;
	}
	return errmsg(err, err_size, -ENOENT,
	    "%s/boot/vmlinuz-%s: not there, nor %s/vmlinuz: give the kernel's path, or a package of it",
	    root, found, out->modules);
}
