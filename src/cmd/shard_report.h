/* shard_report.h: what shards said of themselves, as a table, as JSON with documented keys and as Prometheus text. */
#ifndef TW_CMD_SHARD_REPORT_H
#define TW_CMD_SHARD_REPORT_H

#include <stdio.h>

#include "base/text.h"
#include "ps/edge/ask.h"

typedef struct shard_view {
    const char *const *address; /* [n] */
    const tw_asked *answer;     /* [n] */
    uint32_t n;
} shard_view;

/* Figures over all that answered; UINT64_MAX and NaN where nothing is known. */
typedef struct shard_totals {
    uint32_t n_answered;
    uint64_t events; /* of the furthest */
    double shard_skew, slot_skew;
} shard_totals;

shard_totals shard_totals_of(const shard_view *view);

void shard_report_print(FILE *out, const shard_view *view);
/* One JSON object; NULL: no memory. Release with free(). */
char *shard_report_json(const shard_view *view);
/* What would end a label's value becomes '_'. */
void shard_label(char *text);
/* Prometheus text: thalweg_shard_* and, where all shards of the model are in view, their lags and skew. `model` is a
 * label. */
TW_MUST_USE tw_status shard_report_metrics(const shard_view *view, const char *model, tw_text *out, tw_error *error);

#endif
