#include "ps/shard/session.h"

#include <string.h>

#include "base/alloc.h"

void tw_session_unstage(tw_session *self)
{
    self->n_parts = self->n_keys = 0;
    self->values.size = 0;
}

void tw_session_reset(tw_session *self)
{
    for (uint32_t i = 0; i < TW_SESSION_KEY_LISTS; i++)
        tw_free(self->list[i].key);
    memset(self->list, 0, sizeof self->list);
    self->list_bytes = 0;
    tw_free(self->part);
    tw_free(self->key);
    tw_free(self->values.bytes);
    self->part = NULL;
    self->key = NULL;
    self->values = (tw_buffer){0};
    self->capacity_parts = self->capacity_keys = 0;
    self->next_list = 0;
    tw_session_unstage(self);
}

void tw_session_fini(tw_session *self)
{
    tw_session_reset(self);
    tw_pending_fini(&self->hold);
    memset(self, 0, sizeof *self);
}

uint64_t tw_session_bytes(const tw_session *self)
{
    return self->list_bytes + self->values.capacity + self->capacity_keys * sizeof *self->key +
           self->capacity_parts * sizeof *self->part + tw_pending_bytes(&self->hold);
}

const tw_key_list *tw_session_find_list(const tw_session *self, uint64_t handle)
{
    for (uint32_t i = 0; i < TW_SESSION_KEY_LISTS; i++) {
        if (handle != 0 && self->list[i].handle == handle)
            return &self->list[i];
    }
    return NULL;
}

tw_status tw_session_keep_list(tw_session *self, const tw_frame *pull, tw_error *error)
{
    tw_key_list *list = &self->list[self->next_list];
    list->handle = 0;
    size_t before = list->capacity;
    tw_status status = tw_grow(&list->key, sizeof *list->key, &list->capacity, pull->n_keys, error);
    self->list_bytes += (list->capacity - before) * sizeof *list->key;
    if (status < 0)
        return status;
    tw_get_u64s(list->key, pull->keys, pull->n_keys);
    list->n_keys = pull->n_keys;
    list->block_first = pull->block_first;
    list->n_blocks = pull->n_blocks;
    list->handle = pull->sequence;
    self->next_list = (self->next_list + 1) % TW_SESSION_KEY_LISTS;
    return TW_STATUS_OK;
}
