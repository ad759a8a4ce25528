#include "cmd/saved.h"

#include <string.h>

#include "cmd/console.h"
#include "engine/gate.h"

tw_status saved_open(saved_model *self, const char *directory, uint64_t version, tw_error *error)
{
    tw_error skipped = {0};
    memset(self, 0, sizeof *self);
    tw_status status = tw_checkpoint_read(directory, version, &self->manifest, &skipped, error);
    if (skipped.message[0] != '\0' && status == TW_STATUS_OK)
        console_note("thalweg: warning: %s; the checkpoint before it is used", skipped.message);
    if (status < 0)
        return status;
    saved_note_refusal(&self->manifest);
    self->has_assembly = true;
    status = assembly_of_manifest(&self->all, &self->manifest, error);
    self->all.ignores_labels = true;
    if (status == TW_STATUS_OK)
        status = assembly_check(&self->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_build(&self->all, error);
    return status == TW_STATUS_OK ? assembly_attach_saved(&self->all, directory, &self->manifest, error) : status;
}

void saved_note_refusal(const tw_manifest *manifest)
{
    tw_verdict verdict;
    char reason[TW_GATE_REASON_SIZE];
    if (tw_verdict_read(manifest, &verdict, NULL) < 0 || verdict.is_published)
        return;
    tw_verdict_reason(&verdict, reason);
    console_note("thalweg: warning: version %06llu is not published: %s", (unsigned long long)manifest->id, reason);
}

void saved_close(saved_model *self)
{
    if (self->has_assembly)
        assembly_fini(&self->all);
    tw_manifest_fini(&self->manifest);
    memset(self, 0, sizeof *self);
}
