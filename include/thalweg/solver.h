/* solver.h: the contract of a batch solver: it fits bounded data that lies in memory or in a mapped file, as a whole.
 * Its result is handed to a learner (tw_learner_ops.warm_start), so a batch-trained model is the same rows as a
 * streamed one and goes on learning. A solver sees a matrix and its options; no store, no socket, no file, no clock.
 *
 * Thread rule: one call at a time; `solve` runs on the calling thread. */
#ifndef THALWEG_SOLVER_H
#define THALWEG_SOLVER_H

#include <stdint.h>

#include "thalweg/loss.h"
#include "thalweg/options.h"
#include "thalweg/status.h"

/* Bounded data as compressed sparse rows. Borrowed and read-only; the arrays may lie in a mapped file. An event may
 * hold a column more than once: its values add. Events without a label or with weight 0 are not in it. */
typedef struct tw_matrix {
    uint64_t n_events, n_entries;
    uint32_t n_columns;        /* distinct keys */
    const uint64_t *row_start; /* [n_events + 1] */
    const uint32_t *column;    /* [n_entries]    0 .. n_columns - 1 */
    const float *value;        /* [n_entries]    finite, after all transforms */
    const float *label;        /* [n_events]     clustering: NULL */
    const float *weight;       /* [n_events]     importance, > 0 */
    const float *dense;        /* [n_events x dense_width] row-major, for clustering; else NULL */
    uint32_t dense_width;
} tw_matrix;

/* What `solve` minimizes is stated in each solver's file; `loss` and `has_bias` come from the learner. The bias is not
 * penalized. */
typedef struct tw_fit_problem {
    const tw_matrix *matrix;
    tw_loss loss;
    bool has_bias;
    uint32_t n_centres; /* clustering */
    uint64_t seed;      /* of whatever the solver draws */

    /* Called about once an iteration; true ends the search with what was reached. May be NULL. */
    bool (*progress)(void *context, uint32_t iteration, double objective, double measure);
    void *context;
} tw_fit_problem;

/* Owned by the caller, who sizes the arrays from the matrix; a solver that starts from given values reads them first
 * when has_start is set. */
typedef struct tw_fit_solution {
    bool has_start;
    double *weight; /* [n_columns] linear models */
    double bias;
    double *centre;        /* [n_centres x dense_width] clustering */
    double *centre_weight; /* [n_centres] sum of the weights of the events nearest to it */
    double objective;      /* of the result, in the solver's stated form */
    double measure;        /* what the tolerance is held against: see the solver */
    uint32_t iterations;
    bool is_converged;
} tw_fit_solution;

typedef enum tw_solver_kind { TW_SOLVER_LINEAR = 1, TW_SOLVER_CLUSTERING = 2 } tw_solver_kind;

typedef struct tw_solver_ops {
    uint32_t abi_version, struct_size; /* TW_ABI_VERSION, sizeof(tw_solver_ops) */
    const char *name, *summary;        /* "lbfgs", one line */
    tw_solver_kind kind;
    const tw_option *options; /* ends with a {NULL} row */

    /* Fits. UNSUPPORTED: a loss, size or shape that it cannot do, with the limit in the message. INVALID: no events, or
     * a label that the loss does not take, with its event. NOT_FOUND: a library that it needs is not installed.
     * NUMERIC: no finite result. OK with is_converged false: max_iterations or `progress` ended it. After an error the
     * arrays of `solution` hold anything. */
    tw_status (*solve)(
        const tw_option_values *options, const tw_fit_problem *problem, tw_fit_solution *solution, tw_error *error);
} tw_solver_ops;

#endif
