/*
 * Detached signatures: ECDSA over P-256 and SHA-256 (FIPS 186-5), as
 * `openssl dgst -sha256 -sign KEY` and `cosign sign-blob --key KEY` make them; the
 * first in DER, the second in base64 of it. mbedTLS does the arithmetic.
 */
#ifndef BANGER_BASE_SIGNATURE_H
#define BANGER_BASE_SIGNATURE_H

#include "base/buf.h"

enum {
	SIGNATURE_BYTES = 1024,		/* at most; the longest has 72, or 96 in base64 */
	SIGNATURE_KEY_BYTES = 8192,
};

/*
 * Whether SIGNATURE is one of the bytes in TEXT, made with the private half of
 * KEY (PEM, SubjectPublicKeyInfo). 0; -EINVAL when KEY is not a public key of
 * P-256; -EKEYREJECTED when SIGNATURE is none, or another key's, or of another
 * text.
 */
int	 signature_check(const struct buf *key, const struct buf *text,
	    const struct buf *signature);

#endif
