/* passes.h: the learner itself over bounded data, several times, in a model of its own. A part of the events is held
 * out: scored after each pass, never learned; the pass with the lowest loss on it is kept. The same data and options
 * give the same bits. One thread. */
#ifndef TW_ENGINE_PASSES_H
#define TW_ENGINE_PASSES_H

#include "engine/dataset.h"
#include "engine/row_image.h"

typedef struct tw_pass_options {
    uint64_t passes;     /* >= 1 */
    double holdout;      /* share: events i with i mod k = k - 1, k = 1 / share rounded; 0: none */
    uint32_t early_stop; /* passes without a lower loss that end it; 0: never */
    bool is_shuffled;    /* each pass in an order drawn from the seed and the number of the pass */
    uint64_t shuffle_seed;
    bool (*progress)(void *context, uint32_t pass, double objective, double measure); /* true: ends; may be NULL */
    void *context;
} tw_pass_options;

typedef struct tw_pass_result {
    uint32_t passes, best; /* made; the one that is kept, from 1 */
    double objective;      /* mean loss of the kept pass, each event before it was learned in it */
    double measure;        /* mean loss on the held-out events after it; NaN without */
    bool is_stopped_early;
} tw_pass_result;

/* Means are weighted by importance; the loss is the learner's, for clustering the squared distance. `out` gets the
 * kept rows. NUMERIC: the learner diverged. */
TW_MUST_USE tw_status tw_passes_run(const tw_model *model,
    const tw_dataset *dataset,
    const tw_pass_options *options,
    tw_row_image *out,
    tw_pass_result *result,
    tw_error *error);

#endif
