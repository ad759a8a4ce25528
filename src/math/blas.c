#include "math/blas.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/library.h"
#include "base/try.h"

#define OPENBLAS "libopenblas.so.0"
#define LAPACKE  "liblapacke.so.3"

static tw_status load(const char *name, const char *package, void **handle, bool *was_there, tw_error *error)
{
    tw_status status = tw_library_open(name, handle, was_there, NULL);
    if (status == TW_STATUS_OK)
        return status;
    return tw_error_set(error, status, "library %s cannot be loaded; install the package %s", name, package);
}

typedef struct blas_function {
    const char *symbol;
    size_t offset; /* of its member in tw_blas */
} blas_function;

#define TW_BLAS_FUNCTION(name) {"cblas_" #name, offsetof(tw_blas, name)},
static const blas_function cblas_functions[] = {TW_BLAS_CBLAS(TW_BLAS_FUNCTION){0}};
#undef TW_BLAS_FUNCTION
#define TW_BLAS_FUNCTION(name) {"LAPACKE_" #name, offsetof(tw_blas, name)},
static const blas_function lapacke_functions[] = {TW_BLAS_LAPACKE(TW_BLAS_FUNCTION){0}};
#undef TW_BLAS_FUNCTION

static tw_status find_all(
    void *handle, const char *library, const blas_function *functions, tw_blas *out, tw_error *error)
{
    for (; functions->symbol != NULL; functions++)
        TRY(tw_library_function(handle, library, functions->symbol, (unsigned char *)out + functions->offset, error));
    return TW_STATUS_OK;
}

tw_status tw_blas_open(tw_blas *out, tw_error *error)
{
    void *openblas = NULL, *lapacke = NULL;
    bool was_there = false;
    TRY(load(OPENBLAS, "libopenblas0", &openblas, &was_there, error));
    if (!was_there && getenv("OPENBLAS_NUM_THREADS") == NULL) {
        void (*set_threads)(int);
        TRY(tw_library_function(openblas, OPENBLAS, "openblas_set_num_threads", &set_threads, error));
        set_threads(1);
    }
    TRY(load(LAPACKE, "liblapacke", &lapacke, NULL, error));
    TRY(find_all(openblas, OPENBLAS, cblas_functions, out, error));
    return find_all(lapacke, LAPACKE, lapacke_functions, out, error);
}

tw_status tw_blas_error(lapack_int result, const char *call, tw_error *error)
{
    if (result == LAPACK_WORK_MEMORY_ERROR || result == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return tw_error_set(error, TW_STATUS_NO_MEMORY, "out of memory: LAPACKE, %s", call);
    return tw_error_set(error, TW_STATUS_NUMERIC, "%s failed: LAPACKE gave %d", call, (int)result);
}

void tw_blas_prefer_one_thread(void)
{
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 0);
}

const char *tw_blas_description(void)
{
    void *openblas = NULL;
    char *(*get_config)(void);
    tw_blas_prefer_one_thread();
    if (tw_library_open(OPENBLAS, &openblas, NULL, NULL) != TW_STATUS_OK ||
        tw_library_function(openblas, OPENBLAS, "openblas_get_config", &get_config, NULL) != TW_STATUS_OK)
        return "not found";
    return get_config();
}
