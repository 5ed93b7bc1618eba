/*
 * SHA-256 (FIPS 180-4), bit by bit of what comes; mbedTLS does it. A digest is
 * written as OCI writes it, "sha256:" and 64 hexadecimal digits (image-spec,
 * descriptor.md); no other algorithm is taken.
 */
#ifndef BANGER_BASE_DIGEST_H
#define BANGER_BASE_DIGEST_H

#include <mbedtls/sha256.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DIGEST_BYTES = 32,
	DIGEST_HEX = 2 * DIGEST_BYTES,
	DIGEST_TEXT = 7 + DIGEST_HEX + 1,	/* with "sha256:" and the NUL */
};

struct digest {
	mbedtls_sha256_context context;
};

/* Nothing yet, and LEN bytes more. */
void	 digest_init(struct digest *d);
void	 digest_add(struct digest *d, const void *bytes, size_t len);

/* What came since digest_init; D is then used up. */
void	 digest_end(struct digest *d, uint8_t out[DIGEST_BYTES]);

/* All of LEN bytes at once. */
void	 digest_of(const void *bytes, size_t len, uint8_t out[DIGEST_BYTES]);

/* Whether all of TEXT is a digest; then it goes to OUT. 0 or -EINVAL. */
int	 digest_parse(const char *text, uint8_t out[DIGEST_BYTES]);

/* The other way round, with a NUL. */
void	 digest_text(const uint8_t digest[DIGEST_BYTES],
	    char out[DIGEST_TEXT]);

#endif
