/*
 * Objects of the API as a table, as lines of one object, or as JSON.
 */
#ifndef BANGER_CLIENT_SHOW_H
#define BANGER_CLIENT_SHOW_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum field_kind {
	FIELD_TEXT,
	FIELD_NUMBER,
	FIELD_MIB,			/* a number of MiB */
	FIELD_BYTES,
	FIELD_BOOL,			/* yes, no */
	FIELD_SECONDS,			/* numbers, as a time span */
	FIELD_MICROSECONDS,
	FIELD_DECIMAL,			/* a number with two decimals */
	FIELD_AGE,			/* an RFC 3339 time, as its age */
};

/* One member of an object and where it is shown. Lists end with key NULL. */
struct field {
	const char *key;		/* in the object */
	const char *heading;		/* of its column; NULL: not in tables */
	enum field_kind kind;
};

/*
 * Writes the array LIST to OUT as a table of FIELDS, or as one line of JSON.
 * NOW is what ages count from. 0, or -errno as table_print; -EPROTO when LIST
 * is no array of objects.
 */
int	 show_list(FILE *out, const cJSON *list, const struct field *fields,
	    bool json, time_t now);

/*
 * Writes OBJECT as "key: value" lines, absent members left out, or as one line
 * of JSON. As show_list.
 */
int	 show_object(FILE *out, const cJSON *object, const struct field *fields,
	    bool json, time_t now);

/* Writes ITEM as one line of JSON. 0, -ENOMEM or -EIO. */
int	 show_json(FILE *out, const cJSON *item);

#endif
