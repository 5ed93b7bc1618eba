/*
 * Which process is it? A pid alone names whatever runs under that number now;
 * a VMM is known by its start time, uid and executable together, checked with
 * a pidfd held (pidfd_open(2)), so that the answer stays true.
 */
#ifndef BANGER_PRIVSEP_PROC_H
#define BANGER_PRIVSEP_PROC_H

#include <stdint.h>
#include <sys/types.h>

struct proc_identity {
	uint64_t start_time;		/* clock ticks since boot, proc(5) */
	uint64_t exe_dev;
	uint64_t exe_ino;		/* on record, 0: any file of exe_dev */
	uint32_t uid;			/* real, effective, saved and fs alike */
	uint32_t pad;
};

/* Reads the start time of PID below PROC_FD (/proc). 0 or -errno. */
int	 proc_start_time(int proc_fd, pid_t pid, uint64_t *start_time);

/*
 * Fills *IDENTITY for PID. Reading another user's executable needs
 * CAP_SYS_PTRACE: for use before capabilities are dropped. 0 or -errno;
 * -EPERM when the four uids differ.
 */
int	 proc_identify(int proc_fd, pid_t pid, struct proc_identity *identity);

/*
 * Opens a pidfd on PID if it is still the process of IDENTITY. An fd or
 * -errno, -ESRCH only when it is gone or another one.
 */
int	 proc_open(int proc_fd, pid_t pid, const struct proc_identity *identity);

/*
 * Kills PID if it is the process that began at START_TIME, and waits until it
 * is gone: for one that was on record before it became what it was to be. 0,
 * also when it is gone or another one; -ETIMEDOUT when it does not go; -errno.
 */
int	 proc_end(int proc_fd, pid_t pid, uint64_t start_time);

/*
 * Opens (O_PATH) the directory NAME of the root directory of PID, which must
 * be the process of PIDFD; no symlink is followed. Needs CAP_SYS_PTRACE, as
 * proc_identify. An fd or -errno.
 */
int	 proc_open_dir(int proc_fd, pid_t pid, int pidfd, const char *name);

/* pidfd_send_signal(2). 0 or -errno. */
int	 proc_signal(int pidfd, int signal);

#endif
