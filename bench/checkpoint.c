/* checkpoint.c: what a checkpoint costs the learner beside it, and how fast a shard's rows come back from disk. An FTRL
 * learner on an exact table of the given number of rows, events of 35 Zipf-distributed keys; a base, then deltas, then
 * the recovery of the newest, each file read as it is and with an empty page cache.
 *
 *   checkpoint [millions of rows=5] [directory=/tmp/tw_bench_checkpoint] [seconds between=5] [deltas=3]
 *              [table=exact]
 * deltas: less than none, say -3: as many bases after the first, and nothing is noted between them.
 * table: exact, kept (rows expire, so that they carry their last touch), or hashed, of at least as many places as
 * rows. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/key.h"
#include "store/checkpoint.h"
#include "thalweg/learner.h"

extern const tw_learner_ops tw_learner_ftrl;

enum { N_ENTRIES = 35, BATCH = 256, N_EVENTS = 400 * 1024, READ_SIZE = 4 << 20, MAX_LATENCIES = 1 << 20 };

typedef struct bench {
    const char *directory, *table;
    uint64_t rows_a_column, next_id, n_batches;
    uint64_t *key; /* [N_EVENTS x N_ENTRIES] */
    float *value, *label, *weight, *score;
    int64_t *time_us;
    uint32_t row_start[BATCH + 1];
    void *learner;
    tw_learner_traits traits;
    tw_table_spec spec;
    tw_params *params;
    tw_row_file newest;
    uint32_t latency[MAX_LATENCIES];
    uint32_t n_latencies;
    double cpu_rate, started_cpu; /* by the time that the learner's thread ran */
} bench;

static void must(tw_status status, const tw_error *error)
{
    if (status >= 0)
        return;
    fprintf(stderr, "checkpoint: %s\n", error->message);
    exit(1);
}

static uint64_t key_of(uint64_t column, uint64_t rank)
{
    return tw_key_nonzero(tw_mix64(column << 40 | rank));
}

/* Every column has as many keys; their ranks are drawn ~ 1 / rank. */
static void fill_stream(bench *self)
{
    uint64_t draw = 1;
    double span = log((double)self->rows_a_column);
    for (size_t i = 0; i < (size_t)N_EVENTS * N_ENTRIES; i++) {
        double u = (double)(tw_mix64(draw += 3) >> 11) * 0x1p-53;
        self->key[i] = key_of(i % N_ENTRIES, (uint64_t)exp(u * span));
        self->value[i] = 1.0f;
    }
    for (size_t i = 0; i < N_EVENTS; i++) {
        self->label[i] = tw_mix64(draw += 3) % 4 == 0 ? 1.0f : 0.0f;
        self->weight[i] = 1.0f;
    }
    for (uint32_t i = 0; i <= BATCH; i++)
        self->row_start[i] = i * N_ENTRIES;
}

static void *room(size_t size)
{
    void *memory = tw_alloc_zero(size);
    if (memory == NULL)
        exit(1);
    return memory;
}

static void open_model(bench *self)
{
    tw_error error = {0};
    tw_option_values *options = NULL;
    size_t n = (size_t)N_EVENTS * N_ENTRIES;
    self->key = room(n * sizeof *self->key);
    self->value = room(n * sizeof *self->value);
    self->label = room(N_EVENTS * sizeof *self->label);
    self->weight = room(N_EVENTS * sizeof *self->weight);
    self->score = room(BATCH * sizeof *self->score);
    self->time_us = room(N_EVENTS * sizeof *self->time_us);
    fill_stream(self);
    must(tw_option_values_create(tw_learner_ftrl.options, &options, &error), &error);
    self->learner = tw_alloc_aligned(64, tw_learner_ftrl.state_size(options));
    must(tw_learner_ftrl.open(self->learner, options, &self->traits, &error), &error);
    self->spec = (tw_table_spec){.kind = TW_TABLE_EXACT, .hash_seed = 1, .schema = self->traits.schema};
    if (strcmp(self->table, "kept") == 0)
        self->spec.keep.expire_after = TW_EXPIRE_MAX;
    if (strcmp(self->table, "hashed") == 0)
        self->spec.kind = TW_TABLE_HASHED;
    for (self->spec.bits = self->spec.kind == TW_TABLE_HASHED ? 12 : 0;
         self->spec.bits > 0 && 1ull << self->spec.bits < self->rows_a_column * N_ENTRIES;)
        self->spec.bits++;
    must(tw_local_create(&self->spec, &self->params, &error), &error);
}

/* One batch that only makes rows. */
static void fill_rows(bench *self)
{
    enum { MANY = 8192 };
    static uint64_t key[MANY];
    static const uint32_t start[2] = {0, MANY};
    tw_error error = {0};
    for (uint64_t first = 0; first < self->rows_a_column * N_ENTRIES; first += MANY) {
        tw_batch batch = {.n_events = 1, .n_entries = MANY, .row_start = start, .key = key, .split = 2};
        tw_rows rows;
        for (uint64_t i = 0; i < MANY; i++)
            key[i] = key_of((first + i) % N_ENTRIES, (first + i) / N_ENTRIES + 1);
        batch.from = first;
        batch.to = first + MANY;
        must(self->params->ops->acquire(self->params, &batch, TW_ACCESS_WRITE, &rows, &error), &error);
        must(self->params->ops->release(self->params, &batch, &rows, 0, &error), &error);
    }
}

static void learn_batch(bench *self)
{
    tw_error error = {0};
    size_t first = (size_t)(self->n_batches % (N_EVENTS / BATCH)) * BATCH;
    tw_batch batch = {.n_events = BATCH,
        .n_entries = BATCH * N_ENTRIES,
        .row_start = self->row_start,
        .key = self->key + first * N_ENTRIES,
        .value = self->value + first * N_ENTRIES,
        .label = self->label + first,
        .weight = self->weight + first,
        .time_us = self->time_us + first,
        .split = 1,
        .from = self->n_batches * BATCH,
        .to = (self->n_batches + 1) * BATCH};
    tw_rows rows;
    int64_t start = tw_clock_monotonic_us();
    must(self->params->ops->acquire(self->params, &batch, TW_ACCESS_WRITE, &rows, &error), &error);
    must(tw_learner_ftrl.learn(self->learner, &batch, &rows, self->score, &error), &error);
    must(self->params->ops->release(self->params, &batch, &rows, BATCH, &error), &error);
    self->n_batches++;
    if (self->n_latencies < MAX_LATENCIES)
        self->latency[self->n_latencies++] = (uint32_t)(tw_clock_monotonic_us() - start);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double resident_mb(void)
{
    long pages = 0, unused = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &unused, &pages) != 2)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static double cpu_seconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Events a second; prints the latencies of batches. */
static double report(bench *self, const char *what, int64_t took_us)
{
    uint32_t n = self->n_latencies;
    double rate = (double)n * BATCH / ((double)took_us / 1e6);
    qsort(self->latency, n, sizeof *self->latency, compare);
    self->cpu_rate = (double)n * BATCH / (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - self->started_cpu);
    printf("%-6s %7.0f events/s (%7.0f a second of its processor), a batch p50 %u us, p99 %u us, longest %.1f ms", what,
        rate, self->cpu_rate, self->latency[n / 2], self->latency[n - 1 - n / 100], (double)self->latency[n - 1] / 1e3);
    self->n_latencies = 0;
    return rate;
}

static double learn_alone(bench *self, double seconds, const char *what)
{
    int64_t start = tw_clock_monotonic_us();
    self->started_cpu = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    while (tw_clock_monotonic_us() - start < (int64_t)(seconds * 1e6))
        learn_batch(self);
    double rate = report(self, what, tw_clock_monotonic_us() - start);
    printf("\n");
    return rate;
}

/* Learns while the snapshot is written; gives the events a second of that time. */
static double learn_beside(bench *self, const char *what)
{
    tw_error error = {0};
    tw_row_files *files = room(sizeof *files);
    double before = resident_mb(), peak = before;
    int64_t start = tw_clock_monotonic_us();
    self->started_cpu = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    must(self->params->ops->snapshot_start(self->params, self->directory, self->next_id++, &error), &error);
    int64_t cut = tw_clock_monotonic_us() - start;
    tw_status status = TW_STATUS_IDLE;
    for (int i = 0; status == TW_STATUS_IDLE; i++) {
        learn_batch(self);
        if (i % 16 == 0) {
            double now = resident_mb();
            peak = now > peak ? now : peak;
        }
        status = self->params->ops->snapshot_poll(self->params, 0, files, &error);
    }
    must(status, &error);
    int64_t took = tw_clock_monotonic_us() - start;
    self->newest = files->file[0];
    double rate = report(self, what, took);
    printf(", cut %.1f ms, %llu rows, %.0f MB in %.2f s, at most %.0f MB more memory\n", (double)cut / 1e3,
        (unsigned long long)self->newest.rows, (double)self->newest.size / 1e6, (double)took / 1e6, peak - before);
    tw_free(files);
    return rate;
}

static void path_of(const bench *self, const char *name, char path[512])
{
    (void)snprintf(path, 512, "%s/%s", self->directory, name);
}

/* What the newest snapshot consists of. */
static void list_files(const bench *self, tw_names *names)
{
    tw_error error = {0};
    must(tw_row_file_needs(self->directory, self->newest.name, names, &error), &error);
    must(tw_names_add(names, self->newest.name, &error), &error);
}

static void drop_cache(const bench *self)
{
    tw_names names = {0};
    list_files(self, &names);
    for (size_t i = 0; i < names.count; i++) {
        char path[512];
        path_of(self, names.name[i], path);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || fdatasync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
            printf("the cache of %s could not be emptied\n", path);
        close(fd);
    }
    tw_names_free(&names);
}

/* Seconds to read the files and forget them. */
static double read_files(const bench *self, uint64_t *bytes)
{
    tw_names names = {0};
    list_files(self, &names);
    char *buffer = room(READ_SIZE);
    *bytes = 0;
    int64_t start = tw_clock_monotonic_us();
    for (size_t i = 0; i < names.count; i++) {
        char path[512];
        ssize_t n;
        path_of(self, names.name[i], path);
        int fd = open(path, O_RDONLY);
        while (fd >= 0 && (n = read(fd, buffer, READ_SIZE)) > 0)
            *bytes += (uint64_t)n;
        close(fd);
    }
    double seconds = (double)(tw_clock_monotonic_us() - start) / 1e6;
    tw_free(buffer);
    tw_names_free(&names);
    return seconds;
}

/* As a shard that starts: finds its newest row file, verifies it and loads it. */
static double recover(const bench *self, uint64_t *rows, double *cpu)
{
    tw_error error = {0};
    tw_recovered found;
    *cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    int64_t start = tw_clock_monotonic_us();
    must(tw_table_recover(self->directory, 0, 1, 0, false, &found, &error), &error);
    double seconds = (double)(tw_clock_monotonic_us() - start) / 1e6;
    *cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - *cpu;
    tw_params_stats stats;
    tw_table_stats(found.table, &stats);
    *rows = stats.rows;
    tw_table_destroy(&found.table);
    return seconds;
}

static void measure_recovery(const bench *self)
{
    for (int i = 0; i < 4; i++) {
        bool is_cached = i % 2 == 1;
        uint64_t bytes = 0, rows = 0;
        if (!is_cached)
            drop_cache(self);
        double read = read_files(self, &bytes);
        if (!is_cached)
            drop_cache(self);
        double cpu = 0, load = recover(self, &rows, &cpu);
        printf("recovery %s: %llu rows, %.0f MB in %.2f s (%.2f s of processors), %.2f GB/s; reading alone %.2f s, "
               "%.2f GB/s\n",
            is_cached ? "cached  " : "uncached", (unsigned long long)rows, (double)bytes / 1e6, load, cpu,
            (double)bytes / 1e9 / load, read, (double)bytes / 1e9 / read);
        (void)fflush(stdout);
    }
}

static void remove_files(const bench *self)
{
    tw_names names = {0};
    char path[512];
    if (tw_directory_list(self->directory, &names, NULL) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        path_of(self, names.name[i], path);
        (void)remove(path);
    }
    (void)remove(self->directory);
    tw_names_free(&names);
}

int main(int argc, char **argv)
{
    static bench self = {.next_id = 1};
    uint64_t millions = argc > 1 ? strtoull(argv[1], NULL, 10) : 5;
    self.directory = argc > 2 ? argv[2] : "/tmp/tw_bench_checkpoint";
    double seconds = argc > 3 ? atof(argv[3]) : 5;
    int deltas = argc > 4 ? atoi(argv[4]) : 3;
    self.table = argc > 5 ? argv[5] : "exact";
    self.rows_a_column = millions * 1000000 / N_ENTRIES;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    open_model(&self);
    double before_mb = resident_mb();
    fill_rows(&self);
    tw_params_stats stats;
    self.params->ops->stats(self.params, &stats);
    printf("%llu rows, %.2f bytes a row, %.0f MB; %.2f bytes a row are resident\n", (unsigned long long)stats.rows,
        (double)stats.bytes / (double)stats.rows, (double)stats.bytes / 1e6,
        (resident_mb() - before_mb) * 1e6 / (double)stats.rows);
    (void)learn_alone(&self, 1, "warm");
    double before = learn_alone(&self, seconds, "alone");
    if (deltas < 0)
        tw_local_set_deltas(self.params, 0);
    for (int i = 0; i <= abs(deltas); i++) {
        double beside = learn_beside(&self, i == 0 || deltas < 0 ? "base" : "delta");
        double after = learn_alone(&self, seconds, "alone");
        printf("       throughput beside: %.1f %% less than before, %.1f %% less than after; after: %.1f %% less than "
               "before\n",
            100 * (1 - beside / before), 100 * (1 - beside / after), 100 * (1 - after / before));
        before = after;
    }
    self.params->ops->close(self.params);
    measure_recovery(&self);
    remove_files(&self);
    return 0;
}
