/*
 * Standard input to the command, its output to the client, within the windows of
 * both; and when the output of a command that has ended is complete.
 */
#include "guest/exec_int.h"

#include <sys/ioctl.h>

#include "privsep/util.h"

/* A write of less than this is not worth a frame while others are queued. */
#define TX_DATA_MIN	4096

void
exec_send_control(struct exec_session *s, const uint8_t *frame, size_t len)
{
	if (fifo_room(&s->tx) >= len)
		fifo_put(&s->tx, frame, len);
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
		exec_send_control(s, frame,
		    stream_put_close(frame, CHANNEL_STDIN));
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
	exec_send_control(s, frame, stream_put_window(frame, CHANNEL_STDIN,
	    s->stdin_taken));
	s->stdin_window += s->stdin_taken;
	s->stdin_taken = 0;
}

bool
exec_feed_stdin(struct exec_session *s)
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

bool
exec_collect(struct exec_session *s, struct output *o)
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
exec_mark_output(struct output *o)
{
	int n = 0;

	if (o->watch.fd >= 0 && ioctl(o->watch.fd, FIONREAD, &n) == 0 && n > 0)
		o->must_drain = (uint64_t)n;
	o->dry = false;
	/* Whatever the edges said: look once more. */
	o->watch.ready |= EPOLLIN;
}

static bool
output_over(const struct output *o)
{
	return o->watch.fd < 0 || (o->dry && o->must_drain == 0);
}

bool
exec_drained(struct exec_session *s)
{
	int64_t now;

	if (s->out.watch.fd < 0 && s->err.watch.fd < 0)
		return true;
	now = monotonic_ms();
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
