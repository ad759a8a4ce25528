#include "net/door.h"

#include <asm/socket.h>
#include <linux/filter.h>
#include <sys/socket.h>

static const int64_t token = 1000000;

void tw_door_init(tw_door *self, int64_t now_us)
{
    *self = (tw_door){.tokens = TW_DOOR_BURST * token, .last_us = now_us};
}

static void add(tw_door *self, int64_t tokens)
{
    self->tokens += tokens;
    if (self->tokens > TW_DOOR_BURST * token)
        self->tokens = TW_DOOR_BURST * token;
}

static uint64_t n_open(const tw_door *self)
{
    return self->n_came - self->n_left;
}

bool tw_door_tick(tw_door *self, int64_t now_us)
{
    int64_t gone_us = now_us - self->last_us, full_us = token * TW_DOOR_BURST / TW_DOOR_A_SECOND;
    if (gone_us > 0) {
        add(self, (gone_us < full_us ? gone_us : full_us) * TW_DOOR_A_SECOND);
        self->last_us = now_us;
    }
    bool was_shut = self->is_shut;
    if (self->tokens < token || n_open(self) >= TW_DOOR_MAX_OPEN)
        self->is_shut = true;
    else if (self->tokens >= TW_DOOR_REOPENS * token && n_open(self) < TW_DOOR_MAX_OPEN - TW_DOOR_REOPENS)
        self->is_shut = false;
    self->n_shut += self->is_shut && !was_shut;
    return self->is_shut;
}

bool tw_door_tell(tw_door *self, tw_door_event event, int64_t now_us)
{
    switch (event) {
    case TW_DOOR_CAME:
        self->n_came++;
        add(self, -token);
        break;
    case TW_DOOR_PASSED:
        self->n_passed++;
        add(self, token);
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

bool tw_door_move(int fd, bool is_shut)
{
    struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop_all};
    int unused = 0;
    return is_shut ? setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0
                   : setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0;
}
