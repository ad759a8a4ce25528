#include "ps/shard/leases.h"

#include "base/alloc.h"
#include "ps/shard/shard_state.h"

void tw_leases_fini(tw_leases *self)
{
    tw_free(self->lease);
    *self = (tw_leases){0};
}

static tw_lease *lease_find(const tw_leases *self, uint64_t share)
{
    for (size_t i = 0; i < self->n; i++) {
        if (self->lease[i].share == share)
            return &self->lease[i];
    }
    return NULL;
}

uint64_t tw_leases_epoch(const tw_leases *self, uint64_t share)
{
    const tw_lease *told = lease_find(self, share);
    return told != NULL ? told->epoch : 0;
}

bool tw_leases_may_be(const tw_leases *self, uint64_t epoch)
{
    return epoch != 0 && (epoch <= TW_LEASE_MAX_EPOCH || epoch <= self->highest + TW_LEASE_STEP);
}

tw_status tw_leases_take(tw_leases *self, tw_lease lease, tw_error *error)
{
    tw_lease *told = lease_find(self, lease.share);
    if (told != NULL && told->epoch > lease.epoch)
        return tw_error_set(
            error, TW_STATUS_CONFLICT, "share %llu was given to another worker", (unsigned long long)lease.share);
    if (told != NULL) {
        told->epoch = lease.epoch;
        self->highest = lease.epoch > self->highest ? lease.epoch : self->highest;
        return TW_STATUS_OK;
    }
    if (self->n == TW_LEASE_MAX_SHARES)
        return tw_error_set(
            error, TW_STATUS_BUSY, "a shard remembers the owners of at most %d shares", TW_LEASE_MAX_SHARES);
    tw_status status = tw_grow(&self->lease, sizeof *self->lease, &self->capacity, self->n + 1, error);
    if (status == TW_STATUS_OK) {
        self->lease[self->n++] = lease;
        self->highest = lease.epoch > self->highest ? lease.epoch : self->highest;
    }
    return status;
}

bool tw_leases_is_stale(const tw_leases *self, tw_lease lease)
{
    return lease.epoch != 0 && tw_leases_epoch(self, lease.share) > lease.epoch;
}

/* --- ACQUIRE ------------------------------------------------------------------------------------------------------ */

void tw_shard_refuse_stale(
    tw_shard *self, const tw_session *session, const tw_frame *frame, uint64_t share, const char *message)
{
    uint64_t epoch = tw_leases_epoch(&self->leases, share);
    tw_frame_mark highest = {share, epoch, epoch};
    tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_STALE_OWNER, &highest, message);
}

/* Payload of ACQUIRED: the mark of every split that was named, u64 each. */
static void lease_answer(tw_shard *self, const tw_session *session, const tw_frame *frame)
{
    tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_ACQUIRED);
    answer.handle = frame->handle;
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) < 0)
        return;
    unsigned char *at = tw_buffer_reserve(&self->out, (size_t)frame->n_keys * 8, NULL);
    if (at == NULL)
        return;
    for (uint32_t i = 0; i < frame->n_keys; i++)
        tw_put_u64(at + (size_t)i * 8, tw_table_mark(self->table, tw_get_u64(frame->keys + (size_t)i * 8)));
    tw_shard_send(self, session->peer, session->peer_size, &answer);
}

void tw_shard_acquire(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    tw_lease lease = {frame->handle, frame->generation};
    tw_error error = {0};
    bool has_keys = frame->n_keys == 0 || frame->keys != NULL;
    if (session->role == TW_ROLE_READER || !tw_leases_may_be(&self->leases, lease.epoch) || !has_keys ||
        frame->n_keys > TW_LEASE_MAX_SPLITS || frame->payload_size != 0 || frame->n_marks != 0) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_BAD_FRAME, NULL,
            "ACQUIRE: no owner epoch or one that nobody gives, too many splits, or a peer that may not push");
        return;
    }
    tw_status status = tw_leases_take(&self->leases, lease, &error);
    if (status == TW_STATUS_CONFLICT) {
        tw_shard_refuse_stale(self, session, frame, lease.share, error.message);
    } else if (status < 0) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_FAILED, NULL, error.message);
    } else {
        session->lease = lease;
        lease_answer(self, session, frame);
    }
}
