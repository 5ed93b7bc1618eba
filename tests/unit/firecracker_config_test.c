/*
 * The Firecracker driver's file, read back as JSON, and its request.
 */
#include "unit.h"

#include <cjson/cJSON.h>

#include "base/json.h"
#include "privsep/proto.h"
#include "vmm/driver.h"

static const struct vmm_spec spec = {
	.vmm = VMM_FIRECRACKER, .tap = "fc-00ab12cd34ef", .host = "box",
	.vcpus = 2, .mem_mib = 512, .kvm = true,
	.mac = { 2, 0xfc, 172, 16, 0, 5 },
	.ipv4 = 0xac100005, .gateway = 0xac100001, .prefix = 24,
};

static cJSON *
config_of(const struct vmm_spec *of)
{
	struct buf buf = BUF_INIT(LAUNCH_CONFIG_MAX);
	cJSON *tree;

	assert_int_equal(firecracker_config(of, &buf), 0);
	tree = json_parse(buf.data, buf.len);
	assert_non_null(tree);
	buf_free(&buf);
	return tree;
}

/* SECTION's member KEY; of the first element when SECTION is an array. */
static const cJSON *
member(const cJSON *tree, const char *section, const char *key)
{
	const cJSON *object = cJSON_GetObjectItemCaseSensitive(tree, section);
	const cJSON *item;

	if (cJSON_IsArray(object)) {
		assert_int_equal(cJSON_GetArraySize(object), 1);
		object = cJSON_GetArrayItem(object, 0);
	}
	item = cJSON_GetObjectItemCaseSensitive(object, key);
	assert_non_null(item);
	return item;
}

static const char *
text(const cJSON *tree, const char *section, const char *key)
{
	const cJSON *item = member(tree, section, key);

	assert_true(cJSON_IsString(item));
	return item->valuestring;
}

static void
whole_file(void **state)
{
	cJSON *tree = config_of(&spec);
	const char *args = text(tree, "boot-source", "boot_args");

	(void)state;
	assert_string_equal(text(tree, "boot-source", "kernel_image_path"),
	    "/kernel");
	assert_string_equal(text(tree, "boot-source", "initrd_path"),
	    "/initrd");
	assert_non_null(strstr(args, " reboot=k "));
	assert_null(strstr(args, "nomodule"));
	assert_null(strstr(args, "tsc_early_khz"));
	assert_non_null(strstr(args, " banger.ip=172.16.0.5/24 "));
	assert_string_equal(text(tree, "drives", "path_on_host"), "/disk");
	assert_string_equal(text(tree, "drives", "cache_type"), "Writeback");
	assert_true(cJSON_IsFalse(member(tree, "drives", "is_root_device")));
	assert_int_equal(member(tree, "machine-config",
	    "vcpu_count")->valueint, 2);
	assert_int_equal(member(tree, "machine-config",
	    "mem_size_mib")->valueint, 512);
	assert_string_equal(text(tree, "metrics", "metrics_path"),
	    "/run/metrics");
	assert_string_equal(text(tree, "network-interfaces",
	    "host_dev_name"), "fc-00ab12cd34ef");
	assert_string_equal(text(tree, "network-interfaces", "guest_mac"),
	    "02:fc:ac:10:00:05");
	assert_string_equal(text(tree, "vsock", "uds_path"),
	    "/run/vsock.sock");
	assert_true(member(tree, "vsock", "guest_cid")->valueint >= 3);
	cJSON_Delete(tree);
}

static void
disposable(void **state)
{
	struct vmm_spec other = spec;
	cJSON *tree;

	(void)state;
	other.disposable = true;
	tree = config_of(&other);
	assert_string_equal(text(tree, "drives", "cache_type"), "Unsafe");
	cJSON_Delete(tree);
}

/* Whatever a value holds, it stays a value. */
static void
no_injection(void **state)
{
	struct vmm_spec other = spec;
	cJSON *tree;

	(void)state;
	other.host = "a\",\"kernel_image_path\":\"/etc/passwd";
	other.tap = "b\"}\n";
	tree = config_of(&other);
	assert_string_equal(text(tree, "boot-source", "kernel_image_path"),
	    "/kernel");
	assert_string_equal(text(tree, "network-interfaces",
	    "host_dev_name"), other.tap);
	cJSON_Delete(tree);
}

static void
too_small(void **state)
{
	struct buf buf = BUF_INIT(300);

	(void)state;
	assert_int_equal(firecracker_config(&spec, &buf), -ENOBUFS);
	assert_int_equal(buf.len, 0);
	buf_free(&buf);
}

/* The length that the header promises is the body's. */
static void
requests(void **state)
{
	const char *const texts[] = { firecracker_ctrl_alt_del(),
		firecracker_flush_metrics() };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *body = strstr(texts[i], "\r\n\r\n");
		const char *length = strstr(texts[i], "Content-Length: ");

		assert_case(body != NULL && length != NULL, i, texts[i]);
		assert_case(strtoul(length + 16, NULL, 10) == strlen(body + 4),
		    i, texts[i]);
		assert_case(strncmp(texts[i], "PUT /actions HTTP/1.1\r\n",
		    23) == 0, i, texts[i]);
	}
}

static void
exit_codes(void **state)
{
	(void)state;
	assert_string_equal(firecracker_exit_text(152), "a bad configuration");
	assert_non_null(strstr(firecracker_exit_text(148), "filter"));
	assert_null(firecracker_exit_text(0));
	assert_null(firecracker_exit_text(-9));
	assert_null(firecracker_exit_text(158));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_file),
		cmocka_unit_test(disposable),
		cmocka_unit_test(no_injection),
		cmocka_unit_test(too_small),
		cmocka_unit_test(requests),
		cmocka_unit_test(exit_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
