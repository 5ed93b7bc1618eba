/*
 * What is said to device mapper, and what it says: requests as the kernel reads
 * them, status lines, lists. Nothing here needs device mapper.
 */
#include "unit.h"

#include <sys/ioctl.h>
#include <linux/dm-ioctl.h>

#include "privsep/mapper.h"

static const struct mapper_target origin[] = {
	{ 0, 1000, "linear", "7:3 0" },
	{ 1000, 7000, "zero", "" },
};

/* Walks a request as dm-ioctl.c, populate_table(), does. */
static void
table_request(void **state)
{
	union {
		struct dm_ioctl header;
		char bytes[1024];
	} request = { .bytes = "" };
	size_t at = sizeof(struct dm_ioctl), i;

	(void)state;
	assert_int_equal(mapper_build(&request, sizeof(request), "fc-x", true,
	    origin, 2), 0);
	assert_int_equal(request.header.version[0], DM_VERSION_MAJOR);
	assert_int_equal(request.header.data_size, sizeof(request));
	assert_int_equal(request.header.data_start, at);
	assert_int_equal(request.header.target_count, 2);
	assert_int_equal(request.header.flags, DM_READONLY_FLAG);
	/* By the UUID alone: the kernel refuses more than one. */
	assert_string_equal(request.header.uuid, "banger-fc-x");
	assert_string_equal(request.header.name, "");
	assert_true(request.header.dev == 0);
	for (i = 0; i < 2; i++) {
		struct dm_target_spec spec;

		assert_int_equal(at % 8, 0);
		memcpy(&spec, request.bytes + at, sizeof(spec));
		assert_true(spec.sector_start == origin[i].start);
		assert_true(spec.length == origin[i].sectors);
		assert_string_equal(spec.target_type, origin[i].type);
		assert_string_equal(request.bytes + at + sizeof(spec),
		    origin[i].params);
		at += spec.next;
	}
}

/* No byte is written behind the buffer, whatever its size. */
static void
table_too_large(void **state)
{
	size_t whole = sizeof(struct dm_ioctl) +
	    2 * sizeof(struct dm_target_spec) + 8 + 8, size;

	(void)state;
	for (size = 0; size <= whole; size++) {
		char *exact = calloc(1, size + 1);
		int r;

		assert_non_null(exact);
		exact[size] = 0x55;
		r = mapper_build(exact, size, "fc-x", false, origin, 2);
		assert_int_equal(r, size < whole ? -ENOBUFS : 0);
		assert_int_equal(exact[size], 0x55);
		free(exact);
	}
}

static void
names_too_long(void **state)
{
	struct mapper_target target = { 0, 1, "sixteen-letters-", "" };
	char buf[1024], name[200];

	(void)state;
	assert_int_equal(mapper_build(buf, sizeof(buf), "x", false, &target,
	    1), -ENOBUFS);
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(mapper_build(buf, sizeof(buf), name, false, origin,
	    1), -ENOBUFS);
}

static void
snapshot_status(void **state)
{
	static const struct {
		const char *text;
		int expected;
		struct mapper_snapshot status;
	} cases[] = {
		{ "16/4096 8", 0, { 16, 4096, 8, false, false } },
		{ "0/0 0", 0, { 0, 0, 0, false, false } },
		{ "8589934592/17179869184 33554440", 0,
		    { 8589934592, 17179869184, 33554440, false, false } },
		{ "Invalid", 0, { .invalid = true } },
		{ "Unknown", 0, { .invalid = true } },
		{ "Overflow", 0, { .overflow = true } },
		{ "Merge failed", -EBADMSG, { 0 } },
		{ "", -EBADMSG, { 0 } },
		{ "16/4096", -EBADMSG, { 0 } },
		{ "16/4096 8 9", -EBADMSG, { 0 } },
		{ "16 4096 8", -EBADMSG, { 0 } },
		{ "16/4096 8x", -EBADMSG, { 0 } },
		{ "x/4096 8", -EBADMSG, { 0 } },
		{ "16/x 8", -EBADMSG, { 0 } },
		{ "16/4096 800000000000000000000000000000000000000000000000"
		    "00000000000000000000000000000000", -EBADMSG, { 0 } },
		{ "invalid", -EBADMSG, { 0 } },
		{ "Invalid ", -EBADMSG, { 0 } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mapper_snapshot status = { .used_sectors = 77 };

		assert_case(mapper_parse_snapshot(cases[i].text, &status) ==
		    cases[i].expected, i, cases[i].text);
		if (cases[i].expected < 0) {
			assert_case(status.used_sectors == 77, i,
			    cases[i].text);
			continue;
		}
		assert_case(status.used_sectors ==
		    cases[i].status.used_sectors && status.total_sectors ==
		    cases[i].status.total_sectors &&
		    status.metadata_sectors ==
		    cases[i].status.metadata_sectors && status.invalid ==
		    cases[i].status.invalid && status.overflow ==
		    cases[i].status.overflow, i, cases[i].text);
	}
}

/* ---- lists ---- */

struct seen {
	char names[256];
	int stop_after;			/* names; 0: never */
	int count;
};

static int
see(void *arg, const char *name)
{
	struct seen *seen = arg;

	strcat(seen->names, name);
	strcat(seen->names, " ");
	return ++seen->count == seen->stop_after ? 42 : 0;
}

static size_t
put_entry(char *at, const char *name, bool last)
{
	size_t size = (sizeof(struct dm_name_list) + strlen(name) + 1 + 7) &
	    ~(size_t)7;
	struct dm_name_list entry = { .dev = 0xfd00,
		.next = last ? 0 : (uint32_t)size };

	memcpy(at, &entry, sizeof(entry));
	strcpy(at + offsetof(struct dm_name_list, name), name);
	return size;
}

static void
lists(void **state)
{
	char data[512] = "";
	struct seen seen = { .count = 0 };
	size_t len = 0;

	(void)state;
	assert_int_equal(mapper_walk(data, sizeof(data), see, &seen), 0);
	assert_int_equal(seen.count, 0);
	len += put_entry(data, "vg-root", false);
	len += put_entry(data + len, "fc-rootfs-000000000001", false);
	len += put_entry(data + len, "fc-origin-1-2-3", true);
	assert_int_equal(mapper_walk(data, len, see, &seen), 0);
	assert_string_equal(seen.names,
	    "vg-root fc-rootfs-000000000001 fc-origin-1-2-3 ");
	seen = (struct seen){ .stop_after = 2 };
	assert_int_equal(mapper_walk(data, len, see, &seen), 42);
	assert_int_equal(seen.count, 2);
}

/* Any end and any one byte wrong: refused or not, never read outside. */
static void
broken_lists(void **state)
{
	char data[512] = "";
	size_t whole = 0, len, i;
	unsigned int refused = 0;

	(void)state;
	whole += put_entry(data, "vg-root", false);
	whole += put_entry(data + whole, "fc-origin-1-2-3", true);
	for (len = 0; len < whole; len++) {
		char *exact = malloc(len + 1);
		struct seen seen = { .count = 0 };

		assert_non_null(exact);
		memcpy(exact, data, len);
		refused += mapper_walk(exact, len, see, &seen) < 0;
		free(exact);
	}
	/* All but those that lack only padding. */
	assert_true(refused >= whole - 8);
	for (i = 0; i < whole; i++) {
		char *exact = malloc(whole);
		struct seen seen = { .count = 0 };

		assert_non_null(exact);
		memcpy(exact, data, whole);
		exact[i] = (char)0xff;
		(void)mapper_walk(exact, whole, see, &seen);
		assert_true(seen.count <= 2);
		free(exact);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_request),
		cmocka_unit_test(table_too_large),
		cmocka_unit_test(names_too_long),
		cmocka_unit_test(snapshot_status),
		cmocka_unit_test(lists),
		cmocka_unit_test(broken_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
