/*
 * The order in the child matters: first its fds, so that nothing else of the
 * worker is reachable, then limits, landlock with no path at all, and the
 * system calls; only then does it touch the data.
 */
#include "worker/job.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "privsep/log.h"
#include "privsep/util.h"
#include "worker/sandbox.h"

enum { JOB_FIRST_FD = 3, JOB_PROGRESS_STEP = 1 << 20 };

_Static_assert(sizeof(struct job_report) <= PIPE_BUF, "reports are atomic");

struct job {
	struct list node;
	struct jobs *jobs;
	struct job_spec spec;
	pid_t pid;
	int pidfd;
	int pipe;
	struct event_io ended, reports;
	bool cancelled;
	bool has_report;
	struct job_report report;	/* the final one */
};

void
jobs_init(struct jobs *jobs, struct events *events)
{
	memset(jobs, 0, sizeof(*jobs));
	jobs->events = events;
	list_init(&jobs->all);
}

void
job_progress(void *arg, uint64_t bytes)
{
	struct job_context *context = arg;
	struct job_report report = { .kind = JOB_PROGRESS, .bytes = bytes };

	if (bytes < context->reported + JOB_PROGRESS_STEP)
		return;
	context->reported = bytes;
	(void)write_full(context->pipe, &report, sizeof(report));
}

/* Puts FDS at 3, 4, … and the pipe behind them; closes everything else. */
static int
arrange_fds(const struct job_spec *spec, int *fds, int *pipe_fd)
{
	int high[JOB_FDS_MAX + 1];
	uint32_t i, count = spec->nfds + 1;

	for (i = 0; i < count; i++) {
		high[i] = fcntl(i < spec->nfds ? spec->fds[i] : *pipe_fd,
		    F_DUPFD_CLOEXEC, JOB_FIRST_FD + (int)count);
		if (high[i] < 0)
			return -errno;
	}
	for (i = 0; i < count; i++)
		if (dup3(high[i], JOB_FIRST_FD + (int)i, O_CLOEXEC) < 0)
			return -errno;
	for (i = 0; i < spec->nfds; i++)
		fds[i] = JOB_FIRST_FD + (int)i;
	*pipe_fd = JOB_FIRST_FD + (int)spec->nfds;
	return syscall(SYS_close_range, (unsigned int)JOB_FIRST_FD + count,
	    ~0U, 0U) < 0 ? -errno : 0;
}

/* The child. The worker may have died before PDEATHSIG was set. */
static _Noreturn void
job_main(const struct job_spec *spec, pid_t worker, int pipe_fd)
{
	int fds[JOB_FDS_MAX], r;
	struct job_context context = { .fds = fds, .nfds = spec->nfds,
		.argument = spec->argument, .file_max = spec->file_max,
		.sha256 = spec->sha256 };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != worker)
		_exit(1);
	r = arrange_fds(spec, fds, &pipe_fd);
	context.pipe = pipe_fd;
	if (r == 0)
		r = job_confine(spec->file_max);
	if (r < 0)
		fatal("job %s: %s", spec->name, strerror(-r));
	r = spec->body(&context);
	context.report.kind = r == 0 ? JOB_DONE : JOB_FAILED;
	context.report.error = r;
	if (r < 0 && context.report.text[0] == '\0')
		snprintf(context.report.text, sizeof(context.report.text),
		    "%s", strerror(-r));
	_exit(write_full(pipe_fd, &context.report,
	    sizeof(context.report)) < 0);
}

/* Takes one record. 1, 0 when there is none now or ever, -EPROTO. */
static int
take_report(struct job *job)
{
	struct job_report report;
	ssize_t n = read(job->pipe, &report, sizeof(report));

	if (n == 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return 0;
	if (n != (ssize_t)sizeof(report) || job->has_report ||
	    memchr(report.text, '\0', sizeof(report.text)) == NULL)
		return -EPROTO;
	if (report.kind == JOB_PROGRESS) {
		if (job->spec.progress != NULL && !job->cancelled)
			job->spec.progress(job->spec.arg, report.bytes);
		return 1;
	}
	if (report.kind != (report.error == 0 ? JOB_DONE : JOB_FAILED) ||
	    report.error > 0)
		return -EPROTO;
	job->report = report;
	job->has_report = true;
	return 1;
}

static void
on_report(void *arg, uint32_t ready)
{
	struct job *job = arg;
	int r = take_report(job);

	if (r == 1)
		return;
	if (r < 0) {
		log_error("job %s: malformed report", job->spec.name);
		job->has_report = false;
		(void)kill(job->pid, SIGKILL);
	}
	if (r < 0 || (ready & EPOLLHUP) != 0)
		event_io_stop(&job->reports);
}

/* What is said of a job that ended without a final record. */
static void
explain_death(struct job *job, const siginfo_t *info)
{
	struct job_report *report = &job->report;

	report->kind = JOB_FAILED;
	report->error = -EIO;
	if (info->si_code == CLD_EXITED)
		snprintf(report->text, sizeof(report->text),
		    "its job ended without a result (status %d)",
		    info->si_status);
	else if (info->si_status == SIGXCPU)
		snprintf(report->text, sizeof(report->text),
		    "its job took too long");
	else if (info->si_status == SIGXFSZ)
		snprintf(report->text, sizeof(report->text),
		    "its job wrote more than it may");
	else
		snprintf(report->text, sizeof(report->text),
		    "its job was killed by signal %d%s", info->si_status,
		    info->si_status == SIGSYS ? ", a forbidden system call" :
		    "");
}

static void
on_ended(void *arg, uint32_t ready UNUSED)
{
	struct job *job = arg;
	struct jobs *jobs = job->jobs;
	siginfo_t info = { .si_pid = 0 };

	if (waitid((idtype_t)P_PIDFD, (id_t)job->pidfd, &info,
	    WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	while (!job->has_report && take_report(job) == 1)
		continue;
	if (!job->has_report)
		explain_death(job, &info);
	event_io_stop(&job->ended);
	event_io_stop(&job->reports);
	close_fdp(&job->pidfd);
	close_fdp(&job->pipe);
	list_remove(&job->node);
	jobs->count--;
	if (!job->cancelled)
		job->spec.done(job->spec.arg, &job->report);
	free(job);
	if (jobs->ended != NULL)
		jobs->ended(jobs->arg);
}

/* Watches a job that runs. 0 or -errno. */
static int
watch(struct job *job)
{
	struct events *events = job->jobs->events;
	int r;

	job->pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0U);
	if (job->pidfd < 0)
		return -errno;
	r = event_io_start(events, &job->ended, job->pidfd, EPOLLIN, on_ended,
	    job);
	if (r == 0)
		r = event_io_start(events, &job->reports, job->pipe, EPOLLIN,
		    on_report, job);
	if (r < 0) {
		event_io_stop(&job->ended);
		close_fdp(&job->pidfd);
	}
	return r;
}

int
job_start(struct jobs *jobs, const struct job_spec *spec, struct job **out)
{
	struct job *job = calloc(1, sizeof(*job));
	pid_t worker = getpid();
	int pipefd[2], r;

	if (job == NULL || pipe2(pipefd, O_CLOEXEC) < 0) {
		r = job == NULL ? -ENOMEM : -errno;
		free(job);
		return r;
	}
	*job = (struct job){ .jobs = jobs, .spec = *spec, .pipe = pipefd[0] };
	job->pid = fork();
	if (job->pid == 0)
		job_main(&job->spec, worker, pipefd[1]);
	r = job->pid < 0 ? -errno : 0;
	close(pipefd[1]);
	if (r == 0 && fcntl(pipefd[0], F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0)
		r = watch(job);
	if (r < 0) {
		close(pipefd[0]);
		if (job->pid > 0) {
			(void)kill(job->pid, SIGKILL);
			(void)waitid(P_PID, (id_t)job->pid, NULL, WEXITED);
		}
		free(job);
		return r;
	}
	list_insert(&jobs->all, &job->node);
	jobs->count++;
	*out = job;
	return 0;
}

void
job_cancel(struct job *job)
{
	job->cancelled = true;
	/* Not reaped yet, so the number is still this process's. */
	(void)kill(job->pid, SIGKILL);
}
