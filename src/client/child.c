#include "client/child.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/util.h"

int
child_program(const char *name, char path[PATH_MAX])
{
	const char *dirs = getenv("PATH");
	struct stat st;

	while (dirs != NULL && *dirs != '\0') {
		size_t len = strcspn(dirs, ":");

		if (dirs[0] == '/' && len < PATH_MAX &&
		    format(path, PATH_MAX, "%.*s/%s", (int)len, dirs,
		    name) == 0 && access(path, X_OK) == 0 &&
		    stat(path, &st) == 0 && S_ISREG(st.st_mode))
			return 0;
		dirs += len;
		dirs += *dirs == ':';
	}
	return -ENOENT;
}

void
child_signals(void)
{
	sigset_t none;
	int i;

	for (i = 1; i < _NSIG; i++)
		(void)signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
