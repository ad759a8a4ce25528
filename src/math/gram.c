#include "math/gram.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* Rows of a dense block. A product of an entry with an entry takes about as long as 16 of a dense product. */
enum { GRAM_ROWS = 256, GRAM_SPARSE_COST = 16 };

static double factor_of(const tw_gram_problem *problem, uint64_t i)
{
    return problem->factor == NULL ? (double)problem->matrix->weight[i] : problem->factor[i];
}

static size_t width_of(const tw_gram_problem *problem)
{
    return (size_t)problem->matrix->n_columns + (problem->has_one ? 1 : 0);
}

double tw_gram_row(const tw_gram_problem *problem, uint64_t i, double *row, size_t stride)
{
    const tw_matrix *matrix = problem->matrix;
    double root = sqrt(factor_of(problem, i));
    for (size_t j = 0; j < matrix->n_columns; j++)
        row[j * stride] = problem->mean == NULL ? 0.0 : -root * problem->mean[j];
    for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
        row[matrix->column[e] * stride] += root * (double)matrix->value[e];
    if (problem->has_one)
        row[matrix->n_columns * stride] = root;
    return root;
}

static tw_status gram_dense(const tw_gram_problem *problem, const tw_blas *blas, double *gram, tw_error *error)
{
    size_t n = width_of(problem), size = GRAM_ROWS * n * sizeof(double);
    double *block = tw_alloc(size);
    if (block == NULL)
        return tw_no_memory(error, size);
    for (uint64_t from = 0; from < problem->matrix->n_events; from += GRAM_ROWS) {
        uint64_t left = problem->matrix->n_events - from, count = left < GRAM_ROWS ? left : GRAM_ROWS;
        for (uint64_t i = 0; i < count; i++)
            (void)tw_gram_row(problem, from + i, block + i * n, 1);
        /* Rows [count x n] row-major are the columns of a column-major [n x count]. */
        blas->dsyrk(CblasColMajor, CblasLower, CblasNoTrans, (int)n, (int)count, 1.0, block, (int)n, 1.0, gram, (int)n);
    }
    tw_free(block);
    return TW_STATUS_OK;
}

static void add_products(const tw_matrix *matrix, uint64_t i, double factor, double *gram, size_t n)
{
    for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++) {
        size_t a = matrix->column[e];
        double value = factor * (double)matrix->value[e];
        gram[a * n + a] += value * (double)matrix->value[e];
        for (uint64_t d = matrix->row_start[i]; d < e; d++) {
            size_t b = matrix->column[d];
            double product = value * (double)matrix->value[d];
            gram[(a < b ? a : b) * n + (a < b ? b : a)] += a == b ? 2.0 * product : product;
        }
    }
}

/* The last row of the lower triangle: sums of the columns, and of ones. */
static void add_ones(const tw_matrix *matrix, uint64_t i, double factor, double *gram, size_t n)
{
    for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
        gram[matrix->column[e] * n + n - 1] += factor * (double)matrix->value[e];
    gram[n * n - 1] += factor;
}

/* sum f (x - m) (x - m)^T = sum f x x^T - (sum f) m m^T if m is the mean under f. */
static double subtract_means(double *gram, const double *mean, double total, size_t n)
{
    double lost = 1.0;
    for (size_t j = 0; j < n; j++) {
        double before = gram[j * n + j];
        for (size_t i = j; i < n; i++)
            gram[j * n + i] -= total * mean[i] * mean[j];
        double after = gram[j * n + j], ratio = after > 0.0 ? before / after : (double)INFINITY;
        lost = before > 0.0 && ratio > lost ? ratio : lost;
    }
    return lost;
}

static double gram_sparse(const tw_gram_problem *problem, double *gram)
{
    size_t n = width_of(problem);
    double total = 0.0;
    for (uint64_t i = 0; i < problem->matrix->n_events; i++) {
        double factor = factor_of(problem, i);
        add_products(problem->matrix, i, factor, gram, n);
        if (problem->has_one)
            add_ones(problem->matrix, i, factor, gram, n);
        total += factor;
    }
    return problem->mean == NULL ? 1.0 : subtract_means(gram, problem->mean, total, n);
}

tw_status tw_gram(const tw_gram_problem *problem, const tw_blas *blas, double *gram, double *lost, tw_error *error)
{
    const tw_matrix *matrix = problem->matrix;
    size_t n = width_of(problem);
    double pairs = 0.0, ignored;
    memset(gram, 0, n * n * sizeof *gram);
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        double entries = (double)(matrix->row_start[i + 1] - matrix->row_start[i]);
        pairs += entries * entries;
    }
    bool is_dense = GRAM_SPARSE_COST * pairs >= (double)matrix->n_events * (double)n * (double)n;
    if (lost == NULL) {
        lost = &ignored;
        is_dense = is_dense || problem->mean != NULL;
    }
    *lost = 1.0;
    if (n == 0)
        return TW_STATUS_OK;
    if (is_dense)
        return gram_dense(problem, blas, gram, error);
    *lost = gram_sparse(problem, gram);
    return TW_STATUS_OK;
}
