/* fault.h: makes the n-th allocation or system call fail, so that tests reach every error path. Process-wide; costs one
 * relaxed load while disarmed. Any thread. */
#ifndef TW_BASE_FAULT_H
#define TW_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum tw_fault_kind { TW_FAULT_ALLOC, TW_FAULT_FILE, TW_FAULT_SOCKET, TW_FAULT_N_KINDS } tw_fault_kind;

/* The `nth` call from now on (1 = the next) fails with errno `errnum`; `is_lasting`: so do all after it. */
void tw_fault_arm(tw_fault_kind kind, uint64_t nth, int errnum, bool is_lasting);
void tw_fault_disarm(tw_fault_kind kind);

/* How many calls failed since it was armed. */
uint64_t tw_fault_fired(tw_fault_kind kind);

/* For the wrappers in this folder: true when this call must fail; sets errno. */
bool tw_fault_hit(tw_fault_kind kind);

#endif
