/*
 * A monitor for tests of the worker: it answers every op as proto.h says, on
 * VMs that are nothing but entries in a table, with an agent that may misbehave.
 */
#ifndef BANGER_TESTS_FAKE_MONITOR_H
#define BANGER_TESTS_FAKE_MONITOR_H

#include <stdint.h>
#include <sys/types.h>

#include "privsep/proto.h"

enum { FAKE_VMS = 8 };

enum fake_agent {
	FAKE_AGENT_OK,
	FAKE_AGENT_SILENT,		/* never answers */
	FAKE_AGENT_SECOND,		/* not at an odd launch */
	FAKE_AGENT_EXITS,		/* its VMM ends when it is greeted */
	FAKE_AGENT_BUSY,		/* has no stream to give */
	FAKE_AGENT_YOUNG,		/* its ports come later */
	FAKE_AGENT_GARBAGE,		/* answers HELLO, then says rubbish */
	FAKE_AGENT_OLD,			/* knows no PORTS and STATS */
	FAKE_AGENT_DEAF,		/* does not answer them */
	FAKE_AGENT_LIES,		/* leaves out a listener */
	FAKE_AGENT_STUBBORN,		/* does not end when asked to */
};

struct fake_vm {
	uint64_t id;			/* 0: free */
	uint32_t state;			/* enum vm_state */
	uint32_t ipv4;
	uint32_t nat;
	uint32_t disk;			/* 0, or the op that made it */
};

/* Shared between the test and the process that plays the monitor. */
struct fake {
	volatile int fail_op;		/* -1, or the op that fails */
	volatile int fail_error;
	volatile enum fake_agent agent;
	volatile uint32_t embedded, vm_max, prefix, start_timeout_ms;
	volatile uint32_t snapshots;	/* device mapper works */
	volatile uint32_t disk_full;	/* snapshots were cut off */
	volatile uint32_t owner_uid;
	volatile uint32_t misses;	/* sockets not there at first */
	volatile uint32_t launches;
	volatile uint32_t dns_port;	/* 0: no names */
	volatile uint32_t resolver_sets;
	volatile uint32_t talks;	/* VMMs write to their standard error */
	volatile uint32_t opens;	/* asked of an agent */
	char store[PATH_BYTES];
	struct fake_vm vms[FAKE_VMS];
};

/* Memory for it, shared with children; the test's for ever. */
struct fake *fake_new(const char *store);

/* How many VMs there are in STATE, or at all when STATE is VM_STATES. */
unsigned int fake_count(const struct fake *fake, enum vm_state state);

/*
 * Plays the monitor: serves one worker at a time, on the wire that it gets by
 * SCM_RIGHTS over WIRES, until that is closed. Never returns.
 */
void	 fake_monitor(struct fake *fake, int wires) __attribute__((noreturn));

#endif
