/*
 * Both ends of an exec stream against each other, over a socket pair on this
 * machine: session_run() in one process, the agent's sessions in another. And
 * each end against a peer that breaks the rules.
 */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "client/session.h"
#include "client/terminal.h"
#include "guest/exec.h"
#include "privsep/util.h"

static const uint8_t nonce[STREAM_NONCE_SIZE] = "0123456789abcde";

/* The agent's side: one session, as agent.c drives it. ---------------------- */

static void
reap(struct exec_session *s)
{
	siginfo_t info = { 0 };
	int status;

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    info.si_pid != 0) {
		bool ours = info.si_pid == exec_session_pid(s);

		if (ours)
			exec_session_ending(s);
		assert_int_equal(waitpid(info.si_pid, &status, 0), info.si_pid);
		if (ours)
			exec_session_ended(s, status);
		info.si_pid = 0;
	}
}

static int
timeout_of(const struct exec_session *s, bool busy)
{
	int64_t left;

	if (busy)
		return 0;
	if (exec_session_deadline(s) == INT64_MAX)
		return -1;
	left = exec_session_deadline(s) - monotonic_ms();
	return left > 0 ? (int)left : 0;
}

static _Noreturn void
serve(int link)
{
	struct watch signals = WATCH_NONE;
	struct exec_session *s;
	struct loop loop;
	bool busy = false;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGPIPE);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGPIPE);
	if (loop_init(&loop) < 0 || loop_watch(&loop, &signals,
	    signalfd(-1, &set, SFD_CLOEXEC)) < 0)
		_exit(1);
	s = exec_session_new(&loop, link, false, nonce);
	if (s == NULL)
		_exit(1);
	while (!exec_session_done(s)) {
		struct signalfd_siginfo info;

		loop_wait(&loop, timeout_of(s, busy));
		while (read(signals.fd, &info, sizeof(info)) > 0)
			;
		reap(s);
		busy = exec_session_pump(s);
	}
	exec_session_free(s);
	loop_unwatch(&loop, &signals);
	loop_close(&loop);
	exit(0);
}

/* A test's stream: its end of a socket pair, and the agent's process. */
struct peer {
	int fd;
	pid_t pid;
};

static struct peer
peer_start(void)
{
	struct peer peer;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	peer.fd = fds[0];
	peer.pid = fork();
	assert_true(peer.pid >= 0);
	if (peer.pid == 0) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	return peer;
}

/* The agent's process must end by itself, cleanly, in time. */
static void
peer_join(struct peer *peer)
{
	int64_t deadline = monotonic_ms() + 10000;
	int status = -1;

	if (peer->fd >= 0)
		close(peer->fd);
	while (waitpid(peer->pid, &status, WNOHANG) == 0 &&
	    monotonic_ms() < deadline)
		usleep(1000);
	if (status == -1)
		(void)kill(peer->pid, SIGKILL);
	assert_int_equal(status, 0);
}

/* The client's side. ------------------------------------------------------- */

/* One session_run() with files for its streams. */
struct run {
	char *argv[8];
	char *env[4];
	struct session_request req;
	int in, out, err;		/* set before, or files of our own */
	int status;
	char error[256];
	char *out_text, *err_text;	/* what came, NUL-terminated */
	size_t out_len;
};

static int
memory_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static char *
contents(int fd, size_t *len)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)size, 0), size);
	if (len != NULL)
		*len = (size_t)size;
	return text;
}

static void
run_init(struct run *run, ...)
{
	va_list ap;
	uint32_t n = 0;

	memset(run, 0, sizeof(*run));
	va_start(ap, run);
	while ((run->argv[n] = va_arg(ap, char *)) != NULL)
		assert_true(++n < ARRAY_SIZE(run->argv));
	va_end(ap);
	run->req.nonce = nonce;
	run->req.exec.argv = run->argv;
	run->req.exec.argc = n;
	run->req.exec.env = run->env;
	run->in = run->out = run->err = -1;
	run->status = -1;
}

static int
run_session(struct run *run)
{
	struct peer peer = peer_start();
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), r;
	int out = memory_file(), err = memory_file();

	run->req.in = run->in >= 0 ? run->in : null;
	run->req.out = run->out >= 0 ? run->out : out;
	run->req.err = run->err >= 0 ? run->err : err;
	r = session_run(peer.fd, &run->req, &run->status, run->error,
	    sizeof(run->error));
	peer_join(&peer);
	run->out_text = contents(out, &run->out_len);
	run->err_text = contents(err, NULL);
	close(null);
	close(out);
	close(err);
	return r;
}

static void
run_free(struct run *run)
{
	free(run->out_text);
	free(run->err_text);
}

/* Runs sh -c SCRIPT and checks all three results. */
static void
expect_script(const char *script, int status, const char *out, const char *err)
{
	struct run run;

	run_init(&run, "sh", "-c", script, NULL);
	assert_int_equal(run_session(&run), 0);
	assert_string_equal(run.err_text, err);
	assert_string_equal(run.out_text, out);
	assert_int_equal(run.status, status);
	run_free(&run);
}

static void
test_results(void **state)
{
	(void)state;
	expect_script("true", 0, "", "");
	expect_script("exit 42", 42, "", "");
	expect_script("echo out; echo err >&2; exit 255", 255, "out\n",
	    "err\n");
	expect_script("kill -9 $$", 137, "", "");
	expect_script("kill -TERM $$", 143, "", "");
	expect_script("cat", 0, "", "");
}

static void
test_not_executable(void **state)
{
	struct run run;

	(void)state;
	run_init(&run, "no-such-command-here", "x", NULL);
	assert_int_equal(run_session(&run), 0);
	assert_int_equal(run.status, 127);
	assert_string_equal(run.err_text,
	    "banger: no-such-command-here: not found\n");
	run_free(&run);
	run_init(&run, "/etc", NULL);
	assert_int_equal(run_session(&run), 0);
	assert_int_equal(run.status, 126);
	assert_string_equal(run.err_text, "banger: /etc: Permission denied\n");
	run_free(&run);
}

static void
test_refused(void **state)
{
	struct run run;

	(void)state;
	run_init(&run, "true", NULL);
	run.req.exec.user = "no-such-user-here";
	assert_int_equal(run_session(&run), -ENOENT);
	assert_string_equal(run.error, "the guest has no such user");
	assert_int_equal(run.status, -1);
	run_free(&run);
	run_init(&run, "true", NULL);
	run.req.exec.user = "root:no-such-group-here";
	assert_int_equal(run_session(&run), -ESRCH);
	assert_string_equal(run.error, "the guest has no such group");
	run_free(&run);
	run_init(&run, "true", NULL);
	run.req.exec.user = "root:";
	assert_int_equal(run_session(&run), -EINVAL);
	run_free(&run);
	run_init(&run, "true", NULL);
	run.req.exec.cwd = "/no/such/directory";
	assert_int_equal(run_session(&run), -ENOENT);
	assert_string_equal(run.error, "cannot enter the working directory in "
	    "the guest: No such file or directory");
	run_free(&run);
}

static void
test_too_big(void **state)
{
	static char big[EXEC_REQUEST_MAX + 1];
	struct run run;

	(void)state;
	memset(big, 'x', EXEC_REQUEST_MAX);
	run_init(&run, "true", big, NULL);
	assert_int_equal(run_session(&run), -E2BIG);
	assert_non_null(strstr(run.error, "too long"));
	run_free(&run);
	/* A request of several frames; one string is bounded by execve(2). */
	big[100000] = '\0';
	run_init(&run, "sh", "-c", "echo ${#1} ${#2}", "sh", big, big, NULL);
	assert_int_equal(run_session(&run), 0);
	assert_string_equal(run.out_text, "100000 100000\n");
	run_free(&run);
}

static void
test_surroundings(void **state)
{
	struct run run;

	(void)state;
	run_init(&run, "sh", "-c", "pwd; echo \"$A$USER$LOGNAME\"; echo $PATH; "
	    "echo ${TERM-none} $0; umask; ulimit -c >/dev/null; id -u; "
	    "echo ${HOME-none}", NULL);
	run.env[0] = (char[]){ "A=b c" };
	run.env[1] = (char[]){ "HOME=/x" };
	run.req.exec.envc = 2;
	run.req.exec.cwd = "/usr";
	run.req.exec.user = "0";
	if (geteuid() != 0)
		skip();
	assert_int_equal(run_session(&run), 0);
	assert_string_equal(run.out_text, "/usr\nb crootroot\n"
	    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
	    "none sh\n0022\n0\n/x\n");
	run_free(&run);
}

static void
test_user(void **state)
{
	struct run run;

	(void)state;
	if (geteuid() != 0)
		skip();
	run_init(&run, "sh", "-c", "id -u; id -g; id -G; echo $USER; "
	    "echo x >/dev/stderr", NULL);
	run.req.exec.user = "12345:54321";
	assert_int_equal(run_session(&run), 0);
	assert_string_equal(run.out_text, "12345\n54321\n54321\n12345\n");
	assert_string_equal(run.err_text, "x\n");
	run_free(&run);
	run_init(&run, "sh", "-c", "id -u; id -g", NULL);
	run.req.exec.user = "daemon";
	assert_int_equal(run_session(&run), 0);
	assert_string_equal(run.out_text, "1\n1\n");
	run_free(&run);
}

static void
test_login_shell(void **state)
{
	static const char script[] = "echo hello $((6 * 7)); exit 3\n";
	struct run run;

	(void)state;
	run_init(&run, NULL);
	run.in = memory_file();
	assert_int_equal(write_full(run.in, script, strlen(script)), 0);
	assert_int_equal(lseek(run.in, 0, SEEK_SET), 0);
	assert_int_equal(run_session(&run), 0);
	assert_non_null(strstr(run.out_text, "hello 42\n"));
	assert_int_equal(run.status, 3);
	close(run.in);
	run_free(&run);
}

/* No byte is lost, added or changed, both ways, beyond every buffer. */
static void
test_binary(void **state)
{
	static uint8_t data[5 * 1024 * 1024 + 7];
	size_t len = sizeof(data), i;
	uint32_t seed = 7;
	struct run run;

	(void)state;
	for (i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		data[i] = (uint8_t)(seed >> 24);
	}
	run_init(&run, "cat", NULL);
	run.in = memory_file();
	assert_int_equal(write_full(run.in, data, len), 0);
	assert_int_equal(lseek(run.in, 0, SEEK_SET), 0);
	assert_int_equal(run_session(&run), 0);
	assert_int_equal(run.status, 0);
	assert_int_equal(run.out_len, len);
	assert_memory_equal(run.out_text, data, len);
	close(run.in);
	run_free(&run);
}

/* A command that does not read its input holds nothing up. */
static void
test_unread_input(void **state)
{
	struct run run;

	(void)state;
	run_init(&run, "sh", "-c", "exec <&-; echo done", NULL);
	run.in = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(run_session(&run), 0);
	assert_string_equal(run.out_text, "done\n");
	assert_int_equal(run.status, 0);
	run_free(&run);
	run_init(&run, "sleep", "0.2", NULL);
	assert_int_equal(run_session(&run), 0);
	assert_int_equal(run.status, 0);
	run_free(&run);
	close(run.in);
}

/* A closed pipe ends the command as it would here. */
static void
test_closed_output(void **state)
{
	struct run run;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	run_init(&run, "yes", NULL);
	run.out = fds[1];
	assert_int_equal(run_session(&run), 0);
	assert_int_equal(run.status, 128 + SIGPIPE);
	run_free(&run);
	/* The other output goes on. */
	run_init(&run, "sh", "-c", "trap '' PIPE; i=0; "
	    "while echo x 2>/dev/null; do :; done; echo end >&2", NULL);
	run.out = fds[1];
	assert_int_equal(run_session(&run), 0);
	assert_string_equal(run.err_text, "end\n");
	run_free(&run);
	close(fds[1]);
}

/* What a command leaves running does not keep the session. */
static void
test_left_behind(void **state)
{
	int64_t start = monotonic_ms();

	(void)state;
	expect_script("sleep 5 & echo started", 0, "started\n", "");
	assert_in_range(monotonic_ms() - start, 0, 3000);
	/* What it had written at its end comes out, with late words of others. */
	expect_script("(sleep 0.05; echo late) & head -c 60000 /dev/zero | tr "
	    "'\\0' x | wc -c", 0, "60000\nlate\n", "");
}

/* Nobody takes standard output: standard error and the rest go on. */
static void
test_blocked_output(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	struct run run;
	int out[2], err[2];
	char text[16] = "";
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(out[0]);
		close(err[0]);
		run_init(&run, "sh", "-c", "yes & sleep 0.3; echo there >&2; "
		    "cat >&2; kill $! 2>/dev/null; exit 9", NULL);
		run.in = memory_file();
		(void)write_full(run.in, "input", 5);
		(void)lseek(run.in, 0, SEEK_SET);
		run.out = out[1];
		run.err = err[1];
		_exit(run_session(&run) == 0 ? run.status : 125);
	}
	close(out[1]);
	close(err[1]);
	pfd.fd = err[0];
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	while (strlen(text) < 11) {
		ssize_t n = read(err[0], text + strlen(text), 11);

		assert_true(n > 0);
	}
	assert_string_equal(text, "there\ninput");
	/* Once the reader goes, the command and the session end. */
	close(out[0]);
	close(err[0]);
	{
		int status = 0;

		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), 9);
	}
}

/* Signals of the client's process. ------------------------------------------ */

/* A session_run() in its own process; OUT is where its output comes. */
static pid_t
start_client(const char *script, bool pty_wanted, int in, int *out)
{
	struct run run;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		/* What a shell makes its background jobs ignore is not passed on. */
		(void)signal(SIGINT, SIG_DFL);
		(void)signal(SIGQUIT, SIG_DFL);
		run_init(&run, "sh", "-c", script, NULL);
		run.req.exec.pty = pty_wanted;
		run.in = in;
		run.out = fds[1];
		_exit(run_session(&run) == 0 ? run.status : 125);
	}
	close(fds[1]);
	*out = fds[0];
	return pid;
}

/* Reads until TEXT has come. */
static void
await_text(int fd, const char *text)
{
	char got[4096] = "";
	size_t len = 0;

	while (memmem(got, len, text, strlen(text)) == NULL) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&pfd, 1, 5000) != 1)
			fail_msg("no \"%s\" in \"%s\"", text, got);
		n = read(fd, got + len, sizeof(got) - 1 - len);
		if (n <= 0)
			fail_msg("no \"%s\" in \"%s\", but the end", text, got);
		len += (size_t)n;
		got[len] = '\0';
	}
}

static int
status_of(pid_t pid)
{
	int64_t deadline = monotonic_ms() + 10000;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (monotonic_ms() > deadline)
			(void)kill(pid, SIGKILL);
		usleep(1000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
test_signals(void **state)
{
	static const int forwarded[] = { SIGINT, SIGTERM, SIGQUIT, SIGUSR1 };
	size_t i;
	pid_t pid;
	int out;

	(void)state;
	/* wait, because dash loses a signal that comes while it starts a program. */
	for (i = 0; i < ARRAY_SIZE(forwarded); i++) {
		pid = start_client("for s in INT TERM QUIT USR1; do "
		    "trap \"echo $s; kill \\$!; exit 1\" $s; done; "
		    "sleep 50 & echo ready; wait", false, -1, &out);
		await_text(out, "ready\n");
		assert_int_equal(kill(pid, forwarded[i]), 0);
		await_text(out, "\n");
		assert_int_equal(status_of(pid), 1);
		close(out);
	}
	/* To the whole group, as from a terminal. */
	pid = start_client("sleep 50 & echo ready; wait", false, -1, &out);
	await_text(out, "ready\n");
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_int_equal(status_of(pid), 130);
	close(out);
}

/* A guest that does not listen is left at the third signal. */
static void
test_impatience(void **state)
{
	pid_t pid;
	int out, i;

	(void)state;
	pid = start_client("trap '' INT TERM; echo ready; sleep 1 & wait; wait",
	    false, -1, &out);
	await_text(out, "ready\n");
	for (i = 0; i < 3; i++) {
		assert_int_equal(kill(pid, SIGINT), 0);
		usleep(30000);
	}
	assert_int_equal(status_of(pid), 130);
	close(out);
}

/* Terminals. ----------------------------------------------------------------- */

static void
test_filter(void **state)
{
	static const struct {
		const char *in, *out;
		bool leave;
	} rows[] = {
		{ "~.", "", true }, { "a~.", "a~.", false },
		{ "a\r~.x", "a\r", true }, { "~~.", "~.", false },
		{ "~x", "~x", false }, { "x\n~~\n~.", "x\n~\n", true },
		{ "~\r~.", "~\r", true }, { "", "", false },
	};
	size_t i, split;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].in);

		/* In one go, and cut in two anywhere. */
		for (split = 0; split <= len; split++) {
			struct terminal t = { .fd = -1 };
			char out[32] = "";
			bool leave = false;
			size_t n;

			n = terminal_filter(&t, rows[i].in, split, out,
			    &leave);
			if (!leave)
				n += terminal_filter(&t, rows[i].in + split,
				    len - split, out + n, &leave);
			out[n] = '\0';
			assert_string_equal(out, rows[i].out);
			assert_int_equal(leave, rows[i].leave);
		}
	}
}

static void
test_pty(void **state)
{
	struct winsize ws = { .ws_row = 33, .ws_col = 99 };
	struct termios before = { 0 }, after = { 0 };
	int master, slave, out;
	pid_t pid;

	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, &ws), 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	pid = start_client("tty >/dev/null && test -t 2 && stty size; "
	    "trap 'stty size' WINCH; echo ready; until read x; do :; done; echo got $x; "
	    "trap 'echo interrupted; exit 5' INT; echo wait; "
	    "while :; do sleep 0.01; done", true, slave, &out);
	await_text(out, "33 99\r\nready\r\n");
	ws.ws_row = 44;
	assert_int_equal(ioctl(slave, TIOCSWINSZ, &ws), 0);
	assert_int_equal(kill(pid, SIGWINCH), 0);
	await_text(out, "44 99\r\n");
	assert_int_equal(write(master, "word\r", 5), 5);
	await_text(out, "got word\r\nwait\r\n");
	assert_int_equal(write(master, "\003", 1), 1);
	await_text(out, "interrupted\r\n");
	assert_int_equal(status_of(pid), 5);
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	close(out);
	close(master);
	close(slave);
}

/* The escape leaves, and a signal does; the terminal is as before. */
static void
test_pty_leave(void **state)
{
	struct termios before = { 0 }, after = { 0 };
	int master, slave, out, i;
	pid_t pid;

	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	for (i = 0; i < 2; i++) {
		pid = start_client("stty raw -echo; echo ready; exec sleep 50", true,
		    slave, &out);
		await_text(out, "ready\n");
		if (i == 0)
			assert_int_equal(write(master, "\r~.", 3), 3);
		else
			assert_int_equal(kill(pid, SIGTERM), 0);
		assert_int_equal(status_of(pid), i == 0 ? 125 : 143);
		assert_int_equal(tcgetattr(slave, &after), 0);
		assert_memory_equal(&before, &after, sizeof(before));
		close(out);
	}
	close(master);
	close(slave);
}

/* A pty whose input is no terminal: its end is ^D. */
static void
test_pty_script(void **state)
{
	struct run run;

	(void)state;
	run_init(&run, "cat", NULL);
	run.req.exec.pty = true;
	run.in = memory_file();
	assert_int_equal(write_full(run.in, "line\n", 5), 0);
	assert_int_equal(lseek(run.in, 0, SEEK_SET), 0);
	assert_int_equal(run_session(&run), 0);
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out_text, "line\r\n"));
	close(run.in);
	run_free(&run);
}

/* The agent against clients that die or misbehave. --------------------------- */

static size_t
put_request(uint8_t *buf, char **argv, uint32_t argc)
{
	struct exec_request req = { .user = "", .cwd = "", .term = "",
		.argc = argc, .argv = argv };
	_cleanup_free_ uint8_t *encoded = NULL;
	size_t len, n = stream_put_hello(buf, nonce);

	assert_int_equal(exec_request_encode(&req, &encoded, &len), 0);
	(void)stream_exec_header(buf + n, len, 0);
	memcpy(buf + n + STREAM_HEADER_SIZE, encoded, len);
	return n + STREAM_HEADER_SIZE + len;
}

static size_t
put_script(uint8_t *buf, const char *script)
{
	char sh[] = "sh", dash_c[] = "-c", copy[256];
	char *argv[] = { sh, dash_c, copy, NULL };

	assert_int_equal(format(copy, sizeof(copy), "%s", script), 0);
	return put_request(buf, argv, 3);
}

/* Whether a script whose text has "mark-MARK" is there, not counting pgrep. */
static bool
is_running(const char *mark)
{
	char command[512];

	snprintf(command, sizeof(command), "pgrep -f '^sh -c.*[m]ark-%s' >/dev/null",
	    mark);
	return system(command) == 0;
}

/* A client is killed: HUP, then KILL, and the processes are gone. */
static void
test_client_dies(void **state)
{
	uint8_t buf[1024];
	struct peer peer = peer_start();
	char script[256];
	size_t len;

	(void)state;
	snprintf(script, sizeof(script), "trap '' HUP TERM INT; echo ready; "
	    "while :; do sleep 0.05; done # mark-%d", (int)getpid());
	len = put_script(buf, script);
	assert_int_equal(write_full(peer.fd, buf, len), 0);
	await_text(peer.fd, "bangerst");
	usleep(200000);
	snprintf(script, sizeof(script), "%d", (int)getpid());
	assert_true(is_running(script));
	peer_join(&peer);
	assert_false(is_running(script));
}

/* Sends BUF and expects the agent to give up on the stream. */
static void
expect_refusal(const uint8_t *buf, size_t len)
{
	struct peer peer = peer_start();

	assert_int_equal(write_full(peer.fd, buf, len), 0);
	usleep(20000);
	peer_join(&peer);
}

static void
test_bad_clients(void **state)
{
	uint8_t buf[2048];
	size_t len, n;

	(void)state;
	/* Another nonce, no HELLO, noise, an agent's frame. */
	len = put_script(buf, "sleep 20");
	buf[STREAM_HEADER_SIZE + 16] ^= 1;
	expect_refusal(buf, len);
	len = put_script(buf, "sleep 20");
	n = STREAM_HEADER_SIZE + STREAM_HELLO_SIZE;
	expect_refusal(buf + n, len - n);
	memset(buf, 0xff, sizeof(buf));
	expect_refusal(buf, sizeof(buf));
	memset(buf, 0, sizeof(buf));
	expect_refusal(buf, sizeof(buf));
	/* After the command has started: HELLO again, EXIT, EOF twice, SIGNAL 99 */
	len = put_script(buf, "sleep 20");
	n = len + stream_put_hello(buf + len, nonce);
	expect_refusal(buf, n);
	stream_header(buf + len, STREAM_EXIT, 0, 16);
	expect_refusal(buf, len + STREAM_HEADER_SIZE + 16);
	n = len + stream_put_eof(buf + len);
	n += stream_put_eof(buf + n);
	expect_refusal(buf, n);
	n = len + stream_put_signal(buf + len, 99);
	expect_refusal(buf, n);
	n = len + stream_put_window(buf + len, CHANNEL_STDOUT, 1);
	expect_refusal(buf, n);
	n = len + stream_put_close(buf + len, CHANNEL_STDIN);
	expect_refusal(buf, n);
}

/* More input than the window allows ends the session. */
static void
test_flood(void **state)
{
	static uint8_t frame[STREAM_FRAME_MAX];
	uint8_t buf[1024];
	struct peer peer = peer_start();
	size_t len = put_script(buf, "sleep 20");
	int i, r = 0;

	(void)state;
	assert_int_equal(write_full(peer.fd, buf, len), 0);
	stream_header(frame, STREAM_STDIN, 0, STREAM_PAYLOAD_MAX);
	for (i = 0; i < 3 && r == 0; i++)
		r = send(peer.fd, frame, sizeof(frame), MSG_NOSIGNAL) > 0 ? 0 :
		    -errno;
	peer_join(&peer);
}

/* The client against agents that die or misbehave. --------------------------- */

/* Answers a session_run() with LEN bytes, then closes if CLOSES. */
static int
run_against(const uint8_t *bytes, size_t len, bool closes, char *error)
{
	struct run run;
	int fds[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	assert_int_equal(write_full(fds[1], bytes, len), 0);
	if (closes)
		(void)shutdown(fds[1], SHUT_WR);
	run_init(&run, "true", NULL);
	run.req.in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	run.req.out = run.req.err = memory_file();
	r = session_run(fds[0], &run.req, &run.status, run.error,
	    sizeof(run.error));
	memcpy(error, run.error, sizeof(run.error));
	close(run.req.in);
	close(run.req.out);
	close(fds[0]);
	close(fds[1]);
	return r;
}

static void
test_bad_agents(void **state)
{
	static uint8_t buf[6 * STREAM_FRAME_MAX];
	struct stream_exit status = { EXIT_KIND_CODE, 0, 0 };
	size_t hello = stream_put_hello(buf, nonce), n;
	char error[256];
	int i;

	(void)state;
	assert_int_equal(run_against(buf, 0, true, error), -EPIPE);
	assert_int_equal(run_against(buf, hello, true, error), -EPIPE);
	assert_non_null(strstr(error, "ended before"));
	n = hello + stream_put_exit(buf + hello, &status);
	assert_int_equal(run_against(buf, n, true, error), 0);
	/* EXIT without HELLO, HELLO twice, a client's frame, a wrong nonce. */
	assert_int_equal(run_against(buf + hello, n - hello, false, error),
	    -EPROTO);
	n = hello + stream_put_hello(buf + hello, nonce);
	assert_int_equal(run_against(buf, n, false, error), -EPROTO);
	n = hello + stream_put_eof(buf + hello);
	assert_int_equal(run_against(buf, n, false, error), -EPROTO);
	buf[hello - 1] ^= 1;
	assert_int_equal(run_against(buf, hello, false, error), -EPROTO);
	buf[hello - 1] ^= 1;
	buf[STREAM_HEADER_SIZE + 8] ^= 2;
	assert_int_equal(run_against(buf, hello, false, error),
	    -EPROTONOSUPPORT);
	buf[STREAM_HEADER_SIZE + 8] ^= 2;
	/* More output than the window; an error's words. */
	for (i = 0, n = hello; i < 5; i++, n += STREAM_FRAME_MAX)
		stream_header(buf + n, STREAM_STDOUT, 0, STREAM_PAYLOAD_MAX);
	status.kind = 0;
	n = hello + stream_put_error(buf + hello, EACCES, "no\033[2J");
	assert_int_equal(run_against(buf, n, false, error), -EACCES);
	assert_string_equal(error, "no?[2J");
}

/* A guest that sends more than it was given room for. */
static void
test_output_flood(void **state)
{
	static uint8_t frame[STREAM_FRAME_MAX];
	uint8_t hello[STREAM_CONTROL_MAX];
	int fds[2], status = 0, i, blocked[2];
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	assert_int_equal(pipe2(blocked, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct run run;

		close(fds[1]);
		run_init(&run, "true", NULL);
		run.req.in = open("/dev/null", O_RDONLY | O_CLOEXEC);
		run.req.out = run.req.err = blocked[1];
		_exit(-session_run(fds[0], &run.req, &run.status, run.error,
		    sizeof(run.error)));
	}
	close(fds[0]);
	assert_int_equal(write_full(fds[1], hello,
	    stream_put_hello(hello, nonce)), 0);
	stream_header(frame, STREAM_STDOUT, 0, STREAM_PAYLOAD_MAX);
	for (i = 0; i < 8; i++)
		(void)send(fds[1], frame, sizeof(frame), MSG_NOSIGNAL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), EPROTO);
	close(fds[1]);
	close(blocked[0]);
	close(blocked[1]);
}

static int
refuse_sandbox(void)
{
	return -EPERM;
}

static void
test_sandbox(void **state)
{
	struct run run;

	(void)state;
	run_init(&run, "true", NULL);
	run.req.enter_sandbox = refuse_sandbox;
	assert_int_equal(run_session(&run), -EPERM);
	assert_int_equal(run.status, -1);
	run_free(&run);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_not_executable),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_login_shell),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_unread_input),
		cmocka_unit_test(test_closed_output),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_blocked_output),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_impatience),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_pty),
		cmocka_unit_test(test_pty_leave),
		cmocka_unit_test(test_pty_script),
		cmocka_unit_test(test_client_dies),
		cmocka_unit_test(test_bad_clients),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_bad_agents),
		cmocka_unit_test(test_output_flood),
		cmocka_unit_test(test_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
