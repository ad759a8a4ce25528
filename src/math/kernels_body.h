/* kernels_body.h: the one source of all kernel tables, inlined by kernels.c into functions for each instruction set.
 * The compiler may use wider registers there but may not reorder a sum, so the bits stay the same.
 *
 * Letters: w weight, x feature value, z and n the two sums of FTRL, g gradient, d vector width. */
#ifndef TW_MATH_KERNELS_BODY_H
#define TW_MATH_KERNELS_BODY_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "math/function.h"
#include "math/kernels.h"

#define TW_INLINE static inline __attribute__((always_inline))

TW_INLINE float tw_tree_sum(const float *lane)
{
    float sum[8];
    for (int i = 0; i < 8; i++) {
        sum[i] = lane[i] + lane[i + 8];
    }
    for (int i = 0; i < 4; i++) {
        sum[i] = sum[i] + sum[i + 4];
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

TW_INLINE float body_dot(const float *a, const float *b, size_t count)
{
    float lane[TW_LANES] = {0};
    size_t whole = count - count % TW_LANES;
    for (size_t i = 0; i < whole; i += TW_LANES) {
        for (size_t j = 0; j < TW_LANES; j++) {
            lane[j] += a[i + j] * b[i + j];
        }
    }
    for (size_t i = whole; i < count; i++) {
        lane[i - whole] += a[i] * b[i];
    }
    return tw_tree_sum(lane);
}

TW_INLINE float body_dot_lanes(float *restrict lane, const float *restrict w, const float *restrict x, size_t count)
{
    float sum[TW_LANES], peak[TW_LANES] = {0};
    for (size_t j = 0; j < TW_LANES; j++) {
        sum[j] = lane[j];
    }
    for (size_t i = 0; i < count; i += TW_LANES) {
        for (size_t j = 0; j < TW_LANES; j++) {
            float size = fabsf(x[i + j]);
            sum[j] += w[i + j] * x[i + j];
            peak[j] = size > peak[j] ? size : peak[j];
        }
    }
    float largest = 0.0f;
    for (size_t j = 0; j < TW_LANES; j++) {
        lane[j] = sum[j];
        largest = peak[j] > largest ? peak[j] : largest;
    }
    return largest;
}

/* Squares are never -0, so lanes that stay empty change no bit. */
TW_INLINE float body_distance(const float *restrict x, const float *restrict c, size_t d)
{
    if (d <= 2) {
        float a = d > 0 ? x[0] - c[0] : 0.0f, b = d > 1 ? x[1] - c[1] : 0.0f;
        return a * a + b * b;
    }
    float lane[TW_LANES] = {0};
    size_t whole = d - d % TW_LANES;
    for (size_t i = 0; i < whole; i += TW_LANES) {
        for (size_t j = 0; j < TW_LANES; j++) {
            float difference = x[i + j] - c[i + j];
            lane[j] += difference * difference;
        }
    }
    for (size_t i = whole; i < d; i++) {
        float difference = x[i] - c[i];
        lane[i - whole] += difference * difference;
    }
    return tw_tree_sum(lane);
}

enum { TW_GROUP = 4 };

/* Half of all lanes as one value that stays in a register; its half. */
typedef float tw_lanes8 __attribute__((vector_size(8 * sizeof(float))));
typedef float tw_lanes4 __attribute__((vector_size(4 * sizeof(float))));
typedef int32_t tw_flags8 __attribute__((vector_size(8 * sizeof(int32_t))));
typedef int32_t tw_flags4 __attribute__((vector_size(4 * sizeof(int32_t))));

/* Lanes 0 to 7 and 8 to 15 of x; of its last elements, with 0 behind them and all bits set in their lanes. */
typedef struct tw_tail {
    tw_lanes8 low, high;
    tw_flags8 low_mask, high_mask;
} tw_tail;

TW_INLINE void body_ftrl_weights(
    const tw_ftrl_rule *rule, const float *restrict zn, float *restrict w, float *restrict root, size_t count)
{
    const float inverse_alpha = rule->inverse_alpha, beta = rule->beta, l1 = rule->l1, l2 = rule->l2;
    for (size_t i = 0; i < count; i++) {
        float z = zn[2 * i], r = sqrtf(zn[2 * i + 1]);
        float weight = (copysignf(l1, z) - z) / ((beta + r) * inverse_alpha + l2);
        w[i] = fabsf(z) <= l1 ? 0.0f : weight;
        root[i] = r;
    }
}

TW_INLINE float tw_limited(float value)
{
    value = value > FLT_MAX ? FLT_MAX : value;
    return value < -FLT_MAX ? -FLT_MAX : value;
}

TW_INLINE void body_ftrl_update(const tw_ftrl_rule *rule,
    float error,
    const float *restrict x,
    const float *restrict w,
    const float *restrict root,
    const float *restrict zn,
    float *restrict after,
    size_t count)
{
    const float inverse_alpha = rule->inverse_alpha;
    for (size_t i = 0; i < count; i++) {
        float g = error * x[i], square = g * g;
        float n = tw_limited(zn[2 * i + 1] + square);
        float roots = sqrtf(n) + root[i];
        float step = square / roots;
        step = roots > 0.0f ? step : 0.0f;
        after[2 * i] = tw_limited((zn[2 * i] + g) - (step * inverse_alpha) * w[i]);
        after[2 * i + 1] = n;
    }
}

/* A choice that stays arithmetic: a branch would keep the compiler from wide registers. */
TW_INLINE double tw_select(bool is_first, double first, double second)
{
    uint64_t a, b, mask = 0 - (uint64_t)is_first;
    memcpy(&a, &first, sizeof a);
    memcpy(&b, &second, sizeof b);
    a = (a & mask) | (b & ~mask);
    memcpy(&first, &a, sizeof a);
    return first;
}

/* The steps of tw_sigmoid and tw_log1pexp without branches: with x = -|m| only the lower bound of tw_exp can be met,
 * and 1 + e^x lies in 1 .. 2. */
TW_INLINE void body_logistic_at(double m, double *restrict probability, double *restrict loss)
{
    const double limit = 745.1332191019412;
    double size = fabs(m), e = tw_exp_core(-tw_select(size <= limit, size, limit));
    e = tw_select(size > limit, 0.0, e);
    e = tw_select(size != size, m, e);
    double w = 1.0 + e;
    bool is_high = w >= 1.4142135623730951, is_one = w == 1.0;
    double log = tw_log_core(w * tw_select(is_high, 0.5, 1.0), tw_select(is_high, 1.0, 0.0));
    double log1p = tw_select(is_one, e, log * (e / (w - tw_select(is_one, 0.0, 1.0))));
    *probability = tw_select(m < 0.0, e, 1.0) / w;
    *loss = tw_select(m < 0.0, -m, 0.0) + log1p;
}

TW_INLINE void body_logistic(
    const float *restrict margin, double *restrict probability, double *restrict loss, size_t count)
{
    for (size_t i = 0; i < count; i++)
        body_logistic_at((double)margin[i], probability + i, loss + i);
}

TW_INLINE void body_logistic_double(
    const double *restrict margin, double *restrict probability, double *restrict loss, size_t count)
{
    for (size_t i = 0; i < count; i++)
        body_logistic_at(margin[i], probability + i, loss + i);
}

#endif
