/*
 * The client: what a user types. It parses the command line, opens the
 * user's own files and terminal, and asks the worker for everything else
 * (api.h). It never touches the state directory.
 */
#ifndef BANGER_CLIENT_CLIENT_H
#define BANGER_CLIENT_CLIENT_H

/*
 * Runs the command in ARGV (argv[0] is skipped; ARGC may be 0). Returns the
 * exit code that banger(1) documents: 0, 1 refused or failed, 2 usage; for
 * `vm run` and `vm exec` the command's own, or 125.
 */
int	 client_main(int argc, char **argv);

#endif
