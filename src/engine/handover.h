/* handover.h: puts what was found over bounded data into a model's rows, wherever they lie, and marks the data as
 * applied, so that learning goes on exactly behind it.
 *
 * Keys go in batches of a split of their own, which is named by the data and by what is handed over: a hand-over that
 * is done again after a crash changes nothing that it had done. One thread. */
#ifndef TW_ENGINE_HANDOVER_H
#define TW_ENGINE_HANDOVER_H

#include "engine/dataset.h"
#include "engine/row_image.h"

/* A fitted model: weights of a linear one, centres, or whole rows. */
typedef struct tw_fitted {
    const tw_fit_solution *solution; /* NULL: rows */
    const double *curvature;         /* [n_columns] as tw_weights.curvature */
    double bias_curvature;
    uint32_t n_centres;
    const tw_row_image *rows;
} tw_fitted;

/* Writes the transforms' state and the fitted rows; a weight of 0 makes no row. Then sets the marks of all splits of
 * the data to their ends; `n_learned` events count as learned. REWIND: a shard lost rows, hand over again. CONFLICT:
 * rows hold part of the data already. */
TW_MUST_USE tw_status tw_handover(
    tw_model *model, const tw_dataset *dataset, const tw_fitted *fitted, uint64_t n_learned, tw_error *error);

#endif
