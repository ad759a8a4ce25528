/* kernels.h: the inner loops of learners, chosen once for the processor. Every table gives the same bits: sums go into
 * 16 lanes (element i into lane i mod 16) that are combined in a fixed tree, products and quotients are IEEE operations
 * in one order, and nothing is fused or approximated. So a model does not depend on the machine that trained it.
 *
 * Thread rule: tables are immutable; functions are pure but for their outputs. Pointers need the alignment of float
 * only. No argument may be NULL; counts of 0 are fine. */
#ifndef TW_MATH_KERNELS_H
#define TW_MATH_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { TW_LANES = 16 };

/* Constants of FTRL-Proximal: McMahan et al., "Ad Click Prediction: a View from the Trenches", KDD 2013, Algorithm 1.
 */
typedef struct tw_ftrl_rule {
    float inverse_alpha, beta, l1, l2;
} tw_ftrl_rule;

typedef struct tw_kernels {
    const char *name; /* "portable", "avx2", "avx512" */

    /* sum of a[i] b[i], i < count */
    float (*dot)(const float *a, const float *b, size_t count);

    /* Adds w[i] x[i] to lane [TW_LANES]; `count` is a multiple of TW_LANES. Returns the largest |x[i]|. tw_lanes_sum
     * then gives the same bits however a long vector was cut. */
    float (*dot_lanes)(float *lane, const float *w, const float *x, size_t count);

    /* The centre nearest to x [width] in squared Euclidean distance, of `count` >= 1 rows that lie `stride` floats
     * apart; the first of equals. Writes its distance. What lies between the rows may be read. */
    uint32_t (*nearest)(
        const float *x, const float *centres, size_t stride, uint32_t count, size_t width, float *distance);

    /* Weights of rows zn [count x 2] = {z, n}; `count` is a multiple of TW_LANES:
     *   w = 0 if |z| <= l1, else -(z - sign(z) l1) / ((beta + sqrt n) / alpha + l2);   root = sqrt n */
    void (*ftrl_weights)(const tw_ftrl_rule *rule, const float *zn, float *w, float *root, size_t count);

    /* Rows after an event of error e (the loss's derivative by the margin, times importance); `count` as above:
     *   g = e x;  n' = n + g^2;  sigma = (sqrt n' - sqrt n) / alpha;  z' = z + g - sigma w
     * with sqrt n' - sqrt n as g^2 / (sqrt n' + sqrt n), which keeps its digits when n is large. z' and n' stop at the
     * largest float instead of becoming infinite. The arrays do not overlap. */
    void (*ftrl_update)(const tw_ftrl_rule *rule,
        float error,
        const float *x,
        const float *w,
        const float *root,
        const float *zn,
        float *after,
        size_t count);

    /* tw_sigmoid of a margin m and tw_log1pexp(-m), the logistic loss of label 1 (that of label 0 is m more). */
    void (*logistic)(const float *margin, double *probability, double *loss, size_t count);
    void (*logistic_double)(const double *margin, double *probability, double *loss, size_t count);
} tw_kernels;

typedef enum tw_kernel_level { TW_KERNELS_PORTABLE, TW_KERNELS_AVX2, TW_KERNELS_AVX512, TW_KERNELS_N } tw_kernel_level;

/* The fastest table that this processor runs; never NULL. */
const tw_kernels *tw_kernels_best(void);

/* A given table; NULL where the processor or the build does not have it. */
const tw_kernels *tw_kernels_at(tw_kernel_level level);

/* Combines lanes [TW_LANES] in the fixed tree: i + (i + 8), then 4, 2, 1 apart. */
float tw_lanes_sum(const float *lane);

#endif
