/* serve_fixture.h: a trained model behind both doors of a real server on loopback, and clients of both kinds. What goes
 * wrong inside a helper fails the test, unless the helper can say so by false. */
#ifndef TW_TESTS_SERVE_FIXTURE_H
#define TW_TESTS_SERVE_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>

#include <jansson.h>

#include "net/msgpack.h"
#include "net/socket.h"
#include "serve/server.h"
#include "support/pipeline_fixture.h"

/* MAX_ROWS and MAX_BYTES are the server's limits of a request. */
enum { MAX_ROWS = 64, MAX_BYTES = 100000, N_EVENTS = 2000, WAIT_MS = 20000 };

/* A trained model behind both doors. */
typedef struct house {
    char folder[PIPELINE_PATH_SIZE], log[PIPELINE_PATH_SIZE + 16];
    pipeline line;
    tw_served *served;
    tw_server *server;
    pthread_t learner;
    atomic_bool stop;
} house;

/* How house_open runs the model: BOUNDED has learned N_EVENTS events, ENDLESS waits for house_learn; with AUTOMATIC no
 * column is declared. */
enum { BOUNDED = 0, ENDLESS = 1, AUTOMATIC = 2 };

/* Trains the learner (options: "k=v k=v") in a folder of its own and starts the server on free ports. */
void house_open(house *self, const char *learner, const char *options, unsigned kind);
/* Learns in a thread of its own, until house_end_learning. */
void house_learn(house *self);
void house_end_learning(house *self);
uint64_t learned_events(const house *self);
void house_close(house *self);

/* What an HTTP request was answered; release with reply_free. */
typedef struct reply {
    int code;
    char *text; /* head and body */
    const char *body;
    json_t *json; /* NULL: not JSON */
} reply;

/* One request on a connection of its own; `body` may be NULL. */
reply http(const house *self, const char *method, const char *path, const char *body);
void reply_free(reply *self);
/* The number in "predictions"[row]; NaN if there is none. */
double prediction_at(const reply *self, size_t row);
/* The request must be answered with `code`, and head or body must hold `holds`. */
void assert_http(
    const house *self, const char *method, const char *path, const char *body, int code, const char *holds);

/* A ZeroMQ peer with the last reply it got. */
typedef struct client {
    tw_net *net;
    tw_socket *socket;
    tw_message *message;
    tw_document head;
} client;

void client_open(client *self, const house *house);
void client_close(client *self);
/* One message of the frame `head` and, unless `rows` is NULL, the frame `rows`; false: it cannot be sent. */
bool client_send(client *self, const void *head, size_t head_size, const void *rows, size_t rows_size);
/* Waits up to WAIT_MS for a reply and unpacks its head; false: none came, or it is not msgpack. */
bool client_receive(client *self);
/* Sends {v: 1, op, id: 5, model?} and, with `pack_rows`, the rows it packs as the second frame; receives the reply. */
void ask(client *self, const char *op, const char *model, void (*pack_rows)(tw_packer *));
bool is_ok(const client *self);
/* The float64 of a row in the second frame. */
double score_at(const client *self, size_t row);
/* The unsigned number of that name in the head. */
uint64_t stamp_of(const client *self, const char *name);
void assert_refused(const client *self, const char *code);

/* {user: 13, x0: 0.5}, {user: "13", x0: 0.5}, {x0: "a lot"}, {u: {v: [[1]]}} */
void four_rows(tw_packer *out);
/* {user: [13, "u1"], x0: [0.5, nil]} */
void columns(tw_packer *out);
/* MAX_ROWS + 1 rows of x0 .. x3 */
void too_many_dense_rows(tw_packer *out);

#endif
