/*
 * What brings images and kernels into being: imports, pulls, a VM's disk, another
 * name. One at a time for each name; clients that want the same wait for the same.
 */
#ifndef BANGER_WORKER_IMPORT_H
#define BANGER_WORKER_IMPORT_H

#include "worker/catalog.h"
#include "worker/download.h"

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

/* Gives IMAGE another name as well: both are of the same file. 0, or -1 with *F. */
int	 image_tag(struct worker *w, const struct image *image,
	    const char *name, struct failure *f);

#endif
