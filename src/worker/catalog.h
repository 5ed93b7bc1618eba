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
 * tells what to do, or its row or files were damaged and it was set aside.
 * Returns -1.
 */
int	 catalog_missing(struct worker *w, enum store_kind kind,
	    const char *name, const char *hint, struct failure *f);

/*
 * The name of a VM that uses NAME, or NULL. A VM opens its kernel at every start,
 * and with device mapper its disk is a difference to its image: both stay as long
 * as the VM, on every host alike.
 */
const char *catalog_user(struct worker *w, enum store_kind kind,
	    const char *name);

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
 * NAME (a checked name). *IMPORT, whose functions are set, is the caller's and
 * has to stay until DONE or import_cancel. 0, or -1 with *F when it cannot even
 * begin.
 */
int	 import_start(struct import *import, struct worker *w,
	    enum store_kind kind, const char *name, int archive_fd,
	    struct failure *f);

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
