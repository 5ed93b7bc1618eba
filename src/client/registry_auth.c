#include "client/registry_auth.h"

#include <fcntl.h>
#include <limits.h>
#include <mbedtls/base64.h>
#include <string.h>
#include <sys/stat.h>

#include "base/reference.h"
#include "client/credential_helper.h"
#include "image/errmsg.h"

enum {
	AUTH_FILE_MAX = 1024 * 1024,		/* bytes */
	KEY_BYTES = REFERENCE_HOST + 16,
};

/* One look into one file. */
struct search {
	const char *host;
	const char *path;
	char key[KEY_BYTES];		/* under which it is looked for */
	struct registry_auth *out;
	char *err;			/* API_TEXT_MAX */
};

/*
 * Docker's file first: it defines the format, podman's programs read it too, and
 * CI systems write it. As each of the two has it, the variable that names a
 * place is taken instead of the usual one, not beside it: who sets it means
 * these credentials and no others.
 */
static const struct place {
	const char *variable, *below;
} places[][2] = {
	{ { "DOCKER_CONFIG", "/config.json" },
	    { "HOME", "/.docker/config.json" } },
	{ { "REGISTRY_AUTH_FILE", "" },
	    { "XDG_RUNTIME_DIR", "/containers/auth.json" } },
};

bool
registry_auth_given(const struct registry_auth *auth)
{
	return auth->token || auth->user[0] != '\0';
}

int
registry_auth_set(struct registry_auth *out, const char *user,
    const char *secret, bool token)
{
	registry_auth_clear(out);
	if ((token ? secret : user)[0] == '\0')
		return 0;
	if (format(out->user, sizeof(out->user), "%s", token ? "" : user) < 0 ||
	    format(out->secret, sizeof(out->secret), "%s", secret) < 0) {
		registry_auth_clear(out);
		return -EINVAL;
	}
	out->token = token;
	return 0;
}

void
registry_auth_clear(struct registry_auth *auth)
{
	explicit_bzero(auth, sizeof(*auth));
}

void
secret_buf_free(struct buf *buf)
{
	if (buf->data != NULL)
		explicit_bzero(buf->data, buf->size);
	buf_free(buf);
}

static void
wipe_strings(cJSON *item)
{
	for (; item != NULL; item = item->next) {
		if (item->valuestring != NULL)
			explicit_bzero(item->valuestring,
			    strlen(item->valuestring));
		wipe_strings(item->child);
	}
}

void
secret_json_freep(cJSON **tree)
{
	wipe_strings(*tree);
	cJSON_Delete(*tree);
}

/*
 * The I-th key under which credentials for the host may be: what Docker and
 * podman write now first. False when there are no more.
 */
static bool
set_key(struct search *s, size_t i)
{
	/* Docker Hub's has the name of an API that is gone. */
	static const char *const hub[] = { "https://index.docker.io/v1/",
		"docker.io", "index.docker.io", "registry-1.docker.io" };
	static const struct { const char *before, *after; } others[] = {
		{ "", "" }, { "https://", "" }, { "https://", "/" },
		{ "https://", "/v1/" }, { "https://", "/v2/" },
	};

	if (strcmp(s->host, "docker.io") == 0)
		return i < ARRAY_SIZE(hub) &&
		    format(s->key, KEY_BYTES, "%s", hub[i]) == 0;
	return i < ARRAY_SIZE(others) && format(s->key, KEY_BYTES, "%s%s%s",
	    others[i].before, s->host, others[i].after) == 0;
}

static int
malformed(const struct search *s, const char *what)
{
	return errmsg(s->err, API_TEXT_MAX, -EINVAL, "%s: %s; log in to %s "
	    "again, or mend the file", s->path, what, s->host);
}

/* Entries that are null are as good as none, as Go has it. */
static const cJSON *
member(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNull(item) ? NULL : item;
}

/* The string NAME of OBJECT, "" when there is none, NULL when it is no string. */
static const char *
member_text(const cJSON *object, const char *name)
{
	const cJSON *item = member(object, name);

	return item == NULL ? "" : cJSON_GetStringValue(item);
}

/* USER:PASSWORD, which are LEN bytes at PLAIN, to OUT. 0 or -EINVAL. */
static int
split_auth(char *plain, size_t len, struct registry_auth *out)
{
	char *colon;

	/* Docker pads it with NULs in old files. */
	while (len > 0 && plain[len - 1] == '\0')
		len--;
	colon = memchr(plain, ':', len);
	if (colon == NULL || colon == plain ||
	    memchr(plain, '\0', len) != NULL)
		return -EINVAL;
	plain[len] = '\0';
	*colon = '\0';
	return registry_auth_set(out, plain, colon + 1, false);
}

static int
decode_auth(const char *auth, struct registry_auth *out)
{
	/* Room for a NUL is there. */
	char plain[REGISTRY_USER + REGISTRY_SECRET];
	size_t len;
	int r = -EINVAL;

	if (mbedtls_base64_decode((unsigned char *)plain, sizeof(plain) - 1,
	    &len, (const unsigned char *)auth, strlen(auth)) == 0)
		r = split_auth(plain, len, out);
	explicit_bzero(plain, sizeof(plain));
	return r;
}

static int
take_entry(const struct search *s, const cJSON *entry)
{
	const char *token, *auth;
	char what[KEY_BYTES + 64];

	token = member_text(entry, "identitytoken");
	auth = member_text(entry, "auth");
	if (!cJSON_IsObject(entry) || token == NULL || auth == NULL)
		(void)format(what, sizeof(what), "what auths has for \"%s\" is "
		    "not an object with strings", s->key);
	else if (token[0] != '\0' &&
	    registry_auth_set(s->out, "", token, true) < 0)
		(void)format(what, sizeof(what), "the identitytoken of \"%s\" "
		    "is too long", s->key);
	else if (token[0] == '\0' && auth[0] != '\0' &&
	    decode_auth(auth, s->out) < 0)
		(void)format(what, sizeof(what), "the auth of \"%s\" is not "
		    "base64 of USER:PASSWORD, or too long", s->key);
	else
		return 0;
	return malformed(s, what);
}

static int
take_auths(struct search *s, const cJSON *tree)
{
	const cJSON *auths = member(tree, "auths");
	size_t i;
	int r = 0;

	if (auths != NULL && !cJSON_IsObject(auths))
		return malformed(s, "auths is not an object");
	for (i = 0; r == 0 && !registry_auth_given(s->out) && set_key(s, i);
	    i++) {
		const cJSON *entry = member(auths, s->key);

		if (entry != NULL)
			r = take_entry(s, entry);
	}
	return r;
}

/*
 * The helper that the file names for the host, "" for none; s->key is then
 * what to ask it for. NULL after a complaint.
 */
static const char *
helper_name(struct search *s, const cJSON *tree)
{
	const cJSON *helpers = member(tree, "credHelpers");
	const char *name = NULL;
	size_t i;

	if (helpers != NULL && !cJSON_IsObject(helpers)) {
		(void)malformed(s, "credHelpers is not an object");
		return NULL;
	}
	for (i = 0; set_key(s, i); i++)
		if (member(helpers, s->key) != NULL) {
			name = member_text(helpers, s->key);
			if (name == NULL)
				(void)malformed(s, "a helper's name in "
				    "credHelpers is not a string");
			return name;
		}
	(void)set_key(s, 0);
	name = member_text(tree, "credsStore");
	if (name == NULL)
		(void)malformed(s, "credsStore is not a string");
	return name;
}

/* As docker does: who names a helper, has what the helper has and no more. */
static int
take_tree(struct search *s, const cJSON *tree)
{
	const char *helper = helper_name(s, tree);
	char said[API_TEXT_MAX];
	int r;

	if (helper == NULL)
		return -EINVAL;
	if (helper[0] == '\0')
		return take_auths(s, tree);
	r = credential_helper_get(helper, s->key, CREDENTIAL_HELPER_TIMEOUT_MS,
	    s->out, said);
	return r < 0 ? errmsg(s->err, API_TEXT_MAX, r, "%s: %s", s->path,
	    said) : 0;
}

/* Whether credentials that are in a file like this are the user's. */
static int
check_file(const struct search *s, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return errmsg(s->err, API_TEXT_MAX, -EINVAL, "%s: not a regular "
		    "file", s->path);
	/* Others could name a helper for us to run. */
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return errmsg(s->err, API_TEXT_MAX, -EPERM, "%s: others may "
		    "write to it; make sure that it is yours, then chmod go-w "
		    "it", s->path);
	if (st->st_size > AUTH_FILE_MAX)
		return errmsg(s->err, API_TEXT_MAX, -EFBIG, "%s: larger than %d "
		    "KiB", s->path, AUTH_FILE_MAX >> 10);
	return 0;
}

/* All of the file to TEXT; nothing when there is no such file. 0 or -errno. */
static int
read_file(const struct search *s, struct buf *text)
{
	/* Not to wait for a pipe's other end. */
	_cleanup_close_ int fd = open(s->path,
	    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	char *to;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return errmsg(s->err, API_TEXT_MAX, -errno, "%s: %s", s->path,
		    strerror(errno));
	r = check_file(s, &st);
	if (r < 0)
		return r;
	/* At once: what grows leaves copies of secrets behind. */
	to = buf_reserve(text, (size_t)st.st_size);
	r = to == NULL ? -ENOMEM : read_full(fd, to, (size_t)st.st_size);
	if (r < 0)
		return errmsg(s->err, API_TEXT_MAX, r, "%s: %s", s->path,
		    r == -EPIPE ? "changes while it is read" : strerror(-r));
	text->len = (size_t)st.st_size;
	return 0;
}

static int
look(struct search *s)
{
	struct buf text _cleanup_secret_buf_ = BUF_INIT(AUTH_FILE_MAX);
	cJSON *tree _cleanup_secret_json_ = NULL;
	int r = read_file(s, &text);

	if (r < 0 || text.len == 0)
		return r;
	tree = json_parse(text.data, text.len);
	return tree != NULL ? take_tree(s, tree) :
	    malformed(s, "not a JSON object");
}

/*
 * The path of the first of CHOICE whose variable is set, "" for none. 0 or
 * -ENAMETOOLONG.
 */
static int
place_path(const struct place choice[2], char path[PATH_MAX])
{
	size_t i;

	path[0] = '\0';
	for (i = 0; i < 2; i++) {
		const char *value = getenv(choice[i].variable);

		if (value != NULL && value[0] != '\0')
			return format(path, PATH_MAX, "%s%s", value,
			    choice[i].below);
	}
	return 0;
}

int
registry_auth_find(const char *host, struct registry_auth *out,
    char err[API_TEXT_MAX])
{
	char path[PATH_MAX];
	size_t i;
	int r = 0;

	registry_auth_clear(out);
	for (i = 0; r == 0 && i < ARRAY_SIZE(places) &&
	    !registry_auth_given(out); i++) {
		struct search s = { .host = host, .path = path, .out = out,
			.err = err };

		if (place_path(places[i], path) < 0)
			r = errmsg(err, API_TEXT_MAX, -ENAMETOOLONG, "$%s: too "
			    "long", places[i][0].variable);
		else if (path[0] != '\0')
			r = look(&s);
	}
	if (r < 0)
		registry_auth_clear(out);
	return r;
}
