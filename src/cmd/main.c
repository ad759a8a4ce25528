#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/console.h"
#include "cmd/verbs.h"
#include "math/blas.h"

enum { MAX_ARENAS = 2 };

static const verb *const verbs[] = {&verb_init, &verb_check, &verb_run, &verb_train, &verb_predict, &verb_eval,
    &verb_serve, &verb_ps, &verb_worker, &verb_status, &verb_coordinator, &verb_checkpoint, &verb_keygen, &verb_model,
    &verb_gen, &verb_doctor, &verb_version, &verb_help};

const verb *verb_at(size_t index)
{
    return index < sizeof verbs / sizeof verbs[0] ? verbs[index] : NULL;
}

bool verb_parse(const verb *self, int argc, char **argv, flags *out, int *code)
{
    tw_error error = {0};
    if (flags_parse(out, self->flags, argc, argv, &error) < 0) {
        *code = verb_misused(self, "%s", error.message);
        return false;
    }
    if (!out->wants_help)
        return true;
    (void)printf("usage: thalweg %s\n\n%s\n", self->usage, self->summary);
    if (self->flags[0].name != NULL)
        (void)printf("\n");
    flags_print(stdout, self->flags);
    *code = 0;
    return false;
}

bool verb_parse_options(const verb *self, int argc, char **argv, flags *out, int *code)
{
    if (!verb_parse(self, argc, argv, out, code))
        return false;
    if (out->n_arguments == 0)
        return true;
    *code = verb_misused(self, "unexpected \"%s\"", out->argument[0]);
    return false;
}

int verb_misused(const verb *self, const char *format, ...)
{
    char message[TW_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    console_note("thalweg %s: %s\nusage: thalweg %s; thalweg %s --help lists the options", self->name, message,
        self->usage, self->name);
    return tw_status_exit_code(TW_STATUS_INVALID);
}

static const verb *find_verb(const char *name)
{
    for (size_t i = 0; verb_at(i) != NULL; i++) {
        if (strcmp(verb_at(i)->name, name) == 0)
            return verb_at(i);
    }
    return NULL;
}

static int unknown_verb(const char *name)
{
    tw_nearest nearest = {.word = name};
    for (size_t i = 0; verb_at(i) != NULL; i++)
        tw_nearest_offer(&nearest, verb_at(i)->name);
    if (nearest.best != NULL)
        console_note("thalweg: unknown command %s; did you mean %s? thalweg help lists them", name, nearest.best);
    else
        console_note("thalweg: unknown command %s; thalweg help lists them", name);
    return tw_status_exit_code(TW_STATUS_INVALID);
}

int main(int argc, char **argv)
{
    /* Nothing allocates in steady state: more arenas only keep memory that bursts of requests have touched. */
    (void)mallopt(M_ARENA_MAX, MAX_ARENAS);
    /* The processes of a run share standard error: each line is one write. */
    (void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
    /* A batch solver may load OpenBLAS, which would start threads that wait for work as they spin. */
    tw_blas_prefer_one_thread();
    console_take_log();
    if (argc < 2) {
        char name[] = "help";
        char *help[] = {name, NULL};
        (void)verb_help.run(&verb_help, 1, help);
        return tw_status_exit_code(TW_STATUS_INVALID);
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    const verb *found = find_verb(name);
    return found != NULL ? found->run(found, argc - 1, argv + 1) : unknown_verb(name);
}
