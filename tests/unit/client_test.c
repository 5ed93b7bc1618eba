/*
 * Whole commands against a worker that is played here: what is asked of it,
 * what the user sees, and with which exit code the client ends.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/stream.h"
#include "client/catalog.h"
#include "client/catalog_builtin.h"
#include "client/client.h"
#include "privsep/util.h"
#include "version.h"

#define NONCE "000102030405060708090a0b0c0d0e0f"

/* What comes with a reply's line. */
enum with { NOTHING, FILE_FD, STREAM_FD, INTERRUPT };

/* One request that the worker expects, and its reply. */
struct exchange {
	const char *request;
	const char *reply;
	enum with with;
};

static char dir[] = "/tmp/banger-client.XXXXXX";
static char out[8192], err[8192];

static const char greeting[] =
    "{\"ok\":true,\"result\":{\"version\":\"" BANGER_VERSION "\"}}\n";

static const char *
in_dir(const char *name)
{
	static char path[4][128];
	static unsigned int next;
	char *p = path[next++ % ARRAY_SIZE(path)];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static int
listener(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/banger.sock", dir);
	unlink(addr.sun_path);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(sock, 8), 0);
	return sock;
}

static void
send_reply(int conn, const char *text, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char copy[2048];
	struct iovec iov = { copy, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (strlen(text) > sizeof(copy))
		_exit(10);
	memcpy(copy, text, strlen(text));
	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	if (sendmsg(conn, &msg, MSG_NOSIGNAL) != (ssize_t)strlen(text))
		_exit(11);
}

/* One line into LINE, without its newline; the fd that came, or -1. */
static int
read_request(int conn, char *line, size_t size)
{
	char control[CMSG_SPACE(sizeof(int))];
	size_t len = 0;
	int fd = -1;

	do {
		struct iovec iov = { line + len, size - 1 - len };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

		if (n <= 0)
			_exit(12);
		if (cmsg != NULL)
			memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
		len += (size_t)n;
	} while (line[len - 1] != '\n');
	line[len - 1] = '\0';
	return fd;
}

/* The agent's part: some output on both streams, then exit status 42. */
static void
play_agent(int sock)
{
	static const uint8_t nonce[STREAM_NONCE_SIZE] = { 0, 1, 2, 3, 4, 5, 6, 7,
		8, 9, 10, 11, 12, 13, 14, 15 };
	struct stream_exit status = { .kind = EXIT_KIND_CODE, .value = 42 };
	uint8_t frame[STREAM_CONTROL_MAX], rx[8192];
	size_t len;

	len = stream_put_hello(frame, nonce);
	(void)write_full(sock, frame, len);
	stream_header(frame, STREAM_STDOUT, 0, 3);
	memcpy(frame + STREAM_HEADER_SIZE, "hi\n", 3);
	(void)write_full(sock, frame, STREAM_HEADER_SIZE + 3);
	stream_header(frame, STREAM_STDERR, 0, 4);
	memcpy(frame + STREAM_HEADER_SIZE, "err\n", 4);
	(void)write_full(sock, frame, STREAM_HEADER_SIZE + 4);
	len = stream_put_exit(frame, &status);
	(void)write_full(sock, frame, len);
	while (read(sock, rx, sizeof(rx)) > 0)
		;
	_exit(0);
}

static int
reply_fd(enum with with)
{
	int socks[2];

	if (with == FILE_FD)
		return open(in_dir("log"), O_RDONLY | O_CLOEXEC);
	if (with != STREAM_FD)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		_exit(13);
	if (fork() == 0) {
		close(socks[0]);
		play_agent(socks[1]);
	}
	close(socks[1]);
	return socks[0];
}

/* SIGINT to the client; it must close its direction before we do ours. */
static void
interrupt(int conn)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char byte;

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    kill(peer.pid, SIGINT) < 0 || read(conn, &byte, 1) != 0)
		_exit(14);
	_exit(0);
}

/* Says what came and what was due, for the test's output. */
static void
expect_line(const char *line, const char *due)
{
	if (strcmp(line, due) != 0) {
		fprintf(stderr, "worker got: %s\n       not: %s\n", line, due);
		_exit(15);
	}
}

/* The worker's life: REFUSALS connections are dropped, one is served. */
static void __attribute__((noreturn))
play_worker(int sock, int refusals, const struct exchange *exchanges,
    size_t count)
{
	char line[8192];
	size_t i;
	int conn;

	while (refusals-- > 0)
		close(accept(sock, NULL, NULL));
	conn = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
	(void)read_request(conn, line, sizeof(line));
	expect_line(line, "{\"op\":\"version\"}");
	send_reply(conn, greeting, -1);
	for (i = 0; i < count; i++) {
		int fd = read_request(conn, line, sizeof(line));

		expect_line(line, exchanges[i].request);
		if (exchanges[i].with == INTERRUPT)
			interrupt(conn);
		if (fd >= 0 && (read(fd, line, 4) != 4 ||
		    memcmp(line, "TAR!", 4) != 0))
			_exit(16);
		fd = reply_fd(exchanges[i].with);
		send_reply(conn, exchanges[i].reply, fd);
		close_fdp(&fd);
	}
	/* The client has nothing more to say. */
	if (recv(conn, line, 1, 0) > 0)
		_exit(17);
	_exit(0);
}

static void
redirect(const char *name, int fd)
{
	int file = open(in_dir(name), O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (file < 0 || dup2(file, fd) < 0)
		_exit(99);
	close(file);
}

/* Runs the client on the blank-separated LINE in a child. */
static pid_t
start_client(const char *line, int sock)
{
	static char name[] = "banger", flag[] = "--config";
	char config[128], copy[512], *word;
	char *argv[32] = { name, flag, config };
	int argc = 3;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	close(sock);
	snprintf(config, sizeof(config), "%s", in_dir("config.toml"));
	snprintf(copy, sizeof(copy), "%s", line);
	for (word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = word;
	redirect("in", STDIN_FILENO);
	redirect("out", STDOUT_FILENO);
	redirect("err", STDERR_FILENO);
	exit(client_main(argc, argv));
}

static void
slurp(const char *name, char *buf, size_t size)
{
	FILE *file = fopen(in_dir(name), "r");

	assert_non_null(file);
	buf[fread(buf, 1, size - 1, file)] = '\0';
	fclose(file);
}

/*
 * Runs LINE against a worker that expects COUNT exchanges; the client's exit
 * code, with its output in OUT and ERR.
 */
static int
run(const char *line, int refusals, const struct exchange *exchanges,
    size_t count)
{
	int sock = listener(), status, code;
	pid_t worker = fork(), client;

	assert_true(worker >= 0);
	if (worker == 0)
		play_worker(sock, refusals, exchanges, count);
	client = start_client(line, sock);
	close(sock);
	assert_int_equal(waitpid(client, &status, 0), client);
	assert_true(WIFEXITED(status));
	code = WEXITSTATUS(status);
	slurp("out", out, sizeof(out));
	slurp("err", err, sizeof(err));
	assert_int_equal(waitpid(worker, &status, 0), worker);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s: worker %x; client %d: %s", line, status, code, err);
	return code;
}

static void
lists(void **state)
{
	const struct exchange list = { "{\"op\":\"vm.list\"}",
		"{\"ok\":true,\"result\":{\"vms\":[{\"name\":\"web\",\"id\":"
		"\"0123456789ab\",\"state\":\"running\",\"ip\":\"172.16.0.2\","
		"\"vcpu\":2,\"memory_mib\":1024,\"disk_size_bytes\":8589934592"
		"}]}}\n", NOTHING };
	const struct exchange odd = { "{\"op\":\"image.list\"}",
		"{\"ok\":true,\"result\":{}}\n", NOTHING };

	(void)state;
	assert_int_equal(run("vm list", 0, &list, 1), 0);
	assert_string_equal(out,
	    "NAME  STATE    ADDRESS     IMAGE  KERNEL  VCPU  MEMORY  DISK  AGE\n"
	    "web   running  172.16.0.2  -      -       2     1G      8G    -\n");
	assert_string_equal(err, "");
	assert_int_equal(run("ps --json", 0, &list, 1), 0);
	assert_string_equal(out, "[{\"name\":\"web\",\"id\":\"0123456789ab\","
	    "\"state\":\"running\",\"ip\":\"172.16.0.2\",\"vcpu\":2,"
	    "\"memory_mib\":1024,\"disk_size_bytes\":8589934592}]\n");
	assert_int_equal(run("image list", 0, &odd, 1), 1);
	assert_string_equal(out, "");
	assert_non_null(strstr(err, "breaks the protocol"));
}

#define OK(result) "{\"ok\":true,\"result\":{" result "}}\n"
#define REFUSED(code, text) \
	"{\"ok\":false,\"error\":{\"code\":\"" code "\",\"message\":\"" text \
	"\"}}\n"
#define VM(id, name, state) "{\"id\":\"" id "\",\"name\":\"" name \
	"\",\"state\":\"" state "\"}"
#define VMS VM("0a", "up", "running") "," VM("0b", "down", "stopped") "," \
	VM("0c", "off", "stopped") "," VM("0d", "begins", "starting")

static void
changes(void **state)
{
	const struct exchange sizes = { "{\"op\":\"vm.set\",\"vm\":\"web\","
		"\"vcpu\":4,\"memory_mib\":2048}", OK("\"vm\":{\"name\":\"web\","
		"\"restart_needed\":true}"), NOTHING };
	const struct exchange nat = { "{\"op\":\"vm.set\",\"vm\":\"web\","
		"\"nat\":false}", OK("\"vm\":{\"name\":\"web\","
		"\"restart_needed\":true}"), NOTHING };
	const struct exchange refused = { "{\"op\":\"vm.set\",\"vm\":\"web\","
		"\"disk_size_bytes\":1073741824}", REFUSED("invalid",
		"a disk can only grow"), NOTHING };

	(void)state;
	assert_int_equal(run("vm set web --vcpu 4 --memory 2G", 0, &sizes, 1),
	    0);
	assert_string_equal(out, "web: set, applies at the next start; "
	    "`banger vm restart web` does it now\n");
	/* What waits is not what was asked for now. */
	assert_int_equal(run("vm set web --no-nat", 0, &nat, 1), 0);
	assert_string_equal(out, "web: set\n");
	assert_int_equal(run("vm set web --no-nat --json", 0, &nat, 1), 0);
	assert_string_equal(out,
	    "{\"name\":\"web\",\"restart_needed\":true}\n");
	assert_int_equal(run("vm set web --disk-size 1G", 0, &refused, 1), 1);
	assert_string_equal(err, "banger: a disk can only grow\n");
}

/* Only what is stopped, by id, and what was started meanwhile stays. */
static void
prunes(void **state)
{
	const struct exchange all[] = {
		{ "{\"op\":\"vm.list\"}", OK("\"vms\":[" VMS "]"), NOTHING },
		{ "{\"op\":\"vm.delete\",\"vm\":\"0b\"}", OK(""), NOTHING },
		{ "{\"op\":\"vm.delete\",\"vm\":\"0c\"}",
		    REFUSED("state", "VM off: is running"), NOTHING },
	};
	const struct exchange broken[] = {
		all[0],
		{ "{\"op\":\"vm.delete\",\"vm\":\"0b\"}",
		    REFUSED("internal", "VM down: cannot be deleted"), NOTHING },
		{ "{\"op\":\"vm.delete\",\"vm\":\"0c\"}", OK(""), NOTHING },
	};
	const struct exchange none = { "{\"op\":\"vm.list\"}",
		OK("\"vms\":[" VM("0a", "up", "running") "]"), NOTHING };

	(void)state;
	assert_int_equal(run("vm prune --dry-run", 0, all, 1), 0);
	assert_string_equal(out,
	    "down: would be deleted\noff: would be deleted\n");
	assert_int_equal(run("vm prune -f", 0, all, 3), 0);
	assert_string_equal(out, "down: deleted\n");
	assert_string_equal(err, "");
	assert_int_equal(run("vm prune -f --json", 0, all, 3), 0);
	assert_string_equal(out, "[" VM("0b", "down", "stopped") "]\n");
	assert_int_equal(run("vm prune -f", 0, broken, 3), 1);
	assert_string_equal(out, "off: deleted\n");
	assert_string_equal(err, "banger: VM down: cannot be deleted\n");
	assert_int_equal(run("vm prune -f", 0, &none, 1), 0);
	assert_string_equal(out, "no VM is stopped\n");
	assert_int_equal(run("vm prune -f --json", 0, &none, 1), 0);
	assert_string_equal(out, "[]\n");
}

/* Without a terminal to ask on nothing is even begun. */
static void
prune_asks(void **state)
{
	int sock = listener(), status;
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	pid_t client;

	(void)state;
	client = start_client("vm prune", sock);
	assert_int_equal(waitpid(client, &status, 0), client);
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	close(sock);
	slurp("err", err, sizeof(err));
	assert_non_null(strstr(err, "--force"));
}

static void
ports(void **state)
{
	const struct exchange all[] = {
		{ "{\"op\":\"vm.list\"}", OK("\"vms\":[" VMS ","
		    VM("0e", "gone", "running") "]"), NOTHING },
		{ "{\"op\":\"vm.ports\",\"vm\":\"0a\"}", OK("\"ports\":["
		    "{\"vm\":\"up\",\"address\":\"0.0.0.0\",\"port\":22,"
		    "\"proto\":\"tcp\",\"pid\":7,\"process\":\"s\\u001b[2Jd\","
		    "\"reach\":\"172.16.0.2:22\"},{\"vm\":\"up\",\"address\":"
		    "\"::1\",\"port\":53,\"proto\":\"udp6\"}],\"more\":true"),
		    NOTHING },
		{ "{\"op\":\"vm.ports\",\"vm\":\"0e\"}",
		    REFUSED("not-found", "VM 0e: not found"), NOTHING },
	};
	const struct exchange refused = { "{\"op\":\"vm.ports\",\"vm\":"
		"\"down\"}", REFUSED("state", "VM down: is not running"),
		NOTHING };
	const struct exchange odd = { "{\"op\":\"vm.ports\",\"vm\":\"up\"}",
		OK("\"ports\":7"), NOTHING };

	(void)state;
	assert_int_equal(run("vm ports", 0, all, 3), 0);
	assert_string_equal(out,
	    "VM  ADDRESS  PORT  PROTO  PID  PROCESS  FROM HOST\n"
	    "up  0.0.0.0  22    tcp    7    s?[2Jd   172.16.0.2:22\n"
	    "up  ::1      53    udp6   -    -        -\n");
	assert_non_null(strstr(err, "more listening sockets"));
	assert_int_equal(run("vm ports down", 0, &refused, 1), 1);
	assert_string_equal(out, "");
	assert_string_equal(err, "banger: VM down: is not running\n");
	assert_int_equal(run("vm ports up", 0, &odd, 1), 1);
	assert_non_null(strstr(err, "breaks the protocol"));
}

static void
stats(void **state)
{
	const struct exchange all[] = {
		{ "{\"op\":\"vm.list\"}", OK("\"vms\":[" VMS "]"), NOTHING },
		{ "{\"op\":\"vm.stats\",\"vm\":\"0a\"}", OK("\"stats\":{"
		    "\"name\":\"up\",\"uptime_s\":61,\"cpu_us\":1500000,"
		    "\"memory_bytes\":1048576,\"net_rx_bytes\":2048,"
		    "\"guest_load_1\":0.07}"), NOTHING },
	};
	const struct exchange one = { "{\"op\":\"vm.stats\",\"vm\":\"down\"}",
		OK("\"stats\":{\"name\":\"down\",\"state\":\"stopped\","
		"\"disk_allocated_bytes\":4096}"), NOTHING };

	(void)state;
	assert_int_equal(run("vm stats", 0, all, 2), 0);
	assert_string_equal(out, "NAME  UPTIME  CPU   MEMORY  DISK  RECEIVED"
	    "  SENT  AVAILABLE  LOAD\n"
	    "up    1m01s   1.5s  1M      -     2K        -     -          "
	    "0.07\n");
	assert_int_equal(run("vm stats down", 0, &one, 1), 0);
	assert_string_equal(out, "name:                  down\n"
	    "state:                 stopped\n"
	    "disk_allocated_bytes:  4K (4096 bytes)\n");
	assert_int_equal(run("vm stats down --json", 0, &one, 1), 0);
	assert_string_equal(out, "{\"name\":\"down\",\"state\":\"stopped\","
	    "\"disk_allocated_bytes\":4096}\n");
}

/* An embedded daemon that is just leaving: the next one is greeted. */
static void
leaving_daemon(void **state)
{
	const struct exchange show = { "{\"op\":\"vm.show\",\"vm\":\"web\"}",
		"{\"ok\":true,\"result\":{\"vm\":{\"name\":\"web\"}}}\n",
		NOTHING };

	(void)state;
	assert_int_equal(run("vm show web", 3, &show, 1), 0);
	assert_string_equal(out, "name:  web\n");
}

static void
batches(void **state)
{
	const struct exchange deletes[] = {
		{ "{\"op\":\"vm.delete\",\"vm\":\"a\",\"force\":true}",
		    "{\"ok\":true,\"result\":{}}\n", NOTHING },
		{ "{\"op\":\"vm.delete\",\"vm\":\"b\",\"force\":true}",
		    "{\"ok\":false,\"error\":{\"code\":\"not-found\",\"message\":"
		    "\"VM b: not \\u001b[31mfound\"}}\n", NOTHING },
		{ "{\"op\":\"vm.delete\",\"vm\":\"c\",\"force\":true}",
		    "{\"ok\":true,\"result\":{}}\n", NOTHING },
	};
	const struct exchange stop = {
		"{\"op\":\"vm.stop\",\"vm\":\"a\",\"timeout_ms\":5000}",
		"{\"ok\":true,\"result\":{\"vm\":{\"name\":\"web\","
		"\"state\":\"stopped\"}}}\n", NOTHING };

	(void)state;
	assert_int_equal(run("vm rm -f a b c", 0, deletes, 3), 1);
	assert_string_equal(out, "a: deleted\nc: deleted\n");
	assert_string_equal(err, "banger: VM b: not ?[31mfound\n");
	assert_int_equal(run("vm stop --timeout 5 a", 0, &stop, 1), 0);
	assert_string_equal(out, "web: stopped\n");
}

#define STARTED \
	"{\"ok\":true,\"result\":{\"vm\":{\"name\":\"web\",\"id\":" \
	"\"0123456789ab\",\"state\":\"running\"}}}\n"
#define RUN_RM "{\"op\":\"vm.run\",\"spec\":{},\"rm\":true}"
#define DELETE "{\"op\":\"vm.delete\",\"vm\":\"web\",\"force\":true}"

static void
detached(void **state)
{
	const struct exchange start = {
		"{\"op\":\"vm.run\",\"spec\":{\"name\":\"web\"},\"rm\":false}",
		STARTED, NOTHING };

	(void)state;
	assert_int_equal(run("vm run -d --name web", 0, &start, 1), 0);
	assert_string_equal(out, "web\n");
}

static void
refused_runs(void **state)
{
	const struct exchange no_boot = { RUN_RM,
		"{\"ok\":false,\"error\":{\"code\":\"timeout\",\"message\":"
		"\"VM web: the guest did not answer\",\"console\":"
		"\"one\\ntwo\\u001b[0m\\n\"}}\n", NOTHING };
	const struct exchange stopped = { "{\"op\":\"vm.exec\",\"vm\":\"web\"}",
		"{\"ok\":false,\"error\":{\"code\":\"state\",\"message\":"
		"\"VM web: is not running\"}}\n", NOTHING };

	(void)state;
	assert_int_equal(run("vm run -- true", 0, &no_boot, 1), 125);
	assert_string_equal(err, "  | one\n  | two\n"
	    "banger: VM web: the guest did not answer\n");
	assert_int_equal(run("vm exec web -- true", 0, &stopped, 1), 125);
	assert_string_equal(err, "banger: VM web: is not running\n");
}

static void
sessions(void **state)
{
	const struct exchange gone[] = {
		{ RUN_RM, STARTED, NOTHING },
		{ "{\"op\":\"vm.exec\",\"vm\":\"web\"}", "{\"ok\":true,\"result\":"
		    "{\"nonce\":\"" NONCE "\",\"init\":\"none\"}}\n", STREAM_FD },
		{ DELETE, "{\"ok\":true,\"result\":{}}\n", NOTHING },
	};
	struct exchange kept[] = { gone[0], gone[1] };
	struct exchange bad[] = { gone[0], gone[1], gone[2] };

	(void)state;
	assert_int_equal(run("vm run -- sh", 0, gone, 3), 42);
	assert_string_equal(out, "hi\n");
	assert_string_equal(err, "err\n");

	kept[0].request =
	    "{\"op\":\"vm.run\",\"spec\":{\"name\":\"web\"},\"rm\":false}";
	assert_int_equal(run("vm run --name web -- sh", 0, kept, 2), 42);
	assert_int_equal(run("vm exec web -- sh", 0, kept + 1, 1), 42);

	/* Another nonce, none at all: not our guest; the VM goes all the same. */
	bad[1].reply = "{\"ok\":true,\"result\":{\"nonce\":"
	    "\"ff0102030405060708090a0b0c0d0e0f\",\"init\":\"none\"}}\n";
	assert_int_equal(run("vm run -- sh", 0, bad, 3), 125);
	assert_string_equal(out, "");
	bad[1].reply = "{\"ok\":true,\"result\":{\"nonce\":\"00\"}}\n";
	assert_int_equal(run("vm run -- sh", 0, bad, 3), 125);
	assert_non_null(strstr(err, "protocol"));
}

/* What is not there is pulled, by the catalogue that is built in, and then run. */
static void
pulls(void **state)
{
	static const char name[] =
	    "{\"op\":\"vm.run\",\"spec\":{\"name\":\"web\"},\"rm\":false}";
	static char kernel_pull[512];
	const struct exchange fresh[] = {
		{ name, REFUSED("not-found", "image: not found"), NOTHING },
		{ "{\"op\":\"image.show\",\"image\":\"debian-bookworm\"}",
		    REFUSED("not-found", "image: not found"), NOTHING },
		{ "{\"op\":\"image.pull\",\"name\":\"debian-bookworm\","
		    "\"reference\":\"docker.io/library/debian:bookworm\"}",
		    OK("\"image\":{\"name\":\"debian-bookworm\"}"), NOTHING },
		{ "{\"op\":\"kernel.show\",\"kernel\":\"default\"}",
		    REFUSED("not-found", "kernel: not found"), NOTHING },
		/* Another client was faster. */
		{ kernel_pull, REFUSED("exists", "kernel: exists"), NOTHING },
		{ name, STARTED, NOTHING },
	};
	struct exchange unknown[] = { fresh[0], fresh[1], fresh[3] };
	FILE *file = fopen(in_dir("ca"), "w");
	struct catalog catalog;
	struct catalog_entry entry;
	char text[256];

	(void)state;
	assert_non_null(file);
	fputs("TAR!", file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(setenv("SSL_CERT_FILE", in_dir("ca"), 1), 0);
	assert_int_equal(setenv("DOCKER_CONFIG", in_dir("nowhere"), 1), 0);
	assert_int_equal(catalog_parse(BANGER_CATALOG, strlen(BANGER_CATALOG),
	    &catalog, text, sizeof(text)), 0);
	assert_int_equal(catalog_find(catalog.kernels, "default", &entry), 0);
	snprintf(kernel_pull, sizeof(kernel_pull), "{\"op\":\"kernel.pull\","
	    "\"name\":\"default\",\"url\":\"%s\",\"size\":%llu,"
	    "\"sha256\":\"%s\"}", entry.url,
	    (unsigned long long)entry.size_bytes, entry.sha256);
	catalog_close(&catalog);
	assert_int_equal(run("vm run -d --name web", 0, fresh, 6), 0);
	assert_string_equal(out, "web\n");
	assert_string_equal(err, "");

	/* What nobody knows is the daemon's to say, and no kernel is pulled for it. */
	unknown[0].request = "{\"op\":\"vm.run\",\"spec\":{\"name\":\"web\","
	    "\"image\":\"none\",\"kernel\":\"none\"},\"rm\":false}";
	unknown[1].request = "{\"op\":\"image.show\",\"image\":\"none\"}";
	unknown[2].request = "{\"op\":\"kernel.show\",\"kernel\":\"none\"}";
	assert_int_equal(run("vm run -d --name web --image none --kernel none",
	    0, unknown, 2), 125);
	assert_string_equal(err, "banger: image: not found\n");
	unknown[1].reply = OK("\"image\":{\"name\":\"none\"}");
	assert_int_equal(run("vm run -d --name web --image none --kernel none",
	    0, unknown, 3), 125);
	assert_string_equal(err, "banger: image: not found\n");
	unsetenv("SSL_CERT_FILE");
	unsetenv("DOCKER_CONFIG");
}

static void
interrupted(void **state)
{
	const struct exchange boot = { RUN_RM, NULL, INTERRUPT };

	(void)state;
	assert_int_equal(run("vm run -- true", 0, &boot, 1), 130);
	assert_string_equal(err, "");
}

static void
files(void **state)
{
	const struct exchange import = {
		"{\"op\":\"image.import\",\"name\":\"box\"}",
		"{\"ok\":true,\"result\":{\"image\":{\"name\":\"box\"}}}\n",
		NOTHING };
	const struct exchange logs = { "{\"op\":\"vm.logs\",\"vm\":\"web\"}",
		"{\"ok\":true,\"result\":{}}\n", FILE_FD };
	FILE *file = fopen(in_dir("log"), "w");
	char line[256];

	(void)state;
	assert_non_null(file);
	fputs("TAR!\033[0mconsole\n", file);
	fclose(file);
	snprintf(line, sizeof(line), "image import --name box %s", in_dir("log"));
	assert_int_equal(run(line, 0, &import, 1), 0);
	assert_string_equal(out, "box: imported\n");
	/* Not a terminal: the log as it is. */
	assert_int_equal(run("vm logs web", 0, &logs, 1), 0);
	assert_string_equal(out, "TAR!\033[0mconsole\n");
	unlink(in_dir("log"));
}

/* What needs no worker: each a line, the exit code and the one line said. */
static void
usage(void **state)
{
	static const struct { const char *line; int code; const char *says; }
	    rows[] = {
		{ "help vm run extra", 2, "banger: help: unexpected \"extra\"; "
		    "`banger help vm run` explains the command\n" },
		{ "help ps extra", 2, "banger: help: unexpected \"extra\"; "
		    "`banger help vm list` explains the command\n" },
		{ "help vm nothing", 2, "banger: unknown command \"vm nothing\"; "
		    "`banger help` lists them\n" },
		{ "vm lst", 2, "banger: unknown command \"vm lst\"; did you mean "
		    "`banger vm list`?\n" },
		{ "vm", 2, "banger: vm: which command? `banger help vm` lists "
		    "them\n" },
		{ "help vm run", 0, "" },
		{ "vm run --help", 0, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t client = start_client(rows[i].line, -1);
		int status;

		assert_int_equal(waitpid(client, &status, 0), client);
		assert_true(WIFEXITED(status));
		slurp("err", err, sizeof(err));
		assert_string_equal(err, rows[i].says);
		assert_int_equal(WEXITSTATUS(status), rows[i].code);
	}
}

static int
set_up(void **state)
{
	FILE *file;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	file = fopen(in_dir("config.toml"), "w");
	if (file == NULL)
		return -1;
	fprintf(file, "runtime_dir = \"%s\"\n", dir);
	fclose(file);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "config.toml", "banger.sock", "in",
		"out", "err", "ca" };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_dir(names[i]));
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage),
		cmocka_unit_test(lists),
		cmocka_unit_test(leaving_daemon),
		cmocka_unit_test(batches),
		cmocka_unit_test(changes),
		cmocka_unit_test(prunes),
		cmocka_unit_test(prune_asks),
		cmocka_unit_test(ports),
		cmocka_unit_test(stats),
		cmocka_unit_test(detached),
		cmocka_unit_test(refused_runs),
		cmocka_unit_test(sessions),
		cmocka_unit_test(pulls),
		cmocka_unit_test(interrupted),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
