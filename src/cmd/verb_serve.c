/* serve: predictions from saved checkpoints, following new ones. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cmd/console.h"
#include "cmd/verbs.h"
#include "serve/server.h"

enum { POLL_US = 500000 };

static const flag_spec serve_flags[] = {
    {"model", 'm', "DIR", "directory of checkpoints"},
    {"version", 0, "N", "serves this checkpoint and does not follow new ones"},
    {"zmq", 0, "ADDR", "ZeroMQ address, such as tcp://127.0.0.1:5560"},
    {"http", 0, "HOST:PORT", "HTTP address, such as 127.0.0.1:8080"},
    {NULL, 0, NULL, NULL},
};

static atomic_bool serve_stop;

static void on_signal(int number)
{
    if (atomic_exchange(&serve_stop, true))
        _exit(128 + number);
}

/* A model with the pipeline that belongs to it: lives as long as it serves. */
typedef struct loaded {
    assembly all;
    uint64_t id;
} loaded;

static tw_status load_into(loaded *self, const char *directory, uint64_t version, tw_error *error)
{
    tw_manifest manifest = {0};
    tw_error skipped = {0};
    tw_status status = tw_checkpoint_read(directory, version, &manifest, &skipped, error);
    if (skipped.message[0] != '\0')
        console_note("thalweg: warning: %s; the checkpoint before it is served", skipped.message);
    if (status < 0)
        return status;
    self->id = manifest.id;
    status = assembly_of_manifest(&self->all, &manifest, error);
    self->all.ignores_labels = true;
    if (status == TW_STATUS_OK)
        status = assembly_check(&self->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_build(&self->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_attach_local(&self->all, directory, &manifest, error);
    tw_manifest_fini(&manifest);
    if (status < 0)
        assembly_fini(&self->all);
    return status;
}

/* Loads a newer checkpoint beside the one that serves and swaps. */
static void follow(loaded slot[2], int *current, const char *directory, tw_served *served)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    tw_error error = {0};
    bool is_newer =
        tw_checkpoint_list(directory, &ids, &n, &error) == TW_STATUS_OK && n > 0 && ids[n - 1] > slot[*current].id;
    tw_free(ids);
    if (!is_newer)
        return;
    loaded *next = &slot[1 - *current];
    if (load_into(next, directory, 0, &error) < 0) {
        console_note("thalweg: warning: a newer checkpoint cannot be served yet: %s", error.message);
        return;
    }
    if (next->id <= slot[*current].id) {
        assembly_fini(&next->all);
        return;
    }
    tw_served_swap(served, next->all.model, false);
    assembly_fini(&slot[*current].all);
    *current = 1 - *current;
    console_note("serving version %06llu", (unsigned long long)next->id);
}

static void announce(const tw_server *server, const loaded *model, const flags *given)
{
    const char *name = tw_model_name(model->all.model);
    if (flags_has(given, "http"))
        console_note("serving version %06llu at http://%s/v1/models/%s:predict, /healthz, /metrics",
            (unsigned long long)model->id, tw_server_http_address(server), name);
    if (flags_has(given, "zmq"))
        console_note("serving version %06llu at %s (ZeroMQ, MessagePack)", (unsigned long long)model->id,
            tw_server_zmq_address(server));
}

static tw_status serve_until_stopped(
    const flags *given, loaded slot[2], const char *directory, bool is_pinned, tw_error *error)
{
    tw_served *served = NULL;
    tw_server *server = NULL;
    int current = 0;
    tw_status status = tw_served_create(slot[0].all.model, false, &served, error);
    tw_server_options options = {.served = served,
        .zmq_address = flags_text(given, "zmq", NULL),
        .http_address = flags_text(given, "http", NULL)};
    if (status == TW_STATUS_OK)
        status = tw_server_start(&options, &server, error);
    if (status == TW_STATUS_OK)
        announce(server, &slot[0], given);
    int64_t next_us = tw_clock_monotonic_us() + POLL_US;
    while (status == TW_STATUS_OK && !atomic_load(&serve_stop)) {
        tw_clock_sleep_us(20000);
        if (!is_pinned && tw_clock_monotonic_us() >= next_us) {
            follow(slot, &current, directory, served);
            next_us = tw_clock_monotonic_us() + POLL_US;
        }
    }
    tw_server_stop(&server);
    tw_served_destroy(&served);
    assembly_fini(&slot[current].all);
    return status;
}

static int serve_main(const verb *self, int argc, char **argv)
{
    flags given;
    loaded slot[2] = {0};
    uint64_t version = 0;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    const char *directory = flags_text(&given, "model", NULL);
    if (directory == NULL || (!flags_has(&given, "zmq") && !flags_has(&given, "http")))
        return verb_misused(self, "--model and at least one of --zmq and --http are needed");
    if (flags_count(&given, "version", 0, INT64_MAX, &version, &error) < 0)
        return verb_misused(self, "%s", error.message);
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGPIPE, SIG_IGN);
    tw_status status = load_into(&slot[0], directory, version, &error);
    if (status == TW_STATUS_OK)
        status = serve_until_stopped(&given, slot, directory, version != 0, &error);
    if (status < 0)
        console_error(&error);
    return tw_status_exit_code(status);
}

const verb verb_serve = {"serve", "serve --model DIR [--zmq ADDR] [--http HOST:PORT]",
    "Serves saved checkpoints; new ones are followed without a restart.", serve_flags, serve_main};
