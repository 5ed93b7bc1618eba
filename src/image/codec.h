/*
 * The compressions that kernels and their modules come in. A codec turns
 * bytes in memory into bytes given to a sink; it opens nothing, and a bound
 * on the output is the sink's (sink.limit).
 */
#ifndef BANGER_IMAGE_CODEC_H
#define BANGER_IMAGE_CODEC_H

#include <stddef.h>
#include <stdint.h>

/* In the order of the kernel's own list (lib/decompress.c). */
enum codec {
	CODEC_NONE,
	CODEC_GZIP,
	CODEC_BZIP2,
	CODEC_LZMA,
	CODEC_XZ,
	CODEC_LZO,		/* an lzop file */
	CODEC_LZ4,		/* the legacy frame, `lz4 -l` */
	CODEC_ZSTD,
};

/*
 * Where decompressed bytes go. WRITE gets each piece in order and returns 0
 * or -errno, which ends the decoding. More than LIMIT_BYTES in all is -EFBIG,
 * found out before WRITE sees the piece that crosses it.
 */
struct codec_sink {
	int	(*write)(void *arg, const void *data, size_t len);
	void	*arg;
	uint64_t limit_bytes;
	uint64_t written_bytes;		/* set by codec_decode */
};

/*
 * Tells the compression of BUF (LEN bytes) by its magic number; CODEC_NONE
 * when it has none of them.
 */
enum codec codec_of(const uint8_t *buf, size_t len);

/* The name people know it by: "xz". A static string. */
const char *codec_name(enum codec);

/*
 * Decodes one stream of BUF into SINK; bytes after its end are not looked at,
 * except with CODEC_LZ4, whose legacy frame has no end mark: there BUF must
 * end where the frame ends. CODEC_NONE copies.
 * 0; -EBADMSG when the bytes are not such a stream or end early; -EFBIG when
 * the output crosses the limit; -ENOMEM; or what SINK.write returned.
 */
int	 codec_decode(enum codec, const uint8_t *buf, size_t len,
    struct codec_sink *sink);

/* A sink's write function for an fd: ARG points at an int. */
int	 codec_write_fd(void *arg, const void *data, size_t len);

/* A growing buffer, for codec_write_buf; begins as zeros. */
struct codec_buf {
	uint8_t	*data;
	size_t	 len;
	size_t	 size;
};

/* Frees BUF's data. For _cleanup_codec_buf_. */
void	 codec_buf_free(struct codec_buf *buf);

#define _cleanup_codec_buf_ __attribute__((cleanup(codec_buf_free)))

/* A sink's write function for memory: ARG points at a struct codec_buf. */
int	 codec_write_buf(void *arg, const void *data, size_t len);

#endif
