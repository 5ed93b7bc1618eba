/*
 * A catalogue, as if its signature were right: what is taken has names and
 * addresses as the daemon takes them, and each name is found. And signatures: what
 * has none of this key is refused.
 */
#include "fuzz.h"

#include "base/hex.h"
#include "base/reference.h"
#include "base/signature.h"
#include "base/url.h"
#include "client/catalog.h"
#include "privsep/check.h"

static void
check_list(const cJSON *list)
{
	struct catalog_entry entry, found;
	uint8_t sha256[DIGEST_BYTES];
	struct reference ref;
	const cJSON *item;
	struct url url;

	cJSON_ArrayForEach(item, list) {
		catalog_entry(item, &entry);
		must(check_object_name(entry.name) == 0);
		must((entry.reference != NULL) != (entry.url != NULL));
		if (entry.reference != NULL)
			must(reference_parse(entry.reference, &ref) == 0);
		else
			must(url_parse(entry.url, &url) == 0 &&
			    entry.size_bytes > 0 && hex_parse(entry.sha256,
			    sha256, sizeof(sha256)) == 0);
		must(catalog_find(list, entry.name, &found) == 0 &&
		    strcmp(found.name, entry.name) == 0);
	}
}

/* The public key of RFC 6979, A.2.5. */
static const char key_text[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7\n"
    "Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n"
    "-----END PUBLIC KEY-----\n";

static void
check_signature(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	struct input piece = take_piece(&in);
	struct buf key = BUF_INIT(SIGNATURE_KEY_BYTES);
	struct buf text = BUF_INIT(1), signature = BUF_INIT(SIGNATURE_BYTES);

	if (piece.len == 0)
		buf_append(&key, key_text, sizeof(key_text) - 1);
	else
		buf_append(&key, piece.data, piece.len);
	buf_append(&signature, in.data, in.len);
	must(signature_check(&key, &text, &signature) < 0);
	buf_free(&key);
	buf_free(&signature);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct catalog catalog;
	char err[256] = "";

	if (catalog_parse((const char *)data, len, &catalog, err,
	    sizeof(err)) < 0) {
		must(err[0] != '\0' && strlen(err) < sizeof(err));
		check_signature(data, len);
		return 0;
	}
	check_list(catalog.images);
	check_list(catalog.kernels);
	catalog_close(&catalog);
	return 0;
}
