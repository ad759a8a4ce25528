/* problems.h: everything that is wrong with a pipeline, collected so that a user sees all of it at once.
 *
 * Functions of this folder report what a user did wrong as problems; their tw_error is for what the user cannot mend in
 * the file (NO_MEMORY). Thread rule: one thread per object. */
#ifndef TW_CONFIG_PROBLEMS_H
#define TW_CONFIG_PROBLEMS_H

#include "base/text.h"
#include "thalweg/status.h"

struct tw_tree;

/* Where a key or value was written. `origin` is an index into the tree's origins; 0 is "default". */
typedef struct tw_place {
    uint32_t origin;
    uint32_t line, column; /* 1-based, column in characters; 0: the origin has no lines (a flag) */
    uint32_t span;         /* characters to underline, >= 1 */
} tw_place;

enum { TW_PROBLEM_LABEL_SIZE = 256, TW_PROBLEM_HINT_SIZE = 512, TW_PROBLEMS_LIMIT = 100 };

typedef struct tw_problem {
    tw_error error; /* status CONFIG, code, file (or flag), line, column, message "model.params.alhpa: unknown key" */
    tw_place place;
    char label[TW_PROBLEM_LABEL_SIZE]; /* stands behind the caret; "" none */
    char hint[TW_PROBLEM_HINT_SIZE];   /* on a line of its own; "" none */
} tw_problem;

/* Zeroed is empty. Problems beyond TW_PROBLEMS_LIMIT are only counted. */
typedef struct tw_problems {
    tw_problem *item;
    size_t count, capacity;
    size_t n_more; /* beyond the limit */
    bool is_out_of_memory;
    tw_problem overflow; /* takes the text of problems that cannot be kept */
} tw_problems;

/* Adds a problem; never NULL, so that callers can set label and hint. The place is copied into error.file, line and
 * column, the message cut to its space. */
tw_problem *tw_problems_add(
    tw_problems *self, const struct tw_tree *tree, tw_place place, const char *code, const char *format, ...)
    TW_PRINTF(5, 6);
void tw_problem_label(tw_problem *self, const char *format, ...) TW_PRINTF(2, 3);
void tw_problem_hint(tw_problem *self, const char *format, ...) TW_PRINTF(2, 3);
void tw_problems_fini(tw_problems *self);

/* OK; CONFIG with the first problem in `error` when there is any; NO_MEMORY when one could not be kept. */
TW_MUST_USE tw_status tw_problems_status(const tw_problems *self, tw_error *error);

/* The text for a terminal: each problem with its line, a caret, label and hint, then "3 errors. Nothing was started."
 * Appends nothing when there is no problem. */
TW_MUST_USE tw_status tw_problems_render(
    const tw_problems *self, const struct tw_tree *tree, tw_text *out, tw_error *error);

#endif
