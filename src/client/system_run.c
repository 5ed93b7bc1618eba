/*
 * systemctl(1) and sv(8), by absolute path: the caller's PATH, environment,
 * fds and signals do not reach what root runs here.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "client/child.h"
#include "client/system.h"

static const char *
first_of(const char *const *paths)
{
	for (; *paths != NULL; paths++)
		if (access(*paths, X_OK) == 0)
			return *paths;
	return NULL;
}

/* execve(2) wants words that it will not change to be changeable. */
union words {
	const char *const *given;
	char *const *wanted;
};

static _Noreturn void
execute(const char *path, const char *const *argv, int out)
{
	static const char *const env[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		"SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", NULL,
	};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	child_signals();
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
	    dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0 &&
	    syscall(SYS_close_range, 3U, ~0U, 0U) == 0)
		(void)execve(path, (union words){ argv }.wanted,
		    (union words){ env }.wanted);
	_exit(127);
}

/*
 * Reads what comes until the writing end is closed or the time is over; what
 * does not fit is thrown away. 0 or -ETIMEDOUT.
 */
static int
collect(int fd, int timeout_ms, char *out, size_t size)
{
	int64_t deadline = monotonic_ms() + timeout_ms;
	char bytes[512];
	size_t used = 0;

	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - monotonic_ms();
		ssize_t n;

		if (left <= 0 || poll(&pfd, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = read(fd, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if ((size_t)n > size - 1 - used)
			n = (ssize_t)(size - 1 - used);
		memcpy(out + used, bytes, (size_t)n);
		used += (size_t)n;
		out[used] = '\0';
	}
	while (used > 0 && (out[used - 1] == '\n' || out[used - 1] == ' '))
		out[--used] = '\0';
	return 0;
}

int
system_run(const char *const *paths, const char *const *argv, int timeout_ms,
    char *out, size_t size)
{
	const char *path = first_of(paths);
	int fds[2], status = 0, r;
	pid_t pid;

	out[0] = '\0';
	if (path == NULL)
		return -ENOENT;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		execute(path, argv, fds[1]);
	r = pid < 0 ? -errno : 0;
	close(fds[1]);
	if (r == 0) {
		r = collect(fds[0], timeout_ms, out, size);
		if (r < 0)
			(void)kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
	}
	close(fds[0]);
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
}
