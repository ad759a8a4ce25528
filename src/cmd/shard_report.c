#include "cmd/shard_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cmd/refused_report.h"

static const uint64_t index_limit = (uint64_t)1 << 40; /* see rows_text.h */
static const double hot_share = 0.01;

enum {
    NAME_SIZE = 48,
    SHOWN_IN_TABLE = 5,
    MIN_HOT_SAMPLES = 8,    /* below it a share is chance */
    MIN_RANGE_SAMPLES = 100 /* in the mean; below it the largest range is chance */
};

static double known(uint64_t value)
{
    return value == TW_STATUS_UNKNOWN ? (double)NAN : (double)value;
}

/* Of a shard and its standby the one that it was told by. */
static const char *address_of(const shard_view *view, uint32_t i)
{
    return view->answer[i].address != NULL ? view->answer[i].address : view->address[i];
}

/* --- figures over shards ------------------------------------------------------------------------------------------ */

/* All slot ranges of all shards, touches of a range scaled to what all its shard's samples stand for. */
static double slot_skew(const shard_view *view)
{
    double *amount = tw_alloc(sizeof *amount * TW_SKETCH_RANGES * view->n), n_samples = 0;
    size_t n = 0;
    for (uint32_t i = 0; amount != NULL && i < view->n; i++) {
        const tw_shard_status *status = &view->answer[i].status;
        n_samples += view->answer[i].has_answered ? known(status->figure[TW_STATUS_SAMPLES]) : 0;
        for (uint32_t r = 0; view->answer[i].has_answered && r < status->n_ranges; r++)
            amount[n++] = status->figure[TW_STATUS_SAMPLES] == 0
                              ? 0
                              : (double)status->range[r] * known(status->figure[TW_STATUS_TOUCHES]) /
                                    known(status->figure[TW_STATUS_SAMPLES]);
    }
    bool is_enough = amount != NULL && n_samples >= MIN_RANGE_SAMPLES * (double)n;
    double skew = is_enough ? tw_status_skew(amount, n) : 0;
    tw_free(amount);
    return skew > 0 ? skew : (double)NAN;
}

shard_totals shard_totals_of(const shard_view *view)
{
    shard_totals totals = {0};
    double touches[TW_MAX_SHARDS];
    uint32_t n_serving = 0;
    for (uint32_t i = 0; i < view->n; i++) {
        const uint64_t *figure = view->answer[i].status.figure;
        if (!view->answer[i].has_answered)
            continue;
        totals.n_answered++;
        if (figure[TW_STATUS_IS_STANDBY] != 1)
            touches[n_serving++] = known(figure[TW_STATUS_TOUCHES]);
        if (figure[TW_STATUS_EVENTS] != TW_STATUS_UNKNOWN && figure[TW_STATUS_EVENTS] > totals.events)
            totals.events = figure[TW_STATUS_EVENTS];
    }
    double skew = tw_status_skew(touches, n_serving);
    totals.shard_skew = skew > 0 ? skew : (double)NAN;
    totals.slot_skew = slot_skew(view);
    return totals;
}

/* A shard without rows is behind all that the furthest has learned; a standby's lag is its primary's to tell. */
static uint64_t event_lag(const shard_totals *totals, const tw_shard_status *status)
{
    if (status->figure[TW_STATUS_IS_STANDBY] == 1)
        return TW_STATUS_UNKNOWN;
    uint64_t events = status->figure[TW_STATUS_EVENTS];
    return totals->events - (events != TW_STATUS_UNKNOWN ? events : 0);
}

static uint64_t mark_lag(const shard_view *view, const tw_shard_status *status)
{
    uint64_t furthest = 0;
    for (uint32_t i = 0; i < view->n; i++) {
        uint64_t lag = view->answer[i].has_answered ? tw_status_mark_lag(status, &view->answer[i].status, 1) : 0;
        furthest = lag > furthest ? lag : furthest;
    }
    return furthest;
}

static double share_of(const tw_shard_status *status, const tw_sketch_counter *hot)
{
    uint64_t n = status->figure[TW_STATUS_SAMPLES];
    return n > 0 ? (double)(hot->count - hot->error) / (double)n : 0;
}

static bool is_hot(const tw_shard_status *status, const tw_sketch_counter *hot)
{
    return hot->count - hot->error >= MIN_HOT_SAMPLES && share_of(status, hot) >= hot_share;
}

/* As model show names it: by its index where it came from one. */
static bool hot_index(const tw_shard_status *status, uint64_t key, uint64_t *index)
{
    *index = tw_key_to_index(status->figure[TW_STATUS_HASH_SEED], key);
    return *index < index_limit;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static void print_size(FILE *out, uint64_t bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = known(bytes);
    int u = 0;
    for (; value >= 9999.5 && u < 4; u++)
        value /= 1024;
    if (isnan(value))
        (void)fprintf(out, "  %9s", "-");
    else
        (void)fprintf(out, "  %5.0f %-3s", value, unit[u]);
}

static void print_count(FILE *out, int width, uint64_t value)
{
    if (value == TW_STATUS_UNKNOWN)
        (void)fprintf(out, "  %*s", width, "-");
    else
        (void)fprintf(out, "  %*" PRIu64, width, value);
}

static void print_age(FILE *out, uint64_t age_ms)
{
    if (age_ms == TW_STATUS_UNKNOWN)
        (void)fprintf(out, "  %8s", "-");
    else
        (void)fprintf(out, "  %6.1f s", (double)age_ms / 1e3);
}

static void print_shard(FILE *out, const shard_view *view, const shard_totals *totals, uint32_t i, int width)
{
    const tw_shard_status *status = &view->answer[i].status;
    const uint64_t *figure = status->figure;
    if (!view->answer[i].has_answered) {
        (void)fprintf(out, "    -  %-*s  %s\n", width, address_of(view, i),
            view->answer[i].is_no_shard ? "is no shard" : "does not answer");
        return;
    }
    (void)fprintf(out, "%5" PRIu64 "  %-*s  %-12s", figure[TW_STATUS_SHARD], width, address_of(view, i),
        status->model[0] != '\0' ? status->model : "-");
    print_count(out, 10, figure[TW_STATUS_ROWS]);
    print_size(out, figure[TW_STATUS_BYTES]);
    print_count(out, 11, figure[TW_STATUS_EVENTS]);
    print_count(out, 7, event_lag(totals, status));
    print_count(out, 9, figure[TW_STATUS_PUSHES]);
    print_count(out, 8, figure[TW_STATUS_SESSIONS]);
    print_count(out, 8, figure[TW_STATUS_SNAPSHOT]);
    print_age(out, figure[TW_STATUS_SNAPSHOT_AGE_MS]);
    print_count(out, 7, refused_sum(status->nack));
    print_count(out, 9, status->nack[TW_NACK_CONFLICT]);
    (void)fprintf(out, "\n");
}

static void print_lag(FILE *out, const uint64_t *figure)
{
    const char *state = figure[TW_STATUS_IS_CAUGHT_UP] == 1 ? "is ready to take over" : "does not have everything yet";
    (void)fprintf(out, "its standby %s", figure[TW_STATUS_HAS_STANDBY] == 1 ? state : "has fallen silent");
    if (figure[TW_STATUS_LAG_ENTRIES] != TW_STATUS_UNKNOWN)
        (void)fprintf(out, ", %" PRIu64 " changes behind", figure[TW_STATUS_LAG_ENTRIES]);
    if (figure[TW_STATUS_ALONE] != TW_STATUS_UNKNOWN && figure[TW_STATUS_ALONE] > 0)
        (void)fprintf(out, "; was not waited for %" PRIu64 " times", figure[TW_STATUS_ALONE]);
    (void)fprintf(out, "\n");
}

/* As its standby says, or of the standby itself. */
static void print_failed_copies(FILE *out, const tw_shard_status *status)
{
    uint64_t n = status->figure[TW_STATUS_GIVEN_UP];
    if (status->figure[TW_STATUS_IS_STANDBY] == 1)
        n = status->figure[TW_STATUS_FAILED_COPIES];
    if (n != TW_STATUS_UNKNOWN && n > 0)
        (void)fprintf(out, "shard %" PRIu64 ": %s %" PRIu64 " times, last as: %s\n", status->figure[TW_STATUS_SHARD],
            status->figure[TW_STATUS_IS_STANDBY] == 1 ? "this copy failed" : "its standby gave its copy up", n,
            status->copy_failure);
}

/* What the columns cannot say: standbys, and snapshots that failed. */
static void print_notes(FILE *out, const shard_view *view)
{
    for (uint32_t i = 0; i < view->n; i++) {
        const uint64_t *figure = view->answer[i].status.figure;
        uint64_t n_failed = figure[TW_STATUS_SNAPSHOT_FAILURES];
        if (!view->answer[i].has_answered)
            continue;
        if (figure[TW_STATUS_IS_STANDBY] == 1)
            (void)fprintf(out, "shard %" PRIu64 " at %s: a standby, which serves once it is promoted\n",
                figure[TW_STATUS_SHARD], address_of(view, i));
        if (figure[TW_STATUS_IS_CAUGHT_UP] != TW_STATUS_UNKNOWN) {
            (void)fprintf(out, "shard %" PRIu64 ": ", figure[TW_STATUS_SHARD]);
            print_lag(out, figure);
        }
        print_failed_copies(out, &view->answer[i].status);
        if (n_failed != TW_STATUS_UNKNOWN && n_failed > 0)
            (void)fprintf(out, "shard %" PRIu64 ": snapshots failed: %" PRIu64 ", as its messages say\n",
                figure[TW_STATUS_SHARD], n_failed);
    }
}

static void print_hot(FILE *out, const shard_view *view)
{
    for (uint32_t i = 0; i < view->n; i++) {
        const tw_shard_status *status = &view->answer[i].status;
        for (uint32_t k = 0; k < status->n_hot && k < SHOWN_IN_TABLE; k++) {
            uint64_t index = 0;
            double share = share_of(status, &status->hot[k]);
            if (!is_hot(status, &status->hot[k]))
                break;
            (void)fprintf(out, "hot: ");
            if (hot_index(status, status->hot[k].key, &index))
                (void)fprintf(out, "key %" PRIu64, index);
            else
                (void)fprintf(out, "key %016" PRIx64, status->hot[k].key);
            (void)fprintf(
                out, ", %.1f %% of the touches of shard %" PRIu64 "\n", share * 100, status->figure[TW_STATUS_SHARD]);
        }
    }
}

static void print_rounds(FILE *out, const shard_view *view)
{
    for (uint32_t i = 0; i < view->n; i++) {
        const uint64_t *figure = view->answer[i].status.figure;
        if (!view->answer[i].has_answered || figure[TW_STATUS_ROUND_WORKERS] == TW_STATUS_UNKNOWN ||
            figure[TW_STATUS_ROUND_WORKERS] == 0)
            continue;
        (void)fprintf(out, "rounds: shard %" PRIu64 " has %" PRIu64 " workers in rounds %" PRIu64 " to %" PRIu64,
            figure[TW_STATUS_SHARD], figure[TW_STATUS_ROUND_WORKERS], figure[TW_STATUS_ROUND],
            figure[TW_STATUS_ROUND] + figure[TW_STATUS_ROUND_SPREAD]);
        if (figure[TW_STATUS_ROUND_CULPRIT] != TW_STATUS_UNKNOWN)
            (void)fprintf(out, "; %" PRIu64 " wait, longest for worker %" PRIu64 " for %.1f s",
                figure[TW_STATUS_ROUND_WAITING], figure[TW_STATUS_ROUND_CULPRIT],
                (double)figure[TW_STATUS_ROUND_WAIT_MS] / 1e3);
        (void)fprintf(out, "\n");
    }
}

void shard_report_print(FILE *out, const shard_view *view)
{
    shard_totals totals = shard_totals_of(view);
    int width = 24;
    for (uint32_t i = 0; i < view->n; i++)
        width = (int)strlen(address_of(view, i)) > width ? (int)strlen(address_of(view, i)) : width;
    (void)fprintf(out, "%5s  %-*s  %-12s  %10s  %9s  %11s  %7s  %9s  %8s  %8s  %8s  %7s  %9s\n", "shard", width,
        "address", "model", "rows", "memory", "events", "behind", "pushes", "sessions", "snapshot", "age", "refused",
        "conflicts");
    for (uint32_t i = 0; i < view->n; i++)
        print_shard(out, view, &totals, i, width);
    if (isfinite(totals.shard_skew))
        (void)fprintf(out, "skew (largest by mean): %.2f over shards", totals.shard_skew);
    if (isfinite(totals.shard_skew) && isfinite(totals.slot_skew))
        (void)fprintf(out, ", %.2f over slots", totals.slot_skew);
    if (isfinite(totals.shard_skew))
        (void)fputc('\n', out);
    print_rounds(out, view);
    print_notes(out, view);
    print_hot(out, view);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static json_t *json_count(uint64_t value)
{
    return value == TW_STATUS_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

static json_t *json_figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_hex(uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%016" PRIx64, value);
    return json_string(text);
}

static json_t *json_hot(const tw_shard_status *status)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < status->n_hot; i++) {
        json_t *one = json_object();
        uint64_t index = 0;
        double share = share_of(status, &status->hot[i]);
        put(one, "key", json_hex(status->hot[i].key));
        put(one, "index",
            hot_index(status, status->hot[i].key, &index) ? json_integer((json_int_t)index) : json_null());
        put(one, "share", json_real(share));
        put(one, "hot", json_boolean(is_hot(status, &status->hot[i])));
        (void)json_array_append_new(list, one);
    }
    return list;
}

/* Workers that keep rounds, by number. */
static json_t *json_rounds(const tw_shard_status *status)
{
    static const char *const state[] = {"absent", "learns", "waits", "finished"};
    json_t *list = json_array();
    for (uint32_t i = 0; i < status->n_workers; i++) {
        json_t *one = json_object();
        uint32_t is = status->worker[i].state;
        put(one, "worker", json_integer((json_int_t)i));
        put(one, "round", json_integer((json_int_t)status->worker[i].round));
        put(one, "state", json_string(is < sizeof state / sizeof state[0] ? state[is] : "unknown"));
        (void)json_array_append_new(list, one);
    }
    return list;
}

static json_t *json_shard(const shard_view *view, const shard_totals *totals, uint32_t i)
{
    const tw_shard_status *status = &view->answer[i].status;
    const tw_status_entry *table = tw_status_table();
    json_t *out = json_object();
    put(out, "address", json_string(address_of(view, i)));
    put(out, "answers", json_boolean(view->answer[i].has_answered));
    if (!view->answer[i].has_answered)
        return out;
    put(out, "model", status->model[0] != '\0' ? json_string(status->model) : json_null());
    for (int f = 0; f < TW_STATUS_N_FIGURES; f++) {
        /* Beyond what JSON readers keep exactly. */
        bool is_id = f == TW_STATUS_INCARNATION || f == TW_STATUS_HASH_SEED;
        put(out, table[f].name, is_id ? json_hex(status->figure[f]) : json_count(status->figure[f]));
    }
    put(out, "copy_failure", status->copy_failure[0] != '\0' ? json_string(status->copy_failure) : json_null());
    put(out, "event_lag", json_count(event_lag(totals, status)));
    put(out, "mark_lag", json_count(mark_lag(view, status)));
    put(out, "refused", refused_json(status->nack));
    json_t *range = json_array();
    for (uint32_t r = 0; r < status->n_ranges; r++)
        (void)json_array_append_new(range, json_integer((json_int_t)status->range[r]));
    put(out, "slot_ranges", range);
    put(out, "rounds", json_rounds(status));
    put(out, "hot_keys", json_hot(status));
    return out;
}

char *shard_report_json(const shard_view *view)
{
    shard_totals totals = shard_totals_of(view);
    json_t *out = json_object(), *list = json_array();
    for (uint32_t i = 0; i < view->n; i++)
        (void)json_array_append_new(list, json_shard(view, &totals, i));
    put(out, "answering", json_integer((json_int_t)totals.n_answered));
    put(out, "shard_skew", json_figure(totals.shard_skew));
    put(out, "slot_skew", json_figure(totals.slot_skew));
    put(out, "shards", list);
    char *text = json_dumps(out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(out);
    return text;
}

/* --- Prometheus ------------------------------------------------------------------------------------------------- */

void shard_label(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\' || *text == '\n')
            *text = '_';
    }
}

typedef struct metrics_writer {
    const shard_view *view;
    const char *model;
    tw_text *out;
    tw_status status;
    tw_error *error;
} metrics_writer;

static void write_head(metrics_writer *self, const char *name, const char *type, const char *help)
{
    if (self->status == TW_STATUS_OK)
        self->status = tw_text_addf(
            self->out, self->error, "# HELP thalweg_%s %s\n# TYPE thalweg_%s %s\n", name, help, name, type);
}

/* `more` is further labels, with a comma in front, or "". Unknown values are left out. */
static void write_value(metrics_writer *self, const char *name, uint32_t i, const char *more, double value)
{
    char text[TW_REAL_TEXT_SIZE];
    uint64_t shard = self->view->answer[i].has_answered ? self->view->answer[i].status.figure[TW_STATUS_SHARD] : i;
    if (!isfinite(value) || self->status < 0)
        return;
    tw_text_from_real(value, text);
    self->status = tw_text_addf(self->out, self->error, "thalweg_%s{model=\"%s\",shard=\"%" PRIu64 "\"%s} %s\n", name,
        self->model, shard, more, text);
}

static void write_figure(metrics_writer *self, const tw_status_entry *entry, int figure)
{
    char name[80];
    (void)snprintf(name, sizeof name, "shard_%s", entry->metric);
    write_head(self, name, entry->type, entry->help);
    for (uint32_t i = 0; i < self->view->n; i++) {
        if (self->view->answer[i].has_answered)
            write_value(self, name, i, "", known(self->view->answer[i].status.figure[figure]) * entry->scale);
    }
}

static void write_refused(metrics_writer *self)
{
    char key[REFUSED_KEY_SIZE], label[REFUSED_KEY_SIZE + 16];
    write_head(self, "shard_refused_frames_total", "counter", "Frames refused, by reason.");
    for (uint32_t i = 0; i < self->view->n; i++) {
        for (int r = 1; self->view->answer[i].has_answered && r < TW_NACK_N_REASONS; r++) {
            refused_key(r, key);
            (void)snprintf(label, sizeof label, ",reason=\"%s\"", key);
            write_value(self, "shard_refused_frames_total", i, label, (double)self->view->answer[i].status.nack[r]);
        }
    }
}

static void write_lags(metrics_writer *self, const shard_totals *totals)
{
    write_head(self, "shard_event_lag", "gauge", "Events behind the furthest shard.");
    for (uint32_t i = 0; i < self->view->n; i++) {
        if (self->view->answer[i].has_answered)
            write_value(self, "shard_event_lag", i, "", known(event_lag(totals, &self->view->answer[i].status)));
    }
    write_head(self, "shard_mark_lag", "gauge", "Source positions behind the shard that is furthest ahead.");
    for (uint32_t i = 0; i < self->view->n; i++) {
        if (self->view->answer[i].has_answered)
            write_value(self, "shard_mark_lag", i, "", (double)mark_lag(self->view, &self->view->answer[i].status));
    }
    write_head(self, "shard_up", "gauge", "1: the shard answers.");
    for (uint32_t i = 0; i < self->view->n; i++)
        write_value(self, "shard_up", i, "", self->view->answer[i].has_answered);
}

static void write_skew(metrics_writer *self, const char *name, const char *help, double value)
{
    char text[TW_REAL_TEXT_SIZE];
    if (!isfinite(value))
        return;
    tw_text_from_real(value, text);
    write_head(self, name, "gauge", help);
    if (self->status == TW_STATUS_OK)
        self->status = tw_text_addf(self->out, self->error, "thalweg_%s{model=\"%s\"} %s\n", name, self->model, text);
}

tw_status shard_report_metrics(const shard_view *view, const char *model, tw_text *out, tw_error *error)
{
    metrics_writer writer = {.view = view, .model = model, .out = out, .error = error};
    const tw_status_entry *table = tw_status_table();
    shard_totals totals = shard_totals_of(view);
    for (int i = 0; i < TW_STATUS_N_FIGURES; i++) {
        if (table[i].metric != NULL)
            write_figure(&writer, &table[i], i);
    }
    write_refused(&writer);
    if (view->n > 1 || view->answer[0].status.figure[TW_STATUS_SHARDS] <= 1) {
        write_lags(&writer, &totals);
        write_skew(&writer, "shards_skew", "Touches of the busiest shard by their mean.", totals.shard_skew);
    }
    write_skew(&writer, "slots_skew", "Touches of the busiest slot range by their mean.", totals.slot_skew);
    return writer.status;
}
