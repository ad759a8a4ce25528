#define _GNU_SOURCE
#include "base/library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "base/fault.h"

tw_status tw_library_open(const char *name, void **handle, bool *was_there, tw_error *error)
{
    bool is_faulty = tw_fault_hit(TW_FAULT_FILE);
    *handle = is_faulty ? NULL : dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (was_there != NULL)
        *was_there = *handle != NULL;
    if (*handle == NULL && !is_faulty)
        *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (*handle != NULL)
        return TW_STATUS_OK;
    const char *reason = is_faulty ? NULL : dlerror();
    return tw_error_set(
        error, TW_STATUS_NOT_FOUND, "library %s cannot be loaded: %s", name, reason == NULL ? "not found" : reason);
}

tw_status tw_library_function(void *handle, const char *name, const char *symbol, void *function, tw_error *error)
{
    void *address = dlsym(handle, symbol);
    if (address == NULL)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "library %s has no function %s", name, symbol);
    /* ISO C knows no conversion from an object pointer to a function pointer; POSIX gives both one representation. */
    memcpy(function, &address, sizeof address);
    return TW_STATUS_OK;
}
