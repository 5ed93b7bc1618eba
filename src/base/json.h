/*
 * Reading and writing JSON (RFC 8259), strictly: what an object may hold is a
 * table, and whatever is not in it is refused. cJSON does the parsing; what
 * it would let pass is checked before.
 */
#ifndef BANGER_BASE_JSON_H
#define BANGER_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Whole numbers above this are not exact in a double. */
#define JSON_NUMBER_MAX ((UINT64_C(1) << 53) - 1)
#define JSON_DEPTH_MAX 8

enum json_type {
	JSON_TEXT,			/* out: const char *, into the tree */
	JSON_U64,			/* out: uint64_t */
	JSON_U32,			/* out: uint32_t */
	JSON_BOOL,			/* out: bool */
	JSON_OBJECT,			/* out: const cJSON * */
	JSON_TEXTS,			/* an array of them; out: const cJSON * */
	JSON_OBJECTS,			/* likewise */
};

/*
 * One member an object may have. LEAST and MOST bound a number, or a text's
 * length in bytes (MOST 0: no bound). An absent member leaves *OUT alone.
 */
struct json_field {
	const char *name;
	enum json_type type;
	bool required;
	uint64_t least, most;
	void *out;
};

/*
 * Parses the LEN bytes of TEXT: one object, nothing around it, nested at most
 * JSON_DEPTH_MAX deep, in UTF-8, no string with a NUL in it. The tree, which
 * the caller frees with cJSON_Delete, or NULL.
 */
cJSON	*json_parse(const char *text, size_t len);

/* Likewise an array. */
cJSON	*json_parse_array(const char *text, size_t len);

/* cJSON_Delete for _cleanup_json_. */
void	 json_freep(cJSON **tree);

#define _cleanup_json_ __attribute__((cleanup(json_freep)))

/*
 * Takes the members of OBJECT that FIELDS name. 0; or -EINVAL and one line in
 * ERR for an unknown, doubled, missing or ill-typed member or one out of
 * bounds: outputs may have been set then.
 */
int	 json_read(const cJSON *object, const struct json_field *fields,
	    size_t count, char *err, size_t err_size);

/*
 * Writers: each appends one thing to BUF and the comma before it where one is
 * due; KEY NULL writes an array's element. A failure is in buf->failed.
 * json_hundredths writes 123 as 1.23, json_raw what is JSON already. json_text
 * makes any bytes a valid string: what is no UTF-8 becomes U+FFFD.
 */
void	 json_open(struct buf *buf, const char *key, char bracket);
void	 json_close(struct buf *buf, char bracket);
void	 json_text(struct buf *buf, const char *key, const char *text);
void	 json_number(struct buf *buf, const char *key, uint64_t number);
void	 json_hundredths(struct buf *buf, const char *key, uint64_t number);
void	 json_bool(struct buf *buf, const char *key, bool value);
void	 json_raw(struct buf *buf, const char *key, const char *json);

#endif
