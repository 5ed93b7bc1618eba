/*
 * A small set of modules, kept in memory while an archive goes by, then put
 * in order by a depth-first walk over their `depends` fields. The bytes are a
 * stranger's: names are restricted before they are used for anything, sizes
 * and counts are bounded, cycles are found.
 */
#include "image/modules.h"

#include <string.h>

#include "image/codec.h"
#include "image/elf64.h"
#include "image/errmsg.h"
#include "image/kernel_arch.h"
#include "image/kernel_config.h"

/*
 * INCOMPLETE: something below is missing. It is not walked again, or a
 * hostile graph would take exponential time.
 */
enum { UNVISITED, ON_STACK, PLACED, INCOMPLETE };

/*
 * What a guest gets, in the order it is loaded as far as dependencies leave
 * it open. crc32c_generic comes before ext4 for kernels where both are
 * modules: ext4 asks for it by a request_module() that nobody in the initrd
 * answers.
 */
static const struct {
	const char	*name;
	const char	*option;	/* that builds it; NULL: never asked for */
	bool		 required;
} wanted[] = {
	/* What both VMMs' devices hang on; the root disk and its file system. */
	{ "virtio_mmio", "CONFIG_VIRTIO_MMIO", true },
	{ "virtio_blk", "CONFIG_VIRTIO_BLK", true },
	{ "crc32c_generic", NULL, false },
	{ "ext4", "CONFIG_EXT4_FS", true },
	{ "virtio_net", "CONFIG_VIRTIO_NET", true },
	/* The agent's link on QEMU, and on Firecracker. */
	{ "virtio_console", "CONFIG_VIRTIO_CONSOLE", true },
	{ MODULE_VSOCK, "CONFIG_VIRTIO_VSOCKETS", false },
};

/*
 * What the above have been seen to depend on, in some kernel: kept at once so
 * that a pipe, which cannot be read twice, is enough for a known kernel.
 */
static const char *const usual[] = {
	"virtio", "virtio_ring", "failover", "net_failover", "dimlib", "vsock",
	"vmw_vsock_virtio_transport_common", "mbcache", "jbd2", "crc16",
	"crc32c_cryptoapi", "libcrc32c",
};

static bool
name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

/* The length of S less a module file's suffix; 0 when it has none. */
static size_t
stem_len(const char *s, size_t len)
{
	static const char *const suffixes[] = {
		".ko", ".ko.xz", ".ko.gz", ".ko.zst",
	};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (len > n && memcmp(s + len - n, suffixes[i], n) == 0)
			return len - n;
	}
	return 0;
}

bool
module_name(const char *s, size_t len, bool suffix, char out[MODULE_NAME_MAX])
{
	char name[MODULE_NAME_MAX];

	if (suffix) {
		const char *slash = memrchr(s, '/', len);

		if (slash != NULL) {
			len -= (size_t)(slash + 1 - s);
			s = slash + 1;
		}
		len = stem_len(s, len);
	}
	if (len == 0 || len >= sizeof(name))
		return false;
	for (size_t i = 0; i < len; i++) {
		name[i] = s[i] == '-' ? '_' : s[i];
		if (!name_char(name[i]))
			return false;
	}
	name[len] = '\0';
	memcpy(out, name, len + 1);
	return true;
}

int
module_info_parse(const uint8_t *buf, size_t len, struct module_info *out)
{
	struct module_info info = { 0 };
	const struct {
		const char	*key;
		const char	**value;
	} fields[] = {
		{ "name=", &info.name },
		{ "depends=", &info.depends },
		{ "vermagic=", &info.vermagic },
	};
	const uint8_t *data;
	struct elf64 elf;
	size_t size;

	if (elf64_open(buf, len, &elf) < 0 ||
	    elf64_section(&elf, ".modinfo", &data, &size) < 0 ||
	    size == 0 || data[size - 1] != '\0')
		return -EBADMSG;
	for (size_t at = 0; at < size;) {
		const char *s = (const char *)data + at;

		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			size_t n = strlen(fields[i].key);

			if (strncmp(s, fields[i].key, n) == 0)
				*fields[i].value = s + n;
		}
		at += strlen(s) + 1;
	}
	*out = info;
	return 0;
}

struct module_set *
module_set_new(void)
{
	return calloc(1, sizeof(struct module_set));
}

void
module_set_free(struct module_set *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->count; i++)
		free(set->modules[i].data);
	free(set);
}

static struct module *
find(struct module_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->modules[i].name, name) == 0)
			return &set->modules[i];
	return NULL;
}

bool
module_set_wants(const struct module_set *set, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (strcmp(wanted[i].name, name) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (strcmp(usual[i], name) == 0)
			return true;
	for (size_t i = 0; i < set->missing_count; i++)
		if (strcmp(set->missing[i], name) == 0)
			return true;
	return false;
}

/* Gives back what doubling took too much. */
static void
trim(struct codec_buf *buf)
{
	uint8_t *p = buf->len == 0 ? NULL : realloc(buf->data, buf->len);

	if (p != NULL) {
		buf->data = p;
		buf->size = buf->len;
	}
}

/* Decompresses or copies DATA into *OUT (the caller's to free). */
static int
unpack(const char *name, const uint8_t *data, size_t len,
    struct codec_buf *out, char *err, size_t err_size)
{
	enum codec codec = codec_of(data, len);
	struct codec_sink sink = {
		.write = codec_write_buf,
		.arg = out,
		.limit_bytes = MODULE_BYTES_MAX,
	};
	int rc = codec_decode(codec, data, len, &sink);

	switch (rc) {
	case 0:
		trim(out);
		return 0;
	case -EFBIG:
		return errmsg(err, err_size, rc,
		    "module %s is larger than %u MiB", name,
		    MODULE_BYTES_MAX >> 20);
	default:
		return errmsg(err, err_size, rc,
		    "module %s cannot be decompressed (%s): %s", name,
		    codec_name(codec), strerror(-rc));
	}
}

int
module_set_add(struct module_set *set, const char *file_name,
    const uint8_t *data, size_t len, char *err, size_t err_size)
{
	_cleanup_codec_buf_ struct codec_buf buf = { 0 };
	struct module m = { 0 };
	int rc;

	if (!module_name(file_name, strlen(file_name), true, m.name))
		return errmsg(err, err_size, -EBADMSG,
		    "\"%s\" is not a module's file name", file_name);
	if (find(set, m.name) != NULL)
		return 0;
	if (set->count == MODULE_SET_MAX)
		return errmsg(err, err_size, -EFBIG, "too many modules");
	rc = unpack(m.name, data, len, &buf, err, err_size);
	if (rc == 0)
		rc = kernel_arch_check(m.name, buf.data, buf.len, err,
		    err_size);
	if (rc == 0 && module_info_parse(buf.data, buf.len, &m.info) < 0)
		rc = errmsg(err, err_size, -EBADMSG,
		    "module %s is damaged: not an x86-64 kernel module",
		    m.name);
	if (rc == 0 && buf.len > MODULE_SET_BYTES_MAX - set->bytes)
		rc = errmsg(err, err_size, -EFBIG,
		    "the needed modules are larger than %u MiB",
		    MODULE_SET_BYTES_MAX >> 20);
	if (rc < 0)
		return rc;
	m.data = steal_ptr(&buf.data);
	m.len = buf.len;
	set->bytes += buf.len;
	set->modules[set->count++] = m;
	return 0;
}

void
module_set_builtin(struct module_set *set, const char *text, size_t len)
{
	set->builtin_known = true;
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t line = end == NULL ? len : (size_t)(end - text);
		size_t step = end == NULL ? len : line + 1;
		char name[MODULE_NAME_MAX];

		if (module_name(text, line, true, name))
			for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
				if (strcmp(wanted[i].name, name) == 0)
					set->builtin |= UINT64_C(1) << i;
		text += step;
		len -= step;
	}
}

void
module_set_config(struct module_set *set, const uint8_t *text, size_t len)
{
	set->builtin_known = true;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (wanted[i].option == NULL)
			continue;
		switch (kernel_config_option(text, len, wanted[i].option)) {
		case OPTION_YES:
			set->builtin |= UINT64_C(1) << i;
			break;
		case OPTION_MODULE:
			set->modular |= UINT64_C(1) << i;
			break;
		case OPTION_NO:
			break;
		}
	}
}

bool
module_set_vsock(const struct module_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->modules[i].name, MODULE_VSOCK) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (strcmp(wanted[i].name, MODULE_VSOCK) == 0)
			return (set->builtin >> i & 1) != 0;
	return false;
}

/* A walk's state, so that its steps have few arguments. */
struct walk {
	struct module_set	*set;
	const char		*release;
	const struct module	**order;
	size_t			 count;
	size_t			 known_missing;	/* before this walk */
	char			*err;
	size_t			 err_size;
};

static int
check_module(const struct walk *w, const struct module *m)
{
	const char *magic = m->info.vermagic;
	size_t n = strlen(w->release);
	char name[MODULE_NAME_MAX];

	if (m->info.name != NULL && (!module_name(m->info.name,
	    strlen(m->info.name), false, name) || strcmp(name, m->name) != 0))
		return errmsg(w->err, w->err_size, -EBADMSG,
		    "module file %s holds another module, %.64s", m->name,
		    m->info.name);
	if (magic != NULL && strncmp(magic, w->release, n) == 0 &&
	    (magic[n] == ' ' || magic[n] == '\0'))
		return 0;
	return errmsg(w->err, w->err_size, -EBADMSG,
	    "module %s was built for kernel %.64s, not for %s", m->name,
	    magic == NULL ? "(unknown)" : magic, w->release);
}

/*
 * Notes that NAME, which BY depends on, is not in the set. It was not there
 * to be kept if module_set_wants() said yes to it before this walk.
 */
static int
note_missing(struct walk *w, const char *name, const char *by)
{
	struct module_set *set = w->set;

	for (size_t i = w->known_missing; i < set->missing_count; i++)
		if (strcmp(set->missing[i], name) == 0)
			return -EAGAIN;
	if (module_set_wants(set, name) ||
	    set->missing_count == ARRAY_SIZE(set->missing))
		return errmsg(w->err, w->err_size, -ENOENT,
		    "module %s needs module %s, which is not there", by, name);
	memcpy(set->missing[set->missing_count++], name, MODULE_NAME_MAX);
	return errmsg(w->err, w->err_size, -EAGAIN,
	    "module %s needs module %s, which was not kept", by, name);
}

static int	place(struct walk *, struct module *);

/* Places all that M depends on. */
static int
place_depends(struct walk *w, struct module *m)
{
	const char *s = m->info.depends == NULL ? "" : m->info.depends;
	int rc, again = 0;

	while (*s != '\0') {
		size_t len = strcspn(s, ",");
		char name[MODULE_NAME_MAX] = { 0 };
		struct module *dep;

		if (!module_name(s, len, false, name))
			return errmsg(w->err, w->err_size, -EBADMSG,
			    "module %s has a malformed dependency list",
			    m->name);
		dep = find(w->set, name);
		rc = dep != NULL ? place(w, dep) :
		    note_missing(w, name, m->name);
		if (rc == -EAGAIN)
			again = rc;	/* go on: note all of them at once */
		else if (rc < 0)
			return rc;
		s += len + (s[len] == ',');
	}
	return again;
}

/*
 * The recursion is as deep as the set is large at most: 256 small frames.
 */
static int
place(struct walk *w, struct module *m)
{
	int rc;

	if (m->state == PLACED)
		return 0;
	if (m->state == INCOMPLETE)
		return -EAGAIN;
	if (m->state == ON_STACK)
		return errmsg(w->err, w->err_size, -EBADMSG,
		    "modules depend on each other in a cycle at %s", m->name);
	rc = check_module(w, m);
	if (rc < 0)
		return rc;
	m->state = ON_STACK;
	rc = place_depends(w, m);
	m->state = INCOMPLETE;
	if (rc < 0)
		return rc;
	m->state = PLACED;
	w->order[w->count++] = m;
	return 0;
}

/* Whether it is certain that the kernel does without wanted module I. */
static bool
is_missing(const struct module_set *set, size_t i)
{
	return wanted[i].required && set->builtin_known &&
	    !(set->builtin >> i & 1);
}

static int
tell_missing(const struct module_set *set, const char *release, size_t i,
    char *err, size_t err_size)
{
	if (set->modular >> i & 1)
		return errmsg(err, err_size, -ENOENT,
		    "kernel %s has %s=m, but its module %s is not here: give also the package that has it",
		    release, wanted[i].option, wanted[i].name);
	return errmsg(err, err_size, -ENOENT,
	    "kernel %s has no %s (%s), neither as a module here nor built in; a guest needs it",
	    release, wanted[i].name, wanted[i].option);
}

int
module_set_order(struct module_set *set, const char *release,
    const struct module **order, size_t *count, char *err, size_t err_size)
{
	struct walk w = {
		.set = set,
		.release = release,
		.order = order,
		.known_missing = set->missing_count,
		.err = err,
		.err_size = err_size,
	};
	int rc, again = 0;

	for (size_t i = 0; i < set->count; i++)
		set->modules[i].state = UNVISITED;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		struct module *m = find(set, wanted[i].name);

		if (m == NULL && is_missing(set, i))
			return tell_missing(set, release, i, err, err_size);
		if (m == NULL)
			continue;
		rc = place(&w, m);
		if (rc == -EAGAIN)
			again = rc;
		else if (rc < 0)
			return rc;
	}
	if (again == 0)
		*count = w.count;
	return again;
}
