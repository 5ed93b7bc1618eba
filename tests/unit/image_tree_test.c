/*
 * Names of archive entries, and what they lead to inside an image.
 */
#include "unit.h"

#include "image/tree.h"

static const struct ext4_attr folder = { .mode = 0755 };
static const struct ext4_attr plain = { .mode = 0644 };

static char name_255[256], name_256[257];
static char path_4095[4096], path_4096[4097];

static void
fill(char *s, size_t size, size_t every)
{
	for (size_t i = 0; i + 1 < size; i++)
		s[i] = i % every == every - 1 ? '/' : 'n';
	s[size - 2] = 'n';
	s[size - 1] = '\0';
}

static void
test_clean(void **state UNUSED)
{
	static const struct {
		const char *in;
		int want;
		const char *out;
	} cases[] = {
		{ "", 0, "" },
		{ ".", 0, "" },
		{ "./", 0, "" },
		{ "/", 0, "" },
		{ "///", 0, "" },
		{ "/.//./", 0, "" },
		{ "a", 0, "a" },
		{ "./a/", 0, "a" },
		{ "/a", 0, "a" },
		{ "a/b", 0, "a/b" },
		{ "//a//./b//", 0, "a/b" },
		{ "...", 0, "..." },
		{ "..a/b..", 0, "..a/b.." },
		{ ".a/.b", 0, ".a/.b" },
		{ "a/. /b", 0, "a/. /b" },
		{ "..", -EINVAL, NULL },
		{ "../a", -EINVAL, NULL },
		{ "/..", -EINVAL, NULL },
		{ "a/..", -EINVAL, NULL },
		{ "a/../b", -EINVAL, NULL },
		{ "./../", -EINVAL, NULL },
		{ name_255, 0, name_255 },
		{ name_256, -ENAMETOOLONG, NULL },
		{ path_4095, 0, path_4095 },
		{ path_4096, -ENAMETOOLONG, NULL },
	};

	fill(name_255, sizeof(name_255), 1000);
	fill(name_256, sizeof(name_256), 1000);
	fill(path_4095, sizeof(path_4095), 200);
	fill(path_4096, sizeof(path_4096), 200);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char out[TREE_PATH_MAX];

		assert_case(tree_clean(cases[i].in, out) == cases[i].want, i,
		    cases[i].in);
		if (cases[i].want == 0)
			assert_string_equal(out, cases[i].out);
	}
}

/*
 * usr/lib/file, lib -> usr/lib, up -> ../../.., loop <-> pool, deep -> itself
 * below itself, file/…
 */
static void
make_links(struct tree *t)
{
	static const struct { const char *name, *target; } links[] = {
		{ "lib", "usr/lib" }, { "up", "../../../usr" },
		{ "abs", "/usr/./lib/.." }, { "loop", "pool" },
		{ "pool", "loop" }, { "grow", "grow/x" },
		{ "tofile", "lib/file" }, { "dangling", "no/such" },
		{ "slash", "lib/file/" },
	};
	uint32_t usr, lib;

	assert_int_equal(ext4_writer_mkdir(t->w, EXT4_WRITER_ROOT, "usr",
	    &folder, &usr), 0);
	assert_int_equal(ext4_writer_mkdir(t->w, usr, "lib", &folder, &lib),
	    0);
	assert_int_equal(ext4_writer_mknod(t->w, lib, "file", S_IFIFO, 0, 0,
	    &plain), 0);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		assert_int_equal(ext4_writer_symlink(t->w, EXT4_WRITER_ROOT,
		    links[i].name, links[i].target, &plain), 0);
}

static void
test_lookup(void **state UNUSED)
{
	static const struct {
		const char *path;
		bool follow;
		int want;
		const char *same;	/* another name of it */
	} cases[] = {
		{ "", true, 0, "" },
		{ "usr/lib/file", true, 0, "usr/lib/file" },
		{ "lib/file", false, 0, "usr/lib/file" },
		{ "lib", true, 0, "usr/lib" },
		{ "up", true, 0, "usr" },
		{ "up/lib/file", false, 0, "usr/lib/file" },
		{ "abs/lib", false, 0, "usr/lib" },
		{ "tofile", true, 0, "usr/lib/file" },
		{ "tofile/x", true, -ENOTDIR, NULL },
		{ "usr/lib/file/x", false, -ENOTDIR, NULL },
		{ "usr/none", false, -ENOENT, NULL },
		{ "dangling", true, -ENOENT, NULL },
		{ "dangling", false, 0, "dangling" },
		{ "loop", true, -ELOOP, NULL },
		{ "loop/x", false, -ELOOP, NULL },
		{ "loop", false, 0, "loop" },
		{ "grow", true, -ELOOP, NULL },
		{ "slash", true, -ENOTDIR, NULL },
	};
	struct tree *t = calloc(1, sizeof(*t));
	struct temp temp;
	int fd;

	assert_non_null(t);
	begin_temp(&temp);
	fd = openat(temp.fd, "image", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ext4_writer_begin(fd, EXT4_WRITER_MAX, &t->w), 0);
	make_links(t);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t ino = 0, same = 0;

		assert_case(tree_lookup(t, cases[i].path, cases[i].follow,
		    &ino) == cases[i].want, i, cases[i].path);
		if (cases[i].want < 0)
			continue;
		assert_int_equal(tree_lookup(t, cases[i].same, false, &same),
		    0);
		assert_case(ino == same, i, cases[i].path);
	}
	ext4_writer_free(t->w);
	close(fd);
	end_temp(&temp);
	free(t);
}

/* The directory found last is remembered, but not beyond its end. */
static void
test_parent(void **state UNUSED)
{
	struct tree *t = calloc(1, sizeof(*t));
	uint32_t first, second, third, ino;
	const char *name;
	struct temp temp;
	int fd;

	assert_non_null(t);
	t->implied = folder;
	begin_temp(&temp);
	fd = openat(temp.fd, "image", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ext4_writer_begin(fd, EXT4_WRITER_MAX, &t->w), 0);
	make_links(t);
	assert_int_equal(tree_parent(t, "top", &first, &name), 0);
	assert_int_equal(first, EXT4_WRITER_ROOT);
	assert_string_equal(name, "top");
	assert_int_equal(tree_parent(t, "new/dir/f", &first, &name), 0);
	assert_string_equal(name, "f");
	assert_int_equal(tree_parent(t, "new/dir/g", &second, &name), 0);
	assert_int_equal(first, second);
	assert_int_equal(tree_remove(t, EXT4_WRITER_ROOT, "new"), 0);
	assert_int_equal(tree_lookup(t, "new/dir", false, &ino), -ENOENT);
	assert_int_equal(tree_parent(t, "new/dir/g", &third, &name), 0);
	assert_int_equal(tree_lookup(t, "new/dir", false, &ino), 0);
	assert_int_equal(ino, third);
	assert_int_equal(tree_parent(t, "dangling/f", &first, &name), 0);
	assert_int_equal(tree_lookup(t, "no/such", false, &ino), 0);
	assert_int_equal(ino, first);
	assert_int_equal(tree_parent(t, "tofile/f", &first, &name), -ENOTDIR);
	assert_int_equal(tree_parent(t, "lib/file/f", &first, &name),
	    -ENOTDIR);
	assert_int_equal(tree_parent(t, "loop/f", &first, &name), -ELOOP);
	ext4_writer_free(t->w);
	close(fd);
	end_temp(&temp);
	free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
