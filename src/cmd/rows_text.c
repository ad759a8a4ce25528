#include "cmd/rows_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "data/key.h"

static const uint64_t index_limit = 1ull << 40;

typedef struct shown_row {
    bool is_index;
    uint64_t key; /* the index, or the key itself */
    int block;    /* -1: a row */
    double weight;
    char *record; /* a copy in the list's arena */
} shown_row;

typedef struct row_list {
    const assembly *all;
    shown_row *row;
    size_t count, capacity;
    tw_arena records;
} row_list;

static const tw_record *record_of(const assembly *all, int block)
{
    const tw_schema *schema = &tw_model_table_spec(all->model)->schema;
    return block < 0 ? &schema->row : &schema->block[block].record;
}

static tw_status collect(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    row_list *self = context;
    const tw_table_spec *spec = tw_model_table_spec(self->all->model);
    const tw_learner_ops *learner = tw_model_learner(self->all->model);
    size_t size = record_of(self->all, block)->size;
    tw_status status = tw_grow(&self->row, sizeof *self->row, &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    char *copy = tw_arena_alloc(&self->records, size);
    if (copy == NULL)
        return tw_no_memory(error, size);
    memcpy(copy, record, size);
    uint64_t index = block < 0 ? tw_key_to_index(spec->hash_seed, key) : key;
    bool is_index = block >= 0 || (spec->kind == TW_TABLE_EXACT && index < index_limit);
    self->row[self->count++] = (shown_row){
        .is_index = is_index,
        .key = is_index ? index : key,
        .block = block,
        .weight = block < 0 && learner->weight != NULL ? tw_model_row_weight(self->all->model, record) : 0,
        .record = copy,
    };
    return TW_STATUS_OK;
}

static void list_fini(row_list *self)
{
    tw_arena_fini(&self->records);
    tw_free(self->row);
}

/* Blocks first, then rows: indices ascending, then other keys. */
static int by_key(const void *left, const void *right)
{
    const shown_row *a = left, *b = right;
    if (a->block != b->block)
        return a->block < 0 ? 1 : b->block < 0 ? -1 : (a->block > b->block) - (a->block < b->block);
    if (a->is_index != b->is_index)
        return a->is_index ? -1 : 1;
    return (a->key > b->key) - (a->key < b->key);
}

static int by_weight(const void *left, const void *right)
{
    double a = fabs(((const shown_row *)left)->weight), b = fabs(((const shown_row *)right)->weight);
    return a != b ? (a < b) - (a > b) : by_key(left, right);
}

static void print_float(float value)
{
    char text[40];
    if (!isfinite(value)) {
        (void)printf("null");
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    (void)fputs(text, stdout);
}

static void print_double(double value)
{
    char text[TW_REAL_TEXT_SIZE];
    if (!isfinite(value)) {
        (void)printf("null");
        return;
    }
    tw_text_from_real(value, text);
    (void)fputs(text, stdout);
}

static void print_element(tw_field_type type, const char *at)
{
    float f;
    double d;
    uint32_t u;
    uint64_t v;
    switch (type) {
    case TW_FIELD_F32:
        memcpy(&f, at, sizeof f);
        print_float(f);
        break;
    case TW_FIELD_F64:
        memcpy(&d, at, sizeof d);
        print_double(d);
        break;
    case TW_FIELD_U32:
        memcpy(&u, at, sizeof u);
        (void)printf("%" PRIu32, u);
        break;
    case TW_FIELD_U64:
        memcpy(&v, at, sizeof v);
        (void)printf("%" PRIu64, v);
        break;
    }
}

static void print_record(const tw_record *record, const char *bytes)
{
    (void)putchar('{');
    for (uint32_t i = 0; i < record->n_fields; i++) {
        const tw_field *field = &record->field[i];
        size_t size = field->type == TW_FIELD_F32 || field->type == TW_FIELD_U32 ? 4 : 8;
        (void)printf("%s\"%s\":%s", i > 0 ? "," : "", field->name, field->count > 1 ? "[" : "");
        for (uint32_t j = 0; j < field->count; j++) {
            if (j > 0)
                (void)putchar(',');
            print_element(field->type, bytes + field->offset + j * size);
        }
        if (field->count > 1)
            (void)putchar(']');
    }
    (void)putchar('}');
}

static void print_options(const tw_option_values *values)
{
    char text[256];
    (void)printf("\"options\":{");
    const tw_option *table = tw_option_table(values);
    for (const tw_option *option = table; option->name != NULL; option++) {
        if (tw_option_format(values, option->name, text, sizeof text, NULL) < 0)
            text[0] = '\0';
        (void)printf("%s\"%s\":\"%s\"", option == table ? "" : ",", option->name, text);
    }
    (void)printf("}");
}

/* Members of one object or list, from `first` on, as long as they belong to `block`; the index behind them. */
static size_t print_group(const row_list *list, size_t first, int block)
{
    size_t i = first;
    const tw_record *record = record_of(list->all, block);
    for (; i < list->count && list->row[i].block == block; i++) {
        const shown_row *row = &list->row[i];
        (void)printf("%s\n", i > first ? "," : "");
        if (block < 0 && row->is_index)
            (void)printf("\"%" PRIu64 "\":", row->key);
        else if (block < 0)
            (void)printf("\"%016" PRIx64 "\":", row->key);
        print_record(record, row->record);
    }
    return i;
}

tw_status rows_print_json(const assembly *all, const tw_manifest *manifest, tw_error *error)
{
    row_list list = {.all = all};
    tw_status status = tw_model_scan(all->model, collect, &list, error);
    if (status == TW_STATUS_OK) {
        if (list.count > 1)
            qsort(list.row, list.count, sizeof *list.row, by_key);
        const tw_schema *schema = &tw_model_table_spec(all->model)->schema;
        (void)printf("{\"learner\":\"%s\",", manifest->learner);
        print_options(all->pipeline->learner_options);
        (void)printf(",\"events\":%" PRIu64 ",\"version\":%" PRIu64 ",\n\"blocks\":{", manifest->events, manifest->id);
        size_t at = 0;
        for (uint32_t b = 0; b < schema->n_blocks; b++) {
            (void)printf("%s\"%s\":[", b > 0 ? "," : "", schema->block[b].name);
            at = print_group(&list, at, (int)b);
            (void)printf("]");
        }
        (void)printf("},\n\"rows\":{");
        (void)print_group(&list, at, -1);
        (void)printf("}}\n");
        if (ferror(stdout))
            status = tw_error_set(error, TW_STATUS_IO, "standard output cannot be written");
    }
    list_fini(&list);
    return status;
}

tw_status rows_print_top(const assembly *all, const tw_manifest *manifest, size_t top, tw_error *error)
{
    row_list list = {.all = all};
    tw_status status = tw_model_scan(all->model, collect, &list, error);
    size_t n_rows = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (list.row[i].block < 0)
            list.row[n_rows++] = list.row[i];
    }
    list.count = n_rows;
    if (status == TW_STATUS_OK) {
        (void)printf("model %s, version %06" PRIu64 ", %s, %" PRIu64 " events, %zu rows\n", tw_model_name(all->model),
            manifest->id, manifest->learner, manifest->events, n_rows);
        if (n_rows > 1)
            qsort(list.row, n_rows, sizeof *list.row, by_weight);
        for (size_t i = 0; i < n_rows && i < top; i++) {
            if (list.row[i].is_index)
                (void)printf("%16" PRIu64 "  ", list.row[i].key);
            else
                (void)printf("%016" PRIx64 "  ", list.row[i].key);
            if (tw_model_learner(all->model)->weight != NULL)
                (void)printf("%12.6g  ", list.row[i].weight);
            print_record(record_of(all, -1), list.row[i].record);
            (void)printf("\n");
        }
    }
    list_fini(&list);
    return status;
}
