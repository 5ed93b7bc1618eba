/*
 * The life of VMs that exist; making and entering one is run.c's.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/objects.h"
#include "client/text.h"
#include "worker/console.h"

enum { TIMEOUT_MAX_S = 3600, FOLLOW_STEP_MS = 200, FOLLOW_ASK_STEPS = 5 };

static const struct field vm_fields[] = {
	{ "name", "NAME", FIELD_TEXT },
	{ "id", NULL, FIELD_TEXT },
	{ "state", "STATE", FIELD_TEXT },
	{ "ip", "ADDRESS", FIELD_TEXT },
	{ "image", "IMAGE", FIELD_TEXT },
	{ "kernel", "KERNEL", FIELD_TEXT },
	{ "vcpu", "VCPU", FIELD_NUMBER },
	{ "memory_mib", "MEMORY", FIELD_MIB },
	{ "disk_size_bytes", "DISK", FIELD_BYTES },
	{ "disk_backend", NULL, FIELD_TEXT },
	{ "disk_error", NULL, FIELD_TEXT },
	{ "restart_needed", NULL, FIELD_BOOL },
	{ "nat", NULL, FIELD_BOOL },
	{ "gateway", NULL, FIELD_TEXT },
	{ "mac", NULL, FIELD_TEXT },
	{ "init", NULL, FIELD_TEXT },
	{ "rm", NULL, FIELD_BOOL },
	{ "vmm", NULL, FIELD_TEXT },
	{ "accel", NULL, FIELD_TEXT },
	{ "pid", NULL, FIELD_NUMBER },
	{ "created", "AGE", FIELD_AGE },
	{ "started", NULL, FIELD_AGE },
	{ "exit", NULL, FIELD_TEXT },
	{ "last_error", NULL, FIELD_TEXT },
	{ NULL, NULL, FIELD_TEXT },
};

const struct kind vm_kind = { "vm", "vms", vm_fields };

int
cmd_vm_list(struct client *client, const struct args *args)
{
	return objects_list(client, args, &vm_kind);
}

int
cmd_vm_show(struct client *client, const struct args *args)
{
	return objects_show(client, args, &vm_kind);
}

int
cmd_vm_start(struct client *client, const struct args *args)
{
	return objects_each(client, args, &(struct batch){ .kind = &vm_kind,
	    .op = "vm.start", .done = "started" });
}

int
cmd_vm_stop(struct client *client, const struct args *args)
{
	const char *timeout = args_value(args, FLAG_TIMEOUT);
	uint64_t timeout_ms = 0;

	if (timeout != NULL &&
	    parse_u64(timeout, TIMEOUT_MAX_S, &timeout_ms) < 0)
		return usage_error(client, "--timeout %s: not a number of "
		    "seconds from 0 to %d", timeout, TIMEOUT_MAX_S);
	timeout_ms *= 1000;
	return objects_each(client, args, &(struct batch){ .kind = &vm_kind,
	    .op = "vm.stop", .done = "stopped",
	    .timeout_ms = timeout != NULL ? &timeout_ms : NULL });
}

int
cmd_vm_restart(struct client *client, const struct args *args)
{
	return objects_each(client, args, &(struct batch){ .kind = &vm_kind,
	    .op = "vm.restart", .done = "restarted" });
}

int
cmd_vm_kill(struct client *client, const struct args *args)
{
	return objects_each(client, args, &(struct batch){ .kind = &vm_kind,
	    .op = "vm.kill", .done = "killed" });
}

int
cmd_vm_delete(struct client *client, const struct args *args)
{
	return objects_each(client, args, &(struct batch){ .kind = &vm_kind,
	    .op = "vm.delete", .done = "deleted",
	    .force = args_has(args, FLAG_FORCE) });
}

/*
 * Copies what FD holds from *OFFSET on to standard output: the bytes as they
 * are, or tamed for a terminal. A log that became shorter was cut by the
 * daemon and starts again. 0 or -errno.
 */
static int
copy_log(int fd, off_t *offset, struct text_filter *filter)
{
	bool terminal = isatty(STDOUT_FILENO) == 1;
	char buf[16384];
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < *offset)
		*offset = 0;
	for (;;) {
		ssize_t n = pread(fd, buf, sizeof(buf), *offset);
		size_t len;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		*offset += n;
		len = (size_t)n;
		if (terminal)
			len = text_filter(filter, buf, len);
		if ((r = write_full(STDOUT_FILENO, buf, len)) < 0)
			return r;
	}
}

/* Whether the VM may still write to its console. */
static bool
still_running(struct client *client, const char *name)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	const char *state;

	api_request(&request, "vm.show", "vm", name);
	if (api_call(&client->api, &request, -1, 0, NULL, NULL, &reply) < 0 ||
	    reply.result == NULL)
		return false;
	state = field_text(cJSON_GetObjectItemCaseSensitive(reply.result, "vm"),
	    "state");
	return state != NULL && strcmp(state, "stopped") != 0;
}

/* Asks for the log of VM: an fd, or -1, complained about unless QUIET. */
static int
open_log(struct client *client, const char *name, bool quiet)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	api_request(&request, "vm.logs", "vm", name);
	if (quiet ? api_call(&client->api, &request, -1, 1, NULL, NULL,
	    &reply) < 0 : client_call(client, &request, -1, 1, &reply) < 0)
		return -1;
	return reply.result != NULL ? steal_fd(&reply.fds[0]) : -1;
}

/*
 * The worker bounds the log: now and then a new file begins with the newer
 * part of the old one. If that happened, what is left of the old one is copied
 * and *FD becomes the new one, *OFFSET where the copy ends. 0 or -errno.
 */
static int
next_log(struct client *client, const char *name, int *fd, off_t *offset,
    struct text_filter *filter)
{
	_cleanup_close_ int newer = open_log(client, name, true);
	struct stat st, newer_st;
	int r;

	if (newer < 0)
		return 0;
	if (fstat(*fd, &st) < 0 || fstat(newer, &newer_st) < 0)
		return -errno;
	if (st.st_ino == newer_st.st_ino && st.st_dev == newer_st.st_dev)
		return 0;
	r = copy_log(*fd, offset, filter);
	if (r < 0)
		return r;
	close(*fd);
	*fd = steal_fd(&newer);
	*offset = newer_st.st_size >= CONSOLE_KEPT ? CONSOLE_KEPT : 0;
	return 0;
}

/* Copies *FD and what follows it until the VM has stopped. 0 or -errno. */
static int
follow_log(struct client *client, const char *name, int *fd)
{
	struct text_filter filter = { 0 };
	off_t offset = 0;
	bool more = true;
	unsigned int step;
	int r;

	for (step = 1;; step++) {
		r = copy_log(*fd, &offset, &filter);
		if (r < 0 || !more)
			return r;
		sleep_ms(FOLLOW_STEP_MS);
		if (step % FOLLOW_ASK_STEPS != 0)
			continue;
		more = still_running(client, name);
		if (more && (r = next_log(client, name, fd, &offset,
		    &filter)) < 0)
			return r;
	}
}

int
cmd_vm_logs(struct client *client, const struct args *args)
{
	struct text_filter filter = { 0 };
	const char *name = args->words[0];
	_cleanup_close_ int fd = -1;
	off_t offset = 0;
	int r;

	if (client_connect(client) < 0 || (fd = open_log(client, name, false)) < 0)
		return EXIT_FAILED;
	if (args_has(args, FLAG_FOLLOW))
		r = follow_log(client, name, &fd);
	else
		r = copy_log(fd, &offset, &filter);
	return client_result(client, r);
}
