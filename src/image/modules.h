/*
 * Which kernel modules a guest needs, and in which order they load.
 *
 * The order comes from each module's own .modinfo section (`depends`), not
 * from modules.dep: that file is made by depmod from the same field, a
 * package does not carry it (its postinst runs depmod), and one that came
 * along could disagree with the modules it describes.
 */
#ifndef BANGER_IMAGE_MODULES_H
#define BANGER_IMAGE_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULE_NAME_MAX		64	/* MODULE_NAME_LEN is 56 */
#define MODULE_BYTES_MAX	(16U << 20)	/* one, decompressed */
#define MODULE_SET_BYTES_MAX	(64U << 20)	/* all that are kept */
#define MODULE_SET_MAX		256

/* Without it a guest runs under QEMU, not under Firecracker. */
#define MODULE_VSOCK		"vmw_vsock_virtio_transport"

/*
 * What .modinfo says. The strings are borrowed from the module's bytes and
 * terminated there; NULL when absent.
 */
struct module_info {
	const char	*name;
	const char	*depends;	/* "virtio,virtio_ring" or "" */
	const char	*vermagic;	/* "6.1.0-56-cloud-amd64 SMP preempt …" */
};

/*
 * Parses the .modinfo of an uncompressed module. 0 and *OUT, or -EBADMSG when
 * BUF is not an ELF file with a well-formed .modinfo.
 */
int	 module_info_parse(const uint8_t *buf, size_t len,
    struct module_info *out);

/*
 * Makes a module's name of the LEN bytes at S: '-' becomes '_', as the kernel
 * does it. With SUFFIX, S is a file name or path, of which the last component
 * counts and must end in .ko, .ko.xz, .ko.gz or .ko.zst. False, with OUT
 * untouched, when the result would be empty, too long, or have bytes outside
 * [A-Za-z0-9_]: such a name never becomes a file name.
 */
bool	 module_name(const char *s, size_t len, bool suffix,
    char out[MODULE_NAME_MAX]);

struct module {
	char		 name[MODULE_NAME_MAX];
	uint8_t		*data;		/* the uncompressed .ko */
	size_t		 len;
	struct module_info info;	/* borrows from data */
	unsigned	 state;		/* of the walk in module_set_order */
};

/* A table of names beside the modules that are kept of one kernel. */
struct module_set {
	struct module	 modules[MODULE_SET_MAX];
	size_t		 count;
	size_t		 bytes;
	uint64_t	 builtin;	/* bit I: wanted module I is built in */
	uint64_t	 modular;	/* bit I: it is built as a module */
	bool		 builtin_known;	/* all that are built in are known */
	char		 missing[MODULE_SET_MAX][MODULE_NAME_MAX];
	size_t		 missing_count;
};

/* An empty set, to be freed with module_set_free(); NULL without memory. */
struct module_set *module_set_new(void);
void	 module_set_free(struct module_set *);

/*
 * Whether a module called NAME (normalised) is to be kept: it is wanted in a
 * guest, is known to be needed by one that is, or was found missing by an
 * earlier module_set_order().
 */
bool	 module_set_wants(const struct module_set *, const char *name);

/*
 * Adds the module file FILE_NAME with the contents DATA, decompressing it if
 * it is compressed. A second one of the same name is ignored. 0; -EBADMSG,
 * -EFBIG, -ENOMEM with a sentence in ERR.
 */
int	 module_set_add(struct module_set *, const char *file_name,
    const uint8_t *data, size_t len, char *err, size_t err_size);

/* Takes note of modules.builtin (lines of paths): those need no file. */
void	 module_set_builtin(struct module_set *, const char *text, size_t len);

/* Likewise of a whole configuration (kernel_config.h). */
void	 module_set_config(struct module_set *, const uint8_t *text, size_t len);

/* Whether this kernel has MODULE_VSOCK, as a file or built in. */
bool	 module_set_vsock(const struct module_set *);

/*
 * Puts the modules to load into ORDER (MODULE_SET_MAX slots, borrowed), each
 * after all it depends on, and their number into *COUNT. RELEASE is the kernel
 * they must have been built for.
 * 0; -EBADMSG for a dependency cycle or another kernel's module; -ENOENT when
 * a required module is certainly neither there nor built in; -EAGAIN when modules that
 * others depend on are not there: from then on module_set_wants() says yes to
 * them, so that the source may be read again. ERR names the module.
 */
int	 module_set_order(struct module_set *, const char *release,
    const struct module **order, size_t *count, char *err, size_t err_size);

#endif
