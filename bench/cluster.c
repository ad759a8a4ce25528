/* cluster.c: rows a second of streaming k-means, assigned and updated, on unequal Gaussian-like blobs; no decoding. One
 * core.
 *
 *   bench_cluster [k=100] [dims=64] [rows=200000] */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "thalweg/learner.h"

extern const tw_learner_ops tw_learner_kmeans;

enum { BATCH = 1024 };

static double uniform(uint64_t *draw)
{
    return (double)(tw_mix64(*draw += 0x9e3779b97f4a7c15ull) >> 11) * 0x1p-53;
}

static void fill(float *dense, uint32_t k, uint32_t dims, uint32_t n_rows)
{
    uint64_t draw = 1;
    for (uint32_t i = 0; i < n_rows; i++) {
        uint64_t blob = (uint64_t)(uniform(&draw) * uniform(&draw) * k);
        for (uint32_t d = 0; d < dims; d++) {
            uint64_t place = blob * dims + d + 1;
            double noise = uniform(&draw) + uniform(&draw) + uniform(&draw) - 1.5;
            dense[(size_t)i * dims + d] = (float)(10 * uniform(&place) + 2 * noise);
        }
    }
}

int main(int argc, char **argv)
{
    const char *k = argc > 1 ? argv[1] : "100", *dims = argc > 2 ? argv[2] : "64";
    uint32_t width = (uint32_t)atoi(dims), n_rows = argc > 3 ? (uint32_t)atoi(argv[3]) : 200000;
    float *dense = tw_alloc((size_t)n_rows * width * sizeof(float)), *scores = tw_alloc((size_t)n_rows * 8);
    float *weight = tw_alloc(BATCH * sizeof(float));
    void *block[TW_SCHEMA_MAX_BLOCKS] = {NULL};
    tw_learner_traits traits = {.dense_width = width};
    tw_option_values *options;
    if (!dense || !scores || !weight || tw_option_values_create(tw_learner_kmeans.options, &options, NULL) ||
        tw_option_set(options, "k", k, NULL)) {
        return 1;
    }
    void *self = tw_alloc_aligned(64, tw_learner_kmeans.state_size(options));
    if (!self || tw_learner_kmeans.open(self, options, &traits, NULL)) {
        return 1;
    }
    for (uint32_t i = 0; i < traits.schema.n_blocks; i++) {
        block[i] = tw_alloc_aligned(64, (size_t)traits.schema.block[i].count * traits.schema.block[i].record.size);
    }
    for (uint32_t i = 0; i < BATCH; i++) {
        weight[i] = 1.0f;
    }
    fill(dense, (uint32_t)atoi(k), width, n_rows);
    int64_t fastest = INT64_MAX;
    for (uint32_t i = 0; i < n_rows; i += BATCH) {
        uint32_t n = n_rows - i < BATCH ? n_rows - i : BATCH;
        tw_batch batch = {.n_events = n, .weight = weight, .dense = dense + (size_t)i * width, .dense_width = width};
        tw_rows rows = {NULL, block};
        int64_t begin = tw_clock_monotonic_us();
        if (tw_learner_kmeans.learn(self, &batch, &rows, scores + 2 * (size_t)i, NULL)) {
            return 1;
        }
        int64_t taken = tw_clock_monotonic_us() - begin;
        fastest = n == BATCH && i > n_rows / 2 && taken < fastest ? taken : fastest;
    }
    double sum = 0.0;
    for (uint32_t i = n_rows / 2; i < n_rows; i++) {
        sum += (double)scores[2 * (size_t)i];
    }
    printf("kmeans: %.3f M rows/s, k %s, %s dims, mean squared distance of the second half %.4f\n",
        (double)BATCH / (double)fastest, k, dims, sum / (n_rows - n_rows / 2));
    return 0;
}
