#include "base/signature.h"

#include <errno.h>
#include <mbedtls/base64.h>
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <string.h>

#include "base/digest.h"

enum { DER_SEQUENCE = 0x30, DER_MAX = 80 };

/* The signature in DER: 0 with *LEN bytes in OUT, or -EKEYREJECTED. */
static int
to_der(const struct buf *signature, uint8_t out[DER_MAX], size_t *len)
{
	const uint8_t *bytes = (const uint8_t *)signature->data;

	if (signature->len > 0 && bytes[0] == DER_SEQUENCE) {
		if (signature->len > DER_MAX)
			return -EKEYREJECTED;
		memcpy(out, bytes, signature->len);
		*len = signature->len;
		return 0;
	}
	return signature->len > 0 && mbedtls_base64_decode(out, DER_MAX, len,
	    bytes, signature->len) == 0 ? 0 : -EKEYREJECTED;
}

/* mbedTLS wants PEM with its NUL. */
static int
read_key(mbedtls_pk_context *pk, const struct buf *key)
{
	uint8_t pem[SIGNATURE_KEY_BYTES + 1];

	if (key->len == 0 || key->len > SIGNATURE_KEY_BYTES)
		return -EINVAL;
	memcpy(pem, key->data, key->len);
	pem[key->len] = '\0';
	if (mbedtls_pk_parse_public_key(pk, pem, key->len + 1) != 0 ||
	    !mbedtls_pk_can_do(pk, MBEDTLS_PK_ECDSA) ||
	    mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*pk)) !=
	    MBEDTLS_ECP_DP_SECP256R1)
		return -EINVAL;
	return 0;
}

int
signature_check(const struct buf *key, const struct buf *text,
    const struct buf *signature)
{
	uint8_t der[DER_MAX], sha256[DIGEST_BYTES];
	mbedtls_pk_context pk;
	size_t len;
	int r;

	mbedtls_pk_init(&pk);
	r = read_key(&pk, key);
	if (r == 0)
		r = to_der(signature, der, &len);
	digest_of(text->data, text->len, sha256);
	if (r == 0 && mbedtls_pk_verify(&pk, MBEDTLS_MD_SHA256, sha256,
	    sizeof(sha256), der, len) != 0)
		r = -EKEYREJECTED;
	mbedtls_pk_free(&pk);
	return r;
}
