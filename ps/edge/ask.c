#include "ps/edge/ask.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

typedef struct place {
    char address[TW_ADDRESS_SIZE];
    uint32_t shard;
    tw_asked said;
} place;

struct tw_asker {
    tw_link *link;
    uint32_t n, n_places;
    place *place;
    uint64_t sender, sequence;
    tw_buffer out;
};

/* One that serves does not wait longer for others at its addresses: they are gone, or came back and are behind. */
static const int64_t repeat_us = 500000, grace_us = 200000;

static tw_status split(tw_asker *self, const char *const *address, tw_error *error)
{
    size_t n_places = self->n;
    for (uint32_t i = 0; i < self->n; i++) {
        for (const char *at = address[i]; (at = strchr(at, '|')) != NULL; at++)
            n_places++;
    }
    self->place = tw_alloc_zero(n_places * sizeof *self->place);
    if (self->place == NULL)
        return tw_no_memory(error, n_places * sizeof *self->place);
    for (uint32_t i = 0; i < self->n; i++) {
        for (const char *at = address[i];; at++) {
            size_t size = strcspn(at, "|");
            if (size >= TW_ADDRESS_SIZE || n_places > TW_MAX_SHARDS)
                return tw_error_set(error, TW_STATUS_INVALID,
                    "%.200s: at most %d addresses of at most %d bytes are asked", address[i], TW_MAX_SHARDS,
                    TW_ADDRESS_SIZE - 1);
            place *one = &self->place[self->n_places++];
            one->shard = i;
            memcpy(one->address, at, size);
            at += size;
            if (*at == '\0')
                break;
        }
    }
    return TW_STATUS_OK;
}

tw_status tw_asker_create(
    const char *const *address, uint32_t n, const tw_socket_security *security, tw_asker **out, tw_error *error)
{
    *out = NULL;
    if (n == 0 || n > TW_MAX_SHARDS)
        return tw_error_set(error, TW_STATUS_INVALID, "%u shards to ask: 1 to %d", n, TW_MAX_SHARDS);
    tw_asker *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->n = n;
    self->sender = tw_link_sender();
    tw_status status = split(self, address, error);
    const char *each[TW_MAX_SHARDS];
    for (uint32_t p = 0; p < self->n_places; p++)
        each[p] = self->place[p].address;
    if (status == TW_STATUS_OK)
        status = tw_link_zmq_create(each, self->n_places, security, &self->link, error);
    if (status < 0)
        tw_asker_destroy(&self);
    *out = self;
    return status;
}

void tw_asker_destroy(tw_asker **self)
{
    if (*self == NULL)
        return;
    if ((*self)->link != NULL)
        (*self)->link->ops->close((*self)->link);
    for (uint32_t p = 0; p < (*self)->n_places; p++)
        tw_shard_status_fini(&(*self)->place[p].said.status);
    tw_free((*self)->place);
    tw_free((*self)->out.bytes);
    tw_free(*self);
    *self = NULL;
}

void tw_asked_fini(tw_asked *answer, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        tw_shard_status_fini(&answer[i].status);
        answer[i].has_answered = answer[i].is_no_shard = false;
        answer[i].address = NULL;
    }
}

static tw_status ask_all(tw_asker *self, tw_error *error)
{
    tw_frame frame = {.type = TW_FRAME_STATUS, .sender = self->sender, .sequence = ++self->sequence};
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status < 0)
        return status;
    tw_frame_finish(&self->out, &frame);
    for (uint32_t i = 0; i < self->n_places; i++) {
        if (self->place[i].said.has_answered)
            continue;
        status = self->link->ops->send(self->link, i, self->out.bytes, self->out.size, error);
        if (status < 0 && status != TW_STATUS_BUSY && status != TW_STATUS_UNAVAILABLE)
            return status;
    }
    return TW_STATUS_OK;
}

/* Answers to earlier questions are passed over, and so is what is none. */
static void take(const tw_asker *self, uint64_t first, const void *bytes, size_t size, tw_asked *answer)
{
    tw_frame frame;
    tw_error error = {0};
    if (tw_frame_decode(bytes, size, &frame, &error) < 0 || frame.type != TW_FRAME_STATUS_ARE ||
        frame.sender != self->sender || frame.ack < first || answer->has_answered)
        return;
    answer->has_answered =
        tw_shard_status_decode(&answer->status, frame.payload, frame.payload_size, &error) == TW_STATUS_OK;
    if (answer->has_answered && answer->status.figure[TW_STATUS_SHARDS] == TW_STATUS_UNKNOWN) {
        answer->has_answered = false;
        answer->is_no_shard = true;
    }
    if (!answer->has_answered)
        tw_shard_status_fini(&answer->status);
}

static tw_status receive_all(tw_asker *self, uint64_t first, tw_error *error)
{
    for (uint32_t i = 0; i < self->n_places; i++) {
        const void *bytes = NULL;
        size_t size = 0;
        tw_status status;
        while ((status = self->link->ops->receive(self->link, i, &bytes, &size, error)) == TW_STATUS_OK)
            take(self, first, bytes, size, &self->place[i].said);
        if (status < 0 && status != TW_STATUS_PROTOCOL)
            return status;
    }
    return TW_STATUS_OK;
}

/* --- of several at one shard -------------------------------------------------------------------------------------- */

typedef enum worth { NOBODY, NO_SHARD, DEPOSED, STANDS_BY, SERVES } worth;

static worth worth_of(const tw_asked *one)
{
    if (!one->has_answered)
        return one->is_no_shard ? NO_SHARD : NOBODY;
    if (one->status.figure[TW_STATUS_IS_DEPOSED] == 1)
        return DEPOSED;
    return one->status.figure[TW_STATUS_IS_STANDBY] == 1 ? STANDS_BY : SERVES;
}

static bool is_better(const tw_asked *one, const tw_asked *than)
{
    worth a = worth_of(one), b = worth_of(than);
    if (a != b || a < DEPOSED)
        return a > b;
    /* What is not known is 0 then. */
    return one->status.figure[TW_STATUS_TAKEOVERS] + 1 > than->status.figure[TW_STATUS_TAKEOVERS] + 1;
}

static bool is_enough(const tw_asker *self, int64_t waited_us)
{
    bool is_served[TW_MAX_SHARDS] = {false};
    for (uint32_t p = 0; p < self->n_places; p++)
        is_served[self->place[p].shard] |= worth_of(&self->place[p].said) == SERVES;
    for (uint32_t p = 0; p < self->n_places; p++) {
        const place *one = &self->place[p];
        if (worth_of(&one->said) == NOBODY && (waited_us < grace_us || !is_served[one->shard]))
            return false;
    }
    return true;
}

/* What the places said becomes the answers. */
static void choose(tw_asker *self, tw_asked *answer)
{
    for (uint32_t p = 0; p < self->n_places; p++) {
        tw_asked *said = &self->place[p].said, *best = &answer[self->place[p].shard];
        said->address = self->place[p].address;
        if (is_better(said, best)) {
            tw_asked worse = *best;
            *best = *said;
            *said = worse;
        }
        tw_asked_fini(said, 1);
    }
}

tw_status tw_asker_ask(tw_asker *self, int timeout_ms, tw_asked *answer, tw_error *error)
{
    int64_t now_us = tw_clock_monotonic_us(), began_us = now_us, next_us = now_us;
    int64_t end_us = now_us + (int64_t)timeout_ms * 1000;
    uint64_t first = self->sequence + 1;
    tw_status status = TW_STATUS_OK;
    tw_asked_fini(answer, self->n);
    for (int64_t pause_us = 5000; status >= 0 && !is_enough(self, now_us - began_us) && now_us < end_us;
         now_us = tw_clock_monotonic_us()) {
        if (now_us >= next_us) {
            status = ask_all(self, error);
            /* The first tries find no connection yet. */
            next_us = now_us + pause_us;
            pause_us = pause_us * 2 < repeat_us ? pause_us * 2 : repeat_us;
        }
        if (status >= 0)
            status = self->link->ops->wait(self->link, (int)((next_us - now_us) / 1000) + 1, error);
        if (status >= 0)
            status = receive_all(self, first, error);
    }
    choose(self, answer);
    return status < 0 ? status : TW_STATUS_OK;
}
