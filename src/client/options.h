/*
 * The command line, read one way for every command: flags may stand before,
 * between and after the words, `--` ends both, what follows it is the guest's
 * command. Nothing is abbreviated or guessed; what looks like a slip gets a
 * suggestion in its error.
 */
#ifndef BANGER_CLIENT_OPTIONS_H
#define BANGER_CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum { ARGS_WORDS = 64, ARGS_GIVEN = 256, ARGS_ERROR = 512 };

/* Every flag of every command. */
enum flag_id {
	FLAG_ALL = 1,
	FLAG_CA,
	FLAG_CATALOG,
	FLAG_CONFIG,
	FLAG_CPUS,
	FLAG_DETACH,
	FLAG_DISK_SIZE,
	FLAG_DRY_RUN,
	FLAG_EMBEDDED,
	FLAG_ENV,
	FLAG_FILE,
	FLAG_FOLLOW,
	FLAG_FORCE,
	FLAG_FORMAT,
	FLAG_GROUP,
	FLAG_HELP,
	FLAG_IMAGE,
	FLAG_INIT,
	FLAG_JSON,
	FLAG_KERNEL,
	FLAG_KEY,
	FLAG_MEMORY,
	FLAG_MODULES,
	FLAG_NAME,
	FLAG_NAT,
	FLAG_NO_NAT,
	FLAG_OWNER,
	FLAG_PLAIN_HTTP,
	FLAG_PURGE,
	FLAG_RM,
	FLAG_TIMEOUT,
	FLAG_TTY,
	FLAG_USER,
	FLAG_VERSION,
	FLAG_WITH,
	FLAG_WORKDIR,
};

struct flag {
	enum flag_id id;
	char letter;			/* 0: long form only */
	bool repeat;			/* may be given more than once */
	const char *name;		/* without the dashes */
	const char *value;		/* its value's name; NULL: takes none */
	const char *help;
};

/* What a command takes. FLAGS ends with a row of id 0. */
struct syntax {
	const struct flag *flags;
	const char *word;		/* what a word is: "VM", "FILE" */
	size_t words_min;
	size_t words_max;
	bool command;			/* takes `-- CMD ARG...` */
	bool stop_at_word;		/* the first word ends the flags */
};

/* One flag as it was given. VALUE is "" for flags that take none. */
struct given {
	enum flag_id id;
	const char *value;
};

/* Points into argv. */
struct args {
	struct given given[ARGS_GIVEN];
	size_t given_count;
	char *words[ARGS_WORDS + 1];	/* NULL-terminated */
	size_t word_count;
	char **command;			/* after `--`; NULL without a command */
	char **rest;			/* stop_at_word: that word and the rest */
};

/*
 * Reads ARGV (NULL-terminated, the command's own words already taken off)
 * into *ARGS. 0, or -EINVAL with the reason in ERR, without a newline. When
 * --help was given before the error, reading ends there and 0 is returned.
 */
int	 options_parse(const struct syntax *syntax, char **argv, struct args *args,
	    char err[ARGS_ERROR]);

/* The value of flag ID ("" for a switch), or NULL when it was not given. */
const char *args_value(const struct args *args, enum flag_id id);

/* Whether flag ID was given. */
bool	 args_has(const struct args *args, enum flag_id id);

#endif
