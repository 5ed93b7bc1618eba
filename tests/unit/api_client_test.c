/*
 * The client against daemons that keep the contract and daemons that do not.
 * Replies are written into a socket pair before the call reads them.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "client/api.h"
#include "client/connect.h"

struct pair {
	struct api api;
	int server;
};

static void
pair_open(struct pair *pair)
{
	int socks[2], size = 1 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    socks), 0);
	setsockopt(socks[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	pair->server = socks[1];
	api_adopt(&pair->api, socks[0]);
}

static void
pair_close(struct pair *pair)
{
	api_close(&pair->api);
	close(pair->server);
}

/* Sends LEN bytes with COUNT copies of standard input's fd. */
static void
reply_fds(int sock, const char *text, size_t len, unsigned int count)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	char copy[256];
	struct iovec iov = { copy, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned int i;

	assert_true(len <= sizeof(copy) && count > 0 && count <= 8);
	memcpy(copy, text, len);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (i = 0; i < count; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(sock, &msg, 0), (ssize_t)len);
	close(fd);
}

static void
reply_text(int sock, const char *text)
{
	assert_int_equal(write_full(sock, text, strlen(text)), 0);
}

/* How many fds this process has open. */
static int
open_fds(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void
note(void *arg, const struct api_step *step)
{
	char *log = arg, text[64];

	snprintf(text, sizeof(text), "%s=%s,%llu/%llu;", step->stage,
	    step->message, (unsigned long long)step->done,
	    (unsigned long long)step->total);
	strcat(log, text);
}

static int
call(struct pair *pair, unsigned int want_fds, api_progress *progress,
    void *arg, struct api_reply *reply)
{
	struct buf request _cleanup_buf_ = API_REQUEST;

	api_request(&request, "vm.show", "vm", "web");
	return api_call(&pair->api, &request, -1, want_fds, progress, arg, reply);
}

static void
good_reply(void **state)
{
	struct pair pair;
	struct api_reply reply;
	char log[256] = "", sent[256] = "";

	(void)state;
	pair_open(&pair);
	reply_text(pair.server,
	    "{\"progress\":{\"stage\":\"disk\",\"message\":\"copying\"}}\n"
	    "{\"progress\":{\"stage\":\"boot\",\"message\":\"booting\","
	    "\"done\":3,\"total\":4}}\n"
	    "{\"ok\":true,\"result\":{\"vm\":{\"name\":\"web\",\"pid\":7}}}\n");
	assert_int_equal(call(&pair, 0, note, log, &reply), 0);
	assert_string_equal(log, "disk=copying,0/0;boot=booting,3/4;");
	assert_string_equal(field_text(cJSON_GetObjectItem(reply.result, "vm"),
	    "name"), "web");
	assert_int_equal(field_number(cJSON_GetObjectItem(reply.result, "vm"),
	    "pid"), 7);
	api_reply_free(&reply);
	assert_true(read(pair.server, sent, sizeof(sent) - 1) > 0);
	assert_string_equal(sent,
	    "{\"op\":\"vm.show\",\"vm\":\"web\",\"progress\":true}\n");

	/* The connection is good for the next request. */
	reply_text(pair.server, "{\"ok\":true,\"result\":{}}\n");
	assert_int_equal(call(&pair, 0, NULL, NULL, &reply), 0);
	assert_non_null(reply.result);
	api_reply_free(&reply);
	pair_close(&pair);
}

static void
refusal(void **state)
{
	struct pair pair;
	struct api_reply reply;

	(void)state;
	pair_open(&pair);
	reply_text(pair.server, "{\"ok\":false,\"error\":{\"code\":\"not-found\","
	    "\"message\":\"vm web: not found\",\"console\":\"a\\nb\"}}\n");
	assert_int_equal(call(&pair, 1, NULL, NULL, &reply), 0);
	assert_null(reply.result);
	assert_string_equal(reply.code, "not-found");
	assert_string_equal(reply.message, "vm web: not found");
	assert_string_equal(reply.console, "a\nb");
	api_reply_free(&reply);
	pair_close(&pair);
}

/* A worker that closes its door says why before it is asked. */
static void
refused_at_once(void **state)
{
	struct pair pair;
	struct api_reply reply;

	(void)state;
	pair_open(&pair);
	reply_text(pair.server, "{\"ok\":false,\"error\":{\"code\":\"denied\","
	    "\"message\":\"uid 5 may not\"}}\n");
	close(pair.server);
	pair.server = -1;
	assert_int_equal(call(&pair, 0, NULL, NULL, &reply), 0);
	assert_string_equal(reply.code, "denied");
	api_reply_free(&reply);
	api_close(&pair.api);
}

static void
broken_replies(void **state)
{
	static const char *const bad[] = {
		"\n", "{}\n", "[]\n", "null\n", "garbage\n", "{\"ok\":true}\n",
		"{\"ok\":1,\"result\":{}}\n", "{\"ok\":true,\"result\":[]}\n",
		"{\"ok\":true,\"result\":7}\n",
		"{\"ok\":true,\"ok\":true,\"result\":{}}\n",
		"{\"ok\":true,\"result\":{},\"more\":1}\n",
		"{\"ok\":true,\"result\":{},\"error\":{\"code\":\"x\","
		    "\"message\":\"y\"}}\n",
		"{\"ok\":true,\"result\":{}} {}\n",
		"{\"ok\":true,\"result\":{}}\n{\"ok\":true,\"result\":{}}\n",
		"{\"ok\":true,\"result\":{}}\nx",
		"{\"ok\":false}\n", "{\"ok\":false,\"error\":{}}\n",
		"{\"ok\":false,\"error\":\"x\"}\n",
		"{\"ok\":false,\"result\":{}}\n",
		"{\"ok\":false,\"error\":{\"code\":\"x\"}}\n",
		"{\"ok\":false,\"error\":{\"code\":\"x\",\"message\":\"\"}}\n",
		"{\"ok\":false,\"error\":{\"code\":\"\",\"message\":\"m\"}}\n",
		"{\"ok\":false,\"error\":{\"code\":\"0123456789012345678901234567"
		    "8901234567890\",\"message\":\"m\"}}\n",
		"{\"ok\":false,\"error\":{\"code\":1,\"message\":\"m\"}}\n",
		"{\"result\":{}}\n",
		/* Progress that nobody asked for. */
		"{\"progress\":{\"stage\":\"a\",\"message\":\"b\"}}\n"
		    "{\"ok\":true,\"result\":{}}\n",
		"{\"ok\":true,\"result\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
		    "{\"a\":{\"a\":{}}}}}}}}}}\n",
		"{\"ok\":true,\"result\":{\"a\":\"\xff\"}}\n",
		"{\"ok\":true,\"result\":{\"a\":\"\\u0000\"}}\n",
	};
	struct api_reply reply;
	struct pair pair;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		pair_open(&pair);
		reply_text(pair.server, bad[i]);
		if (call(&pair, 0, NULL, NULL, &reply) != -EPROTO)
			fail_msg("accepted: %s", bad[i]);
		assert_null(reply.result);
		assert_true(reply.message[0] != '\0');
		api_reply_free(&reply);
		pair_close(&pair);
	}
}

static void
nul_in_line(void **state)
{
	static const char text[] = "{\"ok\":true,\"result\":{}}\0\n";
	struct api_reply reply;
	struct pair pair;

	(void)state;
	pair_open(&pair);
	assert_int_equal(write_full(pair.server, text, sizeof(text) - 1), 0);
	assert_int_equal(call(&pair, 0, NULL, NULL, &reply), -EPROTO);
	api_reply_free(&reply);
	pair_close(&pair);
}

static void
endless_line(void **state)
{
	static char text[4096];
	struct api_reply reply;
	struct pair pair;
	pid_t child;
	int i;

	(void)state;
	memset(text, 'x', sizeof(text));
	pair_open(&pair);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(pair.api.fd);
		for (i = 0; i < 2 * API_REPLY_MAX / (int)sizeof(text); i++)
			if (send(pair.server, text, sizeof(text),
			    MSG_NOSIGNAL) < 0)
				break;
		_exit(0);
	}
	assert_int_equal(call(&pair, 0, NULL, NULL, &reply), -EPROTO);
	api_reply_free(&reply);
	pair_close(&pair);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

/* A list of many VMs comes in many pieces. */
static void
long_line(void **state)
{
	static const char head[] = "{\"ok\":true,\"result\":{\"a\":\"";
	static char text[API_REPLY_MAX / 2];
	struct api_reply reply;
	struct pair pair;
	pid_t child;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, head, strlen(head));
	memcpy(text + sizeof(text) - 4, "\"}}\n", 4);
	pair_open(&pair);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)	/* exits when it is all read */
		_exit(write_full(pair.server, text, sizeof(text)) == 0 ? 0 : 1);
	assert_int_equal(call(&pair, 0, NULL, NULL, &reply), 0);
	assert_int_equal(strlen(field_text(reply.result, "a")),
	    sizeof(text) - strlen(head) - 4);
	api_reply_free(&reply);
	pair_close(&pair);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void
early_end(void **state)
{
	static const char *const sent[] = { "", "{\"ok\":true",
		"{\"ok\":true,\"result\":{}}" };
	struct api_reply reply;
	struct pair pair;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sent); i++) {
		pair_open(&pair);
		reply_text(pair.server, sent[i]);
		close(pair.server);
		assert_int_equal(call(&pair, 0, NULL, NULL, &reply),
		    -ECONNRESET);
		api_reply_free(&reply);
		api_close(&pair.api);
	}
}

/* Exactly as many fds as the op brings, and none is ever left open. */
static void
fd_counts(void **state)
{
	static const char good[] = "{\"ok\":true,\"result\":{}}\n";
	static const char refused[] =
	    "{\"ok\":false,\"error\":{\"code\":\"x\",\"message\":\"y\"}}\n";
	static const struct { unsigned int want, sent; int result; } rows[] = {
		{ 0, 1, -EPROTO }, { 1, 1, 0 }, { 1, 2, -EPROTO },
		{ 1, 4, -EPROTO }, { 1, 5, -EPROTO }, { 0, 8, -EPROTO },
	};
	struct api_reply reply;
	struct pair pair;
	int before = open_fds();
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pair_open(&pair);
		reply_fds(pair.server, good, sizeof(good) - 1, rows[i].sent);
		assert_int_equal(call(&pair, rows[i].want, NULL, NULL, &reply),
		    rows[i].result);
		if (rows[i].result == 0) {
			assert_int_equal(reply.nfds, 1);
			assert_int_equal(fcntl(reply.fds[0], F_GETFD),
			    FD_CLOEXEC);
		}
		api_reply_free(&reply);
		pair_close(&pair);
		assert_int_equal(open_fds(), before);
	}
	pair_open(&pair);
	reply_text(pair.server, good);
	assert_int_equal(call(&pair, 1, NULL, NULL, &reply), -EPROTO);
	pair_close(&pair);
	pair_open(&pair);
	reply_fds(pair.server, refused, sizeof(refused) - 1, 1);
	assert_int_equal(call(&pair, 1, NULL, NULL, &reply), -EPROTO);
	pair_close(&pair);
	assert_int_equal(open_fds(), before);
}

/* The request's own fd arrives with the first byte of the line. */
static void
sends_fd(void **state)
{
	struct buf request _cleanup_buf_ = API_REQUEST;
	char control[CMSG_SPACE(4 * sizeof(int))], text[256];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control) };
	struct api_reply reply;
	struct cmsghdr *cmsg;
	struct pair pair;
	ssize_t n;
	int fd;

	(void)state;
	pair_open(&pair);
	reply_text(pair.server, "{\"ok\":true,\"result\":{}}\n");
	api_request(&request, "image.import", "name", "x\"\n\xff");
	assert_int_equal(api_call(&pair.api, &request, STDIN_FILENO, 0, NULL,
	    NULL, &reply), 0);
	api_reply_free(&reply);
	n = recvmsg(pair.server, &msg, MSG_CMSG_CLOEXEC);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "{\"op\":\"image.import\","
	    "\"name\":\"x\\\"\\u000a\xef\xbf\xbd\"}\n");
	cmsg = CMSG_FIRSTHDR(&msg);
	assert_non_null(cmsg);
	assert_int_equal(cmsg->cmsg_len, CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	close(fd);
	pair_close(&pair);
}

static void
too_long_a_request(void **state)
{
	static char name[API_LINE_MAX];
	struct buf request _cleanup_buf_ = API_REQUEST;
	struct api_reply reply;
	struct pair pair;
	char byte;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	pair_open(&pair);
	api_request(&request, "vm.show", "vm", name);
	assert_int_equal(api_call(&pair.api, &request, -1, 0, NULL, NULL,
	    &reply), -EMSGSIZE);
	assert_int_equal(recv(pair.server, &byte, 1, MSG_DONTWAIT), -1);
	pair_close(&pair);
}

/* Ctrl-C: the worker sees our end closed, and is waited for. */
static void
cancelled(void **state)
{
	struct api_reply reply;
	struct pair pair;
	char text[128];
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pair_open(&pair);
	pair.api.cancel_fd = fds[0];
	assert_int_equal(write(fds[1], "x", 1), 1);
	shutdown(pair.server, SHUT_WR);
	assert_int_equal(call(&pair, 0, NULL, NULL, &reply), -ECANCELED);
	assert_true(read(pair.server, text, sizeof(text)) > 0);
	assert_int_equal(read(pair.server, text, sizeof(text)), 0);
	pair_close(&pair);
	close(fds[0]);
	close(fds[1]);
}

static void
verdicts(void **state)
{
	static const struct { const char *said; int r; const char *text; } rows[] = {
		{ "+", 0, NULL },
		{ "+and more\n", 0, NULL },
		{ "already running: another daemon holds /x\n", -EALREADY, NULL },
		{ "state_dir: Permission denied\n", -EIO,
		    "state_dir: Permission denied" },
		{ "cut", -EIO, "cut" },
		{ "", -EIO, "it ended without a word" },
	};
	char text[API_TEXT_MAX];
	size_t i;
	int fds[2];

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		reply_text(fds[1], rows[i].said);
		close(fds[1]);
		assert_int_equal(embedded_verdict(fds[0], 1000, text), rows[i].r);
		if (rows[i].text != NULL)
			assert_string_equal(text, rows[i].text);
		close(fds[0]);
	}
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(embedded_verdict(fds[0], 20, text), -EIO);
	assert_string_equal(text, "it does not answer");
	close(fds[0]);
	close(fds[1]);
}

static void
paths(void **state)
{
	char path[200];
	struct api api = API_CLOSED;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(api_connect(&api, path), -ENAMETOOLONG);
	assert_int_equal(api_connect(&api, "/nonexistent/banger.sock"), -ENOENT);
	assert_int_equal(api.fd, -1);
	api_close(&api);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_reply),
		cmocka_unit_test(refusal),
		cmocka_unit_test(refused_at_once),
		cmocka_unit_test(broken_replies),
		cmocka_unit_test(nul_in_line),
		cmocka_unit_test(endless_line),
		cmocka_unit_test(long_line),
		cmocka_unit_test(early_end),
		cmocka_unit_test(fd_counts),
		cmocka_unit_test(sends_fd),
		cmocka_unit_test(too_long_a_request),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
