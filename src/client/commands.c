/*
 * The table: everything banger can be told, in the order of `banger help`.
 * Whatever a command takes is said here and nowhere else.
 */
#include "client/command.h"

#define HELP_FLAG \
	{ FLAG_HELP, 'h', false, "help", NULL, "show this help" }
#define JSON_FLAG \
	{ FLAG_JSON, 0, false, "json", NULL, "print JSON, one line" }
#define EXEC_FLAGS \
	{ FLAG_ENV, 'e', true, "env", "K[=V]", \
	    "set K in CMD's environment; without =V to the value it has here" }, \
	{ FLAG_WORKDIR, 'w', false, "workdir", "DIR", \
	    "CMD's working directory in the guest (default: the user's home)" }, \
	{ FLAG_USER, 'u', false, "user", "USER", \
	    "run CMD as this user of the guest: NAME or UID, and :GROUP " \
	    "(default: root)" }, \
	{ FLAG_TTY, 't', false, "tty", NULL, \
	    "give CMD a terminal of its own (a shell gets one anyway)" }

#define CATALOG_FLAGS \
	{ FLAG_CATALOG, 0, false, "catalog", "FILE", \
	    "use the catalog in FILE, or at https://...; FILE.sig signs it" }, \
	{ FLAG_KEY, 0, false, "key", "FILE", \
	    "check its signature with the public key in FILE (PEM)" }
#define CA_FLAG \
	{ FLAG_CA, 0, false, "ca", "FILE", \
	    "trust the authorities in FILE (PEM) and no others" }

#define SIZE_FLAGS \
	{ FLAG_CPUS, 0, false, "vcpu", "N", \
	    "processors: 1, or an even number up to 32" }, \
	{ FLAG_MEMORY, 'm', false, "memory", "SIZE", \
	    "memory: 512M, 2G; a bare number is MiB" }, \
	{ FLAG_DISK_SIZE, 0, false, "disk-size", "SIZE", \
	    "size its disk is grown to: 20G" }

static const struct flag no_flags[] = { HELP_FLAG, { 0 } };
static const struct flag json_flags[] = { JSON_FLAG, HELP_FLAG, { 0 } };

static const struct flag run_flags[] = {
	{ FLAG_NAME, 'n', false, "name", "N",
	    "name and host name; the VM stays after CMD unless --rm" },
	{ FLAG_IMAGE, 'i', false, "image", "I",
	    "image its disk starts as (default_image_name)" },
	{ FLAG_KERNEL, 'k', false, "kernel", "K",
	    "kernel it boots (default_kernel_name)" },
	SIZE_FLAGS,
	{ FLAG_NAT, 0, false, "nat", NULL,
	    "let it reach the networks that the host reaches" },
	{ FLAG_INIT, 0, false, "init", "image|none",
	    "start the image's own init, or nothing beside CMD" },
	EXEC_FLAGS,
	{ FLAG_RM, 0, false, "rm", NULL,
	    "remove the VM afterwards, named or not" },
	{ FLAG_DETACH, 'd', false, "detach", NULL,
	    "start it, print its name, leave it running; no CMD, no --rm" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag exec_flags[] = { EXEC_FLAGS, HELP_FLAG, { 0 } };

static const struct flag stop_flags[] = {
	{ FLAG_TIMEOUT, 't', false, "timeout", "SECONDS",
	    "wait this long for the guest, then kill it (30)" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag vm_delete_flags[] = {
	{ FLAG_FORCE, 'f', false, "force", NULL, "also while it is running" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag logs_flags[] = {
	{ FLAG_FOLLOW, 'f', false, "follow", NULL,
	    "go on until the VM stops" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag set_flags[] = {
	SIZE_FLAGS,
	{ FLAG_NAT, 0, false, "nat", NULL,
	    "let it reach the networks that the host reaches" },
	{ FLAG_NO_NAT, 0, false, "no-nat", NULL, "no longer" },
	JSON_FLAG,
	HELP_FLAG,
	{ 0 },
};

static const struct flag prune_flags[] = {
	{ FLAG_FORCE, 'f', false, "force", NULL, "without asking" },
	{ FLAG_DRY_RUN, 'n', false, "dry-run", NULL,
	    "only tell what would be deleted" },
	JSON_FLAG,
	HELP_FLAG,
	{ 0 },
};

#define NEW_IMAGE_FLAG \
	{ FLAG_NAME, 'n', false, "name", "N", "name of the new image" }
#define IMAGE_KERNEL_FLAG \
	{ FLAG_KERNEL, 'k', false, "kernel", "K", \
	    "kernel that boots it, unless told otherwise" }

static const struct flag image_import_flags[] = {
	NEW_IMAGE_FLAG, IMAGE_KERNEL_FLAG, HELP_FLAG, { 0 },
};

static const struct flag image_promote_flags[] = {
	NEW_IMAGE_FLAG, HELP_FLAG, { 0 },
};

static const struct flag image_build_flags[] = {
	NEW_IMAGE_FLAG,
	{ FLAG_FILE, 'f', false, "file", "F",
	    "the Dockerfile (DIR/Containerfile, DIR/Dockerfile)" },
	{ FLAG_WITH, 0, false, "with", "TOOL",
	    "buildah, podman or docker (the first that is installed)" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag image_export_flags[] = {
	{ FLAG_FORMAT, 'f', false, "format", "oci|raw",
	    "an OCI image layout, or the ext4 file system (oci)" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag image_pull_flags[] = {
	{ FLAG_NAME, 'n', false, "name", "N",
	    "name of the image here (of REF's last part and its tag)" },
	CATALOG_FLAGS,
	CA_FLAG,
	{ FLAG_PLAIN_HTTP, 0, false, "plain-http", NULL,
	    "speak HTTP with REF's registry" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag catalog_flags[] = {
	CATALOG_FLAGS,
	CA_FLAG,
	JSON_FLAG,
	HELP_FLAG,
	{ 0 },
};

static const struct flag kernel_pull_flags[] = {
	{ FLAG_NAME, 'n', false, "name", "N",
	    "name of the kernel here (NAME)" },
	CATALOG_FLAGS,
	CA_FLAG,
	HELP_FLAG,
	{ 0 },
};

static const struct flag kernel_import_flags[] = {
	{ FLAG_NAME, 'n', false, "name", "N",
	    "name of the new kernel (\"default\")" },
	{ FLAG_MODULES, 0, false, "modules", "DIR",
	    "its modules (/lib/modules/VERSION)" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag system_install_flags[] = {
	{ FLAG_OWNER, 'o', false, "owner", "USER",
	    "who may use banger besides root" },
	{ FLAG_GROUP, 'g', false, "group", "G",
	    "a group whose members may, too" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag system_uninstall_flags[] = {
	{ FLAG_PURGE, 0, false, "purge", NULL,
	    "also VMs, images, kernels, configuration and logs" },
	{ FLAG_FORCE, 'f', false, "force", NULL,
	    "stop VMs that are running" },
	HELP_FLAG,
	{ 0 },
};

static const struct flag daemon_flags[] = {
	{ FLAG_EMBEDDED, 0, false, "embedded", NULL, NULL },
	HELP_FLAG,
	{ 0 },
};

#define WORDS(f, what, least, most) \
	{ .flags = (f), .word = (what), .words_min = (least), .words_max = (most) }
#define WORDS_CMD(f, what, least, most) \
	{ .flags = (f), .word = (what), .words_min = (least), \
	    .words_max = (most), .command = true }

const struct command commands[] = {
	{ "vm run", "run", "[FLAG...] [IMAGE] [-- CMD ARG...]",
	    "boot a fresh microVM, run CMD or a shell in it",
	    "Boots a microVM from IMAGE and a kernel and runs CMD in it, with this standard\n"
	    "input, output and error; CMD's exit code becomes banger's. Without CMD: what a\n"
	    "container image says, or a shell, with a terminal when this is one. The VM is\n"
	    "removed afterwards, unless it was given a --name and no --rm. Image and kernel\n"
	    "are pulled first if they are not there and the catalog or a registry has them.",
	    WORDS_CMD(run_flags, "IMAGE", 0, 1), EXIT_BANGER, cmd_vm_run },
	{ "vm exec", "exec", "[FLAG...] VM [-- CMD ARG...]",
	    "run CMD or a shell in a running VM",
	    "As `banger vm run`, in a VM that is running already.",
	    WORDS_CMD(exec_flags, "VM", 1, 1), EXIT_BANGER, cmd_vm_exec },
	{ "vm list", "vm ls,vm ps,ps", "[--json]",
	    "list the VMs", NULL,
	    WORDS(json_flags, "", 0, 0), EXIT_FAILED, cmd_vm_list },
	{ "vm show", NULL, "[--json] VM",
	    "show one VM", NULL,
	    WORDS(json_flags, "VM", 1, 1), EXIT_FAILED, cmd_vm_show },
	{ "vm start", NULL, "VM...",
	    "start VMs that are stopped", NULL,
	    WORDS(no_flags, "VM", 1, ARGS_WORDS), EXIT_FAILED, cmd_vm_start },
	{ "vm stop", NULL, "[--timeout SECONDS] VM...",
	    "shut VMs down", NULL,
	    WORDS(stop_flags, "VM", 1, ARGS_WORDS), EXIT_FAILED, cmd_vm_stop },
	{ "vm restart", NULL, "VM...",
	    "shut VMs down and start them again", NULL,
	    WORDS(no_flags, "VM", 1, ARGS_WORDS), EXIT_FAILED, cmd_vm_restart },
	{ "vm kill", NULL, "VM...",
	    "stop VMs at once, without asking the guest", NULL,
	    WORDS(no_flags, "VM", 1, ARGS_WORDS), EXIT_FAILED, cmd_vm_kill },
	{ "vm delete", "vm rm", "[--force] VM...",
	    "delete VMs and their disks", NULL,
	    WORDS(vm_delete_flags, "VM", 1, ARGS_WORDS), EXIT_FAILED,
	    cmd_vm_delete },
	{ "vm set", NULL, "[FLAG...] VM",
	    "change processors, memory, disk size or NAT of a VM",
	    "What is changed applies at the VM's next start, --nat and --no-nat at once.\n"
	    "A disk can only grow; the file system in it follows.",
	    WORDS(set_flags, "VM", 1, 1), EXIT_FAILED, cmd_vm_set },
	{ "vm prune", NULL, "[--force] [--dry-run] [--json]",
	    "delete all VMs that are stopped",
	    "Deletes all VMs that are stopped, with their disks, after a question on the\n"
	    "terminal. One that is running is never deleted.",
	    WORDS(prune_flags, "", 0, 0), EXIT_FAILED, cmd_vm_prune },
	{ "vm ports", NULL, "[--json] [VM]",
	    "list what listens in running VMs",
	    "Lists the listening TCP and UDP sockets in a VM, or in all that run, who has\n"
	    "them, and the address at which they can be reached from this host.",
	    WORDS(json_flags, "VM", 0, 1), EXIT_FAILED, cmd_vm_ports },
	{ "vm stats", NULL, "[--json] [VM]",
	    "show what running VMs use",
	    "Shows processor time, memory, disk and network traffic of a VM, or of all that\n"
	    "run, with the guest's own view of memory and load.",
	    WORDS(json_flags, "VM", 0, 1), EXIT_FAILED, cmd_vm_stats },
	{ "vm logs", NULL, "[--follow] VM",
	    "print what the guest wrote to its console", NULL,
	    WORDS(logs_flags, "VM", 1, 1), EXIT_FAILED, cmd_vm_logs },
	{ "image import", NULL, "--name N [--kernel K] PATH|-",
	    "make an image of a container image, a tar or an ext4 file",
	    "PATH is a container image, as an OCI image layout (a directory or a tar) or as\n"
	    "`docker save` writes it, the tar of a root file system, or an ext4 file system;\n"
	    "plain or compressed with gzip, xz or zstd. - reads it from standard input.",
	    WORDS(image_import_flags, "PATH", 1, 1), EXIT_FAILED, cmd_image_import },
	{ "image build", NULL, "--name N [FLAG...] DIR [-- ARG...]",
	    "build a Dockerfile and make an image of it",
	    "Has buildah, podman or docker build DIR, with ARGs for its build command, and\n"
	    "imports what comes out.",
	    WORDS_CMD(image_build_flags, "DIR", 1, 1), EXIT_FAILED,
	    cmd_image_build },
	{ "image register", NULL, "--name N [--kernel K] PATH",
	    "make an image of an ext4 file, with the kernel that is in it",
	    "PATH is an ext4 file system with an installed Linux, which is taken as it is.\n"
	    "The kernel in its /boot is imported as N as well and boots the image, unless\n"
	    "--kernel names another one.",
	    WORDS(image_import_flags, "PATH", 1, 1), EXIT_FAILED,
	    cmd_image_register },
	{ "image promote", NULL, "--name N VM",
	    "make an image of a stopped VM's disk", NULL,
	    WORDS(image_promote_flags, "VM", 1, 1), EXIT_FAILED,
	    cmd_image_promote },
	{ "image tag", NULL, "IMAGE NAME",
	    "give an image another name as well", NULL,
	    WORDS(no_flags, "IMAGE NAME", 2, 2), EXIT_FAILED, cmd_image_tag },
	{ "image export", NULL, "[--format oci|raw] IMAGE PATH|-",
	    "write an image to a file or directory",
	    "Writes an OCI image layout with one layer: a directory, or a tar when PATH ends\n"
	    "with .tar or is - for standard output. With --format raw the ext4 file system\n"
	    "as it is. PATH must not exist.",
	    WORDS(image_export_flags, "IMAGE PATH", 2, 2), EXIT_FAILED,
	    cmd_image_export },
	{ "image verify", NULL, "[IMAGE...]",
	    "read images again and compare their checksums",
	    "Without IMAGE: all of them.",
	    WORDS(no_flags, "IMAGE", 0, ARGS_WORDS), EXIT_FAILED,
	    cmd_image_verify },
	{ "image catalog", NULL, "[FLAG...]",
	    "list images that can be pulled by a name",
	    "Lists what the catalog names, and whether it is here. `default` is another\n"
	    "name for the default one.",
	    WORDS(catalog_flags, "", 0, 0), EXIT_FAILED, cmd_image_catalog },
	{ "image pull", "pull", "[FLAG...] REF",
	    "pull an image from the catalog or a registry",
	    "REF is a name in the catalog, or as for docker: debian, debian:bookworm,\n"
	    "ghcr.io/a/b@sha256:...; credentials are those of `docker login`. What is here\n"
	    "already is not fetched again, and a container image that has not changed is\n"
	    "left alone.",
	    WORDS(image_pull_flags, "REF", 1, 1), EXIT_FAILED, cmd_image_pull },
	{ "image cache prune", NULL, "",
	    "free what is kept of images' layers",
	    "Layers of pulled images are kept, so that those which share them are there\n"
	    "sooner. No image needs them once it is pulled.",
	    WORDS(no_flags, "", 0, 0), EXIT_FAILED, cmd_image_cache_prune },
	{ "image list", "image ls,images", "[--json]",
	    "list the images", NULL,
	    WORDS(json_flags, "", 0, 0), EXIT_FAILED, cmd_image_list },
	{ "image show", NULL, "[--json] IMAGE",
	    "show one image", NULL,
	    WORDS(json_flags, "IMAGE", 1, 1), EXIT_FAILED, cmd_image_show },
	{ "image delete", "image rm", "IMAGE...",
	    "delete images", NULL,
	    WORDS(no_flags, "IMAGE", 1, ARGS_WORDS), EXIT_FAILED,
	    cmd_image_delete },
	{ "kernel catalog", NULL, "[FLAG...]",
	    "list kernels that can be pulled by a name",
	    "As `banger image catalog`.",
	    WORDS(catalog_flags, "", 0, 0), EXIT_FAILED, cmd_kernel_catalog },
	{ "kernel pull", NULL, "[FLAG...] [NAME]",
	    "pull a kernel from the catalog",
	    "NAME is one of `banger kernel catalog`; without it the kernel that VMs boot\n"
	    "when none is named. A download that was cut off is gone on with.",
	    WORDS(kernel_pull_flags, "NAME", 0, 1), EXIT_FAILED,
	    cmd_kernel_pull },
	{ "kernel import", NULL, "[--name N] [--modules DIR] PATH...|host",
	    "import a kernel and build its initrd",
	    "PATH is a .deb, .rpm, Arch or Alpine package of a kernel (several where its\n"
	    "modules are in another), a tar or directory with boot/ and lib/modules/, or a\n"
	    "vmlinuz or vmlinux whose modules lie in --modules. `host` is the kernel that\n"
	    "is running.",
	    WORDS(kernel_import_flags, "PATH", 1, ARGS_WORDS), EXIT_FAILED,
	    cmd_kernel_import },
	{ "kernel list", "kernel ls,kernels", "[--json]",
	    "list the kernels", NULL,
	    WORDS(json_flags, "", 0, 0), EXIT_FAILED, cmd_kernel_list },
	{ "kernel show", NULL, "[--json] KERNEL",
	    "show one kernel", NULL,
	    WORDS(json_flags, "KERNEL", 1, 1), EXIT_FAILED, cmd_kernel_show },
	{ "kernel delete", "kernel rm", "KERNEL...",
	    "delete kernels", NULL,
	    WORDS(no_flags, "KERNEL", 1, ARGS_WORDS), EXIT_FAILED,
	    cmd_kernel_delete },
	{ "system install", NULL, "--owner USER [--group G]",
	    "install banger as a service of this host",
	    "Copies this executable to /usr/local/bin, names its users in\n"
	    "/etc/banger/config.toml and starts the daemon under systemd or runit. Once\n"
	    "more with a newer executable it updates; VMs go on meanwhile.",
	    WORDS(system_install_flags, "", 0, 0), EXIT_FAILED,
	    cmd_system_install },
	{ "system status", NULL, "[--json]",
	    "tell whether the service runs",
	    "Exit code 0: it runs; 3: it does not.",
	    WORDS(json_flags, "", 0, 0), EXIT_FAILED, cmd_system_status },
	{ "system restart", NULL, "",
	    "restart the service; VMs go on",
	    NULL,
	    WORDS(no_flags, "", 0, 0), EXIT_FAILED, cmd_system_restart },
	{ "system uninstall", NULL, "[--purge] [--force]",
	    "take the service away",
	    "Removes what `banger system install` put on this host. Configuration, VMs,\n"
	    "images and kernels stay unless --purge; running VMs are in the way unless\n"
	    "--force.",
	    WORDS(system_uninstall_flags, "", 0, 0), EXIT_FAILED,
	    cmd_system_uninstall },
	{ "daemon", NULL, "",
	    "run the daemon in the foreground",
	    "Needs root. Without a daemon, root's commands bring one for as long as they\n"
	    "last, so this is for hosts where others than root use banger.",
	    WORDS(daemon_flags, "", 0, 0), EXIT_FAILED, cmd_daemon },
	{ "doctor", NULL, "[--json]",
	    "tell what this host can do, and what to do about the rest", NULL,
	    WORDS(json_flags, "", 0, 0), EXIT_FAILED, cmd_doctor },
	{ "version", NULL, "[--json]",
	    "print banger's version", NULL,
	    WORDS(json_flags, "", 0, 0), EXIT_FAILED, cmd_version },
	{ "help", NULL, "[COMMAND...]",
	    "explain a command", NULL,
	    WORDS(no_flags, "", 0, 3), EXIT_FAILED, cmd_help },
	{ 0 },
};
