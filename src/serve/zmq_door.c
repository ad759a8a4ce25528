/* The ZeroMQ door: one thread, one ROUTER. Requests are answered in order; a full reply queue answers nobody else's cost. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/msgpack.h"
#include "net/socket.h"
#include "serve/doors.h"

enum { WAIT_MS = 20, WAIT_PENDING_MS = 2, PROTOCOL_VERSION = 1, MAX_ID = 64, MAX_OBJECTS = 1 << 17 };

/* A checkpoint under way: its own thread waits, so that predictions go on. */
typedef struct pending_checkpoint {
    pthread_t thread;
    bool is_running;
    atomic_bool is_done;
    zmq_door *door;
    char peer[256], id[MAX_ID];
    size_t peer_size, id_size;
    int timeout_ms;
    uint64_t version;
    tw_status status;
    tw_error error;
} pending_checkpoint;

struct zmq_door {
    door_shared *shared;
    tw_net *net;
    tw_socket *socket;
    tw_message *message;
    tw_desk *desk;
    tw_packer head;
    pthread_t thread;
    bool is_started;
    atomic_bool is_stopping;
    pending_checkpoint checkpoint;
};

/* One request while it is answered. */
typedef struct zmq_request {
    tw_part peer;
    tw_part id;          /* the packed value of "id" as the client sent it; empty: none */
    bool has_delimiter;  /* REQ clients put an empty frame behind their identity */
    const tw_value *head;
    const tw_value *rows; /* NULL: no second frame */
} zmq_request;

static void send_reply(zmq_door *self, const zmq_request *request, const void *body, size_t body_size)
{
    tw_part part[4];
    uint32_t n = 0;
    part[n++] = request->peer;
    if (request->has_delimiter)
        part[n++] = (tw_part){"", 0};
    part[n++] = (tw_part){self->head.bytes, self->head.size};
    if (body != NULL)
        part[n++] = (tw_part){body, body_size};
    /* A client that does not read its replies loses them: it alone is to blame, and nothing may wait for it. */
    if (tw_packer_status(&self->head, NULL) == TW_STATUS_OK)
        (void)!tw_socket_send(self->socket, part, n, NULL);
}

static void pack_key(tw_packer *packer, const char *key)
{
    tw_pack_text(packer, key);
}

static void pack_id(zmq_door *self, const zmq_request *request)
{
    pack_key(&self->head, "id");
    const tw_value *id = tw_value_find(request->head, "id");
    if (id != NULL && id->kind == TW_VALUE_TEXT && id->size <= MAX_ID)
        tw_pack_text_sized(&self->head, id->as.bytes, id->size);
    else if (id != NULL && id->kind == TW_VALUE_UINT)
        tw_pack_uint(&self->head, id->as.u);
    else if (request->id.size > 0)
        tw_pack_text_sized(&self->head, request->id.bytes, request->id.size);
    else
        tw_pack_nil(&self->head);
}

static void begin_reply(zmq_door *self, const zmq_request *request, bool is_ok, uint32_t n_more)
{
    tw_packer_clear(&self->head);
    tw_pack_map(&self->head, 3 + n_more);
    pack_key(&self->head, "v");
    tw_pack_uint(&self->head, PROTOCOL_VERSION);
    pack_id(self, request);
    pack_key(&self->head, "ok");
    tw_pack_bool(&self->head, is_ok);
}

static void reply_error(zmq_door *self, const zmq_request *request, const tw_error *error)
{
    begin_reply(self, request, false, 2);
    pack_key(&self->head, "code");
    tw_pack_text(&self->head, error->code[0] != '\0' ? error->code : tw_status_name(error->status));
    pack_key(&self->head, "message");
    tw_pack_text(&self->head, error->message);
    send_reply(self, request, NULL, 0);
}

static void pack_stamp(tw_packer *head, const char *model, const tw_model_stamp *stamp)
{
    pack_key(head, "model");
    tw_pack_text(head, model);
    pack_key(head, "version");
    tw_pack_uint(head, stamp->version);
    pack_key(head, "events");
    tw_pack_uint(head, stamp->events);
    pack_key(head, "age_ms");
    tw_pack_int(head, stamp->age_ms);
}

/* --- rows ------------------------------------------------------------------------------------------------------------ */

static void put_list(tw_desk *desk, const tw_value *key, const tw_value *list)
{
    const tw_value *item = tw_value_first(list);
    for (uint32_t i = 0; i < list->size; i++, item = tw_value_next(item)) {
        if (item->kind == TW_VALUE_TEXT)
            tw_desk_element(desk, key->as.bytes, key->size, item->as.bytes, item->size);
        else
            tw_desk_wrong(desk, "%.*s: a list may hold texts only", (int)key->size, key->as.bytes);
    }
}

static void put_field(tw_desk *desk, const tw_value *key, const tw_value *value)
{
    double number = 0;
    if (key->kind != TW_VALUE_TEXT)
        tw_desk_wrong(desk, "a row's field names must be texts");
    else if (value->kind == TW_VALUE_TEXT)
        tw_desk_string(desk, key->as.bytes, key->size, value->as.bytes, value->size);
    else if (value->kind == TW_VALUE_BOOL)
        tw_desk_bool(desk, key->as.bytes, key->size, value->as.is_true);
    else if (value->kind == TW_VALUE_ARRAY)
        put_list(desk, key, value);
    else if (value->kind == TW_VALUE_INT || (value->kind == TW_VALUE_UINT && value->as.u <= INT64_MAX))
        tw_desk_integer(desk, key->as.bytes, key->size, value->kind == TW_VALUE_INT ? value->as.i : (int64_t)value->as.u);
    else if (tw_value_number(value, &number))
        tw_desk_number(desk, key->as.bytes, key->size, number);
    else if (value->kind != TW_VALUE_NIL)
        tw_desk_wrong(desk, "%.*s: neither number, text, boolean nor list of texts", (int)key->size, key->as.bytes);
}

static tw_status put_rows(tw_desk *desk, const tw_value *rows, tw_error *error)
{
    const tw_value *row = tw_value_first(rows);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < rows->size && status == TW_STATUS_OK; i++, row = tw_value_next(row)) {
        tw_desk_row_begin(desk);
        if (row->kind != TW_VALUE_MAP)
            tw_desk_wrong(desk, "a row must be a map of field names to values");
        const tw_value *key = tw_value_first(row);
        for (uint32_t j = 0; row->kind == TW_VALUE_MAP && j < row->size; j++) {
            const tw_value *value = tw_value_next(key);
            put_field(desk, key, value);
            key = tw_value_next(value);
        }
        status = tw_desk_row_end(desk, error);
    }
    return status;
}

/* The number of rows of a map of arrays; all columns must be as long. */
static tw_status count_columns(const tw_value *columns, uint32_t *n_rows, tw_error *error)
{
    const tw_value *key = tw_value_first(columns);
    *n_rows = 0;
    for (uint32_t i = 0; i < columns->size; i++) {
        const tw_value *column = tw_value_next(key);
        if (key->kind != TW_VALUE_TEXT || column->kind != TW_VALUE_ARRAY)
            return tw_error_set(error, TW_STATUS_INVALID, "columns must be a map of field names to arrays");
        if (i > 0 && column->size != *n_rows)
            return tw_error_set(error, TW_STATUS_INVALID, "column %.*s has %u values, the first one has %u",
                (int)key->size, key->as.bytes, column->size, *n_rows);
        *n_rows = column->size;
        key = tw_value_next(column);
    }
    return TW_STATUS_OK;
}

enum { MAX_COLUMNS = 1024 };

static tw_status put_columns(tw_desk *desk, const tw_value *columns, tw_error *error)
{
    const tw_value *name[MAX_COLUMNS], *cell[MAX_COLUMNS];
    uint32_t n_rows = 0;
    tw_status status = count_columns(columns, &n_rows, error);
    if (status == TW_STATUS_OK && columns->size > MAX_COLUMNS)
        return tw_error_set(error, TW_STATUS_INVALID, "%u columns: at most %d", columns->size, MAX_COLUMNS);
    const tw_value *key = tw_value_first(columns);
    for (uint32_t i = 0; i < columns->size && status == TW_STATUS_OK; i++) {
        name[i] = key;
        cell[i] = tw_value_first(tw_value_next(key));
        key = tw_value_next(tw_value_next(key));
    }
    for (uint32_t row = 0; row < n_rows && status == TW_STATUS_OK; row++) {
        tw_desk_row_begin(desk);
        for (uint32_t i = 0; i < columns->size; i++) {
            put_field(desk, name[i], cell[i]);
            cell[i] = tw_value_next(cell[i]);
        }
        status = tw_desk_row_end(desk, error);
    }
    return status;
}

/* --- operations ------------------------------------------------------------------------------------------------------ */

static void pack_row_errors(tw_packer *head, const tw_desk *desk)
{
    pack_key(head, "errors");
    tw_pack_array(head, desk->n_bad);
    for (uint32_t i = 0; i < desk->n_bad; i++) {
        tw_pack_map(head, 3);
        pack_key(head, "row");
        tw_pack_uint(head, desk->bad[i].row);
        pack_key(head, "code");
        tw_pack_text(head, desk->bad[i].error.code);
        pack_key(head, "message");
        tw_pack_text(head, desk->bad[i].error.message);
    }
}

static tw_status predict_rows(zmq_door *self, const zmq_request *request, tw_error *error)
{
    if (request->rows == NULL || (request->rows->kind != TW_VALUE_ARRAY && request->rows->kind != TW_VALUE_MAP))
        return tw_error_set(error, TW_STATUS_INVALID,
            "predict: the second frame must hold the rows: an array of maps, or a map of arrays");
    tw_status status = tw_desk_begin(self->desk, error);
    if (status == TW_STATUS_OK)
        status = request->rows->kind == TW_VALUE_ARRAY ? put_rows(self->desk, request->rows, error)
                                                       : put_columns(self->desk, request->rows, error);
    if (status == TW_STATUS_OK)
        status = tw_desk_answer(self->desk, error);
    if (status < 0)
        return status;
    tw_desk *desk = self->desk;
    begin_reply(self, request, true, desk->n_bad > 0 ? 6 : 5);
    pack_stamp(&self->head, tw_model_name(desk->model), &desk->stamp);
    pack_key(&self->head, "n");
    tw_pack_uint(&self->head, desk->n_rows);
    if (desk->n_bad > 0)
        pack_row_errors(&self->head, desk);
    size_t n_outputs = tw_model_traits(desk->model)->n_outputs;
    send_reply(self, request, desk->prediction != NULL ? (const void *)desk->prediction : "", desk->n_rows * n_outputs * sizeof(double));
    return TW_STATUS_OK;
}

static tw_status op_predict(zmq_door *self, const zmq_request *request, tw_error *error)
{
    int64_t start_us = tw_clock_monotonic_us();
    tw_status status = predict_rows(self, request, error);
    door_count(self->shared, DOOR_ZMQ, status == TW_STATUS_OK, self->desk->n_rows, tw_clock_monotonic_us() - start_us);
    tw_desk_finish(self->desk);
    return status;
}

static const char *column_kind_name(tw_column_kind kind)
{
    static const char *const names[] = {"numeric", "categorical", "set", "constant", "label", "weight", "time", "ignore"};
    return names[kind];
}

static tw_status op_metadata(zmq_door *self, const zmq_request *request, tw_error *error)
{
    tw_status status = tw_desk_begin(self->desk, error);
    if (status == TW_STATUS_OK) {
        const tw_model *model = self->desk->model;
        const tw_model_spec *spec = tw_model_spec_of(model);
        tw_model_stamp stamp;
        tw_model_stamp_now(self->desk->model, &stamp);
        begin_reply(self, request, true, 7);
        pack_stamp(&self->head, tw_model_name(model), &stamp);
        pack_key(&self->head, "learner");
        tw_pack_text(&self->head, spec->learner->name);
        pack_key(&self->head, "outputs");
        tw_pack_uint(&self->head, tw_model_traits(model)->n_outputs);
        pack_key(&self->head, "fields");
        tw_pack_array(&self->head, spec->plan.n_columns);
        for (uint32_t i = 0; i < spec->plan.n_columns; i++) {
            tw_pack_map(&self->head, 2);
            pack_key(&self->head, "name");
            tw_pack_text(&self->head, spec->plan.column[i].field != NULL ? spec->plan.column[i].field : "");
            pack_key(&self->head, "kind");
            tw_pack_text(&self->head, column_kind_name(spec->plan.column[i].kind));
        }
        send_reply(self, request, NULL, 0);
    }
    tw_desk_finish(self->desk);
    return status;
}

static void pack_figure(tw_packer *head, const char *key, double value)
{
    pack_key(head, key);
    if (isnan(value))
        tw_pack_nil(head);
    else
        tw_pack_double(head, value);
}

static tw_status op_status(zmq_door *self, const zmq_request *request, tw_error *error)
{
    tw_status status = tw_desk_begin(self->desk, error);
    if (status == TW_STATUS_OK) {
        tw_model_stamp stamp;
        tw_model_stamp_now(self->desk->model, &stamp);
        const tw_server_hooks *hooks = &self->shared->options.hooks;
        tw_report report;
        memset(&report, 0, sizeof report);
        if (hooks->report != NULL)
            hooks->report(hooks->context, &report);
        begin_reply(self, request, true, hooks->report != NULL ? 11 : 4);
        pack_stamp(&self->head, tw_model_name(self->desk->model), &stamp);
        if (hooks->report != NULL) {
            pack_key(&self->head, "scored_events");
            tw_pack_uint(&self->head, report.events);
            pack_key(&self->head, "bad_events");
            tw_pack_uint(&self->head, report.bad_events);
            pack_figure(&self->head, "events_per_second", report.events_per_second);
            pack_figure(&self->head, "logloss", report.logloss);
            pack_figure(&self->head, "auc", report.auc);
            pack_figure(&self->head, "inertia", report.inertia);
            pack_figure(&self->head, "lag_seconds", report.lag_seconds);
        }
        send_reply(self, request, NULL, 0);
    }
    tw_desk_finish(self->desk);
    return status;
}

static void *checkpoint_main(void *argument)
{
    pending_checkpoint *self = argument;
    const tw_server_hooks *hooks = &self->door->shared->options.hooks;
    self->status = hooks->checkpoint(hooks->context, self->timeout_ms, &self->version, &self->error);
    atomic_store(&self->is_done, true);
    return NULL;
}

static tw_status op_checkpoint(zmq_door *self, const zmq_request *request, tw_error *error)
{
    pending_checkpoint *pending = &self->checkpoint;
    if (self->shared->options.hooks.checkpoint == NULL)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "this server does not train: there is nothing to checkpoint");
    if (pending->is_running)
        return tw_error_set(error, TW_STATUS_BUSY, "a checkpoint is under way; try again");
    if (request->peer.size > sizeof pending->peer)
        return tw_error_set(error, TW_STATUS_PROTOCOL, "identity of %zu bytes", request->peer.size);
    memcpy(pending->peer, request->peer.bytes, request->peer.size);
    pending->peer_size = request->peer.size | (request->has_delimiter ? (size_t)1 << 32 : 0);
    const tw_value *id = tw_value_find(request->head, "id");
    pending->id_size = id != NULL && id->kind == TW_VALUE_TEXT && id->size <= MAX_ID ? id->size : 0;
    if (pending->id_size > 0)
        memcpy(pending->id, id->as.bytes, pending->id_size);
    uint64_t timeout_ms = 60000;
    const tw_value *wanted = tw_value_find(request->head, "timeout_ms");
    if (wanted != NULL && (!tw_value_unsigned(wanted, &timeout_ms) || timeout_ms > 600000))
        return tw_error_set(error, TW_STATUS_INVALID, "timeout_ms must be 0 to 600000");
    pending->timeout_ms = (int)timeout_ms;
    pending->door = self;
    pending->error = (tw_error){0};
    atomic_store(&pending->is_done, false);
    int errnum = pthread_create(&pending->thread, NULL, checkpoint_main, pending);
    if (errnum != 0)
        return tw_error_errno(error, TW_STATUS_BUSY, errnum, "the checkpoint cannot be started");
    pending->is_running = true;
    return TW_STATUS_OK;
}

static void finish_checkpoint(zmq_door *self)
{
    pending_checkpoint *pending = &self->checkpoint;
    if (!pending->is_running || !atomic_load(&pending->is_done))
        return;
    (void)pthread_join(pending->thread, NULL);
    pending->is_running = false;
    zmq_request request = {
        .peer = {pending->peer, pending->peer_size & 0xffffffffu},
        .id = {pending->id, pending->id_size},
        .has_delimiter = pending->peer_size >> 32 != 0,
    };
    if (pending->status < 0) {
        reply_error(self, &request, &pending->error);
        return;
    }
    begin_reply(self, &request, true, 1);
    pack_key(&self->head, "version");
    tw_pack_uint(&self->head, pending->version);
    send_reply(self, &request, NULL, 0);
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

typedef struct zmq_operation {
    const char *name;
    tw_status (*run)(zmq_door *self, const zmq_request *request, tw_error *error);
} zmq_operation;

static const zmq_operation operations[] = {
    {"predict", op_predict},
    {"metadata", op_metadata},
    {"status", op_status},
    {"checkpoint", op_checkpoint},
};

static tw_status dispatch(zmq_door *self, const zmq_request *request, tw_error *error)
{
    uint64_t version = 0;
    if (request->head->kind != TW_VALUE_MAP)
        return tw_error_set(error, TW_STATUS_PROTOCOL, "the first frame must be a map");
    const tw_value *v = tw_value_find(request->head, "v");
    if (v != NULL && (!tw_value_unsigned(v, &version) || version != PROTOCOL_VERSION))
        return tw_error_set(error, TW_STATUS_PROTOCOL, "protocol version: this server speaks v: %d", PROTOCOL_VERSION);
    const tw_value *op = tw_value_find(request->head, "op");
    for (size_t i = 0; op != NULL && i < sizeof operations / sizeof operations[0]; i++) {
        if (tw_value_is_text(op, operations[i].name))
            return operations[i].run(self, request, error);
    }
    return tw_error_set(error, TW_STATUS_UNSUPPORTED, "op must be predict, metadata, status or checkpoint");
}

static void answer_message(zmq_door *self)
{
    uint32_t n = tw_message_n_parts(self->message);
    zmq_request request = {.peer = tw_message_part(self->message, 0)};
    uint32_t first = 1;
    if (n > 1 && tw_message_part(self->message, 1).size == 0) {
        request.has_delimiter = true;
        first = 2;
    }
    tw_error error = {0};
    tw_document head = {0}, rows = {0};
    if (n <= first || n > first + 2) {
        (void)tw_error_set(&error, TW_STATUS_PROTOCOL, "%u frames: one or two are expected", n - first);
        reply_error(self, &request, &error);
        return;
    }
    tw_part part = tw_message_part(self->message, first);
    tw_status status = tw_unpack(part.bytes, part.size, 0, &head, &error);
    if (status == TW_STATUS_OK && n == first + 2) {
        part = tw_message_part(self->message, first + 1);
        status = tw_unpack(part.bytes, part.size, MAX_OBJECTS, &rows, &error);
    }
    request.head = head.value;
    request.rows = rows.value;
    if (status == TW_STATUS_OK)
        status = dispatch(self, &request, &error);
    if (status < 0) {
        error.status = status;
        reply_error(self, &request, &error);
    }
    tw_document_fini(&rows);
    tw_document_fini(&head);
}

static void *door_main(void *argument)
{
    zmq_door *self = argument;
    while (!atomic_load(&self->is_stopping)) {
        bool is_readable = false;
        int wait_ms = self->checkpoint.is_running ? WAIT_PENDING_MS : WAIT_MS;
        tw_status status = tw_socket_wait(&self->socket, 1, wait_ms, &is_readable, NULL);
        for (int i = 0; i < 256 && status == TW_STATUS_OK && is_readable; i++) {
            status = tw_socket_receive(self->socket, self->message, NULL);
            if (status == TW_STATUS_OK)
                answer_message(self);
        }
        finish_checkpoint(self);
    }
    return NULL;
}

static tw_status door_start(zmq_door *self, tw_error *error)
{
    const tw_server_options *options = &self->shared->options;
    tw_socket_options socket = {.kind = TW_SOCKET_ROUTER, .max_message_bytes = options->max_bytes, .high_water = 10000};
    tw_status status = tw_net_create(1, &self->net, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_create(self->net, &socket, &self->socket, error);
    if (status == TW_STATUS_OK)
        status = tw_message_create(&self->message, error);
    if (status == TW_STATUS_OK)
        status = tw_desk_create(options->served, options->max_rows, &self->desk, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_bind(self->socket, options->zmq_address, error);
    if (status < 0)
        return status;
    int errnum = pthread_create(&self->thread, NULL, door_main, self);
    if (errnum != 0)
        return tw_error_errno(error, TW_STATUS_NO_MEMORY, errnum, "the ZeroMQ server thread cannot be started");
    self->is_started = true;
    return TW_STATUS_OK;
}

tw_status zmq_door_open(door_shared *shared, zmq_door **out, tw_error *error)
{
    zmq_door *self = tw_alloc_zero(sizeof *self);
    *out = NULL;
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->shared = shared;
    tw_status status = door_start(self, error);
    if (status < 0)
        zmq_door_close(&self);
    *out = self;
    return status;
}

void zmq_door_close(zmq_door **self)
{
    zmq_door *door = *self;
    if (door == NULL)
        return;
    *self = NULL;
    atomic_store(&door->is_stopping, true);
    if (door->is_started)
        (void)pthread_join(door->thread, NULL);
    if (door->checkpoint.is_running)
        (void)pthread_join(door->checkpoint.thread, NULL);
    tw_desk_destroy(&door->desk);
    tw_packer_fini(&door->head);
    tw_message_destroy(&door->message);
    tw_socket_destroy(&door->socket);
    tw_net_destroy(&door->net);
    tw_free(door);
}

const char *zmq_door_address(const zmq_door *self)
{
    return tw_socket_address(self->socket);
}
