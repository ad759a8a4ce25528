/* One score file for the C scorer: as it is, and signed anew, so that what lies behind the checksum is reached. A model
 * that opens scores events, which may fail but not read or write elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "scorer/thalweg_score.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { HEADER_SIZE = 128, MAX_WIDTH = 1 << 16, N_ENTRIES = 40 };

static void use(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {"a", "b", "c", "d", "user", "1", ""};
    tws_model model;
    tws_event event;
    tws_entry entry[N_ENTRIES];
    float score[2];
    double prediction;
    if (tws_open(&model, bytes, size) != TWS_OK || model.width > MAX_WIDTH)
        return;
    float *dense = model.is_dense ? malloc(model.width * sizeof *dense) : NULL;
    for (int kind = 0; kind < 5; kind++) {
        tws_begin(&event, &model, entry, N_ENTRIES, dense);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const char *name = names[i];
            if (kind == 0)
                (void)tws_text(&event, name, strlen(name), "0.5", 3);
            else if (kind == 1)
                (void)tws_string(&event, name, strlen(name), "x,y", 3);
            else if (kind == 2)
                (void)tws_number(&event, name, strlen(name), 2);
            else if (kind == 3)
                (void)tws_element(&event, name, strlen(name), "z", 1);
            else
                (void)tws_feature(&event, name, strlen(name), "3", 1, 0.25);
        }
        (void)tws_score(&event, score, &prediction);
    }
    free(dense);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, bytes, size);
    use(copy, size);
    if (size >= HEADER_SIZE) {
        put_u64(copy + 16, size);
        put_u64(copy + 24, tw_hash(copy + 32, size - 32));
        use(copy, size);
    }
    free(copy);
    return 0;
}
