#include "disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

enum { MAX_FILES = 512, MAX_OPEN = 32, NAME_SIZE = 160 };

typedef struct disk_file {
    char name[NAME_SIZE];         /* "": none, removed */
    char durable_name[NAME_SIZE]; /* after a power cut; "": none */
    unsigned char *bytes;
    size_t size, capacity, synced;
} disk_file;

typedef struct disk_handle {
    disk_file *file;
    size_t position;
} disk_handle;

static struct {
    disk_file file[MAX_FILES];
    disk_handle open[MAX_OPEN];
    disk_limit limit;
    uint64_t limit_after, n_unique;
    bool was_hit;
} disk;

static void forget(disk_file *file)
{
    free(file->bytes);
    memset(file, 0, sizeof *file);
}

void disk_clear(void)
{
    for (int i = 0; i < MAX_FILES; i++)
        forget(&disk.file[i]);
    memset(disk.open, 0, sizeof disk.open);
    disk.n_unique = 0;
    disk_set_limit(DISK_NO_LIMIT, 0);
}

void disk_set_limit(disk_limit limit, uint64_t after)
{
    disk.limit = limit;
    disk.limit_after = after;
    disk.was_hit = false;
}

bool disk_limit_was_hit(void)
{
    return disk.was_hit;
}

static tw_status broken(const char *path, tw_error *error)
{
    disk.was_hit = true;
    return tw_error_set(error, TW_STATUS_IO, "%s: simulated", path);
}

static bool is_dead(void)
{
    return disk.limit == DISK_DEAD && disk.limit_after == 0;
}

static bool is_in(const char *name, const char *directory)
{
    size_t size = strlen(directory);
    return strncmp(name, directory, size) == 0 && name[size] == '/';
}

bool disk_power_cut(const char *directory, disk_draw draw, void *context)
{
    bool has_lost = false;
    for (int i = 0; i < MAX_FILES; i++) {
        disk_file *file = &disk.file[i];
        if (!is_in(file->name, directory) && !is_in(file->durable_name, directory))
            continue;
        if (strcmp(file->name, file->durable_name) != 0 && draw(context, 2) == 0) {
            memcpy(file->name, file->durable_name, NAME_SIZE);
            has_lost = true;
        }
        if (file->size > file->synced) {
            file->size = file->synced + draw(context, file->size - file->synced + 1);
            if (file->size > file->synced && draw(context, 2) == 0)
                memset(file->bytes + file->synced, 0, (file->size - file->synced) / 2);
            has_lost = true;
        }
        memcpy(file->durable_name, file->name, NAME_SIZE);
        file->synced = file->size;
        if (file->name[0] == '\0')
            forget(file);
    }
    return has_lost;
}

bool disk_damage(const char *directory, disk_draw draw, void *context)
{
    disk_file *found[MAX_FILES];
    uint64_t n = 0;
    for (int i = 0; i < MAX_FILES; i++) {
        if (is_in(disk.file[i].name, directory) && disk.file[i].size > 0)
            found[n++] = &disk.file[i];
    }
    if (n == 0)
        return false;
    disk_file *hit = found[draw(context, n)];
    for (uint64_t k = 1 + draw(context, 3); k > 0; k--)
        hit->bytes[draw(context, hit->size)] ^= (unsigned char)(1 + draw(context, 255));
    return true;
}

/* --- the calls of src/base/file.h --------------------------------------------------------------------------------- */

static disk_file *find(const char *path)
{
    for (int i = 0; i < MAX_FILES; i++) {
        if (disk.file[i].name[0] != '\0' && strcmp(disk.file[i].name, path) == 0)
            return &disk.file[i];
    }
    return NULL;
}

static disk_file *make(const char *path)
{
    for (int i = 0; i < MAX_FILES; i++) {
        if (disk.file[i].name[0] == '\0' && disk.file[i].durable_name[0] == '\0' && strlen(path) < NAME_SIZE) {
            memcpy(disk.file[i].name, path, strlen(path) + 1);
            return &disk.file[i];
        }
    }
    abort();
}

tw_status tw_file_open(const char *path, tw_open_mode mode, int *fd, tw_error *error)
{
    *fd = -1;
    if (is_dead())
        return broken(path, error);
    disk_file *file = find(path);
    if (file == NULL && mode == TW_OPEN_READ)
        return tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: simulated", path);
    if (file == NULL)
        file = make(path);
    if (mode == TW_OPEN_WRITE_NEW)
        file->size = file->synced = 0;
    for (int i = 0; i < MAX_OPEN; i++) {
        if (disk.open[i].file == NULL) {
            disk.open[i] = (disk_handle){file, mode == TW_OPEN_APPEND ? file->size : 0};
            *fd = i;
            return TW_STATUS_OK;
        }
    }
    abort();
}

tw_status tw_file_close(int *fd, const char *path, tw_error *error)
{
    (void)path;
    (void)error;
    if (*fd >= 0)
        disk.open[*fd].file = NULL;
    *fd = -1;
    return TW_STATUS_OK;
}

tw_status tw_file_read_at(
    int fd, const char *path, uint64_t offset, void *bytes, size_t size, size_t *n_read, tw_error *error)
{
    const disk_file *file = disk.open[fd].file;
    *n_read = 0;
    if (is_dead())
        return broken(path, error);
    size_t left = offset < file->size ? file->size - (size_t)offset : 0;
    *n_read = size < left ? size : left;
    if (*n_read > 0)
        memcpy(bytes, file->bytes + offset, *n_read);
    return TW_STATUS_OK;
}

tw_status tw_file_read(int fd, const char *path, void *bytes, size_t size, size_t *n_read, tw_error *error)
{
    tw_status status = tw_file_read_at(fd, path, disk.open[fd].position, bytes, size, n_read, error);
    disk.open[fd].position += *n_read;
    return status;
}

static void resize(disk_file *file, size_t size)
{
    if (size > file->capacity) {
        file->capacity = size * 2;
        file->bytes = realloc(file->bytes, file->capacity);
        if (file->bytes == NULL)
            abort();
    }
    if (size > file->size)
        memset(file->bytes + file->size, 0, size - file->size);
    file->size = size;
    file->synced = file->synced < size ? file->synced : size;
}

tw_status tw_file_write_at(int fd, const char *path, uint64_t offset, const void *bytes, size_t size, tw_error *error)
{
    disk_file *file = disk.open[fd].file;
    size_t n = disk.limit != DISK_NO_LIMIT && disk.limit_after < size ? (size_t)disk.limit_after : size;
    if (offset + n > file->size)
        resize(file, (size_t)offset + n);
    if (n > 0)
        memcpy(file->bytes + offset, bytes, n);
    file->synced = file->synced < offset ? file->synced : (size_t)offset;
    if (disk.limit != DISK_NO_LIMIT)
        disk.limit_after -= n;
    return n == size ? TW_STATUS_OK : broken(path, error);
}

tw_status tw_file_write(int fd, const char *path, const void *bytes, size_t size, tw_error *error)
{
    tw_status status = tw_file_write_at(fd, path, disk.open[fd].position, bytes, size, error);
    disk.open[fd].position += size;
    return status;
}

tw_status tw_file_truncate(int fd, const char *path, uint64_t size, tw_error *error)
{
    if (is_dead())
        return broken(path, error);
    resize(disk.open[fd].file, (size_t)size);
    return TW_STATUS_OK;
}

tw_status tw_file_reserve(int fd, const char *path, uint64_t size, tw_error *error)
{
    (void)fd;
    (void)size;
    return is_dead() ? broken(path, error) : TW_STATUS_OK;
}

tw_status tw_file_sync(int fd, const char *path, tw_error *error)
{
    if (is_dead())
        return broken(path, error);
    disk.open[fd].file->synced = disk.open[fd].file->size;
    return TW_STATUS_OK;
}

tw_status tw_file_wait(int fd, const char *path, int timeout_ms, bool *is_ready, tw_error *error)
{
    (void)fd;
    (void)timeout_ms;
    *is_ready = true;
    return is_dead() ? broken(path, error) : TW_STATUS_OK;
}

tw_status tw_file_map(int fd, const char *path, size_t size, const void **bytes, tw_error *error)
{
    *bytes = NULL;
    if (is_dead() || size > disk.open[fd].file->size)
        return broken(path, error);
    void *copy = malloc(size);
    if (copy == NULL)
        abort();
    memcpy(copy, disk.open[fd].file->bytes, size);
    *bytes = copy;
    return TW_STATUS_OK;
}

void tw_file_unmap(const void **bytes, size_t size)
{
    (void)size;
    free((void *)(uintptr_t)*bytes);
    *bytes = NULL;
}

static void describe(const disk_file *file, tw_file_info *info)
{
    *info =
        (tw_file_info){.size = file->size, .device = 1, .inode = (uint64_t)(file - disk.file) + 1, .is_regular = true};
}

tw_status tw_file_stat(const char *path, tw_file_info *info, tw_error *error)
{
    const disk_file *file = find(path);
    if (is_dead())
        return broken(path, error);
    if (file == NULL)
        return tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: simulated", path);
    describe(file, info);
    return TW_STATUS_OK;
}

tw_status tw_file_fstat(int fd, const char *path, tw_file_info *info, tw_error *error)
{
    if (is_dead())
        return broken(path, error);
    describe(disk.open[fd].file, info);
    return TW_STATUS_OK;
}

tw_status tw_file_open_growing(const char *path, uint64_t size, int *fd, tw_error *error)
{
    tw_status status = tw_file_open(path, TW_OPEN_APPEND, fd, error);
    return status == TW_STATUS_OK ? tw_file_truncate(*fd, path, size, error) : status;
}

tw_status tw_file_rename(const char *from, const char *to, tw_error *error)
{
    disk_file *file = find(from), *replaced = find(to);
    if (is_dead() || file == NULL || strlen(to) >= NAME_SIZE)
        return broken(from, error);
    if (replaced != NULL)
        replaced->name[0] = '\0';
    memcpy(file->name, to, strlen(to) + 1);
    return TW_STATUS_OK;
}

tw_status tw_file_rename_new(const char *from, const char *to, tw_error *error)
{
    if (!is_dead() && find(to) != NULL)
        return tw_error_set(error, TW_STATUS_CONFLICT, "%s: is there already", to);
    return tw_file_rename(from, to, error);
}

uint64_t tw_file_unique(void)
{
    return ++disk.n_unique;
}

tw_status tw_file_remove(const char *path, tw_error *error)
{
    disk_file *file = find(path);
    if (is_dead())
        return broken(path, error);
    if (file == NULL)
        return TW_STATUS_OK;
    file->name[0] = '\0';
    if (file->durable_name[0] == '\0')
        forget(file);
    return TW_STATUS_OK;
}

tw_status tw_file_lock(const char *path, int *fd, uint64_t *owner, tw_error *error)
{
    if (owner != NULL)
        *owner = 0;
    return tw_file_open(path, TW_OPEN_APPEND, fd, error);
}

tw_status tw_directory_create(const char *path, tw_error *error)
{
    return is_dead() ? broken(path, error) : TW_STATUS_OK;
}

tw_status tw_directory_sync(const char *path, tw_error *error)
{
    if (is_dead())
        return broken(path, error);
    for (int i = 0; i < MAX_FILES; i++) {
        disk_file *file = &disk.file[i];
        if (!is_in(file->name, path) && !is_in(file->durable_name, path))
            continue;
        memcpy(file->durable_name, file->name, NAME_SIZE);
        if (file->name[0] == '\0')
            forget(file);
    }
    return TW_STATUS_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

tw_status tw_names_add(tw_names *self, const char *name, tw_error *error)
{
    size_t size = strlen(name) + 1;
    tw_status status = tw_grow(&self->name, sizeof *self->name, &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    self->name[self->count] = tw_alloc(size);
    if (self->name[self->count] == NULL)
        return tw_no_memory(error, size);
    memcpy(self->name[self->count++], name, size);
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
    memset(self, 0, sizeof *self);
}

tw_status tw_directory_list(const char *path, tw_names *out, tw_error *error)
{
    memset(out, 0, sizeof *out);
    if (is_dead())
        return broken(path, error);
    for (int i = 0; i < MAX_FILES; i++) {
        if (is_in(disk.file[i].name, path) && tw_names_add(out, disk.file[i].name + strlen(path) + 1, error) < 0)
            abort();
    }
    if (out->count > 0)
        qsort(out->name, out->count, sizeof *out->name, compare_names);
    return TW_STATUS_OK;
}

tw_status tw_file_load(const char *path, size_t limit, char **bytes, size_t *size, tw_error *error)
{
    const disk_file *file = find(path);
    if (is_dead())
        return broken(path, error);
    if (file == NULL)
        return tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: simulated", path);
    if (file->size > limit)
        return tw_error_set(error, TW_STATUS_INVALID, "%s: too long", path);
    *bytes = tw_alloc(file->size + 1);
    if (*bytes == NULL)
        return tw_no_memory(error, file->size + 1);
    if (file->size > 0)
        memcpy(*bytes, file->bytes, file->size);
    (*bytes)[file->size] = '\0';
    *size = file->size;
    return TW_STATUS_OK;
}

tw_status tw_file_store(const char *path, const void *bytes, size_t size, tw_error *error)
{
    char temporary[NAME_SIZE];
    int fd = -1;
    if (strlen(path) + 5 > sizeof temporary)
        abort();
    memcpy(temporary, path, strlen(path));
    memcpy(temporary + strlen(path), ".new", 5);
    tw_status status = tw_file_open(temporary, TW_OPEN_WRITE_NEW, &fd, error);
    if (status == TW_STATUS_OK)
        status = tw_file_write(fd, temporary, bytes, size, error);
    if (status == TW_STATUS_OK)
        status = tw_file_sync(fd, temporary, error);
    (void)tw_file_close(&fd, temporary, NULL);
    return status == TW_STATUS_OK ? tw_file_rename(temporary, path, error) : status;
}
