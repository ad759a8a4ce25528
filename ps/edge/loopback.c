#include "ps/edge/loopback.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/edge/image.h"
#include "ps/shard/replication.h"

enum { LOOPBACK_ADDRESS_SIZE = 32, LOOPBACK_WRITER_FRAMES = 4, LOOPBACK_STEP_US = 10000 };

typedef struct loopback_frame {
    struct loopback_frame *next;
    size_t size;
    unsigned char bytes[];
} loopback_frame;

typedef struct loopback_shard {
    tw_loopback *owner;
    uint32_t index;
    tw_shard *shard;
    loopback_frame *first, *last, *given;
    tw_image copy;
    char address[LOOPBACK_ADDRESS_SIZE];
    uint64_t snapshot_id;
    tw_frozen *frozen;
    uint32_t n_frames_beside; /* frames that came while the snapshot waits to be written */
} loopback_shard;

struct tw_loopback {
    tw_link link;
    tw_table_spec spec;
    uint32_t n_shards;
    int64_t now_us;
    uint64_t incarnation, random;
    tw_loopback_faults faults;
    char *directory; /* of the snapshot under way */
    loopback_shard shard[TW_MAX_SHARDS];
};

static bool loopback_draw(tw_loopback *self, uint32_t chance)
{
    if (chance == 0)
        return false;
    self->random += 0x9e3779b97f4a7c15ull;
    return (tw_mix64(self->random) & 0xffff) < chance;
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

static void queue_append(loopback_shard *self, const void *bytes, size_t size)
{
    loopback_frame *frame = tw_alloc(sizeof *frame + size);
    if (frame == NULL)
        return;
    frame->next = NULL;
    frame->size = size;
    memcpy(frame->bytes, bytes, size);
    if (loopback_draw(self->owner, self->owner->faults.damage))
        frame->bytes[tw_mix64(self->owner->random + 1) % size] ^= 1;
    if (self->last != NULL)
        self->last->next = frame;
    else
        self->first = frame;
    self->last = frame;
}

static void queue_clear(loopback_shard *self)
{
    while (self->first != NULL) {
        loopback_frame *frame = self->first;
        self->first = frame->next;
        tw_free(frame);
    }
    self->last = NULL;
}

static void loopback_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    loopback_shard *self = context;
    (void)peer;
    (void)peer_size;
    if (loopback_draw(self->owner, self->owner->faults.drop))
        return;
    queue_append(self, bytes, size);
    if (loopback_draw(self->owner, self->owner->faults.duplicate))
        queue_append(self, bytes, size);
}

static void loopback_snapshot(loopback_shard *self);
static void loopback_write(loopback_shard *self);

static void loopback_deliver(loopback_shard *self, const void *bytes, size_t size)
{
    static const char peer[] = "worker";
    if (self->shard == NULL)
        return;
    /* As a writer thread would, without anyone waiting for it. */
    if (self->frozen != NULL && ++self->n_frames_beside > LOOPBACK_WRITER_FRAMES)
        loopback_write(self);
    tw_shard_receive(self->shard, peer, sizeof peer, bytes, size);
    loopback_snapshot(self);
}

static tw_status loopback_send(tw_link *link, uint32_t shard, const void *bytes, size_t size, tw_error *error)
{
    tw_loopback *self = (tw_loopback *)link;
    loopback_shard *to = &self->shard[shard];
    if (loopback_draw(self, self->faults.drop))
        return TW_STATUS_OK;
    if (loopback_draw(self, self->faults.damage)) {
        unsigned char *copy = tw_alloc(size);
        if (copy == NULL)
            return tw_no_memory(error, size);
        memcpy(copy, bytes, size);
        copy[tw_mix64(self->random + 1) % size] ^= 1;
        loopback_deliver(to, copy, size);
        tw_free(copy);
        return TW_STATUS_OK;
    }
    loopback_deliver(to, bytes, size);
    if (loopback_draw(self, self->faults.duplicate))
        loopback_deliver(to, bytes, size);
    return TW_STATUS_OK;
}

static tw_status loopback_receive(tw_link *link, uint32_t shard, const void **bytes, size_t *size, tw_error *error)
{
    loopback_shard *from = &((tw_loopback *)link)->shard[shard];
    (void)error;
    tw_free(from->given);
    from->given = from->first;
    if (from->given == NULL)
        return TW_STATUS_IDLE;
    from->first = from->given->next;
    if (from->first == NULL)
        from->last = NULL;
    *bytes = from->given->bytes;
    *size = from->given->size;
    return TW_STATUS_OK;
}

static void loopback_write(loopback_shard *self)
{
    tw_row_file file = {0};
    tw_error failure = {0};
    char name[TW_FILE_NAME_SIZE];
    tw_row_file_name(self->snapshot_id, self->index, self->owner->n_shards, name);
    tw_status status = tw_frozen_write(self->frozen, self->owner->directory, name, &file, &failure);
    tw_frozen_destroy(&self->frozen);
    tw_shard_set_busy(self->shard, false);
    tw_shard_snapshot_done(self->shard, status, &file, failure.message);
}

/* Nothing comes by itself: waiting, also for no time, is a step of the clock. Snapshots that were cut are written here.
 */
static tw_status loopback_wait(tw_link *link, int timeout_ms, tw_error *error)
{
    tw_loopback *self = (tw_loopback *)link;
    (void)error;
    self->now_us += timeout_ms > 0 ? (int64_t)timeout_ms * 1000 : LOOPBACK_STEP_US;
    for (uint32_t s = 0; s < self->n_shards; s++) {
        if (self->shard[s].frozen != NULL)
            loopback_write(&self->shard[s]);
        tw_shard_tick(self->shard[s].shard, self->now_us);
    }
    return TW_STATUS_OK;
}

static int64_t loopback_now(tw_link *link)
{
    return ((tw_loopback *)link)->now_us;
}

static const char *loopback_address(const tw_link *link, uint32_t shard)
{
    return ((const tw_loopback *)link)->shard[shard].address;
}

/* --- snapshots to files ------------------------------------------------------------------------------------------- */

static void loopback_snapshot(loopback_shard *self)
{
    tw_error error = {0};
    if (!tw_shard_snapshot_wanted(self->shard, &self->snapshot_id))
        return;
    tw_status status = self->owner->directory != NULL
                           ? tw_table_freeze_after(tw_shard_table(self->shard), self->owner->directory,
                                 TW_DELTAS_DEFAULT, TW_SNAPSHOT_MEMORY, &self->frozen, &error)
                           : tw_error_set(&error, TW_STATUS_UNSUPPORTED, "no directory was given for snapshots");
    self->n_frames_beside = 0;
    if (status == TW_STATUS_OK)
        tw_shard_set_busy(self->shard, true);
    tw_shard_snapshot_started(self->shard, status, error.message);
}

static tw_status loopback_prepare(tw_link *link, const char *directory, tw_error *error)
{
    tw_loopback *self = (tw_loopback *)link;
    char *copy = tw_strdup(directory);
    if (copy == NULL)
        return tw_no_memory(error, strlen(directory) + 1);
    tw_free(self->directory);
    self->directory = copy;
    return TW_STATUS_OK;
}

/* --- shards ------------------------------------------------------------------------------------------------------- */

/* A new process in the shard's place, around `table` (NULL: empty), which it takes. */
static tw_status shard_start(loopback_shard *self, tw_table *table, tw_error *error)
{
    tw_shard_options options = {
        .index = self->index,
        .count = self->owner->n_shards,
        .incarnation = ++self->owner->incarnation,
        .emit = loopback_emit,
        .context = self,
    };
    tw_shard *shard = NULL;
    tw_status status = tw_shard_create(&options, &shard, error);
    if (status == TW_STATUS_OK && table != NULL)
        status = tw_shard_adopt_take(shard, table, error);
    if (status < 0) {
        tw_table_destroy(&table);
        tw_shard_destroy(&shard);
        return status;
    }
    tw_frozen_destroy(&self->frozen);
    tw_shard_destroy(&self->shard);
    queue_clear(self);
    self->shard = shard;
    return TW_STATUS_OK;
}

static tw_status table_create(const loopback_shard *self, tw_table **out, tw_error *error)
{
    uint32_t n = self->owner->n_shards;
    return tw_table_create(&self->owner->spec, tw_shard_first_slot(self->index, n),
        tw_shard_first_slot(self->index + 1, n) - 1, out, error);
}

static tw_status loopback_restore(tw_link *link, const char *directory, const tw_row_files *files, tw_error *error)
{
    tw_loopback *self = (tw_loopback *)link;
    for (uint32_t s = 0; s < self->n_shards; s++) {
        tw_table *table = NULL;
        tw_status status = table_create(&self->shard[s], &table, error);
        if (status == TW_STATUS_OK) {
            tw_table_expect(table, files->split, files->n_splits);
            status = tw_table_load_all(table, directory, files->file, files->n_files, error);
            tw_table_expect(table, NULL, 0);
        }
        if (status < 0) {
            tw_table_destroy(&table);
            return status;
        }
        status = shard_start(&self->shard[s], table, error);
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}

/* --- copies in memory --------------------------------------------------------------------------------------------- */

tw_status tw_loopback_save(tw_loopback *self, uint32_t shard, tw_error *error)
{
    loopback_shard *from = &self->shard[shard];
    return tw_image_save(&from->copy, tw_shard_table(from->shard), error);
}

tw_status tw_loopback_kill(tw_loopback *self, uint32_t shard, tw_error *error)
{
    loopback_shard *at = &self->shard[shard];
    tw_table *table = NULL;
    if (at->copy.is_there) {
        tw_status status = table_create(at, &table, error);
        if (status == TW_STATUS_OK)
            status = tw_image_load(&at->copy, table, error);
        if (status < 0) {
            tw_table_destroy(&table);
            return status;
        }
    }
    return shard_start(at, table, error);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void tw_loopback_set_faults(tw_loopback *self, const tw_loopback_faults *faults)
{
    self->faults = *faults;
    self->random = faults->seed;
}

static void loopback_close(tw_link *link)
{
    tw_loopback *self = (tw_loopback *)link;
    for (uint32_t s = 0; s < self->n_shards; s++) {
        loopback_shard *shard = &self->shard[s];
        tw_frozen_destroy(&shard->frozen);
        tw_shard_destroy(&shard->shard);
        queue_clear(shard);
        tw_free(shard->given);
        tw_image_fini(&shard->copy);
    }
    tw_free(self->directory);
    tw_free(self);
}

static const tw_link_ops loopback_ops = {
    .send = loopback_send,
    .receive = loopback_receive,
    .wait = loopback_wait,
    .now_us = loopback_now,
    .address = loopback_address,
    .prepare = loopback_prepare,
    .restore = loopback_restore,
    .close = loopback_close,
};

tw_status tw_loopback_create(const tw_table_spec *spec,
    uint32_t n_shards,
    const tw_remote_options *options,
    tw_params **out,
    tw_loopback **loopback,
    tw_error *error)
{
    tw_remote_options used = options != NULL ? *options : (tw_remote_options){.model = "loopback"};
    if (n_shards == 0 || n_shards > TW_MAX_SHARDS)
        return tw_error_set(error, TW_STATUS_INVALID, "%u shards: there can be 1 to %d", n_shards, TW_MAX_SHARDS);
    tw_loopback *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->link.ops = &loopback_ops;
    self->spec = *spec;
    self->n_shards = n_shards;
    used.n_shards = n_shards;
    tw_status status = TW_STATUS_OK;
    for (uint32_t s = 0; s < n_shards && status == TW_STATUS_OK; s++) {
        self->shard[s].owner = self;
        self->shard[s].index = s;
        (void)snprintf(self->shard[s].address, LOOPBACK_ADDRESS_SIZE, "loopback shard %u", s);
        status = shard_start(&self->shard[s], NULL, error);
    }
    if (status < 0) {
        loopback_close(&self->link);
        return status;
    }
    if (loopback != NULL)
        *loopback = self;
    return tw_remote_create_over_take(&self->link, spec, &used, out, error);
}
