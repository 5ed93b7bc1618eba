/*
 * bzimage.c, codec.c and elf64.c: every compression, and headers that lie.
 */
#include "kernel_fixture.h"

#include "image/bzimage.h"
#include "image/elf64.h"

static char err[256];

/* Parses and extracts LEN bytes at DATA into *OUT. */
static int
extract(const uint8_t *data, size_t len, struct codec_buf *out)
{
	struct codec_sink sink = { .write = codec_write_buf, .arg = out };
	struct bzimage image;
	int rc = bzimage_parse(data, len, &image, err, sizeof(err));

	return rc < 0 ? rc : bzimage_extract(&image, &sink, err, sizeof(err));
}

static int
extract_only(const struct bytes *b)
{
	struct codec_buf out = { 0 };
	int rc = extract(b->data, b->len, &out);

	free(out.data);
	return rc;
}

static const enum codec able[] = {
	CODEC_GZIP, CODEC_BZIP2, CODEC_LZMA, CODEC_XZ, CODEC_LZO, CODEC_LZ4,
	CODEC_ZSTD,
};

static void
test_every_codec(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes elf = make_vmlinux();

	for (size_t i = 0; i < ARRAY_SIZE(able); i++) {
		_cleanup_bytes_ struct bytes b = make_bzimage(able[i]);
		struct codec_buf out = { 0 };
		const char *name = codec_name(able[i]);

		assert_case(extract(b.data, b.len, &out) == 0, i, name);
		assert_case(out.len == elf.len, i, name);
		assert_memory_equal(out.data, elf.data, elf.len);
		free(out.data);
	}
}

static void
test_version(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes b = make_bzimage(CODEC_GZIP);
	struct bzimage image;

	assert_int_equal(bzimage_parse(b.data, b.len, &image, NULL, 0), 0);
	assert_string_equal(image.version, FIXTURE_RELEASE);
	assert_int_equal(image.protocol, 0x20f);
	/* Pointers to nowhere, and to a string without an end. */
	for (unsigned at = 0x5f0; at <= 0xffff; at += 0x3f) {
		poke(&b, 0x20e, at, 2);
		assert_int_equal(
		    bzimage_parse(b.data, b.len, &image, NULL, 0), 0);
		assert_string_equal(image.version, "");
	}
	memset(b.data + 0x600, 'x', 0x200);
	poke(&b, 0x20e, 0x400, 2);
	assert_int_equal(bzimage_parse(b.data, b.len, &image, NULL, 0), 0);
	assert_string_equal(image.version, "");
}

static void
test_truncated_anywhere(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(able); i++) {
		_cleanup_bytes_ struct bytes b = make_bzimage(able[i]);

		for (size_t len = 0; len < b.len;
		    len += len < 0x260 ? 1 : 7) {
			/* A copy of that size, for ASan to see past its end. */
			struct bytes cut = { 0 };
			int rc;

			append(&cut, b.data, len);
			cut.data = realloc(cut.data, len == 0 ? 1 : len);
			rc = extract_only(&cut);
			free(cut.data);
			assert_case(rc == -EBADMSG, len, codec_name(able[i]));
		}
	}
}

static void
test_truncated_payload(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(able); i++) {
		_cleanup_bytes_ struct bytes full = make_bzimage(able[i]);
		size_t payload = full.len - 2048 - 64;

		/* The header agrees with the cut; the stream ends early. */
		for (size_t len = 12; len < payload; len += 5) {
			_cleanup_bytes_ struct bytes b = { 0 };
			int rc;

			append(&b, full.data, 2048 + 64 + len);
			poke(&b, 0x24c, len, 4);
			poke(&b, b.len - 4, 3072, 4);
			rc = extract_only(&b);
			assert_case(rc == -EBADMSG, len, codec_name(able[i]));
		}
	}
}

static const struct {
	const char *name;
	size_t offset;
	uint64_t value;
	unsigned n;
	int rc;
} lies[] = {
	{ "no boot flag", 0x1fe, 0, 2, -EBADMSG },
	{ "no HdrS", 0x202, 0, 4, -EBADMSG },
	{ "old protocol", 0x206, 0x207, 2, -EBADMSG },
	{ "oldest with a payload", 0x206, 0x208, 2, 0 },
	{ "setup_sects to the end", 0x1f1, 255, 1, -EBADMSG },
	{ "setup_sects 0 means 4", 0x1f1, 0, 1, -EBADMSG },
	{ "payload_offset past the end", 0x248, 0x10000, 4, -EBADMSG },
	{ "payload_offset wraps", 0x248, 0xffffffff, 4, -EBADMSG },
	{ "payload_offset 0", 0x248, 0, 4, -EBADMSG },
	{ "payload_length past the end", 0x24c, 0x10000, 4, -EBADMSG },
	{ "payload_length wraps", 0x24c, 0xfffffff0, 4, -EBADMSG },
	{ "payload_length 0", 0x24c, 0, 4, -EBADMSG },
	{ "payload_length 7", 0x24c, 7, 4, -EBADMSG },
	{ "unknown compression", 2048 + 64, 0x01020304, 4, -ENOTSUP },
};

static void
test_lying_headers(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		_cleanup_bytes_ struct bytes b = make_bzimage(CODEC_XZ);

		poke(&b, lies[i].offset, lies[i].value, lies[i].n);
		assert_case(extract_only(&b) == lies[i].rc, i, lies[i].name);
	}
}

static void
test_lying_length(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(able); i++) {
		_cleanup_bytes_ struct bytes b = make_bzimage(able[i]);

		poke(&b, b.len - 4, 3071, 4);
		assert_int_equal(extract_only(&b), -EBADMSG);
		poke(&b, b.len - 4, 3073, 4);
		assert_int_equal(extract_only(&b), -EBADMSG);
		poke(&b, b.len - 4, (512U << 20) + 1, 4);
		assert_int_equal(extract_only(&b), -EFBIG);
	}
}

static int
count_bytes(void *arg, const void *data UNUSED, size_t len)
{
	*(uint64_t *)arg += len;
	return 0;
}

static int
refuse(void *arg UNUSED, const void *data UNUSED, size_t len UNUSED)
{
	return -ENOSPC;
}

/* A block of lz4 that says "the byte before, N times": 255 per input byte. */
static void
test_limit_holds_before_the_sink(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes b = { 0 };
	uint64_t count = 0;
	struct codec_sink sink = {
		.write = count_bytes, .arg = &count, .limit_bytes = 1000,
	};

	append(&b, "\x02\x21\x4c\x18\0\0\0\0\x1f" "A\x01\0", 12);
	for (int i = 0; i < 100; i++)
		append(&b, "\xff", 1);
	append(&b, "\0\x50" "AAAAA", 7);
	poke(&b, 4, b.len - 8, 4);
	assert_int_equal(codec_decode(CODEC_LZ4, b.data, b.len, &sink),
	    -EFBIG);
	assert_int_equal(count, 0);
	sink.limit_bytes = 100000;
	assert_int_equal(codec_decode(CODEC_LZ4, b.data, b.len, &sink), 0);
	assert_int_equal(count, sink.written_bytes);
	assert_true(count > 25000);
	sink.write = refuse;
	assert_int_equal(codec_decode(CODEC_LZ4, b.data, b.len, &sink),
	    -ENOSPC);
}

static void
test_lz4_block_sizes(void **state UNUSED)
{
	static const uint32_t sizes[] = {
		0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x184c2102,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_bytes_ struct bytes b = make_bzimage(CODEC_LZ4);

		poke(&b, 2048 + 64 + 4, sizes[i], 4);
		assert_int_equal(extract_only(&b), -EBADMSG);
	}
}

/* No single changed bit does worse than an error. */
static void
test_flipped_bits(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(able); i++) {
		_cleanup_bytes_ struct bytes b = make_bzimage(able[i]);

		for (size_t at = 0x1f0; at < b.len;
		    at += at < 0x250 ? 1 : at < 2048 ? 97 : 3) {
			uint8_t was = b.data[at];

			b.data[at] ^= (uint8_t)(1U << at % 8);
			extract_only(&b);
			b.data[at] = was;
		}
	}
}

static const struct {
	const char *name;
	size_t offset;
	uint64_t value;
	unsigned n;
	bool ok;
} elf_lies[] = {
	{ "as it is", 0, 0x464c457f, 4, true },
	{ "position-independent", 16, 3, 2, true },
	{ "a relocatable", 16, 1, 2, false },
	{ "a core", 16, 4, 2, false },
	{ "32 bits", 4, 1, 1, false },
	{ "big endian", 5, 2, 1, false },
	{ "arm64", 18, 183, 2, false },
	{ "program headers past the end", 32, 3072, 8, false },
	{ "program headers wrap", 32, UINT64_MAX, 8, false },
	{ "entries of another size", 54, 55, 2, false },
	{ "too many entries", 56, 0xffff, 2, false },
	{ "no entries", 56, 0, 2, false },
	{ "segment past the end", 64 + 8, 513, 8, false },
	{ "segment wraps", 64 + 8, UINT64_MAX - 4, 8, false },
	{ "larger in the file than in memory", 64 + 40, 2559, 8, false },
	{ "note past the end", 64 + 56 + 8, 3072, 8, false },
	{ "nothing to load", 64, 4, 4, false },
	{ "section headers past the end", 60, 1, 2, false },
};

static void
test_vmlinux(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(elf_lies); i++) {
		_cleanup_bytes_ struct bytes b = make_vmlinux();
		struct vmlinux_info info;
		int rc;

		poke(&b, elf_lies[i].offset, elf_lies[i].value,
		    elf_lies[i].n);
		if (elf_lies[i].offset == 60) {
			poke(&b, 58, 64, 2);
			poke(&b, 40, 3072 - 63, 8);
		}
		rc = vmlinux_check(b.data, b.len, &info);
		assert_case(rc == (elf_lies[i].ok ? 0 : -EBADMSG), i,
		    elf_lies[i].name);
	}
}

static void
test_pvh_note(void **state UNUSED)
{
	_cleanup_bytes_ struct bytes b = make_vmlinux();
	struct vmlinux_info info;

	assert_int_equal(vmlinux_check(b.data, b.len, &info), 0);
	assert_true(info.pvh);
	assert_int_equal(info.entry, 0x1000000);
	poke(&b, 256 + 28, 17, 4);
	assert_int_equal(vmlinux_check(b.data, b.len, &info), 0);
	assert_false(info.pvh);
	/* The first note's sizes run over the second, or over everything. */
	poke(&b, 256 + 28, 18, 4);
	poke(&b, 256, UINT32_MAX, 4);
	assert_int_equal(vmlinux_check(b.data, b.len, &info), 0);
	assert_false(info.pvh);
	poke(&b, 256, 4, 4);
	poke(&b, 256 + 4, UINT32_MAX, 4);
	assert_int_equal(vmlinux_check(b.data, b.len, &info), 0);
	assert_false(info.pvh);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(vmlinux_check(b.data, len, &info), -EBADMSG);
}

static void
test_errmsg_is_printable(void **state UNUSED)
{
	static const uint8_t not_a_kernel[600] = { 0 };
	struct bzimage image;
	char small[8];

	assert_int_equal(bzimage_parse(not_a_kernel, 600, &image, small,
	    sizeof(small)), -EBADMSG);
	assert_string_equal(small, "not an ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_codec),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_truncated_payload),
		cmocka_unit_test(test_lying_headers),
		cmocka_unit_test(test_lying_length),
		cmocka_unit_test(test_limit_holds_before_the_sink),
		cmocka_unit_test(test_lz4_block_sizes),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_vmlinux),
		cmocka_unit_test(test_pvh_note),
		cmocka_unit_test(test_errmsg_is_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
