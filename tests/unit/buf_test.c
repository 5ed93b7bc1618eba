/*
 * The growable buffer: limits, sticky failure, contents.
 */
#include "unit.h"

#include "base/buf.h"

static void
grows_and_drops(void **state)
{
	struct buf buf = BUF_INIT(10000);
	char expected[10001] = "";
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		assert_int_equal(buf_printf(&buf, "%zu,", i), 0);
		sprintf(expected + strlen(expected), "%zu,", i);
	}
	assert_int_equal(buf.len, strlen(expected));
	assert_string_equal(buf.data, expected);
	buf_drop(&buf, 4);
	assert_string_equal(buf.data, expected + 4);
	buf_drop(&buf, buf.len);
	assert_string_equal(buf.data, "");
	assert_false(buf.failed);
	buf_free(&buf);
	assert_null(buf.data);
}

static void
keeps_its_limit(void **state)
{
	struct buf buf = BUF_INIT(8);

	(void)state;
	assert_int_equal(buf_append(&buf, "12345678", 8), 0);
	assert_false(buf.failed);
	assert_int_equal(buf_puts(&buf, "9"), -ENOBUFS);
	assert_true(buf.failed);
	assert_int_equal(buf.len, 8);
	assert_string_equal(buf.data, "12345678");
	assert_int_equal(buf_printf(&buf, "%s", "x"), -ENOBUFS);
	assert_null(buf_reserve(&buf, SIZE_MAX));
	assert_null(buf_reserve(&buf, SIZE_MAX - 7));
	buf_clear(&buf);
	assert_false(buf.failed);
	assert_int_equal(buf_puts(&buf, "abc"), 0);
	assert_string_equal(buf.data, "abc");
	buf_free(&buf);
}

static void
takes_nothing(void **state)
{
	struct buf buf = BUF_INIT(0);

	(void)state;
	assert_int_equal(buf_append(&buf, NULL, 0), 0);
	assert_int_equal(buf.len, 0);
	buf_drop(&buf, 0);
	assert_int_equal(buf_append(&buf, "x", 1), -ENOBUFS);
	buf_free(&buf);
}

static void
reads_a_file(void **state)
{
	struct buf buf = BUF_INIT(5000), small = BUF_INIT(4999);
	struct temp temp;
	char text[5000];
	int fd;

	(void)state;
	begin_temp(&temp);
	memset(text, 'x', sizeof(text));
	put_file(temp.fd, "f", text, sizeof(text));
	fd = openat(temp.fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(buf_read_all(&buf, fd), 0);
	assert_int_equal(buf.len, sizeof(text));
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(buf_read_all(&small, fd), -EFBIG);
	close(fd);
	assert_int_equal(buf_read_all(&buf, temp.fd), -EISDIR);
	buf_free(&buf);
	buf_free(&small);
	end_temp(&temp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_drops),
		cmocka_unit_test(keeps_its_limit),
		cmocka_unit_test(takes_nothing),
		cmocka_unit_test(reads_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
