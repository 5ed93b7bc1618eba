/*
 * Sizes and times: the number table of crun CVE-2026-30892 among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/size.h"
#include "privsep/util.h"

static void
good_sizes(void **state)
{
	static const struct { const char *text; uint64_t unit, bytes; } rows[] = {
		{ "1", MIB, MIB }, { "512", MIB, 512 * MIB },
		{ "1K", 0, KIB }, { "512M", 0, 512 * MIB }, { "2G", 0, 2 * GIB },
		{ "1T", MIB, TIB }, { "1024T", 0, SIZE_BYTES_MAX },
		{ "1073741824", MIB, SIZE_BYTES_MAX },
		{ "9", 1, 9 },
	};
	uint64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(size_parse(rows[i].text, rows[i].unit, &bytes),
		    0);
		assert_true(bytes == rows[i].bytes);
	}
}

static void
bad_sizes(void **state)
{
	static const struct { const char *text; uint64_t unit; int error; } rows[] = {
		{ "", MIB, -EINVAL }, { "M", MIB, -EINVAL },
		{ "0", MIB, -ERANGE }, { "0G", 0, -ERANGE },
		{ "00", MIB, -EINVAL }, { "01", MIB, -EINVAL },
		{ "-1", MIB, -EINVAL }, { "+1", MIB, -EINVAL },
		{ " 1", MIB, -EINVAL }, { "1 ", MIB, -EINVAL },
		{ "1 G", MIB, -EINVAL }, { "1.5G", MIB, -EINVAL },
		{ "1g", MIB, -EINVAL }, { "1k", MIB, -EINVAL },
		{ "1GB", MIB, -EINVAL }, { "1GiB", MIB, -EINVAL },
		{ "1GG", MIB, -EINVAL }, { "G1", MIB, -EINVAL },
		{ "0x10", MIB, -EINVAL }, { "1e3", MIB, -EINVAL },
		{ "1P", MIB, -EINVAL }, { "1B", MIB, -EINVAL },
		{ "512", 0, -EINVAL }, { "inf", MIB, -EINVAL },
		{ "\xd9\xa1", MIB, -EINVAL }, { "1\n", MIB, -EINVAL },
		{ "1025T", 0, -ERANGE }, { "1073741825", MIB, -ERANGE },
		{ "18446744073709551615", MIB, -ERANGE },
		{ "18446744073709551616", MIB, -ERANGE },
		{ "18014398509481984K", 0, -ERANGE },
		{ "99999999999999999999", MIB, -ERANGE },
		{ "999999999999999999999999999999999999999T", 0, -EINVAL },
		{ "999999999999999999999999999999999999999", MIB, -ERANGE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t bytes = 42;

		if (size_parse(rows[i].text, rows[i].unit, &bytes) !=
		    rows[i].error)
			fail_msg("%s", rows[i].text);
		assert_true(bytes == 42);
	}
}

static void
size_texts(void **state)
{
	static const struct { uint64_t bytes; const char *text; } rows[] = {
		{ 0, "0" }, { 1, "1" }, { 1023, "1023" }, { 1024, "1K" },
		{ 1536, "1.5K" }, { 512 * MIB, "512M" }, { 8 * GIB, "8G" },
		{ 3 * GIB / 2, "1.5G" }, { 10 * GIB + GIB / 2, "10G" },
		{ 1024 * GIB, "1T" }, { UINT64_MAX, "16777215T" },
	};
	char text[SIZE_TEXT];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(size_text(rows[i].bytes, text),
		    rows[i].text);
}

static void
spans(void **state)
{
	static const struct { uint64_t us; const char *text; } rows[] = {
		{ 0, "0s" }, { 99999, "0s" }, { 100000, "0.1s" },
		{ 12000000, "12s" }, { 59999999, "59.9s" },
		{ 60000000, "1m00s" }, { 312900000, "5m12s" },
		{ 3599999999, "59m59s" }, { 3600000000, "1h00m" },
		{ 86399999999, "23h59m" }, { 183600000000, "2d03h" },
	};
	char text[SIZE_TEXT];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(span_text(rows[i].us, text), rows[i].text);
	span_text(UINT64_MAX, text);
	assert_true(strlen(text) < SIZE_TEXT);
}

static void
times(void **state)
{
	static const char *const bad[] = {
		"", "2026-01-31", "2026-01-31T09:05:07", "2026-01-31T09:05:07z",
		"2026-01-31 09:05:07Z", "2026-01-31T09:05:07.5Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-01-32T00:00:00Z", "2026-01-00T00:00:00Z",
		"2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
		"2026-01-01T00:00:61Z", "+026-01-01T00:00:00Z",
		"2026-01-31T09:05:07Z ", "2026-01-31T09:05:07+00:00",
	};
	static const struct { time_t seconds; const char *text; } ages[] = {
		{ 0, "0s" }, { 59, "59s" }, { 60, "1m" }, { 3599, "59m" },
		{ 3600, "1h" }, { 86399, "23h" }, { 86400, "1d" },
		{ 900 * 86400, "900d" }, { -1, "-" },
	};
	const time_t start = 1769850307;	/* date -d ... +%s */
	char text[SIZE_TEXT];
	time_t when = 7;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(time_parse(bad[i], &when), -EINVAL);
		assert_int_equal(when, 7);
	}
	assert_int_equal(time_parse("2026-01-31T09:05:07Z", &when), 0);
	assert_int_equal(when, start);
	for (i = 0; i < ARRAY_SIZE(ages); i++)
		assert_string_equal(age_text("2026-01-31T09:05:07Z",
		    start + ages[i].seconds, text), ages[i].text);
	assert_string_equal(age_text("yesterday", start, text), "-");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_sizes),
		cmocka_unit_test(bad_sizes),
		cmocka_unit_test(size_texts),
		cmocka_unit_test(spans),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
