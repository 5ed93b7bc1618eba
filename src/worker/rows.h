/*
 * What the store keeps of each object, and its form as JSON: in a row file,
 * and on the API.
 */
#ifndef BANGER_WORKER_ROWS_H
#define BANGER_WORKER_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/reference.h"
#include "privsep/proto.h"

#define ROW_VERSION 1

enum machine_state {
	MACHINE_STOPPED,
	MACHINE_STARTING,
	MACHINE_RUNNING,
	MACHINE_STOPPING,
	MACHINE_STATES,
};

/* What a VM's disk is to its image. */
enum disk_backend { DISK_COPY, DISK_REFLINK, DISK_SNAPSHOT, DISK_BACKENDS };

/* Texts that say why a VM ended; short and single lines. */
enum { EXIT_BYTES = 96, ERROR_BYTES = 256 };

struct machine_row {
	uint64_t id;
	char name[NAME_BYTES];
	char image[NAME_BYTES];
	char kernel[NAME_BYTES];
	enum machine_state state;
	uint32_t vcpus;
	uint32_t mem_mib;
	uint64_t disk_bytes;
	uint32_t ipv4;			/* host order; 0: none yet */
	uint32_t gateway;		/* of the last start */
	uint32_t prefix;
	uint8_t mac[6];
	bool nat;
	bool init_none;			/* the agent stays PID 1 */
	bool rm;			/* deleted when it ends */
	bool kvm;			/* of the last start */
	uint32_t vmm;			/* likewise, enum vmm_kind */
	enum disk_backend disk;		/* how it was made */
	bool restart_needed;		/* runs as it was before a vm.set */
	uint64_t created_s;		/* Unix time */
	uint64_t started_s;		/* last time it was ready; 0: never */
	char exit[EXIT_BYTES];		/* how it ended the last time, or "" */
	char last_error[ERROR_BYTES];
	char disk_error[ERROR_BYTES];	/* as last looked at; not stored */
};

/* Several images may have the same file: tags of one. */
struct image_row {
	char name[NAME_BYTES];
	char file[NAME_BYTES];		/* FILE.ext4 */
	char kernel[NAME_BYTES];	/* what boots it unless told, or "" */
	uint64_t size_bytes;		/* of the ext4 file */
	uint64_t content_bytes;
	uint64_t entries;
	bool has_init;
	bool has_checksum;		/* an older banger stored none */
	uint64_t checksum;		/* image/checksum.h */
	uint32_t layers;		/* of a container image; 0: of none */
	char digest[DIGEST_TEXT];	/* of its manifest, or its id, or "" */
	char reference[REFERENCE_BYTES];	/* where it was pulled from, or "" */
	char *config;			/* what it is to run, or NULL; see below */
	uint64_t created_s;
};

struct kernel_row {
	char name[NAME_BYTES];
	char version[128];
	uint64_t modules;
	uint64_t vmlinuz_bytes;		/* 0: none */
	uint64_t vmlinux_bytes;		/* 0: none */
	uint64_t initrd_bytes;
	uint64_t initrd_modules_bytes;	/* the part that never changes */
	bool pvh;
	bool vsock;			/* has what Firecracker's link needs */
	bool acpi;			/* by which QEMU's guests find devices */
	char agent[64];			/* build_id of the executable in it */
	uint64_t created_s;
};

/* A VM's id as its VM_ID_HEX digits. */
void	 machine_id_text(uint64_t id, char out[VM_ID_HEX + 1]);

/* Dotted quad of IPV4, host order. */
void	 ipv4_text(uint32_t ipv4, char out[16]);

/*
 * Takes over what an image says it is to run, as oci_config_read() writes it: a
 * JSON object, whose members are checked. 0 and *OUT, which is the caller's to
 * free, or -EINVAL, or -ENOMEM.
 */
int	 image_config_copy(const cJSON *config, char **out);

/*
 * Fill *ROW from the row file NAME.json parsed as TREE. 0, or -EINVAL for
 * anything that the writers below would not write. An image's config is the
 * caller's to free.
 */
int	 machine_row_read(const char *name, const cJSON *tree,
	    struct machine_row *row);
int	 image_row_read(const char *name, const cJSON *tree,
	    struct image_row *row);
int	 kernel_row_read(const char *name, const cJSON *tree,
	    struct kernel_row *row);

/* Append the row file's contents to BUF. */
void	 machine_row_write(struct buf *buf, const struct machine_row *row);
void	 image_row_write(struct buf *buf, const struct image_row *row);
void	 kernel_row_write(struct buf *buf, const struct kernel_row *row);

/* Append id, name and state, members of an object that is not the row's. */
void	 machine_row_name(struct buf *buf, const struct machine_row *row);

/*
 * Append the API's object as member KEY (NULL: array element); an image's CONFIG,
 * which can be long, only where one is shown alone.
 */
void	 machine_row_show(struct buf *buf, const char *key,
	    const struct machine_row *row, int32_t pid);
void	 image_row_show(struct buf *buf, const char *key,
	    const struct image_row *row, bool config);
void	 kernel_row_show(struct buf *buf, const char *key,
	    const struct kernel_row *row);

#endif
