/* Names of images in registries: what they mean, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/reference.h"
#include "privsep/check.h"
#include "privsep/util.h"

#define SHA "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void
meanings(void **state)
{
	static const struct { const char *given, *text, *name; } good[] = {
		{ "debian", "docker.io/library/debian:latest", "debian" },
		{ "debian:bookworm", "docker.io/library/debian:bookworm",
		    "debian-bookworm" },
		{ "a/b", "docker.io/a/b:latest", "b" },
		{ "docker.io/debian", "docker.io/library/debian:latest", "debian" },
		{ "index.docker.io/a/b", "docker.io/a/b:latest", "b" },
		{ "ghcr.io/a/b@" SHA, "ghcr.io/a/b@" SHA, "b-0123456789ab" },
		{ "ghcr.io/a/b:1@" SHA, "ghcr.io/a/b@" SHA, "b-0123456789ab" },
		{ "localhost/x", "localhost/x:latest", "x" },
		{ "localhost:5000/x", "localhost:5000/x:latest", "x" },
		{ "127.0.0.1:5000/x:Tag_1.2-3", "127.0.0.1:5000/x:Tag_1.2-3",
		    "x-tag_1.2-3" },
		{ "[::1]:5000/x", "[::1]:5000/x:latest", "x" },
		{ "[fe80::1]/x", "[fe80::1]/x:latest", "x" },
		{ "r.io/a.b/c_d/e__f/g--h", "r.io/a.b/c_d/e__f/g--h:latest", "g--h" },
	};
	char text[REFERENCE_BYTES], name[64];
	struct reference ref;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		if (reference_parse(good[i].given, &ref) < 0)
			fail_msg("%s: refused", good[i].given);
		reference_text(&ref, text);
		assert_string_equal(text, good[i].text);
		reference_name(&ref, name, sizeof(name));
		assert_string_equal(name, good[i].name);
		assert_int_equal(check_object_name(name), 0);
		/* The one form means itself. */
		assert_int_equal(reference_parse(text, &ref), 0);
		reference_text(&ref, text);
		assert_string_equal(text, good[i].text);
	}
}

static void
none(void **state)
{
	static const char *const bad[] = {
		"", ":", "@", "/", "a/", "/a", "a//b", "a:", "a:.x", "a:-x", "a:x y",
		"A", "a/B", "-a", "a-", "a_", "a..b", "a___b", "a/../b", "../a", ".",
		"a@", "a@sha256:", "a@sha512:00", "a@" SHA "0", "a b", "a\nb",
		"host:/a", "host:x/a", "host:123456/a", ":5000/a", "-h.io/a",
		"h-.io./a", "[::1/a", "[x]/a", "[::1]x/a", "http://r.io/a",
		"r.io/a?x", "r.io/a#x", "u@r.io/a", "r.io/a:b:c",
	};
	struct reference ref;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (reference_parse(bad[i], &ref) == 0)
			fail_msg("\"%s\" is taken", bad[i]);
}

/* The longest of each, and one more. */
static void
lengths(void **state)
{
	char text[2 * REFERENCE_BYTES], name[64];
	struct reference ref;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[REFERENCE_PATH - sizeof("library/")] = '\0';
	assert_int_equal(reference_parse(text, &ref), 0);
	reference_name(&ref, name, sizeof(name));
	assert_int_equal(strlen(name), 63);
	memset(text, 'a', sizeof(text));
	text[REFERENCE_PATH] = '\0';
	assert_int_equal(reference_parse(text, &ref), -EINVAL);
	memset(text, 'b', sizeof(text));
	text[1] = ':';
	text[2 + REFERENCE_TAG - 1] = '\0';
	assert_int_equal(reference_parse(text, &ref), 0);
	reference_name(&ref, name, sizeof(name));
	assert_int_equal(check_object_name(name), 0);
	text[2 + REFERENCE_TAG - 1] = 'b';
	text[2 + REFERENCE_TAG] = '\0';
	assert_int_equal(reference_parse(text, &ref), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(meanings),
		cmocka_unit_test(none),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
