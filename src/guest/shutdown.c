/*
 * With an init in the guest the end is its business; force is for when it does
 * not get there in time.
 */
#include "guest/shutdown.h"

#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "privsep/util.h"

/* How long killed processes may take to disappear: one in D state never does. */
#define KILL_WAIT_MS 1000

/* systemd(1): SIGRTMIN+4 starts poweroff.target, +5 reboot.target. */
static int
systemd_signal(enum agent_shutdown_how how)
{
	return SIGRTMIN + (how == AGENT_POWEROFF ? 4 : 5);
}

static void
run_reboot(enum agent_shutdown_how how)
{
	const char *name = how == AGENT_POWEROFF ? "poweroff" : "reboot";
	sigset_t none;

	if (fork() != 0)
		return;
	setsid();
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* The kernel gives its first process no PATH. */
	(void)setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	execlp(name, name, (char *)NULL);
	/* No such program: what busybox's and most others' init understand. */
	(void)kill(1, how == AGENT_POWEROFF ? SIGUSR2 : SIGTERM);
	_exit(127);
}

void
shutdown_ask(enum agent_shutdown_how how, bool pid1)
{
	if (pid1) {
		(void)kill(-1, SIGTERM);
		(void)kill(-1, SIGCONT);
	} else if (access("/run/systemd/system", F_OK) == 0) {
		(void)kill(1, systemd_signal(how));
	} else {
		run_reboot(how);
	}
}

void
shutdown_force(enum agent_shutdown_how how)
{
	int64_t deadline = monotonic_ms() + KILL_WAIT_MS;

	(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) >= 0 && monotonic_ms() < deadline)
		usleep(1000);
	sync();
	(void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	(void)reboot(how == AGENT_POWEROFF ? RB_POWER_OFF : RB_AUTOBOOT);
	for (;;)
		pause();
}
