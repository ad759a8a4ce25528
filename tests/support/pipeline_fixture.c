#include "support/pipeline_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "engine/engine_state.h"

#define TW_LEARNER(name) extern const tw_learner_ops tw_learner_##name;
#include "algorithms/learners.def"
#undef TW_LEARNER
#define TW_SOURCE(name) extern const tw_source_ops tw_source_##name;
#include "sources/sources.def"
#undef TW_SOURCE
#define TW_FORMAT(name) extern const tw_format_ops tw_format_##name;
#include "formats/formats.def"
#undef TW_FORMAT
#define TW_TRANSFORM(name) extern const tw_transform_ops tw_transform_##name;
#include "transforms/transforms.def"
#undef TW_TRANSFORM
#define TW_SINK(name) extern const tw_sink_ops tw_sink_##name;
#include "sinks/sinks.def"
#undef TW_SINK
#define TW_SOLVER(name) extern const tw_solver_ops tw_solver_##name;
#include "solvers/solvers.def"
#undef TW_SOLVER

enum { BATCH_EVENTS = 256, HASH_SEED = 7, HASH_BITS = 14 };

const tw_registry *pipeline_registry(void)
{
    static tw_registry registry;
    if (registry.n_learners > 0)
        return &registry;
    tw_error error;
#define TW_LEARNER(name) assert_int_equal(tw_registry_add_learner(&registry, &tw_learner_##name, &error), TW_STATUS_OK);
#include "algorithms/learners.def"
#undef TW_LEARNER
#define TW_SOURCE(name) assert_int_equal(tw_registry_add_source(&registry, &tw_source_##name, &error), TW_STATUS_OK);
#include "sources/sources.def"
#undef TW_SOURCE
#define TW_FORMAT(name) assert_int_equal(tw_registry_add_format(&registry, &tw_format_##name, &error), TW_STATUS_OK);
#include "formats/formats.def"
#undef TW_FORMAT
#define TW_TRANSFORM(name)                                                                                             \
    assert_int_equal(tw_registry_add_transform(&registry, &tw_transform_##name, &error), TW_STATUS_OK);
#include "transforms/transforms.def"
#undef TW_TRANSFORM
#define TW_SINK(name) assert_int_equal(tw_registry_add_sink(&registry, &tw_sink_##name, &error), TW_STATUS_OK);
#include "sinks/sinks.def"
#undef TW_SINK
#define TW_SOLVER(name) assert_int_equal(tw_registry_add_solver(&registry, &tw_solver_##name, &error), TW_STATUS_OK);
#include "solvers/solvers.def"
#undef TW_SOLVER
    return &registry;
}

static const tw_column_spec plain_columns[] = {
    {.field = "id", .kind = TW_COLUMN_CATEGORICAL},
    {.field = "user", .kind = TW_COLUMN_CATEGORICAL},
    {.field = "item", .kind = TW_COLUMN_CATEGORICAL},
    {.field = "x0", .kind = TW_COLUMN_NUMERIC},
    {.field = "x1", .kind = TW_COLUMN_NUMERIC, .has_missing = true, .missing = 0.5},
    {.field = "x2", .kind = TW_COLUMN_NUMERIC},
    {.field = "x3", .kind = TW_COLUMN_NUMERIC},
};
static const tw_column_spec scaled_columns[] = {
    {.field = "id", .kind = TW_COLUMN_CATEGORICAL},
    {.field = "user", .kind = TW_COLUMN_CATEGORICAL},
    {.field = "item", .kind = TW_COLUMN_CATEGORICAL},
    {.field = "x0", .kind = TW_COLUMN_NUMERIC, .is_scaled = true},
    {.field = "x1", .kind = TW_COLUMN_NUMERIC, .has_missing = true, .missing = 0.5, .is_scaled = true},
    {.field = "x2", .kind = TW_COLUMN_NUMERIC},
    {.field = "x3", .kind = TW_COLUMN_NUMERIC, .is_scaled = true},
};
static const tw_cross_spec crosses[] = {{.n_fields = 2, .field = {"user", "item"}}};

static tw_status set_options(tw_option_values *values, const char *text, tw_error *error)
{
    char copy[256], *save = NULL;
    (void)snprintf(copy, sizeof copy, "%s", text != NULL ? text : "");
    tw_status status = TW_STATUS_OK;
    for (char *word = strtok_r(copy, " ", &save); word != NULL && status == TW_STATUS_OK;
         word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        assert_non_null(value);
        *value = '\0';
        status = tw_option_set(values, word, value + 1, error);
    }
    return status;
}

static tw_status open_options(pipeline *self, tw_error *error)
{
    const tw_registry *registry = pipeline_registry();
    const pipeline_setup *setup = &self->setup;
    const tw_learner_ops *learner = tw_registry_learner(registry, setup->learner);
    const tw_format_ops *format = tw_registry_format(registry, setup->format != NULL ? setup->format : "json");
    const tw_source_ops *source = tw_registry_source(registry, "file");
    const tw_sink_ops *sink = tw_registry_sink(registry, "predictions");
    assert_non_null(learner);
    assert_non_null(format);
    tw_status status = tw_option_values_create(learner->options, &self->learner_options, error);
    if (status == TW_STATUS_OK)
        status = set_options(self->learner_options, setup->learner_options, error);
    if (status == TW_STATUS_OK)
        status =
            tw_option_values_create(tw_registry_transform(registry, "standard")->options, &self->scaler_options, error);
    if (status == TW_STATUS_OK)
        status = tw_option_values_create(format->options, &self->format_options, error);
    if (status == TW_STATUS_OK)
        status = set_options(self->format_options, setup->format_options, error);
    if (status == TW_STATUS_OK)
        status = tw_option_values_create(sink->options, &self->sink_options, error);
    if (status == TW_STATUS_OK)
        status = tw_option_set(self->sink_options, "path", self->predictions, error);
    self->sink = (tw_sink_spec){sink, self->sink_options};
    for (size_t i = 0; i < setup->n_paths && status == TW_STATUS_OK; i++) {
        status = tw_option_values_create(source->options, &self->source_options[i], error);
        if (status == TW_STATUS_OK)
            status = tw_option_append(self->source_options[i], "path", setup->path[i], error);
        if (status == TW_STATUS_OK && setup->is_followed[i])
            status = set_options(self->source_options[i], "follow=true poll=1ms", error);
        self->input[i] = (tw_input){source, self->source_options[i], format, self->format_options};
    }
    return status;
}

static tw_status open_model(pipeline *self, tw_error *error)
{
    const pipeline_setup *setup = &self->setup;
    tw_model_spec spec = {
        .name = "conformance",
        .learner = tw_registry_learner(pipeline_registry(), setup->learner),
        .learner_options = self->learner_options,
        .scaler = tw_registry_transform(pipeline_registry(), "standard"),
        .scaler_options = self->scaler_options,
        .plan = {.hash_seed = HASH_SEED},
        .table_kind = setup->is_hashed ? TW_TABLE_HASHED : TW_TABLE_EXACT,
        .bits = HASH_BITS,
        .drift = setup->drift,
    };
    if (!setup->is_automatic) {
        spec.plan.column = setup->is_scaled ? scaled_columns : plain_columns;
        spec.plan.n_columns = sizeof plain_columns / sizeof *plain_columns;
        spec.plan.cross = crosses;
        spec.plan.n_crosses = 1;
        spec.plan.weight_field = "weight";
        spec.plan.time_field = "time";
    }
    return tw_model_create(&spec, &self->model, error);
}

static tw_status open_rows(pipeline *self, tw_error *error)
{
    tw_params *params = NULL;
    const tw_table_spec *spec = tw_model_table_spec(self->model);
    tw_status status = self->setup.n_shards == 0
                           ? tw_local_create(spec, &params, error)
                           : tw_loopback_create(spec, self->setup.n_shards, NULL, &params, &self->loopback, error);
    if (status == TW_STATUS_OK && self->manifest.id != 0)
        status = params->ops->restore(params, self->model_dir, &self->manifest.files, error);
    if (status < 0) {
        if (params != NULL)
            params->ops->close(params);
        return status;
    }
    tw_model_attach(self->model, params);
    if (self->manifest.id != 0)
        tw_model_set_version(self->model, self->manifest.id, self->manifest.created_us);
    return TW_STATUS_OK;
}

static tw_status open_manifest(pipeline *self, tw_error *error)
{
    tw_error skipped = {0};
    if (!self->setup.is_resuming)
        return TW_STATUS_OK;
    tw_status status = tw_checkpoint_read(self->model_dir, 0, &self->manifest, &skipped, error);
    return status == TW_STATUS_NOT_FOUND ? TW_STATUS_OK : status;
}

static tw_status open_engine(pipeline *self, tw_error *error)
{
    static const char *const slices[] = {"user", "x0"};
    const pipeline_setup *setup = &self->setup;
    tw_engine_options options = {
        .model = self->model,
        .is_learning = true,
        .evaluation = {.window = {.events = 37},
            .slice = slices,
            .n_slices = 2,
            .slice_limit = 3,
            .group = "user",
            .group_events = 50,
            .label_delay = setup->label_delay},
        .input = self->input,
        .n_inputs = setup->n_paths,
        .sink = &self->sink,
        .n_sinks = 1,
        .batch_events = setup->batch_events > 0 ? setup->batch_events : BATCH_EVENTS,
        .max_latency_us = 5000,
        .queue_batches = 4,
        .passes = setup->passes > 0 ? setup->passes : 1,
        .rate_per_s = setup->rate_per_s,
        .max_record_bytes = setup->max_record_bytes > 0 ? setup->max_record_bytes : 1 << 24,
        .bad = {.is_stopping = setup->is_stopping_at_bad,
            .limit = setup->bad_limit > 0 ? setup->bad_limit : 1,
            .dead_letter = self->dead},
        .checkpoint = {.directory = setup->has_checkpoints ? self->model_dir : NULL,
            .every_events = setup->checkpoint_every,
            .keep = 3},
        .resume = self->manifest.id != 0 ? &self->manifest : NULL,
        .until_events = setup->until_events,
        .progress = {.every_events = setup->progress_every},
        .listener = setup->listener,
        .listener_context = setup->context,
        .stop = setup->stop,
        .fit = setup->fit,
    };
    return tw_engine_create(&options, &self->engine, error);
}

tw_status pipeline_open(pipeline *self, const pipeline_setup *setup, tw_error *error)
{
    memset(self, 0, sizeof *self);
    self->setup = *setup;
    (void)snprintf(self->predictions, sizeof self->predictions, "%s/predictions.txt", setup->folder);
    (void)snprintf(self->dead, sizeof self->dead, "%s/dead.txt", setup->folder);
    (void)snprintf(self->model_dir, sizeof self->model_dir, "%s/model", setup->folder);
    tw_status status = open_options(self, error);
    if (status == TW_STATUS_OK)
        status = open_manifest(self, error);
    if (status == TW_STATUS_OK)
        status = open_model(self, error);
    if (status == TW_STATUS_OK)
        status = open_rows(self, error);
    if (status == TW_STATUS_OK)
        status = open_engine(self, error);
    if (status < 0)
        pipeline_close(self);
    return status;
}

void pipeline_close(pipeline *self)
{
    tw_engine_destroy(&self->engine);
    tw_model_destroy(&self->model);
    tw_manifest_fini(&self->manifest);
    for (size_t i = 0; i < PIPELINE_MAX_INPUTS; i++)
        tw_option_values_destroy(&self->source_options[i]);
    tw_option_values_destroy(&self->format_options);
    tw_option_values_destroy(&self->sink_options);
    tw_option_values_destroy(&self->scaler_options);
    tw_option_values_destroy(&self->learner_options);
}

tw_builder *pipeline_rows(pipeline *self, const char *text, size_t size, uint32_t max_events)
{
    tw_error error = {0};
    tw_plan *plan = NULL;
    tw_builder *out = NULL;
    const tw_format_ops *format = tw_registry_format(pipeline_registry(), "json");
    void *state = tw_alloc_aligned(64, format->state_size(self->format_options) + 64);
    assert_non_null(state);
    assert_int_equal(tw_model_plan_create(self->model, &plan, &error), TW_STATUS_OK);
    assert_int_equal(tw_model_builder_create(self->model, max_events, &out, &error), TW_STATUS_OK);
    assert_int_equal(format->open(state, self->format_options, plan, tw_host_default(), &error), TW_STATUS_OK);
    tw_builder_reset(out, 1, 0, 0);
    tw_cursor cursor = {.at = text, .end = text + size, .line = 1, .is_final = true};
    assert_true(format->decode(state, &cursor, out, &error) >= 0);
    format->close(state);
    tw_free(state);
    tw_plan_destroy(&plan);
    return out;
}

double *pipeline_predict(pipeline *self, const char *text, size_t size, uint32_t max_events, size_t *n)
{
    tw_error error = {0};
    tw_builder *rows = pipeline_rows(self, text, size, max_events);
    *n = (size_t)rows->n_events * tw_model_traits(self->model)->n_outputs;
    double *out = calloc(*n + 1, sizeof *out);
    assert_non_null(out);
    assert_int_equal(tw_model_predict(self->model, rows, out, NULL, &error), TW_STATUS_OK);
    tw_builder_destroy(&rows);
    return out;
}

/* --- traces ------------------------------------------------------------------------------------------------------- */

typedef struct record_head {
    int64_t block;
    uint64_t key;
    size_t size, at;
} record_head;

typedef struct record_list {
    const tw_schema *schema;
    record_head *head;
    size_t n, capacity;
    unsigned char *bytes;
    size_t size, bytes_capacity;
} record_list;

static tw_status take_record(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    record_list *self = context;
    const tw_record *shape = block < 0 ? &self->schema->row : &self->schema->block[block].record;
    (void)error;
    if (self->n == self->capacity) {
        self->capacity = self->capacity * 2 + 256;
        self->head = realloc(self->head, self->capacity * sizeof *self->head);
    }
    while (self->size + shape->size > self->bytes_capacity) {
        self->bytes_capacity = self->bytes_capacity * 2 + 4096;
        self->bytes = realloc(self->bytes, self->bytes_capacity);
    }
    self->head[self->n++] = (record_head){block, key, shape->size, self->size};
    memcpy(self->bytes + self->size, record, shape->size);
    self->size += shape->size;
    return TW_STATUS_OK;
}

static int head_compare(const void *left, const void *right)
{
    const record_head *a = left, *b = right;
    if (a->block != b->block)
        return a->block < b->block ? -1 : 1;
    return (a->key > b->key) - (a->key < b->key);
}

static void collect_records(pipeline *self, pipeline_trace *out)
{
    tw_error error = {0};
    record_list list = {.schema = &tw_model_traits(self->model)->schema};
    assert_int_equal(tw_model_scan(self->model, take_record, &list, &error), TW_STATUS_OK);
    if (list.n > 0)
        qsort(list.head, list.n, sizeof *list.head, head_compare);
    out->n_records = list.n;
    out->records = malloc(list.size + list.n * 16 + 1);
    assert_non_null(out->records);
    unsigned char *at = out->records;
    for (size_t i = 0; i < list.n; i++) {
        memcpy(at, &list.head[i].block, 8);
        memcpy(at + 8, &list.head[i].key, 8);
        memcpy(at + 16, list.bytes + list.head[i].at, list.head[i].size);
        at += 16 + list.head[i].size;
    }
    out->records_size = (size_t)(at - out->records);
    free(list.head);
    free(list.bytes);
}

void pipeline_collect(pipeline *self, pipeline_trace *out)
{
    memset(out, 0, sizeof *out);
    tw_error error = {0};
    collect_records(self, out);
    const tw_splits *splits = &self->engine->splits;
    for (size_t i = 0; i < splits->count; i++) {
        uint64_t marks[TW_MAX_SHARDS];
        uint32_t n = TW_MAX_SHARDS;
        assert_int_equal(tw_model_marks(self->model, splits->split[i].id, marks, &n, &error), TW_STATUS_OK);
        assert_int_equal(n, 1);
        assert_int_equal(marks[0], splits->split[i].offset);
        out->marks = tw_mix64(out->marks ^ tw_mix64(splits->split[i].id) ^ marks[0]);
        out->marks = tw_mix64(out->marks ^ splits->split[i].line);
    }
    tw_engine_report(self->engine, false, &out->report);
    out->predictions = read_whole(self->predictions, &out->predictions_size);
    out->dead = read_whole(self->dead, &out->dead_size);
}

void pipeline_trace_free(pipeline_trace *self)
{
    free(self->records);
    free(self->predictions);
    free(self->dead);
    memset(self, 0, sizeof *self);
}

/* Figures are doubles and counts: unknown ones are the same NaN. */
static bool is_same_metrics(const tw_report *a, const tw_report *b)
{
    return a->events == b->events && a->bad_events == b->bad_events && a->bytes == b->bytes &&
           memcmp(&a->figures, &b->figures, sizeof a->figures) == 0 &&
           memcmp(&a->window, &b->window, sizeof a->window) == 0;
}

static bool is_same_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

const char *pipeline_trace_difference(const pipeline_trace *a, const pipeline_trace *b, unsigned parts)
{
    if (parts & TRACE_ROWS && !is_same_bytes(a->records, a->records_size, b->records, b->records_size))
        return "rows and blocks";
    if (parts & TRACE_PREDICTIONS &&
        !is_same_bytes(a->predictions, a->predictions_size, b->predictions, b->predictions_size))
        return "predictions file";
    if (parts & TRACE_DEAD && !is_same_bytes(a->dead, a->dead_size, b->dead, b->dead_size))
        return "dead-letter file";
    if (parts & TRACE_METRICS && !is_same_metrics(&a->report, &b->report))
        return "metrics";
    if (parts & TRACE_MARKS && a->marks != b->marks)
        return "marks";
    return NULL;
}

void pipeline_run(const pipeline_setup *setup, pipeline_trace *out)
{
    pipeline self;
    tw_error error = {0};
    tw_status status = pipeline_open(&self, setup, &error);
    if (status == TW_STATUS_OK)
        status = tw_engine_run(self.engine, &error);
    if (status < 0)
        print_error("%s: %s:%llu: %s\n", setup->learner, error.file, (unsigned long long)error.line, error.message);
    assert_int_equal(status, TW_STATUS_OK);
    if (out != NULL)
        pipeline_collect(&self, out);
    pipeline_close(&self);
}

/* --- folders and files -------------------------------------------------------------------------------------------- */

void make_folder(char folder[PIPELINE_PATH_SIZE])
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(folder, PIPELINE_PATH_SIZE, "%s/tw_pipeline_XXXXXX", base);
    assert_non_null(mkdtemp(folder));
}

void remove_folder(const char *folder)
{
    char command[PIPELINE_PATH_SIZE + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

void make_subfolder(const char *folder, const char *name, char out[PIPELINE_PATH_SIZE])
{
    assert_true(snprintf(out, PIPELINE_PATH_SIZE, "%s/%s", folder, name) < PIPELINE_PATH_SIZE);
    tw_names names = {0};
    char path[2 * PIPELINE_PATH_SIZE + 8];
    const char *inside[] = {"/model", ""};
    for (size_t i = 0; i < 2; i++) {
        char directory[PIPELINE_PATH_SIZE + 8];
        (void)snprintf(directory, sizeof directory, "%s%s", out, inside[i]);
        if (access(directory, F_OK) != 0)
            continue;
        assert_int_equal(tw_directory_list(directory, &names, NULL), TW_STATUS_OK);
        for (size_t k = 0; k < names.count; k++) {
            (void)snprintf(path, sizeof path, "%s/%s", directory, names.name[k]);
            (void)unlink(path);
        }
        tw_names_free(&names);
        (void)rmdir(directory);
    }
    assert_int_equal(mkdir(out, 0755), 0);
}

char *read_whole(const char *path, size_t *size)
{
    *size = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long length = ftell(file);
    rewind(file);
    char *out = malloc((size_t)length + 1);
    assert_non_null(out);
    *size = fread(out, 1, (size_t)length, file);
    out[*size] = '\0';
    assert_int_equal(fclose(file), 0);
    return out;
}

void write_bytes(const char *path, const char *mode, const char *bytes, size_t size)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static double unit(uint64_t *state)
{
    *state = tw_mix64(*state + 0x9e3779b97f4a7c15ull);
    return (double)(*state >> 11) / 9007199254740992.0;
}

static int make_event(char *at, uint64_t *random, uint32_t index)
{
    static const char *const weights[] = {"", "", "", "", ",\"weight\":0", ",\"weight\":0.5", ",\"weight\":2"};
    unsigned user = (unsigned)(unit(random) * 40), item = (unsigned)(unit(random) * 15);
    double x[4];
    for (int i = 0; i < 4; i++)
        x[i] = (unit(random) - 0.5) * (i == 3 ? 2000 : 4);
    double margin = x[0] - x[2] + (user % 3 == 0 ? 1.5 : -0.8) + (item == 4 ? 2 : 0);
    int label = unit(random) < 1 / (1 + exp(-margin));
    char middle[32] = "";
    if (unit(random) > 0.2)
        (void)snprintf(middle, sizeof middle, "\"x1\":%.6g,", x[1]);
    const char *weight = weights[(size_t)(unit(random) * 7)];
    char time[40] = "";
    if (index % 11 != 5)
        (void)snprintf(time, sizeof time, "\"time\":%u,", 1700000000 + index * 10 - index % 7 * 15);
    return sprintf(at,
        "{\"id\":\"e%u\",%s\"user\":\"u%u\",\"item\":\"i%u\",\"x0\":%.6g,%s\"x2\":%.6g,\"x3\":%.6g,\"label\":%d%s}%s\n",
        index, time, user, item, x[0], middle, x[2], x[3], label, weight, unit(random) < 0.02 ? "\n" : "");
}

char *make_log(uint64_t seed, uint32_t n, uint32_t n_bad, size_t *size)
{
    static const char *const bad[] = {"{\"user\":\"u1\",\"label\":maybe}\n", "not json\n",
        "{\"label\":1,\"x0\":1e999}\n", "{\"user\":\"u2\",\"x0\":1,\"label\":\n"};
    char *out = malloc((size_t)n * 224 + (size_t)n_bad * 64 + 64), *at = out;
    assert_non_null(out);
    uint64_t random = tw_mix64(seed);
    for (uint32_t i = 0; i < n; i++) {
        if (n_bad > 0 && unit(&random) < (double)n_bad / n) {
            const char *line = bad[(size_t)(unit(&random) * 4)];
            at += sprintf(at, "%s", line);
        }
        at += make_event(at, &random, i);
    }
    *size = (size_t)(at - out);
    return out;
}

void write_log(const char *path, uint64_t seed, uint32_t n, uint32_t n_bad)
{
    size_t size = 0;
    char *log = make_log(seed, n, n_bad, &size);
    write_bytes(path, "wb", log, size);
    free(log);
}

tw_dataset pipeline_dataset(pipeline *self, const char *path)
{
    tw_dataset data;
    tw_dataset_options options = {.model = self->model,
        .input = self->input,
        .n_inputs = 1,
        .max_record_bytes = 1 << 20,
        .path = path,
        .is_temporary = true};
    assert_int_equal(tw_dataset_open(&options, &data, NULL), TW_STATUS_OK);
    return data;
}
