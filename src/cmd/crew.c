#define _GNU_SOURCE
#include "cmd/crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd/cause.h"
#include "cmd/child.h"
#include "cmd/console.h"
#include "engine/versions.h"

enum { PATH_SIZE = 512, FIXED_ARGUMENTS = 12 };

typedef struct worker {
    child process;
    bool is_finished;
} worker;

struct crew {
    crew_options options;
    char directory[64], pipeline_path[PATH_SIZE]; /* private; "": none was made */
    tw_coordinator_server *coordinator;
    char address_path[4096]; /* "": nobody is told where it is */
    worker worker[CREW_MAX_WORKERS];
    uint32_t n_restarts;
};

void crew_figures_path(const crew *self, uint32_t index, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/worker-%u", self->directory, index);
}

static void worker_name(uint32_t index, char *name, size_t size)
{
    (void)snprintf(name, size, "%u", index);
}

static tw_status spawn_static_worker(
    crew *self, uint32_t index, const char *figures, const char *parent, const char *what, tw_error *error)
{
    char share[32];
    const char *argument[CHILD_MAX_ARGUMENTS];
    size_t n = 0;
    (void)snprintf(share, sizeof share, "%u/%u", index, self->options.n_workers);
    const char *fixed[] = {
        "thalweg", "worker", self->pipeline_path, "--worker", share, "--figures", figures, "--child-of", parent};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        argument[n++] = fixed[i];
    for (uint32_t i = 0; i < self->options.n_shards; i++) {
        argument[n++] = "--connect";
        argument[n++] = self->options.shard[i];
    }
    argument[n] = NULL;
    return child_spawn(&self->worker[index].process, argument, what, error);
}

static tw_status spawn_worker(crew *self, uint32_t index, tw_error *error)
{
    char name[32], parent[24], figures[PATH_SIZE], what[64];
    worker_name(index, name, sizeof name);
    (void)snprintf(parent, sizeof parent, "%ld", (long)getpid());
    (void)snprintf(what, sizeof what, "worker %u of %u", index, self->options.n_workers);
    crew_figures_path(self, index, figures, sizeof figures);
    if (self->options.is_static)
        return spawn_static_worker(self, index, figures, parent, what, error);
    const char *argument[] = {"thalweg", "worker", self->pipeline_path, "--coordinator",
        tw_coordinator_server_address(self->coordinator), "--name", name, "--figures", figures, "--child-of", parent,
        NULL};
    return child_spawn(&self->worker[index].process, argument, what, error);
}

static void on_note(void *context, const char *message)
{
    (void)context;
    console_note("thalweg: coordinator: %s", message);
}

/* Two checkpoints of one name could not be told apart. A directory that cannot be read fails when it is saved to. */
static bool takes_name(void *context, const char *name, char why[TW_ERROR_MESSAGE_SIZE])
{
    uint64_t id = 0;
    const crew *self = context;
    if (self->options.directory == NULL || tw_versions_named(self->options.directory, name, &id, NULL) != TW_STATUS_OK)
        return true;
    (void)snprintf(why, TW_ERROR_MESSAGE_SIZE,
        "checkpoint %06llu has the name already, and names are not given again: ask for another one",
        (unsigned long long)id);
    return false;
}

static tw_status crew_start_coordinator(crew *self, tw_error *error)
{
    char address[PATH_SIZE];
    (void)snprintf(address, sizeof address, "ipc://%s/coordinator", self->directory);
    tw_coordinator_server_options options = {
        .address = address,
        .shard = self->options.shard,
        .n_shards = self->options.n_shards,
        .can_save = self->options.can_save,
        .why_not = "this run has no checkpoint directory",
        .takes_name = takes_name,
        .note = on_note,
        .context = self,
    };
    tw_status status = tw_coordinator_server_start(&options, &self->coordinator, error);
    if (status < 0 || self->options.directory == NULL)
        return status;
    (void)snprintf(self->address_path, sizeof self->address_path, "%s/coordinator", self->options.directory);
    return tw_file_store(self->address_path, address, strlen(address), error);
}

static tw_status crew_make_directory(crew *self, tw_error *error)
{
    (void)snprintf(self->directory, sizeof self->directory, "/tmp/thalweg-XXXXXX");
    if (mkdtemp(self->directory) == NULL) {
        int errnum = errno;
        self->directory[0] = '\0';
        return tw_error_errno(error, TW_STATUS_IO, errnum, "/tmp: no directory for the workers' files can be made");
    }
    (void)snprintf(self->pipeline_path, sizeof self->pipeline_path, "%s/pipeline.yaml", self->directory);
    return TW_STATUS_OK;
}

tw_status crew_start(const crew_options *options, crew **out, tw_error *error)
{
    *out = NULL;
    if (options->n_workers > CREW_MAX_WORKERS)
        return tw_error_set(
            error, TW_STATUS_CONFIG, "%u workers: one run starts at most %d", options->n_workers, CREW_MAX_WORKERS);
    if (options->is_static && options->n_shards > (CHILD_MAX_ARGUMENTS - FIXED_ARGUMENTS) / 2)
        return tw_error_set(error, TW_STATUS_CONFIG, "%u shards: workers with limited staleness learn into at most %d",
            options->n_shards, (CHILD_MAX_ARGUMENTS - FIXED_ARGUMENTS) / 2);
    crew *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    tw_status status = crew_make_directory(self, error);
    if (status == TW_STATUS_OK)
        status = tw_file_store(self->pipeline_path, options->pipeline, strlen(options->pipeline), error);
    if (status == TW_STATUS_OK)
        status = crew_start_coordinator(self, error);
    for (uint32_t i = 0; i < options->n_workers && status == TW_STATUS_OK; i++)
        status = spawn_worker(self, i, error);
    if (status < 0)
        crew_stop(&self);
    *out = self;
    return status;
}

/* What ended a worker for good, in its own words. */
static tw_status tell_cause(const crew *self, uint32_t index, const char *end, tw_error *error)
{
    char figures[PATH_SIZE], path[PATH_SIZE + 8];
    tw_error cause = {0};
    uint32_t n = self->options.n_workers;
    crew_figures_path(self, index, figures, sizeof figures);
    cause_path(figures, path, sizeof path);
    if (!cause_take(path, &cause))
        return tw_error_set(error, TW_STATUS_DATA, "worker %u of %u %s: see its messages above", index, n, end);
    (void)tw_error_set(error, cause.status, "worker %u of %u: %.460s", index, n, cause.message);
    tw_error_at(error, cause.file, cause.line, cause.column);
    tw_error_code(error, cause.code);
    return cause.status;
}

static tw_status take_end(crew *self, uint32_t index, int how, int *code, tw_error *error)
{
    char end[64], name[32];
    worker *ended = &self->worker[index];
    ended->is_finished = WIFEXITED(how) && WEXITSTATUS(how) == 0;
    if (ended->is_finished)
        return TW_STATUS_OK;
    worker_name(index, name, sizeof name);
    tw_coordinator_server_forget(self->coordinator, name);
    child_describe_end(how, end, sizeof end);
    if (child_end_is_final(how)) {
        *code = WEXITSTATUS(how);
        return tell_cause(self, index, end, error);
    }
    child_plan_restart(&ended->process, how);
    if (ended->process.is_given_up)
        return tw_error_set(error, TW_STATUS_UNAVAILABLE,
            "worker %u of %u ended %d times right after its start: see its messages above", index,
            self->options.n_workers, CHILD_MAX_QUICK_DEATHS);
    console_note("thalweg: warning: worker %u of %u %s; starting it again", index, self->options.n_workers, end);
    return TW_STATUS_OK;
}

tw_status crew_poll(crew *self, int *code, tw_error *error)
{
    bool is_over = true;
    tw_status served = tw_coordinator_server_check(self->coordinator, error);
    *code = tw_status_exit_code(TW_STATUS_UNAVAILABLE);
    if (served < 0)
        return served;
    for (uint32_t i = 0; i < self->options.n_workers; i++) {
        worker *one = &self->worker[i];
        int how = 0;
        tw_status status = TW_STATUS_OK;
        if (child_has_ended(&one->process, &how))
            status = take_end(self, i, how, code, error);
        if (status == TW_STATUS_OK && !one->is_finished && child_is_due(&one->process)) {
            char figures[PATH_SIZE];
            self->n_restarts++;
            crew_figures_path(self, i, figures, sizeof figures);
            self->options.lost(self->options.context, figures);
            (void)unlink(figures);
            status = spawn_worker(self, i, error);
        }
        if (status < 0)
            return status;
        is_over = is_over && one->is_finished;
    }
    return is_over ? TW_STATUS_END : TW_STATUS_OK;
}

bool crew_is_finished(const crew *self, uint32_t index)
{
    return self->worker[index].is_finished;
}

tw_coordinator_server *crew_coordinator(const crew *self)
{
    return self->coordinator;
}

uint32_t crew_restarts(const crew *self)
{
    return self->n_restarts;
}

static void process_name(const void *context, uint32_t index, char *text, size_t size)
{
    const crew *self = context;
    (void)snprintf(text, size, "worker %u of %u", index, self->options.n_workers);
}

uint32_t crew_end(crew *self)
{
    child *all[CREW_MAX_WORKERS];
    for (uint32_t i = 0; i < self->options.n_workers; i++)
        all[i] = &self->worker[i].process;
    return child_end_all(all, self->options.n_workers, process_name, self);
}

void crew_stop(crew **self)
{
    crew *all = *self;
    if (all == NULL)
        return;
    *self = NULL;
    (void)crew_end(all);
    for (uint32_t i = 0; i < all->options.n_workers; i++) {
        char path[PATH_SIZE], unfinished[PATH_SIZE + 8];
        crew_figures_path(all, i, path, sizeof path);
        (void)unlink(path);
        cause_path(path, unfinished, sizeof unfinished); /* said by another one already */
        (void)unlink(unfinished);
        (void)snprintf(unfinished, sizeof unfinished, "%s.tmp", path); /* of one that was killed while it wrote */
        (void)unlink(unfinished);
    }
    tw_coordinator_server_stop(&all->coordinator);
    if (all->address_path[0] != '\0')
        (void)unlink(all->address_path);
    (void)unlink(all->pipeline_path);
    if (all->directory[0] != '\0')
        (void)rmdir(all->directory);
    tw_free(all);
}
