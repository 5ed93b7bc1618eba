/*
 * Every file goes the same way: build the text, compare with what is there,
 * write a temporary file beside it, rename.
 */
#include "guest/etc.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "privsep/log.h"

#define FILE_MAX_SIZE 65536

struct text {
	char data[FILE_MAX_SIZE];
	size_t len;
};

static void PRINTF_LIKE(2, 3)
add_text(struct text *text, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text->data + text->len, sizeof(text->data) - text->len,
	    fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(text->data) - text->len)
		text->len += (size_t)n;
}

/* Reads a small file; FLAGS may forbid to follow a symlink. */
static int
read_file(int dir, const char *name, int flags, struct text *out)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	ssize_t n;

	out->len = 0;
	out->data[0] = '\0';
	/* Not blocking: somebody's FIFO must not hold up the boot. */
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size >= (off_t)sizeof(out->data))
		return -EFBIG;
	n = read(fd, out->data, sizeof(out->data) - 1);
	if (n < 0)
		return -errno;
	out->len = (size_t)n;
	out->data[n] = '\0';
	return 0;
}

static int
write_new(int dir, const char *name, const struct text *text)
{
	_cleanup_close_ int fd = -1;

	(void)unlinkat(dir, name, 0);
	fd = openat(dir, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return -errno;
	return write_full(fd, text->data, text->len);
}

static int
replace_file(int dir, const char *name, const struct text *text)
{
	struct text old;
	char temporary[64];
	int r;

	if (read_file(dir, name, O_NOFOLLOW, &old) == 0 &&
	    old.len == text->len && memcmp(old.data, text->data, old.len) == 0)
		return 0;
	r = format(temporary, sizeof(temporary), ".%s.banger", name);
	if (r == 0)
		r = write_new(dir, temporary, text);
	/*
	 * A rename over a file makes ext4 write the new one out at once
	 * (auto_da_alloc): not in the way of a boot that writes it every time.
	 */
	if (r == 0)
		(void)unlinkat(dir, name, 0);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir, temporary, 0);
		log_warn("cannot write /etc/%s: %s", name, strerror(-r));
	}
	return r;
}

/* Whether hosts(5) text TEXT has NAME as a word outside of comments. */
static bool
hosts_has(const char *text, const char *name)
{
	size_t len = strlen(name), word;

	while (*text != '\0') {
		text += strspn(text, " \t\n");
		if (*text == '#')
			text += strcspn(text, "\n");
		word = strcspn(text, " \t\n#");
		if (word == len && strncmp(text, name, len) == 0)
			return true;
		text += word;
	}
	return false;
}

static int
write_hosts(int etc, const char *name, struct text *text)
{
	int r = read_file(etc, "hosts", 0, text);

	if (r == -ENOENT) {
		add_text(text, "127.0.0.1\tlocalhost\n"
		    "::1\tlocalhost ip6-localhost ip6-loopback\n");
	} else if (r < 0) {
		log_warn("cannot read /etc/hosts: %s", strerror(-r));
		return r;
	} else if (hosts_has(text->data, name)) {
		return 0;
	}
	if (text->len > 0 && text->data[text->len - 1] != '\n')
		add_text(text, "\n");
	add_text(text, "127.0.1.1\t%s\n", name);
	return replace_file(etc, "hosts", text);
}

static int
write_resolv_conf(int etc, const struct guest_config *config,
    struct text *text)
{
	char address[INET_ADDRSTRLEN];
	unsigned int i;

	text->len = 0;
	add_text(text, "# written by banger at boot\n");
	for (i = 0; i < config->dns_count; i++)
		add_text(text, "nameserver %s\n", inet_ntop(AF_INET,
		    &config->dns[i], address, sizeof(address)));
	return replace_file(etc, "resolv.conf", text);
}

int
etc_write(int etc, const struct guest_config *config)
{
	struct text text;
	int first = 0, r;

	if (config->host[0] != '\0') {
		text.len = 0;
		add_text(&text, "%s\n", config->host);
		first = replace_file(etc, "hostname", &text);
		r = write_hosts(etc, config->host, &text);
		first = first < 0 ? first : r;
	}
	if (config->dns_count > 0) {
		r = write_resolv_conf(etc, config, &text);
		first = first < 0 ? first : r;
	}
	return first;
}
