/*
 * See check.h. Each function is a list of reasons to say no.
 */
#include "privsep/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "privsep/proto.h"

/* True when all bytes of S are lower-case letters, digits or in EXTRA. */
static bool
only(const char *s, const char *extra)
{
	for (; *s != '\0'; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9') &&
		    strchr(extra, *s) == NULL)
			return false;
	return true;
}

int
check_vm_id(uint64_t id)
{
	return id >= 1 && id <= VM_ID_MAX ? 0 : -EINVAL;
}

int
check_bridge_name(const char *name)
{
	static const char base[] = "br-fc";
	size_t len = strlen(name);

	if (len > 15 || strncmp(name, base, sizeof(base) - 1) != 0)
		return -EINVAL;
	name += sizeof(base) - 1;
	if (*name == '\0')
		return 0;
	if (*name != '-' || name[1] == '\0' || !only(name + 1, "-"))
		return -EINVAL;
	return 0;
}

int
check_host_label(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > 63 || !only(name, "-"))
		return -EINVAL;
	return name[0] == '-' || name[len - 1] == '-' ? -EINVAL : 0;
}

int
check_object_name(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len >= NAME_BYTES || !only(name, "._-"))
		return -EINVAL;
	if (strchr("._-", name[0]) != NULL || strstr(name, "..") != NULL)
		return -EINVAL;
	return 0;
}

int
check_prefix(uint32_t prefix)
{
	return prefix >= 8 && prefix <= 32 ? 0 : -EINVAL;
}

static uint32_t
netmask(uint32_t prefix)
{
	return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

/* A host address of its subnet: neither all zeros nor all ones. */
static bool
is_host(uint32_t ipv4, uint32_t prefix)
{
	uint32_t host = ipv4 & ~netmask(prefix);

	return host != 0 && host != ~netmask(prefix);
}

int
check_network(uint32_t gateway, uint32_t prefix)
{
	uint32_t first = gateway >> 24;

	if (check_prefix(prefix) < 0 || prefix > 30)
		return -EINVAL;
	if (first == 0 || first == 127 || first >= 224 ||
	    gateway >> 16 == 0xa9fe)
		return -EINVAL;
	return is_host(gateway, prefix) ? 0 : -EINVAL;
}

int
check_guest_ipv4(uint32_t ipv4, uint32_t gateway, uint32_t prefix)
{
	if (check_network(gateway, prefix) < 0)
		return -EINVAL;
	if (((ipv4 ^ gateway) & netmask(prefix)) != 0 || ipv4 == gateway)
		return -EINVAL;
	return is_host(ipv4, prefix) ? 0 : -EINVAL;
}

int
check_path(const char *path, size_t size)
{
	size_t len = strnlen(path, size);
	const char *p;

	if (len == size || len < 2 || path[0] != '/' || path[len - 1] == '/')
		return -EINVAL;
	for (p = path; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return -EINVAL;
		if (*p != '/')
			continue;
		if (p[1] == '/')
			return -EINVAL;
		if (p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
			return -EINVAL;
		if (p[1] == '.' && p[2] == '.' &&
		    (p[3] == '/' || p[3] == '\0'))
			return -EINVAL;
	}
	return 0;
}

int
check_string(const char *s, size_t size)
{
	size_t i = strnlen(s, size);

	if (i == size)
		return -EINVAL;
	for (; i < size; i++)
		if (s[i] != '\0')
			return -EINVAL;
	return 0;
}

int
check_file_fd(int fd, uid_t owner, int access, off_t min, off_t max)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -EBADF;
	if ((flags & (O_PATH | O_APPEND)) != 0 ||
	    (flags & O_ACCMODE) != access)
		return -EACCES;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_uid != owner)
		return -EPERM;
	if (st.st_nlink > 1)
		return -EMLINK;
	if (st.st_size < min || st.st_size > max)
		return -EFBIG;
	return 0;
}

int
check_exec_fd(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
		return -EACCES;
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
	    (st.st_mode & (S_ISUID | S_ISGID)) != 0)
		return -EPERM;
	return 0;
}

int
check_resolver_address(uint32_t ipv4, uint32_t port)
{
	if (port < 1 || port > UINT16_MAX)
		return -EINVAL;
	if (ipv4 == 0x7f000035 || ipv4 == 0x7f000036)
		return -EINVAL;
	return ipv4 >> 24 == 127 && is_host(ipv4, 8) ? 0 : -EINVAL;
}

int
check_vm_size(uint32_t vcpus, uint32_t mem_mib)
{
	if (vcpus < 1 || vcpus > VCPU_MAX || (vcpus > 1 && vcpus % 2 != 0))
		return -EINVAL;
	if (mem_mib < MEM_MIB_MIN || mem_mib > MEM_MIB_MAX)
		return -EINVAL;
	return 0;
}

int
check_sectors_fd(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_size % 512 == 0 ? 0 : -EINVAL;
}

int
check_disk_size(uint64_t bytes)
{
	return bytes > 0 && bytes <= SNAPSHOT_DISK_MAX &&
	    bytes % SNAPSHOT_CHUNK_BYTES == 0 ? 0 : -EINVAL;
}
