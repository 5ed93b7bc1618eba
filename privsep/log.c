/*
 * One line, one write: lines of the roles that share a standard error do not
 * mix, and nothing is buffered when a role dies.
 */
#include "privsep/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct {
	const char *role;
	enum log_level level;
	int journal;
} logger = { "banger", LOG_INFO, 0 };

void
log_init(const char *role, enum log_level level)
{
	logger.role = role;
	logger.level = level;
	logger.journal = getenv("JOURNAL_STREAM") != NULL;
}

static void PRINTF_LIKE(2, 0)
log_line(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const priority[] = { "<3>", "<4>", "<6>", "<7>" };
	char line[1024];
	int saved = errno;
	size_t used, i;

	snprintf(line, sizeof(line), "%s%s: ",
	    logger.journal ? priority[level] : "", logger.role);
	used = strlen(line);
	vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
	used = strlen(line);
	for (i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	(void)write_full(STDERR_FILENO, line, used);
	errno = saved;
}

void
log_msg(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > logger.level)
		return;
	va_start(ap, fmt);
	log_line(level, fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_ERROR, fmt, ap);
	va_end(ap);
	_exit(1);
}
