/*
 * Two service managers, and none. What they are asked is a fixed line each.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/system.h"
#include "client/text.h"

enum {
	/* Longer than the service's own TimeoutStartSec and -StopSec. */
	SYSTEMCTL_MS = 150 * 1000,
	SV_MS = 60 * 1000,
	STEP_MS = 50,
	/* runsvdir looks for new services every five seconds. */
	SCAN_STEPS = 15 * 1000 / STEP_MS,
};

#define SERVICE "/etc/sv/banger"
#define UNIT "banger.service"

/* ---- which one ---- */

/* Whether process PID of PROC is root's, in our mount namespace. */
static bool
is_ours(int proc, const char *pid)
{
	char path[48];
	struct stat st, ns, own;

	return format(path, sizeof(path), "%s/ns/mnt", pid) == 0 &&
	    fstatat(proc, path, &ns, 0) == 0 &&
	    fstatat(proc, "self/ns/mnt", &own, 0) == 0 &&
	    ns.st_dev == own.st_dev && ns.st_ino == own.st_ino &&
	    fstatat(proc, pid, &st, 0) == 0 && st.st_uid == 0;
}

/*
 * The directory that runsvdir [-P] DIR [LOG] scans, from the LEN bytes of its
 * command line, if this is one. An absolute path, or NULL.
 */
static const char *
scanned_dir(const char *line, size_t len)
{
	const char *end = line + len, *name = line;
	const char *slash = strrchr(line, '/');

	if (slash != NULL)
		name = slash + 1;
	if (strcmp(name, "runsvdir") != 0)
		return NULL;
	for (line += strlen(line) + 1; line < end; line += strlen(line) + 1)
		if (line[0] == '/')
			return line;
	return NULL;
}

static bool
scans(int proc, const char *pid, char scanned[PATH_BYTES])
{
	char path[48], line[512];
	const char *dir;
	int fd;
	ssize_t n;

	if (format(path, sizeof(path), "%s/cmdline", pid) < 0)
		return false;
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	dir = scanned_dir(line, (size_t)n);
	return dir != NULL && is_ours(proc, pid) &&
	    format(scanned, PATH_BYTES, "%s", dir) == 0;
}

static bool
find_runsvdir(int proc, char scanned[PATH_BYTES])
{
	int fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	bool found = false;

	if (stream == NULL) {
		close_fdp(&fd);
		return false;
	}
	while (!found && (entry = readdir(stream)) != NULL)
		found = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    scans(proc, entry->d_name, scanned);
	closedir(stream);
	return found;
}

bool
service_installed(int root, const struct service *service)
{
	const char *path = service->manager == MANAGER_SYSTEMD ? SYSTEM_UNIT :
	    service->manager == MANAGER_RUNIT ? SYSTEM_RUNIT_RUN : NULL;
	struct stat st;

	return path != NULL &&
	    fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void
service_detect(int root, int proc, struct service *service)
{
	struct stat st;

	service->manager = MANAGER_NONE;
	service->scanned[0] = '\0';
	if (fstatat(root, "run/systemd/system", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode))
		service->manager = MANAGER_SYSTEMD;
	else if (find_runsvdir(proc, service->scanned))
		service->manager = MANAGER_RUNIT;
}

const char *
service_name(const struct service *service)
{
	static const char *const names[] = {
		[MANAGER_NONE] = "none",
		[MANAGER_SYSTEMD] = "systemd",
		[MANAGER_RUNIT] = "runit",
	};

	return names[service->manager];
}

/* ---- its files ---- */

static const char *
find_svlogd(int root)
{
	static const char *const paths[] = { "/usr/bin/svlogd",
		"/usr/sbin/svlogd", "/bin/svlogd", "/sbin/svlogd" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (faccessat(root, paths[i] + 1, X_OK, 0) == 0)
			return paths[i];
	return NULL;
}

int
service_files(int root, const struct service *service,
    const struct config *cfg, struct service_file files[SERVICE_FILES])
{
	const char *svlogd;
	int i, r = 0;

	for (i = 0; i < SERVICE_FILES; i++)
		files[i] = (struct service_file){ .mode = 0755,
			.text = BUF_INIT(65536) };
	if (service->manager == MANAGER_SYSTEMD) {
		files[0].path = SYSTEM_UNIT;
		files[0].mode = 0644;
		return system_unit(cfg, &files[0].text);
	}
	if (service->manager != MANAGER_RUNIT)
		return 0;
	/* The log's first: runsv looks once whether there is one. */
	svlogd = find_svlogd(root);
	if (svlogd != NULL) {
		files[0].path = SYSTEM_RUNIT_LOG;
		r = system_runit_log(svlogd, &files[0].text);
	}
	files[1].path = SYSTEM_RUNIT_RUN;
	return r < 0 ? r : system_runit_run(&files[1].text);
}

/* ---- what they are asked ---- */

/* Status of a command line; what it says goes to OUT. */
static int
ask(const struct service *service, const char *const *argv, char *out,
    size_t size)
{
	static const char *const systemctl[] = { "/usr/bin/systemctl",
		"/bin/systemctl", NULL };
	static const char *const sv[] = { "/usr/bin/sv", "/usr/sbin/sv",
		"/bin/sv", "/sbin/sv", NULL };

	if (service->manager == MANAGER_SYSTEMD)
		return system_run(systemctl, argv, SYSTEMCTL_MS, out, size);
	return system_run(sv, argv, SV_MS, out, size);
}

/* 0, or -errno after a complaint: for what has to work. */
static int
demand(const struct service *service, const char *const *argv)
{
	char out[1024], *line;
	int r = ask(service, argv, out, sizeof(out));

	if (r == 0)
		return 0;
	line = strrchr(out, '\n');
	if (r < 0)
		complain("%s: %s", argv[0], strerror(-r));
	else
		complain("%s: status %d: %s; %s", argv[0], r,
		    line != NULL ? line + 1 : out,
		    service->manager == MANAGER_SYSTEMD ?
		    "`journalctl -u banger` may tell more" :
		    "/" SYSTEM_LOG_DIR "/current may tell more");
	return r < 0 ? r : -EREMOTEIO;
}

/* Status of asking how it is; the answer about it, not its log, in OUT. */
static int
ask_state(const struct service *service, char *out, size_t size)
{
	static const char *const systemctl[] = { "systemctl", "is-active",
		UNIT, NULL };
	static const char *const sv[] = { "sv", "status", SERVICE, NULL };
	int r;

	out[0] = '\0';
	if (service->manager == MANAGER_NONE)
		return -EOPNOTSUPP;
	r = ask(service, service->manager == MANAGER_SYSTEMD ? systemctl : sv,
	    out, size);
	out[strcspn(out, ";")] = '\0';
	return r;
}

bool
service_active(const struct service *service)
{
	char out[256];

	return ask_state(service, out, sizeof(out)) == 0 &&
	    (service->manager == MANAGER_SYSTEMD ||
	    strncmp(out, "run:", 4) == 0);
}

bool
service_coming(const struct service *service)
{
	/* A restart also goes through the last. */
	static const char *const states[] = { "active", "activating",
		"reloading", "deactivating" };
	char out[256];
	int r = ask_state(service, out, sizeof(out));
	size_t i;

	if (service->manager == MANAGER_RUNIT)
		return r == 0 && (strncmp(out, "run:", 4) == 0 ||
		    strncmp(out, "finish:", 7) == 0 ||
		    strstr(out, "want up") != NULL);
	for (i = 0; i < ARRAY_SIZE(states); i++)
		if (strcmp(out, states[i]) == 0)
			return true;
	return false;
}

/* ---- systemd ---- */

static int
systemd_start(const struct service *service)
{
	static const char *const reload_line[] = { "systemctl",
		"daemon-reload", NULL };
	static const char *const enabled_line[] = { "systemctl", "is-enabled",
		"--quiet", UNIT, NULL };
	static const char *const enable_line[] = { "systemctl", "--quiet",
		"enable", UNIT, NULL };
	static const char *const start_line[] = { "systemctl", "start", UNIT,
		NULL };
	char out[256];
	/* Also what an install wrote that was cut short. */
	int r = demand(service, reload_line);

	if (r == 0 && ask(service, enabled_line, out, sizeof(out)) != 0)
		r = demand(service, enable_line);
	return r < 0 ? r : demand(service, start_line);
}

static int
systemd_stop(const struct service *service)
{
	static const char *const line[] = { "systemctl", "--quiet", "disable",
		"--now", UNIT, NULL };

	return demand(service, line);
}

/* ---- runit ---- */

/* Whether runsv(8) listens on the FIFO that it makes for this. */
static bool
supervised(int root)
{
	int fd = openat(root, SYSTEM_RUNIT "/supervise/ok",
	    O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool
wait_supervised(int root, bool want)
{
	int i;

	for (i = 0; supervised(root) != want; i++) {
		if (i == SCAN_STEPS)
			return false;
		sleep_ms(STEP_MS);
	}
	return true;
}

/* The link that makes runsvdir start runsv. 0 or -errno, complained about. */
static int
make_link(const struct service *service)
{
	char path[PATH_BYTES + 16], target[PATH_BYTES];
	ssize_t n;

	(void)format(path, sizeof(path), "%s/banger", service->scanned);
	if (symlink(SERVICE, path) == 0)
		return 0;
	if (errno == EEXIST) {
		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			if (strcmp(target, SERVICE) == 0)
				return 0;
		}
		errno = EEXIST;
	}
	complain("%s: %s; it should be a link to " SERVICE, path,
	    strerror(errno));
	return -EEXIST;
}

static int
runit_start(int root, const struct service *service)
{
	static const char *const line[] = { "sv", "-w", "30", "up", SERVICE,
		NULL };
	int r = make_link(service);

	if (r < 0)
		return r;
	if (!wait_supervised(root, true)) {
		complain("runsvdir does not start " SERVICE "; does it scan "
		    "%s?", service->scanned);
		return -ETIMEDOUT;
	}
	return demand(service, line);
}

/*
 * First the link, so that runsvdir does not start another runsv; shutdown also
 * ends the log's process.
 */
static int
runit_stop(int root, const struct service *service)
{
	static const char *const line[] = { "sv", "-w", "30", "shutdown",
		SERVICE, NULL };
	char path[PATH_BYTES + 16], target[PATH_BYTES] = "";

	(void)format(path, sizeof(path), "%s/banger", service->scanned);
	if (readlink(path, target, sizeof(target) - 1) > 0 &&
	    strcmp(target, SERVICE) == 0 && unlink(path) < 0) {
		complain("%s: cannot be removed: %s", path, strerror(errno));
		return -EREMOTEIO;
	}
	if (supervised(root)) {
		int r = demand(service, line);

		if (r < 0)
			return r;
	}
	if (wait_supervised(root, false))
		return 0;
	complain("runsv for " SERVICE " does not end");
	return -ETIMEDOUT;
}

/* ---- either ---- */

int
service_start(int root, const struct service *service)
{
	if (service->manager == MANAGER_SYSTEMD)
		return systemd_start(service);
	if (service->manager == MANAGER_RUNIT)
		return runit_start(root, service);
	return -EOPNOTSUPP;
}

int
service_restart(const struct service *service)
{
	static const char *const systemctl[] = { "systemctl", "restart", UNIT,
		NULL };
	static const char *const sv[] = { "sv", "-w", "30", "restart", SERVICE,
		NULL };

	return demand(service, service->manager == MANAGER_SYSTEMD ?
	    systemctl : sv);
}

int
service_stop(int root, const struct service *service)
{
	if (service->manager == MANAGER_SYSTEMD)
		return systemd_stop(service);
	if (service->manager == MANAGER_RUNIT)
		return runit_stop(root, service);
	return 0;
}

void
service_forget(const struct service *service)
{
	static const char *const reload[] = { "systemctl", "daemon-reload",
		NULL };
	static const char *const reset[] = { "systemctl", "reset-failed", UNIT,
		NULL };
	char out[256];

	if (service->manager != MANAGER_SYSTEMD)
		return;
	(void)ask(service, reload, out, sizeof(out));
	(void)ask(service, reset, out, sizeof(out));
}
