#include "ps/edge/server.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/guard.h"
#include "ps/edge/outbox.h"
#include "ps/edge/own_files.h"
#include "ps/edge/refusal_log.h"
#include "ps/edge/standby_edge.h"
#include "store/checkpoint.h"

enum { SERVER_TURN_FRAMES = 256, SERVER_WAIT_S = 3 };

static const uint64_t server_max_outbox_bytes = (uint64_t)128 << 20;

/* A snapshot that a thread of its own writes. The thread touches only this. */
typedef struct snapshot_job {
    pthread_t thread;
    bool is_running, is_barrier;
    uint64_t id;
    tw_frozen *frozen;
    const char *directory;
    char name[TW_FILE_NAME_SIZE];
    tw_row_file file;
    tw_status status;
    tw_error error;
    atomic_bool is_done;
} snapshot_job;

typedef struct shard_server {
    const tw_shard_server_options *options;
    tw_net *net;
    tw_guard *guard; /* NULL: plain */
    tw_socket *socket;
    tw_message *message;
    tw_shard *shard;
    tw_standby_edge *standby; /* NULL: it never was one */
    tw_replication told;
    tw_standby_figures copied; /* of a standby: as last looked at */
    int64_t waits_us;          /* since when the shard that it is to copy does not answer; 0: it does */
    int64_t next_wait_us;      /* when that is said */
    tw_outbox outbox;
    snapshot_job job;
    uint64_t last_id;
    uint64_t saved_id;            /* newest durable snapshot, its own or one that it loaded; 0: none */
    uint64_t n_failed;            /* snapshots */
    int64_t started_us, saved_us; /* saved_us 0: before this process */
    int64_t next_snapshot_us, next_status_us;
    tw_refusal_log refusal_log;
    tw_own_files own; /* written by itself and not asked for */
} shard_server;

static void server_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    tw_outbox_send(context, peer, peer_size, bytes, size);
}

/* --- news -------------------------------------------------------------------------------------------------------- */

static void server_note(const shard_server *self, const char *format, ...) TW_PRINTF(2, 3);
static void server_note(const shard_server *self, const char *format, ...)
{
    char text[TW_ERROR_MESSAGE_SIZE];
    va_list arguments;
    if (self->options->on_note == NULL)
        return;
    int used = snprintf(text, sizeof text, "shard %u of %u: ", self->options->index, self->options->count);
    va_start(arguments, format);
    (void)vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    self->options->on_note(self->options->context, text);
}

/* --- restore ------------------------------------------------------------------------------------------------------ */

/* On as many shards as before each has a file of its own, and goes on from its own marks: they need not be those of the
 * others. NULL: it takes its rows from the files of all. */
static const tw_row_file *own_file(const tw_shard_server_options *options, const tw_row_files *files)
{
    uint64_t id = 0;
    bool has_own = files->n_files == options->count &&
                   tw_row_file_id(files->file[options->index].name, options->index, options->count, &id);
    return has_own ? &files->file[options->index] : NULL;
}

static tw_status restore_files(
    shard_server *self, const char *directory, const tw_table_spec *spec, const tw_row_files *files, tw_error *error)
{
    const tw_shard_server_options *options = self->options;
    uint32_t first = tw_shard_first_slot(options->index, options->count);
    uint32_t last = tw_shard_first_slot(options->index + 1, options->count) - 1;
    const tw_row_file *own = own_file(options, files);
    tw_table *table = NULL;
    tw_status status = tw_table_create(spec, first, last, &table, error);
    if (status == TW_STATUS_OK) {
        tw_table_expect(table, files->split, files->n_splits);
        if (directory == options->init_directory)
            tw_table_take_any_cut(table);
        status = tw_table_load_all(
            table, directory, own != NULL ? own : files->file, own != NULL ? 1 : files->n_files, error);
        tw_table_expect(table, NULL, 0);
    }
    if (status == TW_STATUS_OK && directory == options->init_directory) {
        tw_table_forget_marks(table);
        tw_table_set_epoch(table, 0);
    }
    if (status == TW_STATUS_OK)
        status = tw_shard_adopt_take(self->shard, table, error);
    if (status < 0)
        tw_table_destroy(&table);
    return status;
}

static tw_status restore_checkpoint(shard_server *self, const char *directory, uint64_t id, tw_error *error)
{
    tw_manifest *manifest = tw_alloc_zero(sizeof *manifest);
    if (manifest == NULL)
        return tw_no_memory(error, sizeof *manifest);
    tw_status status = tw_checkpoint_read(directory, id, manifest, NULL, error);
    if (status == TW_STATUS_OK && manifest->files.n_files > 0)
        status = tw_row_file_keep(directory, manifest->files.file[0].name, &manifest->spec.keep, error);
    if (status == TW_STATUS_OK)
        status = restore_files(self, directory, &manifest->spec, &manifest->files, error);
    tw_manifest_fini(manifest);
    tw_free(manifest);
    return status;
}

static tw_status restore_own(shard_server *self, tw_error *error)
{
    const tw_shard_server_options *options = self->options;
    tw_recovered found;
    tw_status status = tw_table_recover(options->directory, options->index, options->count, options->newer_than,
        !options->is_epoch_certain, &found, error);
    self->last_id = found.newest_id;
    self->saved_id = found.id;
    if (status < 0 || found.table == NULL)
        return status;
    status = tw_shard_adopt_take(self->shard, found.table, error);
    if (status < 0)
        tw_table_destroy(&found.table);
    return status;
}

static tw_status restore_saved(shard_server *self, tw_error *error)
{
    const tw_shard_server_options *options = self->options;
    if (options->directory == NULL)
        return options->restore_id == 0
                   ? TW_STATUS_OK
                   : tw_error_set(error, TW_STATUS_INVALID, "a checkpoint to restore needs its directory");
    tw_status status = tw_directory_create(options->directory, error);
    if (status < 0)
        return status;
    if (options->restore_id == 0)
        return restore_own(self, error);
    self->last_id = self->saved_id = options->restore_id;
    return restore_checkpoint(self, options->directory, options->restore_id, error);
}

/* What it begins with: an empty shard learns everything once more. */
static void server_note_rows(const shard_server *self)
{
    const tw_shard_server_options *options = self->options;
    uint32_t count = 0;
    if (options->directory == NULL || options->newer_than == UINT64_MAX)
        return;
    if (self->saved_id != 0)
        server_note(self, "goes on from number %llu in %s", (unsigned long long)self->saved_id, options->directory);
    else if (tw_own_files_others(&self->own, &count))
        server_note(self,
            "begins empty: %s has rows of %u shards, not of %u; --restore N loads a checkpoint of a run, whatever "
            "number of shards it had",
            options->directory, count, options->count);
}

static tw_status server_restore(shard_server *self, tw_error *error)
{
    const tw_shard_server_options *options = self->options;
    tw_status status = restore_saved(self, error);
    if (status == TW_STATUS_OK && options->init_directory != NULL && tw_shard_table(self->shard) == NULL)
        status = restore_checkpoint(self, options->init_directory, options->init_id, error);
    return status;
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

static void *job_run(void *context)
{
    snapshot_job *job = context;
    job->status = tw_frozen_write(job->frozen, job->directory, job->name, &job->file, &job->error);
    atomic_store_explicit(&job->is_done, true, memory_order_release);
    return NULL;
}

static tw_status job_start(shard_server *self, uint64_t id, bool is_barrier, tw_error *error)
{
    snapshot_job *job = &self->job;
    if (self->options->directory == NULL)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "this shard was started without a checkpoint directory");
    if (id <= self->last_id)
        return tw_error_set(error, TW_STATUS_CONFLICT, "snapshot id %llu was used; take one above %llu",
            (unsigned long long)id, (unsigned long long)self->last_id);
    tw_status status = tw_table_freeze_after(tw_shard_table(self->shard), self->options->directory,
        self->options->deltas, TW_SNAPSHOT_MEMORY, &job->frozen, error);
    if (status < 0)
        return status;
    if (!is_barrier)
        tw_frozen_set_own(job->frozen);
    job->directory = self->options->directory;
    job->id = id;
    job->is_barrier = is_barrier;
    memset(&job->error, 0, sizeof job->error);
    atomic_store_explicit(&job->is_done, false, memory_order_relaxed);
    tw_row_file_name(id, self->options->index, self->options->count, job->name);
    int errnum = pthread_create(&job->thread, NULL, job_run, job);
    if (errnum != 0) {
        tw_frozen_destroy(&job->frozen);
        return tw_error_errno(error, TW_STATUS_IO, errnum, "cannot start the snapshot writer");
    }
    job->is_running = true;
    self->last_id = id;
    tw_shard_set_busy(self->shard, true);
    return TW_STATUS_OK;
}

static void job_finish(shard_server *self)
{
    snapshot_job *job = &self->job;
    (void)pthread_join(job->thread, NULL);
    job->is_running = false;
    tw_frozen_destroy(&job->frozen);
    tw_shard_set_busy(self->shard, false);
    if (job->is_barrier)
        tw_shard_snapshot_done(self->shard, job->status, &job->file, job->error.message);
    else if (job->status == TW_STATUS_OK)
        tw_own_files_add(&self->own, job->id);
    self->n_failed += job->status < 0;
    if (job->status == TW_STATUS_OK) {
        self->saved_id = job->id;
        self->saved_us = tw_clock_monotonic_us();
    }
    if (job->status < 0)
        tw_log(TW_LOG_ERROR, "shard %u of %u: snapshot %llu failed: %s", self->options->index, self->options->count,
            (unsigned long long)job->id, job->error.message);
}

/* The smallest id above every file in the directory and all that this process used. */
static uint64_t job_next_id(const shard_server *self)
{
    uint64_t id = 0;
    if (tw_checkpoint_next_id(self->options->directory, &id, NULL) < 0 || id <= self->last_id)
        id = self->last_id + 1;
    return id;
}

static void server_snapshots(shard_server *self)
{
    uint64_t id = 0;
    tw_error error = {0};
    if (self->job.is_running && atomic_load_explicit(&self->job.is_done, memory_order_acquire))
        job_finish(self);
    if (self->job.is_running || self->told.is_deposed)
        return;
    if (tw_shard_snapshot_wanted(self->shard, &id)) {
        tw_status status = job_start(self, id, true, &error);
        tw_shard_snapshot_started(self->shard, status, error.message);
        return;
    }
    if (self->options->snapshot_every_ms == 0 || tw_shard_table(self->shard) == NULL ||
        tw_clock_monotonic_us() < self->next_snapshot_us)
        return;
    self->next_snapshot_us = tw_clock_monotonic_us() + (int64_t)self->options->snapshot_every_ms * 1000;
    if (job_start(self, job_next_id(self), false, &error) < 0)
        tw_log(
            TW_LOG_ERROR, "shard %u of %u: no snapshot: %s", self->options->index, self->options->count, error.message);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* What a peer may say HELLO as, and do; the guard has written its role in front of its name. */
static uint32_t server_roles(const char *user)
{
    if (user == NULL || strncmp(user, "admin ", strlen("admin ")) == 0)
        return UINT32_MAX;
    bool is_replica = strncmp(user, "replica ", strlen("replica ")) == 0;
    return is_replica ? 1u << TW_ROLE_READER | TW_MAY_REPLICATE : ~(uint32_t)(TW_MAY_REPLICATE | TW_MAY_PROMOTE);
}

static tw_status server_receive(shard_server *self, tw_error *error)
{
    for (uint32_t i = 0; i < SERVER_TURN_FRAMES; i++) {
        tw_status status = tw_socket_receive(self->socket, self->message, error);
        if (status == TW_STATUS_IDLE)
            return TW_STATUS_OK;
        if (status < 0 && status != TW_STATUS_PROTOCOL)
            return status;
        if (status == TW_STATUS_PROTOCOL || tw_message_n_parts(self->message) != 2) {
            tw_shard_formless(self->shard);
            continue;
        }
        tw_part peer = tw_message_part(self->message, 0), frame = tw_message_part(self->message, 1);
        uint32_t roles = server_roles(tw_message_user(self->message));
        tw_shard_receive_from(self->shard, roles, peer.bytes, peer.size, frame.bytes, frame.size);
        /* A cut is taken before the frame behind the request is looked at. */
        server_snapshots(self);
    }
    return TW_STATUS_OK;
}

static void server_tell_refusals(shard_server *self, bool is_last)
{
    char text[TW_REFUSALS_TEXT_SIZE];
    if (tw_refusal_log_is_due(
            &self->refusal_log, tw_clock_monotonic_us(), tw_shard_refusals(self->shard), self->guard, is_last, text))
        tw_log(TW_LOG_WARN, "shard %u of %u: refused so far: %s", self->options->index, self->options->count, text);
}

/* After 3 s, and whenever it has waited ten times as long. */
static void server_note_wait(shard_server *self)
{
    int64_t now_us = tw_clock_monotonic_us();
    if (self->waits_us == 0) {
        self->waits_us = now_us;
        self->next_wait_us = now_us + (int64_t)SERVER_WAIT_S * 1000000;
    }
    if (now_us < self->next_wait_us)
        return;
    self->next_wait_us = now_us + 9 * (now_us - self->waits_us);
    server_note(self, "%s, which it is to copy, has not answered for %.0f s%s", self->options->standby_of,
        (double)(now_us - self->waits_us) / 1e6,
        self->options->keys == NULL ? ""
                                    : "; if it runs, is --primary-key its public key, and is this one's key a replica "
                                      "in its allow-list?");
}

/* How far a standby has come. Who was refused, or pauses as its copy failed, has said so. */
static void server_note_copy(shard_server *self)
{
    tw_standby_figures now;
    if (!tw_standby_edge_figures(self->standby, &now))
        return;
    if (now.is_ready && !self->copied.is_ready)
        server_note(self, "all of %s is copied: ready to take over", self->options->standby_of);
    if (now.is_connected || now.pause_us > 0 || now.n_refused != self->copied.n_refused)
        self->waits_us = 0;
    else
        server_note_wait(self);
    self->copied = now;
}

static bool has_ready_standby(const tw_replication *one)
{
    return one->has_standby && one->is_caught_up && !one->is_silent;
}

static void server_note_standby(const shard_server *self, const tw_replication *now)
{
    if (has_ready_standby(now) && !has_ready_standby(&self->told))
        server_note(self, "its standby has a copy of everything and is ready to take over");
    if (now->is_silent && !self->told.is_silent)
        server_note(
            self, "its standby has fallen silent: nobody takes over until it is back, or another one stands by");
    if (!now->is_standby && self->told.is_standby)
        server_note(self, "has taken over, with epoch %llu, and serves at %s", (unsigned long long)now->epoch,
            tw_socket_address(self->socket));
}

/* What befell the standby, or this shard. */
static void server_tell_standby(shard_server *self)
{
    tw_replication now;
    uint32_t index = self->options->index, count = self->options->count;
    tw_shard_replication(self->shard, &now);
    if (now.n_dropped > self->told.n_dropped)
        tw_log(TW_LOG_WARN, "shard %u of %u: the standby is too far behind and is copied anew", index, count);
    if (now.n_given_up > self->told.n_given_up)
        tw_log(TW_LOG_WARN, "shard %u of %u has no standby for now: the copy of its standby failed: %s", index, count,
            now.why);
    if (now.n_alone > self->told.n_alone)
        tw_log(TW_LOG_WARN, "shard %u of %u: the standby does not answer; pushes are acknowledged without it", index,
            count);
    if (now.is_deposed && !self->told.is_deposed)
        tw_log(
            TW_LOG_WARN, "shard %u of %u: its standby has taken over; this one serves nobody any more", index, count);
    server_note_standby(self, &now);
    self->told = now;
    if (self->standby != NULL)
        server_note_copy(self);
}

static tw_status server_turn_standby(shard_server *self, tw_error *error)
{
    tw_shard_tick(self->shard, tw_clock_monotonic_us());
    server_tell_standby(self);
    return self->standby != NULL ? tw_standby_edge_turn(self->standby, self->shard, self->socket, error) : TW_STATUS_OK;
}

static int server_patience_ms(const shard_server *self)
{
    if (tw_shard_is_feeding(self->shard))
        return 1;
    return self->job.is_running || self->outbox.first != NULL ? 2 : 50;
}

/* What the shard cannot know: time, files, connections. */
static void server_tell_edge(shard_server *self)
{
    int64_t now_us = tw_clock_monotonic_us();
    tw_shard_edge edge = {
        .uptime_ms = (uint64_t)(now_us - self->started_us) / 1000,
        .snapshot = self->saved_id != 0 ? self->saved_id : TW_STATUS_UNKNOWN,
        .snapshot_age_ms = self->saved_us != 0 ? (uint64_t)(now_us - self->saved_us) / 1000 : TW_STATUS_UNKNOWN,
        .snapshot_failures = self->n_failed,
        .unsent_bytes = self->outbox.n_bytes,
        .refused_connections = tw_refused_connections(self->guard),
    };
    tw_shard_tell_edge(self->shard, &edge);
    if (self->options->on_status == NULL || now_us < self->next_status_us)
        return;
    self->next_status_us = now_us + 1000000;
    tw_shard_status status;
    tw_shard_status_now(self->shard, &status);
    self->options->on_status(self->options->context, &status);
    tw_shard_status_fini(&status);
}

static tw_status server_loop(shard_server *self, atomic_bool *stop, tw_error *error)
{
    tw_socket *socket[2] = {self->socket, self->standby != NULL ? tw_standby_edge_socket(self->standby) : NULL};
    while (!atomic_load_explicit(stop, memory_order_relaxed)) {
        bool is_readable[2] = {false, false};
        tw_status status =
            tw_socket_wait(socket, self->standby != NULL ? 2 : 1, server_patience_ms(self), is_readable, error);
        tw_shard_tick(self->shard, tw_clock_monotonic_us());
        server_tell_edge(self);
        if (status >= 0 && is_readable[0])
            status = server_receive(self, error);
        if (status >= 0)
            status = server_turn_standby(self, error);
        if (status < 0)
            return status;
        tw_outbox_retry(&self->outbox);
        server_snapshots(self);
        server_tell_refusals(self, false);
    }
    return TW_STATUS_OK;
}

static tw_status server_final_snapshot(shard_server *self, tw_error *error)
{
    if (self->job.is_running)
        job_finish(self);
    if (self->told.is_deposed || !self->options->has_final_snapshot || tw_shard_table(self->shard) == NULL ||
        self->options->directory == NULL)
        return TW_STATUS_OK;
    tw_status status = job_start(self, job_next_id(self), false, error);
    if (status < 0)
        return status;
    job_finish(self);
    if (self->job.status < 0 && error != NULL)
        *error = self->job.error;
    return self->job.status;
}

static tw_status server_bind(shard_server *self, tw_error *error)
{
    const tw_shard_server_options *options = self->options;
    tw_entrance entrance = {.address = options->address,
        .keys = options->keys,
        .allow = options->allow,
        .is_insecure = options->is_insecure,
        .max_message_bytes = TW_DATA_MAX_BYTES};
    return tw_guard_open(self->net, &entrance, &self->guard, &self->socket, error);
}

static tw_status server_stand_by(shard_server *self, tw_error *error)
{
    const tw_shard_server_options *options = self->options;
    tw_socket_security security = {.is_insecure = options->keys == NULL, .server_key = options->primary_key};
    if (options->keys != NULL) {
        security.public_key = options->keys->public_key;
        security.secret_key = options->keys->secret_key;
    }
    tw_standby_edge_options edge = {.primary = options->standby_of,
        .security = options->keys != NULL || options->is_insecure ? &security : NULL,
        .index = options->index,
        .count = options->count,
        .max_bytes = options->max_bytes,
        .epoch = self->told.epoch,
        .is_sync = options->is_sync};
    return tw_standby_edge_create(self->net, &edge, &self->standby, error);
}

/* A standby was the primary once if its own files say so: whoever is older is not copied. */
static tw_status find_epoch(const shard_server *self, uint64_t *epoch, tw_error *error)
{
    const tw_shard_server_options *options = self->options;
    uint64_t saved = 0;
    if (options->standby_of == NULL || options->directory == NULL || options->is_epoch_certain)
        return TW_STATUS_OK;
    tw_status status = tw_row_files_epoch(options->directory, options->index, options->count, &saved, error);
    *epoch = saved > *epoch ? saved : *epoch;
    return status;
}

static tw_status server_open(shard_server *self, tw_error *error)
{
    tw_shard_options shard_options = {
        .index = self->options->index,
        .count = self->options->count,
        .max_bytes = self->options->max_bytes,
        .incarnation = tw_mix64((uint64_t)tw_clock_wall_us() ^ (uint64_t)getpid() << 44) | 1,
        .is_standby = self->options->standby_of != NULL,
        .epoch = self->options->epoch,
        .is_epoch_certain = self->options->is_epoch_certain,
        .emit = server_emit,
        .context = &self->outbox,
    };
    tw_status status = find_epoch(self, &shard_options.epoch, error);
    if (status == TW_STATUS_OK)
        status = tw_shard_create(&shard_options, &self->shard, error);
    if (status == TW_STATUS_OK && self->options->standby_of == NULL)
        status = server_restore(self, error);
    if (status == TW_STATUS_OK && self->options->standby_of == NULL)
        server_note_rows(self);
    if (status == TW_STATUS_OK) {
        tw_shard_replication(self->shard, &self->told);
        tw_own_files_begin(&self->own, self->told.epoch);
        status = tw_net_create(1, &self->net, error);
    }
    if (status == TW_STATUS_OK)
        status = tw_message_create(&self->message, error);
    if (status == TW_STATUS_OK)
        status = server_bind(self, error);
    if (status == TW_STATUS_OK && self->options->standby_of != NULL)
        status = server_stand_by(self, error);
    self->outbox = (tw_outbox){.socket = self->socket, .max_bytes = server_max_outbox_bytes};
    self->next_snapshot_us = tw_clock_monotonic_us() + (int64_t)self->options->snapshot_every_ms * 1000;
    return status;
}

tw_status tw_shard_server_run(const tw_shard_server_options *options, atomic_bool *stop, tw_error *error)
{
    shard_server *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = options;
    self->own = (tw_own_files){
        .directory = options->directory, .index = options->index, .count = options->count, .keep = options->keep};
    self->started_us = tw_clock_monotonic_us();
    tw_status status = server_open(self, error);
    if (status == TW_STATUS_OK && options->on_ready != NULL)
        options->on_ready(options->context, tw_socket_address(self->socket));
    tw_status final = TW_STATUS_OK;
    if (status == TW_STATUS_OK) {
        status = server_loop(self, stop, error);
        server_tell_refusals(self, true);
        final = server_final_snapshot(self, status < 0 ? NULL : error);
    }
    tw_outbox_fini(&self->outbox);
    tw_standby_edge_destroy(&self->standby);
    tw_shard_destroy(&self->shard);
    tw_message_destroy(&self->message);
    tw_socket_destroy(&self->socket);
    tw_guard_stop(&self->guard);
    tw_net_destroy(&self->net);
    tw_free(self);
    return status < 0 ? status : final;
}
