/* hosts.h: the hosts that were let in last by a key of the list: a table of fixed size. 127.0.0.1 and ::1 are none, as
 * everybody on the machine comes from them. Private to src/net; one thread. */
#ifndef TW_NET_HOSTS_H
#define TW_NET_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TW_HOSTS_MAX = 64, TW_HOST_SIZE = 16, TW_HOST_TEXT_SIZE = 64 };

/* An IPv6 address; an IPv4 address as ::ffff:a.b.c.d. */
typedef struct tw_host {
    unsigned char byte[TW_HOST_SIZE];
} tw_host;

/* All zero: none. */
typedef struct tw_hosts {
    uint32_t n;
    tw_host host[TW_HOSTS_MAX]; /* [n] the latest first */
} tw_hosts;

/* `text` [size] such as "10.1.2.3", "::ffff:10.1.2.3" or "fe80::1%eth0". False: it is no address. */
bool tw_host_parse(const char *text, size_t size, tw_host *out);
bool tw_host_is_ipv4(const tw_host *self);

/* The oldest gives way. True: it was not there. */
bool tw_hosts_add(tw_hosts *self, const tw_host *host);

/* As tw_hosts_add, of an address as text; one that names no host of its own is passed over. */
bool tw_hosts_admit(tw_hosts *self, const char *text, size_t size);

#endif
