/* learn.c: events a second of one learner's learning alone: synthetic batches of Zipf-distributed keys, rows in one
 * hashed table on huge pages, row pointers found beforehand; no decoding, no table look-up. One core.
 *
 *   bench_learn [entries=35] [bits=22] [seconds=2] [ftrl|linear|logistic] [OPTION=VALUE...] */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "thalweg/learner.h"

extern const tw_learner_ops tw_learner_ftrl, tw_learner_linear, tw_learner_logistic;

enum { N_EVENTS = 200000, BATCH = 1024 };

typedef struct stream {
    uint32_t *row_start;
    float *value, *label, *weight;
    int64_t *time_us;
    uint64_t *key;
    void **row;
} stream;

static void stream_fill(stream *self, uint32_t n_entries, uint32_t bits, char *table, size_t row_size)
{
    uint64_t draw = 1;
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        self->row_start[i + 1] = (i + 1) * n_entries;
        self->label[i] = tw_mix64(draw += 3) % 4 == 0 ? 1.0f : 0.0f;
        self->weight[i] = 1.0f;
        self->time_us[i] = (int64_t)i * 1000;
        for (uint32_t j = 0; j < n_entries; j++) {
            /* rank ~ 1 / rank by the inverse of its logarithm; each column has ten to ten million values */
            double u = (double)(tw_mix64(draw += 3) >> 11) * 0x1p-53;
            uint64_t rank = (uint64_t)exp(u * (2.3 + 13.8 * (double)j / (double)n_entries));
            size_t e = (size_t)i * n_entries + j;
            self->key[e] = tw_mix64(rank * 64 + j + 1);
            self->value[e] = 1.0f;
            self->row[e] = table + (self->key[e] >> (64 - bits)) * row_size;
        }
    }
}

static tw_status learn_all(const tw_learner_ops *ops, const stream *events, void *self, void **block, float *scores)
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
            .weight = events->weight + i,
            .time_us = events->time_us + i};
        tw_rows rows = {events->row + first, block};
        tw_status status = ops->learn(self, &batch, &rows, scores, NULL);
        if (status) {
            return status;
        }
    }
    return TW_STATUS_OK;
}

typedef struct subject {
    const tw_learner_ops *ops;
    void *self, *block[TW_SCHEMA_MAX_BLOCKS];
    tw_learner_traits traits;
} subject;

static bool subject_open(subject *self, int argc, char **argv)
{
    static const tw_learner_ops *const known[] = {&tw_learner_ftrl, &tw_learner_linear, &tw_learner_logistic};
    tw_option_values *options;
    tw_error error;
    self->ops = known[0];
    for (size_t i = 0; i < 3 && argc > 4; i++) {
        self->ops = strcmp(argv[4], known[i]->name) == 0 ? known[i] : self->ops;
    }
    if (tw_option_values_create(self->ops->options, &options, &error)) {
        return false;
    }
    for (int i = 5; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) {
            return false;
        }
        *value = '\0';
        if (tw_option_set(options, argv[i], value + 1, &error)) {
            fprintf(stderr, "learn: %s\n", error.message);
            return false;
        }
    }
    self->self = tw_alloc_aligned(64, self->ops->state_size(options));
    if (!self->self || self->ops->open(self->self, options, &self->traits, &error)) {
        return false;
    }
    for (uint32_t i = 0; i < self->traits.schema.n_blocks; i++) {
        const tw_block *block = &self->traits.schema.block[i];
        self->block[i] = tw_alloc_zero((size_t)block->count * block->record.size);
        if (!self->block[i]) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    uint32_t n_entries = argc > 1 ? (uint32_t)atoi(argv[1]) : 35, bits = argc > 2 ? (uint32_t)atoi(argv[2]) : 22;
    double seconds = argc > 3 ? atof(argv[3]) : 2.0;
    size_t n = (size_t)N_EVENTS * n_entries;
    stream events = {tw_alloc_zero((N_EVENTS + 1) * 4), tw_alloc_zero(n * 4), tw_alloc_zero(N_EVENTS * 4),
        tw_alloc_zero(N_EVENTS * 4), tw_alloc_zero(N_EVENTS * 8), tw_alloc_zero(n * 8), tw_alloc_zero(n * 8)};
    static float scores[BATCH];
    subject subject = {0};
    if (!subject_open(&subject, argc, argv)) {
        return 1;
    }
    size_t row_size = subject.traits.schema.row.size;
    char *table = tw_map_pages(row_size << bits);
    if (!table) {
        return 1;
    }
    stream_fill(&events, n_entries, bits, table, row_size);
    clock_t begin = clock(), now = begin, best = LONG_MAX; /* processor time: others may want the core too */
    for (clock_t last = begin; (double)(now - begin) < seconds * CLOCKS_PER_SEC; last = now) {
        if (learn_all(subject.ops, &events, subject.self, subject.block, scores)) {
            return 1;
        }
        now = clock();
        best = now - last < best ? now - last : best;
    }
    double rate = (double)(N_EVENTS / BATCH * BATCH) / ((double)best / CLOCKS_PER_SEC) / 1e6;
    printf("%s: %.3f M events/s, %.1f ns an entry, %u entries an event, 2^%u rows of %zu bytes\n", subject.ops->name,
        rate, 1e3 / rate / n_entries, n_entries, bits, row_size);
    return 0;
}
