/* What a daemon answers the client. */
#include "fuzz.h"

#include <sys/socket.h>

#include "client/api.h"

static void
progress(void *arg, const struct api_step *step)
{
	(void)arg;
	must(step->stage != NULL && step->message != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	int fd = lowest_fd(), pair[2], r;
	struct buf request _cleanup_buf_ = API_REQUEST;
	struct api_reply reply = { .nfds = 0 };
	uint8_t fds = take_u8(&in);
	struct api api;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	must(send(pair[1], in.data, in.len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    (ssize_t)in.len || in.len > 65536 || in.len == 0);
	must(shutdown(pair[1], SHUT_WR) == 0);
	api_adopt(&api, pair[0]);
	api_request(&request, "vm.show", "vm", "web");
	r = api_call(&api, &request, -1, fds % 2, progress, NULL, &reply);
	must(r < 0 || reply.result != NULL || reply.code[0] != '\0');
	must(r == 0 || reply.message[0] != '\0');
	api_reply_free(&reply);
	api_close(&api);
	close(pair[1]);
	must(lowest_fd() == fd);
	return 0;
}
