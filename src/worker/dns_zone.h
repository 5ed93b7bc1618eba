/*
 * What the name server says: the zone `vm` and the names of the addresses in
 * the VMs' network. Pure: bytes in, bytes out.
 */
#ifndef BANGER_WORKER_DNS_ZONE_H
#define BANGER_WORKER_DNS_ZONE_H

#include "base/dns_message.h"
#include "privsep/proto.h"

/* What an address is, to those who ask for its name. */
enum dns_whose {
	DNS_NOT_OURS,			/* outside of the VMs' network */
	DNS_NOBODYS,			/* inside, and no VM's */
	DNS_OF_VM,
};

/* Where names and addresses come from. */
struct dns_zone {
	void *arg;
	/* The address (host order) of the VM that is called NAME; 0: none. */
	uint32_t (*address)(void *arg, const char *name);
	/* Whose IPV4 is; NAME is set for a VM's. */
	enum dns_whose (*name)(void *arg, uint32_t ipv4,
	    char name[NAME_BYTES]);
};

/*
 * The answer to PACKET of LEN bytes out of ZONE: its length in REPLY->bytes, or
 * 0 when there is nothing to send.
 */
size_t	 dns_answer(const struct dns_zone *zone, const uint8_t *packet,
	    size_t len, struct dns_reply *reply);

#endif
