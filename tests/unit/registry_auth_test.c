/*
 * What is found in the files of docker login and podman login, and which files
 * are refused.
 */
#include "unit.h"

#include <mbedtls/base64.h>

#include "client/registry_auth.h"

#define USER_PASS "dXNlcjpwYXNz"		/* user:pass */
#define OTHER "b3RoZXI6d29yZA=="		/* other:word */

static const char *const variables[] = { "DOCKER_CONFIG", "HOME",
	"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR" };
static struct temp dir;
static unsigned int fds;

static int
begin(void **state)
{
	char path[256];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	begin_temp(&dir);
	assert_int_equal(format(path, sizeof(path), "%s:/usr/bin:/bin",
	    dir.path), 0);
	setenv("PATH", path, 1);
	fds = count_fds();
	return 0;
}

static int
end(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(count_fds(), fds);
	for (i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	setenv("PATH", "/usr/bin:/bin", 1);
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

static void
put_text(const char *name, const char *text)
{
	put_file(dir.fd, name, text, strlen(text));
}

/* Looks for HOST; OUT and ERR hold something before. */
static int
find(const char *host, struct registry_auth *out, char err[API_TEXT_MAX])
{
	*out = (struct registry_auth){ .user = "old", .secret = "old",
		.token = true };
	err[0] = '\0';
	return registry_auth_find(host, out, err);
}

static void
files(void **state)
{
	static const struct {
		const char *host, *text, *user, *secret;
		bool token;
	} rows[] = {
		/* Docker Hub. */
		{ "docker.io", "{\"auths\":{\"https://index.docker.io/v1/\":"
		    "{\"auth\":\"" USER_PASS "\"}}}", "user", "pass", false },
		{ "docker.io", "{\"auths\":{\"docker.io\":{\"auth\":\"" USER_PASS
		    "\"}}}", "user", "pass", false },
		{ "docker.io", "{\"auths\":{\"index.docker.io\":{\"auth\":\""
		    USER_PASS "\"}}}", "user", "pass", false },
		{ "docker.io", "{\"auths\":{\"registry-1.docker.io\":{\"auth\":\""
		    USER_PASS "\"}}}", "user", "pass", false },
		{ "docker.io", "{\"auths\":{\"https://docker.io\":{\"auth\":\""
		    USER_PASS "\"}}}", "", "", false },
		/* Others. */
		{ "localhost:5000", "{\"auths\":{\"localhost:5000\":{\"auth\":\""
		    USER_PASS "\"}}}", "user", "pass", false },
		{ "r.test", "{\"auths\":{\"https://r.test\":{\"auth\":\""
		    USER_PASS "\"}}}", "user", "pass", false },
		{ "r.test", "{\"auths\":{\"https://r.test/\":{\"auth\":\""
		    USER_PASS "\"}}}", "user", "pass", false },
		{ "r.test", "{\"auths\":{\"https://r.test/v1/\":{\"auth\":\""
		    USER_PASS "\"}}}", "user", "pass", false },
		{ "r.test", "{\"auths\":{\"https://r.test/v2/\":{\"auth\":\""
		    USER_PASS "\"}}}", "user", "pass", false },
		{ "r.test", "{\"auths\":{\"https://r.test/\":{\"auth\":\"" OTHER
		    "\"},\"r.test\":{\"auth\":\"" USER_PASS "\"}}}", "user", "pass",
		    false },
		{ "r.test", "{\"auths\":{\"r.test\":{},\"https://r.test\":{\"auth\":"
		    "\"" OTHER "\"}}}", "other", "word", false },
		/* Not for this host. */
		{ "r.test", "{\"auths\":{\"http://r.test\":{\"auth\":\"" OTHER
		    "\"},\"xr.test\":{\"auth\":\"" OTHER "\"},\"r.test:443\":"
		    "{\"auth\":\"" OTHER "\"},\"R.test\":{\"auth\":\"" OTHER
		    "\"},\"r.test/a\":{\"auth\":\"" OTHER "\"},\"\":{\"auth\":\""
		    OTHER "\"}}}", "", "", false },
		{ "r.test:5000", "{\"auths\":{\"r.test\":{\"auth\":\"" OTHER
		    "\"}}}", "", "", false },
		/* What is malformed for others is theirs. */
		{ "r.test", "{\"auths\":{\"a.test\":{\"auth\":\"!\"},\"b.test\":1,"
		    "\"r.test\":{\"auth\":\"" USER_PASS "\"}}}", "user", "pass",
		    false },
		/* Passwords. */
		{ "r.test", "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjpwYTpzcw==\"}}}",
		    "user", "pa:ss", false },
		{ "r.test", "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjo=\"}}}",
		    "user", "", false },
		{ "r.test", "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjpwYXNzAAA=\"}}}",
		    "user", "pass", false },
		{ "r.test", "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjpww6Rzcw==\"}}}",
		    "user", "p\xc3\xa4ss", false },
		/* Tokens: what is beside one is no password. */
		{ "r.test", "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjo=\","
		    "\"identitytoken\":\"t0ken\"}}}", "", "t0ken", true },
		{ "r.test", "{\"auths\":{\"r.test\":{\"identitytoken\":\"t0ken\"}}}",
		    "", "t0ken", true },
		{ "r.test", "{\"auths\":{\"r.test\":{\"auth\":\"" USER_PASS "\","
		    "\"identitytoken\":\"\"}}}", "user", "pass", false },
		/* Nothing. */
		{ "r.test", "", "", "", false },
		{ "r.test", "{}", "", "", false },
		{ "r.test", " {\"auths\":{}}\n", "", "", false },
		{ "r.test", "{\"auths\":null,\"credHelpers\":null,\"credsStore\":"
		    "null}", "", "", false },
		{ "r.test", "{\"auths\":{\"r.test\":null}}", "", "", false },
		{ "r.test", "{\"auths\":{\"r.test\":{\"auth\":\"\"}}}", "", "",
		    false },
		{ "r.test", "{\"auths\":{\"r.test\":{\"auth\":null,"
		    "\"identitytoken\":null,\"email\":5}}}", "", "", false },
		/* Other members are somebody else's. */
		{ "r.test", "{\"HttpHeaders\":{\"a\":[1]},\"psFormat\":\"x\","
		    "\"credsStore\":\"\",\"auths\":{\"r.test\":{\"auth\":\""
		    USER_PASS "\"}}}", "user", "pass", false },
		/* A helper of another host; none for this one. */
		{ "r.test", "{\"credHelpers\":{\"a.test\":\"absent\"},\"auths\":"
		    "{\"r.test\":{\"auth\":\"" USER_PASS "\"}}}", "user", "pass",
		    false },
		{ "r.test", "{\"credsStore\":\"absent\",\"credHelpers\":{\"r.test\":"
		    "\"\"},\"auths\":{\"r.test\":{\"auth\":\"" USER_PASS "\"}}}",
		    "user", "pass", false },
	};
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX];
	size_t i;

	(void)state;
	setenv("DOCKER_CONFIG", dir.path, 1);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		put_text("config.json", rows[i].text);
		if (find(rows[i].host, &auth, err) != 0)
			fail_msg("%s: says: %s", rows[i].text, err);
		assert_case(strcmp(auth.user, rows[i].user) == 0, i, auth.user);
		assert_case(strcmp(auth.secret, rows[i].secret) == 0, i,
		    auth.secret);
		assert_case(auth.token == rows[i].token, i, rows[i].text);
		assert_string_equal(err, "");
	}
}

static void
malformed(void **state)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "{", "not a JSON object" },
		{ "[]", "not a JSON object" },
		{ "\"s3cret\"", "not a JSON object" },
		{ "{} s3cret", "not a JSON object" },
		{ "{\"auths\":{\"\xff\":{}}}", "not a JSON object" },
		{ "{\"x\":[[[[[[[[1]]]]]]]]}", "not a JSON object" },
		{ "{\"auths\":[]}", "auths is not an object" },
		{ "{\"auths\":\"s3cret\"}", "auths is not an object" },
		{ "{\"auths\":{\"r.test\":\"s3cret\"}}", "\"r.test\"" },
		{ "{\"auths\":{\"r.test\":[\"s3cret\"]}}", "\"r.test\"" },
		{ "{\"auths\":{\"r.test\":{\"auth\":1}}}", "\"r.test\"" },
		{ "{\"auths\":{\"https://r.test/v1/\":{\"identitytoken\":{}}}}",
		    "\"https://r.test/v1/\"" },
		/* s3cret, not base64; padding; user; :pass; a NUL inside. */
		{ "{\"auths\":{\"r.test\":{\"auth\":\"s3cret:\"}}}", "base64" },
		{ "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjpwYXM\"}}}", "base64" },
		{ "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcg==\"}}}", "base64" },
		{ "{\"auths\":{\"r.test\":{\"auth\":\"OnBhc3M=\"}}}", "base64" },
		{ "{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjpwYQBzcw==\"}}}", "base64" },
		{ "{\"auths\":{\"r.test\":{\"auth\":\"AAA=\"}}}", "base64" },
		{ "{\"credsStore\":1}", "credsStore" },
		{ "{\"credHelpers\":\"x\"}", "credHelpers" },
		{ "{\"credHelpers\":{\"r.test\":[]}}", "credHelpers" },
		/* Malformed beats what would be found further on. */
		{ "{\"auths\":{\"r.test\":{\"auth\":\"!\"},\"https://r.test\":"
		    "{\"auth\":\"" USER_PASS "\"}}}", "base64" },
	};
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX];
	size_t i;

	(void)state;
	setenv("DOCKER_CONFIG", dir.path, 1);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		put_text("config.json", rows[i].text);
		assert_case(find("r.test", &auth, err) == -EINVAL, i,
		    rows[i].text);
		if (strstr(err, rows[i].says) == NULL ||
		    strstr(err, in_dir("config.json")) != err ||
		    strchr(err, '\n') != NULL || strstr(err, "s3cret") != NULL)
			fail_msg("%s: says: %s", rows[i].text, err);
		assert_false(registry_auth_given(&auth));
		assert_string_equal(auth.secret, "");
	}
}

/* A user or a secret as long as may be, and one byte longer. */
static void
lengths(void **state)
{
	static const struct { size_t user, secret; int r; } rows[] = {
		{ REGISTRY_USER - 1, REGISTRY_SECRET - 1, 0 },
		{ REGISTRY_USER, 1, -EINVAL },
		{ 1, REGISTRY_SECRET, -EINVAL },
		{ REGISTRY_USER, REGISTRY_SECRET, -EINVAL },
		{ 3 * REGISTRY_USER, 3 * REGISTRY_SECRET, -EINVAL },
	};
	static char plain[4 * REGISTRY_SECRET], auth64[8 * REGISTRY_SECRET];
	static char text[9 * REGISTRY_SECRET];
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX];
	size_t i, len;

	(void)state;
	setenv("DOCKER_CONFIG", dir.path, 1);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(plain, 'u', rows[i].user);
		plain[rows[i].user] = ':';
		memset(plain + rows[i].user + 1, 's', rows[i].secret);
		assert_int_equal(mbedtls_base64_encode((unsigned char *)auth64,
		    sizeof(auth64), &len, (unsigned char *)plain,
		    rows[i].user + 1 + rows[i].secret), 0);
		assert_int_equal(format(text, sizeof(text),
		    "{\"auths\":{\"r.test\":{\"auth\":\"%s\"}}}", auth64), 0);
		put_text("config.json", text);
		assert_case(find("r.test", &auth, err) == rows[i].r, i, "auth");
		assert_int_equal(strlen(auth.user), rows[i].r == 0 ?
		    rows[i].user : 0);
		assert_int_equal(strlen(auth.secret), rows[i].r == 0 ?
		    rows[i].secret : 0);
		assert_int_equal(format(text, sizeof(text),
		    "{\"auths\":{\"r.test\":{\"identitytoken\":\"%.*s\"}}}",
		    (int)rows[i].secret, plain + rows[i].user + 1), 0);
		put_text("config.json", text);
		assert_case(find("r.test", &auth, err) ==
		    (rows[i].secret < REGISTRY_SECRET ? 0 : -EINVAL), i, "token");
		assert_int_equal(strlen(auth.secret), rows[i].secret <
		    REGISTRY_SECRET ? rows[i].secret : 0);
	}
}

/* Docker's file, then podman's; a variable that names one replaces the usual. */
static void
places(void **state)
{
	static const struct {
		const char *docker, *home, *file, *run;	/* below dir */
		const char *user;
	} rows[] = {
		{ NULL, NULL, NULL, NULL, "" },
		{ "", "", "", "", "" },
		{ "d", "h", "f/auth", "r", "d" },
		{ "d", NULL, NULL, NULL, "d" },
		{ NULL, "h", "f/auth", "r", "h" },
		{ "", "h", NULL, NULL, "h" },
		{ NULL, NULL, "f/auth", "r", "f" },
		{ NULL, NULL, NULL, "r", "r" },
		{ NULL, NULL, "", "r", "r" },
		/* The first file is there and has nothing for the host. */
		{ "none", "h", "f/auth", "r", "f" },
		{ "none", NULL, NULL, "r", "r" },
		/* It is not there, or nothing like a file is. */
		{ "absent", "h", "f/auth", "r", "f" },
		{ "absent", "h", NULL, NULL, "" },
		{ "f/auth", NULL, NULL, "r", "r" },
		{ NULL, "absent", NULL, "r", "r" },
		{ NULL, NULL, "absent", "r", "" },
		{ NULL, NULL, NULL, "absent", "" },
	};
	static const struct { const char *name, *auth; } made[] = {
		{ "d/config.json", "ZDp4" },
		{ "h/.docker/config.json", "aDp4" },
		{ "f/auth", "Zjp4" },
		{ "r/containers/auth.json", "cjp4" },
	};
	static const char *const dirs[] = { "d", "h", "h/.docker", "f", "r",
		"r/containers", "none" };
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX], text[256];
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdirat(dir.fd, dirs[i], 0755), 0);
	for (i = 0; i < ARRAY_SIZE(made); i++) {
		assert_int_equal(format(text, sizeof(text),
		    "{\"auths\":{\"r.test\":{\"auth\":\"%s\"}}}", made[i].auth),
		    0);
		put_text(made[i].name, text);
	}
	put_text("none/config.json", "{\"auths\":{\"a.test\":{}}}");
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *values[] = { rows[i].docker, rows[i].home,
			rows[i].file, rows[i].run };

		for (j = 0; j < ARRAY_SIZE(values); j++)
			if (values[j] == NULL)
				unsetenv(variables[j]);
			else
				setenv(variables[j], values[j][0] == '\0' ? "" :
				    in_dir(values[j]), 1);
		assert_case(find("r.test", &auth, err) == 0, i, err);
		assert_case(strcmp(auth.user, rows[i].user) == 0, i, auth.user);
	}
	/* What comes after the one that has something is not looked at. */
	put_text("f/auth", "{");
	setenv("DOCKER_CONFIG", in_dir("d"), 1);
	setenv("REGISTRY_AUTH_FILE", in_dir("f/auth"), 1);
	assert_int_equal(find("r.test", &auth, err), 0);
	assert_string_equal(auth.user, "d");
	assert_int_equal(find("o.test", &auth, err), -EINVAL);
}

/* Files that others may have written, or that are no files of text. */
static void
refused(void **state)
{
	static const struct { unsigned int mode; int r; } modes[] = {
		{ 0600, 0 }, { 0400, 0 }, { 0644, 0 }, { 0755, 0 },
		{ 0620, -EPERM }, { 0602, -EPERM }, { 0664, -EPERM },
		{ 0666, -EPERM },
	};
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX];
	static char longest[8192];
	const char *file;
	size_t i;

	(void)state;
	setenv("REGISTRY_AUTH_FILE", in_dir("auth"), 1);
	file = getenv("REGISTRY_AUTH_FILE");
	put_text("auth", "{\"auths\":{\"r.test\":{\"auth\":\"" USER_PASS "\"}}}");
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(chmod(file, modes[i].mode), 0);
		assert_case(find("r.test", &auth, err) == modes[i].r, i, err);
		assert_int_equal(registry_auth_given(&auth), modes[i].r == 0);
		if (modes[i].r < 0)
			assert_non_null(strstr(err, "others may write"));
		assert_case(modes[i].r == 0 || strstr(err, file) == err, i, err);
	}
	/* Spaces behind the object: 1 MiB, and a byte more. */
	assert_int_equal(chmod(file, 0600), 0);
	for (i = 0; i < 2; i++) {
		static char spaces[1024 * 1024 + 1];

		memset(spaces, ' ', sizeof(spaces));
		memcpy(spaces, "{}", 2);
		put_file(dir.fd, "auth", spaces, sizeof(spaces) - 1 + i);
		assert_int_equal(find("r.test", &auth, err), i == 0 ? 0 : -EFBIG);
	}
	assert_non_null(strstr(err, "larger than 1024 KiB"));
	/* /dev/zero says that it has 0 bytes. */
	setenv("REGISTRY_AUTH_FILE", "/dev/zero", 1);
	assert_int_equal(find("r.test", &auth, err), -EINVAL);
	assert_non_null(strstr(err, "/dev/zero: not a regular file"));
	setenv("REGISTRY_AUTH_FILE", dir.path, 1);
	assert_int_equal(find("r.test", &auth, err), -EINVAL);
	assert_int_equal(mkfifoat(dir.fd, "fifo", 0600), 0);
	setenv("REGISTRY_AUTH_FILE", in_dir("fifo"), 1);
	assert_int_equal(find("r.test", &auth, err), -EINVAL);
	assert_int_equal(symlinkat("loop", dir.fd, "loop"), 0);
	setenv("REGISTRY_AUTH_FILE", in_dir("loop"), 1);
	assert_int_equal(find("r.test", &auth, err), -ELOOP);
	memset(longest, 'x', sizeof(longest) - 1);
	setenv("REGISTRY_AUTH_FILE", longest, 1);
	assert_int_equal(find("r.test", &auth, err), -ENAMETOOLONG);
	assert_false(registry_auth_given(&auth));
}

/* Which helper is asked for what; this one has what it is asked for as secret. */
static void
helpers(void **state)
{
	static const char script[] = "#!/bin/sh\nread -r key\n"
	    "case $key in *none*) echo credentials not found; exit 1 ;; "
	    "*bad*) echo s3cret; exit 1 ;; "
	    "*token*) user='<token>' ;; *) user=${0##*-} ;; esac\n"
	    "printf '{\"Username\":\"%s\",\"Secret\":\"%s\"}' \"$user\" \"$key\"\n";
	static const struct {
		const char *host, *text;
		int r;
		const char *user, *secret, *says;
	} rows[] = {
		{ "r.test", "{\"credsStore\":\"a\"}", 0, "a", "r.test", "" },
		{ "docker.io", "{\"credsStore\":\"a\"}", 0, "a",
		    "https://index.docker.io/v1/", "" },
		{ "token.test", "{\"credsStore\":\"a\"}", 0, "", "token.test",
		    "" },
		{ "none.test", "{\"credsStore\":\"a\"}", 0, "", "", "" },
		{ "r.test", "{\"credHelpers\":{\"r.test\":\"b\"},\"credsStore\":"
		    "\"a\"}", 0, "b", "r.test", "" },
		{ "o.test", "{\"credHelpers\":{\"r.test\":\"b\"},\"credsStore\":"
		    "\"a\"}", 0, "a", "o.test", "" },
		{ "docker.io", "{\"credHelpers\":{\"docker.io\":\"b\"}}", 0, "b",
		    "docker.io", "" },
		{ "r.test", "{\"credHelpers\":{\"https://r.test\":\"b\"}}", 0,
		    "b", "https://r.test", "" },
		/* It is asked, whatever the file has, and has the last word. */
		{ "r.test", "{\"credsStore\":\"a\",\"auths\":{\"r.test\":"
		    "{\"auth\":\"" USER_PASS "\"}}}", 0, "a", "r.test", "" },
		{ "none.test", "{\"credsStore\":\"a\",\"auths\":{\"none.test\":"
		    "{\"auth\":\"" USER_PASS "\"}}}", 0, "", "", "" },
		{ "bad.test", "{\"credsStore\":\"a\"}", -EIO, "", "",
		    "docker-credential-a: failed with exit code 1" },
		{ "r.test", "{\"credsStore\":\"absent\"}", -ENOENT, "", "",
		    "docker-credential-absent: not in PATH" },
		{ "r.test", "{\"credsStore\":\"../a\"}", -EINVAL, "", "",
		    "\"../a\" cannot be" },
		{ "r.test", "{\"credHelpers\":{\"r.test\":\"/bin/sh\"}}", -EINVAL,
		    "", "", "\"/bin/sh\" cannot be" },
	};
	struct registry_auth auth _cleanup_auth_ = { 0 };
	char err[API_TEXT_MAX];
	size_t i;

	(void)state;
	put_text("docker-credential-a", script);
	put_text("docker-credential-b", script);
	assert_int_equal(fchmodat(dir.fd, "docker-credential-a", 0755, 0), 0);
	assert_int_equal(fchmodat(dir.fd, "docker-credential-b", 0755, 0), 0);
	setenv("DOCKER_CONFIG", dir.path, 1);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		put_text("config.json", rows[i].text);
		assert_case(find(rows[i].host, &auth, err) == rows[i].r, i, err);
		assert_case(strcmp(auth.user, rows[i].user) == 0, i, auth.user);
		assert_case(strcmp(auth.secret, rows[i].secret) == 0, i,
		    auth.secret);
		assert_int_equal(auth.token, rows[i].user[0] == '\0' &&
		    rows[i].secret[0] != '\0');
		assert_case(strstr(err, rows[i].says) != NULL, i, err);
		assert_case(rows[i].r == 0 ? err[0] == '\0' :
		    strstr(err, in_dir("config.json")) == err, i, err);
		assert_null(strstr(err, "s3cret"));
	}
	/* Without any in the first, the next file is asked. */
	put_text("config.json", "{\"credsStore\":\"a\"}");
	put_text("auth.json", "{\"auths\":{\"none.test\":{\"auth\":\"" OTHER
	    "\"}}}");
	setenv("REGISTRY_AUTH_FILE", in_dir("auth.json"), 1);
	assert_int_equal(find("none.test", &auth, err), 0);
	assert_string_equal(auth.user, "other");
}

/* Nothing is left of a secret in what is cleared or freed. */
static void
wiping(void **state)
{
	static const struct registry_auth empty;
	struct registry_auth auth;

	(void)state;
	memset(&auth, 0, sizeof(auth));
	assert_int_equal(registry_auth_set(&auth, "user", "s3cret", false), 0);
	assert_true(registry_auth_given(&auth));
	/* What was longer before does not shine through. */
	assert_int_equal(registry_auth_set(&auth, "u", "s", false), 0);
	assert_null(memmem(&auth, sizeof(auth), "cret", 4));
	registry_auth_clear(&auth);
	assert_memory_equal(&auth, &empty, sizeof(auth));
	assert_int_equal(registry_auth_set(&auth, "user", "t", true), 0);
	assert_string_equal(auth.user, "");
	assert_true(registry_auth_given(&auth));
	assert_int_equal(registry_auth_set(&auth, "user", "", true), 0);
	assert_memory_equal(&auth, &empty, sizeof(auth));
	assert_int_equal(registry_auth_set(&auth, "", "secret", false), 0);
	assert_memory_equal(&auth, &empty, sizeof(auth));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files, begin, end),
		cmocka_unit_test_setup_teardown(malformed, begin, end),
		cmocka_unit_test_setup_teardown(lengths, begin, end),
		cmocka_unit_test_setup_teardown(places, begin, end),
		cmocka_unit_test_setup_teardown(refused, begin, end),
		cmocka_unit_test_setup_teardown(helpers, begin, end),
		cmocka_unit_test(wiping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
