/* Rows of requests in MessagePack: an array of maps, or a map of arrays. */
#include <stdio.h>
#include <string.h>

#include "serve/zmq_rows.h"

enum { MAX_COLUMNS = 1024, MAX_FIELD_NAME = 512, MAX_NESTING = 32 };

static void put_map(tw_desk *desk, const char *prefix, const tw_value *map, int depth);

static void put_element(tw_desk *desk, const char *name, size_t size, const tw_value *item)
{
    char text[TW_REAL_TEXT_SIZE];
    double number = 0;
    if (item->kind == TW_VALUE_TEXT) {
        tw_desk_element(desk, name, size, item->as.bytes, item->size);
    } else if (item->kind == TW_VALUE_UINT || item->kind == TW_VALUE_INT) {
        int n = item->kind == TW_VALUE_UINT ? snprintf(text, sizeof text, "%llu", (unsigned long long)item->as.u)
                                            : snprintf(text, sizeof text, "%lld", (long long)item->as.i);
        tw_desk_element(desk, name, size, text, (size_t)n);
    } else if (tw_value_number(item, &number)) {
        tw_text_from_real(number, text);
        tw_desk_element(desk, name, size, text, strlen(text));
    } else {
        tw_desk_unfit(desk, name, size);
    }
}

static void put_list(tw_desk *desk, const char *name, size_t size, const tw_value *list)
{
    const tw_value *item = tw_value_first(list);
    for (uint32_t i = 0; i < list->size; i++, item = tw_value_next(item))
        put_element(desk, name, size, item);
}

static void put_value(tw_desk *desk, const char *name, size_t size, const tw_value *value)
{
    double number = 0;
    if (value->kind == TW_VALUE_TEXT)
        tw_desk_string(desk, name, size, value->as.bytes, value->size);
    else if (value->kind == TW_VALUE_BOOL)
        tw_desk_bool(desk, name, size, value->as.is_true);
    else if (value->kind == TW_VALUE_ARRAY)
        put_list(desk, name, size, value);
    else if (value->kind == TW_VALUE_INT || (value->kind == TW_VALUE_UINT && value->as.u <= INT64_MAX))
        tw_desk_integer(desk, name, size, value->kind == TW_VALUE_INT ? value->as.i : (int64_t)value->as.u);
    else if (tw_value_number(value, &number))
        tw_desk_number(desk, name, size, number);
    else if (value->kind != TW_VALUE_NIL)
        tw_desk_unfit(desk, name, size);
}

/* A field of a row; maps in maps become dotted names, as in the JSON format. */
static void put_field(tw_desk *desk, const char *prefix, const tw_value *key, const tw_value *value, int depth)
{
    char name[MAX_FIELD_NAME];
    if (key->kind != TW_VALUE_TEXT) {
        tw_desk_wrong(desk, "a row's field names must be texts");
        return;
    }
    if (prefix[0] == '\0' && value->kind != TW_VALUE_MAP) {
        put_value(desk, key->as.bytes, key->size, value);
        return;
    }
    int n =
        snprintf(name, sizeof name, "%s%s%.*s", prefix, prefix[0] != '\0' ? "." : "", (int)key->size, key->as.bytes);
    if (n < 0 || (size_t)n >= sizeof name)
        tw_desk_wrong(desk, "a field name is longer than %zu bytes", sizeof name - 1);
    else if (value->kind == TW_VALUE_MAP)
        put_map(desk, name, value, depth + 1);
    else
        put_value(desk, name, (size_t)n, value);
}

static void put_map(tw_desk *desk, const char *prefix, const tw_value *map, int depth)
{
    const tw_value *key = tw_value_first(map);
    if (depth > MAX_NESTING) {
        tw_desk_wrong(desk, "nested deeper than %d maps", MAX_NESTING);
        return;
    }
    for (uint32_t i = 0; i < map->size; i++) {
        const tw_value *value = tw_value_next(key);
        put_field(desk, prefix, key, value, depth);
        key = tw_value_next(value);
    }
}

static tw_status put_rows(tw_desk *desk, const tw_value *rows, tw_error *error)
{
    const tw_value *row = tw_value_first(rows);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < rows->size && status == TW_STATUS_OK; i++, row = tw_value_next(row)) {
        tw_desk_row_begin(desk);
        if (row->kind == TW_VALUE_MAP)
            put_map(desk, "", row, 0);
        else
            tw_desk_wrong(desk, "a row must be a map of field names to values");
        status = tw_desk_row_end(desk, error);
    }
    return status;
}

/* The number of rows of a map of arrays; all columns must be as long. */
static tw_status count_columns(const tw_value *columns, uint32_t *n_rows, tw_error *error)
{
    const tw_value *key = tw_value_first(columns);
    *n_rows = 0;
    for (uint32_t i = 0; i < columns->size; i++) {
        const tw_value *column = tw_value_next(key);
        if (key->kind != TW_VALUE_TEXT || column->kind != TW_VALUE_ARRAY)
            return tw_error_set(error, TW_STATUS_INVALID, "columns must be a map of field names to arrays");
        if (i > 0 && column->size != *n_rows)
            return tw_error_set(error, TW_STATUS_INVALID, "column %.*s has %u values, the first one has %u",
                (int)key->size, key->as.bytes, column->size, *n_rows);
        *n_rows = column->size;
        key = tw_value_next(column);
    }
    return TW_STATUS_OK;
}

static tw_status put_columns(tw_desk *desk, const tw_value *columns, tw_error *error)
{
    const tw_value *name[MAX_COLUMNS], *cell[MAX_COLUMNS];
    uint32_t n_rows = 0;
    tw_status status = count_columns(columns, &n_rows, error);
    if (status == TW_STATUS_OK && columns->size > MAX_COLUMNS)
        return tw_error_set(error, TW_STATUS_INVALID, "%u columns: at most %d", columns->size, MAX_COLUMNS);
    const tw_value *key = tw_value_first(columns);
    for (uint32_t i = 0; i < columns->size && status == TW_STATUS_OK; i++) {
        name[i] = key;
        cell[i] = tw_value_first(tw_value_next(key));
        key = tw_value_next(tw_value_next(key));
    }
    for (uint32_t row = 0; row < n_rows && status == TW_STATUS_OK; row++) {
        tw_desk_row_begin(desk);
        for (uint32_t i = 0; i < columns->size; i++) {
            put_field(desk, "", name[i], cell[i], 0);
            cell[i] = tw_value_next(cell[i]);
        }
        status = tw_desk_row_end(desk, error);
    }
    return status;
}

tw_status zmq_rows_put(tw_desk *desk, const tw_value *rows, tw_error *error)
{
    if (rows != NULL && rows->kind == TW_VALUE_ARRAY)
        return put_rows(desk, rows, error);
    if (rows != NULL && rows->kind == TW_VALUE_MAP)
        return put_columns(desk, rows, error);
    return tw_error_set(
        error, TW_STATUS_INVALID, "predict: the second frame must hold the rows: an array of maps, or a map of arrays");
}
