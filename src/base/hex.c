#include "base/hex.h"

#include <errno.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

int
hex_parse(const char *text, uint8_t *out, size_t size)
{
	size_t i;

	if (text == NULL || strlen(text) != 2 * size)
		return -EINVAL;
	for (i = 0; i < 2 * size; i++) {
		const char *digit = strchr(digits, text[i]);

		if (digit == NULL)
			return -EINVAL;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | (digit - digits));
	}
	return 0;
}

void
hex_write(const uint8_t *bytes, size_t size, char *out)
{
	size_t i;

	for (i = 0; i < size; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * size] = '\0';
}
