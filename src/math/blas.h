/* blas.h: what the process must know of its BLAS. Batch solvers use it; streaming kernels are our own (kernels.h), because
 * their bits may not depend on the library. */
#ifndef TW_MATH_BLAS_H
#define TW_MATH_BLAS_H

/* Process-wide: for programs only, before threads start. */
void tw_blas_set_threads(int n_threads);

/* Name, version and chosen core of the library; static text. */
const char *tw_blas_description(void);

#endif
