/*
 * One record, one sendmsg or recvmsg. Everything that the kernel can say
 * about a record being other than what was asked for is an error here, so
 * that the callers only compare sizes.
 */
#include "privsep/wire.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "privsep/util.h"

/* Room for one more fd than allowed: too many is then seen, not cut off. */
#define CONTROL_BYTES CMSG_SPACE(sizeof(int) * (WIRE_FDS_MAX + 1))

union control {
	struct cmsghdr header;
	char bytes[CONTROL_BYTES];
};

int
wire_send(int sock, const void *header, size_t header_len, const void *body,
    size_t body_len, const int *fds, uint32_t nfds)
{
	union control control = { 0 };
	char record[WIRE_RECORD_MAX];
	struct iovec iov = { record, header_len + body_len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (header_len + body_len > sizeof(record) || nfds > WIRE_FDS_MAX)
		return -EMSGSIZE;
	memcpy(record, header, header_len);
	if (body_len > 0)
		memcpy(record + header_len, body, body_len);
	if (nfds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen =
		    (socklen_t)CMSG_SPACE(sizeof(int) * nfds);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len =
		    (socklen_t)CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/*
 * Moves the fds of MSG into RECORD. The kernel puts all fds of a record into
 * one SCM_RIGHTS header; false when there is anything else, or too many.
 */
static int
take_control(struct msghdr *msg, struct wire_record *record)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	size_t count, i;
	int clean = 1;

	if (cmsg == NULL)
		return 1;
	if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return 0;
	count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
		if (record->nfds < WIRE_FDS_MAX) {
			record->fds[record->nfds++] = fd;
		} else {
			close(fd);
			clean = 0;
		}
	}
	return clean && msg->msg_controllen <= CMSG_SPACE(count * sizeof(int));
}

int
wire_recv(int sock, struct wire_record *record, int flags)
{
	union control control = { 0 };
	struct iovec iov = { record->bytes, sizeof(record->bytes) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	record->len = 0;
	record->nfds = 0;
	do
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!take_control(&msg, record) ||
	    (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		wire_close_fds(record);
		return -EBADMSG;
	}
	if (n == 0) {
		wire_close_fds(record);
		return 0;
	}
	record->len = (size_t)n;
	return 1;
}

int
wire_take_fd(struct wire_record *record, uint32_t i)
{
	return i < record->nfds ? steal_fd(&record->fds[i]) : -1;
}

void
wire_close_fds(struct wire_record *record)
{
	uint32_t i;

	for (i = 0; i < record->nfds; i++)
		close_fdp(&record->fds[i]);
	record->nfds = 0;
}
