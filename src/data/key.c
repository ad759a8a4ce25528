#include "data/key.h"

bool tw_key_parse_index(const char *text, size_t size, uint64_t *index)
{
    if (size == 0 || size > 20 || (text[0] == '0' && size > 1))
        return false;
    uint64_t value = 0;
    size_t n_safe = size < 20 ? size : 19; /* digits that cannot overflow */
    for (size_t i = 0; i < n_safe; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    if (size == 20) {
        unsigned digit = (unsigned)(unsigned char)text[19] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *index = value;
    return true;
}
