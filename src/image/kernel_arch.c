/*
 * ELF names the machine. So does the PE header that EFI boots, which most other
 * kernels have, too: EFI's zboot images (arm64, RISC-V, LoongArch) have nothing
 * else. A bzImage is asked first: its PE header may be of a 32-bit firmware.
 */
#include "image/kernel_arch.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "image/elf64.h"
#include "image/errmsg.h"
#include "privsep/util.h"

#ifndef EM_LOONGARCH
#define EM_LOONGARCH 258
#endif

/* Offsets, boot.rst "The Real-Mode Kernel Header". */
#define BZ_MAGIC	0x202
#define BZ_PROTOCOL	0x206
#define BZ_XLOADFLAGS	0x236
#define BZ_KERNEL_64	1U		/* of XLOADFLAGS, since protocol 2.12 */

struct machine {
	unsigned	 number;
	const char	*name;
};

static const struct machine elf_machines[] = {
	{ EM_X86_64, "x86_64" }, { EM_386, "i386" }, { EM_AARCH64, "arm64" },
	{ EM_ARM, "arm" }, { EM_PPC64, "ppc64" }, { EM_PPC, "powerpc" },
	{ EM_RISCV, "riscv" }, { EM_S390, "s390x" }, { EM_MIPS, "mips" },
	{ EM_LOONGARCH, "loongarch" }, { EM_SPARCV9, "sparc64" },
};

/* Microsoft's PE format, "Machine Types". */
static const struct machine pe_machines[] = {
	{ 0x8664, "x86_64" }, { 0x014c, "i386" }, { 0xaa64, "arm64" },
	{ 0x01c2, "arm" }, { 0x01c0, "arm" }, { 0x5064, "riscv" },
	{ 0x6264, "loongarch" },
};

static const char *
name_of(const struct machine *machines, size_t count, unsigned number)
{
	for (size_t i = 0; i < count; i++)
		if (machines[i].number == number)
			return machines[i].name;
	return NULL;
}

static const char *
elf_arch(const uint8_t *buf, size_t len)
{
	const uint8_t *machine;
	unsigned number;

	if (len < sizeof(Elf32_Ehdr))
		return NULL;
	/* At the same place with 32 bits. */
	machine = buf + offsetof(Elf64_Ehdr, e_machine);
	number = buf[EI_DATA] == ELFDATA2MSB ?
	    (unsigned)machine[0] << 8 | machine[1] : get_le16(machine);
	return name_of(elf_machines, ARRAY_SIZE(elf_machines), number);
}

static const char *
pe_arch(const uint8_t *buf, size_t len)
{
	size_t at;

	if (len < 0x40 || memcmp(buf, "MZ", 2) != 0)
		return NULL;
	at = get_le32(buf + 0x3c);
	if (at > len || len - at < 6 || memcmp(buf + at, "PE\0\0", 4) != 0)
		return NULL;
	return name_of(pe_machines, ARRAY_SIZE(pe_machines),
	    get_le16(buf + at + 4));
}

const char *
kernel_arch(const uint8_t *buf, size_t len)
{
	if (elf64_magic(buf, len))
		return elf_arch(buf, len);
	if (len >= BZ_XLOADFLAGS + 2 && memcmp(buf + BZ_MAGIC, "HdrS", 4) == 0)
		return get_le16(buf + BZ_PROTOCOL) < 0x20c ? NULL :
		    (get_le16(buf + BZ_XLOADFLAGS) & BZ_KERNEL_64) != 0 ?
		    "x86_64" : "i386";
	/* booting.rst of arm64, boot-image-header.rst of riscv. */
	if (len >= 0x40 && memcmp(buf + 0x38, "ARM\x64", 4) == 0)
		return "arm64";
	if (len >= 0x40 && memcmp(buf + 0x38, "RSC\x05", 4) == 0)
		return "riscv";
	return pe_arch(buf, len);
}

int
kernel_arch_check(const char *what, const uint8_t *buf, size_t len, char *err,
    size_t err_size)
{
	const char *arch = kernel_arch(buf, len);

	if (arch == NULL || strcmp(arch, "x86_64") == 0)
		return 0;
	return errmsg(err, err_size, -EBADMSG,
	    "%s is for %s, and banger's guests are x86_64", what, arch);
}
