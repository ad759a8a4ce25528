/* doors.h: what the two protocols of the server share: limits, counters, hooks. Internal to src/serve. */
#ifndef TW_SERVE_DOORS_H
#define TW_SERVE_DOORS_H

#include <stdatomic.h>

#include "base/text.h"
#include "serve/server.h"

enum { DOOR_ZMQ, DOOR_HTTP, N_DOORS, N_DURATION_BUCKETS = 14 };

/* Requests by door and outcome; durations in microseconds, cumulative buckets as Prometheus wants them. */
typedef struct door_counters {
    _Atomic uint64_t ok, failed, rows, duration_us_sum;
    _Atomic uint64_t bucket[N_DURATION_BUCKETS];
} door_counters;

extern const double door_bucket_seconds[N_DURATION_BUCKETS]; /* 50 us .. 1 s */

typedef struct door_shared {
    tw_server_options options;
    door_counters counters[N_DOORS];
    int64_t start_us;
    atomic_bool is_saving; /* a checkpoint was asked for over HTTP and is not durable yet */
} door_shared;

void door_count(door_shared *self, int door, bool is_ok, uint32_t n_rows, int64_t duration_us);

/* Begins a request for the model of that name: NOT_FOUND names the one that is served. The desk must be finished. */
TW_MUST_USE tw_status door_begin(tw_desk *desk, const char *name, size_t size, tw_error *error);

/* What clients see of an error: its stable code, else the name of its status; never empty. */
const char *door_error_code(const tw_error *error);

/* Copies a message that may quote a client's bytes; what is not UTF-8 becomes '?', so that every client can read it. */
void door_clean(char *out, size_t size, const char *text);

const char *door_kind_name(tw_column_kind kind);
/* A column that a row for prediction may have. */
bool door_is_request_field(const tw_column_spec *column);

typedef struct zmq_door zmq_door;
TW_MUST_USE tw_status zmq_door_open(door_shared *shared, zmq_door **out, tw_error *error);
void zmq_door_close(zmq_door **self);
const char *zmq_door_address(const zmq_door *self);

typedef struct http_door http_door;
TW_MUST_USE tw_status http_door_open(door_shared *shared, http_door **out, tw_error *error);
void http_door_close(http_door **self);
const char *http_door_address(const http_door *self);

/* The Prometheus text (0.0.4). */
TW_MUST_USE tw_status metrics_text(door_shared *self, tw_text *out, tw_error *error);

#endif
