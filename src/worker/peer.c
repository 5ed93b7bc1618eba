/*
 * Whoever may connect is judged by the kernel's word alone (SO_PEERCRED, unix(7));
 * what they send is judged byte by byte, and a line that is not as it should be
 * costs its sender the connection and nobody else anything.
 *
 * While a request is under way nothing is read, so a client cannot make the
 * worker queue; only its going away is watched for.
 */
#include "worker/peer.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "privsep/log.h"
#include "worker/api.h"

enum {
	PEERS_MAX = 512,
	USERS_MAX = 16,			/* that are told apart when it is full */
	RELISTEN_MS = 200,
	PEER_OUT_MAX = 4 << 20,
	PEER_GROUPS_MAX = 64,
	/* A client with so much to read is told and asked nothing more. */
	PEER_BEHIND = 64 * 1024,
};

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * (PEER_FDS_MAX + 1))];
};

static void on_ready(void *arg, uint32_t ready);

static bool
in_group(int fd, const struct ucred *cred, uint32_t gid)
{
	gid_t groups[PEER_GROUPS_MAX];
	socklen_t len = sizeof(groups);
	size_t i;

	if (gid == UINT32_MAX)
		return false;
	if (cred->gid == gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* Whether whoever is at the other end of PEER may use the daemon. */
static bool
may_use(struct peer *peer)
{
	const struct worker *w = peer->w;
	const int fd = peer->fd;
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    len != sizeof(cred))
		return false;
	peer->uid = cred.uid;
	if (cred.uid == 0 || cred.uid == w->config.owner_uid ||
	    in_group(fd, &cred, w->config.owner_gid))
		return true;
	log_info("refused a connection of uid %u", cred.uid);
	return false;
}

/* Whether the next request may be read and looked at. */
static bool
is_open(const struct peer *peer)
{
	return !peer->request.active && !peer->last &&
	    peer->out.len <= PEER_BEHIND;
}

/* What to watch for: requests, the client's end, room to write. */
static void
set_mask(struct peer *peer)
{
	uint32_t mask = EPOLLRDHUP;

	if (is_open(peer))
		mask |= EPOLLIN;
	if (peer->out.len > 0)
		mask |= EPOLLOUT;
	(void)event_io_mask(&peer->io, mask);
}

static void
close_fds(struct peer *peer)
{
	while (peer->nfds > 0)
		close(peer->fds[--peer->nfds]);
}

static void
close_later(void *arg)
{
	peer_free(arg);
}

/* VMs for this client alone go with it. */
static void
end_owned(struct peer *peer)
{
	struct list *node, *following;

	list_each(node, following, &peer->w->machines) {
		struct machine *m = list_entry(node, struct machine, node);

		if (m->owner != peer)
			continue;
		m->owner = NULL;
		machine_end(m, true, NULL);
	}
}

void
peer_free(struct peer *peer)
{
	struct worker *w = peer->w;

	event_io_stop(&peer->io);
	event_task_clear(&peer->next);
	event_task_clear(&peer->close);
	api_abandon(peer);
	end_owned(peer);
	close_fds(peer);
	close_fdp(&peer->send_fd);
	close_fdp(&peer->fd);
	buf_free(&peer->in);
	buf_free(&peer->out);
	list_remove(&peer->node);
	w->peer_count--;
	free(peer);
	worker_settle(w);
}

static void
listen_again(void *arg)
{
	struct worker *w = arg;

	if (w->listener_io.events != NULL)
		(void)event_io_mask(&w->listener_io, EPOLLIN);
}

/* Out of fds or memory: a connection that waits must not keep the loop busy. */
static void
pause_listening(struct worker *w)
{
	log_warn("cannot take a client: %s", strerror(errno));
	(void)event_io_mask(&w->listener_io, 0);
	event_timer_set(&w->events, &w->relisten, RELISTEN_MS, listen_again,
	    w);
}

/* Whether nobody waits for an answer, or for a VM, of PEER. */
static bool
is_idle(const struct peer *peer)
{
	struct list *node, *following;

	if (peer->request.active)
		return false;
	list_each(node, following, &peer->w->machines)
		if (list_entry(node, struct machine, node)->owner == peer)
			return false;
	return true;
}

/*
 * Whether there is room for one more client. Where there is none, the oldest
 * idle connection of the user with the most of them goes: who opens too many
 * keeps nobody out.
 */
static bool
make_room(struct worker *w)
{
	struct {
		uint32_t uid;
		unsigned int count;
		struct peer *oldest;
	} users[USERS_MAX];
	size_t known = 0, most = 0, i;
	struct list *node, *following;

	if (w->peer_count < PEERS_MAX)
		return true;
	list_each(node, following, &w->peers) {
		struct peer *peer = list_entry(node, struct peer, node);

		if (!is_idle(peer))
			continue;
		for (i = 0; i < known && users[i].uid != peer->uid; i++)
			;
		if (i == USERS_MAX)
			continue;
		if (i == known) {
			users[i].uid = peer->uid;
			users[i].count = 0;
			users[i].oldest = peer;
			known++;
		}
		if (++users[i].count > users[most].count)
			most = i;
	}
	if (known == 0)
		return false;
	peer_free(users[most].oldest);
	return true;
}

void
peer_accept(struct worker *w)
{
	int fd = accept4(w->listener, NULL, NULL,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer;

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_listening(w);
		return;
	}
	peer = make_room(w) ? calloc(1, sizeof(*peer)) : NULL;
	if (peer == NULL) {
		log_warn("too many clients");
		close(fd);
		return;
	}
	peer->w = w;
	peer->fd = fd;
	peer->send_fd = -1;
	peer->in.limit = PEER_LINE_MAX;
	peer->out.limit = PEER_OUT_MAX;
	list_insert(&w->peers, &peer->node);
	w->peer_count++;
	if (event_io_start(&w->events, &peer->io, fd, EPOLLIN | EPOLLRDHUP,
	    on_ready, peer) < 0) {
		peer_free(peer);
		return;
	}
	if (!may_use(peer)) {
		peer_expel(peer, FAIL_DENIED, "this daemon serves root and "
		    "its configured owner only");
		return;
	}
	w->had_peer = true;
}

/* ---- out ---- */

static void
put_failure(struct buf *out, const struct failure *f)
{
	json_open(out, NULL, '{');
	json_bool(out, "ok", false);
	json_open(out, "error", '{');
	json_text(out, "code", failure_name(f->code));
	json_text(out, "message", f->text);
	if (f->console != NULL)
		json_text(out, "console", f->console);
	json_close(out, '}');
	json_close(out, '}');
	buf_puts(out, "\n");
}

static void
request_done(struct peer *peer)
{
	peer->request.active = false;
	api_abandon(peer);
	peer_flush(peer);
}

void
peer_answer(struct peer *peer, struct buf *result, int fd)
{
	struct buf *out = &peer->out;

	if (!result->failed) {
		json_open(out, NULL, '{');
		json_bool(out, "ok", true);
		json_open(out, "result", '{');
		buf_append(out, result->data, result->len);
		json_close(out, '}');
		json_close(out, '}');
		buf_puts(out, "\n");
	}
	if (result->failed || out->failed) {
		log_error("an answer was too long");
		event_task_post(&peer->w->events, &peer->close, close_later,
		    peer);
	}
	close_fdp(&peer->send_fd);
	peer->send_fd = fd;
	buf_free(result);
	request_done(peer);
}

void
peer_refuse(struct peer *peer, const struct failure *f)
{
	put_failure(&peer->out, f);
	request_done(peer);
}

void
peer_expel(struct peer *peer, enum failure_code code, const char *why)
{
	struct failure f = { .code = code };

	(void)format(f.text, sizeof(f.text), "%s", why);
	put_failure(&peer->out, &f);
	peer->last = true;
	buf_free(&peer->in);
	close_fds(peer);
	peer->request.active = false;
	api_abandon(peer);
	peer_flush(peer);
}

/* Begins a line of progress; false: nobody wants it, or the client is behind. */
static bool
progress_begin(struct peer *peer, const char *stage, const char *message)
{
	struct buf *out = &peer->out;

	if (!peer->request.progress || out->len > PEER_BEHIND)
		return false;
	json_open(out, NULL, '{');
	json_open(out, "progress", '{');
	json_text(out, "stage", stage);
	json_text(out, "message", message);
	return true;
}

static void
progress_end(struct peer *peer)
{
	json_close(&peer->out, '}');
	json_close(&peer->out, '}');
	buf_puts(&peer->out, "\n");
	peer_flush(peer);
}

void
peer_progress(struct peer *peer, const char *stage, const char *message)
{
	if (progress_begin(peer, stage, message))
		progress_end(peer);
}

void
peer_progress_of(struct peer *peer, const char *stage, uint64_t done,
    uint64_t total)
{
	if (!progress_begin(peer, stage, stage))
		return;
	json_number(&peer->out, "done", done);
	json_number(&peer->out, "total", total);
	progress_end(peer);
}

/* One sendmsg of what waits, with the fd that belongs to it. */
static ssize_t
send_some(struct peer *peer)
{
	union control control = { .bytes = { 0 } };
	struct iovec iov = { peer->out.data, peer->out.len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (peer->send_fd >= 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &peer->send_fd, sizeof(int));
	}
	n = sendmsg(peer->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0 && peer->send_fd >= 0) {
		close(peer->send_fd);
		peer->send_fd = -1;
	}
	return n;
}

/* Writes what the client takes now; the end of the connection comes later. */
void
peer_flush(struct peer *peer)
{
	while (peer->out.len > 0) {
		ssize_t n = send_some(peer);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			event_task_post(&peer->w->events, &peer->close,
			    close_later, peer);
			buf_free(&peer->out);
			return;
		}
		buf_drop(&peer->out, (size_t)n);
	}
	if (peer->out.len == 0 && peer->last)
		event_task_post(&peer->w->events, &peer->close, close_later,
		    peer);
	if (peer->out.len == 0 && peer->out.size > PEER_BEHIND)
		buf_free(&peer->out);
	/* Lines that came with the last one; others have their turn before. */
	if (is_open(peer) && peer->in.len > 0)
		event_task_post(&peer->w->events, &peer->next, api_next, peer);
	set_mask(peer);
}

/* ---- in ---- */

/*
 * Takes over the fds of MSG. False for anything else, or too many. Without
 * SO_PASSCRED the kernel makes one control message at most (unix(7)).
 */
static bool
take_fds(struct peer *peer, struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	bool clean = (msg->msg_flags & MSG_CTRUNC) == 0;
	size_t count, i;

	if (cmsg == NULL)
		return clean;
	if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return false;
	count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
		if (peer->nfds < PEER_FDS_MAX) {
			peer->fds[peer->nfds++] = fd;
		} else {
			close(fd);
			clean = false;
		}
	}
	return clean;
}

/* Reads what there is, up to the longest line. 1, 0 at the end, or -errno. */
static int
receive(struct peer *peer)
{
	union control control = { .bytes = { 0 } };
	char bytes[4096];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(peer->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (!take_fds(peer, &msg))
		return -EBADMSG;
	if (n == 0)
		return 0;
	return buf_append(&peer->in, bytes, (size_t)n) < 0 ? -EMSGSIZE : 1;
}

static void
on_ready(void *arg, uint32_t ready)
{
	struct peer *peer = arg;
	int r = 1;

	if ((ready & EPOLLOUT) != 0)
		peer_flush(peer);
	if ((ready & EPOLLIN) != 0 && is_open(peer))
		r = receive(peer);
	else if ((ready & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		r = 0;
	if (r == 0 || (r < 0 && r != -EAGAIN && r != -EBADMSG &&
	    r != -EMSGSIZE)) {
		peer_free(peer);
		return;
	}
	if (r == -EBADMSG)
		peer_expel(peer, FAIL_INVALID, "fds where none belong");
	else if (r == -EMSGSIZE)
		peer_expel(peer, FAIL_INVALID, "the request is longer than "
		    "64 KiB");
	else if (r == 1)
		api_next(peer);
}
