/* Measures one shard behind its socket: pulls and pushes of `keys` rows of 8 bytes, one or many in flight, beside a
 * plain echo over the same sockets with messages of the same sizes, in the same run. A push names the keys of an
 * earlier pull by its handle, as a worker's does; "keyed" pushes carry their keys. CPU is that of both processes: on a
 * busy machine it says more than the rate. Usage: wire [address] [keys] [distinct batches] [core of the client] [core
 * of the shard]; without arguments tcp://127.0.0.1:*, 1000, 64 and any core. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "data/key.h"
#include "net/socket.h"
#include "ps/edge/server.h"

enum { MAX_KEYS = 100000, MAX_BATCHES = 64, MAX_SAMPLES = 1 << 20 }; /* batches: lists that a shard keeps */

typedef struct wire {
    tw_net *net;
    tw_socket *socket;
    tw_message *message;
    tw_buffer out;
    tw_frame base;
    uint64_t generation, mark;
    uint32_t n_keys, n_batches;
    uint64_t *key;    /* [n_batches x n_keys] */
    uint64_t *handle; /* [n_batches] of the last pull of a batch */
    unsigned char *value;
    pid_t other; /* the process that answers */
} wire;

static int64_t sample[MAX_SAMPLES];

static void die(const char *what, const tw_error *error)
{
    (void)fprintf(stderr, "wire: %s: %s\n", what, error != NULL ? error->message : "");
    exit(1);
}

static void tell_address(void *context, const char *address)
{
    int out = *(int *)context;
    if (write(out, address, strlen(address) + 1) < 0)
        _exit(1);
}

static void echo_run(const char *address, int out)
{
    tw_net *net = NULL;
    tw_socket *socket = NULL;
    tw_message *message = NULL;
    tw_error error = {0};
    tw_socket_options options = {.kind = TW_SOCKET_ROUTER, .max_message_bytes = TW_DATA_MAX_BYTES};
    if (tw_net_create(1, &net, &error) < 0 || tw_socket_create(net, &options, &socket, &error) < 0 ||
        tw_message_create(&message, &error) < 0 || tw_socket_bind(socket, address, &error) < 0)
        die("echo", &error);
    tell_address(&out, tw_socket_address(socket));
    static const unsigned char bytes[TW_DATA_MAX_BYTES] = {0};
    for (;;) {
        bool is_readable;
        if (tw_socket_wait(&socket, 1, -1, &is_readable, &error) < 0)
            die("echo", &error);
        while (tw_socket_receive(socket, message, &error) == TW_STATUS_OK) {
            tw_part request = tw_message_part(message, 1);
            uint32_t size = tw_get_u32(request.bytes); /* of the answer */
            tw_part part[2] = {tw_message_part(message, 0), {bytes, size}};
            while (tw_socket_send(socket, part, 2, &error) == TW_STATUS_BUSY)
                ;
        }
    }
}

/* Starts a child and returns where it listens. */
static pid_t start(const char *address, bool is_echo, char *at, size_t size)
{
    int pipes[2];
    if (pipe(pipes) < 0)
        die("pipe", NULL);
    pid_t child = fork();
    if (child == 0) {
        if (is_echo)
            echo_run(address, pipes[1]);
        static atomic_bool stop;
        tw_error error = {0};
        tw_shard_server_options options = {
            .address = address, .count = 1, .on_ready = tell_address, .context = &pipes[1]};
        if (tw_shard_server_run(&options, &stop, &error) < 0)
            die("shard", &error);
        _exit(0);
    }
    if (child < 0 || read(pipes[0], at, size) <= 0)
        die("no child", NULL);
    return child;
}

static void wire_receive(wire *self)
{
    tw_error error = {0};
    for (;;) {
        tw_status status = tw_socket_receive(self->socket, self->message, &error);
        if (status == TW_STATUS_OK)
            return;
        bool is_readable;
        if (status != TW_STATUS_IDLE || tw_socket_wait(&self->socket, 1, 5000, &is_readable, &error) != TW_STATUS_OK)
            die("no answer", &error);
    }
}

static void wire_answer(wire *self, tw_frame *frame)
{
    tw_error error = {0};
    wire_receive(self);
    tw_part part = tw_message_part(self->message, 0);
    if (tw_frame_decode(part.bytes, part.size, frame, &error) < 0)
        die("answer", &error);
    if (frame->type == TW_FRAME_NACK) {
        (void)fprintf(stderr, "wire: NACK %s %.*s\n", tw_nack_name(frame->reason), (int)frame->payload_size,
            (const char *)frame->payload);
        exit(1);
    }
}

static void wire_send(wire *self, const void *bytes, size_t size)
{
    tw_error error = {0};
    tw_part part = {bytes, size};
    tw_status status;
    while ((status = tw_socket_send(self->socket, &part, 1, &error)) == TW_STATUS_BUSY)
        ;
    if (status < 0)
        die("send", &error);
}

static void wire_connect(wire *self, const char *address)
{
    tw_error error = {0};
    tw_socket_options options = {.kind = TW_SOCKET_DEALER, .max_message_bytes = TW_DATA_MAX_BYTES};
    tw_socket_destroy(&self->socket);
    if (tw_socket_create(self->net, &options, &self->socket, &error) < 0 ||
        tw_socket_connect(self->socket, address, &error) < 0)
        die("connect", &error);
}

static void wire_hello(wire *self)
{
    tw_error error = {0};
    tw_hello hello = {.role = TW_ROLE_OWNER, .is_fresh = true, .count = 1, .name = "wire"};
    hello.spec.kind = TW_TABLE_EXACT;
    if (tw_record_add(&hello.spec.schema.row, "z", TW_FIELD_F32, 2, TW_MERGE_ADD, &error) < 0)
        die("schema", &error);
    self->base = (tw_frame){.model = tw_hash("wire", 4), .sender = 7};
    tw_frame frame = self->base;
    frame.type = TW_FRAME_HELLO;
    frame.sequence = ++self->base.sequence;
    if (tw_frame_begin(&self->out, &frame, NULL, &error) < 0 || tw_hello_encode(&hello, &self->out, &error) < 0)
        die("hello", &error);
    tw_frame_finish(&self->out, &frame);
    wire_send(self, self->out.bytes, self->out.size);
    wire_answer(self, &frame);
    self->base.epoch = frame.epoch;
    self->base.incarnation = frame.incarnation;
    self->generation = frame.generation;
}

static void send_pull(wire *self, uint32_t batch)
{
    tw_frame frame = self->base;
    frame.type = TW_FRAME_PULL;
    frame.sequence = ++self->base.sequence;
    frame.n_keys = self->n_keys;
    self->handle[batch] = frame.sequence;
    if (tw_frame_begin(&self->out, &frame, self->key + (size_t)batch * self->n_keys, NULL) < 0)
        die("memory", NULL);
    tw_frame_finish(&self->out, &frame);
    wire_send(self, self->out.bytes, self->out.size);
}

static void push(wire *self, uint64_t handle, const uint64_t *key)
{
    tw_frame frame = self->base;
    frame.type = TW_FRAME_PUSH;
    frame.sequence = ++self->base.sequence;
    frame.n_keys = self->n_keys;
    frame.form = TW_FORM_INSTALL;
    frame.generation = self->generation++;
    frame.n_marks = 1;
    frame.mark[0] = (tw_frame_mark){1, self->mark, self->mark + 1};
    self->mark++;
    frame.handle = handle;
    if (tw_frame_begin(&self->out, &frame, key, NULL) < 0 ||
        tw_buffer_append(&self->out, self->value, (size_t)self->n_keys * 8, NULL) < 0)
        die("memory", NULL);
    tw_frame_finish(&self->out, &frame);
    wire_send(self, self->out.bytes, self->out.size);
}

static void send_push(wire *self, uint32_t batch)
{
    push(self, self->handle[batch], NULL);
}

static void send_keyed(wire *self, uint32_t batch)
{
    push(self, 0, self->key + (size_t)batch * self->n_keys);
}

static void take_answer(wire *self)
{
    tw_frame frame;
    wire_answer(self, &frame);
}

/* Requests with the sizes of a pull, answered without a look at them. */
static void send_echo(wire *self, uint32_t batch)
{
    static unsigned char bytes[TW_DATA_MAX_BYTES] = {0};
    (void)batch;
    tw_put_u32(bytes, TW_FRAME_HEADER + self->n_keys * 8);
    wire_send(self, bytes, TW_FRAME_HEADER + (size_t)self->n_keys * 8);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

typedef struct traffic {
    const char *name;
    void (*send)(wire *self, uint32_t batch);
    void (*take)(wire *self);
} traffic;

static double cpu_us(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* CPU time of this process and the one that answers. */
static double both_cpu_us(const wire *self)
{
    clockid_t other;
    double own = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
    return clock_getcpuclockid(self->other, &other) == 0 ? own + cpu_us(other) : own;
}

/* Keeps `in_flight` requests under way for about two seconds; prints and returns keys a second. */
static double measure(wire *self, const traffic *traffic, uint32_t in_flight)
{
    int64_t sent_at[64];
    uint64_t n_sent = 0, n_taken = 0;
    double cpu = both_cpu_us(self);
    int64_t begin = tw_clock_monotonic_us(), end = begin + 2000000;
    while (n_taken < n_sent || tw_clock_monotonic_us() < end) {
        while (n_sent - n_taken < in_flight && tw_clock_monotonic_us() < end) {
            sent_at[n_sent % 64] = tw_clock_monotonic_us();
            traffic->send(self, (uint32_t)(n_sent++ % self->n_batches));
        }
        if (n_taken == n_sent)
            break;
        traffic->take(self);
        sample[n_taken % MAX_SAMPLES] = tw_clock_monotonic_us() - sent_at[n_taken % 64];
        n_taken++;
    }
    double seconds = (double)(tw_clock_monotonic_us() - begin) / 1e6;
    size_t n = n_taken < MAX_SAMPLES ? n_taken : MAX_SAMPLES;
    qsort(sample, n, sizeof *sample, by_size);
    double keys = (double)n_taken * self->n_keys / seconds;
    cpu = both_cpu_us(self) - cpu;
    printf("%-6s %2u in flight  %9.0f requests/s  %7.2f M keys/s  p50 %5lld us  p99 %5lld us  cpu %5.1f us\n",
        traffic->name, in_flight, (double)n_taken / seconds, keys / 1e6, (long long)sample[n / 2],
        (long long)sample[n * 99 / 100], cpu / (double)n_taken);
    return keys;
}

static void make_keys(wire *self)
{
    size_t n = (size_t)self->n_keys * self->n_batches;
    self->key = calloc(n, sizeof *self->key);
    self->value = calloc(self->n_keys, 8);
    self->handle = calloc(self->n_batches, 8);
    if (self->key == NULL || self->value == NULL || self->handle == NULL)
        die("memory", NULL);
    for (size_t i = 0; i < n; i++)
        self->key[i] = tw_key_nonzero(tw_mix64(i + 1));
}

/* For this process and the threads and children that it starts. */
static void stay_on(int argc, char **argv, int index)
{
    cpu_set_t set;
    if (argc <= index)
        return;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[index]), &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        die("no such core", NULL);
}

int main(int argc, char **argv)
{
    const char *address = argc > 1 ? argv[1] : "tcp://127.0.0.1:*";
    wire self = {
        .n_keys = argc > 2 ? (uint32_t)atoi(argv[2]) : 1000, .n_batches = argc > 3 ? (uint32_t)atoi(argv[3]) : 64};
    static const traffic pushes = {"push", send_push, take_answer}, keyed = {"keyed", send_keyed, take_answer},
                         pull = {"pull", send_pull, take_answer}, echo = {"echo", send_echo, wire_receive};
    if (self.n_keys == 0 || self.n_keys > MAX_KEYS || self.n_batches == 0 || self.n_batches > MAX_BATCHES)
        die("keys or batches out of range", NULL);
    stay_on(argc, argv, 5);
    char shard_at[TW_ADDRESS_SIZE], echo_at[TW_ADDRESS_SIZE];
    pid_t shard = start(address, false, shard_at, sizeof shard_at);
    pid_t echoer = start(
        strncmp(address, "ipc", 3) == 0 ? "ipc:///tmp/thalweg-wire-echo" : address, true, echo_at, sizeof echo_at);
    stay_on(argc, argv, 4);
    make_keys(&self);
    tw_error error = {0};
    if (tw_net_create(1, &self.net, &error) < 0 || tw_message_create(&self.message, &error) < 0)
        die("net", &error);
    printf("%s, %u keys a request, %u distinct batches\n", shard_at, self.n_keys, self.n_batches);
    self.other = shard;
    wire_connect(&self, shard_at);
    wire_hello(&self);
    (void)measure(&self, &pull, 1);
    (void)measure(&self, &pushes, 1);
    double pulled = measure(&self, &pull, 16), pushed = measure(&self, &pushes, 16);
    (void)measure(&self, &keyed, 16);
    self.other = echoer;
    wire_connect(&self, echo_at);
    (void)measure(&self, &echo, 1);
    double limit = measure(&self, &echo, 16);
    printf("of the plain echo: push %.0f %%, pull %.0f %%\n", 100 * pushed / limit, 100 * pulled / limit);
    (void)kill(shard, SIGKILL);
    (void)kill(echoer, SIGKILL);
    (void)waitpid(shard, NULL, 0);
    (void)waitpid(echoer, NULL, 0);
    return 0;
}
