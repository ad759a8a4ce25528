/* templates.h: the project folders that `thalweg init` writes. Their files lie in datasets/templates/<name>/ and are
 * turned into bytes of the program at build time by cmake/Embed.cmake; nothing is read at run time. All memory is
 * static. */
#ifndef TW_GENERATORS_TEMPLATES_H
#define TW_GENERATORS_TEMPLATES_H

#include <stddef.h>

#include "thalweg/status.h"

typedef struct tw_template_file {
    const char *name;           /* "pipeline.yaml" */
    const unsigned char *bytes; /* no terminating 0 */
    size_t size;
} tw_template_file;

typedef struct tw_template {
    const char *name, *summary;
    const char *generator; /* kind of generator that fills the data file */
    const char *data_file; /* name that the template's pipeline file reads */
    uint32_t n_events;     /* events to generate; a header comes on top */
    const tw_template_file *files;
    size_t n_files;
} tw_template;

/* In the order in which help shows them, the default first; NULL at `index` behind the last. */
const tw_template *tw_template_at(size_t index);

/* NULL if there is none of that name. */
const tw_template *tw_template_find(const char *name);

#endif
