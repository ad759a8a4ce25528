/* http_api.h: what the paths of the HTTP door answer, without the sockets. Internal to src/serve. */
#ifndef TW_SERVE_HTTP_API_H
#define TW_SERVE_HTTP_API_H

#include "serve/doors.h"

/* What can be wrong with a body before it is looked at. */
typedef enum http_body_fault { HTTP_BODY_OK, HTTP_BODY_TOO_LARGE, HTTP_BODY_NO_ROOM } http_body_fault;

typedef struct http_request {
    const char *method, *path;
    const char *body; /* [size]; NULL when size is 0 */
    size_t size;
    http_body_fault fault;
} http_request;

typedef struct http_answer {
    unsigned int code;
    const char *type;  /* static */
    const char *allow; /* with 405: the methods that the path has; static */
    char *body;        /* by malloc, for the library that frees it; NULL: out of memory */
} http_answer;

/* `desk` is the caller's alone for the call and is left finished. Any thread. */
void http_api_answer(door_shared *shared, tw_desk *desk, const http_request *request, http_answer *answer);

/* An error in the API's form. */
void http_api_error(http_answer *answer, const tw_error *error);

#endif
