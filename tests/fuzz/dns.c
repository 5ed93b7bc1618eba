/* A packet to the name server, from anybody on this host. */
#include "fuzz.h"

#include "worker/dns_zone.h"

static uint32_t
address(void *arg, const char *name)
{
	(void)arg;
	must(strlen(name) <= DNS_LABEL_MAX);
	return strcmp(name, "web") == 0 ? 0xac100002 : 0;
}

static enum dns_whose
whose(void *arg, uint32_t ipv4, char name[NAME_BYTES])
{
	(void)arg;
	strcpy(name, "web");
	return ipv4 == 0xac100002 ? DNS_OF_VM :
	    (ipv4 & 0xffffff00) == 0xac100000 ? DNS_NOBODYS : DNS_NOT_OURS;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct dns_zone zone = { NULL, address, whose };
	struct dns_reply reply;
	size_t n = dns_answer(&zone, data, len, &reply);

	/* Never to a reply, or two servers would answer each other. */
	must(n <= sizeof(reply.bytes));
	must(n == 0 || (len >= 12 && (data[2] & 0x80) == 0 &&
	    (reply.bytes[2] & 0x80) != 0 && reply.bytes[0] == data[0] &&
	    reply.bytes[1] == data[1]));
	return 0;
}
