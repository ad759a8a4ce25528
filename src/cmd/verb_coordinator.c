/* coordinator: gives workers their shares of the input, and says where the shards are. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cmd/console.h"
#include "cmd/coordination_report.h"
#include "cmd/security.h"
#include "cmd/stop.h"
#include "cmd/verbs.h"
#include "ps/edge/coordinator_server.h"
#include "serve/page.h"

enum { WATCH_US = 50000, MAX_DEAD_AFTER_MS = 600000 };

static const flag_spec coordinator_flags[] = {
    {"bind", 0, "ADDR", "tcp://127.0.0.1:PORT or ipc://PATH"},
    {"shards", 0, "A,B,...", "addresses of the shards, in the order of their numbers, each A or A|STANDBY"},
    {"dead-after", 0, "TIME", "a worker that is silent so long loses its share (2s)"},
    {"takeover-after", 0, "TIME", "the standby of a shard that is silent so long takes over (1s)"},
    {"key", 0, "FILE", "its secret key (thalweg keygen): only peers of the allow-list get in"},
    {"allow", 0, "FILE", "lines \"ROLE KEY NAME\": who may connect; needed with --key"},
    {"server-key", 0, "KEY",
        "of --key: public key of the shards, as text or as a file (its own); in their list its key is an admin"},
    {"insecure", 0, NULL, "plain connections, also from and to other machines"},
    {"metrics", 0, "HOST:PORT", "answers GET /metrics and /healthz there (127.0.0.1 only)"},
    {"child-of", 0, "PID", "ends when that process does"},
    {NULL, 0, NULL, NULL},
};

typedef struct shard_list {
    char *text[FLAGS_MAX]; /* copies that commas were cut out of [n_texts] */
    size_t n_texts;
    const char *address[TW_MAX_SHARDS];
    uint32_t n;
} shard_list;

typedef struct coordinator_keys {
    tw_key_pair own;
    tw_allow_list allow;
    char shards[TW_KEY_SIZE];
    tw_socket_security view; /* towards the shards */
} coordinator_keys;

/* "A" or "A|B": a shard and its standby. */
static tw_status check_alternatives(const char *text, tw_error *error)
{
    for (const char *at = text;; at++) {
        char address[TW_ADDRESS_SIZE];
        size_t size = strcspn(at, "|");
        if (size >= sizeof address)
            return tw_error_set(error, TW_STATUS_INVALID, "--shards: %.60s...: an address of more than %zu bytes", text,
                sizeof address - 1);
        memcpy(address, at, size);
        address[size] = '\0';
        tw_status status = tw_address_check(address, true, error);
        at += size;
        if (status < 0 || *at == '\0')
            return status;
    }
}

static tw_status add_shards(shard_list *self, const char *text, tw_error *error)
{
    char *copy = tw_strdup(text);
    if (copy == NULL)
        return tw_no_memory(error, strlen(text));
    self->text[self->n_texts++] = copy;
    for (char *at = copy, *end; at != NULL; at = end) {
        end = strchr(at, ',');
        if (end != NULL)
            *end++ = '\0';
        if (self->n == TW_MAX_SHARDS)
            return tw_error_set(error, TW_STATUS_INVALID, "--shards: at most %d", TW_MAX_SHARDS);
        tw_status status = check_alternatives(at, error);
        if (status < 0)
            return status;
        self->address[self->n++] = at;
    }
    return TW_STATUS_OK;
}

/* Its own address is none of theirs either. */
static tw_status check_distinct(const shard_list *self, const char *bind, tw_error *error)
{
    const char *all[TW_MAX_SHARDS + 1] = {bind};
    size_t size = 0;
    memcpy(all + 1, self->address, self->n * sizeof *self->address);
    const char *twice = tw_text_find_twice(all, self->n + 1, &size);
    if (twice == NULL)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_INVALID,
        "--shards and --bind name %.*s twice: every shard, every standby and the coordinator has an address of its own",
        (int)size, twice);
}

static void on_note(void *context, const char *message)
{
    (void)context;
    console_note("thalweg: coordinator: %s", message);
}

static tw_status read_options(
    const flags *given, shard_list *shards, tw_coordinator_server_options *out, tw_error *error)
{
    int64_t dead_after_us = 0, takeover_us = 0;
    tw_status status = flags_duration("dead-after", flags_text(given, "dead-after", "2s"), &dead_after_us, error);
    if (status == TW_STATUS_OK)
        status = flags_duration("takeover-after", flags_text(given, "takeover-after", "1s"), &takeover_us, error);
    for (size_t i = 0; i < given->n_values && status == TW_STATUS_OK; i++) {
        if (strcmp(given->value[i].flag->name, "shards") == 0)
            status = add_shards(shards, given->value[i].text, error);
    }
    if (status == TW_STATUS_OK)
        status = check_distinct(shards, flags_text(given, "bind", ""), error);
    if (status == TW_STATUS_OK && (dead_after_us < 500000 || dead_after_us / 1000 > MAX_DEAD_AFTER_MS))
        status = tw_error_set(error, TW_STATUS_INVALID, "--dead-after: 500ms to 10m; workers report every 200ms");
    if (status == TW_STATUS_OK && (takeover_us < 200000 || takeover_us / 1000 > MAX_DEAD_AFTER_MS))
        status = tw_error_set(error, TW_STATUS_INVALID, "--takeover-after: 200ms to 10m");
    out->takeover_after_ms = (uint32_t)(takeover_us / 1000);
    out->address = flags_text(given, "bind", NULL);
    out->shard = shards->address;
    out->n_shards = shards->n;
    out->dead_after_ms = out->grace_ms = (uint32_t)(dead_after_us / 1000);
    out->note = on_note;
    return status;
}

static const char key_hint[] = ", and no standby takes over; if it runs, is --server-key its public key, and is this "
                               "coordinator's key an admin in its allow-list?";

/* Where nothing else is said all servers of a model have one key. */
static tw_status read_keys(
    const flags *given, coordinator_keys *self, tw_coordinator_server_options *out, tw_error *error)
{
    const char *shards = flags_text(given, "server-key", NULL);
    tw_status status = security_of_server(given, &self->own, &self->allow, &out->is_insecure, error);
    bool has_keys = flags_has(given, "key");
    if (status == TW_STATUS_OK && shards != NULL && !has_keys)
        status = tw_error_set(error, TW_STATUS_INVALID, "--server-key belongs to --key");
    if (status == TW_STATUS_OK && shards != NULL)
        status = tw_public_key_read(shards, self->shards, error);
    if (status < 0)
        return status;
    if (shards == NULL)
        memcpy(self->shards, self->own.public_key, sizeof self->shards);
    self->view = (tw_socket_security){.is_insecure = !has_keys,
        .public_key = has_keys ? self->own.public_key : NULL,
        .secret_key = has_keys ? self->own.secret_key : NULL,
        .server_key = has_keys ? self->shards : NULL};
    out->is_watching = true;
    out->shard_security = has_keys || out->is_insecure ? &self->view : NULL;
    out->shard_hint = has_keys ? key_hint : NULL;
    if (has_keys) {
        out->keys = &self->own;
        out->allow = &self->allow;
    }
    return TW_STATUS_OK;
}

static tw_status write_metrics(void *context, tw_text *out, tw_error *error)
{
    tw_coordination now = {0};
    tw_status status = tw_coordinator_server_status(context, &now, error);
    if (status == TW_STATUS_OK)
        status = coordination_metrics(&now, out, error);
    tw_coordination_fini(&now);
    return status;
}

static tw_status serve(
    const tw_coordinator_server_options *options, const char *metrics, const atomic_bool *stop, tw_error *error)
{
    tw_coordinator_server *server = NULL;
    tw_page *page = NULL;
    tw_status status = tw_coordinator_server_start(options, &server, error);
    if (status == TW_STATUS_OK && metrics != NULL)
        status = tw_page_start(metrics, write_metrics, server, &page, error);
    if (page != NULL)
        console_note("metrics at http://%s/metrics", tw_page_address(page));
    if (status == TW_STATUS_OK)
        console_note("the coordinator of %u shard%s serves at %s", options->n_shards, options->n_shards == 1 ? "" : "s",
            tw_coordinator_server_address(server));
    while (status == TW_STATUS_OK && !atomic_load(stop)) {
        tw_clock_sleep_us(WATCH_US);
        status = tw_coordinator_server_check(server, error);
    }
    tw_page_stop(&page);
    tw_coordinator_server_stop(&server);
    return status;
}

static int coordinator_main(const verb *self, int argc, char **argv)
{
    flags given;
    shard_list shards = {.n = 0};
    tw_coordinator_server_options options = {0};
    tw_error error = {0};
    int code = 0;
    if (!verb_parse_options(self, argc, argv, &given, &code))
        return code;
    if (!flags_has(&given, "bind") || !flags_has(&given, "shards"))
        return verb_misused(self, "--bind and --shards are needed");
    atomic_bool *stop = stop_on_signals();
    const char *parent = flags_text(&given, "child-of", NULL);
    if (parent != NULL && !stop_with_parent(parent))
        return tw_status_exit_code(TW_STATUS_UNAVAILABLE);
    coordinator_keys keys = {.allow = {0}};
    tw_status status = read_options(&given, &shards, &options, &error);
    if (status == TW_STATUS_OK)
        status = read_keys(&given, &keys, &options, &error);
    if (status == TW_STATUS_OK)
        status = serve(&options, flags_text(&given, "metrics", NULL), stop, &error);
    tw_allow_list_fini(&keys.allow);
    for (size_t i = 0; i < shards.n_texts; i++)
        tw_free(shards.text[i]);
    if (status < 0)
        console_error(&error);
    return tw_status_exit_code(status);
}

const verb verb_coordinator = {"coordinator", "coordinator --bind ADDR --shards A,B,...",
    "Gives workers their shares of the input, and says where the shards are.", coordinator_flags, coordinator_main};
