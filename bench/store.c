/* Measures src/store: inserts, random rows, bytes per row, the longest call while growing, the cost of a snapshot.
 * Usage: store [millions of rows ...]; without arguments 1 and 8. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "data/key.h"
#include "store/table.h"

enum { BATCH = 9000, ROUNDS = 300 };

static uint64_t keys[BATCH];
static void *rows[BATCH];

static tw_table *bench_table(tw_table_kind kind, uint32_t bits)
{
    tw_table_spec spec = {.kind = kind, .bits = bits, .hash_seed = 1};
    tw_table *table = NULL;
    if (tw_record_add(&spec.schema.row, "z", TW_FIELD_F32, 2, TW_MERGE_ADD, NULL) < 0 ||
        tw_table_create(&spec, 0, TW_N_SLOTS - 1, &table, NULL) < 0)
        exit(1);
    return table;
}

static void random_keys(uint64_t *seed, uint64_t n_rows)
{
    for (int i = 0; i < BATCH; i++)
        keys[i] = tw_key_nonzero(tw_mix64(tw_mix64((*seed)++ + (1ull << 40)) % n_rows + 1));
}

static int64_t timed_rows(tw_table *table, tw_access access)
{
    int64_t start = tw_clock_monotonic_us();
    if (tw_table_rows(table, keys, BATCH, access, rows, NULL) < 0)
        exit(1);
    return tw_clock_monotonic_us() - start;
}

static void insert_all(tw_table *table, uint64_t n_rows)
{
    int64_t total = 0;
    int64_t longest = 0;
    double worst_bytes = 0;
    for (uint64_t next = 0; next < n_rows;) {
        for (int i = 0; i < BATCH; i++)
            keys[i] = tw_key_nonzero(tw_mix64(++next));
        int64_t us = timed_rows(table, TW_ACCESS_WRITE);
        total += us;
        longest = us > longest ? us : longest;
        tw_params_stats stats;
        tw_table_stats(table, &stats);
        double bytes = (double)stats.bytes / (double)stats.rows;
        if (stats.rows > 1000000 && bytes > worst_bytes)
            worst_bytes = bytes;
    }
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    printf("insert   %8.2f M rows/s, longest call %lld us, %.2f bytes a row (worst above 1 M: %.2f)\n",
        (double)stats.rows / (double)total, (long long)longest, (double)stats.bytes / (double)stats.rows, worst_bytes);
}

static volatile float sink;

static void look_up(tw_table *table, uint64_t n_rows, const char *name)
{
    uint64_t seed = 0;
    int64_t find = 0;
    int64_t touch = 0;
    int64_t longest = 0;
    for (int round = 0; round < ROUNDS; round++) {
        random_keys(&seed, n_rows);
        int64_t us = timed_rows(table, TW_ACCESS_WRITE);
        find += us;
        longest = us > longest ? us : longest;
        int64_t start = tw_clock_monotonic_us();
        float sum = 0;
        for (int i = 0; i < BATCH; i++) {
            __builtin_prefetch(rows[i + 16 < BATCH ? i + 16 : i]);
            float *row = rows[i];
            sum += row[0];
            row[1] += 1;
        }
        sink = sum;
        touch += tw_clock_monotonic_us() - start;
    }
    double n = (double)ROUNDS * BATCH / 1000;
    printf("%-8s %8.2f ns a row to find, %.2f ns to prefetch and touch, longest call %lld us\n", name, (double)find / n,
        (double)touch / n, (long long)longest);
}

/* The lower bound: independent random lines of as much memory, prefetched alike and read. */
static void prefetch_only(size_t size)
{
    unsigned char *memory = calloc(size, 1);
    uint64_t sum = 0;
    int64_t total = 0;
    uint64_t seed = 0;
    for (int round = 0; memory != NULL && round < ROUNDS; round++) {
        random_keys(&seed, UINT64_MAX);
        for (size_t i = 0; round == 0 && i < size; i += 4096)
            memory[i] = 1;
        int64_t start = tw_clock_monotonic_us();
        for (int i = 0; i < BATCH + 16; i++) {
            if (i < BATCH)
                __builtin_prefetch(memory + (keys[i] >> 20) % size);
            if (i >= 16)
                sum += memory[(keys[i - 16] >> 20) % size];
        }
        total += tw_clock_monotonic_us() - start;
    }
    sink = (float)sum;
    printf("bound    %8.2f ns a random line of %zu MB, prefetched\n", (double)total * 1000 / ((double)ROUNDS * BATCH),
        size >> 20);
    free(memory);
}

static void *write_run(void *frozen)
{
    tw_row_file file;
    int64_t start = tw_clock_monotonic_us();
    tw_status status = tw_frozen_write(frozen, "/tmp/tw_bench_store", "000001.rows-0-of-1", &file, NULL);
    printf("snapshot %8.2f s to write %.0f MB: %s\n", (double)(tw_clock_monotonic_us() - start) / 1e6,
        (double)file.size / 1e6, tw_status_name(status));
    return NULL;
}

static void snapshot(tw_table *table, uint64_t n_rows)
{
    tw_frozen *frozen = NULL;
    pthread_t thread;
    int64_t start = tw_clock_monotonic_us();
    if (tw_table_freeze(table, 64 << 20, &frozen, NULL) < 0 || pthread_create(&thread, NULL, write_run, frozen) != 0)
        exit(1);
    printf("freeze   %8lld us\n", (long long)(tw_clock_monotonic_us() - start));
    look_up(table, n_rows, "frozen");
    (void)pthread_join(thread, NULL);
    tw_frozen_destroy(&frozen);
    look_up(table, n_rows, "thawed");
    (void)remove("/tmp/tw_bench_store/000001.rows-0-of-1");
    (void)remove("/tmp/tw_bench_store");
}

static void measure(tw_table *table, uint64_t n_rows)
{
    insert_all(table, n_rows);
    look_up(table, n_rows, "rows");
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    prefetch_only((size_t)stats.bytes);
    snapshot(table, n_rows);
    tw_table_destroy(&table);
}

int main(int argc, char **argv)
{
    uint64_t millions[8] = {1, 8};
    int n = 2;
    for (int i = 1; i < argc && i <= 8; i++) {
        millions[i - 1] = strtoull(argv[i], NULL, 10);
        n = i;
    }
    for (int i = 0; i < n; i++) {
        printf("--- exact, %llu M rows\n", (unsigned long long)millions[i]);
        measure(bench_table(TW_TABLE_EXACT, 0), millions[i] * 1000000);
    }
    printf("--- hashed, 2^22 rows\n");
    measure(bench_table(TW_TABLE_HASHED, 22), 4000000);
    return 0;
}
