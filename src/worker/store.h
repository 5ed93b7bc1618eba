/*
 * The worker's directory: one JSON file per object, with the files that
 * belong to it beside it.
 *
 *	vms/ID.json     ID.disk or ID.cow, ID.console, ID.volatile
 *	images/NAME.json  NAME.ext4
 *	kernels/NAME.json NAME.vmlinuz NAME.vmlinux NAME.initrd
 *	blobs/HEX       parts of images from registries, by their digests, and
 *	                HEX.part
 *	tmp/            whatever is not finished; emptied at the start
 *
 * An object exists when its JSON file does: that is made last and goes last. But
 * NAME.volatile, which is empty: beside it a JSON file that cannot be parsed
 * is what a power failure left of an object that nobody wants any more.
 * Everything is reached by name below a directory fd, links are not followed.
 */
#ifndef BANGER_WORKER_STORE_H
#define BANGER_WORKER_STORE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"

enum store_kind { STORE_VMS, STORE_IMAGES, STORE_KERNELS, STORE_KINDS };

/* Bytes of the longest NAME and suffix with its NUL. */
enum { STORE_NAME_BYTES = 96, STORE_ROW_MAX = 64 * 1024 };

struct store {
	int root;
	int dirs[STORE_KINDS];
	int blobs;
	int tmp;
};

/*
 * Opens the store in ROOT, an fd that it then owns, makes what is missing and
 * empties tmp/. 0 or -errno, ROOT being closed on failure too.
 */
int	 store_open(struct store *store, int root);
void	 store_close(struct store *store);

/*
 * Calls FN with the name and the tree of every object of KIND. A file that
 * cannot be parsed, or that FN refuses (-EINVAL), is renamed to NAME.json.bad
 * and said in the log: its other files stay. A volatile one is removed. Another error of FN ends the
 * walk. 0 or -errno.
 */
int	 store_each(struct store *store, enum store_kind kind,
	    int (*fn)(void *arg, const char *name, const cJSON *tree),
	    void *arg);

/*
 * Removes files of KIND that belong to no object, good or bad: KNOWN says
 * whether NAME (all before the first of the known suffixes) is one.
 */
int	 store_sweep(struct store *store, enum store_kind kind,
	    bool (*known)(void *arg, const char *name), void *arg);

/*
 * Writes the row of NAME: to tmp/, then renamed over. DURABLE syncs file and
 * directory (fsync(2)) before it returns, so that the row survives a crash of
 * the host as well. 0 or -errno, the former row being untouched.
 */
int	 store_save(struct store *store, enum store_kind kind,
	    const char *name, const struct buf *row, bool durable);

/* Makes NAME.volatile, see above. 0 or -errno. */
int	 store_mark_volatile(struct store *store, enum store_kind kind,
	    const char *name);

/* Opens NAME.SUFFIX with FLAGS (O_CLOEXEC | O_NOFOLLOW added); fd or -errno. */
int	 store_file(struct store *store, enum store_kind kind,
	    const char *name, const char *suffix, int flags);

/* Removes NAME.SUFFIX; a missing one is no error. 0 or -errno. */
int	 store_remove(struct store *store, enum store_kind kind,
	    const char *name, const char *suffix);

/* Opens the blob SHA256 for reading: fd or -errno. Removes it, if it is there. */
int	 store_blob(struct store *store, const uint8_t sha256[DIGEST_BYTES]);
void	 store_blob_remove(struct store *store,
	    const uint8_t sha256[DIGEST_BYTES]);

/*
 * Removes all blobs, and what is left of some; *BYTES is what they took. 0 or
 * -errno.
 */
int	 store_blobs_prune(struct store *store, uint64_t *bytes);

/* Makes what was renamed or removed in KIND durable. 0 or -errno. */
int	 store_sync(struct store *store, enum store_kind kind);

/*
 * Creates tmp/NAME for reading and writing; fd or -errno (-EEXIST). With
 * STORE_SHARED other uids may read what they are given: a VMM's kernel is bound
 * into its jail, nobody else can reach it by name.
 */
enum store_mode { STORE_PRIVATE = 0600, STORE_SHARED = 0644 };
int	 store_tmp(struct store *store, const char *name,
	    enum store_mode mode);

/* Appends all of tmp/NAME to TEXT. 0, -EFBIG above its limit, or -errno. */
int	 store_tmp_read(struct store *store, const char *name,
	    struct buf *text);

/* Removes tmp/NAME, errors ignored. */
void	 store_tmp_remove(struct store *store, const char *name);

/* Renames tmp/TMP_NAME to NAME.SUFFIX of KIND. 0 or -errno. */
int	 store_commit(struct store *store, const char *tmp_name,
	    enum store_kind kind, const char *name, const char *suffix);

/*
 * A file that no name leads to any more, with the LEN bytes of DATA in it, open
 * for reading only. fd or -errno.
 */
int	 store_anonymous(struct store *store, const void *data, size_t len);

/* Likewise an empty one, open for reading and writing. */
int	 store_spool(struct store *store);

#endif
