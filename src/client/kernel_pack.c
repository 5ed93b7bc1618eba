/*
 * Only what is needed is sent, and it is the import's own code (modules.c)
 * that says what that is: the set is filled from the modules directory until
 * its order is complete, then written out, uncompressed.
 */
#include "client/kernel_pack.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/kernel_tree.h"
#include "client/tar_out.h"
#include "image/bzimage.h"
#include "image/errmsg.h"
#include "image/kernel_config.h"
#include "image/kernel_scan.h"
#include "image/modules.h"
#include "privsep/util.h"

#define DEPTH_MAX	16	/* of directories below kernel/ */
#define ROUNDS_MAX	8	/* looks at the directory */
#define BUILTIN_BYTES_MAX (4U << 20)

struct pack {
	struct tar_out	 tar;
	int		 kernel_fd;
	int		 dir_fd;	/* of the modules, -1 for none */
	struct module_set *set;
	const struct module *order[MODULE_SET_MAX];
	size_t		 count;
	char		 release[KERNEL_RELEASE_MAX];
	uint8_t		*builtin;	/* NULL: none there */
	size_t		 builtin_len;
	uint8_t		*config;	/* NULL: none there */
	size_t		 config_len;
	char		*err;
	size_t		 err_size;
};

static int
put_modules(struct pack *p)
{
	char dir[KERNEL_RELEASE_MAX + 16], name[MODULE_NAME_MAX + 4];
	int rc = format(dir, sizeof(dir), "lib/modules/%s", p->release);

	if (rc == 0 && p->builtin != NULL)
		rc = tar_out_data(&p->tar, dir, "modules.builtin",
		    p->builtin, p->builtin_len);
	for (size_t i = 0; rc == 0 && i < p->count; i++) {
		const struct module *m = p->order[i];

		rc = format(name, sizeof(name), "%s.ko", m->name);
		if (rc == 0)
			rc = tar_out_data(&p->tar, dir, name, m->data,
			    m->len);
	}
	return rc;
}

/* The kernel with its configuration, and the end. */
static int
put_kernel(struct pack *p)
{
	char name[100];
	int rc = 0;

	if (p->config != NULL && format(name, sizeof(name), "config-%s",
	    p->release) == 0)
		rc = tar_out_data(&p->tar, "boot", name, p->config,
		    p->config_len);
	if (rc < 0)
		return rc;
	if (p->release[0] == '\0' || format(name, sizeof(name), "vmlinuz-%s",
	    p->release) < 0)
		memcpy(name, "vmlinuz", sizeof("vmlinuz"));
	rc = tar_out_file(&p->tar, "boot", name, p->kernel_fd);
	return rc < 0 ? rc : tar_out_end(&p->tar);
}

/* Reads the regular file NAME below DIR_FD, at most MAX bytes. */
static int
load_file(int dir_fd, const char *name, size_t max, uint8_t **data,
    size_t *len)
{
	_cleanup_close_ int fd = openat(dir_fd, name,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ uint8_t *buf = NULL;
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL)
		return -ENOMEM;
	rc = read_full(fd, buf, (size_t)st.st_size);
	if (rc < 0)
		return rc;
	*data = steal_ptr(&buf);
	*len = (size_t)st.st_size;
	return 0;
}

static int
add_module(struct pack *p, int dir_fd, const char *file)
{
	_cleanup_free_ uint8_t *data = NULL;
	char name[MODULE_NAME_MAX];
	size_t len = 0;
	int rc;

	if (!module_name(file, strlen(file), true, name) ||
	    !module_set_wants(p->set, name))
		return 0;
	rc = load_file(dir_fd, file, MODULE_BYTES_MAX, &data, &len);
	if (rc < 0)
		return errmsg(p->err, p->err_size, rc,
		    "cannot read module %s: %s", file, strerror(-rc));
	return module_set_add(p->set, file, data, len, p->err, p->err_size);
}

static void
close_dir(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

/*
 * Adds the wanted modules below the directory NAME of DIR_FD. Links to
 * directories are not followed below the top: build/ and source/ are such.
 */
static int
walk(struct pack *p, int dir_fd, const char *name, int depth)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0));
	__attribute__((cleanup(close_dir))) DIR *d = NULL;
	struct dirent *e;
	int rc = 0;

	if (fd < 0 && depth > 0 && (errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (fd < 0)
		return errmsg(p->err, p->err_size, -errno,
		    "cannot open modules directory %s: %s", name,
		    strerror(errno));
	d = fdopendir(fd);
	if (d == NULL)
		return -errno;
	dir_fd = steal_fd(&fd);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (strstr(e->d_name, ".ko") != NULL)
			rc = add_module(p, dir_fd, e->d_name);
		else if (depth < DEPTH_MAX &&
		    (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))
			rc = walk(p, dir_fd, e->d_name, depth + 1);
	}
	return rc;
}

/*
 * What the modules say they were built for; without any, what their
 * directory is called.
 */
static void
find_release(struct pack *p, const char *modules_dir)
{
	_cleanup_free_ char *real = NULL;
	const char *s = NULL;
	size_t len;

	if (p->set->count > 0)
		s = p->set->modules[0].info.vermagic;
	else if ((real = realpath(modules_dir, NULL)) != NULL)
		s = strrchr(real, '/') + 1;
	len = s == NULL ? 0 : strcspn(s, " /");
	if (len == 0 || len >= sizeof(p->release))
		return;
	memcpy(p->release, s, len);
	p->release[len] = '\0';
}

static int
collect_modules(struct pack *p, const char *modules_dir)
{
	const char *top = faccessat(p->dir_fd, "kernel", F_OK, 0) == 0 ?
	    "kernel" : ".";
	int rc = load_file(p->dir_fd, "modules.builtin", BUILTIN_BYTES_MAX,
	    &p->builtin, &p->builtin_len);

	if (rc < 0 && rc != -ENOENT)
		return errmsg(p->err, p->err_size, rc,
		    "cannot read %s/modules.builtin: %s", modules_dir,
		    strerror(-rc));
	if (rc == 0)
		module_set_builtin(p->set, (const char *)p->builtin,
		    p->builtin_len);
	for (int round = 1;; round++) {
		rc = walk(p, p->dir_fd, top, 0);
		if (rc < 0)
			return rc;
		if (p->release[0] == '\0')
			find_release(p, modules_dir);
		if (p->release[0] == '\0')
			return errmsg(p->err, p->err_size, -EINVAL,
			    "cannot tell which kernel the modules in %s are for",
			    modules_dir);
		rc = module_set_order(p->set, p->release, p->order, &p->count,
		    p->err, p->err_size);
		if (rc == 0 && p->count == 0 && p->builtin == NULL)
			return errmsg(p->err, p->err_size, -ENOENT,
			    "%s: no modules in there", modules_dir);
		if (rc != -EAGAIN || round == ROUNDS_MAX)
			return rc;
	}
}

/*
 * The configuration lies among the modules or beside the kernel. Without any, or
 * with one that cannot be read, less is checked.
 */
static void
find_config(struct pack *p, const char *kernel_path)
{
	const char *slash = strrchr(kernel_path, '/');
	int dir = slash == NULL ? 0 : (int)(slash + 1 - kernel_path);
	char path[PATH_MAX];

	if (p->dir_fd >= 0 && load_file(p->dir_fd, "config",
	    KERNEL_CONFIG_MAX, &p->config, &p->config_len) == 0)
		return;
	if (p->release[0] != '\0' && format(path, sizeof(path),
	    "%.*sconfig-%s", dir, kernel_path, p->release) == 0)
		(void)load_file(AT_FDCWD, path, KERNEL_CONFIG_MAX, &p->config,
		    &p->config_len);
}

/* Opens the kernel: a regular file of a size that the import will take. */
static int
open_kernel(const char *path, char *err, size_t err_size)
{
	_cleanup_close_ int fd = open(path,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errmsg(err, err_size, -errno,
		    "cannot open kernel %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return errmsg(err, err_size, -EINVAL,
		    "kernel %s is not a regular file", path);
	if ((uint64_t)st.st_size > BZIMAGE_BYTES_MAX)
		return errmsg(err, err_size, -EFBIG,
		    "kernel %s is larger than %llu MiB", path,
		    BZIMAGE_BYTES_MAX >> 20);
	return steal_fd(&fd);
}

static int
pack_opened(struct pack *p, const char *kernel_path, const char *modules_dir)
{
	const char *named = kernel_file_release(kernel_path);
	int rc = 0;

	if (modules_dir != NULL)
		rc = collect_modules(p, modules_dir);
	else if (named != NULL)
		(void)format(p->release, sizeof(p->release), "%s", named);
	if (rc < 0)
		return rc;
	find_config(p, kernel_path);
	if (modules_dir != NULL)
		rc = put_modules(p);
	if (rc == 0)
		rc = put_kernel(p);
	if (rc < 0)
		return errmsg(p->err, p->err_size, rc,
		    "cannot send the kernel: %s", strerror(-rc));
	return 0;
}

int
kernel_pack(const char *vmlinuz_path, const char *modules_dir, int out_fd,
    char *err, size_t err_size)
{
	_cleanup_close_ int kernel_fd = -1;
	_cleanup_close_ int dir_fd = -1;
	struct pack p = { .tar = { out_fd, err, err_size }, .err = err,
		.err_size = err_size };
	int rc;

	kernel_fd = open_kernel(vmlinuz_path, err, err_size);
	if (kernel_fd < 0)
		return kernel_fd;
	if (modules_dir != NULL) {
		dir_fd = open(modules_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd < 0)
			return errmsg(err, err_size, -errno,
			    "cannot open modules directory %s: %s",
			    modules_dir, strerror(errno));
	}
	p.set = module_set_new();
	if (p.set == NULL)
		return errmsg(err, err_size, -ENOMEM, "out of memory");
	p.kernel_fd = kernel_fd;
	p.dir_fd = dir_fd;
	rc = pack_opened(&p, vmlinuz_path, modules_dir);
	module_set_free(p.set);
	free(p.builtin);
	free(p.config);
	return rc;
}
