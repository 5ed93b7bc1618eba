/*
 * The guest agent's reading of its kernel command line, and its files in /etc.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "guest/etc.h"
#include "privsep/util.h"

static int
parse(const char *text, struct guest_config *out)
{
	return guest_config_parse(text, out, NULL, 0);
}

static void
test_config(void **state)
{
	struct guest_config c;

	(void)state;
	assert_int_equal(parse("console=ttyS0 quiet banger.host=vm-1.lab "
	    "banger.ip=172.16.0.7/24 banger.gw=172.16.0.1 "
	    "banger.dns=1.1.1.1,9.9.9.9,8.8.8.8 banger.init=none\n", &c), 0);
	assert_string_equal(c.host, "vm-1.lab");
	assert_true(c.has_ip && c.has_gateway && c.init_none);
	assert_int_equal(c.prefix, 24);
	assert_int_equal(ntohl(c.ip.s_addr), 0xac100007);
	assert_int_equal(ntohl(c.gateway.s_addr), 0xac100001);
	assert_int_equal(c.dns_count, 3);
	assert_int_equal(ntohl(c.dns[1].s_addr), 0x09090909);
	assert_int_equal(parse("", &c), 0);
	assert_true(!c.has_ip && !c.init_none && c.host[0] == '\0');
	assert_int_equal(parse("xbanger.init=none bangerx init=none", &c), 0);
	assert_false(c.init_none || c.vsock);
	assert_int_equal(parse("banger.link=vsock", &c), 0);
	assert_true(c.vsock);
	assert_int_equal(parse("banger.link=serial", &c), 0);
	assert_false(c.vsock);
}

static void
test_config_bad(void **state)
{
	static const char *const bad[] = {
		"banger.host=", "banger.host=-a", "banger.host=a-",
		"banger.host=a..b", "banger.host=.a", "banger.host=a.",
		"banger.host=a_b", "banger.host=a/b", "banger.host=a-.b",
		"banger.host=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
		    "ffffffffff1234",
		"banger.ip=1.2.3.4", "banger.ip=1.2.3.4/0",
		"banger.ip=1.2.3.4/33", "banger.ip=1.2.3/24",
		"banger.ip=1.2.3.4/+8", "banger.ip=1.2.3.4/08",
		"banger.ip=1.2.3.444/8", "banger.ip=/8", "banger.gw=1.2.3",
		"banger.gw=", "banger.dns=", "banger.dns=1.1.1.1,",
		"banger.dns=,1.1.1.1", "banger.dns=1.1.1.1,2.2.2.2,3.3.3.3,"
		    "4.4.4.4", "banger.init=", "banger.init=non",
		"banger.init=none2", "banger.link=", "banger.link=vsocks",
		"banger.link=v", "banger.other=1", "banger.",
	};
	struct guest_config c, none;
	char first[64];
	size_t i;

	(void)state;
	memset(&none, 0, sizeof(none));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(guest_config_parse(bad[i], &c, first,
		    sizeof(first)), 1);
		assert_memory_equal(first, bad[i],
		    strlen(bad[i]) < 63 ? strlen(bad[i]) + 1 : 63);
		assert_false(c.has_ip || c.has_gateway || c.init_none ||
		    c.vsock);
		assert_int_equal(c.dns_count, 0);
		assert_string_equal(c.host, "");
	}
}

/* A directory to write in, and what it is made of. */
struct place {
	char path[64];
	int dir;
};

static void
place_open(struct place *p)
{
	snprintf(p->path, sizeof(p->path), "/tmp/banger-etc.XXXXXX");
	assert_non_null(mkdtemp(p->path));
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->dir >= 0);
}

static void
place_close(struct place *p)
{
	static const char *const names[] = { "hostname", "hosts", "resolv.conf",
	    "target" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(p->dir, names[i], 0);
	close(p->dir);
	/* Fails if a temporary file was left behind. */
	assert_int_equal(rmdir(p->path), 0);
}

static void
put(const struct place *p, const char *name, const char *text)
{
	int fd = openat(p->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0600);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static void
expect(const struct place *p, const char *name, const char *text)
{
	int fd = openat(p->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char got[4096] = "";

	assert_true(fd >= 0);
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	close(fd);
	assert_string_equal(got, text);
}

static void
test_etc(void **state)
{
	struct guest_config c;
	struct stat before, after;
	struct place p;

	(void)state;
	place_open(&p);
	assert_int_equal(parse("banger.host=vm1 banger.dns=1.1.1.1,9.9.9.9",
	    &c), 0);
	put(&p, "target", "untouched\n");
	assert_int_equal(symlinkat("target", p.dir, "resolv.conf"), 0);
	put(&p, "hosts", "# vm1\n127.0.0.1 localhost vm10 #vm1\n::1 xvm1");
	assert_int_equal(etc_write(p.dir, &c), 0);
	expect(&p, "target", "untouched\n");
	expect(&p, "resolv.conf", "# written by banger at boot\n"
	    "nameserver 1.1.1.1\nnameserver 9.9.9.9\n");
	expect(&p, "hostname", "vm1\n");
	expect(&p, "hosts", "# vm1\n127.0.0.1 localhost vm10 #vm1\n::1 xvm1\n"
	    "127.0.1.1\tvm1\n");
	/* The second time there is nothing to do. */
	assert_int_equal(fstatat(p.dir, "hosts", &before, 0), 0);
	assert_int_equal(etc_write(p.dir, &c), 0);
	assert_int_equal(fstatat(p.dir, "hosts", &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	place_close(&p);
}

static void
test_etc_empty(void **state)
{
	struct guest_config c;
	struct place p;
	struct stat st;

	(void)state;
	place_open(&p);
	assert_int_equal(parse("", &c), 0);
	assert_int_equal(etc_write(p.dir, &c), 0);
	assert_int_equal(parse("banger.host=vm1", &c), 0);
	assert_int_equal(etc_write(p.dir, &c), 0);
	expect(&p, "hosts", "127.0.0.1\tlocalhost\n"
	    "::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tvm1\n");
	assert_int_equal(fstatat(p.dir, "hosts", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(fstatat(p.dir, "resolv.conf", &st, 0), -1);
	place_close(&p);
}

/* Odd things in the way neither block nor are followed. */
static void
test_etc_odd(void **state)
{
	struct guest_config c;
	struct place p;

	(void)state;
	place_open(&p);
	assert_int_equal(parse("banger.host=vm1 banger.dns=1.1.1.1", &c), 0);
	assert_int_equal(mkfifoat(p.dir, "hosts", 0600), 0);
	assert_int_equal(mkdirat(p.dir, "hostname", 0700), 0);
	assert_true(etc_write(p.dir, &c) < 0);
	expect(&p, "resolv.conf",
	    "# written by banger at boot\nnameserver 1.1.1.1\n");
	assert_int_equal(unlinkat(p.dir, "hostname", AT_REMOVEDIR), 0);
	place_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_config_bad),
		cmocka_unit_test(test_etc),
		cmocka_unit_test(test_etc_empty),
		cmocka_unit_test(test_etc_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
