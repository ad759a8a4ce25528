/* logistic_row.h: one coordinate of the learner logistic, whose file's head has the formulas: how its row is laid out,
 * which direction it steps in, how it shrinks and fades lazily. Pure; any thread. */
#ifndef TW_ALGORITHMS_LOGISTIC_ROW_H
#define TW_ALGORITHMS_LOGISTIC_ROW_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/forgetting.h"
#include "math/function.h"
#include "thalweg/schema.h"

/* Beyond this the square of a value would not be a finite float. */
static const double LOGISTIC_SCORE_LIMIT = 1e18;
/* Up to this value all that a direction divides by is a finite float; times in microseconds lie below it. */
static const float LOGISTIC_VALUE_LIMIT = 1e16f;
static const float LOGISTIC_LABEL_LIMIT = 1e9f; /* of labels and weights */

typedef struct logistic_rule {
    double rate;
    float beta;
    double l1, l2;
    bool is_shrunk; /* rows have `shrunk` */
    bool is_fading; /* rows have `tick` */
} logistic_rule;

/* Then, with l1 or l2 only, the double `shrunk`: shrinkage at the last touch; then, with a half-life only, the u64
 * `tick`, as of which g counts. */
typedef struct logistic_row {
    float w, g, largest, trace;
    uint64_t rest[];
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

/* The rows of up to LOGISTIC_CHUNK entries of an event: columns, so that roots and quotients are taken side by side. */
enum { LOGISTIC_CHUNK = 512 };
typedef struct logistic_chunk {
    float g[LOGISTIC_CHUNK], largest[LOGISTIC_CHUNK], direction[LOGISTIC_CHUNK];
} logistic_chunk;

/* r of the file's head, in float; 0 for a row that nothing was learned in. */
static inline float logistic_direction(const logistic_rule *self, float g, float largest)
{
    float size = (sqrtf(g) + self->beta * largest) * largest;
    return 1.0f / (size > 0.0f ? size : INFINITY); /* no branch about the quotient: it is taken in vectors */
}

static inline void logistic_directions(const logistic_rule *self, logistic_chunk *chunk, size_t count)
{
    for (size_t i = 0; i < count; i++)
        chunk->direction[i] = logistic_direction(self, chunk->g[i], chunk->largest[i]);
}

static inline double logistic_shrunk(const logistic_row *row)
{
    double shrunk;
    memcpy(&shrunk, row->rest, sizeof shrunk);
    return shrunk;
}

static inline void logistic_set_shrunk(logistic_row *row, double shrunk)
{
    memcpy(row->rest, &shrunk, sizeof shrunk);
}

static inline uint64_t *logistic_tick(const logistic_rule *self, logistic_row *row)
{
    return row->rest + (self->is_shrunk ? 1 : 0);
}

/* What the weight and its trace are to be multiplied by, for all shrinkage that the row has missed. */
static inline double logistic_shrink_factor(const logistic_rule *self, const logistic_row *row, double shrinkage)
{
    double size = fabs((double)row->w), missed = shrinkage - logistic_shrunk(row);
    if (size == 0.0 || !(missed > 0.0))
        return 1.0;
    double reach = (double)logistic_direction(self, row->g, row->largest) * missed, left = 1.0, cut = self->l1 * reach;
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
        logistic_set_shrunk(row, shrinkage);
    }
}

static inline void logistic_fade(const logistic_rule *self, logistic_row *row, uint64_t tick)
{
    if (tick != 0) {
        row->g = (float)((double)row->g * tw_forgetting_kept(*logistic_tick(self, row), tick));
        *logistic_tick(self, row) = tick;
    }
}

static inline void logistic_move(logistic_row *row, float direction, float x, double step, double trace_step)
{
    double along = (double)direction * (double)x;
    row->w = (float)((double)row->w + step * along);
    row->trace = (float)((double)row->trace + trace_step * along);
}

/* A sum of squares stays the largest float: a row whose sum were infinite would never move again. */
static inline float logistic_limited(double sum)
{
    return (float)(sum < (double)FLT_MAX ? sum : (double)FLT_MAX);
}

/* The larger of |x| and what was largest before. */
static inline float logistic_size(float x, float peak)
{
    return fabsf(x) > peak ? fabsf(x) : peak;
}

/* Sum of squared gradients of a weight of which only the size is known: that of the least number of events in which
 * steps of `rate` could have led there, with the slope of a flat half of the logistic loss, its square 1/4. */
static inline double logistic_least_curvature(const logistic_rule *self, double w, double largest)
{
    double steps = fabs(w) * largest / (2.0 * self->rate);
    return (1.0 + steps * steps) * 0.25 * largest * largest;
}

/* `largest` is set; what is 0 as curvature is unknown. */
static inline void logistic_start_row(
    const logistic_rule *self, logistic_row *row, double w, double curvature, double shrinkage, uint64_t tick)
{
    row->w = (float)w;
    row->g = (float)(curvature > 0.0 ? curvature : logistic_least_curvature(self, w, (double)row->largest));
    row->trace = 0.0f;
    if (self->is_shrunk)
        logistic_set_shrunk(row, shrinkage);
    if (self->is_fading)
        *logistic_tick(self, row) = tick;
}

static inline tw_status logistic_check_start(double w, double curvature, tw_error *error)
{
    const double limit = LOGISTIC_SCORE_LIMIT;
    if (fabs(w) <= limit && curvature >= 0.0 && curvature <= limit * limit)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_NUMERIC,
        "logistic: a weight of %g with curvature %g cannot be started from; the limits are %g and %g", w, curvature,
        limit, limit * limit);
}

#endif
