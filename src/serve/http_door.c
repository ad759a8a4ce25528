/* The HTTP door: libmicrohttpd with its own small pool of threads. A request body is bounded before it is read, and so
 * are all that arrive at the same time; desks are taken from a pool, one a request. */
#include <errno.h>

#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "serve/http_address.h"
#include "serve/http_api.h"

enum { N_THREADS = 4, IDLE_TIMEOUT_S = 30, MAX_WAITING_BODIES = 4 /* times the limit of one body */ };

struct http_door {
    door_shared *shared;
    struct MHD_Daemon *daemon;
    char address[128];
    pthread_mutex_t mutex; /* guards desk */
    tw_desk *desk[N_THREADS];
    uint32_t n_desks;            /* idle ones */
    _Atomic uint64_t body_bytes; /* of all requests that arrive now */
};

/* One request while its body arrives. */
typedef struct http_arrival {
    char *body;
    size_t size, capacity;
    http_body_fault fault;
} http_arrival;

/* --- desks ------------------------------------------------------------------------------------------------------ */

static tw_desk *take_desk(http_door *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    tw_desk *desk = self->n_desks > 0 ? self->desk[--self->n_desks] : NULL;
    (void)pthread_mutex_unlock(&self->mutex);
    return desk;
}

static void give_desk(http_door *self, tw_desk *desk)
{

    (void)pthread_mutex_lock(&self->mutex);
    self->desk[self->n_desks++] = desk;
    (void)pthread_mutex_unlock(&self->mutex);
}

/* --- libmicrohttpd ---------------------------------------------------------------------------------------------- */

static enum MHD_Result send_answer(struct MHD_Connection *connection, http_answer *answer)
{
    static char no_memory[] = "{\"error\":\"out of memory\",\"code\":\"no memory\"}";
    bool is_lost = answer->body == NULL;
    const char *type = is_lost ? "application/json" : answer->type;
    char *body = is_lost ? no_memory : answer->body;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(body), body, is_lost ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(answer->body);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (answer->allow != NULL)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    enum MHD_Result result =
        MHD_queue_response(connection, is_lost ? MHD_HTTP_SERVICE_UNAVAILABLE : answer->code, response);
    MHD_destroy_response(response);
    return result;
}

static void drop_body(http_door *self, http_arrival *arrival)
{
    atomic_fetch_sub(&self->body_bytes, arrival->capacity);
    tw_free(arrival->body);
    arrival->body = NULL;
    arrival->size = arrival->capacity = 0;
}

static void take_body(http_door *self, http_arrival *arrival, const char *data, size_t size)
{
    uint64_t limit = self->shared->options.max_bytes;
    size_t before = arrival->capacity;
    if (arrival->fault != HTTP_BODY_OK)
        return;
    if (size > limit || arrival->size > limit - size)
        arrival->fault = HTTP_BODY_TOO_LARGE;
    else if (tw_grow(&arrival->body, 1, &arrival->capacity, arrival->size + size, NULL) < 0)
        arrival->fault = HTTP_BODY_NO_ROOM;
    uint64_t grown = arrival->capacity - before;
    if (atomic_fetch_add(&self->body_bytes, grown) + grown > limit * MAX_WAITING_BODIES)
        arrival->fault = HTTP_BODY_NO_ROOM;
    if (arrival->fault != HTTP_BODY_OK) {
        drop_body(self, arrival);
        return;
    }
    memcpy(arrival->body + arrival->size, data, size);
    arrival->size += size;
}

static void answer_arrival(
    http_door *self, const char *method, const char *path, const http_arrival *arrival, http_answer *answer)
{
    http_request request = {
        .method = method, .path = path, .body = arrival->body, .size = arrival->size, .fault = arrival->fault};
    tw_desk *desk = take_desk(self);
    if (desk == NULL) {
        tw_error error = {0};
        (void)tw_error_set(&error, TW_STATUS_BUSY, "all %d request slots are busy; try again", N_THREADS);
        http_api_error(answer, &error);
        return;
    }
    http_api_answer(self->shared, desk, &request, answer);
    give_desk(self, desk);
}

static enum MHD_Result on_request(void *context,
    struct MHD_Connection *connection,
    const char *path,
    const char *method,
    const char *version,
    const char *data,
    size_t *data_size,
    void **state)
{
    http_door *self = context;
    (void)version;
    if (*state == NULL) {
        *state = tw_alloc_zero(sizeof(http_arrival));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    http_arrival *arrival = *state;
    if (*data_size > 0) {
        take_body(self, arrival, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    http_answer answer = {0};
    answer_arrival(self, method, path, arrival, &answer);
    return send_answer(connection, &answer);
}

static void on_completed(
    void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    http_arrival *arrival = *state;
    (void)connection;
    (void)code;
    if (arrival != NULL)
        drop_body(context, arrival);
    tw_free(arrival);
    *state = NULL;
}

static tw_status start_daemon(http_door *self, const struct sockaddr_in *address, tw_error *error)
{
    const tw_server_options *options = &self->shared->options;
    errno = 0;
    self->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, self,
        MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)address, MHD_OPTION_NOTIFY_COMPLETED, on_completed, self,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned int)options->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned int)IDLE_TIMEOUT_S, MHD_OPTION_THREAD_POOL_SIZE, (unsigned int)N_THREADS, MHD_OPTION_END);
    int errnum = errno != 0 ? errno : EADDRINUSE;
    if (self->daemon == NULL)
        return http_listen_error(options->http_address, errnum, error);
    http_bound_address(self->daemon, address, self->address, sizeof self->address);
    return TW_STATUS_OK;
}

tw_status http_door_open(door_shared *shared, http_door **out, tw_error *error)
{
    struct sockaddr_in address;
    *out = NULL;
    tw_status status = http_parse_address("serve.http", shared->options.http_address, &address, error);
    if (status < 0)
        return status;
    http_door *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->shared = shared;
    (void)pthread_mutex_init(&self->mutex, NULL);
    for (int i = 0; i < N_THREADS && status == TW_STATUS_OK; i++) {
        status = tw_desk_create(shared->options.served, shared->options.max_rows, &self->desk[i], error);
        self->n_desks += status == TW_STATUS_OK;
    }
    if (status == TW_STATUS_OK)
        status = start_daemon(self, &address, error);
    if (status < 0)
        http_door_close(&self);
    *out = self;
    return status;
}

void http_door_close(http_door **self)
{
    http_door *door = *self;
    if (door == NULL)
        return;
    *self = NULL;
    if (door->daemon != NULL)
        MHD_stop_daemon(door->daemon);
    for (uint32_t i = 0; i < door->n_desks; i++)
        tw_desk_destroy(&door->desk[i]);
    (void)pthread_mutex_destroy(&door->mutex);
    tw_free(door);
}

const char *http_door_address(const http_door *self)
{
    return self->address;
}
