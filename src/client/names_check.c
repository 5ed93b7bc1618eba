/*
 * Whether NAME.vm is found on this host: not by looking at how it is set up,
 * of which there are many ways, but by asking for a VM that runs, as any
 * program would.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/doctor.h"

#define RESOLVED_SOCKET "/run/systemd/resolve/io.systemd.Resolve"

/* Result of OP without arguments in *REPLY; NULL when there is none. */
static const cJSON *
ask(struct patient *patient, const char *op, struct api_reply *reply)
{
	struct buf request _cleanup_buf_ = API_REQUEST;

	if (patient->api.fd < 0)
		return NULL;
	api_request(&request, op, NULL, NULL);
	return api_call(&patient->api, &request, -1, 0, NULL, NULL, reply) ==
	    0 ? reply->result : NULL;
}

/* A running VM of the list in RESULT, or NULL. */
static const cJSON *
running_vm(const cJSON *result)
{
	const cJSON *vms = cJSON_GetObjectItemCaseSensitive(result, "vms");
	const cJSON *vm;

	cJSON_ArrayForEach(vm, vms) {
		const char *state = field_text(vm, "state");

		if (state != NULL && strcmp(state, "running") == 0 &&
		    field_text(vm, "name") != NULL &&
		    field_text(vm, "ip") != NULL)
			return vm;
	}
	return NULL;
}

/* Whether this host's resolver says that NAME is at the address in IP. */
static bool
resolves(const char *name, const char *ip)
{
	const struct addrinfo hints = { .ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL, *ai;
	struct in_addr want;
	bool found = false;

	if (inet_pton(AF_INET, ip, &want) != 1 ||
	    getaddrinfo(name, NULL, &hints, &list) != 0)
		return false;
	for (ai = list; ai != NULL && !found; ai = ai->ai_next) {
		struct sockaddr_in addr;

		memcpy(&addr, ai->ai_addr, sizeof(addr));
		found = addr.sin_addr.s_addr == want.s_addr;
	}
	freeaddrinfo(list);
	return found;
}

static bool
resolved_runs(void)
{
	const struct sockaddr_un addr = { .sun_family = AF_UNIX,
		.sun_path = RESOLVED_SOCKET };
	_cleanup_close_ int sock = socket(AF_UNIX,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return sock >= 0 && connect(sock, (const struct sockaddr *)&addr,
	    sizeof(addr)) == 0;
}

/* Asks for VM, which the name server at SERVER knows. */
static void
try_name(struct check *check, const cJSON *vm, const char *server)
{
	const char *ip = field_text(vm, "ip");
	char name[NAME_BYTES + 4];

	(void)format(name, sizeof(name), "%.63s.vm", field_text(vm, "name"));
	if (resolves(name, ip)) {
		check_found(check, VERDICT_OK, "%s is %.15s on this host", name,
		    ip);
		return;
	}
	check_found(check, VERDICT_WARN, "%s is not found on this host, though "
	    "%.32s knows it", name, server);
	if (resolved_runs())
		check_remedy(check, "systemd-resolved runs: let /etc/resolv.conf "
		    "be a link to its stub-resolv.conf; see NAMES in banger(1)");
	else
		check_remedy(check, "tell this host's resolver to ask there for "
		    "*.vm; NAMES in banger(1) has it for the usual ones");
}

void
probe_names(struct patient *patient, struct check *check)
{
	struct api_reply version _cleanup_reply_ = { 0 };
	struct api_reply list _cleanup_reply_ = { 0 };
	const cJSON *result, *vm;
	const char *server;

	if (patient->cfg->dns_port == 0) {
		check_found(check, VERDICT_OK, "off, by dns_listen in %s",
		    patient->config_name);
		return;
	}
	result = ask(patient, "version", &version);
	if (result == NULL) {
		check_found(check, VERDICT_WARN, "nobody to ask without a "
		    "daemon");
		return;
	}
	server = field_text(result, "names");
	if (server == NULL) {
		check_found(check, VERDICT_WARN, "VMs have none: the daemon "
		    "could not listen where dns_listen says, its log tells "
		    "why");
		check_remedy(check, "set dns_listen in %s to a free loopback "
		    "address, or to \"off\"", patient->config_name);
		return;
	}
	vm = running_vm(ask(patient, "vm.list", &list));
	if (vm == NULL)
		check_found(check, VERDICT_OK, "%.32s answers for *.vm; no VM "
		    "runs that could be asked for", server);
	else
		try_name(check, vm, server);
}
