#include "ps/edge/standby_edge.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "ps/wire/link.h"

enum { EDGE_TURN_FRAMES = 64, EDGE_TURN_BYTES = 1 << 20, EDGE_TELL_US = 1000000, EDGE_WAIT_MS = 5 };

struct tw_standby_edge {
    tw_socket *socket;
    tw_message *message;
    tw_standby *standby; /* NULL: promoted */
    uint32_t index, count;
    uint64_t sender;
    char primary[TW_ADDRESS_SIZE];
    uint64_t model;       /* since it was promoted */
    bool has_predecessor; /* it may still live, at an address that is not this one's now */
    int64_t next_tell_us;
    tw_standby_figures told;
};

static void edge_emit(void *context, const void *bytes, size_t size)
{
    tw_standby_edge *self = context;
    tw_part part = {bytes, size};
    /* What cannot be sent now is sent again by the standby's own clock. */
    (void)!tw_socket_send(self->socket, &part, 1, NULL);
}

tw_status tw_standby_edge_create(
    tw_net *net, const tw_standby_edge_options *options, tw_standby_edge **out, tw_error *error)
{
    tw_status status = tw_address_check(options->primary, options->security != NULL, error);
    if (status < 0)
        return status;
    tw_standby_edge *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->index = options->index;
    self->count = options->count;
    self->sender = tw_link_sender();
    memcpy(self->primary, options->primary, strlen(options->primary) + 1);
    tw_socket_options socket = {
        .kind = TW_SOCKET_DEALER, .max_message_bytes = TW_DATA_MAX_BYTES, .security = options->security};
    tw_standby_options standby = {.index = options->index,
        .count = options->count,
        .sender = self->sender,
        .max_bytes = options->max_bytes,
        .epoch = options->epoch,
        .is_sync = options->is_sync,
        .emit = edge_emit,
        .context = self};
    status = tw_socket_create(net, &socket, &self->socket, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_connect(self->socket, options->primary, error);
    if (status == TW_STATUS_OK)
        status = tw_message_create(&self->message, error);
    if (status == TW_STATUS_OK)
        status = tw_standby_create(&standby, &self->standby, error);
    if (status < 0)
        tw_standby_edge_destroy(&self);
    *out = self;
    return status;
}

void tw_standby_edge_destroy(tw_standby_edge **self)
{
    tw_standby_edge *edge = *self;
    if (edge == NULL)
        return;
    tw_standby_destroy(&edge->standby);
    tw_message_destroy(&edge->message);
    tw_socket_destroy(&edge->socket);
    tw_free(edge);
    *self = NULL;
}

tw_socket *tw_standby_edge_socket(const tw_standby_edge *self)
{
    return self->socket;
}

bool tw_standby_edge_figures(const tw_standby_edge *self, tw_standby_figures *out)
{
    if (self->standby == NULL)
        return false;
    tw_standby_figures_get(self->standby, out);
    return true;
}

/* --- promotion ---------------------------------------------------------------------------------------------------- */

static tw_status edge_take_over(
    tw_standby_edge *self, tw_shard *shard, tw_socket *router, const tw_promotion *wanted, tw_error *error)
{
    tw_standby_figures figures;
    char name[TW_MODEL_NAME_SIZE];
    tw_standby_figures_get(self->standby, &figures);
    if (!figures.is_ready)
        return tw_error_set(error, TW_STATUS_UNAVAILABLE, "the copy of this standby is not complete");
    tw_status status = TW_STATUS_OK;
    if (wanted->address[0] != '\0')
        status = tw_socket_bind(router, wanted->address, error);
    if (status < 0)
        return error->status = TW_STATUS_IO;
    tw_table *table = tw_standby_take_table(self->standby, name);
    status = tw_shard_take_over(shard, table, name, wanted->epoch, error);
    if (status < 0)
        return status;
    tw_standby_destroy(&self->standby);
    self->model = tw_hash(name, strlen(name));
    self->has_predecessor = strcmp(wanted->address, self->primary) != 0;
    return TW_STATUS_OK;
}

/* The predecessor may come back at any time: it is told again and again who serves now. */
static void edge_tell_predecessor(tw_standby_edge *self, const tw_shard *shard)
{
    int64_t now_us = tw_clock_monotonic_us();
    tw_replication now;
    tw_shard_replication(shard, &now);
    if (!self->has_predecessor || now_us < self->next_tell_us)
        return;
    self->next_tell_us = now_us + EDGE_TELL_US;
    tw_buffer out = {0};
    tw_subscription which = {self->index, self->count, false};
    if (tw_promoted_encode(&out, self->sender, 0, self->model, now.epoch, &which, NULL) == TW_STATUS_OK)
        edge_emit(self, out.bytes, out.size);
    tw_free(out.bytes);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static tw_status edge_receive(tw_standby_edge *self, uint32_t n_frames, tw_error *error)
{
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < n_frames && (n_bytes < EDGE_TURN_BYTES || n_frames == UINT32_MAX); i++) {
        tw_status status = tw_socket_receive(self->socket, self->message, error);
        if (status == TW_STATUS_IDLE)
            return TW_STATUS_OK;
        if (status < 0 && status != TW_STATUS_PROTOCOL)
            return status;
        if (status == TW_STATUS_PROTOCOL || tw_message_n_parts(self->message) != 1 || self->standby == NULL)
            continue;
        tw_part frame = tw_message_part(self->message, 0);
        n_bytes += frame.size;
        tw_standby_receive(self->standby, frame.bytes, frame.size);
    }
    return TW_STATUS_OK;
}

static void edge_tell(tw_standby_edge *self)
{
    tw_standby_figures now;
    tw_standby_figures_get(self->standby, &now);
    if (now.n_mismatches + now.n_broken > self->told.n_mismatches + self->told.n_broken)
        tw_log(TW_LOG_WARN,
            "standby of shard %u of %u: the copy failed %llu times one after the other; it begins anew "
            "in %g s: %s",
            self->index, self->count, (unsigned long long)now.n_restarts, (double)now.pause_us / 1e6, now.why);
    if (now.n_refused > 0 && self->told.n_refused == 0)
        tw_log(TW_LOG_WARN, "standby of shard %u of %u: refused: %s", self->index, self->count, now.why);
    self->told = now;
}

tw_status tw_standby_edge_turn(tw_standby_edge *self, tw_shard *shard, tw_socket *router, tw_error *error)
{
    tw_promotion wanted;
    bool is_wanted = tw_shard_promotion_wanted(shard, &wanted);
    tw_status status = edge_receive(self, is_wanted ? UINT32_MAX : EDGE_TURN_FRAMES, error);
    if (status < 0)
        return status;
    if (self->standby == NULL) {
        edge_tell_predecessor(self, shard);
        return TW_STATUS_OK;
    }
    tw_standby_tick(self->standby, tw_clock_monotonic_us());
    edge_tell(self);
    tw_shard_know_epoch(shard, self->told.epoch);
    tw_shard_know_copies(shard, self->told.n_mismatches + self->told.n_broken, self->told.why);
    if (is_wanted) {
        tw_error failure = {0};
        status = edge_take_over(self, shard, router, &wanted, &failure);
        tw_shard_promotion_done(shard, status, failure.message);
    }
    return TW_STATUS_OK;
}

/* --- asking for it ------------------------------------------------------------------------------------------------ */

static tw_status take_answer(const tw_frame *frame, const char *address, uint64_t *epoch, tw_error *error)
{
    if (frame->type == TW_FRAME_PROMOTED) {
        if (epoch != NULL)
            *epoch = frame->handle;
        return TW_STATUS_OK;
    }
    return tw_error_set(error, TW_STATUS_UNAVAILABLE, "the shard at %s does not take over: %.*s", address,
        (int)(frame->payload_size < 300 ? frame->payload_size : 300), (const char *)frame->payload);
}

/* IDLE: no answer in time. */
static tw_status exchange(tw_socket *socket,
    tw_message *message,
    const tw_buffer *request,
    int64_t deadline_us,
    tw_frame *answer,
    tw_error *error)
{
    bool is_sent = false, is_readable = false;
    while (tw_clock_monotonic_us() < deadline_us) {
        tw_part part = {request->bytes, request->size};
        tw_status status = is_sent ? TW_STATUS_OK : tw_socket_send(socket, &part, 1, error);
        is_sent = status == TW_STATUS_OK;
        if (status < 0 && status != TW_STATUS_BUSY)
            return status;
        status = tw_socket_wait(&socket, 1, is_sent ? EDGE_WAIT_MS : 1, &is_readable, error);
        if (status >= 0 && is_readable)
            status = tw_socket_receive(socket, message, error);
        if (status < 0)
            return status;
        if (!is_readable || status != TW_STATUS_OK)
            continue;
        tw_part got = tw_message_part(message, 0);
        if (tw_frame_decode(got.bytes, got.size, answer, NULL) == TW_STATUS_OK &&
            (answer->type == TW_FRAME_PROMOTED || answer->type == TW_FRAME_NACK))
            return TW_STATUS_OK;
    }
    return TW_STATUS_IDLE;
}

tw_status tw_shard_promote(const char *address,
    const tw_socket_security *security,
    const tw_promotion *promotion,
    int timeout_ms,
    uint64_t *epoch,
    tw_error *error)
{
    tw_net *net = NULL;
    tw_socket *socket = NULL;
    tw_message *message = NULL;
    tw_buffer out = {0};
    tw_frame answer = {0};
    tw_socket_options options = {
        .kind = TW_SOCKET_DEALER, .max_message_bytes = TW_DATA_MAX_BYTES, .security = security};
    int64_t deadline_us = tw_clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    tw_status status = tw_net_create(1, &net, error);
    if (status == TW_STATUS_OK)
        status = tw_message_create(&message, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_create(net, &options, &socket, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_connect(socket, address, error);
    if (status == TW_STATUS_OK)
        status = tw_promote_encode(&out, tw_link_sender(), 1, promotion, error);
    if (status == TW_STATUS_OK)
        status = exchange(socket, message, &out, deadline_us, &answer, error);
    if (status == TW_STATUS_IDLE) {
        status = tw_error_set(error, TW_STATUS_TIMEOUT,
            "the shard at %s was asked to take over and has not answered for %g s; check that it runs, and with keys "
            "that "
            "this one's role is admin",
            address, timeout_ms / 1000.0);
        tw_error_code(error, "E301");
    }
    if (status == TW_STATUS_OK)
        status = take_answer(&answer, address, epoch, error);
    tw_free(out.bytes);
    tw_message_destroy(&message);
    tw_socket_destroy(&socket);
    tw_net_destroy(&net);
    return status;
}
