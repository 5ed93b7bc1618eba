/*
 * The one executable: decides by its name, its pid and its first argument
 * which role it plays.
 */
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "guest/agent.h"
#include "worker/worker.h"

int
main(int argc, char **argv)
{
	static char name[] = "banger";
	static char *nothing[] = { name, NULL };

#ifdef __GLIBC__
	/* By it libarchive takes names of pax headers for text, or refuses. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
#endif
	/* execve(2) lets a caller leave out even the name (CVE-2021-4034). */
	if (argc < 1)
		return client_main(1, nothing);
	if (strcmp(argv[0], "/init") == 0 && getpid() == 1)
		return agent_main();
	if (argc == 2 && strcmp(argv[1], "worker") == 0)
		return worker_main();
	return client_main(argc, argv);
}
