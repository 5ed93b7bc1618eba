/*
 * `banger system` without a service manager: the texts, the list of what was
 * installed, files below a directory that stands for /, and who is found to
 * supervise services there.
 */
#include "unit.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "client/client.h"
#include "client/system.h"
#include "privsep/drop.h"

/* ---- the configuration ---- */

static void
check_config(const char *old, const char *owner, const char *group,
    const char *want)
{
	struct buf out _cleanup_buf_ = BUF_INIT(4096);

	assert_int_equal(system_config(old, owner, group, &out), 0);
	assert_string_equal(out.data, want);
	/* Once more changes nothing. */
	if (out.len > 0) {
		struct buf again _cleanup_buf_ = BUF_INIT(4096);

		assert_int_equal(system_config(out.data, owner, group, &again),
		    0);
		assert_string_equal(again.data, want);
	}
}

static void
test_config(void **state)
{
	(void)state;
	check_config(NULL, "me", NULL,
	    "# Configuration of banger, see banger(1).\nowner = \"me\"\n");
	check_config(NULL, "me", "us",
	    "# Configuration of banger, see banger(1).\nowner = \"me\"\n"
	    "group = \"us\"\n");
	check_config("", "me", NULL, "owner = \"me\"\n");
	check_config("# mine\nuid_base = 5000\n", "me", NULL,
	    "owner = \"me\"\n# mine\nuid_base = 5000\n");
	check_config("log_level = \"info\"\nowner = \"you\" # she\n", "me",
	    NULL, "log_level = \"info\"\nowner = \"me\" # she\n");
	check_config("  owner=you\ngroup = \"a\"", "me", "b",
	    "owner = \"me\"\ngroup = \"b\"\n");
	/* A group that nobody spoke of stays. */
	check_config("group = \"a\"\n", "me", NULL,
	    "owner = \"me\"\ngroup = \"a\"\n");
	/* Other keys, comments and tables are not these keys. */
	check_config("owners = 1\n#owner = \"x\"\n[vm_defaults]\nowner = 3\n",
	    "me", NULL, "owner = \"me\"\nowners = 1\n#owner = \"x\"\n"
	    "[vm_defaults]\nowner = 3\n");
}

static void
test_config_limit(void **state)
{
	struct buf out _cleanup_buf_ = BUF_INIT(8);

	(void)state;
	assert_int_equal(system_config(NULL, "me", NULL, &out), -ENOBUFS);
}

/* What is written is what the daemon reads. */
static void
test_config_is_read(void **state)
{
	struct buf out _cleanup_buf_ = BUF_INIT(4096);
	struct config cfg;
	char err[256];

	(void)state;
	assert_int_equal(system_config("uid_base = 5000\n[vm_defaults]\n"
	    "vcpu = 4\n", "root", NULL, &out), 0);
	assert_int_equal(config_parse(out.data, "f", &cfg, err, sizeof(err)),
	    0);
	assert_int_equal(cfg.owner_uid, 0);
	assert_int_equal(cfg.uid_base, 5000);
	assert_int_equal(cfg.default_vcpus, 4);
	assert_int_equal(config_parse("nonsense = 1\n", "f", &cfg, err,
	    sizeof(err)), -EINVAL);
	assert_string_equal(err, "f:1: unknown key nonsense");
	assert_int_equal(cfg.uid_base, 5000);
}

/* ---- the service's files ---- */

static void
test_unit(void **state)
{
	static const char *const lines[] = {
		"\nType=notify\n", "\nNotifyAccess=main\n",
		"\nKillMode=process\n", "\nSendSIGKILL=no\n",
		"\nRestart=on-failure\n", "\nRuntimeDirectory=banger\n",
		"\nRuntimeDirectoryPreserve=yes\n", "\nStateDirectory=banger\n",
		"\nExecStart=/usr/local/bin/banger daemon\n",
		"\nNoNewPrivileges=yes\n", "\nProtectHome=read-only\n",
		"\nCapabilityBoundingSet=" DAEMON_CAPABILITIES "\n",
		"\nWantedBy=multi-user.target\n",
	};
	/* What would break devices, mounts, cgroups, JITs or openat2(2). */
	static const char *const never[] = { "PrivateDevices", "ProtectClock",
		"DeviceAllow", "PrivateNetwork", "ProtectControlGroups",
		"ProtectKernelTunables", "RestrictNamespaces",
		"RestrictSUIDSGID", "MemoryDenyWriteExecute", "PrivateUsers" };
	struct buf out _cleanup_buf_ = BUF_INIT(65536);
	struct config cfg = { .state_dir = "/var/lib/banger",
		.runtime_dir = "/run/banger" };
	size_t i;

	(void)state;
	assert_int_equal(system_unit(&cfg, &out), 0);
	assert_int_equal(strncmp(out.data, SYSTEM_MARK "\n",
	    strlen(SYSTEM_MARK) + 1), 0);
	for (i = 0; i < ARRAY_SIZE(lines); i++)
		assert_case(strstr(out.data, lines[i]) != NULL, i, lines[i]);
	for (i = 0; i < ARRAY_SIZE(never); i++)
		assert_case(strstr(out.data, never[i]) == NULL, i, never[i]);
	buf_clear(&out);
	strcpy(cfg.state_dir, "/home/me/vms");
	assert_int_equal(system_unit(&cfg, &out), 0);
	assert_non_null(strstr(out.data, "\nProtectHome=no\n"));
}

static void
test_runit(void **state)
{
	struct buf out _cleanup_buf_ = BUF_INIT(65536);

	(void)state;
	assert_int_equal(system_runit_run(&out), 0);
	assert_string_equal(out.data, "#!/bin/sh\n" SYSTEM_MARK "\n"
	    "exec /usr/local/bin/banger daemon 2>&1\n");
	buf_clear(&out);
	assert_int_equal(system_runit_log("/bin/svlogd", &out), 0);
	assert_string_equal(out.data, "#!/bin/sh\n" SYSTEM_MARK "\n"
	    "exec /bin/svlogd -tt /var/log/banger\n");
}

/* ---- the list ---- */

static void
test_list(void **state)
{
	static const char *const wrong[] = {
		"x\n", "0123456789abcdef\n", "0123456789abcdef x\n",
		"0123456789abcdef /\n", "0123456789abcdeg /a\n",
		"0123456789abcdef  /a\n",
		"+123456789abcdef /a\n",
		"0123456789abcdef /0123456789012345678901234567890123456789"
		    "0123456789012345678901234567890123456789\n",
		"0000000000000001 /1\n0000000000000001 /2\n"
		    "0000000000000001 /3\n0000000000000001 /4\n"
		    "0000000000000001 /5\n0000000000000001 /6\n"
		    "0000000000000001 /7\n0000000000000001 /8\n"
		    "0000000000000001 /9\n",
	};
	struct system_list list = { .count = 0 }, back;
	struct buf out _cleanup_buf_ = BUF_INIT(4096);
	size_t i;

	(void)state;
	assert_int_equal(system_list_set(&list, "a/b", 1), 0);
	assert_int_equal(system_list_set(&list, "c", UINT64_MAX), 0);
	assert_int_equal(system_list_set(&list, "a/b", 2), 0);
	assert_int_equal(system_list_text(&list, &out), 0);
	assert_int_equal(system_list_parse(out.data, &back), 0);
	assert_int_equal(back.count, 2);
	assert_int_equal(system_list_find(&back, "a/b")->digest, 2);
	assert_true(system_list_find(&back, "c")->digest == UINT64_MAX);
	assert_null(system_list_find(&back, "a"));
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_case(system_list_parse(wrong[i], &back) == -EBADMSG, i,
		    wrong[i]);
	assert_int_equal(back.count, 2);
	/* FNV-1a's own test vector. */
	assert_true(system_digest("foobar", 6) ==
	    UINT64_C(0x85944171f73967e8));
}

/* ---- files ---- */

static void
test_put(void **state)
{
	struct buf out _cleanup_buf_ = BUF_INIT(64);
	struct temp temp;
	struct stat st;

	(void)state;
	begin_temp(&temp);
	assert_int_equal(system_read(temp.fd, "a/b/c", &out), -ENOENT);
	assert_int_equal(system_put(temp.fd, "a/b/c", 0750, "one", 3), 1);
	assert_int_equal(system_put(temp.fd, "a/b/c", 0750, "one", 3), 0);
	assert_int_equal(system_put(temp.fd, "a/b/c", 0750, "two", 3), 1);
	assert_int_equal(system_put(temp.fd, "a/b/c", 0755, "two", 3), 1);
	assert_int_equal(system_read(temp.fd, "a/b/c", &out), 0);
	assert_string_equal(out.data, "two");
	assert_int_equal(fstatat(temp.fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	assert_int_equal(fstatat(temp.fd, "a/b", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_false(exists(temp.fd, "a/b/.c.new"));
	/* Neither a link nor a directory is written over or through. */
	assert_int_equal(symlinkat("c", temp.fd, "a/b/link"), 0);
	assert_int_equal(system_put(temp.fd, "a/b/link", 0644, "x", 1),
	    -EEXIST);
	assert_int_equal(system_put(temp.fd, "a/b", 0644, "x", 1), -EEXIST);
	buf_clear(&out);
	assert_int_equal(system_read(temp.fd, "a/b/link", &out), -ELOOP);
	assert_int_equal(system_read(temp.fd, "a/b", &out), -EINVAL);
	assert_int_equal(mkfifoat(temp.fd, "a/b/fifo", 0600), 0);
	assert_int_equal(system_read(temp.fd, "a/b/fifo", &out), -EINVAL);
	assert_int_equal(system_remove(temp.fd, "a/b"), -ENOTEMPTY);
	assert_int_equal(system_remove(temp.fd, "a/b/c"), 0);
	assert_int_equal(system_remove(temp.fd, "a/b/c"), 0);
	assert_int_equal(system_remove(temp.fd, "z/z"), 0);
	end_temp(&temp);
}

/* Directories that others can change are refused, wherever on the way. */
static void
test_others(void **state)
{
	struct temp temp;

	(void)state;
	begin_temp(&temp);
	assert_int_equal(system_put(temp.fd, "a/b/c", 0644, "x", 1), 1);
	assert_int_equal(fchmodat(temp.fd, "a", 0777, 0), 0);
	assert_int_equal(system_dir(temp.fd, "a/b", false), -EPERM);
	assert_int_equal(system_check(temp.fd, "a/b/new/c"), -EPERM);
	assert_int_equal(system_put(temp.fd, "a/new/c", 0644, "x", 1), -EPERM);
	assert_false(exists(temp.fd, "a/new"));
	assert_int_equal(fchmodat(temp.fd, "a", 01777, 0), 0);
	assert_int_equal(system_check(temp.fd, "a/b/new/c"), 0);
	assert_int_equal(fchmodat(temp.fd, "a", 0755, 0), 0);
	/* A symlink leads nowhere outside. */
	assert_int_equal(symlinkat("/a/b", temp.fd, "in"), 0);
	assert_int_equal(symlinkat("../../../../etc", temp.fd, "out"), 0);
	assert_int_equal(system_put(temp.fd, "in/c", 0644, "y", 1), 1);
	assert_int_equal(system_dir(temp.fd, "out", false), -ENOENT);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(temp.fd, "a", 12345, 12345, 0), 0);
		assert_int_equal(system_check(temp.fd, "a/b/c"), -EPERM);
	}
	end_temp(&temp);
}

/* Removes PATH as uninstall does, its words thrown away. */
static void
take(int root, struct system_list *list, const char *path)
{
	FILE *real = stdout;

	stdout = fopen("/dev/null", "w");
	assert_non_null(stdout);
	assert_int_equal(system_take(root, list, path), 0);
	fclose(stdout);
	stdout = real;
}

static void
test_take(void **state)
{
	static const char changed[] = SYSTEM_MARK "\nand more\n";
	struct system_list list = { .count = 0 };
	struct temp temp;

	(void)state;
	begin_temp(&temp);
	assert_int_equal(system_list_set(&list, "d/ours",
	    system_digest("x", 1)), 0);
	assert_int_equal(system_list_set(&list, "d/edited", 1), 0);
	assert_int_equal(system_list_set(&list, "d/other", 1), 0);
	assert_int_equal(system_put(temp.fd, "d/ours", 0644, "x", 1), 1);
	assert_int_equal(system_put(temp.fd, "d/edited", 0644, changed,
	    strlen(changed)), 1);
	assert_int_equal(system_put(temp.fd, "d/other", 0644, "y", 1), 1);
	assert_int_equal(system_put(temp.fd, "d/foreign", 0644, changed,
	    strlen(changed)), 1);
	take(temp.fd, &list, "d/ours");
	take(temp.fd, &list, "d/edited");
	take(temp.fd, &list, "d/other");
	take(temp.fd, &list, "d/foreign");
	take(temp.fd, &list, "d/absent");
	assert_false(exists(temp.fd, "d/ours"));
	assert_false(exists(temp.fd, "d/edited"));
	assert_true(exists(temp.fd, "d/other"));
	assert_true(exists(temp.fd, "d/foreign"));
	end_temp(&temp);
}

/* ---- who supervises ---- */

/* A process in PROC with that command line (LEN bytes), in mount namespace NS. */
static void
put_process(int proc, const char *pid, const char *line, size_t len,
    const char *ns)
{
	char path[64];

	assert_int_equal(mkdirat(proc, pid, 0755), 0);
	snprintf(path, sizeof(path), "%s/cmdline", pid);
	put_file(proc, path, line, len);
	snprintf(path, sizeof(path), "%s/ns", pid);
	assert_int_equal(mkdirat(proc, path, 0755), 0);
	snprintf(path, sizeof(path), "%s/ns/mnt", pid);
	assert_int_equal(linkat(proc, ns, proc, path, 0), 0);
}
#define PROCESS(pid, line, ns) put_process(temp.fd, pid, line, sizeof(line), ns)

static void
test_detect(void **state)
{
	struct service service;
	struct temp temp;

	(void)state;
	need_root();
	begin_temp(&temp);
	put_file(temp.fd, "own", "", 0);
	put_file(temp.fd, "other", "", 0);
	PROCESS("self", "test", "own");
	PROCESS("10", "runsvdir\0/home/me/service", "other");
	PROCESS("11", "cat\0runsvdir\0/etc/service", "own");
	PROCESS("12", "/usr/bin/runsvdirs\0/x", "own");
	PROCESS("13", "runsvdir\0-P", "own");
	PROCESS("14", "", "own");
	PROCESS("15", "runsvdir\0/tmp/mine", "own");
	assert_int_equal(fchownat(temp.fd, "15", 12345, 12345, 0), 0);
	service_detect(temp.fd, temp.fd, &service);
	assert_int_equal(service.manager, MANAGER_NONE);
	assert_string_equal(service_name(&service), "none");

	PROCESS("16", "/usr/bin/runsvdir\0-P\0/etc/service\0log: ...", "own");
	service_detect(temp.fd, temp.fd, &service);
	assert_int_equal(service.manager, MANAGER_RUNIT);
	assert_string_equal(service.scanned, "/etc/service");

	assert_int_equal(mkdirat(temp.fd, "run", 0755), 0);
	assert_int_equal(mkdirat(temp.fd, "run/systemd", 0755), 0);
	service_detect(temp.fd, temp.fd, &service);
	assert_int_equal(service.manager, MANAGER_RUNIT);
	assert_int_equal(mkdirat(temp.fd, "run/systemd/system", 0755), 0);
	service_detect(temp.fd, temp.fd, &service);
	assert_int_equal(service.manager, MANAGER_SYSTEMD);
	assert_string_equal(service.scanned, "");
	end_temp(&temp);
}

static void
test_files(void **state)
{
	struct service_file files[SERVICE_FILES];
	struct service service = { .manager = MANAGER_NONE };
	struct config cfg = { .state_dir = "/var/lib/banger",
		.runtime_dir = "/run/banger" };
	struct temp temp;
	int m, i;

	(void)state;
	begin_temp(&temp);
	for (m = MANAGER_NONE; m <= MANAGER_RUNIT + 1; m++) {
		/* The last round: runit, and its logger is there. */
		if (m > MANAGER_RUNIT)
			assert_int_equal(system_put(temp.fd, "usr/bin/svlogd",
			    0755, "", 0), 1);
		else
			service.manager = (enum manager)m;
		assert_int_equal(service_files(temp.fd, &service, &cfg, files),
		    0);
		assert_true((files[0].path != NULL) == (m != MANAGER_NONE &&
		    m != MANAGER_RUNIT));
		assert_true((files[1].path != NULL) == (m >= MANAGER_RUNIT));
		for (i = 0; i < SERVICE_FILES; i++)
			buf_free(&files[i].text);
	}
	end_temp(&temp);
}

/* ---- programs ---- */

static void
test_run(void **state)
{
	static const char *const paths[] = { "/no/such/sh", "/bin/sh", NULL };
	static const char *const none[] = { "/no/such/sh", NULL };
	const char *argv[] = { "sh", "-c", NULL, NULL };
	unsigned int fds = count_fds();
	char out[16];

	(void)state;
	argv[2] = "echo out; echo err >&2; exit 7";
	assert_int_equal(system_run(paths, argv, 60000, out, sizeof(out)), 7);
	assert_string_equal(out, "out\nerr");
	argv[2] = "head -c 100000 /dev/zero | tr '\\0' x; kill -9 $$";
	assert_int_equal(system_run(paths, argv, 60000, out, sizeof(out)),
	    128 + 9);
	assert_string_equal(out, "xxxxxxxxxxxxxxx");
	assert_int_equal(setenv("LEAK", "1", 1), 0);
	argv[2] = "echo \"$LEAK$LC_ALL\"; cat; exec ls -l /proc/self/fd/3";
	assert_int_not_equal(system_run(paths, argv, 60000, out, sizeof(out)),
	    0);
	assert_int_equal(strncmp(out, "C\n", 2), 0);
	argv[2] = "exec sleep 600";
	assert_int_equal(system_run(paths, argv, 50, out, sizeof(out)),
	    -ETIMEDOUT);
	assert_int_equal(system_run(none, argv, 50, out, sizeof(out)), -ENOENT);
	assert_int_equal(count_fds(), fds);
}

/* ---- arguments ---- */

/* What the command says on standard error, and its exit code. */
static int
complaint(char *const *argv, char *err, size_t size)
{
	char path[] = "/tmp/banger-system.XXXXXX";
	int fd = mkstemp(path), status, argc;
	ssize_t n;
	pid_t pid;

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	for (argc = 0; argv[argc] != NULL; argc++)
		continue;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(fd, STDERR_FILENO) < 0 ||
		    dup2(fd, STDOUT_FILENO) < 0 ||
		    (geteuid() == 0 && setuid(12345) < 0))
			_exit(99);
		_exit(client_main(argc, (char **)(uintptr_t)argv));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = pread(fd, err, size - 1, 0);
	assert_true(n >= 0);
	err[n] = '\0';
	close(fd);
	return WEXITSTATUS(status);
}

static void
test_arguments(void **state)
{
	static const struct {
		const char *words[8];
		int code;
		const char *said;
	} cases[] = {
		{ { "install" }, 2, "--owner is missing" },
		{ { "install", "--owner" }, 2, "--owner needs a value" },
		{ { "install", "--owner", "root", "x" }, 2, "unexpected" },
		{ { "install", "--owner", "root" }, 1,
		    "use `sudo banger system install --owner USER`" },
		{ { "restart" }, 1, "use `sudo banger system restart`" },
		{ { "restart", "--force" }, 2, "unknown flag" },
		{ { "uninstall" }, 1, "use `sudo banger system uninstall`" },
		{ { "uninstall", "--purged" }, 2, "did you mean --purge" },
		{ { "status", "x" }, 2, "unexpected" },
		{ { "stauts" }, 2, "did you mean `banger system status`" },
		{ { NULL }, 2, "which command" },
	};
	char name[] = "banger", group[] = "system", words[8][32], err[1024];
	size_t i, w;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[11] = { name, group, NULL };

		for (w = 0; w < 8 && cases[i].words[w] != NULL; w++) {
			snprintf(words[w], sizeof(words[w]), "%s",
			    cases[i].words[w]);
			argv[2 + w] = words[w];
		}
		assert_case(complaint(argv, err, sizeof(err)) == cases[i].code,
		    i, err);
		assert_case(strstr(err, cases[i].said) != NULL, i, err);
	}
}

static void
test_other_config(void **state)
{
	static const char *const verbs[] = { "install", "status", "restart",
		"uninstall" };
	char name[] = "banger", flag[] = "-c", file[] = "/x";
	char group[] = "system", verb[16];
	char *argv[] = { name, flag, file, group, verb, NULL };
	char err[1024];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		snprintf(verb, sizeof(verb), "%s", verbs[i]);
		assert_case(complaint(argv, err, sizeof(err)) == 2, i, err);
		assert_case(strstr(err, "--config /x") != NULL, i, err);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_config_limit),
		cmocka_unit_test(test_config_is_read),
		cmocka_unit_test(test_unit),
		cmocka_unit_test(test_runit),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_other_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
