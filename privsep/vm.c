/*
 * See vm.h. Records are read back with the same checks that guard the wire:
 * only root can write them, but a bug of an older version is no excuse.
 */
#include "privsep/vm.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/check.h"
#include "privsep/log.h"
#include "privsep/path.h"
#include "privsep/util.h"

#define RECORD_MAGIC UINT64_C(0x32306d7665676e62)	/* "bngevm02" */

struct record {
	uint64_t magic;
	uint64_t id;
	uint32_t slot;
	uint32_t vmm;
	uint32_t ipv4;
	uint32_t nat;
	int32_t pid;			/* 0: no VMM was started yet */
	uint32_t pad;
	struct proc_identity identity;
};

void
vm_name(uint64_t id, char name[VM_ID_HEX + 1])
{
	snprintf(name, VM_ID_HEX + 1, "%012llx",
	    (unsigned long long)(id & VM_ID_MAX));
}

void
vm_tap_name(uint64_t id, char name[16])
{
	char digits[VM_ID_HEX + 1];

	vm_name(id, digits);
	snprintf(name, 16, "fc-%s", digits);
}

void
vm_mac(uint32_t ipv4, uint8_t mac[6])
{
	mac[0] = 0x02;
	mac[1] = 0xfc;
	mac[2] = (uint8_t)(ipv4 >> 24);
	mac[3] = (uint8_t)(ipv4 >> 16);
	mac[4] = (uint8_t)(ipv4 >> 8);
	mac[5] = (uint8_t)ipv4;
}

uid_t
vm_uid(const struct vm_table *table, const struct vm *vm)
{
	return table->uid_base + (uid_t)(vm - table->vms);
}

int
vm_table_init(struct vm_table *table, uint32_t max, uint32_t uid_base,
    int records)
{
	struct vm *vms = calloc(max, sizeof(*vms));

	if (vms == NULL)
		return -ENOMEM;
	*table = (struct vm_table){ .vms = vms, .max = max,
		.uid_base = uid_base, .records = records };
	return 0;
}

struct vm *
vm_find(const struct vm_table *table, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < table->max; i++)
		if (table->vms[i].id == id && id != 0)
			return &table->vms[i];
	return NULL;
}

bool
vm_table_empty(const struct vm_table *table)
{
	uint32_t i;

	for (i = 0; i < table->max; i++)
		if (table->vms[i].id != 0)
			return false;
	return true;
}

static void
take_slot(struct vm *vm, uint64_t id)
{
	*vm = (struct vm){ .id = id, .state = VM_STAGED, .tap_fd = -1,
		.run_fd = -1, .pidfd = -1 };
	disk_init(&vm->disk);
}

struct vm *
vm_allocate(struct vm_table *table, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < table->max; i++)
		if (table->vms[i].id == 0) {
			take_slot(&table->vms[i], id);
			return &table->vms[i];
		}
	return NULL;
}

void
vm_free(struct vm_table *table, struct vm *vm)
{
	char name[VM_ID_HEX + 1];

	vm_name(vm->id, name);
	if (unlinkat(table->records, name, 0) < 0 && errno != ENOENT)
		log_error("record of VM %s: %s", name, strerror(errno));
	disk_close(&vm->disk);
	close_fdp(&vm->tap_fd);
	close_fdp(&vm->run_fd);
	close_fdp(&vm->pidfd);
	memset(vm, 0, sizeof(*vm));
}

int
vm_save(const struct vm_table *table, const struct vm *vm)
{
	struct record record = {
		.magic = RECORD_MAGIC,
		.id = vm->id,
		.slot = (uint32_t)(vm - table->vms),
		.vmm = vm->vmm,
		.ipv4 = vm->ipv4,
		.nat = vm->nat,
		.pid = vm->pid,
		.identity = vm->identity,
	};
	char name[VM_ID_HEX + 1];

	vm_name(vm->id, name);
	return path_replace_file(table->records, name, &record, sizeof(record));
}

static int
check_record(const struct vm_table *table, const struct record *record,
    const char *file)
{
	char name[VM_ID_HEX + 1];

	vm_name(record->id, name);
	if (record->magic != RECORD_MAGIC || check_vm_id(record->id) < 0 ||
	    strcmp(name, file) != 0 || record->slot >= table->max ||
	    table->vms[record->slot].id != 0 || record->nat > 1 ||
	    record->ipv4 == 0 || record->pid < 0 || record->pad != 0)
		return -EBADMSG;
	if (record->pid > 0 && ((record->vmm != VMM_QEMU &&
	    record->vmm != VMM_FIRECRACKER) ||
	    record->identity.uid != table->uid_base + record->slot))
		return -EBADMSG;
	return 0;
}

static int
read_record(const struct vm_table *table, const char *file,
    struct record *record)
{
	_cleanup_close_ int fd = path_open(table->records, file,
	    O_RDONLY | O_NONBLOCK, 0);
	struct stat st;
	int r;

	/* A symlink, a socket. */
	if (fd == -ELOOP || fd == -ENXIO)
		return -EBADMSG;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size != sizeof(*record))
		return -EBADMSG;
	r = read_full(fd, record, sizeof(*record));
	return r < 0 ? r : check_record(table, record, file);
}

/* 0, -EBADMSG when FILE is none of our records, or -errno. */
static int
load_one(struct vm_table *table, int proc_fd, const char *file)
{
	struct record record = { .magic = 0 };
	struct vm *vm;
	int r = read_record(table, file, &record);

	if (r < 0)
		return r;
	vm = &table->vms[record.slot];
	take_slot(vm, record.id);
	vm->state = VM_EXITED;
	vm->vmm = record.vmm;
	vm->ipv4 = record.ipv4;
	vm->nat = record.nat != 0;
	vm->identity = record.identity;
	if (record.pid == 0)
		return 0;
	r = proc_open(proc_fd, record.pid, &record.identity);
	if (r == -ESRCH)
		/* Still on its way when the daemon was killed? */
		return proc_end(proc_fd, record.pid,
		    record.identity.start_time);
	if (r < 0)
		return r;
	vm->state = VM_RUNNING;
	vm->adopted = true;
	vm->pid = record.pid;
	vm->pidfd = r;
	vm->run_fd = proc_open_dir(proc_fd, record.pid, vm->pidfd, "run");
	if (vm->run_fd < 0)
		log_warn("/run of VM %s: %s", file, strerror(-vm->run_fd));
	return 0;
}

int
vm_load_all(struct vm_table *table, int proc_fd)
{
	int dir = path_open(table->records, ".", O_RDONLY | O_DIRECTORY, 0);
	struct dirent *entry;
	DIR *stream;
	int r = 0;

	if (dir < 0)
		return dir;
	stream = fdopendir(dir);
	if (stream == NULL) {
		r = -errno;
		close(dir);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		r = load_one(table, proc_fd, entry->d_name);
		if (r == -EBADMSG) {
			log_warn("record %s is not ours, removed",
			    entry->d_name);
			(void)path_remove_tree(table->records, entry->d_name);
			r = 0;
		}
	}
	if (r == 0 && errno != 0)
		r = -errno;
	closedir(stream);
	return r;
}
