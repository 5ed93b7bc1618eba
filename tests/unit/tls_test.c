/*
 * mbedTLS and libcurl as configured in subprojects/packagefiles: digests and
 * signatures against published vectors, and what an HTTPS client must refuse.
 * The servers are tls_server.py's, on loopback.
 */
#include "unit.h"

#include <curl/curl.h>
#include <mbedtls/pk.h>
#include <mbedtls/sha256.h>

enum { SHA256_BYTES = 32, MILLION = 1000000 };

/* FIPS 180-4: "abc", and one million times 'a', which the servers send too. */
static const uint8_t sha256_abc[SHA256_BYTES] = {
	0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde,
	0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
	0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad
};
static const uint8_t sha256_million[SHA256_BYTES] = {
	0xcd, 0xc7, 0x6e, 0x5c, 0x99, 0x14, 0xfb, 0x92, 0x81, 0xa1, 0xc7, 0xe2,
	0x84, 0xd7, 0x3e, 0x67, 0xf1, 0x80, 0x9a, 0x48, 0xa4, 0x97, 0x20, 0x0e,
	0x04, 0x6d, 0x39, 0xcc, 0xc7, 0x11, 0x2c, 0xd0
};

static void
test_sha256(void **state)
{
	uint8_t digest[SHA256_BYTES], chunk[1000];
	mbedtls_sha256_context ctx;

	(void)state;
	assert_int_equal(mbedtls_sha256((const uint8_t *)"abc", 3, digest, 0),
	    0);
	assert_memory_equal(digest, sha256_abc, SHA256_BYTES);

	memset(chunk, 'a', sizeof(chunk));
	mbedtls_sha256_init(&ctx);
	assert_int_equal(mbedtls_sha256_starts(&ctx, 0), 0);
	for (size_t done = 0; done < MILLION; done += sizeof(chunk))
		assert_int_equal(
		    mbedtls_sha256_update(&ctx, chunk, sizeof(chunk)), 0);
	assert_int_equal(mbedtls_sha256_finish(&ctx, digest), 0);
	assert_memory_equal(digest, sha256_million, SHA256_BYTES);
	mbedtls_sha256_free(&ctx);
}

/* RFC 6979 A.2.5, P-256 with SHA-256 of "sample": the key and (r, s), in DER. */
static const uint8_t p256_key[] = {
	0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
	0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03,
	0x42, 0x00, 0x04,
	0x60, 0xfe, 0xd4, 0xba, 0x25, 0x5a, 0x9d, 0x31, 0xc9, 0x61, 0xeb, 0x74,
	0xc6, 0x35, 0x6d, 0x68, 0xc0, 0x49, 0xb8, 0x92, 0x3b, 0x61, 0xfa, 0x6c,
	0xe6, 0x69, 0x62, 0x2e, 0x60, 0xf2, 0x9f, 0xb6,
	0x79, 0x03, 0xfe, 0x10, 0x08, 0xb8, 0xbc, 0x99, 0xa4, 0x1a, 0xe9, 0xe9,
	0x56, 0x28, 0xbc, 0x64, 0xf2, 0xf1, 0xb2, 0x0c, 0x2d, 0x7e, 0x9f, 0x51,
	0x77, 0xa3, 0xc2, 0x94, 0xd4, 0x46, 0x22, 0x99
};
static const uint8_t p256_signature[] = {
	0x30, 0x46, 0x02, 0x21, 0x00,
	0xef, 0xd4, 0x8b, 0x2a, 0xac, 0xb6, 0xa8, 0xfd, 0x11, 0x40, 0xdd, 0x9c,
	0xd4, 0x5e, 0x81, 0xd6, 0x9d, 0x2c, 0x87, 0x7b, 0x56, 0xaa, 0xf9, 0x91,
	0xc3, 0x4d, 0x0e, 0xa8, 0x4e, 0xaf, 0x37, 0x16,
	0x02, 0x21, 0x00,
	0xf7, 0xcb, 0x1c, 0x94, 0x2d, 0x65, 0x7c, 0x41, 0xd4, 0x36, 0xc7, 0xa1,
	0xb6, 0xe2, 0x9f, 0x65, 0xf3, 0xe9, 0x00, 0xdb, 0xb9, 0xaf, 0xf4, 0x06,
	0x4d, 0xc4, 0xab, 0x2f, 0x84, 0x3a, 0xcd, 0xa8
};

static int
verify(const uint8_t *digest, const uint8_t *signature)
{
	mbedtls_pk_context key;
	int r;

	mbedtls_pk_init(&key);
	assert_int_equal(
	    mbedtls_pk_parse_public_key(&key, p256_key, sizeof(p256_key)), 0);
	r = mbedtls_pk_verify(&key, MBEDTLS_MD_SHA256, digest, SHA256_BYTES,
	    signature, sizeof(p256_signature));
	mbedtls_pk_free(&key);
	return r;
}

static void
test_ecdsa(void **state)
{
	uint8_t digest[SHA256_BYTES], signature[sizeof(p256_signature)];

	(void)state;
	assert_int_equal(
	    mbedtls_sha256((const uint8_t *)"sample", 6, digest, 0), 0);
	assert_int_equal(verify(digest, p256_signature), 0);

	for (size_t i = 0; i < sizeof(signature); i++) {
		memcpy(signature, p256_signature, sizeof(signature));
		signature[i] ^= 1;
		assert_case(verify(digest, signature) != 0, i, "signature");
	}
	digest[0] ^= 1;
	assert_int_not_equal(verify(digest, p256_signature), 0);
}

/* tls_server.py, and where its servers listen. */
static struct {
	struct temp temp;
	pid_t pid;
	int stdin_fd;
	size_t count;
	struct {
		char name[16];
		int port;
	} servers[8];
} far;

static int
start_servers(void **state)
{
	int to[2], from[2];
	char line[64];
	FILE *out;

	(void)state;
	begin_temp(&far.temp);
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	far.pid = fork();
	assert_true(far.pid >= 0);
	if (far.pid == 0) {
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		execlp("python3", "python3", TLS_SERVER, far.temp.path,
		    (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	far.stdin_fd = to[1];
	out = fdopen(from[0], "re");
	assert_non_null(out);
	while (fgets(line, sizeof(line), out) != NULL && far.count < 8 &&
	    sscanf(line, "%15s %d", far.servers[far.count].name,
	        &far.servers[far.count].port) == 2)
		far.count++;
	assert_string_equal(line, "ready\n");
	fclose(out);
	return 0;
}

static int
stop_servers(void **state)
{
	(void)state;
	close(far.stdin_fd);
	assert_int_equal(waitpid(far.pid, NULL, 0), far.pid);
	end_temp(&far.temp);
	return 0;
}

static int
port_of(const char *name)
{
	for (size_t i = 0; i < far.count; i++)
		if (strcmp(far.servers[i].name, name) == 0)
			return far.servers[i].port;
	fail_msg("no server %s", name);
	return -1;
}

/* One GET: what it asks for, and how it ends. */
struct get {
	const char *name;
	const char *url; /* scheme and host */
	const char *server;
	const char *path;
	const char *ca; /* the file, or NULL for none */
	const char *login; /* through the proxy, as this user */
	CURLcode result;
};

/* The CA of that name, as a blob of its own. */
static struct curl_blob
read_ca(const char *name)
{
	static char text[8192];
	char file[32];
	ssize_t n;
	int fd;

	snprintf(file, sizeof(file), "%s.pem", name);
	fd = openat(far.temp.fd, file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text));
	assert_in_range(n, 1, sizeof(text) - 1);
	close(fd);
	return (struct curl_blob){ text, (size_t)n, CURL_BLOB_COPY };
}

static size_t
digest_body(char *data, size_t one, size_t n, void *ctx)
{
	(void)one;
	assert_int_equal(
	    mbedtls_sha256_update(ctx, (const uint8_t *)data, n), 0);
	return n;
}

/* Sets all but the body's destination; any name is 127.0.0.1. */
static void
prepare(CURL *curl, const struct get *get, struct curl_slist *here, char *error)
{
	char url[128], proxy[64] = "";

	snprintf(url, sizeof(url), "%s:%d%s", get->url, port_of(get->server),
	    get->path);
	if (get->login != NULL)
		snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d",
		    port_of("proxy"));
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CONNECT_TO, here);
	curl_easy_setopt(curl, CURLOPT_PROXY, proxy);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROXYUSERPWD, get->login);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	assert_int_equal(
	    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https"), CURLE_OK);
	assert_int_equal(
	    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https"),
	    CURLE_OK);
	if (get->ca != NULL) {
		struct curl_blob ca = read_ca(get->ca);

		assert_int_equal(
		    curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca), CURLE_OK);
	}
}

static CURLcode
perform(CURL *curl)
{
	CURLM *multi = curl_multi_init();
	CURLcode result = CURLE_OK;
	int running = 1, left;
	CURLMsg *msg;

	assert_non_null(multi);
	assert_int_equal(curl_multi_add_handle(multi, curl), CURLM_OK);
	while (running > 0) {
		assert_int_equal(curl_multi_perform(multi, &running), CURLM_OK);
		if (running > 0)
			assert_int_equal(
			    curl_multi_poll(multi, NULL, 0, 10000, NULL),
			    CURLM_OK);
	}
	msg = curl_multi_info_read(multi, &left);
	assert_non_null(msg);
	result = msg->data.result;
	curl_multi_remove_handle(multi, curl);
	curl_multi_cleanup(multi);
	return result;
}

static void
run_get(size_t index, const struct get *get)
{
	struct curl_slist *here = curl_slist_append(NULL, "::127.0.0.1:");
	char error[CURL_ERROR_SIZE] = "";
	uint8_t digest[SHA256_BYTES];
	mbedtls_sha256_context ctx;
	CURL *curl = curl_easy_init();
	CURLcode result;

	assert_non_null(curl);
	mbedtls_sha256_init(&ctx);
	mbedtls_sha256_starts(&ctx, 0);
	prepare(curl, get, here, error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, digest_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &ctx);
	result = perform(curl);
	mbedtls_sha256_finish(&ctx, digest);
	mbedtls_sha256_free(&ctx);
	curl_easy_cleanup(curl);
	curl_slist_free_all(here);

	if (result != get->result)
		fail_msg("case %zu (%s): %d: %s: %s", index, get->name,
		    (int)result, curl_easy_strerror(result), error);
	if (result == CURLE_OK)
		assert_memory_equal(digest, sha256_million, SHA256_BYTES);
	else
		assert_case(error[0] != '\0', index, get->name);
}

static void
test_https(void **state)
{
	static const char name[] = "https://server.test";
	static const CURLcode refused = CURLE_PEER_FAILED_VERIFICATION;
	const struct get gets[] = {
		{ "TLS 1.3 and a chain", name, "tls13", "/", "root", NULL,
		    CURLE_OK },
		{ "TLS 1.2 and RSA", name, "tls12", "/", "root", NULL,
		    CURLE_OK },
		{ "an address", "https://127.0.0.1", "tls13", "/", "root", NULL,
		    CURLE_OK },
		{ "through a proxy", name, "tls13", "/", "root", "user:word",
		    CURLE_OK },
		{ "proxy, wrong password", name, "tls13", "/", "root",
		    "user:guess", CURLE_HTTP_RETURNED_ERROR },
		{ "another CA", name, "tls13", "/", "other", NULL, refused },
		{ "another CA, TLS 1.2", name, "tls12", "/", "other", NULL,
		    refused },
		{ "another CA behind a proxy", name, "tls13", "/", "other",
		    "user:word", refused },
		{ "no CA", name, "tls13", "/", NULL, NULL, refused },
		{ "wrong name", "https://wrong.test", "tls13", "/", "root",
		    NULL, refused },
		{ "wrong name, TLS 1.2", "https://wrong.test", "tls12", "/",
		    "root", NULL, refused },
		{ "wrong address", "https://127.0.0.2", "tls13", "/", "root",
		    NULL, refused },
		{ "expired", name, "expired", "/", "root", NULL, refused },
		{ "signed with SHA-1", name, "sha1", "/", "root", NULL,
		    refused },
		{ "plain HTTP", "http://server.test", "plain", "/", "root",
		    NULL, CURLE_UNSUPPORTED_PROTOCOL },
		{ "redirect to plain HTTP", name, "tls13", "/to-plain", "root",
		    NULL, CURLE_UNSUPPORTED_PROTOCOL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(gets) / sizeof(gets[0]); i++)
		run_get(i, &gets[i]);
}

/* What is compiled in; and errors have texts, although nothing else does. */
static void
test_curl(void **state)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
	const char *const *protocols = info->protocols;

	(void)state;
	assert_string_equal(protocols[0], "http");
	assert_string_equal(protocols[1], "https");
	assert_null(protocols[2]);
	assert_non_null(strstr(info->ssl_version, "mbedTLS/3.6.6"));
	assert_true(info->features & CURL_VERSION_IPV6);
	assert_string_equal(curl_easy_strerror(CURLE_COULDNT_CONNECT),
	    "Could not connect to server");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_ecdsa),
		cmocka_unit_test(test_curl),
		cmocka_unit_test_setup_teardown(test_https, start_servers,
		    stop_servers),
	};
	int failed;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	curl_global_cleanup();
	return failed;
}
