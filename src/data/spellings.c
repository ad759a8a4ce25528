#include "data/spellings.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

typedef struct spelling {
    uint64_t key; /* 0: free */
    char *text;
} spelling;

/* Open addressing: a power of two, at most half full. */
typedef struct facet_spellings {
    spelling *slot;
    size_t count;
} facet_spellings;

struct tw_spellings {
    pthread_mutex_t mutex;
    uint32_t n_facets, limit;
    size_t n_slots; /* of each facet */
    facet_spellings *facet;
};

tw_status tw_spellings_create(uint32_t n_facets, uint32_t limit, tw_spellings **out, tw_error *error)
{
    *out = NULL;
    tw_spellings *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    (void)pthread_mutex_init(&self->mutex, NULL);
    self->limit = limit;
    self->n_slots = 16;
    while (self->n_slots < (size_t)limit * 2)
        self->n_slots *= 2;
    self->facet = tw_alloc_zero((n_facets + 1) * sizeof *self->facet);
    self->n_facets = self->facet != NULL ? n_facets : 0;
    bool is_whole = self->facet != NULL;
    for (uint32_t i = 0; i < self->n_facets && is_whole; i++) {
        self->facet[i].slot = tw_alloc_zero(self->n_slots * sizeof(spelling));
        is_whole = self->facet[i].slot != NULL;
    }
    if (!is_whole) {
        tw_status status = tw_no_memory(error, self->n_slots * sizeof(spelling));
        tw_spellings_destroy(&self);
        return status;
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_spellings_destroy(tw_spellings **self)
{
    tw_spellings *gone = *self;
    if (gone == NULL)
        return;
    for (uint32_t i = 0; i < gone->n_facets; i++) {
        for (size_t k = 0; gone->facet[i].slot != NULL && k < gone->n_slots; k++)
            tw_free(gone->facet[i].slot[k].text);
        tw_free(gone->facet[i].slot);
    }
    tw_free(gone->facet);
    (void)pthread_mutex_destroy(&gone->mutex);
    tw_free(gone);
    *self = NULL;
}

static spelling *find(const tw_spellings *self, uint32_t facet, uint64_t key)
{
    spelling *slot = self->facet[facet].slot;
    size_t mask = self->n_slots - 1, i = (size_t)key & mask;
    while (slot[i].key != 0 && slot[i].key != key)
        i = (i + 1) & mask;
    return &slot[i];
}

/* Does not cut a character in two. */
static size_t cut_size(const char *text, size_t size)
{
    if (size <= TW_SPELLING_MAX)
        return size;
    size = TW_SPELLING_MAX;
    while (size > TW_SPELLING_MAX - 4 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return size;
}

void tw_spellings_note(tw_spellings *self, uint32_t facet, uint64_t key, const char *text, size_t size)
{
    if (facet >= self->n_facets || key == 0)
        return;
    (void)pthread_mutex_lock(&self->mutex);
    spelling *slot = find(self, facet, key);
    if (slot->key == 0 && self->facet[facet].count < self->limit) {
        slot->text = tw_strndup(text, cut_size(text, size));
        if (slot->text != NULL) {
            slot->key = key;
            self->facet[facet].count++;
        }
    }
    (void)pthread_mutex_unlock(&self->mutex);
}

char *tw_spellings_copy(tw_spellings *self, uint32_t facet, uint64_t key)
{
    char *text = NULL;
    if (facet >= self->n_facets || key == 0)
        return NULL;
    (void)pthread_mutex_lock(&self->mutex);
    const spelling *slot = find(self, facet, key);
    if (slot->key != 0)
        text = tw_strdup(slot->text);
    (void)pthread_mutex_unlock(&self->mutex);
    return text;
}
