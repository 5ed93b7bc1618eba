/*
 * Strict JSON: what is refused as a text, what as an object, and that whatever
 * is written can be read again.
 */
#include "unit.h"

#include "base/json.h"

#define DEEP "[[[[[[["

static void
texts(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "{}", true },
		{ " {\"a\":1} \r", true },
		{ "{\"a\":\"\\u00e9\\n\\\"\"}", true },
		{ "{\"a\":\"\xc3\xa9\"}", true },
		{ "{\"a\":\"[[[[[[[[[[[[{{{{\"}", true },
		{ "{\"a\":" DEEP "]]]]]]]}", true },
		{ "{\"a\":" DEEP "[]]]]]]]]}", false },
		{ "", false },
		{ " ", false },
		{ "[]", false },
		{ "1", false },
		{ "null", false },
		{ "\"a\"", false },
		{ "{", false },
		{ "{\"a\"", false },
		{ "{\"a\":1}}", false },
		{ "{}{}", false },
		{ "{} x", false },
		{ "{\"a\":\"\\u0000\"}", false },
		{ "{\"a\\u0000\":1}", false },
		{ "{\"a\":\"\x01\"}", false },
		{ "{\"a\":\"\xff\"}", false },
		{ "{\"a\":\"\xc0\x80\"}", false },
		{ "{\"a\":\"\xed\xa0\x80\"}", false },
		{ "{\"a\":\"\xf5\x80\x80\x80\"}", false },
		{ "{\"a\":\"\xe2\x82\"}", false },
		{ "{\"a\":\"\\", false },
		{ "{\"a\":\"\\\xc3\xa9\"}", false },
		{ "\xef\xbb\xbf{}", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* Exactly sized, so that ASan sees a read too far. */
		size_t len = strlen(cases[i].text);
		char *copy = malloc(len > 0 ? len : 1);
		cJSON *tree;

		memcpy(copy, cases[i].text, len);
		tree = json_parse(copy, len);
		assert_case((tree != NULL) == cases[i].good, i, cases[i].text);
		cJSON_Delete(tree);
		free(copy);
	}
}

static void
embedded_nul(void **state)
{
	(void)state;
	assert_null(json_parse("{}\0", 3));
	assert_null(json_parse("\0{}", 3));
}

struct out {
	const char *text;
	uint64_t big;
	uint32_t small;
	bool flag;
	const cJSON *object;
};

static int
read_all(const char *text, struct out *out)
{
	const struct json_field fields[] = {
		{ "text", JSON_TEXT, false, 1, 3, &out->text },
		{ "big", JSON_U64, false, 0, 0, &out->big },
		{ "small", JSON_U32, true, 2, 9, &out->small },
		{ "flag", JSON_BOOL, false, 0, 0, &out->flag },
		{ "object", JSON_OBJECT, false, 0, 0, &out->object },
	};
	cJSON *tree = json_parse(text, strlen(text));
	char err[64] = "";
	int r;

	assert_non_null(tree);
	r = json_read(tree, fields, ARRAY_SIZE(fields), err, sizeof(err));
	assert_int_equal(r < 0, err[0] != '\0');
	/* The text's memory is the tree's. */
	out->text = NULL;
	cJSON_Delete(tree);
	return r;
}

static void
objects(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{ "{\"small\":2}", 0 },
		{ "{\"small\":9,\"text\":\"abc\",\"flag\":true}", 0 },
		{ "{\"small\":9,\"big\":9007199254740991}", 0 },
		{ "{\"small\":9,\"big\":9007199254740992}", -EINVAL },
		{ "{\"small\":9,\"big\":1e999}", -EINVAL },
		{ "{\"small\":9,\"big\":-1}", -EINVAL },
		{ "{\"small\":9,\"big\":0.5}", -EINVAL },
		{ "{\"small\":9,\"object\":{\"x\":1}}", 0 },
		{ "{\"small\":9,\"object\":[]}", -EINVAL },
		{ "{}", -EINVAL },
		{ "{\"small\":1}", -EINVAL },
		{ "{\"small\":10}", -EINVAL },
		{ "{\"small\":\"2\"}", -EINVAL },
		{ "{\"small\":null}", -EINVAL },
		{ "{\"small\":2,\"small\":2}", -EINVAL },
		{ "{\"small\":2,\"text\":\"\"}", -EINVAL },
		{ "{\"small\":2,\"text\":\"abcd\"}", -EINVAL },
		{ "{\"small\":2,\"text\":1}", -EINVAL },
		{ "{\"small\":2,\"flag\":1}", -EINVAL },
		{ "{\"small\":2,\"other\":1}", -EINVAL },
		{ "{\"small\":2,\"Small\":2}", -EINVAL },
		{ "{\"small\":2,\"\":2}", -EINVAL },
	};
	struct out out;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_case(read_all(cases[i].text, &out) == cases[i].result,
		    i, cases[i].text);
}

static void
absent_members_stay(void **state)
{
	struct out out = { .big = 7, .flag = true };

	(void)state;
	assert_int_equal(read_all("{\"small\":3}", &out), 0);
	assert_int_equal(out.small, 3);
	assert_int_equal(out.big, 7);
	assert_true(out.flag);
}

static void
written_is_readable(void **state)
{
	struct buf buf = BUF_INIT(4096);
	char every[256];
	cJSON *tree;
	int i;

	(void)state;
	for (i = 1; i < 256; i++)
		every[i - 1] = (char)i;
	every[255] = '\0';
	json_open(&buf, NULL, '{');
	json_text(&buf, "every", every);
	json_text(&buf, "brace", "{[:");
	json_number(&buf, "n", JSON_NUMBER_MAX);
	json_hundredths(&buf, "load", 1207);
	json_open(&buf, "list", '[');
	json_bool(&buf, NULL, true);
	json_bool(&buf, NULL, false);
	json_open(&buf, NULL, '{');
	json_close(&buf, '}');
	json_close(&buf, ']');
	json_close(&buf, '}');
	assert_false(buf.failed);
	assert_null(memchr(buf.data, '\n', buf.len));
	tree = json_parse(buf.data, buf.len);
	assert_non_null(tree);
	assert_int_equal(cJSON_GetArraySize(tree), 5);
	assert_int_equal(cJSON_GetArraySize(
	    cJSON_GetObjectItem(tree, "list")), 3);
	assert_non_null(strstr(buf.data, "\"load\":12.07,"));
	assert_string_equal(cJSON_GetObjectItem(tree, "brace")->valuestring,
	    "{[:");
	assert_memory_equal(cJSON_GetObjectItem(tree, "every")->valuestring,
	    every, 127);
	cJSON_Delete(tree);
	buf_free(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(embedded_nul),
		cmocka_unit_test(objects),
		cmocka_unit_test(absent_members_stay),
		cmocka_unit_test(written_is_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
