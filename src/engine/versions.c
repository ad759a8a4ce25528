#include "engine/versions.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"

enum { PATH_SIZE = 4096, MAX_PIN_SIZE = 256, LOCK_TRIES = 100, LOCK_PAUSE_US = 20000 };

static tw_status path_of(const char *directory, const char *name, char path[PATH_SIZE], tw_error *error)
{
    if (snprintf(path, PATH_SIZE, "%s/%s", directory, name) < PATH_SIZE)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_INVALID, "a path of %zu bytes is too long", strlen(directory));
}

/* --- what is there ---------------------------------------------------------------------------------------------- */

static tw_status look_at(const char *directory, uint64_t id, tw_version *out, tw_error *error)
{
    tw_manifest manifest;
    tw_error damage = {0};
    memset(out, 0, sizeof *out);
    out->id = id;
    tw_status status = tw_checkpoint_peek(directory, id, &manifest, &damage);
    if (status == TW_STATUS_OK) {
        status = tw_verdict_read(&manifest, &out->verdict, &damage);
        tw_manifest_fini(&manifest);
    }
    if (status == TW_STATUS_NO_MEMORY) {
        if (error != NULL)
            *error = damage;
        return status;
    }
    out->state = status < 0                  ? TW_VERSION_DAMAGED
                 : out->verdict.is_published ? TW_VERSION_PUBLISHED
                                             : TW_VERSION_REFUSED;
    out->damage = damage;
    return TW_STATUS_OK;
}

tw_status tw_versions_list(const char *directory, tw_version **out, size_t *n, tw_error *error)
{
    uint64_t *ids = NULL;
    *out = NULL;
    *n = 0;
    tw_status status = tw_checkpoint_list(directory, &ids, n, error);
    if (status == TW_STATUS_OK) {
        *out = tw_alloc_zero((*n + 1) * sizeof **out);
        if (*out == NULL)
            status = tw_no_memory(error, (*n + 1) * sizeof **out);
    }
    for (size_t i = 0; i < *n && status == TW_STATUS_OK; i++)
        status = look_at(directory, ids[i], &(*out)[i], error);
    tw_free(ids);
    if (status < 0) {
        tw_free(*out);
        *out = NULL;
        *n = 0;
    }
    return status;
}

/* --- the pin: "000012 0123456789abcdef\n", the version and XXH3-64 of its digits -------------------------------- */

static void pin_text(uint64_t id, char text[MAX_PIN_SIZE])
{
    int n = snprintf(text, MAX_PIN_SIZE, "%06llu", (unsigned long long)id);
    (void)snprintf(text + n, MAX_PIN_SIZE - (size_t)n, " %016llx\n", (unsigned long long)tw_hash(text, (size_t)n));
}

tw_status tw_versions_pinned(const char *directory, uint64_t *id, tw_error *error)
{
    char path[PATH_SIZE], wanted[MAX_PIN_SIZE];
    char *text = NULL;
    size_t size = 0;
    tw_error failure = {0};
    *id = 0;
    tw_status status = path_of(directory, "pinned", path, error);
    if (status < 0)
        return status;
    status = tw_file_load(path, MAX_PIN_SIZE, &text, &size, &failure);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    for (size_t i = 0; status == TW_STATUS_OK && i < size && i < 19 && text[i] >= '0' && text[i] <= '9'; i++)
        *id = *id * 10 + (uint64_t)(text[i] - '0');
    pin_text(*id, wanted);
    bool is_good = status == TW_STATUS_OK && *id != 0 && strcmp(text, wanted) == 0;
    tw_free(text);
    if (is_good)
        return TW_STATUS_OK;
    *id = 0;
    if (status < 0 && status != TW_STATUS_INVALID) {
        if (error != NULL)
            *error = failure;
        return status;
    }
    return tw_error_set(error, TW_STATUS_CORRUPT,
        "%s: is damaged; go back again, or serve the newest version: thalweg model rollback --release --model %s", path,
        directory);
}

/* --- what is served --------------------------------------------------------------------------------------------- */

static tw_status none_published(const char *directory, uint64_t newest, tw_error *error)
{
    char reason[TW_GATE_REASON_SIZE];
    tw_version version;
    tw_status status = look_at(directory, newest, &version, error);
    if (status < 0)
        return status;
    tw_verdict_reason(&version.verdict, reason);
    status = tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: no version is published yet; the newest, %06llu, %s%.300s",
        directory, (unsigned long long)newest,
        version.state == TW_VERSION_DAMAGED ? "is damaged: " : "was refused by publish.require: ",
        version.state == TW_VERSION_DAMAGED ? version.damage.message : reason);
    tw_error_code(error, "E206");
    return status;
}

static tw_status newest_published(
    const char *directory, uint64_t below, uint64_t *id, tw_error *skipped, tw_error *error)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    *id = 0;
    tw_status status = tw_checkpoint_list(directory, &ids, &n, error);
    for (size_t i = n; i-- > 0 && *id == 0 && status == TW_STATUS_OK;) {
        tw_version version;
        if (below != 0 && ids[i] >= below)
            continue;
        status = look_at(directory, ids[i], &version, error);
        if (status == TW_STATUS_OK && version.state == TW_VERSION_PUBLISHED)
            *id = ids[i];
        if (status == TW_STATUS_OK && version.state == TW_VERSION_DAMAGED && skipped != NULL &&
            skipped->status == TW_STATUS_OK)
            *skipped = version.damage;
    }
    uint64_t newest = n > 0 ? ids[n - 1] : 0;
    tw_free(ids);
    if (status < 0 || *id != 0)
        return status;
    if (below != 0)
        return tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: no version before %06llu is published", directory,
            (unsigned long long)below);
    if (newest != 0)
        return none_published(directory, newest, error);
    return tw_checkpoint_none(directory, error);
}

tw_status tw_versions_choose(
    const char *directory, uint64_t below, uint64_t *id, bool *is_pinned, tw_error *skipped, tw_error *error)
{
    if (skipped != NULL)
        memset(skipped, 0, sizeof *skipped);
    tw_status status = tw_versions_pinned(directory, id, error);
    *is_pinned = *id != 0;
    return status < 0 || *is_pinned ? status : newest_published(directory, below, id, skipped, error);
}

/* --- going back ------------------------------------------------------------------------------------------------- */

/* Held while a version is chosen and pinned, or removed: what was verified must still be there when it is pinned. */
static tw_status lock_versions(const char *directory, int tries, int *lock, tw_error *error)
{
    char path[PATH_SIZE];
    uint64_t owner = 0;
    tw_file_info info;
    *lock = -1;
    tw_status status = path_of(directory, "pinned.lock", path, error);
    if (status == TW_STATUS_OK)
        status = tw_file_stat(directory, &info, error);
    if (status == TW_STATUS_NOT_FOUND)
        tw_error_code(error, "E201");
    if (status < 0)
        return status;
    status = TW_STATUS_BUSY;
    for (int i = 0; i < tries && status == TW_STATUS_BUSY; i++) {
        if (i > 0)
            tw_clock_sleep_us(LOCK_PAUSE_US);
        status = tw_file_lock(path, lock, &owner, error);
    }
    return status;
}

static tw_status check_target(const char *directory, uint64_t id, tw_error *error)
{
    tw_manifest manifest;
    tw_verdict verdict;
    char reason[TW_GATE_REASON_SIZE];
    tw_status status = tw_checkpoint_read(directory, id, &manifest, NULL, error);
    if (status < 0)
        return status;
    status = tw_verdict_read(&manifest, &verdict, error);
    tw_manifest_fini(&manifest);
    if (status < 0 || verdict.is_published)
        return status;
    tw_verdict_reason(&verdict, reason);
    return tw_error_set(error, TW_STATUS_INVALID, "%s: version %06llu was refused by publish.require: %s", directory,
        (unsigned long long)id, reason);
}

/* `id` must be a version that is there; the message tells those that are published. */
static tw_status check_known(const char *directory, uint64_t id, tw_error *error)
{
    tw_version *version = NULL;
    size_t n = 0, size = 0;
    char known[200] = "";
    bool is_known = false;
    tw_status status = tw_versions_list(directory, &version, &n, error);
    for (size_t i = version != NULL ? n : 0; i-- > 0;) {
        is_known |= version[i].id == id;
        if (version[i].state == TW_VERSION_PUBLISHED && size + 24 < sizeof known)
            size += (size_t)snprintf(
                known + size, sizeof known - size, "%s%06llu", size > 0 ? ", " : "", (unsigned long long)version[i].id);
    }
    tw_free(version);
    if (status < 0 || is_known)
        return status;
    return tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: there is no version %06llu; published are %s", directory,
        (unsigned long long)id, size > 0 ? known : "none");
}

static tw_status roll_back_locked(const char *directory, uint64_t to, uint64_t *from, uint64_t *id, tw_error *error)
{
    char path[PATH_SIZE], text[MAX_PIN_SIZE];
    bool is_pinned = false;
    tw_error ignored = {0};
    tw_status status = path_of(directory, "pinned", path, error);
    if (status == TW_STATUS_OK && to == 0) {
        status = tw_versions_choose(directory, 0, from, &is_pinned, NULL, error);
        if (status == TW_STATUS_OK)
            status = newest_published(directory, *from, id, NULL, error);
    } else if (status == TW_STATUS_OK) {
        *id = to;
        if (tw_versions_choose(directory, 0, from, &is_pinned, NULL, &ignored) < 0)
            *from = 0;
        status = check_known(directory, to, error);
    }
    if (status == TW_STATUS_OK)
        status = check_target(directory, *id, error);
    if (status < 0)
        return status;
    pin_text(*id, text);
    return tw_file_store(path, text, strlen(text), error);
}

tw_status tw_versions_roll_back(const char *directory, uint64_t to, uint64_t *from, uint64_t *id, tw_error *error)
{
    int lock = -1;
    *from = *id = 0;
    tw_status status = lock_versions(directory, LOCK_TRIES, &lock, error);
    if (status < 0)
        return status;
    status = roll_back_locked(directory, to, from, id, error);
    (void)tw_file_close(&lock, "pinned.lock", NULL);
    return status;
}

tw_status tw_versions_release(const char *directory, uint64_t *was_pinned, tw_error *error)
{
    char path[PATH_SIZE];
    int lock = -1;
    *was_pinned = 0;
    tw_status status = path_of(directory, "pinned", path, error);
    if (status == TW_STATUS_OK)
        status = lock_versions(directory, LOCK_TRIES, &lock, error);
    if (status < 0)
        return status;
    (void)!tw_versions_pinned(directory, was_pinned, NULL); /* also a damaged one is removed */
    status = tw_file_remove(path, error);
    if (status == TW_STATUS_OK)
        status = tw_directory_sync(directory, error);
    (void)tw_file_close(&lock, "pinned.lock", NULL);
    return status;
}

/* --- removing --------------------------------------------------------------------------------------------------- */

void tw_version_name(const tw_manifest *manifest, char name[TW_VERSION_NAME_SIZE])
{
    const tw_section *section = tw_manifest_find(manifest, "name");
    size_t size = section != NULL && section->size < TW_VERSION_NAME_SIZE ? section->size : 0;
    if (size > 0)
        memcpy(name, section->bytes, size);
    name[size] = '\0';
}

/* The name of checkpoint `id`; "": it has none, or is damaged. */
static void name_of(const char *directory, uint64_t id, char name[TW_VERSION_NAME_SIZE])
{
    tw_manifest manifest = {0};
    name[0] = '\0';
    if (tw_checkpoint_peek(directory, id, &manifest, NULL) == TW_STATUS_OK)
        tw_version_name(&manifest, name);
    tw_manifest_fini(&manifest);
}

tw_status tw_versions_named(const char *directory, const char *name, uint64_t *id, tw_error *error)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    *id = 0;
    tw_status status = tw_checkpoint_list(directory, &ids, &n, error);
    for (size_t i = 0; i < n && status == TW_STATUS_OK && *id == 0; i++) {
        char known[TW_VERSION_NAME_SIZE];
        name_of(directory, ids[i], known);
        if (strcmp(known, name) == 0)
            *id = ids[i];
    }
    tw_free(ids);
    if (status == TW_STATUS_OK && *id == 0)
        status = tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: no checkpoint is named \"%.70s\"", directory, name);
    return status;
}

/* Checkpoints that somebody has given a name stay. */
static size_t spare_named(const char *directory, const uint64_t *ids, size_t n, uint64_t *spared, size_t n_spared)
{
    for (size_t i = 0; i < n; i++) {
        char name[TW_VERSION_NAME_SIZE];
        name_of(directory, ids[i], name);
        if (name[0] != '\0')
            spared[n_spared++] = ids[i];
    }
    return n_spared;
}

static tw_status prune_locked(const char *directory, uint32_t keep, tw_error *error)
{
    uint64_t *ids = NULL, *spared = NULL;
    size_t n = 0, n_spared = 0;
    uint32_t n_published = 0;
    tw_status status = tw_checkpoint_list(directory, &ids, &n, error);
    if (status == TW_STATUS_OK) {
        spared = tw_alloc_zero((2 * n + 1) * sizeof *spared);
        if (spared == NULL)
            status = tw_no_memory(error, (2 * n + 1) * sizeof *spared);
    }
    if (status == TW_STATUS_OK)
        status = tw_versions_pinned(directory, &spared[0], error);
    n_spared = 1;
    for (size_t i = n; i-- > 0 && n_published < keep && status == TW_STATUS_OK;) {
        tw_version version;
        status = look_at(directory, ids[i], &version, error);
        if (status != TW_STATUS_OK || version.state != TW_VERSION_PUBLISHED)
            continue;
        n_published++;
        spared[n_spared++] = ids[i];
    }
    if (status == TW_STATUS_OK) {
        n_spared = spare_named(directory, ids, n, spared, n_spared);
        status = tw_checkpoint_prune(directory, keep, spared, n_spared, error);
    }
    tw_free(spared);
    tw_free(ids);
    return status;
}

tw_status tw_versions_prune(const char *directory, uint32_t keep, tw_error *error)
{
    int lock = -1;
    tw_status status = lock_versions(directory, 1, &lock, error);
    if (status == TW_STATUS_BUSY)
        return TW_STATUS_OK;
    if (status < 0)
        return status;
    /* A pin that cannot be read keeps everything: it may name any of them. */
    uint64_t pinned = 0;
    if (tw_versions_pinned(directory, &pinned, error) != TW_STATUS_CORRUPT)
        status = prune_locked(directory, keep, error);
    (void)tw_file_close(&lock, "pinned.lock", NULL);
    return status;
}
