#define _DEFAULT_SOURCE
#include "support/log_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t writer_random(log_writer *self, uint64_t below)
{
    self->random = self->random * 6364136223846793005u + 1442695040888963407u;
    return (self->random >> 33) % below;
}

/* "log" for 0, "log.1", ...; complete, as the working folder is another one when a test has failed. */
static const char *writer_path(const log_writer *self, uint64_t rank, char path[128])
{
    int n = snprintf(path, 128, "%s/log", self->folder);
    if (rank > 0)
        (void)snprintf(path + n, 128 - (size_t)n, ".%llu", (unsigned long long)rank);
    return path;
}

static void writer_wait(log_writer *self)
{
    while (atomic_load(&self->read) < atomic_load(&self->written) && !atomic_load(&self->is_stopped))
        usleep(200);
}

static void writer_put(log_writer *self, const char *bytes, size_t size)
{
    char path[128];
    FILE *file = fopen(writer_path(self, 0, path), "a");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
}

static void writer_line(log_writer *self, uint64_t number)
{
    char line[128], path[128];
    struct stat info;
    int n = 0;
    if (self->has_header && (stat(writer_path(self, 0, path), &info) != 0 || info.st_size == 0))
        n = sprintf(line, "number,text\n");
    n += snprintf(line + n, 100, "%llu %.*s\n", (unsigned long long)number, (int)writer_random(self, 60),
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    pthread_mutex_lock(&self->lock);
    memcpy(self->text + atomic_load(&self->written), line, (size_t)n);
    pthread_mutex_unlock(&self->lock);
    for (int at = 0; at < n;) {
        int piece = 1 + (int)writer_random(self, (uint64_t)n);
        piece = piece < n - at ? piece : n - at;
        writer_put(self, line + at, (size_t)piece);
        at += piece;
        if (writer_random(self, 4) == 0)
            usleep(300);
    }
    atomic_fetch_add(&self->written, (uint64_t)n);
}

static void writer_rotate(log_writer *self)
{
    char from[128], to[128];
    for (uint64_t rank = self->n_kept; rank-- > 0;)
        (void)rename(writer_path(self, rank, from), writer_path(self, rank + 1, to));
}

void *log_writer_run(void *context)
{
    log_writer *self = context;
    char path[128];
    uint64_t n_rotations = 0;
    for (uint64_t number = 0; number < self->n_lines && !atomic_load(&self->is_stopped); number++) {
        writer_line(self, number);
        uint64_t dice = writer_random(self, 60);
        if (number == 0)
            writer_wait(self); /* what was rotated before the first look is not asked for */
        if (dice < self->rotations) {
            if (++n_rotations % self->n_kept == 0)
                writer_wait(self); /* replacing the oldest must not delete what is unread */
            writer_rotate(self);
        } else if (dice == 58 && self->is_deleting) {
            writer_wait(self);
            (void)truncate(writer_path(self, 0, path), 0);
        } else if (dice == 59 && self->is_deleting) {
            writer_wait(self);
            (void)unlink(writer_path(self, 0, path));
        }
        if (number % 3 == 0 && atomic_load(&self->written) > atomic_load(&self->read) + 2000)
            writer_wait(self);
    }
    atomic_store(&self->is_over, true);
    return NULL;
}

bool log_writer_wrote(log_writer *self, size_t at, const char *bytes, size_t size)
{
    pthread_mutex_lock(&self->lock);
    bool is_equal = at + size <= LOG_WRITER_SIZE && memcmp(bytes, self->text + at, size) == 0;
    pthread_mutex_unlock(&self->lock);
    return is_equal;
}
