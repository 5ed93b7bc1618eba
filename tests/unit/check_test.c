/*
 * A truth table per check of privsep/check.c.
 */
#include "unit.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "privsep/check.h"
#include "privsep/proto.h"

#define YES 0
#define NO (-EINVAL)
#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

struct name_case {
	const char *name;
	int result;
};

static void
names(int (*check)(const char *), const struct name_case *cases, size_t count)
{
	size_t i;

	assert_true(count >= 25);
	for (i = 0; i < count; i++)
		assert_case(check(cases[i].name) == cases[i].result, i,
		    cases[i].name);
}

static const struct name_case bridge_cases[] = {
	{ "br-fc", YES },
	{ "br-fc-a", YES },
	{ "br-fc-0", YES },
	{ "br-fc-test", YES },
	{ "br-fc-a-b", YES },
	{ "br-fc-abcdefghi", YES },	/* 15 bytes */
	{ "br-fc-abcdefghij", NO },	/* 16 bytes: IFNAMSIZ without a NUL */
	{ "", NO },
	{ "b", NO },
	{ "br", NO },
	{ "br-f", NO },
	{ "br-fc-", NO },
	{ "br-fc0", NO },
	{ "br-fcx", NO },
	{ "br-fc.1", NO },
	{ "br-fc-A", NO },
	{ "br-fc-a.1", NO },
	{ "br-fc-a/b", NO },
	{ "br-fc-..", NO },
	{ "br-fc-%d", NO },		/* the kernel would pick a number */
	{ "br-fc-a b", NO },
	{ "br-fc-a\n", NO },
	{ "br-fc ", NO },
	{ " br-fc", NO },
	{ "br-fc-\xc3\xa9", NO },
	{ "br-fc-a:1", NO },
	{ "br-fc_a", NO },
	{ "BR-FC", NO },
	{ "-br-fc", NO },
	{ "br0", NO },
	{ "docker0", NO },
	{ "eth0", NO },
	{ "lo", NO },
	{ "..", NO },
	{ "all", NO },			/* a name in /proc/sys/net/ipv4/conf */
	{ "default", NO },
	{ "br-fc-" X60, NO },
};

static void
bridge_names(void **state)
{
	(void)state;
	names(check_bridge_name, bridge_cases, ARRAY_SIZE(bridge_cases));
}

static const struct name_case label_cases[] = {
	{ "a", YES },
	{ "0", YES },
	{ "a-b", YES },
	{ "a--b", YES },
	{ "123", YES },
	{ "web-1", YES },
	{ X60 "xxx", YES },		/* 63 */
	{ X60 "xxxx", NO },
	{ "", NO },
	{ "-", NO },
	{ "-a", NO },
	{ "a-", NO },
	{ "A", NO },
	{ "a_b", NO },
	{ "a.b", NO },
	{ ".", NO },
	{ "..", NO },
	{ "a ", NO },
	{ " a", NO },
	{ "a b", NO },
	{ "a\n", NO },
	{ "a\tb", NO },
	{ "a/b", NO },
	{ "../a", NO },
	{ "a\x7f", NO },
	{ "a\033[1m", NO },
	{ "\xc3\xa9", NO },
	{ "xn--a", YES },
	{ "--help", NO },
	{ "a;reboot", NO },
	{ "a=b", NO },
	{ "a,b", NO },
	{ "$(a)", NO },
	{ "a'b", NO },
	{ "a\"b", NO },
	{ "a%s", NO },
	{ "*", NO },
};

static void
host_labels(void **state)
{
	(void)state;
	names(check_host_label, label_cases, ARRAY_SIZE(label_cases));
}

static const struct name_case object_cases[] = {
	{ "a", YES },
	{ "debian-bookworm", YES },
	{ "6.1.0-32-cloud-amd64", YES },
	{ "a_b", YES },
	{ "a.b", YES },
	{ "a-", YES },
	{ "a.", YES },
	{ X60 "xxx", YES },		/* 63 and a NUL */
	{ X60 "xxxx", NO },
	{ "", NO },
	{ ".", NO },
	{ "..", NO },
	{ ".a", NO },
	{ "-a", NO },
	{ "_a", NO },
	{ "a..b", NO },
	{ "a..", NO },
	{ "a/b", NO },
	{ "/a", NO },
	{ "a/", NO },
	{ "../a", NO },
	{ "A", NO },
	{ "a b", NO },
	{ " a", NO },
	{ "a ", NO },
	{ "a\n", NO },
	{ "a:b", NO },
	{ "a@b", NO },
	{ "a~", NO },
	{ "a\\b", NO },
	{ "\xc3\xa9", NO },
	{ "a\x01", NO },
	{ "a\x7f", NO },
	{ "a%", NO },
	{ "--rm", NO },
};

static void
object_names(void **state)
{
	(void)state;
	names(check_object_name, object_cases, ARRAY_SIZE(object_cases));
}

static void
vm_ids(void **state)
{
	static const struct {
		uint64_t id;
		int result;
	} cases[] = {
		{ 0, NO },
		{ 1, YES },
		{ 2, YES },
		{ 0xff, YES },
		{ 0x100, YES },
		{ 0xffff, YES },
		{ 0x10000, YES },
		{ INT32_MAX, YES },
		{ UINT32_MAX, YES },
		{ UINT64_C(1) << 32, YES },
		{ UINT64_C(1) << 40, YES },
		{ UINT64_C(0x7f3a00000001), YES },
		{ UINT64_C(0x800000000000), YES },
		{ (UINT64_C(1) << 47) - 1, YES },
		{ UINT64_C(1) << 47, YES },
		{ (UINT64_C(1) << 48) - 2, YES },
		{ (UINT64_C(1) << 48) - 1, YES },
		{ UINT64_C(1) << 48, NO },
		{ (UINT64_C(1) << 48) + 1, NO },
		{ UINT64_C(1) << 49, NO },
		{ UINT64_C(1) << 56, NO },
		{ UINT64_C(1) << 63, NO },
		{ (UINT64_C(1) << 63) | 1, NO },
		{ INT64_MAX, NO },
		{ UINT64_MAX - 1, NO },
		{ UINT64_MAX, NO },
	};
	size_t i;

	(void)state;
	assert_true(ARRAY_SIZE(cases) >= 25);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_case(check_vm_id(cases[i].id) == cases[i].result, i,
		    "vm id");
}

static void
prefixes(void **state)
{
	uint32_t prefix;

	(void)state;
	for (prefix = 0; prefix < 300; prefix++)
		assert_case(check_prefix(prefix) ==
		    (prefix >= 8 && prefix <= 32 ? YES : NO), prefix, "prefix");
	assert_int_equal(check_prefix(1U << 31), NO);
	assert_int_equal(check_prefix(UINT32_MAX), NO);
	assert_int_equal(check_prefix(UINT32_MAX - 7), NO);
}

#define IP(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

static void
networks(void **state)
{
	static const struct {
		uint32_t gateway, prefix;
		int result;
	} cases[] = {
		{ IP(172, 16, 0, 1), 24, YES },
		{ IP(10, 0, 0, 1), 8, YES },
		{ IP(192, 168, 1, 254), 24, YES },
		{ IP(192, 168, 1, 1), 30, YES },
		{ IP(192, 168, 1, 2), 30, YES },
		{ IP(172, 16, 1, 0), 16, YES },		/* a host of a /16 */
		{ IP(172, 16, 0, 255), 16, YES },
		{ IP(223, 255, 255, 1), 24, YES },
		{ IP(1, 0, 0, 1), 24, YES },
		{ IP(126, 0, 0, 1), 24, YES },
		{ IP(128, 0, 0, 1), 24, YES },
		{ IP(169, 253, 0, 1), 24, YES },
		{ IP(169, 255, 0, 1), 24, YES },
		{ IP(172, 16, 0, 0), 24, NO },		/* network */
		{ IP(172, 16, 0, 255), 24, NO },	/* broadcast */
		{ IP(172, 16, 0, 0), 16, NO },
		{ IP(172, 16, 255, 255), 16, NO },
		{ IP(192, 168, 1, 0), 30, NO },
		{ IP(192, 168, 1, 3), 30, NO },
		{ IP(192, 168, 1, 1), 31, NO },
		{ IP(192, 168, 1, 1), 32, NO },
		{ IP(192, 168, 1, 1), 7, NO },
		{ IP(192, 168, 1, 1), 0, NO },
		{ IP(192, 168, 1, 1), 33, NO },
		{ IP(192, 168, 1, 1), UINT32_MAX, NO },
		{ IP(0, 0, 0, 0), 24, NO },
		{ IP(0, 0, 0, 1), 8, NO },
		{ IP(127, 0, 0, 1), 8, NO },
		{ IP(127, 1, 2, 3), 24, NO },
		{ IP(169, 254, 0, 1), 24, NO },
		{ IP(169, 254, 169, 254), 30, NO },
		{ IP(224, 0, 0, 1), 24, NO },
		{ IP(239, 1, 1, 1), 24, NO },
		{ IP(240, 0, 0, 1), 24, NO },
		{ IP(255, 255, 255, 255), 8, NO },
		{ IP(255, 255, 255, 254), 24, NO },
	};
	size_t i;

	(void)state;
	assert_true(ARRAY_SIZE(cases) >= 25);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_case(check_network(cases[i].gateway,
		    cases[i].prefix) == cases[i].result, i, "network");
}

static void
guest_addresses(void **state)
{
	static const struct {
		uint32_t ipv4, gateway, prefix;
		int result;
	} cases[] = {
		{ IP(172, 16, 0, 2), IP(172, 16, 0, 1), 24, YES },
		{ IP(172, 16, 0, 254), IP(172, 16, 0, 1), 24, YES },
		{ IP(172, 16, 0, 1), IP(172, 16, 0, 254), 24, YES },
		{ IP(172, 16, 1, 0), IP(172, 16, 0, 1), 16, YES },
		{ IP(172, 16, 0, 255), IP(172, 16, 0, 1), 16, YES },
		{ IP(172, 16, 255, 254), IP(172, 16, 0, 1), 16, YES },
		{ IP(10, 255, 255, 254), IP(10, 0, 0, 1), 8, YES },
		{ IP(10, 0, 0, 2), IP(10, 0, 0, 1), 30, YES },
		{ IP(172, 16, 0, 1), IP(172, 16, 0, 1), 24, NO }, /* gateway */
		{ IP(172, 16, 0, 0), IP(172, 16, 0, 1), 24, NO },
		{ IP(172, 16, 0, 255), IP(172, 16, 0, 1), 24, NO },
		{ IP(172, 16, 255, 255), IP(172, 16, 0, 1), 16, NO },
		{ IP(172, 16, 1, 2), IP(172, 16, 0, 1), 24, NO },
		{ IP(172, 15, 0, 2), IP(172, 16, 0, 1), 24, NO },
		{ IP(172, 17, 0, 2), IP(172, 16, 0, 1), 16, NO },
		{ IP(10, 0, 0, 0), IP(10, 0, 0, 1), 30, NO },
		{ IP(10, 0, 0, 3), IP(10, 0, 0, 1), 30, NO },
		{ IP(10, 0, 0, 4), IP(10, 0, 0, 1), 30, NO },
		{ 0, IP(172, 16, 0, 1), 24, NO },
		{ UINT32_MAX, IP(172, 16, 0, 1), 24, NO },
		{ IP(127, 0, 0, 1), IP(172, 16, 0, 1), 24, NO },
		{ IP(224, 0, 0, 1), IP(172, 16, 0, 1), 24, NO },
		{ IP(8, 8, 8, 8), IP(172, 16, 0, 1), 24, NO },
		{ IP(2, 0, 16, 172), IP(172, 16, 0, 1), 24, NO }, /* order */
		{ IP(127, 0, 0, 2), IP(127, 0, 0, 1), 8, NO },
		{ IP(172, 16, 0, 2), IP(172, 16, 0, 1), 31, NO },
		{ IP(172, 16, 0, 2), IP(172, 16, 0, 1), 0, NO },
		{ IP(172, 16, 0, 2), IP(172, 16, 0, 1), 33, NO },
		{ IP(172, 16, 0, 2), IP(172, 16, 0, 0), 24, NO },
		{ IP(172, 16, 0, 2), 0, 0, NO },
	};
	size_t i;

	(void)state;
	assert_true(ARRAY_SIZE(cases) >= 25);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_case(check_guest_ipv4(cases[i].ipv4, cases[i].gateway,
		    cases[i].prefix) == cases[i].result, i, "address");
}

static int
check_path_of_config(const char *path)
{
	return check_path(path, 64);
}

static const struct name_case path_cases[] = {
	{ "/a", YES },
	{ "/var/lib/banger", YES },
	{ "/a.b", YES },
	{ "/.a", YES },
	{ "/...", YES },
	{ "/..a", YES },
	{ "/a..", YES },
	{ "/a b", YES },
	{ "/-a", YES },
	{ "/\xc3\xa9", YES },
	{ "/" X60 "xx", YES },		/* 63 and a NUL */
	{ "/" X60 "xxx", NO },		/* no room for the NUL */
	{ "/" X60 X60, NO },
	{ "", NO },
	{ "/", NO },			/* nobody wants that as a directory */
	{ "a", NO },
	{ "a/b", NO },
	{ "./a", NO },
	{ "~/a", NO },
	{ "//", NO },
	{ "//a", NO },
	{ "/a//b", NO },
	{ "/a/", NO },
	{ "/.", NO },
	{ "/..", NO },
	{ "/./a", NO },
	{ "/../a", NO },
	{ "/a/.", NO },
	{ "/a/..", NO },
	{ "/a/./b", NO },
	{ "/a/../b", NO },
	{ "/a\n", NO },
	{ "/a\tb", NO },
	{ "/a\x01", NO },
	{ "/a\x7f", NO },
	{ "/\033[2J", NO },
	{ " /a", NO },
};

static void
paths(void **state)
{
	char unterminated[4] = { '/', 'a', 'b', 'c' };

	(void)state;
	names(check_path_of_config, path_cases, ARRAY_SIZE(path_cases));
	assert_int_equal(check_path(unterminated, sizeof(unterminated)), NO);
	assert_int_equal(check_path("/a", 0), NO);
}

/* All ways to put letters and NULs into five bytes: bit I is a letter at I. */
static void
strings(void **state)
{
	static const bool good[32] = { [0x00] = true, [0x01] = true,
		[0x03] = true, [0x07] = true, [0x0f] = true };
	uint32_t bits, i;

	(void)state;
	for (bits = 0; bits < ARRAY_SIZE(good); bits++) {
		char text[5];

		for (i = 0; i < sizeof(text); i++)
			text[i] = (bits >> i & 1) != 0 ? 'a' : '\0';
		assert_case(check_string(text, sizeof(text)) ==
		    (good[bits] ? YES : NO), bits, "string");
	}
	assert_int_equal(check_string("", 0), NO);
}

static void
vm_sizes(void **state)
{
	static const struct {
		uint32_t vcpus, mem_mib;
		int result;
	} cases[] = {
		{ 1, 1024, YES },
		{ 2, 1024, YES },
		{ 4, 1024, YES },
		{ 6, 1024, YES },
		{ 32, 1024, YES },
		{ 1, MEM_MIB_MIN, YES },
		{ 1, MEM_MIB_MIN + 1, YES },
		{ 1, MEM_MIB_MAX, YES },
		{ 32, MEM_MIB_MAX, YES },
		{ 0, 1024, NO },
		{ 3, 1024, NO },
		{ 5, 1024, NO },
		{ 31, 1024, NO },
		{ 33, 1024, NO },
		{ 34, 1024, NO },
		{ 64, 1024, NO },
		{ UINT32_MAX, 1024, NO },
		{ UINT32_MAX - 1, 1024, NO },
		{ 1U << 31, 1024, NO },
		{ 1, 0, NO },
		{ 1, 1, NO },
		{ 1, MEM_MIB_MIN - 1, NO },
		{ 1, MEM_MIB_MAX + 1, NO },
		{ 1, UINT32_MAX, NO },
		{ 1, 1U << 31, NO },
		{ 0, 0, NO },
		{ 3, 0, NO },
	};
	size_t i;

	(void)state;
	assert_true(ARRAY_SIZE(cases) >= 25);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_case(check_vm_size(cases[i].vcpus, cases[i].mem_mib) ==
		    cases[i].result, i, "size");
}

static void
disk_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		int result;
	} cases[] = {
		{ 0, -EINVAL }, { 1, -EINVAL }, { 512, -EINVAL },
		{ 4095, -EINVAL }, { 4096, 0 }, { 4097, -EINVAL },
		{ 4096 + 512, -EINVAL }, { 8192, 0 }, { 1 << 20, 0 },
		{ UINT64_C(8) << 30, 0 }, { (UINT64_C(8) << 30) + 1, -EINVAL },
		{ SNAPSHOT_DISK_MAX - 4096, 0 }, { SNAPSHOT_DISK_MAX, 0 },
		{ SNAPSHOT_DISK_MAX + 4096, -EINVAL },
		{ UINT64_C(1) << 63, -EINVAL }, { UINT64_MAX, -EINVAL },
		{ UINT64_MAX - 4095, -EINVAL },
		{ 12288, 0 }, { 2048, -EINVAL }, { 4096 * 3 + 1, -EINVAL },
		{ (UINT64_C(1) << 32) + 4096, 0 }, { UINT64_C(1) << 32, 0 },
		{ (UINT64_C(1) << 32) + 1, -EINVAL },
		{ SNAPSHOT_DISK_MAX - 1, -EINVAL },
		{ SNAPSHOT_DISK_MAX * 2, -EINVAL },
		{ (UINT64_C(1) << 63) + 4096, -EINVAL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_case(check_disk_size(cases[i].bytes) ==
		    cases[i].result, i, "disk size");
}

/* --- fds --- */

enum { WORKER = 700000, OTHER = 700001, SMALL = 100, LARGEST = 4096 };

static struct temp temp;

/* A new file of OWNER and LEN bytes, opened with FLAGS. */
static int
file(uid_t owner, mode_t mode, off_t len, int flags)
{
	static unsigned int count;
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "f%u", count++);
	fd = openat(temp.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, len), 0);
	assert_int_equal(fchown(fd, owner, owner), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	fd = openat(temp.fd, name, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int
plain(void)
{
	return file(WORKER, 0600, SMALL, O_RDONLY);
}

static int
of_root(void)
{
	return file(0, 0644, SMALL, O_RDONLY);
}

static int
of_another(void)
{
	return file(OTHER, 0666, SMALL, O_RDONLY);
}

static int
of_uid_max(void)
{
	return file(INT32_MAX, 0666, SMALL, O_RDONLY);
}

static int
smallest(void)
{
	return file(WORKER, 0600, 1, O_RDONLY);
}

static int
empty(void)
{
	return file(WORKER, 0600, 0, O_RDONLY);
}

static int
largest(void)
{
	return file(WORKER, 0600, LARGEST, O_RDONLY);
}

static int
too_large(void)
{
	return file(WORKER, 0600, LARGEST + 1, O_RDONLY);
}

static int
huge(void)
{
	return file(WORKER, 0600, (off_t)1 << 40, O_RDONLY);
}

static int
write_only(void)
{
	return file(WORKER, 0600, SMALL, O_WRONLY);
}

static int
read_write(void)
{
	return file(WORKER, 0600, SMALL, O_RDWR);
}

static int
appending(void)
{
	return file(WORKER, 0600, SMALL, O_RDWR | O_APPEND);
}

static int
reading_append(void)
{
	return file(WORKER, 0600, SMALL, O_RDONLY | O_APPEND);
}

static int
nonblocking(void)
{
	return file(WORKER, 0600, SMALL, O_RDONLY | O_NONBLOCK);
}

static int
path_only(void)
{
	return file(WORKER, 0600, SMALL, O_PATH);
}

static int
two_links(void)
{
	int fd = file(WORKER, 0600, SMALL, O_RDONLY);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)unlinkat(temp.fd, "second", 0);
	assert_int_equal(linkat(AT_FDCWD, path, temp.fd, "second",
	    AT_SYMLINK_FOLLOW), 0);
	return fd;
}

static int
no_link(void)
{
	int fd;

	(void)unlinkat(temp.fd, "gone", 0);
	fd = openat(temp.fd, "gone", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	assert_true(fd >= 0 && ftruncate(fd, SMALL) == 0 &&
	    fchown(fd, WORKER, WORKER) == 0);
	close(fd);
	fd = openat(temp.fd, "gone", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unlinkat(temp.fd, "gone", 0), 0);
	return fd;
}

static int
memory(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	assert_true(fd >= 0 && ftruncate(fd, SMALL) == 0 &&
	    fchown(fd, WORKER, WORKER) == 0);
	return fd;
}

static int
memory_reopened(void)
{
	_cleanup_close_ int fd = memory();
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int
directory(void)
{
	(void)mkdirat(temp.fd, "dir", 0755);
	assert_int_equal(fchownat(temp.fd, "dir", WORKER, WORKER, 0), 0);
	return openat(temp.fd, "dir", O_RDONLY | O_CLOEXEC);
}

static int
fifo(void)
{
	(void)mkfifoat(temp.fd, "fifo", 0600);
	assert_int_equal(fchownat(temp.fd, "fifo", WORKER, WORKER, 0), 0);
	return openat(temp.fd, "fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static int
fifo_path_only(void)
{
	close(fifo());
	return openat(temp.fd, "fifo", O_PATH | O_CLOEXEC);
}

static int
pipe_end(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[1]);
	return fds[0];
}

static int
unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int
char_device(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int
block_device_node(void)
{
	(void)mknodat(temp.fd, "block", S_IFBLK | 0600, makedev(7, 0));
	return openat(temp.fd, "block", O_PATH | O_CLOEXEC);
}

static int
proc_file(void)
{
	return open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

static int
sys_file(void)
{
	return open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC);
}

static int
pipe_writing_end(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	return fds[1];
}

static int
symlink_node(void)
{
	(void)unlinkat(temp.fd, "link", 0);
	assert_int_equal(symlinkat("/etc/passwd", temp.fd, "link"), 0);
	return openat(temp.fd, "link", O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int
closed(void)
{
	return 1000;
}

static int
negative(void)
{
	return -1;
}

static void
sector_fds(void **state)
{
	static const off_t sizes[] = { 0, 1, 511, 512, 513, 1024, 4096, 4608,
		4609 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		int fd = file(WORKER, 0600, sizes[i], O_RDWR);

		assert_case(check_sectors_fd(fd) == (sizes[i] % 512 == 0 ? 0 :
		    -EINVAL), i, "sectors");
		close(fd);
	}
	assert_int_equal(check_sectors_fd(-1), -EBADF);
}

static void
file_fds(void **state)
{
	static const struct {
		const char *name;
		int (*make)(void);
		int access, result;
	} cases[] = {
		{ "plain", plain, O_RDONLY, 0 },
		{ "root's", of_root, O_RDONLY, -EPERM },
		{ "one byte", smallest, O_RDONLY, 0 },
		{ "as large as may be", largest, O_RDONLY, 0 },
		{ "O_NONBLOCK", nonblocking, O_RDONLY, 0 },
		{ "read-write", read_write, O_RDWR, 0 },
		{ "unlinked", no_link, O_RDONLY, 0 },
		{ "memfd", memory, O_RDWR, 0 },
		{ "memfd, reopened", memory_reopened, O_RDONLY, 0 },
		{ "memfd, but it is writable", memory, O_RDONLY, -EACCES },
		{ "read-only for writing", plain, O_RDWR, -EACCES },
		{ "read-write for reading", read_write, O_RDONLY, -EACCES },
		{ "write-only for reading", write_only, O_RDONLY, -EACCES },
		{ "write-only for both", write_only, O_RDWR, -EACCES },
		{ "O_APPEND", appending, O_RDWR, -EACCES },
		{ "O_APPEND, reading", reading_append, O_RDONLY, -EACCES },
		{ "O_PATH", path_only, O_RDONLY, -EACCES },
		{ "O_PATH for writing", path_only, O_RDWR, -EACCES },
		{ "another's", of_another, O_RDONLY, -EPERM },
		{ "of uid 2^31-1", of_uid_max, O_RDONLY, -EPERM },
		{ "two links", two_links, O_RDONLY, -EMLINK },
		{ "empty", empty, O_RDONLY, -EFBIG },
		{ "too large", too_large, O_RDONLY, -EFBIG },
		{ "1 TiB", huge, O_RDONLY, -EFBIG },
		{ "directory", directory, O_RDONLY, -EINVAL },
		{ "FIFO", fifo, O_RDONLY, -EINVAL },
		{ "FIFO, O_PATH", fifo_path_only, O_RDONLY, -EACCES },
		{ "pipe", pipe_end, O_RDONLY, -EINVAL },
		{ "pipe, writing end", pipe_writing_end, O_RDONLY, -EACCES },
		{ "socket", unix_socket, O_RDWR, -EINVAL },
		{ "character device", char_device, O_RDONLY, -EINVAL },
		{ "block device, O_PATH", block_device_node, O_RDONLY,
		    -EACCES },
		{ "/proc", proc_file, O_RDONLY, -EPERM },
		{ "/sys", sys_file, O_RDONLY, -EPERM },
		{ "symlink", symlink_node, O_RDONLY, -EACCES },
		{ "not open", closed, O_RDONLY, -EBADF },
		{ "-1", negative, O_RDONLY, -EBADF },
	};
	size_t i;

	(void)state;
	need_root();
	assert_true(ARRAY_SIZE(cases) >= 25);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = cases[i].make();
		int r = check_file_fd(fd, WORKER, cases[i].access, 1, LARGEST);

		assert_case(r == cases[i].result, i, cases[i].name);
		close(fd);
	}
}

static void
exec_fds(void **state)
{
	static const struct {
		const char *name;
		uid_t owner;
		mode_t mode;
		int result;
	} cases[] = {
		{ "0755", 0, 0755, 0 },
		{ "0555", 0, 0555, 0 },
		{ "0700", 0, 0700, 0 },
		{ "0500", 0, 0500, 0 },
		{ "0100", 0, 0100, 0 },
		{ "0111", 0, 0111, 0 },
		{ "0751", 0, 0751, 0 },
		{ "0710", 0, 0710, 0 },
		{ "sticky", 0, 01755, 0 },
		{ "not executable", 0, 0644, -EACCES },
		{ "no mode at all", 0, 0, -EACCES },
		{ "writable only", 0, 0666, -EACCES },
		{ "set-uid", 0, 04755, -EPERM },
		{ "set-gid", 0, 02755, -EPERM },
		{ "both", 0, 06755, -EPERM },
		{ "set-uid, for root alone", 0, 04700, -EPERM },
		{ "group-writable", 0, 0775, -EPERM },
		{ "group-writable, not readable", 0, 0720, -EPERM },
		{ "world-writable", 0, 0757, -EPERM },
		{ "everyone", 0, 0777, -EPERM },
		{ "sticky and writable", 0, 01777, -EPERM },
		{ "the worker's", WORKER, 0755, -EPERM },
		{ "another's", OTHER, 0555, -EPERM },
		{ "daemon's", 1, 0755, -EPERM },
		{ "uid 2^31-1", INT32_MAX, 0755, -EPERM },
		{ "the worker's, set-uid", WORKER, 04755, -EPERM },
	};
	static int (*const others[])(void) = { directory, fifo_path_only,
		block_device_node, symlink_node, char_device, unix_socket,
		pipe_end };
	size_t i;

	(void)state;
	need_root();
	assert_true(ARRAY_SIZE(cases) >= 25);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = file(cases[i].owner, cases[i].mode, SMALL, O_PATH);

		assert_case(check_exec_fd(fd) == cases[i].result, i,
		    cases[i].name);
		close(fd);
	}
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		int fd = others[i]();

		assert_case(check_exec_fd(fd) == -EACCES, i, "not a file");
		close(fd);
	}
	assert_int_equal(check_exec_fd(closed()), -EBADF);
}

/* A script is a file like any other here; execveat(2) by a fd refuses it. */
static void
exec_fd_script(void **state)
{
	static const char text[] = "#!/bin/sh\nexit 0\n";
	int fd;

	(void)state;
	need_root();
	put_file(temp.fd, "script", text, sizeof(text) - 1);
	assert_int_equal(fchmodat(temp.fd, "script", 0755, 0), 0);
	fd = openat(temp.fd, "script", O_PATH | O_CLOEXEC);
	assert_int_equal(check_exec_fd(fd), 0);
	close(fd);
}

static const struct {
	uint32_t ipv4, port;
	int result;
} resolver_cases[] = {
	{ 0x7f000001, 42069, YES },	/* 127.0.0.1 */
	{ 0x7f000001, 1, YES },
	{ 0x7f000001, 53, YES },	/* a host without another server */
	{ 0x7f000001, 65535, YES },
	{ 0x7f000002, 53, YES },
	{ 0x7f000034, 53, YES },	/* 127.0.0.52 */
	{ 0x7f000037, 53, YES },
	{ 0x7f0000ff, 53, YES },
	{ 0x7f010000, 53, YES },
	{ 0x7ffffffe, 53, YES },
	{ 0x7f000001, 0, NO },
	{ 0x7f000001, 65536, NO },
	{ 0x7f000001, 65536 + 53, NO },	/* 53 in 16 bits */
	{ 0x7f000001, UINT32_MAX, NO },
	{ 0x7f000035, 53, NO },		/* systemd-resolved itself */
	{ 0x7f000035, 42069, NO },
	{ 0x7f000036, 53, NO },
	{ 0x7f000000, 53, NO },
	{ 0x7fffffff, 53, NO },
	{ 0, 53, NO },			/* everywhere */
	{ 0, 0, NO },
	{ 0x0100007f, 53, NO },		/* 127.0.0.1, wrong way round */
	{ 0x7e000001, 53, NO },
	{ 0x80000001, 53, NO },
	{ 0xac100001, 53, NO },		/* the guests' gateway */
	{ 0x0a000001, 53, NO },
	{ 0xa9fe0001, 53, NO },
	{ 0xc0000201, 53, NO },
	{ 0xe00000fb, 5353, NO },	/* multicast */
	{ UINT32_MAX, 53, NO },
	{ UINT32_MAX, UINT32_MAX, NO },
};

static void
resolver_addresses(void **state)
{
	char text[32];
	size_t i;

	(void)state;
	assert_true(ARRAY_SIZE(resolver_cases) >= 25);
	for (i = 0; i < ARRAY_SIZE(resolver_cases); i++) {
		snprintf(text, sizeof(text), "%08x:%u", resolver_cases[i].ipv4,
		    resolver_cases[i].port);
		assert_case(check_resolver_address(resolver_cases[i].ipv4,
		    resolver_cases[i].port) == resolver_cases[i].result, i,
		    text);
	}
}

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
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
		cmocka_unit_test(vm_ids),
		cmocka_unit_test(bridge_names),
		cmocka_unit_test(resolver_addresses),
		cmocka_unit_test(host_labels),
		cmocka_unit_test(object_names),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(networks),
		cmocka_unit_test(guest_addresses),
		cmocka_unit_test(paths),
		cmocka_unit_test(strings),
		cmocka_unit_test(vm_sizes),
		cmocka_unit_test(disk_sizes),
		cmocka_unit_test(sector_fds),
		cmocka_unit_test(file_fds),
		cmocka_unit_test(exec_fds),
		cmocka_unit_test(exec_fd_script),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
