/* kinds.h: what a kind of generator is made of. A kind is one file with one `const tw_generator_ops`; it is listed in
 * generator.c. Kinds keep no state: an event is drawn from the settings and its index. */
#ifndef TW_GENERATORS_KINDS_H
#define TW_GENERATORS_KINDS_H

#include "generators/generator.h"
#include "generators/line.h"

typedef struct tw_generator_ops {
    tw_generator_kind kind;
    const char *header; /* first line, newline included, or NULL */
    void (*write)(const tw_generator_settings *settings, uint64_t index, tw_line *line);
} tw_generator_ops;

extern const tw_generator_ops tw_generator_clicks;
extern const tw_generator_ops tw_generator_sensors;
extern const tw_generator_ops tw_generator_csv;
extern const tw_generator_ops tw_generator_vw;

#endif
