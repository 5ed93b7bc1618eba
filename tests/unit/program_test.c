/*
 * Which files root may execute for others: one row per thing that is wrong
 * with one.
 */
#include "unit.h"

#include "privsep/program.h"

static struct temp temp;
static char path[128], why[192];

/* The first bytes of an ELF file, and those of a script. */
static const char elf[] = "\177ELF and more", script[] = "#!/bin/sh\nexit 0\n";

static int
try(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", temp.path, name);
	why[0] = '\0';
	return program_open(PROGRAM_FIRECRACKER, path, why, sizeof(why));
}

/* A file of that content, owner and mode. */
static void
make(const char *name, const char *content, uid_t uid, mode_t mode)
{
	put_file(temp.fd, name, content, strlen(content));
	assert_int_equal(fchownat(temp.fd, name, uid, 0, 0), 0);
	assert_int_equal(fchmodat(temp.fd, name, mode, 0), 0);
}

static void
refused(void **state)
{
	static const struct {
		const char *content;
		uid_t uid;
		mode_t mode;
		int error;
		const char *word;
	} rows[] = {
		{ script, 0, 0755, -ENOEXEC, "script" },
		{ "", 0, 0755, -ENOEXEC, "ELF" },
		{ "\177EL", 0, 0755, -ENOEXEC, "ELF" },
		{ elf, 1000, 0755, -EPERM, "chown root" },
		{ elf, 65534, 0755, -EPERM, "chown root" },
		{ elf, 0, 0775, -EPERM, "go-w" },
		{ elf, 0, 0757, -EPERM, "go-w" },
		{ elf, 0, 04755, -EPERM, "set-id" },
		{ elf, 0, 02755, -EPERM, "set-id" },
		{ elf, 0, 0644, -EACCES, "not an executable" },
		{ elf, 0, 0, -EACCES, "not an executable" },
	};
	char name[16];
	size_t i;

	(void)state;
	need_root();
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(name, sizeof(name), "row%zu", i);
		make(name, rows[i].content, rows[i].uid, rows[i].mode);
		assert_case(try(name) == rows[i].error, i, why);
		assert_case(strstr(why, rows[i].word) != NULL, i, why);
		assert_case(strstr(why, path) != NULL, i, why);
		assert_case(strstr(why, "firecracker_bin") != NULL, i, why);
	}
}

static void
no_regular_file(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(try("missing"), -ENOENT);
	assert_non_null(strstr(why, "firecracker_bin"));
	assert_int_equal(mkdirat(temp.fd, "dir", 0755), 0);
	assert_int_equal(try("dir"), -EACCES);
	make("good", elf, 0, 0755);
	assert_int_equal(symlinkat("good", temp.fd, "link"), 0);
	assert_int_equal(try("link"), -ELOOP);
	assert_non_null(strstr(why, "symlink"));
	/* Nobody writes to it: an open that waits would never end. */
	assert_int_equal(mkfifoat(temp.fd, "fifo", 0755), 0);
	assert_int_equal(try("fifo"), -EACCES);
}

static void
good(void **state)
{
	unsigned int before = count_fds();
	int fd;

	(void)state;
	need_root();
	make("good", elf, 0, 0755);
	fd = try("good");
	assert_true(fd >= 0);
	assert_string_equal(why, "");
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	assert_int_equal(count_fds(), before);
}

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(no_regular_file),
		cmocka_unit_test(good),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
