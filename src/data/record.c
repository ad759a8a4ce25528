/* Reporting of malformed records. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/feature.h"

void tw_text_quote(char *out, size_t out_size, const char *text, size_t size)
{
    enum { MIN_SIZE = 8 };
    if (out_size < MIN_SIZE) {
        if (out_size > 0)
            out[0] = '\0';
        return;
    }
    bool is_cut = size > out_size - 3;
    size_t kept = is_cut ? out_size - 6 : size;
    char *at = out;
    *at++ = '"';
    for (size_t i = 0; i < kept; i++, at++) {
        *at = text[i];
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            *at = '?';
    }
    memcpy(at, is_cut ? "...\"" : "\"", is_cut ? 5 : 2);
}

tw_status tw_data_error(tw_error *error, const char *code, const char *format, ...)
{
    if (error == NULL)
        return TW_STATUS_DATA;
    char message[TW_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)tw_error_set(error, TW_STATUS_DATA, "%s", message);
    tw_error_code(error, code);
    return TW_STATUS_DATA;
}

void tw_record_bad(
    tw_builder *out, tw_cursor *io, const char *end, const char *next, const char *place, const tw_error *error)
{
    tw_bad_record bad = {
        .bytes = io->at,
        .size = (size_t)(end - io->at),
        .offset = io->offset,
        .line = io->line,
        .column = place != NULL ? (uint64_t)(place - io->at) + 1 : 0,
    };
    memcpy(bad.code, error->code, sizeof bad.code);
    (void)snprintf(bad.message, sizeof bad.message, "%.199s", error->message);
    tw_builder_drop(out);
    io->offset += (uint64_t)(next - io->at);
    io->line++;
    io->at = next;
    tw_builder_bad(out, &bad, io->offset, io->line);
}
