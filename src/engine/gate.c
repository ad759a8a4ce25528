#include "engine/gate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "engine/metrics.h"

static tw_status refuse_figure(const char *figure, tw_task task, const char *learner, tw_error *error)
{
    char known[200] = "";
    size_t size = 0, count = 0;
    const tw_figure_entry *table = tw_figure_table(&count);
    for (size_t i = 0; i < count && size < sizeof known; i++) {
        if ((table[i].tasks >> task & 1) != 0)
            size += (size_t)snprintf(known + size, sizeof known - size, "%s%s", size > 0 ? ", " : "", table[i].name);
    }
    tw_status status =
        tw_error_set(error, TW_STATUS_CONFIG, "publish.require.%.40s: learner %s has no such figure; %s%s", figure,
            learner, size > 0 ? "it has " : "it has none", known);
    tw_error_code(error, "E133");
    return status;
}

tw_status tw_gate_check(const tw_gate_options *options, tw_task task, const char *learner, tw_error *error)
{
    if (options->n_required > TW_GATE_MAX)
        return tw_error_set(
            error, TW_STATUS_CONFIG, "publish.require: %u figures, the limit is %d", options->n_required, TW_GATE_MAX);
    for (uint32_t i = 0; i < options->n_required; i++) {
        const tw_figure_entry *figure = tw_figure_find(options->require[i].figure);
        if (figure == NULL || (figure->tasks >> task & 1) == 0)
            return refuse_figure(options->require[i].figure, task, learner, error);
    }
    return TW_STATUS_OK;
}

/* --- the verdict as bytes: magic, then the struct's members as u64 and f64 -------------------------------------- */

static const uint64_t verdict_magic = 0x3154434944524556u; /* "VERDICT1" */

typedef struct saved_verdict {
    uint64_t magic, is_published, over, events, published_version, refused_versions, n_figures;
    struct {
        char name[TW_GATE_NAME_SIZE];
        uint64_t kind;
        double bound, value;
    } figure[TW_GATE_MAX];
} saved_verdict;

static tw_status put_verdict(const tw_verdict *self, tw_manifest *manifest, tw_error *error)
{
    saved_verdict saved;
    memset(&saved, 0, sizeof saved);
    saved.magic = verdict_magic;
    saved.is_published = self->is_published;
    saved.over = self->over;
    saved.events = self->events;
    saved.published_version = self->published_version;
    saved.refused_versions = self->refused_versions;
    saved.n_figures = self->n_figures;
    for (uint32_t i = 0; i < self->n_figures; i++) {
        memcpy(saved.figure[i].name, self->figure[i].name, TW_GATE_NAME_SIZE);
        saved.figure[i].kind = self->figure[i].limit.kind;
        saved.figure[i].bound = self->figure[i].limit.bound;
        saved.figure[i].value = self->figure[i].value;
    }
    return tw_manifest_add(manifest, "verdict", &saved, sizeof saved, error);
}

tw_status tw_verdict_read(const tw_manifest *manifest, tw_verdict *out, tw_error *error)
{
    const tw_section *section = tw_manifest_find(manifest, "verdict");
    saved_verdict saved;
    memset(out, 0, sizeof *out);
    memset(&saved, 0, sizeof saved);
    out->is_published = section == NULL;
    if (section == NULL)
        return TW_STATUS_OK;
    if (section->size == sizeof saved)
        memcpy(&saved, section->bytes, sizeof saved);
    if (saved.magic != verdict_magic || saved.is_published > 1 || saved.n_figures > TW_GATE_MAX)
        return tw_error_set(error, TW_STATUS_CORRUPT, "checkpoint %06llu: its verdict cannot be read",
            (unsigned long long)manifest->id);
    *out = (tw_verdict){.is_published = saved.is_published != 0,
        .over = saved.over,
        .events = saved.events,
        .published_version = saved.published_version,
        .refused_versions = saved.refused_versions,
        .n_figures = (uint32_t)saved.n_figures};
    for (uint32_t i = 0; i < out->n_figures; i++) {
        memcpy(out->figure[i].name, saved.figure[i].name, TW_GATE_NAME_SIZE - 1);
        out->figure[i].limit = (tw_limit){(uint32_t)(saved.figure[i].kind % TW_N_LIMIT_KINDS), saved.figure[i].bound};
        out->figure[i].value = saved.figure[i].value;
    }
    return TW_STATUS_OK;
}

void tw_verdict_reason(const tw_verdict *self, char reason[TW_GATE_REASON_SIZE])
{
    size_t size = 0;
    reason[0] = '\0';
    if (self->is_published)
        return;
    if (self->events < self->over) {
        (void)snprintf(reason, TW_GATE_REASON_SIZE, "only %llu of %llu events learned",
            (unsigned long long)self->events, (unsigned long long)self->over);
        return;
    }
    for (uint32_t i = 0; i < self->n_figures && size < TW_GATE_REASON_SIZE - 1; i++) {
        const tw_gate_figure *figure = &self->figure[i];
        char limit[TW_LIMIT_TEXT_SIZE], value[TW_REAL_TEXT_SIZE];
        if (tw_limit_holds(&figure->limit, figure->value))
            continue;
        tw_limit_format(&figure->limit, limit);
        tw_text_from_real(round(figure->value * 1e6) / 1e6, value);
        int n = snprintf(reason + size, TW_GATE_REASON_SIZE - size, "%s%s %s is not %s", size > 0 ? "; " : "",
            figure->name, isnan(figure->value) ? "unknown" : value, limit);
        size += (size_t)n;
    }
}

/* --- judging ---------------------------------------------------------------------------------------------------- */

/* All figures over the window; AUC is exact. */
static tw_status take_figures(const tw_recent_view *window,
    const tw_gate_options *gate,
    tw_learner_traits *traits,
    tw_report *out,
    tw_error *error)
{
    tw_metrics *metrics = NULL;
    tw_metrics_options options = {.is_exact = true, .threshold = gate->threshold};
    tw_batch batch = {.n_events = window->n, .label = window->label, .weight = window->weight};
    traits->n_outputs = 1; /* of those, the window keeps the first */
    tw_status status = tw_metrics_create(traits, &options, &metrics, error);
    if (status == TW_STATUS_OK)
        status = tw_metrics_add(metrics, &batch, window->score, error);
    if (status == TW_STATUS_OK)
        tw_metrics_report(metrics, false, out);
    tw_metrics_destroy(&metrics);
    return status;
}

static bool take_figure(const tw_gate_requirement *requirement, const tw_figures *figures, tw_gate_figure *out)
{
    const tw_figure_entry *figure = tw_figure_find(requirement->figure);
    (void)snprintf(out->name, sizeof out->name, "%s", requirement->figure);
    out->limit = requirement->limit;
    out->value = figure != NULL ? tw_figure_value(figures, figure) : (double)NAN;
    return tw_limit_holds(&out->limit, out->value);
}

tw_status tw_gate_judge(const tw_gate_options *options,
    const tw_learner_traits *traits,
    const tw_verdict *before,
    tw_manifest *manifest,
    tw_verdict *out,
    tw_error *error)
{
    const tw_section *section = tw_manifest_find(manifest, "window");
    tw_learner_traits own = *traits;
    tw_recent_view window = {0};
    tw_report report;
    memset(&report, 0, sizeof report);
    memset(out, 0, sizeof *out);
    tw_figures_clear(&report.figures);
    tw_status status = section != NULL ? tw_recent_read(section->bytes, section->size, &window, error) : TW_STATUS_OK;
    if (status == TW_STATUS_OK && window.n > 0)
        status = take_figures(&window, options, &own, &report, error);
    if (status < 0)
        return status;
    out->over = options->over;
    out->events = window.n;
    out->is_published = window.n >= options->over;
    out->n_figures = options->n_required;
    for (uint32_t i = 0; i < options->n_required; i++)
        out->is_published &= take_figure(&options->require[i], &report.figures, &out->figure[i]);
    out->published_version = out->is_published ? manifest->id : before->published_version;
    out->refused_versions = before->refused_versions + !out->is_published;
    return put_verdict(out, manifest, error);
}
