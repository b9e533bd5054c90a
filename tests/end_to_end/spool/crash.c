/* A process, or a machine, that dies at a chosen moment: put in front of the C library by LD_PRELOAD.
 *
 * CRASH_DISK names a directory. What changes below it has a kind, such as "write segment" or "sync dead-letters
 * names": what is done, and to what sort of file. The file CRASH_PLAN says at which one of a kind it ends, and how:
 * "3 kill write segment"; or "0 none" to end at none. Without a plan nothing is noted. All kinds are written to
 * CRASH_NOTE as they come, the last being what it died of.
 *
 * With `kill` the process dies and the system lives: what was written stays. A write is half done, anything else isn't
 * done. With `old-names`, `new-names` or `some-names` the power is cut: of each file what wasn't synced is lost, and
 * names that weren't synced with their directory are the old ones, or the new ones, or the new ones of files that were
 * renamed and the old ones of all others; a file system may leave any of that. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 1024 };

/* A file with something that isn't synced, and how much of it is. */
struct dirty { char path[PATH_MAX]; off_t synced; };
/* A name that isn't synced: `from` is what a rename took it from; `kept` is a link to what had the name before. */
struct name { char path[PATH_MAX], from[PATH_MAX], kept[PATH_MAX]; };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct dirty dirty[MOST];
static struct name names[MOST];
static int dirty_count, name_count, kept_count, note = -1;
static long at = -1;
static char mode[32], kind[128];

static int is_below(const char *path) {
    const char *directory = getenv("CRASH_DISK");
    return directory && path && strncmp(path, directory, strlen(directory)) == 0;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void read_plan(void) {
    char text[256] = "";
    const char *plan = getenv("CRASH_PLAN"), *name = getenv("CRASH_NOTE");
    int fd = plan ? (int)syscall(SYS_openat, AT_FDCWD, plan, O_RDONLY | O_CLOEXEC) : -1;
    at = 0;
    if (fd < 0 || !name) return;
    ssize_t length = syscall(SYS_read, fd, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = 0;
    syscall(SYS_close, fd);
    sscanf(text, "%ld %31s %127[^\n]", &at, mode, kind);
    note = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

/* "write segment": what is done, whether to dead letters, and to a directory, to a file of its own or to one of many. */
static void say(char *text, size_t size, const char *what, const char *path) {
    char folder[PATH_MAX];
    strcpy(folder, path);
    char *name = strrchr(folder, '/');
    *name++ = 0;
    const char *parent = strrchr(folder, '/'), *ending = strrchr(name, '.');
    struct stat status;
    if (strcmp(what, "make") == 0) name = "directory";
    else if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) name = "names";
    else if (ending && strcmp(ending, ".new") != 0) name = (char *)ending + 1;
    int is_dead_letter = parent && strcmp(parent, "/dead-letters") == 0;
    snprintf(text, size, "%s %s%s", what, is_dead_letter ? "dead-letters " : "", name);
}

static int is_in(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && path[length] == '/' && !strchr(path + length + 1, '/');
}

static void lose_power(void) {
    for (int i = 0; i < dirty_count; i++) truncate(dirty[i].path, dirty[i].synced);
    for (int i = name_count - 1; i >= 0 && strcmp(mode, "new-names") != 0; i--) {
        struct name *name = &names[i];
        struct stat status;
        if (name->from[0] && strcmp(mode, "some-names") == 0) continue;
        if (stat(name->path, &status) == 0 && S_ISDIR(status.st_mode)) {
            char lost[PATH_MAX];
            snprintf(lost, sizeof lost, "%s.lost%d", getenv("CRASH_PLAN"), i);
            syscall(SYS_renameat2, AT_FDCWD, name->path, AT_FDCWD, lost, 0);
        } else if (name->from[0]) syscall(SYS_renameat2, AT_FDCWD, name->path, AT_FDCWD, name->from, 0);
        else if (!name->kept[0]) syscall(SYS_unlinkat, AT_FDCWD, name->path, 0);
        if (name->kept[0]) syscall(SYS_renameat2, AT_FDCWD, name->kept, AT_FDCWD, name->path, 0);
    }
}

/* Notes one of them. Whether it is the last. */
static int is_last(const char *what, const char *path) {
    char text[PATH_MAX];
    if (at < 0) read_plan();
    if (note < 0) return 0;
    say(text, sizeof text, what, path);
    dprintf(note, "%s\n", text);
    return strcmp(text, kind) == 0 && --at == 0;
}

static void die(void) {
    if (strcmp(mode, "kill") != 0) lose_power();
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static struct dirty *find(const char *path) {
    for (int i = 0; i < dirty_count; i++)
        if (strcmp(dirty[i].path, path) == 0) return &dirty[i];
    return NULL;
}

static void forget(struct dirty *file) {
    if (file) *file = dirty[--dirty_count];
}

static void soil(int fd, const char *path, off_t synced) {
    struct stat status;
    if (find(path) || dirty_count == MOST) return;
    if (synced < 0) synced = fstat(fd, &status) == 0 ? status.st_size : 0;
    strcpy(dirty[dirty_count].path, path);
    dirty[dirty_count++].synced = synced;
}

/* Keeps what has a name that is about to be taken away. */
static void keep(const char *path, char *kept) {
    const char *folder = getenv("CRASH_PLAN");
    snprintf(kept, PATH_MAX, "%s.kept%d.%d", folder, getpid(), kept_count++);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) != 0) kept[0] = 0;
}

static struct name *pending(const char *path) {
    struct name *name = &names[name_count < MOST ? name_count++ : MOST - 1];
    memset(name, 0, sizeof *name);
    strcpy(name->path, path);
    return name;
}

#define BEGIN pthread_mutex_lock(&lock)
#define END pthread_mutex_unlock(&lock)

ssize_t write(int fd, const void *bytes, size_t size) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_write, fd, bytes, size);
    BEGIN;
    soil(fd, path, -1);
    if (is_last("write", path)) {
        syscall(SYS_write, fd, bytes, size / 2);
        die();
    }
    ssize_t written = syscall(SYS_write, fd, bytes, size);
    END;
    return written;
}

static int synced(int fd, long number) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return (int)syscall(number, fd);
    BEGIN;
    if (is_last("sync", path)) die();
    int result = (int)syscall(number, fd);
    if (result == 0) {
        forget(find(path));
        int left = 0;
        for (int i = 0; i < name_count; i++) {
            if (!is_in(names[i].path, path)) names[left++] = names[i];
            else if (names[i].kept[0]) syscall(SYS_unlinkat, AT_FDCWD, names[i].kept, 0);
        }
        name_count = left;
    }
    END;
    return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int cut(int fd, off_t length) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return (int)syscall(SYS_ftruncate, fd, length);
    BEGIN;
    if (is_last("cut", path)) die();
    int result = (int)syscall(SYS_ftruncate, fd, length);
    END;
    return result;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int open_as(int directory, const char *path, int flags, mode_t mode) {
    int makes = (flags & O_CREAT) && is_below(path) && access(path, F_OK) != 0;
    if (!makes) return (int)syscall(SYS_openat, directory, path, flags, mode);
    BEGIN;
    if (is_last("create", path)) die();
    int fd = (int)syscall(SYS_openat, directory, path, flags, mode);
    if (fd >= 0) {
        pending(path);
        soil(fd, path, 0);
    }
    END;
    return fd;
}

#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, last); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags) return open_as(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_as(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_as(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_as(at, path, flags, mode); }

int unlink(const char *path) {
    if (!is_below(path) || access(path, F_OK) != 0) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    BEGIN;
    if (is_last("remove", path)) die();
    keep(path, pending(path)->kept);
    forget(find(path));
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    END;
    return result;
}

int rename(const char *from, const char *to) {
    if (!is_below(to)) return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    BEGIN;
    if (is_last("rename", to)) die();
    struct name *name = pending(to);
    strcpy(name->from, from);
    if (access(to, F_OK) == 0) keep(to, name->kept);
    forget(find(to));
    struct dirty *file = find(from);
    if (file) strcpy(file->path, to);
    int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    END;
    return result;
}

int mkdir(const char *path, mode_t mode) {
    if (!is_below(path) || access(path, F_OK) == 0) return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    BEGIN;
    if (is_last("make", path)) die();
    int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0) pending(path);
    END;
    return result;
}
