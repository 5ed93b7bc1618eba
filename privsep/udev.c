/*
 * See udev.h.
 */
#include "privsep/udev.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "privsep/log.h"
#include "privsep/path.h"
#include "privsep/util.h"

/* systemd-udevd looks for new rules every 3 seconds, when it has work to do. */
enum { RULES_READ_MS = 10 * 1000, RULE_BYTES = 1024 };

/* "59-banger-var-lib-banger-store.rules": before 60-persistent-storage. */
static int
rule_name(const char *store, char out[NAME_MAX + 1])
{
	int r = format(out, NAME_MAX + 1, "59-banger%s.rules", store);
	char *slash;

	if (r < 0)
		return r;
	while ((slash = strchr(out, '/')) != NULL)
		*slash = '-';
	return 0;
}

/* A path with a quote or a pattern in it would say something else. */
static int
rule_text(const char *store, char out[RULE_BYTES])
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789/._-";

	if (strspn(store, plain) != strlen(store))
		return -EINVAL;
	return format(out, RULE_BYTES, "# banger: no tool of the host parses "
	    "a guest's file system\n"
	    "SUBSYSTEM==\"block\", KERNEL==\"loop*\", "
	    "ATTR{loop/backing_file}==\"%s/*\", "
	    "ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}=\"1\", "
	    "ENV{UDISKS_IGNORE}=\"1\", ENV{SYSTEMD_READY}=\"0\"\n", store);
}

/* Whether NAME in DIR says TEXT, and since more than the time it takes. */
static bool
known_already(int dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = path_open(dir, name, O_RDONLY, 0);
	char there[RULE_BYTES] = "";
	struct timespec now;
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 &&
	    read(fd, there, sizeof(there) - 1) > 0 &&
	    strcmp(there, text) == 0 &&
	    clock_gettime(CLOCK_REALTIME, &now) == 0 &&
	    now.tv_sec - st.st_mtim.tv_sec > RULES_READ_MS / 1000;
}

int64_t
udev_keep_out(const char *store)
{
	_cleanup_close_ int dir = -1;
	char name[NAME_MAX + 1], text[RULE_BYTES];
	int r;

	if (access("/run/udev", F_OK) < 0)
		return 0;
	r = rule_name(store, name);
	if (r == 0)
		r = rule_text(store, text);
	if (r == 0)
		r = dir = path_open_trusted_dir("/run/udev/rules.d");
	if (r >= 0 && known_already(dir, name, text))
		return 0;
	if (r >= 0)
		r = path_replace_file(dir, name, text, strlen(text));
	if (r < 0) {
		log_warn("rule for udev: %s", strerror(-r));
		return INT64_MAX;
	}
	return monotonic_ms() + RULES_READ_MS;
}

void
udev_forget(const char *store)
{
	_cleanup_close_ int dir = open("/run/udev/rules.d",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1];

	if (dir >= 0 && rule_name(store, name) == 0)
		(void)unlinkat(dir, name, 0);
}
