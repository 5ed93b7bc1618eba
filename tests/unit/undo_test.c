/*
 * Each system call of what the monitor makes and undoes fails in turn (inject.h):
 * jails, directories, records, links and rules. Whoever asked is told, no fd is
 * left, and nothing else is; a role that cannot drop what it must not have ends.
 */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "inject.h"
#include "privsep/drop.h"
#include "privsep/jail.h"
#include "privsep/log.h"
#include "privsep/network.h"
#include "privsep/node.h"
#include "privsep/nft.h"
#include "privsep/path.h"
#include "privsep/resolver.h"
#include "privsep/sandbox.h"
#include "privsep/udev.h"
#include "privsep/vm.h"

#define BRIDGE "br-fc"
#define JAIL "00000000002a"
#define STORE "/var/lib/banger/store"

enum { UID = 720000, ID = 0x2a };

static struct temp temp;
static int at = -1;			/* an empty directory in it */
static int file = -1;			/* for a jail */
static int made[JAIL_MOUNTS + 1];	/* fds that RUN has acquired */

/* A mount namespace, and /run of the test's own. */
static int
set_up(void **state)
{
	(void)state;
	log_init("test", LOG_WARN);
	begin_temp(&temp);
	if (geteuid() != 0)
		return 0;
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") < 0 ||
	    mkdir("/run/udev", 0755) < 0)
		return -1;
	put_file(AT_FDCWD, "/run/file", "text", 4);
	file = open("/run/file", O_RDONLY | O_CLOEXEC);
	return file < 0 ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close_fdp(&file);
	end_temp(&temp);
	return 0;
}

static void
fresh_dir(void)
{
	size_t i;

	remove_with_rm("/run/at");
	(void)mkdir("/run/at", 0755);
	at = open("/run/at", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; i < ARRAY_SIZE(made); i++)
		made[i] = -1;
}

static void
drop_made(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(made); i++)
		close_fdp(&made[i]);
}

/* Names in the fresh directory. */
static unsigned int
names(void)
{
	DIR *stream = opendir("/run/at");
	unsigned int count = 0;

	while (stream != NULL && readdir(stream) != NULL)
		count++;
	if (stream != NULL)
		closedir(stream);
	return count - 2;
}

static const char *
dropped(int r)
{
	(void)r;
	drop_made();
	return NULL;
}

static const char *
nothing_when_failed(int r)
{
	drop_made();
	return r < 0 && names() > 0 ? "something is left" : NULL;
}

/* ---- directories and files ---- */

static int
new_dir(void)
{
	return made[0] = path_new_dir(at, "new", UID, UID, 0710);
}

static int
make_dir(void)
{
	return made[0] = path_make_dir(at, "new", UID, UID, 0710);
}

static void
with_old_dir(void)
{
	fresh_dir();
	(void)mkdirat(at, "new", 0710);
	(void)fchmodat(at, "new", 0710, 0);
	(void)fchownat(at, "new", UID, UID, 0);
}

static int
trusted_dir(void)
{
	return made[0] = path_open_trusted_dir("/run/at/one/two");
}

/* A part of the way that was made is no harm: it is root's. */
static const char *
trusted(int r)
{
	struct stat st;
	bool good = r < 0 || (fstat(r, &st) == 0 && st.st_uid == 0 &&
	    (st.st_mode & 07777) == 0755);

	drop_made();
	return good ? NULL : "not root's, or another mode";
}

static void
with_old_file(void)
{
	fresh_dir();
	put_file(at, "record", "old", 3);
}

static int
replace(void)
{
	return path_replace_file(at, "record", "new", 3);
}

/* The old or the new one, whole, and no other file. */
static const char *
old_or_new(int r)
{
	char text[8] = "";
	int fd = openat(at, "record", O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && read(fd, text, sizeof(text) - 1) == 3 &&
	    strcmp(text, r < 0 ? "old" : "new") == 0;

	close_fdp(&fd);
	if (!good)
		return "neither the old file nor the new one";
	return names() != 1 ? "the temporary file is left" : NULL;
}

static void
with_tree(void)
{
	fresh_dir();
	(void)mkdirat(at, "tree", 0755);
	(void)mkdirat(at, "tree/dir", 0755);
	put_file(at, "tree/dir/file", "x", 1);
	(void)symlinkat("/run/udev", at, "tree/link");
}

static int
remove_tree(void)
{
	return path_remove_tree(at, "tree");
}

static const char *
removed(int r)
{
	if (!exists(AT_FDCWD, "/run/udev"))
		return "a symlink was followed";
	return r == 0 && names() > 0 ? "the tree is left" : NULL;
}

/* ---- jails ---- */

static int
qemu_jail(void)
{
	static struct jail_host host;
	int r = jail_host_open(&host), i;

	if (r == 0)
		r = jail_create(&host, at, JAIL, UID, true, file,
		    &made[JAIL_MOUNTS]);
	if (r == 0) {
		r = jail_mounts(&host, UID, file, file, made);
		if (r < 0)
			(void)jail_remove(at, JAIL);
	}
	for (i = 0; i < MOUNT_HOST_DIRS; i++)
		close_fdp(&host.dirs[i]);
	return r;
}

static int
chroot_jail(void)
{
	const struct chroot_spec spec = { .name = JAIL, .uid = UID,
		.disk = makedev(7, 0), .exec_fd = file, .kernel_fd = file,
		.initrd_fd = file, .config_fd = file };
	struct chroot chroot;
	int r = chroot_create(&spec, &chroot);

	if (r == 0)
		chroot_close(&chroot);
	return r;
}

static int
node(void)
{
	int dir = node_dir_open();

	if (dir < 0)
		return dir;
	made[0] = node_open(dir, S_IFCHR, makedev(1, 3), O_RDWR);
	close(dir);
	return made[0];
}

static int
fifo(void)
{
	return made[0] = jail_open_fifo(at, 0, "console");
}

static void
with_fifo(void)
{
	fresh_dir();
	(void)mkfifoat(at, "console", 0600);
}

/* ---- records ---- */

static struct vm_table table;
static int proc = -1;
static pid_t vmm;			/* what is on record as a VMM */

/*
 * A VM whose VMM runs, in the slot of our own uid; with OTHER its record tells of
 * another executable: it was about to become that.
 */
static void
with_vmm(bool other)
{
	struct vm *vm;

	fresh_dir();
	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	vmm = fork();
	if (vmm == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (vm_table_init(&table, 4, 0, at) < 0)
		return;
	vm = vm_allocate(&table, ID);
	vm->ipv4 = 0xac100002;
	vm->vmm = VMM_QEMU;
	vm->pid = vmm;
	(void)proc_identify(proc, vmm, &vm->identity);
	vm->identity.exe_ino += other;
	(void)vm_save(&table, vm);
	free(table.vms);
	(void)vm_table_init(&table, 4, 0, at);
}

static void
with_running_vm(void)
{
	with_vmm(false);
}

static void
with_vm_to_be(void)
{
	with_vmm(true);
}

static int
load_records(void)
{
	return vm_load_all(&table, proc);
}

/* The VMM is known, or was ended, or it is said that nobody knows. */
static const char *
vmm_is_known(int r)
{
	struct vm *vm = vm_find(&table, ID);
	bool runs = waitpid(vmm, NULL, WNOHANG) == 0, known = r < 0 ||
	    (vm != NULL && vm->state == (runs ? VM_RUNNING : VM_EXITED));

	if (names() != 1)
		return "the record is gone";
	if (vm != NULL)
		vm_free(&table, vm);
	if (runs) {
		(void)kill(vmm, SIGKILL);
		(void)waitpid(vmm, NULL, 0);
	}
	return known ? NULL : "a VMM that runs was forgotten";
}

/* ---- udev ---- */

static const char rule[] = "/run/udev/rules.d/59-banger-var-lib-banger-"
    "store.rules";

static void
without_rules(void)
{
	remove_with_rm("/run/udev/rules.d");
}

/* Failed: the rule is never in force. */
static int
udev_rule(void)
{
	return udev_keep_out(STORE) == INT64_MAX ? -EIO : 0;
}

static void
with_old_rule(void)
{
	without_rules();
	(void)udev_rule();
}

static const char *
rule_is_whole(int r)
{
	struct stat st;

	if (r == 0)
		return stat(rule, &st) == 0 && st.st_size > 100 ? NULL :
		    "no rule";
	return stat(rule, &st) == 0 && st.st_size < 100 ? "half a rule" : NULL;
}

/* ---- network ---- */

static struct config cfg = { .bridge_name = BRIDGE, .gateway = 0xac100001,
	.prefix = 24 };
static struct network network;
static struct vm *vm;

/* An uplink, and somebody else's chain that drops. */
static void
fresh_host(void)
{
	network = (struct network){ .route.fd = -1, .filter.fd = -1 };
	fresh_dir();
	(void)unshare(CLONE_NEWNET);
	(void)!system("ip link set lo up; ip link add up0 type veth peer up1; "
	    "ip addr add 203.0.113.1/24 dev up0; "
	    "ip link set up1 up; ip link set up0 up; "
	    "ip route add default via 203.0.113.2; "
	    "nft add table ip other; nft add chain ip other forward "
	    "'{ type filter hook forward priority 0; policy drop; }'");
	(void)vm_table_init(&table, 4, UID, at);
	vm = vm_allocate(&table, ID);
	vm->ipv4 = 0xac100002;
}

static void
with_sockets(void)
{
	fresh_host();
	(void)network_open(&network, &cfg, at);
}

static void
with_network(void)
{
	with_sockets();
	(void)network_ensure(&network, &table);
}

static void
with_guest(void)
{
	with_network();
	(void)network_add(&network, &table, vm);
	(void)network_nat(&network, vm, true);
}

/* Nothing of ours is left after another try. */
static const char *
nothing_of_ours(int r)
{
	bool links, rules;

	(void)r;
	close_fdp(&vm->tap_fd);
	network_close(&network);
	/* A dump that was given up may still be in the way of the next. */
	if (network.ready)
		network_close(&network);
	if (network.ready)
		return "network_close cannot take it away";
	links = if_nametoindex(BRIDGE) != 0 ||
	    if_nametoindex("fc-" JAIL) != 0;
	rules = system("nft list ruleset | grep -q banger") == 0 ||
	    system("grep -q 1 /proc/sys/net/ipv4/conf/up0/forwarding") == 0;
	nl_close(&network.route);
	nl_close(&network.filter);
	if (links)
		return "a link is left";
	return rules ? "a rule, or forwarding, is left" : NULL;
}

static const char *
sockets_closed(int r)
{
	(void)r;
	nl_close(&network.route);
	nl_close(&network.filter);
	return NULL;
}

static int
open_network(void)
{
	return network_open(&network, &cfg, at);
}

static int
ensure_network(void)
{
	return network_ensure(&network, &table);
}

static void
with_flushed_network(void)
{
	with_guest();
	(void)!system("nft flush ruleset; ip addr flush dev " BRIDGE "; "
	    "ip link set " BRIDGE " down");
}

static int
add_guest(void)
{
	return network_add(&network, &table, vm);
}

/* Failed: neither tap nor a way for its frames. */
static const char *
guest_or_nothing(int r)
{
	if (r < 0 && (vm->tap_fd >= 0 || if_nametoindex("fc-" JAIL) != 0))
		return "a tap is left";
	return nothing_of_ours(r);
}

static int
let_guest_out(void)
{
	network.let_out_ms = 0;
	return network_nat(&network, vm, true);
}

static int
remove_guest(void)
{
	return network_remove(&network, vm);
}

/* Killed, with a tap that stays as Firecracker's do, and forwarding on record. */
static void
with_killed_daemon(void)
{
	with_guest();
	(void)tap_persist(vm->tap_fd);
	close_fdp(&vm->tap_fd);
	nl_close(&network.route);
	nl_close(&network.filter);
	network = (struct network){ .route.fd = -1, .filter.fd = -1 };
}

/* The next one's start, without any VM on record. */
static int
start_over(void)
{
	int r = network_open(&network, &cfg, at);

	if (r == 0) {
		network_close(&network);
		r = network.ready ? -EIO : 0;
	}
	return r;
}

/* And that of the one after, if that has not got so far. */
static const char *
next_daemon(int r)
{
	nl_close(&network.route);
	nl_close(&network.filter);
	network = (struct network){ .route.fd = -1, .filter.fd = -1 };
	if (start_over() < 0)
		return "the next daemon does not start";
	return nothing_of_ours(r);
}

static int
close_network(void)
{
	(void)network_remove(&network, vm);
	network_close(&network);
	return network.ready ? -EIO : 0;
}

/* ---- privileges ---- */

static int
initial(void)
{
	drop_initial(STDERR_FILENO);
	return 0;
}

static int
mounts(void)
{
	drop_mounts();
	return 0;
}

static int
launcher(void)
{
	drop_launcher();
	return 0;
}

static int
monitor(void)
{
	drop_monitor();
	return 0;
}

static int
resolver(void)
{
	drop_resolver();
	return 0;
}

static int
to_uid(void)
{
	return drop_to_uid(UID);
}

static const char *
is_uid(int r)
{
	uid_t real, effective, saved;

	if (r < 0)
		return NULL;
	return getresuid(&real, &effective, &saved) == 0 && real == UID &&
	    effective == UID && saved == UID &&
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
	    prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 0 ? NULL :
	    "it is said that all was dropped";
}

/* No role keeps CAP_SYS_MODULE in any set that counts. */
static const char *
has_dropped(int r)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	const uint32_t bit = UINT32_C(1) << CAP_SYS_MODULE;

	if (r < 0)
		return NULL;
	return syscall(SYS_capget, &header, sets) == 0 &&
	    ((sets[0].effective | sets[0].permitted | sets[0].inheritable) &
	    bit) == 0 && prctl(PR_CAPBSET_READ, CAP_SYS_MODULE, 0, 0, 0) == 0 ?
	    NULL : "it is said that all was dropped";
}

static const char *
is_refused(int r)
{
	return r < 0 || (unshare(CLONE_NEWUTS) < 0 && errno == EPERM) ? NULL :
	    "there is no filter";
}

static int
some_files(void)
{
	const int fds[] = { at, file };

	return sandbox_files(fds, 2, &at, 1);
}

/* A limit that cannot be raised, or a line that nobody reads, is no failure. */
static const long limits[] = { SYS_prlimit64, SYS_write, -1 };
/* Without it there is no udev. */
static const long no_udev[] = { SYS_access, SYS_write, -1 };

static const struct act files[] = {
	{ "new directory", fresh_dir, new_dir, nothing_when_failed, 0, NULL },
	{ "directory", fresh_dir, make_dir, nothing_when_failed, 0, NULL },
	{ "directory that exists", with_old_dir, make_dir, dropped, 0, NULL },
	{ "trusted directory", fresh_dir, trusted_dir, trusted, 0, NULL },
	{ "file", with_old_file, replace, old_or_new, 0, NULL },
	{ "tree", with_tree, remove_tree, removed, 0, NULL },
	{ "node", fresh_dir, node, nothing_when_failed, 0, NULL },
	{ "FIFO", with_fifo, fifo, dropped, 0, NULL },
	{ "jail", fresh_dir, qemu_jail, nothing_when_failed, 0, NULL },
	{ "jail of Firecracker", fresh_dir, chroot_jail, nothing_when_failed, 0,
	    NULL },
	{ "record of a VM that runs", with_running_vm, load_records,
	    vmm_is_known, INJECT_MENDS, NULL },
	{ "record of a VM to be", with_vm_to_be, load_records, vmm_is_known,
	    INJECT_MENDS, NULL },
	{ "rule for udev", without_rules, udev_rule, rule_is_whole,
	    INJECT_MENDS, no_udev },
	{ "rule for udev that is there", with_old_rule, udev_rule,
	    rule_is_whole, INJECT_MENDS, no_udev },
};

static const struct act links[] = {
	{ "sockets", fresh_host, open_network, sockets_closed, 0, NULL },
	{ "network", with_sockets, ensure_network, nothing_of_ours,
	    INJECT_MENDS | INJECT_EIO, NULL },
	{ "flushed network", with_flushed_network, ensure_network,
	    nothing_of_ours, INJECT_MENDS | INJECT_EIO, NULL },
	{ "guest", with_network, add_guest, guest_or_nothing,
	    INJECT_MENDS | INJECT_EIO, NULL },
	{ "way out", with_guest, let_guest_out, nothing_of_ours,
	    INJECT_MENDS | INJECT_EIO, NULL },
	{ "guest's end", with_guest, remove_guest, nothing_of_ours,
	    INJECT_MENDS | INJECT_EIO, NULL },
	{ "killed daemon", with_killed_daemon, start_over, next_daemon,
	    INJECT_MENDS | INJECT_EIO, NULL },
	{ "network's end", with_guest, close_network, nothing_of_ours,
	    INJECT_MENDS | INJECT_EIO, NULL },
};

static const struct act roles[] = {
	{ "daemon", NULL, initial, NULL, INJECT_ENDS, limits },
	{ "mount namespace", NULL, mounts, NULL, INJECT_ENDS, NULL },
	{ "launcher", NULL, launcher, has_dropped,
	    INJECT_ENDS | INJECT_MENDS, NULL },
	{ "monitor", NULL, monitor, has_dropped, INJECT_ENDS | INJECT_MENDS,
	    NULL },
	{ "resolver", NULL, resolver, has_dropped,
	    INJECT_ENDS | INJECT_MENDS, NULL },
	{ "uid", NULL, to_uid, is_uid, 0, NULL },
	{ "jailer", NULL, drop_to_jailer, has_dropped, 0, NULL },
	{ "VMM's system calls", NULL, drop_vmm_syscalls, is_refused,
	    INJECT_MENDS, NULL },
	{ "no writes", NULL, sandbox_no_writes, NULL, INJECT_MENDS, NULL },
	{ "files", fresh_dir, some_files, dropped, INJECT_MENDS, NULL },
	{ "process", NULL, sandbox_process, NULL, 0, NULL },
};

static void
all_of(const struct act *acts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		print_message("%s: %u\n", acts[i].name, inject_all(&acts[i]));
}

static void
files_and_jails(void **state)
{
	(void)state;
	need_root();
	all_of(files, ARRAY_SIZE(files));
}

static void
links_and_rules(void **state)
{
	(void)state;
	need_root();
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		skip();
	all_of(links, ARRAY_SIZE(links));
}

static void
privileges(void **state)
{
	(void)state;
	need_root();
	all_of(roles, ARRAY_SIZE(roles));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_and_jails),
		cmocka_unit_test(links_and_rules),
		cmocka_unit_test(privileges),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
