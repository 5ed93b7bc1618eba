/*
 * What `vm run` and `vm exec` ask for, checked before anything is started: a
 * mistake in the command line costs no boot.
 */
#ifndef BANGER_CLIENT_SPEC_H
#define BANGER_CLIENT_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "client/options.h"

/* Strings point into argv. NULL or 0: not given, the worker's default. */
struct vm_spec {
	const char *name;
	const char *image;
	bool image_is_word;		/* given without --image */
	const char *kernel;
	const char *init;
	uint64_t vcpu;
	uint64_t memory_mib;
	uint64_t disk_size_bytes;
	bool nat;
	bool rm;			/* goes when this client goes */
	bool detach;
};

/*
 * Reads the flags of `vm run`. 0, or -EINVAL with the reason in ERR (flag,
 * value, why).
 */
int	 spec_read(const struct args *args, struct vm_spec *spec,
	    char err[ARGS_ERROR]);

/* What `vm set` changes; 0: stays as it is. */
struct vm_change {
	uint64_t vcpu;
	uint64_t memory_mib;
	uint64_t disk_size_bytes;
	bool has_nat;
	bool nat;
};

/* Reads the flags of `vm set`. As spec_read; none at all is a mistake, too. */
int	 change_read(const struct args *args, struct vm_change *change,
	    char err[ARGS_ERROR]);

/* Adds what changes to a request. */
void	 change_write(const struct vm_change *change, struct buf *request);

/* Adds "spec" and "rm" to a request. */
void	 spec_write(const struct vm_spec *spec, struct buf *request);

/* The command of `vm run` and `vm exec`. */
struct exec_spec {
	const char *user;		/* "" : the guest's default */
	const char *workdir;		/* likewise */
	char **env;			/* K=V; ours but for the first: */
	uint32_t env_count;
	uint32_t image_env_count;	/* those that the image gave */
	char **command;			/* NULL: a shell; points into argv */
	char **image_command;		/* COMMAND when the image gave it; ours */
	uint32_t command_count;
	bool tty;
};

/*
 * Reads the flags that EXEC_FLAGS gives and the command. 0, -EINVAL with the
 * reason in ERR, or -ENOMEM. Free *EXEC with exec_spec_free in every case.
 */
int	 exec_spec_read(const struct args *args, struct exec_spec *exec,
	    char err[ARGS_ERROR]);
void	 exec_spec_free(struct exec_spec *exec);

/*
 * Fills in what was not given from an image's CONFIG, as the API has it (NULL:
 * there is none): user, directory and environment, and with COMMAND what it is
 * to run; but for an init, when WITH_INIT says that one runs already. EXEC then
 * points into CONFIG, too. 0, -ENOMEM, or -EPROTO.
 */
int	 exec_spec_default(struct exec_spec *exec, const cJSON *config,
	    bool command, bool with_init);

#define _cleanup_exec_ __attribute__((cleanup(exec_spec_free)))

#endif
