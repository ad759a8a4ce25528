/* One model in its portable form, with and without its checksum. What is read is written again, and reads back. */
#include <stdlib.h>
#include <string.h>

#include "store/portable.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MAX_STATE = 1 << 16, MAX_BITS = 16 };

typedef struct input {
    const char *at;
    size_t left;
} input;

static tw_status get(void *context, char *out, size_t size, size_t *n_read, tw_error *error)
{
    input *self = context;
    (void)error;
    *n_read = self->left < size ? self->left : size;
    memcpy(out, self->at, *n_read);
    self->at += *n_read;
    self->left -= *n_read;
    return TW_STATUS_OK;
}

static tw_status count(void *context, const char *bytes, size_t size, tw_error *error)
{
    (void)bytes;
    (void)error;
    *(size_t *)context += size;
    return TW_STATUS_OK;
}

/* A head may ask for any size of state. */
static bool is_small(const tw_table_spec *spec)
{
    uint64_t size = spec->schema.row.size;
    for (uint32_t i = 0; i < spec->schema.n_blocks; i++)
        size += (uint64_t)spec->schema.block[i].count * spec->schema.block[i].record.size;
    return size <= MAX_STATE && (spec->kind == TW_TABLE_EXACT || (spec->bits >= 12 && spec->bits <= MAX_BITS));
}

static void write_again(const tw_portable_head *head, tw_params *params)
{
    size_t size = 0;
    tw_manifest manifest = {
        .id = head->version, .created_us = head->created_us, .events = head->events, .spec = head->spec};
    tw_portable_output output = {.write = count, .context = &size};
    tw_portable_counts counts;
    if (tw_manifest_add(&manifest, "pipeline", head->pipeline, head->pipeline_size, NULL) == TW_STATUS_OK &&
        tw_portable_write(params, &manifest, &output, &counts, NULL) != TW_STATUS_OK)
        abort();
    tw_manifest_fini(&manifest);
}

static void use(const char *bytes, size_t size)
{
    input in = {bytes, size};
    tw_portable_input from = {.read = get, .context = &in, .name = "fuzz"};
    tw_portable_reader *reader = NULL;
    tw_params *params = NULL;
    tw_portable_counts counts;
    if (tw_portable_open(&from, &reader, NULL) != TW_STATUS_OK)
        return;
    const tw_portable_head *head = tw_portable_head_of(reader);
    if (is_small(&head->spec) && tw_local_create(&head->spec, &params, NULL) == TW_STATUS_OK) {
        if (tw_portable_load(reader, &head->spec, params, &counts, NULL) == TW_STATUS_OK)
            write_again(head, params);
        params->ops->close(params);
    }
    tw_portable_close(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char word[] = ",\"checksum\"";
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, bytes, size);
    copy[size] = '\0';
    use(copy, size);
    for (size_t i = 0; i + sizeof word <= size; i++) {
        if (memcmp(copy + i, word, sizeof word - 1) == 0) {
            memcpy(copy + i, "}\n", 2);
            use(copy, i + 2);
            break;
        }
    }
    free(copy);
    return 0;
}
