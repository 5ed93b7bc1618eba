/*
 * The configuration file, /etc/banger/config.toml: flat `key = value` lines
 * and one table, [vm_defaults]. Read once, by root, before anything is forked
 * or listens; the worker gets the few values it needs over the wire.
 */
#ifndef BANGER_PRIVSEP_CONFIG_H
#define BANGER_PRIVSEP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/proto.h"

#define CONFIG_PATH "/etc/banger/config.toml"

struct config {
	char state_dir[PATH_BYTES];
	char runtime_dir[PATH_BYTES];
	uint32_t vmm;			/* enum vmm_kind; 0: what runs here */
	char qemu_bin[PATH_BYTES];
	char firecracker_bin[PATH_BYTES];
	char jailer_bin[PATH_BYTES];
	char resolvectl_bin[PATH_BYTES];
	char bridge_name[16];
	char default_image[NAME_BYTES];
	char default_kernel[NAME_BYTES];
	char catalog[PATH_BYTES];	/* a path, https://…, or "": built in */
	char catalog_key[PATH_BYTES];	/* whose signature it needs, or "" */
	uint32_t owner_uid;		/* 0: root alone */
	uint32_t owner_gid;		/* UINT32_MAX: no group */
	uint32_t uid_base;		/* the worker's; VMs take the ones after it */
	uint32_t uid_count;
	uint32_t gateway;		/* IPv4, host order */
	uint32_t prefix;
	bool subnet_fixed;		/* the file names a subnet: take no other */
	uint32_t default_dns;		/* IPv4, host order; 0: none */
	uint32_t dns_ipv4;		/* of the name server, host order */
	uint32_t dns_port;		/* 0: no name server */
	uint32_t start_timeout_s;	/* from a VM's start to its agent's answer */
	uint32_t default_vcpus;
	uint32_t default_mem_mib;
	uint64_t default_disk_bytes;	/* 0: the image's own size, at least 8 GiB */
	uint64_t image_max_bytes;	/* of one image that is imported */
	uint32_t log_level;		/* enum log_level */
};

/*
 * Fills *CFG with the defaults, then with what PATH says. PATH NULL means
 * CONFIG_PATH, which need not exist; a PATH that was named must. TRUSTED
 * refuses a file that anyone but root can write. 0, or -errno with one line
 * for the user in ERR ("FILE:LINE: what").
 */
int	 config_load(const char *path, bool trusted, struct config *cfg, char *err,
	    size_t err_size);

/* The same for TEXT, which is or will be the file PATH. 0 or -EINVAL. */
int	 config_parse(const char *text, const char *path, struct config *cfg,
	    char *err, size_t err_size);

/* The largest file that is read, in bytes. */
enum { CONFIG_BYTES_MAX = 65536 };

#endif
