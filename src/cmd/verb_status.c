/* status: what shards say of themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cmd/console.h"
#include "cmd/coordination_report.h"
#include "cmd/security.h"
#include "cmd/shard_list.h"
#include "cmd/shard_report.h"
#include "cmd/verbs.h"

static const flag_spec status_flags[] = {
    {"connect", 0, "ADDR,...", "the shards to ask, instead of those of the pipeline file; may be repeated"},
    {"model", 'm', "DIR", "the shards that a run started for itself, found in its checkpoint directory"},
    {"coordinator", 0, "ADDR", "asks the coordinator there instead: workers, shares, where the shards are"},
    {"json", 0, NULL, "one JSON object"},
    {"timeout", 0, "TIME", "how long to wait for answers (2s)"},
    {"key", 0, "FILE", "the asker's secret key (thalweg keygen); any role of the shards' allow-list will do"},
    {"server-key", 0, "FILE", "the shards' public key; needed with --key"},
    {"insecure", 0, NULL, "plain connections, also to other machines"},
    {"set", 's', "PATH=VALUE", "overrides a value of the pipeline; may be repeated"},
    {NULL, 0, NULL, NULL},
};

typedef struct status_run {
    assembly all;
    client_security keys;
    const tw_socket_security *security; /* NULL: plain */
    char *list;                         /* what the addresses point into; may be NULL */
    const char *address[TW_MAX_SHARDS];
    uint32_t n;
    int timeout_ms;
} status_run;

static tw_status add_address(status_run *self, const char *address, tw_error *error)
{
    if (self->n == TW_MAX_SHARDS)
        return tw_error_set(error, TW_STATUS_INVALID, "at most %d shards are asked at a time", TW_MAX_SHARDS);
    self->address[self->n++] = address;
    return TW_STATUS_OK;
}

static tw_status read_connect(status_run *self, const flags *given, tw_error *error)
{
    size_t size = 1;
    for (size_t i = 0; i < given->n_values; i++)
        size += strcmp(given->value[i].flag->name, "connect") == 0 ? strlen(given->value[i].text) + 1 : 0;
    self->list = tw_alloc_zero(size);
    if (self->list == NULL)
        return tw_no_memory(error, size);
    for (size_t i = 0, used = 0; i < given->n_values; i++) {
        if (strcmp(given->value[i].flag->name, "connect") == 0)
            used += (size_t)snprintf(self->list + used, size - used, "%s,", given->value[i].text);
    }
    tw_status status = TW_STATUS_OK;
    for (char *at = self->list, *comma; status == TW_STATUS_OK && (comma = strchr(at, ',')) != NULL; at = comma + 1) {
        *comma = '\0';
        if (comma != at)
            status = add_address(self, at, error);
    }
    if (status == TW_STATUS_OK && self->n == 0)
        status = tw_error_set(error, TW_STATUS_INVALID, "--connect: an address is expected, tcp://127.0.0.1:PORT");
    return status;
}

/* Shards that a run of this machine started for itself: they have no keys. */
static tw_status read_list(status_run *self, const char *directory, tw_error *error)
{
    return shard_list_read(directory, &self->list, self->address, TW_MAX_SHARDS, &self->n, error);
}

static tw_status read_pipeline(status_run *self, const flags *given, tw_error *error)
{
    tw_status status = tw_tree_load(self->all.tree, given->argument[0], &self->all.problems, error);
    for (size_t i = 0; i < given->n_values && status == TW_STATUS_OK; i++) {
        if (strcmp(given->value[i].flag->name, "set") == 0)
            status = tw_tree_assign(self->all.tree, "-s", given->value[i].text, &self->all.problems, error);
    }
    if (status == TW_STATUS_OK)
        status = assembly_check(&self->all, error);
    if (status < 0)
        return status;
    const tw_pipeline *pipeline = self->all.pipeline;
    const tw_text_list *named = pipeline->connect.count > 0 ? &pipeline->connect : &pipeline->bind;
    if (named->count == 0 && pipeline->checkpoint_dir != NULL)
        return read_list(self, pipeline->checkpoint_dir, error);
    if (named->count == 0)
        return tw_error_set(error, TW_STATUS_INVALID,
            "%s names no shards: those that a run starts for itself are found by parameter_servers.bind or "
            "checkpoint.dir",
            given->argument[0]);
    for (size_t i = 0; i < named->count && status == TW_STATUS_OK; i++)
        status = add_address(self, named->item[i], error);
    return status == TW_STATUS_OK && self->security == NULL
               ? security_of_pipeline(&self->keys, pipeline, &self->security, error)
               : status;
}

static tw_status read_all(status_run *self, const flags *given, tw_error *error)
{
    int64_t timeout_us = 0;
    tw_status status = flags_duration("timeout", flags_text(given, "timeout", "2s"), &timeout_us, error);
    if (status == TW_STATUS_OK && (timeout_us < 1000 || timeout_us / 1000 > 3600000))
        status = tw_error_set(error, TW_STATUS_INVALID, "--timeout: 1ms to 1h");
    self->timeout_ms = (int)(timeout_us / 1000);
    if (status == TW_STATUS_OK)
        status = security_of_client(&self->keys, given, &self->security, error);
    if (status < 0 || flags_has(given, "coordinator"))
        return status;
    if (flags_has(given, "model"))
        return read_list(self, flags_text(given, "model", NULL), error);
    return flags_has(given, "connect") ? read_connect(self, given, error) : read_pipeline(self, given, error);
}

/* What was found out is printed even where some are missing; the error names them. */
static tw_status show(const status_run *self, const tw_asked *answer, bool is_json, tw_error *error)
{
    shard_view view = {.address = self->address, .answer = answer, .n = self->n};
    if (is_json) {
        char *text = shard_report_json(&view);
        if (text == NULL)
            return tw_no_memory(error, 1);
        (void)puts(text);
        free(text);
    } else {
        shard_report_print(stdout, &view);
    }
    tw_text missing = {0};
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < self->n; i++) {
        if (answer[i].is_no_shard)
            return tw_error_set(error, TW_STATUS_INVALID,
                "%s answers, and is no shard: ask a coordinator by --coordinator", answer[i].address);
    }
    for (uint32_t i = 0; i < self->n && status == TW_STATUS_OK; i++) {
        if (!answer[i].has_answered)
            status = tw_text_addf(&missing, error, "%s%s", missing.size > 0 ? ", " : "", self->address[i]);
    }
    if (status == TW_STATUS_OK && missing.size > 0)
        status = tw_error_set(error, TW_STATUS_UNAVAILABLE,
            "no answer within %d ms from %s: check that it runs, and with keys that its allow-list has --key and that "
            "--server-key is its",
            self->timeout_ms, missing.bytes);
    tw_text_fini(&missing);
    return status;
}

static tw_status status_ask(const status_run *self, bool is_json, tw_error *error)
{
    tw_asker *asker = NULL;
    tw_asked *answer = tw_alloc_zero(self->n * sizeof *answer);
    tw_status status = answer != NULL ? TW_STATUS_OK : tw_no_memory(error, self->n * sizeof *answer);
    if (status == TW_STATUS_OK)
        status = tw_asker_create(self->address, self->n, self->security, &asker, error);
    if (status == TW_STATUS_OK)
        status = tw_asker_ask(asker, self->timeout_ms, answer, error);
    if (status == TW_STATUS_OK)
        status = show(self, answer, is_json, error);
    if (answer != NULL)
        tw_asked_fini(answer, self->n);
    tw_free(answer);
    tw_asker_destroy(&asker);
    return status;
}

static tw_status ask_coordinator(const status_run *self, const char *address, bool is_json, tw_error *error)
{
    tw_coordination said = {0};
    tw_status status = tw_coordination_ask(address, self->security, self->timeout_ms, &said, error);
    if (status < 0)
        return status;
    if (is_json) {
        char *text = coordination_json(address, &said);
        if (text == NULL)
            status = tw_no_memory(error, 1);
        else
            (void)puts(text);
        free(text);
    } else {
        coordination_print(stdout, address, &said);
    }
    tw_coordination_fini(&said);
    return status;
}

static int status_main(const verb *self, int argc, char **argv)
{
    flags given;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    const char *coordinator = flags_text(&given, "coordinator", NULL);
    size_t n_ways =
        given.n_arguments + flags_has(&given, "connect") + flags_has(&given, "model") + (coordinator != NULL);
    if (n_ways != 1)
        return verb_misused(self, "a pipeline file, --connect with addresses, --model or --coordinator is expected");
    status_run *run = tw_alloc_zero(sizeof *run);
    if (run == NULL)
        return tw_status_exit_code(TW_STATUS_NO_MEMORY);
    tw_status status = assembly_init(&run->all, &error);
    if (status == TW_STATUS_OK)
        status = read_all(run, &given, &error);
    bool is_json = flags_has(&given, "json");
    if (status == TW_STATUS_OK)
        status =
            coordinator != NULL ? ask_coordinator(run, coordinator, is_json, &error) : status_ask(run, is_json, &error);
    if (status < 0 && !console_problems(&run->all))
        console_error(&error);
    security_fini(&run->keys);
    assembly_fini(&run->all);
    tw_free(run->list);
    tw_free(run);
    return tw_status_exit_code(status);
}

const verb verb_status = {"status", "status FILE|--connect ADDR,...|--model DIR|--coordinator ADDR [OPTIONS]",
    "What parameter-server shards say of themselves: rows, progress, snapshots, hot keys; or a coordinator.",
    status_flags, status_main};
