#include "cmd/crew_figures.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

enum { FILE_MAX = 64 << 20 };

/* A file: this, the counts, the state of the metrics. Only processes of one program read it. */
static const uint64_t magic = 0x3147494657455243u; /* "CREWFIG1" */

tw_status crew_figures_init(crew_figures *self, const assembly *all, tw_error *error)
{
    tw_evaluation evaluation = assembly_evaluation(all);
    tw_metrics_options options = {.threshold = evaluation.threshold, .figures = evaluation.figures};
    *self = (crew_figures){.all = all};
    return tw_metrics_create(tw_model_traits(all->model), &options, &self->metrics, error);
}

void crew_figures_fini(crew_figures *self)
{
    tw_metrics_destroy(&self->metrics);
}

static void add_counts(crew_counts *to, const crew_counts *from)
{
    to->bad_events += from->bad_events;
    to->bytes += from->bytes;
    to->batches += from->batches;
    to->rewinds += from->rewinds;
    to->conflicts += from->conflicts;
    to->reconnects += from->reconnects;
}

void crew_figures_add(crew_figures *self, const crew_figures *other)
{
    add_counts(&self->counts, &other->counts);
    tw_metrics_merge(self->metrics, other->metrics);
}

static tw_status add_state(
    crew_figures *self, const crew_counts *counts, const void *bytes, size_t size, tw_error *error)
{
    crew_figures one;
    tw_status status = crew_figures_init(&one, self->all, error);
    if (status == TW_STATUS_OK)
        status = tw_metrics_load(one.metrics, bytes, size, error);
    if (status == TW_STATUS_OK) {
        one.counts = *counts;
        crew_figures_add(self, &one);
    }
    crew_figures_fini(&one);
    return status;
}

tw_status crew_figures_add_engine(crew_figures *self, tw_engine *engine, tw_error *error)
{
    void *bytes = NULL;
    size_t size = 0;
    tw_report report;
    tw_engine_report(engine, false, &report);
    const crew_counts counts = {
        .bad_events = report.bad_events, .bytes = report.bytes, .batches = report.batches, .rewinds = report.rewinds};
    tw_status status = tw_engine_save_metrics(engine, &bytes, &size, error);
    if (status == TW_STATUS_OK)
        status = add_state(self, &counts, bytes, size, error);
    self->counts.conflicts = report.conflicts;
    self->counts.reconnects = report.reconnects;
    tw_free(bytes);
    return status;
}

tw_status crew_figures_write(const crew_figures *self, const char *path, tw_error *error)
{
    void *metrics = NULL;
    size_t size = 0;
    const size_t head = sizeof magic + sizeof self->counts;
    tw_status status = tw_metrics_save(self->metrics, &metrics, &size, error);
    unsigned char *bytes = status == TW_STATUS_OK ? tw_alloc(head + size) : NULL;
    if (status == TW_STATUS_OK && bytes == NULL)
        status = tw_no_memory(error, head + size);
    if (status == TW_STATUS_OK) {
        memcpy(bytes, &magic, sizeof magic);
        memcpy(bytes + sizeof magic, &self->counts, sizeof self->counts);
        memcpy(bytes + head, metrics, size);
        status = tw_file_replace(path, bytes, head + size, error);
    }
    tw_free(bytes);
    tw_free(metrics);
    return status;
}

tw_status crew_figures_add_file(crew_figures *self, const char *path, tw_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    crew_counts counts;
    const size_t head = sizeof magic + sizeof counts;
    tw_status status = tw_file_load(path, FILE_MAX, &bytes, &size, error);
    if (status < 0)
        return status;
    if (size < head || memcmp(bytes, &magic, sizeof magic) != 0) {
        status = tw_error_set(error, TW_STATUS_CORRUPT, "%s: %zu bytes, which are no worker's figures", path, size);
    } else {
        memcpy(&counts, bytes + sizeof magic, sizeof counts);
        status = add_state(self, &counts, bytes + head, size - head, error);
    }
    tw_free(bytes);
    return status;
}

void crew_figures_report(const crew_figures *self, tw_report *out)
{
    const crew_counts *counts = &self->counts;
    out->bad_events = counts->bad_events;
    out->bytes = counts->bytes;
    out->batches = counts->batches;
    out->rewinds = counts->rewinds;
    out->conflicts = counts->conflicts;
    out->reconnects = counts->reconnects;
    tw_metrics_report(self->metrics, false, out);
    out->logloss_last = out->inertia_last = (double)NAN;
}
