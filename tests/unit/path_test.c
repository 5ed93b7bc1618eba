/*
 * Paths below an fd: symlinks at each component, dot-dot, magic links, other
 * owners, mounts, depth, and somebody who exchanges names meanwhile. A canary
 * outside must never be touched.
 */
#include "unit.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "privsep/path.h"

enum { OTHER = 700001, ROUNDS = 10000, EXCHANGE = 2 /* RENAME_EXCHANGE */ };

static struct temp temp, outside;

static void
must_mkdir(const char *name)
{
	assert_int_equal(mkdirat(temp.fd, name, 0755), 0);
	assert_int_equal(fchmodat(temp.fd, name, 0755, 0), 0);
}

static void
must_link(const char *target, const char *name)
{
	assert_int_equal(symlinkat(target, temp.fd, name), 0);
}

/* A fresh directory for each test, and a canary outside. */
static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	begin_temp(&outside);
	put_file(outside.fd, "canary", "alive", 5);
	assert_int_equal(mkdirat(outside.fd, "dir", 0755), 0);
	put_file(outside.fd, "dir/canary", "alive", 5);
	return 0;
}

static int
tear_down(void **state)
{
	char text[8] = "";
	int fd;

	(void)state;
	fd = openat(outside.fd, "canary", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_memory_equal(text, "alive", 5);
	close(fd);
	assert_true(exists(outside.fd, "dir/canary"));
	end_temp(&temp);
	end_temp(&outside);
	return 0;
}

/* --- path_open --- */

static void
opens_below(void **state)
{
	static const struct {
		const char *path;
		int result;		/* 0: an fd */
	} cases[] = {
		{ "file", 0 },
		{ "a/b/file", 0 },
		{ "a/../file", 0 },	/* stays below */
		{ "./file", 0 },
		{ "a//b/file", 0 },
		{ "absent", -ENOENT },
		{ "a/absent/x", -ENOENT },
		{ "file/x", -ENOTDIR },
		{ "", -ENOENT },
		{ "..", -EXDEV },
		{ "../x", -EXDEV },
		{ "a/../../x", -EXDEV },
		{ "a/b/../../..", -EXDEV },
		{ "/", -EXDEV },
		{ "/etc/passwd", -EXDEV },
		{ "//etc", -EXDEV },
		{ "link-last", -ELOOP },
		{ "link-abs", -ELOOP },
		{ "link-dangling", -ELOOP },
		{ "link-self", -ELOOP },
		{ "link-dir/file", -ELOOP },
		{ "link-out/canary", -ELOOP },
		{ "a/link/file", -ELOOP },
		{ "a/b/link", -ELOOP },
		{ "link-dir/../file", -ELOOP },
		{ "link-root/etc/passwd", -ELOOP },
		{ "link-self-proc/fd", -ELOOP },
	};
	size_t i;

	(void)state;
	must_mkdir("a");
	must_mkdir("a/b");
	put_file(temp.fd, "file", "x", 1);
	put_file(temp.fd, "a/b/file", "x", 1);
	must_link("file", "link-last");
	must_link("/etc/passwd", "link-abs");
	must_link("nothing", "link-dangling");
	must_link("link-self", "link-self");
	must_link("a/b", "link-dir");
	must_link(outside.path, "link-out");
	must_link("b", "a/link");
	must_link("file", "a/b/link");
	must_link("/", "link-root");
	must_link("/proc/self", "link-self-proc");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = path_open(temp.fd, cases[i].path, O_RDONLY, 0);

		assert_case((fd >= 0 ? 0 : fd) == cases[i].result, i,
		    cases[i].path);
		if (fd < 0)
			continue;
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	}
}

static void
magic_links(void **state)
{
	int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int node;

	(void)state;
	assert_int_equal(path_open(proc, "exe", O_RDONLY, 0), -ELOOP);
	assert_int_equal(path_open(proc, "root/etc/passwd", O_RDONLY, 0),
	    -ELOOP);
	assert_int_equal(path_open(proc, "cwd", O_RDONLY, 0), -ELOOP);
	assert_int_equal(path_open(proc, "fd/0", O_RDONLY, 0), -ELOOP);
	assert_int_equal(path_open(proc, "ns/mnt", O_RDONLY, 0), -ELOOP);
	/* A node of a link itself can be had, with both flags. */
	node = path_open(proc, "exe", O_PATH | O_NOFOLLOW, 0);
	assert_true(node >= 0);
	close(node);
	close(proc);
}

static void
creates(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	fd = path_open(temp.fd, "new", O_WRONLY | O_CREAT | O_EXCL, 0640);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	close(fd);
	assert_int_equal(path_open(temp.fd, "new", O_WRONLY | O_CREAT | O_EXCL,
	    0640), -EEXIST);
	/* Not through a link, dangling or not. */
	must_link("created", "dangling");
	assert_int_equal(path_open(temp.fd, "dangling", O_WRONLY | O_CREAT,
	    0600), -ELOOP);
	assert_false(exists(temp.fd, "created"));
	assert_int_equal(path_open(-1, "x", O_RDONLY, 0), -EBADF);
}

/* --- path_open_trusted_dir --- */

static int
trusted(const char *below)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", temp.path, below);
	return path_open_trusted_dir(path);
}

static void
trusted_directories(void **state)
{
	mode_t mask = umask(077);
	struct stat st;
	int fd;

	(void)state;
	need_root();
	fd = trusted("/made/deep/er");
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);	/* whatever the umask */
	assert_int_equal(st.st_uid, 0);
	close(fd);
	umask(mask);
	assert_int_equal(fstatat(temp.fd, "made/deep", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	fd = trusted("/made/deep/er");			/* again */
	assert_true(fd >= 0);
	close(fd);
	/* One that was closed on purpose stays so. */
	must_mkdir("closed");
	assert_int_equal(fchmodat(temp.fd, "closed", 0700, 0), 0);
	fd = trusted("/closed");
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	close(fd);

	must_mkdir("foreign");
	assert_int_equal(fchownat(temp.fd, "foreign", OTHER, 0, 0), 0);
	assert_int_equal(trusted("/foreign"), -EPERM);
	assert_int_equal(trusted("/foreign/x"), -EPERM);
	assert_false(exists(temp.fd, "foreign/x"));
	must_mkdir("group");
	assert_int_equal(fchmodat(temp.fd, "group", 0775, 0), 0);
	assert_int_equal(trusted("/group/x"), -EPERM);
	must_mkdir("world");
	assert_int_equal(fchmodat(temp.fd, "world", 0757, 0), 0);
	assert_int_equal(trusted("/world/x"), -EPERM);
	must_mkdir("sticky");
	assert_int_equal(fchmodat(temp.fd, "sticky", 01777, 0), 0);
	fd = trusted("/sticky/x");
	assert_true(fd >= 0);
	close(fd);
	/* In a sticky one somebody may have been there first. */
	must_mkdir("sticky/theirs");
	assert_int_equal(fchownat(temp.fd, "sticky/theirs", OTHER, 0, 0), 0);
	assert_int_equal(trusted("/sticky/theirs"), -EPERM);

	must_link(outside.path, "link");
	assert_int_equal(trusted("/link"), -ELOOP);
	assert_int_equal(trusted("/link/x"), -ELOOP);
	assert_false(exists(outside.fd, "x"));
	must_link("nowhere", "dangling");
	assert_int_equal(trusted("/dangling"), -ELOOP);
	assert_false(exists(temp.fd, "nowhere"));
	put_file(temp.fd, "file", "", 0);
	assert_int_equal(trusted("/file"), -ENOTDIR);
	assert_int_equal(trusted("/file/x"), -ENOTDIR);
	assert_int_equal(trusted("//x"), -EINVAL);
	assert_int_equal(trusted("/x/"), -EINVAL);
	fd = path_open_trusted_dir("/proc/self/fd");
	assert_int_equal(fd, -ELOOP);
}

/* --- path_make_dir, path_new_dir --- */

static void
made_directories(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	need_root();
	fd = path_new_dir(temp.fd, "new", OTHER, OTHER + 1, 02750);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_uid, OTHER);
	assert_int_equal(st.st_gid, OTHER + 1);
	assert_int_equal(st.st_mode & 07777, 02750);
	close(fd);
	assert_int_equal(path_new_dir(temp.fd, "new", OTHER, OTHER + 1, 02750),
	    -EEXIST);
	fd = path_make_dir(temp.fd, "new", OTHER, OTHER + 1, 02750);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(path_make_dir(temp.fd, "new", OTHER, OTHER + 1, 0750),
	    -EPERM);
	assert_int_equal(path_make_dir(temp.fd, "new", OTHER, OTHER, 02750),
	    -EPERM);
	assert_int_equal(path_make_dir(temp.fd, "new", 0, OTHER + 1, 02750),
	    -EPERM);
	/* Found, it is left as it was. */
	assert_int_equal(fstatat(temp.fd, "new", &st, 0), 0);
	assert_int_equal(st.st_uid, OTHER);
	assert_int_equal(st.st_mode & 07777, 02750);

	must_link(outside.path, "link");
	assert_int_equal(path_make_dir(temp.fd, "link", 0, 0, 0755), -ELOOP);
	assert_int_equal(path_new_dir(temp.fd, "link", 0, 0, 0755), -EEXIST);
	must_link("nowhere", "dangling");
	assert_int_equal(path_make_dir(temp.fd, "dangling", 0, 0, 0755),
	    -ELOOP);
	assert_false(exists(temp.fd, "nowhere"));
	put_file(temp.fd, "file", "", 0);
	assert_int_equal(path_make_dir(temp.fd, "file", 0, 0, 0644), -ENOTDIR);
	assert_int_equal(mkfifoat(temp.fd, "fifo", 0755), 0);
	assert_int_equal(path_make_dir(temp.fd, "fifo", 0, 0, 0755), -ENOTDIR);
	assert_true(path_make_dir(temp.fd, "..", 0, 0, 0755) < 0);
}

/* --- path_remove_tree --- */

static void
removes_trees(void **state)
{
	(void)state;
	assert_int_equal(path_remove_tree(temp.fd, "absent"), 0);
	put_file(temp.fd, "file", "x", 1);
	assert_int_equal(path_remove_tree(temp.fd, "file"), 0);
	assert_false(exists(temp.fd, "file"));
	must_link(outside.path, "link");
	assert_int_equal(path_remove_tree(temp.fd, "link"), 0);
	assert_false(exists(temp.fd, "link"));

	must_mkdir("tree");
	must_mkdir("tree/empty");
	must_mkdir("tree/full");
	must_mkdir("tree/full/er");
	put_file(temp.fd, "tree/full/file", "x", 1);
	put_file(temp.fd, "tree/full/er/file", "x", 1);
	put_file(temp.fd, "tree/-rf", "x", 1);
	put_file(temp.fd, "tree/\n", "x", 1);
	put_file(temp.fd, "tree/.hidden", "x", 1);
	put_file(temp.fd, "tree/...", "x", 1);
	must_link(outside.path, "tree/out");
	must_link("../../../../../../../../etc", "tree/up");
	must_link("/", "tree/full/root");
	must_link("nowhere", "tree/full/dangling");
	assert_int_equal(mkfifoat(temp.fd, "tree/fifo", 0600), 0);
	if (geteuid() == 0)
		assert_int_equal(mknodat(temp.fd, "tree/null", S_IFCHR | 0600,
		    (dev_t)0x103), 0);
	assert_int_equal(fchmodat(temp.fd, "tree/full", 0, 0), 0);
	assert_int_equal(path_remove_tree(temp.fd, "tree"), 0);
	assert_false(exists(temp.fd, "tree"));
}

/* A chain of DEPTH directories in "deep"; its innermost is empty. */
static void
dig(int depth)
{
	int dir = dup(temp.fd), i;

	for (i = 0; i < depth; i++) {
		int next;

		assert_int_equal(mkdirat(dir, i == 0 ? "deep" : "d", 0755), 0);
		next = openat(dir, i == 0 ? "deep" : "d",
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(dir);
		dir = next;
	}
	close(dir);
}

static void
nested_trees(void **state)
{
	unsigned int fds = count_fds();

	(void)state;
	dig(60);
	assert_int_equal(path_remove_tree(temp.fd, "deep"), 0);
	assert_false(exists(temp.fd, "deep"));
	dig(3000);
	assert_int_equal(path_remove_tree(temp.fd, "deep"), -ELOOP);
	assert_int_equal(count_fds(), fds);
}

static void
mounts_inside(void **state)
{
	char path[128];

	(void)state;
	need_root();
	must_mkdir("tree");
	must_mkdir("tree/a");
	must_mkdir("tree/a/mount");
	put_file(temp.fd, "tree/a/file", "", 0);
	snprintf(path, sizeof(path), "%s/tree/a/mount", temp.path);
	assert_int_equal(mount(outside.path, path, NULL, MS_BIND, NULL), 0);
	assert_true(exists(temp.fd, "tree/a/mount/canary"));
	assert_int_equal(path_remove_tree(temp.fd, "tree"), -EXDEV);
	assert_true(exists(temp.fd, "tree/a/mount/canary"));
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	/* And a file that is mounted upon. */
	assert_int_equal(path_remove_tree(temp.fd, "tree/a/mount"), 0);
	put_file(temp.fd, "tree/a/mount", "", 0);
	assert_int_equal(mount("/etc/passwd", path, NULL, MS_BIND, NULL), 0);
	assert_int_equal(path_remove_tree(temp.fd, "tree"), -EBUSY);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	assert_int_equal(path_remove_tree(temp.fd, "tree"), 0);
}

/* --- path_replace_file --- */

static void
replaces_files(void **state)
{
	char text[8] = "", long_name[256];
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(path_replace_file(temp.fd, "r", "one", 3), 0);
	assert_int_equal(path_replace_file(temp.fd, "r", "two2", 4), 0);
	fd = openat(temp.fd, "r", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 4);
	assert_memory_equal(text, "two2", 4);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);
	assert_false(exists(temp.fd, ".r.new"));
	/* What a killed daemon left in the way, or somebody planted. */
	must_link(outside.path, ".r.new");
	assert_int_equal(path_replace_file(temp.fd, "r", "3", 1), 0);
	must_link("/etc/passwd", ".l.new");
	must_link("/etc/passwd", "l");
	assert_int_equal(path_replace_file(temp.fd, "l", "4", 1), 0);
	assert_int_equal(fstatat(temp.fd, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	/* Nothing stays of a failure. */
	must_mkdir("d");
	assert_int_equal(path_replace_file(temp.fd, "d", "5", 1), -EISDIR);
	assert_false(exists(temp.fd, ".d.new"));
	memset(long_name, 'x', 255);
	long_name[255] = '\0';
	assert_int_equal(path_replace_file(temp.fd, long_name, "6", 1),
	    -ENAMETOOLONG);
}

/* --- races --- */

static atomic_bool stop;

/* Swaps tree/dir with tree/link, which leads outside, for ever. */
static void *
exchange(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop))
		(void)syscall(SYS_renameat2, temp.fd, "tree/dir", temp.fd,
		    "tree/link", EXCHANGE);
	return NULL;
}

static void
make_swap_tree(void)
{
	(void)mkdirat(temp.fd, "tree", 0755);
	(void)mkdirat(temp.fd, "tree/dir", 0755);
	(void)symlinkat(outside.path, temp.fd, "tree/link");
}

static void
races(void **state)
{
	unsigned int i, opened = 0, refused = 0, removed = 0;
	struct stat canary;
	pthread_t thread;

	(void)state;
	assert_int_equal(fstatat(outside.fd, "canary", &canary, 0), 0);
	make_swap_tree();
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, exchange, NULL), 0);
	for (i = 0; i < ROUNDS; i++) {
		struct stat st;
		int fd = path_open(temp.fd, "tree/dir/canary", O_RDWR, 0);

		/* Never the one outside. */
		assert_true(fd < 0);
		opened += fd == -ENOENT;
		refused += fd == -ELOOP;
		fd = path_open(temp.fd, "tree/dir",
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (fd >= 0) {
			assert_int_equal(fstat(fd, &st), 0);
			assert_true(st.st_dev == canary.st_dev);
			assert_false(exists(fd, "canary"));
			close(fd);
		}
		fd = path_make_dir(temp.fd, "tree/dir", 0, 0, 0700);
		close_fdp(&fd);
		if (i % 4 == 0) {
			(void)path_replace_file(temp.fd, "record", "x", 1);
			removed += path_remove_tree(temp.fd, "tree") == 0;
			make_swap_tree();
		}
		assert_true(exists(outside.fd, "canary"));
		assert_true(exists(outside.fd, "dir/canary"));
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	print_message("%u rounds: %u in the directory, %u refused, %u removed\n",
	    i, opened, refused, removed);
	assert_true(opened > 0 && refused > 0 && removed > 0);
}

#define path_unit_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		path_unit_test(opens_below),
		path_unit_test(magic_links),
		path_unit_test(creates),
		path_unit_test(trusted_directories),
		path_unit_test(made_directories),
		path_unit_test(removes_trees),
		path_unit_test(nested_trees),
		path_unit_test(mounts_inside),
		path_unit_test(replaces_files),
		path_unit_test(races),
	};

	/* mounts_inside mounts where nobody else sees it. */
	if (geteuid() == 0 && (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)) {
		perror("mount namespace");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
