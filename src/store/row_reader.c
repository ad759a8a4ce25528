/* Row files back into tables. A file is read twice: once to check everything, once to use it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/loader.h"
#include "store/section.h"
#include "store/spec.h"

typedef tw_loader loader;

static tw_status bad(const loader *self, const tw_section_view *section, tw_error *error, const char *what)
{
    return tw_error_set(error, TW_STATUS_CORRUPT, "%s: section %s at byte %llu: %s", self->path,
        tw_section_type_name(section->type), (unsigned long long)section->offset, what);
}

static tw_status check_spec(const loader *self, tw_error *error)
{
    tw_error difference = {0};
    if (tw_spec_compare(&self->spec, &self->table->spec, &difference) == TW_STATUS_OK)
        return TW_STATUS_OK;
    return tw_error_set(error, difference.status, "%s: %s", self->path, difference.message);
}

static tw_status visit_spec(loader *self, const tw_section_view *section, tw_error *error)
{
    if (self->has_spec)
        return bad(self, section, error, "occurs twice");
    if (section->first_slot > section->last_slot || section->last_slot >= TW_N_SLOTS)
        return bad(self, section, error, "its slots are not valid");
    self->has_spec = true;
    self->first_slot = section->first_slot;
    self->last_slot = section->last_slot;
    tw_status status = tw_spec_read(&self->spec, section, error);
    if (status < 0 && error != NULL) {
        char why[200];
        (void)snprintf(why, sizeof why, "%.199s", error->message);
        return bad(self, section, error, why);
    }
    return status < 0 || self->table == NULL ? status : check_spec(self, error);
}

static tw_status visit_marks(loader *self, const tw_section_view *section, tw_error *error)
{
    if (section->length / 16 != section->count || section->length % 16 != 0)
        return bad(self, section, error, "its length does not fit its count");
    if (self->is_applying || self->mark != NULL)
        return self->is_applying ? TW_STATUS_OK : bad(self, section, error, "occurs twice");
    self->mark = tw_alloc(((size_t)section->count + 1) * sizeof *self->mark);
    if (self->mark == NULL)
        return tw_no_memory(error, (size_t)section->count * sizeof *self->mark);
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    for (self->n_marks = 0; self->n_marks < section->count; self->n_marks++) {
        self->mark[self->n_marks].split = tw_wire_get(&in, 8);
        self->mark[self->n_marks].to = tw_wire_get(&in, 8);
    }
    return self->table == NULL || self->is_below ? TW_STATUS_OK : tw_loader_check_marks(self, error);
}

/* A file made without stamps gives its rows the present tick. */
static tw_status use_row(loader *self, uint64_t key, const unsigned char *row, bool is_stamped, tw_error *error)
{
    tw_table *table = self->table;
    uint64_t slot = tw_key_slot(key);
    if (slot < table->first_slot || slot > table->last_slot || (self->newest != NULL && self->at < self->newest[slot]))
        return TW_STATUS_OK;
    void *to = NULL;
    tw_status status;
    uint32_t stamp = is_stamped ? tw_wire_u32(row + table->row_size) : (uint32_t)table->keep.clock;
    if (is_stamped && !tw_loader_stamp(self, &stamp))
        return TW_STATUS_OK;
    if (table->is_stamped)
        status = tw_keep_put(table, key, stamp, &to, error);
    else
        status = tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &to, error);
    if (status == TW_STATUS_OK)
        memcpy(to, row, table->row_size);
    return status;
}

static tw_status use_record(loader *self, uint32_t block, uint64_t index, const unsigned char *record, tw_error *error)
{
    void *to = NULL;
    if (!tw_table_has_block_record(self->table, block, (uint32_t)index))
        return TW_STATUS_OK;
    tw_status status = tw_table_block_record(self->table, block, (uint32_t)index, TW_ACCESS_WRITE, &to, error);
    if (status == TW_STATUS_OK)
        memcpy(to, record, self->spec.schema.block[block].record.size);
    return status;
}

static tw_status visit_pairs(loader *self, const tw_section_view *section, tw_error *error)
{
    bool is_block = section->type == TW_SECTION_BLOCK, is_stamped = section->type == TW_SECTION_STAMPED;
    if (is_block && section->index >= self->spec.schema.n_blocks)
        return bad(self, section, error, "the schema has no such block");
    const tw_schema *schema = &self->spec.schema;
    uint64_t size = 8 + (is_block ? schema->block[section->index].record.size : schema->row.size);
    size += is_stamped ? sizeof(uint32_t) : 0;
    if (section->length / size != section->count || section->length % size != 0)
        return bad(self, section, error, "its length does not fit its count");
    uint64_t limit = is_block ? schema->block[section->index].count : 0;
    for (uint64_t i = 0; i < section->count; i++) {
        const unsigned char *pair = section->payload + i * size;
        uint64_t key = tw_wire_u64(pair);
        if (is_block ? key >= limit : !tw_loader_has_key(self, section, key))
            return bad(self, section, error, "a key in it is out of range");
        tw_status status = TW_STATUS_OK;
        if (self->is_applying)
            status = is_block ? use_record(self, (uint32_t)section->index, key, pair + 8, error)
                              : use_row(self, key, pair + 8, is_stamped, error);
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}

static tw_status visit_chain(loader *self, const tw_section_view *section, tw_error *error)
{
    if (self->chain.n_files > 0)
        return self->is_applying ? TW_STATUS_OK : bad(self, section, error, "occurs twice");
    tw_status status = tw_chain_read(&self->chain, section, error);
    if (status == TW_STATUS_CORRUPT && error != NULL) {
        char why[200];
        (void)snprintf(why, sizeof why, "%.199s", error->message);
        return bad(self, section, error, why);
    }
    return status;
}

tw_status tw_loader_visit(void *context, const tw_section_view *section, tw_error *error)
{
    loader *self = context;
    if (section->type != TW_SECTION_SPEC && !self->has_spec)
        return bad(self, section, error, "comes before the spec");
    switch (section->type) {
    case TW_SECTION_SPEC:
        return visit_spec(self, section, error);
    case TW_SECTION_MARKS:
        return visit_marks(self, section, error);
    case TW_SECTION_EVENTS:
        self->events = section->count;
        self->origin = (tw_row_origin){section->index, section->first_slot == 1};
        return TW_STATUS_OK;
    case TW_SECTION_CHAIN:
        return visit_chain(self, section, error);
    case TW_SECTION_BLOCK:
    case TW_SECTION_ROWS:
    case TW_SECTION_STAMPED:
        return visit_pairs(self, section, error);
    case TW_SECTION_KEEP:
    case TW_SECTION_SEEN:
    case TW_SECTION_GONE:
        return tw_loader_visit_keep(self, section, error);
    case TW_SECTION_END:
    case TW_SECTION_INFO:
    case TW_SECTION_SPLITS:
    case TW_SECTION_FILES:
    case TW_SECTION_USER:
        break;
    }
    return bad(self, section, error, "does not belong into a row file");
}

tw_status tw_loader_check(
    const loader *self, uint64_t schema_hash, const tw_row_file *file, const tw_row_file *found, tw_error *error)
{
    if (!self->has_spec || schema_hash != tw_schema_hash(&self->spec.schema))
        return tw_error_set(
            error, TW_STATUS_CORRUPT, "%s: header at byte 0: its schema hash is not that of the spec", self->path);
    if (file != NULL && (file->size != found->size || file->checksum != found->checksum || file->rows != found->rows))
        return tw_error_set(error, TW_STATUS_CORRUPT,
            "%s: is not the file that was written: %llu bytes with checksum %llx, not %llu with %llx", self->path,
            (unsigned long long)found->size, (unsigned long long)found->checksum, (unsigned long long)file->size,
            (unsigned long long)file->checksum);
    return TW_STATUS_OK;
}

/* `file` NULL: whatever the file is. */
static tw_status walk(loader *self, const tw_row_file *file, tw_row_file *found, tw_error *error)
{
    uint64_t schema_hash = 0;
    self->has_spec = false;
    tw_status status = tw_sections_read(self->path, TW_STORE_ROWS, &schema_hash, tw_loader_visit, self, found, error);
    return status < 0 ? status : tw_loader_check(self, schema_hash, file, found, error);
}

tw_status tw_loader_finish(loader *self, tw_error *error)
{
    tw_table *table = self->table;
    tw_status status = tw_loader_take_marks(self, error);
    if (status < 0)
        return status;
    table->events = self->events > table->events ? self->events : table->events;
    table->epoch = self->origin.epoch > table->epoch ? self->origin.epoch : table->epoch;
    table->n_loaded++;
    (void)snprintf(table->loaded, sizeof table->loaded, "%s", self->name);
    return TW_STATUS_OK;
}

void tw_loader_free(loader *self)
{
    if (self == NULL)
        return;
    tw_free(self->mark);
    tw_free(self);
}

/* The files that make up one cut: those below a delta, base first, and the file itself, last. */
typedef struct chain_load {
    const char *directory;
    tw_table *table; /* NULL: only verify */
    loader *top;
    char *top_path;
    const tw_row_file *file; /* of the top; NULL: whatever it is */
    uint8_t newest[TW_N_SLOTS];
    char path[TW_STORE_PATH_SIZE];
} chain_load;

static void note_replaced(chain_load *self, const tw_chain *chain, uint8_t at)
{
    for (uint32_t slot = 0; slot < TW_N_SLOTS; slot++) {
        if (tw_chain_replaces(chain, slot))
            self->newest[slot] = at;
    }
}

static tw_status lower_open(chain_load *self, uint32_t at, loader **out, tw_error *error)
{
    const tw_row_file *file = &self->top->chain.file[at];
    tw_status status = tw_store_path(self->path, self->directory, file->name, error);
    *out = status < 0 ? NULL : tw_alloc_zero(sizeof **out);
    if (*out == NULL)
        return status < 0 ? status : tw_no_memory(error, sizeof **out);
    (*out)->path = self->path;
    (*out)->name = file->name;
    (*out)->table = self->table;
    (*out)->is_below = true;
    (*out)->at = (uint8_t)at;
    (*out)->newest = self->newest;
    (*out)->now = self->top->clock;
    return TW_STATUS_OK;
}

/* A file below is verified against what the delta says of it. */
static tw_status lower_verify(chain_load *self, uint32_t at, tw_error *error)
{
    loader *below;
    tw_row_file found;
    tw_status status = lower_open(self, at, &below, error);
    if (below == NULL)
        return status;
    status = walk(below, &self->top->chain.file[at], &found, error);
    if (status == TW_STATUS_NOT_FOUND)
        status =
            tw_error_set(error, TW_STATUS_CORRUPT, "%s: is missing, but %s stands on it", self->path, self->top->name);
    if (status == TW_STATUS_OK && tw_schema_hash(&below->spec.schema) != tw_schema_hash(&self->top->spec.schema))
        status = tw_error_set(error, TW_STATUS_CORRUPT, "%s: is of another model than %s, which stands on it",
            self->path, self->top->name);
    if (status == TW_STATUS_OK)
        note_replaced(self, &below->chain, (uint8_t)at);
    tw_loader_free(below);
    return status;
}

static tw_status lower_apply(chain_load *self, uint32_t at, tw_error *error)
{
    loader *below;
    tw_row_file found;
    tw_status status = lower_open(self, at, &below, error);
    if (below == NULL)
        return status;
    below->is_applying = true;
    status = walk(below, &self->top->chain.file[at], &found, error);
    tw_loader_free(below);
    return status;
}

/* Checks everything; after it `newest` tells which rows of which file count. */
static tw_status chain_verify(chain_load *self, tw_row_file *found, tw_error *error)
{
    loader *top = self->top;
    tw_status status = walk(top, self->file, found, error);
    for (uint32_t i = 0; i < top->chain.n_files && status == TW_STATUS_OK; i++)
        status = lower_verify(self, i, error);
    top->at = (uint8_t)top->chain.n_files;
    top->newest = top->at > 0 ? self->newest : NULL;
    if (status == TW_STATUS_OK && top->at > 0)
        note_replaced(self, &top->chain, top->at);
    return status;
}

static tw_status chain_apply(chain_load *self, tw_error *error)
{
    loader *top = self->top;
    tw_row_file found;
    tw_status status = TW_STATUS_OK;
    self->table->is_loading = true;
    for (uint32_t i = 0; i < top->chain.n_files && status == TW_STATUS_OK; i++)
        status = lower_apply(self, i, error);
    top->is_applying = true;
    if (status == TW_STATUS_OK)
        status = walk(top, self->file, &found, error);
    self->table->is_loading = false;
    return status < 0 ? status : tw_loader_finish(top, error);
}

static tw_status chain_open(const char *directory, const char *name, tw_table *table, chain_load **out, tw_error *error)
{
    chain_load *self = *out = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    *self = (chain_load){.directory = directory, .table = table};
    self->top = tw_alloc_zero(sizeof *self->top);
    if (self->top == NULL)
        return tw_no_memory(error, sizeof *self->top);
    self->top->name = name;
    self->top->table = table;
    self->top->path = self->top_path = tw_alloc(TW_STORE_PATH_SIZE);
    return self->top_path == NULL ? tw_no_memory(error, TW_STORE_PATH_SIZE)
                                  : tw_store_path(self->top_path, directory, name, error);
}

static void chain_close(chain_load *self)
{
    if (self == NULL)
        return;
    tw_loader_free(self->top);
    tw_free(self->top_path);
    tw_free(self);
}

tw_status tw_table_load(tw_table *self, const char *directory, const tw_row_file *file, tw_error *error)
{
    tw_row_file found;
    chain_load *load = NULL;
    tw_status status = chain_open(directory, file->name, self, &load, error);
    if (status == TW_STATUS_OK) {
        load->file = file;
        status = chain_verify(load, &found, error);
    }
    if (status == TW_STATUS_OK)
        status = chain_apply(load, error);
    chain_close(load);
    return status;
}

/* Which part of how many a row file is: its name ends in "rows-INDEX-of-COUNT". */
static bool parse_part(const char *name, uint64_t *index, uint64_t *count)
{
    const char *at = strstr(name, ".rows-");
    char *end = NULL;
    *index = at != NULL ? strtoull(at + 6, &end, 10) : 0;
    if (at == NULL || strncmp(end, "-of-", 4) != 0)
        return false;
    *count = strtoull(end + 4, NULL, 10);
    return *count >= 1 && *count <= TW_N_SLOTS && *index < *count;
}

/* Rows of a file without others below it that belong into the table: as many as it says, in so far as its slots are the
 * table's. A file that claims more rows than its bytes can hold is not believed. */
static uint64_t file_rows_expected(const tw_table *self, const tw_row_file *file)
{
    uint64_t index, count;
    uint64_t most = file->size / (sizeof(uint64_t) + self->row_size), rows = file->rows < most ? file->rows : most;
    if (!parse_part(file->name, &index, &count))
        return 0;
    uint64_t first = index * TW_N_SLOTS / count, last = (index + 1) * TW_N_SLOTS / count - 1;
    uint64_t low = first > self->first_slot ? first : self->first_slot;
    uint64_t high = last < self->last_slot ? last : self->last_slot;
    return low <= high ? rows * (high - low + 1) / (last - first + 1) : 0;
}

/* Of a delta: as many as the file at the bottom has. */
static tw_status rows_expected(
    const tw_table *self, const char *directory, const tw_row_file *file, uint64_t *rows, tw_error *error)
{
    tw_chain *chain = tw_alloc(sizeof *chain);
    if (chain == NULL)
        return tw_no_memory(error, sizeof *chain);
    tw_status status = tw_chain_peek(directory, file->name, chain, error);
    if (status == TW_STATUS_OK)
        *rows += file_rows_expected(self, chain->n_files > 0 ? &chain->file[0] : file);
    tw_free(chain);
    return status;
}

tw_status tw_table_load_all(
    tw_table *self, const char *directory, const tw_row_file *file, uint32_t n_files, tw_error *error)
{
    uint64_t rows = 0, n_slots = self->last_slot - self->first_slot + 1;
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < n_files && status == TW_STATUS_OK; i++)
        status = rows_expected(self, directory, &file[i], &rows, error);
    bool has_room = self->keep.room == 0 || rows <= n_slots * self->keep.room; /* else rows are evicted as they come */
    if (status == TW_STATUS_OK && has_room && tw_bulk_is_possible(self))
        return tw_bulk_load(self, directory, file, n_files, error);
    if (status == TW_STATUS_OK && self->spec.kind == TW_TABLE_EXACT && self->row_size > 0) {
        self->is_loading = true;
        status = tw_segments_reserve(self, rows, error);
        self->is_loading = false;
    }
    for (uint32_t i = 0; i < n_files && status == TW_STATUS_OK; i++)
        status = tw_table_load(self, directory, &file[i], error);
    return status;
}

static tw_status verify(const char *directory,
    const char *name,
    const tw_row_file *file,
    tw_row_file *found,
    tw_table_spec *spec,
    tw_error *error)
{
    chain_load *load = NULL;
    tw_status status = chain_open(directory, name, NULL, &load, error);
    if (status == TW_STATUS_OK) {
        load->file = file;
        status = chain_verify(load, found, error);
    }
    if (status == TW_STATUS_OK && spec != NULL)
        *spec = load->top->spec;
    chain_close(load);
    return status;
}

tw_status tw_row_file_sum(const char *directory, const char *name, tw_row_file *out, tw_error *error)
{
    memset(out, 0, sizeof *out);
    tw_status status = verify(directory, name, NULL, out, NULL, error);
    if (status == TW_STATUS_OK)
        memcpy(out->name, name, strnlen(name, TW_FILE_NAME_SIZE - 1));
    return status;
}

tw_status tw_row_file_check(
    const char *directory, const char *name, const tw_row_file *file, tw_row_file *found, tw_error *error)
{
    chain_load *load = NULL;
    memset(found, 0, sizeof *found);
    tw_status status = chain_open(directory, name, NULL, &load, error);
    if (status == TW_STATUS_OK)
        status = walk(load->top, file, found, error);
    memcpy(found->name, name, strnlen(name, TW_FILE_NAME_SIZE - 1));
    chain_close(load);
    return status;
}

tw_status tw_row_file_verify(const char *directory, const tw_row_file *file, tw_table_spec *spec, tw_error *error)
{
    tw_row_file found;
    return verify(directory, file->name, file, &found, spec, error);
}

void tw_row_file_name(uint64_t id, uint32_t index, uint32_t count, char name[TW_FILE_NAME_SIZE])
{
    (void)snprintf(name, TW_FILE_NAME_SIZE, "%06llu.rows-%u-of-%u", (unsigned long long)id, index, count);
}

bool tw_row_file_id(const char *name, uint32_t index, uint32_t count, uint64_t *id)
{
    char wanted[TW_FILE_NAME_SIZE];
    *id = 0;
    size_t digits = strspn(name, "0123456789");
    if (digits < 6 || digits > 19)
        return false;
    for (size_t i = 0; i < digits; i++)
        *id = *id * 10 + (uint64_t)(name[i] - '0');
    tw_row_file_name(*id, index, count, wanted);
    return strcmp(name, wanted) == 0;
}

tw_status tw_row_file_find(
    const char *directory, uint32_t index, uint32_t count, uint64_t *id, tw_row_file *out, tw_error *error)
{
    tw_names names;
    uint64_t below = UINT64_MAX;
    tw_status status = tw_directory_list(directory, &names, error);
    if (status < 0)
        return status;
    for (;;) {
        uint64_t best = 0;
        for (size_t i = 0; i < names.count; i++) {
            uint64_t found;
            if (tw_row_file_id(names.name[i], index, count, &found) && found < below && found >= best)
                best = found;
        }
        if (best == 0)
            break;
        char name[TW_FILE_NAME_SIZE];
        tw_row_file_name(best, index, count, name);
        memset(out, 0, sizeof *out);
        if (verify(directory, name, NULL, out, NULL, NULL) == TW_STATUS_OK) {
            memcpy(out->name, name, sizeof name);
            *id = best;
            tw_names_free(&names);
            return TW_STATUS_OK;
        }
        below = best;
    }
    tw_names_free(&names);
    return tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: no whole row file of shard %u of %u", directory, index, count);
}
