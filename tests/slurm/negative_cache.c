/* Stands in for the client of a network file system that goes on saying that a name is absent, as nfs(5) has it.

   Preloaded into a process, it makes a name below NEGATIVE_BELOW that was looked for and not found stay so for
   SECONDS, for all processes of this "host" (SLURMD_NODENAME, else NEGATIVE_HOST), until one of them makes it or opens
   its directory. What else the kernel says stays. The cache of a host is the file NEGATIVE_CACHE/HOST. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 60.0
#define SLOTS 8192
#define PROBES 32

struct entry {
    uint64_t path, directory;
    double until;
};
static struct entry *cache;
static const char *below;
static size_t length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *place = getenv("NEGATIVE_CACHE"), *node = getenv("SLURMD_NODENAME");
    if (node) setenv("NEGATIVE_HOST", node, 1); /* for ranks, which are not told what Slurm says */
    below = getenv("NEGATIVE_BELOW");
    if (!place || !below) return;
    length = strlen(below);
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%s/%s", place, getenv("NEGATIVE_HOST"));
    int descriptor = REAL(open)(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0 || ftruncate(descriptor, SLOTS * sizeof *cache)) abort();
    void *mapped = mmap(NULL, SLOTS * sizeof *cache, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) abort();
    cache = mapped;
    close(descriptor);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static uint64_t hash(const char *path, size_t bytes) { /* FNV-1a */
    uint64_t value = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++) value = (value ^ (unsigned char)path[i]) * 1099511628211u;
    return value | 1;
}

static int concerns(const char *path) {
    return cache && path && !strncmp(path, below, length) && path[length] == '/' && !strstr(path, "/../");
}

static size_t end_of(const char *path, size_t from) { /* of the name that begins behind the slash at `from` */
    const char *slash = strchr(path + from + 1, '/');
    return slash ? (size_t)(slash - path) : strlen(path);
}

static struct entry *entry_of(uint64_t path, int make) {
    for (int i = 0; i < PROBES; i++) {
        struct entry *entry = &cache[(path + i) % SLOTS];
        if (entry->path == path) return entry;
        if (make && (!entry->path || entry->until < now())) return entry;
    }
    return NULL;
}

static int is_absent(const char *path, size_t bytes) { /* whether it, or what it lies in, is said to be absent */
    if (!concerns(path)) return 0;
    for (size_t at = length; at < bytes; at = end_of(path, at)) {
        struct entry *entry = entry_of(hash(path, end_of(path, at)), 0);
        if (entry && entry->until > now()) return 1;
    }
    return 0;
}

static void remember(const char *path) { /* the first name on the way that is not there */
    int error = errno;
    struct stat status;
    char part[PATH_MAX];
    if (error == ENOENT && concerns(path) && strlen(path) < sizeof part)
        for (size_t at = length, end; path[at]; at = end) {
            end = end_of(path, at);
            memcpy(part, path, end);
            part[end] = 0;
            if (REAL(lstat)(part, &status) && errno == ENOENT) {
                struct entry *entry = entry_of(hash(path, end), 1);
                if (entry) *entry = (struct entry){hash(path, end), hash(path, at), now() + SECONDS};
                break;
            }
        }
    errno = error;
}

static void forget(const char *path) {
    struct entry *entry = concerns(path) ? entry_of(hash(path, strlen(path)), 0) : NULL;
    if (entry) entry->until = 0;
}

static void forget_in(const char *directory) {
    if (strncmp(directory, below ? below : "\1", length) || !cache) return;
    uint64_t wanted = hash(directory, strlen(directory));
    for (int i = 0; i < SLOTS; i++)
        if (cache[i].directory == wanted) cache[i].until = 0;
}

static size_t parent(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

#define LOOK(path, bad, call)                                       \
    do {                                                            \
        if (is_absent(path, strlen(path))) return errno = ENOENT, bad; \
        __auto_type got = call;                                     \
        if (got == bad) remember(path);                             \
        return got;                                                 \
    } while (0)

#define MAKE(path, call)                                            \
    do {                                                            \
        if (is_absent(path, parent(path))) return errno = ENOENT, -1; \
        int got = call;                                             \
        if (got >= 0 || errno == EEXIST) forget(path);              \
        return got;                                                 \
    } while (0)

static int opened(const char *path, int got) {
    struct stat status;
    int error = errno;
    if (got >= 0 && concerns(path) && !fstat(got, &status) && S_ISDIR(status.st_mode)) forget_in(path);
    errno = error;
    return got;
}

#define OPEN(call)                                                  \
    {                                                               \
        mode_t mode = 0;                                            \
        if (flags & (O_CREAT | __O_TMPFILE)) {                      \
            va_list more;                                           \
            va_start(more, flags);                                  \
            mode = va_arg(more, mode_t);                            \
            va_end(more);                                           \
        }                                                           \
        if (flags & O_CREAT) MAKE(path, call);                      \
        LOOK(path, -1, opened(path, call));                  \
    }

int open(const char *path, int flags, ...) OPEN(REAL(open)(path, flags, mode))
int open64(const char *path, int flags, ...) OPEN(REAL(open64)(path, flags, mode))
int openat(int at, const char *path, int flags, ...) OPEN(REAL(openat)(at, path, flags, mode))
int openat64(int at, const char *path, int flags, ...) OPEN(REAL(openat64)(at, path, flags, mode))

DIR *opendir(const char *path) {
    if (is_absent(path, strlen(path))) return errno = ENOENT, NULL;
    DIR *got = REAL(opendir)(path);
    if (got) forget_in(path);
    else remember(path);
    return got;
}

int stat(const char *path, struct stat *to) { LOOK(path, -1, REAL(stat)(path, to)); }
int stat64(const char *path, struct stat64 *to) { LOOK(path, -1, REAL(stat64)(path, to)); }
int lstat(const char *path, struct stat *to) { LOOK(path, -1, REAL(lstat)(path, to)); }
int lstat64(const char *path, struct stat64 *to) { LOOK(path, -1, REAL(lstat64)(path, to)); }
int fstatat(int at, const char *path, struct stat *to, int flags) { LOOK(path, -1, REAL(fstatat)(at, path, to, flags)); }
int fstatat64(int at, const char *path, struct stat64 *to, int flags) {
    LOOK(path, -1, REAL(fstatat64)(at, path, to, flags));
}
int access(const char *path, int mode) { LOOK(path, -1, REAL(access)(path, mode)); }
int faccessat(int at, const char *path, int mode, int flags) { LOOK(path, -1, REAL(faccessat)(at, path, mode, flags)); }
ssize_t readlink(const char *path, char *to, size_t most) { LOOK(path, -1, REAL(readlink)(path, to, most)); }
ssize_t readlinkat(int at, const char *path, char *to, size_t most) {
    LOOK(path, -1, REAL(readlinkat)(at, path, to, most));
}

int mkdir(const char *path, mode_t mode) { MAKE(path, REAL(mkdir)(path, mode)); }
int mkdirat(int at, const char *path, mode_t mode) { MAKE(path, REAL(mkdirat)(at, path, mode)); }
int symlink(const char *from, const char *path) { MAKE(path, REAL(symlink)(from, path)); }
int link(const char *from, const char *path) { MAKE(path, REAL(link)(from, path)); }
int linkat(int at, const char *from, int to, const char *path, int flags) {
    MAKE(path, REAL(linkat)(at, from, to, path, flags));
}
int rename(const char *from, const char *path) { MAKE(path, REAL(rename)(from, path)); }
int renameat(int at, const char *from, int to, const char *path) { MAKE(path, REAL(renameat)(at, from, to, path)); }
