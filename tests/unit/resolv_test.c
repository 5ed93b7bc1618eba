/*
 * Which of the host's resolvers a guest is told.
 */
#include "unit.h"

#include "worker/resolv.h"

static void
parses(void **state)
{
	static const struct {
		const char *text;
		uint32_t count;
		uint32_t first;
	} cases[] = {
		{ "", 0, 0 },
		{ "nameserver 10.0.0.1", 1, 0x0a000001 },
		{ "nameserver 10.0.0.1\n", 1, 0x0a000001 },
		{ "nameserver\t10.0.0.1 # ours\n", 1, 0x0a000001 },
		{ "\n\n# nameserver 1.1.1.1\nnameserver 10.0.0.2\r\n", 1,
		    0x0a000002 },
		{ "nameserver 127.0.0.53\n", 0, 0 },
		{ "nameserver 127.0.0.53\nnameserver 9.9.9.9\n", 1,
		    0x09090909 },
		{ "nameserver 0.0.0.0\nnameserver 224.0.0.1\n", 0, 0 },
		{ "nameserver ::1\nnameserver fe80::1%eth0\n", 0, 0 },
		{ "nameserver 1.2.3\nnameserver 1.2.3.4.5\n", 0, 0 },
		{ "nameserver010.0.0.1\nnameservers 1.1.1.1\n", 0, 0 },
		{ " nameserver 1.1.1.1\n", 0, 0 },
		{ "nameserver 111111111111111111111111111111111\n", 0, 0 },
		{ "nameserver 1.1.1.1\nnameserver 2.2.2.2\n"
		    "nameserver 3.3.3.3\nnameserver 4.4.4.4\n", 3,
		    0x01010101 },
	};
	uint32_t out[3];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		out[0] = 0;
		assert_case(resolv_parse(cases[i].text, out, 3) ==
		    cases[i].count && out[0] == cases[i].first, i,
		    cases[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(parses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
