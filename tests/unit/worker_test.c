/*
 * The whole worker, in a process of its own, between a client that misbehaves
 * and a monitor and guests that do: after each of these the store, the
 * monitor's table and the worker's own fds are as before.
 */
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/un.h>

#include "base/json.h"
#include "fake_monitor.h"
#include "privsep/log.h"
#include "privsep/wire.h"
#include "worker/rows.h"
#include "worker/worker.h"

enum { ANSWER_TIMEOUT_MS = 20 * 1000, SHORT_START_MS = 300 };

static struct temp temp;
static struct fake *fake;
static pid_t monitor_pid, worker_pid;
static int wires;			/* new wires go to the monitor here */
static int listener;

/* ---- the three processes ---- */

static void
put_text(const char *name, const char *text)
{
	put_file(temp.fd, name, text, strlen(text));
}

/* An image and a kernel that only their rows make so. */
static void
fill_store(void)
{
	struct image_row image = { .name = "img", .file = "img", .size_bytes = 8,
		.created_s = 1 };
	struct kernel_row kernel = { .name = "krn", .version = "6.1",
		.vmlinuz_bytes = 4, .initrd_bytes = 4, .acpi = true,
		.created_s = 1 };
	struct buf row = BUF_INIT(STORE_ROW_MAX);
	struct stat st;

	assert_int_equal(mkdirat(temp.fd, "images", 0700), 0);
	assert_int_equal(mkdirat(temp.fd, "kernels", 0700), 0);
	put_text("images/img.ext4", "a image\n");
	image_row_write(&row, &image);
	put_text("images/img.json", row.data);
	put_text("kernels/krn.vmlinuz", "krnl");
	put_text("kernels/krn.initrd", "init");
	assert_int_equal(stat("/proc/self/exe", &st), 0);
	/* As identify_executable() has it: no refresh is due. */
	snprintf(kernel.agent, sizeof(kernel.agent), "%llx-%llx.%09lx",
	    (unsigned long long)st.st_size,
	    (unsigned long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	buf_clear(&row);
	kernel_row_write(&row, &kernel);
	put_text("kernels/krn.json", row.data);
	buf_free(&row);
}

static void
start_monitor(void)
{
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    sockets), 0);
	monitor_pid = fork();
	assert_true(monitor_pid >= 0);
	if (monitor_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(sockets[0]);
		close(listener);
		fake_monitor(fake, sockets[1]);
	}
	close(sockets[1]);
	wires = sockets[0];
}

static _Noreturn void
be_worker(int wire)
{
	static struct worker w;
	int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int r = worker_open(&w, wire, listener, exe, false);

	if (r == 0)
		r = events_run(&w.events);
	worker_close(&w);
	/* exit, not _exit: the leak checker looks then. */
	exit(r < 0);
}

static void
start_worker(void)
{
	struct wire_request header = { 0 };
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    sockets), 0);
	assert_int_equal(wire_send(wires, &header, sizeof(header), NULL, 0,
	    &sockets[0], 1), 0);
	close(sockets[0]);
	worker_pid = fork();
	assert_true(worker_pid >= 0);
	if (worker_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(wires);
		be_worker(sockets[1]);
	}
	close(sockets[1]);
}

/* The worker's wait status. */
static int
reap_worker(void)
{
	int status;

	assert_int_equal(waitpid(worker_pid, &status, 0), worker_pid);
	worker_pid = 0;
	return status;
}

static void
stop_worker(int signo)
{
	assert_int_equal(kill(worker_pid, signo), 0);
	if (signo == SIGTERM)
		assert_int_equal(reap_worker(), 0);
	else
		reap_worker();
}

static void
listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	assert_int_equal(format(addr.sun_path, sizeof(addr.sun_path), "%s",
	    path), 0);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr,
	    sizeof(addr)), 0);
	assert_int_equal(listen(listener, 64), 0);
}

static char socket_path[80];

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	fake = fake_new(temp.path);
	fake->owner_uid = (uint32_t)getuid();
	fill_store();
	snprintf(socket_path, sizeof(socket_path), "%s/sock", temp.path);
	listen_at(socket_path);
	start_monitor();
	start_worker();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (worker_pid > 0)
		stop_worker(SIGTERM);
	close(wires);
	waitpid(monitor_pid, NULL, 0);
	close(listener);
	end_temp(&temp);
	return 0;
}

/* ---- a client ---- */

struct client {
	int fd;
	char in[65536];
	size_t have;
	int fds[4];
	unsigned int nfds;
};

static void
client_open(struct client *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memset(c, 0, sizeof(*c));
	strcpy(addr.sun_path, socket_path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&addr,
	    sizeof(addr)), 0);
}

static void
client_close(struct client *c)
{
	while (c->nfds > 0)
		close(c->fds[--c->nfds]);
	close(c->fd);
}

static void
client_send(struct client *c, const char *text, size_t len, const int *fds,
    unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
	} control = { 0 };
	char copy[128 * 1024];
	struct iovec iov = { copy, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(copy, text, len);
	if (nfds > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
	}
	/* The worker may have hung up on a client that sent too much. */
	(void)!sendmsg(c->fd, &msg, MSG_NOSIGNAL);
}

/* One more read; false at the end of the connection. */
static bool
client_fill(struct client *c)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 4)];
	} control = { 0 };
	struct iovec iov = { c->in + c->have, sizeof(c->in) - c->have };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct pollfd pfd = { c->fd, POLLIN, 0 };
	struct cmsghdr *cmsg;
	ssize_t n;

	assert_int_equal(poll(&pfd, 1, ANSWER_TIMEOUT_MS), 1);
	n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
	cmsg = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (cmsg != NULL) {
		c->nfds = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) /
		    sizeof(int));
		memcpy(c->fds, CMSG_DATA(cmsg), c->nfds * sizeof(int));
	}
	if (n <= 0)
		return false;
	c->have += (size_t)n;
	return true;
}

/* The next line, parsed; NULL at the end of the connection. */
static cJSON *
client_line(struct client *c)
{
	cJSON *tree;
	char *end;

	while ((end = memchr(c->in, '\n', c->have)) == NULL)
		if (!client_fill(c))
			return NULL;
	tree = json_parse(c->in, (size_t)(end - c->in));
	assert_non_null(tree);
	end++;
	c->have -= (size_t)(end - c->in);
	memmove(c->in, end, c->have);
	return tree;
}

static const char *
text_of(const cJSON *tree, const char *outer, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(
	    cJSON_GetObjectItem(tree, outer), key));

	return text != NULL ? text : "";
}

/*
 * Sends a line and takes the answer: "ok", or the error's code. The message is
 * kept for a look.
 */
static char message[512], console_text[4096];

static const char *
ask_with(struct client *c, const char *request, int *fds, unsigned int nfds)
{
	static char code[32];
	char line[4096];
	cJSON *answer;

	snprintf(line, sizeof(line), "%s\n", request);
	client_send(c, line, strlen(line), fds, nfds);
	answer = client_line(c);
	assert_non_null(answer);
	snprintf(message, sizeof(message), "%s", text_of(answer, "error",
	    "message"));
	snprintf(console_text, sizeof(console_text), "%s", text_of(answer,
	    "error", "console"));
	snprintf(code, sizeof(code), "%s", cJSON_IsTrue(cJSON_GetObjectItem(
	    answer, "ok")) ? "ok" : text_of(answer, "error", "code"));
	cJSON_Delete(answer);
	return code;
}

static const char *
ask(struct client *c, const char *request)
{
	return ask_with(c, request, NULL, 0);
}

/* A member of a VM, by vm.show, or "". */
static const char *
shown(struct client *c, const char *name, const char *key)
{
	static char value[512];
	char line[128];
	cJSON *answer;

	snprintf(line, sizeof(line), "{\"op\":\"vm.show\",\"vm\":\"%s\"}\n",
	    name);
	client_send(c, line, strlen(line), NULL, 0);
	answer = client_line(c);
	assert_non_null(answer);
	snprintf(value, sizeof(value), "%s", text_of(cJSON_GetObjectItem(
	    answer, "result"), "vm", key));
	cJSON_Delete(answer);
	return value;
}

/* Its state, or "" when there is none. */
static const char *
state_of(struct client *c, const char *name)
{
	return shown(c, name, "state");
}

static unsigned int
files_in(const char *dir)
{
	int fd = openat(temp.fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fdopendir(fd);
	unsigned int count = 0;

	assert_non_null(stream);
	while (readdir(stream) != NULL)
		count++;
	closedir(stream);
	return count - 2;
}

/* Whether there is nothing but image and kernel, at the latest in a while. */
static bool
nothing_left(void)
{
	int tries;

	for (tries = 0; tries < 400; tries++) {
		if (fake_count(fake, VM_STATES) == 0 && files_in("vms") == 0 &&
		    files_in("tmp") == 0 && files_in("images") == 2 &&
		    files_in("kernels") == 3)
			return true;
		usleep(10000);
	}
	return false;
}

#define RUN(name, rm) "{\"op\":\"vm.run\",\"rm\":" rm \
	",\"spec\":{\"name\":\"" name "\",\"nat\":true}}"

/* ---- life ---- */

static void
life(void **state)
{
	struct client c;

	(void)state;
	fake->misses = 5;
	client_open(&c);
	assert_string_equal(ask(&c, "{\"op\":\"version\"}"), "ok");
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_int_equal(fake_count(fake, VM_RUNNING), 1);
	assert_string_equal(state_of(&c, "box"), "running");
	assert_string_equal(ask(&c, "{\"op\":\"vm.start\",\"vm\":\"box\"}"),
	    "state");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"box\"}"),
	    "state");
	assert_string_equal(ask(&c, "{\"op\":\"vm.stop\",\"vm\":\"box\"}"),
	    "ok");
	assert_int_equal(fake_count(fake, VM_STATES), 0);
	assert_string_equal(state_of(&c, "box"), "stopped");
	assert_string_equal(ask(&c, "{\"op\":\"vm.exec\",\"vm\":\"box\"}"),
	    "state");
	assert_string_equal(ask(&c, "{\"op\":\"vm.start\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(ask(&c, "{\"op\":\"vm.restart\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(state_of(&c, "box"), "running");
	assert_string_equal(ask(&c, "{\"op\":\"vm.kill\",\"vm\":\"box\"}"),
	    "ok");
	assert_int_equal(fake->launches, 3);
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(state_of(&c, "box"), "");
	assert_true(nothing_left());
	client_close(&c);
}

static void
streams(void **state)
{
	char bytes[8] = "";
	struct client c;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "true")), "ok");
	assert_string_equal(ask(&c, "{\"op\":\"vm.exec\",\"vm\":\"box\"}"),
	    "ok");
	assert_int_equal(c.nfds, 1);
	assert_int_equal(read_full(c.fds[0], bytes, 6), 0);
	assert_string_equal(bytes, "stream");
	fake->agent = FAKE_AGENT_BUSY;
	assert_string_equal(ask(&c, "{\"op\":\"vm.exec\",\"vm\":\"box\"}"),
	    "busy");
	assert_string_equal(ask(&c, "{\"op\":\"vm.logs\",\"vm\":\"box\"}"),
	    "ok");
	client_close(&c);
	assert_true(nothing_left());
}

/* Ports of a guest that has just booted come one after the other. */
static void
young_guest(void **state)
{
	static const char line[] = "{\"op\":\"vm.exec\",\"vm\":\"box\"}\n";
	struct client c;
	cJSON *answer;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "true")), "ok");
	fake->agent = FAKE_AGENT_YOUNG;
	client_send(&c, line, strlen(line), NULL, 0);
	while (fake->opens < 3)
		usleep(1000);
	fake->agent = FAKE_AGENT_OK;
	answer = client_line(&c);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok")));
	assert_int_equal(c.nfds, 1);
	cJSON_Delete(answer);
	client_close(&c);
	assert_true(nothing_left());
}

static void
stubborn_guest(void **state)
{
	struct client c;

	(void)state;
	fake->agent = FAKE_AGENT_STUBBORN;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_string_equal(ask(&c, "{\"op\":\"vm.stop\",\"vm\":\"box\","
	    "\"timeout_ms\":50}"), "ok");
	assert_string_equal(state_of(&c, "box"), "stopped");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"box\"}"),
	    "ok");
	client_close(&c);
	assert_true(nothing_left());
}

/* Each step of a start fails in turn. */
static void
every_step_fails(void **state)
{
	static const struct {
		enum op op;
		int error;
		const char *code;
	} cases[] = {
		{ OP_BRIDGE_ENSURE, -EEXIST, "exists" },
		{ OP_TAP_CREATE, -EUSERS, "unavailable" },
		{ OP_TAP_CREATE, -EPERM, "internal" },
		{ OP_NAT_SET, -EIO, "internal" },
		{ OP_VMM_LAUNCH, -ENOENT, "unavailable" },
		{ OP_VMM_LAUNCH, -ENOSPC, "no-space" },
		{ OP_SOCKET_OPEN, -EPERM, "internal" },
	};
	struct client c;
	size_t i;

	(void)state;
	client_open(&c);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *code;

		fake->fail_error = cases[i].error;
		fake->fail_op = cases[i].op;
		code = ask(&c, RUN("box", "false"));
		assert_case(strcmp(code, cases[i].code) == 0, i, code);
		assert_case(strstr(message, "it was made to fail") != NULL, i,
		    message);
		assert_case(strstr(message, "VM box: ") == message, i,
		    message);
		fake->fail_op = -1;
		assert_case(nothing_left(), i, code);
	}
	assert_string_equal(ask(&c, RUN("box", "true")), "ok");
	client_close(&c);
	assert_true(nothing_left());
}

static void
guest_ends_early(void **state)
{
	struct client c;

	(void)state;
	fake->agent = FAKE_AGENT_EXITS;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "unavailable");
	assert_non_null(strstr(message, "VM box: ended by the guest"));
	assert_string_equal(console_text, "fake console, line 1 \nline 2");
	assert_true(nothing_left());
	/* What the VMM said comes in pieces and is one line all the same. */
	fake->talks = 1;
	assert_string_equal(ask(&c, RUN("box", "false")), "unavailable");
	assert_non_null(strstr(message, "; the VMM said: vmm: no ?[1m memory"));
	assert_null(strstr(console_text, "\nvmm:\n"));
	assert_non_null(strstr(console_text, "vmm: no ?[1m memory"));
	assert_null(strstr(console_text, "waiting"));
	assert_true(nothing_left());
	client_close(&c);
}

/* 1 TiB, the most that may be asked for; this host has less, or is skipped. */
static void
more_memory_than_the_host(void **state)
{
	struct sysinfo info;
	struct client c;

	(void)state;
	assert_int_equal(sysinfo(&info), 0);
	if ((uint64_t)info.totalram * info.mem_unit >> 20 >= MEM_MIB_MAX)
		skip();
	client_open(&c);
	assert_string_equal(ask(&c, "{\"op\":\"vm.run\",\"rm\":false,"
	    "\"spec\":{\"name\":\"box\",\"memory_mib\":1048576}}"), "invalid");
	assert_non_null(strstr(message, "VM box: memory: 1048576 MiB is more"));
	assert_true(nothing_left());
	assert_string_equal(state_of(&c, "box"), "");
	client_close(&c);
}

static void
guest_is_silent(void **state)
{
	struct client c;

	(void)state;
	stop_worker(SIGTERM);
	fake->start_timeout_ms = SHORT_START_MS;
	start_worker();
	fake->agent = FAKE_AGENT_SILENT;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "true")), "timeout");
	assert_non_null(strstr(message, "VM box: its agent did not answer"));
	assert_string_equal(console_text, "fake console, line 1 \nline 2");
	assert_true(nothing_left());
	assert_null(strstr(message, "nothing is on its console"));
	/* Not even a console. */
	fake->misses = UINT32_MAX;
	assert_string_equal(ask(&c, RUN("box", "true")), "timeout");
	assert_non_null(strstr(message, "nothing is on its console"));
	assert_true(nothing_left());
	fake->misses = 0;
	/* A VM that there was before stays, with what went wrong. */
	fake->agent = FAKE_AGENT_OK;
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_string_equal(ask(&c, "{\"op\":\"vm.kill\",\"vm\":\"box\"}"),
	    "ok");
	fake->agent = FAKE_AGENT_SILENT;
	assert_string_equal(ask(&c, "{\"op\":\"vm.start\",\"vm\":\"box\"}"),
	    "timeout");
	assert_non_null(strstr(message, "banger vm logs box"));
	assert_string_equal(state_of(&c, "box"), "stopped");
	assert_int_equal(fake_count(fake, VM_STATES), 0);
	client_close(&c);
}

/* One that hangs as an emulated guest without a clock does gets a second try. */
static void
guest_comes_up_at_the_second_try(void **state)
{
	struct client c, other;
	cJSON *answer;

	(void)state;
	stop_worker(SIGTERM);
	fake->start_timeout_ms = SHORT_START_MS;
	start_worker();
	fake->agent = FAKE_AGENT_SECOND;
	fake->launches = 0;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_int_equal(fake->launches, 2);
	assert_string_equal(state_of(&c, "box"), "running");
	assert_int_equal(fake_count(fake, VM_RUNNING), 1);
	/* And so at every start. */
	assert_string_equal(ask(&c, "{\"op\":\"vm.kill\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(ask(&c, "{\"op\":\"vm.start\",\"vm\":\"box\"}"),
	    "ok");
	assert_int_equal(fake->launches, 4);
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"box\","
	    "\"force\":true}"), "ok");
	assert_true(nothing_left());
	/* The second can be ended, and is the last. */
	fake->agent = FAKE_AGENT_SILENT;
	client_send(&c, RUN("box", "true") "\n", strlen(RUN("box", "true")) + 1,
	    NULL, 0);
	client_open(&other);
	while (fake->launches < 6)
		usleep(1000);
	assert_string_equal(ask(&other, "{\"op\":\"vm.kill\",\"vm\":\"box\"}"),
	    "ok");
	answer = client_line(&c);
	assert_non_null(strstr(text_of(answer, "error", "message"),
	    "killed by another client"));
	cJSON_Delete(answer);
	assert_int_equal(fake->launches, 6);
	client_send(&c, RUN("box", "true") "\n", strlen(RUN("box", "true")) + 1,
	    NULL, 0);
	while (fake->launches < 7)
		usleep(1000);
	usleep(10000);
	fake->agent = FAKE_AGENT_EXITS;
	answer = client_line(&c);
	assert_non_null(strstr(text_of(answer, "error", "message"),
	    "before its agent answered"));
	cJSON_Delete(answer);
	assert_int_equal(fake->launches, 8);
	client_close(&other);
	client_close(&c);
	assert_true(nothing_left());
}

/* A guest that breaks the protocol loses its agent; nobody else anything. */
static void
guest_talks_rubbish(void **state)
{
	struct client c;

	(void)state;
	fake->agent = FAKE_AGENT_GARBAGE;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_string_equal(state_of(&c, "box"), "running");
	fake->agent = FAKE_AGENT_OK;
	usleep(20000);
	/* The next request for the agent connects anew. */
	assert_string_equal(ask(&c, "{\"op\":\"vm.exec\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"box\","
	    "\"force\":true}"), "ok");
	client_close(&c);
	assert_true(nothing_left());
}

/* ---- clients that go ---- */

static void
client_goes(void **state)
{
	struct client c;
	int i;

	(void)state;
	fake->agent = FAKE_AGENT_SILENT;
	for (i = 0; i < 20; i++) {
		client_open(&c);
		client_send(&c, RUN("box", "false") "\n",
		    strlen(RUN("box", "false")) + 1, NULL, 0);
		usleep((useconds_t)i * 500);
		client_close(&c);
	}
	assert_true(nothing_left());
	fake->agent = FAKE_AGENT_OK;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "true")), "ok");
	assert_int_equal(fake_count(fake, VM_RUNNING), 1);
	client_close(&c);
	assert_true(nothing_left());
}

/* Another client ends a VM that is being started. */
static void
start_is_ended(void **state)
{
	struct client c, other;
	cJSON *answer;

	(void)state;
	fake->agent = FAKE_AGENT_SILENT;
	client_open(&c);
	client_open(&other);
	client_send(&c, RUN("box", "false") "\n",
	    strlen(RUN("box", "false")) + 1, NULL, 0);
	while (strcmp(state_of(&other, "box"), "starting") != 0)
		usleep(1000);
	assert_string_equal(ask(&other, "{\"op\":\"vm.stop\",\"vm\":\"box\"}"),
	    "busy");
	assert_string_equal(ask(&other, RUN("box", "false")), "exists");
	assert_string_equal(ask(&other, "{\"op\":\"vm.delete\",\"vm\":\"box\","
	    "\"force\":true}"), "ok");
	answer = client_line(&c);
	assert_string_equal(text_of(answer, "error", "code"), "state");
	assert_non_null(strstr(text_of(answer, "error", "message"),
	    "deleted by another client"));
	cJSON_Delete(answer);
	client_close(&c);
	client_close(&other);
	assert_true(nothing_left());
}

/* COUNT requests of LINE bytes each at once, and their answers. */
static void
ask_in_advance(struct client *c, size_t count, size_t line)
{
	static const char request[] = "{\"op\":\"version\"";
	static char text[64 * 1024];
	size_t i;

	memset(text, ' ', count * line);
	for (i = 0; i < count; i++) {
		memcpy(text + i * line, request, strlen(request));
		memcpy(text + (i + 1) * line - 2, "}\n", 2);
	}
	client_send(c, text, count * line, NULL, 0);
	for (i = 0; i < count; i++) {
		cJSON *answer = client_line(c);

		assert_case(answer != NULL, line, "an answer");
		assert_true(cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok")));
		cJSON_Delete(answer);
	}
}

/* Requests that come before others are answered, however they are cut. */
static void
requests_in_advance(void **state)
{
	struct client c;
	size_t count, line;

	(void)state;
	client_open(&c);
	for (count = 2; count < 10; count++)
		for (line = 300; line <= 4200; line += 100)
			ask_in_advance(&c, count, line);
	client_close(&c);
	assert_true(nothing_left());
}

static void
hostile_lines(void **state)
{
	static const char *const lines[] = {
		"", "{}", "[]", "x", "null", "{\"op\":1}", "{\"op\":\"\"}",
		"{\"op\":\"vm.run\"}}", "{\"op\":\"version\"}{}",
		"{\"op\":\"ver\\u0000sion\"}", "{\"op\":\"\xff\"}",
		"{\"op\":[[[[[[[[[[]]]]]]]]]]}", "\x1b[2J",
		"{\"op\":\"vm.lists\"}", "{\"op\":\"version\"}\rx",
	};
	static char huge[100 * 1024];
	struct client c, good;
	cJSON *answer;
	char line[256];
	size_t i;

	(void)state;
	client_open(&good);
	for (i = 0; i <= ARRAY_SIZE(lines); i++) {
		client_open(&c);
		if (i < ARRAY_SIZE(lines)) {
			snprintf(line, sizeof(line), "%s\n", lines[i]);
			client_send(&c, line, strlen(line), NULL, 0);
		} else {
			memset(huge, ' ', sizeof(huge));
			client_send(&c, huge, sizeof(huge), NULL, 0);
		}
		answer = client_line(&c);
		assert_case(answer != NULL, i, "an error line");
		assert_string_equal(text_of(answer, "error", "code"),
		    "invalid");
		cJSON_Delete(answer);
		assert_null(client_line(&c));
		client_close(&c);
		assert_string_equal(ask(&good, "{\"op\":\"version\"}"), "ok");
	}
	client_close(&good);
}

static void
wrong_members(void **state)
{
	static const char *const lines[] = {
		"{\"op\":\"version\",\"x\":1}",
		"{\"op\":\"version\",\"op\":\"version\"}",
		"{\"op\":\"version\",\"progress\":1}",
		"{\"op\":\"vm.show\"}",
		"{\"op\":\"vm.show\",\"vm\":1}",
		"{\"op\":\"vm.show\",\"vm\":\"\"}",
		"{\"op\":\"vm.run\",\"rm\":true}",
		"{\"op\":\"vm.run\",\"spec\":{}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":[]}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"x\":1}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"vcpu\":0}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"vcpu\":3}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"vcpu\":64}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"memory_mib\":1}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"init\":\"x\"}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"name\":\"-a\"}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"name\":\"A\"}}",
		"{\"op\":\"vm.run\",\"rm\":true,\"spec\":{\"name\":\"a.b\"}}",
		"{\"op\":\"vm.run\",\"rm\":true,"
		    "\"spec\":{\"disk_size_bytes\":4}}",
		"{\"op\":\"image.show\",\"image\":\"../img\"}",
		"{\"op\":\"kernel.delete\",\"kernel\":\"a/b\"}",
	};
	struct client c;
	size_t i;

	(void)state;
	client_open(&c);
	for (i = 0; i < ARRAY_SIZE(lines); i++)
		assert_case(strcmp(ask(&c, lines[i]), "invalid") == 0, i,
		    lines[i]);
	assert_string_equal(ask(&c, "{\"op\":\"vm.run\",\"rm\":true,"
	    "\"spec\":{\"image\":\"none\"}}"), "not-found");
	assert_string_equal(ask(&c, "{\"op\":\"vm.run\",\"rm\":true,"
	    "\"spec\":{\"kernel\":\"none\"}}"), "not-found");
	assert_true(nothing_left());
	client_close(&c);
}

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FILE_PULL(what, name, url, size, sha256) "{\"op\":\"" what ".pull\"," \
	"\"name\":\"" name "\",\"url\":\"" url "\",\"size\":" size \
	",\"sha256\":\"" sha256 "\"}"

/* Files and texts that are not asked for as they should be. */
static void
wrong_pulls(void **state)
{
	static const struct { const char *request, *code; } rows[] = {
		{ FILE_PULL("kernel", "", "https://a/k", "1", SHA256), "invalid" },
		{ FILE_PULL("kernel", "../k", "https://a/k", "1", SHA256), "invalid" },
		{ FILE_PULL("kernel", "k", "", "1", SHA256), "invalid" },
		{ FILE_PULL("kernel", "k", "file:///etc/k", "1", SHA256), "invalid" },
		{ FILE_PULL("kernel", "k", "https://u:p@a/k", "1", SHA256),
		    "invalid" },
		{ FILE_PULL("kernel", "k", "https://a/k", "0", SHA256), "invalid" },
		{ FILE_PULL("kernel", "k", "https://a/k", "68719476737", SHA256),
		    "invalid" },
		{ FILE_PULL("kernel", "k", "https://a/k", "1", ""), "invalid" },
		{ FILE_PULL("kernel", "k", "https://a/k", "1", "00"), "invalid" },
		{ FILE_PULL("image", "k", "https://a/k", "1", "00"), "invalid" },
		{ FILE_PULL("kernel", "krn", "https://a/k", "1", SHA256), "exists" },
		{ FILE_PULL("image", "img", "https://a/k", "1", SHA256), "exists" },
		{ "{\"op\":\"kernel.pull\",\"name\":\"k\"}", "invalid" },
		{ "{\"op\":\"kernel.pull\",\"name\":\"k\",\"reference\":\"debian\"}",
		    "invalid" },
		{ "{\"op\":\"image.pull\",\"name\":\"k\"}", "invalid" },
		{ "{\"op\":\"image.pull\",\"url\":\"https://a/k\",\"size\":1,"
		    "\"sha256\":\"" SHA256 "\"}", "invalid" },
		{ "{\"op\":\"catalog.fetch\"}", "invalid" },
		{ "{\"op\":\"catalog.fetch\",\"url\":\"\"}", "invalid" },
		{ "{\"op\":\"catalog.fetch\",\"url\":\"http://a/c\"}", "invalid" },
		{ "{\"op\":\"catalog.fetch\",\"url\":\"file:///etc/shadow\"}",
		    "invalid" },
	};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct client c;
	size_t i;

	(void)state;
	client_open(&c);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *code = ask_with(&c, rows[i].request, &null, 1);

		if (strcmp(code, rows[i].code) != 0)
			fail_msg("%s: %s (%s)", rows[i].request, code, message);
	}
	close(null);
	assert_true(nothing_left());
	client_close(&c);
}

/* 0 to 5 fds with a request that wants none, and with one that wants one. */
static void
wrong_fds(void **state)
{
	static const char *const lines[] = {
		"{\"op\":\"version\"}\n",
		"{\"op\":\"image.import\",\"name\":\"new\"}\n",
	};
	struct client c;
	int fds[5], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned int n, want;
	cJSON *answer;

	(void)state;
	for (n = 0; n < 5; n++)
		fds[n] = null;
	for (want = 0; want < 2; want++)
		for (n = 0; n <= 5; n++) {
			client_open(&c);
			client_send(&c, lines[want], strlen(lines[want]), fds,
			    n);
			answer = client_line(&c);
			assert_non_null(answer);
			if (n != want) {
				assert_string_equal(text_of(answer, "error",
				    "code"), "invalid");
				assert_null(client_line(&c));
			}
			cJSON_Delete(answer);
			client_close(&c);
		}
	close(null);
	assert_true(nothing_left());
}

static void
strangers(void **state)
{
	struct client c;
	cJSON *answer;
	pid_t pid;
	int status;

	(void)state;
	need_root();
	assert_int_equal(chmod(temp.path, 0755), 0);
	assert_int_equal(chmod(socket_path, 0666), 0);
	pid = fork();
	if (pid == 0) {
		if (setgid(12345) < 0 || setuid(12345) < 0)
			_exit(2);
		client_open(&c);
		answer = client_line(&c);
		_exit(answer == NULL || strcmp(text_of(answer, "error",
		    "code"), "denied") != 0 || client_line(&c) != NULL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* The same from an address that says otherwise (snapd CVE-2019-7304). */
	pid = fork();
	if (pid == 0) {
		const struct sockaddr_un root = { .sun_family = AF_UNIX,
			.sun_path = "\0;uid=0;" };
		struct sockaddr_un addr = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char reply[256] = "";

		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
		    socket_path);
		if (setgid(12345) < 0 || setuid(12345) < 0 ||
		    bind(fd, (const struct sockaddr *)&root,
		    sizeof(sa_family_t) + 8) < 0 ||
		    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		    read(fd, reply, sizeof(reply) - 1) <= 0)
			_exit(2);
		_exit(strstr(reply, "\"denied\"") == NULL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- limits ---- */

static void
no_address(void **state)
{
	struct client c;

	(void)state;
	fake->prefix = 30;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("one", "false")), "ok");
	assert_string_equal(ask(&c, RUN("two", "false")), "no-address");
	/* A stopped VM keeps its address. */
	assert_string_equal(ask(&c, "{\"op\":\"vm.kill\",\"vm\":\"one\"}"),
	    "ok");
	assert_string_equal(ask(&c, RUN("two", "false")), "no-address");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"one\"}"),
	    "ok");
	assert_string_equal(ask(&c, RUN("two", "true")), "ok");
	client_close(&c);
	assert_true(nothing_left());
}

static void
no_slot(void **state)
{
	struct client c;

	(void)state;
	stop_worker(SIGTERM);
	fake->vm_max = 1;
	start_worker();
	client_open(&c);
	assert_string_equal(ask(&c, RUN("one", "true")), "ok");
	assert_string_equal(ask(&c, RUN("two", "true")), "unavailable");
	client_close(&c);
	assert_true(nothing_left());
}

static void
ids_and_prefixes(void **state)
{
	char id[16], line[128];
	struct client c;
	cJSON *answer;

	(void)state;
	client_open(&c);
	client_send(&c, RUN("box", "true") "\n",
	    strlen(RUN("box", "true")) + 1, NULL, 0);
	answer = client_line(&c);
	snprintf(id, sizeof(id), "%s", text_of(cJSON_GetObjectItem(answer,
	    "result"), "vm", "id"));
	cJSON_Delete(answer);
	assert_int_equal(strlen(id), 12);
	assert_string_equal(state_of(&c, id), "running");
	id[4] = '\0';
	assert_string_equal(state_of(&c, id), "running");
	id[3] = '\0';
	snprintf(line, sizeof(line), "{\"op\":\"vm.show\",\"vm\":\"%s\"}", id);
	assert_string_equal(ask(&c, line), "not-found");
	client_close(&c);
	assert_true(nothing_left());
}

/* ---- disks ---- */

/* Opens the COW file of the VM NAME. */
static int
cow_of(struct client *c, const char *name)
{
	char file[64];
	int fd;

	snprintf(file, sizeof(file), "vms/%s.cow", shown(c, name, "id"));
	fd = openat(temp.fd, file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* With device mapper there is a COW file, which outlives stops. */
static void
snapshots(void **state)
{
	static const uint8_t invalid[16] = { 'S', 'n', 'A', 'p', 0, 0, 0, 0,
		1, 0, 0, 0, 8 };
	struct client c;
	struct stat st;
	const struct image_row row = { .name = "img", .file = "img", .size_bytes = 4096,
		.created_s = 1 };
	struct buf text = BUF_INIT(STORE_ROW_MAX);
	char image[4096] = "a image of whole sectors";
	uint8_t valid = 0;
	int cow;

	(void)state;
	stop_worker(SIGTERM);
	put_file(temp.fd, "images/img.ext4", image, sizeof(image));
	image_row_write(&text, &row);
	put_text("images/img.json", text.data);
	buf_free(&text);
	fake->snapshots = 1;
	start_worker();
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_string_equal(shown(&c, "box", "disk_backend"), "snapshot");
	assert_string_equal(shown(&c, "box", "disk_error"), "");
	assert_int_equal(fake->vms[0].disk, OP_SNAPSHOT_CREATE);
	cow = cow_of(&c, "box");
	assert_int_equal(fstat(cow, &st), 0);
	assert_true(st.st_size > 1 << 20);
	assert_int_equal(st.st_blocks, 0);
	/* The host's file system becomes full. */
	fake->disk_full = 1;
	assert_non_null(strstr(shown(&c, "box", "disk_error"),
	    "file system was full"));
	assert_int_equal(pwrite(cow, invalid, sizeof(invalid), 0),
	    sizeof(invalid));
	assert_string_equal(ask(&c, "{\"op\":\"vm.stop\",\"vm\":\"box\"}"),
	    "ok");
	assert_non_null(strstr(shown(&c, "box", "disk_error"),
	    "file system was full"));
	/* The next start revives it. */
	fake->disk_full = 0;
	assert_string_equal(ask(&c, "{\"op\":\"vm.start\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(shown(&c, "box", "disk_error"), "");
	assert_int_equal(pread(cow, &valid, 1, 4), 1);
	assert_int_equal(valid, 1);
	assert_string_equal(ask(&c, "{\"op\":\"vm.stop\",\"vm\":\"box\"}"),
	    "ok");
	/* Not a COW file any more: refused, and not touched. */
	assert_int_equal(pwrite(cow, "rubbish!", 8, 0), 8);
	close(cow);
	assert_string_equal(ask(&c, "{\"op\":\"vm.start\",\"vm\":\"box\"}"),
	    "invalid");
	assert_non_null(strstr(message, "damaged"));
	/* No device mapper at the next boot. */
	client_close(&c);
	stop_worker(SIGTERM);
	fake->snapshots = 0;
	start_worker();
	client_open(&c);
	assert_string_equal(ask(&c, "{\"op\":\"vm.start\",\"vm\":\"box\"}"),
	    "unavailable");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"box\"}"),
	    "ok");
	client_close(&c);
	assert_true(nothing_left());
}

/* The monitor cannot make the disk: an error, and nothing left. */
static void
no_disk(void **state)
{
	struct client c;

	(void)state;
	fake->fail_op = OP_DISK_ATTACH;
	fake->fail_error = -ENOMEM;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "internal");
	assert_non_null(strstr(message, "it was made to fail"));
	assert_true(nothing_left());
	fake->fail_op = -1;
	assert_string_equal(ask(&c, RUN("box", "true")), "ok");
	assert_string_equal(shown(&c, "box", "disk_backend"), "copy");
	client_close(&c);
	assert_true(nothing_left());
}

/* ---- workers that go ---- */

/*
 * After a power failure: a row of a --rm VM that was never synced is empty, or
 * is whole; both go with all that belongs to them. Another VM's stays.
 */
static void
power_failure(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("temp", "true")), "ok");
	stop_worker(SIGKILL);
	client_close(&c);
	memset(fake->vms, 0, sizeof(fake->vms));
	put_text("vms/00000000000a.volatile", "");
	put_text("vms/00000000000a.json", "");
	put_text("vms/00000000000a.cow", "cow");
	put_text("vms/00000000000a.console", "console");
	put_text("vms/00000000000b.volatile", "");
	put_text("vms/00000000000b.disk", "disk");
	put_text("vms/00000000000c.json", "{");
	put_text("vms/00000000000c.disk", "disk");
	start_worker();
	client_open(&c);
	while (strcmp(state_of(&c, "temp"), "") != 0)
		usleep(1000);
	client_close(&c);
	assert_true(exists(temp.fd, "vms/00000000000c.json.bad"));
	assert_true(exists(temp.fd, "vms/00000000000c.disk"));
	assert_int_equal(files_in("vms"), 2);
}

static void
killed_worker(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("kept", "false")), "ok");
	assert_string_equal(ask(&c, RUN("temp", "true")), "ok");
	assert_string_equal(ask(&c, RUN("dead", "false")), "ok");
	stop_worker(SIGKILL);
	client_close(&c);
	/* Meanwhile one VM ends, and one comes that no row knows of. */
	fake->vms[2].state = VM_EXITED;
	fake->vms[3] = (struct fake_vm){ 0x123456, VM_RUNNING, 9, 0, 0 };
	fake->vms[4] = (struct fake_vm){ 0x123457, VM_STAGED, 10, 0, 0 };
	put_text("tmp/000000000001.disk", "unfinished");
	put_text("vms/000000000001.disk", "orphan");
	start_worker();
	client_open(&c);
	assert_string_equal(state_of(&c, "kept"), "running");
	assert_string_equal(ask(&c, "{\"op\":\"vm.exec\",\"vm\":\"kept\"}"),
	    "ok");
	while (strcmp(state_of(&c, "temp"), "") != 0)
		usleep(1000);
	assert_string_equal(state_of(&c, "dead"), "stopped");
	assert_int_equal(fake_count(fake, VM_STATES), 1);
	assert_false(exists(temp.fd, "tmp/000000000001.disk"));
	assert_false(exists(temp.fd, "vms/000000000001.disk"));
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"dead\"}"),
	    "ok");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"kept\","
	    "\"force\":true}"), "ok");
	client_close(&c);
	assert_true(nothing_left());
}

/* Killed in the middle of a start: nobody waits for it any more. */
static void
killed_while_starting(void **state)
{
	struct client c;

	(void)state;
	fake->agent = FAKE_AGENT_SILENT;
	client_open(&c);
	client_send(&c, RUN("box", "false") "\n",
	    strlen(RUN("box", "false")) + 1, NULL, 0);
	while (fake_count(fake, VM_RUNNING) == 0)
		usleep(1000);
	stop_worker(SIGKILL);
	client_close(&c);
	start_worker();
	assert_true(nothing_left());
}

static void
orderly_end(void **state)
{
	struct client c, other;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("kept", "false")), "ok");
	assert_string_equal(ask(&c, RUN("temp", "true")), "ok");
	fake->agent = FAKE_AGENT_SILENT;
	client_open(&other);
	client_send(&other, RUN("young", "false") "\n",
	    strlen(RUN("young", "false")) + 1, NULL, 0);
	while (fake_count(fake, VM_RUNNING) < 3)
		usleep(1000);
	stop_worker(SIGTERM);
	client_close(&c);
	client_close(&other);
	assert_int_equal(fake_count(fake, VM_STATES), 1);
	fake->agent = FAKE_AGENT_OK;
	start_worker();
	client_open(&c);
	assert_string_equal(state_of(&c, "kept"), "running");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"kept\","
	    "\"force\":true}"), "ok");
	client_close(&c);
	assert_true(nothing_left());
}

/* Without its monitor the worker has nothing left to do. */
static void
monitor_goes(void **state)
{
	(void)state;
	kill(monitor_pid, SIGKILL);
	reap_worker();
}

static void
embedded(void **state)
{
	struct client c, other;

	(void)state;
	stop_worker(SIGTERM);
	fake->embedded = 1;
	start_worker();
	client_open(&c);
	client_open(&other);
	assert_string_equal(ask(&c, RUN("kept", "false")), "ok");
	assert_string_equal(ask(&other, RUN("temp", "true")), "ok");
	client_close(&c);
	assert_string_equal(ask(&other, "{\"op\":\"version\"}"), "ok");
	client_close(&other);
	assert_int_equal(reap_worker(), 0);
	assert_int_equal(fake_count(fake, VM_STATES), 1);
	assert_int_equal(fake_count(fake, VM_RUNNING), 1);
	fake->embedded = 0;
	start_worker();
}

/* The monitor is reminded of names at each start; none hangs on its answer. */
static void
names_are_announced(void **state)
{
	struct client c;
	uint32_t before;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("quiet", "true")), "ok");
	assert_int_equal(fake->resolver_sets, 0);
	client_close(&c);
	stop_worker(SIGTERM);
	fake->dns_port = 42069;
	start_worker();
	client_open(&c);
	before = fake->resolver_sets;
	assert_string_equal(ask(&c, RUN("loud", "true")), "ok");
	assert_int_equal(fake->resolver_sets, before + 1);
	fake->fail_op = OP_RESOLVER_SET;
	fake->fail_error = -EAGAIN;
	assert_string_equal(ask(&c, RUN("failing", "true")), "ok");
	fake->fail_error = -ENOENT;
	assert_string_equal(ask(&c, RUN("missing", "true")), "ok");
	fake->fail_op = -1;
	fake->dns_port = 0;
	client_close(&c);
}

/* ---- images ---- */

static void
imports(void **state)
{
	static const char line[] =
	    "{\"op\":\"image.import\",\"name\":\"new\"}\n";
	struct client c, other;
	int pipefd[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cJSON *answer;

	(void)state;
	client_open(&c);
	client_send(&c, line, strlen(line), &null, 1);
	answer = client_line(&c);
	assert_string_equal(text_of(answer, "error", "code"), "invalid");
	cJSON_Delete(answer);
	/* A pipe that gives nothing: until its client goes. */
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	client_send(&c, line, strlen(line), &pipefd[0], 1);
	client_open(&other);
	while (files_in("tmp") == 0)
		usleep(1000);
	client_send(&other, line, strlen(line), &null, 1);
	answer = client_line(&other);
	assert_string_equal(text_of(answer, "error", "code"), "busy");
	cJSON_Delete(answer);
	client_close(&c);
	assert_true(nothing_left());
	assert_string_equal(ask(&other, "{\"op\":\"image.show\","
	    "\"image\":\"new\"}"), "not-found");
	assert_string_equal(ask(&other, "{\"op\":\"image.show\","
	    "\"image\":\"img\"}"), "ok");
	client_close(&other);
	close(pipefd[0]);
	close(pipefd[1]);
	close(null);
}

static void
deletions(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_string_equal(ask(&c, "{\"op\":\"kernel.delete\","
	    "\"kernel\":\"krn\"}"), "busy");
	assert_string_equal(ask(&c, "{\"op\":\"image.delete\","
	    "\"image\":\"img\"}"), "busy");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"box\","
	    "\"force\":true}"), "ok");
	assert_string_equal(ask(&c, "{\"op\":\"image.delete\","
	    "\"image\":\"img\"}"), "ok");
	assert_int_equal(files_in("images"), 0);
	assert_string_equal(ask(&c, "{\"op\":\"kernel.delete\","
	    "\"kernel\":\"krn\"}"), "ok");
	assert_int_equal(files_in("kernels"), 0);
	assert_string_equal(ask(&c, RUN("box", "false")), "not-found");
	client_close(&c);
}

/* ---- changes and numbers ---- */

/* Like ask(), with the member KEY of the answer's OUTER object as JSON. */
static const char *
ask_for(struct client *c, const char *request, const char *outer,
    const char *key)
{
	static char text[4096];
	char line[4096];
	cJSON *answer, *item;
	char *printed;

	snprintf(line, sizeof(line), "%s\n", request);
	client_send(c, line, strlen(line), NULL, 0);
	answer = client_line(c);
	assert_non_null(answer);
	item = cJSON_GetObjectItem(answer, "result");
	item = cJSON_GetObjectItem(item, outer);
	if (key != NULL)
		item = cJSON_GetObjectItem(item, key);
	printed = item != NULL ? cJSON_PrintUnformatted(item) : NULL;
	snprintf(text, sizeof(text), "%s", printed != NULL ? printed : "");
	free(printed);
	cJSON_Delete(answer);
	return text;
}

#define SHOW "{\"op\":\"vm.show\",\"vm\":\"box\"}"
#define SET(what) "{\"op\":\"vm.set\",\"vm\":\"box\"," what "}"

static void
changes(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, SET("\"vcpu\":2")), "not-found");
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_int_equal(fake->vms[0].nat, 1);
	/* A VM that runs: NAT at once, the rest at its next start. */
	assert_string_equal(ask(&c, SET("\"nat\":false")), "ok");
	assert_int_equal(fake->vms[0].nat, 0);
	assert_string_equal(ask_for(&c, SHOW, "vm", "restart_needed"), "");
	assert_string_equal(ask_for(&c, SET("\"vcpu\":4,\"memory_mib\":128,"
	    "\"disk_size_bytes\":2097153"), "vm", "restart_needed"), "true");
	assert_string_equal(ask_for(&c, SHOW, "vm", "disk_size_bytes"),
	    "3145728");
	assert_string_equal(ask(&c, SET("\"disk_size_bytes\":2097152")),
	    "invalid");
	assert_non_null(strstr(message, "only grow"));
	assert_string_equal(ask(&c, SET("\"vcpu\":3")), "invalid");
	assert_string_equal(ask(&c, SET("\"vcpu\":34")), "invalid");
	assert_string_equal(ask(&c, SET("\"memory_mib\":1")), "invalid");
	assert_string_equal(ask(&c, SET("\"name\":\"x\"")), "invalid");
	assert_string_equal(ask_for(&c, SHOW, "vm", "vcpu"), "4");
	/* It is on the disk: a worker that is killed does not forget it. */
	client_close(&c);
	stop_worker(SIGKILL);
	start_worker();
	client_open(&c);
	assert_string_equal(ask_for(&c, SHOW, "vm", "memory_mib"), "128");
	assert_string_equal(ask_for(&c, SHOW, "vm", "restart_needed"), "true");
	assert_string_equal(ask(&c, "{\"op\":\"vm.restart\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(ask_for(&c, SHOW, "vm", "restart_needed"), "");
	assert_int_equal(fake->vms[0].nat, 0);
	/* The monitor refuses: nothing is changed. */
	fake->fail_op = OP_NAT_SET;
	fake->fail_error = -EIO;
	assert_string_equal(ask(&c, SET("\"nat\":true,\"vcpu\":8")),
	    "internal");
	assert_string_equal(ask_for(&c, SHOW, "vm", "nat"), "false");
	assert_string_equal(ask_for(&c, SHOW, "vm", "vcpu"), "4");
	fake->fail_op = -1;
	assert_string_equal(ask(&c, "{\"op\":\"vm.stop\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(ask_for(&c, SHOW, "vm", "restart_needed"), "");
	assert_string_equal(ask_for(&c, SET("\"vcpu\":8,\"nat\":true"), "vm",
	    "restart_needed"), "");
	assert_string_equal(ask_for(&c, SHOW, "vm", "nat"), "true");
	assert_string_equal(ask(&c, "{\"op\":\"vm.delete\",\"vm\":\"box\"}"),
	    "ok");
	assert_true(nothing_left());
	client_close(&c);
}

/* The disk is as long as the row says when the VM starts next. */
static void
grown_disk(void **state)
{
	struct client c;
	struct stat st;
	char path[64], id[16];

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_int_equal(sscanf(ask_for(&c, SHOW, "vm", "id"),
	    "\"%12[0-9a-f]", id), 1);
	snprintf(path, sizeof(path), "vms/%s.disk", id);
	assert_int_equal(fstatat(temp.fd, path, &st, 0), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_string_equal(ask(&c, SET("\"disk_size_bytes\":4194304")), "ok");
	assert_int_equal(fstatat(temp.fd, path, &st, 0), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_string_equal(ask(&c, "{\"op\":\"vm.restart\",\"vm\":\"box\"}"),
	    "ok");
	assert_int_equal(fstatat(temp.fd, path, &st, 0), 0);
	assert_int_equal(st.st_size, 4 << 20);
	client_close(&c);
	client_open(&c);
	assert_string_equal(ask(&c, "{\"op\":\"vm.run\",\"rm\":true,"
	    "\"spec\":{\"name\":\"brief\"}}"), "ok");
	assert_string_equal(ask(&c, "{\"op\":\"vm.set\",\"vm\":\"brief\","
	    "\"vcpu\":2}"), "state");
	assert_string_equal(ask(&c, "{\"op\":\"vm.set\",\"vm\":\"brief\","
	    "\"nat\":true}"), "ok");
	client_close(&c);
}

#define PORTS "{\"op\":\"vm.ports\",\"vm\":\"box\"}"
#define STATS "{\"op\":\"vm.stats\",\"vm\":\"box\"}"

static void
inspection(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "ok");
	assert_string_equal(ask_for(&c, PORTS, "ports", NULL),
	    "[{\"vm\":\"box\",\"address\":\"0.0.0.0\",\"port\":22,"
	    "\"proto\":\"tcp\",\"pid\":7,\"process\":\"sshd\","
	    "\"reach\":\"172.16.0.2:22\"},"
	    "{\"vm\":\"box\",\"address\":\"127.0.0.1\",\"port\":53,"
	    "\"proto\":\"udp\"},"
	    "{\"vm\":\"box\",\"address\":\"::1\",\"port\":8080,"
	    "\"proto\":\"tcp6\",\"pid\":8,\"process\":\"a b?\"}]");
	assert_string_equal(ask_for(&c, STATS, "stats", "cpu_us"), "42");
	/* What the tap sent, the guest received. */
	assert_string_equal(ask_for(&c, STATS, "stats", "net_rx_bytes"), "2");
	assert_string_equal(ask_for(&c, STATS, "stats", "net_tx_bytes"), "1");
	assert_string_equal(ask_for(&c, STATS, "stats", "memory_bytes"), "");
	assert_string_equal(ask_for(&c, STATS, "stats", "disk_size_bytes"),
	    "1048576");
	assert_string_equal(ask_for(&c, STATS, "stats", "guest_load_5"),
	    "1.23");
	assert_string_equal(ask_for(&c, STATS, "stats",
	    "guest_disk_free_bytes"), "9.00719925474099e+15");
	/* A list with a gap is not believed; the VM lives on. */
	fake->agent = FAKE_AGENT_LIES;
	assert_string_equal(ask(&c, PORTS), "unavailable");
	fake->agent = FAKE_AGENT_OK;
	assert_string_equal(ask(&c, PORTS), "ok");
	/* Without the guest's part. */
	fake->agent = FAKE_AGENT_DEAF;
	assert_string_equal(ask_for(&c, STATS, "stats", "guest_load_5"), "");
	assert_string_equal(ask_for(&c, STATS, "stats", "cpu_us"), "42");
	/* A client that goes while the agent is asked. */
	client_send(&c, PORTS "\n", strlen(PORTS) + 1, NULL, 0);
	client_close(&c);
	client_open(&c);
	fake->agent = FAKE_AGENT_OK;
	fake->fail_op = OP_VMM_STATS;
	fake->fail_error = -ESRCH;
	assert_string_equal(ask_for(&c, STATS, "stats", "cpu_us"), "");
	assert_string_equal(ask_for(&c, STATS, "stats", "guest_load_5"),
	    "1.23");
	fake->fail_op = -1;
	assert_string_equal(ask(&c, "{\"op\":\"vm.stop\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(ask(&c, PORTS), "state");
	assert_string_equal(ask_for(&c, STATS, "stats", "state"),
	    "\"stopped\"");
	fake->agent = FAKE_AGENT_OLD;
	assert_string_equal(ask(&c, "{\"op\":\"vm.start\",\"vm\":\"box\"}"),
	    "ok");
	assert_string_equal(ask(&c, PORTS), "unavailable");
	assert_non_null(strstr(message, "older"));
	assert_string_equal(ask(&c, STATS), "ok");
	client_close(&c);
}

/* What is no longer as its row says is said to be so, and can be deleted. */
static void
damaged(void **state)
{
	struct client c;

	(void)state;
	stop_worker(SIGTERM);
	put_text("images/img.ext4", "a im");
	put_text("kernels/krn.json", "{\"version\":1");
	start_worker();
	client_open(&c);
	assert_string_equal(ask(&c, RUN("box", "false")), "invalid");
	assert_non_null(strstr(message, "image img: its files are damaged"));
	assert_string_equal(ask(&c, "{\"op\":\"image.show\","
	    "\"image\":\"img\"}"), "invalid");
	assert_non_null(strstr(message, "import it again"));
	assert_string_equal(ask(&c, "{\"op\":\"kernel.show\","
	    "\"kernel\":\"krn\"}"), "invalid");
	assert_non_null(strstr(message, "kernel krn: its files are damaged"));
	assert_int_equal(files_in("images"), 2);
	assert_string_equal(ask(&c, "{\"op\":\"image.delete\","
	    "\"image\":\"img\"}"), "ok");
	assert_int_equal(files_in("images"), 0);
	assert_string_equal(ask(&c, "{\"op\":\"kernel.delete\","
	    "\"kernel\":\"krn\"}"), "ok");
	assert_int_equal(files_in("kernels"), 0);
	assert_string_equal(ask(&c, "{\"op\":\"image.delete\","
	    "\"image\":\"img\"}"), "not-found");
	assert_non_null(strstr(message, "not found; see"));
	client_close(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(life),
		TEST(streams),
		TEST(young_guest),
		TEST(stubborn_guest),
		TEST(every_step_fails),
		TEST(guest_ends_early),
		TEST(more_memory_than_the_host),
		TEST(guest_is_silent),
		TEST(guest_comes_up_at_the_second_try),
		TEST(guest_talks_rubbish),
		TEST(client_goes),
		TEST(start_is_ended),
		TEST(requests_in_advance),
		TEST(hostile_lines),
		TEST(wrong_members),
		TEST(wrong_fds),
		TEST(wrong_pulls),
		TEST(strangers),
		TEST(no_address),
		TEST(no_slot),
		TEST(ids_and_prefixes),
		TEST(snapshots),
		TEST(no_disk),
		TEST(power_failure),
		TEST(killed_worker),
		TEST(killed_while_starting),
		TEST(orderly_end),
		TEST(monitor_goes),
		TEST(names_are_announced),
		TEST(embedded),
		TEST(imports),
		TEST(deletions),
		TEST(changes),
		TEST(grown_disk),
		TEST(inspection),
		TEST(damaged),
	};
	sigset_t signals;

	/* A worker that is told to end before it can listen to signals. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
