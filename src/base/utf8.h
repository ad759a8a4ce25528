/* utf8.h: well-formed UTF-8, as table 3-7 of the Unicode standard has it: no surrogates, nothing overlong. */
#ifndef TW_BASE_UTF8_H
#define TW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at `text`, of which at most `available` (1 or more) may be read; 0: it is malformed. */
static inline size_t tw_utf8_size(const char *text, size_t available)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned char c = at[0], low = 0x80, high = 0xbf;
    if (c < 0x80)
        return 1;
    size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || available < size)
        return 0;
    if (c == 0xe0)
        low = 0xa0;
    else if (c == 0xed)
        high = 0x9f;
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return size;
}

/* True when `size` bytes are well-formed characters. */
static inline bool tw_utf8_is_valid(const char *text, size_t size)
{
    for (size_t i = 0, n; i < size; i += n) {
        n = tw_utf8_size(text + i, size - i);
        if (n == 0)
            return false;
    }
    return true;
}

#endif
