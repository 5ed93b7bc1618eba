/*
 * Decompression as a pull stream. Each codec turns the bytes in IN into bytes
 * in OUT, as far as either lasts. Its memory is bounded by the compressor's
 * window: 32 KiB for gzip, 8 MiB for the usual xz and zstd levels, and never
 * more than what WINDOW_MAX_LOG and XZ_MEMORY_MAX allow.
 */
#include "image/source.h"

#include <lzma.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "image/codec.h"
#include "image/errmsg.h"

#define IN_BYTES 262144u
#define OUT_BYTES 262144u
#define FIRST_BYTES 16384u
#define WINDOW_MAX_LOG 27		/* zstd -19 and --long */
#define XZ_MEMORY_MAX (80u << 20)	/* xz -9 */

struct source {
	struct source_piece piece;
	struct digest *raw, *plain;
	source_progress *progress;
	void *progress_arg;
	enum codec codec;
	uint64_t bytes_read;
	bool input_ended;
	bool whole;		/* at the end of a frame or member */
	bool ended;
	const void *last;	/* given last */
	size_t last_len;
	bool unread;
	uint8_t *in;
	size_t in_at;
	size_t in_len;
	uint8_t *out;
	z_stream gzip;
	lzma_stream xz;
	ZSTD_DStream *zstd;
};

/* read(2) of the piece, up to LEN bytes. */
static ssize_t
read_piece(struct source *s, void *buf, size_t len)
{
	struct source_piece *piece = &s->piece;
	ssize_t n;

	if (piece->size < len)
		len = piece->size;
	do {
		n = piece->size == SOURCE_REST ? read(piece->fd, buf, len) :
		    pread(piece->fd, buf, len, (off_t)piece->offset);
	} while (n < 0 && errno == EINTR);
	if (n > 0 && piece->size != SOURCE_REST) {
		piece->offset += (uint64_t)n;
		piece->size -= (uint64_t)n;
	}
	return n;
}

static int
fail_read(char *err, size_t err_size)
{
	return errmsg(err, err_size, -errno, "reading the archive: %s",
	    strerror(errno));
}

/* Refills IN when it is used up. */
static int
fill(struct source *s, char *err, size_t err_size)
{
	ssize_t n;

	if (s->in_at < s->in_len || s->input_ended)
		return 0;
	n = read_piece(s, s->in, IN_BYTES);
	if (n < 0)
		return fail_read(err, err_size);
	if (s->raw != NULL)
		digest_add(s->raw, s->in, (size_t)n);
	s->in_at = 0;
	s->in_len = (size_t)n;
	s->input_ended = n == 0;
	s->bytes_read += (uint64_t)n;
	if (s->progress != NULL)
		s->progress(s->progress_arg, s->bytes_read);
	return 0;
}

/* Enough of the beginning to tell what it is; a pipe may give little at once. */
static int
fill_first(struct source *s, char *err, size_t err_size)
{
	while (s->in_len < FIRST_BYTES && !s->input_ended) {
		ssize_t n = read_piece(s, s->in + s->in_len,
		    IN_BYTES - s->in_len);

		if (n < 0)
			return fail_read(err, err_size);
		s->in_len += (size_t)n;
		s->input_ended = n == 0;
	}
	s->bytes_read = s->in_len;
	if (s->in_len == 0)
		return errmsg(err, err_size, -ENODATA, "the archive is empty");
	return 0;
}

static int
start_codec(struct source *s, char *err, size_t err_size)
{
	bool ok;

	switch (s->codec) {
	case CODEC_NONE:
		return 0;
	case CODEC_GZIP:
		ok = inflateInit2(&s->gzip, MAX_WBITS + 16) == Z_OK;
		break;
	case CODEC_XZ:
		ok = lzma_stream_decoder(&s->xz, XZ_MEMORY_MAX,
		    LZMA_CONCATENATED) == LZMA_OK;
		break;
	case CODEC_ZSTD:
		s->zstd = ZSTD_createDStream();
		ok = s->zstd != NULL && !ZSTD_isError(ZSTD_DCtx_setParameter(
		    s->zstd, ZSTD_d_windowLogMax, WINDOW_MAX_LOG));
		break;
	case CODEC_BZIP2:
	case CODEC_LZMA:
	case CODEC_LZO:
	case CODEC_LZ4:
	default:
		return errmsg(err, err_size, -ENOTSUP, "the archive is "
		    "compressed with %s; plain, gzip, xz and zstd can be read",
		    codec_name(s->codec));
	}
	return ok ? 0 : errmsg(err, err_size, -ENOMEM, "out of memory");
}

void
source_digest(struct source *s, struct digest *raw, struct digest *plain)
{
	s->raw = raw;
	s->plain = plain;
	if (raw != NULL)
		digest_add(raw, s->in, s->in_len);
}

int
source_open(const struct source_piece *piece, source_progress *progress,
    void *arg, struct source **out, char *err, size_t err_size)
{
	struct source *s = calloc(1, sizeof(*s));
	int r = 0;

	if (s == NULL)
		return errmsg(err, err_size, -ENOMEM, "out of memory");
	s->piece = *piece;
	s->progress = progress;
	s->progress_arg = arg;
	s->in = malloc(IN_BYTES);
	s->out = malloc(OUT_BYTES);
	if (s->in == NULL || s->out == NULL)
		r = errmsg(err, err_size, -ENOMEM, "out of memory");
	if (r == 0 && (r = fill_first(s, err, err_size)) == 0) {
		s->codec = codec_of(s->in, s->in_len);
		r = start_codec(s, err, err_size);
	}
	if (r < 0) {
		source_close(s);
		return r;
	}
	*out = s;
	return 0;
}

void
source_close(struct source *s)
{
	if (s == NULL)
		return;
	if (s->codec == CODEC_GZIP)
		inflateEnd(&s->gzip);
	lzma_end(&s->xz);
	ZSTD_freeDStream(s->zstd);
	free(s->in);
	free(s->out);
	free(s);
}

/*
 * A gzip file is one or more members; what follows the last one and does not
 * begin like another is padding, as gzip(1) takes it.
 */
static int
step_gzip(struct source *s, size_t *made)
{
	int r;

	if (s->whole) {
		if (s->in[s->in_at] != 0x1f) {
			s->in_at = s->in_len;
			return 0;
		}
		inflateReset(&s->gzip);
		s->whole = false;
	}
	s->gzip.next_in = s->in + s->in_at;
	s->gzip.avail_in = (uInt)(s->in_len - s->in_at);
	s->gzip.next_out = s->out;
	s->gzip.avail_out = OUT_BYTES;
	r = inflate(&s->gzip, Z_NO_FLUSH);
	s->in_at = s->in_len - s->gzip.avail_in;
	*made = OUT_BYTES - s->gzip.avail_out;
	s->whole = r == Z_STREAM_END;
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	return r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR ? 0 :
	    -EBADMSG;
}

static int
step_xz(struct source *s, size_t *made)
{
	lzma_ret r;

	s->xz.next_in = s->in + s->in_at;
	s->xz.avail_in = s->in_len - s->in_at;
	s->xz.next_out = s->out;
	s->xz.avail_out = OUT_BYTES;
	r = lzma_code(&s->xz, s->input_ended ? LZMA_FINISH : LZMA_RUN);
	/* No progress: cut off, if it is because there is no more input. */
	if (r == LZMA_BUF_ERROR && s->in_at == s->in_len)
		r = LZMA_OK;
	s->in_at = s->in_len - s->xz.avail_in;
	*made = OUT_BYTES - s->xz.avail_out;
	s->whole = r == LZMA_STREAM_END;
	if (r == LZMA_MEM_ERROR || r == LZMA_MEMLIMIT_ERROR)
		return -ENOMEM;
	return r == LZMA_OK || r == LZMA_STREAM_END ? 0 : -EBADMSG;
}

static int
step_zstd(struct source *s, size_t *made)
{
	ZSTD_inBuffer in = { s->in, s->in_len, s->in_at };
	ZSTD_outBuffer out = { s->out, OUT_BYTES, 0 };
	size_t r = ZSTD_decompressStream(s->zstd, &out, &in);

	s->in_at = in.pos;
	*made = out.pos;
	s->whole = r == 0;
	return ZSTD_isError(r) ? -EBADMSG : 0;
}

/* One call of the codec. A codec may have output left without any input. */
static int
step(struct source *s, size_t *made, char *err, size_t err_size)
{
	bool no_input = s->in_at == s->in_len;
	int r;

	*made = 0;
	if (no_input && s->whole) {
		s->ended = true;
		return 0;
	}
	if (s->codec == CODEC_GZIP)
		r = step_gzip(s, made);
	else if (s->codec == CODEC_XZ)
		r = step_xz(s, made);
	else
		r = step_zstd(s, made);
	if (r == -ENOMEM)
		return errmsg(err, err_size, r, "decompressing the archive "
		    "takes too much memory");
	if (r == 0 && no_input && *made == 0 && !s->whole)
		return errmsg(err, err_size, -EBADMSG, "the archive is cut "
		    "off (%s)", codec_name(s->codec));
	if (r < 0)
		return errmsg(err, err_size, r, "the archive is damaged (%s)",
		    codec_name(s->codec));
	return 0;
}

int
source_read(struct source *s, const void **buf, size_t *len, char *err,
    size_t err_size)
{
	size_t made = 0;
	int r;

	if (s->unread) {
		s->unread = false;
		*buf = s->last;
		*len = s->last_len;
		return 0;
	}
	*buf = s->out;
	*len = 0;
	while (!s->ended && made == 0) {
		if ((r = fill(s, err, err_size)) < 0)
			return r;
		if (s->codec == CODEC_NONE) {
			*buf = s->in + s->in_at;
			*len = s->in_len - s->in_at;
			s->in_at = s->in_len;
			break;
		}
		if ((r = step(s, &made, err, err_size)) < 0)
			return r;
		*buf = s->out;
		*len = made;
	}
	if (s->plain != NULL)
		digest_add(s->plain, *buf, *len);
	s->last = *buf;
	s->last_len = *len;
	return 0;
}

void
source_unread(struct source *s)
{
	s->unread = true;
}

int
source_skip(struct source *s)
{
	int r;

	do {
		s->in_at = s->in_len;
		r = fill(s, NULL, 0);
	} while (r == 0 && !s->input_ended);
	return r;
}
