#include "serve/server.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "serve/doors.h"

enum { MAX_SHOWN_NAME = 64 };

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

tw_status door_begin(tw_desk *desk, const char *name, size_t size, tw_error *error)
{
    tw_status status = tw_desk_begin(desk, error);
    if (status < 0)
        return status;
    const char *served = tw_model_name(desk->model);
    if (strlen(served) != size || memcmp(served, name, size) != 0)
        return tw_error_set(error, TW_STATUS_NOT_FOUND, "model %.*s is not served here; this server has %s",
            (int)(size > MAX_SHOWN_NAME ? MAX_SHOWN_NAME : size), name, served);
    return TW_STATUS_OK;
}

const char *door_error_code(const tw_error *error)
{
    return error->code[0] != '\0' ? error->code : tw_status_name(error->status);
}

/* Bytes of the UTF-8 character at `text`, which ends with a 0; 0: it is none. */
static size_t character_size(const unsigned char *text)
{
    static const unsigned char least[] = {0, 0, 0, 0xa0, 0x90}; /* of the second byte behind e0 and f0 */
    unsigned char lead = text[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    bool is_overlong = (lead == 0xe0 || lead == 0xf0) && text[1] < least[size];
    bool is_beyond = (lead == 0xed && text[1] > 0x9f) || (lead == 0xf4 && text[1] > 0x8f);
    if (is_overlong || is_beyond)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return size;
}

void door_clean(char *out, size_t size, const char *text)
{
    size_t used = 0;
    while (*text != '\0') {
        size_t n = character_size((const unsigned char *)text);
        size_t taken = n > 0 ? n : 1;
        if (used + taken + 1 > size)
            break;
        if (n > 0)
            memcpy(out + used, text, n);
        else
            out[used] = '?';
        used += taken;
        text += taken;
    }
    out[used] = '\0';
}

const char *door_kind_name(tw_column_kind kind)
{
    static const char *const names[] = {
        "numeric", "categorical", "set", "constant", "label", "weight", "time", "ignore"};
    return names[kind];
}

bool door_is_request_field(const tw_column_spec *column)
{
    return column->field != NULL && (column->kind == TW_COLUMN_NUMERIC || column->kind == TW_COLUMN_CATEGORICAL ||
                                        column->kind == TW_COLUMN_SET);
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
