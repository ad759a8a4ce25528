#include "cmd/shard_watch.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { PATIENCE_MS = 500, MODEL_SIZE = 256 };

static const int64_t fresh_us = 1000000;

struct shard_watch {
    pthread_mutex_t mutex; /* guards all below */
    tw_asker *asker;
    tw_asked *answer; /* [n] */
    char **address;   /* [n] */
    uint32_t n;
    char model[MODEL_SIZE];
    int64_t asked_us; /* 0: never */
};

static tw_status copy_addresses(shard_watch *self, const char *const *address, tw_error *error)
{
    for (uint32_t i = 0; i < self->n; i++) {
        self->address[i] = tw_strdup(address[i]);
        if (self->address[i] == NULL)
            return tw_no_memory(error, strlen(address[i]) + 1);
    }
    return TW_STATUS_OK;
}

tw_status shard_watch_start(const char *const *address,
    uint32_t n,
    const tw_socket_security *security,
    const char *model,
    shard_watch **out,
    tw_error *error)
{
    *out = NULL;
    shard_watch *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    (void)pthread_mutex_init(&self->mutex, NULL);
    (void)snprintf(self->model, sizeof self->model, "%s", model);
    shard_label(self->model);
    self->n = n;
    self->answer = tw_alloc_zero(n * sizeof *self->answer);
    self->address = tw_alloc_zero(n * sizeof *self->address);
    tw_status status = self->answer != NULL && self->address != NULL
                           ? copy_addresses(self, address, error)
                           : tw_no_memory(error, n * (sizeof *self->answer + sizeof *self->address));
    if (status == TW_STATUS_OK)
        status = tw_asker_create(address, n, security, &self->asker, error);
    if (status < 0)
        shard_watch_stop(&self);
    *out = self;
    return status;
}

void shard_watch_stop(shard_watch **self)
{
    shard_watch *watch = *self;
    if (watch == NULL)
        return;
    *self = NULL;
    tw_asker_destroy(&watch->asker);
    for (uint32_t i = 0; watch->address != NULL && i < watch->n; i++)
        tw_free(watch->address[i]);
    if (watch->answer != NULL)
        tw_asked_fini(watch->answer, watch->n);
    tw_free(watch->address);
    tw_free(watch->answer);
    (void)pthread_mutex_destroy(&watch->mutex);
    tw_free(watch);
}

tw_status shard_watch_metrics(shard_watch *self, tw_text *out, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    (void)pthread_mutex_lock(&self->mutex);
    int64_t now_us = tw_clock_monotonic_us();
    if (self->asked_us == 0 || now_us - self->asked_us > fresh_us) {
        status = tw_asker_ask(self->asker, PATIENCE_MS, self->answer, error);
        self->asked_us = tw_clock_monotonic_us();
    }
    shard_view view = {.address = (const char *const *)self->address, .answer = self->answer, .n = self->n};
    if (status == TW_STATUS_OK)
        status = shard_report_metrics(&view, self->model, out, error);
    (void)pthread_mutex_unlock(&self->mutex);
    return status;
}
