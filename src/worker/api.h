/*
 * What clients may ask for: one table of ops, one handler each.
 */
#ifndef BANGER_WORKER_API_H
#define BANGER_WORKER_API_H

#include "worker/peer.h"

/*
 * A row of the table. HANDLE gets the parsed line, whose members it names all;
 * it answers, refuses, expels, or leaves the request active and is called back
 * by what it waits for.
 */
struct api_op {
	const char *name;
	uint32_t fds;			/* that come with the line, exactly */
	void (*handle)(struct peer *peer, const cJSON *line);
};

/* The members that every request may have. */
#define API_COMMON_FIELDS(request, op_name) \
	{ "op", JSON_TEXT, true, 0, 0, (op_name) }, \
	{ "progress", JSON_BOOL, false, 0, 0, &(request)->progress }

/*
 * json_read with the refusal sent: 0, or -1 and the request is over. A value
 * out of bounds is the user's mistake, not the client's: no expulsion.
 */
int	 api_read(struct peer *peer, const cJSON *line,
	    const struct json_field *fields, size_t count);

/* Looks at the next line of PEER (a struct peer *), if a whole one is there. */
void	 api_next(void *peer);

/*
 * Ends what the request under way waits for. An import is cancelled; a VM that
 * was to be run for this client alone goes when the client goes.
 */
void	 api_abandon(struct peer *peer);

/* Handlers, api_machine.c. */
void	 api_vm_run(struct peer *peer, const cJSON *line);
void	 api_vm_start(struct peer *peer, const cJSON *line);
void	 api_vm_stop(struct peer *peer, const cJSON *line);
void	 api_vm_restart(struct peer *peer, const cJSON *line);
void	 api_vm_kill(struct peer *peer, const cJSON *line);
void	 api_vm_delete(struct peer *peer, const cJSON *line);
void	 api_vm_list(struct peer *peer, const cJSON *line);
void	 api_vm_show(struct peer *peer, const cJSON *line);
void	 api_vm_exec(struct peer *peer, const cJSON *line);
void	 api_vm_logs(struct peer *peer, const cJSON *line);
void	 api_vm_set(struct peer *peer, const cJSON *line);

/*
 * Reads a request that names a VM and nothing else, or one more member. NULL: has
 * been refused.
 */
struct machine *api_target(struct peer *peer, const cJSON *line);
struct machine *api_target_with(struct peer *peer, const cJSON *line,
	    const struct json_field *extra);

/* Handlers, api_inspect.c. */
void	 api_vm_ports(struct peer *peer, const cJSON *line);
void	 api_vm_stats(struct peer *peer, const cJSON *line);

/* Handlers, api_catalog.c. */
void	 api_image_import(struct peer *peer, const cJSON *line);
void	 api_image_promote(struct peer *peer, const cJSON *line);
void	 api_image_tag(struct peer *peer, const cJSON *line);
void	 api_image_open(struct peer *peer, const cJSON *line);
void	 api_image_verify(struct peer *peer, const cJSON *line);
void	 api_image_pull(struct peer *peer, const cJSON *line);
void	 api_image_prune_cache(struct peer *peer, const cJSON *line);
void	 api_image_list(struct peer *peer, const cJSON *line);
void	 api_image_show(struct peer *peer, const cJSON *line);
void	 api_image_delete(struct peer *peer, const cJSON *line);
void	 api_kernel_import(struct peer *peer, const cJSON *line);
void	 api_kernel_pull(struct peer *peer, const cJSON *line);
void	 api_kernel_list(struct peer *peer, const cJSON *line);
void	 api_kernel_show(struct peer *peer, const cJSON *line);
void	 api_kernel_delete(struct peer *peer, const cJSON *line);

/* Handler, api_fetch.c, and what it has under way for PEER, which it ends. */
void	 api_catalog_fetch(struct peer *peer, const cJSON *line);
void	 api_fetch_cancel(struct peer *peer);

#endif
