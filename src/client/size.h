/*
 * Sizes and times as people write and read them.
 */
#ifndef BANGER_CLIENT_SIZE_H
#define BANGER_CLIENT_SIZE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* The largest size taken: 1 PiB, far below what a JSON number holds exactly. */
#define SIZE_BYTES_MAX (UINT64_C(1) << 50)

/* Room for what size_text and age_text write. */
enum { SIZE_TEXT = 24 };

/*
 * Reads a size: a decimal number without sign, blank or leading zero, then
 * K, M, G or T (powers of 1024). A bare number counts UNIT_BYTES each;
 * UNIT_BYTES 0 refuses it. *SIZE_BYTES and 0; -EINVAL when S is no size,
 * -ERANGE for 0 or more than SIZE_BYTES_MAX.
 */
int	 size_parse(const char *s, uint64_t unit_bytes, uint64_t *size_bytes);

/*
 * Writes BYTES into OUT as at most one decimal and a unit: "512M", "1.5G".
 * Rounded down. Returns OUT.
 */
char	*size_text(uint64_t bytes, char out[SIZE_TEXT]);

/*
 * Writes a span of time with two units at most: "0.3s", "12s", "5m12s", "3h04m",
 * "2d03h". Rounded down. Returns OUT.
 */
char	*span_text(uint64_t us, char out[SIZE_TEXT]);

/*
 * Reads an RFC 3339 time in UTC without fraction, "2026-01-31T09:05:07Z".
 * *WHEN and 0, or -EINVAL.
 */
int	 time_parse(const char *s, time_t *when);

/*
 * Writes the time from THEN (as time_parse reads it) to NOW in its largest
 * whole unit: "12s", "3m", "5h", "9d"; "-" when THEN is no time or lies ahead.
 * Returns OUT.
 */
char	*age_text(const char *then, time_t now, char out[SIZE_TEXT]);

#endif
