#include "math/blas.h"

/* Declared here because the header that declares them pulls in complex.h. */
extern void openblas_set_num_threads(int n_threads);
extern char *openblas_get_config(void);

void tw_blas_set_threads(int n_threads)
{
    openblas_set_num_threads(n_threads);
}

const char *tw_blas_description(void)
{
    return openblas_get_config();
}
