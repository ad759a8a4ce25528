/* Decoded events in a file: what is in them, when they are used again, and what happens when something fails. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "engine/dataset_file.h"
#include "support/pipeline_fixture.h"

enum { N_EVENTS = 3000, N_BAD = 20 };

typedef struct fixture {
    char folder[PIPELINE_PATH_SIZE], log[PIPELINE_PATH_SIZE + 16], cache[PIPELINE_PATH_SIZE + 16];
    pipeline_setup setup;
    pipeline run;
} fixture;

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    make_folder(self->folder);
    (void)snprintf(self->log, sizeof self->log, "%s/log", self->folder);
    (void)snprintf(self->cache, sizeof self->cache, "%s/cache", self->folder);
    write_log(self->log, 11, N_EVENTS, N_BAD);
    self->setup = (pipeline_setup){.learner = "ftrl", .path = {self->log}, .n_paths = 1, .folder = self->folder};
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    fixture *self = *state;
    pipeline_close(&self->run);
    remove_folder(self->folder);
    free(self);
    return 0;
}

static void open_run(fixture *self)
{
    tw_error error = {0};
    pipeline_close(&self->run);
    if (pipeline_open(&self->run, &self->setup, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
}

static tw_dataset_options options_of(const fixture *self)
{
    return (tw_dataset_options){
        .model = self->run.model,
        .input = self->run.input,
        .n_inputs = self->setup.n_paths,
        .max_record_bytes = 1 << 20,
        .fingerprint = 7,
        .path = self->cache,
    };
}

static void open_good(const tw_dataset_options *options, tw_dataset *out)
{
    tw_error error = {0};
    if (tw_dataset_open(options, out, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
}

/* --- content ---------------------------------------------------------------------------------------------------- */

/* All events by the reader, in one batch. */
static tw_builder *read_all(fixture *self)
{
    tw_plan *plan = NULL;
    tw_reader *reader = NULL;
    tw_builder *batch = NULL;
    assert_int_equal(tw_model_plan_create(self->run.model, &plan, NULL), TW_STATUS_OK);
    assert_int_equal(tw_model_builder_create(self->run.model, 2 * N_EVENTS, &batch, NULL), TW_STATUS_OK);
    tw_reader_options options = {.input = self->run.input,
        .n_inputs = 1,
        .passes = 1,
        .max_latency_us = 10000000,
        .max_record_bytes = 1 << 20,
        .plan = plan};
    assert_int_equal(tw_reader_create(&options, NULL, 0, 0, &reader, NULL), TW_STATUS_OK);
    tw_work work = {.builder = batch};
    assert_int_equal(tw_reader_next(reader, &work, 1000, NULL), TW_STATUS_OK);
    tw_reader_destroy(&reader);
    tw_plan_destroy(&plan);
    return batch;
}

/* Compares event `at` of the dataset with event `from` of the batch; values by the index of their field's mean. */
static void compare_event(const tw_dataset *data, uint64_t at, const tw_builder *batch, uint32_t from)
{
    tw_dataset_batch one = {0};
    assert_int_equal(tw_dataset_gather(data, &at, 1, &one, NULL), TW_STATUS_OK);
    uint32_t first = batch->row_start[from], n = batch->row_start[from + 1] - first;
    assert_int_equal(one.view.n_entries, n);
    assert_memory_equal(one.view.key, batch->key + first, n * sizeof *batch->key);
    assert_memory_equal(one.view.value, batch->value + first, n * sizeof *batch->value);
    assert_memory_equal(one.view.field, batch->field + first, n * sizeof *batch->field);
    assert_memory_equal(one.view.label, batch->label + from, sizeof(float));
    assert_memory_equal(one.view.weight, batch->weight + from, sizeof(float));
    assert_true(one.view.time_us[0] == batch->time_us[from]);
    tw_dataset_batch_fini(&one);
}

static void the_matrix_holds_the_events_that_can_be_learned_in_order(void **state)
{
    fixture *self = *state;
    tw_dataset data;
    open_run(self);
    tw_dataset_options options = options_of(self);
    open_good(&options, &data);
    tw_builder *batch = read_all(self);
    uint64_t n = 0;
    for (uint32_t i = 0; i < batch->n_events; i++) {
        if (batch->weight[i] > 0)
            compare_event(&data, n++, batch, i);
    }
    assert_int_equal(data.matrix.n_events, n);
    assert_true(n < batch->n_events); /* some have weight 0 */
    assert_int_equal(data.events, batch->n_events);
    assert_int_equal(data.bad_events, batch->n_bad);
    assert_int_equal(data.n_splits, 1);
    assert_true(data.split[0].is_done);
    assert_int_equal(data.split[0].offset, batch->to);
    assert_int_equal(data.split[0].line, batch->line);
    assert_false(data.is_reused);
    tw_builder_destroy(&batch);
    tw_dataset_close(&data);
}

static void columns_are_the_distinct_keys_with_their_largest_values(void **state)
{
    fixture *self = *state;
    tw_dataset data;
    open_run(self);
    tw_dataset_options options = options_of(self);
    open_good(&options, &data);
    const tw_matrix *m = &data.matrix;
    float *largest = calloc(m->n_columns, sizeof *largest);
    for (uint64_t e = 0; e < m->n_entries; e++)
        largest[m->column[e]] = fmaxf(largest[m->column[e]], fabsf(m->value[e]));
    for (uint32_t c = 0; c < m->n_columns; c++) {
        assert_true(c == 0 || data.key[c - 1] < data.key[c]);
        assert_true(largest[c] == data.largest[c]);
    }
    free(largest);
    tw_dataset_close(&data);
}

static void scaled_values_are_those_of_the_final_sums(void **state)
{
    fixture *self = *state;
    tw_dataset data;
    double sum[64] = {0}, squares[64] = {0}, n[64] = {0};
    self->setup.is_scaled = true;
    open_run(self);
    uint32_t n_fields = 0;
    tw_plan *plan = NULL;
    assert_int_equal(tw_model_plan_create(self->run.model, &plan, NULL), TW_STATUS_OK);
    const uint16_t *fields = tw_plan_scaled(plan, &n_fields);
    assert_int_equal(n_fields, 3);
    tw_dataset_options options = options_of(self);
    open_good(&options, &data);
    tw_builder *batch = read_all(self);
    for (uint32_t e = 0; e < batch->n_entries; e++) {
        double x = (double)batch->value[e];
        assert_true(batch->field[e] < 64);
        n[batch->field[e]]++;
        sum[batch->field[e]] += x;
        squares[batch->field[e]] += x * x;
    }
    uint64_t entry = 0, checked = 0;
    for (uint32_t i = 0; i < batch->n_events; i++) {
        if (!(batch->weight[i] > 0))
            continue;
        for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++, entry++) {
            uint16_t f = batch->field[e];
            bool is_scaled = f == fields[0] || f == fields[1] || f == fields[2];
            double mean = sum[f] / n[f], deviation = sqrt(squares[f] / n[f] - mean * mean);
            double wanted = is_scaled ? ((double)batch->value[e] - mean) / deviation : (double)batch->value[e];
            assert_true(fabs((double)data.matrix.value[entry] - wanted) < 1e-4);
            checked += is_scaled;
        }
    }
    assert_true(checked > N_EVENTS);
    tw_plan_destroy(&plan);
    tw_builder_destroy(&batch);
    tw_dataset_close(&data);
}

static void keys_that_share_a_row_of_a_hashed_table_are_one_column(void **state)
{
    fixture *self = *state;
    tw_dataset exact, hashed;
    open_run(self);
    tw_dataset_options options = options_of(self);
    open_good(&options, &exact);
    self->setup.is_hashed = true;
    open_run(self);
    options = options_of(self);
    open_good(&options, &hashed);
    uint32_t bits = tw_model_table_spec(self->run.model)->bits;
    assert_false(hashed.is_reused);
    assert_true(hashed.matrix.n_columns < exact.matrix.n_columns);
    for (uint64_t e = 0; e < exact.matrix.n_entries; e++)
        assert_true(
            exact.key[exact.matrix.column[e]] >> (64 - bits) == hashed.key[hashed.matrix.column[e]] >> (64 - bits));
    for (uint32_t c = 1; c < hashed.matrix.n_columns; c++)
        assert_true(hashed.key[c - 1] >> (64 - bits) != hashed.key[c] >> (64 - bits));
    tw_dataset_close(&exact);
    tw_dataset_close(&hashed);
}

static void clustering_data_has_dense_rows_and_no_labels(void **state)
{
    fixture *self = *state;
    tw_dataset data;
    self->setup.learner = "kmeans";
    self->setup.learner_options = "k=3 init=first";
    open_run(self);
    tw_dataset_options options = options_of(self);
    open_good(&options, &data);
    tw_builder *batch = read_all(self);
    assert_null(data.matrix.label);
    assert_int_equal(data.matrix.dense_width, batch->dense_width);
    uint64_t n = 0;
    for (uint32_t i = 0; i < batch->n_events; i++) {
        if (batch->weight[i] > 0)
            assert_memory_equal(data.matrix.dense + n++ * batch->dense_width,
                batch->dense + (size_t)i * batch->dense_width, batch->dense_width * sizeof(float));
    }
    assert_true(n > 0);
    tw_builder_destroy(&batch);
    tw_dataset_close(&data);
}

/* --- the file --------------------------------------------------------------------------------------------------- */

static void the_file_is_used_again_for_the_same_inputs_only(void **state)
{
    fixture *self = *state;
    tw_dataset first, again;
    open_run(self);
    tw_dataset_options options = options_of(self);
    open_good(&options, &first);
    open_good(&options, &again);
    assert_true(again.is_reused);
    assert_int_equal(again.checksum, first.checksum);
    assert_int_equal(again.events, first.events);
    assert_int_equal(again.bad_events, first.bad_events);
    tw_dataset_close(&again);
    options.fingerprint = 8;
    open_good(&options, &again);
    assert_false(again.is_reused);
    tw_dataset_close(&again);
    write_bytes(self->log, "ab", "{\"user\":\"u1\",\"label\":1}\n", 24);
    open_good(&options, &again);
    assert_false(again.is_reused);
    assert_int_equal(again.events, first.events + 1);
    tw_dataset_close(&again);
    options.wants_bad_records = true;
    open_good(&options, &again);
    assert_false(again.is_reused);
    tw_dataset_close(&again);
    tw_dataset_close(&first);
}

static void a_temporary_file_has_no_name(void **state)
{
    fixture *self = *state;
    tw_dataset data;
    tw_names names = {0};
    open_run(self);
    tw_dataset_options options = options_of(self);
    options.is_temporary = true;
    open_good(&options, &data);
    assert_int_equal(tw_directory_list(self->folder, &names, NULL), TW_STATUS_OK);
    for (size_t i = 0; i < names.count; i++)
        assert_null(strstr(names.name[i], "cache"));
    tw_names_free(&names);
    assert_true(data.matrix.n_entries > 0);
    tw_dataset_close(&data);
}

/* Every byte of the header, then bytes spread over the rest; and every kind of cut. */
static void a_damaged_file_is_made_again(void **state)
{
    fixture *self = *state;
    tw_dataset whole, again;
    size_t size = 0;
    open_run(self);
    tw_dataset_options options = options_of(self);
    open_good(&options, &whole);
    uint64_t checksum = whole.checksum;
    tw_dataset_close(&whole);
    char *bytes = read_whole(self->cache, &size);
    const size_t header = sizeof(dataset_header);
    for (size_t at = 0; at < size; at += at < header ? 1 : 1 + size / 200) {
        bytes[at] ^= 0x20;
        write_bytes(self->cache, "wb", bytes, size);
        bytes[at] ^= 0x20;
        open_good(&options, &again);
        bool is_padding = again.is_reused;
        assert_int_equal(again.checksum, checksum);
        assert_true(!is_padding || at >= header);
        tw_dataset_close(&again);
    }
    for (size_t kept = 0; kept < size; kept += kept < 600 ? 37 : 1 + size / 20) {
        write_bytes(self->cache, "wb", bytes, kept);
        open_good(&options, &again);
        assert_false(again.is_reused);
        assert_int_equal(again.checksum, checksum);
        tw_dataset_close(&again);
    }
    free(bytes);
}

static void a_file_of_something_else_is_refused_and_left(void **state)
{
    fixture *self = *state;
    const char text[] = "1 1:2 7:0.5\n";
    tw_error error = {0};
    tw_dataset data;
    size_t size = 0;
    open_run(self);
    tw_dataset_options options = options_of(self);
    write_bytes(self->cache, "wb", text, sizeof text - 1);
    assert_int_equal(tw_dataset_open(&options, &data, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "not a file of decoded events"));
    char *bytes = read_whole(self->cache, &size);
    assert_int_equal(size, sizeof text - 1);
    assert_memory_equal(bytes, text, size);
    free(bytes);
    tw_dataset_close(&data);
}

static void nothing_is_left_behind_by_a_failure(const fixture *self, bool has_cache)
{
    tw_names names = {0};
    assert_int_equal(tw_directory_list(self->folder, &names, NULL), TW_STATUS_OK);
    for (size_t i = 0; i < names.count; i++)
        assert_true(strncmp(names.name[i], "cache", 5) != 0 || (has_cache && strcmp(names.name[i], "cache") == 0));
    tw_names_free(&names);
}

static void every_failing_call_is_reported_and_leaves_nothing(void **state)
{
    fixture *self = *state;
    self->setup.is_scaled = true;
    open_run(self);
    tw_dataset_options options = options_of(self);
    for (int kind = TW_FAULT_ALLOC; kind <= TW_FAULT_FILE; kind++) {
        uint64_t n_fired = 0;
        bool has_failed = true;
        for (uint64_t nth = 1; has_failed; nth++) {
            tw_dataset data;
            tw_error error = {0};
            (void)!tw_file_remove(self->cache, NULL);
            tw_fault_arm((tw_fault_kind)kind, nth, kind == TW_FAULT_FILE ? ENOSPC : ENOMEM, false);
            tw_status status = tw_dataset_open(&options, &data, &error);
            has_failed = tw_fault_fired((tw_fault_kind)kind) > 0;
            tw_fault_disarm((tw_fault_kind)kind);
            n_fired += has_failed;
            assert_true(has_failed || status == TW_STATUS_OK);
            assert_true(status == TW_STATUS_OK || error.message[0] != '\0');
            assert_true(status != TW_STATUS_OK || data.matrix.n_events > 0);
            nothing_is_left_behind_by_a_failure(self, true);
            tw_dataset_close(&data);
        }
        printf("%llu failure points of kind %d\n", (unsigned long long)n_fired, kind);
        assert_true(n_fired > 20);
    }
}

static void a_stop_ends_the_making(void **state)
{
    fixture *self = *state;
    tw_dataset data;
    atomic_bool stop = true;
    open_run(self);
    tw_dataset_options options = options_of(self);
    options.stop = &stop;
    assert_int_equal(tw_dataset_open(&options, &data, NULL), TW_STATUS_CANCELLED);
    nothing_is_left_behind_by_a_failure(self, false);
    tw_dataset_close(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_matrix_holds_the_events_that_can_be_learned_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_are_the_distinct_keys_with_their_largest_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scaled_values_are_those_of_the_final_sums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_that_share_a_row_of_a_hashed_table_are_one_column, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clustering_data_has_dense_rows_and_no_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_is_used_again_for_the_same_inputs_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_temporary_file_has_no_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_of_something_else_is_refused_and_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_failing_call_is_reported_and_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_ends_the_making, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
