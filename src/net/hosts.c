#include "net/hosts.h"

#include <arpa/inet.h>
#include <string.h>

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

bool tw_host_parse(const char *text, size_t size, tw_host *out)
{
    char address[TW_HOST_TEXT_SIZE];
    if (size == 0 || size >= sizeof address)
        return false;
    memcpy(address, text, size);
    address[size] = '\0';
    address[strcspn(address, "%")] = '\0';
    memcpy(out->byte, mapped, sizeof mapped);
    return inet_pton(AF_INET, address, out->byte + sizeof mapped) == 1 || inet_pton(AF_INET6, address, out->byte) == 1;
}

bool tw_host_is_ipv4(const tw_host *self)
{
    return memcmp(self->byte, mapped, sizeof mapped) == 0;
}

/* 127.0.0.1 and ::1 */
static bool is_shared(const tw_host *self)
{
    static const tw_host v4 = {.byte = {[10] = 0xff, 0xff, 127, 0, 0, 1}}, v6 = {.byte = {[15] = 1}};
    return memcmp(self->byte, v4.byte, sizeof v4.byte) == 0 || memcmp(self->byte, v6.byte, sizeof v6.byte) == 0;
}

bool tw_hosts_add(tw_hosts *self, const tw_host *host)
{
    tw_host kept = *host;
    uint32_t at = 0;
    while (at < self->n && memcmp(self->host[at].byte, kept.byte, sizeof kept.byte) != 0)
        at++;
    bool is_new = at == self->n;
    if (is_new && self->n < TW_HOSTS_MAX)
        self->n++;
    at = at < TW_HOSTS_MAX ? at : TW_HOSTS_MAX - 1;
    memmove(self->host + 1, self->host, at * sizeof *self->host);
    self->host[0] = kept;
    return is_new;
}

bool tw_hosts_admit(tw_hosts *self, const char *text, size_t size)
{
    tw_host host;
    return tw_host_parse(text, size, &host) && !is_shared(&host) && tw_hosts_add(self, &host);
}
