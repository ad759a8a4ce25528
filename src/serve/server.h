/* server.h: the prediction server: one request path under ZeroMQ with MessagePack and under HTTP with JSON, in the
 * training process or beside it. Loopback only until connections can be authenticated.
 *
 * ZeroMQ (ROUTER; REQ or DEALER clients): frame 1 a map {v: 1, op, id?, model?, timeout_ms?}; `predict` has frame 2: an
 * array of maps (rows), or a map of arrays (columns). Reply frame 1: {v, id, ok: true, model, version, events, age_ms,
 * n} or {v, id, ok: false, code, message}; frame 2 of predict: little-endian f64 [n x outputs], NaN for rows that
 * failed, which frame 1 lists as errors: [{row, code, message}]. HTTP: POST /v1/models/NAME:predict {"instances":
 * [{...}]}, GET /v1/models/NAME, GET /healthz, GET /metrics, GET /api/status, POST /v1/models/NAME:checkpoint. */
#ifndef TW_SERVE_SERVER_H
#define TW_SERVE_SERVER_H

#include "base/text.h"
#include "engine/report.h"
#include "serve/served.h"

typedef struct tw_server tw_server;

/* Asked from the server's threads. Members may be NULL: the operation is then unsupported. */
typedef struct tw_server_hooks {
    void *context;
    tw_status (*checkpoint)(void *context, int timeout_ms, uint64_t *id, tw_error *error);
    void (*report)(void *context, tw_report *out);
    tw_status (*metrics)(void *context, tw_text *out, tw_error *error); /* appends to what /metrics says */
} tw_server_hooks;

typedef struct tw_server_options {
    tw_served *served;        /* borrowed */
    const char *zmq_address;  /* "tcp://127.0.0.1:5560", "ipc://..."; NULL: no ZeroMQ */
    const char *http_address; /* "127.0.0.1:8080", port 0: any; NULL: no HTTP */
    uint32_t max_rows;        /* of a request; 0: 4,096 */
    uint64_t max_bytes;       /* of a request; 0: 4 MiB */
    uint32_t max_connections; /* HTTP; 0: 256 */
    tw_server_hooks hooks;
} tw_server_options;

/* Binds and starts. IO names address and remedy when a port is in use. */
TW_MUST_USE tw_status tw_server_start(const tw_server_options *options, tw_server **out, tw_error *error);

/* Refuses new requests, waits for the ones under way. NULL-safe. */
void tw_server_stop(tw_server **self);

/* The addresses really bound; "" for a door that is closed. Borrowed. */
const char *tw_server_zmq_address(const tw_server *self);
const char *tw_server_http_address(const tw_server *self);

#endif
