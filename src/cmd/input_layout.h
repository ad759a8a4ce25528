/* input_layout.h: whether the shards that are joined have learned the input as it is read now: by one worker as whole
 * files, or by several in stripes of one size. Each is another set of splits, and neither knows what the other has
 * read. Shards have no manifest; their marks tell. */
#ifndef TW_CMD_INPUT_LAYOUT_H
#define TW_CMD_INPUT_LAYOUT_H

#include "cmd/assembly.h"

/* For one worker, or one of several, once the model is attached. CONFLICT with E203: events would be learned again or
 * passed over. Inputs that are not all regular files are not looked at; stripes of another size may be missed
 * while few of them are learned. */
TW_MUST_USE tw_status input_layout_check(const assembly *all, bool is_one, tw_error *error);

#endif
