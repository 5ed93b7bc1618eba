/*
 * What exec.c, the life of a session, and exec_io.c, the bytes of its command,
 * share and nobody else needs.
 */
#ifndef BANGER_GUEST_EXEC_INT_H
#define BANGER_GUEST_EXEC_INT_H

#include "base/fifo.h"
#include "base/stream.h"
#include "guest/exec.h"

/* Kept free in the send buffer for control frames, which are all small. */
#define TX_RESERVE	4096
#define TX_SIZE		(STREAM_FRAME_MAX + (size_t)2 * TX_RESERVE)

enum link_phase {
	LINK_GREETING,	/* wants HELLO */
	LINK_REQUEST,	/* wants EXEC */
	LINK_OPEN,
	LINK_LAST,	/* the last frame is queued */
	LINK_LINGER,	/* nothing more to say; the host end is still open */
	LINK_CLOSED,
};

enum command_phase { COMMAND_NONE, COMMAND_RUNS, COMMAND_ENDED };

/* One output of the command. */
struct output {
	struct watch watch;
	enum stream_type type;
	uint32_t window;	/* bytes the client still takes */
	uint64_t must_drain;	/* bytes in the pipe when the command ended */
	bool dry;		/* the last read found nothing */
};

struct exec_session {
	struct loop *loop;
	struct watch link;
	enum link_phase link_phase;
	enum command_phase command_phase;
	uint8_t nonce[STREAM_NONCE_SIZE];
	int64_t deadline;	/* of the greeting, the drain or the kill */
	bool awaits_host;	/* nobody has been at the other end yet */
	bool hung_up;		/* the client has gone: the command must go */

	uint8_t *request;	/* EXEC payloads so far */
	size_t request_len;
	char name[128];		/* of the command, for messages */
	bool pty;
	pid_t pid;
	int report;
	int wait_status;
	uint64_t start_us, elapsed_us;
	int64_t ended_ms;

	struct watch in;	/* not used with a pty */
	struct output out, err;
	uint32_t stdin_window;	/* bytes the client may still send */
	uint32_t stdin_taken;	/* bytes to grant again */
	bool stdin_eof;		/* the client's end of file */
	bool stdin_closed;	/* the command does not read any more */

	struct fifo rx, tx, stdin_fifo;
	uint8_t rx_data[STREAM_FRAME_MAX];
	uint8_t tx_data[TX_SIZE];
	uint8_t stdin_data[STREAM_STDIN_WINDOW];
};

/*
 * Queues a control frame of LEN bytes; TX_RESERVE is room for all that a session
 * can have.
 */
void	 exec_send_control(struct exec_session *s, const uint8_t *frame,
	    size_t len);

/* Writes what the client sent to the command; true when there may be more. */
bool	 exec_feed_stdin(struct exec_session *s);

/* Moves one run of output into a frame; true when there may be more. */
bool	 exec_collect(struct exec_session *s, struct output *o);

/* The command has ended: what O holds now must reach the client. */
void	 exec_mark_output(struct output *o);

/*
 * Whether an ended command's output is complete. A process it left behind may
 * hold a pipe open for ever: what was there at the end is always delivered, more
 * only until it is quiet for a moment. Sets the session's deadline.
 */
bool	 exec_drained(struct exec_session *s);

#endif
