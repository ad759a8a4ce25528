/* json_keys.h: the field names met in JSON objects, each resolved once to its place in the feature plan.
 *
 * A key is known by its parent key and its own text, so names in nested objects need no joining per record; the dotted
 * name ("user.id") is built when a key first carries a value. Records mostly repeat the order of the record before:
 * every key remembers which key followed it, and the guess is compared with the bytes of the record before anything is
 * scanned or hashed. Keys that the plan ignores are remembered too (duplicates are refused among them as well), up to a
 * limit after which the table starts anew. Thread rule: one thread per object. */
#ifndef TW_FORMATS_JSON_KEYS_H
#define TW_FORMATS_JSON_KEYS_H

#include <stddef.h>
#include <string.h>

#include "thalweg/format.h"

enum {
    TW_JSON_ROOT = 0,            /* key 0: the record itself */
    TW_JSON_NAME_MAX = 4096,     /* bytes of a dotted name */
    TW_JSON_UNRESOLVED = -2,     /* handle of a key that has not carried a value yet */
    TW_JSON_KEYS_MAX = 1 << 14,  /* a table above this starts anew at the next record ... */
    TW_JSON_KEYS_TEXT = 1 << 20, /* ... or above this many bytes of names */
    TW_JSON_PAD = 16,            /* readable bytes behind the last name */
};

/* Text of the key that stands for the elements of an array: no record can hold it, it is not UTF-8. */
#define TW_JSON_ELEMENT "\xff"

typedef struct tw_json_key {
    uint64_t seen;     /* serial of the object in which it was last met */
    uint32_t parent;   /* key of the object that holds it */
    uint32_t next;     /* key that followed it last time; 0: none */
    uint32_t text_at;  /* its text, then a quote, in `text` */
    uint32_t size;     /* of the text */
    uint32_t raw_size; /* size with the quote if a record shows the key as its plain text, otherwise 0 */
    int32_t handle;    /* of the plan; -1: ignored */
} tw_json_key;

typedef struct tw_json_keys {
    tw_plan *plan; /* borrowed */
    tw_json_key *key;
    size_t n_keys, capacity_keys;
    char *text;
    size_t n_text, capacity_text;
    uint32_t *slot; /* [n_slots] open addressing over (parent, text); 0: empty */
    size_t n_slots;
    uint32_t last; /* the key met last in this record */
} tw_json_keys;

/* NO_MEMORY. `plan` is borrowed until fini; fini is fine after a failed or missing init of zeroed memory. */
TW_MUST_USE tw_status tw_json_keys_init(tw_json_keys *self, tw_plan *plan, tw_error *error);
void tw_json_keys_fini(tw_json_keys *self);

/* Start of a record: the next guess is the first key of the record before. Empties a table above its limits. */
void tw_json_keys_begin(tw_json_keys *self);

/* The key in `parent` whose text and closing quote stand at `at`, if it is the one that came here last time; 0: it is
 * not (or there is no guess). The caller sets `last` when it takes the guess. Bytes up to `limit` may be read, the
 * record ends at `end`. */
uint32_t tw_json_keys_guess(
    const tw_json_keys *self, uint32_t parent, const char *at, const char *end, const char *limit);

/* The key with this text, added when new (NO_MEMORY). It becomes the guess for this place in the next record. */
TW_MUST_USE tw_status tw_json_keys_find(
    tw_json_keys *self, uint32_t parent, const char *text, size_t size, uint32_t *key, tw_error *error);

/* Handle of the key in the plan, -1 if it is ignored; errors of tw_plan_resolve; INVALID for a name that is too long.
 */
TW_MUST_USE tw_status tw_json_keys_handle(tw_json_keys *self, uint32_t key, int *handle, tw_error *error);

/* The dotted name, cut to fit, always terminated; for messages. */
void tw_json_keys_name(const tw_json_keys *self, uint32_t key, char *name, size_t capacity);

#endif
