/*
 * An ext4 file system of a stranger's becomes a tar: one that is whole, but for
 * some bytes of it that the input changes, with no checksums in the way. What
 * comes out is no more than the file system has room for.
 */
#include "fuzz.h"

#include <sys/stat.h>

#include "image/ext4_reader.h"
#include "image/ext4_tar.h"
#include "image/ext4_writer.h"

enum {
	PIECE = 64, PIECES_MAX = 4096, CHANGES_MAX = 64,
	/* Headers of one entry, with its path, target and attributes. */
	ENTRY_MAX = 128 << 10,
	RO_COMPAT_AT = 1024 + 0x64, METADATA_CSUM = 0x400,
};

/* The file system, and where it is not zero. */
static uint8_t *image;
static size_t image_len, pieces[PIECES_MAX], piece_count;
static int image_fd = -1;

static void
add_file(struct ext4_writer *w, uint32_t dir, const char *name,
    const struct ext4_attr *attr, uint64_t at, uint64_t size)
{
	char data[3000];

	memset(data, 'd', sizeof(data));
	must(ext4_writer_file_begin(w, dir, name, attr) == 0 &&
	    ext4_writer_file_data(w, data, sizeof(data), at) == 0 &&
	    ext4_writer_file_end(w, size) == 0);
}

static void
fill(struct ext4_writer *w)
{
	static const char value[300] = "value";
	const struct ext4_xattr xattrs[] = { { "user.a", value, 5 },
		{ "user.long", value, sizeof(value) } };
	const struct ext4_attr plain = { .mode = 0755 },
	    with = { .mode = 0644, .xattrs = xattrs, .xattr_count = 2 };
	uint32_t dir, ino;
	char target[100], name[] = "x0";

	memset(target, 't', sizeof(target));
	target[sizeof(target) - 1] = '\0';
	must(ext4_writer_mkdir(w, EXT4_WRITER_ROOT, "sbin", &plain, &dir) ==
	    0 && ext4_writer_symlink(w, dir, "init", "../f", &plain) == 0 &&
	    ext4_writer_symlink(w, dir, "far", target, &plain) == 0 &&
	    ext4_writer_mkdir(w, dir, "below", &with, &dir) == 0 &&
	    ext4_writer_mknod(w, dir, "null", S_IFCHR, 1, 3, &plain) == 0);
	add_file(w, EXT4_WRITER_ROOT, "f", &with, 0, 3000);
	add_file(w, EXT4_WRITER_ROOT, "sparse", &plain, 1 << 20, 2 << 20);
	must(ext4_writer_lookup(w, EXT4_WRITER_ROOT, "f", &ino) == 0 &&
	    ext4_writer_link(w, dir, "f", ino) == 0);
	/* One with more extents than its inode has room for. */
	must(ext4_writer_file_begin(w, dir, "holes", &plain) == 0);
	for (ino = 0; ino < 8; ino++)
		must(ext4_writer_file_data(w, target, 90, ino << 14) == 0);
	must(ext4_writer_file_end(w, 1 << 18) == 0);
	for (; name[1] <= '9'; name[1]++)
		must(ext4_writer_mknod(w, dir, name, S_IFIFO, 0, 0,
		    &plain) == 0);
}

static void
make_image(void)
{
	static const uint8_t zeros[PIECE];
	struct ext4_writer_result result;
	struct ext4_writer *w;
	size_t i;

	image_fd = memory_file((struct input){ NULL, 0 });
	must(ext4_writer_begin(image_fd, EXT4_WRITER_MAX, &w) == 0);
	fill(w);
	must(ext4_writer_finish(w, &result) == 0);
	ext4_writer_free(w);
	image_len = (size_t)result.size_bytes;
	image = mmap(NULL, image_len, PROT_READ | PROT_WRITE, MAP_SHARED,
	    image_fd, 0);
	must(image != MAP_FAILED);
	image[RO_COMPAT_AT + 1] &= (uint8_t)~(METADATA_CSUM >> 8);
	for (i = 0; i < image_len && piece_count < PIECES_MAX; i += PIECE)
		if (memcmp(image + i, zeros, PIECE) != 0 && image[i] != 'd')
			pieces[piece_count++] = i;
}

/* What was at a place before it was changed. */
struct change {
	size_t at;
	uint8_t before;
};

/* Each of three bytes: a piece, a place in it, and what it becomes. */
static size_t
change(struct input *in, struct change changes[CHANGES_MAX])
{
	size_t n;

	for (n = 0; n < CHANGES_MAX && in->len >= 4; n++) {
		size_t piece = (size_t)take_u8(in) << 8;

		piece = (piece | take_u8(in)) % piece_count;
		changes[n].at = pieces[piece] + take_u8(in) % PIECE;
		changes[n].before = image[changes[n].at];
		image[changes[n].at] = take_u8(in);
	}
	return n;
}

static int
count_bytes(void *arg, const void *bytes, size_t len)
{
	volatile uint8_t last = len > 0 ? ((const uint8_t *)bytes)[len - 1] :
	    0;

	(void)last;
	*(uint64_t *)arg += len;
	return 0;
}

static void
read_image(bool whole)
{
	struct ext4_info info;
	ext2_filsys fs = NULL;
	uint64_t entries = 0, bytes = 0;
	char err[256] = "";
	int r = ext4_reader_open(image_fd, &fs, err, sizeof(err));

	if (r == 0) {
		ext4_reader_look(fs, &info);
		must(info.size_bytes > 0 && info.size_bytes <= image_len &&
		    info.used_bytes <= info.size_bytes);
		r = ext4_tar(fs, count_bytes, NULL, &bytes, &entries, err,
		    sizeof(err));
		must(bytes <= info.size_bytes + (entries + 1) * ENTRY_MAX);
	}
	must((r == 0) == (err[0] == '\0'));
	must(!whole || (r == 0 && info.has_init && entries == 20));
	ext4_reader_close(&fs);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct change changes[CHANGES_MAX];
	struct input in = { data, len };
	int before;
	size_t n;

	if (image == NULL)
		make_image();
	before = lowest_fd();
	n = change(&in, changes);
	read_image(n == 0);
	while (n-- > 0)
		image[changes[n].at] = changes[n].before;
	must(lowest_fd() == before);
	return 0;
}
