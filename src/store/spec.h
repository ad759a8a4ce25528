/* spec.h: may two stores hold parts of one model? */
#ifndef TW_STORE_SPEC_H
#define TW_STORE_SPEC_H

#include "thalweg/params.h"

/* CONFLICT names the first difference between what is there and what is wanted; the cap on memory may differ. */
TW_MUST_USE tw_status tw_spec_compare(const tw_table_spec *there, const tw_table_spec *wanted, tw_error *error);

#endif
