/*
 * What a guest can say to the worker and to the client: on the control channel,
 * in pieces of any size, and on a stream.
 */
#include "frames.h"

#include "vmm/agent_client.h"

static void
message(const struct agent_msg *msg)
{
	const struct agent_listener *listener = &msg->listener;

	must(msg->reply || msg->type == AGENT_READY);
	if (msg->type != AGENT_PORTS || msg->status != 0)
		return;
	must(listener->total <= AGENT_LISTENERS_MAX &&
	    memchr(listener->comm, '\0', sizeof(listener->comm)) != NULL);
}

/* As a worker does: HELLO, and then a request of each kind. */
static void
control(struct input *in)
{
	uint8_t nonce[STREAM_NONCE_SIZE] = "0123456789abcde", out[AGENT_MSG_SIZE];
	struct agent_client c = { .seq = 0 };
	struct agent_msg msg;

	(void)agent_client_hello(&c, nonce, out);
	(void)agent_client_open(&c, nonce, out);
	(void)agent_client_ping(&c, out);
	(void)agent_client_inspect(&c, AGENT_PORTS, out);
	(void)agent_client_shutdown(&c, AGENT_REBOOT, 1, out);
	while (in->len > 0) {
		size_t n = (size_t)take_u8(in) + 1, used;
		struct input piece = take_bytes(in, n);

		while (piece.len > 0) {
			int r = agent_client_feed(&c, piece.data, piece.len,
			    &used, &msg);

			must(used <= piece.len && (r != 0 || used == piece.len));
			if (r < 0)
				return;
			if (r == 1)
				message(&msg);
			(void)take_bytes(&piece, used);
		}
	}
}

static void
frame(const struct stream_frame *f)
{
	static const uint8_t nonce[STREAM_NONCE_SIZE];
	enum stream_channel channel = CHANNEL_STDIN;
	struct stream_exit status;
	uint32_t bytes;
	char text[64];
	int err;

	switch (f->type) {
	case STREAM_HELLO:
		(void)stream_get_hello(f, nonce);
		break;
	case STREAM_CLOSE:
		must(stream_get_close(f, STREAM_AGENT, &channel) < 0 ||
		    channel == CHANNEL_STDIN);
		break;
	case STREAM_WINDOW:
		must(stream_get_window(f, STREAM_AGENT, &channel, &bytes) < 0 ||
		    channel == CHANNEL_STDIN);
		break;
	case STREAM_EXIT:
		must(stream_get_exit(f, &status) < 0 || status.value <= 255);
		break;
	case STREAM_ERROR:
		stream_get_error(f, &err, text, sizeof(text));
		must(err >= 1 && err <= 133 && strlen(text) < sizeof(text) &&
		    strpbrk(text, "\x1b\r\n\t\a\b") == NULL);
		break;
	case STREAM_EXEC:
	case STREAM_STDIN:
	case STREAM_STDOUT:
	case STREAM_STDERR:
	case STREAM_EOF:
	case STREAM_SIGNAL:
	case STREAM_WINSIZE:
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };

	if (take_u8(&in) % 2 == 0)
		control(&in);
	else
		each_frame(&in, STREAM_AGENT, frame);
	return 0;
}
