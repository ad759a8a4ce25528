#include "net/door.h"

#include <asm/socket.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

enum {
    IPV4_SOURCE = 12, /* bytes from the start of the header */
    IPV6_SOURCE = 8,
    FILTER_FRAME = 16, /* instructions beside those of hosts */
    FILTER_A_HOST = 9, /* at most */
    FILTER_MAX = FILTER_FRAME + TW_HOSTS_MAX * FILTER_A_HOST
};

static const int64_t token = 1000000;

void tw_door_init(tw_door *self, int64_t now_us)
{
    *self = (tw_door){.last_us = now_us,
        .limit = {{.burst = TW_DOOR_BURST, .max_open = TW_DOOR_MAX_OPEN},
            {.burst = TW_DOOR_KNOWN, .max_open = TW_DOOR_MAX_OPEN + TW_DOOR_KNOWN}}};
    for (int i = 0; i < 2; i++)
        self->limit[i].tokens = self->limit[i].burst * token;
}

static void add(tw_door_limit *self, int64_t tokens)
{
    self->tokens += tokens;
    if (self->tokens > self->burst * token)
        self->tokens = self->burst * token;
}

static void follow(tw_door_limit *self, uint64_t n_open)
{
    if (self->tokens < token || n_open >= self->max_open)
        self->is_shut = true;
    else if (self->tokens >= TW_DOOR_REOPENS * token && n_open < self->max_open - TW_DOOR_REOPENS)
        self->is_shut = false;
}

tw_door_state tw_door_tick(tw_door *self, int64_t now_us)
{
    int64_t gone_us = now_us - self->last_us, full_us = token * TW_DOOR_BURST / TW_DOOR_A_SECOND;
    if (gone_us > full_us)
        gone_us = full_us;
    bool was_open = self->state == TW_DOOR_OPEN;
    for (int i = 0; i < 2; i++) {
        if (gone_us > 0)
            add(&self->limit[i], gone_us * TW_DOOR_A_SECOND);
        follow(&self->limit[i], self->n_came - self->n_left);
    }
    if (gone_us > 0)
        self->last_us = now_us;
    self->state = !self->limit[0].is_shut ? TW_DOOR_OPEN : self->limit[1].is_shut ? TW_DOOR_SHUT : TW_DOOR_TO_KNOWN;
    self->n_shut += self->state != TW_DOOR_OPEN && was_open;
    return self->state;
}

tw_door_state tw_door_tell(tw_door *self, tw_door_event event, int64_t now_us)
{
    tw_door_limit *limit = &self->limit[self->state != TW_DOOR_OPEN];
    switch (event) {
    case TW_DOOR_CAME:
        self->n_came++;
        add(limit, -token);
        break;
    case TW_DOOR_PASSED:
        self->n_passed++;
        add(limit, token);
        break;
    case TW_DOOR_BROKE:
        self->n_broke++;
        break;
    case TW_DOOR_LEFT:
        self->n_left += self->n_left < self->n_came;
        break;
    }
    return tw_door_tick(self, now_us);
}

/* --- the kernel's filter ------------------------------------------------------------------------------------------ */

typedef struct filter {
    struct sock_filter step[FILTER_MAX];
    uint16_t n;
} filter;

static void put(filter *self, uint16_t code, uint8_t if_true, uint8_t if_false, uint32_t k)
{
    self->step[self->n++] = (struct sock_filter){code, if_true, if_false, k};
}

static void put_load(filter *self, uint16_t size, uint32_t at)
{
    put(self, BPF_LD | size | BPF_ABS, 0, 0, (uint32_t)SKF_NET_OFF + at);
}

static void put_return(filter *self, bool passes)
{
    put(self, BPF_RET | BPF_K, 0, 0, passes ? UINT32_MAX : 0);
}

static uint32_t word_at(const tw_host *host, uint32_t at)
{
    const unsigned char *byte = host->byte + at;
    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

/* The source of an IPv4 packet is loaded once. */
static void put_ipv4_hosts(filter *self, const tw_hosts *hosts)
{
    put_load(self, BPF_W, IPV4_SOURCE);
    for (uint32_t i = 0; i < hosts->n; i++) {
        if (!tw_host_is_ipv4(&hosts->host[i]))
            continue;
        put(self, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, word_at(&hosts->host[i], TW_HOST_SIZE - 4));
        put_return(self, true);
    }
    put_return(self, false);
}

/* Four words a host; the first that differs leads to the next host. */
static void put_ipv6_hosts(filter *self, const tw_hosts *hosts)
{
    for (uint32_t i = 0; i < hosts->n; i++) {
        if (tw_host_is_ipv4(&hosts->host[i]))
            continue;
        for (uint32_t word = 0; word < 4; word++) {
            put_load(self, BPF_W, IPV6_SOURCE + word * 4);
            put(self, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)(7 - word * 2), word_at(&hosts->host[i], word * 4));
        }
        put_return(self, true);
    }
    put_return(self, false);
}

static void filter_make(filter *self, const tw_hosts *hosts)
{
    self->n = 0;
    put_load(self, BPF_B, 0);
    put(self, BPF_ALU | BPF_RSH | BPF_K, 0, 0, 4);
    put(self, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 4);
    uint16_t jump = self->n;
    put(self, BPF_JMP | BPF_JA, 0, 0, 0);
    put_ipv4_hosts(self, hosts);
    self->step[jump].k = (uint32_t)(self->n - jump - 1);
    put_ipv6_hosts(self, hosts);
}

bool tw_door_move(int fd, tw_door_state state, const tw_hosts *hosts)
{
    static const tw_hosts nobody;
    filter steps;
    int unused = 0;
    if (state == TW_DOOR_OPEN)
        return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0;
    filter_make(&steps, state == TW_DOOR_TO_KNOWN ? hosts : &nobody);
    struct sock_fprog program = {.len = steps.n, .filter = steps.step};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}
