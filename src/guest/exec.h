/*
 * The agent's end of an exec stream: one session runs one command and moves its
 * bytes (base/stream.h says how). A session never blocks; a slow or absent
 * reader holds up nobody but itself.
 */
#ifndef BANGER_GUEST_EXEC_H
#define BANGER_GUEST_EXEC_H

#include <stdbool.h>
#include <sys/types.h>

#include "guest/loop.h"

/* From the hang-up of the client to SIGKILL. */
#define EXEC_HANGUP_GRACE_MS	2000
/* How long output of what a command left behind is still waited for. */
#define EXEC_DRAIN_QUIET_MS	100
#define EXEC_DRAIN_MAX_MS	1000

struct exec_session;

/*
 * A new session on the connection LINK, which it then owns; the client has to
 * know NONCE (STREAM_NONCE_SIZE bytes). AWAITS_HOST: LINK has no host end yet,
 * and polls as hung up until it has (guest/ports.h). NULL with errno set on
 * failure: LINK is then still the caller's.
 */
struct exec_session *exec_session_new(struct loop *loop, int link,
	    bool awaits_host, const uint8_t *nonce);

/*
 * Does what can be done now; to be called after every loop_wait(), it costs
 * nothing when there is nothing to do. True: it stopped only to let others have
 * their turn, call again without waiting.
 */
bool	 exec_session_pump(struct exec_session *s);

/* When it must be pumped at the latest, of monotonic_ms(); INT64_MAX: never. */
int64_t	 exec_session_deadline(const struct exec_session *s);

/* The command's process while it runs and is not reaped, or 0. */
pid_t	 exec_session_pid(const struct exec_session *s);

/*
 * To be called around the reaping of that process: first while it is a zombie
 * and its process group id cannot be anybody else's, then with its wait status.
 */
void	 exec_session_ending(struct exec_session *s);
void	 exec_session_ended(struct exec_session *s, int wait_status);

/* Whether the connection is closed at both ends: it may be used again. */
bool	 exec_session_released(const struct exec_session *s);

/* Whether nothing is left to do: released, and no process to wait for. */
bool	 exec_session_done(const struct exec_session *s);

/* Whether everything for the client has been written (for a shutdown). */
bool	 exec_session_flushed(const struct exec_session *s);

/* Closes what is open and frees S; the process, if any, is not touched. */
void	 exec_session_free(struct exec_session *s);

#endif
