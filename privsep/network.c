/*
 * See network.h. The bridge and the rule set are created when the first VM
 * needs them and removed with the last, so that an idle banger leaves the
 * host's network as it found it.
 */
#include "privsep/network.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>

#include "privsep/log.h"
#include "privsep/nft.h"
#include "privsep/path.h"
#include "privsep/util.h"

#define FORWARD_RECORD "forwarding"

/* How long what the host lets out is not looked at again. */
enum { LET_OUT_MS = 1000 };

int
network_open(struct network *network, const struct config *cfg, int state_dir)
{
	_cleanup_close_ int fd = -1;
	int r;

	network->cfg = cfg;
	network->state_dir = state_dir;
	r = nl_open(&network->route, NETLINK_ROUTE);
	if (r == 0)
		r = nl_open(&network->filter, NETLINK_NETFILTER);
	if (r < 0)
		return r;
	fd = path_open(state_dir, FORWARD_RECORD, O_RDONLY, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = read_full(fd, &network->forward, sizeof(network->forward));
	if (r < 0 && r != -EPIPE)
		return r;
	if (r < 0 || forward_check(&network->forward) < 0) {
		log_warn("forwarding record is not ours, ignored");
		memset(&network->forward, 0, sizeof(network->forward));
	}
	return 0;
}

static int
save_forward(const struct network *network)
{
	return path_replace_file(network->state_dir, FORWARD_RECORD,
	    &network->forward, sizeof(network->forward));
}

static struct nft_guest
guest_of(const struct vm *vm)
{
	struct nft_guest guest = { .ipv4 = vm->ipv4, .nat = vm->nat };

	vm_tap_name(vm->id, guest.tap);
	vm_mac(vm->ipv4, guest.mac);
	return guest;
}

/* The rules anew, with every VM of TABLE: what was flushed is back. */
static int
ensure_rules(struct network *network, const struct vm_table *table)
{
	const struct nft_net net = { .bridge = network->cfg->bridge_name,
		.gateway = network->net.addr };
	_cleanup_free_ struct nft_guest *guests = calloc(table->max,
	    sizeof(*guests));
	size_t count = 0;
	uint32_t i;

	if (guests == NULL)
		return -ENOMEM;
	for (i = 0; i < table->max; i++)
		if (table->vms[i].id != 0)
			guests[count++] = guest_of(&table->vms[i]);
	return nft_ensure(&network->filter, &net, guests, count,
	    &network->forward);
}

/* Whether any VM of TABLE reaches the world. */
static bool
any_nat(const struct vm_table *table)
{
	uint32_t i;

	for (i = 0; i < table->max; i++)
		if (table->vms[i].id != 0 && table->vms[i].nat)
			return true;
	return false;
}

/* What is between the bridge and the world, and is not about a certain VM. */
static int
let_out(struct network *network)
{
	const char *bridge = network->cfg->bridge_name;
	const struct forward_state before = network->forward;
	struct uplinks uplinks;
	int r = forward_enable(&network->route, bridge, &network->forward,
	    &uplinks);
	/* Also what was changed before it failed. */
	int saved = memcmp(&before, &network->forward, sizeof(before)) == 0 ?
	    0 : save_forward(network);

	if (r == 0)
		r = saved;
	if (r == 0)
		r = nft_uplinks_set(&network->filter, bridge,
		    &network->forward);
	/* Other tools' chains, as they are now. */
	if (r == 0)
		r = nft_foreign_set(&network->filter, bridge, &uplinks);
	network->let_out_ms = r == 0 ? monotonic_ms() : 0;
	return r;
}

int
network_ensure(struct network *network, const struct vm_table *table)
{
	struct ipv4_net net = { network->cfg->gateway, network->cfg->prefix };
	int r = bridge_ensure(&network->route, network->cfg->bridge_name, &net,
	    network->cfg->subnet_fixed);

	if (r < 0)
		return r;
	network->net = net;
	r = ensure_rules(network, table);
	if (r == 0 && any_nat(table))
		r = let_out(network);
	network->ready = r == 0;
	return r;
}

int
network_add(struct network *network, const struct vm_table *table,
    struct vm *vm)
{
	char tap[LINK_NAME_BYTES];
	struct tap_spec spec = {
		.name = tap,
		.bridge = network->cfg->bridge_name,
		.uid = vm_uid(table, vm),
		.gid = vm_uid(table, vm),
	};
	_cleanup_close_ int fd = -1;
	struct nft_guest guest;
	int r;

	vm_tap_name(vm->id, tap);
	vm_mac(vm->ipv4, spec.mac);
	fd = tap_create(&network->route, &spec);
	if (fd < 0)
		return fd;
	guest = guest_of(vm);
	r = nft_guest_add(&network->filter, spec.bridge, &guest);
	if (r < 0)
		return r;
	vm->tap_fd = steal_fd(&fd);
	return 0;
}

int
network_remove(struct network *network, struct vm *vm)
{
	const char *bridge = network->cfg->bridge_name;
	const struct nft_guest guest = guest_of(vm);
	int r, filter;

	close_fdp(&vm->tap_fd);
	filter = nft_guest_del(&network->filter, bridge, &guest);
	r = tap_delete(&network->route, guest.tap, bridge);
	return r < 0 ? r : filter;
}

int
network_nat(struct network *network, struct vm *vm, bool enabled)
{
	const char *bridge = network->cfg->bridge_name;
	int r = 0;

	/* A start has just ensured it. */
	if (enabled && monotonic_ms() - network->let_out_ms > LET_OUT_MS)
		r = let_out(network);
	if (r == 0)
		r = nft_nat_set(&network->filter, bridge, vm->ipv4, enabled);
	if (r == 0)
		vm->nat = enabled;
	return r;
}

int
network_stats(struct network *network, const struct vm *vm,
    struct link_stats *out)
{
	char tap[LINK_NAME_BYTES];

	vm_tap_name(vm->id, tap);
	return tap_stats(&network->route, tap, network->cfg->bridge_name, out);
}

/* tap_list's callback: the name of one tap, deleted outside of the dump. */
static int
keep_name(const struct link_info *link, void *arg)
{
	char *name = arg;

	if (link == NULL)
		name[0] = '\0';
	else
		memcpy(name, link->name, LINK_NAME_BYTES);
	return 0;
}

/* Whether the step WHAT of taking away has failed with R; it is logged then. */
static bool
left(int r, const char *what)
{
	if (r < 0)
		log_warn("%s: %s", what, strerror(-r));
	return r < 0;
}

void
network_close(struct network *network)
{
	const char *bridge = network->cfg->bridge_name;
	char tap[LINK_NAME_BYTES];
	bool any = false;
	int r = 0, tries;

	for (tries = 0; r == 0 && tries < 1024; tries++) {
		tap[0] = '\0';
		r = tap_list(&network->route, bridge, keep_name, tap);
		if (r < 0 || tap[0] == '\0')
			break;
		r = tap_delete(&network->route, tap, bridge);
	}
	any |= left(r, "taps");
	r = forward_restore(&network->route, &network->forward);
	any |= left(r, "forwarding");
	if (r == 0)
		(void)unlinkat(network->state_dir, FORWARD_RECORD, 0);
	any |= left(nft_foreign_set(&network->filter, bridge, NULL),
	    "rules in chains of others");
	any |= left(nft_remove(&network->filter, bridge), "rules");
	r = bridge_remove(&network->route, bridge);
	any |= left(r == -EEXIST ? 0 : r, bridge);
	/* Then it is tried again. */
	network->ready = any;
	network->let_out_ms = 0;
}
