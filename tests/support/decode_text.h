/* decode_text.h: decodes a text through a format's ops table and keeps all events and malformed records. */
#ifndef TW_TEST_DECODE_TEXT_H
#define TW_TEST_DECODE_TEXT_H

#include "data/plan.h"

enum { DECODED_MAX_EVENTS = 4096, DECODED_MAX_ENTRIES = 1 << 16, DECODED_MAX_BAD = 512 };

/* All events in one batch's arrays; zeroed by decode_text. */
typedef struct decoded {
    uint32_t n_events, n_entries, n_bad;
    uint32_t row_start[DECODED_MAX_EVENTS + 1];
    uint64_t key[DECODED_MAX_ENTRIES];
    float value[DECODED_MAX_ENTRIES];
    uint16_t field[DECODED_MAX_ENTRIES];
    float label[DECODED_MAX_EVENTS], weight[DECODED_MAX_EVENTS];
    int64_t time_us[DECODED_MAX_EVENTS];
    float dense[DECODED_MAX_EVENTS * 8];
    tw_bad_record bad[DECODED_MAX_BAD]; /* bytes are not kept */
    uint64_t to, line, n_batches;
    tw_status status;
    tw_error error;
} decoded;

/* Decodes `text` as a whole split that arrives as [0, cut), then whole (cut = size: at once), batches of `max_events`.
 * The bytes are copied to exact heap blocks, so that reading beyond them is seen by sanitizers. */
void decode_text(const tw_format_ops *format,
    const tw_plan_spec *spec,
    const char *text,
    size_t size,
    size_t cut,
    uint32_t max_events,
    decoded *out);

/* Equal events (bits), places of malformed records and positions. */
bool decoded_equal(const decoded *a, const decoded *b);

#endif
