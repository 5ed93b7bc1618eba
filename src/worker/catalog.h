/*
 * The images and kernels that are there. import.h makes new ones.
 */
#ifndef BANGER_WORKER_CATALOG_H
#define BANGER_WORKER_CATALOG_H

#include "worker/failure.h"
#include "worker/worker.h"

struct image {
	struct list node;
	struct image_row row;
};

struct kernel {
	struct list node;
	struct kernel_row row;
};

/* Their files in the store, by suffix. */
#define IMAGE_FILE "ext4"
enum { FILE_VMLINUZ, FILE_VMLINUX, FILE_INITRD, KERNEL_FILES };
extern const char *const kernel_files[KERNEL_FILES];

/* "image" or "kernel". */
const char *catalog_kind(enum store_kind kind);

/* Reads both from the store and removes files of neither. 0 or -errno. */
int	 catalog_load(struct worker *w);
void	 catalog_free(struct worker *w);

/*
 * NULL when there is none. An image is found by its name, image_find() finds it by a
 * reference as well that means where it was pulled from (base/reference.h).
 */
struct image *image_find(struct worker *w, const char *name);
struct image *image_named(struct worker *w, const char *name);
struct kernel *kernel_find(struct worker *w, const char *name);

/* An image whose row says that KERNEL boots it, or NULL. */
const struct image *image_booted_by(struct worker *w, const char *kernel);

/* Whether there is one of that name. */
bool	 catalog_has(struct worker *w, enum store_kind kind, const char *name);

/*
 * Sets *F for NAME of KIND, which cannot be found: there is none, then HINT
 * tells what to do, or its row or files were damaged and it was set aside: that
 * is not FAIL_NOT_FOUND, for nobody should pull something else in its place
 * unasked. Returns -1.
 */
int	 catalog_missing(struct worker *w, enum store_kind kind,
	    const char *name, const char *hint, struct failure *f);

/*
 * How many VMs use NAME, and in words which: "VMs a, b use". A VM opens its kernel
 * at every start, and with device mapper its disk is a difference to its image:
 * both stay as long as the VM, on every host alike.
 */
enum { CATALOG_USERS = 400 };
size_t	 catalog_users(struct worker *w, enum store_kind kind,
	    const char *name, char text[CATALOG_USERS]);

/* Opens the file of image NAME for reading: fd or -errno. */
int	 image_open(struct worker *w, const char *name);

/*
 * Remove row and files, row first: what is left of an interrupted removal is
 * swept at the next start. Also of one that was set aside. 0, or -1 with *F.
 */
int	 image_delete(struct worker *w, const char *name, struct failure *f);
int	 kernel_delete(struct worker *w, const char *name, struct failure *f);

/* What import.h needs to put one into the place of none or another. */

/*
 * A name for the file of a new image NAME: that, unless the image that it replaces
 * or a tag of a former one of that name still has it. 0 or -EEXIST.
 */
int	 image_file_choose(struct worker *w, const char *name,
	    char file[NAME_BYTES]);

/* IMAGE, whose row is stored, comes into the list, and the one it replaces goes. */
void	 image_put(struct worker *w, struct image *image);

/* Frees one that is in no list. */
void	 image_free(struct image *image);

/* Removes FILE.ext4, unless an image has it. */
void	 image_file_remove(struct worker *w, const char *file);
void	 kernel_files_remove(struct worker *w, const char *name);

/* Writes KERNEL's row anew. 0 or -errno. */
int	 kernel_save(struct worker *w, const struct kernel *kernel);

#endif
