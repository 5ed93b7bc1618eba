/*
 * A VM's serial console: what the guest says goes to vms/ID.console, which
 * never grows beyond CONSOLE_MAX bytes, for a guest must not fill the host's
 * disk.
 */
#ifndef BANGER_WORKER_CONSOLE_H
#define BANGER_WORKER_CONSOLE_H

#include "base/event.h"
#include "privsep/proto.h"
#include "worker/store.h"

/* At the limit the older part goes and this much stays. */
enum { CONSOLE_MAX = 1 << 20, CONSOLE_KEPT = 512 << 10 };

struct console {
	struct store *store;
	struct event_io io;
	int sock;			/* -1: not connected */
	int log;			/* -1: not open */
	uint64_t size;			/* of the log, in bytes */
	char name[VM_ID_HEX + 1];
	unsigned int matched;		/* bytes of the kernel's last words */
	void (*on_halt)(void *arg);
	void *arg;
};

/*
 * A console that is not connected, for the VM of that id's digits. ON_HALT is
 * called with ARG whenever what the kernel says last went by, which proves
 * nothing: any program in the guest may write it.
 */
void	 console_init(struct console *console, struct store *store,
	    const char *name, void (*on_halt)(void *arg), void *arg);

/* Opens the log: an empty one when FRESH, else the one there is. 0 or -errno. */
int	 console_open(struct console *console, bool fresh);

/* Takes over SOCK (or a FIFO) and copies from it to the log. 0 or -errno (SOCK closed). */
int	 console_attach(struct console *console, struct events *events,
	    int sock);

/* Adds TEXT, a line of ours or the VMM's, to the log. */
void	 console_note(struct console *console, const char *text);

/* Takes what is still unread of the socket, then closes socket and log. */
void	 console_close(struct console *console);

/*
 * The last lines of the log of NAME, at most LINES (and 4 KiB), or the first ones
 * of the kernel's panic among those 4 KiB; without control bytes: a string for the caller to free, or NULL when there are none.
 */
char	*console_tail(struct store *store, const char *name,
	    unsigned int lines);

#endif
