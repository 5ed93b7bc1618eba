/*
 * Bytes as lower-case hexadecimal digits.
 */
#ifndef BANGER_BASE_HEX_H
#define BANGER_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* The SIZE bytes that are all of TEXT (NULL is fine). 0 or -EINVAL. */
int	 hex_parse(const char *text, uint8_t *out, size_t size);

/* SIZE bytes as 2 * SIZE digits and a NUL. */
void	 hex_write(const uint8_t *bytes, size_t size, char *out);

#endif
