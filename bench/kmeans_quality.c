/* kmeans_quality.c: sum of squared distances to the centres that streaming k-means has after one pass, over the whole
 * set, in shuffled orders, against the batch solver (greedy k-means++, Lloyd to the end) on the same points.
 *
 *   bench_kmeans_quality FOLDER [seeds=10] [set] [option=value]... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "support/points.h"
#include "thalweg/learner.h"
#include "thalweg/solver.h"

extern const tw_solver_ops tw_solver_lloyd;
extern const tw_learner_ops tw_learner_kmeans;

enum { BATCH = 256, MAX_SEEDS = 100 };

typedef struct quality_case {
    const char *set;
    uint32_t k;
} quality_case;

typedef struct stream {
    tw_option_values *options;
    tw_learner_traits traits;
    void *self, *block[TW_SCHEMA_MAX_BLOCKS];
} stream;

static void fail(const char *what)
{
    (void)fprintf(stderr, "%s\n", what);
    exit(1);
}

static void stream_open(stream *self, uint32_t width, uint32_t k, int seed, char **options)
{
    char text[32];
    tw_error error = {0};
    *self = (stream){.traits.dense_width = width};
    tw_status status = tw_option_values_create(tw_learner_kmeans.options, &self->options, &error);
    (void)snprintf(text, sizeof text, "%u", k);
    status = status ? status : tw_option_set(self->options, "k", text, &error);
    (void)snprintf(text, sizeof text, "%d", seed);
    status = status ? status : tw_option_set(self->options, "seed", text, &error);
    for (; *options && status == TW_STATUS_OK; options++) {
        char name[64], *value = strchr(*options, '=');
        if (!value || (size_t)(value - *options) >= sizeof name)
            fail("options are name=value");
        (void)snprintf(name, sizeof name, "%.*s", (int)(value - *options), *options);
        status = tw_option_set(self->options, name, value + 1, &error);
    }
    self->self = status ? NULL : tw_alloc_aligned(64, (tw_learner_kmeans.state_size(self->options) + 63) / 64 * 64);
    if (!self->self || tw_learner_kmeans.open(self->self, self->options, &self->traits, &error))
        fail(error.message);
    for (uint32_t i = 0; i < self->traits.schema.n_blocks; i++) {
        const tw_block *block = &self->traits.schema.block[i];
        self->block[i] = tw_alloc_zero((size_t)block->count * block->record.size);
        if (!self->block[i])
            fail("no memory");
    }
}

static void stream_close(stream *self)
{
    for (uint32_t i = 0; i < self->traits.schema.n_blocks; i++)
        tw_free(self->block[i]);
    tw_free(self->self);
    tw_option_values_destroy(&self->options);
}

/* One pass; the centres as doubles go to `centre`. */
static void stream_learn(stream *self, const points *data, double *centre, uint32_t k)
{
    float weight[BATCH], scores[2 * BATCH];
    for (uint32_t i = 0; i < BATCH; i++)
        weight[i] = 1.0f;
    for (uint32_t i = 0; i < data->n; i += BATCH) {
        uint32_t n = data->n - i < BATCH ? data->n - i : BATCH;
        tw_batch batch = {
            .n_events = n, .weight = weight, .dense = data->x + (size_t)i * data->width, .dense_width = data->width};
        tw_rows rows = {NULL, self->block};
        if (tw_learner_kmeans.learn(self->self, &batch, &rows, scores, NULL))
            fail("a batch was not learned");
    }
    int at = tw_schema_find_block(&self->traits.schema, "centroids");
    const tw_record *record = &self->traits.schema.block[at].record;
    const tw_field *field = &record->field[record->n_fields - 1];
    for (uint32_t j = 0; j < k; j++) {
        const unsigned char *bytes = (const unsigned char *)self->block[at] + (size_t)j * record->size + field->offset;
        for (uint32_t d = 0; d < data->width; d++) {
            float value;
            memcpy(&value, bytes + d * sizeof value, sizeof value);
            centre[(size_t)j * data->width + d] = (double)value;
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print_row(const char *name, double *value, int n, double seconds)
{
    qsort(value, (size_t)n, sizeof *value, compare_doubles);
    double median = (value[(n - 1) / 2] + value[n / 2]) / 2;
    printf("%-24s median %.6g  least %.6g  largest %.6g  %.2f s a run\n", name, median, value[0], value[n - 1],
        seconds / n);
    (void)fflush(stdout);
}

/* The batch solver with its options as shipped; the sum of squares of each seed goes to `out`. */
static void solve(const points *data, uint32_t k, int n_seeds, double *out)
{
    tw_error error = {0};
    tw_option_values *options = NULL;
    float *weight = tw_alloc(data->n * sizeof *weight);
    tw_fit_solution solution = {
        .centre = tw_alloc((size_t)k * data->width * sizeof(double)), .centre_weight = tw_alloc(k * sizeof(double))};
    if (!weight || !solution.centre || !solution.centre_weight ||
        tw_option_values_create(tw_solver_lloyd.options, &options, &error))
        fail("no memory");
    for (uint32_t i = 0; i < data->n; i++)
        weight[i] = 1.0f;
    tw_matrix matrix = {.n_events = data->n, .weight = weight, .dense = data->x, .dense_width = data->width};
    for (int s = 0; s < n_seeds; s++) {
        tw_fit_problem problem = {.matrix = &matrix, .n_centres = k, .seed = (uint64_t)s + 1};
        if (tw_solver_lloyd.solve(options, &problem, &solution, &error))
            fail(error.message);
        out[s] = solution.objective;
    }
    tw_option_values_destroy(&options);
    tw_free(weight);
    tw_free(solution.centre);
    tw_free(solution.centre_weight);
}

static void measure(const char *folder, quality_case set, int n_seeds, char **options)
{
    points data;
    char name[64];
    if (!points_load(folder, set.set, &data)) {
        printf("%s: SKIPPED, not under %s\n", set.set, folder);
        return;
    }
    double streamed[MAX_SEEDS] = {0}, *centre = tw_alloc((size_t)set.k * data.width * sizeof *centre);
    if (!centre)
        fail("no memory");
    double seconds = 0.0;
    for (int s = 0; s < n_seeds; s++) {
        stream stream;
        points_shuffle(&data, (uint64_t)s + 1);
        stream_open(&stream, data.width, set.k, s + 1, options);
        int64_t begin = tw_clock_monotonic_us();
        stream_learn(&stream, &data, centre, set.k);
        seconds += (double)(tw_clock_monotonic_us() - begin) * 1e-6;
        streamed[s] = points_inertia(&data, centre, set.k);
        stream_close(&stream);
    }
    (void)snprintf(name, sizeof name, "%s k=%u one pass", set.set, set.k);
    print_row(name, streamed, n_seeds, seconds);
    int64_t begin = tw_clock_monotonic_us();
    solve(&data, set.k, n_seeds, streamed);
    (void)snprintf(name, sizeof name, "%s k=%u batch", set.set, set.k);
    print_row(name, streamed, n_seeds, (double)(tw_clock_monotonic_us() - begin) * 1e-6);
    tw_free(centre);
    points_free(&data);
}

int main(int argc, char **argv)
{
    static const quality_case cases[] = {{"s1", 15}, {"s2", 15}, {"birch_rg1", 100}, {"mnist_t10k", 10}};
    if (argc < 2)
        fail("usage: kmeans_quality FOLDER [seeds] [set] [option=value]...");
    int n_seeds = argc > 2 ? atoi(argv[2]) : 10;
    n_seeds = n_seeds < 1 ? 1 : n_seeds > MAX_SEEDS ? MAX_SEEDS : n_seeds;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc <= 3 || strcmp(argv[3], "all") == 0 || strcmp(argv[3], cases[i].set) == 0)
            measure(argv[1], cases[i], n_seeds, argc > 4 ? argv + 4 : argv + argc);
    }
    return 0;
}
