#include "engine/share.h"

/* How many workers may learn at once, and how many of n events this one may have in flight then. One worker alone is
 * exact whatever is in flight. */
static uint32_t share_seats(const tw_share *self, const tw_share_asking *asking, uint32_t n, uint32_t *most)
{
    const tw_params_ops *ops = asking->params->ops;
    uint32_t n_workers = self->n_workers > 1 ? self->n_workers : 1;
    uint32_t until = ops->events_until_turn != NULL && n_workers == 1 ? ops->events_until_turn(asking->params) : 0;
    *most = until > 0 && until < n ? until : n;
    if (n_workers == 1 || self->is_flight_free || asking->learner->flight == NULL || ops->events_learned == NULL)
        return n_workers;
    double flight = asking->learner->flight(asking->state, ops->events_learned(asking->params));
    bool is_scarce = ops->seat != NULL && flight < n_workers;
    uint32_t seats = !is_scarce ? n_workers : flight < 2.0 ? 1 : (uint32_t)flight;
    double share = flight / seats;
    if (seats > 1)
        *most = share >= *most ? *most : share < 1.0 ? 1 : (uint32_t)share;
    return seats;
}

tw_status tw_share_take(
    const tw_share *self, const tw_share_asking *asking, uint32_t n, bool is_middle, uint32_t *most, tw_error *error)
{
    for (;;) {
        uint32_t seats = share_seats(self, asking, n, most);
        if (seats >= self->n_workers)
            return TW_STATUS_OK;
        tw_status status = asking->params->ops->seat(asking->params, seats, error);
        if (status != TW_STATUS_IDLE)
            return status;
        if (self->stop != NULL && atomic_load(self->stop))
            return is_middle ? TW_STATUS_OK : TW_STATUS_IDLE;
    }
}
