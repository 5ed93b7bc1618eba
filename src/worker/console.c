/*
 * The log is written to by appending; when it is full, the newer half moves to
 * a new file that takes its name. Whoever reads the old one keeps it whole.
 */
#include "worker/console.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "privsep/log.h"

enum { TAIL_BYTES = 4096, READ_BYTES = 4096, DRAIN_READS = 64 };

static const char suffix[] = "console";

/* "reboot: Power down", "reboot: System halted" (Linux, kernel/reboot.c). */
static const char last_words[] = "reboot: ";

void
console_init(struct console *console, struct store *store, const char *name,
    void (*on_halt)(void *arg), void *arg)
{
	memset(console, 0, sizeof(*console));
	console->store = store;
	console->sock = console->log = -1;
	console->on_halt = on_halt;
	console->arg = arg;
	(void)format(console->name, sizeof(console->name), "%s", name);
}

int
console_open(struct console *console, bool fresh)
{
	int fd = store_file(console->store, STORE_VMS, console->name, suffix,
	    O_RDWR | O_CREAT | O_APPEND | (fresh ? O_TRUNC : 0));
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	console->log = fd;
	console->size = (uint64_t)st.st_size;
	return 0;
}

/* Copies the last CONSOLE_KEPT bytes of FROM to TO. 0 or -errno. */
static int
copy_newer_half(int from, uint64_t size, int to)
{
	uint64_t at = size > CONSOLE_KEPT ? size - CONSOLE_KEPT : 0;
	char bytes[READ_BYTES];
	ssize_t n;

	while ((n = pread(from, bytes, sizeof(bytes), (off_t)at)) > 0) {
		int r = write_full(to, bytes, (size_t)n);

		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return n < 0 ? -errno : 0;
}

/* Begins a new log file with the newer half. 0 or -errno, the old one stays. */
static int
rotate(struct console *console)
{
	char tmp[STORE_NAME_BYTES];
	int fd, r = format(tmp, sizeof(tmp), "%s.%s", console->name, suffix);

	if (r < 0)
		return r;
	fd = store_tmp(console->store, tmp, STORE_PRIVATE);
	if (fd < 0)
		return fd;
	r = copy_newer_half(console->log, console->size, fd);
	if (r == 0 && fcntl(fd, F_SETFL, O_APPEND) < 0)
		r = -errno;
	if (r == 0)
		r = store_commit(console->store, tmp, STORE_VMS,
		    console->name, suffix);
	if (r < 0) {
		close(fd);
		store_tmp_remove(console->store, tmp);
		return r;
	}
	close(console->log);
	console->log = fd;
	console->size = CONSOLE_KEPT;
	return 0;
}

/* A disk that is full costs console output, nothing else. */
static void
append(struct console *console, const char *bytes, size_t len)
{
	if (console->log < 0)
		return;
	if (console->size + len > CONSOLE_MAX && rotate(console) < 0)
		return;
	if (write_full(console->log, bytes, len) == 0)
		console->size += len;
}

void
console_note(struct console *console, const char *text)
{
	append(console, text, strlen(text));
	append(console, "\n", 1);
}

/* True when the last words end in these LEN bytes. */
static bool
hear_halt(struct console *console, const char *bytes, size_t len)
{
	bool heard = false;
	size_t i;

	for (i = 0; i < len; i++) {
		if (bytes[i] != last_words[console->matched])
			console->matched = 0;
		if (bytes[i] == last_words[console->matched])
			console->matched++;
		if (console->matched == sizeof(last_words) - 1) {
			console->matched = 0;
			heard = true;
		}
	}
	return heard;
}

/* Copies what one read gives; false when there is nothing more to wait for. */
static bool
pump(struct console *console)
{
	char bytes[READ_BYTES];
	ssize_t n = read(console->sock, bytes, sizeof(bytes));

	if (n <= 0)
		return false;
	append(console, bytes, (size_t)n);
	if (hear_halt(console, bytes, (size_t)n))
		console->on_halt(console->arg);
	return true;
}

static void
detach(struct console *console)
{
	event_io_stop(&console->io);
	close_fdp(&console->sock);
}

static void
on_output(void *arg, uint32_t ready)
{
	struct console *console = arg;

	if (!pump(console) && (ready & (EPOLLHUP | EPOLLERR)) != 0)
		detach(console);
}

int
console_attach(struct console *console, struct events *events, int sock)
{
	int r;

	console->sock = sock;
	/* One that would block must not: the guest decides what it says. */
	if (fcntl(sock, F_SETFL, O_NONBLOCK) < 0) {
		detach(console);
		return -EBADF;
	}
	r = event_io_start(events, &console->io, sock, EPOLLIN, on_output,
	    console);
	if (r < 0)
		detach(console);
	return r;
}

void
console_close(struct console *console)
{
	int i;

	for (i = 0; console->sock >= 0 && i < DRAIN_READS; i++)
		if (!pump(console))
			break;
	detach(console);
	close_fdp(&console->log);
}

/*
 * A panic is told by its first lines; what follows is a trace. Where they begin,
 * cut off after LINES; NULL without one.
 */
static char *
panic_lines(char *text, unsigned int lines)
{
	char *start = strstr(text, "Kernel panic - not syncing"), *end;

	if (start == NULL)
		return NULL;
	while (start > text && start[-1] != '\n')
		start--;
	end = start;
	while (lines-- > 0 && (end = strchr(end, '\n')) != NULL)
		end++;
	if (end != NULL)
		end[-1] = '\0';
	return start;
}

/* Makes TEXT printable and returns where its last LINES begin. */
static char *
last_lines(char *text, unsigned int lines)
{
	size_t len = strlen(text), i;

	for (i = 0; i < len; i++)
		if (text[i] != '\n' && ((unsigned char)text[i] < 0x20 ||
		    (unsigned char)text[i] >= 0x7f))
			text[i] = text[i] == '\r' ? ' ' : '?';
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		text[--len] = '\0';
	for (i = len; i > 0; i--)
		if (text[i - 1] == '\n' && --lines == 0)
			break;
	return text + i;
}

char *
console_tail(struct store *store, const char *name, unsigned int lines)
{
	_cleanup_close_ int fd = store_file(store, STORE_VMS, name, suffix,
	    O_RDONLY);
	char text[TAIL_BYTES + 1], *tail, *panic;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	n = pread(fd, text, TAIL_BYTES,
	    st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0);
	if (n <= 0)
		return NULL;
	for (ssize_t i = 0; i < n; i++)
		if (text[i] == '\0')
			text[i] = '?';
	text[n] = '\0';
	tail = last_lines(text, lines);
	panic = panic_lines(text, lines);
	return strdup(panic != NULL ? panic : tail);
}
