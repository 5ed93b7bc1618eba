/*
 * See mapper.h.
 */
#include "privsep/mapper.h"

#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "privsep/node.h"
#include "privsep/util.h"

/* The kernel's Documentation/admin-guide/devices.txt: misc, device-mapper. */
enum { MAPPER_CONTROL_MINOR = 236 };

enum {
	LIST_BYTES_MIN = 16 * 1024,
	LIST_BYTES_MAX = 4 * 1024 * 1024,
	/* A VMM that has just ended closes its device a moment later. */
	REMOVE_TRIES = 20,
	REMOVE_STEP_MS = 5,
};

/*
 * What libdevmapper passes to udev in the upper half of a "cookie"
 * (libdevmapper.h, DM_UDEV_*): all rules off, and remembered so. The lower
 * half is 0: nobody waits for udev.
 */
enum {
	UDEV_DISABLE_DM_RULES = 0x01,
	UDEV_DISABLE_SUBSYSTEM_RULES = 0x02,
	UDEV_DISABLE_DISK_RULES = 0x04,	/* those run blkid */
	UDEV_DISABLE_OTHER_RULES = 0x08,
	UDEV_DISABLE_LIBRARY_FALLBACK = 0x20,
	UDEV_PRIMARY_SOURCE = 0x40,
	UDEV_FLAGS = UDEV_DISABLE_DM_RULES | UDEV_DISABLE_SUBSYSTEM_RULES |
	    UDEV_DISABLE_DISK_RULES | UDEV_DISABLE_OTHER_RULES |
	    UDEV_DISABLE_LIBRARY_FALLBACK | UDEV_PRIMARY_SOURCE,
};

/* A request with room for a short answer. */
struct request {
	struct dm_ioctl header;
	char data[1024];
};

/* Not by ioctl(3): C libraries differ about its second parameter's type. */
static int
call(int control, unsigned long command, struct dm_ioctl *header)
{
	long r;

	do
		r = syscall(SYS_ioctl, control, command, header);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static void
begin(struct dm_ioctl *header, size_t size)
{
	memset(header, 0, sizeof(*header));
	/* Of the oldest kernel that has all that is used here. */
	header->version[0] = 4;
	header->data_size = (uint32_t)size;
	header->data_start = sizeof(*header);
}

/* Addresses our device NAME, by its UUID alone. */
static int
address(struct dm_ioctl *header, size_t size, const char *name)
{
	begin(header, size);
	return format(header->uuid, sizeof(header->uuid), "banger-%s", name);
}

int
mapper_open(int nodes)
{
	_cleanup_close_ int fd = node_open(nodes, S_IFCHR,
	    makedev(MISC_MAJOR, MAPPER_CONTROL_MINOR), O_RDWR);
	struct request request;
	int r;

	if (fd < 0)
		return steal_fd(&fd);
	begin(&request.header, sizeof(request));
	r = call(fd, DM_VERSION, &request.header);
	return r < 0 ? r : steal_fd(&fd);
}

bool
mapper_has_target(int control, const char *type)
{
	struct request request;

	begin(&request.header, sizeof(request));
	/* Of 5.4 on; DM_LIST_VERSIONS knows only what is loaded already. */
	return format(request.header.name, sizeof(request.header.name), "%s",
	    type) == 0 &&
	    call(control, DM_GET_TARGET_VERSION, &request.header) == 0;
}

int
mapper_build(void *buf, size_t size, const char *name, bool read_only,
    const struct mapper_target *targets, size_t count)
{
	struct dm_ioctl *header = buf;
	size_t at = sizeof(*header), i;

	if (size < sizeof(*header) || address(header, size, name) < 0)
		return -ENOBUFS;
	for (i = 0; i < count; i++) {
		/* Specs are aligned to 8 bytes (dm_target_spec). */
		size_t text = strlen(targets[i].params) + 1,
		    next = (sizeof(struct dm_target_spec) + text + 7) & ~7UL;
		struct dm_target_spec spec = {
			.sector_start = targets[i].start,
			.length = targets[i].sectors,
			.next = (uint32_t)next,
		};

		if (next > size - at || format(spec.target_type,
		    sizeof(spec.target_type), "%s", targets[i].type) < 0)
			return -ENOBUFS;
		memcpy((char *)buf + at, &spec, sizeof(spec));
		memcpy((char *)buf + at + sizeof(spec), targets[i].params,
		    text);
		at += next;
	}
	header->target_count = (uint32_t)count;
	header->flags = read_only ? DM_READONLY_FLAG : 0;
	return 0;
}

/* Goes live; nothing of udev shall look at what is in it. */
static int
resume(int control, const char *name)
{
	struct request request;
	int r = address(&request.header, sizeof(request), name);

	request.header.event_nr = (uint32_t)UDEV_FLAGS << 16;
	return r < 0 ? r : call(control, DM_DEV_SUSPEND, &request.header);
}

static int
load(int control, const char *name, bool read_only,
    const struct mapper_target *targets, size_t count)
{
	struct request request = { .data = "" };
	int r = mapper_build(&request, sizeof(request), name, read_only,
	    targets, count);

	return r < 0 ? r : call(control, DM_TABLE_LOAD, &request.header);
}

int
mapper_create(int control, const char *name, bool read_only,
    const struct mapper_target *targets, size_t count, dev_t *rdev)
{
	struct request request;
	int r = address(&request.header, sizeof(request), name);

	if (r == 0)
		r = format(request.header.name, MAPPER_NAME_BYTES, "%s", name);
	if (r == 0)
		r = call(control, DM_DEV_CREATE, &request.header);
	if (r < 0)
		return r == -EBUSY ? -EEXIST : r;
	r = load(control, name, read_only, targets, count);
	if (r == 0)
		r = resume(control, name);
	if (r < 0)
		(void)mapper_remove(control, name, true);
	else
		*rdev = (dev_t)request.header.dev;
	return r;
}

int
mapper_find(int control, const char *name, dev_t *rdev)
{
	struct request request;
	int r = address(&request.header, sizeof(request), name);

	if (r == 0)
		r = call(control, DM_DEV_STATUS, &request.header);
	if (r == 0)
		*rdev = (dev_t)request.header.dev;
	return r;
}

static int
remove_once(int control, const char *name, uint32_t flags)
{
	struct request request;
	int r = address(&request.header, sizeof(request), name);

	request.header.flags = flags;
	request.header.event_nr = (uint32_t)UDEV_FLAGS << 16;
	if (r == 0)
		r = call(control, DM_DEV_REMOVE, &request.header);
	return r == -ENXIO ? 0 : r;
}

int
mapper_remove(int control, const char *name, bool when_unused)
{
	int i, r;

	if (when_unused)
		return remove_once(control, name, DM_DEFERRED_REMOVE);
	r = remove_once(control, name, 0);
	for (i = 0; r == -EBUSY && i < REMOVE_TRIES; i++) {
		sleep_ms(REMOVE_STEP_MS);
		r = remove_once(control, name, 0);
	}
	return r;
}

/* "16/4096 8": used, total, metadata. */
static int
parse_sectors(const char *text, struct mapper_snapshot *status)
{
	char copy[80], *rest = copy, *used, *total;

	if (format(copy, sizeof(copy), "%s", text) < 0)
		return -EBADMSG;
	used = strsep(&rest, "/");
	total = strsep(&rest, " ");
	if (rest == NULL ||
	    parse_u64(used, UINT64_MAX, &status->used_sectors) < 0 ||
	    parse_u64(total, UINT64_MAX, &status->total_sectors) < 0 ||
	    parse_u64(rest, UINT64_MAX, &status->metadata_sectors) < 0)
		return -EBADMSG;
	return 0;
}

int
mapper_parse_snapshot(const char *text, struct mapper_snapshot *status)
{
	struct mapper_snapshot parsed = { .invalid = false };

	if (strcmp(text, "Invalid") == 0 || strcmp(text, "Unknown") == 0)
		parsed.invalid = true;
	else if (strcmp(text, "Overflow") == 0)
		parsed.overflow = true;
	else if (parse_sectors(text, &parsed) < 0)
		return -EBADMSG;
	*status = parsed;
	return 0;
}

int
mapper_status(int control, const char *name, struct mapper_snapshot *status)
{
	struct request request = { .data = "" };
	struct dm_target_spec spec;
	int r = address(&request.header, sizeof(request), name);

	/* Without it the question would wait for the guest's writes. */
	request.header.flags = DM_NOFLUSH_FLAG;
	if (r == 0)
		r = call(control, DM_TABLE_STATUS, &request.header);
	if (r < 0)
		return r;
	memcpy(&spec, request.data, sizeof(spec));
	request.data[sizeof(request.data) - 1] = '\0';
	if (request.header.target_count != 1 ||
	    request.header.data_start != sizeof(request.header) ||
	    (request.header.flags & DM_BUFFER_FULL_FLAG) != 0 ||
	    strncmp(spec.target_type, "snapshot",
	    sizeof(spec.target_type)) != 0)
		return -EBADMSG;
	return mapper_parse_snapshot(request.data + sizeof(spec), status);
}

int
mapper_walk(const void *data, size_t len,
    int (*each)(void *arg, const char *name), void *arg)
{
	const char *bytes = data;
	size_t at = 0;

	for (;;) {
		struct dm_name_list entry;
		const char *name;
		int r;

		if (len - at < sizeof(entry))
			return -EBADMSG;
		memcpy(&entry, bytes + at, sizeof(entry));
		/* The only entry of an empty list. */
		if (entry.dev == 0)
			return 0;
		name = bytes + at + offsetof(struct dm_name_list, name);
		if (memchr(name, '\0', (size_t)(bytes + len - name)) == NULL)
			return -EBADMSG;
		r = each(arg, name);
		if (r != 0 || entry.next == 0)
			return r;
		if (entry.next < sizeof(entry) || entry.next > len - at)
			return -EBADMSG;
		at += entry.next;
	}
}

int
mapper_each(int control, int (*each)(void *arg, const char *name), void *arg)
{
	size_t size;

	for (size = LIST_BYTES_MIN; size <= LIST_BYTES_MAX; size *= 2) {
		_cleanup_free_ struct dm_ioctl *header = calloc(1, size);
		int r;

		if (header == NULL)
			return -ENOMEM;
		begin(header, size);
		r = call(control, DM_LIST_DEVICES, header);
		if (r < 0)
			return r;
		if ((header->flags & DM_BUFFER_FULL_FLAG) != 0)
			continue;
		if (header->data_start < sizeof(*header) ||
		    header->data_start > size)
			return -EBADMSG;
		return mapper_walk((char *)header + header->data_start,
		    size - header->data_start, each, arg);
	}
	return -ENOBUFS;
}
