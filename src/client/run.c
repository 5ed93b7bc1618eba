/*
 * `vm run` and `vm exec`. The connection to the worker stays open during a
 * session: a VM that is to be removed is bound to it, so that it goes however
 * this process ends. Signals are taken in hand while a VM starts, because a
 * client that died at once could not wait until nothing is left of it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/hex.h"
#include "client/command.h"
#include "client/confine.h"
#include "client/pull.h"
#include "client/session.h"
#include "client/spec.h"
#include "client/text.h"
#include "privsep/check.h"

/*
 * Lets the API connection watch for the signals that cancel, which are blocked
 * from now on. A signalfd for signal_code, or -errno.
 */
static int
watch_signals(struct api *api)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	api->cancel_fd = fd;
	return fd;
}

/* 128 + the signal that cancelled. */
static int
signal_code(int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return EXIT_BANGER;
	return 128 + (int)info.ssi_signo;
}

/*
 * A shell has a terminal when we have one, a command when it was asked for.
 */
static bool
wants_terminal(const struct exec_spec *exec)
{
	return exec->tty || (exec->command == NULL &&
	    isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
}

static bool
has_text(const cJSON *object, const char *key, const char *value)
{
	const char *text = field_text(object, key);

	return text != NULL && strcmp(text, value) == 0;
}

/* Runs EXEC over STREAM of VM. The command's exit code, or EXIT_BANGER. */
static int
run_session(const char *vm, const struct exec_spec *exec, int stream,
    const uint8_t *nonce)
{
	char *no_command[] = { NULL };
	struct session_request request = {
		.nonce = nonce,
		.exec = {
			.user = exec->user,
			.cwd = exec->workdir,
			.term = getenv("TERM"),
			.pty = exec->tty,
			.argc = exec->command_count,
			.envc = exec->env_count,
			.argv = exec->command != NULL ? exec->command :
			    no_command,
			.env = exec->env,
		},
		.in = STDIN_FILENO,
		.out = STDOUT_FILENO,
		.err = STDERR_FILENO,
		.enter_sandbox = client_confine,
	};
	char err[API_TEXT_MAX] = "";
	int status, r;

	r = session_run(stream, &request, &status, err, sizeof(err));
	if (r < 0) {
		complain("VM %s%s%s%s%s: %s", vm,
		    *exec->user != '\0' ? ", user " : "", exec->user,
		    *exec->workdir != '\0' ? ", directory " : "",
		    exec->workdir, err);
		return EXIT_BANGER;
	}
	return status;
}

/*
 * Enters VM and runs EXEC in it, or with IMAGE_COMMAND and no command of its own
 * what the image is for. The command's exit code, or EXIT_BANGER.
 */
static int
enter(struct client *client, const char *vm, struct exec_spec *exec,
    bool image_command)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	uint8_t nonce[STREAM_NONCE_SIZE] = { 0 };
	int code, r;

	api_request(&request, "vm.exec", "vm", vm);
	r = client_call(client, &request, -1, 1, &reply);
	if (r == -ECANCELED) {
		/* The worker has been told; there is nobody to ask more. */
		api_close(&client->api);
		return signal_code(client->api.cancel_fd);
	}
	if (r < 0)
		return EXIT_BANGER;
	exec->tty = wants_terminal(exec);
	r = hex_parse(field_text(reply.result, "nonce"), nonce,
	    sizeof(nonce)) < 0 ? -EPROTO : exec_spec_default(exec,
	    cJSON_GetObjectItemCaseSensitive(reply.result, "config"),
	    image_command, has_text(reply.result, "init", "image"));
	if (r < 0)
		return client_result(client, r);
	code = run_session(vm, exec, reply.fds[0], nonce);
	/* The guest's port is in use until the stream is closed. */
	close(reply.fds[--reply.nfds]);
	return code;
}

/*
 * Nothing may be left when we end, so the worker is asked and waited for,
 * although it would come to the same when the connection closes. A VM that is
 * gone by itself is gone.
 */
static int
remove_vm(struct client *client, const char *vm)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	int r;

	api_request(&request, "vm.delete", "vm", vm);
	json_bool(&request, "force", true);
	r = api_call(&client->api, &request, -1, 0, NULL, NULL, &reply);
	if (r == -ECANCELED || (r == 0 && (reply.result != NULL ||
	    strcmp(reply.code, "not-found") == 0)))
		return 0;
	complain("removing VM %s: %s", vm, reply.message);
	return -EREMOTEIO;
}

/* Takes the VM's name out of an answer. 0 or -EPROTO. */
static int
read_name(const cJSON *result, char name[NAME_BYTES])
{
	const char *text = field_text(
	    cJSON_GetObjectItemCaseSensitive(result, "vm"), "name");

	if (text == NULL || check_host_label(text) < 0)
		return -EPROTO;
	return format(name, NAME_BYTES, "%s", text);
}

/*
 * Pulls what SPEC needs and is not there, until there is something that nobody
 * knows. 1 when something was pulled, 0, or -errno after a complaint.
 */
static int
pull_needed(struct client *client, const struct vm_spec *spec)
{
	int kernel, image = pull_missing(client, &image_kind,
	    spec->image != NULL ? spec->image : client->config.default_image);

	if (image < 0)
		return image == -ENOENT ? 0 : image;
	kernel = pull_missing(client, &kernel_kind, spec->kernel != NULL ?
	    spec->kernel : client->config.default_kernel);
	if (kernel < 0 && kernel != -ENOENT)
		return kernel;
	return image == 1 || kernel == 1;
}

static int
request_run(struct client *client, const struct vm_spec *spec,
    struct api_reply *reply)
{
	struct buf request _cleanup_buf_ = API_REQUEST;

	api_request(&request, "vm.run", NULL, NULL);
	spec_write(spec, &request);
	return client_try(client, &request, -1, 0, reply);
}

/* Starts the VM of SPEC. 0 and its NAME, or the exit code after a complaint. */
static int
start(struct client *client, const struct vm_spec *spec, char name[NAME_BYTES])
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	int pulled = 0, r = request_run(client, spec, &reply);

	/* Rarely, so that it is asked afterwards what there is. */
	if (r == 0 && strcmp(reply.code, "not-found") == 0)
		pulled = pull_needed(client, spec);
	if (pulled > 0) {
		api_reply_free(&reply);
		r = request_run(client, spec, &reply);
	}
	r = pulled < 0 ? pulled : client_outcome(r, &reply);
	if (r == -ECANCELED)
		return signal_code(client->api.cancel_fd);
	if (r < 0 && pulled == 0 && spec->image_is_word &&
	    strcmp(reply.code, "not-found") == 0)
		complain("vm run: a command goes after --, as in `banger vm run "
		    "-- %s`", spec->image);
	if (r < 0)
		return EXIT_BANGER;
	return client_result(client, read_name(reply.result, name));
}

/* The VM runs: its name and no more, or EXEC and, if it is ours, its end. */
static int
use(struct client *client, const struct vm_spec *spec,
    struct exec_spec *exec, const char *name)
{
	int code;

	if (spec->detach) {
		printf("%s\n", name);
		return client_result(client, fflush(stdout) != 0 ? -EIO : 0);
	}
	code = enter(client, name, exec, true);
	if (spec->rm && client->api.fd >= 0 &&
	    remove_vm(client, name) < 0 && code == 0)
		code = EXIT_BANGER;
	return code;
}

int
cmd_vm_run(struct client *client, const struct args *args)
{
	struct exec_spec exec _cleanup_exec_ = { 0 };
	_cleanup_close_ int signals = -1;
	struct vm_spec spec;
	char name[NAME_BYTES], err[ARGS_ERROR] = "out of memory";
	int code;

	if (spec_read(args, &spec, err) < 0 ||
	    exec_spec_read(args, &exec, err) < 0)
		return usage_error(client, "%s", err);
	if (client_connect(client) < 0)
		return EXIT_BANGER;
	signals = watch_signals(&client->api);
	if (signals < 0) {
		complain("signals: %s", strerror(-signals));
		return EXIT_BANGER;
	}
	code = start(client, &spec, name);
	if (code == 0)
		code = use(client, &spec, &exec, name);
	client->api.cancel_fd = -1;
	return code;
}

int
cmd_vm_exec(struct client *client, const struct args *args)
{
	struct exec_spec exec _cleanup_exec_ = { 0 };
	char err[ARGS_ERROR] = "out of memory";

	if (exec_spec_read(args, &exec, err) < 0)
		return usage_error(client, "%s", err);
	if (client_connect(client) < 0)
		return EXIT_BANGER;
	return enter(client, args->words[0], &exec, false);
}
