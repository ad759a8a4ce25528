#include "ps/worker/membership.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "ps/wire/patience.h"

void tw_membership_init(tw_membership *self,
    const char *name,
    uint64_t model,
    uint64_t sender,
    uint32_t n_shares,
    uint32_t passes,
    int64_t heartbeat_us)
{
    *self = (tw_membership){
        .standing = {.n_shares = n_shares, .passes = passes},
        .model = model,
        .sender = sender,
        .heartbeat_us = heartbeat_us,
        .needed = 1,
    };
    memcpy(self->standing.name, name, strnlen(name, TW_MEMBER_NAME_SIZE - 1));
}

void tw_membership_begin(tw_membership *self, int64_t now_us)
{
    self->looked_us = self->heard_us = now_us;
}

void tw_membership_look(tw_membership *self, int64_t now_us)
{
    int64_t stood_still_us = tw_stood_still_us(&self->looked_us, now_us);
    self->heard_us += stood_still_us;
    self->delayed_us += stood_still_us;
}

int64_t tw_membership_silent_us(tw_membership *self, int64_t now_us)
{
    tw_membership_look(self, now_us);
    return now_us - self->heard_us;
}

int64_t tw_membership_delayed_us(tw_membership *self, int64_t now_us)
{
    tw_membership_look(self, now_us);
    return self->delay[0] != '\0' ? now_us - self->delayed_us : 0;
}

void tw_membership_fini(tw_membership *self)
{
    tw_free(self->address);
    tw_free(self->shard_epoch);
    self->address = NULL;
    self->shard_epoch = NULL;
    self->n_shards = 0;
}

void tw_membership_set(tw_membership *self, tw_hold hold, tw_grant grant)
{
    self->standing.hold = hold;
    self->standing.grant = grant;
    if (hold == TW_HOLD_NOTHING || hold == TW_HOLD_LEAVES)
        self->standing.grant = (tw_grant){0};
    self->needed = self->sequence + 1;
    self->has_orders = false;
    self->due_us = INT64_MIN;
}

bool tw_membership_is_due(const tw_membership *self, int64_t now_us)
{
    return now_us >= self->due_us;
}

tw_status tw_membership_report(tw_membership *self, int64_t now_us, tw_buffer *out, tw_error *error)
{
    tw_frame frame = {.type = TW_FRAME_REPORT,
        .model = self->model,
        .sender = self->sender,
        .incarnation = self->incarnation,
        .sequence = self->sequence + 1,
        .handle = self->standing.job};
    tw_status status = tw_frame_begin(out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_standing_encode(&self->standing, out, error);
    if (status < 0)
        return status;
    tw_frame_finish(out, &frame);
    self->sequence++;
    self->due_us = now_us + self->heartbeat_us;
    return TW_STATUS_OK;
}

static tw_status take_map(tw_membership *self, const tw_orders *orders, tw_error *error)
{
    if (orders->n_shards == 0 || orders->map_version == self->standing.map_version)
        return TW_STATUS_OK;
    char(*address)[TW_ADDRESS_SIZE] = tw_alloc_zero(orders->n_shards * sizeof *address);
    uint64_t *epoch = tw_alloc_zero(orders->n_shards * sizeof *epoch);
    if (address == NULL || epoch == NULL) {
        tw_free(address);
        tw_free(epoch);
        return tw_no_memory(error, orders->n_shards * sizeof *address);
    }
    for (uint32_t i = 0; i < orders->n_shards; i++)
        tw_map_entry(orders, i, address[i], &epoch[i]);
    tw_membership_fini(self);
    self->address = address;
    self->shard_epoch = epoch;
    self->n_shards = orders->n_shards;
    self->standing.map_version = orders->map_version;
    return TW_STATUS_OK;
}

static void take_text(char text[TW_ERROR_MESSAGE_SIZE], const tw_frame *frame)
{
    size_t n = frame->payload_size < TW_ERROR_MESSAGE_SIZE - 1 ? frame->payload_size : TW_ERROR_MESSAGE_SIZE - 1;
    memcpy(text, frame->payload, n);
    text[n] = '\0';
}

tw_status tw_membership_take(tw_membership *self, int64_t now_us, const void *bytes, size_t size, tw_error *error)
{
    tw_frame frame;
    tw_orders orders;
    if (tw_frame_decode(bytes, size, &frame, NULL) < 0 || frame.sender != self->sender)
        return TW_STATUS_OK;
    /* A coordinator that was replaced has nothing to say any more. */
    if (frame.incarnation < self->incarnation)
        return TW_STATUS_OK;
    tw_membership_look(self, now_us);
    self->heard_us = now_us;
    /* Only a shard answers so. */
    if (frame.type == TW_FRAME_NACK &&
        (frame.reason == TW_NACK_STALE_INCARNATION || frame.reason == TW_NACK_NOT_PRIMARY))
        (void)snprintf(self->refusal, sizeof self->refusal, "%s",
            "a shard answers at its address: give that of thalweg coordinator, or name the shards by --connect");
    bool is_final =
        frame.reason == TW_NACK_SCHEMA || frame.reason == TW_NACK_CONFLICT || frame.reason == TW_NACK_DENIED;
    if (frame.type == TW_FRAME_NACK && is_final)
        take_text(self->refusal, &frame);
    if (frame.type == TW_FRAME_NACK && frame.reason == TW_NACK_OVERLOAD) {
        if (self->delay[0] == '\0')
            self->delayed_us = now_us;
        take_text(self->delay, &frame);
    }
    if (frame.type != TW_FRAME_ORDERS || tw_orders_decode(&orders, frame.payload, frame.payload_size, NULL) < 0)
        return TW_STATUS_OK;
    self->incarnation = frame.incarnation;
    self->delay[0] = '\0';
    tw_status status = take_map(self, &orders, error);
    if (status < 0 || frame.ack < self->needed)
        return status;
    orders.map = NULL;
    self->orders = orders;
    self->has_orders = true;
    return TW_STATUS_OK;
}

bool tw_membership_must_pause(const tw_membership *self)
{
    if (!self->has_orders || self->standing.hold != TW_HOLD_LEARNS)
        return false;
    return self->orders.grant.epoch != self->standing.grant.epoch ||
           (self->orders.quiet != 0 && self->orders.quiet != self->standing.quiet);
}
