/*
 * /proc/net has an inode for each socket, /proc/PID/fd the inodes of each
 * process: the one is looked for among the other, once for all sockets. A guest
 * whose proc lies harms nobody but itself; the text that leaves here is clean
 * all the same.
 */
#include "guest/inspect.h"

#include <sys/statvfs.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "privsep/util.h"

enum {
	/* Of one table in /proc/net; the listening sockets come first there. */
	LINES_MAX = 4096,
	LINKS_MAX = 8192,		/* descriptors looked at, of all */
	STATE_LISTEN = 0x0a,		/* TCP_LISTEN, net/tcp_states.h */
	STATE_UNCONNECTED = 0x07,	/* TCP_CLOSE: a UDP socket with no peer */
};

struct search {
	int proc;
	struct agent_listener *found;
	uint64_t inodes[AGENT_LISTENERS_MAX];	/* 0: its process is known */
	size_t count, unknown;
	unsigned int links;
	bool more;
};

/* NAME below PROC as a stream, or NULL. */
static FILE *
open_stream(int proc, const char *name)
{
	int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (f == NULL)
		close_fdp(&fd);
	return f;
}

/* A decimal number at *P, which moves behind it. 0 or -EINVAL. */
static int
take_number(const char **p, uint64_t *out)
{
	size_t len = strspn(*p, "0123456789");
	char digits[24];

	/* "07" of a load is no number to parse_u64. */
	while (len > 1 && **p == '0') {
		(*p)++;
		len--;
	}
	if (format(digits, sizeof(digits), "%.*s", (int)len, *p) < 0 ||
	    parse_u64(digits, UINT64_MAX, out) < 0)
		return -EINVAL;
	*p += len;
	return 0;
}

/* ---- sockets ---- */

/* TEXT, at most DIGITS hexadecimal ones. 0 or -EINVAL. */
static int
parse_hex(const char *text, size_t digits, uint32_t *out)
{
	size_t len = strlen(text);

	if (len == 0 || len > digits ||
	    strspn(text, "0123456789ABCDEF") != len)
		return -EINVAL;
	*out = (uint32_t)strtoul(text, NULL, 16);
	return 0;
}

/* An address as /proc/net prints it: words of eight digits in host order. */
static int
parse_address(const char *text, bool v6, uint8_t out[16])
{
	size_t words = v6 ? 4 : 1, i;

	if (strlen(text) != 8 * words)
		return -EINVAL;
	for (i = 0; i < words; i++) {
		char word[9] = "";
		uint32_t value;

		memcpy(word, text + 8 * i, 8);
		if (parse_hex(word, 8, &value) < 0)
			return -EINVAL;
		memcpy(out + 4 * i, &value, sizeof(value));
	}
	return 0;
}

/* The columns of a table in /proc/net, those that matter. */
enum { COLUMN_LOCAL = 1, COLUMN_STATE = 3, COLUMN_INODE = 9, COLUMNS };

/* Cuts LINE into its columns. 0, or -EINVAL when there are fewer. */
static int
split_line(char *line, const char *columns[COLUMNS])
{
	size_t n = 0;
	char *word;

	while (n < COLUMNS && (word = strsep(&line, " \n")) != NULL)
		if (*word != '\0')
			columns[n++] = word;
	return n == COLUMNS ? 0 : -EINVAL;
}

/* One line of a table: 1 for a socket that waits, 0 for another. */
static int
parse_socket(char *line, enum agent_socket proto, struct agent_listener *out,
    uint64_t *inode)
{
	bool tcp = proto == AGENT_TCP || proto == AGENT_TCP6;
	bool v6 = proto == AGENT_TCP6 || proto == AGENT_UDP6;
	const char *columns[COLUMNS];
	char *address, *port_text;
	char local[64];
	uint32_t port, state;

	if (split_line(line, columns) < 0 ||
	    format(local, sizeof(local), "%s", columns[COLUMN_LOCAL]) < 0)
		return 0;
	port_text = local;
	address = strsep(&port_text, ":");
	if (port_text == NULL || parse_hex(port_text, 4, &port) < 0 ||
	    parse_hex(columns[COLUMN_STATE], 2, &state) < 0 ||
	    parse_u64(columns[COLUMN_INODE], UINT64_MAX, inode) < 0)
		return 0;
	if (state != (tcp ? STATE_LISTEN : STATE_UNCONNECTED) || port == 0 ||
	    parse_address(address, v6, out->addr) < 0)
		return 0;
	out->proto = proto;
	out->port = (uint16_t)port;
	return 1;
}

static void
read_sockets(struct search *search, const char *name, enum agent_socket proto)
{
	FILE *f = open_stream(search->proc, name);
	unsigned int lines;
	char line[512];

	if (f == NULL)
		return;		/* a guest without IPv6, for one */
	for (lines = 0; lines < LINES_MAX &&
	    fgets(line, sizeof(line), f) != NULL; lines++) {
		struct agent_listener one = { 0 };
		uint64_t inode;

		if (parse_socket(line, proto, &one, &inode) == 0)
			continue;
		if (search->count == AGENT_LISTENERS_MAX) {
			search->more = true;
			break;
		}
		search->found[search->count] = one;
		search->inodes[search->count++] = inode;
		search->unknown += inode != 0;
	}
	fclose(f);
}

/* ---- whose they are ---- */

/* Whoever runs in the guest chose this name. */
static void
read_comm(int proc, const char *pid, char out[AGENT_COMM_SIZE])
{
	_cleanup_close_ int fd = -1;
	char path[64], text[AGENT_COMM_SIZE] = "";
	size_t i;

	memset(out, 0, AGENT_COMM_SIZE);
	if (format(path, sizeof(path), "%s/comm", pid) < 0)
		return;
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return;
	for (i = 0; text[i] != '\0' && text[i] != '\n'; i++)
		out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
}

/* Process PID has the socket INODE: notes it with all that are called so. */
static void
note_owner(struct search *search, uint64_t inode, const char *pid)
{
	uint64_t number;
	size_t i;

	if (parse_u64(pid, UINT32_MAX, &number) < 0)
		return;
	for (i = 0; i < search->count; i++) {
		if (search->inodes[i] != inode)
			continue;
		search->found[i].pid = (uint32_t)number;
		read_comm(search->proc, pid, search->found[i].comm);
		search->inodes[i] = 0;
		search->unknown--;
	}
}

static void
look_at_link(struct search *search, int fds, const char *fd, const char *pid)
{
	static const char prefix[] = "socket:[";
	const char *p;
	char text[64];
	ssize_t n = readlinkat(fds, fd, text, sizeof(text) - 1);
	uint64_t inode;

	search->links++;
	if (n <= 0)
		return;
	text[n] = '\0';
	if (strncmp(text, prefix, strlen(prefix)) != 0)
		return;
	p = text + strlen(prefix);
	if (take_number(&p, &inode) == 0 && strcmp(p, "]") == 0 && inode != 0)
		note_owner(search, inode, pid);
}

static void
look_at_process(struct search *search, const char *pid)
{
	const struct dirent *entry;
	char path[64];
	DIR *dir;
	int fd;

	if (format(path, sizeof(path), "%s/fd", pid) < 0)
		return;
	fd = openat(search->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		close_fdp(&fd);
		return;
	}
	while (search->unknown > 0 && search->links < LINKS_MAX &&
	    (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			look_at_link(search, dirfd(dir), entry->d_name, pid);
	closedir(dir);
}

static void
find_owners(struct search *search)
{
	int fd = openat(search->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir == NULL) {
		close_fdp(&fd);
		return;
	}
	while (search->unknown > 0 && search->links < LINKS_MAX &&
	    (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			look_at_process(search, entry->d_name);
	closedir(dir);
}

size_t
inspect_listeners(int proc, struct agent_listener *out)
{
	struct search search = { .proc = proc, .found = out };
	size_t i;

	read_sockets(&search, "net/tcp", AGENT_TCP);
	read_sockets(&search, "net/tcp6", AGENT_TCP6);
	read_sockets(&search, "net/udp", AGENT_UDP);
	read_sockets(&search, "net/udp6", AGENT_UDP6);
	find_owners(&search);
	for (i = 0; i < search.count; i++) {
		out[i].index = (uint16_t)i;
		out[i].total = (uint16_t)search.count;
		out[i].more = search.more;
	}
	return search.count;
}

/* ---- numbers ---- */

/* The value of a line `KEY:   123 kB`, in bytes. */
static void
take_kib(const char *line, const char *key, uint64_t *bytes)
{
	size_t len = strlen(key);
	const char *p = line + len;
	uint64_t kib;

	if (strncmp(line, key, len) != 0)
		return;
	p += strspn(p, " ");
	if (take_number(&p, &kib) == 0)
		*bytes = kib * 1024;
}

static void
read_memory(int proc, struct agent_stats *out)
{
	FILE *f = open_stream(proc, "meminfo");
	char line[128];

	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		take_kib(line, "MemTotal:", &out->mem_total_bytes);
		take_kib(line, "MemAvailable:", &out->mem_available_bytes);
	}
	fclose(f);
}

/* `0.07 ` at *P, which moves behind it, in hundredths. 0 or -EINVAL. */
static int
take_load(const char **p, uint32_t *out)
{
	uint64_t whole, part;

	if (take_number(p, &whole) < 0 || *(*p)++ != '.' ||
	    take_number(p, &part) < 0 || *(*p)++ != ' ')
		return -EINVAL;
	*out = (uint32_t)(whole * 100 + part);
	return 0;
}

/* `0.07 0.02 0.00 1/83 1234`: the second of the pair is all there are. */
static void
read_load(int proc, struct agent_stats *out)
{
	FILE *f = open_stream(proc, "loadavg");
	char line[128] = "";
	const char *p = line;
	uint64_t running, all;

	if (f == NULL)
		return;
	if (fgets(line, sizeof(line), f) != NULL &&
	    take_load(&p, &out->load[0]) == 0 &&
	    take_load(&p, &out->load[1]) == 0 &&
	    take_load(&p, &out->load[2]) == 0 &&
	    take_number(&p, &running) == 0 && *p++ == '/' &&
	    take_number(&p, &all) == 0)
		out->processes = (uint32_t)all;
	fclose(f);
}

void
inspect_stats(int proc, int root, struct agent_stats *out)
{
	struct statvfs fs;

	memset(out, 0, sizeof(*out));
	read_memory(proc, out);
	read_load(proc, out);
	if (fstatvfs(root, &fs) == 0) {
		out->fs_total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
		out->fs_free_bytes = (uint64_t)fs.f_bfree * fs.f_frsize;
	}
}
