/* file_read.c: hands out the bytes of a file source, bounded or followed. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sources/file_source.h"

static uint64_t id_of(const tw_file_source *self, const tw_file_split *split)
{
    return self->set.shown[split - self->set.split].id;
}

/* Hands `size` bytes at the split's offset out and moves the offset behind them. */
static void file_deliver(tw_file_source *self, tw_file_split *split, size_t size, bool is_final, tw_chunk *io)
{
    io->size = size;
    io->split = id_of(self, split);
    io->offset = split->offset;
    io->is_first = !split->is_served;
    io->is_final = is_final;
    split->is_served = true;
    split->offset += size;
    if (size > 0)
        split->is_mid_line = io->data[size - 1] != '\n';
    size_t kept = size < TW_FILE_TAIL_SIZE ? size : TW_FILE_TAIL_SIZE;
    size_t old = split->tail_size + kept > TW_FILE_TAIL_SIZE ? TW_FILE_TAIL_SIZE - kept : split->tail_size;
    memmove(split->tail, split->tail + (split->tail_size - old), old);
    if (kept > 0)
        memcpy(split->tail + old, io->data + (size - kept), kept);
    split->tail_size = old + kept;
    if (!is_final)
        return;
    tw_file_info info;
    split->is_done = true;
    split->end = split->offset;
    if (split->stream != NULL && tw_stream_info(split->stream, &info, NULL) == TW_STATUS_OK)
        split->modified_us = info.modified_us;
    tw_stream_close(&split->stream);
}

/* Reads a pipe. Its first bytes are kept, for head. IDLE: nothing within timeout_ms. */
static tw_status pipe_serve(tw_file_source *self, tw_file_split *split, int timeout_ms, tw_chunk *io, tw_error *error)
{
    bool has_head = self->pipe_split == id_of(self, split);
    size_t n = 0;
    if (has_head && split->offset < self->pipe_head_size) {
        uint64_t left = self->pipe_head_size - split->offset;
        n = left < io->capacity ? (size_t)left : io->capacity;
        memcpy(io->data, self->pipe_head + split->offset, n);
        file_deliver(self, split, n, false, io);
        return TW_STATUS_OK;
    }
    bool is_ready = false;
    tw_status status = tw_file_split_open(&self->set, split, error);
    if (status == TW_STATUS_OK)
        status = tw_stream_wait(split->stream, timeout_ms, &is_ready, error);
    if (status < 0 || !is_ready)
        return status < 0 ? status : TW_STATUS_IDLE;
    if (self->pipe_head == NULL && (self->pipe_head = tw_alloc(TW_PIPE_HEAD_SIZE)) == NULL)
        return tw_no_memory(error, TW_PIPE_HEAD_SIZE);
    status = tw_stream_read(split->stream, io->data, io->capacity, &n, error);
    if (status == TW_STATUS_OK && n == 0)
        status = tw_stream_check_end(split->stream, error);
    if (status < 0)
        return status;
    if (split->offset == 0) {
        self->pipe_split = id_of(self, split);
        self->pipe_head_size = 0;
    }
    if (self->pipe_split == id_of(self, split) && split->offset == self->pipe_head_size) {
        size_t space = TW_PIPE_HEAD_SIZE - self->pipe_head_size;
        size_t kept = n < space ? n : space;
        memcpy(self->pipe_head + self->pipe_head_size, io->data, kept);
        self->pipe_head_size += kept;
    }
    file_deliver(self, split, n, n == 0, io);
    return TW_STATUS_OK;
}

/* Reads at the split's offset, also when an earlier call failed behind its read. */
static tw_status split_read(
    const tw_file_source *self, tw_file_split *split, tw_chunk *io, size_t *n_read, tw_error *error)
{
    *n_read = 0;
    tw_status status = tw_file_split_open(&self->set, split, error);
    if (status == TW_STATUS_OK)
        status = tw_stream_seek(split->stream, split->offset, error);
    if (status == TW_STATUS_OK)
        status = tw_stream_read(split->stream, io->data, io->capacity, n_read, error);
    return status;
}

static tw_status bounded_serve(tw_file_source *self, tw_file_split *split, tw_chunk *io, tw_error *error)
{
    size_t n = 0;
    tw_status status = split_read(self, split, io, &n, error);
    if (status < 0)
        return status;
    bool is_plain = split->identity.is_packed == 0;
    bool is_end = n == 0 || (is_plain && n < io->capacity);
    tw_file_info info = {0};
    if (n == 0 && is_plain)
        status = tw_stream_info(split->stream, &info, error);
    else if (n == 0)
        status = tw_stream_check_end(split->stream, error);
    if (status == TW_STATUS_OK && n == 0 && is_plain && info.size < split->offset)
        status = tw_error_set(error, TW_STATUS_NOT_FOUND,
            "%s: was cut to %llu bytes while it was read; byte %llu no longer exists", split->path,
            (unsigned long long)info.size, (unsigned long long)split->offset);
    if (status == TW_STATUS_OK)
        file_deliver(self, split, n, is_end, io);
    return status;
}

tw_status tw_file_next_bounded(tw_file_source *self, int timeout_ms, tw_chunk *io, tw_error *error)
{
    bool is_paused = false;
    for (size_t i = 0; i < self->set.count; i++) {
        tw_file_split *split = &self->set.split[i];
        is_paused = is_paused || (split->is_paused && !split->is_done);
        if (split->is_done || split->is_paused)
            continue;
        return split->identity.is_pipe != 0 ? pipe_serve(self, split, timeout_ms, io, error)
                                            : bounded_serve(self, split, io, error);
    }
    return is_paused ? TW_STATUS_IDLE : TW_STATUS_END;
}

/* The file was truncated: its split ends where it stands. */
static tw_status follow_replaced(tw_file_source *self, tw_file_split *split, tw_chunk *io, tw_error *error)
{
    if (split->is_replaced && split->offset < split->end)
        return tw_error_set(error, TW_STATUS_NOT_FOUND,
            "%s: its bytes from %llu to %llu no longer exist; the file was truncated", split->path,
            (unsigned long long)split->offset, (unsigned long long)split->end);
    split->is_replaced = split->is_gone = true;
    self->needs_scan = true;
    file_deliver(self, split, 0, true, io);
    return TW_STATUS_OK;
}

/* What to do with `n` bytes of a compressed file, which is finished at its end. */
static tw_status follow_serve_packed(
    tw_file_source *self, tw_file_split *split, size_t n, tw_chunk *io, tw_error *error)
{
    if (n == 0) {
        tw_status status = tw_stream_check_end(split->stream, split->is_gone ? error : NULL);
        if (status < 0)
            return split->is_gone ? status : TW_STATUS_IDLE; /* still being written */
    }
    file_deliver(self, split, n, n == 0, io);
    return TW_STATUS_OK;
}

/* How many of `n` bytes go out: up to the last newline, all if the file grows no more or no line fits. */
static size_t whole_lines(const tw_file_split *split, const tw_chunk *io, size_t n)
{
    size_t whole = n;
    while (whole > 0 && io->data[whole - 1] != '\n')
        whole--;
    return split->is_gone || (whole == 0 && n == io->capacity) ? n : whole;
}

static tw_status follow_serve(tw_file_source *self, tw_file_split *split, tw_chunk *io, tw_error *error)
{
    if (split->is_replaced)
        return follow_replaced(self, split, io, error);
    size_t n = 0;
    bool is_intact = true;
    tw_file_info info = {0};
    tw_status status = split_read(self, split, io, &n, error);
    if (status == TW_STATUS_OK && split->identity.is_packed != 0)
        return follow_serve_packed(self, split, n, io, error);
    /* Looked at after the read: bytes that were read before a truncation are good, later ones are not. */
    if (status == TW_STATUS_OK)
        status = tw_file_split_is_intact(split, &is_intact, error);
    if (status == TW_STATUS_OK && n == 0)
        status = tw_stream_info(split->stream, &info, error);
    if (status < 0)
        return status;
    if (!is_intact || (n == 0 && info.size < split->offset))
        return follow_replaced(self, split, io, error);
    if (n == 0 && !split->is_gone)
        split->seen_size = split->offset;
    size_t whole = whole_lines(split, io, n);
    if (whole < n) {
        split->seen_size = split->offset + n;
        status = tw_stream_seek(split->stream, split->offset + whole, error);
    }
    if (status < 0 || (whole == 0 && !split->is_gone))
        return status < 0 ? status : TW_STATUS_IDLE;
    file_deliver(self, split, whole, whole == 0, io);
    return TW_STATUS_OK;
}

/* Whether a split other than the current one is worth a read. */
static bool follow_has_news(const tw_file_source *self, size_t index)
{
    const tw_file_split *split = &self->set.split[index];
    if (split->is_done || split->is_paused)
        return false;
    if (split->identity.is_pipe != 0 || split->is_gone || split->stream == NULL || split->identity.is_packed != 0)
        return true;
    tw_file_info info;
    return tw_stream_info(split->stream, &info, NULL) < 0 ||
           (info.size != split->seen_size && info.size != split->offset);
}

/* The split to read next: first what was moved away and must be finished, then the others in turn. */
static ptrdiff_t follow_pick(const tw_file_source *self)
{
    ptrdiff_t count = (ptrdiff_t)self->set.count;
    for (ptrdiff_t i = 0; i < count; i++) {
        const tw_file_split *split = &self->set.split[i];
        if (i != self->current && split->is_gone && !split->is_done && !split->is_paused)
            return i;
    }
    for (ptrdiff_t step = 1; step <= count; step++) {
        ptrdiff_t i = (self->current + step) % count;
        if (i != self->current && follow_has_news(self, (size_t)i))
            return i;
    }
    return TW_NO_SPLIT;
}

static tw_status follow_read(tw_file_source *self, size_t index, tw_chunk *io, tw_error *error)
{
    tw_file_split *split = &self->set.split[index];
    if (split->is_done || split->is_paused)
        return TW_STATUS_IDLE;
    return split->identity.is_pipe != 0 ? pipe_serve(self, split, 0, io, error) : follow_serve(self, split, io, error);
}

/* One round over what is known. *is_switched: another split became the current one. */
static tw_status follow_round(tw_file_source *self, bool *is_switched, tw_chunk *io, tw_error *error)
{
    bool is_left = false;
    *is_switched = false;
    if (self->current >= 0) {
        const tw_file_split *current = &self->set.split[self->current];
        tw_status status = follow_read(self, (size_t)self->current, io, error);
        if (status != TW_STATUS_IDLE)
            return status;
        is_left = current->is_served && !current->is_done;
        if (is_left && current->is_mid_line)
            return TW_STATUS_IDLE;
    }
    ptrdiff_t next = follow_pick(self);
    if (next == TW_NO_SPLIT)
        return TW_STATUS_IDLE;
    *is_switched = is_left;
    self->current = next;
    if (*is_switched)
        self->set.split[next].is_served = false;
    return *is_switched ? TW_STATUS_IDLE : follow_read(self, (size_t)next, io, error);
}

/* A read of an open file is cheap: new bytes are looked for more often than new and moved files. */
enum { READ_AGAIN_US = 1000 };

static tw_status follow_scan_due(tw_file_source *self, int64_t now_us, tw_error *error)
{
    if (!self->needs_scan && now_us < self->next_scan_us)
        return TW_STATUS_OK;
    uint64_t current = self->current >= 0 ? self->set.shown[self->current].id : 0;
    tw_status status = tw_follow_scan(&self->follow, error);
    self->needs_scan = false;
    self->next_scan_us = now_us + self->poll_us;
    tw_file_split *split = current != 0 ? tw_file_set_find(&self->set, current) : NULL;
    self->current = split != NULL ? split - self->set.split : TW_NO_SPLIT;
    return status == TW_STATUS_IDLE ? TW_STATUS_OK : status;
}

static bool follow_is_over(const tw_file_source *self)
{
    for (size_t i = 0; i < self->path.count; i++) {
        if (self->kind[i] != TW_PATH_PIPE)
            return false;
    }
    for (size_t i = 0; i < self->set.count; i++) {
        if (!self->set.split[i].is_done)
            return false;
    }
    return true;
}

tw_status tw_file_next_followed(tw_file_source *self, int timeout_ms, tw_chunk *io, tw_error *error)
{
    int64_t deadline_us = tw_clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    for (;;) {
        bool is_switched = false;
        tw_status status = follow_round(self, &is_switched, io, error);
        if (status != TW_STATUS_IDLE || is_switched)
            return status;
        if (follow_is_over(self))
            return TW_STATUS_END;
        int64_t now_us = tw_clock_monotonic_us();
        bool is_due = self->needs_scan || now_us >= self->next_scan_us;
        status = follow_scan_due(self, now_us, error);
        if (status < 0)
            return status;
        if (is_due) {
            status = follow_round(self, &is_switched, io, error);
            if (status != TW_STATUS_IDLE || is_switched)
                return status;
        }
        now_us = tw_clock_monotonic_us();
        if (now_us >= deadline_us)
            return TW_STATUS_IDLE;
        int64_t wait_us = self->poll_us < READ_AGAIN_US ? self->poll_us : READ_AGAIN_US;
        tw_clock_sleep_us(wait_us < deadline_us - now_us ? wait_us : deadline_us - now_us);
    }
}
