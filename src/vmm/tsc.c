/*
 * How fast the host's time-stamp counter runs: see cmdline.c for who wants to
 * know. A sample takes the closest of a few pairs, since the process may be
 * interrupted between the two readings.
 */
#include <time.h>

#include "vmm/driver.h"

enum { TSC_TRIES = 5, TSC_SPAN_MIN_NS = 5 * 1000 * 1000 };

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t
read_tsc(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

struct tsc_sample
tsc_sample(void)
{
	struct tsc_sample best = { 0, 0 };
	uint64_t shortest = UINT64_MAX;
	int i;

	for (i = 0; i < TSC_TRIES; i++) {
		uint64_t before = now_ns();
		uint64_t tsc = read_tsc();
		uint64_t span = now_ns() - before;

		if (span >= shortest)
			continue;
		shortest = span;
		best.tsc = tsc;
		best.time_ns = before + span / 2;
	}
	return best;
}

uint32_t
tsc_khz_since(const struct tsc_sample *then)
{
	struct tsc_sample now;
	uint64_t span_ns, ticks;

	do {
		now = tsc_sample();
		if (now.tsc <= then->tsc || now.time_ns <= then->time_ns)
			return 0;
		span_ns = now.time_ns - then->time_ns;
		ticks = now.tsc - then->tsc;
	} while (span_ns < TSC_SPAN_MIN_NS);
	/* A counter of 5 GHz overflows ticks * 1e6 after an hour. */
	while (ticks > UINT64_MAX / 1000000) {
		ticks >>= 1;
		span_ns >>= 1;
	}
	return (uint32_t)((ticks * 1000000 + span_ns / 2) / span_ns);
}
