#include "generators/templates.h"

#include <string.h>

enum { TEMPLATE_EVENTS = 20000 };

/* Written by cmake/Embed.cmake: for every folder of datasets/templates an array tw_embedded_<name> and its length. */
#define TEMPLATE_FILES(name)                                                                                           \
    .files = tw_embedded_##name, .n_files = sizeof tw_embedded_##name / sizeof *tw_embedded_##name
#include "embedded_templates.inc"

static const tw_template TEMPLATES[] = {
    {.name = "ctr",
        .summary = "click log in JSON lines, FTRL logistic regression on two shards",
        .generator = "clicks",
        .data_file = "clicks.jsonl",
        .n_events = TEMPLATE_EVENTS,
        TEMPLATE_FILES(ctr)},
    {.name = "cluster",
        .summary = "click log in JSON lines, two workers on two shards with standbys",
        .generator = "clicks",
        .data_file = "clicks.jsonl",
        .n_events = TEMPLATE_EVENTS,
        TEMPLATE_FILES(cluster)},
    {.name = "csv",
        .summary = "table of customers in CSV, bounded, FTRL logistic regression",
        .generator = "csv",
        .data_file = "customers.csv",
        .n_events = TEMPLATE_EVENTS,
        TEMPLATE_FILES(csv)},
    {.name = "sensors",
        .summary = "machine readings in JSON lines, streaming k-means on scaled columns",
        .generator = "sensors",
        .data_file = "readings.jsonl",
        .n_events = TEMPLATE_EVENTS,
        TEMPLATE_FILES(sensors)},
    {.name = "vw",
        .summary = "events in VW text, FTRL logistic regression",
        .generator = "vw",
        .data_file = "events.vw",
        .n_events = TEMPLATE_EVENTS,
        TEMPLATE_FILES(vw)},
};

const tw_template *tw_template_at(size_t index)
{
    return index < sizeof TEMPLATES / sizeof *TEMPLATES ? &TEMPLATES[index] : NULL;
}

const tw_template *tw_template_find(const char *name)
{
    for (size_t i = 0; i < sizeof TEMPLATES / sizeof *TEMPLATES; i++) {
        if (strcmp(TEMPLATES[i].name, name) == 0) {
            return &TEMPLATES[i];
        }
    }
    return NULL;
}
