/* Row files into an empty table. Threads take sections in turn, so that the file is read and summed up in order; each
 * checks its section and lays the rows out in a segment of their slots, or in their places of a hashed table, while the
 * others read on. A slot belongs to the newest file of a chain that replaces it: only rows of that file and of newer
 * ones count. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/loader.h"

enum { BULK_MAX_THREADS = 4, BULK_THREAD_BYTES = 8 << 20, BULK_KEYS = 256 };

typedef struct row_range {
    uint64_t first, last;
} row_range;

typedef struct bulk {
    tw_table *table;
    const char *directory;
    uint8_t at, newest[TW_N_SLOTS]; /* of the file at hand; of each slot */
    uint64_t now;                   /* the clock of the newest file */
    row_range *taken;               /* [n_taken] rows of a hashed table that sections of the file at hand have */
    size_t n_taken, taken_capacity;
    tw_chain chain, part;
    pthread_mutex_t reading, applying;
    tw_section_reader reader;
    tw_loader *load;
    bool is_over; /* no section is left, or one was bad */
    tw_status status;
    tw_error error;
} bulk;

static void bulk_fail(bulk *self, tw_status status, const tw_error *error)
{
    (void)pthread_mutex_lock(&self->reading);
    if (self->status == TW_STATUS_OK) {
        self->status = status;
        self->error = *error;
    }
    self->is_over = true;
    (void)pthread_mutex_unlock(&self->reading);
}

static tw_status bad(const bulk *self, const tw_section_view *section, const char *what, tw_error *error)
{
    return tw_error_set(error, TW_STATUS_CORRUPT, "%s: section %s at byte %llu: %s", self->load->path,
        tw_section_type_name(section->type), (unsigned long long)section->offset, what);
}

/* --- rows */

/* Key and row, and a stamp that a table without stamps passes over. */
static size_t pair_size(const bulk *self, const tw_section_view *section)
{
    return 8 + self->table->row_size + (section->type == TW_SECTION_STAMPED ? sizeof(uint32_t) : 0);
}

/* Rows of a file below with their stamps at the newest file's clock, without those that have expired since. */
static void settle_stamps(const bulk *self, tw_section_buffer *buffer, tw_section_view *section)
{
    if (buffer->bytes == NULL)
        return;
    size_t size = pair_size(self, section);
    unsigned char *from = buffer->bytes + (section->payload - buffer->bytes), *to = from;
    for (uint64_t i = 0; i < section->count; i++, from += size) {
        uint32_t stamp = tw_wire_u32(from + size - sizeof stamp);
        if (!tw_loader_stamp(self->load, &stamp))
            continue;
        if (to != from)
            memmove(to, from, size);
        tw_wire_out out = {.bytes = to, .size = size - sizeof stamp};
        tw_wire_put(&out, stamp, sizeof stamp);
        to += size;
    }
    section->length = (uint64_t)(to - section->payload);
    section->count = section->length / size;
}

/* Rows whose slots are [first, last]; -1: a key is not of the section. */
static int64_t count_rows(const bulk *self, const tw_section_view *section, uint32_t first, uint32_t last)
{
    int64_t n = 0;
    size_t size = pair_size(self, section);
    for (uint64_t i = 0; i < section->count; i++) {
        uint64_t key = tw_wire_u64(section->payload + i * size), slot = tw_key_slot(key);
        if (key == 0 || slot < section->first_slot || slot > section->last_slot)
            return -1;
        n += slot >= first && slot <= last;
    }
    return n;
}

/* Nobody else counts these slots. */
static void count_in_slots(bulk *self, const tw_section_view *section, uint32_t first, uint32_t last)
{
    uint32_t *slot_rows = self->table->keep.slot_rows;
    size_t size = pair_size(self, section);
    for (uint64_t i = 0; slot_rows != NULL && i < section->count; i++) {
        uint64_t slot = tw_wire_u64(section->payload + i * size) >> (64 - TW_SLOT_BITS);
        if (slot >= first && slot <= last)
            slot_rows[slot]++;
    }
}

static tw_status build(bulk *self, const tw_section_view *section, uint32_t first, uint32_t last, tw_error *error)
{
    tw_segment segment;
    int64_t n = count_rows(self, section, first, last);
    if (n < 0)
        return bad(self, section, "a key in it is out of range", error);
    if (n == 0)
        return TW_STATUS_OK;
    tw_status status = tw_segment_make(self->table, &segment, first, last, (uint64_t)n, error);
    if (status < 0)
        return status;
    if (!tw_segment_fill(self->table, &segment, section->payload, pair_size(self, section), section->count))
        status = bad(self, section, "a key occurs twice", error);
    if (status == TW_STATUS_OK) {
        tw_error why = {0};
        (void)pthread_mutex_lock(&self->applying);
        status = tw_segments_add(self->table, &segment, &why);
        (void)pthread_mutex_unlock(&self->applying);
        if (status == TW_STATUS_CORRUPT)
            status = bad(self, section, why.message, error);
        else if (status < 0 && error != NULL)
            *error = why;
    }
    if (status < 0)
        tw_segment_drop(self->table, &segment);
    else
        count_in_slots(self, section, first, last);
    return status;
}

static bool is_older(const bulk *self, uint64_t slot)
{
    return slot >= self->table->first_slot && slot <= self->table->last_slot && self->newest[slot] < self->at;
}

/* Rows on top of what files below have of their slots, in a table with last touches. */
static tw_status put_stamped(bulk *self, const tw_section_view *section, tw_error *error)
{
    tw_table *table = self->table;
    size_t size = pair_size(self, section);
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = 0; i < section->count && status == TW_STATUS_OK; i++) {
        const unsigned char *pair = section->payload + i * size;
        uint64_t key = tw_wire_u64(pair);
        bool has_stamp = section->type == TW_SECTION_STAMPED;
        uint32_t stamp = has_stamp ? tw_wire_u32(pair + 8 + table->row_size) : (uint32_t)table->keep.clock;
        void *row = NULL;
        if (!is_older(self, key >> (64 - TW_SLOT_BITS)))
            continue;
        status = tw_keep_put(table, key, stamp, &row, error);
        if (status == TW_STATUS_OK)
            memcpy(row, pair + 8, table->row_size);
    }
    return status;
}

/* The same without. */
static tw_status put_rows(bulk *self, const tw_section_view *section, tw_error *error)
{
    uint64_t key[BULK_KEYS];
    const unsigned char *from[BULK_KEYS];
    void *row[BULK_KEYS];
    uint32_t n = 0, row_size = self->table->row_size;
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = 0; i <= section->count && status == TW_STATUS_OK; i++) {
        if (n == BULK_KEYS || i == section->count) {
            status = tw_table_rows(self->table, key, n, TW_ACCESS_WRITE, row, error);
            for (uint32_t j = 0; status == TW_STATUS_OK && j < n; j++)
                memcpy(row[j], from[j], row_size);
            n = 0;
        }
        if (i == section->count)
            break;
        const unsigned char *pair = section->payload + i * pair_size(self, section);
        key[n] = tw_wire_u64(pair);
        from[n] = pair + 8;
        n += is_older(self, tw_key_slot(key[n]));
    }
    return status;
}

/* Slots of [low, high] that belong to the file at hand get segments of their own. */
static tw_status build_own(
    bulk *self, const tw_section_view *section, uint32_t low, uint32_t high, bool *has_older, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    *has_older = false;
    for (uint32_t first = low; first <= high && status == TW_STATUS_OK; first++) {
        uint32_t last = first;
        *has_older = *has_older || is_older(self, first);
        if (self->newest[first] != self->at)
            continue;
        while (last < high && last - first + 1 < TW_SEGMENT_SLOTS && self->newest[last + 1] == self->at)
            last++;
        status = build(self, section, first, last, error);
        first = last;
    }
    return status;
}

static tw_status visit_exact(bulk *self, const tw_section_view *section, tw_error *error)
{
    const tw_table *table = self->table;
    if (section->first_slot > section->last_slot || section->last_slot >= TW_N_SLOTS ||
        count_rows(self, section, 0, 0) < 0)
        return bad(self, section, "a key in it is out of range", error);
    uint32_t low = section->first_slot > table->first_slot ? section->first_slot : table->first_slot;
    uint32_t high = section->last_slot < table->last_slot ? section->last_slot : table->last_slot;
    bool has_older;
    tw_status status = build_own(self, section, low, high, &has_older, error);
    if (status < 0 || !has_older)
        return status;
    (void)pthread_mutex_lock(&self->applying);
    status = table->is_stamped ? put_stamped(self, section, error) : put_rows(self, section, error);
    (void)pthread_mutex_unlock(&self->applying);
    return status;
}

/* Sections of one file share no row, so that each may be laid out beside the others. */
static tw_status take_range(bulk *self, const tw_section_view *section, const row_range *wanted, tw_error *error)
{
    bool is_taken = false;
    (void)pthread_mutex_lock(&self->applying);
    for (size_t i = 0; i < self->n_taken; i++)
        is_taken = is_taken || (wanted->first <= self->taken[i].last && self->taken[i].first <= wanted->last);
    tw_status status = tw_grow(&self->taken, sizeof *self->taken, &self->taken_capacity, self->n_taken + 1, error);
    if (status == TW_STATUS_OK)
        self->taken[self->n_taken++] = *wanted;
    (void)pthread_mutex_unlock(&self->applying);
    return status == TW_STATUS_OK && is_taken ? bad(self, section, "its rows are in another one as well", error)
                                              : status;
}

static tw_status visit_hashed(bulk *self, const tw_section_view *section, tw_error *error)
{
    tw_table *table = self->table;
    size_t size = pair_size(self, section), row_size = table->row_size;
    row_range range = {UINT64_MAX, 0};
    for (uint64_t i = 0; i < section->count; i++) {
        uint64_t key = tw_wire_u64(section->payload + i * size), row = key >> table->shift;
        if (!tw_loader_has_key(self->load, section, key))
            return bad(self, section, "a key in it is out of range", error);
        range.first = row < range.first ? row : range.first;
        range.last = row > range.last ? row : range.last;
    }
    tw_status status = section->count == 0 ? TW_STATUS_OK : take_range(self, section, &range, error);
    for (uint64_t i = 0; i < section->count && status == TW_STATUS_OK; i++) {
        const unsigned char *pair = section->payload + i * size;
        uint64_t key = tw_wire_u64(pair), slot = key >> (64 - TW_SLOT_BITS);
        if (slot >= table->first_slot && slot <= table->last_slot && self->newest[slot] <= self->at)
            memcpy(table->rows + ((key >> table->shift) - table->first_row) * row_size, pair + 8, row_size);
    }
    return status;
}

static tw_status visit_rows(bulk *self, tw_section_buffer *buffer, tw_section_view *section, tw_error *error)
{
    size_t size = pair_size(self, section);
    if (section->length / size != section->count || section->length % size != 0)
        return bad(self, section, "its length does not fit its count", error);
    if (section->type == TW_SECTION_STAMPED && self->load->is_below)
        settle_stamps(self, buffer, section);
    return self->table->spec.kind == TW_TABLE_HASHED ? visit_hashed(self, section, error)
                                                     : visit_exact(self, section, error);
}

static tw_status visit(bulk *self, tw_section_buffer *buffer, tw_section_view *section, tw_error *error)
{
    if (tw_section_has_rows(section->type))
        return visit_rows(self, buffer, section, error);
    if (!tw_section_is_body(section->type))
        return bad(self, section, "comes after blocks or rows", error);
    (void)pthread_mutex_lock(&self->applying);
    tw_status status = tw_loader_visit(self->load, section, error);
    (void)pthread_mutex_unlock(&self->applying);
    return status;
}

/* --- one file */

static void *take_sections(void *context)
{
    bulk *self = context;
    tw_section_buffer buffer = {0};
    for (;;) {
        tw_section_view section = {0};
        tw_error error = {0};
        tw_status status = TW_STATUS_END;
        (void)pthread_mutex_lock(&self->reading);
        if (!self->is_over)
            status = tw_section_reader_next(&self->reader, &buffer, &section, &error);
        self->is_over = self->is_over || status != TW_STATUS_OK;
        (void)pthread_mutex_unlock(&self->reading);
        if (status == TW_STATUS_OK)
            status = tw_section_check(&self->reader, &section, &error);
        if (status == TW_STATUS_OK)
            status = visit(self, &buffer, &section, &error);
        if (status < 0)
            bulk_fail(self, status, &error);
        if (status != TW_STATUS_OK)
            break;
    }
    tw_free(buffer.bytes);
    return NULL;
}

/* What comes before blocks and rows, checked and then taken. IDLE: the section at hand is the first of these. */
static tw_status read_head(bulk *self, tw_section_buffer *buffer, tw_section_view *section, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    while (status == TW_STATUS_OK) {
        status = tw_section_reader_next(&self->reader, buffer, section, error);
        if (status == TW_STATUS_OK)
            status = tw_section_check(&self->reader, section, error);
        if (status != TW_STATUS_OK)
            break;
        if (tw_section_is_body(section->type))
            return self->load->has_spec ? TW_STATUS_IDLE : bad(self, section, "comes before the spec", error);
        self->load->is_applying = false;
        status = tw_loader_visit(self->load, section, error);
        self->load->is_applying = true;
        if (status == TW_STATUS_OK && section->type != TW_SECTION_SPEC)
            status = tw_loader_visit(self->load, section, error);
    }
    return status;
}

static void run_threads(bulk *self)
{
    pthread_t thread[BULK_MAX_THREADS];
    long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int n = 0, wanted = n_cpus < BULK_MAX_THREADS ? (int)n_cpus - 1 : BULK_MAX_THREADS - 1;
    while (self->reader.size > BULK_THREAD_BYTES && n < wanted &&
           pthread_create(&thread[n], NULL, take_sections, self) == 0)
        n++;
    (void)take_sections(self);
    while (n > 0)
        (void)pthread_join(thread[--n], NULL);
}

static tw_status read_file(bulk *self, tw_error *error)
{
    tw_section_buffer buffer = {0};
    tw_section_view section = {0};
    tw_status status = tw_section_reader_open(&self->reader, self->load->path, TW_STORE_ROWS, error);
    if (status == TW_STATUS_OK)
        status = read_head(self, &buffer, &section, error);
    if (status == TW_STATUS_IDLE) {
        self->status = visit(self, &buffer, &section, &self->error);
        self->is_over = self->status < 0;
        run_threads(self);
        status = self->status;
        if (status < 0 && error != NULL)
            *error = self->error;
    }
    tw_free(buffer.bytes);
    return status < 0 ? status : TW_STATUS_OK;
}

/* Slots of [first, last] that no segment covers get an empty one, but not those that a newer file replaces. */
static tw_status cover(bulk *self, uint32_t first, uint32_t last, uint8_t at, tw_error *error)
{
    tw_table *table = self->table;
    tw_status status = TW_STATUS_OK;
    for (uint32_t slot = first; slot <= last && status == TW_STATUS_OK; slot++) {
        uint32_t end = slot;
        tw_segment segment;
        if (table->segment_of[slot] != TW_NO_SEGMENT || self->newest[slot] >= at)
            continue;
        while (end < last && end - slot + 1 < TW_SEGMENT_SLOTS && table->segment_of[end + 1] == TW_NO_SEGMENT &&
               self->newest[end + 1] < at)
            end++;
        status = tw_segment_make(table, &segment, slot, end, 0, error);
        if (status == TW_STATUS_OK)
            status = tw_segments_add(table, &segment, error);
        if (status < 0)
            tw_segment_drop(table, &segment);
    }
    return status;
}

static tw_status cover_own(bulk *self, uint8_t at, tw_error *error)
{
    const tw_table *table = self->table;
    uint32_t low = self->load->first_slot > table->first_slot ? self->load->first_slot : table->first_slot;
    uint32_t high = self->load->last_slot < table->last_slot ? self->load->last_slot : table->last_slot;
    return low <= high ? cover(self, low, high, at, error) : TW_STATUS_OK;
}

static tw_status load_file(
    bulk *self, const char *name, const tw_row_file *file, uint8_t at, const char *standing, tw_error *error)
{
    char path[TW_STORE_PATH_SIZE];
    tw_row_file found;
    tw_status status = tw_store_path(path, self->directory, name, error);
    self->load = status < 0 ? NULL : tw_alloc_zero(sizeof *self->load);
    if (self->load == NULL)
        return status < 0 ? status : tw_no_memory(error, sizeof *self->load);
    *self->load = (tw_loader){.path = path,
        .name = name,
        .table = self->table,
        .is_below = standing != NULL,
        .at = at,
        .newest = self->newest,
        .now = self->now};
    self->n_taken = 0;
    self->at = at;
    self->is_over = false;
    self->status = TW_STATUS_OK;
    self->reader = (tw_section_reader){.fd = -1};
    status = read_file(self, error);
    if (status == TW_STATUS_NOT_FOUND && standing != NULL)
        status = tw_error_set(error, TW_STATUS_CORRUPT, "%s: is missing, but %s stands on it", path, standing);
    if (status == TW_STATUS_OK) {
        tw_section_reader_sum(&self->reader, &found);
        status = tw_loader_check(self->load, self->reader.schema_hash, file, &found, error);
    }
    if (status == TW_STATUS_OK)
        status = cover_own(self, (uint8_t)(at + 1), error);
    if (status == TW_STATUS_OK && standing == NULL)
        status = tw_loader_finish(self->load, error);
    tw_section_reader_close(&self->reader);
    tw_loader_free(self->load);
    self->load = NULL;
    return status;
}

/* --- a chain of files */

static void note_replaced(bulk *self, const tw_chain *chain, uint8_t at)
{
    for (uint32_t slot = 0; slot < TW_N_SLOTS; slot++) {
        if (tw_chain_replaces(chain, slot))
            self->newest[slot] = at;
    }
}

static tw_status read_chain(bulk *self, const char *name, tw_error *error)
{
    memset(self->newest, 0, sizeof self->newest);
    tw_status status = tw_chain_peek(self->directory, name, &self->chain, error);
    self->now = self->chain.clock;
    for (uint32_t i = 0; i < self->chain.n_files && status == TW_STATUS_OK; i++) {
        const char *below = self->chain.file[i].name;
        status = tw_chain_peek(self->directory, below, &self->part, error);
        if (status == TW_STATUS_NOT_FOUND)
            status = tw_error_set(
                error, TW_STATUS_CORRUPT, "%s/%s: is missing, but %s stands on it", self->directory, below, name);
        if (status == TW_STATUS_OK)
            note_replaced(self, &self->part, (uint8_t)i);
    }
    if (status == TW_STATUS_OK && self->chain.n_files > 0)
        note_replaced(self, &self->chain, (uint8_t)self->chain.n_files);
    return status;
}

static tw_status load_chain(bulk *self, const char *name, const tw_row_file *file, tw_error *error)
{
    tw_status status = read_chain(self, name, error);
    uint8_t n = (uint8_t)self->chain.n_files;
    for (uint8_t i = 0; i < n && status == TW_STATUS_OK; i++)
        status = load_file(self, self->chain.file[i].name, &self->chain.file[i], i, name, error);
    return status < 0 ? status : load_file(self, name, file, n, NULL, error);
}

bool tw_bulk_is_possible(const tw_table *table)
{
    if (table->frozen != NULL || table->touched != NULL || table->row_size == 0)
        return false;
    return table->spec.kind == TW_TABLE_HASHED || tw_segments_are_empty(table);
}

static bulk *bulk_open(tw_table *table, const char *directory)
{
    bulk *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return NULL;
    self->table = table;
    self->directory = directory;
    table->is_loading = true;
    (void)pthread_mutex_init(&self->reading, NULL);
    (void)pthread_mutex_init(&self->applying, NULL);
    if (table->spec.kind == TW_TABLE_EXACT)
        tw_segments_uncover(table);
    return self;
}

/* Also after an error every slot has a segment, if there is memory for it. */
static tw_status bulk_close(bulk *self, tw_status status, tw_error *error)
{
    memset(self->newest, 0, sizeof self->newest);
    tw_status covered = cover(self, self->table->first_slot, self->table->last_slot, 1, status < 0 ? NULL : error);
    self->table->is_loading = false;
    (void)pthread_mutex_destroy(&self->reading);
    (void)pthread_mutex_destroy(&self->applying);
    tw_free(self->taken);
    tw_free(self);
    return status < 0 ? status : covered;
}

tw_status tw_bulk_load(
    tw_table *table, const char *directory, const tw_row_file *file, uint32_t n_files, tw_error *error)
{
    bulk *self = bulk_open(table, directory);
    tw_status status = TW_STATUS_OK;
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    for (uint32_t i = 0; i < n_files && status == TW_STATUS_OK; i++)
        status = load_chain(self, file[i].name, &file[i], error);
    return bulk_close(self, status, error);
}

tw_status tw_bulk_load_any(tw_table *table, const char *directory, const char *name, tw_error *error)
{
    bulk *self = bulk_open(table, directory);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    return bulk_close(self, load_chain(self, name, NULL, error), error);
}
