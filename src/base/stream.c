/*
 * Encoding and decoding of the exec stream. One table row per frame type says
 * who may send it, with which flags and how long; whatever is not in the table
 * is refused before a byte of its payload is looked at.
 */
#include "base/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "privsep/util.h"

static const char magic[8] = { 'b', 'a', 'n', 'g', 'e', 'r', 's', 't' };

#define BOTH (STREAM_CLIENT | STREAM_AGENT)

static const struct frame_rule {
	uint8_t from;
	uint8_t flags;
	uint32_t min_len, max_len;
} rules[] = {
	[STREAM_HELLO] = { BOTH, 0, STREAM_HELLO_SIZE, STREAM_HELLO_SIZE },
	[STREAM_EXEC] = { STREAM_CLIENT, STREAM_FLAG_MORE, 1,
	    STREAM_PAYLOAD_MAX },
	[STREAM_STDIN] = { STREAM_CLIENT, 0, 1, STREAM_PAYLOAD_MAX },
	[STREAM_STDOUT] = { STREAM_AGENT, 0, 1, STREAM_PAYLOAD_MAX },
	[STREAM_STDERR] = { STREAM_AGENT, 0, 1, STREAM_PAYLOAD_MAX },
	[STREAM_EOF] = { STREAM_CLIENT, 0, 0, 0 },
	[STREAM_CLOSE] = { BOTH, 0, 4, 4 },
	[STREAM_WINDOW] = { BOTH, 0, 8, 8 },
	[STREAM_SIGNAL] = { STREAM_CLIENT, 0, 4, 4 },
	[STREAM_WINSIZE] = { STREAM_CLIENT, 0, 8, 8 },
	[STREAM_EXIT] = { STREAM_AGENT, 0, 16, 16 },
	[STREAM_ERROR] = { STREAM_AGENT, 0, 5, 4 + STREAM_ERROR_TEXT_MAX },
};

/* Fixed part of an encoded request: argc, envc, rows, cols, pty, 3 zeros. */
#define EXEC_FIXED_SIZE 16

long
stream_next(const uint8_t *buf, size_t have, enum stream_side from,
    struct stream_frame *out)
{
	const struct frame_rule *rule;
	uint32_t len;

	if (have < STREAM_HEADER_SIZE)
		return 0;
	if (buf[0] >= ARRAY_SIZE(rules) || (rules[buf[0]].from & from) == 0)
		return -EPROTO;
	rule = &rules[buf[0]];
	len = get_le32(buf + 4);
	if ((buf[1] & ~rule->flags) != 0 || get_le16(buf + 2) != 0 ||
	    len < rule->min_len || len > rule->max_len)
		return -EPROTO;
	if (have - STREAM_HEADER_SIZE < len)
		return 0;
	out->type = (enum stream_type)buf[0];
	out->flags = buf[1];
	out->len = len;
	out->payload = buf + STREAM_HEADER_SIZE;
	return (long)(STREAM_HEADER_SIZE + len);
}

void
stream_header(uint8_t *out, enum stream_type type, uint8_t flags, size_t len)
{
	out[0] = (uint8_t)type;
	out[1] = flags;
	put_le16(out + 2, 0);
	put_le32(out + 4, (uint32_t)len);
}

size_t
stream_put_hello(uint8_t *out, const uint8_t *nonce)
{
	uint8_t *p = out + STREAM_HEADER_SIZE;

	stream_header(out, STREAM_HELLO, 0, STREAM_HELLO_SIZE);
	memcpy(p, magic, sizeof(magic));
	put_le32(p + 8, STREAM_VERSION);
	put_le32(p + 12, 0);
	memcpy(p + 16, nonce, STREAM_NONCE_SIZE);
	return STREAM_HEADER_SIZE + STREAM_HELLO_SIZE;
}

size_t
stream_put_eof(uint8_t *out)
{
	stream_header(out, STREAM_EOF, 0, 0);
	return STREAM_HEADER_SIZE;
}

static size_t
put_u32(uint8_t *out, enum stream_type type, uint32_t value)
{
	stream_header(out, type, 0, 4);
	put_le32(out + STREAM_HEADER_SIZE, value);
	return STREAM_HEADER_SIZE + 4;
}

size_t
stream_put_close(uint8_t *out, enum stream_channel channel)
{
	return put_u32(out, STREAM_CLOSE, (uint32_t)channel);
}

size_t
stream_put_signal(uint8_t *out, uint32_t signo)
{
	return put_u32(out, STREAM_SIGNAL, signo);
}

size_t
stream_put_window(uint8_t *out, enum stream_channel channel, uint32_t bytes)
{
	stream_header(out, STREAM_WINDOW, 0, 8);
	put_le32(out + STREAM_HEADER_SIZE, (uint32_t)channel);
	put_le32(out + STREAM_HEADER_SIZE + 4, bytes);
	return STREAM_HEADER_SIZE + 8;
}

size_t
stream_put_winsize(uint8_t *out, const struct stream_winsize *ws)
{
	uint8_t *p = out + STREAM_HEADER_SIZE;

	stream_header(out, STREAM_WINSIZE, 0, 8);
	put_le16(p, ws->rows);
	put_le16(p + 2, ws->cols);
	put_le16(p + 4, ws->width_px);
	put_le16(p + 6, ws->height_px);
	return STREAM_HEADER_SIZE + 8;
}

size_t
stream_put_exit(uint8_t *out, const struct stream_exit *status)
{
	uint8_t *p = out + STREAM_HEADER_SIZE;

	stream_header(out, STREAM_EXIT, 0, 16);
	put_le32(p, (uint32_t)status->kind);
	put_le32(p + 4, status->value);
	put_le64(p + 8, status->elapsed_us);
	return STREAM_HEADER_SIZE + 16;
}

size_t
stream_put_error(uint8_t *out, int err, const char *text)
{
	size_t len = strlen(text);

	if (len > STREAM_ERROR_TEXT_MAX)
		len = STREAM_ERROR_TEXT_MAX;
	if (len == 0) {
		text = "?";
		len = 1;
	}
	stream_header(out, STREAM_ERROR, 0, 4 + len);
	put_le32(out + STREAM_HEADER_SIZE, (uint32_t)err);
	/* No string: its length goes with it. */
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
	memcpy(out + STREAM_HEADER_SIZE + 4, text, len);
	return STREAM_HEADER_SIZE + 4 + len;
}

int
stream_get_hello(const struct stream_frame *frame, const uint8_t *nonce)
{
	const uint8_t *p = frame->payload;
	uint8_t differs = 0;
	size_t i;

	if (memcmp(p, magic, sizeof(magic)) != 0 || get_le32(p + 12) != 0)
		return -EPROTO;
	if (get_le32(p + 8) != STREAM_VERSION)
		return -EPROTONOSUPPORT;
	for (i = 0; i < STREAM_NONCE_SIZE; i++)
		differs |= (uint8_t)(p[16 + i] ^ nonce[i]);
	return differs == 0 ? 0 : -EKEYREJECTED;
}

const uint8_t *
stream_hello_nonce(const struct stream_frame *frame)
{
	return frame->payload + 16;
}

/* Only the receiver of a channel's data may close it or widen its window. */
static bool
receives(enum stream_side side, uint32_t channel)
{
	if (side == STREAM_AGENT)
		return channel == CHANNEL_STDIN;
	return channel == CHANNEL_STDOUT || channel == CHANNEL_STDERR;
}

int
stream_get_close(const struct stream_frame *frame, enum stream_side from,
    enum stream_channel *channel)
{
	uint32_t number = get_le32(frame->payload);

	if (!receives(from, number))
		return -EPROTO;
	*channel = (enum stream_channel)number;
	return 0;
}

int
stream_get_window(const struct stream_frame *frame, enum stream_side from,
    enum stream_channel *channel, uint32_t *bytes)
{
	uint32_t number = get_le32(frame->payload);
	uint32_t more = get_le32(frame->payload + 4);

	if (!receives(from, number) || more == 0 || more > STREAM_OUTPUT_WINDOW)
		return -EPROTO;
	*channel = (enum stream_channel)number;
	*bytes = more;
	return 0;
}

int
stream_get_signal(const struct stream_frame *frame, int *signo)
{
	uint32_t number = get_le32(frame->payload);

	if (number < 1 || number > 64)
		return -EPROTO;
	*signo = (int)number;
	return 0;
}

void
stream_get_winsize(const struct stream_frame *frame, struct stream_winsize *ws)
{
	ws->rows = get_le16(frame->payload);
	ws->cols = get_le16(frame->payload + 2);
	ws->width_px = get_le16(frame->payload + 4);
	ws->height_px = get_le16(frame->payload + 6);
}

int
stream_get_exit(const struct stream_frame *frame, struct stream_exit *status)
{
	uint32_t kind = get_le32(frame->payload);
	uint32_t value = get_le32(frame->payload + 4);

	if (!(kind == EXIT_KIND_CODE && value <= 255) &&
	    !(kind == EXIT_KIND_SIGNAL && value >= 1 && value <= 64))
		return -EPROTO;
	status->kind = (enum exit_kind)kind;
	status->value = value;
	status->elapsed_us = get_le64(frame->payload + 8);
	return 0;
}

void
stream_get_error(const struct stream_frame *frame, int *err, char *text,
    size_t text_size)
{
	uint32_t number = get_le32(frame->payload);
	size_t len = frame->len - 4, i;

	*err = number >= 1 && number <= EHWPOISON ? (int)number : EPROTO;
	if (len >= text_size)
		len = text_size - 1;
	for (i = 0; i < len; i++) {
		uint8_t c = frame->payload[4 + i];

		text[i] = (char)(c < 0x20 || c >= 0x7f ? '?' : c);
	}
	text[len] = '\0';
}

/* Length with its NUL, added to *TOTAL; -E2BIG above MAX characters. */
static int
count_string(const char *s, size_t max, size_t *total)
{
	size_t len = strlen(s);

	if (len > max || *total + len + 1 > EXEC_REQUEST_MAX)
		return -E2BIG;
	*total += len + 1;
	return 0;
}

static bool
is_assignment(const char *s)
{
	return s[0] != '\0' && s[0] != '=' && strchr(s, '=') != NULL;
}

static int
exec_request_size(const struct exec_request *req, size_t *size)
{
	size_t total = EXEC_FIXED_SIZE;
	uint32_t i;

	if (req->argc > EXEC_ARGC_MAX || req->envc > EXEC_ENVC_MAX ||
	    count_string(req->user, EXEC_USER_MAX, &total) < 0 ||
	    count_string(req->cwd, EXEC_CWD_MAX, &total) < 0 ||
	    count_string(req->term, EXEC_TERM_MAX, &total) < 0)
		return -E2BIG;
	for (i = 0; i < req->argc; i++)
		if (count_string(req->argv[i], EXEC_REQUEST_MAX, &total) < 0)
			return -E2BIG;
	for (i = 0; i < req->envc; i++) {
		if (!is_assignment(req->env[i]))
			return -EINVAL;
		if (count_string(req->env[i], EXEC_REQUEST_MAX, &total) < 0)
			return -E2BIG;
	}
	*size = total;
	return 0;
}

static uint8_t *
append_string(uint8_t *p, const char *s)
{
	size_t size = strlen(s) + 1;

	memcpy(p, s, size);
	return p + size;
}

int
exec_request_encode(const struct exec_request *req, uint8_t **out, size_t *len)
{
	size_t size = 0;
	uint8_t *buf, *p;
	uint32_t i;
	int r = exec_request_size(req, &size);

	if (r < 0)
		return r;
	buf = calloc(1, size);
	if (buf == NULL)
		return -ENOMEM;
	put_le32(buf, req->argc);
	put_le32(buf + 4, req->envc);
	put_le16(buf + 8, req->rows);
	put_le16(buf + 10, req->cols);
	buf[12] = req->pty ? 1 : 0;
	p = append_string(buf + EXEC_FIXED_SIZE, req->user);
	p = append_string(p, req->cwd);
	p = append_string(p, req->term);
	for (i = 0; i < req->argc; i++)
		p = append_string(p, req->argv[i]);
	for (i = 0; i < req->envc; i++)
		p = append_string(p, req->env[i]);
	*out = buf;
	*len = size;
	return 0;
}

/* Takes one terminated string of at most MAX characters from *P. */
static char *
take_string(uint8_t **p, const uint8_t *end, size_t max)
{
	uint8_t *start = *p, *nul;

	nul = memchr(start, '\0', (size_t)(end - start));
	if (nul == NULL || (size_t)(nul - start) > max)
		return NULL;
	*p = nul + 1;
	return (char *)start;
}

static int
take_vector(uint8_t **p, const uint8_t *end, char **vector, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		vector[i] = take_string(p, end, EXEC_REQUEST_MAX);
		if (vector[i] == NULL)
			return -EPROTO;
	}
	return 0;
}

static int
take_strings(uint8_t *p, const uint8_t *end, struct exec_request *req)
{
	uint32_t i;

	req->user = take_string(&p, end, EXEC_USER_MAX);
	if (req->user == NULL)
		return -EPROTO;
	req->cwd = take_string(&p, end, EXEC_CWD_MAX);
	if (req->cwd == NULL)
		return -EPROTO;
	req->term = take_string(&p, end, EXEC_TERM_MAX);
	if (req->term == NULL ||
	    take_vector(&p, end, req->argv, req->argc) < 0 ||
	    take_vector(&p, end, req->env, req->envc) < 0 || p != end)
		return -EPROTO;
	for (i = 0; i < req->envc; i++)
		if (!is_assignment(req->env[i]))
			return -EPROTO;
	return 0;
}

int
exec_request_decode(uint8_t *buf, size_t len, struct exec_request *out)
{
	struct exec_request req = { 0 };
	_cleanup_free_ char **vector = NULL;
	int r;

	if (len > EXEC_REQUEST_MAX)
		return -E2BIG;
	if (len < EXEC_FIXED_SIZE || buf[12] > 1 || buf[13] != 0 ||
	    buf[14] != 0 || buf[15] != 0)
		return -EPROTO;
	req.argc = get_le32(buf);
	req.envc = get_le32(buf + 4);
	if (req.argc > EXEC_ARGC_MAX || req.envc > EXEC_ENVC_MAX)
		return -E2BIG;
	req.rows = get_le16(buf + 8);
	req.cols = get_le16(buf + 10);
	req.pty = buf[12] == 1;
	vector = calloc((size_t)req.argc + req.envc + 2, sizeof(*vector));
	if (vector == NULL)
		return -ENOMEM;
	req.argv = vector;
	req.env = vector + req.argc + 1;
	r = take_strings(buf + EXEC_FIXED_SIZE, buf + len, &req);
	if (r < 0)
		return r;
	req.vector = steal_ptr(&vector);
	*out = req;
	return 0;
}

void
exec_request_free(struct exec_request *req)
{
	free(req->vector);
	memset(req, 0, sizeof(*req));
}

size_t
stream_exec_header(uint8_t *out, size_t len, size_t offset)
{
	size_t part = len - offset;
	uint8_t flags = 0;

	if (part > STREAM_PAYLOAD_MAX) {
		part = STREAM_PAYLOAD_MAX;
		flags = STREAM_FLAG_MORE;
	}
	stream_header(out, STREAM_EXEC, flags, part);
	return part;
}
