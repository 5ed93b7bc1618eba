/*
 * replay SEEDS [DIR]: calls a target with every seed of the file SEEDS; with DIR
 * writes them there instead, a file each, for libFuzzer to begin with.
 *
 * A line is a seed, made of what stands between blanks: "text" or 'text',
 * hexadecimal digits, and any of them followed by *N for N times. # begins a
 * remark.
 */
#include "fuzz.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"

enum { SEED_MAX = 1 << 20 };

/* Appends what the word at TEXT means, once; returns where it ends. */
static const char *
word(struct buf *seed, const char *text)
{
	const char *end;

	if (*text == '"' || *text == '\'') {
		end = strchr(text + 1, *text);
		if (end == NULL)
			return NULL;
		buf_append(seed, text + 1, (size_t)(end - text - 1));
		return end + 1;
	}
	for (end = text; isxdigit((unsigned char)end[0]) &&
	    isxdigit((unsigned char)end[1]); end += 2) {
		const char digits[3] = { end[0], end[1], '\0' };
		char byte = (char)strtoul(digits, NULL, 16);

		buf_append(seed, &byte, 1);
	}
	return end > text ? end : NULL;
}

/* 0, or -EINVAL for a line that does not read. */
static int
parse(const char *line, struct buf *seed)
{
	while (*(line += strspn(line, " \t\n")) != '\0' && *line != '#') {
		size_t before = seed->len, n;
		const char *end = word(seed, line);
		unsigned long times = 1;
		char *rest;

		if (end == NULL)
			return -EINVAL;
		if (*end == '*') {
			times = strtoul(end + 1, &rest, 10);
			end = rest;
		}
		n = seed->len - before;
		if (strchr(" \t\n", *end) == NULL || times < 1)
			return -EINVAL;
		while (--times > 0 && buf_reserve(seed, n) != NULL)
			buf_append(seed, seed->data + before, n);
		line = end;
	}
	return seed->failed ? -EINVAL : 0;
}

static void
take(const struct buf *seed, const char *dir, unsigned int number)
{
	char path[4096];
	FILE *file;

	if (dir == NULL) {
		LLVMFuzzerTestOneInput((const uint8_t *)seed->data, seed->len);
		return;
	}
	snprintf(path, sizeof(path), "%s/seed-%u", dir, number);
	file = fopen(path, "we");
	if (file == NULL || fwrite(seed->data, 1, seed->len, file) != seed->len ||
	    fclose(file) != 0)
		err(1, "%s", path);
}

int
main(int argc, char **argv)
{
	struct buf seed = BUF_INIT(SEED_MAX);
	unsigned int number = 0, seeds = 0;
	char *line = NULL;
	size_t size = 0;
	FILE *file;

	if (argc != 2 && argc != 3)
		errx(2, "usage: replay SEEDS [DIR]");
	file = fopen(argv[1], "re");
	if (file == NULL)
		err(1, "%s", argv[1]);
	while (getline(&line, &size, file) > 0) {
		number++;
		buf_clear(&seed);
		if (parse(line, &seed) < 0)
			errx(1, "%s:%u: not a seed", argv[1], number);
		if (seed.len == 0)
			continue;
		seeds++;
		take(&seed, argc == 3 ? argv[2] : NULL, number);
	}
	fclose(file);
	free(line);
	buf_free(&seed);
	if (seeds == 0)
		errx(1, "%s: no seeds", argv[1]);
	printf("%u seeds\n", seeds);
	return 0;
}
