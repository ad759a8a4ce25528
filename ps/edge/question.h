/* question.h: one question to a coordinator, said again until it is answered. Answers are its own decision: see `take`.
 */
#ifndef TW_PS_QUESTION_H
#define TW_PS_QUESTION_H

#include "ps/wire/frame.h"
#include "ps/wire/link.h"

typedef struct tw_question {
    tw_frame_type type;
    const char *payload; /* text */
    int timeout_ms;
    int silence_ms; /* without any frame it is given up so early; 0: timeout_ms */
    /* A frame that came: IDLE: it decides nothing; OK or an error ends it. */
    tw_status (*take)(void *context, const tw_frame *frame, tw_error *error);
    void (*waiting)(void *context, int64_t waited_ms); /* about once a second; may be NULL */
    void *context;
    bool is_heard; /* out: some frame came */
} tw_question;

/* As `take` said, or IDLE: nothing has decided it in time. */
TW_MUST_USE tw_status tw_question_ask(
    tw_question *self, const char *address, const tw_socket_security *security, tw_error *error);

#endif
