#include "ps/wire/refusals.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

uint64_t tw_refusals_hostile(const tw_refusals *self)
{
    static const tw_nack_reason hostile[] = {
        TW_NACK_BAD_FRAME, TW_NACK_SCHEMA, TW_NACK_UNKNOWN_TYPE, TW_NACK_WRONG_SLOT, TW_NACK_DENIED, TW_NACK_PIPELINE};
    uint64_t n = self->n_formless;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++)
        n += self->nack[hostile[i]];
    return n;
}

typedef struct text {
    char *out;
    size_t size;
} text;

__attribute__((format(printf, 2, 3))) static void add(text *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(self->out + self->size, TW_REFUSALS_TEXT_SIZE - self->size, format, arguments);
    va_end(arguments);
    if (n > 0 && self->size + (size_t)n < TW_REFUSALS_TEXT_SIZE)
        self->size += (size_t)n;
}

void tw_refusals_text(const tw_refusals *self, const tw_guard_figures *guard, char out[TW_REFUSALS_TEXT_SIZE])
{
    text line = {.out = out};
    out[0] = '\0';
    if (guard != NULL)
        add(&line,
            "connections: %" PRIu64 " came, %" PRIu64 " passed, %" PRIu64 " strangers' keys, %" PRIu64
            " broken handshakes, %" PRIu64 " open, door shut %" PRIu64 " times; ",
            guard->n_came, guard->n_passed, guard->n_stranger, guard->n_broke, guard->n_came - guard->n_left,
            guard->n_shut);
    add(&line, "frames: %" PRIu64 " repeated, %" PRIu64 " formless", self->n_repeated, self->n_formless);
    for (int i = 1; i < TW_NACK_N_REASONS; i++) {
        if (self->nack[i] > 0)
            add(&line, ", %" PRIu64 " %s", self->nack[i], tw_nack_name((tw_nack_reason)i));
    }
}
