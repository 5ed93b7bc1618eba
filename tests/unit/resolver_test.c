/*
 * The resolver, with true(1) or false(1) in the place of resolvectl: what it runs,
 * as its own log tells it, and when it runs nothing. How it is confined, and a
 * program that hangs, is the script machine/names's.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "inject.h"
#include "privsep/log.h"
#include "privsep/proto.h"
#include "privsep/resolver.h"
#include "privsep/wire.h"

#define SOCKET "/run/systemd/resolve/io.systemd.Resolve"
#define BRIDGE "br-fc"

enum { PORT = 42069 };

static struct temp temp;
static struct config cfg = { .bridge_name = BRIDGE, .dns_ipv4 = 0x7f000001,
	.dns_port = PORT, .log_level = LOG_DEBUG };
static int resolved = -1;		/* listens in its place */
static int text = -1;			/* what the resolver has said */
static int ours = -1;

static int
listen_there(int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
		.sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unlink(SOCKET);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void
add_bridge(void)
{
	assert_int_equal(system("ip link add " BRIDGE " type bridge"), 0);
}

/* A network and a mount namespace with that bridge and somebody who listens. */
static int
set_up(void **state)
{
	(void)state;
	log_init("test", LOG_ERROR);
	begin_temp(&temp);
	if (geteuid() != 0)
		return 0;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") < 0 ||
	    mkdir("/run/systemd", 0755) < 0 ||
	    mkdir("/run/systemd/resolve", 0755) < 0 ||
	    system("ip link set lo up") != 0)
		return -1;
	add_bridge();
	resolved = listen_there(8);
	strcpy(cfg.resolvectl_bin, "/bin/true");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (geteuid() == 0)
		(void)system("ip link del " BRIDGE " 2>/dev/null");
	close_fdp(&resolved);
	end_temp(&temp);
	return 0;
}

/* ---- one resolver ---- */

static void
begin(const char *program)
{
	int kept = dup(STDERR_FILENO);

	strcpy(cfg.resolvectl_bin, program);
	text = open(temp.path, O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
	assert_true(text >= 0);
	assert_int_equal(dup2(text, STDERR_FILENO), STDERR_FILENO);
	ours = resolver_start(&cfg, temp.fd);
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	close(kept);
	assert_true(ours >= 0);
}

static void
say(uint32_t op, size_t len)
{
	const struct wire_request request = { .op = op };

	assert_int_equal(wire_send(ours, &request, len, NULL, 0, NULL, 0), 0);
}

static void
set(void)
{
	say(OP_RESOLVER_SET, sizeof(struct wire_request));
}

static void
clear(void)
{
	say(OP_RESOLVER_CLEAR, sizeof(struct wire_request));
}

/* Commands in the log that end with R: "dnssec no, ..., revert , ". */
static const char *
commands(const char *log, char out[1024])
{
	static const char prefix[] = "resolver: resolvectl ";
	char verb[32], value[64];
	const char *p;

	out[0] = '\0';
	for (p = log; (p = strstr(p, prefix)) != NULL; p++) {
		value[0] = '\0';
		assert_true(sscanf(p + strlen(prefix), "%31s " BRIDGE
		    " %63[^:\n]", verb, value) >= 1);
		snprintf(out + strlen(out), 1024 - strlen(out), "%s %s, ", verb,
		    value);
	}
	return out;
}

/* What it has said, till the next look. */
static const char *
said(void)
{
	static char log[8192];
	ssize_t n = pread(text, log, sizeof(log) - 1, 0);

	assert_true(n >= 0);
	log[n] = '\0';
	return log;
}

/* Until it has said LINE so often. */
static void
until(const char *line, int times)
{
	int tries, found;

	for (tries = 0; tries < 2000; tries++) {
		const char *p;

		found = 0;
		for (p = said(); (p = strstr(p, line)) != NULL; p++)
			found++;
		if (found == times)
			return;
		usleep(5000);
	}
	fail_msg("not %d times, but %d: %s", times, found, line);
}

/* It ends when the monitor does. What it has said. */
static const char *
end(void)
{
	const char *log;
	int status;

	close_fdp(&ours);
	assert_true(wait(&status) > 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	log = said();
	close_fdp(&text);
	return log;
}

#define OPTIONAL "dnssec no, dnsovertls no, llmnr no, mdns no, "
#define ALL OPTIONAL "domain ~vm, default-route no, dns 127.0.0.1, "

/* What END tells, beside "dns ADDRESS:PORT", whose colon ends a value. */
static void
ran(const char *expected)
{
	const char *log = end();
	char found[1024];

	assert_string_equal(commands(log, found), expected);
}

/* ---- tests ---- */

static void
set_and_taken_back(void **state)
{
	(void)state;
	need_root();
	begin("/bin/true");
	set();
	set();				/* nothing to do */
	say(OP_HELLO, sizeof(struct wire_request));
	clear();
	clear();
	set();
	ran(ALL "revert , " ALL "revert , ");
}

/* Another resolved, another bridge: once more. */
static void
changes(void **state)
{
	(void)state;
	need_root();
	begin("/bin/true");
	set();
	until("asks 127.0.0.1", 1);
	close(resolved);
	resolved = listen_there(8);
	set();
	until("asks 127.0.0.1", 2);
	assert_int_equal(system("ip link del " BRIDGE), 0);
	add_bridge();
	/* It is not the one that was set. */
	clear();
	ran(ALL ALL);
}

/* What is optional may fail; the rest undoes what was done. */
static void
fails(void **state)
{
	const char *log;
	char found[1024];

	(void)state;
	need_root();
	begin("/bin/false");
	set();
	set();				/* not again */
	log = end();
	assert_non_null(strstr(log, "resolvectl domain br-fc ~vm` failed"));
	assert_string_equal(commands(log, found),
	    OPTIONAL "domain ~vm, revert , ");
}

/* Told of nothing where nobody, or somebody else's resolved, listens. */
static void
nobody_there(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
		.sun_path = SOCKET };
	int fds[4], i, elsewhere, here;

	(void)state;
	need_root();
	begin("/bin/true");
	assert_int_equal(unlink(SOCKET), 0);
	set();
	until("does not run here", 1);
	close(resolved);
	resolved = listen_there(-1);	/* a socket that nobody serves */
	set();
	until("does not run here", 2);
	close_fdp(&resolved);
	/* In another network namespace. */
	here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	elsewhere = listen_there(8);
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	close(here);
	set();
	until("does not run here", 3);
	close(elsewhere);
	ran("");
	/* Busy is there. */
	resolved = listen_there(0);
	for (i = 0; i < 4; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&addr, sizeof(addr));
	}
	begin("/bin/true");
	set();
	ran(ALL "revert , ");
	for (i = 0; i < 4; i++)
		close(fds[i]);
	/* No bridge. */
	assert_int_equal(system("ip link del " BRIDGE), 0);
	begin("/bin/true");
	set();
	ran("");
}

/* A record of another size ends it, and takes back what was set. */
static void
malformed(void **state)
{
	(void)state;
	need_root();
	begin("/bin/true");
	set();
	say(OP_RESOLVER_SET, 8);
	ran(ALL "revert , ");
}

static void
programs(void **state)
{
	char path[96];
	int lock;

	(void)state;
	need_root();
	strcpy(cfg.resolvectl_bin, "/nonexistent");
	assert_int_equal(resolver_start(&cfg, temp.fd), -1);
	/* One that others can write. */
	put_file(temp.fd, "resolvectl", "x", 1);
	assert_int_equal(fchmodat(temp.fd, "resolvectl", 0777, 0), 0);
	snprintf(path, sizeof(path), "%s/resolvectl", temp.path);
	strcpy(cfg.resolvectl_bin, path);
	assert_int_equal(resolver_start(&cfg, temp.fd), -1);
	cfg.resolvectl_bin[0] = '\0';
	if (access("/usr/bin/resolvectl", F_OK) < 0)
		assert_int_equal(resolver_start(&cfg, temp.fd), -1);
	/* No place for its lock. */
	strcpy(cfg.resolvectl_bin, "/bin/true");
	lock = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(resolver_start(&cfg, lock), -1);
	close(lock);
}

static void
bound(void **state)
{
	struct config other = cfg;
	int fd, again;

	(void)state;
	need_root();
	other.dns_port = 0;
	assert_int_equal(resolver_bind(&other), -1);
	fd = resolver_bind(&cfg);
	assert_true(fd >= 0);
	again = resolver_bind(&cfg);
	assert_int_equal(again, -1);
	close(fd);
	other = cfg;
	other.dns_ipv4 = 0xcb007109;	/* not an address of ours */
	assert_int_equal(resolver_bind(&other), -1);
}

static int
start(void)
{
	ours = resolver_start(&cfg, temp.fd);
	return ours;
}

static const char *
ended(int r)
{
	(void)r;
	close_fdp(&ours);
	while (wait(NULL) > 0)
		continue;
	return NULL;
}

static int
bind_it(void)
{
	return ours = resolver_bind(&cfg);
}

static void
faults(void **state)
{
	static const long harmless[] = { SYS_write, -1 };
	const struct act starting = { "resolver", NULL, start, ended, 0,
		harmless };
	const struct act binding = { "names", NULL, bind_it, ended, 0,
		harmless };

	(void)state;
	need_root();
	strcpy(cfg.resolvectl_bin, "/bin/true");
	assert_true(inject_all(&starting) >= 18);
	assert_true(inject_all(&binding) >= 6);
}

#define fresh_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		fresh_test(set_and_taken_back),
		fresh_test(changes),
		fresh_test(fails),
		fresh_test(nobody_there),
		fresh_test(malformed),
		fresh_test(programs),
		fresh_test(bound),
		fresh_test(faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
