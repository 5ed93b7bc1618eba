/*
 * One loop per compression library, each the same shape: input is all there,
 * output goes through a chunk of fixed size, and a call that makes no
 * progress is the end of a truncated stream. The input is hostile: memory is
 * bounded by the libraries' own limits (below), output by the sink's.
 */
#include "image/codec.h"

#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <stdbool.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#include "image/lzo.h"
#include "privsep/util.h"

/* A piece of output; a block of lzo's has to fit. */
#define CHUNK_BYTES	LZO_BLOCK_BYTES

/*
 * The kernel's build uses dictionaries up to 128 MiB (scripts/xz_wrap.sh,
 * zstd -22 --ultra); a stream that asks for more is refused.
 */
#define XZ_MEMORY_MAX	(256ULL << 20)
#define ZSTD_WINDOW_LOG_MAX 27

/* lz4 legacy: every block but the last decodes to exactly this size. */
#define LZ4_BLOCK_BYTES	(8U << 20)
#define LZ4_MAGIC	0x184c2102U

static const struct {
	enum codec	 codec;
	const char	*name;
	uint8_t		 magic_len;
	uint8_t		 magic[6];
} codecs[] = {
	{ CODEC_NONE, "none", 0, { 0 } },
	{ CODEC_GZIP, "gzip", 2, { 0x1f, 0x8b } },
	{ CODEC_BZIP2, "bzip2", 3, { 'B', 'Z', 'h' } },
	{ CODEC_LZMA, "lzma", 3, { 0x5d, 0x00, 0x00 } },
	{ CODEC_XZ, "xz", 6, { 0xfd, '7', 'z', 'X', 'Z', 0x00 } },
	{ CODEC_LZO, "lzo", 4, { 0x89, 'L', 'Z', 'O' } },
	{ CODEC_LZ4, "lz4", 4, { 0x02, 0x21, 0x4c, 0x18 } },
	{ CODEC_ZSTD, "zstd", 4, { 0x28, 0xb5, 0x2f, 0xfd } },
};

enum codec
codec_of(const uint8_t *buf, size_t len)
{
	for (size_t i = 1; i < ARRAY_SIZE(codecs); i++)
		if (len >= codecs[i].magic_len &&
		    memcmp(buf, codecs[i].magic, codecs[i].magic_len) == 0)
			return codecs[i].codec;
	return CODEC_NONE;
}

const char *
codec_name(enum codec codec)
{
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
		if (codecs[i].codec == codec)
			return codecs[i].name;
	return "unknown";
}

static int
emit(struct codec_sink *sink, const void *data, size_t len)
{
	int rc;

	if (len == 0)
		return 0;
	if (len > sink->limit_bytes - sink->written_bytes)
		return -EFBIG;
	rc = sink->write(sink->arg, data, len);
	if (rc == 0)
		sink->written_bytes += len;
	return rc;
}

static int
inflate_all(z_stream *z, const uint8_t *buf, size_t len, uint8_t *chunk,
    struct codec_sink *sink)
{
	const uint8_t *end = buf + len;

	for (;;) {
		size_t left = (size_t)(end - buf);
		int rc, zrc;

		z->next_in = buf;
		z->avail_in = left > CHUNK_BYTES ? CHUNK_BYTES : (uInt)left;
		z->next_out = chunk;
		z->avail_out = CHUNK_BYTES;
		zrc = inflate(z, Z_NO_FLUSH);
		buf = z->next_in;
		if (zrc == Z_MEM_ERROR)
			return -ENOMEM;
		if (zrc != Z_OK && zrc != Z_STREAM_END)
			return -EBADMSG;
		rc = emit(sink, chunk, CHUNK_BYTES - z->avail_out);
		if (rc < 0 || zrc == Z_STREAM_END)
			return rc;
	}
}

static int
decode_gzip(const uint8_t *buf, size_t len, uint8_t *chunk,
    struct codec_sink *sink)
{
	z_stream z = { 0 };
	int rc;

	/* 16: a gzip header and trailer, whose CRC is then checked. */
	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return -ENOMEM;
	rc = inflate_all(&z, buf, len, chunk, sink);
	inflateEnd(&z);
	return rc;
}

/* bzip2 counts in 32 bits. */
static int
bzip2_all(bz_stream *bz, const uint8_t *buf, size_t len, uint8_t *chunk,
    struct codec_sink *sink)
{
	for (;;) {
		unsigned piece = len > CHUNK_BYTES ? CHUNK_BYTES :
		    (unsigned)len;
		int rc, brc;

		/* NOLINTNEXTLINE(performance-no-int-to-ptr): it has no const */
		bz->next_in = (char *)(uintptr_t)buf;
		bz->avail_in = piece;
		bz->next_out = (char *)chunk;
		bz->avail_out = CHUNK_BYTES;
		brc = BZ2_bzDecompress(bz);
		if (brc == BZ_MEM_ERROR)
			return -ENOMEM;
		if (brc != BZ_OK && brc != BZ_STREAM_END)
			return -EBADMSG;
		rc = emit(sink, chunk, CHUNK_BYTES - bz->avail_out);
		if (rc < 0 || brc == BZ_STREAM_END)
			return rc;
		piece -= bz->avail_in;
		if (piece == 0 && bz->avail_out == CHUNK_BYTES)
			return -EBADMSG;
		buf += piece;
		len -= piece;
	}
}

static int
decode_bzip2(const uint8_t *buf, size_t len, uint8_t *chunk,
    struct codec_sink *sink)
{
	bz_stream bz = { 0 };
	int rc;

	if (BZ2_bzDecompressInit(&bz, 0, 0) != BZ_OK)
		return -ENOMEM;
	rc = bzip2_all(&bz, buf, len, chunk, sink);
	BZ2_bzDecompressEnd(&bz);
	return rc;
}

static int
lzma_all(lzma_stream *lz, uint8_t *chunk, struct codec_sink *sink)
{
	for (;;) {
		lzma_ret lrc;
		int rc;

		lz->next_out = chunk;
		lz->avail_out = CHUNK_BYTES;
		lrc = lzma_code(lz, LZMA_RUN);
		if (lrc == LZMA_MEM_ERROR || lrc == LZMA_MEMLIMIT_ERROR)
			return -ENOMEM;
		if (lrc != LZMA_OK && lrc != LZMA_STREAM_END)
			return -EBADMSG;
		rc = emit(sink, chunk, CHUNK_BYTES - lz->avail_out);
		if (rc < 0 || lrc == LZMA_STREAM_END)
			return rc;
	}
}

static int
decode_lzma(const uint8_t *buf, size_t len, uint8_t *chunk,
    struct codec_sink *sink, bool alone)
{
	lzma_stream lz = LZMA_STREAM_INIT;
	lzma_ret lrc;
	int rc;

	lrc = alone ? lzma_alone_decoder(&lz, XZ_MEMORY_MAX) :
	    lzma_stream_decoder(&lz, XZ_MEMORY_MAX, 0);
	if (lrc != LZMA_OK)
		return -ENOMEM;
	lz.next_in = buf;
	lz.avail_in = len;
	rc = lzma_all(&lz, chunk, sink);
	lzma_end(&lz);
	return rc;
}

static int
zstd_all(ZSTD_DCtx *ctx, const uint8_t *buf, size_t len, uint8_t *chunk,
    struct codec_sink *sink)
{
	ZSTD_inBuffer in = { buf, len, 0 };

	for (;;) {
		ZSTD_outBuffer out = { chunk, CHUNK_BYTES, 0 };
		size_t before = in.pos, left;
		int rc;

		left = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(left))
			return -EBADMSG;
		rc = emit(sink, chunk, out.pos);
		if (rc < 0 || left == 0)
			return rc;
		if (out.pos == 0 && in.pos == before)
			return -EBADMSG;
	}
}

static int
decode_zstd(const uint8_t *buf, size_t len, uint8_t *chunk,
    struct codec_sink *sink)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	int rc = -ENOMEM;

	if (ctx == NULL)
		return rc;
	if (!ZSTD_isError(ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax,
	    ZSTD_WINDOW_LOG_MAX)))
		rc = zstd_all(ctx, buf, len, chunk, sink);
	ZSTD_freeDCtx(ctx);
	return rc;
}

static uint32_t
le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

/*
 * The legacy frame: the magic, then {le32 size, block} until the input ends;
 * another magic may stand where a size is expected (concatenated frames, see
 * lib/decompress_unlz4.c). BLOCK has room for the largest one, decoded.
 */
static int
decode_lz4(const uint8_t *buf, size_t len, char *block,
    struct codec_sink *sink)
{
	int n, rc = 0;

	if (len < 4 || le32(buf) != LZ4_MAGIC)
		return -EBADMSG;
	while (len > 0 && rc == 0) {
		uint32_t size;

		if (len < 4)
			return -EBADMSG;
		size = le32(buf);
		buf += 4;
		len -= 4;
		if (size == LZ4_MAGIC)
			continue;
		if (size == 0 || size > len ||
		    size > (uint32_t)LZ4_COMPRESSBOUND(LZ4_BLOCK_BYTES))
			return -EBADMSG;
		n = LZ4_decompress_safe((const char *)buf, block, (int)size,
		    (int)LZ4_BLOCK_BYTES);
		if (n < 0)
			return -EBADMSG;
		rc = emit(sink, block, (size_t)n);
		buf += size;
		len -= size;
	}
	return rc;
}

static int
decode_lzo(const uint8_t *buf, size_t len, uint8_t *block,
    struct codec_sink *sink)
{
	struct lzop lzop;
	size_t n = 0;
	int rc = lzop_open(buf, len, &lzop);

	while (rc == 0 && (rc = lzop_block(&lzop, block, &n)) == 0 && n > 0)
		rc = emit(sink, block, n);
	return rc;
}

int
codec_decode(enum codec codec, const uint8_t *buf, size_t len,
    struct codec_sink *sink)
{
	_cleanup_free_ uint8_t *chunk = malloc(codec == CODEC_LZ4 ?
	    LZ4_BLOCK_BYTES : CHUNK_BYTES);

	sink->written_bytes = 0;
	if (chunk == NULL)
		return -ENOMEM;
	switch (codec) {
	case CODEC_NONE:
		return emit(sink, buf, len);
	case CODEC_GZIP:
		return decode_gzip(buf, len, chunk, sink);
	case CODEC_LZMA:
		return decode_lzma(buf, len, chunk, sink, true);
	case CODEC_XZ:
		return decode_lzma(buf, len, chunk, sink, false);
	case CODEC_LZ4:
		return decode_lz4(buf, len, (char *)chunk, sink);
	case CODEC_ZSTD:
		return decode_zstd(buf, len, chunk, sink);
	case CODEC_BZIP2:
		return decode_bzip2(buf, len, chunk, sink);
	case CODEC_LZO:
		return decode_lzo(buf, len, chunk, sink);
	}
	return -EINVAL;
}

int
codec_write_fd(void *arg, const void *data, size_t len)
{
	return write_full(*(const int *)arg, data, len);
}

void
codec_buf_free(struct codec_buf *buf)
{
	free(buf->data);
}

int
codec_write_buf(void *arg, const void *data, size_t len)
{
	struct codec_buf *buf = arg;

	if (len > buf->size - buf->len) {
		size_t size = buf->size < 32768 ? 65536 : buf->size * 2;
		uint8_t *p;

		while (size - buf->len < len)
			size *= 2;
		p = realloc(buf->data, size);
		if (p == NULL)
			return -ENOMEM;
		buf->data = p;
		buf->size = size;
	}
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return 0;
}
