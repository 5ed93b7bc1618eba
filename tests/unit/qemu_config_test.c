/*
 * The QEMU driver's file, the kernel command line in it, and the measurement
 * of the TSC.
 */
#include "unit.h"

#include "base/agent_proto.h"
#include "privsep/proto.h"
#include "vmm/driver.h"

static const struct vmm_spec spec = {
	.host = "box", .vcpus = 2, .mem_mib = 512, .tsc_khz = 2600000,
	.mac = { 2, 0xfc, 172, 16, 0, 5 },
	.ipv4 = 0xac100005, .gateway = 0xac100001, .prefix = 24,
	.dns = { 0x08080808, 0x01010101, 0x09090909 }, .dns_count = 3,
};

static char *
config_of(const struct vmm_spec *of)
{
	struct buf buf = BUF_INIT(LAUNCH_CONFIG_MAX);

	assert_int_equal(qemu_config(of, &buf), 0);
	return buf.data;
}

static void
command_line(void **state)
{
	struct vmm_spec other = spec;
	char line[VMM_CMDLINE_MAX];

	(void)state;
	assert_int_equal(vmm_cmdline(&spec, line), 0);
	assert_non_null(strstr(line, " tsc_early_khz=2600000 tsc=reliable "));
	assert_non_null(strstr(line, " banger.host=box "
	    "banger.ip=172.16.0.5/24 banger.gw=172.16.0.1 "
	    "banger.dns=8.8.8.8,1.1.1.1,9.9.9.9 banger.init=image"));
	other.kvm = other.init_none = true;
	other.dns_count = 0;
	assert_int_equal(vmm_cmdline(&other, line), 0);
	assert_null(strstr(line, "tsc"));
	assert_null(strstr(line, "dns"));
	assert_non_null(strstr(line, " banger.init=none"));
	assert_null(strstr(line, "banger.link"));
	other.vmm = VMM_FIRECRACKER;
	assert_int_equal(vmm_cmdline(&other, line), 0);
	assert_non_null(strstr(line, " banger.link=vsock"));
}

static void
whole_file(void **state)
{
	char *text = config_of(&spec);

	(void)state;
	assert_non_null(strstr(text, "type = \"microvm\"\n"));
	assert_non_null(strstr(text, "accel = \"tcg\"\n"));
	assert_non_null(strstr(text, "[smp-opts]\ncpus = \"2\"\n"));
	assert_non_null(strstr(text, "[memory]\nsize = \"512M\"\n"));
	assert_non_null(strstr(text, "mac = \"02:fc:ac:10:00:05\"\n"));
	assert_non_null(strstr(text, "cache = \"writeback\"\n"));
	assert_non_null(strstr(text, "path = \"/run/console.sock\"\n"
	    "server = \"on\"\nwait = \"on\"\n"));
	free(text);
}

/* One stream port per number, each with its socket, on the device it belongs to. */
static void
every_port(void **state)
{
	char *text = config_of(&spec), line[96];
	unsigned int i;

	(void)state;
	assert_non_null(strstr(text, "bus = \"few.0\"\nnr = \"1\"\n"
	    "chardev = \"cctl\"\n"));
	for (i = 0; i < AGENT_STREAM_PORTS; i++) {
		snprintf(line, sizeof(line), "path = \"/run/%u.sock\"\n", i);
		assert_non_null(strstr(text, line));
		snprintf(line, sizeof(line), "bus = \"%s.0\"\nnr = \"%u\"\n"
		    "chardev = \"c%u\"\n", i < 4 ? "few" : "more", 2 + i, i);
		assert_non_null(strstr(text, line));
	}
	snprintf(line, sizeof(line), "/run/%u.sock\"", i);
	assert_null(strstr(text, line));
	free(text);
}

static void
kvm_and_disposable(void **state)
{
	struct vmm_spec other = spec;
	char *text;

	(void)state;
	other.kvm = other.disposable = true;
	text = config_of(&other);
	assert_non_null(strstr(text, "accel = \"kvm\"\n"));
	assert_null(strstr(text, "erms"));
	assert_non_null(strstr(text, "cache = \"unsafe\"\n"));
	free(text);
}

/* QEMU's file driver refuses block devices, and the other one files. */
static void
disk_drivers(void **state)
{
	struct vmm_spec other = spec;
	char *text = config_of(&spec);

	(void)state;
	assert_non_null(strstr(text, "file.driver = \"file\"\n"));
	free(text);
	other.disk_is_block = true;
	text = config_of(&other);
	assert_non_null(strstr(text, "file.driver = \"host_device\"\n"));
	assert_null(strstr(text, "\"file\"\n"));
	free(text);
}

/* A value is one line between quotes: nothing may end it early. */
static void
no_injection(void **state)
{
	static const char *const hosts[] = {
		"a\"", "a\nappend = \"x", "a\"\n[device \"x\"]\n",
	};
	struct buf buf = BUF_INIT(LAUNCH_CONFIG_MAX);
	struct vmm_spec other = spec;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(hosts); i++) {
		other.host = hosts[i];
		assert_int_equal(qemu_config(&other, &buf), -EINVAL);
		assert_int_equal(buf.len, 0);
	}
	buf_free(&buf);
}

static void
too_small(void **state)
{
	struct buf buf = BUF_INIT(1000);
	struct vmm_spec other = spec;
	char host[VMM_CMDLINE_MAX];

	(void)state;
	assert_int_equal(qemu_config(&spec, &buf), -ENOBUFS);
	assert_int_equal(buf.len, 0);
	buf_free(&buf);
	memset(host, 'a', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	other.host = host;
	assert_int_equal(vmm_cmdline(&other, host), -ENAMETOOLONG);
}

static void
tsc(void **state)
{
	struct tsc_sample then = tsc_sample(), future = then;
	uint32_t khz = tsc_khz_since(&then), again = tsc_khz_since(&then);

	(void)state;
	future.time_ns += UINT64_C(1) << 40;
	assert_int_equal(tsc_khz_since(&future), 0);
	if (khz == 0)
		skip();
	assert_true(khz > 100000 && khz < 10000000);
	/* A thousandth: the machine may be busy. */
	assert_true(again > khz - khz / 1000 && again < khz + khz / 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_line),
		cmocka_unit_test(whole_file),
		cmocka_unit_test(every_port),
		cmocka_unit_test(kvm_and_disposable),
		cmocka_unit_test(disk_drivers),
		cmocka_unit_test(no_injection),
		cmocka_unit_test(too_small),
		cmocka_unit_test(tsc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
