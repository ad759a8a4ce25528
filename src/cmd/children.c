#define _GNU_SOURCE
#include "cmd/children.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cmd/child.h"
#include "cmd/console.h"
#include "ps/edge/standby_edge.h"

enum { MAX_ARGUMENTS = 36, MAX_SHARDS = 256, POLL_US = 10000, ADDRESS_SIZE = 128, PROMOTE_MS = 1000 };

typedef enum start_kind { START_FIRST, START_AGAIN, START_STANDBY } start_kind;

struct children {
    children_options options;
    char *directory, *init_directory;
    char socket_directory[64]; /* "": none was made */
    child child[MAX_SHARDS], standby[MAX_SHARDS];
    char bound[MAX_SHARDS][ADDRESS_SIZE];
    uint64_t epoch[MAX_SHARDS];        /* times that somebody else took the shard's place */
    uint32_t standby_turn[MAX_SHARDS]; /* 0, 1: the one that took over keeps the address that it stood by at */
    const char *address[MAX_SHARDS];
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
    atomic_int lost_shard; /* given up; -1: none */
    atomic_int lost_code;  /* how that one ended, where this was final; 0: again and again */
    atomic_uint n_restarts;
    tw_status start_status;
    tw_error start_error;
    atomic_bool is_started;
};

static void standby_address(const children *self, uint32_t index, uint32_t turn, char address[ADDRESS_SIZE])
{
    (void)snprintf(address, ADDRESS_SIZE, "ipc://%s/standby-%u-%u", self->socket_directory, index, turn);
}

static tw_status spawn_shard(children *self, uint32_t index, start_kind kind, tw_error *error)
{
    bool is_first = kind == START_FIRST, is_standby = kind == START_STANDBY;
    char beside[ADDRESS_SIZE], epoch[24], shard[32], id[24], floor[24], keep[16], deltas[16], parent[24], init[24];
    const char *arguments[MAX_ARGUMENTS];
    int n = 0;
    (void)snprintf(shard, sizeof shard, "%u/%u", index, self->options.n_shards);
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)self->options.restore_id);
    (void)snprintf(floor, sizeof floor, "%llu", (unsigned long long)self->options.newer_than);
    (void)snprintf(keep, sizeof keep, "%u", self->options.keep);
    (void)snprintf(deltas, sizeof deltas, "%u", self->options.deltas);
    (void)snprintf(parent, sizeof parent, "%ld", (long)getpid());
    const char *fixed[] = {"thalweg", "ps", "--shard", shard, "--bind", is_standby ? beside : self->bound[index],
        "--child-of", parent, "--epoch", epoch};
    standby_address(self, index, self->standby_turn[index], beside);
    (void)snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)self->epoch[index]);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        arguments[n++] = fixed[i];
    if (self->directory != NULL) {
        const char *saved[] = {
            "--checkpoint", self->directory, "--newer-than", floor, "--keep", keep, "--deltas", deltas};
        for (size_t i = 0; i < sizeof saved / sizeof saved[0]; i++)
            arguments[n++] = saved[i];
    }
    if (is_first && self->options.restore_id != 0) {
        arguments[n++] = "--restore";
        arguments[n++] = id;
    } else if (is_first) {
        arguments[n++] = "--fresh";
    }
    if (is_standby) {
        arguments[n++] = "--standby-of";
        arguments[n++] = self->bound[index];
    }
    if (is_standby && self->options.standby == STANDBY_SYNC)
        arguments[n++] = "--sync";
    if (self->init_directory != NULL && !is_standby) {
        (void)snprintf(init, sizeof init, "%llu", (unsigned long long)self->options.init_id);
        const char *given[] = {"--init", self->init_directory, "--init-version", init};
        for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
            arguments[n++] = given[i];
    }
    arguments[n] = NULL;
    char what[64];
    (void)snprintf(
        what, sizeof what, "%sshard %u of %u", is_standby ? "the standby of " : "", index, self->options.n_shards);
    return child_spawn(is_standby ? &self->standby[index] : &self->child[index], arguments, what, error);
}

/* The standby in the dead shard's place, at its address. One that does not answer could still take over later: it is
 * killed. */
static bool promote_standby(children *self, uint32_t index)
{
    char address[ADDRESS_SIZE];
    tw_error error = {0};
    child *standby = &self->standby[index];
    self->epoch[index]++;
    if (standby->pid == 0)
        return false;
    tw_promotion promotion = {.epoch = self->epoch[index]};
    (void)snprintf(promotion.address, sizeof promotion.address, "%s", self->bound[index]);
    standby_address(self, index, self->standby_turn[index], address);
    tw_status status = tw_shard_promote(address, NULL, &promotion, PROMOTE_MS, NULL, &error);
    if (status == TW_STATUS_TIMEOUT)
        (void)kill(standby->pid, SIGKILL);
    if (status < 0)
        return false;
    self->child[index] = *standby;
    *standby = (child){0};
    self->standby_turn[index] ^= 1;
    return true;
}

static void watch_standby(children *self, uint32_t index)
{
    int how = 0;
    tw_error error = {0};
    char end[64];
    child *standby = &self->standby[index];
    if (self->options.standby == STANDBY_NONE || atomic_load(&self->is_stopping))
        return;
    if (child_has_ended(standby, &how)) {
        child_describe_end(how, end, sizeof end);
        child_plan_restart(standby, how);
        console_note("thalweg: warning: the standby of shard %u of %u %s; %s", index, self->options.n_shards, end,
            standby->is_given_up ? "it is given up" : "starting it again");
    }
    if (child_is_due(standby) && spawn_shard(self, index, START_STANDBY, &error) < 0) {
        console_error(&error);
        child_plan_restart(standby, 0);
    }
}

static void note_death(children *self, uint32_t index, int how)
{
    char end[64];
    if (atomic_load(&self->is_stopping))
        return;
    child_describe_end(how, end, sizeof end);
    bool has_successor = self->options.standby != STANDBY_NONE && promote_standby(self, index);
    if (!has_successor)
        child_plan_restart(&self->child[index], how);
    bool is_lost = self->child[index].is_given_up;
    console_note("thalweg: warning: shard %u of %u %s; %s", index, self->options.n_shards, end,
        has_successor ? "its standby has taken over"
        : is_lost     ? "it is given up"
                      : "starting it again");
    atomic_fetch_add(&self->n_restarts, 1);
    if (!is_lost)
        return;
    atomic_store(&self->lost_code, child_end_is_final(how) ? WEXITSTATUS(how) : 0);
    atomic_store(&self->lost_shard, (int)index);
}

static void watch_child(children *self, uint32_t index)
{
    int how = 0;
    if (child_has_ended(&self->child[index], &how))
        note_death(self, index, how);
    if (!atomic_load(&self->is_stopping) && child_is_due(&self->child[index])) {
        tw_error error = {0};
        if (spawn_shard(self, index, START_AGAIN, &error) < 0) {
            console_error(&error);
            note_death(self, index, 0);
        }
    }
    watch_standby(self, index);
}

static void shard_name(const void *context, uint32_t index, char *text, size_t size)
{
    const children *self = context;
    uint32_t n = self->options.n_shards;
    (void)snprintf(text, size, "%sshard %u of %u", index < n ? "" : "the standby of ", index % n, n);
}

static void end_all(children *self)
{
    child *all[2 * MAX_SHARDS];
    uint32_t n = self->options.n_shards;
    for (uint32_t i = 0; i < n; i++) {
        all[i] = &self->child[i];
        all[n + i] = &self->standby[i];
    }
    (void)child_end_all(all, 2 * n, shard_name, self);
}

/* Starts the shards itself: a shard asks to die with the thread that started it. */
static void *children_main(void *argument)
{
    children *self = argument;
    for (uint32_t i = 0; i < self->options.n_shards && self->start_status == TW_STATUS_OK; i++)
        self->start_status = spawn_shard(self, i, START_FIRST, &self->start_error);
    atomic_store(&self->is_started, true);
    while (!atomic_load(&self->is_stopping)) {
        for (uint32_t i = 0; i < self->options.n_shards; i++)
            watch_child(self, i);
        tw_clock_sleep_us(POLL_US);
    }
    end_all(self);
    return NULL;
}

static tw_status choose_addresses(children *self, tw_error *error)
{
    if (self->options.n_bind == 0 || self->options.standby != STANDBY_NONE) {
        (void)snprintf(self->socket_directory, sizeof self->socket_directory, "/tmp/thalweg-XXXXXX");
        if (mkdtemp(self->socket_directory) == NULL) {
            int errnum = errno;
            self->socket_directory[0] = '\0';
            return tw_error_errno(
                error, TW_STATUS_IO, errnum, "/tmp: no directory for the shards' sockets can be made");
        }
    }
    for (uint32_t i = 0; i < self->options.n_shards; i++) {
        if (self->options.n_bind == 0)
            (void)snprintf(self->bound[i], ADDRESS_SIZE, "ipc://%s/shard-%u", self->socket_directory, i);
        else
            (void)snprintf(self->bound[i], ADDRESS_SIZE, "%s", self->options.bind[i]);
        self->address[i] = self->bound[i];
    }
    return TW_STATUS_OK;
}

static tw_status children_open(children *self, tw_error *error)
{
    tw_status status = choose_addresses(self, error);
    if (status == TW_STATUS_OK && self->options.directory != NULL) {
        self->directory = tw_strdup(self->options.directory);
        if (self->directory == NULL)
            status = tw_no_memory(error, strlen(self->options.directory));
    }
    if (status == TW_STATUS_OK && self->options.init_directory != NULL) {
        self->init_directory = tw_strdup(self->options.init_directory);
        if (self->init_directory == NULL)
            status = tw_no_memory(error, strlen(self->options.init_directory));
    }
    if (status < 0)
        return status;
    int errnum = pthread_create(&self->thread, NULL, children_main, self);
    if (errnum != 0)
        return tw_error_errno(
            error, TW_STATUS_NO_MEMORY, errnum, "the thread that watches the shards cannot be started");
    self->has_thread = true;
    while (!atomic_load(&self->is_started))
        tw_clock_sleep_us(1000);
    if (self->start_status < 0 && error != NULL)
        *error = self->start_error;
    return self->start_status;
}

tw_status children_start(const children_options *options, children **out, tw_error *error)
{
    *out = NULL;
    if (options->n_shards > MAX_SHARDS)
        return tw_error_set(
            error, TW_STATUS_CONFIG, "%u shards: at most %d are started by one run", options->n_shards, MAX_SHARDS);
    children *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    atomic_store(&self->lost_shard, -1);
    tw_status status = children_open(self, error);
    if (status < 0)
        children_stop(&self);
    *out = self;
    return status;
}

uint32_t children_count(const children *self)
{
    return self->options.n_shards;
}

uint32_t children_restarts(const children *self)
{
    return atomic_load(&self->n_restarts);
}

const char *const *children_addresses(const children *self)
{
    return self->address;
}

static tw_status status_of_end(int code)
{
    return code == tw_status_exit_code(TW_STATUS_CORRUPT)     ? TW_STATUS_CORRUPT
           : code == tw_status_exit_code(TW_STATUS_NOT_FOUND) ? TW_STATUS_NOT_FOUND
           : code == tw_status_exit_code(TW_STATUS_INVALID)   ? TW_STATUS_INVALID
                                                              : TW_STATUS_CONFLICT;
}

tw_status children_check(children *self, tw_error *error)
{
    int lost = atomic_load(&self->lost_shard), code = atomic_load(&self->lost_code);
    if (lost < 0)
        return TW_STATUS_OK;
    if (code != 0)
        return tw_error_set(error, status_of_end(code), "shard %d of %u ended with code %d: see its messages above",
            lost, self->options.n_shards, code);
    return tw_error_set(error, TW_STATUS_UNAVAILABLE,
        "shard %d of %u died %d times right after its start: see its messages above", lost, self->options.n_shards,
        CHILD_MAX_QUICK_DEATHS);
}

void children_stop(children **self)
{
    children *all = *self;
    if (all == NULL)
        return;
    *self = NULL;
    atomic_store(&all->is_stopping, true);
    if (all->has_thread)
        (void)pthread_join(all->thread, NULL);
    for (uint32_t i = 0; i < all->options.n_shards && all->socket_directory[0] != '\0'; i++) {
        char address[ADDRESS_SIZE];
        if (all->options.n_bind == 0)
            (void)unlink(all->bound[i] + sizeof "ipc://" - 1);
        for (uint32_t turn = 0; turn < 2; turn++) {
            standby_address(all, i, turn, address);
            (void)unlink(address + sizeof "ipc://" - 1);
        }
    }
    if (all->socket_directory[0] != '\0')
        (void)rmdir(all->socket_directory);
    tw_free(all->directory);
    tw_free(all->init_directory);
    tw_free(all);
}
