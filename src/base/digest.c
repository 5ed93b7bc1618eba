#include "base/digest.h"

#include <errno.h>
#include <string.h>

#include "base/hex.h"

static const char prefix[] = "sha256:";

/*
 * mbedTLS's calls can fail where hardware does the work; here they cannot, and
 * were one to, a digest that is wrong is refused by whoever compares it.
 */
void
digest_init(struct digest *d)
{
	mbedtls_sha256_init(&d->context);
	(void)mbedtls_sha256_starts(&d->context, 0);
}

void
digest_add(struct digest *d, const void *bytes, size_t len)
{
	(void)mbedtls_sha256_update(&d->context, bytes, len);
}

void
digest_end(struct digest *d, uint8_t out[DIGEST_BYTES])
{
	memset(out, 0, DIGEST_BYTES);
	(void)mbedtls_sha256_finish(&d->context, out);
	mbedtls_sha256_free(&d->context);
}

void
digest_of(const void *bytes, size_t len, uint8_t out[DIGEST_BYTES])
{
	struct digest d;

	digest_init(&d);
	digest_add(&d, bytes, len);
	digest_end(&d, out);
}

int
digest_parse(const char *text, uint8_t out[DIGEST_BYTES])
{
	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return -EINVAL;
	return hex_parse(text + sizeof(prefix) - 1, out, DIGEST_BYTES);
}

void
digest_text(const uint8_t digest[DIGEST_BYTES], char out[DIGEST_TEXT])
{
	memcpy(out, prefix, sizeof(prefix) - 1);
	hex_write(digest, DIGEST_BYTES, out + sizeof(prefix) - 1);
}
