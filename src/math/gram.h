/* gram.h: rows of a sparse matrix as dense ones, and their Gram matrix. Pure; any thread. */
#ifndef TW_MATH_GRAM_H
#define TW_MATH_GRAM_H

#include <stddef.h>

#include "math/blas.h"
#include "thalweg/solver.h"

typedef struct tw_gram_problem {
    const tw_matrix *matrix;
    const double *factor; /* [n_events] f_i >= 0; NULL: the events' weights */
    const double *mean;   /* [n_columns] taken off every row; NULL: nothing */
    bool has_one;         /* a last column of ones; not together with `mean` */
} tw_gram_problem;

/* Row i: sqrt(f_i) (x_i - mean), and sqrt(f_i) if has_one; element j at row[j * stride]. Returns sqrt(f_i). */
double tw_gram_row(const tw_gram_problem *problem, uint64_t i, double *row, size_t stride);

/* gram [n x n], lower triangle, column-major = sum over the rows above of row row^T; n is n_columns, and 1 with
 * has_one. It is summed in dense blocks by BLAS, or entry by entry where that is cheaper. Entry by entry the squares of
 * the means are subtracted in the end, which loses digits where a mean is large beside its column's spread: *lost gets
 * the largest ratio of a diagonal element before and after, 1 if nothing was subtracted. lost NULL: with means always
 * in dense blocks. NO_MEMORY. */
TW_MUST_USE tw_status tw_gram(
    const tw_gram_problem *problem, const tw_blas *blas, double *gram, double *lost, tw_error *error);

#endif
