/*
 * See program.h. A program that anyone but root could change would be that
 * user's way to root, so such a file is not used, and never another one in its
 * stead that nobody asked for.
 */
#include "privsep/program.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "privsep/check.h"
#include "privsep/util.h"

static const struct {
	const char *name;
	const char *key;		/* in the configuration */
	const char *paths[3];
} programs[PROGRAMS] = {
	[PROGRAM_QEMU] = { "qemu-system-x86_64", "qemu_bin",
	    { "/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm" } },
	[PROGRAM_FIRECRACKER] = { "firecracker", "firecracker_bin",
	    { "/usr/bin/firecracker", "/usr/local/bin/firecracker" } },
	[PROGRAM_JAILER] = { "jailer", "jailer_bin",
	    { "/usr/bin/jailer", "/usr/local/bin/jailer" } },
};

static const char *
reason(int error)
{
	switch (error) {
	case -ELOOP:
		return "is a symlink: name the file itself";
	case -EACCES:
		return "is not an executable file";
	case -EPERM:
		return "is not root's alone, or is set-id: chown root, chmod "
		    "go-w,ug-s";
	case -ENOEXEC:
		return "is not an ELF program (a script?)";
	default:
		return strerror(-error);
	}
}

/* execve(2) would run the interpreter that a script names. */
static int
check_elf(int fd)
{
	char magic[SELFMAG];

	if (pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
	    memcmp(magic, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	return 0;
}

static int
open_checked(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = check_exec_fd(fd);
	if (r == 0)
		r = check_elf(fd);
	return r < 0 ? r : steal_fd(&fd);
}

int
program_open(enum program program, const char *configured, char *why,
    size_t size)
{
	const char *key = programs[program].key;
	const char *path = configured;
	size_t i;
	int fd = -ENOENT;

	if (configured[0] != '\0')
		fd = open_checked(path);
	else for (i = 0; fd == -ENOENT && i < ARRAY_SIZE(programs->paths) &&
	    programs[program].paths[i] != NULL; i++) {
		path = programs[program].paths[i];
		fd = open_checked(path);
	}
	if (fd == -ENOENT && configured[0] == '\0')
		snprintf(why, size, "%s: not found; install it, or set %s",
		    programs[program].name, key);
	else if (fd < 0)
		snprintf(why, size, "%s: %s; mend that, or set %s", path,
		    reason(fd), key);
	return fd;
}
