/* served.h: the model that answers, which may be swapped while it does, and desks: what one thread needs to turn rows
 * into predictions. A request is answered by one model from its first row to its last. */
#ifndef TW_SERVE_SERVED_H
#define TW_SERVE_SERVED_H

#include "engine/model.h"

typedef struct tw_served tw_served;

TW_MUST_USE tw_status tw_served_create(tw_model *model, bool is_owner, tw_served **out, tw_error *error);
void tw_served_destroy(tw_served **self);

/* From here on `model` answers. Waits for the requests that are under way, not for those that come later; when it
 * returns nobody uses the old model, which is destroyed if owned. Any thread. */
void tw_served_swap(tw_served *self, tw_model *model, bool is_owner);

/* From here on rows are not scored: they are answered UNAVAILABLE with this reason (copied), until the next swap. */
void tw_served_withhold(tw_served *self, const char *reason);

/* Any thread. Between enter and leave the model stays. */
tw_model *tw_served_enter(tw_served *self, uint64_t *generation);
void tw_served_leave(tw_served *self);

/* One thread's own plan, builder and results. */
typedef struct tw_row_error {
    uint32_t row;
    tw_error error;
} tw_row_error;

typedef struct tw_desk {
    tw_served *served;
    tw_model *model; /* while a request is open */
    uint64_t generation;
    tw_plan *plan;
    tw_builder *builder;
    uint32_t fresh_capacity; /* entries that a new builder has room for */
    tw_event event;
    tw_error event_error; /* the first thing wrong with the row under construction */
    uint32_t max_rows, n_rows;
    uint32_t *row_of;  /* [max_rows] row number of each event in the builder */
    tw_row_error *bad; /* [n_bad] rows that failed, ascending */
    uint32_t n_bad;
    size_t bad_capacity;
    double *prediction; /* [n_rows x n_outputs]; NaN for rows that failed */
    size_t prediction_capacity;
    double *scored; /* [n_events x n_outputs] */
    size_t scored_capacity;
    tw_model_stamp stamp;
} tw_desk;

TW_MUST_USE tw_status tw_desk_create(tw_served *served, uint32_t max_rows, tw_desk **out, tw_error *error);
void tw_desk_destroy(tw_desk **self);

/* A request: begin, then per row row_begin, fields, row_end; then answer; then finish (also after an error). */
TW_MUST_USE tw_status tw_desk_begin(tw_desk *self, tw_error *error);
void tw_desk_row_begin(tw_desk *self);
void tw_desk_number(tw_desk *self, const char *name, size_t size, double value);
void tw_desk_integer(tw_desk *self, const char *name, size_t size, int64_t value);
void tw_desk_string(tw_desk *self, const char *name, size_t size, const char *text, size_t text_size);
void tw_desk_bool(tw_desk *self, const char *name, size_t size, bool value);
void tw_desk_element(tw_desk *self, const char *name, size_t size, const char *text, size_t text_size);
void tw_desk_unfit(tw_desk *self, const char *name, size_t size);           /* a value that no feature can be made of */
void tw_desk_wrong(tw_desk *self, const char *format, ...) TW_PRINTF(2, 3); /* the row cannot be used */
TW_MUST_USE tw_status tw_desk_row_end(tw_desk *self, tw_error *error);      /* INVALID: too many rows or features */
TW_MUST_USE tw_status tw_desk_answer(tw_desk *self, tw_error *error);
void tw_desk_finish(tw_desk *self);

#endif
