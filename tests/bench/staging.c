/*
 * staging qemu|firecracker STATE-DIR CONFIG ROUNDS VMS: what the monitor does
 * for a VM before it is launched: bridge and rules are ensured; tap, set
 * elements, NAT, jail with its mounts, and with Firecracker loop devices and a
 * snapshot are staged; and after it has ended, all that is taken away. In the
 * caller's network and mount namespaces, which should be its own. Each round
 * stages VMS machines, then takes them away, each when udev has done with the
 * one before. Prints for each machine a line with the microseconds of the three.
 *
 * STATE-DIR holds the files that the worker would pass: image, config and, for
 * a sparse COW file each, cow-1 and so on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "privsep/disk.h"
#include "privsep/jail.h"
#include "privsep/log.h"
#include "privsep/network.h"
#include "privsep/path.h"
#include "privsep/udev.h"
#include "privsep/vm.h"

enum { VMS_MAX = 64, ROUNDS_MAX = 1000, SETTLE_STEPS = 2000 };

#define DISK_BYTES (UINT64_C(512) << 20)

static struct network network;
static struct config cfg;
static struct vm_table table;
static struct jail_host host;
static struct disk_host disks;
static int state, jails, config_fd, image_fd;
static bool firecracker;

static int
must(int r, const char *what)
{
	if (r < 0)
		fatal("%s: %s", what, strerror(-r));
	return r;
}

static void
stage_qemu(const struct vm *vm, const char *name)
{
	int mounts[JAIL_MOUNTS], root, i;

	must(jail_create(&host, jails, name, vm_uid(&table, vm), false,
	    config_fd, &root), "jail");
	must(jail_mounts(&host, vm_uid(&table, vm), image_fd, image_fd,
	    mounts), "mounts");
	close(root);
	for (i = 0; i < JAIL_MOUNTS; i++)
		close_fdp(&mounts[i]);
}

/* The launcher's part, which is little: a mount to where it belongs. */
static void
attach(int fd, int to, const char *path)
{
	if (syscall(SYS_move_mount, fd, "", to, path,
	    MOVE_MOUNT_F_EMPTY_PATH) < 0)
		fatal("%s: %s", path, strerror(errno));
}

static void
stage_firecracker(struct vm *vm, const char *name)
{
	char path[PATH_BYTES];
	const char *what = "";
	const struct snapshot_create_request wanted = {
		.disk_bytes = DISK_BYTES };
	struct chroot chroot;
	int fds[SNAPSHOT_FDS];

	(void)format(path, sizeof(path), "cow-%u", (unsigned int)vm->id);
	fds[SNAPSHOT_IMAGE] = image_fd;
	fds[SNAPSHOT_COW] = must(path_open(state, path, O_RDWR, 0), path);
	must(disk_snapshot(&disks, &vm->disk, vm->id, fds, &wanted, &what),
	    what);
	close(fds[SNAPSHOT_COW]);
	must(chroot_create(&(struct chroot_spec){ .name = name,
		.uid = vm_uid(&table, vm), .disk = vm->disk.rdev,
		.exec_fd = image_fd, .kernel_fd = image_fd,
		.initrd_fd = image_fd, .config_fd = config_fd }, &chroot),
	    "chroot");
	must(path_make_dir(jails, name, 0, 0, 0711), name);
	attach(chroot.tmpfs, jails, name);
	attach(chroot.exec, chroot.tmpfs, "exec/firecracker");
	(void)format(path, sizeof(path), "firecracker/%s/root/kernel", name);
	attach(chroot.kernel, chroot.tmpfs, path);
	(void)format(path, sizeof(path), "firecracker/%s/root/initrd", name);
	attach(chroot.initrd, chroot.tmpfs, path);
	chroot_close(&chroot);
	disk_close_fd(&vm->disk);
}

static void
stage(uint64_t id)
{
	char name[VM_ID_HEX + 1];
	struct vm *vm;

	vm = vm_allocate(&table, id);
	vm->ipv4 = network.net.addr + (uint32_t)id;
	must(vm_save(&table, vm), "record");
	must(network_add(&network, &table, vm), "tap");
	must(network_nat(&network, vm, true), "NAT");
	vm_name(id, name);
	if (firecracker)
		stage_firecracker(vm, name);
	else
		stage_qemu(vm, name);
}

static void
unstage(uint64_t id)
{
	char name[VM_ID_HEX + 1];
	struct vm *vm = vm_find(&table, id);

	vm_name(id, name);
	if (firecracker) {
		/* With the VMM's namespace the mounts go by themselves. */
		if (fchdir(jails) < 0 || umount2(name, MNT_DETACH) < 0)
			fatal("umount %s: %s", name, strerror(errno));
		must(disk_release(&disks, &vm->disk, id), "disk");
	}
	must(jail_remove(jails, name), "remove jail");
	must(network_remove(&network, vm), "remove tap");
	vm_free(&table, vm);
	if (vm_table_empty(&table))
		network_close(&network);
}

static void
open_all(const char *dir, const char *config)
{
	char err[256];

	if (config_load(config, true, &cfg, err, sizeof(err)) < 0)
		fatal("%s", err);
	state = must(path_open_trusted_dir(dir), dir);
	jails = must(path_make_dir(state, "jail", 0, 0, 0711), "jail");
	config_fd = must(path_open(state, "config", O_RDONLY, 0), "config");
	image_fd = must(path_open(state, "image", O_RDONLY, 0), "image");
	must(jail_host_open(&host), "host");
	must(network_open(&network, &cfg, state), "netlink");
	must(vm_table_init(&table, VMS_MAX, cfg.uid_base + 1, state), "table");
	if (!firecracker)
		return;
	disk_host_open(&disks, dir);
	if (!disk_snapshots(&disks))
		fatal("no device mapper here");
	/* As in a daemon that was not started just now. */
	while (disks.udev_ms > monotonic_ms())
		sleep_ms(100);
}

/* The last machine's uevents are worth more than a staging to udev. */
static void
settle(void)
{
	int i;

	for (i = 0; i < SETTLE_STEPS && access("/run/udev/queue", F_OK) == 0;
	    i++)
		sleep_ms(5);
}

int
main(int argc, char **argv)
{
	int rounds = argc == 6 ? atoi(argv[4]) : 0;
	int vms = argc == 6 ? atoi(argv[5]) : 0, i;
	int64_t ensure[VMS_MAX], up[VMS_MAX], down[VMS_MAX];

	if (rounds < 1 || rounds > ROUNDS_MAX || vms < 1 || vms > VMS_MAX)
		fatal("usage: staging qemu|firecracker STATE-DIR CONFIG ROUNDS "
		    "VMS");
	firecracker = strcmp(argv[1], "firecracker") == 0;
	open_all(argv[2], argv[3]);
	for (; rounds > 0; rounds--) {
		for (i = 0; i < vms; i++) {
			settle();
			ensure[i] = monotonic_us();
			must(network_ensure(&network, &table), "bridge");
			up[i] = monotonic_us();
			ensure[i] = up[i] - ensure[i];
			stage((uint64_t)i + 1);
			up[i] = monotonic_us() - up[i];
		}
		for (i = 0; i < vms; i++) {
			settle();
			down[i] = monotonic_us();
			unstage((uint64_t)i + 1);
			down[i] = monotonic_us() - down[i];
			printf("%lld %lld %lld\n", (long long)ensure[i],
			    (long long)up[i], (long long)down[i]);
		}
	}
	if (firecracker)
		udev_forget(argv[2]);
	return 0;
}
