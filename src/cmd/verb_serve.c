/* serve: predictions from published checkpoints, following new ones. */
#include <stdatomic.h>

#include "base/clock.h"
#include "cmd/console.h"
#include "cmd/follower.h"
#include "cmd/stop.h"
#include "cmd/verbs.h"
#include "serve/server.h"

enum { POLL_US = 200000 };

static const flag_spec serve_flags[] = {
    {"model", 'm', "DIR", "directory of checkpoints"},
    {"version", 0, "N", "serves this checkpoint and does not follow others"},
    {"zmq", 0, "ADDR", "ZeroMQ address, such as tcp://127.0.0.1:5560"},
    {"http", 0, "HOST:PORT", "HTTP address, such as 127.0.0.1:8080"},
    {NULL, 0, NULL, NULL},
};

/* Another version is loaded beside the one that serves, and swapped in. */
static void follow(follower *versions, tw_served *served)
{
    bool has_changed = false;
    tw_error error = {0};
    if (follower_look(versions, &has_changed, &error) < 0)
        console_note("thalweg: warning: version %06llu goes on serving: %s",
            (unsigned long long)follower_version(versions), error.message);
    if (!has_changed)
        return;
    tw_served_swap(served, follower_model(versions), false);
    follower_forget(versions);
    console_note("serving version %06llu%s", (unsigned long long)follower_version(versions),
        follower_is_pinned(versions) ? ", pinned by model rollback" : "");
}

static void announce(const tw_server *server, follower *versions, const flags *given)
{
    const char *name = tw_model_name(follower_model(versions));
    unsigned long long id = follower_version(versions);
    if (flags_has(given, "http"))
        console_note("serving version %06llu at http://%s/v1/models/%s:predict, /healthz, /metrics", id,
            tw_server_http_address(server), name);
    if (flags_has(given, "zmq"))
        console_note("serving version %06llu at %s (ZeroMQ, MessagePack)", id, tw_server_zmq_address(server));
    if (follower_is_pinned(versions))
        console_note("pinned by model rollback; newer ones after: thalweg model rollback --release --model %s",
            flags_text(given, "model", NULL));
}

static tw_status serve_until(
    const atomic_bool *stop, const flags *given, follower *versions, bool is_following, tw_error *error)
{
    tw_served *served = NULL;
    tw_server *server = NULL;
    tw_status status = tw_served_create(follower_model(versions), false, &served, error);
    tw_server_options options = {.served = served,
        .zmq_address = flags_text(given, "zmq", NULL),
        .http_address = flags_text(given, "http", NULL)};
    if (status == TW_STATUS_OK)
        status = tw_server_start(&options, &server, error);
    if (status == TW_STATUS_OK)
        announce(server, versions, given);
    int64_t next_us = tw_clock_monotonic_us() + POLL_US;
    while (status == TW_STATUS_OK && !atomic_load(stop)) {
        tw_clock_sleep_us(20000);
        if (is_following && tw_clock_monotonic_us() >= next_us) {
            follow(versions, served);
            next_us = tw_clock_monotonic_us() + POLL_US;
        }
    }
    tw_server_stop(&server);
    tw_served_destroy(&served);
    return status;
}

static int serve_main(const verb *self, int argc, char **argv)
{
    flags given;
    follower *versions = NULL;
    uint64_t version = 0;
    bool has_changed = false;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse_options(self, argc, argv, &given, &code))
        return code;
    const char *directory = flags_text(&given, "model", NULL);
    if (directory == NULL || (!flags_has(&given, "zmq") && !flags_has(&given, "http")))
        return verb_misused(self, "--model and at least one of --zmq and --http are needed");
    if (flags_count(&given, "version", 0, INT64_MAX, &version, &error) < 0)
        return verb_misused(self, "%s", error.message);
    const atomic_bool *stop = stop_on_signals();
    tw_status status = follower_create(directory, &versions, &error);
    if (status == TW_STATUS_OK)
        status =
            version != 0 ? follower_load(versions, version, &error) : follower_look(versions, &has_changed, &error);
    if (status == TW_STATUS_OK)
        status = serve_until(stop, &given, versions, version == 0, &error);
    follower_destroy(&versions);
    if (status < 0)
        console_error(&error);
    return tw_status_exit_code(status);
}

const verb verb_serve = {"serve", "serve --model DIR [--zmq ADDR] [--http HOST:PORT]",
    "Serves published checkpoints; new ones and rollbacks are followed without a restart.", serve_flags, serve_main};
