#include "ps/wire/touches.h"

void tw_sights_write(const tw_table *table, const uint64_t *key, uint32_t n, tw_sight *scratch, unsigned char *at)
{
    tw_table_sights(table, key, n, scratch);
    for (uint32_t i = 0; i < n; i++, at += TW_SIGHT_SIZE) {
        tw_put_u32(at, scratch[i].left);
        tw_put_u32(at + 4, scratch[i].seen);
    }
    tw_put_u64(at, tw_table_clock(table));
}

void tw_touches_read(tw_key_touch *touch, uint32_t n, const unsigned char *at)
{
    for (uint32_t i = 0; i < n; i++, at += TW_TOUCH_SIZE) {
        uint64_t word = tw_get_u64(at);
        touch[i] = (tw_key_touch){.first = (uint32_t)(word & (TW_TOUCH_EVENTS - 1)),
            .last = (uint32_t)(word >> 24 & (TW_TOUCH_EVENTS - 1)),
            .count = (uint32_t)(word >> 48 & 0x7fff),
            .is_admitted = word >> 63 != 0};
    }
}

void tw_touches_write(const tw_key_touch *touch, uint32_t n, unsigned char *at)
{
    for (uint32_t i = 0; i < n; i++, at += TW_TOUCH_SIZE) {
        uint64_t count = touch[i].count < 0x7fff ? touch[i].count : 0x7fff;
        tw_put_u64(
            at, touch[i].first | (uint64_t)touch[i].last << 24 | count << 48 | (uint64_t)touch[i].is_admitted << 63);
    }
}
