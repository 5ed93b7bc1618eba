#include "client/source_fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "image/errmsg.h"

/* In the child: packs into OUT, or says on FAILED why not. */
static void __attribute__((noreturn))
pack_child(int (*pack)(const void *arg, int out, char *err, size_t err_size),
    const void *arg, int out, int failed)
{
	char err[API_TEXT_MAX] = "";
	int r;

	/* The child's end must not keep a dead client's import alive. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	r = pack(arg, out, err, sizeof(err));
	if (r < 0)
		(void)write_full(failed, err, strlen(err));
	_exit(r < 0 ? 1 : 0);
}

/*
 * Waits until the packer sends, or has said why it does not. 0, or -ENOENT
 * with its reason.
 */
static int
wait_packed(int out, int failed, char err[API_TEXT_MAX])
{
	struct pollfd pfds[] = {
		{ .fd = out, .events = POLLIN },
		{ .fd = failed, .events = POLLIN },
	};
	ssize_t n;

	while (poll(pfds, ARRAY_SIZE(pfds), -1) < 0)
		if (errno != EINTR)
			return errmsg(err, API_TEXT_MAX, -errno, "poll: %s",
			    strerror(errno));
	if ((pfds[0].revents & POLLIN) != 0)
		return 0;
	n = read(failed, err, API_TEXT_MAX - 1);
	if (n > 0)
		err[n] = '\0';
	else
		snprintf(err, API_TEXT_MAX, "the packer died");
	return -ENOENT;
}

int
source_fd_pack(struct source_fd *source,
    int (*pack)(const void *arg, int out, char *err, size_t err_size),
    const void *arg, char err[API_TEXT_MAX])
{
	_cleanup_close_ int out_write = -1, failed_read = -1, failed_write = -1;
	int out[2], failed[2];

	if (pipe2(out, O_CLOEXEC) < 0)
		return errmsg(err, API_TEXT_MAX, -errno, "pipe: %s",
		    strerror(errno));
	source->fd = out[0];
	out_write = out[1];
	if (pipe2(failed, O_CLOEXEC) < 0)
		return errmsg(err, API_TEXT_MAX, -errno, "pipe: %s",
		    strerror(errno));
	failed_read = failed[0];
	failed_write = failed[1];
	source->packer = fork();
	if (source->packer == 0)
		pack_child(pack, arg, out_write, failed_write);
	if (source->packer < 0) {
		source->packer = 0;
		return errmsg(err, API_TEXT_MAX, -errno, "fork: %s",
		    strerror(errno));
	}
	close(steal_fd(&out_write));
	close(steal_fd(&failed_write));
	return wait_packed(source->fd, failed_read, err);
}

void
source_fd_close(struct source_fd *source)
{
	close_fdp(&source->fd);
	if (source->packer > 0) {
		/* Our own child, not yet waited for: the pid is still its. */
		kill(source->packer, SIGKILL);
		while (waitpid(source->packer, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*source = (struct source_fd)SOURCE_FD_NONE;
}
