/*
 * A VM's disk: which kind it is, how it is made from the image, given to the
 * monitor, and what has become of it.
 *
 *	ID.cow		a snapshot's writes (image/cow.h), with device mapper
 *	ID.disk		else the disk itself: a reflink, or a sparse copy
 */
#ifndef BANGER_WORKER_MACHINE_DISK_H
#define BANGER_WORKER_MACHINE_DISK_H

#include "worker/machine.h"

/*
 * Sees to it that M has a disk of its size, that of its last start or a new
 * one. 0; or 1, a job goes on with it, and DONE is called when it has ended
 * well or with F; or -1 with *F.
 */
int	 machine_disk_make(struct machine *m,
	    void (*done)(struct machine *m, const struct failure *f),
	    struct failure *f);

/*
 * Opens the file that holds M's disk, or what its snapshot has written. The fd,
 * the caller's, or -errno.
 */
int	 machine_disk_open(const struct machine *m, int flags);

/* Kills the job, and removes what it was making. */
void	 machine_disk_drop(struct machine *m);

/*
 * Gives the disk to the monitor, which knows M. With BLOCK the VMM gets a block
 * device in any case. 0, or -1 with *F.
 */
int	 machine_disk_attach(struct machine *m, bool block, struct failure *f);

/* Whether what QEMU gets from machine_disk_attach is a block device. */
bool	 machine_disk_is_block(const struct machine *m);

/* Looks whether the disk still works: m->row.disk_error says, "" when it does. */
void	 machine_disk_look(struct machine *m);

#endif
