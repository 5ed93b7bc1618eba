/*
 * Small helpers that every room uses: scope-bound cleanup, and the two or
 * three idioms without which error paths become unreadable.
 */
#ifndef BANGER_PRIVSEP_UTIL_H
#define BANGER_PRIVSEP_UTIL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define UNUSED __attribute__((unused))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/*
 * Closes *FD if it is not negative, and makes it -1; errno is kept. Also what
 * _cleanup_close_ does.
 */
static inline void
close_fdp(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

/* Frees *P, a pointer to any object pointer. For _cleanup_free_. */
static inline void
freep(void *p)
{
	free(*(void **)p);
}

#define _cleanup_close_ __attribute__((cleanup(close_fdp)))
#define _cleanup_free_ __attribute__((cleanup(freep)))

/* Takes the fd out of *FD, which becomes -1: the caller now owns it. */
static inline int
steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Takes the pointer out of *P, which becomes NULL: the caller now owns it. */
#define steal_ptr(p) \
	__extension__({ __typeof__(*(p)) taken_ = *(p); *(p) = NULL; taken_; })

/*
 * Reads exactly LEN bytes; 0, -EPIPE at an early end of file, or -errno.
 * EINTR is retried (read(2)).
 */
int	 read_full(int fd, void *buf, size_t len);

/* Writes all LEN bytes, retrying short writes and EINTR; 0 or -errno. */
int	 write_full(int fd, const void *buf, size_t len);

/*
 * Parses an unsigned decimal number with nothing around it: no sign, blank,
 * prefix or leading zero (crun CVE-2026-30892). 0 and *OUT, or -EINVAL, or
 * -ERANGE above MAX.
 */
int	 parse_u64(const char *s, uint64_t max, uint64_t *out);

/*
 * snprintf that treats truncation as an error: 0, or -ENAMETOOLONG with an
 * empty string in BUF.
 */
int	 format(char *buf, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* CLOCK_MONOTONIC in milliseconds and in microseconds. */
int64_t	 monotonic_ms(void);
int64_t	 monotonic_us(void);

/* Waits for MS milliseconds, or until a signal is handled. */
void	 sleep_ms(int ms);

#endif
