/* file.h: every file call of the project, so that tests can make the n-th one fail. Errors name the path and the call.
 * Interrupted and short reads and writes are continued. */
#ifndef TW_BASE_FILE_H
#define TW_BASE_FILE_H

#include <stddef.h>

#include "thalweg/status.h"

typedef struct tw_file_info {
    uint64_t size, device, inode;
    int64_t modified_us;
    int64_t born_us; /* when the file was made, from tw_file_fstat only; 0: unknown */
    bool is_directory, is_regular;
} tw_file_info;

typedef enum tw_open_mode {
    TW_OPEN_READ,
    TW_OPEN_WRITE_NEW, /* creates or truncates */
    TW_OPEN_APPEND,    /* creates if missing; position at the end; tw_file_truncate works */
} tw_open_mode;

/* NOT_FOUND for a missing path to read, IO otherwise (a directory opened for reading: IO "is a directory"). */
TW_MUST_USE tw_status tw_file_open(const char *path, tw_open_mode mode, int *fd, tw_error *error);
tw_status tw_file_close(int *fd, const char *path, tw_error *error); /* sets *fd to -1; NULL-safe on -1 */

/* Up to `size` bytes from the current position; *n_read 0 at the end of the file. */
TW_MUST_USE tw_status tw_file_read(int fd, const char *path, void *bytes, size_t size, size_t *n_read, tw_error *error);
TW_MUST_USE tw_status tw_file_read_at(
    int fd, const char *path, uint64_t offset, void *bytes, size_t size, size_t *n_read, tw_error *error);
TW_MUST_USE tw_status tw_file_write(int fd, const char *path, const void *bytes, size_t size, tw_error *error);
TW_MUST_USE tw_status tw_file_write_at(
    int fd, const char *path, uint64_t offset, const void *bytes, size_t size, tw_error *error);
TW_MUST_USE tw_status tw_file_truncate(int fd, const char *path, uint64_t size, tw_error *error);
TW_MUST_USE tw_status tw_file_reserve(int fd, const char *path, uint64_t size, tw_error *error); /* fallocate */
TW_MUST_USE tw_status tw_file_sync(int fd, const char *path, tw_error *error);                   /* fdatasync */
/* Waits until a read of a pipe or terminal would not block; a signal ends the wait early. -1: no limit. */
TW_MUST_USE tw_status tw_file_wait(int fd, const char *path, int timeout_ms, bool *is_ready, tw_error *error);
/* Maps [0, size) read-only; size > 0. The file may be closed and removed while it is mapped; it must not be cut. */
TW_MUST_USE tw_status tw_file_map(int fd, const char *path, size_t size, const void **bytes, tw_error *error);
void tw_file_unmap(const void **bytes, size_t size); /* sets *bytes to NULL; NULL-safe */
TW_MUST_USE tw_status tw_file_stat(const char *path, tw_file_info *info, tw_error *error);
TW_MUST_USE tw_status tw_file_fstat(int fd, const char *path, tw_file_info *info, tw_error *error);
/* Opens a file that grows at its end, of which a checkpoint counts the first `size` bytes: what stands behind them is
 * cut off. Every write goes to the end, also after tw_file_truncate. `size` 0 starts anew, and pipes and devices are
 * not cut. CONFLICT: the file is shorter or gone. *fd is -1 after an error. */
TW_MUST_USE tw_status tw_file_open_growing(const char *path, uint64_t size, int *fd, tw_error *error);
TW_MUST_USE tw_status tw_file_rename(const char *from, const char *to, tw_error *error);
/* CONFLICT: `to` is there already, and stays. */
TW_MUST_USE tw_status tw_file_rename_new(const char *from, const char *to, tw_error *error);
/* For names of temporary files that no other process uses, on whatever machine. */
uint64_t tw_file_unique(void);
TW_MUST_USE tw_status tw_file_remove(const char *path, tw_error *error); /* a missing file is OK */

/* Takes an advisory lock on the file `path`, made if missing and never removed; *fd holds it until it is closed, at the
 * latest by the end of the process. BUSY: another process has it; *owner (NULL allowed) is then its pid, 0 if unknown.
 */
TW_MUST_USE tw_status tw_file_lock(const char *path, int *fd, uint64_t *owner, tw_error *error);

TW_MUST_USE tw_status tw_directory_create(const char *path, tw_error *error); /* with parents; existing is OK */
TW_MUST_USE tw_status tw_directory_sync(const char *path, tw_error *error);   /* fsync */

/* Names in a directory (not "." and ".."), sorted bytewise; release with tw_names_free. */
typedef struct tw_names {
    char **name;
    size_t count, capacity;
} tw_names;
TW_MUST_USE tw_status tw_directory_list(const char *path, tw_names *out, tw_error *error);
TW_MUST_USE tw_status tw_names_add(tw_names *self, const char *name, tw_error *error);
bool tw_names_has(const tw_names *self, const char *name);
void tw_names_free(tw_names *self);

/* A whole file up to `limit` bytes, 0-terminated behind the size; release with tw_free. INVALID above the limit. */
TW_MUST_USE tw_status tw_file_load(const char *path, size_t limit, char **bytes, size_t *size, tw_error *error);

/* Writes to a temporary name beside `path`, syncs, renames, syncs the directory. */
TW_MUST_USE tw_status tw_file_store(const char *path, const void *bytes, size_t size, tw_error *error);
/* The same without syncing: readers see the old bytes or the new ones, a machine that goes down may lose both. */
TW_MUST_USE tw_status tw_file_replace(const char *path, const void *bytes, size_t size, tw_error *error);

#endif
