/* A disk that a test can spoil, put in front of the C library by LD_PRELOAD: this machine's own can't be made slow.
 *
 * FAULTY_DISK names a directory; what is below it is spoiled as the file FAULTY_DISK_IS says: "slow MILLISECONDS" for
 * every sync, "read-only", or nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int is_below(const char *path) {
    const char *directory = getenv("FAULTY_DISK");
    return directory && strncmp(path, directory, strlen(directory)) == 0;
}

static int is_on_disk(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* By system calls of its own, so that it doesn't meet itself. */
static void state(char *text, size_t size) {
    const char *name = getenv("FAULTY_DISK_IS");
    text[0] = 0;
    int fd = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    ssize_t length = read(fd, text, size - 1);
    text[length < 0 ? 0 : length] = 0;
    close(fd);
}

static int is_read_only(void) {
    char text[64];
    state(text, sizeof text);
    return strncmp(text, "read-only", 9) == 0;
}

static int sync_slowly(int fd, const char *name) {
    if (is_on_disk(fd)) {
        char text[64];
        long milliseconds;
        state(text, sizeof text);
        if (strncmp(text, "read-only", 9) == 0) { errno = EROFS; return -1; }
        if (sscanf(text, "slow %ld", &milliseconds) == 1) {
            struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
            nanosleep(&time, NULL);
        }
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd) { return sync_slowly(fd, "fsync"); }
int fdatasync(int fd) { return sync_slowly(fd, "fdatasync"); }

ssize_t write(int fd, const void *bytes, size_t size) {
    if (is_on_disk(fd) && is_read_only()) { errno = EROFS; return -1; }
    return syscall(SYS_write, fd, bytes, size);
}

static int open_as(int directory, const char *path, int flags, mode_t mode) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    if (writes && is_below(path) && is_read_only()) { errno = EROFS; return -1; }
    return (int)syscall(SYS_openat, directory, path, flags, mode);
}

#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, last); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags) return open_as(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_as(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_as(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_as(at, path, flags, mode); }

int unlink(const char *path) {
    if (is_below(path) && is_read_only()) { errno = EROFS; return -1; }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rename(const char *from, const char *to) {
    if (is_below(to) && is_read_only()) { errno = EROFS; return -1; }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
