/*
 * See disk.h.
 */
#include "privsep/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "privsep/check.h"
#include "privsep/log.h"
#include "privsep/node.h"
#include "privsep/udev.h"
#include "privsep/util.h"

#define SNAPSHOT_PREFIX "fc-rootfs-"
#define ORIGIN_PREFIX "fc-origin-"

enum { SECTOR_BYTES = 512, ORIGIN_TRIES = 8 };

/* An origin that is open, so that it stays. */
struct origin {
	int fd;
	dev_t rdev;
};

void
disk_host_open(struct disk_host *host, const char *store)
{
	host->mapper = host->loops.control = host->loops.sysfs = -1;
	host->udev_ms = udev_keep_out(store);
	host->nodes = node_dir_open();
	if (host->nodes < 0) {
		log_warn("device nodes: %s", strerror(-host->nodes));
		return;
	}
	loops_open(&host->loops, host->nodes);
	host->mapper = mapper_open(host->nodes);
	if (host->mapper >= 0 && mapper_has_target(host->mapper, "linear") &&
	    mapper_has_target(host->mapper, "zero") &&
	    mapper_has_target(host->mapper, "snapshot"))
		return;
	close_fdp(&host->mapper);
}

bool
disk_snapshots(const struct disk_host *host)
{
	return host->mapper >= 0 && host->loops.control >= 0;
}

void
disk_init(struct disk *disk)
{
	*disk = (struct disk){ .fd = -1, .locks = { -1, -1 } };
}

void
disk_close_fd(struct disk *disk)
{
	close_fdp(&disk->fd);
}

void
disk_unlock(struct disk *disk)
{
	close_fdp(&disk->locks[0]);
	close_fdp(&disk->locks[1]);
}

void
disk_close(struct disk *disk)
{
	disk_close_fd(disk);
	disk_unlock(disk);
	disk_init(disk);
}

/* LOOP_LOCK until udev is known to have read our rule. */
static int
lock_mode(const struct disk_host *host)
{
	return host->udev_ms <= monotonic_ms() ? 0 : LOOP_LOCK;
}

int
disk_attach(const struct disk_host *host, struct disk *disk, int fd, bool loop,
    const char **what)
{
	struct loop device = { .fd = -1, .lock = -1 };
	int r;

	*what = "disk";
	if (!loop) {
		r = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (r < 0)
			return -errno;
		disk->fd = r;
		return 0;
	}
	*what = "loop device of the disk";
	r = loop_attach(&host->loops, fd, LOOP_DIRECT | lock_mode(host),
	    &device);
	if (r < 0)
		return r;
	disk->fd = device.fd;
	disk->rdev = device.rdev;
	disk->locks[0] = device.lock;
	return 0;
}

/* ---- origins ---- */

/*
 * The image by its inode: as long as the origin is there its loop device holds
 * the file, and the number is not given to another one.
 */
static int
origin_name(const struct stat *image, uint64_t sectors,
    char out[MAPPER_NAME_BYTES])
{
	return format(out, MAPPER_NAME_BYTES,
	    ORIGIN_PREFIX "%" PRIx64 "-%" PRIx64 "-%" PRIx64,
	    (uint64_t)image->st_dev, (uint64_t)image->st_ino, sectors);
}

/* The image, and zeros up to the size of the disk. */
static int
origin_create(const struct disk_host *host, const char *name, int image,
    uint64_t image_sectors, uint64_t sectors, int *lock, dev_t *rdev)
{
	struct loop loop __attribute__((cleanup(loop_drop))) = {
		.fd = -1, .lock = -1 };
	struct mapper_target targets[] = {
		{ .sectors = image_sectors, .type = "linear" },
		{ .start = image_sectors, .sectors = sectors - image_sectors,
		    .type = "zero" },
	};
	/* Through the page cache, which all of its VMs share. */
	int r = loop_attach(&host->loops, image,
	    LOOP_READ_ONLY | lock_mode(host), &loop);

	if (r == 0)
		r = format(targets[0].params, sizeof(targets[0].params),
		    "%u:%u 0", major(loop.rdev), minor(loop.rdev));
	if (r == 0)
		r = mapper_create(host->mapper, name, true, targets,
		    targets[1].sectors > 0 ? 2 : 1, rdev);
	if (r == 0)
		*lock = steal_fd(&loop.lock);
	return r;
}

/*
 * Opens the origin of IMAGE, made if need be. From then on the kernel removes
 * it with its last user; one that was just found may go that way meanwhile.
 */
static int
origin_open(const struct disk_host *host, int image, uint64_t sectors,
    int *lock, struct origin *origin)
{
	char name[MAPPER_NAME_BYTES];
	struct stat st;
	int i, r;

	if (fstat(image, &st) < 0)
		return -errno;
	r = origin_name(&st, sectors, name);
	if (r < 0)
		return r;
	for (i = 0; i < ORIGIN_TRIES; i++) {
		r = mapper_find(host->mapper, name, &origin->rdev);
		if (r == -ENXIO)
			r = origin_create(host, name, image,
			    (uint64_t)st.st_size / SECTOR_BYTES, sectors, lock,
			    &origin->rdev);
		if (r < 0 && r != -EEXIST)
			return r;
		if (r == 0)
			r = node_open(host->nodes, S_IFBLK, origin->rdev,
			    O_RDONLY);
		if (r >= 0) {
			origin->fd = r;
			r = mapper_remove(host->mapper, name, true);
			if (r == 0)
				return 0;
			break;
		}
		close_fdp(lock);
	}
	(void)mapper_remove(host->mapper, name, true);
	return r;
}

/* ---- snapshots ---- */

static void
snapshot_name(uint64_t id, char out[MAPPER_NAME_BYTES])
{
	(void)format(out, MAPPER_NAME_BYTES, SNAPSHOT_PREFIX "%0*" PRIx64,
	    VM_ID_HEX, id & VM_ID_MAX);
}

/* Removes NAME now, or with its last user. */
static int
remove_snapshot(const struct disk_host *host, const char *name)
{
	int r = mapper_remove(host->mapper, name, false);

	return r == -EBUSY ? mapper_remove(host->mapper, name, true) : r;
}

/*
 * Chunks of 8 sectors, and a table of them in the COW file (P) or in memory (N)
 * only, which spares a flush for each (the kernel's device-mapper/snapshot.rst).
 */
static int
snapshot_create(const struct disk_host *host, const char *name, dev_t origin,
    dev_t cow, const struct snapshot_create_request *request, dev_t *rdev)
{
	struct mapper_target target = { .type = "snapshot",
		.sectors = request->disk_bytes / SECTOR_BYTES };
	int r = format(target.params, sizeof(target.params),
	    "%u:%u %u:%u %c %d", major(origin), minor(origin), major(cow),
	    minor(cow), request->transient != 0 ? 'N' : 'P',
	    SNAPSHOT_CHUNK_BYTES / SECTOR_BYTES);

	if (r == 0)
		r = mapper_create(host->mapper, name, false, &target, 1, rdev);
	if (r != -EEXIST)
		return r;
	/* Of a VMM that had not closed it yet when its VM was stopped. */
	r = mapper_remove(host->mapper, name, false);
	return r < 0 ? r : mapper_create(host->mapper, name, false, &target,
	    1, rdev);
}

/* The snapshot on ORIGIN and COW, open in DISK. */
static int
snapshot_open(const struct disk_host *host, struct disk *disk, uint64_t id,
    dev_t origin, dev_t cow, const struct snapshot_create_request *request)
{
	char name[MAPPER_NAME_BYTES];
	int r;

	snapshot_name(id, name);
	r = snapshot_create(host, name, origin, cow, request, &disk->rdev);
	if (r < 0)
		return r;
	r = node_open(host->nodes, S_IFBLK, disk->rdev, O_RDWR);
	if (r < 0) {
		(void)remove_snapshot(host, name);
		return r;
	}
	disk->fd = r;
	return 0;
}

int
disk_snapshot(const struct disk_host *host, struct disk *disk, uint64_t id,
    const int *fds, const struct snapshot_create_request *request,
    const char **what)
{
	struct loop cow __attribute__((cleanup(loop_drop))) = {
		.fd = -1, .lock = -1 };
	struct origin origin = { .fd = -1 };
	struct disk made;
	int r;

	disk_init(&made);
	*what = "device mapper";
	if (!disk_snapshots(host))
		return -ENODEV;
	*what = "origin device of the image";
	r = origin_open(host, fds[SNAPSHOT_IMAGE],
	    request->disk_bytes / SECTOR_BYTES, &made.locks[0], &origin);
	if (r == 0) {
		*what = "loop device of the COW file";
		/* The guest and the VMM have their caches. */
		r = loop_attach(&host->loops, fds[SNAPSHOT_COW],
		    LOOP_DIRECT | lock_mode(host), &cow);
	}
	if (r == 0) {
		*what = "snapshot";
		made.locks[1] = steal_fd(&cow.lock);
		r = snapshot_open(host, &made, id, origin.rdev, cow.rdev,
		    request);
	}
	if (r == 0)
		*disk = made;
	else
		disk_close(&made);
	close_fdp(&origin.fd);
	return r;
}

int
disk_status(const struct disk_host *host, uint64_t id,
    struct mapper_snapshot *status)
{
	char name[MAPPER_NAME_BYTES];
	int r;

	snapshot_name(id, name);
	r = host->mapper < 0 ? -ENXIO : mapper_status(host->mapper, name,
	    status);
	return r == -ENXIO ? -ENODEV : r;
}

int
disk_release(const struct disk_host *host, struct disk *disk, uint64_t id)
{
	char name[MAPPER_NAME_BYTES];
	int r = 0;

	disk_close_fd(disk);
	snapshot_name(id, name);
	if (host->mapper >= 0)
		r = remove_snapshot(host, name);
	/* Last: udev is kept out as long as there is something to see. */
	disk_close(disk);
	return r;
}

/* ---- what was left ---- */

struct sweep {
	const struct disk_host *host;
	bool (*live)(void *arg, uint64_t id);
	void *arg;
};

/* The VM that NAME is the snapshot of, or 0. */
static uint64_t
snapshot_of(const char *name)
{
	char again[MAPPER_NAME_BYTES];
	uint64_t id;

	if (strncmp(name, SNAPSHOT_PREFIX, strlen(SNAPSHOT_PREFIX)) != 0)
		return 0;
	id = strtoull(name + strlen(SNAPSHOT_PREFIX), NULL, 16);
	snapshot_name(id, again);
	return strcmp(name, again) == 0 && check_vm_id(id) == 0 ? id : 0;
}

static int
sweep_snapshot(void *arg, const char *name)
{
	const struct sweep *sweep = arg;
	uint64_t id = snapshot_of(name);
	int r;

	if (id == 0 || sweep->live(sweep->arg, id))
		return 0;
	r = mapper_remove(sweep->host->mapper, name, false);
	if (r < 0)
		log_warn("snapshot %s is left as it is: %s", name,
		    strerror(-r));
	return 0;
}

static int
sweep_origin(void *arg, const char *name)
{
	const struct sweep *sweep = arg;

	if (strncmp(name, ORIGIN_PREFIX, strlen(ORIGIN_PREFIX)) == 0)
		(void)mapper_remove(sweep->host->mapper, name, true);
	return 0;
}

void
disk_sweep(const struct disk_host *host, bool (*live)(void *arg, uint64_t id),
    void *arg)
{
	struct sweep sweep = { host, live, arg };
	int r;

	if (host->mapper < 0)
		return;
	r = mapper_each(host->mapper, sweep_snapshot, &sweep);
	if (r == 0)
		r = mapper_each(host->mapper, sweep_origin, &sweep);
	if (r < 0)
		log_warn("devices of device mapper: %s", strerror(-r));
}
