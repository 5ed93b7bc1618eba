/*
 * Which proxy the environment names.
 */
#include "unit.h"

#include "client/proxy.h"

static const char *const names[] = { "http_proxy", "HTTP_PROXY", "https_proxy",
	"HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY" };

static int
clean_environment(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	return 0;
}

/* Sets the NAME=VALUE words of ENVIRONMENT. */
static void
set_environment(const char *environment)
{
	char copy[256], *word, *rest = copy;

	(void)clean_environment(NULL);
	assert_int_equal(format(copy, sizeof(copy), "%s", environment), 0);
	while ((word = strsep(&rest, " ")) != NULL) {
		char *value = strchr(word, '=');

		if (value == NULL)
			continue;
		*value++ = '\0';
		assert_int_equal(setenv(word, value, 1), 0);
	}
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
found(void **state)
{
	static const struct {
		const char *environment, *http, *https, *no_proxy;
	} rows[] = {
		{ "", NULL, NULL, NULL },
		{ "https_proxy=http://a:1", NULL, "http://a:1", NULL },
		{ "HTTPS_PROXY=http://a:1", NULL, "http://a:1", NULL },
		{ "https_proxy=http://a HTTPS_PROXY=http://b", NULL, "http://a",
		    NULL },
		{ "https_proxy= HTTPS_PROXY=http://b", NULL, "http://b", NULL },
		{ "http_proxy=http://a:1", "http://a:1", NULL, NULL },
		/* CVE-2016-5385. */
		{ "HTTP_PROXY=http://evil", NULL, NULL, NULL },
		{ "HTTP_PROXY=http://evil all_proxy=http://a", "http://a",
		    "http://a", NULL },
		{ "all_proxy=http://a", "http://a", "http://a", NULL },
		{ "ALL_PROXY=http://a", "http://a", "http://a", NULL },
		{ "all_proxy=http://a ALL_PROXY=http://b http_proxy=http://c",
		    "http://c", "http://a", NULL },
		{ "https_proxy= all_proxy=", NULL, NULL, NULL },
		{ "https_proxy=HTTPS://u:p@a:1/", NULL, "HTTPS://u:p@a:1/",
		    NULL },
		{ "https_proxy=a:3128", NULL, "a:3128", NULL },
		{ "no_proxy=a,b NO_PROXY=c", NULL, NULL, "a,b" },
		{ "no_proxy= NO_PROXY=c", NULL, NULL, "c" },
		{ "no_proxy=* https_proxy=http://a", NULL, "http://a", "*" },
		{ "http_proxy=http://a https_proxy=http://b no_proxy=",
		    "http://a", "http://b", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *proxy = "x", *no_proxy = "x";
		char err[API_TEXT_MAX] = "";

		set_environment(rows[i].environment);
		assert_int_equal(proxy_find(false, &proxy, &no_proxy, err), 0);
		assert_case(same(proxy, rows[i].http), i, rows[i].environment);
		assert_case(same(no_proxy, rows[i].no_proxy), i,
		    rows[i].environment);
		proxy = no_proxy = "x";
		assert_int_equal(proxy_find(true, &proxy, &no_proxy, err), 0);
		assert_case(same(proxy, rows[i].https), i, rows[i].environment);
		assert_case(same(no_proxy, rows[i].no_proxy), i,
		    rows[i].environment);
		assert_string_equal(err, "");
	}
}

static void
refused(void **state)
{
	static const struct { const char *environment; bool https; const char *name; } rows[] = {
		{ "https_proxy=socks5://u:secret@a", true, "https_proxy: " },
		{ "ALL_PROXY=socks5h://u:secret@a", false, "ALL_PROXY: " },
		{ "http_proxy=ftp://secret", false, "http_proxy: " },
		{ "https_proxy=://secret", true, "https_proxy: " },
		{ "https_proxy=xhttp://secret", true, "https_proxy: " },
		{ "HTTPS_PROXY=u:secret@a/?http://", true, "HTTPS_PROXY: " },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *proxy = "x", *no_proxy = "x";
		char err[API_TEXT_MAX] = "";

		set_environment(rows[i].environment);
		assert_case(proxy_find(rows[i].https, &proxy, &no_proxy, err) ==
		    -EPROTONOSUPPORT, i, rows[i].environment);
		if (strstr(err, rows[i].name) != err ||
		    strstr(err, "neither http:// nor https://") == NULL)
			fail_msg("%s: says: %s", rows[i].environment, err);
		assert_null(strstr(err, "secret"));
		assert_null(strchr(err, '\n'));
		assert_string_equal(proxy, "x");
		assert_string_equal(no_proxy, "x");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(found, clean_environment,
		    clean_environment),
		cmocka_unit_test_setup_teardown(refused, clean_environment,
		    clean_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
