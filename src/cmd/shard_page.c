#include "cmd/shard_page.h"

#include <pthread.h>

#include "base/alloc.h"
#include "cmd/shard_report.h"
#include "serve/page.h"

struct shard_page {
    pthread_mutex_t mutex; /* guards shown */
    tw_asked shown;        /* without marks */
    tw_page *page;
};

static tw_status write_metrics(void *context, tw_text *out, tw_error *error)
{
    shard_page *self = context;
    static const char *const no_address[] = {""};
    (void)pthread_mutex_lock(&self->mutex);
    shard_view view = {.address = no_address, .answer = &self->shown, .n = 1};
    tw_status status = shard_report_metrics(&view, self->shown.status.model, out, error);
    (void)pthread_mutex_unlock(&self->mutex);
    return status;
}

tw_status shard_page_start(const char *address, shard_page **out, tw_error *error)
{
    *out = NULL;
    shard_page *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    (void)pthread_mutex_init(&self->mutex, NULL);
    tw_status status = tw_page_start(address, write_metrics, self, &self->page, error);
    if (status < 0)
        shard_page_stop(&self);
    *out = self;
    return status;
}

const char *shard_page_address(const shard_page *self)
{
    return tw_page_address(self->page);
}

void shard_page_show(shard_page *self, const tw_shard_status *status)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->shown = (tw_asked){.has_answered = true, .status = *status};
    self->shown.status.mark = NULL;
    self->shown.status.n_marks = 0;
    shard_label(self->shown.status.model);
    (void)pthread_mutex_unlock(&self->mutex);
}

void shard_page_stop(shard_page **self)
{
    shard_page *page = *self;
    if (page == NULL)
        return;
    *self = NULL;
    tw_page_stop(&page->page);
    (void)pthread_mutex_destroy(&page->mutex);
    tw_free(page);
}
