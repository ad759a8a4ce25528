#include "support/loss_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

const char *const loss_names[] = {"", "logistic", "squared", "hinge", "poisson", "quantile"};

double reference_loss(tw_loss loss, double s, double y)
{
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
        return log(1 + exp(s)) - y * s;
    case TW_LOSS_SQUARED:
        return 0.5 * (s - y) * (s - y);
    case TW_LOSS_HINGE:
        return fmax(0, 1 - (2 * y - 1) * s);
    case TW_LOSS_POISSON:
        return exp(s) - y * s;
    case TW_LOSS_QUANTILE:
        return s < y ? loss.quantile * (y - s) : (1 - loss.quantile) * (s - y);
    case TW_LOSS_NONE:
        break;
    }
    return 0;
}

double reference_slope(tw_loss loss, double s, double y)
{
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
        return 1 / (1 + exp(-s)) - y;
    case TW_LOSS_SQUARED:
        return s - y;
    case TW_LOSS_HINGE:
        return (2 * y - 1) * s < 1 ? 1 - 2 * y : 0;
    case TW_LOSS_POISSON:
        return exp(s) - y;
    case TW_LOSS_QUANTILE:
        return s < y ? -loss.quantile : s > y ? 1 - loss.quantile : 0;
    case TW_LOSS_NONE:
        break;
    }
    return 0;
}

static float draw_label(tw_loss_kind loss, double margin, uint64_t *state)
{
    if (loss == TW_LOSS_LOGISTIC || loss == TW_LOSS_HINGE)
        return test_uniform(state) < 1 / (1 + exp(-margin));
    if (loss == TW_LOSS_POISSON)
        return (float)floor(3 * test_uniform(state) * exp(0.5 * margin));
    return (float)(margin + test_uniform(state));
}

event_list make_loss_events(tw_loss_kind loss, uint32_t n_rows, uint32_t n_events)
{
    event_list events = {0};
    uint64_t state = 9;
    for (uint32_t i = 0; i < n_events; i++) {
        double margin = 0.0;
        event_list_begin(&events, 0.0f, (float)(1 + test_random(&state) % 4) / 2);
        for (uint32_t index = 0; index < n_rows; index++) {
            if (test_uniform(&state) < 0.05 + 0.4 * (index % 4 == 0)) {
                float value = (float)(2 * test_uniform(&state) - 0.7);
                margin += (double)value * ((double)(index % 9) / 4 - 1);
                event_list_add(&events, index, value);
            }
        }
        events.label[i] = i % 17 == 3 ? NAN : draw_label(loss, margin, &state);
        events.weight[i] = i % 19 == 4 ? 0.0f : events.weight[i];
        if (i % 7 != 5)
            event_list_time(&events, 1700000000000000 + (int64_t)i * 10000000 - (int64_t)(i % 5) * 13000000);
    }
    return events;
}

bool load_libsvm(const char *path, event_list *out)
{
    gzFile file = gzopen(path, "rb");
    static char line[1 << 16];
    while (file && gzgets(file, line, sizeof line)) {
        char *at = line;
        event_list_begin(out, strtof(at, &at) > 0.0f ? 1.0f : 0.0f, 1.0f);
        for (char *colon; (colon = strchr(at, ':'));) {
            uint32_t index = (uint32_t)strtoul(at, NULL, 10);
            event_list_add(out, index, strtof(colon + 1, &at));
        }
    }
    return file && gzclose(file) == Z_OK;
}

double mean_logistic_loss(const event_list *events, const float *scores)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < events->n_events; i++) {
        double margin = (double)scores[i];
        sum += log(1 + exp(-fabs(margin))) + (margin > 0 ? margin : 0) - (double)events->label[i] * margin;
    }
    return sum / events->n_events;
}
