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
	    write_at(w->fd, w->data.bytes, fill, w->data.place);
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

int
ext4_writer_file_data(struct ext4_writer *w, const void *buf, size_t len,
    uint64_t offset)
{
	struct open_file *f = &w->file;
	int r;

	if (!f->open || offset < f->pos)
		return -EINVAL;
	if (offset > MAX_FILE_BYTES || len > MAX_FILE_BYTES - offset)
		return -EFBIG;
	if (len == 0)
		return 0;
	if (offset > f->pos && (r = skip_to(w, offset)) < 0)
		return r;
	w->content_bytes += len;
	return file_bytes(w, buf, len);
}

int
ext4_writer_file_end(struct ext4_writer *w, uint64_t size_bytes)
{
	struct open_file *f = &w->file;
	int r;

	if (!f->open || size_bytes < f->pos)
		return -EINVAL;
	if (size_bytes > MAX_FILE_BYTES)
		return -EFBIG;
	f->open = false;
	if ((r = pad_block(w, UINT64_MAX)) < 0 ||
	    (r = extents_finish(w, &f->extents, &f->inode)) < 0)
		return r;
	inode_set_size(&f->inode, size_bytes);
	return inode_write(w, f->ino, &f->inode);
}
