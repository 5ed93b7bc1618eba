/*
 * Parent and child side of a command's start. The child prepares everything
 * itself and tells a failure by one struct on a pipe that exec closes.
 */
#include "guest/command.h"

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "guest/user.h"
#include "privsep/util.h"

#define DEFAULT_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The child's ends; with a pty all three are its slave. */
struct child_fds {
	int in, out, err, report;
};

static _Noreturn void
give_up(const struct child_fds *fds, enum command_stage stage, int err)
{
	struct command_failure failure = { .stage = stage, .err = err };

	(void)write_full(fds->report, &failure, sizeof(failure));
	_exit(127);
}

/*
 * Undoes what the agent set for itself and exec would pass on. It blocks
 * signals and ignores none, so that the mask is all there is to reset.
 */
static void
reset_process(void)
{
	sigset_t none;
	int fd;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)write_full(fd, "0", 1);
		close(fd);
	}
}

static void
take_stdio(const struct child_fds *fds, bool pty, uid_t uid)
{
	if (pty && (ioctl(fds->in, TIOCSCTTY, 0) < 0 ||
	    (geteuid() == 0 && fchown(fds->in, uid, (gid_t)-1) < 0)))
		give_up(fds, COMMAND_SETUP, errno);
	if (dup2(fds->in, STDIN_FILENO) < 0 ||
	    dup2(fds->out, STDOUT_FILENO) < 0 ||
	    dup2(fds->err, STDERR_FILENO) < 0)
		give_up(fds, COMMAND_SETUP, errno);
}

/* Pipes may be opened again by name (/dev/stderr): they go to the user too. */
static void
own_pipes(const struct child_fds *fds, uid_t uid)
{
	if (uid == geteuid())
		return;
	(void)fchown(fds->in, uid, (gid_t)-1);
	(void)fchown(fds->out, uid, (gid_t)-1);
	(void)fchown(fds->err, uid, (gid_t)-1);
}

static void
set_default(const char *name, const char *value)
{
	if (setenv(name, value, 1) < 0)
		_exit(127);
}

static void
set_environment(const struct exec_request *req, const struct guest_user *user)
{
	uint32_t i;

	clearenv();
	set_default("PATH", DEFAULT_PATH);
	set_default("HOME", user->home);
	set_default("USER", user->name);
	set_default("LOGNAME", user->name);
	set_default("SHELL", user->shell);
	if (req->pty)
		set_default("TERM", req->term[0] != '\0' ? req->term : "linux");
	for (i = 0; i < req->envc; i++)
		if (putenv(req->env[i]) != 0)
			_exit(127);
}

static void
enter_directory(const struct exec_request *req, const struct guest_user *user,
    const struct child_fds *fds)
{
	if (req->cwd[0] != '\0') {
		if (chdir(req->cwd) < 0)
			give_up(fds, COMMAND_CWD, errno);
	} else if (chdir(user->home) < 0 && chdir("/") < 0) {
		give_up(fds, COMMAND_CWD, errno);
	}
}

/* A login shell is told so by a dash before its name (login(1)). */
static void
exec_shell(const char *shell)
{
	const char *base = strrchr(shell, '/');
	char name[PATH_MAX + 1];

	snprintf(name, sizeof(name), "-%s", base != NULL ? base + 1 : shell);
	execl(shell, name, (char *)NULL);
}

static _Noreturn void
run_child(const struct exec_request *req, const struct child_fds *fds)
{
	struct guest_user user;
	int r;

	if (setsid() < 0)
		give_up(fds, COMMAND_SETUP, errno);
	reset_process();
	r = guest_user_find(req->user, &user);
	if (r < 0)
		give_up(fds, COMMAND_USER, -r);
	if (!req->pty)
		own_pipes(fds, user.uid);
	take_stdio(fds, req->pty, user.uid);
	r = guest_user_become(&user);
	if (r < 0)
		give_up(fds, COMMAND_USER, -r);
	enter_directory(req, &user, fds);
	set_environment(req, &user);
	if (req->argc == 0)
		exec_shell(user.shell);
	else
		execvp(req->argv[0], req->argv);
	give_up(fds, COMMAND_EXEC, errno);
}

static int
make_pty(const struct exec_request *req, int *master, int *slave)
{
	struct winsize ws = { .ws_row = req->rows, .ws_col = req->cols };
	_cleanup_close_ int m = -1;
	int s;

	m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (m < 0 || unlockpt(m) < 0)
		return -errno;
	/* By the master, not by a name in whatever /dev/pts is (ioctl_tty(2)). */
	s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s < 0)
		return -errno;
	(void)ioctl(m, TIOCSWINSZ, &ws);
	*master = steal_fd(&m);
	*slave = s;
	return 0;
}

/* All descriptors of one start; what is left in here is closed at the end. */
struct start_fds {
	struct child_fds child;
	struct command ours;
};

static void
close_start_fds(struct start_fds *s)
{
	int *const fds[] = { &s->child.in, &s->child.out, &s->child.err,
	    &s->child.report, &s->ours.in, &s->ours.out, &s->ours.err,
	    &s->ours.report };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close_fdp(fds[i]);
}

static int
make_pipe(int *read_end, int *write_end)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*read_end = fds[0];
	*write_end = fds[1];
	return 0;
}

static int
open_start_fds(const struct exec_request *req, struct start_fds *s)
{
	int r = make_pipe(&s->ours.report, &s->child.report);

	if (r < 0)
		return r;
	if (req->pty) {
		r = make_pty(req, &s->ours.out, &s->child.in);
		if (r < 0)
			return r;
		s->child.out = fcntl(s->child.in, F_DUPFD_CLOEXEC, 3);
		s->child.err = fcntl(s->child.in, F_DUPFD_CLOEXEC, 3);
		return s->child.out < 0 || s->child.err < 0 ? -errno : 0;
	}
	r = make_pipe(&s->child.in, &s->ours.in);
	if (r == 0)
		r = make_pipe(&s->ours.out, &s->child.out);
	if (r == 0)
		r = make_pipe(&s->ours.err, &s->child.err);
	return r;
}

int
command_start(const struct exec_request *req, struct command *out)
{
	struct start_fds s = { { -1, -1, -1, -1 }, { -1, -1, -1, -1, -1 } };
	int r = open_start_fds(req, &s);

	if (r == 0) {
		s.ours.pid = fork();
		if (s.ours.pid < 0)
			r = -errno;
		else if (s.ours.pid == 0)
			run_child(req, &s.child);
	}
	if (r == 0) {
		*out = s.ours;
		s.ours = (struct command){ -1, -1, -1, -1, -1 };
	}
	close_start_fds(&s);
	return r;
}

bool
command_failed(int report, struct command_failure *out)
{
	struct command_failure failure;

	if (read_full(report, &failure, sizeof(failure)) < 0)
		return false;
	*out = failure;
	return true;
}
