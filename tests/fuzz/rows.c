/*
 * JSON: whether what is accepted is what it says, and the rows of the store,
 * which come back the same when they are written once more.
 */
#include "fuzz.h"

#include "privsep/log.h"
#include "worker/rows.h"

/* Read, written, read and written again: the same text. */
#define ROW_OF(kind, tree, name, release) do {                                          \
	struct kind##_row row, again;                                          \
	struct buf once = BUF_INIT(65536), twice = BUF_INIT(65536);            \
	cJSON *copy;                                                           \
	if (kind##_row_read(name, tree, &row) < 0)                             \
		break;                                                         \
	kind##_row_write(&once, &row);                                         \
	must(!once.failed);                                                    \
	copy = json_parse(once.data, once.len);                                \
	must(copy != NULL && kind##_row_read(name, copy, &again) == 0);        \
	kind##_row_write(&twice, &again);                                      \
	must(once.len == twice.len &&                                          \
	    memcmp(once.data, twice.data, once.len) == 0);                     \
	cJSON_Delete(copy);                                                    \
	buf_clear(&once);                                                      \
	kind##_row_show(&once, NULL, &row);                                    \
	must(!once.failed);                                                    \
	buf_free(&once);                                                       \
	buf_free(&twice);                                                      \
	release(&row);                                                         \
	release(&again);                                                       \
} while (0)

#define machine_row_show(buf, key, row) machine_row_show(buf, key, row, 1)
#define image_row_show(buf, key, row) image_row_show(buf, key, row, true)

#define keep(row) ((void)(row))

static void
free_image(struct image_row *row)
{
	free(row->config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cJSON *tree = json_parse((const char *)data, len);

	log_init("fuzz", LOG_ERROR);
	if (tree == NULL)
		return 0;
	must(cJSON_IsObject(tree));
	ROW_OF(machine, tree, "0123456789ab", keep);
	ROW_OF(image, tree, "img", free_image);
	ROW_OF(kernel, tree, "krn", keep);
	cJSON_Delete(tree);
	return 0;
}
