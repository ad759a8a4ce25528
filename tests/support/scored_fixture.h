/* scored_fixture.h: made-up scored events, with ties, weights and missing labels, for tests of what measures them. */
#ifndef TW_SUPPORT_SCORED_FIXTURE_H
#define TW_SUPPORT_SCORED_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "engine/metrics.h"

enum { N = 1500 };

typedef struct scored {
    float score[N], label[N], weight[N];
} scored;

static inline double unit(uint64_t *state)
{
    *state = tw_mix64(*state + 0x9e3779b97f4a7c15ull);
    return (double)(*state >> 11) / 9007199254740992.0;
}

/* Scores with ties, weights 0 .. 2, some labels missing. */
static inline void make_scored(scored *self, uint64_t seed)
{
    for (int i = 0; i < N; i++) {
        double score = unit(&seed) * 8 - 4;
        self->score[i] = (float)(i % 5 == 0 ? floor(score) : score);
        self->label[i] = unit(&seed) < 1 / (1 + exp(-score)) ? 1 : 0;
        self->weight[i] = (float)(floor(unit(&seed) * 5) / 2);
        if (i % 17 == 0)
            self->label[i] = (float)NAN;
    }
}

static inline void add(tw_metrics *metrics, const scored *events, uint32_t from, uint32_t to)
{
    tw_batch batch = {.n_events = to - from, .label = events->label + from, .weight = events->weight + from};
    assert_int_equal(tw_metrics_add(metrics, &batch, events->score + from, NULL), TW_STATUS_OK);
}

static inline tw_learner_traits binary_traits(void)
{
    return (tw_learner_traits){
        .task = TW_TASK_BINARY, .n_outputs = 1, .loss = {.kind = TW_LOSS_LOGISTIC}, .link = TW_LINK_LOGISTIC};
}

static inline tw_metrics *metrics_with(tw_learner_traits traits, tw_metrics_options options)
{
    tw_metrics *out = NULL;
    assert_int_equal(tw_metrics_create(&traits, &options, &out, NULL), TW_STATUS_OK);
    return out;
}

static inline tw_metrics *metrics_of(bool is_exact)
{
    return metrics_with(binary_traits(), (tw_metrics_options){.is_exact = is_exact});
}

static inline tw_report report_of(tw_metrics *metrics)
{
    tw_report report;
    memset(&report, 0, sizeof report);
    tw_metrics_report(metrics, false, &report);
    return report;
}

static inline bool is_close(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (1 + fabs(b));
}

#endif
