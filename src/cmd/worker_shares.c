/* A worker that gets its shares of the input from a coordinator, one after the other. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "cmd/input_layout.h"
#include "cmd/security.h"
#include "cmd/worker_state.h"
#include "config/fingerprint.h"
#include "ps/worker/claim.h"

enum { WAIT_MS = 100, FLUSH_MS = 60000, SHARES = 128, NOTE_AFTER_US = 3000000, IDLE_US = 1000 };

struct share_run {
    worker_run *worker;
    tw_grant grant;
    char (*address)[TW_ADDRESS_SIZE]; /* [TW_MAX_SHARDS] the shards, as last heard */
    uint64_t *shard_epoch;            /* [TW_MAX_SHARDS] */
    uint32_t map_version;             /* of both */
    bool is_told;                     /* that there is no place for it yet */
    uint64_t *split;                  /* of the share [n_splits] */
    size_t n_splits, capacity;
    int64_t noted_us;     /* silence that was told of */
    uint64_t told_shards; /* see tw_standing */
};

static bool is_stopping(const share_run *run)
{
    return atomic_load(run->worker->stop);
}

static void tell(share_run *run, tw_hold hold)
{
    uint64_t highest = 0, epochs = 0;
    (void)tw_remote_is_fenced(run->worker->params, &highest);
    run->told_shards = tw_remote_shards(run->worker->params, &epochs);
    tw_member_tell(run->worker->member, hold, run->grant, highest, run->told_shards, epochs);
}

static void take_workers(worker_run *self, const tw_orders *orders)
{
    uint32_t least = self->all.pipeline->workers;
    self->count = orders->n_workers > least ? orders->n_workers : least;
    tw_model_set_workers(self->all.model, self->count);
}

/* Whoever took over from a shard is talked to from here on. */
static tw_status apply_map(share_run *run, tw_error *error)
{
    worker_run *worker = run->worker;
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < worker->n_shards && status == TW_STATUS_OK; i++)
        status = tw_remote_retarget(worker->params, i, run->address[i], run->shard_epoch[i], error);
    return status;
}

static tw_status take_map(share_run *run, tw_error *error)
{
    worker_run *worker = run->worker;
    uint32_t n = tw_member_map(worker->member, &run->map_version, run->address, run->shard_epoch);
    if (n == 0)
        return TW_STATUS_OK;
    if (worker->params == NULL) {
        worker->n_shards = n;
        return TW_STATUS_OK;
    }
    if (n == worker->n_shards)
        return apply_map(run, error);
    run->map_version = 0;
    tw_status status = tw_error_set(error, TW_STATUS_CONFLICT,
        "the coordinator at %s names %u shards now, and named %u before", worker->coordinator, n, worker->n_shards);
    tw_error_code(error, "E306");
    return status;
}

void worker_follow_map(worker_run *self)
{
    /* What is wrong with it is said where orders are taken. */
    if (self->share != NULL)
        (void)!take_map(self->share, NULL);
}

void worker_follow_members(worker_run *self)
{
    tw_orders orders;
    int64_t silent_us = 0;
    worker_follow_map(self);
    if (tw_member_wait(self->member, 0, &orders, &silent_us, NULL) == TW_STATUS_OK)
        take_workers(self, &orders);
}

/* Says once why the coordinator lets it wait. UNAVAILABLE: it has for too long. */
static tw_status follow_delay(share_run *run, tw_error *error)
{
    char why[TW_ERROR_MESSAGE_SIZE];
    int64_t patience_us = run->worker->all.pipeline->shard_timeout_us;
    int64_t delayed_us = tw_member_delay(run->worker->member, why);
    if (why[0] != '\0' && !run->is_told)
        console_note("worker %s: the coordinator lets it wait: %s", run->worker->name, why);
    run->is_told = why[0] != '\0';
    if (delayed_us <= patience_us)
        return TW_STATUS_OK;
    tw_status status =
        tw_error_set(error, TW_STATUS_UNAVAILABLE, "the coordinator at %s has let this worker wait for %g s: %.200s",
            run->worker->coordinator, (double)patience_us / 1e6, why);
    tw_error_code(error, "E306");
    return status;
}

/* Orders that answer what was told last, with the map that came with them; CANCELLED: the process is to stop. */
static tw_status await_orders(share_run *run, tw_orders *out, tw_error *error)
{
    int64_t patience_us = run->worker->all.pipeline->shard_timeout_us;
    while (!is_stopping(run)) {
        int64_t silent_us = 0;
        tw_status status = tw_member_wait(run->worker->member, WAIT_MS, out, &silent_us, error);
        if (status == TW_STATUS_OK) {
            run->is_told = false;
            status = take_map(run, error);
        }
        if (status != TW_STATUS_IDLE)
            return status;
        status = follow_delay(run, error);
        if (status < 0)
            return status;
        if (silent_us > patience_us) {
            status = tw_error_set(error, TW_STATUS_UNAVAILABLE,
                "the coordinator at %s has not answered for %g s; check that it runs, that the address is its, and "
                "with keys that its allow-list has this one's as a worker",
                run->worker->coordinator, (double)patience_us / 1e6);
            tw_error_code(error, "E301");
            return status;
        }
        if (silent_us - run->noted_us > NOTE_AFTER_US)
            console_note("worker %s: waiting for the coordinator at %s for %lld of %lld s%s", run->worker->name,
                run->worker->coordinator, (long long)(silent_us / 1000000), (long long)(patience_us / 1000000),
                security_hint(run->worker->all.pipeline));
        if (silent_us < run->noted_us || silent_us - run->noted_us > NOTE_AFTER_US)
            run->noted_us = silent_us;
    }
    return TW_STATUS_CANCELLED;
}

/* Where the shards are is part of the first orders. */
static tw_status join_shards(share_run *run, tw_error *error)
{
    worker_run *worker = run->worker;
    for (uint32_t i = 0; i < worker->n_shards; i++)
        worker->address[i] = run->address[i];
    tw_status status = worker_attach(worker, error);
    for (uint32_t i = 0; i < worker->n_shards; i++)
        worker->address[i] = NULL;
    if (status == TW_STATUS_OK)
        status = apply_map(run, error);
    return status == TW_STATUS_OK ? input_layout_check(&worker->all, false, error) : status;
}

/* Stands still until everybody may go on. OK: go on with the grant; CANCELLED: it is gone, or the process stops. */
static tw_status stand_still(share_run *run, tw_error *error)
{
    tw_orders orders;
    tw_member_set_quiet(run->worker->member);
    for (;;) {
        tw_status status = await_orders(run, &orders, error);
        if (status != TW_STATUS_OK)
            return status;
        if (orders.grant.epoch != run->grant.epoch)
            return TW_STATUS_CANCELLED;
        if (orders.quiet == 0)
            return TW_STATUS_OK;
        tw_clock_sleep_us(IDLE_US);
    }
}

/* After an interruption: OK: go on with the grant; CANCELLED: leave it. */
static tw_status heed(share_run *run, tw_error *error)
{
    tw_orders orders;
    tw_status status = await_orders(run, &orders, error);
    if (status != TW_STATUS_OK)
        return status;
    if (orders.grant.epoch != run->grant.epoch)
        return TW_STATUS_CANCELLED;
    status = orders.quiet != 0 ? stand_still(run, error) : TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        tw_member_go_on(run->worker->member);
    return status;
}

/* OK: to its end; CANCELLED: it was to be left. */
static tw_status learn_share(share_run *run, tw_error *error)
{
    worker_run *worker = run->worker;
    const atomic_bool *pause = tw_member_pause(worker->member);
    for (;;) {
        tw_status status = worker_run_engine(worker, run->grant.pass + 1, pause, error);
        bool was_paused = atomic_load(pause);
        if (status == TW_STATUS_OK)
            status = tw_model_flush(worker->all.model, FLUSH_MS, error);
        if (status == TW_STATUS_OK && !was_paused)
            return TW_STATUS_OK;
        if (status == TW_STATUS_OK)
            status = heed(run, error);
        if (status != TW_STATUS_OK && status != TW_STATUS_REWIND)
            return status;
    }
}

static tw_status collect_splits(worker_run *self, const tw_split *split, size_t n, tw_error *error)
{
    share_run *run = self->share;
    tw_status status = tw_grow(&run->split, sizeof *run->split, &run->capacity, run->n_splits + n, error);
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++)
        run->split[run->n_splits++] = split[i].id;
    return status;
}

static tw_status open_share(share_run *run, tw_error *error)
{
    run->n_splits = 0;
    tw_status status = worker_take_share(run->worker, run->grant.share, SHARES, error);
    return status == TW_STATUS_OK ? worker_visit_splits(run->worker, collect_splits, error) : status;
}

/* One share, from its claim to what became of it. */
static tw_status serve_grant(share_run *run, tw_error *error)
{
    uint64_t highest = 0;
    worker_run *worker = run->worker;
    tw_lease lease = {run->grant.share, run->grant.epoch};
    tw_status status = open_share(run, error);
    if (status == TW_STATUS_OK && run->n_splits > 0) {
        tell(run, TW_HOLD_LEARNS);
        status = tw_remote_claim(worker->params, lease, run->split, run->n_splits, error);
        if (status == TW_STATUS_OK)
            status = learn_share(run, error);
    }
    if (status < 0 && tw_remote_is_fenced(worker->params, &highest))
        status = TW_STATUS_CANCELLED;
    if (status == TW_STATUS_CANCELLED && !is_stopping(run))
        console_note("thalweg: warning: E305: worker %s: share %u was given to another worker meanwhile; going on with "
                     "other work",
            worker->name, run->grant.share);
    if (status == TW_STATUS_OK)
        tell(run, TW_HOLD_FINISHED);
    else if (status == TW_STATUS_CANCELLED)
        tell(run, TW_HOLD_RETURNED);
    tw_remote_unclaim(worker->params);
    return status == TW_STATUS_CANCELLED ? TW_STATUS_OK : status;
}

/* All is learned: unless a shard has lost some of it. END: nothing is left to do. */
static tw_status confirm_end(share_run *run, tw_error *error)
{
    tw_status status = tw_model_flush(run->worker->all.model, FLUSH_MS, error);
    if (status < 0 || tw_remote_shards(run->worker->params, NULL) == run->told_shards)
        return status < 0 ? status : TW_STATUS_END;
    tell(run, TW_HOLD_NOTHING);
    return TW_STATUS_OK;
}

static tw_status serve_orders(share_run *run, tw_error *error)
{
    tw_orders orders;
    tw_status status = TW_STATUS_OK;
    while (status >= 0 && !is_stopping(run)) {
        status = await_orders(run, &orders, error);
        if (status == TW_STATUS_OK && orders.grant.epoch != 0) {
            run->grant = orders.grant;
            take_workers(run->worker, &orders);
            status = serve_grant(run, error);
        } else if (status == TW_STATUS_OK && orders.is_over) {
            status = confirm_end(run, error);
        } else if (status == TW_STATUS_OK) {
            tw_clock_sleep_us(IDLE_US);
        }
        if (status == TW_STATUS_END || status == TW_STATUS_CANCELLED)
            return TW_STATUS_OK;
    }
    return status;
}

/* Of what all workers of a model must have in common: what the model is, and into which stripes the input is cut. */
static tw_status job_hash(const worker_run *worker, uint64_t *out, tw_error *error)
{
    tw_status status = tw_fingerprint(worker->all.canonical.bytes, out, error);
    *out = tw_mix64(*out ^ tw_mix64(worker->all.pipeline->stripe_bytes)) | 1;
    return status;
}

static tw_status join(share_run *run, tw_error *error)
{
    worker_run *worker = run->worker;
    const tw_pipeline *pipeline = worker->all.pipeline;
    client_security keys;
    const tw_socket_security *security = NULL;
    tw_orders orders;
    uint64_t job = 0;
    bool is_local = strncmp(worker->coordinator, "ipc://", strlen("ipc://")) == 0;
    tw_status status = security_of_pipeline(&keys, pipeline, &security, error);
    if (status == TW_STATUS_OK && security != NULL && worker->coordinator_key != NULL)
        status = tw_public_key_read(worker->coordinator_key, keys.server_key, error);
    if (status == TW_STATUS_OK)
        status = job_hash(worker, &job, error);
    tw_member_options options = {
        .address = worker->coordinator,
        .security = is_local ? NULL : security,
        .name = worker->name,
        .model = pipeline->name,
        .job = job,
        .n_shares = SHARES,
        .passes = (uint32_t)pipeline->passes,
        .stop = worker->stop,
    };
    if (status == TW_STATUS_OK)
        status = tw_member_start(&options, &worker->member, error);
    security_fini(&keys);
    if (status == TW_STATUS_OK)
        status = await_orders(run, &orders, error);
    return status;
}

tw_status worker_learn_shares(worker_run *self, tw_error *error)
{
    share_run run = {.worker = self,
        .address = tw_alloc_zero((size_t)TW_MAX_SHARDS * TW_ADDRESS_SIZE),
        .shard_epoch = tw_alloc_zero(TW_MAX_SHARDS * sizeof(uint64_t))};
    tw_status status = run.address != NULL && run.shard_epoch != NULL
                           ? TW_STATUS_OK
                           : tw_no_memory(error, (size_t)TW_MAX_SHARDS * TW_ADDRESS_SIZE);
    self->share = &run;
    if (status == TW_STATUS_OK)
        status = join(&run, error);
    if (status == TW_STATUS_OK)
        status = join_shards(&run, error);
    if (status == TW_STATUS_OK)
        status = serve_orders(&run, error);
    self->share = NULL;
    tw_free(run.split);
    tw_free(run.address);
    tw_free(run.shard_epoch);
    return status == TW_STATUS_CANCELLED ? TW_STATUS_OK : status;
}
