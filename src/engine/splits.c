#include "engine/splits.h"

#include <string.h>

#include "base/alloc.h"

void tw_splits_fini(tw_splits *self)
{
    tw_free(self->split);
    *self = (tw_splits){0};
}

tw_split *tw_splits_find(const tw_splits *self, uint64_t id)
{
    for (size_t i = self->count; i-- > 0;) {
        if (self->split[i].id == id)
            return &self->split[i];
    }
    return NULL;
}

tw_status tw_splits_put(tw_splits *self, const tw_split *split, tw_error *error)
{
    tw_split *known = tw_splits_find(self, split->id);
    if (known != NULL) {
        memcpy(known->name, split->name, sizeof known->name);
        memcpy(known->identity, split->identity, sizeof known->identity);
        return TW_STATUS_OK;
    }
    tw_status status = tw_grow(&self->split, sizeof *self->split, &self->capacity, self->count + 1, error);
    if (status == TW_STATUS_OK)
        self->split[self->count++] = *split;
    return status;
}

tw_status tw_splits_copy(tw_splits *self, const tw_split *split, size_t n, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++)
        status = tw_splits_put(self, &split[i], error);
    return status;
}
