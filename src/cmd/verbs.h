/* verbs.h: the commands of the program: one function each, listed in main.c. argv[0] is the verb. Each returns the
 * process's exit code (sysexits; 1: done in part) and has printed what went wrong. */
#ifndef TW_CMD_VERBS_H
#define TW_CMD_VERBS_H

#include "cmd/flags.h"

typedef struct verb {
    const char *name;
    const char *usage; /* "run FILE [OPTIONS]" */
    const char *summary;
    const flag_spec *flags;
    int (*run)(const struct verb *self, int argc, char **argv);
} verb;

/* NULL at `index` behind the last. */
const verb *verb_at(size_t index);

/* Parses argv; prints help (stdout, *code 0) or the error (stderr, *code 64). False: the verb is over with *code. */
bool verb_parse(const verb *self, int argc, char **argv, flags *out, int *code);

/* As verb_parse, for a verb that takes options only: an argument is a usage error that names it. */
bool verb_parse_options(const verb *self, int argc, char **argv, flags *out, int *code);

/* The code for a usage error, after printing it with a hint to --help. */
int verb_misused(const verb *self, const char *format, ...) TW_PRINTF(2, 3);

extern const verb verb_run, verb_train, verb_predict, verb_eval, verb_serve, verb_ps, verb_worker, verb_status,
    verb_coordinator, verb_checkpoint, verb_keygen, verb_check, verb_model, verb_gen, verb_init, verb_doctor,
    verb_version, verb_help;

#endif
