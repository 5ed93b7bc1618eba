/*
 * A configuration is lines: "CONFIG_X=y", "CONFIG_X=m", "# CONFIG_X is not set",
 * or nothing for what cannot be chosen with the rest as it is.
 */
#include "image/kernel_config.h"

#include <errno.h>
#include <string.h>

#include "image/errmsg.h"
#include "privsep/util.h"

/* Stands in the first lines (scripts/kconfig/confdata.c). */
static const char written_by_build[] = "# Automatically generated file;";

/* Around the gzip file in a vmlinux (kernel/configs.c). */
static const char begin_mark[] = "IKCFG_ST\x1f\x8b";
static const char end_mark[] = "IKCFG_ED";

/*
 * What the agent and the command line of a VM (vmm/cmdline.c) count on. Every
 * distribution has these; who builds a kernel of his own may have left one out.
 */
static const struct {
	const char	*option;
	const char	*what;
} needed[] = {
	{ "CONFIG_BLK_DEV_INITRD", "its initrd" },
	{ "CONFIG_BINFMT_ELF", "programs" },
	{ "CONFIG_DEVTMPFS", "/dev" },
	{ "CONFIG_PROC_FS", "/proc" },
	{ "CONFIG_SYSFS", "/sys" },
	{ "CONFIG_SERIAL_8250_CONSOLE", "its console" },
	{ "CONFIG_INET", "its network" },
	{ "CONFIG_UNIX98_PTYS", "terminals" },
	{ "CONFIG_EPOLL", "banger in it" },
	{ "CONFIG_SIGNALFD", "banger in it" },
	{ "CONFIG_INOTIFY_USER", "banger in it" },
};

bool
kernel_config_whole(const uint8_t *text, size_t len)
{
	return text != NULL && memmem(text, len < 1024 ? len : 1024,
	    written_by_build, sizeof(written_by_build) - 1) != NULL;
}

bool
kernel_config_extract(const uint8_t *vmlinux, size_t len,
    struct codec_buf *out)
{
	struct codec_sink sink = { .write = codec_write_buf, .arg = out,
		.limit_bytes = KERNEL_CONFIG_MAX };
	const uint8_t *at = memmem(vmlinux, len, begin_mark,
	    sizeof(begin_mark) - 1), *end;

	if (at == NULL)
		return false;
	at += strlen("IKCFG_ST");
	len -= (size_t)(at - vmlinux);
	if (len > KERNEL_CONFIG_MAX)
		len = KERNEL_CONFIG_MAX;
	end = memmem(at, len, end_mark, sizeof(end_mark) - 1);
	return end != NULL && codec_decode(CODEC_GZIP, at,
	    (size_t)(end - at), &sink) == 0 &&
	    kernel_config_whole(out->data, out->len);
}

enum kernel_option
kernel_config_option(const uint8_t *text, size_t len, const char *name)
{
	const uint8_t *end = text + len, *line, *next;
	size_t n = strlen(name);

	for (line = text; line < end; line = next) {
		const uint8_t *eol = memchr(line, '\n', (size_t)(end - line));

		next = eol == NULL ? end : eol + 1;
		if ((size_t)(next - line) < n + 2 ||
		    memcmp(line, name, n) != 0 || line[n] != '=')
			continue;
		return line[n + 1] == 'y' ? OPTION_YES :
		    line[n + 1] == 'm' ? OPTION_MODULE : OPTION_NO;
	}
	return OPTION_NO;
}

int
kernel_config_check(const uint8_t *text, size_t len, const char *version,
    bool *acpi, char *err, size_t err_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (kernel_config_option(text, len, needed[i].option) !=
		    OPTION_YES)
			return errmsg(err, err_size, -ENOENT,
			    "kernel %s was built without %s, which a guest needs for %s",
			    version, needed[i].option, needed[i].what);
	*acpi = kernel_config_option(text, len, "CONFIG_ACPI") == OPTION_YES;
	/* Firecracker names its devices on the command line as well. */
	if (!*acpi && kernel_config_option(text, len,
	    "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES") != OPTION_YES)
		return errmsg(err, err_size, -ENOENT,
		    "kernel %s was built without CONFIG_ACPI, by which a guest finds its virtio-mmio devices",
		    version);
	return 0;
}
