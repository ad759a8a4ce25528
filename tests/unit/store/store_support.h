/* store_support.h: a small model with rows, two blocks and marks, in a directory of its own. */
#ifndef STORE_SUPPORT_H
#define STORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/key.h"
#include "store/checkpoint.h"

#define OK(call) assert_int_equal(call, TW_STATUS_OK)

typedef struct test_row {
    float weight;
    uint32_t count;
} test_row;

static inline tw_table_spec test_spec(tw_table_kind kind, double sigma)
{
    tw_table_spec spec = {.kind = kind, .bits = kind == TW_TABLE_HASHED ? 12 : 0, .hash_seed = 7};
    tw_record *row = &spec.schema.row;
    OK(tw_record_add(row, "weight", TW_FIELD_F32, 1, TW_MERGE_ADD, NULL));
    if (sigma > 0)
        tw_record_init_last(row, TW_INIT_NORMAL, sigma);
    OK(tw_record_add(row, "count", TW_FIELD_U32, 1, TW_MERGE_ADD, NULL));
    tw_block *bias = tw_schema_add_block(&spec.schema, "bias", 1, NULL);
    OK(tw_record_add(&bias->record, "sum", TW_FIELD_F64, 2, TW_MERGE_ADD, NULL));
    tw_block *centre = tw_schema_add_block(&spec.schema, "centre", 3, NULL);
    OK(tw_record_add(&centre->record, "x", TW_FIELD_F32, 5, TW_MERGE_LAST, NULL));
    tw_record_init_last(&centre->record, TW_INIT_CONSTANT, 1.5);
    return spec;
}

static inline uint64_t test_key(uint64_t i)
{
    return tw_key_nonzero(tw_mix64(i + 1));
}

/* Gives key i (i < n) the row {i / 2, i + 1}, fills the blocks, sets marks. */
static inline void test_fill(tw_table *table, uint32_t n)
{
    tw_error error = {0};
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = test_key(i);
        void *row;
        OK(tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, &error));
        *(test_row *)row = (test_row){(float)i / 2, i + 1};
    }
    void *block;
    OK(tw_table_block(table, 0, TW_ACCESS_WRITE, &block, &error));
    ((double *)block)[1] = 42;
    OK(tw_table_block(table, 1, TW_ACCESS_WRITE, &block, &error));
    ((float *)block)[7] = -3;
    OK(tw_table_set_mark(table, 11, 100, &error));
    OK(tw_table_set_mark(table, 5, 50, &error));
    tw_table_add_events_learned(table, 77);
}

/* An order-free digest of everything that scan shows, the marks and the events. */
static inline tw_status test_digest_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    (void)error;
    uint64_t *sum = context;
    size_t size = block == 1 ? 24 : (block == 0 ? 16 : 8);
    *sum += tw_mix64(tw_hash_seeded(record, size, key ^ (uint64_t)(block + 1)));
    return TW_STATUS_OK;
}

static inline uint64_t test_digest(tw_table *table)
{
    uint64_t sum = 0;
    OK(tw_table_scan(table, test_digest_visit, &sum, NULL));
    size_t n;
    const tw_mark *mark = tw_table_marks(table, &n);
    for (size_t i = 0; i < n; i++)
        sum += tw_mix64(mark[i].split * 31 + mark[i].to);
    return sum + tw_mix64(tw_table_events_learned(table));
}

static inline void test_directory(char path[256])
{
    snprintf(path, 256, "/tmp/tw_store_XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline void test_remove(const char *path)
{
    tw_names names;
    if (tw_directory_list(path, &names, NULL) == TW_STATUS_OK) {
        for (size_t i = 0; i < names.count; i++) {
            char file[512];
            snprintf(file, sizeof file, "%s/%s", path, names.name[i]);
            unlink(file);
        }
        tw_names_free(&names);
    }
    rmdir(path);
}

static inline void test_write(tw_table *table, const char *directory, const char *name, tw_row_file *file)
{
    tw_error error = {0};
    tw_frozen *frozen;
    OK(tw_table_freeze(table, 1 << 20, &frozen, &error));
    tw_status status = tw_frozen_write(frozen, directory, name, file, &error);
    tw_frozen_destroy(&frozen);
    if (status != TW_STATUS_OK)
        fail_msg("%s", error.message);
}

static inline tw_table *test_table(const tw_table_spec *spec, uint32_t first, uint32_t last)
{
    tw_table *table;
    OK(tw_table_create(spec, first, last, &table, NULL));
    return table;
}

#endif
