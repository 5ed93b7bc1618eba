/*
 * Stages the root directory of a VMM: a directory tree made by root, in which
 * the VM's uid can write nothing, and the detached mounts that the launcher
 * attaches in the VMM's own mount namespace. One of them is a small tmpfs for
 * /run, the VMM's only place to write: what it piles up there costs the host
 * nothing and ends with it. Nothing is ever mounted where the host or the
 * monitor could see it, so nothing has to be unmounted.
 */
#ifndef BANGER_PRIVSEP_JAIL_H
#define BANGER_PRIVSEP_JAIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What may be mounted in a jail, and where (jail_targets). */
enum jail_mount {
	MOUNT_USR_LIB,
	MOUNT_USR_LIB64,
	MOUNT_LIB,
	MOUNT_LIB64,
	MOUNT_SHARE_QEMU,
	MOUNT_SHARE_SEABIOS,
	MOUNT_LD_CACHE,
	MOUNT_HOST_DIRS,		/* those above are the host's */
	MOUNT_KERNEL = MOUNT_HOST_DIRS,
	MOUNT_INITRD,
	MOUNT_RUN,
	JAIL_MOUNTS,
};

/* Mount points, relative to the jail's root. */
extern const char *const jail_targets[JAIL_MOUNTS];

/*
 * The host's directories, opened once; -1 where it has none. That of
 * MOUNT_LD_CACHE is /etc, for ldconfig(8) replaces the file with each package.
 */
struct jail_host {
	int dirs[MOUNT_HOST_DIRS];	/* O_PATH */
	char links[MOUNT_HOST_DIRS][16]; /* target, where it is a symlink */
};

/* Opens the host's directories. 0 or -errno. */
int	 jail_host_open(struct jail_host *host);

/*
 * Creates the jail NAME in BASE for UID, with the device nodes that a VMM
 * needs (KVM when asked) and a copy of CONFIG_FD. On success *ROOT is an fd
 * of its root, the caller's. On failure nothing is left. 0 or -errno.
 */
int	 jail_create(const struct jail_host *host, int base, const char *name,
	    uid_t uid, bool kvm, int config_fd, int *root);

/*
 * Makes the detached mounts of the jail of UID, all read-only but /run:
 * MOUNTS[i] is an fd or -1 (the host has no such directory). All are the
 * caller's. 0 or -errno (and no fds).
 */
int	 jail_mounts(const struct jail_host *host, uid_t uid, int kernel_fd,
	    int initrd_fd, int mounts[JAIL_MOUNTS]);

/* Removes the jail NAME and all in it; a missing one is no error. */
int	 jail_remove(int base, const char *name);

/*
 * Firecracker's jail, the directory tree that its jailer expects, whole on a
 * tmpfs of its own that nothing but the VMM's mount namespace will ever show:
 * no file of it is on the host's disk, and it ends with the VMM.
 *
 *	exec/firecracker		mount point of the executable
 *	firecracker/<id>/root/		the VMM's root, once the jailer is done
 *	    kernel, initrd		mount points
 *	    vmm.conf, disk		configuration, block device node
 *	    run/console			FIFO of the serial console's output
 */
struct chroot {
	int tmpfs;			/* detached */
	int run;			/* O_PATH on run/ */
	int console;			/* on the FIFO, for reading and writing */
	int exec, kernel, initrd;	/* detached mounts, read-only */
};

/* What a struct chroot is made from; all stay the caller's. */
struct chroot_spec {
	const char *name;		/* the VM's id */
	uid_t uid;
	dev_t disk;			/* block device */
	int exec_fd, kernel_fd, initrd_fd, config_fd;
};

/* Stages it: 0, or -errno with nothing left and all fds of OUT -1. */
int	 chroot_create(const struct chroot_spec *spec, struct chroot *out);

/* Closes what is not -1: a jail that nobody attached is gone then. */
void	 chroot_close(struct chroot *chroot);

/*
 * Opens the FIFO NAME in RUN, the /run of the VM of UID, for reading, without
 * blocking. An fd or -errno; -EPERM for what is not the VM's own FIFO.
 */
int	 jail_open_fifo(int run, uid_t uid, const char *name);

/*
 * Connects to the socket NAME in RUN, the /run of the VM of UID, and returns
 * the connected, non-blocking stream fd, or -errno: -EPERM or -ENOTSOCK for
 * what is not the VM's own socket, -EAGAIN when its queue is full.
 */
int	 jail_connect(int run, uid_t uid, const char *name);

#endif
