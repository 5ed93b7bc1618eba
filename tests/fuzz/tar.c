/*
 * A tar, or layers, become an ext4 image: any bytes, or tars that are made of the
 * input so that their check sums are right. What is imported must be a file
 * system.
 */
#include "fuzz.h"

#include <ext2fs/ext2fs.h>
#include <stdio.h>

#include "image/ext4_writer.h"
#include "image/image_file.h"

enum { BLOCK = 512, ENTRIES_MAX = 64, LAYERS_MAX = 4 };

/* POSIX ustar, as far as it is filled in. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8];
	char type, link[100], magic[8], user[32], group[32], major[8], minor[8];
	char prefix[155], pad[12];
};

/* One name of a few parts that often meet: directories, links, dots, whiteouts. */
static void
name(struct input *in, char *out, size_t size)
{
	static const char *const parts[] = { "a", "b", "c", "..", ".", "",
		"dir", ".wh.a", "sbin", "init", "lost+found", "caf\xc3\xa9",
		".wh..wh..opq" };
	uint8_t count = take_u8(in) % 4 + 1;
	size_t at = 0;

	while (count-- > 0 && at + 16 < size)
		at += (size_t)snprintf(out + at, size - at, "%s%s",
		    parts[take_u8(in) % ARRAY_SIZE(parts)], count > 0 ? "/" : "");
}

/* Appends an entry to FD. */
static void
entry(int fd, struct input *in)
{
	static const char types[] = "000011223456xgLKSV";
	struct header h;
	struct input body;
	char zeros[BLOCK] = { 0 };
	unsigned int sum = 0;
	size_t i;

	memset(&h, 0, sizeof(h));
	h.type = types[take_u8(in) % (sizeof(types) - 1)];
	name(in, h.name, sizeof(h.name));
	if (strchr("12", h.type) != NULL)
		name(in, h.link, sizeof(h.link));
	body = strchr("0xgLKS", h.type) != NULL ? take_piece(in) :
	    take_bytes(in, 0);
	snprintf(h.mode, sizeof(h.mode), "%07o", take_u8(in) << 4);
	snprintf(h.uid, sizeof(h.uid), "%07o", take_u8(in));
	snprintf(h.gid, sizeof(h.gid), "%07o", 0);
	snprintf(h.size, sizeof(h.size), "%011zo", body.len);
	snprintf(h.mtime, sizeof(h.mtime), "%011o", 1);
	snprintf(h.major, sizeof(h.major), "%07o", take_u8(in));
	memcpy(h.magic, "ustar\00000", 8);
	memset(h.sum, ' ', sizeof(h.sum));
	for (i = 0; i < sizeof(h); i++)
		sum += ((const uint8_t *)&h)[i];
	snprintf(h.sum, sizeof(h.sum), "%06o", sum & 0777777);
	must(write_full(fd, &h, sizeof(h)) == 0 &&
	    write_full(fd, body.data, body.len) == 0 &&
	    write_full(fd, zeros, -body.len % BLOCK) == 0);
}

static int
made_tar(struct input *in)
{
	int fd = memory_file((struct input){ NULL, 0 });
	char zeros[2 * BLOCK] = { 0 };
	unsigned int i;

	_Static_assert(sizeof(struct header) == BLOCK, "tar's block");
	for (i = 0; in->len > 0 && i < ENTRIES_MAX; i++)
		entry(fd, in);
	must(write_full(fd, zeros, sizeof(zeros)) == 0 &&
	    lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* Every inode, every block of a directory, every name in it can be read. */
static int
seen(ext2_ino_t dir, int kind, struct ext2_dir_entry *found, int offset,
    int size, char *buf, void *arg)
{
	ext2_filsys fs = arg;
	struct ext2_inode inode;

	(void)dir;
	(void)kind;
	(void)offset;
	(void)size;
	(void)buf;
	must(found->inode == 0 ||
	    ext2fs_read_inode(fs, found->inode, &inode) == 0);
	must(found->inode == 0 || inode.i_links_count > 0);
	return 0;
}

static void
check_image(int fd)
{
	char path[32];
	struct ext2_inode inode;
	ext2_filsys fs;
	ext2_ino_t ino;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(ext2fs_open(path, EXT2_FLAG_64BITS, 0, 0, unix_io_manager,
	    &fs) == 0);
	must(ext2fs_read_bitmaps(fs) == 0);
	for (ino = EXT2_ROOT_INO; ino <= fs->super->s_inodes_count; ino++) {
		if (!ext2fs_test_inode_bitmap2(fs->inode_map, ino))
			continue;
		must(ext2fs_read_inode(fs, ino, &inode) == 0);
		if (inode.i_links_count > 0 && LINUX_S_ISDIR(inode.i_mode))
			must(ext2fs_dir_iterate2(fs, ino, 0, NULL, seen,
			    fs) == 0);
	}
	ext2fs_close_free(&fs);
}

static void
layers(struct input *in)
{
	struct image_layer all[LAYERS_MAX];
	struct image_import_result result;
	struct image_out out = { memory_file((struct input){ NULL, 0 }),
		EXT4_WRITER_MAX };
	int r;
	uint32_t count = take_u8(in) % LAYERS_MAX + 1, i;
	char err[256] = "";

	for (i = 0; i < count; i++) {
		struct input piece = i + 1 < count ? take_piece(in) : *in;
		int fd = made_tar(&piece);
		uint64_t size = (uint64_t)lseek(fd, 0, SEEK_END);
		void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

		must(map != MAP_FAILED);
		all[i].piece = (struct source_piece){ fd, 0, size };
		all[i].digest_of = take_u8(in) % 2 == 0 ? LAYER_OF_TAR :
		    LAYER_OF_FILE;
		digest_of(map, size, all[i].sha256);
		munmap(map, size);
	}
	r = image_import_layers(all, count, &out, NULL, NULL, &result, err,
	    sizeof(err));
	must((r == 0) == (err[0] == '\0'));
	must(strstr(err, "digest") == NULL);
	if (r == 0)
		check_image(out.fd);
	for (i = 0; i < count; i++)
		close(all[i].piece.fd);
	close(out.fd);
}

static void
one_file(struct input *in, bool made)
{
	struct image_import_result result;
	struct image_file file;
	char err[256] = "";
	int r;

	file.in = made ? made_tar(in) : memory_file(*in);
	file.out = (struct image_out){
		memory_file((struct input){ NULL, 0 }), EXT4_WRITER_MAX };
	file.config = memory_file((struct input){ NULL, 0 });
	file.spool = memory_file((struct input){ NULL, 0 });
	r = image_file_import(&file, NULL, NULL, &result, err, sizeof(err));
	must((r == 0) == (err[0] == '\0'));
	if (r == 0)
		check_image(file.out.fd);
	close(file.in);
	close(file.out.fd);
	close(file.config);
	close(file.spool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	int before = lowest_fd();
	uint8_t how = take_u8(&in) % 4;

	if (how == 3)
		layers(&in);
	else
		one_file(&in, how != 0);
	must(lowest_fd() == before);
	return 0;
}
