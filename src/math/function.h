/* function.h: exp, log, sigmoid and log(1 + e^x) with the same bits on every machine: plain IEEE additions, products
 * and quotients in one order, no library call, no fused multiply-add (the build forbids contraction). Pure; any thread.
 *
 * Error bounds in units in the last place (ulp) of the double result, checked against libm by the tests:
 *   tw_exp 1, tw_log 1, tw_log1p 3 (x >= 0), tw_sigmoid 3, tw_log1pexp 3; results below the normal range lose bits as
 *   every subnormal does.
 *
 *   exp   x = k log 2 + r with |r| <= log(2) / 2; Taylor series of e^r to r^13; times 2^k
 *   log   x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); s = f / (2 + f);
 *         log(1 + f) = f - s (f - R), R = 2 (s^2/3 + s^4/5 + ...), the series of 2 atanh(s) to s^23
 *   log1p log(w) x / (w - 1) with w = 1 + x rounded: the error of w cancels (Higham, Accuracy and Stability, 1.14) */
#ifndef TW_MATH_FUNCTION_H
#define TW_MATH_FUNCTION_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TW_LOG2_HIGH 6.93147180369123816490e-01 /* 32 bits of log 2: products with small integers are exact */
#define TW_LOG2_LOW  1.90821492927058770002e-10 /* the rest of it */

/* 2^k for k in -1022 .. 1023. */
static inline double tw_power_of_two(int k)
{
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e^x for x from -745.2 to 709.8. */
static inline __attribute__((always_inline)) double tw_exp_core(double x)
{
    double count = x * 1.4426950408889634;
    int k = (int)(count + (count < 0.0 ? -0.5 : 0.5));
    double high = x - (double)k * TW_LOG2_HIGH, low = (double)k * TW_LOG2_LOW;
    double r = high - low, rest = (high - r) - low;
    double r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
    /* Pairs of the series side by side: a shorter chain than Horner's rule. */
    double a = (1.0 / 2 + r * (1.0 / 6)) + r2 * (1.0 / 24 + r * (1.0 / 120));
    double b = (1.0 / 720 + r * (1.0 / 5040)) + r2 * (1.0 / 40320 + r * (1.0 / 362880));
    double c = (1.0 / 3628800 + r * (1.0 / 39916800)) + r2 * (1.0 / 479001600 + r * (1.0 / 6227020800));
    double e = 1.0 + (r + (rest + r2 * (a + r4 * b + r8 * c)));
    int half = k / 2;
    return e * tw_power_of_two(half) * tw_power_of_two(k - half);
}

/* e^x; infinity above 709.78, 0 below -745.13, NaN for NaN. */
static inline double tw_exp(double x)
{
    if (!(x < 709.782712893384)) {
        return x == 709.782712893384 ? 1.7976931348622732e308 : x + (double)INFINITY;
    }
    if (x < -745.1332191019412) {
        return 0.0;
    }
    return tw_exp_core(x);
}

/* log(2^k x) for x from sqrt(1/2) to sqrt(2). */
static inline __attribute__((always_inline)) double tw_log_core(double x, double k)
{
    double f = x - 1.0, s = f / (2.0 + f), z = s * s, z2 = z * z, z4 = z2 * z2;
    double a = (2.0 / 3 + z * (2.0 / 5)) + z2 * (2.0 / 7 + z * (2.0 / 9));
    double b = (2.0 / 11 + z * (2.0 / 13)) + z2 * (2.0 / 15 + z * (2.0 / 17));
    double c = (2.0 / 19 + z * (2.0 / 21)) + z2 * (2.0 / 23);
    double series = z * (a + z4 * (b + z4 * c));
    double half_square = 0.5 * f * f;
    double low = s * (half_square + series) + k * TW_LOG2_LOW;
    return k * TW_LOG2_HIGH - ((half_square - low) - f);
}

/* log(x) for finite x > 0; minus infinity at 0, NaN below, x for infinity and NaN. */
static inline double tw_log(double x)
{
    if (!(x > 0.0)) {
        return x == 0.0 ? -(double)INFINITY : (double)NAN;
    }
    if (x > 1.7976931348623157e308) {
        return x;
    }
    int k = 0;
    if (x < 2.2250738585072014e-308) {
        x *= 18014398509481984.0; /* 2^54 */
        k = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    k += (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull;
    memcpy(&x, &bits, sizeof x);
    if (x >= 1.4142135623730951) {
        x *= 0.5;
        k++;
    }
    return tw_log_core(x, (double)k);
}

/* log(1 + x) for x >= 0. */
static inline double tw_log1p(double x)
{
    double w = 1.0 + x;
    if (w == 1.0 || w > 1e300) {
        return w == 1.0 ? x : tw_log(w);
    }
    return tw_log(w) * (x / (w - 1.0));
}

/* 1 / (1 + e^-x), without overflow on either side. */
static inline double tw_sigmoid(double x)
{
    double e = tw_exp(x < 0.0 ? x : -x);
    return x < 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|): the logistic loss at margin -x. */
static inline double tw_log1pexp(double x)
{
    return (x > 0.0 ? x : 0.0) + tw_log1p(tw_exp(x > 0.0 ? -x : x));
}

#endif
