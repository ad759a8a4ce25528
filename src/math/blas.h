/* blas.h: the BLAS of the process. It is loaded when somebody first asks for it, because OpenBLAS starts threads and
 * takes milliseconds as it is loaded. Streaming kernels are our own (kernels.h): their bits may not depend on a
 * library. */
#ifndef TW_MATH_BLAS_H
#define TW_MATH_BLAS_H

/* Name, version and chosen core of the library, with one thread; static text. "not found" where it is not installed.
 * Sets OPENBLAS_NUM_THREADS where it is not set: for programs only, before threads start. */
const char *tw_blas_description(void);

#endif
