/* model ls --files: the row files of a directory, which versions stand on each of them, and what is left when one of
 * them is damaged. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd/model_verbs.h"
#include "store/chain.h"
#include "store/checkpoint.h"

enum { LIST_SHOWN = 3 }; /* versions named one by one */

typedef struct row_place {
    tw_row_file file; /* as the newest who needs it says; size 0: nobody does */
    uint64_t first_id, last_id;
    uint32_t n_needed, n_below;
    tw_status status;
    char why[200];
} row_place;

typedef struct row_places {
    const char *directory;
    row_place *item; /* [n] by name */
    size_t n, capacity;
    tw_chain *chain; /* scratch */
} row_places;

static int compare_places(const void *a, const void *b)
{
    return strcmp(((const row_place *)a)->file.name, ((const row_place *)b)->file.name);
}

static row_place *place_find(const row_places *self, const char *name)
{
    for (size_t i = 0; i < self->n; i++) {
        if (strcmp(self->item[i].file.name, name) == 0)
            return &self->item[i];
    }
    return NULL;
}

static tw_status place_add(row_places *self, const char *name, row_place **out, tw_error *error)
{
    *out = place_find(self, name);
    if (*out != NULL || strlen(name) >= TW_FILE_NAME_SIZE)
        return TW_STATUS_OK;
    tw_status status = tw_grow(&self->item, sizeof *self->item, &self->capacity, self->n + 1, error);
    if (status < 0)
        return status;
    *out = &self->item[self->n++];
    **out = (row_place){0};
    memcpy((*out)->file.name, name, strlen(name));
    return TW_STATUS_OK;
}

static tw_status place_need(row_places *self, const tw_row_file *file, uint64_t id, tw_error *error)
{
    row_place *place = NULL;
    tw_status status = place_add(self, file->name, &place, error);
    if (status < 0 || place == NULL)
        return status;
    place->file = *file;
    place->first_id = place->n_needed == 0 ? id : place->first_id;
    place->last_id = id;
    place->n_needed++;
    return TW_STATUS_OK;
}

/* A file whose head is damaged does not say what it stands on. */
static tw_status need_files(row_places *self, const tw_manifest *manifest, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (uint32_t f = 0; f < manifest->files.n_files && status == TW_STATUS_OK; f++) {
        const tw_row_file *file = &manifest->files.file[f];
        status = place_need(self, file, manifest->id, error);
        if (tw_chain_peek(self->directory, file->name, self->chain, NULL) < 0)
            continue;
        for (uint32_t i = 0; i < self->chain->n_files && status == TW_STATUS_OK; i++)
            status = place_need(self, &self->chain->file[i], manifest->id, error);
    }
    return status;
}

static tw_status find_files(row_places *self, tw_error *error)
{
    tw_names names;
    tw_status status = tw_directory_list(self->directory, &names, error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK; i++) {
        const char *name = names.name[i], *rows = strstr(name, ".rows-");
        row_place *place;
        if (rows != NULL && strspn(name, "0123456789") == (size_t)(rows - name) && strchr(rows + 1, '.') == NULL)
            status = place_add(self, name, &place, error);
    }
    tw_names_free(&names);
    return status;
}

static void place_check(const row_places *self, row_place *place)
{
    tw_error error = {0};
    tw_row_file found;
    place->status =
        tw_row_file_check(self->directory, place->file.name, place->n_needed > 0 ? &place->file : NULL, &found, &error);
    if (place->status == TW_STATUS_OK)
        place->file = found;
    (void)snprintf(place->why, sizeof place->why, "%.199s", error.message);
    place->n_below = tw_chain_peek(self->directory, place->file.name, self->chain, NULL) < 0 ? 0 : self->chain->n_files;
}

static void print_place(const row_place *place)
{
    char needed[64] = "-", kind[32] = "base";
    if (place->n_needed == 1)
        (void)snprintf(needed, sizeof needed, "%06" PRIu64, place->first_id);
    else if (place->n_needed > 1 && place->n_needed < LIST_SHOWN)
        (void)snprintf(needed, sizeof needed, "%06" PRIu64 ", %06" PRIu64, place->first_id, place->last_id);
    else if (place->n_needed >= LIST_SHOWN)
        (void)snprintf(needed, sizeof needed, "%06" PRIu64 " to %06" PRIu64 " (%u)", place->first_id, place->last_id,
            place->n_needed);
    if (place->n_below > 0)
        (void)snprintf(kind, sizeof kind, "delta on %u", place->n_below);
    (void)printf("%-24s  %-24s  %-12s%12" PRIu64 "%10.2f  ", place->file.name, needed, kind, place->file.rows,
        (double)place->file.size / 1e6);
    if (place->status == TW_STATUS_OK)
        (void)printf("whole\n");
    else
        (void)printf("%s: %s\n", place->status == TW_STATUS_NOT_FOUND ? "missing" : "damaged", place->why);
}

/* Of a version: the first file that is not whole; NULL: none. */
static const row_place *broken_file(const row_places *self, const tw_manifest *manifest)
{
    for (uint32_t f = 0; f < manifest->files.n_files; f++) {
        const row_place *place = place_find(self, manifest->files.file[f].name);
        if (place == NULL || place->status != TW_STATUS_OK)
            return place;
        if (tw_chain_peek(self->directory, place->file.name, self->chain, NULL) < 0)
            return place;
        for (uint32_t i = 0; i < self->chain->n_files; i++) {
            place = place_find(self, self->chain->file[i].name);
            if (place == NULL || place->status != TW_STATUS_OK)
                return place;
        }
    }
    return NULL;
}

static tw_status need_versions(row_places *self, const uint64_t *id, size_t n, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        tw_manifest manifest = {0};
        if (tw_checkpoint_peek(self->directory, id[i], &manifest, NULL) == TW_STATUS_OK)
            status = need_files(self, &manifest, error);
        tw_manifest_fini(&manifest);
    }
    return status;
}

/* What cannot be restored and why, newest first, up to the newest version that can. */
static void print_restorable(const row_places *self, const uint64_t *id, size_t n)
{
    bool is_broken = false;
    for (size_t i = n; i-- > 0;) {
        tw_manifest manifest = {0};
        tw_error error = {0};
        tw_status status = tw_checkpoint_peek(self->directory, id[i], &manifest, &error);
        const row_place *broken = status == TW_STATUS_OK ? broken_file(self, &manifest) : NULL;
        uint64_t events = manifest.events;
        tw_manifest_fini(&manifest);
        if (status == TW_STATUS_OK && broken == NULL) {
            if (is_broken)
                (void)printf("the newest state that can be restored is version %06" PRIu64 ", at %" PRIu64 " events\n",
                    id[i], events);
            return;
        }
        is_broken = true;
        if (broken != NULL)
            (void)printf("version %06" PRIu64 " cannot be restored: it needs %s, which is %s\n", id[i],
                broken->file.name, broken->status == TW_STATUS_NOT_FOUND ? "missing" : "damaged");
        else
            (void)printf("version %06" PRIu64 " cannot be restored: %s\n", id[i], error.message);
    }
    if (is_broken)
        (void)printf("no version can be restored\n");
}

tw_status model_print_files(const char *directory, tw_error *error)
{
    row_places self = {.directory = directory, .chain = tw_alloc_zero(sizeof *self.chain)};
    uint64_t *id = NULL;
    size_t n = 0;
    bool is_whole = true;
    tw_status status = self.chain == NULL ? tw_no_memory(error, sizeof *self.chain) : TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        status = tw_checkpoint_list(directory, &id, &n, error);
    if (status == TW_STATUS_OK)
        status = need_versions(&self, id, n, error);
    if (status == TW_STATUS_OK)
        status = find_files(&self, error);
    if (status == TW_STATUS_OK) {
        if (self.n > 0)
            qsort(self.item, self.n, sizeof *self.item, compare_places);
        (void)printf("\n%-24s  %-24s  %-12s%12s%10s  %s\n", "file", "needed by", "kind", "rows", "MB", "state");
        for (size_t i = 0; i < self.n; i++) {
            place_check(&self, &self.item[i]);
            print_place(&self.item[i]);
            is_whole = is_whole && self.item[i].status == TW_STATUS_OK;
        }
        print_restorable(&self, id, n);
    }
    tw_free(id);
    tw_free(self.item);
    tw_free(self.chain);
    return status == TW_STATUS_OK && !is_whole ? TW_STATUS_CORRUPT : status;
}
