/*
 * What the guest agent finds in a /proc of the test's making: sockets that wait,
 * who has them, memory and load; lines that are none, and more than it tells.
 */
#include "unit.h"

#include "guest/inspect.h"

static struct temp temp;

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	end_temp(&temp);
	return 0;
}

static void
put_text(const char *name, const char *text)
{
	put_file(temp.fd, name, text, strlen(text));
}

static void
add_process(const char *pid, const char *comm, const char *link)
{
	char path[64];

	assert_int_equal(mkdirat(temp.fd, pid, 0700), 0);
	snprintf(path, sizeof(path), "%s/fd", pid);
	assert_int_equal(mkdirat(temp.fd, path, 0700), 0);
	snprintf(path, sizeof(path), "%s/fd/3", pid);
	assert_int_equal(symlinkat(link, temp.fd, path), 0);
	snprintf(path, sizeof(path), "%s/comm", pid);
	put_text(path, comm);
}

#define SOCKETS_HEAD \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when " \
	"retrnsmt   uid  timeout inode\n"
#define SOCKET_LINE(local, state, inode) \
	"   0: " local " 00000000:0000 " state " 00000000:00000000 " \
	"00:00000000 00000000     0        0 " inode " 1 0000 100 0 0 10 0\n"

static void
listeners(void **state)
{
	struct agent_listener found[AGENT_LISTENERS_MAX];

	(void)state;
	assert_int_equal(inspect_listeners(temp.fd, found), 0);
	assert_int_equal(mkdirat(temp.fd, "net", 0700), 0);
	put_text("net/tcp", SOCKETS_HEAD
	    SOCKET_LINE("0100007F:0019", "0A", "100")
	    SOCKET_LINE("00000000:1F90", "0A", "200")
	    SOCKET_LINE("00000000:1F90", "01", "300")
	    "no line of a table\n"
	    SOCKET_LINE("0100007F:0000", "0A", "400")
	    SOCKET_LINE("0100007F:FFFFF", "0A", "400"));
	put_text("net/tcp6", SOCKETS_HEAD
	    SOCKET_LINE("0000000000000000FFFF00000100007F:0050", "0A", "500")
	    SOCKET_LINE("00000000:0050", "0A", "500"));
	put_text("net/udp", SOCKETS_HEAD
	    SOCKET_LINE("0200A8C0:0044", "07", "0")
	    SOCKET_LINE("0200A8C0:0045", "01", "600"));
	add_process("12", "ba\33]d\n", "socket:[200]");
	add_process("13", "other", "socket:[2000]");
	add_process("14", "pipe", "pipe:[100]");
	add_process("15x", "no-pid", "socket:[100]");
	assert_int_equal(inspect_listeners(temp.fd, found), 4);
	assert_int_equal(found[0].port, 25);
	assert_memory_equal(found[0].addr, "\177\0\0\1\0\0\0\0", 8);
	assert_int_equal(found[0].pid, 0);
	assert_string_equal(found[0].comm, "");
	assert_int_equal(found[1].port, 8080);
	assert_int_equal(found[1].pid, 12);
	assert_string_equal(found[1].comm, "ba?]d");
	assert_int_equal(found[2].proto, AGENT_TCP6);
	assert_memory_equal(found[2].addr,
	    "\0\0\0\0\0\0\0\0\0\0\377\377\177\0\0\1", 16);
	assert_int_equal(found[3].proto, AGENT_UDP);
	assert_memory_equal(found[3].addr, "\300\250\0\2", 4);
	assert_int_equal(found[3].index, 3);
	assert_int_equal(found[3].total, 4);
	assert_false(found[3].more);
}

static void
many_listeners(void **state)
{
	struct agent_listener found[AGENT_LISTENERS_MAX];
	static char text[64 * 1024] = SOCKETS_HEAD;
	size_t used = strlen(text);
	unsigned int i;

	(void)state;
	assert_int_equal(mkdirat(temp.fd, "net", 0700), 0);
	for (i = 0; i < AGENT_LISTENERS_MAX + 1; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%4u: 00000000:%04X 00000000:0000 0A 00000000:00000000 "
		    "00:00000000 00000000 0 0 %u\n", i, 1000 + i, 7000 + i);
	put_text("net/tcp", text);
	assert_int_equal(inspect_listeners(temp.fd, found), AGENT_LISTENERS_MAX);
	assert_true(found[0].more);
	assert_int_equal(found[AGENT_LISTENERS_MAX - 1].index,
	    AGENT_LISTENERS_MAX - 1);
	assert_int_equal(found[AGENT_LISTENERS_MAX - 1].port,
	    1000 + AGENT_LISTENERS_MAX - 1);
}

static void
stats(void **state)
{
	struct agent_stats numbers;

	(void)state;
	inspect_stats(temp.fd, -1, &numbers);
	assert_int_equal(numbers.mem_total_bytes, 0);
	assert_int_equal(numbers.fs_total_bytes, 0);
	put_text("meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n"
	    "MemAvailable:    1024 kB\n");
	put_text("loadavg", "0.07 12.34 1.00 2/99 1234\n");
	inspect_stats(temp.fd, temp.fd, &numbers);
	assert_int_equal(numbers.mem_total_bytes, 2048 * 1024);
	assert_int_equal(numbers.mem_available_bytes, 1024 * 1024);
	assert_int_equal(numbers.load[0], 7);
	assert_int_equal(numbers.load[1], 1234);
	assert_int_equal(numbers.load[2], 100);
	assert_int_equal(numbers.processes, 99);
	assert_true(numbers.fs_total_bytes > 0);
	assert_true(numbers.fs_free_bytes <= numbers.fs_total_bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(listeners),
		TEST(many_listeners),
		TEST(stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
