/*
 * The configuration file: every key, and every way to get it wrong.
 */
#include "unit.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "privsep/config.h"
#include "privsep/log.h"

static struct temp temp;
static char path[96];
static char err[256];
static struct config cfg;

static int
load_bytes(const void *text, size_t len)
{
	put_file(temp.fd, "config.toml", text, len);
	memset(&cfg, 0xa5, sizeof(cfg));
	memset(err, 0, sizeof(err));
	return config_load(path, true, &cfg, err, sizeof(err));
}

static int
load(const char *text)
{
	return load_bytes(text, strlen(text));
}

static void
defaults(void **state)
{
	static const char *const texts[] = { "", "\n", "\n\n\n", "# only\n",
		"   \t \n", "#", "[vm_defaults]\n", "\xef\xbb\xbf# BOM\n" };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_case(load(texts[i]) == 0, i, err);
		assert_string_equal(cfg.state_dir, "/var/lib/banger");
		assert_string_equal(cfg.runtime_dir, "/run/banger");
		assert_string_equal(cfg.qemu_bin, "");
		assert_string_equal(cfg.bridge_name, "br-fc");
		assert_string_equal(cfg.catalog, "");
		assert_string_equal(cfg.catalog_key, "");
		assert_int_equal(cfg.owner_uid, 0);
		assert_int_equal(cfg.owner_gid, UINT32_MAX);
		assert_int_equal(cfg.uid_base, 700000);
		assert_int_equal(cfg.uid_count, 1024);
		assert_int_equal(cfg.gateway, 0xac100001);
		assert_int_equal(cfg.prefix, 24);
		assert_false(cfg.subnet_fixed);
		assert_int_equal(cfg.default_dns, 0);
		assert_int_equal(cfg.dns_ipv4, 0x7f000001);
		assert_int_equal(cfg.dns_port, 42069);
		assert_string_equal(cfg.resolvectl_bin, "");
		assert_int_equal(cfg.default_vcpus, 2);
		assert_int_equal(cfg.start_timeout_s, 90);
		assert_int_equal(cfg.default_mem_mib, 1024);
		assert_int_equal(cfg.default_disk_bytes, 0);
		assert_int_equal(cfg.image_max_bytes, UINT64_C(64) << 30);
		assert_int_equal(cfg.log_level, LOG_INFO);
	}
}

static void
every_key(void **state)
{
	(void)state;
	if (load(
	    "# What a machine of ours has.\n"
	    "owner = \"daemon\"\n"
	    "group = \"daemon\"   # and its group\n"
	    "log_level = \"debug\"\n"
	    "state_dir = \"/srv/banger\"\n"
	    "runtime_dir = \"/run/b 1\"\n"
	    "vmm = \"firecracker\"\n"
	    "qemu_bin = \"/opt/qemu\"\n"
	    "firecracker_bin = \"/opt/fc\"\n"
	    "jailer_bin = \"/opt/jailer\"\n"
	    "bridge_name = \"br-fc-a\"\n"
	    "cidr = \"10.9.0.1/16\"\n"
	    "default_dns = \"10.9.0.2\"\n"
	    "default_image_name = \"alpine#3\"\n") == 0)
		fail();			/* '#' in quotes is no comment */
	assert_non_null(strstr(err, ":14: default_image_name: bad value"));
	assert_int_equal(load(
	    "\towner=\"daemon\"\n"
	    "  group\t= \"daemon\"   # and its group\n"
	    "log_level = \"debug\"\r\n"
	    "state_dir = \"/srv/banger\"\n"
	    "runtime_dir = \"/run/b#1\" # comment \"quoted\"\n"
	    "vmm = \"firecracker\"\n"
	    "qemu_bin = \"/opt/qemu\"\n"
	    "firecracker_bin = \"/opt/fc\"\n"
	    "jailer_bin = \"/opt/jailer\"\n"
	    "bridge_name = \"br-fc-a\"\n"
	    "cidr = \"10.9.0.1/16\"\n"
	    "default_dns = \"10.9.0.2\"\n"
	    "default_image_name = \"alpine\"\n"
	    "default_kernel_name = \"lts\"\n"
	    "catalog = \"https://a.test/c.json?x=1\"\n"
	    "catalog_key = \"/etc/banger/catalog.pub\"\n"
	    "dns_listen = \"127.0.0.2:5300\"\n"
	    "resolvectl_bin = \"/opt/resolvectl\"\n"
	    "uid_base = 1000000#\n"
	    "uid_count = 2 \t# worker and one VM\n"
	    "start_timeout = 300\n"
	    "image_max_size = \"3G\"\n"
	    "[vm_defaults]\n"
	    "vcpu = 4\n"
	    "memory_mib = 512\n"
	    "disk_size = \"16G\"\n"), 0);
	assert_int_equal(cfg.owner_uid, getpwnam("daemon")->pw_uid);
	assert_int_equal(cfg.owner_gid, getgrnam("daemon")->gr_gid);
	assert_int_equal(cfg.log_level, LOG_DEBUG);
	assert_string_equal(cfg.state_dir, "/srv/banger");
	assert_string_equal(cfg.runtime_dir, "/run/b#1");
	assert_int_equal(cfg.vmm, VMM_FIRECRACKER);
	assert_string_equal(cfg.qemu_bin, "/opt/qemu");
	assert_string_equal(cfg.firecracker_bin, "/opt/fc");
	assert_string_equal(cfg.jailer_bin, "/opt/jailer");
	assert_string_equal(cfg.bridge_name, "br-fc-a");
	assert_int_equal(cfg.gateway, 0x0a090001);
	assert_int_equal(cfg.prefix, 16);
	assert_true(cfg.subnet_fixed);
	assert_int_equal(cfg.default_dns, 0x0a090002);
	assert_string_equal(cfg.default_image, "alpine");
	assert_string_equal(cfg.default_kernel, "lts");
	assert_string_equal(cfg.catalog, "https://a.test/c.json?x=1");
	assert_string_equal(cfg.catalog_key, "/etc/banger/catalog.pub");
	assert_int_equal(cfg.dns_ipv4, 0x7f000002);
	assert_int_equal(cfg.dns_port, 5300);
	assert_string_equal(cfg.resolvectl_bin, "/opt/resolvectl");
	assert_int_equal(cfg.uid_base, 1000000);
	assert_int_equal(cfg.uid_count, 2);
	assert_int_equal(cfg.start_timeout_s, 300);
	assert_int_equal(cfg.default_vcpus, 4);
	assert_int_equal(cfg.default_mem_mib, 512);
	assert_int_equal(cfg.default_disk_bytes, UINT64_C(16) << 30);
	assert_int_equal(cfg.image_max_bytes, UINT64_C(3) << 30);
}

static void
good_values(void **state)
{
	static const char *const texts[] = {
		"log_level = \"error\"", "log_level = \"warn\"",
		"log_level = \"info\"",
		"cidr = \"192.168.7.254/30\"", "cidr = \"192.168.7.2/30\"",
		"uid_base = 1000", "uid_base = 2147482623",
		"uid_count = 65536",
		"image_max_size = 67108864", "image_max_size = \"1T\"",
		"[vm_defaults]\nvcpu = 1", "[vm_defaults]\nvcpu = 32",
		"[vm_defaults]\nmemory_mib = 64",
		"[vm_defaults]\nmemory_mib = 1048576",
		"[vm_defaults]\ndisk_size = 0",
		"[vm_defaults]\ndisk_size = 1073741824",
		"[vm_defaults]\ndisk_size = \"1073741824\"",
		"[vm_defaults]\ndisk_size = \"1K\"",
		"[vm_defaults]\ndisk_size = \"64T\"",
		"[vm_defaults]\n[vm_defaults]\nvcpu = 2",
		"default_dns = \"0.0.0.0\"",
		"owner = \"root\"",
		"dns_listen = \"off\"", "dns_listen = \"127.0.0.1:1\"",
		"dns_listen = \"127.0.0.1:65535\"",
		"dns_listen = \"127.255.255.254:53\"",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(texts); i++)
		if (load(texts[i]) != 0)
			fail_msg("%s: %s", texts[i], err);
}

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100

static void
bad_values(void **state)
{
	static const struct {
		const char *text;
		int line;		/* 0: none is at fault alone */
	} cases[] = {
		/* names */
		{ "unknown = 1", 1 },
		{ "Owner = \"root\"", 1 },
		{ "vcpu = 2", 1 },		/* is in [vm_defaults] */
		{ "= 1", 1 },
		{ "= \"x\"", 1 },
		{ "\"owner\" = \"root\"", 1 },
		{ "[vm_defaults]\nowner = \"root\"", 2 },
		{ "[vm_defaults]\nunknown = 1", 2 },
		{ "[unknown]", 1 },
		{ "[]", 1 },
		{ "[vm_defaults", 1 },
		{ "image_max_size = \"63M\"", 0 },
		{ "image_max_size = 0", 0 },
		{ "image_max_size = \"1025G\"", 1 },
		{ "[vm_defaults]\nimage_max_size = \"1G\"", 2 },
		{ "[VM_DEFAULTS]", 1 },
		{ "[[vm_defaults]]", 1 },
		{ "[vm_defaults" X100 "]", 1 },
		{ "\n\n[unknown]\n", 3 },
		{ "owner", 1 },
		{ "\nnonsense here\n", 2 },
		{ "owner = \"root\"\nowner = \"daemon\"", 2 },
		{ "uid_base = 5000\nuid_base = 5000", 2 },
		{ "[vm_defaults]\nvcpu = 2\n[vm_defaults]\nvcpu = 2", 4 },
		/* forms */
		{ "owner = root", 1 },
		{ "owner =", 1 },
		{ "owner = \"root", 1 },
		{ "owner = root\"", 1 },
		{ "owner = 'root'", 1 },
		{ "owner = \"ro\\u006ft\"", 1 },
		{ "owner = \"root\" \"daemon\"", 1 },
		{ "owner = \"root\"x", 1 },
		{ "owner = \"\"\"root\"\"\"", 1 },
		{ "owner = [\"root\"]", 1 },
		{ "owner = 0", 1 },
		{ "owner = true", 1 },
		{ "log_level = 3", 1 },
		{ "state_dir = /srv", 1 },
		{ "uid_base = \"5000\"", 1 },
		{ "uid_base = 5000 5001", 1 },
		{ "uid_base = 5000x", 1 },
		{ "uid_base = 0x1388", 1 },
		{ "uid_base = +5000", 1 },
		{ "uid_base = -1", 1 },
		{ "uid_base = 5_000", 1 },
		{ "uid_base = 05000", 1 },
		{ "uid_base = 5000.0", 1 },
		{ "uid_base = ", 1 },
		{ "uid_base = # none", 1 },
		{ "uid_base = 99999999999999999999999", 1 },
		{ "uid_base = 4294967296", 1 },
		{ "uid_base = 2147483648", 1 },
		/* values */
		{ "owner = \"\"", 1 },
		{ "owner = \"nobody-has-this-name\"", 1 },
		{ "owner = \"0\"", 1 },
		{ "group = \"nobody-has-this-name\"", 1 },
		{ "log_level = \"\"", 1 },
		{ "log_level = \"INFO\"", 1 },
		{ "log_level = \"trace\"", 1 },
		{ "state_dir = \"\"", 1 },
		{ "state_dir = \"/\"", 1 },
		{ "state_dir = \"relative\"", 1 },
		{ "state_dir = \"/a/../b\"", 1 },
		{ "state_dir = \"/a/\"", 1 },
		{ "state_dir = \"//a\"", 1 },
		{ "runtime_dir = \"/a/./b\"", 1 },
		{ "runtime_dir = \"/a\tb\"", 1 },
		{ "qemu_bin = \"qemu\"", 1 },
		{ "vmm = \"xen\"", 1 }, { "vmm = 1", 1 },
		{ "state_dir = \"/" X100 X100 X100 "\"", 1 },
		{ "bridge_name = \"br0\"", 1 },
		{ "bridge_name = \"br-fc-\"", 1 },
		{ "bridge_name = \"br-fc-abcdefghij\"", 1 },
		{ "cidr = \"\"", 1 },
		{ "cidr = \"10.0.0.1\"", 1 },
		{ "cidr = \"10.0.0.1/\"", 1 },
		{ "cidr = \"10.0.0.1/024\"", 1 },
		{ "cidr = \"10.0.0.1/ 24\"", 1 },
		{ "cidr = \"10.0.0.1/31\"", 1 },
		{ "cidr = \"10.0.0.1/7\"", 1 },
		{ "cidr = \"10.0.0.0/24\"", 1 },
		{ "cidr = \"10.0.0.255/24\"", 1 },
		{ "cidr = \"127.0.0.1/8\"", 1 },
		{ "cidr = \"fd00::1/64\"", 1 },
		{ "cidr = \"10.0.1/24\"", 1 },
		{ "cidr = \"10.0.0.256/24\"", 1 },
		{ "cidr = \"010.0.0.1/24\"", 1 },
		{ "cidr = \"1000.1000.1000.1000/24\"", 1 },
		{ "default_dns = \"\"", 1 },
		{ "default_dns = \"resolver\"", 1 },
		{ "default_dns = \"::1\"", 1 },
		{ "default_dns = \"1.1.1.1 \"", 1 },
		{ "dns_listen = \"\"", 1 },
		{ "dns_listen = \"on\"", 1 },
		{ "dns_listen = \"127.0.0.1\"", 1 },
		{ "dns_listen = \"127.0.0.1:\"", 1 },
		{ "dns_listen = \":53\"", 1 },
		{ "dns_listen = \"127.000000000000000000000000000000000000000"
		    "00000000000000000000000000000.0.1:53\"", 1 },
		{ "dns_listen = \"127.0.0.1:0\"", 1 },
		{ "dns_listen = \"127.0.0.1:65536\"", 1 },
		{ "dns_listen = \"127.0.0.1:053\"", 1 },
		{ "dns_listen = \"127.0.0.1: 53\"", 1 },
		{ "dns_listen = \"127.0.0.1:53:53\"", 1 },
		{ "dns_listen = \"127.0.0.53:53\"", 1 },
		{ "dns_listen = \"0.0.0.0:53\"", 1 },
		{ "dns_listen = \"172.16.0.1:53\"", 1 },
		{ "dns_listen = \"[::1]:53\"", 1 },
		{ "dns_listen = 42069", 1 },
		{ "resolvectl_bin = \"resolvectl\"", 1 },
		{ "default_image_name = \"\"", 1 },
		{ "default_image_name = \"../x\"", 1 },
		{ "default_image_name = \"A\"", 1 },
		{ "default_kernel_name = \"-x\"", 1 },
		{ "catalog = \"\"", 1 },
		{ "catalog = \"catalog.json\"", 1 },
		{ "catalog = \"http://a.test/c\"", 1 },
		{ "catalog = \"https://a b\"", 1 },
		{ "catalog = \"https://a\x1b\"", 1 },
		{ "catalog = \"https://" X100 X100 X100 "\"", 1 },
		{ "catalog_key = \"https://a.test/k\"", 1 },
		{ "catalog_key = \"k.pub\"", 1 },
		{ "default_kernel_name = \"" X100 "\"", 1 },
		{ "[vm_defaults]\nvcpu = 33", 2 },
		{ "[vm_defaults]\nmemory_mib = 1048577", 2 },
		{ "[vm_defaults]\ndisk_size = \"\"", 2 },
		{ "[vm_defaults]\ndisk_size = \"G\"", 2 },
		{ "[vm_defaults]\ndisk_size = \"1g\"", 2 },
		{ "[vm_defaults]\ndisk_size = \"1GB\"", 2 },
		{ "[vm_defaults]\ndisk_size = \"1.5G\"", 2 },
		{ "[vm_defaults]\ndisk_size = \"-1G\"", 2 },
		{ "[vm_defaults]\ndisk_size = \"01G\"", 2 },
		{ "[vm_defaults]\ndisk_size = 1G", 2 },
		{ "[vm_defaults]\ndisk_size = \"65T\"", 2 },
		{ "[vm_defaults]\ndisk_size = \"18446744073709551615T\"", 2 },
		{ "[vm_defaults]\ndisk_size = \"99999999999999999999999G\"",
		    2 },
		{ "[vm_defaults]\ndisk_size = \"999999999999999999999999999"
		    "9999999999999999999999999999999999999999G\"", 2 },
		/* the whole */
		{ "[vm_defaults]\nvcpu = 0", 0 },
		{ "[vm_defaults]\nvcpu = 3", 0 },
		{ "[vm_defaults]\nmemory_mib = 63", 0 },
		{ "start_timeout = 0", 0 },
		{ "start_timeout = 3601", 1 },
		{ "uid_base = 0", 0 },
		{ "uid_base = 999", 0 },
		{ "uid_count = 0", 0 },
		{ "uid_count = 1", 0 },
		{ "uid_base = 2147483647", 0 },
		/* lines */
		{ "# " X1000 X100, 1 },
		{ "owner = \"root\" # " X1000 X100, 1 },
		{ "\n" X1000 X1000 " = 1", 2 },
		{ "owner = \"" X1000 X1000 "\"", 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		char want[128];

		assert_case(load(cases[i].text) == -EINVAL, i, cases[i].text);
		if (cases[i].line > 0)
			snprintf(want, sizeof(want), "%s:%d: ", path,
			    cases[i].line);
		else
			snprintf(want, sizeof(want), "%s: ", path);
		if (strncmp(err, want, strlen(want)) != 0)
			fail_msg("case %zu: `%s` does not begin with `%s`", i,
			    err, want);
		/* One line, and outputs are left alone. */
		assert_null(strchr(err, '\n'));
		assert_int_equal(cfg.uid_base, 0xa5a5a5a5);
	}
	print_message("%zu bad files refused\n", i);
}

static void
nul_bytes(void **state)
{
	static const char *const texts[] = { "owner = \"root\"\0junk\n",
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
		"# comment\0\nuid_base = 1\n" };
	static char large[4096];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(load_bytes(texts[i], 20), -EILSEQ);
		assert_non_null(strstr(err, "NUL"));
	}
	/* An over-long line, and then one that begins with it. */
	memset(large, 'x', sizeof(large));
	large[1500] = '\0';
	assert_int_equal(load_bytes(large, sizeof(large)), -EILSEQ);
}

static void
size_limit(void **state)
{
	static char large[65537];

	(void)state;
	memset(large, '\n', sizeof(large));
	assert_int_equal(load_bytes(large, sizeof(large) - 1), 0);
	assert_int_equal(load_bytes(large, sizeof(large)), -EFBIG);
	assert_non_null(strstr(err, path));
}

static int
load_as(const char *name, bool trusted)
{
	char full[128];

	snprintf(full, sizeof(full), "%s/%s", temp.path, name);
	memset(err, 0, sizeof(err));
	return config_load(full, trusted, &cfg, err, sizeof(err));
}

static void
files(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock;

	(void)state;
	need_root();
	assert_int_equal(load_as("absent", true), -ENOENT);
	assert_non_null(strstr(err, "configuration "));
	assert_non_null(strstr(err, "absent: No such file"));

	put_file(temp.fd, "other", "", 0);
	assert_int_equal(load_as("other", true), 0);
	assert_int_equal(fchmodat(temp.fd, "other", 0664, 0), 0);
	assert_int_equal(load_as("other", true), -EPERM);
	assert_non_null(strstr(err, "root's"));
	assert_int_equal(fchmodat(temp.fd, "other", 0646, 0), 0);
	assert_int_equal(load_as("other", true), -EPERM);
	assert_int_equal(fchmodat(temp.fd, "other", 0600, 0), 0);
	assert_int_equal(fchownat(temp.fd, "other", 1, 0, 0), 0);
	assert_int_equal(load_as("other", true), -EPERM);
	assert_int_equal(load_as("other", false), 0);

	put_file(temp.fd, "good", "", 0);
	assert_int_equal(symlinkat("good", temp.fd, "link"), 0);
	assert_int_equal(load_as("link", true), -ELOOP);
	assert_int_equal(load_as("link", false), -ELOOP);
	assert_non_null(strstr(err, "symbolic link"));
	assert_int_equal(mkfifoat(temp.fd, "fifo", 0600), 0);
	assert_int_equal(load_as("fifo", true), -EINVAL);	/* at once */
	assert_int_equal(mkdirat(temp.fd, "dir", 0755), 0);
	assert_int_equal(load_as("dir", true), -EINVAL);
	assert_non_null(strstr(err, "not a regular file"));
	assert_int_equal(mknodat(temp.fd, "null", S_IFCHR | 0644,
	    (dev_t)0x103), 0);
	assert_int_equal(load_as("null", true), -EINVAL);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", temp.path);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(load_as("sock", true), -ENXIO);
	close(sock);
}

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	snprintf(path, sizeof(path), "%s/config.toml", temp.path);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	end_temp(&temp);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(every_key),
		cmocka_unit_test(good_values),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(nul_bytes),
		cmocka_unit_test(size_limit),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
