/* zmq_rows.h: rows of requests in MessagePack. Internal to src/serve. */
#ifndef TW_SERVE_ZMQ_ROWS_H
#define TW_SERVE_ZMQ_ROWS_H

#include "base/text.h"
#include "net/msgpack.h"
#include "serve/served.h"

/* Puts all rows on a desk whose request is open. A bad row fails alone. INVALID: `rows` is neither form (or NULL),
 * columns differ in length, too many rows. */
TW_MUST_USE tw_status zmq_rows_put(tw_desk *desk, const tw_value *rows, tw_error *error);

#endif
