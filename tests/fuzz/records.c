/*
 * The records of running VMs, which a restarted daemon reads back, and that of
 * the host's forwarding. No process is there to be found, so that none is ended.
 */
#include "fuzz.h"

#include <sys/stat.h>

#include "privsep/link.h"
#include "privsep/log.h"
#include "privsep/vm.h"

enum { SLOTS = 4, ID_AT = 8 };

static int records = -1, no_proc = -1;

static int
make_dir(int at, const char *name)
{
	int fd;

	must(mkdirat(at, name, 0700) == 0);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0);
	return fd;
}

static void
set_up(void)
{
	int dir = make_temp();

	log_init("fuzz", LOG_ERROR);
	records = make_dir(dir, "records");
	no_proc = make_dir(dir, "proc");
	close(dir);
}

static void
forwarding(struct input *in)
{
	struct forward_state state = { .count = 0 };

	if (in->len != sizeof(state))
		return;
	memcpy(&state, in->data, sizeof(state));
	must(forward_check(&state) < 0 || state.count <= FORWARD_MAX);
}

/* Two records, each under the name that its id asks for, or another. */
static void
vms(struct input *in)
{
	struct vm_table table;
	uint32_t i;

	must(vm_table_init(&table, SLOTS, 700001, records) == 0);
	for (i = 0; i < 2; i++) {
		struct input piece = take_piece(in);
		char name[VM_ID_HEX + 1] = "0123456789ab";
		uint64_t id;

		if (piece.len >= ID_AT + sizeof(id)) {
			memcpy(&id, piece.data + ID_AT, sizeof(id));
			vm_name(id, name);
		}
		put_file(records, name, piece);
	}
	must(vm_load_all(&table, no_proc) == 0);
	for (i = 0; i < SLOTS; i++) {
		struct vm *vm = &table.vms[i];

		must(vm->id == 0 || (vm->state == VM_EXITED && vm->pidfd < 0));
		if (vm->id != 0)
			vm_free(&table, vm);
	}
	free(table.vms);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };

	if (records < 0)
		set_up();
	if (take_u8(&in) % 2 == 0)
		vms(&in);
	else
		forwarding(&in);
	return 0;
}
