/* model rollback: which saved version is served, told to whoever serves the directory. */
#include <inttypes.h>

#include "cmd/console.h"
#include "cmd/model_verbs.h"
#include "engine/versions.h"

static int release_version(const char *directory)
{
    uint64_t was_pinned = 0, id = 0;
    bool is_pinned = false;
    tw_error error = {0};
    tw_status status = tw_versions_release(directory, &was_pinned, &error);
    if (status < 0) {
        console_error(&error);
        return tw_status_exit_code(status);
    }
    if (was_pinned == 0)
        console_note("no version was pinned");
    if (tw_versions_choose(directory, 0, &id, &is_pinned, NULL, NULL) == TW_STATUS_OK)
        console_note("the newest published version is served: %06" PRIu64, id);
    return 0;
}

int model_rollback(const flags *given, const char *directory)
{
    if (flags_has(given, "release"))
        return release_version(directory);
    uint64_t to = 0, from = 0, id = 0;
    tw_error error = {0};
    tw_status status = TW_STATUS_OK;
    if (flags_has(given, "to")) {
        status = flags_count(given, "to", 0, INT64_MAX, &to, &error);
        if (status == TW_STATUS_OK && to == 0)
            status = tw_error_set(&error, TW_STATUS_INVALID, "--to 0: versions start at 1");
    }
    if (status == TW_STATUS_OK)
        status = tw_versions_roll_back(directory, to, &from, &id, &error);
    if (status < 0) {
        console_error(&error);
        return tw_status_exit_code(status);
    }
    if (from != 0 && from != id)
        console_note("version %06" PRIu64 " is served in place of %06" PRIu64, id, from);
    else
        console_note("version %06" PRIu64 " is served", id);
    console_note(
        "it stays, whatever is published later, until: thalweg model rollback --release --model %s", directory);
    return 0;
}
