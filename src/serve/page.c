#include "serve/page.h"

#include <arpa/inet.h>
#include <errno.h>

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "serve/http_address.h"

enum { IDLE_TIMEOUT_S = 10, MAX_CONNECTIONS = 16 };

struct tw_page {
    struct MHD_Daemon *daemon;
    tw_page_write write;
    void *context;
    char address[128];
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int code, const char *text)
{
    union { /* MUST_COPY only reads it */
        const char *text;
        void *bytes;
    } body = {.text = text};
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), body.bytes, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
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
    tw_page *self = context;
    (void)version;
    (void)data;
    (void)state;
    /* A body is passed over. */
    *data_size = 0;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "this page answers GET only\n");
    if (strcmp(path, "/healthz") == 0)
        return answer(connection, MHD_HTTP_OK, "ok\n");
    if (strcmp(path, "/metrics") != 0)
        return answer(connection, MHD_HTTP_NOT_FOUND, "nothing here: GET /metrics, /healthz\n");
    tw_text out = {0};
    tw_error error = {0};
    bool is_written = self->write(self->context, &out, &error) == TW_STATUS_OK;
    enum MHD_Result result = is_written ? answer(connection, MHD_HTTP_OK, out.bytes != NULL ? out.bytes : "")
                                        : answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, error.message);
    tw_text_fini(&out);
    return result;
}

static tw_status start_daemon(tw_page *self, const char *text, const struct sockaddr_in *address, tw_error *error)
{
    errno = 0;
    self->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, self,
        MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)address, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned int)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_TIMEOUT_S, MHD_OPTION_END);
    int errnum = errno != 0 ? errno : EADDRINUSE;
    if (self->daemon == NULL)
        return http_listen_error(text, errnum, error);
    http_bound_address(self->daemon, address, self->address, sizeof self->address);
    return TW_STATUS_OK;
}

tw_status tw_page_start(const char *address, tw_page_write write, void *context, tw_page **out, tw_error *error)
{
    struct sockaddr_in parsed;
    *out = NULL;
    tw_status status = http_parse_address("metrics", address, &parsed, error);
    if (status < 0)
        return status;
    tw_page *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->write = write;
    self->context = context;
    status = start_daemon(self, address, &parsed, error);
    if (status < 0)
        tw_page_stop(&self);
    *out = self;
    return status;
}

const char *tw_page_address(const tw_page *self)
{
    return self->address;
}

void tw_page_stop(tw_page **self)
{
    if (*self == NULL)
        return;
    if ((*self)->daemon != NULL)
        MHD_stop_daemon((*self)->daemon);
    tw_free(*self);
    *self = NULL;
}
