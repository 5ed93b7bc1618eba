#include "client/credential_helper.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "client/child.h"
#include "image/errmsg.h"

#define PREFIX "docker-credential-"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" "0123456789" "_.-"
/* What a helper says when it has none, with or without more behind it. */
#define NOT_FOUND "credentials not found"

/* A helper that runs. */
struct helper {
	const char *name;
	pid_t pid;
	int pidfd, out;			/* out: our end of its output, or -1 */
	int64_t deadline;		/* monotonic_ms() */
	int timeout_ms;
};

/* In the child. What it gets beside its standard streams is closed on exec. */
static void __attribute__((noreturn))
run_child(char *path, int in, int out)
{
	char get[] = "get";
	char *argv[] = { path, get, NULL };

	child_signals();
	/* It may wait for its user; not after the client has gone. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* They are below when the client was started without these streams. */
	in = fcntl(in, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	out = fcntl(out, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execve(path, argv, environ);
	_exit(127);
}

/*
 * A pipe with KEY in it and nothing more to come, so that nobody has to write
 * to a helper that does not read. Its end, or -errno.
 */
static int
pipe_with(const char *key)
{
	_cleanup_close_ int in = -1, write_end = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	write_end = fds[1];
	/* A pipe holds at least a page, PIPE_BUF (pipe(7)). */
	if (strlen(key) > PIPE_BUF)
		return -EINVAL;
	r = write_full(write_end, key, strlen(key));
	return r < 0 ? r : steal_fd(&in);
}

/* Starts PATH with KEY to read. 0 or -errno. */
static int
start(struct helper *h, char *path, const char *key)
{
	_cleanup_close_ int in = pipe_with(key), out = -1;
	int fds[2];

	if (in < 0)
		return in;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	h->out = fds[0];
	out = fds[1];
	h->pid = fork();
	if (h->pid == 0)
		run_child(path, in, out);
	if (h->pid < 0)
		return -errno;
	h->pidfd = (int)syscall(SYS_pidfd_open, h->pid, 0U);
	return h->pidfd < 0 ? -errno : 0;
}

/*
 * Takes what it has said. 0, -EFBIG when that is more than BUF may hold, or
 * -errno; at the end of it h->out is closed.
 */
static int
take_output(struct helper *h, struct buf *buf)
{
	size_t room = buf->limit - buf->len;
	char *to = buf_reserve(buf, room);
	char more;
	ssize_t n;

	if (to == NULL)
		return -ENOMEM;
	n = room > 0 ? read(h->out, to, room) : read(h->out, &more, 1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n > 0 && room == 0)
		return -EFBIG;
	if (n == 0)
		close_fdp(&h->out);
	buf->len += (size_t)n;
	to[n] = '\0';
	return 0;
}

/*
 * Until it has ended and all it said is in BUF; a child of its own that keeps
 * its output open is not waited for. 0, -ETIMEDOUT, -EFBIG or -errno.
 */
static int
listen_to(struct helper *h, struct buf *buf)
{
	int r = 0;

	while (r == 0) {
		struct pollfd pfds[] = {
			{ .fd = h->out, .events = POLLIN },
			{ .fd = h->pidfd, .events = POLLIN },
		};
		int64_t left = h->deadline - monotonic_ms();

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(pfds, ARRAY_SIZE(pfds), (int)left) < 0) {
			r = errno == EINTR ? 0 : -errno;
			continue;
		}
		if (pfds[0].revents != 0)
			r = take_output(h, buf);
		else if (pfds[1].revents != 0)
			break;
	}
	return r;
}

/* Ends it if it has not ended. Its status (waitpid(2)), or -errno. */
static int
finish(struct helper *h, bool kill_it)
{
	int status = 0, r = 0;

	if (h->pid > 0) {
		/* Our own child, not yet waited for: the pid is still its. */
		if (kill_it)
			(void)kill(h->pid, SIGKILL);
		while ((r = waitpid(h->pid, &status, 0)) < 0 && errno == EINTR)
			;
		r = r < 0 ? -errno : status;
	}
	close_fdp(&h->out);
	close_fdp(&h->pidfd);
	return r;
}

static int
explain(const struct helper *h, int r, char err[API_TEXT_MAX])
{
	if (r == -ETIMEDOUT)
		return errmsg(err, API_TEXT_MAX, r, PREFIX "%s: no answer "
		    "within %g s; it was killed", h->name,
		    h->timeout_ms / 1000.0);
	if (r == -EFBIG)
		return errmsg(err, API_TEXT_MAX, r, PREFIX "%s: says more than "
		    "%d KiB; it was killed", h->name,
		    CREDENTIAL_HELPER_OUTPUT >> 10);
	return errmsg(err, API_TEXT_MAX, r, PREFIX "%s: %s", h->name,
	    strerror(-r));
}

/* What the string NAME of ANSWER is; NULL if there is none. */
static const char *
answer_text(const cJSON *answer, const char *name)
{
	return cJSON_GetStringValue(
	    cJSON_GetObjectItemCaseSensitive(answer, name));
}

static int
read_answer(const char *name, const struct buf *said,
    struct registry_auth *out, char err[API_TEXT_MAX])
{
	cJSON *answer _cleanup_secret_json_ = json_parse(said->data, said->len);
	const char *user = answer_text(answer, "Username");
	const char *secret = answer_text(answer, "Secret");
	bool token;

	if (user == NULL || secret == NULL)
		return errmsg(err, API_TEXT_MAX, -EINVAL, PREFIX "%s: its answer "
		    "is not a JSON object with Username and Secret", name);
	token = strcmp(user, "<token>") == 0;
	if (registry_auth_set(out, token ? "" : user, secret, token) < 0)
		return errmsg(err, API_TEXT_MAX, -EINVAL, PREFIX "%s: user or "
		    "secret too long", name);
	return 0;
}

/* What its end with STATUS after it SAID that means. */
static int
conclude(const char *name, const char *key, int status, const struct buf *said,
    struct registry_auth *out, char err[API_TEXT_MAX])
{
	if (WIFSIGNALED(status))
		return errmsg(err, API_TEXT_MAX, -EIO, PREFIX "%s: killed by "
		    "signal %d", name, WTERMSIG(status));
	if (WEXITSTATUS(status) == 0)
		return read_answer(name, said, out, err);
	if (memmem(said->data, said->len, NOT_FOUND, strlen(NOT_FOUND)) != NULL)
		return 0;
	return errmsg(err, API_TEXT_MAX, -EIO, PREFIX "%s: failed with exit "
	    "code %d; `echo %s | " PREFIX "%s get` shows why", name,
	    WEXITSTATUS(status), key, name);
}

int
credential_helper_get(const char *name, const char *key, int timeout_ms,
    struct registry_auth *out, char err[API_TEXT_MAX])
{
	struct buf said _cleanup_secret_buf_ = BUF_INIT(CREDENTIAL_HELPER_OUTPUT);
	struct helper h = { .name = name, .pidfd = -1, .out = -1,
		.deadline = monotonic_ms() + timeout_ms,
		.timeout_ms = timeout_ms };
	char program[NAME_MAX + 1], path[PATH_MAX];
	int r, status;

	registry_auth_clear(out);
	if (name[0] == '\0' || strspn(name, NAME_CHARS) != strlen(name))
		return errmsg(err, API_TEXT_MAX, -EINVAL, "\"%.64s\" cannot be a "
		    "credential helper: a name has letters, digits, _ . and - "
		    "only", name);
	if (format(program, sizeof(program), PREFIX "%s", name) < 0 ||
	    child_program(program, path) < 0)
		return errmsg(err, API_TEXT_MAX, -ENOENT, PREFIX "%s: not in "
		    "PATH; install it, or take its name out of the file",
		    name);
	if (buf_reserve(&said, said.limit) == NULL)
		return explain(&h, -ENOMEM, err);
	said.data[0] = '\0';
	r = start(&h, path, key);
	if (r == 0)
		r = listen_to(&h, &said);
	status = finish(&h, r < 0);
	if (r < 0 || status < 0)
		return explain(&h, r < 0 ? r : status, err);
	return conclude(name, key, status, &said, out, err);
}
