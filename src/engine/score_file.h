/* score_file.h: the score form of a model: what thalweg_score.c needs to give the scores of `predict`, bit for bit.
 *
 * All numbers little-endian, sections in this order, each padded with zeros to a multiple of 8 bytes:
 *   header   128 bytes: "THALWSCO", u32 format 1, u32 0, u64 bytes of the file, u64 XXH3-64 of all bytes from 32 on,
 *            u64 hash seed, u64 version, u64 events, f64 bias, f64 limit (0: none), u32 rule and u32 link
 *            (tw_score_rule, tw_link_kind), u32 bits (0: exact table), u32 bytes a weight, u64 weights, u32 fields,
 *            u32 crosses, u32 missing texts, u32 named fields, u32 bytes of text, u32 dense width, u32 centres,
 *            u32 flags (1 automatic plan, 2 dense rows)
 *   fields   64 bytes each: u32 offset and u32 size of the name in the text, u8 role (tw_plan_role; crosses as unused),
 *            u8 flags (1 log1p, 2 scaled, 4 missing), u8 separator, u8 0, u32 column of the dense row (all ones: none),
 *            f64 missing value, u64 key, u64 seed of texts, f64 n, f64 sum, f64 root of tw_transform_ops.constants
 *   crosses  24 bytes each: u32 count, u32 field [4], u32 0
 *   missing  8 bytes each: u32 offset and u32 size in the text
 *   order    u32 each: the named fields, ascending by name
 *   text     names and texts, each with a terminating 0
 *   keys     u64 each, ascending
 *   weights  f32 or f64 each: 8 bytes only where a weight is no float
 *   centres  f32 [centres][dense width]
 *
 * One thread at a time; nothing is learned meanwhile. */
#ifndef TW_ENGINE_SCORE_FILE_H
#define TW_ENGINE_SCORE_FILE_H

#include "base/text.h"
#include "engine/model.h"

typedef struct tw_score_file_counts {
    uint64_t rows, weights, bytes;
    uint32_t centres, weight_size;
} tw_score_file_counts;

/* Makes the file in `out`, which is empty. Weights that are +0 are left out. UNSUPPORTED: the learner's scores are no
 * such sum, or depend on keys that were never learned. Engine's thread only; memory: 16 bytes a row and the file. */
TW_MUST_USE tw_status tw_score_file_make(
    tw_model *model, uint64_t version, tw_text *out, tw_score_file_counts *counts, tw_error *error);

#endif
