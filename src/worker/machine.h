/*
 * A VM: its row, its life, and who waits for what of it.
 *
 *	stopped -> starting -> running -> stopping -> stopped (or deleted)
 *
 * Starting acquires disk, initrd, tap, jail and VMM, socket connections and at
 * last the agent's answer, each registered in `held` before it is tried.
 * Whatever ends a VM (a failed step, the deadline, a request, the guest itself)
 * goes through one way out, machine_end(): it kills the VMM if there is one,
 * waits for its exit, releases all that is held, and then saves the row as
 * stopped or deletes it. An emulated guest that does not come up is killed and
 * started once more on the way to running.
 *
 * Requests only set things going; steps and news come from the event loop, so
 * that nobody who asks for something finds the VM freed when the call returns.
 */
#ifndef BANGER_WORKER_MACHINE_H
#define BANGER_WORKER_MACHINE_H

#include "worker/agent_link.h"
#include "worker/console.h"
#include "worker/failure.h"
#include "worker/metrics.h"
#include "worker/worker.h"

struct peer;

/* What a VM holds and must give back. */
enum machine_held {
	HELD_NET = 1 << 0,		/* there is a bridge for it, or its tap */
	HELD_VMM = 1 << 1,		/* it may run, or has a jail */
};

/* Lines of the console that an error shows. */
enum { CONSOLE_LINES = 10 };

/* How far a start is. */
enum machine_step {
	STEP_NONE,
	STEP_FILES,			/* disk and initrd, in jobs */
	STEP_CONNECT,			/* the same, and the VMM's sockets */
	STEP_AGENT,			/* until the agent answers */
};

struct machine {
	struct list node;
	struct worker *w;
	struct machine_row row;
	bool stored;			/* has a row file */
	bool fresh;			/* of a vm.run that is not done yet */
	bool doomed;			/* to be deleted when it has ended */
	bool failed;			/* ended before it was running */
	bool asked;			/* the guest was asked to end */
	bool killing;			/* SIGKILL has been sent; starting: to try again */
	bool ended;			/* the VMM's exit has been seen */
	struct peer *owner;		/* deleted when this client goes; or NULL */
	enum machine_step step;
	unsigned int held;		/* enum machine_held */
	int32_t pid;
	char tap[16];			/* of this start */
	struct job *disk_job, *initrd_job;
	int disk_fd;			/* of a disk that is being made, or -1 */
	unsigned int copying;		/* how many images are made of its disk */
	void (*disk_done)(struct machine *m, const struct failure *f);
	struct event_timer deadline;	/* of start or stop */
	int64_t stop_by_ms;		/* monotonic_ms() time */
	struct event_timer retry;	/* to connect; to be greeted */
	unsigned int tries;
	struct event_task begin, finish;
	struct console console;
	struct metrics metrics;		/* of Firecracker */
	struct agent_link link;
	int api_fd;			/* to Firecracker's API, or -1 */
	struct event_io api_io;
	bool halting, halted;		/* its kernel may have, it has */
	struct event_timer halt;	/* until the agent has shown otherwise */
	int said_fd;			/* the VMM's standard error, or -1 */
	struct event_io said_io;
	char said[160];			/* its last whole line */
	char saying[160];		/* the line it is at, cut to fit */
	size_t saying_len;
	struct failure failure;		/* why it is being ended */
	struct list waiters;
};

/* What a waiter is told. */
enum machine_news {
	NEWS_PROGRESS,			/* STAGE and MESSAGE are set */
	NEWS_RUNNING,
	NEWS_ENDED,			/* stopped, or deleted when GONE */
};

struct machine_told {
	enum machine_news news;
	const char *stage, *message;
	const struct failure *f;	/* ENDED: why the start failed, or NULL */
	bool gone;			/* M is about to be freed */
};

/*
 * Someone who waits. FN may end its own wait, no other's, and not free M; a
 * waiter of a VM that is gone is taken off.
 */
struct machine_waiter {
	struct list node;
	bool waiting;
	void (*fn)(void *arg, struct machine *m, const struct machine_told *t);
	void *arg;
};

/*
 * Calls FN with ARG once, when what M is doing has come to its end. WAITER is
 * the caller's and must stay until then, or until it is taken back.
 */
void	 machine_wait(struct machine *m, struct machine_waiter *waiter,
	    void (*fn)(void *arg, struct machine *m,
	    const struct machine_told *t), void *arg);
void	 machine_wait_end(struct machine_waiter *waiter);
void	 machine_tell(struct machine *m, const struct machine_told *told);

/* What a client may ask of a new VM; strings NULL and 0: take the default. */
struct machine_wish {
	const char *name, *image, *kernel;
	uint32_t vcpus, mem_mib;
	uint64_t disk_bytes;
	bool nat, init_none, rm;
};

/*
 * Makes a VM of WISH, with row, name and address but nothing else; the caller
 * starts it. NULL with *F, nothing having been written.
 */
struct machine *machine_create(struct worker *w,
	    const struct machine_wish *wish, struct failure *f);

/* What a client may change of a VM; 0: stays as it is. */
struct machine_change {
	uint32_t vcpus, mem_mib;
	uint64_t disk_bytes;
	bool has_nat, nat;
};

/*
 * Changes M's row, durably. NAT applies at once, all else at the next start,
 * which row.restart_needed tells of a M that runs. 0, or -1 with *F and nothing
 * was changed.
 */
int	 machine_set(struct machine *m, const struct machine_change *change,
	    struct failure *f);

/* By name, id, or a unique beginning of it (4 digits at least). NULL with *F. */
struct machine *machine_find(struct worker *w, const char *key,
	    struct failure *f);
struct machine *machine_by_id(struct worker *w, uint64_t id);

/*
 * Whether M could be started here: its kernel, what this host has, how many run.
 * Looks only. 0, or -1 with *F.
 */
int	 machine_startable(struct machine *m, struct failure *f);

/*
 * Begins to start M, which is stopped; NEWS_RUNNING or NEWS_ENDED tells how it
 * went. 0, or -1 with *F: it cannot even begin, M is as before.
 */
int	 machine_start(struct machine *m, struct failure *f);

/*
 * Has a network for M, which holds it then (HELD_NET), and gives M an address of
 * it, if it has none. 0, or -1 with *F, and nothing is held.
 */
int	 machine_address(struct machine *m, struct failure *f);

/* Gives M's tap back, and the bridge if nobody else is on it. */
void	 machine_release_net(struct machine *m);

/*
 * Asks the guest to end, and kills it after TIMEOUT_MS. For a running M;
 * NEWS_ENDED tells when it has ended.
 */
void	 machine_stop(struct machine *m, uint32_t timeout_ms);

/*
 * Ends M in whatever state, and deletes it with DELETE; NEWS_ENDED tells when.
 * F (may be NULL) is why, for those who wait for a start.
 */
void	 machine_end(struct machine *m, bool delete, const struct failure *f);

/* Goes on with a start whose first try was given up, and whose VMM has ended. */
void	 machine_start_again(struct machine *m);

/* Kills M's VMM; false when there is none whose exit will be told. */
bool	 machine_kill_vmm(struct machine *m);

/* Gives back all that M holds; its VMM has ended. */
void	 machine_give_back(struct machine *m);

/* The monitor says that M's VMM has exited. */
void	 machine_exited(struct machine *m, const struct vmm_exit_event *event);

/*
 * Begins to connect the agent's channel of a running M unless it is connected
 * already: m->link's callbacks tell how it went. 0 or -errno.
 */
int	 machine_link(struct machine *m);

/*
 * Connects what M's VMM writes without being asked, console and metrics, unless
 * that was done. 0 or -errno; metrics are no reason for an error.
 */
int	 machine_watch(struct machine *m);

/*
 * Has the agent of M, which is stopping, end its guest in what time is left.
 * 0; -EAGAIN when there is no agent to ask.
 */
int	 machine_ask(struct machine *m);

/* Whether the VMM of M can be told to press keys. */
bool	 machine_has_keys(const struct machine *m);

/*
 * Presses Ctrl-Alt-Del in the guest of a running M: 0, or -errno (-ENOTSUP: it
 * has no keys). Whether the guest cares is not known.
 */
int	 machine_ctrl_alt_del(struct machine *m);

/* Has the VMM of a running M tell its metrics soon, if it can be asked. */
void	 machine_flush_metrics(struct machine *m);

/* Gives the connection to the VMM's API up. */
void	 machine_api_close(struct machine *m);

/*
 * ARG, a struct machine, has said that its kernel halts. Firecracker goes on
 * when its guest has powered itself off: unless the agent still answers, the
 * VMM is ended then.
 */
void	 machine_halting(void *arg);

/* The agent has answered: M is alive. */
void	 machine_alive(struct machine *m);

/*
 * Connects stream PORT, which M's agent has lent on m->link. FN is called once,
 * with the connected fd, FN's to close, or -errno; perhaps before this returns,
 * else DIAL, zeroed before its first use, must stay until then, or be cancelled.
 */
void	 machine_stream(struct machine *m, uint32_t port,
	    struct vsock_dial *dial, void (*fn)(void *arg, int fd), void *arg);

/*
 * Whether a VM of VMM (enum vmm_kind) with KERNEL could be started and reached at
 * all. 0, or -1 with *F, which names MACHINE.
 */
int	 machine_check_kernel(const char *machine, uint32_t vmm,
	    const struct kernel_row *kernel, struct failure *f);

/* Writes the row. 0, or -errno and said in the log. */
int	 machine_save(const struct machine *m);

/* A machine with nothing but ROW, linked in. NULL: no memory. */
struct machine *machine_new(struct worker *w, const struct machine_row *row);

/* Unlinks and frees M, which holds nothing. */
void	 machine_free(struct machine *m);

/* Whether something is under way that the worker should not leave alone. */
bool	 machine_busy(const struct machine *m);

/* Watches the VMM's standard error FD, which M takes over. */
void	 machine_listen(struct machine *m, int fd);

/* Handles and closes it; the last line is in m->said. */
void	 machine_hear_out(struct machine *m);

/* Kills the jobs of a start and removes what they were making. */
void	 machine_drop_jobs(struct machine *m);

/* Prepares the links of a M that runs, or is about to. */
void	 machine_connect_init(struct machine *m);

/*
 * At the worker's start: takes in the VMs of the store and of the monitor, goes
 * on with those that run, and clears away the rest. 0 or -errno.
 */
int	 machines_adopt(struct worker *w);

/* At its end: frees them all; those that run keep running. */
void	 machines_free(struct worker *w);

#endif
