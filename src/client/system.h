/*
 * `banger system`: the daemon as a service of this host. Client code that root
 * runs by an explicit command; none of it is the daemon's.
 *
 * Files are named by paths relative to a directory that stands for /, so that
 * the tests can use another. system.c has the commands, system_remove.c the
 * last of them, system_text.c what the files say, system_file.c puts and takes
 * them, system_service.c talks to service managers, system_run.c runs programs.
 */
#ifndef BANGER_CLIENT_SYSTEM_H
#define BANGER_CLIENT_SYSTEM_H

#include <stdbool.h>

#include "base/buf.h"
#include "client/command.h"

/* Below /. */
#define SYSTEM_EXE "usr/local/bin/banger"
#define SYSTEM_CONFIG "etc/banger/config.toml"
#define SYSTEM_LIST "etc/banger/installed"
#define SYSTEM_UNIT "etc/systemd/system/banger.service"
#define SYSTEM_RUNIT "etc/sv/banger"
#define SYSTEM_RUNIT_RUN SYSTEM_RUNIT "/run"
#define SYSTEM_RUNIT_LOG SYSTEM_RUNIT "/log/run"
#define SYSTEM_LOG_DIR "var/log/banger"

/* In the first two lines of every text that is installed. */
#define SYSTEM_MARK "# Installed by `banger system install`."

/* ---- system_text.c: what the files say ---- */

/*
 * Appends the configuration OLD (NULL: there is none yet) to OUT with the keys
 * owner and, unless GROUP is NULL, group set; all else stays as it is. -ENOBUFS
 * as buf.h.
 */
int	 system_config(const char *old, const char *owner, const char *group,
	    struct buf *out);

/* Appends systemd's unit (systemd.service(5)) for a daemon with CFG. */
int	 system_unit(const struct config *cfg, struct buf *out);

/* Appends the run script of runit's service, or of its log by SVLOGD. */
int	 system_runit_run(struct buf *out);
int	 system_runit_log(const char *svlogd, struct buf *out);

/* What is on the host because of us: path below /, digest of what was put. */
struct system_list {
	struct system_entry {
		char path[64];
		uint64_t digest;
	} entries[8];
	size_t count;
};

/* Reads TEXT as system_list_text wrote it. 0 or -EBADMSG. */
int	 system_list_parse(const char *text, struct system_list *list);
int	 system_list_text(const struct system_list *list, struct buf *out);

/* The entry of PATH, or NULL. */
struct system_entry *system_list_find(struct system_list *list,
	    const char *path);

/* Sets the entry of PATH, a new one if need be. 0 or -ENOSPC. */
int	 system_list_set(struct system_list *list, const char *path,
	    uint64_t digest);

/* FNV-1a: tells a change by hand, and would not tell a malicious one. */
uint64_t system_digest(const void *data, size_t len);

/* ---- system_file.c: files below ROOT ---- */

/* The largest file that is installed, in bytes: the executable. */
enum { SYSTEM_FILE_MAX = 64 * 1024 * 1024 };

/*
 * Opens the directory PATH below ROOT ("" is ROOT itself), with MAKE creating
 * what is missing (0755). Symlinks are followed within ROOT. An fd or -errno;
 * -EPERM: it or a directory on the way is writable by others than root.
 */
int	 system_dir(int root, const char *path, bool make);

/* -EPERM if system_dir would say so of the directory of PATH; 0 or -errno. */
int	 system_check(int root, const char *path);

/* Appends the file PATH, a regular one. 0 or -errno. */
int	 system_read(int root, const char *path, struct buf *out);

/*
 * Makes PATH a file of root's with MODE and these contents, by a temporary
 * file, fsync and rename. 1 when it was changed, 0 when it was so already,
 * or -errno.
 */
int	 system_put(int root, const char *path, mode_t mode, const void *data,
	    size_t len);

/* Removes the file, link or empty directory PATH. 0, also without it. */
int	 system_remove(int root, const char *path);

/*
 * As system_remove for what LIST has; a file that was changed since it was put
 * is removed if it is still a text with our mark, and stays otherwise. Says on
 * standard output what was done. 0, or -errno after a complaint.
 */
int	 system_take(int root, struct system_list *list, const char *path);

/* The list of this host; an empty one without a file. 0 or -errno. */
int	 system_list_load(int root, struct system_list *list);

/* ---- system_run.c ---- */

/*
 * Runs the first of PATHS (absolute, NULL-terminated) that exists with ARGV
 * (its name, then the rest; NULL-terminated), a clean environment, no input
 * and TIMEOUT_MS; OUT (SIZE bytes) gets the beginning of what it writes, blanks
 * at the end taken off. Its exit status, 128 + the signal that ended it, or
 * -errno: -ENOENT for no such program, -ETIMEDOUT (it was killed).
 */
int	 system_run(const char *const *paths, const char *const *argv,
	    int timeout_ms, char *out, size_t size);

/* ---- system_service.c ---- */

enum manager { MANAGER_NONE, MANAGER_SYSTEMD, MANAGER_RUNIT };

struct service {
	enum manager manager;
	char scanned[PATH_BYTES];	/* runit: directory of the links */
};

/*
 * Finds out who supervises services below ROOT: systemd where it is process 1
 * (sd_booted(3)), else the runsvdir(8) that runs as root in our mount
 * namespace, according to PROC, an open /proc.
 */
void	 service_detect(int root, int proc, struct service *service);

/* "systemd", "runit", "none". */
const char *service_name(const struct service *service);

/* The texts of SERVICE's files, by path; fewer than two have path NULL. */
struct service_file {
	const char *path;
	mode_t mode;
	struct buf text;
};
enum { SERVICE_FILES = 2 };
int	 service_files(int root, const struct service *service,
	    const struct config *cfg, struct service_file files[SERVICE_FILES]);

/* Whether the file by which SERVICE's manager knows the daemon is there. */
bool	 service_installed(int root, const struct service *service);

/* Whether SERVICE's daemon is up, as far as this user may know. */
bool	 service_active(const struct service *service);

/*
 * Whether the manager has started SERVICE's daemon or is about to: also while
 * it waits before the next start of one that was killed.
 */
bool	 service_coming(const struct service *service);

/*
 * Lets the manager see new files and start the service now and at boot;
 * restarts it; stops it for good. 0, or -errno after a complaint.
 */
int	 service_start(int root, const struct service *service);
int	 service_restart(const struct service *service);
int	 service_stop(int root, const struct service *service);

/* After service_stop and the removal of its files. */
void	 service_forget(const struct service *service);

/* ---- system.c, for system_remove.c and connect.c ---- */

/*
 * The service has one configuration: 0, or the exit code after a complaint
 * about a --config that is another instance's.
 */
int	 system_refuse_config(const struct client *client);

/*
 * Whether the service, whose configuration is CONFIG_FILE, is about to listen
 * (service_coming): then nobody else's daemon may take its place.
 */
bool	 system_coming(const char *config_file);

/* Complains and -EPERM unless root runs us. */
int	 system_need_root(const struct client *client, const char *example);

/* An open ROOT and /proc; complains. 0 or -errno. */
struct system_host {
	int root;
	int proc;
	struct service service;
};
int	 system_host_open(struct system_host *host);
void	 system_host_close(struct system_host *host);

/* Greets the daemon of CFG without starting one; its pid in *PID. 0 or -errno. */
int	 system_greet(struct client *client, pid_t *pid, bool *embedded);

/* How many VMs run: a number, or -errno; the first few names in NAMES. */
int	 system_running(struct client *client, char *names, size_t size);

#endif
