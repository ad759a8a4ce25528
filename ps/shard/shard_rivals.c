/* Of workers that cannot both learn here, the one that came first stays, for as long as it lives. Shard 0 alone
 * decides, so that of two that come at a time one is let in. */
#include "ps/shard/shard_state.h"

enum {
    ALIVE_US = 3000000, /* how far apart two signs of a worker are that show it to be alive, or dead */
    KNOCKS_US = 1000000 /* between two HELLO of one that waits to take a worker's place, at most */
};

typedef enum life { LIFE_DEAD, LIFE_UNKNOWN, LIFE_ALIVE } life;

/* Without rounds, and with a fixed share of the input. */
static bool is_numbered(const tw_hello *hello)
{
    return hello->role == TW_ROLE_PEER && hello->worker.count > 0 && hello->worker.staleness == TW_STALENESS_UNLIMITED;
}

/* Whether another process still works: known when it is heard of, or not, for a while after the question came up. */
static life life_of(tw_session *other, int64_t now_us)
{
    if (now_us - other->used_us >= ALIVE_US)
        return LIFE_DEAD;
    if (other->knocked_us == 0 || now_us - other->knocked_us > KNOCKS_US)
        other->rival_us = now_us;
    other->knocked_us = now_us;
    if (other->used_us - other->rival_us < ALIVE_US)
        return LIFE_UNKNOWN;
    other->knocked_us = 0; /* whoever comes next may be the successor of one that ends now */
    return LIFE_ALIVE;
}

/* Two workers of one number would read the same share twice, and nobody what the missing number should. */
static tw_nack_reason meet_number(const tw_round_member *who, life is, tw_error *error)
{
    if (is == LIFE_UNKNOWN) {
        (void)tw_error_set(error, TW_STATUS_BUSY,
            "worker %u of %u was heard of just now from another process: waiting to see whether it lives", who->index,
            who->count);
        return TW_NACK_OVERLOAD;
    }
    (void)tw_error_set(error, TW_STATUS_CONFLICT,
        "another process learns as worker %u of %u: give each its own number by --worker I/N, or end that one",
        who->index, who->count);
    return TW_NACK_DENIED;
}

static bool has_number_of(const tw_session *other, const tw_hello *hello)
{
    return is_numbered(hello) && other->worker.count == hello->worker.count &&
           other->worker.index == hello->worker.index;
}

/* Whoever learned for an owner before has to say HELLO again first. */
static bool has_other_pipeline(const tw_shard *self,
    const tw_session *other,
    const tw_hello *hello,
    const tw_pipeline_digest *own,
    tw_error *error)
{
    return hello->role == TW_ROLE_PEER && other->role == TW_ROLE_PEER && other->epoch == self->epoch &&
           tw_pipeline_compare(&other->pipeline, own, error) < 0;
}

tw_nack_reason tw_shard_meet_rivals(tw_shard *self, const tw_frame *frame, const tw_hello *hello, tw_error *error)
{
    tw_pipeline_digest own = tw_pipeline_get(frame);
    for (uint32_t i = 0; self->options.index == 0 && i < self->options.max_sessions; i++) {
        tw_session *other = &self->session[i];
        if (!other->is_open || other->sender == frame->sender)
            continue;
        bool is_same = has_number_of(other, hello);
        bool is_foreign = has_other_pipeline(self, other, hello, &own, error);
        if (!is_same && !is_foreign)
            continue;
        life is = life_of(other, self->rounds.now_us);
        if (is == LIFE_DEAD) {
            tw_shard_forget(self, other);
            tw_session_fini(other);
            continue;
        }
        if (is_foreign)
            return is == LIFE_ALIVE ? TW_NACK_PIPELINE : TW_NACK_OVERLOAD;
        return meet_number(&hello->worker, is, error);
    }
    return TW_NACK_NONE;
}

void tw_shard_enter_worker(tw_session *session, const tw_frame *frame, const tw_hello *hello)
{
    if (is_numbered(hello))
        session->worker = hello->worker;
    if (hello->role == TW_ROLE_PEER)
        session->pipeline = tw_pipeline_get(frame);
}
