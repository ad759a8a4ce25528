/* csv_scan.c: see csv_scan.h. */
#include "formats/csv_scan.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static uint64_t block_mask_tail(const tw_csv_scan *scan)
{
    uint64_t mask = 0;
    size_t n = (size_t)(scan->limit - scan->base);
    for (size_t i = 0; i < n && i < 64; i++) {
        char c = scan->base[i];
        if (c == scan->delimiter || c == '\n' || (c == scan->quote && scan->quote))
            mask |= 1ull << i;
    }
    return mask;
}

static inline uint64_t block_mask(const tw_csv_scan *scan)
{
#if defined(__SSE2__)
    if (scan->limit - scan->base >= 64) {
        /* Without quotes the delimiter stands in for them. */
        const __m128i delimiter = _mm_set1_epi8(scan->delimiter), feed = _mm_set1_epi8('\n');
        const __m128i quote = scan->quote != 0 ? _mm_set1_epi8(scan->quote) : delimiter;
        uint64_t mask = 0;
        for (size_t i = 0; i < 4; i++) {
            __m128i block = _mm_loadu_si128((const __m128i *)(const void *)(scan->base + 16 * i));
            __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(block, feed),
                _mm_or_si128(_mm_cmpeq_epi8(block, delimiter), _mm_cmpeq_epi8(block, quote)));
            mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << (16 * i);
        }
        return mask;
    }
#endif
    return block_mask_tail(scan);
}

tw_csv_scan tw_csv_scan_begin(const tw_csv_layout *layout, const char *at, const char *limit)
{
    tw_csv_scan scan = {.base = at, .limit = limit, .delimiter = layout->delimiter, .quote = layout->quote};
    scan.mask = block_mask(&scan);
    return scan;
}

/* The next structural byte; NULL: none before the limit. */
static inline const char *scan_next(tw_csv_scan *scan)
{
    while (scan->mask == 0) {
        if (scan->limit - scan->base <= 64)
            return NULL;
        scan->base += 64;
        scan->mask = block_mask(scan);
    }
    const char *found = scan->base + __builtin_ctzll(scan->mask);
    scan->mask &= scan->mask - 1;
    return found;
}

/* --- locating a record ------------------------------------------------------------------------------------------- */

static void record_fault(tw_csv_record *record, const char *at, const char *problem)
{
    if (!record->fault) {
        record->fault = at;
        record->problem = problem;
    }
}

/* Behind an opening quote: takes all bytes up to the closing quote. Returns the byte behind it; NULL: there is none. */
static const char *quoted_end(tw_csv_scan *scan, tw_csv_record *record, uint32_t *flags)
{
    for (const char *at = scan_next(scan); at; at = scan_next(scan)) {
        record->n_lines += *at == '\n';
        if (*at != scan->quote)
            continue;
        if (at + 1 >= scan->limit || at[1] != scan->quote)
            return at + 1;
        *flags = TW_CSV_DOUBLED;
        (void)scan_next(scan);
    }
    return NULL;
}

/* Whether the bytes from `at`, behind a closing quote, to the structural byte `next` (NULL: the limit) may stand there.
 */
static bool is_quoted_end(const tw_csv_scan *scan, const char *at, const char *next)
{
    const char *end = next ? next : scan->limit;
    bool is_line_end = !next || *next == '\n';
    return at == end || (is_line_end && *at == '\r' && at + 1 == end);
}

/* At an opening quote: the structural byte that ends the cell. NULL: no more in the input. A misplaced byte behind the
 * closing quote is a fault. */
static const char *cell_quoted(tw_csv_scan *scan, const char *start, tw_csv_record *record, uint32_t *flags)
{
    const char *after = quoted_end(scan, record, flags);
    if (!after) {
        record_fault(record, start, "the cell's opening quote has no closing quote");
        return NULL;
    }
    const char *next = scan_next(scan);
    if (!is_quoted_end(scan, after, next))
        record_fault(record, after, "expected a delimiter or the end of the line behind the closing quote");
    return next;
}

/* Moves on to the line feed that ends a faulty record. */
static const char *skip_line(tw_csv_scan *scan, const char *at)
{
    while (at && *at != '\n')
        at = scan_next(scan);
    return at;
}

/* At a quote of the cell that starts at `cell`: the structural byte that ends the cell, of a faulty record its line
 * feed; NULL: no more in the input. */
static const char *csv_quote(
    tw_csv_scan *scan, const char *cell, const char *at, tw_csv_record *record, uint32_t *flags)
{
    if (at == cell)
        at = cell_quoted(scan, cell, record, flags);
    else
        record_fault(record, at, "a quote stands inside a cell that does not begin with one");
    return record->fault ? skip_line(scan, at) : at;
}

bool tw_csv_locate(
    const tw_csv_layout *self, tw_csv_scan *scan, const char *start, bool is_final, tw_csv_record *record)
{
    const char *cell = start, *at;
    uint32_t n = 0, n_columns = self->n_columns, flags = 0;
    *record = (tw_csv_record){.start = start};
    for (;;) {
        at = scan_next(scan);
        if (at && *at == self->quote)
            at = csv_quote(scan, cell, at, record, &flags);
        if (!at || *at == '\n')
            break;
        if (n < n_columns)
            self->cell_end[n] = (uint32_t)(at - start) | flags;
        n++;
        cell = at + 1;
        flags = 0;
    }
    if (!at && !is_final)
        return false;
    record->n_lines++;
    record->end = at ? at : scan->limit;
    record->next = at ? at + 1 : scan->limit;
    if (record->end > start && record->end[-1] == '\r')
        record->end--;
    if (n < n_columns)
        self->cell_end[n] = (uint32_t)(record->end - start) | flags;
    record->n_cells = n + 1;
    if (record->next - start > TW_CSV_RECORD_MAX)
        record_fault(record, start, "the record is larger than 1 GiB");
    return true;
}
