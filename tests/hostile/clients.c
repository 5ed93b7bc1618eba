/*
 * clients SOCKET SECONDS: how long another client's vm.list takes, first alone,
 * then beside clients that mean no good: a thousand half a request each, some
 * that ask and never read, lines without end, JSON without end, fds where none
 * belong, and some that go away after each byte of a request. Prints both 99th
 * percentiles; status 1 when the daemon does not answer, or refuses.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privsep/util.h"

enum { HALF_OPEN = 1000, SAMPLES_MAX = 100000, SAMPLES = 500, LINE = 80 * 1024 };

static const char request[] = "{\"op\":\"vm.list\"}\n";
static const char *path;
static double samples[SAMPLES_MAX];
static char line[LINE];

static int
dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		err(1, "%s", path);
	return fd;
}

/* One vm.list on a connection of its own, in milliseconds. */
static double
list_once(void)
{
	int64_t start = monotonic_us();
	int fd = dial();
	char reply[64 * 1024];
	size_t used = 0;
	ssize_t n;

	if (write(fd, request, strlen(request)) !=
	    (ssize_t)strlen(request))
		err(1, "request");
	do {
		n = read(fd, reply + used, sizeof(reply) - 1 - used);
		if (n <= 0)
			errx(1, "no answer to vm.list");
		used += (size_t)n;
		reply[used] = '\0';
	} while (strchr(reply, '\n') == NULL);
	close(fd);
	if (strncmp(reply, "{\"ok\":true", 10) != 0)
		errx(1, "vm.list: %s", reply);
	return (double)(monotonic_us() - start) / 1e3;
}

static int
ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double
percentile99(int count)
{
	qsort(samples, (size_t)count, sizeof(samples[0]), ascending);
	return samples[count * 99 / 100];
}

/* ---- those that mean no good; each a process, until it is killed ---- */

static void
half_open(void)
{
	int i;

	for (i = 0; i < HALF_OPEN; i++) {
		int fd = dial();

		/* The worker drops the oldest: that is its right. */
		(void)!write(fd, request, strlen(request) / 2);
	}
	pause();
}

static void
never_read(void)
{
	int fd = dial();

	for (;;)
		if (write(fd, request, strlen(request)) < 0) {
			close(fd);
			fd = dial();
		}
}

/* LINE bytes of C again and again, which is longer than any request. */
static void
endless(int c)
{
	memset(line, c, sizeof(line));
	for (;;) {
		int fd = dial();

		while (write(fd, line, sizeof(line)) > 0)
			;
		close(fd);
	}
}

static void
endless_line(void)
{
	endless('x');
}

static void
deep_json(void)
{
	endless('[');
}

static void
fds_unasked(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
	} control;
	struct iovec iov = { line, 8 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = &control.align;
	int fds[8], i;

	for (i = 0; i < 8; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	memset(&control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = (socklen_t)CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	memcpy(line, request, 8);
	for (;;) {
		int fd = dial();

		while (sendmsg(fd, &msg, MSG_NOSIGNAL) > 0)
			;
		close(fd);
	}
}

static void
gone_early(void)
{
	size_t bytes;

	for (bytes = 0;; bytes = (bytes + 1) % sizeof(request)) {
		int fd = dial();

		(void)!write(fd, request, bytes);
		close(fd);
	}
}

int
main(int argc, char **argv)
{
	static void (*const evil[])(void) = { half_open, never_read,
		never_read, endless_line, deep_json, fds_unasked, gone_early };
	enum { EVIL = sizeof(evil) / sizeof(evil[0]) };
	struct rlimit files = { 4096, 4096 };
	pid_t pids[EVIL];
	double alone, beside;
	int64_t end;
	int i, count;

	if (argc != 3)
		errx(2, "usage: clients SOCKET SECONDS");
	path = argv[1];
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	for (i = 0; i < SAMPLES; i++)
		samples[i] = list_once();
	alone = percentile99(SAMPLES);
	for (i = 0; i < EVIL; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (pids[i] == 0) {
			evil[i]();
			_exit(0);
		}
	}
	sleep(1);
	end = monotonic_ms() + atoi(argv[2]) * 1000;
	for (count = 0; count < SAMPLES_MAX && monotonic_ms() < end; count++)
		samples[count] = list_once();
	for (i = 0; i < EVIL; i++) {
		int status;

		/* One that could not even connect did not attack. */
		if (waitpid(pids[i], &status, WNOHANG) != 0)
			errx(1, "hostile client %d has ended (%d)", i, status);
		kill(pids[i], SIGKILL);
		waitpid(pids[i], &status, 0);
	}
	beside = percentile99(count);
	printf("vm.list, 99th percentile: alone %.2f ms, beside hostile clients "
	    "%.2f ms (%d requests)\n", alone, beside, count);
	return 0;
}
