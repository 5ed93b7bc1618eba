/*
 * install, status, restart. Everything is looked at before anything is written;
 * what is as it should be is left alone, so that a second run changes nothing
 * and restarts nobody.
 */
#include "client/system.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "client/connect.h"
#include "client/show.h"
#include "client/text.h"

enum {
	STEP_MS = 50,
	ANSWER_STEPS = 30 * 1000 / STEP_MS,
	LEAVE_STEPS = 5 * 1000 / STEP_MS,
};

/* ---- what the commands share ---- */

int
system_need_root(const struct client *client, const char *example)
{
	if (geteuid() == 0)
		return 0;
	complain("%s: only root may do this; use `sudo banger %s%s`",
	    client->command->name, client->command->name, example);
	return -EPERM;
}

int
system_host_open(struct system_host *host)
{
	host->root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	host->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (host->root < 0 || host->proc < 0) {
		complain("/proc: %s", strerror(errno));
		return -ENOENT;
	}
	service_detect(host->root, host->proc, &host->service);
	return 0;
}

void
system_host_close(struct system_host *host)
{
	close_fdp(&host->root);
	close_fdp(&host->proc);
}

static bool
is_service_config(const char *config_file)
{
	return config_file == NULL || strcmp(config_file, CONFIG_PATH) == 0;
}

int
system_refuse_config(const struct client *client)
{
	if (is_service_config(client->config_file))
		return 0;
	return usage_error(client, "--config %s: the service reads "
	    CONFIG_PATH " and no other file", client->config_file);
}

bool
system_coming(const char *config_file)
{
	struct system_host host = { .root = -1, .proc = -1 };
	bool coming = is_service_config(config_file) &&
	    system_host_open(&host) == 0 &&
	    service_installed(host.root, &host.service) &&
	    service_coming(&host.service);

	system_host_close(&host);
	return coming;
}

int
system_greet(struct client *client, pid_t *pid, bool *embedded)
{
	struct api_reply hello _cleanup_reply_ = { 0 };
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	int r = client_greet(&client->api, &client->config, &hello);

	if (r == 0 && hello.result == NULL) {
		api_close(&client->api);
		return -EPERM;
	}
	if (r < 0)
		return r;
	if (getsockopt(client->api.fd, SOL_SOCKET, SO_PEERCRED, &peer,
	    &len) < 0)
		return -errno;
	/* Whoever called listen(2): the monitor. */
	*pid = peer.pid;
	*embedded = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(hello.result,
	    "embedded"));
	return 0;
}

/* Whether process PID runs the installed executable as it is now. */
static bool
is_current(const struct system_host *host, pid_t pid)
{
	struct stat installed, running;
	char path[32];

	return format(path, sizeof(path), "%d/exe", (int)pid) == 0 &&
	    fstatat(host->root, SYSTEM_EXE, &installed, 0) == 0 &&
	    fstatat(host->proc, path, &running, 0) == 0 &&
	    installed.st_dev == running.st_dev &&
	    installed.st_ino == running.st_ino;
}

static void
user_name(uint32_t uid, char out[NAME_BYTES])
{
	const struct passwd *pw = getpwuid(uid);

	if (pw == NULL || format(out, NAME_BYTES, "%s", pw->pw_name) < 0)
		snprintf(out, NAME_BYTES, "uid %u", uid);
}

static void
group_name(uint32_t gid, char out[NAME_BYTES])
{
	const struct group *gr = getgrgid(gid);

	if (gr == NULL || format(out, NAME_BYTES, "%s", gr->gr_name) < 0)
		snprintf(out, NAME_BYTES, "gid %u", gid);
}

/* Waits for a daemon that is not OLD to answer. Its pid, or -errno. */
static pid_t
wait_answer(struct client *client, pid_t old)
{
	pid_t pid = 0;
	bool embedded = false;
	int i, r = -ETIMEDOUT;

	for (i = 0; i < ANSWER_STEPS; i++) {
		r = system_greet(client, &pid, &embedded);
		if (r == 0 && pid != old && !embedded)
			return pid;
		if (r == 0)
			api_close(&client->api);
		sleep_ms(STEP_MS);
	}
	return r < 0 ? r : -ETIMEDOUT;
}

/* Says how it went; the exit code. */
static int
report_answer(struct client *client, const struct system_host *host, pid_t old,
    const char *done)
{
	pid_t pid = wait_answer(client, old);
	char owner[NAME_BYTES];

	if (pid < 0) {
		complain("the service was started and does not answer on %s/"
		    API_SOCKET ": %s; `banger system status`, or its log, may "
		    "tell more", client->config.runtime_dir, strerror(-pid));
		return EXIT_FAILED;
	}
	user_name(client->config.owner_uid, owner);
	printf("%s: banger is a service of %s (pid %d); root and %s may use "
	    "it\n", done, service_name(&host->service), (int)pid,
	    client->config.owner_uid == 0 ? "nobody else" : owner);
	return client_result(client, fflush(stdout) != 0 ? -EIO : 0);
}

/* ---- install ---- */

struct install {
	struct client *client;
	struct system_host host;
	struct system_list list;
	const char *owner, *group;
	struct buf config, exe;
	struct service_file files[SERVICE_FILES];
	bool changed;			/* what a running daemon does not know */
};

static void
install_free(struct install *in)
{
	int i;

	buf_free(&in->config);
	buf_free(&in->exe);
	for (i = 0; i < SERVICE_FILES; i++)
		buf_free(&in->files[i].text);
	system_host_close(&in->host);
}

/* Whoever is named must be known, also to the C library of this executable. */
static int
check_users(const struct install *in)
{
	if (getpwnam(in->owner) == NULL) {
		complain("--owner %s: /etc/passwd has no such user", in->owner);
		return -ENOENT;
	}
	if (in->group != NULL && getgrnam(in->group) == NULL) {
		complain("--group %s: /etc/group has no such group", in->group);
		return -ENOENT;
	}
	return 0;
}

/* The configuration that is to be, checked as the daemon checks it. */
static int
prepare_config(struct install *in)
{
	struct buf old _cleanup_buf_ = BUF_INIT(CONFIG_BYTES_MAX);
	char err[API_TEXT_MAX];
	int r = system_read(in->host.root, SYSTEM_CONFIG, &old);

	if (r == 0 && old.data != NULL && strlen(old.data) != old.len)
		r = -EILSEQ;
	if (r < 0 && r != -ENOENT) {
		complain(CONFIG_PATH ": %s", strerror(-r));
		return r;
	}
	r = system_config(r == -ENOENT ? NULL : old.data != NULL ? old.data :
	    "", in->owner, in->group, &in->config);
	if (r == 0)
		r = config_parse(in->config.data, CONFIG_PATH,
		    &in->client->config, err, sizeof(err));
	if (r < 0)
		complain("%s", r == -EINVAL ? err : CONFIG_PATH ": too large");
	return r;
}

static int
prepare_exe(struct install *in)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : buf_read_all(&in->exe, fd);

	if (r < 0)
		complain("/proc/self/exe: %s", strerror(-r));
	return r;
}

/*
 * A daemon that no manager started would keep the service's from its locks.
 * One that root's commands brought goes with them, so give it a moment.
 */
static int
refuse_other_daemon(struct install *in)
{
	bool embedded = true;
	pid_t pid = 0;
	int i, r = 0;

	for (i = 0; i < LEAVE_STEPS && embedded; i++) {
		r = system_greet(in->client, &pid, &embedded);
		if (r < 0)
			return 0;
		api_close(&in->client->api);
		if (embedded)
			sleep_ms(STEP_MS);
	}
	if (!embedded && service_active(&in->host.service))
		return 0;
	if (embedded)
		complain("commands of root's are using a daemon of their own "
		    "(pid %d); try again when they have ended", (int)pid);
	else
		complain("a daemon that is no service is running (pid %d); end "
		    "it with `kill %d`, VMs go on, and try again", (int)pid,
		    (int)pid);
	return -EBUSY;
}

/* Refuses to write over what somebody else put at PATH. */
static int
refuse_foreign(struct install *in, const char *path, const struct buf *text)
{
	struct buf there _cleanup_buf_ = BUF_INIT(SYSTEM_FILE_MAX);
	int r = system_check(in->host.root, path);

	if (r == 0)
		r = system_read(in->host.root, path, &there);
	if (r == -ENOENT || (r == 0 &&
	    (system_list_find(&in->list, path) != NULL ||
	    (there.len == text->len && (text->len == 0 ||
	    memcmp(there.data, text->data, text->len) == 0)))))
		return 0;
	if (r == 0)
		complain("/%s was not put there by `banger system install`; "
		    "move it away and try again", path);
	else
		complain("/%s: %s", path, r == -EPERM ? "a directory on its "
		    "way can be changed by others than root; mend its owner "
		    "and mode" : strerror(-r));
	return r < 0 ? r : -EEXIST;
}

/* Files to write: PATH, or none. Looks only. 0, or -errno and complained. */
static int
check_files(struct install *in)
{
	int i, r = refuse_foreign(in, SYSTEM_EXE, &in->exe);

	for (i = 0; i < SERVICE_FILES && r == 0; i++)
		if (in->files[i].path != NULL)
			r = refuse_foreign(in, in->files[i].path,
			    &in->files[i].text);
	return r;
}

/* Writes PATH and says so when that changed it. 1, 0 or -errno. */
static int
put(struct install *in, const char *path, mode_t mode, const struct buf *text)
{
	struct stat st;
	bool there = fstatat(in->host.root, path, &st,
	    AT_SYMLINK_NOFOLLOW) == 0;
	int r = system_put(in->host.root, path, mode, text->data, text->len);

	if (r < 0)
		complain("/%s: cannot be written: %s", path, strerror(-r));
	else if (r > 0)
		printf("%s: /%s\n", there ? "changed" : "installed", path);
	return r;
}

/* The list is written first: a run that is cut short can be taken back. */
static int
put_list(struct install *in)
{
	struct buf text _cleanup_buf_ = BUF_INIT(CONFIG_BYTES_MAX);
	int i, r = system_list_set(&in->list, SYSTEM_EXE,
	    system_digest(in->exe.data, in->exe.len));

	for (i = 0; i < SERVICE_FILES && r == 0; i++)
		if (in->files[i].path != NULL)
			r = system_list_set(&in->list, in->files[i].path,
			    system_digest(in->files[i].text.data,
			    in->files[i].text.len));
	if (r == 0)
		r = system_list_text(&in->list, &text);
	if (r == 0)
		r = system_put(in->host.root, SYSTEM_LIST, 0644, text.data,
		    text.len);
	if (r < 0)
		complain("/" SYSTEM_LIST ": cannot be written: %s",
		    strerror(-r));
	return r < 0 ? r : 0;
}

static int
put_log_dir(struct install *in)
{
	_cleanup_close_ int dir = system_dir(in->host.root, SYSTEM_LOG_DIR,
	    true);

	/* What it says may name what users do. */
	if (dir >= 0 && fchmod(dir, 0750) == 0)
		return 0;
	complain("/" SYSTEM_LOG_DIR ": %s", strerror(dir < 0 ? -dir : errno));
	return -EIO;
}

static int
put_files(struct install *in)
{
	int i, r = put_list(in);

	if (r < 0)
		return r;
	r = put(in, SYSTEM_CONFIG, 0644, &in->config);
	if (r > 0)
		in->changed = true;
	if (r >= 0)
		r = put(in, SYSTEM_EXE, 0755, &in->exe);
	for (i = 0; i < SERVICE_FILES && r >= 0; i++) {
		if (in->files[i].path == NULL)
			continue;
		if (strcmp(in->files[i].path, SYSTEM_RUNIT_LOG) == 0)
			r = put_log_dir(in);
		if (r >= 0)
			r = put(in, in->files[i].path, in->files[i].mode,
			    &in->files[i].text);
		if (r > 0)
			in->changed = true;
	}
	return r < 0 ? r : 0;
}

/* The files are in place: now the service runs them. The exit code. */
static int
start(struct install *in)
{
	const struct service *service = &in->host.service;
	bool active = service_active(service), embedded = false;
	pid_t pid = 0;
	bool current = active &&
	    system_greet(in->client, &pid, &embedded) == 0 &&
	    is_current(&in->host, pid);
	int r;

	api_close(&in->client->api);
	if (active && current && !in->changed)
		return report_answer(in->client, &in->host, 0,
		    "nothing to change");
	r = service_start(in->host.root, service);
	if (r == 0 && active)
		r = service_restart(service);
	if (r < 0)
		return EXIT_FAILED;
	return report_answer(in->client, &in->host, active ? pid : 0,
	    active ? "restarted, VMs go on" : "started");
}

static int
install(struct install *in)
{
	if (system_list_load(in->host.root, &in->list) < 0 ||
	    prepare_config(in) < 0 || prepare_exe(in) < 0)
		return EXIT_FAILED;
	if (service_files(in->host.root, &in->host.service,
	    &in->client->config, in->files) < 0) {
		complain("out of memory");
		return EXIT_FAILED;
	}
	if (check_files(in) < 0 || refuse_other_daemon(in) < 0 ||
	    put_files(in) < 0)
		return EXIT_FAILED;
	if (in->host.service.manager != MANAGER_NONE)
		return start(in);
	complain("neither systemd nor runit supervises this host, so nothing "
	    "was started; have root run: /" SYSTEM_EXE " daemon");
	return EXIT_FAILED;
}

int
cmd_system_install(struct client *client, const struct args *args)
{
	struct install in = { .client = client,
		.host = { .root = -1, .proc = -1 },
		.owner = args_value(args, FLAG_OWNER),
		.group = args_value(args, FLAG_GROUP),
		.config = BUF_INIT(CONFIG_BYTES_MAX),
		.exe = BUF_INIT(SYSTEM_FILE_MAX) };
	int code = system_refuse_config(client);

	if (code != 0)
		return code;
	if (in.owner == NULL)
		return usage_error(client, "--owner is missing: the user who "
		    "may use banger besides root, as in --owner %s",
		    getenv("SUDO_USER") != NULL ? getenv("SUDO_USER") : "me");
	if (system_need_root(client, " --owner USER") < 0)
		return EXIT_FAILED;
	code = EXIT_FAILED;
	if (check_users(&in) == 0 && system_host_open(&in.host) == 0)
		code = install(&in);
	install_free(&in);
	return code;
}

/* ---- status ---- */

static const struct field status_fields[] = {
	{ "installed", NULL, FIELD_BOOL },
	{ "supervisor", NULL, FIELD_TEXT },
	{ "running", NULL, FIELD_BOOL },
	{ "pid", NULL, FIELD_NUMBER },
	{ "version", NULL, FIELD_TEXT },
	{ "up_to_date", NULL, FIELD_BOOL },
	{ "owner", NULL, FIELD_TEXT },
	{ "group", NULL, FIELD_TEXT },
	{ "vms_running", NULL, FIELD_NUMBER },
	{ NULL, NULL, FIELD_TEXT },
};

int
system_running(struct client *client, char *names, size_t size)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	const cJSON *vm;
	int count = 0;

	names[0] = '\0';
	api_request(&request, "vm.list", NULL, NULL);
	if (client_call(client, &request, -1, 0, &reply) < 0)
		return -EREMOTEIO;
	cJSON_ArrayForEach(vm, cJSON_GetObjectItemCaseSensitive(reply.result,
	    "vms")) {
		const char *state = field_text(vm, "state");
		const char *name = field_text(vm, "name");
		size_t used = strlen(names);

		if (state == NULL || name == NULL ||
		    strcmp(state, "stopped") == 0)
			continue;
		count++;
		(void)format(names + used, size - used, "%s%s",
		    used > 0 ? " " : "", name);
	}
	return count;
}

/* Whether all of what was installed is there. */
static bool
is_installed(const struct system_host *host)
{
	struct stat st;

	return fstatat(host->root, SYSTEM_LIST, &st, 0) == 0 &&
	    fstatat(host->root, SYSTEM_EXE, &st, 0) == 0 &&
	    (host->service.manager == MANAGER_NONE ||
	    service_installed(host->root, &host->service));
}

/* What a daemon that answers tells of itself. */
static void
describe_daemon(struct client *client, const struct system_host *host,
    cJSON *status, pid_t pid)
{
	char names[NAME_BYTES];
	int vms;

	cJSON_AddNumberToObject(status, "pid", pid);
	/* Only root may look at the daemon's executable. */
	if (geteuid() == 0)
		cJSON_AddBoolToObject(status, "up_to_date",
		    is_current(host, pid));
	vms = system_running(client, names, sizeof(names));
	if (vms >= 0)
		cJSON_AddNumberToObject(status, "vms_running", vms);
}

static void
describe_version(struct client *client, cJSON *status)
{
	struct api_reply hello _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	const char *version;

	api_request(&request, "version", NULL, NULL);
	if (client_call(client, &request, -1, 0, &hello) < 0)
		return;
	version = field_text(hello.result, "version");
	if (version != NULL)
		cJSON_AddStringToObject(status, "version", version);
}

/* Fills STATUS; whether the daemon runs. */
static bool
describe(struct client *client, const struct system_host *host, cJSON *status)
{
	const struct config *cfg = &client->config;
	char name[NAME_BYTES];
	bool embedded = false, running;
	pid_t pid = 0;
	int r = system_greet(client, &pid, &embedded);

	/* Whom the socket refuses, the service manager may answer. */
	running = r == 0 ? !embedded : (r == -EACCES || r == -EPERM) &&
	    service_active(&host->service);
	cJSON_AddBoolToObject(status, "installed", is_installed(host));
	cJSON_AddStringToObject(status, "supervisor",
	    service_name(&host->service));
	cJSON_AddBoolToObject(status, "running", running);
	user_name(cfg->owner_uid, name);
	cJSON_AddStringToObject(status, "owner", name);
	if (cfg->owner_gid != UINT32_MAX) {
		group_name(cfg->owner_gid, name);
		cJSON_AddStringToObject(status, "group", name);
	}
	if (running && r == 0) {
		describe_version(client, status);
		describe_daemon(client, host, status, pid);
	}
	return running;
}

int
cmd_system_status(struct client *client, const struct args *args)
{
	struct system_host host = { .root = -1, .proc = -1 };
	cJSON *status _cleanup_json_ = cJSON_CreateObject();
	int code = system_refuse_config(client);
	bool running;

	if (code != 0)
		return code;
	code = EXIT_FAILED;
	if (status != NULL && client_config(client) == 0 &&
	    system_host_open(&host) == 0) {
		running = describe(client, &host, status);
		code = client_result(client, show_object(stdout, status,
		    status_fields, args_has(args, FLAG_JSON), time(NULL)));
		if (code == EXIT_OK && !running)
			code = EXIT_NOT_RUNNING;
	}
	system_host_close(&host);
	return code;
}

/* ---- restart ---- */

static int
restart(struct client *client, const struct system_host *host)
{
	bool embedded = false;
	pid_t pid = 0;

	if (host->service.manager == MANAGER_NONE || !is_installed(host)) {
		complain("banger is not a service of this host; `banger system "
		    "install --owner USER` makes it one");
		return EXIT_FAILED;
	}
	if (system_greet(client, &pid, &embedded) == 0)
		api_close(&client->api);
	if (service_restart(&host->service) < 0)
		return EXIT_FAILED;
	return report_answer(client, host, pid, "restarted, VMs go on");
}

int
cmd_system_restart(struct client *client, const struct args *args)
{
	struct system_host host = { .root = -1, .proc = -1 };
	int code = system_refuse_config(client);

	(void)args;
	if (code != 0)
		return code;
	if (system_need_root(client, "") < 0)
		return EXIT_FAILED;
	code = EXIT_FAILED;
	if (client_config(client) == 0 && system_host_open(&host) == 0)
		code = restart(client, &host);
	system_host_close(&host);
	return code;
}
