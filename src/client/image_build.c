/*
 * `image build`: a Dockerfile is built by buildah, podman or docker, with the
 * user's rights and the user's own storage of that tool; what comes out goes
 * through a file to `image import`, and is removed there.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "client/child.h"
#include "client/image_source.h"
#include "client/objects.h"
#include "client/store.h"
#include "client/text.h"
#include "privsep/util.h"

enum { WORDS_MAX = 300 };

/*
 * How a tool builds, saves and forgets an image: words before TAG, and for saving
 * those before the file, which may end the last one.
 */
struct builder {
	const char *name;
	const char *save[4];		/* up to the file */
	bool tag_last;			/* TAG comes after the file */
};

static const struct builder builders[] = {
	{ "buildah", { "push", "--quiet", NULL }, false },
	{ "podman", { "save", "--quiet", "--format=oci-archive", NULL }, true },
	{ "docker", { "save", NULL }, true },
};

struct build {
	const struct builder *builder;
	char program[PATH_MAX];
	char tag[64];
	char dir[PATH_MAX], file[PATH_MAX + 16];	/* of what is saved */
	sigset_t signals;		/* that end a tool, or tell of its end */
	int stopped;			/* by which of them, or 0 */
};

/* Words for execve(2). */
struct words {
	char *list[WORDS_MAX + 1];
	size_t count;
};

static void
add(struct words *words, const char *word)
{
	/* execve(2) leaves them alone. */
	union {
		const char *given;
		char *wanted;
	} u = { word };

	if (words->count < WORDS_MAX)
		words->list[words->count++] = u.wanted;
}

/* What the tool says is for the user to see, but no result of ours. */
static _Noreturn void
execute(const struct build *b, struct words *words)
{
	child_signals();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
		execv(b->program, words->list);
	_exit(127);
}

/*
 * Runs the tool with WORDS: its status, or -errno. Who wants to stop us stops the
 * tool, and then us, once everything has been cleared away.
 */
static int
run(struct build *b, struct words *words)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		execute(b, words);
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		int signal = sigwaitinfo(&b->signals, NULL);

		if (signal <= 0 || signal == SIGCHLD)
			continue;
		b->stopped = signal;
		(void)kill(pid, SIGTERM);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
}

/* Likewise; 0, or -1 and it has been complained about. */
static int
run_well(struct build *b, struct words *words, const char *doing)
{
	int status = run(b, words);

	if (status == 0 && b->stopped == 0)
		return 0;
	if (status < 0)
		complain("image build: %s: %s", b->program, strerror(-status));
	else
		complain("image build: %s %s failed with exit code %d",
		    b->builder->name, doing, status);
	return -1;
}

static int
build(struct build *b, const char *dockerfile, const char *dir,
    char **more)
{
	struct words words = { .count = 0 };

	add(&words, b->builder->name);
	add(&words, "build");
	add(&words, "--tag");
	add(&words, b->tag);
	if (dockerfile != NULL) {
		add(&words, "--file");
		add(&words, dockerfile);
	}
	for (; more != NULL && *more != NULL; more++)
		add(&words, *more);
	add(&words, dir);
	/* Without the last of them it would build something else. */
	if (words.count == WORDS_MAX) {
		complain("image build: too many words after --");
		return -1;
	}
	return run_well(b, &words, "build");
}

static int
save(struct build *b)
{
	struct words words = { .count = 0 };
	char target[sizeof(b->file) + 16];
	size_t i;

	add(&words, b->builder->name);
	for (i = 0; b->builder->save[i] != NULL; i++)
		add(&words, b->builder->save[i]);
	if (b->builder->tag_last) {
		add(&words, "--output");
		add(&words, b->file);
		add(&words, b->tag);
	} else {
		(void)format(target, sizeof(target), "oci-archive:%s",
		    b->file);
		add(&words, b->tag);
		add(&words, target);
	}
	return run_well(b, &words, b->builder->save[0]);
}

/* The name is taken away; the tool keeps its layers for the next build. */
static void
forget(struct build *b)
{
	struct words words = { .count = 0 };

	add(&words, b->builder->name);
	add(&words, "rmi");
	add(&words, b->tag);
	(void)run(b, &words);
}

/* 0, or -1 and it has been complained about. */
static int
find_builder(struct build *b, const char *wanted)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(builders); i++) {
		b->builder = &builders[i];
		if ((wanted == NULL || strcmp(wanted, b->builder->name) == 0) &&
		    child_program(b->builder->name, b->program) == 0)
			return 0;
	}
	if (wanted == NULL)
		complain("image build: needs buildah, podman or docker, and "
		    "none of them is installed");
	else
		complain("image build: --with %s: buildah, podman or docker "
		    "can be used, and have to be installed", wanted);
	return -1;
}

static int
make_directory(struct build *b)
{
	const char *base = getenv("TMPDIR");

	if (base == NULL || base[0] != '/')
		base = "/var/tmp";
	if (format(b->dir, sizeof(b->dir), "%s/banger-build.XXXXXX", base) <
	    0 || mkdtemp(b->dir) == NULL) {
		complain("image build: %s: %s", b->dir, strerror(errno));
		return -1;
	}
	(void)format(b->file, sizeof(b->file), "%s/image.tar", b->dir);
	/* The directory's six characters are as good as any. */
	(void)format(b->tag, sizeof(b->tag), "localhost/banger-build:%s",
	    strrchr(b->dir, '.') + 1);
	return 0;
}

/* What is saved, open, and nothing of it left elsewhere. 0 or -1. */
static int
build_source(struct build *b, const struct args *args,
    struct source_fd *source)
{
	char err[API_TEXT_MAX] = "";
	int r = make_directory(b);

	if (r == 0)
		r = build(b, args_value(args, FLAG_FILE), args->words[0],
		    args->command);
	if (r == 0) {
		r = save(b);
		forget(b);
		if (b->stopped != 0)
			r = -1;
	}
	if (r == 0 && image_source_open(source, b->file, err) < 0) {
		complain("image build: %s", err);
		r = -1;
	}
	(void)unlink(b->file);
	(void)rmdir(b->dir);
	return r;
}

int
cmd_image_build(struct client *client, const struct args *args)
{
	struct source_fd source _cleanup_source_ = SOURCE_FD_NONE;
	const char *name = args_value(args, FLAG_NAME);
	struct build b = { .stopped = 0 };
	int r;

	if (name == NULL)
		return usage_error(client, "--name is missing: `banger image "
		    "build --name N %s`", args->words[0]);
	/* Not after minutes of building. */
	if (find_builder(&b, args_value(args, FLAG_WITH)) < 0 ||
	    store_new_image(client, name) < 0)
		return EXIT_FAILED;
	sigemptyset(&b.signals);
	sigaddset(&b.signals, SIGINT);
	sigaddset(&b.signals, SIGTERM);
	sigaddset(&b.signals, SIGHUP);
	sigaddset(&b.signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &b.signals, NULL);
	r = build_source(&b, args, &source);
	sigprocmask(SIG_UNBLOCK, &b.signals, NULL);
	return r < 0 ? EXIT_FAILED : store_import(client, &image_kind, name,
	    NULL, source.fd, "built");
}
