#include "client/pull.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/reference.h"
#include "base/url.h"
#include "client/ca_bundle.h"
#include "client/catalog_open.h"
#include "client/proxy.h"
#include "client/registry_auth.h"
#include "client/text.h"
#include "image/errmsg.h"

/* What is to be pulled, and how. */
struct pull_options {
	const struct kind *kind;
	const char *name;		/* here; NULL: made of the reference */
	struct catalog_entry from;	/* its name is of no interest */
	const char *ca;			/* NULL: whom the host trusts */
	bool plain;			/* HTTP, with a registry */
};

/* Adds who we are to the registry HOST. 0 or -errno. */
static int
add_login(const char *host, struct buf *request, char err[API_TEXT_MAX])
{
	struct registry_auth auth _cleanup_auth_ = { .user = "" };
	int r = registry_auth_find(host, &auth, err);

	if (r < 0 || auth.secret[0] == '\0')
		return r;
	json_text(request, "user", auth.user);
	json_text(request, "secret", auth.secret);
	json_bool(request, "identity", auth.token);
	return 0;
}

/* Adds by which proxy it is reached. 0 or -errno. */
static int
add_proxy(bool plain, struct buf *request, char err[API_TEXT_MAX])
{
	const char *proxy = NULL, *no_proxy = NULL;
	int r = proxy_find(!plain, &proxy, &no_proxy, err);

	if (r < 0)
		return r;
	if (proxy != NULL)
		json_text(request, "proxy", proxy);
	if (no_proxy != NULL)
		json_text(request, "no_proxy", no_proxy);
	return 0;
}

/* Plain HTTP needs no authorities, where there may be none. */
static int
open_authorities(const char *path, bool plain, char err[API_TEXT_MAX])
{
	return plain && path == NULL ? open("/dev/null", O_RDONLY | O_CLOEXEC) :
	    ca_bundle_open(path, err);
}

/* Adds what is to be pulled, and how. 0 or -errno. */
static int
add_source(const struct pull_options *options, struct buf *request,
    bool *plain, char err[API_TEXT_MAX])
{
	const struct catalog_entry *from = &options->from;
	struct reference ref;
	struct url url;
	int r;

	if (from->url != NULL) {
		json_text(request, "url", from->url);
		json_number(request, "size", from->size_bytes);
		json_text(request, "sha256", from->sha256);
		r = url_parse(from->url, &url);
		*plain = r == 0 && url.plain;
		return r < 0 ? r : add_proxy(*plain, request, err);
	}
	if (reference_parse(from->reference, &ref) < 0)
		return errmsg(err, API_TEXT_MAX, -EINVAL, "%s: not the name of "
		    "an image in a registry (debian, debian:bookworm, "
		    "ghcr.io/a/b@sha256:...)", from->reference);
	json_text(request, "reference", from->reference);
	*plain = options->plain;
	if (*plain)
		json_bool(request, "plain", true);
	r = add_login(ref.host, request, err);
	return r < 0 ? r : add_proxy(*plain, request, err);
}

/*
 * Has it pulled. What the daemon says is the caller's to tell (client_outcome);
 * free *REPLY in every case. 0, or -errno with reply->message.
 */
static int
pull(struct client *client, const struct pull_options *options,
    struct api_reply *reply)
{
	struct buf request _cleanup_buf_ = API_REQUEST;
	_cleanup_close_ int ca = -1;
	char op[32], err[API_TEXT_MAX] = "";
	bool plain = false;
	int r;

	(void)format(op, sizeof(op), "%s.pull", options->kind->key);
	api_request(&request, op, options->name != NULL ? "name" : NULL,
	    options->name);
	r = add_source(options, &request, &plain, err);
	if (r == 0 && (ca = open_authorities(options->ca, plain, err)) < 0)
		r = ca;
	if (r == 0)
		r = client_try(client, &request, ca, 0, reply);
	else
		(void)errmsg(reply->message, sizeof(reply->message), r,
		    "%s: %s", client->command->name, err);
	if (request.data != NULL)
		explicit_bzero(request.data, request.len);
	return r;
}

int
pull_text(struct client *client, const char *url, const char *ca,
    struct buf *out)
{
	struct buf request _cleanup_buf_ = API_REQUEST;
	struct api_reply reply _cleanup_reply_ = { 0 };
	_cleanup_close_ int authorities = -1;
	int r;

	api_request(&request, "catalog.fetch", "url", url);
	r = add_proxy(false, &request, reply.message);
	if (r == 0)
		r = authorities = ca_bundle_open(ca, reply.message);
	if (r >= 0)
		r = api_call(&client->api, &request, authorities, 1, NULL,
		    NULL, &reply);
	if (r == 0 && reply.result == NULL)
		r = -EREMOTEIO;
	if (r == 0 && (r = buf_read_all(out, reply.fds[0])) < 0)
		(void)errmsg(reply.message, sizeof(reply.message), r, "%s",
		    strerror(-r));
	if (r < 0 && r != -ECANCELED)
		complain("%s: %s", url, reply.message);
	return r;
}

/* Whether it is there: 1, 0, or -errno after a complaint. */
static int
is_there(struct client *client, const struct kind *kind, const char *name)
{
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	char op[32];
	int r;

	(void)format(op, sizeof(op), "%s.show", kind->key);
	api_request(&request, op, kind->key, name);
	r = api_call(&client->api, &request, -1, 0, NULL, NULL, &reply);
	if (r < 0)
		return client_outcome(r, &reply);
	return strcmp(reply.code, "not-found") != 0;
}

/* Those that a registry alone can know: with a tag, a digest or a path. */
static bool
is_reference(const struct kind *kind, const char *name)
{
	return kind == &image_kind && strpbrk(name, ":/@") != NULL;
}

/*
 * Where NAME is, in OPTIONS, by the catalogue in *CATALOG, which is loaded if need
 * be and the caller's to free. 0, -ENOENT when nobody knows it, or another -errno
 * after a complaint.
 */
static int
look_up(struct client *client, const struct args *args, const char *name,
    struct catalog *catalog, struct pull_options *options)
{
	int r;

	*catalog = (struct catalog){ .tree = NULL };
	if (is_reference(options->kind, name)) {
		options->from = (struct catalog_entry){ .reference = name };
		return 0;
	}
	r = catalog_open(client, args, catalog);
	if (r < 0)
		return r == -ENOENT ? -EIO : r;
	options->name = name;
	return catalog_find(options->kind == &image_kind ? catalog->images :
	    catalog->kernels, name, &options->from);
}

int
pull_missing(struct client *client, const struct kind *kind, const char *name)
{
	struct catalog catalog _cleanup_catalog_ = { 0 };
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct pull_options options = { .kind = kind };
	int r = is_there(client, kind, name);

	if (r != 0)
		return r < 0 ? r : 0;
	r = look_up(client, NULL, name, &catalog, &options);
	if (r < 0)
		return r;
	r = pull(client, &options, &reply);
	/* Somebody else was faster. */
	if (r == 0 && strcmp(reply.code, "exists") == 0)
		return 1;
	r = client_outcome(r, &reply);
	return r == 0 ? 1 : r == -ENOENT ? -EIO : r;
}

/* `KIND pull NAME`, and what a catalogue does not know is ELSEWHERE, or nowhere. */
static int
pull_named(struct client *client, const struct args *args, const char *name,
    struct pull_options *options, const char *elsewhere)
{
	struct catalog catalog _cleanup_catalog_ = { 0 };
	struct api_reply reply _cleanup_reply_ = { 0 };
	int r = look_up(client, args, name, &catalog, options);

	if (r == -ENOENT && elsewhere != NULL) {
		options->from = (struct catalog_entry){
			.reference = elsewhere };
		options->name = NULL;
		r = 0;
	}
	if (r == -ENOENT)
		complain("%s: %s: not in the catalog; see `banger %s catalog`",
		    client->command->name, name, options->kind->key);
	if (r < 0)
		return EXIT_FAILED;
	if (args_has(args, FLAG_NAME))
		options->name = args_value(args, FLAG_NAME);
	if (client_outcome(pull(client, options, &reply), &reply) < 0)
		return EXIT_FAILED;
	return objects_done(client, reply.result, options->kind, "pulled");
}

int
cmd_image_pull(struct client *client, const struct args *args)
{
	struct pull_options options = { .kind = &image_kind,
		.ca = args_value(args, FLAG_CA),
		.plain = args_has(args, FLAG_PLAIN_HTTP) };

	if (client_connect(client) < 0)
		return EXIT_FAILED;
	return pull_named(client, args, args->words[0], &options,
	    args->words[0]);
}

int
cmd_kernel_pull(struct client *client, const struct args *args)
{
	struct pull_options options = { .kind = &kernel_kind,
		.ca = args_value(args, FLAG_CA) };

	if (client_connect(client) < 0)
		return EXIT_FAILED;
	return pull_named(client, args, args->word_count > 0 ? args->words[0] :
	    client->config.default_kernel, &options, NULL);
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
