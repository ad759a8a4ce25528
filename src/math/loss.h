/* loss.h: values and derivatives of the losses of thalweg/loss.h by the score, with the same bits on every machine.
 * Where a loss has a corner (hinge at t s = 1, quantile at s = y) the derivative is the one of the flat or lower side:
 * hinge 0, quantile 0. Pure; any thread. */
#ifndef TW_MATH_LOSS_H
#define TW_MATH_LOSS_H

#include "math/function.h"
#include "thalweg/loss.h"

/* Scores of a Poisson model stop here, so that e^s stays a finite float. */
#define TW_POISSON_SCORE_LIMIT 80.0

static inline double tw_loss_value(tw_loss loss, double score, double label)
{
    double sign = 2.0 * label - 1.0, rest = label - score;
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
        /* The term that is 0 for the label on the score's side leaves the digits of a tiny loss alone. */
        return tw_log1pexp(-fabs(score)) + (score > 0.0 ? 1.0 - label : -label) * score;
    case TW_LOSS_SQUARED:
        return 0.5 * rest * rest;
    case TW_LOSS_HINGE:
        return sign * score < 1.0 ? 1.0 - sign * score : 0.0;
    case TW_LOSS_POISSON:
        return tw_exp(score < TW_POISSON_SCORE_LIMIT ? score : TW_POISSON_SCORE_LIMIT) - label * score;
    case TW_LOSS_QUANTILE:
        return rest >= 0.0 ? loss.quantile * rest : (loss.quantile - 1.0) * rest;
    case TW_LOSS_NONE:
        break;
    }
    return 0.0;
}

/* The loss's first derivative by the score. */
static inline double tw_loss_slope(tw_loss loss, double score, double label)
{
    double sign = 2.0 * label - 1.0;
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
        return tw_sigmoid(score) - label;
    case TW_LOSS_SQUARED:
        return score - label;
    case TW_LOSS_HINGE:
        return sign * score < 1.0 ? -sign : 0.0;
    case TW_LOSS_POISSON:
        return tw_exp(score < TW_POISSON_SCORE_LIMIT ? score : TW_POISSON_SCORE_LIMIT) - label;
    case TW_LOSS_QUANTILE:
        return score < label ? -loss.quantile : score > label ? 1.0 - loss.quantile : 0.0;
    case TW_LOSS_NONE:
        break;
    }
    return 0.0;
}

/* The loss's second derivative by the score; 0 for hinge and quantile, which have none. */
static inline double tw_loss_curvature(tw_loss loss, double score)
{
    double p;
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
        p = tw_sigmoid(score);
        return p * (1.0 - p);
    case TW_LOSS_SQUARED:
        return 1.0;
    case TW_LOSS_POISSON:
        return tw_exp(score < TW_POISSON_SCORE_LIMIT ? score : TW_POISSON_SCORE_LIMIT);
    case TW_LOSS_HINGE:
    case TW_LOSS_QUANTILE:
    case TW_LOSS_NONE:
        break;
    }
    return 0.0;
}

/* What a user sees for a score. */
static inline double tw_link_value(tw_link_kind link, double score)
{
    switch (link) {
    case TW_LINK_LOGISTIC:
        return tw_sigmoid(score);
    case TW_LINK_EXP:
        return tw_exp(score < TW_POISSON_SCORE_LIMIT ? score : TW_POISSON_SCORE_LIMIT);
    case TW_LINK_IDENTITY:
        break;
    }
    return score;
}

#endif
