/*
 * uninstall: the reverse of install, and of the daemon. The files it takes are
 * those on the list that install wrote; the directories it empties are those
 * of the daemon, by the names that the daemon uses in them, so that a
 * state_dir that holds something else keeps that.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/connect.h"
#include "client/system.h"
#include "client/text.h"
#include "privsep/path.h"

enum { STEP_MS = 50, LEAVE_STEPS = 15 * 1000 / STEP_MS, NAMES_MAX = 512 };

/* What the daemon makes in its directories; see privsep/daemon.c. */
static const char *const runtime_names[] = { "banger.sock", "private", NULL };
static const char *const state_names[] = { "jail", "store", "lock", NULL };

struct removal {
	struct client *client;
	struct system_host host;
	struct system_list list;
	bool force, purge;
};

/* Opens the absolute PATH as banger's own; -ENOENT when it is not there. */
static int
open_own(int root, const char *path)
{
	return system_dir(root, path + 1, false);
}

/* Whether records of VMs are there, which may run without a daemon. */
static bool
has_records(const struct removal *re)
{
	char path[PATH_BYTES + 16];
	struct dirent *entry;
	bool found = false;
	DIR *stream;
	int dir;

	if (format(path, sizeof(path), "%s/private/vm",
	    re->client->config.runtime_dir) < 0)
		return false;
	dir = open_own(re->host.root, path);
	stream = dir >= 0 ? fdopendir(dir) : NULL;
	if (stream == NULL) {
		close_fdp(&dir);
		return false;
	}
	while (!found && (entry = readdir(stream)) != NULL)
		found = entry->d_name[0] != '.';
	closedir(stream);
	return found;
}

static int
stop_vm(struct client *client, const char *name)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	int r;

	api_request(&request, "vm.stop", "vm", name);
	r = api_call(&client->api, &request, -1, 0, NULL, NULL, &reply);
	/* One that went by itself meanwhile is what was wanted. */
	if (r == 0 && (reply.result != NULL ||
	    strcmp(reply.code, "not-found") == 0)) {
		printf("stopped: VM %s\n", name);
		return 0;
	}
	complain("VM %s: %s", name, reply.message);
	return r < 0 ? r : -EREMOTEIO;
}

/* Stops all VMs that run, one after another. 0, or -errno and complained. */
static int
stop_vms(struct removal *re)
{
	char names[NAMES_MAX], *next, *name;
	int rounds, r = 0;

	/* Names that did not fit come in the next round. */
	for (rounds = 0; rounds < 1024; rounds++) {
		r = system_running(re->client, names, sizeof(names));
		if (r <= 0)
			return r;
		for (next = names; (name = strsep(&next, " ")) != NULL;)
			if (stop_vm(re->client, name) < 0)
				return -EBUSY;
	}
	return -EBUSY;
}

/* 0 when no VM runs any more; else -errno, complained about. */
static int
end_vms(struct removal *re)
{
	bool embedded = false;
	pid_t pid;
	int r = system_greet(re->client, &pid, &embedded);
	char names[NAMES_MAX];

	if (r < 0 && !has_records(re))
		return 0;
	if (r < 0 && (r = client_connect(re->client)) < 0) {
		if (!re->force)
			return r;
		/* Nobody can be asked, and this is to go whatever happens. */
		complain("whether VMs run is not known; going on");
		return 0;
	}
	if (re->force)
		r = stop_vms(re);
	else
		r = system_running(re->client, names, sizeof(names));
	api_close(&re->client->api);
	if (r <= 0 || re->force)
		return r;
	complain("%d VM%s running; stop %s first: `banger vm stop %s`, or use "
	    "--force", r, r == 1 ? " is" : "s are", r == 1 ? "it" : "them",
	    names);
	return -EBUSY;
}

/* After the service was stopped: nobody may be using what is removed next. */
static int
wait_gone(struct removal *re)
{
	bool embedded = false;
	pid_t pid = 0;
	int i;

	for (i = 0; i < LEAVE_STEPS; i++) {
		if (system_greet(re->client, &pid, &embedded) < 0)
			return 0;
		api_close(&re->client->api);
		sleep_ms(STEP_MS);
	}
	complain("a daemon is still running (pid %d) and is no service; end it "
	    "with `kill %d` and try again", (int)pid, (int)pid);
	return -EBUSY;
}

static bool
any_service_file(struct system_list *list)
{
	return system_list_find(list, SYSTEM_UNIT) != NULL ||
	    system_list_find(list, SYSTEM_RUNIT_RUN) != NULL;
}

/* Stops the service if it is ours. 0, or -errno and complained. */
static int
stop_service(struct removal *re)
{
	const char *file = re->host.service.manager == MANAGER_SYSTEMD ?
	    SYSTEM_UNIT : SYSTEM_RUNIT_RUN;
	struct stat st;

	if (re->host.service.manager == MANAGER_NONE ||
	    system_list_find(&re->list, file) == NULL ||
	    fstatat(re->host.root, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return service_stop(re->host.root, &re->host.service);
}

/* Directories of runit's service: what runsv made in them goes, too. */
static int
remove_runit(struct removal *re)
{
	_cleanup_close_ int dir = -1, log = -1;
	struct stat st;

	if (system_list_find(&re->list, SYSTEM_RUNIT_RUN) == NULL)
		return 0;
	dir = system_dir(re->host.root, SYSTEM_RUNIT, false);
	log = system_dir(re->host.root, SYSTEM_RUNIT "/log", false);
	if (dir >= 0)
		(void)path_remove_tree(dir, "supervise");
	if (log >= 0)
		(void)path_remove_tree(log, "supervise");
	(void)system_remove(re->host.root, SYSTEM_RUNIT "/log");
	(void)system_remove(re->host.root, SYSTEM_RUNIT);
	if (fstatat(re->host.root, SYSTEM_RUNIT, &st, 0) == 0)
		printf("left: /" SYSTEM_RUNIT ", which holds files that are "
		    "not banger's\n");
	return 0;
}

static int
remove_files(struct removal *re)
{
	static const char drop_ins[] = SYSTEM_UNIT ".d";
	static const char *const paths[] = { SYSTEM_UNIT, SYSTEM_RUNIT_RUN,
		SYSTEM_RUNIT_LOG, SYSTEM_EXE };
	struct stat st;
	int r = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths) && r == 0; i++)
		r = system_take(re->host.root, &re->list, paths[i]);
	if (r == 0)
		r = remove_runit(re);
	if (r < 0)
		return r;
	if (any_service_file(&re->list))
		service_forget(&re->host.service);
	if (fstatat(re->host.root, drop_ins, &st, 0) == 0)
		printf("left: /%s\n", drop_ins);
	r = system_remove(re->host.root, SYSTEM_LIST);
	if (r < 0)
		complain("/" SYSTEM_LIST ": %s", strerror(-r));
	return r;
}

/* Empties the directory PATH of NAMES and removes it when that is all. */
static int
remove_dir(struct removal *re, const char *path, const char *const *names)
{
	_cleanup_close_ int dir = open_own(re->host.root, path);
	int r = 0;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		r = dir;
	for (; *names != NULL && r == 0; names++)
		r = path_remove_tree(dir, *names);
	if (r == 0)
		r = system_remove(re->host.root, path + 1);
	if (r == 0) {
		printf("removed: %s\n", path);
		return 0;
	}
	if (r == -ENOTEMPTY || r == -EEXIST) {
		printf("left: %s, which holds files that are not banger's\n",
		    path);
		return 0;
	}
	complain("%s: cannot be removed: %s", path, strerror(-r));
	return r;
}

static int
purge(struct removal *re)
{
	_cleanup_close_ int log = system_dir(re->host.root, "var/log", false);
	struct stat st;
	int r = remove_dir(re, re->client->config.state_dir, state_names);

	if (r == 0 && log >= 0 && fstatat(log, "banger", &st,
	    AT_SYMLINK_NOFOLLOW) == 0) {
		r = path_remove_tree(log, "banger");
		printf("removed: /" SYSTEM_LOG_DIR "\n");
	}
	if (r == 0 && fstatat(re->host.root, SYSTEM_CONFIG, &st,
	    AT_SYMLINK_NOFOLLOW) == 0) {
		r = system_remove(re->host.root, SYSTEM_CONFIG);
		printf("removed: /" SYSTEM_CONFIG "\n");
	}
	return r;
}

/* What a user may want to know is still there. */
static void
say_kept(const struct removal *re)
{
	const char *const paths[] = { re->client->config.state_dir + 1,
		SYSTEM_CONFIG, SYSTEM_LOG_DIR };
	struct stat st;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (fstatat(re->host.root, paths[i], &st, 0) == 0)
			printf("kept: /%s (--purge removes it)\n", paths[i]);
}

static int
uninstall(struct removal *re)
{
	int r;

	if (system_list_load(re->host.root, &re->list) < 0 ||
	    end_vms(re) < 0 || stop_service(re) < 0 || wait_gone(re) < 0 ||
	    remove_files(re) < 0)
		return EXIT_FAILED;
	r = remove_dir(re, re->client->config.runtime_dir, runtime_names);
	if (r == 0 && re->purge)
		r = purge(re);
	else if (r == 0)
		say_kept(re);
	/* Empty, unless somebody has put something beside our files. */
	(void)system_remove(re->host.root, "etc/banger");
	return r < 0 ? EXIT_FAILED : client_result(re->client,
	    fflush(stdout) != 0 ? -EIO : 0);
}

int
cmd_system_uninstall(struct client *client, const struct args *args)
{
	struct removal re = { .client = client,
		.host = { .root = -1, .proc = -1 },
		.force = args_has(args, FLAG_FORCE),
		.purge = args_has(args, FLAG_PURGE) };
	int code = system_refuse_config(client);

	if (code != 0)
		return code;
	if (system_need_root(client, "") < 0)
		return EXIT_FAILED;
	code = EXIT_FAILED;
	if (client_config(client) == 0 && system_host_open(&re.host) == 0)
		code = uninstall(&re);
	system_host_close(&re.host);
	return code;
}
