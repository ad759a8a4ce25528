/* linear_row.h: how one row of the learner `linear` is read and how an event moves it; formulas in linear.c. */
#ifndef TW_ALGORITHMS_LINEAR_ROW_H
#define TW_ALGORITHMS_LINEAR_ROW_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/forgetting.h"
#include "math/loss.h"

typedef enum linear_optimizer { LINEAR_SGD, LINEAR_MOMENTUM, LINEAR_ADAGRAD, LINEAR_ADAM } linear_optimizer;
typedef enum linear_schedule { LINEAR_CONSTANT, LINEAR_INVERSE_SQRT, LINEAR_INVERSE } linear_schedule;

/* The head of every row; which further fields it has depends on the options. */
typedef struct linear_row {
    float w;
    float first;      /* momentum: v, adagrad: n, adam: m */
    float second;     /* adam: v */
    uint32_t touches; /* adam */
} linear_row;

typedef struct linear_steps {
    uint64_t events;
    double weight, shrunk;
    uint64_t tick; /* with a half-life only */
} linear_steps;

typedef struct linear_state {
    tw_loss loss;
    linear_optimizer optimizer;
    linear_schedule schedule;
    double rate, t0, momentum, log_momentum, beta1, beta2, log_beta1, log_beta2, epsilon, l1, l2, adam_reach;
    tw_forgetting forgetting;
    bool has_bias, has_steps, is_fading, is_shrinking;
    uint32_t bias_block, steps_block;
    uint32_t stamp_offset; /* momentum: step, adagrad with a half-life: tick */
    uint32_t shrunk_offset;
} linear_state;

/* What an event is learned by: the steps before it, and the tick and rate of now. */
typedef struct linear_now {
    linear_steps steps;
    tw_forgetting_clock clock;
    uint64_t tick;
    double rate, importance, slope, flow;
} linear_now;

static inline uint64_t linear_stamp(const linear_state *self, const void *row)
{
    uint64_t stamp;
    memcpy(&stamp, (const char *)row + self->stamp_offset, sizeof stamp);
    return stamp;
}

/* base^k for base of this logarithm. */
static inline double linear_power(double log_base, double k)
{
    return k == 0.0 ? 1.0 : tw_exp(k * log_base);
}

/* 1 - e^-x for x >= 0, with all digits when x is small. */
static inline double linear_filled(double x)
{
    return x < 1e-5 ? x * (1.0 - x * (0.5 - x / 6.0)) : 1.0 - tw_exp(-x);
}

/* The flow of the head over S for all weights that are shrunk. */
static inline double linear_shrink(const linear_state *self, double w, double s)
{
    double size = fabs(w), filled = linear_filled(self->l2 * s);
    if (!(s > 0.0))
        return w;
    size = self->l2 > 0.0 ? size * (1.0 - filled) - self->l1 / self->l2 * filled : size - self->l1 * s;
    return size > 0.0 ? copysign(size, w) : 0.0;
}

/* The weight as of now: what happened to it since its row was written is due. */
static inline double linear_read(const linear_state *self, const linear_steps *steps, const void *row, bool is_bias)
{
    const linear_row *head = row;
    double w = (double)head->w, shrunk;
    if (self->optimizer == LINEAR_MOMENTUM && head->first != 0.0f) {
        uint64_t step = linear_stamp(self, row), k = steps->events > step ? steps->events - step : 0;
        double left = 1.0 - linear_power(self->log_momentum, (double)k);
        w += (double)head->first * self->momentum * left / (1.0 - self->momentum);
    }
    if (!self->is_shrinking || is_bias || w == 0.0)
        return w;
    memcpy(&shrunk, (const char *)row + self->shrunk_offset, sizeof shrunk);
    return linear_shrink(self, w, steps->shrunk - shrunk);
}

static inline double linear_rate(const linear_state *self, double t)
{
    switch (self->schedule) {
    case LINEAR_INVERSE_SQRT:
        return self->rate / sqrt(1.0 + t / self->t0);
    case LINEAR_INVERSE:
        return self->rate / (1.0 + t / self->t0);
    case LINEAR_CONSTANT:
        break;
    }
    return self->rate;
}

static inline float linear_limited(double value)
{
    value = value < (double)FLT_MAX ? value : (double)FLT_MAX;
    return (float)(value > -(double)FLT_MAX ? value : -(double)FLT_MAX);
}

static inline double linear_step_adagrad(const linear_state *self, const linear_now *now, linear_row *row, double x)
{
    double slope = now->slope * x, n = (double)row->first;
    if (self->is_fading)
        n *= tw_forgetting_kept(linear_stamp(self, row), now->tick);
    row->first = linear_limited(n + now->importance * slope * slope);
    return -now->rate * now->importance * slope / (sqrt((double)row->first) + self->epsilon);
}

/* Steps of one worker never pass adam_reach: with w_j, u_j the shares of gradient j in m and v, (sum w_j g_j)^2 <= sum
 * w_j^2 / u_j x sum u_j g_j^2. Merged rows could. */
static inline double linear_step_adam(const linear_state *self, const linear_now *now, linear_row *row, double x)
{
    double g = now->importance * now->slope * x;
    row->touches += row->touches < UINT32_MAX;
    row->first = linear_limited((double)row->first + (1.0 - self->beta1) * (g - (double)row->first));
    row->second = linear_limited((double)row->second + (1.0 - self->beta2) * (g * g - (double)row->second));
    double mean = (double)row->first / (1.0 - linear_power(self->log_beta1, (double)row->touches));
    double square = (double)row->second / (1.0 - linear_power(self->log_beta2, (double)row->touches));
    double step = mean / (sqrt(square > 0.0 ? square : 0.0) + self->epsilon);
    step = step < self->adam_reach ? step : self->adam_reach;
    return -now->rate * (step > -self->adam_reach ? step : -self->adam_reach);
}

/* v of a row whose last event was `step`; a second entry of this event finds it decayed and applied. */
static inline double linear_step_momentum(const linear_state *self, const linear_now *now, linear_row *row, double x)
{
    uint64_t step = linear_stamp(self, row), event = now->steps.events + 1, k = event > step ? event - step : 0;
    double left = (double)row->first * linear_power(self->log_momentum, (double)k);
    double push = -now->rate * now->importance * now->slope * x;
    row->first = linear_limited(left + push);
    return k > 0 ? left + push : push;
}

static inline void linear_move(const linear_state *self, const linear_now *now, void *row, double x, bool is_bias)
{
    linear_row *head = row;
    double w = linear_read(self, &now->steps, row, is_bias);
    switch (self->optimizer) {
    case LINEAR_SGD:
        w += now->flow * x;
        break;
    case LINEAR_MOMENTUM:
        w += linear_step_momentum(self, now, head, x);
        break;
    case LINEAR_ADAGRAD:
        w += linear_step_adagrad(self, now, head, x);
        break;
    case LINEAR_ADAM:
        w += linear_step_adam(self, now, head, x);
        break;
    }
    head->w = linear_limited(w);
    uint64_t stamp = self->optimizer == LINEAR_MOMENTUM ? now->steps.events + 1 : now->tick;
    if (self->stamp_offset != 0)
        memcpy((char *)row + self->stamp_offset, &stamp, sizeof stamp);
    if (self->is_shrinking)
        memcpy((char *)row + self->shrunk_offset, &now->steps.shrunk, sizeof now->steps.shrunk);
}

#endif
