/*
 * A kernel as a package, a tar, a bzImage, an ELF file, a module or an initrd:
 * whatever is imported, and each of its parts alone.
 */
#include "fuzz.h"

#include "image/bzimage.h"
#include "image/elf64.h"
#include "image/kernel_arch.h"
#include "image/kernel_config.h"
#include "image/kernel_import.h"
#include "image/lzo.h"
#include "image/modules.h"

static void
archive(struct input *in)
{
	struct kernel_import_result result;
	struct input none = { NULL, 0 };
	int fds[5];
	char err[256] = "";
	size_t i;
	int r;

	fds[0] = memory_file(*in);
	for (i = 1; i < ARRAY_SIZE(fds); i++)
		fds[i] = memory_file(none);
	r = kernel_import_archive(fds[0], fds[1], fds[2], fds[3], fds[4], NULL,
	    NULL, &result, err, sizeof(err));
	must(r == 0 || err[0] != '\0');
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static int
count(void *arg, const void *data, size_t len)
{
	uint64_t *sum = arg;

	must(data != NULL || len == 0);
	*sum += len;
	return 0;
}

static void
bzimage(struct input *in)
{
	uint64_t written = 0;
	struct codec_sink sink = { .write = count, .arg = &written };
	struct bzimage image;
	char err[256] = "";

	if (bzimage_parse(in->data, in->len, &image, err, sizeof(err)) < 0)
		return;
	must(strlen(image.version) < sizeof(image.version));
	/* As much as it says, were it true, takes too long here. */
	if (image.vmlinux_len > 1 << 20)
		return;
	if (bzimage_extract(&image, &sink, err, sizeof(err)) == 0)
		must(written == image.vmlinux_len);
}

static void
elf(struct input *in)
{
	struct vmlinux_info info;
	char err[256] = "";

	(void)vmlinux_check(in->data, in->len, &info);
	if (kernel_arch_check("it", in->data, in->len, err, sizeof(err)) < 0)
		must(kernel_arch(in->data, in->len) != NULL && err[0] != '\0');
}

static void
module(struct input *in)
{
	static const char *const names[] = { "virtio_blk.ko", "virtio.ko.xz",
		"vsock.ko.gz", "virtio_net.ko.zst", "lib/modules/x/a-b.ko" };
	const char *name = names[take_u8(in) % ARRAY_SIZE(names)];
	const struct module *order[MODULE_SET_MAX];
	struct module_set *set = module_set_new();
	char err[256] = "";
	size_t n;

	must(set != NULL);
	if (module_set_add(set, name, in->data, in->len, err, sizeof(err)) == 0 &&
	    module_set_order(set, "6.1.0", order, &n, err, sizeof(err)) == 0)
		must(n <= MODULE_SET_MAX);
	module_set_builtin(set, (const char *)in->data, in->len);
	module_set_config(set, in->data, in->len);
	module_set_free(set);
}

static void
codec(struct input *in)
{
	uint64_t written = 0;
	struct codec_sink sink = { .write = count, .arg = &written,
		.limit_bytes = 1 << 20 };

	(void)codec_decode(codec_of(in->data, in->len), in->data, in->len, &sink);
	must(written <= sink.limit_bytes);
}

/* A configuration as it is, and as it stands in a kernel. */
static void
config(struct input *in)
{
	struct codec_buf buf = { 0 };
	char err[256] = "";
	bool acpi = false;

	if (kernel_config_check(in->data, in->len, "6.1.0", &acpi, err,
	    sizeof(err)) < 0)
		must(err[0] != '\0');
	if (kernel_config_extract(in->data, in->len, &buf))
		must(buf.len <= KERNEL_CONFIG_MAX);
	codec_buf_free(&buf);
}

/* A stream without lzop's checksums around it, into a room of any size. */
static void
lzo(struct input *in)
{
	size_t size = (size_t)take_u8(in) * 16, written = 0;
	uint8_t *out = malloc(size + 1);

	must(out != NULL);
	if (lzo1x_decode(in->data, in->len, out, size, &written) == 0)
		must(written <= size);
	free(out);
}

static void
initrd(struct input *in)
{
	uint64_t at = take_u8(in), bytes;
	struct input none = { NULL, 0 };
	int initrd_fd = memory_file(*in), agent = memory_file(none);
	char err[256] = "";

	(void)kernel_initrd_refresh_agent(initrd_fd, at, agent, &bytes, err,
	    sizeof(err));
	close(initrd_fd);
	close(agent);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const parts[])(struct input *) = { archive, bzimage, elf,
		module, codec, initrd, config, lzo };
	struct input in = { data, len };
	int fd = lowest_fd();

	parts[take_u8(&in) % ARRAY_SIZE(parts)](&in);
	must(lowest_fd() == fd);
	return 0;
}
