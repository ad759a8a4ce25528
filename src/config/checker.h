/* checker.h: what the checks of a bound pipeline share, for checks.c and checks_evaluate.c only. */
#ifndef TW_CONFIG_CHECKER_H
#define TW_CONFIG_CHECKER_H

#include <string.h>

#include "config/checks.h"

typedef struct checker {
    const tw_tree *tree;
    tw_bound *root;
    tw_problems *problems;
    tw_error *error;
} checker;

/* A problem at the value of `option`, or at the block when it was not given. */
#define COMPLAIN(self, bound, option, code, ...)                                                                       \
    tw_problems_add((self)->problems, (self)->tree, tw_bound_place(bound, option), code, __VA_ARGS__)

static inline const char *text_of(const tw_bound *bound, const char *option)
{
    return tw_option_has(bound->values, option) ? tw_option_text(bound->values, option) : NULL;
}

static inline bool is_word(const tw_bound *bound, const char *option, const char *word)
{
    const char *text = text_of(bound, option);
    return text != NULL && strcmp(text, word) == 0;
}

static inline bool is_given(const tw_bound *bound, const char *option)
{
    return tw_option_is_given(bound->values, option);
}

/* Windows, slices, groups and label delay. */
void check_evaluate(checker *self);

#endif
