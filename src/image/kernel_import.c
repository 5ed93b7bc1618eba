/*
 * Scan the archive, extract the vmlinux, check that a guest will find in it what
 * it needs, put the modules in order, write the initrd. The parsers are elsewhere
 * (kernel_scan, bzimage, elf64, kernel_config, modules); this file decides what
 * belongs together.
 */
#include "image/kernel_import.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "image/bzimage.h"
#include "image/cpio.h"
#include "image/elf64.h"
#include "image/errmsg.h"
#include "image/kernel_arch.h"
#include "image/kernel_config.h"
#include "image/kernel_scan.h"
#include "privsep/util.h"

/* Each further scan can find modules one step deeper. */
#define SCANS_MAX	8

/* Everything but a bound against reading an endless device. */
#define AGENT_BYTES_MAX	(64LL << 20)

struct import {
	struct kernel_scan scan;
	int		 agent_fd;
	int		 vmlinuz_fd;
	int		 vmlinux_fd;
	int		 initrd_fd;
	struct kernel_import_result result;
	const struct module *order[MODULE_SET_MAX];
	size_t		 count;
	char		*err;
	size_t		 err_size;
};

/* A file's bytes, mapped read-only. */
struct map {
	void	*base;
	size_t	 len;
};

static void
unmap(struct map *m)
{
	if (m->base != NULL)
		munmap(m->base, m->len);
}

#define _cleanup_unmap_ __attribute__((cleanup(unmap)))

static int
map_file(int fd, uint64_t len, struct map *out)
{
	void *p;

	if (len == 0)
		return -EBADMSG;
	p = mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*out = (struct map){ p, (size_t)len };
	return 0;
}

/*
 * Takes the release from the banner in a vmlinux's data: "Linux version
 * RELEASE (builder) …" (init/version.c).
 */
static void
banner_release(const struct map *m, char *out, size_t size)
{
	static const char banner[] = "Linux version ";
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): map_file() gave it */
	const char *s = memmem(m->base, m->len, banner, sizeof(banner) - 1);
	const char *end = (const char *)m->base + m->len;
	size_t n = 0;

	if (s == NULL)
		return;
	s += sizeof(banner) - 1;
	while (n < (size_t)(end - s) && s[n] > ' ' && s[n] < 0x7f)
		n++;
	if (n == 0 || n >= size || n == (size_t)(end - s) || s[n] != ' ')
		return;
	memcpy(out, s, n);
	out[n] = '\0';
}

/*
 * Whether a vmlinux has the vsock driver built in: a driver's name stands in
 * its data (virtio_vsock_driver.driver.name).
 */
static bool
names_vsock(const struct map *m)
{
	static const char name[] = MODULE_VSOCK;

	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): map_file() gave it */
	return memmem(m->base, m->len, name, sizeof(name)) != NULL;
}

/* Another architecture or a missing entry point, said clearly. */
static int
check_elf(struct import *im, const struct map *m)
{
	struct vmlinux_info info = { 0 };
	int rc = kernel_arch_check("kernel", m->base, m->len, im->err,
	    im->err_size);

	if (rc < 0)
		return rc;
	rc = vmlinux_check(m->base, m->len, &info);
	if (rc == -ENOEXEC)
		return errmsg(im->err, im->err_size, -EBADMSG,
		    "kernel's vmlinux has neither a PVH nor a 64-bit entry point");
	if (rc < 0)
		return errmsg(im->err, im->err_size, rc,
		    "kernel's vmlinux is not a whole x86-64 ELF executable");
	im->result.pvh = info.pvh;
	return 0;
}

/* Keeps the configuration that is in M, rather than one of the archive. */
static void
find_config(struct import *im, const struct map *m)
{
	_cleanup_codec_buf_ struct codec_buf config = { 0 };

	if (!kernel_config_extract(m->base, m->len, &config))
		return;
	codec_buf_free(&im->scan.config);
	im->scan.config = config;
	config = (struct codec_buf){ 0 };
	/* Of this kernel, whatever that is called. */
	im->scan.config_name[0] = '\0';
}

/* The vmlinux is in VMLINUX_FD: checks it, and learns what it can tell. */
static int
check_vmlinux(struct import *im)
{
	struct kernel_import_result *res = &im->result;
	_cleanup_unmap_ struct map m = { 0 };
	int rc = map_file(im->vmlinux_fd, res->vmlinux_bytes, &m);

	if (rc < 0 && rc != -EBADMSG)
		return errmsg(im->err, im->err_size, rc,
		    "cannot read the vmlinux back: %s", strerror(-rc));
	rc = check_elf(im, &m);
	if (rc < 0)
		return rc;
	res->has_vmlinux = true;
	res->vsock = names_vsock(&m);
	if (res->version[0] == '\0')
		banner_release(&m, res->version, sizeof(res->version));
	find_config(im, &m);
	return 0;
}

/* A vmlinux was given: it moves to the file meant for it. */
static int
take_vmlinux(struct import *im, const struct map *m)
{
	int rc = write_full(im->vmlinux_fd, m->base, m->len);

	if (rc == 0 && ftruncate(im->vmlinuz_fd, 0) < 0)
		rc = -errno;
	if (rc < 0)
		return errmsg(im->err, im->err_size, rc,
		    "cannot write the vmlinux: %s", strerror(-rc));
	im->result.vmlinux_bytes = m->len;
	return 0;
}

static int
extract_vmlinux(struct import *im, const struct map *m)
{
	struct kernel_import_result *res = &im->result;
	struct codec_sink sink = {
		.write = codec_write_fd, .arg = &im->vmlinux_fd,
	};
	struct bzimage image;
	int rc;

	rc = bzimage_parse(m->base, m->len, &image, im->err, im->err_size);
	if (rc == 0)
		rc = bzimage_extract(&image, &sink, im->err, im->err_size);
	if (rc < 0)
		return rc;
	res->has_vmlinuz = true;
	res->vmlinuz_bytes = m->len;
	res->vmlinux_bytes = sink.written_bytes;
	memcpy(res->version, image.version, sizeof(res->version));
	return 0;
}

static int
handle_kernel(struct import *im)
{
	_cleanup_unmap_ struct map m = { 0 };
	int rc;

	if (!im->scan.have_kernel)
		return errmsg(im->err, im->err_size, -ENOENT,
		    "no kernel (boot/vmlinuz-* or boot/vmlinux-*) in the archive");
	rc = map_file(im->vmlinuz_fd, im->scan.kernel_bytes, &m);
	if (rc == -EBADMSG)
		return errmsg(im->err, im->err_size, rc, "kernel is empty");
	if (rc < 0)
		return errmsg(im->err, im->err_size, rc,
		    "cannot read the kernel back: %s", strerror(-rc));
	rc = kernel_arch_check("kernel", m.base, m.len, im->err, im->err_size);
	if (rc < 0)
		return rc;
	if (elf64_magic(m.base, m.len))
		rc = take_vmlinux(im, &m);
	else
		rc = extract_vmlinux(im, &m);
	return rc < 0 ? rc : check_vmlinux(im);
}

/* Settles what the kernel is called, and that the modules are its own. */
static int
settle_version(struct import *im)
{
	char *version = im->result.version;
	const char *release = im->scan.release;

	if (version[0] == '\0')
		memcpy(version, release[0] != '\0' ? release : im->scan.name,
		    KERNEL_RELEASE_MAX);
	if (release[0] != '\0' && strcmp(version, release) != 0)
		return errmsg(im->err, im->err_size, -EBADMSG,
		    "kernel is %s, but the modules are those of %s", version,
		    release);
	if (version[0] == '\0')
		return errmsg(im->err, im->err_size, -EBADMSG,
		    "kernel does not tell its version: name it boot/vmlinuz-VERSION");
	if (release[0] == '\0' && (im->scan.is_deb || im->result.has_vmlinuz))
		return errmsg(im->err, im->err_size, -ENOENT,
		    "no modules (lib/modules/%s) beside the kernel: give also the package that has them",
		    version);
	return 0;
}

/*
 * Checks what is known of how the kernel was built. A configuration of another
 * kernel, or a part of one, says nothing.
 */
static int
check_config(struct import *im)
{
	const struct kernel_scan *scan = &im->scan;
	const uint8_t *text = scan->config.data;
	size_t len = scan->config.len;

	im->result.acpi = true;
	if (!kernel_config_whole(text, len) || (scan->config_name[0] != '\0' &&
	    strcmp(scan->config_name, im->result.version) != 0))
		return 0;
	module_set_config(scan->set, text, len);
	return kernel_config_check(text, len, im->result.version,
	    &im->result.acpi, im->err, im->err_size);
}

/*
 * Orders the modules, reading the archive again for those whose need shows
 * only now. START is where it begins, negative for a pipe.
 */
static int
order_modules(struct import *im, off_t start)
{
	for (int scans = 1;; scans++) {
		int rc = module_set_order(im->scan.set, im->result.version,
		    im->order, &im->count, im->err, im->err_size);

		if (rc != -EAGAIN || scans == SCANS_MAX)
			return rc;
		if (start < 0)
			return errmsg(im->err, im->err_size, rc,
			    "%s has modules of unusual names: give the archive as a file, not through a pipe",
			    im->result.version);
		if (lseek(im->scan.in_fd, start, SEEK_SET) < 0)
			return rc;
		im->scan.again = true;
		im->scan.bytes_read = 0;
		rc = kernel_scan(&im->scan, im->err, im->err_size);
		if (rc < 0)
			return rc;
	}
}

/* The list of modules: a file name a line. */
static int
put_list(struct import *im, struct cpio *c)
{
	size_t size = im->count * (MODULE_NAME_MAX + 4) + 1, len = 0;
	_cleanup_free_ char *text = calloc(1, size);

	if (text == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < im->count; i++)
		len += (size_t)snprintf(text + len, size - len, "%s.ko\n",
		    im->order[i]->name);
	return cpio_file(c, "modules/load", 0644, text, len);
}

static int
put_modules(struct import *im, struct cpio *c)
{
	int rc = put_list(im, c);

	for (size_t i = 0; rc == 0 && i < im->count; i++) {
		const struct module *m = im->order[i];
		char name[MODULE_NAME_MAX + 16];

		rc = format(name, sizeof(name), "modules/%s.ko", m->name);
		if (rc == 0)
			rc = cpio_file(c, name, 0644, m->data, m->len);
	}
	return rc;
}

static int
put_first_archive(struct import *im, struct cpio *c)
{
	static const char *const dirs[] = {
		"dev", "proc", "sys", "newroot", "modules",
	};
	int rc = 0;

	cpio_start(c, im->initrd_fd);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(dirs); i++)
		rc = cpio_dir(c, dirs[i], 0755);
	/* The kernel opens it as /init's standard input and output. */
	if (rc == 0)
		rc = cpio_chardev(c, "dev/console", 0600, 5, 1);
	if (rc == 0)
		rc = put_modules(im, c);
	return rc < 0 ? rc : cpio_finish(c);
}

/* The second archive, at INITRD_FD's offset; *SIZE is what it took. */
static int
put_agent(int initrd_fd, int agent_fd, uint64_t *size_bytes)
{
	off_t len = lseek(agent_fd, 0, SEEK_END);
	struct cpio c;
	int rc;

	if (len < 0)
		return -errno;
	if (len == 0 || len > AGENT_BYTES_MAX)
		return len == 0 ? -ENODATA : -EFBIG;
	cpio_start(&c, initrd_fd);
	rc = cpio_file_from(&c, "init", 0755, agent_fd, (uint64_t)len);
	if (rc == 0)
		rc = cpio_finish(&c);
	if (rc == 0)
		*size_bytes = c.written_bytes;
	return rc;
}

static int
write_initrd(struct import *im)
{
	struct kernel_import_result *res = &im->result;
	uint64_t agent_bytes = 0;
	struct cpio c;
	int rc;

	rc = put_first_archive(im, &c);
	if (rc == 0)
		rc = put_agent(im->initrd_fd, im->agent_fd, &agent_bytes);
	if (rc < 0)
		return errmsg(im->err, im->err_size, rc,
		    "cannot write the initrd: %s", strerror(-rc));
	res->module_count = (uint32_t)im->count;
	res->initrd_modules_bytes = c.written_bytes;
	res->initrd_bytes = c.written_bytes + agent_bytes;
	return 0;
}

static int
import(struct import *im, off_t start)
{
	int rc = kernel_scan(&im->scan, im->err, im->err_size);

	if (rc == 0)
		rc = handle_kernel(im);
	if (rc == 0)
		rc = settle_version(im);
	if (rc == 0)
		rc = check_config(im);
	if (rc == 0)
		rc = order_modules(im, start);
	if (rc < 0)
		return rc;
	im->result.vsock |= module_set_vsock(im->scan.set);
	return write_initrd(im);
}

int
kernel_import_archive(int in_fd, int agent_fd, int vmlinuz_fd,
    int vmlinux_fd, int initrd_fd,
    void (*progress)(void *arg, uint64_t bytes_read), void *arg,
    struct kernel_import_result *result, char *err, size_t err_size)
{
	_cleanup_free_ struct import *im = calloc(1, sizeof(*im));
	struct module_set *set = module_set_new();
	int rc;

	if (im == NULL || set == NULL) {
		module_set_free(set);
		return errmsg(err, err_size, -ENOMEM, "out of memory");
	}
	im->scan = (struct kernel_scan){
		.in_fd = in_fd, .kernel_fd = vmlinuz_fd, .set = set,
		.progress = progress, .arg = arg,
	};
	im->agent_fd = agent_fd;
	im->vmlinuz_fd = vmlinuz_fd;
	im->vmlinux_fd = vmlinux_fd;
	im->initrd_fd = initrd_fd;
	im->err = err;
	im->err_size = err_size;
	rc = import(im, lseek(in_fd, 0, SEEK_CUR));
	module_set_free(set);
	codec_buf_free(&im->scan.config);
	if (rc == 0)
		*result = im->result;
	return rc;
}

int
kernel_initrd_refresh_agent(int initrd_fd, uint64_t initrd_modules_bytes,
    int agent_fd, uint64_t *initrd_bytes, char *err, size_t err_size)
{
	off_t at = (off_t)initrd_modules_bytes;
	uint64_t agent_bytes = 0;
	char magic[6];
	int rc = 0;

	if (initrd_modules_bytes > INT64_MAX || at % 4 != 0 ||
	    pread(initrd_fd, magic, sizeof(magic), at) !=
	    (ssize_t)sizeof(magic) || memcmp(magic, "070701", 6) != 0)
		return errmsg(err, err_size, -EBADMSG,
		    "initrd is damaged: its second archive is not at %llu",
		    (unsigned long long)initrd_modules_bytes);
	if (lseek(initrd_fd, at, SEEK_SET) < 0)
		rc = -errno;
	if (rc == 0)
		rc = put_agent(initrd_fd, agent_fd, &agent_bytes);
	if (rc == 0 && ftruncate(initrd_fd, at + (off_t)agent_bytes) < 0)
		rc = -errno;
	if (rc < 0)
		return errmsg(err, err_size, rc,
		    "cannot write the initrd: %s", strerror(-rc));
	*initrd_bytes = initrd_modules_bytes + agent_bytes;
	return 0;
}
