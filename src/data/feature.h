/* feature.h: what formats need besides plan.h whose features carry their own names (vw, libsvm, tsv-criteo), and
 * helpers for reporting records. One thread per plan. */
#ifndef TW_DATA_FEATURE_H
#define TW_DATA_FEATURE_H

#include "data/plan.h"

/* Field id that tw_plan_namespace gives for a namespace that the plan does not use: its features are left out. */
enum { TW_FIELD_NONE = UINT16_MAX };

/* A plan is automatic when it declares no numeric, categorical or set column. */
bool tw_plan_is_automatic(const tw_plan *self);

/* Automatic and without dense rows: a format may make keys itself and put entries straight into the builder. Otherwise
 * every feature goes through tw_event_feature. */
bool tw_plan_is_direct(const tw_plan *self);

uint64_t tw_plan_hash_seed(const tw_plan *self);

/* A feature of a namespace as tw_plan_namespace described it. In the default namespace (field 0) a declared plan takes
 * the feature as the column of that name, an automatic one makes the key from the name: an index if all digits. */
TW_MUST_USE tw_status tw_event_feature(
    tw_event *self, uint16_t field, uint64_t seed, const char *name, size_t size, double value, tw_error *error);

/* Importance weight that stands in the record itself: D210 unless finite and at least 0. Ignored for requests. */
TW_MUST_USE tw_status tw_event_weight(tw_event *self, const char *text, size_t size, tw_error *error);

/* Event time by unit: microseconds since 1970. ISO 8601: YYYY-MM-DD, then optionally T or a blank,
 * HH:MM[:SS[.fraction]] and Z or an offset (+HH[:MM]); without one it is UTC. False: malformed or out of range. */
bool tw_time_parse(const char *text, size_t size, tw_time_unit unit, int64_t *time_us);
bool tw_time_from_number(double value, tw_time_unit unit, int64_t *time_us);

/* The text in double quotes, unprintable bytes as '?', cut with "..." to fit; `out` is always terminated. */
void tw_text_quote(char *out, size_t out_size, const char *text, size_t size);

/* Sets the error with a stable code and returns DATA. */
TW_MUST_USE tw_status tw_data_error(tw_error *error, const char *code, const char *format, ...) TW_PRINTF(3, 4);

/* The record from io->at up to `end` (without its line end) is malformed: drops the event under construction, reports
 * it with the error's code and message, and moves the cursor to `next`, one line on. `place`: the byte that is wrong.
 */
void tw_record_bad(
    tw_builder *out, tw_cursor *io, const char *end, const char *next, const char *place, const tw_error *error);

#endif
