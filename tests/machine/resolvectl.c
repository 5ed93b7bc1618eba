/*
 * In place of resolvectl in the test `names`: a binary, since a script cannot
 * be executed by a descriptor that is closed then. Says on standard error how
 * it was called and what it could do; a file /run/systemd/hang or fail makes it
 * do that when its verb is `dns`.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The value of KEY in /proc/self/status, in OUT. */
static void
status(const char *key, char out[64])
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	out[0] = '\0';
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			(void)sscanf(line + strlen(key), ": %63s", out);
	if (file != NULL)
		fclose(file);
}

static unsigned int
count_fds(void)
{
	unsigned int count = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int
main(int argc, char **argv, char **envp)
{
	char bounding[64], permitted[64], no_new_privs[64], text[1024] = "";
	int i, fd;

	status("CapBnd", bounding);
	status("CapPrm", permitted);
	status("NoNewPrivs", no_new_privs);
	fd = open("/run/systemd/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (i = 0; i < argc; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    " [%s]", argv[i]);
	dprintf(2, "called:%s uid %u caps %s %s nnp %s env %s fds %u write %s\n",
	    text, geteuid(), permitted, bounding, no_new_privs,
	    envp[0] == NULL ? "none" : "some", count_fds(),
	    fd < 0 ? "no" : "yes");
	if (argc > 1 && strcmp(argv[1], "dns") == 0) {
		if (access("/run/systemd/hang", F_OK) == 0)
			pause();
		if (access("/run/systemd/fail", F_OK) == 0)
			return 1;
	}
	return 0;
}
