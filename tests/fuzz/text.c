/*
 * Text that others' software writes: resolv.conf, the kernel's files of cgroups
 * and processes, the lists of sockets in a guest's /proc.
 */
#include "fuzz.h"

#include <sys/stat.h>

#include "guest/inspect.h"
#include "privsep/stats.h"
#include "worker/resolv.h"

static int dir = -1;

static void
put(const char *name, struct input in)
{
	put_file(dir, name, in);
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

	if (dir < 0) {
		dir = make_temp();
		must(mkdirat(dir, "net", 0700) == 0);
	}
	fd = lowest_fd();
	parts[take_u8(&in) % ARRAY_SIZE(parts)](&in);
	must(lowest_fd() == fd);
	return 0;
}
