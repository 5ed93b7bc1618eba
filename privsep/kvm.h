/*
 * Does KVM run guests here? Its device file alone tells nothing: on some
 * nested hosts virtual machines and processors can be created, but their
 * guests never get anywhere.
 */
#ifndef BANGER_PRIVSEP_KVM_H
#define BANGER_PRIVSEP_KVM_H

enum { KVM_SETUP_MS = 2000, KVM_RUN_MS = 500 };

/*
 * Runs a short computation in a 64-bit guest with paging, in a child process,
 * for at most KVM_RUN_MS, after at most KVM_SETUP_MS of preparations. 1: it
 * gave the right result. 0: /dev/kvm is there but does not run the guest, or
 * not at a processor's speed. -errno of opening /dev/kvm (-ENOENT: no such
 * device, -EACCES), of fork(2), eventfd(2) or pidfd_open(2).
 * The child is reaped; the caller sees a SIGCHLD. Call it before there are
 * filters or other children: needs the whole of KVM, fork and mmap.
 */
int	 kvm_probe(void);

#endif
