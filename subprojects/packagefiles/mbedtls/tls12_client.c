/*
 * library/ssl_tls12_client.c, which in 3.6.6 refuses signatures of RSA-PSS
 * although the client offers them for TLS 1.3; RFC 8446, 4.2.3, wants them
 * taken in TLS 1.2 as well, and OpenSSL's servers make them (mbedTLS's issue
 * 10668). Whether an algorithm was offered is still checked. To be dropped with
 * a release that has the fix.
 */
#include "common.h"
#include "ssl_misc.h"

static int
sig_alg_is_supported(const mbedtls_ssl_context *ssl, uint16_t alg)
{
	switch (alg) {
	case MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256:
	case MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384:
	case MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512:
		return 1;
	default:
		return mbedtls_ssl_sig_alg_is_supported(ssl, alg);
	}
}

#define mbedtls_ssl_sig_alg_is_supported sig_alg_is_supported
#include "ssl_tls12_client.c"
