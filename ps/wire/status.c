#include "ps/wire/status.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum {
    PART_FIGURES = 1,
    PART_MODEL,
    PART_NACKS,
    PART_HOT,
    PART_RANGES,
    PART_MARKS,
    PART_WORKERS,
    PART_COPY_FAILURE,
    PART_HEAD = 8, /* bytes in front of a part */
};

static const char gauge[] = "gauge", counter[] = "counter";

static const tw_status_entry table[TW_STATUS_N_FIGURES] = {
    [TW_STATUS_SHARD] = {"shard", NULL, gauge, 1, "Number of the shard."},
    [TW_STATUS_SHARDS] = {"shards", NULL, gauge, 1, "Number of shards of the model."},
    [TW_STATUS_EPOCH] = {"epoch", "epoch", gauge, 1, "Times that a run took the model over."},
    [TW_STATUS_INCARNATION] = {"incarnation", NULL, gauge, 1, "Differs after every start."},
    [TW_STATUS_HASH_SEED] = {"hash_seed", NULL, gauge, 1, "Seed of the keys."},
    [TW_STATUS_EVENTS] = {"events", "events", gauge, 1, "Events that the rows have learned."},
    [TW_STATUS_PUSHES] = {"pushes", "pushes_total", counter, 1, "Changes applied since the start."},
    [TW_STATUS_ROWS] = {"rows", "rows", gauge, 1, "Rows."},
    [TW_STATUS_BYTES] = {"bytes", "memory_bytes", gauge, 1, "Memory of rows and index."},
    [TW_STATUS_SESSIONS] = {"sessions", "sessions", gauge, 1, "Clients that said HELLO."},
    [TW_STATUS_SESSION_BYTES] = {"session_bytes", "session_bytes", gauge, 1, "Memory of their key lists and parts."},
    [TW_STATUS_CREDIT_FRAMES] = {"credit_frames", "credit_frames", gauge, 1,
        "Requests that all sessions together may have under way."},
    [TW_STATUS_CREDIT_BYTES] = {"credit_bytes", "credit_bytes", gauge, 1, "Bytes of them."},
    [TW_STATUS_UNSENT_BYTES] = {"unsent_bytes", "unsent_bytes", gauge, 1, "Answers that the network did not take."},
    [TW_STATUS_MARKS] = {"marks", "marks", gauge, 1, "Splits with a mark."},
    [TW_STATUS_TOUCHES] = {"touches", "touches_total", counter, 1, "Rows changed, one for each row and push."},
    [TW_STATUS_SAMPLES] = {"samples", NULL, gauge, 1, "Touches that the sketch of hot keys rests on."},
    [TW_STATUS_REPEATED] = {"repeated", "repeated_frames_total", counter, 1, "Frames that came before."},
    [TW_STATUS_FORMLESS] = {"formless", "formless_messages_total", counter, 1, "Messages that are no frames."},
    [TW_STATUS_REFUSED_CONNECTIONS] = {"refused_connections", "refused_connections_total", counter, 1,
        "Connections of strangers, or with broken handshakes."},
    [TW_STATUS_SNAPSHOT] = {"snapshot", "snapshot", gauge, 1, "Number of its newest durable snapshot."},
    [TW_STATUS_SNAPSHOT_AGE_MS] = {"snapshot_age_ms", "snapshot_age_seconds", gauge, 1e-3,
        "Time since it became durable."},
    [TW_STATUS_SNAPSHOT_FAILURES] = {"snapshot_failures", "snapshot_failures_total", counter, 1,
        "Snapshots that failed."},
    [TW_STATUS_UPTIME_MS] = {"uptime_ms", "uptime_seconds", gauge, 1e-3, "Time since its start."},
    [TW_STATUS_TAKEOVERS] = {"takeovers", "takeovers", gauge, 1, "Times that a standby took over."},
    [TW_STATUS_IS_STANDBY] = {"is_standby", "is_standby", gauge, 1, "1: a standby, which serves nobody."},
    [TW_STATUS_HAS_STANDBY] = {"has_standby", "has_standby", gauge, 1, "1: a standby copies this shard."},
    [TW_STATUS_IS_CAUGHT_UP] = {"is_caught_up", "standby_is_caught_up", gauge, 1,
        "1: its copy is complete but for the lag."},
    [TW_STATUS_LAG_ENTRIES] = {"replication_lag_entries", "replication_lag_entries", gauge, 1,
        "Changes that the standby has not confirmed."},
    [TW_STATUS_LAG_BYTES] = {"replication_lag_bytes", "replication_lag_bytes", gauge, 1, "Bytes of them."},
    [TW_STATUS_LAG_MS] = {"replication_lag_ms", "replication_lag_seconds", gauge, 1e-3, "Age of the oldest."},
    [TW_STATUS_ALONE] = {"replication_alone", "replication_alone_total", counter, 1,
        "Times that a shard did not wait for a standby that it should wait for."},
    [TW_STATUS_IS_DEPOSED] = {"is_deposed", "is_deposed", gauge, 1,
        "1: its standby has taken over, and it serves nobody."},
    [TW_STATUS_KNOWN_EPOCH] = {"known_takeovers", NULL, gauge, 1, "The most takeovers that a client named."},
    [TW_STATUS_SEATS] = {"seats", "seats", gauge, 1,
        "Workers that learn, where the flight rule lets only some learn at once."},
    [TW_STATUS_ROUND_WORKERS] = {"round_workers", "round_workers", gauge, 1, "Workers that keep rounds here."},
    [TW_STATUS_ROUND] = {"round", "round", gauge, 1, "Round of the slowest worker."},
    [TW_STATUS_ROUND_SPREAD] = {"round_spread", "round_spread", gauge, 1,
        "Rounds that the furthest worker is ahead of the slowest."},
    [TW_STATUS_ROUND_WAITING] = {"round_waiting", "round_waiting_workers", gauge, 1,
        "Workers that wait for a slower one."},
    [TW_STATUS_ROUND_CULPRIT] = {"round_waited_for", "round_waited_for", gauge, 1,
        "Number of the worker that is waited for longest."},
    [TW_STATUS_ROUND_WAIT_MS] = {"round_wait_ms", "round_wait_seconds", gauge, 1e-3, "How long already."},
    [TW_STATUS_GIVEN_UP] = {"copies_given_up", "copies_given_up_total", counter, 1,
        "Times that the standby of this shard gave its copy up."},
    [TW_STATUS_FAILED_COPIES] = {"copies_failed", "copies_failed_total", counter, 1,
        "Of a standby: copies that failed and were begun anew."},
};

const tw_status_entry *tw_status_table(void)
{
    return table;
}

void tw_shard_status_fini(tw_shard_status *self)
{
    tw_free(self->mark);
    memset(self, 0, sizeof *self);
}

/* --- encoding ----------------------------------------------------------------------------------------------------- */

static unsigned char *part_reserve(tw_buffer *out, uint32_t tag, size_t size, tw_error *error)
{
    unsigned char *at = tw_buffer_reserve(out, PART_HEAD + size, error);
    if (at == NULL)
        return NULL;
    tw_put_u32(at, tag);
    tw_put_u32(at + 4, (uint32_t)size);
    return at + PART_HEAD;
}

static tw_status add_numbers(tw_buffer *out, uint32_t tag, const uint64_t *value, size_t n, tw_error *error)
{
    unsigned char *at = part_reserve(out, tag, n * 8, error);
    for (size_t i = 0; at != NULL && i < n; i++)
        tw_put_u64(at + i * 8, value[i]);
    return at != NULL ? TW_STATUS_OK : TW_STATUS_NO_MEMORY;
}

static tw_status add_sketch(const tw_shard_status *self, tw_buffer *out, tw_error *error)
{
    unsigned char *at = part_reserve(out, PART_HOT, self->n_hot * (size_t)16, error);
    for (uint32_t i = 0; at != NULL && i < self->n_hot; i++, at += 16) {
        tw_put_u64(at, self->hot[i].key);
        tw_put_u32(at + 8, self->hot[i].count);
        tw_put_u32(at + 12, self->hot[i].error);
    }
    if (at != NULL)
        at = part_reserve(out, PART_RANGES, self->n_ranges * (size_t)4, error);
    for (uint32_t i = 0; at != NULL && i < self->n_ranges; i++)
        tw_put_u32(at + (size_t)i * 4, self->range[i]);
    return at != NULL ? TW_STATUS_OK : TW_STATUS_NO_MEMORY;
}

static tw_status add_marks(const tw_shard_status *self, tw_buffer *out, tw_error *error)
{
    size_t n = self->n_marks < TW_STATUS_MAX_MARKS ? self->n_marks : TW_STATUS_MAX_MARKS;
    unsigned char *at = part_reserve(out, PART_MARKS, n * 16, error);
    for (size_t i = 0; at != NULL && i < n; i++) {
        tw_put_u64(at + i * 16, self->mark[i].split);
        tw_put_u64(at + i * 16 + 8, self->mark[i].to);
    }
    return at != NULL ? TW_STATUS_OK : TW_STATUS_NO_MEMORY;
}

static tw_status add_workers(const tw_shard_status *self, tw_buffer *out, tw_error *error)
{
    unsigned char *at = part_reserve(out, PART_WORKERS, self->n_workers * (size_t)8, error);
    for (uint32_t i = 0; at != NULL && i < self->n_workers; i++, at += 8) {
        tw_put_u32(at, self->worker[i].round);
        tw_put_u32(at + 4, self->worker[i].state);
    }
    return at != NULL ? TW_STATUS_OK : TW_STATUS_NO_MEMORY;
}

static tw_status add_bytes(tw_buffer *out, uint32_t tag, const void *bytes, size_t size, tw_error *error)
{
    unsigned char *at = part_reserve(out, tag, size, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    memcpy(at, bytes, size);
    return TW_STATUS_OK;
}

tw_status tw_shard_status_encode(const tw_shard_status *self, tw_buffer *out, tw_error *error)
{
    tw_status status = add_numbers(out, PART_FIGURES, self->figure, TW_STATUS_N_FIGURES, error);
    if (status == TW_STATUS_OK)
        status = add_bytes(out, PART_MODEL, self->model, strlen(self->model), error);
    if (status == TW_STATUS_OK)
        status = add_numbers(out, PART_NACKS, self->nack, TW_NACK_N_REASONS, error);
    if (status == TW_STATUS_OK && self->copy_failure[0] != '\0')
        status = add_bytes(out, PART_COPY_FAILURE, self->copy_failure, strlen(self->copy_failure), error);
    if (status == TW_STATUS_OK)
        status = add_sketch(self, out, error);
    if (status == TW_STATUS_OK)
        status = add_workers(self, out, error);
    return status == TW_STATUS_OK ? add_marks(self, out, error) : status;
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

static void take_numbers(uint64_t *out, size_t n, const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < n && (i + 1) * 8 <= size; i++)
        out[i] = tw_get_u64(at + i * 8);
}

static void take_text(char *text, size_t room, const unsigned char *at, size_t size)
{
    size = size < room - 1 ? size : room - 1;
    memcpy(text, at, size);
    text[size] = '\0';
}

static int compare_splits(const void *a, const void *b)
{
    uint64_t left = ((const tw_mark *)a)->split, right = ((const tw_mark *)b)->split;
    return (left > right) - (left < right);
}

static tw_status take_marks(tw_shard_status *self, const unsigned char *at, size_t size, tw_error *error)
{
    size_t n = size / 16;
    if (self->mark != NULL || n == 0 || n > TW_STATUS_MAX_MARKS)
        return TW_STATUS_OK;
    self->mark = tw_alloc(n * sizeof *self->mark);
    if (self->mark == NULL)
        return tw_no_memory(error, n * sizeof *self->mark);
    for (size_t i = 0; i < n; i++)
        self->mark[i] = (tw_mark){tw_get_u64(at + i * 16), tw_get_u64(at + i * 16 + 8)};
    self->n_marks = n;
    qsort(self->mark, n, sizeof *self->mark, compare_splits);
    return TW_STATUS_OK;
}

static tw_status take_part(tw_shard_status *self, uint32_t tag, const unsigned char *at, size_t size, tw_error *error)
{
    switch (tag) {
    case PART_FIGURES:
        take_numbers(self->figure, TW_STATUS_N_FIGURES, at, size);
        break;
    case PART_MODEL:
        take_text(self->model, sizeof self->model, at, size);
        break;
    case PART_COPY_FAILURE:
        take_text(self->copy_failure, sizeof self->copy_failure, at, size);
        break;
    case PART_NACKS:
        take_numbers(self->nack, TW_NACK_N_REASONS, at, size);
        break;
    case PART_HOT:
        for (self->n_hot = 0; self->n_hot < TW_SKETCH_SHOWN && (self->n_hot + 1) * (size_t)16 <= size; at += 16)
            self->hot[self->n_hot++] = (tw_sketch_counter){tw_get_u64(at), tw_get_u32(at + 8), tw_get_u32(at + 12)};
        break;
    case PART_RANGES:
        for (self->n_ranges = 0; self->n_ranges < TW_SKETCH_RANGES && (self->n_ranges + 1) * (size_t)4 <= size; at += 4)
            self->range[self->n_ranges++] = tw_get_u32(at);
        break;
    case PART_WORKERS:
        for (self->n_workers = 0;
             self->n_workers < TW_STATUS_SHOWN_WORKERS && (self->n_workers + 1) * (size_t)8 <= size; at += 8)
            self->worker[self->n_workers++] = (tw_status_worker){tw_get_u32(at), tw_get_u32(at + 4)};
        break;
    case PART_MARKS:
        return take_marks(self, at, size, error);
    default:
        break;
    }
    return TW_STATUS_OK;
}

tw_status tw_shard_status_decode(tw_shard_status *self, const unsigned char *bytes, size_t size, tw_error *error)
{
    size_t at = 0;
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < TW_STATUS_N_FIGURES; i++)
        self->figure[i] = TW_STATUS_UNKNOWN;
    while (at < size && status == TW_STATUS_OK) {
        size_t part = size - at >= PART_HEAD ? tw_get_u32(bytes + at + 4) : SIZE_MAX;
        if (size - at < PART_HEAD || part > size - at - PART_HEAD)
            return tw_error_set(error, TW_STATUS_PROTOCOL, "a status whose part at byte %zu exceeds its %zu", at, size);
        status = take_part(self, tw_get_u32(bytes + at), bytes + at + PART_HEAD, part, error);
        at += PART_HEAD + part;
    }
    return status;
}

/* --- figures over shards ------------------------------------------------------------------------------------------ */

double tw_status_skew(const double *amount, size_t n)
{
    double sum = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        sum += amount[i];
        largest = amount[i] > largest ? amount[i] : largest;
    }
    return sum > 0 ? largest * (double)n / sum : 0;
}

uint64_t tw_status_mark_lag(const tw_shard_status *self, const tw_shard_status *all, size_t n)
{
    uint64_t furthest = 0;
    for (size_t s = 0; s < n; s++) {
        uint64_t lag = 0;
        for (size_t i = 0; i < all[s].n_marks; i++) {
            const tw_mark *theirs = &all[s].mark[i], *own = NULL;
            if (self->n_marks > 0)
                own = bsearch(theirs, self->mark, self->n_marks, sizeof *own, compare_splits);
            uint64_t to = own != NULL ? own->to : 0;
            lag += theirs->to > to ? theirs->to - to : 0;
        }
        furthest = lag > furthest ? lag : furthest;
    }
    return furthest;
}
