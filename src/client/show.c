/*
 * What an object has is described once per kind of object (vm.c, store.c);
 * the table and the single view are made from the same list.
 */
#include "client/show.h"

#include <string.h>

#include "client/api.h"
#include "client/size.h"
#include "client/table.h"

enum { FIELD_TEXT_MAX = 256 };

/* Bytes rounded for a table, exact as well where there is room. */
static void
bytes_text(uint64_t bytes, bool wide, char *out, size_t size)
{
	char rounded[SIZE_TEXT];

	if (wide && bytes >= KIB)
		snprintf(out, size, "%s (%llu bytes)", size_text(bytes, rounded),
		    (unsigned long long)bytes);
	else
		snprintf(out, size, "%s", size_text(bytes, rounded));
}

/* A time as its age; where there is room as itself as well. */
static void
age_field(const char *when, bool wide, time_t now, char *out, size_t size)
{
	char age[SIZE_TEXT];

	if (when == NULL)
		snprintf(out, size, "-");
	else if (wide)
		snprintf(out, size, "%s (%s ago)", when,
		    age_text(when, now, age));
	else
		snprintf(out, size, "%s", age_text(when, now, age));
}

/* The value of FIELD in OBJECT as text, in OUT or in the object. */
static const char *
field_show(const cJSON *object, const struct field *field, bool wide,
    time_t now, char out[FIELD_TEXT_MAX])
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field->key);
	uint64_t number = field_number(object, field->key);

	if (item == NULL || cJSON_IsNull(item))
		return "-";
	switch (field->kind) {
	case FIELD_NUMBER:
		snprintf(out, FIELD_TEXT_MAX, "%llu",
		    (unsigned long long)number);
		return out;
	case FIELD_MIB:
		bytes_text(number * MIB, false, out, FIELD_TEXT_MAX);
		return out;
	case FIELD_BYTES:
		bytes_text(number, wide, out, FIELD_TEXT_MAX);
		return out;
	case FIELD_BOOL:
		return cJSON_IsTrue(item) ? "yes" : "no";
	case FIELD_SECONDS:
		return span_text(number * 1000000, out);
	case FIELD_MICROSECONDS:
		return span_text(number, out);
	case FIELD_DECIMAL:
		snprintf(out, FIELD_TEXT_MAX, "%.2f", item->valuedouble);
		return out;
	case FIELD_AGE:
		age_field(cJSON_GetStringValue(item), wide, now, out,
		    FIELD_TEXT_MAX);
		return out;
	case FIELD_TEXT:
		break;
	}
	return cJSON_IsString(item) ? item->valuestring : "-";
}

int
show_json(FILE *out, const cJSON *item)
{
	char *text = cJSON_PrintUnformatted(item);

	if (text == NULL)
		return -ENOMEM;
	fprintf(out, "%s\n", text);
	free(text);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}

int
show_list(FILE *out, const cJSON *list, const struct field *fields, bool json,
    time_t now)
{
	struct table table = { 0 };
	const struct field *field;
	const cJSON *object;
	char text[FIELD_TEXT_MAX];

	if (!cJSON_IsArray(list))
		return -EPROTO;
	if (json)
		return show_json(out, list);
	for (field = fields; field->key != NULL; field++)
		table.columns += field->heading != NULL;
	for (field = fields; field->key != NULL; field++)
		if (field->heading != NULL)
			table_cell(&table, field->heading);
	cJSON_ArrayForEach(object, list)
		for (field = fields; field->key != NULL; field++)
			if (field->heading != NULL)
				table_cell(&table, field_show(object, field,
				    false, now, text));
	return table_print(&table, out);
}

int
show_object(FILE *out, const cJSON *object, const struct field *fields,
    bool json, time_t now)
{
	struct table table = { .columns = 2 };
	char text[FIELD_TEXT_MAX], label[48];

	if (!cJSON_IsObject(object))
		return -EPROTO;
	if (json)
		return show_json(out, object);
	for (; fields->key != NULL; fields++) {
		if (!cJSON_HasObjectItem(object, fields->key))
			continue;
		snprintf(label, sizeof(label), "%s:", fields->key);
		table_cell(&table, label);
		table_cell(&table, field_show(object, fields, true, now, text));
	}
	return table_print(&table, out);
}
