/*
 * One poll(2) loop between the stream, the standard streams and a signalfd.
 *
 * Standard streams are shared with whoever started us, so that O_NONBLOCK is
 * not set on them (it would be set on the parent's terminal too): they are only
 * read or written when poll(2) says so, and a pipe then takes PIPE_BUF bytes at
 * least without blocking.
 *
 * The guest is hostile: its frames go through stream_next(), it can fill no more
 * than the windows it was given, and its words never reach the terminal except
 * as the output of the command.
 */
#include "client/session.h"

#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fifo.h"
#include "client/terminal.h"
#include "privsep/util.h"

/* Room kept in the send buffer for control frames. */
#define TX_RESERVE	4096
#define TX_DATA		(STREAM_FRAME_MAX + TX_RESERVE)
#define RX_SIZE		((size_t)2 * STREAM_FRAME_MAX)
/* The third signal in this time means this client, not the command. */
#define IMPATIENT_MS	2000

enum output_kind { OUTPUT_OTHER, OUTPUT_FILE, OUTPUT_SOCKET };

/* One output of the command on its way to a descriptor of ours. */
struct output {
	int fd;
	enum stream_channel channel;
	enum output_kind kind;
	struct fifo fifo;	/* as large as the window: always room */
	uint32_t window;	/* bytes the guest may still send */
	uint32_t owed;		/* written, not granted again yet */
	bool closed;		/* our reader has gone */
};

struct session {
	int stream;
	const struct session_request *req;
	struct terminal terminal;
	int signals;
	sigset_t old_mask;
	struct fifo rx, tx;
	struct output out, err;
	uint32_t stdin_window;
	bool stdin_done;
	bool greeted;
	bool ended;		/* EXIT has come: only output is left */
	bool failed;		/* ERR is filled, RESULT is -errno */
	int result;
	int exit_status;
	int64_t hello_deadline;
	int impatience;
	int64_t impatient_since;
	char *error;
	size_t error_size;
};

/* Ends the session with -ERR_NUMBER and one line. The first reason stays. */
static void PRINTF_LIKE(3, 4)
fail(struct session *s, int err_number, const char *fmt, ...)
{
	va_list ap;

	if (s->failed || s->ended)
		return;
	va_start(ap, fmt);
	vsnprintf(s->error, s->error_size, fmt, ap);
	va_end(ap);
	s->failed = true;
	s->result = -err_number;
}

static void
fail_protocol(struct session *s)
{
	fail(s, EPROTO, "the guest agent does not keep to the protocol");
}

/* Ends the session because a signal or the user ended this client. */
static void
leave(struct session *s, int status)
{
	s->ended = true;
	s->exit_status = status;
	fifo_drop(&s->out.fifo, s->out.fifo.len);
	fifo_drop(&s->err.fifo, s->err.fifo.len);
}

static bool
send_control(struct session *s, const uint8_t *frame, size_t len)
{
	if (fifo_room(&s->tx) < len)
		return false;
	fifo_put(&s->tx, frame, len);
	return true;
}

/* Signals ---------------------------------------------------------------- */

static bool
is_ignored(int signo)
{
	struct sigaction sa;

	return sigaction(signo, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

/*
 * Turns signals into frames instead of deaths. One that is ignored stays so:
 * nohup(1), and a shell's background jobs.
 */
static int
take_signals(struct session *s)
{
	static const int both[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1,
	    SIGUSR2 };
	sigset_t set, blocked;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(both); i++)
		if (!is_ignored(both[i]))
			sigaddset(&set, both[i]);
	if (s->req->exec.pty) {
		sigaddset(&set, SIGWINCH);
		sigaddset(&set, SIGTSTP);
	}
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return -errno;
	/* A closed pipe is seen as EPIPE, and is the command's to die of. */
	blocked = set;
	sigaddset(&blocked, SIGPIPE);
	return sigprocmask(SIG_BLOCK, &blocked, &s->old_mask) < 0 ? -errno : 0;
}

static void
release_signals(struct session *s)
{
	const struct timespec now = { 0, 0 };
	sigset_t pipe_only;

	if (s->signals < 0)
		return;
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	if (sigismember(&s->old_mask, SIGPIPE) == 0)
		while (sigtimedwait(&pipe_only, NULL, &now) == SIGPIPE)
			;
	close(s->signals);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

static void
send_winsize(struct session *s)
{
	struct stream_winsize ws = { 0 };
	uint8_t frame[STREAM_CONTROL_MAX];

	if (s->req->exec.pty && terminal_size(s->terminal.fd, &ws))
		(void)send_control(s, frame, stream_put_winsize(frame, &ws));
}

/* Stopped from outside while the terminal is raw: give it back meanwhile. */
static void
suspend(struct session *s)
{
	terminal_restore(&s->terminal);
	(void)kill(getpid(), SIGSTOP);
	(void)terminal_raw(&s->terminal);
	send_winsize(s);
}

static bool
is_impatient(struct session *s)
{
	int64_t now = monotonic_ms();

	if (now - s->impatient_since > IMPATIENT_MS) {
		s->impatient_since = now;
		s->impatience = 0;
	}
	return ++s->impatience >= 3;
}

static void
take_signal(struct session *s, int signo)
{
	uint8_t frame[STREAM_CONTROL_MAX];
	bool ends = signo == SIGINT || signo == SIGTERM || signo == SIGQUIT;

	if (signo == SIGWINCH)
		send_winsize(s);
	else if (signo == SIGTSTP)
		suspend(s);
	else if (signo == SIGHUP || s->ended || (ends && is_impatient(s)) ||
	    (signo == SIGTERM && s->req->exec.pty))
		/* The agent hangs the command up when we are gone. */
		leave(s, 128 + signo);
	else
		(void)send_control(s, frame,
		    stream_put_signal(frame, (uint32_t)signo));
}

static void
read_signals(struct session *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		take_signal(s, (int)info.ssi_signo);
}

/* Output ----------------------------------------------------------------- */

static enum output_kind
kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return OUTPUT_OTHER;
	if (S_ISREG(st.st_mode))
		return OUTPUT_FILE;
	return S_ISSOCK(st.st_mode) ? OUTPUT_SOCKET : OUTPUT_OTHER;
}

/* Nobody reads that output any more: the command is to know. */
static void
close_output(struct session *s, struct output *o)
{
	uint8_t frame[STREAM_CONTROL_MAX];

	o->closed = true;
	fifo_drop(&o->fifo, o->fifo.len);
	(void)send_control(s, frame, stream_put_close(frame, o->channel));
}

static void
grant(struct session *s, struct output *o)
{
	uint8_t frame[STREAM_CONTROL_MAX];

	if (o->owed < STREAM_OUTPUT_WINDOW / 4 || s->ended)
		return;
	if (!send_control(s, frame,
	    stream_put_window(frame, o->channel, o->owed)))
		return;
	o->window += o->owed;
	o->owed = 0;
}

static void
write_output(struct session *s, struct output *o)
{
	size_t len = o->fifo.len;
	ssize_t n;

	if (o->kind == OUTPUT_OTHER && len > PIPE_BUF)
		len = PIPE_BUF;
	if (o->kind == OUTPUT_SOCKET)
		n = send(o->fd, fifo_head(&o->fifo), len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(o->fd, fifo_head(&o->fifo), len);
	if (n >= 0) {
		fifo_drop(&o->fifo, (size_t)n);
		o->owed += (uint32_t)n;
		grant(s, o);
	} else if (errno != EAGAIN && errno != EINTR) {
		if (errno != EPIPE && errno != ECONNRESET)
			fail(s, errno, "cannot write the command's output: %s",
			    strerror(errno));
		close_output(s, o);
	}
}

static void
take_output(struct session *s, struct output *o,
    const struct stream_frame *frame)
{
	if (frame->len > o->window) {
		fail_protocol(s);
		return;
	}
	o->window -= frame->len;
	if (!o->closed)
		fifo_put(&o->fifo, frame->payload, frame->len);
}

/* The stream ------------------------------------------------------------- */

static void
take_hello(struct session *s, const struct stream_frame *frame)
{
	int r = s->greeted ? -EPROTO :
	    stream_get_hello(frame, s->req->nonce);

	if (r == -EPROTONOSUPPORT)
		fail(s, -r, "the guest agent speaks another version of the "
		    "protocol; restart the VM");
	else if (r < 0)
		fail_protocol(s);
	else
		s->greeted = true;
}

static void
take_window(struct session *s, const struct stream_frame *frame)
{
	enum stream_channel channel;
	uint32_t bytes;

	if (stream_get_window(frame, STREAM_AGENT, &channel, &bytes) < 0 ||
	    bytes > STREAM_STDIN_WINDOW - s->stdin_window)
		fail_protocol(s);
	else
		s->stdin_window += bytes;
}

static void
take_exit(struct session *s, const struct stream_frame *frame)
{
	struct stream_exit status;

	if (stream_get_exit(frame, &status) < 0) {
		fail_protocol(s);
		return;
	}
	s->exit_status = (int)status.value;
	if (status.kind == EXIT_KIND_SIGNAL)
		s->exit_status += 128;
	s->ended = true;
	/* The guest's port is free as soon as the agent sees this. */
	(void)shutdown(s->stream, SHUT_RDWR);
}

static void
take_error(struct session *s, const struct stream_frame *frame)
{
	char text[256];
	int number;

	stream_get_error(frame, &number, text, sizeof(text));
	fail(s, number, "%s", text);
}

static void
take_frame(struct session *s, const struct stream_frame *frame)
{
	enum stream_channel channel;

	if (!s->greeted && frame->type != STREAM_HELLO &&
	    frame->type != STREAM_ERROR) {
		fail_protocol(s);
		return;
	}
	switch (frame->type) {
	case STREAM_HELLO:
		take_hello(s, frame);
		return;
	case STREAM_STDOUT:
		take_output(s, &s->out, frame);
		return;
	case STREAM_STDERR:
		take_output(s, &s->err, frame);
		return;
	case STREAM_WINDOW:
		take_window(s, frame);
		return;
	case STREAM_CLOSE:
		if (stream_get_close(frame, STREAM_AGENT, &channel) == 0)
			s->stdin_done = true;
		else
			fail_protocol(s);
		return;
	case STREAM_EXIT:
		take_exit(s, frame);
		return;
	case STREAM_ERROR:
		take_error(s, frame);
		return;
	case STREAM_EXEC:
	case STREAM_STDIN:
	case STREAM_EOF:
	case STREAM_SIGNAL:
	case STREAM_WINSIZE:
		break;		/* stream_next() lets none through */
	}
	fail_protocol(s);
}

static void
read_stream(struct session *s)
{
	struct stream_frame frame;
	size_t room = fifo_room(&s->rx);
	ssize_t n;
	long r;

	n = recv(s->stream, fifo_tail(&s->rx, room), room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(s, EPIPE, "the connection to the guest ended before the "
		    "command did");
		return;
	}
	s->rx.len += (size_t)n;
	while (!s->ended && !s->failed) {
		r = stream_next(fifo_head(&s->rx), s->rx.len, STREAM_AGENT,
		    &frame);
		if (r < 0)
			fail_protocol(s);
		if (r <= 0)
			return;
		fifo_drop(&s->rx, (size_t)r);
		take_frame(s, &frame);
	}
}

static void
write_stream(struct session *s)
{
	ssize_t n = send(s->stream, fifo_head(&s->tx), s->tx.len,
	    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		fifo_drop(&s->tx, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		/* What the guest said last may still be there to be read. */
		fifo_drop(&s->tx, s->tx.len);
}

/* Input ------------------------------------------------------------------ */

/* How much may be read now; a pty's input may grow by a kept-back tilde. */
static size_t
input_limit(const struct session *s)
{
	size_t room = fifo_room(&s->tx), limit = STREAM_PAYLOAD_MAX - 1;

	if (!s->greeted || s->stdin_done || s->ended ||
	    room <= TX_RESERVE + STREAM_HEADER_SIZE)
		return 0;
	room -= TX_RESERVE + STREAM_HEADER_SIZE;
	if (limit > room - 1)
		limit = room - 1;
	if (s->stdin_window < 2)
		return 0;
	return limit < s->stdin_window ? limit : s->stdin_window - 1;
}

static void
send_input(struct session *s, uint8_t *frame, size_t len)
{
	if (len == 0)
		return;
	stream_header(frame, STREAM_STDIN, 0, len);
	s->tx.len += STREAM_HEADER_SIZE + len;
	s->stdin_window -= (uint32_t)len;
}

static void
read_input(struct session *s)
{
	uint8_t frame[STREAM_CONTROL_MAX], *tail;
	size_t limit = input_limit(s);
	char typed[1024];
	bool gone = false;
	ssize_t n;

	if (limit == 0)
		return;
	if (s->terminal.raw && limit > sizeof(typed))
		limit = sizeof(typed);
	tail = fifo_tail(&s->tx, STREAM_HEADER_SIZE + limit + 1);
	n = read(s->req->in, s->terminal.raw ? (void *)typed :
	    (void *)(tail + STREAM_HEADER_SIZE), limit);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		s->stdin_done = true;
		(void)send_control(s, frame, stream_put_eof(frame));
		return;
	}
	if (s->terminal.raw)
		n = (ssize_t)terminal_filter(&s->terminal, typed, (size_t)n,
		    (char *)tail + STREAM_HEADER_SIZE, &gone);
	send_input(s, tail, (size_t)n);
	if (gone)
		fail(s, ECANCELED, "left with ~.");
}

/* The loop --------------------------------------------------------------- */

enum { SLOT_STREAM, SLOT_SIGNALS, SLOT_IN, SLOT_OUT, SLOT_ERR, SLOT_COUNT };

static void
set_pollfd(struct pollfd *pfd, int fd, short events)
{
	pfd->fd = events != 0 ? fd : -1;
	pfd->events = events;
	pfd->revents = 0;
}

static void
prepare_poll(const struct session *s, struct pollfd *pfds)
{
	short stream = (short)(s->ended ? 0 : POLLIN);

	if (!s->ended && s->tx.len > 0)
		stream |= POLLOUT;
	set_pollfd(&pfds[SLOT_STREAM], s->stream, stream);
	set_pollfd(&pfds[SLOT_SIGNALS], s->signals, POLLIN);
	set_pollfd(&pfds[SLOT_IN], s->req->in,
	    (short)(input_limit(s) > 0 ? POLLIN : 0));
	set_pollfd(&pfds[SLOT_OUT], s->out.fd,
	    (short)(s->out.fifo.len > 0 ? POLLOUT : 0));
	set_pollfd(&pfds[SLOT_ERR], s->err.fd,
	    (short)(s->err.fifo.len > 0 ? POLLOUT : 0));
}

static int
poll_timeout(struct session *s)
{
	int64_t left;

	if (s->greeted || s->ended)
		return -1;
	left = s->hello_deadline - monotonic_ms();
	if (left <= 0) {
		fail(s, ETIMEDOUT, "the guest agent did not answer in %d s",
		    STREAM_HELLO_TIMEOUT_MS / 1000);
		return 0;
	}
	return (int)left;
}

static bool
is_over(const struct session *s)
{
	return s->failed || (s->ended && s->out.fifo.len == 0 &&
	    s->err.fifo.len == 0);
}

static void
run_loop(struct session *s)
{
	struct pollfd pfds[SLOT_COUNT];

	while (!is_over(s)) {
		prepare_poll(s, pfds);
		if (poll(pfds, SLOT_COUNT, poll_timeout(s)) < 0)
			continue;
		if (pfds[SLOT_SIGNALS].revents != 0)
			read_signals(s);
		if (pfds[SLOT_STREAM].revents & POLLOUT)
			write_stream(s);
		if (pfds[SLOT_STREAM].revents & ~POLLOUT)
			read_stream(s);
		if (pfds[SLOT_OUT].revents != 0 && s->out.fifo.len > 0)
			write_output(s, &s->out);
		if (pfds[SLOT_ERR].revents != 0 && s->err.fifo.len > 0)
			write_output(s, &s->err);
		if (pfds[SLOT_IN].revents != 0)
			read_input(s);
	}
}

/* Start and end ---------------------------------------------------------- */

static void
queue_request(struct session *s, const uint8_t *encoded, size_t len)
{
	uint8_t header[STREAM_CONTROL_MAX];
	size_t offset = 0, part;

	part = stream_put_hello(header, s->req->nonce);
	fifo_put(&s->tx, header, part);
	while (offset < len) {
		part = stream_exec_header(header, len, offset);
		fifo_put(&s->tx, header, STREAM_HEADER_SIZE);
		fifo_put(&s->tx, encoded + offset, part);
		offset += part;
	}
}

static const char *
or_empty(const char *s)
{
	return s != NULL ? s : "";
}

/* Encodes the request, and finds room for it and all that is sent later. */
static int
prepare_request(struct session *s)
{
	struct exec_request exec = s->req->exec;
	struct stream_winsize ws = { .rows = 24, .cols = 80 };
	_cleanup_free_ uint8_t *encoded = NULL;
	size_t len;
	int r;

	exec.user = or_empty(exec.user);
	exec.cwd = or_empty(exec.cwd);
	exec.term = or_empty(exec.term);
	if (exec.pty && (exec.rows == 0 || exec.cols == 0)) {
		(void)(terminal_size(s->req->out, &ws) ||
		    terminal_size(s->req->in, &ws));
		exec.rows = ws.rows;
		exec.cols = ws.cols;
	}
	r = exec_request_encode(&exec, &encoded, &len);
	if (r == -E2BIG)
		fail(s, E2BIG, "the command and its environment are too long: "
		    "at most %u KiB and %u arguments",
		    EXEC_REQUEST_MAX / 1024, EXEC_ARGC_MAX);
	else if (r < 0)
		fail(s, -r, "cannot send the command: %s", strerror(-r));
	if (r < 0)
		return r;
	/* HELLO, and a header for each 64 KiB, fit in TX_RESERVE. */
	s->tx.size = len + TX_DATA;
	s->tx.data = malloc(s->tx.size);
	if (s->tx.data == NULL)
		return -ENOMEM;
	queue_request(s, encoded, len);
	return 0;
}

static int
prepare_output(struct output *o, int fd, enum stream_channel channel)
{
	o->fd = fd;
	o->channel = channel;
	o->kind = kind_of(fd);
	o->window = STREAM_OUTPUT_WINDOW;
	o->fifo.size = STREAM_OUTPUT_WINDOW;
	o->fifo.data = malloc(o->fifo.size);
	return o->fifo.data != NULL ? 0 : -ENOMEM;
}

static int
prepare(struct session *s)
{
	int r;

	s->rx.size = RX_SIZE;
	s->rx.data = malloc(s->rx.size);
	if (s->rx.data == NULL ||
	    prepare_output(&s->out, s->req->out, CHANNEL_STDOUT) < 0 ||
	    prepare_output(&s->err, s->req->err, CHANNEL_STDERR) < 0)
		return -ENOMEM;
	r = prepare_request(s);
	if (r == 0)
		r = take_signals(s);
	if (r == 0 && s->req->exec.pty) {
		terminal_init(&s->terminal, s->req->in);
		r = terminal_raw(&s->terminal);
	}
	if (r == 0 && s->req->enter_sandbox != NULL)
		r = s->req->enter_sandbox();
	return r;
}

int
session_run(int stream, const struct session_request *req, int *exit_status,
    char *err, size_t err_size)
{
	struct session s = {
		.stream = stream,
		.req = req,
		.terminal.fd = -1,
		.signals = -1,
		.stdin_window = STREAM_STDIN_WINDOW,
		.error_size = err_size,
	};
	int r;

	s.error = err;
	r = prepare(&s);
	s.hello_deadline = monotonic_ms() + STREAM_HELLO_TIMEOUT_MS;
	if (r < 0)
		fail(&s, -r, "cannot start the session: %s", strerror(-r));
	else
		run_loop(&s);
	terminal_restore(&s.terminal);
	release_signals(&s);
	free(s.rx.data);
	free(s.tx.data);
	free(s.out.fifo.data);
	free(s.err.fifo.data);
	if (s.failed)
		return s.result;
	*exit_status = s.exit_status;
	return 0;
}
