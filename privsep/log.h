/*
 * Log lines on standard error, one write(2) each, prefixed with the role:
 * under systemd they carry its <N> priority (sd-daemon(3)).
 */
#ifndef BANGER_PRIVSEP_LOG_H
#define BANGER_PRIVSEP_LOG_H

#include "privsep/util.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * Sets the role's name (kept by reference, must be static) and the least
 * important level that is still written. Call once, first.
 */
void	 log_init(const char *role, enum log_level level);

/*
 * Writes one line; control bytes in the formatted text become '?', so that
 * what a guest or a client sent cannot steer a terminal. errno is kept.
 */
void	 log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

/* log_error, then _exit(1): for what must not go on. */
void	 fatal(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));

#endif
