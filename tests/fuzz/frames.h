/* An exec stream's frames, for the targets of both of its ends. */
#ifndef BANGER_TESTS_FUZZ_FRAMES_H
#define BANGER_TESTS_FUZZ_FRAMES_H

#include "base/stream.h"
#include "fuzz.h"

/* Calls FRAME with each frame that FROM may have written, up to what is none. */
static inline void
each_frame(struct input *in, enum stream_side from,
    void (*frame)(const struct stream_frame *f))
{
	struct stream_frame f;
	long n;

	while ((n = stream_next(in->data, in->len, from, &f)) > 0) {
		must((size_t)n <= in->len && f.len <= STREAM_PAYLOAD_MAX);
		frame(&f);
		(void)take_bytes(in, (size_t)n);
	}
}

#endif
