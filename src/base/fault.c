#include "base/fault.h"

#include <errno.h>
#include <stdatomic.h>

typedef struct fault {
    atomic_bool is_armed;
    atomic_bool is_lasting;
    atomic_int errnum;
    _Atomic uint64_t nth, calls, fired;
} fault;

static fault faults[TW_FAULT_N_KINDS];

void tw_fault_arm(tw_fault_kind kind, uint64_t nth, int errnum, bool is_lasting)
{
    fault *self = &faults[kind];
    atomic_store(&self->is_armed, false);
    atomic_store(&self->nth, nth);
    atomic_store(&self->errnum, errnum);
    atomic_store(&self->is_lasting, is_lasting);
    atomic_store(&self->calls, 0);
    atomic_store(&self->fired, 0);
    atomic_store(&self->is_armed, true);
}

void tw_fault_disarm(tw_fault_kind kind)
{
    atomic_store(&faults[kind].is_armed, false);
}

uint64_t tw_fault_fired(tw_fault_kind kind)
{
    return atomic_load(&faults[kind].fired);
}

bool tw_fault_hit(tw_fault_kind kind)
{
    fault *self = &faults[kind];
    if (!atomic_load_explicit(&self->is_armed, memory_order_relaxed))
        return false;
    uint64_t call = atomic_fetch_add(&self->calls, 1) + 1;
    uint64_t nth = atomic_load(&self->nth);
    if (call != nth && !(call > nth && atomic_load(&self->is_lasting)))
        return false;
    atomic_fetch_add(&self->fired, 1);
    errno = atomic_load(&self->errnum);
    return true;
}
