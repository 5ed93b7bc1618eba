/*
 * What reaches the user's terminal: tables are aligned, and no byte from a
 * guest or a daemon steers it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/show.h"
#include "client/table.h"
#include "client/text.h"
#include "privsep/util.h"

static const struct field fields[] = {
	{ "name", "NAME", FIELD_TEXT },
	{ "id", NULL, FIELD_TEXT },
	{ "vcpu", "VCPU", FIELD_NUMBER },
	{ "memory_mib", "MEMORY", FIELD_MIB },
	{ "disk", "DISK", FIELD_BYTES },
	{ "uptime", NULL, FIELD_SECONDS },
	{ "cpu", NULL, FIELD_MICROSECONDS },
	{ "load", NULL, FIELD_DECIMAL },
	{ "nat", "NAT", FIELD_BOOL },
	{ "created", "AGE", FIELD_AGE },
	{ NULL, NULL, FIELD_TEXT },
};

/* 2026-01-31T09:05:07Z and three hours. */
static const time_t now = 1769850307 + 3 * 3600;

static char *
show(const char *json, bool list, bool as_json, int expect)
{
	static char out[4096];
	cJSON *item = cJSON_Parse(json);
	FILE *file = fmemopen(out, sizeof(out), "w");

	assert_non_null(item);
	assert_non_null(file);
	out[0] = '\0';
	assert_int_equal(list ? show_list(file, item, fields, as_json, now) :
	    show_object(file, item, fields, as_json, now), expect);
	fclose(file);
	cJSON_Delete(item);
	return out;
}

static void
aligned(void **state)
{
	(void)state;
	assert_string_equal(show("[{\"name\":\"web\",\"vcpu\":2,\"memory_mib\":512,"
	    "\"disk\":1610612736,\"nat\":true,"
	    "\"created\":\"2026-01-31T09:05:07Z\"},"
	    "{\"name\":\"a-longer-name\",\"vcpu\":16,\"nat\":false}]",
	    true, false, 0),
	    "NAME           VCPU  MEMORY  DISK  NAT  AGE\n"
	    "web            2     512M    1.5G  yes  3h\n"
	    "a-longer-name  16    -       -     no   -\n");
	assert_string_equal(show("[]", true, false, 0),
	    "NAME  VCPU  MEMORY  DISK  NAT  AGE\n");
	assert_string_equal(show("{\"name\":\"web\",\"id\":\"0123\",\"disk\":2048,"
	    "\"created\":\"2026-01-31T09:05:07Z\"}", false, false, 0),
	    "name:     web\n"
	    "id:       0123\n"
	    "disk:     2K (2048 bytes)\n"
	    "created:  2026-01-31T09:05:07Z (3h ago)\n");
	assert_string_equal(show("{\"uptime\":75,\"cpu\":1500000,"
	    "\"load\":0.07}", false, false, 0),
	    "uptime:  1m15s\ncpu:     1.5s\nload:    0.07\n");
	assert_string_equal(show("[ { \"name\" : \"w\" } ]", true, true, 0),
	    "[{\"name\":\"w\"}]\n");
}

/* Members of the wrong type, replies of the wrong shape. */
static void
foreign_shapes(void **state)
{
	(void)state;
	show("{}", true, false, -EPROTO);
	show("[]", false, false, -EPROTO);
	show("7", true, true, -EPROTO);
	assert_string_equal(show("[{\"name\":7,\"vcpu\":\"x\",\"memory_mib\":-1,"
	    "\"disk\":1e300,\"nat\":\"yes\",\"created\":7}, 3, null]", true,
	    false, 0),
	    "NAME  VCPU  MEMORY  DISK  NAT  AGE\n"
	    "-     0     0       0     no   -\n"
	    "-     -     -       -     -    -\n"
	    "-     -     -       -     -    -\n");
}

static void
hostile_text(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(show("[{\"name\":\"\\u001b[31mred\\n\\u00e9\\u007f\"}]",
	    true, false, 0),
	    "NAME          VCPU  MEMORY  DISK  NAT  AGE\n"
	    "?[31mred????  -     -       -     -    -\n");
	assert_string_equal(text_clean("a\tb\033\x80z", out, sizeof(out)),
	    "a?b??z");
	assert_string_equal(text_clean("0123456789abcdef0", out, sizeof(out)),
	    "0123456789abcde");
	assert_string_equal(text_clean("x", out, 1), "");
}

static void
console_filter(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "plain\ttext\n", "plain\ttext\n" },
		{ "\033[0;32mok\033[0m\r\n", "ok\n" },
		{ "a\033]0;title\007b", "ab" },
		{ "a\033]0;title\033\\b", "ab" },
		{ "a\033]52;c;lost\nb", "a\nb" },
		{ "a\033Pq#0\033\\b", "ab" },
		{ "\033(Bx\033=y\033cz", "xyz" },
		{ "a\b\007\177\x01z", "az" },
		{ "\xc2\x9b" "31m\xff", "??31m?" },
		{ "\033[31", "" },
		{ "\033[\033[1mx", "x" },
	};
	char buf[64];
	size_t i, cut;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		/* The same whatever the pieces are. */
		for (cut = 0; cut <= strlen(rows[i].in); cut++) {
			struct text_filter filter = { 0 };
			size_t len, rest = strlen(rows[i].in) - cut;

			memcpy(buf, rows[i].in, cut);
			len = text_filter(&filter, buf, cut);
			memcpy(buf + len, rows[i].in + cut, rest);
			len += text_filter(&filter, buf + len, rest);
			buf[len] = '\0';
			assert_string_equal(buf, rows[i].out);
		}
}

static void
unwritable(void **state)
{
	struct table table = { .columns = 2 };
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	table_cell(&table, "a");
	table_cell(&table, NULL);
	assert_int_equal(table_print(&table, full), -EIO);
	fclose(full);
	assert_null(table.cells);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligned),
		cmocka_unit_test(foreign_shapes),
		cmocka_unit_test(hostile_text),
		cmocka_unit_test(console_filter),
		cmocka_unit_test(unwritable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
