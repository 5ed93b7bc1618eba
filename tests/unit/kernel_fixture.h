/*
 * Builders of what the kernel import reads: a tiny vmlinux, a bzImage around
 * its compressed form, modules, tar and ar archives. All of them return
 * memory to be freed, or write to memfds.
 */
#ifndef BANGER_TESTS_KERNEL_FIXTURE_H
#define BANGER_TESTS_KERNEL_FIXTURE_H

#include "unit.h"

#include "image/codec.h"

#define FIXTURE_RELEASE "6.1.0-9-test"

struct bytes {
	uint8_t *data;
	size_t len;
};

#define _cleanup_bytes_ __attribute__((cleanup(free_bytes)))

static inline void UNUSED
free_bytes(struct bytes *b)
{
	free(b->data);
}

void append(struct bytes *, const void *data, size_t len);

/* Stores VALUE, little-endian, over N bytes at OFFSET. */
void poke(struct bytes *, size_t offset, uint64_t value, unsigned n);

/*
 * An ELF executable with a PT_LOAD, a PT_NOTE with the PVH note, the banner
 * of FIXTURE_RELEASE, and enough repetition to compress.
 */
struct bytes make_vmlinux(void);

/* That vmlinux compressed with CODEC by the tool of that name. */
struct bytes compressed_vmlinux(enum codec);

/* A bzImage of protocol 2.15 with the compressed vmlinux as its payload. */
struct bytes make_bzimage(enum codec);

/*
 * A whole configuration: that of a kernel with all that a guest needs built in,
 * but with the LINES after it, each of which replaces the one of its option.
 */
struct bytes make_config(const char *lines);

/* Appends CONFIG to a vmlinux as CONFIG_IKCONFIG does. */
void append_ikconfig(struct bytes *vmlinux, const struct bytes *config);

/* A module with that .modinfo; a NULL leaves the field out. */
struct bytes make_module(const char *name, const char *depends,
    const char *vermagic);

/* Appends a tar member; the archive ends with tar_end(). */
void tar_member(struct bytes *tar, const char *path, char type,
    const void *data, size_t len);
void tar_end(struct bytes *tar);

/* An ar archive like a .deb, with TAR as its data.tar. */
struct bytes make_deb(const struct bytes *tar);

/* A memfd with these bytes, at offset 0. */
int memfd_with(const void *data, size_t len);

/* All bytes of a seekable fd. */
struct bytes read_fd_all(int fd);

#endif
