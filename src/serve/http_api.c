/* What the paths of the HTTP door answer; JSON by jansson. Pure: a request in, an answer out. */
#include "serve/http_api.h"

#include <jansson.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { MAX_JSON_DEPTH = 32, MAX_FIELD_NAME = 512, CHECKPOINT_TIMEOUT_MS = 60000 };

/* --- answers ---------------------------------------------------------------------------------------------------- */

static unsigned int http_code(const tw_error *error)
{
    switch (error->status) {
    case TW_STATUS_NOT_FOUND:
        return MHD_HTTP_NOT_FOUND;
    case TW_STATUS_BUSY:
    case TW_STATUS_UNAVAILABLE:
    case TW_STATUS_TIMEOUT:
    case TW_STATUS_NO_MEMORY:
    case TW_STATUS_FULL:
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

void http_api_error(http_answer *answer, const tw_error *error)
{
    char message[TW_ERROR_MESSAGE_SIZE];
    door_clean(message, sizeof message, error->message);

    answer_json(answer, http_code(error), json_pack("{s:s, s:s}", "error", message, "code", door_error_code(error)));
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

/* --- rows ------------------------------------------------------------------------------------------------------- */

static void put_object(tw_desk *desk, const char *prefix, json_t *object, int depth);

static void put_element(tw_desk *desk, const char *name, size_t size, json_t *item)
{
    char text[TW_REAL_TEXT_SIZE];
    if (json_is_string(item)) {
        tw_desk_element(desk, name, size, json_string_value(item), json_string_length(item));
    } else if (json_is_integer(item)) {
        int n = snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(item));
        tw_desk_element(desk, name, size, text, (size_t)n);
    } else if (json_is_real(item)) {
        tw_text_from_real(json_real_value(item), text);
        tw_desk_element(desk, name, size, text, strlen(text));
    } else {
        tw_desk_unfit(desk, name, size);
    }
}

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
            put_element(desk, name, size, item);
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
        char name[MAX_FIELD_NAME];
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
    for (uint32_t i = 0; i < desk->n_bad; i++) {
        char message[TW_ERROR_MESSAGE_SIZE];
        door_clean(message, sizeof message, desk->bad[i].error.message);
        (void)json_array_append_new(errors, json_pack("{s:i, s:s, s:s}", "row", (int)desk->bad[i].row, "code",
                                                door_error_code(&desk->bad[i].error), "error", message));
    }
    (void)json_object_set_new(out, "errors", errors);
    return out;
}

/* --- operations ------------------------------------------------------------------------------------------------- */

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
    door_shared *shared, tw_desk *desk, const char *name, size_t size, const http_request *request, http_answer *answer)
{
    int64_t start_us = tw_clock_monotonic_us();
    tw_error error = {0};
    json_t *root = NULL, *instances = NULL;
    tw_status status = door_begin(desk, name, size, &error);
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
        http_api_error(answer, &error);
    json_decref(root);
    door_count(shared, DOOR_HTTP, status == TW_STATUS_OK, status == TW_STATUS_OK ? desk->n_rows : 0,
        tw_clock_monotonic_us() - start_us);
}

/* The fields that a row may have; `default`: what an absent number counts as, null: it is left out. */
static json_t *fields_json(const tw_plan_spec *plan)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < plan->n_columns; i++) {
        const tw_column_spec *column = &plan->column[i];
        if (door_is_request_field(column))
            (void)json_array_append_new(
                out, json_pack("{s:s, s:s, s:o}", "name", column->field, "kind", door_kind_name(column->kind),
                         "default", figure(column->has_missing ? column->missing : (double)NAN)));
    }
    return out;
}

static void describe(tw_desk *desk, const char *name, size_t size, http_answer *answer)
{
    tw_error error = {0};
    if (door_begin(desk, name, size, &error) < 0) {
        http_api_error(answer, &error);
        return;
    }
    const tw_model_spec *spec = tw_model_spec_of(desk->model);
    tw_model_stamp stamp;
    tw_model_stamp_now(desk->model, &stamp);
    json_t *out = stamp_json(desk->model, &stamp);
    (void)json_object_set_new(out, "learner", json_string(spec->learner->name));
    (void)json_object_set_new(out, "outputs", json_integer((json_int_t)tw_model_traits(desk->model)->n_outputs));
    (void)json_object_set_new(out, "is_automatic", json_boolean(tw_plan_n_columns(desk->plan) == 0));
    (void)json_object_set_new(out, "fields", fields_json(&spec->plan));
    answer_json(answer, MHD_HTTP_OK, out);
}

/* One checkpoint over HTTP at a time: it occupies one of the door's threads. */
static tw_status run_checkpoint(door_shared *shared, uint64_t *id, tw_error *error)
{
    const tw_server_hooks *hooks = &shared->options.hooks;
    if (hooks->checkpoint == NULL)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "this server does not train: there is nothing to checkpoint");
    if (atomic_exchange(&shared->is_saving, true))
        return tw_error_set(error, TW_STATUS_BUSY, "a checkpoint is under way; try again");
    tw_status status = hooks->checkpoint(hooks->context, CHECKPOINT_TIMEOUT_MS, id, error);
    atomic_store(&shared->is_saving, false);
    return status;
}

static void save_now(door_shared *shared, tw_desk *desk, const char *name, size_t size, http_answer *answer)
{
    tw_error error = {0};
    uint64_t id = 0;
    tw_status status = door_begin(desk, name, size, &error);
    tw_desk_finish(desk); /* a swap need not wait for the checkpoint */
    if (status == TW_STATUS_OK)
        status = run_checkpoint(shared, &id, &error);
    if (status == TW_STATUS_OK)
        status = tw_desk_begin(desk, &error);
    if (status < 0) {
        http_api_error(answer, &error);
        return;
    }
    tw_model_stamp stamp;
    tw_model_stamp_now(desk->model, &stamp);
    json_t *out = stamp_json(desk->model, &stamp);
    (void)json_object_set_new(out, "version", json_integer((json_int_t)id));
    answer_json(answer, MHD_HTTP_OK, out);
}

static void show_status(door_shared *shared, tw_desk *desk, http_answer *answer)
{
    const tw_server_hooks *hooks = &shared->options.hooks;
    tw_error error = {0};
    if (tw_desk_begin(desk, &error) < 0) {
        http_api_error(answer, &error);
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
                     "events_per_second", figure(report.events_per_second), "logloss", figure(report.figures.logloss),
                     "auc", figure(report.figures.auc), "inertia", figure(report.figures.inertia), "lag_seconds",
                     figure(report.lag_seconds)));
        (void)json_object_update_new(out,
            json_pack("{s:I, s:I, s:I}", "published_version", (json_int_t)report.published_version, "refused_versions",
                (json_int_t)report.refused_versions, "drifts", (json_int_t)report.drift.drifts));
    }
    answer_json(answer, MHD_HTTP_OK, out);
}

static void show_metrics(door_shared *shared, http_answer *answer)
{
    tw_text text = {0};
    tw_error error = {0};
    if (metrics_text(shared, &text, &error) < 0) {
        http_api_error(answer, &error);
    } else {
        answer->code = MHD_HTTP_OK;
        answer->type = "text/plain; version=0.0.4; charset=utf-8";
        answer->body = strdup(text.bytes);
    }
    tw_text_fini(&text);
}

static void wrong_method(http_answer *answer, const char *allow)
{
    tw_error error = {0};
    (void)tw_error_set(&error, TW_STATUS_INVALID, "this path answers %s only", allow);
    http_api_error(answer, &error);
    answer->code = MHD_HTTP_METHOD_NOT_ALLOWED;
    answer->allow = allow;
}

static bool is_get(const http_request *request)
{
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

static void answer_nowhere(http_answer *answer)
{
    tw_error error = {0};
    (void)tw_error_set(&error, TW_STATUS_NOT_FOUND,
        "nothing here: POST /v1/models/NAME:predict or :checkpoint, GET /v1/models/NAME, /healthz, /metrics, "
        "/api/status");
    http_api_error(answer, &error);
}

/* `path` is what follows /v1/models/: NAME or NAME:VERB. */
static void model_path(
    door_shared *shared, tw_desk *desk, const char *path, const http_request *request, http_answer *answer)
{
    const char *verb = strrchr(path, ':');
    size_t size = verb != NULL ? (size_t)(verb - path) : strlen(path);
    bool is_post = strcmp(request->method, "POST") == 0;
    bool is_predict = verb != NULL && strcmp(verb, ":predict") == 0;
    bool is_checkpoint = verb != NULL && strcmp(verb, ":checkpoint") == 0;
    if (verb == NULL && !is_get(request))
        wrong_method(answer, "GET");
    else if ((is_predict || is_checkpoint) && !is_post)
        wrong_method(answer, "POST");
    else if (verb == NULL)
        describe(desk, path, size, answer);
    else if (is_predict)
        predict(shared, desk, path, size, request, answer);
    else if (is_checkpoint)
        save_now(shared, desk, path, size, answer);
    else
        answer_nowhere(answer);
}

static void plain_path(door_shared *shared, tw_desk *desk, const http_request *request, http_answer *answer)
{
    const char *path = request->path;
    bool is_health = strcmp(path, "/healthz") == 0, is_metrics = strcmp(path, "/metrics") == 0;
    if (!is_health && !is_metrics && strcmp(path, "/api/status") != 0)
        answer_nowhere(answer);
    else if (!is_get(request))
        wrong_method(answer, "GET");
    else if (is_health)
        answer_json(answer, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
    else if (is_metrics)
        show_metrics(shared, answer);
    else
        show_status(shared, desk, answer);
}

static void answer_fault(const door_shared *shared, http_body_fault fault, http_answer *answer)
{
    tw_error error = {0};
    if (fault == HTTP_BODY_TOO_LARGE) {
        (void)tw_error_set(&error, TW_STATUS_INVALID,
            "the request body is larger than the limit of %llu bytes: send fewer rows at a time",
            (unsigned long long)shared->options.max_bytes);
        tw_error_code(&error, "E402");
    } else {
        (void)tw_error_set(&error, TW_STATUS_BUSY, "no room for the request body at the moment; try again");
    }
    http_api_error(answer, &error);
    if (fault == HTTP_BODY_TOO_LARGE)
        answer->code = MHD_HTTP_CONTENT_TOO_LARGE;
}

void http_api_answer(door_shared *shared, tw_desk *desk, const http_request *request, http_answer *answer)
{
    static const char models[] = "/v1/models/";
    *answer = (http_answer){0};
    if (request->fault != HTTP_BODY_OK)
        answer_fault(shared, request->fault, answer);
    else if (strncmp(request->path, models, sizeof models - 1) == 0)
        model_path(shared, desk, request->path + sizeof models - 1, request, answer);
    else
        plain_path(shared, desk, request, answer);
    tw_desk_finish(desk);
}
