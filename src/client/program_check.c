/*
 * Programs that banger may run. Asking one for its version means running it:
 * as nobody, without privileges to gain, with nothing open but its output, and
 * with a deadline, because which program that is comes from a configuration
 * file and from what a distribution put there.
 */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "client/doctor.h"

enum { RUN_TIMEOUT_MS = 5000, RUN_OUTPUT = 16384, NOBODY = 65534 };

/* The first of PATHS that is an executable file, or NULL. */
static const char *
find_program(const char *configured, const char *const *paths)
{
	if (configured[0] != '\0')
		return access(configured, X_OK) == 0 ? configured : NULL;
	for (; *paths != NULL; paths++)
		if (access(*paths, X_OK) == 0)
			return *paths;
	return NULL;
}

/* In the child; does not return. */
static void __attribute__((noreturn))
run_child(const char *path, char **argv, int out)
{
	char *no_env[] = { NULL };
	int null_fd = open("/dev/null", O_RDWR);

	if (null_fd < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(null_fd, STDERR_FILENO) < 0 ||
	    syscall(SYS_close_range, 3, UINT_MAX, 0) < 0)
		_exit(127);
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 ||
	    setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0))
		_exit(127);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(127);
	execve(path, argv, no_env);
	_exit(127);
}

/* Reads FD to its end or until nothing comes any more. */
static void
read_output(int fd, char out[RUN_OUTPUT])
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	while (len < RUN_OUTPUT - 1 && poll(&pfd, 1, RUN_TIMEOUT_MS) > 0) {
		n = read(fd, out + len, RUN_OUTPUT - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	out[len] = '\0';
}

/*
 * Runs PATH with up to two arguments and returns its standard output in OUT.
 * 0, -EIO when it failed or did not end, or -errno.
 */
static int
run_program(const char *path, const char *arg1, const char *arg2,
    char out[RUN_OUTPUT])
{
	char name[64], first[64], second[64];
	char *argv[] = { name, first, arg2 != NULL ? second : NULL, NULL };
	_cleanup_close_ int in = -1;
	int fds[2], status = 0;
	pid_t pid;

	snprintf(name, sizeof(name), "%s", strrchr(path, '/') + 1);
	snprintf(first, sizeof(first), "%s", arg1);
	snprintf(second, sizeof(second), "%s", arg2 != NULL ? arg2 : "");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	pid = fork();
	if (pid == 0)
		run_child(path, argv, fds[1]);
	close(fds[1]);
	if (pid < 0)
		return -EAGAIN;
	read_output(in, out);
	/* Our own child, not yet waited for: the pid is still its. */
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return out[0] != '\0' ? 0 : -EIO;
}

/* The version that PATH names on its first lines. 0 or -errno. */
static int
program_version(const char *path, struct version *version)
{
	char out[RUN_OUTPUT];
	int r = run_program(path, "--version", NULL, out);

	return r < 0 ? r : version_read(out, version);
}

/* Whether root may execute PATH for others: nobody else can change it. */
static bool
root_owned(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 &&
	    (st.st_mode & 022) == 0;
}

/*
 * Fills CHECK for a program that is there: 0 when all is well so far, else
 * the complaint has been made.
 */
static int
check_program(struct check *check, const char *path, struct version *version)
{
	int r;

	if (!root_owned(path)) {
		check_found(check, VERDICT_WARN, "%s can be changed by others "
		    "than root: it is not used", path);
		check_remedy(check, "chown root: %.100s && chmod go-w %.100s",
		    path, path);
		return -EPERM;
	}
	r = program_version(path, version);
	if (r < 0) {
		check_found(check, VERDICT_WARN, "%s does not tell its version",
		    path);
		check_remedy(check, "run %s --version to see why", path);
		return r;
	}
	check_found(check, VERDICT_OK, "%s %u.%u.%u", path, version->major,
	    version->minor, version->patch);
	return 0;
}

void
probe_qemu(struct patient *patient, struct check *check)
{
	static const char *const paths[] = { "/usr/bin/qemu-system-x86_64",
		"/usr/libexec/qemu-kvm", NULL };
	const char *path = find_program(patient->cfg->qemu_bin, paths);
	struct version version;
	char out[RUN_OUTPUT];

	if (path == NULL && patient->kvm && patient->firecracker &&
	    patient->jailer) {
		check_found(check, VERDICT_OK, "no qemu-system-x86_64; "
		    "Firecracker runs the VMs");
		return;
	}
	if (path == NULL) {
		check_found(check, VERDICT_FAIL, "%s%sno qemu-system-x86_64",
		    patient->cfg->qemu_bin,
		    patient->cfg->qemu_bin[0] != '\0' ? ": " : "");
		check_remedy(check, "install it (Debian: apt install "
		    "qemu-system-x86), or set qemu_bin in %s", patient->config_name);
		return;
	}
	if (check_program(check, path, &version) < 0) {
		check->verdict = VERDICT_FAIL;
		return;
	}
	if (run_program(path, "-machine", "help", out) < 0 ||
	    strstr(out, "microvm") == NULL) {
		check_found(check, VERDICT_FAIL, "%s %u.%u.%u has no microvm "
		    "machine", path, version.major, version.minor,
		    version.patch);
		check_remedy(check, "install a QEMU that has it (4.2 or later)");
		return;
	}
	patient->qemu = true;
}

/* Without it QEMU is what runs VMs; probe_qemu says whether it can. */
static void
absent(struct check *check, const char *what)
{
	check_found(check, VERDICT_OK, "no %s: QEMU runs the VMs", what);
}

void
probe_firecracker(struct patient *patient, struct check *check)
{
	static const char *const paths[] = { "/usr/bin/firecracker",
		"/usr/local/bin/firecracker", NULL };
	const char *path = find_program(patient->cfg->firecracker_bin, paths);
	struct version version;

	if (path == NULL)
		absent(check, "firecracker");
	else
		patient->firecracker = check_program(check, path,
		    &version) == 0;
}

bool
jailer_has_hole(const struct version *version)
{
	return version_before(version, 1, 13, 2) ||
	    (version->major == 1 && version->minor == 14 &&
	    version->patch == 0);
}

void
probe_jailer(struct patient *patient, struct check *check)
{
	static const char *const paths[] = { "/usr/bin/jailer",
		"/usr/local/bin/jailer", NULL };
	const char *path = find_program(patient->cfg->jailer_bin, paths);
	struct version version;

	if (path == NULL) {
		absent(check, "jailer");
		return;
	}
	patient->jailer = check_program(check, path, &version) == 0;
	if (!patient->jailer || !jailer_has_hole(&version))
		return;
	check_found(check, VERDICT_WARN, "%s %u.%u.%u follows links planted in "
	    "its jail", path, version.major, version.minor, version.patch);
	check_remedy(check, "install 1.13.2, 1.14.1 or later");
}
