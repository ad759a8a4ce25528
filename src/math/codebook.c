#include "math/codebook.h"

#include <string.h>

#include "math/function.h"

double tw_codebook_kept(uint64_t tick, uint64_t now)
{
    if (now <= tick || tick == 0) {
        return 1.0;
    }
    return tw_exp((double)(now - tick) * (-0.69314718055994531 / TW_TICKS_PER_HALF_LIFE));
}

double tw_codebook_weight(const tw_codebook *self, uint64_t j, uint64_t now)
{
    const tw_codeword *word = tw_codebook_word(self, j);
    return word->weight * tw_codebook_kept(word->tick, now);
}

uint32_t tw_codebook_nearest(const tw_codebook *self, uint64_t first, uint32_t count, const float *x, float *distance)
{
    return self->kernels->nearest(
        x, tw_codebook_centre(self, first), self->stride / sizeof(float), count, self->width, distance);
}

void tw_codebook_refresh(const tw_codebook *self, uint64_t j)
{
    const tw_codeword *word = tw_codebook_word(self, j);
    if (!(word->weight > 0.0)) {
        return;
    }
    const double *sum = tw_codebook_sum(self, j), inverse = 1.0 / word->weight;
    float *centre = tw_codebook_centre(self, j);
    for (uint32_t d = 0; d < self->width; d++) {
        centre[d] = (float)(sum[d] * inverse);
    }
}

void tw_codebook_add(const tw_codebook *self, uint64_t j, const float *x, double weight, uint64_t now)
{
    tw_codeword *word = tw_codebook_word(self, j);
    double *restrict sum = tw_codebook_sum(self, j);
    double kept = tw_codebook_kept(word->tick, now);
    double total = word->weight * kept + weight;
    if (!(total > weight)) { /* merged changes of several workers may leave no weight */
        kept = 0.0;
        total = weight;
    }
    double inverse = 1.0 / total;
    float *restrict centre = tw_codebook_centre(self, j);
    word->tick = word->tick < now ? now : word->tick;
    word->weight = total;
    for (uint32_t d = 0; d < self->width; d++) {
        double value = sum[d] * kept + weight * (double)x[d];
        sum[d] = value;
        centre[d] = (float)(value * inverse);
    }
}

void tw_codebook_set(const tw_codebook *self, uint64_t j, const double *mean, double weight, uint64_t now)
{
    double *sum = tw_codebook_sum(self, j);
    float *centre = tw_codebook_centre(self, j);
    *tw_codebook_word(self, j) = (tw_codeword){.tick = now, .weight = weight};
    for (uint32_t d = 0; d < self->width; d++) {
        sum[d] = mean[d] * weight;
        centre[d] = (float)mean[d];
    }
}

void tw_codebook_rescale(const tw_codebook *self, uint64_t j, double weight, uint64_t now)
{
    tw_codeword *word = tw_codebook_word(self, j);
    double *sum = tw_codebook_sum(self, j), factor = word->weight > 0.0 ? weight / word->weight : 0.0;
    word->tick = now;
    word->weight = word->weight > 0.0 ? weight : 0.0;
    for (uint32_t d = 0; d < self->width; d++) {
        sum[d] *= factor;
    }
}

void tw_codebook_copy(const tw_codebook *self, uint64_t to, const tw_codebook *other, uint64_t from)
{
    memcpy(tw_codebook_word(self, to), tw_codebook_word(other, from),
        tw_codebook_centre_offset(self->width) + self->width * sizeof(float));
}

void tw_codebook_absorb(const tw_codebook *self, uint64_t into, uint64_t from)
{
    double *sum = tw_codebook_sum(self, into);
    const double *other = tw_codebook_sum(self, from);
    tw_codebook_word(self, into)->weight += tw_codebook_word(self, from)->weight;
    for (uint32_t d = 0; d < self->width; d++) {
        sum[d] += other[d];
    }
    tw_codebook_refresh(self, into);
}

void tw_codebook_empty(const tw_codebook *self, uint64_t j, uint64_t now)
{
    memset(tw_codebook_sum(self, j), 0, self->width * sizeof(double));
    *tw_codebook_word(self, j) = (tw_codeword){.tick = now};
}

double tw_ward(double a, double b, double distance)
{
    return a > 0.0 && b > 0.0 ? a * b / (a + b) * distance : 0.0;
}

static double half_distance(const tw_cells *self, uint64_t j, const float *x, uint64_t half)
{
    float distance;
    (void)tw_codebook_nearest(&self->half, 2 * j + half, 1, x, &distance);
    return (double)distance;
}

void tw_cells_halve(const tw_cells *self, uint64_t j, const float *x, double weight, uint64_t now)
{
    const tw_codeword *first = tw_codebook_word(&self->half, 2 * j), *second = tw_codebook_word(&self->half, 2 * j + 1);
    uint64_t half = 0;
    if (first->weight > 0.0 && second->weight > 0.0) {
        float distance;
        half = tw_codebook_nearest(&self->half, 2 * j, 2, x, &distance);
    } else if (first->weight > 0.0) {
        half = half_distance(self, j, x, 0) > 0.0;
    }
    tw_codebook_add(&self->half, 2 * j + half, x, weight, now);
}

double tw_cells_gain(const tw_cells *self, uint64_t j, double least, uint64_t now)
{
    double a = tw_codebook_weight(&self->half, 2 * j, now), b = tw_codebook_weight(&self->half, 2 * j + 1, now);
    if (!(a >= least && b >= least && a + b > 0.0)) {
        return 0.0;
    }
    double distance = half_distance(self, j, tw_codebook_centre(&self->half, 2 * j), 1);
    return tw_ward(a, b, distance) * (tw_codebook_weight(&self->centre, j, now) / (a + b));
}

double tw_cells_cost(const tw_cells *self, uint64_t i, uint64_t now, uint32_t *partner)
{
    const float *centre = tw_codebook_centre(&self->centre, i);
    float before = INFINITY, after = INFINITY;
    uint32_t n_after = self->live - 1 - (uint32_t)i, nearest = 0, next = 0;
    if (i > 0) {
        nearest = tw_codebook_nearest(&self->centre, 0, (uint32_t)i, centre, &before);
    }
    if (n_after > 0) {
        next = (uint32_t)i + 1 + tw_codebook_nearest(&self->centre, i + 1, n_after, centre, &after);
    }
    if (self->live < 2) {
        return (double)INFINITY;
    }
    *partner = after < before ? next : nearest;
    return tw_ward(tw_codebook_weight(&self->centre, i, now), tw_codebook_weight(&self->centre, *partner, now),
        (double)(after < before ? after : before));
}

void tw_cells_move(const tw_cells *self, uint64_t i, uint64_t partner, uint64_t j, uint64_t now)
{
    const tw_codebook *centre = &self->centre, *half = &self->half;
    double a = tw_codebook_weight(half, 2 * j, now), b = tw_codebook_weight(half, 2 * j + 1, now);
    double share = tw_codebook_weight(centre, j, now) / (a + b);
    tw_codebook_rescale(centre, i, tw_codebook_weight(centre, i, now), now);
    tw_codebook_rescale(centre, partner, tw_codebook_weight(centre, partner, now), now);
    tw_codebook_copy(half, 2 * partner, centre, partner);
    tw_codebook_copy(half, 2 * partner + 1, centre, i);
    tw_codebook_absorb(centre, partner, i);
    tw_codebook_copy(centre, j, half, 2 * j);
    tw_codebook_copy(centre, i, half, 2 * j + 1);
    tw_codebook_rescale(centre, j, a * share, now);
    tw_codebook_rescale(centre, i, b * share, now);
    const uint64_t fresh[] = {2 * i, 2 * i + 1, 2 * j, 2 * j + 1};
    for (int h = 0; h < 4; h++) {
        tw_codebook_empty(half, fresh[h], now);
    }
}
