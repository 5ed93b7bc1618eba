/*
 * What `kernel import` makes of the file it is given, before any of it goes to
 * the worker.
 */
#include "unit.h"

#include "client/kernel_source.h"
#include "client/kernel_tree.h"

static char dir[] = "/tmp/banger-source.XXXXXX";

static const char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* kernel_source_open() of up to two PATHs. */
static int
open_paths(struct source_fd *source, const char *one, const char *two,
    const char *modules, char err[API_TEXT_MAX])
{
	char *paths[] = { (char *)(uintptr_t)one, (char *)(uintptr_t)two, NULL };

	return kernel_source_open(source, paths, modules, err);
}

/* Creates NAME with LEN bytes, zeros but for TEXT at AT. */
static const char *
make(const char *name, const char *text, size_t at, size_t len)
{
	const char *path = in_dir(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)at),
	    (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void
kinds(void **state)
{
	uint8_t buf[1024] = { 0 };

	(void)state;
	assert_int_equal(kernel_file_kind(buf, 0), KERNEL_FILE_ARCHIVE);
	memcpy(buf, "\177ELF", 4);
	assert_int_equal(kernel_file_kind(buf, 3), KERNEL_FILE_ARCHIVE);
	assert_int_equal(kernel_file_kind(buf, sizeof(buf)), KERNEL_FILE_ELF);
	memcpy(buf, "MZ\0\0", 4);
	memcpy(buf + 0x202, "HdrS", 4);
	assert_int_equal(kernel_file_kind(buf, 0x205), KERNEL_FILE_ARCHIVE);
	assert_int_equal(kernel_file_kind(buf, 0x206), KERNEL_FILE_BZIMAGE);
	memcpy(buf, "!<arch>\n", 8);
	buf[0x202] = 0;
	assert_int_equal(kernel_file_kind(buf, sizeof(buf)),
	    KERNEL_FILE_ARCHIVE);
}

static void
releases(void **state)
{
	(void)state;
	assert_string_equal(kernel_file_release("/boot/vmlinuz-6.1.0-9-amd64"),
	    "6.1.0-9-amd64");
	assert_string_equal(kernel_file_release("vmlinux-6.1"), "6.1");
	assert_null(kernel_file_release("/boot/vmlinuz"));
	assert_null(kernel_file_release("/boot/vmlinuz-"));
	assert_null(kernel_file_release("/boot/bzImage-6.1"));
	assert_null(kernel_file_release("/vmlinuz-6.1/image"));
	assert_null(kernel_file_release(""));
}

static void
refused(void **state)
{
	const struct { const char *path, *modules, *says; } rows[] = {
		{ "/nonexistent", NULL, "No such file" },
		{ dir, NULL, "lib/modules: not there" },
		{ dir, dir, "leave --modules out" },
		{ "/dev/null", NULL, "not a file" },
		{ "host", dir, "leave --modules out" },
		{ strdup(make("x.tar", "ustar", 257, 1024)), dir, "--modules" },
		{ strdup(make("bz", "HdrS", 0x202, 1024)), NULL, "--modules DIR" },
		{ strdup(make("vmlinuz-0.0-no", "HdrS", 0x202, 1024)), NULL,
		    "/lib/modules/0.0-no" },
		{ strdup(make("vmlinux", "\177ELF", 0, 1024)), NULL,
		    "--modules DIR" },
		{ strdup(make("vmlinuz-..", "HdrS", 0x202, 1024)), "/nonexistent",
		    "/nonexistent" },
		{ strdup(make("Image", "ARM\x64", 0x38, 1024)), NULL,
		    "Image is for arm64" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct source_fd source _cleanup_source_ =
		    SOURCE_FD_NONE;
		char err[API_TEXT_MAX] = "";

		if (open_paths(&source, rows[i].path, NULL, rows[i].modules,
		    err) == 0)
			fail_msg("%s: accepted", rows[i].path);
		if (strstr(err, rows[i].says) == NULL)
			fail_msg("%s: says: %s", rows[i].path, err);
		assert_null(strchr(err, '\n'));
	}
	for (i = 5; i < ARRAY_SIZE(rows); i++) {
		unlink(rows[i].path);
		free((void *)(uintptr_t)rows[i].path);
	}
}

/* An archive goes as it is; a vmlinux alone is packed. */
static void
sources(void **state)
{
	struct source_fd source = SOURCE_FD_NONE;
	char err[API_TEXT_MAX], block[512];
	struct stat a, b;
	const char *path = make("x.deb", "!<arch>\n", 0, 4096);

	(void)state;
	assert_int_equal(open_paths(&source, path, NULL, NULL, err), 0);
	assert_int_equal(stat(path, &a), 0);
	assert_int_equal(fstat(source.fd, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(lseek(source.fd, 0, SEEK_CUR), 0);
	assert_int_equal(source.packer, 0);
	source_fd_close(&source);
	assert_int_equal(source.fd, -1);
	unlink(path);

	path = make("vmlinux-0.0-no", "\177ELF", 0, 4096);
	assert_int_equal(open_paths(&source, path, NULL, NULL, err), 0);
	assert_int_equal(read_full(source.fd, block, sizeof(block)), 0);
	assert_memory_equal(block + 257, "ustar", 6);
	/* Closed before it is read to its end: the packer goes as well. */
	source_fd_close(&source);
	unlink(path);
}

/* Several packages become members of one tar, which can be read twice. */
static void
packages(void **state)
{
	char one[128], two[128], err[API_TEXT_MAX] = "", block[512];
	struct source_fd source = SOURCE_FD_NONE;

	(void)state;
	snprintf(one, sizeof(one), "%s", make("a.rpm", "\xed\xab\xee\xdb", 0,
	    700));
	snprintf(two, sizeof(two), "%s", make("b.rpm", "\xed\xab\xee\xdb", 0,
	    600));
	assert_int_equal(open_paths(&source, one, two, NULL, err), 0);
	assert_int_equal(lseek(source.fd, 0, SEEK_CUR), 0);
	assert_int_equal(lseek(source.fd, 0, SEEK_END), 512 * 8);
	assert_int_equal(pread(source.fd, block, 512, (off_t)512 * 3), 512);
	assert_string_equal(block, "b.rpm");
	assert_string_equal(block + 345, "packages");
	source_fd_close(&source);
	/* Each has to be one. */
	assert_int_equal(open_paths(&source, one, dir, NULL, err), -EINVAL);
	assert_int_equal(open_paths(&source, one, two, dir, err), -EINVAL);
	assert_non_null(strstr(err, "leave --modules out"));
	assert_int_equal(open_paths(&source, one, "/nonexistent", NULL, err),
	    -ENOENT);
	unlink(two);
	make("b.rpm", "HdrS", 0x202, 1024);
	assert_int_equal(open_paths(&source, one, two, NULL, err), -EINVAL);
	assert_non_null(strstr(err, "b.rpm: not a package"));
	unlink(one);
	unlink(two);
}

static void
put_dir(const char *name)
{
	assert_int_equal(mkdir(in_dir(name), 0700), 0);
}

/* Each layout that distributions have, and what is not one. */
static void
trees(void **state)
{
	struct kernel_tree tree;
	char err[API_TEXT_MAX];

	(void)state;
	put_dir("t");
	put_dir("t/boot");
	put_dir("t/usr");
	put_dir("t/usr/lib");
	put_dir("t/usr/lib/modules");
	assert_int_equal(kernel_tree_find(in_dir("t"), NULL, &tree, err,
	    sizeof(err)), -ENOENT);
	put_dir("t/usr/lib/modules/6.1-a");
	assert_int_equal(kernel_tree_find(in_dir("t"), NULL, &tree, err,
	    sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "/boot/vmlinuz-6.1-a"));
	/* Alpine's, beside which there is a link. */
	make("t/boot/vmlinuz-virt", "HdrS", 0x202, 1024);
	assert_int_equal(symlink("vmlinuz-virt", in_dir("t/boot/vmlinuz")), 0);
	assert_int_equal(kernel_tree_find(in_dir("t"), NULL, &tree, err,
	    sizeof(err)), 0);
	assert_string_equal(tree.kernel, in_dir("t/boot/vmlinuz-virt"));
	assert_string_equal(tree.modules, in_dir("t/usr/lib/modules/6.1-a"));
	/* Fedora's and Arch's. */
	make("t/usr/lib/modules/6.1-a/vmlinuz", "HdrS", 0x202, 1024);
	assert_int_equal(kernel_tree_find(in_dir("t"), NULL, &tree, err,
	    sizeof(err)), 0);
	assert_string_equal(tree.kernel,
	    in_dir("t/usr/lib/modules/6.1-a/vmlinuz"));
	/* Debian's. */
	make("t/boot/vmlinuz-6.1-a", "HdrS", 0x202, 1024);
	assert_int_equal(kernel_tree_find(in_dir("t"), NULL, &tree, err,
	    sizeof(err)), 0);
	assert_string_equal(tree.kernel, in_dir("t/boot/vmlinuz-6.1-a"));
	/* The directory of modules itself. */
	make("t/usr/lib/modules/6.1-a/modules.builtin", "", 0, 1);
	assert_int_equal(kernel_tree_find(in_dir("t/usr/lib/modules/6.1-a"),
	    NULL, &tree, err, sizeof(err)), 0);
	assert_string_equal(tree.modules, in_dir("t/usr/lib/modules/6.1-a"));
	/* Two of them: one has to be named. */
	put_dir("t/usr/lib/modules/6.1-b");
	assert_int_equal(kernel_tree_find(in_dir("t"), NULL, &tree, err,
	    sizeof(err)), -EEXIST);
	assert_int_equal(kernel_tree_find(in_dir("t"), "6.1-a", &tree, err,
	    sizeof(err)), 0);
	assert_int_equal(kernel_tree_find(in_dir("t"), "6.1-c", &tree, err,
	    sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "lib/modules/6.1-c: not there"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(releases),
		cmocka_unit_test(refused),
		cmocka_unit_test(sources),
		cmocka_unit_test(packages),
		cmocka_unit_test(trees),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	remove_with_rm(dir);
	return failed;
}
