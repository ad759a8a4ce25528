/* A real server over loopback sockets: every operation and error through both doors, while the model learns, is swapped
 * and stops. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "support/serve_fixture.h"

static const char predict_path[] = "/v1/models/conformance:predict";

/* --- tests ------------------------------------------------------------------------------------------------------ */

static void http_rows_fail_alone_and_numbers_spell_categories(void **state)
{
    house self;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", BOUNDED);
    reply got = http(&self, "POST", predict_path,
        "{\"instances\": [{\"user\": 13, \"x0\": 0.5}, {\"user\": \"13\", \"x0\": 0.5, \"no\": [[1]], \"such\": "
        "{\"field\": null}},"
        " {\"x0\": \"a lot\"}, {}, 7, {\"user\": null}]}");
    assert_int_equal(got.code, 200);
    assert_true(prediction_at(&got, 0) > 0 && prediction_at(&got, 0) < 1);
    assert_true(prediction_at(&got, 0) == prediction_at(&got, 1));
    assert_true(isnan(prediction_at(&got, 2)));
    assert_true(prediction_at(&got, 3) == prediction_at(&got, 5));
    assert_true(isnan(prediction_at(&got, 4)));
    json_t *errors = json_object_get(got.json, "errors");
    assert_int_equal(json_array_size(errors), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(errors, 1), "row")), 4);
    assert_true(json_string_length(json_object_get(json_array_get(errors, 1), "code")) > 0);
    assert_string_equal(json_string_value(json_object_get(got.json, "model_version")), "1");
    assert_int_equal(json_integer_value(json_object_get(got.json, "events")), learned_events(&self));
    assert_true(json_integer_value(json_object_get(got.json, "age_ms")) >= 0);
    reply_free(&got);
    house_close(&self);
}

static void http_refusals_have_their_codes_and_name_the_place(void **state)
{
    house self;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", BOUNDED);
    char *large = malloc(MAX_BYTES + 100), *many = malloc(MAX_BYTES);
    memset(large, ' ', MAX_BYTES + 99);
    large[MAX_BYTES + 99] = '\0';
    size_t at = (size_t)sprintf(many, "{\"instances\": [{}");
    for (int i = 0; i < MAX_ROWS; i++)
        at += (size_t)sprintf(many + at, ",{\"x0\": 1}");
    (void)sprintf(many + at, "]}");
    assert_http(&self, "POST", predict_path, large, 413, "E402");
    assert_http(&self, "POST", predict_path, many, 400, "more than 64 rows");
    assert_http(&self, "GET", predict_path, NULL, 405, "Allow: POST");
    assert_http(&self, "POST", "/healthz", "", 405, "Allow: GET");
    assert_http(&self, "DELETE", "/v1/models/conformance", NULL, 405, "Allow: GET");
    assert_http(&self, "POST", "/v1/models/other:predict", "{\"instances\": []}", 404, "this server has conformance");
    assert_http(&self, "POST", "/v1/models/%ff%c3:predict", "{\"instances\": []}", 404, "??");
    assert_http(&self, "GET", "/nowhere", NULL, 404, "nothing here");
    assert_http(&self, "POST", predict_path, "{\"instances\": [\n{]}", 400, "line 2 column 2");
    assert_http(&self, "POST", predict_path, "{\"rows\": []}", 400, "instances");
    assert_http(&self, "POST", predict_path, "{\"instances\": [{\"x0\": \"a\"}]}", 400, "expected a number");
    assert_http(&self, "GET", "/healthz", NULL, 200, "ok");
    assert_http(
        &self, "GET", "/v1/models/conformance", NULL, 200, "{\"name\":\"x1\",\"kind\":\"numeric\",\"default\":0.5}");
    assert_http(&self, "GET", "/api/status", NULL, 200, "logloss");
    free(large);
    free(many);
    house_close(&self);
}

static void nested_objects_are_dotted_names_and_lists_may_hold_numbers(void **state)
{
    house self;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", BOUNDED);
    tw_column_spec set = {.field = "u.tags", .kind = TW_COLUMN_SET};
    tw_plan_spec spec = {.column = &set, .n_columns = 1};
    tw_desk *desk = NULL;
    assert_int_equal(tw_desk_create(self.served, 4, &desk, NULL), 0);
    assert_int_equal(tw_desk_begin(desk, NULL), 0);
    tw_plan_destroy(&desk->plan);
    assert_int_equal(tw_plan_create(&spec, &desk->plan, NULL), 0);
    tw_desk_row_begin(desk);
    tw_desk_element(desk, "u.tags", 6, "7", 1);
    assert_int_equal(tw_desk_row_end(desk, NULL), 0);
    assert_int_equal(desk->builder->n_entries, 1);
    tw_desk_finish(desk);
    tw_desk_destroy(&desk);
    house_close(&self);
}

static void zeromq_answers_every_operation(void **state)
{
    house self;
    client peer;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", BOUNDED);
    client_open(&peer, &self);
    ask(&peer, "predict", "conformance", four_rows);
    assert_true(is_ok(&peer));
    assert_int_equal(stamp_of(&peer, "n"), 4);
    assert_int_equal(stamp_of(&peer, "version"), 1);
    assert_int_equal(stamp_of(&peer, "events"), learned_events(&self));
    assert_true(score_at(&peer, 0) == score_at(&peer, 1));
    assert_true(isnan(score_at(&peer, 2)));
    assert_false(isnan(score_at(&peer, 3)));
    double alone = score_at(&peer, 0);
    ask(&peer, "predict", NULL, columns);
    assert_true(is_ok(&peer) && score_at(&peer, 0) == alone);
    ask(&peer, "metadata", NULL, NULL);
    assert_true(is_ok(&peer));
    assert_true(tw_value_is_text(tw_value_find(peer.head.value, "learner"), "ftrl"));
    const tw_value *fields = tw_value_find(peer.head.value, "fields");
    assert_int_equal(fields->size, 7);
    const tw_value *first = tw_value_first(fields);
    assert_true(tw_value_is_text(tw_value_find(first, "kind"), "categorical"));
    assert_int_equal(tw_value_find(first, "default")->kind, TW_VALUE_NIL);
    ask(&peer, "status", NULL, NULL);
    assert_true(is_ok(&peer) && tw_value_find(peer.head.value, "scored_events") != NULL);
    client_close(&peer);
    house_close(&self);
}

static void zeromq_refuses_with_a_code_and_goes_on(void **state)
{
    house self;
    client peer;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", BOUNDED);
    client_open(&peer, &self);
    ask(&peer, "predict", "other", columns);
    assert_refused(&peer, "not found");
    ask(&peer, "predict", NULL, NULL);
    assert_refused(&peer, "invalid");
    ask(&peer, "dance", NULL, NULL);
    assert_refused(&peer, "unsupported");
    ask(&peer, "predict", NULL, too_many_dense_rows);
    assert_refused(&peer, "invalid");
    static const char *const heads[] = {"\xc1", "\x93\x01", "\x82\xa1v\x02\xa2op\xa6status", "\x81\xa2op\x07", "\x01"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        assert_true(client_send(&peer, heads[i], strlen(heads[i]), NULL, 0));
        assert_true(client_receive(&peer));
        assert_false(is_ok(&peer));
    }
    ask(&peer, "predict", NULL, columns);
    assert_true(is_ok(&peer));
    client_close(&peer);
    house_close(&self);
}

static void more_dense_rows_than_a_request_may_have_are_refused_unread(void **state)
{
    house self;
    client peer;
    (void)state;
    house_open(&self, "kmeans", "k=3", BOUNDED);
    client_open(&peer, &self);
    ask(&peer, "predict", NULL, too_many_dense_rows);
    assert_refused(&peer, "invalid");
    ask(&peer, "predict", NULL, columns);
    assert_true(is_ok(&peer));
    reply got = http(&self, "POST", predict_path, "{\"instances\": [{\"x0\": 0.5}]}");
    json_t *row = json_array_get(json_object_get(got.json, "predictions"), 0);
    assert_true(json_is_integer(json_object_get(row, "cluster")));
    assert_true(json_number_value(json_object_get(row, "distance")) >= 0);
    reply_free(&got);
    client_close(&peer);
    house_close(&self);
}

static void field_names_of_clients_do_not_stay(void **state)
{
    house self;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", AUTOMATIC);
    tw_desk *desk = NULL;
    char name[600];
    assert_int_equal(tw_desk_create(self.served, 4, &desk, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(tw_desk_begin(desk, NULL), 0);
        tw_desk_row_begin(desk);
        int n = snprintf(name, sizeof name, "%0500d", i);
        tw_desk_number(desk, name, i % 2 ? (size_t)n : sizeof name, 1.0);
        assert_int_equal(tw_desk_row_end(desk, NULL), 0);
        assert_true(tw_plan_n_fields(desk->plan) <= TW_PLAN_MAX_COLUMNS / 2 + 8);
        assert_int_equal(desk->n_bad, i % 2 ? 0 : 1);
        tw_desk_finish(desk);
    }
    tw_desk_destroy(&desk);
    house_close(&self);
}

static void metrics_are_prometheus_text(void **state)
{
    house self;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", BOUNDED);
    assert_http(&self, "POST", predict_path, "{\"instances\": [{\"x0\": 1}]}", 200, "predictions");
    reply got = http(&self, "GET", "/metrics", NULL);
    assert_int_equal(got.code, 200);
    char *save = NULL, name[128], type[128] = "";
    for (char *line = strtok_r((char *)got.body, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char value[64], *end = NULL, labels[512] = "";
        if (sscanf(line, "# TYPE %127s", type) == 1 || line[0] == '#')
            continue;
        if (sscanf(line, "%127[a-z0-9_]{%511[^}]} %63s", name, labels, value) != 3)
            assert_int_equal(sscanf(line, "%127[a-z0-9_] %63s", name, value), 2);
        (void)strtod(value, &end);
        assert_true(end != value && *end == '\0');
        assert_int_equal(strncmp(name, type, strlen(type)), 0);
    }
    reply_free(&got);
    assert_http(&self, "GET", "/metrics", NULL, 200,
        "thalweg_inference_rows_total{model=\"conformance\",protocol=\"http\"} 1\n");
    house_close(&self);
}

static void a_checkpoint_asked_for_is_durable_and_named(void **state)
{
    house self;
    client peer;
    uint64_t *ids = NULL;
    size_t n = 0;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", ENDLESS);
    client_open(&peer, &self);
    house_learn(&self);
    ask(&peer, "checkpoint", NULL, NULL);
    assert_true(is_ok(&peer));
    uint64_t first = stamp_of(&peer, "version");
    assert_int_equal(tw_checkpoint_list(self.line.model_dir, &ids, &n, NULL), 0);
    assert_true(n > 0 && ids[n - 1] >= first);
    assert_http(&self, "POST", "/v1/models/conformance:checkpoint", "", 200, "\"version\":");
    house_end_learning(&self);
    ask(&peer, "checkpoint", NULL, NULL);
    assert_refused(&peer, "unavailable");
    tw_free(ids);
    client_close(&peer);
    house_close(&self);
}

/* --- load ------------------------------------------------------------------------------------------------------- */

typedef struct load {
    house *house;
    atomic_bool *stop;
    uint64_t n_answers, n_wrong;
    double allowed[2]; /* if not NaN: every prediction is one of them, all of one answer the same */
} load;

static void *zmq_load(void *argument)
{
    load *self = argument;
    client peer;
    uint64_t events = 0;
    client_open(&peer, self->house);
    while (!atomic_load(self->stop)) {
        ask(&peer, "predict", NULL, four_rows);
        double a = score_at(&peer, 0), b = score_at(&peer, 1);
        bool is_allowed = isnan(self->allowed[0]) || a == self->allowed[0] || a == self->allowed[1];
        uint64_t now = stamp_of(&peer, "events");
        self->n_wrong +=
            !is_ok(&peer) || !isfinite(a) || a != b || !is_allowed || (isnan(self->allowed[0]) && now < events);
        events = now;
        self->n_answers++;
    }
    client_close(&peer);
    return NULL;
}

static void *http_load(void *argument)
{
    load *self = argument;
    while (!atomic_load(self->stop)) {
        reply got = http(self->house, "POST", predict_path,
            "{\"instances\": [{\"user\": 13, \"x0\": 0.5}, {\"user\": 13, \"x0\": 0.5}]}");
        double a = prediction_at(&got, 0);
        self->n_wrong += got.code != 200 || !isfinite(a) || a != prediction_at(&got, 1);
        self->n_answers++;
        reply_free(&got);
    }
    return NULL;
}

static void run_load(house *self, load *loads, pthread_t *threads, atomic_bool *stop, double a, double b)
{
    for (int i = 0; i < 4; i++) {
        loads[i] = (load){.house = self, .stop = stop, .allowed = {a, b}};
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? http_load : zmq_load, &loads[i]), 0);
    }
}

static void end_load(load *loads, pthread_t *threads, atomic_bool *stop)
{
    atomic_store(stop, true);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(loads[i].n_answers > 0);
        assert_int_equal(loads[i].n_wrong, 0);
    }
}

static void predictions_while_learning_are_finite_and_stamps_only_grow(void **state)
{
    house self;
    load loads[4];
    pthread_t threads[4];
    atomic_bool stop = false;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", ENDLESS);
    house_learn(&self);
    run_load(&self, loads, threads, &stop, (double)NAN, (double)NAN);
    tw_clock_sleep_us(500000);
    end_load(loads, threads, &stop);
    house_end_learning(&self);
    assert_true(tw_engine_run_events(self.line.engine) > 0);
    house_close(&self);
}

static double only_prediction(house *self)
{
    reply got = http(self, "POST", predict_path, "{\"instances\": [{\"user\": 13, \"x0\": 0.5}]}");
    double value = prediction_at(&got, 0);
    reply_free(&got);
    return value;
}

static void swaps_under_load_never_mix_models_and_do_not_starve(void **state)
{
    house self, other;
    load loads[4];
    pthread_t threads[4];
    atomic_bool stop = false;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", BOUNDED);
    house_open(&other, "ftrl", "alpha=0.9", BOUNDED);
    double a = only_prediction(&self), b = only_prediction(&other);
    assert_true(a != b);
    run_load(&self, loads, threads, &stop, a, b);
    int64_t longest_us = 0;
    for (int i = 0; i < 200; i++) {
        int64_t start_us = tw_clock_monotonic_us();
        tw_served_swap(self.served, i % 2 ? self.line.model : other.line.model, false);
        int64_t took_us = tw_clock_monotonic_us() - start_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
        tw_clock_sleep_us(1000);
    }
    end_load(loads, threads, &stop);
    assert_true(longest_us < 2000000);
    house_close(&self);
    house_close(&other);
}

static void a_server_stops_under_load(void **state)
{
    house self;
    client peer;
    tw_packer head = {0};
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", ENDLESS);
    house_learn(&self);
    client_open(&peer, &self);
    tw_pack_map(&head, 1);
    tw_pack_text(&head, "op");
    tw_pack_text(&head, "metadata");
    for (int i = 0; i < 200; i++)
        assert_true(client_send(&peer, head.bytes, head.size, NULL, 0));
    int64_t start_us = tw_clock_monotonic_us();
    tw_server_stop(&self.server);
    assert_true(tw_clock_monotonic_us() - start_us < 5000000);
    tw_packer_fini(&head);
    client_close(&peer);
    house_end_learning(&self);
    house_close(&self);
}

static void a_port_in_use_and_one_off_loopback_are_refused(void **state)
{
    house self;
    (void)state;
    house_open(&self, "ftrl", "alpha=0.1", BOUNDED);
    static const char *const off[] = {"0.0.0.0:0", "192.0.2.1:80", "nohost", "127.0.0.1:99999"};
    tw_server *second = NULL;
    tw_error error = {0};
    tw_server_options options = {.served = self.served, .http_address = tw_server_http_address(self.server)};
    assert_int_equal(tw_server_start(&options, &second, &error), TW_STATUS_UNAVAILABLE);
    assert_non_null(strstr(error.message, tw_server_http_address(self.server)));
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        options.http_address = off[i];
        assert_true(tw_server_start(&options, &second, &error) < 0);
        assert_null(second);
    }
    options.http_address = NULL;
    options.zmq_address = "tcp://0.0.0.0:*";
    assert_int_equal(tw_server_start(&options, &second, &error), TW_STATUS_UNSUPPORTED);
    house_close(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_rows_fail_alone_and_numbers_spell_categories),
        cmocka_unit_test(http_refusals_have_their_codes_and_name_the_place),
        cmocka_unit_test(nested_objects_are_dotted_names_and_lists_may_hold_numbers),
        cmocka_unit_test(zeromq_answers_every_operation),
        cmocka_unit_test(zeromq_refuses_with_a_code_and_goes_on),
        cmocka_unit_test(more_dense_rows_than_a_request_may_have_are_refused_unread),
        cmocka_unit_test(field_names_of_clients_do_not_stay),
        cmocka_unit_test(metrics_are_prometheus_text),
        cmocka_unit_test(a_checkpoint_asked_for_is_durable_and_named),
        cmocka_unit_test(predictions_while_learning_are_finite_and_stamps_only_grow),
        cmocka_unit_test(swaps_under_load_never_mix_models_and_do_not_starve),
        cmocka_unit_test(a_server_stops_under_load),
        cmocka_unit_test(a_port_in_use_and_one_off_loopback_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
