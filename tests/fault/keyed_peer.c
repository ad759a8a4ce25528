/* A peer of one shard that has a key of the allow-list and does what it may not:
 *   role     a replica's key: says HELLO as owner and as worker, afresh or not; as reader it pushes and saves
 *   replay   a worker's key: sends recorded valid frames again, in their session, in a new one and on a new connection
 *   stale    a worker's key: epochs, incarnations, senders, models and sequence numbers of the past, a split of its own
 *   noise    a worker's key: bytes that are no frames, frames that are damaged or too long, messages of many parts
 *
 * usage: keyed_peer KIND ADDRESS I/N MODEL KEY_FILE SERVER_KEY SECONDS PACE_MS SEED
 * The model is the counter on an exact table. Prints one line of JSON: what was sent and how it was answered. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "net/keys.h"
#include "net/socket.h"
#include "ps/wire/layout.h"

enum { ANSWER_MS = 2000, N_RECORDED = 4, TURNS_A_SESSION = 20, TOO_LONG = TW_DATA_MAX_BYTES + 4096 };

typedef struct peer {
    tw_net *net;
    tw_socket *socket;
    tw_message *message;
    tw_key_pair keys;
    char server_key[TW_KEY_SIZE];
    tw_buffer out, recorded[N_RECORDED];
    uint64_t random, sender, sequence, incarnation, epoch, model;
    uint64_t split, mark; /* of the job, when the session was opened; 0: it had none */
    uint64_t n_sent, n_answers, n_repeated, n_sessions, n_lost, nack[TW_NACK_N_REASONS], n_duplicate;
    const char *address, *name;
    uint32_t index, count;
} peer;

static uint64_t draw(peer *self)
{
    self->random = tw_mix64(self->random + 0x9e3779b97f4a7c15ull);
    return self->random;
}

static bool reconnect(peer *self)
{
    tw_socket_security security = {
        .public_key = self->keys.public_key, .secret_key = self->keys.secret_key, .server_key = self->server_key};
    tw_socket_options options = {
        .kind = TW_SOCKET_DEALER, .security = &security, .max_message_bytes = TW_DATA_MAX_BYTES};
    tw_socket_destroy(&self->socket);
    return tw_socket_create(self->net, &options, &self->socket, NULL) == TW_STATUS_OK &&
           tw_socket_connect(self->socket, self->address, NULL) == TW_STATUS_OK;
}

static bool send_parts(peer *self, const void *bytes, size_t size, uint32_t n_parts)
{
    tw_part part[4] = {{bytes, size}, {bytes, 1}, {bytes, 1}, {bytes, 1}};
    for (int64_t end_us = tw_clock_monotonic_us() + ANSWER_MS * 1000; tw_clock_monotonic_us() < end_us;) {
        if (tw_socket_send(self->socket, part, n_parts, NULL) == TW_STATUS_OK) {
            self->n_sent++;
            return true;
        }
        tw_clock_sleep_us(2000);
    }
    self->n_lost++;
    return false;
}

/* Reads answers until none comes for wait_ms; the latest WELCOME gives the session. True: one was there. */
static bool read_answers(peer *self, int wait_ms)
{
    bool is_welcome = false, is_readable = false;
    tw_frame frame;
    while (tw_socket_wait(&self->socket, 1, is_welcome ? 0 : wait_ms, &is_readable, NULL) == TW_STATUS_OK) {
        if (tw_socket_receive(self->socket, self->message, NULL) != TW_STATUS_OK)
            continue;
        tw_part part = tw_message_part(self->message, 0);
        if (tw_frame_decode(part.bytes, part.size, &frame, NULL) < 0)
            continue;
        self->n_answers++;
        self->n_duplicate += frame.type == TW_FRAME_ACK && (frame.flags & TW_FRAME_DUPLICATE) != 0;
        if (frame.type == TW_FRAME_NACK)
            self->nack[frame.reason]++;
        if (frame.type != TW_FRAME_WELCOME)
            continue;
        self->incarnation = frame.incarnation;
        self->epoch = frame.epoch;
        if (frame.payload_size >= 32) {
            self->split = tw_get_u64(frame.payload + 16);
            self->mark = tw_get_u64(frame.payload + 24);
        }
        is_welcome = true;
    }
    return is_welcome;
}

static void put_frame(peer *self, tw_frame frame, const uint64_t *keys, const void *payload, size_t size)
{
    frame.model = frame.model ? frame.model : self->model;
    frame.sender = frame.sender ? frame.sender : self->sender;
    frame.incarnation = frame.incarnation ? frame.incarnation : self->incarnation;
    frame.flags |= keys != NULL ? TW_FRAME_HAS_KEYS : 0;
    if (tw_frame_begin(&self->out, &frame, keys, NULL) < 0 ||
        (size > 0 && tw_buffer_append(&self->out, payload, size, NULL) < 0))
        abort();
    tw_frame_finish(&self->out, &frame);
}

static void send_frame(peer *self, tw_frame frame, const uint64_t *keys, const void *payload, size_t size)
{
    put_frame(self, frame, keys, payload, size);
    (void)!send_parts(self, self->out.bytes, self->out.size, 1);
}

static void send_hello(peer *self, tw_role role, bool is_fresh, uint64_t epoch)
{
    tw_hello hello = {.role = role, .is_fresh = is_fresh, .index = self->index, .count = self->count};
    hello.spec = (tw_table_spec){.kind = TW_TABLE_EXACT};
    (void)snprintf(hello.name, sizeof hello.name, "%s", self->name);
    if (tw_record_add(&hello.spec.schema.row, "count", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL) < 0)
        abort();
    tw_frame frame = {.type = TW_FRAME_HELLO,
        .model = self->model,
        .sender = self->sender,
        .epoch = epoch,
        .sequence = ++self->sequence};
    if (tw_frame_begin(&self->out, &frame, NULL, NULL) < 0 || tw_hello_encode(&hello, &self->out, NULL) < 0)
        abort();
    tw_frame_finish(&self->out, &frame);
    (void)!send_parts(self, self->out.bytes, self->out.size, 1);
}

static bool open_session(peer *self, tw_role role)
{
    if (!reconnect(self))
        return false;
    self->sender = draw(self);
    self->sequence = self->mark = 0;
    send_hello(self, role, false, 0);
    bool is_open = read_answers(self, ANSWER_MS);
    self->n_sessions += is_open;
    return is_open;
}

/* A key of this shard's slots. */
static uint64_t own_key(peer *self)
{
    uint64_t low = tw_shard_first_slot(self->index, self->count);
    return low << 52 | (draw(self) >> 12) | 1;
}

/* --- kinds -------------------------------------------------------------------------------------------------------- */

static void do_role(peer *self)
{
    uint64_t key = own_key(self), values[2] = {0, 1 << 20};
    tw_frame push = {.type = TW_FRAME_PUSH,
        .form = TW_FORM_ADD,
        .n_keys = 1,
        .n_learned = 1000,
        .n_marks = 1,
        .mark = {{draw(self), 0, 1}}};
    switch (draw(self) % 4) {
    case 0:
    case 1:
        send_hello(self, draw(self) % 2 ? TW_ROLE_OWNER : TW_ROLE_PEER, draw(self) % 2 == 0, 0);
        self->sequence--; /* a HELLO that was denied opened nothing */
        break;
    case 2:
        push.sequence = ++self->sequence;
        send_frame(self, push, &key, values, sizeof values);
        break;
    default:
        send_frame(self, (tw_frame){.type = TW_FRAME_BARRIER, .handle = draw(self), .sequence = ++self->sequence}, NULL,
            NULL, 0);
        break;
    }
}

static void record(peer *self, uint32_t at, tw_frame frame, const uint64_t *keys, const void *payload, size_t size)
{
    frame.sequence = ++self->sequence;
    put_frame(self, frame, keys, payload, size);
    self->recorded[at].size = 0;
    if (tw_buffer_append(&self->recorded[at], self->out.bytes, self->out.size, NULL) < 0)
        abort();
    (void)!send_parts(self, self->out.bytes, self->out.size, 1);
}

/* A pull, a push of events that the job has learned long ago, a question; then all of it again. */
static void do_replay(peer *self)
{
    uint64_t key = own_key(self), values[2] = {0, 1 << 20}, how = draw(self) % 8;
    tw_frame push = {.type = TW_FRAME_PUSH,
        .form = TW_FORM_ADD,
        .n_keys = 1,
        .n_learned = 1000,
        .n_marks = 1,
        .mark = {{self->split, how == 6 ? self->mark / 4 : 0, how == 6 ? UINT64_MAX : self->mark / 2}}};
    if (self->mark < 8)
        push.type = TW_FRAME_PING;
    record(self, 0, (tw_frame){.type = TW_FRAME_PULL, .n_keys = 1}, &key, NULL, 0);
    record(self, 1, push, &key, values, sizeof values);
    record(self, 2, (tw_frame){.type = TW_FRAME_PING}, NULL, NULL, 0);
    (void)read_answers(self, 20);
    if (how == 7 && !reconnect(self))
        return;
    for (uint32_t i = 0; i < 3; i++)
        self->n_repeated += send_parts(self, self->recorded[i].bytes, self->recorded[i].size, 1) && how != 7;
    if (how == 7)
        (void)open_session(self, TW_ROLE_PEER);
}

static void do_stale(peer *self)
{
    tw_frame frame = {.type = draw(self) % 2 ? TW_FRAME_PING : TW_FRAME_PUSH, .sequence = self->sequence + 1};
    uint64_t split = tw_mix64(self->sender);
    if (frame.type == TW_FRAME_PUSH) {
        frame.n_marks = 1;
        frame.mark[0] = (tw_frame_mark){split, 0, 1};
    }
    switch (draw(self) % 6) {
    case 5: /* what no shard can refuse: input of its own, at one shard only */
        frame.type = TW_FRAME_PUSH;
        frame.sequence = ++self->sequence;
        frame.n_marks = 1;
        frame.mark[0] = (tw_frame_mark){0x5eed + self->index, 0, 1};
        break;
    case 0:
        frame.incarnation = draw(self);
        break;
    case 1:
        frame.sender = draw(self);
        break;
    case 2:
        frame.model = draw(self);
        break;
    case 3:
        frame.sequence += 2 + draw(self) % 100;
        break;
    default: /* an owner of the past comes back */
        send_hello(self, TW_ROLE_OWNER, draw(self) % 2 == 0, 1 + draw(self) % 3);
        self->sequence--;
        return;
    }
    send_frame(self, frame, NULL, NULL, 0);
}

static void do_noise(peer *self)
{
    static unsigned char bytes[TOO_LONG];
    uint64_t kind = draw(self) % 40;
    size_t size = 1 + draw(self) % 700;
    for (size_t i = 0; i < 720; i += 8)
        tw_put_u64(bytes + i, draw(self));
    if (kind == 0) { /* the library ends this connection */
        (void)!send_parts(self, bytes, sizeof bytes, 1);
        (void)read_answers(self, 50);
        (void)open_session(self, TW_ROLE_PEER);
    } else if (kind < 8) {
        (void)!send_parts(self, bytes, size, 2 + (uint32_t)(draw(self) % 3));
    } else if (kind < 20) {
        put_frame(self, (tw_frame){.type = TW_FRAME_PING, .sequence = self->sequence + 1}, NULL, NULL, 0);
        self->out.bytes[draw(self) % self->out.size] ^= (unsigned char)(1u << draw(self) % 8);
        (void)!send_parts(self, self->out.bytes, self->out.size, 1);
    } else {
        (void)!send_parts(self, bytes, size, 1);
    }
}

typedef struct kind {
    const char *name;
    tw_role role;
    void (*act)(peer *self);
} kind;

static const kind kinds[] = {{"role", TW_ROLE_READER, do_role}, {"replay", TW_ROLE_PEER, do_replay},
    {"stale", TW_ROLE_PEER, do_stale}, {"noise", TW_ROLE_PEER, do_noise}};

static bool attack(peer *self, const kind *what, double seconds, int pace_ms)
{
    int64_t end_us = tw_clock_monotonic_us() + (int64_t)(seconds * 1e6);
    for (uint64_t turn = 0; tw_clock_monotonic_us() < end_us; turn++) {
        if (turn % TURNS_A_SESSION == 0 && !open_session(self, what->role))
            continue;
        what->act(self);
        (void)read_answers(self, pace_ms);
    }
    (void)read_answers(self, 200);
    return self->n_sessions > 0;
}

static void report(const peer *self)
{
    (void)printf("{\"sent\": %" PRIu64 ", \"answers\": %" PRIu64 ", \"repeated\": %" PRIu64 ", \"duplicate\": %" PRIu64
                 ", \"sessions\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"nacks\": {",
        self->n_sent, self->n_answers, self->n_repeated, self->n_duplicate, self->n_sessions, self->n_lost);
    bool is_first = true;
    for (int i = 1; i < TW_NACK_N_REASONS; i++) {
        if (self->nack[i] > 0) {
            (void)printf("%s\"%s\": %" PRIu64, is_first ? "" : ", ", tw_nack_name((tw_nack_reason)i), self->nack[i]);
            is_first = false;
        }
    }
    (void)printf("}}\n");
}

int main(int argc, char **argv)
{
    peer self = {0};
    tw_error error = {0};
    const kind *what = NULL;
    for (size_t i = 0; argc == 10 && i < sizeof kinds / sizeof kinds[0]; i++)
        what = strcmp(kinds[i].name, argv[1]) == 0 ? &kinds[i] : what;
    char *slash = argc == 10 ? strchr(argv[3], '/') : NULL;
    if (what == NULL || slash == NULL) {
        (void)fprintf(stderr,
            "usage: keyed_peer role|replay|stale|noise ADDRESS I/N MODEL KEY_FILE SERVER_KEY SECONDS PACE_MS SEED\n");
        return 64;
    }
    self.address = argv[2];
    self.index = (uint32_t)strtoul(argv[3], NULL, 10);
    self.count = (uint32_t)strtoul(slash + 1, NULL, 10);
    self.name = argv[4];
    self.model = tw_hash(self.name, strlen(self.name));
    self.random = strtoull(argv[9], NULL, 10);
    if (tw_key_pair_load(argv[5], &self.keys, &error) < 0 || tw_public_key_read(argv[6], self.server_key, &error) < 0 ||
        tw_net_create(1, &self.net, &error) < 0 || tw_message_create(&self.message, &error) < 0) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    bool is_good = attack(&self, what, strtod(argv[7], NULL), (int)strtol(argv[8], NULL, 10));
    report(&self);
    tw_socket_destroy(&self.socket);
    tw_message_destroy(&self.message);
    tw_net_destroy(&self.net);
    tw_free(self.out.bytes);
    for (uint32_t i = 0; i < N_RECORDED; i++)
        tw_free(self.recorded[i].bytes);
    return is_good ? 0 : 1;
}
