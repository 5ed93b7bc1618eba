/*
 * The ext4 writer on its own, where a tar cannot reach it well: removal of
 * deep and wide trees, space that comes back, the order of calls, odd
 * attributes. e2fsck judges every file system. Hashed directories at their
 * limits are in image_htree_test.c.
 */
#include "unit.h"

#include <stdlib.h>

#include "base/le.h"
#include "image/ext4_writer.h"

static const struct ext4_attr plain = { .mode = 0644 };
static const struct ext4_attr folder = { .mode = 0755 };

/*
 * The linker puts these in place of the calls that the writer makes on the
 * file: the one that COUNTDOWN says fails with FAULT, all later ones too.
 */
static int countdown = -1;
static int fault;

ssize_t	__real_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t	__wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t	__real_pread64(int fd, void *buf, size_t len, off_t at);
ssize_t	__wrap_pread64(int fd, void *buf, size_t len, off_t at);
int	__real_ftruncate64(int fd, off_t len);
int	__wrap_ftruncate64(int fd, off_t len);

static bool
fails(void)
{
	if (countdown < 0 || (countdown > 0 && --countdown > 0))
		return false;
	errno = fault;
	return true;
}

ssize_t
__wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	/* Short writes, too. */
	return fails() ? -1 : __real_pwrite64(fd, buf,
	    countdown >= 0 && len > 5000 ? len - 4321 : len, at);
}

ssize_t
__wrap_pread64(int fd, void *buf, size_t len, off_t at)
{
	return fails() ? -1 : __real_pread64(fd, buf, len, at);
}

int
__wrap_ftruncate64(int fd, off_t len)
{
	return fails() ? -1 : __real_ftruncate64(fd, len);
}

struct image {
	struct temp temp;
	int fd;
	struct ext4_writer *w;
};

static void
begin(struct image *im)
{
	begin_temp(&im->temp);
	im->fd = openat(im->temp.fd, "image", O_RDWR | O_CREAT | O_CLOEXEC,
	    0600);
	assert_true(im->fd >= 0);
	assert_int_equal(ext4_writer_begin(im->fd, EXT4_WRITER_MAX, &im->w), 0);
}

static void
end(struct image *im)
{
	ext4_writer_free(im->w);
	close(im->fd);
	end_temp(&im->temp);
}

/* Runs PROGRAM with FLAGS and the image, then LAST unless NULL; it succeeds. */
static void
run_on(const struct image *im, const char *program, const char *flags,
    const char *last)
{
	char path[96];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/image", im->temp.path);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(null, 2);
		execlp(program, program, flags, path, last, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Finishes the image; e2fsck finds nothing at all. */
static void
finish_clean(struct image *im, struct ext4_writer_result *res)
{
	assert_int_equal(ext4_writer_finish(im->w, res), 0);
	run_on(im, "e2fsck", "-fn", NULL);
}

static uint32_t
mkdir_in(struct image *im, uint32_t dir, const char *name)
{
	uint32_t ino = 0;

	assert_int_equal(ext4_writer_mkdir(im->w, dir, name, &folder, &ino),
	    0);
	return ino;
}

static void
put(struct image *im, uint32_t dir, const char *name, size_t len)
{
	static uint8_t bytes[200000];

	assert_int_equal(ext4_writer_file_begin(im->w, dir, name, &plain), 0);
	assert_true(len <= sizeof(bytes));
	memset(bytes, name[0], len);
	assert_int_equal(ext4_writer_file_data(im->w, bytes, len, 0), 0);
	assert_int_equal(ext4_writer_file_end(im->w, len), 0);
}

static void
test_empty(void **state UNUSED)
{
	struct ext4_writer_result res;
	struct image im;
	uint32_t ino;

	begin(&im);
	assert_int_equal(ext4_writer_lookup(im.w, EXT4_WRITER_ROOT, "x", &ino),
	    -ENOENT);
	assert_int_equal(ext4_writer_lookup(im.w, EXT4_WRITER_ROOT, "..",
	    &ino), 0);
	assert_int_equal(ino, EXT4_WRITER_ROOT);
	finish_clean(&im, &res);
	assert_true(res.free_bytes >= 16u << 20);
	assert_true(res.size_bytes < 48u << 20);
	assert_int_equal(res.content_bytes, 0);
	end(&im);
}

/* A 16-bit field of the super block (super.rst). */
static uint16_t
super_field(const struct image *im, off_t offset)
{
	uint8_t bytes[2];

	assert_int_equal(pread(im->fd, bytes, sizeof(bytes), 1024 + offset),
	    sizeof(bytes));
	return get_le16(bytes);
}

/* The resize inode serves up to 256 GiB: 32 blocks of descriptors, one in use. */
static void
test_grown(void **state UNUSED)
{
	const off_t reserved_gdt_blocks = 0xce, incompat = 0x60;
	struct ext4_writer_result res;
	struct image im;

	begin(&im);
	put(&im, EXT4_WRITER_ROOT, "f", 200000);
	finish_clean(&im, &res);
	assert_int_equal(super_field(&im, reserved_gdt_blocks), 31);
	run_on(&im, "resize2fs", "-f", "256G");
	run_on(&im, "e2fsck", "-fn", NULL);
	assert_int_equal(super_field(&im, reserved_gdt_blocks), 0);
	assert_int_equal(super_field(&im, incompat) & 0x10, 0);	/* META_BG */
	end(&im);
}

/* 5000 levels down and 5000 across are gone, and their space is reused. */
static void
test_remove(void **state UNUSED)
{
	struct ext4_writer_result before, after;
	struct image im, plain_im;
	char name[32];

	begin(&im);
	begin(&plain_im);
	for (int round = 0; round < 8; round++) {
		uint32_t top = mkdir_in(&im, EXT4_WRITER_ROOT, "top");
		uint32_t dir = top;

		for (int i = 0; i < 5000; i++) {
			dir = mkdir_in(&im, dir, "down");
			snprintf(name, sizeof(name), "across-%d", i);
			put(&im, mkdir_in(&im, top, name), "f",
			    (size_t)i * 17 % 9000);
		}
		assert_int_equal(ext4_writer_remove(im.w, EXT4_WRITER_ROOT,
		    "top"), 0);
		assert_int_equal(ext4_writer_remove(im.w, EXT4_WRITER_ROOT,
		    "top"), -ENOENT);
	}
	finish_clean(&im, &after);
	finish_clean(&plain_im, &before);
	assert_int_equal(after.inodes_used, before.inodes_used);
	/* One round's blocks are 70 MB; eight of them would be more. */
	assert_true(after.size_bytes < (200u << 20));
	end(&im);
	end(&plain_im);
}

/* A held file survives the tree it was in. */
static void
test_hold(void **state UNUSED)
{
	struct ext4_writer_result res;
	struct ext4_stat st;
	struct image im;
	uint32_t dir, ino;

	begin(&im);
	dir = mkdir_in(&im, EXT4_WRITER_ROOT, "d");
	put(&im, dir, "f", 5000);
	assert_int_equal(ext4_writer_lookup(im.w, dir, "f", &ino), 0);
	assert_int_equal(ext4_writer_hold(im.w, ino), 0);
	assert_int_equal(ext4_writer_remove(im.w, EXT4_WRITER_ROOT, "d"), 0);
	assert_int_equal(ext4_writer_link(im.w, EXT4_WRITER_ROOT, "g", ino),
	    0);
	assert_int_equal(ext4_writer_release(im.w, ino), 0);
	assert_int_equal(ext4_writer_stat(im.w, ino, &st), 0);
	assert_int_equal(st.links, 1);
	assert_int_equal(st.size_bytes, 5000);
	assert_int_equal(ext4_writer_hold(im.w, EXT4_WRITER_ROOT), -EISDIR);
	finish_clean(&im, &res);
	end(&im);
}

static void
test_links_limit(void **state UNUSED)
{
	struct ext4_writer_result res;
	struct image im;
	char name[16];
	uint32_t ino;

	begin(&im);
	put(&im, EXT4_WRITER_ROOT, "f", 1);
	assert_int_equal(ext4_writer_lookup(im.w, EXT4_WRITER_ROOT, "f", &ino),
	    0);
	for (int i = 1; i < 65000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(ext4_writer_link(im.w, EXT4_WRITER_ROOT, name,
		    ino), 0);
	}
	assert_int_equal(ext4_writer_link(im.w, EXT4_WRITER_ROOT, "more", ino),
	    -EMLINK);
	finish_clean(&im, &res);
	end(&im);
}

static void
test_file_calls(void **state UNUSED)
{
	uint8_t bytes[10000];
	struct ext4_writer_result res;
	struct image im;

	memset(bytes, 'x', sizeof(bytes));
	begin(&im);
	assert_int_equal(ext4_writer_file_data(im.w, bytes, 1, 0), -EINVAL);
	assert_int_equal(ext4_writer_file_end(im.w, 0), -EINVAL);
	assert_int_equal(ext4_writer_file_begin(im.w, EXT4_WRITER_ROOT, "f",
	    &plain), 0);
	assert_int_equal(ext4_writer_file_begin(im.w, EXT4_WRITER_ROOT, "g",
	    &plain), -EINVAL);
	assert_int_equal(ext4_writer_finish(im.w, &res), -EINVAL);
	assert_int_equal(ext4_writer_file_data(im.w, bytes, 5000, 100), 0);
	assert_int_equal(ext4_writer_file_data(im.w, bytes, 1, 5099), -EINVAL);
	assert_int_equal(ext4_writer_file_data(im.w, bytes, 1, 1ull << 45),
	    -EFBIG);
	assert_int_equal(ext4_writer_file_data(im.w, bytes, 0, 1ull << 40), 0);
	/* The last byte that a file can have. */
	assert_int_equal(ext4_writer_file_data(im.w, bytes, 4096,
	    0xfffffffeull << 12), 0);
	assert_int_equal(ext4_writer_file_end(im.w, 5099), -EINVAL);
	assert_int_equal(ext4_writer_file_end(im.w, 0xffffffffull << 12), 0);
	finish_clean(&im, &res);
	assert_int_equal(res.content_bytes, 5000 + 4096);
	end(&im);
}

static void
test_symlinks(void **state UNUSED)
{
	char target[EXT4_WRITER_TARGET_MAX + 2], got[4096], name[16];
	struct ext4_writer_result res;
	struct image im;
	uint32_t ino;

	begin(&im);
	memset(target, 't', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	assert_int_equal(ext4_writer_symlink(im.w, EXT4_WRITER_ROOT, "l",
	    target, &plain), -ENAMETOOLONG);
	assert_int_equal(ext4_writer_symlink(im.w, EXT4_WRITER_ROOT, "l", "",
	    &plain), -EINVAL);
	for (size_t n = 1; n <= EXT4_WRITER_TARGET_MAX; n += n < 64 ? 1 : 403) {
		target[n] = '\0';
		snprintf(name, sizeof(name), "l%zu", n);
		assert_int_equal(ext4_writer_symlink(im.w, EXT4_WRITER_ROOT,
		    name, target, &plain), 0);
		assert_int_equal(ext4_writer_lookup(im.w, EXT4_WRITER_ROOT,
		    name, &ino), 0);
		assert_int_equal(ext4_writer_readlink(im.w, ino, got,
		    sizeof(got)), 0);
		assert_string_equal(got, target);
		assert_int_equal(ext4_writer_readlink(im.w, ino, got, n),
		    -ENAMETOOLONG);
		target[n] = 't';
	}
	assert_int_equal(ext4_writer_readlink(im.w, EXT4_WRITER_ROOT, got,
	    sizeof(got)), -EINVAL);
	finish_clean(&im, &res);
	end(&im);
}

/* What attributes there may be, and what is refused. */
static void
test_xattrs(void **state UNUSED)
{
	static char long_name[300];
	static const uint8_t value[5000];
	static const struct {
		const char *what;
		const char *name;
		size_t size;
		int want;
	} cases[] = {
		{ "small", "user.a", 1, 0 },
		{ "empty", "user.a", 0, 0 },
		{ "no name", "user.", 1, -ENOENT },
		{ "in a block", "security.b", 4000, 0 },
		{ "too large", "user.a", 4097, -E2BIG },
		{ "too large for the block", "user.a", 4080, -E2BIG },
		{ "foreign", "com.apple.x", 5000, 0 },
		{ "long name", long_name, 1, -E2BIG },
		{ "no ACL", "system.posix_acl_access", 12, -EINVAL },
		{ "short ACL", "system.posix_acl_default", 3, -EINVAL },
		{ "not quite an ACL", "system.posix_acl_access.x", 12, 0 },
	};

	snprintf(long_name, sizeof(long_name), "user.%0280d", 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ext4_xattr x = { cases[i].name, value, cases[i].size };
		struct ext4_attr a = { .xattrs = &x, .xattr_count = 1 };
		struct ext4_writer_result res;
		struct image im;
		int want = cases[i].want == -ENOENT ? 0 : cases[i].want;

		begin(&im);
		assert_case(ext4_writer_mknod(im.w, EXT4_WRITER_ROOT, "n",
		    S_IFIFO, 0, 0, &a) == want, i, cases[i].what);
		if (want == 0)
			finish_clean(&im, &res);
		end(&im);
	}
}

/*
 * Random entries, links, replacements and removals in a few directories,
 * beside a model of names and sizes.
 */
static void
test_random(void **state UNUSED)
{
	enum { DIRS = 6, NAMES = 400, STEPS = 60000 };
	static int32_t model[DIRS][NAMES];	/* size, or -1 */
	struct ext4_writer_result res;
	uint32_t dirs[DIRS];
	struct image im;
	uint32_t x = 12345;

	begin(&im);
	for (int i = 0; i < DIRS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%d", i);
		dirs[i] = mkdir_in(&im, EXT4_WRITER_ROOT, name);
		for (int k = 0; k < NAMES; k++)
			model[i][k] = -1;
	}
	for (int i = 0; i < STEPS; i++) {
		uint32_t d, n, ino, size;
		struct ext4_stat st;
		char name[64];
		int r;

		x = x * 1664525 + 1013904223;
		d = (x >> 8) % DIRS;
		n = (x >> 12) % NAMES;
		size = (x >> 4) % 3 == 0 ? (x >> 3) % 150000 : (x >> 3) % 6000;
		snprintf(name, sizeof(name), "%u-%.*s", n, (int)(n % 50),
		    "name-name-name-name-name-name-name-name-name-name-");
		r = ext4_writer_lookup(im.w, dirs[d], name, &ino);
		assert_int_equal(r, model[d][n] < 0 ? -ENOENT : 0);
		if (r == 0) {
			assert_int_equal(ext4_writer_stat(im.w, ino, &st), 0);
			assert_int_equal(st.size_bytes, model[d][n]);
			assert_int_equal(ext4_writer_remove(im.w, dirs[d],
			    name), 0);
			model[d][n] = -1;
			if ((x >> 28) < 8)
				continue;
		}
		put(&im, dirs[d], name, size);
		model[d][n] = (int32_t)size;
	}
	finish_clean(&im, &res);
	end(&im);
}

/* All that the writer can do, as far as it gets. */
static int
do_all(struct ext4_writer *w)
{
	static const uint8_t bytes[3 << 20];
	struct ext4_writer_result res;
	uint32_t dir, ino;
	char name[256];
	int r = ext4_writer_mkdir(w, EXT4_WRITER_ROOT, "d", &folder, &dir);

	for (int i = 0; r == 0 && i < 600; i++) {
		snprintf(name, sizeof(name), "%0200d", i);
		r = ext4_writer_file_begin(w, dir, name, &plain);
		if (r == 0)
			r = ext4_writer_file_data(w, bytes,
			    i == 300 ? sizeof(bytes) : 3000, 0);
		if (r == 0)
			r = ext4_writer_file_end(w, sizeof(bytes));
	}
	if (r == 0)
		r = ext4_writer_lookup(w, dir, name, &ino);
	if (r == 0)
		r = ext4_writer_link(w, EXT4_WRITER_ROOT, "l", ino);
	if (r == 0)
		r = ext4_writer_remove(w, EXT4_WRITER_ROOT, "d");
	return r < 0 ? r : ext4_writer_finish(w, &res);
}

/* Each call on the file fails in turn: that error comes out, no memory stays. */
static void
test_faults(void **state UNUSED)
{
	static const int faults[] = { ENOSPC, EIO };
	struct image im;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		int n = 1, r;

		do {
			begin(&im);
			fault = faults[i];
			countdown = n;
			r = do_all(im.w);
			assert_true(r == 0 || r == -faults[i]);
			assert_true(r < 0 || countdown > 0);
			countdown = -1;
			end(&im);
			n++;
		} while (r < 0);
		assert_true(n > 10);
	}
}

/* Two runs of the same calls give the same bytes. */
static void
test_same(void **state UNUSED)
{
	struct ext4_writer_result res;
	struct image im[2];
	char name[32];

	for (int i = 0; i < 2; i++) {
		begin(&im[i]);
		for (int k = 0; k < 1000; k++) {
			snprintf(name, sizeof(name), "file-%d", k);
			put(&im[i], EXT4_WRITER_ROOT, name, (size_t)k * 7);
		}
		finish_clean(&im[i], &res);
	}
	for (uint64_t at = 0; at < res.size_bytes; at += 65536) {
		static uint8_t a[65536], b[65536];
		ssize_t n = pread(im[0].fd, a, sizeof(a), (off_t)at);

		assert_int_equal(pread(im[1].fd, b, sizeof(b), (off_t)at), n);
		assert_memory_equal(a, b, (size_t)n);
	}
	end(&im[0]);
	end(&im[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_grown),
		cmocka_unit_test(test_file_calls),
		cmocka_unit_test(test_symlinks),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_links_limit),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
