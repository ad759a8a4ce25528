#include "math/blas.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

const char *tw_blas_description(void)
{
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 0);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library == NULL ? NULL : dlsym(library, "openblas_get_config");
    if (symbol == NULL)
        return "not found";
    /* ISO C knows no conversion from an object pointer to a function pointer; POSIX gives both one representation. */
    char *(*get_config)(void);
    memcpy(&get_config, &symbol, sizeof get_config);
    return get_config();
}
