/*
 * image-import-driver FILE|- OUT: imports a file into a new image as the job
 * does, and prints what came out: "key value" lines for the scripts. With
 * -m the process's peak memory (VmHWM) as well.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "image/ext4_writer.h"
#include "image/image_file.h"
#include "image/oci.h"
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
	_cleanup_close_ int in_fd = -1, out_fd = -1, config_fd = -1;
	_cleanup_close_ int spool_fd = -1;
	struct image_import_result res = { 0 };
	struct image_file file;
	char config[OCI_CONFIG_MAX + 1] = "";
	char err[512] = "";
	uint64_t bytes_read = 0;
	int r;

	in_fd = strcmp(in, "-") == 0 ? dup(0) : open(in, O_RDONLY | O_CLOEXEC);
	config_fd = memfd_create("config", MFD_CLOEXEC);
	spool_fd = open("/var/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	out_fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (in_fd < 0 || out_fd < 0 || config_fd < 0 || spool_fd < 0) {
		perror(in_fd < 0 ? in : out);
		return 2;
	}
	file = (struct image_file){ in_fd, { out_fd, EXT4_WRITER_MAX },
		config_fd, spool_fd };
	r = image_file_import(&file, count, &bytes_read, &res, err,
	    sizeof(err));
	if (r < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	if (pread(config_fd, config, sizeof(config) - 1, 0) < 0)
		return 2;
	printf("layers %u\nconfig %s\n", res.layers, config);
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
