/* blas.h: BLAS (OpenBLAS) and LAPACK (LAPACKE) for the batch solvers. Both are loaded when somebody first asks for
 * them, because OpenBLAS starts threads and takes milliseconds as it is loaded; nothing links them. Streaming kernels
 * are our own (kernels.h): their bits may not depend on a library, and results of these functions do. */
#ifndef TW_MATH_BLAS_H
#define TW_MATH_BLAS_H

#include <cblas.h>
#include <lapacke.h>

#include "thalweg/status.h"

/* The functions of a tw_blas: F(member) for cblas_<member> and for LAPACKE_<member>. */
#define TW_BLAS_CBLAS(F) F(dgemm) F(sgemm) F(dsyrk) F(dgemv) F(dtrsm)
#define TW_BLAS_LAPACKE(F)                                                                                             \
    F(dpotrf) F(dpotrs) F(dpocon) F(dlansy) F(dgeqrf) F(dormqr) F(dtrtrs) F(dtrcon) F(dgels) F(dgelsd) F(dsysv)

/* The types are those of the libraries' own headers. lapack_int is 32 bits wide: callers check their sizes. LAPACKE
 * functions return 0; i > 0 for what their manual says (dpotrf: the minor i is not positive definite); -i for a wrong
 * argument; LAPACK_WORK_MEMORY_ERROR or LAPACK_TRANSPOSE_MEMORY_ERROR. */
typedef struct tw_blas {
    /* NOLINTBEGIN(bugprone-macro-parentheses): `name` is a member */
#define TW_BLAS_MEMBER(name) __typeof__(&cblas_##name) name;
    TW_BLAS_CBLAS(TW_BLAS_MEMBER)
#undef TW_BLAS_MEMBER
#define TW_BLAS_MEMBER(name) __typeof__(&LAPACKE_##name) name;
    TW_BLAS_LAPACKE(TW_BLAS_MEMBER)
#undef TW_BLAS_MEMBER
    /* NOLINTEND(bugprone-macro-parentheses) */
} tw_blas;

/* Fills the table; cheap when the libraries are loaded already, and nothing is to be released. A library that was not
 * in the process before is told to use one thread, unless OPENBLAS_NUM_THREADS says otherwise. NOT_FOUND naming the
 * library and the package that has it; UNSUPPORTED naming a missing function. */
TW_MUST_USE tw_status tw_blas_open(tw_blas *out, tw_error *error);

/* The NO_MEMORY or NUMERIC error for a LAPACKE result that is not 0; `call` is what was done. */
tw_status tw_blas_error(lapack_int result, const char *call, tw_error *error);

/* Sets OPENBLAS_NUM_THREADS to 1 where it is not set, so that loading OpenBLAS starts no threads: for programs only,
 * before threads start. */
void tw_blas_prefer_one_thread(void);

/* Name, version and chosen core of the library; static text. "not found" where it is not installed. Calls
 * tw_blas_prefer_one_thread. */
const char *tw_blas_description(void);

#endif
