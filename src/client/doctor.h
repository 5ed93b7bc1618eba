/*
 * `banger doctor`: what this host can do, and a way out for what it cannot.
 * doctor.c has the list and the report, host_check.c looks at the host,
 * program_check.c at the programs, daemon_check.c at banger itself,
 * names_check.c at the names of VMs.
 */
#ifndef BANGER_CLIENT_DOCTOR_H
#define BANGER_CLIENT_DOCTOR_H

#include <stdbool.h>
#include <stdio.h>

#include "client/api.h"
#include "privsep/config.h"

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

enum { CHECK_TEXT = 256, CHECKS_MAX = 32 };

/* What one check found. */
struct check {
	const char *name;
	enum verdict verdict;
	char found[CHECK_TEXT];		/* one line */
	char remedy[CHECK_TEXT];	/* one line; "" when all is well */
};

/* What the checks look at, and what earlier ones found. */
struct patient {
	const struct config *cfg;
	const char *config_file;	/* --config, or NULL */
	const char *config_name;	/* what to edit */
	bool kvm;
	bool firecracker, jailer, qemu;	/* usable programs */
	struct api api;			/* open once the daemon check went well */
};

/* A check: fills in CHECK, whose name is set. */
typedef void probe_fn(struct patient *patient, struct check *check);

/* Sets CHECK's verdict and what was found. */
void	 check_found(struct check *check, enum verdict verdict, const char *fmt,
	    ...) PRINTF_LIKE(3, 4);

/* Sets what to do about it. */
void	 check_remedy(struct check *check, const char *fmt, ...)
	    PRINTF_LIKE(2, 3);

/* host_check.c */
probe_fn probe_kernel, probe_cgroup, probe_kvm, probe_mapper, probe_tun,
    probe_filter, probe_landlock, probe_ids, probe_space, probe_subnet;

/* program_check.c */
probe_fn probe_firecracker, probe_jailer, probe_qemu;

/* daemon_check.c */
probe_fn probe_daemon, probe_image, probe_kernel_object;

/* names_check.c */
probe_fn probe_names;

/*
 * The pure parts, for the tests.
 *
 * version_read finds the first MAJOR.MINOR[.PATCH] in TEXT: 0, or -EINVAL.
 * version_before compares. ids_conflict reads lines of passwd(5), group(5)
 * (field 3 is an id) or subuid(5) (RANGE: fields 2 and 3 are start and count):
 * true and the line's name in WHO when one lies in [BASE, BASE + COUNT).
 */
struct version {
	unsigned int major, minor, patch;
};
int	 version_read(const char *text, struct version *version);
bool	 version_before(const struct version *version, unsigned int major,
	    unsigned int minor, unsigned int patch);
bool	 jailer_has_hole(const struct version *version);
bool	 ids_conflict(FILE *file, bool range, uint32_t base, uint32_t count,
	    char who[NAME_BYTES]);

/*
 * Writes CHECKS as text or as one line of JSON. 0 or -errno as show_json.
 * doctor_code is the exit code: 1 when one of them failed.
 */
int	 doctor_print(FILE *out, const struct check *checks, size_t count,
	    bool json);
int	 doctor_code(const struct check *checks, size_t count);

#endif
