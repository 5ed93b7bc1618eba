/*
 * The wire between the worker and the monitor: every byte that crosses from
 * the unprivileged side to root is declared here.
 *
 * A message is one SOCK_SEQPACKET record: a header, then the fixed-size
 * request or reply of its op. Members have fixed widths and the structs hold
 * no implicit padding; explicit padding must be zero. Fds travel by
 * SCM_RIGHTS, their number is declared in the header. The worker names a VM
 * by its id only; the monitor derives tap, MAC address, jail and uid from it.
 *
 * A message that breaks one of these rules ends the worker. An op that is
 * not legal in the VM's present state gets an error reply instead: the VM may
 * have died a moment ago. See ops.c for the table, check.c for the checks and
 * banger-privsep(7) for the page a reviewer starts with.
 */
#ifndef BANGER_PRIVSEP_PROTO_H
#define BANGER_PRIVSEP_PROTO_H

#include <stdint.h>

#define WIRE_VERSION 1

enum wire_limits {
	WIRE_FDS_MAX = 20,
	WIRE_ERROR_MAX = 192,
	VM_ID_HEX = 12,			/* digits of a VM id */
	STREAM_PORTS = 16,		/* exec streams of a VM, QEMU driver */
	PATH_BYTES = 256,		/* paths in the configuration */
	NAME_BYTES = 64,
	VCPU_MAX = 32,
	MEM_MIB_MIN = 64,
	MEM_MIB_MAX = 1 << 20,
};

/* A VM id: 48 random bits, never 0; 12 hexadecimal digits in text. */
#define VM_ID_MAX ((UINT64_C(1) << 48) - 1)

/* Ops, in the order of the table in ops.c. */
enum op {
	OP_HELLO,
	OP_READY,			/* the worker serves clients */
	OP_BRIDGE_ENSURE,
	OP_TAP_CREATE,
	OP_TAP_DELETE,
	OP_NAT_SET,
	OP_DISK_ATTACH,
	OP_SNAPSHOT_CREATE,
	OP_SNAPSHOT_STATUS,
	OP_SNAPSHOT_REMOVE,
	OP_VMM_LAUNCH,
	OP_SOCKET_OPEN,
	OP_VMM_LIST,
	OP_VMM_FIND,
	OP_VMM_ALIVE,
	OP_VMM_SIGNAL,
	OP_VMM_KILL,
	OP_JAIL_CLEANUP,
	OP_VMM_STATS,
	OP_RESOLVER_SET,		/* no request, no reply: a reminder */
	OP_RESOLVER_CLEAR,		/* likewise */
	OP_COUNT,
	EVENT_VMM_EXIT = 0x100,		/* monitor to worker, seq 0 */
};

struct wire_request {
	uint32_t op;
	uint32_t seq;
	uint32_t len;			/* bytes that follow this header */
	uint32_t nfds;
	uint64_t vm;			/* 0 for ops that concern no VM */
};

struct wire_reply {
	uint32_t op;
	uint32_t seq;
	uint32_t len;			/* 0 when status is an error */
	uint32_t nfds;
	uint64_t vm;
	int32_t status;			/* 0 or -errno */
	uint32_t pad;
	char error[WIRE_ERROR_MAX];	/* "what which: why", or "" */
};

/* For requests and replies that carry nothing. */
struct wire_empty {
	uint8_t none[0];
};

enum vmm_kind { VMM_QEMU = 1, VMM_FIRECRACKER = 2 };

struct hello_request {
	uint32_t version;		/* WIRE_VERSION */
	uint32_t pad;
};

/* What the worker may know of the root-owned configuration. */
struct hello_reply {
	uint32_t worker_uid;
	uint32_t owner_uid;		/* may use the API socket, beside root */
	uint32_t owner_gid;		/* likewise; UINT32_MAX: no group */
	uint32_t embedded;		/* 1: exit when the last client has gone */
	uint32_t kvm;			/* 1: KVM runs guests here */
	uint32_t vmm;			/* enum vmm_kind, of new VMs */
	uint32_t default_vcpus;
	uint32_t default_mem_mib;
	uint32_t default_dns;		/* IPv4, host order; 0: none */
	uint32_t vm_max;		/* VMs that may exist, from the id range */
	uint32_t log_level;
	uint32_t snapshots;		/* 1: OP_SNAPSHOT_CREATE works here */
	uint32_t dns_ipv4;		/* of the name server's socket, host order */
	uint32_t dns_port;		/* 0: there is none */
	uint32_t start_timeout_ms;	/* from a VM's start to its agent's answer */
	uint32_t pad;
	uint64_t default_disk_bytes;
	uint64_t image_max_bytes;	/* of one image that is imported */
	char store[PATH_BYTES];		/* absolute path of the worker's directory */
	char default_image[NAME_BYTES];
	char default_kernel[NAME_BYTES];
};

/* The bridge's name and wanted subnet come from the configuration. */
struct bridge_ensure_reply {
	uint32_t gateway;		/* IPv4, host order */
	uint32_t prefix;
	uint32_t moved;			/* 1: wanted subnet was taken, this is another */
	uint32_t pad;
};

struct tap_create_request {
	uint32_t ipv4;			/* the guest's, host order, in the subnet */
	uint32_t pad;
};

struct tap_create_reply {
	uint8_t mac[6];
	uint8_t pad[2];
	char tap[16];			/* its name, terminated */
};

struct nat_set_request {
	uint32_t enabled;		/* 0 or 1 */
	uint32_t pad;
};

/*
 * The VM's disk, which a launch needs, is made by one of the next two; it goes
 * with OP_SNAPSHOT_REMOVE or OP_TAP_DELETE.
 *
 * Fd: a file, opened for reading and writing. With `loop` the VMM gets a block
 * device over it, whose size is the file's now; else the file.
 */
struct disk_attach_request {
	uint32_t loop;			/* 0 or 1 */
	uint32_t pad;
};

/*
 * A snapshot of an image. Fds: the image (for reading, multiple of 512 bytes,
 * at most disk_bytes), and the COW file (for reading and writing), which is
 * all hole the first time, and large enough never to be full (image/cow.h).
 * The disk of a later start may be larger.
 */
struct snapshot_create_request {
	uint64_t disk_bytes;		/* multiple of SNAPSHOT_CHUNK_BYTES */
	uint32_t transient;		/* 1: what it wrote is lost with it */
	uint32_t pad;
};

enum { SNAPSHOT_IMAGE, SNAPSHOT_COW, SNAPSHOT_FDS };
enum { SNAPSHOT_CHUNK_BYTES = 4096, SNAPSHOT_COW_MIN = 4 * 4096 };
#define SNAPSHOT_DISK_MAX (UINT64_C(1) << 46)

/* Sectors of 512 bytes in the COW file. -ENODEV: the VM has no snapshot. */
struct snapshot_status_reply {
	uint64_t used_sectors;		/* metadata included */
	uint64_t total_sectors;
	uint64_t metadata_sectors;
	uint32_t invalid;		/* 1: a write to the file failed, and
					   every access to the disk fails since */
	uint32_t overflow;		/* 1: the file was too small */
};

/*
 * Stages the jail and starts the VMM. Fds: kernel, initrd (both opened for
 * reading), VMM configuration file (for reading; at most LAUNCH_CONFIG_MAX
 * bytes, copied unread to /vmm.conf). -ENODEV: the VM has no disk yet.
 * The VMM finds /kernel, /initrd and /vmm.conf in its root, and may create
 * sockets in /run; QEMU the tap as fd 3 and the disk as fd 4, Firecracker the
 * tap by its name and the disk as the block device /disk.
 * Reply fd: reading end of the VMM's standard error.
 */
struct vmm_launch_request {
	uint32_t vmm;			/* enum vmm_kind, as in hello */
	uint32_t vcpus;			/* for the cgroup's limits */
	uint32_t mem_mib;
	uint32_t api;			/* 1: Firecracker makes SOCKET_API */
};

enum { LAUNCH_KERNEL, LAUNCH_INITRD, LAUNCH_CONFIG, LAUNCH_FDS };
enum { LAUNCH_CONFIG_MAX = 16384 };

/* Sockets of a VMM: names below /run in its jail. */
enum vmm_socket {
	SOCKET_CONSOLE,			/* serial console output: console.sock,
					   or Firecracker's FIFO console */
	SOCKET_CONTROL,			/* ctl.sock: the agent's control channel */
	SOCKET_STREAM,			/* N.sock: stream port N */
	SOCKET_API,			/* api.sock: Firecracker's API */
	SOCKET_VSOCK,			/* vsock.sock: Firecracker's vsock */
	SOCKET_METRICS,			/* Firecracker's FIFO metrics */
	SOCKET_KINDS,
};

/* Reply: one connected SOCK_STREAM fd (a FIFO for reading), non-blocking. */
struct socket_open_request {
	uint32_t socket;		/* enum vmm_socket */
	uint32_t index;			/* stream port; 0 for the others */
};

/* States of a VM in the monitor. */
enum vm_state {
	VM_ABSENT,			/* the monitor holds nothing for this id */
	VM_STAGED,			/* tap exists, perhaps a disk; no VMM */
	VM_RUNNING,
	VM_EXITED,			/* VMM gone; tap, jail, disk not yet removed */
	VM_STATES,
};

/*
 * Walks the monitor's table, for a worker that has just started: ask with slot
 * 0, then with what `next` said, until the id is 0.
 */
struct vmm_list_request {
	uint32_t slot;
	uint32_t pad;
};

struct vmm_list_reply {
	uint64_t id;			/* 0: no more */
	uint32_t state;			/* enum vm_state */
	uint32_t next;
};

/* What the monitor knows of a VM, adopted ones included. */
struct vmm_find_reply {
	uint32_t state;			/* enum vm_state */
	uint32_t vmm;			/* enum vmm_kind, 0 when absent */
	uint32_t ipv4;
	uint32_t nat;
	int32_t pid;			/* 0 unless running */
	uint32_t uid;			/* the VM's, 0 when absent */
};

struct vmm_alive_reply {
	uint32_t alive;
	uint32_t pad;
};

struct vmm_signal_request {
	uint32_t signal;		/* SIGTERM only: VMM_KILL is for the rest */
	uint32_t pad;
};

/* Which numbers of a vmm_stats_reply are known; the others are 0. */
enum vmm_stats_valid {
	STATS_CGROUP = 1 << 0,		/* all but the tap's are its cgroup's */
	STATS_CPU = 1 << 1,
	STATS_MEMORY = 1 << 2,		/* of a process: its resident set */
	STATS_MEMORY_PEAK = 1 << 3,
	STATS_PIDS = 1 << 4,
	STATS_IO = 1 << 5,
	STATS_TAP = 1 << 6,
};

/* What a VMM has used since it was started. */
struct vmm_stats_reply {
	uint32_t valid;			/* enum vmm_stats_valid */
	uint32_t pids;			/* threads */
	uint64_t cpu_user_us;
	uint64_t cpu_system_us;
	uint64_t memory_bytes;
	uint64_t memory_peak_bytes;
	uint64_t io_read_bytes;
	uint64_t io_write_bytes;
	uint64_t tap_rx_packets;	/* as the host sees it: from the guest */
	uint64_t tap_rx_bytes;
	uint64_t tap_tx_packets;
	uint64_t tap_tx_bytes;
};

/* EVENT_VMM_EXIT. An adopted VMM's exit status cannot be known. */
struct vmm_exit_event {
	uint32_t status_known;
	int32_t exit_code;		/* 0..255, or -signal */
};

#endif
