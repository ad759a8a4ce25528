#include "cmd/console.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/fingerprint.h"

enum { MAX_SHOWN_BAD = 10 };

/* Bytes of a UTF-8 character of more than one byte at `text`; 0: it is none. */
static size_t wide_size(const unsigned char *text)
{
    size_t size = text[0] >= 0xf0 && text[0] < 0xf5 ? 4 : text[0] >= 0xe0 ? 3 : text[0] >= 0xc2 ? 2 : 0;
    if (text[0] >= 0xf5 || (text[0] == 0xc2 && text[1] < 0xa0))
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    bool is_overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool is_no_character = (text[0] == 0xed && text[1] >= 0xa0) || (text[0] == 0xf4 && text[1] >= 0x90);
    return is_overlong || is_no_character ? 0 : size;
}

/* Messages quote input: what a terminal would obey or cannot show is written as \xNN. */
static void put_clean(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        size_t size = *at < 0x80 ? (*at >= 0x20 && *at != 0x7f) || *at == '\n' || *at == '\t' : wide_size(at);
        if (size > 0)
            (void)fwrite(at, 1, size, stderr);
        else
            (void)fprintf(stderr, "\\x%02x", *at);
        at += size > 0 ? size : 1;
    }
}

void console_error(const tw_error *error)
{
    const char *code = error->code;
    if (error->file[0] != '\0' && error->line > 0 && error->column > 0)
        (void)fprintf(
            stderr, "%s:%llu:%llu: ", error->file, (unsigned long long)error->line, (unsigned long long)error->column);
    else if (error->file[0] != '\0' && error->line > 0)
        (void)fprintf(stderr, "%s:%llu: ", error->file, (unsigned long long)error->line);
    else if (error->file[0] != '\0')
        (void)fprintf(stderr, "%s: ", error->file);
    else
        (void)fprintf(stderr, "thalweg: ");
    if (code[0] != '\0')
        (void)fprintf(stderr, "error[%s]: ", code);
    else
        (void)fprintf(stderr, "error: ");
    put_clean(error->message);
    (void)fputc('\n', stderr);
}

void console_note(const char *format, ...)
{
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_clean(text);
    (void)fputc('\n', stderr);
}

void console_note_standbys(const char *const *address, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && strchr(address[i], '|') == NULL)
        i++;
    if (i < n)
        console_note("note: %s: whichever of these serves is found, but nobody here has a standby take over: "
                     "`thalweg coordinator` does it by itself, `thalweg ps --promote` by hand",
            address[i]);
}

bool console_is_due(int64_t waited_ms)
{
    int64_t s = waited_ms / 1000;
    return s == 3 || s == 5 || s == 10 || s == 20 || (s > 0 && s % 30 == 0);
}

bool console_problems(const assembly *self)
{
    tw_text text = {0};
    tw_error error = {0};
    if (self->problems.count == 0)
        return false;
    if (tw_problems_render(&self->problems, self->tree, &text, &error) == TW_STATUS_OK && text.bytes != NULL)
        (void)fputs(text.bytes, stderr);
    else
        console_error(&self->problems.item[0].error);
    tw_text_fini(&text);
    return true;
}

static void log_line(void *context, tw_log_level level, const char *message)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    (void)context;
    (void)fprintf(stderr, "thalweg: %s: %s\n", names[level], message);
}

void console_take_log(void)
{
    tw_log_set(log_line, NULL, TW_LOG_WARN);
}

/* "1,234,567" */
static const char *grouped(uint64_t value, char text[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    int out = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = '\0';
    return text;
}

static const char *figure(double value, int decimals, char text[32])
{
    if (isfinite(value))
        (void)snprintf(text, 32, "%.*f", decimals, value);
    else
        (void)snprintf(text, 32, "-");
    return text;
}

/* Of any size: "3.2e-07". */
static const char *short_figure(double value, char text[32])
{
    (void)snprintf(text, 32, isfinite(value) ? "%.3g" : "-", value);
    return text;
}

/* A time in its largest fitting unit: "0.2s", "3.1h", "13.4y". */
static const char *duration(double seconds, char text[32])
{
    static const struct {
        double length;
        char unit;
    } units[] = {{365.25 * 86400, 'y'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (i < 4 && !(fabs(seconds) >= units[i].length))
        i++;
    if (isfinite(seconds))
        (void)snprintf(text, 32, "%.1f%c", seconds / units[i].length, units[i].unit);
    else
        (void)snprintf(text, 32, "-");
    return text;
}

static json_t *json_figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void print_json(const console *self, const tw_report *report, const char *event)
{
    report_details details = {.learner = self->assembly->pipeline->learner, .clusters = report->clusters};
    char *text = report_to_json(report, &details);
    if (text != NULL)
        (void)fprintf(stderr, "{\"event\":\"%s\",%s\n", event, text + 1);
    free(text);
}

void console_start(const console *self, const char *resumed, uint64_t events)
{
    char count[32];
    if (self->style != PROGRESS_TABLE)
        return;
    const tw_pipeline *pipeline = self->assembly->pipeline;
    uint64_t fingerprint = 0;
    char place[64], table[32];
    uint32_t n_shards = pipeline->shards > 0 ? pipeline->shards : pipeline->connect.count;
    if (pipeline->workers > 1) /* without shards of its own such a run starts one */
        (void)snprintf(place, sizeof place, "%u workers, %u shard%s", pipeline->workers, n_shards > 0 ? n_shards : 1,
            n_shards > 1 ? "s" : "");
    else
        (void)snprintf(
            place, sizeof place, n_shards > 0 ? "%u shard%s" : "local table", n_shards, n_shards > 1 ? "s" : "");
    (void)snprintf(table, sizeof table, pipeline->is_hashed ? "hashed 2^%u" : "exact", pipeline->bits);
    if (self->assembly->canonical.bytes != NULL)
        (void)!tw_fingerprint(self->assembly->canonical.bytes, &fingerprint, NULL);
    console_note("thalweg %s | %s (pipeline %06llx) | %s, %s | %s", TW_VERSION, pipeline->name,
        (unsigned long long)(fingerprint & 0xffffff), pipeline->learner, table, place);
    if (resumed != NULL)
        console_note("resumed %s at event %s", resumed, grouped(events, count));
}

/* With windows the newest figures are those of the last finished one, else those since the line before. */
static double newest(const tw_report *report, double of_window, double since_last)
{
    return report->has_windows ? of_window : since_last;
}

static void print_header(const tw_report *report)
{
    const char *newest_name = report->has_windows ? "(window)" : "(last)";
    char quality[80] = "";
    if (report->task == TW_TASK_BINARY)
        (void)snprintf(quality, sizeof quality, "%10s%10s%9s%9s", "logloss", newest_name, "ne", "auc");
    else if (report->task == TW_TASK_REGRESSION)
        (void)snprintf(quality, sizeof quality, "%10s%9s%9s%9s", "mse", "mae", "r2", "");
    else if (report->task == TW_TASK_CLUSTERING)
        (void)snprintf(quality, sizeof quality, "%12s%12s%13s", "inertia", newest_name, "");
    console_note(
        "%12s %7s %10s%s %10s %7s %8s %6s", "events", "time", "events/s", quality, "rows", "lag", "version", "bad");
}

static void format_quality(const tw_report *report, char *out, size_t size)
{
    const tw_figures *figures = &report->figures, *window = &report->window.figures;
    char a[32], b[32], c[32], d[32];
    out[0] = '\0';
    if (report->task == TW_TASK_BINARY)
        (void)snprintf(out, size, "%10s%10s%9s%9s", figure(figures->logloss, 6, a),
            figure(newest(report, window->logloss, report->logloss_last), 6, b),
            figure(figures->normalized_entropy, 4, c), figure(figures->auc, 4, d));
    else if (report->task == TW_TASK_REGRESSION)
        (void)snprintf(out, size, "%10s%9s%9s%9s", figure(figures->mse, 5, a), figure(figures->mae, 5, b),
            figure(figures->r2, 4, c), "");
    else if (report->task == TW_TASK_CLUSTERING)
        (void)snprintf(out, size, "%12s%12s%13s", figure(figures->inertia, 4, a),
            figure(newest(report, window->inertia, report->inertia_last), 4, b), "");
}

void console_progress(console *self, const tw_report *report)
{
    char quality[160], events[32], rate[32], rows[32], lag[32];
    if (self->style == PROGRESS_JSON)
        print_json(self, report, "progress");
    if (self->style != PROGRESS_TABLE)
        return;
    if (!self->has_header)
        print_header(report);
    self->has_header = true;
    format_quality(report, quality, sizeof quality);
    (void)duration(report->lag_seconds, lag);
    console_note("%12s %6.1fs %10s%s %10s %7s %8llu %6llu", grouped(report->events, events), report->seconds,
        grouped((uint64_t)report->events_per_second, rate), quality, grouped(report->rows, rows), lag,
        (unsigned long long)report->model_version, (unsigned long long)report->bad_events);
}

static void print_bad(console *self, const tw_error *error)
{
    if (self->style == PROGRESS_NONE && self->is_quiet)
        return;
    self->n_shown_bad++;
    if (self->n_shown_bad > MAX_SHOWN_BAD)
        return;
    console_note("%s:%llu:%llu: warning[%s]: %s", error->file, (unsigned long long)error->line,
        (unsigned long long)error->column, error->code, error->message);
    if (self->n_shown_bad == MAX_SHOWN_BAD)
        console_note("further malformed records are counted, not shown");
}

static void print_drift(const console *self, const tw_report *report)
{
    const tw_pipeline_drift *drift = &self->assembly->pipeline->drift;
    char event[32], before[32], after[32], done[64] = "";
    if (self->style == PROGRESS_JSON)
        print_json(self, report, "drift");
    if (self->style != PROGRESS_TABLE)
        return;
    if (drift->is_forgetting)
        (void)snprintf(done, sizeof done, "; the past forgotten by %g half-lives", drift->half_lives);
    console_note("drift %llu at event %s: mean %s from %s to %s%s", (unsigned long long)report->drift.drifts,
        grouped(report->drift.last_event, event), drift->is_of_error ? "error" : "loss",
        figure(report->drift.before, 4, before), figure(report->drift.after, 4, after), done);
}

static void print_iteration(const console *self, const tw_report *report)
{
    char a[32], b[32];
    const char *solver = self->assembly->pipeline->solver;
    uint64_t step = report->iterations < 10 ? 1 : report->iterations < 100 ? 10 : 100; /* a person reads these */
    if (self->style == PROGRESS_TABLE && report->iterations % step == 0)
        console_note("%s: iteration %llu, objective %s, measure %s", solver, (unsigned long long)report->iterations,
            figure(report->objective, 9, a), short_figure(report->measure, b));
    if (self->style != PROGRESS_JSON)
        return;
    json_t *out = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "event", "iteration", "solver", solver, "iterations",
        (json_int_t)report->iterations, "objective", json_figure(report->objective), "measure",
        json_figure(report->measure), "seconds", json_figure(report->seconds));
    char *text = json_dumps(out, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (text != NULL)
        (void)fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(out);
}

static void print_fitted(const console *self, const tw_report *report)
{
    char a[32], b[32];
    if (self->style == PROGRESS_JSON)
        print_json(self, report, "fitted");
    if (self->style == PROGRESS_TABLE)
        console_note("%s: %s after %llu iterations, objective %s | %s events, %.2f s", report->solver,
            report->is_converged ? "converged" : "ended", (unsigned long long)report->iterations,
            figure(report->objective, 9, a), grouped(report->events, b), report->solver_seconds);
}

void console_event(console *self, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    char events[32];
    switch (event) {
    case TW_ENGINE_STARTED:
        break;
    case TW_ENGINE_PROGRESS:
        console_progress(self, report);
        break;
    case TW_ENGINE_FITTING:
        print_iteration(self, report);
        break;
    case TW_ENGINE_FITTED:
        print_fitted(self, report);
        break;
    case TW_ENGINE_BAD_RECORD:
        print_bad(self, error);
        break;
    case TW_ENGINE_DRIFT:
        print_drift(self, report);
        break;
    case TW_ENGINE_CHECKPOINT:
        self->has_checkpoints = true;
        if (self->style == PROGRESS_JSON)
            print_json(self, report, "checkpoint");
        else if (self->style == PROGRESS_TABLE)
            console_note("checkpoint %06llu | %s events | %.1f MB | %.2f s, learning not paused%s",
                (unsigned long long)report->model_version, grouped(report->events, events),
                (double)report->checkpoint_bytes / 1e6, report->checkpoint_seconds,
                report->is_gated && report->refusal[0] == '\0' ? " | published" : "");
        if (report->refusal[0] != '\0' && self->style != PROGRESS_JSON)
            console_note("thalweg: warning: version %06llu is not published: %s",
                (unsigned long long)report->model_version, report->refusal);
        break;
    case TW_ENGINE_FAILED_CHECKPOINT:
        console_note(
            "thalweg: warning: checkpoint failed, learning goes on, the one before it is kept: %s", error->message);
        break;
    case TW_ENGINE_REWOUND:
        console_note("thalweg: warning: %s; reading again from the marks of the shards", error->message);
        break;
    }
}

static void print_classes(const tw_report *report)
{
    const tw_figures *figures = &report->figures;
    char a[32], b[32], c[32], d[32], e[32], f[32];
    console_note("logloss %s (best constant %s, ne %s), auc %s (error at most %s), calibration %s",
        figure(figures->logloss, 6, a), figure(figures->best_constant_logloss, 6, b),
        figure(figures->normalized_entropy, 4, c), figure(figures->auc, 4, d), figure(figures->auc_error, 4, e),
        figure(figures->calibration, 4, f));
    console_note("accuracy %s, f1 %s, kappa %s, kappa against the label before %s", figure(figures->accuracy, 4, a),
        figure(figures->f1, 4, b), figure(figures->kappa, 4, c), figure(figures->kappa_no_change, 4, d));
}

void console_final(console *self, const tw_report *report)
{
    char a[32], b[32], c[32];
    if (self->style != PROGRESS_TABLE)
        return;
    console_note("\nfinished: %s events, %s malformed, %.2f s, %s events/s", grouped(report->events, a),
        grouped(report->bad_events, b), report->seconds, grouped((uint64_t)report->events_per_second, c));
    if (report->task == TW_TASK_BINARY)
        print_classes(report);
    else if (report->task == TW_TASK_REGRESSION)
        console_note("mse %s, mae %s, r2 %s", figure(report->figures.mse, 6, a), figure(report->figures.mae, 6, b),
            figure(report->figures.r2, 4, c));
    else if (report->task == TW_TASK_CLUSTERING)
        console_note("inertia %s (mean squared distance, before each event moved its centre)",
            figure(report->figures.inertia, 6, a));
    if (report->weights != UINT64_MAX)
        console_note("weights that are not zero: %s of %s rows", grouped(report->weights, a), grouped(report->rows, b));
    const char *directory = self->assembly->pipeline->checkpoint_dir;
    if (directory != NULL && report->model_version > 0)
        console_note("model: %s, version %06llu; serve it: thalweg serve --model %s --http 127.0.0.1:8080", directory,
            (unsigned long long)report->model_version, directory);
}
