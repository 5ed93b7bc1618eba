/*
 * Help is made from the table, so it cannot promise what is not there.
 */
#include <stdio.h>
#include <string.h>

#include "client/command.h"
#include "client/text.h"

/*
 * Whether the NULL-terminated WORDS begin with the words of NAME (LEN bytes,
 * one blank between words): how many words, or 0.
 */
static size_t
name_matches(const char *name, size_t len, char **words)
{
	size_t used = 0;

	while (len > 0) {
		size_t word = strcspn(name, " ");

		if (word > len)
			word = len;
		if (words[used] == NULL || strlen(words[used]) != word ||
		    memcmp(words[used], name, word) != 0)
			return 0;
		used++;
		name += word;
		len -= word;
		if (len > 0) {
			name++;
			len--;
		}
	}
	return used;
}

/* As name_matches, for the comma-separated list of aliases. */
static size_t
alias_matches(const char *aliases, char **words)
{
	while (aliases != NULL && *aliases != '\0') {
		size_t len = strcspn(aliases, ",");
		size_t used = name_matches(aliases, len, words);

		if (used > 0)
			return used;
		aliases += len + (aliases[len] == ',');
	}
	return 0;
}

const struct command *
command_find(char **words, size_t *used)
{
	const struct command *row, *best = NULL;

	*used = 0;
	for (row = commands; row->name != NULL; row++) {
		size_t n = name_matches(row->name, strlen(row->name), words);

		if (n == 0)
			n = alias_matches(row->aliases, words);
		if (n > *used) {
			*used = n;
			best = row;
		}
	}
	return best;
}

static void
print_overview(const char *group)
{
	const struct command *row;
	size_t len = group != NULL ? strlen(group) : 0;

	printf("usage: banger [--config FILE] %s%sCOMMAND [FLAG...] [ARG...]\n\n",
	    group != NULL ? group : "", group != NULL ? " " : "");
	for (row = commands; row->name != NULL; row++)
		if (group == NULL || (strncmp(row->name, group, len) == 0 &&
		    row->name[len] == ' '))
			printf("  %-16s  %s\n", row->name, row->summary);
	printf("\n`banger help COMMAND` explains one; banger(1) all of them.\n");
}

static void
print_flags(const struct flag *flag)
{
	char text[48];

	printf("\nflags:\n");
	for (; flag->id != 0; flag++) {
		if (flag->help == NULL)
			continue;
		snprintf(text, sizeof(text), "%c%c%s --%s%s%s",
		    flag->letter != 0 ? '-' : ' ',
		    flag->letter != 0 ? flag->letter : ' ',
		    flag->letter != 0 ? "," : " ", flag->name,
		    flag->value != NULL ? " " : "",
		    flag->value != NULL ? flag->value : "");
		printf("  %-22s  %s\n", text, flag->help);
	}
}

static void
print_command(const struct command *row)
{
	const char *p;

	printf("usage: banger %s%s%s\n\n", row->name,
	    *row->usage != '\0' ? " " : "", row->usage);
	if (row->help != NULL)
		printf("%s\n", row->help);
	else
		printf("%s\n", row->summary);
	print_flags(row->syntax.flags);
	if (row->aliases == NULL)
		return;
	printf("\nalso: ");
	for (p = row->aliases; *p != '\0'; p++)
		if (*p == ',')
			printf(", ");
		else
			putchar(*p);
	putchar('\n');
}

bool
command_group(const char *word)
{
	const struct command *row;
	size_t len = strlen(word);

	for (row = commands; row->name != NULL; row++)
		if (strncmp(row->name, word, len) == 0 && row->name[len] == ' ')
			return true;
	return false;
}

/* The command whose name is nearest to NAME, near enough, or NULL. */
static const char *
nearest_command(const char *name)
{
	const char *names[64];
	const struct command *row;
	size_t n = 0;

	for (row = commands; row->name != NULL && n < ARRAY_SIZE(names) - 1;
	    row++)
		names[n++] = row->name;
	names[n] = NULL;
	return text_nearest(name, names);
}

void
command_unknown(char **words)
{
	static const char *const groups[] = { "vm", "image", "kernel",
	    "system", NULL };
	const struct command *row;
	const char *near;
	char name[64] = "";
	size_t used;

	row = command_find(words, &used);
	if (row != NULL) {
		complain("help: unexpected \"%s\"; `banger help %s` explains "
		    "the command", words[used], row->name);
		return;
	}
	if (words[1] == NULL && command_group(words[0])) {
		complain("%s: which command? `banger help %s` lists them",
		    words[0], words[0]);
		return;
	}
	if (words[1] != NULL)
		format(name, sizeof(name), "%s %s", words[0], words[1]);
	near = nearest_command(name);
	if (near == NULL)
		near = nearest_command(words[0]);
	if (near == NULL && !command_group(words[0]))
		near = text_nearest(words[0], groups);
	if (near != NULL)
		complain("unknown command \"%s\"; did you mean `banger %s`?",
		    *name != '\0' ? name : words[0], near);
	else
		complain("unknown command \"%s\"; `banger help` lists them",
		    *name != '\0' && command_group(words[0]) ? name : words[0]);
}

int
help_print(char **words)
{
	const struct command *row;
	size_t used;

	if (words[0] == NULL) {
		print_overview(NULL);
		return 0;
	}
	row = command_find(words, &used);
	if (row != NULL && words[used] == NULL) {
		print_command(row);
		return 0;
	}
	if (row == NULL && words[1] == NULL && command_group(words[0])) {
		print_overview(words[0]);
		return 0;
	}
	return -ENOENT;
}
