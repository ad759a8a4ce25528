/* try.h: passes an error on to the caller. For functions that own nothing at that point. */
#ifndef TW_BASE_TRY_H
#define TW_BASE_TRY_H

#include "thalweg/status.h"

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        tw_status tried = (call);                                                                                      \
        if (tried < 0)                                                                                                 \
            return tried;                                                                                              \
    } while (0)

#endif
