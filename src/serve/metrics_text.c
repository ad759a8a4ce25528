/* The Prometheus text exposition 0.0.4: seconds and bytes only; label values come from the pipeline, never from a
 * client. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "serve/doors.h"

typedef struct text_writer {
    tw_text *out;
    tw_status status;
    tw_error *error;
    const char *pipeline;
} text_writer;

static void write_head(text_writer *self, const char *name, const char *type, const char *help)
{
    if (self->status == TW_STATUS_OK)
        self->status = tw_text_addf(self->out, self->error, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_value(text_writer *self, const char *name, const char *labels, double value)
{
    char text[TW_REAL_TEXT_SIZE] = "NaN";
    if (isinf(value))
        (void)snprintf(text, sizeof text, value > 0 ? "+Inf" : "-Inf");
    else if (!isnan(value))
        tw_text_from_real(value, text);
    if (self->status == TW_STATUS_OK)
        self->status = tw_text_addf(self->out, self->error, "%s{%s} %s\n", name, labels, text);
}

/* One metric with the pipeline's label; nothing when the figure is not known. */
static void write_one(text_writer *self, const char *name, const char *type, const char *help, double value)
{
    char labels[512];
    if (isnan(value))
        return;
    (void)snprintf(labels, sizeof labels, "pipeline=\"%s\"", self->pipeline);
    write_head(self, name, type, help);
    write_value(self, name, labels, value);
}

static void write_events(text_writer *self, const tw_report *report)
{
    char labels[512];
    write_head(self, "thalweg_events_total", "counter", "Events by what became of them.");
    (void)snprintf(labels, sizeof labels, "pipeline=\"%s\",outcome=\"learned\"", self->pipeline);
    write_value(self, "thalweg_events_total", labels, (double)report->events);
    (void)snprintf(labels, sizeof labels, "pipeline=\"%s\",outcome=\"bad\"", self->pipeline);
    write_value(self, "thalweg_events_total", labels, (double)report->bad_events);
}

/* The figures of the run under the names of the table, those of the last finished window as thalweg_window_*. */
static void write_figures(text_writer *self, const tw_report *report)
{
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    char name[80], help[160];
    for (size_t i = 0; i < n_figures; i++) {
        (void)snprintf(name, sizeof name, "thalweg_%s", figure[i].metric);
        (void)snprintf(help, sizeof help, "%s.", figure[i].help);
        write_one(self, name, "gauge", help, tw_figure_value(&report->figures, &figure[i]));
    }
    if (report->window.number == 0)
        return;
    write_one(self, "thalweg_windows_total", "counter", "Windows that are finished.", (double)report->window.number);
    for (size_t i = 0; i < n_figures; i++) {
        (void)snprintf(name, sizeof name, "thalweg_window_%s", figure[i].name);
        (void)snprintf(help, sizeof help, "%s, in the last finished window.", figure[i].help);
        write_one(self, name, "gauge", help, tw_figure_value(&report->window.figures, &figure[i]));
    }
}

static void write_report(text_writer *self, const tw_report *report)
{
    static const char gauge[] = "gauge", counter[] = "counter";
    write_events(self, report);
    write_one(self, "thalweg_source_bytes_total", counter, "Uncompressed bytes read.", (double)report->bytes);
    write_one(self, "thalweg_source_backlog_bytes", gauge, "Bytes that are there and not read yet.",
        report->backlog_bytes != UINT64_MAX ? (double)report->backlog_bytes : (double)NAN);
    write_one(self, "thalweg_event_lag_seconds", gauge, "Now minus the newest event time.", report->lag_seconds);
    write_figures(self, report);
    write_one(self, "thalweg_published_version", gauge, "Newest checkpoint that may be served; 0: none.",
        (double)report->published_version);
    write_one(self, "thalweg_refused_versions_total", counter, "Checkpoints that publish.require refused.",
        report->is_gated ? (double)report->refused_versions : (double)NAN);
    write_one(self, "thalweg_drifts_total", counter, "Lasting rises of the loss.",
        report->is_drift_watched ? (double)report->drift.drifts : (double)NAN);
    write_one(self, "thalweg_drift_last_event", gauge, "Number of the learned event at which the last one was found.",
        report->drift.drifts > 0 ? (double)report->drift.last_event : (double)NAN);
    write_one(self, "thalweg_model_rows", gauge, "Rows in the parameter store.", (double)report->rows);
    write_one(self, "thalweg_model_memory_bytes", gauge, "Memory of rows and index.", (double)report->table_bytes);
    write_one(self, "thalweg_rows_expired_total", counter, "Rows that were not learned for too long.",
        (double)report->rows_expired);
    write_one(
        self, "thalweg_rows_evicted_total", counter, "Rows that gave way to others.", (double)report->rows_evicted);
    write_one(self, "thalweg_touches_refused_total", counter, "Events of keys that have no row yet.",
        (double)report->touches_refused);
    write_one(self, "thalweg_ps_rewinds_total", counter, "Times that events were read again after a shard was lost.",
        (double)report->rewinds);
    write_one(self, "thalweg_ps_reconnects_total", counter, "Reconnections to shards.", (double)report->reconnects);
    write_one(
        self, "thalweg_checkpoints_total", counter, "Checkpoints that became durable.", (double)report->checkpoints);
    write_one(self, "thalweg_checkpoint_failures_total", counter, "Checkpoints that failed.",
        (double)report->checkpoint_failures);
    write_one(
        self, "thalweg_checkpoint_size_bytes", gauge, "Size of the last checkpoint.", (double)report->checkpoint_bytes);
    write_one(self, "thalweg_checkpoint_last_success_timestamp_seconds", gauge,
        "When the last checkpoint became durable.",
        report->checkpoint_wall_us != 0 ? (double)report->checkpoint_wall_us / 1e6 : (double)NAN);
}

static void write_model(text_writer *self, const tw_model_stamp *stamp)
{
    char labels[512];
    (void)snprintf(labels, sizeof labels, "model=\"%s\"", self->pipeline);
    write_head(self, "thalweg_model_version", "gauge", "Last checkpoint written or loaded.");
    write_value(self, "thalweg_model_version", labels, (double)stamp->version);
    write_head(self, "thalweg_model_age_seconds", "gauge", "Time since the model last learned.");
    write_value(
        self, "thalweg_model_age_seconds", labels, stamp->age_ms < 0 ? (double)NAN : (double)stamp->age_ms / 1e3);
}

static void write_duration(text_writer *self, const char *protocol, const door_counters *counters)
{
    static const char name[] = "thalweg_inference_duration_seconds";
    char labels[512], line[64];
    uint64_t count = counters->ok + counters->failed;
    for (int i = 0; i < N_DURATION_BUCKETS; i++) {
        char edge[TW_REAL_TEXT_SIZE];
        tw_text_from_real(door_bucket_seconds[i], edge);
        (void)snprintf(labels, sizeof labels, "model=\"%s\",protocol=\"%s\",le=\"%s\"", self->pipeline, protocol, edge);
        write_value(self, "thalweg_inference_duration_seconds_bucket", labels, (double)counters->bucket[i]);
    }
    (void)snprintf(labels, sizeof labels, "model=\"%s\",protocol=\"%s\",le=\"+Inf\"", self->pipeline, protocol);
    write_value(self, "thalweg_inference_duration_seconds_bucket", labels, (double)count);
    (void)snprintf(labels, sizeof labels, "model=\"%s\",protocol=\"%s\"", self->pipeline, protocol);
    (void)snprintf(line, sizeof line, "%s_sum", name);
    write_value(self, line, labels, (double)counters->duration_us_sum / 1e6);
    (void)snprintf(line, sizeof line, "%s_count", name);
    write_value(self, line, labels, (double)count);
}

static void write_doors(text_writer *self, door_shared *shared)
{
    static const char *const protocol[N_DOORS] = {"zmq", "http"};
    char labels[512];
    write_head(self, "thalweg_inference_requests_total", "counter", "Prediction requests.");
    for (int i = 0; i < N_DOORS; i++) {
        (void)snprintf(labels, sizeof labels, "model=\"%s\",protocol=\"%s\",code=\"ok\"", self->pipeline, protocol[i]);
        write_value(self, "thalweg_inference_requests_total", labels, (double)shared->counters[i].ok);
        (void)snprintf(
            labels, sizeof labels, "model=\"%s\",protocol=\"%s\",code=\"error\"", self->pipeline, protocol[i]);
        write_value(self, "thalweg_inference_requests_total", labels, (double)shared->counters[i].failed);
    }
    write_head(self, "thalweg_inference_rows_total", "counter", "Rows in prediction requests.");
    for (int i = 0; i < N_DOORS; i++) {
        (void)snprintf(labels, sizeof labels, "model=\"%s\",protocol=\"%s\"", self->pipeline, protocol[i]);
        write_value(self, "thalweg_inference_rows_total", labels, (double)shared->counters[i].rows);
    }
    write_head(self, "thalweg_inference_duration_seconds", "histogram", "Time from a whole request to its answer.");
    for (int i = 0; i < N_DOORS; i++)
        write_duration(self, protocol[i], &shared->counters[i]);
}

/* Resident pages are the second number of statm; NaN where there is no such file. */
static double resident_bytes(void)
{
    char *text = NULL;
    size_t size = 0;
    if (tw_file_load("/proc/self/statm", 4096, &text, &size, NULL) < 0)
        return (double)NAN;
    const char *second = strchr(text, ' ');
    unsigned long long pages = second != NULL ? strtoull(second, NULL, 10) : 0;
    tw_free(text);
    return pages > 0 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : (double)NAN;
}

static void write_plain(text_writer *self, const char *name, const char *type, const char *help, double value)
{
    char text[TW_REAL_TEXT_SIZE];
    if (isnan(value))
        return;
    tw_text_from_real(value, text);
    write_head(self, name, type, help);
    if (self->status == TW_STATUS_OK)
        self->status = tw_text_addf(self->out, self->error, "%s %s\n", name, text);
}

static void write_process(text_writer *self, const door_shared *shared)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 + (double)usage.ru_stime.tv_sec +
                 (double)usage.ru_stime.tv_usec / 1e6;
    write_plain(self, "process_cpu_seconds_total", "counter", "User and system time.", cpu);
    write_plain(self, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
    write_plain(
        self, "process_start_time_seconds", "gauge", "Start of the server since 1970.", (double)shared->start_us / 1e6);
}

static void escape_label(char *out, size_t size, const char *text)
{
    size_t used = 0;
    for (; *text != '\0' && used + 3 <= size; text++) {
        char byte = *text;
        if (byte == '"' || byte == '\\' || byte == '\n')
            out[used++] = '\\';
        if (byte == '\n')
            byte = 'n';
        out[used++] = byte;
    }
    out[used] = '\0';
}

tw_status metrics_text(door_shared *self, tw_text *out, tw_error *error)
{
    uint64_t generation = 0;
    char pipeline[256];
    tw_model_stamp stamp;
    tw_model *model = tw_served_enter(self->options.served, &generation);
    escape_label(pipeline, sizeof pipeline, tw_model_name(model));
    tw_model_stamp_now(model, &stamp);
    tw_served_leave(self->options.served);
    text_writer writer = {.out = out, .error = error, .pipeline = pipeline};
    write_head(&writer, "thalweg_build_info", "gauge", "Version of the program; always 1.");
    write_value(&writer, "thalweg_build_info", "version=\"" TW_VERSION "\"", 1);
    if (self->options.hooks.report != NULL) {
        tw_report report;
        self->options.hooks.report(self->options.hooks.context, &report);
        write_report(&writer, &report);
    }
    write_model(&writer, &stamp);
    write_doors(&writer, self);
    write_process(&writer, self);
    if (writer.status == TW_STATUS_OK && self->options.hooks.metrics != NULL)
        writer.status = self->options.hooks.metrics(self->options.hooks.context, out, error);
    return writer.status;
}
