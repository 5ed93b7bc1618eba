/*
 * Firecracker's metrics: lines that add up, and what a VMM that its guest has
 * taken over might write instead.
 */
#include "unit.h"

#include "base/json.h"
#include "worker/metrics.h"

#define LINE(rd, wr, fl, spoofed) "{\"utc_timestamp_ms\":1732000000000," \
	"\"block\":{\"read_bytes\":" rd ",\"write_bytes\":" wr ",\"flush_count\":" fl \
	",\"read_agg\":{\"min_us\":1}},\"net\":{\"tx_spoofed_mac_count\":" spoofed "}}"

static struct events events;
static struct metrics metrics = METRICS_INIT;
static int writer;

static int
set_up(void **state)
{
	int fds[2];

	(void)state;
	if (events_init(&events) < 0 || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	writer = fds[1];
	return metrics_attach(&metrics, &events, fds[0]);
}

static int
tear_down(void **state)
{
	(void)state;
	metrics_close(&metrics);
	close_fdp(&writer);
	events_close(&events);
	return 0;
}

static void
say(const char *text)
{
	assert_int_equal(write_full(writer, text, strlen(text)), 0);
}

static void
sums_are(uint64_t rd, uint64_t wr, uint64_t flushes, uint64_t spoofed)
{
	assert_int_equal(metrics.sum.disk_read_bytes, rd);
	assert_int_equal(metrics.sum.disk_write_bytes, wr);
	assert_int_equal(metrics.sum.disk_flushes, flushes);
	assert_int_equal(metrics.sum.net_spoofed, spoofed);
}

static void
lines_add_up(void **state)
{
	(void)state;
	say(LINE("1", "20", "300", "4000") "\n" LINE("1", "1", "1", "1") "\n");
	assert_int_equal(events_turn(&events, 1000), 0);
	sums_are(2, 21, 301, 4001);
	/* In two pieces, and asked for between them. */
	say(LINE("5", "5", "5", "5"));
	metrics_read(&metrics);
	sums_are(2, 21, 301, 4001);
	say("\n");
	metrics_read(&metrics);
	sums_are(7, 26, 306, 4006);
	assert_null(metrics.line.data);
}

static void
other_lines_do_not_count(void **state)
{
	static const char *const lines[] = {
		"", "{}", "[]", "null", "metrics", "{\"block\":{}}",
		LINE("-1", "1", "1", "1"), LINE("\"1\"", "1", "1", "1"),
		LINE("1", "1", "1", "1e300"), LINE("1", "1", "null", "1"),
		LINE("1", "9007199254740992", "1", "1"),
		LINE("1", "1", "1", "1") "x", "\xff", "\x1b[2J",
		"{\"block\":[1],\"net\":[1]}",
		"[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		say(lines[i]);
		say("\n");
		metrics_read(&metrics);
		sums_are(0, 0, 0, 0);
	}
	say(LINE("1", "2", "3", "4") "\n");
	metrics_read(&metrics);
	sums_are(1, 2, 3, 4);
}

/* A sum stays a number that JSON can hold. */
static void
no_overflow(void **state)
{
	(void)state;
	say(LINE("9007199254740990", "0", "0", "0") "\n");
	say(LINE("2", "1", "1", "1") "\n" LINE("1", "0", "0", "0") "\n");
	metrics_read(&metrics);
	sums_are(JSON_NUMBER_MAX, 0, 0, 0);
}

static void
line_too_long(void **state)
{
	char piece[METRICS_LINE_MAX / 4 + 1];
	unsigned int i;

	(void)state;
	memset(piece, 'x', sizeof(piece) - 1);
	piece[sizeof(piece) - 1] = '\0';
	for (i = 0; i < 8; i++) {
		say(piece);
		metrics_read(&metrics);
		assert_true(metrics.line.len <= METRICS_LINE_MAX);
	}
	say("\n" LINE("1", "2", "3", "4") "\n");
	metrics_read(&metrics);
	sums_are(1, 2, 3, 4);
}

static void
end_of_the_vmm(void **state)
{
	(void)state;
	say(LINE("1", "2", "3", "4") "\n" "{\"bl");
	close_fdp(&writer);
	assert_int_equal(events_turn(&events, 1000), 0);
	assert_int_equal(events_turn(&events, 1000), 0);
	assert_int_equal(metrics.fd, -1);
	sums_are(1, 2, 3, 4);
	metrics_read(&metrics);
	metrics_close(&metrics);
	sums_are(0, 0, 0, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_add_up),
		TEST(other_lines_do_not_count),
		TEST(no_overflow),
		TEST(line_too_long),
		TEST(end_of_the_vmm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
