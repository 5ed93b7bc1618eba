/*
 * What the worker has jobs for: the bodies, to be put into struct job_spec.
 */
#ifndef BANGER_WORKER_WORK_H
#define BANGER_WORKER_WORK_H

#include "worker/job.h"

/* Copies fds[0] to fds[1], at least as large and all hole; holes stay holes. */
int	 work_copy_disk(struct job_context *context);

/*
 * Makes the empty files fds[1] an ext4 image, and fds[2] its configuration, of
 * what fds[0] holds; fds[3] is a spool (image/image_file.h). With a digest that
 * fds[0] has to have, the last of the fds is an empty file for a copy of it, here
 * and below: whoever pulled it could change it after it was looked at.
 */
int	 work_import_image(struct job_context *context);

/*
 * Likewise of blobs. fds: the image and its configuration, both empty, and what
 * oci_blobs_import takes.
 */
int	 work_import_blobs(struct job_context *context);

/*
 * Makes the empty file fds[1] an image of fds[0], a disk or what it is a snapshot
 * of, with the changes in the COW file fds[2] if there is one; at least ARGUMENT
 * bytes.
 */
int	 work_copy_image(struct job_context *context);

/* The checksum of the image fds[0], into the report's image. */
int	 work_checksum(struct job_context *context);

/*
 * Imports the archive fds[0] with the agent fds[1] into the empty files
 * fds[2] (vmlinuz), fds[3] (vmlinux), fds[4] (initrd).
 */
int	 work_import_kernel(struct job_context *context);

/*
 * Copies the initrd fds[0] to the empty file fds[1] and puts the agent fds[2]
 * into it, behind ARGUMENT bytes of modules.
 */
int	 work_refresh_initrd(struct job_context *context);

#endif
