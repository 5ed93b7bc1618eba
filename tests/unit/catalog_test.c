/* Catalogues: what one says, what is none, and that the one built in is one. */
#include "unit.h"

#include <errno.h>

#include "base/buf.h"
#include "client/catalog.h"
#include "client/catalog_builtin.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FILE_OF(name) "{\"name\":\"" name "\",\"url\":\"https://a.test/k.deb\"," \
	"\"size\":9,\"sha256\":\"" SHA "\"}"
#define OF(images, kernels) "{\"version\":1,\"images\":[" images \
	"],\"kernels\":[" kernels "]}"
#define BOX "{\"name\":\"box\",\"reference\":\"debian:bookworm\"}"
#define KERNEL(members) OF("", "{\"name\":\"k\"," members "}")

static char err[256];

static int
parse(const char *text, struct catalog *catalog)
{
	err[0] = '\0';
	return catalog_parse(text, strlen(text), catalog, err, sizeof(err));
}

static void
entries(void **state)
{
	static const char text[] = " " OF(BOX "," FILE_OF("file") ",{\"default\":true,"
	    "\"name\":\"z\",\"reference\":\"r.test/a@sha256:" SHA "\"}",
	    FILE_OF("a-1.2_3")) "\n";
	struct catalog catalog;
	struct catalog_entry entry;

	(void)state;
	assert_int_equal(parse(text, &catalog), 0);
	assert_int_equal(cJSON_GetArraySize(catalog.images), 3);
	assert_int_equal(catalog_find(catalog.images, "box", &entry), 0);
	assert_string_equal(entry.reference, "debian:bookworm");
	assert_null(entry.url);
	assert_false(entry.is_default);
	assert_int_equal(catalog_find(catalog.images, "file", &entry), 0);
	assert_null(entry.reference);
	assert_string_equal(entry.url, "https://a.test/k.deb");
	assert_int_equal(entry.size_bytes, 9);
	assert_string_equal(entry.sha256, SHA);
	assert_int_equal(catalog_find(catalog.images, "default", &entry), 0);
	assert_string_equal(entry.name, "z");
	assert_true(entry.is_default);
	assert_int_equal(catalog_find(catalog.kernels, "a-1.2_3", &entry), 0);
	assert_int_equal(catalog_find(catalog.kernels, "default", &entry),
	    -ENOENT);
	assert_int_equal(catalog_find(catalog.kernels, "box", &entry), -ENOENT);
	assert_int_equal(catalog_find(catalog.images, "", &entry), -ENOENT);
	catalog_close(&catalog);
}

static void
refused(void **state)
{
	static const struct { const char *text, *why; } bad[] = {
		{ "", "JSON" }, { "[]", "JSON" }, { "{", "JSON" },
		{ "{}", "version" }, { "{} {}", "JSON" },
		{ "{\"version\":1}", "images" },
		{ "{\"version\":1,\"images\":[]}", "kernels" },
		{ "{\"version\":2,\"images\":[],\"kernels\":[]}", "version" },
		{ "{\"version\":\"1\",\"images\":[],\"kernels\":[]}", "version" },
		{ "{\"version\":1,\"version\":1,\"images\":[],\"kernels\":[]}",
		    "twice" },
		{ "{\"version\":1,\"images\":{},\"kernels\":[]}", "array" },
		{ "{\"version\":1,\"images\":[1],\"kernels\":[]}", "objects" },
		{ "{\"version\":1,\"images\":[],\"kernels\":[],\"more\":1}",
		    "unknown" },
		{ OF("{}", ""), "image 1: member \"name\"" },
		{ OF(BOX ",{}", ""), "image 2: member \"name\"" },
		{ OF(BOX "," BOX, ""), "twice" },
		{ OF("{\"name\":\"box\"}", ""), "neither" },
		{ OF("{\"name\":\"\",\"reference\":\"a\"}", ""), "name" },
		{ OF("{\"name\":\"../a\",\"reference\":\"a\"}", ""), "name" },
		{ OF("{\"name\":\"A\",\"reference\":\"a\"}", ""), "name" },
		{ OF("{\"name\":\"a\\u001b\",\"reference\":\"a\"}", ""), "name" },
		{ OF("{\"name\":\"a\\u0000\",\"reference\":\"a\"}", ""), "JSON" },
		{ OF("{\"name\":\"a\",\"reference\":\"A B\"}", ""), "reference" },
		{ OF("{\"name\":\"a\",\"reference\":\"\"}", ""), "reference" },
		{ OF("{\"name\":\"a\",\"reference\":\"a\",\"size\":1}", ""),
		    "reference" },
		{ OF("{\"name\":\"a\",\"reference\":\"a\",\"url\":\"x\"}", ""),
		    "reference" },
		{ OF("{\"name\":\"a\",\"name\":\"a\",\"reference\":\"a\"}", ""),
		    "twice" },
		{ OF("{\"name\":\"a\",\"reference\":\"a\",\"run\":\"x\"}", ""),
		    "unknown" },
		{ OF("{\"name\":\"default\",\"reference\":\"a\"}", ""),
		    "default" },
		{ OF("{\"name\":\"a\",\"reference\":\"a\",\"default\":true},"
		    "{\"name\":\"b\",\"reference\":\"b\",\"default\":true}", ""),
		    "second default" },
		{ OF("", BOX), "kernel 1: a kernel has no reference" },
		{ KERNEL("\"url\":\"https://a/b\",\"size\":1"), "missing" },
		{ KERNEL("\"url\":\"https://a/b\",\"sha256\":\"" SHA "\""),
		    "missing" },
		{ KERNEL("\"size\":1,\"sha256\":\"" SHA "\""), "missing" },
		{ KERNEL("\"url\":\"https://a/b\",\"size\":0,\"sha256\":\"" SHA
		    "\""), "small" },
		{ KERNEL("\"url\":\"https://a/b\",\"size\":-1,\"sha256\":\"" SHA
		    "\""), "whole" },
		{ KERNEL("\"url\":\"https://a/b\",\"size\":1.5,\"sha256\":\"" SHA
		    "\""), "whole" },
		{ KERNEL("\"url\":\"https://a/b\",\"size\":68719476737,"
		    "\"sha256\":\"" SHA "\""), "large" },
		{ KERNEL("\"url\":\"https://a/b\",\"size\":1,\"sha256\":\"00\""),
		    "sha256" },
		{ KERNEL("\"url\":\"https://a/b\",\"size\":1,\"sha256\":\"" SHA
		    "0\""), "sha256" },
		{ KERNEL("\"url\":\"https://a/b\",\"size\":1,\"sha256\":"
		    "\"sha256:" SHA "\""), "sha256" },
	};
	static const char *const urls[] = { "", "a", "/etc/passwd", "ftp://a/b",
		"file:///etc/passwd", "https://", "https:///a", "https://a",
		"https://u@a/b", "https://u:p@a/b", "https://a/b#c",
		"https://a b/c", "https://a/b c", "https://a\\\\@b/c",
		"https://-a/b", "https://.a/b", "https://a/%\\u00e9",
		"HTTPS://a/b", "https://a%2fb/c", "https://a/\\n" };
	struct catalog catalog;
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_case(parse(bad[i].text, &catalog) == -EBADMSG, i,
		    bad[i].text);
		if (strstr(err, bad[i].why) == NULL)
			fail_msg("%s: says: %s", bad[i].text, err);
	}
	for (i = 0; i < ARRAY_SIZE(urls); i++) {
		snprintf(text, sizeof(text), KERNEL("\"url\":\"%s\",\"size\":1,"
		    "\"sha256\":\"" SHA "\""), urls[i]);
		assert_case(parse(text, &catalog) == -EBADMSG, i, urls[i]);
		assert_case(strstr(err, "url") != NULL, i, err);
	}
}

static void
long_ones(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT(CATALOG_BYTES_MAX);
	struct catalog catalog;
	int i, count;

	(void)state;
	for (count = CATALOG_ENTRIES_MAX; count <= CATALOG_ENTRIES_MAX + 1;
	    count++) {
		buf_clear(&text);
		buf_puts(&text, "{\"version\":1,\"kernels\":[],\"images\":[");
		for (i = 0; i < count; i++)
			buf_printf(&text, "%s{\"name\":\"n%d\",\"reference\":"
			    "\"a\"}", i > 0 ? "," : "", i);
		buf_puts(&text, "]}");
		buf_append(&text, "", 1);
		assert_false(text.failed);
		if (count > CATALOG_ENTRIES_MAX) {
			assert_int_equal(parse(text.data, &catalog), -EBADMSG);
			assert_non_null(strstr(err, "more than"));
			continue;
		}
		assert_int_equal(parse(text.data, &catalog), 0);
		catalog_close(&catalog);
	}
}

/* What `banger vm run` takes when nothing is here: privsep/config.c's names. */
static void
built_in(void **state)
{
	struct catalog catalog;
	struct catalog_entry entry;

	(void)state;
	if (parse(BANGER_CATALOG, &catalog) < 0)
		fail_msg("%s", err);
	assert_int_equal(catalog_find(catalog.images, "debian-bookworm",
	    &entry), 0);
	assert_true(entry.is_default);
	assert_int_equal(catalog_find(catalog.kernels, "default", &entry), 0);
	catalog_close(&catalog);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries),
		cmocka_unit_test(refused),
		cmocka_unit_test(long_ones),
		cmocka_unit_test(built_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
