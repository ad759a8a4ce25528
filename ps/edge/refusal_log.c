#include "ps/edge/refusal_log.h"

#include "ps/wire/status.h"

static const int64_t tell_every_us = 10000000;

bool tw_refusal_log_is_due(tw_refusal_log *self,
    int64_t now_us,
    const tw_refusals *refusals,
    const tw_guard *guard,
    bool is_last,
    char out[TW_REFUSALS_TEXT_SIZE])
{
    tw_guard_figures figures = {0};
    if (!is_last && now_us < self->next_us)
        return false;
    self->next_us = now_us + tell_every_us;
    if (guard != NULL)
        tw_guard_figures_get(guard, &figures);
    /* Its own test at the start is one stranger. */
    uint64_t n = tw_refusals_hostile(refusals) + figures.n_broke + figures.n_stranger - (figures.n_stranger > 0);
    if (n == (is_last ? 0 : self->n_told))
        return false;
    self->n_told = n;
    tw_refusals_text(refusals, guard != NULL ? &figures : NULL, out);
    return true;
}

uint64_t tw_refused_connections(const tw_guard *guard)
{
    tw_guard_figures figures = {0};
    if (guard == NULL)
        return TW_STATUS_UNKNOWN;
    tw_guard_figures_get(guard, &figures);
    return figures.n_stranger + figures.n_broke;
}
