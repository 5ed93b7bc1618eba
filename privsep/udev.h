/*
 * Keeping udev's hands off the disks. It runs blkid on every block device that
 * appears, loop devices included: a parser with root's rights, fed by a guest.
 * Device mapper has flags against it (mapper.c); for loop devices there is a
 * rule in /run/udev/rules.d, and a lock until udev has read that (loop.c).
 */
#ifndef BANGER_PRIVSEP_UDEV_H
#define BANGER_PRIVSEP_UDEV_H

#include <stdint.h>

/*
 * Writes the rule for loop devices over files below STORE (an absolute path),
 * where udev runs. Returns from when on it is in force, in ms of
 * CLOCK_MONOTONIC: 0 for always (udev does not run here, too), INT64_MAX for
 * never.
 */
int64_t	 udev_keep_out(const char *store);

/* Takes the rule back: no file below STORE has a loop device any more. */
void	 udev_forget(const char *store);

#endif
