#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "net/socket.h"
#include "ps/shard/shard_state.h"
#include "ps/wire/touches.h"

static const tw_schema *shard_schema(const tw_shard *self)
{
    return &tw_table_spec_of(self->table)->schema;
}

static void session_nack(
    tw_shard *self, const tw_session *session, const tw_frame *frame, tw_nack_reason reason, const char *message)
{
    tw_shard_nack(self, session->peer, session->peer_size, frame, reason, NULL, message);
}

/* Bytes of the records [first, first + n) of the list of block records; the range is known to be valid. */
static uint64_t places_size(const tw_shard *self, uint32_t first, uint32_t n)
{
    uint64_t size = 0;
    for (uint32_t i = first; i < first + n; i++)
        size += self->place[i].size;
    return size;
}

static bool range_is_valid(const tw_shard *self, uint32_t n_keys, uint32_t first, uint32_t n)
{
    return (n_keys == 0 || shard_schema(self)->row.size > 0) && first <= self->n_places && n <= self->n_places - first;
}

/* Rows are small and many: without a call for each. */
static inline void row_copy(void *into, const void *from, size_t size)
{
    if (size == 8)
        memcpy(into, from, 8);
    else if (size == 16)
        memcpy(into, from, 16);
    else
        memcpy(into, from, size);
}

/* NONE, or why the keys of a frame cannot be this shard's. */
static tw_nack_reason keys_check(const tw_shard *self, const tw_frame *frame)
{
    for (uint32_t i = 0; i < frame->n_keys; i++) {
        uint64_t key = tw_get_u64(frame->keys + (size_t)i * 8);
        uint32_t slot = tw_key_slot(key);
        if (key == 0)
            return TW_NACK_BAD_FRAME;
        if (slot < self->first_slot || slot > self->last_slot)
            return TW_NACK_WRONG_SLOT;
    }
    return TW_NACK_NONE;
}

static bool has_session_room(const tw_shard *self, uint64_t more)
{
    uint32_t n_sessions;
    return tw_shard_session_bytes(self, &n_sessions) + more <= self->options.max_session_bytes;
}

/* Nobody says that a peer is gone: where room is short, sessions that were silent for long give theirs. */
bool tw_shard_make_room(tw_shard *self, uint64_t more)
{
    bool has_room = has_session_room(self, more);
    for (uint32_t i = 0; !has_room && i < self->options.max_sessions; i++) {
        tw_session *session = &self->session[i];
        if (!session->is_open || self->clock - session->last_used < TW_SHARD_SILENT_FRAMES)
            continue;
        tw_shard_forget(self, session);
        tw_session_fini(session);
        has_room = has_session_room(self, more);
    }
    return has_room;
}

/* Row pointers of `key` [n] in self->row. */
static tw_status rows_find(tw_shard *self, const uint64_t *key, size_t n, tw_access access, tw_error *error)
{
    tw_status status = tw_grow(&self->row, sizeof *self->row, &self->capacity_rows, n, error);
    if (status < 0 || n == 0)
        return status;
    return tw_table_rows(self->table, key, (uint32_t)n, access, self->row, error);
}

/* --- PULL --------------------------------------------------------------------------------------------------------- */

static tw_status pull_fill(tw_shard *self, const tw_frame *frame, const uint64_t *key, tw_error *error)
{
    size_t size = shard_schema(self)->row.size, sights = tw_sights_size(tw_table_spec_of(self->table), frame->n_keys);
    tw_status status = rows_find(self, key, frame->n_keys, TW_ACCESS_READ, error);
    if (status == TW_STATUS_OK && sights > 0)
        status = tw_grow(&self->sight, sizeof *self->sight, &self->capacity_sight, frame->n_keys, error);
    if (status < 0)
        return status;
    unsigned char *at = tw_buffer_reserve(
        &self->out, frame->n_keys * size + places_size(self, frame->block_first, frame->n_blocks) + sights, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < frame->n_keys; i++, at += size)
        row_copy(at, self->row[i], size);
    for (uint32_t i = 0; i < frame->n_blocks; i++) {
        const tw_block_place *place = &self->place[frame->block_first + i];
        void *record = NULL;
        status = tw_table_block_record(self->table, place->block, place->record, TW_ACCESS_READ, &record, error);
        if (status < 0)
            return status;
        memcpy(at, record, place->size);
        at += place->size;
    }
    if (tw_keep_is_on(tw_table_spec_of(self->table)))
        tw_sights_write(self->table, key, frame->n_keys, self->sight, at);
    return TW_STATUS_OK;
}

static tw_nack_reason failure_of(const tw_error *error)
{
    return error->status == TW_STATUS_FULL ? TW_NACK_FULL : TW_NACK_FAILED;
}

void tw_shard_pull(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    tw_error error = {0};
    if (!range_is_valid(self, frame->n_keys, frame->block_first, frame->n_blocks) || frame->payload_size != 0 ||
        (frame->n_keys > 0 && frame->keys == NULL)) {
        session_nack(self, session, frame, TW_NACK_BAD_FRAME, "PULL: counts do not fit the model or the body");
        return;
    }
    uint64_t size = (uint64_t)frame->n_keys * shard_schema(self)->row.size +
                    places_size(self, frame->block_first, frame->n_blocks) +
                    tw_sights_size(tw_table_spec_of(self->table), frame->n_keys);
    if (size > TW_DATA_MAX_BYTES - TW_FRAME_HEADER) {
        session_nack(self, session, frame, TW_NACK_BAD_FRAME, "PULL: the answer would exceed a frame");
        return;
    }
    tw_nack_reason reason = keys_check(self, frame);
    if (reason != TW_NACK_NONE) {
        session_nack(self, session, frame, reason, "PULL: a key is 0 or of another shard's slots");
        return;
    }
    if (!tw_shard_make_room(self, (uint64_t)frame->n_keys * 16)) {
        session_nack(self, session, frame, TW_NACK_OVERLOAD, "PULL: the sessions' memory is used up");
        return;
    }
    uint32_t kept = session->next_list;
    tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_PULLED);
    answer.n_keys = frame->n_keys;
    answer.block_first = frame->block_first;
    answer.n_blocks = frame->n_blocks;
    answer.handle = frame->sequence;
    if (tw_session_keep_list(session, frame, &error) < 0 || tw_frame_begin(&self->out, &answer, NULL, &error) < 0 ||
        pull_fill(self, frame, session->list[kept].key, &error) < 0)
        session_nack(self, session, frame, failure_of(&error), error.message);
    else
        tw_shard_send(self, session->peer, session->peer_size, &answer);
}

/* --- PUSH --------------------------------------------------------------------------------------------------------- */

static tw_status stage_keys(tw_session *session, const tw_frame *frame, const tw_key_list *list, tw_error *error)
{
    size_t n = list != NULL ? list->n_keys : frame->n_keys;
    tw_status status =
        tw_grow(&session->key, sizeof *session->key, &session->capacity_keys, session->n_keys + n, error);
    if (status < 0 || n == 0)
        return status;
    if (list != NULL) {
        memcpy(session->key + session->n_keys, list->key, n * sizeof *session->key);
    } else {
        tw_get_u64s(session->key + session->n_keys, frame->keys, n);
    }
    session->n_keys += n;
    return TW_STATUS_OK;
}

/* Appends the part to what is staged. */
static tw_status push_stage(tw_session *session, const tw_frame *frame, const tw_key_list *list, tw_error *error)
{
    tw_staged_part part = {
        .n_keys = list != NULL ? (uint32_t)list->n_keys : frame->n_keys,
        .block_first = list != NULL ? list->block_first : frame->block_first,
        .n_blocks = list != NULL ? list->n_blocks : frame->n_blocks,
        .form = frame->form,
        .generation = frame->generation,
        .key_at = session->n_keys,
        .value_at = session->values.size,
    };
    tw_status status =
        tw_grow(&session->part, sizeof *session->part, &session->capacity_parts, session->n_parts + 1, error);
    if (status == TW_STATUS_OK)
        status = stage_keys(session, frame, list, error);
    if (status == TW_STATUS_OK)
        status = tw_buffer_append(&session->values, frame->payload, frame->payload_size, error);
    if (status == TW_STATUS_OK)
        session->part[session->n_parts++] = part;
    return status;
}

/* Everything about a part that does not depend on marks. NONE: good. */
static tw_nack_reason push_check_part(
    const tw_shard *self, const tw_session *session, const tw_frame *frame, const tw_key_list **list)
{
    *list = NULL;
    if (session->role == TW_ROLE_READER)
        return TW_NACK_DENIED;
    if (session->epoch != self->epoch)
        return TW_NACK_STALE_EPOCH;
    if (session->is_refused)
        return TW_NACK_BAD_FRAME;
    uint32_t n_keys = frame->n_keys, first = frame->block_first, n_blocks = frame->n_blocks;
    if (frame->form != TW_FORM_NONE && frame->keys == NULL) {
        *list = tw_session_find_list(session, frame->handle);
        if (*list == NULL)
            return TW_NACK_KEYLIST_GONE;
        if ((*list)->n_keys != n_keys || (*list)->block_first != first || (*list)->n_blocks != n_blocks)
            return TW_NACK_BAD_FRAME;
    }
    if (!range_is_valid(self, n_keys, first, n_blocks))
        return TW_NACK_BAD_FRAME;
    uint64_t size = (uint64_t)n_keys * shard_schema(self)->row.size + places_size(self, first, n_blocks);
    uint64_t wanted = (frame->form == TW_FORM_ADD ? size * 2 : size) +
                      tw_touches_size(tw_table_spec_of(self->table), n_keys, (frame->flags & TW_FRAME_MORE) == 0);
    if (frame->form == TW_FORM_NONE && (n_keys != 0 || n_blocks != 0))
        return TW_NACK_BAD_FRAME;
    if (wanted != frame->payload_size)
        return TW_NACK_BAD_FRAME;
    return frame->keys != NULL ? keys_check(self, frame) : TW_NACK_NONE;
}

/* NONE: apply; `is_duplicate`: acknowledge without applying; else GAP or OVERLAP with the mark that is in the way. */
static tw_nack_reason push_check_marks(
    const tw_shard *self, const tw_frame *frame, bool *is_duplicate, tw_frame_mark *at)
{
    uint32_t n_duplicate = 0;
    for (uint32_t i = 0; i < frame->n_marks; i++) {
        const tw_frame_mark *range = &frame->mark[i];
        uint64_t mark = tw_table_mark(self->table, range->split);
        *at = (tw_frame_mark){range->split, mark, mark};
        if (mark == range->from)
            continue;
        if (mark < range->from)
            return TW_NACK_GAP;
        if (mark < range->to)
            return TW_NACK_OVERLAP;
        n_duplicate++;
    }
    *is_duplicate = n_duplicate > 0;
    return n_duplicate == 0 || n_duplicate == frame->n_marks ? TW_NACK_NONE : TW_NACK_OVERLAP;
}

static void record_apply(
    const tw_record *record, tw_value_form form, void *into, const unsigned char *before, const unsigned char *after)
{
    if (form == TW_FORM_ADD)
        tw_record_merge(record, into, before, after);
    else
        row_copy(into, after, record->size);
}

/* Staged values begin at multiples of 8 as every record is one: merging may read them as they lie. */
static void part_apply(tw_shard *self, const tw_session *session, const tw_staged_part *part, void **block_record)
{
    const tw_schema *schema = shard_schema(self);
    const unsigned char *before = session->values.bytes + part->value_at;
    size_t size =
        part->n_keys * (size_t)schema->row.size + (size_t)places_size(self, part->block_first, part->n_blocks);
    const unsigned char *after = part->form == TW_FORM_ADD ? before + size : before;
    for (uint32_t i = 0; i < part->n_keys; i++) {
        if (self->row[part->key_at + i] != NULL)
            record_apply(&schema->row, part->form, self->row[part->key_at + i], before, after);
        before += schema->row.size;
        after += schema->row.size;
    }
    for (uint32_t i = 0; i < part->n_blocks; i++) {
        const tw_block_place *place = &self->place[part->block_first + i];
        record_apply(&schema->block[place->block].record, part->form, block_record[i], before, after);
        before += place->size;
        after += place->size;
    }
}

/* Row pointers of all keys that are staged; NULL: a key that has no row. */
static tw_status push_find(tw_shard *self, const tw_session *session, tw_error *error)
{
    size_t n = session->n_keys, size = shard_schema(self)->row.size;
    if (!tw_keep_is_on(tw_table_spec_of(self->table)))
        return rows_find(self, session->key, n, TW_ACCESS_WRITE, error);
    tw_status status = tw_grow(&self->row, sizeof *self->row, &self->capacity_rows, n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->touch, sizeof *self->touch, &self->capacity_touch, n, error);
    if (status < 0)
        return status;
    for (size_t p = 0; p < session->n_parts; p++) {
        const tw_staged_part *part = &session->part[p];
        size_t records = part->n_keys * size + (size_t)places_size(self, part->block_first, part->n_blocks);
        const unsigned char *at =
            session->values.bytes + part->value_at + (part->form == TW_FORM_ADD ? records * 2 : records);
        tw_touches_read(self->touch + part->key_at, part->n_keys, at);
    }
    return tw_table_touch(self->table, session->key, self->touch, (uint32_t)n, self->row, error);
}

/* Pointers of all block records that the staged parts change, behind the row pointers in self->row. */
static tw_status blocks_find(tw_shard *self, const tw_session *session, tw_error *error)
{
    size_t at = session->n_keys, n_blocks = 0;
    for (size_t p = 0; p < session->n_parts; p++)
        n_blocks += session->part[p].n_blocks;
    tw_status status = tw_grow(&self->row, sizeof *self->row, &self->capacity_rows, at + n_blocks, error);
    for (size_t p = 0; p < session->n_parts && status == TW_STATUS_OK; p++) {
        for (uint32_t i = 0; i < session->part[p].n_blocks && status == TW_STATUS_OK; i++) {
            const tw_block_place *place = &self->place[session->part[p].block_first + i];
            status = tw_table_block_record(
                self->table, place->block, place->record, TW_ACCESS_WRITE, &self->row[at++], error);
        }
    }
    return status;
}

/* Everything that can fail comes before the first change that anybody could see. */
static tw_status push_apply(tw_shard *self, const tw_session *session, const tw_frame *frame, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < frame->n_marks && status == TW_STATUS_OK; i++)
        status = tw_table_set_mark(self->table, frame->mark[i].split, frame->mark[i].from, error);
    if (status == TW_STATUS_OK)
        status = blocks_find(self, session, error);
    if (status == TW_STATUS_OK)
        status = push_find(self, session, error);
    if (status < 0)
        return status;
    size_t block_at = session->n_keys;
    for (size_t p = 0; p < session->n_parts; p++) {
        part_apply(self, session, &session->part[p], self->row + block_at);
        block_at += session->part[p].n_blocks;
    }
    for (uint32_t i = 0; i < frame->n_marks && status == TW_STATUS_OK; i++)
        status = tw_table_set_mark(self->table, frame->mark[i].split, frame->mark[i].to, error);
    tw_table_add_events_learned(self->table, frame->n_learned);
    tw_sketch_touch(&self->sketch, session->key, session->n_keys);
    self->generation++;
    tw_feed_log(self, session, frame);
    if (tw_keep_is_on(tw_table_spec_of(self->table)))
        tw_table_tick(self->table, session->n_ticks);
    return status;
}

/* Refuses a part and, until the push's last one, all that follow. */
static void push_refuse(tw_shard *self,
    tw_session *session,
    const tw_frame *frame,
    tw_nack_reason reason,
    const tw_frame_mark *mark,
    const char *message)
{
    tw_session_unstage(session);
    session->is_refused = (frame->flags & TW_FRAME_MORE) != 0;
    tw_shard_nack(self, session->peer, session->peer_size, frame, reason, mark, message);
}

static bool has_foreign_push(const tw_shard *self, const tw_session *session)
{
    for (size_t p = 0; p < session->n_parts; p++) {
        if (session->part[p].form == TW_FORM_INSTALL && session->part[p].generation != self->generation)
            return true;
    }
    return false;
}

static bool marks_are_valid(const tw_frame *frame)
{
    for (uint32_t i = 0; i < frame->n_marks; i++) {
        if (frame->mark[i].from > frame->mark[i].to)
            return false;
        for (uint32_t j = 0; j < i; j++) {
            if (frame->mark[i].split == frame->mark[j].split)
                return false;
        }
    }
    return frame->n_marks > 0;
}

/* Marks are looked at again: the push may have waited. */
void tw_shard_push_apply(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    bool is_duplicate = false;
    tw_frame_mark at = {0};
    tw_error error = {0};
    tw_nack_reason reason = push_check_marks(self, frame, &is_duplicate, &at);
    if (reason != TW_NACK_NONE) {
        push_refuse(self, session, frame, reason, &at, "PUSH: the range does not start at the mark");
        return;
    }
    if (!is_duplicate && has_foreign_push(self, session)) {
        push_refuse(self, session, frame, TW_NACK_CONFLICT, NULL, "PUSH: another session pushed since the pull");
        return;
    }
    if (!is_duplicate && push_apply(self, session, frame, &error) < 0) {
        push_refuse(self, session, frame, failure_of(&error), NULL, error.message);
        return;
    }
    tw_session_unstage(session);
    tw_shard_count_round(self, session, frame);
    tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_ACK);
    answer.flags = is_duplicate ? TW_FRAME_DUPLICATE : 0;
    tw_shard_reply(self, session, &answer);
}

static void push_finish(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    if (!marks_are_valid(frame))
        push_refuse(
            self, session, frame, TW_NACK_BAD_FRAME, NULL, "PUSH: no mark, or one that is reversed or named twice");
    else if (!tw_shard_stages(self, session, frame))
        tw_shard_push_apply(self, session, frame);
}

static void push_refuse_for_room(tw_shard *self, tw_session *session, const tw_frame *frame, uint64_t size)
{
    char message[256];
    uint32_t n_sessions;
    /* Nothing that waits for its round gives its room back before this push is there. */
    bool is_hopeless = session->hold.worker != 0 && tw_rounds_is_bulk(&self->rounds.of);
    if (is_hopeless)
        (void)snprintf(message, sizeof message,
            "the pushes of a round of %u workers with staleness 0 do not fit: %llu bytes more than the %llu there "
            "are; at most %llu: use a smaller engine.batch or more shards",
            self->rounds.of.count, (unsigned long long)size,
            (unsigned long long)tw_shard_session_bytes(self, &n_sessions),
            (unsigned long long)self->options.max_session_bytes);
    push_refuse(self, session, frame, is_hopeless ? TW_NACK_TOO_LARGE : TW_NACK_OVERLOAD, NULL,
        is_hopeless ? message : "PUSH: the sessions' memory is used up");
}

void tw_shard_push(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    static const char *const why = "PUSH: counts, lengths, keys or handle do not fit";
    const tw_key_list *list = NULL;
    tw_error error = {0};
    if (tw_leases_is_stale(&self->leases, session->lease)) {
        tw_session_unstage(session);
        session->is_refused = (frame->flags & TW_FRAME_MORE) != 0;
        tw_shard_refuse_stale(
            self, session, frame, session->lease.share, "PUSH: the share was given to another worker");
        return;
    }
    tw_nack_reason reason = push_check_part(self, session, frame, &list);
    if (reason != TW_NACK_NONE) {
        push_refuse(self, session, frame, reason, NULL, why);
        return;
    }
    uint64_t n_keys = list != NULL ? list->n_keys : frame->n_keys;
    if (!tw_shard_make_room(self, frame->payload_size + n_keys * 8)) {
        push_refuse_for_room(self, session, frame, frame->payload_size + n_keys * 8);
        return;
    }
    if (frame->form != TW_FORM_NONE && push_stage(session, frame, list, &error) < 0) {
        push_refuse(self, session, frame, TW_NACK_FAILED, NULL, error.message);
        return;
    }
    if (frame->flags & TW_FRAME_MORE) {
        tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_ACK);
        tw_shard_reply(self, session, &answer);
        return;
    }
    session->n_ticks = 0;
    if (tw_keep_is_on(tw_table_spec_of(self->table)))
        session->n_ticks = tw_get_u64(frame->payload + frame->payload_size - TW_TICKS_SIZE);
    if (session->n_ticks >= TW_TOUCH_EVENTS) /* the clock would jump */
        push_refuse(self, session, frame, TW_NACK_BAD_FRAME, NULL, "PUSH: more ticks than a batch can have");
    else
        push_finish(self, session, frame);
}
