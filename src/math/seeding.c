#include "math/seeding.h"

#include <string.h>

#include "base/hash.h"
#include "math/function.h"

enum {
    SEEDING_LLOYD_ROUNDS = 30,
    SEEDING_MOVE_ROUNDS = 8, /* of Lloyd's algorithm after moves */
    SEEDING_HALF_ROUNDS = 6,
    SEEDING_TRIES = 40,   /* of moves */
    SEEDING_FAILURES = 4, /* of single moves before the fit ends */
};

/* One fit. */
typedef struct seeding {
    tw_cells *cells;
    const tw_sample *sample;
    tw_seeding_scratch scratch;
    uint64_t seed, draws;
    uint64_t now;
} seeding;

size_t tw_seeding_scratch_size(uint32_t n, uint32_t k)
{
    return (size_t)n * (sizeof(double) + 3 * sizeof(float) + 2 * sizeof(uint32_t)) +
           (size_t)k * (2 * sizeof(double) + sizeof(uint32_t));
}

tw_seeding_scratch tw_seeding_scratch_at(void *memory, uint32_t n, uint32_t k)
{
    tw_seeding_scratch self = {.weight = memory};
    self.cost = self.weight + n;
    self.gain = self.cost + k;
    self.distance = (float *)(void *)(self.gain + k);
    self.candidate = self.distance + n;
    self.chosen = self.candidate + n;
    self.cell = (uint32_t *)(void *)(self.chosen + n);
    self.best = self.cell + n;
    self.partner = self.best + n;
    return self;
}

/* Uniform in [0, 1): the number `draw` of the sequence of this seed. */
static double uniform_at(uint64_t seed, uint64_t draw)
{
    return (double)(tw_mix64(tw_mix64(seed + 1) + draw * 0x9e3779b97f4a7c15ull) >> 11) * 0x1p-53;
}

static double next_uniform(seeding *self)
{
    return uniform_at(self->seed, self->draws++);
}

/* --- seeds -------------------------------------------------------------------------------------------------------- */

/* A point drawn with probability ~ weight x distance; false when none has both. */
static bool draw_point(seeding *self, const float *distance, uint32_t *out)
{
    const double *weight = self->scratch.weight;
    double total = 0.0, sum = 0.0;
    bool is_found = false;
    for (uint32_t i = 0; i < self->sample->count; i++) {
        total += weight[i] * (distance ? (double)distance[i] : 1.0);
    }
    double target = next_uniform(self) * total;
    for (uint32_t i = 0; i < self->sample->count && (!is_found || sum <= target); i++) {
        double mass = weight[i] * (distance ? (double)distance[i] : 1.0);
        sum += mass;
        if (mass > 0.0) {
            *out = i;
            is_found = true;
        }
    }
    return is_found;
}

/* candidate[i] = the distance of i when point `at` is a centre too; returns their weighted sum. */
static double try_candidate(seeding *self, uint32_t at)
{
    const tw_codebook *book = &self->cells->centre;
    const float *centre = tw_sample_point(self->sample, at);
    const tw_seeding_scratch *scratch = &self->scratch;
    double sum = 0.0;
    for (uint32_t i = 0; i < self->sample->count; i++) {
        float distance, least = scratch->distance[i];
        (void)book->kernels->nearest(tw_sample_point(self->sample, i), centre, 0, 1, book->width, &distance);
        least = distance < least ? distance : least;
        scratch->candidate[i] = least;
        sum += scratch->weight[i] * (double)least;
    }
    return sum;
}

static void swap_arrays(float **a, float **b)
{
    float *other = *a;
    *a = *b;
    *b = other;
}

/* One seed: the best of 2 + log k points, each drawn with probability ~ its part of the sum. */
static bool add_seed(seeding *self, uint32_t n_candidates, const float *distance)
{
    tw_seeding_scratch *scratch = &self->scratch;
    double least = (double)INFINITY;
    uint32_t best = 0, at = 0;
    for (uint32_t c = 0; c < n_candidates; c++) {
        if (!draw_point(self, distance, &at)) {
            return false;
        }
        double sum = try_candidate(self, at);
        if (sum < least) {
            least = sum;
            best = at;
            swap_arrays(&scratch->candidate, &scratch->chosen);
        }
    }
    if (!(least < (double)INFINITY)) {
        return false;
    }
    swap_arrays(&scratch->chosen, &scratch->distance);
    uint32_t j = self->cells->live++;
    tw_codebook_empty(&self->cells->centre, j, self->now);
    memcpy(tw_codebook_centre(&self->cells->centre, j), tw_sample_point(self->sample, best),
        self->cells->centre.width * sizeof(float));
    return true;
}

static void add_seeds(seeding *self, uint32_t k, tw_seeding_rule rule)
{
    uint32_t n_candidates = rule == TW_SEEDING_RANDOM ? 1 : 2 + (uint32_t)tw_log((double)k);
    for (uint32_t i = 0; i < self->sample->count; i++) {
        self->scratch.distance[i] = 3e38f;
        if (self->cells->live > 0) {
            (void)tw_codebook_nearest(&self->cells->centre, 0, self->cells->live, tw_sample_point(self->sample, i),
                &self->scratch.distance[i]);
        }
    }
    bool is_on = self->cells->live < k && (self->cells->live > 0 || add_seed(self, 1, NULL));
    while (is_on && self->cells->live < k) {
        if (rule == TW_SEEDING_RANDOM) { /* any point that differs from all centres */
            for (uint32_t i = 0; i < self->sample->count; i++) {
                self->scratch.distance[i] = self->scratch.distance[i] > 0.0f ? 1.0f : 0.0f;
            }
        }
        is_on = add_seed(self, n_candidates, self->scratch.distance);
    }
}

/* --- Lloyd -------------------------------------------------------------------------------------------------------- */

/* Weights and sums of the points of each cell. */
static void sum_cells(seeding *self)
{
    const tw_codebook *book = &self->cells->centre;
    for (uint32_t j = 0; j < self->cells->live; j++) {
        tw_codebook_empty(book, j, self->now);
    }
    for (uint32_t i = 0; i < self->sample->count; i++) {
        uint32_t j = self->scratch.cell[i];
        const float *point = tw_sample_point(self->sample, i);
        double *sum = tw_codebook_sum(book, j), weight = self->scratch.weight[i];
        tw_codebook_word(book, j)->weight += weight;
        for (uint32_t d = 0; d < book->width; d++) {
            sum[d] += weight * (double)point[d];
        }
    }
    for (uint32_t j = 0; j < self->cells->live; j++) {
        tw_codebook_refresh(book, j);
    }
}

/* Sends every point to its nearest centre; returns the sum of squares and whether a point changed its cell. */
static double assign_points(seeding *self, bool *is_changed)
{
    double total = 0.0;
    *is_changed = false;
    for (uint32_t i = 0; i < self->sample->count; i++) {
        float distance;
        uint32_t j = tw_codebook_nearest(
            &self->cells->centre, 0, self->cells->live, tw_sample_point(self->sample, i), &distance);
        *is_changed = *is_changed || j != self->scratch.cell[i];
        self->scratch.cell[i] = j;
        self->scratch.distance[i] = distance;
        total += self->scratch.weight[i] * (double)distance;
    }
    return total;
}

/* Ends with sums that belong to the cells; returns the sum of squares before the last means were taken. */
static double run_lloyd(seeding *self, uint32_t rounds)
{
    double total = 0.0;
    bool is_changed = true;
    for (uint32_t r = 0; r < rounds && is_changed; r++) {
        total = assign_points(self, &is_changed);
        if (is_changed || r == 0) {
            sum_cells(self);
        }
    }
    return total;
}

/* --- moves -------------------------------------------------------------------------------------------------------- */

/* The first two means of each cell: points drawn by their distance, first to the centre, then to the first mean. The
 * largest of distance x uniform takes the place; the halves' weights hold it meanwhile. */
static void start_halves(seeding *self, uint32_t half)
{
    const tw_codebook *halves = &self->cells->half;
    uint64_t salt = self->draws++;
    for (uint32_t j = 0; j < self->cells->live; j++) {
        tw_codebook_empty(halves, 2 * (uint64_t)j + half, self->now);
    }
    for (uint32_t i = 0; i < self->sample->count; i++) {
        uint64_t j = self->scratch.cell[i];
        const float *point = tw_sample_point(self->sample, i);
        float distance = self->scratch.distance[i];
        if (half == 1) {
            (void)tw_codebook_nearest(halves, 2 * j, 1, point, &distance);
        }
        double score = (double)distance * uniform_at(self->seed ^ salt << 32, i);
        tw_codeword *word = tw_codebook_word(halves, 2 * j + half);
        if (score > word->weight) {
            word->weight = score;
            memcpy(tw_codebook_centre(halves, 2 * j + half), point, halves->width * sizeof(float));
        }
    }
}

/* 2-means in every cell at once. */
static void fit_halves(seeding *self)
{
    const tw_codebook *halves = &self->cells->half;
    start_halves(self, 0);
    start_halves(self, 1);
    for (int r = 0; r < SEEDING_HALF_ROUNDS; r++) {
        for (uint64_t h = 0; h < 2 * (uint64_t)self->cells->live; h++) {
            tw_codebook_empty(halves, h, self->now);
        }
        for (uint32_t i = 0; i < self->sample->count; i++) {
            float distance;
            uint64_t first = 2 * (uint64_t)self->scratch.cell[i];
            const float *point = tw_sample_point(self->sample, i);
            uint64_t h = first + tw_codebook_nearest(halves, first, 2, point, &distance);
            double *sum = tw_codebook_sum(halves, h), weight = self->scratch.weight[i];
            tw_codebook_word(halves, h)->weight += weight;
            for (uint32_t d = 0; d < halves->width; d++) {
                sum[d] += weight * (double)point[d];
            }
        }
        for (uint64_t h = 0; h < 2 * (uint64_t)self->cells->live; h++) {
            tw_codebook_refresh(halves, h);
        }
    }
}

/* Index of the least value; the first of equals. */
static uint32_t least_of(const double *value, uint32_t count, double sign)
{
    uint32_t least = 0;
    for (uint32_t j = 1; j < count; j++) {
        least = sign * value[j] < sign * value[least] ? j : least;
    }
    return least;
}

static void take_cell(seeding *self, uint32_t j)
{
    self->scratch.cost[j] = (double)INFINITY;
    self->scratch.gain[j] = 0.0;
}

/* Up to `limit` moves, cheapest cell to largest gain; a cell takes part in one of them. Returns their number. */
static uint32_t make_moves(seeding *self, uint32_t limit)
{
    const tw_seeding_scratch *scratch = &self->scratch;
    uint32_t n = 0, live = self->cells->live;
    for (uint32_t j = 0; j < live; j++) {
        scratch->cost[j] = tw_cells_cost(self->cells, j, self->now, &scratch->partner[j]);
        scratch->gain[j] = tw_cells_gain(self->cells, j, 0.0, self->now);
    }
    while (n < limit) {
        uint32_t from = least_of(scratch->cost, live, 1.0), partner = scratch->partner[from];
        double cost = scratch->cost[from];
        if (!(cost < (double)INFINITY)) {
            break;
        }
        bool is_free = scratch->cost[partner] < (double)INFINITY;
        take_cell(self, from);
        if (!is_free) {
            continue;
        }
        take_cell(self, partner);
        uint32_t to = least_of(scratch->gain, live, -1.0);
        if (!(scratch->gain[to] > cost)) {
            break;
        }
        take_cell(self, to);
        tw_cells_move(self->cells, from, partner, to, self->now);
        n++;
    }
    return n;
}

static void keep_cells(seeding *self, uint32_t *to, const uint32_t *from)
{
    memcpy(to, from, self->sample->count * sizeof *to);
}

/* Moves centres, runs Lloyd's algorithm, and keeps what lowered the sum of squares; first several moves at once. */
static void improve(seeding *self, double least)
{
    uint32_t limit = self->cells->live / 8 + 1, n_failures = 0;
    keep_cells(self, self->scratch.best, self->scratch.cell);
    for (uint32_t t = 0; t < SEEDING_TRIES && n_failures < SEEDING_FAILURES; t++) {
        fit_halves(self);
        uint32_t n_moves = make_moves(self, limit);
        double total = n_moves > 0 ? run_lloyd(self, SEEDING_MOVE_ROUNDS) : least;
        if (total < least * (1.0 - 1e-5)) {
            least = total;
            keep_cells(self, self->scratch.best, self->scratch.cell);
            continue;
        }
        n_failures += limit == 1;
        limit = n_moves > 1 ? n_moves / 2 : 1;
        keep_cells(self, self->scratch.cell, self->scratch.best);
        sum_cells(self);
        bool is_changed;
        (void)assign_points(self, &is_changed);
    }
}

void tw_seeding_fit(tw_cells *cells,
    const tw_sample *sample,
    uint32_t k,
    tw_seeding_rule rule,
    uint64_t seed,
    uint64_t now,
    const tw_seeding_scratch *scratch)
{
    seeding self = {.cells = cells, .sample = sample, .scratch = *scratch, .seed = seed, .now = now};
    for (uint32_t i = 0; i < sample->count; i++) {
        self.scratch.weight[i] =
            (double)*tw_sample_weight(sample, i) * tw_codebook_kept(*tw_sample_tick(sample, i), now);
    }
    add_seeds(&self, k, rule);
    double total = run_lloyd(&self, SEEDING_LLOYD_ROUNDS);
    if (cells->half.record) {
        improve(&self, total);
        (void)run_lloyd(&self, SEEDING_LLOYD_ROUNDS);
        fit_halves(&self);
    }
}
