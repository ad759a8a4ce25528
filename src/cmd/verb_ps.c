/* ps: one parameter-server shard. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/console.h"
#include "cmd/security.h"
#include "cmd/shard_page.h"
#include "cmd/stop.h"
#include "cmd/verbs.h"
#include "ps/edge/server.h"
#include "ps/edge/standby_edge.h"

static const flag_spec ps_flags[] = {
    {"shard", 0, "I/N", "this shard's number, from 0, of how many"},
    {"bind", 0, "ADDR", "tcp://127.0.0.1:PORT or ipc://PATH"},
    {"checkpoint", 0, "DIR", "directory of its row files; the newest is loaded at the start"},
    {"snapshot-every", 0, "TIME",
        "saves its rows by itself so often (10s with --checkpoint; 0s: only when a worker asks)"},
    {"keep", 0, "N", "own snapshots that are kept (2)"},
    {"deltas", 0, "N",
        "snapshots that hold only the rows that changed, between two that hold all of them (8; 0: none)"},
    {"key", 0, "FILE", "its secret key (thalweg keygen): only peers of the allow-list get in"},
    {"allow", 0, "FILE", "lines \"ROLE KEY NAME\": who may connect; ROLE worker, replica or admin; needed with --key"},
    {"insecure", 0, NULL, "plain connections, also from other machines: anybody may read and change the model"},
    {"max-bytes", 0, "SIZE", "cap on the memory of rows"},
    {"restore", 0, "N", "loads checkpoint N, whatever number of shards wrote it"},
    {"newer-than", 0, "N", "loads own row files only above N"},
    {"fresh", 0, NULL, "loads nothing of its own"},
    {"init", 0, "DIR", "with nothing of its own to load: starts from the rows of the newest checkpoint there"},
    {"init-version", 0, "N", "of --init: this checkpoint instead of the newest"},
    {"standby-of", 0, "ADDR", "keeps a copy of the shard there, and serves once it is told to take over"},
    {"primary-key", 0, "KEY",
        "of --standby-of or --promote with --key: public key of that shard, as text or as a file"},
    {"sync", 0, NULL, "of --standby-of: that shard acknowledges a push when this copy has it"},
    {"epoch", 0, "N", "how often the shard was taken over from; one that is behind what workers know serves nobody"},
    {"promote", 0, "ADDR", "tells the standby at ADDR to take over, and ends (with --key: a key of role admin)"},
    {"metrics", 0, "HOST:PORT", "answers GET /metrics and /healthz there (127.0.0.1 only)"},
    {"child-of", 0, "PID", "ends when that process does"},
    {NULL, 0, NULL, NULL},
};

typedef struct ps_run {
    tw_shard_server_options options;
    shard_page *page; /* NULL: none */
} ps_run;

static void on_ready(void *context, const char *address)
{
    const tw_shard_server_options *options = &((const ps_run *)context)->options;
    console_note(options->standby_of != NULL ? "shard %u of %u stands by at %s and serves once it is promoted"
                                             : "shard %u of %u serves at %s",
        options->index, options->count, address);
}

static void on_note(void *context, const char *text)
{
    (void)context;
    console_note("%s", text);
}

static tw_status parse_shard(const char *text, uint32_t *index, uint32_t *count, tw_error *error)
{
    char *end = NULL;
    unsigned long i = strtoul(text, &end, 10);
    unsigned long n = *end == '/' && end != text ? strtoul(end + 1, &end, 10) : 0;
    if (*end != '\0' || n < 1 || n > TW_MAX_SHARDS || i >= n)
        return tw_error_set(error, TW_STATUS_INVALID,
            "--shard %s: expected I/N with I from 0 to N - 1 and N from 1 to %d", text, TW_MAX_SHARDS);
    *index = (uint32_t)i;
    *count = (uint32_t)n;
    return TW_STATUS_OK;
}

static tw_status parse_size(const char *text, uint64_t *out, tw_error *error)
{
    tw_option table[] = {{.name = "max-bytes", .type = TW_OPTION_SIZE, .max = 9e18, .help = ""}, {0}};
    tw_option_values *values = NULL;
    tw_status status = tw_option_values_create(table, &values, error);
    if (status == TW_STATUS_OK)
        status = tw_option_set(values, "max-bytes", text, error);
    if (status == TW_STATUS_OK)
        *out = (uint64_t)tw_option_int(values, "max-bytes");
    tw_option_values_destroy(&values);
    return status;
}

enum { PROMOTE_TIMEOUT_MS = 5000 };

/* Keys and allow-list, which live as long as the shard. */
typedef struct ps_security {
    tw_key_pair keys;
    tw_allow_list allow;
    char primary_key[TW_KEY_SIZE];
} ps_security;

static tw_status read_primary_key(const flags *given, ps_security *self, tw_error *error)
{
    const char *text = flags_text(given, "primary-key", NULL);
    return text != NULL ? tw_public_key_read(text, self->primary_key, error) : TW_STATUS_OK;
}

static tw_status read_security(const flags *given, ps_security *self, tw_shard_server_options *out, tw_error *error)
{
    tw_status status = security_of_server(given, &self->keys, &self->allow, &out->is_insecure, error);
    if (status < 0 || !flags_has(given, "key"))
        return status;
    status = read_primary_key(given, self, error);
    out->keys = &self->keys;
    out->allow = &self->allow;
    out->primary_key = self->primary_key;
    return status;
}

static tw_status read_standby(const flags *given, tw_shard_server_options *out, tw_error *error)
{
    bool has_keys = flags_has(given, "key");
    out->standby_of = flags_text(given, "standby-of", NULL);
    out->is_sync = flags_has(given, "sync");
    if (out->standby_of == NULL && (out->is_sync || flags_has(given, "primary-key")))
        return tw_error_set(error, TW_STATUS_INVALID, "--sync and --primary-key belong to --standby-of");
    if (out->standby_of != NULL && out->address != NULL && strcmp(out->standby_of, out->address) == 0)
        return tw_error_set(error, TW_STATUS_INVALID,
            "--standby-of %s is its own --bind: name the address of the shard that it is to copy", out->standby_of);
    if (out->standby_of != NULL && has_keys != flags_has(given, "primary-key"))
        return tw_error_set(error, TW_STATUS_INVALID, "--key and --primary-key belong together with --standby-of");
    if (out->standby_of != NULL && (flags_has(given, "restore") || flags_has(given, "init")))
        return tw_error_set(
            error, TW_STATUS_INVALID, "--standby-of takes its rows from there, not by --restore or --init");
    out->is_epoch_certain = flags_has(given, "epoch");
    return flags_count(given, "epoch", 0, INT64_MAX, &out->epoch, error);
}

/* What says nothing without a directory is refused: nothing would be saved. */
static tw_status check_directory(
    const flags *given, const tw_shard_server_options *options, uint64_t keep, tw_error *error)
{
    static const char *const needing[] = {"snapshot-every", "keep", "deltas", "restore", "newer-than"};
    if (keep == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "--keep 0: 1 to 1000 snapshots can be kept");
    for (size_t i = 0; options->directory == NULL && i < sizeof needing / sizeof needing[0]; i++) {
        if (flags_has(given, needing[i]))
            return tw_error_set(error, TW_STATUS_INVALID,
                "--%s needs --checkpoint DIR: without it this shard neither saves nor loads its rows", needing[i]);
    }
    if (flags_has(given, "init-version") && !flags_has(given, "init"))
        return tw_error_set(error, TW_STATUS_INVALID, "--init-version belongs to --init");
    return TW_STATUS_OK;
}

static tw_status read_options(const flags *given, tw_shard_server_options *out, tw_error *error)
{
    uint64_t keep = 0, deltas = 0;
    int64_t every_us = 0;
    bool is_child = flags_has(given, "child-of");
    out->address = flags_text(given, "bind", NULL);
    out->directory = flags_text(given, "checkpoint", NULL);
    const char *every = flags_text(given, "snapshot-every", out->directory != NULL && !is_child ? "10s" : "0s");
    const char *max_bytes = flags_text(given, "max-bytes", NULL);
    tw_status status = parse_shard(flags_text(given, "shard", "0/1"), &out->index, &out->count, error);
    if (status == TW_STATUS_OK)
        status = flags_count(given, "keep", 2, 1000, &keep, error);
    if (status == TW_STATUS_OK)
        status = flags_count(given, "deltas", TW_DELTAS_DEFAULT, TW_DELTAS_MAX, &deltas, error);
    if (status == TW_STATUS_OK)
        status = flags_count(given, "restore", 0, INT64_MAX, &out->restore_id, error);
    if (status == TW_STATUS_OK)
        status = flags_count(given, "newer-than", 0, INT64_MAX, &out->newer_than, error);
    out->init_directory = flags_text(given, "init", NULL);
    if (status == TW_STATUS_OK)
        status = flags_count(given, "init-version", 0, INT64_MAX, &out->init_id, error);
    if (status == TW_STATUS_OK)
        status = flags_duration("snapshot-every", every, &every_us, error);
    if (status == TW_STATUS_OK && max_bytes != NULL)
        status = parse_size(max_bytes, &out->max_bytes, error);
    if (status == TW_STATUS_OK)
        status = read_standby(given, out, error);
    if (status == TW_STATUS_OK)
        status = check_directory(given, out, keep, error);
    if (flags_has(given, "fresh"))
        out->newer_than = UINT64_MAX;
    out->keep = (uint32_t)keep;
    out->deltas = (uint32_t)deltas;
    out->snapshot_every_ms = (uint32_t)(every_us / 1000);
    out->has_final_snapshot = out->directory != NULL && !is_child;
    out->on_ready = is_child ? NULL : on_ready;
    out->on_note = is_child ? NULL : on_note;
    return status;
}

static void on_status(void *context, const tw_shard_status *status)
{
    const ps_run *run = context;
    shard_page_show(run->page, status);
}

/* The page is there as long as the shard. */
static tw_status serve(ps_run *run, const char *metrics, atomic_bool *stop, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    run->options.context = run;
    if (metrics != NULL) {
        status = shard_page_start(metrics, &run->page, error);
        run->options.on_status = on_status;
    }
    if (status == TW_STATUS_OK && run->page != NULL)
        console_note("metrics at http://%s/metrics", shard_page_address(run->page));
    if (status == TW_STATUS_OK)
        status = tw_shard_server_run(&run->options, stop, error);
    shard_page_stop(&run->page);
    return status;
}

/* One message to the standby, and its answer. */
static int promote(const flags *given)
{
    ps_security security = {0};
    tw_error error = {0};
    tw_promotion promotion = {0};
    uint64_t epoch = 0;
    const char *address = flags_text(given, "promote", NULL), *key = flags_text(given, "key", NULL);
    tw_status status = flags_count(given, "epoch", 0, INT64_MAX, &promotion.epoch, &error);
    if (status == TW_STATUS_OK && (key != NULL) != flags_has(given, "primary-key"))
        status = tw_error_set(&error, TW_STATUS_INVALID,
            "--key and --primary-key, the public key of the shard at %s, belong together with --promote", address);
    if (status == TW_STATUS_OK && key != NULL)
        status = tw_key_pair_load(key, &security.keys, &error);
    if (status == TW_STATUS_OK && key != NULL)
        status = read_primary_key(given, &security, &error);
    tw_socket_security view = {.public_key = security.keys.public_key,
        .secret_key = security.keys.secret_key,
        .server_key = security.primary_key,
        .is_insecure = key == NULL};
    bool has_view = key != NULL || flags_has(given, "insecure");
    if (status == TW_STATUS_OK)
        status = tw_shard_promote(address, has_view ? &view : NULL, &promotion, PROMOTE_TIMEOUT_MS, &epoch, &error);
    if (status < 0)
        console_error(&error);
    else
        console_note("the shard at %s serves with epoch %llu", address, (unsigned long long)epoch);
    return tw_status_exit_code(status == TW_STATUS_TIMEOUT ? TW_STATUS_UNAVAILABLE : status);
}

static int ps_main(const verb *self, int argc, char **argv)
{
    flags given;
    ps_run run = {0};
    tw_error error = {0};
    int code = 0;
    if (!verb_parse_options(self, argc, argv, &given, &code))
        return code;
    if (flags_has(&given, "promote"))
        return promote(&given);
    if (!flags_has(&given, "bind"))
        return verb_misused(self, "--bind is needed, such as --bind tcp://127.0.0.1:7101");
    if (read_options(&given, &run.options, &error) < 0)
        return verb_misused(self, "%s", error.message);
    atomic_bool *stop = stop_on_signals();
    const char *parent = flags_text(&given, "child-of", NULL);
    if (parent != NULL && !stop_with_parent(parent))
        return tw_status_exit_code(TW_STATUS_UNAVAILABLE);
    ps_security security = {0};
    tw_status status = read_security(&given, &security, &run.options, &error);
    if (status == TW_STATUS_OK)
        status = serve(&run, flags_text(&given, "metrics", NULL), stop, &error);
    tw_allow_list_fini(&security.allow);
    if (status < 0)
        console_error(&error);
    return tw_status_exit_code(status);
}

const verb verb_ps = {
    "ps", "ps --shard I/N --bind ADDR [--checkpoint DIR]", "One parameter-server shard.", ps_flags, ps_main};
