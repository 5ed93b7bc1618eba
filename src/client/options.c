/*
 * A getopt_long(3) without its state, its abbreviations and its printing:
 * the errors here name the command's own words and what to type instead.
 */
#include "client/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/text.h"
#include "privsep/util.h"

struct reader {
	const struct syntax *syntax;
	struct args *args;
	char **next;
	char *err;
};

/* -EINVAL with the reason. */
static int PRINTF_LIKE(2, 3)
wrong(struct reader *reader, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reader->err, ARGS_ERROR, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int
unknown_flag(struct reader *reader, const char *flag, size_t len)
{
	const char *names[ARGS_WORDS + 1];
	const struct flag *row;
	const char *near;
	char name[64];
	size_t n = 0;

	for (row = reader->syntax->flags; row->id != 0 && n < ARGS_WORDS; row++)
		names[n++] = row->name;
	names[n] = NULL;
	if (format(name, sizeof(name), "%.*s", (int)len, flag) < 0)
		return wrong(reader, "unknown flag --%.20s...", flag);
	near = text_nearest(name, names);
	if (near != NULL)
		return wrong(reader, "unknown flag --%s; did you mean --%s?",
		    name, near);
	return wrong(reader, "unknown flag --%s; --help lists the flags", name);
}

/* Notes FLAG with VALUE; a flag given twice is a mistake somewhere. */
static int
take(struct reader *reader, const struct flag *flag, const char *value)
{
	struct args *args = reader->args;

	if (!flag->repeat && args_has(args, flag->id))
		return wrong(reader, "--%s is given twice; keep one",
		    flag->name);
	if (args->given_count == ARGS_GIVEN)
		return wrong(reader, "more than %d flags", ARGS_GIVEN);
	args->given[args->given_count++] =
	    (struct given){ .id = flag->id, .value = value };
	return 0;
}

/* The word after a flag is its value, unless it is plainly another flag. */
static int
take_next(struct reader *reader, const struct flag *flag)
{
	const char *value = *reader->next;

	if (value == NULL || strcmp(value, "--") == 0)
		return wrong(reader, "--%s needs a value: --%s %s", flag->name,
		    flag->name, flag->value);
	if (value[0] == '-' && value[1] == '-')
		return wrong(reader, "--%s needs a value before %s; "
		    "one that begins with -- is written --%s=%s", flag->name,
		    value, flag->name, value);
	reader->next++;
	return take(reader, flag, value);
}

/* TEXT is what follows the two dashes. */
static int
long_flag(struct reader *reader, const char *text)
{
	size_t len = strcspn(text, "=");
	const struct flag *flag;

	for (flag = reader->syntax->flags; flag->id != 0; flag++)
		if (strlen(flag->name) == len &&
		    strncmp(flag->name, text, len) == 0)
			break;
	if (flag->id == 0)
		return unknown_flag(reader, text, len);
	if (flag->value == NULL) {
		if (text[len] == '=')
			return wrong(reader, "--%s takes no value", flag->name);
		return take(reader, flag, "");
	}
	if (text[len] == '=')
		return take(reader, flag, text + len + 1);
	return take_next(reader, flag);
}

/* TEXT is what follows the dash: switches, the last may take a value. */
static int
short_flags(struct reader *reader, const char *text)
{
	const struct flag *flag;
	int r;

	for (; *text != '\0'; text++) {
		for (flag = reader->syntax->flags; flag->id != 0; flag++)
			if (flag->letter == *text)
				break;
		if (flag->id == 0)
			return wrong(reader, "unknown flag -%c; %s", *text,
			    reader->syntax->command &&
			    reader->args->word_count > 0 ?
			    "a command goes after --" :
			    "--help lists the flags");
		if (flag->value != NULL)
			return text[1] != '\0' ? take(reader, flag, text + 1) :
			    take_next(reader, flag);
		if ((r = take(reader, flag, "")) < 0)
			return r;
	}
	return 0;
}

static int
take_word(struct reader *reader, char *word)
{
	const struct syntax *syntax = reader->syntax;
	struct args *args = reader->args;

	if (args->word_count < syntax->words_max &&
	    args->word_count < ARGS_WORDS) {
		args->words[args->word_count++] = word;
		return 0;
	}
	if (syntax->command)
		return wrong(reader, "unexpected \"%s\"; a command goes after "
		    "--, as in `-- %s`", word, word);
	return wrong(reader, "unexpected \"%s\"", word);
}

/* What was missing or too much, once all is read. */
static int
check_end(struct reader *reader)
{
	const struct syntax *syntax = reader->syntax;
	struct args *args = reader->args;

	if (args->word_count < syntax->words_min)
		return wrong(reader, "%s is missing", syntax->word);
	if (args->command != NULL && args->command[0] == NULL)
		return wrong(reader, "there is no command after --");
	return 0;
}

/* `--`: the guest's command follows, or words that begin with a dash. */
static int
take_rest(struct reader *reader)
{
	int r = 0;

	if (reader->syntax->command)
		reader->args->command = reader->next;
	else
		while (r == 0 && *reader->next != NULL)
			r = take_word(reader, *reader->next++);
	return r < 0 ? r : 1;
}

/* The next word of the line; 1 when it was the last to read. */
static int
take_one(struct reader *reader)
{
	char *word = *reader->next++;

	if (strcmp(word, "--") == 0)
		return take_rest(reader);
	if (word[0] == '-' && word[1] == '-')
		return long_flag(reader, word + 2);
	if (word[0] == '-' && word[1] != '\0')
		return short_flags(reader, word + 1);
	if (reader->syntax->stop_at_word) {
		reader->args->rest = reader->next - 1;
		return 1;
	}
	return take_word(reader, word);
}

int
options_parse(const struct syntax *syntax, char **argv, struct args *args,
    char err[ARGS_ERROR])
{
	struct reader reader = { .syntax = syntax, .args = args, .next = argv };
	int r = 0;

	reader.err = err;
	*args = (struct args){ 0 };
	while (r == 0 && *reader.next != NULL) {
		r = take_one(&reader);
		if (args_has(args, FLAG_HELP))
			return 0;
	}
	return r < 0 ? r : check_end(&reader);
}

const char *
args_value(const struct args *args, enum flag_id id)
{
	size_t i;

	for (i = 0; i < args->given_count; i++)
		if (args->given[i].id == id)
			return args->given[i].value;
	return NULL;
}

bool
args_has(const struct args *args, enum flag_id id)
{
	return args_value(args, id) != NULL;
}
