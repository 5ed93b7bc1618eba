/* The one source of entropy, the same with musl and with glibc. */
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>

#include "common.h"
#include "entropy_poll.h"
#include "mbedtls/entropy.h"

int
mbedtls_hardware_poll(void *data, unsigned char *output, size_t len,
    size_t *olen)
{
	ssize_t n;

	(void)data;
	do
		n = getrandom(output, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
	*olen = (size_t)n;
	return 0;
}
