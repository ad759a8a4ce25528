#define _GNU_SOURCE
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"

static tw_status file_error(tw_error *error, const char *call, const char *path)
{
    int errnum = errno;
    tw_status status = errnum == ENOENT || errnum == ENOTDIR ? TW_STATUS_NOT_FOUND : TW_STATUS_IO;
    return tw_error_errno(error, status, errnum, "%s: cannot %s", path, call);
}

tw_status tw_file_open(const char *path, tw_open_mode mode, int *fd, tw_error *error)
{
    static const int flags[] = {
        [TW_OPEN_READ] = O_RDONLY,
        [TW_OPEN_WRITE_NEW] = O_WRONLY | O_CREAT | O_TRUNC,
        [TW_OPEN_APPEND] = O_WRONLY | O_CREAT | O_APPEND,
    };
    *fd = tw_fault_hit(TW_FAULT_FILE) ? -1 : open(path, flags[mode] | O_CLOEXEC, 0644);
    if (*fd < 0 && mode != TW_OPEN_READ)
        return tw_error_errno(error, TW_STATUS_IO, errno, "%s: cannot open for writing", path);
    if (*fd < 0)
        return file_error(error, "open", path);
    struct stat info;
    if (fstat(*fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        (void)close(*fd);
        *fd = -1;
        errno = EISDIR;
        return file_error(error, mode == TW_OPEN_READ ? "read" : "open for writing", path);
    }
    return TW_STATUS_OK;
}

tw_status tw_file_close(int *fd, const char *path, tw_error *error)
{
    int open_fd = *fd;
    *fd = -1;
    if (open_fd < 0)
        return TW_STATUS_OK;
    bool is_faulty = tw_fault_hit(TW_FAULT_FILE);
    int errnum = errno;
    if (close(open_fd) != 0 && errno != EINTR)
        return file_error(error, "close", path);
    if (is_faulty) {
        errno = errnum;
        return file_error(error, "close", path);
    }
    return TW_STATUS_OK;
}

tw_status tw_file_read(int fd, const char *path, void *bytes, size_t size, size_t *n_read, tw_error *error)
{
    *n_read = 0;
    ssize_t n;
    do {
        n = tw_fault_hit(TW_FAULT_FILE) ? -1 : read(fd, bytes, size);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return file_error(error, "read", path);
    *n_read = (size_t)n;
    return TW_STATUS_OK;
}

tw_status tw_file_read_at(
    int fd, const char *path, uint64_t offset, void *bytes, size_t size, size_t *n_read, tw_error *error)
{
    *n_read = 0;
    while (*n_read < size) {
        ssize_t n = tw_fault_hit(TW_FAULT_FILE)
                        ? -1
                        : pread(fd, (char *)bytes + *n_read, size - *n_read, (off_t)(offset + *n_read));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_error(error, "read", path);
        if (n == 0)
            break;
        *n_read += (size_t)n;
    }
    return TW_STATUS_OK;
}

tw_status tw_file_write(int fd, const char *path, const void *bytes, size_t size, tw_error *error)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t n = tw_fault_hit(TW_FAULT_FILE) ? -1 : write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_error(error, "write", path);
        at += n;
        size -= (size_t)n;
    }
    return TW_STATUS_OK;
}

tw_status tw_file_write_at(int fd, const char *path, uint64_t offset, const void *bytes, size_t size, tw_error *error)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t n = tw_fault_hit(TW_FAULT_FILE) ? -1 : pwrite(fd, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_error(error, "write", path);
        at += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return TW_STATUS_OK;
}

tw_status tw_file_map(int fd, const char *path, size_t size, const void **bytes, tw_error *error)
{
    void *memory = tw_fault_hit(TW_FAULT_FILE) ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    *bytes = memory == MAP_FAILED ? NULL : memory;
    return memory == MAP_FAILED ? file_error(error, "map", path) : TW_STATUS_OK;
}

void tw_file_unmap(const void **bytes, size_t size)
{
    union {
        const void *mapped;
        void *memory;
    } place = {.mapped = *bytes};
    if (*bytes != NULL)
        (void)munmap(place.memory, size);
    *bytes = NULL;
}

tw_status tw_file_truncate(int fd, const char *path, uint64_t size, tw_error *error)
{
    if (tw_fault_hit(TW_FAULT_FILE) || ftruncate(fd, (off_t)size) != 0)
        return file_error(error, "truncate", path);
    return TW_STATUS_OK;
}

static tw_status too_short(const char *path, uint64_t size, uint64_t counted, tw_error *error)
{
    return tw_error_set(error, TW_STATUS_CONFLICT,
        "%s: %llu bytes, but the checkpoint was made when it had %llu: put the file back, or start over with --fresh",
        path, (unsigned long long)size, (unsigned long long)counted);
}

static tw_status cut_back(int fd, const char *path, uint64_t size, tw_error *error)
{
    tw_file_info info = {0};
    tw_status status = tw_file_fstat(fd, path, &info, error);
    if (status < 0 || !info.is_regular || info.size == size)
        return status;
    return info.size < size ? too_short(path, info.size, size, error) : tw_file_truncate(fd, path, size, error);
}

tw_status tw_file_open_growing(const char *path, uint64_t size, int *fd, tw_error *error)
{
    tw_file_info info;
    *fd = -1;
    tw_status status = size > 0 ? tw_file_stat(path, &info, error) : TW_STATUS_OK; /* opening would make it */
    if (status == TW_STATUS_NOT_FOUND)
        return too_short(path, 0, size, error);
    if (status == TW_STATUS_OK)
        status = tw_file_open(path, TW_OPEN_APPEND, fd, error);
    if (status == TW_STATUS_OK)
        status = cut_back(*fd, path, size, error);
    if (status < 0)
        (void)tw_file_close(fd, path, NULL);
    return status;
}

tw_status tw_file_reserve(int fd, const char *path, uint64_t size, tw_error *error)
{
    if (size == 0)
        return TW_STATUS_OK;
    errno = tw_fault_hit(TW_FAULT_FILE) ? errno : posix_fallocate(fd, 0, (off_t)size);
    if (errno != 0 && errno != EOPNOTSUPP && errno != EINVAL)
        return file_error(error, "reserve space", path);
    return TW_STATUS_OK;
}

tw_status tw_file_sync(int fd, const char *path, tw_error *error)
{
    if (tw_fault_hit(TW_FAULT_FILE) || fdatasync(fd) != 0)
        return file_error(error, "sync", path);
    return TW_STATUS_OK;
}

tw_status tw_file_wait(int fd, const char *path, int timeout_ms, bool *is_ready, tw_error *error)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    int n = tw_fault_hit(TW_FAULT_FILE) ? -1 : poll(&wanted, 1, timeout_ms);
    *is_ready = n > 0;
    if (n < 0 && errno != EINTR)
        return file_error(error, "wait for", path);
    return TW_STATUS_OK;
}

static void file_info_fill(const struct stat *from, tw_file_info *info)
{
    *info = (tw_file_info){
        .size = (uint64_t)from->st_size,
        .device = (uint64_t)from->st_dev,
        .inode = (uint64_t)from->st_ino,
        .modified_us = (int64_t)from->st_mtim.tv_sec * 1000000 + from->st_mtim.tv_nsec / 1000,
        .is_directory = S_ISDIR(from->st_mode),
        .is_regular = S_ISREG(from->st_mode),
    };
}

tw_status tw_file_stat(const char *path, tw_file_info *info, tw_error *error)
{
    struct stat result;
    if (tw_fault_hit(TW_FAULT_FILE) || stat(path, &result) != 0)
        return file_error(error, "open", path);
    file_info_fill(&result, info);
    return TW_STATUS_OK;
}

tw_status tw_file_fstat(int fd, const char *path, tw_file_info *info, tw_error *error)
{
    struct stat result;
    if (tw_fault_hit(TW_FAULT_FILE) || fstat(fd, &result) != 0)
        return file_error(error, "stat", path);
    file_info_fill(&result, info);
    struct statx birth;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &birth) == 0 && (birth.stx_mask & STATX_BTIME) != 0)
        info->born_us = (int64_t)birth.stx_btime.tv_sec * 1000000 + birth.stx_btime.tv_nsec / 1000;
    return TW_STATUS_OK;
}

tw_status tw_file_rename(const char *from, const char *to, tw_error *error)
{
    if (tw_fault_hit(TW_FAULT_FILE) || rename(from, to) != 0)
        return file_error(error, "rename", from);
    return TW_STATUS_OK;
}

/* Where the file system cannot do both in one step, at least what stands there is seen. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    struct stat there;
    if (stat(to, &there) != 0)
        return rename(from, to);
    errno = EEXIST;
    return -1;
}

tw_status tw_file_rename_new(const char *from, const char *to, tw_error *error)
{
    if (!tw_fault_hit(TW_FAULT_FILE) && rename_new(from, to) == 0)
        return TW_STATUS_OK;
    if (errno == EEXIST)
        return tw_error_set(error, TW_STATUS_CONFLICT, "%s: is there already; another process writes here", to);
    return file_error(error, "rename", from);
}

uint64_t tw_file_unique(void)
{
    uint64_t place = (uint64_t)gettid() << 40 ^ (uint64_t)tw_clock_wall_us();
    return tw_mix64(place ^ tw_mix64((uint64_t)tw_clock_monotonic_us()));
}

tw_status tw_file_remove(const char *path, tw_error *error)
{
    if ((tw_fault_hit(TW_FAULT_FILE) || unlink(path) != 0) && errno != ENOENT)
        return file_error(error, "remove", path);
    return TW_STATUS_OK;
}

static uint64_t read_owner(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? strtoull(text, NULL, 10) : 0;
}

tw_status tw_file_lock(const char *path, int *fd, uint64_t *owner, tw_error *error)
{
    char text[24];
    *fd = tw_fault_hit(TW_FAULT_FILE) ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0)
        return file_error(error, "open for writing", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        int errnum = errno;
        if (owner != NULL)
            *owner = read_owner(*fd);
        (void)close(*fd);
        *fd = -1;
        errno = errnum;
        return errnum == EWOULDBLOCK ? tw_error_set(error, TW_STATUS_BUSY, "%s: locked by another process", path)
                                     : file_error(error, "lock", path);
    }
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(*fd, 0) != 0 || pwrite(*fd, text, (size_t)size, 0) != size)
        errno = 0; /* the pid only helps a message; a full disk must not keep a run from starting */
    return TW_STATUS_OK;
}

tw_status tw_directory_create(const char *path, tw_error *error)
{
    char part[PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return tw_error_set(
            error, TW_STATUS_INVALID, "directory name of %zu bytes: must be 1 to %d", size, PATH_MAX - 1);
    for (size_t i = 1; i <= size; i++) {
        if (i < size && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (tw_fault_hit(TW_FAULT_FILE) || (mkdir(part, 0755) != 0 && errno != EEXIST))
            return file_error(error, "create directory", part);
    }
    struct stat info;
    if (stat(path, &info) != 0)
        return file_error(error, "open directory", path);
    if (!S_ISDIR(info.st_mode))
        return tw_error_set(error, TW_STATUS_IO, "%s: is a file; a directory is needed here", path);
    return TW_STATUS_OK;
}

tw_status tw_directory_sync(const char *path, tw_error *error)
{
    int fd = tw_fault_hit(TW_FAULT_FILE) ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_error(error, "open directory", path);
    tw_status status = TW_STATUS_OK;
    if (tw_fault_hit(TW_FAULT_FILE) || fsync(fd) != 0)
        status = file_error(error, "sync directory", path);
    (void)close(fd);
    return status;
}

tw_status tw_names_add(tw_names *self, const char *name, tw_error *error)
{
    tw_status status = tw_grow(&self->name, sizeof self->name[0], &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    char *copy = tw_strdup(name);
    if (copy == NULL)
        return tw_no_memory(error, strlen(name) + 1);
    self->name[self->count++] = copy;
    return TW_STATUS_OK;
}

bool tw_names_has(const tw_names *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp(self->name[i], name) == 0)
            return true;
    }
    return false;
}

void tw_names_free(tw_names *self)
{
    for (size_t i = 0; i < self->count; i++)
        tw_free(self->name[i]);
    tw_free(self->name);
    *self = (tw_names){0};
}

static int names_compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

tw_status tw_directory_list(const char *path, tw_names *out, tw_error *error)
{
    *out = (tw_names){0};
    DIR *directory = tw_fault_hit(TW_FAULT_FILE) ? NULL : opendir(path);
    if (directory == NULL)
        return file_error(error, "open directory", path);
    tw_status status = TW_STATUS_OK;
    for (struct dirent *entry = readdir(directory); entry != NULL && status == TW_STATUS_OK;
         entry = readdir(directory)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = tw_names_add(out, entry->d_name, error);
    }
    (void)closedir(directory);
    if (status < 0)
        tw_names_free(out);
    else if (out->count > 1)
        qsort(out->name, out->count, sizeof out->name[0], names_compare);
    return status;
}

static tw_status file_load_open(int fd, const char *path, size_t limit, char **bytes, size_t *size, tw_error *error)
{
    size_t capacity = 0;
    for (;;) {
        tw_status status = tw_grow(bytes, 1, &capacity, *size + 65536, error);
        size_t n = 0;
        if (status == TW_STATUS_OK)
            status = tw_file_read(fd, path, *bytes + *size, capacity - *size - 1, &n, error);
        if (status < 0)
            return status;
        *size += n;
        if (*size > limit)
            return tw_error_set(error, TW_STATUS_INVALID, "%s: larger than the limit of %zu bytes", path, limit);
        if (n == 0)
            break;
    }
    (*bytes)[*size] = '\0';
    return TW_STATUS_OK;
}

tw_status tw_file_load(const char *path, size_t limit, char **bytes, size_t *size, tw_error *error)
{
    *bytes = NULL;
    *size = 0;
    int fd = -1;
    tw_status status = tw_file_open(path, TW_OPEN_READ, &fd, error);
    if (status < 0)
        return status;
    status = file_load_open(fd, path, limit, bytes, size, error);
    (void)close(fd);
    if (status < 0) {
        tw_free(*bytes);
        *bytes = NULL;
    }
    return status;
}

static void directory_of(const char *path, char *directory, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        (void)snprintf(directory, size, ".");
    else
        (void)snprintf(directory, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static tw_status file_write_whole(const char *path, const void *bytes, size_t size, bool is_durable, tw_error *error)
{
    char temporary[PATH_MAX];
    char directory[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.tmp", path) >= sizeof temporary)
        return tw_error_set(error, TW_STATUS_INVALID, "%.200s...: file name longer than %d bytes", path, PATH_MAX - 5);
    directory_of(path, directory, sizeof directory);
    int fd = -1;
    tw_status status = tw_file_open(temporary, TW_OPEN_WRITE_NEW, &fd, error);
    if (status == TW_STATUS_OK)
        status = tw_file_write(fd, temporary, bytes, size, error);
    if (status == TW_STATUS_OK && is_durable)
        status = tw_file_sync(fd, temporary, error);
    tw_status closed = tw_file_close(&fd, temporary, status == TW_STATUS_OK ? error : NULL);
    if (status == TW_STATUS_OK)
        status = closed;
    if (status == TW_STATUS_OK)
        status = tw_file_rename(temporary, path, error);
    if (status == TW_STATUS_OK && is_durable)
        status = tw_directory_sync(directory, error);
    if (status < 0)
        (void)unlink(temporary);
    return status;
}

tw_status tw_file_store(const char *path, const void *bytes, size_t size, tw_error *error)
{
    return file_write_whole(path, bytes, size, true, error);
}

tw_status tw_file_replace(const char *path, const void *bytes, size_t size, tw_error *error)
{
    return file_write_whole(path, bytes, size, false, error);
}
