/*
 * What the kernel of this host offers. A check that needs root says so to
 * others instead of guessing.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "client/doctor.h"
#include "client/size.h"
#include "privsep/kvm.h"
#include "privsep/link.h"
#include "privsep/netlink.h"

/* openat2, mount_setattr with idmapped mounts and the rest of the monitor. */
enum { FLOOR_MAJOR = 5, FLOOR_MINOR = 12 };

#define SPACE_FAIL_BYTES (1 * GIB)
#define SPACE_WARN_BYTES (10 * GIB)

/* The digits at *TEXT, at most five; *TEXT then stands behind them. */
static bool
read_digits(const char **text, unsigned int *number)
{
	size_t len = strspn(*text, "0123456789"), i;

	*number = 0;
	for (i = 0; i < len && i < 5; i++)
		*number = *number * 10 + (unsigned int)((*text)[i] - '0');
	*text += len;
	return len > 0 && len <= 5;
}

int
version_read(const char *text, struct version *version)
{
	struct version v;

	while (*(text += strcspn(text, "0123456789")) != '\0') {
		bool whole = read_digits(&text, &v.major);

		if (*text != '.')
			continue;
		text++;
		if (!read_digits(&text, &v.minor) || !whole)
			continue;
		v.patch = 0;
		if (*text == '.') {
			text++;
			(void)read_digits(&text, &v.patch);
		}
		*version = v;
		return 0;
	}
	return -EINVAL;
}

bool
version_before(const struct version *version, unsigned int major,
    unsigned int minor, unsigned int patch)
{
	if (version->major != major)
		return version->major < major;
	if (version->minor != minor)
		return version->minor < minor;
	return version->patch < patch;
}

void
probe_kernel(struct patient *patient, struct check *check)
{
	struct version version;
	struct utsname host;

	(void)patient;
	uname(&host);
	check_found(check, VERDICT_OK, "Linux %s", host.release);
	if (strcmp(host.machine, "x86_64") != 0) {
		check_found(check, VERDICT_FAIL, "machine %s", host.machine);
		check_remedy(check, "banger runs on x86_64 only");
	} else if (version_read(host.release, &version) < 0 ||
	    version_before(&version, FLOOR_MAJOR, FLOOR_MINOR, 0)) {
		check->verdict = VERDICT_FAIL;
		check_remedy(check, "install Linux %d.%d or later", FLOOR_MAJOR,
		    FLOOR_MINOR);
	}
}

/* The first cgroup2 mount of /proc/self/mounts into PATH. */
static bool
cgroup2_mount(char *path, size_t size)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[1024], where[512], type[64];
	bool found = false;

	if (mounts == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), mounts) != NULL)
		found = sscanf(line, "%*s %511s %63s", where, type) == 2 &&
		    strcmp(type, "cgroup2") == 0 &&
		    format(path, size, "%s", where) == 0;
	fclose(mounts);
	return found;
}

void
probe_cgroup(struct patient *patient, struct check *check)
{
	char path[PATH_BYTES];

	(void)patient;
	if (cgroup2_mount(path, sizeof(path))) {
		check_found(check, VERDICT_OK, "cgroup v2 at %s", path);
		return;
	}
	check_found(check, VERDICT_WARN, "cgroup v2 is not mounted: VMs run "
	    "without limits of their own");
	check_remedy(check, "boot with systemd.unified_cgroup_hierarchy=1, or "
	    "mount -t cgroup2 none /sys/fs/cgroup");
}

void
probe_kvm(struct patient *patient, struct check *check)
{
	int r = kvm_probe();

	patient->kvm = r == 1;
	if (r == 1) {
		check_found(check, VERDICT_OK, "KVM runs guests");
		return;
	}
	if (r == -EACCES && geteuid() != 0) {
		check_found(check, VERDICT_WARN, "/dev/kvm is not yours to try");
		check_remedy(check, "sudo banger doctor tries it");
		return;
	}
	if (r == 0) {
		check_found(check, VERDICT_WARN, "/dev/kvm is there, but a guest "
		    "does not run: QEMU emulates, which is slower");
		check_remedy(check, "if this is a VM itself, turn on nested "
		    "virtualisation in its host");
		return;
	}
	check_found(check, VERDICT_WARN, "no KVM (%s): QEMU emulates, which is "
	    "slower", strerror(-r));
	check_remedy(check, "turn on VT-x or AMD-V in the firmware; "
	    "modprobe kvm_intel or kvm_amd");
}

/* Whether the character device NAME is registered (/proc/misc). */
static bool
misc_device(const char *name)
{
	FILE *misc = fopen("/proc/misc", "re");
	char line[128], device[64];
	bool found = false;

	if (misc == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), misc) != NULL)
		found = sscanf(line, "%*d %63s", device) == 1 &&
		    strcmp(device, name) == 0;
	fclose(misc);
	return found;
}

/* Whether root may use the device node at PATH; others see that it exists. */
static bool
device_usable(const char *path)
{
	_cleanup_close_ int fd = -1;

	if (geteuid() != 0)
		return access(path, F_OK) == 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd >= 0;
}

/* What the daemon finds by trying: this is a look from outside. */
void
probe_mapper(struct patient *patient, struct check *check)
{
	bool here = misc_device("device-mapper") &&
	    device_usable("/dev/mapper/control");

	(void)patient;
	if (here)
		check_found(check, VERDICT_OK, "here; with its targets zero "
		    "and snapshot a VM's disk is a snapshot of its image");
	else
		check_found(check, VERDICT_OK, "not here; a VM's disk is a "
		    "reflink or a sparse copy of its image");
}

void
probe_tun(struct patient *patient, struct check *check)
{
	(void)patient;
	if (device_usable("/dev/net/tun")) {
		check_found(check, VERDICT_OK, "/dev/net/tun is here");
		return;
	}
	check_found(check, VERDICT_FAIL, "/dev/net/tun: %s", strerror(errno));
	check_remedy(check, "modprobe tun");
}

void
probe_filter(struct patient *patient, struct check *check)
{
	_cleanup_close_ int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
	    NETLINK_NETFILTER);
	struct stat st;

	(void)patient;
	if (sock < 0) {
		check_found(check, VERDICT_FAIL, "no netfilter: %s",
		    strerror(errno));
		check_remedy(check, "modprobe nf_tables");
		return;
	}
	if (stat("/sys/module/nf_tables", &st) == 0)
		check_found(check, VERDICT_OK, "nf_tables is here");
	else
		check_found(check, VERDICT_OK,
		    "netfilter is here; nf_tables is loaded when needed");
}

void
probe_landlock(struct patient *patient, struct check *check)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	(void)patient;
	if (abi > 0) {
		check_found(check, VERDICT_OK, "landlock ABI %ld", abi);
		return;
	}
	check_found(check, VERDICT_WARN, "no landlock (%s): the worker and its "
	    "jobs have one fence less", strerror(errno));
	check_remedy(check, "boot with lsm=landlock,... on Linux 5.13 or later");
}

/* The field after the colon at *REST as a number; *REST moves on. */
static bool
number_field(char **rest, uint64_t *number)
{
	char *field = strsep(rest, ":");

	if (field == NULL)
		return false;
	field[strcspn(field, "\n")] = '\0';
	return parse_u64(field, UINT64_MAX, number) == 0;
}

bool
ids_conflict(FILE *file, bool range, uint32_t base, uint32_t count,
    char who[NAME_BYTES])
{
	char line[1024];

	while (fgets(line, sizeof(line), file) != NULL) {
		char *rest = line, *name = strsep(&rest, ":");
		uint64_t first, ids = 1;

		/* The second field of passwd and group is no id. */
		if (!range && strsep(&rest, ":") == NULL)
			continue;
		if (!number_field(&rest, &first) ||
		    (range && !number_field(&rest, &ids)))
			continue;
		if (ids > 0 && first < (uint64_t)base + count &&
		    (first >= base || ids > base - first)) {
			snprintf(who, NAME_BYTES, "%.63s", name);
			return true;
		}
	}
	return false;
}

void
probe_ids(struct patient *patient, struct check *check)
{
	static const struct { const char *path; bool range; } files[] = {
		{ "/etc/passwd", false }, { "/etc/group", false },
		{ "/etc/subuid", true }, { "/etc/subgid", true },
	};
	const struct config *cfg = patient->cfg;
	uint32_t last = cfg->uid_base + cfg->uid_count - 1;
	char who[NAME_BYTES];
	size_t i;

	check_found(check, VERDICT_OK, "ids %u to %u are free", cfg->uid_base,
	    last);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *file = fopen(files[i].path, "re");
		bool conflict;

		if (file == NULL)
			continue;
		conflict = ids_conflict(file, files[i].range, cfg->uid_base,
		    cfg->uid_count, who);
		fclose(file);
		if (!conflict)
			continue;
		check_found(check, VERDICT_FAIL, "ids %u to %u: \"%s\" in %s has "
		    "some of them", cfg->uid_base, last, who, files[i].path);
		check_remedy(check, "set uid_base in %s to the start of %u free "
		    "ids", patient->config_name, cfg->uid_count);
		return;
	}
}

/* statvfs of PATH or of the nearest directory above it that exists. */
static int
nearest_space(const char *path, char *where, size_t size, struct statvfs *vfs)
{
	char *slash;

	if (format(where, size, "%s", path) < 0)
		return -ENAMETOOLONG;
	while (statvfs(where, vfs) < 0) {
		if (errno != ENOENT || (slash = strrchr(where, '/')) == NULL)
			return -errno;
		if (slash == where && where[1] == '\0')
			return -ENOENT;
		slash[slash == where] = '\0';
	}
	return 0;
}

void
probe_space(struct patient *patient, struct check *check)
{
	char where[PATH_BYTES], text[SIZE_TEXT];
	struct statvfs vfs;
	uint64_t free_bytes;
	int r = nearest_space(patient->cfg->state_dir, where, sizeof(where),
	    &vfs);

	if (r < 0) {
		check_found(check, VERDICT_WARN, "%s: %s",
		    patient->cfg->state_dir, strerror(-r));
		return;
	}
	free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	check_found(check, free_bytes < SPACE_FAIL_BYTES ? VERDICT_FAIL :
	    free_bytes < SPACE_WARN_BYTES ? VERDICT_WARN : VERDICT_OK,
	    "%s free for %s", size_text(free_bytes, text),
	    patient->cfg->state_dir);
	if (check->verdict != VERDICT_OK)
		check_remedy(check, "make room in %s, or set state_dir in %s to "
		    "another file system", where, patient->config_name);
}

static char *
net_text(struct ipv4_net net, char out[INET_ADDRSTRLEN + 4])
{
	struct in_addr in = { .s_addr = htonl(net.addr) };
	char address[INET_ADDRSTRLEN] = "?";

	inet_ntop(AF_INET, &in, address, sizeof(address));
	snprintf(out, INET_ADDRSTRLEN + 4, "%s/%u", address, net.prefix & 63);
	return out;
}

void
probe_subnet(struct patient *patient, struct check *check)
{
	static struct netlink nl;
	const struct config *cfg = patient->cfg;
	struct subnet_scan scan = { .wanted = { cfg->gateway, cfg->prefix } };
	struct link_info bridge;
	struct ipv4_net other;
	char wanted[INET_ADDRSTRLEN + 4], taken[INET_ADDRSTRLEN + 4];
	int r = nl_open(&nl, NETLINK_ROUTE);

	if (r == 0 && link_get(&nl, cfg->bridge_name, &bridge) == 0)
		scan.own_index = bridge.index;
	if (r == 0)
		r = subnet_scan(&nl, &scan);
	nl_close(&nl);
	net_text(scan.wanted, wanted);
	if (r < 0) {
		check_found(check, VERDICT_WARN, "%s: the host's routes cannot "
		    "be read: %s", wanted, strerror(-r));
	} else if (!scan.wanted_taken) {
		check_found(check, VERDICT_OK, "%s is free or banger's", wanted);
	} else if (subnet_choose(&scan, cfg->subnet_fixed, &other) == 0) {
		check_found(check, VERDICT_WARN, "the host uses %s already: VMs "
		    "get %s", wanted, net_text(other, taken));
		check_remedy(check, "set cidr in %s to choose another",
		    patient->config_name);
	} else {
		check_found(check, VERDICT_FAIL, "the host uses %s already",
		    wanted);
		check_remedy(check, "set cidr in %s to a free subnet",
		    patient->config_name);
	}
}
