/* report_json.h: the report of a run or an evaluation as one JSON object with the documented keys. */
#ifndef TW_CMD_REPORT_JSON_H
#define TW_CMD_REPORT_JSON_H

#include "engine/engine.h"

/* What a report says besides the figures. */
typedef struct report_details {
    const char *learner;
    const char *checkpoint; /* NULL: null */
    uint64_t clusters;      /* 0: null */
    tw_calibration_row calibration[TW_CALIBRATION_BINS];
    uint32_t n_calibration;
    tw_slice_report slices;
} report_details;

/* Fills what the engine (NULL: nothing) knows; the rest is zeroed. Release with report_details_fini. */
TW_MUST_USE tw_status report_details_take(report_details *self, tw_engine *engine, tw_error *error);
void report_details_fini(report_details *self);

/* Unknown figures are null. NULL: no memory. Release with free(). */
char *report_to_json(const tw_report *report, const report_details *details);

#endif
