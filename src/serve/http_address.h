/* http_address.h: where a loopback HTTP server listens: parsing, and what is said when it cannot. Internal to
 * src/serve.
 */
#ifndef TW_SERVE_HTTP_ADDRESS_H
#define TW_SERVE_HTTP_ADDRESS_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <stddef.h>

#include "thalweg/status.h"

/* "127.0.0.1:8080" or "localhost:8080"; everything off loopback is refused. `what` begins the message. */
TW_MUST_USE tw_status http_parse_address(const char *what, const char *text, struct sockaddr_in *out, tw_error *error);

/* Why nothing listens at `text`. */
tw_status http_listen_error(const char *text, int errnum, tw_error *error);

/* "127.0.0.1:8080" with the port really bound. */
void http_bound_address(struct MHD_Daemon *daemon, const struct sockaddr_in *address, char *out, size_t size);

#endif
