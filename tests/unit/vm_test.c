/*
 * The table of VMs and its records: what is read back is exactly what was
 * written, or it is removed.
 */
#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "privsep/log.h"
#include "privsep/vm.h"

/* Our own uid is that of slot 2: our children are VMMs. */
enum { SLOTS = 8, OWN_SLOT = 2 };

/* The record as vm.c writes it; its size is checked below. */
struct record {
	uint64_t magic;
	uint64_t id;
	uint32_t slot;
	uint32_t vmm;
	uint32_t ipv4;
	uint32_t nat;
	int32_t pid;
	uint32_t pad;
	struct proc_identity identity;
};

static struct temp temp;
static struct vm_table table;
static int proc_fd;
static pid_t vmm;			/* a child that waits */

static int
new_table(void)
{
	return vm_table_init(&table, SLOTS, getuid() - OWN_SLOT, temp.fd);
}

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	vmm = fork();
	if (vmm == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return new_table();
}

static void
free_table(void)
{
	uint32_t i;

	for (i = 0; i < SLOTS; i++) {
		struct vm *vm = &table.vms[i];

		if (vm->id == 0)
			continue;
		close_fdp(&vm->tap_fd);
		close_fdp(&vm->run_fd);
		close_fdp(&vm->pidfd);
	}
	free(table.vms);
}

static int
tear_down(void **state)
{
	(void)state;
	kill(vmm, SIGKILL);
	waitpid(vmm, NULL, 0);
	close(proc_fd);
	free_table();
	end_temp(&temp);
	return 0;
}

/* As after a restart of the daemon. */
static void
reload(void)
{
	free_table();
	assert_int_equal(new_table(), 0);
	assert_int_equal(vm_load_all(&table, proc_fd), 0);
}

static void
names(void **state)
{
	char name[VM_ID_HEX + 1], tap[16];
	uint8_t mac[6];

	(void)state;
	vm_name(1, name);
	assert_string_equal(name, "000000000001");
	vm_name(VM_ID_MAX, name);
	assert_string_equal(name, "ffffffffffff");
	vm_name(UINT64_C(0x7f3a00c0ffee), name);
	assert_string_equal(name, "7f3a00c0ffee");
	/* Never longer, whatever it is given. */
	vm_name(UINT64_MAX, name);
	assert_string_equal(name, "ffffffffffff");
	vm_tap_name(UINT64_C(0x7f3a00c0ffee), tap);
	assert_string_equal(tap, "fc-7f3a00c0ffee");
	vm_mac(0xac100002, mac);
	assert_memory_equal(mac, "\x02\xfc\xac\x10\x00\x02", 6);
}

static void
slots(void **state)
{
	struct vm *vms[SLOTS];
	uint32_t i;

	(void)state;
	assert_null(vm_find(&table, 0));
	assert_null(vm_find(&table, 1));
	for (i = 0; i < SLOTS; i++) {
		vms[i] = vm_allocate(&table, 100 + i);
		assert_non_null(vms[i]);
		assert_int_equal(vms[i]->state, VM_STAGED);
		assert_int_equal(vms[i]->tap_fd, -1);
		assert_int_equal(vms[i]->run_fd, -1);
		assert_int_equal(vms[i]->pidfd, -1);
		assert_int_equal(vm_uid(&table, vms[i]), table.uid_base + i);
		assert_ptr_equal(vm_find(&table, 100 + i), vms[i]);
	}
	assert_null(vm_allocate(&table, 200));
	assert_null(vm_find(&table, 0));
	vm_free(&table, vms[3]);
	assert_null(vm_find(&table, 103));
	assert_ptr_equal(vm_allocate(&table, 200), vms[3]);
	assert_int_equal(vm_uid(&table, vms[3]), table.uid_base + 3);
}

static void
closes_fds(void **state)
{
	unsigned int before = count_fds();
	struct vm *vm = vm_allocate(&table, 5);

	(void)state;
	vm->ipv4 = 1;
	vm->tap_fd = dup(proc_fd);
	vm->run_fd = dup(proc_fd);
	vm->pidfd = dup(proc_fd);
	assert_int_equal(vm_save(&table, vm), 0);
	assert_true(exists(temp.fd, "000000000005"));
	vm_free(&table, vm);
	assert_int_equal(count_fds(), before);
	assert_false(exists(temp.fd, "000000000005"));
}

/* A VM in our own slot whose VMM is PID. */
static struct vm *
running_vm(uint64_t id, pid_t pid)
{
	struct vm *vm = &table.vms[OWN_SLOT];

	*vm = (struct vm){ .id = id, .state = VM_RUNNING, .vmm = VMM_QEMU,
		.ipv4 = 0xac100002, .nat = true, .tap_fd = -1, .run_fd = -1,
		.pidfd = -1, .pid = pid };
	assert_int_equal(proc_identify(proc_fd, pid, &vm->identity), 0);
	assert_int_equal(vm_save(&table, vm), 0);
	return vm;
}

static void
round_trip(void **state)
{
	struct vm *vm = vm_allocate(&table, 0xabc);
	struct proc_identity identity;
	struct stat st;

	(void)state;
	vm->ipv4 = 0xac100005;
	assert_int_equal(vm_save(&table, vm), 0);
	assert_int_equal(fstatat(temp.fd, "000000000abc", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, sizeof(struct record));
	identity = running_vm(VM_ID_MAX, vmm)->identity;
	reload();
	/* A tap that was staged went with the daemon. */
	vm = vm_find(&table, 0xabc);
	assert_non_null(vm);
	assert_ptr_equal(vm, &table.vms[0]);
	assert_int_equal(vm->state, VM_EXITED);
	assert_int_equal(vm->ipv4, 0xac100005);
	assert_false(vm->nat);
	assert_int_equal(vm->pidfd, -1);
	assert_int_equal(vm->tap_fd, -1);
	vm = vm_find(&table, VM_ID_MAX);
	assert_ptr_equal(vm, &table.vms[OWN_SLOT]);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_true(vm->adopted && vm->nat);
	assert_int_equal(vm->vmm, VMM_QEMU);
	assert_int_equal(vm->ipv4, 0xac100002);
	assert_int_equal(vm->pid, vmm);
	assert_memory_equal(&vm->identity, &identity, sizeof(identity));
	assert_int_equal(proc_signal(vm->pidfd, 0), 0);
	assert_int_equal(fcntl(vm->pidfd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(vm->run_fd >= 0, faccessat(AT_FDCWD, "/run", F_OK,
	    0) == 0);
}

/* Its number is another process now: dead, and never signalled. */
static void
other_process(void **state)
{
	struct vm *vm = running_vm(7, vmm);
	int status = 0;

	(void)state;
	vm->identity.start_time++;
	assert_int_equal(vm_save(&table, vm), 0);
	reload();
	assert_int_equal(vm_find(&table, 7)->state, VM_EXITED);
	assert_int_equal(vm_find(&table, 7)->pidfd, -1);
	vm = running_vm(7, vmm);
	vm->pid = 1;
	assert_int_equal(vm_save(&table, vm), 0);
	reload();
	assert_int_equal(vm_find(&table, 7)->state, VM_EXITED);
	assert_int_equal(kill(vmm, 0), 0);
	/* The process itself, which has not become a VMM: it is ended. */
	vm = running_vm(7, vmm);
	vm->identity.exe_ino++;
	assert_int_equal(vm_save(&table, vm), 0);
	reload();
	assert_int_equal(vm_find(&table, 7)->state, VM_EXITED);
	assert_int_equal(waitpid(vmm, &status, WNOHANG), vmm);
	assert_true(WIFSIGNALED(status));
	reload();
	assert_int_equal(vm_find(&table, 7)->state, VM_EXITED);
}

/* A record as it should be; each case then spoils one thing. */
static struct record
good_record(void)
{
	struct record record;
	struct vm *vm = running_vm(0x77, vmm);
	int fd = openat(temp.fd, "000000000077", O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, &record, sizeof(record)), sizeof(record));
	close(fd);
	assert_int_equal(record.slot, OWN_SLOT);
	assert_int_equal(record.id, 0x77);
	memset(vm, 0, sizeof(*vm));
	return record;
}

static void
put_record(const char *name, const struct record *record, size_t len)
{
	char padded[sizeof(*record) + 64] = "";

	memcpy(padded, record, sizeof(*record));
	put_file(temp.fd, name, padded, len);
}

static void
bad_records(void **state)
{
	const struct record good = good_record();
	const size_t len = sizeof(good);
	struct {
		const char *what;
		struct record record;
		const char *name;
		size_t len;
		bool kept;
	} cases[40];
	size_t n = 0, i;

#define CASE(what_, name_, len_, ...)                                          \
	do {                                                                   \
		assert_true(n < ARRAY_SIZE(cases));                            \
		cases[n].what = what_;                                         \
		cases[n].record = good;                                        \
		cases[n].name = name_;                                         \
		cases[n].len = len_;                                           \
		cases[n].kept = false;                                         \
		{ struct record *r UNUSED = &cases[n].record; __VA_ARGS__; }   \
		n++;                                                           \
	} while (0)

	(void)state;
	CASE("good", "000000000077", len, cases[n].kept = true);
	CASE("magic", "000000000077", len, r->magic++);
	CASE("magic 0", "000000000077", len, r->magic = 0);
	CASE("id is not the name", "000000000077", len, r->id = 0x78);
	CASE("name is not the id", "000000000078", len, (void)r);
	CASE("upper case", "0000000000AB", len, r->id = 0xab);
	CASE("id 0", "000000000000", len, r->id = 0);
	CASE("id of 49 bits", "000000000077", len,
	    r->id = (UINT64_C(1) << 48) + 0x77);
	CASE("short name", "77", len, (void)r);
	CASE("slot", "000000000077", len, r->slot = SLOTS);
	CASE("slot 2^32-1", "000000000077", len, r->slot = UINT32_MAX);
	CASE("another slot's uid", "000000000077", len, r->slot = 0);
	CASE("another uid", "000000000077", len, r->identity.uid++);
	CASE("nat 2", "000000000077", len, r->nat = 2);
	CASE("nat 2^31", "000000000077", len, r->nat = 1U << 31);
	CASE("pid -1", "000000000077", len, r->pid = -1);
	CASE("pid INT_MIN", "000000000077", len, r->pid = INT32_MIN);
	CASE("padding", "000000000077", len, r->pad = 1);
	CASE("no VMM", "000000000077", len, r->vmm = 0);
	CASE("another VMM", "000000000077", len, r->vmm = 99);
	CASE("no address", "000000000077", len, r->ipv4 = 0);
	CASE("empty", "000000000077", 0, (void)r);
	CASE("one byte", "000000000077", 1, (void)r);
	CASE("truncated", "000000000077", len - 1, (void)r);
	CASE("one byte more", "000000000077", len + 1, (void)r);
	CASE("of a later version", "000000000077", len + 8, (void)r);
	CASE("temporary", ".000000000077.new", len, (void)r);
	CASE("foreign", "README", 10, (void)r);
#undef CASE
	log_init("vm_test", LOG_ERROR);
	for (i = 0; i < n; i++) {
		assert_int_equal(unlinkat(temp.fd, "000000000077", 0) == 0 ||
		    errno == ENOENT, 1);
		put_record(cases[i].name, &cases[i].record, cases[i].len);
		reload();
		assert_case(exists(temp.fd, cases[i].name) == cases[i].kept, i,
		    cases[i].what);
		assert_case((vm_find(&table, 0x77) != NULL) == cases[i].kept,
		    i, cases[i].what);
		assert_case(vm_find(&table, 0) == NULL, i, cases[i].what);
	}
	print_message("%zu records, %zu removed\n", n, n - 1);
}

/* Two that claim the same slot: one of them stays. */
static void
taken(void **state)
{
	struct record record = good_record();
	int count;

	(void)state;
	log_init("vm_test", LOG_ERROR);
	put_record("000000000077", &record, sizeof(record));
	record.id = 0x78;
	put_record("000000000078", &record, sizeof(record));
	reload();
	count = (vm_find(&table, 0x77) != NULL) +
	    (vm_find(&table, 0x78) != NULL);
	assert_int_equal(count, 1);
	assert_int_equal(exists(temp.fd, "000000000077") +
	    exists(temp.fd, "000000000078"), 1);
}

/* Things that are no files, in a directory where only root can put them. */
static void
foreign_things(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	log_init("vm_test", LOG_ERROR);
	assert_int_equal(mkfifoat(temp.fd, "000000000001", 0600), 0);
	assert_int_equal(mkdirat(temp.fd, "000000000002", 0700), 0);
	assert_int_equal(symlinkat("/etc/passwd", temp.fd, "000000000003"), 0);
	assert_int_equal(symlinkat("000000000003", temp.fd, "000000000004"),
	    0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/000000000005",
	    temp.path);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(sock);
	put_file(temp.fd, "000000000002/x", "", 0);
	reload();
	assert_false(exists(temp.fd, "000000000001"));
	assert_false(exists(temp.fd, "000000000002"));
	assert_false(exists(temp.fd, "000000000003"));
	assert_false(exists(temp.fd, "000000000004"));
	assert_false(exists(temp.fd, "000000000005"));
	assert_int_equal(access("/etc/passwd", F_OK), 0);
}

#define vm_unit_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		vm_unit_test(slots),
		vm_unit_test(closes_fds),
		vm_unit_test(round_trip),
		vm_unit_test(other_process),
		vm_unit_test(bad_records),
		vm_unit_test(taken),
		vm_unit_test(foreign_things),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
