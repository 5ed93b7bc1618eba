/*
 * What the unit tests share: cmocka's includes in the order it wants them, a
 * directory of the test's own, and a count of open fds.
 */
#ifndef BANGER_TESTS_UNIT_H
#define BANGER_TESTS_UNIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "privsep/util.h"

/* Names the case of a table in which an assertion fails. */
#define assert_case(condition, index, name)                                    \
	do {                                                                   \
		if (!(condition))                                              \
			fail_msg("case %zu (%s): %s", (size_t)(index), name,   \
			    #condition);                                       \
	} while (0)

/* A file of 0644 with that text, below DIR. */
static inline void UNUSED
put_file(int dir, const char *name, const void *data, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0644);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, data, len), 0);
	close(fd);
}

static inline bool UNUSED
exists(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Open fds of this process, but for the one that counts. */
static inline unsigned int UNUSED
count_fds(void)
{
	DIR *stream = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(stream);
	while (readdir(stream) != NULL)
		count++;
	closedir(stream);
	return count - 3;
}

/* `rm -rf` for what is left at the end of a test; not the code under test. */
static inline void UNUSED
remove_with_rm(const char *path)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", path, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

/* A fresh directory, 0755, as path and fd; end_temp removes it. */
struct temp {
	char path[64];
	int fd;
};

static inline void UNUSED
begin_temp(struct temp *temp)
{
	strcpy(temp->path, "/tmp/banger-unit.XXXXXX");
	assert_non_null(mkdtemp(temp->path));
	assert_int_equal(chmod(temp->path, 0755), 0);
	temp->fd = open(temp->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(temp->fd >= 0);
}

static inline void UNUSED
end_temp(struct temp *temp)
{
	close(temp->fd);
	remove_with_rm(temp->path);
}

/* For tests that make files of other owners, or mounts. */
static inline void UNUSED
need_root(void)
{
	if (geteuid() != 0)
		skip();
}

#endif
