/*
 * The same checks as the worker's, earlier and in the flag's words. The
 * worker's are the ones that count.
 */
#include "client/spec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/reference.h"
#include "base/stream.h"
#include "client/size.h"
#include "privsep/check.h"
#include "privsep/proto.h"

static int PRINTF_LIKE(2, 3)
wrong(char err[ARGS_ERROR], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, ARGS_ERROR, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int
read_name(const struct args *args, const char **name, char err[ARGS_ERROR])
{
	*name = args_value(args, FLAG_NAME);
	if (*name == NULL || check_host_label(*name) == 0)
		return 0;
	return wrong(err, "--name %s: not a host name (1 to 63 of a-z, 0-9 and "
	    "-, no - at either end)", *name);
}

static int
read_object(const struct args *args, enum flag_id id, const char *flag,
    const char **name, char err[ARGS_ERROR])
{
	*name = args_value(args, id);
	if (*name == NULL || check_object_name(*name) == 0)
		return 0;
	return wrong(err, "--%s %s: not a name (1 to 63 of a-z, 0-9, '.', '_' "
	    "and '-', beginning with a letter or digit)", flag, *name);
}

static int
read_image(const struct args *args, struct vm_spec *spec, char err[ARGS_ERROR])
{
	const char *word = args->words[0];
	struct reference ref;

	spec->image = args_value(args, FLAG_IMAGE);
	if (spec->image != NULL && reference_parse(spec->image, &ref) < 0 &&
	    read_object(args, FLAG_IMAGE, "image", &spec->image, err) < 0)
		return -EINVAL;
	if (args->word_count == 0)
		return 0;
	if (spec->image != NULL)
		return wrong(err, "--image %s and %s: there can be only one "
		    "image; a command goes after --", spec->image, word);
	spec->image = word;
	spec->image_is_word = true;
	return check_object_name(word) == 0 ||
	    reference_parse(word, &ref) == 0 ? 0 :
	    wrong(err, "%s: not an image's name; a command goes after --",
	    word);
}

static int
read_cpus(const struct args *args, uint64_t *vcpu, char err[ARGS_ERROR])
{
	const char *value = args_value(args, FLAG_CPUS);

	if (value == NULL)
		return 0;
	if (parse_u64(value, VCPU_MAX, vcpu) < 0 ||
	    check_vm_size((uint32_t)*vcpu, MEM_MIB_MIN) < 0)
		return wrong(err, "--vcpu %s: not 1 or an even number up to %d",
		    value, VCPU_MAX);
	return 0;
}

static int
read_memory(const struct args *args, uint64_t *memory_mib, char err[ARGS_ERROR])
{
	const char *value = args_value(args, FLAG_MEMORY);
	uint64_t bytes;
	int r;

	if (value == NULL)
		return 0;
	r = size_parse(value, MIB, &bytes);
	if (r == -EINVAL)
		return wrong(err, "--memory %s: not a size (512M, 2G; a bare "
		    "number is MiB)", value);
	if (r < 0 || bytes % MIB != 0 || bytes / MIB < MEM_MIB_MIN ||
	    bytes / MIB > MEM_MIB_MAX)
		return wrong(err, "--memory %s: not between %dM and %dG in whole "
		    "MiB", value, MEM_MIB_MIN, MEM_MIB_MAX / 1024);
	*memory_mib = bytes / MIB;
	return 0;
}

static int
read_disk(const struct args *args, uint64_t *size_bytes, char err[ARGS_ERROR])
{
	const char *value = args_value(args, FLAG_DISK_SIZE);
	int r;

	if (value == NULL)
		return 0;
	r = size_parse(value, 0, size_bytes);
	if (r == -EINVAL)
		return wrong(err, "--disk-size %s: not a size with its unit "
		    "(800M, 20G, 1T)", value);
	if (r < 0)
		return wrong(err, "--disk-size %s: out of range", value);
	return 0;
}

static int
read_init(const struct args *args, const char **init, char err[ARGS_ERROR])
{
	*init = args_value(args, FLAG_INIT);
	if (*init == NULL || strcmp(*init, "image") == 0 ||
	    strcmp(*init, "none") == 0)
		return 0;
	return wrong(err, "--init %s: not image or none", *init);
}

/* Flags that cannot go together. */
static int
check_detach(const struct args *args, const struct vm_spec *spec,
    char err[ARGS_ERROR])
{
	static const struct { enum flag_id id; const char *name; } of_command[] = {
		{ FLAG_ENV, "env" }, { FLAG_WORKDIR, "workdir" },
		{ FLAG_USER, "user" }, { FLAG_TTY, "tty" },
	};
	size_t i;

	if (!spec->detach)
		return 0;
	if (args_has(args, FLAG_RM))
		return wrong(err, "-d and --rm exclude each other: a detached VM "
		    "stays; remove one of them");
	if (args->command != NULL)
		return wrong(err, "-d takes no command: start the VM with -d, "
		    "then `banger vm exec NAME -- %s ...`", args->command[0]);
	for (i = 0; i < ARRAY_SIZE(of_command); i++)
		if (args_has(args, of_command[i].id))
			return wrong(err, "-d runs no command: --%s belongs to "
			    "`banger vm exec`", of_command[i].name);
	return 0;
}

int
spec_read(const struct args *args, struct vm_spec *spec, char err[ARGS_ERROR])
{
	*spec = (struct vm_spec){
		.nat = args_has(args, FLAG_NAT),
		.detach = args_has(args, FLAG_DETACH),
	};
	if (read_name(args, &spec->name, err) < 0 ||
	    read_image(args, spec, err) < 0 ||
	    read_object(args, FLAG_KERNEL, "kernel", &spec->kernel, err) < 0 ||
	    read_cpus(args, &spec->vcpu, err) < 0 ||
	    read_memory(args, &spec->memory_mib, err) < 0 ||
	    read_disk(args, &spec->disk_size_bytes, err) < 0 ||
	    read_init(args, &spec->init, err) < 0 ||
	    check_detach(args, spec, err) < 0)
		return -EINVAL;
	spec->rm = !spec->detach &&
	    (args_has(args, FLAG_RM) || spec->name == NULL);
	return 0;
}

int
change_read(const struct args *args, struct vm_change *change,
    char err[ARGS_ERROR])
{
	*change = (struct vm_change){
		.has_nat = args_has(args, FLAG_NAT) ||
		    args_has(args, FLAG_NO_NAT),
		.nat = args_has(args, FLAG_NAT),
	};
	if (read_cpus(args, &change->vcpu, err) < 0 ||
	    read_memory(args, &change->memory_mib, err) < 0 ||
	    read_disk(args, &change->disk_size_bytes, err) < 0)
		return -EINVAL;
	if (change->nat && args_has(args, FLAG_NO_NAT))
		return wrong(err, "--nat and --no-nat exclude each other; keep "
		    "one");
	if (!change->has_nat && change->vcpu == 0 && change->memory_mib == 0 &&
	    change->disk_size_bytes == 0)
		return wrong(err, "nothing to set; give --vcpu, --memory, "
		    "--disk-size, --nat or --no-nat");
	return 0;
}

/* What can be set, by its names in the API. */
static void
write_sizes(uint64_t vcpu, uint64_t memory_mib, uint64_t disk_size_bytes,
    struct buf *request)
{
	if (vcpu != 0)
		json_number(request, "vcpu", vcpu);
	if (memory_mib != 0)
		json_number(request, "memory_mib", memory_mib);
	if (disk_size_bytes != 0)
		json_number(request, "disk_size_bytes", disk_size_bytes);
}

void
change_write(const struct vm_change *change, struct buf *request)
{
	write_sizes(change->vcpu, change->memory_mib, change->disk_size_bytes,
	    request);
	if (change->has_nat)
		json_bool(request, "nat", change->nat);
}

void
spec_write(const struct vm_spec *spec, struct buf *request)
{
	json_open(request, "spec", '{');
	if (spec->name != NULL)
		json_text(request, "name", spec->name);
	if (spec->image != NULL)
		json_text(request, "image", spec->image);
	if (spec->kernel != NULL)
		json_text(request, "kernel", spec->kernel);
	if (spec->init != NULL)
		json_text(request, "init", spec->init);
	write_sizes(spec->vcpu, spec->memory_mib, spec->disk_size_bytes,
	    request);
	if (spec->nat)
		json_bool(request, "nat", true);
	json_close(request, '}');
	json_bool(request, "rm", spec->rm);
}

/*
 * Checks one -e: NAME=VALUE, or NAME whose value is taken from here. *OUT is
 * a new string.
 */
static int
read_env(const char *given, char **out, char err[ARGS_ERROR])
{
	size_t name_len = strcspn(given, "=");
	const char *value;

	if (name_len == 0)
		return wrong(err, "--env %s: no name before the =", given);
	if (given[name_len] == '=') {
		*out = strdup(given);
		return *out != NULL ? 0 : -ENOMEM;
	}
	value = getenv(given);
	if (value == NULL)
		return wrong(err, "--env %s: not set here; give it a value: "
		    "--env %s=VALUE", given, given);
	return asprintf(out, "%s=%s", given, value) < 0 ? -ENOMEM : 0;
}

static int
read_envs(const struct args *args, struct exec_spec *exec, char err[ARGS_ERROR])
{
	size_t i;

	exec->env = calloc(args->given_count + 1, sizeof(*exec->env));
	if (exec->env == NULL)
		return -ENOMEM;
	for (i = 0; i < args->given_count; i++) {
		char *entry = NULL;
		int r;

		if (args->given[i].id != FLAG_ENV)
			continue;
		r = read_env(args->given[i].value, &entry, err);
		if (r < 0)
			return r;
		exec->env[exec->env_count++] = entry;
	}
	return 0;
}

int
exec_spec_read(const struct args *args, struct exec_spec *exec,
    char err[ARGS_ERROR])
{
	const char *user = args_value(args, FLAG_USER);
	const char *workdir = args_value(args, FLAG_WORKDIR);

	*exec = (struct exec_spec){
		.user = user != NULL ? user : "",
		.workdir = workdir != NULL ? workdir : "",
		.command = args->command,
		.tty = args_has(args, FLAG_TTY),
	};
	if (user != NULL && (*user == '\0' || strlen(user) > EXEC_USER_MAX))
		return wrong(err, "--user %.64s: not a user of the guest", user);
	if (workdir != NULL &&
	    (*workdir != '/' || strlen(workdir) > EXEC_CWD_MAX))
		return wrong(err, "--workdir %.64s: not an absolute path in the "
		    "guest", workdir);
	while (exec->command != NULL &&
	    exec->command[exec->command_count] != NULL)
		exec->command_count++;
	if (exec->command_count > EXEC_ARGC_MAX)
		return wrong(err, "more than %u arguments", EXEC_ARGC_MAX);
	return read_envs(args, exec, err);
}

void
exec_spec_free(struct exec_spec *exec)
{
	uint32_t i;

	for (i = exec->image_env_count; i < exec->env_count; i++)
		free(exec->env[i]);
	free(exec->env);
	free(exec->image_command);
	*exec = (struct exec_spec){ 0 };
}

/* The image's environment before what was given: of two the later one counts. */
static int
default_env(struct exec_spec *exec, const cJSON *env)
{
	size_t count = (size_t)cJSON_GetArraySize(env), n = 0;
	size_t given = exec->env_count;
	const cJSON *item;
	char **all;

	all = reallocarray(exec->env, count + given + 1, sizeof(*all));
	if (all == NULL)
		return -ENOMEM;
	exec->env = all;
	memmove(all + count, all, given * sizeof(*all));
	cJSON_ArrayForEach(item, env)
		if (cJSON_IsString(item) && item->valuestring[0] != '=' &&
		    strchr(item->valuestring, '=') != NULL)
			all[n++] = item->valuestring;
	memmove(all + n, all + count, given * sizeof(*all));
	exec->image_env_count = (uint32_t)n;
	exec->env_count = (uint32_t)(n + given);
	return 0;
}

static size_t
append_texts(const cJSON *list, char **to, size_t n)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
		if (cJSON_IsString(item))
			to[n++] = item->valuestring;
	return n;
}

static bool
is_init(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;

	return strcmp(name, "init") == 0 || strcmp(name, "systemd") == 0;
}

static int
default_command(struct exec_spec *exec, const cJSON *config, bool with_init)
{
	const cJSON *entrypoint = cJSON_GetObjectItemCaseSensitive(config,
	    "entrypoint");
	const cJSON *cmd = cJSON_GetObjectItemCaseSensitive(config, "cmd");
	size_t most = (size_t)cJSON_GetArraySize(entrypoint) +
	    (size_t)cJSON_GetArraySize(cmd), n;
	char **words = calloc(most + 1, sizeof(*words));

	if (words == NULL)
		return -ENOMEM;
	n = append_texts(entrypoint, words, 0);
	n = append_texts(cmd, words, n);
	if (n == 0 || n > EXEC_ARGC_MAX || (with_init && is_init(words[0]))) {
		free(words);
		return 0;
	}
	exec->command = exec->image_command = words;
	exec->command_count = (uint32_t)n;
	return 0;
}

int
exec_spec_default(struct exec_spec *exec, const cJSON *config, bool command,
    bool with_init)
{
	const char *user, *workdir;
	int r;

	if (config == NULL)
		return 0;
	user = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config,
	    "user"));
	workdir = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config,
	    "workdir"));
	if (user == NULL || workdir == NULL)
		return -EPROTO;
	if (exec->user[0] == '\0')
		exec->user = user;
	if (exec->workdir[0] == '\0' && workdir[0] == '/')
		exec->workdir = workdir;
	r = default_env(exec, cJSON_GetObjectItemCaseSensitive(config, "env"));
	if (r == 0 && command && exec->command == NULL)
		r = default_command(exec, config, with_init);
	return r;
}
