/*
 * lib/vtls/mbedtls.c with mbedTLS's default demands on certificates. Its own
 * profile takes signatures made with SHA-1 and RSA keys of 1024 bits; SHA-1 is
 * compiled in only because roots sign themselves with it.
 */
#include "curl_setup.h"

#include <mbedtls/ssl.h>

#define mbedtls_ssl_conf_cert_profile(config, profile)                         \
	(mbedtls_ssl_conf_cert_profile)(config,                                \
	    &mbedtls_x509_crt_profile_default)

#include "vtls/mbedtls.c"
