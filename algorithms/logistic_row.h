/* logistic_row.h: one coordinate of the learner logistic, whose file's head has the formulas: how its row is laid out,
 * which direction it steps in, how it shrinks and fades lazily. Pure; any thread. */
#ifndef TW_ALGORITHMS_LOGISTIC_ROW_H
#define TW_ALGORITHMS_LOGISTIC_ROW_H

#include <math.h>

#include "algorithms/forgetting.h"
#include "math/function.h"
#include "thalweg/schema.h"

typedef struct logistic_rule {
    double beta, l1, l2;
    bool is_shrunk; /* rows have `shrunk` */
    bool is_fading; /* rows have `tick` */
} logistic_rule;

/* Then, with l1 or l2 only, the double `shrunk`: shrinkage at the last touch; then, with a half-life only, the u64
 * `tick`, as of which g counts. */
typedef struct logistic_row {
    float w, g, largest, trace;
    unsigned char rest[];
} logistic_row;

static inline tw_status logistic_add_row(const logistic_rule *self, tw_record *record, tw_error *error)
{
    tw_status status = tw_record_add(record, "w", TW_FIELD_F32, 1, TW_MERGE_ADD, error);
    if (!status)
        status = tw_record_add(record, "g", TW_FIELD_F32, 1, TW_MERGE_FADE, error);
    if (!status)
        status = tw_record_add(record, "largest", TW_FIELD_F32, 1, TW_MERGE_MAX, error);
    if (!status)
        status = tw_record_add(record, "trace", TW_FIELD_F32, 1, TW_MERGE_ADD, error);
    if (!status && self->is_shrunk)
        status = tw_record_add(record, "shrunk", TW_FIELD_F64, 1, TW_MERGE_MAX, error);
    if (!status && self->is_fading)
        status = tw_record_add(record, "tick", TW_FIELD_U64, 1, TW_MERGE_TICK, error);
    return status;
}

/* r of the file's head; 0 for a row that nothing was learned in. */
static inline double logistic_direction(const logistic_rule *self, const logistic_row *row)
{
    double largest = (double)row->largest, size = (sqrt((double)row->g) + self->beta * largest) * largest;
    return size > 0.0 ? 1.0 / size : 0.0;
}

static inline double *logistic_shrunk(const logistic_row *row)
{
    return (double *)(uintptr_t)row->rest;
}

static inline uint64_t *logistic_tick(const logistic_rule *self, const logistic_row *row)
{
    return (uint64_t *)(uintptr_t)row->rest + (self->is_shrunk ? 1 : 0);
}

/* What the weight and its trace are to be multiplied by, for all shrinkage that the row has missed. */
static inline double logistic_shrink_factor(const logistic_rule *self, const logistic_row *row, double shrinkage)
{
    double size = fabs((double)row->w), missed = shrinkage - *logistic_shrunk(row);
    if (size == 0.0 || !(missed > 0.0))
        return 1.0;
    double reach = logistic_direction(self, row) * missed, left = 1.0, cut = self->l1 * reach;
    if (self->l2 > 0.0) {
        left = tw_exp(-self->l2 * reach);
        cut = self->l1 / self->l2 * (1.0 - left);
    }
    return size * left > cut ? left - cut / size : 0.0;
}

static inline double logistic_weight_at(const logistic_rule *self, const logistic_row *row, double shrinkage)
{
    double w = (double)row->w;
    return self->is_shrunk ? w * logistic_shrink_factor(self, row, shrinkage) : w;
}

static inline void logistic_shrink(const logistic_rule *self, logistic_row *row, double shrinkage)
{
    if (self->is_shrunk) {
        double factor = logistic_shrink_factor(self, row, shrinkage);
        row->w = (float)((double)row->w * factor);
        row->trace = (float)((double)row->trace * factor);
        *logistic_shrunk(row) = shrinkage;
    }
}

static inline void logistic_fade(const logistic_rule *self, logistic_row *row, uint64_t tick)
{
    if (tick != 0) {
        row->g = (float)((double)row->g * tw_forgetting_kept(*logistic_tick(self, row), tick));
        *logistic_tick(self, row) = tick;
    }
}

static inline void logistic_move(logistic_row *row, double direction, double step, double trace_step)
{
    row->w = (float)((double)row->w + step * direction);
    row->trace = (float)((double)row->trace + trace_step * direction);
}

#endif
