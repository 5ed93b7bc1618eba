/*
 * A session is two half-lives tied together: the link to the client (greeting,
 * request, data, the last frame, then waiting until the host end is closed) and
 * the command (not started, running, ended). Either may end first.
 *
 * All buffers have the size of the windows given for them, so that reading the
 * link never waits for the command and the other way round. exec_session_pump()
 * repeats every step until none makes progress.
 */
#include "guest/exec.h"

#include <sys/ioctl.h>
#include <sys/wait.h>

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "base/fifo.h"
#include "base/stream.h"
#include "guest/command.h"
#include "privsep/log.h"

/* Kept free in the send buffer for control frames, which are all small. */
#define TX_RESERVE	4096
#define TX_SIZE		(STREAM_FRAME_MAX + (size_t)2 * TX_RESERVE)
/* A write of less than this is not worth a frame while others are queued. */
#define TX_DATA_MIN	4096
/* Rounds of one pump before other sessions have their turn. */
#define PUMP_ROUNDS	16

enum link_phase {
	LINK_GREETING,	/* wants HELLO */
	LINK_REQUEST,	/* wants EXEC */
	LINK_OPEN,
	LINK_LAST,	/* the last frame is queued */
	LINK_LINGER,	/* nothing more to say; the host end is still open */
	LINK_CLOSED,
};

enum command_phase { COMMAND_NONE, COMMAND_RUNS, COMMAND_ENDED };

/* One output of the command. */
struct output {
	struct watch watch;
	enum stream_type type;
	uint32_t window;	/* bytes the client still takes */
	uint64_t must_drain;	/* bytes in the pipe when the command ended */
	bool dry;		/* the last read found nothing */
};

struct exec_session {
	struct loop *loop;
	struct watch link;
	enum link_phase link_phase;
	enum command_phase command_phase;
	uint8_t nonce[STREAM_NONCE_SIZE];
	int64_t deadline;	/* of the greeting, the drain or the kill */
	bool awaits_host;	/* nobody has been at the other end yet */
	bool hung_up;		/* the client has gone: the command must go */

	uint8_t *request;	/* EXEC payloads so far */
	size_t request_len;
	char name[128];		/* of the command, for messages */
	bool pty;
	pid_t pid;
	int report;
	int wait_status;
	uint64_t start_us, elapsed_us;
	int64_t ended_ms;

	struct watch in;	/* not used with a pty */
	struct output out, err;
	uint32_t stdin_window;	/* bytes the client may still send */
	uint32_t stdin_taken;	/* bytes to grant again */
	bool stdin_eof;		/* the client's end of file */
	bool stdin_closed;	/* the command does not read any more */

	struct fifo rx, tx, stdin_fifo;
	uint8_t rx_data[STREAM_FRAME_MAX];
	uint8_t tx_data[TX_SIZE];
	uint8_t stdin_data[STREAM_STDIN_WINDOW];
};

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
	s->deadline = now_ms() + STREAM_HELLO_TIMEOUT_MS;
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
	s->report = -1;
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

/* The host end is gone, as poll(2) has it: an edge may be an old one. */
static bool
host_end_gone(const struct exec_session *s)
{
	struct pollfd pfd = { .fd = s->link.fd };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR));
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
		s->deadline = now_ms() + EXEC_HANGUP_GRACE_MS;
	}
	s->hung_up = true;
	close_command_fds(s);
}

static void
send_control(struct exec_session *s, const uint8_t *frame, size_t len)
{
	/* TX_RESERVE is more than all control frames of a session can take. */
	if (fifo_room(&s->tx) >= len)
		fifo_put(&s->tx, frame, len);
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
	send_control(s, frame, stream_put_error(frame, err, text));
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
	s->start_us = now_us();
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
	send_control(s, hello, stream_put_hello(hello, s->nonce));
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
	if ((n < 0 && errno != EAGAIN) || n == 0 || host_end_gone(s))
		hang_up(s);
	return false;
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

/* The command reads no more: what it was sent is void, and so is the rest. */
static void
close_stdin(struct exec_session *s)
{
	uint8_t frame[STREAM_CONTROL_MAX];

	loop_unwatch(s->loop, &s->in);
	fifo_drop(&s->stdin_fifo, s->stdin_fifo.len);
	s->stdin_closed = true;
	if (!s->stdin_eof)
		send_control(s, frame, stream_put_close(frame, CHANNEL_STDIN));
}

static void
end_stdin(struct exec_session *s)
{
	/* ^D: with a pty the end of input is what the terminal makes of it. */
	if (s->pty && s->out.watch.fd >= 0 &&
	    write(s->out.watch.fd, "\004", 1) < 0)
		return;
	loop_unwatch(s->loop, &s->in);
	s->stdin_closed = true;
}

static void
grant_stdin(struct exec_session *s, size_t taken)
{
	uint8_t frame[STREAM_CONTROL_MAX];

	s->stdin_taken += (uint32_t)taken;
	if (s->stdin_eof || s->stdin_taken < STREAM_STDIN_WINDOW / 4)
		return;
	send_control(s, frame, stream_put_window(frame, CHANNEL_STDIN,
	    s->stdin_taken));
	s->stdin_window += s->stdin_taken;
	s->stdin_taken = 0;
}

static bool
feed_stdin(struct exec_session *s)
{
	struct watch *w = s->pty ? &s->out.watch : &s->in;
	ssize_t n;

	if (s->command_phase == COMMAND_NONE || s->stdin_closed || w->fd < 0)
		return false;
	if (s->stdin_fifo.len == 0) {
		if (s->stdin_eof)
			end_stdin(s);
		return false;
	}
	if ((w->ready & (EPOLLOUT | EPOLLERR)) == 0)
		return false;
	n = write(w->fd, fifo_head(&s->stdin_fifo), s->stdin_fifo.len);
	if (n >= 0) {
		fifo_drop(&s->stdin_fifo, (size_t)n);
		grant_stdin(s, (size_t)n);
		return n > 0;
	}
	if (errno == EINTR)
		return true;
	w->ready &= ~(uint32_t)(EPOLLOUT | EPOLLERR);
	if (errno != EAGAIN)
		close_stdin(s);
	return false;
}

/* How much of O may be read now: window, and room for a frame. */
static size_t
output_limit(const struct exec_session *s, const struct output *o)
{
	size_t room = fifo_room(&s->tx);
	size_t limit = STREAM_PAYLOAD_MAX;

	if (room < TX_RESERVE + STREAM_HEADER_SIZE + TX_DATA_MIN)
		return 0;
	room -= TX_RESERVE + STREAM_HEADER_SIZE;
	if (limit > room)
		limit = room;
	return limit > o->window ? o->window : limit;
}

static void
output_read(struct output *o, size_t n)
{
	o->window -= (uint32_t)n;
	o->must_drain -= n < o->must_drain ? n : o->must_drain;
	o->dry = false;
}

/* Moves one run of output into a frame; true when there may be more. */
static bool
collect(struct exec_session *s, struct output *o)
{
	size_t limit;
	uint8_t *frame;
	ssize_t n;

	if (s->link_phase != LINK_OPEN || o->watch.fd < 0 ||
	    (o->watch.ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return false;
	limit = output_limit(s, o);
	if (limit == 0)
		return false;
	frame = fifo_tail(&s->tx, STREAM_HEADER_SIZE + limit);
	n = read(o->watch.fd, frame + STREAM_HEADER_SIZE, limit);
	if (n > 0) {
		stream_header(frame, o->type, 0, (size_t)n);
		s->tx.len += STREAM_HEADER_SIZE + (size_t)n;
		output_read(o, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		o->dry = true;
	else if (!s->pty || s->command_phase == COMMAND_ENDED)
		loop_unwatch(s->loop, &o->watch);
	/*
	 * A pty's master says EIO while no slave is open, as between a program's
	 * closing its output and its exit: to close it then would be a SIGHUP.
	 */
	o->watch.ready &= ~(uint32_t)(EPOLLIN | EPOLLHUP | EPOLLERR);
	return false;
}

void
exec_session_ending(struct exec_session *s)
{
	if (s->hung_up)
		signal_group(s, SIGKILL);
}

static void
mark_output(struct output *o)
{
	int n = 0;

	if (o->watch.fd >= 0 && ioctl(o->watch.fd, FIONREAD, &n) == 0 && n > 0)
		o->must_drain = (uint64_t)n;
	o->dry = false;
	/* Whatever the edges said: look once more. */
	o->watch.ready |= EPOLLIN;
}

void
exec_session_ended(struct exec_session *s, int wait_status)
{
	s->elapsed_us = now_us() - s->start_us;
	s->wait_status = wait_status;
	s->command_phase = COMMAND_ENDED;
	s->ended_ms = now_ms();
	s->deadline = INT64_MAX;
	mark_output(&s->out);
	mark_output(&s->err);
}

static bool
output_over(const struct output *o)
{
	return o->watch.fd < 0 || (o->dry && o->must_drain == 0);
}

/*
 * Whether an ended command's output is complete. A process it left behind may
 * hold a pipe open for ever: what was there at the end is always delivered, more
 * only until it is quiet for a moment.
 */
static bool
drained(struct exec_session *s)
{
	int64_t now;

	if (s->out.watch.fd < 0 && s->err.watch.fd < 0)
		return true;
	now = now_ms();
	if (!output_over(&s->out) || !output_over(&s->err)) {
		s->deadline = INT64_MAX;
		return s->out.must_drain == 0 && s->err.must_drain == 0 &&
		    s->out.window > 0 && s->err.window > 0 &&
		    now - s->ended_ms >= EXEC_DRAIN_MAX_MS;
	}
	if (s->deadline == INT64_MAX)
		s->deadline = now + EXEC_DRAIN_QUIET_MS;
	return now >= s->deadline;
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
	send_control(s, frame, STREAM_HEADER_SIZE + (size_t)n);
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

	send_control(s, frame, stream_put_exit(frame, &status));
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
	    !drained(s))
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
	if (s->deadline == INT64_MAX || now_ms() < s->deadline)
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
		busy |= feed_stdin(s);
		busy |= collect(s, &s->out);
		busy |= collect(s, &s->err);
		busy |= conclude(s);
		busy |= transmit(s);
	}
	if (s->link_phase == LINK_LAST && s->tx.len == 0)
		linger(s);
	settle_link(s);
	return busy;
}
