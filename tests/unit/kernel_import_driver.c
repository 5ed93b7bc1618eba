/*
 * kernel-import-driver IN AGENT VMLINUZ VMLINUX INITRD: runs
 * kernel_import_archive() on files, for tests and for a look at its result.
 * IN may be "-". The three outputs are created anew. With "--refresh BYTES
 * AGENT INITRD" it runs kernel_initrd_refresh_agent() instead, with "--pack
 * VMLINUZ MODULES|- OUT" kernel_pack().
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/kernel_pack.h"
#include "image/kernel_import.h"
#include "privsep/util.h"

static int
open_or_say(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		perror(path);
	return fd;
}

static int
refresh(const char *bytes, const char *agent, const char *initrd)
{
	_cleanup_close_ int agent_fd = open_or_say(agent, O_RDONLY);
	_cleanup_close_ int initrd_fd = open_or_say(initrd, O_RDWR);
	uint64_t modules_bytes, initrd_bytes;
	char err[256] = "";

	if (agent_fd < 0 || initrd_fd < 0 ||
	    parse_u64(bytes, UINT64_MAX, &modules_bytes) < 0)
		return 2;
	if (kernel_initrd_refresh_agent(initrd_fd, modules_bytes, agent_fd,
	    &initrd_bytes, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	printf("initrd_bytes %" PRIu64 "\n", initrd_bytes);
	return 0;
}

static int
pack(const char *vmlinuz, const char *modules, const char *out)
{
	_cleanup_close_ int out_fd = open_or_say(out,
	    O_WRONLY | O_CREAT | O_TRUNC);
	char err[256] = "";

	if (out_fd < 0)
		return 2;
	if (kernel_pack(vmlinuz, strcmp(modules, "-") == 0 ? NULL : modules,
	    out_fd, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	return 0;
}

static void
print_result(const struct kernel_import_result *r)
{
	printf("version %s\nmodules %" PRIu32 "\nvmlinux_bytes %" PRIu64
	    "\nvmlinuz_bytes %" PRIu64 "\ninitrd_bytes %" PRIu64
	    "\ninitrd_modules_bytes %" PRIu64
	    "\nvmlinuz %d\nvmlinux %d\npvh %d\nvsock %d\nacpi %d\n",
	    r->version, r->module_count, r->vmlinux_bytes, r->vmlinuz_bytes,
	    r->initrd_bytes, r->initrd_modules_bytes, r->has_vmlinuz,
	    r->has_vmlinux, r->pvh, r->vsock, r->acpi);
}

static int
import(char **path)
{
	const int out = O_RDWR | O_CREAT | O_TRUNC;
	_cleanup_close_ int in_fd = strcmp(path[0], "-") == 0 ?
	    STDIN_FILENO : open_or_say(path[0], O_RDONLY);
	_cleanup_close_ int agent_fd = open_or_say(path[1], O_RDONLY);
	_cleanup_close_ int vmlinuz_fd = open_or_say(path[2], out);
	_cleanup_close_ int vmlinux_fd = open_or_say(path[3], out);
	_cleanup_close_ int initrd_fd = open_or_say(path[4], out);
	struct kernel_import_result result;
	char err[256] = "";
	int rc;

	if (in_fd < 0 || agent_fd < 0 || vmlinuz_fd < 0 || vmlinux_fd < 0 ||
	    initrd_fd < 0)
		return 2;
	rc = kernel_import_archive(in_fd, agent_fd, vmlinuz_fd, vmlinux_fd,
	    initrd_fd, NULL, NULL, &result, err, sizeof(err));
	if (rc < 0) {
		fprintf(stderr, "%s (%s)\n", err, strerror(-rc));
		return 1;
	}
	print_result(&result);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "--refresh") == 0)
		return refresh(argv[2], argv[3], argv[4]);
	if (argc == 5 && strcmp(argv[1], "--pack") == 0)
		return pack(argv[2], argv[3], argv[4]);
	if (argc == 6)
		return import(argv + 1);
	fprintf(stderr, "usage: %s IN AGENT VMLINUZ VMLINUX INITRD\n",
	    argv[0]);
	return 2;
}
