#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "net/socket.h"

static bool port_is_valid(const char *port)
{
    if (strcmp(port, "*") == 0)
        return true;
    size_t size = strlen(port);
    return size >= 1 && size <= 5 && strspn(port, "0123456789") == size && strtoul(port, NULL, 10) <= 65535;
}

/* Four numbers of up to three digits, the first of them 127. */
static bool host_is_ipv4_loopback(const char *host)
{
    unsigned number[4] = {0};
    uint32_t n_numbers = 0;
    const char *at = host;
    while (n_numbers < 4) {
        uint32_t n_digits = 0;
        for (; isdigit((unsigned char)*at) && n_digits < 3; at++, n_digits++)
            number[n_numbers] = number[n_numbers] * 10 + (unsigned)(*at - '0');
        if (n_digits == 0 || number[n_numbers] > 255)
            return false;
        n_numbers++;
        if (n_numbers < 4 && *at++ != '.')
            return false;
    }
    return *at == '\0' && number[0] == 127;
}

static bool host_is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || host_is_ipv4_loopback(host);
}

static tw_status tcp_check(const char *address, bool is_open, tw_error *error)
{
    char host[TW_ADDRESS_SIZE];
    const char *rest = address + strlen("tcp://");
    const char *colon = strrchr(rest, ':');
    if (colon == NULL || colon == rest || !port_is_valid(colon + 1))
        return tw_error_set(error, TW_STATUS_INVALID,
            "address \"%s\" has no port from 0 to 65535; write tcp://127.0.0.1:7101", address);
    memcpy(host, rest, (size_t)(colon - rest));
    host[colon - rest] = '\0';
    if (!is_open && !host_is_loopback(host))
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "address \"%s\" can be reached from other machines and the connection would be neither encrypted nor "
            "authenticated; use keys (thalweg keygen), or tcp://127.0.0.1:PORT or ipc://PATH",
            address);
    return TW_STATUS_OK;
}

tw_status tw_address_check(const char *address, bool is_open, tw_error *error)
{
    size_t size = strlen(address);
    if (size >= TW_ADDRESS_SIZE)
        return tw_error_set(
            error, TW_STATUS_INVALID, "address of %zu bytes is longer than %d", size, TW_ADDRESS_SIZE - 1);
    if (strchr(address, '|') != NULL)
        return tw_error_set(
            error, TW_STATUS_INVALID, "\"%s\": one address is expected here, and '|' stands between several", address);
    if (strncmp(address, "tcp://", 6) == 0)
        return tcp_check(address, is_open, error);
    if (strncmp(address, "inproc://", 9) == 0 && size > 9)
        return TW_STATUS_OK;
    if (strncmp(address, "ipc://", 6) == 0 && size > 6) {
        size_t limit = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
        if (size - 6 > limit)
            return tw_error_set(error, TW_STATUS_INVALID,
                "address \"%s\": its path has %zu bytes, the system allows %zu; use a shorter directory", address,
                size - 6, limit);
        return TW_STATUS_OK;
    }
    return tw_error_set(
        error, TW_STATUS_INVALID, "\"%s\" is not an address; write tcp://127.0.0.1:PORT or ipc://PATH", address);
}
