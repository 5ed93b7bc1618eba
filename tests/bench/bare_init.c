/*
 * What a run is compared with: the smallest /init that loads the same modules
 * from the same initrd, but for the serial ports' driver, which nobody but an
 * agent needs, mounts the same root file system, runs /bin/true in it and ends
 * the machine. tests/bench/run and the scenario bench-run append it to
 * banger's initrd.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void
load_modules(const char *list)
{
	char name[128], path[192];
	FILE *file = fopen(list, "re");

	while (file != NULL && fscanf(file, "%127s", name) == 1) {
		int fd;

		if (strcmp(name, "virtio_console.ko") == 0)
			continue;
		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		syscall(SYS_finit_module, fd, "", 0);
		close(fd);
	}
	if (file != NULL)
		fclose(file);
}

/* The root file system as a guest's init finds it, in the place of ours. */
static void
enter_root(void)
{
	if (chdir("/newroot") < 0)
		_exit(1);
	mount("dev", "dev", "devtmpfs", 0, NULL);
	mount("proc", "proc", "proc", 0, NULL);
	mount("sys", "sys", "sysfs", 0, NULL);
	mount(".", "/", NULL, MS_MOVE, NULL);
	if (chroot(".") < 0)
		_exit(1);
}

/* Runs /bin/true and ends the machine. */
static int
run_true(int mounted)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	printf("bare: mounted %d, status %d\n", mounted, status);
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 1;
}

int
main(void)
{
	int tries, mounted = -1;

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	load_modules("/modules/load");
	mkdir("/newroot", 0755);
	for (tries = 0; mounted < 0 && tries < 5000; tries++) {
		mounted = mount("/dev/vda", "/newroot", "ext4", 0, NULL);
		if (mounted < 0)
			usleep(1000);
	}
	enter_root();
	return run_true(mounted);
}
