/*
 * Whether a command of this user's would get through to a worker, and whether
 * that worker has what a VM is made of.
 */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "client/connect.h"
#include "client/doctor.h"
#include "version.h"

static void
user_name(uid_t uid, char out[NAME_BYTES])
{
	const struct passwd *pw = getpwuid(uid);

	if (pw != NULL)
		snprintf(out, NAME_BYTES, "%s", pw->pw_name);
	else
		snprintf(out, NAME_BYTES, "uid %u", (unsigned int)uid);
}

/* A daemon answered: is it of this version, whose is it? */
static void
describe(struct patient *patient, struct check *check, const cJSON *hello)
{
	const char *version = field_text(hello, "version");
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	char who[NAME_BYTES] = "?", owner[NAME_BYTES];

	if (getsockopt(patient->api.fd, SOL_SOCKET, SO_PEERCRED, &peer,
	    &len) == 0)
		user_name(peer.uid, who);
	user_name(patient->cfg->owner_uid, owner);
	check_found(check, VERDICT_OK, "%s %.32s runs as %s (pid %d); root and "
	    "%s may use it",
	    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(hello, "embedded")) ?
	    "an embedded daemon" : "daemon",
	    version != NULL ? version : "of an unknown version", who,
	    (int)peer.pid, patient->cfg->owner_uid == 0 ? "nobody else" :
	    owner);
	if (version != NULL && strcmp(version, BANGER_VERSION) == 0)
		return;
	check->verdict = VERDICT_WARN;
	check_remedy(check, "this is banger " BANGER_VERSION ": `banger system "
	    "install` it, or restart the daemon; VMs go on meanwhile");
}

/* Root's way without a daemon: the pair that every command would start. */
static void
try_embedded(struct patient *patient, struct check *check)
{
	char err[API_TEXT_MAX];

	if (geteuid() != 0) {
		check_found(check, VERDICT_FAIL, "no daemon listens on %s/"
		    API_SOCKET, patient->cfg->runtime_dir);
		check_remedy(check, "use `sudo banger ...`, or have a service: "
		    "`sudo banger system install --owner USER`");
		return;
	}
	if (client_open(&patient->api, patient->cfg, patient->config_file,
	    err) < 0) {
		check_found(check, VERDICT_FAIL, "%.240s", err);
		check_remedy(check, "the reason is above, or in "
		    "%s/private/daemon.log", patient->cfg->runtime_dir);
		return;
	}
	check_found(check, VERDICT_OK, "none runs; root's commands bring their "
	    "own, which works");
}

void
probe_daemon(struct patient *patient, struct check *check)
{
	struct api_reply hello _cleanup_reply_ = { 0 };
	int r = client_greet(&patient->api, patient->cfg, &hello);

	if (r == 0 && hello.result != NULL) {
		describe(patient, check, hello.result);
	} else if (r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET) {
		try_embedded(patient, check);
	} else {
		api_close(&patient->api);
		check_found(check, VERDICT_FAIL, "%.240s", hello.message);
		check_remedy(check, "use `sudo banger ...`, or set owner in %s",
		    patient->config_name);
	}
}

/*
 * Whether the object of KIND called NAME is in the store, which SOURCE makes;
 * LOOK, which may be NULL, has a look at it then.
 */
static void
probe_object(struct patient *patient, struct check *check, const char *kind,
    const char *name, const char *source,
    void (*look)(struct check *check, const char *name, const cJSON *object))
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	char op[32];
	int r;

	if (patient->api.fd < 0) {
		check_found(check, VERDICT_WARN, "%s: nobody to ask without a "
		    "daemon", name);
		return;
	}
	(void)format(op, sizeof(op), "%s.show", kind);
	api_request(&request, op, kind, name);
	r = api_call(&patient->api, &request, -1, 0, NULL, NULL, &reply);
	if (r == 0 && reply.result != NULL) {
		check_found(check, VERDICT_OK, "%s is here", name);
		if (look != NULL)
			look(check, name, cJSON_GetObjectItemCaseSensitive(
			    reply.result, kind));
		return;
	}
	check_found(check, VERDICT_FAIL, "%.240s", reply.message);
	if (strcmp(reply.code, "not-found") == 0)
		check_remedy(check, "banger %s import --name %s %s", kind, name,
		    source);
}

static void
look_at_kernel(struct check *check, const char *name, const cJSON *kernel)
{
	if (!cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(kernel, "vsock")))
		return;
	check_found(check, VERDICT_WARN, "%s is here, but without vsock: it "
	    "boots under QEMU, not under Firecracker", name);
	check_remedy(check, "import a kernel that has "
	    "vmw_vsock_virtio_transport, as a module or built in");
}

void
probe_kernel_object(struct patient *patient, struct check *check)
{
	probe_object(patient, check, "kernel", patient->cfg->default_kernel,
	    "linux-image-....deb", look_at_kernel);
}

void
probe_image(struct patient *patient, struct check *check)
{
	probe_object(patient, check, "image", patient->cfg->default_image,
	    "ROOTFS.tar", NULL);
}
