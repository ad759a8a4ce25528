/* A hostile peer of shards and of a prediction server: half of its frames to a shard stand inside a valid session with
 * right checksums and have wrong counts, lengths, handles, marks or types; the others are broken from outside.
 *
 * usage: hostile_peer shard ADDRESS INDEX COUNT MODEL N SEED | hostile_peer predict ADDRESS N SEED
 * Prints one line of JSON: what was sent and answered. Exit code 1: it could not do its work. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "engine/model.h"
#include "net/socket.h"
#include "ps/wire/layout.h"
#include "support/pipeline_fixture.h"

enum { IN_SESSION_TYPES = 8, ANSWER_MS = 2000, PACE = 32, PACE_MS = 5 };

typedef struct peer {
    tw_net *net;
    tw_socket *socket;
    tw_message *message;
    tw_buffer out;
    uint64_t random, sender, sequence, incarnation, model, epoch;
    uint64_t n_sent, n_valid, n_answers, n_nacks, n_sessions;
    const tw_table_spec *spec;
    const char *address, *name;
    uint32_t index, count;
} peer;

static uint64_t draw(peer *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

/* Mostly the values at which counts and lengths break. */
static uint64_t nasty(peer *self)
{
    static const uint64_t values[] = {0, 1, 2, 127, 255, 256, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff,
        0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff};
    uint64_t at = draw(self) % (sizeof values / sizeof values[0] + 3);
    return at < sizeof values / sizeof values[0] ? values[at] : draw(self);
}

static tw_status reconnect(peer *self, tw_socket_kind kind)
{
    tw_socket_options options = {.kind = kind, .max_message_bytes = TW_DATA_MAX_BYTES, .high_water = 10000};
    tw_socket_destroy(&self->socket);
    tw_status status = tw_socket_create(self->net, &options, &self->socket, NULL);
    return status == TW_STATUS_OK ? tw_socket_connect(self->socket, self->address, NULL) : status;
}

static void send_bytes(peer *self, const void *bytes, size_t size)
{
    tw_part part = {bytes, size};
    for (int i = 0; i < 400; i++) {
        if (tw_socket_send(self->socket, &part, 1, NULL) == TW_STATUS_OK) {
            self->n_sent++;
            return;
        }
        tw_clock_sleep_us(5000);
    }
}

/* Reads what has come; true: a WELCOME was among it. */
static bool read_answers(peer *self, int wait_ms)
{
    bool is_welcome = false, is_readable = false;
    (void)!tw_socket_wait(&self->socket, 1, wait_ms, &is_readable, NULL);
    while (tw_socket_receive(self->socket, self->message, NULL) == TW_STATUS_OK) {
        tw_frame frame;
        tw_part part = tw_message_part(self->message, tw_message_n_parts(self->message) - 1);
        self->n_answers++;
        if (tw_frame_decode(part.bytes, part.size, &frame, NULL) < 0)
            continue;
        self->n_nacks += frame.type == TW_FRAME_NACK;
        if (frame.type == TW_FRAME_NACK && self->n_sessions == 0)
            (void)fprintf(stderr, "refused: %.*s\n", (int)frame.payload_size, (const char *)frame.payload);
        if (frame.type != TW_FRAME_WELCOME)
            continue;
        self->incarnation = frame.incarnation;
        self->epoch = frame.epoch;
        is_welcome = true;
    }
    return is_welcome;
}

static bool open_session(peer *self)
{
    if (reconnect(self, TW_SOCKET_DEALER) < 0)
        return false;
    tw_hello hello = {.role = draw(self) % 2 ? TW_ROLE_READER : TW_ROLE_PEER,
        .index = self->index,
        .count = self->count,
        .spec = *self->spec};
    (void)snprintf(hello.name, sizeof hello.name, "%s", self->name);
    self->sender = draw(self);
    self->sequence = 1;
    self->model = tw_hash(self->name, strlen(self->name));
    tw_frame frame = {.type = TW_FRAME_HELLO, .model = self->model, .sender = self->sender, .sequence = 1};
    if (tw_frame_begin(&self->out, &frame, NULL, NULL) < 0 || tw_hello_encode(&hello, &self->out, NULL) < 0)
        return false;
    tw_frame_finish(&self->out, &frame);
    send_bytes(self, self->out.bytes, self->out.size);
    bool is_open = read_answers(self, ANSWER_MS);
    self->n_sessions += is_open;
    return is_open;
}

/* Header fields that counts, lengths and handles come from; the checksums are put right afterwards. */
static void damage(peer *self)
{
    static const unsigned at[] = {8, 12, 64, 68, 72, 74, 76, 80, 88, 96, 104};
    static const unsigned size[] = {4, 4, 4, 4, 2, 1, 4, 4, 8, 8, 8};
    unsigned char *bytes = self->out.bytes;
    for (uint64_t n = 1 + draw(self) % 2; n > 0; n--) {
        uint64_t field = draw(self) % (sizeof at / sizeof at[0]);
        uint64_t value = nasty(self);
        memcpy(bytes + at[field], &value, size[field]);
    }
    tw_put_u64(bytes + 112, tw_hash(bytes + TW_FRAME_HEADER, self->out.size - TW_FRAME_HEADER));
    tw_put_u64(bytes + 120, tw_hash(bytes, 120));
}

static void send_in_session(peer *self)
{
    static const tw_frame_type types[IN_SESSION_TYPES] = {TW_FRAME_PULL, TW_FRAME_PUSH, TW_FRAME_PUSH, TW_FRAME_PUSH,
        TW_FRAME_SCAN, TW_FRAME_STATS, TW_FRAME_WELCOME, TW_FRAME_BARRIER};
    uint64_t key[8], value[16];
    tw_frame frame = {.type = types[draw(self) % IN_SESSION_TYPES],
        .model = self->model,
        .sender = self->sender,
        .epoch = self->epoch,
        .incarnation = self->incarnation,
        .sequence = ++self->sequence,
        .handle = nasty(self),
        .form = (tw_value_form)(draw(self) % 3),
        .generation = nasty(self),
        .n_learned = nasty(self)};
    frame.n_keys = (uint32_t)(draw(self) % 9);
    frame.flags = frame.n_keys > 0 ? TW_FRAME_HAS_KEYS : 0;
    frame.flags |= draw(self) % 8 == 0 ? TW_FRAME_MORE : 0;
    for (uint32_t i = 0; i < 8; i++)
        key[i] = draw(self);
    for (uint32_t i = 0; i < 16; i++)
        value[i] = nasty(self);
    if (frame.type == TW_FRAME_PUSH) { /* a range that starts where no split can be yet */
        frame.n_marks = (uint32_t)(1 + draw(self) % 2);
        for (uint32_t i = 0; i < frame.n_marks; i++)
            frame.mark[i] = (tw_frame_mark){draw(self), (uint64_t)1 << 40 | draw(self), nasty(self)};
    }
    if (tw_frame_begin(&self->out, &frame, frame.n_keys > 0 ? key : NULL, NULL) < 0 ||
        tw_buffer_append(&self->out, value, draw(self) % sizeof value, NULL) < 0)
        return;
    tw_frame_finish(&self->out, &frame);
    if (draw(self) % 4 != 0)
        damage(self);
    /* What no shard can decode does not take up a number of the session. */
    if (tw_frame_decode(self->out.bytes, self->out.size, &frame, NULL) < 0)
        self->sequence--;
    self->n_valid++;
    send_bytes(self, self->out.bytes, self->out.size);
}

/* Bytes that are no frame: noise, a cut or flipped frame, a huge one, nothing. */
static void send_outside(peer *self)
{
    static unsigned char bytes[1 << 16];
    uint64_t kind = draw(self) % 8;
    size_t size = kind == 7 ? sizeof bytes : draw(self) % 512;
    for (size_t i = 0; i + 8 <= size + 8 && i + 8 <= sizeof bytes; i += 8)
        tw_put_u64(bytes + i, draw(self));
    if (kind < 4 && self->out.size > 0) {
        size = kind == 0 ? draw(self) % self->out.size : self->out.size;
        memcpy(bytes, self->out.bytes, size < sizeof bytes ? size : sizeof bytes);
        if (kind != 0)
            bytes[draw(self) % size] ^= (unsigned char)(1u << draw(self) % 8);
        else if (size == 0)
            size = 1;
    } else if (size >= 4) {
        tw_put_u32(bytes, TW_FRAME_MAGIC);
    }
    send_bytes(self, bytes, size);
}

static int attack_shard(peer *self, uint64_t n)
{
    pipeline model = {0};
    pipeline_setup setup = {
        .learner = "ftrl", .learner_options = "alpha=0.1", .is_automatic = true, .format = "libsvm"};
    char folder[PIPELINE_PATH_SIZE];
    tw_error error = {0};
    make_folder(folder);
    setup.folder = folder;
    if (pipeline_open(&model, &setup, &error) < 0) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    tw_table_spec spec = *tw_model_table_spec(model.model);
    spec.hash_seed = 0;
    self->spec = &spec;
    bool is_open = open_session(self);
    for (uint64_t i = 0; is_open && i < n; i++) {
        if (i % 1000 == 999)
            is_open = open_session(self);
        if (i % 2 == 0)
            send_in_session(self);
        else
            send_outside(self);
        if (i % PACE == 0)
            (void)read_answers(self, PACE_MS);
    }
    (void)read_answers(self, 200);
    pipeline_close(&model);
    remove_folder(folder);
    if (!is_open)
        (void)fprintf(stderr, "no session with the shard\n");
    return is_open && self->n_nacks > 0 ? 0 : 1;
}

/* A request that begins rightly and goes wrong somewhere, or noise. */
static size_t make_request(peer *self, unsigned char bytes[512])
{
    static const char right[] = "\x82\xa1v\x01\xa2op\xa7predict";
    static const char others[4][24] = {"\x82\xa1v\x01\xa2op\xa8metadata", "\x82\xa1v\x02\xa2op\xa7predict",
        "\x82\xa1v\x01\xa2op\xc0", "\xdf\xff\xff\xff\xff"};
    size_t size = draw(self) % 256;
    for (size_t i = 0; i < 512; i += 8)
        tw_put_u64(bytes + i, draw(self));
    if (draw(self) % 2 == 0) {
        memcpy(bytes, right, sizeof right - 1);
        return sizeof right - 1;
    }
    if (draw(self) % 2 == 0) {
        const char *other = others[draw(self) % 4];
        size = strlen(other);
        memcpy(bytes, other, size);
    }
    return size;
}

static size_t make_rows(peer *self, unsigned char bytes[512])
{
    static const char rows[6][24] = {"\x91\x81\xa1"
                                     "1\xcb\x7f\xf0\x01\x02\x03\x04\x05\x06",
        "\xdd\xff\xff\xff\xff",
        "\x92\x81\xa1"
        "a\x91\x91\x01\x01",
        "\x82\xa1"
        "a\x92\x01\x02\xa1"
        "b\x91\x01",
        "\x91\x81\x01\x01", "\xc7\xff\x01"};
    size_t size = draw(self) % 512;
    for (size_t i = 0; i < 512; i += 8)
        tw_put_u64(bytes + i, draw(self));
    if (draw(self) % 2 == 0) {
        const char *row = rows[draw(self) % 6];
        size = strlen(row);
        memcpy(bytes, row, size);
    }
    return size;
}

static int attack_server(peer *self, uint64_t n)
{
    unsigned char head[512], rows[512];
    if (reconnect(self, TW_SOCKET_DEALER) < 0)
        return 1;
    for (uint64_t i = 0; i < n; i++) {
        tw_part part[9] = {{head, make_request(self, head)}, {rows, make_rows(self, rows)}};
        uint32_t n_parts = 1 + (uint32_t)(draw(self) % 8 != 0);
        for (; draw(self) % 16 == 0 && n_parts < 9; n_parts++)
            part[n_parts] = (tw_part){rows, draw(self) % 64};
        for (int k = 0; k < 400 && self->n_sent <= i; k++) {
            if (tw_socket_send(self->socket, part, n_parts, NULL) == TW_STATUS_OK)
                self->n_sent++;
            else
                tw_clock_sleep_us(5000);
        }
        if (i % PACE == 0)
            (void)read_answers(self, PACE_MS);
        if (i % 1000 == 999 && reconnect(self, TW_SOCKET_DEALER) < 0)
            return 1;
    }
    (void)read_answers(self, 500);
    return self->n_answers > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    peer self = {0};
    bool is_shard = argc == 8 && strcmp(argv[1], "shard") == 0;
    if (!is_shard && !(argc == 5 && strcmp(argv[1], "predict") == 0)) {
        (void)fprintf(stderr,
            "usage: hostile_peer shard ADDRESS INDEX COUNT MODEL N SEED | hostile_peer predict ADDRESS N SEED\n");
        return 64;
    }
    self.address = argv[2];
    self.random = strtoull(argv[argc - 1], NULL, 10) * 2654435761u + 88172645463325252u;
    uint64_t n = strtoull(argv[argc - 2], NULL, 10);
    if (is_shard) {
        self.index = (uint32_t)strtoul(argv[3], NULL, 10);
        self.count = (uint32_t)strtoul(argv[4], NULL, 10);
        self.name = argv[5];
    }
    int code = 1;
    if (tw_net_create(1, &self.net, NULL) == TW_STATUS_OK && tw_message_create(&self.message, NULL) == TW_STATUS_OK)
        code = is_shard ? attack_shard(&self, n) : attack_server(&self, n);
    (void)printf("{\"sent\": %" PRIu64 ", \"in_session\": %" PRIu64 ", \"answers\": %" PRIu64 ", \"nacks\": %" PRIu64
                 ", \"sessions\": %" PRIu64 "}\n",
        self.n_sent, self.n_valid, self.n_answers, self.n_nacks, self.n_sessions);
    tw_socket_destroy(&self.socket);
    tw_message_destroy(&self.message);
    tw_net_destroy(&self.net);
    tw_free(self.out.bytes);
    return code;
}
