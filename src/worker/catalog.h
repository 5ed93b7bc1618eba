/*
 * The images and kernels that are there, and those that are being imported.
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

/* Reads both from the store and removes files of neither. 0 or -errno. */
int	 catalog_load(struct worker *w);
void	 catalog_free(struct worker *w);

/* NULL when there is none. */
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
 * Remove row and files, row first: what is left of an interrupted removal is
 * swept at the next start. Also of one that was set aside. 0, or -1 with *F.
 */
int	 image_delete(struct worker *w, const char *name, struct failure *f);
int	 kernel_delete(struct worker *w, const char *name, struct failure *f);

struct import;

/*
 * Imports ARCHIVE_FD, which it takes over in every case, as image or kernel
 * NAME (a checked name). DONE is called later: with *F on failure, else with
 * NULL and the object is in the catalog. The handle is valid until then.
 * NULL with *F when it cannot even begin.
 */
struct import *import_start(struct worker *w, enum store_kind kind,
	    const char *name, int archive_fd,
	    void (*progress)(void *arg, uint64_t bytes),
	    void (*done)(void *arg, const struct failure *f), void *arg,
	    struct failure *f);

/* Ends an import and removes what it made; DONE is not called. */
void	 import_cancel(struct import *import);

/* Writes KERNEL's row anew. 0 or -errno. */
int	 kernel_save(struct worker *w, const struct kernel *kernel);

#endif
