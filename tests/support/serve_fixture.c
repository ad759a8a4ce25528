#include "support/serve_fixture.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

static tw_status house_checkpoint(void *context, int timeout_ms, uint64_t *id, tw_error *error)
{
    house *self = context;
    return tw_engine_request_checkpoint(self->line.engine, timeout_ms, id, error);
}

static void house_report(void *context, tw_report *out)
{
    house *self = context;
    tw_engine_report(self->line.engine, false, out);
}

static pipeline_setup house_setup(house *self, const char *learner, const char *options)
{
    return (pipeline_setup){.learner = learner,
        .learner_options = options,
        .path = {self->log},
        .n_paths = 1,
        .folder = self->folder,
        .has_checkpoints = true,
        .bad_limit = 1,
        .stop = &self->stop};
}

void house_open(house *self, const char *learner, const char *options, unsigned kind)
{
    size_t size = 0;
    memset(self, 0, sizeof *self);
    make_folder(self->folder);
    (void)snprintf(self->log, sizeof self->log, "%s/log.jsonl", self->folder);
    char *text = make_log(1, N_EVENTS, 0, &size);
    write_bytes(self->log, "w", text, size);
    free(text);
    pipeline_setup setup = house_setup(self, learner, options);
    bool is_endless = (kind & ENDLESS) != 0;
    setup.passes = is_endless ? 100000 : 1;
    setup.is_automatic = (kind & AUTOMATIC) != 0;
    tw_error error = {0};
    assert_int_equal(pipeline_open(&self->line, &setup, &error), TW_STATUS_OK);
    assert_int_equal(tw_served_create(self->line.model, false, &self->served, &error), TW_STATUS_OK);
    tw_server_options server = {.served = self->served,
        .zmq_address = "tcp://127.0.0.1:*",
        .http_address = "127.0.0.1:0",
        .max_rows = MAX_ROWS,
        .max_bytes = MAX_BYTES,
        .hooks = {self, house_checkpoint, house_report}};
    if (!is_endless)
        assert_int_equal(tw_engine_run(self->line.engine, &error), TW_STATUS_OK);
    assert_int_equal(tw_server_start(&server, &self->server, &error), TW_STATUS_OK);
}

static void *learn_main(void *argument)
{
    house *self = argument;
    tw_error error = {0};
    (void)!tw_engine_run(self->line.engine, &error);
    return NULL;
}

void house_learn(house *self)
{
    assert_int_equal(pthread_create(&self->learner, NULL, learn_main, self), 0);
}

void house_end_learning(house *self)
{
    atomic_store(&self->stop, true);
    assert_int_equal(pthread_join(self->learner, NULL), 0);
}

uint64_t learned_events(const house *self)
{
    tw_params_stats stats;
    tw_model_stats(self->line.model, &stats);
    return stats.events_learned;
}

void house_close(house *self)
{
    tw_server_stop(&self->server);
    tw_served_destroy(&self->served);
    pipeline_close(&self->line);
    remove_folder(self->folder);
}

/* --- HTTP ------------------------------------------------------------------------------------------------------ */

static int http_connect(const house *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    address.sin_port = htons((uint16_t)atoi(strrchr(tw_server_http_address(self->server), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

reply http(const house *self, const char *method, const char *path, const char *body)
{
    reply out = {0};
    size_t size = 0, capacity = 1 << 20, length = body != NULL ? strlen(body) : 0;
    char head[1024];
    int fd = http_connect(self);
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
        method, path, length);
    assert_int_equal(send(fd, head, (size_t)n, MSG_NOSIGNAL), n);
    for (size_t at = 0; at < length;) {
        ssize_t sent = send(fd, body + at, length - at, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        at += (size_t)sent;
    }
    out.text = malloc(capacity);
    for (ssize_t got = 1; got > 0 && size + 1 < capacity; size += got > 0 ? (size_t)got : 0)
        got = recv(fd, out.text + size, capacity - 1 - size, 0);
    (void)close(fd);
    out.text[size] = '\0';
    (void)sscanf(out.text, "HTTP/1.1 %d", &out.code);
    out.body = strstr(out.text, "\r\n\r\n");
    out.body = out.body != NULL ? out.body + 4 : out.text + size;
    out.json = json_loads(out.body, 0, NULL);
    return out;
}

void reply_free(reply *self)
{
    json_decref(self->json);
    free(self->text);
}

double prediction_at(const reply *self, size_t row)
{
    json_t *value = json_array_get(json_object_get(self->json, "predictions"), row);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

void assert_http(const house *self, const char *method, const char *path, const char *body, int code, const char *holds)
{
    reply got = http(self, method, path, body);
    if (got.code != code || strstr(got.text, holds) == NULL)
        fail_msg("%s %s: %s", method, path, got.text);
    reply_free(&got);
}

/* --- ZeroMQ ---------------------------------------------------------------------------------------------------- */

void client_open(client *self, const house *house)
{
    tw_socket_options options = {.kind = TW_SOCKET_DEALER, .max_message_bytes = 1 << 20};
    memset(self, 0, sizeof *self);
    assert_int_equal(tw_net_create(1, &self->net, NULL), 0);
    assert_int_equal(tw_socket_create(self->net, &options, &self->socket, NULL), 0);
    assert_int_equal(tw_message_create(&self->message, NULL), 0);
    assert_int_equal(tw_socket_connect(self->socket, tw_server_zmq_address(house->server), NULL), 0);
}

void client_close(client *self)
{
    tw_document_fini(&self->head);
    tw_message_destroy(&self->message);
    tw_socket_destroy(&self->socket);
    tw_net_destroy(&self->net);
}

bool client_send(client *self, const void *head, size_t head_size, const void *rows, size_t rows_size)
{
    tw_part part[2] = {{head, head_size}, {rows, rows_size}};
    tw_status status = TW_STATUS_BUSY;
    for (int i = 0; i < 1000 && status == TW_STATUS_BUSY; i++) {
        status = tw_socket_send(self->socket, part, rows != NULL ? 2 : 1, NULL);
        if (status == TW_STATUS_BUSY)
            tw_clock_sleep_us(2000);
    }
    return status == TW_STATUS_OK;
}

bool client_receive(client *self)
{
    bool is_readable = false;
    if (tw_socket_wait(&self->socket, 1, WAIT_MS, &is_readable, NULL) != TW_STATUS_OK)
        return false;
    if (tw_socket_receive(self->socket, self->message, NULL) != TW_STATUS_OK)
        return false;
    tw_part part = tw_message_part(self->message, 0);
    tw_document_fini(&self->head);
    return tw_unpack(part.bytes, part.size, 0, &self->head, NULL) == TW_STATUS_OK;
}

void ask(client *self, const char *op, const char *model, void (*pack_rows)(tw_packer *))
{
    tw_packer head = {0}, rows = {0};
    tw_pack_map(&head, model != NULL ? 4 : 3);
    tw_pack_text(&head, "v");
    tw_pack_uint(&head, 1);
    tw_pack_text(&head, "op");
    tw_pack_text(&head, op);
    tw_pack_text(&head, "id");
    tw_pack_uint(&head, 5);
    if (model != NULL) {
        tw_pack_text(&head, "model");
        tw_pack_text(&head, model);
    }
    if (pack_rows != NULL)
        pack_rows(&rows);
    assert_true(client_send(self, head.bytes, head.size, rows.bytes, rows.size));
    tw_packer_fini(&head);
    tw_packer_fini(&rows);
    assert_true(client_receive(self));
    const tw_value *id = tw_value_find(self->head.value, "id");
    assert_true(id != NULL && id->kind == TW_VALUE_UINT && id->as.u == 5);
}

bool is_ok(const client *self)
{
    const tw_value *ok = tw_value_find(self->head.value, "ok");
    return ok != NULL && ok->kind == TW_VALUE_BOOL && ok->as.is_true;
}

double score_at(const client *self, size_t row)
{
    double value = 0;
    tw_part part = tw_message_part(self->message, 1);
    assert_true(part.size >= (row + 1) * sizeof value);
    memcpy(&value, (const char *)part.bytes + row * sizeof value, sizeof value);
    return value;
}

uint64_t stamp_of(const client *self, const char *name)
{
    uint64_t value = UINT64_MAX;
    assert_true(tw_value_unsigned(tw_value_find(self->head.value, name), &value));
    return value;
}

void assert_refused(const client *self, const char *code)
{
    assert_false(is_ok(self));
    assert_true(tw_value_is_text(tw_value_find(self->head.value, "code"), code));
}

void four_rows(tw_packer *out)
{
    tw_pack_array(out, 4);
    for (int i = 0; i < 2; i++) {
        tw_pack_map(out, 2);
        tw_pack_text(out, "user");
        if (i == 0)
            tw_pack_uint(out, 13);
        else
            tw_pack_text(out, "13");
        tw_pack_text(out, "x0");
        tw_pack_double(out, 0.5);
    }
    tw_pack_map(out, 1);
    tw_pack_text(out, "x0");
    tw_pack_text(out, "a lot");
    tw_pack_map(out, 1);
    tw_pack_text(out, "u");
    tw_pack_map(out, 1);
    tw_pack_text(out, "v");
    tw_pack_array(out, 1);
    tw_pack_array(out, 1);
    tw_pack_uint(out, 1);
}

void columns(tw_packer *out)
{
    tw_pack_map(out, 2);
    tw_pack_text(out, "user");
    tw_pack_array(out, 2);
    tw_pack_uint(out, 13);
    tw_pack_text(out, "u1");
    tw_pack_text(out, "x0");
    tw_pack_array(out, 2);
    tw_pack_double(out, 0.5);
    tw_pack_nil(out);
}

void too_many_dense_rows(tw_packer *out)
{
    tw_pack_array(out, MAX_ROWS + 1);
    for (int i = 0; i <= MAX_ROWS; i++) {
        tw_pack_map(out, 4);
        for (int k = 0; k < 4; k++) {
            char name[] = {'x', (char)('0' + k), '\0'};
            tw_pack_text(out, name);
            tw_pack_double(out, 1.0);
        }
    }
}
