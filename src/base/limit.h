/* limit.h: a limit that a figure must keep, as users write it: ">= 0.70", "<= 0.45", "> 0", "< 1e-3". Pure. */
#ifndef TW_BASE_LIMIT_H
#define TW_BASE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum tw_limit_kind { TW_AT_LEAST, TW_AT_MOST, TW_ABOVE, TW_BELOW, TW_N_LIMIT_KINDS } tw_limit_kind;

typedef struct tw_limit {
    uint32_t kind; /* tw_limit_kind */
    double bound;
} tw_limit;

enum { TW_LIMIT_TEXT_SIZE = 40 };

/* The operator, any blanks, a finite decimal number. False for anything else; `out` is then unchanged. */
bool tw_limit_parse(const char *text, tw_limit *out);

/* False for a figure that is not a number: what is not known keeps no limit. */
bool tw_limit_holds(const tw_limit *self, double figure);

/* As one writes it: ">= 0.7". */
void tw_limit_format(const tw_limit *self, char text[TW_LIMIT_TEXT_SIZE]);

#endif
