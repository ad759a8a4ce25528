/* refused_report.h: frames that a shard, or a coordinator, refused, by reason, in JSON and as labels of metrics. */
#ifndef TW_CMD_REFUSED_REPORT_H
#define TW_CMD_REFUSED_REPORT_H

#include <jansson.h>

#include "ps/wire/frame.h"

enum { REFUSED_KEY_SIZE = 48 };

/* "bad frame" as "bad_frame". */
void refused_key(int reason, char out[REFUSED_KEY_SIZE]);
/* An object of counts by reason. nack [TW_NACK_N_REASONS]. */
json_t *refused_json(const uint64_t *nack);
/* How many in all, conflicts aside: there another worker pushed since the pull, and the change is sent again as one
 * that adds. */
uint64_t refused_sum(const uint64_t *nack);

#endif
