/* page.h: a page of text over HTTP for processes that serve no model: GET /metrics answers what a function writes,
 * GET /healthz that the process lives. Loopback only. */
#ifndef TW_SERVE_PAGE_H
#define TW_SERVE_PAGE_H

#include "base/text.h"

typedef struct tw_page tw_page;

/* Called from the page's own thread, one call at a time. */
typedef tw_status (*tw_page_write)(void *context, tw_text *out, tw_error *error);

/* `address`: "127.0.0.1:9101", port 0: any. UNAVAILABLE names the address and the remedy when it is in use. */
TW_MUST_USE tw_status tw_page_start(
    const char *address, tw_page_write write, void *context, tw_page **out, tw_error *error);
/* The address really bound; borrowed. */
const char *tw_page_address(const tw_page *self);
/* Returns when no call is under way any more. NULL-safe. */
void tw_page_stop(tw_page **self);

#endif
