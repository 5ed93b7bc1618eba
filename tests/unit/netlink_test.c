/*
 * netlink.c: what is built, byte by byte; what a lying sender can do to the
 * parser; and the conversation, against a kernel that is a socketpair with the
 * answers already in it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "privsep/log.h"
#include "privsep/netlink.h"

enum { PORTID = 4711, TYPE = 42, DATA_TYPE = 77 };

static struct netlink nl;
static int kernel;			/* the other end */

static int
set_up(void **state)
{
	const struct timeval soon = { .tv_usec = 50000 };
	int pair[2];

	(void)state;
	memset(&nl, 0, sizeof(nl));
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		return -1;
	nl.fd = pair[0];
	nl.portid = PORTID;
	kernel = pair[1];
	return setsockopt(nl.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
}

static int
tear_down(void **state)
{
	(void)state;
	nl_close(&nl);
	close(kernel);
	return 0;
}

/* --- building --- */

static void
messages_are_built(void **state)
{
	static const uint8_t want[] = {
		/* header: 56 bytes, type 42, flags, seq 1, port id */
		56, 0, 0, 0, 42, 0, 1, 4, 1, 0, 0, 0, 0x67, 0x12, 0, 0,
		/* family header */
		0xaa, 0xbb, 0, 0,
		/* u8, string, big-endian, nest with an empty attribute */
		5, 0, 1, 0, 9, 0, 0, 0,
		7, 0, 2, 0, 'h', 'i', 0, 0,
		8, 0, 3, 0, 1, 2, 3, 4,
		12, 0, 4, 0x80, 4, 0, 5, 0, 4, 0, 6, 0,
		/* the next one */
		16, 0, 0, 0, 43, 0, 1, 0, 2, 0, 0, 0, 0x67, 0x12, 0, 0,
	};
	const uint8_t family[2] = { 0xaa, 0xbb };
	size_t nest;

	(void)state;
	nl_begin(&nl, TYPE, NLM_F_CREATE, family, sizeof(family));
	nl_put_u8(&nl, 1, 9);
	nl_put_str(&nl, 2, "hi");
	nl_put_be32(&nl, 3, 0x01020304);
	nest = nl_nest(&nl, 4);
	nl_put(&nl, 5, NULL, 0);
	nl_put(&nl, 6, NULL, 0);
	nl_nest_end(&nl, nest);
	nl_begin(&nl, TYPE + 1, 0, NULL, 0);
	assert_int_equal(nl.error, 0);
	assert_int_equal(nl.len, sizeof(want));
	assert_memory_equal(nl.tx, want, sizeof(want));
}

static void
overflow_is_said_and_nothing_sent(void **state)
{
	static uint8_t big[70000];
	char byte;
	int i;

	(void)state;
	nl_begin(&nl, TYPE, 0, NULL, 0);
	for (i = 0; i < 100; i++)
		nl_put(&nl, 1, big, 1000);
	nl_nest_end(&nl, nl_nest(&nl, 1));
	assert_true(nl.len <= sizeof(nl.tx));
	assert_int_equal(nl_call(&nl, NULL, NULL), -EMSGSIZE);
	assert_int_equal(recv(kernel, &byte, 1, MSG_DONTWAIT), -1);
	/* An attribute longer than its length field can say. */
	nl_begin(&nl, TYPE, 0, NULL, 0);
	nl_put(&nl, 1, big, UINT16_MAX - 3);
	assert_int_equal(nl_call(&nl, NULL, NULL), -EMSGSIZE);
	/* Usable again; nothing to send is an error, too. */
	assert_int_equal(nl_call(&nl, NULL, NULL), -EINVAL);
	nl_begin(&nl, TYPE, 0, NULL, 0);
	assert_int_equal(nl.error, 0);
}

/* --- parsing --- */

/* Every prefix of what was built, in memory of exactly that size. */
static void
cut_messages_are_refused(void **state)
{
	size_t cut, whole;

	(void)state;
	nl_begin(&nl, TYPE, 0, "abcd", 4);
	nl_put_u32(&nl, 1, 5);
	nl_put_str(&nl, 2, "name");
	whole = nl.len;
	for (cut = 0; cut <= whole; cut++) {
		uint8_t *copy = malloc(cut + 1);
		const uint8_t *p = copy;
		size_t left = cut;
		struct nl_msg msg;
		int r;

		assert_non_null(copy);
		memcpy(copy, nl.tx, cut);
		copy = realloc(copy, cut > 0 ? cut : 1);
		p = copy;
		r = nl_msg_next(&p, &left, &msg);
		assert_int_equal(r, cut == 0 ? 0 : cut < whole ? -EBADMSG : 1);
		free(copy);
	}
}

static int
parse_one(uint32_t len, size_t left)
{
	struct nlmsghdr h = { .nlmsg_len = len };
	uint8_t buf[64] = { 0 };
	const uint8_t *p = buf;
	struct nl_msg msg;

	memcpy(buf, &h, sizeof(h));
	return nl_msg_next(&p, &left, &msg);
}

static void
lying_message_lengths_are_refused(void **state)
{
	(void)state;
	assert_int_equal(parse_one(16, 16), 1);
	assert_int_equal(parse_one(17, 17), 1);
	assert_int_equal(parse_one(0, 64), -EBADMSG);
	assert_int_equal(parse_one(15, 64), -EBADMSG);
	assert_int_equal(parse_one(65, 64), -EBADMSG);
	assert_int_equal(parse_one(17, 16), -EBADMSG);
	assert_int_equal(parse_one(UINT32_MAX, 64), -EBADMSG);
	assert_int_equal(parse_one(UINT32_MAX - 2, 64), -EBADMSG);
	assert_int_equal(parse_one(16, 15), -EBADMSG);
}

static void
lying_attributes_are_refused(void **state)
{
	static const struct {
		uint8_t buf[12];
		size_t len;
		int result;
	} cases[] = {
		{ { 0 }, 0, 0 },
		{ { 8, 0, 1, 0, 1, 2, 3, 4 }, 8, 0 },
		{ { 5, 0, 1, 0, 1 }, 5, 0 },	/* last padding missing */
		{ { 5, 0, 1, 0, 1, 0, 0, 0, 4, 0, 2, 0 }, 12, 0 },
		{ { 4, 0, 1, 0 }, 4, 0 },
		{ { 3, 0, 1, 0 }, 4, -EBADMSG },
		{ { 0, 0, 1, 0 }, 4, -EBADMSG },
		{ { 9, 0, 1, 0, 1, 2, 3, 4 }, 8, -EBADMSG },
		{ { 0xff, 0xff, 1, 0 }, 4, -EBADMSG },
		{ { 4, 0, 1 }, 3, -EBADMSG },
		{ { 4, 0, 1, 0, 0, 0 }, 6, -EBADMSG },	/* left over */
	};
	struct nl_attr tb[3];
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(nl_parse(cases[i].buf, cases[i].len, tb, 3),
		    cases[i].result);
		for (j = 0; cases[i].result < 0 && j < 3; j++)
			assert_null(tb[j].data);
	}
}

static void
attributes_are_sorted(void **state)
{
	/* 1 twice, 2 nested and in network order by its flags, 9 unknown */
	static const uint8_t buf[] = { 5, 0, 1, 0, 7, 0, 0, 0,
		8, 0, 2, 0xc0, 1, 2, 3, 4, 5, 0, 9, 0, 1, 0, 0, 0,
		5, 0, 1, 0, 8 };
	struct nl_attr tb[3];
	uint32_t value = 0;
	uint8_t byte = 0;

	(void)state;
	assert_int_equal(nl_parse(buf, sizeof(buf), tb, 3), 0);
	assert_null(tb[0].data);
	assert_int_equal(nl_get(&tb[1], &byte, 1), 0);
	assert_int_equal(byte, 8);
	assert_int_equal(nl_get(&tb[1], &value, 4), -EBADMSG);
	assert_int_equal(nl_get(&tb[0], &value, 4), -EBADMSG);
	assert_int_equal(value, 0);
	assert_int_equal(nl_get_be32(&tb[2], &value), 0);
	assert_int_equal(value, 0x01020304);
}

static void
strings_are_checked(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		int result;
		const char *text;
	} cases[] = {
		{ "abc", 4, 0, "abc" },
		{ "abc", 3, 0, "abc" },		/* without its NUL */
		{ "", 1, 0, "" },
		{ "", 0, 0, "" },
		{ "abcdefg", 8, 0, "abcdefg" },
		{ "abcdefgh", 9, -EBADMSG, "" },	/* buffer of 8 */
		{ "abcdefgh", 8, -EBADMSG, "" },
		{ "ab\0d", 5, -EBADMSG, "" },
		{ "ab\0", 4, -EBADMSG, "" },
		{ NULL, 0, -EBADMSG, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct nl_attr attr = {
			(const uint8_t *)cases[i].data, cases[i].len };
		char buf[8] = "xxxxxxx";

		assert_int_equal(nl_get_str(&attr, buf, sizeof(buf)),
		    cases[i].result);
		assert_string_equal(buf, cases[i].text);
	}
}

/* --- the conversation --- */

/* The kernel says this; to be called before the question is asked. */
static void
answer(uint16_t type, uint16_t flags, uint32_t seq, uint32_t portid,
    const void *data, size_t len)
{
	struct nlmsghdr h = {
		.nlmsg_len = (uint32_t)(sizeof(h) + len),
		.nlmsg_type = type,
		.nlmsg_flags = flags,
		.nlmsg_seq = seq,
		.nlmsg_pid = portid,
	};
	uint8_t buf[512];

	memcpy(buf, &h, sizeof(h));
	if (len > 0)
		memcpy(buf + sizeof(h), data, len);
	assert_int_equal(send(kernel, buf, sizeof(h) + len, 0),
	    sizeof(h) + len);
}

static void
answer_ack(uint32_t seq, int error)
{
	const struct nlmsgerr err = { .error = error };

	answer(NLMSG_ERROR, NLM_F_CAPPED, seq, PORTID, &err, sizeof(err));
}

static int
ask(void)
{
	nl_begin(&nl, TYPE, 0, NULL, 0);
	return nl_call(&nl, NULL, NULL);
}

static void
acknowledgements_are_results(void **state)
{
	(void)state;
	answer_ack(1, 0);
	assert_int_equal(ask(), 0);
	answer_ack(2, -ENODEV);
	assert_int_equal(ask(), -ENODEV);
	answer_ack(3, ENODEV);
	assert_int_equal(ask(), -EBADMSG);
	answer_ack(4, 0);
	assert_int_equal(ask(), 0);
}

static void
what_is_not_ours_is_ignored(void **state)
{
	const struct nlmsgerr err = { .error = -EPERM };

	(void)state;
	answer_ack(0, -EPERM);			/* of an earlier call */
	answer_ack(2, -EPERM);			/* of none */
	answer_ack(UINT32_MAX, -EPERM);
	answer(NLMSG_ERROR, 0, 1, PORTID + 1, &err, sizeof(err));
	answer(NLMSG_ERROR, 0, 1, 0, &err, sizeof(err));
	answer(NLMSG_NOOP, 0, 1, PORTID, NULL, 0);
	answer_ack(1, 0);
	assert_int_equal(ask(), 0);
	answer_ack(1, 0);
	assert_int_equal(ask(), -ETIMEDOUT);
	/* The number wraps around; the late answer does not fit any more. */
	answer_ack(2, -EPERM);
	nl.seq = UINT32_MAX - 1;
	answer_ack(UINT32_MAX, 0);
	assert_int_equal(ask(), 0);
	answer_ack(0, 0);
	assert_int_equal(ask(), 0);
}

static void
batches_fail_as_a_whole(void **state)
{
	int i;

	(void)state;
	/* The second of three fails; only the last one is acknowledged. */
	answer_ack(2, -EEXIST);
	answer_ack(3, 0);
	for (i = 0; i < 3; i++)
		nl_begin(&nl, TYPE, 0, NULL, 0);
	assert_int_equal(nl_call(&nl, NULL, NULL), -EEXIST);
	/* The batch is refused at its beginning: no acknowledgement follows. */
	answer_ack(4, -EPERM);
	for (i = 0; i < 3; i++)
		nl_begin(&nl, TYPE, 0, NULL, 0);
	assert_int_equal(nl_call(&nl, NULL, NULL), -EPERM);
	/* The first failure counts. */
	answer_ack(7, -ENOENT);
	answer_ack(8, -EINVAL);
	for (i = 0; i < 3; i++)
		nl_begin(&nl, TYPE, 0, NULL, 0);
	assert_int_equal(nl_call(&nl, NULL, NULL), -ENOENT);
	/* As in nf_tables: the end of the batch is never acknowledged. */
	answer_ack(11, 0);
	for (i = 0; i < 2; i++)
		nl_begin(&nl, TYPE, 0, NULL, 0);
	nl_ack(&nl);
	nl_begin(&nl, TYPE, 0, NULL, 0);
	assert_int_equal(nl_call(&nl, NULL, NULL), 0);
}

static void
malformed_answers_are_errors(void **state)
{
	static uint8_t big[NL_BUF_BYTES + 1];
	const int size = 1 << 20;

	(void)state;
	answer(NLMSG_ERROR, 0, 1, PORTID, "abc", 3);
	assert_int_equal(ask(), -EBADMSG);
	assert_int_equal(send(kernel, "short", 5, 0), 5);
	assert_int_equal(ask(), -EBADMSG);
	assert_int_equal(setsockopt(kernel, SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)), 0);
	assert_int_equal(send(kernel, big, sizeof(big), 0), sizeof(big));
	answer_ack(3, 0);
	assert_int_equal(ask(), -EMSGSIZE);
	answer(NLMSG_OVERRUN, 0, 4, PORTID, NULL, 0);
	assert_int_equal(ask(), -ENOBUFS);
}

/* Explanations with lengths that lie must not be followed. */
static void
explanations_are_bounded(void **state)
{
	struct {
		struct nlmsgerr err;
		uint8_t attr[12];
	} m = { .err.error = -EINVAL,
		.attr = { 12, 0, NLMSGERR_ATTR_MSG, 0, 'b', 'e', 'c', 'a',
		    'u', 's', 'e', 0 } };

	(void)state;
	answer(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 1, PORTID, &m,
	    sizeof(m));
	assert_int_equal(ask(), -EINVAL);
	m.err.msg.nlmsg_len = UINT32_MAX;
	answer(NLMSG_ERROR, NLM_F_ACK_TLVS, 2, PORTID, &m, sizeof(m));
	assert_int_equal(ask(), -EINVAL);
	m.err.msg.nlmsg_len = 3;
	answer(NLMSG_ERROR, NLM_F_ACK_TLVS, 3, PORTID, &m, sizeof(m));
	assert_int_equal(ask(), -EINVAL);
	m.attr[0] = 200;
	answer(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 4, PORTID, &m,
	    sizeof(m));
	assert_int_equal(ask(), -EINVAL);
	answer(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 5, PORTID, &m.err,
	    sizeof(m.err));
	assert_int_equal(ask(), -EINVAL);
}

struct seen {
	int resets;
	int messages;
	int fail_at;
};

static int
see(const struct nl_msg *msg, void *arg)
{
	struct seen *seen = arg;

	if (msg == NULL) {
		seen->resets++;
		seen->messages = 0;
		return 0;
	}
	assert_int_equal(msg->type, DATA_TYPE);
	seen->messages++;
	return seen->messages == seen->fail_at ? -E2BIG : 0;
}

static int
ask_dump(struct seen *seen)
{
	nl_begin(&nl, TYPE, 0, NULL, 0);
	return nl_dump(&nl, see, seen);
}

static void
dumps_are_read_to_their_end(void **state)
{
	const int32_t bad = -ENOMEM;
	struct seen seen = { 0 };
	struct nlmsghdr sent;

	(void)state;
	answer(DATA_TYPE, NLM_F_MULTI, 1, PORTID, "abcd", 4);
	answer(DATA_TYPE, NLM_F_MULTI, 1, PORTID, "abcd", 4);
	answer(NLMSG_DONE, NLM_F_MULTI, 1, PORTID, "\0\0\0", 4);
	assert_int_equal(ask_dump(&seen), 0);
	assert_int_equal(seen.resets, 1);
	assert_int_equal(seen.messages, 2);
	assert_int_equal(recv(kernel, &sent, sizeof(sent), 0), sizeof(sent));
	assert_int_equal(sent.nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP);
	/* A callback's error does not leave answers behind. */
	seen.fail_at = 1;
	answer(DATA_TYPE, NLM_F_MULTI, 2, PORTID, "abcd", 4);
	answer(DATA_TYPE, NLM_F_MULTI, 2, PORTID, "abcd", 4);
	answer(NLMSG_DONE, NLM_F_MULTI, 2, PORTID, NULL, 0);
	assert_int_equal(ask_dump(&seen), -E2BIG);
	assert_int_equal(recv(nl.fd, &sent, 1, MSG_DONTWAIT), -1);
	answer(NLMSG_DONE, NLM_F_MULTI, 3, PORTID, &bad, sizeof(bad));
	assert_int_equal(ask_dump(&seen), -ENOMEM);
	answer_ack(4, -EOPNOTSUPP);
	assert_int_equal(ask_dump(&seen), -EOPNOTSUPP);
}

static void
interrupted_dumps_start_over(void **state)
{
	struct seen seen = { 0 };
	uint32_t i;

	(void)state;
	answer(DATA_TYPE, NLM_F_MULTI, 1, PORTID, "abcd", 4);
	answer(DATA_TYPE, NLM_F_MULTI | NLM_F_DUMP_INTR, 1, PORTID, "abcd", 4);
	answer(NLMSG_DONE, NLM_F_MULTI, 1, PORTID, NULL, 0);
	answer(DATA_TYPE, NLM_F_MULTI, 2, PORTID, "abcd", 4);
	answer(NLMSG_DONE, NLM_F_MULTI, 2, PORTID, NULL, 0);
	assert_int_equal(ask_dump(&seen), 0);
	assert_int_equal(seen.resets, 2);
	assert_int_equal(seen.messages, 1);
	nl.seq = 10;
	for (i = 0; i < NL_DUMP_TRIES; i++)
		answer(NLMSG_DONE, NLM_F_DUMP_INTR, 11 + i, PORTID, NULL, 0);
	assert_int_equal(ask_dump(&seen), -EINTR);
}

static void
absent_kernel_is_an_error(void **state)
{
	(void)state;
	close(kernel);
	kernel = -1;
	assert_true(ask() < 0);
	nl_close(&nl);
	nl_close(&nl);
	assert_int_equal(ask(), -EBADF);
}

/* Anything may come in: no read outside of it, and an end. */
static void
noise_is_survived(void **state)
{
	unsigned int seed = 1, round;

	(void)state;
	for (round = 0; round < 100000; round++) {
		size_t len = (size_t)rand_r(&seed) % 64, i;
		uint8_t *buf = malloc(len + 1);
		const uint8_t *p = buf;
		struct nl_attr tb[8];
		struct nl_msg msg;
		size_t left = len;
		char text[4];

		assert_non_null(buf);
		/* Small numbers, so that some lengths fit. */
		for (i = 0; i < len; i++)
			buf[i] = (uint8_t)((unsigned)rand_r(&seed) %
			    (i % 4 == 0 ? 24 : i % 4 == 2 ? 8 : 2));
		buf = realloc(buf, len > 0 ? len : 1);
		p = buf;
		while (nl_msg_next(&p, &left, &msg) == 1)
			if (nl_parse_msg(&msg, text, 1, tb, 8) == 0)
				for (i = 0; i < 8; i++)
					(void)nl_get_str(&tb[i], text,
					    sizeof(text));
		(void)nl_parse(buf, len, tb, 8);
		free(buf);
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(messages_are_built),
		T(overflow_is_said_and_nothing_sent),
		T(cut_messages_are_refused),
		T(lying_message_lengths_are_refused),
		T(lying_attributes_are_refused),
		T(attributes_are_sorted),
		T(strings_are_checked),
		T(acknowledgements_are_results),
		T(what_is_not_ours_is_ignored),
		T(batches_fail_as_a_whole),
		T(malformed_answers_are_errors),
		T(explanations_are_bounded),
		T(dumps_are_read_to_their_end),
		T(interrupted_dumps_start_over),
		T(absent_kernel_is_an_error),
		T(noise_is_survived),
	};

	log_init("netlink_test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
