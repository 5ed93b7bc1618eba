/*
 * What VMs, images and kernels have in common: they are listed, shown and
 * acted on by name.
 */
#ifndef BANGER_CLIENT_OBJECTS_H
#define BANGER_CLIENT_OBJECTS_H

#include "client/command.h"
#include "client/show.h"

/* One kind of object, as the API calls it. */
struct kind {
	const char *key;		/* "vm": of requests, replies and ops */
	const char *list_key;		/* "vms" */
	const struct field *fields;
};

extern const struct kind vm_kind, image_kind, kernel_kind;

/*
 * Asks for `KIND.VERB`, of object NAME unless it is NULL. 0, or -errno after a
 * complaint.
 */
int	 objects_ask(struct client *client, const struct kind *kind,
	    const char *verb, const char *name, struct api_reply *reply);

/* `KIND list`: the command's exit code. */
int	 objects_list(struct client *client, const struct args *args,
	    const struct kind *kind);

/* `KIND show NAME`: the command's exit code. */
int	 objects_show(struct client *client, const struct args *args,
	    const struct kind *kind);

/*
 * Prints the object in RESULT after it was made or changed: "NAME: DONE", and what
 * a kernel cannot be used for.
 * Name and, for VMs that run, the address come from RESULT.
 */
int	 objects_done(struct client *client, const cJSON *result,
	    const struct kind *kind, const char *done);

/* An op on each of several objects. */
struct batch {
	const struct kind *kind;
	const char *op;			/* "vm.start" */
	const char *done;		/* what is printed: "started" */
	bool force;			/* a member of the request, when true */
	const uint64_t *timeout_ms;	/* likewise, unless NULL */
};

/*
 * Does BATCH for each word of ARGS; one that fails does not keep the others
 * from their turn. The command's exit code.
 */
int	 objects_each(struct client *client, const struct args *args,
	    const struct batch *batch);

#endif
