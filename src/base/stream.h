/*
 * The exec stream: how a client and the guest agent speak over one
 * connection (a virtio-serial port of QEMU, a vsock connection of
 * Firecracker). One command per connection.
 *
 * A frame is an eight-byte header and a payload:
 *
 *	u8 type | u8 flags | u16 zero | u32 payload length, little endian
 *
 * All numbers are little endian. C sends to A (client to agent), A to C.
 *
 *	type     from  payload
 *	HELLO    C, A  "bangerst"; u32 version; u32 zero; u8 nonce[16]
 *	EXEC     C     part of an encoded request; flag MORE on all but the last
 *	STDIN    C     1..65536 bytes
 *	STDOUT   A     1..65536 bytes
 *	STDERR   A     1..65536 bytes
 *	EOF      C     end of standard input (no half-close: vsock has none)
 *	CLOSE    C, A  u32 channel: its reader has gone (C: 1, 2; A: 0)
 *	WINDOW   C, A  u32 channel; u32 bytes more may be sent (C: 1, 2; A: 0)
 *	SIGNAL   C     u32 signal number, to the command's process group
 *	WINSIZE  C     u16 rows, columns, width and height in pixels
 *	EXIT     A     u32 kind; u32 status or signal; u64 elapsed_us
 *	ERROR    A     u32 errno; 1..1024 bytes of text: no command was run
 *
 * The client speaks first: HELLO and EXEC, without waiting. The agent answers
 * with its HELLO, then output, and EXIT or ERROR as its last frame; the client
 * then closes. Each data channel starts with its initial window and the sender
 * never exceeds it, so a receiver can always store what arrives: a control
 * frame is never stuck behind data that nobody takes.
 *
 * Both sides hold the other for hostile: a frame that is not exactly as in the
 * table ends the stream. Nothing here does I/O.
 */
#ifndef BANGER_BASE_STREAM_H
#define BANGER_BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_VERSION		1u
#define STREAM_NONCE_SIZE	16
#define STREAM_HEADER_SIZE	8
#define STREAM_PAYLOAD_MAX	65536u
#define STREAM_FRAME_MAX	(STREAM_HEADER_SIZE + STREAM_PAYLOAD_MAX)
#define STREAM_HELLO_SIZE	32
#define STREAM_ERROR_TEXT_MAX	1024u

/* Initial windows in bytes: what a receiver must be able to store. */
#define STREAM_STDIN_WINDOW	131072u
#define STREAM_OUTPUT_WINDOW	262144u

/* How long an agent waits for HELLO and EXEC, and a client for HELLO. */
#define STREAM_HELLO_TIMEOUT_MS	10000

/* Bounds of an exec request; its encoded size is the sum of its parts. */
#define EXEC_REQUEST_MAX	262144u
#define EXEC_ARGC_MAX		4096u
#define EXEC_ENVC_MAX		4096u
#define EXEC_USER_MAX		256u
#define EXEC_CWD_MAX		4095u
#define EXEC_TERM_MAX		64u

enum stream_type {
	STREAM_HELLO = 1,
	STREAM_EXEC,
	STREAM_STDIN,
	STREAM_STDOUT,
	STREAM_STDERR,
	STREAM_EOF,
	STREAM_CLOSE,
	STREAM_WINDOW,
	STREAM_SIGNAL,
	STREAM_WINSIZE,
	STREAM_EXIT,
	STREAM_ERROR,
};

#define STREAM_FLAG_MORE 0x01

/* Who wrote a frame; bits, because some types go both ways. */
enum stream_side { STREAM_CLIENT = 1, STREAM_AGENT = 2 };

enum stream_channel { CHANNEL_STDIN, CHANNEL_STDOUT, CHANNEL_STDERR };

enum exit_kind { EXIT_KIND_CODE = 1, EXIT_KIND_SIGNAL = 2 };

/* One frame in a receive buffer; PAYLOAD points into that buffer. */
struct stream_frame {
	enum stream_type type;
	uint8_t flags;
	uint32_t len;
	const uint8_t *payload;
};

struct stream_winsize {
	uint16_t rows, cols, width_px, height_px;
};

struct stream_exit {
	enum exit_kind kind;
	uint32_t value;		/* exit status 0..255, or signal 1..64 */
	uint64_t elapsed_us;	/* from fork to the end, in the guest */
};

/*
 * What to run. Empty USER is root, empty CWD the user's home, empty ARGV a
 * login shell of that user. USER is NAME, UID, NAME:GROUP or UID:GID.
 */
struct exec_request {
	const char *user;
	const char *cwd;
	const char *term;		/* TERM when pty */
	bool pty;
	uint16_t rows, cols;
	uint32_t argc, envc;
	char **argv;			/* argc strings and a NULL */
	char **env;			/* envc strings K=V and a NULL */
	char **vector;			/* decoded: the memory of both */
};

/*
 * Finds the frame at the start of the HAVE bytes of BUF, written by FROM.
 * Returns the bytes it takes and fills OUT; 0 when more bytes are needed;
 * -EPROTO when this is no frame FROM may send. The header is judged as soon
 * as it is there: a wrong length is not waited for.
 */
long	 stream_next(const uint8_t *buf, size_t have, enum stream_side from,
	    struct stream_frame *out);

/* Writes a header of STREAM_HEADER_SIZE bytes. LEN must be legal for TYPE. */
void	 stream_header(uint8_t *out, enum stream_type type, uint8_t flags,
	    size_t len);

#define STREAM_CONTROL_MAX (STREAM_HEADER_SIZE + STREAM_HELLO_SIZE)
#define STREAM_ERROR_MAX (STREAM_HEADER_SIZE + 4 + STREAM_ERROR_TEXT_MAX)

/*
 * Write a whole frame to OUT, which has room for it, and return its size. The
 * largest, besides ERROR, is HELLO with STREAM_HEADER_SIZE + 32 bytes.
 */
size_t	 stream_put_hello(uint8_t *out, const uint8_t *nonce);
size_t	 stream_put_eof(uint8_t *out);
size_t	 stream_put_close(uint8_t *out, enum stream_channel channel);
size_t	 stream_put_window(uint8_t *out, enum stream_channel channel,
	    uint32_t bytes);
size_t	 stream_put_signal(uint8_t *out, uint32_t signo);
size_t	 stream_put_winsize(uint8_t *out, const struct stream_winsize *ws);
size_t	 stream_put_exit(uint8_t *out, const struct stream_exit *status);
size_t	 stream_put_error(uint8_t *out, int err, const char *text);

/*
 * Read the payload of a frame that stream_next() accepted. 0, or -EPROTO for
 * values that are not in the table; outputs are then untouched.
 * stream_get_hello() gives -EPROTONOSUPPORT for a foreign version and compares
 * the nonce in constant time (-EKEYREJECTED). FROM wrote the frame.
 */
int	 stream_get_hello(const struct stream_frame *frame,
	    const uint8_t *nonce);
int	 stream_get_close(const struct stream_frame *frame,
	    enum stream_side from, enum stream_channel *channel);
int	 stream_get_window(const struct stream_frame *frame,
	    enum stream_side from, enum stream_channel *channel,
	    uint32_t *bytes);
int	 stream_get_signal(const struct stream_frame *frame, int *signo);
void	 stream_get_winsize(const struct stream_frame *frame,
	    struct stream_winsize *ws);
int	 stream_get_exit(const struct stream_frame *frame,
	    struct stream_exit *status);

/*
 * The nonce in a HELLO that stream_next() accepted, of whatever version; it
 * points into the payload. For finding out whom a HELLO is for, no more.
 */
const uint8_t *stream_hello_nonce(const struct stream_frame *frame);


/*
 * Copies the text of ERROR as a string without control bytes: it comes from
 * the guest and goes to a terminal. *ERR becomes the positive errno (1..133;
 * any other number is EPROTO).
 */
void	 stream_get_error(const struct stream_frame *frame, int *err,
	    char *text, size_t text_size);

/*
 * Encodes REQ into a new buffer *OUT of *LEN bytes, owned by the caller:
 * 0, -E2BIG when a bound above is passed, -EINVAL for an environment entry
 * without a name, -ENOMEM.
 */
int	 exec_request_encode(const struct exec_request *req, uint8_t **out,
	    size_t *len);

/*
 * Decodes LEN bytes of BUF. The strings of OUT point into BUF, its vectors
 * are freed by exec_request_free(). 0, -EPROTO, -E2BIG or -ENOMEM.
 */
int	 exec_request_decode(uint8_t *buf, size_t len, struct exec_request *out);
void	 exec_request_free(struct exec_request *req);

/*
 * Splits LEN encoded bytes into EXEC frames: writes the header of the next one
 * to OUT and returns how many payload bytes follow it, from OFFSET on.
 */
size_t	 stream_exec_header(uint8_t *out, size_t len, size_t offset);

#endif
