#include "fetch/http.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "version.h"

enum { POLL_MS = 500 };

int
http_open(struct http *http)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	http->multi = curl_multi_init();
	return http->multi != NULL ? 0 : -ENOMEM;
}

void
http_close(struct http *http)
{
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	http->multi = NULL;
}

static size_t
on_data(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	long status = 0;

	/* The body of an error is of no interest. */
	if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) !=
	    CURLE_OK || status / 100 != 2)
		return size * count;
	return t->sink(t->arg, bytes, size * count) ? size * count : 0;
}

/*
 * Keeps the challenge of a 401; there may be one for each way, in a header each.
 */
static size_t
on_header(char *bytes, size_t size, size_t count, void *arg)
{
	static const char name[] = "www-authenticate:";
	struct transfer *t = arg;
	size_t len = size * count, skip = sizeof(name) - 1;
	const char *value;

	if (len <= skip || strncasecmp(bytes, name, skip) != 0)
		return len;
	while (skip < len && bytes[skip] == ' ')
		skip++;
	value = bytes + skip;
	if (t->challenge[0] == '\0' ||
	    (len - skip > 6 && strncasecmp(value, "bearer", 6) == 0))
		snprintf(t->challenge, sizeof(t->challenge), "%.*s",
		    (int)strcspn(value, "\r\n"), value);
	return len;
}

/* CURLcode and the first error that a row of options gave. */
#define SET(option, value) do {						\
	if (code == CURLE_OK)						\
		code = curl_easy_setopt(t->easy, (option), (value));	\
} while (0)

static CURLcode
set_options(const struct http *http, struct transfer *t, const char *url,
    const char *form, uint64_t from)
{
	struct curl_blob ca = { http->ca, http->ca_len,
		CURL_BLOB_NOCOPY };
	CURLcode code = CURLE_OK;

	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, http->plain ? "http,https" : "https");
	/* HTTP was asked for with one host, not with where that may lead. */
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_CAINFO_BLOB, &ca);
	SET(CURLOPT_PROXY, http->proxy);
	SET(CURLOPT_NOPROXY, http->no_proxy);
	if (http->proxy[0] != '\0')
		SET(CURLOPT_PROXY_CAINFO_BLOB, &ca);
	SET(CURLOPT_USERAGENT, "banger/" BANGER_VERSION);
	SET(CURLOPT_FOLLOWLOCATION, 1L);
	SET(CURLOPT_MAXREDIRS, (long)HTTP_REDIRECTS);
	SET(CURLOPT_CONNECTTIMEOUT, (long)HTTP_CONNECT_S);
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(CURLOPT_LOW_SPEED_TIME, (long)HTTP_STALL_S);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_ERRORBUFFER, t->error);
	SET(CURLOPT_WRITEFUNCTION, on_data);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_HTTPHEADER, t->headers);
	if (form != NULL)
		SET(CURLOPT_COPYPOSTFIELDS, form);
	if (from > 0)
		SET(CURLOPT_RESUME_FROM_LARGE, (curl_off_t)from);
	return code;
}

/* These go to the host of the URL alone, not to where it redirects. */
static CURLcode
set_auth(struct transfer *t, const struct http_auth *auth)
{
	CURLcode code = CURLE_OK;

	if (auth == NULL)
		return code;
	if (auth->bearer != NULL) {
		SET(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
		SET(CURLOPT_XOAUTH2_BEARER, auth->bearer);
	} else if (auth->user != NULL && auth->user[0] != '\0') {
		SET(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		SET(CURLOPT_USERNAME, auth->user);
		SET(CURLOPT_PASSWORD, auth->password);
	}
	return code;
}

static int
set_accept(struct transfer *t, const char *accept)
{
	_cleanup_buf_ struct buf line = BUF_INIT(1024);

	if (accept == NULL)
		return 0;
	buf_printf(&line, "Accept: %s", accept);
	buf_append(&line, "", 1);
	t->headers = line.failed ? NULL : curl_slist_append(NULL, line.data);
	return t->headers != NULL ? 0 : -ENOMEM;
}

int
transfer_start(struct http *http, struct transfer *t, const char *url,
    const char *accept, const struct http_auth *auth, const char *form,
    uint64_t from, int limit_s)
{
	t->ended = false;
	t->status = 0;
	t->retry_after_s = 0;
	t->challenge[0] = t->error[0] = '\0';
	t->easy = curl_easy_init();
	if (t->easy == NULL || set_accept(t, accept) < 0 ||
	    set_options(http, t, url, form, from) != CURLE_OK ||
	    set_auth(t, auth) != CURLE_OK ||
	    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT, (long)limit_s) !=
	    CURLE_OK ||
	    curl_multi_add_handle(http->multi, t->easy) != CURLM_OK)
		return -ENOMEM;
	t->running = true;
	return 0;
}

void
transfer_end(struct http *http, struct transfer *t)
{
	if (t->running)
		curl_multi_remove_handle(http->multi, t->easy);
	t->running = false;
	if (t->easy != NULL)
		curl_easy_cleanup(t->easy);
	t->easy = NULL;
	curl_slist_free_all(t->headers);
	t->headers = NULL;
}

/* Notes the ends that libcurl tells. Whether there were any. */
static bool
take_ends(struct http *http)
{
	bool any = false;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(http->multi, &left)) != NULL) {
		struct transfer *t = NULL;
		curl_off_t after = 0;

		if (msg->msg != CURLMSG_DONE || curl_easy_getinfo(
		    msg->easy_handle, CURLINFO_PRIVATE, (char **)&t) !=
		    CURLE_OK)
			continue;
		t->ended = any = true;
		t->code = msg->data.result;
		(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE,
		    &t->status);
		if (curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after) ==
		    CURLE_OK)
			t->retry_after_s = (long)after;
	}
	return any;
}

int
http_turn(struct http *http, int limit_ms)
{
	struct curl_waitfd leash = { .fd = http->leash, .events = 0 };
	struct pollfd gone = { .fd = http->leash, .events = 0 };
	int64_t until = monotonic_ms() + limit_ms;
	int running;

	for (;;) {
		int64_t left = until - monotonic_ms();

		if (curl_multi_perform(http->multi, &running) != CURLM_OK)
			return -EIO;
		if (take_ends(http) || left <= 0)
			return 0;
		if (curl_multi_poll(http->multi, &leash, 1,
		    left < POLL_MS ? (int)left : POLL_MS, NULL) != CURLM_OK)
			return -EIO;
		if (poll(&gone, 1, 0) == 1)
			return -ECANCELED;
	}
}

bool
transfer_is_transient(const struct transfer *t)
{
	static const CURLcode may_pass[] = { CURLE_COULDNT_RESOLVE_HOST,
		CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT,
		CURLE_PARTIAL_FILE, CURLE_OPERATION_TIMEDOUT,
		CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR };
	size_t i;

	if (t->code == CURLE_OK)
		return t->status == 408 || t->status == 429 ||
		    t->status / 100 == 5;
	for (i = 0; i < ARRAY_SIZE(may_pass); i++)
		if (t->code == may_pass[i])
			return true;
	return false;
}

const char *
transfer_why(const struct transfer *t, char *text, size_t size)
{
	if (t->code == CURLE_SSL_CACERT_BADFILE ||
	    t->code == CURLE_SSL_CERTPROBLEM)
		snprintf(text, size, "what is to be trusted holds no "
		    "certificates in PEM");
	else if (t->code != CURLE_OK)
		snprintf(text, size, "%s", t->error[0] != '\0' ? t->error :
		    curl_easy_strerror(t->code));
	else if (t->status == 401 || t->status == 403)
		snprintf(text, size, "it wants other credentials (HTTP %ld)",
		    t->status);
	else if (t->status == 404)
		snprintf(text, size, "not found (HTTP 404)");
	else if (t->status == 429)
		snprintf(text, size, "too many requests (HTTP 429)");
	else
		snprintf(text, size, "HTTP %ld", t->status);
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}
