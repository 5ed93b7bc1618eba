/*
 * Numbers and formatted names: what every other check is built on.
 */
#include "unit.h"

#include <sys/socket.h>

static const struct number_case {
	const char *text;
	uint64_t max;
	int result;
	uint64_t value;
} number_cases[] = {
	{ "", UINT64_MAX, -EINVAL, 0 },
	{ "+1", UINT64_MAX, -EINVAL, 0 },
	{ "-1", UINT64_MAX, -EINVAL, 0 },
	{ "-0", UINT64_MAX, -EINVAL, 0 },
	{ " 1", UINT64_MAX, -EINVAL, 0 },
	{ "1 ", UINT64_MAX, -EINVAL, 0 },
	{ "\t1", UINT64_MAX, -EINVAL, 0 },
	{ "1\n", UINT64_MAX, -EINVAL, 0 },
	{ "1 2", UINT64_MAX, -EINVAL, 0 },
	{ "00", UINT64_MAX, -EINVAL, 0 },
	{ "01", UINT64_MAX, -EINVAL, 0 },
	{ "0x1", UINT64_MAX, -EINVAL, 0 },
	{ "1e3", UINT64_MAX, -EINVAL, 0 },
	{ "1.0", UINT64_MAX, -EINVAL, 0 },
	{ "1_000", UINT64_MAX, -EINVAL, 0 },
	{ "1,000", UINT64_MAX, -EINVAL, 0 },
	{ "a", UINT64_MAX, -EINVAL, 0 },
	{ "1a", UINT64_MAX, -EINVAL, 0 },
	{ "\xd9\xa1", UINT64_MAX, -EINVAL, 0 },	/* ARABIC-INDIC DIGIT ONE */
	{ "/", UINT64_MAX, -EINVAL, 0 },	/* '0' - 1 */
	{ ":", UINT64_MAX, -EINVAL, 0 },	/* '9' + 1 */
	{ "0", UINT64_MAX, 0, 0 },
	{ "0", 0, 0, 0 },
	{ "1", 0, -ERANGE, 0 },
	{ "9", UINT64_MAX, 0, 9 },
	{ "10", 9, -ERANGE, 0 },
	{ "4294967295", UINT32_MAX, 0, UINT32_MAX },
	{ "4294967296", UINT32_MAX, -ERANGE, 0 },
	{ "4294967296", UINT64_MAX, 0, UINT64_C(4294967296) },
	{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
	{ "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
	{ "18446744073709551620", UINT64_MAX, -ERANGE, 0 },
	{ "99999999999999999999999999", UINT64_MAX, -ERANGE, 0 },
	/* Out of range, but no number either. */
	{ "99999999999999999999999999x", 5, -ERANGE, 0 },
};

static void
numbers(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(number_cases); i++) {
		const struct number_case *c = &number_cases[i];
		uint64_t value = 4711;
		int r = parse_u64(c->text, c->max, &value);

		assert_case(r == c->result, i, c->text);
		assert_case(value == (r == 0 ? c->value : 4711), i, c->text);
	}
}

static void
formats(void **state)
{
	char buf[8] = "before";

	(void)state;
	assert_int_equal(format(buf, sizeof(buf), "%s", "1234567"), 0);
	assert_string_equal(buf, "1234567");
	assert_int_equal(format(buf, sizeof(buf), "%s", "12345678"),
	    -ENAMETOOLONG);
	assert_string_equal(buf, "");
	assert_int_equal(format(buf, sizeof(buf), "%d%s", 5, ""), 0);
	assert_string_equal(buf, "5");
	assert_int_equal(format(buf, 1, "%s", ""), 0);
	assert_int_equal(format(buf, 1, "x"), -ENAMETOOLONG);
}

static void
whole_reads_and_writes(void **state)
{
	char buf[4] = "";
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write_full(fds[1], "ab", 2), 0);
	assert_int_equal(write_full(fds[1], "cdef", 4), 0);
	assert_int_equal(write_full(fds[1], NULL, 0), 0);
	assert_int_equal(read_full(fds[0], buf, 4), 0);
	assert_memory_equal(buf, "abcd", 4);
	close(fds[1]);
	assert_int_equal(read_full(fds[0], buf, 3), -EPIPE);
	assert_int_equal(read_full(fds[0], buf, 0), 0);
	close(fds[0]);
	assert_int_equal(read_full(fds[0], buf, 1), -EBADF);
	assert_int_equal(write_full(fds[1], "a", 1), -EBADF);
}

static void
ownership(void **state)
{
	int fd = 5;
	char *p = malloc(1), *taken;

	(void)state;
	assert_int_equal(steal_fd(&fd), 5);
	assert_int_equal(fd, -1);
	close_fdp(&fd);
	taken = steal_ptr(&p);
	assert_null(p);
	free(taken);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(formats),
		cmocka_unit_test(whole_reads_and_writes),
		cmocka_unit_test(ownership),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
