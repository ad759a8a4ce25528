#include "serve/http_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tw_status http_parse_address(const char *what, const char *text, struct sockaddr_in *out, tw_error *error)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    char *end = NULL;
    long port = colon != NULL ? strtol(colon + 1, &end, 10) : -1;
    if (colon == NULL || end == colon + 1 || *end != '\0' || port < 0 || port > 65535)
        return tw_error_set(error, TW_STATUS_INVALID, "%s: %s: expected HOST:PORT such as 127.0.0.1:8080", what, text);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof host, "127.0.0.1");
    if (inet_pton(AF_INET, host, &out->sin_addr) != 1)
        return tw_error_set(error, TW_STATUS_INVALID, "%s: %s: %s is not an IPv4 address", what, text, host);
    if (ntohl(out->sin_addr.s_addr) >> 24 != 127)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "%s: %s: only loopback addresses may be served until connections can be authenticated", what, text);
    return TW_STATUS_OK;
}

tw_status http_listen_error(const char *text, int errnum, tw_error *error)
{
    if (errnum != EADDRINUSE)
        return tw_error_errno(error, TW_STATUS_IO, errnum, "cannot listen on %s", text);
    tw_status status = tw_error_set(error, TW_STATUS_UNAVAILABLE,
        "cannot listen on %s: Address already in use; another process listens there: stop it or choose another "
        "port",
        text);
    tw_error_code(error, "E401");
    return status;
}

void http_bound_address(struct MHD_Daemon *daemon, const struct sockaddr_in *address, char *out, size_t size)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    char host[INET_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
    (void)snprintf(
        out, size, "%s:%u", host, info != NULL ? (unsigned int)info->port : (unsigned int)ntohs(address->sin_port));
}
