/*
 * Hashed directories with a hash of the test's choice (the linker puts
 * __wrap_ext2fs_dirhash2 in its place): names that all collide, and a tree of
 * three levels without millions of names. e2fsck would not like the hash;
 * what counts is that every name is found, and nothing else.
 */
#include "unit.h"

#include <ext2fs/ext2fs.h>
#include <stdlib.h>

#include "image/ext4_writer.h"

/* How the number that begins a name becomes its hash. */
static uint32_t hash_divisor = 1;

errcode_t	__wrap_ext2fs_dirhash2(int version, const char *name, int len,
		    const struct ext2fs_nls_table *charset, int flags,
		    const __u32 *seed, ext2_dirhash_t *hash,
		    ext2_dirhash_t *minor);

errcode_t
__wrap_ext2fs_dirhash2(int version UNUSED, const char *name, int len UNUSED,
    const struct ext2fs_nls_table *charset UNUSED, int flags UNUSED,
    const __u32 *seed UNUSED, ext2_dirhash_t *hash, ext2_dirhash_t *minor)
{
	*hash = (uint32_t)(strtoul(name, NULL, 10) / hash_divisor) << 1;
	*minor = 0;
	return 0;
}

struct image {
	struct temp temp;
	int fd;
	struct ext4_writer *w;
	uint32_t dir;
	uint32_t node;
};

static void
begin(struct image *im, uint32_t divisor)
{
	static const struct ext4_attr a = { .mode = 0755 };

	hash_divisor = divisor;
	begin_temp(&im->temp);
	im->fd = openat(im->temp.fd, "image", O_RDWR | O_CREAT | O_CLOEXEC,
	    0600);
	assert_true(im->fd >= 0);
	assert_int_equal(ext4_writer_begin(im->fd, EXT4_WRITER_MAX, &im->w), 0);
	assert_int_equal(ext4_writer_mkdir(im->w, EXT4_WRITER_ROOT, "0d", &a,
	    &im->dir), 0);
	im->node = 0;
}

static void
end(struct image *im)
{
	ext4_writer_free(im->w);
	close(im->fd);
	end_temp(&im->temp);
}

static void
make_name(char name[256], int number, int len)
{
	snprintf(name, 256, "%0*d-%0*d", 8, number, len - 9, 0);
}

/* Adds a name; one fifo has up to 60000 of them. */
static int
add(struct image *im, int number, int len)
{
	static const struct ext4_attr a = { .mode = 0600 };
	char name[256];
	int r;

	make_name(name, number, len);
	if (number % 60000 != 0)
		return ext4_writer_link(im->w, im->dir, name, im->node);
	r = ext4_writer_mknod(im->w, im->dir, name, S_IFIFO, 0, 0, &a);
	return r < 0 ? r : ext4_writer_lookup(im->w, im->dir, name, &im->node);
}

static int
look(struct image *im, int number, int len)
{
	char name[256];
	uint32_t ino;

	make_name(name, number, len);
	return ext4_writer_lookup(im->w, im->dir, name, &ino);
}

/* Rising hashes leave every block half full: the fastest way to levels. */
static void
test_three_levels(void **state UNUSED)
{
	enum { NAMES = 1100000, LEN = 250 };
	struct ext4_writer_result res;
	struct ext2_super_block sb;
	struct image im;

	begin(&im, 1);
	for (int i = 0; i < NAMES; i++)
		assert_int_equal(add(&im, i, LEN), 0);
	for (int i = 0; i < NAMES; i += 61)
		assert_int_equal(look(&im, i, LEN), 0);
	assert_int_equal(look(&im, NAMES, LEN), -ENOENT);
	assert_int_equal(look(&im, 5, LEN - 1), -ENOENT);
	assert_int_equal(ext4_writer_finish(im.w, &res), 0);
	assert_int_equal(pread(im.fd, &sb, sizeof(sb), 1024), sizeof(sb));
	assert_true(ext2fs_has_feature_largedir(&sb));
	end(&im);
}

/* Groups of names with one hash each, in a bad order; some are removed. */
static void
test_collisions(void **state UNUSED)
{
	enum { NAMES = 20000, GROUP = 300, LEN = 200, STEP = 7919 };
	struct image im;
	char name[256];

	begin(&im, GROUP);
	assert_int_equal(add(&im, 0, LEN), 0);
	for (int i = 1; i < NAMES; i++) {
		int n = (int)((int64_t)i * STEP % NAMES);

		assert_int_equal(look(&im, n, LEN), -ENOENT);
		assert_int_equal(add(&im, n, LEN), 0);
		assert_int_equal(look(&im, n, LEN), 0);
	}
	for (int i = 0; i < NAMES; i += 3) {
		make_name(name, i, LEN);
		assert_int_equal(ext4_writer_remove(im.w, im.dir, name), 0);
	}
	for (int i = 0; i < NAMES; i++)
		assert_int_equal(look(&im, i, LEN), i % 3 == 0 ? -ENOENT : 0);
	end(&im);
}

/* All in one: refused before searching takes for ever. */
static void
test_flood(void **state UNUSED)
{
	enum { LEN = 200 };
	struct image im;
	int r = 0, n = 0;

	begin(&im, 100000000);
	while (r == 0 && n < 10000) {
		r = look(&im, n, LEN);
		if (r == -ENOENT)
			r = add(&im, n++, LEN);
	}
	assert_int_equal(r, -EOVERFLOW);
	assert_true(n > 500);
	end(&im);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_three_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
