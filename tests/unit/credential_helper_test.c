/*
 * Credential helpers that answer, refuse, fail, hang and never stop talking.
 */
#include "unit.h"

#include <signal.h>

#include "client/credential_helper.h"

#define OK "printf '{\"ServerURL\":\"x\",\"Username\":\"user\",\"Secret\":\"s3cret\"}'\n"

static struct temp dir;
static sigset_t old_mask;
static unsigned int fds;

static int
begin(void **state)
{
	char path[256];

	(void)state;
	begin_temp(&dir);
	assert_int_equal(format(path, sizeof(path), "%s:/usr/bin:/bin",
	    dir.path), 0);
	setenv("PATH", path, 1);
	sigprocmask(SIG_SETMASK, NULL, &old_mask);
	fds = count_fds();
	return 0;
}

/* No helper and no pipe is left. */
static int
end(void **state)
{
	(void)state;
	assert_int_equal(count_fds(), fds);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	setenv("PATH", "/usr/bin:/bin", 1);
	unsetenv("BANGER_TEST");
	assert_int_equal(chdir("/"), 0);
	end_temp(&dir);
	return 0;
}

static void
put_helper(const char *name, const char *body)
{
	char file[64], text[1024];

	assert_int_equal(format(file, sizeof(file), "docker-credential-%s",
	    name), 0);
	assert_int_equal(format(text, sizeof(text), "#!/bin/sh\n%s", body), 0);
	put_file(dir.fd, file, text, strlen(text));
	assert_int_equal(fchmodat(dir.fd, file, 0755, 0), 0);
}

/* Runs BODY as a helper. OUT holds something before. */
static int
run(const char *body, int timeout_ms, struct registry_auth *out,
    char err[API_TEXT_MAX])
{
	*out = (struct registry_auth){ .user = "old", .secret = "old" };
	err[0] = '\0';
	put_helper("t", body);
	return credential_helper_get("t", "reg.test:5000", timeout_ms, out, err);
}

static void
answers(void **state)
{
	static const struct {
		const char *body, *user, *secret;
		bool token;
	} rows[] = {
		{ OK, "user", "s3cret", false },
		/* One argument; the key and no newline. */
		{ "[ $# = 1 ] && [ \"$1\" = get ] || exit 9\n"
		    "printf '{\"Username\":\"u\",\"Secret\":\"%s\"}' \"$(cat; echo .)\"",
		    "u", "reg.test:5000.", false },
		{ "exec <&-\n" OK, "user", "s3cret", false },
		{ "echo '{\"Username\":\"<token>\",\"Secret\":\"t0ken\"}'", "",
		    "t0ken", true },
		{ "echo '{\"Username\":\"<token>\",\"Secret\":\"\"}'", "", "",
		    false },
		{ "echo '{\"Username\":\"\",\"Secret\":\"x\"}'", "", "", false },
		{ "echo '{\"Username\":\"u\",\"Secret\":\"\",\"X\":[1]}'", "u", "",
		    false },
		{ "echo credentials not found in native keychain; exit 1", "",
		    "", false },
		/* The user's environment. */
		{ "printf '{\"Username\":\"u\",\"Secret\":\"%s\"}' \"$BANGER_TEST\"",
		    "u", "from outside", false },
		/* Neither the mask nor what the client ignores. */
		{ "printf '{\"Username\":\"u\",\"Secret\":\"%s\"}' \"$(grep -cE "
		    "'^Sig(Blk|Ign):.0+$' /proc/self/status)\"", "u", "2",
		    false },
		/* Who keeps its output open is not waited for. */
		{ "sleep 9 2>&- & " OK, "user", "s3cret", false },
		/* The last byte that fits. */
		{ "head -c 65480 /dev/zero | tr '\\0' ' '\nprintf '%56s' "
		    "'{\"Username\":\"u\",\"Secret\":\"s\"}'", "u", "s", false },
	};
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX];
	int64_t started = monotonic_ms();
	sigset_t set;
	size_t i;

	(void)state;
	setenv("BANGER_TEST", "from outside", 1);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (run(rows[i].body, 60000, &auth, err) != 0)
			fail_msg("%s: says: %s", rows[i].body, err);
		assert_string_equal(auth.user, rows[i].user);
		assert_string_equal(auth.secret, rows[i].secret);
		assert_int_equal(auth.token, rows[i].token);
		assert_int_equal(registry_auth_given(&auth),
		    auth.user[0] != '\0' || auth.token);
		assert_string_equal(err, "");
	}
	assert_true(monotonic_ms() - started < 50000);
}

/* Long enough never to be over when the machine is busy, but for "sleep". */
static void
failures(void **state)
{
	static const struct {
		const char *body;
		int timeout_ms, error;
		const char *says;
	} rows[] = {
		{ "echo s3cret; exit 3", 60000, -EIO, "docker-credential-t: "
		    "failed with exit code 3; `echo reg.test:5000 | "
		    "docker-credential-t get` shows why" },
		{ "exit 1", 60000, -EIO, "exit code 1" },
		{ "echo s3cret; kill -9 $$", 60000, -EIO, "killed by signal 9" },
		{ "", 60000, -EINVAL, "not a JSON object" },
		{ "echo s3cret", 60000, -EINVAL, "not a JSON object" },
		/* It says so and claims to have succeeded. */
		{ "echo credentials not found", 60000, -EINVAL, "not a JSON" },
		{ "echo '[\"s3cret\"]'", 60000, -EINVAL, "Username and Secret" },
		{ "echo '{\"Username\":\"u\"}'", 60000, -EINVAL, "and Secret" },
		{ "echo '{\"Secret\":\"s3cret\"}'", 60000, -EINVAL, "Username" },
		{ "echo '{\"Username\":1,\"Secret\":\"s3cret\"}'", 60000, -EINVAL,
		    "Username" },
		{ "echo '{\"Username\":\"u\",\"Secret\":\"s3cret\"} s3cret'", 60000,
		    -EINVAL, "JSON" },
		{ "printf '{\"Username\":\"%0256d\",\"Secret\":\"s3cret\"}'", 60000,
		    -EINVAL, "too long" },
		{ "printf '{\"Username\":\"s3cret\",\"Secret\":\"%08192d\"}'", 60000,
		    -EINVAL, "too long" },
		{ "while :; do echo s3crets3crets3crets3cret; done", 60000,
		    -EFBIG, "more than 64 KiB" },
		{ "head -c 65537 /dev/zero", 60000, -EFBIG, "64 KiB" },
		{ "exec sleep 60", 300, -ETIMEDOUT, "no answer within 0.3 s" },
		{ "echo '{'; exec sleep 60", 300, -ETIMEDOUT, "no answer" },
		{ "exec >&-; exec sleep 60", 300, -ETIMEDOUT, "no answer" },
		{ "trap '' INT TERM HUP; sleep 9 2>&-; sleep 9", 300, -ETIMEDOUT,
		    "no answer" },
		{ OK, 0, -ETIMEDOUT, "no answer" },
	};
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t started = monotonic_ms();

		assert_case(run(rows[i].body, rows[i].timeout_ms, &auth, err) ==
		    rows[i].error, i, rows[i].body);
		if (strstr(err, rows[i].says) == NULL ||
		    strstr(err, "docker-credential-t: ") != err ||
		    strchr(err, '\n') != NULL || strstr(err, "s3cret") != NULL)
			fail_msg("%s: says: %s", rows[i].body, err);
		assert_false(registry_auth_given(&auth));
		assert_string_equal(auth.secret, "");
		assert_true(monotonic_ms() - started < 50000);
	}
}

/* Only a program of an absolute directory of PATH, by a plain name, is run. */
static void
programs(void **state)
{
	static const char *const bad[] = { "", "/", "a/b", "../t", "./t", "t t",
		"t;t", "t\n", "$t", "\xc3\xa9", "t*" };
	static const struct { const char *name, *path; } absent[] = {
		{ "absent", NULL }, { "directory", NULL }, { "plain", NULL },
		{ "t", "" }, { "t", ":." }, { "t", "." }, { "t", "/nonexistent" },
		{ "t", ":/usr/bin::" },
	};
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX], path[256];
	size_t i;

	(void)state;
	put_helper("t", OK);
	put_helper("t_1.x-Y", OK);
	put_helper("plain", OK);
	assert_int_equal(fchmodat(dir.fd, "docker-credential-plain", 0644, 0), 0);
	assert_int_equal(mkdirat(dir.fd, "docker-credential-directory", 0755), 0);
	assert_int_equal(fchdir(dir.fd), 0);
	strcpy(path, getenv("PATH"));
	assert_int_equal(credential_helper_get("t_1.x-Y", "k", 60000, &auth,
	    err), 0);
	assert_string_equal(auth.secret, "s3cret");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_case(credential_helper_get(bad[i], "k", 60000, &auth,
		    err) == -EINVAL, i, bad[i]);
		assert_non_null(strstr(err, "cannot be a credential helper"));
		assert_null(strchr(err, '\n'));
		assert_false(registry_auth_given(&auth));
	}
	for (i = 0; i < ARRAY_SIZE(absent); i++) {
		setenv("PATH", absent[i].path != NULL ? absent[i].path : path, 1);
		assert_case(credential_helper_get(absent[i].name, "k", 60000,
		    &auth, err) == -ENOENT, i, absent[i].name);
		assert_non_null(strstr(err, "not in PATH"));
	}
	unsetenv("PATH");
	assert_int_equal(credential_helper_get("t", "k", 60000, &auth, err),
	    -ENOENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, begin, end),
		cmocka_unit_test_setup_teardown(failures, begin, end),
		cmocka_unit_test_setup_teardown(programs, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
