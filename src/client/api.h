/*
 * The client's end of the API socket: one request line out, progress lines
 * and one final line back (JSON, UTF-8, at most 64 KiB or 1 MiB), fds beside the
 * line that declares them. Whatever does not look exactly so ends the
 * connection: the client believes a daemon no more than a daemon its clients.
 */
#ifndef BANGER_CLIENT_API_H
#define BANGER_CLIENT_API_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"

enum {
	API_LINE_MAX = 64 * 1024,	/* of a request */
	API_REPLY_MAX = 1024 * 1024,	/* a list of many VMs */
	API_FDS_MAX = 4,
	API_TEXT_MAX = 1024,
};

/* A connection. Start with API_CLOSED. */
struct api {
	int fd;
	int cancel_fd;			/* signalfd watched during a call, or -1 */
	struct buf in;			/* received and not yet consumed */
	int fds[API_FDS_MAX];		/* received and not yet taken */
	unsigned int nfds;
};

#define API_CLOSED \
	{ .fd = -1, .cancel_fd = -1, .in = BUF_INIT(API_REPLY_MAX) }

/* A line of progress; the texts are the daemon's, unfiltered. */
struct api_step {
	const char *stage, *message;
	uint64_t done, total;		/* bytes; TOTAL 0: not known */
};

/* Called for each of them. */
typedef void api_progress(void *arg, const struct api_step *step);

struct api_reply {
	cJSON *result;			/* NULL when the worker refused */
	char code[32];			/* its error, "not-found", else "" */
	char message[API_TEXT_MAX];	/* its one line, or what broke */
	char *console;			/* last lines of the guest's console, or NULL */
	int fds[API_FDS_MAX];
	unsigned int nfds;
};

/*
 * Connects to the socket at PATH (unix(7)). *API takes the connection. 0 or
 * -errno: -ENOENT and -ECONNREFUSED mean that nobody listens there,
 * -ENAMETOOLONG that PATH does not fit sun_path.
 */
int	 api_connect(struct api *api, const char *path);

/* Takes over FD, a connected stream socket. */
void	 api_adopt(struct api *api, int fd);

/* Closes the connection; *API is API_CLOSED again. */
void	 api_close(struct api *api);

/* A request under construction: `struct buf request _cleanup_buf_ = API_REQUEST`. */
#define API_REQUEST BUF_INIT(API_LINE_MAX)

/*
 * Begins the request OP, concerning object NAME under KEY unless KEY is NULL.
 * More members may be added with json_text and its like; api_call ends it.
 */
void	 api_request(struct buf *request, const char *op, const char *key,
	    const char *name);

/*
 * Sends REQUEST (with SEND_FD when it is not -1; both stay the caller's) and
 * reads to the final line. PROGRESS may be NULL; else "progress":true is added.
 * WANT_FDS is how many fds a good reply brings. 0 with *REPLY filled, also
 * when the worker refused (reply->result is NULL then); else -errno and why
 * in reply->message: -ECONNRESET when the connection ended early, -EPROTO for
 * a reply that breaks the contract, -ECANCELED when cancel_fd became readable
 * (the worker has been told and had its time to clean up). After an -errno the
 * connection is of no more use. Free *REPLY with api_reply_free in every case.
 */
int	 api_call(struct api *api, struct buf *request, int send_fd,
	    unsigned int want_fds, api_progress *progress, void *arg,
	    struct api_reply *reply);

/* Closes the fds that nobody took, frees the result. */
void	 api_reply_free(struct api_reply *reply);

#define _cleanup_reply_ __attribute__((cleanup(api_reply_free)))

/*
 * Members of a reply's objects. NULL, or 0, when KEY is absent or of another
 * type; numbers must be whole and not negative.
 */
const char *field_text(const cJSON *object, const char *key);
uint64_t field_number(const cJSON *object, const char *key);

#endif
