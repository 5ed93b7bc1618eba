#include "fetch/registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "image/errmsg.h"

enum { BACKOFF_MS = 500, BACKOFF_MAX_S = 30, TOKEN_ANSWER = 64 << 10 };

#define HUB "docker.io"
#define HUB_HOST "registry-1.docker.io"

int
registry_fail(struct registry *r, int error, const char *fmt, ...)
{
	char text[REGISTRY_ERR];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return errmsg(r->err, sizeof(r->err), error, "%s", text);
}

int
registry_url(const struct registry *r, const char *kind, const char *what,
    char url[REGISTRY_URL])
{
	const char *host = strcmp(r->ref.host, HUB) == 0 ? HUB_HOST :
	    r->ref.host;

	return format(url, REGISTRY_URL, "%s://%s/v2/%s/%s/%s",
	    r->http.plain ? "http" : "https", host, r->ref.path, kind, what);
}

const struct http_auth *
registry_auth(const struct registry *r, struct http_auth *auth)
{
	*auth = (struct http_auth){ .bearer = r->bearer };
	if (r->bearer == NULL && !r->basic)
		return NULL;
	if (r->bearer == NULL) {
		auth->user = r->user;
		auth->password = r->secret;
	}
	return auth;
}

int
registry_backoff(const struct transfer *t, unsigned int try)
{
	long seconds = t->retry_after_s;

	if (t->code == CURLE_OK && seconds > 0)
		return (int)(seconds < BACKOFF_MAX_S ? seconds :
		    BACKOFF_MAX_S) * 1000;
	return BACKOFF_MS << (try - 1);
}

void
registry_free(struct registry *r)
{
	if (r->bearer != NULL)
		explicit_bzero(r->bearer, strlen(r->bearer));
	free(r->bearer);
	r->bearer = NULL;
}

/* ---- one answer in memory ---- */

struct answer {
	struct buf *body;
	size_t limit;
	bool too_long;
};

static bool
take(void *arg, const char *bytes, size_t len)
{
	struct answer *a = arg;

	a->too_long = a->body->len + len > a->limit;
	return !a->too_long && buf_append(a->body, bytes, len) == 0;
}

/* One try. 0 when there was an answer, in T; or -errno with a line. */
static int
try_once(struct registry *r, struct transfer *t, const char *url,
    const char *accept, const struct http_auth *auth, const char *form,
    struct answer *answer)
{
	int error;

	buf_clear(answer->body);
	t->sink = take;
	t->arg = answer;
	error = transfer_start(&r->http, t, url, accept, auth, form, 0,
	    HTTP_SMALL_S);
	while (error == 0 && !t->ended)
		error = http_turn(&r->http, HTTP_STALL_S * 1000);
	transfer_end(&r->http, t);
	if (error == -ENOMEM)
		return registry_fail(r, error, "out of memory");
	if (error == 0 && answer->too_long)
		return registry_fail(r, -EBADMSG, "%s: the answer is longer than %zu "
		    "bytes", r->ref.host, answer->limit);
	return error < 0 ? registry_fail(r, error, "%s", strerror(-error)) : 0;
}

static bool
succeeded(const struct transfer *t)
{
	return t->code == CURLE_OK && t->status == 200;
}

/* Waits before the next try, with an eye on the leash. 0 or -ECANCELED. */
static int
wait_for(struct registry *r, int ms)
{
	int64_t until = monotonic_ms() + ms;
	int error = 0;

	while (error == 0 && monotonic_ms() < until)
		error = http_turn(&r->http, (int)(until - monotonic_ms()));
	return error < 0 ? registry_fail(r, error, "%s", strerror(-error)) : 0;
}

static int
fail_transfer(struct registry *r, const struct transfer *t)
{
	char why[REGISTRY_ERR];

	return registry_fail(r, t->status == 404 ? -ENOENT : t->status == 401 ||
	    t->status == 403 ? -EACCES : -EIO, "%s: %s%s", r->ref.host,
	    transfer_why(t, why, sizeof(why)),
	    t->code == CURLE_SSL_CONNECT_ERROR && r->ref.path[0] != '\0' ?
	    "; if it speaks plain HTTP, say --plain-http" : "");
}

/* Tries up to REGISTRY_TRIES times, waiting in between. 0, or -errno. */
static int
try_often(struct registry *r, struct transfer *t, const char *url,
    const char *accept, const struct http_auth *auth, const char *form,
    struct answer *answer)
{
	unsigned int try;
	int error;

	for (try = 1;; try++) {
		error = try_once(r, t, url, accept, auth, form, answer);
		if (error < 0 || !transfer_is_transient(t) ||
		    try == REGISTRY_TRIES)
			return error;
		error = wait_for(r, registry_backoff(t, try));
		if (error < 0)
			return error;
	}
}

/* ---- being let in ---- */

/* Parameter NAME="…" of a challenge (RFC 9110, 11.6.1). */
static int
parameter(const char *challenge, const char *name, char *out, size_t size)
{
	const char *at = challenge;
	size_t len = strlen(name), n;

	while ((at = strcasestr(at, name)) != NULL) {
		if ((at == challenge || strchr(" ,", at[-1]) != NULL) &&
		    strncmp(at + len, "=\"", 2) == 0)
			break;
		at += len;
	}
	if (at == NULL)
		return -ENOENT;
	at += len + 2;
	n = strcspn(at, "\"");
	return at[n] == '"' ? format(out, size, "%.*s", (int)n, at) : -EINVAL;
}

static int
append_escaped(struct buf *to, const char *key, const char *value)
{
	char *text = curl_easy_escape(NULL, value, 0);

	if (text == NULL)
		return -ENOMEM;
	buf_printf(to, "%s%s", key, text);
	curl_free(text);
	return 0;
}

/* The token out of the answer to a request for one. */
static int
keep_token(struct registry *r, const struct buf *body)
{
	_cleanup_json_ cJSON *tree = json_parse(body->data, body->len);
	const char *token = cJSON_GetStringValue(
	    cJSON_GetObjectItemCaseSensitive(tree, "token"));

	if (token == NULL)
		token = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
		    tree, "access_token"));
	if (token == NULL || token[0] == '\0' ||
	    strlen(token) > REGISTRY_TOKEN ||
	    token[strcspn(token, "\r\n \t")] != '\0')
		return registry_fail(r, -EBADMSG, "%s: its token server gave no token",
		    r->ref.host);
	registry_free(r);
	r->bearer = strdup(token);
	return r->bearer != NULL ? 0 : registry_fail(r, -ENOMEM, "out of memory");
}

/* Asks REALM for a token for pulling from the reference's repository. */
static int
get_token(struct registry *r, const char *realm, const char *service)
{
	_cleanup_buf_ struct buf body = BUF_INIT(TOKEN_ANSWER);
	_cleanup_buf_ struct buf url = BUF_INIT(8192);
	_cleanup_buf_ struct buf form = BUF_INIT((size_t)2 * REGISTRY_TOKEN);
	char scope[REFERENCE_PATH + 32];
	struct http_auth auth = { .user = r->user, .password = r->secret };
	struct answer answer = { .body = &body, .limit = TOKEN_ANSWER };
	struct transfer t = { .easy = NULL };
	struct buf *to = r->identity ? &form : &url;
	int error;

	if (strncmp(realm, "https://", 8) != 0 &&
	    !(r->http.plain && strncmp(realm, "http://", 7) == 0))
		return registry_fail(r, -EACCES, "%s: its token server is not reached "
		    "by HTTPS: %.100s", r->ref.host, realm);
	(void)format(scope, sizeof(scope), "repository:%s:pull", r->ref.path);
	buf_puts(&url, realm);
	if (!r->identity)
		buf_puts(&url, strchr(realm, '?') != NULL ? "&" : "?");
	error = append_escaped(to, "service=", service);
	if (error == 0)
		error = append_escaped(to, "&scope=", scope);
	if (error == 0 && r->identity) {
		buf_puts(&form, "&grant_type=refresh_token&client_id=banger");
		error = append_escaped(&form, "&refresh_token=", r->secret);
	}
	buf_append(&url, "", 1);
	buf_append(&form, "", 1);
	if (error < 0 || url.failed || form.failed)
		return registry_fail(r, -ENOMEM, "out of memory");
	error = try_often(r, &t, url.data, NULL, r->identity ? NULL : &auth,
	    r->identity ? form.data : NULL, &answer);
	explicit_bzero(form.data, form.len);
	if (error < 0)
		return error;
	return succeeded(&t) ? keep_token(r, &body) : fail_transfer(r, &t);
}

int
registry_answer(struct registry *r, const struct transfer *t)
{
	char realm[HTTP_CHALLENGE], service[HTTP_CHALLENGE] = "";

	if (r->ref.path[0] == '\0')
		return registry_fail(r, -EACCES, "%s: it wants credentials "
		    "(HTTP 401), which a file is fetched without", r->ref.host);
	if (strncasecmp(t->challenge, "bearer ", 7) == 0) {
		if (parameter(t->challenge, "realm", realm, sizeof(realm)) < 0)
			return registry_fail(r, -EBADMSG, "%s: it does not say who "
			    "gives tokens for it", r->ref.host);
		(void)parameter(t->challenge, "service", service,
		    sizeof(service));
		return get_token(r, realm, service);
	}
	if (r->basic || r->user[0] == '\0' || r->identity ||
	    strncasecmp(t->challenge, "basic", 5) != 0)
		return registry_fail(r, -EACCES, "%s: it wants %s credentials (HTTP "
		    "401); `docker login` keeps them", r->ref.host,
		    r->basic ? "other" : "");
	r->basic = true;
	return 0;
}

int
registry_get(struct registry *r, const char *url, const char *accept,
    struct buf *body, size_t limit)
{
	struct answer answer = { .body = body, .limit = limit };
	struct http_auth auth;
	struct transfer t = { .easy = NULL };
	int asked, error = 0;

	for (asked = 0; error == 0 && asked < 2; asked++) {
		error = try_often(r, &t, url, accept, registry_auth(r, &auth),
		    NULL, &answer);
		if (error < 0 || succeeded(&t))
			return error;
		if (t.code != CURLE_OK || t.status != 401 || asked == 1)
			return fail_transfer(r, &t);
		error = registry_answer(r, &t);
	}
	return error;
}
