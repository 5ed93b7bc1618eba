/*
 * The rule that keeps udev away from loop devices: when it is in force, what it
 * says, and for which stores there can be none. In a /run of the test's own.
 */
#include "unit.h"

#include <sched.h>
#include <sys/mount.h>
#include <time.h>

#include "privsep/log.h"
#include "privsep/udev.h"
#include "privsep/util.h"

#define RULES "/run/udev/rules.d"
#define STORE "/srv/a-b_c.d/store"
#define RULE RULES "/59-banger-srv-a-b_c.d-store.rules"

static int
set_up(void **state)
{
	(void)state;
	log_init("test", LOG_ERROR);
	if (geteuid() != 0)
		return 0;
	return unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") < 0 ? -1 : 0;
}

static void
no_udev(void **state)
{
	(void)state;
	need_root();
	assert_true(udev_keep_out(STORE) == 0);
	assert_false(exists(AT_FDCWD, "/run/udev"));
	udev_forget(STORE);
}

/* In force 10 seconds from then on, and at once where it has been. */
static void
written(void **state)
{
	const int64_t now = monotonic_ms();
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = time(NULL) - 60 } };
	char text[1024] = "";
	int64_t from;
	int fd;

	(void)state;
	need_root();
	(void)mkdir("/run/udev", 0755);
	from = udev_keep_out(STORE);
	assert_true(from >= now + 10000 && from <= now + 15000);
	fd = open(RULE, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_non_null(strstr(text, "KERNEL==\"loop*\", "
	    "ATTR{loop/backing_file}==\"" STORE "/*\", "));
	assert_true(udev_keep_out(STORE) >= from);
	/* Another one's text under that name. */
	put_file(AT_FDCWD, RULE, "x", 1);
	assert_int_equal(utimensat(AT_FDCWD, RULE, times, 0), 0);
	assert_true(udev_keep_out(STORE) >= from);
	assert_int_equal(utimensat(AT_FDCWD, RULE, times, 0), 0);
	assert_true(udev_keep_out(STORE) == 0);
	udev_forget(STORE);
	assert_false(exists(AT_FDCWD, RULE));
	udev_forget(STORE);
}

/* A path that would say something else in a rule, or names no file. */
static void
no_rule(void **state)
{
	static const char *const stores[] = { "/srv/a\"b", "/srv/a*", "/srv/a b",
		"/srv/a[b]", "/srv/a\nb", "/srv/\xc3\xa4" };
	char longest[300];
	size_t i;

	(void)state;
	need_root();
	(void)mkdir("/run/udev", 0755);
	for (i = 0; i < ARRAY_SIZE(stores); i++)
		assert_case(udev_keep_out(stores[i]) == INT64_MAX, i,
		    stores[i]);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	longest[0] = '/';
	assert_true(udev_keep_out(longest) == INT64_MAX);
	udev_forget(longest);
	/* Where others can write rules, ours is worth nothing. */
	remove_with_rm(RULES);
	assert_int_equal(mkdir(RULES, 0755), 0);
	assert_int_equal(chmod(RULES, 0777), 0);
	assert_true(udev_keep_out(STORE) == INT64_MAX);
	assert_false(exists(AT_FDCWD, RULE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_udev),
		cmocka_unit_test(written),
		cmocka_unit_test(no_rule),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
