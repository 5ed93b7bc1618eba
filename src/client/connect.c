/*
 * The embedded pair is this executable again, as `daemon --embedded` in a
 * session of its own: a Ctrl-C meant for the command must not reach it, and a
 * second command may share it. It says on fd 3 when it listens. Two commands
 * may start one each; a lock decides, the loser's says "already running" and
 * its client connects to the winner's. Where the daemon is a service that is
 * about to come back, after a crash or with a new executable, none is started:
 * it would hold the lock that the service needs.
 */
#include "client/connect.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "client/system.h"

enum {
	OPEN_TIMEOUT_MS = 10000,
	STEP_MS = 20,
	RESTART_STEPS = 20,		/* tries before another start */
	START_TIMEOUT_MS = 30000,
	READY_FD = 3,			/* daemon_main's contract */
};

/* In the child: fds as the daemon expects them, nothing else inherited. */
static int
embedded_fds(int ready_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0)
		return -errno;
	/* Neither may lie where the other goes. */
	ready_fd = fcntl(ready_fd, F_DUPFD_CLOEXEC, 10);
	null_fd = fcntl(null_fd, F_DUPFD_CLOEXEC, 10);
	if (ready_fd < 0 || null_fd < 0 ||
	    dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(null_fd, STDOUT_FILENO) < 0 ||
	    dup2(ready_fd, READY_FD) < 0)
		return -errno;
	if (syscall(SYS_close_range, READY_FD + 1, UINT_MAX, 0) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

/* In the child; does not return. CONFIG_FILE is absolute or NULL. */
static void __attribute__((noreturn))
embedded_exec(char *config_file, int ready_fd)
{
	char name[] = "banger", config[] = "--config", daemon[] = "daemon",
	    embedded[] = "--embedded";
	char *plain[] = { name, daemon, embedded, NULL };
	char *with_config[] = { name, config, config_file, daemon, embedded,
		NULL };
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	r = embedded_fds(ready_fd);
	if (r == 0) {
		ready_fd = READY_FD;
		execv("/proc/self/exe", config_file != NULL ? with_config :
		    plain);
		r = -errno;
	}
	dprintf(ready_fd, "executing banger again: %s\n", strerror(-r));
	_exit(1);
}

/*
 * Forks twice, so that the daemon is not our child: how long it lives is not
 * this command's business. 0 or -errno.
 */
static int
embedded_fork(char *config_file, int ready_fd)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			embedded_exec(config_file, ready_fd);
		_exit(pid < 0 ? 1 : 0);
	}
	while (waitpid(pid, NULL, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int
embedded_verdict(int fd, int timeout_ms, char text[API_TEXT_MAX])
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t deadline = monotonic_ms() + timeout_ms;
	size_t len = 0;
	ssize_t n = 0;

	text[0] = '\0';
	while (strchr(text, '\n') == NULL && len < API_TEXT_MAX - 1) {
		int64_t left = deadline - monotonic_ms();

		if (left <= 0 || poll(&pfd, 1, (int)left) == 0) {
			snprintf(text, API_TEXT_MAX, "it does not answer");
			return -EIO;
		}
		n = read(fd, text + len, API_TEXT_MAX - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		text[len] = '\0';
		if (text[0] == '+')
			return 0;
	}
	text[strcspn(text, "\n")] = '\0';
	if (strstr(text, "already running") != NULL)
		return -EALREADY;
	if (len == 0)
		snprintf(text, API_TEXT_MAX, "it ended without a word");
	return -EIO;
}

/* Starts the pair and waits for its verdict, as embedded_verdict. */
static int
embedded_start(const char *config_file, char text[API_TEXT_MAX])
{
	_cleanup_free_ char *absolute = NULL;
	_cleanup_close_ int ready_fd = -1, verdict_fd = -1;
	int fds[2], r;

	text[0] = '\0';
	if (config_file != NULL &&
	    (absolute = realpath(config_file, NULL)) == NULL)
		return -errno;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	verdict_fd = fds[0];
	ready_fd = fds[1];
	if ((r = embedded_fork(absolute, ready_fd)) < 0)
		return r;
	close(steal_fd(&ready_fd));
	return embedded_verdict(verdict_fd, START_TIMEOUT_MS, text);
}

int
client_greet(struct api *api, const struct config *cfg,
    struct api_reply *hello)
{
	char path[PATH_BYTES + sizeof(API_SOCKET) + 1];
	struct buf request _cleanup_buf_ = API_REQUEST;
	int r;

	*hello = (struct api_reply){ 0 };
	r = format(path, sizeof(path), "%s/" API_SOCKET, cfg->runtime_dir);
	if (r == 0)
		r = api_connect(api, path);
	if (r < 0) {
		snprintf(hello->message, sizeof(hello->message), "%s: %s", path,
		    strerror(-r));
		return r;
	}
	api_request(&request, "version", NULL, NULL);
	r = api_call(api, &request, -1, 0, NULL, NULL, hello);
	if (r < 0)
		api_close(api);
	return r;
}

static bool
nobody_listens(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

/* Root only: 0 to try again, else -errno and the reason. */
static int
start_or_explain(const struct config *cfg, const char *config_file,
    char err[API_TEXT_MAX])
{
	char text[API_TEXT_MAX];
	int r;

	if (geteuid() != 0) {
		snprintf(err, API_TEXT_MAX, "no daemon listens on %s/"
		    API_SOCKET " and only root can start one; use `sudo banger "
		    "...`, or have a service: `sudo banger system install "
		    "--owner USER`", cfg->runtime_dir);
		return -EACCES;
	}
	r = embedded_start(config_file, text);
	if (r == 0 || r == -EALREADY)
		return 0;
	snprintf(err, API_TEXT_MAX, "starting the daemon for this command: %.800s",
	    r == -EIO ? text : strerror(-r));
	return r;
}

/* What a greeting's failure means to the user. */
static int
explain(const struct config *cfg, const struct api_reply *hello, int r,
    char err[API_TEXT_MAX])
{
	if (r == -EACCES)
		snprintf(err, API_TEXT_MAX, "%s/" API_SOCKET ": %s; use `sudo "
		    "banger ...`", cfg->runtime_dir, strerror(-r));
	else
		snprintf(err, API_TEXT_MAX, "%.900s%s", hello->message,
		    nobody_listens(r) ? "; the service that should listen "
		    "there does not: its log may tell why" : "");
	return r;
}

int
client_open(struct api *api, const struct config *cfg,
    const char *config_file, char err[API_TEXT_MAX])
{
	int64_t deadline = monotonic_ms() + OPEN_TIMEOUT_MS;
	unsigned int steps = 0;

	for (;;) {
		struct api_reply hello _cleanup_reply_;
		int r = client_greet(api, cfg, &hello);

		if (r == 0 && hello.result != NULL)
			return 0;
		if (r == 0) {
			api_close(api);
			return explain(cfg, &hello, -EPERM, err);
		}
		if (!nobody_listens(r) && r != -ECONNRESET)
			return explain(cfg, &hello, r, err);
		if (monotonic_ms() >= deadline)
			return explain(cfg, &hello, r, err);
		if (nobody_listens(r) && steps++ % RESTART_STEPS == 0 &&
		    !system_coming(config_file)) {
			r = start_or_explain(cfg, config_file, err);
			if (r < 0)
				return r;
			continue;
		}
		sleep_ms(STEP_MS);
	}
}
