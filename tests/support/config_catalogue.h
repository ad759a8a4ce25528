/* config_catalogue.h: a catalogue of made-up plug-ins for tests of src/config. */
#ifndef TW_SUPPORT_CONFIG_CATALOGUE_H
#define TW_SUPPORT_CONFIG_CATALOGUE_H

#include <string.h>

#include "config/schema.h"

static const tw_option catalogue_ftrl[] = {
    {"alpha", TW_OPTION_REAL, "0.1", 1e-9, 1e3, NULL, false, "learning rate"},
    {"beta", TW_OPTION_REAL, "1", 0, 1e6, NULL, false, "smoothing"},
    {"l1", TW_OPTION_REAL, "0", 0, 1e6, NULL, false, "L1 penalty"},
    {"l2", TW_OPTION_REAL, "0", 0, 1e6, NULL, false, "L2 penalty"},
    {.name = NULL},
};
static const tw_option catalogue_linear[] = {
    {"rate", TW_OPTION_REAL, "0.5", 0, 0, NULL, false, "learning rate"},
    {"loss", TW_OPTION_CHOICE, "logistic", 0, 0, "logistic|squared", false, "loss"},
    {.name = NULL},
};
static const tw_option catalogue_kmeans[] = {
    {"k", TW_OPTION_INT, NULL, 1, 100000, NULL, true, "number of clusters"},
    {"half_life", TW_OPTION_DURATION, "6h", 0, 0, NULL, false, "half life"},
    {.name = NULL},
};
static const tw_option catalogue_file[] = {
    {"path", TW_OPTION_LIST, NULL, 0, 0, NULL, true, "files and globs"},
    {"follow", TW_OPTION_BOOL, "false", 0, 0, NULL, false, "wait for more at the end"},
    {"chunk", TW_OPTION_SIZE, "1MiB", 4096, 1073741824.0, NULL, false, "bytes read at one time"},
    {.name = NULL},
};
static const tw_option catalogue_none[] = {{.name = NULL}};
static const tw_option catalogue_csv[] = {
    {"header", TW_OPTION_BOOL, "true", 0, 0, NULL, false, "the first line names the columns"},
    {"delimiter", TW_OPTION_TEXT, ",", 0, 0, NULL, false, "between cells"},
    {.name = NULL},
};
static const tw_option catalogue_sink[] = {
    {"path", TW_OPTION_TEXT, NULL, 0, 0, NULL, true, "file that is written"},
    {.name = NULL},
};
static const tw_option catalogue_lbfgs[] = {
    {"tolerance", TW_OPTION_REAL, "1e-9", 0, 1, NULL, false, "when to stop"},
    {.name = NULL},
};

typedef struct catalogue_row {
    tw_plugin_kind kind;
    const char *name;
    const tw_option *options;
} catalogue_row;

static const catalogue_row catalogue_rows[] = {
    {TW_PLUGIN_LEARNER, "ftrl", catalogue_ftrl},
    {TW_PLUGIN_LEARNER, "linear", catalogue_linear},
    {TW_PLUGIN_LEARNER, "kmeans", catalogue_kmeans},
    {TW_PLUGIN_SOURCE, "file", catalogue_file},
    {TW_PLUGIN_SOURCE, "stdin", catalogue_none},
    {TW_PLUGIN_FORMAT, "json", catalogue_none},
    {TW_PLUGIN_FORMAT, "csv", catalogue_csv},
    {TW_PLUGIN_SINK, "predictions", catalogue_sink},
    {TW_PLUGIN_SOLVER, "online", catalogue_none},
    {TW_PLUGIN_SOLVER, "ftrl", catalogue_none},
    {TW_PLUGIN_SOLVER, "sgd", catalogue_none},
    {TW_PLUGIN_SOLVER, "lbfgs", catalogue_lbfgs},
};
enum { CATALOGUE_N = sizeof catalogue_rows / sizeof catalogue_rows[0] };

static const tw_option *catalogue_options(void *context, tw_plugin_kind kind, const char *name)
{
    (void)context;
    for (size_t i = 0; i < CATALOGUE_N; i++) {
        if (catalogue_rows[i].kind == kind && strcmp(catalogue_rows[i].name, name) == 0)
            return catalogue_rows[i].options;
    }
    return NULL;
}

static const char *catalogue_name(void *context, tw_plugin_kind kind, size_t index)
{
    (void)context;
    for (size_t i = 0; i < CATALOGUE_N; i++) {
        if (catalogue_rows[i].kind == kind && index-- == 0)
            return catalogue_rows[i].name;
    }
    return NULL;
}

static const char *catalogue_summary(void *context, tw_plugin_kind kind, const char *name)
{
    (void)context;
    (void)kind;
    return name;
}

static const tw_plugin_catalogue test_catalogue = {NULL, catalogue_options, catalogue_name, catalogue_summary};

#endif
