/* source_reader.h: opens a source ("file" unless source_tested says another) in a temporary folder and keeps what was
 * read of it. What goes wrong fails the test. */
#ifndef TW_TESTS_SOURCE_READER_H
#define TW_TESTS_SOURCE_READER_H

#include "base/fault.h"
#include "base/log.h"
#include "thalweg/source.h"

extern const tw_source_ops tw_source_file;
extern const tw_source_ops *source_tested;

enum { MAX_SPLITS = 4096, TEXT_SIZE = 1 << 22 };

/* What was read: all bytes in order, and per split how far. */
typedef struct reading {
    char *text;
    size_t size;
    uint64_t id[MAX_SPLITS], offset[MAX_SPLITS];
    bool is_final[MAX_SPLITS];
    size_t n_splits, n_idle;
} reading;

/* The state of a test between source_set_up and source_tear_down; the working folder is `folder`. */
typedef struct source_fixture {
    char folder[64], previous[512];
    reading all;
} source_fixture;

int source_set_up(void **state);
int source_tear_down(void **state);

void put_bytes(const char *path, const char *mode, const char *text, size_t size);
void write_file(const char *path, const char *text);
void append_file(const char *path, const char *text);

/* With source_fault_nth > 0, this fault is armed just before the source is opened. */
extern tw_fault_kind source_fault_kind;
extern uint64_t source_fault_nth;

/* option: "path=a", "path=b", "follow=true", ..., NULL-terminated. */
tw_status source_open(void **source, const char *const *option, const tw_split *known, size_t n_known, tw_error *error);
void source_close(void *source);

#define OPEN(source, ...)                                                                                              \
    assert_int_equal(source_open(source, (const char *const[]){__VA_ARGS__, NULL}, NULL, 0, NULL), TW_STATUS_OK)
#define OPEN_KNOWN(source, known, n, ...)                                                                              \
    assert_int_equal(source_open(source, (const char *const[]){__VA_ARGS__, NULL}, known, n, NULL), TW_STATUS_OK)

/* Takes a chunk and checks that the split goes on where it was. */
void reading_take(reading *self, const tw_chunk *chunk);

/* Reads until the answer is not OK. */
tw_status reading_to_pause(void *source, reading *all, size_t capacity, int timeout_ms, tw_error *error);

/* Reads a followed source until it answers IDLE twice: a single IDLE may only announce another file. */
void reading_to_idle(void *source, reading *all);

void assert_reading(const reading *all, const char *expected);

/* The source's splits with the positions of the reading, as a checkpoint keeps them. */
size_t reading_checkpoint(void *source, reading *all, tw_split *out);

#endif
