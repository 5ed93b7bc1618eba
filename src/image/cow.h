/*
 * The COW file of a snapshot, as device mapper writes it (the kernel's
 * drivers/md/dm-snap-persistent.c, version 1): a header, then again and again a
 * table of exceptions and the chunks that it is about. A chunk is written
 * before the table that names it, so that what is in the tables is whole.
 *
 * A write to the file that fails (in practice: the host's file system is full)
 * makes the kernel clear the header's valid flag and refuse every access to
 * the snapshot from then on. The exceptions written before are not touched;
 * with the flag set again the snapshot goes on with them, as a disk does after
 * a power failure.
 */
#ifndef BANGER_IMAGE_COW_H
#define BANGER_IMAGE_COW_H

#include <stdint.h>

enum cow_state {
	COW_FRESH,			/* nothing was written yet */
	COW_VALID,
	COW_INVALID,			/* a write to the file has failed */
};

/*
 * The size of a COW file that cannot be full before every chunk of a disk of
 * DISK_BYTES has been written: chunks, tables, header. It is all hole at first.
 */
uint64_t cow_bytes(uint64_t disk_bytes);

/*
 * Reads the header of the COW file FD: enum cow_state, -EUCLEAN for a file
 * that is none of ours, or -errno.
 */
int	 cow_look(int fd);

/*
 * Makes a COW_INVALID file valid again, durably; FD is open for writing, and no
 * snapshot is on it. 0, -EUCLEAN for anything but such a file, or -errno.
 */
int	 cow_revive(int fd);

/*
 * Writes the chunks that are in the COW file over those of DISK, a copy of what
 * the snapshot is of, as large as the snapshot: DISK then holds what a guest sees.
 * 0, -EUCLEAN when the COW file is damaged, or -errno.
 */
int	 cow_merge(int cow, int disk);

#endif
