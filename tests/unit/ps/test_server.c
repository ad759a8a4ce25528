/* Real shard servers on ipc, each on a thread of its own, and the client over ZeroMQ. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "ps/edge/server.h"
#include "ps/wire/link.h"
#include "ps/worker/remote.h"
#include "store/checkpoint.h"

enum { MAX_KEYS = 4096, N_SHARDS = 2, PATIENCE_MS = 60000 };

typedef struct server_thread {
    pthread_t thread;
    tw_shard_server_options options;
    bool is_running;
    char address[64];
    atomic_bool stop, is_ready, has_failed;
    tw_status status;
    tw_error error;
} server_thread;

/* Not of a test's own: one that fails leaves while they still run. */
static server_thread server[N_SHARDS];

static void server_ready(void *context, const char *address)
{
    (void)address;
    atomic_store(&((server_thread *)context)->is_ready, true);
}

static void *server_main(void *context)
{
    server_thread *self = context;
    self->status = tw_shard_server_run(&self->options, &self->stop, &self->error);
    atomic_store(&self->has_failed, self->status < 0);
    atomic_store(&self->is_ready, true);
    return NULL;
}

static void server_start(server_thread *self, const char *root, uint32_t index, const char *directory, uint64_t restore)
{
    memset(self, 0, sizeof *self);
    snprintf(self->address, sizeof self->address, "ipc://%s/shard-%u", root, index);
    self->options = (tw_shard_server_options){.address = self->address,
        .index = index,
        .count = N_SHARDS,
        .directory = directory,
        .restore_id = restore,
        .newer_than = UINT64_MAX,
        .on_ready = server_ready,
        .context = self};
    assert_int_equal(pthread_create(&self->thread, NULL, server_main, self), 0);
    self->is_running = true;
    while (!atomic_load(&self->is_ready))
        tw_clock_sleep_us(1000);
    if (atomic_load(&self->has_failed))
        fail_msg("%s", self->error.message);
}

static void server_stop(server_thread *self)
{
    atomic_store(&self->stop, true);
    pthread_join(self->thread, NULL);
    self->is_running = false;
    assert_int_equal(self->status, TW_STATUS_OK);
}

static int stop_servers(void **state)
{
    (void)state;
    for (uint32_t s = 0; s < N_SHARDS; s++) {
        atomic_store(&server[s].stop, true);
        if (server[s].is_running)
            pthread_join(server[s].thread, NULL);
        server[s].is_running = false;
    }
    return 0;
}

static tw_table_spec counter_spec(void)
{
    tw_table_spec spec = {.kind = TW_TABLE_EXACT, .hash_seed = 1};
    assert_int_equal(tw_record_add(&spec.schema.row, "count", TW_FIELD_U64, 2, TW_MERGE_ADD, NULL), 0);
    return spec;
}

static tw_status connect_to(int timeout_ms, tw_params **out, tw_error *error)
{
    tw_table_spec spec = counter_spec();
    const char *address[N_SHARDS] = {server[0].address, server[1].address};
    tw_remote_options options = {
        .address = address, .n_shards = N_SHARDS, .model = "m", .timeout_ms = timeout_ms, .retry_ms = 1000};
    return tw_remote_create(&spec, &options, out, error);
}

static uint64_t key_random = 1;

static tw_status count_keys(tw_params *params, uint32_t n, uint64_t from, uint64_t to, tw_error *error)
{
    static uint64_t key[MAX_KEYS];
    static uint32_t start[2];
    for (uint32_t i = 0; i < n; i++)
        key[i] = tw_mix64(key_random++ % 100000 + 1) | 1;
    start[1] = n;
    tw_batch batch = {
        .n_events = 1, .n_entries = n, .row_start = start, .key = key, .split = 3, .from = from, .to = to};
    tw_rows rows;
    tw_status status = params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, error);
    if (status != TW_STATUS_OK)
        return status;
    for (uint32_t i = 0; i < n; i++)
        ++*(uint64_t *)rows.row[i];
    return params->ops->release(params, &batch, &rows, 1, error);
}

static tw_status add_count(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    (void)block;
    (void)key;
    (void)error;
    *(uint64_t *)context += *(const uint64_t *)record;
    return TW_STATUS_OK;
}

/* A loaded machine lets a shard be silent for so long that the session is given up, and the scan with it. */
static uint64_t total_count(tw_params *params)
{
    uint64_t total = 0;
    tw_error error = {0};
    tw_status status = TW_STATUS_UNAVAILABLE;
    for (int i = 0; i < 50 && status == TW_STATUS_UNAVAILABLE; i++) {
        total = 0;
        status = params->ops->scan(params, add_count, &total, &error);
    }
    if (status != TW_STATUS_OK)
        fail_msg("%s", error.message);
    return total;
}

static char root[] = "/tmp/tw-ps-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void batches_over_ipc_are_counted_and_timed(void **state)
{
    (void)state;
    tw_params *params = NULL;
    tw_error error = {0};
    for (uint32_t s = 0; s < N_SHARDS; s++)
        server_start(&server[s], root, s, NULL, 0);
    if (connect_to(PATIENCE_MS, &params, &error) < 0)
        fail_msg("%s", error.message);
    int64_t time_us[200], started = tw_clock_monotonic_us();
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(count_keys(params, 4000, i, i + 1, &error), TW_STATUS_OK);
    assert_int_equal(params->ops->flush(params, PATIENCE_MS, &error), TW_STATUS_OK);
    double seconds = (double)(tw_clock_monotonic_us() - started) / 1e6;
    assert_int_equal(total_count(params), 200 * 4000);
    static uint32_t start[2] = {0, 1000};
    static uint64_t key[1000];
    for (uint32_t i = 0; i < 1000; i++)
        key[i] = tw_mix64(i + 1) | 1;
    tw_batch batch = {.n_events = 1, .n_entries = 1000, .row_start = start, .key = key, .split = 3};
    for (uint32_t i = 0; i < 200; i++) {
        tw_rows rows;
        int64_t now = tw_clock_monotonic_us();
        assert_int_equal(params->ops->acquire(params, &batch, TW_ACCESS_READ, &rows, &error), TW_STATUS_OK);
        time_us[i] = tw_clock_monotonic_us() - now;
        assert_int_equal(params->ops->release(params, &batch, &rows, 0, &error), TW_STATUS_OK);
    }
    qsort(time_us, 200, sizeof *time_us, compare_i64);
    print_message("%.0f keys/s learned in batches of 4000; pull of 1000 keys p50 %lld us, p99 %lld us\n",
        200 * 4000 / seconds, (long long)time_us[100], (long long)time_us[198]);
    params->ops->close(params);
    for (uint32_t s = 0; s < N_SHARDS; s++)
        server_stop(&server[s]);
}

static void snapshot_and_restart_from_it_continue_where_the_checkpoint_stood(void **state)
{
    (void)state;
    tw_params *params = NULL;
    tw_error error = {0};
    char directory[128];
    snprintf(directory, sizeof directory, "%s/checkpoints", root);
    for (uint32_t s = 0; s < N_SHARDS; s++)
        server_start(&server[s], root, s, directory, 0);
    assert_int_equal(connect_to(PATIENCE_MS, &params, &error), TW_STATUS_OK);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(count_keys(params, 100, i, i + 1, &error), TW_STATUS_OK);
    tw_manifest *manifest = calloc(1, sizeof *manifest);
    if (params->ops->snapshot_start(params, directory, 1, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    /* Learning goes on while the files are written; it is not in them. */
    assert_int_equal(count_keys(params, 100, 10, 11, &error), TW_STATUS_OK);
    /* What is not answered yet would be sent again to the shard that comes back, and nothing would be behind. */
    assert_int_equal(params->ops->flush(params, PATIENCE_MS, &error), TW_STATUS_OK);
    tw_status status;
    while ((status = params->ops->snapshot_poll(params, 100, &manifest->files, &error)) == TW_STATUS_IDLE) {
    }
    if (status != TW_STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(manifest->files.n_files, N_SHARDS);
    manifest->id = 1;
    manifest->spec = counter_spec();
    assert_int_equal(tw_checkpoint_commit(directory, manifest, &error), TW_STATUS_OK);
    /* One shard goes back to the checkpoint under the running client. */
    server_stop(&server[1]);
    server_start(&server[1], root, 1, directory, 1);
    assert_int_equal(count_keys(params, 100, 11, 12, &error), TW_STATUS_REWIND);
    uint64_t marks[4];
    uint32_t n_marks = 4;
    assert_int_equal(params->ops->mark(params, 3, marks, &n_marks, &error), TW_STATUS_OK);
    assert_int_equal(n_marks, 2);
    assert_int_equal(marks[0], 10);
    assert_int_equal(marks[1], 11);
    key_random -= 200;
    assert_int_equal(count_keys(params, 100, 10, 11, &error), TW_STATUS_OK);
    assert_int_equal(count_keys(params, 100, 11, 12, &error), TW_STATUS_OK);
    assert_int_equal(total_count(params), 1200);
    params->ops->close(params);
    for (uint32_t s = 0; s < N_SHARDS; s++)
        server_stop(&server[s]);
    tw_manifest_fini(manifest);
    free(manifest);
}

static void a_shard_that_is_not_there_is_named_after_the_deadline(void **state)
{
    (void)state;
    tw_params *params = NULL;
    tw_error error = {0};
    server_start(&server[0], root, 0, NULL, 0);
    snprintf(server[1].address, sizeof server[1].address, "ipc://%s/nobody", root);
    assert_int_equal(connect_to(300, &params, &error), TW_STATUS_UNAVAILABLE);
    assert_non_null(strstr(error.message, "shard 1 of 2 at ipc://"));
    assert_non_null(strstr(error.message, "nobody has not answered for 0.3 s"));
    server_stop(&server[0]);
}

/* A TCP port of the loopback that the test answers at by itself. */
static int listener_create(char *address, size_t size)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &length), 0);
    snprintf(address, size, "tcp://127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
    return listener;
}

/* The next connection, while the link tries to send; -1: none came in ten seconds. */
static int accept_while_sending(int listener, tw_link *link)
{
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    tw_error error = {0};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(link->ops->send(link, 0, "x", 1, &error), TW_STATUS_BUSY);
        if (poll(&waiting, 1, 10) == 1)
            return accept(listener, NULL, NULL);
    }
    return -1;
}

static void a_peer_that_broke_the_protocol_of_the_connection_is_connected_to_again(void **state)
{
    (void)state;
    static const unsigned char other_mechanism[64] = {
        0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'B', 'R', 'O', 'K', 'E', 'N'};
    char address[64];
    const char *addresses[1] = {address};
    tw_link *link = NULL;
    tw_error error = {0};
    int listener = listener_create(address, sizeof address);
    assert_int_equal(tw_link_zmq_create(addresses, 1, NULL, &link, &error), TW_STATUS_OK);
    for (int round = 0; round < 3; round++) {
        int connection = accept_while_sending(listener, link);
        assert_true(connection >= 0);
        assert_int_equal(write(connection, other_mechanism, sizeof other_mechanism), sizeof other_mechanism);
        unsigned char byte;
        while (read(connection, &byte, 1) > 0) {
        }
        close(connection);
    }
    link->ops->close(link);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(batches_over_ipc_are_counted_and_timed, stop_servers),
        cmocka_unit_test_teardown(snapshot_and_restart_from_it_continue_where_the_checkpoint_stood, stop_servers),
        cmocka_unit_test_teardown(a_shard_that_is_not_there_is_named_after_the_deadline, stop_servers),
        cmocka_unit_test(a_peer_that_broke_the_protocol_of_the_connection_is_connected_to_again),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
