/* The HTTP door: libmicrohttpd with its own small pool of threads; JSON by jansson. A request body is bounded before it
 * is read; desks are taken from a pool, one a request. */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "serve/doors.h"

enum { N_THREADS = 4, IDLE_TIMEOUT_S = 30, MAX_JSON_DEPTH = 32, CHECKPOINT_TIMEOUT_MS = 60000 };

struct http_door {
    door_shared *shared;
    struct MHD_Daemon *daemon;
    char address[128];
    pthread_mutex_t mutex; /* guards desk */
    tw_desk *desk[N_THREADS];
    uint32_t n_desks; /* idle ones */
};

/* One request while its body arrives. */
typedef struct http_request {
    char *body;
    size_t size, capacity;
    bool is_too_large;
} http_request;

typedef struct http_answer {
    unsigned int code;
    const char *type;
    char *body; /* by malloc: handed to libmicrohttpd */
} http_answer;

/* --- answers ---------------------------------------------------------------------------------------------------------
 */

static unsigned int http_code(const tw_error *error)
{
    switch (error->status) {
    case TW_STATUS_NOT_FOUND:
        return MHD_HTTP_NOT_FOUND;
    case TW_STATUS_BUSY:
    case TW_STATUS_UNAVAILABLE:
    case TW_STATUS_TIMEOUT:
    case TW_STATUS_NO_MEMORY:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    case TW_STATUS_IO:
    case TW_STATUS_CORRUPT:
    case TW_STATUS_NUMERIC:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    case TW_STATUS_UNSUPPORTED:
        return MHD_HTTP_NOT_IMPLEMENTED;
    case TW_STATUS_OK:
    case TW_STATUS_END:
    case TW_STATUS_IDLE:
    case TW_STATUS_REWIND:
    case TW_STATUS_INVALID:
    case TW_STATUS_PROTOCOL:
    case TW_STATUS_CONFIG:
    case TW_STATUS_DATA:
    case TW_STATUS_CONFLICT:
    case TW_STATUS_CANCELLED:
        break;
    }
    return MHD_HTTP_BAD_REQUEST;
}

static void answer_json(http_answer *answer, unsigned int code, json_t *value)
{
    answer->code = code;
    answer->type = "application/json";
    answer->body = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(value);
}

static void answer_error(http_answer *answer, const tw_error *error)
{
    const char *code = error->code[0] != '\0' ? error->code : tw_status_name(error->status);
    answer_json(answer, http_code(error), json_pack("{s:s, s:s}", "error", error->message, "code", code));
}

static json_t *figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *stamp_json(const tw_model *model, const tw_model_stamp *stamp)
{
    char version[24];
    (void)snprintf(version, sizeof version, "%llu", (unsigned long long)stamp->version);
    return json_pack("{s:s, s:s, s:I, s:I}", "model", tw_model_name(model), "model_version", version, "events",
        (json_int_t)stamp->events, "age_ms", (json_int_t)stamp->age_ms);
}

/* --- rows ------------------------------------------------------------------------------------------------------------
 */

static void put_object(tw_desk *desk, const char *prefix, json_t *object, int depth);

static void put_value(tw_desk *desk, const char *name, json_t *value, int depth)
{
    size_t size = strlen(name), index;
    json_t *item;
    if (json_is_string(value)) {
        tw_desk_string(desk, name, size, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        tw_desk_integer(desk, name, size, json_integer_value(value));
    } else if (json_is_real(value)) {
        tw_desk_number(desk, name, size, json_real_value(value));
    } else if (json_is_boolean(value)) {
        tw_desk_bool(desk, name, size, json_is_true(value));
    } else if (json_is_object(value)) {
        put_object(desk, name, value, depth + 1);
    } else if (json_is_array(value)) {
        json_array_foreach(value, index, item)
        {
            if (json_is_string(item))
                tw_desk_element(desk, name, size, json_string_value(item), json_string_length(item));
            else
                tw_desk_wrong(desk, "%s: a list may hold texts only", name);
        }
    }
}

/* Nested objects become dotted names, as in the JSON format. */
static void put_object(tw_desk *desk, const char *prefix, json_t *object, int depth)
{
    const char *key;
    json_t *value;
    if (depth > MAX_JSON_DEPTH) {
        tw_desk_wrong(desk, "nested deeper than %d objects", MAX_JSON_DEPTH);
        return;
    }
    json_object_foreach(object, key, value)
    {
        char name[512];
        int n = prefix[0] != '\0' ? snprintf(name, sizeof name, "%s.%s", prefix, key)
                                  : snprintf(name, sizeof name, "%s", key);
        if (n < 0 || (size_t)n >= sizeof name)
            tw_desk_wrong(desk, "a field name is longer than %zu bytes", sizeof name - 1);
        else
            put_value(desk, name, value, depth);
    }
}

static tw_status put_instances(tw_desk *desk, json_t *instances, tw_error *error)
{
    size_t index;
    json_t *row;
    tw_status status = TW_STATUS_OK;
    json_array_foreach(instances, index, row)
    {
        tw_desk_row_begin(desk);
        if (json_is_object(row))
            put_object(desk, "", row, 0);
        else
            tw_desk_wrong(desk, "an instance must be an object of field names and values");
        status = tw_desk_row_end(desk, error);
        if (status < 0)
            break;
    }
    return status;
}

static json_t *prediction_json(const tw_desk *desk, uint32_t row)
{
    const tw_learner_traits *traits = tw_model_traits(desk->model);
    const double *value = desk->prediction + (size_t)row * traits->n_outputs;
    if (traits->task == TW_TASK_CLUSTERING)
        return isnan(value[0]) ? json_null()
                               : json_pack("{s:I, s:f}", "cluster", (json_int_t)value[1], "distance", value[0]);
    return figure(value[0]);
}

static json_t *answer_rows(const tw_desk *desk)
{
    json_t *out = stamp_json(desk->model, &desk->stamp);
    json_t *predictions = json_array();
    for (uint32_t i = 0; i < desk->n_rows; i++)
        (void)json_array_append_new(predictions, prediction_json(desk, i));
    (void)json_object_set_new(out, "predictions", predictions);
    if (desk->n_bad == 0)
        return out;
    json_t *errors = json_array();
    for (uint32_t i = 0; i < desk->n_bad; i++)
        (void)json_array_append_new(errors, json_pack("{s:i, s:s, s:s}", "row", (int)desk->bad[i].row, "code",
                                                desk->bad[i].error.code, "error", desk->bad[i].error.message));
    (void)json_object_set_new(out, "errors", errors);
    return out;
}

/* --- desks -----------------------------------------------------------------------------------------------------------
 */

static tw_desk *take_desk(http_door *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    tw_desk *desk = self->n_desks > 0 ? self->desk[--self->n_desks] : NULL;
    (void)pthread_mutex_unlock(&self->mutex);
    return desk;
}

static void give_desk(http_door *self, tw_desk *desk)
{
    tw_desk_finish(desk);
    (void)pthread_mutex_lock(&self->mutex);
    self->desk[self->n_desks++] = desk;
    (void)pthread_mutex_unlock(&self->mutex);
}

/* True when `name` (up to `size`) is the model that is served; the desk is begun. */
static tw_status begin_for(tw_desk *desk, const char *name, size_t size, tw_error *error)
{
    tw_status status = tw_desk_begin(desk, error);
    if (status < 0)
        return status;
    const char *served = tw_model_name(desk->model);
    if (strlen(served) != size || memcmp(served, name, size) != 0)
        return tw_error_set(error, TW_STATUS_NOT_FOUND, "model %.*s is not served here; this server has %s",
            (int)(size > 64 ? 64 : size), name, served);
    return TW_STATUS_OK;
}

/* --- operations ------------------------------------------------------------------------------------------------------
 */

static tw_status parse_instances(const http_request *request, json_t **root, json_t **instances, tw_error *error)
{
    json_error_t why;
    *root = json_loadb(request->body != NULL ? request->body : "", request->size, JSON_REJECT_DUPLICATES, &why);
    if (*root == NULL)
        return tw_error_set(
            error, TW_STATUS_INVALID, "the body is not JSON: line %d column %d: %s", why.line, why.column, why.text);
    *instances = json_object_get(*root, "instances");
    if (!json_is_array(*instances))
        return tw_error_set(error, TW_STATUS_INVALID, "the body must be {\"instances\": [{field: value, ...}, ...]}");
    return TW_STATUS_OK;
}

static void predict(
    http_door *self, tw_desk *desk, const char *name, size_t size, const http_request *request, http_answer *answer)
{
    int64_t start_us = tw_clock_monotonic_us();
    tw_error error = {0};
    json_t *root = NULL, *instances = NULL;
    tw_status status = begin_for(desk, name, size, &error);
    if (status == TW_STATUS_OK)
        status = parse_instances(request, &root, &instances, &error);
    if (status == TW_STATUS_OK)
        status = put_instances(desk, instances, &error);
    if (status == TW_STATUS_OK)
        status = tw_desk_answer(desk, &error);
    if (status == TW_STATUS_OK)
        answer_json(answer, desk->n_bad > 0 && desk->n_bad == desk->n_rows ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_OK,
            answer_rows(desk));
    else
        answer_error(answer, &error);
    json_decref(root);
    door_count(self->shared, DOOR_HTTP, status == TW_STATUS_OK, desk->n_rows, tw_clock_monotonic_us() - start_us);
}

static void describe(tw_desk *desk, const char *name, size_t size, http_answer *answer)
{
    static const char *const kinds[] = {
        "numeric", "categorical", "set", "constant", "label", "weight", "time", "ignore"};
    tw_error error = {0};
    if (begin_for(desk, name, size, &error) < 0) {
        answer_error(answer, &error);
        return;
    }
    const tw_model_spec *spec = tw_model_spec_of(desk->model);
    tw_model_stamp stamp;
    tw_model_stamp_now(desk->model, &stamp);
    json_t *out = stamp_json(desk->model, &stamp);
    json_t *fields = json_array();
    for (uint32_t i = 0; i < spec->plan.n_columns; i++)
        (void)json_array_append_new(fields,
            json_pack("{s:s, s:s}", "name", spec->plan.column[i].field, "kind", kinds[spec->plan.column[i].kind]));
    (void)json_object_set_new(out, "learner", json_string(spec->learner->name));
    (void)json_object_set_new(out, "fields", fields);
    answer_json(answer, MHD_HTTP_OK, out);
}

static void save_now(http_door *self, tw_desk *desk, const char *name, size_t size, http_answer *answer)
{
    const tw_server_hooks *hooks = &self->shared->options.hooks;
    tw_error error = {0};
    uint64_t id = 0;
    tw_status status = begin_for(desk, name, size, &error);
    tw_desk_finish(desk);
    if (status == TW_STATUS_OK && hooks->checkpoint == NULL)
        status =
            tw_error_set(&error, TW_STATUS_UNSUPPORTED, "this server does not train: there is nothing to checkpoint");
    if (status == TW_STATUS_OK)
        status = hooks->checkpoint(hooks->context, CHECKPOINT_TIMEOUT_MS, &id, &error);
    if (status < 0)
        answer_error(answer, &error);
    else
        answer_json(answer, MHD_HTTP_OK, json_pack("{s:I}", "version", (json_int_t)id));
}

static void show_status(http_door *self, tw_desk *desk, http_answer *answer)
{
    const tw_server_hooks *hooks = &self->shared->options.hooks;
    tw_error error = {0};
    if (tw_desk_begin(desk, &error) < 0) {
        answer_error(answer, &error);
        return;
    }
    tw_model_stamp stamp;
    tw_model_stamp_now(desk->model, &stamp);
    json_t *out = stamp_json(desk->model, &stamp);
    if (hooks->report != NULL) {
        tw_report report;
        hooks->report(hooks->context, &report);
        (void)json_object_update_new(
            out, json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "scored_events",
                     (json_int_t)report.events, "bad_events", (json_int_t)report.bad_events, "bytes",
                     (json_int_t)report.bytes, "rewinds", (json_int_t)report.rewinds, "seconds", figure(report.seconds),
                     "events_per_second", figure(report.events_per_second), "logloss", figure(report.logloss), "auc",
                     figure(report.auc), "inertia", figure(report.inertia), "lag_seconds", figure(report.lag_seconds)));
    }
    answer_json(answer, MHD_HTTP_OK, out);
}

static void show_metrics(http_door *self, http_answer *answer)
{
    tw_text text = {0};
    tw_error error = {0};
    if (metrics_text(self->shared, &text, &error) < 0) {
        answer_error(answer, &error);
    } else {
        answer->code = MHD_HTTP_OK;
        answer->type = "text/plain; version=0.0.4; charset=utf-8";
        answer->body = strdup(text.bytes);
    }
    tw_text_fini(&text);
}

static void model_path(http_door *self,
    tw_desk *desk,
    const char *method,
    const char *path,
    const http_request *request,
    http_answer *answer)
{
    const char *verb = strrchr(path, ':');
    size_t size = verb != NULL ? (size_t)(verb - path) : strlen(path);
    bool is_post = strcmp(method, "POST") == 0;
    tw_error error = {0};
    if (verb == NULL && !is_post)
        describe(desk, path, size, answer);
    else if (verb != NULL && is_post && strcmp(verb, ":predict") == 0)
        predict(self, desk, path, size, request, answer);
    else if (verb != NULL && is_post && strcmp(verb, ":checkpoint") == 0)
        save_now(self, desk, path, size, answer);
    else {
        (void)tw_error_set(&error, TW_STATUS_NOT_FOUND,
            "nothing here: POST /v1/models/NAME:predict or :checkpoint, GET /v1/models/NAME");
        answer_error(answer, &error);
    }
}

static void answer_request(
    http_door *self, const char *method, const char *path, const http_request *request, http_answer *answer)
{
    static const char models[] = "/v1/models/";
    tw_error error = {0};
    bool is_get = strcmp(method, "GET") == 0;
    tw_desk *desk = take_desk(self);
    if (desk == NULL) {
        (void)tw_error_set(&error, TW_STATUS_BUSY, "all %d request slots are busy; try again", N_THREADS);
        answer_error(answer, &error);
        return;
    }
    if (request->is_too_large) {
        answer_json(answer, MHD_HTTP_CONTENT_TOO_LARGE,
            json_pack("{s:s, s:s, s:I}", "error", "the request body is too large", "code", "E402", "limit_bytes",
                (json_int_t)self->shared->options.max_bytes));
    } else if (strncmp(path, models, sizeof models - 1) == 0) {
        model_path(self, desk, method, path + sizeof models - 1, request, answer);
    } else if (is_get && strcmp(path, "/healthz") == 0) {
        answer_json(answer, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
    } else if (is_get && strcmp(path, "/metrics") == 0) {
        show_metrics(self, answer);
    } else if (is_get && strcmp(path, "/api/status") == 0) {
        show_status(self, desk, answer);
    } else {
        (void)tw_error_set(&error, TW_STATUS_NOT_FOUND,
            "nothing here: try /healthz, /metrics, /api/status or POST /v1/models/NAME:predict");
        answer_error(answer, &error);
    }
    give_desk(self, desk);
}

/* --- libmicrohttpd ---------------------------------------------------------------------------------------------------
 */

static enum MHD_Result send_answer(struct MHD_Connection *connection, http_answer *answer)
{
    static char no_memory[] = "{\"error\":\"out of memory\",\"code\":\"no memory\"}";
    bool is_lost = answer->body == NULL;
    const char *type = is_lost ? "application/json" : answer->type;
    char *body = is_lost ? no_memory : answer->body;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(body), body, is_lost ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(answer->body);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    enum MHD_Result result =
        MHD_queue_response(connection, is_lost ? MHD_HTTP_SERVICE_UNAVAILABLE : answer->code, response);
    MHD_destroy_response(response);
    return result;
}

static void take_body(http_door *self, http_request *request, const char *data, size_t size)
{
    if (request->is_too_large || request->size + size > self->shared->options.max_bytes) {
        request->is_too_large = true;
        return;
    }
    if (tw_grow(&request->body, 1, &request->capacity, request->size + size, NULL) < 0) {
        request->is_too_large = true;
        return;
    }
    memcpy(request->body + request->size, data, size);
    request->size += size;
}

static enum MHD_Result on_request(void *context,
    struct MHD_Connection *connection,
    const char *path,
    const char *method,
    const char *version,
    const char *data,
    size_t *data_size,
    void **state)
{
    http_door *self = context;
    (void)version;
    if (*state == NULL) {
        *state = tw_alloc_zero(sizeof(http_request));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    http_request *request = *state;
    if (*data_size > 0) {
        take_body(self, request, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    http_answer answer = {0};
    answer_request(self, method, path, request, &answer);
    return send_answer(connection, &answer);
}

static void on_completed(
    void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    http_request *request = *state;
    if (request != NULL)
        tw_free(request->body);
    tw_free(request);
    *state = NULL;
}

/* "127.0.0.1:8080" or "localhost:8080"; everything off loopback is refused. */
static tw_status parse_address(const char *text, struct sockaddr_in *out, tw_error *error)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    char *end = NULL;
    long port = colon != NULL ? strtol(colon + 1, &end, 10) : -1;
    if (colon == NULL || end == colon + 1 || *end != '\0' || port < 0 || port > 65535)
        return tw_error_set(
            error, TW_STATUS_INVALID, "serve.http: %s: expected HOST:PORT such as 127.0.0.1:8080", text);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof host, "127.0.0.1");
    if (inet_pton(AF_INET, host, &out->sin_addr) != 1)
        return tw_error_set(error, TW_STATUS_INVALID, "serve.http: %s: %s is not an IPv4 address", text, host);
    if (ntohl(out->sin_addr.s_addr) >> 24 != 127)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "serve.http: %s: only loopback addresses may be served until connections can be authenticated", text);
    return TW_STATUS_OK;
}

static tw_status start_daemon(http_door *self, const struct sockaddr_in *address, tw_error *error)
{
    const tw_server_options *options = &self->shared->options;
    errno = 0;
    self->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, self,
        MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)address, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned int)options->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned int)IDLE_TIMEOUT_S, MHD_OPTION_THREAD_POOL_SIZE, (unsigned int)N_THREADS,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    int errnum = errno != 0 ? errno : EADDRINUSE;
    if (self->daemon == NULL && errnum == EADDRINUSE) {
        tw_status status = tw_error_set(error, TW_STATUS_UNAVAILABLE,
            "cannot listen on %s: Address already in use; another process listens there: stop it or choose another "
            "port",
            options->http_address);
        tw_error_code(error, "E401");
        return status;
    }
    if (self->daemon == NULL)
        return tw_error_errno(error, TW_STATUS_IO, errnum, "cannot listen on %s", options->http_address);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_BIND_PORT);
    char host[INET_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
    (void)snprintf(self->address, sizeof self->address, "%s:%u", host,
        info != NULL ? (unsigned int)info->port : (unsigned int)ntohs(address->sin_port));
    return TW_STATUS_OK;
}

tw_status http_door_open(door_shared *shared, http_door **out, tw_error *error)
{
    struct sockaddr_in address;
    *out = NULL;
    tw_status status = parse_address(shared->options.http_address, &address, error);
    if (status < 0)
        return status;
    http_door *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->shared = shared;
    (void)pthread_mutex_init(&self->mutex, NULL);
    for (int i = 0; i < N_THREADS && status == TW_STATUS_OK; i++) {
        status = tw_desk_create(shared->options.served, shared->options.max_rows, &self->desk[i], error);
        self->n_desks += status == TW_STATUS_OK;
    }
    if (status == TW_STATUS_OK)
        status = start_daemon(self, &address, error);
    if (status < 0)
        http_door_close(&self);
    *out = self;
    return status;
}

void http_door_close(http_door **self)
{
    http_door *door = *self;
    if (door == NULL)
        return;
    *self = NULL;
    if (door->daemon != NULL)
        MHD_stop_daemon(door->daemon);
    for (uint32_t i = 0; i < door->n_desks; i++)
        tw_desk_destroy(&door->desk[i]);
    (void)pthread_mutex_destroy(&door->mutex);
    tw_free(door);
}

const char *http_door_address(const http_door *self)
{
    return self->address;
}
