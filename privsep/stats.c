/*
 * See stats.h. All of it is text of the kernel's, read whole into a buffer; a
 * guest has no say in its form.
 */
#include "privsep/stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "privsep/path.h"
#include "privsep/util.h"

enum {
	STATS_TEXT = 8192,		/* io.stat has a line for each disk */
	/* USER_HZ, the unit of /proc/PID/stat on every architecture of ours. */
	TICK_US = 10000,
	FIELD_UTIME = 14, FIELD_STIME = 15, FIELD_THREADS = 20,
};

/* FILE below DIR as a string, cut when it is longer. 0 or -errno. */
static int
read_text(int dir, const char *file, char buf[STATS_TEXT])
{
	_cleanup_close_ int fd = path_open(dir, file, O_RDONLY, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, buf, STATS_TEXT - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

/* The decimal number at the start of TEXT. 0, or -EBADMSG. */
static int
number_at(const char *text, uint64_t *out)
{
	char digits[24];
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n >= sizeof(digits))
		return -EBADMSG;
	memcpy(digits, text, n);
	digits[n] = '\0';
	return parse_u64(digits, UINT64_MAX, out) < 0 ? -EBADMSG : 0;
}

/* The number after KEY, which begins a line of TEXT and ends with a blank. */
static int
line_number(const char *text, const char *key, uint64_t *out)
{
	const char *p = text;
	size_t len = strlen(key);

	while (p != NULL && strncmp(p, key, len) != 0) {
		p = strchr(p, '\n');
		if (p != NULL)
			p++;
	}
	if (p == NULL)
		return -ENOENT;
	return number_at(p + len + strspn(p + len, "\t "), out);
}

/* ---- cgroup ---- */

/* The only number of FILE, if there is one: sets BIT then. */
static void
take_number(int dir, const char *file, uint32_t bit, uint64_t *out,
    uint32_t *valid)
{
	char text[STATS_TEXT];

	if (read_text(dir, file, text) == 0 && number_at(text, out) == 0)
		*valid |= bit;
}

/* Lines `8:0 rbytes=1 wbytes=2 ...`, one for each disk. */
static void
take_io(int dir, struct vmm_stats_reply *reply)
{
	char text[STATS_TEXT];
	const char *p;
	uint64_t n;

	if (read_text(dir, "io.stat", text) < 0)
		return;
	for (p = text; (p = strstr(p, " rbytes=")) != NULL; p++)
		if (number_at(p + strlen(" rbytes="), &n) == 0)
			reply->io_read_bytes += n;
	for (p = text; (p = strstr(p, " wbytes=")) != NULL; p++)
		if (number_at(p + strlen(" wbytes="), &n) == 0)
			reply->io_write_bytes += n;
	reply->valid |= STATS_IO;
}

int
stats_of_cgroup(int dir, struct vmm_stats_reply *reply)
{
	char text[STATS_TEXT];
	uint64_t pids = 0;
	int r = read_text(dir, "cpu.stat", text);

	if (r == 0)
		r = line_number(text, "user_usec ", &reply->cpu_user_us);
	if (r == 0)
		r = line_number(text, "system_usec ", &reply->cpu_system_us);
	if (r < 0)
		return r;
	reply->valid |= STATS_CGROUP | STATS_CPU;
	take_number(dir, "memory.current", STATS_MEMORY, &reply->memory_bytes,
	    &reply->valid);
	/* Since Linux 5.19. */
	take_number(dir, "memory.peak", STATS_MEMORY_PEAK,
	    &reply->memory_peak_bytes, &reply->valid);
	take_number(dir, "pids.current", STATS_PIDS, &pids, &reply->valid);
	reply->pids = (uint32_t)pids;
	take_io(dir, reply);
	return 0;
}

/* ---- process ---- */

/* Field NUMBER of /proc/PID/stat. 0 or -EBADMSG. */
static int
stat_field(const char *text, int number, uint64_t *out)
{
	/* Field 2, the name, may hold anything: count from the last `)`. */
	const char *p = strrchr(text, ')');
	int field;

	for (field = 2; p != NULL && field < number; field++) {
		p = strchr(p, ' ');
		if (p != NULL)
			p++;
	}
	return p != NULL ? number_at(p, out) : -EBADMSG;
}

static int
take_times(const char *text, struct vmm_stats_reply *reply)
{
	uint64_t user, system, threads;

	if (stat_field(text, FIELD_UTIME, &user) < 0 ||
	    stat_field(text, FIELD_STIME, &system) < 0 ||
	    stat_field(text, FIELD_THREADS, &threads) < 0)
		return -EBADMSG;
	reply->cpu_user_us = user * TICK_US;
	reply->cpu_system_us = system * TICK_US;
	reply->pids = (uint32_t)threads;
	reply->valid |= STATS_CPU | STATS_PIDS;
	return 0;
}

static void
take_kib(const char *text, const char *key, uint32_t bit, uint64_t *bytes,
    uint32_t *valid)
{
	uint64_t kib;

	if (line_number(text, key, &kib) == 0) {
		*bytes = kib * 1024;
		*valid |= bit;
	}
}

int
stats_of_process(int proc_fd, pid_t pid, int pidfd,
    struct vmm_stats_reply *reply)
{
	struct vmm_stats_reply found = *reply;
	char text[STATS_TEXT], name[32];
	int r;

	snprintf(name, sizeof(name), "%d/stat", (int)pid);
	r = read_text(proc_fd, name, text);
	if (r == 0)
		r = take_times(text, &found);
	if (r == 0) {
		snprintf(name, sizeof(name), "%d/status", (int)pid);
		r = read_text(proc_fd, name, text);
	}
	/* Still there: so it was its pid all the time. */
	if (r == 0)
		r = proc_signal(pidfd, 0);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	take_kib(text, "VmRSS:", STATS_MEMORY, &found.memory_bytes,
	    &found.valid);
	take_kib(text, "VmHWM:", STATS_MEMORY_PEAK, &found.memory_peak_bytes,
	    &found.valid);
	*reply = found;
	return 0;
}

int
stats_of_vmm(int proc_fd, int cgroups, const struct vm *vm,
    struct vmm_stats_reply *reply)
{
	_cleanup_close_ int dir = -1;
	char name[VM_ID_HEX + 1];

	vm_name(vm->id, name);
	if (cgroups >= 0)
		dir = path_open(cgroups, name, O_RDONLY | O_DIRECTORY, 0);
	if (dir >= 0 && stats_of_cgroup(dir, reply) == 0)
		return 0;
	return stats_of_process(proc_fd, vm->pid, vm->pidfd, reply);
}
