/* Stands between the bridge and its disk: where the file `disk-fault` is in the working directory, what is done below
   `hookbus-spool` goes as its first letter says: (f)ull, (r)ead-only, (s)low, (v)ery slow. Preloaded, on Linux. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char fault(void) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open");
    int saved = errno;
    char letter = 0;
    int file = real("disk-fault", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, &letter, 1) != 1) letter = 0;
        close(file);
    }
    errno = saved;
    return letter;
}

static int is_spool(int file) {
    char link[64], path[PATH_MAX + 1];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX);
    errno = saved;
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "hookbus-spool") != NULL;
}

/* What a write to this file fails with, or 0. */
static int refusal(int file) {
    char letter = fault();
    if (letter != 'f' && letter != 'r') return 0;
    if (!is_spool(file)) return 0;
    return letter == 'f' ? ENOSPC : EROFS;
}

#define REFUSE(file) do { int error = refusal(file); if (error) { errno = error; return -1; } } while (0)
#define REAL(name) if (!real) real = dlsym(RTLD_NEXT, name)

ssize_t write(int file, const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    REAL("write");
    REFUSE(file);
    return real(file, bytes, length);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    REAL("writev");
    REFUSE(file);
    return real(file, parts, count);
}

static int sync_with(int (*real)(int), int file) {
    char letter = fault();
    if ((letter == 's' || letter == 'v') && is_spool(file)) sleep(letter == 's' ? 2 : 4);
    return real(file);
}

int fsync(int file) {
    static int (*real)(int);
    REAL("fsync");
    return sync_with(real, file);
}

int fdatasync(int file) {
    static int (*real)(int);
    REAL("fdatasync");
    return sync_with(real, file);
}

#define OPEN(name, declared, passed) \
    int name declared { \
        static int (*real) declared; \
        REAL(#name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        int writes = (flags & O_ACCMODE) != O_RDONLY; \
        if (writes && strstr(path, "hookbus-spool") && fault() == 'r') { \
            errno = EROFS; \
            return -1; \
        } \
        return real passed; \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
