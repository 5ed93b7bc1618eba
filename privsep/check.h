/*
 * Every check that stands between an unprivileged sender and root. The checks
 * are pure: they look at a value or an open fd and answer 0 or -errno; they
 * change nothing, open nothing and log nothing. The same ones guard the wire,
 * the configuration file and the records read back after a restart.
 */
#ifndef BANGER_PRIVSEP_CHECK_H
#define BANGER_PRIVSEP_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* 1..2^48-1. -EINVAL. */
int	 check_vm_id(uint64_t id);

/* `br-fc` or `br-fc-` and 1..9 of [a-z0-9-], at most 15 bytes. -EINVAL. */
int	 check_bridge_name(const char *name);

/* An RFC 1123 label: 1..63 of [a-z0-9-], no `-` at either end. -EINVAL. */
int	 check_host_label(const char *name);

/*
 * Name of an image or a kernel: [a-z0-9] and up to 62 of [a-z0-9._-], no
 * `..`. -EINVAL.
 */
int	 check_object_name(const char *name);

/* Prefix length 8..32 of a subnet that is ours to use. -EINVAL. */
int	 check_prefix(uint32_t prefix);

/*
 * GATEWAY/PREFIX as the network of the VMs: prefix 8..30, gateway a host
 * address of it, unicast, not loopback, link-local or 0/8. -EINVAL.
 */
int	 check_network(uint32_t gateway, uint32_t prefix);

/*
 * IPV4 as a guest's address in the network of GATEWAY/PREFIX: not the gateway,
 * the network or the broadcast address. -EINVAL.
 */
int	 check_guest_ipv4(uint32_t ipv4, uint32_t gateway, uint32_t prefix);

/*
 * An absolute path in normal form: begins with `/`, no empty, `.` or `..`
 * component, no trailing slash, no control bytes, fits SIZE with its NUL.
 * -EINVAL.
 */
int	 check_path(const char *path, size_t size);

/* A NUL within SIZE, and only NULs after it. -EINVAL. */
int	 check_string(const char *s, size_t size);

/*
 * FD is a regular file of OWNER (the worker), with one link (none for memfds
 * and unlinked files), opened with exactly ACCESS (O_RDONLY or O_RDWR),
 * without O_PATH or O_APPEND, at least MIN and at most MAX bytes long. Files
 * of root are refused, too: /sys is full of regular ones.
 * -EBADF, -EINVAL, -EPERM, -EMLINK, -EACCES, -EFBIG.
 */
int	 check_file_fd(int fd, uid_t owner, int access, off_t min, off_t max);

/*
 * FD (O_PATH) may be executed as root's own program: regular, owned by root,
 * not writable by group or others, executable, not set-id. -EACCES, -EPERM.
 */
int	 check_exec_fd(int fd);

/*
 * FD, of a regular file, has a size that is whole sectors of 512 bytes: a loop
 * device would hide the rest. -EINVAL.
 */
int	 check_sectors_fd(int fd);

/* Whole chunks of a snapshot, at least one, at most SNAPSHOT_DISK_MAX. -EINVAL. */
int	 check_disk_size(uint64_t bytes);

/*
 * IPV4 (host order) and PORT as the address of banger's own name server: a
 * loopback address, but not one of systemd-resolved's own (127.0.0.53 and .54,
 * systemd-resolved.service(8)), which would ask itself; PORT 1..65535. -EINVAL.
 */
int	 check_resolver_address(uint32_t ipv4, uint32_t port);

/* vcpus 1..32 and 1 or even, memory MEM_MIB_MIN..MEM_MIB_MAX. -EINVAL. */
int	 check_vm_size(uint32_t vcpus, uint32_t mem_mib);

#endif
