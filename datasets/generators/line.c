#include "generators/line.h"

#include <string.h>

static void line_add_bytes(tw_line *self, const char *bytes, size_t size)
{
    if (self->size + size <= self->capacity) {
        memcpy(self->bytes + self->size, bytes, size);
    }
    self->size += size;
}

void tw_line_add(tw_line *self, const char *words)
{
    line_add_bytes(self, words, strlen(words));
}

void tw_line_add_int(tw_line *self, int64_t value)
{
    tw_line_add_fixed(self, value, 0);
}

void tw_line_add_fixed(tw_line *self, int64_t scaled, unsigned decimals)
{
    char digits[32];
    size_t at = sizeof digits;
    uint64_t rest = scaled < 0 ? (uint64_t)0 - (uint64_t)scaled : (uint64_t)scaled;
    for (unsigned n = 0; n <= decimals || rest > 0; n++) {
        if (n == decimals && n > 0) {
            digits[--at] = '.';
        }
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (scaled < 0) {
        digits[--at] = '-';
    }
    line_add_bytes(self, digits + at, sizeof digits - at);
}
