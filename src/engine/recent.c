#include "engine/recent.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

struct tw_recent {
    tw_task task;
    uint32_t n_outputs, capacity, n, next; /* next: where the next event goes; the oldest once n == capacity */
    float *score, *label, *weight;         /* [capacity], one piece of memory */
};

tw_status tw_recent_create(tw_task task, uint32_t n_outputs, uint32_t capacity, tw_recent **out, tw_error *error)
{
    *out = NULL;
    if (capacity < 1 || capacity > TW_RECENT_MAX)
        return tw_error_set(
            error, TW_STATUS_INVALID, "a window of %u events: 1 to %d are possible", capacity, TW_RECENT_MAX);
    tw_recent *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    *self = (tw_recent){.task = task, .n_outputs = n_outputs, .capacity = capacity};
    size_t size = 3 * (size_t)capacity * sizeof(float);
    self->score = tw_alloc(size);
    if (self->score == NULL) {
        tw_free(self);
        return tw_no_memory(error, size);
    }
    self->label = self->score + capacity;
    self->weight = self->label + capacity;
    *out = self;
    return TW_STATUS_OK;
}

void tw_recent_destroy(tw_recent **self)
{
    if (*self == NULL)
        return;
    tw_free((*self)->score);
    tw_free(*self);
    *self = NULL;
}

static void put(tw_recent *self, float score, float label, float weight)
{
    self->score[self->next] = score;
    self->label[self->next] = label;
    self->weight[self->next] = weight;
    self->next = self->next + 1 < self->capacity ? self->next + 1 : 0;
    self->n += self->n < self->capacity;
}

void tw_recent_add(tw_recent *self, const tw_batch *batch, const float *scores)
{
    bool needs_label = self->task == TW_TASK_BINARY || self->task == TW_TASK_REGRESSION;
    for (uint32_t i = 0; i < batch->n_events; i++) {
        if (batch->weight[i] > 0 && !(needs_label && isnan(batch->label[i])))
            put(self, scores[(size_t)i * self->n_outputs], batch->label[i], batch->weight[i]);
    }
}

/* Layout: magic, n as u64; then n scores, n labels, n weights as f32, oldest first. */
static const uint64_t recent_magic = 0x3154434552575754u; /* "TWWRECT1" */
enum { RECENT_HEAD = 16 };

static char *copy_column(const tw_recent *self, const float *column, char *at)
{
    uint32_t first = self->n < self->capacity ? 0 : self->next, tail = self->n - first;
    memcpy(at, column + first, tail * sizeof *column);
    memcpy(at + tail * sizeof *column, column, first * sizeof *column);
    return at + self->n * sizeof *column;
}

tw_status tw_recent_save(const tw_recent *self, void **bytes, size_t *size, tw_error *error)
{
    uint64_t head[2] = {recent_magic, self->n};
    *size = RECENT_HEAD + 3 * (size_t)self->n * sizeof(float);
    char *at = tw_alloc(*size);
    *bytes = at;
    if (at == NULL)
        return tw_no_memory(error, *size);
    memcpy(at, head, sizeof head);
    at = copy_column(self, self->score, at + sizeof head);
    at = copy_column(self, self->label, at);
    (void)copy_column(self, self->weight, at);
    return TW_STATUS_OK;
}

tw_status tw_recent_read(const void *bytes, size_t size, tw_recent_view *out, tw_error *error)
{
    uint64_t head[2] = {0, 0};
    if (size >= RECENT_HEAD)
        memcpy(head, bytes, sizeof head);
    if (head[0] != recent_magic || head[1] > TW_RECENT_MAX || size != RECENT_HEAD + 3 * head[1] * sizeof(float))
        return tw_error_set(error, TW_STATUS_CORRUPT, "saved window of the gate: %zu bytes of another form", size);
    const float *column = (const void *)((const char *)bytes + RECENT_HEAD);
    *out = (tw_recent_view){(uint32_t)head[1], column, column + head[1], column + 2 * head[1]};
    return TW_STATUS_OK;
}

tw_status tw_recent_load(tw_recent *self, const void *bytes, size_t size, tw_error *error)
{
    tw_recent_view view = {0};
    tw_status status = tw_recent_read(bytes, size, &view, error);
    if (status < 0)
        return status;
    self->n = self->next = 0;
    for (uint32_t i = view.n > self->capacity ? view.n - self->capacity : 0; i < view.n; i++)
        put(self, view.score[i], view.label[i], view.weight[i]);
    return TW_STATUS_OK;
}
