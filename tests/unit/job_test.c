/*
 * Jobs: what one can reach, how it ends, and what the worker makes of what it
 * says. Under the sanitizers system calls are not filtered, all else holds.
 */
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>

#include "privsep/log.h"
#include "base/sparse.h"
#include "worker/job.h"
#include "worker/work.h"

enum { PATIENCE_MS = 10 * 1000, FDS_LOOKED_AT = 256 };

static struct events events;
static struct jobs jobs;
static struct job_report last;
static unsigned int done_calls, progress_calls, end_calls;

static void
on_done(void *arg, const struct job_report *report)
{
	(void)arg;
	last = *report;
	done_calls++;
}

static void
on_progress(void *arg, uint64_t bytes)
{
	(void)arg;
	(void)bytes;
	progress_calls++;
}

static void
on_end(void *arg)
{
	(void)arg;
	end_calls++;
	if (jobs.count == 0)
		events_stop(&events);
}

static int
set_up(void **state)
{
	(void)state;
	done_calls = progress_calls = end_calls = 0;
	memset(&last, 0, sizeof(last));
	if (events_init(&events) < 0)
		return -1;
	jobs_init(&jobs, &events);
	jobs.ended = on_end;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	events_close(&events);
	return 0;
}

static struct job *
start(int (*body)(struct job_context *context), const int *fds, uint32_t nfds)
{
	struct job_spec spec = { .name = "test", .body = body, .nfds = nfds,
		.progress = on_progress, .done = on_done };
	struct job *job;
	uint32_t i;

	for (i = 0; i < nfds; i++)
		spec.fds[i] = fds[i];
	assert_int_equal(job_start(&jobs, &spec, &job), 0);
	return job;
}

static void
run(int (*body)(struct job_context *context), const int *fds, uint32_t nfds)
{
	(void)start(body, fds, nfds);
	assert_int_equal(events_run(&events), 0);
	assert_int_equal(done_calls, 1);
	assert_int_equal(jobs.count, 0);
}

/* Counts the open fds, without any file system. */
static int
look_around(struct job_context *context)
{
	int fd, open_fds = 0;

	for (fd = 3; fd < FDS_LOOKED_AT; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			open_fds++;
	context->report.initrd_bytes = (uint64_t)open_fds;
	return 0;
}

static void
holds_only_its_fds(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[2], extra[8];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(extra); i++)
		extra[i] = dup(null);
	/* The same fd twice, and one that stands where it is to go. */
	fds[0] = fds[1] = null;
	run(look_around, fds, 2);
	assert_int_equal(last.kind, JOB_DONE);
	assert_int_equal(last.initrd_bytes, 2 + 1);
	for (i = 0; i < ARRAY_SIZE(extra); i++)
		close(extra[i]);
	close(null);
}

static int
try_to_open(struct job_context *context)
{
	(void)context;
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : -errno;
}

static void
opens_nothing(void **state)
{
	(void)state;
	run(try_to_open, NULL, 0);
	assert_int_equal(last.kind, JOB_FAILED);
	/* By landlock, or by the filter: then it did not live to tell. */
	assert_true(last.error == -EACCES || last.error == -EIO);
	if (last.error == -EIO)
		assert_non_null(strstr(last.text, "forbidden system call"));
}

static int
fail_with_text(struct job_context *context)
{
	strcpy(context->report.text, "why it failed");
	return -ENOSPC;
}

static int
fail_without(struct job_context *context)
{
	(void)context;
	return -ENOSPC;
}

static void
failures(void **state)
{
	(void)state;
	run(fail_with_text, NULL, 0);
	assert_int_equal(last.error, -ENOSPC);
	assert_string_equal(last.text, "why it failed");
	tear_down(NULL);
	set_up(NULL);
	run(fail_without, NULL, 0);
	assert_string_equal(last.text, strerror(ENOSPC));
}

static int
die(struct job_context *context)
{
	(void)context;
	raise(SIGKILL);
	return 0;
}

static int
leave(struct job_context *context)
{
	(void)context;
	_exit(7);
}

static void
deaths(void **state)
{
	(void)state;
	run(die, NULL, 0);
	assert_int_equal(last.error, -EIO);
	assert_non_null(strstr(last.text, "signal 9"));
	tear_down(NULL);
	set_up(NULL);
	run(leave, NULL, 0);
	assert_int_equal(last.error, -EIO);
	assert_non_null(strstr(last.text, "status 7"));
}

static int
tell_progress(struct job_context *context)
{
	uint64_t i;

	for (i = 0; i < 100; i++)
		job_progress(context, i << 18);
	return 0;
}

static void
progress(void **state)
{
	(void)state;
	run(tell_progress, NULL, 0);
	assert_int_equal(last.kind, JOB_DONE);
	assert_int_equal(progress_calls, 24);
}

/* Records that no body of ours would write. */
static int
write_half(struct job_context *context)
{
	_exit(write(context->pipe, "x", 1) != 1);
}

static int
write_unended(struct job_context *context)
{
	struct job_report report = { .kind = JOB_FAILED, .error = -EIO };

	memset(report.text, 'x', sizeof(report.text));
	_exit(write(context->pipe, &report, sizeof(report)) < 0);
}

static int
write_contradiction(struct job_context *context)
{
	struct job_report report = { .kind = JOB_DONE, .error = -EIO };

	_exit(write(context->pipe, &report, sizeof(report)) < 0);
}

static void
malformed_reports(void **state)
{
	int (*const bodies[])(struct job_context *) = { write_half,
		write_unended, write_contradiction };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bodies); i++) {
		tear_down(NULL);
		set_up(NULL);
		run(bodies[i], NULL, 0);
		assert_int_equal(last.kind, JOB_FAILED);
		assert_int_equal(last.error, -EIO);
		assert_non_null(strstr(last.text, "its job "));
	}
}

static int
read_for_ever(struct job_context *context)
{
	char byte;

	return read(context->fds[0], &byte, 1) < 0 ? -errno : 0;
}

static void
cancels(void **state)
{
	unsigned int fds = count_fds();
	struct job *job;
	int pipefd[2];

	(void)state;
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	job = start(read_for_ever, pipefd, 1);
	assert_int_equal(jobs.count, 1);
	job_cancel(job);
	assert_int_equal(events_run(&events), 0);
	assert_int_equal(done_calls, 0);
	assert_int_equal(end_calls, 1);
	assert_int_equal(jobs.count, 0);
	close(pipefd[0]);
	close(pipefd[1]);
	assert_int_equal(count_fds(), fds);
}

/* ---- copies ---- */

enum { COPY_BYTES = 8 << 20, ISLAND_AT = 3 << 20, ISLAND_BYTES = 70000 };

static void
make_sparse(int fd)
{
	char *island = malloc(ISLAND_BYTES);

	memset(island, 'i', ISLAND_BYTES);
	assert_int_equal(pwrite(fd, island, ISLAND_BYTES, ISLAND_AT),
	    ISLAND_BYTES);
	assert_int_equal(ftruncate(fd, COPY_BYTES), 0);
	free(island);
}

static void
sparse_copies(void **state)
{
	char *bytes = malloc(COPY_BYTES);
	struct temp temp;
	struct stat st;
	int from, to;

	(void)state;
	begin_temp(&temp);
	from = openat(temp.fd, "from", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	to = openat(temp.fd, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	make_sparse(from);
	assert_int_equal(sparse_copy(from, to, COPY_BYTES, NULL, NULL), 0);
	assert_int_equal(fstat(to, &st), 0);
	assert_true(st.st_size >= ISLAND_AT + ISLAND_BYTES);
	assert_int_equal(ftruncate(to, COPY_BYTES), 0);
	assert_true(st.st_blocks * 512 < COPY_BYTES / 2);
	assert_int_equal(pread(to, bytes, COPY_BYTES, 0), COPY_BYTES);
	assert_int_equal(bytes[ISLAND_AT - 1], 0);
	assert_int_equal(bytes[ISLAND_AT], 'i');
	assert_int_equal(bytes[ISLAND_AT + ISLAND_BYTES - 1], 'i');
	assert_int_equal(bytes[ISLAND_AT + ISLAND_BYTES], 0);
	/* All hole, and nothing at all. */
	assert_int_equal(ftruncate(from, 0) | ftruncate(to, 0), 0);
	assert_int_equal(sparse_copy(from, to, 0, NULL, NULL), 0);
	assert_int_equal(ftruncate(from, COPY_BYTES), 0);
	assert_int_equal(sparse_copy(from, to, COPY_BYTES, NULL, NULL), 0);
	assert_int_equal(fstat(to, &st), 0);
	assert_int_equal(st.st_size, 0);
	close(from);
	close(to);
	end_temp(&temp);
	free(bytes);
}

/* Between file systems the kernel may leave the copying to us. */
static void
copies_from_elsewhere(void **state)
{
	int from = (int)memfd_create("from", MFD_CLOEXEC), to;
	struct temp temp;
	char byte = 0;

	(void)state;
	begin_temp(&temp);
	to = openat(temp.fd, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	make_sparse(from);
	assert_int_equal(sparse_copy(from, to, COPY_BYTES, NULL, NULL), 0);
	assert_int_equal(pread(to, &byte, 1, ISLAND_AT + 5), 1);
	assert_int_equal(byte, 'i');
	assert_true(lseek(to, 0, SEEK_END) >= ISLAND_AT + ISLAND_BYTES);
	close(from);
	close(to);
	end_temp(&temp);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(holds_only_its_fds),
		TEST(opens_nothing),
		TEST(failures),
		TEST(deaths),
		TEST(progress),
		TEST(malformed_reports),
		TEST(cancels),
		cmocka_unit_test(sparse_copies),
		cmocka_unit_test(copies_from_elsewhere),
	};

	log_init("test", LOG_ERROR);
	alarm(PATIENCE_MS / 1000);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
