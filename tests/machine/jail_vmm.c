/*
 * A VMM of the worst kind, for jail_test.c: static, started in place of QEMU.
 * The words in /vmm.conf tell it what to do, one after the other. What it
 * finds, it writes to /run/report, one `key value` a line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *report;

#define SAY(...) fprintf(report, __VA_ARGS__)

static void
say_ids(void)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	getresuid(&r, &e, &s);
	getresgid(&rg, &eg, &sg);
	SAY("uid %u %u %u\n", r, e, s);
	SAY("gid %u %u %u\n", rg, eg, sg);
	SAY("groups %d\n", getgroups(0, NULL));
	SAY("session %d\n", getsid(0) == getpid());
	SAY("pid %d\n", (int)getpid());
	SAY("umask %03o\n", umask(077));
	SAY("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void
say_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	int i, bounding = 0, ambient = 0;

	syscall(SYS_capget, &header, data);
	for (i = 0; i < 64; i++) {
		bounding += prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
		ambient += prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0,
		    0) == 1;
	}
	SAY("effective %x\n", data[0].effective | data[1].effective);
	SAY("permitted %x\n", data[0].permitted | data[1].permitted);
	SAY("inheritable %x\n", data[0].inheritable | data[1].inheritable);
	SAY("bounding %d\nambient %d\n", bounding, ambient);
}

static void
say_fds(int own)
{
	int fd;

	SAY("fds");
	for (fd = 0; fd < 4096; fd++)
		if (fd != own && fcntl(fd, F_GETFD) >= 0)
			SAY(" %d", fd);
	SAY("\n");
	for (fd = 0; fd <= 4; fd++) {
		struct stat st = { 0 };

		fstat(fd, &st);
		SAY("fd%d %o %d\n", fd, st.st_mode & S_IFMT,
		    fcntl(fd, F_GETFL) & O_ACCMODE);
	}
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void
say_directory(const char *path)
{
	struct dirent **entries;
	int i, count = scandir(path, &entries, NULL, by_name);

	SAY("ls %s", path);
	for (i = 0; i < count; i++)
		if (entries[i]->d_name[0] != '.')
			SAY(" %s", entries[i]->d_name);
	SAY("\n");
}

static void
say_node(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		SAY("node %s %s\n", path, strerrorname_np(errno));
	else
		SAY("node %s %o %u %u:%u\n", path, st.st_mode, st.st_uid,
		    major(st.st_rdev), minor(st.st_rdev));
}

static void
say_tree(void)
{
	static const char *const names[] = { "/", "/kernel", "/initrd",
		"/vmm.conf", "/dev", "/dev/null", "/dev/urandom", "/dev/kvm",
		"/run", "/etc", "/usr" };
	char cwd[256] = "";
	size_t i;

	SAY("cwd %s\n", getcwd(cwd, sizeof(cwd)));
	say_directory("/");
	say_directory("/dev");
	say_directory("/etc");
	say_directory("/usr");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		say_node(names[i]);
}

static void
say_network(void)
{
	struct if_nameindex *links = if_nameindex(), *link;
	struct ifreq request = { 0 };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	SAY("links");
	for (link = links; link != NULL && link->if_index != 0; link++)
		SAY(" %s", link->if_name);
	strcpy(request.ifr_name, "lo");
	ioctl(sock, SIOCGIFFLAGS, &request);
	SAY("\nlo_up %d\n", (request.ifr_flags & IFF_UP) != 0);
	close(sock);
}

static void
say_limits(void)
{
	static const struct {
		const char *name;
		int which;
	} limits[] = {
		{ "core", RLIMIT_CORE },
		{ "nofile", RLIMIT_NOFILE },
		{ "nproc", RLIMIT_NPROC },
		{ "msgqueue", RLIMIT_MSGQUEUE },
	};
	size_t i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit limit = { 0, 0 };

		getrlimit((__rlimit_resource_t)limits[i].which, &limit);
		SAY("limit %s %llu %llu\n", limits[i].name,
		    (unsigned long long)limit.rlim_cur,
		    (unsigned long long)limit.rlim_max);
	}
}

static void
say_signals(void)
{
	sigset_t blocked;
	int i, ignored = 0, masked = 0;

	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (i = 1; i < 32; i++) {
		struct sigaction action;

		if (sigaction(i, NULL, &action) == 0 &&
		    action.sa_handler == SIG_IGN)
			ignored++;
		masked += sigismember(&blocked, i) == 1;
	}
	SAY("ignored %d\nblocked %d\n", ignored, masked);
}

/* Each of these must fail; its errno is said. */
static void
say_try(const char *name, long result)
{
	SAY("try %s %s\n", name, result < 0 ? strerrorname_np(errno) :
	    "SUCCESS");
}

static long
abstract_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char name[] = "\0banger-jail-test";

	memcpy(addr.sun_path, name, sizeof(name) - 1);
	return connect(sock, (struct sockaddr *)&addr,
	    (socklen_t)(sizeof(sa_family_t) + sizeof(name) - 1));
}

static long
tap_address(void)
{
	struct ifreq request = { 0 };

	request.ifr_hwaddr.sa_family = 1;	/* ARPHRD_ETHER */
	memcpy(request.ifr_hwaddr.sa_data, "\2\1\1\1\1\1", 6);
	return ioctl(3, SIOCSIFHWADDR, &request);
}

static void
say_tries(void)
{
	static const char *const places[] = { "/x", "/dev/x", "/etc/x",
		"/usr/x", "/usr/bin/x", "/usr/lib/x", "/usr/share/x",
		"/kernel", "/initrd", "/vmm.conf", "/dev/null/x" };
	unsigned int features;
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "write %s", places[i]);
		say_try(name, open(places[i], O_WRONLY | O_CREAT, 0600));
	}
	say_try("unlink /vmm.conf", unlink("/vmm.conf"));
	say_try("rename /run", rename("/run", "/run2"));
	say_try("symlink /y", symlink("a", "/y"));
	say_try("chmod /vmm.conf", chmod("/vmm.conf", 0666));
	say_try("mknod", mknod("/run/node", S_IFCHR | 0600, makedev(1, 1)));
	say_try("mount", mount("none", "/run", "tmpfs", 0, NULL));
	say_try("umount", umount2("/run", MNT_DETACH));
	say_try("remount", mount(NULL, "/kernel", NULL,
	    MS_REMOUNT | MS_BIND, NULL));
	say_try("unshare mounts", unshare(CLONE_NEWNS));
	say_try("unshare network", unshare(CLONE_NEWNET));
	say_try("chroot", chroot("/run"));
	say_try("setuid", setresuid(0, 0, 0));
	say_try("setgid", setresgid(0, 0, 0));
	say_try("groups", syscall(SYS_setgroups, 1, &(gid_t){ 0 }));
	say_try("kill init", kill(-1, 0));
	say_try("ptrace parent", ptrace(PTRACE_ATTACH, getppid(), 0, 0));
	say_try("abstract socket", abstract_connect());
	say_try("outside", open("/../../../../etc/shadow", O_RDONLY));
	say_try("proc", open("/proc/self/status", O_RDONLY));
	say_try("key", syscall(SYS_keyctl, KEYCTL_SEARCH,
	    KEY_SPEC_SESSION_KEYRING, "user", "banger-jail-test", 0));
	say_try("user namespace", unshare(CLONE_NEWUSER));
	say_try("clone into one", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD,
	    0, 0, 0, 0));
	say_try("clone3", syscall(SYS_clone3, NULL, 0));
	say_try("bpf", syscall(SYS_bpf, 0, NULL, 0));
	say_try("io_uring", syscall(SYS_io_uring_setup, 1, &(struct
	    io_uring_params){ .flags = 0 }));
	say_try("userfaultfd", syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY));
	say_try("keyring", syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING,
	    NULL));
	SAY("tap features %d\n", ioctl(3, TUNGETFEATURES, &features));
	say_try("tap persistent", ioctl(3, TUNSETPERSIST, 1));
	say_try("tap, upper half", syscall(SYS_ioctl, 3,
	    0x100000000UL | TUNSETPERSIST, 1));
	say_try("tap owner", ioctl(3, TUNSETOWNER, 0));
	say_try("tap address", tap_address());
	say_try("setrlimit", setrlimit(RLIMIT_NOFILE,
	    &(struct rlimit){ 65536, 65536 }));
}

static void
say_arguments(int argc, char **argv, char **envp)
{
	int i;

	SAY("argv");
	for (i = 0; i < argc; i++)
		SAY(" %s", argv[i]);
	SAY("\nenv %d\n", envp[0] != NULL);
}

static int
listen_at(const char *path, int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	bind(sock, (struct sockaddr *)&addr, sizeof(addr));
	if (backlog >= 0)
		listen(sock, backlog);
	return sock;
}

/*
 * Traps for the monitor. OUTSIDE is the name, on the host, of somebody else's
 * listening socket.
 */
static void
plant(const char *outside)
{
	int i;

	listen_at("/run/0.sock", 8);
	listen_at("/run/1.sock", -1);
	listen_at("/run/2.sock", 0);
	symlink(outside, "/run/3.sock");
	mkfifo("/run/4.sock", 0666);
	close(open("/run/5.sock", O_WRONLY | O_CREAT, 0666));
	mkdir("/run/6.sock", 0700);
	symlink("0.sock", "/run/7.sock");
	symlink("../../../../../..", "/run/8.sock");
	link("/run/0.sock", "/run/9.sock");
	symlink("/etc", "/run/etc");
	symlink(outside, "/run/outside");
	/* As deep as it goes. */
	i = chdir("/run");
	for (; i < 1000; i++)
		if (mkdir("d", 0700) < 0 || chdir("d") < 0)
			break;
	SAY("deep %d %d\n", i, chdir("/"));
}

/* Swaps its own socket with a link to somebody else's, for ever. */
static void
swap(const char *outside)
{
	if (fork() != 0)
		return;
	listen_at("/run/10.sock", 4096);
	symlink(outside, "/run/swap");
	for (;;)
		syscall(SYS_renameat2, AT_FDCWD, "/run/10.sock", AT_FDCWD,
		    "/run/swap", 2 /* RENAME_EXCHANGE */);
}

/* Fills what it can write to, as far as that goes. */
static void
fill(void)
{
	static char block[4096];
	unsigned long long bytes = 0;
	int files = 0, fd;
	ssize_t n;

	for (;;) {
		char name[32];

		snprintf(name, sizeof(name), "/run/fill%d", files);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0)
			break;
		files++;
		while ((n = write(fd, block, sizeof(block))) > 0)
			bytes += (unsigned long long)n;
		close(fd);
		if (files > 100000)
			break;
	}
	fd = open("/run/fill0", O_WRONLY | O_TRUNC);
	close(fd);
	SAY("filled %d %llu\n", files, bytes);
}

/* A process that ignores what it can and stays. */
static void
linger(void)
{
	int i;

	if (fork() != 0)
		return;
	for (i = 1; i < 32; i++)
		signal(i, SIG_IGN);
	setsid();
	for (;;)
		pause();
}

int
main(int argc, char **argv, char **envp)
{
	static char config[4096];
	char *word, *save = NULL, *outside = NULL;
	int fd, ready = -1;

	signal(SIGTERM, SIG_DFL);
	fd = open("/vmm.conf", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, config, sizeof(config) - 1) < 0)
		return 99;
	close(fd);
	report = fopen("/run/.report", "we");
	if (report == NULL)
		return 98;
	for (word = strtok_r(config, " \n", &save); word != NULL;
	    word = strtok_r(NULL, " \n", &save)) {
		if (strncmp(word, "outside=", 8) == 0)
			outside = word + 8;
		else if (strcmp(word, "look") == 0) {
			say_arguments(argc, argv, envp);
			say_fds(fileno(report));
			say_ids();
			say_capabilities();
			say_tree();
			say_network();
			say_limits();
			say_signals();
		} else if (strcmp(word, "try") == 0)
			say_tries();
		else if (strcmp(word, "plant") == 0)
			plant(outside);
		else if (strcmp(word, "swap") == 0)
			swap(outside);
		else if (strcmp(word, "fill") == 0)
			fill();
		else if (strcmp(word, "linger") == 0)
			linger();
		else if (strcmp(word, "stderr") == 0)
			dprintf(2, "on standard error\n");
		else if (strcmp(word, "abort") == 0)
			abort();
		else if (strncmp(word, "exit=", 5) == 0)
			_exit(atoi(word + 5));
		else if (strcmp(word, "wait") == 0)
			ready = 1;
	}
	fclose(report);
	rename("/run/.report", "/run/report");
	while (ready == 1)
		pause();
	return 0;
}
