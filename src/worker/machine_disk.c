/*
 * See machine_disk.h. Files are made in tmp/ and renamed when they are what
 * they should be; a copy's only when its job is done.
 */
#include "worker/machine_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "image/cow.h"
#include "privsep/log.h"
#include "worker/catalog.h"
#include "worker/work.h"

static void
progress(struct machine *m, const char *message)
{
	machine_tell(m, &(struct machine_told){ .news = NEWS_PROGRESS,
	    .stage = "disk", .message = message });
}

static void
tmp_name(const struct machine *m, char out[STORE_NAME_BYTES])
{
	char id[VM_ID_HEX + 1];

	machine_id_text(m->row.id, id);
	(void)format(out, STORE_NAME_BYTES, "%s.disk", id);
}

/* The name that BACKEND's file has beside the row. */
static const char *
suffix_of(enum disk_backend backend)
{
	return backend == DISK_SNAPSHOT ? "cow" : "disk";
}

static int
open_file(const struct machine *m, const char *suffix, int flags)
{
	char id[VM_ID_HEX + 1];

	machine_id_text(m->row.id, id);
	return store_file(&m->w->store, STORE_VMS, id, suffix, flags);
}

int
machine_disk_open(const struct machine *m, int flags)
{
	return open_file(m, suffix_of(m->row.disk), flags);
}

static int
commit(struct machine *m, enum disk_backend backend)
{
	char tmp[STORE_NAME_BYTES], id[VM_ID_HEX + 1];

	tmp_name(m, tmp);
	machine_id_text(m->row.id, id);
	m->row.disk = backend;
	return store_commit(&m->w->store, tmp, STORE_VMS, id,
	    suffix_of(backend));
}

static void
drop_tmp(struct machine *m)
{
	char tmp[STORE_NAME_BYTES];

	tmp_name(m, tmp);
	store_tmp_remove(&m->w->store, tmp);
	close_fdp(&m->disk_fd);
}

void
machine_disk_drop(struct machine *m)
{
	if (m->disk_job != NULL) {
		job_cancel(m->disk_job);
		m->disk_job = NULL;
		drop_tmp(m);
	}
	close_fdp(&m->disk_fd);
}

/* ---- a new one ---- */

static void
copied(void *arg, const struct job_report *report)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	struct machine *m = arg;
	int r = report->error;

	m->disk_job = NULL;
	if (r == 0)
		r = commit(m, DISK_COPY);
	if (r == 0) {
		m->disk_done(m, NULL);
		return;
	}
	drop_tmp(m);
	failure_set(&f, failure_of(r), "VM %s: copying image %s to its disk: "
	    "%s%s", m->row.name, m->row.image, report->text[0] != '\0' ?
	    report->text : strerror(-r), r == -ENOSPC ?
	    "; free some space in the state directory" : "");
	m->disk_done(m, &f);
}

static int
start_copy(struct machine *m, int image)
{
	struct job_spec spec = {
		.name = "disk copy",
		.body = work_copy_disk,
		.fds = { image, m->disk_fd },
		.nfds = 2,
		.done = copied,
		.arg = m,
	};

	progress(m, "copying the image to the VM's disk");
	return job_start(&m->w->jobs, &spec, &m->disk_job);
}

/* The monitor takes nothing else for an origin. */
static bool
can_snapshot(const struct machine *m, int image)
{
	struct stat st;

	return m->w->config.snapshots != 0 && fstat(image, &st) == 0 &&
	    st.st_size > 0 && st.st_size % 512 == 0 &&
	    (uint64_t)st.st_size <= m->row.disk_bytes &&
	    m->row.disk_bytes % SNAPSHOT_CHUNK_BYTES == 0 &&
	    m->row.disk_bytes <= SNAPSHOT_DISK_MAX;
}

/* A new disk in m->disk_fd. 0, 1 when a job is under way, or -errno. */
static int
make(struct machine *m, int image)
{
	bool snapshot = can_snapshot(m, image), reflink;
	int r;

	reflink = !snapshot && ioctl(m->disk_fd, FICLONE, image) == 0;
	/* The VMM finds it at its size in any case. */
	if (ftruncate(m->disk_fd, (off_t)(snapshot ?
	    cow_bytes(m->row.disk_bytes) : m->row.disk_bytes)) < 0)
		return -errno;
	if (!snapshot && !reflink) {
		r = start_copy(m, image);
		return r < 0 ? r : 1;
	}
	r = commit(m, snapshot ? DISK_SNAPSHOT : DISK_REFLINK);
	/* What the guest syncs must be found after a power failure. */
	if (r == 0 && !m->row.rm)
		r = store_sync(&m->w->store, STORE_VMS);
	return r;
}

static int
make_new(struct machine *m, struct failure *f)
{
	_cleanup_close_ int image = image_open(m->w, m->row.image);
	char tmp[STORE_NAME_BYTES];
	int r;

	if (image < 0)
		return failure_set(f, FAIL_NOT_FOUND, "VM %s: its disk is "
		    "gone, and so is image %s", m->row.name, m->row.image);
	drop_tmp(m);
	tmp_name(m, tmp);
	r = m->disk_fd = store_tmp(&m->w->store, tmp, STORE_PRIVATE);
	if (r >= 0)
		r = make(m, image);
	if (r >= 0)
		return r;
	drop_tmp(m);
	return failure_set(f, failure_of(r), "VM %s: disk: %s", m->row.name,
	    strerror(-r));
}

/* ---- one that is there ---- */

/* The file grows with the disk; it never shrinks. */
static int
grow(int fd, uint64_t bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size >= bytes)
		return 0;
	return ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
}

static int
revive(struct machine *m, int cow)
{
	int r = cow_revive(cow);

	if (r < 0)
		return r;
	progress(m, "the host's file system was full: going on with what the "
	    "disk had then");
	log_warn("VM %s: the host's file system was full when it ran last; "
	    "its disk goes on with what it had then", m->row.name);
	return 0;
}

static int
reuse_snapshot(struct machine *m, int cow, struct failure *f)
{
	int r;

	if (m->w->config.snapshots == 0)
		return failure_set(f, FAIL_UNAVAILABLE, "VM %s: its disk is a "
		    "snapshot, and device mapper does not work here any more; "
		    "see `banger doctor`", m->row.name);
	r = cow_look(cow);
	if (r == COW_INVALID)
		r = revive(m, cow);
	if (r >= 0)
		r = grow(cow, cow_bytes(m->row.disk_bytes));
	if (r == -EUCLEAN)
		return failure_set(f, FAIL_INVALID, "VM %s: its disk's COW file "
		    "is damaged; delete the VM", m->row.name);
	if (r < 0)
		return failure_set(f, failure_of(r), "VM %s: disk: %s",
		    m->row.name, strerror(-r));
	m->row.disk = DISK_SNAPSHOT;
	return 0;
}

int
machine_disk_make(struct machine *m,
    void (*done)(struct machine *m, const struct failure *f),
    struct failure *f)
{
	_cleanup_close_ int cow = open_file(m, "cow", O_RDWR);
	_cleanup_close_ int disk = -1;
	int r;

	m->disk_done = done;
	m->row.disk_error[0] = '\0';
	if (cow >= 0)
		return reuse_snapshot(m, cow, f);
	disk = open_file(m, "disk", O_RDWR);
	if (disk < 0)
		return make_new(m, f);
	if (m->row.disk == DISK_SNAPSHOT)
		m->row.disk = DISK_COPY;
	r = grow(disk, m->row.disk_bytes);
	return r == 0 ? 0 : failure_set(f, failure_of(r), "VM %s: disk: %s",
	    m->row.name, strerror(-r));
}

/* ---- to the monitor ---- */

bool
machine_disk_is_block(const struct machine *m)
{
	return m->row.disk == DISK_SNAPSHOT;
}

static int
attach_snapshot(struct machine *m)
{
	int fds[SNAPSHOT_FDS] = { image_open(m->w, m->row.image), open_file(m, "cow", O_RDWR) };
	int r = fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] :
	    mon_snapshot_create(&m->w->mon, m->row.id, fds,
	    m->row.disk_bytes, m->row.rm);

	close_fdp(&fds[0]);
	close_fdp(&fds[1]);
	return r;
}

int
machine_disk_attach(struct machine *m, bool block, struct failure *f)
{
	_cleanup_close_ int fd = -1;
	int r;

	m->w->mon.error[0] = '\0';
	if (m->row.disk == DISK_SNAPSHOT) {
		r = attach_snapshot(m);
	} else {
		fd = m->disk_fd >= 0 ? steal_fd(&m->disk_fd) :
		    open_file(m, "disk", O_RDWR);
		r = fd < 0 ? fd : mon_disk_attach(&m->w->mon, m->row.id, fd,
		    block);
	}
	return r == 0 ? 0 : failure_set(f, failure_of(r), "VM %s: disk: %s",
	    m->row.name, mon_error(&m->w->mon, r));
}

/* ---- afterwards ---- */

/* Whether the snapshot was cut off; what cannot be known is no. */
static bool
is_invalid(struct machine *m)
{
	struct snapshot_status_reply status;
	_cleanup_close_ int cow = -1;

	if (m->held != 0 && mon_snapshot_status(&m->w->mon, m->row.id,
	    &status) == 0)
		return status.invalid || status.overflow;
	cow = open_file(m, "cow", O_RDONLY);
	return cow >= 0 && cow_look(cow) == COW_INVALID;
}

void
machine_disk_look(struct machine *m)
{
	bool bad = m->row.disk == DISK_SNAPSHOT && is_invalid(m);

	if (!bad) {
		m->row.disk_error[0] = '\0';
		return;
	}
	if (m->row.disk_error[0] == '\0')
		log_warn("VM %s: a write to its disk failed: the host's file "
		    "system was full", m->row.name);
	(void)format(m->row.disk_error, sizeof(m->row.disk_error),
	    "the host's file system was full: the guest cannot read or write "
	    "its disk since; free some space, then restart the VM, which "
	    "keeps what was written before");
}
