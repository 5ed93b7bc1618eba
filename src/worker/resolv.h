/*
 * The host's resolvers, which a guest reaches through NAT.
 */
#ifndef BANGER_WORKER_RESOLV_H
#define BANGER_WORKER_RESOLV_H

#include <stddef.h>
#include <stdint.h>

/*
 * Collects IPv4 `nameserver` lines of TEXT (resolv.conf(5)) that a guest can
 * use: not loopback, not 0.0.0.0. Returns how many of at most MAX were put
 * into OUT, host order.
 */
uint32_t resolv_parse(const char *text, uint32_t *out, uint32_t max);

/*
 * The same from /etc/resolv.conf; where that names only a local stub, from
 * systemd-resolved's own list; else FALLBACK unless it is 0.
 */
uint32_t resolv_servers(uint32_t fallback, uint32_t *out, uint32_t max);

#endif
