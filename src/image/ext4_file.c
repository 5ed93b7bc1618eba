/*
 * Regular files: blocks are allocated as bytes come, in file order, and leave
 * through one buffer that is written when it is full or the next byte belongs
 * elsewhere. Small files end up side by side, so many share one write.
 */
#include "image/ext4_internal.h"

#include <string.h>
#include <sys/stat.h>

static int	 file_bytes(struct ext4_writer *w, const uint8_t *bytes,
	    uint64_t len);

int
data_flush(struct ext4_writer *w)
{
	uint32_t fill = w->data.fill;

	w->data.fill = 0;
	return fill == 0 ? 0 :
	    image_write(w, w->data.bytes, fill, w->data.place);
}

/* Queues LEN bytes for the image's byte PLACE. */
static int
data_append(struct ext4_writer *w, uint64_t place, const uint8_t *bytes,
    size_t len)
{
	struct data_buffer *d = &w->data;
	int r;

	if (d->fill > 0 && d->place + d->fill != place &&
	    (r = data_flush(w)) < 0)
		return r;
	while (len > 0) {
		size_t n = DATA_BYTES - d->fill;

		if (n > len)
			n = len;
		if (d->fill == 0)
			d->place = place;
		memcpy(d->bytes + d->fill, bytes, n);
		d->fill += (uint32_t)n;
		bytes += n;
		place += n;
		len -= n;
		if (d->fill == DATA_BYTES && (r = data_flush(w)) < 0)
			return r;
	}
	return 0;
}

int
ext4_writer_file_begin(struct ext4_writer *w, uint32_t dir, const char *name,
    const struct ext4_attr *attr)
{
	struct open_file *f = &w->file;
	int r;

	if (f->open)
		return -EINVAL;
	if ((r = inode_take(w, false, &f->ino)) < 0 ||
	    (r = inode_fill(w, f->ino, S_IFREG, attr, &f->inode)) < 0 ||
	    (r = inode_write(w, f->ino, &f->inode)) < 0 ||
	    (r = entry_add(w, dir, name, f->ino, S_IFREG)) < 0)
		return r;
	extents_init(&f->extents, f->ino);
	f->pos = 0;
	f->end = 0;
	f->room = 0;
	f->open = true;
	return 0;
}

/* Zeros up to the end of the block, or up to POS if that comes first. */
static int
pad_block(struct ext4_writer *w, uint64_t pos)
{
	struct open_file *f = &w->file;
	uint64_t end = (f->pos + BLOCK_BYTES - 1) & ~(uint64_t)(BLOCK_BYTES - 1);

	return file_bytes(w, w->zeros, (pos < end ? pos : end) - f->pos);
}

/* Moves to OFFSET; whole blocks in between become a hole. */
static int
skip_to(struct ext4_writer *w, uint64_t offset)
{
	struct open_file *f = &w->file;
	int r = pad_block(w, offset);

	if (r < 0 || f->pos == offset)
		return r;
	f->pos = offset & ~(uint64_t)(BLOCK_BYTES - 1);
	return file_bytes(w, w->zeros, offset - f->pos);
}

/* Allocates for LEN further bytes, or as many as there are in one run. */
static int
file_grow(struct ext4_writer *w, uint64_t len)
{
	uint64_t want = (len + BLOCK_BYTES - 1) >> BLOCK_SHIFT;
	struct open_file *f = &w->file;
	uint32_t start, got;
	int r;

	if (want > GROUP_BLOCKS)
		want = GROUP_BLOCKS;
	if ((r = blocks_take(w, (uint32_t)want, &start, &got)) < 0)
		return r;
	r = extents_add(w, &f->extents, (uint32_t)(f->pos >> BLOCK_SHIFT),
	    start, got);
	if (r < 0)
		return r;
	f->place = (uint64_t)start << BLOCK_SHIFT;
	f->room = got << BLOCK_SHIFT;
	return 0;
}

static int
file_bytes(struct ext4_writer *w, const uint8_t *bytes, uint64_t len)
{
	struct open_file *f = &w->file;
	int r;

	while (len > 0) {
		uint32_t n;

		if (f->room == 0 && (r = file_grow(w, len)) < 0)
			return r;
		n = len < f->room ? (uint32_t)len : f->room;
		if ((r = data_append(w, f->place, bytes, n)) < 0)
			return r;
		f->place += n;
		f->pos += n;
		f->room -= n;
		bytes += n;
		len -= n;
	}
	return 0;
}

static bool
is_zero(const uint8_t *bytes, size_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		if (word != 0)
			return false;
		bytes += sizeof(word);
	}
	return len == 0 || memcmp(bytes, &(const uint64_t){ 0 }, len) == 0;
}

/*
 * How many of the LEN bytes at OFFSET come before a block, or a part of one, that
 * is all zeros (or, with ZEROS, that is not).
 */
static size_t
run_length(const uint8_t *bytes, size_t len, uint64_t offset, bool zeros)
{
	size_t n = 0;

	while (n < len) {
		size_t part = BLOCK_BYTES - (offset + n) % BLOCK_BYTES;

		if (part > len - n)
			part = len - n;
		if (is_zero(bytes + n, part) != zeros)
			break;
		n += part;
	}
	return n;
}

/* Bytes that belong to a block of which some have been written. */
static size_t
rest_of_block(const struct open_file *f, size_t len, uint64_t offset)
{
	size_t rest = BLOCK_BYTES - offset % BLOCK_BYTES;

	if (f->pos <= offset - offset % BLOCK_BYTES)
		return 0;
	return rest < len ? rest : len;
}

/*
 * Zeros are only counted: a block that is nothing else stays a hole, and what
 * comes behind them in their block brings them along (skip_to).
 */
int
ext4_writer_file_data(struct ext4_writer *w, const void *buf, size_t len,
    uint64_t offset)
{
	struct open_file *f = &w->file;
	const uint8_t *bytes = buf;
	size_t n;
	int r;

	if (!f->open || offset < f->end)
		return -EINVAL;
	if (offset > EXT4_WRITER_FILE_MAX ||
	    len > EXT4_WRITER_FILE_MAX - offset)
		return -EFBIG;
	if (len > 0)
		f->end = offset + len;
	while (len > 0) {
		n = rest_of_block(f, len, offset);
		n += run_length(bytes + n, len - n, offset + n, false);
		if (n > 0 && ((offset > f->pos &&
		    (r = skip_to(w, offset)) < 0) ||
		    (r = file_bytes(w, bytes, n)) < 0))
			return r;
		w->content_bytes += n;
		n += run_length(bytes + n, len - n, offset + n, true);
		bytes += n;
		offset += n;
		len -= n;
	}
	return 0;
}

int
ext4_writer_file_end(struct ext4_writer *w, uint64_t size_bytes)
{
	struct open_file *f = &w->file;
	int r;

	if (!f->open || size_bytes < f->end)
		return -EINVAL;
	if (size_bytes > EXT4_WRITER_FILE_MAX)
		return -EFBIG;
	f->open = false;
	if ((r = pad_block(w, UINT64_MAX)) < 0 ||
	    (r = extents_finish(w, &f->extents, &f->inode)) < 0)
		return r;
	inode_set_size(&f->inode, size_bytes);
	return inode_write(w, f->ino, &f->inode);
}
