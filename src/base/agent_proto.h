/*
 * What the worker and the guest agent say to each other on the control
 * channel, and what the kernel command line tells the agent.
 *
 * Kernel command line (each at most once; others are not ours):
 *	banger.host=NAME		host name, RFC 1123
 *	banger.ip=A.B.C.D/PREFIX	address of eth0
 *	banger.gw=A.B.C.D		default route
 *	banger.dns=A.B.C.D[,A.B.C.D…]	at most three: /etc/resolv.conf
 *	banger.init=image|none		the image's init, or the agent as PID 1
 *	banger.link=serial|vsock	how the host reaches the agent; serial
 *					when not given
 *
 * The control channel is virtio-serial port AGENT_CTL_PORT (QEMU) or a connection
 * to vsock port AGENT_VSOCK_CTL (Firecracker). Streams (base/stream.h) go over the
 * ports from AGENT_STREAM_PORT on, or connections to vsock port
 * AGENT_VSOCK_STREAM. All ports but the first few are on a second virtio-serial
 * device, with numbers that the first does not use. On vsock the agent listens and
 * takes connections from the host alone (CID 2); nothing may rely on closing one
 * direction only, which Firecracker cannot: every end of file is a message.
 *
 * Every message has AGENT_MSG_SIZE bytes, little endian:
 *
 *	u32 magic | u8 type | u8 flags (1: reply) | u16 zero | u32 seq |
 *	u32 status (errno; requests and events 0) | 48 bytes body, rest zero
 *
 *	type      body of the request        body of the reply
 *	HELLO     u8 nonce[16]               u8 nonce[16]; u8 boot_id[16];
 *	                                     u64 uptime_ms; u32 version; u32 state
 *	OPEN      u8 nonce[16]               u8 nonce[16]; u32 port
 *	SHUTDOWN  u32 how; u32 timeout_ms    -
 *	PING      -                          u64 uptime_ms
 *	PORTS     -                          u16 index; u16 total; u8 addr[16];
 *	                                     u16 port; u8 proto; u8 flags (1: more
 *	                                     were left out); u32 pid; u8 comm[16]
 *	STATS     -                          u64 mem_total, mem_available, fs_total,
 *	                                     fs_free (bytes); u32 load[3] (1/100);
 *	                                     u32 processes
 *	READY     (event of the agent: the body of HELLO's reply, nonce 0)
 *
 * Requests come from the worker, which picks seq; a reply echoes type and seq.
 *
 * OPEN reserves a stream: the worker chooses the nonce, the agent flushes an
 * idle port and names it, the client that gets the connected port must say
 * HELLO with that nonce within STREAM_HELLO_TIMEOUT_MS. A port is idle again
 * only when the host end has been closed, so that no byte of one session can
 * reach another. On vsock there are as many ports, but as numbers only: it is
 * the nonce in a new connection's HELLO that tells which OPEN it belongs to.
 * Status EBUSY: every port is in use; ESHUTDOWN: a SHUTDOWN came before.
 *
 * PORTS is answered by one reply for each socket that waits for peers, TOTAL of
 * them and AGENT_LISTENERS_MAX at most, in the order of INDEX; without any by one
 * with TOTAL 0. An IPv4 address takes the first four bytes, PID 0 is a process
 * that was not found, COMM is printable ASCII and zeros. EBUSY: the host has too
 * much to read already. PORTS and STATS exist since version 2.
 *
 * The worker may come and go; on vsock a new control connection ends the one
 * before. Whatever the channel holds from before is skipped up to the reply to
 * a HELLO with a nonce never used before, so a reader must not believe anything
 * earlier. The agent, which trusts the host, drops bytes until a message starts.
 */
#ifndef BANGER_BASE_AGENT_PROTO_H
#define BANGER_BASE_AGENT_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/stream.h"

#define AGENT_VERSION		2u
#define AGENT_MAGIC		0x6c746362u	/* "bctl" */
#define AGENT_MSG_SIZE		64
#define AGENT_BODY_SIZE		48
#define AGENT_BOOT_ID_SIZE	16
#define AGENT_COMM_SIZE		16
#define AGENT_LISTENERS_MAX	128u
#define AGENT_VERSION_INSPECT	2u	/* the first with PORTS and STATS */

/* Port 0 is for virtual consoles, which there are none of. */
#define AGENT_CTL_PORT		1u
#define AGENT_STREAM_PORT	2u	/* that of the first stream */
#define AGENT_STREAM_PORTS	16u	/* streams at a time, on vsock too */
#define AGENT_EARLY_STREAMS	4u	/* of them on the control port's device */
#define AGENT_VSOCK_CTL		1023u	/* below 1024: root's in the guest */
#define AGENT_VSOCK_STREAM	1024u

enum agent_type {
	AGENT_HELLO = 1,
	AGENT_OPEN,
	AGENT_SHUTDOWN,
	AGENT_PING,
	AGENT_READY,
	AGENT_PORTS,
	AGENT_STATS,
};

/* Bits of agent_hello.state. */
#define AGENT_STATE_PID1	0x01u	/* no init of the image's is running */
#define AGENT_STATE_NO_NET	0x02u	/* the network was not set up */
#define AGENT_STATE_NO_GROW	0x04u	/* the file system could not be grown */
#define AGENT_STATE_STOPPING	0x08u
#define AGENT_STATE_ALL		0x0fu

enum agent_shutdown_how {
	AGENT_REBOOT = 1,	/* what ends a Firecracker guest, and QEMU's */
	AGENT_POWEROFF = 2,
};

struct agent_hello {
	uint8_t nonce[STREAM_NONCE_SIZE];
	uint8_t boot_id[AGENT_BOOT_ID_SIZE];	/* replies only, as below */
	uint64_t uptime_ms;
	uint32_t version;
	uint32_t state;
};

struct agent_open {
	uint8_t nonce[STREAM_NONCE_SIZE];
	uint32_t port;				/* replies only */
};

struct agent_shutdown {
	enum agent_shutdown_how how;
	uint32_t timeout_ms;	/* then by force; 0: by force at once */
};

enum agent_socket {
	AGENT_TCP = 1,
	AGENT_TCP6,
	AGENT_UDP,
	AGENT_UDP6,
};

/* A socket of the guest that waits for peers. TOTAL 0: there is none. */
struct agent_listener {
	enum agent_socket proto;
	uint32_t pid;		/* who has it; 0: not found */
	uint16_t index, total;
	uint16_t port;
	bool more;		/* there are more than were told */
	uint8_t addr[16];	/* network order; IPv4: the first four */
	char comm[AGENT_COMM_SIZE];	/* terminated, printable; "": not found */
};

struct agent_stats {
	uint64_t mem_total_bytes, mem_available_bytes;
	uint64_t fs_total_bytes, fs_free_bytes;	/* of the root file system */
	uint32_t load[3];	/* in hundredths, of 1, 5 and 15 minutes */
	uint32_t processes;	/* and threads */
};

struct agent_msg {
	enum agent_type type;
	bool reply;
	uint32_t seq;
	int status;		/* positive errno of a reply, or 0 */
	union {
		struct agent_hello hello;	/* HELLO, READY */
		struct agent_open open;
		struct agent_shutdown shutdown;
		uint64_t uptime_ms;		/* PING's reply */
		struct agent_listener listener;	/* a reply to PORTS */
		struct agent_stats stats;	/* STATS' reply */
	};
};

/* Writes MSG as AGENT_MSG_SIZE bytes. A reply with a status has no body. */
void	 agent_msg_encode(uint8_t *out, const struct agent_msg *msg);

/*
 * Reads AGENT_MSG_SIZE bytes: 0, or -EPROTO when they are not exactly a message
 * that FROM (STREAM_CLIENT for the worker) may send.
 */
int	 agent_msg_decode(const uint8_t *in, enum stream_side from,
	    struct agent_msg *out);

/*
 * How many of the HAVE bytes of IN cannot be the start of a message: to be
 * dropped when agent_msg_decode() refused what stands there. At least 1 of a
 * non-empty buffer.
 */
size_t	 agent_msg_resync(const uint8_t *in, size_t have);

#endif
