#include "cmd/refused_report.h"

#include <stdio.h>

void refused_key(int reason, char out[REFUSED_KEY_SIZE])
{
    (void)snprintf(out, REFUSED_KEY_SIZE, "%s", tw_nack_name((tw_nack_reason)reason));
    for (char *at = out; *at != '\0'; at++) {
        if (*at == ' ')
            *at = '_';
    }
}

json_t *refused_json(const uint64_t *nack)
{
    json_t *out = json_object();
    char key[REFUSED_KEY_SIZE];
    for (int i = 1; i < TW_NACK_N_REASONS; i++) {
        refused_key(i, key);
        (void)json_object_set_new(out, key, json_integer((json_int_t)nack[i]));
    }
    return out;
}

uint64_t refused_sum(const uint64_t *nack)
{
    uint64_t n = 0;
    for (int i = 1; i < TW_NACK_N_REASONS; i++)
        n += i != TW_NACK_CONFLICT ? nack[i] : 0;
    return n;
}
