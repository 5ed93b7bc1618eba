/*
 * hostile daemon CONFIG | ops: the real monitor and launcher, whose worker, as it
 * executes this program for it, was taken over: it has the worker's uid and
 * fds, and none of the worker's own confinement.
 *
 * It asks for everything that the op table names (ops_info), in every state of
 * a VM, rightly and in every way wrongly. What no worker sends must end it; what
 * comes too late must be answered with the error that proto.h names; neither may
 * change what it sees of the host. Each death is a monitor's restart, so the
 * next life goes on behind the case it was killed in: run the daemon again until
 * STORE/done is there, which tells what was tried. A failure is in STORE/failed.
 * STORE/every, a number N, has it try every Nth case only, where a daemon takes its
 * time to start. With "ops" it only prints the table. With STORE/cycle it is no attack but one
 * VM's life, in which somebody else makes system calls of the monitor's fail; with
 * STORE/clean it takes away what is left.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "privsep/daemon.h"
#include "privsep/monitor.h"
#include "privsep/util.h"
#include "privsep/wire.h"

enum {
	VIEW_BYTES = 64 * 1024,
	BODY_MAX = 512,
	FDS_TOO_MANY = 253,		/* SCM_MAX_FD */
	EXIT_WAIT_MS = 10 * 1000,
	/* What the monitor does to one that it ends. */
	DEATH_WAIT_MS = 10 * 1000,
	STORM_VMS = 3,
	STORM_REQUESTS = 3000,
};

#define VM_ID UINT64_C(0x7f3a00000001)
#define NOBODYS_ID (VM_ID + STORM_VMS)

/* What is to come of a request. */
enum outcome { DEATH, REFUSAL };

/* A request as it goes onto the wire, however wrong. */
struct attack {
	struct wire_request header;
	uint8_t body[BODY_MAX];
	size_t bytes;			/* of both */
	int fds[FDS_TOO_MANY];
	uint32_t nfds;
	enum outcome outcome;
	int status;			/* of a refusal */
	char what[96];
};

/* Kept in STORE/progress from one life to the next. */
struct progress {
	uint32_t next;			/* case to try */
	uint32_t state;			/* of the VM in the case before */
	uint32_t deaths, refusals;
};

static struct hello_reply host;
static struct bridge_ensure_reply net;
static struct progress progress;
static int store = -1;
static uint32_t seq, case_number, every = 1;
static char view[VIEW_BYTES], before[VIEW_BYTES];
static int errors_fd = -1;		/* of the VMM; without a reader it would end */
static bool faulty;			/* calls of the monitor's are made to fail */
static unsigned int stormed;		/* requests in no order that were granted */

/* ---- what is told ---- */

static void
put_file(const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = openat(store, name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write_full(fd, data, len) < 0)
		_exit(3);
}

static _Noreturn void PRINTF_LIKE(1, 2)
failed(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (store >= 0)
		put_file("failed", text, strlen(text));
	fprintf(stderr, "hostile: case %u: %s\n", case_number, text);
	_exit(2);
}

/* ---- what it sees of the host ---- */

static void
see(char *out, const char *fmt, ...)
{
	size_t used = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + used, VIEW_BYTES - used, fmt, ap);
	va_end(ap);
}

/* LINE of FILE without what moves by itself: counters, ids of mounts. */
static const char *
strip(const char *file, char *line)
{
	char *rest = line;
	int i;

	if (strcmp(file, "/proc/net/dev") == 0)
		strcpy(line + strcspn(line, ":"), "\n");
	if (strcmp(file, "/proc/self/mountinfo") != 0)
		return line;
	for (i = 0; i < 2; i++)
		rest += strcspn(rest, " ") + 1;
	return rest;
}

/*
 * A loop device that only the monitor has open, because the VMM has ended, goes
 * with it (LO_FLAGS_AUTOCLEAR).
 */
static bool
may_go(const char *line)
{
	return progress.state == VM_EXITED && strstr(line, " loop") != NULL;
}

/*
 * A loop device of a test that runs beside this one: its file lies in a directory
 * like ours (mktemp in tests/lib.sh). Or one that has gone since it was listed.
 */
static bool
of_another(const char *line)
{
	const char *name = strstr(line, " loop");
	size_t top = strlen(host.store) - strlen("/state/store");
	char path[64], file[512] = "";
	_cleanup_close_ int fd = -1;

	if (name == NULL)
		return false;
	(void)format(path, sizeof(path), "/sys/block/%.*s/loop/backing_file",
	    (int)strcspn(name + 1, "\n"), name + 1);
	errno = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, file, sizeof(file) - 1) <= 0)
		return errno == ENOENT;
	return strncmp(file, host.store, top - strlen("XXXXXX")) == 0 &&
	    strncmp(file, host.store, top) != 0;
}

/* Links, addresses, routes, block devices, mounts. */
static void
look(char *out)
{
	static const char *const files[] = { "/proc/net/dev",
		"/proc/net/route", "/proc/net/fib_trie", "/proc/partitions",
		"/proc/self/mountinfo" };
	size_t i;

	out[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *f = fopen(files[i], "re");
		char line[512];

		if (f == NULL)
			failed("%s: %s", files[i], strerror(errno));
		while (fgets(line, sizeof(line), f) != NULL)
			if (!may_go(line) && !of_another(line))
				see(out, "%s", strip(files[i], line));
		fclose(f);
	}
}

/* Fails when it is not as it was in `before`, because of WHAT. */
static void
look_again(const char *what)
{
	size_t at = 0, line = 0;

	look(view);
	if (strcmp(view, before) == 0)
		return;
	for (; view[at] == before[at]; at++)
		if (view[at] == '\n')
			line = at + 1;
	failed("after %s the host has changed: from here on it was\n%.300s\n"
	    "and is\n%.300s", what, before + line, view + line);
}

/* ---- right requests ---- */

static int
own_bytes(const char *name, const void *bytes, size_t len, off_t size,
    int flags)
{
	int fd = openat(store, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	/* Kernel and initrd are read by a VMM of another uid. */
	if (fd < 0 || fchmod(fd, 0644) < 0 || write_full(fd, bytes, len) < 0 ||
	    ftruncate(fd, size > 0 ? size : (off_t)len) < 0)
		failed("%s: %s", name, strerror(errno));
	close(fd);
	fd = openat(store, name, flags | O_CLOEXEC);
	if (fd < 0)
		failed("%s: %s", name, strerror(errno));
	return fd;
}

static int
own_file(const char *name, const char *text, off_t size, int flags)
{
	return own_bytes(name, text, strlen(text), size, flags);
}

/*
 * The smallest kernel that Firecracker starts, which then does nothing: an ELF
 * file (elf(5)) of one segment at 1 MiB, with `pause; jmp` in it.
 */
static int
idle_kernel(void)
{
	struct {
		Elf64_Ehdr file;
		Elf64_Phdr segment;
		uint8_t code[16];
	} kernel = {
		.file = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
			ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC, .e_machine = EM_X86_64,
			.e_version = EV_CURRENT, .e_entry = 1 << 20,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 },
		.segment = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X,
			.p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
			.p_vaddr = 1 << 20, .p_paddr = 1 << 20,
			.p_filesz = 16, .p_memsz = 16 },
		.code = { 0xf3, 0x90, 0xeb, 0xfc },
	};

	return own_bytes("kernel", &kernel, sizeof(kernel), 0, O_RDONLY);
}

/* Kernel, initrd and configuration, for a VMM that starts and does nothing. */
static void
launch_files(struct attack *a)
{
	static const char qemu[] = "[machine]\n  type = \"microvm\"\n"
	    "  accel = \"tcg\"\n[memory]\n  size = \"64M\"\n";
	static const char firecracker[] = "{\"boot-source\":{"
	    "\"kernel_image_path\":\"/kernel\"},\"drives\":[{"
	    "\"drive_id\":\"d\",\"path_on_host\":\"/disk\","
	    "\"is_root_device\":false,\"is_read_only\":false}],"
	    "\"vsock\":{\"guest_cid\":3,\"uds_path\":\"/run/vsock.sock\"},"
	    "\"machine-config\":{\"vcpu_count\":1,\"mem_size_mib\":64}}";
	bool is_qemu = host.vmm == VMM_QEMU;

	/* QEMU's firmware finds nothing to boot, and waits. */
	a->fds[a->nfds++] = is_qemu ? own_file("kernel", "x", 0, O_RDONLY) :
	    idle_kernel();
	a->fds[a->nfds++] = own_file("initrd", "x", 0, O_RDONLY);
	a->fds[a->nfds++] = own_file("config", is_qemu ? qemu : firecracker, 0,
	    O_RDONLY);
}

static void
close_fds(struct attack *a)
{
	uint32_t i;

	for (i = 0; i < a->nfds; i++)
		close_fdp(&a->fds[i]);
	a->nfds = 0;
}

/* Puts the request of TYPE with these members into the attack A. */
#define FILL(a, type, ...) do { \
	const struct type filled_ = { __VA_ARGS__ }; \
	memcpy((a)->body, &filled_, sizeof(filled_)); \
} while (0)

/* A request for OP that is right in all but, perhaps, the VM's state. */
static void
make_right(struct attack *a, uint32_t op, const struct op_info *info)
{
	*a = (struct attack){ .header = { .op = op, .seq = ++seq,
		.len = info->request_len, .nfds = info->fds,
		.vm = info->states != 0 ? VM_ID : 0 },
		.bytes = sizeof(a->header) + info->request_len };
	switch (op) {
	case OP_HELLO:
		FILL(a, hello_request, .version = WIRE_VERSION);
		break;
	case OP_TAP_CREATE:
		FILL(a, tap_create_request, .ipv4 = net.gateway + 1);
		break;
	case OP_NAT_SET:
		FILL(a, nat_set_request, .enabled = 1);
		break;
	case OP_DISK_ATTACH:
		FILL(a, disk_attach_request,
		    .loop = host.vmm == VMM_FIRECRACKER);
		a->fds[a->nfds++] = own_file("disk", "x", 1 << 20, O_RDWR);
		break;
	case OP_SNAPSHOT_CREATE:
		FILL(a, snapshot_create_request, .disk_bytes = 1 << 20);
		a->fds[a->nfds++] = own_file("image", "x", 1 << 20, O_RDONLY);
		a->fds[a->nfds++] = own_file("cow", "", 1 << 20, O_RDWR);
		break;
	case OP_VMM_LAUNCH:
		FILL(a, vmm_launch_request, .vmm = host.vmm, .vcpus = 1,
		    .mem_mib = 64);
		launch_files(a);
		break;
	case OP_SOCKET_OPEN:
		FILL(a, socket_open_request, .socket = host.vmm ==
		    VMM_FIRECRACKER ? SOCKET_VSOCK : SOCKET_CONSOLE);
		break;
	case OP_VMM_SIGNAL:
		FILL(a, vmm_signal_request, .signal = SIGTERM);
		break;
	default:
		/* All zero: the first slot, or no body. */
		break;
	}
	if (a->nfds != info->fds)
		failed("op %s: this program knows of %u fds, not %u",
		    info->name, a->nfds, info->fds);
}

/* ---- the wire ---- */

/* Where a call of the daemon's was made to fail, its end is an answer, too. */
static void
daemon_gone(void)
{
	if (faulty)
		_exit(4);
}

/* Not by wire_send, which sends nothing that wire_recv would not take. */
static void
send_attack(const struct attack *a)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(FDS_TOO_MANY * sizeof(int))];
	} control = { .bytes = { 0 } };
	uint8_t bytes[sizeof(a->header) + BODY_MAX];
	struct iovec iov = { bytes, a->bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = &control.align;
	size_t fds_len = a->nfds * sizeof(int);
	ssize_t n;

	memcpy(bytes, &a->header, sizeof(a->header));
	memcpy(bytes + sizeof(a->header), a->body, BODY_MAX);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(c), a->fds, fds_len);
	/* Not every kernel sends 253: then half as many. */
	do {
		c->cmsg_len = (socklen_t)CMSG_LEN(fds_len);
		msg.msg_control = fds_len > 0 ? &control : NULL;
		msg.msg_controllen =
		    fds_len > 0 ? (socklen_t)CMSG_SPACE(fds_len) : 0;
		n = sendmsg(WORKER_WIRE_FD, &msg, MSG_NOSIGNAL);
		fds_len = fds_len / 2 & ~(sizeof(int) - 1);
	} while (n < 0 && errno == ENOMEM &&
	    fds_len > WIRE_FDS_MAX * sizeof(int));
	if (n < 0 && errno == EPIPE)
		daemon_gone();
	if (n != (ssize_t)a->bytes)
		failed("%s: cannot be sent: %s", a->what, strerror(errno));
}

/*
 * The reply to A, whose fd is closed, in *REPLY; events in between are thrown
 * away. False when none comes.
 */
static bool
receive(const struct attack *a, struct wire_record *reply)
{
	struct pollfd pfd = { .fd = WORKER_WIRE_FD, .events = POLLIN };

	while (poll(&pfd, 1, DEATH_WAIT_MS) == 1) {
		if (wire_recv(WORKER_WIRE_FD, reply, 0) <= 0)
			return false;
		if (reply->reply.op == EVENT_VMM_EXIT)
			continue;
		if (reply->reply.op == OP_VMM_LAUNCH && reply->nfds == 1) {
			close_fdp(&errors_fd);
			errors_fd = wire_take_fd(reply, 0);
		}
		wire_close_fds(reply);
		if (reply->reply.seq == a->header.seq)
			return true;
		failed("%s: an answer to something else", a->what);
	}
	return false;
}

/* Sends the right request for OP of VM; its status, and the reply in *RECORD. */
static int
ask(uint32_t op, uint64_t vm, struct wire_record *record)
{
	struct op_info info;
	struct attack a;

	if (ops_info(op, &info) < 0)
		failed("no op %u", op);
	make_right(&a, op, &info);
	if (info.states != 0)
		a.header.vm = vm;
	if (op == OP_TAP_CREATE)
		FILL(&a, tap_create_request, .ipv4 = net.gateway + 1 +
		    (uint32_t)(vm - VM_ID));
	snprintf(a.what, sizeof(a.what), "%s", info.name);
	send_attack(&a);
	if (!receive(&a, record)) {
		daemon_gone();
		failed("%s: no answer to a right request", info.name);
	}
	close_fds(&a);
	return record->reply.status;
}

static void
must_ask(uint32_t op, uint64_t vm, struct wire_record *record)
{
	int r = ask(op, vm, record);

	if (r < 0)
		failed("op %u: %s (%s)", op, record->reply.error,
		    strerror(-r));
}

/* ---- the VM's state ---- */

static uint32_t
state_of(uint64_t vm)
{
	struct wire_record record;
	struct vmm_find_reply find;

	must_ask(OP_VMM_FIND, vm, &record);
	memcpy(&find, record.bytes + sizeof(record.reply), sizeof(find));
	return find.state;
}

static void
wait_state(uint64_t vm, uint32_t state)
{
	int64_t deadline = monotonic_ms() + EXIT_WAIT_MS;

	while (state_of(vm) != state) {
		if (monotonic_ms() > deadline)
			failed("VM %llx is not in state %u",
			    (unsigned long long)vm, state);
		sleep_ms(5);
	}
}

/* Takes away what is there of VM, and with the last the bridge. */
static void
clean(uint64_t vm)
{
	struct wire_record record;

	if (state_of(vm) == VM_RUNNING) {
		must_ask(OP_VMM_KILL, vm, &record);
		wait_state(vm, VM_EXITED);
	}
	if (state_of(vm) != VM_ABSENT)
		must_ask(OP_TAP_DELETE, vm, &record);
	else
		(void)ask(OP_TAP_DELETE, vm, &record);
	/* The bridge goes after the answer. */
	must_ask(OP_VMM_FIND, vm, &record);
}

/* Waits until Firecracker has made its socket. */
static void
await_socket(void)
{
	int64_t deadline = monotonic_ms() + EXIT_WAIT_MS;
	struct wire_record record;

	while (ask(OP_SOCKET_OPEN, VM_ID, &record) < 0) {
		if (monotonic_ms() > deadline)
			failed("socket: %s", record.reply.error);
		sleep_ms(20);
	}
}

/* Brings the VM into STATE, whatever it is in. */
static void
bring(uint32_t state)
{
	struct wire_record record;

	clean(VM_ID);
	if (state == VM_ABSENT)
		return;
	must_ask(OP_BRIDGE_ENSURE, 0, &record);
	memcpy(&net, record.bytes + sizeof(record.reply), sizeof(net));
	must_ask(OP_TAP_CREATE, VM_ID, &record);
	if (state == VM_STAGED)
		return;
	must_ask(OP_DISK_ATTACH, VM_ID, &record);
	must_ask(OP_VMM_LAUNCH, VM_ID, &record);
	wait_state(VM_ID, VM_RUNNING);
	/* Until it holds its disk, which nobody does once this daemon is dead. */
	if (host.vmm == VMM_FIRECRACKER)
		await_socket();
	if (state == VM_RUNNING)
		return;
	must_ask(OP_VMM_KILL, VM_ID, &record);
	wait_state(VM_ID, VM_EXITED);
}

/* ---- wrong fds ---- */

/* Each gets the access mode that the right fd has. */
static int
fifo(int access)
{
	(void)access;
	(void)unlinkat(store, "fifo", 0);
	if (mkfifoat(store, "fifo", 0600) < 0)
		return -1;
	return openat(store, "fifo", O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static int
socket_end(int access)
{
	int ends[2];

	(void)access;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	close(ends[1]);
	return ends[0];
}

static int
wire_itself(int access)
{
	(void)access;
	return fcntl(WORKER_WIRE_FD, F_DUPFD_CLOEXEC, 0);
}

static int
device(int access)
{
	return open("/dev/null", access | O_CLOEXEC);
}

static int
directory(int access)
{
	(void)access;
	return fcntl(store, F_DUPFD_CLOEXEC, 0);
}

static int
path_only(int access)
{
	return own_file("path", "x", 1 << 20, access | O_PATH);
}

static int
two_links(int access)
{
	int fd = own_file("linked", "x", 4096, access);

	if (linkat(store, "linked", store, "linked.too", 0) < 0 &&
	    errno != EEXIST)
		return -1;
	return fd;
}

static int
empty(int access)
{
	close(own_file("empty", "x", 0, O_WRONLY | O_TRUNC));
	return openat(store, "empty", access | O_CLOEXEC);
}

static int
appending(int access)
{
	return own_file("appending", "x", 4096, access | O_APPEND);
}

static int
other_access(int access)
{
	return own_file("access", "x", 4096, access == O_RDWR ? O_RDONLY :
	    O_RDWR);
}

static int
write_only(int access)
{
	(void)access;
	return own_file("access", "x", 4096, O_WRONLY);
}

/* Root's, and behind a magic link. */
static int
executable(int access)
{
	(void)access;
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static int
of_root(int access)
{
	(void)access;
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static int
of_proc(int access)
{
	(void)access;
	return open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
}

static int
event(int access)
{
	(void)access;
	return eventfd(0, EFD_CLOEXEC);
}

static int
pidfd(int access)
{
	(void)access;
	return (int)syscall(SYS_pidfd_open, getpid(), 0);
}

static const struct {
	const char *name;
	int (*make)(int access);
} kinds[] = {
	{ "a FIFO", fifo }, { "a socket", socket_end },
	{ "the wire", wire_itself }, { "a device", device },
	{ "a directory", directory }, { "an O_PATH fd", path_only },
	{ "a file with two links", two_links }, { "an empty file", empty },
	{ "an appending fd", appending }, { "of another mode", other_access },
	{ "a write-only fd", write_only }, { "root's executable", executable },
	{ "root's file", of_root }, { "a file of proc's", of_proc },
	{ "an eventfd", event }, { "a pidfd", pidfd },
};

/* ---- the cases ---- */

/* Ends the life that was to be ended; survives what was not. */
static void
run_case(struct attack *a)
{
	struct wire_record reply;
	bool answered;

	progress.next = case_number + 1;
	if (a->outcome == DEATH)
		progress.deaths++;
	else
		progress.refusals++;
	put_file("progress", &progress, sizeof(progress));
	send_attack(a);
	answered = receive(a, &reply);
	/* The file is ahead of the monitor, which may be killing already. */
	if (a->outcome == DEATH && answered)
		failed("%s: was answered (%d %s)", a->what,
		    reply.reply.status, reply.reply.error);
	if (a->outcome == DEATH) {
		sleep_ms(DEATH_WAIT_MS);
		failed("%s: still alive", a->what);
	}
	if (!answered)
		failed("%s: no answer", a->what);
	if (reply.reply.status != a->status)
		failed("%s: status %d, not %d (%s)", a->what,
		    reply.reply.status, a->status, reply.reply.error);
	close_fds(a);
	look_again(a->what);
}

/*
 * The cases are counted through in each life; those before progress.next only
 * counted. True: this one is to be run, the VM is in its state.
 */
static bool
due(uint32_t state)
{
	if (++case_number < progress.next || case_number % every != 0)
		return false;
	progress.state = state;
	if (state_of(VM_ID) != state)
		bring(state);
	else if (before[0] != '\0')
		return true;
	look(before);
	put_file("view", before, strlen(before));
	return true;
}

static void PRINTF_LIKE(4, 5)
run_wrong(struct attack *a, const struct op_info *info, uint32_t state,
    const char *fmt, ...)
{
	size_t used;
	va_list ap;

	snprintf(a->what, sizeof(a->what), "%s in state %u, ", info->name,
	    state);
	used = strlen(a->what);
	va_start(ap, fmt);
	vsnprintf(a->what + used, sizeof(a->what) - used, fmt, ap);
	va_end(ap);
	run_case(a);
}

/* What is sent, and what its header says, beside what is right. */
static const struct {
	int sent, declared;
} shapes[] = {
	{ -1, 0 }, { 1, 0 }, { 0, 8 }, { 8, 8 }, { -8, -8 },
};

static void
wrong_sizes(uint32_t op, const struct op_info *info, uint32_t state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct attack a;

		if (!due(state))
			continue;
		make_right(&a, op, info);
		a.bytes = (size_t)((ssize_t)a.bytes + shapes[i].sent);
		a.header.len += (uint32_t)shapes[i].declared;
		run_wrong(&a, info, state, "%zd bytes, %u declared",
		    (ssize_t)a.bytes - (ssize_t)sizeof(a.header), a.header.len);
	}
}

static void
wrong_counts(uint32_t op, const struct op_info *info, uint32_t state)
{
	const struct {
		uint32_t sent, declared;
	} counts[] = {
		{ info->fds + 1, info->fds }, { info->fds, info->fds + 1 },
		{ info->fds + 1, info->fds + 1 }, { 0, info->fds },
		{ info->fds, 0 }, { WIRE_FDS_MAX + 1, info->fds },
		{ FDS_TOO_MANY, FDS_TOO_MANY },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct attack a;

		if (counts[i].sent == info->fds &&
		    counts[i].declared == info->fds)
			continue;
		if (!due(state))
			continue;
		make_right(&a, op, info);
		while (a.nfds > counts[i].sent)
			close_fdp(&a.fds[--a.nfds]);
		while (a.nfds < counts[i].sent)
			a.fds[a.nfds++] = own_file("kernel", "x", 0, O_RDONLY);
		a.header.nfds = counts[i].declared;
		run_wrong(&a, info, state, "%u fds, %u declared",
		    counts[i].sent, counts[i].declared);
	}
}

static void
wrong_ids(uint32_t op, const struct op_info *info, uint32_t state)
{
	static const uint64_t ids[] = { 0, 1, VM_ID, VM_ID_MAX + 1,
		UINT64_MAX, UINT64_C(1) << 63 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		bool right = info->states == 0 ? ids[i] == 0 :
		    ids[i] != 0 && ids[i] <= VM_ID_MAX;
		struct attack a;

		if (right || !due(state))
			continue;
		make_right(&a, op, info);
		a.header.vm = ids[i];
		run_wrong(&a, info, state, "id %llx",
		    (unsigned long long)ids[i]);
	}
}

/* Each word of the body at once all ones: no field may be that. */
static void
wrong_words(uint32_t op, const struct op_info *info, uint32_t state)
{
	uint32_t at;

	for (at = 0; at < info->request_len; at += 4) {
		struct attack a;

		if (!due(state))
			continue;
		make_right(&a, op, info);
		memset(a.body + at, 0xff, 4);
		/* Without a bridge no address can be compared with its own. */
		if (op == OP_TAP_CREATE && at == 0 && state == VM_ABSENT) {
			a.outcome = REFUSAL;
			a.status = -ENETDOWN;
		}
		run_wrong(&a, info, state, "word %u of its body", at / 4);
	}
}

static void
wrong_fds(uint32_t op, const struct op_info *info, uint32_t state)
{
	uint32_t at;
	size_t i;

	for (at = 0; at < info->fds; at++)
		for (i = 0; i < ARRAY_SIZE(kinds); i++) {
			struct attack a;
			int access;

			if (!due(state))
				continue;
			make_right(&a, op, info);
			access = fcntl(a.fds[at], F_GETFL) & O_ACCMODE;
			close(a.fds[at]);
			a.fds[at] = kinds[i].make(access);
			if (a.fds[at] < 0)
				failed("%s: %s", kinds[i].name,
				    strerror(errno));
			run_wrong(&a, info, state, "fd %u is %s", at,
			    kinds[i].name);
		}
}

/* Right, but for the state, or for the VM, which nobody knows. */
static void
too_late(uint32_t op, const struct op_info *info, uint32_t state)
{
	struct attack a;

	if (info->states != 0 && (info->states & 1U << state) == 0 &&
	    due(state)) {
		make_right(&a, op, info);
		a.outcome = REFUSAL;
		a.status = state == VM_ABSENT ? -ENOENT :
		    state == VM_EXITED ? -ESRCH : -EBUSY;
		run_wrong(&a, info, state, "too late");
	}
	if (info->states != 0 && (info->states & 1U << VM_ABSENT) == 0 &&
	    due(state)) {
		make_right(&a, op, info);
		a.header.vm = NOBODYS_ID;
		a.outcome = REFUSAL;
		a.status = -ENOENT;
		run_wrong(&a, info, state, "of a VM that nobody knows");
	}
}

/* No op at all. */
static void
no_ops(uint32_t state)
{
	static const uint32_t ops[] = { OP_COUNT, EVENT_VMM_EXIT, UINT32_MAX,
		1U << 31 };
	const struct op_info info = { .name = "no op" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		struct attack a = { .header = { .op = ops[i] },
			.bytes = sizeof(a.header) };

		if (due(state))
			run_wrong(&a, &info, state, "%u", ops[i]);
	}
}

static void
all_cases(void)
{
	struct op_info info;
	uint32_t op, state;

	for (state = 0; state < VM_STATES; state++) {
		no_ops(state);
		for (op = 0; ops_info(op, &info) == 0; op++) {
			too_late(op, &info, state);
			wrong_sizes(op, &info, state);
			wrong_counts(op, &info, state);
			wrong_ids(op, &info, state);
			wrong_words(op, &info, state);
			wrong_fds(op, &info, state);
		}
	}
}

/*
 * Right requests in no order, for three VMs: each is answered, and one that is
 * refused is told why. What is there afterwards can be taken away.
 */
static void
storm(void)
{
	struct wire_record record;
	uint64_t vm;
	int i;

	for (vm = VM_ID; vm < NOBODYS_ID; vm++)
		clean(vm);
	look(before);
	srandom(1);
	for (i = 0; i < STORM_REQUESTS; i++) {
		uint32_t op = (uint32_t)random() % OP_COUNT;

		vm = VM_ID + (uint64_t)random() % STORM_VMS;
		if (ask(op, vm, &record) < 0 && record.reply.error[0] == '\0')
			failed("request %d, op %u: refused without a reason",
			    i, op);
		else if (record.reply.status == 0)
			stormed++;
	}
	for (vm = VM_ID; vm < NOBODYS_ID; vm++)
		clean(vm);
	look_again("requests in no order");
}

/*
 * The life of one VM, as it comes: what fails, because somebody makes it, says
 * what failed. When CYCLE is false only what is there is taken away.
 */
static void
one_life(bool cycle)
{
	static const uint32_t ops[] = { OP_BRIDGE_ENSURE, OP_TAP_CREATE,
		OP_NAT_SET, OP_DISK_ATTACH, OP_VMM_LAUNCH, OP_VMM_ALIVE,
		OP_VMM_STATS, OP_SOCKET_OPEN, OP_VMM_SIGNAL, OP_VMM_KILL };
	struct wire_record record;
	size_t i;

	faulty = cycle;
	for (i = 0; cycle && i < ARRAY_SIZE(ops); i++)
		if (ask(ops[i], VM_ID, &record) < 0 &&
		    record.reply.error[0] == '\0')
			failed("op %u fails (%s) and does not say why", ops[i],
			    strerror(-record.reply.status));
	/* The signal, or a step of taking away, may be what fails. */
	for (i = 0; cycle && i < 100 && state_of(VM_ID) != VM_ABSENT; i++) {
		(void)ask(state_of(VM_ID) == VM_RUNNING ? OP_VMM_KILL :
		    OP_TAP_DELETE, VM_ID, &record);
		sleep_ms(10);
	}
	if (!cycle)
		clean(VM_ID);
	put_file("done", "", 0);
	_exit(0);
}

/* ---- a life ---- */

static void
begin_life(void)
{
	struct wire_record record;
	char text[16] = "";
	int fd;

	must_ask(OP_HELLO, 0, &record);
	memcpy(&host, record.bytes + sizeof(record.reply), sizeof(host));
	store = open(host.store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store < 0)
		failed("%s: %s", host.store, strerror(errno));
	fd = openat(store, "progress", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &progress, sizeof(progress)) !=
	    (ssize_t)sizeof(progress))
		failed("progress: %s", strerror(errno));
	close(fd);
	fd = openat(store, "every", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		every = (uint32_t)strtoul(text, NULL, 10);
	close(fd);
	must_ask(OP_READY, 0, &record);
	/* The daemon's death does not change the VM, but for one with a tap only. */
	if (progress.state == VM_RUNNING || progress.state == VM_EXITED) {
		if (state_of(VM_ID) != progress.state)
			failed("the VM was in state %u, and is in %u",
			    progress.state, state_of(VM_ID));
		fd = openat(store, "view", O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, before, sizeof(before) - 1) < 0)
			failed("view: %s", strerror(errno));
		close(fd);
		look_again("the case before");
		before[0] = '\0';
	}
	/* For requests that are right. */
	net.gateway = 0xac100001;
}

static _Noreturn void
be_worker(void)
{
	char text[256];

	begin_life();
	if (faccessat(store, "cycle", F_OK, 0) == 0)
		one_life(true);
	if (faccessat(store, "clean", F_OK, 0) == 0)
		one_life(false);
	all_cases();
	storm();
	snprintf(text, sizeof(text), "%u ops x %u states: %u requests, of which "
	    "%u ended the worker and %u were refused; %d in no order, of which "
	    "%u were granted\n", (unsigned int)OP_COUNT, (unsigned int)VM_STATES,
	    progress.deaths + progress.refusals, progress.deaths,
	    progress.refusals, STORM_REQUESTS, stormed);
	put_file("done", text, strlen(text));
	_exit(0);
}

/* The op table as banger-privsep(7) has it. */
static int
list_ops(void)
{
	static const char *const names[VM_STATES] = { "absent", "staged",
		"running", "exited" };
	struct op_info info;
	uint32_t op, state;

	for (op = 0; ops_info(op, &info) == 0; op++) {
		const char *before_it = "";

		printf("%s Ta %u Ta ", info.name, info.fds);
		if (info.states == 0 || info.states == (1U << VM_STATES) - 1) {
			printf("%s\n", info.states == 0 ? "-" : "any");
			continue;
		}
		for (state = 0; state < VM_STATES; state++)
			if ((info.states & 1U << state) != 0) {
				printf("%s%s", before_it, names[state]);
				before_it = ", ";
			}
		printf("\n");
	}
	return fflush(stdout) != 0;
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "worker") == 0)
		be_worker();
	if (argc == 2 && strcmp(argv[1], "ops") == 0)
		return list_ops();
	if (argc == 3 && strcmp(argv[1], "daemon") == 0)
		return daemon_main(argv[2], false);
	fprintf(stderr, "usage: hostile daemon CONFIG | ops\n");
	return 2;
}
