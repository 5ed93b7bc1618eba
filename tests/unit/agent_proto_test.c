/*
 * Control messages: every type both ways, every byte changed, and the worker's
 * reader over a channel with remains of another worker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "privsep/util.h"
#include "vmm/agent_client.h"

static const uint8_t nonce[STREAM_NONCE_SIZE] = "nonce of worker";

static const struct {
	struct agent_msg msg;
	enum stream_side from;
} samples[] = {
	{ { .type = AGENT_HELLO, .seq = 1,
	    .hello.nonce = "nonce of worker" }, STREAM_CLIENT },
	{ { .type = AGENT_HELLO, .reply = true, .seq = 1, .hello = {
	    "nonce of worker", "boot id of guest", UINT64_MAX, 1,
	    AGENT_STATE_ALL } }, STREAM_AGENT },
	{ { .type = AGENT_OPEN, .seq = UINT32_MAX,
	    .open.nonce = "0123456789abcde" }, STREAM_CLIENT },
	{ { .type = AGENT_OPEN, .reply = true, .seq = 2,
	    .open = { "0123456789abcde", AGENT_STREAM_PORTS - 1 } },
	    STREAM_AGENT },
	{ { .type = AGENT_OPEN, .reply = true, .seq = 3, .status = EBUSY },
	    STREAM_AGENT },
	{ { .type = AGENT_SHUTDOWN, .seq = 4,
	    .shutdown = { AGENT_POWEROFF, 5000 } }, STREAM_CLIENT },
	{ { .type = AGENT_SHUTDOWN, .reply = true, .seq = 4 }, STREAM_AGENT },
	{ { .type = AGENT_PING, .seq = 5 }, STREAM_CLIENT },
	{ { .type = AGENT_PING, .reply = true, .seq = 5, .uptime_ms = 99 },
	    STREAM_AGENT },
	{ { .type = AGENT_READY, .hello = { { 0 }, "boot id of guest", 7, 1,
	    0 } }, STREAM_AGENT },
	{ { .type = AGENT_PORTS, .seq = 6 }, STREAM_CLIENT },
	{ { .type = AGENT_PORTS, .reply = true, .seq = 6 }, STREAM_AGENT },
	{ { .type = AGENT_PORTS, .reply = true, .seq = 6, .listener = {
	    AGENT_UDP, UINT32_MAX, 1, AGENT_LISTENERS_MAX, 65535, true,
	    { 127, 0, 0, 1 }, "fifteen letters" } }, STREAM_AGENT },
	{ { .type = AGENT_PORTS, .reply = true, .seq = 6, .listener = {
	    AGENT_TCP6, 0, 0, 1, 1, false, "\xfe\x80 and the rest", "" } },
	    STREAM_AGENT },
	{ { .type = AGENT_PORTS, .reply = true, .seq = 7, .status = EBUSY },
	    STREAM_AGENT },
	{ { .type = AGENT_STATS, .seq = 8 }, STREAM_CLIENT },
	{ { .type = AGENT_STATS, .reply = true, .seq = 8, .stats = { 1,
	    UINT64_MAX, 3, 4, { 5, 6, UINT32_MAX }, 8 } }, STREAM_AGENT },
};

static void
test_round_trip(void **state)
{
	uint8_t bytes[AGENT_MSG_SIZE], again[AGENT_MSG_SIZE];
	struct agent_msg got;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(samples); i++) {
		enum stream_side from = samples[i].from;

		agent_msg_encode(bytes, &samples[i].msg);
		assert_int_equal(agent_msg_decode(bytes, from, &got), 0);
		agent_msg_encode(again, &got);
		assert_memory_equal(bytes, again, sizeof(bytes));
		/* Never from the other side. */
		assert_int_equal(agent_msg_decode(bytes,
		    from == STREAM_AGENT ? STREAM_CLIENT : STREAM_AGENT, &got),
		    -EPROTO);
	}
}

/* One changed byte is refused, or is part of what the message says. */
static void
test_changed(void **state)
{
	uint8_t bytes[AGENT_MSG_SIZE], again[AGENT_MSG_SIZE];
	struct agent_msg got;
	size_t i, at;
	int bit;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(samples); i++)
		for (at = 0; at < sizeof(bytes); at++)
			for (bit = 0; bit < 8; bit++) {
				agent_msg_encode(bytes, &samples[i].msg);
				bytes[at] ^= (uint8_t)(1 << bit);
				if (agent_msg_decode(bytes, samples[i].from,
				    &got) < 0)
					continue;
				agent_msg_encode(again, &got);
				assert_memory_equal(bytes, again,
				    sizeof(bytes));
			}
}

/* A list that lies, an address that is none, text that would steer a terminal. */
static void
test_bad_listeners(void **state)
{
	static const struct agent_listener good = { AGENT_TCP, 1, 0, 1, 80,
		false, { 10, 0, 0, 1 }, "httpd" };
	struct agent_listener bad[] = { good, good, good, good, good, good,
		good, good, good };
	uint8_t bytes[AGENT_MSG_SIZE];
	struct agent_msg msg = { .type = AGENT_PORTS, .reply = true,
		.listener = good };
	size_t i;

	(void)state;
	bad[0].index = 1;
	bad[1].total = AGENT_LISTENERS_MAX + 1;
	bad[2].port = 0;
	bad[3].proto = (enum agent_socket)0;
	bad[4].proto = (enum agent_socket)(AGENT_UDP6 + 1);
	bad[5].addr[4] = 1;
	bad[6].comm[2] = 0x1b;
	bad[7].comm[6] = 'x';
	memset(bad[8].comm, 'x', sizeof(bad[8].comm));
	agent_msg_encode(bytes, &msg);
	assert_int_equal(agent_msg_decode(bytes, STREAM_AGENT, &msg), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		msg.listener = bad[i];
		agent_msg_encode(bytes, &msg);
		if (agent_msg_decode(bytes, STREAM_AGENT, &msg) != -EPROTO)
			fail_msg("listener %zu: accepted", i);
	}
}

static void
test_resync(void **state)
{
	static const uint8_t text[] = "xbcbctbctlyyyybctl";

	(void)state;
	assert_int_equal(agent_msg_resync(text, 18), 6);
	assert_int_equal(agent_msg_resync(text + 6, 12), 8);
	assert_int_equal(agent_msg_resync(text + 6, 10), 8);
	assert_int_equal(agent_msg_resync(text, 1), 1);
	assert_int_equal(agent_msg_resync(text, 3), 1);
}

/* What the agent answers to the HELLO in BYTES. */
static void
answer_hello(const uint8_t *request, uint8_t *reply)
{
	struct agent_msg msg;

	assert_int_equal(agent_msg_decode(request, STREAM_CLIENT, &msg), 0);
	assert_int_equal(msg.type, AGENT_HELLO);
	msg.reply = true;
	msg.hello.version = AGENT_VERSION;
	msg.hello.uptime_ms = 1234;
	agent_msg_encode(reply, &msg);
}

/* Stale replies, half messages and noise before the answer are skipped. */
static void
test_sync(void **state)
{
	struct agent_client c = { 0 };
	uint8_t request[AGENT_MSG_SIZE], stream[5 * AGENT_MSG_SIZE];
	struct agent_msg msg;
	size_t step, at, used, len = 0;
	int r, got;

	(void)state;
	(void)agent_client_hello(&c, (const uint8_t *)"another nonce..", request);
	answer_hello(request, stream);			/* a stale answer */
	len = AGENT_MSG_SIZE;
	memcpy(stream + len, stream, 37);		/* cut off */
	len += 37;
	agent_msg_encode(stream + len, &samples[9].msg);	/* READY */
	len += AGENT_MSG_SIZE;
	(void)agent_client_hello(&c, nonce, request);
	answer_hello(request, stream + len);
	len += AGENT_MSG_SIZE;
	agent_msg_encode(stream + len, &samples[8].msg);	/* PING's reply */
	len += AGENT_MSG_SIZE;
	for (step = 1; step <= len; step++) {
		(void)agent_client_hello(&c, nonce, request);
		answer_hello(request, stream + 2 * AGENT_MSG_SIZE + 37);
		c.have = 0;
		got = 0;
		for (at = 0; at < len; at += used) {
			size_t n = step < len - at ? step : len - at;

			r = agent_client_feed(&c, stream + at, n, &used, &msg);
			assert_true(r >= 0);
			assert_true(used > 0 && used <= n);
			if (r == 1)
				assert_int_equal(msg.type, got++ == 0 ?
				    AGENT_HELLO : AGENT_PING);
		}
		assert_int_equal(got, 2);
	}
}

static void
test_hostile(void **state)
{
	struct agent_client c = { 0 };
	uint8_t request[AGENT_MSG_SIZE], reply[AGENT_MSG_SIZE];
	uint8_t noise[512] = { 0 };
	struct agent_msg msg;
	size_t used, total = 0;
	int r = 0;

	(void)state;
	/* It never answers, but talks. */
	(void)agent_client_hello(&c, nonce, request);
	while (r == 0 && total < 10 * AGENT_CLIENT_SKIP_MAX) {
		r = agent_client_feed(&c, noise, sizeof(noise), &used, &msg);
		total += used;
	}
	assert_int_equal(r, -EPROTO);
	assert_true(total <= AGENT_CLIENT_SKIP_MAX + 1024);
	/* It breaks the protocol after its answer. */
	memset(&c, 0, sizeof(c));
	(void)agent_client_hello(&c, nonce, request);
	answer_hello(request, reply);
	assert_int_equal(agent_client_feed(&c, reply, sizeof(reply), &used,
	    &msg), 1);
	assert_int_equal(agent_client_feed(&c, noise, sizeof(noise), &used,
	    &msg), -EPROTO);
}

static void
test_requests(void **state)
{
	struct agent_client c = { 0 };
	uint8_t bytes[AGENT_MSG_SIZE];
	struct agent_msg msg;

	(void)state;
	assert_int_equal(agent_client_open(&c, nonce, bytes), 1);
	assert_int_equal(agent_msg_decode(bytes, STREAM_CLIENT, &msg), 0);
	assert_int_equal(msg.type, AGENT_OPEN);
	assert_memory_equal(msg.open.nonce, nonce, sizeof(nonce));
	assert_int_equal(agent_client_shutdown(&c, AGENT_REBOOT, 10, bytes), 2);
	assert_int_equal(agent_msg_decode(bytes, STREAM_CLIENT, &msg), 0);
	assert_int_equal(msg.shutdown.how, AGENT_REBOOT);
	assert_int_equal(msg.shutdown.timeout_ms, 10);
	assert_int_equal(agent_client_ping(&c, bytes), 3);
	assert_int_equal(agent_msg_decode(bytes, STREAM_CLIENT, &msg), 0);
	assert_int_equal(msg.seq, 3);
	assert_int_equal(agent_client_inspect(&c, AGENT_PORTS, bytes), 4);
	assert_int_equal(agent_msg_decode(bytes, STREAM_CLIENT, &msg), 0);
	assert_int_equal(msg.type, AGENT_PORTS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_bad_listeners),
		cmocka_unit_test(test_resync),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
