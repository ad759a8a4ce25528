/* learn.c: events a second of FTRL learning alone: synthetic batches of Zipf-distributed keys, rows in one hashed table
 * on huge pages, row pointers found beforehand; no decoding, no table look-up. One core.
 *
 *   bench_learn [entries=35] [bits=22] [seconds=2] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "thalweg/learner.h"

extern const tw_learner_ops tw_learner_ftrl;

enum { N_EVENTS = 200000, BATCH = 1024 };

typedef struct stream {
    uint32_t *row_start;
    float *value, *label, *weight;
    uint64_t *key;
    void **row;
} stream;

static void stream_fill(stream *self, uint32_t n_entries, uint32_t bits, uint64_t *table)
{
    uint64_t draw = 1;
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        self->row_start[i + 1] = (i + 1) * n_entries;
        self->label[i] = tw_mix64(draw += 3) % 4 == 0 ? 1.0f : 0.0f;
        self->weight[i] = 1.0f;
        for (uint32_t j = 0; j < n_entries; j++) {
            /* rank ~ 1 / rank by the inverse of its logarithm; each column has ten to ten million values */
            double u = (double)(tw_mix64(draw += 3) >> 11) * 0x1p-53;
            uint64_t rank = (uint64_t)exp(u * (2.3 + 13.8 * (double)j / (double)n_entries));
            size_t e = (size_t)i * n_entries + j;
            self->key[e] = tw_mix64(rank * 64 + j + 1);
            self->value[e] = 1.0f;
            self->row[e] = table + (self->key[e] >> (64 - bits));
        }
    }
}

static tw_status learn_all(const stream *events, void *self, void **block, float *scores)
{
    for (uint32_t i = 0; i + BATCH <= N_EVENTS; i += BATCH) {
        uint32_t start[BATCH + 1], first = events->row_start[i];
        for (uint32_t j = 0; j <= BATCH; j++) {
            start[j] = events->row_start[i + j] - first;
        }
        tw_batch batch = {.n_events = BATCH,
            .n_entries = start[BATCH],
            .row_start = start,
            .key = events->key + first,
            .value = events->value + first,
            .label = events->label + i,
            .weight = events->weight + i};
        tw_rows rows = {events->row + first, block};
        tw_status status = tw_learner_ftrl.learn(self, &batch, &rows, scores, NULL);
        if (status) {
            return status;
        }
    }
    return TW_STATUS_OK;
}

int main(int argc, char **argv)
{
    uint32_t n_entries = argc > 1 ? (uint32_t)atoi(argv[1]) : 35, bits = argc > 2 ? (uint32_t)atoi(argv[2]) : 22;
    double seconds = argc > 3 ? atof(argv[3]) : 2.0;
    size_t n = (size_t)N_EVENTS * n_entries;
    stream events = {tw_alloc_zero((N_EVENTS + 1) * 4), tw_alloc_zero(n * 4), tw_alloc_zero(N_EVENTS * 4),
        tw_alloc_zero(N_EVENTS * 4), tw_alloc_zero(n * 8), tw_alloc_zero(n * 8)};
    uint64_t *table = tw_map_pages((size_t)8 << bits);
    double bias[2] = {0};
    void *block[] = {bias};
    static float scores[BATCH];
    tw_option_values *options;
    tw_learner_traits traits = {0};
    if (!table || tw_option_values_create(tw_learner_ftrl.options, &options, NULL)) {
        return 1;
    }
    void *self = tw_alloc_aligned(64, tw_learner_ftrl.state_size(options));
    if (!self || tw_learner_ftrl.open(self, options, &traits, NULL)) {
        return 1;
    }
    stream_fill(&events, n_entries, bits, table);
    int64_t begin = tw_clock_monotonic_us(), now = begin, best = INT64_MAX;
    for (int64_t last = begin; now - begin < (int64_t)(seconds * 1e6); last = now) {
        if (learn_all(&events, self, block, scores)) {
            return 1;
        }
        now = tw_clock_monotonic_us();
        best = now - last < best ? now - last : best;
    }
    printf("ftrl: %.3f M events/s, %u entries an event, 2^%u rows\n", (double)(N_EVENTS / BATCH * BATCH) / (double)best,
        n_entries, bits);
    return 0;
}
