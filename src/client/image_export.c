/*
 * `image export`: the daemon gives the image's file to read, and all the rest is
 * done here, with the user's rights. A child reads the file system, for which it
 * gives up everything but its open files; what it has written is named and put
 * together by the parent.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/hex.h"
#include "base/sparse.h"
#include "client/child.h"
#include "client/confine.h"
#include "client/objects.h"
#include "client/tar_out.h"
#include "client/text.h"
#include "image/errmsg.h"
#include "image/oci_write.h"

#define BLOBS "blobs/sha256"

enum { STEP_BYTES = 1 << 20, DOCUMENT_MAX = 256 << 10 };

/* What the child tells: how far it is, and how it ended. */
struct report {
	bool ended;
	int32_t error;
	uint64_t bytes;
	struct oci_layer layer;
	char text[API_TEXT_MAX];
};

_Static_assert(sizeof(struct report) <= PIPE_BUF, "reports are atomic");

struct export {
	struct client *client;
	const char *path;		/* "-": standard output */
	bool raw;
	int image;			/* what is exported */
	int out;			/* where the child writes */
	int pipe;			/* in the child: for reports */
	uint64_t told;
	struct report report;		/* the last one */
};

/* A document of the image, with its digest. */
struct document {
	struct buf text;
	struct oci_blob blob;
};

static int
fail(const struct export *e, const char *what, int r)
{
	complain("image export: %s%s%s: %s", e->path,
	    what[0] != '\0' ? "/" : "", what, strerror(-r));
	return r;
}

/* ---- the child ---- */

static void
on_progress(void *arg, uint64_t bytes)
{
	struct export *e = arg;
	struct report report = { .bytes = bytes };

	if (bytes < e->told + STEP_BYTES)
		return;
	e->told = bytes;
	(void)write_full(e->pipe, &report, sizeof(report));
}

/*
 * A file of ours becomes as sparse as the image; standard output, which may be in
 * the middle of another's, gets all of it.
 */
static int
copy_image(struct export *e)
{
	struct stat image;
	int r;

	if (fstat(e->image, &image) < 0)
		return -errno;
	if (strcmp(e->path, "-") != 0) {
		r = sparse_copy(e->image, e->out, (uint64_t)image.st_size,
		    on_progress, e);
		return r == 0 && ftruncate(e->out, image.st_size) < 0 ?
		    -errno : r;
	}
	return plain_copy(e->image, e->out, (uint64_t)image.st_size,
	    on_progress, e);
}

static _Noreturn void
child_main(struct export *e)
{
	struct report *report = &e->report;
	int r;

	child_signals();
	(void)signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = client_confine_reader();
	if (r == 0 && e->raw)
		r = copy_image(e);
	else if (r == 0)
		r = oci_layer_write(e->image, e->out, on_progress, e,
		    &report->layer, report->text, sizeof(report->text));
	report->ended = true;
	report->error = r;
	if (r < 0 && report->text[0] == '\0')
		(void)format(report->text, sizeof(report->text), "%s",
		    strerror(-r));
	_exit(write_full(e->pipe, report, sizeof(*report)) < 0);
}

/* ---- the parent ---- */

/* Whoever wants to stop us has to wait until nothing is left half-made. */
static volatile sig_atomic_t stopped;

static void
on_signal(int signal UNUSED)
{
	stopped = 1;
}

static void
catch_signals(void (*handler)(int))
{
	const struct sigaction action = { .sa_handler = handler };

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
	/* That of a complaint nobody reads. */
	(void)sigaction(SIGPIPE, &action, NULL);
}

static void
show_progress(const struct export *e)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, e->report.ended ? "\r\033[K" :
		    "\r\033[Kbanger: %llu MiB read",
		    (unsigned long long)(e->report.bytes >> 20));
}

/* Takes reports until the last one. 0 or -errno. */
static int
follow(struct export *e, int reports)
{
	while (!e->report.ended) {
		ssize_t n = read(reports, &e->report, sizeof(e->report));

		if (stopped || (n < 0 && errno == EINTR))
			return -EINTR;
		if (n != (ssize_t)sizeof(e->report))
			return n < 0 ? -errno : -EIO;
		show_progress(e);
	}
	return 0;
}

/* Has the child do its part. 0, or -errno after a complaint. */
static int
run_child(struct export *e)
{
	int fds[2], r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail(e, "", -errno);
	e->pipe = fds[1];
	pid = fork();
	if (pid == 0)
		child_main(e);
	close(fds[1]);
	r = pid < 0 ? -errno : follow(e, fds[0]);
	close(fds[0]);
	if (pid > 0) {
		/* Our own child, not yet waited for: the pid is still its. */
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	if (r < 0)
		return r == -EINTR ? r : fail(e, "", r);
	if (e->report.error == 0)
		return 0;
	e->report.text[sizeof(e->report.text) - 1] = '\0';
	complain("image export: %s: %s", e->path, e->report.text);
	/* Who took over the child has no say in what is success. */
	return e->report.error < 0 ? e->report.error : -EIO;
}

/* ---- a raw file ---- */

static int
export_raw(struct export *e)
{
	bool file = strcmp(e->path, "-") != 0;
	int r;

	e->out = file ? open(e->path,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) :
	    fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	if (e->out < 0)
		return fail(e, "", -errno);
	r = run_child(e);
	if (r == 0 && file && fsync(e->out) < 0)
		r = fail(e, "", -errno);
	if (r < 0 && file)
		(void)unlink(e->path);
	close_fdp(&e->out);
	return r;
}

/* ---- an OCI layout ---- */

/* Digest and size of a document that is complete. 0 or -ENOMEM. */
static int
finish_document(struct document *document)
{
	if (document->text.failed)
		return -ENOMEM;
	digest_of(document->text.data, document->text.len,
	    document->blob.sha256);
	document->blob.size = document->text.len;
	return 0;
}

/* All that describes the layer. 0 or -errno. */
struct documents {
	struct document config, manifest, index;
};

static void
documents_free(struct documents *d)
{
	buf_free(&d->config.text);
	buf_free(&d->manifest.text);
	buf_free(&d->index.text);
}

static int
write_documents(struct documents *d, const struct oci_layer *layer,
    const cJSON *image)
{
	const char *name = field_text(image, "name");
	int r;

	d->config.text = (struct buf)BUF_INIT(DOCUMENT_MAX);
	d->manifest.text = (struct buf)BUF_INIT(DOCUMENT_MAX);
	d->index.text = (struct buf)BUF_INIT(DOCUMENT_MAX);
	oci_write_config(&d->config.text, layer,
	    cJSON_GetObjectItemCaseSensitive(image, "config"));
	r = finish_document(&d->config);
	if (r == 0) {
		oci_write_manifest(&d->manifest.text, &d->config.blob, layer);
		r = finish_document(&d->manifest);
	}
	if (r == 0) {
		oci_write_index(&d->index.text, &d->manifest.blob,
		    name != NULL ? name : "image");
		r = finish_document(&d->index);
	}
	return r;
}

static int
write_file(int dir, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = openat(dir, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	return fd < 0 ? -errno : write_full(fd, data, len);
}

static void
blob_name(const struct oci_blob *blob, char name[DIGEST_HEX + 1])
{
	hex_write(blob->sha256, DIGEST_BYTES, name);
}

/* The layer, which is in blobs/sha256/layer, gets its name; the rest its files. */
static int
fill_directory(int dir, const struct documents *d,
    const struct oci_layer *layer)
{
	_cleanup_close_ int blobs = openat(dir, BLOBS,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[DIGEST_HEX + 1];
	int r;

	if (blobs < 0)
		return -errno;
	blob_name(&layer->blob, name);
	if (renameat(blobs, "layer", blobs, name) < 0)
		return -errno;
	blob_name(&d->config.blob, name);
	r = write_file(blobs, name, d->config.text.data, d->config.text.len);
	blob_name(&d->manifest.blob, name);
	if (r == 0)
		r = write_file(blobs, name, d->manifest.text.data,
		    d->manifest.text.len);
	if (r == 0)
		r = write_file(dir, "index.json", d->index.text.data,
		    d->index.text.len);
	if (r == 0)
		r = write_file(dir, "oci-layout", oci_layout_file,
		    strlen(oci_layout_file));
	return r;
}

static int
fill_tar(const struct export *e, int out, const struct documents *d)
{
	char err[API_TEXT_MAX] = "", name[DIGEST_HEX + 1];
	const struct tar_out tar = { out, err, sizeof(err) };
	int r = tar_out_data(&tar, ".", "oci-layout", oci_layout_file,
	    strlen(oci_layout_file));

	if (r == 0)
		r = tar_out_data(&tar, ".", "index.json", d->index.text.data,
		    d->index.text.len);
	blob_name(&d->manifest.blob, name);
	if (r == 0)
		r = tar_out_data(&tar, BLOBS, name, d->manifest.text.data,
		    d->manifest.text.len);
	blob_name(&d->config.blob, name);
	if (r == 0)
		r = tar_out_data(&tar, BLOBS, name, d->config.text.data,
		    d->config.text.len);
	blob_name(&e->report.layer.blob, name);
	if (r == 0)
		r = tar_out_file(&tar, BLOBS, name, e->out);
	return r < 0 ? r : tar_out_end(&tar);
}

static int
describe(const struct export *e, struct documents *d, const cJSON *image)
{
	int r = write_documents(d, &e->report.layer, image);

	return r < 0 ? fail(e, "", r) : 0;
}

/* The layer goes to a file without a name first: its digest comes before it. */
static int
export_tar(struct export *e, const cJSON *image)
{
	bool file = strcmp(e->path, "-") != 0;
	const char *tmp = getenv("TMPDIR");
	struct documents d = { 0 };
	_cleanup_close_ int out = file ? open(e->path,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) :
	    fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	int r;

	if (out < 0)
		return fail(e, "", -errno);
	if (tmp == NULL || tmp[0] != '/')
		tmp = "/var/tmp";
	e->out = open(tmp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (e->out < 0) {
		r = -errno;
		complain("image export: %s: %s", tmp, strerror(-r));
	} else {
		r = run_child(e);
	}
	if (r == 0)
		r = describe(e, &d, image);
	/* A reader that does not read is no reason to stay. */
	if (!file)
		catch_signals(SIG_DFL);
	if (r == 0 && (r = fill_tar(e, out, &d)) < 0)
		(void)fail(e, "", r);
	if (r < 0 && file)
		(void)unlink(e->path);
	documents_free(&d);
	close_fdp(&e->out);
	return r;
}

/* The directories of a layout, and the file that gets the layer. */
static int
make_directory(struct export *e, int *dir)
{
	int r = 0;

	*dir = -1;
	if (mkdir(e->path, 0777) < 0)
		return fail(e, "", -errno);
	*dir = open(e->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0 || mkdirat(*dir, "blobs", 0777) < 0 ||
	    mkdirat(*dir, BLOBS, 0777) < 0)
		r = fail(e, "", -errno);
	if (r == 0) {
		e->out = openat(*dir, BLOBS "/layer",
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (e->out < 0)
			r = fail(e, BLOBS, -errno);
	}
	return r;
}

/* What export_directory can have made, and nothing else. */
static void
remove_directory(const struct export *e, int dir, const struct documents *d)
{
	const struct oci_blob *blobs[] = { &e->report.layer.blob,
		&d->config.blob, &d->manifest.blob };
	size_t i;

	if (dir >= 0) {
		for (i = 0; i < ARRAY_SIZE(blobs); i++) {
			char name[sizeof(BLOBS) + DIGEST_HEX + 1] = BLOBS "/";

			blob_name(blobs[i], name + sizeof(BLOBS));
			(void)unlinkat(dir, name, 0);
		}
		(void)unlinkat(dir, BLOBS "/layer", 0);
		(void)unlinkat(dir, "index.json", 0);
		(void)unlinkat(dir, "oci-layout", 0);
		(void)unlinkat(dir, BLOBS, AT_REMOVEDIR);
		(void)unlinkat(dir, "blobs", AT_REMOVEDIR);
	}
	(void)rmdir(e->path);
}

static int
export_directory(struct export *e, const cJSON *image)
{
	struct documents d = { 0 };
	int dir, r = make_directory(e, &dir);

	if (r < 0 && dir < 0)
		return r;
	if (r == 0)
		r = run_child(e);
	if (r == 0)
		r = describe(e, &d, image);
	if (r == 0 && (r = fill_directory(dir, &d, &e->report.layer)) < 0)
		(void)fail(e, "", r);
	if (r < 0)
		remove_directory(e, dir, &d);
	documents_free(&d);
	close_fdp(&e->out);
	close(dir);
	return r;
}

/* ---- the command ---- */

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && strcmp(text + len - end_len, end) == 0;
}

int
cmd_image_export(struct client *client, const struct args *args)
{
	const char *as = args_value(args, FLAG_FORMAT);
	struct export e = { .client = client, .path = args->words[1],
		.out = -1 };
	struct api_reply reply _cleanup_reply_ = { 0 };
	struct buf request _cleanup_buf_ = API_REQUEST;
	const cJSON *image;
	int r;

	if (as != NULL && strcmp(as, "raw") != 0 && strcmp(as, "oci") != 0)
		return usage_error(client, "--format %s: is neither \"oci\" nor "
		    "\"raw\"", as);
	e.raw = as != NULL && strcmp(as, "raw") == 0;
	if (strcmp(e.path, "-") == 0 && isatty(STDOUT_FILENO)) {
		complain("image export: standard output is a terminal");
		return EXIT_FAILED;
	}
	if (client_connect(client) < 0)
		return EXIT_FAILED;
	api_request(&request, "image.open", "image", args->words[0]);
	if (client_call(client, &request, -1, 1, &reply) < 0)
		return EXIT_FAILED;
	e.image = reply.fds[0];
	image = cJSON_GetObjectItemCaseSensitive(reply.result, "image");
	catch_signals(on_signal);
	if (e.raw)
		r = export_raw(&e);
	else if (strcmp(e.path, "-") == 0 || ends_with(e.path, ".tar"))
		r = export_tar(&e, image);
	else
		r = export_directory(&e, image);
	if (r == -EINTR)
		complain("image export: interrupted");
	if (r < 0)
		return EXIT_FAILED;
	return strcmp(e.path, "-") == 0 ? EXIT_OK :
	    objects_done(client, reply.result, &image_kind, "exported");
}
