/* lloyd: k-means of bounded dense rows: seeds by greedy k-means++, then Lloyd's algorithm with distances as products of
 * matrices. D. Arthur, S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007; S. Lloyd, "Least
 * Squares Quantization in PCM", IEEE Trans. Inf. Theory 28, 1982.
 *
 * Minimizes   F(C) = sum_i c_i min_j |x_i - C_j|^2    over n_centres centres, c_i the weight of event i
 * Step        every event to its nearest centre, the first of equals; every centre to the mean of its events. An empty
 *             centre goes to the event farthest from its own one, as in scikit-learn.
 * Stops       when no event changes its centre (measure 0), or when the centres move by
 *             sum_j |C_j - C_j before|^2 <= tolerance v, v the mean variance of the columns: scikit-learn's rule.
 *             measure is that sum over v. The result is the best of n_init starts.
 * Options     init: kmeans++; random: events drawn by weight; sample: a fit by math/seeding.h to at most 20,000
 *             events, which moves centres too; given: the solution's start (has_start by itself means given).
 *             n_init, max_iterations of each start, tolerance.
 *
 * Memory beside the matrix, in bytes: 20 n_events + (8 rows + 16 n_centres) dense_width + 8 rows n_centres with at most
 * 512 rows; for the sample 20,000 (4 dense_width + 48) + 36 n_centres dense_width more. One thread; with one library
 * the same input gives the same bits. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "math/blas.h"
#include "math/seeding.h"
#include "thalweg/learner.h"
#include "thalweg/solver.h"

enum { LLOYD_ROWS = 512, LLOYD_PRODUCT = 1 << 21, LLOYD_SAMPLE = 20000 };

typedef struct lloyd {
    tw_blas blas;
    const tw_matrix *matrix;
    uint64_t seed, draws;
    uint32_t k, width, max_iterations, n_rows, n_wide; /* rows of a block; columns of its product */
    double tolerance, variance;
    double *mean;            /* [width]; everything below is of x - mean: products then lose no digits */
    double *centre, *next;   /* [k x width] */
    double *weight;          /* [k] of the events of each centre */
    double *norm;            /* [n_wide] squared lengths of what a block is multiplied by */
    double *block, *product; /* [n_rows x width]; [n_rows x n_wide] */
    double *length;          /* [n_events] squared length */
    double *distance;        /* [n_events] to the nearest centre */
    uint32_t *cell;          /* [n_events] */
    double *pool;            /* the memory of all of them */
    double objective, measure;
    uint32_t iterations;
    bool is_converged;
} lloyd;

static const tw_option lloyd_options[] = {
    {.name = "init",
        .type = TW_OPTION_CHOICE,
        .fallback = "kmeans++",
        .choices = "kmeans++|random|sample|given",
        .help = "where the first centres come from; sample: a fit with moves to at most 20,000 events"},
    {.name = "n_init",
        .type = TW_OPTION_INT,
        .fallback = "1",
        .min = 1,
        .max = 1000,
        .help = "starts with other seeds, of which the best is kept; 1 with kmeans++ in scikit-learn"},
    {.name = "max_iterations",
        .type = TW_OPTION_INT,
        .fallback = "300",
        .min = 1,
        .max = 1e6,
        .help = "most steps of a start; 300 in scikit-learn"},
    {.name = "tolerance",
        .type = TW_OPTION_REAL,
        .fallback = "1e-4",
        .min = 0,
        .max = 1,
        .help = "stop when the centres move by less, in squares over the mean variance; 1e-4 in scikit-learn"},
    {0}};

/* --- blocks of rows ----------------------------------------------------------------------------------------------- */

static double lloyd_random(lloyd *self)
{
    return (double)(tw_mix64(tw_mix64(self->seed + 1) + self->draws++ * 0x9e3779b97f4a7c15ull) >> 11) * 0x1p-53;
}

static uint32_t lloyd_rows_at(const lloyd *self, uint64_t first)
{
    uint64_t left = self->matrix->n_events - first;
    return (uint32_t)(left < self->n_rows ? left : self->n_rows);
}

/* block := x - mean of the rows from `first` on. Returns their number. */
static uint32_t lloyd_load(lloyd *self, uint64_t first)
{
    uint32_t n = lloyd_rows_at(self, first);
    const float *from = self->matrix->dense + first * self->width;
    for (uint32_t r = 0; r < n; r++) {
        for (uint32_t d = 0; d < self->width; d++) {
            self->block[(size_t)r * self->width + d] = (double)from[(size_t)r * self->width + d] - self->mean[d];
        }
    }
    return n;
}

static double lloyd_square(const double *x, uint32_t n)
{
    double sum = 0.0;
    for (uint32_t d = 0; d < n; d++) {
        sum += x[d] * x[d];
    }
    return sum;
}

static void lloyd_set_norms(lloyd *self, const double *points, uint32_t count)
{
    for (uint32_t j = 0; j < count; j++) {
        self->norm[j] = lloyd_square(points + (size_t)j * self->width, self->width);
    }
}

/* product[r][j] = |point j|^2 - 2 x_r point j for the rows of the block: distances less |x_r|^2. norm is set. */
static void lloyd_multiply(lloyd *self, uint32_t n, const double *points, uint32_t count)
{
    int width = (int)self->width, m = (int)count;
    for (uint32_t r = 0; r < n; r++) {
        memcpy(self->product + (size_t)r * count, self->norm, count * sizeof *self->norm);
    }
    self->blas.dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, m, width, -2.0, self->block, width, points, width,
        1.0, self->product, m);
}

static double lloyd_above_zero(double value)
{
    return value > 0.0 ? value : 0.0;
}

/* --- seeds -------------------------------------------------------------------------------------------------------- */

/* The event at which the running sum of weight x distance (weight alone: NULL) passes a random part of the whole; false
 * when that is 0. */
static bool lloyd_draw(lloyd *self, const double *distance, uint64_t *out)
{
    const tw_matrix *matrix = self->matrix;
    double total = 0.0, sum = 0.0;
    bool is_found = false;
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        total += (double)matrix->weight[i] * (distance ? distance[i] : 1.0);
    }
    double target = lloyd_random(self) * total;
    for (uint64_t i = 0; i < matrix->n_events && (!is_found || sum <= target); i++) {
        double mass = (double)matrix->weight[i] * (distance ? distance[i] : 1.0);
        sum += mass;
        if (mass > 0.0) {
            *out = i;
            is_found = true;
        }
    }
    return is_found;
}

static void lloyd_copy_event(const lloyd *self, uint64_t i, double *to)
{
    for (uint32_t d = 0; d < self->width; d++) {
        to[d] = (double)self->matrix->dense[i * self->width + d] - self->mean[d];
    }
}

/* distance := with centre j too. */
static void lloyd_take_seed(lloyd *self, uint32_t j)
{
    const double *seed = self->centre + (size_t)j * self->width;
    lloyd_set_norms(self, seed, 1);
    for (uint64_t first = 0; first < self->matrix->n_events; first += self->n_rows) {
        uint32_t n = lloyd_load(self, first);
        lloyd_multiply(self, n, seed, 1);
        for (uint32_t r = 0; r < n; r++) {
            double distance = lloyd_above_zero(self->length[first + r] + self->product[r]);
            double *least = &self->distance[first + r];
            /* the seed itself: what rounding leaves must not be drawn again */
            distance = distance > 1e-13 * self->length[first + r] ? distance : 0.0;
            *least = j == 0 || distance < *least ? distance : *least;
        }
    }
}

/* Sums of weight x distance that each of `count` candidates would leave: norm [count] is used, total [count] written.
 */
static void lloyd_try(lloyd *self, const double *candidates, uint32_t count, double *total)
{
    lloyd_set_norms(self, candidates, count);
    memset(total, 0, count * sizeof *total);
    for (uint64_t first = 0; first < self->matrix->n_events; first += self->n_rows) {
        uint32_t n = lloyd_load(self, first);
        lloyd_multiply(self, n, candidates, count);
        for (uint32_t r = 0; r < n; r++) {
            double least = self->distance[first + r], weight = (double)self->matrix->weight[first + r];
            for (uint32_t c = 0; c < count; c++) {
                double distance = lloyd_above_zero(self->length[first + r] + self->product[(size_t)r * count + c]);
                total[c] += weight * (distance < least ? distance : least);
            }
        }
    }
}

enum { LLOYD_MAX_CANDIDATES = 16 };

/* Centre j by greedy k-means++: the best of 2 + log k events drawn by weight x distance. An event of random weight when
 * no event differs from the centres. */
static void lloyd_add_seed(lloyd *self, uint32_t j)
{
    double total[LLOYD_MAX_CANDIDATES], *candidate = self->next;
    uint32_t count = j == 0 ? 1 : 2 + (uint32_t)log((double)self->k), best = 0;
    uint64_t event = 0;
    count = count < LLOYD_MAX_CANDIDATES ? count : LLOYD_MAX_CANDIDATES;
    count = count < self->k ? count : self->k;
    for (uint32_t c = 0; c < count; c++) {
        if (!lloyd_draw(self, j == 0 ? NULL : self->distance, &event)) {
            (void)lloyd_draw(self, NULL, &event);
        }
        lloyd_copy_event(self, event, candidate + (size_t)c * self->width);
    }
    if (count > 1) {
        lloyd_try(self, candidate, count, total);
    }
    for (uint32_t c = 1; c < count; c++) {
        best = total[c] < total[best] ? c : best;
    }
    memcpy(self->centre + (size_t)j * self->width, candidate + (size_t)best * self->width,
        self->width * sizeof *candidate);
    lloyd_take_seed(self, j);
}

/* k events, each drawn by weight from those that are left. */
static void lloyd_draw_events(lloyd *self)
{
    for (uint64_t i = 0; i < self->matrix->n_events; i++) {
        self->distance[i] = 1.0;
    }
    for (uint32_t j = 0; j < self->k; j++) {
        uint64_t event = 0;
        (void)lloyd_draw(self, self->distance, &event);
        self->distance[event] = 0.0;
        lloyd_copy_event(self, event, self->centre + (size_t)j * self->width);
    }
}

static tw_codebook lloyd_book(const lloyd *self, unsigned char *records)
{
    size_t stride = (tw_codebook_centre_offset(self->width) + self->width * sizeof(float) + 7) / 8 * 8;
    return (tw_codebook){.kernels = tw_kernels_best(), .record = records, .stride = stride, .width = self->width};
}

static void lloyd_fill_sample(const lloyd *self, tw_sample *sample)
{
    for (uint32_t i = 0; i < sample->count; i++) {
        uint64_t event = (uint64_t)i * self->matrix->n_events / sample->count;
        *tw_sample_weight(sample, i) = self->matrix->weight[event];
        memcpy(tw_sample_point(sample, i), self->matrix->dense + event * self->width, self->width * sizeof(float));
    }
}

/* Centres of a fit to evenly spaced events; a centre that it does not need stays on the first one. */
static tw_status lloyd_fit_sample(lloyd *self, tw_error *error)
{
    uint64_t n = self->matrix->n_events;
    tw_sample sample = {.stride = (sizeof(uint64_t) + (1 + (size_t)self->width) * sizeof(float) + 7) / 8 * 8,
        .count = n < LLOYD_SAMPLE ? (uint32_t)n : LLOYD_SAMPLE};
    size_t book = self->k * lloyd_book(self, NULL).stride, points = sample.count * sample.stride;
    size_t size = 3 * book + points + tw_seeding_scratch_size(sample.count, self->k);
    unsigned char *memory = tw_alloc_zero(size);
    if (!memory) {
        return tw_no_memory(error, size);
    }
    tw_cells cells = {.centre = lloyd_book(self, memory), .half = lloyd_book(self, memory + book)};
    tw_seeding_scratch scratch = tw_seeding_scratch_at(memory + 3 * book + points, sample.count, self->k);
    sample.point = memory + 3 * book;
    lloyd_fill_sample(self, &sample);
    uint64_t seed = tw_mix64(self->seed + self->draws++);
    tw_seeding_fit(&cells, &sample, self->k, TW_SEEDING_PLUS_PLUS, seed, 0, &scratch);
    for (uint32_t j = 0; j < self->k; j++) {
        const float *centre = tw_codebook_centre(&cells.centre, j < cells.live ? j : 0);
        for (uint32_t d = 0; d < self->width; d++) {
            self->centre[(size_t)j * self->width + d] = (double)centre[d] - self->mean[d];
        }
    }
    tw_free(memory);
    return TW_STATUS_OK;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static bool lloyd_assign_block(lloyd *self, uint64_t first, uint32_t n)
{
    bool is_changed = false;
    for (uint32_t r = 0; r < n; r++) {
        const double *product = self->product + (size_t)r * self->k;
        uint32_t best = 0;
        for (uint32_t j = 1; j < self->k; j++) {
            best = product[j] < product[best] ? j : best;
        }
        is_changed = is_changed || self->cell[first + r] != best;
        self->cell[first + r] = best;
        self->distance[first + r] = lloyd_above_zero(self->length[first + r] + product[best]);
    }
    return is_changed;
}

static void lloyd_sum_block(lloyd *self, uint64_t first, uint32_t n)
{
    for (uint32_t r = 0; r < n; r++) {
        uint32_t j = self->cell[first + r];
        double weight = (double)self->matrix->weight[first + r], *sum = self->next + (size_t)j * self->width;
        const double *x = self->block + (size_t)r * self->width;
        self->weight[j] += weight;
        for (uint32_t d = 0; d < self->width; d++) {
            sum[d] += weight * x[d];
        }
    }
}

/* Events to their nearest centre, their sums to `next`; returns whether one changed. */
static bool lloyd_assign(lloyd *self)
{
    bool is_changed = false;
    memset(self->next, 0, (size_t)self->k * self->width * sizeof *self->next);
    memset(self->weight, 0, self->k * sizeof *self->weight);
    lloyd_set_norms(self, self->centre, self->k);
    self->objective = 0.0;
    for (uint64_t first = 0; first < self->matrix->n_events; first += self->n_rows) {
        uint32_t n = lloyd_load(self, first);
        lloyd_multiply(self, n, self->centre, self->k);
        is_changed = lloyd_assign_block(self, first, n) || is_changed;
        lloyd_sum_block(self, first, n);
        for (uint32_t r = 0; r < n; r++) {
            self->objective += (double)self->matrix->weight[first + r] * self->distance[first + r];
        }
    }
    return is_changed;
}

/* Gives the empty centre j the event that is farthest from its own. */
static void lloyd_fill(lloyd *self, uint32_t j)
{
    uint64_t farthest = 0;
    for (uint64_t i = 1; i < self->matrix->n_events; i++) {
        farthest = self->distance[i] > self->distance[farthest] ? i : farthest;
    }
    double weight = (double)self->matrix->weight[farthest], *to = self->next + (size_t)j * self->width;
    uint32_t old = self->cell[farthest];
    if (!(self->distance[farthest] > 0.0) || !(self->weight[old] > weight)) {
        return;
    }
    double *from = self->next + (size_t)old * self->width;
    for (uint32_t d = 0; d < self->width; d++) {
        double x = weight * ((double)self->matrix->dense[farthest * self->width + d] - self->mean[d]);
        to[d] += x;
        from[d] -= x;
    }
    self->weight[j] = weight;
    self->weight[old] -= weight;
    self->distance[farthest] = 0.0;
}

/* Centres to the means; returns the sum of squares that they moved. */
static double lloyd_move(lloyd *self)
{
    double moved = 0.0;
    for (uint32_t j = 0; j < self->k; j++) {
        if (!(self->weight[j] > 0.0)) {
            lloyd_fill(self, j);
        }
    }
    for (uint32_t j = 0; j < self->k; j++) {
        double *centre = self->centre + (size_t)j * self->width;
        const double *sum = self->next + (size_t)j * self->width;
        for (uint32_t d = 0; d < self->width && self->weight[j] > 0.0; d++) {
            double mean = sum[d] / self->weight[j], step = mean - centre[d];
            moved += step * step;
            centre[d] = mean;
        }
    }
    return moved;
}

static void lloyd_descend(lloyd *self, const tw_fit_problem *problem)
{
    bool is_on = true, is_changed = true;
    self->is_converged = false;
    self->measure = 0.0;
    memset(self->cell, 0xff, self->matrix->n_events * sizeof *self->cell);
    uint32_t i = 0;
    for (; i < self->max_iterations && is_on && !self->is_converged; i++) {
        is_changed = lloyd_assign(self);
        self->measure = is_changed && self->variance > 0.0 ? lloyd_move(self) / self->variance : 0.0;
        self->is_converged = self->measure <= self->tolerance;
        is_on = !problem->progress || !problem->progress(problem->context, i + 1, self->objective, self->measure);
    }
    self->iterations = i;
    if (is_changed) {
        (void)lloyd_assign(self); /* weights and objective of the centres as they are now */
    }
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static tw_status lloyd_allocate(lloyd *self, tw_error *error)
{
    size_t n = self->matrix->n_events, k = self->k, width = self->width;
    size_t rows = self->n_rows, wide = self->n_wide;
    size_t n_doubles = width + 2 * k * width + k + wide + rows * width + rows * wide + 2 * n;
    self->pool = tw_alloc_zero(n_doubles * sizeof *self->pool);
    self->cell = tw_alloc_zero(n * sizeof *self->cell);
    if (!self->pool || !self->cell) {
        return tw_no_memory(error, n_doubles * sizeof *self->pool + n * sizeof *self->cell);
    }
    self->mean = self->pool;
    self->centre = self->mean + width;
    self->next = self->centre + k * width;
    self->weight = self->next + k * width;
    self->norm = self->weight + k;
    self->block = self->norm + wide;
    self->product = self->block + rows * width;
    self->length = self->product + rows * wide;
    self->distance = self->length + n;
    return TW_STATUS_OK;
}

/* Mean of the columns, squared lengths of x - mean, the mean variance of the columns. */
static void lloyd_measure(lloyd *self)
{
    const tw_matrix *matrix = self->matrix;
    double total = 0.0, squares = 0.0;
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        double weight = (double)matrix->weight[i];
        total += weight;
        for (uint32_t d = 0; d < self->width; d++) {
            self->mean[d] += weight * (double)matrix->dense[i * self->width + d];
        }
    }
    for (uint32_t d = 0; d < self->width; d++) {
        self->mean[d] /= total;
    }
    for (uint64_t first = 0; first < matrix->n_events; first += self->n_rows) {
        uint32_t n = lloyd_load(self, first);
        for (uint32_t r = 0; r < n; r++) {
            self->length[first + r] = lloyd_square(self->block + (size_t)r * self->width, self->width);
            squares += (double)matrix->weight[first + r] * self->length[first + r];
        }
    }
    self->variance = squares / total / self->width;
}

static tw_status lloyd_start(lloyd *self, const char *init, const tw_fit_solution *given, tw_error *error)
{
    if (given->has_start) {
        for (size_t at = 0; at < (size_t)self->k * self->width; at++) {
            self->centre[at] = given->centre[at] - self->mean[at % self->width];
        }
        return TW_STATUS_OK;
    }
    if (strcmp(init, "sample") == 0) {
        return lloyd_fit_sample(self, error);
    }
    if (strcmp(init, "random") == 0) {
        lloyd_draw_events(self);
    }
    for (uint32_t j = 0; j < self->k && strcmp(init, "random") != 0; j++) {
        lloyd_add_seed(self, j);
    }
    return TW_STATUS_OK;
}

/* The sum of squares by differences, which lose no digits, and the centres without the shift by the mean. */
static void lloyd_finish(lloyd *self, tw_fit_solution *solution)
{
    const tw_matrix *matrix = self->matrix;
    solution->objective = 0.0;
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        const double *centre = self->centre + (size_t)self->cell[i] * self->width;
        double sum = 0.0;
        for (uint32_t d = 0; d < self->width; d++) {
            double difference = (double)matrix->dense[i * self->width + d] - self->mean[d] - centre[d];
            sum += difference * difference;
        }
        solution->objective += (double)matrix->weight[i] * sum;
    }
    for (size_t at = 0; at < (size_t)self->k * self->width; at++) {
        solution->centre[at] = self->centre[at] + self->mean[at % self->width];
    }
    memcpy(solution->centre_weight, self->weight, self->k * sizeof *self->weight);
    solution->measure = self->measure;
    solution->iterations = self->iterations;
    solution->is_converged = self->is_converged;
}

static tw_status lloyd_check(const tw_fit_problem *problem, const char *init, bool has_start, tw_error *error)
{
    const tw_matrix *matrix = problem->matrix;
    if (!matrix->dense || matrix->dense_width == 0) {
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "lloyd: needs dense rows; the data has none");
    }
    if (problem->n_centres == 0 || problem->n_centres > matrix->n_events) {
        return tw_error_set(error, TW_STATUS_INVALID, "lloyd: %u centres for %llu events; at least 1, at most as many",
            problem->n_centres, (unsigned long long)matrix->n_events);
    }
    if (strcmp(init, "given") == 0 && !has_start) {
        return tw_error_set(error, TW_STATUS_INVALID, "lloyd: init given, but no start is");
    }
    return TW_STATUS_OK;
}

static tw_status lloyd_search(lloyd *self,
    const tw_fit_problem *problem,
    const tw_option_values *options,
    tw_fit_solution *solution,
    tw_error *error)
{
    double least = (double)INFINITY;
    bool has_start = solution->has_start;
    int64_t n_init = has_start ? 1 : tw_option_int(options, "n_init");
    for (int64_t start = 0; start < n_init; start++) {
        tw_status status = lloyd_start(self, tw_option_text(options, "init"), solution, error);
        if (status) {
            return status;
        }
        lloyd_descend(self, problem);
        if (!isfinite(self->objective)) {
            return tw_error_set(error, TW_STATUS_NUMERIC, "lloyd: the sum of squares is not finite; scale the columns");
        }
        if (self->objective < least || n_init == 1) {
            least = self->objective;
            lloyd_finish(self, solution);
        }
    }
    return TW_STATUS_OK;
}

static tw_status lloyd_solve(
    const tw_option_values *options, const tw_fit_problem *problem, tw_fit_solution *solution, tw_error *error)
{
    const tw_matrix *matrix = problem->matrix;
    lloyd self = {.matrix = matrix, .seed = problem->seed, .k = problem->n_centres, .width = matrix->dense_width};
    tw_status status = lloyd_check(problem, tw_option_text(options, "init"), solution->has_start, error);
    status = status ? status : tw_blas_open(&self.blas, error);
    if (status) {
        return status;
    }
    self.max_iterations = (uint32_t)tw_option_int(options, "max_iterations");
    self.tolerance = tw_option_real(options, "tolerance");
    self.n_wide = self.k > LLOYD_MAX_CANDIDATES ? self.k : LLOYD_MAX_CANDIDATES;
    self.n_rows = LLOYD_PRODUCT / self.n_wide < LLOYD_ROWS ? LLOYD_PRODUCT / self.n_wide + 1 : LLOYD_ROWS;
    status = lloyd_allocate(&self, error);
    if (status == TW_STATUS_OK) {
        lloyd_measure(&self);
        status = lloyd_search(&self, problem, options, solution, error);
    }
    tw_free(self.pool);
    tw_free(self.cell);
    return status;
}

const tw_solver_ops tw_solver_lloyd = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_solver_ops),
    .name = "lloyd",
    .summary = "k-means of dense rows: seeds by k-means++, then Lloyd's algorithm to the end",
    .kind = TW_SOLVER_CLUSTERING,
    .options = lloyd_options,
    .solve = lloyd_solve,
};
