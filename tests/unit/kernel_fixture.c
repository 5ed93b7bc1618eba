/*
 * See kernel_fixture.h. The compressed forms are the bytes that the real
 * tools made of make_vmlinux(): this build has decoders only.
 */
#include "kernel_fixture.h"

#include <elf.h>
#include <sys/mman.h>
#include <zlib.h>

#include "kernel_payloads.h"

#define VMLINUX_BYTES 3072U
#define SETUP_BYTES 2048U		/* setup_sects 3 */
#define PAYLOAD_OFFSET 64U

void
append(struct bytes *b, const void *data, size_t len)
{
	b->data = realloc(b->data, b->len + len + 1);
	assert_non_null(b->data);
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

void
poke(struct bytes *b, size_t offset, uint64_t value, unsigned n)
{
	assert_true(offset + n <= b->len);
	for (unsigned i = 0; i < n; i++)
		b->data[offset + i] = (uint8_t)(value >> 8 * i);
}

static struct bytes
zeros(size_t len)
{
	struct bytes b = { calloc(1, len), len };

	assert_non_null(b.data);
	return b;
}

struct bytes
make_vmlinux(void)
{
	static const char banner[] = "Linux version " FIXTURE_RELEASE " (t) #1";
	struct bytes b = zeros(VMLINUX_BYTES);
	const Elf64_Ehdr eh = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
		    EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64,
		.e_version = EV_CURRENT, .e_entry = 0x1000000,
		.e_phoff = 64, .e_ehsize = 64, .e_phentsize = 56,
		.e_phnum = 2,
	};
	const Elf64_Phdr ph[2] = {
		{ .p_type = PT_LOAD, .p_offset = 512, .p_paddr = 0x1000000,
		    .p_filesz = 2560, .p_memsz = 4096 },
		{ .p_type = PT_NOTE, .p_offset = 256, .p_filesz = 40 },
	};
	/* Two notes: {namesz, descsz, type, "Xen", desc}. */
	const uint32_t notes[10] = {
		4, 4, 6, 0x6e6558, 1, 4, 4, 18, 0x6e6558, 0x1000000,
	};

	memcpy(b.data, &eh, sizeof(eh));
	memcpy(b.data + 64, ph, sizeof(ph));
	memcpy(b.data + 256, notes, sizeof(notes));
	memcpy(b.data + 512, banner, sizeof(banner));
	/* Calls, for the x86 filter of xz to have something to do. */
	for (size_t i = 1024; i + 8 <= b.len; i += 8) {
		b.data[i] = 0xe8;
		poke(&b, i + 1, 0x1000 - i, 4);
		b.data[i + 5] = (uint8_t)(i * i >> 6);
	}
	return b;
}

struct bytes
compressed_vmlinux(enum codec codec)
{
	struct bytes b = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(payloads); i++)
		if (payloads[i].codec == codec)
			append(&b, payloads[i].data, payloads[i].len);
	assert_true(b.len > 0);
	return b;
}

struct bytes
make_bzimage(enum codec codec)
{
	static const char version[] = FIXTURE_RELEASE " (t@t) #1 SMP";
	_cleanup_bytes_ struct bytes payload = compressed_vmlinux(codec);
	struct bytes b = zeros(SETUP_BYTES + PAYLOAD_OFFSET);
	uint32_t size = VMLINUX_BYTES;

	/* The build appends the size to all but gzip. */
	if (codec != CODEC_GZIP)
		append(&payload, &size, 4);
	b.data[0x1f1] = 3;
	poke(&b, 0x1fe, 0xaa55, 2);
	memcpy(b.data + 0x202, "HdrS", 4);
	poke(&b, 0x206, 0x020f, 2);
	poke(&b, 0x236, 1, 2);		/* XLF_KERNEL_64 */
	poke(&b, 0x20e, 0x600 - 0x200, 2);
	memcpy(b.data + 0x600, version, sizeof(version));
	poke(&b, 0x248, PAYLOAD_OFFSET, 4);
	poke(&b, 0x24c, payload.len, 4);
	append(&b, payload.data, payload.len);
	return b;
}

static const char *const options[] = {
	"BLK_DEV_INITRD", "BINFMT_ELF", "DEVTMPFS", "PROC_FS", "SYSFS",
	"SERIAL_8250_CONSOLE", "INET", "UNIX98_PTYS", "EPOLL", "SIGNALFD",
	"INOTIFY_USER", "ACPI", "VIRTIO_MMIO", "VIRTIO_MMIO_CMDLINE_DEVICES",
	"VIRTIO_BLK", "VIRTIO_NET", "VIRTIO_CONSOLE", "VIRTIO_VSOCKETS",
	"EXT4_FS",
};

/* Whether one of LINES is about CONFIG_NAME. */
static bool
has_line(const char *lines, const char *name)
{
	const char *at = lines;
	size_t n = strlen(name);

	for (; (at = strstr(at, "CONFIG_")) != NULL; at += 7)
		if (strncmp(at + 7, name, n) == 0 &&
		    (at[7 + n] == '=' || at[7 + n] == ' '))
			return true;
	return false;
}

struct bytes
make_config(const char *lines)
{
	static const char head[] = "#\n# Automatically generated file; DO NOT "
	    "EDIT.\n# Linux/x86 " FIXTURE_RELEASE " Kernel Configuration\n#\n";
	struct bytes b = { 0 };
	char line[64];

	append(&b, head, strlen(head));
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (has_line(lines, options[i]))
			continue;
		assert_int_equal(format(line, sizeof(line), "CONFIG_%s=y\n",
		    options[i]), 0);
		append(&b, line, strlen(line));
	}
	append(&b, lines, strlen(lines));
	return b;
}

/* gzip with one block that is stored. */
void
append_ikconfig(struct bytes *b, const struct bytes *config)
{
	size_t at;

	assert_true(config->len < 65536);
	append(b, "IKCFG_ST\x1f\x8b\x08\0\0\0\0\0\0\x03\x01", 19);
	at = b->len;
	append(b, "\0\0\0\0", 4);
	poke(b, at, config->len, 2);
	poke(b, at + 2, ~config->len, 2);
	append(b, config->data, config->len);
	at = b->len;
	append(b, "\0\0\0\0\0\0\0\0IKCFG_ED", 16);
	poke(b, at, crc32(0, config->data, (unsigned)config->len), 4);
	poke(b, at + 4, config->len, 4);
}

struct bytes
make_module(const char *name, const char *depends, const char *vermagic)
{
	static const char names[] = "\0.modinfo\0.shstrtab";
	const struct {
		const char *key, *value;
	} fields[] = {
		{ "license=", "GPL" }, { "depends=", depends },
		{ "name=", name }, { "vermagic=", vermagic },
	};
	struct bytes b = zeros(64);
	Elf64_Shdr sh[3] = { 0 };
	Elf64_Ehdr eh = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
		    EV_CURRENT },
		.e_type = ET_REL, .e_machine = EM_X86_64,
		.e_version = EV_CURRENT, .e_ehsize = 64, .e_shentsize = 64,
		.e_shnum = 3, .e_shstrndx = 2,
	};

	sh[1] = (Elf64_Shdr){ .sh_name = 1, .sh_type = SHT_PROGBITS,
		.sh_offset = b.len };
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].value == NULL)
			continue;
		append(&b, fields[i].key, strlen(fields[i].key));
		append(&b, fields[i].value, strlen(fields[i].value) + 1);
	}
	sh[1].sh_size = b.len - sh[1].sh_offset;
	sh[2] = (Elf64_Shdr){ .sh_name = 10, .sh_type = SHT_STRTAB,
		.sh_offset = b.len, .sh_size = sizeof(names) };
	append(&b, names, sizeof(names));
	eh.e_shoff = b.len;
	append(&b, sh, sizeof(sh));
	memcpy(b.data, &eh, sizeof(eh));
	return b;
}

void
tar_member(struct bytes *tar, const char *path, char type, const void *data,
    size_t len)
{
	char header[513] = "";
	static const char padding[512];
	unsigned sum = 0;

	assert_true(strlen(path) <= 100);
	memcpy(header, path, strlen(path));
	snprintf(header + 100, 8, "%07o", 0644U);
	snprintf(header + 108, 8, "%07o", 0U);
	snprintf(header + 116, 8, "%07o", 0U);
	snprintf(header + 124, 12, "%011zo", len);
	snprintf(header + 136, 12, "%011o", 0U);
	memset(header + 148, ' ', 8);
	header[156] = type;
	if (type == '1' || type == '2')
		strcpy(header + 157, "boot/elsewhere");
	memcpy(header + 257, "ustar\00000", 8);
	for (size_t i = 0; i < 512; i++)
		sum += (unsigned char)header[i];
	snprintf(header + 148, 8, "%06o", sum);
	append(tar, header, 512);
	append(tar, data, len);
	append(tar, padding, (512 - len % 512) % 512);
}

void
tar_end(struct bytes *tar)
{
	static const char end[1024];

	append(tar, end, sizeof(end));
}

static void
ar_member(struct bytes *ar, const char *name, const void *data, size_t len)
{
	char header[61];

	snprintf(header, sizeof(header), "%-16s%-12d%-6d%-6d%-8o%-10zu`\n",
	    name, 0, 0, 0, 0100644U, len);
	append(ar, header, 60);
	append(ar, data, len);
	if (len % 2 != 0)
		append(ar, "\n", 1);
}

struct bytes
make_deb(const struct bytes *tar)
{
	struct bytes b = { 0 };

	append(&b, "!<arch>\n", 8);
	ar_member(&b, "debian-binary", "2.0\n", 4);
	ar_member(&b, "control.tar", "", 0);
	ar_member(&b, "data.tar", tar->data, tar->len);
	return b;
}

int
memfd_with(const void *data, size_t len)
{
	int fd = memfd_create("fixture", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, data, len), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

struct bytes
read_fd_all(int fd)
{
	off_t len = lseek(fd, 0, SEEK_END);
	struct bytes b = zeros((size_t)len + 1);

	assert_true(len >= 0);
	b.len = (size_t)len;
	assert_int_equal(pread(fd, b.data, b.len, 0), len);
	return b;
}
