#include "ps/coordinator/lookout.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/wire/link.h"
#include "ps/wire/promotion.h"
#include "ps/wire/status.h"

enum { SILENCE_US = 1000000, ASK_PARTS = 5, MIN_ASK_US = 20000, MAX_ASK_US = 500000, PAUSE_US = 1000000 };
enum { MAX_SETTLE_US = 5000000 };

static const int64_t never_us = INT64_MIN / 2;
/* No honest epoch comes near; whoever names one above is not followed. */
static const uint64_t max_epoch = (uint64_t)1 << 62;

typedef enum place_role { ROLE_UNKNOWN, ROLE_SERVES, ROLE_STANDS_BY, ROLE_DEPOSED } place_role;

typedef struct place {
    char address[TW_ADDRESS_SIZE];
    uint32_t shard;
    place_role role; /* as last said */
    uint64_t epoch, model, incarnation;
    uint64_t sequence;
    int64_t heard_us, ask_us, tell_us;
    uint64_t ordered;   /* epoch of the latest order to take over; 0: none */
    int64_t refused_us; /* until then it is not asked again to take over */
} place;

typedef struct watched {
    uint32_t first, n;       /* its places */
    uint32_t at;             /* the one that serves, or served last; first: also before anybody was heard of */
    uint64_t epoch, highest; /* of `at`; heard of, or given to anybody */
    uint64_t before;         /* what highest was before the latest order */
    int64_t served_us;       /* when it was last heard of as serving */
    int64_t order_us;        /* an order to take over is under way since then; never_us: none */
    uint32_t ordered;        /* to whom */
    bool is_told;            /* that nobody serves */
    bool is_settled;         /* see tw_lookout_shard */
    uint64_t incarnation;    /* of the one that serves, or served last */
    uint64_t takeovers;
    uint32_t shown_at; /* what was handed out by tw_lookout_moved */
    uint64_t shown_epoch;
} watched;

struct tw_lookout {
    tw_lookout_options options;
    place *place; /* [n_places] */
    uint32_t n_places;
    watched *shard; /* [n_shards] */
    int64_t ask_every_us, now_us;
    int64_t woken_us; /* nobody's silence counts from before */
    tw_buffer out;
};

/* --- life --------------------------------------------------------------------------------------------------------- */

static tw_status add_places(tw_lookout *self, uint32_t shard, const char *text, tw_error *error)
{
    watched *one = &self->shard[shard];
    *one = (watched){.first = self->n_places, .at = self->n_places, .shown_at = self->n_places, .order_us = never_us};
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, "|");
        if (size == 0 || size >= TW_ADDRESS_SIZE || one->n == TW_LINK_ALTERNATIVES || self->n_places == TW_MAX_SHARDS)
            return tw_error_set(error, TW_STATUS_INVALID,
                "%.200s: 1 to %d addresses of at most %d bytes for one shard, %d in all", text, TW_LINK_ALTERNATIVES,
                TW_ADDRESS_SIZE - 1, TW_MAX_SHARDS);
        place *fresh = &self->place[self->n_places++];
        *fresh = (place){.shard = shard, .heard_us = never_us, .refused_us = never_us, .tell_us = never_us};
        memcpy(fresh->address, at, size);
        one->n++;
        at += size;
        if (*at == '\0')
            return TW_STATUS_OK;
    }
}

tw_status tw_lookout_create(const tw_lookout_options *options, int64_t now_us, tw_lookout **out, tw_error *error)
{
    *out = NULL;
    tw_lookout *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    self->options.address = NULL;
    self->options.silence_us = options->silence_us ? options->silence_us : SILENCE_US;
    self->ask_every_us = self->options.silence_us / ASK_PARTS;
    if (self->ask_every_us < MIN_ASK_US || self->ask_every_us > MAX_ASK_US)
        self->ask_every_us = self->ask_every_us < MIN_ASK_US ? MIN_ASK_US : MAX_ASK_US;
    self->now_us = self->woken_us = now_us;
    self->place = tw_alloc_zero(TW_MAX_SHARDS * sizeof *self->place);
    self->shard = tw_alloc_zero(options->n_shards * sizeof *self->shard);
    tw_status status =
        self->place != NULL && self->shard != NULL ? TW_STATUS_OK : tw_no_memory(error, sizeof *self->place);
    for (uint32_t i = 0; i < options->n_shards && status == TW_STATUS_OK; i++) {
        status = add_places(self, i, options->address[i], error);
        self->shard[i].served_us = now_us;
    }
    if (status < 0)
        tw_lookout_destroy(&self);
    *out = self;
    return status;
}

void tw_lookout_destroy(tw_lookout **self)
{
    tw_lookout *all = *self;
    if (all == NULL)
        return;
    *self = NULL;
    tw_free(all->place);
    tw_free(all->shard);
    tw_free(all->out.bytes);
    tw_free(all);
}

uint32_t tw_lookout_n_places(const tw_lookout *self)
{
    return self->n_places;
}

const char *tw_lookout_address(const tw_lookout *self, uint32_t at)
{
    return self->place[at].address;
}

static void tell(tw_lookout *self, const char *format, ...) TW_PRINTF(2, 3);
static void tell(tw_lookout *self, const char *format, ...)
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

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* Without memory it is done again a little later. */
static void say(tw_lookout *self, const place *to, tw_status encoded)
{
    if (encoded == TW_STATUS_OK)
        self->options.emit(self->options.context, (uint32_t)(to - self->place), self->out.bytes, self->out.size);
}

static void ask(tw_lookout *self, place *to)
{
    tw_frame frame = {
        .type = TW_FRAME_STATUS, .sender = self->options.sender, .sequence = ++to->sequence, .handle = TW_STATUS_BRIEF};
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, NULL);
    if (status == TW_STATUS_OK)
        tw_frame_finish(&self->out, &frame);
    say(self, to, status);
    to->ask_us = self->now_us + self->ask_every_us;
}

static void order(tw_lookout *self, place *to)
{
    tw_promotion promotion = {.epoch = to->ordered};
    say(self, to, tw_promote_encode(&self->out, self->options.sender, ++to->sequence, &promotion, NULL));
    to->tell_us = self->now_us + self->ask_every_us;
}

static void depose(tw_lookout *self, place *to, uint64_t epoch)
{
    tw_subscription which = {to->shard, self->options.n_shards, false};
    say(self, to, tw_promoted_encode(&self->out, self->options.sender, ++to->sequence, to->model, epoch, &which, NULL));
    to->tell_us = self->now_us + PAUSE_US / 2;
}

static place_role role_of(const tw_shard_status *status)
{
    if (status->figure[TW_STATUS_IS_STANDBY] == 1)
        return ROLE_STANDS_BY;
    return status->figure[TW_STATUS_IS_DEPOSED] == 1 ? ROLE_DEPOSED : ROLE_SERVES;
}

static void note_epoch(watched *shard, uint64_t epoch)
{
    if (epoch > shard->highest && epoch < max_epoch)
        shard->highest = epoch;
}

/* It serves as it was ordered to. */
static void order_done(tw_lookout *self, place *by)
{
    watched *shard = &self->shard[by->shard];
    if (shard->order_us == never_us || &self->place[shard->ordered] != by || by->epoch < by->ordered)
        return;
    shard->order_us = never_us;
    if (shard->at == shard->ordered)
        return;
    shard->takeovers++;
    tell(self, "shard %u of %u: nobody has served at %s for %.1f s; its standby at %s has taken over", by->shard,
        self->options.n_shards, self->place[shard->at].address, (double)(self->now_us - shard->served_us) / 1e6,
        by->address);
}

static void take_status(tw_lookout *self, place *from, const tw_frame *frame)
{
    tw_shard_status status = {0};
    if (tw_shard_status_decode(&status, frame->payload, frame->payload_size, NULL) == TW_STATUS_OK) {
        uint64_t epoch = status.figure[TW_STATUS_TAKEOVERS], known = status.figure[TW_STATUS_KNOWN_EPOCH];
        uint64_t incarnation = status.figure[TW_STATUS_INCARNATION];
        from->heard_us = self->now_us;
        from->role = role_of(&status);
        from->epoch = epoch != TW_STATUS_UNKNOWN ? epoch : 0;
        from->incarnation = incarnation != TW_STATUS_UNKNOWN ? incarnation : 0;
        from->model = status.model[0] != '\0' ? tw_hash(status.model, strlen(status.model)) : 0;
        note_epoch(&self->shard[from->shard], from->epoch);
        if (known != TW_STATUS_UNKNOWN)
            note_epoch(&self->shard[from->shard], known);
        if (from->role == ROLE_SERVES)
            order_done(self, from);
    }
    tw_shard_status_fini(&status);
}

static void take_promoted(tw_lookout *self, place *from, const tw_frame *frame)
{
    from->heard_us = self->now_us;
    if (from->ordered == 0 || frame->handle < from->ordered)
        return;
    from->role = ROLE_SERVES;
    from->epoch = frame->handle;
    note_epoch(&self->shard[from->shard], from->epoch);
    order_done(self, from);
}

static void take_nack(tw_lookout *self, place *from, const tw_frame *frame)
{
    watched *shard = &self->shard[from->shard];
    from->heard_us = self->now_us;
    bool is_ordered = shard->order_us != never_us && &self->place[shard->ordered] == from;
    if (!is_ordered && frame->reason == TW_NACK_NOT_PRIMARY)
        from->role = ROLE_STANDS_BY; /* one of an earlier version */
    if (!is_ordered || frame->reason == TW_NACK_OVERLOAD)
        return;
    bool is_first = from->refused_us == never_us;
    shard->order_us = never_us;
    /* Whoever may not order has given nobody an epoch. */
    if (frame->reason == TW_NACK_DENIED && from->ordered == shard->highest) {
        shard->highest = shard->before;
        from->ordered = 0;
    }
    from->refused_us = self->now_us + PAUSE_US;
    if (is_first)
        tell(self, "shard %u of %u: %s does not take over: %.*s", from->shard, self->options.n_shards, from->address,
            (int)(frame->payload_size < 200 ? frame->payload_size : 200), (const char *)frame->payload);
}

void tw_lookout_receive(tw_lookout *self, int64_t now_us, uint32_t at, const void *bytes, size_t size)
{
    tw_frame frame;
    if (at >= self->n_places || tw_frame_decode(bytes, size, &frame, NULL) < 0 || frame.sender != self->options.sender)
        return;
    place *from = &self->place[at];
    if (frame.ack == 0 || frame.ack > from->sequence)
        return;
    self->now_us = now_us;
    if (frame.type == TW_FRAME_STATUS_ARE)
        take_status(self, from, &frame);
    else if (frame.type == TW_FRAME_PROMOTED)
        take_promoted(self, from, &frame);
    else if (frame.type == TW_FRAME_NACK)
        take_nack(self, from, &frame);
}

/* --- decisions ---------------------------------------------------------------------------------------------------- */

static bool is_heard(const tw_lookout *self, const place *one)
{
    return self->now_us - one->heard_us <= self->options.silence_us;
}

/* The one that serves with the highest epoch; where two do, the one that did before. NULL: none answers. */
static place *find_serving(tw_lookout *self, const watched *shard)
{
    place *best = NULL;
    for (uint32_t i = shard->first; i < shard->first + shard->n; i++) {
        place *one = &self->place[i];
        if (one->role != ROLE_SERVES || !is_heard(self, one))
            continue;
        if (best == NULL || one->epoch > best->epoch || (one->epoch == best->epoch && i == shard->at))
            best = one;
    }
    return best;
}

static void start_order(tw_lookout *self, watched *shard, place *to)
{
    /* The latest order again where nobody has had another since. */
    if (to->ordered == 0 || to->ordered != shard->highest || to->epoch >= to->ordered)
        to->ordered = shard->highest + 1;
    if (to->ordered > shard->highest)
        shard->before = shard->highest;
    note_epoch(shard, to->ordered);
    shard->ordered = (uint32_t)(to - self->place);
    shard->order_us = self->now_us;
    order(self, to);
}

/* Whoever serves with a lower epoch hears of the better one; of two equal ones this one is raised. */
static void settle_rivals(tw_lookout *self, watched *shard, place *best)
{
    for (uint32_t i = shard->first; i < shard->first + shard->n; i++) {
        place *one = &self->place[i];
        if (one == best || one->role != ROLE_SERVES || !is_heard(self, one))
            continue;
        if (one->epoch == best->epoch && shard->order_us == never_us)
            start_order(self, shard, best);
        else if (one->epoch < best->epoch && self->now_us >= one->tell_us)
            depose(self, one, best->epoch);
    }
}

/* An order goes out until it is answered, or its receiver falls silent: then it may yet be obeyed, with an epoch that
 * the next order exceeds. */
static void follow_order(tw_lookout *self, watched *shard)
{
    place *to = &self->place[shard->ordered];
    if (!is_heard(self, to) && self->now_us - shard->order_us > self->options.silence_us)
        shard->order_us = never_us;
    else if (self->now_us >= to->tell_us)
        order(self, to);
}

static void find_successor(tw_lookout *self, watched *shard, place *behind)
{
    place *best = behind;
    for (uint32_t i = shard->first; i < shard->first + shard->n && best == NULL; i++) {
        place *one = &self->place[i];
        if (one->role == ROLE_STANDS_BY && is_heard(self, one) && self->now_us >= one->refused_us)
            best = one;
    }
    if (best != NULL && self->now_us >= best->refused_us)
        start_order(self, shard, best);
}

static bool is_any_heard(const tw_lookout *self, const watched *shard)
{
    for (uint32_t i = shard->first; i < shard->first + shard->n; i++) {
        if (self->place[i].heard_us != never_us)
            return true;
    }
    return false;
}

static void tell_gone(tw_lookout *self, watched *shard)
{
    if (shard->is_told)
        return;
    shard->is_told = true;
    if (!is_any_heard(self, shard) && self->options.hint != NULL)
        tell(self, "shard %u of %u: nobody has ever answered at %s: it is not watched%s",
            self->place[shard->first].shard, self->options.n_shards, self->place[shard->at].address,
            self->options.hint);
    else
        tell(self, "shard %u of %u: nobody serves at %s for %.1f s%s", self->place[shard->first].shard,
            self->options.n_shards, self->place[shard->at].address, (double)(self->now_us - shard->served_us) / 1e6,
            shard->n > 1 ? "" : "; it has no standby");
}

static void settle(const tw_lookout *self, watched *shard)
{
    int64_t time_us = 2 * self->options.silence_us < MAX_SETTLE_US ? 2 * self->options.silence_us : MAX_SETTLE_US;
    uint32_t n_heard = 0;
    for (uint32_t i = shard->first; i < shard->first + shard->n; i++)
        n_heard += self->place[i].heard_us != never_us;
    shard->is_settled = shard->is_settled || n_heard == shard->n || self->now_us - self->woken_us > time_us;
}

static void serve_shard(tw_lookout *self, watched *shard)
{
    place *best = find_serving(self, shard);
    if (shard->order_us != never_us)
        follow_order(self, shard);
    if (best != NULL && best->epoch >= shard->highest) {
        bool is_back = shard->is_told;
        shard->at = (uint32_t)(best - self->place);
        shard->epoch = best->epoch;
        shard->incarnation = best->incarnation;
        shard->served_us = best->heard_us;
        shard->is_told = false;
        best->refused_us = never_us;
        if (is_back)
            tell(self, "shard %u of %u is served at %s", best->shard, self->options.n_shards, best->address);
        settle_rivals(self, shard, best);
        return;
    }
    int64_t since_us = shard->served_us > self->woken_us ? shard->served_us : self->woken_us;
    if (self->now_us - since_us <= self->options.silence_us)
        return;
    if (shard->order_us == never_us)
        find_successor(self, shard, best);
    if (self->now_us - since_us > 2 * self->options.silence_us)
        tell_gone(self, shard);
}

void tw_lookout_tick(tw_lookout *self, int64_t now_us)
{
    /* Whoever was not listening knows nothing of silence. */
    if (now_us - self->now_us > self->options.silence_us / 2)
        self->woken_us = now_us;
    self->now_us = now_us;
    for (uint32_t i = 0; i < self->n_places; i++) {
        if (now_us >= self->place[i].ask_us)
            ask(self, &self->place[i]);
    }
    for (uint32_t i = 0; i < self->options.n_shards; i++) {
        serve_shard(self, &self->shard[i]);
        settle(self, &self->shard[i]);
    }
}

/* --- what is known ------------------------------------------------------------------------------------------------ */

static void list_addresses(const tw_lookout *self, const watched *shard, char out[TW_ADDRESS_SIZE])
{
    int used = snprintf(out, TW_ADDRESS_SIZE, "%s", self->place[shard->at].address);
    for (uint32_t i = shard->first; i < shard->first + shard->n; i++) {
        size_t room = TW_ADDRESS_SIZE - (size_t)used;
        if (i != shard->at && strlen(self->place[i].address) + 1 < room)
            used += snprintf(out + used, room, "|%s", self->place[i].address);
    }
}

bool tw_lookout_moved(tw_lookout *self, uint32_t *shard, char address[TW_ADDRESS_SIZE], uint64_t *epoch)
{
    for (uint32_t i = 0; i < self->options.n_shards; i++) {
        watched *one = &self->shard[i];
        if (one->at == one->shown_at && one->epoch == one->shown_epoch)
            continue;
        one->shown_at = one->at;
        one->shown_epoch = one->epoch;
        *shard = i;
        *epoch = one->epoch;
        list_addresses(self, one, address);
        return true;
    }
    return false;
}

void tw_lookout_look(const tw_lookout *self, uint32_t shard, tw_lookout_shard *out)
{
    const watched *one = &self->shard[shard];
    const place *at = &self->place[one->at];
    *out = (tw_lookout_shard){.address = at->address,
        .is_served = at->role == ROLE_SERVES && is_heard(self, at),
        .is_heard = is_any_heard(self, one),
        .is_settled = one->is_settled,
        /* Somebody was given a later epoch, and may serve. */
        .incarnation = one->epoch >= one->highest ? one->incarnation : 0,
        .epoch = one->epoch,
        .takeovers = one->takeovers,
        .silent_us = at->heard_us == never_us ? -1 : self->now_us - at->heard_us};
    for (uint32_t i = one->first; i < one->first + one->n; i++) {
        const place *other = &self->place[i];
        out->has_standby = out->has_standby || (other->role == ROLE_STANDS_BY && is_heard(self, other));
    }
}
