#include "cmd/assembly.h"

#include <string.h>

#include "base/alloc.h"

tw_status assembly_init(assembly *self, tw_error *error)
{
    memset(self, 0, sizeof *self);
    tw_status status = builtins_add(&self->registry, error);
    self->catalogue = builtins_catalogue(&self->registry);
    return status == TW_STATUS_OK ? tw_tree_create(&self->tree, error) : status;
}

void assembly_fini(assembly *self)
{
    tw_model_destroy(&self->model);
    tw_option_values_destroy(&self->scaler_options);
    tw_free(self->sink);
    tw_free(self->input);
    tw_free(self->cross);
    tw_free(self->column);
    tw_text_fini(&self->canonical);
    tw_pipeline_destroy(&self->pipeline);
    tw_problems_fini(&self->problems);
    tw_tree_destroy(&self->tree);
}

tw_status assembly_check(assembly *self, tw_error *error)
{
    tw_status status = tw_pipeline_create(self->tree, &self->catalogue, &self->problems, &self->pipeline, error);
    if (status == TW_STATUS_OK)
        status = tw_pipeline_resolved(self->pipeline, false, &self->canonical, error);
    return status;
}

static tw_column_spec column_of(const tw_pipeline_column *from)
{
    static const tw_column_kind kinds[] = {
        [TW_PIPELINE_NUMERIC] = TW_COLUMN_NUMERIC,
        [TW_PIPELINE_CATEGORICAL] = TW_COLUMN_CATEGORICAL,
        [TW_PIPELINE_SET] = TW_COLUMN_SET,
        [TW_PIPELINE_CONSTANT] = TW_COLUMN_CONSTANT,
        [TW_PIPELINE_IGNORE] = TW_COLUMN_IGNORE,
    };
    return (tw_column_spec){
        .field = from->field != NULL ? from->field : "",
        .kind = kinds[from->kind],
        .is_log1p = from->is_log1p,
        .is_scaled = from->is_scaled,
        .has_missing = from->has_missing,
        .missing = from->missing,
        .separator = from->separator,
    };
}

static tw_status make_columns(assembly *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->pipeline;
    self->column = tw_alloc_zero((pipeline->n_columns + 1) * sizeof *self->column);
    self->cross = tw_alloc_zero((pipeline->n_crosses + 1) * sizeof *self->cross);
    if (self->column == NULL || self->cross == NULL)
        return tw_no_memory(error, (pipeline->n_columns + 1) * sizeof *self->column);
    for (uint32_t i = 0; i < pipeline->n_columns; i++)
        self->column[i] = column_of(&pipeline->column[i]);
    for (uint32_t i = 0; i < pipeline->n_crosses; i++) {
        self->cross[i].n_fields = pipeline->cross[i].n_fields;
        memcpy(self->cross[i].field, pipeline->cross[i].field, sizeof self->cross[i].field);
    }
    return TW_STATUS_OK;
}

static tw_status make_ends(assembly *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->pipeline;
    self->input = tw_alloc_zero((pipeline->n_sources + 1) * sizeof *self->input);
    self->sink = tw_alloc_zero((pipeline->n_sinks + 1) * sizeof *self->sink);
    if (self->input == NULL || self->sink == NULL)
        return tw_no_memory(error, (pipeline->n_sources + 1) * sizeof *self->input);
    for (uint32_t i = 0; i < pipeline->n_sources; i++)
        self->input[i] = (tw_input){
            .source = tw_registry_source(&self->registry, pipeline->source[i].type),
            .source_options = pipeline->source[i].options,
            .format = tw_registry_format(&self->registry, pipeline->source[i].format),
            .format_options = pipeline->source[i].format_options,
        };
    for (uint32_t i = 0; i < pipeline->n_sinks; i++)
        self->sink[i] = (tw_sink_spec){
            .ops = tw_registry_sink(&self->registry, pipeline->sink[i].type), .options = pipeline->sink[i].options};
    return TW_STATUS_OK;
}

static tw_plan_spec plan_of(const assembly *self)
{
    static const tw_time_unit units[] = {
        [TW_PIPELINE_TIME_S] = TW_TIME_S,
        [TW_PIPELINE_TIME_MS] = TW_TIME_MS,
        [TW_PIPELINE_TIME_US] = TW_TIME_US,
        [TW_PIPELINE_TIME_ISO8601] = TW_TIME_ISO8601,
    };
    const tw_pipeline *pipeline = self->pipeline;
    const tw_pipeline_source *source = pipeline->n_sources > 0 ? &pipeline->source[0] : NULL;
    return (tw_plan_spec){
        .hash_seed = pipeline->hash_seed,
        .column = self->column,
        .n_columns = pipeline->n_columns,
        .cross = self->cross,
        .n_crosses = pipeline->n_crosses,
        .label_field = pipeline->label_field,
        .positive = pipeline->positive.item,
        .n_positive = pipeline->positive.count,
        .weight_field = pipeline->weight_field,
        .time_field = source != NULL ? source->time_field : NULL,
        .time_unit = source != NULL ? units[source->time_unit] : TW_TIME_S,
        .missing_text = pipeline->missing_values.item,
        .n_missing_text = pipeline->missing_values.count,
        .is_dense = pipeline->is_dense,
        .dense_width = pipeline->dense_width,
    };
}

static tw_drift_options drift_of(const tw_pipeline_drift *from)
{
    static const tw_drift_detector detectors[] = {
        [TW_PIPELINE_NO_DETECTOR] = TW_DRIFT_NONE,
        [TW_PIPELINE_ADWIN] = TW_DRIFT_ADWIN,
        [TW_PIPELINE_PAGE_HINKLEY] = TW_DRIFT_PAGE_HINKLEY,
    };
    return (tw_drift_options){
        .detector = detectors[from->detector],
        .signal = from->is_of_error ? TW_DRIFT_ERROR : TW_DRIFT_LOSS,
        .delta = from->delta,
        .threshold = from->threshold,
        .alpha = from->alpha,
        .min_events = from->min_events,
        .is_forgetting = from->is_forgetting,
        .half_lives = from->half_lives,
    };
}

tw_gate_options assembly_gate(const assembly *self)
{
    const tw_pipeline *pipeline = self->pipeline;
    tw_gate_options out = {.over = pipeline->require_over, .threshold = pipeline->threshold};
    for (uint32_t i = 0; i < pipeline->n_required && i < TW_GATE_MAX; i++)
        out.require[out.n_required++] = (tw_gate_requirement){pipeline->require[i].figure, pipeline->require[i].limit};
    return out;
}

tw_status assembly_build(assembly *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->pipeline;
    tw_status status = make_columns(self, error);
    if (status == TW_STATUS_OK)
        status = make_ends(self, error);
    const tw_transform_ops *scaler = tw_registry_transform(&self->registry, "standard");
    if (status == TW_STATUS_OK)
        status = tw_option_values_create(scaler->options, &self->scaler_options, error);
    if (status < 0)
        return status;
    tw_model_spec spec = {
        .name = pipeline->name,
        .learner = tw_registry_learner(&self->registry, pipeline->learner),
        .learner_options = pipeline->learner_options,
        .scaler = scaler,
        .scaler_options = self->scaler_options,
        .plan = plan_of(self),
        .table_kind = pipeline->is_hashed ? TW_TABLE_HASHED : TW_TABLE_EXACT,
        .bits = pipeline->bits,
        .max_bytes = pipeline->max_bytes,
        .keep = pipeline->keep,
        .ignores_labels = self->ignores_labels,
        .drift = drift_of(&pipeline->drift),
    };
    tw_gate_options gate = assembly_gate(self);
    status = tw_model_create(&spec, &self->model, error);
    if (status == TW_STATUS_OK && pipeline->is_batch)
        status = tw_fit_check(self->model, tw_registry_solver(&self->registry, pipeline->solver), error);
    if (status == TW_STATUS_OK)
        status = tw_gate_check(&gate, tw_model_traits(self->model)->task, pipeline->learner, error);
    return status;
}

static tw_figure_set figures_of(const tw_text_list *names)
{
    tw_figure_set set = 0;
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    for (uint32_t i = 0; i < names->count; i++) {
        const tw_figure_entry *found = tw_figure_find(names->item[i]);
        set |= found != NULL ? (tw_figure_set)1 << (found - figure) : TW_FIGURES_CALIBRATION_TABLE;
    }
    return set;
}

tw_evaluation assembly_evaluation(const assembly *self)
{
    const tw_pipeline *pipeline = self->pipeline;
    return (tw_evaluation){
        .is_auc_exact = pipeline->is_auc_exact,
        .threshold = pipeline->threshold,
        .figures = figures_of(&pipeline->metrics),
        .window = {pipeline->window_events, pipeline->window_us},
        .window_path = pipeline->windows_path,
        .slice = pipeline->slices.item,
        .n_slices = pipeline->slices.count,
        .slice_limit = pipeline->slice_limit,
        .group = pipeline->group,
        .group_events = pipeline->group_events,
        .label_delay = pipeline->label_delay,
    };
}

tw_status assembly_of_manifest(assembly *self, const tw_manifest *manifest, tw_error *error)
{
    const tw_section *text = tw_manifest_find(manifest, "pipeline");
    tw_status status = assembly_init(self, error);
    if (status < 0)
        return status;
    if (text == NULL)
        return tw_error_set(error, TW_STATUS_CORRUPT,
            "checkpoint %06llu holds no pipeline: it was not made by `run` or `train`",
            (unsigned long long)manifest->id);
    return tw_tree_parse(self->tree, "checkpoint", text->bytes, text->size, &self->problems, error);
}

static tw_status attach(
    assembly *self, const char *directory, const tw_manifest *manifest, bool learns_on, tw_error *error)
{
    tw_params *params = NULL;
    tw_status status = tw_local_create(tw_model_table_spec(self->model), &params, error);
    if (status == TW_STATUS_OK && !learns_on)
        tw_local_take_any_cut(params);
    if (status == TW_STATUS_OK)
        tw_local_set_deltas(params, self->pipeline->checkpoint_deltas);
    if (status == TW_STATUS_OK && manifest != NULL)
        status = params->ops->restore(params, directory, &manifest->files, error);
    if (status < 0) {
        if (params != NULL)
            params->ops->close(params);
        return status;
    }
    tw_model_attach(self->model, params);
    if (manifest != NULL)
        tw_model_set_version(self->model, manifest->id, manifest->created_us);
    return TW_STATUS_OK;
}

tw_status assembly_attach_local(assembly *self, const char *directory, const tw_manifest *manifest, tw_error *error)
{
    return attach(self, directory, manifest, true, error);
}

tw_status assembly_attach_saved(assembly *self, const char *directory, const tw_manifest *manifest, tw_error *error)
{
    return attach(self, directory, manifest, false, error);
}
