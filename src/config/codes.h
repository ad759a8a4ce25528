/* codes.h: the stable codes of errors, for `thalweg help CODE`. A code never changes its meaning.
 *   E1xx configuration, E2xx checkpoint and model, E3xx shards and network, E4xx serving, D2xx input records */
#ifndef TW_CONFIG_CODES_H
#define TW_CONFIG_CODES_H

#include <stddef.h>

typedef struct tw_code {
    const char *code;     /* "E102" */
    const char *title;    /* a few words, English */
    const char *text;     /* one paragraph, English */
    const char *title_zh; /* the same in Chinese */
    const char *text_zh;
} tw_code;

/* Ascending by code; *count gets the number. Static. */
const tw_code *tw_codes(size_t *count);

/* NULL when there is no such code; lower case is accepted. */
const tw_code *tw_code_find(const char *code);

#endif
