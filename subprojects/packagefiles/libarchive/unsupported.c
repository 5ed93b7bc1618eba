/*
 * The one helper that the pax and ustar writers take from
 * archive_write_set_format.c. That file also names every other writer in a
 * table, which would pull in all of them.
 */
#include "archive_platform.h"

#include <errno.h>

#include "archive.h"
#include "archive_entry.h"
#include "archive_private.h"
#include "archive_write_set_format_private.h"

void
__archive_write_entry_filetype_unsupported(struct archive *a,
    struct archive_entry *entry, const char *format)
{
	archive_set_error(a, ARCHIVE_ERRNO_FILE_FORMAT,
	    "%s: no file of type %o in the %s format",
	    archive_entry_pathname(entry) != NULL ?
	    archive_entry_pathname(entry) : "(name unknown)",
	    (unsigned int)archive_entry_filetype(entry), format);
}
