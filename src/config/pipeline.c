#include "config/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/bind.h"
#include "config/checks.h"

static bool is_word(const tw_option_values *values, const char *option, const char *word)
{
    const char *text = tw_option_has(values, option) ? tw_option_text(values, option) : NULL;
    return text != NULL && strcmp(text, word) == 0;
}

static tw_status make_array(void *out, size_t count, size_t size, tw_error *error)
{
    void *memory = tw_alloc_zero((count + 1) * size);
    if (memory == NULL)
        return tw_no_memory(error, (count + 1) * size);
    memcpy(out, &memory, sizeof memory);
    return TW_STATUS_OK;
}

static tw_status fill_texts(const tw_option_values *values, const char *option, tw_text_list *out, tw_error *error)
{
    size_t count = tw_option_count(values, option);
    tw_status status = make_array(&out->item, count, sizeof *out->item, error);
    for (size_t i = 0; i < count && status == TW_STATUS_OK; i++)
        out->item[out->count++] = tw_option_item(values, option, i);
    return status;
}

static uint32_t small(const tw_option_values *values, const char *option)
{
    return tw_option_has(values, option) ? (uint32_t)tw_option_int(values, option) : 0;
}

static void fill_source(const tw_bound *from, const tw_bound *first, tw_pipeline_source *out)
{
    static const char *const units[] = {"s", "ms", "us", "iso8601"};
    out->type = tw_option_text(from->values, "type");
    out->options = from->plugin;
    out->is_endless = tw_check_follows(from);
    out->events_per_s = 0.0;
    if (tw_option_has(from->values, "rate"))
        (void)tw_check_rate(tw_option_text(from->values, "rate"), &out->events_per_s);
    /* In a sequence the first source's keys stand for those that a later one leaves out. */
    const tw_bound *part = tw_bound_map(tw_bound_child_of(from, "format")->node != NULL ? from : first, "format");
    out->format = tw_option_text(part->values, "type");
    out->format_options = part->plugin;
    part = tw_bound_map(tw_bound_child_of(from, "time")->node != NULL ? from : first, "time");
    out->time_field = tw_option_text(part->values, "field");
    for (int i = 0; i < 4; i++) {
        if (is_word(part->values, "unit", units[i]))
            out->time_unit = (tw_pipeline_time_unit)i;
    }
    part = tw_bound_map(tw_bound_child_of(from, "bad_records")->node != NULL ? from : first, "bad_records");
    out->is_bad_fatal = is_word(part->values, "action", "stop");
    out->bad_limit = tw_option_real(part->values, "limit");
    out->dead_letter = tw_option_text(part->values, "dead_letter");
}

static tw_status fill_sources(tw_pipeline *self, tw_error *error)
{
    const tw_bound_child *sources = tw_bound_child_of(self->bound, "source");
    tw_status status = make_array(&self->source, sources->n_items, sizeof *self->source, error);
    for (size_t i = 0; i < sources->n_items && status == TW_STATUS_OK; i++)
        fill_source(sources->item[i], sources->item[0], &self->source[self->n_sources++]);
    return status;
}

static void fill_column(const tw_option_values *from, bool is_scaled_default, tw_pipeline_column *out)
{
    static const char *const kinds[] = {"numeric", "categorical", "set", "constant", "ignore"};
    for (int i = 0; i < 5; i++) {
        if (is_word(from, "as", kinds[i]))
            out->kind = (tw_pipeline_column_kind)i;
    }
    out->field = tw_option_text(from, "field");
    out->is_log1p = is_word(from, "transform", "log1p");
    bool is_default = out->kind == TW_PIPELINE_NUMERIC && is_scaled_default && !tw_option_is_given(from, "scale");
    out->is_scaled = is_word(from, "scale", "standard") || is_default;
    out->has_missing = tw_option_has(from, "missing");
    out->missing = out->has_missing ? tw_option_real(from, "missing") : 0.0;
    out->separator = '\0';
    if (tw_option_has(from, "separator"))
        out->separator = tw_option_text(from, "separator")[0];
}

static void fill_crosses(tw_pipeline *self, const tw_node *lists)
{
    for (size_t i = 0; lists != NULL && i < lists->count; i++) {
        const tw_node *words = lists->entry[i].node;
        tw_pipeline_cross *cross = &self->cross[self->n_crosses++];
        for (size_t k = 0; k < words->count && k < TW_PIPELINE_MAX_CROSS_FIELDS; k++)
            cross->field[cross->n_fields++] = words->entry[k].node->text;
    }
}

static tw_status fill_features(tw_pipeline *self, tw_error *error)
{
    const tw_bound *from = tw_bound_map(self->bound, "features");
    self->hash_seed = (uint64_t)tw_option_int(tw_bound_map(from, "hash")->values, "seed");
    self->is_scaled_default = is_word(from->values, "scale", "standard");
    self->is_dense = tw_option_bool(from->values, "dense");
    self->dense_width = small(from->values, "dims");
    const tw_bound_child *columns = tw_bound_child_of(from, "columns");
    tw_status status = fill_texts(from->values, "missing_values", &self->missing_values, error);
    if (status == TW_STATUS_OK)
        status = make_array(&self->column, columns->n_items, sizeof *self->column, error);
    for (size_t i = 0; i < columns->n_items && status == TW_STATUS_OK; i++)
        fill_column(columns->item[i]->values, self->is_scaled_default, &self->column[self->n_columns++]);
    const tw_node *crosses = tw_bound_child_of(from, "crosses")->node;
    if (status == TW_STATUS_OK)
        status = make_array(&self->cross, crosses != NULL ? crosses->count : 0, sizeof *self->cross, error);
    if (status == TW_STATUS_OK)
        fill_crosses(self, crosses);
    return status;
}

/* features.hash.bits and model.bits imply a hashed table: the resolved form must say so. */
static tw_status settle_table(tw_pipeline *self, tw_error *error)
{
    const tw_bound *model = tw_bound_map(self->bound, "model");
    const tw_bound *hash = tw_bound_map(tw_bound_map(self->bound, "features"), "hash");
    uint32_t bits = small(model->values, "bits");
    if (bits == 0)
        bits = small(hash->values, "bits");
    self->is_hashed = bits != 0 || is_word(model->values, "table", "hashed");
    self->bits = self->is_hashed && bits == 0 ? TW_PIPELINE_DEFAULT_BITS : bits;
    if (!self->is_hashed)
        return TW_STATUS_OK;
    char number[16];
    (void)snprintf(number, sizeof number, "%u", self->bits);
    tw_status status = tw_option_set(model->values, "table", "hashed", error);
    return status == TW_STATUS_OK ? tw_option_set(model->values, "bits", number, error) : status;
}

static void fill_keep(const tw_bound *model, tw_keep *out)
{
    const tw_option_values *admission = tw_bound_map(model, "admission")->values;
    const tw_option_values *expiry = tw_bound_map(model, "expiry")->values;
    if (tw_option_has(admission, "count"))
        out->admit_count = (uint32_t)tw_option_int(admission, "count");
    if (tw_option_has(admission, "probability"))
        out->admit_probability = tw_option_real(admission, "probability");
    if (tw_option_has(admission, "memory"))
        out->admit_bytes = (uint64_t)tw_option_int(admission, "memory");
    if (tw_option_has(expiry, "after"))
        out->expire_after = (uint64_t)tw_option_int(expiry, "after");
    out->evicts = tw_option_has(model->values, "evict") && is_word(model->values, "evict", "oldest");
}

static tw_status fill_model(tw_pipeline *self, tw_error *error)
{
    const tw_bound *label = tw_bound_map(self->bound, "label"), *model = tw_bound_map(self->bound, "model");
    self->label_field = tw_option_text(label->values, "field");
    self->weight_field = tw_option_text(label->values, "weight");
    self->learner = tw_option_text(model->values, "type");
    self->learner_options = tw_bound_child_of(model, "params")->params;
    self->max_bytes = (uint64_t)tw_option_int(model->values, "max_bytes");
    fill_keep(model, &self->keep);
    tw_status status = settle_table(self, error);
    return status == TW_STATUS_OK ? fill_texts(label->values, "positive", &self->positive, error) : status;
}

static void fill_drift(const tw_option_values *from, tw_pipeline_drift *out)
{
    static const char *const detectors[] = {"none", "adwin", "page_hinkley"};
    for (int i = 0; i < 3; i++) {
        if (is_word(from, "detector", detectors[i]))
            out->detector = (tw_pipeline_detector)i;
    }
    double fallback = out->detector == TW_PIPELINE_PAGE_HINKLEY ? 0.005 : 0.002;
    out->is_of_error = is_word(from, "of", "error");
    out->delta = tw_option_has(from, "delta") ? tw_option_real(from, "delta") : fallback;
    out->threshold = tw_option_real(from, "threshold");
    out->alpha = tw_option_real(from, "alpha");
    out->min_events = (uint64_t)tw_option_int(from, "min_events");
    out->is_forgetting = is_word(from, "action", "forget");
    out->half_lives = tw_option_real(from, "half_lives");
}

/* A named solver implies mode batch: the resolved form must say so. */
static tw_status fill_train(tw_pipeline *self, tw_error *error)
{
    const tw_bound *train = tw_bound_map(self->bound, "train");
    self->solver = tw_option_text(train->values, "solver");
    self->solver_options = tw_bound_child_of(train, "params")->params;
    self->cache = tw_option_text(train->values, "cache");
    self->holdout = tw_option_has(train->values, "holdout") ? tw_option_real(train->values, "holdout") : 0.1;
    self->early_stop = tw_option_has(train->values, "early_stop") ? small(train->values, "early_stop") : 3;
    self->is_shuffled = tw_option_has(train->values, "shuffle_seed");
    self->shuffle_seed = self->is_shuffled ? (uint64_t)tw_option_int(train->values, "shuffle_seed") : 0;
    self->passes = small(train->values, "passes");
    bool has_mode = tw_option_is_given(train->values, "mode");
    self->is_batch = is_word(train->values, "mode", "batch");
    if (has_mode || !tw_option_is_given(train->values, "solver"))
        return TW_STATUS_OK;
    self->is_batch = true;
    return tw_option_set(train->values, "mode", "batch", error);
}

static void fill_publish(tw_pipeline *self)
{
    const tw_option_values *from = tw_bound_map(tw_bound_map(self->bound, "publish"), "require")->values;
    for (const tw_option *option = tw_option_table(from); option->name != NULL; option++) {
        if (option->type != TW_OPTION_TEXT || !tw_option_has(from, option->name) ||
            self->n_required == TW_PIPELINE_MAX_REQUIREMENTS)
            continue;
        tw_pipeline_requirement *requirement = &self->require[self->n_required];
        requirement->figure = option->name;
        self->n_required += tw_limit_parse(tw_option_text(from, option->name), &requirement->limit);
    }
    self->require_over = small(from, "over");
}

static tw_status fill_run(tw_pipeline *self, tw_error *error)
{
    const tw_option_values *servers = tw_bound_map(self->bound, "parameter_servers")->values;
    const tw_bound *checkpoint = tw_bound_map(self->bound, "checkpoint");
    const tw_option_values *every = tw_bound_map(checkpoint, "every")->values;
    const tw_option_values *evaluate = tw_bound_map(self->bound, "evaluate")->values;
    const tw_option_values *serve = tw_bound_map(self->bound, "serve")->values;
    const tw_option_values *engine = tw_bound_map(self->bound, "engine")->values;
    self->name = tw_option_text(self->bound->values, "name");
    self->workers = small(self->bound->values, "workers");
    self->shards = small(servers, "shards");
    self->standby = is_word(servers, "standby", "sync")    ? TW_PIPELINE_STANDBY_SYNC
                    : is_word(servers, "standby", "async") ? TW_PIPELINE_STANDBY_ASYNC
                                                           : TW_PIPELINE_NO_STANDBY;
    self->shard_timeout_us = tw_option_int(servers, "timeout");
    (void)tw_check_staleness(tw_option_text(servers, "staleness"), &self->staleness);
    self->is_flight_free = strcmp(tw_option_text(servers, "flight"), "none") == 0;
    self->stripe_bytes = (uint64_t)tw_option_int(servers, "stripe");
    const tw_option_values *security = tw_bound_map(tw_bound_map(self->bound, "parameter_servers"), "security")->values;
    self->shard_key = tw_option_text(security, "key");
    self->shard_server_key = tw_option_text(security, "server_key");
    self->is_insecure = tw_option_bool(security, "insecure");
    self->checkpoint_dir = tw_option_text(checkpoint->values, "dir");
    self->checkpoint_keep = small(checkpoint->values, "keep");
    self->checkpoint_deltas = small(checkpoint->values, "deltas");
    self->checkpoint_events = (uint64_t)tw_option_int(every, "events");
    self->checkpoint_us = tw_option_int(every, "time");
    (void)tw_check_span(tw_option_text(evaluate, "window"), &self->window_events, &self->window_us);
    self->windows_path = tw_option_text(evaluate, "windows");
    self->threshold = tw_option_real(evaluate, "threshold");
    self->slice_limit = small(evaluate, "slice_limit");
    self->group = tw_option_text(evaluate, "groups");
    self->label_delay = (uint64_t)tw_option_int(evaluate, "label_delay");
    self->group_events = (uint64_t)tw_option_int(evaluate, "group_events");
    self->is_auc_exact = is_word(evaluate, "auc", "exact");
    fill_drift(tw_bound_map(tw_bound_map(self->bound, "evaluate"), "drift")->values, &self->drift);
    fill_publish(self);
    self->serve_zmq = tw_option_text(serve, "zmq");
    self->serve_http = tw_option_text(serve, "http");
    self->serve_max_body = (uint64_t)tw_option_int(serve, "max_body");
    self->serve_max_connections = small(serve, "max_connections");
    self->batch_events = small(engine, "batch");
    self->max_latency_us = tw_option_int(engine, "max_latency");
    self->queue_batches = small(engine, "queue");
    tw_status status = fill_texts(servers, "connect", &self->connect, error);
    if (status == TW_STATUS_OK)
        status = fill_texts(servers, "bind", &self->bind, error);
    if (status == TW_STATUS_OK)
        status = fill_texts(evaluate, "slices", &self->slices, error);
    return status == TW_STATUS_OK ? fill_texts(evaluate, "metrics", &self->metrics, error) : status;
}

static tw_status fill_sinks(tw_pipeline *self, tw_error *error)
{
    const tw_bound_child *sinks = tw_bound_child_of(self->bound, "sinks");
    tw_status status = make_array(&self->sink, sinks->n_items, sizeof *self->sink, error);
    for (size_t i = 0; i < sinks->n_items && status == TW_STATUS_OK; i++)
        self->sink[self->n_sinks++] =
            (tw_pipeline_sink){tw_option_text(sinks->item[i]->values, "type"), sinks->item[i]->plugin};
    return status;
}

tw_status tw_pipeline_create(const tw_tree *tree,
    const tw_plugin_catalogue *catalogue,
    tw_problems *problems,
    tw_pipeline **out,
    tw_error *error)
{
    tw_pipeline *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->tree = tree;
    tw_status status = tw_bind(tree, catalogue, problems, &self->bound, error);
    if (status == TW_STATUS_OK)
        status = tw_check_pipeline(tree, self->bound, problems, error);
    /* Only a pipeline without problems has all that is read below. */
    if (status == TW_STATUS_OK)
        status = tw_problems_status(problems, error);
    if (status == TW_STATUS_OK)
        status = fill_sources(self, error);
    if (status == TW_STATUS_OK)
        status = fill_features(self, error);
    if (status == TW_STATUS_OK)
        status = fill_model(self, error);
    if (status == TW_STATUS_OK)
        status = fill_run(self, error);
    if (status == TW_STATUS_OK)
        status = fill_train(self, error);
    if (status == TW_STATUS_OK)
        status = fill_sinks(self, error);
    if (status < 0)
        tw_pipeline_destroy(&self);
    *out = self;
    return status;
}

void tw_pipeline_destroy(tw_pipeline **self)
{
    if (self == NULL || *self == NULL)
        return;
    tw_pipeline *pipeline = *self;
    tw_text_list *lists[] = {&pipeline->missing_values, &pipeline->positive, &pipeline->connect, &pipeline->bind,
        &pipeline->metrics, &pipeline->slices};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        tw_free(lists[i]->item);
    tw_free(pipeline->source);
    tw_free(pipeline->column);
    tw_free(pipeline->cross);
    tw_free(pipeline->sink);
    tw_bound_destroy(&pipeline->bound);
    tw_free(pipeline);
    *self = NULL;
}
