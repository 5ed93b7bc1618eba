#include "client/pull.h"

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
	const char *proxy = NULL, *no_proxy = NULL;
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
pull_image(struct client *client, const struct pull_options *options,
    struct api_reply *reply)
{
	struct buf request _cleanup_buf_ = API_REQUEST;
	_cleanup_close_ int ca = -1;
	char err[API_TEXT_MAX] = "";
	struct reference ref;
	int r;

	if (reference_parse(options->reference, &ref) < 0) {
		complain("%s: %s: not the name of an image in a registry "
		    "(debian, debian:bookworm, ghcr.io/a/b@sha256:...)",
		    client->command->name, options->reference);
		return -EINVAL;
	}
	api_request(&request, "image.pull", "reference", options->reference);
	if (options->name != NULL)
		json_text(&request, "name", options->name);
	r = ca = open_authorities(options->ca, options->plain, err);
	if (r >= 0)
		r = add_access(ref.host, options->plain, &request, err);
	if (r < 0) {
		complain("%s: %s", client->command->name, err);
		return r;
	}
	r = client_call_progress(client, &request, ca, 0, reply);
	explicit_bzero(request.data, request.len);
	return r;
}

int
pull_missing(struct client *client, const char *image)
{
	const struct pull_options options = { .reference = image };
	struct api_reply shown _cleanup_reply_ = { 0 };
	struct api_reply pulled _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	int r;

	if (image == NULL || strpbrk(image, ":/@") == NULL)
		return 0;
	api_request(&request, "image.show", "image", image);
	r = api_call(&client->api, &request, -1, 0, NULL, NULL, &shown);
	if (r < 0)
		return client_outcome(r, &shown);
	return strcmp(shown.code, "not-found") == 0 ?
	    pull_image(client, &options, &pulled) : 0;
}

int
cmd_image_pull(struct client *client, const struct args *args)
{
	const struct pull_options options = {
		.reference = args->words[0],
		.name = args_value(args, FLAG_NAME),
		.ca = args_value(args, FLAG_CA),
		.plain = args_has(args, FLAG_PLAIN_HTTP),
	};
	struct api_reply reply _cleanup_reply_ = { 0 };

	if (client_connect(client) < 0 ||
	    pull_image(client, &options, &reply) < 0)
		return EXIT_FAILED;
	return objects_done(client, reply.result, &image_kind, "pulled");
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
