/*
 * LZO1X is a series of instructions, each of which copies a piece of what was
 * written already (a match), or a run of bytes that follow it (literals). A
 * match also says in two bits how many literals come next, 0 to 3. What the
 * instructions below 16 mean depends on that number, the state; 4 is the state
 * after a run.
 *
 * The container is lzop's. A kernel unpacks only files of one checksum a block
 * (lib/decompress_unlzo.c), and so no other is read here.
 */
#include "image/lzo.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#define AFTER_RUN	4U
#define FAR_AWAY	16384U		/* of instructions 16 to 31 */
#define END_OF_STREAM	FAR_AWAY		/* their distance 0 */

struct stream {
	const uint8_t	*in;
	size_t		 in_len;
	uint8_t		*out;
	size_t		 at;
	size_t		 size;
};

struct match {
	size_t		 len;
	size_t		 distance;
	unsigned	 literals;	/* after it */
};

static bool
take(struct stream *s, unsigned *byte)
{
	if (s->in_len == 0)
		return false;
	*byte = *s->in++;
	s->in_len--;
	return true;
}

/*
 * A length whose first bits, those of MASK, are in the instruction; 0 there
 * means that it goes on: 255 for each zero byte, then the first that is none.
 */
static bool
take_len(struct stream *s, unsigned op, unsigned mask, size_t *len)
{
	unsigned byte = op & mask;

	*len = byte;
	if (byte != 0)
		return true;
	*len = mask;
	for (;;) {
		if (!take(s, &byte))
			return false;
		if (byte != 0)
			break;
		*len += 255;
	}
	*len += byte;
	return true;
}

static bool
copy_literals(struct stream *s, size_t len)
{
	if (len > s->in_len || len > s->size - s->at)
		return false;
	memcpy(s->out + s->at, s->in, len);
	s->at += len;
	s->in += len;
	s->in_len -= len;
	return true;
}

/* By bytes: what is copied may reach into what is written by it. */
static bool
copy_match(struct stream *s, const struct match *m)
{
	if (m->distance > s->at || m->len > s->size - s->at)
		return false;
	for (size_t i = 0; i < m->len; i++, s->at++)
		s->out[s->at] = s->out[s->at - m->distance];
	return true;
}

/* OP and one byte: BITS of the distance are in OP from bit 2 on. */
static bool
take_near(struct stream *s, unsigned op, unsigned bits, size_t nearest,
    struct match *m)
{
	unsigned high;

	if (!take(s, &high))
		return false;
	m->distance = nearest + ((size_t)high << bits) +
	    (op >> 2 & ((1U << bits) - 1));
	m->literals = op & 3;
	return true;
}

/* OP with a length, and two bytes, the lower first. */
static bool
take_far(struct stream *s, unsigned op, unsigned mask, size_t nearest,
    struct match *m)
{
	unsigned low, high;

	if (!take_len(s, op, mask, &m->len) || !take(s, &low) ||
	    !take(s, &high))
		return false;
	m->len += 2;
	m->distance = nearest + ((size_t)high << 6 | low >> 2);
	m->literals = low & 3;
	return true;
}

static bool
take_match(struct stream *s, unsigned op, unsigned state, struct match *m)
{
	if (op >= 64) {
		m->len = op >= 128 ? 5 + (op >> 5 & 3) : 3 + (op >> 5 & 1);
		return take_near(s, op, 3, 1, m);
	}
	if (op >= 32)
		return take_far(s, op, 31, 1, m);
	if (op >= 16)
		return take_far(s, op, 7, FAR_AWAY + ((size_t)(op & 8) << 11), m);
	m->len = state == AFTER_RUN ? 3 : 2;
	return take_near(s, op, 2, state == AFTER_RUN ? 2049 : 1, m);
}

/* The first byte may be a run of up to 238 literals. */
static bool
first_run(struct stream *s, unsigned *state)
{
	unsigned byte = 0;

	*state = 0;
	if (s->in_len == 0 || s->in[0] <= 17 || !take(s, &byte))
		return true;
	byte -= 17;
	*state = byte < AFTER_RUN ? byte : AFTER_RUN;
	return copy_literals(s, byte);
}

int
lzo1x_decode(const uint8_t *buf, size_t len, uint8_t *out, size_t size,
    size_t *written)
{
	struct stream s = { .in = buf, .in_len = len, .size = size };
	struct match m = { 0 };
	unsigned state, op;

	s.out = out;
	if (!first_run(&s, &state))
		return -EBADMSG;
	while (take(&s, &op)) {
		if (op < 16 && state == 0) {
			if (!take_len(&s, op, 15, &m.len) ||
			    !copy_literals(&s, m.len + 3))
				return -EBADMSG;
			state = AFTER_RUN;
			continue;
		}
		if (!take_match(&s, op, state, &m))
			return -EBADMSG;
		if (op >= 16 && op < 32 && m.distance == END_OF_STREAM) {
			*written = s.at;
			return s.in_len == 0 ? 0 : -EBADMSG;
		}
		if (!copy_match(&s, &m) || !copy_literals(&s, m.literals))
			return -EBADMSG;
		state = m.literals;
	}
	return -EBADMSG;
}

/* ---- lzop's file ---- */

static const uint8_t magic[] = {
	0x89, 'L', 'Z', 'O', 0x00, 0x0d, 0x0a, 0x1a, 0x0a,
};

#define VERSION_LEVEL	0x0940U		/* first with a level and long times */
#define FLAG_ADLER32	0x00000001U	/* of what a block holds */
#define FLAG_CRC32	0x00000100U	/* likewise */
#define FLAG_PACKED	0x00000202U	/* checksums of it compressed */
#define FLAG_FILTER	0x00000800U

static uint32_t
be(const uint8_t *p, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | *p++;
	return value;
}

static const uint8_t *
skip(struct lzop *l, size_t len)
{
	const uint8_t *p = l->buf;

	if (len > l->len)
		return NULL;
	l->buf += len;
	l->len -= len;
	return p;
}

/*
 * After the magic: versions of lzop, of its library, and what is needed to
 * extract (2 bytes each), method, level; flags, filter (4 bytes each); mode,
 * times (4 bytes each); length and bytes of the name; a checksum.
 */
int
lzop_open(const uint8_t *buf, size_t len, struct lzop *out)
{
	struct lzop l = { .buf = buf, .len = len };
	const uint8_t *p = skip(&l, sizeof(magic));
	bool new;
	uint32_t flags;

	if (p == NULL || memcmp(p, magic, sizeof(magic)) != 0 ||
	    (p = skip(&l, 7)) == NULL)
		return -EBADMSG;
	new = be(p, 2) >= VERSION_LEVEL;
	if (skip(&l, new) == NULL || (p = skip(&l, 4)) == NULL)
		return -EBADMSG;
	flags = be(p, 4);
	l.adler32 = (flags & FLAG_ADLER32) != 0;
	/* One of the two, and no more. */
	if (l.adler32 == ((flags & FLAG_CRC32) != 0) ||
	    (flags & FLAG_PACKED) != 0)
		return -EBADMSG;
	if (skip(&l, (flags & FLAG_FILTER) != 0 ? 4 : 0) == NULL ||
	    skip(&l, new ? 12 : 8) == NULL || (p = skip(&l, 1)) == NULL ||
	    skip(&l, *p + 4U) == NULL)
		return -EBADMSG;
	*out = l;
	return 0;
}

/* A block: its length, its length compressed, its checksum, its bytes. */
int
lzop_block(struct lzop *l, uint8_t *out, size_t *len)
{
	const uint8_t *p = skip(l, 4);
	uint32_t size, packed, sum;
	size_t written;

	if (p == NULL)
		return -EBADMSG;
	*len = size = be(p, 4);
	if (size == 0)
		return 0;
	p = skip(l, 8);
	if (p == NULL || size > LZO_BLOCK_BYTES)
		return -EBADMSG;
	packed = be(p, 4);
	sum = be(p + 4, 4);
	p = skip(l, packed);
	if (p == NULL || packed == 0 || packed > size)
		return -EBADMSG;
	if (packed == size)		/* it did not become smaller */
		memcpy(out, p, size);
	else if (lzo1x_decode(p, packed, out, size, &written) < 0 ||
	    written != size)
		return -EBADMSG;
	if ((l->adler32 ? adler32(1, out, size) : crc32(0, out, size)) != sum)
		return -EBADMSG;
	return 0;
}
