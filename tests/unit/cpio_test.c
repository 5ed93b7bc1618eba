/*
 * cpio.c: the archive's bytes, read back by a reader of this test's own.
 */
#include "kernel_fixture.h"

#include <sys/sysmacros.h>

#include "image/cpio.h"

/* Field I of a newc header: eight hexadecimal digits. */
static unsigned long
field(const uint8_t *header, unsigned i)
{
	char digits[9];
	char *end;
	unsigned long value;

	memcpy(digits, header + 6 + 8 * i, 8);
	digits[8] = '\0';
	value = strtoul(digits, &end, 16);
	assert_ptr_equal(end, digits + 8);
	return value;
}

enum { INO, MODE, UID, GID, NLINK, MTIME, SIZE, DEVMAJOR, DEVMINOR, RMAJOR,
	RMINOR, NAMESIZE, CHECK };

struct expected {
	const char *name;
	unsigned long mode, nlink, rmajor, rminor;
	const char *data;
};

/* Checks the member at *AT and moves *AT behind it. */
static void
check_member(const struct bytes *b, size_t *at, const struct expected *e)
{
	const uint8_t *h = b->data + *at;
	size_t name_len = strlen(e->name), len = strlen(e->data);

	assert_int_equal(*at % 4, 0);
	assert_true(*at + 110 + name_len < b->len);
	assert_memory_equal(h, "070701", 6);
	assert_int_equal(field(h, MODE), e->mode);
	assert_int_equal(field(h, UID), 0);
	assert_int_equal(field(h, GID), 0);
	assert_int_equal(field(h, NLINK), e->nlink);
	assert_int_equal(field(h, MTIME), 0);
	assert_int_equal(field(h, SIZE), len);
	assert_int_equal(field(h, DEVMAJOR), 0);
	assert_int_equal(field(h, DEVMINOR), 0);
	assert_int_equal(field(h, RMAJOR), e->rmajor);
	assert_int_equal(field(h, RMINOR), e->rminor);
	assert_int_equal(field(h, NAMESIZE), name_len + 1);
	assert_int_equal(field(h, CHECK), 0);
	assert_memory_equal(h + 110, e->name, name_len + 1);
	*at = (*at + 110 + name_len + 1 + 3) & ~(size_t)3;
	assert_memory_equal(b->data + *at, e->data, len);
	*at = (*at + len + 3) & ~(size_t)3;
}

static const struct expected all[] = {
	{ "dev", 0040755, 2, 0, 0, "" },
	{ "dev/console", 0020600, 1, 5, 1, "" },
	{ "a", 0100644, 1, 0, 0, "" },
	{ "ab", 0100755, 1, 0, 0, "1" },
	{ "abc", 0100644, 1, 0, 0, "12" },
	{ "abcd", 0100644, 1, 0, 0, "123" },
	{ "abcde", 0104755, 1, 0, 0, "1234" },
	{ "from", 0100755, 1, 0, 0, "contents" },
};

static void
write_all(struct cpio *c, int fd)
{
	_cleanup_close_ int from = memfd_with("contents and more", 17);

	cpio_start(c, fd);
	assert_int_equal(cpio_dir(c, all[0].name, 0755), 0);
	assert_int_equal(cpio_chardev(c, all[1].name, 0600, 5, 1), 0);
	for (size_t i = 2; i < ARRAY_SIZE(all) - 1; i++)
		assert_int_equal(cpio_file(c, all[i].name,
		    (mode_t)all[i].mode & 07777, all[i].data,
		    strlen(all[i].data)), 0);
	assert_int_equal(cpio_file_from(c, "from", 0755, from, 8), 0);
	assert_int_equal(cpio_finish(c), 0);
}

static void
test_members(void **state UNUSED)
{
	static const struct expected trailer = {
		"TRAILER!!!", 0, 1, 0, 0, "",
	};
	_cleanup_close_ int fd = memfd_with("", 0);
	struct cpio c;
	struct bytes b;
	size_t at = 0;

	write_all(&c, fd);
	b = read_fd_all(fd);
	assert_int_equal(b.len, c.written_bytes);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(field(b.data + at, INO), i + 1);
		check_member(&b, &at, &all[i]);
	}
	check_member(&b, &at, &trailer);
	assert_int_equal(at, b.len);
	free(b.data);
}

static void
test_deterministic(void **state UNUSED)
{
	_cleanup_close_ int one = memfd_with("", 0), two = memfd_with("", 0);
	struct cpio c;
	struct bytes a, b;

	write_all(&c, one);
	write_all(&c, two);
	a = read_fd_all(one);
	b = read_fd_all(two);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	free(a.data);
	free(b.data);
}

static void
test_errors(void **state UNUSED)
{
	_cleanup_close_ int fd = memfd_with("", 0);
	_cleanup_close_ int from = memfd_with("short", 5);
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char name[PATH_MAX + 1];
	struct cpio c;

	cpio_start(&c, fd);
	assert_int_equal(cpio_file_from(&c, "f", 0644, from, 6), -EPIPE);
	assert_int_equal(cpio_file_from(&c, "f", 0644, from, 1ULL << 32),
	    -EFBIG);
	assert_int_equal(cpio_file_from(&c, "f", 0644, -1, 1), -EBADF);
	memset(name, 'n', sizeof(name));
	name[PATH_MAX] = '\0';
	assert_int_equal(cpio_dir(&c, name, 0755), -ENAMETOOLONG);
	name[PATH_MAX - 1] = '\0';
	assert_int_equal(cpio_dir(&c, name, 0755), 0);
	cpio_start(&c, full);
	assert_int_equal(cpio_dir(&c, "d", 0755), -ENOSPC);
	assert_int_equal(cpio_finish(&c), -ENOSPC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
