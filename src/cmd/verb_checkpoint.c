/* checkpoint: asks a run of several workers for a checkpoint with a name, at which all shards stand at the same marks.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd/console.h"
#include "cmd/security.h"
#include "cmd/verbs.h"
#include "net/socket.h"
#include "ps/edge/save_request.h"

static const flag_spec checkpoint_flags[] = {
    {"model", 'm', "DIR", "checkpoint directory of the run, which says where its coordinator is"},
    {"coordinator", 0, "ADDR", "instead of --model: the coordinator's address"},
    {"timeout", 0, "TIME", "waits so long (1m)"},
    {"key", 0, "FILE", "of --coordinator: the asker's secret key (thalweg keygen)"},
    {"server-key", 0, "FILE", "the coordinator's public key; needed with --key"},
    {"insecure", 0, NULL, "a plain connection, also to another machine"},
    {NULL, 0, NULL, NULL},
};

/* Release with tw_free. */
static tw_status find_address(const flags *given, char **out, tw_error *error)
{
    char path[4096];
    size_t size = 0;
    const char *model = flags_text(given, "model", NULL), *address = flags_text(given, "coordinator", NULL);
    *out = NULL;
    if ((model == NULL) == (address == NULL))
        return tw_error_set(error, TW_STATUS_INVALID, "either --model or --coordinator is needed");
    if (address != NULL) {
        *out = tw_strdup(address);
        return *out != NULL ? TW_STATUS_OK : tw_no_memory(error, strlen(address));
    }
    (void)snprintf(path, sizeof path, "%s/coordinator", model);
    tw_status status = tw_file_load(path, TW_ADDRESS_SIZE - 1, out, &size, error);
    if (status == TW_STATUS_NOT_FOUND)
        return tw_error_set(error, status, "%s: no run of several workers saves here at the moment", model);
    return status;
}

static void tell_waiting(void *context, int64_t waited_ms, const char *what)
{
    const tw_save_request *wanted = context;
    if (waited_ms < 2000 || console_is_due(waited_ms))
        console_note("checkpoint %s: waiting for %s, for %lld s", wanted->name, what, (long long)(waited_ms / 1000));
}

static tw_status ask(const flags *given, const char *address, int64_t timeout_us, tw_error *error)
{
    uint64_t id = 0;
    client_security keys;
    const tw_socket_security *security = NULL;
    const char *name = given->argument[0];
    tw_status status = security_of_client(&keys, given, &security, error);
    tw_save_request wanted = {.address = address,
        .security = security,
        .name = name,
        .timeout_ms = (int)(timeout_us / 1000),
        .waiting = tell_waiting,
        .context = &wanted};
    if (status == TW_STATUS_OK)
        status = tw_request_save(&wanted, &id, error);
    security_fini(&keys);
    if (status == TW_STATUS_OK)
        console_note("checkpoint %06llu is saved as %s", (unsigned long long)id, name);
    return status;
}

static int checkpoint_main(const verb *self, int argc, char **argv)
{
    flags given;
    char *address = NULL;
    int64_t timeout_us = 0;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    if (given.n_arguments != 1)
        return verb_misused(self, "one name is needed");
    if (flags_duration("timeout", flags_text(&given, "timeout", "1m"), &timeout_us, &error) < 0 ||
        timeout_us / 1000 > INT32_MAX)
        return verb_misused(self, "%s", error.message);
    tw_status status = find_address(&given, &address, &error);
    if (status == TW_STATUS_INVALID)
        return verb_misused(self, "%s", error.message);
    if (status == TW_STATUS_OK)
        status = ask(&given, address, timeout_us, &error);
    tw_free(address);
    if (status < 0)
        console_error(&error);
    return tw_status_exit_code(status);
}

const verb verb_checkpoint = {"checkpoint", "checkpoint NAME --model DIR|--coordinator ADDR",
    "Saves a run of several workers under a name: all stand still for a moment, and the checkpoint is kept.",
    checkpoint_flags, checkpoint_main};
