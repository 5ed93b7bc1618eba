/*
 * A bounds-checked view of a little-endian x86-64 ELF file in memory (gABI;
 * elf(5)). Everything is copied out by memcpy, so the file may lie at any
 * address, and every offset in it is a stranger's claim.
 */
#ifndef BANGER_IMAGE_ELF64_H
#define BANGER_IMAGE_ELF64_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* BUF is borrowed: it must outlive the view. */
struct elf64 {
	const uint8_t	*buf;
	size_t		 len;
	Elf64_Ehdr	 header;
};

/* True when BUF begins with the ELF magic number. */
bool	 elf64_magic(const uint8_t *buf, size_t len);

/*
 * Opens the view: class, byte order, version and machine (x86-64) are
 * checked, and that the program and section header tables lie in the file.
 * 0, or -EBADMSG.
 */
int	 elf64_open(const uint8_t *buf, size_t len, struct elf64 *out);

/* Copies program header I (< header.e_phnum) to *OUT; false when past it. */
bool	 elf64_segment(const struct elf64 *, unsigned i, Elf64_Phdr *out);

/*
 * The bytes OFFSET..OFFSET+LEN of the file, or NULL when they are not all in
 * it.
 */
const uint8_t *elf64_range(const struct elf64 *, uint64_t offset,
    uint64_t len);

/*
 * Finds the first section named NAME that has bytes in the file: *DATA
 * (borrowed) and *LEN. 0; -ENOENT when there is none; -EBADMSG when its
 * header points outside the file.
 */
int	 elf64_section(const struct elf64 *, const char *name,
    const uint8_t **data, size_t *len);

/*
 * What a VMM needs to know of a vmlinux. ENTRY, a physical address, is where 64
 * bits begin. PVH: it has the note XEN_ELFNOTE_PHYS32_ENTRY, an entry point for
 * a loader that has no bzImage header to go by (docs/misc/pvh.pandoc of Xen).
 */
struct vmlinux_info {
	uint64_t	entry;
	bool		pvh;
};

/*
 * Checks that BUF is a kernel to load: ET_EXEC or ET_DYN, at least one
 * PT_LOAD, each PT_LOAD inside the file and no larger in the file than in
 * memory; and that it has an entry point, PVH or the other, in what is loaded.
 * 0 and *OUT; -EBADMSG; -ENOEXEC when it is the entry point that is missing.
 */
int	 vmlinux_check(const uint8_t *buf, size_t len,
    struct vmlinux_info *out);

#endif
