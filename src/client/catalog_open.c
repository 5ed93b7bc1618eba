/*
 * A catalogue that is not built in is looked at in this order: its size, its
 * signature, its JSON. Whoever can put one where ours should be, or speaks in its
 * host's name, gets no further than the signature; whoever has the key decides what
 * runs in VMs anyway.
 */
#include "client/catalog_open.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/signature.h"
#include "client/catalog_builtin.h"
#include "client/pull.h"
#include "client/text.h"
#include "image/errmsg.h"

enum { LOCATION_BYTES = 1024 + sizeof(".sig") };

/* Where it is, and the key; NULL: what is built in. */
struct location {
	const char *catalog, *key;
	const char *ca;			/* whom to trust on the way, or NULL */
};

/* A flag's value, else the configuration's, else NULL. */
static const char *
choose(const struct args *args, enum flag_id flag, const char *configured)
{
	const char *value = args != NULL ? args_value(args, flag) : NULL;

	if (value == NULL && configured[0] != '\0')
		value = configured;
	return value;
}

static int
read_file(const char *path, struct buf *out)
{
	/* Not to wait for a pipe's other end. */
	_cleanup_close_ int fd = open(path,
	    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else
		r = buf_read_all(out, fd);
	if (r < 0)
		complain("%s: %s", path, r == -EINVAL ? "not a regular file" :
		    r == -EFBIG ? "too large" : strerror(-r));
	return r;
}

/* All of the file at PLACE with SUFFIX. 0, or -errno after a complaint. */
static int
read_place(struct client *client, const struct location *location,
    const char *suffix, struct buf *out)
{
	char name[LOCATION_BYTES];

	if (strncmp(location->catalog, "http://", 7) == 0) {
		complain("catalog %s: is to be a file or at https://",
		    location->catalog);
		return -EINVAL;
	}
	if (format(name, sizeof(name), "%s%s", location->catalog, suffix) < 0) {
		complain("catalog %s: too long", location->catalog);
		return -ENAMETOOLONG;
	}
	return strncmp(name, "https://", 8) == 0 ?
	    pull_text(client, name, location->ca, out) : read_file(name, out);
}

static int
read_key(const struct location *location, struct buf *out)
{
	if (location->key != NULL)
		return read_file(location->key, out);
	if (BANGER_CATALOG_KEY[0] != '\0')
		return buf_puts(out, BANGER_CATALOG_KEY);
	complain("catalog %s: no key to check its signature with; set "
	    "catalog_key, or give --key FILE", location->catalog);
	return -ENOKEY;
}

/* What the key's holder has signed, into TEXT. 0, or -errno after a complaint. */
static int
read_signed(struct client *client, const struct location *location,
    struct buf *text)
{
	_cleanup_buf_ struct buf key = BUF_INIT(SIGNATURE_KEY_BYTES);
	_cleanup_buf_ struct buf signature = BUF_INIT(SIGNATURE_BYTES);
	int r = read_key(location, &key);

	if (r == 0)
		r = read_place(client, location, "", text);
	if (r == 0)
		r = read_place(client, location, ".sig", &signature);
	if (r < 0)
		return r;
	r = signature_check(&key, text, &signature);
	if (r == -EINVAL)
		complain("%s: not a public key of P-256 in PEM",
		    location->key != NULL ? location->key : "the key built in");
	else if (r < 0)
		complain("catalog %s: %s.sig is no signature of it by the key "
		    "in %s", location->catalog, location->catalog,
		    location->key != NULL ? location->key : "this banger");
	return r;
}

int
catalog_open(struct client *client, const struct args *args,
    struct catalog *out)
{
	_cleanup_buf_ struct buf text = BUF_INIT(CATALOG_BYTES_MAX);
	const struct location location = {
		choose(args, FLAG_CATALOG, client->config.catalog),
		choose(args, FLAG_KEY, client->config.catalog_key),
		args != NULL ? args_value(args, FLAG_CA) : NULL,
	};
	char err[API_TEXT_MAX];
	int r;

	*out = (struct catalog){ .tree = NULL };
	if (location.catalog == NULL)
		r = buf_puts(&text, BANGER_CATALOG);
	else
		r = read_signed(client, &location, &text);
	if (r < 0)
		return r;
	r = catalog_parse(text.data, text.len, out, err, sizeof(err));
	if (r < 0)
		complain("catalog %s: %s", location.catalog != NULL ?
		    location.catalog : "built in", err);
	return r;
}
