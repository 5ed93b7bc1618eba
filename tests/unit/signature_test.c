/*
 * Detached signatures, as the program openssl makes them with keys of all sorts:
 * only that of P-256, SHA-256, the same key and the same text is one.
 */
#include "unit.h"

#include <errno.h>

#include "base/signature.h"

static struct temp temp;

/* Keys, then signatures of "text": by each, of another digest, in base64. */
static const char make[] =
    "cd %s && exec >/dev/null 2>&1 && printf text >text && printf other >other &&"
    "openssl ecparam -name prime256v1 -genkey -noout -out key &&"
    "openssl ecparam -name prime256v1 -genkey -noout -out wrong &&"
    "openssl ecparam -name secp384r1 -genkey -noout -out p384 &&"
    "openssl ecparam -name secp256k1 -genkey -noout -out k1 &&"
    "openssl genrsa -out rsa 2048 &&"
    "openssl genpkey -algorithm ed25519 -out ed &&"
    "for key in key wrong p384 k1 rsa ed; do"
    "    openssl pkey -in $key -pubout -out $key.pub || exit 1; done &&"
    "for key in key wrong p384 k1 rsa; do"
    "    openssl dgst -sha256 -sign $key -out $key.sig text || exit 1; done &&"
    "openssl dgst -sha512 -sign key -out sha512.sig text &&"
    "openssl dgst -sha1 -sign key -out sha1.sig text &&"
    "base64 -w 0 key.sig >flat.sig && base64 -w 60 key.sig >lines.sig &&"
    "{ cat key.sig; printf x; } >longer.sig &&"
    "printf '\\060\\006\\002\\001\\000\\002\\001\\000' >zero.sig &&"
    "head -c 40 key.sig >half.sig && head -c 40 flat.sig >half64.sig &&"
    "printf 'MEUCIQ==' >stub.sig && printf '=' >junk.sig && : >empty.sig &&"
    "head -c 1000 /dev/zero | tr '\\0' M >huge.sig &&"
    "head -c 100 key.pub >cut.pub && : >empty.pub && cp key private.pub &&"
    "sed 's/PUBLIC/PRIVATE/' key.pub >named.pub &&"
    "{ echo hello; cat key.pub; } >after.pub";

static int
make_files(void **state)
{
	char command[4096];
	int status = -1;
	pid_t pid;

	(void)state;
	begin_temp(&temp);
	snprintf(command, sizeof(command), make, temp.path);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 :
	    -1;
}

static int
remove_files(void **state)
{
	(void)state;
	end_temp(&temp);
	return 0;
}

static void
read_file(const char *name, const char *suffix, struct buf *out)
{
	char file[64];
	int fd;

	assert_int_equal(format(file, sizeof(file), "%s%s", name, suffix), 0);
	fd = openat(temp.fd, file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(buf_read_all(out, fd), 0);
	close(fd);
}

static int
check(const char *key, const char *text, const char *signature)
{
	_cleanup_buf_ struct buf k = BUF_INIT(SIGNATURE_KEY_BYTES);
	_cleanup_buf_ struct buf t = BUF_INIT(64);
	_cleanup_buf_ struct buf s = BUF_INIT(SIGNATURE_BYTES);

	read_file(key, ".pub", &k);
	read_file(text, "", &t);
	read_file(signature, ".sig", &s);
	return signature_check(&k, &t, &s);
}

static void
signatures(void **state)
{
	static const struct {
		const char *key, *text, *signature;
		int result;
	} rows[] = {
		{ "key", "text", "key", 0 },
		{ "key", "text", "flat", 0 },
		{ "key", "text", "lines", 0 },
		{ "wrong", "text", "wrong", 0 },
		{ "after", "text", "key", 0 },	/* PEM may have a remark before */
		{ "key", "other", "key", -EKEYREJECTED },
		{ "key", "empty.sig", "key", -EKEYREJECTED },
		{ "wrong", "text", "key", -EKEYREJECTED },
		{ "key", "text", "wrong", -EKEYREJECTED },
		{ "key", "text", "p384", -EKEYREJECTED },
		{ "key", "text", "k1", -EKEYREJECTED },
		{ "key", "text", "rsa", -EKEYREJECTED },
		{ "key", "text", "sha512", -EKEYREJECTED },
		{ "key", "text", "sha1", -EKEYREJECTED },
		{ "key", "text", "longer", -EKEYREJECTED },
		{ "key", "text", "half", -EKEYREJECTED },
		{ "key", "text", "half64", -EKEYREJECTED },
		{ "key", "text", "stub", -EKEYREJECTED },
		{ "key", "text", "zero", -EKEYREJECTED },
		{ "key", "text", "junk", -EKEYREJECTED },
		{ "key", "text", "empty", -EKEYREJECTED },
		{ "key", "text", "huge", -EKEYREJECTED },
		{ "p384", "text", "p384", -EINVAL },
		{ "k1", "text", "k1", -EINVAL },
		{ "rsa", "text", "rsa", -EINVAL },
		{ "ed", "text", "key", -EINVAL },
		{ "cut", "text", "key", -EINVAL },
		{ "empty", "text", "key", -EINVAL },
		{ "private", "text", "key", -EINVAL },
		{ "named", "text", "key", -EINVAL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = check(rows[i].key, rows[i].text, rows[i].signature);

		if (r != rows[i].result)
			fail_msg("key %s, text %s, signature %s: %d, not %d",
			    rows[i].key, rows[i].text, rows[i].signature, r,
			    rows[i].result);
	}
}

/* Each byte of key and signature is needed, but for PEM's own. */
static void
flipped(void **state)
{
	_cleanup_buf_ struct buf key = BUF_INIT(SIGNATURE_KEY_BYTES);
	_cleanup_buf_ struct buf text = BUF_INIT(64);
	_cleanup_buf_ struct buf signature = BUF_INIT(SIGNATURE_BYTES);
	size_t i;

	(void)state;
	read_file("key", ".pub", &key);
	read_file("text", "", &text);
	read_file("key", ".sig", &signature);
	for (i = 0; i < signature.len; i++) {
		signature.data[i] ^= 1;
		assert_case(signature_check(&key, &text, &signature) ==
		    -EKEYREJECTED, i, "signature");
		signature.data[i] ^= 1;
	}
	for (i = 0; i < text.len; i++) {
		text.data[i] ^= 1;
		assert_case(signature_check(&key, &text, &signature) ==
		    -EKEYREJECTED, i, "text");
		text.data[i] ^= 1;
	}
	assert_int_equal(signature_check(&key, &text, &signature), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures),
		cmocka_unit_test(flipped),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
