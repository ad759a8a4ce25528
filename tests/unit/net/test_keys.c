/* Keys, allow-lists and the guard: who gets in, and what a broken file says. */
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "net/door.h"
#include "net/guard.h"

#define HOST     "127.0.0.2"
#define STRANGER "127.0.0.1"

enum { FLOOD_MAX = 600 };

typedef struct fixture {
    char folder[64];
    tw_key_pair server, worker, replica, stranger;
} fixture;

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    strcpy(self->folder, "/tmp/tw_keys_XXXXXX");
    if (mkdtemp(self->folder) == NULL || chdir(self->folder) != 0 || tw_key_pair_create(&self->server, NULL) < 0 ||
        tw_key_pair_create(&self->worker, NULL) < 0 || tw_key_pair_create(&self->replica, NULL) < 0 ||
        tw_key_pair_create(&self->stranger, NULL) < 0)
        return -1;
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    fixture *self = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", self->folder);
    int result = chdir("/") + system(command);
    free(self);
    return result;
}

static void a_stored_pair_is_secret_reads_back_and_is_not_overwritten(void **state)
{
    fixture *self = *state;
    tw_key_pair read;
    struct stat info;
    char public_key[TW_KEY_SIZE];
    tw_error error;
    assert_int_equal(tw_key_pair_store(&self->server, "server.key", NULL), TW_STATUS_OK);
    assert_int_equal(stat("server.key", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(tw_key_pair_load("server.key", &read, NULL), TW_STATUS_OK);
    assert_string_equal(read.public_key, self->server.public_key);
    assert_string_equal(read.secret_key, self->server.secret_key);
    assert_int_equal(tw_public_key_read("server.key.pub", public_key, NULL), TW_STATUS_OK);
    assert_string_equal(public_key, self->server.public_key);
    assert_int_equal(tw_public_key_read(self->worker.public_key, public_key, NULL), TW_STATUS_OK);
    assert_string_equal(public_key, self->worker.public_key);
    assert_int_equal(tw_key_pair_store(&self->worker, "server.key", &error), TW_STATUS_CONFLICT);
    assert_int_equal(tw_key_pair_load("server.key", &read, NULL), TW_STATUS_OK);
    assert_string_equal(read.public_key, self->server.public_key);
}

static void a_secret_that_others_may_read_is_refused(void **state)
{
    fixture *self = *state;
    tw_key_pair read;
    tw_error error;
    assert_int_equal(tw_key_pair_store(&self->server, "k", NULL), TW_STATUS_OK);
    assert_int_equal(chmod("k", 0640), 0);
    assert_int_equal(tw_key_pair_load("k", &read, &error), TW_STATUS_CONFIG);
    assert_non_null(strstr(error.message, "chmod 600"));
    assert_int_equal(tw_key_pair_load("k.pub", &read, &error), TW_STATUS_CONFIG);
    assert_int_equal(tw_key_pair_load("absent", &read, &error), TW_STATUS_NOT_FOUND);
}

static void broken_key_files_name_file_and_line(void **state)
{
    fixture *self = *state;
    tw_key_pair read;
    tw_error error;
    char text[300];
    static const char *const bad[] = {"", "public x\n", "secret\n", "nonsense 1 2 3 4 5\n", "# only a comment\n"};
    for (size_t i = 0; i < 5; i++) {
        write_text("bad", bad[i]);
        assert_int_equal(tw_key_pair_load("bad", &read, &error), TW_STATUS_CORRUPT);
        assert_string_equal(error.file, "bad");
        assert_true(error.line >= 1);
    }
    (void)snprintf(text, sizeof text, "public %s\nsecret %s\n", self->worker.public_key, self->server.secret_key);
    write_text("mixed", text);
    assert_int_equal(chmod("mixed", 0600), 0);
    assert_int_equal(tw_key_pair_load("mixed", &read, &error), TW_STATUS_CORRUPT);
    assert_non_null(strstr(error.message, "does not belong"));
}

static void make_list(fixture *self, tw_allow_list *list)
{
    char text[400];
    (void)snprintf(text, sizeof text, "# who\nworker %s first\n\nreplica %s reader\n", self->worker.public_key,
        self->replica.public_key);
    write_text("allow", text);
    assert_int_equal(tw_allow_list_load("allow", list, NULL), TW_STATUS_OK);
}

static void the_line_of_a_public_key_file_may_be_pasted_into_an_allow_list(void **state)
{
    fixture *self = *state;
    char text[400];
    tw_allow_list list;
    (void)snprintf(text, sizeof text, "worker public %s first\n", self->worker.public_key);
    write_text("allow", text);
    assert_int_equal(tw_allow_list_load("allow", &list, NULL), TW_STATUS_OK);
    assert_string_equal(tw_allow_list_find(&list, self->worker.public_key)->name, "first");
    tw_allow_list_fini(&list);
    (void)snprintf(text, sizeof text, "worker secret %s first\n", self->worker.public_key);
    write_text("allow", text);
    assert_int_equal(tw_allow_list_load("allow", &list, NULL), TW_STATUS_CORRUPT);
}

static void allow_lists_give_roles_and_names_and_their_errors_the_line(void **state)
{
    fixture *self = *state;
    tw_allow_list list;
    tw_error error;
    char text[400];
    make_list(self, &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(tw_allow_list_find(&list, self->replica.public_key)->role, TW_PEER_REPLICA);
    assert_string_equal(tw_allow_list_find(&list, self->worker.public_key)->name, "first");
    assert_null(tw_allow_list_find(&list, self->stranger.public_key));
    tw_allow_list_fini(&list);
    write_text("empty", "# nobody\n");
    assert_int_equal(tw_allow_list_load("empty", &list, &error), TW_STATUS_CORRUPT);
    static const char *const lines[] = {"king %s a\n", "worker %.39s a\n", "worker %s\n", "worker %s a b\n"};
    for (size_t i = 0; i < 4; i++) {
        char line[200];
        (void)snprintf(line, sizeof line, lines[i], self->worker.public_key);
        (void)snprintf(text, sizeof text, "worker %s one\n%s", self->replica.public_key, line);
        write_text("list", text);
        assert_int_equal(tw_allow_list_load("list", &list, &error), TW_STATUS_CORRUPT);
        assert_int_equal(error.line, 2);
    }
    (void)snprintf(
        text, sizeof text, "worker %s one\nreplica %s two\n", self->worker.public_key, self->worker.public_key);
    write_text("twice", text);
    assert_int_equal(tw_allow_list_load("twice", &list, &error), TW_STATUS_CORRUPT);
}

/* Sends one message and waits for it at the server. NULL: it did not come within `timeout_ms`; else who it came from.
 */
static const char *pass_at(tw_net *net,
    tw_socket *server,
    const char *address,
    tw_message *message,
    const tw_key_pair *keys,
    const char *server_key,
    int timeout_ms)
{
    tw_socket_security security = {.public_key = keys != NULL ? keys->public_key : NULL,
        .secret_key = keys != NULL ? keys->secret_key : NULL,
        .server_key = server_key,
        .is_insecure = keys == NULL};
    tw_socket_options options = {.kind = TW_SOCKET_DEALER, .security = &security};
    tw_socket *client = NULL;
    tw_part part = {"hello", 5};
    bool is_readable = false;
    assert_int_equal(tw_socket_create(net, &options, &client, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_connect(client, address, NULL), TW_STATUS_OK);
    for (int waited = 0; waited < timeout_ms && !is_readable; waited += 10) {
        (void)!tw_socket_send(client, &part, 1, NULL);
        (void)!tw_socket_wait(&server, 1, 10, &is_readable, NULL);
    }
    const char *user = NULL;
    if (is_readable && tw_socket_receive(server, message, NULL) == TW_STATUS_OK)
        user = tw_message_user(message) != NULL ? tw_message_user(message) : "nobody";
    while (tw_socket_receive(server, message, NULL) == TW_STATUS_OK)
        user = tw_message_user(message);
    tw_socket_destroy(&client);
    return user;
}

static const char *pass(tw_net *net,
    tw_socket *server,
    tw_message *message,
    const tw_key_pair *keys,
    const char *server_key,
    int timeout_ms)
{
    return pass_at(net, server, tw_socket_address(server), message, keys, server_key, timeout_ms);
}

static void only_keys_of_the_list_get_in_and_say_who_they_are(void **state)
{
    fixture *self = *state;
    tw_allow_list list;
    tw_net *net = NULL;
    tw_guard *guard = NULL;
    tw_socket *server = NULL;
    tw_message *message = NULL;
    tw_socket_security security = {.public_key = self->server.public_key, .secret_key = self->server.secret_key};
    tw_socket_options options = {.kind = TW_SOCKET_ROUTER, .security = &security};
    make_list(self, &list);
    assert_int_equal(tw_net_create(1, &net, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_create(net, &options, &server, NULL), TW_STATUS_INVALID); /* no guard */
    assert_int_equal(tw_guard_start(net, &list, &guard, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_create(net, &options, &server, NULL), TW_STATUS_OK);
    assert_int_equal(tw_guard_watch(guard, server, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(server, "tcp://127.0.0.1:*", NULL), TW_STATUS_OK);
    assert_int_equal(tw_message_create(&message, NULL), TW_STATUS_OK);
    assert_int_equal(tw_guard_check(guard, tw_socket_address(server), self->server.public_key, NULL), TW_STATUS_OK);
    assert_string_equal(pass(net, server, message, &self->worker, self->server.public_key, 5000), "worker first");
    assert_string_equal(pass(net, server, message, &self->replica, self->server.public_key, 5000), "replica reader");
    assert_null(pass(net, server, message, &self->stranger, self->server.public_key, 400));
    assert_null(pass(net, server, message, &self->worker, self->stranger.public_key, 400)); /* wrong server key */
    assert_null(pass(net, server, message, NULL, NULL, 400));                               /* plain text */
    tw_guard_figures figures;
    tw_guard_figures_get(guard, &figures);
    assert_true(figures.n_known >= 2 && figures.n_stranger >= 2);
    assert_true(figures.n_passed == 2 && figures.n_broke >= 2);
    assert_true(figures.n_came >= figures.n_passed + figures.n_stranger + figures.n_broke);
    tw_message_destroy(&message);
    tw_socket_destroy(&server);
    tw_guard_stop(&guard);
    tw_net_destroy(&net);
    tw_allow_list_fini(&list);
}

/* A connection that says nothing, under way from `source` to `port` of HOST. */
static int begin_connection(const char *source, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = port};
    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET, HOST, &to.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    (void)connect(fd, (struct sockaddr *)&to, sizeof to);
    return fd;
}

static bool has_connected(int fd, int timeout_ms)
{
    int why = 0;
    socklen_t size = sizeof why;
    struct pollfd item = {.fd = fd, .events = POLLOUT};
    return poll(&item, 1, timeout_ms) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size) == 0 && why == 0;
}

/* Silent connections of a stranger until the door is shut once more; true: then one of the host comes in at once, and
 * one of the stranger does not. */
static bool only_the_host_comes_in(const tw_guard *guard, uint16_t port)
{
    static int flood[FLOOD_MAX];
    tw_guard_figures before, now;
    int n = 0;
    tw_guard_figures_get(guard, &before);
    now = before;
    for (; n < FLOOD_MAX && now.n_shut == before.n_shut; n++) {
        flood[n] = begin_connection(STRANGER, port);
        (void)has_connected(flood[n], 50);
        tw_guard_figures_get(guard, &now);
    }
    int known = begin_connection(HOST, port), unknown = begin_connection(STRANGER, port);
    bool is_so = has_connected(known, 200) && !has_connected(unknown, 0) && now.n_shut > before.n_shut;
    for (int i = 0; i < n; i++)
        (void)close(flood[i]);
    (void)close(known);
    (void)close(unknown);
    return is_so;
}

static void while_strangers_keep_the_door_shut_a_host_that_was_let_in_before_comes_in(void **state)
{
    fixture *self = *state;
    tw_allow_list list;
    tw_net *net = NULL;
    tw_guard *guard = NULL;
    tw_socket *server = NULL;
    tw_message *message = NULL;
    char address[64];
    tw_socket_security security = {.public_key = self->server.public_key, .secret_key = self->server.secret_key};
    tw_socket_options options = {.kind = TW_SOCKET_ROUTER, .security = &security};
    make_list(self, &list);
    assert_int_equal(tw_net_create(1, &net, NULL), TW_STATUS_OK);
    assert_int_equal(tw_guard_start(net, &list, &guard, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_create(net, &options, &server, NULL), TW_STATUS_OK);
    assert_int_equal(tw_guard_watch(guard, server, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(server, "tcp://" HOST ":*", NULL), TW_STATUS_OK);
    assert_int_equal(tw_message_create(&message, NULL), TW_STATUS_OK);
    const char *port = strrchr(tw_socket_address(server), ':') + 1;
    (void)snprintf(address, sizeof address, "tcp://%s:0;%s:%s", HOST, HOST, port); /* from there, to there */
    uint16_t number = htons((uint16_t)atoi(port));
    assert_false(only_the_host_comes_in(guard, number)); /* nobody is known yet */
    assert_string_equal(
        pass_at(net, server, address, message, &self->worker, self->server.public_key, 10000), "worker first");
    bool is_so = false;
    /* A machine that stands still lets the door open again; strangers whose turn comes when it is shut count as known.
     */
    for (int i = 0; i < 20 && !is_so; i++) {
        tw_clock_sleep_us((int64_t)TW_DOOR_KNOWN * 1000000 / TW_DOOR_A_SECOND + 100000);
        is_so = only_the_host_comes_in(guard, number);
    }
    assert_true(is_so);
    tw_message_destroy(&message);
    tw_socket_destroy(&server);
    tw_guard_stop(&guard);
    tw_net_destroy(&net);
    tw_allow_list_fini(&list);
}

static void a_server_that_lets_strangers_in_fails_its_test(void **state)
{
    fixture *self = *state;
    tw_allow_list list;
    tw_net *net = NULL;
    tw_guard *guard = NULL;
    tw_socket *server = NULL;
    tw_error error;
    tw_socket_security open = {.is_insecure = true};
    tw_socket_options options = {.kind = TW_SOCKET_ROUTER, .security = &open};
    make_list(self, &list);
    assert_int_equal(tw_net_create(1, &net, NULL), TW_STATUS_OK);
    assert_int_equal(tw_guard_start(net, &list, &guard, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_create(net, &options, &server, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(server, "tcp://127.0.0.1:*", NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_guard_check(guard, tw_socket_address(server), self->server.public_key, &error), TW_STATUS_CONFIG);
    tw_socket_destroy(&server);
    tw_guard_stop(&guard);
    tw_net_destroy(&net);
    tw_allow_list_fini(&list);
}

static void public_keys_can_be_written_where_words_of_yaml_stand(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        tw_key_pair pair;
        assert_int_equal(tw_key_pair_create(&pair, NULL), TW_STATUS_OK);
        assert_int_equal(strlen(pair.public_key), TW_KEY_SIZE - 1);
        assert_int_equal(strcspn(pair.public_key, "[]{}#:,"), TW_KEY_SIZE - 1);
        assert_int_not_equal(strcspn(pair.public_key, "!&*%@?-=<>|^+./()$"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_keys_can_be_written_where_words_of_yaml_stand),
        cmocka_unit_test_setup_teardown(a_stored_pair_is_secret_reads_back_and_is_not_overwritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_secret_that_others_may_read_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_key_files_name_file_and_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            the_line_of_a_public_key_file_may_be_pasted_into_an_allow_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(allow_lists_give_roles_and_names_and_their_errors_the_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_keys_of_the_list_get_in_and_say_who_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_lets_strangers_in_fails_its_test, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            while_strangers_keep_the_door_shut_a_host_that_was_let_in_before_comes_in, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
