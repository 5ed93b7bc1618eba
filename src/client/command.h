/*
 * The one table of commands and what a handler gets. A new command is a row
 * in commands.c and a handler; help, aliases, suggestions and the parsing of
 * flags follow from the row.
 */
#ifndef BANGER_CLIENT_COMMAND_H
#define BANGER_CLIENT_COMMAND_H

#include "client/api.h"
#include "client/options.h"
#include "privsep/config.h"

enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,		/* refused, not found, busy, ... */
	EXIT_USAGE = 2,
	EXIT_NOT_RUNNING = 3,		/* `system status`, as systemctl's */
	EXIT_BANGER = 125,		/* `vm run` and `vm exec`: ours, not CMD's */
};

/* One run of the client. */
struct client {
	const char *config_file;	/* --config, or NULL */
	struct config config;
	struct api api;
	const struct command *command;
};

struct command {
	const char *name;		/* "vm run" */
	const char *aliases;		/* "vm ps,ps", or NULL */
	const char *usage;		/* what follows the name */
	const char *summary;		/* one line of `banger help` */
	const char *help;		/* paragraphs of `banger help NAME`, or NULL */
	struct syntax syntax;
	int failure;			/* exit code of banger's own failures */
	int (*run)(struct client *client, const struct args *args);
};

/* The table; ends with a row without a name. */
extern const struct command commands[];

/*
 * Prints help for the command or group that WORDS (NULL-terminated) name;
 * without words, the overview. To standard output. 0, or -ENOENT when there is
 * no such thing.
 */
int	 help_print(char **words);

/* Whether WORD begins the names of several commands: vm, image, kernel. */
bool	 command_group(const char *word);

/* Writes the one line about WORDS, which no command is called. */
void	 command_unknown(char **words);

/*
 * The row whose name or alias WORDS (NULL-terminated) begins with, and in
 * *USED how many of the words it takes; NULL when there is none. The longest
 * match wins.
 */
const struct command *command_find(char **words, size_t *used);

/*
 * Writes "banger: NAME: ..." and returns the exit code of a usage error:
 * EXIT_USAGE, or EXIT_BANGER where another code would look like CMD's.
 */
int	 usage_error(const struct client *client, const char *fmt, ...)
	    PRINTF_LIKE(2, 3);

/* Loads the configuration: 0, or -errno, complained about. */
int	 client_config(struct client *client);

/* client_config, then a greeted connection: 0, or -errno, complained about. */
int	 client_connect(struct client *client);

/*
 * api_call that complains: 0 only when the reply is a good one, else -errno
 * (-EREMOTEIO: the worker refused; nothing was said for -ECANCELED).
 */
int	 client_call(struct client *client, struct buf *request, int send_fd,
	    unsigned int want_fds, struct api_reply *reply);

/*
 * Says what came of an api_call that returned R: 0 when the reply is a good one,
 * else -errno, as client_call.
 */
int	 client_outcome(int r, struct api_reply *reply);

/*
 * As api_call and client_call, with a line of progress per stage when standard
 * error is a terminal.
 */
int	 client_try(struct client *client, struct buf *request, int send_fd,
	    unsigned int want_fds, struct api_reply *reply);
int	 client_call_progress(struct client *client, struct buf *request, int send_fd,
	    unsigned int want_fds, struct api_reply *reply);

/*
 * Writes what went wrong with standard output, or that a reply was not what it
 * should be; r as show.h returns it. The command's exit code: 0 when r is 0.
 */
int	 client_result(const struct client *client, int r);

/* Handlers. */
int	 cmd_vm_run(struct client *client, const struct args *args);
int	 cmd_vm_exec(struct client *client, const struct args *args);
int	 cmd_vm_list(struct client *client, const struct args *args);
int	 cmd_vm_show(struct client *client, const struct args *args);
int	 cmd_vm_start(struct client *client, const struct args *args);
int	 cmd_vm_stop(struct client *client, const struct args *args);
int	 cmd_vm_restart(struct client *client, const struct args *args);
int	 cmd_vm_kill(struct client *client, const struct args *args);
int	 cmd_vm_delete(struct client *client, const struct args *args);
int	 cmd_vm_set(struct client *client, const struct args *args);
int	 cmd_vm_prune(struct client *client, const struct args *args);
int	 cmd_vm_ports(struct client *client, const struct args *args);
int	 cmd_vm_stats(struct client *client, const struct args *args);
int	 cmd_vm_logs(struct client *client, const struct args *args);
int	 cmd_image_import(struct client *client, const struct args *args);
int	 cmd_image_build(struct client *client, const struct args *args);
int	 cmd_image_export(struct client *client, const struct args *args);
int	 cmd_image_promote(struct client *client, const struct args *args);
int	 cmd_image_register(struct client *client, const struct args *args);
int	 cmd_image_tag(struct client *client, const struct args *args);
int	 cmd_image_verify(struct client *client, const struct args *args);
int	 cmd_image_pull(struct client *client, const struct args *args);
int	 cmd_image_catalog(struct client *client, const struct args *args);
int	 cmd_image_cache_prune(struct client *client, const struct args *args);
int	 cmd_image_list(struct client *client, const struct args *args);
int	 cmd_image_show(struct client *client, const struct args *args);
int	 cmd_image_delete(struct client *client, const struct args *args);
int	 cmd_kernel_pull(struct client *client, const struct args *args);
int	 cmd_kernel_catalog(struct client *client, const struct args *args);
int	 cmd_kernel_import(struct client *client, const struct args *args);
int	 cmd_kernel_list(struct client *client, const struct args *args);
int	 cmd_kernel_show(struct client *client, const struct args *args);
int	 cmd_kernel_delete(struct client *client, const struct args *args);
int	 cmd_system_install(struct client *client, const struct args *args);
int	 cmd_system_status(struct client *client, const struct args *args);
int	 cmd_system_restart(struct client *client, const struct args *args);
int	 cmd_system_uninstall(struct client *client, const struct args *args);
int	 cmd_daemon(struct client *client, const struct args *args);
int	 cmd_doctor(struct client *client, const struct args *args);
int	 cmd_version(struct client *client, const struct args *args);
int	 cmd_help(struct client *client, const struct args *args);

#endif
