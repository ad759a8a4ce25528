/* transform.h: changes feature values on their way from format to learner. Stateless transforms (log1p, missing values,
 * crosses) are compiled into the feature plan; the ones here learn. Their state is blocks of the model's schema, in
 * fields that add: it is sharded, checkpointed and served with the model. They run serially and in order, after
 * decoding. */
#ifndef THALWEG_TRANSFORM_H
#define THALWEG_TRANSFORM_H

#include "thalweg/batch.h"
#include "thalweg/options.h"
#include "thalweg/schema.h"

typedef struct tw_transform_ops {
    uint32_t abi_version, struct_size;
    const char *name, *summary;
    const tw_option *options;
    size_t (*state_size)(const tw_option_values *options);

    /* `fields` [n_fields]: the plan's field ids whose values this transform changes, ascending; borrowed for the call.
     * Appends its blocks to `schema` and remembers their indexes. */
    tw_status (*open)(void *self,
        const tw_option_values *options,
        const uint16_t *fields,
        uint32_t n_fields,
        tw_schema *schema,
        tw_error *error);

    /* Changes value [batch->n_entries] (the batch's own values, writable here) in event order. With `is_learning` each
     * event is transformed by the state before it and then added to the state, so a progressive score equals what
     * `predict` would have answered; without it nothing but `value` changes. */
    void (*apply)(void *self, const tw_batch *batch, float *value, void *const *block, bool is_learning);

    /* Optional, for export. What `apply` without `is_learning` does to a value x of the `index`-th of the fields that
     * `open` was given: float of (n x - sum) / root in double, kept within the range of float; 0 where root is 0. */
    void (*constants)(const void *self, void *const *block, uint32_t index, double *n, double *sum, double *root);
} tw_transform_ops;

#endif
