/*
 * Two tables (segments, sections) and one note: the parts of ELF that a
 * kernel and its modules are asked about. See elf64.h.
 */
#include "image/elf64.h"

#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "privsep/util.h"

/* xen/include/public/elfnote.h; the note's owner is "Xen". */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

bool
elf64_magic(const uint8_t *buf, size_t len)
{
	return len >= SELFMAG && memcmp(buf, ELFMAG, SELFMAG) == 0;
}

const uint8_t *
elf64_range(const struct elf64 *elf, uint64_t offset, uint64_t len)
{
	if (offset > elf->len || len > elf->len - offset)
		return NULL;
	return elf->buf + offset;
}

int
elf64_open(const uint8_t *buf, size_t len, struct elf64 *out)
{
	struct elf64 elf = { .buf = buf, .len = len };
	const Elf64_Ehdr *h = &elf.header;

	if (len < sizeof(elf.header) || !elf64_magic(buf, len))
		return -EBADMSG;
	memcpy(&elf.header, buf, sizeof(elf.header));
	if (h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_ident[EI_DATA] != ELFDATA2LSB ||
	    h->e_ident[EI_VERSION] != EV_CURRENT || h->e_machine != EM_X86_64)
		return -EBADMSG;
	if (h->e_phnum != 0 && (h->e_phentsize != sizeof(Elf64_Phdr) ||
	    elf64_range(&elf, h->e_phoff,
	    (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)) == NULL))
		return -EBADMSG;
	if (h->e_shnum != 0 && (h->e_shentsize != sizeof(Elf64_Shdr) ||
	    elf64_range(&elf, h->e_shoff,
	    (uint64_t)h->e_shnum * sizeof(Elf64_Shdr)) == NULL))
		return -EBADMSG;
	*out = elf;
	return 0;
}

bool
elf64_segment(const struct elf64 *elf, unsigned i, Elf64_Phdr *out)
{
	if (i >= elf->header.e_phnum)
		return false;
	memcpy(out, elf->buf + elf->header.e_phoff + i * sizeof(*out),
	    sizeof(*out));
	return true;
}

static bool
section_header(const struct elf64 *elf, unsigned i, Elf64_Shdr *out)
{
	if (i >= elf->header.e_shnum)
		return false;
	memcpy(out, elf->buf + elf->header.e_shoff + i * sizeof(*out),
	    sizeof(*out));
	return true;
}

int
elf64_section(const struct elf64 *elf, const char *name,
    const uint8_t **data, size_t *len)
{
	Elf64_Shdr names, s;
	const uint8_t *strings;
	size_t name_size = strlen(name) + 1;

	if (!section_header(elf, elf->header.e_shstrndx, &names))
		return -ENOENT;
	strings = elf64_range(elf, names.sh_offset, names.sh_size);
	if (strings == NULL)
		return -EBADMSG;
	for (unsigned i = 0; section_header(elf, i, &s); i++) {
		if (s.sh_name > names.sh_size ||
		    names.sh_size - s.sh_name < name_size ||
		    memcmp(strings + s.sh_name, name, name_size) != 0 ||
		    s.sh_type == SHT_NOBITS)
			continue;
		*data = elf64_range(elf, s.sh_offset, s.sh_size);
		if (*data == NULL)
			return -EBADMSG;
		*len = s.sh_size;
		return 0;
	}
	return -ENOENT;
}

static uint64_t
align4(uint64_t n)
{
	return (n + 3) & ~(uint64_t)3;
}

/*
 * Looks for the Xen note in one PT_NOTE segment: {namesz, descsz, type}; its
 * descriptor is the entry point.
 */
static bool
find_pvh_note(const uint8_t *p, uint64_t len, uint32_t *entry)
{
	Elf64_Nhdr note;

	while (len >= sizeof(note)) {
		uint64_t size;

		memcpy(&note, p, sizeof(note));
		size = sizeof(note) + align4(note.n_namesz) +
		    align4(note.n_descsz);
		if (size > len)
			return false;
		if (note.n_type == XEN_ELFNOTE_PHYS32_ENTRY &&
		    note.n_namesz == 4 && note.n_descsz >= 4 &&
		    memcmp(p + sizeof(note), "Xen", 4) == 0) {
			*entry = get_le32(p + sizeof(note) + 4);
			return true;
		}
		p += size;
		len -= size;
	}
	return false;
}

/* Whether the physical address AT lies in what is loaded from the file. */
static bool
is_loaded(const struct elf64 *elf, uint64_t at)
{
	Elf64_Phdr ph;

	for (unsigned i = 0; elf64_segment(elf, i, &ph); i++)
		if (ph.p_type == PT_LOAD && at >= ph.p_paddr &&
		    at - ph.p_paddr < ph.p_filesz)
			return true;
	return false;
}

/* Segments of the file, and the entry point for PVH. */
static int
check_segments(const struct elf64 *elf, uint32_t *pvh_entry, bool *pvh)
{
	bool loads = false;
	Elf64_Phdr ph;

	for (unsigned i = 0; elf64_segment(elf, i, &ph); i++) {
		const uint8_t *p;

		if (ph.p_type != PT_LOAD && ph.p_type != PT_NOTE)
			continue;
		p = elf64_range(elf, ph.p_offset, ph.p_filesz);
		if (p == NULL)
			return -EBADMSG;
		if (ph.p_type == PT_NOTE) {
			*pvh |= find_pvh_note(p, ph.p_filesz, pvh_entry);
			continue;
		}
		if (ph.p_memsz < ph.p_filesz)
			return -EBADMSG;
		loads = true;
	}
	return loads ? 0 : -EBADMSG;
}

int
vmlinux_check(const uint8_t *buf, size_t len, struct vmlinux_info *out)
{
	struct vmlinux_info info = { 0 };
	uint32_t pvh_entry = 0;
	struct elf64 elf;

	if (elf64_open(buf, len, &elf) < 0 ||
	    (elf.header.e_type != ET_EXEC && elf.header.e_type != ET_DYN) ||
	    check_segments(&elf, &pvh_entry, &info.pvh) < 0)
		return -EBADMSG;
	info.entry = elf.header.e_entry;
	info.pvh = info.pvh && is_loaded(&elf, pvh_entry);
	if (!info.pvh && !is_loaded(&elf, info.entry))
		return -ENOEXEC;
	*out = info;
	return 0;
}
