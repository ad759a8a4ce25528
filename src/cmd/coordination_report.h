/* coordination_report.h: what a coordinator said of itself, as a table, as JSON with documented keys and as Prometheus
 * text. */
#ifndef TW_CMD_COORDINATION_REPORT_H
#define TW_CMD_COORDINATION_REPORT_H

#include <stdio.h>

#include "base/text.h"
#include "ps/wire/coordination.h"

void coordination_print(FILE *out, const char *address, const tw_coordination *said);
/* One JSON object; NULL: no memory. Release with free(). */
char *coordination_json(const char *address, const tw_coordination *said);
/* Prometheus text: thalweg_coordinator_*. */
TW_MUST_USE tw_status coordination_metrics(const tw_coordination *said, tw_text *out, tw_error *error);

#endif
