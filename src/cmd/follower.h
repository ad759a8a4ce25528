/* follower.h: the saved version that is to answer, loaded with the pipeline that belongs to it, and the look for
 * another one: the version that an operator went back to, else the newest that is published. One thread at a time. */
#ifndef TW_CMD_FOLLOWER_H
#define TW_CMD_FOLLOWER_H

#include "cmd/assembly.h"

typedef struct follower follower;

/* directory: borrowed. */
TW_MUST_USE tw_status follower_create(const char *directory, follower **out, tw_error *error);
void follower_destroy(follower **self); /* the model too: nobody may use it any more */

/* Loads `version` and stays with it. INVALID: a gate refused it. */
TW_MUST_USE tw_status follower_load(follower *self, uint64_t version, tw_error *error);

/* Loads what is to be served now, if that has changed: OK with *has_changed. On an error what was loaded stays; until
 * something changes in the directory, damage is told once. NOT_FOUND: nothing is published. */
TW_MUST_USE tw_status follower_look(follower *self, bool *has_changed, tw_error *error);

/* Of the version loaded last; NULL, 0: none yet. A model that was loaded before stays until follower_forget. */
tw_model *follower_model(follower *self);
uint64_t follower_version(const follower *self);
bool follower_is_pinned(const follower *self);

/* Nobody uses the models loaded before the last one any more. */
void follower_forget(follower *self);

#endif
