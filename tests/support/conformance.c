#include "support/conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"

pipeline_setup setup_in(const subject *self, const char *name, char folder[PIPELINE_PATH_SIZE])
{
    pipeline_setup setup = self->setup;
    make_subfolder(self->folder, name, folder);
    setup.folder = folder;
    return setup;
}

outcome compare(const subject *self, const pipeline_trace *trace, unsigned parts, const char *what)
{
    const char *difference = pipeline_trace_difference(&self->baseline, trace, parts);
    if (difference == NULL)
        return RAN;
    print_error("%s: %s: %s differ from those of the plain run\n", self->name, what, difference);
    return FAILED;
}

outcome run_and_compare(const subject *self, const pipeline_setup *setup, unsigned parts, const char *what)
{
    pipeline_trace trace;
    pipeline_run(setup, &trace);
    outcome result = compare(self, &trace, parts, what);
    pipeline_trace_free(&trace);
    return result;
}

outcome worst(outcome a, outcome b)
{
    return a == FAILED || b == FAILED ? FAILED : a;
}

uint64_t next_random(uint64_t *state)
{
    return *state = tw_mix64(*state + 0x9e3779b97f4a7c15ull);
}
