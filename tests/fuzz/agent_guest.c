/*
 * What a host can say to the agent: on the control channel, on a stream, and on
 * the kernel command line.
 */
#include "frames.h"

#include "guest/config.h"
#include "guest/control.h"

/* Bytes through the channel as they come: every request, and our replies. */
static void
control(struct input *in)
{
	static struct control c;
	struct agent_msg msg;

	control_init(&c);
	while (in->len > 0) {
		struct input piece = take_bytes(in, fifo_room(&c.rx));

		must(piece.len > 0);
		fifo_put(&c.rx, piece.data, piece.len);
		while (control_receive(&c, &msg)) {
			uint8_t bytes[AGENT_MSG_SIZE];
			struct agent_msg again;

			must(!msg.reply && msg.status == 0);
			agent_msg_encode(bytes, &msg);
			must(agent_msg_decode(bytes, STREAM_CLIENT, &again) == 0 &&
			    again.type == msg.type && again.seq == msg.seq);
			if (msg.type == AGENT_PING) {
				msg.reply = true;
				control_send(&c, &msg);
			}
		}
		must(c.rx.len < AGENT_MSG_SIZE);
		control_close(&c, NULL);
	}
}

/* A frame of a client's. */
static void
frame(const struct stream_frame *f)
{
	static const uint8_t nonce[STREAM_NONCE_SIZE];
	enum stream_channel channel = CHANNEL_STDIN;
	struct stream_winsize size;
	uint32_t bytes;
	int signo = 1;

	switch (f->type) {
	case STREAM_HELLO:
		(void)stream_get_hello(f, stream_hello_nonce(f));
		(void)stream_get_hello(f, nonce);
		break;
	case STREAM_CLOSE:
		must(stream_get_close(f, STREAM_CLIENT, &channel) < 0 ||
		    channel != CHANNEL_STDIN);
		break;
	case STREAM_WINDOW:
		must(stream_get_window(f, STREAM_CLIENT, &channel, &bytes) < 0 ||
		    channel != CHANNEL_STDIN);
		break;
	case STREAM_SIGNAL:
		must(stream_get_signal(f, &signo) < 0 ||
		    (signo >= 1 && signo <= 64));
		break;
	case STREAM_WINSIZE:
		stream_get_winsize(f, &size);
		break;
	case STREAM_EXEC:
	case STREAM_STDIN:
	case STREAM_STDOUT:
	case STREAM_STDERR:
	case STREAM_EOF:
	case STREAM_EXIT:
	case STREAM_ERROR:
		break;
	}
}

static void
stream(struct input *in)
{
	each_frame(in, STREAM_CLIENT, frame);
}

/* A request that was accepted says the same when it is made once more. */
static void
exec_request(struct input *in)
{
	size_t len = in->len, again = 0;
	uint8_t *bytes = (uint8_t *)take_string(in), *copy = malloc(len + 1);
	uint8_t *encoded = NULL;
	struct exec_request request;

	must(copy != NULL);
	memcpy(copy, bytes, len);
	if (exec_request_decode(bytes, len, &request) == 0) {
		must(request.argv[request.argc] == NULL &&
		    request.env[request.envc] == NULL);
		must(exec_request_encode(&request, &encoded, &again) == 0);
		must(again == len && memcmp(encoded, copy, len) == 0);
		exec_request_free(&request);
	}
	free(encoded);
	free(copy);
	free(bytes);
}

static void
command_line(struct input *in)
{
	char *text = take_string(in), bad[64] = "";
	struct guest_config config;
	int count = guest_config_parse(text, &config, bad, sizeof(bad));

	must(count >= 0 && strlen(bad) < sizeof(bad));
	must(config.dns_count <= GUEST_DNS_MAX &&
	    (!config.has_ip || (config.prefix >= 1 && config.prefix <= 32)) &&
	    strlen(config.host) < sizeof(config.host));
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const parts[])(struct input *) = { control, stream,
		exec_request, command_line };
	struct input in = { data, len };

	parts[take_u8(&in) % ARRAY_SIZE(parts)](&in);
	return 0;
}
