/*
 * What a target of tests/fuzz is: one function that libFuzzer calls with bytes,
 * and that replay.c calls with the seeds (https://llvm.org/docs/LibFuzzer.html).
 * It must leave nothing behind, not even an open fd, and calls abort() for what
 * no sanitizer sees.
 */
#ifndef BANGER_TESTS_FUZZ_H
#define BANGER_TESTS_FUZZ_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "privsep/util.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define must(condition) ((condition) ? (void)0 : abort())

/* What is left of the input. */
struct input {
	const uint8_t *data;
	size_t len;
};

/* The next byte, or 0 at the end. */
static inline uint8_t UNUSED
take_u8(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->data++;
}

/* The next N bytes, or fewer at the end. */
static inline struct input UNUSED
take_bytes(struct input *in, size_t n)
{
	struct input out = { in->data, n < in->len ? n : in->len };

	in->data += out.len;
	in->len -= out.len;
	return out;
}

/* A piece with its length before it, in two bytes. */
static inline struct input UNUSED
take_piece(struct input *in)
{
	size_t n = (size_t)take_u8(in) << 8;

	return take_bytes(in, n | take_u8(in));
}

/* The rest as a string, the caller's to free. */
static inline char *UNUSED
take_string(struct input *in)
{
	char *s = malloc(in->len + 1);

	must(s != NULL);
	if (in->len > 0)
		memcpy(s, in->data, in->len);
	s[in->len] = '\0';
	in->len = 0;
	return s;
}

/* A file in memory that holds IN, at its start. */
static inline int UNUSED
memory_file(struct input in)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	must(fd >= 0 && write_full(fd, in.data, in.len) == 0 &&
	    lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* NAME below DIR becomes a file that holds IN. */
static inline void UNUSED
put_file(int dir, const char *name, struct input in)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && write_full(fd, in.data, in.len) == 0);
	close(fd);
}

static char temp[] = "/tmp/banger-fuzz.XXXXXX";

static inline void UNUSED
remove_temp(void)
{
	char command[64];

	(void)format(command, sizeof(command), "rm -rf %s", temp);
	must(system(command) == 0);
}

/* Makes the directory `temp`, which goes when the process ends; an fd on it. */
static inline int UNUSED
make_temp(void)
{
	int fd;

	must(mkdtemp(temp) != NULL && atexit(remove_temp) == 0);
	fd = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0);
	return fd;
}

/* The lowest free fd: the same before and after when nothing was left open. */
static inline int UNUSED
lowest_fd(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	must(fd >= 0 && close(fd) == 0);
	return fd;
}

#endif
