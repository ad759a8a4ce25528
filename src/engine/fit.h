/* fit.h: history, then live: the bounded inputs of a run fitted as a whole, by a batch solver or by the learner's own
 * passes, and handed over to the model's rows, so that the run goes on online exactly behind them.
 * One thread at a time. */
#ifndef TW_ENGINE_FIT_H
#define TW_ENGINE_FIT_H

#include "engine/dataset.h"
#include "engine/handover.h"
#include "engine/passes.h"

typedef struct tw_fit_options {
    size_t n_inputs;             /* the first so many inputs of the run are bounded, and fitted */
    const char *name;            /* of the solver in reports */
    const tw_solver_ops *solver; /* NULL: the learner itself, in passes */
    const tw_option_values *solver_options;
    tw_pass_options passes; /* its progress is not used */
    uint32_t n_centres;     /* clustering */
    uint64_t seed;          /* of what the solver draws */
    uint64_t fingerprint;   /* as tw_dataset_options */
    const char *cache;      /* file of the decoded events */
    bool is_cache_temporary;
} tw_fit_options;

/* What is shown of it; saved in checkpoints. */
typedef struct tw_fit_figures {
    char solver[TW_NAME_SIZE]; /* "": nothing was fitted */
    uint64_t iterations, events;
    double objective, measure, seconds;
    uint64_t is_converged, is_measured; /* is_measured: the metrics are those of the fitted model on its own data */
} tw_fit_figures;

/* INVALID (E130), naming both, when the solver is of another kind than the learner's task, or the learner cannot take
 * weights over, or has nothing to fit. */
TW_MUST_USE tw_status tw_fit_check(const tw_model *model, const tw_solver_ops *solver, tw_error *error);

/* True: the search ends with what was reached. */
typedef bool (*tw_fit_progress)(void *context, uint32_t iteration, double objective, double measure);

/* A fitted model and the memory behind it. Zeroed is empty. */
typedef struct tw_fit {
    tw_fitted fitted;
    tw_fit_solution solution;
    tw_row_image rows;
    double *curvature;
    tw_fit_figures figures;
} tw_fit;

/* Fits; the model gives learner and options, its rows are not touched. Errors as tw_solver_ops.solve. */
TW_MUST_USE tw_status tw_fit_run(tw_fit *self,
    const tw_model *model,
    const tw_dataset *dataset,
    const tw_fit_options *options,
    tw_fit_progress progress,
    void *context,
    tw_error *error);
void tw_fit_fini(tw_fit *self);

#endif
