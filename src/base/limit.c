#include "base/limit.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* The longer ones first: ">" starts ">=". */
static const char *const operators[TW_N_LIMIT_KINDS] = {
    [TW_AT_LEAST] = ">=", [TW_AT_MOST] = "<=", [TW_ABOVE] = ">", [TW_BELOW] = "<"};

bool tw_limit_parse(const char *text, tw_limit *out)
{
    text += strspn(text, " \t");
    for (uint32_t kind = 0; kind < TW_N_LIMIT_KINDS; kind++) {
        size_t size = strlen(operators[kind]);
        if (strncmp(text, operators[kind], size) != 0)
            continue;
        double bound;
        text += size;
        text += strspn(text, " \t");
        if (!tw_text_to_real(text, &bound))
            return false;
        *out = (tw_limit){kind, bound};
        return true;
    }
    return false;
}

bool tw_limit_holds(const tw_limit *self, double figure)
{
    switch ((tw_limit_kind)self->kind) {
    case TW_AT_LEAST:
        return figure >= self->bound;
    case TW_AT_MOST:
        return figure <= self->bound;
    case TW_ABOVE:
        return figure > self->bound;
    case TW_BELOW:
        return figure < self->bound;
    case TW_N_LIMIT_KINDS:
        break;
    }
    return false;
}

void tw_limit_format(const tw_limit *self, char text[TW_LIMIT_TEXT_SIZE])
{
    char number[TW_REAL_TEXT_SIZE];
    tw_text_from_real(self->bound, number);
    (void)snprintf(
        text, TW_LIMIT_TEXT_SIZE, "%s %s", operators[self->kind < TW_N_LIMIT_KINDS ? self->kind : 0], number);
}
