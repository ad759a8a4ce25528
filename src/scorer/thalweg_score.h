/* thalweg_score.h: scores events by a file that `thalweg model export --form score` wrote, with the same bits as
 * `thalweg predict`. thalweg_score.c and this header are all that is needed: C99, no other library, no allocation, no
 * global state, no locale. docs/en/export.md describes the file byte by byte.
 *
 *     tws_model model;
 *     tws_event event;
 *     tws_entry entry[256];
 *     float score[2];
 *     double prediction;
 *     int status = tws_open(&model, bytes, size);              all lengths and the checksum are verified here
 *     tws_begin(&event, &model, entry, 256, NULL);             once an event
 *     tws_text(&event, "device", 6, "phone", 5);               in the order of the record
 *     tws_number(&event, "price", 5, 12.5);
 *     status = tws_score(&event, score, &prediction);
 *
 * Thread rule: a tws_model is read only once it is open; an event belongs to one thread.
 * Errors: every function returns TWS_OK or a negative status. The first error of an event stays: later calls return it
 * too, so looking at the status of tws_score is enough. */
#ifndef THALWEG_SCORE_H
#define THALWEG_SCORE_H

#include <stddef.h>
#include <stdint.h>

typedef enum tws_status {
    TWS_OK = 0,
    TWS_DAMAGED = -1, /* the bytes fail a check */
    TWS_VERSION = -2, /* a later version of the format */
    TWS_ROOM = -3,    /* more entries than the caller's array holds, or a field name longer than TWS_NAME_MAX */
    TWS_NUMBER = -4,  /* a number was expected, or it is not finite, or too large for 32 bits */
    TWS_TWICE = -5,   /* a declared field occurs twice in one event */
    TWS_COLUMN = -6   /* a feature without a column in the dense rows of the model */
} tws_status;

enum { TWS_FORMAT = 1, TWS_NAME_MAX = 1023, TWS_MAX_COLUMNS = 4096, TWS_MAX_CROSS_FIELDS = 4 };

typedef enum tws_link { TWS_LINK_IDENTITY = 0, TWS_LINK_LOGISTIC = 1, TWS_LINK_EXP = 2 } tws_link;
typedef enum tws_rule { TWS_RULE_LANES = 1, TWS_RULE_ORDERED = 2, TWS_RULE_NEAREST = 3 } tws_rule;

/* Borrows the bytes. Members may be read. */
typedef struct tws_model {
    const unsigned char *column, *cross, *missing, *order, *text, *key, *weight, *centre;
    uint64_t hash_seed, version, events, n_weights;
    double bias, limit;
    uint32_t rule, link, bits, weight_size, n_columns, n_crosses, n_missing, n_order, text_size, width, n_centres;
    int is_automatic, is_dense;
} tws_model;

typedef struct tws_entry {
    uint64_t key;
    float value;
    uint32_t column; /* TWS_NO_COLUMN: none that was declared */
} tws_entry;

#define TWS_NO_COLUMN 0xffffffffu

typedef struct tws_event {
    const tws_model *model;
    tws_entry *entry;
    float *dense;
    uint32_t n_entries, capacity;
    int status, is_finished;
    unsigned char seen[TWS_MAX_COLUMNS / 8];
} tws_event;

/* Verifies the file in `bytes` [size], which must stay as long as the model is used. DAMAGED or VERSION. */
int tws_open(tws_model *self, const void *bytes, size_t size);

/* Starts an event. entry [capacity]: the caller's, for the features of one event and their crosses. dense: [model
 * width] floats of the caller's where model->is_dense, else NULL. */
void tws_begin(tws_event *self, const tws_model *model, tws_entry *entry, uint32_t capacity, float *dense);

/* One value of the field `name`; label, weight and time fields, and fields that the model does not use, are passed
 * over. The empty text and the texts that the model counts as missing are no value.
 *   text     a cell of a table: parsed as a number where the field is numeric, or where the model decides by the value
 *   string   the same, but never a number where the model decides by the value (a JSON string)
 *   number   for numeric fields and those where the model decides by the value (a JSON number)
 *   element  one element of a list of texts
 *   feature  a named feature with its number: "12:0.5" of libsvm has the empty name space and the name "12" */
int tws_text(tws_event *self, const char *name, size_t name_size, const char *text, size_t size);
int tws_string(tws_event *self, const char *name, size_t name_size, const char *text, size_t size);
int tws_number(tws_event *self, const char *name, size_t name_size, double value);
int tws_element(tws_event *self, const char *name, size_t name_size, const char *text, size_t size);
int tws_feature(
    tws_event *self, const char *space, size_t space_size, const char *name, size_t name_size, double value);

/* An entry whose key the caller has made before. */
int tws_key(tws_event *self, uint64_t key, float value);

/* Ends the event: values for missing fields, constant, crosses, scaling. score: [2], as `predict` has it (nearest
 * centre: squared distance and index; else score[1] is 0). prediction (NULL allowed): what a user sees of score[0],
 * such as the probability. */
int tws_score(tws_event *self, float *score, double *prediction);

/* English words for a status; never NULL. */
const char *tws_message(int status);

/* XXH3-64, the hash that keys are made of. */
uint64_t tws_hash(const void *bytes, size_t size, uint64_t seed);

/* A decimal number as `predict` reads it, correctly rounded. 1: finite; 0: not a number; -1: not finite. */
int tws_parse(const char *text, size_t size, double *value);

#endif
