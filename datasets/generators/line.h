/* line.h: a line being written. Locale-free; what does not fit is counted but not written, so that `size` above
 * `capacity` tells the caller how much room was wanted. */
#ifndef TW_GENERATORS_LINE_H
#define TW_GENERATORS_LINE_H

#include <stddef.h>
#include <stdint.h>

typedef struct tw_line {
    char *bytes;
    size_t capacity, size;
} tw_line;

void tw_line_add(tw_line *self, const char *words);

/* Decimal digits of `value`. */
void tw_line_add_int(tw_line *self, int64_t value);

/* `scaled` / 10^decimals with exactly that many decimals (0 to 9). */
void tw_line_add_fixed(tw_line *self, int64_t scaled, unsigned decimals);

#endif
