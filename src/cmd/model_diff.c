/* model diff: what differs between two saved models. Both are held in memory. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "cmd/console.h"
#include "cmd/model_verbs.h"
#include "cmd/saved.h"
#include "config/fingerprint.h"
#include "data/key.h"

enum { EXIT_DIFFERENT = 1, PATH_SIZE = 4096, MAX_TOP = 1000000 };

static const uint64_t index_limit = 1ull << 40; /* see rows_text.h */

typedef struct held_row {
    uint64_t key;
    int block; /* -1: a row */
    const unsigned char *record;
    double weight;
} held_row;

typedef struct side {
    const char *name;
    saved_model saved;
    held_row *row; /* rows, ascending by key, then the blocks' records in their order */
    size_t count, capacity, n_rows;
    tw_arena records;
} side;

typedef struct weight_change {
    uint64_t key;
    double left, right;
} weight_change;

typedef struct comparison {
    side left, right;
    bool is_same_schema, has_weights, is_index_shown;
    tw_text pipeline; /* a line for every difference that touches the model */
    uint64_t both, only_left, only_right, changed;
    uint64_t blocks_changed; /* records */
    double largest, blocks_largest;
    double left_square, right_square, difference_square;
    weight_change *top;
    size_t n_top, top_capacity;
} comparison;

/* --- loading ------------------------------------------------------------------------------------------------------ */

static const tw_schema *schema_of(const side *self)
{
    return &tw_model_table_spec(self->saved.all.model)->schema;
}

static tw_status hold(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    side *self = context;
    const tw_schema *schema = schema_of(self);
    size_t size = block < 0 ? schema->row.size : schema->block[block].record.size;
    tw_status status = tw_grow(&self->row, sizeof *self->row, &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    unsigned char *copy = tw_arena_alloc(&self->records, size);
    if (copy == NULL)
        return tw_no_memory(error, size);
    memcpy(copy, record, size);
    double weight = block < 0 ? tw_model_row_weight(self->saved.all.model, record) : 0;
    self->row[self->count++] = (held_row){.key = key, .block = block, .record = copy, .weight = weight};
    self->n_rows += block < 0;
    return TW_STATUS_OK;
}

static int by_place(const void *left, const void *right)
{
    const held_row *a = left, *b = right;
    if (a->block != b->block)
        return (a->block > b->block) - (a->block < b->block);
    return (a->key > b->key) - (a->key < b->key);
}

/* "DIR@N": version N, unless there is a directory of just that name. */
static tw_status parse_place(const char *text, char directory[PATH_SIZE], uint64_t *version, tw_error *error)
{
    tw_file_info info;
    const char *at = strrchr(text, '@');
    int64_t number = 0;
    *version = 0;
    size_t size = strlen(text);
    bool is_versioned =
        at != NULL && tw_text_to_int(at + 1, &number) && number > 0 && tw_file_stat(text, &info, NULL) != TW_STATUS_OK;
    if (is_versioned) {
        size = (size_t)(at - text);
        *version = (uint64_t)number;
    }
    if (size >= PATH_SIZE)
        return tw_error_set(error, TW_STATUS_INVALID, "a path of %zu bytes is too long", size);
    memcpy(directory, text, size);
    directory[size] = '\0';
    return TW_STATUS_OK;
}

static tw_status side_open(side *self, const char *place, tw_error *error)
{
    char directory[PATH_SIZE];
    uint64_t version = 0;
    self->name = place;
    tw_status status = parse_place(place, directory, &version, error);
    if (status == TW_STATUS_OK)
        status = saved_open(&self->saved, directory, version, error);
    if (status == TW_STATUS_OK)
        status = tw_model_scan(self->saved.all.model, hold, self, error);
    if (status == TW_STATUS_OK && self->count > 1)
        qsort(self->row, self->count, sizeof *self->row, by_place);
    return status;
}

static void side_close(side *self)
{
    saved_close(&self->saved);
    tw_arena_fini(&self->records);
    tw_free(self->row);
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

/* By size of the change, then by key. */
static int by_change(const void *left, const void *right)
{
    const weight_change *a = left, *b = right;
    double x = fabs(a->right - a->left), y = fabs(b->right - b->left);
    return x != y ? (x < y) - (x > y) : (a->key > b->key) - (a->key < b->key);
}

static tw_status take_weights(comparison *self, uint64_t key, double left, double right, tw_error *error)
{
    double difference = right - left;
    self->left_square += left * left;
    self->right_square += right * right;
    self->difference_square += difference * difference;
    self->largest = fabs(difference) > self->largest ? fabs(difference) : self->largest;
    if (difference == 0)
        return TW_STATUS_OK;
    tw_status status = tw_grow(&self->top, sizeof *self->top, &self->top_capacity, self->n_top + 1, error);
    if (status == TW_STATUS_OK)
        self->top[self->n_top++] = (weight_change){key, left, right};
    return status;
}

static bool row_differs(const comparison *self, const held_row *a, const held_row *b)
{
    if (self->is_same_schema)
        return memcmp(a->record, b->record, schema_of(&self->left)->row.size) != 0;
    return a->weight != b->weight;
}

static bool is_block(const side *self, size_t i)
{
    return i < self->count && self->row[i].block >= 0;
}

static tw_status compare_rows(comparison *self, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    const held_row *left = self->left.row, *right = self->right.row;
    size_t i = 0, j = 0, n = self->left.n_rows, m = self->right.n_rows;
    while ((i < n || j < m) && status == TW_STATUS_OK) {
        bool takes_left = i < n && (j >= m || left[i].key <= right[j].key);
        bool takes_right = j < m && (i >= n || right[j].key <= left[i].key);
        bool is_both = takes_left && takes_right;
        self->both += is_both;
        self->only_left += takes_left && !is_both;
        self->only_right += takes_right && !is_both;
        self->changed += is_both && row_differs(self, &left[i], &right[j]);
        if (self->has_weights)
            status = take_weights(self, takes_left ? left[i].key : right[j].key, takes_left ? left[i].weight : 0,
                takes_right ? right[j].weight : 0, error);
        i += takes_left;
        j += takes_right;
    }
    return status;
}

static double element(tw_field_type type, const unsigned char *at)
{
    float single;
    double real;
    uint32_t narrow;
    uint64_t wide;
    memcpy(&single, at, sizeof single);
    memcpy(&narrow, at, sizeof narrow);
    if (type == TW_FIELD_F32 || type == TW_FIELD_U32)
        return type == TW_FIELD_F32 ? (double)single : (double)narrow;
    memcpy(&real, at, sizeof real);
    memcpy(&wide, at, sizeof wide);
    return type == TW_FIELD_F64 ? real : (double)wide;
}

static void compare_record(comparison *self, const tw_record *record, const unsigned char *a, const unsigned char *b)
{
    if (memcmp(a, b, record->size) == 0)
        return;
    self->blocks_changed++;
    for (uint32_t i = 0; i < record->n_fields; i++) {
        const tw_field *field = &record->field[i];
        size_t size = field->type == TW_FIELD_F32 || field->type == TW_FIELD_U32 ? 4 : 8;
        for (uint32_t j = 0; j < field->count; j++) {
            size_t at = field->offset + j * size;
            double difference = fabs(element(field->type, b + at) - element(field->type, a + at));
            self->blocks_largest = difference > self->blocks_largest ? difference : self->blocks_largest;
        }
    }
}

/* Of equal schemas: the same records in the same order. */
static void compare_blocks(comparison *self)
{
    const tw_schema *schema = schema_of(&self->left);
    size_t i = self->left.n_rows, j = self->right.n_rows;
    for (; is_block(&self->left, i) && is_block(&self->right, j); i++, j++) {
        const held_row *a = &self->left.row[i], *b = &self->right.row[j];
        compare_record(self, &schema->block[a->block].record, a->record, b->record);
    }
}

static tw_status compare(comparison *self, tw_error *error)
{
    const saved_model *a = &self->left.saved, *b = &self->right.saved;
    tw_change change = TW_CHANGE_NONE;
    self->is_same_schema = tw_schema_hash(schema_of(&self->left)) == tw_schema_hash(schema_of(&self->right));
    self->has_weights =
        tw_model_learner(a->all.model)->weight != NULL && tw_model_learner(b->all.model)->weight != NULL;
    self->is_index_shown = tw_model_table_spec(a->all.model)->kind == TW_TABLE_EXACT;
    tw_status status =
        tw_fingerprint_compare(a->all.canonical.bytes, b->all.canonical.bytes, &change, &self->pipeline, error);
    if (status == TW_STATUS_OK)
        status = compare_rows(self, error);
    if (self->is_same_schema)
        compare_blocks(self);
    if (self->n_top > 1)
        qsort(self->top, self->n_top, sizeof *self->top, by_change);
    return status;
}

static bool is_equal(const comparison *self)
{
    const tw_manifest *a = &self->left.saved.manifest, *b = &self->right.saved.manifest;
    return self->is_same_schema && self->pipeline.size == 0 &&
           self->only_left + self->only_right + self->changed == 0 && self->blocks_changed == 0 &&
           a->events == b->events && strcmp(a->learner, b->learner) == 0;
}

/* --- printing ----------------------------------------------------------------------------------------------------- */

static void key_text(const comparison *self, uint64_t key, char text[32])
{
    uint64_t index = tw_key_to_index(tw_model_table_spec(self->left.saved.all.model)->hash_seed, key);
    if (self->is_index_shown && index < index_limit)
        (void)snprintf(text, 32, "%" PRIu64, index);
    else
        (void)snprintf(text, 32, "%016" PRIx64, key);
}

static void print_side(const char *letter, const side *self)
{
    const tw_manifest *manifest = &self->saved.manifest;
    (void)printf("%s  %s, version %06" PRIu64 ", %s, %" PRIu64 " events, %zu rows\n", letter, self->name, manifest->id,
        manifest->learner, manifest->events, self->n_rows);
}

static void print_text(const comparison *self, size_t top)
{
    print_side("A", &self->left);
    print_side("B", &self->right);
    if (is_equal(self)) {
        (void)printf("equal\n");
        return;
    }
    if (self->pipeline.size > 0)
        (void)printf("%s", self->pipeline.bytes);
    if (!self->is_same_schema)
        (void)printf("the records differ in shape: rows are compared by weight, blocks are not compared\n");
    (void)printf("rows    %" PRIu64 " in both, %" PRIu64 " of them changed, %" PRIu64 " only in A, %" PRIu64
                 " only in B\n",
        self->both, self->changed, self->only_left, self->only_right);
    if (self->has_weights)
        (void)printf("weights largest difference %.6g, norm of the difference %.6g, of A %.6g, of B %.6g\n",
            self->largest, sqrt(self->difference_square), sqrt(self->left_square), sqrt(self->right_square));
    if (schema_of(&self->left)->n_blocks > 0 && self->is_same_schema)
        (void)printf("blocks  %" PRIu64 " records changed, largest difference %.6g\n", self->blocks_changed,
            self->blocks_largest);
    if (self->n_top > 0 && top > 0)
        (void)printf("%16s  %12s  %12s  %12s\n", "key", "A", "B", "B - A");
    for (size_t i = 0; i < self->n_top && i < top; i++) {
        char key[32];
        const weight_change *change = &self->top[i];
        key_text(self, change->key, key);
        (void)printf("%16s  %12.6g  %12.6g  %12.6g\n", key, change->left, change->right, change->right - change->left);
    }
}

static json_t *side_json(const side *self)
{
    const tw_manifest *manifest = &self->saved.manifest;
    return json_pack("{s:s, s:I, s:s, s:I, s:I}", "model", self->name, "version", (json_int_t)manifest->id, "learner",
        manifest->learner, "events", (json_int_t)manifest->events, "rows", (json_int_t)self->n_rows);
}

static json_t *changes_json(const comparison *self, size_t top)
{
    json_t *list = json_array();
    for (size_t i = 0; i < self->n_top && i < top; i++) {
        char key[32];
        key_text(self, self->top[i].key, key);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:f, s:f}", "key", key, "a", self->top[i].left, "b", self->top[i].right));
    }
    return list;
}

static json_t *lines_json(const tw_text *text)
{
    json_t *list = json_array();
    const char *at = text->size > 0 ? text->bytes : "";
    while (*at != '\0') {
        size_t size = strcspn(at, "\n");
        (void)json_array_append_new(list, json_stringn(at, size));
        at += size + (at[size] == '\n');
    }
    return list;
}

static json_t *real_json(bool is_known, double value)
{
    return is_known ? json_real(value) : json_null();
}

static tw_status print_json(const comparison *self, size_t top, tw_error *error)
{
    bool has_weights = self->has_weights;
    json_t *rows = json_pack("{s:I, s:I, s:I, s:I}", "both", (json_int_t)self->both, "changed",
        (json_int_t)self->changed, "only_a", (json_int_t)self->only_left, "only_b", (json_int_t)self->only_right);
    json_t *weights =
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "largest_difference", real_json(has_weights, self->largest),
            "norm_of_difference", real_json(has_weights, sqrt(self->difference_square)), "norm_a",
            real_json(has_weights, sqrt(self->left_square)), "norm_b", real_json(has_weights, sqrt(self->right_square)),
            "changes", changes_json(self, top));
    json_t *blocks = json_pack("{s:o, s:o}", "changed",
        self->is_same_schema ? json_integer((json_int_t)self->blocks_changed) : json_null(), "largest_difference",
        real_json(self->is_same_schema, self->blocks_largest));
    json_t *all = json_pack("{s:b, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "equal", is_equal(self), "a",
        side_json(&self->left), "b", side_json(&self->right), "pipeline", lines_json(&self->pipeline), "same_schema",
        self->is_same_schema, "rows", rows, "weights", weights, "blocks", blocks);
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    if (text == NULL)
        return tw_no_memory(error, 0);
    (void)printf("%s\n", text);
    free(text);
    return TW_STATUS_OK;
}

static tw_status print(const comparison *self, const char *format, size_t top, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    if (strcmp(format, "json") == 0)
        status = print_json(self, top, error);
    else
        print_text(self, top);
    if (status == TW_STATUS_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = tw_error_set(error, TW_STATUS_IO, "standard output cannot be written");
    return status;
}

int model_diff(const flags *given, const char *left, const char *right)
{
    comparison *self = tw_alloc_zero(sizeof *self);
    const char *format = flags_text(given, "format", "text");
    uint64_t top = 20;
    tw_error error = {0};
    tw_status status = TW_STATUS_OK;
    if (self == NULL) {
        status = tw_no_memory(&error, sizeof *self);
        console_error(&error);
        return tw_status_exit_code(status);
    }
    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        status = tw_error_set(&error, TW_STATUS_INVALID, "--format %s: expected text or json", format);
    if (status == TW_STATUS_OK)
        status = flags_count(given, "top", 20, MAX_TOP, &top, &error);
    if (status == TW_STATUS_OK)
        status = side_open(&self->left, left, &error);
    if (status == TW_STATUS_OK)
        status = side_open(&self->right, right, &error);
    if (status == TW_STATUS_OK)
        status = compare(self, &error);
    if (status == TW_STATUS_OK)
        status = print(self, format, (size_t)top, &error);
    int code = status < 0 ? tw_status_exit_code(status) : is_equal(self) ? 0 : EXIT_DIFFERENT;
    if (status < 0)
        console_error(&error);
    side_close(&self->left);
    side_close(&self->right);
    tw_text_fini(&self->pipeline);
    tw_free(self->top);
    tw_free(self);
    return code;
}
