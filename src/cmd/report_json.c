#include "cmd/report_json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static json_t *json_figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

tw_status report_details_take(report_details *self, tw_engine *engine, tw_error *error)
{
    memset(self, 0, sizeof *self);
    if (engine == NULL)
        return TW_STATUS_OK;
    self->n_calibration = tw_engine_calibration(engine, self->calibration);
    return tw_engine_slices(engine, &self->slices, error);
}

void report_details_fini(report_details *self)
{
    tw_slice_report_fini(&self->slices);
}

static void put_figures(json_t *out, const tw_figures *figures)
{
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    for (size_t i = 0; i < n_figures; i++) {
        double value = tw_figure_value(figures, &figure[i]);
        bool is_count = strcmp(figure[i].name, "gauc_events") == 0 && isfinite(value);
        put(out, figure[i].name, is_count ? json_count((uint64_t)value) : json_figure(value));
    }
}

static json_t *json_time(int64_t time_us)
{
    return time_us == INT64_MIN ? json_null() : json_integer((json_int_t)time_us);
}

static json_t *json_window(const tw_window *window)
{
    if (window->number == 0)
        return json_null();
    json_t *out = json_object();
    put(out, "window", json_count(window->number));
    put(out, "from_event", json_count(window->from_event));
    put(out, "to_event", json_count(window->to_event));
    put(out, "from_time", json_time(window->from_us));
    put(out, "to_time", json_time(window->to_us));
    put(out, "events", json_count(window->figures.events));
    put(out, "labelled", json_count(window->figures.labelled));
    put(out, "positives", json_count(window->figures.positives));
    put_figures(out, &window->figures);
    return out;
}

static json_t *json_calibration(const report_details *details)
{
    if (details->n_calibration == 0)
        return json_null();
    json_t *out = json_array();
    for (uint32_t i = 0; i < details->n_calibration; i++) {
        const tw_calibration_row *row = &details->calibration[i];
        json_t *object = json_object();
        put(object, "from", json_figure(row->from));
        put(object, "to", json_figure(row->to));
        put(object, "n", json_count((uint64_t)row->n));
        put(object, "weight", json_figure(row->weight));
        put(object, "mean_prediction", json_figure(row->prediction));
        put(object, "mean_label", json_figure(row->label));
        (void)json_array_append_new(out, object);
    }
    return out;
}

static json_t *json_slice(const tw_slice_row *row)
{
    json_t *out = json_object();
    json_t *value = row->value != NULL ? json_string(row->value) : json_null();
    if (row->is_other)
        value = json_string("other");
    put(out, "value", value != NULL ? value : json_string_nocheck("?"));
    put(out, "is_other", json_boolean(row->is_other));
    put(out, "events", json_count(row->figures.events));
    put(out, "labelled", json_count(row->figures.labelled));
    put(out, "positives", json_count(row->figures.positives));
    put_figures(out, &row->figures);
    return out;
}

static json_t *json_slices(const tw_slice_report *slices)
{
    if (slices->n_fields == 0)
        return json_null();
    json_t *out = json_object();
    for (uint32_t i = 0; i < slices->n_fields; i++) {
        json_t *rows = json_array();
        for (uint32_t k = 0; k < slices->field[i].n_rows; k++)
            (void)json_array_append_new(rows, json_slice(&slices->field[i].row[k]));
        put(out, slices->field[i].name, rows);
    }
    return out;
}

static void put_run(json_t *out, const tw_report *report)
{
    bool is_binary = report->task == TW_TASK_BINARY;
    put(out, "events", json_count(report->events));
    put(out, "bad_events", json_count(report->bad_events));
    put(out, "seconds", json_figure(report->seconds));
    put(out, "events_per_second", json_figure(report->events_per_second));
    put(out, "bytes", json_count(report->bytes));
    put(out, "batches", json_count(report->batches));
    put(out, "labelled", json_count(report->figures.labelled));
    put(out, "positives", is_binary ? json_count(report->figures.positives) : json_null());
    put(out, "weights", report->weights != UINT64_MAX ? json_count(report->weights) : json_null());
    put(out, "rows", json_count(report->rows));
    put(out, "rows_expired", json_count(report->rows_expired));
    put(out, "rows_evicted", json_count(report->rows_evicted));
    put(out, "touches_refused", json_count(report->touches_refused));
}

static void put_solver(json_t *out, const tw_report *report)
{
    bool is_fitted = report->solver[0] != '\0';
    put(out, "solver", is_fitted ? json_string(report->solver) : json_null());
    put(out, "iterations", is_fitted ? json_count(report->iterations) : json_null());
    put(out, "objective", is_fitted ? json_figure(report->objective) : json_null());
    put(out, "converged", is_fitted ? json_boolean(report->is_converged) : json_null());
    put(out, "solver_seconds", is_fitted ? json_figure(report->solver_seconds) : json_null());
}

char *report_to_json(const tw_report *report, const report_details *details)
{
    json_t *out = json_object();
    const tw_drift_counts *drift = &report->drift;
    put_run(out, report);
    put_figures(out, &report->figures);
    put(out, "calibration_table", json_calibration(details));
    put(out, "slices", json_slices(&details->slices));
    put(out, "window", json_window(&report->window));
    put(out, "clusters", details->clusters > 0 ? json_count(details->clusters) : json_null());
    put(out, "model_version", report->model_version > 0 ? json_count(report->model_version) : json_null());
    put(out, "published_version", report->published_version > 0 ? json_count(report->published_version) : json_null());
    put(out, "refused_versions", json_count(report->refused_versions));
    put(out, "checkpoint", details->checkpoint != NULL ? json_string(details->checkpoint) : json_null());
    put(out, "checkpoint_failures", json_count(report->checkpoint_failures));
    put(out, "drifts", report->is_drift_watched ? json_count(drift->drifts) : json_null());
    put(out, "last_drift_event", drift->drifts > 0 ? json_count(drift->last_event) : json_null());
    put(out, "rewinds", json_count(report->rewinds));
    put(out, "learner", json_string(details->learner));
    put_solver(out, report);
    put(out, "peak_rss_bytes", json_count(report->peak_rss_bytes));
    char *text = json_dumps(out, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(out);
    return text;
}
