/*
 * Text that others' software writes: resolv.conf, the kernel's files of cgroups
 * and processes, the lists of sockets in a guest's /proc.
 */
#include "fuzz.h"

#include <sys/stat.h>

#include "guest/inspect.h"
#include "privsep/stats.h"
#include "worker/resolv.h"

static char temp[] = "/tmp/banger-fuzz.XXXXXX";
static int dir = -1;

static void
tear_down(void)
{
	static const char *const files[] = { "net/tcp", "net/tcp6", "net/udp",
		"net/udp6", "meminfo", "loadavg", "cpu.stat", "io.stat",
		"memory.current", "pids.current" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlinkat(dir, files[i], 0);
	must(unlinkat(dir, "net", AT_REMOVEDIR) == 0 && rmdir(temp) == 0);
}

static void
set_up(void)
{
	must(mkdtemp(temp) != NULL);
	dir = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir >= 0 && mkdirat(dir, "net", 0700) == 0 &&
	    atexit(tear_down) == 0);
}

static void
put(const char *name, struct input in)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && write_full(fd, in.data, in.len) == 0);
	close(fd);
}

static void
resolvers(struct input *in)
{
	uint32_t servers[3];
	char *text = take_string(in);

	must(resolv_parse(text, servers, ARRAY_SIZE(servers)) <=
	    ARRAY_SIZE(servers));
	free(text);
}

static void
cgroup(struct input *in)
{
	struct vmm_stats_reply reply = { 0 };

	put("cpu.stat", take_piece(in));
	put("memory.current", take_piece(in));
	put("pids.current", take_piece(in));
	put("io.stat", *in);
	(void)stats_of_cgroup(dir, &reply);
}

static void
guest(struct input *in)
{
	static struct agent_listener listeners[AGENT_LISTENERS_MAX];
	struct agent_stats stats;
	size_t n, i;

	put("meminfo", take_piece(in));
	put("loadavg", take_piece(in));
	inspect_stats(dir, dir, &stats);
	put("net/tcp", take_piece(in));
	put("net/tcp6", take_piece(in));
	put("net/udp", take_piece(in));
	put("net/udp6", *in);
	n = inspect_listeners(dir, listeners);
	must(n <= AGENT_LISTENERS_MAX);
	for (i = 0; i < n; i++)
		must(listeners[i].index == i && listeners[i].total == n &&
		    memchr(listeners[i].comm, '\0', AGENT_COMM_SIZE) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const parts[])(struct input *) = { resolvers, cgroup, guest };
	struct input in = { data, len };
	int fd;

	if (dir < 0)
		set_up();
	fd = lowest_fd();
	parts[take_u8(&in) % ARRAY_SIZE(parts)](&in);
	must(lowest_fd() == fd);
	return 0;
}
