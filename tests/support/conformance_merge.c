/* Merging: changes of records meet in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/conformance.h"

static void put_number(const tw_field *field, unsigned char *record, uint32_t element, int64_t value)
{
    union {
        float f32;
        uint32_t u32;
        uint64_t u64;
        double f64;
    } as;
    static const size_t sizes[] = {[TW_FIELD_F32] = 4, [TW_FIELD_U32] = 4, [TW_FIELD_U64] = 8, [TW_FIELD_F64] = 8};
    switch (field->type) {
    case TW_FIELD_F32:
        as.f32 = (float)value;
        break;
    case TW_FIELD_U32:
        as.u32 = (uint32_t)value;
        break;
    case TW_FIELD_U64:
        as.u64 = (uint64_t)value;
        break;
    case TW_FIELD_F64:
        as.f64 = (double)value;
        break;
    }
    memcpy(record + field->offset + element * sizes[field->type], &as, sizes[field->type]);
}

static int64_t draw_number(const tw_field *field, uint64_t *random)
{
    uint64_t draw = next_random(random);
    return (int64_t)(field->merge == TW_MERGE_TICK ? (1 + draw % 7) << TW_TICK_BITS : draw % 1000);
}

/* Small whole numbers and whole half-lives, so that float sums are exact in any order. LAST depends on the order by
 * nature and stays put. */
static void fill_record(const tw_record *shape, unsigned char *record, uint64_t *random)
{
    for (uint32_t f = 0; f < shape->n_fields; f++) {
        for (uint32_t e = 0; e < shape->field[f].count && shape->field[f].merge != TW_MERGE_LAST; e++)
            put_number(&shape->field[f], record, e, draw_number(&shape->field[f], random));
    }
}

static bool merges_in_any_order(const tw_record *shape, uint64_t *random)
{
    enum { CHANGES = 3, ORDERS = 6 };
    static const int order[ORDERS][CHANGES] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    unsigned char *bytes = calloc(2 * CHANGES + 2, shape->size);
    unsigned char *first = bytes + (size_t)2 * CHANGES * shape->size, *other = first + shape->size;
    for (size_t i = 0; i < 2 * CHANGES; i++)
        fill_record(shape, bytes + i * shape->size, random);
    bool is_same = true;
    for (int o = 0; o < ORDERS; o++) {
        unsigned char *into = o == 0 ? first : other;
        memset(into, 0, shape->size);
        for (int c = 0; c < CHANGES; c++) {
            const unsigned char *before = bytes + (size_t)order[o][c] * 2 * shape->size;
            tw_record_merge(shape, into, before, before + shape->size);
        }
        is_same = is_same && (o == 0 || memcmp(first, other, shape->size) == 0);
    }
    free(bytes);
    return is_same;
}

outcome merging_does_not_depend_on_the_order(const subject *self)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline_setup setup = setup_in(self, "merge", folder);
    pipeline run;
    tw_error error = {0};
    uint64_t random = 5;
    assert_int_equal(pipeline_open(&run, &setup, &error), TW_STATUS_OK);
    const tw_schema *schema = &tw_model_traits(run.model)->schema;
    bool is_same = schema->row.size == 0 || merges_in_any_order(&schema->row, &random);
    for (uint32_t i = 0; i < schema->n_blocks; i++)
        is_same = is_same && merges_in_any_order(&schema->block[i].record, &random);
    pipeline_close(&run);
    if (!is_same)
        print_error("%s: a record merges differently in another order\n", self->name);
    return is_same ? RAN : FAILED;
}
