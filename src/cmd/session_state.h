/* session_state.h: a run's members, shared by session.c (one learning process: this one) and session_crew.c (workers).
 */
#ifndef TW_CMD_SESSION_STATE_H
#define TW_CMD_SESSION_STATE_H

#include <pthread.h>

#include "cmd/children.h"
#include "cmd/publisher.h"
#include "cmd/session.h"
#include "cmd/shard_watch.h"
#include "serve/server.h"

typedef struct session {
    assembly *assembly;
    const session_options *options;
    console console;
    tw_manifest manifest;    /* resumed from; id 0: none */
    tw_manifest init;        /* whose rows are taken over; id 0: none */
    bool is_init_by_weights; /* it is of another learner */
    int lock;                /* on the checkpoint directory; -1: none */
    uint64_t newest_id;      /* of all checkpoints there, resumed from or not */
    children *children;
    tw_fit_options fit;
    char cache[4096];  /* file of the decoded events, mode batch */
    tw_engine *engine; /* NULL: workers learn */
    tw_served *served;
    tw_server *server;
    publisher *publisher;
    shard_watch *watch; /* of the shards, for /metrics; NULL: no shards, or nothing is served */
    atomic_uint n_worker_restarts;
    pthread_mutex_t report_mutex; /* guards `shown` */
    tw_report shown;              /* of a run of several workers, for whoever asks the server */
    const atomic_bool *stop;      /* set: the user wants the run to end */
} session;

/* CONFLICT with E203: the checkpoint's workers cut the input into stripes of another size, which are other splits. */
TW_MUST_USE tw_status session_check_stripe(const session *self, tw_error *error);

/* Starts the workers, watches them, saves checkpoints meanwhile, until all have read their shares. *report: the figures
 * of all; *code: the exit code when it fails. */
TW_MUST_USE tw_status session_run_crew(session *self, tw_report *report, int *code, tw_error *error);

/* Of a run of several workers, before the first event: what cannot be known is NaN. */
void session_begin_report(const session *self, tw_report *out);
/* What the server's threads are told from here on. */
void session_show_report(session *self, const tw_report *report);

/* For /metrics: connects to the shards, if there are any, and appends what they say. */
TW_MUST_USE tw_status session_watch_start(session *self, tw_error *error);
TW_MUST_USE tw_status session_watch_metrics(void *session, tw_text *out, tw_error *error);

/* Rows of the same form may still be weights of something else: CONFLICT when the model of --init was learned with
 * another loss. */
TW_MUST_USE tw_status session_check_init(session *self, tw_error *error);

/* Hands the weights of the model of self->init over to the attached rows. */
TW_MUST_USE tw_status session_init_by_weights(session *self, tw_error *error);
/* Mode batch: fills self->fit. */
TW_MUST_USE tw_status session_plan_fit(session *self, tw_error *error);
/* Clusters of the learner; 0: it has none. */
uint64_t session_count_clusters(const assembly *self);

#endif
