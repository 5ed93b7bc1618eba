/*
 * See proc.h.
 */
#include "privsep/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "privsep/path.h"
#include "privsep/util.h"

enum { END_TIMEOUT_MS = 5000 };

/* Reads PID/FILE into BUF as a string. 0 or -errno. */
static int
read_proc(int proc_fd, pid_t pid, const char *file, char *buf, size_t size)
{
	_cleanup_close_ int fd = -1;
	char name[32];
	ssize_t n;

	snprintf(name, sizeof(name), "%d/%s", (int)pid, file);
	fd = path_open(proc_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

int
proc_start_time(int proc_fd, pid_t pid, uint64_t *start_time)
{
	char buf[1024], *p, *end;
	int field, r = read_proc(proc_fd, pid, "stat", buf, sizeof(buf));

	if (r < 0)
		return r;
	/* Field 2, the name, may hold anything: count from the last `)`. */
	p = strrchr(buf, ')');
	for (field = 2; p != NULL && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p == NULL)
		return -EBADMSG;
	p++;
	end = p + strspn(p, "0123456789");
	*end = '\0';
	return parse_u64(p, UINT64_MAX, start_time);
}

/* Four uids in a line: real, effective, saved, of the file system. */
static int
read_uid(int proc_fd, pid_t pid, uint32_t *uid)
{
	static const char label[] = "\nUid:";
	uint64_t ids[4];
	char buf[2048], *p, *next;
	int i, r = read_proc(proc_fd, pid, "status", buf, sizeof(buf));

	if (r < 0)
		return r;
	p = strstr(buf, label);
	if (p == NULL)
		return -EBADMSG;
	p += sizeof(label) - 1;
	for (i = 0; i < 4; i++, p = next + 1) {
		p += strspn(p, "\t ");
		next = p + strspn(p, "0123456789");
		if (*next == '\0')
			return -EBADMSG;
		*next = '\0';
		if (parse_u64(p, UINT32_MAX, &ids[i]) < 0)
			return -EBADMSG;
	}
	if (ids[0] != ids[1] || ids[0] != ids[2] || ids[0] != ids[3])
		return -EPERM;
	*uid = (uint32_t)ids[0];
	return 0;
}

int
proc_identify(int proc_fd, pid_t pid, struct proc_identity *identity)
{
	struct proc_identity found = { 0 };
	struct stat st;
	char name[32];
	int r = proc_start_time(proc_fd, pid, &found.start_time);

	if (r == 0)
		r = read_uid(proc_fd, pid, &found.uid);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%d/exe", (int)pid);
	if (fstatat(proc_fd, name, &st, 0) < 0)
		return -errno;
	found.exe_dev = st.st_dev;
	found.exe_ino = st.st_ino;
	*identity = found;
	return 0;
}

/* Firecracker's executable is a copy, made in its jail after the record. */
static bool
same(const struct proc_identity *found, const struct proc_identity *identity)
{
	return found->start_time == identity->start_time &&
	    found->uid == identity->uid &&
	    found->exe_dev == identity->exe_dev &&
	    (identity->exe_ino == 0 || found->exe_ino == identity->exe_ino);
}

/*
 * Whether error R of a look at a process says that it is gone, or never was the
 * one that is meant (a thread's number, several uids). All others, such as too
 * many open files, say nothing about it.
 */
static bool
is_gone(int r)
{
	return r == -ESRCH || r == -ENOENT || r == -EINVAL || r == -EPERM;
}

int
proc_open(int proc_fd, pid_t pid, const struct proc_identity *identity)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct proc_identity found = { 0 };
	int r = fd < 0 ? -errno : proc_start_time(proc_fd, pid,
	    &found.start_time);

	/* The executable of another one may not be for us to see. */
	if (r == 0 && found.start_time != identity->start_time)
		return -ESRCH;
	if (r == 0)
		r = proc_identify(proc_fd, pid, &found);
	if (r < 0)
		return is_gone(r) ? -ESRCH : r;
	return same(&found, identity) ? steal_fd(&fd) : -ESRCH;
}

int
proc_end(int proc_fd, pid_t pid, uint64_t start_time)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t found = 0;
	int r = fd < 0 ? -errno : proc_start_time(proc_fd, pid, &found);

	if (r == 0 && found == start_time)
		r = proc_signal(fd, SIGKILL);
	if (r < 0 || found != start_time)
		return is_gone(r) ? 0 : r;
	r = poll(&pfd, 1, END_TIMEOUT_MS);
	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

int
proc_open_dir(int proc_fd, pid_t pid, int pidfd, const char *name)
{
	_cleanup_close_ int root = -1;
	_cleanup_close_ int fd = -1;
	char link[32];
	int r;

	snprintf(link, sizeof(link), "%d/root", (int)pid);
	root = openat(proc_fd, link, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = path_open(root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	/* Still there: so it was its pid all the time. */
	r = proc_signal(pidfd, 0);
	return r < 0 ? r : steal_fd(&fd);
}

int
proc_signal(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ?
	    -errno : 0;
}
