/*
 * image-import-driver FILE|- OUT: imports a tar into a new image as the job
 * does, and prints what came out: "key value" lines for the scripts. With
 * -m the process's peak memory (VmHWM) as well.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "image/tar_import.h"
#include "privsep/util.h"

static void
print_memory(void)
{
	_cleanup_close_ int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char buf[8192];
	const char *line;
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (n < 0)
		return;
	buf[n] = '\0';
	line = strstr(buf, "VmHWM:");
	if (line != NULL)
		printf("memory_kib %lu\n", strtoul(line + 6, NULL, 10));
}

static void
count(void *arg, uint64_t bytes_read)
{
	*(uint64_t *)arg = bytes_read;
}

static int
import(const char *in, const char *out)
{
	_cleanup_close_ int tar_fd = -1, out_fd = -1;
	struct image_import_result res;
	char err[512] = "";
	uint64_t bytes_read = 0;
	int r;

	tar_fd = strcmp(in, "-") == 0 ? dup(0) : open(in, O_RDONLY | O_CLOEXEC);
	out_fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (tar_fd < 0 || out_fd < 0) {
		perror(tar_fd < 0 ? in : out);
		return 2;
	}
	r = image_import_tar(tar_fd, out_fd, count, &bytes_read, &res, err,
	    sizeof(err));
	if (r < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	printf("size %ju\ncontent %ju\nentries %ju\ninit %d\nread %ju\n",
	    (uintmax_t)res.size_bytes, (uintmax_t)res.content_bytes,
	    (uintmax_t)res.entries, res.has_init, (uintmax_t)bytes_read);
	return 0;
}

int
main(int argc, char **argv)
{
	bool memory = argc > 1 && strcmp(argv[1], "-m") == 0;
	int r;

	if (argc != (memory ? 4 : 3)) {
		fprintf(stderr, "usage: image-import-driver [-m] FILE OUT\n");
		return 2;
	}
	r = import(argv[argc - 2], argv[argc - 1]);
	if (memory)
		print_memory();
	return r;
}
