/* decode: how fast a format turns text into batches, on one core.
 *
 * Usage: decode FORMAT FILE [PASSES=5] [EVENTS_PER_BATCH=256]
 * Decodes the whole file from memory through the format's ops table into one builder, as the engine does, and prints
 * the best pass: events/s, GB/s, entries per event, malformed records, and a checksum over keys and values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/plan.h"

#define TW_FORMAT(name) extern const tw_format_ops tw_format_##name;
#include "formats/formats.def"
#undef TW_FORMAT

static const tw_format_ops *const bench_formats[] = {
#define TW_FORMAT(name) &tw_format_##name,
#include "formats/formats.def"
#undef TW_FORMAT
};

typedef struct bench_pass {
    uint64_t events, entries, bad, checksum;
    double seconds;
} bench_pass;

static const tw_format_ops *bench_find(const char *name)
{
    for (size_t i = 0; i < sizeof bench_formats / sizeof bench_formats[0]; i++) {
        if (strcmp(bench_formats[i]->name, name) == 0)
            return bench_formats[i];
    }
    return NULL;
}

static tw_status bench_start(
    const tw_format_ops *format, void *state, const char *bytes, size_t size, tw_cursor *io, tw_error *error)
{
    uint64_t body_offset = 0, body_line = 0;
    if (format->start != NULL) {
        tw_status status = format->start(state, bytes, size, true, &body_offset, &body_line, error);
        if (status < 0)
            return status;
    }
    *io = (tw_cursor){bytes + body_offset, bytes + size, body_offset, body_line + 1, true};
    return TW_STATUS_OK;
}

/* Checksums are taken in a pass that is not timed. */
static tw_status bench_decode(const tw_format_ops *format,
    void *state,
    tw_cursor io,
    tw_builder *out,
    bool is_timed,
    bench_pass *pass,
    tw_error *error)
{
    *pass = (bench_pass){0};
    int64_t begin = tw_clock_monotonic_us();
    tw_status status = TW_STATUS_OK;
    while (status == TW_STATUS_OK) {
        tw_builder_reset(out, 0, io.offset, io.line);
        status = format->decode(state, &io, out, error);
        tw_batch batch = tw_builder_batch(out);
        pass->events += batch.n_events;
        pass->entries += batch.n_entries;
        pass->bad += out->n_bad;
        if (is_timed)
            continue;
        pass->checksum = tw_hash_seeded(batch.key, batch.n_entries * sizeof *batch.key, pass->checksum);
        pass->checksum = tw_hash_seeded(batch.value, batch.n_entries * sizeof *batch.value, pass->checksum);
    }
    pass->seconds = (double)(tw_clock_monotonic_us() - begin) * 1e-6;
    return status < 0 ? status : TW_STATUS_OK;
}

static tw_status bench_run(
    const tw_format_ops *format, const char *path, int n_passes, uint32_t max_events, tw_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    tw_plan *plan = NULL;
    tw_builder *out = NULL;
    tw_option_values *options = NULL;
    void *state = NULL;
    tw_cursor io;
    bench_pass pass, best = {0};
    tw_status status = tw_file_load(path, (size_t)4 << 30, &bytes, &size, error);
    if (status == TW_STATUS_OK)
        status = tw_plan_create(&(tw_plan_spec){.label_kind = TW_LABEL_BINARY}, &plan, error);
    if (status == TW_STATUS_OK)
        status = tw_builder_create(max_events, 0, &out, error);
    if (status == TW_STATUS_OK)
        status = tw_option_values_create(format->options, &options, error);
    if (status == TW_STATUS_OK && (state = tw_alloc_aligned(64, format->state_size(options))) == NULL)
        status = tw_no_memory(error, format->state_size(options));
    if (status == TW_STATUS_OK)
        status = format->open(state, options, plan, tw_host_default(), error);
    bool is_open = status == TW_STATUS_OK && state != NULL;
    if (status == TW_STATUS_OK)
        status = bench_start(format, state, bytes, size, &io, error);
    for (int i = 0; i <= n_passes && status == TW_STATUS_OK; i++) {
        status = bench_decode(format, state, io, out, i > 0, &pass, error);
        uint64_t checksum = i == 0 ? pass.checksum : best.checksum;
        if (i <= 1 || pass.seconds < best.seconds)
            best = pass;
        best.checksum = checksum;
    }
    if (status == TW_STATUS_OK)
        printf("%s: %.2f M events/s  %.3f GB/s  %.1f entries/event  %llu events  %llu bad  checksum %016llx\n",
            format->name, (double)best.events / best.seconds * 1e-6, (double)size / best.seconds * 1e-9,
            (double)best.entries / (double)best.events, (unsigned long long)best.events, (unsigned long long)best.bad,
            (unsigned long long)best.checksum);
    if (is_open)
        format->close(state);
    tw_free(state);
    tw_option_values_destroy(&options);
    tw_builder_destroy(&out);
    tw_plan_destroy(&plan);
    tw_free(bytes);
    return status;
}

int main(int argc, char **argv)
{
    const tw_format_ops *format = argc >= 3 ? bench_find(argv[1]) : NULL;
    if (format == NULL) {
        (void)fprintf(stderr, "usage: decode FORMAT FILE [PASSES=5] [EVENTS_PER_BATCH=256]\n");
        return 64;
    }
    tw_error error = {0};
    int n_passes = argc > 3 ? atoi(argv[3]) : 5;
    int max_events = argc > 4 ? atoi(argv[4]) : 256;
    tw_status status = bench_run(format, argv[2], n_passes, (uint32_t)max_events, &error);
    if (status < 0)
        (void)fprintf(stderr, "decode: %s\n", error.message);
    return tw_status_exit_code(status);
}
