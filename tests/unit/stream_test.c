/*
 * The exec stream's frames: a truth table of headers, every payload, and
 * requests cut and bent in every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fifo.h"
#include "base/le.h"
#include "base/stream.h"
#include "privsep/util.h"

static const uint8_t nonce[STREAM_NONCE_SIZE] = "0123456789abcde";

static long
try_header(uint8_t type, uint8_t flags, uint16_t zero, uint32_t len,
    enum stream_side from)
{
	static uint8_t buf[STREAM_FRAME_MAX + 1];
	struct stream_frame frame;

	memset(buf, 0, sizeof(buf));
	buf[0] = type;
	buf[1] = flags;
	put_le16(buf + 2, zero);
	put_le32(buf + 4, len);
	return stream_next(buf, sizeof(buf), from, &frame);
}

/* Type by type: who may send it, with which lengths. */
static void
test_headers(void **state)
{
	static const struct {
		uint8_t type, from;
		uint32_t min, max;
	} rows[] = {
		{ STREAM_HELLO, 3, 32, 32 },
		{ STREAM_EXEC, 1, 1, 65536 },
		{ STREAM_STDIN, 1, 1, 65536 },
		{ STREAM_STDOUT, 2, 1, 65536 },
		{ STREAM_STDERR, 2, 1, 65536 },
		{ STREAM_EOF, 1, 0, 0 },
		{ STREAM_CLOSE, 3, 4, 4 },
		{ STREAM_WINDOW, 3, 8, 8 },
		{ STREAM_SIGNAL, 1, 4, 4 },
		{ STREAM_WINSIZE, 1, 8, 8 },
		{ STREAM_EXIT, 2, 16, 16 },
		{ STREAM_ERROR, 2, 5, 1028 },
	};
	uint8_t side;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (side = 1; side <= 2; side++) {
			enum stream_side from = (enum stream_side)side;
			uint8_t type = rows[i].type;
			uint32_t min = rows[i].min, max = rows[i].max;

			if ((rows[i].from & side) == 0) {
				assert_int_equal(try_header(type, 0, 0, min,
				    from), -EPROTO);
				continue;
			}
			assert_int_equal(try_header(type, 0, 0, min, from),
			    8 + min);
			assert_int_equal(try_header(type, 0, 0, max, from),
			    8 + max);
			if (min > 0)
				assert_int_equal(try_header(type, 0, 0,
				    min - 1, from), -EPROTO);
			assert_int_equal(try_header(type, 0, 0, max + 1, from),
			    -EPROTO);
			assert_int_equal(try_header(type, 0, 0, UINT32_MAX,
			    from), -EPROTO);
			assert_int_equal(try_header(type, 0, 1, min, from),
			    -EPROTO);
			assert_int_equal(try_header(type, 2, 0, min, from),
			    -EPROTO);
			assert_int_equal(try_header(type, 1, 0, min, from),
			    type == STREAM_EXEC ? 8 + (int)min : -EPROTO);
		}
	}
	assert_int_equal(try_header(0, 0, 0, 0, STREAM_CLIENT), -EPROTO);
	assert_int_equal(try_header(STREAM_ERROR + 1, 0, 0, 0, STREAM_AGENT),
	    -EPROTO);
	assert_int_equal(try_header(255, 0, 0, 0, STREAM_AGENT), -EPROTO);
}

static void
test_partial(void **state)
{
	uint8_t buf[STREAM_CONTROL_MAX];
	struct stream_frame frame;
	size_t len = stream_put_hello(buf, nonce), i;

	(void)state;
	for (i = 0; i < len; i++)
		assert_int_equal(stream_next(buf, i, STREAM_AGENT, &frame), 0);
	assert_int_equal(stream_next(buf, len, STREAM_AGENT, &frame), len);
	assert_int_equal(stream_get_hello(&frame, nonce), 0);
	/* A header that is wrong is not waited for. */
	buf[4] = 33;
	assert_int_equal(stream_next(buf, 8, STREAM_AGENT, &frame), -EPROTO);
}

static struct stream_frame
parse(const uint8_t *buf, size_t len, enum stream_side from)
{
	struct stream_frame frame;

	assert_int_equal(stream_next(buf, len, from, &frame), len);
	return frame;
}

static void
test_hello(void **state)
{
	uint8_t buf[STREAM_CONTROL_MAX];
	size_t len = stream_put_hello(buf, nonce), i;
	struct stream_frame frame = parse(buf, len, STREAM_CLIENT);
	int r;

	(void)state;
	assert_int_equal(stream_get_hello(&frame, nonce), 0);
	for (i = 8; i < len; i++) {
		buf[i] ^= 1;
		r = stream_get_hello(&frame, nonce);
		if (i < 16 || (i >= 20 && i < 24))
			assert_int_equal(r, -EPROTO);
		else
			assert_int_equal(r, i < 20 ? -EPROTONOSUPPORT :
			    -EKEYREJECTED);
		buf[i] ^= 1;
	}
}

static void
test_channels(void **state)
{
	uint8_t buf[STREAM_CONTROL_MAX];
	enum stream_channel channel = CHANNEL_STDERR;
	struct stream_frame frame;
	uint32_t bytes = 7;

	(void)state;
	frame = parse(buf, stream_put_close(buf, CHANNEL_STDIN), STREAM_AGENT);
	assert_int_equal(stream_get_close(&frame, STREAM_CLIENT, &channel),
	    -EPROTO);
	assert_int_equal(channel, CHANNEL_STDERR);
	assert_int_equal(stream_get_close(&frame, STREAM_AGENT, &channel), 0);
	assert_int_equal(channel, CHANNEL_STDIN);
	frame = parse(buf, stream_put_window(buf, CHANNEL_STDOUT, 1000),
	    STREAM_CLIENT);
	assert_int_equal(stream_get_window(&frame, STREAM_AGENT, &channel,
	    &bytes), -EPROTO);
	assert_int_equal(bytes, 7);
	assert_int_equal(stream_get_window(&frame, STREAM_CLIENT, &channel,
	    &bytes), 0);
	assert_int_equal(bytes, 1000);
	(void)stream_put_window(buf, CHANNEL_STDOUT, 0);
	assert_int_equal(stream_get_window(&frame, STREAM_CLIENT, &channel,
	    &bytes), -EPROTO);
	(void)stream_put_window(buf, CHANNEL_STDOUT, STREAM_OUTPUT_WINDOW + 1);
	assert_int_equal(stream_get_window(&frame, STREAM_CLIENT, &channel,
	    &bytes), -EPROTO);
	(void)stream_put_window(buf, (enum stream_channel)3, 1);
	assert_int_equal(stream_get_window(&frame, STREAM_CLIENT, &channel,
	    &bytes), -EPROTO);
}

static void
test_signal(void **state)
{
	static const uint32_t bad[] = { 0, 65, 128, UINT32_MAX };
	uint8_t buf[STREAM_CONTROL_MAX];
	struct stream_frame frame;
	int signo = -1;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		frame = parse(buf, stream_put_signal(buf, bad[i]),
		    STREAM_CLIENT);
		assert_int_equal(stream_get_signal(&frame, &signo), -EPROTO);
		assert_int_equal(signo, -1);
	}
	frame = parse(buf, stream_put_signal(buf, 64), STREAM_CLIENT);
	assert_int_equal(stream_get_signal(&frame, &signo), 0);
	assert_int_equal(signo, 64);
}

static void
test_winsize(void **state)
{
	const struct stream_winsize in = { 50, 132, 800, 65535 };
	uint8_t buf[STREAM_CONTROL_MAX];
	struct stream_winsize out;
	struct stream_frame frame;

	(void)state;
	frame = parse(buf, stream_put_winsize(buf, &in), STREAM_CLIENT);
	stream_get_winsize(&frame, &out);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void
test_exit(void **state)
{
	static const struct {
		uint32_t kind, value;
		int result;
	} rows[] = {
		{ 1, 0, 0 }, { 1, 255, 0 }, { 1, 256, -EPROTO },
		{ 1, UINT32_MAX, -EPROTO }, { 2, 0, -EPROTO }, { 2, 1, 0 },
		{ 2, 64, 0 }, { 2, 65, -EPROTO }, { 0, 0, -EPROTO },
		{ 3, 1, -EPROTO },
	};
	uint8_t buf[STREAM_CONTROL_MAX];
	struct stream_frame frame;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stream_exit status = {
			.kind = (enum exit_kind)rows[i].kind,
			.value = rows[i].value,
			.elapsed_us = UINT64_C(0x0123456789abcdef),
		}, got = { 0 };

		frame = parse(buf, stream_put_exit(buf, &status),
		    STREAM_AGENT);
		assert_int_equal(stream_get_exit(&frame, &got),
		    rows[i].result);
		if (rows[i].result == 0)
			assert_memory_equal(&got, &status, sizeof(got));
		else
			assert_int_equal(got.kind, 0);
	}
}

static void
test_error(void **state)
{
	uint8_t buf[STREAM_ERROR_MAX];
	char text[16], *big;
	struct stream_frame frame;
	int number;

	(void)state;
	frame = parse(buf, stream_put_error(buf, ENOENT, "a\033[1m\nb\xff"),
	    STREAM_AGENT);
	stream_get_error(&frame, &number, text, sizeof(text));
	assert_int_equal(number, ENOENT);
	assert_string_equal(text, "a?[1m?b?");
	stream_get_error(&frame, &number, text, 4);
	assert_string_equal(text, "a?[");
	frame = parse(buf, stream_put_error(buf, -1, ""), STREAM_AGENT);
	stream_get_error(&frame, &number, text, sizeof(text));
	assert_int_equal(number, EPROTO);
	big = malloc(5000);
	assert_non_null(big);
	memset(big, 'x', 4999);
	big[4999] = '\0';
	assert_int_equal(stream_put_error(buf, 1, big), STREAM_ERROR_MAX);
	free(big);
}

static char word_sh[] = "/bin/sh", word_empty[] = "", word_bytes[] = "\xff\n";
static char env_a[] = "A=", env_b[] = "B=x=y";

static struct exec_request
sample(void)
{
	static char *argv[] = { word_sh, word_empty, word_bytes, NULL };
	static char *env[] = { env_a, env_b, NULL };

	return (struct exec_request){
		.user = "root:wheel", .cwd = "/tmp", .term = "xterm",
		.pty = true, .rows = 24, .cols = 80,
		.argc = 3, .argv = argv, .envc = 2, .env = env,
	};
}

static void
test_request(void **state)
{
	struct exec_request in = sample(), out;
	_cleanup_free_ uint8_t *buf = NULL;
	size_t len;

	(void)state;
	assert_int_equal(exec_request_encode(&in, &buf, &len), 0);
	assert_int_equal(exec_request_decode(buf, len, &out), 0);
	assert_string_equal(out.user, in.user);
	assert_string_equal(out.cwd, in.cwd);
	assert_string_equal(out.term, in.term);
	assert_true(out.pty && out.rows == 24 && out.cols == 80);
	assert_int_equal(out.argc, 3);
	assert_string_equal(out.argv[1], "");
	assert_string_equal(out.argv[2], word_bytes);
	assert_null(out.argv[3]);
	assert_int_equal(out.envc, 2);
	assert_string_equal(out.env[1], env_b);
	assert_null(out.env[2]);
	exec_request_free(&out);
	assert_null(out.vector);
}

/* Cut at every length, and with every byte changed: never a crash. */
static void
test_request_bent(void **state)
{
	struct exec_request in = sample(), out;
	_cleanup_free_ uint8_t *good = NULL;
	size_t len, i;
	int bit;

	(void)state;
	assert_int_equal(exec_request_encode(&in, &good, &len), 0);
	for (i = 0; i < len; i++) {
		_cleanup_free_ uint8_t *cut = malloc(i + 1);

		assert_non_null(cut);
		memcpy(cut, good, i);
		assert_int_equal(exec_request_decode(cut, i, &out), -EPROTO);
	}
	for (i = 0; i < len; i++)
		for (bit = 0; bit < 8; bit++) {
			_cleanup_free_ uint8_t *bent = malloc(len);

			assert_non_null(bent);
			memcpy(bent, good, len);
			bent[i] ^= (uint8_t)(1 << bit);
			if (exec_request_decode(bent, len, &out) == 0)
				exec_request_free(&out);
		}
}

static void
test_request_bounds(void **state)
{
	static char *many[EXEC_ARGC_MAX + 2];
	struct exec_request req = sample();
	_cleanup_free_ uint8_t *buf = NULL;
	char *big = malloc(EXEC_REQUEST_MAX + 1);
	char no_name[] = "=x", no_value[] = "x";
	char *env[] = { no_name, NULL };
	size_t len, i;

	(void)state;
	assert_non_null(big);
	memset(big, 'x', EXEC_REQUEST_MAX);
	big[EXEC_REQUEST_MAX] = '\0';
	for (i = 0; i < ARRAY_SIZE(many) - 1; i++)
		many[i] = word_empty;
	req.argv = many;
	req.argc = EXEC_ARGC_MAX;
	assert_int_equal(exec_request_encode(&req, &buf, &len), 0);
	free(steal_ptr(&buf));
	req.argc++;
	assert_int_equal(exec_request_encode(&req, &buf, &len), -E2BIG);
	req = sample();
	req.argv[1] = big;
	assert_int_equal(exec_request_encode(&req, &buf, &len), -E2BIG);
	big[EXEC_REQUEST_MAX / 2] = '\0';
	assert_int_equal(exec_request_encode(&req, &buf, &len), 0);
	free(steal_ptr(&buf));
	req.argv[2] = big;
	assert_int_equal(exec_request_encode(&req, &buf, &len), -E2BIG);
	req.argv[1] = word_empty;
	req.argv[2] = word_bytes;
	req.cwd = big;
	assert_int_equal(exec_request_encode(&req, &buf, &len), -E2BIG);
	req = sample();
	req.user = big;
	assert_int_equal(exec_request_encode(&req, &buf, &len), -E2BIG);
	req = sample();
	req.env = env;
	req.envc = 1;
	assert_int_equal(exec_request_encode(&req, &buf, &len), -EINVAL);
	env[0] = no_value;
	assert_int_equal(exec_request_encode(&req, &buf, &len), -EINVAL);
	env[0] = word_empty;
	assert_int_equal(exec_request_encode(&req, &buf, &len), -EINVAL);
	assert_null(buf);
	free(big);
}

/* A request over several frames comes out as it went in. */
static void
test_exec_frames(void **state)
{
	size_t len = 2 * STREAM_PAYLOAD_MAX + 5, offset = 0, part;
	uint8_t header[STREAM_HEADER_SIZE];
	int frames = 0;

	(void)state;
	while (offset < len) {
		part = stream_exec_header(header, len, offset);
		assert_int_equal(get_le32(header + 4), part);
		offset += part;
		assert_int_equal(header[1],
		    offset < len ? STREAM_FLAG_MORE : 0);
		frames++;
	}
	assert_int_equal(offset, len);
	assert_int_equal(frames, 3);
}

/* Noise: no crash (under sanitizers), and no frame beyond the buffer. */
static void
test_noise(void **state)
{
	uint32_t seed = 1;
	uint8_t buf[600];
	int i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		struct stream_frame frame = { 0 };
		struct exec_request req;
		size_t len, j;
		long r;

		for (j = 0; j < 40; j++) {
			seed = seed * 1664525 + 1013904223;
			buf[j] = (uint8_t)(seed >> 24) & 0x0f;
		}
		buf[2] = buf[3] = buf[6] = buf[7] = 0;
		len = seed % sizeof(buf);
		r = stream_next(buf, len, STREAM_AGENT, &frame);
		assert_true(r <= (long)len);
		if (r > 0)
			assert_true(frame.payload + frame.len <= buf + len);
		if (exec_request_decode(buf, len, &req) == 0)
			exec_request_free(&req);
	}
}

static void
test_fifo(void **state)
{
	uint8_t data[8];
	struct fifo f = { data, sizeof(data), 0, 0 };

	(void)state;
	fifo_put(&f, "abcdef", 6);
	fifo_drop(&f, 4);
	assert_int_equal(fifo_room(&f), 6);
	fifo_put(&f, "ghijkl", 6);
	assert_int_equal(fifo_room(&f), 0);
	assert_memory_equal(fifo_head(&f), "efghijkl", 8);
	fifo_drop(&f, 8);
	assert_int_equal(f.start, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_channels),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_winsize),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_request_bent),
		cmocka_unit_test(test_request_bounds),
		cmocka_unit_test(test_exec_frames),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_fifo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
