#include "cmd/publisher.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cmd/console.h"
#include "engine/versions.h"

enum { PAUSE_US = 20000, LOOK_EVERY = 10 };

static const char nothing_published[] = "no version has passed publish.require yet; learning goes on";

struct publisher {
    const char *directory;
    tw_model *live;
    bool is_gated;
    tw_served *served;
    follower *versions;
    tw_model *answering; /* NULL: rows are withheld */
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
};

static void answer_by(publisher *self, tw_model *model)
{
    if (model == self->answering)
        return;
    if (model == NULL)
        tw_served_withhold(self->served, nothing_published);
    else
        tw_served_swap(self->served, model, false);
    self->answering = model;
}

/* Saved versions matter with a gate, and while one is pinned. */
static void publisher_look(publisher *self)
{
    uint64_t pinned = 0;
    tw_error error = {0};
    bool has_changed = false, is_damaged = tw_versions_pinned(self->directory, &pinned, NULL) < 0;
    if (!self->is_gated && pinned == 0 && !is_damaged) {
        answer_by(self, self->live);
        return;
    }
    tw_status status = follower_look(self->versions, &has_changed, &error);
    if (status < 0 && status != TW_STATUS_NOT_FOUND)
        console_note("thalweg: warning: version %06llu goes on serving: %s",
            (unsigned long long)follower_version(self->versions), error.message);
    tw_model *saved = follower_model(self->versions);
    if (saved == NULL && !self->is_gated)
        saved = self->live;
    bool is_new = saved != self->answering;
    answer_by(self, saved);
    if (has_changed)
        follower_forget(self->versions);
    if (is_new && saved != NULL && saved != self->live)
        console_note("serving version %06llu%s", (unsigned long long)follower_version(self->versions),
            follower_is_pinned(self->versions) ? ", pinned by model rollback" : "");
}

static void *publisher_run(void *argument)
{
    publisher *self = argument;
    for (unsigned i = 1; !atomic_load(&self->is_stopping); i++) {
        tw_clock_sleep_us(PAUSE_US);
        if (i % LOOK_EVERY == 0)
            publisher_look(self);
    }
    return NULL;
}

tw_status publisher_start(
    const char *directory, tw_model *live, bool is_gated, tw_served *served, publisher **out, tw_error *error)
{
    publisher *self = tw_alloc_zero(sizeof *self);
    *out = self;
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->directory = directory;
    self->live = live;
    self->answering = live;
    self->is_gated = is_gated;
    self->served = served;
    tw_status status = follower_create(directory, &self->versions, error);
    if (status < 0)
        return status;
    publisher_look(self);
    int errnum = pthread_create(&self->thread, NULL, publisher_run, self);
    self->has_thread = errnum == 0;
    return errnum == 0 ? TW_STATUS_OK
                       : tw_error_errno(error, TW_STATUS_NO_MEMORY, errnum, "the publisher cannot be started");
}

void publisher_stop(publisher **self)
{
    publisher *gone = *self;
    if (gone == NULL)
        return;
    *self = NULL;
    atomic_store(&gone->is_stopping, true);
    if (gone->has_thread)
        (void)pthread_join(gone->thread, NULL);
    tw_served_swap(gone->served, gone->live, false);
    follower_destroy(&gone->versions);
    tw_free(gone);
}
