/*
 * A file system is a stranger's: the child that reads it has given up all but its
 * open files (confine.h).
 */
#include "client/kernel_ext4.h"

#include <string.h>

#include "client/confine.h"
#include "image/errmsg.h"
#include "image/ext4_tar.h"

/* What is looked for, and where it goes. */
struct pack {
	int out;
	bool kernel_found;
};

bool
kernel_ext4_is(int fd)
{
	uint8_t head[EXT4_MAGIC_BYTES];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n > 0 && ext4_reader_is(head, (size_t)n);
}

static bool
begins(const char *path, const char *with)
{
	return strncmp(path, with, strlen(with)) == 0;
}

/* The first look: is there a kernel? Nothing is to be written. */
static bool
look_for_kernel(void *arg, const char *path)
{
	struct pack *p = arg;

	if (begins(path, "boot/vmlinuz") || begins(path, "boot/vmlinux"))
		p->kernel_found = true;
	return strcmp(path, "boot") == 0;
}

/* The second: kernels with what tells of them, and modules. */
static bool
is_wanted(void *arg UNUSED, const char *path)
{
	static const char *const on_the_way[] = { "boot", "lib", "usr",
		"usr/lib", "lib/modules", "usr/lib/modules" };
	static const char *const below[] = { "boot/vmlinuz", "boot/vmlinux",
		"boot/config-", "lib/modules/", "usr/lib/modules/" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(on_the_way); i++)
		if (strcmp(path, on_the_way[i]) == 0)
			return true;
	for (i = 0; i < ARRAY_SIZE(below); i++)
		if (begins(path, below[i]))
			return true;
	return false;
}

static int
write_nothing(void *arg UNUSED, const void *bytes UNUSED, size_t len UNUSED)
{
	return 0;
}

static int
write_out(void *arg, const void *bytes, size_t len)
{
	return write_full(((struct pack *)arg)->out, bytes, len);
}

static int
pack(const void *arg, int out, char *err, size_t err_size)
{
	struct pack p = { .out = out };
	ext2_filsys fs _cleanup_ext4_ = NULL;
	uint64_t entries;
	int r = client_confine_reader();

	if (r < 0)
		return errmsg(err, err_size, r, "%s", strerror(-r));
	r = ext4_reader_open(*(const int *)arg, &fs, err, err_size);
	if (r == 0)
		r = ext4_tar(fs, write_nothing, look_for_kernel, &p, &entries,
		    err, err_size);
	if (r == 0 && !p.kernel_found)
		r = errmsg(err, err_size, -ENOENT, "no kernel in its /boot");
	return r < 0 ? r : ext4_tar(fs, write_out, is_wanted, &p, &entries,
	    err, err_size);
}

int
kernel_ext4_open(struct source_fd *source, int image_fd,
    char err[API_TEXT_MAX])
{
	return source_fd_pack(source, pack, &image_fd, err);
}
