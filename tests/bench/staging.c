/*
 * staging STATE-DIR CONFIG [ROUNDS]: what the monitor does for a VM before it
 * is launched (bridge and rules, tap, set element, NAT, jail with its mounts)
 * and after it has ended, timed, in the network namespace of the caller.
 * Prints the median of each in microseconds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "privsep/jail.h"
#include "privsep/log.h"
#include "privsep/network.h"
#include "privsep/path.h"
#include "privsep/vm.h"

enum { ROUNDS_MAX = 1000 };

static struct network network;
static struct config cfg;
static struct vm_table table;
static struct jail_host host;
static int jails, config_fd, file_fd;

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void
must(int r, const char *what)
{
	if (r < 0)
		fatal("%s: %s", what, strerror(-r));
}

static struct vm *
stage(uint64_t id)
{
	int mounts[JAIL_MOUNTS], root, i;
	char name[VM_ID_HEX + 1];
	struct vm *vm;

	must(network_ensure(&network, &table), "bridge");
	vm = vm_allocate(&table, id);
	vm->ipv4 = network.net.addr + 1;
	must(vm_save(&table, vm), "record");
	must(network_add(&network, &table, vm), "tap");
	must(network_nat(&network, vm, true), "NAT");
	vm_name(id, name);
	must(jail_create(&host, jails, name, vm_uid(&table, vm), false,
	    config_fd, &root), "jail");
	must(jail_mounts(&host, vm_uid(&table, vm), file_fd, file_fd,
	    mounts), "mounts");
	close(root);
	for (i = 0; i < JAIL_MOUNTS; i++)
		close_fdp(&mounts[i]);
	return vm;
}

static void
unstage(struct vm *vm)
{
	char name[VM_ID_HEX + 1];

	vm_name(vm->id, name);
	must(jail_remove(jails, name), "remove jail");
	must(network_remove(&network, vm), "remove tap");
	vm_free(&table, vm);
	network_close(&network);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	static double up[ROUNDS_MAX], down[ROUNDS_MAX];
	int state, rounds = argc > 3 ? atoi(argv[3]) : 20, i;
	char err[256];

	if (argc < 3 || rounds < 1 || rounds > ROUNDS_MAX)
		fatal("usage: staging STATE-DIR CONFIG [ROUNDS]");
	if (config_load(argv[2], true, &cfg, err, sizeof(err)) < 0)
		fatal("%s", err);
	state = path_open_trusted_dir(argv[1]);
	must(state, argv[1]);
	jails = path_make_dir(state, "jail", 0, 0, 0711);
	must(jails, "jail");
	config_fd = memfd_create("config", MFD_CLOEXEC);
	file_fd = path_open(state, "file", O_RDWR | O_CREAT, 0600);
	if (ftruncate(config_fd, 4096) < 0 || file_fd < 0)
		fatal("files");
	must(jail_host_open(&host), "host");
	must(network_open(&network, &cfg, state), "netlink");
	must(vm_table_init(&table, 16, cfg.uid_base + 1, state), "table");
	for (i = 0; i < rounds; i++) {
		double start = now_us(), middle;
		struct vm *vm = stage((uint64_t)i + 1);

		middle = now_us();
		unstage(vm);
		up[i] = middle - start;
		down[i] = now_us() - middle;
	}
	qsort(up, (size_t)rounds, sizeof(*up), by_value);
	qsort(down, (size_t)rounds, sizeof(*down), by_value);
	printf("%.0f %.0f\n", up[rounds / 2], down[rounds / 2]);
	return 0;
}
