/*
 * Pure text: nothing here opens a file.
 */
#include <stdio.h>
#include <string.h>

#include "client/system.h"
#include "privsep/drop.h"

#define LIST_HEAD SYSTEM_MARK " Its files and their digests, for `uninstall`.\n"

uint64_t
system_digest(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; len > 0; len--)
		hash = (hash ^ *p++) * UINT64_C(0x100000001b3);
	return hash;
}

/* ---- the configuration ---- */

/* One `key = "value"` that is to be there. VALUE NULL: done, or not wanted. */
struct wanted {
	const char *key;
	const char *value;
};

/* What follows `key =` in LINE (LEN bytes), or NULL when it is not KEY's. */
static const char *
value_of(const char *line, size_t len, const char *key)
{
	const char *end = line + len, *p = line;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if ((size_t)(end - p) < strlen(key) ||
	    memcmp(p, key, strlen(key)) != 0)
		return NULL;
	p += strlen(key);
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p < end && *p == '=' ? p + 1 : NULL;
}

/* The line of a key with another value; a comment after it stays. */
static int
put_value(const char *old, const char *end, const struct wanted *wanted,
    struct buf *out)
{
	const char *quote = memchr(old, '"', (size_t)(end - old));
	const char *rest = end;

	if (quote != NULL)
		quote = memchr(quote + 1, '"', (size_t)(end - quote - 1));
	if (quote != NULL)
		rest = quote + 1;
	if (buf_printf(out, "%s = \"%s\"", wanted->key, wanted->value) < 0)
		return -ENOBUFS;
	return buf_append(out, rest, (size_t)(end - rest));
}

/* Copies one line without its newline, with the value that is wanted. */
static int
put_line(const char *line, size_t len, struct wanted *wanted, size_t count,
    struct buf *out)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const char *value = wanted[i].value == NULL ? NULL :
		    value_of(line, len, wanted[i].key);
		int r;

		if (value == NULL)
			continue;
		r = put_value(value, line + len, &wanted[i], out);
		wanted[i].value = NULL;
		return r;
	}
	return buf_append(out, line, len);
}

/* Only keys before the first table are keys of the file itself. */
static bool
opens_table(const char *line, size_t len)
{
	size_t blanks = strspn(line, " \t");

	return blanks < len && line[blanks] == '[';
}

int
system_config(const char *old, const char *owner, const char *group,
    struct buf *out)
{
	struct wanted wanted[] = { { "owner", owner }, { "group", group } };
	struct buf body _cleanup_buf_ = BUF_INIT(out->limit);
	const char *line = old != NULL ? old : "";
	bool in_table = false;
	size_t i, len;

	for (; *line != '\0'; line += len) {
		len = strcspn(line, "\n");
		in_table = in_table || opens_table(line, len);
		if (put_line(line, len, wanted,
		    in_table ? 0 : ARRAY_SIZE(wanted), &body) < 0)
			return -ENOBUFS;
		if (line[len] == '\n')
			len++;
		if (buf_puts(&body, "\n") < 0)
			return -ENOBUFS;
	}
	if (old == NULL)
		(void)buf_puts(out, "# Configuration of banger, see banger(1).\n");
	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		if (wanted[i].value != NULL)
			(void)buf_printf(out, "%s = \"%s\"\n", wanted[i].key,
			    wanted[i].value);
	if (body.len > 0)
		(void)buf_append(out, body.data, body.len);
	return out->failed ? -ENOBUFS : 0;
}

/* ---- systemd ---- */

static const char unit_head[] =
    SYSTEM_MARK "\n"
    "# What is changed here is lost with the next: `systemctl edit banger`.\n"
    "[Unit]\n"
    "Description=banger, microVMs\n"
    "Documentation=man:banger(1) man:banger-privsep(7)\n"
    "After=network.target nss-user-lookup.target\n"
    "StartLimitIntervalSec=60\n"
    "StartLimitBurst=30\n"
    "\n"
    "[Service]\n"
    "Type=notify\n"
    "NotifyAccess=main\n"
    "ExecStart=/" SYSTEM_EXE " daemon\n"
    "Restart=on-failure\n"
    "RestartSec=500ms\n"
    "TimeoutStopSec=30\n"
    "\n"
    "# VMs outlive the daemon, whose records of them are in /run/banger.\n"
    "KillMode=process\n"
    "SendSIGKILL=no\n"
    "OOMPolicy=continue\n"
    "RuntimeDirectory=banger\n"
    "RuntimeDirectoryMode=0755\n"
    "RuntimeDirectoryPreserve=yes\n"
    "StateDirectory=banger\n"
    "StateDirectoryMode=0755\n"
    "\n"
    "LimitNOFILE=65536\n"
    "TasksMax=infinity\n"
    "UMask=0077\n"
    "KeyringMode=private\n"
    "\n"
    "# The monitor drops most of these itself, and so does all that it starts.\n"
    "CapabilityBoundingSet=" DAEMON_CAPABILITIES "\n"
    "AmbientCapabilities=\n"
    "NoNewPrivileges=yes\n"
    "\n"
    "# Devices, cgroups, sysctls and namespaces are what it works with, and a\n"
    "# filter here would be the VMMs', too: the rest is banger's own business.\n"
    "ProtectSystem=full\n";

static const char unit_tail[] =
    "ProtectKernelModules=yes\n"
    "ProtectKernelLogs=yes\n"
    "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6 AF_VSOCK\n"
    "RestrictRealtime=yes\n"
    "SystemCallArchitectures=native\n"
    "\n"
    "[Install]\n"
    "WantedBy=multi-user.target\n";

static bool
below_home(const char *path)
{
	static const char *const homes[] = { "/home/", "/root/", "/run/user/" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(homes); i++)
		if (strncmp(path, homes[i], strlen(homes[i])) == 0)
			return true;
	return false;
}

int
system_unit(const struct config *cfg, struct buf *out)
{
	bool home = below_home(cfg->state_dir) || below_home(cfg->runtime_dir);

	return buf_printf(out, "%sProtectHome=%s\n%s", unit_head,
	    home ? "no" : "read-only", unit_tail);
}

/* ---- runit ---- */

int
system_runit_run(struct buf *out)
{
	return buf_puts(out, "#!/bin/sh\n" SYSTEM_MARK "\n"
	    "exec /" SYSTEM_EXE " daemon 2>&1\n");
}

int
system_runit_log(const char *svlogd, struct buf *out)
{
	return buf_printf(out, "#!/bin/sh\n" SYSTEM_MARK "\n"
	    "exec %s -tt /" SYSTEM_LOG_DIR "\n", svlogd);
}

/* ---- the list of what was installed ---- */

struct system_entry *
system_list_find(struct system_list *list, const char *path)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (strcmp(list->entries[i].path, path) == 0)
			return &list->entries[i];
	return NULL;
}

int
system_list_set(struct system_list *list, const char *path, uint64_t digest)
{
	struct system_entry *entry = system_list_find(list, path);

	if (entry == NULL) {
		if (list->count == ARRAY_SIZE(list->entries))
			return -ENOSPC;
		entry = &list->entries[list->count];
		if (format(entry->path, sizeof(entry->path), "%s", path) < 0)
			return -ENOSPC;
		list->count++;
	}
	entry->digest = digest;
	return 0;
}

int
system_list_text(const struct system_list *list, struct buf *out)
{
	size_t i;

	(void)buf_puts(out, LIST_HEAD);
	for (i = 0; i < list->count; i++)
		(void)buf_printf(out, "%016llx /%s\n",
		    (unsigned long long)list->entries[i].digest,
		    list->entries[i].path);
	return out->failed ? -ENOBUFS : 0;
}

/* "0123456789abcdef /path", LEN bytes. */
static int
parse_entry(const char *line, size_t len, struct system_list *list)
{
	char digits[17], path[sizeof(list->entries[0].path)], *end;

	if (len < 19 || line[16] != ' ' || line[17] != '/')
		return -EBADMSG;
	memcpy(digits, line, 16);
	digits[16] = '\0';
	if (strspn(digits, "0123456789abcdef") != 16 ||
	    format(path, sizeof(path), "%.*s", (int)(len - 18),
	    line + 18) < 0 || strlen(path) != len - 18)
		return -EBADMSG;
	return system_list_set(list, path, strtoull(digits, &end, 16)) < 0 ?
	    -EBADMSG : 0;
}

int
system_list_parse(const char *text, struct system_list *list)
{
	struct system_list parsed = { .count = 0 };
	size_t len;

	for (; *text != '\0'; text += len) {
		len = strcspn(text, "\n");
		if (text[0] != '#' && parse_entry(text, len, &parsed) < 0)
			return -EBADMSG;
		if (text[len] == '\n')
			len++;
	}
	*list = parsed;
	return 0;
}
