#include "store/snapshot.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/queue.h"
#include "store/internal.h"

struct tw_snapshot {
    tw_frozen *frozen;
    tw_queue *done; /* the writer puts the object in when it has finished */
    pthread_t thread;
    bool is_started, is_finished;
    tw_status status;
    tw_error error;
    tw_row_file file;
    char name[TW_FILE_NAME_SIZE];
    char *directory;
};

static void *snapshot_run(void *argument)
{
    tw_snapshot *self = argument;
    self->status = tw_frozen_write(self->frozen, self->directory, self->name, &self->file, &self->error);
    tw_status pushed = tw_queue_push(self->done, self, -1); /* there is room: one object, one push */
    (void)pushed;
    return NULL;
}

tw_status tw_snapshot_start(
    tw_table *table, const char *directory, uint64_t id, uint32_t max_deltas, tw_snapshot **out, tw_error *error)
{
    *out = NULL;
    tw_snapshot *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    tw_row_file_name(id, 0, 1, self->name);
    tw_status status = tw_queue_create(1, &self->done, error);
    self->directory = tw_strdup(directory);
    if (status == TW_STATUS_OK && self->directory == NULL)
        status = tw_no_memory(error, strlen(directory));
    if (status == TW_STATUS_OK)
        status = tw_table_freeze_after(table, directory, max_deltas, TW_SNAPSHOT_MEMORY, &self->frozen, error);
    if (status == TW_STATUS_OK) {
        int errnum = pthread_create(&self->thread, NULL, snapshot_run, self);
        self->is_started = errnum == 0;
        if (errnum != 0)
            status =
                tw_error_errno(error, TW_STATUS_NO_MEMORY, errnum, "store: the snapshot's thread cannot be started");
    }
    if (status < 0)
        tw_snapshot_destroy(&self);
    *out = self;
    return status;
}

tw_status tw_snapshot_wait(tw_snapshot *self, int timeout_ms, tw_row_file *out, tw_error *error)
{
    void *item = NULL;
    if (!self->is_finished && tw_queue_pop(self->done, &item, timeout_ms) != TW_STATUS_OK)
        return TW_STATUS_IDLE;
    self->is_finished = true;
    if (self->status < 0) {
        if (error != NULL)
            *error = self->error;
        return self->status;
    }
    *out = self->file;
    return TW_STATUS_OK;
}

void tw_snapshot_destroy(tw_snapshot **self)
{
    tw_snapshot *snapshot = self == NULL ? NULL : *self;
    if (snapshot == NULL)
        return;
    if (snapshot->is_started)
        (void)pthread_join(snapshot->thread, NULL);
    tw_frozen_destroy(&snapshot->frozen);
    tw_queue_destroy(&snapshot->done);
    tw_free(snapshot->directory);
    tw_free(snapshot);
    *self = NULL;
}
