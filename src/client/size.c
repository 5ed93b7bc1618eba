/*
 * Numbers with units, strictly: what is not exactly a size or a time is an
 * error, never a guess.
 */
#include "client/size.h"

#include <stdio.h>
#include <string.h>

#include "privsep/util.h"

static const char units[] = "KMGT";

int
size_parse(const char *s, uint64_t unit_bytes, uint64_t *size_bytes)
{
	char digits[24];
	size_t len = strlen(s);
	uint64_t number;
	const char *unit;
	int r;

	unit = len > 0 ? strchr(units, s[len - 1]) : NULL;
	if (unit != NULL) {
		unit_bytes = KIB << (10 * (unit - units));
		len--;
	}
	if (unit_bytes == 0)
		return -EINVAL;
	if (len >= sizeof(digits))
		return s[strspn(s, "0123456789")] == '\0' ? -ERANGE : -EINVAL;
	memcpy(digits, s, len);
	digits[len] = '\0';
	if ((r = parse_u64(digits, UINT64_MAX, &number)) < 0)
		return r;
	if (number == 0 || number > SIZE_BYTES_MAX / unit_bytes)
		return -ERANGE;
	*size_bytes = number * unit_bytes;
	return 0;
}

char *
size_text(uint64_t bytes, char out[SIZE_TEXT])
{
	uint64_t whole = bytes, rest = 0;
	size_t unit = 0;

	while (whole >= 1024 && unit < sizeof(units) - 1) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(out, SIZE_TEXT, "%u", (unsigned int)whole);
	else if (whole < 10 && rest * 10 / 1024 > 0)
		snprintf(out, SIZE_TEXT, "%u.%u%c", (unsigned int)whole,
		    (unsigned int)(rest * 10 / 1024), units[unit - 1]);
	else
		snprintf(out, SIZE_TEXT, "%u%c", (unsigned int)whole,
		    units[unit - 1]);
	return out;
}

/* Two decimal digits at S, or -1. */
static int
two_digits(const char *s)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return -1;
	return (s[0] - '0') * 10 + (s[1] - '0');
}

int
time_parse(const char *s, time_t *when)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
	struct tm tm = { 0 };
	time_t t;
	size_t i;

	if (strlen(s) != sizeof(shape) - 1)
		return -EINVAL;
	for (i = 0; shape[i] != '\0'; i++)
		if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != shape[i])
			return -EINVAL;
	tm.tm_year = two_digits(s) * 100 + two_digits(s + 2) - 1900;
	tm.tm_mon = two_digits(s + 5) - 1;
	tm.tm_mday = two_digits(s + 8);
	tm.tm_hour = two_digits(s + 11);
	tm.tm_min = two_digits(s + 14);
	tm.tm_sec = two_digits(s + 17);
	if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60)
		return -EINVAL;
	t = timegm(&tm);
	*when = t;
	return 0;
}

char *
span_text(uint64_t us, char out[SIZE_TEXT])
{
	unsigned long long s = us / 1000000, tenths = us / 100000 % 10;

	if (s < 60 && tenths != 0)
		snprintf(out, SIZE_TEXT, "%llu.%llus", s, tenths);
	else if (s < 60)
		snprintf(out, SIZE_TEXT, "%llus", s);
	else if (s < 3600)
		snprintf(out, SIZE_TEXT, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, SIZE_TEXT, "%lluh%02llum", s / 3600,
		    s / 60 % 60);
	else
		snprintf(out, SIZE_TEXT, "%llud%02lluh", s / 86400,
		    s / 3600 % 24);
	return out;
}

char *
age_text(const char *then, time_t now, char out[SIZE_TEXT])
{
	static const struct { time_t seconds; char unit; } scale[] = {
		{ 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' },
	};
	time_t start;
	size_t i;

	if (time_parse(then, &start) < 0 || start > now) {
		snprintf(out, SIZE_TEXT, "-");
		return out;
	}
	for (i = 0; i < ARRAY_SIZE(scale) - 1; i++)
		if (now - start >= scale[i].seconds)
			break;
	snprintf(out, SIZE_TEXT, "%lld%c",
	    (long long)((now - start) / scale[i].seconds), scale[i].unit);
	return out;
}
