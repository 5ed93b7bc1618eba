/*
 * A session is two half-lives tied together: the link to the client (greeting,
 * request, data, the last frame, then waiting until the host end is closed) and
 * the command (not started, running, ended). Either may end first.
 *
 * Here is the link and the order of things; the command's bytes are exec_io.c's.
 *
 * All buffers have the size of the windows given for them, so that reading the
 * link never waits for the command and the other way round. exec_session_pump()
 * repeats every step until none makes progress.
 */
#include "guest/exec_int.h"

#include <sys/ioctl.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "guest/command.h"
#include "privsep/log.h"

/* Rounds of one pump before other sessions have their turn. */
#define PUMP_ROUNDS	16

struct exec_session *
exec_session_new(struct loop *loop, int link, bool awaits_host,
    const uint8_t *nonce)
{
	struct exec_session *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return NULL;
	s->loop = loop;
	s->awaits_host = awaits_host;
	s->link = s->in = (struct watch)WATCH_NONE;
	s->out.watch = s->err.watch = (struct watch)WATCH_NONE;
	s->out.type = STREAM_STDOUT;
	s->err.type = STREAM_STDERR;
	s->out.window = s->err.window = STREAM_OUTPUT_WINDOW;
	s->stdin_window = STREAM_STDIN_WINDOW;
	s->report = -1;
	s->rx = (struct fifo){ s->rx_data, sizeof(s->rx_data), 0, 0 };
	s->tx = (struct fifo){ s->tx_data, sizeof(s->tx_data), 0, 0 };
	s->stdin_fifo = (struct fifo){ s->stdin_data, sizeof(s->stdin_data),
	    0, 0 };
	memcpy(s->nonce, nonce, sizeof(s->nonce));
	s->deadline = monotonic_ms() + STREAM_HELLO_TIMEOUT_MS;
	r = loop_watch(loop, &s->link, link);
	if (r < 0) {
		free(s);
		errno = -r;
		return NULL;
	}
	return s;
}

static void
close_command_fds(struct exec_session *s)
{
	loop_unwatch(s->loop, &s->in);
	loop_unwatch(s->loop, &s->out.watch);
	loop_unwatch(s->loop, &s->err.watch);
	close_fdp(&s->report);
}

void
exec_session_free(struct exec_session *s)
{
	close_command_fds(s);
	loop_unwatch(s->loop, &s->link);
	free(s->request);
	free(s);
}

pid_t
exec_session_pid(const struct exec_session *s)
{
	return s->command_phase == COMMAND_RUNS ? s->pid : 0;
}

bool
exec_session_released(const struct exec_session *s)
{
	return s->link_phase == LINK_CLOSED;
}

bool
exec_session_done(const struct exec_session *s)
{
	return s->link_phase == LINK_CLOSED &&
	    s->command_phase != COMMAND_RUNS;
}

bool
exec_session_flushed(const struct exec_session *s)
{
	return s->link_phase != LINK_OPEN && s->tx.len == 0;
}

int64_t
exec_session_deadline(const struct exec_session *s)
{
	return s->deadline;
}

/*
 * Signals everything the command has in its process group. While the leader is
 * not reaped its pid, and so the group's id, cannot belong to anyone else.
 */
static void
signal_group(const struct exec_session *s, int signo)
{
	if (s->command_phase != COMMAND_RUNS)
		return;
	/* Before its setsid() the child has no group of its own yet. */
	if (kill(-s->pid, signo) < 0)
		(void)kill(s->pid, signo);
}

/*
 * The host end is gone, as it is now: an edge may be an old one. A closed port
 * hangs up; a vsock connection only says that its peer sends no more, and that
 * is the same, for Firecracker never closes one direction alone.
 */
static bool
host_end_gone(struct exec_session *s)
{
	return (loop_look(&s->link) & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
}

static void
settle_link(struct exec_session *s)
{
	if (s->link_phase == LINK_LINGER && host_end_gone(s)) {
		loop_unwatch(s->loop, &s->link);
		s->link_phase = LINK_CLOSED;
	}
}

/*
 * No more to say or to hear. The connection stays ours until the host end is
 * closed: only then can its bytes not reach the next session.
 */
static void
linger(struct exec_session *s)
{
	s->tx.len = s->tx.start = 0;
	s->link.ready = 0;
	s->link_phase = LINK_LINGER;
	settle_link(s);
}

/* The client is gone or not to be talked to: the command must end. */
static void
hang_up(struct exec_session *s)
{
	if (s->link_phase < LINK_LINGER)
		linger(s);
	s->deadline = INT64_MAX;
	if (s->command_phase == COMMAND_RUNS && !s->hung_up) {
		signal_group(s, SIGHUP);
		signal_group(s, SIGCONT);
		s->deadline = monotonic_ms() + EXEC_HANGUP_GRACE_MS;
	}
	s->hung_up = true;
	close_command_fds(s);
}

/* No command: says why in words for the user, and ends. */
static void PRINTF_LIKE(3, 4)
refuse(struct exec_session *s, int err, const char *fmt, ...)
{
	uint8_t frame[STREAM_ERROR_MAX];
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	exec_send_control(s, frame, stream_put_error(frame, err, text));
	close_command_fds(s);
	s->link_phase = LINK_LAST;
	s->deadline = INT64_MAX;
}

static void
start_command(struct exec_session *s)
{
	struct exec_request req;
	struct command command;
	int r = exec_request_decode(s->request, s->request_len, &req);

	if (r < 0) {
		refuse(s, -r, "the guest cannot take this command: %s",
		    strerror(-r));
		return;
	}
	s->start_us = (uint64_t)monotonic_us();
	r = command_start(&req, &command);
	s->pty = req.pty;
	snprintf(s->name, sizeof(s->name), "%s",
	    req.argc > 0 ? req.argv[0] : "login shell");
	exec_request_free(&req);
	free(steal_ptr(&s->request));
	if (r < 0) {
		refuse(s, -r, "the guest cannot start a process: %s",
		    strerror(-r));
		return;
	}
	s->pid = command.pid;
	s->report = command.report;
	s->command_phase = COMMAND_RUNS;
	s->link_phase = LINK_OPEN;
	s->deadline = INT64_MAX;
	if (loop_watch(s->loop, &s->out.watch, command.out) < 0 ||
	    (!s->pty && (loop_watch(s->loop, &s->in, command.in) < 0 ||
	    loop_watch(s->loop, &s->err.watch, command.err) < 0)))
		hang_up(s);	/* epoll has no memory left */
}

static int
take_hello(struct exec_session *s, const struct stream_frame *frame)
{
	uint8_t hello[STREAM_CONTROL_MAX];
	int r;

	if (frame->type != STREAM_HELLO)
		return -EPROTO;
	r = stream_get_hello(frame, s->nonce);
	if (r == -EPROTONOSUPPORT) {
		refuse(s, EPROTONOSUPPORT,
		    "the guest agent speaks another version; restart the VM");
		return 0;
	}
	if (r < 0)
		return r;
	exec_send_control(s, hello, stream_put_hello(hello, s->nonce));
	s->link_phase = LINK_REQUEST;
	return 0;
}

static int
take_request(struct exec_session *s, const struct stream_frame *frame)
{
	uint8_t *grown;

	if (frame->type != STREAM_EXEC)
		return -EPROTO;
	if (s->request_len + frame->len > EXEC_REQUEST_MAX)
		return -E2BIG;
	grown = realloc(s->request, s->request_len + frame->len);
	if (grown == NULL)
		return -ENOMEM;
	memcpy(grown + s->request_len, frame->payload, frame->len);
	s->request = grown;
	s->request_len += frame->len;
	if ((frame->flags & STREAM_FLAG_MORE) == 0)
		start_command(s);
	return 0;
}

static int
take_stdin(struct exec_session *s, const struct stream_frame *frame)
{
	if (s->stdin_eof || frame->len > s->stdin_window)
		return -EPROTO;
	s->stdin_window -= frame->len;
	if (!s->stdin_closed)
		fifo_put(&s->stdin_fifo, frame->payload, frame->len);
	return 0;
}

static struct output *
output_of(struct exec_session *s, enum stream_channel channel)
{
	return channel == CHANNEL_STDOUT ? &s->out : &s->err;
}

static int
take_close(struct exec_session *s, const struct stream_frame *frame)
{
	enum stream_channel channel;
	int r = stream_get_close(frame, STREAM_CLIENT, &channel);

	if (r < 0)
		return r;
	/* The command's next write fails with SIGPIPE; a pty hangs up. */
	loop_unwatch(s->loop, &output_of(s, channel)->watch);
	return 0;
}

static int
take_window(struct exec_session *s, const struct stream_frame *frame)
{
	enum stream_channel channel;
	struct output *o;
	uint32_t bytes;
	int r = stream_get_window(frame, STREAM_CLIENT, &channel, &bytes);

	if (r < 0)
		return r;
	o = output_of(s, channel);
	if (bytes > STREAM_OUTPUT_WINDOW - o->window)
		return -EPROTO;
	o->window += bytes;
	return 0;
}

static int
take_signal(const struct exec_session *s, const struct stream_frame *frame)
{
	pid_t foreground = 0;
	int signo = 0;
	int r = stream_get_signal(frame, &signo);

	if (r < 0)
		return r;
	if (s->pty && s->out.watch.fd >= 0 &&
	    ioctl(s->out.watch.fd, TIOCGPGRP, &foreground) == 0 &&
	    foreground > 0 && s->command_phase == COMMAND_RUNS)
		(void)kill(-foreground, signo);
	else
		signal_group(s, signo);
	return 0;
}

static void
take_winsize(const struct exec_session *s, const struct stream_frame *frame)
{
	struct stream_winsize size;
	struct winsize ws = { 0 };

	if (!s->pty || s->out.watch.fd < 0)
		return;
	stream_get_winsize(frame, &size);
	ws.ws_row = size.rows;
	ws.ws_col = size.cols;
	ws.ws_xpixel = size.width_px;
	ws.ws_ypixel = size.height_px;
	(void)ioctl(s->out.watch.fd, TIOCSWINSZ, &ws);
}

static int
take_data(struct exec_session *s, const struct stream_frame *frame)
{
	switch (frame->type) {
	case STREAM_STDIN:
		return take_stdin(s, frame);
	case STREAM_EOF:
		if (s->stdin_eof)
			return -EPROTO;
		s->stdin_eof = true;
		return 0;
	case STREAM_CLOSE:
		return take_close(s, frame);
	case STREAM_WINDOW:
		return take_window(s, frame);
	case STREAM_SIGNAL:
		return take_signal(s, frame);
	case STREAM_WINSIZE:
		take_winsize(s, frame);
		return 0;
	case STREAM_HELLO:
	case STREAM_EXEC:
	case STREAM_STDOUT:
	case STREAM_STDERR:
	case STREAM_EXIT:
	case STREAM_ERROR:
		break;
	}
	return -EPROTO;
}

static int
take_frame(struct exec_session *s, const struct stream_frame *frame)
{
	switch (s->link_phase) {
	case LINK_GREETING:
		return take_hello(s, frame);
	case LINK_REQUEST:
		return take_request(s, frame);
	case LINK_OPEN:
		return take_data(s, frame);
	case LINK_LAST:
	case LINK_LINGER:
	case LINK_CLOSED:
		break;		/* written before the client saw our end */
	}
	return 0;
}

static void
take_frames(struct exec_session *s)
{
	struct stream_frame frame;
	long r = 1;

	while (r > 0 && s->link_phase < LINK_LINGER) {
		r = stream_next(fifo_head(&s->rx), s->rx.len, STREAM_CLIENT,
		    &frame);
		if (r <= 0)
			break;
		fifo_drop(&s->rx, (size_t)r);
		r = take_frame(s, &frame) < 0 ? -EPROTO : 1;
	}
	if (r < 0) {
		log_warn("exec stream: the client broke the protocol");
		hang_up(s);
	}
}

/* Reads the link; true when there may be more. */
static bool
receive(struct exec_session *s)
{
	size_t room;
	ssize_t n;

	if (s->link_phase >= LINK_LINGER ||
	    (s->link.ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return false;
	/*
	 * No client yet. Its first bytes may be here before the driver has heard
	 * that it is connected; until then they would look like its last.
	 */
	if (s->awaits_host && host_end_gone(s)) {
		s->link.ready = 0;
		return false;
	}
	s->awaits_host = false;
	/* A whole frame fits, so that there always is room after the parse. */
	room = fifo_room(&s->rx);
	n = read(s->link.fd, fifo_tail(&s->rx, room), room);
	if (n > 0) {
		s->rx.len += (size_t)n;
		take_frames(s);
		return s->link_phase < LINK_LINGER;
	}
	if (n < 0 && errno == EINTR)
		return true;
	s->link.ready &= ~(uint32_t)(EPOLLIN | EPOLLHUP | EPOLLERR);
	if ((n < 0 && errno != EAGAIN) || n == 0 || host_end_gone(s)) {
		hang_up(s);
		return false;
	}
	return (s->link.ready & EPOLLIN) != 0;
}

static bool
transmit(struct exec_session *s)
{
	ssize_t n;

	if (s->link_phase >= LINK_LINGER || s->tx.len == 0 ||
	    (s->link.ready & EPOLLOUT) == 0)
		return false;
	n = write(s->link.fd, fifo_head(&s->tx), s->tx.len);
	if (n >= 0) {
		fifo_drop(&s->tx, (size_t)n);
		return true;
	}
	if (errno == EINTR)
		return true;
	s->link.ready &= ~(uint32_t)EPOLLOUT;
	if (errno != EAGAIN)
		hang_up(s);
	return false;
}

void
exec_session_ending(struct exec_session *s)
{
	if (s->hung_up)
		signal_group(s, SIGKILL);
}

void
exec_session_ended(struct exec_session *s, int wait_status)
{
	s->elapsed_us = (uint64_t)monotonic_us() - s->start_us;
	s->wait_status = wait_status;
	s->command_phase = COMMAND_ENDED;
	s->ended_ms = monotonic_ms();
	s->deadline = INT64_MAX;
	exec_mark_output(&s->out);
	exec_mark_output(&s->err);
}

/* As a shell says it, on standard error (a pty's is its output). */
static void
send_exec_error(struct exec_session *s, const struct command_failure *failure)
{
	struct output *o = s->pty ? &s->out : &s->err;
	uint8_t frame[STREAM_HEADER_SIZE + 256];
	int n;

	n = snprintf((char *)frame + STREAM_HEADER_SIZE, 256,
	    "banger: %s: %s%s", s->name,
	    failure->err == ENOENT ? "not found" : strerror(failure->err),
	    s->pty ? "\r\n" : "\n");
	stream_header(frame, o->type, 0, (size_t)n);
	exec_send_control(s, frame, STREAM_HEADER_SIZE + (size_t)n);
	o->window -= (uint32_t)n;
}

static void
send_exit(struct exec_session *s, enum exit_kind kind, int value)
{
	struct stream_exit status = {
		.kind = kind,
		.value = (uint32_t)value,
		.elapsed_us = s->elapsed_us,
	};
	uint8_t frame[STREAM_CONTROL_MAX];

	exec_send_control(s, frame, stream_put_exit(frame, &status));
	s->link_phase = LINK_LAST;
}

static void
send_failure(struct exec_session *s, const struct command_failure *failure)
{
	switch (failure->stage) {
	case COMMAND_EXEC:
		send_exec_error(s, failure);
		send_exit(s, EXIT_KIND_CODE,
		    failure->err == ENOENT ? 127 : 126);
		return;
	case COMMAND_USER:
		if (failure->err == ENOENT || failure->err == ESRCH)
			refuse(s, failure->err, "the guest has no such %s",
			    failure->err == ENOENT ? "user" : "group");
		else
			refuse(s, failure->err,
			    "cannot become that user in the guest: %s",
			    strerror(failure->err));
		return;
	case COMMAND_CWD:
		refuse(s, failure->err,
		    "cannot enter the working directory in the guest: %s",
		    strerror(failure->err));
		return;
	case COMMAND_SETUP:
		break;
	}
	refuse(s, failure->err, "cannot set up the command in the guest: %s",
	    strerror(failure->err));
}

/* Sends the last frame once the command has ended and its output is out. */
static bool
conclude(struct exec_session *s)
{
	struct command_failure failure;

	if (s->link_phase != LINK_OPEN || s->command_phase != COMMAND_ENDED ||
	    !exec_drained(s))
		return false;
	s->deadline = INT64_MAX;
	if (command_failed(s->report, &failure))
		send_failure(s, &failure);
	else if (WIFSIGNALED(s->wait_status))
		send_exit(s, EXIT_KIND_SIGNAL, WTERMSIG(s->wait_status));
	else
		send_exit(s, EXIT_KIND_CODE, WEXITSTATUS(s->wait_status));
	close_command_fds(s);
	return true;
}

static void
check_clock(struct exec_session *s)
{
	if (s->deadline == INT64_MAX || monotonic_ms() < s->deadline)
		return;
	if (s->link_phase < LINK_OPEN) {
		/* Nobody came: the port goes back. */
		hang_up(s);
	} else if (s->hung_up) {
		signal_group(s, SIGKILL);
		s->deadline = INT64_MAX;
	}
}

bool
exec_session_pump(struct exec_session *s)
{
	bool busy = true;
	int round;

	check_clock(s);
	for (round = 0; busy && round < PUMP_ROUNDS; round++) {
		busy = receive(s);
		busy |= exec_feed_stdin(s);
		busy |= exec_collect(s, &s->out);
		busy |= exec_collect(s, &s->err);
		busy |= conclude(s);
		busy |= transmit(s);
	}
	if (s->link_phase == LINK_LAST && s->tx.len == 0)
		linger(s);
	settle_link(s);
	return busy;
}
