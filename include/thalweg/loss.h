/* loss.h: the losses that learners, batch solvers and metrics share, and the links that turn a score into a prediction.
 * src/math/loss.h has their values and derivatives. Values: any thread. */
#ifndef THALWEG_LOSS_H
#define THALWEG_LOSS_H

/* s the score, y the label. */
typedef enum tw_loss_kind {
    TW_LOSS_NONE = 0,     /* no loss by score and label (clustering, counting) */
    TW_LOSS_LOGISTIC = 1, /* y 0 or 1: log(1 + e^s) - y s */
    TW_LOSS_SQUARED = 2,  /* (s - y)^2 / 2 */
    TW_LOSS_HINGE = 3,    /* y 0 or 1, t = 2 y - 1: max(0, 1 - t s) */
    TW_LOSS_POISSON = 4,  /* y >= 0: e^s - y s */
    TW_LOSS_QUANTILE = 5, /* quantile q in (0, 1), r = y - s: q r if r >= 0, else (q - 1) r */
} tw_loss_kind;

/* What a user sees for a score s. */
typedef enum tw_link_kind {
    TW_LINK_IDENTITY = 0, /* s */
    TW_LINK_LOGISTIC = 1, /* 1 / (1 + e^-s), a probability */
    TW_LINK_EXP = 2,      /* e^s, a rate or expected count */
} tw_link_kind;

typedef struct tw_loss {
    tw_loss_kind kind;
    double quantile; /* TW_LOSS_QUANTILE only */
} tw_loss;

#endif
