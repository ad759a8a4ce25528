/* spec.h: may two stores hold parts of one model? */
#ifndef TW_STORE_SPEC_H
#define TW_STORE_SPEC_H

#include "store/wire.h"
#include "thalweg/params.h"

/* CONFLICT names the first difference between what is there and what is wanted; the cap on memory may differ. */
TW_MUST_USE tw_status tw_spec_compare(const tw_table_spec *there, const tw_table_spec *wanted, tw_error *error);

/* The same for admission, expiry and eviction: what a worker and its shards must agree on. */
TW_MUST_USE tw_status tw_keep_compare(const tw_table_spec *there, const tw_table_spec *wanted, tw_error *error);

/* tw_keep as bytes: expiry u64, bytes of counts u64, probability f64, count u32, eviction u32. */
enum { TW_KEEP_SIZE = 32, TW_KEEP_BYTES = 8 + TW_KEEP_SIZE /* with the clock */ };
void tw_keep_encode(const tw_keep *self, tw_wire_out *out);
void tw_keep_decode(tw_keep *self, tw_wire_in *in);

#endif
