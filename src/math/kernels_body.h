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

/* Squares are never -0, so lanes that stay empty change no bit: narrow vectors start lower in the tree. */
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

/* All lanes as one value that stays in registers, however wide those are; its halves and quarters. */
typedef float tw_lanes __attribute__((vector_size(TW_LANES * sizeof(float))));
typedef float tw_lanes8 __attribute__((vector_size(8 * sizeof(float))));
typedef float tw_lanes4 __attribute__((vector_size(4 * sizeof(float))));

/* tw_tree_sum of TW_GROUP lanes at once: lane i + lane i + 8, then 4 apart; transposed, so that the last two levels of
 * all four trees are three additions. */
TW_INLINE void tw_tree_sums(const tw_lanes *sum, float *out)
{
    tw_lanes4 q[TW_GROUP];
    for (size_t g = 0; g < TW_GROUP; g++) {
        tw_lanes8 half = __builtin_shufflevector(sum[g], sum[g], 0, 1, 2, 3, 4, 5, 6, 7) +
                         __builtin_shufflevector(sum[g], sum[g], 8, 9, 10, 11, 12, 13, 14, 15);
        q[g] = __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
    }
    tw_lanes4 a = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5), b = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5);
    tw_lanes4 c = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7), d = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
    tw_lanes4 even = __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(c, d, 0, 1, 4, 5);
    tw_lanes4 odd = __builtin_shufflevector(a, b, 2, 3, 6, 7) + __builtin_shufflevector(c, d, 2, 3, 6, 7);
    tw_lanes4 total = even + odd;
    memcpy(out, &total, sizeof total);
}

/* Distances of TW_GROUP centres, side by side so that their sums do not wait for each other. The bits are those of
 * body_distance. */
TW_INLINE void body_distances(const float *restrict x, const float *restrict c, size_t stride, size_t d, float *out)
{
    tw_lanes sum[TW_GROUP] = {{0}}, at, centre;
    size_t whole = d - d % TW_LANES;
    for (size_t i = 0; i < whole; i += TW_LANES) {
        memcpy(&at, x + i, sizeof at);
        for (size_t g = 0; g < TW_GROUP; g++) {
            memcpy(&centre, c + g * stride + i, sizeof centre);
            sum[g] += (at - centre) * (at - centre);
        }
    }
    for (size_t g = 0; g < TW_GROUP && whole < d; g++) {
        float rest[TW_LANES] = {0};
        for (size_t i = whole; i < d; i++) {
            rest[i - whole] = x[i] - c[g * stride + i];
        }
        memcpy(&centre, rest, sizeof centre);
        sum[g] += centre * centre;
    }
    tw_tree_sums(sum, out);
}

TW_INLINE uint32_t body_nearest(
    const float *x, const float *centres, size_t stride, uint32_t count, size_t width, float *distance)
{
    uint32_t best = 0, i = 0;
    float least = INFINITY, other[TW_GROUP];
    for (; width >= TW_LANES && i + TW_GROUP <= count; i += TW_GROUP) {
        body_distances(x, centres + i * stride, stride, width, other);
        for (uint32_t g = 0; g < TW_GROUP; g++) {
            best = other[g] < least ? i + g : best;
            least = other[g] < least ? other[g] : least;
        }
    }
    for (; i < count; i++) {
        other[0] = body_distance(x, centres + i * stride, width);
        best = other[0] < least ? i : best;
        least = other[0] < least ? other[0] : least;
    }
    *distance = least;
    return best;
}

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
TW_INLINE void body_logistic(
    const float *restrict margin, double *restrict probability, double *restrict loss, size_t count)
{
    const double limit = 745.1332191019412;
    for (size_t i = 0; i < count; i++) {
        double m = (double)margin[i], size = fabs(m);
        double e = tw_exp_core(-tw_select(size <= limit, size, limit));
        e = tw_select(size > limit, 0.0, e);
        e = tw_select(size != size, m, e);
        double w = 1.0 + e;
        bool is_high = w >= 1.4142135623730951, is_one = w == 1.0;
        double log = tw_log_core(w * tw_select(is_high, 0.5, 1.0), tw_select(is_high, 1.0, 0.0));
        double log1p = tw_select(is_one, e, log * (e / (w - tw_select(is_one, 0.0, 1.0))));
        probability[i] = tw_select(m < 0.0, e, 1.0) / w;
        loss[i] = tw_select(m < 0.0, -m, 0.0) + log1p;
    }
}

#endif
