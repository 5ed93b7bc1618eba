#include "client/ca_bundle.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "image/errmsg.h"

/* Where distributions have it: Go's crypto/x509 has the same list. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",		/* Debian, Arch, Gentoo */
	"/etc/pki/tls/certs/ca-bundle.crt",		/* Fedora, RHEL 6 */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",	/* RHEL 7 and up */
	"/etc/ssl/ca-bundle.pem",			/* openSUSE */
	"/etc/ssl/cert.pem",				/* Alpine */
};

/* FROM says who named PATH: "--ca ", "SSL_CERT_FILE=", or "". */
static int
open_bundle(const char *from, const char *path, char err[API_TEXT_MAX])
{
	/* Not to wait for a pipe's other end. */
	_cleanup_close_ int fd = open(path,
	    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errmsg(err, API_TEXT_MAX, -errno, "%s%s: %s; give it a "
		    "file of CA certificates that you can read", from, path,
		    strerror(errno));
	if (!S_ISREG(st.st_mode))
		return errmsg(err, API_TEXT_MAX, -EINVAL, "%s%s: not a regular "
		    "file; give it a file of CA certificates", from, path);
	if (st.st_size == 0)
		return errmsg(err, API_TEXT_MAX, -EINVAL, "%s%s: empty; give it "
		    "a file of CA certificates", from, path);
	if (st.st_size > CA_BUNDLE_MAX)
		return errmsg(err, API_TEXT_MAX, -EFBIG, "%s%s: larger than %d "
		    "MiB; give it a file of CA certificates only", from, path,
		    CA_BUNDLE_MAX >> 20);
	return steal_fd(&fd);
}

int
ca_bundle_open(const char *path, char err[API_TEXT_MAX])
{
	const char *named = getenv("SSL_CERT_FILE");
	size_t i;

	if (path != NULL)
		return open_bundle("--ca ", path, err);
	if (named != NULL && named[0] != '\0')
		return open_bundle("SSL_CERT_FILE=", named, err);
	for (i = 0; i < ARRAY_SIZE(bundles); i++)
		if (access(bundles[i], F_OK) == 0)
			return open_bundle("", bundles[i], err);
	return errmsg(err, API_TEXT_MAX, -ENOENT, "finds no CA certificates to "
	    "trust (%s and others); install ca-certificates, or give --ca FILE",
	    bundles[0]);
}
