/*
 * An I/O manager for libext2fs over a file that is open already: the job that
 * runs this may not open anything. The "name" is the number of the fd, and
 * closing the channel leaves it open. Nothing is cached: the writer has its
 * own cache, and libext2fs only writes the last few blocks.
 */
#include "image/ext4_internal.h"

#include <string.h>

/* COUNT is in blocks, or in bytes when negative (ext2_io.h). */
static size_t
io_bytes(io_channel channel, int count)
{
	return count < 0 ? (size_t)-count :
	    (size_t)count * (size_t)channel->block_size;
}

static uint64_t
io_place(io_channel channel, uint64_t block)
{
	return block * (uint64_t)channel->block_size;
}

static int
io_fd(io_channel channel)
{
	return (int)channel->reserved[0];
}

static errcode_t
io_open(const char *name, int flags UNUSED, io_channel *out)
{
	io_channel channel = calloc(1, sizeof(*channel));
	uint64_t fd;

	if (channel == NULL)
		return EXT2_ET_NO_MEMORY;
	if (parse_u64(name, INT32_MAX, &fd) < 0 ||
	    (channel->name = strdup(name)) == NULL) {
		free(channel);
		return EXT2_ET_BAD_DEVICE_NAME;
	}
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = &ext4_fd_io;
	channel->block_size = 1024;
	channel->refcount = 1;
	channel->reserved[0] = (long)fd;
	*out = channel;
	return 0;
}

static errcode_t
io_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	free(channel->name);
	free(channel);
	return 0;
}

static errcode_t
io_set_blksize(io_channel channel, int block_size)
{
	channel->block_size = block_size;
	return 0;
}

static errcode_t
io_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	return -read_at(io_fd(channel), data, io_bytes(channel, count),
	    io_place(channel, block));
}

static errcode_t
io_write64(io_channel channel, unsigned long long block, int count,
    const void *data)
{
	return -write_at(io_fd(channel), data, io_bytes(channel, count),
	    io_place(channel, block));
}

static errcode_t
io_read(io_channel channel, unsigned long block, int count, void *data)
{
	return io_read64(channel, block, count, data);
}

static errcode_t
io_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return io_write64(channel, block, count, data);
}

static errcode_t
io_flush(io_channel channel UNUSED)
{
	return 0;
}

/* Not const: libext2fs takes a plain pointer. */
struct struct_io_manager ext4_fd_io = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "fd",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read,
	.write_blk = io_write,
	.flush = io_flush,
	.read_blk64 = io_read64,
	.write_blk64 = io_write64,
};
