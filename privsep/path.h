/*
 * Files and directories below an open directory, never by a path from the
 * root twice. openat2(2) resolves with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
 * and RESOLVE_NO_MAGICLINKS; there is no fallback for older kernels.
 */
#ifndef BANGER_PRIVSEP_PATH_H
#define BANGER_PRIVSEP_PATH_H

#include <stddef.h>
#include <sys/types.h>

/* openat2(2) below DIR as described above, close-on-exec. An fd or -errno. */
int	 path_open(int dir, const char *path, int flags, mode_t mode);

/*
 * Opens the absolute PATH as a directory, creating what is missing (0755,
 * root's). Every component must be a real directory owned by root and not
 * writable by others, unless sticky (/tmp). An fd or -errno (-EPERM for a
 * foreign or writable one, -ELOOP or -ENOTDIR for a symlink).
 */
int	 path_open_trusted_dir(const char *path);

/*
 * Creates the directory NAME in DIR with exactly this owner and mode, or
 * takes the one that is there when it has them already. An fd or -errno;
 * -EPERM for one with other owner or mode: it is not ours.
 */
int	 path_make_dir(int dir, const char *name, uid_t uid, gid_t gid, mode_t mode);

/* As path_make_dir, but an existing one is -EEXIST: for fresh jails. */
int	 path_new_dir(int dir, const char *name, uid_t uid, gid_t gid, mode_t mode);

/*
 * Removes NAME in DIR and all below it without following any symlink or
 * entering another mount. What is gone meanwhile is no error. 0 or -errno;
 * -ELOOP when nested deeper than 64: the owner built that on purpose.
 */
int	 path_remove_tree(int dir, const char *name);

/*
 * Writes LEN bytes to NAME in DIR, mode 0600, by temporary file and
 * renameat(2), so that a reader sees the old content or the new. 0 or -errno.
 */
int	 path_replace_file(int dir, const char *name, const void *data, size_t len);

#endif
