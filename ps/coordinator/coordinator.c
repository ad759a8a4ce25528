#include "ps/coordinator/coordinator.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "net/socket.h"
#include "ps/coordinator/coordinator_state.h"
#include "ps/wire/patience.h"

enum {
    DEAD_AFTER_US = 2000000,
    SAVE_TIMEOUT_US = 30000000,
    QUIET_PARTS = 3, /* of the time after which a worker is dead: then a newcomer of its name is its successor */
};

/* Owner epochs and incarnations begin at a time in us: no honest one, not even of a clock that was wrong, is 140 years
 * ahead. Whoever names such a one does not drive those of all others there. */
static const uint64_t max_ahead = (uint64_t)1 << 52;

static tw_status copy_addresses(tw_coordinator *self, const tw_coordinator_options *options, tw_error *error)
{
    self->address = tw_alloc_zero(options->n_shards * sizeof *self->address);
    self->shard_epoch = tw_alloc_zero(options->n_shards * sizeof *self->shard_epoch);
    if (self->address == NULL || self->shard_epoch == NULL)
        return tw_no_memory(error, options->n_shards * sizeof *self->address);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < options->n_shards && status == TW_STATUS_OK; i++)
        status = tw_coordinator_set_shard(self, i, options->address[i], 0, error);
    /* Another coordinator's versions mean nothing here. */
    self->map_version = (uint32_t)tw_mix64(options->incarnation) | 1;
    return status;
}

tw_status tw_coordinator_create(
    const tw_coordinator_options *options, int64_t now_us, tw_coordinator **out, tw_error *error)
{
    *out = NULL;
    if (options->n_shards == 0 || options->n_shards > TW_MAX_SHARDS || options->incarnation == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "a coordinator of %u shards: 1 to %d, and an incarnation",
            options->n_shards, TW_MAX_SHARDS);
    tw_coordinator *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    self->options.dead_after_us = options->dead_after_us ? options->dead_after_us : DEAD_AFTER_US;
    self->options.save_timeout_us = options->save_timeout_us ? options->save_timeout_us : SAVE_TIMEOUT_US;
    self->options.max_members = options->max_members ? options->max_members : TW_MAX_MEMBERS;
    self->next_epoch = self->born = options->incarnation;
    self->save.id = options->incarnation;
    self->refused_connections = TW_STATUS_UNKNOWN;
    self->started_us = self->now_us = self->looked_us = now_us;
    tw_status status = copy_addresses(self, options, error);
    self->options.address = NULL;
    if (status < 0)
        tw_coordinator_destroy(&self);
    *out = self;
    return status;
}

void tw_coordinator_destroy(tw_coordinator **self)
{
    tw_coordinator *all = *self;
    if (all == NULL)
        return;
    *self = NULL;
    tw_free(all->address);
    tw_free(all->shard_epoch);
    tw_free(all->member);
    tw_free(all->share);
    tw_free(all->out.bytes);
    tw_free(all);
}

void tw_coordinator_tell(tw_coordinator *self, const char *format, ...)
{
    char text[TW_ERROR_MESSAGE_SIZE];
    va_list arguments;
    if (self->options.note == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    self->options.note(self->options.note_context, text);
}

void tw_coordinator_nack(tw_coordinator *self,
    const void *peer,
    size_t peer_size,
    const tw_frame *request,
    tw_nack_reason reason,
    const char *message)
{
    tw_frame answer = {.type = TW_FRAME_NACK,
        .model = request->model,
        .sender = request->sender,
        .incarnation = self->options.incarnation,
        .ack = request->sequence,
        .reason = reason};
    tw_refusals_count(&self->refusals, reason);
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) < 0 ||
        tw_buffer_append(&self->out, message, strlen(message), NULL) < 0)
        return;
    tw_frame_finish(&self->out, &answer);
    self->options.emit(self->options.context, peer, peer_size, self->out.bytes, self->out.size);
}

/* --- orders ------------------------------------------------------------------------------------------------------- */

static bool is_over(const tw_coordinator *self)
{
    for (uint32_t i = 0; i < self->n_shares; i++) {
        if (self->share[i].n_passes < self->passes)
            return false;
    }
    return self->n_shares > 0;
}

/* Without memory the worker asks again. */
static void order(tw_coordinator *self, const member *to)
{
    tw_frame frame = {.type = TW_FRAME_ORDERS,
        .model = self->model,
        .sender = to->sender,
        .incarnation = self->options.incarnation,
        .ack = to->sequence};
    bool needs_map = to->standing.map_version != self->map_version;
    tw_orders orders = {
        .number = to->number,
        .n_workers = (uint32_t)self->n_members,
        .is_over = is_over(self),
        .grant = to->grant,
        .quiet = tw_coordinator_quiet(self),
        .map_version = self->map_version,
        .n_shards = needs_map ? self->options.n_shards : 0,
    };
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, NULL);
    if (status == TW_STATUS_OK)
        status = tw_orders_encode(&orders, &self->out, NULL);
    for (uint32_t i = 0; i < orders.n_shards && status == TW_STATUS_OK; i++)
        status = tw_map_append(&self->out, self->address[i], self->shard_epoch[i], NULL);
    if (status < 0)
        return;
    tw_frame_finish(&self->out, &frame);
    self->options.emit(self->options.context, to->peer, to->peer_size, self->out.bytes, self->out.size);
}

void tw_coordinator_order_all(tw_coordinator *self)
{
    for (size_t i = 0; i < self->n_members; i++)
        order(self, &self->member[i]);
}

/* What was finished may be lost: everything is looked at again. */
static void job_reopen(tw_coordinator *self, const char *why)
{
    for (uint32_t i = 0; i < self->n_shares; i++)
        self->share[i].n_passes = 0;
    for (size_t i = 0; i < self->n_members; i++)
        self->member[i].is_tainted = true;
    self->figures.resets++;
    tw_coordinator_tell(self, "%s: every share is looked at again", why);
}

tw_status tw_coordinator_set_shard(
    tw_coordinator *self, uint32_t shard, const char *address, uint64_t epoch, tw_error *error)
{
    if (shard >= self->options.n_shards || strlen(address) == 0 || strlen(address) >= sizeof self->address[0])
        return tw_error_set(error, TW_STATUS_INVALID,
            "shard %u of %u at \"%.40s\": no such shard, or an address of "
            "more than %zu bytes",
            shard, self->options.n_shards, address, sizeof self->address[0] - 1);
    bool is_takeover = epoch > self->shard_epoch[shard];
    memcpy(self->address[shard], address, strlen(address) + 1);
    self->shard_epoch[shard] = epoch;
    self->map_version++;
    if (is_takeover && self->n_shares > 0)
        job_reopen(self, "another process serves a shard");
    tw_coordinator_order_all(self);
    return TW_STATUS_OK;
}

/* --- shares ------------------------------------------------------------------------------------------------------- */

/* Takes the member's grant back. */
static void grant_end(tw_coordinator *self, member *holder, bool is_orphan)
{
    if (holder->grant.epoch == 0)
        return;
    share *held = &self->share[holder->grant.share];
    held->is_held = false;
    held->is_orphan = is_orphan;
    holder->grant = (tw_grant){0};
    self->figures.n_granted--;
}

static void grant_start(tw_coordinator *self, member *holder, tw_grant grant)
{
    share *held = &self->share[grant.share];
    held->is_held = true;
    held->is_orphan = false;
    held->last_epoch = grant.epoch;
    held->last_pass = grant.pass;
    holder->grant = grant;
    holder->is_tainted = false;
    self->figures.n_granted++;
}

/* The free share that is furthest behind, if any is to be learned. */
static void grant_next(tw_coordinator *self, member *to)
{
    uint32_t best = self->n_shares;
    if (to->grant.epoch != 0 || tw_coordinator_quiet(self) != 0 ||
        self->now_us - self->started_us < self->options.grace_us)
        return;
    for (uint32_t i = 0; i < self->n_shares; i++) {
        const share *one = &self->share[i];
        bool is_open = !one->is_held && one->n_passes < self->passes;
        if (is_open && (best == self->n_shares || one->n_passes < self->share[best].n_passes))
            best = i;
    }
    if (best == self->n_shares)
        return;
    grant_start(self, to, (tw_grant){best, self->share[best].n_passes, ++self->next_epoch});
    self->figures.grants++;
}

/* A worker names a share that this coordinator did not give it: it was given by one before, or to a worker that was
 * given up too early. It keeps it if nobody had it since. */
static void grant_claim(tw_coordinator *self, member *by)
{
    tw_grant claimed = by->standing.grant;
    share *one = &self->share[claimed.share];
    if (by->grant.epoch != 0 || one->is_held || one->last_epoch > claimed.epoch || one->n_passes > claimed.pass)
        return;
    if (one->n_passes < claimed.pass)
        one->n_passes = claimed.pass;
    grant_start(self, by, claimed);
}

/* Whether they are the ones that serve as far as is known. One who watches them but has never heard of one knows
 * nothing of it: then they are. */
static bool shards_serve(const tw_coordinator *self, uint64_t shards)
{
    uint64_t sum = 0;
    bool is_unheard = false;
    for (uint32_t i = 0; self->options.look != NULL && i < self->options.n_shards; i++) {
        tw_lookout_shard seen = {.silent_us = -1};
        self->options.look(self->options.context, i, &seen);
        if (!seen.is_settled || (seen.is_heard && seen.incarnation == 0))
            return false;
        is_unheard = is_unheard || !seen.is_heard;
        sum += tw_process_digest(i, seen.incarnation);
    }
    return self->options.look == NULL || is_unheard || (sum | 1) == shards;
}

static void grant_finish(tw_coordinator *self, member *by)
{
    share *held = &self->share[by->grant.share];
    uint64_t shards = by->standing.shards;
    bool is_there = shards == self->shards && shards_serve(self, shards);
    if (!is_there && !by->is_elsewhere)
        tw_coordinator_tell(self,
            "worker %s has finished a share on shards that are not those which serve, as far as is known: it is looked "
            "at again",
            by->standing.name);
    by->is_elsewhere = !is_there;
    if (is_there && !by->is_tainted && held->n_passes <= by->grant.pass)
        held->n_passes = by->grant.pass + 1;
    grant_end(self, by, false);
}

/* --- shards ------------------------------------------------------------------------------------------------------- */

/* Whether somebody named these before. */
static bool shards_are_known(tw_coordinator *self, uint64_t shards)
{
    for (uint32_t i = 0; i < self->n_seen && i < MAX_SEEN; i++) {
        if (self->seen[i] == shards)
            return true;
    }
    self->seen[self->n_seen++ % MAX_SEEN] = shards;
    return false;
}

/* `before`: what this member named before. A worker that learns repeats what it met when it began, be it long ago: of
 * shards with the epochs of those that count, such as nobody named before are new, and such as this worker did not name
 * before, or has just finished a share with that was given since. */
static void shards_follow(tw_coordinator *self, const member *from, uint64_t before)
{
    const tw_standing *said = &from->standing;
    if (said->shards == 0 || said->shard_epochs > max_ahead)
        return;
    bool is_new = !shards_are_known(self, said->shards);
    if (said->shards == self->shards) {
        if (said->shard_epochs > self->shard_epochs)
            self->shard_epochs = said->shard_epochs;
        return;
    }
    bool is_its_own = from->grant.epoch != 0 && from->grant.epoch == said->grant.epoch;
    bool has_finished = said->hold == TW_HOLD_FINISHED && is_its_own && !from->is_tainted;
    bool is_latest = is_new || has_finished || (before != 0 && before != said->shards);
    if (said->shard_epochs < self->shard_epochs || (said->shard_epochs == self->shard_epochs && !is_latest))
        return;
    bool is_first = self->shards == 0;
    self->shards = said->shards;
    self->shard_epochs = said->shard_epochs;
    if (!is_first)
        job_reopen(self, "a shard was started again, or is another process");
}

/* --- members ------------------------------------------------------------------------------------------------------ */

static void member_remove(tw_coordinator *self, member *gone, bool is_orphan)
{
    grant_end(self, gone, is_orphan);
    *gone = self->member[--self->n_members];
}

static void member_give_up(tw_coordinator *self, member *gone, const char *why)
{
    char name[TW_MEMBER_NAME_SIZE];
    memcpy(name, gone->standing.name, sizeof name);
    if (gone->grant.epoch != 0)
        tw_coordinator_tell(self, "worker %s %s: share %u is free", name, why, gone->grant.share);
    else
        tw_coordinator_tell(self, "worker %s %s", name, why);
    bool had_share = gone->grant.epoch != 0;
    self->figures.evictions++;
    member_remove(self, gone, had_share);
    if (had_share)
        tw_coordinator_save_lost(self, name);
}

static member *member_find(tw_coordinator *self, uint64_t sender)
{
    for (size_t i = 0; i < self->n_members; i++) {
        if (self->member[i].sender == sender)
            return &self->member[i];
    }
    return NULL;
}

static member *member_named(tw_coordinator *self, const char *name)
{
    for (size_t i = 0; i < self->n_members; i++) {
        if (strcmp(self->member[i].standing.name, name) == 0)
            return &self->member[i];
    }
    return NULL;
}

/* The first worker says what the job is. */
static tw_status job_start(tw_coordinator *self, const tw_frame *frame, const tw_standing *first, tw_error *error)
{
    share *fresh = tw_alloc_zero(first->n_shares * sizeof *fresh);
    if (fresh == NULL)
        return tw_no_memory(error, first->n_shares * sizeof *fresh);
    /* The shares of the same job keep the epochs that they were given with. */
    if (self->n_shares == first->n_shares && self->model == frame->model && self->share != NULL) {
        for (uint32_t i = 0; i < self->n_shares; i++)
            fresh[i] = (share){.last_epoch = self->share[i].last_epoch,
                .last_pass = self->share[i].last_pass,
                .is_orphan = self->share[i].is_orphan};
    }
    tw_free(self->share);
    self->share = fresh;
    self->n_shares = first->n_shares;
    self->passes = first->passes;
    self->model = frame->model;
    self->job = first->job;
    self->figures.n_granted = 0;
    self->n_seen = 0;
    self->shards = self->shard_epochs = 0;
    return TW_STATUS_OK;
}

/* Whether the member of that name still speaks: then the newcomer waits, and is refused once it is certain that both
 * live. One that was killed and started again finds its predecessor silent soon. */
static bool is_name_taken(
    tw_coordinator *self, member *same, const void *peer, size_t peer_size, const tw_frame *newcomer)
{
    char why[TW_ERROR_MESSAGE_SIZE];
    if (self->now_us - same->heard_us > self->options.dead_after_us / QUIET_PARTS)
        return false;
    if (same->rival != newcomer->sender)
        same->rival_us = self->now_us;
    same->rival = newcomer->sender;
    bool is_certain = same->heard_us - same->rival_us > self->options.dead_after_us;
    (void)snprintf(
        why, sizeof why, "a worker named %s is here already: start this one with another --name", same->standing.name);
    tw_coordinator_nack(self, peer, peer_size, newcomer, is_certain ? TW_NACK_CONFLICT : TW_NACK_OVERLOAD, why);
    return true;
}

/* NULL: refused, with a NACK. */
static member *member_join(
    tw_coordinator *self, const void *peer, size_t peer_size, const tw_frame *frame, const tw_standing *standing)
{
    tw_error error = {0};
    member *same = member_named(self, standing->name);
    if (same != NULL && is_name_taken(self, same, peer, peer_size, frame))
        return NULL;
    if (same != NULL)
        member_give_up(self, same, "was started again");
    tw_status status = TW_STATUS_OK;
    if (self->n_members == 0)
        status = job_start(self, frame, standing, &error);
    if (status == TW_STATUS_OK &&
        (self->n_shares != standing->n_shares || self->passes != standing->passes || self->model != frame->model)) {
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_SCHEMA,
            "the workers of this coordinator learn another model, or other shares or passes of the input");
        return NULL;
    }
    if (status == TW_STATUS_OK && self->job != 0 && standing->job != 0 && self->job != standing->job) {
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_SCHEMA,
            "the workers that are here learn by another pipeline: its features, label, model or "
            "parameter_servers.stripe differ");
        return NULL;
    }
    if (status == TW_STATUS_OK && self->n_members == self->options.max_members)
        status =
            tw_error_set(&error, TW_STATUS_BUSY, "%u workers are here: no room for more", self->options.max_members);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->member, sizeof *self->member, &self->capacity_members, self->n_members + 1, &error);
    if (status < 0) {
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_OVERLOAD, error.message);
        return NULL;
    }
    member *joined = &self->member[self->n_members++];
    *joined = (member){.sender = frame->sender, .number = self->next_number++};
    return joined;
}

static void take_standing(tw_coordinator *self, member *from)
{
    const tw_standing *standing = &from->standing;
    bool is_its_own = from->grant.epoch != 0 && from->grant.epoch == standing->grant.epoch;
    uint64_t named = standing->grant.epoch > standing->highest_epoch ? standing->grant.epoch : standing->highest_epoch;
    if (named > self->next_epoch && named - self->born < max_ahead)
        self->next_epoch = named;
    else if (named > self->next_epoch && !from->is_absurd)
        tw_coordinator_tell(self, "worker %s names owner epoch %llu, which no coordinator gave: it is passed over",
            standing->name, (unsigned long long)named);
    from->is_absurd = named > self->next_epoch;
    if (is_its_own && standing->hold == TW_HOLD_FINISHED)
        grant_finish(self, from);
    else if (is_its_own && standing->hold == TW_HOLD_RETURNED)
        grant_end(self, from, false);
    else if (!is_its_own && standing->hold == TW_HOLD_LEARNS)
        grant_claim(self, from);
    if (standing->hold != TW_HOLD_LEARNS && standing->hold != TW_HOLD_LEAVES)
        grant_next(self, from);
}

static void receive_report(tw_coordinator *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_error error = {0};
    tw_standing standing;
    if (tw_standing_decode(&standing, frame->payload, frame->payload_size, &error) < 0) {
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_BAD_FRAME, error.message);
        return;
    }
    standing.job = frame->handle;
    /* A clock that was set back must not make these orders older than those of the coordinator before. */
    if (frame->incarnation > self->options.incarnation && frame->incarnation - self->born < max_ahead)
        self->options.incarnation = frame->incarnation + 1;
    member *from = member_find(self, frame->sender);
    if (from != NULL && frame->sequence <= from->sequence) {
        self->refusals.n_repeated++;
        return;
    }
    if (from != NULL && (standing.n_shares != self->n_shares || standing.passes != self->passes)) {
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_SCHEMA, "REPORT: another job than before");
        return;
    }
    if (from == NULL && standing.hold != TW_HOLD_LEAVES)
        from = member_join(self, peer, peer_size, frame, &standing);
    if (from == NULL)
        return;
    memcpy(from->peer, peer, peer_size);
    from->peer_size = peer_size;
    from->sequence = frame->sequence;
    from->heard_us = self->now_us;
    uint64_t before = from->standing.shards;
    from->standing = standing;
    shards_follow(self, from, before);
    bool was_over = is_over(self);
    take_standing(self, from);
    if (is_over(self) && !was_over)
        tw_coordinator_order_all(self);
    else
        order(self, from);
    if (standing.hold == TW_HOLD_LEAVES)
        member_remove(self, from, false);
    tw_coordinator_save_check(self);
}

/* While this process stood still nobody was silent, and nobody held a checkpoint up. */
static void take_time(tw_coordinator *self, int64_t now_us)
{
    int64_t stood_still_us = tw_stood_still_us(&self->looked_us, now_us);
    for (size_t i = 0; i < self->n_members; i++) {
        self->member[i].heard_us += stood_still_us;
        self->member[i].rival_us += stood_still_us;
    }
    self->save.deadline_us += stood_still_us;
    self->now_us = now_us;
}

void tw_coordinator_receive_from(tw_coordinator *self,
    int64_t now_us,
    bool is_reader,
    const void *peer,
    size_t peer_size,
    const void *bytes,
    size_t size)
{
    tw_frame frame;
    tw_error error = {0};
    if (peer_size > TW_PEER_SIZE) {
        tw_coordinator_formless(self);
        return;
    }
    take_time(self, now_us);
    if (tw_frame_decode(bytes, size, &frame, &error) < 0)
        tw_coordinator_nack(self, peer, peer_size, &frame, frame.reason, error.message);
    else if (frame.type == TW_FRAME_STATUS)
        tw_coordinator_status_answer(self, peer, peer_size, &frame);
    else if (is_reader)
        tw_coordinator_nack(
            self, peer, peer_size, &frame, TW_NACK_DENIED, "the key of this peer does not allow this role");
    else if (frame.type == TW_FRAME_REPORT)
        receive_report(self, peer, peer_size, &frame);
    else if (frame.type == TW_FRAME_SAVE)
        tw_coordinator_save_request(self, peer, peer_size, &frame);
    else
        tw_coordinator_nack(
            self, peer, peer_size, &frame, TW_NACK_UNKNOWN_TYPE, "a coordinator does not take frames of this type");
}

void tw_coordinator_receive(
    tw_coordinator *self, int64_t now_us, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    tw_coordinator_receive_from(self, now_us, false, peer, peer_size, bytes, size);
}

/* What became free goes to whoever waits. */
static void serve_waiting(tw_coordinator *self)
{
    for (size_t i = 0; i < self->n_members; i++) {
        member *one = &self->member[i];
        if (one->grant.epoch != 0 || one->standing.hold == TW_HOLD_LEARNS)
            continue;
        grant_next(self, one);
        if (one->grant.epoch != 0)
            order(self, one);
    }
}

void tw_coordinator_tick(tw_coordinator *self, int64_t now_us)
{
    take_time(self, now_us);
    for (size_t i = self->n_members; i > 0; i--) {
        if (now_us - self->member[i - 1].heard_us > self->options.dead_after_us)
            member_give_up(self, &self->member[i - 1], "has fallen silent");
    }
    serve_waiting(self);
    tw_coordinator_save_check(self);
}

void tw_coordinator_forget(tw_coordinator *self, int64_t now_us, const char *name)
{
    take_time(self, now_us);
    member *gone = member_named(self, name);
    if (gone != NULL)
        member_give_up(self, gone, "has ended");
}

void tw_coordinator_stats(const tw_coordinator *self, tw_coordinator_figures *out)
{
    *out = self->figures;
    out->n_members = (uint32_t)self->n_members;
    out->n_shares = self->n_shares;
    out->n_finished = 0;
    for (uint32_t i = 0; i < self->n_shares; i++)
        out->n_finished += self->share[i].n_passes >= self->passes;
}
