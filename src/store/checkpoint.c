#include "store/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/chain.h"
#include "store/manifest.h"
#include "store/section.h"

/* The digits ahead of the first point, and what follows it; NULL: not a file of a checkpoint. */
static const char *file_id(const char *name, uint64_t *id)
{
    size_t digits = strspn(name, "0123456789");
    *id = 0;
    if (digits < 6 || digits > 19 || name[digits] != '.')
        return NULL;
    for (size_t i = 0; i < digits; i++)
        *id = *id * 10 + (uint64_t)(name[i] - '0');
    return name + digits + 1;
}

static bool is_rows(const char *kind)
{
    return strncmp(kind, "rows-", 5) == 0;
}

static bool is_temporary(const char *kind)
{
    size_t size = strlen(kind);
    return size > 4 && strcmp(kind + size - 4, ".tmp") == 0 && (is_rows(kind) || strcmp(kind, "manifest.tmp") == 0);
}

static void manifest_name(uint64_t id, char name[TW_FILE_NAME_SIZE])
{
    (void)snprintf(name, TW_FILE_NAME_SIZE, "%06llu.manifest", (unsigned long long)id);
}

/* A missing directory is an empty one. */
static tw_status list_names(const char *directory, tw_names *names, tw_error *error)
{
    tw_error ignored;
    tw_status status = tw_directory_list(directory, names, error == NULL ? &ignored : error);
    if (status != TW_STATUS_NOT_FOUND)
        return status;
    *names = (tw_names){0};
    return TW_STATUS_OK;
}

tw_status tw_checkpoint_commit(const char *directory, const tw_manifest *manifest, tw_error *error)
{
    char name[TW_FILE_NAME_SIZE];
    if (manifest->id == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "checkpoint: id 0 is not valid, ids start at 1");
    manifest_name(manifest->id, name);
    return tw_manifest_write(directory, name, manifest, error);
}

static void sort_ids(uint64_t *ids, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t id = ids[i];
        size_t j = i;
        for (; j > 0 && ids[j - 1] > id; j--)
            ids[j] = ids[j - 1];
        ids[j] = id;
    }
}

tw_status tw_checkpoint_list(const char *directory, uint64_t **ids, size_t *n_ids, tw_error *error)
{
    tw_names names;
    *ids = NULL;
    *n_ids = 0;
    tw_status status = list_names(directory, &names, error);
    if (status < 0)
        return status;
    *ids = tw_alloc_zero((names.count + 1) * sizeof **ids);
    if (*ids == NULL)
        status = tw_no_memory(error, names.count * sizeof **ids);
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK; i++) {
        uint64_t id;
        const char *kind = file_id(names.name[i], &id);
        if (kind != NULL && strcmp(kind, "manifest") == 0 && id != 0)
            (*ids)[(*n_ids)++] = id;
    }
    if (status == TW_STATUS_OK)
        sort_ids(*ids, *n_ids);
    tw_names_free(&names);
    return status;
}

tw_status tw_checkpoint_next_id(const char *directory, uint64_t *id, tw_error *error)
{
    tw_names names;
    *id = 1;
    tw_status status = list_names(directory, &names, error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < names.count; i++) {
        uint64_t found;
        const char *kind = file_id(names.name[i], &found);
        if (kind != NULL && (is_rows(kind) || strncmp(kind, "manifest", 8) == 0) && found >= *id)
            *id = found + 1;
    }
    tw_names_free(&names);
    return TW_STATUS_OK;
}

static tw_status verify_rows(const char *directory, const tw_manifest *manifest, tw_error *error)
{
    tw_table_spec *spec = tw_alloc(sizeof *spec);
    if (spec == NULL)
        return tw_no_memory(error, sizeof *spec);
    uint64_t wanted = tw_schema_hash(&manifest->spec.schema);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < manifest->files.n_files && status == TW_STATUS_OK; i++) {
        const tw_row_file *file = &manifest->files.file[i];
        status = tw_row_file_verify(directory, file, spec, error);
        if (status == TW_STATUS_OK && (tw_schema_hash(&spec->schema) != wanted || spec->kind != manifest->spec.kind ||
                                          spec->hash_seed != manifest->spec.hash_seed))
            status = tw_error_set(
                error, TW_STATUS_CORRUPT, "%s/%s: is of another model than the manifest", directory, file->name);
        if (status == TW_STATUS_NOT_FOUND)
            status = tw_error_set(error, TW_STATUS_CORRUPT,
                "%s/%s: is missing, but the manifest of checkpoint %llu names it", directory, file->name,
                (unsigned long long)manifest->id);
    }
    tw_free(spec);
    return status;
}

tw_status tw_checkpoint_peek(const char *directory, uint64_t id, tw_manifest *out, tw_error *error)
{
    char name[TW_FILE_NAME_SIZE];
    manifest_name(id, name);
    tw_status status = tw_manifest_read(directory, name, out, error);
    if (status == TW_STATUS_OK && out->id != id)
        status = tw_error_set(error, TW_STATUS_CORRUPT, "%s/%s: says that it is checkpoint %llu", directory, name,
            (unsigned long long)out->id);
    if (status < 0)
        tw_manifest_fini(out);
    return status;
}

static tw_status read_one(const char *directory, uint64_t id, tw_manifest *out, tw_error *error)
{
    tw_status status = tw_checkpoint_peek(directory, id, out, error);
    if (status == TW_STATUS_OK)
        status = verify_rows(directory, out, error);
    if (status < 0)
        tw_manifest_fini(out);
    return status;
}

/* Falls back from the newest. Only damage is passed over: without memory the newest may well be whole. */
static tw_status read_newest(
    const char *directory, const uint64_t *ids, size_t n_ids, tw_manifest *out, tw_error *skipped, tw_error *error)
{
    tw_error why = {0};
    for (size_t i = n_ids; i-- > 0;) {
        tw_status status = read_one(directory, ids[i], out, &why);
        if (status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY || status == TW_STATUS_UNSUPPORTED) {
            if (status < 0 && error != NULL)
                *error = why;
            return status;
        }
        if (skipped != NULL && skipped->status == TW_STATUS_OK)
            *skipped = why;
    }
    return tw_error_set(error, TW_STATUS_CORRUPT, "%s: none of %zu checkpoints is whole; the last one tried: %.300s",
        directory, n_ids, why.message);
}

tw_status tw_checkpoint_none(const char *directory, tw_error *error)
{
    tw_names names = {0};
    bool has_rows = false;
    if (tw_directory_list(directory, &names, NULL) == TW_STATUS_OK) {
        for (size_t i = 0; i < names.count; i++) {
            uint64_t id;
            const char *kind = file_id(names.name[i], &id);
            has_rows = has_rows || (kind != NULL && is_rows(kind));
        }
        tw_names_free(&names);
    }
    tw_status status = tw_error_set(error, TW_STATUS_NOT_FOUND,
        has_rows ? "%s: holds no checkpoint, only shards' own snapshots; a run that joins these shards "
                   "(parameter_servers.connect) with this checkpoint.dir saves one"
                 : "%s: holds no checkpoint; check the path, or train first",
        directory);
    tw_error_code(error, "E201");
    return status;
}

tw_status tw_checkpoint_read(const char *directory, uint64_t id, tw_manifest *out, tw_error *skipped, tw_error *error)
{
    memset(out, 0, sizeof *out);
    if (skipped != NULL)
        memset(skipped, 0, sizeof *skipped);
    if (id != 0) {
        tw_status status = read_one(directory, id, out, error);
        if (status == TW_STATUS_NOT_FOUND) {
            status = tw_error_set(error, status, "%s: holds no checkpoint %llu; `thalweg model ls --model` lists them",
                directory, (unsigned long long)id);
            tw_error_code(error, "E201");
        }
        return status;
    }
    uint64_t *ids = NULL;
    size_t n_ids = 0;
    tw_status status = tw_checkpoint_list(directory, &ids, &n_ids, error);
    if (status == TW_STATUS_OK && n_ids == 0)
        status = tw_checkpoint_none(directory, error);
    if (status == TW_STATUS_OK)
        status = read_newest(directory, ids, n_ids, out, skipped, error);
    tw_free(ids);
    return status;
}

/* What stays. What is above `newest` may be of a checkpoint that is being made. */
typedef struct kept {
    uint64_t oldest, newest; /* of the newest `keep` */
    tw_names needed;         /* row files that a row file that stays stands on */
    const uint64_t *spared;
    size_t n_spared;
} kept;

static bool is_obsolete(const kept *self, const char *name)
{
    uint64_t id;
    const char *kind = file_id(name, &id);
    if (kind == NULL)
        return false;
    if (is_temporary(kind))
        return id <= self->newest;
    for (size_t i = 0; i < self->n_spared; i++) {
        if (self->spared[i] == id)
            return false;
    }
    return id < self->oldest && (is_rows(kind) ? !tw_names_has(&self->needed, name) : strcmp(kind, "manifest") == 0);
}

/* What the row files that stay in any case stand on. */
static tw_status find_needed(
    const char *directory, const tw_names *names, const kept *range, tw_names *needed, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < names->count && status == TW_STATUS_OK; i++) {
        uint64_t id;
        const char *kind = file_id(names->name[i], &id);
        if (kind != NULL && is_rows(kind) && !is_temporary(kind) && !is_obsolete(range, names->name[i]))
            status = tw_row_file_needs(directory, names->name[i], needed, error);
    }
    return status;
}

/* Manifests go first, so that none is ever left without its rows. */
static tw_status remove_obsolete(
    const char *directory, const tw_names *names, const kept *range, bool are_manifests, tw_error *error)
{
    for (size_t i = 0; i < names->count; i++) {
        char path[TW_STORE_PATH_SIZE];
        size_t size = strlen(names->name[i]);
        bool is_manifest = size > 9 && strcmp(names->name[i] + size - 9, ".manifest") == 0;
        if (is_manifest != are_manifests || !is_obsolete(range, names->name[i]))
            continue;
        tw_status status = tw_store_path(path, directory, names->name[i], error);
        if (status == TW_STATUS_OK)
            status = tw_file_remove(path, error);
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}

tw_status tw_checkpoint_prune(
    const char *directory, uint32_t keep, const uint64_t *spared, size_t n_spared, tw_error *error)
{
    uint64_t *ids = NULL;
    size_t n_ids = 0;
    tw_names names = {0};
    tw_status status = tw_checkpoint_list(directory, &ids, &n_ids, error);
    if (status == TW_STATUS_OK)
        status = list_names(directory, &names, error);
    size_t n_kept = keep == 0 ? 1 : keep;
    kept range = {.spared = spared, .n_spared = n_spared};
    if (n_ids > 0) {
        range.oldest = ids[n_ids > n_kept ? n_ids - n_kept : 0];
        range.newest = ids[n_ids - 1];
    }
    tw_names needed = {0};
    if (status == TW_STATUS_OK)
        status = find_needed(directory, &names, &range, &needed, error);
    range.needed = needed;
    if (status == TW_STATUS_OK)
        status = remove_obsolete(directory, &names, &range, true, error);
    if (status == TW_STATUS_OK)
        status = remove_obsolete(directory, &names, &range, false, error);
    tw_names_free(&range.needed);
    tw_names_free(&names);
    tw_free(ids);
    return status;
}
