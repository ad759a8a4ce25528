#include "ps/edge/lookout_edge.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "ps/wire/link.h"

struct tw_lookout_edge {
    tw_lookout *state;
    tw_link *link; /* a place is a shard of its own there */
    tw_status failure;
    tw_error error;
};

/* What cannot be sent now is sent again by the lookout's own clock. */
static void edge_emit(void *context, uint32_t place, const void *bytes, size_t size)
{
    tw_lookout_edge *self = context;
    tw_error error = {0};
    tw_status status = self->link->ops->send(self->link, place, bytes, size, &error);
    if (status >= 0 || status == TW_STATUS_BUSY || status == TW_STATUS_UNAVAILABLE)
        return;
    self->failure = status;
    self->error = error;
}

static tw_status edge_connect(tw_lookout_edge *self, const tw_socket_security *security, tw_error *error)
{
    uint32_t n = tw_lookout_n_places(self->state);
    const char **address = tw_alloc(n * sizeof *address);
    if (address == NULL)
        return tw_no_memory(error, n * sizeof *address);
    for (uint32_t i = 0; i < n; i++)
        address[i] = tw_lookout_address(self->state, i);
    tw_status status = tw_link_zmq_create(address, n, security, &self->link, error);
    tw_free(address);
    return status;
}

tw_status tw_lookout_edge_create(const tw_lookout_edge_options *options, tw_lookout_edge **out, tw_error *error)
{
    *out = NULL;
    tw_lookout_edge *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    tw_lookout_options lookout = {
        .address = options->address,
        .n_shards = options->n_shards,
        .silence_us = options->silence_us,
        .hint = options->hint,
        .sender = tw_link_sender(),
        .emit = edge_emit,
        .note = options->note,
        .context = self,
        .note_context = options->context,
    };
    tw_status status = tw_lookout_create(&lookout, tw_clock_monotonic_us(), &self->state, error);
    if (status == TW_STATUS_OK)
        status = edge_connect(self, options->security, error);
    if (status < 0)
        tw_lookout_edge_destroy(&self);
    *out = self;
    return status;
}

void tw_lookout_edge_destroy(tw_lookout_edge **self)
{
    tw_lookout_edge *edge = *self;
    if (edge == NULL)
        return;
    *self = NULL;
    tw_lookout_destroy(&edge->state);
    if (edge->link != NULL)
        edge->link->ops->close(edge->link);
    tw_free(edge);
}

static tw_status edge_receive(tw_lookout_edge *self, uint32_t place, int64_t now_us, tw_error *error)
{
    for (;;) {
        const void *bytes = NULL;
        size_t size = 0;
        tw_status status = self->link->ops->receive(self->link, place, &bytes, &size, error);
        if (status == TW_STATUS_IDLE)
            return TW_STATUS_OK;
        if (status < 0 && status != TW_STATUS_PROTOCOL)
            return status;
        if (status == TW_STATUS_OK)
            tw_lookout_receive(self->state, now_us, place, bytes, size);
    }
}

tw_status tw_lookout_edge_turn(tw_lookout_edge *self, int64_t now_us, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < tw_lookout_n_places(self->state) && status == TW_STATUS_OK; i++)
        status = edge_receive(self, i, now_us, error);
    if (status < 0)
        return status;
    tw_lookout_tick(self->state, now_us);
    if (self->failure < 0 && error != NULL)
        *error = self->error;
    return self->failure;
}

tw_lookout *tw_lookout_edge_state(tw_lookout_edge *self)
{
    return self->state;
}
