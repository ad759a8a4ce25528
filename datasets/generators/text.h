/* text.h: a line being written. Locale-free; what does not fit is counted but not written, so that `size` above
 * `capacity` tells the caller how much room was wanted. */
#ifndef TW_GENERATORS_TEXT_H
#define TW_GENERATORS_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct tw_text {
    char *bytes;
    size_t capacity, size;
} tw_text;

void tw_text_add(tw_text *self, const char *words);

/* Decimal digits of `value`. */
void tw_text_add_int(tw_text *self, int64_t value);

/* `scaled` / 10^decimals with exactly that many decimals (0 to 9). */
void tw_text_add_fixed(tw_text *self, int64_t scaled, unsigned decimals);

#endif
