/*
 * A buffer, a search for the newline, and a short list of shapes a line may
 * have. Fds arrive with some byte of a line: replies come one at a time, so
 * those present when the final line is complete are the final line's.
 */
#include "client/api.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* How long a cancelled request may take to clean up behind itself. */
enum { CANCEL_TIMEOUT_MS = 10000, READ_BYTES = 4096 };

void
api_adopt(struct api *api, int fd)
{
	*api = (struct api)API_CLOSED;
	api->fd = fd;
}

int
api_connect(struct api *api, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	if (format(addr.sun_path, sizeof(addr.sun_path), "%s", path) < 0)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		if (errno != EINTR)
			return -errno;
	api_adopt(api, steal_fd(&fd));
	return 0;
}

static void
close_fds(int *fds, unsigned int *nfds)
{
	while (*nfds > 0)
		close_fdp(&fds[--*nfds]);
}

void
api_close(struct api *api)
{
	int cancel_fd = api->cancel_fd;

	close_fds(api->fds, &api->nfds);
	close_fdp(&api->fd);
	buf_free(&api->in);
	*api = (struct api)API_CLOSED;
	api->cancel_fd = cancel_fd;
}

void
api_reply_free(struct api_reply *reply)
{
	close_fds(reply->fds, &reply->nfds);
	cJSON_Delete(reply->result);
	reply->result = NULL;
	free(reply->console);
	reply->console = NULL;
}

const char *
field_text(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(
	    cJSON_GetObjectItemCaseSensitive(object, key));
}

uint64_t
field_number(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!cJSON_IsNumber(item) || item->valuedouble < 0 ||
	    item->valuedouble > 9007199254740992.0)
		return 0;
	return (uint64_t)item->valuedouble;
}

/* r and the reason, for the caller to return. */
static int PRINTF_LIKE(3, 4)
fail(struct api_reply *reply, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reply->message, sizeof(reply->message), fmt, ap);
	va_end(ap);
	return r;
}

/* One sendmsg(2) with the fd, then the rest of REQUEST. 0 or -errno. */
static int
send_line(int sock, const struct buf *request, int send_fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t sent = 0;
	ssize_t n;

	if (send_fd >= 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &send_fd, sizeof(int));
	}
	while (sent < request->len) {
		iov = (struct iovec){ .iov_base = request->data + sent,
			.iov_len = request->len - sent };
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		sent += (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return 0;
}

/*
 * Keeps the fds of MSG; the kernel puts them all into one SCM_RIGHTS header.
 * -EPROTO for more than fit or other control data.
 */
static int
keep_fds(struct api *api, struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int r = (msg->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : 0;
	size_t i, n;

	if (cmsg == NULL)
		return r;
	if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
		if (api->nfds < API_FDS_MAX) {
			api->fds[api->nfds++] = fd;
		} else {
			close(fd);
			r = -EPROTO;
		}
	}
	return r;
}

/* More bytes into the buffer. Their count, 0 at the end, or -errno. */
static ssize_t
receive(struct api *api)
{
	union {
		char bytes[CMSG_SPACE(API_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { buf_reserve(&api->in, READ_BYTES), READ_BYTES };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n;
	int r;

	if (iov.iov_base == NULL)
		return -EMSGSIZE;
	do {
		n = recvmsg(api->fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((r = keep_fds(api, &msg)) < 0)
		return r;
	api->in.len += (size_t)n;
	return n;
}

/*
 * The user wants no more of this: closing our direction tells the worker,
 * which undoes what it began and then closes its own.
 */
static void
cancel(struct api *api)
{
	struct pollfd pfd = { .fd = api->fd, .events = POLLIN };

	shutdown(api->fd, SHUT_WR);
	while (poll(&pfd, 1, CANCEL_TIMEOUT_MS) > 0) {
		buf_clear(&api->in);
		if (receive(api) <= 0)
			break;
	}
}

/* Waits for the socket. 0, or -ECANCELED after a signal, or -errno. */
static int
wait_readable(struct api *api)
{
	struct pollfd pfds[] = {
		{ .fd = api->fd, .events = POLLIN },
		{ .fd = api->cancel_fd, .events = POLLIN },
	};

	for (;;) {
		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (pfds[1].revents != 0) {
			cancel(api);
			return -ECANCELED;
		}
		if (pfds[0].revents != 0)
			return 0;
	}
}

/*
 * Waits until a whole line is at the buffer's start. Its length without the
 * newline, or -errno.
 */
static ssize_t
read_line(struct api *api, struct api_reply *reply)
{
	const char *newline;
	size_t seen = 0;

	while (api->in.len == seen || (newline = memchr(api->in.data + seen,
	    '\n', api->in.len - seen)) == NULL) {
		ssize_t n = wait_readable(api);

		seen = api->in.len;

		if (n == 0)
			n = receive(api);
		if (n == -ECANCELED)
			return fail(reply, -ECANCELED, "cancelled");
		if (n == 0 || n == -ECONNRESET || n == -EPIPE)
			return fail(reply, -ECONNRESET, "the daemon closed the "
			    "connection before it answered; its log tells why");
		if (n < 0)
			return fail(reply, -EPROTO, "reading the daemon's "
			    "answer: %s", strerror((int)-n));
	}
	return newline - api->in.data;
}

/* {"code","message","console"?} */
static int
take_error(const cJSON *error, struct api_reply *reply)
{
	const char *code = NULL, *message = NULL, *console = NULL;
	const struct json_field fields[] = {
		{ "code", JSON_TEXT, true, 1, sizeof(reply->code) - 1, &code },
		{ "message", JSON_TEXT, true, 1, 0, &message },
		{ "console", JSON_TEXT, false, 0, 0, &console },
	};
	char err[API_TEXT_MAX];

	if (json_read(error, fields, ARRAY_SIZE(fields), err, sizeof(err)) < 0)
		return -EPROTO;
	snprintf(reply->code, sizeof(reply->code), "%s", code);
	snprintf(reply->message, sizeof(reply->message), "%s", message);
	if (console != NULL)
		reply->console = strdup(console);
	return 1;
}

/* {"stage","message"} and perhaps "done" and "total". */
static int
take_progress(const cJSON *line, api_progress *progress, void *arg)
{
	struct api_step step = { .total = 0 };
	const struct json_field fields[] = {
		{ "stage", JSON_TEXT, true, 1, 0, &step.stage },
		{ "message", JSON_TEXT, true, 1, 0, &step.message },
		{ "done", JSON_U64, false, 0, 0, &step.done },
		{ "total", JSON_U64, false, 0, 0, &step.total },
	};
	char err[API_TEXT_MAX];

	if (progress == NULL || json_read(line, fields, ARRAY_SIZE(fields),
	    err, sizeof(err)) < 0)
		return -EPROTO;
	progress(arg, &step);
	return 0;
}

/*
 * Reads one parsed line: 0 after progress, 1 after the final line, -EPROTO.
 * It holds `progress`, or `ok` with `result`, or `ok` with `error`.
 */
static int
take_line(cJSON *line, api_progress *progress, void *arg,
    struct api_reply *reply)
{
	const cJSON *step = NULL, *result = NULL, *error = NULL;
	bool ok = false;
	const struct json_field fields[] = {
		{ "progress", JSON_OBJECT, false, 0, 0, &step },
		{ "ok", JSON_BOOL, false, 0, 0, &ok },
		{ "result", JSON_OBJECT, false, 0, 0, &result },
		{ "error", JSON_OBJECT, false, 0, 0, &error },
	};
	char err[API_TEXT_MAX];

	if (json_read(line, fields, ARRAY_SIZE(fields), err, sizeof(err)) < 0)
		return -EPROTO;
	if (!cJSON_HasObjectItem(line, "ok"))
		return step != NULL && result == NULL && error == NULL ?
		    take_progress(step, progress, arg) : -EPROTO;
	if (step != NULL || ok != (result != NULL) || ok == (error != NULL))
		return -EPROTO;
	if (!ok)
		return take_error(error, reply);
	reply->result = cJSON_DetachItemFromObjectCaseSensitive(line, "result");
	return 1;
}

/* The LEN bytes of one line: 0 progress, 1 final, -EPROTO. */
static int
take_raw(const char *text, size_t len, api_progress *progress, void *arg,
    struct api_reply *reply)
{
	cJSON *line _cleanup_json_ = json_parse(text, len);

	if (line == NULL)
		return -EPROTO;
	return take_line(line, progress, arg, reply);
}

/* Reads to the final line; fds only with a good one, and as many as due. */
static int
read_reply(struct api *api, unsigned int want_fds, api_progress *progress,
    void *arg, struct api_reply *reply)
{
	int r;

	do {
		ssize_t len = read_line(api, reply);

		if (len < 0)
			return (int)len;
		r = take_raw(api->in.data, (size_t)len, progress, arg, reply);
		buf_drop(&api->in, (size_t)len + 1);
	} while (r == 0);
	if (r == 1 && (api->in.len != 0 ||
	    api->nfds != (reply->result != NULL ? want_fds : 0)))
		r = -EPROTO;
	if (r < 0)
		return fail(reply, r, "the daemon's answer breaks the protocol; "
		    "is it of another version? (banger doctor)");
	memcpy(reply->fds, api->fds, sizeof(reply->fds));
	reply->nfds = api->nfds;
	api->nfds = 0;
	return 0;
}

void
api_request(struct buf *request, const char *op, const char *key,
    const char *name)
{
	json_open(request, NULL, '{');
	json_text(request, "op", op);
	if (key != NULL)
		json_text(request, key, name);
}

int
api_call(struct api *api, struct buf *request, int send_fd,
    unsigned int want_fds, api_progress *progress, void *arg,
    struct api_reply *reply)
{
	int r;

	*reply = (struct api_reply){ 0 };
	if (progress != NULL)
		json_bool(request, "progress", true);
	json_close(request, '}');
	buf_puts(request, "\n");
	if (request->failed)
		return fail(reply, -EMSGSIZE, "the request is too long");
	r = send_line(api->fd, request, send_fd);
	/* A worker that refuses us says why before it closes. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return fail(reply, r, "sending the request: %s", strerror(-r));
	r = read_reply(api, want_fds, progress, arg, reply);
	if (r < 0)
		api_reply_free(reply);
	return r;
}
