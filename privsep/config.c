/*
 * One table of keys; libinih splits the lines. What is not in the table, of
 * the wrong type or out of range is an error with its line: a typing mistake
 * in a file that steers root must not be silently another setting.
 */
#include "privsep/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ini.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/check.h"
#include "privsep/log.h"
#include "privsep/util.h"

/* Of image_max_size: what an empty one needs, and what ext4 is made for. */
#define IMAGE_BYTES_MIN (UINT64_C(64) << 20)
#define IMAGE_BYTES_MAX (UINT64_C(1) << 40)

struct parser {
	struct config *cfg;
	char *err;
	size_t err_size;
	const char *path;
	uint64_t seen;			/* keys, by their place in the table */
	int failed;
};

/* How a value is written: in quotes, or bare. */
enum form { STRING = 1, NUMBER = 2 };

struct key {
	unsigned int forms;
	const char *section;
	const char *name;
	int (*set)(struct config *cfg, const char *value, const struct key *key);
	size_t offset;
	uint64_t limit;			/* bytes of a string, largest number */
};

static int
set_path(struct config *cfg, const char *value, const struct key *key)
{
	if (check_path(value, PATH_BYTES) < 0)
		return -EINVAL;
	return format((char *)cfg + key->offset, PATH_BYTES, "%s", value);
}

/* What clients read, and nobody here: a file of the host's, or of the web. */
static int
set_catalog(struct config *cfg, const char *value, const struct key *key)
{
	static const char https[] = "https://";
	const char *c;

	if (strncmp(value, https, sizeof(https) - 1) != 0)
		return set_path(cfg, value, key);
	for (c = value; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			return -EINVAL;
	return format(cfg->catalog, sizeof(cfg->catalog), "%s", value);
}

static int
set_object(struct config *cfg, const char *value, const struct key *key)
{
	if (check_object_name(value) < 0)
		return -EINVAL;
	return format((char *)cfg + key->offset, NAME_BYTES, "%s", value);
}

static int
set_bridge(struct config *cfg, const char *value, const struct key *key)
{
	(void)key;
	if (check_bridge_name(value) < 0)
		return -EINVAL;
	return format(cfg->bridge_name, sizeof(cfg->bridge_name), "%s", value);
}

static int
set_number(struct config *cfg, const char *value, const struct key *key)
{
	uint64_t number;

	if (parse_u64(value, key->limit, &number) < 0)
		return -EINVAL;
	*(uint32_t *)(void *)((char *)cfg + key->offset) = (uint32_t)number;
	return 0;
}

/* Bytes, with a suffix of K, M, G or T. */
static int
set_bytes(struct config *cfg, const char *value, const struct key *key)
{
	static const char suffixes[] = "KMGT";
	size_t len = strlen(value);
	const char *suffix = len > 1 ? strchr(suffixes, value[len - 1]) : NULL;
	char digits[24];
	uint64_t number;
	int shift = 0;

	if (suffix != NULL) {
		shift = 10 * (int)(suffix - suffixes + 1);
		len--;
	}
	if (format(digits, sizeof(digits), "%.*s", (int)len, value) < 0 ||
	    parse_u64(digits, key->limit >> shift, &number) < 0)
		return -EINVAL;
	*(uint64_t *)(void *)((char *)cfg + key->offset) = number << shift;
	return 0;
}

static int
set_ipv4(struct config *cfg, const char *value, const struct key *key)
{
	struct in_addr in;

	if (inet_pton(AF_INET, value, &in) != 1)
		return -EINVAL;
	*(uint32_t *)(void *)((char *)cfg + key->offset) = ntohl(in.s_addr);
	return 0;
}

/* A subnet with its gateway: "172.16.0.1/24". */
static int
set_cidr(struct config *cfg, const char *value, const struct key *key)
{
	char address[INET_ADDRSTRLEN];
	const char *slash = strchr(value, '/');
	uint64_t prefix;

	if (slash == NULL ||
	    format(address, sizeof(address), "%.*s", (int)(slash - value),
	    value) < 0 || set_ipv4(cfg, address, key) < 0 ||
	    parse_u64(slash + 1, 32, &prefix) < 0)
		return -EINVAL;
	cfg->prefix = (uint32_t)prefix;
	cfg->subnet_fixed = true;
	return check_network(cfg->gateway, cfg->prefix);
}

/* Where names are served: "127.0.0.1:42069", or "off". */
static int
set_listen(struct config *cfg, const char *value, const struct key *key)
{
	char address[INET_ADDRSTRLEN];
	const char *colon = strchr(value, ':');
	uint64_t port;

	if (strcmp(value, "off") == 0) {
		cfg->dns_port = 0;
		return 0;
	}
	if (colon == NULL ||
	    format(address, sizeof(address), "%.*s", (int)(colon - value),
	    value) < 0 || set_ipv4(cfg, address, key) < 0 ||
	    parse_u64(colon + 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	cfg->dns_port = (uint32_t)port;
	return check_resolver_address(cfg->dns_ipv4, cfg->dns_port);
}

static int
set_owner(struct config *cfg, const char *value, const struct key *key)
{
	struct passwd *pw = getpwnam(value);

	(void)key;
	if (pw == NULL)
		return -ENOENT;
	cfg->owner_uid = pw->pw_uid;
	return 0;
}

static int
set_group(struct config *cfg, const char *value, const struct key *key)
{
	struct group *gr = getgrnam(value);

	(void)key;
	if (gr == NULL)
		return -ENOENT;
	cfg->owner_gid = gr->gr_gid;
	return 0;
}

static int
set_level(struct config *cfg, const char *value, const struct key *key)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	uint32_t i;

	(void)key;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(value, names[i]) == 0) {
			cfg->log_level = i;
			return 0;
		}
	return -EINVAL;
}

static int
set_vmm(struct config *cfg, const char *value, const struct key *key)
{
	static const struct {
		const char *name;
		uint32_t vmm;
	} kinds[] = {
		{ "auto", 0 }, { "qemu", VMM_QEMU },
		{ "firecracker", VMM_FIRECRACKER },
	};
	size_t i;

	(void)key;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(value, kinds[i].name) == 0) {
			cfg->vmm = kinds[i].vmm;
			return 0;
		}
	return -EINVAL;
}

#define AT(member) offsetof(struct config, member)
static const struct key keys[] = {
	{ STRING, "", "owner", set_owner, 0, 0 },
	{ STRING, "", "group", set_group, 0, 0 },
	{ STRING, "", "log_level", set_level, 0, 0 },
	{ STRING, "", "state_dir", set_path, AT(state_dir), 0 },
	{ STRING, "", "runtime_dir", set_path, AT(runtime_dir), 0 },
	{ STRING, "", "vmm", set_vmm, 0, 0 },
	{ STRING, "", "qemu_bin", set_path, AT(qemu_bin), 0 },
	{ STRING, "", "firecracker_bin", set_path, AT(firecracker_bin), 0 },
	{ STRING, "", "jailer_bin", set_path, AT(jailer_bin), 0 },
	{ STRING, "", "resolvectl_bin", set_path, AT(resolvectl_bin), 0 },
	{ STRING, "", "bridge_name", set_bridge, 0, 0 },
	{ STRING, "", "cidr", set_cidr, AT(gateway), 0 },
	{ STRING, "", "default_dns", set_ipv4, AT(default_dns), 0 },
	{ STRING, "", "dns_listen", set_listen, AT(dns_ipv4), 0 },
	{ STRING, "", "default_image_name", set_object, AT(default_image), 0 },
	{ STRING, "", "default_kernel_name", set_object, AT(default_kernel), 0 },
	{ STRING, "", "catalog", set_catalog, AT(catalog), 0 },
	{ STRING, "", "catalog_key", set_path, AT(catalog_key), 0 },
	{ NUMBER, "", "uid_base", set_number, AT(uid_base), INT32_MAX },
	{ NUMBER, "", "uid_count", set_number, AT(uid_count), 65536 },
	{ NUMBER, "", "start_timeout", set_number, AT(start_timeout_s), 3600 },
	{ STRING | NUMBER, "", "image_max_size", set_bytes,
	    AT(image_max_bytes), IMAGE_BYTES_MAX },
	{ NUMBER, "vm_defaults", "vcpu", set_number, AT(default_vcpus),
	    VCPU_MAX },
	{ NUMBER, "vm_defaults", "memory_mib", set_number, AT(default_mem_mib),
	    MEM_MIB_MAX },
	{ STRING | NUMBER, "vm_defaults", "disk_size", set_bytes,
	    AT(default_disk_bytes), UINT64_C(1) << 46 },
};
#undef AT

/*
 * Takes the quotes off a TOML basic string without escapes, and a comment
 * after it. Numbers stand bare. In place; NULL when it is neither, or not of
 * one of FORMS.
 */
static char *
unquote(char *value, unsigned int forms)
{
	enum form form = value[0] == '"' ? STRING : NUMBER;
	char *end, *rest;

	if (form == STRING) {
		end = strchr(++value, '"');
		if (end == NULL ||
		    memchr(value, '\\', (size_t)(end - value)) != NULL)
			return NULL;
		rest = end + 1;
	} else {
		rest = end = value + strspn(value, "0123456789");
	}
	rest += strspn(rest, " \t");
	if ((form & forms) == 0 || (*rest != '\0' && *rest != '#'))
		return NULL;
	*end = '\0';
	return value;
}

/* Says what is wrong with a line; 0 is libinih's "stop". */
static int PRINTF_LIKE(3, 4)
bad_line(struct parser *parser, int line, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(parser->err, parser->err_size, "%s:%d: %s", parser->path,
	    line, what);
	parser->failed = 1;
	return 0;
}

/* libinih's callback, with a NULL name for a new section. 1 to go on. */
static int
take_line(void *user, const char *section, const char *name, const char *value,
    int line)
{
	struct parser *parser = user;
	char copy[PATH_BYTES];
	char *text;
	size_t i;

	if (name == NULL)
		return strcmp(section, "vm_defaults") == 0 ? 1 :
		    bad_line(parser, line, "unknown table [%s]", section);
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(section, keys[i].section) == 0 &&
		    strcmp(name, keys[i].name) == 0)
			break;
	if (i == ARRAY_SIZE(keys))
		return bad_line(parser, line, "unknown key %s", name);
	if ((parser->seen & UINT64_C(1) << i) != 0)
		return bad_line(parser, line, "%s: is set twice", name);
	parser->seen |= UINT64_C(1) << i;
	if (format(copy, sizeof(copy), "%s", value) < 0 ||
	    (text = unquote(copy, keys[i].forms)) == NULL)
		return bad_line(parser, line, "%s: not a plain TOML %s", name,
		    keys[i].forms == STRING ? "string (in quotes)" :
		    keys[i].forms == NUMBER ? "number" : "string or number");
	if (keys[i].set(parser->cfg, text, &keys[i]) < 0)
		return bad_line(parser, line, "%s: bad value \"%s\"", name,
		    text);
	return 1;
}

static void
set_defaults(struct config *cfg)
{
	*cfg = (struct config){
		.state_dir = "/var/lib/banger",
		.runtime_dir = "/run/banger",
		.bridge_name = "br-fc",
		.default_image = "debian-bookworm",
		.default_kernel = "default",
		.owner_gid = UINT32_MAX,
		.uid_base = 700000,
		.uid_count = 1024,
		.gateway = 0xac100001,	/* 172.16.0.1 */
		.prefix = 24,
		.dns_ipv4 = 0x7f000001,	/* 127.0.0.1 */
		.dns_port = 42069,
		.start_timeout_s = 90,
		.default_vcpus = 2,
		.default_mem_mib = 1024,
		.image_max_bytes = UINT64_C(64) << 30,
		.log_level = LOG_INFO,
	};
}

static const char *
read_error(int error)
{
	switch (-error) {
	case EPERM:
		return "must be root's and writable by nobody else";
	case EILSEQ:
		return "holds a NUL byte";
	case EINVAL:
		return "is not a regular file";
	case ELOOP:
		return "is a symbolic link; name the file itself";
	default:
		return strerror(-error);
	}
}

/* What no single key can tell. */
static const char *
check_whole(const struct config *cfg)
{
	if (check_vm_size(cfg->default_vcpus, cfg->default_mem_mib) < 0)
		return "vm_defaults: vcpu is 1 or even and at most 32, "
		    "memory_mib at least 64";
	if (cfg->image_max_bytes < IMAGE_BYTES_MIN)
		return "image_max_size is at least 64M";
	if (cfg->start_timeout_s == 0)
		return "start_timeout is at least 1 second";
	if (cfg->uid_base < 1000 || cfg->uid_count < 2)
		return "uid_base must be 1000 or more, uid_count 2 or more";
	if (cfg->uid_base > INT32_MAX - cfg->uid_count)
		return "uid_base and uid_count: the range ends above 2^31";
	return NULL;
}

/*
 * Reads the file into TEXT, which is CONFIG_BYTES_MAX + 1 large. 1; 0 when
 * there is none and none was named.
 */
static int
read_config(const char *path, bool named, bool trusted, char *text)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ENOENT && !named ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (trusted && (st.st_uid != 0 || (st.st_mode & 022) != 0))
		return -EPERM;
	if (st.st_size > CONFIG_BYTES_MAX)
		return -EFBIG;
	r = read_full(fd, text, (size_t)st.st_size);
	if (r < 0)
		return r;
	text[st.st_size] = '\0';
	/* What follows a NUL would be read by nobody. */
	return memchr(text, '\0', (size_t)st.st_size) != NULL ? -EILSEQ : 1;
}

/* 0, or -EINVAL and said why. */
static int
parse(struct parser *parser, const char *text)
{
	int line = ini_parse_string(text, take_line, parser);
	const char *reason;

	if (line != 0) {
		if (!parser->failed)
			(void)bad_line(parser, line, "not `key = value`");
		return -EINVAL;
	}
	reason = check_whole(parser->cfg);
	if (reason == NULL)
		return 0;
	snprintf(parser->err, parser->err_size, "%s: %s", parser->path, reason);
	return -EINVAL;
}

int
config_parse(const char *text, const char *path, struct config *cfg, char *err,
    size_t err_size)
{
	struct config parsed;
	struct parser parser = { .cfg = &parsed, .err_size = err_size,
		.path = path };
	int r;

	parser.err = err;
	set_defaults(&parsed);
	r = parse(&parser, text);
	if (r == 0)
		*cfg = parsed;
	return r;
}

int
config_load(const char *path, bool trusted, struct config *cfg, char *err,
    size_t err_size)
{
	const char *name = path != NULL ? path : CONFIG_PATH;
	_cleanup_free_ char *text = malloc(CONFIG_BYTES_MAX + 1);
	int r = text == NULL ? -ENOMEM :
	    read_config(name, path != NULL, trusted, text);

	if (r < 0)
		snprintf(err, err_size, "configuration %s: %s", name,
		    read_error(r));
	else if (r == 0)
		set_defaults(cfg);
	else
		r = config_parse(text, name, cfg, err, err_size);
	return r;
}
