/* One input of a format decoder, TW_FUZZ_OPS: with an automatic plan and with declared columns, in one piece and in
 * two, which must give the same. The two pieces are cut at a place that the input's hash chooses. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "support/decode_fixture.h"

extern const tw_format_ops TW_FUZZ_OPS;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char *run(const char *columns, const char *bytes, size_t size, size_t cut, tw_status *status)
{
    decode_fixture fixture;
    char *text = NULL;
    *status = decode_fixture_open(&fixture, &TW_FUZZ_OPS, NULL, columns, 8);
    if (*status == TW_STATUS_OK)
        text = decode_fixture_run(&fixture, bytes, size, cut, status);
    decode_fixture_close(&fixture);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const columns[] = {NULL, "a:n,b:c,s:s,u.id:c,1:n,l:l", "unused:n"};
    if (size == 0)
        return 0;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        tw_status whole_status, pieces_status;
        size_t cut = (size_t)(tw_hash(bytes, size) % size);
        char *whole = run(columns[i], (const char *)bytes, size, 0, &whole_status);
        char *pieces = run(columns[i], (const char *)bytes, size, cut, &pieces_status);
        if (whole_status != pieces_status || !whole || !pieces || strcmp(whole, pieces) != 0)
            abort();
        free(whole);
        free(pieces);
    }
    return 0;
}
