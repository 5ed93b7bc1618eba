/*
 * The images and kernels that are there, and those that are being imported.
 */
#ifndef BANGER_WORKER_CATALOG_H
#define BANGER_WORKER_CATALOG_H

#include "worker/download.h"
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

/* Reads both from the store and removes files of neither. 0 or -errno. */
int	 catalog_load(struct worker *w);
void	 catalog_free(struct worker *w);

/*
 * NULL when there is none. An image is found by its name, or by a reference that
 * means where it was pulled from (base/reference.h).
 */
struct image *image_find(struct worker *w, const char *name);
struct kernel *kernel_find(struct worker *w, const char *name);

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

/*
 * What a client waits for: an object that is being made. Two that pull the same
 * thing as the same name wait for the same. All three functions are called from
 * the loop, DONE once: with *F on failure, else with NULL and the object is in
 * the catalog; the import is over then.
 */
struct import {
	struct list node;
	struct making *making;
	void (*progress)(void *arg, uint64_t bytes);
	void (*pulling)(void *arg, const struct pull_record *record);
	void (*done)(void *arg, const struct failure *f);
	void *arg;
};

/*
 * Imports ARCHIVE_FD, which it takes over in every case, as image or kernel
 * NAME (a checked name). An image is booted with BOOTED_BY unless that is "".
 * *IMPORT, whose functions are set, is the caller's and has to stay until DONE or
 * import_cancel. 0, or -1 with *F when it cannot even begin.
 */
int	 import_start(struct import *import, struct worker *w,
	    enum store_kind kind, const char *name, const char *booted_by,
	    int archive_fd, struct failure *f);

struct machine;

/*
 * Likewise makes an image NAME of the disk of M, which is stopped and cannot be
 * started meanwhile.
 */
int	 import_promote(struct import *import, struct machine *m,
	    const char *name, struct failure *f);

/* Gives IMAGE another name as well: both are of the same file. 0, or -1 with *F. */
int	 image_tag(struct worker *w, const struct image *image,
	    const char *name, struct failure *f);

/*
 * Likewise pulls what REQUEST asks for: an image, whose reference is in its one
 * form, or a file with a digest, which then is imported; with the authorities in
 * CA, which it takes over. An image NAME that was pulled from the same reference is
 * replaced when it has changed.
 */
int	 import_pull(struct import *import, struct worker *w,
	    enum store_kind kind, const char *name,
	    struct pull_request *request, int ca, struct failure *f);

/* Whether anything is being pulled. */
bool	 import_pulls(struct worker *w);

/* Waits no longer: DONE is not called. With nobody left it ends. */
void	 import_cancel(struct import *import);

/* Writes KERNEL's row anew. 0 or -errno. */
int	 kernel_save(struct worker *w, const struct kernel *kernel);

#endif
