#include "math/kernels.h"

#include "math/kernels_body.h"

/* One set of functions and their table for an instruction set. An attribute cannot stand in parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define TW_KERNEL_TABLE(NAME, NEAREST, TARGET)                                                                         \
    TARGET static float NAME##_dot(const float *a, const float *b, size_t count)                                       \
    {                                                                                                                  \
        return body_dot(a, b, count);                                                                                  \
    }                                                                                                                  \
    TARGET static float NAME##_dot_lanes(float *lane, const float *w, const float *x, size_t count)                    \
    {                                                                                                                  \
        return body_dot_lanes(lane, w, x, count);                                                                      \
    }                                                                                                                  \
    TARGET static void NAME##_ftrl_weights(                                                                            \
        const tw_ftrl_rule *rule, const float *zn, float *w, float *root, size_t count)                                \
    {                                                                                                                  \
        body_ftrl_weights(rule, zn, w, root, count);                                                                   \
    }                                                                                                                  \
    TARGET static void NAME##_ftrl_update(const tw_ftrl_rule *rule, float error, const float *x, const float *w,       \
        const float *root, const float *zn, float *after, size_t count)                                                \
    {                                                                                                                  \
        body_ftrl_update(rule, error, x, w, root, zn, after, count);                                                   \
    }                                                                                                                  \
    TARGET static void NAME##_logistic(const float *margin, double *probability, double *loss, size_t count)           \
    {                                                                                                                  \
        body_logistic(margin, probability, loss, count);                                                               \
    }                                                                                                                  \
    TARGET static void NAME##_logistic_double(const double *margin, double *probability, double *loss, size_t count)   \
    {                                                                                                                  \
        body_logistic_double(margin, probability, loss, count);                                                        \
    }                                                                                                                  \
    static const tw_kernels NAME##_kernels = {#NAME, NAME##_dot, NAME##_dot_lanes, NEAREST##_nearest,                  \
        NAME##_ftrl_weights, NAME##_ftrl_update, NAME##_logistic, NAME##_logistic_double};
/* NOLINTEND(bugprone-macro-parentheses) */

#define TW_TARGET
#define TW_NAME(name) portable_##name
#include "math/nearest_body.h"
#undef TW_NAME
#undef TW_TARGET
TW_KERNEL_TABLE(portable, portable, )

#if defined(__x86_64__)
#if defined(__clang__)
#define TW_TARGET_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))
#else
#define TW_TARGET_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")))
#endif
/* Distances are no faster in registers of 16 lanes: a third slower at width 16, a tenth at 64, equal at 784. */
#define TW_TARGET     __attribute__((target("avx2")))
#define TW_NAME(name) avx2_##name
#include "math/nearest_body.h"
#undef TW_NAME
#undef TW_TARGET
TW_KERNEL_TABLE(avx2, avx2, __attribute__((target("avx2"))))
TW_KERNEL_TABLE(avx512, avx2, TW_TARGET_AVX512)
#endif

const tw_kernels *tw_kernels_at(tw_kernel_level level)
{
    if (level == TW_KERNELS_PORTABLE) {
        return &portable_kernels;
    }
#if defined(__x86_64__)
    if (level == TW_KERNELS_AVX2 && __builtin_cpu_supports("avx2")) {
        return &avx2_kernels;
    }
    if (level == TW_KERNELS_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        return &avx512_kernels;
    }
#endif
    return NULL;
}

const tw_kernels *tw_kernels_best(void)
{
    const tw_kernels *best = &portable_kernels;
    for (int level = TW_KERNELS_PORTABLE; level < TW_KERNELS_N; level++) {
        const tw_kernels *table = tw_kernels_at((tw_kernel_level)level);
        best = table ? table : best;
    }
    return best;
}

float tw_lanes_sum(const float *lane)
{
    return tw_tree_sum(lane);
}
