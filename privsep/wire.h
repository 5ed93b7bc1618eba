/*
 * Sends and receives the records of proto.h. Knows about sizes, fds and
 * truncation, not about ops.
 */
#ifndef BANGER_PRIVSEP_WIRE_H
#define BANGER_PRIVSEP_WIRE_H

#include <stddef.h>

#include "privsep/proto.h"

/* The largest record of either direction. */
enum { WIRE_RECORD_MAX = 2048 };

/* A received record. The fds in it belong to the receiver until taken. */
struct wire_record {
	size_t len;
	uint32_t nfds;
	int fds[WIRE_FDS_MAX];
	union {
		uint8_t bytes[WIRE_RECORD_MAX];
		struct wire_request request;
		struct wire_reply reply;
	};
};

/*
 * Sends HEADER and, when BODY_LEN is not 0, BODY as one record with NFDS fds
 * (unix(7), SCM_RIGHTS; the caller keeps its fds). EINTR is retried, EAGAIN
 * is not. 0 or -errno.
 */
int	 wire_send(int sock, const void *header, size_t header_len,
	    const void *body, size_t body_len, const int *fds, uint32_t nfds);

/*
 * Receives one record; fds arrive close-on-exec. FLAGS are recvmsg(2)'s
 * (MSG_DONTWAIT). 1 and *RECORD filled; 0 at the end of file, or for an empty
 * record, which cannot be told from it (nobody of ours sends one); or -errno,
 * -EBADMSG for a record that was truncated, carried other control data, or
 * more fds than WIRE_FDS_MAX: all its fds are closed then.
 */
int	 wire_recv(int sock, struct wire_record *record, int flags);

/* Takes fd I out of RECORD (-1 afterwards); the caller owns it. */
int	 wire_take_fd(struct wire_record *record, uint32_t i);

/* Closes the fds that nobody took. */
void	 wire_close_fds(struct wire_record *record);

#endif
