/*
 * The list of checks, in the order in which a VM needs what they look at.
 */
#include "client/doctor.h"

#include <stdarg.h>
#include <string.h>

#include "client/command.h"
#include "client/show.h"
#include "client/text.h"

static const struct {
	const char *name;
	probe_fn *probe;
} probes[] = {
	{ "kernel", probe_kernel },
	{ "cgroup", probe_cgroup },
	{ "kvm", probe_kvm },
	{ "device-mapper", probe_mapper },
	{ "tun", probe_tun },
	{ "nf_tables", probe_filter },
	{ "landlock", probe_landlock },
	{ "firecracker", probe_firecracker },
	{ "jailer", probe_jailer },
	{ "qemu", probe_qemu },
	{ "id-range", probe_ids },
	{ "disk-space", probe_space },
	{ "subnet", probe_subnet },
	{ "daemon", probe_daemon },
	{ "names", probe_names },
	{ "default-kernel", probe_kernel_object },
	{ "default-image", probe_image },
};

static const char *const verdicts[] = { "ok", "warn", "fail" };

void
check_found(struct check *check, enum verdict verdict, const char *fmt, ...)
{
	va_list ap;

	check->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(check->found, sizeof(check->found), fmt, ap);
	va_end(ap);
}

void
check_remedy(struct check *check, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(check->remedy, sizeof(check->remedy), fmt, ap);
	va_end(ap);
}

int
doctor_code(const struct check *checks, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (checks[i].verdict == VERDICT_FAIL)
			return EXIT_FAILED;
	return EXIT_OK;
}

static int
print_json(FILE *out, const struct check *checks, size_t count)
{
	struct buf report _cleanup_buf_ = BUF_INIT(API_LINE_MAX);
	size_t i;

	json_open(&report, NULL, '{');
	json_bool(&report, "ok", doctor_code(checks, count) == 0);
	json_open(&report, "checks", '[');
	for (i = 0; i < count; i++) {
		json_open(&report, NULL, '{');
		json_text(&report, "name", checks[i].name);
		json_text(&report, "status", verdicts[checks[i].verdict]);
		json_text(&report, "found", checks[i].found);
		if (checks[i].remedy[0] != '\0')
			json_text(&report, "remedy", checks[i].remedy);
		json_close(&report, '}');
	}
	json_close(&report, ']');
	json_close(&report, '}');
	if (report.failed)
		return -ENOMEM;
	fprintf(out, "%.*s\n", (int)report.len, report.data);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}

int
doctor_print(FILE *out, const struct check *checks, size_t count, bool json)
{
	char clean[CHECK_TEXT];
	size_t i;

	if (json)
		return print_json(out, checks, count);
	for (i = 0; i < count; i++) {
		fprintf(out, "%-4s  %-14s  %s\n", verdicts[checks[i].verdict],
		    checks[i].name,
		    text_clean(checks[i].found, clean, sizeof(clean)));
		if (checks[i].remedy[0] != '\0')
			fprintf(out, "%24s%s\n", "-> ",
			    text_clean(checks[i].remedy, clean, sizeof(clean)));
	}
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}

int
cmd_doctor(struct client *client, const struct args *args)
{
	struct patient patient = { .cfg = &client->config,
		.config_file = client->config_file,
		.config_name = client->config_file != NULL ?
		    client->config_file : CONFIG_PATH,
		.api = API_CLOSED };
	struct check checks[ARRAY_SIZE(probes)];
	size_t i;
	int r;

	if (client_config(client) < 0)
		return EXIT_FAILED;
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		checks[i] = (struct check){ .name = probes[i].name };
		probes[i].probe(&patient, &checks[i]);
	}
	api_close(&patient.api);
	r = doctor_print(stdout, checks, ARRAY_SIZE(checks),
	    args_has(args, FLAG_JSON));
	return r < 0 ? client_result(client, r) :
	    doctor_code(checks, ARRAY_SIZE(checks));
}
