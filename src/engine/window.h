/* window.h: a finished tumbling window of an evaluation. Values. */
#ifndef TW_ENGINE_WINDOW_H
#define TW_ENGINE_WINDOW_H

#include "engine/figures.h"

/* Windows lie one behind the other: of a number of events, or of event time, then cut at multiples of its length since
 * 1970. An event belongs to the window that is open when it comes: one without a time, or with a time before that
 * window, too. Windows of time without events do not exist. The last, unfinished one is never handed on. */
typedef struct tw_window {
    uint64_t number;               /* 1, 2, ... */
    uint64_t from_event, to_event; /* the first and the last of its events, counted from 1 over the whole run */
    int64_t from_us, to_us;        /* time windows: [from, to); else both INT64_MIN */
    tw_figures figures;            /* of its events only */
} tw_window;

typedef struct tw_window_policy {
    uint64_t events; /* > 0: windows of so many events */
    int64_t us;      /* > 0: windows of so long; at most one of the two is set */
} tw_window_policy;

#endif
