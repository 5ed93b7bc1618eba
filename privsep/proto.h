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
	OP_BRIDGE_ENSURE,
	OP_TAP_CREATE,
	OP_TAP_DELETE,
	OP_NAT_SET,
	OP_VMM_LAUNCH,
	OP_SOCKET_OPEN,
	OP_VMM_LIST,
	OP_VMM_FIND,
	OP_VMM_ALIVE,
	OP_VMM_SIGNAL,
	OP_VMM_KILL,
	OP_JAIL_CLEANUP,
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
	uint32_t default_vcpus;
	uint32_t default_mem_mib;
	uint32_t default_dns;		/* IPv4, host order; 0: none */
	uint32_t vm_max;		/* VMs that may exist, from the id range */
	uint32_t log_level;
	uint64_t default_disk_bytes;
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
};

struct nat_set_request {
	uint32_t enabled;		/* 0 or 1 */
	uint32_t pad;
};

/*
 * Stages the jail and starts the VMM. Fds: kernel, initrd (both opened for
 * reading), disk (for reading and writing), VMM configuration file (for
 * reading; at most LAUNCH_CONFIG_MAX bytes, copied unread to /vmm.conf).
 * The VMM finds /kernel, /initrd and /vmm.conf in its root, the tap as fd 3,
 * the disk as fd 4, and may create sockets in /run.
 * Reply fd: reading end of the VMM's standard error.
 */
struct vmm_launch_request {
	uint32_t vmm;			/* enum vmm_kind */
	uint32_t vcpus;			/* for the cgroup's limits */
	uint32_t mem_mib;
	uint32_t pad;
};

enum { LAUNCH_KERNEL, LAUNCH_INITRD, LAUNCH_DISK, LAUNCH_CONFIG, LAUNCH_FDS };
enum { LAUNCH_CONFIG_MAX = 16384 };

/* Sockets of a VMM: names below /run in its jail. */
enum vmm_socket {
	SOCKET_CONSOLE,			/* console.sock: serial console output */
	SOCKET_CONTROL,			/* ctl.sock: the agent's control channel */
	SOCKET_STREAM,			/* N.sock: stream port N */
	SOCKET_KINDS,
};

/* Reply: one connected SOCK_STREAM fd, non-blocking. */
struct socket_open_request {
	uint32_t socket;		/* enum vmm_socket */
	uint32_t index;			/* stream port; 0 for the others */
};

/* States of a VM in the monitor. */
enum vm_state {
	VM_ABSENT,			/* the monitor holds nothing for this id */
	VM_STAGED,			/* tap exists, no VMM */
	VM_RUNNING,
	VM_EXITED,			/* VMM gone; tap and jail not yet removed */
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

/* EVENT_VMM_EXIT. An adopted VMM's exit status cannot be known. */
struct vmm_exit_event {
	uint32_t status_known;
	int32_t exit_code;		/* 0..255, or -signal */
};

#endif
