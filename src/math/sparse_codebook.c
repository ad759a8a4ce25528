#include "math/sparse_codebook.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "math/codebook.h"

/* A centre that has less left is taken for forgotten: quotients of such weights have no digits. */
static const double SPARSE_LEAST_WEIGHT = 1e-280;

tw_status tw_sparse_row_fields(tw_record *record, uint32_t k, tw_error *error)
{
    tw_status status = tw_record_add(record, "tick", TW_FIELD_U64, 1, TW_MERGE_TICK, error);
    status = status ? status : tw_record_add(record, "step", TW_FIELD_U64, 1, TW_MERGE_MAX, error);
    return status ? status : tw_record_add(record, "sum", TW_FIELD_F64, k, TW_MERGE_FADE, error);
}

tw_status tw_sparse_centre_fields(tw_record *record, tw_error *error)
{
    tw_status status = tw_record_add(record, "tick", TW_FIELD_U64, 1, TW_MERGE_TICK, error);
    status = status ? status : tw_record_add(record, "born", TW_FIELD_U64, 1, TW_MERGE_MAX, error);
    status = status ? status : tw_record_add(record, "weight", TW_FIELD_F64, 1, TW_MERGE_FADE, error);
    return status ? status : tw_record_add(record, "length", TW_FIELD_F64, 1, TW_MERGE_FADE, error);
}

double tw_sparse_weight(const tw_sparse_codebook *self, uint32_t j, uint64_t now)
{
    return self->centre[j].weight * tw_codebook_kept(self->centre[j].tick, now);
}

/* dot += factor * sum, without the centres that began after the row was touched last. */
static void add_row(const tw_sparse_codebook *self, const tw_sparse_row *row, double factor)
{
    for (uint32_t j = 0; j < self->live; j++) {
        double sum = self->centre[j].born > row->step ? 0.0 : row->sum[j];
        self->dot[j] += factor * sum;
    }
}

tw_sparse_nearest tw_sparse_find(const tw_sparse_codebook *self, const tw_sparse_point *point, uint64_t now)
{
    tw_sparse_nearest nearest = {.distance = (double)INFINITY};
    memset(self->dot, 0, self->live * sizeof *self->dot);
    for (uint32_t e = 0; e < point->n; e++) {
        const tw_sparse_row *row = point->row[e];
        double x = (double)point->value[e];
        nearest.length += x * x;
        if (row->step > 0) {
            add_row(self, row, x * tw_codebook_kept(row->tick, now));
        }
    }
    for (uint32_t j = 0; j < self->live; j++) {
        double kept = tw_codebook_kept(self->centre[j].tick, now), weight = self->centre[j].weight * kept;
        if (!(weight > SPARSE_LEAST_WEIGHT)) {
            continue;
        }
        double norm = self->centre[j].length * kept / weight;
        double distance = nearest.length - 2.0 * self->dot[j] / weight + norm * norm;
        distance = distance > 0.0 ? distance : 0.0;
        nearest.index = distance < nearest.distance ? j : nearest.index;
        nearest.distance = distance < nearest.distance ? distance : nearest.distance;
    }
    return nearest;
}

/* Brings all sums of a row to `now`. */
static void refresh_row(const tw_sparse_codebook *self, tw_sparse_row *row, uint64_t step, uint64_t now)
{
    double kept = tw_codebook_kept(row->tick, now);
    for (uint32_t j = 0; j < self->live; j++) {
        row->sum[j] = self->centre[j].born > row->step ? 0.0 : row->sum[j] * kept;
    }
    row->tick = row->tick < now ? now : row->tick;
    row->step = step;
}

void tw_sparse_add(const tw_sparse_codebook *self,
    const tw_sparse_point *point,
    uint32_t j,
    double weight,
    uint64_t step,
    uint64_t now)
{
    tw_sparse_centre *centre = &self->centre[j];
    double kept = tw_codebook_kept(centre->tick, now), square = centre->length * kept * (centre->length * kept);
    for (uint32_t e = 0; e < point->n; e++) {
        tw_sparse_row *row = point->row[e];
        double change = weight * (double)point->value[e];
        refresh_row(self, row, step, now);
        square += change * (2.0 * row->sum[j] + change); /* (s + c)^2 - s^2 */
        row->sum[j] += change;
    }
    double total = centre->weight * kept;
    centre->weight = (total > 0.0 ? total : 0.0) + weight;
    centre->length = square > 0.0 ? sqrt(square) : 0.0;
    centre->tick = centre->tick < now ? now : centre->tick;
}

void tw_sparse_begin(const tw_sparse_codebook *self, uint32_t j, uint64_t step, uint64_t now)
{
    self->centre[j] = (tw_sparse_centre){.tick = now, .born = step};
}
