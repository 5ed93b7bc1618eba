/* lib/socks.c has no switch of its own; a SOCKS proxy is an error here. */
#include "curl_setup.h"

#include "urldata.h"
#include "sendf.h"
#include "socks.h"

CURLcode
Curl_cf_socks_proxy_insert_after(struct Curl_cfilter *cf_at,
    struct Curl_easy *data)
{
	(void)cf_at;
	failf(data, "SOCKS proxies are not supported, only HTTP ones");
	return CURLE_NOT_BUILT_IN;
}
