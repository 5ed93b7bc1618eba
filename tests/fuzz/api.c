/*
 * Lines of a client's, through the whole worker in this process: accepted as a
 * connection, read, answered. It has a store with a VM, an image and a kernel in
 * it, and a monitor (wire_send and wire_recv are replaced at link time) that can
 * do nothing; no job is started.
 */
#include "fuzz.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "privsep/log.h"
#include "worker/api.h"

enum { TURNS_MAX = 32 };

int	 __wrap_wire_send(int sock, const void *header, size_t header_len,
	    const void *body, size_t body_len, const int *fds, uint32_t nfds);
int	 __real_wire_send(int sock, const void *header, size_t header_len,
	    const void *body, size_t body_len, const int *fds, uint32_t nfds);
int	 __wrap_wire_recv(int sock, struct wire_record *record, int flags);
int	 __wrap_job_start(struct jobs *jobs, const struct job_spec *spec,
	    struct job **job);

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_len;
static int listener = -1, wire, exe;
static struct worker w;
static struct wire_request asked;	/* of the monitor, and not answered yet */
static bool to_answer;

int
__wrap_wire_send(int sock, const void *header, size_t header_len,
    const void *body, size_t body_len, const int *fds, uint32_t nfds)
{
	(void)sock;
	(void)body;
	(void)body_len;
	(void)fds;
	(void)nfds;
	must(header_len == sizeof(asked) && !to_answer);
	memcpy(&asked, header, sizeof(asked));
	to_answer = true;
	return 0;
}

/* HELLO and the list of VMs, of which there are none; all else fails. */
int
__wrap_wire_recv(int sock, struct wire_record *record, int flags)
{
	struct hello_reply hello = { .owner_gid = UINT32_MAX, .vmm = VMM_QEMU,
		.default_vcpus = 1, .default_mem_mib = 128, .vm_max = 8,
		.start_timeout_ms = 1000, .log_level = LOG_ERROR,
		.default_image = "img", .default_kernel = "krn" };
	struct vmm_find_reply found = { .state = VM_ABSENT };
	struct vmm_list_reply list = { .id = 0 };
	const void *body = NULL;

	(void)sock;
	(void)flags;
	if (!to_answer)
		return -EAGAIN;
	to_answer = false;
	memset(record, 0, sizeof(*record));
	record->reply.op = asked.op;
	record->reply.seq = asked.seq;
	record->reply.vm = asked.vm;
	strcpy(hello.store, temp);
	if (asked.op == OP_HELLO) {
		body = &hello;
		record->reply.len = sizeof(hello);
	} else if (asked.op == OP_VMM_LIST) {
		body = &list;
		record->reply.len = sizeof(list);
	} else if (asked.op == OP_VMM_FIND) {
		body = &found;
		record->reply.len = sizeof(found);
	} else {
		record->reply.status = -EIO;
		strcpy(record->reply.error, "cannot");
	}
	record->len = sizeof(record->reply) + record->reply.len;
	if (body != NULL)
		memcpy(record->bytes + sizeof(record->reply), body,
		    record->reply.len);
	return 1;
}

int
__wrap_job_start(struct jobs *jobs, const struct job_spec *spec,
    struct job **job)
{
	(void)jobs;
	(void)spec;
	(void)job;
	return -EAGAIN;
}

static void
put(int dir, const char *name, const char *text, size_t len)
{
	put_file(dir, name, (struct input){ (const uint8_t *)text, len });
}

/* The store as it is before each input. */
static void
fill_store(void)
{
	const struct machine_row vm = { .id = 0x0123456789ab, .name = "web",
		.image = "img", .kernel = "krn", .vcpus = 1, .mem_mib = 128,
		.disk_bytes = 1 << 20, .vmm = VMM_QEMU };
	const struct image_row image = { .name = "img", .file = "img", .size_bytes = 8 };
	struct kernel_row kernel = { .name = "krn", .version = "6.1",
		.vmlinuz_bytes = 4, .initrd_bytes = 4, .acpi = true };
	struct buf row = BUF_INIT(STORE_ROW_MAX);
	int dir = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(dir >= 0);
	(void)mkdirat(dir, "vms", 0700);
	(void)mkdirat(dir, "images", 0700);
	(void)mkdirat(dir, "kernels", 0700);
	machine_row_write(&row, &vm);
	put(dir, "vms/0123456789ab.json", row.data, row.len);
	put(dir, "vms/0123456789ab.disk", "disk", 4);
	buf_clear(&row);
	image_row_write(&row, &image);
	put(dir, "images/img.json", row.data, row.len);
	put(dir, "images/img.ext4", "a image\n", 8);
	buf_clear(&row);
	strcpy(kernel.agent, "x");
	kernel_row_write(&row, &kernel);
	put(dir, "kernels/krn.json", row.data, row.len);
	put(dir, "kernels/krn.vmlinuz", "krnl", 4);
	put(dir, "kernels/krn.initrd", "init", 4);
	buf_free(&row);
	close(dir);
}

static void
set_up(void)
{
	log_init("fuzz", LOG_ERROR);
	close(make_temp());
	exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	/* Something to watch that is never ready. */
	wire = eventfd(0, EFD_CLOEXEC);
	/* Autobind: an abstract name that nobody has (unix(7)). */
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	address_len = sizeof(sa_family_t);
	must(exe >= 0 && listener >= 0 && bind(listener,
	    (struct sockaddr *)&address, address_len) == 0);
	address_len = sizeof(address);
	must(getsockname(listener, (struct sockaddr *)&address,
	    &address_len) == 0 && listen(listener, 4) == 0);
}

/* A blank before the line, with FD beside it unless that is -1. */
static void
send_fd(int sock, int fd)
{
	if (fd >= 0)
		must(__real_wire_send(sock, " ", 1, NULL, 0, &fd, 1) == 0);
}

/* Sends the lines, with an fd before them or not, and lets the worker work. */
static void
serve(struct input *in)
{
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), turns;
	char answer[4096];

	must(sock >= 0 && connect(sock, (struct sockaddr *)&address,
	    address_len) == 0);
	send_fd(sock, take_u8(in) % 2 != 0 ? exe : -1);
	(void)send(sock, in->data, in->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (turns = 0; turns < TURNS_MAX; turns++) {
		must(events_turn(&w.events, 0) == 0);
		while (recv(sock, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			;
	}
	close(sock);
	for (turns = 0; turns < TURNS_MAX && w.peer_count > 0; turns++)
		must(events_turn(&w.events, 0) == 0);
	must(w.peer_count == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	int fd;

	if (listener < 0)
		set_up();
	fd = lowest_fd();
	fill_store();
	must(worker_open(&w, wire, listener, exe, false) == 0);
	serve(&in);
	worker_close(&w);
	must(lowest_fd() == fd);
	return 0;
}
