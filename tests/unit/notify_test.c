/*
 * notify.c against a socket of the test's: which addresses are taken, what is
 * sent, and that nothing happens when nobody asked.
 */
#include "unit.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "privsep/monitor.h"
#include "privsep/notify.h"

/* A manager that listens at NAME, as NOTIFY_SOCKET has it. */
static int
manager(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);

	assert_true(sock >= 0 && len < sizeof(addr.sun_path));
	memcpy(addr.sun_path, name, len + 1);
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	assert_int_equal(bind(sock, (struct sockaddr *)&addr,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len +
	    (name[0] == '/'))), 0);
	return sock;
}

static void
expect_text(int sock, const char *want)
{
	char text[512];
	ssize_t n = recv(sock, text, sizeof(text) - 1, 0);

	if (want == NULL) {
		assert_true(n < 0 && errno == EAGAIN);
		return;
	}
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, want);
}

static void
check_manager(const char *name)
{
	struct notify notify = { 0 };
	int sock = manager(name);

	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	assert_int_equal(notify_open(&notify), 0);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_int_equal(fcntl(notify.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(notify_send(&notify, "READY=%d", 1), 0);
	expect_text(sock, "READY=1");
	assert_int_equal(notify_send(&notify, "STATUS=%300d", 1), -EMSGSIZE);
	expect_text(sock, NULL);
	close(notify.fd);
	close(sock);
}

static void
test_addresses(void **state)
{
	static const char *const wrong[] = { "/", "@", "relative", "vsock:2:1",
		" /run/notify" };
	struct notify notify = { 0 };
	struct temp temp;
	char name[128], too_long[200];
	size_t i;

	(void)state;
	begin_temp(&temp);
	snprintf(name, sizeof(name), "%s/notify", temp.path);
	check_manager(name);
	snprintf(name, sizeof(name), "@banger-notify-test-%d", (int)getpid());
	check_manager(name);
	end_temp(&temp);
	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	too_long[0] = '/';
	assert_int_equal(setenv("NOTIFY_SOCKET", too_long, 1), 0);
	assert_int_equal(notify_open(&notify), -EINVAL);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(setenv("NOTIFY_SOCKET", wrong[i], 1), 0);
		assert_case(notify_open(&notify) == -EINVAL, i, wrong[i]);
		assert_case(getenv("NOTIFY_SOCKET") == NULL, i, wrong[i]);
	}
	assert_int_equal(notify.len, 0);
}

static void
test_nobody(void **state)
{
	struct notify notify = { 0 };
	unsigned int fds = count_fds();

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_open(&notify), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", "", 1), 0);
	assert_int_equal(notify_open(&notify), 0);
	assert_int_equal(notify_send(&notify, "READY=1"), 0);
	assert_int_equal(count_fds(), fds);
}

/* A manager that has gone is an error, and no signal. */
static void
test_gone(void **state)
{
	struct notify notify = { 0 };
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@banger-gone-test-%d", (int)getpid());
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	assert_int_equal(notify_open(&notify), 0);
	assert_int_equal(notify_send(&notify, "READY=1"), -ECONNREFUSED);
	close(notify.fd);
}

/* READY once, then a line whenever the number of VMs has changed. */
static void
test_status(void **state)
{
	static struct vm vms[3];
	static struct monitor monitor = { .table = { .vms = vms, .max = 3 } };
	char name[64];
	int sock;

	(void)state;
	snprintf(name, sizeof(name), "@banger-status-test-%d", (int)getpid());
	sock = manager(name);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	assert_int_equal(notify_open(&monitor.notify), 0);
	monitor_status(&monitor);
	expect_text(sock, "READY=1\nSTATUS=0 VMs running");
	monitor_status(&monitor);
	expect_text(sock, NULL);
	vms[1].id = 1;
	vms[1].state = VM_RUNNING;
	monitor_status(&monitor);
	expect_text(sock, "STATUS=1 VM running");
	vms[2].id = 2;
	vms[2].state = VM_STAGED;
	monitor_status(&monitor);
	expect_text(sock, NULL);
	vms[1].state = VM_EXITED;
	monitor_status(&monitor);
	expect_text(sock, "STATUS=0 VMs running");
	close(monitor.notify.fd);
	close(sock);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
