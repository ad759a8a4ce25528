#include "cmd/follower.h"

#include "base/alloc.h"
#include "cmd/console.h"
#include "engine/versions.h"

/* A model with the pipeline that belongs to it. */
typedef struct loaded {
    assembly all;
    uint64_t id; /* 0: nothing is loaded */
} loaded;

/* What a choice depends on: while it is the same, there is no need to choose again. */
typedef struct directory_view {
    uint64_t newest, pinned;
    tw_status pin_status;
} directory_view;

struct follower {
    const char *directory;
    loaded slot[2];
    int current;
    directory_view seen;
    bool has_seen, is_pinned;
};

tw_status follower_create(const char *directory, follower **out, tw_error *error)
{
    follower *self = tw_alloc_zero(sizeof *self);
    *out = self;
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->directory = directory;
    return TW_STATUS_OK;
}

static void unload(loaded *self)
{
    if (self->id != 0)
        assembly_fini(&self->all);
    self->id = 0;
}

void follower_destroy(follower **self)
{
    if (*self == NULL)
        return;
    unload(&(*self)->slot[0]);
    unload(&(*self)->slot[1]);
    tw_free(*self);
    *self = NULL;
}

tw_model *follower_model(follower *self)
{
    loaded *current = &self->slot[self->current];
    return current->id != 0 ? current->all.model : NULL;
}

uint64_t follower_version(const follower *self)
{
    return self->slot[self->current].id;
}

bool follower_is_pinned(const follower *self)
{
    return self->is_pinned;
}

void follower_forget(follower *self)
{
    unload(&self->slot[1 - self->current]);
}

static tw_status check_verdict(const tw_manifest *manifest, tw_error *error)
{
    tw_verdict verdict;
    char reason[TW_GATE_REASON_SIZE];
    tw_status status = tw_verdict_read(manifest, &verdict, error);
    if (status < 0 || verdict.is_published)
        return status;
    tw_verdict_reason(&verdict, reason);
    return tw_error_set(error, TW_STATUS_INVALID,
        "version %06llu was refused by publish.require: %s; `predict` and `eval` can look at it",
        (unsigned long long)manifest->id, reason);
}

static tw_status load_manifest(loaded *slot, const char *directory, const tw_manifest *manifest, tw_error *error)
{
    tw_status status = assembly_of_manifest(&slot->all, manifest, error);
    slot->all.ignores_labels = true;
    if (status == TW_STATUS_OK)
        status = assembly_check(&slot->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_build(&slot->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_attach_saved(&slot->all, directory, manifest, error);
    slot->id = manifest->id;
    if (status < 0)
        unload(slot);
    return status;
}

tw_status follower_load(follower *self, uint64_t version, tw_error *error)
{
    loaded *next = &self->slot[1 - self->current];
    tw_manifest manifest = {0};
    unload(next);
    tw_status status = tw_checkpoint_read(self->directory, version, &manifest, NULL, error);
    if (status == TW_STATUS_OK)
        status = check_verdict(&manifest, error);
    if (status == TW_STATUS_OK)
        status = load_manifest(next, self->directory, &manifest, error);
    tw_manifest_fini(&manifest);
    if (status == TW_STATUS_OK)
        self->current = 1 - self->current;
    return status;
}

/* True: something is there that was not the last time. */
static bool look_around(follower *self)
{
    directory_view now = {0};
    uint64_t *ids = NULL;
    size_t n = 0;
    if (tw_checkpoint_list(self->directory, &ids, &n, NULL) == TW_STATUS_OK && n > 0)
        now.newest = ids[n - 1];
    tw_free(ids);
    now.pin_status = tw_versions_pinned(self->directory, &now.pinned, NULL);
    bool has_changed = !self->has_seen || now.newest != self->seen.newest || now.pinned != self->seen.pinned ||
                       now.pin_status != self->seen.pin_status;
    self->seen = now;
    self->has_seen = true;
    return has_changed;
}

/* Of the published versions a damaged one is passed over for the one before it; a pinned one is not. */
static tw_status load_choice(follower *self, bool *has_changed, tw_error *error)
{
    uint64_t below = 0, id = 0;
    for (;;) {
        bool is_pinned = false;
        tw_error skipped = {0};
        tw_status status = tw_versions_choose(self->directory, below, &id, &is_pinned, &skipped, error);
        if (status < 0)
            return status;
        if (skipped.status < 0)
            console_note("thalweg: warning: %s; the checkpoint before it is served", skipped.message);
        *has_changed = id != follower_version(self);
        status = *has_changed ? follower_load(self, id, error) : TW_STATUS_OK;
        if (status == TW_STATUS_OK)
            self->is_pinned = is_pinned;
        if (is_pinned || status != TW_STATUS_CORRUPT)
            return status;
        console_note("thalweg: warning: %s; the checkpoint before it is served",
            error != NULL ? error->message : "a version is damaged");
        below = id;
    }
}

tw_status follower_look(follower *self, bool *has_changed, tw_error *error)
{
    *has_changed = false;
    if (!look_around(self))
        return TW_STATUS_OK;
    tw_status status = load_choice(self, has_changed, error);
    if (status == TW_STATUS_OK)
        return status;
    *has_changed = false;
    if (status == TW_STATUS_NO_MEMORY)
        self->has_seen = false;
    return status;
}
