#include "engine/window_log.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"

struct tw_window_log {
    char *path;
    int fd;
    uint64_t size; /* of what is in the file for certain */
    tw_text lines; /* not written yet */
    bool is_torn;  /* a write failed: the file may hold a part of `lines` behind `size` */
};

tw_status tw_window_log_open(const char *path, const tw_section *saved, tw_window_log **out, tw_error *error)
{
    uint64_t position = 0;
    *out = NULL;
    if (saved != NULL && saved->size != sizeof position)
        return tw_error_set(
            error, TW_STATUS_CORRUPT, "the checkpoint's section \"windows\" has %zu bytes", saved->size);
    if (saved != NULL)
        memcpy(&position, saved->bytes, sizeof position);
    tw_window_log *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->fd = -1;
    self->size = position;
    self->path = tw_strdup(path);
    tw_status status = self->path != NULL ? tw_file_open_growing(path, position, &self->fd, error)
                                          : tw_no_memory(error, strlen(path) + 1);
    if (status < 0)
        tw_window_log_close(&self);
    *out = self;
    return status;
}

void tw_window_log_close(tw_window_log **self)
{
    if (*self == NULL)
        return;
    (void)tw_file_close(&(*self)->fd, (*self)->path, NULL);
    tw_text_fini(&(*self)->lines);
    tw_free((*self)->path);
    tw_free(*self);
    *self = NULL;
}

static tw_status add_time(tw_text *out, const char *key, int64_t time_us, tw_error *error)
{
    if (time_us == INT64_MIN)
        return tw_text_addf(out, error, ",\"%s\":null", key);
    return tw_text_addf(out, error, ",\"%s\":%lld", key, (long long)time_us);
}

static tw_status add_figure(tw_text *out, const char *key, double value, tw_error *error)
{
    char number[TW_REAL_TEXT_SIZE] = "null";
    if (isfinite(value))
        tw_text_from_real(value, number);
    return tw_text_addf(out, error, ",\"%s\":%s", key, number);
}

static tw_status add_line(tw_text *out, const tw_window *window, tw_error *error)
{
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    const tw_figures *figures = &window->figures;
    tw_status status = tw_text_addf(out, error, "{\"window\":%llu,\"from_event\":%llu,\"to_event\":%llu",
        (unsigned long long)window->number, (unsigned long long)window->from_event,
        (unsigned long long)window->to_event);
    if (status == TW_STATUS_OK)
        status = add_time(out, "from_time", window->from_us, error);
    if (status == TW_STATUS_OK)
        status = add_time(out, "to_time", window->to_us, error);
    if (status == TW_STATUS_OK)
        status = tw_text_addf(out, error, ",\"events\":%llu,\"labelled\":%llu,\"positives\":%llu",
            (unsigned long long)figures->events, (unsigned long long)figures->labelled,
            (unsigned long long)figures->positives);
    for (size_t i = 0; i < n_figures && status == TW_STATUS_OK; i++)
        status = add_figure(out, figure[i].name, tw_figure_value(figures, &figure[i]), error);
    return status == TW_STATUS_OK ? tw_text_add(out, "}\n", error) : status;
}

tw_status tw_window_log_add(tw_window_log *self, const tw_window *window, tw_error *error)
{
    size_t before = self->lines.size;
    tw_status status = add_line(&self->lines, window, error);
    if (status < 0)
        self->lines.size = before;
    return status;
}

tw_status tw_window_log_flush(tw_window_log *self, bool is_durable, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    if (self->is_torn) {
        status = tw_file_truncate(self->fd, self->path, self->size, error);
        if (status < 0)
            return status;
        self->is_torn = false;
    }
    if (self->lines.size > 0) {
        status = tw_file_write(self->fd, self->path, self->lines.bytes, self->lines.size, error);
        self->is_torn = status < 0;
        if (status < 0)
            return status;
        self->size += self->lines.size;
        self->lines.size = 0;
    }
    return is_durable ? tw_file_sync(self->fd, self->path, error) : status;
}

tw_status tw_window_log_save(tw_window_log *self, tw_manifest *manifest, tw_error *error)
{
    tw_status status = tw_window_log_flush(self, true, error);
    if (status < 0)
        return status;
    return tw_manifest_add(manifest, "windows", &self->size, sizeof self->size, error);
}
