/*
 * Clients of the API: a connection, its identity, lines in and lines out.
 */
#ifndef BANGER_WORKER_PEER_H
#define BANGER_WORKER_PEER_H

#include "base/json.h"
#include "worker/import.h"
#include "worker/machine.h"

enum { PEER_FDS_MAX = 4, PEER_LINE_MAX = 64 * 1024 };

/* The one request that a client may have under way. */
struct request {
	bool active;
	bool progress;			/* wanted */
	bool restarting;		/* to be started when it has ended */
	const struct api_op *op;
	struct machine_waiter waiter;
	struct stream_request stream;
	struct vsock_dial dial;		/* of that stream */
	struct agent_query query;
	struct buf partial;		/* an answer that waits for its rest */
	struct import import;
	struct job *job;		/* that it waits for, or NULL */
	uint64_t checksum;		/* what that should find */
	struct download *fetch;		/* of a text, or NULL */
	struct event_task again;	/* the second half of a restart */
	uint64_t vm;			/* the id it is about, or 0 */
	uint64_t told_bytes;
	char name[NAME_BYTES];		/* of an import's object */
};

struct peer {
	struct list node;
	struct worker *w;
	int fd;
	uint32_t uid;			/* who connected */
	struct event_io io;
	struct event_task next;		/* the next line of IN */
	struct event_task close;
	struct buf in, out;
	int fds[PEER_FDS_MAX];		/* received with what is in IN */
	uint32_t nfds;
	int send_fd;			/* to go with the next bytes, or -1 */
	bool last;			/* close when OUT is written */
	struct request request;
};

/* Accepts one connection from the listener; refuses strangers. */
void	 peer_accept(struct worker *w);

/* Ends the connection, what it waits for, and the VMs that it owns. */
void	 peer_free(struct peer *peer);

/* Writes what waits as far as the client takes it, and watches for the rest. */
void	 peer_flush(struct peer *peer);

/*
 * The final answer to the request under way: everything between
 * `"result":{` and its brace is in RESULT, which is freed. FD (or -1) goes with
 * it and is taken over.
 */
void	 peer_answer(struct peer *peer, struct buf *result, int fd);
void	 peer_refuse(struct peer *peer, const struct failure *f);

/*
 * A line of progress, if the client asked for them: in words, or DONE of TOTAL
 * bytes.
 */
void	 peer_progress(struct peer *peer, const char *stage,
	    const char *message);
void	 peer_progress_of(struct peer *peer, const char *stage, uint64_t done,
	    uint64_t total);

/* The same refusal, and then the end of the connection. */
void	 peer_expel(struct peer *peer, enum failure_code code,
	    const char *why);

#endif
