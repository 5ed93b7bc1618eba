/*
 * The monitor's table of VMs and the root-only record of each, which is all
 * that survives a restart of the daemon. A VM's slot in the table gives its
 * uid; its id gives every name.
 */
#ifndef BANGER_PRIVSEP_VM_H
#define BANGER_PRIVSEP_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "privsep/disk.h"
#include "privsep/proc.h"
#include "privsep/proto.h"

struct vm {
	uint64_t id;			/* 0: the slot is free */
	enum vm_state state;
	uint32_t vmm;			/* enum vmm_kind */
	uint32_t ipv4;			/* host order */
	bool nat;
	bool adopted;			/* its parent is not our launcher */
	int tap_fd;			/* from tap_create until the launch */
	struct disk disk;		/* from the attach until the release */
	int run_fd;			/* its jail's /run; -1 unless running */
	int pidfd;			/* -1 unless running */
	pid_t pid;
	struct proc_identity identity;
};

struct vm_table {
	struct vm *vms;
	uint32_t max;
	uint32_t uid_base;		/* uid of slot 0 */
	int records;			/* directory of the records */
};

/* 12 hexadecimal digits and a NUL. */
void	 vm_name(uint64_t id, char name[VM_ID_HEX + 1]);

/* "fc-" and the id: exactly IFNAMSIZ with its NUL. */
void	 vm_tap_name(uint64_t id, char name[16]);

/* Locally administered: 02:fc and the IPv4 address. */
void	 vm_mac(uint32_t ipv4, uint8_t mac[6]);

/* The uid (and gid) that the VM of this slot runs as. */
uid_t	 vm_uid(const struct vm_table *table, const struct vm *vm);

/* Allocates the slots. 0 or -ENOMEM. RECORDS stays the caller's. */
int	 vm_table_init(struct vm_table *table, uint32_t max, uint32_t uid_base,
	    int records);

/* The VM of ID, or NULL. */
struct vm *vm_find(const struct vm_table *table, uint64_t id);

/* Whether there is no VM at all. */
bool	 vm_table_empty(const struct vm_table *table);

/* A slot for a new VM, or NULL when all are in use. */
struct vm *vm_allocate(struct vm_table *table, uint64_t id);

/* Closes what VM holds and frees its slot and its record. */
void	 vm_free(struct vm_table *table, struct vm *vm);

/* Writes the record of VM. 0 or -errno. */
int	 vm_save(const struct vm_table *table, const struct vm *vm);

/*
 * Reads all records back. A VM whose process is still the one on record
 * becomes VM_RUNNING and adopted, any other VM_EXITED, to be cleaned up. A
 * record that is not exactly as we write them is removed and said in the log.
 * What cannot be found out is an error: a VM that runs must not be forgotten.
 * Needs CAP_SYS_PTRACE (proc_identify). 0 or -errno.
 */
int	 vm_load_all(struct vm_table *table, int proc_fd);

#endif
