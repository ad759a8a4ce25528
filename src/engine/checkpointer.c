#include "engine/checkpointer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "engine/versions.h"

enum { MAX_ID_STEP = 1 << 20 };

typedef enum checkpoint_phase { PHASE_NONE, PHASE_ROWS, PHASE_COMMIT } checkpoint_phase;

struct tw_checkpointer {
    tw_checkpoint_policy policy;
    tw_model *model;
    checkpoint_phase phase;
    uint64_t next_id;
    tw_manifest manifest;
    int64_t started_us, last_us; /* monotonic */
    uint64_t last_events;
    pthread_t committer;
    atomic_bool is_committed;
    tw_verdict verdict, next_verdict; /* of the last checkpoint; of the one that is being committed */
    tw_status commit_status;
    tw_error commit_error;
};

tw_status tw_checkpointer_create(
    const tw_checkpoint_policy *policy, tw_model *model, tw_checkpointer **out, tw_error *error)
{
    *out = NULL;
    tw_checkpointer *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->policy = *policy;
    self->model = model;
    self->last_us = tw_clock_monotonic_us();
    tw_status status = TW_STATUS_OK;
    if (policy->directory != NULL) {
        status = tw_directory_create(policy->directory, error);
        if (status == TW_STATUS_OK)
            status = tw_checkpoint_next_id(policy->directory, &self->next_id, error);
    }
    if (status < 0) {
        tw_free(self);
        return status;
    }
    tw_model_stamp stamp;
    tw_model_stamp_now(model, &stamp);
    self->last_events = stamp.events;
    *out = self;
    return TW_STATUS_OK;
}

void tw_checkpointer_destroy(tw_checkpointer **self)
{
    if (*self == NULL)
        return;
    if ((*self)->phase == PHASE_COMMIT)
        (void)pthread_join((*self)->committer, NULL);
    tw_manifest_fini(&(*self)->manifest);
    tw_free(*self);
    *self = NULL;
}

void tw_checkpointer_set_verdict(tw_checkpointer *self, const tw_verdict *verdict)
{
    self->verdict = *verdict;
}

bool tw_checkpointer_is_running(const tw_checkpointer *self)
{
    return self->phase != PHASE_NONE;
}

bool tw_checkpointer_is_due(const tw_checkpointer *self, uint64_t events)
{
    const tw_checkpoint_policy *policy = &self->policy;
    if (policy->directory == NULL || self->phase != PHASE_NONE || events == self->last_events)
        return false;
    if (policy->every_events > 0 && events >= self->last_events + policy->every_events)
        return true;
    return policy->every_us > 0 && tw_clock_monotonic_us() - self->last_us >= policy->every_us;
}

/* Shards number snapshots of their own in the same row: an id that one of them has used is passed over, in growing
 * steps. */
static tw_status start_rows(tw_checkpointer *self, tw_error *error)
{
    uint64_t unused = 0;
    if (tw_checkpoint_next_id(self->policy.directory, &unused, NULL) == TW_STATUS_OK && unused > self->next_id)
        self->next_id = unused;
    tw_status status = TW_STATUS_CONFLICT;
    for (uint64_t step = 1; status == TW_STATUS_CONFLICT && step <= MAX_ID_STEP; step *= 2) {
        self->manifest.id = self->next_id;
        self->next_id += step;
        status = tw_model_snapshot_start(self->model, self->policy.directory, self->manifest.id, error);
    }
    return status;
}

tw_status tw_checkpointer_start(tw_checkpointer *self, tw_manifest *manifest, tw_error *error)
{
    tw_manifest_fini(&self->manifest);
    self->manifest = *manifest;
    memset(manifest, 0, sizeof *manifest);
    self->started_us = self->last_us = tw_clock_monotonic_us();
    self->last_events = self->manifest.events;
    self->manifest.created_us = tw_clock_wall_us();
    tw_status status = start_rows(self, error);
    if (status == TW_STATUS_OK)
        self->phase = PHASE_ROWS;
    return status;
}

/* Shards that were joined write where they were told to, which only they know. */
static tw_status check_files(const char *directory, const tw_row_files *files, tw_error *error)
{
    char path[TW_FILE_NAME_SIZE + 4096];
    tw_file_info info;
    for (uint32_t i = 0; i < files->n_files; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, files->file[i].name);
        tw_status status = tw_file_stat(path, &info, error);
        if (status == TW_STATUS_NOT_FOUND) {
            status = tw_error_set(error, TW_STATUS_IO,
                "%s is not there: its shard saves somewhere else; joined shards want the run's checkpoint.dir as their "
                "--checkpoint, the same directory for all",
                path);
            tw_error_code(error, "E204");
        }
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}

static void *checkpointer_commit(void *argument)
{
    tw_checkpointer *self = argument;
    const tw_checkpoint_policy *policy = &self->policy;
    tw_status status = TW_STATUS_OK;
    self->next_verdict = (tw_verdict){.is_published = true};
    status = check_files(policy->directory, &self->manifest.files, &self->commit_error);
    if (status == TW_STATUS_OK && policy->gate.n_required > 0)
        status = tw_gate_judge(&policy->gate, tw_model_traits(self->model), &self->verdict, &self->manifest,
            &self->next_verdict, &self->commit_error);
    if (status == TW_STATUS_OK)
        status = tw_checkpoint_commit(policy->directory, &self->manifest, &self->commit_error);
    if (status == TW_STATUS_OK)
        status = tw_versions_prune(policy->directory, policy->keep, &self->commit_error);
    self->commit_status = status;
    atomic_store(&self->is_committed, true);
    return NULL;
}

static tw_status poll_rows(tw_checkpointer *self, tw_error *error)
{
    tw_status status = tw_model_snapshot_poll(self->model, 0, &self->manifest.files, error);
    if (status == TW_STATUS_IDLE)
        return status;
    self->phase = PHASE_NONE;
    if (status != TW_STATUS_OK)
        return status;
    atomic_store(&self->is_committed, false);
    self->commit_error = (tw_error){0};
    int errnum = pthread_create(&self->committer, NULL, checkpointer_commit, self);
    if (errnum != 0)
        return tw_error_errno(error, TW_STATUS_NO_MEMORY, errnum, "checkpoint: the writer thread cannot be started");
    self->phase = PHASE_COMMIT;
    return TW_STATUS_IDLE;
}

static uint64_t rows_bytes(const tw_manifest *manifest)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < manifest->files.n_files; i++)
        bytes += manifest->files.file[i].size;
    return bytes;
}

tw_status tw_checkpointer_poll(tw_checkpointer *self, tw_checkpoint_result *result, tw_error *error)
{
    if (self->phase == PHASE_ROWS)
        return poll_rows(self, error);
    if (self->phase != PHASE_COMMIT || !atomic_load(&self->is_committed))
        return TW_STATUS_IDLE;
    (void)pthread_join(self->committer, NULL);
    self->phase = PHASE_NONE;
    if (self->commit_status < 0) {
        if (error != NULL)
            *error = self->commit_error;
        return self->commit_status;
    }
    self->verdict = self->next_verdict;
    if (self->policy.gate.n_required == 0)
        self->verdict.published_version = self->manifest.id;
    *result = (tw_checkpoint_result){
        .id = self->manifest.id,
        .events = self->manifest.events,
        .bytes = rows_bytes(&self->manifest),
        .seconds = (double)(tw_clock_monotonic_us() - self->started_us) / 1e6,
        .verdict = self->verdict,
    };
    tw_model_set_version(self->model, self->manifest.id, self->manifest.created_us);
    return TW_STATUS_OK;
}
