/* compare.h: whether one model is better than another on the same events, by the paired differences of their losses. */
#ifndef TW_CMD_COMPARE_H
#define TW_CMD_COMPARE_H

#include "engine/judged.h"

/* The loss of every labelled event under one model, in order: logloss where predictions are probabilities, squared
 * error for regression, squared distance for clustering, else the learner's own. 12 bytes an event. Zeroed is empty but
 * for the traits. One thread. */
typedef struct event_losses {
    const tw_learner_traits *traits; /* of the model that is judged; set before its first event */
    double *loss;
    float *weight;
    size_t n, loss_capacity, weight_capacity;
    uint64_t identity; /* hash of labels and weights: equal for equal events */
} event_losses;

/* "logloss", "squared_error", "distance" or "loss". */
const char *event_losses_name(const tw_learner_traits *traits);

/* A tw_judged_listener whose context is an event_losses. */
tw_status event_losses_add(void *context, const tw_judged *events, tw_error *error);
void event_losses_fini(event_losses *self);

/* Paired comparison, d_i = loss of the second - loss of the first, w_i the weight:
 *   difference  D = sum w d / sum w
 *   error       sqrt(n / (n - 1) sum w^2 (d - D)^2) / sum w, the standard error of D for independent events
 *   z           D / error
 *   p           P(|N(0, 1)| >= |z|): the chance of such a difference between models that are equally good
 * NaN each where it cannot be known. */
typedef struct paired_loss {
    uint64_t n;
    double difference, error, z, p;
} paired_loss;

/* False: the two were not judged on the same events, or not by the same loss; all NaN then. */
bool event_losses_compare(const event_losses *first, const event_losses *second, paired_loss *out);

#endif
