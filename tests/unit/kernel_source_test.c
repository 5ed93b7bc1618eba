/*
 * What `kernel import` makes of the file it is given, before any of it goes to
 * the worker.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "client/kernel_source.h"

static char dir[] = "/tmp/banger-source.XXXXXX";

static const char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
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
		{ dir, NULL, "not a file" },
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
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct source_fd source _cleanup_source_ =
		    SOURCE_FD_NONE;
		char err[API_TEXT_MAX] = "";

		if (kernel_source_open(&source, rows[i].path, rows[i].modules,
		    err) == 0)
			fail_msg("%s: accepted", rows[i].path);
		if (strstr(err, rows[i].says) == NULL)
			fail_msg("%s: says: %s", rows[i].path, err);
		assert_null(strchr(err, '\n'));
	}
	for (i = 4; i < ARRAY_SIZE(rows); i++) {
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
	assert_int_equal(kernel_source_open(&source, path, NULL, err), 0);
	assert_int_equal(stat(path, &a), 0);
	assert_int_equal(fstat(source.fd, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(lseek(source.fd, 0, SEEK_CUR), 0);
	assert_int_equal(source.packer, 0);
	source_fd_close(&source);
	assert_int_equal(source.fd, -1);
	unlink(path);

	path = make("vmlinux-0.0-no", "\177ELF", 0, 4096);
	assert_int_equal(kernel_source_open(&source, path, NULL, err), 0);
	assert_int_equal(read_full(source.fd, block, sizeof(block)), 0);
	assert_memory_equal(block + 257, "ustar", 6);
	/* Closed before it is read to its end: the packer goes as well. */
	source_fd_close(&source);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(releases),
		cmocka_unit_test(refused),
		cmocka_unit_test(sources),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
