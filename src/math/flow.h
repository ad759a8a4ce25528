/* flow.h: how far one event of importance h moves its own score when the loss is followed exactly instead of by one
 * step: the importance-invariant updates. Pure; same bits on every machine; any thread.
 *
 * The score follows ds/dt = -k loss'(s) from t = 0 to h; k > 0 is the change of the score for a unit step. Result:
 *   distance  d = (s(h) - s(0)) / k, the length of the step along the direction that changes the score by k
 *   pull      -loss'(s(h)), what is left to follow. By the flow's own rule, ds(h)/ds(0) = pull(h) / pull(0), and
 *             dd/dh = pull(h).
 * It never passes the point where the loss is lowest, and two flows of h one after another equal one of 2 h.
 *
 * y the label, t = 2 y - 1, r = y - s, q the quantile, W the solution of W + log W = x:
 *   logistic  u = t s; W at x = h k + u + e^u; d = t (log W - u) / k; pull t / (1 + W)
 *   squared   d = r (1 - e^(-h k)) / k; pull r e^(-h k)
 *   hinge     d = t min(h, (1 - t s) / k), 0 where t s >= 1; pull t until then
 *   quantile  d = q h above, (q - 1) h below the score, at most r / k
 *   poisson   v = e^-s; v' = v e^(-h k y) + (1 - e^(-h k y)) / y; d = (-log v' - s) / k; pull y - 1 / v'
 * Karampatziakis, Langford, "Online Importance Weight Aware Updates", UAI 2011 (the first four); poisson by the same
 * separation of variables. */
#ifndef TW_MATH_FLOW_H
#define TW_MATH_FLOW_H

#include <stdbool.h>

#include "math/function.h"
#include "thalweg/loss.h"

typedef struct tw_flow {
    double distance, pull;
} tw_flow;

/* Relative changes below this are a plain step to within half of it. */
#define TW_FLOW_SMALL 1e-6

/* W > 0 with W + log W = x, and its logarithm: Newton's iteration, which after its first step comes from below. `w` and
 * `log_w` are where it starts, above 0 and below e^(1 + x), and where it ends. */
static inline void tw_flow_log_w(double x, double *w, double *log_w)
{
    enum { STEPS = 8 };
    double at = *w, log_at = *log_w;
    bool is_close = false;
    for (int i = 0; i < STEPS && !is_close; i++) {
        double next = at * (1.0 + x - log_at) / (1.0 + at);
        is_close = fabs(next - at) < 1e-6 * next; /* the error is the square of this step */
        at = next;
        log_at = tw_log(at);
    }
    *w = at;
    *log_w = log_at;
}

/* |score| at most 50. */
static inline tw_flow tw_flow_logistic(double score, double label, double h, double k)
{
    double t = label > 0.5 ? 1.0 : -1.0, u = t * score, e = tw_exp(u), w;
    if (h * k < TW_FLOW_SMALL * (1.0 + e)) {
        return (tw_flow){t * h / (1.0 + e), t / (1.0 + e)};
    }
    double x = h * k + u + e, log_w = u;
    w = e;
    if (h * k > 1.0) {                               /* e^u is far from it */
        w = x > 1.0 ? x - tw_log(x) : tw_sigmoid(x); /* below e^x */
        log_w = tw_log(w);
    }
    tw_flow_log_w(x, &w, &log_w);
    return (tw_flow){t * (log_w - u) / k, t / (1.0 + w)};
}

static inline tw_flow tw_flow_squared(double score, double label, double h, double k)
{
    double rest = label - score, z = h * k, left = tw_exp(-z);
    return (tw_flow){rest * (z < TW_FLOW_SMALL ? h : (1.0 - left) / k), rest * left};
}

static inline tw_flow tw_flow_hinge(double score, double label, double h, double k)
{
    double t = label > 0.5 ? 1.0 : -1.0, room = 1.0 - t * score;
    if (room <= 0.0) {
        return (tw_flow){0.0, 0.0};
    }
    return h * k < room ? (tw_flow){t * h, t} : (tw_flow){t * room / k, 0.0};
}

static inline tw_flow tw_flow_quantile(double score, double label, double h, double k, double quantile)
{
    double rest = label - score, pull = rest > 0.0 ? quantile : rest < 0.0 ? quantile - 1.0 : 0.0;
    return fabs(pull) * h * k < fabs(rest) ? (tw_flow){pull * h, pull} : (tw_flow){rest / k, 0.0};
}

/* |score| at most TW_POISSON_SCORE_LIMIT, label >= 0. */
static inline tw_flow tw_flow_poisson(double score, double label, double h, double k)
{
    double z = h * k * label, v = tw_exp(-score), left = tw_exp(-z);
    double pull = label - 1.0 / v;
    if (h * k * (label + 1.0 / v) < TW_FLOW_SMALL) {
        return (tw_flow){pull * h, pull};
    }
    v = v * left + (z < TW_FLOW_SMALL ? h * k * (1.0 - 0.5 * z) : (1.0 - left) / label);
    return (tw_flow){(-tw_log(v) - score) / k, label - 1.0 / v};
}

/* h >= 0, k > 0, finite. */
static inline tw_flow tw_flow_of(tw_loss loss, double score, double label, double h, double k)
{
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
        return tw_flow_logistic(score, label, h, k);
    case TW_LOSS_SQUARED:
        return tw_flow_squared(score, label, h, k);
    case TW_LOSS_HINGE:
        return tw_flow_hinge(score, label, h, k);
    case TW_LOSS_POISSON:
        return tw_flow_poisson(score, label, h, k);
    case TW_LOSS_QUANTILE:
        return tw_flow_quantile(score, label, h, k, loss.quantile);
    case TW_LOSS_NONE:
        break;
    }
    return (tw_flow){0.0, 0.0};
}

#endif
