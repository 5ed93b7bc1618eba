/*
 * See json.h. cJSON accepts bytes that are no UTF-8, cuts a string at an
 * escaped NUL, nests 1000 deep, and keeps doubled members: a look at the text
 * before, and a table after, take that away from whoever sends it.
 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * The length of the UTF-8 sequence at S (RFC 3629: no overlong forms, no
 * surrogates, at most U+10FFFF), or 0.
 */
static size_t
utf8_length(const unsigned char *s, size_t left)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 :
	    s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	size_t i;

	if (len > left)
		return 0;
	for (i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

/* Skips the string whose opening quote is before AT. The byte after it, or 0. */
static size_t
skip_string(const unsigned char *s, size_t at, size_t len)
{
	while (at < len && s[at] != '"') {
		size_t n = utf8_length(s + at, len - at);

		if (n == 0 || s[at] < 0x20)
			return 0;
		if (s[at] == '\\') {
			if (len - at >= 6 && memcmp(s + at, "\\u0000", 6) == 0)
				return 0;
			if (len - at < 2 || s[at + 1] >= 0x80)
				return 0;
			n = 2;
		}
		at += n;
	}
	return at < len ? at + 1 : 0;
}

static bool
acceptable(const unsigned char *s, size_t len)
{
	size_t at = 0, depth = 0;

	while (at < len) {
		unsigned char c = s[at++];

		if (c == '"') {
			at = skip_string(s, at, len);
			if (at == 0)
				return false;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return false;
		} else if (c == '}' || c == ']') {
			if (depth-- == 0)
				return false;
		} else if (c == 0 || c >= 0x80) {
			return false;
		}
	}
	return true;
}

static cJSON *
parse(const char *text, size_t len, bool array)
{
	const char *end = NULL;
	cJSON *tree;

	if (!acceptable((const unsigned char *)text, len))
		return NULL;
	tree = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	if (tree == NULL)
		return NULL;
	while (end < text + len && strchr(" \t\r\n", *end) != NULL)
		end++;
	if (end != text + len ||
	    !(array ? cJSON_IsArray(tree) : cJSON_IsObject(tree))) {
		cJSON_Delete(tree);
		return NULL;
	}
	return tree;
}

cJSON *
json_parse(const char *text, size_t len)
{
	return parse(text, len, false);
}

cJSON *
json_parse_array(const char *text, size_t len)
{
	return parse(text, len, true);
}

void
json_freep(cJSON **tree)
{
	cJSON_Delete(*tree);
}

static const struct json_field *
find_field(const struct json_field *fields, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

/* What FIELD wants, or NULL when ITEM is that and *OUT is set. */
static const char *
take_number(const struct json_field *field, const cJSON *item)
{
	double d = item->valuedouble;
	uint64_t n;

	if (!cJSON_IsNumber(item) || !isfinite(d) || d < 0 || trunc(d) < d ||
	    d > (double)JSON_NUMBER_MAX)
		return "must be a whole number";
	n = (uint64_t)d;
	if (n < field->least)
		return "is too small";
	if ((field->most != 0 && n > field->most) ||
	    (field->type == JSON_U32 && n > UINT32_MAX))
		return "is too large";
	if (field->type == JSON_U32)
		*(uint32_t *)field->out = (uint32_t)n;
	else
		*(uint64_t *)field->out = n;
	return NULL;
}

static const char *
take_text(const struct json_field *field, const cJSON *item)
{
	size_t len;

	if (!cJSON_IsString(item))
		return "must be a string";
	len = strlen(item->valuestring);
	if (len < field->least)
		return "is too short";
	if (field->most != 0 && len > field->most)
		return "is too long";
	*(const char **)field->out = item->valuestring;
	return NULL;
}

static const char *
take_array(const struct json_field *field, const cJSON *item)
{
	bool texts = field->type == JSON_TEXTS;
	const cJSON *one;

	if (!cJSON_IsArray(item))
		return "must be an array";
	cJSON_ArrayForEach(one, item)
		if (!(texts ? cJSON_IsString(one) : cJSON_IsObject(one)))
			return texts ? "must hold strings only" :
			    "must hold objects only";
	*(const cJSON **)field->out = item;
	return NULL;
}

static const char *
take_field(const struct json_field *field, const cJSON *item)
{
	switch (field->type) {
	case JSON_TEXT:
		return take_text(field, item);
	case JSON_U64:
	case JSON_U32:
		return take_number(field, item);
	case JSON_BOOL:
		if (!cJSON_IsBool(item))
			return "must be true or false";
		*(bool *)field->out = cJSON_IsTrue(item);
		return NULL;
	case JSON_TEXTS:
	case JSON_OBJECTS:
		return take_array(field, item);
	case JSON_OBJECT:
		if (!cJSON_IsObject(item))
			return "must be an object";
		*(const cJSON **)field->out = item;
		return NULL;
	}
	return "is of an unknown type";
}

static bool
doubled(const cJSON *object, const cJSON *item)
{
	return cJSON_GetObjectItemCaseSensitive(object, item->string) != item;
}

int
json_read(const cJSON *object, const struct json_field *fields, size_t count,
    char *err, size_t err_size)
{
	const cJSON *item;
	size_t i;

	cJSON_ArrayForEach(item, object) {
		const struct json_field *field = find_field(fields, count,
		    item->string);
		const char *why = field == NULL ? "is unknown" :
		    doubled(object, item) ? "is there twice" :
		    take_field(field, item);

		if (why != NULL) {
			snprintf(err, err_size, "member \"%.40s\" %s",
			    item->string, why);
			return -EINVAL;
		}
	}
	for (i = 0; i < count; i++)
		if (fields[i].required && cJSON_GetObjectItemCaseSensitive(
		    object, fields[i].name) == NULL) {
			snprintf(err, err_size, "member \"%s\" is missing",
			    fields[i].name);
			return -EINVAL;
		}
	return 0;
}

static void
put_string(struct buf *buf, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t left = strlen(text), n;

	buf_puts(buf, "\"");
	for (; left > 0; s += n, left -= n) {
		n = utf8_length(s, left);
		if (n == 0) {
			buf_puts(buf, "\xef\xbf\xbd");
			n = 1;
		} else if (*s < 0x20 || *s == 0x7f) {
			buf_printf(buf, "\\u%04x", *s);
		} else {
			if (*s == '"' || *s == '\\')
				buf_puts(buf, "\\");
			buf_append(buf, s, n);
		}
	}
	buf_puts(buf, "\"");
}

static void
put_key(struct buf *buf, const char *key)
{
	if (buf->len > 0 && strchr("{[:\n", buf->data[buf->len - 1]) == NULL)
		buf_puts(buf, ",");
	if (key != NULL) {
		put_string(buf, key);
		buf_puts(buf, ":");
	}
}

void
json_open(struct buf *buf, const char *key, char bracket)
{
	put_key(buf, key);
	buf_append(buf, &bracket, 1);
}

void
json_close(struct buf *buf, char bracket)
{
	buf_append(buf, &bracket, 1);
}

void
json_text(struct buf *buf, const char *key, const char *text)
{
	put_key(buf, key);
	put_string(buf, text);
}

void
json_number(struct buf *buf, const char *key, uint64_t number)
{
	put_key(buf, key);
	buf_printf(buf, "%llu", (unsigned long long)number);
}

void
json_hundredths(struct buf *buf, const char *key, uint64_t number)
{
	put_key(buf, key);
	buf_printf(buf, "%llu.%02llu", (unsigned long long)(number / 100),
	    (unsigned long long)(number % 100));
}

void
json_bool(struct buf *buf, const char *key, bool value)
{
	put_key(buf, key);
	buf_puts(buf, value ? "true" : "false");
}

void
json_raw(struct buf *buf, const char *key, const char *json)
{
	put_key(buf, key);
	buf_puts(buf, json);
}
