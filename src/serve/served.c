#include "serve/served.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

enum {
    MAX_NAME = 512,        /* bytes of a field name: an automatic plan keeps names */
    MAX_ENTRIES = 1 << 17, /* features of one request */
    KEPT_ROWS = 64,
};

struct tw_served {
    pthread_mutex_t gate;  /* passed on the way to `lock`: held by a swap, so that new requests cannot starve it */
    pthread_rwlock_t lock; /* read: a request is open; write: swap */
    tw_model *model;
    bool is_owner;
    uint64_t generation;
    char withheld[256]; /* why no rows are scored; "": they are */
};

tw_status tw_served_create(tw_model *model, bool is_owner, tw_served **out, tw_error *error)
{
    tw_served *self = tw_alloc_zero(sizeof *self);
    *out = self;
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    (void)pthread_mutex_init(&self->gate, NULL);
    (void)pthread_rwlock_init(&self->lock, NULL);
    self->model = model;
    self->is_owner = is_owner;
    self->generation = 1;
    return TW_STATUS_OK;
}

void tw_served_destroy(tw_served **self)
{
    if (*self == NULL)
        return;
    if ((*self)->is_owner)
        tw_model_destroy(&(*self)->model);
    (void)pthread_rwlock_destroy(&(*self)->lock);
    (void)pthread_mutex_destroy(&(*self)->gate);
    tw_free(*self);
    *self = NULL;
}

void tw_served_swap(tw_served *self, tw_model *model, bool is_owner)
{
    (void)pthread_mutex_lock(&self->gate);
    (void)pthread_rwlock_wrlock(&self->lock);
    tw_model *old = self->is_owner ? self->model : NULL;
    self->model = model;
    self->is_owner = is_owner;
    self->generation++;
    self->withheld[0] = '\0';
    (void)pthread_rwlock_unlock(&self->lock);
    (void)pthread_mutex_unlock(&self->gate);
    tw_model_destroy(&old);
}

void tw_served_withhold(tw_served *self, const char *reason)
{
    (void)pthread_mutex_lock(&self->gate);
    (void)pthread_rwlock_wrlock(&self->lock);
    (void)snprintf(self->withheld, sizeof self->withheld, "%s", reason);
    (void)pthread_rwlock_unlock(&self->lock);
    (void)pthread_mutex_unlock(&self->gate);
}

tw_model *tw_served_enter(tw_served *self, uint64_t *generation)
{
    (void)pthread_mutex_lock(&self->gate);
    (void)pthread_rwlock_rdlock(&self->lock);
    (void)pthread_mutex_unlock(&self->gate);
    *generation = self->generation;
    return self->model;
}

void tw_served_leave(tw_served *self)
{
    (void)pthread_rwlock_unlock(&self->lock);
}

tw_status tw_desk_create(tw_served *served, uint32_t max_rows, tw_desk **out, tw_error *error)
{
    tw_desk *self = tw_alloc_zero(sizeof *self);
    *out = NULL;
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->served = served;
    self->max_rows = max_rows;
    self->row_of = tw_alloc(max_rows * sizeof *self->row_of);
    if (self->row_of == NULL) {
        tw_desk_destroy(&self);
        return tw_no_memory(error, max_rows * sizeof(uint32_t));
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_desk_destroy(tw_desk **self)
{
    tw_desk *desk = *self;
    if (desk == NULL)
        return;
    *self = NULL;
    tw_plan_destroy(&desk->plan);
    tw_builder_destroy(&desk->builder);
    tw_free(desk->row_of);
    tw_free(desk->bad);
    tw_free(desk->prediction);
    tw_free(desk->scored);
    tw_free(desk);
}

/* A new model means a new plan and a builder of its width. An automatic plan also starts afresh once requests have
 * brought many unknown names into it, so that a client cannot make it grow for ever. */
static tw_status desk_fit(tw_desk *self, uint64_t generation, tw_error *error)
{
    bool is_crowded = self->plan != NULL && tw_plan_n_fields(self->plan) > TW_PLAN_MAX_COLUMNS / 2;
    if (generation == self->generation && self->plan != NULL && self->builder != NULL && !is_crowded)
        return TW_STATUS_OK;
    tw_plan_destroy(&self->plan);
    tw_builder_destroy(&self->builder);
    self->generation = generation;
    tw_status status = tw_model_plan_create(self->model, &self->plan, error);
    if (status == TW_STATUS_OK)
        status = tw_model_builder_create(self->model, self->max_rows, &self->builder, error);
    if (status == TW_STATUS_OK)
        self->fresh_capacity = self->builder->capacity_entries;
    return status;
}

tw_status tw_desk_begin(tw_desk *self, tw_error *error)
{
    uint64_t generation = 0;
    self->model = tw_served_enter(self->served, &generation);
    self->n_rows = 0;
    self->n_bad = 0;
    tw_status status = desk_fit(self, generation, error);
    if (status == TW_STATUS_OK)
        tw_builder_reset(self->builder, 0, 0, 0);
    return status;
}

void tw_desk_row_begin(tw_desk *self)
{
    tw_event_begin(&self->event, self->plan, self->builder);
    self->event.is_request = true;
    self->event_error = (tw_error){0};
    if (self->n_rows >= self->max_rows) /* the builder has no room for its values */
        tw_desk_wrong(self, "one row too many");
}

/* The handle of a field; -1: not wanted, or the row is wrong already. */
static int desk_handle(tw_desk *self, const char *name, size_t size)
{
    int handle = -1;
    if (size > MAX_NAME)
        tw_desk_wrong(self, "a field name of %zu bytes: at most %d", size, MAX_NAME);
    if (self->event_error.status < 0 || tw_plan_resolve(self->plan, name, size, &handle, &self->event_error) < 0)
        return -1;
    return handle;
}

static void desk_note(tw_desk *self, tw_status status)
{
    if (status < 0 && self->event_error.status >= 0)
        (void)tw_error_set(&self->event_error, status, "%s", tw_status_name(status));
}

void tw_desk_number(tw_desk *self, const char *name, size_t size, double value)
{
    int handle = desk_handle(self, name, size);
    if (handle < 0)
        return;
    char text[TW_REAL_TEXT_SIZE];
    tw_text_from_real(value, text);
    desk_note(self, tw_event_number(&self->event, handle, value, text, strlen(text), &self->event_error));
}

void tw_desk_integer(tw_desk *self, const char *name, size_t size, int64_t value)
{
    int handle = desk_handle(self, name, size);
    if (handle < 0)
        return;
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    desk_note(self, tw_event_number(&self->event, handle, (double)value, text, (size_t)n, &self->event_error));
}

void tw_desk_string(tw_desk *self, const char *name, size_t size, const char *text, size_t text_size)
{
    int handle = desk_handle(self, name, size);
    if (handle >= 0)
        desk_note(self, tw_event_string(&self->event, handle, text, text_size, &self->event_error));
}

void tw_desk_bool(tw_desk *self, const char *name, size_t size, bool value)
{
    int handle = desk_handle(self, name, size);
    if (handle >= 0)
        desk_note(self, tw_event_bool(&self->event, handle, value, &self->event_error));
}

void tw_desk_element(tw_desk *self, const char *name, size_t size, const char *text, size_t text_size)
{
    int handle = desk_handle(self, name, size);
    if (handle >= 0)
        desk_note(self, tw_event_element(&self->event, handle, text, text_size, &self->event_error));
}

void tw_desk_unfit(tw_desk *self, const char *name, size_t size)
{
    int handle = desk_handle(self, name, size);
    if (handle >= 0)
        tw_desk_wrong(self, "%.*s: neither number, text, boolean nor list of texts and numbers", (int)size, name);
}

void tw_desk_wrong(tw_desk *self, const char *format, ...)
{
    if (self->event_error.status < 0)
        return;
    char message[TW_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)tw_error_set(&self->event_error, TW_STATUS_INVALID, "%s", message);
}

tw_status tw_desk_row_end(tw_desk *self, tw_error *error)
{
    if (self->n_rows >= self->max_rows)
        return tw_error_set(error, TW_STATUS_INVALID, "more than %u rows in one request", self->max_rows);
    uint32_t before = self->builder->n_events;
    if (self->event_error.status >= 0)
        desk_note(self, tw_event_end(&self->event, 0, 0, &self->event_error));
    if (self->event_error.status < 0) {
        tw_builder_drop(self->builder);
        tw_status status = tw_grow(&self->bad, sizeof *self->bad, &self->bad_capacity, self->n_bad + 1, error);
        if (status < 0)
            return status;
        self->bad[self->n_bad++] = (tw_row_error){self->n_rows, self->event_error};
    } else {
        self->row_of[before] = self->n_rows;
    }
    self->n_rows++;
    if (self->builder->n_entries > MAX_ENTRIES)
        return tw_error_set(error, TW_STATUS_INVALID, "more than %d features in one request: send fewer rows at a time",
            (int)MAX_ENTRIES);
    return TW_STATUS_OK;
}

tw_status tw_desk_answer(tw_desk *self, tw_error *error)
{
    size_t n_outputs = tw_model_traits(self->model)->n_outputs;
    size_t n = (size_t)self->n_rows * n_outputs;
    if (self->served->withheld[0] != '\0')
        return tw_error_set(error, TW_STATUS_UNAVAILABLE, "%s", self->served->withheld);
    tw_status status = tw_grow(&self->prediction, sizeof(double), &self->prediction_capacity, n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->scored, sizeof(double), &self->scored_capacity, n, error);
    if (status == TW_STATUS_OK)
        status = tw_model_predict(self->model, self->builder, self->scored, &self->stamp, error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < n; i++)
        self->prediction[i] = (double)NAN;
    for (uint32_t i = 0; i < self->builder->n_events; i++)
        memcpy(
            self->prediction + self->row_of[i] * n_outputs, self->scored + i * n_outputs, n_outputs * sizeof(double));
    return TW_STATUS_OK;
}

/* Memory that an unusually large request took goes back: a server's size does not depend on its worst client. */
static void desk_shrink(tw_desk *self)
{
    if (self->builder != NULL && self->builder->capacity_entries > self->fresh_capacity)
        tw_builder_destroy(&self->builder);
    if (self->bad_capacity > KEPT_ROWS) {
        tw_free(self->bad);
        self->bad = NULL;
        self->bad_capacity = 0;
    }
}

void tw_desk_finish(tw_desk *self)
{
    if (self->model != NULL)
        tw_served_leave(self->served);
    self->model = NULL;
    self->n_rows = 0;
    self->n_bad = 0;
    desk_shrink(self);
}
