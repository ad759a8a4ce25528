#include "serve/server.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "serve/doors.h"

struct tw_server {
    door_shared shared; /* first */
    zmq_door *zmq;
    http_door *http;
};

const double door_bucket_seconds[N_DURATION_BUCKETS] = {
    50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1.0};

void door_count(door_shared *self, int door, bool is_ok, uint32_t n_rows, int64_t duration_us)
{
    door_counters *counters = &self->counters[door];
    atomic_fetch_add(is_ok ? &counters->ok : &counters->failed, 1);
    atomic_fetch_add(&counters->rows, n_rows);
    atomic_fetch_add(&counters->duration_us_sum, (uint64_t)duration_us);
    for (int i = 0; i < N_DURATION_BUCKETS; i++) {
        if ((double)duration_us <= door_bucket_seconds[i] * 1e6)
            atomic_fetch_add(&counters->bucket[i], 1);
    }
}

tw_status tw_server_start(const tw_server_options *options, tw_server **out, tw_error *error)
{
    *out = NULL;
    tw_server *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    tw_server_options *own = &self->shared.options;
    *own = *options;
    own->max_rows = own->max_rows != 0 ? own->max_rows : 4096;
    own->max_bytes = own->max_bytes != 0 ? own->max_bytes : (uint64_t)4 << 20;
    own->max_connections = own->max_connections != 0 ? own->max_connections : 256;
    self->shared.start_us = tw_clock_wall_us();
    tw_status status = TW_STATUS_OK;
    if (own->zmq_address != NULL)
        status = zmq_door_open(&self->shared, &self->zmq, error);
    if (status == TW_STATUS_OK && own->http_address != NULL)
        status = http_door_open(&self->shared, &self->http, error);
    if (status < 0)
        tw_server_stop(&self);
    *out = self;
    return status;
}

void tw_server_stop(tw_server **self)
{
    if (*self == NULL)
        return;
    http_door_close(&(*self)->http);
    zmq_door_close(&(*self)->zmq);
    tw_free(*self);
    *self = NULL;
}

const char *tw_server_zmq_address(const tw_server *self)
{
    return self->zmq != NULL ? zmq_door_address(self->zmq) : "";
}

const char *tw_server_http_address(const tw_server *self)
{
    return self->http != NULL ? http_door_address(self->http) : "";
}
