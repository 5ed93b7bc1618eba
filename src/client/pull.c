/*
 * `image pull`: what the user's files and environment say about the registry goes
 * with the request; all else is the daemon's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/reference.h"
#include "client/ca_bundle.h"
#include "client/objects.h"
#include "client/proxy.h"
#include "client/registry_auth.h"
#include "client/text.h"

/* Adds who we are to the registry HOST, and how it is reached. 0 or -errno. */
static int
add_access(const char *host, bool plain, struct buf *request,
    char err[API_TEXT_MAX])
{
	struct registry_auth auth _cleanup_auth_ = { .user = "" };
	const char *proxy, *no_proxy;
	int r = registry_auth_find(host, &auth, err);

	if (r == 0)
		r = proxy_find(!plain, &proxy, &no_proxy, err);
	if (r < 0)
		return r;
	if (auth.secret[0] != '\0') {
		json_text(request, "user", auth.user);
		json_text(request, "secret", auth.secret);
		json_bool(request, "identity", auth.token);
	}
	if (proxy != NULL)
		json_text(request, "proxy", proxy);
	if (no_proxy != NULL)
		json_text(request, "no_proxy", no_proxy);
	if (plain)
		json_bool(request, "plain", true);
	return 0;
}

/* Plain HTTP needs no authorities, where there may be none. */
static int
open_authorities(const char *path, bool plain, char err[API_TEXT_MAX])
{
	return plain && path == NULL ? open("/dev/null", O_RDONLY | O_CLOEXEC) :
	    ca_bundle_open(path, err);
}

int
cmd_image_pull(struct client *client, const struct args *args)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	const char *name = args_value(args, FLAG_NAME);
	bool plain = args_has(args, FLAG_PLAIN_HTTP);
	_cleanup_close_ int ca = -1;
	char err[API_TEXT_MAX] = "";
	struct reference ref;
	int r;

	if (reference_parse(args->words[0], &ref) < 0) {
		complain("image pull: %s: not the name of an image in a registry "
		    "(debian, debian:bookworm, ghcr.io/a/b@sha256:...)",
		    args->words[0]);
		return EXIT_FAILED;
	}
	api_request(&request, "image.pull", "reference", args->words[0]);
	if (name != NULL)
		json_text(&request, "name", name);
	ca = open_authorities(args_value(args, FLAG_CA), plain, err);
	if (ca < 0 || add_access(ref.host, plain, &request, err) < 0) {
		complain("image pull: %s", err);
		return EXIT_FAILED;
	}
	if (client_connect(client) < 0)
		return EXIT_FAILED;
	r = client_call_progress(client, &request, ca, 0, &reply);
	explicit_bzero(request.data, request.len);
	return r < 0 ? EXIT_FAILED :
	    objects_done(client, reply.result, &image_kind, "pulled");
}

int
cmd_image_cache_prune(struct client *client, const struct args *args)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;

	(void)args;
	if (client_connect(client) < 0)
		return EXIT_FAILED;
	api_request(&request, "image.prune_cache", NULL, NULL);
	if (client_call(client, &request, -1, 0, &reply) < 0)
		return EXIT_FAILED;
	printf("freed %llu MiB\n", (unsigned long long)(field_number(
	    reply.result, "freed_bytes") >> 20));
	return client_result(client, fflush(stdout) != 0 ? -EIO : 0);
}
