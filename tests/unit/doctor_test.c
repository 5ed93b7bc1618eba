/*
 * What the doctor concludes from what it reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "client/doctor.h"

static void
versions(void **state)
{
	static const struct { const char *text; unsigned int v[3]; } good[] = {
		{ "5.12", { 5, 12, 0 } },
		{ "6.1.0-56-cloud-amd64", { 6, 1, 0 } },
		{ "6.18.44-fc-v669", { 6, 18, 44 } },
		{ "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)",
		    { 7, 2, 22 } },
		{ "Firecracker v1.12.1\n\nSupported snapshot data format "
		    "versions: v6.0.0\n", { 1, 12, 1 } },
		{ "Jailer v1.14.0", { 1, 14, 0 } },
		{ "release 3 of 4.5", { 4, 5, 0 } },
	};
	static const char *const bad[] = { "", "v", "7", "no digits", "1. 2",
		".5", "99999999999" };
	struct version version = { 9, 9, 9 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(version_read(good[i].text, &version), 0);
		assert_int_equal(version.major, good[i].v[0]);
		assert_int_equal(version.minor, good[i].v[1]);
		assert_int_equal(version.patch, good[i].v[2]);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(version_read(bad[i], &version), -EINVAL);
}

static void
floors(void **state)
{
	static const struct { struct version v; bool before; } rows[] = {
		{ { 4, 19, 300 }, true }, { { 5, 4, 0 }, true },
		{ { 5, 11, 99 }, true }, { { 5, 12, 0 }, false },
		{ { 5, 15, 0 }, false }, { { 6, 1, 0 }, false },
	};
	static const struct { struct version v; bool hole; } jailers[] = {
		{ { 1, 5, 0 }, true }, { { 1, 12, 1 }, true },
		{ { 1, 13, 1 }, true }, { { 1, 13, 2 }, false },
		{ { 1, 14, 0 }, true }, { { 1, 14, 1 }, false },
		{ { 1, 15, 0 }, false }, { { 2, 0, 0 }, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(version_before(&rows[i].v, 5, 12, 0),
		    rows[i].before);
	for (i = 0; i < ARRAY_SIZE(jailers); i++)
		assert_int_equal(jailer_has_hole(&jailers[i].v),
		    jailers[i].hole);
}

/* The range is 1000 to 1099. */
static void
id_ranges(void **state)
{
	static const struct { const char *text; bool range, conflict; } rows[] = {
		{ "root:x:0:0:root:/root:/bin/sh\n", false, false },
		{ "a:x:999:999::/:/bin/sh\nb:x:1100:1::/:/bin/sh\n", false,
		    false },
		{ "a:x:1000:1000::/:/bin/sh\n", false, true },
		{ "a:x:1:1::/:/bin/sh\nb:x:1099:1::/:/bin/sh\n", false, true },
		{ "group:x:1050:\n", false, true },
		{ "group:x:1050", false, true },
		{ "a:1100:65536\n", true, false },
		{ "a:900:100\n", true, false },
		{ "a:900:101\n", true, true },
		{ "a:1099:1\n", true, true },
		{ "a:0:0\n", true, false },
		{ "a:1050:0\n", true, false },
		{ "a:0:18446744073709551615\n", true, true },
		{ "a:1000:1\nb:5:1\n", true, true },
		{ "", true, false },
		{ "\n\n:::\nnonsense\na:b:c\na:x:\n", false, false },
		{ "a::5\na:-1:5\n", true, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		char copy[256], who[NAME_BYTES] = "";
		FILE *file;
		size_t len = strlen(rows[i].text);

		strcpy(copy, rows[i].text);
		file = fmemopen(copy, len > 0 ? len : 1, "r");
		assert_non_null(file);
		if (len == 0)
			(void)fgetc(file);
		if (ids_conflict(file, rows[i].range, 1000, 100, who) !=
		    rows[i].conflict)
			fail_msg("%s", rows[i].text);
		assert_int_equal(who[0] != '\0', rows[i].conflict);
		fclose(file);
	}
}

static void
reports(void **state)
{
	struct check checks[] = {
		{ .name = "kernel" }, { .name = "kvm" }, { .name = "qemu" },
	};
	char out[2048] = "";
	FILE *file = fmemopen(out, sizeof(out), "w");
	cJSON *report;

	(void)state;
	check_found(&checks[0], VERDICT_OK, "Linux %s", "6.1");
	check_found(&checks[1], VERDICT_WARN, "no \"KVM\"");
	check_remedy(&checks[1], "turn it on");
	assert_int_equal(doctor_code(checks, 2), 0);
	check_found(&checks[2], VERDICT_FAIL, "evil \033[31m");
	assert_int_equal(doctor_code(checks, 3), 1);
	assert_int_equal(doctor_print(file, checks, 3, false), 0);
	fclose(file);
	assert_string_equal(out,
	    "ok    kernel          Linux 6.1\n"
	    "warn  kvm             no \"KVM\"\n"
	    "                     -> turn it on\n"
	    "fail  qemu            evil ?[31m\n");

	file = fmemopen(out, sizeof(out), "w");
	assert_int_equal(doctor_print(file, checks, 3, true), 0);
	fclose(file);
	report = json_parse(out, strlen(out));
	assert_non_null(report);
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(report, "ok")));
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(report,
	    "checks")), 3);
	cJSON_Delete(report);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions),
		cmocka_unit_test(floors),
		cmocka_unit_test(id_ranges),
		cmocka_unit_test(reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
