/* The portable form of a model: what goes out comes back with the same bytes, and what is damaged is refused by line.
 */
#include "store/portable.h"

#include "store_support.h"
#include "support/learner_fixture.h"

enum { N_ROWS = 600, MAX_BYTES = 1 << 22 };

typedef struct portable_row {
    float single[3];
    uint32_t narrow;
    uint64_t wide;
    double real;
} portable_row;

typedef struct bytes {
    char *at;
    size_t size, used;
    uint64_t fails_at; /* the write of this number fails; 0: none */
    uint64_t n_calls;
} bytes;

static tw_table_spec make_spec(tw_table_kind kind)
{
    tw_table_spec spec = {.kind = kind, .bits = kind == TW_TABLE_HASHED ? 12 : 0, .hash_seed = UINT64_MAX - 3};
    tw_record *row = &spec.schema.row;
    OK(tw_record_add(row, "single", TW_FIELD_F32, 3, TW_MERGE_ADD, NULL));
    tw_record_init_last(row, TW_INIT_NORMAL, 0.1);
    OK(tw_record_add(row, "narrow", TW_FIELD_U32, 1, TW_MERGE_MAX, NULL));
    OK(tw_record_add(row, "wide", TW_FIELD_U64, 1, TW_MERGE_MIN, NULL));
    OK(tw_record_add(row, "real", TW_FIELD_F64, 1, TW_MERGE_LAST, NULL));
    tw_block *centre = tw_schema_add_block(&spec.schema, "centre", 3, NULL);
    OK(tw_record_add(&centre->record, "x", TW_FIELD_F32, 5, TW_MERGE_LAST, NULL));
    tw_record_init_last(&centre->record, TW_INIT_CONSTANT, 1.5);
    return spec;
}

/* Numbers of every kind: any bits at all, and round ones. */
static uint64_t any_bits(uint64_t *random, bool is_single)
{
    static const double special[] = {
        0.0, -0.0, 1.0, -1.0, 0.1, 1e15, 1e16, 123456789.0, 5e-324, 1e-45, 3.4028234663852886e38};
    uint64_t bits = test_random(random);
    double value = special[bits % (sizeof special / sizeof *special)];
    float single = (float)value;
    uint32_t narrow;
    if (test_random(random) % 3 != 0)
        return is_single ? (uint32_t)bits : bits;
    memcpy(&narrow, &single, sizeof narrow);
    memcpy(&bits, &value, sizeof bits);
    return is_single ? narrow : bits;
}

static uint64_t key_of(tw_table_kind kind, uint32_t i)
{
    if (kind == TW_TABLE_HASHED)
        return (uint64_t)(i * 5 + 1) << 52;
    return i % 3 == 0 ? tw_key_of_index(UINT64_MAX - 3, i) : test_key(i);
}

static tw_params *make_model(const tw_table_spec *spec, uint32_t n)
{
    tw_params *params = NULL;
    uint64_t random = 5;
    OK(tw_local_create(spec, &params, NULL));
    for (uint32_t i = 0; i < n; i++) {
        tw_rows rows;
        uint64_t key = key_of(spec->kind, i);
        tw_batch batch = {.n_entries = 1, .key = &key, .split = 8, .from = i, .to = i + 1};
        OK(params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, NULL));
        portable_row *row = rows.row[0];
        for (int j = 0; j < 3; j++) {
            uint32_t bits = (uint32_t)any_bits(&random, true);
            memcpy(&row->single[j], &bits, sizeof bits);
        }
        uint64_t bits = any_bits(&random, false);
        memcpy(&row->real, &bits, sizeof bits);
        row->narrow = (uint32_t)test_random(&random);
        row->wide = test_random(&random) >> (i % 64);
        float *x = rows.block[0];
        x[i % 5] = (float)i / 3;
        OK(params->ops->release(params, &batch, &rows, 2, NULL));
    }
    return params;
}

static tw_status put(void *context, const char *text, size_t size, tw_error *error)
{
    bytes *self = context;
    if (++self->n_calls == self->fails_at)
        return tw_error_set(error, TW_STATUS_IO, "full");
    if (self->at == NULL)
        self->at = malloc(MAX_BYTES);
    assert_true(self->size + size < MAX_BYTES);
    memcpy(self->at + self->size, text, size);
    self->size += size;
    return TW_STATUS_OK;
}

/* Pieces of growing size, so that lines are cut anywhere. */
static tw_status get(void *context, char *out, size_t size, size_t *n_read, tw_error *error)
{
    bytes *self = context;
    size_t left = self->size - self->used;
    (void)error;
    *n_read = left < size ? left : size;
    *n_read = *n_read > self->n_calls + 1 ? (size_t)++self->n_calls : *n_read;
    memcpy(out, self->at + self->used, *n_read);
    self->used += *n_read;
    return TW_STATUS_OK;
}

static tw_status write_model(tw_params *params, const tw_table_spec *spec, bytes *out, tw_error *error)
{
    static const char text[] = "model:\n  type: \"x\"\t\x01\n";
    tw_manifest manifest = {.id = 7, .created_us = 99, .events = 2 * N_ROWS, .spec = *spec, .learner = "thing"};
    tw_portable_output output = {.write = put, .context = out};
    tw_portable_counts counts;
    OK(tw_manifest_add(&manifest, "pipeline", text, strlen(text), NULL));
    tw_status status = tw_portable_write(params, &manifest, &output, &counts, error);
    tw_manifest_fini(&manifest);
    return status;
}

/* spec NULL: the one of the head. */
static tw_status read_model(const char *at, size_t size, const tw_table_spec *spec, tw_params **out, tw_error *error)
{
    bytes in = {.size = size, .n_calls = 100};
    in.at = malloc(size + 1);
    memcpy(in.at, at, size);
    tw_portable_input input = {.read = get, .context = &in, .name = "model.jsonl"};
    tw_portable_reader *reader = NULL;
    tw_portable_counts counts;
    *out = NULL;
    tw_status status = tw_portable_open(&input, &reader, error);
    if (status == TW_STATUS_OK) {
        const tw_table_spec *wanted = spec != NULL ? spec : &tw_portable_head_of(reader)->spec;
        status = tw_local_create(wanted, out, error);
        if (status == TW_STATUS_OK)
            status = tw_portable_load(reader, wanted, *out, &counts, error);
    }
    if (status < 0 && *out != NULL) {
        (*out)->ops->close(*out);
        *out = NULL;
    }
    tw_portable_close(&reader);
    free(in.at);
    return status;
}

static bytes written(tw_params *params, const tw_table_spec *spec)
{
    bytes out = {0};
    OK(write_model(params, spec, &out, NULL));
    out.at[out.size] = '\0';
    return out;
}

static void comes_back(tw_table_kind kind)
{
    tw_table_spec spec = make_spec(kind);
    tw_params *model = make_model(&spec, N_ROWS), *again = NULL;
    tw_error error = {0};
    bytes first = written(model, &spec);
    tw_status status = read_model(first.at, first.size, &spec, &again, &error);
    if (status < 0)
        print_error("%llu: %s\n", (unsigned long long)error.line, error.message);
    assert_int_equal(status, TW_STATUS_OK);
    bytes second = written(again, &spec);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.at, second.at, first.size);
    for (uint32_t i = 0; i < N_ROWS; i++) {
        tw_rows a, b;
        uint64_t key = key_of(kind, i);
        tw_batch batch = {.n_entries = 1, .key = &key};
        OK(model->ops->acquire(model, &batch, TW_ACCESS_READ, &a, NULL));
        OK(again->ops->acquire(again, &batch, TW_ACCESS_READ, &b, NULL));
        assert_memory_equal(a.row[0], b.row[0], sizeof(portable_row));
        assert_memory_equal(a.block[0], b.block[0], 3 * spec.schema.block[0].record.size);
    }
    tw_params_stats stats;
    uint64_t mark = 5;
    uint32_t n_marks = 1;
    again->ops->stats(again, &stats);
    assert_int_equal(stats.events_learned, 2 * N_ROWS);
    OK(again->ops->mark(again, 8, &mark, &n_marks, NULL));
    assert_int_equal(mark, 0);
    model->ops->close(model);
    again->ops->close(again);
    free(first.at);
    free(second.at);
}

static void any_model_comes_back_with_the_same_bytes_and_no_marks(void **state)
{
    (void)state;
    comes_back(TW_TABLE_EXACT);
    comes_back(TW_TABLE_HASHED);
}

static void the_head_says_what_the_model_is(void **state)
{
    (void)state;
    tw_table_spec spec = make_spec(TW_TABLE_EXACT);
    tw_params *model = make_model(&spec, 5);
    bytes file = written(model, &spec);
    tw_portable_input input = {.read = get, .context = &file, .name = "x"};
    tw_portable_reader *reader = NULL;
    OK(tw_portable_open(&input, &reader, NULL));
    const tw_portable_head *head = tw_portable_head_of(reader);
    assert_string_equal(head->learner, "thing");
    assert_string_equal(head->pipeline, "model:\n  type: \"x\"\t\x01\n");
    assert_int_equal(head->version, 7);
    assert_int_equal(head->created_us, 99);
    assert_true(head->spec.hash_seed == UINT64_MAX - 3);
    assert_true(tw_schema_hash(&head->spec.schema) == tw_schema_hash(&spec.schema));
    tw_portable_close(&reader);
    model->ops->close(model);
    free(file.at);
}

static void every_cut_and_every_changed_byte_is_refused(void **state)
{
    (void)state;
    tw_table_spec spec = make_spec(TW_TABLE_EXACT);
    tw_params *model = make_model(&spec, 4), *none = NULL;
    bytes file = written(model, &spec);
    for (size_t size = 0; size < file.size; size++) {
        tw_error error = {0};
        tw_status status = read_model(file.at, size, &spec, &none, &error);
        assert_int_equal(status, TW_STATUS_CORRUPT);
        assert_string_equal(error.file, "model.jsonl");
        assert_true(error.line > 0);
    }
    for (size_t at = 0; at < file.size; at++) {
        for (int bit = 0; bit < 8; bit += 3) {
            file.at[at] = (char)(file.at[at] ^ 1 << bit);
            tw_status status = read_model(file.at, file.size, &spec, &none, NULL);
            assert_true(status == TW_STATUS_CORRUPT || status == TW_STATUS_CONFLICT);
            file.at[at] = (char)(file.at[at] ^ 1 << bit);
        }
    }
    model->ops->close(model);
    free(file.at);
}

/* The file with the first `from` replaced by `to`, and without its checksum. */
static char *edited(const bytes *file, const char *from, const char *to)
{
    char *out = calloc(file->size + strlen(to) + 1, 1);
    const char *at = strstr(file->at, from);
    assert_non_null(at);
    memcpy(out, file->at, (size_t)(at - file->at));
    strcat(strcat(out, to), at + strlen(from));
    char *sum = strstr(out, ",\"checksum\"");
    if (sum != NULL)
        strcpy(sum, "}\n");
    return out;
}

static void every_error_names_its_line_and_reason(void **state)
{
    static const struct {
        const char *from, *to, *reason;
        uint64_t line;
    } cases[] = {
        {"\"thalweg_model\":1", "\"thalweg_model\":2", "format 2", 1},
        {"\"thalweg_model\":1", "\"model\":1", "thalweg_model", 1},
        {"\"learner\":\"thing\"", "\"learner\":5", "\"learner\" is missing", 1},
        {"\"merge\":\"max\"", "\"merge\":\"most\"", "\"most\" is not known", 1},
        {"\"count\":3", "\"count\":-3", "\"count\"", 1},
        {"\"bits\":0", "\"bits\":99", "\"bits\"", 1},
        {"\"block\":\"centre\",\"index\":1", "\"block\":\"centre\",\"index\":2", "record 1 of block \"centre\"", 3},
        {"\"narrow\":", "\"norrow\":", "\"narrow\" of the schema is missing", 5},
        {"\"narrow\":", "\"more\":1,\"narrow\":", "has 5 fields", 5},
        {"\"narrow\":", "\"narrow\":-", "element 0 is no u32", 5},
        {"\"real\":", "\"real\":true,\"real\":", "column", 5},
        {"\"single\":[", "\"single\":[1,", "list of 3", 5},
        {"\"key\":\"", "\"key\":\"x", "16 hex digits", 5},
        {"\n{\"rows\":4", "\n[1]\n{\"rows\":4", "object", 9},
        {"\n{\"rows\":4", "\n{\"rows\":5", "4 rows", 9},
        {",\"checksum\"", ",\"more\":1}\n,\"checksum\"", "not known", 9},
    };
    (void)state;
    tw_table_spec spec = make_spec(TW_TABLE_EXACT);
    tw_params *model = make_model(&spec, 4), *none = NULL;
    bytes file = written(model, &spec);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tw_error error = {0};
        char *text = edited(&file, cases[i].from, cases[i].to);
        assert_int_equal(read_model(text, strlen(text), &spec, &none, &error), TW_STATUS_CORRUPT);
        if (strstr(error.message, cases[i].reason) == NULL || error.line != cases[i].line)
            print_error("%s: line %llu: %s\n", cases[i].to, (unsigned long long)error.line, error.message);
        assert_non_null(strstr(error.message, cases[i].reason));
        assert_int_equal(error.line, cases[i].line);
        free(text);
    }
    model->ops->close(model);
    free(file.at);
}

static void rows_out_of_order_or_twice_are_refused(void **state)
{
    (void)state;
    tw_table_spec spec = make_spec(TW_TABLE_EXACT);
    tw_params *model = make_model(&spec, 4), *none = NULL;
    tw_error error = {0};
    bytes file = written(model, &spec);
    char *row = strstr(file.at, "{\"key\""), *next = strchr(row, '\n') + 1;
    char *twice = calloc(2 * file.size, 1);
    memcpy(twice, file.at, (size_t)(next - file.at));
    strcat(twice, row);
    assert_int_equal(read_model(twice, strlen(twice), &spec, &none, &error), TW_STATUS_CORRUPT);
    assert_non_null(strstr(error.message, "ascend"));
    assert_int_equal(error.line, 6);
    free(twice);
    model->ops->close(model);
    free(file.at);
}

static void a_file_that_was_changed_by_hand_is_read_without_its_checksum(void **state)
{
    (void)state;
    tw_table_spec spec = make_spec(TW_TABLE_EXACT);
    tw_params *model = make_model(&spec, 4), *changed = NULL;
    bytes file = written(model, &spec);
    char *text = edited(&file, "\"events\":1200", "\"events\":77");
    OK(read_model(text, strlen(text), &spec, &changed, NULL));
    tw_params_stats stats;
    changed->ops->stats(changed, &stats);
    assert_int_equal(stats.events_learned, 77);
    changed->ops->close(changed);
    model->ops->close(model);
    free(text);
    free(file.at);
}

static void another_schema_is_a_conflict_that_names_the_field(void **state)
{
    (void)state;
    tw_table_spec spec = make_spec(TW_TABLE_EXACT), other = make_spec(TW_TABLE_EXACT);
    tw_params *model = make_model(&spec, 4), *none = NULL;
    tw_error error = {0};
    bytes file = written(model, &spec);
    strcpy(other.schema.row.field[1].name, "wider");
    assert_int_equal(read_model(file.at, file.size, &other, &none, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "wider"));
    model->ops->close(model);
    free(file.at);
}

static void every_failing_allocation_and_write_is_an_error(void **state)
{
    (void)state;
    tw_table_spec spec = make_spec(TW_TABLE_EXACT);
    tw_params *model = make_model(&spec, 300), *again = NULL;
    bytes file = written(model, &spec);
    tw_status status = TW_STATUS_NO_MEMORY;
    uint64_t n = 0;
    for (uint64_t call = 1; call <= 2; call++) {
        bytes full = {.fails_at = call};
        assert_int_equal(write_model(model, &spec, &full, NULL), TW_STATUS_IO);
        free(full.at);
    }
    while (status != TW_STATUS_OK && n < 1000) {
        bytes out = {0};
        tw_fault_arm(TW_FAULT_ALLOC, ++n + 1, 0, false); /* the first is the manifest's own */
        status = write_model(model, &spec, &out, NULL);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        free(out.at);
    }
    assert_true(n > 5);
    for (n = 0, status = TW_STATUS_NO_MEMORY; status != TW_STATUS_OK && n < 1000;) {
        tw_fault_arm(TW_FAULT_ALLOC, ++n, 0, false);
        status = read_model(file.at, file.size, &spec, &again, NULL);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
    }
    assert_true(n > 10);
    again->ops->close(again);
    model->ops->close(model);
    free(file.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_model_comes_back_with_the_same_bytes_and_no_marks),
        cmocka_unit_test(the_head_says_what_the_model_is),
        cmocka_unit_test(every_cut_and_every_changed_byte_is_refused),
        cmocka_unit_test(every_error_names_its_line_and_reason),
        cmocka_unit_test(rows_out_of_order_or_twice_are_refused),
        cmocka_unit_test(a_file_that_was_changed_by_hand_is_read_without_its_checksum),
        cmocka_unit_test(another_schema_is_a_conflict_that_names_the_field),
        cmocka_unit_test(every_failing_allocation_and_write_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
