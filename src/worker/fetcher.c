#include "worker/fetcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fetch/pull.h"
#include "privsep/log.h"
#include "privsep/wire.h"
#include "worker/sandbox.h"

/* Its own fds. */
enum { FETCHER_SOCK = 3, FETCHER_FDS_END };

enum { PULLS_MAX = 16, REQUEST_MAX = 64 << 10 };

/* What is sent, with the fds in the order of fetcher_pull. */
enum fetcher_message { FETCHER_OPEN = 1, FETCHER_PULL };

struct child {
	pid_t pid;			/* not reaped, so it is still its */
	int pidfd;
	int pipe;			/* a copy: its reader has to be there */
};

struct fetcher {
	int blobs;
	struct child children[PULLS_MAX];
	nfds_t count;
};

/* ---- one that pulls ---- */

static _Noreturn void
pull_main(struct fetcher *f, int pipe, int request_fd, int ca, pid_t parent)
{
	_cleanup_buf_ struct buf text = BUF_INIT(REQUEST_MAX);
	_cleanup_json_ cJSON *tree = NULL;
	struct pull_request request;
	nfds_t i;
	int r;

	log_init("pull", LOG_INFO);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	close(FETCHER_SOCK);
	for (i = 0; i < f->count; i++) {
		close(f->children[i].pidfd);
		close(f->children[i].pipe);
	}
	r = pull_confine();
	if (r == 0)
		r = buf_read_all(&text, request_fd);
	if (r == 0 && (tree = json_parse(text.data, text.len)) == NULL)
		r = -EBADMSG;
	if (r == 0)
		r = pull_request_read(tree, &request);
	if (r < 0)
		fatal("%s", strerror(-r));
	_exit(pull(&request, ca, f->blobs, pipe) < 0);
}

/* Takes over PIPE. */
static void
start(struct fetcher *f, int pipe, int request, int ca)
{
	struct child *child = &f->children[f->count];
	pid_t self = getpid();

	/* Without one the pipe's end says that it failed. */
	if (f->count == PULLS_MAX) {
		close(pipe);
		return;
	}
	child->pipe = pipe;
	child->pid = fork();
	if (child->pid == 0)
		pull_main(f, pipe, request, ca, self);
	child->pidfd = child->pid < 0 ? -1 :
	    (int)syscall(SYS_pidfd_open, child->pid, 0U);
	if (child->pidfd < 0) {
		log_error("pull: %s", strerror(errno));
		if (child->pid > 0) {
			(void)kill(child->pid, SIGKILL);
			(void)waitid(P_PID, (id_t)child->pid, NULL, WEXITED);
		}
		close(pipe);
		return;
	}
	f->count++;
}

static void
end(struct fetcher *f, nfds_t i)
{
	struct child *child = &f->children[i];
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)child->pid, &info, WEXITED) == 0 &&
	    info.si_code != CLD_EXITED && info.si_status != SIGKILL &&
	    info.si_status != SIGPIPE)
		log_error("what pulled an image was ended by signal %d%s",
		    info.si_status, info.si_status == SIGSYS ?
		    ", a forbidden system call" : "");
	close(child->pidfd);
	close(child->pipe);
	*child = f->children[--f->count];
}

/* ---- the one that starts them ---- */

static void
on_message(struct fetcher *f)
{
	struct wire_record record;
	uint32_t message = 0;
	int r = wire_recv(FETCHER_SOCK, &record, 0);

	if (r <= 0)
		_exit(r < 0);
	if (record.len == sizeof(message))
		memcpy(&message, record.bytes, sizeof(message));
	if (message == FETCHER_OPEN && record.nfds == 1 && f->blobs < 0) {
		f->blobs = wire_take_fd(&record, 0);
		r = fetcher_confine(f->blobs);
		if (r < 0)
			fatal("cannot be confined: %s", strerror(-r));
	} else if (message == FETCHER_PULL && record.nfds == 3 &&
	    f->blobs >= 0) {
		start(f, wire_take_fd(&record, 0), record.fds[1],
		    record.fds[2]);
	} else {
		fatal("malformed message");
	}
	wire_close_fds(&record);
}

static _Noreturn void
serve(void)
{
	static struct fetcher f = { .blobs = -1 };

	for (;;) {
		struct pollfd fds[1 + 2 * PULLS_MAX] = {
			{ .fd = FETCHER_SOCK, .events = POLLIN },
		};
		nfds_t i, count = f.count;

		for (i = 0; i < count; i++) {
			fds[1 + 2 * i] = (struct pollfd){
				f.children[i].pidfd, POLLIN, 0 };
			fds[2 + 2 * i] = (struct pollfd){
				f.children[i].pipe, 0, 0 };
		}
		if (poll(fds, 1 + 2 * count, -1) < 0 && errno != EINTR)
			fatal("poll: %s", strerror(errno));
		/* Nobody waits for it any more. */
		for (i = 0; i < count; i++)
			if (fds[2 + 2 * i].revents != 0)
				(void)kill(f.children[i].pid, SIGKILL);
		for (i = count; i > 0; i--)
			if (fds[2 * i - 1].revents != 0)
				end(&f, i - 1);
		if (fds[0].revents != 0)
			on_message(&f);
	}
}

static _Noreturn void
become_fetcher(int sock)
{
	int high = fcntl(sock, F_DUPFD_CLOEXEC, 64);

	log_init("fetcher", LOG_INFO);
	if (high < 0 || dup3(high, FETCHER_SOCK, O_CLOEXEC) < 0 ||
	    syscall(SYS_close_range, (unsigned int)FETCHER_FDS_END, ~0U,
	    0U) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		fatal("start: %s", strerror(errno));
	serve();
}

/* ---- the worker's side ---- */

int
fetcher_spawn(void)
{
	int sockets[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		become_fetcher(sockets[1]);
	close(sockets[1]);
	if (pid < 0) {
		close(sockets[0]);
		return -EAGAIN;
	}
	return sockets[0];
}

int
fetcher_open(int sock, int blobs)
{
	const uint32_t message = FETCHER_OPEN;

	return wire_send(sock, &message, sizeof(message), NULL, 0, &blobs, 1);
}

int
fetcher_pull(int sock, int pipe, int request, int ca)
{
	const uint32_t message = FETCHER_PULL;
	const int fds[] = { pipe, request, ca };

	return wire_send(sock, &message, sizeof(message), NULL, 0, fds,
	    ARRAY_SIZE(fds));
}
