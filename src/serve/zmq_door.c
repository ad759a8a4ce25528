/* The ZeroMQ door: one thread, one ROUTER. Requests are answered in order; a full reply queue answers nobody else's
 * cost. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/msgpack.h"
#include "net/socket.h"
#include "serve/doors.h"
#include "serve/zmq_rows.h"

enum {
    WAIT_MS = 20,
    WAIT_PENDING_MS = 2,
    PROTOCOL_VERSION = 1,
    MAX_ID = 64,
    MAX_OBJECTS = 1 << 17,
    HIGH_WATER = 256,
    CHECKPOINT_TIMEOUT_MS = 60000,
    MAX_TIMEOUT_MS = 600000
};

/* A checkpoint under way: its own thread waits, so that predictions go on. */
typedef struct pending_checkpoint {
    pthread_t thread;
    bool is_running;
    atomic_bool is_done;
    zmq_door *door;
    char peer[256], id[MAX_ID];
    size_t peer_size, id_size;
    bool has_delimiter, has_number;
    uint64_t number; /* an id that is a number */
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
    tw_part id;             /* kept for an answer that comes later, when `head` is gone: a text; empty: none */
    const uint64_t *number; /* the same, when it was a number; NULL: none */
    bool has_delimiter;     /* REQ clients put an empty frame behind their identity */
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
    else if (request->number != NULL)
        tw_pack_uint(&self->head, *request->number);
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

static void pack_message(tw_packer *head, const tw_error *error)
{
    char message[TW_ERROR_MESSAGE_SIZE];
    door_clean(message, sizeof message, error->message);
    pack_key(head, "message");
    tw_pack_text(head, message);
}

static void reply_error(zmq_door *self, const zmq_request *request, const tw_error *error)
{
    begin_reply(self, request, false, 2);
    pack_key(&self->head, "code");
    tw_pack_text(&self->head, door_error_code(error));
    pack_message(&self->head, error);
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

/* --- operations ------------------------------------------------------------------------------------------------- */

static void pack_row_errors(tw_packer *head, const tw_desk *desk)
{
    pack_key(head, "errors");
    tw_pack_array(head, desk->n_bad);
    for (uint32_t i = 0; i < desk->n_bad; i++) {
        tw_pack_map(head, 3);
        pack_key(head, "row");
        tw_pack_uint(head, desk->bad[i].row);
        pack_key(head, "code");
        tw_pack_text(head, door_error_code(&desk->bad[i].error));
        pack_message(head, &desk->bad[i].error);
    }
}

/* Opens the desk for the model that the request names, or for any when it names none. */
static tw_status begin_request(zmq_door *self, const zmq_request *request, tw_error *error)
{
    const tw_value *model = tw_value_find(request->head, "model");
    if (model == NULL || model->kind == TW_VALUE_NIL)
        return tw_desk_begin(self->desk, error);
    if (model->kind != TW_VALUE_TEXT)
        return tw_error_set(error, TW_STATUS_INVALID, "model must be a text");
    return door_begin(self->desk, model->as.bytes, model->size, error);
}

static tw_status predict_rows(zmq_door *self, const zmq_request *request, tw_error *error)
{
    tw_status status = begin_request(self, request, error);
    if (status == TW_STATUS_OK)
        status = zmq_rows_put(self->desk, request->rows, error);
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
    send_reply(self, request, desk->prediction != NULL ? (const void *)desk->prediction : "",
        desk->n_rows * n_outputs * sizeof(double));
    return TW_STATUS_OK;
}

static tw_status op_predict(zmq_door *self, const zmq_request *request, tw_error *error)
{
    int64_t start_us = tw_clock_monotonic_us();
    tw_status status = predict_rows(self, request, error);
    door_count(self->shared, DOOR_ZMQ, status == TW_STATUS_OK, status == TW_STATUS_OK ? self->desk->n_rows : 0,
        tw_clock_monotonic_us() - start_us);
    tw_desk_finish(self->desk);
    return status;
}

static void pack_figure(tw_packer *head, const char *key, double value)
{
    pack_key(head, key);
    if (!isfinite(value))
        tw_pack_nil(head);
    else
        tw_pack_double(head, value);
}

/* The fields that a row may have; `default`: what an absent number counts as, nil: it is left out. */
static void pack_fields(tw_packer *head, const tw_plan_spec *plan)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->n_columns; i++)
        n += door_is_request_field(&plan->column[i]);
    pack_key(head, "fields");
    tw_pack_array(head, n);
    for (uint32_t i = 0; i < plan->n_columns; i++) {
        const tw_column_spec *column = &plan->column[i];
        if (!door_is_request_field(column))
            continue;
        tw_pack_map(head, 3);
        pack_key(head, "name");
        tw_pack_text(head, column->field);
        pack_key(head, "kind");
        tw_pack_text(head, door_kind_name(column->kind));
        pack_figure(head, "default", column->has_missing ? column->missing : (double)NAN);
    }
}

static tw_status op_metadata(zmq_door *self, const zmq_request *request, tw_error *error)
{
    tw_status status = begin_request(self, request, error);
    if (status == TW_STATUS_OK) {
        const tw_model *model = self->desk->model;
        const tw_model_spec *spec = tw_model_spec_of(model);
        tw_model_stamp stamp;
        tw_model_stamp_now(self->desk->model, &stamp);
        begin_reply(self, request, true, 8);
        pack_stamp(&self->head, tw_model_name(model), &stamp);
        pack_key(&self->head, "learner");
        tw_pack_text(&self->head, spec->learner->name);
        pack_key(&self->head, "outputs");
        tw_pack_uint(&self->head, tw_model_traits(model)->n_outputs);
        pack_key(&self->head, "is_automatic");
        tw_pack_bool(&self->head, tw_plan_n_columns(self->desk->plan) == 0);
        pack_fields(&self->head, &spec->plan);
        send_reply(self, request, NULL, 0);
    }
    tw_desk_finish(self->desk);
    return status;
}

static tw_status op_status(zmq_door *self, const zmq_request *request, tw_error *error)
{
    tw_status status = begin_request(self, request, error);
    if (status == TW_STATUS_OK) {
        tw_model_stamp stamp;
        tw_model_stamp_now(self->desk->model, &stamp);
        const tw_server_hooks *hooks = &self->shared->options.hooks;
        tw_report report;
        memset(&report, 0, sizeof report);
        if (hooks->report != NULL)
            hooks->report(hooks->context, &report);
        begin_reply(self, request, true, hooks->report != NULL ? 14 : 4);
        pack_stamp(&self->head, tw_model_name(self->desk->model), &stamp);
        if (hooks->report != NULL) {
            pack_key(&self->head, "scored_events");
            tw_pack_uint(&self->head, report.events);
            pack_key(&self->head, "bad_events");
            tw_pack_uint(&self->head, report.bad_events);
            pack_figure(&self->head, "events_per_second", report.events_per_second);
            pack_figure(&self->head, "logloss", report.figures.logloss);
            pack_figure(&self->head, "auc", report.figures.auc);
            pack_figure(&self->head, "inertia", report.figures.inertia);
            pack_figure(&self->head, "lag_seconds", report.lag_seconds);
            pack_key(&self->head, "published_version");
            tw_pack_uint(&self->head, report.published_version);
            pack_key(&self->head, "refused_versions");
            tw_pack_uint(&self->head, report.refused_versions);
            pack_key(&self->head, "drifts");
            tw_pack_uint(&self->head, report.drift.drifts);
        }
        send_reply(self, request, NULL, 0);
    }
    tw_desk_finish(self->desk);
    return status;
}

/* Keeps what the answer needs when the request's frames are gone. */
static tw_status keep_request(pending_checkpoint *pending, const zmq_request *request, tw_error *error)
{
    const tw_value *id = tw_value_find(request->head, "id");
    const tw_value *wanted = tw_value_find(request->head, "timeout_ms");
    uint64_t timeout_ms = CHECKPOINT_TIMEOUT_MS;
    if (request->peer.size > sizeof pending->peer)
        return tw_error_set(error, TW_STATUS_PROTOCOL, "identity of %zu bytes", request->peer.size);
    if (wanted != NULL && (!tw_value_unsigned(wanted, &timeout_ms) || timeout_ms > MAX_TIMEOUT_MS))
        return tw_error_set(error, TW_STATUS_INVALID, "timeout_ms must be 0 to %d", MAX_TIMEOUT_MS);
    memcpy(pending->peer, request->peer.bytes, request->peer.size);
    pending->peer_size = request->peer.size;
    pending->has_delimiter = request->has_delimiter;
    pending->timeout_ms = (int)timeout_ms;
    pending->id_size = 0;
    pending->has_number = id != NULL && id->kind == TW_VALUE_UINT;
    if (pending->has_number)
        pending->number = id->as.u;
    if (id != NULL && id->kind == TW_VALUE_TEXT && id->size <= MAX_ID) {
        pending->id_size = id->size;
        memcpy(pending->id, id->as.bytes, id->size);
    }
    return TW_STATUS_OK;
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
    tw_status status = begin_request(self, request, error);
    tw_desk_finish(self->desk); /* a swap need not wait for the checkpoint */
    if (status == TW_STATUS_OK)
        status = keep_request(pending, request, error);
    if (status < 0)
        return status;
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
        .peer = {pending->peer, pending->peer_size},
        .id = {pending->id, pending->id_size},
        .number = pending->has_number ? &pending->number : NULL,
        .has_delimiter = pending->has_delimiter,
    };
    if (pending->status == TW_STATUS_OK)
        pending->status = tw_desk_begin(self->desk, &pending->error);
    if (pending->status == TW_STATUS_OK) {
        tw_model_stamp stamp;
        tw_model_stamp_now(self->desk->model, &stamp);
        stamp.version = pending->version;
        begin_reply(self, &request, true, 4);
        pack_stamp(&self->head, tw_model_name(self->desk->model), &stamp);
        send_reply(self, &request, NULL, 0);
    } else {
        reply_error(self, &request, &pending->error);
    }
    tw_desk_finish(self->desk);
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

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
    tw_socket_options socket = {
        .kind = TW_SOCKET_ROUTER, .max_message_bytes = options->max_bytes, .high_water = HIGH_WATER};
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
