/*
 * The way up. Each step either goes on to the next or leaves something behind
 * that will (a job, a timer, a watch); any failure goes to machine_end(), which
 * knows from `held` what there is to give back.
 *
 * The order: a job begins to copy the disk; meanwhile the monitor makes the tap
 * and starts the VMM, which stops until somebody connects to its console, and
 * before it opens the disk: that is done when the copy is.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "privsep/log.h"
#include "worker/catalog.h"
#include "worker/machine_disk.h"
#include "worker/resolv.h"
#include "worker/work.h"

enum {
	CONNECT_RETRY_MS = 1,
	CONNECT_SLOW_TRIES = 500,	/* then a VMM is not about to listen */
	CONNECT_SLOW_MS = 20,
};

/* The fds of a launch; all are ours. */
struct launch_files {
	int fds[LAUNCH_FDS];
};

static void
launch_files_close(struct launch_files *files)
{
	int i;

	for (i = 0; i < LAUNCH_FDS; i++)
		close_fdp(&files->fds[i]);
}

static void
progress(struct machine *m, const char *stage, const char *message)
{
	machine_tell(m, &(struct machine_told){ .news = NEWS_PROGRESS,
	    .stage = stage, .message = message });
}

static void __attribute__((format(printf, 3, 4)))
start_failed(struct machine *m, enum failure_code code, const char *fmt, ...)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	char why[384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	failure_set(&f, code, "VM %s: %s", m->row.name, why);
	machine_end(m, false, &f);
}

/* As above, with the guest's last words. */
static void __attribute__((format(printf, 3, 4)))
guest_failed(struct machine *m, enum failure_code code, const char *fmt, ...)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	char id[VM_ID_HEX + 1], why[256], *console;
	const char *hint = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	machine_hear_out(m);
	machine_id_text(m->row.id, id);
	console = console_tail(&m->w->store, id, CONSOLE_LINES);
	if (console == NULL || *console == '\0')
		hint = "; nothing is on its console: does its kernel boot "
		    "on this machine?";
	if (m->fresh)
		failure_set(&f, code, "VM %s: %s%s%s%s", m->row.name, why,
		    hint, m->said[0] != '\0' ? "; its VMM said: " : "",
		    m->said);
	else
		failure_set(&f, code, "VM %s: %s%s; see `banger vm logs %s`%s%s",
		    m->row.name, why, hint, m->row.name,
		    m->said[0] != '\0' ? "; its VMM said: " : "", m->said);
	f.console = console;
	machine_end(m, false, &f);
}

static void launch(struct machine *m);
static void connect_sockets(void *arg);

/* ---- disk and initrd ---- */

static void
tmp_initrd(const struct machine *m, char out[STORE_NAME_BYTES])
{
	char id[VM_ID_HEX + 1];

	machine_id_text(m->row.id, id);
	(void)format(out, STORE_NAME_BYTES, "%s.initrd", id);
}

void
machine_drop_jobs(struct machine *m)
{
	char tmp[STORE_NAME_BYTES];

	machine_disk_drop(m);
	if (m->initrd_job != NULL) {
		job_cancel(m->initrd_job);
		tmp_initrd(m, tmp);
		store_tmp_remove(&m->w->store, tmp);
	}
	m->initrd_job = NULL;
}

/* Goes on as far as the jobs that are done allow. */
static void
go_on(struct machine *m)
{
	/* Firecracker opens its disk as it starts. */
	if (m->step == STEP_FILES && m->initrd_job == NULL &&
	    (m->row.vmm == VMM_QEMU || m->disk_job == NULL))
		launch(m);
	else if (m->step == STEP_CONNECT && m->disk_job == NULL)
		connect_sockets(m);
}

static void
disk_made(struct machine *m, const struct failure *f)
{
	if (f == NULL)
		go_on(m);
	else
		machine_end(m, false, f);
}

/* 0, or -1 and the start has failed. */
static int
prepare_disk(struct machine *m)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };

	if (machine_disk_make(m, disk_made, &f) >= 0)
		return 0;
	machine_end(m, false, &f);
	return -1;
}

static void
initrd_refreshed(void *arg, const struct job_report *report)
{
	struct machine *m = arg;
	struct kernel *kernel = kernel_find(m->w, m->row.kernel);
	char tmp[STORE_NAME_BYTES];
	int r = report->error;

	m->initrd_job = NULL;
	tmp_initrd(m, tmp);
	if (r == 0 && kernel == NULL)
		r = -ENOENT;
	if (r == 0)
		r = store_commit(&m->w->store, tmp, STORE_KERNELS,
		    m->row.kernel, "initrd");
	if (r == 0) {
		kernel->row.initrd_bytes = report->initrd_bytes;
		memcpy(kernel->row.agent, m->w->build_id,
		    sizeof(kernel->row.agent));
		r = kernel_save(m->w, kernel);
	}
	if (r == 0) {
		go_on(m);
		return;
	}
	store_tmp_remove(&m->w->store, tmp);
	start_failed(m, failure_of(r), "initrd of kernel %s: %s",
	    m->row.kernel, report->text[0] != '\0' ? report->text :
	    strerror(-r));
}

/* An initrd of another banger gets this one's agent. 0, or -1 and failed. */
static int
prepare_initrd(struct machine *m, const struct kernel *kernel)
{
	_cleanup_close_ int from = -1;
	_cleanup_close_ int to = -1;
	char tmp[STORE_NAME_BYTES];
	int r;

	if (strcmp(kernel->row.agent, m->w->build_id) == 0)
		return 0;
	progress(m, "initrd", "putting this version's agent into the initrd");
	tmp_initrd(m, tmp);
	store_tmp_remove(&m->w->store, tmp);
	r = from = store_file(&m->w->store, STORE_KERNELS, m->row.kernel,
	    "initrd", O_RDONLY);
	if (r >= 0)
		r = to = store_tmp(&m->w->store, tmp, STORE_SHARED);
	if (r >= 0) {
		struct job_spec spec = {
			.name = "initrd refresh",
			.body = work_refresh_initrd,
			.fds = { from, to, m->w->exe },
			.nfds = 3,
			.argument = kernel->row.initrd_modules_bytes,
			.done = initrd_refreshed,
			.arg = m,
		};

		r = job_start(&m->w->jobs, &spec, &m->initrd_job);
	}
	if (r < 0) {
		store_tmp_remove(&m->w->store, tmp);
		start_failed(m, failure_of(r), "initrd of kernel %s: %s",
		    m->row.kernel, strerror(-r));
		return -1;
	}
	return 0;
}

/* ---- network ---- */

/* 0, or -1 and the start has failed. */
static int
prepare_network(struct machine *m)
{
	struct mon *mon = &m->w->mon;
	struct tap_create_reply tap;
	char message[128], ip[16];
	int r;

	ipv4_text(m->row.ipv4, ip);
	(void)format(message, sizeof(message), "address %s/%u%s%s", ip,
	    m->row.prefix, m->row.nat ? ", with NAT" : "",
	    m->w->net_moved ? " (the host uses the configured subnet)" : "");
	progress(m, "network", message);
	r = mon_tap_create(mon, m->row.id, m->row.ipv4, &tap);
	if (r == 0) {
		memcpy(m->row.mac, tap.mac, sizeof(m->row.mac));
		memcpy(m->tap, tap.tap, sizeof(m->tap));
	}
	if (r == 0 && m->row.nat)
		r = mon_nat_set(mon, m->row.id, true);
	if (r < 0) {
		start_failed(m, failure_of(r), "network: %s",
		    mon_error(mon, r));
		return -1;
	}
	dns_route(m->w);
	return 0;
}

/* ---- VMM ---- */

static int
open_config(struct machine *m, int *fd)
{
	_cleanup_buf_ struct buf text = BUF_INIT(LAUNCH_CONFIG_MAX);
	struct vmm_spec spec = {
		.vmm = m->row.vmm,
		.tap = m->tap,
		.host = m->row.name,
		.vcpus = m->row.vcpus,
		.mem_mib = m->row.mem_mib,
		.kvm = m->w->config.kvm,
		.tsc_khz = tsc_khz_since(&m->w->tsc),
		.init_none = m->row.init_none,
		.disposable = m->row.rm,
		.disk_is_block = machine_disk_is_block(m),
		.ipv4 = m->row.ipv4,
		.gateway = m->row.gateway,
		.prefix = m->row.prefix,
	};
	int r;

	memcpy(spec.mac, m->row.mac, sizeof(spec.mac));
	spec.dns_count = resolv_servers(m->w->config.default_dns, spec.dns,
	    VMM_DNS_MAX);
	r = spec.vmm == VMM_FIRECRACKER ? firecracker_config(&spec, &text) :
	    qemu_config(&spec, &text);
	if (r < 0)
		return r;
	r = store_anonymous(&m->w->store, text.data, text.len);
	if (r < 0)
		return r;
	*fd = r;
	return 0;
}

/*
 * A vmlinux that can be booted saves the guest its decompression; Firecracker
 * takes nothing else.
 */
static const char *
kernel_file(const struct kernel_row *row, uint32_t vmm)
{
	return vmm == VMM_FIRECRACKER || (row->vmlinux_bytes > 0 && row->pvh) ||
	    row->vmlinuz_bytes == 0 ? "vmlinux" : "vmlinuz";
}

/* 0, or -errno with *WHAT the file that is to blame. */
static int
open_files(struct machine *m, const struct kernel *kernel,
    struct launch_files *files, const char **what)
{
	struct store *store = &m->w->store;
	int *fds = files->fds;

	*what = "kernel";
	fds[LAUNCH_KERNEL] = store_file(store, STORE_KERNELS, m->row.kernel,
	    kernel_file(&kernel->row, m->row.vmm), O_RDONLY);
	if (fds[LAUNCH_KERNEL] < 0)
		return fds[LAUNCH_KERNEL];
	*what = "initrd";
	fds[LAUNCH_INITRD] = store_file(store, STORE_KERNELS, m->row.kernel,
	    "initrd", O_RDONLY);
	if (fds[LAUNCH_INITRD] < 0)
		return fds[LAUNCH_INITRD];
	*what = "VMM configuration";
	return open_config(m, &fds[LAUNCH_CONFIG]);
}

static void
launch(struct machine *m)
{
	struct launch_files files = { { -1, -1, -1 } };
	const struct kernel *kernel = kernel_find(m->w, m->row.kernel);
	struct vmm_launch_request request = { .vmm = m->row.vmm,
		.vcpus = m->row.vcpus, .mem_mib = m->row.mem_mib,
		.api = machine_has_keys(m) };
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };
	const char *what = "console log";
	int r, said = -1;

	/* A file for QEMU: it opens it only when the copy is whole. */
	if (machine_disk_attach(m, m->row.vmm == VMM_FIRECRACKER, &f) < 0) {
		machine_end(m, false, &f);
		return;
	}
	progress(m, "launch", "starting the VMM");
	r = kernel == NULL ? -ENOENT : console_open(&m->console, true);
	if (r == 0)
		r = open_files(m, kernel, &files, &what);
	if (r < 0) {
		launch_files_close(&files);
		start_failed(m, failure_of(r), "%s: %s", what, strerror(-r));
		return;
	}
	m->held |= HELD_VMM;
	m->ended = false;
	m->row.kvm = m->w->config.kvm;
	r = mon_vmm_launch(&m->w->mon, m->row.id, &request, files.fds, &said);
	launch_files_close(&files);
	if (r < 0) {
		m->ended = true;
		start_failed(m, r == -ENOENT ? FAIL_UNAVAILABLE :
		    failure_of(r), "VMM: %s", mon_error(&m->w->mon, r));
		return;
	}
	machine_listen(m, said);
	m->step = STEP_CONNECT;
	m->tries = 0;
	go_on(m);
}

static void
retry_connect(struct machine *m)
{
	m->tries++;
	event_timer_set(&m->w->events, &m->retry,
	    m->tries < CONNECT_SLOW_TRIES ? CONNECT_RETRY_MS :
	    CONNECT_SLOW_MS, connect_sockets, m);
}

/* The VMM has not made its socket yet. */
static bool
not_yet(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -EAGAIN;
}

/*
 * Connects console and control channel; tried again until the VMM has both. A
 * VMM that ended meanwhile is told by an event.
 */
static void
connect_sockets(void *arg)
{
	struct machine *m = arg;
	struct mon *mon = &m->w->mon;
	int r = machine_watch(m);

	if (r == 0)
		r = machine_link(m);
	if (not_yet(r)) {
		retry_connect(m);
		return;
	}
	if (r == -ESRCH)
		return;
	if (r < 0) {
		guest_failed(m, FAIL_INTERNAL, "its VMM cannot be reached: "
		    "%s", mon_error(mon, r));
		return;
	}
	/* Not at every retry: on vsock the agent may refuse for a while. */
	if (m->step != STEP_AGENT)
		progress(m, "boot", "waiting for the guest's agent");
	m->step = STEP_AGENT;
}

/* ---- agent ---- */

static void
note_agent_state(struct machine *m, uint32_t state)
{
	const char *what = state & AGENT_STATE_NO_NET ?
	    "the guest's network could not be set up" :
	    state & AGENT_STATE_NO_GROW ?
	    "the guest's file system could not be grown to the disk" : "";

	(void)format(m->row.last_error, sizeof(m->row.last_error), "%s", what);
	if (what[0] != '\0')
		log_warn("VM %s: %s", m->row.name, what);
}

static void
on_agent_ready(void *arg, const struct agent_hello *hello)
{
	struct machine *m = arg;
	struct vmm_find_reply found;

	/* It was asked to stop before there was anybody to ask. */
	if (m->row.state == MACHINE_STOPPING)
		(void)machine_ask(m);
	if (m->row.state != MACHINE_STARTING)
		return;
	if (mon_vmm_find(&m->w->mon, m->row.id, &found) == 0)
		m->pid = found.pid;
	event_timer_clear(&m->deadline);
	note_agent_state(m, hello->state);
	m->step = STEP_NONE;
	m->fresh = false;
	m->row.state = MACHINE_RUNNING;
	m->row.started_s = worker_now_s();
	m->row.exit[0] = '\0';
	(void)machine_save(m);
	log_info("VM %s: running", m->row.name);
	machine_tell(m, &(struct machine_told){ .news = NEWS_RUNNING });
	worker_settle(m->w);
}

/*
 * A guest that breaks the protocol loses its agent, not its life: the next
 * request that needs the agent tries anew.
 */
static void
on_agent_lost(void *arg, const char *why)
{
	struct machine *m = arg;

	if (m->row.state == MACHINE_RUNNING)
		log_warn("VM %s: %s", m->row.name, why);
	/* Not if the VMM just ended: its exit tells more. */
	if (m->row.state == MACHINE_STARTING && !m->ended)
		retry_connect(m);
}

static void
on_agent_alive(void *arg)
{
	machine_alive(arg);
}

void
machine_connect_init(struct machine *m)
{
	agent_link_init(&m->link, &m->w->events, on_agent_ready,
	    on_agent_lost, m);
	m->link.on_pong = on_agent_alive;
}

static bool
awaits_files(const struct machine *m)
{
	return m->step == STEP_FILES || m->disk_job != NULL;
}

static void
start_too_late(void *arg)
{
	struct machine *m = arg;
	uint32_t limit_s = m->w->config.start_timeout_ms / 1000;

	if (awaits_files(m))
		start_failed(m, FAIL_TIMEOUT, "its disk was not ready within "
		    "%u s", limit_s);
	else
		guest_failed(m, FAIL_TIMEOUT, "its agent did not answer "
		    "within %u s", limit_s);
}

/* The other half. */
static void
more_time(struct machine *m)
{
	event_timer_set(&m->w->events, &m->deadline,
	    m->w->config.start_timeout_ms / 2, start_too_late, m);
}

/*
 * Half of the time is over. The kernel of an emulated guest measures its timer
 * against the time-stamp counter once, and believes it: if the host leaves it
 * without a processor for a tenth of a second just then, it has no clock, and never
 * comes up (calibrate_APIC_clock() of Linux; QEMU's microvm has no second timer to
 * compare with). Such a guest is started once more.
 */
static void
start_late(void *arg)
{
	struct machine *m = arg;

	if (awaits_files(m) || m->w->config.kvm != 0 || !machine_kill_vmm(m)) {
		more_time(m);
		return;
	}
	log_warn("VM %s: its emulated guest does not come up, trying again",
	    m->row.name);
	progress(m, "boot", "the emulated guest does not come up, trying again");
	event_timer_clear(&m->retry);
	agent_link_stop(&m->link);
}

/* ---- from the beginning ---- */

static void
begin(void *arg)
{
	struct machine *m = arg;
	const struct kernel *kernel = kernel_find(m->w, m->row.kernel);

	if (kernel == NULL) {
		start_failed(m, FAIL_NOT_FOUND, "kernel %s is gone",
		    m->row.kernel);
		return;
	}
	m->step = STEP_FILES;
	if (prepare_disk(m) == 0 && prepare_initrd(m, kernel) == 0 &&
	    prepare_network(m) == 0)
		go_on(m);
}

void
machine_start_again(struct machine *m)
{
	_cleanup_failure_ struct failure f = { .code = FAIL_NONE };

	machine_give_back(m);
	m->killing = m->ended = false;
	m->said[0] = '\0';
	more_time(m);
	if (machine_address(m, &f) < 0)
		machine_end(m, false, &f);
	else
		event_task_post(&m->w->events, &m->begin, begin, m);
}

static unsigned int
active_machines(struct worker *w)
{
	struct list *node, *following;
	unsigned int count = 0;

	list_each(node, following, &w->machines)
		if (list_entry(node, struct machine, node)->row.state !=
		    MACHINE_STOPPED)
			count++;
	return count;
}

int
machine_startable(struct machine *m, struct failure *f)
{
	struct worker *w = m->w;
	const struct kernel *kernel = kernel_find(w, m->row.kernel);

	if (kernel == NULL)
		return failure_set(f, FAIL_NOT_FOUND, "VM %s: kernel %s: not found; "
		    "import it again", m->row.name, m->row.kernel);
	m->row.vmm = w->config.vmm;
	if (m->row.vmm == VMM_FIRECRACKER && kernel->row.vmlinux_bytes == 0)
		return failure_set(f, FAIL_INVALID, "VM %s: kernel %s: has no "
		    "vmlinux, and Firecracker boots nothing else; import "
		    "another, or set vmm to qemu", m->row.name,
		    m->row.kernel);
	if (machine_check_kernel(m->row.name, m->row.vmm, &kernel->row, f) < 0)
		return -1;
	if (m->row.mem_mib > w->host_mem_mib)
		return failure_set(f, FAIL_INVALID, "VM %s: memory: %u MiB is "
		    "more than this host has (%" PRIu64 " MiB); give less with "
		    "--memory", m->row.name, m->row.mem_mib, w->host_mem_mib);
	if (active_machines(w) >= w->config.vm_max)
		return failure_set(f, FAIL_UNAVAILABLE, "VM %s: no free VM slot: %u "
		    "run already; stop one", m->row.name, w->config.vm_max);
	return 0;
}

int
machine_start(struct machine *m, struct failure *f)
{
	struct worker *w = m->w;

	if (m->row.state != MACHINE_STOPPED || m->doomed)
		return failure_set(f, FAIL_STATE, "VM %s: is not stopped",
		    m->row.name);
	if (m->copying > 0)
		return failure_set(f, FAIL_BUSY, "VM %s: an image is being "
		    "made of its disk; start it afterwards", m->row.name);
	if (machine_startable(m, f) < 0)
		return -1;
	if (!m->fresh && machine_address(m, f) < 0)
		return -1;
	m->row.state = MACHINE_STARTING;
	if (!m->fresh)
		(void)machine_save(m);
	failure_clear(&m->failure);
	m->failed = m->asked = m->killing = m->ended = m->halted = false;
	m->said[0] = '\0';
	event_timer_set(&w->events, &m->deadline, w->config.start_timeout_ms / 2,
	    start_late, m);
	event_task_post(&w->events, &m->begin, begin, m);
	return 0;
}
