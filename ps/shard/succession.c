/* A shard and its standby: who subscribes, who takes over from whom. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "ps/shard/shard_state.h"

enum {
    FEED_QUIET_US = 200000,      /* without sending, after which a standby that heard nothing is sent all again */
    FEED_ABANDONED_US = 3000000, /* silence after which another standby may take the place */
    MAX_EPOCHS_AHEAD = 1 << 20,  /* no honest client is further ahead */
};

/* No honest epoch comes near; behind the last number there would be no successor. */
static const uint64_t feed_last_epoch = (uint64_t)1 << 62;

static void feed_say(tw_shard *self, const tw_frame *frame)
{
    if (tw_frame_begin(&self->out, frame, NULL, NULL) < 0)
        return;
    tw_frame_finish(&self->out, frame);
    self->options.emit(self->options.context, self->feed.peer, self->feed.peer_size, self->out.bytes, self->out.size);
}

/* "Still here": LOG_ACK with the stream and the number of its last entry. */
static void feed_say_alive(tw_shard *self)
{
    const tw_feed *feed = &self->feed;
    feed_say(self, &(tw_frame){.type = TW_FRAME_LOG_ACK,
                       .model = self->model,
                       .sender = feed->sender,
                       .epoch = feed->epoch,
                       .incarnation = self->incarnation,
                       .sequence = feed->last,
                       .handle = feed->stream});
}

static void take_subscribe(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_feed *feed = &self->feed;
    tw_subscription wanted;
    if (!tw_subscription_get(&wanted, frame) || wanted.index != self->options.index ||
        wanted.count != self->options.count) {
        char why[TW_ERROR_MESSAGE_SIZE];
        (void)snprintf(why, sizeof why, "this is shard %u of %u: start the standby with --shard %u/%u",
            self->options.index, self->options.count, self->options.index, self->options.count);
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_SCHEMA, NULL, why);
        return;
    }
    if (frame->epoch > feed->epoch) {
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_NOT_PRIMARY, NULL,
            "this standby knows of a later epoch: it was the primary once, and its own files are newer; start it "
            "without --standby-of, and the other one as its standby");
        return;
    }
    if (feed->has_peer && feed->sender != frame->sender && feed->now_us - feed->heard_us < FEED_ABANDONED_US) {
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_OVERLOAD, NULL, "this shard has a standby already");
        return;
    }
    bool goes_on = feed->has_peer && feed->sender == frame->sender && feed->stream != 0 &&
                   frame->handle == feed->stream && frame->sequence >= feed->acked && frame->sequence <= feed->last;
    memcpy(feed->peer, peer, peer_size);
    feed->peer_size = peer_size;
    feed->sender = frame->sender;
    feed->heard_us = feed->now_us;
    feed->has_peer = true;
    feed->is_sync = wanted.is_sync;
    if (goes_on)
        tw_feed_confirm(self, frame->sequence);
    else
        tw_feed_restart(self);
    tw_feed_go_back(feed);
    feed_say_alive(self);
}

static void take_ack(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_feed *feed = &self->feed;
    bool is_known = feed->has_peer && feed->sender == frame->sender && frame->handle == feed->stream &&
                    peer_size == feed->peer_size && memcmp(peer, feed->peer, peer_size) == 0;
    if (!is_known) {
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_STALE_INCARNATION, NULL, "no such stream: subscribe");
        return;
    }
    feed->heard_us = feed->now_us;
    tw_feed_confirm(self, frame->sequence);
    if (frame->flags & TW_FRAME_DUPLICATE) {
        if (frame->ack > frame->sequence || feed->now_us - feed->sent_us >= FEED_QUIET_US)
            tw_feed_go_back(feed);
        feed_say_alive(self);
    }
    tw_feed_pump(self);
}

/* Of the stream that this shard feeds, from the one that it feeds; anything else is late, or nobody's. */
static bool is_given_up(const tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    const tw_feed *feed = &self->feed;
    return frame->type == TW_FRAME_NACK && feed->has_peer && feed->stream != 0 && frame->handle == feed->stream &&
           frame->sender == feed->sender && peer_size == feed->peer_size && memcmp(peer, feed->peer, peer_size) == 0;
}

static void take_give_up(tw_shard *self, const tw_frame *frame)
{
    tw_feed *feed = &self->feed;
    uint64_t n_dropped = feed->n_dropped;
    size_t size = frame->payload_size < sizeof feed->why ? frame->payload_size : sizeof feed->why - 1;
    tw_feed_drop(self);
    feed->n_dropped = n_dropped;
    feed->n_given_up++;
    memcpy(feed->why, frame->payload, size);
    feed->why[size] = '\0';
}

/* --- who takes over from whom ------------------------------------------------------------------------------------- */

/* From now on the epoch is this one. */
static void set_epoch(tw_shard *self, uint64_t epoch, bool is_certain)
{
    self->feed.epoch = epoch;
    self->feed.is_epoch_certain = is_certain;
    if (self->table != NULL)
        tw_table_set_epoch(self->table, epoch);
}

void tw_feed_meet_table(tw_shard *self)
{
    uint64_t saved = tw_table_epoch(self->table);
    if (!self->options.is_epoch_certain && saved > self->feed.epoch)
        set_epoch(self, saved, false);
    else
        set_epoch(self, self->feed.epoch, self->feed.is_epoch_certain);
}

void tw_shard_know_epoch(tw_shard *self, uint64_t epoch)
{
    if (self->feed.is_standby && epoch > self->feed.epoch)
        self->feed.epoch = epoch;
}

void tw_shard_know_copies(tw_shard *self, uint64_t n_failed, const char *why)
{
    tw_feed *feed = &self->feed;
    if (!feed->is_standby || n_failed == feed->n_failed_copies)
        return;
    size_t size = strlen(why);
    size = size < sizeof feed->why ? size : sizeof feed->why - 1;
    feed->n_failed_copies = n_failed;
    memcpy(feed->why, why, size);
    feed->why[size] = '\0';
}

bool tw_feed_is_behind(const tw_shard *self, uint64_t epoch)
{
    return self->feed.is_standby || self->feed.is_deposed || epoch > self->feed.epoch;
}

void tw_feed_hear_of(tw_shard *self, uint64_t epoch)
{
    tw_feed *feed = &self->feed;
    if (epoch > feed->known_epoch && epoch < feed->epoch + MAX_EPOCHS_AHEAD)
        feed->known_epoch = epoch;
}

static void say_promoted(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *request)
{
    tw_frame answer = tw_shard_answer(self, NULL, request, TW_FRAME_PROMOTED);
    answer.handle = self->feed.epoch;
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) < 0)
        return;
    tw_frame_finish(&self->out, &answer);
    self->options.emit(self->options.context, peer, peer_size, self->out.bytes, self->out.size);
}

static void take_promote(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_feed *feed = &self->feed;
    bool is_used = feed->is_standby && feed->epoch > 0 && frame->handle == feed->epoch;
    if (feed->is_deposed || (frame->handle != 0 && (frame->handle < feed->epoch || is_used))) {
        tw_shard_nack(
            self, peer, peer_size, frame, TW_NACK_STALE_EPOCH, NULL, "PROMOTE: this shard knows a later epoch");
        return;
    }
    if (frame->payload_size >= sizeof feed->promotion.address || frame->handle > feed_last_epoch) {
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_BAD_FRAME, NULL,
            "PROMOTE: the address is too long, or the epoch is one that nobody could follow");
        return;
    }
    if (!feed->is_standby) {
        if (frame->handle != 0)
            set_epoch(self, frame->handle, true);
        say_promoted(self, peer, peer_size, frame);
        return;
    }
    if (feed->has_promotion) {
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_OVERLOAD, NULL, "PROMOTE: another one is under way");
        return;
    }
    feed->has_promotion = true;
    feed->promotion = (tw_promotion){.epoch = frame->handle != 0 ? frame->handle : feed->epoch + 1};
    memcpy(feed->promotion.address, frame->payload, frame->payload_size);
    memcpy(feed->promoter, peer, peer_size);
    feed->promoter_size = peer_size;
    feed->promoter_sender = frame->sender;
    feed->promoter_sequence = frame->sequence;
}

bool tw_shard_promotion_wanted(tw_shard *self, tw_promotion *out)
{
    *out = self->feed.promotion;
    return self->feed.has_promotion;
}

void tw_shard_promotion_done(tw_shard *self, tw_status status, const char *message)
{
    tw_feed *feed = &self->feed;
    tw_frame request = {.sender = feed->promoter_sender, .sequence = feed->promoter_sequence};
    feed->has_promotion = false;
    if (status == TW_STATUS_OK)
        say_promoted(self, feed->promoter, feed->promoter_size, &request);
    else
        tw_shard_nack(self, feed->promoter, feed->promoter_size, &request,
            status == TW_STATUS_UNAVAILABLE ? TW_NACK_NOT_PRIMARY : TW_NACK_FAILED, NULL, message);
}

tw_status tw_shard_take_over(tw_shard *self, tw_table *table, const char *name, uint64_t epoch, tw_error *error)
{
    tw_status status = tw_shard_adopt_take(self, table, error);
    if (status < 0) {
        tw_table_destroy(&table);
        return status;
    }
    size_t size = strlen(name);
    memset(self->name, 0, sizeof self->name);
    memcpy(self->name, name, size < sizeof self->name ? size : sizeof self->name - 1);
    self->model = tw_hash(self->name, strlen(self->name));
    set_epoch(self, epoch, true);
    self->feed.is_standby = false;
    self->rounds.is_resumed = true;
    return TW_STATUS_OK;
}

/* The successor's rows hold what counts: nothing is learned here any more. */
static void take_promoted(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_feed *feed = &self->feed;
    tw_subscription meant;
    bool is_meant = tw_subscription_get(&meant, frame) && meant.index == self->options.index &&
                    meant.count == self->options.count && (self->model == 0 || self->model == frame->model);
    if (!is_meant) {
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_SCHEMA, NULL, "PROMOTED of another shard");
        return;
    }
    bool is_later = frame->handle > feed->epoch || (frame->handle == feed->epoch && !feed->is_epoch_certain);
    if (is_later && !feed->is_standby) {
        tw_feed_drop(self);
        feed->n_dropped = 0;
        feed->is_deposed = true;
        for (uint32_t i = 0; i < self->options.max_sessions; i++)
            tw_session_fini(&self->session[i]);
    }
    say_promoted(self, peer, peer_size, frame);
}

/* --- dispatch ----------------------------------------------------------------------------------------------------- */

static bool may(uint32_t roles, tw_frame_type type)
{
    return (roles & (type == TW_FRAME_PROMOTE ? (uint32_t)TW_MAY_PROMOTE : (uint32_t)TW_MAY_REPLICATE)) != 0;
}

bool tw_feed_receive(tw_shard *self, uint32_t roles, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_frame_type type = frame->type;
    bool gives_up = is_given_up(self, peer, peer_size, frame);
    bool is_mine = type == TW_FRAME_SUBSCRIBE || type == TW_FRAME_LOG_ACK || type == TW_FRAME_PROMOTE ||
                   type == TW_FRAME_PROMOTED || gives_up;
    bool is_passive = self->feed.is_standby || self->feed.is_deposed;
    if (is_mine && !may(roles, type))
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_DENIED, NULL, "the key of this peer does not allow this");
    else if (type == TW_FRAME_PROMOTE)
        take_promote(self, peer, peer_size, frame);
    else if (type == TW_FRAME_PROMOTED)
        take_promoted(self, peer, peer_size, frame);
    else if (is_passive)
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_NOT_PRIMARY, NULL,
            self->feed.is_standby ? "this shard is a standby" : "another shard has taken over from this one");
    else if (type == TW_FRAME_SUBSCRIBE)
        take_subscribe(self, peer, peer_size, frame);
    else if (type == TW_FRAME_LOG_ACK)
        take_ack(self, peer, peer_size, frame);
    else if (gives_up)
        take_give_up(self, frame);
    else
        return false;
    return true;
}
