/* model_verbs.h: the parts of the verb `model` that have files of their own. Each prints what it has to say and returns
 * the process's exit code. */
#ifndef TW_CMD_MODEL_VERBS_H
#define TW_CMD_MODEL_VERBS_H

#include "cmd/flags.h"
#include "thalweg/status.h"

/* Every row file: who needs it, what it is, whether it is whole; then what cannot be restored. CORRUPT: not all are. */
TW_MUST_USE tw_status model_print_files(const char *directory, tw_error *error);

/* Serves version --to, or the published one before that which is served; with --release the newest one again. */
int model_rollback(const flags *given, const char *directory);

/* The checkpoint as JSON lines or as a score file, to the file of --output (- or none: standard output). */
int model_export(const flags *given, const char *directory, uint64_t version);

/* A file of JSON lines (-: standard input) as a new checkpoint of `directory`. */
int model_import(const flags *given, const char *file, const char *directory);

/* Two directories, or checkpoints as DIR@VERSION. 0: the models are equal, 1: they differ. */
int model_diff(const flags *given, const char *left, const char *right);

#endif
