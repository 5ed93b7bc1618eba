/*
 * modules.c: names, .modinfo, and the order of hostile dependency graphs.
 */
#include "kernel_fixture.h"

#include "image/modules.h"

#define MAGIC FIXTURE_RELEASE " SMP preempt mod_unload"

static char err[256];

static const struct {
	const char *in;
	bool suffix;
	const char *out;	/* NULL: refused */
} names[] = {
	{ "virtio-rng", false, "virtio_rng" },
	{ "virtio_rng", false, "virtio_rng" },
	{ "8021q", false, "8021q" },
	{ "snd-HDA", false, "snd_HDA" },
	{ "virtio-rng.ko", true, "virtio_rng" },
	{ "a/b/virtio_blk.ko.xz", true, "virtio_blk" },
	{ "lib/modules/x/k/e.ko.zst", true, "e" },
	{ "./e.ko.gz", true, "e" },
	{ "e.ko.bz2", true, NULL },
	{ "e.ko", false, NULL },
	{ "e", true, NULL },
	{ ".ko", true, NULL },
	{ "a/.ko", true, NULL },
	{ "e.ko/", true, NULL },
	{ "", false, NULL },
	{ "", true, NULL },
	{ "..", false, NULL },
	{ "a b", false, NULL },
	{ "a\n", false, NULL },
	{ "a/b", false, NULL },
	{ "\xc3\xa9", false, NULL },
	{ "a.b", false, NULL },
	{ "012345678901234567890123456789012345678901234567890123456789012",
	    false,
	    "012345678901234567890123456789012345678901234567890123456789012" },
	{ "0123456789012345678901234567890123456789012345678901234567890123",
	    false, NULL },
};

static void
test_names(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char out[MODULE_NAME_MAX] = "untouched";
		bool ok = module_name(names[i].in, strlen(names[i].in),
		    names[i].suffix, out);

		assert_case(ok == (names[i].out != NULL), i, names[i].in);
		assert_case(strcmp(out, ok ? names[i].out : "untouched") == 0,
		    i, names[i].in);
	}
}

static void
test_modinfo(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes b = make_module("e", "a,b-c", MAGIC);
	struct module_info info;

	assert_int_equal(module_info_parse(b.data, b.len, &info), 0);
	assert_string_equal(info.name, "e");
	assert_string_equal(info.depends, "a,b-c");
	assert_string_equal(info.vermagic, MAGIC);
	for (size_t len = 0; len < b.len; len++) {
		struct bytes cut = { 0 };
		int rc;

		append(&cut, b.data, len);
		cut.data = realloc(cut.data, len == 0 ? 1 : len);
		rc = module_info_parse(cut.data, len, &info);
		free(cut.data);
		assert_int_equal(rc, -EBADMSG);
	}
}

static void
test_modinfo_lies(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes b = make_module("e", "", NULL);
	struct module_info info;
	size_t sh = b.len - 3 * 64, modinfo_len;

	assert_int_equal(module_info_parse(b.data, b.len, &info), 0);
	assert_string_equal(info.depends, "");
	assert_null(info.vermagic);
	modinfo_len = b.data[sh + 64 + 32];
	/* The section's last string does not end in it. */
	poke(&b, sh + 64 + 32, modinfo_len - 1, 8);
	assert_int_equal(module_info_parse(b.data, b.len, &info), -EBADMSG);
	poke(&b, sh + 64 + 32, 0, 8);
	assert_int_equal(module_info_parse(b.data, b.len, &info), -EBADMSG);
	poke(&b, sh + 64 + 32, UINT64_MAX, 8);
	assert_int_equal(module_info_parse(b.data, b.len, &info), -EBADMSG);
	poke(&b, sh + 64 + 32, modinfo_len, 8);
	assert_int_equal(module_info_parse(b.data, b.len, &info), 0);
	/* Its name points past the string table; the table is elsewhere. */
	poke(&b, sh + 64, UINT32_MAX, 4);
	assert_int_equal(module_info_parse(b.data, b.len, &info), -EBADMSG);
	poke(&b, sh + 64, 1, 4);
	poke(&b, sh + 128 + 24, b.len, 8);
	assert_int_equal(module_info_parse(b.data, b.len, &info), -EBADMSG);
	poke(&b, 62, 99, 2);
	assert_int_equal(module_info_parse(b.data, b.len, &info), -EBADMSG);
}

static void
test_modinfo_flipped_bits(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes b = make_module("e", "a,b", MAGIC);
	struct module_info info;

	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		if (module_info_parse(b.data, b.len, &info) == 0 &&
		    info.depends != NULL)
			assert_true(strlen(info.depends) < b.len);
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

/* Adds module NAME; with MAGIC the one it is built for. */
static void
add_for(struct module_set *set, const char *name, const char *depends,
    const char *magic)
{
	_cleanup_bytes_ struct bytes b = make_module(name, depends, magic);
	char file[80];

	assert_int_equal(format(file, sizeof(file), "k/%s.ko", name), 0);
	assert_int_equal(module_set_add(set, file, b.data, b.len, err,
	    sizeof(err)), 0);
}

static void
add(struct module_set *set, const char *name, const char *depends)
{
	add_for(set, name, depends, MAGIC);
}

static void
builtin(struct module_set *set, const char *text)
{
	module_set_builtin(set, text, strlen(text));
}

/* A set that has all that is required, as Debian's cloud kernel has it. */
static struct module_set *
good_set(void)
{
	struct module_set *set = module_set_new();

	assert_non_null(set);
	builtin(set, "kernel/fs/jbd2/jbd2.ko\nkernel/fs/ext4/ext4.ko\n");
	add(set, "virtio_net", "virtio_ring,virtio,net_failover");
	add(set, "net_failover", "failover");
	add(set, "failover", "");
	add(set, "virtio_blk", "virtio,virtio-ring");
	add(set, "vmw_vsock_virtio_transport", "virtio_ring");
	add(set, "virtio_console", "virtio");
	add(set, "virtio_mmio", "virtio");
	add(set, "virtio", "virtio_ring");
	add(set, "virtio_ring", "");
	return set;
}

/* Orders SET; the names, with commas, in OUT when that worked. */
static int
order(struct module_set *set, char *out, size_t size)
{
	const struct module *m[MODULE_SET_MAX];
	size_t count = 0, at = 0;
	int rc = module_set_order(set, FIXTURE_RELEASE, m, &count, err,
	    sizeof(err));

	out[0] = '\0';
	for (size_t i = 0; rc == 0 && i < count; i++)
		at += (size_t)snprintf(out + at, size - at, "%s,",
		    m[i]->name);
	return rc;
}

static void
test_order(void **state UNUSED)
{
	struct module_set *set = good_set();
	char out[512];

	assert_int_equal(order(set, out, sizeof(out)), 0);
	assert_string_equal(out, "virtio_ring,virtio,virtio_mmio,virtio_blk,"
	    "failover,net_failover,virtio_net,virtio_console,"
	    "vmw_vsock_virtio_transport,");
	/* Once more: it does not depend on what the last one left. */
	assert_int_equal(order(set, out, sizeof(out)), 0);
	assert_int_equal(strncmp(out, "virtio_ring,virtio,", 19), 0);
	module_set_free(set);
}

static void
test_required(void **state UNUSED)
{
	struct module_set *set = module_set_new();
	char out[512];

	/* As long as it is not known what is built in, nothing is missing. */
	assert_int_equal(order(set, out, sizeof(out)), 0);
	builtin(set, "");
	assert_int_equal(order(set, out, sizeof(out)), -ENOENT);
	assert_non_null(strstr(err, "virtio_mmio (CONFIG_VIRTIO_MMIO)"));
	assert_false(module_set_vsock(set));
	builtin(set, "kernel/drivers/virtio/virtio_mmio.ko\n"
	    "kernel/drivers/block/virtio_blk.ko\nkernel/fs/ext4/ext4.ko\n"
	    "kernel/drivers/char/virtio_console.ko\n"
	    "kernel/drivers/net/virtio_net.ko\n\n\nrubbish\n/\n.ko");
	/* Not that one: QEMU does without. */
	assert_int_equal(order(set, out, sizeof(out)), 0);
	assert_false(module_set_vsock(set));
	/* A last line without a newline counts. */
	builtin(set, "x/vmw_vsock_virtio_transport.ko");
	assert_true(module_set_vsock(set));
	assert_int_equal(order(set, out, sizeof(out)), 0);
	assert_string_equal(out, "");
	module_set_free(set);
}

/* As Debian's 6.1 has it: each after what it needs. */
static void
test_vsock(void **state UNUSED)
{
	struct module_set *set = good_set();
	char out[512];

	assert_true(module_set_vsock(set));
	module_set_free(set);
	set = module_set_new();
	builtin(set, "k/virtio_mmio.ko\nk/virtio_blk.ko\nk/ext4.ko\n"
	    "k/virtio_console.ko\nk/virtio_net.ko\n");
	add(set, "vmw_vsock_virtio_transport",
	    "vmw_vsock_virtio_transport_common,vsock");
	add(set, "vmw_vsock_virtio_transport_common", "vsock");
	assert_true(module_set_wants(set, "vsock"));
	assert_true(module_set_wants(set,
	    "vmw_vsock_virtio_transport_common"));
	assert_int_equal(order(set, out, sizeof(out)), -ENOENT);
	add(set, "vsock", "");
	assert_int_equal(order(set, out, sizeof(out)), 0);
	assert_string_equal(out, "vsock,vmw_vsock_virtio_transport_common,"
	    "vmw_vsock_virtio_transport,");
	module_set_free(set);
}

static void
test_cycle(void **state UNUSED)
{
	struct module_set *set = module_set_new();
	char out[512];

	add(set, "virtio_mmio", "virtio");
	add(set, "virtio", "virtio_ring");
	add(set, "virtio_ring", "virtio_mmio");
	assert_int_equal(order(set, out, sizeof(out)), -EBADMSG);
	assert_non_null(strstr(err, "cycle"));
	module_set_free(set);
	set = module_set_new();
	add(set, "virtio_mmio", "virtio_mmio");
	assert_int_equal(order(set, out, sizeof(out)), -EBADMSG);
	module_set_free(set);
}

static void
test_missing_are_wanted_next_time(void **state UNUSED)
{
	struct module_set *set = good_set();
	char out[512];

	add(set, "crc32c_generic", "rare1,rare2");
	add(set, "ext4", "rare2,rare1");
	assert_false(module_set_wants(set, "rare1"));
	assert_int_equal(order(set, out, sizeof(out)), -EAGAIN);
	assert_true(module_set_wants(set, "rare1"));
	assert_true(module_set_wants(set, "rare2"));
	add(set, "rare1", "rare3");
	add(set, "rare2", "");
	assert_int_equal(order(set, out, sizeof(out)), -EAGAIN);
	assert_true(module_set_wants(set, "rare3"));
	/* It was looked for and is not there. */
	assert_int_equal(order(set, out, sizeof(out)), -ENOENT);
	assert_non_null(strstr(err, "rare3"));
	add(set, "rare3", "");
	assert_int_equal(order(set, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "rare3,rare1,rare2,crc32c_generic,"));
	module_set_free(set);
}

/* A usual dependency would have been kept: it is missing for good. */
static void
test_missing_usual(void **state UNUSED)
{
	struct module_set *set = good_set();
	char out[512];

	add(set, "crc32c_generic", "crc16");
	assert_int_equal(order(set, out, sizeof(out)), -ENOENT);
	assert_non_null(strstr(err, "crc16"));
	module_set_free(set);
}

/*
 * Forty layers of two modules, each needing both of the next, and at the
 * bottom one that is not there: 2^40 paths for a walk without a memory.
 */
static void
test_wide_graph_is_walked_once(void **state UNUSED)
{
	struct module_set *set = good_set();
	char out[4096], name[32], depends[64];

	add(set, "crc32c_generic", "l0a,l0b");
	for (int i = 0; i < 40; i++) {
		snprintf(depends, sizeof(depends), "l%da,l%db", i + 1, i + 1);
		snprintf(name, sizeof(name), "l%da", i);
		add(set, name, depends);
		snprintf(name, sizeof(name), "l%db", i);
		add(set, name, depends);
	}
	assert_int_equal(order(set, out, sizeof(out)), -EAGAIN);
	add(set, "l40a", "");
	add(set, "l40b", "");
	assert_int_equal(order(set, out, sizeof(out)), 0);
	module_set_free(set);
}

static void
test_deepest_chain(void **state UNUSED)
{
	struct module_set *set = good_set();
	char out[16384], name[32], depends[32];
	struct bytes b;

	add(set, "crc32c_generic", "c0");
	for (int i = 0; set->count < MODULE_SET_MAX; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		snprintf(depends, sizeof(depends), "c%d", i + 1);
		add(set, name, set->count == MODULE_SET_MAX - 1 ? "" :
		    depends);
	}
	assert_int_equal(order(set, out, sizeof(out)), 0);
	b = make_module("onemore", "", MAGIC);
	assert_int_equal(module_set_add(set, "onemore.ko", b.data, b.len, err,
	    sizeof(err)), -EFBIG);
	free(b.data);
	module_set_free(set);
}

static void
test_malformed_depends(void **state UNUSED)
{
	static const char *const bad[] = {
		",", "virtio,,virtio_ring", ",virtio", "a b", "../virtio",
		"virtio_ring,\x01", "virtio\n",
	};
	char out[512];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct module_set *set = good_set();

		add(set, "ext4", bad[i]);
		assert_case(order(set, out, sizeof(out)) == -EBADMSG, i,
		    bad[i]);
		for (const char *p = err; *p != '\0'; p++)
			assert_true(*p >= ' ' && *p <= '~');
		module_set_free(set);
	}
}

static void
test_another_kernels_module(void **state UNUSED)
{
	static const char *const bad[] = {
		"6.1.0-9-testing SMP", "6.1.0-9-tes SMP", "", "SMP", NULL,
	};
	char out[512];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct module_set *set = good_set();

		add_for(set, "crc32c_generic", "", bad[i]);
		assert_int_equal(order(set, out, sizeof(out)), -EBADMSG);
		assert_non_null(strstr(err, "crc32c_generic"));
		module_set_free(set);
	}
}

static void
test_file_with_another_module(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes b = make_module("evil", "", MAGIC);
	struct module_set *set = good_set();
	char out[512];

	assert_int_equal(module_set_add(set, "crc32c_generic.ko", b.data, b.len, err,
	    sizeof(err)), 0);
	assert_int_equal(order(set, out, sizeof(out)), -EBADMSG);
	module_set_free(set);
}

static void
test_bad_files(void **state UNUSED)
{
	static const uint8_t xz[] = { 0xfd, '7', 'z', 'X', 'Z', 0, 0, 0 };
	static const uint8_t bz[] = "BZh91AY";
	struct module_set *set = module_set_new();

	assert_int_equal(module_set_add(set, "crc32c_generic.ko", NULL, 0, err,
	    sizeof(err)), -EBADMSG);
	assert_int_equal(module_set_add(set, "crc32c_generic.ko.xz", xz, sizeof(xz),
	    err, sizeof(err)), -EBADMSG);
	assert_int_equal(module_set_add(set, "crc32c_generic.ko", bz, sizeof(bz), err,
	    sizeof(err)), -EBADMSG);
	assert_non_null(strstr(err, "bzip2"));
	assert_int_equal(module_set_add(set, "ext4", xz, 1, err,
	    sizeof(err)), -EBADMSG);
	assert_int_equal(set->count, 0);
	module_set_free(set);
}

/* What an archive can make the import hold in memory is bounded. */
static void
test_bounds(void **state UNUSED)
{
	struct module_set *set = module_set_new();
	struct bytes b = make_module("x", "", MAGIC);
	size_t small = b.len;
	int rc = 0, n;

	b.data = realloc(b.data, MODULE_BYTES_MAX + 1);
	assert_non_null(b.data);
	memset(b.data + small, 0, MODULE_BYTES_MAX + 1 - small);
	assert_int_equal(module_set_add(set, "crc32c_generic.ko", b.data,
	    MODULE_BYTES_MAX + 1, err, sizeof(err)), -EFBIG);
	for (n = 0; rc == 0; n++) {
		char name[32];

		snprintf(name, sizeof(name), "m%d.ko", n);
		rc = module_set_add(set, name, b.data, MODULE_BYTES_MAX, err,
		    sizeof(err));
	}
	assert_int_equal(rc, -EFBIG);
	assert_int_equal(n - 1, MODULE_SET_BYTES_MAX / MODULE_BYTES_MAX);
	free(b.data);
	module_set_free(set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_modinfo),
		cmocka_unit_test(test_modinfo_lies),
		cmocka_unit_test(test_modinfo_flipped_bits),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_vsock),
		cmocka_unit_test(test_cycle),
		cmocka_unit_test(test_missing_are_wanted_next_time),
		cmocka_unit_test(test_missing_usual),
		cmocka_unit_test(test_wide_graph_is_walked_once),
		cmocka_unit_test(test_deepest_chain),
		cmocka_unit_test(test_malformed_depends),
		cmocka_unit_test(test_another_kernels_module),
		cmocka_unit_test(test_file_with_another_module),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
