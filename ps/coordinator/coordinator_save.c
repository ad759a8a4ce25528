/* Named checkpoints: quiet, cut, write. */
#include <stdio.h>
#include <string.h>

#include "ps/coordinator/coordinator_state.h"

enum { PAUSE_US = 100000, LONGEST_PAUSE_US = 1600000 };

uint64_t tw_coordinator_quiet(const tw_coordinator *self)
{
    return self->save.phase == SAVE_QUIETING || self->save.phase == SAVE_CUTTING ? self->save.id : 0;
}

static void save_end(tw_coordinator *self, tw_save_state state, const char *message)
{
    save *one = &self->save;
    bool was_quiet = tw_coordinator_quiet(self) != 0;
    one->phase = SAVE_ENDED;
    one->is_wanted = false;
    one->state = state;
    (void)snprintf(one->message, sizeof one->message, "%s", message != NULL ? message : "");
    if (was_quiet)
        tw_coordinator_order_all(self);
}

/* Who still learns. */
static const member *save_culprit(const tw_coordinator *self)
{
    for (size_t i = 0; i < self->n_members; i++) {
        const member *one = &self->member[i];
        if (one->grant.epoch != 0 && one->standing.quiet != self->save.id)
            return one;
    }
    return NULL;
}

/* For whoever asked, while it is under way: what has yet to come. */
static void describe_wait(const tw_coordinator *self, char *text, size_t size)
{
    const save *one = &self->save;
    const member *culprit = one->phase == SAVE_QUIETING ? save_culprit(self) : NULL;
    if (culprit != NULL)
        (void)snprintf(text, size, "worker %s to finish its batch", culprit->standing.name);
    else if (one->phase == SAVE_PUT_OFF)
        (void)snprintf(text, size, "a moment for one cut: %.300s", one->message);
    else
        (void)snprintf(text, size, "%s", one->phase == SAVE_WRITING ? "the files to be written" : "the shards' cut");
}

static void save_answer(tw_coordinator *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    const save *one = &self->save;
    char wait[TW_ERROR_MESSAGE_SIZE];
    const char *text = one->state == TW_SAVE_UNDER_WAY ? wait : one->message;
    tw_frame answer = {.type = TW_FRAME_SAVED,
        .sender = frame->sender,
        .incarnation = self->options.incarnation,
        .ack = frame->sequence,
        .handle = one->checkpoint,
        .generation = (uint64_t)one->state};
    describe_wait(self, wait, sizeof wait);
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) < 0 ||
        tw_buffer_append(&self->out, text, strlen(text), NULL) < 0)
        return;
    tw_frame_finish(&self->out, &answer);
    self->options.emit(self->options.context, peer, peer_size, self->out.bytes, self->out.size);
}

static bool name_is_good(const unsigned char *name, size_t size)
{
    if (size == 0 || size >= TW_SAVE_NAME_SIZE)
        return false;
    for (size_t i = 0; i < size; i++) {
        bool is_letter = (name[i] | 32) >= 'a' && (name[i] | 32) <= 'z';
        bool is_digit = name[i] >= '0' && name[i] <= '9';
        if (!is_letter && !is_digit && (i == 0 || strchr("._-", name[i]) == NULL))
            return false;
    }
    return true;
}

static bool is_under_way(const save *one)
{
    return one->phase != SAVE_NONE && one->phase != SAVE_ENDED;
}

static bool takes_name(const tw_coordinator *self, const tw_frame *frame, char why[TW_ERROR_MESSAGE_SIZE])
{
    char name[TW_SAVE_NAME_SIZE] = "";
    memcpy(name, frame->payload, frame->payload_size);
    return self->options.takes_name == NULL || self->options.takes_name(self->options.note_context, name, why);
}

void tw_coordinator_save_request(tw_coordinator *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    save *one = &self->save;
    char taken[TW_ERROR_MESSAGE_SIZE] = "";
    if (one->phase != SAVE_NONE && one->sender == frame->sender) {
        save_answer(self, peer, peer_size, frame);
        return;
    }
    if (!self->options.can_save) {
        const char *why = self->options.why_not;
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_FAILED,
            why != NULL ? why : "this coordinator saves nothing: its shards save by themselves");
        return;
    }
    if (!name_is_good(frame->payload, frame->payload_size)) {
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_BAD_FRAME,
            "a checkpoint's name has 1 to 63 letters, digits, dots, dashes and underscores, and begins with a letter "
            "or digit");
        return;
    }
    if (is_under_way(one)) {
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_OVERLOAD, "another named checkpoint is under way");
        return;
    }
    if (!takes_name(self, frame, taken)) {
        tw_coordinator_nack(self, peer, peer_size, frame, TW_NACK_CONFLICT, taken);
        return;
    }
    *one = (save){.phase = SAVE_QUIETING,
        .id = one->id + 1,
        .deadline_us = self->now_us + self->options.save_timeout_us,
        .pause_us = PAUSE_US,
        .sender = frame->sender};
    memcpy(one->name, frame->payload, frame->payload_size);
    tw_coordinator_order_all(self);
    save_answer(self, peer, peer_size, frame);
    tw_coordinator_save_check(self);
}

/* All go on, so that what kept the shards from one cut can be learned. */
static void save_put_off(tw_coordinator *self, const char *message)
{
    save *one = &self->save;
    one->phase = SAVE_PUT_OFF;
    one->again_us = self->now_us + one->pause_us;
    one->pause_us = one->pause_us * 2 < LONGEST_PAUSE_US ? one->pause_us * 2 : LONGEST_PAUSE_US;
    (void)snprintf(one->message, sizeof one->message, "%s", message != NULL ? message : "");
    tw_coordinator_order_all(self);
}

static void save_try_again(tw_coordinator *self)
{
    char why[TW_ERROR_MESSAGE_SIZE];
    save *one = &self->save;
    if (self->now_us >= one->deadline_us) {
        (void)snprintf(why, sizeof why, "no moment was found for one cut: %.300s", one->message);
        tw_coordinator_tell(self, "checkpoint %s is cancelled: %s", one->name, why);
        save_end(self, TW_SAVE_FAILED, why);
    } else if (self->now_us >= one->again_us) {
        one->phase = SAVE_QUIETING;
        one->id++;
        tw_coordinator_order_all(self);
    }
}

void tw_coordinator_save_check(tw_coordinator *self)
{
    char why[TW_ERROR_MESSAGE_SIZE];
    save *one = &self->save;
    if (one->phase == SAVE_PUT_OFF)
        save_try_again(self);
    /* Whoever saves hangs, and all stand still. */
    if (one->phase == SAVE_CUTTING && self->now_us >= one->deadline_us + self->options.save_timeout_us) {
        tw_coordinator_tell(self, "checkpoint %s is cancelled: the shards were not cut in time", one->name);
        save_end(self, TW_SAVE_FAILED, "the shards were not cut in time");
    }
    if (one->phase != SAVE_QUIETING)
        return;
    const member *culprit = save_culprit(self);
    if (culprit == NULL) {
        one->phase = SAVE_CUTTING;
        one->is_wanted = true;
        return;
    }
    if (self->now_us < one->deadline_us)
        return;
    (void)snprintf(why, sizeof why, "worker %s did not finish its batch in time", culprit->standing.name);
    tw_coordinator_tell(self, "checkpoint %s is cancelled: %s", one->name, why);
    save_end(self, TW_SAVE_FAILED, why);
}

void tw_coordinator_save_lost(tw_coordinator *self, const char *name)
{
    char why[TW_ERROR_MESSAGE_SIZE];
    if (self->save.phase != SAVE_QUIETING)
        return;
    (void)snprintf(why, sizeof why, "worker %s was lost meanwhile", name);
    tw_coordinator_tell(self, "checkpoint %s is cancelled: %s", self->save.name, why);
    save_end(self, TW_SAVE_FAILED, why);
}

bool tw_coordinator_save_wanted(tw_coordinator *self, char name[TW_SAVE_NAME_SIZE], tw_grant *orphan, uint32_t *n)
{
    uint32_t room = *n;
    *n = 0;
    if (!self->save.is_wanted)
        return false;
    self->save.is_wanted = false;
    memcpy(name, self->save.name, TW_SAVE_NAME_SIZE);
    for (uint32_t i = 0; i < self->n_shares && *n < room; i++) {
        share *one = &self->share[i];
        if (!one->is_orphan)
            continue;
        one->last_epoch = ++self->next_epoch;
        orphan[(*n)++] = (tw_grant){i, one->last_pass, one->last_epoch};
    }
    return true;
}

void tw_coordinator_save_cut(tw_coordinator *self, tw_status status, const char *message)
{
    if (self->save.phase != SAVE_CUTTING)
        return;
    if (status == TW_STATUS_BUSY) {
        save_put_off(self, message);
        return;
    }
    if (status < 0) {
        save_end(self, TW_SAVE_FAILED, message);
        return;
    }
    self->save.phase = SAVE_WRITING;
    tw_coordinator_order_all(self);
}

void tw_coordinator_save_done(tw_coordinator *self, tw_status status, uint64_t id, const char *message)
{
    if (self->save.phase != SAVE_WRITING)
        return;
    self->save.checkpoint = id;
    if (status >= 0) {
        self->saved = id;
        self->saved_us = self->now_us;
    }
    save_end(self, status < 0 ? TW_SAVE_FAILED : TW_SAVE_DONE, message);
}
