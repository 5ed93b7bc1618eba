/*
 * Which file of CA certificates is opened, and which are not.
 */
#include "unit.h"

#include "client/ca_bundle.h"

#define PEM "-----BEGIN CERTIFICATE-----\n"

static struct temp dir;

static int
begin(void **state)
{
	(void)state;
	unsetenv("SSL_CERT_FILE");
	begin_temp(&dir);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	unsetenv("SSL_CERT_FILE");
	end_temp(&dir);
	return 0;
}

static const char *
in_dir(const char *name)
{
	static char path[128];

	assert_int_equal(format(path, sizeof(path), "%s/%s", dir.path, name), 0);
	return path;
}

/* FD is the file PATH, at its start, and does not go to other programs. */
static void
assert_is(int fd, const char *path)
{
	struct stat a, b;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(stat(path, &b), 0);
	assert_true(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
}

static void
given(void **state)
{
	char err[API_TEXT_MAX] = "";
	char flag[128];

	(void)state;
	put_file(dir.fd, "flag", PEM, strlen(PEM));
	put_file(dir.fd, "variable", PEM, strlen(PEM));
	strcpy(flag, in_dir("flag"));
	assert_is(ca_bundle_open(flag, err), flag);
	setenv("SSL_CERT_FILE", in_dir("variable"), 1);
	assert_is(ca_bundle_open(NULL, err), in_dir("variable"));
	/* What is typed wins. */
	assert_is(ca_bundle_open(flag, err), flag);
	/* What is named and not there is not made up for. */
	setenv("SSL_CERT_FILE", "/nonexistent/x.pem", 1);
	assert_int_equal(ca_bundle_open(NULL, err), -ENOENT);
	assert_non_null(strstr(err, "SSL_CERT_FILE=/nonexistent/x.pem: No such"));
	assert_int_equal(ca_bundle_open("/nonexistent/y.pem", err), -ENOENT);
	assert_non_null(strstr(err, "--ca /nonexistent/y.pem: No such"));
}

/* The machine's own, whichever it is; a machine may have none. */
static void
distribution(void **state)
{
	static const char first[] = "/etc/ssl/certs/ca-certificates.crt";
	char err[API_TEXT_MAX] = "";
	int fd, i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fd = ca_bundle_open(NULL, err);
		if (access(first, F_OK) == 0) {
			assert_is(fd, first);
		} else if (fd >= 0) {
			close(fd);
		} else {
			assert_int_equal(fd, -ENOENT);
			assert_non_null(strstr(err, "install ca-certificates"));
		}
		/* Set to nothing is not set. */
		setenv("SSL_CERT_FILE", "", 1);
	}
}

static void
refused(void **state)
{
	static const struct { const char *name; int error; const char *says; } rows[] = {
		{ "dir", -EINVAL, "not a regular file" },
		{ "fifo", -EINVAL, "not a regular file" },
		{ "empty", -EINVAL, "empty" },
		{ "large", -EFBIG, "larger than 4 MiB" },
		{ "loop", -ELOOP, "symbolic links" },
	};
	unsigned int fds = count_fds();
	char err[API_TEXT_MAX];
	size_t i;

	(void)state;
	assert_int_equal(mkdirat(dir.fd, "dir", 0755), 0);
	assert_int_equal(mkfifoat(dir.fd, "fifo", 0600), 0);
	assert_int_equal(symlinkat("loop", dir.fd, "loop"), 0);
	put_file(dir.fd, "empty", "", 0);
	put_file(dir.fd, "large", PEM, strlen(PEM));
	assert_int_equal(truncate(in_dir("large"), CA_BUNDLE_MAX + 1), 0);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		err[0] = '\0';
		assert_case(ca_bundle_open(in_dir(rows[i].name), err) ==
		    rows[i].error, i, rows[i].name);
		if (strstr(err, rows[i].says) == NULL ||
		    strchr(err, '\n') != NULL)
			fail_msg("%s: says: %s", rows[i].name, err);
	}
	assert_int_equal(count_fds(), fds);
	/* One byte less is taken. */
	assert_int_equal(truncate(in_dir("large"), CA_BUNDLE_MAX), 0);
	assert_is(ca_bundle_open(in_dir("large"), err), in_dir("large"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(given, begin, end),
		cmocka_unit_test_setup_teardown(distribution, begin, end),
		cmocka_unit_test_setup_teardown(refused, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
