/*
 * A COW file's header and size, against what device mapper does with them.
 */
#include "unit.h"

#include <unistd.h>

#include "base/le.h"
#include "image/cow.h"

static struct temp temp;

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	end_temp(&temp);
	return 0;
}

static int
file_of(const void *data, size_t len)
{
	int fd;

	put_file(temp.fd, "cow", data, len);
	fd = openat(temp.fd, "cow", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void
header_of(uint8_t header[4096], uint32_t magic, uint32_t valid,
    uint32_t version, uint32_t chunk)
{
	memset(header, 0, 4096);
	put_le32(header, magic);
	put_le32(header + 4, valid);
	put_le32(header + 8, version);
	put_le32(header + 12, chunk);
}

/*
 * The kernel's allocation, played: chunk 0 is the header, then a table of 256
 * exceptions before the chunks it names; when a table has become full the next
 * one is cleared at once (dm-snap-persistent.c, persistent_commit_exception).
 */
static uint64_t
last_chunk_used(uint64_t chunks)
{
	uint64_t next = 2, table = 1, in_table = 0, i, last = 1;

	for (i = 0; i < chunks; i++) {
		last = next > last ? next : last;
		next++;
		if (++in_table == 256) {
			in_table = 0;
			table += 257;
			last = table > last ? table : last;
			if (next == table)
				next++;
		}
	}
	return last;
}

static void
never_full(void **state)
{
	static const uint64_t sizes[] = { 1, 2, 255, 256, 257, 511, 512, 513,
		256 * 256, 256 * 256 + 1, 786432 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t bytes = cow_bytes(sizes[i] * 4096);

		assert_int_equal(bytes % 4096, 0);
		assert_true(bytes / 4096 > last_chunk_used(sizes[i]));
		/* Nor absurdly large. */
		assert_true(bytes / 4096 < last_chunk_used(sizes[i]) + 260);
	}
	/* A part of a chunk is one. */
	assert_true(cow_bytes(4097) == cow_bytes(8192));
	assert_true(cow_bytes(UINT64_C(1) << 46) > UINT64_C(1) << 46);
}

static void
headers(void **state)
{
	static const struct {
		uint32_t magic, valid, version, chunk;
		int expected;
	} cases[] = {
		{ 0, 0, 0, 0, COW_FRESH },
		{ 0x70416e53, 1, 1, 8, COW_VALID },
		{ 0x70416e53, 0, 1, 8, COW_INVALID },
		{ 0x70416e53, 2, 1, 8, -EUCLEAN },
		{ 0x70416e53, 1, 0, 8, -EUCLEAN },
		{ 0x70416e53, 1, 2, 8, -EUCLEAN },
		{ 0x70416e53, 0, 1, 16, -EUCLEAN },
		{ 0x70416e53, 0, 1, 0, -EUCLEAN },
		{ 0x536e4170, 1, 1, 8, -EUCLEAN },	/* the other endian */
		{ 1, 1, 1, 8, -EUCLEAN },
	};
	uint8_t header[4096];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd, r;

		header_of(header, cases[i].magic, cases[i].valid,
		    cases[i].version, cases[i].chunk);
		fd = file_of(header, sizeof(header));
		assert_int_equal(cow_look(fd), cases[i].expected);
		r = cow_revive(fd);
		assert_int_equal(r, cases[i].expected == COW_INVALID ? 0 :
		    -EUCLEAN);
		close(fd);
	}
}

static void
too_short(void **state)
{
	uint8_t header[4096];
	size_t len;

	(void)state;
	header_of(header, 0x70416e53, 0, 1, 8);
	for (len = 0; len < 16; len++) {
		int fd = file_of(header, len);

		assert_int_equal(cow_look(fd), -EUCLEAN);
		assert_int_equal(cow_revive(fd), -EUCLEAN);
		close(fd);
	}
	assert_int_equal(cow_look(-1), -EBADF);
}

/* The flag is set, and not a byte beside it is changed. */
static void
revived(void **state)
{
	uint8_t before[4096], after[4096];
	int fd, readable;

	(void)state;
	header_of(before, 0x70416e53, 0, 1, 8);
	before[100] = 0xaa;
	fd = file_of(before, sizeof(before));
	readable = openat(temp.fd, "cow", O_RDONLY | O_CLOEXEC);
	assert_int_equal(cow_revive(readable), -EBADF);
	assert_int_equal(cow_look(fd), COW_INVALID);
	assert_int_equal(cow_revive(fd), 0);
	assert_int_equal(cow_look(readable), COW_VALID);
	assert_int_equal(pread(fd, after, sizeof(after), 0), sizeof(after));
	put_le32(before + 4, 1);
	assert_memory_equal(before, after, sizeof(before));
	close(readable);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_full),
		cmocka_unit_test_setup_teardown(headers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_short, set_up, tear_down),
		cmocka_unit_test_setup_teardown(revived, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
