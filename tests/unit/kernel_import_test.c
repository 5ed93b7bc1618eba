/*
 * kernel_import.c, kernel_scan.c, and client/kernel_pack.c: archives good and
 * bad, all in memory.
 */
#include "kernel_fixture.h"

#include <sys/mman.h>

#include "client/kernel_pack.h"
#include "image/kernel_import.h"
#include "image/modules.h"

#define MAGIC FIXTURE_RELEASE " SMP mod_unload"
#define MODULES "lib/modules/" FIXTURE_RELEASE "/"
#define AGENT "#!agent"

static char err[256];
static uint64_t last_progress;

static void
progress(void *arg, uint64_t bytes_read)
{
	assert_ptr_equal(arg, &last_progress);
	assert_true(bytes_read >= last_progress);
	last_progress = bytes_read;
}

/* The files of one import; closed by end_import(). */
struct files {
	int vmlinuz, vmlinux, initrd;
	struct kernel_import_result result;
};

static int
import_fd(struct files *f, int in_fd)
{
	_cleanup_close_ int agent = memfd_with(AGENT, strlen(AGENT));
	int rc;

	f->vmlinuz = memfd_with("", 0);
	f->vmlinux = memfd_with("", 0);
	f->initrd = memfd_with("", 0);
	memset(&f->result, 0x55, sizeof(f->result));
	last_progress = 0;
	err[0] = '\0';
	rc = kernel_import_archive(in_fd, agent, f->vmlinuz, f->vmlinux,
	    f->initrd, progress, &last_progress, &f->result, err,
	    sizeof(err));
	if (rc < 0) {
		assert_true(err[0] != '\0');
		assert_int_equal(f->result.initrd_bytes, 0x5555555555555555);
	}
	return rc;
}

static void
end_import(struct files *f)
{
	close(f->vmlinuz);
	close(f->vmlinux);
	close(f->initrd);
}

static int
import_bytes(struct files *f, const struct bytes *b)
{
	_cleanup_close_ int fd = memfd_with(b->data, b->len);

	return import_fd(f, fd);
}

/* Imports B and forgets the outcome but for its code. */
static int
try_bytes(const struct bytes *b)
{
	struct files f;
	int rc = import_bytes(&f, b);

	end_import(&f);
	return rc;
}

/* Feeds B through a pipe, from another process. */
static int
import_pipe(struct files *f, const struct bytes *b)
{
	int fds[2], rc, status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		_exit(write_full(fds[1], b->data, b->len) < 0);
	}
	close(fds[1]);
	rc = import_fd(f, fds[0]);
	close(fds[0]);
	waitpid(pid, &status, 0);
	return rc;
}

static void
put_module(struct bytes *tar, const char *name, const char *depends,
    const char *magic)
{
	_cleanup_bytes_ struct bytes m = make_module(name, depends, magic);
	char path[100];

	assert_int_equal(format(path, sizeof(path), "./" MODULES
	    "kernel/x/%s.ko", name), 0);
	tar_member(tar, path, '0', m.data, m.len);
}

static void
put_kernel(struct bytes *tar, enum codec codec)
{
	_cleanup_bytes_ struct bytes k = make_bzimage(codec);

	tar_member(tar, "./boot/vmlinuz-" FIXTURE_RELEASE, '0', k.data,
	    k.len);
}

static const char builtin[] =
	"kernel/fs/ext4/ext4.ko\nkernel/drivers/net/virtio_net.ko\n"
	"kernel/net/vmw_vsock/vmw_vsock_virtio_transport.ko\n";

static void
put_modules(struct bytes *tar)
{
	tar_member(tar, "./" MODULES "modules.builtin", '0', builtin,
	    strlen(builtin));
	put_module(tar, "virtio_console", "virtio", MAGIC);
	put_module(tar, "virtio_blk", "virtio", MAGIC);
	put_module(tar, "dm_mod", "", MAGIC);	/* nobody wants it */
	put_module(tar, "virtio_mmio", "virtio", MAGIC);
	put_module(tar, "virtio", "", MAGIC);
	put_module(tar, "crc32c_generic", "", MAGIC);
}

/* A whole tar, as `dpkg-deb --fsys-tarfile` would show it. */
static struct bytes
good_tar(void)
{
	struct bytes tar = { 0 };

	tar_member(&tar, "./", '5', "", 0);
	tar_member(&tar, "./boot/", '5', "", 0);
	tar_member(&tar, "./boot/config-" FIXTURE_RELEASE, '0', "#", 1);
	tar_member(&tar, "./vmlinuz", '2', "", 0);
	tar_member(&tar, "./boot/vmlinuz-old", '2', "", 0);
	put_kernel(&tar, CODEC_XZ);
	put_modules(&tar);
	tar_end(&tar);
	return tar;
}

static void
check_good(struct files *f)
{
	_cleanup_bytes_ struct bytes elf = make_vmlinux();
	_cleanup_bytes_ struct bytes vmlinux = read_fd_all(f->vmlinux);
	_cleanup_bytes_ struct bytes initrd = read_fd_all(f->initrd);
	const struct kernel_import_result *r = &f->result;
	static const char list[] = "virtio.ko\nvirtio_mmio.ko\n"
	    "virtio_blk.ko\ncrc32c_generic.ko\nvirtio_console.ko\n";

	assert_string_equal(r->version, FIXTURE_RELEASE);
	assert_int_equal(r->module_count, 5);
	assert_true(r->has_vmlinux && r->pvh && r->vsock);
	assert_int_equal(r->vmlinux_bytes, elf.len);
	assert_int_equal(vmlinux.len, elf.len);
	assert_memory_equal(vmlinux.data, elf.data, elf.len);
	assert_int_equal(lseek(f->vmlinuz, 0, SEEK_END),
	    (off_t)r->vmlinuz_bytes);
	assert_int_equal(r->initrd_bytes, initrd.len);
	assert_int_equal(r->initrd_modules_bytes % 4, 0);
	assert_memory_equal(initrd.data + r->initrd_modules_bytes, "070701",
	    6);
	/* The list stands in it in clear. */
	assert_non_null(memmem(initrd.data, initrd.len, list, strlen(list)));
	assert_null(memmem(initrd.data, initrd.len, "dm_mod", 6));
	assert_non_null(memmem(initrd.data + r->initrd_modules_bytes,
	    initrd.len - r->initrd_modules_bytes, AGENT, strlen(AGENT)));
}

static void
test_tar(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = good_tar();
	struct files f;

	assert_int_equal(import_bytes(&f, &tar), 0);
	check_good(&f);
	assert_true(f.result.has_vmlinuz);
	assert_int_equal(last_progress, tar.len);
	end_import(&f);
}

static void
test_deb(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = good_tar();
	_cleanup_bytes_ struct bytes deb = make_deb(&tar);
	struct files f;

	assert_int_equal(import_bytes(&f, &deb), 0);
	check_good(&f);
	end_import(&f);
}

static void
test_pipe(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = good_tar();
	_cleanup_bytes_ struct bytes deb = make_deb(&tar);
	struct files f;

	assert_int_equal(import_pipe(&f, &tar), 0);
	check_good(&f);
	end_import(&f);
	assert_int_equal(import_pipe(&f, &deb), 0);
	check_good(&f);
	end_import(&f);
}

/* A vmlinux instead of a vmlinuz, and below usr/. */
static void
test_vmlinux_given(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes elf = make_vmlinux(), tar = { 0 };
	struct files f;

	put_modules(&tar);
	tar_member(&tar, "boot/vmlinux-" FIXTURE_RELEASE, '0', elf.data,
	    elf.len);
	tar_end(&tar);
	assert_int_equal(import_bytes(&f, &tar), 0);
	check_good(&f);
	assert_false(f.result.has_vmlinuz);
	assert_int_equal(f.result.vmlinuz_bytes, 0);
	end_import(&f);
}

static void
test_vmlinuz_among_the_modules(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes k = make_bzimage(CODEC_ZSTD),
	    tar = { 0 };
	struct files f;

	tar_member(&tar, "usr/" MODULES "vmlinuz", '0', k.data, k.len);
	put_modules(&tar);
	tar_end(&tar);
	assert_int_equal(import_bytes(&f, &tar), 0);
	check_good(&f);
	end_import(&f);
}

static void
test_kernel_without_modules(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes elf = make_vmlinux(), tar = { 0 },
	    bz = { 0 }, deb = { 0 }, vsock = { 0 };
	struct files f;

	tar_member(&tar, "boot/vmlinux", '0', elf.data, elf.len);
	tar_end(&tar);
	assert_int_equal(import_bytes(&f, &tar), 0);
	assert_int_equal(f.result.module_count, 0);
	assert_string_equal(f.result.version, FIXTURE_RELEASE);
	assert_false(f.result.vsock);
	end_import(&f);
	/* One with the driver built in has its name in its data. */
	append(&elf, MODULE_VSOCK, sizeof(MODULE_VSOCK));
	tar_member(&vsock, "boot/vmlinux", '0', elf.data, elf.len);
	tar_end(&vsock);
	assert_int_equal(import_bytes(&f, &vsock), 0);
	assert_true(f.result.vsock);
	end_import(&f);
	/* A distribution's kernel without its modules is a mistake. */
	put_kernel(&bz, CODEC_LZ4);
	tar_end(&bz);
	assert_int_equal(try_bytes(&bz), -ENOENT);
	deb = make_deb(&tar);
	assert_int_equal(try_bytes(&deb), -ENOENT);
}

static void
test_unusual_dependency(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = { 0 };
	struct files f;

	put_kernel(&tar, CODEC_GZIP);
	put_module(&tar, "rare", "rarer", MAGIC);
	put_module(&tar, "rarer", "", MAGIC);
	put_module(&tar, "ext4", "rare", MAGIC);
	put_modules(&tar);
	tar_end(&tar);
	assert_int_equal(import_bytes(&f, &tar), 0);
	assert_int_equal(f.result.module_count, 8);
	end_import(&f);
	assert_int_equal(import_pipe(&f, &tar), -EAGAIN);
	assert_non_null(strstr(err, "pipe"));
	end_import(&f);
}

/* Of the kernel in a package, as a distribution builds it. */
static const struct {
	const char *name;
	const char *config;		/* lines; NULL: there is no file of it */
	bool in_kernel;			/* it is in the vmlinux, not in a file */
	const char *builtin;
	const char *modules[8];
	bool vsock;
	const char *says;		/* NULL: it is imported */
} built[] = {
	{ "Debian cloud, 6.1", "CONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_BLK=m\n"
	    "CONFIG_VIRTIO_NET=m\nCONFIG_VIRTIO_CONSOLE=m\n"
	    "CONFIG_VIRTIO_VSOCKETS=m\n"
	    "# CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is not set\n", false,
	    "k/ext4.ko\n", { "virtio_mmio", "virtio_blk", "virtio_net",
	    "virtio_console", "vmw_vsock_virtio_transport" }, true, NULL },
	{ "Fedora 43, kernel-core and kernel-modules-core",
	    "CONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_NET=m\n"
	    "CONFIG_VIRTIO_VSOCKETS=m\n", false,
	    "k/ext4.ko\nk/virtio_blk.ko\nk/virtio_console.ko\n",
	    { "virtio_mmio", "virtio_net", "vmw_vsock_virtio_transport" },
	    true, NULL },
	{ "its kernel-core alone",
	    "CONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_NET=m\n"
	    "CONFIG_VIRTIO_VSOCKETS=m\n", false,
	    "k/ext4.ko\nk/virtio_blk.ko\nk/virtio_console.ko\n", { NULL },
	    false, "CONFIG_VIRTIO_MMIO=m, but its module virtio_mmio is not here" },
	{ "CentOS Stream 10", "# CONFIG_VIRTIO_MMIO is not set\n"
	    "# CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is not set\n"
	    "CONFIG_VIRTIO_BLK=m\nCONFIG_VIRTIO_NET=m\nCONFIG_EXT4_FS=m\n"
	    "CONFIG_VIRTIO_CONSOLE=m\n", false, "k/virtio_pci.ko\n",
	    { "virtio_blk", "virtio_net", "ext4", "virtio_console" }, false,
	    "has no virtio_mmio (CONFIG_VIRTIO_MMIO)" },
	{ "Arch, 6.4", "CONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_BLK=m\n"
	    "CONFIG_VIRTIO_NET=m\nCONFIG_VIRTIO_CONSOLE=m\n"
	    "CONFIG_VIRTIO_VSOCKETS=m\nCONFIG_EXT4_FS=m\n", true,
	    "k/virtio.ko\n", { "virtio_mmio", "virtio_blk", "virtio_net",
	    "virtio_console", "vmw_vsock_virtio_transport", "ext4" }, true,
	    NULL },
	{ "Alpine virt, 6.6", "CONFIG_VIRTIO_BLK=m\nCONFIG_VIRTIO_NET=m\n"
	    "CONFIG_VIRTIO_VSOCKETS=m\nCONFIG_EXT4_FS=m\n", false,
	    "k/virtio_mmio.ko\nk/virtio_console.ko\n", { "virtio_blk",
	    "virtio_net", "ext4", "vmw_vsock_virtio_transport" }, true, NULL },
	{ "Ubuntu 24.04, linux-image and linux-modules",
	    "CONFIG_VIRTIO_VSOCKETS=m\n", false, "k/ext4.ko\n"
	    "k/virtio_mmio.ko\nk/virtio_blk.ko\nk/virtio_net.ko\n"
	    "k/virtio_console.ko\n", { "vmw_vsock_virtio_transport" }, true,
	    NULL },
	{ "a configuration, but no modules.builtin", "", true, NULL,
	    { "crc32c_generic" }, true, NULL },
	{ "neither, so nothing is known", NULL, false, NULL, { "crc32c_generic" }, false,
	    NULL },
	{ "no configuration", NULL, false, "k/ext4.ko\n", { "virtio_blk" },
	    false, "has no virtio_mmio (CONFIG_VIRTIO_MMIO)" },
	{ "without ext4", "# CONFIG_EXT4_FS is not set\n", true,
	    NULL, { "crc32c_generic" }, false, "has no ext4 (CONFIG_EXT4_FS)" },
	{ "without devtmpfs", "# CONFIG_DEVTMPFS is not set\n", true, NULL,
	    { "crc32c_generic" }, false, "built without CONFIG_DEVTMPFS, which a guest" },
	{ "with a serial port that is a module", "CONFIG_SERIAL_8250=m\n"
	    "CONFIG_SERIAL_8250_CONSOLE=n\n", true, NULL, { "crc32c_generic" }, false,
	    "CONFIG_SERIAL_8250_CONSOLE" },
	{ "without any way to find devices", "# CONFIG_ACPI is not set\n"
	    "# CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is not set\n", false, NULL,
	    { "crc32c_generic" }, false, "built without CONFIG_ACPI, by which" },
};

/* The package of BUILT[I]. */
static struct bytes
make_built(size_t i)
{
	struct bytes tar = { 0 }, elf = make_vmlinux(), config = { 0 };

	if (built[i].config != NULL)
		config = make_config(built[i].config);
	if (built[i].in_kernel)
		append_ikconfig(&elf, &config);
	else if (built[i].config != NULL)
		tar_member(&tar, "boot/config-" FIXTURE_RELEASE, '0',
		    config.data, config.len);
	tar_member(&tar, "boot/vmlinux", '0', elf.data, elf.len);
	if (built[i].builtin != NULL)
		tar_member(&tar, "usr/" MODULES "modules.builtin", '0',
		    built[i].builtin, strlen(built[i].builtin));
	for (size_t n = 0; built[i].modules[n] != NULL; n++)
		put_module(&tar, built[i].modules[n], "", MAGIC);
	tar_end(&tar);
	free_bytes(&elf);
	free_bytes(&config);
	return tar;
}

static void
test_what_it_was_built_with(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(built); i++) {
		_cleanup_bytes_ struct bytes tar = make_built(i);
		struct files f;
		int rc = import_bytes(&f, &tar);

		assert_case(rc == (built[i].says == NULL ? 0 : -ENOENT), i,
		    err);
		if (built[i].says != NULL)
			assert_case(strstr(err, built[i].says) != NULL, i, err);
		else
			assert_case(f.result.vsock == built[i].vsock &&
			    f.result.acpi, i, built[i].name);
		end_import(&f);
	}
}

/* Firecracker names its devices on the command line as well. */
static void
test_without_acpi(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes elf = make_vmlinux(), tar = { 0 },
	    config = make_config("# CONFIG_ACPI is not set\n");
	struct files f;

	append_ikconfig(&elf, &config);
	tar_member(&tar, "boot/vmlinux", '0', elf.data, elf.len);
	tar_end(&tar);
	assert_int_equal(import_bytes(&f, &tar), 0);
	assert_false(f.result.acpi);
	assert_true(f.result.vsock);
	end_import(&f);
}

/* A part of a configuration, or another kernel's, says nothing. */
static void
test_other_configs(void **state UNUSED)
{
	static const char *const names[] = { "boot/config-6.1.0-8-test",
		"boot/config-" FIXTURE_RELEASE, "boot/config" };
	_cleanup_bytes_ struct bytes elf = make_vmlinux(),
	    config = make_config("# CONFIG_ACPI is not set\n"
	    "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=n\n");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_bytes_ struct bytes tar = { 0 };

		/* The second is cut off its first line that tells what it is. */
		tar_member(&tar, names[i], '0', config.data + (i == 1 ? 40 : 0),
		    config.len - (i == 1 ? 40 : 0));
		tar_member(&tar, "boot/vmlinux", '0', elf.data, elf.len);
		tar_end(&tar);
		assert_case(try_bytes(&tar) == 0, i, err);
	}
}

/* Another processor's kernel or module, or no way into it, is said so. */
static void
test_architectures(void **state UNUSED)
{
	static const struct {
		const char *says;
		size_t at;
		uint64_t value;
		unsigned n;
	} elves[] = {
		{ "kernel is for arm64", 18, 183, 2 },
		{ "kernel is for riscv", 18, 243, 2 },
		{ "neither a PVH nor a 64-bit entry", 24, 0x2000000, 8 },
	};
	_cleanup_bytes_ struct bytes i386 = make_bzimage(CODEC_GZIP),
	    image = { 0 }, tar = { 0 }, arm = { 0 }, module, ppc = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(elves); i++) {
		_cleanup_bytes_ struct bytes elf = make_vmlinux(), b = { 0 };

		poke(&elf, 256 + 28, 17, 4);	/* no PVH note */
		poke(&elf, elves[i].at, elves[i].value, elves[i].n);
		tar_member(&b, "boot/vmlinux-1", '0', elf.data, elf.len);
		tar_end(&b);
		assert_case(try_bytes(&b) == -EBADMSG, i, err);
		assert_case(strstr(err, elves[i].says) != NULL, i, err);
	}
	poke(&i386, 0x236, 0, 2);
	tar_member(&tar, "boot/vmlinuz-1", '0', i386.data, i386.len);
	tar_end(&tar);
	assert_int_equal(try_bytes(&tar), -EBADMSG);
	assert_non_null(strstr(err, "kernel is for i386"));

	append(&image, "MZ", 2);
	for (int i = 0; i < 100; i++)
		append(&image, "\0\0\0\0\0\0\0", 7);
	memcpy(image.data + 0x38, "ARM\x64", 4);
	tar_member(&arm, "boot/vmlinuz-1", '0', image.data, image.len);
	tar_end(&arm);
	assert_int_equal(try_bytes(&arm), -EBADMSG);
	assert_non_null(strstr(err, "kernel is for arm64"));

	module = make_module("virtio", "", MAGIC);
	poke(&module, 18, 21, 2);
	tar_member(&ppc, MODULES "virtio.ko", '0', module.data, module.len);
	tar_end(&ppc);
	assert_int_equal(try_bytes(&ppc), -EBADMSG);
	assert_non_null(strstr(err, "virtio is for ppc64"));
}

/* newc: a member of a cpio archive, as an rpm has it. */
static void
cpio_member(struct bytes *cpio, const char *path, const void *data, size_t len)
{
	char header[111];

	/* Inode, mode, owner, links, time; the file's size; devices; name. */
	assert_int_equal(format(header, sizeof(header), "070701%08x%08x%024x"
	    "%08x%08x%032x%08x%08x", 1U, 0100644U, 1U, 0U, (unsigned)len, 0U,
	    (unsigned)strlen(path) + 1, 0U), 0);
	append(cpio, header, 110);
	append(cpio, path, strlen(path) + 1);
	append(cpio, "\0\0\0", (4 - cpio->len % 4) % 4);
	append(cpio, data, len);
	append(cpio, "\0\0\0", (4 - cpio->len % 4) % 4);
}

/* A lead, two headers without an entry, and what CPIO holds. */
static struct bytes
make_rpm(const struct bytes *cpio)
{
	static const uint8_t header[16] = { 0x8e, 0xad, 0xe8, 1, };
	uint8_t lead[96] = { 0xed, 0xab, 0xee, 0xdb, 3, 0 };
	struct bytes b = { 0 };

	lead[79] = 5;
	append(&b, lead, sizeof(lead));
	append(&b, header, sizeof(header));
	append(&b, header, sizeof(header));
	append(&b, cpio->data, cpio->len);
	return b;
}

/* A kernel-core and a kernel-modules-core, in one tar and alone. */
static void
test_packages(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes k = make_bzimage(CODEC_ZSTD), core = { 0 },
	    modules = { 0 }, tar = good_tar(), deb = make_deb(&tar),
	    both = { 0 }, nested = { 0 }, one, two;
	static const char *const names[] = { "virtio", "virtio_mmio",
		"virtio_blk", "virtio_console", "crc32c_generic" };
	struct files f;

	cpio_member(&core, "./" MODULES "vmlinuz", k.data, k.len);
	cpio_member(&core, "./" MODULES "modules.builtin", builtin,
	    strlen(builtin));
	cpio_member(&core, "TRAILER!!!", "", 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_bytes_ struct bytes m = make_module(names[i], i > 0 &&
		    i < 4 ? "virtio" : "", MAGIC);
		char path[100];

		assert_int_equal(format(path, sizeof(path), "./" MODULES
		    "kernel/%s.ko", names[i]), 0);
		cpio_member(&modules, path, m.data, m.len);
	}
	cpio_member(&modules, "TRAILER!!!", "", 0);
	one = make_rpm(&core);
	two = make_rpm(&modules);
	assert_int_equal(try_bytes(&one), -ENOENT);
	assert_non_null(strstr(err, "CONFIG_VIRTIO_MMIO"));
	assert_int_equal(try_bytes(&two), -ENOENT);
	assert_non_null(strstr(err, "no kernel"));
	tar_member(&both, "packages/kernel-core.rpm", '0', one.data, one.len);
	tar_member(&both, "packages/modules.rpm", '0', two.data, two.len);
	tar_end(&both);
	assert_int_equal(import_bytes(&f, &both), 0);
	check_good(&f);
	end_import(&f);
	/* A .deb has an archive in it as well; deeper than that is no package. */
	tar_member(&nested, "packages/a.deb", '0', deb.data, deb.len);
	tar_end(&nested);
	assert_int_equal(import_bytes(&f, &nested), 0);
	check_good(&f);
	end_import(&f);
	both.len = 0;
	tar_member(&both, "packages/a.tar", '0', nested.data, nested.len);
	tar_end(&both);
	assert_int_equal(try_bytes(&both), -ENOENT);
	both.len = 0;
	tar_member(&both, "packages/cut.rpm", '0', one.data, one.len / 2);
	tar_end(&both);
	assert_int_equal(try_bytes(&both), -EBADMSG);
	assert_non_null(strstr(err, "cut.rpm"));
}

static void
test_wrong_contents(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes two = { 0 }, none = { 0 }, other = { 0 },
	    mixed = { 0 }, empty = { 0 }, link = { 0 }, damaged = { 0 };

	put_kernel(&two, CODEC_XZ);
	put_kernel(&two, CODEC_XZ);
	tar_end(&two);
	assert_int_equal(try_bytes(&two), -EBADMSG);
	assert_non_null(strstr(err, "more than one kernel"));

	put_modules(&none);
	tar_end(&none);
	assert_int_equal(try_bytes(&none), -ENOENT);
	assert_non_null(strstr(err, "no kernel"));

	put_kernel(&other, CODEC_XZ);
	tar_member(&other, "lib/modules/6.1.0-8-test/modules.builtin", '0',
	    "", 0);
	tar_end(&other);
	assert_int_equal(try_bytes(&other), -EBADMSG);
	assert_non_null(strstr(err, "6.1.0-8-test"));

	put_modules(&mixed);
	tar_member(&mixed, "lib/modules/6.1.0-8-test/modules.builtin", '0',
	    "", 0);
	tar_end(&mixed);
	assert_int_equal(try_bytes(&mixed), -EBADMSG);
	assert_non_null(strstr(err, "two kernels"));

	tar_member(&empty, "boot/vmlinuz", '0', "", 0);
	put_modules(&empty);
	tar_end(&empty);
	assert_int_equal(try_bytes(&empty), -EBADMSG);

	/* Links have no bytes; they are not followed, so there is no kernel. */
	tar_member(&link, "boot/vmlinuz", '1', "", 0);
	tar_member(&link, "boot/vmlinux", '2', "", 0);
	put_modules(&link);
	tar_end(&link);
	assert_int_equal(try_bytes(&link), -ENOENT);

	tar_member(&damaged, "boot/vmlinuz", '0', err, sizeof(err));
	put_modules(&damaged);
	tar_end(&damaged);
	assert_int_equal(try_bytes(&damaged), -EBADMSG);
}

static void
test_not_an_archive(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes kernel = make_bzimage(CODEC_XZ),
	    elf = make_vmlinux(), deb = { 0 }, nothing = { 0 };

	assert_int_equal(try_bytes(&nothing), -EBADMSG);
	assert_int_equal(try_bytes(&kernel), -EBADMSG);
	assert_int_equal(try_bytes(&elf), -EBADMSG);
	append(&deb, "!<arch>\n", 8);
	assert_int_equal(try_bytes(&deb), -EBADMSG);
	append(&deb, "debian-binary   0           0     0     100644  "
	    "4         `\n2.0\n", 64);
	assert_int_equal(try_bytes(&deb), -EBADMSG);
}

/*
 * A stream cut anywhere is an error, as long as the kernel comes last, which
 * is how kernel_pack() sends it; never mind the end mark's zeros.
 */
static void
test_truncated_anywhere(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = { 0 };
	size_t whole;

	put_modules(&tar);
	put_kernel(&tar, CODEC_ZSTD);
	whole = tar.len - tar.len % 512;
	tar_end(&tar);
	for (size_t len = 0; len < whole; len += len % 512 == 0 ? 1 : 511) {
		_cleanup_bytes_ struct bytes b = { 0 };

		append(&b, tar.data, len);
		assert_case(try_bytes(&b) < 0, len, "tar");
	}
}

static void
test_truncated_deb(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = good_tar();
	_cleanup_bytes_ struct bytes deb = make_deb(&tar);

	for (size_t len = 0; len < deb.len - 1; len += 397) {
		_cleanup_bytes_ struct bytes b = { 0 };

		append(&b, deb.data, len);
		assert_case(try_bytes(&b) < 0, len, "deb");
	}
}

static void
test_flipped_bytes(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = good_tar();
	_cleanup_bytes_ struct bytes deb = make_deb(&tar);

	for (size_t at = 0; at < deb.len; at += 23) {
		deb.data[at] ^= 0xff;
		try_bytes(&deb);
		deb.data[at] ^= 0xff;
	}
}

static void
test_full_disk(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = good_tar();
	_cleanup_close_ int agent = memfd_with(AGENT, strlen(AGENT));
	_cleanup_close_ int full = open("/dev/full", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int in = memfd_with(tar.data, tar.len);
	_cleanup_close_ int one = memfd_with("", 0), two = memfd_with("", 0);
	struct kernel_import_result result;

	assert_int_equal(kernel_import_archive(in, agent, full, one, two,
	    NULL, NULL, &result, err, sizeof(err)), -ENOSPC);
	lseek(in, 0, SEEK_SET);
	assert_int_equal(kernel_import_archive(in, agent, one, full, two,
	    NULL, NULL, &result, err, sizeof(err)), -ENOSPC);
	lseek(in, 0, SEEK_SET);
	lseek(one, 0, SEEK_SET);
	assert_int_equal(kernel_import_archive(in, agent, one, two, full,
	    NULL, NULL, &result, err, sizeof(err)), -ENOSPC);
}

static void
test_bad_fds(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = good_tar();
	_cleanup_close_ int empty = memfd_with("", 0);
	_cleanup_close_ int in = memfd_with(tar.data, tar.len);
	_cleanup_close_ int a = memfd_with("", 0), b = memfd_with("", 0),
	    c = memfd_with("", 0);
	struct kernel_import_result result;

	assert_int_equal(kernel_import_archive(-1, empty, a, b, c, NULL, NULL,
	    &result, err, sizeof(err)), -EBADF);
	/* An agent without a byte. */
	assert_int_equal(kernel_import_archive(in, empty, a, b, c, NULL, NULL,
	    &result, err, sizeof(err)), -ENODATA);
}

static void
test_refresh(void **state UNUSED)
{
	static const char *const agents[] = { "a much longer agent", "b" };
	_cleanup_bytes_ struct bytes tar = good_tar();
	struct files f;
	uint64_t size = 0;

	assert_int_equal(import_bytes(&f, &tar), 0);
	for (size_t i = 0; i < ARRAY_SIZE(agents); i++) {
		_cleanup_close_ int agent = memfd_with(agents[i],
		    strlen(agents[i]));
		struct bytes b;

		assert_int_equal(kernel_initrd_refresh_agent(f.initrd,
		    f.result.initrd_modules_bytes, agent, &size, err,
		    sizeof(err)), 0);
		b = read_fd_all(f.initrd);
		assert_int_equal(b.len, size);
		assert_non_null(memmem(b.data, b.len, agents[i],
		    strlen(agents[i])));
		assert_null(memmem(b.data, b.len, AGENT, strlen(AGENT)));
		free(b.data);
	}
	/* The size is what a first import with that agent would give. */
	assert_true(size < f.result.initrd_bytes);
	end_import(&f);
}

static void
test_refresh_refuses(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes tar = good_tar();
	_cleanup_close_ int agent = memfd_with("new", 3);
	struct files f;
	uint64_t size = 7, at[5];
	struct bytes before, after;

	assert_int_equal(import_bytes(&f, &tar), 0);
	before = read_fd_all(f.initrd);
	at[0] = f.result.initrd_modules_bytes + 4;
	at[1] = f.result.initrd_modules_bytes + 1;
	at[2] = f.result.initrd_bytes;
	at[3] = UINT64_MAX;
	at[4] = UINT64_MAX - 3;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		assert_int_equal(kernel_initrd_refresh_agent(f.initrd, at[i],
		    agent, &size, err, sizeof(err)), -EBADMSG);
	after = read_fd_all(f.initrd);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, after.len);
	assert_int_equal(size, 7);
	free(before.data);
	free(after.data);
	end_import(&f);
}

/* Puts a modules directory into TEMP, as depmod's users know it. */
static void
fill_modules_dir(struct temp *t)
{
	static const struct {
		const char *name, *depends;
	} modules[] = {
		{ "virtio_console", "virtio" }, { "virtio_blk", "virtio" },
		{ "crc32c-generic", "rare" }, { "rare", "" },
		{ "dm-mod", "" }, { "virtio_mmio", "virtio" }, { "virtio", "" },
	};

	mkdirat(t->fd, "kernel", 0755);
	mkdirat(t->fd, "kernel/d", 0755);
	if (!exists(t->fd, "kernel/d/build"))
		assert_int_equal(symlinkat("..", t->fd, "kernel/d/build"), 0);
	put_file(t->fd, "modules.builtin", builtin, strlen(builtin));
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		char name[MODULE_NAME_MAX], path[100];
		struct bytes b;

		assert_true(module_name(modules[i].name,
		    strlen(modules[i].name), false, name));
		b = make_module(name, modules[i].depends, MAGIC);
		assert_int_equal(format(path, sizeof(path), "kernel/d/%s.ko",
		    modules[i].name), 0);
		put_file(t->fd, path, b.data, b.len);
		free(b.data);
	}
}

static void
test_pack(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes k = make_bzimage(CODEC_LZ4);
	_cleanup_close_ int out = memfd_with("", 0);
	char path[100];
	struct files f;
	struct temp t;

	begin_temp(&t);
	fill_modules_dir(&t);
	put_file(t.fd, "vmlinuz", k.data, k.len);
	assert_int_equal(format(path, sizeof(path), "%s/vmlinuz", t.path), 0);
	assert_int_equal(kernel_pack(path, t.path, out, err, sizeof(err)), 0);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	assert_int_equal(import_fd(&f, out), 0);
	assert_string_equal(f.result.version, FIXTURE_RELEASE);
	assert_int_equal(f.result.module_count, 6);
	end_import(&f);
	end_temp(&t);
}

static void
test_pack_errors(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes k = make_bzimage(CODEC_LZ4);
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	_cleanup_close_ int out = memfd_with("", 0);
	char path[100];
	struct temp t;

	begin_temp(&t);
	assert_int_equal(format(path, sizeof(path), "%s/vmlinuz", t.path), 0);
	assert_int_equal(kernel_pack(path, t.path, out, err, sizeof(err)),
	    -ENOENT);
	put_file(t.fd, "vmlinuz", k.data, k.len);
	assert_int_equal(kernel_pack(path, "/nonexistent", out, err,
	    sizeof(err)), -ENOENT);
	assert_int_equal(kernel_pack(t.path, t.path, out, err, sizeof(err)),
	    -EINVAL);
	/* An empty directory has none of the modules. */
	assert_int_equal(kernel_pack(path, t.path, out, err, sizeof(err)),
	    -ENOENT);
	fill_modules_dir(&t);
	put_file(t.fd, "kernel/d/virtio.ko", "rubbish", 7);
	assert_int_equal(kernel_pack(path, t.path, out, err, sizeof(err)),
	    -EBADMSG);
	assert_int_equal(lseek(out, 0, SEEK_END), 0);
	fill_modules_dir(&t);
	assert_int_equal(kernel_pack(path, t.path, full, err, sizeof(err)),
	    -ENOSPC);
	end_temp(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tar),
		cmocka_unit_test(test_deb),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_vmlinux_given),
		cmocka_unit_test(test_vmlinuz_among_the_modules),
		cmocka_unit_test(test_kernel_without_modules),
		cmocka_unit_test(test_unusual_dependency),
		cmocka_unit_test(test_what_it_was_built_with),
		cmocka_unit_test(test_without_acpi),
		cmocka_unit_test(test_other_configs),
		cmocka_unit_test(test_architectures),
		cmocka_unit_test(test_packages),
		cmocka_unit_test(test_wrong_contents),
		cmocka_unit_test(test_not_an_archive),
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_truncated_deb),
		cmocka_unit_test(test_flipped_bytes),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_bad_fds),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_refresh_refuses),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_pack_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
