/* rows_text.h: the rows of a model as text on standard output.
 *
 * Keys: a key of an integer feature is shown as its index, every other one as 16 hex digits. A key counts as an
 * integer's when its inverse mix is below 2^40, which a hashed key is by chance once in 16 million. Hashed tables keep
 * no keys: the row's index stands in the top bits. Floats are in the shortest form that reads back equal. */
#ifndef TW_CMD_ROWS_TEXT_H
#define TW_CMD_ROWS_TEXT_H

#include "cmd/assembly.h"

/* {"learner", "options", "events", "version", "blocks", "rows"}; rows by key: indices ascending, then hex. */
TW_MUST_USE tw_status rows_print_json(const assembly *all, const tw_manifest *manifest, tw_error *error);

/* A head and the `top` rows of largest |weight|. */
TW_MUST_USE tw_status rows_print_top(const assembly *all, const tw_manifest *manifest, size_t top, tw_error *error);

#endif
