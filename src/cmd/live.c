#include "cmd/live.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cmd/console.h"
#include "net/msgpack.h"
#include "net/socket.h"

enum { MAX_ROWS = 256, TIMEOUT_MS = 10000, MAX_LINE = 1 << 20 };

typedef struct live {
    tw_net *net;
    tw_socket *socket;
    tw_message *reply;
    tw_packer head, rows;
    uint32_t n_rows;
    uint64_t n_failed;
} live;

static void pack_json(tw_packer *out, json_t *value)
{
    const char *key;
    json_t *item;
    size_t index;
    if (json_is_object(value)) {
        tw_pack_map(out, (uint32_t)json_object_size(value));
        json_object_foreach(value, key, item)
        {
            tw_pack_text(out, key);
            pack_json(out, item);
        }
    } else if (json_is_array(value)) {
        tw_pack_array(out, (uint32_t)json_array_size(value));
        json_array_foreach(value, index, item) pack_json(out, item);
    } else if (json_is_string(value)) {
        tw_pack_text_sized(out, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        tw_pack_int(out, json_integer_value(value));
    } else if (json_is_real(value)) {
        tw_pack_double(out, json_real_value(value));
    } else if (json_is_boolean(value)) {
        tw_pack_bool(out, json_is_true(value));
    } else {
        tw_pack_nil(out);
    }
}

static tw_status receive_reply(live *self, const char *address, tw_error *error)
{
    bool is_readable = false;
    tw_status status = tw_socket_wait(&self->socket, 1, TIMEOUT_MS, &is_readable, error);
    if (status == TW_STATUS_IDLE)
        return tw_error_set(error, TW_STATUS_UNAVAILABLE, "%s: no answer within %d s: is a server running there?",
            address, TIMEOUT_MS / 1000);
    return status == TW_STATUS_OK ? tw_socket_receive(self->socket, self->reply, error) : status;
}

static tw_status print_scores(live *self, const tw_value *head, tw_error *error)
{
    tw_part scores = tw_message_part(self->reply, 1);
    if (scores.size % sizeof(double) != 0 || self->n_rows == 0 || scores.size / sizeof(double) % self->n_rows != 0)
        return tw_error_set(
            error, TW_STATUS_PROTOCOL, "the server sent %zu bytes of scores for %u rows", scores.size, self->n_rows);
    size_t n_outputs = scores.size / sizeof(double) / self->n_rows;
    for (uint32_t i = 0; i < self->n_rows; i++) {
        double value[2] = {0, 0};
        memcpy(value, (const char *)scores.bytes + i * n_outputs * sizeof(double),
            (n_outputs > 1 ? 2 : 1) * sizeof(double));
        self->n_failed += isnan(value[0]) ? 1 : 0;
        if (n_outputs > 1)
            (void)printf("%.9g %.9g\n", value[1], value[0]);
        else
            (void)printf("%.9g\n", value[0]);
    }
    const tw_value *errors = tw_value_find(head, "errors");
    const tw_value *item = errors != NULL && errors->kind == TW_VALUE_ARRAY ? tw_value_first(errors) : NULL;
    for (uint32_t i = 0; item != NULL && i < errors->size; i++, item = tw_value_next(item)) {
        const tw_value *message = tw_value_find(item, "message");
        if (message != NULL && message->kind == TW_VALUE_TEXT)
            console_note("thalweg predict: a row was refused: %.*s", (int)message->size, message->as.bytes);
    }
    return TW_STATUS_OK;
}

static tw_status read_reply(live *self, tw_error *error)
{
    tw_document head = {0};
    tw_part part = tw_message_part(self->reply, 0);
    tw_status status = tw_unpack(part.bytes, part.size, 0, &head, error);
    if (status < 0)
        return status;
    const tw_value *ok = tw_value_find(head.value, "ok");
    const tw_value *message = tw_value_find(head.value, "message");
    if (ok == NULL || ok->kind != TW_VALUE_BOOL || !ok->as.is_true)
        status = tw_error_set(error, TW_STATUS_UNAVAILABLE, "the server refused: %.*s",
            message != NULL && message->kind == TW_VALUE_TEXT ? (int)message->size : 0,
            message != NULL && message->kind == TW_VALUE_TEXT ? message->as.bytes : "");
    else if (tw_message_n_parts(self->reply) < 2)
        status = tw_error_set(error, TW_STATUS_PROTOCOL, "the server's answer holds no scores");
    else
        status = print_scores(self, head.value, error);
    tw_document_fini(&head);
    return status;
}

static tw_status ask(live *self, const char *address, tw_error *error)
{
    if (self->n_rows == 0)
        return TW_STATUS_OK;
    tw_packer_clear(&self->head);
    tw_pack_map(&self->head, 2);
    tw_pack_text(&self->head, "v");
    tw_pack_uint(&self->head, 1);
    tw_pack_text(&self->head, "op");
    tw_pack_text(&self->head, "predict");
    tw_packer list = {0};
    tw_pack_array(&list, self->n_rows);
    tw_status status = tw_packer_status(&list, error);
    size_t size = list.size + self->rows.size;
    char *body = status == TW_STATUS_OK ? tw_alloc(size) : NULL;
    if (body == NULL || tw_packer_status(&self->rows, error) < 0) {
        tw_packer_fini(&list);
        tw_free(body);
        return tw_no_memory(error, size);
    }
    memcpy(body, list.bytes, list.size);
    memcpy(body + list.size, self->rows.bytes, self->rows.size);
    tw_part part[] = {{self->head.bytes, self->head.size}, {body, size}};
    status = TW_STATUS_BUSY;
    for (int i = 0; i < TIMEOUT_MS / 10 && status == TW_STATUS_BUSY; i++) {
        status = tw_socket_send(self->socket, part, 2, error);
        if (status == TW_STATUS_BUSY)
            tw_clock_sleep_us(10000);
    }
    tw_packer_fini(&list);
    tw_free(body);
    if (status == TW_STATUS_BUSY)
        status = tw_error_set(error, TW_STATUS_UNAVAILABLE, "%s: nobody answers: is a server running there?", address);
    if (status == TW_STATUS_OK)
        status = receive_reply(self, address, error);
    if (status == TW_STATUS_OK)
        status = read_reply(self, error);
    tw_packer_clear(&self->rows);
    self->n_rows = 0;
    return status;
}

static tw_status ask_file(live *self, const char *address, FILE *file, const char *name, tw_error *error)
{
    char *line = NULL;
    size_t capacity = 0;
    uint64_t number = 0;
    tw_status status = TW_STATUS_OK;
    for (ssize_t n = getline(&line, &capacity, file); n >= 0 && status == TW_STATUS_OK;
         n = getline(&line, &capacity, file)) {
        json_error_t why;
        number++;
        if (n > MAX_LINE) {
            status = tw_error_set(
                error, TW_STATUS_DATA, "%s:%" PRIu64 ": a line longer than %d bytes", name, number, MAX_LINE);
            break;
        }
        json_t *row = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, &why);
        if (row == NULL)
            status = tw_error_set(error, TW_STATUS_DATA, "%s:%" PRIu64 ":%d: %s", name, number, why.column, why.text);
        else
            pack_json(&self->rows, row);
        json_decref(row);
        self->n_rows += status == TW_STATUS_OK;
        if (status == TW_STATUS_OK && self->n_rows == MAX_ROWS)
            status = ask(self, address, error);
    }
    free(line);
    return status == TW_STATUS_OK ? ask(self, address, error) : status;
}

static tw_status live_open(live *self, const char *address, tw_error *error)
{
    tw_socket_options options = {.kind = TW_SOCKET_DEALER, .max_message_bytes = 4 << 20};
    tw_status status = tw_net_create(1, &self->net, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_create(self->net, &options, &self->socket, error);
    if (status == TW_STATUS_OK)
        status = tw_message_create(&self->reply, error);
    return status == TW_STATUS_OK ? tw_socket_connect(self->socket, address, error) : status;
}

int live_predict(const char *address, const char *const *input, size_t n_inputs)
{
    live self = {0};
    tw_error error = {0};
    tw_status status = live_open(&self, address, &error);
    if (status == TW_STATUS_OK && n_inputs == 0)
        status = ask_file(&self, address, stdin, "-", &error);
    for (size_t i = 0; i < n_inputs && status == TW_STATUS_OK; i++) {
        bool is_stdin = strcmp(input[i], "-") == 0;
        FILE *file = is_stdin ? stdin : fopen(input[i], "r");
        if (file == NULL)
            status = tw_error_set(&error, TW_STATUS_NOT_FOUND, "%s: cannot be opened", input[i]);
        else
            status = ask_file(&self, address, file, input[i], &error);
        if (file != NULL && !is_stdin)
            (void)fclose(file);
    }
    tw_packer_fini(&self.head);
    tw_packer_fini(&self.rows);
    tw_message_destroy(&self.reply);
    tw_socket_destroy(&self.socket);
    tw_net_destroy(&self.net);
    if (status < 0)
        console_error(&error);
    return status < 0 ? tw_status_exit_code(status) : self.n_failed > 0;
}
